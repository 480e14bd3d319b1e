//! The binary `voxflow`.
fn main() {}
