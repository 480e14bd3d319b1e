//! The texts of a run: those that it was given and those that it asked for, with their times.

use flow::{Event, Medium, Taken};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use store::{Error, MessageRow, OutboxRow, RunRow, Store};

/// Texts of a thread that are read at once.
const PAGE: u32 = 500;

/// A text of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// `in` or `out`.
    pub direction: &'static str,
    /// The id of one that came in, the key of one that went out.
    pub id: String,
    /// The other end.
    pub peer: String,
    /// The words.
    pub text: String,
    /// Addresses of attachments.
    pub media: Vec<String>,
    /// By what one that came in is known when it comes again.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub claim: String,
    /// When it came in, or was asked for.
    pub at: Timestamp,
    /// What has become of one that went out; only that has what follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sending: Option<Sending>,
}

/// What has become of a text that went out.
#[derive(Clone, Debug, Serialize)]
pub struct Sending {
    /// The channel's name.
    pub channel: String,
    /// `queued`, `sent`, `delivered`, `failed`.
    pub status: String,
    /// Why it failed, or waits.
    pub why: Option<String>,
    /// Tries so far.
    pub attempts: i64,
    /// Not before.
    pub not_before: Timestamp,
    /// When the last try was claimed.
    pub tried: Option<Timestamp>,
    /// The id that the carrier gave it.
    pub carrier_id: Option<String>,
    /// When the carrier's last receipt came.
    pub receipt: Option<Timestamp>,
}

/// The texts of a run, oldest first.
///
/// # Errors
/// The store did not answer.
pub async fn of(store: &dyn Store, run: &RunRow, taken: &[Taken]) -> Result<Vec<Told>, Error> {
    let mut all = Vec::new();
    if run.medium == Medium::Text {
        all.extend(given(store, run, taken).await?);
    }
    all.extend(store.asked_by(run).await?.into_iter().map(went_out));
    all.sort_by_key(|text| text.at);
    Ok(all)
}

/// Those that the run was given.
async fn given(store: &dyn Store, run: &RunRow, taken: &[Taken]) -> Result<Vec<Told>, Error> {
    let causes = taken.iter().filter_map(|taken| taken.cause.as_deref());
    let named = causes.flat_map(|cause| {
        let began = cause.given.as_ref().and_then(|vars| vars.get("message.id"));
        let came = match &cause.event {
            Event::Message { values, .. } => values.get("id"),
            _ => None,
        };
        [began, came]
    });
    let newest = run.state.vars.get("message.id");
    let mut wanted: Vec<&str> = named.chain([newest]).flatten().filter_map(Value::as_str).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut found = Vec::new();
    let mut above = 0;
    while found.len() < wanted.len() {
        let page = store.messages(&run.subject, above, PAGE).await?;
        let Some(last) = page.last() else { break };
        above = last.n;
        let mine = page.into_iter().filter(|row| wanted.contains(&row.id.as_str()));
        found.extend(mine.map(|row| came_in(row, run)));
    }
    Ok(found)
}

fn came_in(row: MessageRow, run: &RunRow) -> Told {
    let peer = run.state.vars.get("conversation.peer").and_then(Value::as_str);
    Told {
        direction: "in",
        id: row.id,
        peer: peer.unwrap_or_default().to_owned(),
        text: row.text,
        media: row.media.into_iter().map(|media| media.url).collect(),
        claim: row.claim,
        at: row.at,
        sending: None,
    }
}

fn went_out(row: OutboxRow) -> Told {
    Told {
        direction: "out",
        id: row.key,
        peer: row.outgoing.peer.as_str().to_owned(),
        text: row.outgoing.text,
        media: row.outgoing.media,
        claim: String::new(),
        at: row.created,
        sending: Some(Sending {
            channel: row.outgoing.channel,
            status: json!(row.status).as_str().unwrap_or_default().to_owned(),
            why: row.why,
            attempts: row.attempts,
            not_before: row.not_before,
            tried: row.tried,
            carrier_id: row.carrier_id,
            receipt: row.receipt,
        }),
    }
}
