//! The messages of a media stream: JSON texts, read without copies and written without trees.

use std::borrow::Cow;
use std::collections::HashMap;

use audio::g711::Law;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use crate::stream::{self, Dtmf, Mark, Media};

/// What Twilio says; sound comes at 8 kHz.
pub(super) type Heard = stream::Heard<Start, Vec<i16>>;

/// How a stream begins.
#[derive(Debug, PartialEq)]
pub(super) struct Start {
    /// Every message of ours names it.
    pub(super) stream: String,
    /// The call.
    pub(super) call: String,
    /// Our `<Parameter name="token">`.
    pub(super) token: String,
    /// Whether the sound is mu-law at 8 kHz, mono.
    pub(super) plain: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Frame<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow, default)]
    stream_sid: Cow<'a, str>,
    #[serde(borrow)]
    media: Option<Media<'a>>,
    start: Option<StartFrame>,
    #[serde(borrow)]
    mark: Option<Mark<'a>>,
    #[serde(borrow)]
    dtmf: Option<Dtmf<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StartFrame {
    #[serde(default)]
    stream_sid: String,
    #[serde(default)]
    call_sid: String,
    #[serde(default)]
    custom_parameters: HashMap<String, String>,
    media_format: Option<Format>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Format {
    encoding: String,
    sample_rate: u32,
    channels: u32,
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
            Ok(media.bytes()?.map_or(Heard::Other, |bytes| Heard::Sound(Law::Mu.decode(&bytes))))
        }
        "dtmf" => Ok(Heard::Digit(frame.dtmf.ok_or("dtmf without dtmf")?.key()?)),
        "mark" => Ok(Heard::Mark(frame.mark.ok_or("mark without mark")?.name.into_owned())),
        "start" => {
            let start = frame.start.ok_or("start without start")?;
            let stream = if start.stream_sid.is_empty() {
                frame.stream_sid.into_owned()
            } else {
                start.stream_sid
            };
            let mut parameters = start.custom_parameters;
            Ok(Heard::Start(Start {
                stream,
                call: start.call_sid,
                token: parameters.remove("token").unwrap_or_default(),
                plain: start.media_format.is_none_or(|format| {
                    format.encoding == "audio/x-mulaw"
                        && format.sample_rate == 8000
                        && format.channels == 1
                }),
            }))
        }
        "stop" => Ok(Heard::Stop),
        _ => Ok(Heard::Other),
    }
}

/// Writes messages of one stream.
pub(super) struct Writer {
    /// `{"event":"media","streamSid":"MZ...","media":{"payload":"`
    media: String,
    /// `{"event":"mark","streamSid":"MZ...","mark":{"name":"`
    mark: String,
    /// All of it.
    clear: String,
}

impl Writer {
    /// For the stream of this id.
    pub(super) fn new(stream: &str) -> Self {
        let stream = serde_json::Value::from(stream).to_string();
        Self {
            media: format!(r#"{{"event":"media","streamSid":{stream},"media":{{"payload":""#),
            mark: format!(r#"{{"event":"mark","streamSid":{stream},"mark":{{"name":""#),
            clear: format!(r#"{{"event":"clear","streamSid":{stream}}}"#),
        }
    }

    /// Sound at 8 kHz.
    pub(super) fn media(&self, samples: &[i16]) -> String {
        let bytes = Law::Mu.encode(samples);
        let mut text = String::with_capacity(self.media.len() + bytes.len() / 3 * 4 + 8);
        text.push_str(&self.media);
        BASE64_STANDARD.encode_string(bytes, &mut text);
        text.push_str("\"}}");
        text
    }

    /// A mark by its number.
    pub(super) fn mark(&self, id: u64) -> String {
        format!("{}{}\"}}}}", self.mark, mark_name(id))
    }

    /// Drops what is not played yet.
    pub(super) fn clear(&self) -> String {
        self.clear.clone()
    }
}

/// The name of a mark.
fn mark_name(id: u64) -> String {
    format!("m{id}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_twilio_says_is_read() {
        assert_eq!(
            read(r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#),
            Ok(Heard::Other)
        );
        assert_eq!(
            read(
                r#"{"event":"start","sequenceNumber":"1","streamSid":"MZ1","start":{"accountSid":
                "AC1","streamSid":"MZ1","callSid":"CA1","tracks":["inbound"],"mediaFormat":
                {"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},
                "customParameters":{"token":"abc"}}}"#
            ),
            Ok(Heard::Start(Start {
                stream: "MZ1".into(),
                call: "CA1".into(),
                token: "abc".into(),
                plain: true
            }))
        );
        // The loudest and the softest byte of mu-law.
        assert_eq!(
            read(
                r#"{"event":"media","sequenceNumber":"2","streamSid":"MZ1","media":{"track":
                "inbound","chunk":"1","timestamp":"0","payload":"AP8="}}"#
            ),
            Ok(Heard::Sound(vec![-32124, 0]))
        );
        assert_eq!(
            read(
                r##"{"event":"dtmf","streamSid":"MZ1","dtmf":{"track":"inbound_track","digit":"#"}}"##
            ),
            Ok(Heard::Digit('#'))
        );
        assert_eq!(
            read(r#"{"event":"mark","streamSid":"MZ1","mark":{"name":"a\u0041"}}"#),
            Ok(Heard::Mark("aA".into()))
        );
        assert_eq!(read(r#"{"event":"stop","stop":{"callSid":"CA1"}}"#), Ok(Heard::Stop));
        assert_eq!(read(r#"{"event":"from the future","x":[1]}"#), Ok(Heard::Other));
    }

    #[test]
    fn nonsense_is_told_from_it() {
        for text in [
            "",
            "hello",
            "[]",
            "{}",
            r#"{"event":1}"#,
            r#"{"event":"media"}"#,
            r#"{"event":"media","media":{}}"#,
            r#"{"event":"media","media":{"payload":"%%%"}}"#,
            r#"{"event":"media","media":{"payload":"AA"}}"#,
            r#"{"event":"dtmf","dtmf":{"digit":"12"}}"#,
            r#"{"event":"dtmf","dtmf":{"digit":""}}"#,
            r#"{"event":"start"}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_we_say_is_what_twilio_reads() {
        let writer = Writer::new("MZ\"1");
        assert_eq!(
            writer.media(&[0, -32124]),
            r#"{"event":"media","streamSid":"MZ\"1","media":{"payload":"/wA="}}"#
        );
        assert_eq!(writer.mark(7), r#"{"event":"mark","streamSid":"MZ\"1","mark":{"name":"m7"}}"#);
        assert_eq!(writer.clear(), r#"{"event":"clear","streamSid":"MZ\"1"}"#);
    }
}
