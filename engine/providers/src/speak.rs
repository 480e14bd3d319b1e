//! A voice over one WebSocket a call: what is common to all of them.
//!
//! A vendor says by [`Wire`] what it is told and what its messages mean. Here, once: a cut that
//! gets through while sound waits, sound that waits to be taken, signs of life, a vendor that is
//! gone.

use std::collections::VecDeque;
use std::future::pending;
use std::time::Duration;

use agent::Error;
use futures_util::StreamExt;
use talk::{Say, Speaking, Spoken, TurnId};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::Message;

use crate::dial::{self, Socket};

/// Texts that may wait to be sent.
const SAYS: usize = 64;

/// Sounds that may wait to be taken.
const SOUNDS: usize = 16;

/// What is to be given to the talk, in order.
pub(crate) type Due = VecDeque<Spoken>;

/// How one vendor is spoken to. Pure, but for the time that it may look at.
pub(crate) trait Wire: Send + 'static {
    /// What errors call it.
    const VENDOR: &'static str;

    /// What to tell it.
    fn say(&mut self, say: Say, due: &mut Due) -> Vec<Message>;

    /// What one of its messages means: text or sound.
    ///
    /// # Errors
    /// It cannot be read, or says that the voice is over.
    fn read(&mut self, message: Message, due: &mut Due) -> Result<(), Error>;

    /// What keeps the voice open when nothing was sent for so long.
    fn sign_of_life(&self) -> Option<(Duration, Message)> {
        None
    }

    /// What it is told at the end.
    fn goodbye(&mut self) -> Vec<Message>;
}

/// Speaks by an open socket.
pub(crate) fn open<W: Wire>(socket: Socket, wire: W) -> Speaking {
    let (say, says) = mpsc::channel(SAYS);
    let (give, sound) = mpsc::channel(SOUNDS);
    tokio::spawn(speak(socket, wire, says, give));
    Speaking { say, sound }
}

/// Carries text and sound until one side has enough.
async fn speak<W: Wire>(
    mut socket: Socket,
    mut wire: W,
    mut says: mpsc::Receiver<Say>,
    give: mpsc::Sender<Result<Spoken, Error>>,
) {
    let mut due = Due::new();
    let mut last_sent = Instant::now();
    loop {
        let life_at = wire.sign_of_life().map(|(after, _)| last_sent + after);
        let step = tokio::select! {
            // A cut must get through while sound waits to be taken.
            biased;
            () = give.closed() => break,
            say = says.recv() => match say {
                None => break,
                Some(say) => {
                    if let Say::Cut(turn) = say {
                        due.retain(|spoken| of(spoken) > turn);
                    }
                    last_sent = Instant::now();
                    dial::send(W::VENDOR, &mut socket, wire.say(say, &mut due)).await
                }
            },
            permit = room(&give, due.is_empty()) => {
                if let (Some(permit), Some(spoken)) = (permit, due.pop_front()) {
                    permit.send(Ok(spoken));
                }
                Ok(())
            }
            message = socket.next() => match message {
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => wire.read(message, &mut due),
                Some(Ok(Message::Close(frame))) => Err(dial::gone(W::VENDOR, frame.as_ref())),
                Some(Err(_)) | None => Err(dial::gone(W::VENDOR, None)),
                Some(Ok(_)) => Ok(()),
            },
            () = sleep_until(life_at.unwrap_or(last_sent)), if life_at.is_some() => {
                last_sent = Instant::now();
                dial::send(W::VENDOR, &mut socket, wire.sign_of_life().into_iter().map(|(_, sign)| sign).collect()).await
            }
        };
        if let Err(error) = step {
            // What came before the error is still to be heard.
            for spoken in due.drain(..) {
                let _ = give.send(Ok(spoken)).await;
            }
            let _ = give.send(Err(error)).await;
            return;
        }
    }
    // The vendor closes the socket by itself in a while; this only spares it the wait.
    let goodbye = wire.goodbye();
    let _ = dial::send(W::VENDOR, &mut socket, goodbye).await;
    dial::close(socket).await;
}

/// Room for a sound; waits for ever when there is none to give.
async fn room(
    give: &mpsc::Sender<Result<Spoken, Error>>,
    nothing: bool,
) -> Option<mpsc::Permit<'_, Result<Spoken, Error>>> {
    if nothing { pending().await } else { give.reserve().await.ok() }
}

/// Whose turn it is of.
pub(crate) fn of(spoken: &Spoken) -> TurnId {
    match spoken {
        Spoken::Sound(turn, _) | Spoken::Words(turn, _) | Spoken::End(turn) => *turn,
    }
}
