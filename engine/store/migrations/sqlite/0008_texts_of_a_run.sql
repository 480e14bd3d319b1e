-- The texts that a run has asked for.
CREATE INDEX outbox_about ON outbox (about) WHERE about IS NOT NULL;
