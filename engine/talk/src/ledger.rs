//! When what happened in the turn that goes on, and the ledger that is made of it at its end. Pure.

use std::time::Duration;

use agent::Ledger;
use agent::ledger::{Cut, Spent, Stages, Worked};

use crate::turn::{Moment, TurnId};

/// Tools of a turn that are told of.
const TOOLS: usize = 32;

/// The caller's side of a question.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    /// When his voice ended, by its loudness.
    pub(crate) voice_end: Option<Moment>,
    /// When the detector heard silence.
    pub(crate) quiet: Option<Moment>,
    /// When the recognizer was sure last.
    pub(crate) sure: Option<Moment>,
}

/// The sound of a turn.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sounded {
    /// When the voice was told what to say.
    pub(crate) told: Option<Moment>,
    /// When its first sound came.
    pub(crate) sound: Option<Moment>,
    /// When the first frame was sent.
    pub(crate) frame: Option<Moment>,
    /// When the first mark came back.
    pub(crate) mark: Option<Moment>,
}

/// A turn that goes on.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    kind: &'static str,
    /// When it was known that the agent shall speak.
    pub(crate) decided: Moment,
    pub(crate) asked: Asked,
    /// Whether the model was asked before that.
    ahead: bool,
    model: Option<Moment>,
    token: Option<Moment>,
    clause: Option<Moment>,
    /// When others worked: from, to.
    waits: Vec<(Moment, Moment)>,
    /// Since when the model is waited for.
    waiting: Option<Moment>,
    tools: Vec<Worked>,
}

impl Open {
    /// It is known now that the agent shall speak.
    pub(crate) fn new(kind: &'static str, now: Moment) -> Self {
        Self {
            kind,
            decided: now,
            asked: Asked::default(),
            ahead: false,
            model: None,
            token: None,
            clause: None,
            waits: Vec::new(),
            waiting: None,
            tools: Vec::new(),
        }
    }

    /// What was asked ahead is now what is asked.
    pub(crate) fn committed(self, question: &Self) -> Self {
        Self { ahead: true, decided: question.decided, asked: question.asked, ..self }
    }

    /// The model is asked.
    pub(crate) fn asks(&mut self, now: Moment) {
        self.model.get_or_insert(now);
        self.waiting = Some(now);
    }

    /// The model says something, or takes a tool.
    pub(crate) fn token(&mut self, now: Moment) {
        self.token.get_or_insert(now);
    }

    /// What the model has said can be spoken, or it has nothing more to say.
    pub(crate) fn clause(&mut self, now: Moment) {
        self.clause.get_or_insert(now);
        self.answered(now);
    }

    /// The model is not waited for any more.
    pub(crate) fn answered(&mut self, now: Moment) {
        if let Some(since) = self.waiting.take() {
            self.waits.push((since, now));
        }
    }

    /// A tool has worked.
    pub(crate) fn tool(&mut self, name: &str, now: Moment, took: Duration) {
        if self.tools.len() < TOOLS {
            self.waits.push((now.saturating_sub(took), now));
            self.tools.push(Worked { name: name.into(), took_ms: took.as_millis() as u64 });
        }
    }

    /// The turn is over.
    pub(crate) fn close(
        self,
        turn: TurnId,
        sounded: Sounded,
        cut: Option<Cut>,
        spent: Vec<Spent>,
    ) -> Ledger {
        let from = self.asked.voice_end.unwrap_or(self.decided);
        let since = |at: Moment| at.as_millis() as i64 - from.as_millis() as i64;
        let stages = Stages {
            vad_stop: self.asked.quiet.map(since),
            stt_final: self.asked.sure.map(since),
            end_of_turn: self.asked.voice_end.map(|_| since(self.decided)),
            llm_asked: self.model.map(since),
            llm_first_token: self.token.map(since),
            first_clause: self.clause.map(since),
            tts_asked: sounded.told.map(since),
            tts_first_byte: sounded.sound.map(since),
            first_frame: sounded.frame.map(since),
            first_mark: sounded.mark.map(since),
        };
        let engine_added = self.engine_added(sounded).map(|added| added.as_millis() as i64);
        Ledger {
            turn: turn.0,
            kind: self.kind.into(),
            from_ms: from.as_millis() as u64,
            stages,
            engine_added,
            ahead: self.ahead,
            cut,
            tools: self.tools,
            spent,
        }
    }

    /// From the end of the caller's voice to the first frame, without the time in which others
    /// worked; `None` = he did not speak, or nothing was sent.
    fn engine_added(&self, sounded: Sounded) -> Option<Duration> {
        let (from, to) = (self.asked.voice_end?, sounded.frame?);
        let mut waits = self.waits.clone();
        waits.extend(self.waiting.map(|since| (since, to)));
        waits.extend(self.asked.sure.map(|sure| (from, sure)));
        // A model that speaks by itself has no voice that could be told.
        waits.extend(sounded.told.or(self.model).zip(sounded.sound));
        waits.sort_unstable();
        let (mut worked, mut until) = (Duration::ZERO, from);
        for (begin, end) in waits {
            let (begin, end) = (begin.max(until), end.min(to));
            worked += end.saturating_sub(begin);
            until = until.max(end);
        }
        Some(to.saturating_sub(from).saturating_sub(worked))
    }
}

/// Counts the stages of a turn. Those of an answer are counted from the end of the caller's voice;
/// what vendors take, from when they were asked; a mark, from the first frame.
pub(crate) fn count(ledger: &Ledger) {
    let Stages { vad_stop, stt_final, end_of_turn, .. } = ledger.stages;
    let Stages { llm_asked, llm_first_token, first_clause, .. } = ledger.stages;
    let Stages { tts_asked, tts_first_byte, first_frame, first_mark, .. } = ledger.stages;
    let between = |from: Option<i64>, to: Option<i64>| Some(to? - from?);
    // Without a voice that ended nobody has waited.
    let answer = first_frame.filter(|_| end_of_turn.is_some());
    let stages = [
        ("vad_stop", vad_stop),
        ("stt_final", stt_final),
        ("end_of_turn", end_of_turn),
        ("llm_first_token", between(llm_asked, llm_first_token)),
        ("first_clause", between(llm_asked, first_clause)),
        ("tts_first_byte", between(tts_asked, tts_first_byte)),
        ("first_frame", answer),
        ("first_mark", between(first_frame, first_mark)),
        ("engine_added", ledger.engine_added),
    ];
    for (name, took) in stages {
        // What was there before it was needed took no time.
        let Some(took) = took else { continue };
        metrics::histogram!("voxflow_turn_seconds", "stage" => name)
            .record(took.max(0) as f64 / 1000.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Moment {
        Duration::from_millis(millis)
    }

    fn question() -> Open {
        let mut open = Open::new("answer", ms(1_200));
        open.asked =
            Asked { voice_end: Some(ms(1_000)), quiet: Some(ms(1_090)), sure: Some(ms(1_100)) };
        open
    }

    #[test]
    fn what_nobody_else_took_is_ours() {
        let mut open = question();
        open.asks(ms(1_205));
        open.token(ms(1_350));
        open.clause(ms(1_400));
        let sounded = Sounded {
            told: Some(ms(1_402)),
            sound: Some(ms(1_502)),
            frame: Some(ms(1_510)),
            mark: Some(ms(1_730)),
        };
        let ledger = open.close(TurnId(3), sounded, None, Vec::new());
        // From 100 to 205 the silence was waited for; the rest is ours too.
        assert_eq!(ledger.engine_added, Some(105 + 2 + 8));
        let told = (ledger.stages.end_of_turn, ledger.stages.first_frame, ledger.from_ms);
        assert_eq!(told, (Some(200), Some(510), 1_000));
        assert_eq!(ledger.stages.first_mark, Some(730));
    }

    #[test]
    fn who_works_at_the_same_time_is_counted_once() {
        let mut open = question();
        open.ahead = true;
        // Asked while the recognizer was not sure, and a tool before the second question.
        open.asks(ms(1_090));
        open.answered(ms(1_300));
        open.tool("look_up", ms(1_350), ms(100));
        open.asks(ms(1_350));
        let sounded = Sounded {
            told: Some(ms(1_400)),
            sound: Some(ms(1_450)),
            frame: Some(ms(1_450)),
            mark: None,
        };
        // A filler is heard while the model still thinks.
        let ledger = open.close(TurnId(3), sounded, None, Vec::new());
        assert_eq!(ledger.engine_added, Some(0));
        assert_eq!(ledger.tools, [Worked { name: "look_up".into(), took_ms: 100 }]);
    }

    #[test]
    fn who_did_not_ask_by_voice_has_not_waited() {
        let mut open = Open::new("greeting", ms(5));
        open.asks(ms(10));
        let sounded = Sounded { frame: Some(ms(300)), ..Sounded::default() };
        let ledger = open.close(TurnId(1), sounded, None, Vec::new());
        assert_eq!((ledger.engine_added, ledger.from_ms), (None, 5));
        assert_eq!(ledger.stages.first_frame, Some(295));
        assert_eq!(ledger.stages.end_of_turn, None);
    }
}
