-- How fast each of our numbers may send, for all processes: when its next token comes, and when the
-- last reply that had to wait has its own. What the last question was answered: so many tokens, or
-- when to ask again.
CREATE TABLE lanes (
    id TEXT PRIMARY KEY,
    next INTEGER NOT NULL,
    booked INTEGER NOT NULL,
    granted INTEGER NOT NULL,
    again INTEGER NOT NULL
) STRICT;
