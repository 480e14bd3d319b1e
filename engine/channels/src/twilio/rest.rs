//! What we ask of Twilio: send a text, list texts, dial, redirect a call, end a call.

use conversation::{Outgoing, Refusal, Sent};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::{RequestBuilder, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::Settings;
use crate::outward::{self, Outward};

/// The peer has written STOP to this number.
const OPTED_OUT: i64 = 21610;

/// Too many requests; the sender's queue is full; too many messages from it.
const WAITS: &[&str] = &["20429", "21611", "30001", "14107"];

/// Twilio's REST API for one account.
pub(super) struct Rest {
    way: Outward,
    account: String,
    token: SecretString,
    /// `.../Accounts/AC...`
    base: String,
}

/// What Twilio answers, as far as we care.
#[derive(Default, Deserialize)]
struct Answer {
    #[serde(default)]
    sid: String,
    #[serde(default)]
    code: Option<i64>,
    #[serde(default)]
    message: String,
}

impl Answer {
    /// A refusal in words.
    fn told(&self, status: StatusCode) -> String {
        let code = self.code.map_or_else(String::new, |code| format!(" ({code})"));
        format!("Twilio answered {}{code}: {}", status.as_u16(), self.message)
    }
}

/// A page of texts.
#[derive(Deserialize)]
struct Page {
    messages: Vec<Listed>,
}

/// A text that Twilio has taken.
#[derive(Deserialize)]
struct Listed {
    sid: String,
    body: String,
    /// RFC 2822.
    date_created: String,
}

impl Rest {
    pub(super) fn new(settings: &Settings, token: &SecretString) -> Result<Self, String> {
        let way = Outward::new("Twilio", settings.limits.request)?;
        let account = settings.account_sid.clone();
        let base = settings.base_url.trim_end_matches('/');
        let base = format!("{base}/2010-04-01/Accounts/{account}");
        Ok(Self { way, account, token: token.clone(), base })
    }

    fn request(&self, path: &str, form: &[(&str, &str)]) -> RequestBuilder {
        self.way
            .post(&format!("{}{path}", self.base))
            .basic_auth(&self.account, Some(self.token.expose_secret()))
            .form(form)
    }

    /// Sends a text.
    pub(super) async fn send(&self, text: &Outgoing, callback: &str) -> Result<Sent, Refusal> {
        let mut form = vec![
            ("To", text.peer.as_str()),
            ("From", text.ours.as_str()),
            ("Body", text.text.as_str()),
            ("StatusCallback", callback),
        ];
        form.extend(text.media.iter().map(|url| ("MediaUrl", url.as_str())));
        let answer = self.way.ask(self.request("/Messages.json", &form)).await?;
        if answer.status.is_success() {
            return match answer.json::<Answer>() {
                Some(said) if !said.sid.is_empty() => Ok(Sent { carrier_id: said.sid }),
                _ => Err(self.way.unreadable()),
            };
        }
        Err(self.refusal(&answer))
    }

    fn refusal(&self, answer: &outward::Answer) -> Refusal {
        let said = answer.json::<Answer>().unwrap_or_default();
        if said.code == Some(OPTED_OUT) {
            return Refusal::OptedOut { code: OPTED_OUT.to_string() };
        }
        let code = said.code.map(|code| code.to_string());
        self.way.refusal(answer, code, &said.message, WAITS)
    }

    /// Texts with these words and ends that Twilio has taken since, newest first. It lists by ends;
    /// it can also list by the day of sending, but what still waits there has none.
    pub(super) async fn taken(
        &self,
        text: &Outgoing,
        since: Timestamp,
    ) -> Result<Vec<Sent>, Refusal> {
        let ends = [("To", text.peer.as_str()), ("From", text.ours.as_str()), ("PageSize", "50")];
        let request = self
            .way
            .get(&format!("{}/Messages.json", self.base))
            .basic_auth(&self.account, Some(self.token.expose_secret()))
            .query(&ends);
        // To ask twice does no harm.
        let later = |refusal| match refusal {
            Refusal::Unknown { why } => Refusal::Later { why, after: None },
            other => other,
        };
        let answer = self.way.ask(request).await.map_err(later)?;
        if !answer.status.is_success() {
            return Err(later(self.refusal(&answer)));
        }
        let page: Page = answer.json().ok_or_else(|| later(self.way.unreadable()))?;
        // Its times have whole seconds.
        let since = since.as_second();
        let ours = page.messages.into_iter().filter(|listed| {
            listed.body.trim() == text.text.trim()
                && rfc2822::parse(&listed.date_created)
                    .is_ok_and(|at| at.timestamp().as_second() >= since)
        });
        Ok(ours.map(|listed| Sent { carrier_id: listed.sid }).collect())
    }

    /// Dials; the id of the new call.
    pub(super) async fn dial(&self, form: &[(&str, &str)]) -> Result<String, String> {
        let response = self.request("/Calls.json", form).send().await;
        let response = response.map_err(|error| self.way.plain(&error))?;
        let status = response.status();
        let body = response.bytes().await.unwrap_or_default();
        let answer = serde_json::from_slice::<Answer>(&body).unwrap_or_default();
        if status.is_success() && !answer.sid.is_empty() {
            return Ok(answer.sid);
        }
        Err(answer.told(status))
    }

    /// Ends a call. One that is over already is a success.
    pub(super) async fn complete(&self, call: &str) -> Result<(), String> {
        self.update(call, "Status", "completed", &[20404, 21220]).await
    }

    /// Gives a call other TwiML. This ends its media stream.
    pub(super) async fn redirect(&self, call: &str, twiml: &str) -> Result<(), String> {
        self.update(call, "Twiml", twiml, &[]).await
    }

    async fn update(
        &self,
        call: &str,
        name: &str,
        value: &str,
        fine: &[i64],
    ) -> Result<(), String> {
        // It becomes part of a path.
        if call.is_empty() || !call.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(format!("`{call}` is no id of a call"));
        }
        let path = format!("/Calls/{call}.json");
        let response = self.request(&path, &[(name, value)]).send().await;
        let response = response.map_err(|error| self.way.plain(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let body = response.bytes().await.unwrap_or_default();
        let answer = serde_json::from_slice::<Answer>(&body).unwrap_or_default();
        if answer.code.is_some_and(|code| fine.contains(&code))
            || (status == StatusCode::NOT_FOUND && !fine.is_empty())
        {
            return Ok(());
        }
        Err(answer.told(status))
    }
}
