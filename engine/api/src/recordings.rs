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
use crate::access::Holder;
use crate::error::Error;
use crate::params::{Page, Params, list as page_of};

/// What every recording's file ends with.
const KIND: &str = ".wav";

/// The newest recordings.
pub(crate) async fn list(
    State(api): State<Api>,
    holder: Holder,
    Params(page): Params<Page>,
) -> Result<Json<Value>, Error> {
    let mut rows = match api.runtime.parts.recordings.clone() {
        Some(folder) => spawn_blocking(move || files(&folder)).await.unwrap_or_default(),
        None => Vec::new(),
    };
    let before = page.before()?.unwrap_or(Timestamp::MAX);
    rows.retain(|(at, _)| *at < before);
    rows.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let mut own = Vec::new();
    for row in rows {
        if own.len() >= page.size() as usize {
            break;
        }
        if is_for(&api, &holder, row.1["id"].as_str().unwrap_or_default()).await? {
            own.push(row);
        }
    }
    Ok(Json(page_of(own, &page)))
}

/// The run comes first in the name.
fn run_of(id: &str) -> &str {
    id.split('_').next().unwrap_or_default()
}

/// Whether a recording is for whoever asks: its run says whose it is.
async fn is_for(api: &Api, holder: &Holder, id: &str) -> Result<bool, Error> {
    if holder.tenant().is_none() {
        return Ok(true);
    }
    let run = api.runtime.parts.store.run(run_of(id)).await?;
    Ok(run.is_some_and(|run| holder.sees(&run.tenant.0)))
}

/// What is in the folder. One that is not there yet holds nothing.
fn files(folder: &Arc<Folder>) -> Vec<(Timestamp, Value)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let shown = entries.flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let id = name.strip_suffix(KIND)?;
        let about = entry.metadata().ok()?;
        let at = Timestamp::try_from(about.modified().ok()?).ok()?;
        let run = run_of(id);
        let row = json!({ "id": id, "filename": name, "activeflow_id": run, "format": "wav",
            "size": about.len(), "tm_end": at });
        Some((at, row))
    });
    shown.collect()
}

/// One recording.
pub(crate) async fn fetch(
    State(api): State<Api>,
    holder: Holder,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let unknown =
        || Error::not_found("RECORDING_NOT_FOUND", format!("no recording has the id {id}"));
    // It becomes part of a path.
    let fine = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let fine = fine && is_for(&api, &holder, &id).await?;
    let folder = api.runtime.parts.recordings.clone().filter(|_| fine).ok_or_else(unknown)?;
    let file = folder.join(format!("{id}{KIND}"));
    let read = spawn_blocking(move || std::fs::read(file)).await;
    let bytes = read.ok().and_then(Result::ok).ok_or_else(unknown)?;
    Ok(([(header::CONTENT_TYPE, "audio/wav")], bytes).into_response())
}
