-- What runs want done outside, besides texts: written with the state that caused it.
CREATE TABLE deeds (
    key TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    run TEXT NOT NULL,
    deed TEXT NOT NULL,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Events for calls, on their way to the process that hosts the call.
CREATE TABLE told (
    id TEXT PRIMARY KEY,
    run TEXT NOT NULL,
    event TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX told_by_age ON told (at);

-- Requests to the API that brought a key of their own: who repeats one gets the same answer.
-- `status` is 0 while the answer is being made.
CREATE TABLE answers (
    key TEXT PRIMARY KEY,
    request TEXT NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX answers_by_age ON answers (at);

CREATE INDEX flows_by_name ON flows (tenant, name, created);
