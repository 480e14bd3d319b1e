//! What is still to be heard, and how much was.
