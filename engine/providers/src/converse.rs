//! A model that hears and speaks, over one WebSocket a call: what is common to all of them.
//!
//! A vendor says by [`Wire`] what it is told and what its messages mean. Here, once: a conversation
//! that is ready before anything else is said, frames that catch up, a vendor that is gone.

use std::collections::VecDeque;

use agent::Error;
use audio::Frame;
use futures_util::StreamExt;
use talk::{Conversing, Tell, Told};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use crate::dial::{self, Socket};

/// Frames that are sent at once, when they have to wait: 100 ms, so that it catches up.
const FRAMES: usize = 5;

/// What may wait to be sent: 5 s of frames.
const TELLS: usize = 250;

/// What may wait to be taken.
const TOLDS: usize = 64;

/// What is to be given to the talk, in order.
pub(crate) type Due = VecDeque<Told>;

/// How one vendor is spoken to. Pure.
pub(crate) trait Wire: Send + 'static {
    /// What errors call it.
    const VENDOR: &'static str;

    /// What it is told before anything else.
    fn hello(&mut self) -> Vec<Message>;

    /// Whether it has taken that.
    fn is_ready(&self) -> bool;

    /// Sound of the caller.
    fn sound(&mut self, frames: &[Frame]) -> Vec<Message>;

    /// What it is told otherwise.
    fn tell(&mut self, tell: Tell) -> Vec<Message>;

    /// What one of its messages means, and what to answer it.
    ///
    /// # Errors
    /// It cannot be read, or says that the conversation is over.
    fn read(&mut self, text: &str, due: &mut Due) -> Result<Vec<Message>, Error>;
}

/// Converses by an open socket, as soon as the vendor is ready.
///
/// # Errors
/// It refuses what it is told.
pub(crate) async fn open<W: Wire>(mut socket: Socket, mut wire: W) -> Result<Conversing, Error> {
    let mut due = Due::new();
    let hello = wire.hello();
    dial::send(W::VENDOR, &mut socket, hello).await?;
    while !wire.is_ready() {
        let message = socket.next().await;
        let answers = read(&mut wire, message, &mut due)?;
        dial::send(W::VENDOR, &mut socket, answers).await?;
    }
    let (tell, tells) = mpsc::channel(TELLS);
    let (give, told) = mpsc::channel(TOLDS);
    tokio::spawn(converse(socket, wire, tells, give, due));
    Ok(Conversing { tell, told })
}

/// Carries both directions until one side has enough.
async fn converse<W: Wire>(
    mut socket: Socket,
    mut wire: W,
    mut tells: mpsc::Receiver<Tell>,
    give: mpsc::Sender<Result<Told, Error>>,
    mut due: Due,
) {
    loop {
        let step = tokio::select! {
            // A cut must get through while sound waits to be taken.
            biased;
            () = give.closed() => break,
            tell = tells.recv() => match tell {
                None => break,
                Some(tell) => {
                    let messages = messages(&mut wire, tell, &mut tells, &mut due);
                    dial::send(W::VENDOR, &mut socket, messages).await
                }
            },
            permit = give.reserve(), if !due.is_empty() => {
                if let (Ok(permit), Some(told)) = (permit, due.pop_front()) {
                    permit.send(Ok(told));
                }
                Ok(())
            }
            message = socket.next() => match read(&mut wire, message, &mut due) {
                Ok(answers) => dial::send(W::VENDOR, &mut socket, answers).await,
                Err(error) => Err(error),
            },
        };
        if let Err(error) = step {
            // What came before the error still counts.
            for told in due {
                let _ = give.send(Ok(told)).await;
            }
            let _ = give.send(Err(error)).await;
            return;
        }
    }
    dial::close(socket).await;
}

/// What to send, the frames that wait behind a frame included.
fn messages<W: Wire>(
    wire: &mut W,
    tell: Tell,
    tells: &mut mpsc::Receiver<Tell>,
    due: &mut Due,
) -> Vec<Message> {
    let mut frames = Vec::new();
    let mut next = Some(tell);
    while let Some(tell) = next {
        match tell {
            Tell::Frame(frame) => frames.push(frame),
            other => {
                let mut messages = if frames.is_empty() { Vec::new() } else { wire.sound(&frames) };
                if let Tell::Cut { turn, .. } = &other {
                    due.retain(|told| of(told).is_none_or(|of| of > *turn));
                }
                messages.extend(wire.tell(other));
                return messages;
            }
        }
        next = if frames.len() < FRAMES { tells.try_recv().ok() } else { None };
    }
    wire.sound(&frames)
}

/// Whose turn's sound or words it is; `None` = it counts all the same when the turn is cut.
fn of(told: &Told) -> Option<talk::TurnId> {
    match told {
        Told::Heard(..) => None,
        Told::Text(turn, _) | Told::Sound(turn, _) | Told::Call(turn, _) => Some(*turn),
        Told::End(turn, _) | Told::Said(turn) => Some(*turn),
    }
}

/// What came of the socket. Some vendors send text in binary frames.
fn read<W: Wire>(
    wire: &mut W,
    message: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>,
    due: &mut Due,
) -> Result<Vec<Message>, Error> {
    match message {
        Some(Ok(Message::Text(text))) => wire.read(&text, due),
        Some(Ok(Message::Binary(bytes))) => {
            let text = std::str::from_utf8(&bytes).map_err(|_| Error::Unreadable {
                vendor: W::VENDOR,
                why: "binary messages that are no text".into(),
            })?;
            wire.read(text, due)
        }
        Some(Ok(Message::Close(frame))) => Err(dial::gone(W::VENDOR, frame.as_ref())),
        Some(Err(_)) | None => Err(dial::gone(W::VENDOR, None)),
        Some(Ok(_)) => Ok(Vec::new()),
    }
}
