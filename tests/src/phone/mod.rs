//! A caller as Twilio brings one: signed webhooks, TwiML carried out verb by verb, and the media
//! stream in real time, with a play buffer that honours `mark` and `clear` as Twilio's does.
//!
//! Read in this order: [`network`] (the way to voxflow) → this file (what a caller does and sees)
//! → [`call`] (the network's side of a call) → [`twiml`] → [`stream`] → [`bare`] (bad manners).
//!
//! What the caller hears is what was *played*, not what was sent: sound that a `clear` dropped was
//! never heard.

pub mod bare;
mod call;
pub mod network;
mod stream;
mod twiml;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

pub use bare::{BareSocket, bare_socket};
pub use network::Network;

use crate::double::twilio::{Form, field};
use crate::record::Record;

/// What the caller's side saw, and when (since the call was placed).
#[derive(Clone, Debug)]
pub struct Seen {
    /// Since the call was placed.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// What the caller's side saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A TwiML document came.
    Twiml(String),
    /// A media stream is open.
    Stream,
    /// Sound begins to be heard.
    Sound,
    /// It became silent; how long it sounded, milliseconds.
    Silence(u64),
    /// A `mark` came.
    Mark(String),
    /// A `clear` came; milliseconds of sound that were dropped.
    Clear(u64),
    /// The media stream is closed, by whom.
    StreamClosed(&'static str),
    /// Somebody is dialed.
    Dial {
        /// The numbers.
        numbers: Vec<String>,
        /// The attribute `timeout`.
        timeout: String,
    },
    /// The call is over, and why.
    Ended(String),
    /// Something that Twilio would not understand.
    Violation(String),
}

/// What the caller does.
enum Act {
    Say(Vec<i16>),
    Press(char),
    HangUp,
}

/// How a `<Dial>` ends in this call: `DialCallStatus`, after so long.
#[derive(Clone, Debug)]
pub struct Dialling {
    /// `completed`, `busy`, `no-answer`, `failed`, `canceled`.
    pub status: &'static str,
    /// How long it takes.
    pub after: Duration,
}

impl Default for Dialling {
    fn default() -> Self {
        Self { status: "completed", after: Duration::from_millis(300) }
    }
}

/// A call, from the caller's side. Dropped, the caller is gone.
pub struct Phone {
    /// Twilio's id of the call.
    pub sid: String,
    /// What was seen.
    pub seen: Arc<Record<Seen>>,
    /// When 20 ms were played that can be heard.
    pub heard: Arc<Record<Duration>>,
    began: tokio::time::Instant,
    acts: mpsc::UnboundedSender<Act>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Phone {
    /// Places a call.
    pub fn call(network: &Network, from: &str, to: &str, dialling: Dialling) -> Self {
        let sid = format!("CA{}", uuid::Uuid::now_v7().simple());
        Self::begin(network, sid, from, to, dialling, None)
    }

    /// Picks up a call that was dialed: its id, and the form by which it was.
    pub fn answer(network: &Network, (sid, form): (String, Form), dialling: Dialling) -> Self {
        let (from, to, twiml) = (field(&form, "From"), field(&form, "To"), field(&form, "Twiml"));
        Self::begin(network, sid, from, to, dialling, Some(twiml.into()))
    }

    fn begin(
        network: &Network,
        sid: String,
        from: &str,
        to: &str,
        dialling: Dialling,
        twiml: Option<String>,
    ) -> Self {
        let seen = Arc::new(Record::default());
        let heard = Arc::new(Record::default());
        let began = tokio::time::Instant::now();
        let (acts, to_do) = mpsc::unbounded_channel();
        let call = call::Call {
            updates: network.twilio.connect(&sid),
            network: network.clone(),
            sid: sid.clone(),
            from: from.into(),
            to: to.into(),
            dialling,
            twiml,
            seen: Arc::clone(&seen),
            heard: Arc::clone(&heard),
            acts: to_do,
            began,
            to_play: std::collections::VecDeque::new(),
            to_say: std::collections::VecDeque::new(),
        };
        Self { sid, seen, heard, began, acts, task: tokio::spawn(call.live()) }
    }

    /// Says samples (8 kHz), after what is being said.
    pub fn say(&self, samples: &[i16]) {
        let _ = self.acts.send(Act::Say(samples.to_vec()));
    }

    /// Presses a key.
    pub fn press(&self, digit: char) {
        let _ = self.acts.send(Act::Press(digit));
    }

    /// Hangs up.
    pub fn hang_up(&self) {
        let _ = self.acts.send(Act::HangUp);
    }

    /// Waits until something like this was seen after the first `after` things, and returns when.
    ///
    /// # Panics
    /// When it does not come in time.
    pub async fn sees(&self, after: usize, what: &str, wanted: impl Fn(&What) -> bool) -> Duration {
        self.seen.find_after(after, what, |seen| wanted(&seen.what).then_some(seen.at)).await
    }

    /// Waits until sound begins after the first `after` things.
    ///
    /// # Panics
    /// When it stays silent.
    pub async fn hears(&self, after: usize, what: &str) -> Duration {
        self.sees(after, what, |seen| *seen == What::Sound).await
    }

    /// Waits until the sound that began after the first `after` things is over.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn hears_out(&self, after: usize, what: &str) -> Duration {
        self.sees(after, what, |seen| matches!(seen, What::Silence(_))).await
    }

    /// Waits for the end of the call, and tells why it ended.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn ends(&self) -> String {
        self.seen
            .find("the end of the call", |seen| match &seen.what {
                What::Ended(why) => Some(why.clone()),
                _ => None,
            })
            .await
    }

    /// Now, since the call was placed.
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// The longest silence between two moments, counted from the last sound before them.
    pub fn longest_silence(&self, from: Duration, until: Duration) -> Duration {
        longest_silence(&self.heard.all(), from, until)
    }

    /// How many things were seen so far.
    pub fn count(&self) -> usize {
        self.seen.len()
    }

    /// What Twilio would not have understood.
    pub fn violations(&self) -> Vec<String> {
        let all = self.seen.all().into_iter();
        all.filter_map(|seen| if let What::Violation(why) = seen.what { Some(why) } else { None })
            .collect()
    }
}

/// The longest silence between two moments, by when something was heard; counted from the last sound
/// before them.
pub fn longest_silence(heard: &[Duration], from: Duration, until: Duration) -> Duration {
    let mut last = heard.iter().copied().filter(|at| *at <= from).max().unwrap_or(from);
    let mut longest = Duration::ZERO;
    for at in heard.iter().copied().filter(|at| *at > from && *at <= until).chain([until]) {
        longest = longest.max(at.saturating_sub(last));
        last = at;
    }
    longest
}
