//! The machine of a thread's AI session: when a text goes on with it, when it begins anew, which
//! answer may still be sent, and when silence ends it.
//!
//! ```text
//!   none ──text──▶ open ──text──▶ open, a generation later
//!                   │  ──answered──▶ the newest generation only
//!                   └──stopped, another agent, silence──▶ none
//! ```
//!
//! Invariant: no clock is read here; every input brings its own time. A session that was silent for
//! too long is over before anything else is looked at, so a late timer cannot revive one.
//!
//! Invariant: an answer counts only for the newest generation, so a burst has one answer.

use jiff::{SignedDuration, Timestamp};

/// An AI session that is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// What the agent is; a text for another agent begins another session.
    pub agent: String,
    /// Raised by every text.
    pub generation: i64,
    /// The generation that was answered last.
    pub answered: i64,
    /// When it was last used.
    pub active: Timestamp,
    /// Silence after which it is over.
    pub idle: SignedDuration,
}

/// What happens to a thread's session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A text for the agent.
    Text {
        /// What the agent is.
        agent: String,
        /// The silence that its flow allows.
        idle: SignedDuration,
    },
    /// A reply was made for a generation.
    Answered(i64),
    /// `stop_service`, or somebody outside.
    Stopped,
    /// The deadline.
    Timeout,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The session that was is over, and why.
    End(Why),
    /// A new one begins with this text.
    Begin,
    /// The session goes on with this text.
    GoOn,
    /// The reply may be sent.
    Send,
    /// The reply is for an older text: drop it.
    Drop,
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Silence.
    Idle,
    /// `stop_service`.
    StopService,
    /// The flow names another agent now.
    AgentChanged,
}

impl Why {
    /// The word that is stored.
    pub fn word(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::StopService => "stop_service",
            Self::AgentChanged => "agent_changed",
        }
    }
}

/// A thread, as far as its AI session goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thread {
    /// The session, while there is one.
    pub session: Option<Session>,
}

impl Thread {
    /// When to bring [`Input::Timeout`], unless something else comes first.
    pub fn deadline(&self) -> Option<Timestamp> {
        let session = self.session.as_ref()?;
        Some(session.active.checked_add(session.idle).unwrap_or(Timestamp::MAX))
    }

    /// Takes one input and returns what follows from it.
    pub fn on(&mut self, now: Timestamp, input: Input) -> Vec<Output> {
        let mut outputs = Vec::new();
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.session = None;
            outputs.push(Output::End(Why::Idle));
        }
        match input {
            Input::Text { agent, idle } => outputs.extend(self.text(now, agent, idle)),
            Input::Answered(generation) => outputs.push(match &mut self.session {
                Some(session)
                    if session.generation == generation && session.answered < generation =>
                {
                    session.answered = generation;
                    session.active = now;
                    Output::Send
                }
                Some(_) | None => Output::Drop,
            }),
            Input::Stopped => {
                if self.session.take().is_some() {
                    outputs.push(Output::End(Why::StopService));
                }
            }
            Input::Timeout => {}
        }
        outputs
    }

    fn text(&mut self, now: Timestamp, agent: String, idle: SignedDuration) -> Vec<Output> {
        let mut outputs = Vec::new();
        if self.session.as_ref().is_some_and(|session| session.agent != agent) {
            self.session = None;
            outputs.push(Output::End(Why::AgentChanged));
        }
        match &mut self.session {
            Some(session) => {
                session.generation += 1;
                session.active = now;
                session.idle = idle;
                outputs.push(Output::GoOn);
            }
            None => {
                self.session =
                    Some(Session { agent, generation: 1, answered: 0, active: now, idle });
                outputs.push(Output::Begin);
            }
        }
        outputs
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Plays a score: `>` goes in, `<` must come out, at that hour.
    fn check(score: &str) {
        let mut thread = Thread::default();
        let mut out: Vec<Output> = Vec::new();
        for line in score.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(words[0].parse().unwrap());
            if words[1] == ">" {
                assert!(out.is_empty(), "before `{line}` also came out: {out:?}");
                let input = match words[2] {
                    "text" => {
                        Input::Text { agent: words[3].into(), idle: SignedDuration::from_hours(24) }
                    }
                    "answered" => Input::Answered(words[3].parse().unwrap()),
                    "stopped" => Input::Stopped,
                    "timeout" => Input::Timeout,
                    other => panic!("no input is called {other}"),
                };
                out = thread.on(now, input);
                out.reverse();
            } else {
                let expected = words[2..].join(" ");
                let came = match out.pop() {
                    Some(Output::End(why)) => format!("end {}", why.word()),
                    Some(output) => format!("{output:?}").to_lowercase(),
                    None => "nothing".into(),
                };
                assert_eq!(came, expected, "at `{line}`");
            }
        }
        assert!(out.is_empty(), "at last also came out: {out:?}");
    }

    #[test]
    fn texts_share_a_session_until_a_day_of_silence() {
        check(
            "
             0 > text shop
             0 < begin
             0 > answered 1
             0 < send
            23 > text shop
            23 < goon
            23 > answered 2
            23 < send
            47 > text shop
            47 < end idle
            47 < begin
            ",
        );
    }

    #[test]
    fn a_late_timer_cannot_revive_and_an_early_one_ends_nothing() {
        check(
            "
             0 > text shop
             0 < begin
             5 > timeout
            24 > timeout
            24 < end idle
            25 > timeout
            25 > answered 1
            25 < drop
            ",
        );
    }

    #[test]
    fn a_burst_has_one_answer_the_newest() {
        check(
            "
            0 > text shop
            0 < begin
            0 > text shop
            0 < goon
            0 > answered 1
            0 < drop
            0 > answered 2
            0 < send
            0 > answered 2
            0 < drop
            ",
        );
    }

    #[test]
    fn stop_service_and_another_agent_begin_anew() {
        check(
            "
            0 > text shop
            0 < begin
            1 > stopped
            1 < end stop_service
            1 > stopped
            2 > text shop
            2 < begin
            3 > text clinic
            3 < end agent_changed
            3 < begin
            ",
        );
    }
}
