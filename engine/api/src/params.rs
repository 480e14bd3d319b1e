//! What a request asks for in its query, and how lists are divided into pages.

use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::Error;

/// The query, read; what cannot be read is refused in our words.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => {
                Err(Error::new(StatusCode::BAD_REQUEST, "INVALID_PARAMETER", rejection.body_text()))
            }
        }
    }
}

/// The body, read as JSON; what cannot be read is refused in our words.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let text =
            String::from_request(request, state).await.map_err(IntoResponse::into_response)?;
        // A body that is left out says nothing, as `{}` does.
        let text = if text.trim().is_empty() { "{}" } else { &text };
        serde_json::from_str(text).map(Self).map_err(|error| {
            let message = format!("the body cannot be read: {error}");
            Error::new(StatusCode::BAD_REQUEST, "INVALID_JSON_BODY", message).into_response()
        })
    }
}

/// Which part of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    page_size: Option<u32>,
    page_token: Option<String>,
}

/// The most rows of a page, and what it has when nothing is said.
const MOST: u32 = 100;

impl Page {
    /// How many rows.
    pub(crate) fn size(&self) -> u32 {
        self.page_size.unwrap_or(MOST).clamp(1, MOST)
    }

    /// Rows older than this.
    pub(crate) fn before(&self) -> Result<Option<Timestamp>, Error> {
        match self.page_token.as_deref() {
            None | Some("") => Ok(None),
            Some(token) => token.parse().map(Some).map_err(|_| {
                Error::parameter("page_token", "take the `next_page_token` of the page before")
            }),
        }
    }
}

/// A page of a list, newest first: rows with the time by which the next page is found.
pub(crate) fn list(rows: Vec<(Timestamp, Value)>, page: &Page) -> Value {
    let full = rows.len() >= page.size() as usize;
    let next = rows.last().filter(|_| full).map(|(at, _)| at.to_string()).unwrap_or_default();
    let rows: Vec<Value> = rows.into_iter().map(|(_, row)| row).collect();
    json!({ "result": rows, "next_page_token": next })
}
