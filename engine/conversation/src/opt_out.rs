//! The words by which a peer leaves and returns: STOP, START, HELP.
