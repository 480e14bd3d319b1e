-- Calls that live, or did when their process died: who hosts each, what its run waits for, and how
-- its conversation stands. `worker` is empty when it was let go on purpose; `epoch` counts the hosts.
CREATE TABLE live (
    run TEXT PRIMARY KEY,
    call TEXT NOT NULL,
    carrier TEXT NOT NULL,
    carrier_id TEXT NOT NULL,
    worker TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    pending TEXT NOT NULL,
    standing TEXT,
    at BIGINT NOT NULL
);
CREATE INDEX live_by_carrier ON live (carrier, carrier_id);
ALTER TABLE live SET (fillfactor = 50);

-- The processes, and when each was last alive.
CREATE TABLE workers (
    id TEXT PRIMARY KEY,
    beat BIGINT NOT NULL,
    stopping BOOLEAN NOT NULL
);
