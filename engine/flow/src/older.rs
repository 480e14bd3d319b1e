//! The older dialect: how a document that was written in it is put into today's words.
//!
//! A document of the older dialect has no rules of its own when it runs: whatever that dialect
//! means is written out as a document of today, once, before linking. `voxflow fmt` prints that
//! document. What a single action meant is said beside its options of today, as [`Older`].

use serde_json::{Map, Value};

/// What an action meant in the older dialect, where that is not what its words mean today.
#[derive(Clone, Copy)]
pub struct Older {
    /// Puts its options into today's terms. They have today's names already where a new name is
    /// all that changed.
    pub rewrite: fn(&mut Rewriting),
    /// Whether a run ended when the action failed; else the flow went on.
    pub ends_run: bool,
}

/// The options of one action while they are put into today's terms.
pub struct Rewriting {
    option: Map<String, Value>,
    /// Today's names, each with the one that was written.
    origins: Vec<(String, String)>,
}

impl Rewriting {
    pub(crate) fn new(option: Map<String, Value>) -> Self {
        Self { option, origins: Vec::new() }
    }

    pub(crate) fn into_parts(self) -> (Map<String, Value>, Vec<(String, String)>) {
        (self.option, self.origins)
    }

    /// An option.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.option.get(key)
    }

    /// Whether an option is there and true.
    pub fn is_true(&self, key: &str) -> bool {
        self.get(key) == Some(&Value::Bool(true))
    }

    /// Sets an option unless it is given.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        if !self.option.contains_key(key) {
            self.option.insert(key.into(), value.into());
        }
    }

    /// Takes options away that mean nothing today.
    pub fn drop(&mut self, keys: &[&str]) {
        for key in keys {
            self.option.shift_remove(*key);
        }
    }

    /// Gives an option another name unless that is taken. It stays at its place.
    pub fn rename(&mut self, older: &str, today: &str) {
        self.convert(older, today, Some);
    }

    /// Gives an option another name and value; without a value it goes.
    pub fn convert(
        &mut self,
        older: &str,
        today: &str,
        value: impl FnOnce(Value) -> Option<Value>,
    ) {
        if older != today && self.option.contains_key(today) {
            return;
        }
        let Some(at) = self.option.keys().position(|key| key == older) else { return };
        let written = self.option.shift_remove(older).and_then(value);
        let Some(written) = written else { return };
        self.option.shift_insert(at, today.into(), written);
        if older != today {
            self.origins.push((today.into(), older.into()));
        }
    }

    /// Milliseconds become seconds, where they are a number.
    pub fn seconds(&mut self, older: &str, today: &str) {
        let Some(ms) = self.get(older).and_then(Value::as_f64) else { return };
        self.convert(older, today, |_| match ms % 1000.0 == 0.0 {
            true => Some(((ms / 1000.0) as i64).into()),
            false => Some((ms / 1000.0).into()),
        });
    }

    /// An option that holds the bare name of a variable may be written with braces around it.
    pub fn bare_name(&mut self, key: &str) {
        self.convert(key, key, |name| match name.as_str() {
            Some(text) => {
                let bare = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
                let bare = bare.unwrap_or(text);
                Some(bare.strip_prefix("voipbin.").unwrap_or(bare).into())
            }
            None => Some(name),
        });
    }

    /// Addresses lose what nobody reads: an address, or a list of them.
    pub fn addresses(&mut self, keys: &[&str]) {
        for key in keys {
            self.convert(key, key, |found| match found {
                Value::Array(all) => Some(all.into_iter().map(address).collect()),
                Value::Object(_) => Some(address(found)),
                Value::Null => None,
                other => Some(other),
            });
        }
    }
}

fn address(written: Value) -> Value {
    let Value::Object(mut fields) = written else { return written };
    let spoken = fields.shift_remove("target_name").filter(|name| name != "");
    fields.shift_remove("detail");
    fields.retain(|_, value| !value.is_null() && value != "");
    if let Some(name) = spoken
        && !fields.contains_key("name")
    {
        fields.insert("name".into(), name);
    }
    Value::Object(fields)
}
