//! The messages of a media stream: JSON texts, read without copies and written without trees, and
//! the order of what they bring.

use std::borrow::Cow;
use std::collections::BTreeMap;

use audio::g711::Law;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use crate::stream::{self, Dtmf, Mark, Media};

/// What Telnyx says; sound comes as bytes, with its number among the others.
pub(super) type Heard = stream::Heard<Start, (Option<u64>, Vec<u8>)>;

/// How a stream begins.
#[derive(Debug, PartialEq)]
pub(super) struct Start {
    /// The call.
    pub(super) call: String,
    /// How the caller's sound comes; `None` = in a way that we do not read.
    pub(super) coding: Option<Coding>,
}

/// How sound comes. The telephone's side decides: PCMU in North America, PCMA in most of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// G.711 at 8 kHz.
    Law(Law),
    /// 16-bit samples at this rate. Telnyx does not say in which order their bytes are; RFC 3551
    /// has the higher one first.
    Linear(u32),
}

impl Coding {
    fn of(format: &Format) -> Option<Self> {
        let encoding = format.encoding.to_ascii_uppercase();
        match (encoding.as_str(), format.sample_rate, format.channels) {
            ("PCMU" | "AUDIO/X-MULAW", 8000, 1) => Some(Self::Law(Law::Mu)),
            ("PCMA" | "AUDIO/X-ALAW", 8000, 1) => Some(Self::Law(Law::A)),
            ("L16", rate @ 8000..=48_000, 1) => Some(Self::Linear(rate)),
            _ => None,
        }
    }

    /// Samples per second.
    pub(super) fn rate(self) -> u32 {
        match self {
            Self::Law(_) => 8000,
            Self::Linear(rate) => rate,
        }
    }

    pub(super) fn decode(self, bytes: &[u8]) -> Vec<i16> {
        match self {
            Self::Law(law) => law.decode(bytes),
            Self::Linear(_) => {
                bytes.chunks_exact(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])).collect()
            }
        }
    }
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    media: Option<Media<'a>>,
    start: Option<StartFrame>,
    #[serde(borrow)]
    mark: Option<Mark<'a>>,
    #[serde(borrow)]
    dtmf: Option<Dtmf<'a>>,
    payload: Option<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
}

#[derive(Deserialize)]
struct StartFrame {
    #[serde(default)]
    call_control_id: String,
    media_format: Option<Format>,
}

#[derive(Deserialize)]
struct Format {
    encoding: String,
    #[serde(default = "telephone")]
    sample_rate: u32,
    #[serde(default = "mono")]
    channels: u32,
}

fn telephone() -> u32 {
    8000
}

fn mono() -> u32 {
    1
}

/// Reads one text.
///
/// # Errors
/// What is wrong with it, in a few words.
pub(super) fn read(text: &str) -> Result<Heard, &'static str> {
    let frame: Frame<'_> = serde_json::from_str(text).map_err(|_| "not the JSON of a stream")?;
    match frame.event.as_ref() {
        "media" => {
            let media = frame.media.ok_or("media without media")?;
            Ok(media.bytes()?.map_or(Heard::Other, |bytes| Heard::Sound((media.number(), bytes))))
        }
        "dtmf" => Ok(Heard::Digit(frame.dtmf.ok_or("dtmf without dtmf")?.key()?)),
        "mark" => Ok(Heard::Mark(frame.mark.ok_or("mark without mark")?.name.into_owned())),
        "start" => {
            let start = frame.start.ok_or("start without start")?;
            let coding = match &start.media_format {
                Some(format) => Coding::of(format),
                None => Some(Coding::Law(Law::Mu)),
            };
            Ok(Heard::Start(Start { call: start.call_control_id, coding }))
        }
        "error" => {
            let fault =
                frame.payload.unwrap_or(Fault { title: String::new(), detail: String::new() });
            Ok(Heard::Error(format!("{}: {}", fault.title, fault.detail)))
        }
        "stop" => Ok(Heard::Stop),
        _ => Ok(Heard::Other),
    }
}

/// Pieces of sound in their order: Telnyx does not promise it. A piece that is missing is waited
/// for while three others come, 60 ms; one that comes later than that is lost.
#[derive(Default)]
pub(super) struct Ordered {
    next: Option<u64>,
    waiting: BTreeMap<u64, Vec<u8>>,
}

/// Pieces that may overtake another.
const OVERTAKE: usize = 3;

impl Ordered {
    /// Takes a piece; gives those whose turn it is.
    pub(super) fn take(&mut self, number: Option<u64>, piece: Vec<u8>) -> Vec<Vec<u8>> {
        let Some(number) = number else { return vec![piece] };
        let next = *self.next.get_or_insert(number);
        if number < next {
            metrics::counter!("voxflow_frames_dropped_total", "at" => "telnyx late").increment(1);
            return Vec::new();
        }
        self.waiting.insert(number, piece);
        let mut due = Vec::new();
        while let Some(entry) = self.waiting.first_entry() {
            let number = *entry.key();
            if self.next != Some(number) && self.waiting.len() <= OVERTAKE {
                break;
            }
            if let Some((number, piece)) = self.waiting.pop_first() {
                due.push(piece);
                self.next = Some(number.saturating_add(1));
            }
        }
        due
    }
}

/// Drops what is not played yet.
pub(super) const CLEAR: &str = r#"{"event":"clear"}"#;

/// Sound at 8 kHz.
pub(super) fn media(samples: &[i16]) -> String {
    const BEGIN: &str = r#"{"event":"media","media":{"payload":""#;
    let bytes = Law::Mu.encode(samples);
    let mut text = String::with_capacity(BEGIN.len() + bytes.len() / 3 * 4 + 8);
    text.push_str(BEGIN);
    BASE64_STANDARD.encode_string(bytes, &mut text);
    text.push_str("\"}}");
    text
}

/// A mark by its number.
pub(super) fn mark(id: u64) -> String {
    format!(r#"{{"event":"mark","mark":{{"name":"m{id}"}}}}"#)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn started(encoding: &str, rate: u32) -> Option<Coding> {
        let text = serde_json::json!({ "event": "start", "sequence_number": "1", "stream_id": "32DE",
            "start": { "user_id": "u", "call_control_id": "v3:abc", "from": "+1", "to": "+1",
                "media_format": { "encoding": encoding, "sample_rate": rate, "channels": 1 } } });
        let Heard::Start(start) = read(&text.to_string()).unwrap() else { panic!() };
        assert_eq!(start.call, "v3:abc");
        start.coding
    }

    #[test]
    fn what_telnyx_says_is_read() {
        assert_eq!(read(r#"{"event":"connected","version":"1.0.0"}"#), Ok(Heard::Other));
        assert_eq!(started("PCMU", 8000), Some(Coding::Law(Law::Mu)));
        assert_eq!(started("audio/x-mulaw", 8000), Some(Coding::Law(Law::Mu)));
        assert_eq!(started("PCMA", 8000), Some(Coding::Law(Law::A)));
        assert_eq!(started("L16", 16_000), Some(Coding::Linear(16_000)));
        assert_eq!(started("AMR-WB", 16_000), None);
        assert_eq!(
            read(
                r#"{"event":"media","sequence_number":"4","stream_id":"32DE","media":{"track":
                "inbound","chunk":"2","timestamp":"5","payload":"AP8="}}"#
            ),
            Ok(Heard::Sound((Some(2), vec![0, 255])))
        );
        assert_eq!(
            read(r#"{"event":"media","media":{"track":"outbound","chunk":"2","payload":"AP8="}}"#),
            Ok(Heard::Other)
        );
        assert_eq!(
            read(r##"{"event":"dtmf","occurred_at":"2025","dtmf":{"digit":"#"}}"##),
            Ok(Heard::Digit('#'))
        );
        assert_eq!(read(r#"{"event":"mark","mark":{"name":"m7"}}"#), Ok(Heard::Mark("m7".into())));
        assert_eq!(
            read(
                r#"{"event":"error","payload":{"code":100003,"title":"malformed_frame","detail":"d"}}"#
            ),
            Ok(Heard::Error("malformed_frame: d".into()))
        );
        assert_eq!(read(r#"{"event":"stop","stop":{"call_control_id":"v3"}}"#), Ok(Heard::Stop));
        assert_eq!(read(r#"{"event":"from the future","x":[1]}"#), Ok(Heard::Other));
        assert_eq!(Coding::Linear(16_000).decode(&[1, 2, 255, 254, 9]), [258, -2]);
    }

    #[test]
    fn nonsense_is_told_from_it() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"event":1}"#,
            r#"{"event":"media"}"#,
            r#"{"event":"media","media":{"payload":"%%%"}}"#,
            r#"{"event":"dtmf","dtmf":{"digit":"12"}}"#,
            r#"{"event":"start"}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_we_say_is_what_telnyx_reads() {
        assert_eq!(media(&[0, -32124]), r#"{"event":"media","media":{"payload":"/wA="}}"#);
        assert_eq!(mark(7), r#"{"event":"mark","mark":{"name":"m7"}}"#);
    }

    #[test]
    fn pieces_come_in_their_order_and_none_is_waited_for_long() {
        let order = |numbers: &[u64]| -> Vec<u8> {
            let mut ordered = Ordered::default();
            let mut take = |number: &u64| ordered.take(Some(*number), vec![*number as u8]);
            numbers.iter().flat_map(&mut take).flatten().collect()
        };
        assert_eq!(order(&[1, 2, 3]), [1, 2, 3]);
        assert_eq!(order(&[5, 7, 6, 8]), [5, 6, 7, 8]);
        assert_eq!(order(&[1, 4, 3, 2, 5]), [1, 2, 3, 4, 5]);
        // 2 is lost; when it comes after all, its time is over.
        assert_eq!(order(&[1, 3, 4, 5, 6, 2, 7]), [1, 3, 4, 5, 6, 7]);
        assert_eq!(order(&[1, 1, 2, 2]), [1, 2]);
        assert_eq!(Ordered::default().take(None, vec![9]), [vec![9]]);
    }
}
