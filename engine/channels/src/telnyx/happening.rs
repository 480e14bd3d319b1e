//! What happens to a line besides sound, and a caller whom Telnyx takes over.

use call::{HangupCause, NotReached, Picked, Unable};
use tokio::sync::oneshot;

use super::calls::Calls;
use super::media::Stream;

/// What happens to a line besides sound.
pub(super) enum Happening {
    /// The flow picks up; it waits until it can be heard.
    Answer(oneshot::Sender<Result<(), String>>),
    /// The flow hangs up.
    Hangup(HangupCause),
    /// The call goes on in another process, or shall: Telnyx tells it that the stream is over.
    Released,
    /// It rings over there, says Telnyx.
    Ringing,
    /// Somebody picked up, says Telnyx.
    Answered,
    /// The call is over, says Telnyx.
    Over(NotReached),
    /// Telnyx cannot open the stream.
    NoStream(String),
    /// Telnyx is asked to take the call over, together with another line perhaps.
    HandingOver { beside: Option<String>, reply: oneshot::Sender<Result<(), Unable>> },
    /// The caller talks to somebody else, says Telnyx.
    Bridged,
    /// Nobody else took the call, says Telnyx.
    NotTaken(NotReached),
    /// Who picked up, says Telnyx.
    Picked(Picked),
    /// A stream begins, of this call.
    Stream { call: String, stream: Box<Stream> },
}

/// Telnyx is taking the caller over, or nobody asked for that.
#[derive(Default)]
pub(super) struct Handing(Option<Waiting>);

struct Waiting {
    /// The call of the line that goes with it.
    beside: Option<String>,
    reply: oneshot::Sender<Result<(), Unable>>,
}

impl Handing {
    pub(super) fn begin(
        &mut self,
        beside: Option<String>,
        reply: oneshot::Sender<Result<(), Unable>>,
    ) {
        self.0 = Some(Waiting { beside, reply });
    }

    /// Nobody took the caller.
    pub(super) fn failed(&mut self, why: String) {
        if let Some(Waiting { reply, .. }) = self.0.take() {
            let _ = reply.send(Err(Unable::Failed(why)));
        }
    }

    /// The caller talks to somebody else; whether that is what somebody waited for.
    pub(super) async fn done(&mut self, calls: &Calls) -> bool {
        let Some(Waiting { beside, reply }) = self.0.take() else { return false };
        if let Some(line) = beside.and_then(|beside| calls.line(&beside)) {
            // Before anybody drops its leg, which would hang up.
            let _ = line.send(Happening::Released).await;
        }
        let _ = reply.send(Ok(()));
        true
    }
}
