//! An AI agent, spoken or written: what it is told, what it remembers, what it may do.
//!
//! Read in this order: [`config`] (what an author writes) → [`history`] (what was said) →
//! [`standing`] (how a conversation stands, for whoever goes on with it) → [`ledger`] (what its
//! turns took) →
//! [`tools`] (what it may do) → [`llm`] (the seam to the models) → [`prompt`] (what a model is
//! told first).

pub mod config;
pub mod history;
pub mod ledger;
pub mod llm;
pub mod prompt;
pub mod standing;
pub mod tools;

pub use config::Config;
pub use history::{Item, ToolCall, trim};
pub use ledger::{Bill, Ledger};
pub use llm::{Answer, Ask, Error, Llm, Models, Piece, Usage};
pub use prompt::Medium;
pub use standing::{Floor, Standing};
pub use tools::{Took, Tool, Tools};
