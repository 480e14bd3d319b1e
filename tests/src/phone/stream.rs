//! One media stream, from Twilio's side: sound in real time, marks and clears.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::call::Call;
use super::{Act, What};
use crate::double::elevenlabs::GHOST;
use crate::double::twilio::{ACCOUNT, Form};
use crate::sound::{FRAME, SILENCE, audible};

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What waits in Twilio's play buffer.
pub(super) enum Play {
    Sound(Vec<u8>),
    Mark(String),
}

/// How a stream ended.
pub(super) enum StreamEnd {
    /// The server closed it.
    Closed,
    /// The call was changed by REST.
    Update(Form),
    /// The caller hung up.
    HungUp,
}

/// One media stream, from Twilio's side.
pub(super) struct Stream {
    socket: Socket,
    id: String,
    sequence: u64,
    chunk: u64,
    sounding: Option<u64>,
    quiet_ms: u64,
}

impl Stream {
    pub(super) fn new(socket: Socket, id: String) -> Self {
        Self { socket, id, sequence: 0, chunk: 0, sounding: None, quiet_ms: 0 }
    }

    async fn send(&mut self, mut frame: Value) {
        self.sequence += 1;
        frame["sequenceNumber"] = json!(self.sequence.to_string());
        frame["streamSid"] = json!(self.id);
        // A server that is gone is noticed by reading.
        let _ = self.socket.send(Message::text(frame.to_string())).await;
    }

    pub(super) async fn run(
        mut self,
        call: &mut Call,
        parameters: &[(String, String)],
    ) -> StreamEnd {
        let hello = json!({ "event": "connected", "protocol": "Call", "version": "1.0.0" });
        let _ = self.socket.send(Message::text(hello.to_string())).await;
        let custom: serde_json::Map<String, Value> =
            parameters.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let start = json!({ "event": "start", "start": {
            "accountSid": ACCOUNT, "streamSid": self.id, "callSid": call.sid, "tracks": ["inbound"],
            "mediaFormat": { "encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1 },
            "customParameters": custom } });
        self.send(start).await;
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        let end = loop {
            tokio::select! {
                _ = tick.tick() => self.tick(call).await,
                message = self.socket.next() => match message {
                    Some(Ok(Message::Text(text))) => self.take(call, &text).await,
                    Some(Ok(Message::Binary(_))) => call.saw(What::Violation("a binary frame".into())),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => break StreamEnd::Closed,
                    Some(Ok(_)) => {}
                },
                Some(form) = call.updates.recv() => break StreamEnd::Update(form),
                Some(act) = call.acts.recv() => match act {
                    Act::Say(samples) => call.to_say.extend(crate::sound::mulaw(&samples)),
                    Act::Press(digit) => {
                        let dtmf = json!({ "track": "inbound_track", "digit": digit.to_string() });
                        self.send(json!({ "event": "dtmf", "dtmf": dtmf })).await;
                    }
                    Act::HangUp => break StreamEnd::HungUp,
                },
            }
        };
        self.became_silent(call);
        if !matches!(end, StreamEnd::Closed) {
            self.send(
                json!({ "event": "stop", "stop": { "accountSid": ACCOUNT, "callSid": call.sid } }),
            )
            .await;
        }
        let _ = self.socket.close(None).await;
        end
    }

    /// 20 ms pass: sound to the server, sound out of the buffer.
    async fn tick(&mut self, call: &mut Call) {
        let n = call.to_say.len().min(FRAME);
        let mut frame: Vec<u8> = call.to_say.drain(..n).collect();
        frame.resize(FRAME, SILENCE);
        self.chunk += 1;
        let media = json!({ "track": "inbound", "chunk": self.chunk.to_string(),
                            "timestamp": ((self.chunk - 1) * 20).to_string(), "payload": STANDARD.encode(&frame) });
        self.send(json!({ "event": "media", "media": media })).await;

        let mut played = Vec::with_capacity(FRAME);
        loop {
            match call.to_play.front_mut() {
                Some(Play::Mark(_)) => {
                    if let Some(Play::Mark(name)) = call.to_play.pop_front() {
                        self.echo(&name).await;
                    }
                }
                Some(Play::Sound(bytes)) if played.len() < FRAME => {
                    let n = bytes.len().min(FRAME - played.len());
                    played.extend(bytes.drain(..n));
                    if bytes.is_empty() {
                        call.to_play.pop_front();
                    }
                }
                _ => break,
            }
        }
        if played.iter().filter(|byte| **byte == GHOST).count() > FRAME / 4 {
            call.saw(What::Violation("sound of a turn that was cut".into()));
        }
        if !played.is_empty() && audible(&played) {
            self.quiet_ms = 0;
            call.heard.push(call.began.elapsed());
            if self.sounding.is_none() {
                call.saw(What::Sound);
            }
            *self.sounding.get_or_insert(0) += 20;
        } else {
            self.quiet_ms += 20;
            if self.quiet_ms >= 300 {
                self.became_silent(call);
            }
        }
    }

    fn became_silent(&mut self, call: &Call) {
        if let Some(ms) = self.sounding.take() {
            call.saw(What::Silence(ms));
        }
    }

    async fn echo(&mut self, name: &str) {
        self.send(json!({ "event": "mark", "mark": { "name": name } })).await;
    }

    /// A frame from the server.
    async fn take(&mut self, call: &mut Call, text: &str) {
        let frame: Value = serde_json::from_str(text).unwrap_or_default();
        if frame["streamSid"] != self.id.as_str() {
            call.saw(What::Violation(format!("31951: streamSid in {text}")));
        }
        match frame["event"].as_str() {
            Some("media") => {
                match STANDARD.decode(frame["media"]["payload"].as_str().unwrap_or("!")) {
                    Ok(bytes) if !bytes.is_empty() => call.to_play.push_back(Play::Sound(bytes)),
                    _ => call.saw(What::Violation(format!("31951: payload in {text}"))),
                }
            }
            Some("mark") => match frame["mark"]["name"].as_str() {
                Some(name) => {
                    call.saw(What::Mark(name.into()));
                    call.to_play.push_back(Play::Mark(name.into()));
                }
                None => call.saw(What::Violation(format!("31951: name in {text}"))),
            },
            Some("clear") => {
                let mut dropped = 0;
                for play in std::mem::take(&mut call.to_play) {
                    match play {
                        Play::Sound(bytes) => dropped += bytes.len() as u64 / 8,
                        Play::Mark(name) => self.echo(&name).await,
                    }
                }
                call.saw(What::Clear(dropped));
            }
            _ => call.saw(What::Violation(format!("31951: {text}"))),
        }
    }
}
