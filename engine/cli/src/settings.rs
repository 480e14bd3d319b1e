//! What can be set, as one typed structure. Where it comes from is the matter of [`crate::sources`].
//!
//! Read on in `vendors` (speech and language), `sip`, `audiosocket` and `waiting`.
//!
//! Invariant: what nobody may see is a [`SecretString`], so that no log and no `Debug` shows it.

mod audiosocket;
mod sip;
mod vendors;
mod waiting;

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

pub(crate) use self::audiosocket::AudioSocket;
pub(crate) use self::sip::{Sip, SipTransport};
pub(crate) use self::vendors::{Agent, Vendor};
pub(crate) use self::waiting::WaitingLine;

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
    /// Where the other processes of the same database reach this one, such as
    /// `http://10.0.0.7:8080`: a carrier's request that comes to the wrong one is passed on. Without
    /// it, the address that this machine has on the way to the database, and the port of `listen`.
    pub(crate) own_url: Option<String>,
    /// `sqlite:FILE`, or `postgres://...` for many processes.
    #[schemars(with = "String")]
    pub(crate) database: SecretString,
    /// `embedded`, or `amqp://...` for many processes.
    #[schemars(with = "String")]
    pub(crate) queue: SecretString,
    /// Keys of the API and the console, for all tenants. Without one, only this machine may use
    /// them.
    #[schemars(with = "Vec<String>")]
    pub(crate) access_keys: Vec<SecretString>,
    /// Keys of the API, each for what is one tenant's.
    pub(crate) access_key: Vec<AccessKey>,
    /// Seconds that a clean stop takes at most. Until then calls are handed over to another process
    /// of the same database; where there is none they go on, and are told at last that they end.
    pub(crate) drain_s: u64,
    /// New calls are refused while this process's own ticks are so late, milliseconds: 99 of 100 in
    /// the last 10 s. Above 10 sound stutters.
    pub(crate) full_above_ms: u64,
    /// And while its threads were so busy for 2 s of the last 10 s, percent; what the calls that came
    /// since will add is counted, so that nobody's answer waits. 100 = however busy they are.
    pub(crate) full_above_percent: u64,
    /// Text conversations.
    pub(crate) conversation: Conversation,
    /// How texts leave.
    pub(crate) texting: Texting,
    /// Texts of which nobody knows whether they left.
    pub(crate) delivery: Delivery,
    /// Sound files that flows play.
    pub(crate) media: Media,
    /// Servers that flows ask.
    pub(crate) web: Web,
    /// The mail server of the action `send_email`.
    pub(crate) smtp: Smtp,
    /// What an agent uses where its flow does not say.
    pub(crate) agent: Agent,
    /// OpenAI, or a service that speaks its protocol.
    pub(crate) openai: Vendor,
    /// Deepgram.
    pub(crate) deepgram: Vendor,
    /// ElevenLabs.
    pub(crate) elevenlabs: Vendor,
    /// Anthropic.
    pub(crate) anthropic: Vendor,
    /// Gemini.
    pub(crate) gemini: Vendor,
    /// AssemblyAI.
    pub(crate) assemblyai: Vendor,
    /// Cartesia.
    pub(crate) cartesia: Vendor,
    /// Azure OpenAI; `base_url` such as `https://NAME.openai.azure.com/openai/v1`.
    pub(crate) azure: Vendor,
    /// Cerebras.
    pub(crate) cerebras: Vendor,
    /// DeepSeek.
    pub(crate) deepseek: Vendor,
    /// Fireworks.
    pub(crate) fireworks: Vendor,
    /// xAI.
    pub(crate) grok: Vendor,
    /// Groq.
    pub(crate) groq: Vendor,
    /// Mistral.
    pub(crate) mistral: Vendor,
    /// NVIDIA NIM.
    pub(crate) nvidia: Vendor,
    /// Ollama; needs no key.
    pub(crate) ollama: Vendor,
    /// OpenRouter.
    pub(crate) openrouter: Vendor,
    /// Perplexity.
    pub(crate) perplexity: Vendor,
    /// Qwen, of Alibaba.
    pub(crate) qwen: Vendor,
    /// SambaNova.
    pub(crate) sambanova: Vendor,
    /// Together.
    pub(crate) together: Vendor,
    /// Twilio.
    pub(crate) twilio: Twilio,
    /// Telnyx.
    pub(crate) telnyx: Telnyx,
    /// SIP, for phones, exchanges and carriers.
    pub(crate) sip: Sip,
    /// AudioSocket, for Asterisk.
    pub(crate) audiosocket: AudioSocket,
    /// voip.ms.
    pub(crate) voipms: VoipMs,
    /// LINE. Its texts come to the number that is called `line`.
    pub(crate) line: Line,
    /// Signed webhooks, for anything else that carries texts. The texts of one that is called
    /// `shop` come to `POST /hooks/shop` and to the number that is called `hook:shop`.
    pub(crate) hook: Vec<Hook>,
    /// Agents that flows name by their id.
    pub(crate) ai: Vec<Ai>,
    /// The numbers that are answered.
    pub(crate) number: Vec<Number>,
    /// Where callers wait for people, by the action `join_queue`.
    pub(crate) waiting_line: Vec<WaitingLine>,
    /// Flows that other flows and the API name, besides those of the numbers.
    pub(crate) flow: Vec<Flows>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: None,
            own_url: None,
            database: "sqlite:voxflow.db".into(),
            queue: "embedded".into(),
            access_keys: Vec::new(),
            access_key: Vec::new(),
            drain_s: 30,
            full_above_ms: 10,
            // The system's own work for them comes on top: it is 60 % of the processors then, and
            // answers are 10 ms later than on an empty machine.
            full_above_percent: 45,
            conversation: Conversation::default(),
            texting: Texting::default(),
            delivery: Delivery::default(),
            media: Media::default(),
            web: Web::default(),
            smtp: Smtp::default(),
            agent: Agent::default(),
            openai: Vendor::default(),
            deepgram: Vendor::default(),
            elevenlabs: Vendor::default(),
            anthropic: Vendor::default(),
            gemini: Vendor::default(),
            assemblyai: Vendor::default(),
            cartesia: Vendor::default(),
            azure: Vendor::default(),
            cerebras: Vendor::default(),
            deepseek: Vendor::default(),
            fireworks: Vendor::default(),
            grok: Vendor::default(),
            groq: Vendor::default(),
            mistral: Vendor::default(),
            nvidia: Vendor::default(),
            ollama: Vendor::default(),
            openrouter: Vendor::default(),
            perplexity: Vendor::default(),
            qwen: Vendor::default(),
            sambanova: Vendor::default(),
            together: Vendor::default(),
            twilio: Twilio::default(),
            telnyx: Telnyx::default(),
            sip: Sip::default(),
            audiosocket: AudioSocket::default(),
            voipms: VoipMs::default(),
            line: Line::default(),
            hook: Vec::new(),
            ai: Vec::new(),
            number: Vec::new(),
            waiting_line: Vec::new(),
            flow: Vec::new(),
        }
    }
}

/// A key of the API for what is one tenant's.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessKey {
    /// What is brought as `?accesskey=...` or `Authorization: Bearer ...`.
    #[schemars(with = "String")]
    pub(crate) key: SecretString,
    /// Whose it is, as the numbers name it.
    pub(crate) tenant: String,
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

/// How texts leave.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Texting {
    /// Texts per second that each number may send, in all processes of a database together; replies
    /// go first. Without it, as many as there are.
    #[schemars(range(min = 0.001))]
    pub(crate) per_second: Option<f64>,
    /// Whether typographic quotes, dashes and spaces in texts to phones are made plain when that
    /// makes them cheaper.
    pub(crate) smart_encoding: bool,
    /// From when texts that nobody has asked for wait, by the peer's clock, such as `21:00`.
    /// Replies never wait.
    pub(crate) quiet_from: Option<String>,
    /// Until when they wait, such as `08:00`.
    pub(crate) quiet_until: Option<String>,
    /// The time zone of peers whose number does not tell it, such as `Europe/Berlin`.
    pub(crate) quiet_zone: String,
}

impl Default for Texting {
    fn default() -> Self {
        Self {
            per_second: None,
            smart_encoding: false,
            quiet_from: None,
            quiet_until: None,
            quiet_zone: "UTC".into(),
        }
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
    /// Texts by Telnyx, which takes our key and promises nothing about it: `at_most_once`.
    pub(crate) telnyx: Policy,
    /// Texts by voip.ms, which knows no idempotency keys: `at_most_once`.
    pub(crate) voipms: Policy,
    /// Texts by LINE, which knows pushes by their key: `at_least_once`.
    pub(crate) line: Policy,
    /// Texts by signed webhooks, which have a key: `at_least_once`.
    pub(crate) hook: Policy,
    /// Texts to the console's chat, where a double does no harm: `at_least_once`.
    pub(crate) browser: Policy,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            twilio: Policy::AtMostOnce,
            telnyx: Policy::AtMostOnce,
            voipms: Policy::AtMostOnce,
            line: Policy::AtLeastOnce,
            hook: Policy::AtLeastOnce,
            browser: Policy::AtLeastOnce,
        }
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
    /// The folder where recordings of calls are kept. Without one, nothing is recorded.
    pub(crate) recordings: Option<PathBuf>,
    /// Whether `https://` sources may lie on this machine or in a private network.
    pub(crate) allow_private_addresses: bool,
}

/// The mail server of the action `send_email`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Smtp {
    /// Its name. Without one, no e-mails can be sent.
    pub(crate) host: Option<String>,
    /// Its port, where it is not the usual one.
    pub(crate) port: Option<u16>,
    /// How the connection is kept from others.
    pub(crate) tls: Tls,
    /// The account there.
    pub(crate) user: Option<String>,
    /// Its password.
    #[schemars(with = "Option<String>")]
    pub(crate) password: Option<SecretString>,
    /// Who sends, such as `Shop <shop@example.com>`.
    pub(crate) from: Option<String>,
}

/// How a connection is kept from others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tls {
    /// TLS is demanded after the greeting; port 587.
    #[default]
    Starttls,
    /// TLS from the first byte; port 465.
    Always,
    /// Not at all; for a server on this machine.
    Never,
}

/// Servers that flows ask.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Web {
    /// Whether they may lie on this machine or in a private network.
    pub(crate) allow_private_addresses: bool,
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

/// Telnyx.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Telnyx {
    /// Opens its API to us.
    #[schemars(with = "Option<String>")]
    pub(crate) api_key: Option<SecretString>,
    /// The Call Control application by which calls are dialed.
    pub(crate) connection_id: Option<String>,
    /// The account's public key, 32 bytes in base64: proves what Telnyx sends to us.
    pub(crate) webhook_public_key: Option<String>,
    /// A shared secret, where webhooks are signed by HMAC instead.
    #[schemars(with = "Option<String>")]
    pub(crate) webhook_secret: Option<SecretString>,
    /// Another address than `https://api.telnyx.com/v2`.
    pub(crate) base_url: Option<String>,
}

/// voip.ms.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct VoipMs {
    /// The account's e-mail address.
    pub(crate) api_username: Option<String>,
    /// The API's own password, not the portal's.
    #[schemars(with = "Option<String>")]
    pub(crate) api_password: Option<SecretString>,
    /// What the address that voip.ms was told holds as `secret`: it signs nothing.
    #[schemars(with = "Option<String>")]
    pub(crate) webhook_secret: Option<SecretString>,
    /// Another address than `https://voip.ms/api/v1/rest.php`.
    pub(crate) base_url: Option<String>,
}

/// LINE.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Line {
    /// Signs what LINE sends to us.
    #[schemars(with = "Option<String>")]
    pub(crate) channel_secret: Option<SecretString>,
    /// Opens its API to us.
    #[schemars(with = "Option<String>")]
    pub(crate) channel_token: Option<SecretString>,
    /// Another address than `https://api.line.me`.
    pub(crate) base_url: Option<String>,
}

/// A signed webhook, as standardwebhooks.com has it: HMAC-SHA256 over `id.timestamp.body`, in the
/// headers `webhook-id`, `webhook-timestamp` and `webhook-signature`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hook {
    /// Letters, digits, `-` and `_`: the last part of its path.
    pub(crate) name: String,
    /// Signs both ways: `whsec_` and base64, or any text.
    #[schemars(with = "String")]
    pub(crate) secret: SecretString,
    /// Where texts to its peers go, signed alike. Without it, none can be sent.
    pub(crate) url: Option<String>,
}

/// An agent that flows name: `{ "type": "ai_talk", "option": { "ai": { "id": "desk" } } }`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ai {
    /// How flows name it; the id that it had in the older system.
    pub(crate) id: String,
    /// A JSON file with its configuration, as `ai_talk` takes it (`voxflow schema ai`).
    pub(crate) file: PathBuf,
}

/// A number that is answered.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Number {
    /// In E.164, such as `+15550001000`; `line` for LINE; `hook:NAME` for a signed webhook.
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
    /// The carrier that calls and texts from it go by, where it reaches whom they are for. Without
    /// one it is the carrier of the call or text that they are about, or the first that is set up.
    pub(crate) carrier: Option<Carrier>,
}

/// Who carries calls and texts of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Carrier {
    /// Calls and texts.
    Twilio,
    /// Calls and texts.
    Telnyx,
    /// Texts.
    Voipms,
    /// Calls, by the trunk of `[sip]`.
    Sip,
}

impl Carrier {
    /// As its file calls itself.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Twilio => "twilio",
            Self::Telnyx => "telnyx",
            Self::Voipms => "voipms",
            Self::Sip => "sip",
        }
    }
}

/// Flows that others name.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Flows {
    /// A file, or a folder: of a folder, every `.json` file that is a flow.
    pub(crate) path: PathBuf,
    /// Whose flows they are; `default` when absent.
    pub(crate) tenant: Option<String>,
}
