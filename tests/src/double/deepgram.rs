//! Deepgram live: binary sound in, `Results` out.
//!
//! It hears by loudness: sound after silence begins an utterance, whose words are the next of the
//! test's script; silence of `endpointing` milliseconds ends it. Time is counted in sound
//! received, as the vendor does.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::{Door, Fault, KEY, Switch};
use crate::record::Record;
use crate::sound;

type Options = Vec<(String, String)>;

struct Inner {
    script: Mutex<VecDeque<String>>,
    opened: Record<Options>,
    told: Record<Value>,
    utterances: Record<String>,
    violations: Record<String>,
    fault: Switch,
}

/// The double.
pub struct Deepgram {
    door: Door,
    inner: Arc<Inner>,
}

impl Deepgram {
    /// Opens, with the words of the utterances to come.
    pub async fn open(script: &[&str]) -> Self {
        let inner = Arc::new(Inner {
            script: Mutex::new(script.iter().map(ToString::to_string).collect()),
            opened: Record::default(),
            told: Record::default(),
            utterances: Record::default(),
            violations: Record::default(),
            fault: Switch::default(),
        });
        let router = Router::new().route("/v1/listen", get(listen)).with_state(Arc::clone(&inner));
        Self { door: Door::open(router).await, inner }
    }

    /// For `DEEPGRAM_BASE_URL`.
    pub fn base(&self) -> String {
        format!("http://{}", self.door.at)
    }

    /// The options of every stream that was opened.
    pub fn opened(&self) -> &Record<Options> {
        &self.inner.opened
    }

    /// The text messages that it was told.
    pub fn told(&self) -> &Record<Value> {
        &self.inner.told
    }

    /// The words of every utterance that was ended.
    pub fn utterances(&self) -> &Record<String> {
        &self.inner.utterances
    }

    /// What the vendor would have refused.
    pub fn violations(&self) -> Vec<String> {
        self.inner.violations.all()
    }

    /// The words of one utterance more.
    pub fn will_hear(&self, words: &str) {
        self.inner.script.lock().unwrap().push_back(words.into());
    }

    /// Fails like this from now on.
    pub fn fail(&self, fault: Fault) {
        self.inner.fault.set(fault);
    }
}

async fn listen(
    State(inner): State<Arc<Inner>>,
    Query(options): Query<Options>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let refuse = |status: StatusCode, code: &str, message: &str| {
        let body = json!({ "err_code": code, "err_msg": message, "request_id": "r1" }).to_string();
        (status, [("dg-request-id", "r1"), ("dg-error", message)], body).into_response()
    };
    let sent =
        headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if inner.fault.get() == Fault::Refuse
        || (sent != format!("Token {KEY}") && sent != format!("Bearer {KEY}"))
    {
        return refuse(StatusCode::UNAUTHORIZED, "INVALID_AUTH", "Invalid credentials.");
    }
    match Ear::open(&options) {
        Ok(ear) => {
            inner.opened.push(options);
            upgrade.on_upgrade(move |socket| serve(inner, socket, ear))
        }
        Err(why) => {
            inner.violations.push(why.clone());
            refuse(StatusCode::BAD_REQUEST, "Bad Request", &why)
        }
    }
}

async fn serve(inner: Arc<Inner>, mut socket: WebSocket, mut ear: Ear) {
    let mut heard_something = false;
    loop {
        // The vendor closes a stream that is silent on the wire for ten seconds.
        let message = match tokio::time::timeout(Duration::from_secs(10), socket.recv()).await {
            Ok(Some(Ok(message))) => message,
            Ok(_) => return,
            Err(_) => return close(&mut socket, 1011, "NET-0001").await,
        };
        let fault = inner.fault.get();
        let answers = match message {
            _ if fault == Fault::Stall => continue,
            Message::Binary(bytes) if bytes.is_empty() => {
                return close(&mut socket, 1000, "").await;
            }
            Message::Binary(bytes) => {
                if bytes.starts_with(b"{\"type\"") || bytes.starts_with(b"RIFF") {
                    inner.violations.push("text or a header in a sound frame".into());
                }
                let answers = ear
                    .hear(&bytes, || inner.script.lock().unwrap().pop_front().unwrap_or_default());
                heard_something |= ear.speaking;
                answers
            }
            Message::Text(text) => {
                let told: Value = serde_json::from_str(&text).unwrap_or_default();
                inner.told.push(told.clone());
                match told["type"].as_str() {
                    Some("KeepAlive" | "Configure") => Vec::new(),
                    Some("Finalize") => vec![ear.finalize()],
                    Some("CloseStream") => {
                        let last = [ear.finalize(), ear.metadata()];
                        for answer in last {
                            let _ = socket.send(Message::text(answer.to_string())).await;
                        }
                        return close(&mut socket, 1000, "").await;
                    }
                    _ => {
                        inner.violations.push(format!("told {text}"));
                        Vec::new()
                    }
                }
            }
            Message::Close(_) => return,
            Message::Ping(_) | Message::Pong(_) => continue,
        };
        if fault == Fault::Drop && heard_something {
            return; // Without a word of goodbye.
        }
        for answer in answers {
            if answer["speech_final"] == true {
                inner.utterances.push(ear.last.clone());
            }
            let text = if fault == Fault::Rubbish {
                "{\"type\":\"Results\",".into()
            } else {
                answer.to_string()
            };
            if socket.send(Message::text(text)).await.is_err() {
                return;
            }
        }
    }
}

async fn close(socket: &mut WebSocket, code: u16, reason: &str) {
    let frame = CloseFrame { code, reason: reason.to_owned().into() };
    let _ = socket.send(Message::Close(Some(frame))).await;
}

/// One stream's hearing.
struct Ear {
    mulaw: bool,
    rate: usize,
    interim: bool,
    vad_events: bool,
    endpointing_ms: usize,
    utterance_end_ms: Option<usize>,
    carry: Vec<u8>,
    now_ms: usize,
    voice_ms: usize,
    quiet_ms: usize,
    speaking: bool,
    interim_sent: bool,
    began_ms: usize,
    words: String,
    last: String,
    utterance_end_due: Option<usize>,
}

impl Ear {
    fn open(options: &Options) -> Result<Self, String> {
        let get =
            |name: &str| options.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let yes = |name: &str| match get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(format!("{name} is {other}")),
        };
        let mulaw = match get("encoding") {
            Some("mulaw") => true,
            Some("linear16") => false,
            other => return Err(format!("encoding is {other:?}")),
        };
        let rate = get("sample_rate").and_then(|rate| rate.parse().ok()).ok_or("no sample_rate")?;
        let interim = yes("interim_results")?;
        let utterance_end_ms = get("utterance_end_ms").and_then(|ms| ms.parse().ok());
        if utterance_end_ms.is_some_and(|ms: usize| ms < 1000)
            || (utterance_end_ms.is_some() && !interim)
        {
            return Err("utterance_end_ms needs interim_results and at least 1000".into());
        }
        let endpointing_ms = match get("endpointing") {
            None => 10,
            Some("false") => usize::MAX,
            Some(ms) => ms.parse().map_err(|_| format!("endpointing is {ms}"))?,
        };
        if get("model").is_none_or(|model| !model.starts_with("nova-")) {
            return Err(format!("no such model/language/tier combination: {:?}", get("model")));
        }
        Ok(Self {
            mulaw,
            rate,
            interim,
            vad_events: yes("vad_events")?,
            endpointing_ms,
            utterance_end_ms,
            carry: Vec::new(),
            now_ms: 0,
            voice_ms: 0,
            quiet_ms: 0,
            speaking: false,
            interim_sent: false,
            began_ms: 0,
            words: String::new(),
            last: String::new(),
            utterance_end_due: None,
        })
    }

    /// Takes sound, 20 ms at a time, and returns what there is to say about it.
    fn hear(&mut self, bytes: &[u8], next_words: impl Fn() -> String) -> Vec<Value> {
        self.carry.extend_from_slice(bytes);
        let size = self.rate / 50 * if self.mulaw { 1 } else { 2 };
        let mut answers = Vec::new();
        while self.carry.len() >= size {
            let frame: Vec<u8> = self.carry.drain(..size).collect();
            let loud = if self.mulaw {
                sound::audible(&frame)
            } else {
                sound::loudness(
                    frame.as_chunks::<2>().0.iter().map(|pair| i16::from_le_bytes(*pair)),
                ) > 300.0
            };
            self.now_ms += 20;
            self.step(loud, &next_words, &mut answers);
        }
        answers
    }

    fn step(&mut self, loud: bool, next_words: &impl Fn() -> String, answers: &mut Vec<Value>) {
        if loud {
            self.voice_ms += 20;
            self.quiet_ms = 0;
            if !self.speaking && self.voice_ms >= 60 {
                self.speaking = true;
                self.interim_sent = false;
                self.began_ms = self.now_ms - 60;
                self.words = next_words();
                self.utterance_end_due = None;
                if self.vad_events {
                    let at = self.began_ms as f64 / 1000.0;
                    answers.push(
                        json!({ "type": "SpeechStarted", "channel": [0, 1], "timestamp": at }),
                    );
                }
            }
            if self.speaking && self.interim && !self.interim_sent && self.voice_ms >= 300 {
                self.interim_sent = true;
                let half = self.words.split_inclusive(' ').take(2).collect::<String>();
                answers.push(self.results(half.trim(), false, false, false));
            }
            return;
        }
        self.voice_ms = 0;
        self.quiet_ms += 20;
        if self.speaking && self.quiet_ms >= self.endpointing_ms.max(20) {
            self.speaking = false;
            let words = std::mem::take(&mut self.words);
            answers.push(self.results(&words, true, true, false));
            if !words.is_empty() {
                self.last = words;
            }
            self.utterance_end_due = self.utterance_end_ms.map(|ms| self.now_ms + ms);
        }
        if self.utterance_end_due.is_some_and(|due| due <= self.now_ms) {
            self.utterance_end_due = None;
            let at = self.now_ms as f64 / 1000.0;
            answers.push(json!({ "type": "UtteranceEnd", "channel": [0, 1], "last_word_end": at }));
        }
    }

    /// What is left, fixed now. The end of the utterance comes later all the same, with no words.
    fn finalize(&mut self) -> Value {
        let words = std::mem::take(&mut self.words);
        if !words.is_empty() {
            self.last.clone_from(&words);
        }
        self.results(&words, true, false, true)
    }

    fn metadata(&self) -> Value {
        json!({ "type": "Metadata", "transaction_key": "deprecated", "request_id": "r1", "sha256": "0",
                "created": "2026-01-01T00:00:00.000Z", "duration": self.now_ms as f64 / 1000.0, "channels": 1 })
    }

    fn results(
        &self,
        words: &str,
        is_final: bool,
        speech_final: bool,
        from_finalize: bool,
    ) -> Value {
        let start = self.began_ms as f64 / 1000.0;
        let duration = self.now_ms.saturating_sub(self.began_ms) as f64 / 1000.0;
        let each: Vec<&str> = words.split_whitespace().collect();
        let length = duration / each.len().max(1) as f64;
        let timed: Vec<Value> = each
            .iter()
            .enumerate()
            .map(|(i, word)| {
                let from = start + length * i as f64;
                json!({ "word": word.to_lowercase(), "punctuated_word": word, "start": from,
                        "end": from + length, "confidence": 0.98 })
            })
            .collect();
        json!({ "type": "Results", "channel_index": [0, 1], "duration": duration, "start": start,
                "is_final": is_final, "speech_final": speech_final, "from_finalize": from_finalize,
                "channel": { "alternatives": [{ "transcript": words, "confidence": 0.98, "words": timed }] },
                "metadata": { "request_id": "r1", "model_uuid": "m1",
                              "model_info": { "name": "general-nova-3", "version": "1", "arch": "nova-3" } } })
    }
}
