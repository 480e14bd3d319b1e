//! A greeting that is made sound of while the phone rings.

use std::sync::Arc;

use agent::config::SpeakFirst;
use agent::{Config, Error};
use audio::Rate;
use tokio::task::JoinHandle;

use crate::session::Vendors;
use crate::tts::{Say, Speaking, Tts, Voice};
use crate::turn::TurnId;

/// The turn that a greeting is: the first.
const GREETING: TurnId = TurnId(1);

/// A voice that was told the first words of a conversation. Whoever drops it gives it up; nothing of
/// it is heard before a [`crate::Talk`] has it.
pub struct Prepared {
    vendor: &'static str,
    voice: Voice,
    words: String,
    task: Task,
}

/// Ends when nobody waits for it.
struct Task(JoinHandle<Result<Speaking, Error>>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Lets the first voice of an agent begin with its greeting: one request to one vendor. `None` = it
/// greets nobody, or its greeting is another's to say.
pub fn prepare(vendors: &dyn Vendors, config: &Config, rate: Rate) -> Option<Prepared> {
    let words = config.greeting.clone();
    let greets = config.speak_first == SpeakFirst::Agent && !words.trim().is_empty();
    if !greets || !matches!(vendors.duplex(config), Ok(None)) {
        return None;
    }
    let vendor = vendors.tts(config).ok()?.into_iter().next()?;
    let (name, voice) = (vendor.name(), voice_of(config, rate));
    let task = Task(tokio::spawn(begin(vendor, voice.clone(), words.clone())));
    Some(Prepared { vendor: name, voice, words, task })
}

async fn begin(vendor: Arc<dyn Tts>, voice: Voice, words: String) -> Result<Speaking, Error> {
    let speaking = vendor.open(voice).await?;
    for say in [Say::Text(GREETING, words), Say::End(GREETING)] {
        // Its sound says why, if it is gone.
        let _ = speaking.say.send(say).await;
    }
    Ok(speaking)
}

/// The voice that an agent wants on a leg.
pub(crate) fn voice_of(config: &Config, rate: Rate) -> Voice {
    Voice { id: config.tts_voice_id.clone(), language: config.stt_language.clone(), rate }
}

impl Prepared {
    /// Whether it is the beginning of a conversation with this agent, on this leg.
    pub(crate) fn fits(&self, config: &Config, voice: &Voice, vendors: &[Arc<dyn Tts>]) -> bool {
        let first = vendors.first().map(|vendor| vendor.name());
        self.words == config.greeting && self.voice == *voice && first == Some(self.vendor)
    }

    /// The turn and its words.
    pub(crate) fn told(&self) -> (TurnId, String) {
        (GREETING, self.words.clone())
    }

    /// The voice, once it is open.
    pub(crate) async fn speaking(mut self) -> Result<Speaking, Error> {
        let broken =
            |error| Err(Error::Unreachable { vendor: self.vendor, why: format!("{error}") });
        (&mut self.task.0).await.unwrap_or_else(broken)
    }
}
