//! Deepgram Aura (`/v1/speak`): text in, sound out.
//!
//! The vendor knows no turns: its sound is that of the oldest text that has not ended with
//! `Flushed`. A cut clears all of it; what was on its way comes before `Cleared` and is dropped.

use std::collections::VecDeque;
use std::time::Duration;

use agent::Error;
use audio::Rate;
use serde::Deserialize;
use serde_json::json;
use talk::{Say, Spoken, TurnId, Voice};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use url::Url;

use super::VENDOR;
use crate::pcm::{Samples, TELEPHONE, WIDE, is_mulaw};
use crate::speak::{Due, Wire};

/// The voice of an agent that names none.
const DEFAULT_VOICE: &str = "aura-2-thalia-en";

/// What the vendor's voices begin with. Any other id stands for the default.
const OURS: &str = "aura";

/// The vendor takes no longer text at once, characters.
const LONGEST: usize = 2000;

/// The vendor takes 20 flushes in a minute and ignores more. Some are kept for the ends of turns;
/// a clause that is not flushed sounds a little later.
const FLUSHES: (usize, Duration) = (12, Duration::from_secs(60));

/// The address of a voice, and the rate of its sound. A model is a voice here.
pub(super) fn url(mut url: Url, model: &str, voice: &Voice) -> (Url, Rate) {
    let rate = if voice.rate == TELEPHONE { TELEPHONE } else { WIDE };
    let named = [voice.id.as_str(), model].into_iter().find(|name| name.starts_with(OURS));
    url.query_pairs_mut()
        .append_pair("model", named.unwrap_or(DEFAULT_VOICE))
        .append_pair("encoding", if is_mulaw(rate) { "mulaw" } else { "linear16" })
        .append_pair("sample_rate", &rate.to_string());
    (url, rate)
}

/// A voice.
pub(super) struct Aura {
    samples: Samples,
    /// For each flush that is not answered, whose text it ended.
    flushing: VecDeque<TurnId>,
    /// The turn whose text is not flushed yet.
    open: Option<TurnId>,
    /// Turns whose text is complete, but not their sound.
    ending: VecDeque<TurnId>,
    /// So many answers to `Clear` are still to come; sound before them is of nobody.
    clearing: usize,
    /// When the vendor was told to flush, of late.
    flushed: VecDeque<Instant>,
}

impl Aura {
    /// For sound of this rate.
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            samples: Samples::new(rate),
            flushing: VecDeque::new(),
            open: None,
            ending: VecDeque::new(),
            clearing: 0,
            flushed: VecDeque::new(),
        }
    }

    fn flush(&mut self, turn: TurnId) -> Message {
        self.flushing.push_back(turn);
        self.open = None;
        self.flushed.push_back(Instant::now());
        Message::text(r#"{"type":"Flush"}"#)
    }

    /// Whether a clause may be flushed now.
    fn may_flush(&mut self, now: Instant) -> bool {
        while self.flushed.front().is_some_and(|at| now - *at > FLUSHES.1) {
            self.flushed.pop_front();
        }
        self.flushed.len() < FLUSHES.0
    }

    /// Gives the ends of turns of which nothing more comes.
    fn ends(&mut self, due: &mut Due) {
        while let Some(turn) = self.ending.front().copied() {
            if self.flushing.contains(&turn) {
                return;
            }
            self.ending.pop_front();
            due.push_back(Spoken::End(turn));
        }
    }
}

impl Wire for Aura {
    const VENDOR: &'static str = VENDOR;

    fn say(&mut self, say: Say, due: &mut Due) -> Vec<Message> {
        match say {
            Say::Text(turn, text) => {
                self.open = Some(turn);
                // Without a space at its end it would be glued to the next.
                let letters: Vec<char> = format!("{} ", text.trim()).chars().collect();
                let speak = |piece: &[char]| {
                    let text: String = piece.iter().collect();
                    Message::text(json!({ "type": "Speak", "text": text }).to_string())
                };
                let mut messages: Vec<Message> = letters.chunks(LONGEST).map(speak).collect();
                if self.may_flush(Instant::now()) {
                    messages.push(self.flush(turn));
                }
                messages
            }
            Say::End(turn) => {
                self.ending.push_back(turn);
                if self.open == Some(turn) {
                    return vec![self.flush(turn)];
                }
                self.ends(due);
                Vec::new()
            }
            Say::Cut(turn) => {
                let told = self.open.is_some_and(|open| open <= turn)
                    || self.flushing.iter().any(|flushing| *flushing <= turn);
                self.ending.retain(|ending| *ending > turn);
                if !told {
                    return Vec::new();
                }
                // It clears everything; nothing newer can have been said before a cut.
                self.open = None;
                self.flushing.clear();
                self.clearing += 1;
                vec![Message::text(r#"{"type":"Clear"}"#)]
            }
        }
    }

    fn read(&mut self, message: Message, due: &mut Due) -> Result<(), Error> {
        let text = match message {
            Message::Binary(bytes) => {
                let turn = self.flushing.front().copied().or(self.open);
                let frame = self.samples.frame(&bytes);
                if let Some(turn) = turn.filter(|_| self.clearing == 0)
                    && !frame.samples.is_empty()
                {
                    due.push_back(Spoken::Sound(turn, frame));
                }
                return Ok(());
            }
            Message::Text(text) => text,
            _ => return Ok(()),
        };
        let said = serde_json::from_str(&text)
            .map_err(|error| Error::Unreadable { vendor: VENDOR, why: error.to_string() })?;
        match said {
            Said::Flushed {} if self.clearing == 0 => {
                self.flushing.pop_front();
                self.ends(due);
            }
            Said::Cleared {} => self.clearing = self.clearing.saturating_sub(1),
            Said::Error { description } => {
                return Err(Error::Unreachable { vendor: VENDOR, why: description });
            }
            Said::Warning { description } => tracing::warn!(vendor = VENDOR, description),
            Said::Flushed {} | Said::Other => {}
        }
        Ok(())
    }

    fn goodbye(&mut self) -> Vec<Message> {
        vec![Message::text(r#"{"type":"Close"}"#)]
    }
}

/// What the vendor says. Fields that we do not need are not named, so that new ones do no harm.
#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
enum Said {
    Flushed {},
    Cleared {},
    Warning {
        #[serde(default)]
        description: String,
    },
    Error {
        #[serde(default)]
        description: String,
    },
    #[serde(other)]
    Other,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const ONE: TurnId = TurnId(1);
    const TWO: TurnId = TurnId(2);

    fn told(aura: &mut Aura, say: Say, due: &mut Due) -> Vec<String> {
        let kind = |message: Message| {
            let value: serde_json::Value =
                serde_json::from_str(message.to_text().unwrap()).unwrap();
            value["type"].as_str().unwrap().to_owned()
        };
        aura.say(say, due).into_iter().map(kind).collect()
    }

    fn flushed() -> Message {
        Message::text(r#"{"type":"Flushed","sequence_id":0}"#)
    }

    #[test]
    fn a_turn_ends_with_its_last_flush() {
        let (mut aura, mut due) = (Aura::new(8000), Due::new());
        assert_eq!(told(&mut aura, Say::Text(ONE, "Hi.".into()), &mut due), ["Speak", "Flush"]);
        assert_eq!(told(&mut aura, Say::Text(ONE, "You.".into()), &mut due), ["Speak", "Flush"]);
        assert!(told(&mut aura, Say::End(ONE), &mut due).is_empty());
        told(&mut aura, Say::Text(TWO, "Next.".into()), &mut due);
        for message in [Message::binary(vec![0xFF; 8]), flushed(), Message::binary(vec![0xFF; 16])]
        {
            aura.read(message, &mut due).unwrap();
        }
        assert!(matches!(due.pop_front(), Some(Spoken::Sound(ONE, frame)) if frame.millis() == 1));
        assert!(matches!(due.pop_front(), Some(Spoken::Sound(ONE, frame)) if frame.millis() == 2));
        assert!(due.is_empty(), "the second clause is not over");
        aura.read(flushed(), &mut due).unwrap();
        assert_eq!(due.pop_front(), Some(Spoken::End(ONE)));
        aura.read(Message::binary(vec![0xFF; 8]), &mut due).unwrap();
        assert!(matches!(due.pop_front(), Some(Spoken::Sound(TWO, _))));
        // A turn without words needs no vendor.
        assert!(told(&mut aura, Say::End(TurnId(3)), &mut due).is_empty());
        assert_eq!(due.pop_front(), Some(Spoken::End(TurnId(3))));
    }

    #[test]
    fn nothing_is_heard_of_a_turn_that_was_cut() {
        let (mut aura, mut due) = (Aura::new(8000), Due::new());
        told(&mut aura, Say::Text(ONE, "One.".into()), &mut due);
        assert_eq!(told(&mut aura, Say::Cut(ONE), &mut due), ["Clear"]);
        assert!(told(&mut aura, Say::Cut(ONE), &mut due).is_empty(), "once is enough");
        told(&mut aura, Say::Text(TWO, "Two.".into()), &mut due);
        let late = [Message::binary(vec![0xFF; 8]), flushed()];
        for message in late {
            aura.read(message, &mut due).unwrap();
        }
        assert!(due.is_empty());
        aura.read(Message::text(r#"{"type":"Cleared","sequence_id":1}"#), &mut due).unwrap();
        aura.read(Message::binary(vec![0xFF; 8]), &mut due).unwrap();
        assert!(matches!(due.pop_front(), Some(Spoken::Sound(TWO, _))));
    }

    #[test]
    fn flushes_are_kept_for_the_ends_of_turns() {
        let (mut aura, mut due) = (Aura::new(8000), Due::new());
        let mut flushes = 0;
        for _ in 0..30 {
            let sent = told(&mut aura, Say::Text(ONE, "Clause.".into()), &mut due);
            flushes += sent.iter().filter(|kind| *kind == "Flush").count();
        }
        assert_eq!(flushes, FLUSHES.0);
        assert_eq!(told(&mut aura, Say::End(ONE), &mut due), ["Flush"]);
        assert!(!aura.may_flush(Instant::now()) && aura.may_flush(Instant::now() + FLUSHES.1 * 2));
        let long = "x".repeat(LONGEST + 5);
        let (mut fresh, long) = (Aura::new(8000), Say::Text(TWO, long));
        assert_eq!(told(&mut fresh, long, &mut due), ["Speak", "Speak", "Flush"]);
    }

    #[test]
    fn errors_and_rubbish_end_the_voice() {
        let (mut aura, mut due) = (Aura::new(8000), Due::new());
        let mut read = |text: &str| aura.read(Message::text(text), &mut due);
        assert!(read(r#"{"type":"Warning","code":"X","description":"y"}"#).is_ok());
        assert!(read(r#"{"type":"Metadata","request_id":"r"}"#).is_ok());
        assert_eq!(
            read(r#"{"type":"Error","description":"no"}"#).unwrap_err().kind(),
            "unreachable"
        );
        assert_eq!(read("<rubbish>").unwrap_err().kind(), "unreadable");
    }

    #[test]
    fn a_voice_of_another_vendor_stands_for_the_default() {
        let base = Url::parse("ws://127.0.0.1:1/v1/speak").unwrap();
        let voice = |id: &str, rate| Voice { id: id.into(), rate, ..Voice::default() };
        let (address, rate) = url(base.clone(), "", &voice("21m00Tcm4TlvDq8ikWAM", 8000));
        assert_eq!(address.query(), Some("model=aura-2-thalia-en&encoding=mulaw&sample_rate=8000"));
        assert_eq!(rate, 8000);
        let (address, _) = url(base, "aura-2-a-en", &voice("aura-2-b-en", 24_000));
        assert_eq!(address.query(), Some("model=aura-2-b-en&encoding=linear16&sample_rate=16000"));
    }
}
