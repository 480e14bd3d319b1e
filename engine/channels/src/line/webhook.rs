//! What LINE tells: several events at once, each a text, a friend who comes or goes, or nothing
//! to us.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use conversation::{Address, Media, Message, Tenant};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::Value;

use super::{ADDRESS, CHANNEL, Doors};
use crate::door::{self, Wrong, header};
use crate::refusal::Refused;
use crate::signed;

const SIGNATURE: &str = "x-line-signature";

#[derive(Deserialize)]
struct Webhook {
    /// None, when the console asks whether we are there.
    #[serde(default)]
    events: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    mode: String,
    #[serde(default)]
    timestamp: i64,
    /// The same whenever the event is brought again.
    webhook_event_id: String,
    source: Option<Source>,
    reply_token: Option<String>,
    message: Option<Content>,
    postback: Option<Postback>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    user_id: Option<String>,
    group_id: Option<String>,
    room_id: Option<String>,
}

/// A message of any of LINE's types; which fields there are depends on it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    #[serde(default)]
    id: String,
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    content_provider: Option<Provider>,
    title: Option<String>,
    address: Option<String>,
    latitude: Option<f64>,
    longitude: Option<f64>,
    file_name: Option<String>,
    #[serde(default)]
    keywords: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Provider {
    original_content_url: Option<String>,
}

#[derive(Deserialize)]
struct Postback {
    data: String,
}

impl Source {
    /// Where an answer goes: to the group, when it was said in one.
    fn peer(self) -> Option<String> {
        self.group_id.or(self.room_id).or(self.user_id)
    }
}

/// `POST /line/webhook`. The texts are stored when this answers.
pub(super) async fn receive(
    State(doors): State<Arc<Doors>>,
    request: Request,
) -> Result<StatusCode, Refused> {
    let (parts, body) = request.into_parts();
    let body = door::read(body).await?;
    match &doors.line.secret {
        Some(secret) => {
            let fits = header(&parts.headers, SIGNATURE)
                .ok_or(Wrong::Missing(SIGNATURE))
                .map(|said| signed::fits(secret.expose_secret().as_bytes(), &[&body], said));
            match fits {
                Ok(true) => {}
                Ok(false) => return Err(Wrong::Forged.refused(CHANNEL)),
                Err(wrong) => return Err(wrong.refused(CHANNEL)),
            }
        }
        None => {
            let why = "LINE_CHANNEL_SECRET is not set, so nobody can prove to be LINE";
            doors.line.unsigned.check(&parts, why)?;
        }
    }
    for event in door::json::<Webhook>(&body)?.events {
        // Kinds of events are added without notice.
        match serde_json::from_value::<Event>(event) {
            Ok(event) => take(&doors, event).await?,
            Err(error) => tracing::debug!(%error, "an event of LINE is passed over"),
        }
    }
    Ok(StatusCode::OK)
}

/// Takes in one event. LINE brings all of them again when one cannot be stored; those that were
/// are known by their ids.
async fn take(doors: &Doors, event: Event) -> Result<(), Refused> {
    // Somebody else answers this peer now.
    if event.mode == "standby" {
        return Ok(());
    }
    let Some(peer) = event.source.and_then(Source::peer) else { return Ok(()) };
    let said = match (event.kind.as_str(), event.message, event.postback) {
        ("message", Some(content), _) => said(content, &doors.line.content),
        ("postback", _, Some(postback)) => (postback.data, Vec::new()),
        // Whom a peer has blocked cannot reach it: as if it had written so, and no answer is due.
        ("unfollow", ..) => ("STOP".into(), Vec::new()),
        ("follow", ..) => ("START".into(), Vec::new()),
        _ => return Ok(()),
    };
    if let (Some(token), Ok(at)) = (event.reply_token, Timestamp::from_millisecond(event.timestamp))
    {
        doors.line.tokens.keep(&peer, token, at);
    }
    let message = Message {
        tenant: Tenant::default(),
        channel: CHANNEL.into(),
        ours: Address::id(ADDRESS),
        peer: Address::id(peer),
        id: Some(event.webhook_event_id),
        text: said.0,
        media: said.1,
        answered_by_carrier: matches!(event.kind.as_str(), "follow" | "unfollow"),
        at: Timestamp::now(),
    };
    door::deliver(doors.inbox.as_ref(), message).await
}

/// The words and attachments of a message.
fn said(content: Content, at: &str) -> (String, Vec<Media>) {
    let Content { id, kind, text, content_provider, keywords, .. } = content;
    let content_type = match kind.as_str() {
        "text" => return (text.unwrap_or_default(), Vec::new()),
        "location" => {
            let place = [content.title, content.address].into_iter().flatten();
            let point = content.latitude.zip(content.longitude);
            let point = point.map(|(north, east)| format!("{north},{east}"));
            return (place.chain(point).collect::<Vec<_>>().join(", "), Vec::new());
        }
        // What it shows, in LINE's own words for it.
        "sticker" => return (text.unwrap_or_else(|| keywords.join(", ")), Vec::new()),
        "image" => "image/jpeg",
        "video" => "video/mp4",
        "audio" => "audio/mp4",
        _ => "application/octet-stream",
    };
    let elsewhere = content_provider.and_then(|provider| provider.original_content_url);
    // Fetched with the channel's token.
    let url = elsewhere.unwrap_or_else(|| format!("{at}/v2/bot/message/{id}/content"));
    let media = Media { url, content_type: content_type.into() };
    (content.file_name.unwrap_or_default(), vec![media])
}
