//! PostgreSQL: the store of many processes.
