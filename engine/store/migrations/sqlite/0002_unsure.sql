-- `tried` is when it was claimed last: the intent to send it, stored before it leaves. `unsure` is
-- when a try began of which nobody knows whether it left. `about` is the run that hears of it.
ALTER TABLE outbox ADD COLUMN tried INTEGER;
ALTER TABLE outbox ADD COLUMN unsure INTEGER;
ALTER TABLE outbox ADD COLUMN about TEXT;
ALTER TABLE outbox DROP COLUMN lapsed;
