//! The model that hears and speaks (Live), over one WebSocket a call.
//!
//! The vendor's own turn detection is off: it is told where the caller's speech begins and ends. It
//! cannot be told to stop or to forget; the caller's next speech interrupts it, and what still
//! comes of the turn before, up to its `turnComplete`, is dropped. What was said before is told
//! with its instructions.

use agent::{Error, Item, ToolCall, Usage};
use async_trait::async_trait;
use audio::{Frame, Rate};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};
use talk::{Brief, Conversing, Duplex, Tell, Told, TurnId};
use tokio_tungstenite::tungstenite::Message;

use super::{Gemini, VENDOR};
use crate::converse::{self, Due, Wire};
use crate::dial;
use crate::pcm::{Samples, linear};

#[cfg(test)]
mod tests;

/// Where it is, behind the vendor's address.
const PATH: &str = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent";

/// The voice of an agent that names none.
const DEFAULT_VOICE: &str = "Kore";

/// The rate of its sound, where a message does not say.
const RATE: Rate = 24_000;

/// Told when nobody spoke, and the model shall.
const YOUR_TURN: &str = "(Nobody speaks. It is your turn to speak.)";

/// Whether a model hears and speaks.
pub(crate) fn converses(model: &str) -> bool {
    model.contains("-live") || model.contains("native-audio")
}

#[async_trait]
impl Duplex for Gemini {
    fn name(&self) -> &'static str {
        VENDOR
    }

    async fn open(&self, brief: Brief) -> Result<Conversing, Error> {
        let refused = |why| Error::Refused { vendor: VENDOR, why };
        let url = dial::path(&dial::address(&self.base).map_err(refused)?, PATH);
        let headers = [("x-goog-api-key", self.key.expose_secret())];
        let socket = dial::dial(VENDOR, &url, &headers).await?;
        converse::open(socket, Live::new(&self.model, &brief)).await
    }
}

/// What the model is at.
#[derive(Clone, Debug, PartialEq)]
struct Active {
    turn: TurnId,
    /// It was told to say fixed words.
    fixed: bool,
    /// What the caller said before, as it is written down.
    heard: String,
}

/// A conversation.
struct Live {
    setup: Value,
    ready: bool,
    /// The vendor was told that the caller speaks.
    open: bool,
    active: Option<Active>,
    /// So many turns were cut whose end has not come.
    stale: usize,
    /// Calls that wait for results, by id and name.
    calls: Vec<(String, String)>,
    /// Results were told: the model goes on by itself.
    going_on: bool,
    /// The vendor will close the connection soon.
    leaving: bool,
    samples: Samples,
    usage: Usage,
}

fn text(value: &Value) -> Message {
    Message::text(value.to_string())
}

impl Live {
    fn new(model: &str, brief: &Brief) -> Self {
        Self {
            setup: setup(model, brief),
            ready: false,
            open: false,
            active: None,
            stale: 0,
            calls: Vec::new(),
            going_on: false,
            leaving: false,
            samples: Samples::linear(RATE),
            usage: Usage::default(),
        }
    }

    fn ask(&mut self, turn: TurnId, words: &str) -> Vec<Message> {
        let mut messages = Vec::new();
        let going_on = std::mem::take(&mut self.going_on);
        self.active = Some(Active { turn, fixed: false, heard: String::new() });
        if !words.is_empty() {
            messages.push(realtime(&json!({ "text": words })));
        }
        if std::mem::take(&mut self.open) {
            messages.push(realtime(&json!({ "activityEnd": {} })));
        } else if words.is_empty() && !going_on {
            messages.push(realtime(&json!({ "text": YOUR_TURN })));
        }
        messages
    }

    fn cut(&mut self, turn: TurnId) {
        if self.active.take_if(|active| active.turn == turn).is_some() {
            self.stale += 1;
            self.going_on = false;
        }
    }

    /// What the model is at, unless what comes now is of a turn that was cut.
    fn live(&mut self) -> Option<&mut Active> {
        if self.stale > 0 { None } else { self.active.as_mut() }
    }

    fn content(&mut self, content: Content, due: &mut Due) -> Result<(), Error> {
        if let Some(said) = content.input_transcription
            && let Some(active) = self.active.as_mut()
        {
            active.heard.push_str(&said.text);
        }
        for part in content.model_turn.into_iter().flat_map(|turn| turn.parts) {
            let Some(data) = part.inline_data else { continue };
            let bytes =
                STANDARD.decode(&data.data).map_err(|error| unreadable(error.to_string()))?;
            if let Some(rate) = data.rate().filter(|rate| *rate != self.samples.rate()) {
                self.samples = Samples::linear(rate);
            }
            let frame = self.samples.frame(&bytes);
            if let Some(turn) = self.live().map(|active| active.turn)
                && !frame.samples.is_empty()
            {
                due.push_back(Told::Sound(turn, frame));
            }
        }
        if let Some(said) = content.output_transcription.filter(|said| !said.text.is_empty())
            && let Some(active) = self.live().filter(|active| !active.fixed)
        {
            due.push_back(Told::Text(active.turn, said.text));
        }
        if content.turn_complete {
            self.complete(due);
        }
        Ok(())
    }

    /// A turn of the model is complete.
    fn complete(&mut self, due: &mut Due) {
        if self.stale > 0 {
            self.stale -= 1;
            return;
        }
        let Some(Active { turn, fixed, heard }) = self.active.take() else { return };
        if !heard.trim().is_empty() {
            due.push_back(Told::Heard(turn, heard));
        }
        let usage = std::mem::take(&mut self.usage);
        due.push_back(if fixed { Told::Said(turn) } else { Told::End(turn, usage) });
    }

    fn call(&mut self, calls: Vec<Call>, due: &mut Due) {
        let Some(active) = self.live() else { return };
        let Active { turn, heard, .. } = active.clone();
        if !heard.trim().is_empty() {
            due.push_back(Told::Heard(turn, heard));
        }
        for Call { id, name, args } in calls {
            let arguments = if args.is_null() { "{}".into() } else { args.to_string() };
            self.calls.push((id.clone(), name.clone()));
            due.push_back(Told::Call(turn, ToolCall { id, name, arguments }));
        }
        // It waits for the results, which is an end to everybody else.
        self.active = None;
        due.push_back(Told::End(turn, std::mem::take(&mut self.usage)));
    }
}

impl Wire for Live {
    const VENDOR: &'static str = VENDOR;

    fn hello(&mut self) -> Vec<Message> {
        vec![text(&self.setup)]
    }

    fn is_ready(&self) -> bool {
        self.ready
    }

    fn sound(&mut self, frames: &[Frame]) -> Vec<Message> {
        let Some(rate) = frames.first().map(|frame| frame.rate) else { return Vec::new() };
        let bytes = frames.iter().map(|frame| linear(&frame.samples)).collect::<Vec<_>>().concat();
        let mime = format!("audio/pcm;rate={rate}");
        vec![realtime(&json!({ "audio": { "data": STANDARD.encode(bytes), "mimeType": mime } }))]
    }

    fn tell(&mut self, tell: Tell) -> Vec<Message> {
        match tell {
            // A noise before cannot be taken back: it is the beginning of what follows.
            Tell::Voice if self.open => Vec::new(),
            Tell::Voice => {
                self.open = true;
                vec![realtime(&json!({ "activityStart": {} }))]
            }
            Tell::Frame(frame) => self.sound(&[frame]),
            Tell::Noise => Vec::new(),
            Tell::Ask { turn, words } => self.ask(turn, &words),
            Tell::Say { turn, words } => {
                self.active = Some(Active { turn, fixed: true, heard: String::new() });
                let words = format!("(Say exactly these words now, and nothing else: {words})");
                vec![realtime(&json!({ "text": words }))]
            }
            Tell::Result { call, text: output } => {
                let Some(at) = self.calls.iter().position(|(id, _)| *id == call) else {
                    return Vec::new();
                };
                let (id, name) = self.calls.remove(at);
                self.going_on = true;
                // The vendor wants an object.
                let response = match serde_json::from_str(&output) {
                    Ok(Value::Object(object)) => Value::Object(object),
                    _ => json!({ "output": output }),
                };
                vec![text(&json!({ "toolResponse": { "functionResponses": [
                    { "id": id, "name": name, "response": response }] } }))]
            }
            Tell::Cut { turn, .. } => {
                self.cut(turn);
                Vec::new()
            }
        }
    }

    fn read(&mut self, message: &str, due: &mut Due) -> Result<Vec<Message>, Error> {
        let said: Said =
            serde_json::from_str(message).map_err(|error| unreadable(error.to_string()))?;
        self.ready |= said.setup_complete.is_some();
        self.leaving |= said.go_away.is_some();
        if let Some(tokens) = said.usage_metadata {
            self.usage =
                Usage { input: tokens.prompt_token_count, output: tokens.response_token_count };
        }
        if let Some(content) = said.server_content {
            self.content(content, due)?;
        }
        if let Some(calls) = said.tool_call {
            self.call(calls.function_calls, due);
        }
        for id in said.tool_call_cancellation.into_iter().flat_map(|gone| gone.ids) {
            // A late result would only confuse it.
            self.calls.retain(|(call, _)| *call != id);
        }
        if self.leaving && self.active.is_none() && self.calls.is_empty() && !self.open {
            let why = "it ends the connection, as it does every few minutes".into();
            return Err(Error::Unreachable { vendor: VENDOR, why });
        }
        Ok(Vec::new())
    }
}

fn realtime(input: &Value) -> Message {
    text(&json!({ "realtimeInput": input }))
}

fn unreadable(why: String) -> Error {
    Error::Unreadable { vendor: VENDOR, why }
}

/// What the model is told, with what was said before as its end.
fn instructions(items: &[Item]) -> String {
    let mut told: Vec<String> = Vec::new();
    let mut said: Vec<String> = Vec::new();
    for item in items {
        match item {
            Item::System { text } => told.push(text.clone()),
            Item::User { text } => said.push(format!("Caller: {text}")),
            Item::Assistant { text, calls } => {
                if !text.trim().is_empty() {
                    said.push(format!("You: {text}"));
                }
                let calls = calls.iter();
                said.extend(calls.map(|call| format!("You took {} {}", call.name, call.arguments)));
            }
            Item::Tool { text, .. } => said.push(format!("It answered {text}")),
        }
    }
    if !said.is_empty() {
        told.push(format!("The talk so far; go on from there:\n{}", said.join("\n")));
    }
    told.join("\n\n")
}

fn setup(model: &str, brief: &Brief) -> Value {
    let voice = if brief.voice.id.is_empty() { DEFAULT_VOICE } else { &brief.voice.id };
    let mut speech = json!({ "voiceConfig": { "prebuiltVoiceConfig": { "voiceName": voice } } });
    if !brief.voice.language.is_empty() {
        speech["languageCode"] = brief.voice.language.as_str().into();
    }
    let tools = brief.tools.iter().map(|tool| {
        json!({ "name": tool.name, "description": tool.description,
                "parametersJsonSchema": tool.parameters })
    });
    let mut setup = json!({
        "model": format!("models/{model}"),
        "generationConfig": { "responseModalities": ["AUDIO"], "speechConfig": speech },
        "systemInstruction": { "parts": [{ "text": instructions(&brief.items) }] },
        "realtimeInputConfig": { "automaticActivityDetection": { "disabled": true } },
        "inputAudioTranscription": {},
        "outputAudioTranscription": {},
        // Without it an audio session ends after 15 minutes.
        "contextWindowCompression": { "slidingWindow": {} },
    });
    if !brief.tools.is_empty() {
        setup["tools"] = json!([{ "functionDeclarations": tools.collect::<Vec<_>>() }]);
    }
    json!({ "setup": setup })
}

/// What the vendor says. Fields that we do not need are not named, so that new ones do no harm.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Said {
    setup_complete: Option<Value>,
    server_content: Option<Content>,
    tool_call: Option<Calls>,
    tool_call_cancellation: Option<Gone>,
    go_away: Option<Value>,
    usage_metadata: Option<Tokens>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Content {
    model_turn: Option<Given>,
    input_transcription: Option<Words>,
    output_transcription: Option<Words>,
    turn_complete: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Given {
    parts: Vec<Part>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Part {
    inline_data: Option<Data>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Data {
    mime_type: String,
    data: String,
}

impl Data {
    /// Of `audio/pcm;rate=24000`.
    fn rate(&self) -> Option<Rate> {
        self.mime_type.split("rate=").nth(1)?.split(';').next()?.trim().parse().ok()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Words {
    text: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Calls {
    function_calls: Vec<Call>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Call {
    id: String,
    name: String,
    args: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Gone {
    ids: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Tokens {
    prompt_token_count: u64,
    response_token_count: u64,
}
