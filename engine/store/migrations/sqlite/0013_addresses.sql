-- Where the other processes reach each; empty = nowhere.
ALTER TABLE workers ADD COLUMN address TEXT NOT NULL DEFAULT '';
