-- The texts that a run has asked for.
-- By blocks of the table, which grows in the order of time: it costs a text next to nothing.
CREATE INDEX outbox_by_age ON outbox USING brin (created) WITH (pages_per_range = 32, autosummarize = on);
