//! What we ask of Telnyx: send a text, dial, and what shall become of a call.

use call::{Dialled, NotReached};
use conversation::{Outgoing, Refusal, Sent};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::outward::{Outward, REQUEST};

/// The peer has written STOP to this number.
const OPTED_OUT: &str = "40300";

/// Too many requests, here and at the next carrier; the queue is full; no balance of the rate.
const WAITS: &[&str] = &["10011", "40011", "40318"];

/// The call is over already.
const ENDED: &str = "90018";

/// Telnyx's REST API.
pub(super) struct Rest {
    way: Outward,
    base: String,
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

#[derive(Deserialize)]
struct Dialed {
    data: Call,
}

#[derive(Deserialize)]
struct Call {
    call_control_id: String,
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
        Ok(Self { way, base: base.to_owned(), key, callback })
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
            .post(&format!("{}/messages", self.base))
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

    /// Dials; the id of the new call.
    pub(super) async fn dial(&self, body: Value) -> Result<String, NotReached> {
        let (status, said) = self.post("/calls", &body).await.map_err(NotReached::failed)?;
        if status < 300 {
            let dialed = serde_json::from_slice::<Dialed>(&said);
            let unreadable = |_| NotReached::failed("Telnyx's answer cannot be read");
            return Ok(dialed.map_err(unreadable)?.data.call_control_id);
        }
        let (code, why) = fault(status, &said);
        // 10010: this account may not call there.
        let how = if code == "10010" { Dialled::Rejected } else { Dialled::Failed };
        Err(NotReached { how, why })
    }

    /// Tells Telnyx what shall become of a call. That it is over already is no trouble.
    pub(super) async fn command(
        &self,
        call: &str,
        action: &str,
        body: Value,
    ) -> Result<(), String> {
        // It becomes part of a path.
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || b":-_=.".contains(&byte);
        if call.is_empty() || !call.bytes().all(fine) {
            return Err(format!("`{call}` is no id of a call"));
        }
        let (status, said) = self.post(&format!("/calls/{call}/actions/{action}"), &body).await?;
        let (code, why) = fault(status, &said);
        if status < 300 || (code == ENDED && matches!(action, "hangup" | "reject")) {
            Ok(())
        } else {
            Err(why)
        }
    }

    async fn post(&self, path: &str, body: &Value) -> Result<(u16, Vec<u8>), String> {
        let request = self.way.post(&format!("{}{path}", self.base));
        let request = request.bearer_auth(self.key.expose_secret()).json(body);
        let response = request.send().await.map_err(|error| self.way.plain(&error))?;
        let status = response.status().as_u16();
        Ok((status, response.bytes().await.unwrap_or_default().to_vec()))
    }
}

/// Telnyx's code, and all of it in words.
fn fault(status: u16, said: &[u8]) -> (String, String) {
    let faults = serde_json::from_slice::<Refused>(said).unwrap_or_default().errors;
    let Fault { code, title, detail } = faults.into_iter().next().unwrap_or_default();
    let words = if detail.is_empty() { title } else { detail };
    let why = format!("Telnyx answered {status} ({code}): {words}");
    (code, why)
}
