//! Texts and how far ours came: the webhooks of Programmable Messaging.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use conversation::{Media, Message, Receipt, Status, Tenant};
use jiff::Timestamp;

use super::form::Form;
use super::{CHANNEL, Doors, twiml};
use crate::door::{self, address};
use crate::refusal::Refused;

/// The most attachments that Twilio brings with one text.
const MOST_MEDIA: usize = 10;

/// `POST /twilio/messages`: a text. It is stored when this answers; the reply leaves by REST.
pub(super) async fn receive(
    State(doors): State<Arc<Doors>>,
    form: Form,
) -> Result<Response, Refused> {
    let ours = address(form.need("To")?);
    let message = Message {
        tenant: Tenant::default(),
        channel: CHANNEL.into(),
        peer: address(form.need("From")?),
        id: Some(form.need("MessageSid").or_else(|_| form.need("SmsSid"))?.into()),
        text: form.get("Body").unwrap_or_default().into(),
        media: media(&form),
        // The carrier has answered the word already: an answer of ours would be one too many.
        answered_by_carrier: form.get("OptOutType").is_some(),
        at: Timestamp::now(),
        ours,
    };
    door::deliver(doors.inbox.as_ref(), message).await?;
    Ok(twiml::answer(twiml::nothing()))
}

/// `POST /twilio/message-status`: how far a text of ours came.
pub(super) async fn receipt(
    State(doors): State<Arc<Doors>>,
    form: Form,
) -> Result<StatusCode, Refused> {
    let carrier_id = form.need("MessageSid").or_else(|_| form.need("SmsSid"))?;
    let status = form.need("MessageStatus").or_else(|_| form.need("SmsStatus"))?;
    // A word that we do not know says nothing about how far the text came.
    if let Some(status) = progress(status) {
        let receipt = Receipt {
            channel: CHANNEL.into(),
            carrier_id: carrier_id.into(),
            status,
            code: form.get("ErrorCode").map(str::to_owned),
        };
        door::receipt(doors.inbox.as_ref(), receipt).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

fn media(form: &Form) -> Vec<Media> {
    let count = form.get("NumMedia").and_then(|count| count.parse().ok()).unwrap_or(0);
    (0..MOST_MEDIA.min(count))
        .filter_map(|n| {
            Some(Media {
                url: form.get(&format!("MediaUrl{n}"))?.into(),
                content_type: form.get(&format!("MediaContentType{n}")).unwrap_or_default().into(),
            })
        })
        .collect()
}

/// How far a text came, by Twilio's word for it.
fn progress(status: &str) -> Option<Status> {
    match status {
        "accepted" | "scheduled" | "queued" | "sending" | "sent" | "partially_delivered" => {
            Some(Status::Sent)
        }
        "delivered" | "read" => Some(Status::Delivered),
        "undelivered" | "failed" | "canceled" => Some(Status::Failed),
        _ => None,
    }
}
