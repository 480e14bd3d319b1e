-- `assigned` is the human who answers a thread. `rest` is what is left of a reply that was cut.
ALTER TABLE threads ADD COLUMN assigned TEXT;
ALTER TABLE sessions ADD COLUMN rest TEXT NOT NULL DEFAULT '';
