//! A recognizer over one WebSocket a call: what is common to all of them.
//!
//! A vendor says by [`Wire`] how it wants sound and what its messages mean. Here, once: the order
//! of things, frames that catch up, signs of life, a vendor that is silent or gone.

use std::collections::VecDeque;
use std::time::Duration;

use agent::Error;
use audio::Frame;
use futures_util::StreamExt;
use talk::{Hear, Listening, Words};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::Message;

use crate::dial::{self, Socket};

/// Told to fix its words, a vendor answers something soon, if only that there are none. One that
/// is silent for so long hears nothing any more.
const ANSWER: Duration = Duration::from_secs(4);

/// Frames that are sent at once, when they have to wait: 100 ms, so that it catches up.
const FRAMES: usize = 5;

/// Sound that may wait to be sent: 5 s.
const SOUNDS: usize = 250;

/// Words that may wait to be taken.
const WORDS: usize = 64;

/// How one vendor is spoken to. Pure.
pub(crate) trait Wire: Send + 'static {
    /// What errors call it.
    const VENDOR: &'static str;

    /// Whether it answers in any case when it is told that the caller fell silent.
    const ANSWERS: bool = false;

    /// What it is told before anything else.
    fn hello(&mut self) -> Vec<Message> {
        Vec::new()
    }

    /// Sound of the caller, of the rate that was asked for. What is too short to be sent alone
    /// waits for the next.
    fn sound(&mut self, frames: &[Frame]) -> Vec<Message>;

    /// The caller fell silent.
    fn quiet(&mut self) -> Vec<Message> {
        Vec::new()
    }

    /// What keeps the stream open when nothing was sent for so long.
    fn sign_of_life(&self) -> Option<(Duration, Message)> {
        None
    }

    /// What it is told at the end: vendors bill until then.
    fn goodbye(&mut self) -> Vec<Message> {
        Vec::new()
    }

    /// What one of its messages means.
    ///
    /// # Errors
    /// It cannot be read, or says that the stream is over.
    fn read(&mut self, text: &str) -> Result<Vec<Words>, Error>;
}

/// Listens by an open socket.
pub(crate) fn open<W: Wire>(socket: Socket, wire: W) -> Listening {
    let (sound, hears) = mpsc::channel(SOUNDS);
    let (say, words) = mpsc::channel(WORDS);
    tokio::spawn(listen(socket, wire, hears, say));
    Listening { sound, words }
}

/// Carries sound and words until one side has enough.
async fn listen<W: Wire>(
    mut socket: Socket,
    mut wire: W,
    mut hears: mpsc::Receiver<Hear>,
    words: mpsc::Sender<Result<Words, Error>>,
) {
    let mut last_sent = Instant::now();
    let mut owed: Option<Instant> = None;
    let mut due: VecDeque<Words> = VecDeque::new();
    let hello = wire.hello();
    if let Err(error) = dial::send(W::VENDOR, &mut socket, hello).await {
        let _ = words.send(Err(error)).await;
        return;
    }
    loop {
        let answer_at = owed.map(|since| since + ANSWER);
        let life_at = wire.sign_of_life().map(|(after, _)| last_sent + after);
        let step = tokio::select! {
            () = words.closed() => break,
            hear = hears.recv() => match hear {
                None => break,
                Some(hear) => {
                    let (messages, quiet) = messages(&mut wire, hear, &mut hears);
                    if !messages.is_empty() {
                        last_sent = Instant::now();
                    }
                    if quiet && W::ANSWERS {
                        owed.get_or_insert(last_sent);
                    }
                    dial::send(W::VENDOR, &mut socket, messages).await
                }
            },
            permit = words.reserve(), if !due.is_empty() => {
                if let (Ok(permit), Some(word)) = (permit, due.pop_front()) {
                    permit.send(Ok(word));
                }
                Ok(())
            }
            () = sleep_until(life_at.unwrap_or(last_sent)), if life_at.is_some() => {
                last_sent = Instant::now();
                dial::send(W::VENDOR, &mut socket, wire.sign_of_life().into_iter().map(|(_, sign)| sign).collect()).await
            }
            () = sleep_until(answer_at.unwrap_or(last_sent)), if answer_at.is_some() => {
                Err(Error::Unreachable { vendor: W::VENDOR, why: "it does not answer".into() })
            }
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    owed = None;
                    wire.read(&text).map(|words| due.extend(words))
                }
                Some(Ok(Message::Close(frame))) => Err(dial::gone(W::VENDOR, frame.as_ref())),
                Some(Err(_)) | None => Err(dial::gone(W::VENDOR, None)),
                Some(Ok(_)) => Ok(()),
            },
        };
        if let Err(error) = step {
            // What was recognized before still counts.
            for word in due {
                let _ = words.send(Ok(word)).await;
            }
            // Nobody listens any more: then nobody misses it either.
            let _ = words.send(Err(error)).await;
            return;
        }
    }
    // The vendor bills until it is told; whether it hears that is its own matter.
    let goodbye = wire.goodbye();
    let _ = dial::send(W::VENDOR, &mut socket, goodbye).await;
    dial::close(socket).await;
}

/// What to send for a hint or a frame, the frames that wait behind it included; and whether the
/// caller fell silent.
fn messages<W: Wire>(
    wire: &mut W,
    hear: Hear,
    hears: &mut mpsc::Receiver<Hear>,
) -> (Vec<Message>, bool) {
    let mut frames = Vec::new();
    let mut next = Some(hear);
    let mut quiet = false;
    for left in (0..FRAMES).rev() {
        match next.take() {
            Some(Hear::Frame(frame)) => frames.push(frame),
            Some(Hear::Quiet) => {
                quiet = true;
                break;
            }
            // These vendors detect voices themselves, and have no grammar.
            Some(Hear::Voice | Hear::Expect(_)) => {}
            None => break,
        }
        if left > 0 {
            next = hears.try_recv().ok();
        }
    }
    let mut messages = if frames.is_empty() { Vec::new() } else { wire.sound(&frames) };
    if quiet {
        messages.extend(wire.quiet());
    }
    (messages, quiet)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Counts frames.
    struct Counting;

    impl Wire for Counting {
        const VENDOR: &'static str = "counting";

        fn sound(&mut self, frames: &[Frame]) -> Vec<Message> {
            vec![Message::text(frames.len().to_string())]
        }

        fn quiet(&mut self) -> Vec<Message> {
            vec![Message::text("quiet")]
        }

        fn read(&mut self, _: &str) -> Result<Vec<Words>, Error> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn waiting_frames_go_together_and_no_hint_is_lost() {
        let (send, mut hears) = mpsc::channel(10);
        let frame = || Hear::Frame(Frame::silence(8000));
        for hear in [Hear::Voice, frame(), Hear::Quiet, frame()] {
            send.try_send(hear).unwrap();
        }
        let (sent, quiet) = messages(&mut Counting, frame(), &mut hears);
        assert_eq!((sent, quiet), (vec![Message::text("2"), Message::text("quiet")], true));
        assert_eq!(hears.len(), 1);
        let (sent, quiet) = messages(&mut Counting, Hear::Expect(None), &mut hears);
        assert_eq!((sent, quiet), (vec![Message::text("1")], false));
        let (sent, _) = messages(&mut Counting, Hear::Voice, &mut hears);
        assert!(sent.is_empty(), "a hint alone is nothing to send");
    }
}
