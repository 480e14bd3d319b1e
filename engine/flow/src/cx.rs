//! The whole world of an action: variables to get and set, deeds to ask for.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::Value;

use crate::event::{Command, Deed, Key, Medium, Vars};
use crate::expression::{Expression, World};
use crate::limits;

/// The whole world of an action: variables to get and set, deeds to ask for.
pub struct Cx<'a> {
    /// The run's clock.
    pub now: Timestamp,
    /// What the run is about.
    pub medium: Medium,
    /// Whether this is in a flow that was called by another.
    pub called: bool,
    pub(crate) vars: &'a mut Vars,
    /// Bytes that the run holds beside its variables.
    pub(crate) beside: usize,
    pub(crate) zone: &'a TimeZone,
    pub(crate) key: Naming<'a>,
    /// How many deeds this attempt has asked for, so that no two share a key.
    pub(crate) asked: u32,
    /// How often this action was counted, see [`Cx::count`].
    pub(crate) count: u32,
    pub(crate) commands: Vec<Command>,
    /// Names of the variables that were set, for the history.
    pub(crate) changed: Vec<String>,
    /// Why the action fails whatever it answers: a limit.
    pub(crate) fault: Option<String>,
}

/// What a key is made of; it is made only when somebody asks for something.
#[derive(Clone, Copy)]
pub(crate) enum Naming<'a> {
    /// Of an attempt of a visit of an action of a run.
    Of { run: &'a str, action: &'a str, visit: u64, attempt: u32 },
    /// As it was given.
    Given(&'a Key),
}

impl Naming<'_> {
    /// The key of the deed after `asked` others; that of the first is that of the wait.
    pub(crate) fn key(self, asked: u32) -> Key {
        let mut key = match self {
            Self::Of { run, action, visit, attempt } => format!("{run}/{action}/{visit}/{attempt}"),
            Self::Given(key) => key.0.clone(),
        };
        if asked > 0 {
            key.push_str(&format!("+{asked}"));
        }
        Key(key)
    }
}

impl Cx<'_> {
    /// A variable.
    pub fn get(&self, name: &str) -> Option<&Value> {
        crate::text::lookup(self.vars, name)
    }

    /// Sets a variable. One that is too large is not set, and fails the action.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        if let Some(why) = limits::refuse(self.vars, self.beside, name, &value) {
            self.fault.get_or_insert(why);
            return;
        }
        if !self.changed.iter().any(|other| other == name) {
            self.changed.push(name.into());
        }
        match self.vars.get_mut(name) {
            Some(old) => *old = value,
            None => {
                self.vars.insert(name.into(), value);
            }
        }
    }

    /// The value of an expression.
    ///
    /// # Errors
    /// A sentence: a wrong type, an unknown function, or a limit.
    pub fn eval(&self, expression: &Expression) -> Result<Value, String> {
        expression.eval(self.world())
    }

    /// Whether an expression is true.
    ///
    /// # Errors
    /// A sentence, also when the value is neither true nor false.
    pub fn test(&self, expression: &Expression) -> Result<bool, String> {
        expression.test(self.world())
    }

    /// The run's clock in the flow's time zone.
    pub fn local(&self) -> Zoned {
        self.now.to_zoned(self.zone.clone())
    }

    fn world(&self) -> World<'_> {
        World { vars: self.vars, now: self.now, zone: self.zone }
    }

    /// Counts passes through this action: true for the first `times` of them, then false once,
    /// and so on.
    pub fn count(&mut self, times: u32) -> bool {
        if self.count < times {
            self.count += 1;
            return true;
        }
        self.count = 0;
        false
    }

    /// How many passes were counted since the count was last at its end.
    pub fn counted(&self) -> u32 {
        self.count
    }

    /// Asks for a deed. The end of the first deed of a visit comes back as [`crate::Event::Done`].
    pub fn ask(&mut self, deed: Deed) {
        let key = self.key.key(self.asked);
        self.asked += 1;
        self.commands.push(Command { key, deed });
    }
}
