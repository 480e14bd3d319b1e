//! Says texts and plays files on a leg, until they are over or interrupted.
