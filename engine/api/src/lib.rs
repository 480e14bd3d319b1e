//! The HTTP face and the console.

use std::sync::Arc;

use axum::Router;
use runtime::Runtime;

/// The API's and the console's routes; carriers' doors are added by whoever wires.
pub fn router(runtime: Arc<Runtime>) -> Router {
    let _ = runtime;
    Router::new()
}
