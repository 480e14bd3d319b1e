//! pocketsphinx: a recognizer on this machine, by grammar, without a key. English only.
//!
//! Read in this order: [`grammar`] (what can be understood) → [`utterance`] (what is recognized at
//! once) → [`run`] (the programs) → this file (the stream).
//!
//! With phrases to choose from it understands nearly every one of them. Without ([`Hear::Expect`]
//! of `None`) it takes dictation, and is wrong about most words: good enough to see that something
//! was said, not what.

mod grammar;
mod run;
mod utterance;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use agent::Error;
use async_trait::async_trait;
use talk::{Hear, Listening, Stt, Want, Words};
use tokio::sync::mpsc;

use crate::programs;
use grammar::{Dictionary, Grammar};
use run::{Runner, Understood};
use utterance::{Utterance, Utterances};

pub(crate) const VENDOR: &str = "pocketsphinx";

/// The program, and the Debian packages that have it and its model.
const PROGRAM: &str = "pocketsphinx_batch";
const PACKAGES: &str = "pocketsphinx pocketsphinx-en-us";

/// Where Debian puts the model.
const MODEL: &str = "/usr/share/pocketsphinx/model/en-us";

/// What is heard when somebody clearly spoke, but none of the phrases. A model can ask again.
pub const UNCLEAR: &str = "(unclear)";

/// Sound that may wait to be taken by the stream's task: 5 s.
const SOUNDS: usize = 256;

/// Utterances that may wait to be recognized; a caller who speaks on while this many wait is not
/// understood anyway, so the oldest is dropped.
const UTTERANCES: usize = 4;

/// The recognizer.
pub struct Pocketsphinx {
    program: Option<PathBuf>,
    model: PathBuf,
}

impl Default for Pocketsphinx {
    fn default() -> Self {
        Self { program: programs::find(PROGRAM), model: MODEL.into() }
    }
}

impl Pocketsphinx {
    /// The program.
    ///
    /// # Errors
    /// It or its model is not installed; says which packages have them.
    pub fn program(&self) -> Result<&PathBuf, Error> {
        match &self.program {
            Some(program) if self.model.join(grammar::DICTIONARY).is_file() => Ok(program),
            Some(_) => Err(programs::missing(VENDOR, &self.model.to_string_lossy(), PACKAGES)),
            None => Err(programs::missing(VENDOR, PROGRAM, PACKAGES)),
        }
    }
}

#[async_trait]
impl Stt for Pocketsphinx {
    fn name(&self) -> &'static str {
        VENDOR
    }

    async fn open(&self, want: Want) -> Result<Listening, Error> {
        let program = self.program()?.clone();
        let language = want.language.to_ascii_lowercase();
        if !language.is_empty() && !language.starts_with("en") {
            let why = format!("it understands English only, not `{}`", want.language);
            return Err(Error::Refused { vendor: VENDOR, why });
        }
        let dictionary = grammar::dictionary(&self.model).await?;
        let runner = Arc::new(Runner::new(program, self.model.clone()).await?);
        let (sound, sounds) = mpsc::channel(SOUNDS);
        let (send, words) = mpsc::channel(SOUNDS);
        let stream = Stream { runner, dictionary, utterances: Utterances::new(want.rate) };
        tokio::spawn(stream.run(sounds, send));
        Ok(Listening { sound, words })
    }
}

struct Stream {
    runner: Arc<Runner>,
    dictionary: Arc<Dictionary>,
    utterances: Utterances,
}

/// An utterance on its way to being understood.
type Recognition = Pin<Box<dyn Future<Output = Result<Understood, Error>> + Send>>;

impl Stream {
    async fn run(
        mut self,
        mut sounds: mpsc::Receiver<Hear>,
        words: mpsc::Sender<Result<Words, Error>>,
    ) {
        let mut phrases: Option<Vec<String>> = None;
        let mut grammar: Option<Arc<Grammar>> = None;
        let mut waiting: VecDeque<Recognition> = VecDeque::new();
        loop {
            tokio::select! {
                hear = sounds.recv() => match hear {
                    None => return,
                    Some(Hear::Expect(wanted)) if wanted == phrases => {}
                    Some(Hear::Expect(wanted)) => {
                        let of = |wanted: &[String]| Arc::new(self.dictionary.grammar(wanted));
                        grammar = wanted.as_deref().map(of);
                        phrases = wanted;
                    }
                    Some(hear) => {
                        if let Some(utterance) = self.utterances.on(hear) {
                            waiting.push_back(self.recognition(utterance, grammar.clone()));
                        }
                        // Never the one that is in the works.
                        if waiting.len() > UTTERANCES {
                            waiting.remove(1);
                        }
                    }
                },
                understood = first(&mut waiting) => {
                    waiting.pop_front();
                    if !tell(&words, understood).await {
                        return;
                    }
                }
                () = words.closed() => return,
            }
        }
    }

    fn recognition(&self, utterance: Utterance, grammar: Option<Arc<Grammar>>) -> Recognition {
        let runner = self.runner.clone();
        Box::pin(async move { runner.recognize(&utterance, grammar.as_deref()).await })
    }
}

/// The end of the first; waits for ever when there is none. Sound goes on coming in meanwhile, so
/// this is dropped and made again, but what it waits for goes on.
async fn first(waiting: &mut VecDeque<Recognition>) -> Result<Understood, Error> {
    match waiting.front_mut() {
        Some(recognition) => recognition.await,
        None => std::future::pending().await,
    }
}

/// Tells what was understood; `false` = the stream is over.
async fn tell(
    words: &mpsc::Sender<Result<Words, Error>>,
    understood: Result<Understood, Error>,
) -> bool {
    let text = match understood {
        Ok(Understood::Words(text)) => text,
        Ok(Understood::Unclear) => UNCLEAR.to_owned(),
        Ok(Understood::Noise) => String::new(),
        Err(error) => {
            // Who dropped the words wants no error either.
            let _ = words.send(Err(error)).await;
            return false;
        }
    };
    words.send(Ok(Words::Final(text))).await.is_ok()
        && words.send(Ok(Words::EndOfTurn)).await.is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    async fn why(recognizer: Pocketsphinx, language: &str) -> String {
        let want = Want { rate: 8000, language: language.into(), ..Want::default() };
        recognizer.open(want).await.err().unwrap().to_string()
    }

    #[tokio::test]
    async fn a_missing_program_or_model_names_its_packages() {
        let gone = Pocketsphinx { program: None, ..Pocketsphinx::default() };
        assert!(why(gone, "").await.contains("apt-get install pocketsphinx pocketsphinx-en-us"));
        let bare = Pocketsphinx { model: "/nowhere".into(), ..Pocketsphinx::default() };
        assert!(why(bare, "").await.contains("pocketsphinx-en-us"));
    }

    #[tokio::test]
    async fn it_understands_english_only() {
        let why = why(Pocketsphinx::default(), "de-DE").await;
        assert!(why.contains("English only, not `de-DE`"), "{why}");
    }

    #[tokio::test]
    async fn a_program_that_fails_ends_the_stream_with_an_error() {
        let program = programs::find("false");
        let broken = Pocketsphinx { program, ..Pocketsphinx::default() };
        let want = Want { rate: 8000, language: String::new(), ..Want::default() };
        let mut listening = broken.open(want).await.unwrap();
        listening.sound.send(Hear::Voice).await.unwrap();
        listening.sound.send(Hear::Quiet).await.unwrap();
        let error = listening.words.recv().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), "unreachable");
        assert_eq!(listening.words.recv().await, None);
    }
}
