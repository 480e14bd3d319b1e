//! voxflow itself, as processes.
