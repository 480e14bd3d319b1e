//! Time on a stage: what is due, met in its order.

use flow::{Deed, Event, Key, Medium, Vars};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::stage::{Going, News, Stage};
use super::turns::Talk;

impl Stage {
    /// Lets time pass, meeting the deadlines on the way.
    pub(crate) fn pass(&mut self, by: SignedDuration) {
        let end = self.now.checked_add(by).unwrap_or(Timestamp::MAX);
        while let Some((at, due)) = self.next_due().filter(|(at, _)| *at <= end) {
            self.now = at.max(self.now);
            match due {
                Due::Run(key) => self.give(Event::TimedOut { key }),
                Due::Deed { key, exit, why, values } => {
                    self.going.retain(|going| going.command.key != key);
                    self.done(key, exit, values, why, None);
                }
                Due::Talk => self.silent(),
                Due::Thread => {
                    self.talk = None;
                    self.thread.session = None;
                    let note = "the conversation with the agent is over: nobody wrote for too long";
                    self.news.push(News::Note(note.into()));
                }
            }
        }
        self.now = end;
    }

    /// What happens next when nobody does anything. Of two at one time, the deed ends before its
    /// run gives up.
    fn next_due(&self) -> Option<(Timestamp, Due)> {
        let run = self.run.waiting().and_then(|w| Some((w.until?, Due::Run(w.key.clone()))));
        let thread = self.thread.deadline().map(|at| (at, Due::Thread));
        let talk = self.talk.as_ref().and_then(Talk::due).map(|at| (at, Due::Talk));
        let deeds = self.going.iter().filter_map(|going| self.own_end(going));
        deeds.chain([talk, thread, run].into_iter().flatten()).min_by_key(|(at, _)| *at)
    }

    /// When something happens by itself, and what, in a word.
    pub(crate) fn due(&self) -> Option<(Timestamp, &'static str)> {
        let (at, due) = self.next_due()?;
        let what = match due {
            Due::Run(_) if self.run.waiting().is_some_and(|w| w.what == "retry") => "another try",
            Due::Run(_) => "timeout",
            Due::Deed { exit, .. } => exit,
            Due::Talk => "the agent asks whether somebody is there",
            Due::Thread => "the conversation is over",
        };
        Some((at, what))
    }

    /// When a deed that goes on ends by itself, and how.
    fn own_end(&self, going: &Going) -> Option<(Timestamp, Due)> {
        let at = |wait: SignedDuration| going.since.checked_add(wait).unwrap_or(Timestamp::MAX);
        let millis =
            |ms: u64| at(SignedDuration::from_millis(i64::try_from(ms).unwrap_or(i64::MAX)));
        let secs = |s: u64| at(SignedDuration::from_secs(i64::try_from(s).unwrap_or(i64::MAX)));
        let key = going.command.key.clone();
        let end = |exit, why, values| Due::Deed { key, exit, why, values };
        match &going.command.deed {
            Deed::ReceiveDigits { timeout_ms, between_ms, .. } => {
                let values = Vars::from([("digits".into(), json!(going.keys))]);
                Some(if going.keys.is_empty() {
                    (millis(*timeout_ms), end("no_input", "no key was pressed", values))
                } else {
                    let between = if *between_ms == 0 { timeout_ms } else { between_ms };
                    (millis(*between), end("done", "no more keys came", values))
                })
            }
            Deed::Connect { ring_s, .. } => {
                Some((secs(*ring_s), end("no_answer", "nobody picked up", Vars::new())))
            }
            Deed::Talk { duration_s, .. } if self.run.medium == Medium::Call => Some((
                secs(*duration_s),
                end("timeout", "the longest duration is over", Vars::new()),
            )),
            Deed::Request { timeout_s, .. } => {
                Some((secs(*timeout_s), end("timeout", "the server did not answer", Vars::new())))
            }
            Deed::Answer
            | Deed::Hangup { .. }
            | Deed::Say { .. }
            | Deed::Play { .. }
            | Deed::Talk { .. }
            | Deed::SendMessage { .. }
            | Deed::StopService
            | Deed::LoadFlow { .. }
            | Deed::Service { .. } => None,
        }
    }
}

/// What is due.
enum Due {
    /// The deadline of the run's wait.
    Run(Key),
    /// The deed that goes on ends by itself.
    Deed { key: Key, exit: &'static str, why: &'static str, values: Vars },
    /// The caller has said nothing to the agent for long.
    Talk,
    /// Nobody has written to the agent for long.
    Thread,
}
