-- What was said in a conversation and changes seldom, apart from how it stands now (`live.standing`),
-- which changes every second. `told` counts what the host has told of it.
CREATE TABLE settled (
    run TEXT PRIMARY KEY,
    items TEXT NOT NULL
) STRICT, WITHOUT ROWID;
ALTER TABLE live ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
