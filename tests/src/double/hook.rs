//! Somebody's server that takes our signed webhooks.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;

use super::Door;
use crate::record::Record;

/// The secret that both sides know.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A webhook that came: its headers and its body.
pub type Came = (BTreeMap<String, String>, String);

/// The double.
pub struct Hook {
    door: Door,
    came: Arc<Record<Came>>,
}

impl Hook {
    /// Opens.
    pub async fn open() -> Self {
        let came = Arc::<Record<Came>>::default();
        let router = Router::new().route("/texts", post(take)).with_state(Arc::clone(&came));
        Self { door: Door::open(router).await, came }
    }

    /// For `url`.
    pub fn url(&self) -> String {
        format!("http://{}/texts", self.door.at)
    }

    /// Every webhook that came.
    pub fn came(&self) -> &Record<Came> {
        &self.came
    }
}

async fn take(
    State(came): State<Arc<Record<Came>>>,
    headers: HeaderMap,
    body: String,
) -> StatusCode {
    let headers = headers.iter().map(|(name, value)| {
        (name.as_str().to_owned(), value.to_str().unwrap_or_default().to_owned())
    });
    came.push((headers.collect(), body));
    StatusCode::ACCEPTED
}
