-- What the turns of calls took. A call keeps the last of them: `place` begins anew after so many, and
-- the newer takes it. `epoch` is that of its host, as in `live`.
CREATE TABLE turns (
    run TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    place BIGINT NOT NULL,
    at BIGINT NOT NULL,
    ledger TEXT NOT NULL,
    PRIMARY KEY (run, epoch, place)
);
