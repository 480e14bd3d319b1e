//! Doubles of the vendors, with fixed times: each speaks its vendor's wire and notes on the
//! [`Board`] when it was asked and when it answered.
//!
//! Read in this order: [`recognizer`] → [`model`] → [`voice`].

mod model;
mod recognizer;
mod voice;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::board::Board;

/// The key that they are given; what they do not check.
pub(super) const KEY: &str = "bench";

/// Messages are small: a socket needs no more room.
const BUFFER: usize = 4 * 1024;

/// How long the doubles take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// From the end of the caller's voice to the recognizer's sure words.
    pub(super) words: Duration,
    /// From a question to the end of the answer's first sentence.
    pub(super) sentence: Duration,
    /// From a text to the first sound of it.
    pub(super) sound: Duration,
}

/// The doubles, until they are dropped.
pub(super) struct Doubles {
    /// Where they are.
    pub(super) at: SocketAddr,
    task: JoinHandle<()>,
}

/// What they share.
struct World {
    times: Times,
    board: Board,
    /// The sound that is spoken.
    hum: voice::Hum,
}

impl Doubles {
    /// Opens them on a free port.
    ///
    /// # Errors
    /// There is none.
    pub(super) async fn open(times: Times, board: Board) -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
        let at = listener.local_addr().map_err(|error| error.to_string())?;
        // A double that is slow by Nagle's algorithm would be slow at our expense.
        let listener = listener.tap_io(|tcp| {
            let _ = tcp.set_nodelay(true);
        });
        let router = Router::new()
            .route("/v1/listen", get(recognizer::open))
            .route("/v1/chat/completions", post(model::answer))
            .route("/v1/text-to-speech/{voice}/multi-stream-input", get(voice::open))
            .with_state(Arc::new(World { times, board, hum: voice::Hum::new() }));
        let task = tokio::spawn(async move {
            // It ends when it is aborted.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { at, task })
    }
}

impl Drop for Doubles {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How sound is to be: each vendor has its own words for it.
#[derive(Deserialize)]
struct Format {
    #[serde(alias = "encoding", alias = "output_format")]
    name: String,
}

impl Format {
    /// Samples of 16 bits, and not mu-law.
    fn is_linear(&self) -> bool {
        matches!(self.name.as_str(), "linear16" | "pcm_8000")
    }
}

fn small(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade.read_buffer_size(BUFFER).write_buffer_size(0)
}
