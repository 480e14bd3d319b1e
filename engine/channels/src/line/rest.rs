//! What we ask of LINE: reply while a token is good, push otherwise.

use conversation::{Outgoing, Refusal, Sent};
use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::outward::{Answer, Outward, REQUEST, never};

/// The longest text of one message, in UTF-16 units.
const LONGEST: usize = 5000;

/// Most messages of one request.
const MOST: usize = 5;

/// Retry keys are UUIDs, made of our own keys.
const KEYS: Uuid = Uuid::from_u128(0x1f3d_77c2_0b4e_4c58_a6f0_5d1e_9a72_c311);

/// LINE's REST API.
pub(super) struct Rest {
    way: Outward,
    base: String,
    token: SecretString,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Taken {
    #[serde(default)]
    sent_messages: Vec<Id>,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

#[derive(Default, Deserialize)]
struct Refused {
    #[serde(default)]
    message: String,
}

impl Rest {
    pub(super) fn new(base: &str, token: SecretString) -> Result<Self, String> {
        let way = Outward::new("LINE", REQUEST)?;
        Ok(Self { way, base: format!("{base}/v2/bot/message"), token })
    }

    /// Sends a text: as a reply, which is free, where there is a token; else, or when LINE does not
    /// take the token any more, as a push.
    pub(super) async fn send(
        &self,
        text: &Outgoing,
        token: Option<String>,
    ) -> Result<Sent, Refusal> {
        let messages = messages(text)?;
        if let Some(token) = token {
            // A reply has no retry key: one whose answer was lost may come twice, as a push.
            let body = json!({ "replyToken": token, "messages": messages });
            let answer = self.post("reply", &body, None).await?;
            if answer.status != StatusCode::BAD_REQUEST {
                return self.read(&answer, text);
            }
        }
        let key = Uuid::new_v5(&KEYS, text.key.as_bytes());
        let body = json!({ "to": text.peer, "messages": messages });
        let answer = self.post("push", &body, Some(key)).await?;
        self.read(&answer, text)
    }

    async fn post(&self, call: &str, body: &Value, key: Option<Uuid>) -> Result<Answer, Refusal> {
        let mut request = self
            .way
            .post(&format!("{}/{call}", self.base))
            .bearer_auth(self.token.expose_secret())
            .json(body);
        if let Some(key) = key {
            request = request.header("x-line-retry-key", key.to_string());
        }
        self.way.ask(request).await
    }

    fn read(&self, answer: &Answer, text: &Outgoing) -> Result<Sent, Refusal> {
        // 409: it was taken under this key before.
        if answer.status.is_success() || answer.status == StatusCode::CONFLICT {
            let sent = answer.json::<Taken>().unwrap_or_default().sent_messages;
            let id = sent.into_iter().next().map_or_else(|| text.key.clone(), |sent| sent.id);
            return Ok(Sent { carrier_id: id });
        }
        let why = answer.json::<Refused>().unwrap_or_default().message;
        if answer.status == StatusCode::TOO_MANY_REQUESTS && why.contains("monthly limit") {
            return Err(never("monthly_limit", why));
        }
        Err(self.way.refusal(answer, None, &why, &[]))
    }
}

/// A text as LINE's messages: cut where it is too long, pictures as pictures, what else is
/// attached as its address.
fn messages(text: &Outgoing) -> Result<Vec<Value>, Refusal> {
    let mut words = text.text.clone();
    let (pictures, others): (Vec<_>, Vec<_>) = text.media.iter().partition(|url| picture(url));
    for url in others {
        if !words.is_empty() {
            words.push('\n');
        }
        words.push_str(url);
    }
    let mut messages: Vec<Value> =
        cut(&words).into_iter().map(|text| json!({ "type": "text", "text": text })).collect();
    messages.extend(
        pictures.into_iter().map(
            |url| json!({ "type": "image", "originalContentUrl": url, "previewImageUrl": url }),
        ),
    );
    match messages.len() {
        0 => Err(never("empty", "there is nothing in this text")),
        1..=MOST => Ok(messages),
        n => Err(never("too_long", format!("this would be {n} messages; LINE takes {MOST}"))),
    }
}

/// LINE shows pictures from `https` only.
fn picture(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default().to_lowercase();
    url.starts_with("https://") && [".jpg", ".jpeg", ".png"].iter().any(|end| path.ends_with(end))
}

/// Pieces that are short enough; no character is split.
fn cut(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut from, mut units) = (0, 0);
    for (at, c) in text.char_indices() {
        if units + c.len_utf16() > LONGEST {
            pieces.push(&text[from..at]);
            (from, units) = (at, 0);
        }
        units += c.len_utf16();
    }
    if from < text.len() {
        pieces.push(&text[from..]);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_by_utf_16() {
        assert_eq!(cut(""), Vec::<&str>::new());
        assert_eq!(cut("hi"), ["hi"]);
        let text = format!("{}😀b", "a".repeat(4999));
        let pieces = cut(&text);
        assert_eq!(pieces.len(), 2);
        assert_eq!(pieces[1], "😀b");
        assert_eq!(pieces.concat(), text);
        assert_eq!(cut(&"😀".repeat(2500)).len(), 1);
    }

    #[test]
    fn pictures_are_told_from_the_rest() {
        assert!(picture("https://a.example/1.JPG?size=2"));
        assert!(!picture("http://a.example/1.jpg"));
        assert!(!picture("https://a.example/1.pdf"));
        assert!(!picture("https://a.example/jpg"));
    }
}
