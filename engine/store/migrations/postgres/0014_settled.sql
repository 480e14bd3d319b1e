-- What was said in a conversation and changes seldom, apart from how it stands now (`live.standing`),
-- which changes every second. `told` counts what the host has told of it.
CREATE TABLE settled (
    run TEXT PRIMARY KEY,
    items TEXT NOT NULL
);
ALTER TABLE live ADD COLUMN told BIGINT NOT NULL DEFAULT 0;
