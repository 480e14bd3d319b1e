//! What we ask of Telnyx: send a text.

use conversation::{Outgoing, Refusal, Sent};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use crate::outward::{Outward, REQUEST};

/// The peer has written STOP to this number.
const OPTED_OUT: &str = "40300";

/// Too many requests, here and at the next carrier; the queue is full; no balance of the rate.
const WAITS: &[&str] = &["10011", "40011", "40318"];

/// Telnyx's REST API.
pub(super) struct Rest {
    way: Outward,
    url: String,
    key: SecretString,
    /// Where receipts shall go.
    callback: String,
}

#[derive(Deserialize)]
struct Taken {
    data: Id,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

#[derive(Default, Deserialize)]
struct Refused {
    #[serde(default)]
    errors: Vec<Fault>,
}

#[derive(Default, Deserialize)]
struct Fault {
    #[serde(default)]
    code: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
}

impl Rest {
    pub(super) fn new(base: &str, key: SecretString, callback: String) -> Result<Self, String> {
        let way = Outward::new("Telnyx", REQUEST)?;
        Ok(Self { way, url: format!("{base}/messages"), key, callback })
    }

    /// Sends a text. The key goes along, but Telnyx does not promise for texts that it heeds it:
    /// what became of a lost answer counts as unknown.
    pub(super) async fn send(&self, text: &Outgoing) -> Result<Sent, Refusal> {
        let mut body = json!({
            "from": text.ours, "to": text.peer, "text": text.text, "webhook_url": self.callback,
        });
        if !text.media.is_empty() {
            body["media_urls"] = json!(text.media);
        }
        let request = self
            .way
            .post(&self.url)
            .bearer_auth(self.key.expose_secret())
            .header("idempotency-key", &text.key)
            .json(&body);
        let answer = self.way.ask(request).await?;
        if answer.status.is_success() {
            let taken = answer.json::<Taken>().ok_or_else(|| self.way.unreadable())?;
            return Ok(Sent { carrier_id: taken.data.id });
        }
        let faults = answer.json::<Refused>().unwrap_or_default().errors;
        let Fault { code, title, detail } = faults.into_iter().next().unwrap_or_default();
        if code == OPTED_OUT {
            return Err(Refusal::OptedOut { code });
        }
        let words = if detail.is_empty() { title } else { detail };
        let code = Some(code).filter(|code| !code.is_empty());
        Err(self.way.refusal(&answer, code, &words, WAITS))
    }
}
