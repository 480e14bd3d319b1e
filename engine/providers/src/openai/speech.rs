//! Speech: a clause in, sound out as it is made.

use std::time::Duration;

use agent::Error;
use async_trait::async_trait;
use audio::{Frame, Rate};
use futures_util::StreamExt;
use serde_json::{Value, json};
use talk::{Speaking, Tts, Voice};
use tokio::sync::mpsc;

use super::{OpenAi, VENDOR};
use crate::http::plain;
use crate::pcm::Samples;
use crate::pieces::{self, Sound, Source};

/// The model; the older ones cannot stream.
const MODEL: &str = "gpt-4o-mini-tts";

/// The voice of an agent that names none.
const DEFAULT_VOICE: &str = "alloy";

/// The vendor's own voices. Others are ids of voices that the account made.
const VOICES: [&str; 13] = [
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage",
    "shimmer", "verse",
];

/// What such an id begins with.
const OWN_VOICE: &str = "voice_";

/// `pcm` is 16-bit little-endian mono at this rate, without a head.
const RATE: Rate = 24_000;

/// The vendor takes no longer text, in characters.
const LONGEST: usize = 4096;

/// For the head of an answer, and between two pieces of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of sound that are passed on at once, at most: half a second, so that a cut leaves little
/// behind.
const BYTES: usize = 24_000;

#[async_trait]
impl Tts for OpenAi {
    fn name(&self) -> &'static str {
        VENDOR
    }

    async fn open(&self, voice: Voice) -> Result<Speaking, Error> {
        Ok(pieces::open(Speech { openai: self.clone(), voice: name(&voice.id) }))
    }
}

/// The voice as the vendor wants it. An id that is none of its own, such as another vendor's,
/// stands for the default.
fn name(id: &str) -> Value {
    match id {
        id if id.starts_with(OWN_VOICE) => json!({ "id": id }),
        id if VOICES.contains(&id) => id.into(),
        _ => DEFAULT_VOICE.into(),
    }
}

/// One request for each piece.
struct Speech {
    openai: OpenAi,
    voice: Value,
}

impl Source for Speech {
    fn speak(&self, text: &str) -> Sound {
        let (give, sound) = mpsc::channel(4);
        let openai = self.openai.clone();
        let body = body(text, &self.voice, openai.model_or(MODEL));
        tokio::spawn(async move {
            let done = tokio::select! {
                // Nobody wants the rest: dropping the request cancels it.
                () = give.closed() => return,
                done = openai.speech(&body, &give) => done,
            };
            if let Err(error) = done {
                // Who dropped the sound wants no error either.
                let _ = give.send(Err(error)).await;
            }
        });
        sound
    }

    /// The next clause is asked for while one sounds, since a request takes a while to answer.
    fn at_once(&self) -> usize {
        2
    }
}

fn body(text: &str, voice: &Value, model: &str) -> Value {
    let input: String = text.trim().chars().take(LONGEST).collect();
    json!({ "model": model, "input": input, "voice": voice, "response_format": "pcm" })
}

impl OpenAi {
    async fn speech(
        &self,
        body: &Value,
        give: &mpsc::Sender<Result<Frame, Error>>,
    ) -> Result<(), Error> {
        let response = self.account.post("/audio/speech", body, PATIENCE).await?;
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        if let Some(kind) = kind.filter(|kind| kind.contains("json") || kind.starts_with("text/")) {
            return Err(Error::Unreadable { vendor: VENDOR, why: format!("`{kind}` is no sound") });
        }
        let mut bytes = response.bytes_stream();
        let mut samples = Samples::linear(RATE);
        loop {
            let piece = tokio::time::timeout(PATIENCE, bytes.next()).await;
            let piece = match piece.map_err(|_| self.account.silent(PATIENCE))? {
                Some(piece) => piece.map_err(|error| self.account.unreachable(plain(error)))?,
                None => return Ok(()),
            };
            for part in piece.chunks(BYTES) {
                let samples = samples.of(part);
                if !samples.is_empty()
                    && give.send(Ok(Frame { rate: RATE, samples })).await.is_err()
                {
                    return Ok(());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clause_is_asked_for_with_a_voice_that_exists() {
        let written = body(" Hello. ", &name("nova"), MODEL);
        let expected = json!({ "model": "gpt-4o-mini-tts", "input": "Hello.", "voice": "nova",
                               "response_format": "pcm" });
        assert_eq!(written, expected);
        assert_eq!(name("21m00Tcm4TlvDq8ikWAM"), "alloy");
        assert_eq!(name("voice_12"), json!({ "id": "voice_12" }));
        assert_eq!(name(""), "alloy");
    }
}
