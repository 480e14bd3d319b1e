-- Until when a deed belongs to whoever carries it out.
ALTER TABLE deeds ADD COLUMN claimed_until BIGINT NOT NULL DEFAULT 0;
