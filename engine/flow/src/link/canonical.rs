//! A document in today's canonical form: older names of types and options replaced, and a
//! document of the older dialect written out in today's words.

use serde_json::{Map, Value, json};

use crate::action::{Catalog, Spec};
use crate::document;
use crate::older::Rewriting;
use crate::shape;
use crate::text;

/// Keys that only a document of the older dialect has; those with a meaning, and today's name.
const OLDER_HEAD: [(&str, Option<&str>); 10] = [
    ("id", None),
    ("customer_id", None),
    ("type", None),
    ("persist", None),
    ("direct_id", None),
    ("direct_hash", None),
    ("on_complete_flow_id", Some("on_complete")),
    ("tm_create", None),
    ("tm_update", None),
    ("tm_delete", None),
];

/// Keys of a document that the older dialect does not have.
const TODAYS_HEAD: [&str; 6] =
    ["$schema", "version", "variables", "timezone", "on_error", "on_complete"];

/// Keys of an action that the older dialect does not have.
const TODAYS_ACTION: [&str; 6] = ["next", "on", "if", "timeout_s", "retry", "note"];

/// The nil UUID, which means "none" in the older dialect.
const NIL: &str = "00000000-0000-0000-0000-000000000000";

/// How a document was put into today's form.
#[derive(Default)]
pub(crate) struct Canonical {
    /// Whether it was written in the older dialect, in which nothing was checked before it ran.
    pub older: bool,
    /// Where in what was written something is that the older dialect ignores.
    pub ignored: Vec<String>,
    /// Pointers of today's form, each with the one of what was written.
    origins: Vec<(String, String)>,
}

impl Canonical {
    /// The pointer of what was written.
    pub(crate) fn origin(&self, pointer: &str) -> String {
        let under = |from: &str| {
            let rest = pointer.strip_prefix(from)?;
            (rest.is_empty() || rest.starts_with('/')).then_some(rest)
        };
        let nearest = self
            .origins
            .iter()
            .filter_map(|(today, written)| Some((today.len(), written, under(today)?)))
            .max_by_key(|(length, ..)| *length);
        match nearest {
            Some((_, written, rest)) => format!("{written}{rest}"),
            None => pointer.into(),
        }
    }
}

/// Puts a document into today's form. What is in it already is not touched.
pub(crate) fn canonical(document: &mut Value, catalog: Catalog) -> Canonical {
    let mut form = Canonical::default();
    let Some(actions) = actions(document) else { return form };
    form.older = is_older(document, actions, catalog);
    if !form.older && !actions.iter().any(|action| has_older_names(action, catalog)) {
        return form;
    }
    let base = if document.is_array() { "" } else { "/actions" };
    let mut list = match &mut *document {
        Value::Array(list) => std::mem::take(list),
        other => match other.get_mut("actions").map(Value::take) {
            Some(Value::Array(list)) => list,
            Some(_) | None => return form,
        },
    };
    for (n, action) in list.iter_mut().enumerate() {
        if !form.older && !has_older_names(action, catalog) {
            continue;
        }
        let pointers = Pointers {
            written: format!("{base}/{n}"),
            today: format!("{}/{n}", if form.older { "/actions" } else { base }),
        };
        if pointers.written != pointers.today {
            form.origins.push((pointers.today.clone(), pointers.written.clone()));
        }
        *action = form.action(action, &pointers, catalog);
    }
    match document {
        Value::Object(fields) => {
            if form.older {
                *fields = form.head(fields);
            }
            fields.insert("actions".into(), list.into());
        }
        _ if form.older => {
            *document =
                json!({ "version": document::VERSION, "on_error": "next", "actions": list });
        }
        _ => *document = list.into(),
    }
    form
}

fn actions(document: &Value) -> Option<&[Value]> {
    match document {
        Value::Array(actions) => Some(actions),
        Value::Object(fields) => fields.get("actions")?.as_array().map(Vec::as_slice),
        _ => None,
    }
}

/// Where an action is in what was written, and where in today's form.
struct Pointers {
    written: String,
    today: String,
}

impl Canonical {
    /// The head of a document of the older dialect.
    fn head(&mut self, fields: &Map<String, Value>) -> Map<String, Value> {
        let mut head = Map::from_iter([("version".to_owned(), json!(document::VERSION))]);
        for (key, value) in fields {
            let known = OLDER_HEAD.iter().find(|(older, _)| older == key);
            match (key.as_str(), known) {
                ("name" | "detail", _) => {
                    head.insert(key.clone(), value.clone());
                }
                ("actions", _) => {}
                (_, Some((_, Some(today)))) if !is_none(value) => {
                    self.origins.push((format!("/{today}"), format!("/{key}")));
                    head.insert((*today).into(), value.clone());
                }
                (_, Some(_)) => {}
                (_, None) => self.ignored.push(format!("/{}", crate::place::escape(key))),
            }
        }
        head.insert("on_error".into(), "next".into());
        head
    }

    fn action(&mut self, action: &Value, pointers: &Pointers, catalog: Catalog) -> Value {
        let Value::Object(fields) = action else { return action.clone() };
        let known = fields.get("type").and_then(Value::as_str).and_then(|name| catalog.get(name));
        let mut all = Map::with_capacity(fields.len() + 1);
        for (key, value) in fields {
            match key.as_str() {
                "type" => {
                    let name = known.map_or_else(|| value.clone(), |(today, _)| today.into());
                    all.insert(key.clone(), name);
                }
                "next_id" if fields.contains_key("next") => {}
                "next_id" | "id" | "next" if is_none(value) => {}
                "next_id" => {
                    self.renamed(pointers, "next", "next_id");
                    all.insert("next".into(), value.clone());
                }
                "option" => {
                    let option = match (value, known) {
                        (Value::Object(option), Some((_, spec))) => {
                            Value::Object(self.option(option, spec, pointers))
                        }
                        (Value::Null, _) if self.older => continue,
                        _ => value.clone(),
                    };
                    all.insert(key.clone(), option);
                }
                "tm_execute" if self.older => {}
                "id" => {
                    all.insert(key.clone(), value.clone());
                }
                _ if self.older => {
                    self.ignored.push(format!("{}/{}", pointers.written, crate::place::escape(key)))
                }
                _ => {
                    all.insert(key.clone(), value.clone());
                }
            }
        }
        let meaning = known.and_then(|(_, spec)| spec.older).filter(|_| self.older);
        if let (Some((_, spec)), Some(_)) = (known, meaning)
            && !all.contains_key("option")
        {
            let option = self.option(&Map::new(), spec, pointers);
            if !option.is_empty() {
                all.insert("option".into(), Value::Object(option));
            }
        }
        if meaning.is_some_and(|older| older.ends_run) {
            all.insert("on".into(), json!({ "failed": "end" }));
        }
        Value::Object(all)
    }

    fn option(
        &mut self,
        written: &Map<String, Value>,
        spec: &Spec,
        pointers: &Pointers,
    ) -> Map<String, Value> {
        let mut rewriting = Rewriting::new(written.clone());
        if self.older {
            let targets: Vec<&str> = spec
                .renamed
                .iter()
                .filter(|(older, _)| older.ends_with("_id"))
                .map(|r| r.0)
                .collect();
            for key in targets {
                rewriting.convert(key, key, |value| (!is_none(&value)).then_some(value));
            }
        }
        names(&mut rewriting, spec);
        if self.older
            && let Some(older) = spec.older
        {
            (older.rewrite)(&mut rewriting);
        }
        let (mut option, origins) = rewriting.into_parts();
        for (today, older) in origins {
            let written = format!("option/{}", crate::place::escape(&older));
            self.renamed(pointers, &format!("option/{}", crate::place::escape(&today)), &written);
        }
        if self.older {
            let schema = &shape::of(spec).schema;
            let known = schema.get("properties").and_then(Value::as_object);
            option.retain(|key, value| {
                let knows = known.is_some_and(|known| known.contains_key(key));
                if !knows {
                    let key = crate::place::escape(key);
                    self.ignored.push(format!("{}/option/{key}", pointers.written));
                }
                knows && !value.is_null()
            });
        }
        option
    }

    fn renamed(&mut self, pointers: &Pointers, today: &str, written: &str) {
        self.origins.push((
            format!("{}/{today}", pointers.today),
            format!("{}/{written}", pointers.written),
        ));
    }
}

/// Today's names and words for older ones.
fn names(rewriting: &mut Rewriting, spec: &Spec) {
    for (older, today) in spec.renamed {
        rewriting.rename(older, today);
    }
    for (bare, meant) in spec.filled {
        let value = rewriting.get(bare).and_then(Value::as_str);
        if value.is_some_and(text::is_template) {
            rewriting.rename(bare, meant);
        }
    }
    for (key, older, today) in spec.words {
        let found = rewriting.get(key).and_then(Value::as_str);
        if found == Some(*older) {
            rewriting.convert(key, key, |_| Some((*today).into()));
        }
    }
}

/// Options under today's names and with today's words; `None` when they are so already.
pub(super) fn option(option: &Value, spec: &Spec) -> Option<Value> {
    let Value::Object(fields) = option else { return None };
    if !has_older_options(fields, spec) {
        return None;
    }
    let mut rewriting = Rewriting::new(fields.clone());
    names(&mut rewriting, spec);
    Some(Value::Object(rewriting.into_parts().0))
}

// Asked of every action that is linked: keys are compared one by one, which for a few of them is
// faster than looking each name up.
fn has_older_options(fields: &Map<String, Value>, spec: &Spec) -> bool {
    fields.iter().any(|(key, value)| {
        let text = || value.as_str();
        let renamed = || spec.renamed.iter().find(|(older, _)| older == key);
        let today = renamed().map_or(key.as_str(), |(_, today)| today);
        (today != key && !fields.contains_key(today))
            || spec.filled.iter().any(|(bare, meant)| {
                bare == key && text().is_some_and(text::is_template) && !fields.contains_key(*meant)
            })
            || spec.words.iter().any(|(option, older, _)| *option == today && text() == Some(older))
    })
}

fn has_older_names(action: &Value, catalog: Catalog) -> bool {
    let Value::Object(fields) = action else { return false };
    let (mut spec, mut option) = (None, None);
    for (key, value) in fields {
        match (key.as_str(), value) {
            ("next_id", _) => return true,
            ("type", Value::String(name)) => match catalog.get(name) {
                Some((today, _)) if today != name => return true,
                found => spec = found.map(|(_, spec)| spec),
            },
            ("option", Value::Object(fields)) => option = Some(fields),
            _ => {}
        }
    }
    matches!((option, spec), (Some(fields), Some(spec)) if has_older_options(fields, spec))
}

/// Whether a document is of the older dialect: it has something that only that dialect has, and
/// nothing that it does not have.
fn is_older(document: &Value, actions: &[Value], catalog: Catalog) -> bool {
    let has = |keys: &[&str], value: &Value| {
        value.as_object().is_some_and(|fields| fields.keys().any(|key| keys.contains(&&**key)))
    };
    if has(&TODAYS_HEAD, document) || actions.iter().any(|action| has(&TODAYS_ACTION, action)) {
        return false;
    }
    let mut older = OLDER_HEAD.iter().any(|(key, _)| document.get(key).is_some());
    for action in actions {
        let Some(name) = action.get("type").and_then(Value::as_str) else { continue };
        let Some((today, spec)) = catalog.get(name) else { continue };
        // A type that the older dialect does not know by this name.
        if today == name && !catalog.same.contains(&name) {
            return false;
        }
        let is_uuid = |id: &str| id.len() == 36 && uuid_like(id);
        older |= today != name
            || has(&["next_id", "tm_execute"], action)
            || action.get("id").and_then(Value::as_str).is_some_and(is_uuid)
            || action.get("option").and_then(Value::as_object).is_some_and(|fields| {
                has_older_options(fields, spec)
                    || spec.older_only.iter().any(|key| fields.contains_key(*key))
            });
    }
    older
}

fn uuid_like(id: &str) -> bool {
    id.bytes().enumerate().all(|(n, byte)| match n {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

fn is_none(value: &Value) -> bool {
    value.is_null() || value == "" || value == NIL
}
