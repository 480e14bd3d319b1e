//! The world's servers on loopback: each speaks its vendor's real wire, remembers what it was
//! asked, and fails on command.
//!
//! Read in this order: [`openai`] → [`realtime`] → [`anthropic`] → [`gemini`] → [`deepgram`] → [`flux`] → [`assemblyai`] → [`elevenlabs`] → [`scribe`] → [`cartesia`] → [`twilio`] → [`telnyx`] →
//! [`voipms`] → [`line`] → [`hook`] → [`collector`] (who is told of spans).

pub mod anthropic;
pub mod assemblyai;
pub mod cartesia;
pub mod collector;
pub mod deepgram;
mod ear;
pub mod elevenlabs;
pub mod flux;
pub mod gemini;
pub mod hook;
pub mod line;
pub mod openai;
pub mod realtime;
pub mod scribe;
pub mod telnyx;
pub mod twilio;
pub mod voipms;

use std::net::SocketAddr;
use std::sync::Mutex;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The key that each double takes; every other is refused, as its vendor would.
pub const KEY: &str = "test-key-3f9a";

/// How a double fails, if it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// It works.
    #[default]
    None,
    /// It does not take the key: 401.
    Refuse,
    /// It takes the request and never answers.
    Stall,
    /// It cuts the connection in the middle of its answer.
    Drop,
    /// It answers with what nobody can read.
    Rubbish,
}

/// Which fault a double has now.
#[derive(Debug, Default)]
pub struct Switch(Mutex<Fault>);

impl Switch {
    /// From now on.
    pub fn set(&self, fault: Fault) {
        *self.0.lock().unwrap() = fault;
    }

    /// Now.
    pub fn get(&self) -> Fault {
        *self.0.lock().unwrap()
    }
}

/// A server on a free port of loopback, until it is dropped.
pub struct Door {
    /// Where.
    pub at: SocketAddr,
    task: JoinHandle<()>,
}

impl Door {
    /// Opens.
    ///
    /// # Panics
    /// Without a free port.
    pub async fn open(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self { at, task }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}
