//! Vendors that fail at random: they refuse, hang, stall, break off, send errors and rubbish, and
//! sound of turns that nobody wants any more.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent::{Answer, Ask, Config, Error, Llm, Models, Piece, Took, Tool, ToolCall, Tools, Usage};
use async_trait::async_trait;
use audio::Frame;
use serde_json::json;
use talk::{
    Duplex, Hear, Listening, Say, Speaking, Spoken, Stt, Tts, TurnId, Vendors, Voice, Want, Words,
};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::rig::{LETTER, Log, RATE};

/// Words that must never be heard.
pub(crate) const GHOST: &str = "Nobody wants this.";

/// The same numbers for the same seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `most`.
    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % most
    }

    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

/// How a stream fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    Refuses,
    Unreachable,
    Hangs,
    Stalls,
    Closes,
    Errors,
    Rubbish,
}

/// What all vendors of a plan share.
pub(crate) struct World {
    pub(crate) dice: Mutex<Dice>,
    pub(crate) log: Arc<Mutex<Log>>,
    /// What the caller says.
    pub(crate) saying: Mutex<String>,
    /// Which faults there were.
    pub(crate) faults: Mutex<Vec<String>>,
}

impl World {
    pub(crate) fn below(&self, most: u64) -> u64 {
        self.dice.lock().unwrap().below(most)
    }

    pub(crate) async fn waits(&self, least: u64, most: u64) {
        let millis = least + self.below(most - least);
        sleep(Duration::from_millis(millis)).await;
    }

    /// Whether a stream fails, and after how many pieces.
    pub(crate) fn fault(&self, who: &str, chance: u64) -> Option<(Fault, u64)> {
        let mut dice = self.dice.lock().unwrap();
        if !dice.percent(chance) {
            return None;
        }
        let kinds = [
            Fault::Refuses,
            Fault::Unreachable,
            Fault::Hangs,
            Fault::Stalls,
            Fault::Closes,
            Fault::Errors,
            Fault::Rubbish,
        ];
        let fault = (kinds[dice.below(7) as usize], dice.below(4));
        self.faults.lock().unwrap().push(format!("{who}: {fault:?}"));
        Some(fault)
    }
}

fn error(fault: Fault) -> Error {
    let vendor = "faulty";
    match fault {
        Fault::Refuses => Error::Refused { vendor, why: "no".into() },
        Fault::Rubbish => Error::Unreadable { vendor, why: "<html>".into() },
        Fault::Unreachable | Fault::Hangs | Fault::Stalls | Fault::Closes | Fault::Errors => {
            Error::Unreachable { vendor, why: "500".into() }
        }
    }
}

/// What opening a stream comes to.
pub(crate) async fn opens(fault: Option<(Fault, u64)>) -> Result<Option<(Fault, u64)>, Error> {
    match fault {
        Some((fault @ (Fault::Refuses | Fault::Unreachable), _)) => Err(error(fault)),
        Some((Fault::Hangs, _)) => std::future::pending().await,
        other => Ok(other),
    }
}

/// Counts the pieces of a stream up to its fault.
pub(crate) struct Fuse(pub(crate) Option<(Fault, u64)>);

impl Fuse {
    /// `true` = the stream is over. A stall lasts until nobody listens any more.
    pub(crate) async fn blows<T>(&mut self, out: &mpsc::Sender<Result<T, Error>>) -> bool {
        match &mut self.0 {
            Some((Fault::Stalls | Fault::Hangs, 0)) => {
                out.closed().await;
                true
            }
            Some((Fault::Closes, 0)) => true,
            Some((fault, 0)) => {
                let _ = out.send(Err(error(*fault))).await;
                true
            }
            Some((_, left)) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }
}

/// A vendor of any kind, with its chance to fail, in percent of its streams.
pub(crate) struct Faulty {
    pub(crate) world: Arc<World>,
    pub(crate) chance: u64,
}

#[async_trait]
impl Stt for Faulty {
    async fn open(&self, _: Want) -> Result<Listening, Error> {
        let fuse = Fuse(opens(self.world.fault("stt", self.chance)).await?);
        let (sound, hears) = mpsc::channel(16);
        let (words_in, words) = mpsc::channel(16);
        tokio::spawn(recognizes(Arc::clone(&self.world), fuse, hears, words_in));
        Ok(Listening { sound, words })
    }
}

/// Guesses in the middle of what is said, and is sure after it.
async fn recognizes(
    world: Arc<World>,
    mut fuse: Fuse,
    mut hears: mpsc::Receiver<Hear>,
    words: mpsc::Sender<Result<Words, Error>>,
) {
    let mut loud = 0;
    while let Some(hear) = hears.recv().await {
        let said = world.saying.lock().unwrap().clone();
        let said = match hear {
            Hear::Frame(frame) if frame.samples.iter().any(|sample| sample.abs() > 500) => {
                loud += 1;
                let half = said.split_inclusive(' ').take(2).collect::<String>();
                if loud % 15 == 0 { vec![Words::Partial(half)] } else { vec![] }
            }
            Hear::Quiet if loud > 5 => {
                loud = 0;
                let end = (world.below(2) == 0).then_some(Words::EndOfTurn);
                let late = 20 + world.below(200);
                sleep(Duration::from_millis(late)).await;
                [Words::Final(said)].into_iter().chain(end).collect()
            }
            Hear::Frame(_) | Hear::Voice | Hear::Quiet | Hear::Expect(_) => vec![],
        };
        for word in said {
            if fuse.blows(&words).await || words.send(Ok(word)).await.is_err() {
                return;
            }
        }
    }
}

impl Llm for Faulty {
    fn ask(&self, _: Ask) -> Answer {
        let world = Arc::clone(&self.world);
        let fault = world.fault("llm", self.chance);
        let (pieces, answer) = mpsc::channel(8);
        tokio::spawn(async move {
            let mut fuse = Fuse(fault.map(|(fault, left)| match fault {
                Fault::Refuses | Fault::Unreachable | Fault::Hangs => (fault, 0),
                _ => (fault, left),
            }));
            let mut thoughts: Vec<Piece> = (0..1 + world.below(4))
                .map(|n| Piece::Text(format!("This is sentence {n} of an answer. ")))
                .collect();
            if world.below(4) == 0 {
                let id = format!("c{}", world.below(1_000_000));
                let call = ToolCall { id, name: "look_up".into(), arguments: "{}".into() };
                thoughts.push(Piece::Call(call));
            }
            thoughts.push(Piece::End(Usage::default()));
            for thought in thoughts {
                tokio::select! {
                    () = pieces.closed() => return,
                    () = world.waits(50, 600) => {}
                }
                if fuse.blows(&pieces).await || pieces.send(Ok(thought)).await.is_err() {
                    return;
                }
            }
        });
        Answer(answer)
    }
}

#[async_trait]
impl Tts for Faulty {
    async fn open(&self, _: Voice) -> Result<Speaking, Error> {
        let fuse = Fuse(opens(self.world.fault("tts", self.chance)).await?);
        let (say, says) = mpsc::channel(4);
        let (sound_in, sound) = mpsc::channel(4);
        tokio::spawn(speaks(Arc::clone(&self.world), fuse, says, sound_in));
        Ok(Speaking { say, sound })
    }
}

/// Speaks; and now and then goes on with a turn that was cut, or speaks for one that is not.
async fn speaks(
    world: Arc<World>,
    mut fuse: Fuse,
    mut says: mpsc::Receiver<Say>,
    sound: mpsc::Sender<Result<Spoken, Error>>,
) {
    while let Some(say) = says.recv().await {
        let (turn, text) = match say {
            Say::Text(turn, text) => (turn, text),
            Say::Cut(turn) if world.below(2) == 0 => (turn, GHOST.to_owned()),
            Say::Cut(_) => continue,
            Say::End(turn) => {
                if fuse.blows(&sound).await || sound.send(Ok(Spoken::End(turn))).await.is_err() {
                    return;
                }
                continue;
            }
        };
        let number = {
            let mut log = world.log.lock().unwrap();
            log.texts.push(text.clone());
            log.texts.len()
        };
        world.waits(50, 250).await;
        let samples =
            vec![number as i16 * 100; text.len() * LETTER as usize * RATE as usize / 1000];
        for piece in samples.chunks(1_600) {
            let ghost = world.below(50) == 0 && text != GHOST;
            let of = if ghost { TurnId(turn.0.saturating_sub(1)) } else { turn };
            if ghost {
                // Sound without a number is of no text.
                let frame = Frame { rate: RATE, samples: vec![32_700; 160] };
                let _ = sound.send(Ok(Spoken::Sound(of, frame))).await;
            }
            if fuse.blows(&sound).await {
                return;
            }
            let frame = Frame { rate: RATE, samples: piece.to_vec() };
            if sound.send(Ok(Spoken::Sound(turn, frame))).await.is_err() {
                return;
            }
        }
    }
}

/// A tool that answers soon, late, or never.
pub(crate) struct Errands(pub(crate) Arc<World>);

#[async_trait]
impl Tools for Errands {
    fn list(&self) -> Vec<Tool> {
        vec![Tool {
            name: "look_up".into(),
            description: "Looks up.".into(),
            parameters: json!({"type": "object"}),
        }]
    }

    async fn take(&self, key: &str, _: &ToolCall) -> Took {
        self.0.log.lock().unwrap().taken.push(key.into());
        match self.0.below(4) {
            0 => std::future::pending().await,
            1 => self.0.waits(1_000, 9_000).await,
            _ => self.0.waits(10, 300).await,
        }
        Took::Result { value: json!({"free": true}), speak: true }
    }
}

/// The vendors of a plan.
pub(crate) struct Market {
    pub(crate) stt: Vec<Arc<Faulty>>,
    pub(crate) llm: Vec<Arc<Faulty>>,
    pub(crate) tts: Vec<Arc<Faulty>>,
    pub(crate) duplex: Option<Arc<Faulty>>,
}

impl Models for Market {
    fn llm(&self, _: &Config) -> Result<Vec<Arc<dyn Llm>>, Error> {
        Ok(self.llm.iter().map(|vendor| Arc::clone(vendor) as Arc<dyn Llm>).collect())
    }
}

impl Vendors for Market {
    fn stt(&self, _: &Config) -> Result<Vec<Arc<dyn Stt>>, Error> {
        Ok(self.stt.iter().map(|vendor| Arc::clone(vendor) as Arc<dyn Stt>).collect())
    }

    fn tts(&self, _: &Config) -> Result<Vec<Arc<dyn Tts>>, Error> {
        Ok(self.tts.iter().map(|vendor| Arc::clone(vendor) as Arc<dyn Tts>).collect())
    }

    fn duplex(&self, _: &Config) -> Result<Option<Arc<dyn Duplex>>, Error> {
        Ok(self.duplex.clone().map(|vendor| vendor as Arc<dyn Duplex>))
    }
}
