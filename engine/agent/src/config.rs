//! What an author writes about an agent. The names of the older system are kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A configured agent, by id or name; nothing else that stands here counts then.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// What people call it; sessions of a thread are reused while this and the model stay.
    pub name: String,
    /// Vendor and model, such as `openai.gpt-4o-mini`, or `scripted` with `rules`. Empty = the
    /// configured default. `openai.gpt-realtime...` and `gemini....-live...` hear and speak by
    /// themselves; then recognizer and voice only stand in.
    #[schemars(extend("format" = "model"))]
    pub engine_model: String,
    /// Vendors and models that stand in for it, in order, named alike.
    #[schemars(extend("items" = { "type": "string", "format": "model" }))]
    pub engine_fallback: Vec<String>,
    /// What the model is told, before anything is said.
    pub init_prompt: String,
    /// Facts for the model, told as JSON.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub parameter: Value,
    /// The actions that it may take as tools; `["all"]` = every one that fits the medium.
    #[schemars(extend("items" = { "type": "string", "format": "tool" }))]
    pub tool_names: Vec<String>,
    /// Who speaks first on a call.
    pub speak_first: SpeakFirst,
    /// A fixed first sentence, spoken without asking the model.
    pub greeting: String,
    /// Spoken or sent when no reply can be made.
    pub fallback: String,
    /// For `scripted`: a file of rules beside the flow.
    pub rules: String,
    /// Vendor of the recognizer, and perhaps its model: `deepgram`, `deepgram.flux-general-en`,
    /// `assemblyai`, `elevenlabs`, `openai`, `pocketsphinx`. Empty = the configured default.
    #[schemars(extend("format" = "recognizer"))]
    pub stt_type: String,
    /// Recognizers that stand in for it, in order, named alike.
    #[schemars(extend("items" = { "type": "string", "format": "recognizer" }))]
    pub stt_fallback: Vec<String>,
    /// BCP-47. Empty = the vendor detects it.
    pub stt_language: String,
    /// Vendor of the voice, and perhaps its model: `elevenlabs`, `cartesia`, `deepgram`, `openai`,
    /// `espeak`. Empty = the configured default.
    #[schemars(extend("format" = "voice"))]
    pub tts_type: String,
    /// Vendors that stand in for it, in order, named alike; each speaks by its default voice.
    #[schemars(extend("items" = { "type": "string", "format": "voice" }))]
    pub tts_fallback: Vec<String>,
    /// The voice. Empty = the vendor's default.
    pub tts_voice_id: String,
    /// When the caller is heard.
    pub vad_config: VadConfig,
    /// What the caller is asked for: a silence ends his turn sooner or later by that, between 0.2
    /// seconds and `vad_config.max_stop_secs`.
    pub awaits: Awaits,
    /// Whether the model is asked, and its first words are made sound, as soon as the caller has
    /// likely finished. Nothing of it is heard, kept or done before he has, and another question
    /// throws it away: answers come sooner, and the model is asked more often.
    pub ask_ahead: bool,
    /// What interrupts the agent while it speaks.
    pub interruption: Interruption,
    /// What interrupts it while it thinks; null = the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interruption_thinking: Option<Interruption>,
    /// Spoken when an answer or a tool lets the caller wait for 2 seconds; empty = nothing.
    pub filler: String,
    /// Silence of the caller after which the agent asks whether somebody is there, seconds.
    pub idle_timeout_s: u64,
    /// What it says then.
    pub idle_prompt: String,
    /// What it says when the longest duration is over.
    pub goodbye: String,
    /// Texts: wait this long for more messages of a burst, milliseconds.
    pub debounce_ms: u64,
    /// Texts: the most segments of a reply.
    pub max_segments: u32,
    /// Tokens of history that a model is shown; older turns are left out.
    pub history_tokens: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            engine_model: String::new(),
            engine_fallback: Vec::new(),
            init_prompt: String::new(),
            parameter: Value::Null,
            tool_names: Vec::new(),
            speak_first: SpeakFirst::default(),
            greeting: String::new(),
            fallback: "Sorry, I cannot answer right now. Please try again later.".into(),
            rules: String::new(),
            stt_type: String::new(),
            stt_fallback: Vec::new(),
            stt_language: String::new(),
            tts_type: String::new(),
            tts_fallback: Vec::new(),
            tts_voice_id: String::new(),
            vad_config: VadConfig::default(),
            awaits: Awaits::default(),
            ask_ahead: true,
            interruption: Interruption::default(),
            interruption_thinking: None,
            filler: "One moment, please.".into(),
            idle_timeout_s: 30,
            idle_prompt: "Are you still there?".into(),
            goodbye: "I have to end our call here. Goodbye.".into(),
            debounce_ms: 1200,
            max_segments: 3,
            history_tokens: 8000,
        }
    }
}

/// Who speaks first on a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpeakFirst {
    /// The agent: its greeting, or what the model says unasked.
    #[default]
    Agent,
    /// The caller; the agent waits.
    Caller,
}

/// What the caller is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Awaits {
    /// What the agent's last question asks for, as far as it shows.
    #[default]
    Question,
    /// Nothing special.
    Anything,
    /// Yes or no.
    YesNo,
    /// A number, digit by digit.
    Digits,
    /// A name, or anything that is spelled.
    Name,
    /// An address.
    Address,
}

/// What interrupts the agent while it speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Interruption {
    /// Voice for `barge_in_after`, or words.
    #[default]
    Any,
    /// Words only; "mm-hm" does not count.
    Words,
    /// Key presses only.
    Digits,
    /// Nothing.
    None,
}

/// When the caller is heard.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VadConfig {
    /// How sure the detector must be, 0 to 1.
    pub confidence: f32,
    /// Voice for this long starts a turn, seconds.
    pub start_secs: f32,
    /// Silence for this long may end it, seconds.
    pub stop_secs: f32,
    /// Silence for this long ends it also where more is waited for: numbers, names, sentences in
    /// the middle, seconds. Not above `stop_secs` = the silence is always `stop_secs`.
    pub max_stop_secs: f32,
    /// Quieter sound is no voice, 0 to 1.
    pub min_volume: f32,
}

impl Default for VadConfig {
    fn default() -> Self {
        Self {
            confidence: 0.7,
            start_secs: 0.2,
            stop_secs: 0.5,
            max_stop_secs: 2.0,
            min_volume: 0.0,
        }
    }
}

impl Config {
    /// The vendor and the model of `engine_model`, divided at the first `.` or `:`.
    pub fn vendor_and_model(&self) -> (&str, &str) {
        self.engine_model.split_once(['.', ':']).unwrap_or((&self.engine_model, ""))
    }
}
