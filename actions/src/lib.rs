//! Every action, one file each. The list below is generated: `UPDATE=1 cargo test -p actions`.
use flow::Catalog;
/// Every action there is.
pub const ALL: Catalog = &[];
