//! ElevenLabs: text in, sound out, over one WebSocket a call, with a context for each turn.
//!
//! A clause is flushed as it comes, so that it sounds at once; the end of a turn closes its
//! context, which is the only way to be told that all its sound has come. A cut closes it as well;
//! sound of it that is on its way is known by its context and dropped.

use std::collections::VecDeque;
use std::future::pending;
use std::time::Duration;

use agent::Error;
use async_trait::async_trait;
use audio::g711::Law;
use audio::{Frame, Rate};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use talk::{Say, Speaking, Spoken, Tts, TurnId, Voice};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use url::Url;

use crate::dial::{self, Socket};

pub(crate) const VENDOR: &str = "elevenlabs";

/// Where it is.
pub const BASE_URL: &str = "https://api.elevenlabs.io";

/// The model with the least delay that knows many languages.
const MODEL: &str = "eleven_flash_v2_5";

/// A voice of the vendor's own that every account has.
const DEFAULT_VOICE: &str = "21m00Tcm4TlvDq8ikWAM";

/// The vendor closes a socket that is told nothing for so long, seconds; its most.
const INACTIVITY_S: &str = "180";

/// A socket that takes nothing for so long is gone.
const SEND: Duration = Duration::from_secs(5);

/// Texts that may wait to be sent.
const SAYS: usize = 64;

/// Sounds that may wait to be taken.
const SOUNDS: usize = 16;

/// The voice of ElevenLabs.
pub struct ElevenLabs {
    key: SecretString,
    base: Url,
}

impl ElevenLabs {
    /// With a key; [`BASE_URL`] unless a proxy or a double stands in.
    ///
    /// # Errors
    /// The address is none.
    pub fn new(key: SecretString, base_url: Option<&str>) -> Result<Self, String> {
        Ok(Self { key, base: dial::address(base_url.unwrap_or(BASE_URL))? })
    }

    fn url(&self, voice: &Voice, rate: Rate) -> Result<Url, Error> {
        let id = if voice.id.is_empty() { DEFAULT_VOICE } else { &voice.id };
        let mut url = self.base.clone();
        let refused = || Error::Refused { vendor: VENDOR, why: "the address has no path".into() };
        // An id is one part of the path, whatever is in it.
        url.path_segments_mut().map_err(|()| refused())?.pop_if_empty().extend([
            "v1",
            "text-to-speech",
            id,
            "multi-stream-input",
        ]);
        let format = if rate == TELEPHONE { "ulaw_8000" } else { "pcm_16000" };
        let mut query = url.query_pairs_mut();
        query
            .append_pair("model_id", MODEL)
            .append_pair("output_format", format)
            .append_pair("inactivity_timeout", INACTIVITY_S);
        // The vendor wants the language alone, without its region.
        let language = voice.language.split(['-', '_']).next().unwrap_or_default();
        if !language.is_empty() {
            query.append_pair("language_code", &language.to_ascii_lowercase());
        }
        drop(query);
        Ok(url)
    }
}

/// The rate of telephones, at which nothing is resampled.
const TELEPHONE: Rate = 8000;

/// The rate for everybody else.
const WIDE: Rate = 16_000;

#[async_trait]
impl Tts for ElevenLabs {
    fn name(&self) -> &'static str {
        VENDOR
    }

    async fn open(&self, voice: Voice) -> Result<Speaking, Error> {
        let rate = if voice.rate == TELEPHONE { TELEPHONE } else { WIDE };
        let url = self.url(&voice, rate)?;
        let socket = dial::dial(VENDOR, &url, "xi-api-key", self.key.expose_secret()).await?;
        let (say, says) = mpsc::channel(SAYS);
        let (give, sound) = mpsc::channel(SOUNDS);
        tokio::spawn(speak(socket, Turns::new(rate), says, give));
        Ok(Speaking { say, sound })
    }
}

/// Carries text and sound until one side has enough.
async fn speak(
    mut socket: Socket,
    mut turns: Turns,
    mut says: mpsc::Receiver<Say>,
    give: mpsc::Sender<Result<Spoken, Error>>,
) {
    loop {
        let step = tokio::select! {
            // A cut must get through while sound waits to be taken.
            biased;
            () = give.closed() => break,
            say = says.recv() => match say {
                None => break,
                Some(say) => send(&mut socket, turns.say(say)).await,
            },
            permit = room(&give, turns.due.is_empty()) => {
                if let (Some(permit), Some(spoken)) = (permit, turns.due.pop_front()) {
                    permit.send(Ok(spoken));
                }
                Ok(())
            }
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => turns.read(&text),
                Some(Ok(Message::Close(frame))) => Err(dial::gone(VENDOR, frame.as_ref())),
                Some(Err(_)) | None => Err(dial::gone(VENDOR, None)),
                Some(Ok(_)) => Ok(()),
            },
        };
        if let Err(error) = step {
            // What came before the error is still to be heard.
            for spoken in turns.due.drain(..) {
                let _ = give.send(Ok(spoken)).await;
            }
            let _ = give.send(Err(error)).await;
            return;
        }
    }
    // The vendor closes the socket by itself in a while; this only spares it the wait.
    let _ = send(&mut socket, vec![json!({ "close_socket": true })]).await;
    let _ = timeout(SEND, socket.close(None)).await;
}

/// Room for a sound; waits for ever when there is none to give.
async fn room(
    give: &mpsc::Sender<Result<Spoken, Error>>,
    nothing: bool,
) -> Option<mpsc::Permit<'_, Result<Spoken, Error>>> {
    if nothing { pending().await } else { give.reserve().await.ok() }
}

async fn send(socket: &mut Socket, messages: Vec<Value>) -> Result<(), Error> {
    for message in messages {
        match timeout(SEND, socket.send(Message::text(message.to_string()))).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(dial::gone(VENDOR, None)),
            Err(_) => {
                return Err(Error::Unreachable { vendor: VENDOR, why: "it takes no text".into() });
            }
        }
    }
    Ok(())
}

/// What the vendor says. Fields that we do not need are not named, so that new ones do no harm.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    #[serde(alias = "context_id")]
    context_id: Option<String>,
    audio: Option<String>,
    #[serde(alias = "is_final")]
    is_final: Option<bool>,
    alignment: Option<Alignment>,
    /// An error, with its name in `error`.
    message: Option<String>,
    error: Option<String>,
}

/// When each letter of a piece of sound is spoken, from the beginning of that piece.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alignment {
    chars: Vec<String>,
    char_start_times_ms: Vec<u64>,
    char_durations_ms: Vec<u64>,
}

/// A turn that the vendor speaks.
struct Turn {
    id: TurnId,
    /// The length of its sound so far, samples.
    samples: u64,
    /// The letters of a word that has not ended yet, and when the last of them does.
    word: (String, u64),
}

/// The turns on one socket: which are wanted, and what is still to be given of them.
struct Turns {
    rate: Rate,
    open: Vec<Turn>,
    due: VecDeque<Spoken>,
}

fn context(turn: TurnId) -> String {
    format!("turn-{}", turn.0)
}

impl Turns {
    fn new(rate: Rate) -> Self {
        Self { rate, open: Vec::new(), due: VecDeque::new() }
    }

    /// What to tell the vendor.
    fn say(&mut self, say: Say) -> Vec<Value> {
        let known = |open: &[Turn], turn| open.iter().position(|known| known.id == turn);
        match say {
            Say::Text(turn, text) => {
                let id = context(turn);
                let mut messages = Vec::new();
                if known(&self.open, turn).is_none() {
                    self.open.push(Turn { id: turn, samples: 0, word: (String::new(), 0) });
                    messages.push(json!({ "text": " ", "context_id": id }));
                }
                // Without a space at its end it would be glued to the next.
                let text = format!("{} ", text.trim());
                messages.push(json!({ "text": text, "context_id": id, "flush": true }));
                messages
            }
            Say::End(turn) if known(&self.open, turn).is_some() => {
                vec![json!({ "context_id": context(turn), "close_context": true })]
            }
            Say::End(turn) => {
                self.due.push_back(Spoken::End(turn));
                Vec::new()
            }
            Say::Cut(turn) => {
                self.due.retain(|spoken| of(spoken) > turn);
                let cut = self.open.extract_if(.., |open| open.id <= turn);
                cut.map(|open| json!({ "context_id": context(open.id), "close_context": true }))
                    .collect()
            }
        }
    }

    /// Takes a message of the vendor.
    fn read(&mut self, text: &str) -> Result<(), Error> {
        let unreadable = |why: String| Error::Unreadable { vendor: VENDOR, why };
        let said: Said =
            serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
        if let (Some(name), None) = (&said.error, &said.audio) {
            let why = format!("{name}: {}", said.message.unwrap_or_default());
            return Err(Error::Unreachable { vendor: VENDOR, why });
        }
        let wanted = |turn: &Turn| said.context_id.as_deref() == Some(&context(turn.id));
        let Some(at) = self.open.iter().position(wanted) else { return Ok(()) };
        if let Some(audio) = said.audio.filter(|audio| !audio.is_empty()) {
            let bytes = STANDARD.decode(audio).map_err(|error| unreadable(error.to_string()))?;
            let samples = if self.rate == TELEPHONE {
                Law::Mu.decode(&bytes)
            } else {
                bytes.as_chunks().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect()
            };
            let turn = &mut self.open[at];
            let before = turn.samples * 1000 / u64::from(self.rate);
            turn.samples += samples.len() as u64;
            let words = said.alignment.map(|times| turn.words(before, &times)).unwrap_or_default();
            self.due.push_back(Spoken::Sound(turn.id, Frame { rate: self.rate, samples }));
            if !words.is_empty() {
                self.due.push_back(Spoken::Words(turn.id, words));
            }
        }
        if said.is_final == Some(true) {
            let turn = self.open.remove(at);
            let (word, ends) = turn.word;
            if !word.is_empty() {
                self.due.push_back(Spoken::Words(turn.id, vec![(word, ends)]));
            }
            self.due.push_back(Spoken::End(turn.id));
        }
        Ok(())
    }
}

impl Turn {
    /// The words that end in a piece of sound which begins at `before`.
    fn words(&mut self, before: u64, times: &Alignment) -> Vec<(String, u64)> {
        let mut words = Vec::new();
        let letters =
            times.chars.iter().zip(&times.char_start_times_ms).zip(&times.char_durations_ms);
        for ((letter, start), lasts) in letters {
            if letter.trim().is_empty() {
                if !self.word.0.is_empty() {
                    words.push(std::mem::take(&mut self.word));
                }
            } else {
                self.word.0.push_str(letter);
                self.word.1 = before.saturating_add(*start).saturating_add(*lasts);
            }
        }
        words
    }
}

fn of(spoken: &Spoken) -> TurnId {
    match spoken {
        Spoken::Sound(turn, _) | Spoken::Words(turn, _) | Spoken::End(turn) => *turn,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const ONE: TurnId = TurnId(1);
    const TWO: TurnId = TurnId(2);

    fn sound(context: &str, ms: usize, letters: &str) -> String {
        let chars: Vec<String> = letters.chars().map(String::from).collect();
        let each = ms / chars.len().max(1);
        let starts: Vec<usize> = (0..chars.len()).map(|i| i * each).collect();
        let lasts = vec![each; chars.len()];
        json!({ "audio": STANDARD.encode(vec![0xFF_u8; ms * 8]), "isFinal": null, "contextId": context,
                "alignment": { "chars": chars, "charStartTimesMs": starts, "charDurationsMs": lasts } })
        .to_string()
    }

    #[test]
    fn a_turn_is_a_context_that_is_closed_at_its_end() {
        let mut turns = Turns::new(8000);
        let first = turns.say(Say::Text(ONE, "Hello there.".into()));
        assert_eq!(first[0], json!({ "text": " ", "context_id": "turn-1" }));
        assert_eq!(
            first[1],
            json!({ "text": "Hello there. ", "context_id": "turn-1", "flush": true })
        );
        assert_eq!(turns.say(Say::Text(ONE, "Again.".into())).len(), 1);
        let close = json!({ "context_id": "turn-1", "close_context": true });
        assert_eq!(turns.say(Say::End(ONE)), [close]);
        turns.read(r#"{"isFinal":true,"contextId":"turn-1"}"#).unwrap();
        assert_eq!(turns.due, [Spoken::End(ONE)]);
        // A turn without words needs no vendor.
        assert!(turns.say(Say::End(TWO)).is_empty());
        assert_eq!(turns.due.pop_back(), Some(Spoken::End(TWO)));
    }

    #[test]
    fn words_are_told_in_the_turns_own_time() {
        let mut turns = Turns::new(8000);
        turns.say(Say::Text(ONE, "Hello you.".into()));
        turns.read(&sound("turn-1", 80, "Hello yo")).unwrap();
        turns.read(&sound("turn-1", 20, "u.")).unwrap();
        turns.read(r#"{"isFinal":true,"contextId":"turn-1"}"#).unwrap();
        let words: Vec<_> = turns
            .due
            .iter()
            .filter_map(|spoken| {
                if let Spoken::Words(_, words) = spoken { Some(words.clone()) } else { None }
            })
            .flatten()
            .collect();
        assert_eq!(words, [("Hello".into(), 50), ("you.".into(), 100)]);
    }

    #[test]
    fn nothing_is_heard_of_a_turn_that_was_cut() {
        let mut turns = Turns::new(8000);
        turns.say(Say::Text(ONE, "One.".into()));
        turns.read(&sound("turn-1", 20, "One.")).unwrap();
        assert_eq!(turns.say(Say::Cut(ONE)).len(), 1);
        assert!(turns.due.is_empty());
        turns.say(Say::Text(TWO, "Two.".into()));
        turns.read(&sound("turn-1", 20, "late")).unwrap();
        turns.read(r#"{"is_final":true,"context_id":"turn-1"}"#).unwrap();
        turns.read(&sound("turn-2", 20, "Two.")).unwrap();
        assert!(
            matches!(turns.due.pop_front(), Some(Spoken::Sound(TWO, frame)) if frame.millis() == 20)
        );
    }

    #[test]
    fn errors_and_rubbish_end_the_voice() {
        let mut turns = Turns::new(8000);
        let kind = |result: Result<(), Error>| result.unwrap_err().kind();
        assert_eq!(
            kind(turns.read(r#"{"message":"too many","error":"quota_exceeded","code":1008}"#)),
            "unreachable"
        );
        assert_eq!(kind(turns.read("<rubbish>")), "unreadable");
        turns.say(Say::Text(ONE, "One.".into()));
        assert_eq!(kind(turns.read(r#"{"audio":"!","contextId":"turn-1"}"#)), "unreadable");
    }

    #[test]
    fn telephones_get_their_own_sound() {
        let elevenlabs = ElevenLabs::new("k".into(), Some("http://127.0.0.1:1")).unwrap();
        let voice = Voice { id: "a/../b".into(), language: "de-CH".into(), rate: 8000 };
        let url = elevenlabs.url(&voice, 8000).unwrap();
        assert_eq!(url.path(), "/v1/text-to-speech/a%2F..%2Fb/multi-stream-input");
        let query = url.query().unwrap();
        assert!(
            query.contains("output_format=ulaw_8000") && query.ends_with("language_code=de"),
            "{query}"
        );
        let url = elevenlabs.url(&Voice::default(), WIDE).unwrap();
        assert!(url.path().contains(DEFAULT_VOICE) && url.query().unwrap().contains("pcm_16000"));
    }
}
