-- The W3C trace context of what set a timer goes on in the job that the timer becomes.
ALTER TABLE timers ADD COLUMN trace TEXT;
-- When the carrier told how far a text came.
ALTER TABLE outbox ADD COLUMN receipt_at INTEGER;
