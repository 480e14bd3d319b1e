//! Text threads: with whom, and what was written.

use std::fmt::Write as _;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use store::{MessageRow, Store, ThreadRow};

use crate::Api;
use crate::access::Holder;
use crate::error::Error;
use crate::params::{Page, Params, list as page_of};

/// The longest that a question may wait for a reply, seconds.
const LONGEST_WAIT: u64 = 60;

/// How long to sleep before looking again when another process may have done the work.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Whose threads.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Whose {
    /// With this address at the other end.
    peer: Option<String>,
}

/// The threads that moved last.
pub(crate) async fn list(
    State(api): State<Api>,
    holder: Holder,
    Params(whose): Params<Whose>,
    Params(page): Params<Page>,
) -> Result<Json<Value>, Error> {
    let store = &api.runtime.parts.store;
    let (peer, before) = (whose.peer.as_deref(), page.before()?);
    let threads = store.threads(holder.tenant(), peer, before, page.size()).await?;
    let rows = threads.iter().map(|thread| (thread.updated, shown(thread))).collect();
    Ok(Json(page_of(rows, &page)))
}

/// One thread.
pub(crate) async fn show(
    State(api): State<Api>,
    holder: Holder,
    Path(id): Path<String>,
) -> Result<Json<Value>, Error> {
    let thread = find(&*api.runtime.parts.store, &holder, &id).await?;
    thread.map(|thread| Json(shown(&thread))).ok_or_else(|| unknown(&id))
}

/// Which texts of a thread.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Which {
    /// Texts after this place in the thread.
    after: Option<i64>,
    /// At most so many.
    page_size: Option<u32>,
    /// Only so many, the newest.
    last: Option<usize>,
    /// Wait so many seconds until the last text is ours: the reply has been made.
    wait: Option<u64>,
    /// `text` for lines that people read: the last text of the peer, and the reply.
    #[serde(rename = "as")]
    form: Option<Form>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Form {
    Json,
    Text,
}

/// The texts of a thread, oldest first. The thread is named by its id or by the peer's address.
pub(crate) async fn messages(
    State(api): State<Api>,
    holder: Holder,
    Path(id): Path<String>,
    Params(which): Params<Which>,
) -> Result<Response, Error> {
    let wait = Duration::from_secs(which.wait.unwrap_or(0).min(LONGEST_WAIT));
    let replied = wait_for_reply(&api, &holder, &id, wait).await?;
    let store = &*api.runtime.parts.store;
    let thread = find(store, &holder, &id).await?.ok_or_else(|| unknown(&id))?;

    if which.form == Some(Form::Text) {
        let mut text = last_exchange(store, &thread).await?;
        if !replied {
            let _ = writeln!(text, "(no reply within {} s)", wait.as_secs());
        }
        return Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response());
    }
    let size = which.page_size.unwrap_or(100).clamp(1, 100);
    let rows = match which.last {
        Some(last) => {
            let mut rows = all(store, &thread).await?;
            rows.split_off(rows.len().saturating_sub(last.min(size as usize)))
        }
        None => store.messages(&thread.id, which.after.unwrap_or(0), size).await?,
    };
    let last = rows.last().filter(|_| rows.len() >= size as usize).map(|row| row.n);
    let rows: Vec<Value> = rows.iter().map(|row| shown_message(row, &thread)).collect();
    Ok(Json(json!({ "result": rows, "next_after": last })).into_response())
}

/// Who answers a thread.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Assigned {
    /// Whom it goes to; `null` gives it back to its flow.
    to: Option<String>,
}

/// Gives a thread to a human, or back to its flow.
pub(crate) async fn assign(
    State(api): State<Api>,
    holder: Holder,
    Path(id): Path<String>,
    body: String,
) -> Result<Json<Value>, Error> {
    let Assigned { to } = read(&body, r#"{"to": "anna"} or {"to": null}"#)?;
    let thread =
        find(&*api.runtime.parts.store, &holder, &id).await?.ok_or_else(|| unknown(&id))?;
    let to = to.as_deref().filter(|to| !to.is_empty());
    let thread = api.runtime.assign(&thread.id, to).await?.ok_or_else(|| unknown(&id))?;
    Ok(Json(shown(&thread)))
}

/// A text of a human.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Written {
    /// The words.
    #[serde(default)]
    text: String,
    /// Addresses of attachments.
    #[serde(default)]
    medias: Vec<String>,
}

/// Sends a text of a human to the peer of a thread.
pub(crate) async fn write(
    State(api): State<Api>,
    holder: Holder,
    Path(id): Path<String>,
    body: String,
) -> Result<Json<Value>, Error> {
    let Written { text, medias } = read(&body, r#"{"text": "Hello"}"#)?;
    if text.trim().is_empty() && medias.is_empty() {
        return Err(Error::parameter("text", "there is nothing in this text"));
    }
    let thread =
        find(&*api.runtime.parts.store, &holder, &id).await?.ok_or_else(|| unknown(&id))?;
    let key = api.runtime.write(&thread.id, &text, medias).await?.ok_or_else(|| unknown(&id))?;
    Ok(Json(json!({ "conversation_id": thread.id, "key": key, "text": text })))
}

fn read<'a, T: Deserialize<'a>>(body: &'a str, example: &str) -> Result<T, Error> {
    serde_json::from_str(body)
        .map_err(|error| Error::parameter("body", &format!("{error}; send {example}")))
}

/// Waits until the last text of a thread is ours. False when it is not, by then.
async fn wait_for_reply(
    api: &Api,
    holder: &Holder,
    id: &str,
    wait: Duration,
) -> Result<bool, Error> {
    if wait.is_zero() {
        return Ok(true);
    }
    let store = &*api.runtime.parts.store;
    // Listened to before the first look, so that no reply falls in between.
    let mut happenings = api.runtime.watch.listen();
    let replied = async {
        loop {
            if let Some(thread) = find(store, holder, id).await?
                && let Some(last) = all(store, &thread).await?.last()
                && !last.inbound
            {
                return Ok(true);
            }
            // Whatever happened, or nothing: look again.
            let _ = tokio::time::timeout(LOOK_AGAIN, happenings.recv()).await;
        }
    };
    tokio::select! {
        replied = replied => replied,
        () = tokio::time::sleep(wait) => Ok(false),
        () = api.stop.cancelled() => Ok(false),
    }
}

async fn last_exchange(store: &dyn Store, thread: &ThreadRow) -> Result<String, Error> {
    let rows = all(store, thread).await?;
    let from = rows.iter().rposition(|row| row.inbound).unwrap_or(0);
    let mut text = String::new();
    for row in &rows[from..] {
        let who = if row.inbound { &thread.peering.peer } else { &thread.peering.ours };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{who}: {}", row.text);
    }
    Ok(text)
}

async fn all(store: &dyn Store, thread: &ThreadRow) -> Result<Vec<MessageRow>, Error> {
    let mut rows: Vec<MessageRow> = Vec::new();
    loop {
        let above = rows.last().map_or(0, |row| row.n);
        let more = store.messages(&thread.id, above, 500).await?;
        let done = more.len() < 500;
        rows.extend(more);
        if done {
            return Ok(rows);
        }
    }
}

/// A thread by its id, or the newest of a peer.
async fn find(store: &dyn Store, holder: &Holder, id: &str) -> Result<Option<ThreadRow>, Error> {
    let sees = |thread: &ThreadRow| holder.sees(&thread.peering.tenant.0);
    if let Some(thread) = store.thread(id).await? {
        return Ok(Some(thread).filter(sees));
    }
    Ok(store.threads(holder.tenant(), Some(id), None, 1).await?.pop())
}

fn unknown(id: &str) -> Error {
    let message = format!("no conversation has the id {id}, and none is with this peer");
    Error::not_found("CONVERSATION_NOT_FOUND", message)
}

fn shown(thread: &ThreadRow) -> Value {
    json!({
        "id": thread.id,
        "customer_id": thread.peering.tenant,
        "type": thread.peering.channel,
        "self": { "target": thread.peering.ours },
        "peer": { "target": thread.peering.peer },
        "assigned_to": thread.assigned,
        "tm_update": thread.updated,
    })
}

fn shown_message(row: &MessageRow, thread: &ThreadRow) -> Value {
    json!({
        "id": row.id,
        "conversation_id": thread.id,
        "n": row.n,
        "direction": if row.inbound { "incoming" } else { "outgoing" },
        "text": row.text,
        "medias": row.media,
        "tm_create": row.at,
    })
}
