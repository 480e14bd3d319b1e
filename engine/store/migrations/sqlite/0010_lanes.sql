-- How fast each of our numbers may send, for all processes: when its next token comes, and when the
-- last reply that had to wait has its own. What the last question was answered: so many tokens, or
-- when to ask again.
CREATE TABLE lanes (
    id TEXT PRIMARY KEY,
    next BIGINT NOT NULL,
    booked BIGINT NOT NULL,
    granted BIGINT NOT NULL,
    again BIGINT NOT NULL
);
