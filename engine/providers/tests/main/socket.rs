//! A vendor of sockets on loopback: remembers how it was opened and what it was told, and answers
//! with messages as the vendor sends them.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

/// The key that it takes; it may stand in any header.
pub(crate) const KEY: &str = "sk-secret";

/// What it answers to a message; `None` = it hangs up without a word.
pub(crate) type React = dyn Fn(&Message) -> Option<Vec<Message>> + Send + Sync;

/// The double.
pub(crate) struct Vendor {
    /// Where it is.
    pub(crate) base: String,
    /// How it was opened: path and query.
    pub(crate) opened: mpsc::UnboundedReceiver<String>,
    /// What it was told.
    pub(crate) told: mpsc::UnboundedReceiver<Message>,
}

impl Vendor {
    /// Opens. `first` is said before anything is told.
    pub(crate) async fn open(
        first: &[Value],
        react: impl Fn(&Message) -> Option<Vec<Message>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (tell_opened, opened) = mpsc::unbounded_channel();
        let (tell_told, told) = mpsc::unbounded_channel();
        let first: Vec<Message> = first.iter().map(text).collect();
        let react: Arc<React> = Arc::new(react);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (opened, told) = (tell_opened.clone(), tell_told.clone());
                tokio::spawn(serve(stream, first.clone(), Arc::clone(&react), opened, told));
            }
        });
        Self { base, opened, told }
    }

    /// Everything that it was told so far, as JSON; sound as its length.
    pub(crate) fn all(&mut self) -> Vec<Value> {
        let mut all = Vec::new();
        while let Ok(message) = self.told.try_recv() {
            all.push(match &message {
                Message::Text(text) => serde_json::from_str(text).unwrap(),
                Message::Binary(bytes) => bytes.len().into(),
                _ => continue,
            });
        }
        all
    }
}

/// A message of the vendor.
pub(crate) fn text(value: &Value) -> Message {
    Message::text(value.to_string())
}

/// Whether it was told something of this kind, whatever that vendor calls kinds.
pub(crate) fn is(message: &Message, kind: &str) -> bool {
    matches!(message, Message::Text(text) if text.contains(&format!("\"{kind}\"")))
}

// The callback's type is the library's.
#[allow(clippy::result_large_err)]
async fn serve(
    stream: TcpStream,
    first: Vec<Message>,
    react: Arc<React>,
    opened: mpsc::UnboundedSender<String>,
    told: mpsc::UnboundedSender<Message>,
) {
    let door = |request: &Request, response: Response| {
        let keyed = request.headers().values().any(|value| {
            let value = value.to_str().unwrap_or_default();
            value.rsplit(' ').next() == Some(KEY)
        });
        if !keyed {
            let mut refusal = ErrorResponse::new(Some("no such key".into()));
            *refusal.status_mut() = 401.try_into().unwrap();
            return Err(refusal);
        }
        opened.send(request.uri().to_string()).unwrap();
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr_async(stream, door).await else { return };
    for message in first {
        socket.send(message).await.unwrap();
    }
    while let Some(Ok(message)) = socket.next().await {
        if message.is_close() {
            return;
        }
        let answers = react(&message);
        let _ = told.send(message);
        let Some(answers) = answers else { return };
        for answer in answers {
            if socket.send(answer).await.is_err() {
                return;
            }
        }
    }
}
