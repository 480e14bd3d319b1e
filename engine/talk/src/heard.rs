//! What the caller heard of a reply.
