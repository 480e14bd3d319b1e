//! What Telnyx tells: texts, how far ours came, and what happens to calls. Everything else is answered
//! and passed over.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use conversation::{Media, Message, Receipt, Status, Tenant};
use jiff::Timestamp;
use serde::Deserialize;

use super::{CHANNEL, Doors, voice};
use crate::door::{self, address};
use crate::elsewhere::is_left;
use crate::refusal::Refused;

#[derive(Deserialize)]
struct Envelope {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    event_type: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    payload: serde_json::Value,
}

#[derive(Deserialize)]
struct Payload {
    id: String,
    from: Option<End>,
    #[serde(default)]
    to: Ends,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    media: Vec<Attached>,
    /// The profile has answered the word already: `opt_out`, `opt_in`, `help`.
    autoresponse_type: Option<String>,
    #[serde(default)]
    errors: Vec<Fault>,
}

/// An end of a text: an object, or for some kinds of text the bare number.
#[derive(Deserialize)]
#[serde(untagged)]
enum End {
    Object {
        phone_number: String,
        #[serde(default)]
        status: String,
    },
    Number(String),
}

/// Where a text went: several for a group, one otherwise.
#[derive(Deserialize)]
#[serde(untagged)]
enum Ends {
    Several(Vec<End>),
    One(End),
}

impl Default for Ends {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

#[derive(Deserialize)]
struct Attached {
    url: String,
    #[serde(default)]
    content_type: Option<String>,
}

#[derive(Deserialize)]
struct Fault {
    code: serde_json::Value,
}

impl End {
    fn number(&self) -> &str {
        match self {
            Self::Object { phone_number, .. } => phone_number,
            Self::Number(number) => number,
        }
    }

    fn status(&self) -> &str {
        match self {
            Self::Object { status, .. } => status,
            Self::Number(_) => "",
        }
    }
}

impl Ends {
    fn all(&self) -> &[End] {
        match self {
            Self::Several(ends) => ends,
            Self::One(end) => std::slice::from_ref(end),
        }
    }
}

/// `POST /telnyx/webhook`. A text is stored when this answers; the reply leaves by REST.
pub(super) async fn receive(
    State(doors): State<Arc<Doors>>,
    request: Request,
) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let body = door::read(body).await?;
    let telnyx = &doors.telnyx;
    if telnyx.proof.is_there() {
        let proven = telnyx.proof.check(&parts.headers, &body, Timestamp::now());
        proven.map_err(|wrong| wrong.refused(CHANNEL))?;
    } else {
        let why = "TELNYX_WEBHOOK_PUBLIC_KEY is not set, so nobody can prove to be Telnyx";
        telnyx.unsigned.check(&parts, why)?;
    }
    let Data { event_type, id, payload } = door::json::<Envelope>(&body)?.data;
    if voice::is_voice(&event_type) {
        // An event without a call is none that we know.
        if let Ok(payload) = serde_json::from_value(payload) {
            let left = is_left(&parts.headers);
            let request = Request::from_parts(parts, body.into());
            if let Some(answer) = voice::elsewhere(&doors, &event_type, &payload, request).await {
                return Ok(answer);
            }
            voice::event(&doors, &event_type, &id, payload, left).await;
        }
        return Ok(StatusCode::OK.into_response());
    }
    let payload = || {
        serde_json::from_value::<Payload>(payload)
            .map_err(|error| Refused::bad("unreadable_body", format!("data.payload: {error}")))
    };
    match event_type.as_str() {
        "message.received" => text(&doors, payload()?).await?,
        "message.sent" | "message.finalized" | "message.read" => {
            receipt(&doors, payload()?).await?;
        }
        other => tracing::debug!(event = other, "passed over"),
    }
    Ok(StatusCode::OK.into_response())
}

async fn text(doors: &Doors, payload: Payload) -> Result<(), Refused> {
    let missing = |name| Refused::bad("missing_field", format!("`data.payload.{name}` is missing"));
    let from = payload.from.ok_or_else(|| missing("from"))?;
    // A text to a group names others too; only the sender is answered, from the number of ours.
    let numbers = || payload.to.all().iter().map(|end| address(end.number()));
    let ours = numbers()
        .find(|to| doors.inbox.answers(CHANNEL, to.as_str()).is_some())
        .or_else(|| numbers().next())
        .ok_or_else(|| missing("to"))?;
    let media = payload.media.into_iter().map(|media| Media {
        url: media.url,
        content_type: media.content_type.unwrap_or_default(),
    });
    let message = Message {
        tenant: Tenant::default(),
        channel: CHANNEL.into(),
        ours,
        peer: address(from.number()),
        id: Some(payload.id),
        text: payload.text.unwrap_or_default(),
        media: media.collect(),
        answered_by_carrier: payload.autoresponse_type.is_some_and(|kind| !kind.is_empty()),
        at: Timestamp::now(),
    };
    door::deliver(doors.inbox.as_ref(), message).await
}

async fn receipt(doors: &Doors, payload: Payload) -> Result<(), Refused> {
    let code = payload.errors.first().map(|fault| match &fault.code {
        serde_json::Value::String(code) => code.clone(),
        other => other.to_string(),
    });
    // We send to one peer at a time. A word that we do not know says nothing.
    let Some(status) = payload.to.all().first().and_then(|to| progress(to.status())) else {
        return Ok(());
    };
    let receipt = Receipt { channel: CHANNEL.into(), carrier_id: payload.id, status, code };
    door::receipt(doors.inbox.as_ref(), receipt).await
}

/// How far a text came, by Telnyx's word for it.
fn progress(status: &str) -> Option<Status> {
    match status {
        // Of one that is unconfirmed nobody will ever know more.
        "queued" | "sending" | "sent" | "delivery_unconfirmed" => Some(Status::Sent),
        "delivered" | "read" => Some(Status::Delivered),
        "sending_failed" | "delivery_failed" | "expired" => Some(Status::Failed),
        _ => None,
    }
}
