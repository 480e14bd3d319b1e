//! Twilio's side of a call that comes in: the signed webhook, its answer, the media stream.

use std::net::SocketAddr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha1::Sha1;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// What the server is told to be known as: signatures are made over it.
pub(super) const PUBLIC: &str = "https://bench.example.com";
/// The account that calls come from.
pub(super) const ACCOUNT: &str = "ACbench";
/// Signs its webhooks.
pub(super) const TOKEN: &str = "bench-token";

/// A stream's messages are small.
const BUFFER: usize = 4 * 1024;

/// A media stream, from the carrier's side.
pub(super) type Socket = WebSocketStream<TcpStream>;

/// Rings. Gives the token of the media stream; `None` = the call is refused, politely.
///
/// # Errors
/// The server does not answer, or not as a carrier can read.
pub(super) async fn ring(
    http: &reqwest::Client,
    server: SocketAddr,
    from: &str,
    call: &str,
) -> Result<Option<String>, String> {
    let path = "/twilio/voice";
    let form = [
        ("AccountSid", ACCOUNT),
        ("ApiVersion", "2010-04-01"),
        ("CallSid", call),
        ("CallStatus", "ringing"),
        ("Direction", "inbound"),
        ("From", from),
        ("To", crate::bench::OURS),
    ];
    let answer = http
        .post(format!("http://{server}{path}"))
        .header("X-Twilio-Signature", signature(&format!("{PUBLIC}{path}"), &form))
        .form(&form)
        .send()
        .await
        .map_err(|error| format!("the webhook: {}", error.without_url()))?;
    let status = answer.status();
    let document = answer.text().await.map_err(|error| error.without_url().to_string())?;
    if !status.is_success() {
        return Err(format!("the webhook was answered {status}: {document}"));
    }
    let token = document.split_once("name=\"token\" value=\"");
    let token = token.and_then(|(_, rest)| rest.split_once('"')).map(|(token, _)| token.to_owned());
    if token.is_none() && !document.contains("<Hangup") {
        return Err(format!("neither a stream nor a refusal: {document}"));
    }
    Ok(token)
}

/// Names in order, each followed by its value, behind the address.
fn signature(url: &str, sorted_form: &[(&str, &str)]) -> String {
    let mut text = url.to_owned();
    sorted_form.iter().for_each(|(name, value)| text.extend([*name, *value]));
    let mut mac = <Hmac<Sha1> as KeyInit>::new_from_slice(TOKEN.as_bytes())
        .expect("HMAC takes keys of every length");
    mac.update(text.as_bytes());
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

/// Opens a media stream.
///
/// # Errors
/// The server does not take it.
pub(super) async fn connect(server: SocketAddr) -> Result<Socket, String> {
    let failed = |what: String| format!("the media stream: {what}");
    let tcp = TcpStream::connect(server).await.map_err(|error| failed(error.to_string()))?;
    tcp.set_nodelay(true).map_err(|error| failed(error.to_string()))?;
    let request = format!("ws://{server}/twilio/media").into_client_request();
    let mut request = request.map_err(|error| failed(error.to_string()))?;
    let signed = signature("wss://bench.example.com/twilio/media", &[]);
    let signed = signed.parse().expect("base64 fits into a header");
    request.headers_mut().insert("x-twilio-signature", signed);
    let config = WebSocketConfig::default().read_buffer_size(BUFFER).write_buffer_size(0);
    tokio_tungstenite::client_async_with_config(request, tcp, Some(config))
        .await
        .map(|(socket, _)| socket)
        .map_err(|error| failed(error.to_string()))
}

/// What a carrier is told.
#[derive(Deserialize)]
pub(super) struct Message<'a> {
    pub(super) event: &'a str,
    #[serde(borrow)]
    pub(super) media: Option<Media<'a>>,
    pub(super) mark: Option<Mark>,
}

/// Sound.
#[derive(Deserialize)]
pub(super) struct Media<'a> {
    payload: &'a str,
}

impl Media<'_> {
    /// How many bytes, each an eighth of a millisecond.
    pub(super) fn bytes(&self) -> u64 {
        let padding = self.payload.bytes().rev().take_while(|byte| *byte == b'=').count();
        ((self.payload.len() / 4 * 3).saturating_sub(padding)) as u64
    }
}

/// A mark.
#[derive(Deserialize)]
pub(super) struct Mark {
    pub(super) name: String,
}

/// Writes a call's messages.
pub(super) struct Writer {
    stream: String,
    call: String,
    sequence: u64,
    chunk: u64,
}

impl Writer {
    pub(super) fn new(call: &str) -> Self {
        let stream = format!("MZ{}", uuid::Uuid::now_v7().simple());
        Self { stream, call: call.into(), sequence: 0, chunk: 0 }
    }

    pub(super) fn connected() -> String {
        r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#.into()
    }

    pub(super) fn start(&mut self, token: &str) -> String {
        let (stream, call) = (&self.stream, &self.call);
        self.sequence += 1;
        format!(
            r#"{{"event":"start","sequenceNumber":"{}","streamSid":"{stream}","start":{{"accountSid":"{ACCOUNT}","streamSid":"{stream}","callSid":"{call}","tracks":["inbound"],"mediaFormat":{{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1}},"customParameters":{{"token":"{token}"}}}}}}"#,
            self.sequence
        )
    }

    /// The next 20 ms.
    pub(super) fn media(&mut self, payload: &str) -> String {
        let at = self.chunk * 20;
        self.chunk += 1;
        self.sequence += 1;
        format!(
            r#"{{"event":"media","sequenceNumber":"{}","streamSid":"{}","media":{{"track":"inbound","chunk":"{}","timestamp":"{at}","payload":"{payload}"}}}}"#,
            self.sequence, self.stream, self.chunk
        )
    }

    pub(super) fn mark(&mut self, name: &str) -> String {
        self.sequence += 1;
        format!(
            r#"{{"event":"mark","sequenceNumber":"{}","streamSid":"{}","mark":{{"name":"{name}"}}}}"#,
            self.sequence, self.stream
        )
    }

    pub(super) fn stop(&mut self) -> String {
        self.sequence += 1;
        format!(
            r#"{{"event":"stop","sequenceNumber":"{}","streamSid":"{}","stop":{{"accountSid":"{ACCOUNT}","callSid":"{}"}}}}"#,
            self.sequence, self.stream, self.call
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sound_is_as_long_as_its_bytes() {
        for (bytes, payload) in [(1, "/w=="), (2, "//8="), (3, "////"), (0, "")] {
            let text = format!(
                r#"{{"event":"media","streamSid":"MZ1","media":{{"payload":"{payload}"}}}}"#
            );
            let message: Message<'_> = serde_json::from_str(&text).unwrap();
            assert_eq!(message.media.unwrap().bytes(), bytes, "{payload}");
        }
    }
}
