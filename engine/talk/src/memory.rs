//! What is remembered of the conversation: words as far as they were heard, tools as they were taken.

use agent::standing::UNDER_WAY;
use agent::{Item, ToolCall};

use crate::heard::Piece;
use crate::turn::TurnId;

/// Tags words that fill a silence: heard, but no part of what the agent says.
pub(crate) const FILLER: u32 = u32::MAX;

/// Stands for what the caller said while nobody has written it down.
const UNWRITTEN: &str = "(The caller said something that was not written down.)";

/// What was said and done so far, as far as a model can still be shown it: a call may last for hours.
#[derive(Clone)]
pub(crate) struct Memory {
    items: Vec<Item>,
    /// How many tokens of it a model is shown.
    tokens: usize,
    /// The caller's last words, while more of them may come.
    open: Option<usize>,
    /// For each round of the turn that took tools: its number and the place of its item.
    rounds: Vec<(u32, usize)>,
    /// What the caller said before these turns, not written down yet, and its place.
    unwritten: Vec<(TurnId, usize)>,
}

impl Memory {
    /// What was said before; so many tokens of all are shown to a model.
    pub(crate) fn new(items: Vec<Item>, tokens: usize) -> Self {
        Self { items, tokens, open: None, rounds: Vec::new(), unwritten: Vec::new() }
    }

    /// All items, in order.
    pub(crate) fn items(&self) -> &[Item] {
        &self.items
    }

    /// All items, at the end.
    pub(crate) fn into_items(self) -> Vec<Item> {
        self.items
    }

    /// What the agent said last; empty = nothing yet.
    pub(crate) fn last_said(&self) -> String {
        let said = |item: &Item| match item {
            Item::Assistant { text, .. } => Some(text.clone()),
            Item::System { .. } | Item::User { .. } | Item::Tool { .. } => None,
        };
        self.items.iter().rev().find_map(said).unwrap_or_default()
    }

    /// All items, with what was heard of the turn that goes on.
    pub(crate) fn with(&self, heard: &[Piece]) -> Vec<Item> {
        let mut then = self.clone();
        then.settle(heard);
        then.items
    }

    /// The caller asks. When he asked before and heard no answer, his words begin with those; what
    /// is new of them is given back.
    pub(crate) fn ask(&mut self, words: &str) -> String {
        self.rounds.clear();
        self.forget();
        let before = self.open.and_then(|at| match self.items.get(at) {
            Some(Item::User { text }) => Some((at, text.clone())),
            _ => None,
        });
        let fresh = match &before {
            Some((_, text)) => words.strip_prefix(text.as_str()).map(str::trim),
            None => None,
        };
        match (before, fresh) {
            (Some((at, _)), Some(fresh)) if at + 1 == self.items.len() => {
                let fresh = fresh.to_owned();
                self.items[at] = Item::User { text: words.to_owned() };
                fresh
            }
            (Some(_), Some(fresh)) => self.user(fresh),
            (_, None) | (None, Some(_)) => self.user(words),
        }
    }

    /// Forgets what no model will be shown any more; not each time, for that would be much work.
    fn forget(&mut self) {
        let size: usize = self.items.iter().map(Item::tokens).sum();
        if size <= self.tokens.saturating_mul(5) / 4 || !self.unwritten.is_empty() {
            return;
        }
        let before = self.items.len();
        self.items = agent::trim(&self.items, self.tokens);
        let gone = before - self.items.len();
        self.open = self.open.and_then(|at| at.checked_sub(gone));
    }

    fn user(&mut self, words: &str) -> String {
        if !words.is_empty() {
            self.open = Some(self.items.len());
            self.items.push(Item::User { text: words.to_owned() });
        }
        words.to_owned()
    }

    /// The caller asks by sound that only the model has heard; its words may come later.
    pub(crate) fn ask_unwritten(&mut self, turn: TurnId) {
        self.rounds.clear();
        self.forget();
        self.open = None;
        self.unwritten.push((turn, self.items.len()));
        self.items.push(Item::User { text: UNWRITTEN.into() });
    }

    /// What the caller said before a turn was this. Gives whether that was still to be told.
    pub(crate) fn written(&mut self, turn: TurnId, words: &str) -> bool {
        let Some(at) = self.unwritten.iter().position(|(known, _)| *known == turn) else {
            return false;
        };
        let (_, at) = self.unwritten.remove(at);
        if let Some(item @ Item::User { .. }) = self.items.get_mut(at) {
            *item = Item::User { text: words.to_owned() };
        }
        true
    }

    /// The caller's last words were these.
    pub(crate) fn amend(&mut self, words: &str) {
        if let Some(Item::User { text }) = self.open.and_then(|at| self.items.get_mut(at)) {
            words.clone_into(text);
        }
    }

    /// The model took tools. Until an answer comes, each is under way: no model is shown halves.
    pub(crate) fn took(&mut self, round: u32, text: &str, calls: &[ToolCall]) {
        self.rounds.push((round, self.items.len()));
        self.items.push(Item::Assistant { text: text.trim().to_owned(), calls: calls.to_vec() });
        let under_way =
            |call: &ToolCall| Item::Tool { call_id: call.id.clone(), text: UNDER_WAY.into() };
        self.items.extend(calls.iter().map(under_way));
    }

    /// A tool answered, perhaps long after its turn.
    pub(crate) fn result(&mut self, call: &str, answer: &str) {
        for item in self.items.iter_mut().rev() {
            if let Item::Tool { call_id, text } = item
                && call_id == call
            {
                answer.clone_into(text);
                return;
            }
        }
    }

    /// The turn is over, and this was heard of it. Gives the agent's words.
    pub(crate) fn settle(&mut self, heard: &[Piece]) -> String {
        let of = |round: u32| {
            let texts =
                heard.iter().filter(|piece| piece.tag == round).map(|piece| piece.text.as_str());
            texts.collect::<Vec<_>>().join(" ")
        };
        let rounds = std::mem::take(&mut self.rounds);
        for (round, at) in &rounds {
            if let Some(Item::Assistant { text, .. }) = self.items.get_mut(*at) {
                *text = of(*round);
            }
        }
        let last = heard.iter().map(|piece| piece.tag).filter(|tag| *tag != FILLER).max();
        if let Some(last) = last.filter(|last| rounds.iter().all(|(round, _)| round != last)) {
            self.items.push(Item::Assistant { text: of(last), calls: Vec::new() });
            self.open = None;
        }
        heard.iter().map(|piece| piece.text.as_str()).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: usize = 8000;

    fn user(text: &str) -> Item {
        Item::User { text: text.into() }
    }

    fn agent(text: &str) -> Item {
        Item::Assistant { text: text.into(), calls: Vec::new() }
    }

    fn piece(tag: u32, text: &str) -> Piece {
        Piece { tag, text: text.into() }
    }

    fn call(id: &str) -> ToolCall {
        ToolCall { id: id.into(), name: "look_up".into(), arguments: "{}".into() }
    }

    #[test]
    fn only_what_was_heard_is_remembered() {
        let mut memory = Memory::new(vec![agent("Hello.")], MANY);
        assert_eq!(memory.ask("opening hours"), "opening hours");
        assert_eq!(
            memory.settle(&[
                piece(0, "We open"),
                piece(FILLER, "One moment."),
                piece(0, "at nine.")
            ]),
            "We open One moment. at nine."
        );
        assert_eq!(
            memory.into_items(),
            [agent("Hello."), user("opening hours"), agent("We open at nine.")]
        );
    }

    #[test]
    fn what_only_the_model_heard_is_written_later() {
        let mut memory = Memory::new(Vec::new(), MANY);
        memory.ask_unwritten(TurnId(1));
        memory.settle(&[piece(0, "Yes?")]);
        memory.ask_unwritten(TurnId(2));
        assert!(memory.written(TurnId(1), "hello"));
        assert!(!memory.written(TurnId(1), "again") && !memory.written(TurnId(3), "never"));
        assert_eq!(memory.into_items(), [user("hello"), agent("Yes?"), user(UNWRITTEN)]);
    }

    #[test]
    fn what_was_heard_so_far_can_be_told_while_it_goes_on() {
        let mut memory = Memory::new(Vec::new(), MANY);
        memory.ask("book");
        memory.took(0, "Let me see what there is.", &[call("1")]);
        let so_far = memory.with(&[piece(0, "Let me see")]);
        let took = Item::Assistant { text: "Let me see".into(), calls: vec![call("1")] };
        assert_eq!(so_far[..2], [user("book"), took]);
        memory.result("1", "free");
        memory.settle(&[piece(0, "Let me see what there is."), piece(1, "It is free.")]);
        assert_eq!(memory.into_items().last(), Some(&agent("It is free.")));
    }

    #[test]
    fn what_no_model_is_shown_any_more_is_forgotten() {
        let mut memory = Memory::new(Vec::new(), 100);
        for turn in 0..1000 {
            memory.ask(&format!("question {turn}"));
            memory.settle(&[piece(0, "It is like that.")]);
        }
        assert!(memory.items().iter().map(Item::tokens).sum::<usize>() < 150);
        memory.ask("question 1000");
        assert_eq!(memory.ask("question 1000 and more"), "and more");
        assert_eq!(memory.items().last(), Some(&user("question 1000 and more")));
        let shown = agent::trim(memory.items(), 100);
        assert_eq!(shown.first(), memory.items().get(memory.items().len() - shown.len()));
    }

    #[test]
    fn nothing_heard_is_nothing_said() {
        let mut memory = Memory::new(Vec::new(), MANY);
        memory.ask("hello");
        assert_eq!(memory.settle(&[]), "");
        assert_eq!(memory.into_items(), [user("hello")]);
    }

    #[test]
    fn a_question_that_goes_on_is_one_question() {
        let mut memory = Memory::new(Vec::new(), MANY);
        memory.ask("I want a table");
        memory.settle(&[]);
        assert_eq!(memory.ask("I want a table for two"), "for two");
        memory.amend("I want a table for ten");
        assert_eq!(memory.into_items(), [user("I want a table for ten")]);
    }

    #[test]
    fn a_question_that_goes_on_after_a_tool_is_not_repeated() {
        let mut memory = Memory::new(Vec::new(), MANY);
        memory.ask("book");
        memory.took(0, "", &[call("1")]);
        memory.settle(&[]);
        assert_eq!(memory.ask("book for two"), "for two");
        assert_eq!(memory.items().last(), Some(&user("for two")));
    }

    #[test]
    fn tools_are_remembered_with_what_was_heard_around_them() {
        let mut memory = Memory::new(Vec::new(), MANY);
        memory.ask("book");
        memory.took(0, "Let me see what there is.", &[call("1"), call("2")]);
        memory.result("2", "free");
        assert_eq!(memory.settle(&[piece(0, "Let me see")]), "Let me see");
        memory.result("1", "late");
        let tool = |id: &str, text: &str| Item::Tool { call_id: id.into(), text: text.into() };
        let took = Item::Assistant { text: "Let me see".into(), calls: vec![call("1"), call("2")] };
        assert_eq!(memory.into_items(), [user("book"), took, tool("1", "late"), tool("2", "free")]);
    }

    #[test]
    fn the_words_after_a_tool_follow_it() {
        let mut memory = Memory::new(Vec::new(), MANY);
        memory.ask("book");
        memory.took(0, "Let me see.", &[call("1")]);
        memory.result("1", "free");
        memory.settle(&[piece(0, "Let me see."), piece(1, "It is free.")]);
        assert_eq!(memory.items().len(), 4);
        assert_eq!(memory.items().last(), Some(&agent("It is free.")));
    }
}
