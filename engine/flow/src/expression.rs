//! Expressions: Rhai, compiled once when a flow is linked, deterministic and limited.
