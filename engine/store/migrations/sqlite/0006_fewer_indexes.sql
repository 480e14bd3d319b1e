-- Threads with texts that nobody has handled, and when the oldest of these came: apart, so that a
-- thread's own row can be changed where it is.
CREATE TABLE unhandled (
    thread TEXT PRIMARY KEY,
    since BIGINT NOT NULL
);
INSERT INTO unhandled SELECT id, waiting_since FROM threads WHERE last_in > handled;
DROP INDEX threads_unhandled;
ALTER TABLE threads DROP COLUMN waiting_since;
