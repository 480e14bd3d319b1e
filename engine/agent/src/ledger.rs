//! What one turn of a spoken conversation took: when what happened in it, and who worked for it.

use serde::{Deserialize, Serialize};

/// A turn of the agent: an answer, or words that nobody asked for.
///
/// Stages are milliseconds from the end of the caller's voice, by its loudness; where he did not
/// speak, from the moment at which it was known that the agent shall. A stage that did not happen
/// is absent, and one that was done ahead of the end of his voice is negative.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    /// The turn's number: counts up, with gaps.
    pub turn: u64,
    /// Why the agent spoke: `answer`, `unasked`, `greeting`, `idle_prompt`, `goodbye`, `apology`;
    /// empty where only vendors worked, who were not answered with.
    pub kind: String,
    /// From the conversation's beginning to where the stages are counted from, milliseconds.
    pub from_ms: u64,
    /// When what happened.
    pub stages: Stages,
    /// From the end of the caller's voice to the first frame of the answer, without the time in
    /// which a vendor or a tool was waited for: the silence that ends a turn is part of it as far as
    /// nobody worked meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_added: Option<i64>,
    /// Whether the model was asked before the caller's turn was over.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ahead: bool,
    /// How it was cut, unless it was heard to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
    /// The tools that it took.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Worked>,
    /// Who worked since the turn before, and how much.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub spent: Vec<Spent>,
}

/// When what happened in a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stages {
    /// The detector heard that the caller was silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vad_stop: Option<i64>,
    /// The recognizer was sure of his last words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stt_final: Option<i64>,
    /// It was decided that his turn is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_of_turn: Option<i64>,
    /// The model was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llm_asked: Option<i64>,
    /// It gave its first word or tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llm_first_token: Option<i64>,
    /// A clause of it could be spoken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_clause: Option<i64>,
    /// The voice was told what to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tts_asked: Option<i64>,
    /// It gave sound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tts_first_byte: Option<i64>,
    /// The first frame went to the leg.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_frame: Option<i64>,
    /// The first mark came back: so far it was heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_mark: Option<i64>,
}

/// How a turn ended before its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cut {
    /// How much of its sound was heard, milliseconds.
    pub heard_ms: u64,
    /// By the caller, who spoke for so long until then, milliseconds; absent where something else
    /// ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub barge_in_ms: Option<u64>,
}

/// A tool at work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Worked {
    /// Its name.
    pub name: String,
    /// How long, milliseconds.
    pub took_ms: u64,
}

/// What a vendor did. What it does not count by is 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spent {
    /// `stt`, `llm`, `tts`, or `duplex` for all of them at once.
    pub part: String,
    /// Which vendor.
    pub vendor: String,
    /// Questions put to a model, those of which the answer was dropped too.
    #[serde(skip_serializing_if = "none")]
    pub requests: u64,
    /// Tokens read, as far as the vendor told.
    #[serde(skip_serializing_if = "none")]
    pub input_tokens: u64,
    /// Tokens written, as far as the vendor told.
    #[serde(skip_serializing_if = "none")]
    pub output_tokens: u64,
    /// Characters spoken.
    #[serde(skip_serializing_if = "none")]
    pub characters: u64,
    /// Sound that it was given, milliseconds.
    #[serde(skip_serializing_if = "none")]
    pub heard_ms: u64,
    /// Sound that it gave, milliseconds.
    #[serde(skip_serializing_if = "none")]
    pub spoke_ms: u64,
}

fn none(count: &u64) -> bool {
    *count == 0
}

/// What vendors did, one row for each part and vendor.
#[derive(Clone, Debug, Default)]
pub struct Bill(Vec<Spent>);

impl Bill {
    /// The row of a vendor.
    pub fn of(&mut self, part: &str, vendor: &str) -> &mut Spent {
        let known = self.0.iter().position(|row| row.part == part && row.vendor == vendor);
        let at = known.unwrap_or_else(|| {
            let (part, vendor) = (part.into(), vendor.into());
            self.0.push(Spent { part, vendor, ..Spent::default() });
            self.0.len() - 1
        });
        &mut self.0[at]
    }

    /// Adds what somebody else has counted.
    pub fn add(&mut self, other: &Spent) {
        let row = self.of(&other.part, &other.vendor);
        row.requests += other.requests;
        row.input_tokens += other.input_tokens;
        row.output_tokens += other.output_tokens;
        row.characters += other.characters;
        row.heard_ms += other.heard_ms;
        row.spoke_ms += other.spoke_ms;
    }

    /// Everything, which is forgotten here.
    pub fn take(&mut self) -> Vec<Spent> {
        std::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_did_not_happen_is_not_told_and_what_is_not_told_is_nothing() {
        let mut bill = Bill::default();
        bill.of("llm", "openai").requests += 1;
        bill.of("llm", "openai").output_tokens += 9;
        let stages = Stages { first_frame: Some(412), ..Stages::default() };
        let spent = bill.take();
        let ledger = Ledger { turn: 2, kind: "answer".into(), stages, spent, ..Ledger::default() };
        let json = serde_json::to_string(&ledger).unwrap();
        assert_eq!(
            json,
            r#"{"turn":2,"kind":"answer","from_ms":0,"stages":{"first_frame":412},"spent":[{"part":"llm","vendor":"openai","requests":1,"output_tokens":9}]}"#
        );
        assert_eq!(serde_json::from_str::<Ledger>(&json).unwrap(), ledger);
        assert_eq!(serde_json::from_str::<Ledger>("{}").unwrap(), Ledger::default());
    }
}
