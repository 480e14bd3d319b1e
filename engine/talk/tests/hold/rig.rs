//! A call in virtual time: a carrier that plays and marks, and vendors that do what a test says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::leg::carrier;
use crate::model::{FakeDuplex, Mute};
use agent::{
    Answer, Ask, Config, Error, Item, Llm, Models, Piece, Took, Tool, ToolCall, Tools, Usage,
};
use async_trait::async_trait;
use audio::Frame;
use serde_json::json;
use talk::{
    Brief, Duplex, Ended, Hear, Inbound, Listening, Note, Say, Speaking, Spoken, Stt, Talk, Tell,
    Tts, TurnId, Vendors, Voice, Want, Words,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

pub(crate) const RATE: u32 = 8_000;
/// How long a letter sounds here.
pub(crate) const LETTER: u64 = 60;

/// What a recognizer or a voice does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Vendor {
    Works,
    Refuses,
    /// Never opens.
    Hangs,
    /// Opens, and does nothing.
    Silent,
    /// The stream closes: a voice's after so many and a half clauses, a recognizer's after so many
    /// seconds; the recognizer works when it is opened again.
    Drops(u64),
    /// A voice that closes after 2 s in which it had nothing to say.
    Idles,
}

/// What a model does, in order.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Text(&'static str),
    Call(&'static str),
    Wait(u64),
    /// Only of a model that hears: what the caller said.
    Heard(&'static str),
    End,
    Error,
    Close,
    Stall,
}
pub(crate) use Step::{Call, Close, End, Stall, Text, Wait};

/// What happened, for tests to look at.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) texts: Vec<String>,
    /// When each frame was played, and of which text.
    pub(crate) played: Vec<(u64, usize)>,
    pub(crate) clears: Vec<u64>,
    pub(crate) hears: Vec<Hear>,
    pub(crate) says: Vec<Say>,
    pub(crate) asks: Vec<Ask>,
    pub(crate) taken: Vec<String>,
    /// What a model that hears and speaks was told, but for frames: those are counted.
    pub(crate) tells: Vec<Tell>,
    pub(crate) frames: usize,
    pub(crate) briefs: Vec<Brief>,
}

pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) history: Vec<Item>,
    pub(crate) stt: Vec<Vendor>,
    pub(crate) llm: Vec<Vec<Vec<Step>>>,
    pub(crate) tts: Vec<Vendor>,
    /// For each time that a model is opened that hears and speaks: its answers. Empty = no such
    /// model; after the last it refuses.
    pub(crate) duplex: Vec<Vec<Vec<Step>>>,
    /// Milliseconds that a tool takes, and what comes of it.
    pub(crate) tool: (u64, Took),
    pub(crate) duration: u64,
    /// How many messages the leg takes at a time.
    pub(crate) room: usize,
    /// The rate of the voices.
    pub(crate) voice_rate: u32,
    /// Milliseconds from a clause to its first sound.
    pub(crate) first_sound: u64,
    /// What a model that hears and speaks does with fixed words.
    pub(crate) mute: Mute,
    /// With whose greeting it rings, and for how many milliseconds.
    pub(crate) rings: Option<Config>,
    pub(crate) rings_for: u64,
}

impl Default for Setup {
    fn default() -> Self {
        let mut config = Config { greeting: "Hello, this is Ada.".into(), ..Config::default() };
        config.vad_config.confidence = 0.55;
        Self {
            config,
            history: Vec::new(),
            stt: vec![Vendor::Works],
            llm: vec![vec![]],
            tts: vec![Vendor::Works],
            duplex: Vec::new(),
            tool: (100, Took::Result { value: json!({"free": true}), speak: true }),
            duration: 600,
            room: 64,
            voice_rate: RATE,
            first_sound: 50,
            mute: Mute::Never,
            rings: None,
            rings_for: 0,
        }
    }
}

/// Where a recognizer's words go, while one is open.
type Recognized = Arc<Mutex<Option<mpsc::Sender<Result<Words, Error>>>>>;

/// A call that is under way.
pub(crate) struct Phone {
    pub(crate) log: Arc<Mutex<Log>>,
    pub(crate) notes: mpsc::UnboundedReceiver<Note>,
    words: Recognized,
    speaking: Arc<Mutex<bool>>,
    inbound: mpsc::Sender<Inbound>,
    task: JoinHandle<Ended>,
    carrier: JoinHandle<()>,
    start: Instant,
}

impl Phone {
    pub(crate) fn begin(setup: Setup) -> Self {
        let log = Arc::new(Mutex::new(Log::default()));
        let words = Arc::new(Mutex::new(None));
        let speaking = Arc::new(Mutex::new(false));
        let (inbound, mut from_leg) = mpsc::channel(1_000);
        let (to_leg, outbound) = mpsc::channel(setup.room);
        let (notes_in, notes) = mpsc::unbounded_channel();
        let start = Instant::now();
        let carrier = tokio::spawn(carrier(
            outbound,
            inbound.clone(),
            Arc::clone(&log),
            Arc::clone(&speaking),
            start,
        ));
        let duplex = (!setup.duplex.is_empty()).then(|| -> Arc<dyn Duplex> {
            let opens = Mutex::new(setup.duplex.into());
            Arc::new(FakeDuplex { opens, mute: setup.mute, log: Arc::clone(&log) })
        });
        let vendors = Doubles {
            duplex,
            stt: setup
                .stt
                .iter()
                .map(|does| -> Arc<dyn Stt> {
                    Arc::new(FakeStt {
                        does: Mutex::new(*does),
                        words: Arc::clone(&words),
                        log: Arc::clone(&log),
                    })
                })
                .collect(),
            llm: setup
                .llm
                .iter()
                .map(|answers| -> Arc<dyn Llm> {
                    Arc::new(FakeLlm {
                        answers: Mutex::new(answers.iter().cloned().collect()),
                        log: Arc::clone(&log),
                    })
                })
                .collect(),
            tts: setup
                .tts
                .iter()
                .map(|does| -> Arc<dyn Tts> {
                    let sound = (setup.voice_rate, setup.first_sound);
                    Arc::new(FakeTts { does: *does, sound, log: Arc::clone(&log) })
                })
                .collect(),
        };
        let tools = FakeTools { tool: setup.tool, log: Arc::clone(&log) };
        let talk = Talk {
            id: "run:1".into(),
            config: Arc::new(setup.config),
            history: setup.history,
            tools: Arc::new(tools),
            vendors: Arc::new(vendors),
            rate: RATE,
            duration: Duration::from_secs(setup.duration),
            prepared: None,
            notes: notes_in,
            stop: CancellationToken::new(),
        };
        let rings = |config: Config| talk::prepare(&*talk.vendors, &config, RATE);
        let prepared = setup.rings.and_then(rings);
        let talk = Talk { prepared, ..talk };
        let wait = Duration::from_millis(setup.rings_for);
        let task = tokio::spawn(async move {
            sleep(wait).await;
            talk::session::hold(talk, &mut from_leg, &to_leg).await
        });
        Self { log, notes, words, speaking, inbound, task, carrier, start }
    }

    pub(crate) fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    pub(crate) fn at<T>(&self, look: impl FnOnce(&Log) -> T) -> T {
        look(&self.log.lock().unwrap())
    }

    /// Waits for something to be true, a minute at most.
    pub(crate) async fn until(&self, what: &str, mut is: impl FnMut(&Log) -> bool) {
        let begun = self.now();
        while !self.at(&mut is) {
            assert!(
                self.now() - begun < 60_000,
                "it never came to this: {what}\n{:#?}",
                self.at(|log| log.texts.clone())
            );
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until the whole of a text was played.
    pub(crate) async fn hears(&self, text: &str) {
        self.until(text, |log| {
            log.texts.iter().enumerate().any(|(at, own)| {
                own == text && log.frames_of(at) * 20 + 20 > text.len() as u64 * LETTER
            })
        })
        .await;
    }

    /// Waits until some of a text was played.
    pub(crate) async fn hears_begin(&self, text: &str) {
        self.until(text, |log| {
            log.texts.iter().enumerate().any(|(at, own)| own == text && log.frames_of(at) > 0)
        })
        .await;
    }

    pub(crate) async fn passes(&self, millis: u64) {
        sleep(Duration::from_millis(millis)).await;
    }

    /// The caller says something that the recognizer is sure of.
    pub(crate) async fn says(&self, words: &str) {
        self.recognizes(Words::Final(words.into())).await;
    }

    /// The caller says something that the recognizer is not sure of.
    pub(crate) async fn seems_to_say(&self, words: &str) {
        self.recognizes(Words::Partial(words.into())).await;
    }

    pub(crate) async fn recognizes(&self, words: Words) {
        let sender = loop {
            if let Some(sender) =
                self.words.lock().unwrap().clone().filter(|sender| !sender.is_closed())
            {
                break sender;
            }
            sleep(Duration::from_millis(1)).await;
        };
        sender.send(Ok(words)).await.unwrap();
    }

    /// The caller's voice is heard from now on, or not.
    pub(crate) fn voice(&self, on: bool) {
        *self.speaking.lock().unwrap() = on;
    }

    pub(crate) async fn gives(&self, inbound: Inbound) {
        self.inbound.send(inbound).await.unwrap();
    }

    /// The call's task is killed; nothing of the conversation lives on.
    pub(crate) async fn drops(self) {
        self.task.abort();
        let _ = self.task.await;
        drop(self.inbound);
        *self.words.lock().unwrap() = None;
        self.carrier.await.unwrap();
        nobody_lives().await;
    }

    /// Waits for the end; nothing of the conversation lives on.
    pub(crate) async fn ends(self) -> (Ended, Vec<Note>, Arc<Mutex<Log>>, u64) {
        let ended =
            tokio::time::timeout(Duration::from_secs(700), self.task).await.unwrap().unwrap();
        let at = self.start.elapsed().as_millis() as u64;
        drop(self.inbound);
        *self.words.lock().unwrap() = None;
        self.carrier.await.unwrap();
        nobody_lives().await;
        let mut notes = self.notes;
        let mut said = Vec::new();
        while let Ok(note) = notes.try_recv() {
            said.push(note);
        }
        (ended, said, self.log, at)
    }
}

impl Log {
    pub(crate) fn frames_of(&self, text: usize) -> u64 {
        self.played.iter().filter(|(_, own)| *own == text).count() as u64
    }

    /// Texts that were played, at least in part, in order.
    pub(crate) fn heard(&self) -> Vec<&str> {
        let mut heard: Vec<usize> = self.played.iter().map(|(_, text)| *text).collect();
        heard.dedup();
        heard.into_iter().filter_map(|text| self.texts.get(text)).map(String::as_str).collect()
    }
}

pub(crate) async fn nobody_lives() {
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let begun = Instant::now();
    while alive() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(1), "{} tasks live on", alive());
        sleep(Duration::from_millis(1)).await;
    }
}

fn broken(why: &str) -> Error {
    Error::Unreachable { vendor: "fake", why: why.into() }
}

struct Doubles {
    duplex: Option<Arc<dyn Duplex>>,
    stt: Vec<Arc<dyn Stt>>,
    llm: Vec<Arc<dyn Llm>>,
    tts: Vec<Arc<dyn Tts>>,
}

impl Models for Doubles {
    fn llm(&self, _: &Config) -> Result<Vec<Arc<dyn Llm>>, Error> {
        Ok(self.llm.clone())
    }
}

impl Vendors for Doubles {
    fn stt(&self, _: &Config) -> Result<Vec<Arc<dyn Stt>>, Error> {
        Ok(self.stt.clone())
    }

    fn tts(&self, _: &Config) -> Result<Vec<Arc<dyn Tts>>, Error> {
        Ok(self.tts.clone())
    }

    fn duplex(&self, _: &Config) -> Result<Option<Arc<dyn Duplex>>, Error> {
        Ok(self.duplex.clone())
    }
}

struct FakeStt {
    does: Mutex<Vendor>,
    words: Recognized,
    log: Arc<Mutex<Log>>,
}

#[async_trait]
impl Stt for FakeStt {
    async fn open(&self, _: Want) -> Result<Listening, Error> {
        let does = *self.does.lock().unwrap();
        match does {
            Vendor::Refuses => return Err(Error::Refused { vendor: "fake", why: "no".into() }),
            Vendor::Hangs => std::future::pending().await,
            Vendor::Works | Vendor::Silent | Vendor::Drops(_) | Vendor::Idles => {}
        }
        let (sound, mut hears) = mpsc::channel(16);
        let (words_in, words) = mpsc::channel(16);
        let silent = (does == Vendor::Silent).then(|| words_in.clone());
        *self.words.lock().unwrap() = Some(words_in).filter(|_| silent.is_none());
        let (log, own) = (Arc::clone(&self.log), Arc::clone(&self.words));
        tokio::spawn(async move {
            let _open = silent;
            while let Some(hear) = hears.recv().await {
                log.lock().unwrap().hears.push(hear);
            }
        });
        if let Vendor::Drops(seconds) = does {
            *self.does.lock().unwrap() = Vendor::Works;
            tokio::spawn(async move {
                sleep(Duration::from_secs(seconds)).await;
                *own.lock().unwrap() = None;
            });
        }
        Ok(Listening { sound, words })
    }
}

struct FakeLlm {
    answers: Mutex<VecDeque<Vec<Step>>>,
    log: Arc<Mutex<Log>>,
}

impl Llm for FakeLlm {
    fn ask(&self, ask: Ask) -> Answer {
        self.log.lock().unwrap().asks.push(ask);
        let steps =
            self.answers.lock().unwrap().pop_front().unwrap_or_else(|| vec![Text("Okay."), End]);
        let (pieces, answer) = mpsc::channel(8);
        tokio::spawn(async move {
            let mut calls = 0;
            for step in steps {
                let piece = match step {
                    Text(text) => Ok(Piece::Text(text.into())),
                    Call(name) => {
                        calls += 1;
                        Ok(Piece::Call(ToolCall {
                            id: format!("c{calls}"),
                            name: name.into(),
                            arguments: "{}".into(),
                        }))
                    }
                    End => Ok(Piece::End(Usage::default())),
                    Step::Error => Err(broken("it fell")),
                    Wait(millis) => {
                        tokio::select! {
                            () = pieces.closed() => return,
                            () = sleep(Duration::from_millis(millis)) => continue,
                        }
                    }
                    Close => return,
                    Stall => return pieces.closed().await,
                    Step::Heard(_) => continue,
                };
                if pieces.send(piece).await.is_err() {
                    return;
                }
            }
        });
        Answer(answer)
    }

    fn expects(&self, items: &[Item]) -> Option<Vec<String>> {
        match items.last() {
            Some(Item::Assistant { text, .. }) => Some(vec![format!("after {text}")]),
            _ => None,
        }
    }
}

struct FakeTts {
    does: Vendor,
    /// The rate, and how late it is.
    sound: (u32, u64),
    log: Arc<Mutex<Log>>,
}

#[async_trait]
impl Tts for FakeTts {
    async fn open(&self, _: Voice) -> Result<Speaking, Error> {
        match self.does {
            Vendor::Refuses => return Err(Error::Refused { vendor: "fake", why: "no".into() }),
            Vendor::Hangs => std::future::pending().await,
            Vendor::Works | Vendor::Silent | Vendor::Drops(_) | Vendor::Idles => {}
        }
        let (say, says) = mpsc::channel(4);
        let (sound_in, sound) = mpsc::channel(4);
        tokio::spawn(voice(self.does, self.sound, says, sound_in, Arc::clone(&self.log)));
        Ok(Speaking { say, sound })
    }
}

/// Gives the sound of a clause a little after it was told to: each sample is the clause's number.
async fn voice(
    does: Vendor,
    (rate, late): (u32, u64),
    mut says: mpsc::Receiver<Say>,
    sound: mpsc::Sender<Result<Spoken, Error>>,
    log: Arc<Mutex<Log>>,
) {
    let mut spoken = 0;
    let mut cut = TurnId::default();
    loop {
        let patience = Duration::from_secs(if does == Vendor::Idles { 2 } else { 1_000 });
        let Ok(Some(say)) = tokio::time::timeout(patience, says.recv()).await else { return };
        log.lock().unwrap().says.push(say.clone());
        match say {
            Say::Text(turn, text) if turn > cut => {
                if does == Vendor::Silent {
                    continue;
                }
                let number = {
                    let mut log = log.lock().unwrap();
                    log.texts.push(text.clone());
                    log.texts.len()
                };
                sleep(Duration::from_millis(late)).await;
                let samples = (text.len() as u64 * LETTER * u64::from(rate) / 1000) as usize;
                let half = does == Vendor::Drops(spoken);
                let samples = vec![number as i16 * 100; if half { samples / 2 } else { samples }];
                for piece in samples.chunks(700) {
                    if sound
                        .send(Ok(Spoken::Sound(turn, Frame { rate, samples: piece.to_vec() })))
                        .await
                        .is_err()
                    {
                        return;
                    }
                }
                spoken += 1;
                if half {
                    return;
                }
            }
            Say::Text(..) => {}
            Say::End(turn) => {
                if does != Vendor::Silent && sound.send(Ok(Spoken::End(turn))).await.is_err() {
                    return;
                }
            }
            Say::Cut(turn) => cut = cut.max(turn),
        }
    }
}

struct FakeTools {
    tool: (u64, Took),
    log: Arc<Mutex<Log>>,
}

#[async_trait]
impl Tools for FakeTools {
    fn list(&self) -> Vec<Tool> {
        vec![Tool {
            name: "look_up".into(),
            description: "Looks up.".into(),
            parameters: json!({"type": "object"}),
        }]
    }

    async fn take(&self, key: &str, _: &ToolCall) -> Took {
        self.log.lock().unwrap().taken.push(key.into());
        sleep(Duration::from_millis(self.tool.0)).await;
        self.tool.1.clone()
    }
}
