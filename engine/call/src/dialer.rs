//! Who reaches others: the seam to carriers that can dial, and a leg that is on its way.

use std::time::Duration;

use async_trait::async_trait;
use flow::Destination;
use tokio::sync::mpsc;

use crate::leg::{Dialled, Leg};

/// A carrier that can dial. Implemented by channels, called by a call and by the runtime.
#[async_trait]
pub trait Dialer: Send + Sync {
    /// The carrier's file name: `twilio`, `telnyx`, `sip`.
    fn carrier(&self) -> &'static str;

    /// Whether it can reach this kind of destination, and has what it needs for that, such as
    /// credentials.
    fn reaches(&self, to: &Destination) -> bool;

    /// Begins to dial; returns as soon as the carrier has taken it.
    ///
    /// # Errors
    /// It was not taken, or what is wanted is impossible here.
    async fn dial(&self, wanted: Wanted) -> Result<Ringing, NotReached>;
}

/// A leg that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Whom the far side sees calling: a number of ours in E.164, or a SIP address.
    pub from: String,
    /// Whom to reach.
    pub to: Destination,
    /// How long it may ring; then it ends by [`Dialled::NoAnswer`].
    pub ring: Duration,
    /// Whether [`Progress::EarlyMedia`] is of use.
    pub early_media: bool,
    /// Whether nobody may see who calls; a carrier that cannot hide it refuses.
    pub anonymous: bool,
    /// Whether [`crate::Control::picked_up`] will be asked: some carriers must be told so when
    /// they dial.
    pub detect_machine: bool,
}

/// A leg on its way. Dropping it before somebody picked up cancels the dial. From then on only the
/// [`Leg`] counts: whoever drops that hangs up.
#[derive(Debug)]
pub struct Ringing {
    /// The carrier's id of the leg.
    pub carrier_id: String,
    /// What becomes of it. Its end without [`Progress::Ended`] means [`Dialled::Failed`].
    pub progress: mpsc::Receiver<Progress>,
}

impl Ringing {
    /// A leg that is on its way, and the carrier's end of it: `closed()` there means that nobody
    /// wants the leg any more.
    pub fn pair(carrier_id: impl Into<String>) -> (mpsc::Sender<Progress>, Self) {
        // Three things happen to a dial at most.
        let (tell, progress) = mpsc::channel(4);
        (tell, Self { carrier_id: carrier_id.into(), progress })
    }

    /// The next thing that happens.
    pub async fn next(&mut self) -> Progress {
        let lost = || Progress::Ended(NotReached::failed("the carrier lost the call"));
        self.progress.recv().await.unwrap_or_else(lost)
    }
}

/// What becomes of a dial, in this order; each at most once.
pub enum Progress {
    /// It rings over there.
    Ringing,
    /// There is sound before anybody picked up.
    EarlyMedia(Leg),
    /// Somebody picked up. `None` = the leg that was given for early media goes on.
    Answered(Option<Leg>),
    /// Nobody was reached. Nothing comes after it.
    Ended(NotReached),
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ringing => f.write_str("Ringing"),
            Self::EarlyMedia(leg) => f.debug_tuple("EarlyMedia").field(&leg.arrival).finish(),
            Self::Answered(leg) => {
                f.debug_tuple("Answered").field(&leg.as_ref().map(|leg| &leg.arrival)).finish()
            }
            Self::Ended(end) => f.debug_tuple("Ended").field(end).finish(),
        }
    }
}

/// Why nobody was reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NotReached {
    /// The exit; never [`Dialled::AnsweredAndDone`].
    pub how: Dialled,
    /// In words, for the history of the run.
    pub why: String,
}

impl NotReached {
    /// It could not be dialed.
    pub fn failed(why: impl Into<String>) -> Self {
        Self { how: Dialled::Failed, why: why.into() }
    }
}

impl From<Dialled> for NotReached {
    fn from(how: Dialled) -> Self {
        Self { how, why: how.words().into() }
    }
}

/// The dialer for a destination: that of the carrier `near` if it reaches it, so that a call stays
/// with its carrier; otherwise the first that does.
pub fn choose<'a>(
    dialers: &'a [std::sync::Arc<dyn Dialer>],
    near: &str,
    to: &Destination,
) -> Option<&'a std::sync::Arc<dyn Dialer>> {
    let reaching = || dialers.iter().filter(|dialer| dialer.reaches(to));
    reaching().find(|dialer| dialer.carrier() == near).or_else(|| reaching().next())
}
