//! The one task that owns a spoken conversation.

mod ahead;
mod detector;
mod ledger;
mod running;
mod thinking;
mod wordless;

use std::sync::Arc;
use std::time::Duration;

use agent::config::SpeakFirst;
use agent::{Config, Error, Item, Ledger, Models, Standing, Tools};
use audio::{FRAME_MS, Rate};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use self::running::Session;
use crate::both;
use crate::duplex::Duplex;
use crate::prepared::Prepared;
use crate::sound::{Inbound, Outbound};
use crate::stt::Stt;
use crate::tts::Tts;
use crate::turn::{Input, Opening};

/// Finds the vendors for an agent, each list in order of preference.
pub trait Vendors: Models {
    /// Recognizers.
    ///
    /// # Errors
    /// The vendor is unknown, or has no key.
    fn stt(&self, config: &Config) -> Result<Vec<Arc<dyn Stt>>, Error>;

    /// Voices.
    ///
    /// # Errors
    /// The vendor is unknown, or has no key.
    fn tts(&self, config: &Config) -> Result<Vec<Arc<dyn Tts>>, Error>;

    /// A model that hears and speaks by itself, if the agent wants one; the others stand in for it.
    ///
    /// # Errors
    /// The vendor has no key.
    fn duplex(&self, config: &Config) -> Result<Option<Arc<dyn Duplex>>, Error> {
        let _ = config;
        Ok(None)
    }
}

/// A conversation to hold.
pub struct Talk {
    /// The session's id: run and action.
    pub id: String,
    /// The agent.
    pub config: Arc<Config>,
    /// What was said before, when a conversation is taken up again.
    pub history: Vec<Item>,
    /// What the model may do.
    pub tools: Arc<dyn Tools>,
    /// Who recognizes, thinks and speaks.
    pub vendors: Arc<dyn Vendors>,
    /// The leg's rate.
    pub rate: Rate,
    /// The longest it may last.
    pub duration: Duration,
    /// Its greeting, if that was begun before; dropped where it is not what would be said.
    pub prepared: Option<Prepared>,
    /// Hears what is worth remembering, as it happens.
    pub notes: mpsc::UnboundedSender<Note>,
    /// Ends it as if the caller were gone.
    pub stop: CancellationToken,
}

/// What is worth remembering of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// The caller's turn, as it was taken.
    Caller(String),
    /// What the caller heard of the agent's turn.
    Agent(String),
    /// A tool was taken.
    Tool {
        /// Its name.
        name: String,
        /// What it was given.
        arguments: String,
        /// What it answered.
        result: String,
    },
    /// The caller spoke over the agent, who stopped; milliseconds from voice to the cut.
    BargeIn(u64),
    /// A vendor failed.
    Trouble(String),
    /// The agent waits for the caller (`listening`), thinks (`thinking`) or speaks (`speaking`).
    State(&'static str),
    /// How the conversation stands: whenever somebody else may speak, and about once a second while
    /// somebody does. The last one comes at its end.
    Standing(Standing),
    /// What a turn took; comes when it is over, before what was heard of it.
    Turn(Box<Ledger>),
}

/// How a conversation ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// In which way.
    pub how: How,
    /// All that was said, as far as it was heard.
    pub history: Vec<Item>,
}

/// In which way a conversation ended.
#[derive(Clone, Debug, PartialEq)]
pub enum How {
    /// A tool ended it; the goodbye was spoken.
    Tool {
        /// `{"type", "option"}` of the action to run first.
        then: Option<Value>,
        /// Whether the whole run ends.
        stop: bool,
    },
    /// The caller stayed silent.
    NoInput,
    /// The longest duration is over.
    Timeout,
    /// The caller is gone, or it was stopped.
    Gone,
    /// The vendors failed; an apology was spoken if a voice was left.
    Failed(String),
}

/// Holds the conversation until it ends. `inbound` and `outbound` are the leg's; both stay usable
/// afterwards. Everything that it starts ends with it, also when it is dropped.
pub async fn hold(
    talk: Talk,
    inbound: &mut mpsc::Receiver<Inbound>,
    outbound: &mpsc::Sender<Outbound>,
) -> Ended {
    let stop = talk.stop.clone().cancelled_owned();
    tokio::pin!(stop);
    let mut session = Session::begin(talk, outbound);
    let mut ticks = interval(Duration::from_millis(u64::from(FRAMES_A_TICK * FRAME_MS)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    // One for all deadlines: they change far less often than something comes in.
    let alarm = sleep_until(session.start + FAR);
    tokio::pin!(alarm);
    loop {
        if let Some(how) = session.how.take() {
            return session.end(how);
        }
        let due = session.start + session.turns.deadline().unwrap_or(FAR);
        if alarm.deadline() != due {
            alarm.as_mut().reset(due);
        }
        tokio::select! {
            _ = ticks.tick(), if session.mouth.is_busy() => session.tick(),
            inward = inbound.recv() => match inward {
                Some(inward) => session.inward(inward),
                None => session.how = Some(How::Gone),
            },
            sign = session.ears.next() => session.hears(sign),
            thought = session.mind.next() => session.thinks(thought),
            sign = session.mouth.next() => session.speaks(sign),
            sign = both::next(&mut session.both) => session.converses(sign),
            () = &mut alarm => session.turn(Input::Timeout),
            () = &mut stop => session.how = Some(How::Gone),
        }
    }
}

/// The far end's buffer is kept far enough ahead for two frames at a time: half the work of one.
const FRAMES_A_TICK: u32 = 2;

/// A deadline that never comes.
const FAR: Duration = Duration::from_secs(86_400);

/// How the conversation begins, or is taken up again.
fn opening(config: &Config, history: &[Item]) -> Opening {
    match (history.last(), config.speak_first) {
        // Somebody waits for an answer.
        (Some(Item::User { .. } | Item::Tool { .. }), _) => Opening::Ask,
        (Some(Item::Assistant { .. }), _) | (_, SpeakFirst::Caller) => Opening::Listen,
        (Some(Item::System { .. }) | None, SpeakFirst::Agent)
            if config.greeting.trim().is_empty() =>
        {
            Opening::Ask
        }
        (Some(Item::System { .. }) | None, SpeakFirst::Agent) => Opening::Greet,
    }
}
