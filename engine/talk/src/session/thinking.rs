//! What the conversation's task does with what the model thinks, and with what comes of tools.

use agent::Took;
use serde_json::Value;

use super::running::Session;
use super::{How, Note};
use crate::mind::{Taken, Thought};
use crate::turn::{Input, TurnId};

impl Session<'_> {
    pub(super) fn thinks(&mut self, thought: Thought) {
        let Some(thought) = self.keep(thought) else { return };
        let now = self.start.elapsed();
        match thought {
            Thought::Text(turn, text) => {
                self.reply.open.iter_mut().for_each(|open| open.token(now));
                for clause in self.reply.clauses.push(&text) {
                    self.clause(turn, clause);
                }
            }
            Thought::Answered(turn, text, calls) => {
                if let Some(clause) = self.reply.clauses.flush() {
                    self.clause(turn, clause);
                }
                if let Some(open) = &mut self.reply.open {
                    open.token(now);
                    open.answered(now);
                }
                if calls.is_empty() {
                    return self.turn(Input::ReplyDone(turn));
                }
                self.memory.took(self.reply.round, &text, &calls);
                self.stands(self.turns.floor());
                self.reply.waiting = calls.len();
                self.mind.take(turn, self.reply.round, &calls);
                self.turn(Input::Working(turn));
            }
            Thought::Took(taken) => self.took(taken),
            Thought::Trouble(error) => {
                self.trouble(&error);
                self.turn(Input::Working(self.reply.turn));
            }
            Thought::Failed(error) => {
                self.trouble(&error);
                self.turn(Input::Failed);
            }
        }
    }

    fn clause(&mut self, turn: TurnId, clause: String) {
        let now = self.start.elapsed();
        self.reply.open.iter_mut().for_each(|open| open.clause(now));
        self.turn(Input::Reply(turn, clause));
    }

    fn took(&mut self, taken: Taken) {
        let Taken { turn, call, took, worked } = taken;
        if let Some(open) = self.reply.open.as_mut().filter(|_| turn == self.reply.turn) {
            open.tool(&call.name, self.start.elapsed(), worked);
        }
        let (result, speak) = match took {
            Took::Result { value, speak } => (text_of(value), speak),
            Took::Ends { then, stop } => {
                self.ending.tool.get_or_insert(How::Tool { then, stop });
                (r#"{"status":"done"}"#.to_owned(), false)
            }
        };
        self.memory.result(&call.id, &result);
        self.stands(self.turns.floor());
        self.both.iter_mut().for_each(|both| both.result(&call.id, &result));
        self.note(Note::Tool { name: call.name, arguments: call.arguments, result });
        if self.ending.tool.is_some() {
            self.mind.drop_answer();
            self.turn(Input::ReplyDone(self.turns.turn()));
            return self.turn(Input::Ends);
        }
        if turn != self.turns.turn() || turn != self.reply.turn {
            return;
        }
        self.reply.waiting = self.reply.waiting.saturating_sub(1);
        self.reply.speak |= speak;
        if self.reply.waiting > 0 {
            return self.turn(Input::Working(turn));
        }
        if !self.reply.speak {
            return self.turn(Input::ReplyDone(turn));
        }
        self.reply.round += 1;
        self.turn(Input::Working(turn));
        self.ask(String::new());
    }
}

/// A tool's answer in a model's terms: text as it is, everything else as JSON.
fn text_of(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
