-- How often the carrier had no time for a text, or no answer. Tries that died with their process are
-- not among them: no text is given up for that.
ALTER TABLE outbox ADD COLUMN refused BIGINT NOT NULL DEFAULT 0;
