//! Vendors and a library that do what a test wants.

use std::sync::Arc;
use std::time::Duration;

use agent::{Answer, Ask, Config, Error, Llm, Models};
use async_trait::async_trait;
use audio::Frame;
use audio::wav::{Coding, Wav};
use call::{Library, Vendors};
use talk::{Listening, Say, Speaking, Spoken, Stt, Tts, Voice, Want};
use tokio::sync::mpsc;

/// What a voice does.
#[derive(Clone, Copy)]
pub(crate) enum Habit {
    /// 100 ms of sound for each letter, at this rate, in pieces of 7 ms.
    Speaks(u32),
    /// Cannot be opened.
    Closed,
    /// Opens, and says nothing ever.
    Mute,
    /// Breaks after this many pieces of 7 ms.
    Breaks(usize),
}

/// Voices by preference; the recognizer hears nothing, the model says nothing.
pub(crate) struct Studio(pub(crate) Vec<Habit>);

const BROKEN: Error = Error::Unreachable { vendor: "test", why: String::new() };

impl Models for Studio {
    fn llm(&self, _: &Config) -> Result<Vec<Arc<dyn Llm>>, Error> {
        Ok(vec![Arc::new(Quiet)])
    }
}

impl Vendors for Studio {
    fn stt(&self, _: &Config) -> Result<Vec<Arc<dyn Stt>>, Error> {
        Ok(vec![Arc::new(Quiet)])
    }

    fn tts(&self, _: &Config) -> Result<Vec<Arc<dyn Tts>>, Error> {
        Ok(self.0.iter().map(|habit| Arc::new(Studied(*habit)) as Arc<dyn Tts>).collect())
    }
}

struct Studied(Habit);

#[async_trait]
impl Tts for Studied {
    async fn open(&self, _: Voice) -> Result<Speaking, Error> {
        let habit = self.0;
        if matches!(habit, Habit::Closed) {
            return Err(BROKEN);
        }
        let (say, mut said) = mpsc::channel(8);
        let (tell, sound) = mpsc::channel(8);
        tokio::spawn(async move {
            while let Some(say) = said.recv().await {
                let Say::Text(turn, text) = say else {
                    if let (Say::End(turn), Habit::Speaks(_)) = (say, habit) {
                        let _ = tell.send(Ok(Spoken::End(turn))).await;
                    }
                    continue;
                };
                let (rate, pieces) = match habit {
                    Habit::Speaks(rate) => (rate, text.chars().count() * 100 / 7),
                    Habit::Breaks(pieces) => (8000, pieces),
                    Habit::Closed | Habit::Mute => continue,
                };
                for _ in 0..pieces {
                    let samples = vec![1000; rate as usize * 7 / 1000];
                    let sound = Spoken::Sound(turn, Frame { rate, samples });
                    if tell.send(Ok(sound)).await.is_err() {
                        return;
                    }
                }
                if let Habit::Breaks(_) = habit {
                    // What was given before is given time to be heard.
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    let _ = tell.send(Err(BROKEN)).await;
                    return;
                }
            }
        });
        Ok(Speaking { say, sound })
    }
}

struct Quiet;

#[async_trait]
impl Stt for Quiet {
    async fn open(&self, _: Want) -> Result<Listening, Error> {
        let (sound, mut heard) = mpsc::channel(64);
        let (tell, words) = mpsc::channel(1);
        tokio::spawn(async move {
            while heard.recv().await.is_some() {}
            drop(tell);
        });
        Ok(Listening { sound, words })
    }
}

impl Llm for Quiet {
    fn ask(&self, _: Ask) -> Answer {
        let (tell, pieces) = mpsc::channel(1);
        tokio::spawn(async move { tell.closed().await });
        Answer(pieces)
    }
}

/// `good.wav`: 300 ms at 24 kHz; `bad.wav`: no wav; ringing.
pub(crate) struct Shelf;

#[async_trait]
impl Library for Shelf {
    async fn fetch(&self, source: &str) -> Result<Vec<u8>, String> {
        match source {
            "good.wav" => {
                let sound = Frame { rate: 24_000, samples: vec![500; 7200] };
                Ok(Wav::from(sound).write(Coding::Pcm16))
            }
            "tone:ringback" => {
                let sound = Frame { rate: 8000, samples: audio::tone::ringback(8000) };
                Ok(Wav::from(sound).write(Coding::Pcm16))
            }
            "bad.wav" => Ok(b"RIFF, but not really".to_vec()),
            _ => Err(format!("`{source}` is not there")),
        }
    }
}
