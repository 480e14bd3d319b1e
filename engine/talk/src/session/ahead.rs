//! What is asked before the caller's turn is over: the model's thoughts wait here and the sound of
//! its first clause in the mouth, until the turn is the agent's.
//!
//! Invariant: what waits touches neither the memory nor the leg nor a tool.

use super::ledger::ANSWER;
use super::running::{Reply, Session};
use crate::ledger::Open;
use crate::mind::Thought;
use crate::sentence::Clauses;
use crate::turn::{Input, TurnId};

/// An answer to what the caller has likely asked.
pub(super) struct Ahead {
    turn: TurnId,
    clauses: Clauses,
    /// The clause that the mouth makes sound of.
    prepared: Option<String>,
    thoughts: Vec<Thought>,
    /// What it took so far.
    open: Open,
}

impl Session<'_> {
    /// Asks what the answer would be, if the turn were over.
    pub(super) fn suppose(&mut self, turn: TurnId, words: &str) {
        let mut memory = self.memory.clone();
        memory.ask(words);
        self.mind.ask(turn, memory.items(), 0, true);
        let now = self.start.elapsed();
        let mut open = Open::new(ANSWER, now);
        open.asks(now);
        let clauses = Clauses::new();
        self.ahead = Some(Ahead { turn, clauses, prepared: None, thoughts: Vec::new(), open });
    }

    /// Keeps a thought for later, if it is one of what was asked ahead; else gives it back.
    pub(super) fn keep(&mut self, thought: Thought) -> Option<Thought> {
        let now = self.start.elapsed();
        let Some(ahead) = &mut self.ahead else { return Some(thought) };
        if let Thought::Text(..) | Thought::Answered(..) = &thought {
            ahead.open.token(now);
        }
        let first = match &thought {
            Thought::Text(_, text) => ahead.clauses.push(text).into_iter().next(),
            Thought::Answered(..) => {
                ahead.open.answered(now);
                ahead.clauses.flush()
            }
            Thought::Trouble(error) => {
                let error = error.clone();
                self.trouble(&error);
                return None;
            }
            Thought::Failed(error) => {
                // All are asked once more when it counts.
                let error = error.clone();
                self.trouble(&error);
                self.give_up_ahead("failed");
                self.turn(Input::Unanswered);
                return None;
            }
            Thought::Took(_) => {
                // What the model was shown is no longer all that is known.
                self.give_up_ahead("outdated");
                self.turn(Input::GoesOn);
                return Some(thought);
            }
        };
        if let Some(clause) = first.filter(|_| ahead.prepared.is_none()) {
            ahead.open.clause(now);
            self.mouth.prepare(ahead.turn, &clause);
            ahead.prepared = Some(clause);
        }
        ahead.thoughts.push(thought);
        None
    }

    /// The turn is over, and the question is what was supposed: what waited goes on. `false` = the
    /// model must be asked.
    pub(super) fn commit(&mut self, turn: TurnId, open: &Open) -> bool {
        let Some(ahead) = self.ahead.take_if(|ahead| ahead.turn == turn) else {
            self.give_up_ahead("outdated");
            return false;
        };
        count("used");
        match ahead.prepared {
            Some(_) => self.mouth.release(),
            None => self.mouth.begin(turn),
        }
        let open = ahead.open.committed(open);
        self.reply = Reply { turn, open: Some(open), prepared: ahead.prepared, ..Reply::default() };
        self.mind.think_again(ahead.thoughts);
        true
    }

    /// What was asked ahead is not wanted any more.
    pub(super) fn give_up_ahead(&mut self, why: &'static str) {
        if let Some(ahead) = self.ahead.take() {
            count(why);
            self.mind.drop_answer();
            self.mouth.forget(ahead.turn);
        }
    }
}

/// Counts what came of a question that was asked ahead.
fn count(outcome: &'static str) {
    metrics::counter!("voxflow_asked_ahead_total", "outcome" => outcome).increment(1);
}
