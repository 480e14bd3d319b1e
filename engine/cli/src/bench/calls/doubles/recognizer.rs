//! The recognizer, Deepgram's live wire: hears by loudness, is sure of its words a fixed time after
//! the voice's end, and says that the turn is over when the silence has lasted as it was asked.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::response::Response;
use tokio::time::{Instant, sleep_until};

use super::{Format, World, small};

/// Quieter bytes are silence: of the seven bits of mu-law's size, inverted.
const LOUD: u8 = 0x18;
/// The same as a sample of 16 bits.
const LOUD_SAMPLE: u16 = 260;
/// So much voice lies between two guesses.
const GUESS: Duration = Duration::from_millis(500);
/// Silence that ends a turn for this vendor, as it is asked to: later than for the engine, whose
/// own silence is measured.
const ENDPOINTING: Duration = Duration::from_millis(300);
/// A pause of the voice in milliseconds that does not end it: stops inside of words.
const GAP: Duration = Duration::from_millis(80);

pub(super) async fn open(
    State(world): State<Arc<World>>,
    Query(format): Query<Format>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let linear = format.is_linear();
    small(upgrade).on_upgrade(move |socket| listen(socket, world.times.words, linear))
}

/// One stream's hearing.
struct Ear {
    /// Utterances so far.
    turn: u32,
    /// Since when a voice sounds, and when it was guessed at last.
    voice: Option<(Instant, Instant)>,
    /// When a loud frame came last.
    loud: Instant,
    /// When the words are sure.
    sure: Option<Instant>,
    /// When the turn is over.
    over: Option<Instant>,
}

async fn listen(mut socket: WebSocket, words: Duration, linear: bool) {
    let now = Instant::now();
    let mut ear = Ear { turn: 0, voice: None, loud: now, sure: None, over: None };
    loop {
        let due = [ear.sure, ear.over].into_iter().flatten().min();
        let say = tokio::select! {
            biased;
            () = sleep_until(due.unwrap_or(now)), if due.is_some() => ear.on_time(),
            message = socket.recv() => match message {
                Some(Ok(Message::Binary(sound))) => ear.hear(loud(&sound, linear), words),
                // Its words are sure soon anyway; this is only the answer that is owed.
                Some(Ok(Message::Text(text))) if text.contains("\"Finalize\"") => {
                    Some(results("", true, false, true))
                }
                Some(Ok(Message::Text(text))) if text.contains("\"CloseStream\"") => return,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => None,
            },
        };
        if let Some(say) = say
            && socket.send(Message::text(say)).await.is_err()
        {
            return;
        }
    }
}

impl Ear {
    fn hear(&mut self, loud: bool, words: Duration) -> Option<String> {
        let now = Instant::now();
        if loud {
            self.loud = now;
            let Some((_, guessed)) = &mut self.voice else {
                self.voice = Some((now, now));
                self.turn += 1;
                // A turn that goes on was not over.
                self.over = None;
                return Some(r#"{"type":"SpeechStarted","channel":[0,1],"timestamp":1.0}"#.into());
            };
            if now - *guessed < GUESS {
                return None;
            }
            *guessed = now;
            let guess = format!("this is my question {}", self.turn);
            return Some(results(&guess, false, false, false));
        }
        if self.voice.is_some() && now - self.loud >= GAP && self.sure.is_none() {
            self.sure = Some((self.loud + words).max(now));
            self.over = Some(self.loud + ENDPOINTING.max(words));
        }
        None
    }

    fn on_time(&mut self) -> Option<String> {
        if self.sure.take().is_some() {
            self.voice = None;
            let words = format!("This is my question {} to you.", self.turn);
            return Some(results(&words, true, false, false));
        }
        self.over = None;
        Some(results("", true, true, false))
    }
}

/// Whether there is a voice in a piece of sound.
fn loud(sound: &[u8], linear: bool) -> bool {
    if !linear {
        return sound.iter().any(|byte| !byte & 0x7F > LOUD);
    }
    let mut samples = sound.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]]));
    samples.any(|sample| sample.unsigned_abs() > LOUD_SAMPLE)
}

fn results(words: &str, sure: bool, over: bool, finalized: bool) -> String {
    format!(
        r#"{{"type":"Results","channel_index":[0,1],"duration":1.6,"start":1.0,"is_final":{sure},"speech_final":{over},"from_finalize":{finalized},"channel":{{"alternatives":[{{"transcript":"{words}","confidence":0.98,"words":[]}}]}},"metadata":{{"request_id":"r1","model_uuid":"m1","model_info":{{"name":"general-nova-3","version":"1","arch":"nova-3"}}}}}}"#
    )
}
