//! Deepgram live: sound in, words out, over one WebSocket a call.
//!
//! The vendor finds ends of turns by its own ears (`speech_final`, `UtteranceEnd`); our own voice
//! detection makes it fix its words early (`Finalize`). Neither is sure to come, so the talk keeps
//! its own time too.

use std::time::Duration;

use agent::Error;
use async_trait::async_trait;
use audio::g711::Law;
use audio::{Frame, Rate};
use futures_util::{SinkExt, StreamExt};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use talk::{Hear, Listening, Stt, Want, Words};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;
use url::Url;

use crate::dial::{self, Socket};

pub(crate) const VENDOR: &str = "deepgram";

/// Where it is.
pub const BASE_URL: &str = "https://api.deepgram.com";

/// The model; knows the languages of `multi`.
const MODEL: &str = "nova-3";

/// Silence that ends a phrase, milliseconds. The vendor's 10 splits numbers that are dictated.
const ENDPOINTING: &str = "300";

/// A gap between words that ends a turn for sure, milliseconds; the vendor's least.
const UTTERANCE_END: &str = "1000";

/// The vendor closes after 10 s without sound, unless told to stay.
const KEEP_ALIVE: Duration = Duration::from_secs(4);

/// Told to fix its words, the vendor answers something at once, if only that there are none. One
/// that is silent for so long hears nothing any more.
const ANSWER: Duration = Duration::from_secs(4);

/// A socket that takes nothing for so long is gone.
const SEND: Duration = Duration::from_secs(5);

/// Frames in one message, when they have to wait: 100 ms, so that it catches up.
const FRAMES: usize = 5;

/// Sound that may wait to be sent: 5 s.
const SOUNDS: usize = 250;

/// Words that may wait to be taken.
const WORDS: usize = 64;

/// The recognizer of Deepgram.
pub struct Deepgram {
    key: SecretString,
    base: Url,
}

impl Deepgram {
    /// With a key; [`BASE_URL`] unless a proxy or a double stands in.
    ///
    /// # Errors
    /// The address is none.
    pub fn new(key: SecretString, base_url: Option<&str>) -> Result<Self, String> {
        Ok(Self { key, base: dial::address(base_url.unwrap_or(BASE_URL))? })
    }

    fn url(&self, want: &Want) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/v1/listen", self.base.path().trim_end_matches('/')));
        let language = if want.language.is_empty() { "multi" } else { &want.language };
        url.query_pairs_mut()
            .append_pair("model", MODEL)
            .append_pair("language", language)
            .append_pair("encoding", if is_mulaw(want.rate) { "mulaw" } else { "linear16" })
            .append_pair("sample_rate", &want.rate.to_string())
            .append_pair("channels", "1")
            .append_pair("interim_results", "true")
            .append_pair("endpointing", ENDPOINTING)
            .append_pair("utterance_end_ms", UTTERANCE_END)
            .append_pair("vad_events", "true")
            .append_pair("smart_format", "true");
        url
    }
}

/// Telephone sound goes as it came: in half the bytes.
fn is_mulaw(rate: Rate) -> bool {
    rate == 8000
}

#[async_trait]
impl Stt for Deepgram {
    fn name(&self) -> &'static str {
        VENDOR
    }

    async fn open(&self, want: Want) -> Result<Listening, Error> {
        let key = format!("Token {}", self.key.expose_secret());
        let socket = dial::dial(VENDOR, &self.url(&want), "authorization", &key).await?;
        let (sound, hears) = mpsc::channel(SOUNDS);
        let (say, words) = mpsc::channel(WORDS);
        tokio::spawn(listen(socket, want.rate, hears, say));
        Ok(Listening { sound, words })
    }
}

/// Carries sound and words until one side has enough.
async fn listen(
    mut socket: Socket,
    rate: Rate,
    mut hears: mpsc::Receiver<Hear>,
    words: mpsc::Sender<Result<Words, Error>>,
) {
    let mut reader = Reader::default();
    let mut last_sent = Instant::now();
    let mut owed: Option<Instant> = None;
    loop {
        let answer_at = owed.map(|since| since + ANSWER);
        let step = tokio::select! {
            () = words.closed() => break,
            hear = hears.recv() => match hear {
                None => break,
                Some(hear) => {
                    let messages = messages(hear, rate, &mut hears);
                    if !messages.is_empty() {
                        last_sent = Instant::now();
                    }
                    if messages.last().is_some_and(Message::is_text) {
                        owed.get_or_insert(last_sent);
                    }
                    send(&mut socket, messages).await
                }
            },
            () = sleep_until(last_sent + KEEP_ALIVE) => {
                last_sent = Instant::now();
                send(&mut socket, vec![Message::text(r#"{"type":"KeepAlive"}"#)]).await
            }
            () = sleep_until(answer_at.unwrap_or(last_sent)), if answer_at.is_some() => {
                Err(Error::Unreachable { vendor: VENDOR, why: "it does not answer".into() })
            }
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    owed = None;
                    reader.read(&text, &words).await
                }
                Some(Ok(Message::Close(frame))) => Err(dial::gone(VENDOR, frame.as_ref())),
                Some(Err(_)) | None => Err(dial::gone(VENDOR, None)),
                Some(Ok(_)) => Ok(()),
            },
        };
        if let Err(error) = step {
            // Nobody listens any more: then nobody misses it either.
            let _ = words.send(Err(error)).await;
            return;
        }
    }
    // The vendor bills until it is told; whether it hears that is its own matter.
    let _ = send(&mut socket, vec![Message::text(r#"{"type":"CloseStream"}"#)]).await;
    let _ = timeout(SEND, socket.close(None)).await;
}

/// What to send for a hint or a frame, the frames that wait behind it included.
fn messages(hear: Hear, rate: Rate, hears: &mut mpsc::Receiver<Hear>) -> Vec<Message> {
    let mut bytes = Vec::new();
    let mut next = Some(hear);
    let mut quiet = false;
    for left in (0..FRAMES).rev() {
        match next.take() {
            Some(Hear::Frame(frame)) => bytes.extend(encode(&frame, rate)),
            Some(Hear::Quiet) => {
                quiet = true;
                break;
            }
            // The vendor detects voices itself, and has no grammar.
            Some(Hear::Voice | Hear::Expect(_)) => {}
            None => break,
        }
        if left > 0 {
            next = hears.try_recv().ok();
        }
    }
    // An empty sound would end the stream.
    let sound = (!bytes.is_empty()).then(|| Message::binary(bytes));
    let finalize = quiet.then(|| Message::text(r#"{"type":"Finalize"}"#));
    sound.into_iter().chain(finalize).collect()
}

fn encode(frame: &Frame, rate: Rate) -> Vec<u8> {
    if is_mulaw(rate) {
        Law::Mu.encode(&frame.samples)
    } else {
        frame.samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
    }
}

async fn send(socket: &mut Socket, messages: Vec<Message>) -> Result<(), Error> {
    for message in messages {
        match timeout(SEND, socket.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(dial::gone(VENDOR, None)),
            Err(_) => {
                return Err(Error::Unreachable { vendor: VENDOR, why: "it takes no sound".into() });
            }
        }
    }
    Ok(())
}

/// What the vendor says. Fields that we do not need are not named, so that new ones do no harm.
#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
enum Said {
    Results {
        #[serde(default)]
        is_final: bool,
        #[serde(default)]
        speech_final: bool,
        #[serde(default)]
        from_finalize: bool,
        channel: Channel,
    },
    SpeechStarted {},
    UtteranceEnd {},
    Error {
        #[serde(default)]
        description: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Channel {
    #[serde(default)]
    alternatives: Vec<Alternative>,
}

#[derive(Debug, Deserialize)]
struct Alternative {
    #[serde(default)]
    transcript: String,
}

/// Makes words of what the vendor says.
#[derive(Debug, Default)]
struct Reader {
    /// Words were fixed since the last end of a turn.
    pending: bool,
}

impl Reader {
    async fn read(
        &mut self,
        text: &str,
        words: &mpsc::Sender<Result<Words, Error>>,
    ) -> Result<(), Error> {
        let said = serde_json::from_str(text)
            .map_err(|error| Error::Unreadable { vendor: VENDOR, why: error.to_string() })?;
        for word in self.on(said)? {
            // Whoever does not listen any more is noticed by the loop.
            let _ = words.send(Ok(word)).await;
        }
        Ok(())
    }

    fn on(&mut self, said: Said) -> Result<Vec<Words>, Error> {
        let mut words = Vec::new();
        match said {
            Said::SpeechStarted {} => words.push(Words::Started),
            Said::Results { is_final, speech_final, from_finalize, channel } => {
                let first = channel.alternatives.into_iter().next();
                let text = first.map(|alternative| alternative.transcript).unwrap_or_default();
                let text = text.trim();
                if is_final && (!text.is_empty() || from_finalize) {
                    self.pending |= !text.is_empty();
                    words.push(Words::Final(text.into()));
                } else if !is_final && !text.is_empty() {
                    words.push(Words::Partial(text.into()));
                }
                if speech_final && std::mem::take(&mut self.pending) {
                    words.push(Words::EndOfTurn);
                }
            }
            Said::UtteranceEnd {} => {
                // Comes after a `speech_final` too; then the turn has ended already.
                if std::mem::take(&mut self.pending) {
                    words.push(Words::EndOfTurn);
                }
            }
            Said::Error { description } => {
                return Err(Error::Unreachable { vendor: VENDOR, why: description });
            }
            Said::Other => {}
        }
        Ok(words)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn results(text: &str, flags: [bool; 3]) -> Said {
        let [is_final, speech_final, from_finalize] = flags;
        let text = serde_json::json!({
            "type": "Results", "channel_index": [0, 1], "start": 0.0, "duration": 1.0,
            "is_final": is_final, "speech_final": speech_final, "from_finalize": from_finalize,
            "channel": { "alternatives": [{ "transcript": text, "confidence": 0.9, "words": [] }] } });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn phrases_add_up_to_a_turn() {
        let mut reader = Reader::default();
        let mut on = |said| reader.on(said).unwrap();
        assert_eq!(on(results("my num", [false; 3])), [Words::Partial("my num".into())]);
        assert_eq!(
            on(results("my number is", [true, false, false])),
            [Words::Final("my number is".into())]
        );
        // An end without words ends what is pending; a second one has nothing to end.
        assert_eq!(on(results("", [true, true, false])), [Words::EndOfTurn]);
        assert_eq!(on(Said::UtteranceEnd {}), []);
        assert_eq!(on(results("", [true, true, false])), []);
    }

    #[test]
    fn what_we_made_it_fix_is_told_even_when_it_is_nothing() {
        let mut reader = Reader::default();
        let mut on = |said| reader.on(said).unwrap();
        assert_eq!(on(results("", [true, false, true])), [Words::Final(String::new())]);
        assert_eq!(on(results("five", [true, false, true])), [Words::Final("five".into())]);
        assert_eq!(on(Said::UtteranceEnd {}), [Words::EndOfTurn]);
    }

    #[test]
    fn new_messages_do_no_harm_and_errors_end_it() {
        let mut reader = Reader::default();
        let new = serde_json::from_str(r#"{"type":"Brainwave","x":1}"#).unwrap();
        assert_eq!(reader.on(new).unwrap(), []);
        let error =
            serde_json::from_str(r#"{"type":"Error","description":"no","variant":"x"}"#).unwrap();
        assert_eq!(reader.on(error).unwrap_err().kind(), "unreachable");
    }

    #[test]
    fn waiting_frames_go_together_and_no_hint_is_lost() {
        let (send, mut hears) = mpsc::channel(10);
        for hear in [
            Hear::Voice,
            Hear::Frame(Frame::silence(8000)),
            Hear::Quiet,
            Hear::Frame(Frame::silence(8000)),
        ] {
            send.try_send(hear).unwrap();
        }
        let sent = messages(Hear::Frame(Frame::silence(8000)), 8000, &mut hears);
        let finalize = Message::text(r#"{"type":"Finalize"}"#);
        assert_eq!(sent, [Message::binary(vec![0xFF; 320]), finalize]);
        assert_eq!(hears.len(), 1);
        assert_eq!(
            messages(Hear::Expect(None), 8000, &mut hears),
            [Message::binary(vec![0xFF; 160])]
        );
    }

    #[test]
    fn telephone_sound_is_asked_for_as_it_comes() {
        let deepgram = Deepgram::new("k".into(), Some("http://127.0.0.1:1/proxy/")).unwrap();
        let url = deepgram.url(&Want { rate: 8000, language: "de".into() });
        assert_eq!(url.path(), "/proxy/v1/listen");
        let query = url.query().unwrap();
        assert!(
            query.contains("encoding=mulaw&sample_rate=8000") && query.contains("language=de"),
            "{query}"
        );
        let url = deepgram.url(&Want { rate: 16_000, language: String::new() });
        assert!(
            url.query().unwrap().contains("language=multi&encoding=linear16&sample_rate=16000")
        );
    }
}
