//! Live calls hosted by this process: each owns its run and advances it in place.
