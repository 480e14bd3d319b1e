//! From a document to a flow, or to every diagnostic at once.

use std::sync::Arc;

use crate::action::{Catalog, Needs};
use crate::diagnostic::Diagnostic;

/// A linked flow: all options typed, all targets exist. Only [`link`] makes one.
pub struct Flow {
    /// What the flow is called.
    pub name: String,
    /// The catalog it was linked against; actions that a model chooses are linked on arrival.
    pub catalog: Catalog,
}

/// What a flow is linked for.
#[derive(Clone, Copy)]
pub struct Linking {
    /// Every action type there is.
    pub catalog: Catalog,
    /// For calls, for texts, or for both ([`Needs::Nothing`]).
    pub medium: Needs,
}

/// A flow and its warnings, or the errors and warnings.
pub type Linked = Result<(Arc<Flow>, Vec<Diagnostic>), Vec<Diagnostic>>;

/// Links the text of a document.
pub fn link(text: &str, linking: Linking) -> Linked {
    let _ = (text, linking);
    unimplemented!("seam")
}
