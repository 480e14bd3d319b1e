//! What can be set, as one typed structure. Where it comes from is the matter of [`crate::sources`].
//!
//! Invariant: what nobody may see is a [`SecretString`], so that no log and no `Debug` shows it.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

/// The settings of voxflow: `voxflow.toml`, and environment variables over it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Where HTTP and WebSocket are served, such as `0.0.0.0:8080`.
    #[schemars(with = "String")]
    pub(crate) listen: SocketAddr,
    /// The address that carriers were told, such as `https://voice.example.com`. Signatures are
    /// checked against it, and Twilio's media stream is sent to it.
    pub(crate) public_url: Option<String>,
    /// `sqlite:FILE`, or `postgres://...` for many processes.
    #[schemars(with = "String")]
    pub(crate) database: SecretString,
    /// `embedded`, or `amqp://...` for many processes.
    #[schemars(with = "String")]
    pub(crate) queue: SecretString,
    /// Keys of the API and the console. Without one, only this machine may use them.
    #[schemars(with = "Vec<String>")]
    pub(crate) access_keys: Vec<SecretString>,
    /// Seconds that a clean stop waits for calls and jobs to end.
    pub(crate) drain_s: u64,
    /// Text conversations.
    pub(crate) conversation: Conversation,
    /// Texts of which nobody knows whether they left.
    pub(crate) delivery: Delivery,
    /// Sound files that flows play.
    pub(crate) media: Media,
    /// Servers that flows ask.
    pub(crate) web: Web,
    /// What an agent uses where its flow does not say.
    pub(crate) agent: Agent,
    /// OpenAI, or a service that speaks its protocol.
    pub(crate) openai: Vendor,
    /// Deepgram.
    pub(crate) deepgram: Vendor,
    /// ElevenLabs.
    pub(crate) elevenlabs: Vendor,
    /// Twilio.
    pub(crate) twilio: Twilio,
    /// The numbers that are answered.
    pub(crate) number: Vec<Number>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: None,
            database: "sqlite:voxflow.db".into(),
            queue: "embedded".into(),
            access_keys: Vec::new(),
            drain_s: 30,
            conversation: Conversation::default(),
            delivery: Delivery::default(),
            media: Media::default(),
            web: Web::default(),
            agent: Agent::default(),
            openai: Vendor::default(),
            deepgram: Vendor::default(),
            elevenlabs: Vendor::default(),
            twilio: Twilio::default(),
            number: Vec::new(),
        }
    }
}

/// Text conversations.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Conversation {
    /// Hours of silence after which an AI session of a thread is over, where neither the number
    /// nor the action says otherwise.
    #[schemars(range(min = 0.001))]
    pub(crate) idle_timeout_hours: f64,
}

impl Default for Conversation {
    fn default() -> Self {
        // The reference's value: AICALL_CONVERSATION_IDLE_TIMEOUT_HOURS.
        Self { idle_timeout_hours: 24.0 }
    }
}

/// What a channel does with a text when nobody knows whether it left: the carrier's answer was
/// lost, or the process died while it was sending. A carrier that can be asked is asked first
/// (Twilio can); this counts where it cannot tell.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Delivery {
    /// Texts by Twilio, which knows no idempotency keys: `at_most_once`.
    pub(crate) twilio: Policy,
    /// Texts to the console's chat, where a double does no harm: `at_least_once`.
    pub(crate) browser: Policy,
}

impl Default for Delivery {
    fn default() -> Self {
        Self { twilio: Policy::AtMostOnce, browser: Policy::AtLeastOnce }
    }
}

/// Rather never than twice, or rather twice than never.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Policy {
    /// The text counts as failed, and the run is told so.
    AtMostOnce,
    /// The text is sent again with the same key.
    AtLeastOnce,
}

/// Sound files that flows play.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Media {
    /// The folder of the files. Without one, files are looked for beside the flows.
    pub(crate) folder: Option<PathBuf>,
    /// Whether `https://` sources may lie on this machine or in a private network.
    pub(crate) allow_private_addresses: bool,
}

/// Servers that flows ask.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Web {
    /// Whether they may lie on this machine or in a private network.
    pub(crate) allow_private_addresses: bool,
}

/// What an agent uses where its flow does not say.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Agent {
    /// Vendor and model, such as `openai.gpt-4o-mini`. Without it, the first vendor with a key,
    /// else `scripted`.
    pub(crate) engine_model: Option<String>,
    /// The recognizer: `deepgram` or `pocketsphinx`.
    pub(crate) stt_type: Option<String>,
    /// The voice: `elevenlabs`, `openai` or `espeak`.
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

/// Twilio.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Twilio {
    /// The account, `AC...`.
    pub(crate) account_sid: Option<String>,
    /// Its token: signs what Twilio sends to us, and opens its API to us.
    #[schemars(with = "Option<String>")]
    pub(crate) auth_token: Option<SecretString>,
    /// Another address than `https://api.twilio.com`.
    pub(crate) base_url: Option<String>,
}

/// A number that is answered.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Number {
    /// In E.164, such as `+15550001000`.
    pub(crate) number: String,
    /// The file of the flow that a call runs.
    pub(crate) call_flow: Option<PathBuf>,
    /// The file of the flow that a text runs.
    pub(crate) message_flow: Option<PathBuf>,
    /// Hours of silence after which an AI session of one of its threads is over.
    #[schemars(range(min = 0.001))]
    pub(crate) idle_hours: Option<f64>,
    /// Whose number it is; `default` when absent.
    pub(crate) tenant: Option<String>,
}
