//! A file of rules, as an author writes it.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Said when a deed failed and its rule has no words for that.
const FAILED: &str = "Sorry, I cannot do that right now.";

/// What a scripted agent understands and answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Where the schema of this file is, for editors.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Said when nobody has said anything yet.
    #[serde(default)]
    pub greeting: String,
    /// Said when no rule is meant. `{heard}` stands for what was heard.
    pub otherwise: String,
    /// The rules; of two that fit equally well, the first is meant.
    #[schemars(length(min = 1))]
    pub rules: Vec<Rule>,
}

/// One thing that is understood, and what follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// A name, for the `after` of other rules.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// What a caller may say. Capitals and punctuation do not count. On a call the phrases are the
    /// grammar of the recognizer, so each should be a whole sentence of a caller.
    #[schemars(length(min = 1))]
    pub phrases: Vec<String>,
    /// Names of rules: this one can only be meant when one of them was meant last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// What is said; before the tool, if there is one. `{heard}` stands for what was heard.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub say: String,
    /// The tool that is taken.
    #[serde(rename = "tool", default, skip_serializing_if = "Option::is_none")]
    pub deed: Option<Deed>,
    /// What is said after the tool, when it did its work.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub then: String,
    /// What is said when the tool failed, or may not be taken here.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub failed: String,
}

/// A tool and what it is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deed {
    /// The action type, such as `send_message`.
    pub name: String,
    /// Its options. `{heard}` in a text stands for what was heard.
    #[serde(default = "nothing")]
    #[schemars(with = "serde_json::Map<String, Value>")]
    pub arguments: Value,
}

fn nothing() -> Value {
    Value::Object(serde_json::Map::new())
}

impl Rules {
    /// Reads a file's text.
    ///
    /// # Errors
    /// Says in words what is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rules: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        rules.check()?;
        Ok(rules)
    }

    fn check(&self) -> Result<(), String> {
        let mut ids = HashSet::new();
        if let Some(twice) = self.ids().find(|id| !ids.insert(*id)) {
            return Err(format!("two rules have the id `{twice}`"));
        }
        if self.rules.is_empty() {
            return Err("`rules` has no rule".into());
        }
        for (n, rule) in self.rules.iter().enumerate() {
            let place = format!("/rules/{n}");
            if rule.phrases.iter().all(|phrase| super::matching::words(phrase).is_empty()) {
                return Err(format!("{place}: `phrases` has no words"));
            }
            if rule.say.is_empty() && rule.deed.is_none() {
                return Err(format!("{place}: needs `say` or `tool`"));
            }
            if let Some(unknown) = rule.after.iter().find(|id| !ids.contains(id.as_str())) {
                return Err(format!("{place}: `after` names `{unknown}`, which no rule has as id"));
            }
            if rule.deed.as_ref().is_some_and(|deed| !deed.arguments.is_object()) {
                return Err(format!("{place}: the `arguments` of a tool are an object"));
            }
        }
        Ok(())
    }

    fn ids(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.id.as_str()).filter(|id| !id.is_empty())
    }
}

impl Rule {
    /// Whether it can be meant when `last` was meant last.
    pub fn applies(&self, last: Option<&Rule>) -> bool {
        self.after.is_empty() || last.is_some_and(|last| self.after.contains(&last.id))
    }

    /// What is said when its tool failed.
    pub fn failed(&self) -> &str {
        if self.failed.is_empty() { FAILED } else { &self.failed }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn why(rules: &str) -> String {
        Rules::parse(&format!(r#"{{ "otherwise": "?", "rules": [{rules}] }}"#)).unwrap_err()
    }

    #[test]
    fn a_wrong_file_says_what_is_wrong() {
        assert_eq!(why(""), "`rules` has no rule");
        assert_eq!(why(r#"{ "phrases": ["?!"], "say": "x" }"#), "/rules/0: `phrases` has no words");
        assert_eq!(why(r#"{ "phrases": ["a"] }"#), "/rules/0: needs `say` or `tool`");
        let after = why(r#"{ "phrases": ["a"], "say": "b", "after": ["c"] }"#);
        assert_eq!(after, "/rules/0: `after` names `c`, which no rule has as id");
        let twice = r#"{ "id": "a", "phrases": ["a"], "say": "b" }"#;
        assert_eq!(why(&format!("{twice}, {twice}")), "two rules have the id `a`");
        assert!(why(r#"{ "phrases": ["a"], "says": "b" }"#).contains("unknown field `says`"));
        let list = r#"{ "phrases": ["a"], "tool": { "name": "stop", "arguments": [] } }"#;
        assert_eq!(why(list), "/rules/0: the `arguments` of a tool are an object");
    }
}
