-- Until when a deed belongs to whoever carries it out.
ALTER TABLE deeds ADD COLUMN claimed_until INTEGER NOT NULL DEFAULT 0;
