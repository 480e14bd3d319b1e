-- Calls that live, or did when their process died: who hosts each, what its run waits for, and how
-- its conversation stands. `worker` is empty when it was let go on purpose; `epoch` counts the hosts.
CREATE TABLE live (
    run TEXT PRIMARY KEY,
    call TEXT NOT NULL,
    carrier TEXT NOT NULL,
    carrier_id TEXT NOT NULL,
    worker TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    pending TEXT NOT NULL,
    standing TEXT,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX live_by_carrier ON live (carrier, carrier_id);

-- The processes, and when each was last alive.
CREATE TABLE workers (
    id TEXT PRIMARY KEY,
    beat INTEGER NOT NULL,
    stopping INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
