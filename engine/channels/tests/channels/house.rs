//! A served house: the doors, a runtime that records, a Twilio that answers as told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use call::{Leg, Switchboard};
use channels::Unsigned;
use channels::browser::{self, Browser};
use channels::twilio::{Limits, Settings, Twilio};
use conversation::{Accepted, Busy, Inbox, Message, Outgoing, Reader, Receipt, Tenant};
use futures_util::{SinkExt, StreamExt};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message as Frame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

pub(crate) const PUBLIC: &str = "https://voice.example.com";
pub(crate) const TOKEN: &str = "12345";
pub(crate) const ACCOUNT: &str = "AC00000000000000000000000000000001";
pub(crate) const CALL: &str = "CA00000000000000000000000000000001";
pub(crate) const OURS: &str = "+15550001000";
pub(crate) const PEER: &str = "+15550002000";

/// Longer than anything that a test waits for.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// A runtime that records.
#[derive(Default)]
pub(crate) struct Desk {
    pub(crate) messages: Mutex<Vec<Message>>,
    pub(crate) receipts: Mutex<Vec<Receipt>>,
    pub(crate) busy: Mutex<bool>,
    /// Texts of ours that were sent, for whoever comes for them.
    pub(crate) sent: watch::Sender<Vec<Outgoing>>,
    legs: Mutex<Option<mpsc::UnboundedSender<Leg>>>,
}

impl Desk {
    /// The legs that arrive from now on.
    pub(crate) fn legs(&self) -> mpsc::UnboundedReceiver<Leg> {
        let (tell, legs) = mpsc::unbounded_channel();
        *self.legs.lock().unwrap() = Some(tell);
        legs
    }
}

#[async_trait]
impl Inbox for Desk {
    fn answers(&self, _: &str, ours: &str) -> Option<Tenant> {
        [OURS, "line", "hook:orders"].contains(&ours).then(|| Tenant("acme".into()))
    }

    async fn receive(&self, message: Message) -> Result<Accepted, Busy> {
        if *self.busy.lock().unwrap() {
            return Err(Busy("the disk is full".into()));
        }
        let mut messages = self.messages.lock().unwrap();
        if messages.iter().any(|known| known.id == message.id) {
            return Ok(Accepted::Again);
        }
        messages.push(message);
        Ok(Accepted::New)
    }

    async fn receipt(&self, receipt: Receipt) -> Result<(), Busy> {
        self.receipts.lock().unwrap().push(receipt);
        Ok(())
    }

    /// All of the reader's thread, if he does not say what he has seen.
    async fn unread(&self, reader: Reader) -> Vec<Outgoing> {
        let mut sent = self.sent.subscribe();
        loop {
            let mut texts = sent.borrow_and_update().clone();
            texts.retain(|text| (&text.tenant, &text.peer) == (&reader.tenant, &reader.peer));
            let seen = texts.iter().position(|text| Some(&text.key) == reader.seen.as_ref());
            texts.drain(..seen.map_or(0, |seen| seen + 1));
            if !texts.is_empty() {
                return texts;
            }
            sent.changed().await.unwrap();
        }
    }
}

#[async_trait]
impl Switchboard for Desk {
    fn answers(&self, to: &str) -> bool {
        to == OURS
    }

    fn admits(&self) -> bool {
        !*self.busy.lock().unwrap()
    }

    async fn arrive(&self, leg: Leg) {
        let legs = self.legs.lock().unwrap().clone();
        legs.unwrap().send(leg).unwrap();
    }
}

/// A request that the fake carrier got.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) form: Vec<(String, String)>,
    pub(crate) authorization: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Asked {
    pub(crate) fn get(&self, name: &str) -> &str {
        self.form.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

/// What the fake carrier answers: status, headers, body. `None` = it hangs up without an answer.
pub(crate) type Reply = Option<(u16, Vec<(&'static str, &'static str)>, String)>;

/// A fake of a carrier's REST API.
#[derive(Default)]
pub(crate) struct Rest {
    pub(crate) asked: Mutex<Vec<Asked>>,
    pub(crate) replies: Mutex<VecDeque<Reply>>,
}

impl Rest {
    /// Opens, on a free port.
    pub(crate) async fn open() -> (Arc<Self>, SocketAddr) {
        let rest = Arc::new(Self::default());
        let answering = Arc::clone(&rest);
        let double = Router::new().fallback(move |uri, headers, body| {
            let rest = Arc::clone(&answering);
            async move { rest.answer(uri, headers, body).await }
        });
        let at = serve(double).await;
        (rest, at)
    }

    pub(crate) fn reply(&self, status: u16, body: &str) {
        self.replies.lock().unwrap().push_back(Some((status, Vec::new(), body.into())));
    }

    /// Waits until `count` requests have come.
    pub(crate) async fn wait(&self, count: usize) -> Vec<Asked> {
        until(|| self.asked.lock().unwrap().len() >= count).await;
        self.asked.lock().unwrap().clone()
    }

    async fn answer(&self, uri: Uri, headers: HeaderMap, body: Bytes) -> axum::response::Response {
        let authorization = headers.get("authorization").and_then(|value| value.to_str().ok());
        self.asked.lock().unwrap().push(Asked {
            path: uri.path().into(),
            form: url::form_urlencoded::parse(&body).into_owned().collect(),
            authorization: authorization.unwrap_or_default().into(),
            headers: headers.clone(),
            body,
        });
        let reply = self.replies.lock().unwrap().pop_front();
        match reply {
            Some(Some((status, headers, body))) => {
                let mut answer = (StatusCode::from_u16(status).unwrap(), body).into_response();
                for (name, value) in headers {
                    answer.headers_mut().insert(name, value.parse().unwrap());
                }
                answer
            }
            Some(None) => std::future::pending().await,
            None => (StatusCode::CREATED, r#"{"sid":"SM1","status":"queued"}"#).into_response(),
        }
    }
}

pub(crate) struct House {
    pub(crate) at: SocketAddr,
    pub(crate) desk: Arc<Desk>,
    pub(crate) rest: Arc<Rest>,
    pub(crate) legs: mpsc::UnboundedReceiver<Leg>,
    pub(crate) twilio: Arc<Twilio>,
    pub(crate) browser: Arc<Browser>,
    pub(crate) http: reqwest::Client,
}

/// Limits that a test does not wait long for.
pub(crate) fn limits() -> Limits {
    Limits {
        start: Duration::from_millis(300),
        ping: Duration::from_millis(100),
        silence: Duration::from_secs(5),
        lost: Duration::from_millis(100),
        request: Duration::from_millis(500),
        ..Limits::default()
    }
}

impl House {
    pub(crate) async fn open() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        // Taken by whoever came first; all of them are the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (rest, rest_at) = Rest::open().await;
        let mut settings = Settings::new(PUBLIC);
        settings.account_sid = ACCOUNT.into();
        settings.auth_token = Some(TOKEN.into());
        settings.base_url = format!("http://{rest_at}");
        settings.unsigned = Unsigned::Refuse;
        settings.limits = limits();
        change(&mut settings);
        let twilio = Twilio::new(settings).unwrap();
        let browser = Browser::with(browser::Limits {
            start: Duration::from_millis(300),
            ping: Duration::from_millis(100),
            silence: Duration::from_millis(600),
        });
        let desk = Arc::new(Desk::default());
        let legs = desk.legs();
        let router = twilio
            .router(desk.clone(), desk.clone())
            .merge(browser.router(desk.clone(), desk.clone()));
        let at = serve(router).await;
        let http = client();
        Self { at, desk, rest, legs, twilio, browser, http }
    }

    /// Posts a signed form; status and body.
    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, String) {
        self.post_with(path, form, &[]).await
    }

    pub(crate) async fn post_with(
        &self,
        path: &str,
        form: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> (u16, String) {
        let mut request = self
            .http
            .post(format!("http://{}{path}", self.at))
            .header("X-Twilio-Signature", sign(&format!("{PUBLIC}{path}"), form))
            .form(form);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Rings; the token of the answer's stream.
    pub(crate) async fn ring(&self) -> String {
        let form = [("CallSid", CALL), ("From", PEER), ("To", OURS), ("CallStatus", "ringing")];
        let (status, answer) = self.post("/twilio/voice", &form).await;
        assert_eq!(status, 200, "{answer}");
        token(&answer)
    }

    /// Opens a socket.
    pub(crate) async fn socket(&self, path: &str, headers: &[(&'static str, &str)]) -> Socket {
        self.try_socket(path, headers).await.unwrap()
    }

    pub(crate) async fn try_socket(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Socket, tungstenite::Error> {
        let mut request = format!("ws://{}{path}", self.at).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        Ok(Socket(tokio_tungstenite::connect_async(request).await?.0))
    }

    /// A media stream that has begun with this token.
    pub(crate) async fn stream(&self, token: &str) -> Socket {
        let mut socket = self.socket("/twilio/media", &[]).await;
        socket.say(r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#).await;
        socket.say(&start(token)).await;
        socket
    }

    /// The next leg that arrives.
    pub(crate) async fn leg(&mut self) -> Leg {
        timeout(SOON, self.legs.recv()).await.unwrap().unwrap()
    }
}

/// A client without a proxy, which keeps no connections.
pub(crate) fn client() -> reqwest::Client {
    // Taken by whoever came first; all of them are the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap()
}

pub(crate) async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    at
}

/// The token in a TwiML answer.
pub(crate) fn token(answer: &str) -> String {
    let (_, rest) = answer.split_once("name=\"token\" value=\"").unwrap();
    rest.split('"').next().unwrap().into()
}

/// A `start` message with this token.
pub(crate) fn start(token: &str) -> String {
    serde_json::json!({
        "event": "start", "sequenceNumber": "1", "streamSid": "MZ1",
        "start": {
            "accountSid": ACCOUNT, "streamSid": "MZ1", "callSid": CALL, "tracks": ["inbound"],
            "mediaFormat": { "encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1 },
            "customParameters": { "token": token },
        },
    })
    .to_string()
}

/// Signs a form without repeated names.
pub(crate) fn sign(url: &str, form: &[(&str, &str)]) -> String {
    let mut form = form.to_vec();
    form.sort();
    let mut mac = Hmac::<Sha1>::new_from_slice(TOKEN.as_bytes()).unwrap();
    mac.update(url.as_bytes());
    for (name, value) in form {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

/// Waits for a condition.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    timeout(SOON, async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the condition did not come true");
}

/// Tasks that live in this test's runtime.
pub(crate) fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// A socket as its far side sees it.
pub(crate) struct Socket(pub(crate) WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub(crate) async fn say(&mut self, text: &str) {
        self.0.send(Frame::text(text)).await.unwrap();
    }

    pub(crate) async fn give(&mut self, bytes: &[u8]) {
        self.0.send(Frame::binary(bytes.to_vec())).await.unwrap();
    }

    /// The next text or binary; `Err` = closed, by this code.
    pub(crate) async fn hear(&mut self) -> Result<Frame, Option<u16>> {
        loop {
            match timeout(SOON, self.0.next()).await.expect("nothing came") {
                Some(Ok(frame @ (Frame::Text(_) | Frame::Binary(_)))) => return Ok(frame),
                Some(Ok(Frame::Close(frame))) => return Err(frame.map(|f| f.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// The next text, as JSON.
    pub(crate) async fn json(&mut self) -> serde_json::Value {
        let frame = self.hear().await.unwrap();
        serde_json::from_str(frame.to_text().unwrap()).unwrap()
    }

    /// The code by which the far side closes, past whatever it still says.
    pub(crate) async fn closed(&mut self) -> Option<u16> {
        loop {
            if let Err(code) = self.hear().await {
                // Reading on is what sends our own farewell.
                while let Ok(Some(Ok(_))) = timeout(SOON, self.0.next()).await {}
                return code;
            }
        }
    }
}
