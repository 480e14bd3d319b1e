//! Texts leave: claimed, sent once, their end told to the run that waits.
