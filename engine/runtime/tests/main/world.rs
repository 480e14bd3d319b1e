//! The world around a runtime: a carrier of texts, a model, and nobody who speaks.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent::{Answer, Ask, Config, Error, Item, Llm, Models, Piece, ToolCall, Usage};
use async_trait::async_trait;
use conversation::{Messenger, Outgoing, Refusal, Sent};
use jiff::Timestamp;
use runtime::web::{Answered, Asking, Unanswered, Web};
use talk::{Stt, Tts, Vendors};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

/// How long a test waits for anything. Generous: a busy machine is no bug.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for something, or fails and says what did not come.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("still waiting for {what}"))
}

/// A carrier that takes texts, unless it was told to refuse the next ones.
#[derive(Default)]
pub(crate) struct Carrier {
    refusals: Mutex<VecDeque<Refusal>>,
    /// Whether it refuses to say what it took.
    silent: AtomicBool,
    /// How many of the next texts it takes without a word.
    swallowed: AtomicUsize,
    /// Every text that was tried, and whether it was taken.
    tried: watch::Sender<Vec<(Outgoing, bool)>>,
}

impl Carrier {
    /// The next text is refused so; several calls are for several texts.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        self.refusals.lock().unwrap().push_back(refusal);
    }

    /// The next texts are taken, but its answers are lost.
    pub(crate) fn swallows(&self, texts: usize) {
        self.swallowed.store(texts, Ordering::Relaxed);
    }

    /// From now on it cannot be asked what it took.
    pub(crate) fn keeps_silent(&self) {
        self.silent.store(true, Ordering::Relaxed);
    }

    /// What was taken, as soon as it is this many.
    pub(crate) async fn sent(&self, count: usize) -> Vec<Outgoing> {
        let what = format!("{count} texts to leave");
        let taken =
            |tried: &Vec<(Outgoing, bool)>| tried.iter().filter(|(_, taken)| *taken).count();
        let mut tried = self.tried.subscribe();
        let tried = match timeout(PATIENCE, tried.wait_for(|tried| taken(tried) >= count)).await {
            Ok(tried) => tried.unwrap().clone(),
            Err(_) => panic!("still waiting for {what}; left so far: {:?}", self.texts()),
        };
        tried.into_iter().filter(|(_, taken)| *taken).map(|(text, _)| text).collect()
    }

    /// What was tried, as soon as it was this often.
    pub(crate) async fn tried(&self, count: usize) -> Vec<Outgoing> {
        let mut tried = self.tried.subscribe();
        let enough = tried.wait_for(|tried| tried.len() >= count);
        let tried = soon("tries", enough).await.unwrap().clone();
        tried.into_iter().map(|(text, _)| text).collect()
    }

    /// What was taken so far.
    pub(crate) fn all(&self) -> Vec<Outgoing> {
        let tried = self.tried.borrow();
        tried.iter().filter(|(_, taken)| *taken).map(|(text, _)| text.clone()).collect()
    }

    /// The words that were taken so far.
    pub(crate) fn texts(&self) -> Vec<String> {
        let tried = self.tried.borrow();
        tried.iter().filter(|(_, taken)| *taken).map(|(text, _)| text.text.clone()).collect()
    }
}

#[async_trait]
impl Messenger for Carrier {
    fn channel(&self) -> &'static str {
        "twilio"
    }

    async fn send(&self, text: &Outgoing) -> Result<Sent, Refusal> {
        let refusal = self.refusals.lock().unwrap().pop_front();
        let mut carrier_id = String::new();
        self.tried.send_modify(|tried| {
            tried.push((text.clone(), refusal.is_none()));
            carrier_id = format!("SM{}", tried.len());
        });
        let fewer = |left: usize| left.checked_sub(1);
        if self.swallowed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer).is_ok() {
            return Err(Refusal::Unknown { why: "the answer was lost".into() });
        }
        refusal.map_or(Ok(Sent { carrier_id }), Err)
    }

    async fn taken(&self, text: &Outgoing, _: Timestamp) -> Result<Vec<Sent>, Refusal> {
        if self.silent.load(Ordering::Relaxed) {
            let why = "it says nothing".into();
            return Err(Refusal::Never { code: "cannot_be_asked".into(), why });
        }
        let tried = self.tried.borrow();
        let alike = tried.iter().enumerate().filter(|(_, (other, taken))| {
            *taken && other.peer == text.peer && other.text == text.text
        });
        Ok(alike.map(|(n, _)| Sent { carrier_id: format!("SM{}", n + 1) }).collect())
    }
}

/// Servers whose answers are given by the test, request by request.
pub(crate) struct Net {
    asked: mpsc::UnboundedSender<Requested>,
    requests: tokio::sync::Mutex<mpsc::UnboundedReceiver<Requested>>,
    count: AtomicUsize,
}

/// A request to a server.
pub(crate) struct Requested {
    pub(crate) asking: Asking,
    answer: oneshot::Sender<Result<Answered, Unanswered>>,
}

impl Net {
    pub(crate) fn new() -> Arc<Self> {
        let (asked, requests) = mpsc::unbounded_channel();
        let (requests, count) = (tokio::sync::Mutex::new(requests), AtomicUsize::new(0));
        Arc::new(Self { asked, requests, count })
    }

    /// How many requests there were.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Answers every request from now on.
    pub(crate) fn serves(self: &Arc<Self>) {
        let net = Arc::clone(self);
        tokio::spawn(async move {
            while let Some(requested) = net.requests.lock().await.recv().await {
                requested.answer(200, "{}");
            }
        });
    }

    /// The next request.
    pub(crate) async fn asked(&self) -> Requested {
        soon("a request to a server", async { self.requests.lock().await.recv().await })
            .await
            .unwrap()
    }
}

impl Requested {
    /// The server's answer.
    pub(crate) fn answer(self, status: u16, body: &str) {
        let (content_type, body) = (String::new(), body.into());
        // Nobody waits any more when the asker was killed.
        let _ = self.answer.send(Ok(Answered { status, content_type, body }));
    }

    /// There is none.
    pub(crate) fn fail(self, why: Unanswered) {
        let _ = self.answer.send(Err(why));
    }
}

#[async_trait]
impl Web for Net {
    async fn ask(&self, asking: Asking) -> Result<Answered, Unanswered> {
        let (answer, answered) = oneshot::channel();
        self.count.fetch_add(1, Ordering::Relaxed);
        self.asked.send(Requested { asking, answer }).unwrap();
        answered.await.unwrap_or_else(|_| Err(Unanswered::Failed("nobody is there".into())))
    }
}

/// A model whose answers are given by the test, question by question.
pub(crate) struct Model {
    asked: mpsc::UnboundedSender<Asked>,
    questions: tokio::sync::Mutex<mpsc::UnboundedReceiver<Asked>>,
}

/// A question to the model.
pub(crate) struct Asked {
    pub(crate) ask: Ask,
    answer: mpsc::Sender<Result<Piece, Error>>,
}

impl Asked {
    /// What the peer said, in order.
    pub(crate) fn heard(&self) -> Vec<String> {
        let user = |item: &Item| match item {
            Item::User { text } => Some(text.clone()),
            _ => None,
        };
        self.ask.items.iter().filter_map(user).collect()
    }

    /// What it said itself, in order.
    pub(crate) fn said(&self) -> Vec<String> {
        let assistant = |item: &Item| match item {
            Item::Assistant { text, .. } => Some(text.clone()),
            _ => None,
        };
        self.ask.items.iter().filter_map(assistant).collect()
    }

    /// What tools answered, in order.
    pub(crate) fn results(&self) -> Vec<String> {
        let tool = |item: &Item| match item {
            Item::Tool { text, .. } => Some(text.clone()),
            _ => None,
        };
        self.ask.items.iter().filter_map(tool).collect()
    }

    /// Answers in words.
    pub(crate) async fn say(self, words: &str) {
        let pieces = words.split_inclusive(' ').map(|word| Piece::Text(word.into()));
        self.give(pieces.collect()).await;
    }

    /// Takes a tool, after some words.
    pub(crate) async fn take(self, words: &str, name: &str, arguments: &str) {
        let call = ToolCall { id: "c1".into(), name: name.into(), arguments: arguments.into() };
        self.give(vec![Piece::Text(words.into()), Piece::Call(call)]).await;
    }

    /// Cannot answer.
    pub(crate) async fn fail(self) {
        let error = Error::Unreachable { vendor: "test", why: "it is down".into() };
        let _ = self.answer.send(Err(error)).await;
    }

    /// Resolves when nobody wants the answer any more.
    pub(crate) async fn dropped(&self) {
        soon("the question to be dropped", self.answer.closed()).await;
    }

    async fn give(self, pieces: Vec<Piece>) {
        for piece in pieces {
            // Nobody may want it any more.
            let _ = self.answer.send(Ok(piece)).await;
        }
        let _ = self.answer.send(Ok(Piece::End(Usage::default()))).await;
    }
}

impl Model {
    pub(crate) fn new() -> Arc<Self> {
        let (asked, questions) = mpsc::unbounded_channel();
        Arc::new(Self { asked, questions: tokio::sync::Mutex::new(questions) })
    }

    /// Answers every question from now on.
    pub(crate) fn echoes(self: &Arc<Self>) {
        let model = Arc::clone(self);
        tokio::spawn(async move {
            while let Some(asked) = model.questions.lock().await.recv().await {
                let words = format!("re: {}", asked.heard().pop().unwrap_or_default());
                asked.say(&words).await;
            }
        });
    }

    /// The next question.
    pub(crate) async fn asked(&self) -> Asked {
        soon("a question to the model", async { self.questions.lock().await.recv().await.unwrap() })
            .await
    }

    /// The next question that somebody still wants answered.
    pub(crate) async fn wanted(&self) -> Asked {
        loop {
            let asked = self.asked().await;
            if !asked.answer.is_closed() {
                return asked;
            }
        }
    }
}

impl Llm for Model {
    fn ask(&self, ask: Ask) -> Answer {
        let (answer, pieces) = mpsc::channel(16);
        self.asked.send(Asked { ask, answer }).unwrap();
        Answer(pieces)
    }
}

/// The vendors: one model, no speech.
pub(crate) struct World(pub(crate) Arc<Model>);

fn none<T>() -> Result<T, Error> {
    Err(Error::Refused { vendor: "test", why: "there is no speech here".into() })
}

impl Models for World {
    fn llm(&self, _: &Config) -> Result<Vec<Arc<dyn Llm>>, Error> {
        Ok(vec![self.0.clone()])
    }
}

impl Vendors for World {
    fn stt(&self, _: &Config) -> Result<Vec<Arc<dyn Stt>>, Error> {
        none()
    }

    fn tts(&self, _: &Config) -> Result<Vec<Arc<dyn Tts>>, Error> {
        none()
    }
}

#[async_trait]
impl call::Library for World {
    async fn fetch(&self, source: &str) -> Result<Vec<u8>, String> {
        Err(format!("{source}: there are no files here"))
    }
}
