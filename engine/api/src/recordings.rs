//! Recordings of calls: wav files, the caller left, we right.

use std::path::Path as Folder;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::Api;
use crate::error::Error;
use crate::params::{Page, Params, list as page_of};

/// What every recording's file ends with.
const KIND: &str = ".wav";

/// The newest recordings.
pub(crate) async fn list(
    State(api): State<Api>,
    Params(page): Params<Page>,
) -> Result<Json<Value>, Error> {
    let mut rows = match api.runtime.parts.recordings.clone() {
        Some(folder) => spawn_blocking(move || files(&folder)).await.unwrap_or_default(),
        None => Vec::new(),
    };
    let before = page.before()?.unwrap_or(Timestamp::MAX);
    rows.retain(|(at, _)| *at < before);
    rows.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    rows.truncate(page.size() as usize);
    Ok(Json(page_of(rows, &page)))
}

/// What is in the folder. One that is not there yet holds nothing.
fn files(folder: &Arc<Folder>) -> Vec<(Timestamp, Value)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let shown = entries.flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let id = name.strip_suffix(KIND)?;
        let about = entry.metadata().ok()?;
        let at = Timestamp::try_from(about.modified().ok()?).ok()?;
        // The run comes first in the name.
        let run = id.split('_').next().unwrap_or_default();
        let row = json!({ "id": id, "filename": name, "activeflow_id": run, "format": "wav",
            "size": about.len(), "tm_end": at });
        Some((at, row))
    });
    shown.collect()
}

/// One recording.
pub(crate) async fn fetch(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let unknown =
        || Error::not_found("RECORDING_NOT_FOUND", format!("no recording has the id {id}"));
    // It becomes part of a path.
    let fine = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let folder = api.runtime.parts.recordings.clone().filter(|_| fine).ok_or_else(unknown)?;
    let file = folder.join(format!("{id}{KIND}"));
    let read = spawn_blocking(move || std::fs::read(file)).await;
    let bytes = read.ok().and_then(Result::ok).ok_or_else(unknown)?;
    Ok(([(header::CONTENT_TYPE, "audio/wav")], bytes).into_response())
}
