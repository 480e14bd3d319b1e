-- Times are microseconds since 1970, in UTC. JSON is kept as text.

CREATE TABLE flows (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    flow TEXT NOT NULL,
    flow_name TEXT NOT NULL,
    medium TEXT NOT NULL,
    subject TEXT NOT NULL,
    seq INTEGER NOT NULL,
    state TEXT NOT NULL,
    outcome TEXT,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
) STRICT;
CREATE INDEX runs_by_age ON runs (created);

-- What a commit added to the history of a run: a list of actions.
CREATE TABLE taken (
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL,
    items TEXT NOT NULL
) STRICT;
CREATE INDEX taken_by_run ON taken (run, id);

CREATE TABLE lines (
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    text TEXT NOT NULL
) STRICT;
CREATE INDEX lines_by_run ON lines (run, id);

-- `last_n` counts the texts of both directions; `last_in` is the last one from the peer;
-- `waiting_since` is when the oldest of those that nobody has handled came.
CREATE TABLE threads (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    channel TEXT NOT NULL,
    ours TEXT NOT NULL,
    peer TEXT NOT NULL,
    seq INTEGER NOT NULL,
    handled INTEGER NOT NULL,
    waiting_run TEXT,
    updated INTEGER NOT NULL,
    last_n INTEGER NOT NULL,
    last_in INTEGER NOT NULL,
    waiting_since INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX threads_by_peering ON threads (tenant, channel, ours, peer);
CREATE INDEX threads_by_age ON threads (updated);
CREATE INDEX threads_by_peer ON threads (peer, updated);
CREATE INDEX threads_unhandled ON threads (waiting_since) WHERE last_in > handled;

CREATE TABLE messages (
    id TEXT PRIMARY KEY,
    thread TEXT NOT NULL,
    n INTEGER NOT NULL,
    claim TEXT NOT NULL,
    inbound INTEGER NOT NULL,
    text TEXT NOT NULL,
    media TEXT NOT NULL,
    answered_by_carrier INTEGER NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX messages_in_order ON messages (thread, n);

-- What refuses a text that we have already.
CREATE TABLE claims (
    thread TEXT NOT NULL,
    claim TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (thread, claim)
) STRICT, WITHOUT ROWID;
CREATE INDEX claims_by_age ON claims (at);

CREATE TABLE opt_outs (
    thread TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    thread TEXT NOT NULL,
    seq INTEGER NOT NULL,
    agent TEXT NOT NULL,
    generation INTEGER NOT NULL,
    answered INTEGER NOT NULL,
    run TEXT NOT NULL,
    awaited TEXT,
    history TEXT NOT NULL,
    active INTEGER NOT NULL,
    idle_s INTEGER NOT NULL,
    ended TEXT
) STRICT;
CREATE UNIQUE INDEX sessions_alive ON sessions (thread) WHERE ended IS NULL;

-- `n` is the text's place in its thread, and so the order of sending.
CREATE TABLE outbox (
    key TEXT PRIMARY KEY,
    thread TEXT NOT NULL,
    n INTEGER NOT NULL,
    channel TEXT NOT NULL,
    outgoing TEXT NOT NULL,
    run TEXT,
    status TEXT NOT NULL,
    carrier_id TEXT,
    why TEXT,
    attempts INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    claimed_by TEXT,
    claimed_until INTEGER NOT NULL,
    lapsed INTEGER NOT NULL,
    created INTEGER NOT NULL
) STRICT;
CREATE INDEX outbox_queued ON outbox (created) WHERE status = 'queued';
CREATE INDEX outbox_in_order ON outbox (thread, n) WHERE status = 'queued';
CREATE INDEX outbox_by_carrier ON outbox (channel, carrier_id) WHERE carrier_id IS NOT NULL;

-- Receipts that came before we knew the carrier's id.
CREATE TABLE receipts (
    channel TEXT NOT NULL,
    carrier_id TEXT NOT NULL,
    status TEXT NOT NULL,
    why TEXT,
    at INTEGER NOT NULL,
    PRIMARY KEY (channel, carrier_id)
) STRICT, WITHOUT ROWID;

-- `at` is when it can be taken: `due`, or later while somebody fires it.
CREATE TABLE timers (
    id TEXT PRIMARY KEY,
    due INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    guard TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX timers_by_time ON timers (at);

CREATE TABLE calls (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    carrier TEXT NOT NULL,
    carrier_id TEXT NOT NULL,
    from_address TEXT NOT NULL,
    to_address TEXT NOT NULL,
    run TEXT NOT NULL,
    status TEXT NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER
) STRICT;
CREATE INDEX calls_by_age ON calls (started);
