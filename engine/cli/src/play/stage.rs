//! Where a flow is played: a run, the time, and what was asked for. Scenarios and the terminal
//! play on the same stage.
//!
//! Invariant: no clock is read and nothing leaves; time passes when somebody says so, and every
//! deadline on the way is met in its order.
//!
//! Invariant: what the runtime would do with a text, the stage does: the run that waits for one
//! takes it, else it begins another run.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use conversation::thread::Thread;
use flow::{
    Activeflow, Command, Deed, Event, Flow, FlowSource, Flows, HangupCause, Key, Medium, Outcome,
    Taken, Vars,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::mocks::Mocks;
use super::scenario::{Given, Playing, Reply, Source};
use super::turns::Talk;

/// A Thursday at noon.
const NOON: i64 = 1_767_268_800;

/// A flow as it is played.
pub(crate) struct Stage {
    pub(crate) flow: Arc<Flow>,
    pub(crate) run: Activeflow,
    pub(crate) now: Timestamp,
    pub(crate) mocks: Mocks,
    /// The conversation that goes on.
    pub(crate) talk: Option<Talk>,
    /// What of the conversation lives in a thread of texts.
    pub(crate) thread: Thread,
    /// Where files of rules, and flows that are called, are looked for.
    pub(crate) folder: PathBuf,
    /// Flows that are called, by the versions under which the run knows them.
    pub(super) called: BTreeMap<String, Arc<Flow>>,
    /// Where flows are that are called, when it is not the folder.
    pub(super) known: BTreeMap<String, Source>,
    /// What every run begins with.
    given: Vars,
    from: String,
    to: String,
    /// What was asked for and nobody has looked at.
    pub(crate) asked: VecDeque<Command>,
    /// The deeds that go on, while the run waits for them.
    pub(crate) going: Vec<Going>,
    /// Deeds that go on of which nobody tells how they end.
    left: Vec<Command>,
    /// What happened since it was last told.
    pub(crate) news: Vec<News>,
    runs: usize,
    texts: usize,
    pub(crate) tools: usize,
}

/// A deed that takes its time.
pub(crate) struct Going {
    pub(crate) command: Command,
    pub(super) since: Timestamp,
    /// Keys that were pressed.
    pub(super) keys: String,
}

/// Something that happened.
#[derive(Debug)]
pub(crate) enum News {
    /// A run began.
    Begins,
    /// An action was left, and the variables that it set.
    Taken(Taken, Vec<(String, Value)>),
    /// The agent said something, or wrote it.
    Says(String),
    /// The agent took a tool, and what came of it.
    Took { name: String, args: Value, result: Result<Value, String> },
    /// Something else that a person wants to know.
    Note(String),
    /// The run is over.
    Ends(Outcome, String),
}

impl Stage {
    /// Sets a stage. Nobody has called or texted yet.
    pub(crate) fn set(flow: &Arc<Flow>, given: &Given, mocks: Mocks, folder: PathBuf) -> Self {
        let medium = match given.medium {
            Some(Playing::Call) => Medium::Call,
            Some(Playing::Text) => Medium::Text,
            Some(Playing::None) => Medium::None,
            None if given.text.is_some() => Medium::Text,
            None => Medium::Call,
        };
        let (from, to) = (given.from.clone(), given.to.clone());
        let from = from.unwrap_or_else(|| "+15557654321".into());
        let to = to.unwrap_or_else(|| "+15550001000".into());
        let noon = Timestamp::from_second(NOON).unwrap_or_default();
        Self {
            flow: Arc::clone(flow),
            run: Activeflow::new("play", flow, medium, Vars::new()),
            now: given.now.unwrap_or(noon),
            mocks,
            talk: None,
            thread: Thread::default(),
            folder,
            called: BTreeMap::new(),
            known: given.flows.clone(),
            given: given.variables.clone(),
            from,
            to,
            asked: VecDeque::new(),
            going: Vec::new(),
            left: Vec::new(),
            news: Vec::new(),
            runs: 0,
            texts: 0,
            tools: 0,
        }
    }

    /// Begins a run: somebody calls, or texts these words.
    pub(crate) fn begin(&mut self, text: Option<&str>) {
        let medium = self.run.medium;
        let mut vars = Vars::new();
        let (from, to) = (json!(self.from), json!(self.to));
        if medium != Medium::None {
            vars.extend([("caller.number".into(), from.clone())]);
            vars.extend([("from".into(), from), ("to".into(), to)]);
        }
        if let Some(text) = text {
            let message = self.message(text);
            vars.extend(message.into_iter().map(|(name, it)| (format!("message.{name}"), it)));
        }
        vars.extend(self.given.clone());
        self.runs += 1;
        let id = if self.runs == 1 { "play".into() } else { format!("play-{}", self.runs) };
        self.run = Activeflow::new(&id, &self.flow, medium, vars);
        self.going.clear();
        self.left.clear();
        self.news.push(News::Begins);
        self.give(Event::Started);
    }

    /// Whether anybody has called or texted.
    pub(crate) fn begun(&self) -> bool {
        self.runs > 0
    }

    /// Gives an event to the run.
    pub(crate) fn give(&mut self, event: Event) {
        let over = self.run.outcome.is_some();
        let flows = Flows::new(&self.flow, &self.called);
        let advance = self.run.advance(flows, self.now, event);
        for taken in advance.taken {
            let value = |name: &String| {
                (name.clone(), self.run.vars.get(name).cloned().unwrap_or_default())
            };
            let changed = taken.changed.iter().map(value).collect();
            self.news.push(News::Taken(taken, changed));
        }
        if advance.commands.iter().any(|command| command.deed == Deed::StopService) {
            self.talk = None;
            self.thread.session = None;
        }
        let mut loads = Vec::new();
        for command in advance.commands {
            match command.deed {
                Deed::LoadFlow { source: FlowSource::Known { flow } } => {
                    loads.push((command.key, flow));
                }
                _ => self.asked.push_back(command),
            }
        }
        // Whatever the run does not wait for any more is over.
        let waits = |key: &Key| self.run.waits().any(|waiting| waiting.key == *key);
        self.going.retain(|going| waits(&going.command.key));
        self.left.retain(|command| waits(&command.key));
        if let Some(talk) = &self.talk
            && self.run.medium == Medium::Call
            && !waits(&talk.key)
        {
            self.talk = None;
        }
        if let Some(outcome) = self.run.outcome
            && !over
        {
            self.news.push(News::Ends(outcome, self.run.why.clone()));
        }
        for (key, name) in loads {
            self.call(key, &name);
        }
    }

    /// A text from the peer.
    ///
    /// # Errors
    /// Nobody takes it as things stand.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), String> {
        if self.run.medium != Medium::Text {
            return Err("this is about no thread: nobody texts".into());
        }
        let over = self.run.outcome.is_some() || !self.begun();
        let values = match self.run.awaits("message") {
            true => self.message(text),
            false if over => {
                self.begin(Some(text));
                return Ok(());
            }
            false => {
                let standing = self.standing();
                return Err(format!("{standing}, not for a text; live, another run would begin"));
            }
        };
        self.give(Event::Message { text: text.into(), values });
        Ok(())
    }

    fn message(&mut self, text: &str) -> Vars {
        self.texts += 1;
        Vars::from([
            ("id".into(), json!(format!("text-{}", self.texts))),
            ("text".into(), json!(text)),
            ("from".into(), json!(self.from)),
            ("to".into(), json!(self.to)),
            ("media".into(), json!([])),
        ])
    }

    /// The caller hangs up.
    ///
    /// # Errors
    /// It is no call, or it is over.
    pub(crate) fn hang_up(&mut self) -> Result<(), String> {
        if self.run.medium != Medium::Call {
            return Err("this is no call: there is nothing to hang up".into());
        }
        self.give(Event::HungUp { cause: HangupCause::Normal });
        Ok(())
    }

    /// A deed that was asked for takes its time from now on.
    pub(crate) fn go_on(&mut self, command: Command) {
        let since = self.now;
        if matches!(command.deed, Deed::Talk { .. }) {
            self.talk(&command);
        }
        if self.run.waits().any(|waiting| waiting.key == command.key) {
            self.going.push(Going { command, since, keys: String::new() });
        }
    }

    /// A deed comes to its end, unless it never does.
    pub(crate) fn end(&mut self, command: Command, reply: &Reply, why: &str) {
        self.pass(SignedDuration::from_secs(reply.after_s));
        if reply.never {
            return self.left.push(command);
        }
        let Command { key, deed } = command;
        match deed {
            Deed::LoadFlow { .. } => self.loaded(key, reply, why),
            _ => self.done(key, &reply.exit, reply.learned(), why, reply.then.clone()),
        }
    }

    /// The first deed of this type that goes on, taken so that it can end.
    pub(super) fn take_going(&mut self, kind: &str) -> Option<Command> {
        let named = |command: &Command| command.deed.kind() == kind || self.asks(command) == kind;
        if let Some(at) = self.left.iter().position(&named) {
            return Some(self.left.remove(at));
        }
        let at = self.going.iter().position(|going| named(&going.command))?;
        Some(self.going.remove(at).command)
    }

    /// How a mock ends a deed, if one does.
    pub(super) fn mock(&mut self, command: &Command) -> Option<Reply> {
        let kind = self.asks(command).to_owned();
        self.mocks.deed(&kind, &command.deed)
    }

    /// The type of the action that has asked for a deed.
    pub(super) fn asks<'a>(&self, command: &'a Command) -> &'a str {
        match &command.deed {
            Deed::Request { .. } | Deed::LoadFlow { .. } => {
                let id = command.key.0.split('/').nth(1).unwrap_or_default();
                let action = self.flow.actions().find(|(action, _)| *action == id);
                action.map_or(command.deed.kind(), |(_, kind)| kind)
            }
            deed => deed.kind(),
        }
    }

    /// The exits by which a deed can end.
    pub(crate) fn exits(&self, command: &Command) -> Vec<&'static str> {
        let spec = self.flow.catalog.get(self.asks(command)).map(|(_, spec)| spec);
        let mut exits = vec!["done"];
        exits.extend(spec.map_or(&[][..], |spec| spec.exits));
        if !exits.contains(&"failed") {
            exits.push("failed");
        }
        exits
    }

    /// # Errors
    /// A deed cannot end by this exit; names the nearest.
    pub(crate) fn check_exit(&self, command: &Command, exit: &str) -> Result<(), String> {
        let exits = self.exits(command);
        // An action of a called flow is not known here; one with `timeout_s` has that exit too.
        let unknown = self.flow.catalog.get(self.asks(command)).is_none();
        if unknown || exit == "timeout" || exits.contains(&exit) {
            return Ok(());
        }
        let help = match flow::nearest(exit, exits.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", exits.join(", ")),
        };
        Err(format!("`{}` has no exit `{exit}`; {help}", self.asks(command)))
    }

    pub(crate) fn done(
        &mut self,
        key: Key,
        exit: &str,
        values: Vars,
        why: &str,
        then: Option<Value>,
    ) {
        self.give(Event::Done { key, exit: exit.into(), values, why: why.into(), then });
    }

    /// The caller presses keys.
    ///
    /// # Errors
    /// Nobody listens for them.
    pub(crate) fn press(&mut self, pressed: &str) -> Result<(), String> {
        if let Some(wrong) = pressed.chars().find(|key| !"0123456789ABCD*#".contains(*key)) {
            return Err(format!("`{wrong}` is no key; there are 0-9, *, #, A-D"));
        }
        let listens = |going: &&mut Going| match going.command.deed {
            Deed::ReceiveDigits { .. } => true,
            Deed::Say { stop_on_digit, .. } => stop_on_digit,
            _ => false,
        };
        let going = self.going.iter_mut().find(listens);
        let Some(Going { command: Command { key, deed }, keys, since }) = going else {
            return Err(format!("nobody listens for keys: {}", self.standing()));
        };
        let (digits, why) = match deed {
            Deed::Say { stop_on_digit: true, .. } => {
                let first = pressed.chars().next().map(String::from).unwrap_or_default();
                let why = format!("`{first}` was pressed");
                (first, why)
            }
            Deed::ReceiveDigits { max_digits, finish_on, .. } => {
                let most = *max_digits as usize;
                let mut ended = None;
                for key in pressed.chars() {
                    if finish_on.contains(key) {
                        ended = Some(format!("`{key}` was pressed"));
                        break;
                    }
                    keys.push(key);
                    if most > 0 && keys.len() >= most {
                        ended = Some(format!("{most} keys were pressed"));
                        break;
                    }
                }
                *since = self.now;
                let Some(why) = ended else { return Ok(()) };
                (keys.clone(), why)
            }
            _ => return Err(format!("nobody listens for keys: {}", self.standing())),
        };
        let key = key.clone();
        self.done(key, "done", Vars::from([("digits".into(), json!(digits))]), &why, None);
        Ok(())
    }

    /// The action where the run waits, and its type.
    pub(crate) fn here(&self) -> Option<(&str, &'static str)> {
        self.run.action(Flows::new(&self.flow, &self.called))
    }

    /// Where the run stands, in words.
    pub(crate) fn standing(&self) -> String {
        match (self.run.outcome, self.run.waiting()) {
            _ if !self.begun() => "nobody has texted yet".into(),
            (Some(outcome), _) => {
                format!("the run has ended: {} {}", json!(outcome), self.run.why).trim_end().into()
            }
            (None, Some(waiting)) => {
                let action = self.here().map_or("", |(action, _)| action);
                format!("the run waits at `{action}` for {}", waiting.what)
            }
            (None, None) => "the run stands still".into(),
        }
    }
}
