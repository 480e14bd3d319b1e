//! A job is worked: read, advance, commit, acknowledge.
