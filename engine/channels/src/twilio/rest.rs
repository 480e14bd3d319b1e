//! What we ask of Twilio: send a text, list texts, redirect a call, end a call.

use std::time::Duration;

use conversation::{Outgoing, Refusal, Sent};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::{Client, Response, StatusCode, header, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::Settings;

/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(5);

/// Twilio's REST API for one account.
pub(super) struct Rest {
    client: Client,
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
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(settings.limits.request)
            .build()
            .map_err(|error| format!("the HTTP client for Twilio: {error}"))?;
        let account = settings.account_sid.clone();
        let base = settings.base_url.trim_end_matches('/');
        let base = format!("{base}/2010-04-01/Accounts/{account}");
        Ok(Self { client, account, token: token.clone(), base })
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> reqwest::Result<Response> {
        self.client
            .post(format!("{}{path}", self.base))
            .basic_auth(&self.account, Some(self.token.expose_secret()))
            .form(form)
            .send()
            .await
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
        let response = match self.post("/Messages.json", &form).await {
            Ok(response) => response,
            Err(error) if error.is_connect() => {
                return Err(Refusal::Later { why: plain(&error), after: None });
            }
            Err(error) if error.is_builder() => {
                let code = "unsendable".into();
                return Err(Refusal::Never { code, why: plain(&error) });
            }
            // The request may have arrived.
            Err(error) => return Err(Refusal::Unknown { why: plain(&error) }),
        };
        let status = response.status();
        let after = retry_after(&response);
        let body = match response.bytes().await {
            Ok(body) => body,
            Err(error) if status.is_success() => {
                return Err(Refusal::Unknown { why: plain(&error) });
            }
            Err(_) => Default::default(),
        };
        let answer = serde_json::from_slice::<Answer>(&body).ok();
        if status.is_success() {
            return match answer {
                Some(answer) if !answer.sid.is_empty() => Ok(Sent { carrier_id: answer.sid }),
                _ => Err(Refusal::Unknown { why: "Twilio's answer cannot be read".into() }),
            };
        }
        Err(refusal(status, &answer.unwrap_or_default(), after))
    }

    /// Texts with these words and ends that Twilio has taken since, newest first. It lists by ends;
    /// it can also list by the day of sending, but what still waits there has none.
    pub(super) async fn taken(
        &self,
        text: &Outgoing,
        since: Timestamp,
    ) -> Result<Vec<Sent>, Refusal> {
        let ends = [("To", text.peer.as_str()), ("From", text.ours.as_str()), ("PageSize", "50")];
        let later = |why| Refusal::Later { why, after: None };
        let response = self
            .client
            .get(format!("{}/Messages.json", self.base))
            .basic_auth(&self.account, Some(self.token.expose_secret()))
            .query(&ends)
            .send()
            .await
            .map_err(|error| later(plain(&error)))?;
        let status = response.status();
        if !status.is_success() {
            let after = retry_after(&response);
            let body = response.bytes().await.unwrap_or_default();
            let answer = serde_json::from_slice::<Answer>(&body).unwrap_or_default();
            return Err(match refusal(status, &answer, after) {
                Refusal::Unknown { why } => later(why),
                other => other,
            });
        }
        let body = response.bytes().await.map_err(|error| later(plain(&error)))?;
        let page: Page = serde_json::from_slice(&body)
            .map_err(|error| later(format!("Twilio's list cannot be read: {error}")))?;
        // Its times have whole seconds.
        let since = since.as_second();
        let ours = page.messages.into_iter().filter(|listed| {
            listed.body.trim() == text.text.trim()
                && rfc2822::parse(&listed.date_created)
                    .is_ok_and(|at| at.timestamp().as_second() >= since)
        });
        Ok(ours.map(|listed| Sent { carrier_id: listed.sid }).collect())
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
        let response = self.post(&path, &[(name, value)]).await.map_err(|error| plain(&error))?;
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
        let code = answer.code.map_or_else(String::new, |code| format!(" ({code})"));
        Err(format!("Twilio answered {}{code}: {}", status.as_u16(), answer.message))
    }
}

/// An error without the address that it happened at.
fn plain(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() { "no answer in time".to_owned() } else { String::new() };
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    format!("Twilio: {text}")
}

/// The seconds that Twilio asks us to wait.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds =
        response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn refusal(status: StatusCode, answer: &Answer, after: Option<Duration>) -> Refusal {
    let why = if answer.message.is_empty() {
        format!("Twilio answered {}", status.as_u16())
    } else {
        answer.message.clone()
    };
    match answer.code {
        Some(21610) => Refusal::OptedOut { code: "21610".into() },
        Some(20429) => Refusal::Later { why, after },
        _ if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) => {
            Refusal::Later { why, after }
        }
        // It broke on the way, before or after Twilio took the text.
        _ if status.is_server_error() => Refusal::Unknown { why },
        code => {
            let code = code.map_or_else(|| status.as_u16().to_string(), |code| code.to_string());
            Refusal::Never { code, why }
        }
    }
}
