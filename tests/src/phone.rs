//! A caller as Twilio brings one: signed webhooks, TwiML carried out verb by verb, and the media
//! stream in real time, with a play buffer that honours `mark` and `clear` as Twilio's does.
//!
//! What the caller hears is what was *played*, not what was sent: sound that a `clear` dropped was
//! never heard.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::double::twilio::{ACCOUNT, Form, Twilio, field};
use crate::python::Signer;
use crate::record::Record;
use crate::sound::{FRAME, SILENCE, audible};

/// The network between Twilio and voxflow.
#[derive(Clone)]
pub struct Network {
    /// Where voxflow listens.
    pub server: SocketAddr,
    /// How voxflow is known in public, such as `https://voice.example.com`: what is signed.
    pub public: String,
    /// The carrier's REST API, which redirects calls.
    pub twilio: Arc<Twilio>,
    /// Signs as Twilio does.
    pub signer: Arc<Signer>,
}

impl Network {
    /// A signed webhook, as Twilio posts it.
    ///
    /// # Panics
    /// When voxflow cannot be reached.
    pub async fn webhook(&self, url: &str, form: &[(String, String)]) -> (u16, String) {
        let signature = self.signer.sign(url, form).await;
        self.post(url, form, Some(&signature)).await
    }

    /// A webhook with this signature, or none.
    ///
    /// # Panics
    /// When voxflow cannot be reached.
    pub async fn post(
        &self,
        url: &str,
        form: &[(String, String)],
        signature: Option<&str>,
    ) -> (u16, String) {
        let path = url.strip_prefix(&self.public).unwrap_or(url);
        let mut request =
            reqwest::Client::new().post(format!("http://{}{path}", self.server)).form(form);
        if let Some(signature) = signature {
            request = request.header("X-Twilio-Signature", signature);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// An address in TwiML, absolute.
    fn absolute(&self, url: &str) -> String {
        if url.contains("://") {
            url.into()
        } else {
            format!("{}/{}", self.public, url.trim_start_matches('/'))
        }
    }
}

/// What the caller's side saw, and when (since the call was placed).
#[derive(Clone, Debug)]
pub struct Seen {
    /// Since the call was placed.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// What the caller's side saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A TwiML document came.
    Twiml(String),
    /// A media stream is open.
    Stream,
    /// Sound begins to be heard.
    Sound,
    /// It became silent; how long it sounded, milliseconds.
    Silence(u64),
    /// A `mark` came.
    Mark(String),
    /// A `clear` came; milliseconds of sound that were dropped.
    Clear(u64),
    /// The media stream is closed, by whom.
    StreamClosed(&'static str),
    /// Somebody is dialed.
    Dial {
        /// The numbers.
        numbers: Vec<String>,
        /// The attribute `timeout`.
        timeout: String,
    },
    /// The call is over, and why.
    Ended(String),
    /// Something that Twilio would not understand.
    Violation(String),
}

/// What the caller does.
enum Act {
    Say(Vec<i16>),
    Press(char),
    HangUp,
}

/// How a `<Dial>` ends in this call: `DialCallStatus`, after so long.
#[derive(Clone, Debug)]
pub struct Dialling {
    /// `completed`, `busy`, `no-answer`, `failed`, `canceled`.
    pub status: &'static str,
    /// How long it takes.
    pub after: Duration,
}

impl Default for Dialling {
    fn default() -> Self {
        Self { status: "completed", after: Duration::from_millis(300) }
    }
}

/// A call, from the caller's side. Dropped, the caller is gone.
pub struct Phone {
    /// Twilio's id of the call.
    pub sid: String,
    /// What was seen.
    pub seen: Arc<Record<Seen>>,
    acts: mpsc::UnboundedSender<Act>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Phone {
    /// Places a call.
    pub fn call(network: &Network, from: &str, to: &str, dialling: Dialling) -> Self {
        let sid = format!("CA{}", uuid::Uuid::now_v7().simple());
        let seen = Arc::new(Record::default());
        let (acts, to_do) = mpsc::unbounded_channel();
        let call = Call {
            updates: network.twilio.connect(&sid),
            network: network.clone(),
            sid: sid.clone(),
            from: from.into(),
            to: to.into(),
            dialling,
            seen: Arc::clone(&seen),
            acts: to_do,
            began: Instant::now(),
            to_play: VecDeque::new(),
            to_say: VecDeque::new(),
        };
        Self { sid, seen, acts, task: tokio::spawn(call.live()) }
    }

    /// Says samples (8 kHz), after what is being said.
    pub fn say(&self, samples: &[i16]) {
        let _ = self.acts.send(Act::Say(samples.to_vec()));
    }

    /// Presses a key.
    pub fn press(&self, digit: char) {
        let _ = self.acts.send(Act::Press(digit));
    }

    /// Hangs up.
    pub fn hang_up(&self) {
        let _ = self.acts.send(Act::HangUp);
    }

    /// Waits until something like this was seen after the first `after` things, and returns when.
    ///
    /// # Panics
    /// When it does not come in time.
    pub async fn sees(&self, after: usize, what: &str, wanted: impl Fn(&What) -> bool) -> Duration {
        self.seen.find_after(after, what, |seen| wanted(&seen.what).then_some(seen.at)).await
    }

    /// Waits until sound begins after the first `after` things.
    ///
    /// # Panics
    /// When it stays silent.
    pub async fn hears(&self, after: usize, what: &str) -> Duration {
        self.sees(after, what, |seen| *seen == What::Sound).await
    }

    /// Waits until the sound that began after the first `after` things is over.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn hears_out(&self, after: usize, what: &str) -> Duration {
        self.sees(after, what, |seen| matches!(seen, What::Silence(_))).await
    }

    /// Waits for the end of the call, and tells why it ended.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn ends(&self) -> String {
        self.seen
            .find("the end of the call", |seen| match &seen.what {
                What::Ended(why) => Some(why.clone()),
                _ => None,
            })
            .await
    }

    /// How many things were seen so far.
    pub fn count(&self) -> usize {
        self.seen.len()
    }

    /// What Twilio would not have understood.
    pub fn violations(&self) -> Vec<String> {
        let all = self.seen.all().into_iter();
        all.filter_map(|seen| if let What::Violation(why) = seen.what { Some(why) } else { None })
            .collect()
    }
}

/// What waits in Twilio's play buffer.
enum Play {
    Sound(Vec<u8>),
    Mark(String),
}

/// How a stream ended.
enum StreamEnd {
    /// The server closed it.
    Closed,
    /// The call was changed by REST.
    Update(Form),
    /// The caller hung up.
    HungUp,
}

/// What to do after a verb.
enum Then {
    /// The next verb.
    Go,
    /// Another document.
    Document(String),
    /// The call is over.
    End(String),
}

/// The network's side of one call.
struct Call {
    network: Network,
    sid: String,
    from: String,
    to: String,
    dialling: Dialling,
    seen: Arc<Record<Seen>>,
    acts: mpsc::UnboundedReceiver<Act>,
    updates: mpsc::UnboundedReceiver<Form>,
    began: Instant,
    to_play: VecDeque<Play>,
    to_say: VecDeque<u8>,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl Call {
    fn saw(&self, what: What) {
        self.seen.push(Seen { at: self.began.elapsed(), what });
    }

    fn form(&self, status: &str, more: &[(&str, &str)]) -> Form {
        let fields = [
            ("CallSid", self.sid.as_str()),
            ("AccountSid", ACCOUNT),
            ("From", &self.from),
            ("Caller", &self.from),
            ("To", &self.to),
            ("Called", &self.to),
            ("CallStatus", status),
            ("ApiVersion", "2010-04-01"),
            ("Direction", "inbound"),
            ("CallerCity", ""),
        ];
        fields
            .iter()
            .chain(more)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    async fn live(mut self) {
        let url = format!("{}/twilio/voice", self.network.public);
        let mut document = self.fetch(&url, "ringing", &[]).await;
        let why = loop {
            match document {
                Ok(twiml) => match self.run(&twiml).await {
                    Then::Document(next) => document = Ok(next),
                    Then::End(why) => break why,
                    Then::Go => break "the end of the TwiML".into(),
                },
                Err(why) => break why,
            }
        };
        self.network.twilio.disconnect(&self.sid);
        self.saw(What::Ended(why));
    }

    async fn fetch(
        &self,
        url: &str,
        status: &str,
        more: &[(&str, &str)],
    ) -> Result<String, String> {
        let (code, twiml) =
            self.network.webhook(&self.network.absolute(url), &self.form(status, more)).await;
        if code != 200 {
            return Err(format!("{url} answered {code}: {twiml}"));
        }
        self.saw(What::Twiml(twiml.clone()));
        Ok(twiml)
    }

    /// Carries out a document.
    async fn run(&mut self, twiml: &str) -> Then {
        let Ok(document) = roxmltree::Document::parse(twiml) else {
            return Then::End(format!("no TwiML: {twiml}"));
        };
        let verbs: Vec<Verb> = match document.root_element().tag_name().name() {
            "Response" => document
                .root_element()
                .children()
                .filter(|n| n.is_element())
                .map(Verb::read)
                .collect(),
            other => return Then::End(format!("the root is {other}")),
        };
        for verb in verbs {
            match self.carry_out(verb).await {
                Then::Go => {}
                other => return other,
            }
        }
        Then::End("the end of the TwiML".into())
    }

    async fn carry_out(&mut self, verb: Verb) -> Then {
        match verb {
            Verb::Connect { url, parameters, action } => {
                let end = self.stream(&url, &parameters).await;
                match (end, action) {
                    (Ok(StreamEnd::Closed), Some(action)) => self.follow(&action, &[]).await,
                    (Ok(StreamEnd::Closed), None) => Then::Go,
                    (Ok(StreamEnd::Update(form)), _) => self.update(&form).await,
                    (Ok(StreamEnd::HungUp), _) => Then::End("the caller hung up".into()),
                    (Err(why), _) => Then::End(why),
                }
            }
            Verb::Dial { numbers, timeout, action } => {
                self.saw(What::Dial { numbers, timeout });
                tokio::time::sleep(self.dialling.after).await;
                match action {
                    Some(action) => {
                        self.follow(&action, &[("DialCallStatus", self.dialling.status)]).await
                    }
                    None => Then::Go,
                }
            }
            Verb::Redirect(url) => self.follow(&url, &[]).await,
            Verb::Hangup => Then::End("<Hangup>".into()),
            Verb::Reject => Then::End("<Reject>".into()),
            Verb::Pause(seconds) => {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                Then::Go
            }
            Verb::Say => {
                self.saw(What::Sound);
                Then::Go
            }
            Verb::Unknown(name) => {
                self.saw(What::Violation(format!("the verb <{name}>")));
                Then::Go
            }
        }
    }

    async fn follow(&self, url: &str, more: &[(&str, &str)]) -> Then {
        match self.fetch(url, "in-progress", more).await {
            Ok(twiml) => Then::Document(twiml),
            Err(why) => Then::End(why),
        }
    }

    async fn update(&self, form: &[(String, String)]) -> Then {
        let (twiml, url) = (field(form, "Twiml"), field(form, "Url"));
        if !twiml.is_empty() {
            self.saw(What::Twiml(twiml.into()));
            Then::Document(twiml.into())
        } else if !url.is_empty() {
            self.follow(url, &[]).await
        } else {
            Then::End("ended by REST".into())
        }
    }

    /// A media stream, from the upgrade to its end.
    async fn stream(
        &mut self,
        url: &str,
        parameters: &[(String, String)],
    ) -> Result<StreamEnd, String> {
        if !url.starts_with("wss://") {
            self.saw(What::Violation(format!("a stream's address must be wss, not {url}")));
        }
        if url.contains('?') {
            self.saw(What::Violation(format!("31920: a query in {url}")));
        }
        let path = url.splitn(4, '/').nth(3).unwrap_or_default();
        let mut request =
            format!("ws://{}/{path}", self.network.server).into_client_request().unwrap();
        let signature = self.network.signer.sign(url, &[]).await;
        request.headers_mut().insert("x-twilio-signature", signature.parse().unwrap());
        let (socket, _) = tokio_tungstenite::connect_async(request)
            .await
            .map_err(|why| format!("31920: {why}"))?;
        self.saw(What::Stream);
        self.to_play.clear();
        let stream = format!("MZ{}", uuid::Uuid::now_v7().simple());
        let end = Stream::new(socket, stream).run(self, parameters).await;
        let by = match end {
            StreamEnd::Closed => "voxflow",
            StreamEnd::Update(_) => "REST",
            StreamEnd::HungUp => "the caller",
        };
        self.saw(What::StreamClosed(by));
        Ok(end)
    }
}

/// A verb that voxflow uses.
enum Verb {
    Connect { url: String, parameters: Vec<(String, String)>, action: Option<String> },
    Dial { numbers: Vec<String>, timeout: String, action: Option<String> },
    Redirect(String),
    Hangup,
    Reject,
    Pause(u64),
    Say,
    Unknown(String),
}

impl Verb {
    fn read(node: roxmltree::Node<'_, '_>) -> Self {
        let action = node.attribute("action").map(ToOwned::to_owned);
        let text = node.text().unwrap_or_default().trim().to_owned();
        match node.tag_name().name() {
            "Connect" => {
                let Some(stream) = node.children().find(|child| child.has_tag_name("Stream"))
                else {
                    return Self::Unknown("Connect without Stream".into());
                };
                let parameters = stream.children().filter(|child| child.has_tag_name("Parameter"));
                let of = |child: roxmltree::Node<'_, '_>, name| {
                    child.attribute(name).unwrap_or_default().to_owned()
                };
                let parameters =
                    parameters.map(|child| (of(child, "name"), of(child, "value"))).collect();
                Self::Connect { url: of(stream, "url"), parameters, action }
            }
            "Dial" => {
                let nouns = node.children().filter(roxmltree::Node::is_element);
                let mut numbers: Vec<String> =
                    nouns.map(|noun| noun.text().unwrap_or_default().trim().to_owned()).collect();
                if !text.is_empty() {
                    numbers.push(text);
                }
                Self::Dial {
                    numbers,
                    timeout: node.attribute("timeout").unwrap_or("30").into(),
                    action,
                }
            }
            "Redirect" => Self::Redirect(text),
            "Hangup" => Self::Hangup,
            "Reject" => Self::Reject,
            "Pause" => {
                Self::Pause(node.attribute("length").and_then(|s| s.parse().ok()).unwrap_or(1))
            }
            "Say" => Self::Say,
            other => Self::Unknown(other.into()),
        }
    }
}

/// One media stream, from Twilio's side.
struct Stream {
    socket: Socket,
    id: String,
    sequence: u64,
    chunk: u64,
    sounding: Option<u64>,
    quiet_ms: u64,
}

impl Stream {
    fn new(socket: Socket, id: String) -> Self {
        Self { socket, id, sequence: 0, chunk: 0, sounding: None, quiet_ms: 0 }
    }

    async fn send(&mut self, mut frame: Value) {
        self.sequence += 1;
        frame["sequenceNumber"] = json!(self.sequence.to_string());
        frame["streamSid"] = json!(self.id);
        // A server that is gone is noticed by reading.
        let _ = self.socket.send(Message::text(frame.to_string())).await;
    }

    async fn run(mut self, call: &mut Call, parameters: &[(String, String)]) -> StreamEnd {
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
        if !played.is_empty() && audible(&played) {
            self.quiet_ms = 0;
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

/// Opens the media door without the manners of Twilio: for tests of bad input.
///
/// # Errors
/// The HTTP status when the upgrade was refused.
pub async fn bare_socket(url: &str) -> Result<BareSocket, u16> {
    match tokio_tungstenite::connect_async(url).await {
        Ok((socket, _)) => Ok(BareSocket(socket)),
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) => {
            Err(response.status().as_u16())
        }
        Err(why) => panic!("{url}: {why}"),
    }
}

/// A socket on which anything may be said.
pub struct BareSocket(Socket);

impl BareSocket {
    /// Says a text.
    pub async fn text(&mut self, text: &str) {
        let _ = self.0.send(Message::text(text.to_owned())).await;
    }

    /// Says bytes.
    pub async fn binary(&mut self, bytes: &[u8]) {
        let _ = self.0.send(Message::Binary(Bytes::copy_from_slice(bytes))).await;
    }

    /// The close code that the server gives, now or later; `None` when it cuts the connection.
    ///
    /// # Panics
    /// When it keeps the socket open.
    pub async fn close_code(&mut self) -> Option<u16> {
        let closing = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return None,
                }
            }
        };
        let patience = Duration::from_secs(crate::PATIENCE_S);
        tokio::time::timeout(patience, closing).await.expect("the server keeps a bad socket open")
    }
}
