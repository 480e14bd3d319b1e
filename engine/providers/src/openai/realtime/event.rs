//! What the vendor says in a realtime conversation. Today's names and those of its beta, which
//! other services still speak, mean the same.

use agent::Usage;
use serde::Deserialize;

use crate::http::Complaint;

/// A message, as far as it matters.
#[derive(Debug)]
pub(super) enum Event {
    /// The session is as we want it.
    Updated,
    /// The caller's sound has become a question of this name.
    Committed { item_id: String },
    /// And was written down.
    Written { item_id: String, transcript: String },
    /// Sound of an answer, in base64.
    Sound { item_id: String, delta: String },
    /// Words of an answer.
    Words { delta: String },
    /// A tool, complete.
    Call { call_id: String, name: String, arguments: String },
    /// The answer is complete, or cancelled.
    Done { usage: Usage },
    /// There will be no answer.
    Failed { error: Box<Complaint> },
    /// Something is wrong.
    Error { error: Box<Complaint> },
    /// Nothing that we need.
    Other,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    #[serde(rename = "type")]
    kind: String,
    item_id: String,
    transcript: String,
    delta: String,
    item: Option<Item>,
    response: Option<Response>,
    error: Option<Box<Complaint>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Item {
    #[serde(rename = "type")]
    kind: String,
    call_id: String,
    name: String,
    arguments: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Response {
    status: String,
    status_details: Option<Details>,
    usage: Option<Tokens>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    error: Option<Box<Complaint>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tokens {
    input_tokens: u64,
    output_tokens: u64,
}

/// Reads a message.
pub(super) fn read(text: &str) -> Result<Event, String> {
    let said: Said = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let Said { item_id, transcript, delta, .. } = said;
    Ok(match said.kind.as_str() {
        "session.updated" => Event::Updated,
        "input_audio_buffer.committed" => Event::Committed { item_id },
        "conversation.item.input_audio_transcription.completed" => {
            Event::Written { item_id, transcript }
        }
        "response.output_audio.delta" | "response.audio.delta" => Event::Sound { item_id, delta },
        "response.output_audio_transcript.delta" | "response.audio_transcript.delta" => {
            Event::Words { delta }
        }
        "response.output_item.done" => {
            match said.item.filter(|item| item.kind == "function_call") {
                Some(Item { call_id, name, arguments, .. }) => {
                    Event::Call { call_id, name, arguments }
                }
                None => Event::Other,
            }
        }
        "response.done" => {
            let response = said.response.unwrap_or_default();
            if response.status == "failed" {
                let error = response.status_details.and_then(|details| details.error);
                return Ok(Event::Failed { error: error.unwrap_or_default() });
            }
            let Tokens { input_tokens, output_tokens } = response.usage.unwrap_or_default();
            Event::Done { usage: Usage { input: input_tokens, output: output_tokens } }
        }
        "error" => Event::Error { error: said.error.unwrap_or_default() },
        "" => return Err("a message without a type".into()),
        _ => Event::Other,
    })
}
