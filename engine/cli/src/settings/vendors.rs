//! The settings of vendors of speech and language, and what agents use of them.

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

use super::Settings;

/// What an agent uses where its flow does not say.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Agent {
    /// Vendor and model, such as `openai.gpt-4o-mini`. Without it, the first vendor with a key,
    /// else `scripted`.
    pub(crate) engine_model: Option<String>,
    /// The recognizer: `deepgram`, `assemblyai`, `elevenlabs`, `openai` or `pocketsphinx`.
    pub(crate) stt_type: Option<String>,
    /// The voice: `elevenlabs`, `cartesia`, `openai`, `deepgram` or `espeak`.
    pub(crate) tts_type: Option<String>,
    /// The vendor's id of the voice.
    pub(crate) tts_voice_id: Option<String>,
}

/// A vendor of speech or language.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Vendor {
    /// The key of the account.
    #[schemars(with = "Option<String>")]
    pub(crate) api_key: Option<SecretString>,
    /// Another address than the vendor's own, for a proxy or a double; `http(s)://`, used for
    /// `ws(s)://` too.
    pub(crate) base_url: Option<String>,
}

impl Vendor {
    /// Whether anything is set.
    fn is_set(&self) -> bool {
        self.api_key.is_some() || self.base_url.is_some()
    }
}

impl Settings {
    /// The vendors that are set up, by their names.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = (&'static str, &Vendor)> {
        [
            ("openai", &self.openai),
            ("deepgram", &self.deepgram),
            ("elevenlabs", &self.elevenlabs),
            ("anthropic", &self.anthropic),
            ("gemini", &self.gemini),
            ("assemblyai", &self.assemblyai),
            ("cartesia", &self.cartesia),
            ("azure", &self.azure),
            ("cerebras", &self.cerebras),
            ("deepseek", &self.deepseek),
            ("fireworks", &self.fireworks),
            ("grok", &self.grok),
            ("groq", &self.groq),
            ("mistral", &self.mistral),
            ("nvidia", &self.nvidia),
            ("ollama", &self.ollama),
            ("openrouter", &self.openrouter),
            ("perplexity", &self.perplexity),
            ("qwen", &self.qwen),
            ("sambanova", &self.sambanova),
            ("together", &self.together),
        ]
        .into_iter()
        .filter(|(_, vendor)| vendor.is_set())
    }
}
