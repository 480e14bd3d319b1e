//! A model that hears and speaks, and does what a test says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent::{Error, ToolCall, Usage};
use async_trait::async_trait;
use audio::Frame;
use talk::{Brief, Conversing, Duplex, Tell, Told, TurnId};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::rig::{LETTER, Log, RATE, Step};

/// What it does with fixed words.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Mute {
    /// It says them.
    #[default]
    Never,
    /// It says so many pieces of their sound, and no more.
    Says(usize),
    /// It says the first of them, and nothing of any other.
    AfterGreeting,
}

/// For each time that it is opened: its answers; when the first is an error, it refuses. After the
/// last it refuses too.
pub(crate) struct FakeDuplex {
    pub(crate) mute: Mute,
    pub(crate) opens: Mutex<VecDeque<Vec<Vec<Step>>>>,
    pub(crate) log: Arc<Mutex<Log>>,
}

#[async_trait]
impl Duplex for FakeDuplex {
    async fn open(&self, brief: Brief) -> Result<Conversing, Error> {
        self.log.lock().unwrap().briefs.push(brief);
        let answers = self.opens.lock().unwrap().pop_front();
        let refuses = |answers: &Vec<Vec<Step>>| matches!(answers[..], [ref first] if matches!(first[..], [Step::Error]));
        let Some(answers) = answers.filter(|answers| !refuses(answers)) else {
            return Err(Error::Refused { vendor: "fake", why: "no".into() });
        };
        let (tell, tells) = mpsc::channel(64);
        let (give, told) = mpsc::channel(64);
        let model = Model { give, log: Arc::clone(&self.log), calls: 0, says: 0, mute: self.mute };
        tokio::spawn(model.live(tells, answers.into()));
        Ok(Conversing { tell, told })
    }
}

struct Model {
    give: mpsc::Sender<Result<Told, Error>>,
    log: Arc<Mutex<Log>>,
    calls: usize,
    says: usize,
    mute: Mute,
}

impl Model {
    async fn live(mut self, mut tells: mpsc::Receiver<Tell>, mut answers: VecDeque<Vec<Step>>) {
        while let Some(tell) = tells.recv().await {
            let kept = match &tell {
                Tell::Frame(_) => {
                    self.log.lock().unwrap().frames += 1;
                    continue;
                }
                other => other.clone(),
            };
            self.log.lock().unwrap().tells.push(kept);
            let going_on = match tell {
                Tell::Ask { turn, .. } => match answers.pop_front() {
                    Some(steps) => self.answer(turn, steps).await,
                    None => self.answer(turn, vec![Step::Text("Okay."), Step::End]).await,
                },
                Tell::Say { turn, words } => {
                    self.says += 1;
                    let most = match self.mute {
                        Mute::Never => usize::MAX,
                        Mute::AfterGreeting if self.says == 1 => usize::MAX,
                        Mute::AfterGreeting => 0,
                        Mute::Says(most) => most,
                    };
                    self.sound_of(turn, &words, most).await
                        && (most < usize::MAX || self.give(Told::Said(turn)).await)
                }
                Tell::Voice | Tell::Noise | Tell::Result { .. } => true,
                Tell::Cut { .. } | Tell::Frame(_) => true,
            };
            if !going_on {
                return;
            }
        }
    }

    /// `false` = the conversation is over.
    async fn answer(&mut self, turn: TurnId, steps: Vec<Step>) -> bool {
        for step in steps {
            let fine = match step {
                Step::Text(text) => {
                    // Sound first: nobody promises an order.
                    self.sound(turn, text).await && self.give(Told::Text(turn, text.into())).await
                }
                Step::Call(name) => {
                    self.calls += 1;
                    let (id, arguments) = (format!("c{}", self.calls), "{}".into());
                    let call = ToolCall { id, name: name.into(), arguments };
                    self.give(Told::Call(turn, call)).await
                }
                Step::Wait(millis) => {
                    sleep(Duration::from_millis(millis)).await;
                    true
                }
                Step::Heard(words) => self.give(Told::Heard(turn, words.into())).await,
                Step::End => self.give(Told::End(turn, Usage::default())).await,
                Step::Error | Step::Close => false,
                Step::Stall => {
                    self.give.closed().await;
                    false
                }
            };
            if !fine {
                return false;
            }
        }
        true
    }

    /// All at once, faster than anybody can play it, in pieces of any size.
    async fn sound(&self, turn: TurnId, text: &str) -> bool {
        self.sound_of(turn, text, usize::MAX).await
    }

    async fn sound_of(&self, turn: TurnId, text: &str, most: usize) -> bool {
        let number = {
            let mut log = self.log.lock().unwrap();
            log.texts.push(text.to_owned());
            log.texts.len()
        };
        let samples = vec![number as i16 * 100; (text.len() as u64 * LETTER * 8) as usize];
        for piece in samples.chunks(700).take(most) {
            let frame = Frame { rate: RATE, samples: piece.to_vec() };
            if !self.give(Told::Sound(turn, frame)).await {
                return false;
            }
        }
        true
    }

    async fn give(&self, told: Told) -> bool {
        self.give.send(Ok(told)).await.is_ok()
    }
}
