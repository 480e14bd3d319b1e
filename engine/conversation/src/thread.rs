//! The machine of a thread: which run a text belongs to, and when silence ends its AI session.
