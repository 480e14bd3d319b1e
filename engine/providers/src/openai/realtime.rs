//! The model that hears and speaks (Realtime), over one WebSocket a call.
//!
//! The vendor's own turn detection is off: it is told when the caller's turn is over. Only one
//! answer is in the works at a time; what else is wanted waits for its end. What was not heard of
//! an answer is cut off the vendor's memory too, piece by piece (`conversation.item.truncate`).

use std::collections::VecDeque;

use agent::{Error, Item, ToolCall, Usage};
use async_trait::async_trait;
use audio::resample::Resampler;
use audio::{Frame, Rate};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use talk::{Brief, Conversing, Duplex, Tell, Told, TurnId};
use tokio_tungstenite::tungstenite::Message;

use self::event::{Event, read};
use super::{OpenAi, VENDOR};
use crate::converse::{self, Due, Wire};
use crate::dial;
use crate::pcm::{Samples, encode, is_mulaw, linear};

mod event;
#[cfg(test)]
mod tests;

/// What the models are called that hear and speak.
const OURS: &str = "gpt-realtime";

/// Writes down what the caller says.
const WRITER: &str = "gpt-4o-mini-transcribe";

/// The voices of these models, and the one of an agent that names none.
const VOICES: [&str; 10] =
    ["alloy", "ash", "ballad", "cedar", "coral", "echo", "marin", "sage", "shimmer", "verse"];
const DEFAULT_VOICE: &str = "marin";

/// What the id of a voice begins with that the account made.
const OWN_VOICE: &str = "voice_";

/// The only rate of 16-bit sound that the vendor takes and gives.
const RATE: Rate = 24_000;

/// The vendor refuses less sound than this as a question, milliseconds.
const LEAST: u64 = 100;

/// Whether a model hears and speaks.
pub(crate) fn converses(model: &str) -> bool {
    model.starts_with(OURS) && !model.contains("whisper")
}

#[async_trait]
impl Duplex for OpenAi {
    fn name(&self) -> &'static str {
        VENDOR
    }

    async fn open(&self, brief: Brief) -> Result<Conversing, Error> {
        let refused = |why| Error::Refused { vendor: VENDOR, why };
        let base = dial::address(&self.base).map_err(refused)?;
        let mut url = dial::path(&base, "/realtime");
        url.query_pairs_mut().append_pair("model", self.model_or(OURS));
        let key = format!("Bearer {}", self.key.expose_secret());
        let socket = dial::dial(VENDOR, &url, &[("authorization", &key)]).await?;
        converse::open(socket, Realtime::new(&brief)).await
    }
}

/// What is wanted of the model.
#[derive(Clone, Debug, PartialEq)]
enum Wanted {
    /// An answer, as this turn.
    Answer(TurnId),
    /// Just these words.
    Words(TurnId, String),
}

impl Wanted {
    fn turn(&self) -> TurnId {
        match self {
            Self::Answer(turn) | Self::Words(turn, _) => *turn,
        }
    }
}

/// What the model is at.
#[derive(Debug)]
struct Active {
    wanted: Wanted,
    cut: bool,
}

/// A piece of what was said in the turn.
#[derive(Debug)]
struct Spoken {
    item: String,
    samples: u64,
    /// It stands in the vendor's memory by its sound, or only as the text of these words.
    text_only: bool,
}

/// A conversation.
struct Realtime {
    rate: Rate,
    resampler: Option<Resampler>,
    samples: Samples,
    hello: Vec<Value>,
    ready: bool,
    /// How much of the caller's sound the vendor holds that was not asked about, milliseconds.
    open: u64,
    wanted: VecDeque<Wanted>,
    active: Option<Active>,
    /// Of which turn these pieces are.
    turn: TurnId,
    spoken: Vec<Spoken>,
    /// How often fixed words were spoken in it.
    says: usize,
    /// Questions by sound that have no name yet, and those that have one.
    asked: VecDeque<TurnId>,
    named: VecDeque<(String, TurnId)>,
}

fn text(value: &Value) -> Message {
    Message::text(value.to_string())
}

impl Realtime {
    fn new(brief: &Brief) -> Self {
        let rate = brief.voice.rate;
        let resampled = !is_mulaw(rate) && rate != RATE;
        let samples = if is_mulaw(rate) { Samples::new(rate) } else { Samples::linear(RATE) };
        let mut hello = vec![session(brief)];
        hello.extend(brief.items.iter().filter_map(remembered).flatten());
        Self {
            rate,
            resampler: resampled.then(|| Resampler::new(rate, RATE)),
            samples,
            hello,
            ready: false,
            open: 0,
            wanted: VecDeque::new(),
            active: None,
            turn: TurnId::default(),
            spoken: Vec::new(),
            says: 0,
            asked: VecDeque::new(),
            named: VecDeque::new(),
        }
    }

    /// Begins with what is wanted next, if nothing is in the works.
    fn begin(&mut self) -> Vec<Message> {
        if self.active.is_some() {
            return Vec::new();
        }
        let Some(wanted) = self.wanted.pop_front() else { return Vec::new() };
        if self.turn != wanted.turn() {
            self.turn = wanted.turn();
            self.spoken.clear();
            self.says = 0;
        }
        let create = match &wanted {
            Wanted::Answer(_) => json!({ "type": "response.create" }),
            // Beside the conversation: what was said before is nothing to it.
            Wanted::Words(_, words) => json!({ "type": "response.create", "response": {
                "conversation": "none", "input": [], "tools": [], "tool_choice": "none",
                "instructions": format!("Say exactly these words, and nothing else: {words}") } }),
        };
        self.active = Some(Active { wanted, cut: false });
        vec![text(&create)]
    }

    fn ask(&mut self, turn: TurnId, words: &str) -> Vec<Message> {
        let mut messages = Vec::new();
        if self.open >= LEAST {
            self.asked.push_back(turn);
            messages.push(text(&json!({ "type": "input_audio_buffer.commit" })));
        } else if self.open > 0 {
            messages.push(text(&json!({ "type": "input_audio_buffer.clear" })));
        }
        self.open = 0;
        if !words.is_empty() {
            messages.push(text(&item(&message("user", "input_text", words))));
        }
        self.wanted.push_back(Wanted::Answer(turn));
        messages.extend(self.begin());
        messages
    }

    /// The rest of a turn was never said.
    fn cut(&mut self, turn: TurnId, heard: u64) -> Vec<Message> {
        let mut messages = Vec::new();
        self.wanted.retain(|wanted| wanted.turn() != turn);
        if let Some(active) = self.active.as_mut().filter(|active| active.wanted.turn() == turn)
            && !std::mem::replace(&mut active.cut, true)
        {
            messages.push(text(&json!({ "type": "response.cancel" })));
        }
        if self.turn != turn {
            return messages;
        }
        let mut left = heard;
        for spoken in std::mem::take(&mut self.spoken) {
            let millis = spoken.samples * 1000 / u64::from(self.out_rate());
            if left >= millis {
                left -= millis;
                continue;
            }
            let cut = match (spoken.text_only, left) {
                (false, 1..) => json!({ "type": "conversation.item.truncate",
                    "item_id": spoken.item, "content_index": 0, "audio_end_ms": left }),
                (true, _) | (false, 0) => {
                    json!({ "type": "conversation.item.delete", "item_id": spoken.item })
                }
            };
            messages.push(text(&cut));
            left = 0;
        }
        messages
    }

    fn out_rate(&self) -> Rate {
        if is_mulaw(self.rate) { self.rate } else { RATE }
    }

    /// The turn of what the model is at, unless that was cut.
    fn live(&self) -> Option<&Wanted> {
        self.active.as_ref().filter(|active| !active.cut).map(|active| &active.wanted)
    }

    fn sounds(&mut self, item: String, delta: &str, due: &mut Due) -> Result<(), Error> {
        let Some(wanted) = self.live().cloned() else { return Ok(()) };
        let bytes = STANDARD.decode(delta).map_err(|error| unreadable(error.to_string()))?;
        let frame = self.samples.frame(&bytes);
        let (turn, name, text_only) = match &wanted {
            Wanted::Answer(turn) => (*turn, item, false),
            Wanted::Words(turn, _) => (*turn, said_name(*turn, self.says), true),
        };
        let samples = frame.samples.len() as u64;
        match self.spoken.last_mut().filter(|spoken| spoken.item == name) {
            Some(spoken) => spoken.samples += samples,
            None => self.spoken.push(Spoken { item: name, samples, text_only }),
        }
        if samples > 0 {
            due.push_back(Told::Sound(turn, frame));
        }
        Ok(())
    }

    /// The model is through with what it was at.
    fn done(&mut self, usage: Usage, due: &mut Due) -> Vec<Message> {
        let mut messages = Vec::new();
        match self.active.take() {
            Some(Active { wanted: Wanted::Answer(turn), cut: false }) => {
                due.push_back(Told::End(turn, usage));
            }
            Some(Active { wanted: Wanted::Words(turn, words), cut: false }) => {
                // The vendor shall remember what it said beside the conversation.
                let mut said = message("assistant", "output_text", &words);
                said["id"] = said_name(turn, self.says).into();
                self.says += 1;
                messages.push(text(&item(&said)));
                due.push_back(Told::Said(turn));
            }
            Some(Active { cut: true, .. }) | None => {}
        }
        messages.extend(self.begin());
        messages
    }

    /// Most errors are about one thing that was wanted, and the conversation goes on.
    fn complained(&self, error: &crate::http::Complaint) -> Result<(), Error> {
        let harmless = [
            "response_cancel_not_active",
            "input_audio_buffer_commit_empty",
            "conversation_already_has_active_response",
        ];
        if !self.ready {
            return Err(Error::Refused { vendor: VENDOR, why: error.words() });
        }
        if harmless.iter().any(|code| error.is(code)) || error.words().contains("item_") {
            tracing::debug!(vendor = VENDOR, why = error.words(), "it complains");
            return Ok(());
        }
        Err(error.error(VENDOR))
    }
}

impl Wire for Realtime {
    const VENDOR: &'static str = VENDOR;

    fn hello(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.hello).iter().map(text).collect()
    }

    fn is_ready(&self) -> bool {
        self.ready
    }

    fn sound(&mut self, frames: &[Frame]) -> Vec<Message> {
        let mut bytes = Vec::new();
        for frame in frames {
            self.open += frame.millis();
            match &mut self.resampler {
                Some(resampler) => bytes.extend(linear(&resampler.process(&frame.samples))),
                None => bytes.extend(encode(frame, self.rate)),
            }
        }
        if bytes.is_empty() {
            return Vec::new();
        }
        let audio = STANDARD.encode(bytes);
        vec![text(&json!({ "type": "input_audio_buffer.append", "audio": audio }))]
    }

    fn tell(&mut self, tell: Tell) -> Vec<Message> {
        match tell {
            Tell::Voice => Vec::new(),
            Tell::Frame(frame) => self.sound(&[frame]),
            Tell::Noise => {
                self.open = 0;
                vec![text(&json!({ "type": "input_audio_buffer.clear" }))]
            }
            Tell::Ask { turn, words } => self.ask(turn, &words),
            Tell::Say { turn, words } => {
                self.wanted.push_back(Wanted::Words(turn, words));
                self.begin()
            }
            Tell::Result { call, text: output } => {
                let output =
                    json!({ "type": "function_call_output", "call_id": call, "output": output });
                vec![text(&item(&output))]
            }
            Tell::Cut { turn, heard } => self.cut(turn, heard),
        }
    }

    fn read(&mut self, message: &str, due: &mut Due) -> Result<Vec<Message>, Error> {
        match read(message).map_err(unreadable)? {
            Event::Updated => self.ready = true,
            Event::Committed { item_id } => {
                if let Some(turn) = self.asked.pop_front() {
                    self.named.push_back((item_id, turn));
                }
                if self.named.len() > 16 {
                    self.named.pop_front();
                }
            }
            Event::Written { item_id, transcript } => {
                if let Some(at) = self.named.iter().position(|(item, _)| *item == item_id)
                    && let Some((_, turn)) = self.named.remove(at)
                {
                    due.push_back(Told::Heard(turn, transcript));
                }
            }
            Event::Sound { item_id, delta } => self.sounds(item_id, &delta, due)?,
            Event::Words { delta } => {
                if let Some(Wanted::Answer(turn)) = self.live() {
                    due.push_back(Told::Text(*turn, delta));
                }
            }
            Event::Call { call_id, name, arguments } => {
                if let Some(Wanted::Answer(turn)) = self.live() {
                    let arguments =
                        if arguments.trim().is_empty() { "{}".into() } else { arguments };
                    let call = ToolCall { id: call_id, name, arguments };
                    due.push_back(Told::Call(*turn, call));
                }
            }
            Event::Done { usage } => return Ok(self.done(usage, due)),
            Event::Failed { error } => return Err(error.error(VENDOR)),
            Event::Error { error } => self.complained(&error)?,
            Event::Other => {}
        }
        Ok(Vec::new())
    }
}

fn unreadable(why: String) -> Error {
    Error::Unreadable { vendor: VENDOR, why }
}

/// A name of ours for fixed words in the vendor's memory.
fn said_name(turn: TurnId, before: usize) -> String {
    format!("said_{}_{before}", turn.0)
}

fn item(item: &Value) -> Value {
    json!({ "type": "conversation.item.create", "item": item })
}

fn message(role: &str, kind: &str, words: &str) -> Value {
    json!({ "type": "message", "role": role, "content": [{ "type": kind, "text": words }] })
}

/// How the vendor remembers what was said before; what the agent is told is no part of it.
fn remembered(told: &Item) -> Option<Vec<Value>> {
    let items = match told {
        Item::System { .. } => return None,
        Item::User { text } => vec![item(&message("user", "input_text", text))],
        Item::Assistant { text, calls } => {
            let words =
                (!text.trim().is_empty()).then(|| item(&message("assistant", "output_text", text)));
            let calls = calls.iter().map(|call| {
                item(&json!({ "type": "function_call", "call_id": call.id, "name": call.name,
                              "arguments": call.arguments }))
            });
            words.into_iter().chain(calls).collect()
        }
        Item::Tool { call_id, text } => vec![item(
            &json!({ "type": "function_call_output", "call_id": call_id, "output": text }),
        )],
    };
    Some(items)
}

fn session(brief: &Brief) -> Value {
    let told: Vec<&str> = brief
        .items
        .iter()
        .filter_map(|item| match item {
            Item::System { text } => Some(text.as_str()),
            Item::User { .. } | Item::Assistant { .. } | Item::Tool { .. } => None,
        })
        .collect();
    let format = if is_mulaw(brief.voice.rate) {
        json!({ "type": "audio/pcmu" })
    } else {
        json!({ "type": "audio/pcm", "rate": RATE })
    };
    let voice = match brief.voice.id.as_str() {
        id if id.starts_with(OWN_VOICE) => json!({ "id": id }),
        id if VOICES.contains(&id) => id.into(),
        _ => DEFAULT_VOICE.into(),
    };
    let mut transcription = json!({ "model": WRITER });
    // The vendor wants the language alone, without its region.
    let language = brief.voice.language.split(['-', '_']).next().unwrap_or_default();
    if !language.is_empty() {
        transcription["language"] = language.to_ascii_lowercase().into();
    }
    let tools = brief.tools.iter().map(|tool| {
        json!({ "type": "function", "name": tool.name, "description": tool.description,
                "parameters": tool.parameters })
    });
    json!({ "type": "session.update", "session": {
        "type": "realtime",
        "instructions": told.join("\n\n"),
        "output_modalities": ["audio"],
        "audio": {
            "input": { "format": format, "transcription": transcription, "turn_detection": null },
            "output": { "format": format, "voice": voice },
        },
        "tools": tools.collect::<Vec<_>>(),
        "tool_choice": "auto",
    } })
}
