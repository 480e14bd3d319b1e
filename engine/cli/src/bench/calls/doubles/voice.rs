//! The voice, ElevenLabs' `multi-stream-input`: a hum for each text, which begins a fixed time after
//! the text and then comes much faster than it sounds.

use std::collections::VecDeque;
use std::f64::consts::TAU;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use audio::g711::Law;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use tokio::time::{Instant, sleep_until};

use super::{Format, World, small};
use crate::bench::calls::board;

/// How long a letter sounds, milliseconds.
const LETTER_MS: usize = 25;
/// Letters of one piece of sound: 200 ms.
const LETTERS: usize = 8;
/// Between two pieces.
const PIECE: Duration = Duration::from_millis(20);

/// The sound of a piece, in base64: as mu-law, and as 16 bits.
pub(super) struct Hum {
    law: String,
    linear: String,
}

impl Hum {
    pub(super) fn new() -> Self {
        let samples: Vec<i16> = (0..LETTERS * LETTER_MS * 8)
            .map(|n| ((n as f64 * TAU * 220.0 / 8000.0).sin() * 8000.0) as i16)
            .collect();
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let law = BASE64_STANDARD.encode(Law::Mu.encode(&samples));
        Self { law, linear: BASE64_STANDARD.encode(bytes) }
    }
}

pub(super) async fn open(
    State(world): State<Arc<World>>,
    Query(format): Query<Format>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let linear = format.is_linear();
    small(upgrade).on_upgrade(move |socket| speak(socket, world, linear))
}

/// What the voice is told.
#[derive(Deserialize)]
#[serde(default)]
struct Told {
    text: String,
    context_id: String,
    close_context: bool,
    close_socket: bool,
}

impl Default for Told {
    fn default() -> Self {
        let (text, context_id) = (String::new(), String::new());
        Self { text, context_id, close_context: false, close_socket: false }
    }
}

/// What waits for its time.
struct Due {
    at: Instant,
    text: String,
    /// The first sound of an answer.
    first: bool,
}

async fn speak(mut socket: WebSocket, world: Arc<World>, linear: bool) {
    let hum = if linear { &world.hum.linear } else { &world.hum.law };
    let mut caller = None;
    let mut due: VecDeque<Due> = VecDeque::new();
    let now = Instant::now();
    loop {
        let at = due.front().map(|due| due.at);
        let message = tokio::select! {
            biased;
            () = sleep_until(at.unwrap_or(now)), if at.is_some() => None,
            message = socket.recv() => match message {
                Some(Ok(message)) => Some(message),
                Some(Err(_)) | None => return,
            },
        };
        let Some(message) = message else {
            let Some(piece) = due.pop_front() else { continue };
            if piece.first {
                let now = Instant::now().into_std();
                world.board.note(caller, |stations| stations.sound = Some(now));
            }
            if socket.send(Message::text(piece.text)).await.is_err() {
                return;
            }
            continue;
        };
        let Message::Text(text) = message else { continue };
        let Ok(told) = serde_json::from_str::<Told>(&text) else { return };
        if told.close_socket {
            return;
        }
        let last = due.back().map(|due| due.at);
        let now = Instant::now();
        if told.close_context {
            let text = format!(r#"{{"isFinal":true,"contextId":"{}"}}"#, told.context_id);
            due.push_back(Due { at: last.unwrap_or(now), text, first: false });
        } else if !told.text.trim().is_empty() {
            let named = board::named(&told.text);
            if named.is_some() {
                caller = named;
                world.board.note(caller, |stations| stations.told = Some(now.into_std()));
            }
            let begin = (now + world.times.sound).max(last.map_or(now, |last| last + PIECE));
            let pieces = told.text.trim().chars().count().div_ceil(LETTERS);
            for n in 0..pieces {
                let text = sound(&told, n, hum);
                let first = n == 0 && named.is_some();
                due.push_back(Due { at: begin + PIECE * n as u32, text, first });
            }
        }
    }
}

/// A piece of sound with its letters, as the vendor writes it.
fn sound(told: &Told, piece: usize, hum: &str) -> String {
    let letters: Vec<char> = told.text.trim().chars().skip(piece * LETTERS).take(LETTERS).collect();
    let (mut chars, mut starts, mut lasts) = (String::new(), String::new(), String::new());
    for (n, letter) in letters.iter().enumerate() {
        let comma = if n == 0 { "" } else { "," };
        let _ = write!(chars, "{comma}\"{letter}\"");
        let _ = write!(starts, "{comma}{}", n * LETTER_MS);
        let _ = write!(lasts, "{comma}{LETTER_MS}");
    }
    let alignment = format!(
        r#"{{"chars":[{chars}],"charStartTimesMs":[{starts}],"charDurationsMs":[{lasts}]}}"#
    );
    format!(
        r#"{{"audio":"{hum}","isFinal":null,"alignment":{alignment},"normalizedAlignment":{alignment},"contextId":"{}"}}"#,
        told.context_id
    )
}
