//! A voice that speaks text piece by piece, each piece a stream of sound of its own.
//!
//! For vendors without a stream of text: a program or a request for each clause. What is common to
//! them is here, once: the order of pieces, the end of a turn, the cut.
//!
//! Invariant: the sound of a piece that nobody wants any more is dropped with its channel, and that
//! ends whatever makes it.

use std::collections::VecDeque;

use agent::Error;
use audio::Frame;
use talk::{Say, Speaking, Spoken, TurnId};
use tokio::sync::mpsc;

/// Texts that may wait to be taken by the voice's task.
const SAYS: usize = 64;

/// Sounds that may wait to be taken by the talk.
const SOUNDS: usize = 16;

/// The sound of one piece; an error is its end.
pub(crate) type Sound = mpsc::Receiver<Result<Frame, Error>>;

/// Makes the sound of pieces.
pub(crate) trait Source: Send + 'static {
    /// Begins with a piece. Dropping the receiver ends the work on it.
    fn speak(&self, text: &str) -> Sound;

    /// How many pieces may be in the works, the one that sounds included.
    fn at_once(&self) -> usize;
}

/// Opens a voice over a source.
pub(crate) fn open(source: impl Source) -> Speaking {
    let (say, says) = mpsc::channel(SAYS);
    let (sounds, sound) = mpsc::channel(SOUNDS);
    tokio::spawn(speak(Line::new(source), says, sounds));
    Speaking { say, sound }
}

/// One thing in the order in which it is to be heard.
enum Piece {
    Waiting(TurnId, String),
    Begun(TurnId, Sound),
    End(TurnId),
}

impl Piece {
    fn turn(&self) -> TurnId {
        match self {
            Self::Waiting(turn, _) | Self::Begun(turn, _) | Self::End(turn) => *turn,
        }
    }
}

/// What is still to be said, in order.
struct Line<S> {
    source: S,
    pieces: VecDeque<Piece>,
    /// Turns up to this one are cut.
    cut: Option<TurnId>,
}

impl<S: Source> Line<S> {
    fn new(source: S) -> Self {
        Self { source, pieces: VecDeque::new(), cut: None }
    }

    fn on(&mut self, say: Say) {
        let wanted = |turn| self.cut.is_none_or(|cut| turn > cut);
        match say {
            Say::Text(turn, text) if wanted(turn) && !text.trim().is_empty() => {
                self.pieces.push_back(Piece::Waiting(turn, text));
            }
            Say::End(turn) if wanted(turn) => self.pieces.push_back(Piece::End(turn)),
            Say::Text(..) | Say::End(_) => {}
            Say::Cut(turn) => {
                self.cut = self.cut.max(Some(turn));
                self.pieces.retain(|piece| piece.turn() > turn);
            }
        }
        self.begin();
    }

    /// Begins as many pieces as may be in the works.
    fn begin(&mut self) {
        for piece in self.pieces.iter_mut().take(self.source.at_once()) {
            if let Piece::Waiting(turn, text) = piece {
                *piece = Piece::Begun(*turn, self.source.speak(text));
            }
        }
    }

    /// The next thing to give; waits for ever when there is nothing to say. Nothing is lost when
    /// it is not waited for to the end.
    async fn next(&mut self) -> Result<Spoken, Error> {
        loop {
            match self.pieces.front_mut() {
                None => std::future::pending().await,
                Some(Piece::Begun(turn, sound)) => {
                    let turn = *turn;
                    match sound.recv().await {
                        Some(Ok(frame)) => return Ok(Spoken::Sound(turn, frame)),
                        Some(Err(error)) => {
                            self.on(Say::Cut(turn));
                            return Err(error);
                        }
                        None => drop(self.pieces.pop_front()),
                    }
                }
                Some(Piece::End(turn)) => {
                    let turn = *turn;
                    self.pieces.pop_front();
                    self.begin();
                    return Ok(Spoken::End(turn));
                }
                Some(Piece::Waiting(..)) => {}
            }
            self.begin();
        }
    }
}

async fn speak(
    mut line: Line<impl Source>,
    mut says: mpsc::Receiver<Say>,
    sounds: mpsc::Sender<Result<Spoken, Error>>,
) {
    loop {
        // Room for a sound is taken first, so that a cut is heard while the talk takes none.
        tokio::select! {
            say = says.recv() => match say {
                Some(say) => line.on(say),
                None => return,
            },
            next = async {
                let Ok(room) = sounds.reserve().await else { return std::future::pending().await };
                (room, line.next().await)
            } => {
                let (room, spoken) = next;
                room.send(spoken);
            }
            () = sounds.closed() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Each letter of a text is a frame; `!` is an error.
    struct Letters(usize);

    impl Source for Letters {
        fn speak(&self, text: &str) -> Sound {
            let (send, sound) = mpsc::channel(1);
            let text = text.to_owned();
            tokio::spawn(async move {
                for letter in text.chars() {
                    let frame = Frame { rate: 8000, samples: vec![letter as i16] };
                    let why = "no voice".to_owned();
                    let error = Error::Unreachable { vendor: "letters", why };
                    let piece = if letter == '!' { Err(error) } else { Ok(frame) };
                    if send.send(piece).await.is_err() {
                        return;
                    }
                }
            });
            sound
        }

        fn at_once(&self) -> usize {
            self.0
        }
    }

    async fn next(voice: &mut Speaking) -> String {
        match voice.sound.recv().await.unwrap() {
            Ok(Spoken::Sound(turn, frame)) => {
                format!("{}{}", turn.0, char::from(u8::try_from(frame.samples[0]).unwrap()))
            }
            Ok(Spoken::End(turn)) => format!("{}.", turn.0),
            Ok(Spoken::Words(..)) => "words".into(),
            Err(error) => error.kind().into(),
        }
    }

    async fn said(voice: &Speaking, turn: u64, text: &str) {
        voice.say.send(Say::Text(TurnId(turn), text.into())).await.unwrap();
    }

    #[tokio::test]
    async fn pieces_come_in_order_and_the_turn_ends() {
        for at_once in [1, 2, 5] {
            let mut voice = open(Letters(at_once));
            said(&voice, 1, "ab").await;
            said(&voice, 1, " ").await;
            said(&voice, 1, "c").await;
            voice.say.send(Say::End(TurnId(1))).await.unwrap();
            said(&voice, 2, "d").await;
            for expected in ["1a", "1b", "1c", "1.", "2d"] {
                assert_eq!(next(&mut voice).await, expected);
            }
        }
    }

    #[tokio::test]
    async fn a_cut_silences_its_turn_and_what_comes_late_for_it() {
        let mut voice = open(Letters(2));
        said(&voice, 1, &"a".repeat(1000)).await;
        assert_eq!(next(&mut voice).await, "1a");
        voice.say.send(Say::Cut(TurnId(1))).await.unwrap();
        said(&voice, 1, "late").await;
        voice.say.send(Say::End(TurnId(1))).await.unwrap();
        said(&voice, 2, "b").await;
        let mut late = 0;
        while next(&mut voice).await == "1a" {
            late += 1;
        }
        assert!(late <= SOUNDS, "only what was given already may still come, not {late}");
    }

    #[tokio::test]
    async fn an_error_ends_its_turn_and_the_voice_lives_on() {
        let mut voice = open(Letters(2));
        said(&voice, 1, "a!b").await;
        said(&voice, 1, "c").await;
        assert_eq!(next(&mut voice).await, "1a");
        assert_eq!(next(&mut voice).await, "unreachable");
        said(&voice, 2, "d").await;
        assert_eq!(next(&mut voice).await, "2d");
    }

    #[tokio::test]
    async fn who_drops_the_voice_ends_its_work() {
        let at_rest = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        for drop_sound in [true, false] {
            let voice = open(Letters(2));
            said(&voice, 1, &"a".repeat(1000)).await;
            let Speaking { say, sound } = voice;
            // Either handle alone is enough.
            let kept = if drop_sound {
                drop(sound);
                (Some(say), None)
            } else {
                drop(say);
                (None, Some(sound))
            };
            while tokio::runtime::Handle::current().metrics().num_alive_tasks() > at_rest {
                tokio::task::yield_now().await;
            }
            drop(kept);
        }
    }
}
