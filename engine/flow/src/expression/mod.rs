//! Expressions: Rhai, compiled once when a flow is linked, deterministic and limited.
//!
//! An expression sees the variables of the run and `now`, nothing else: no files, no network, no
//! clock of its own, no printing, no `eval`. A variable `caller.name` is read as written. A name
//! that is not set has the value `()`, which equals nothing else.

mod check;
mod roots;

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, LazyLock};

use jiff::{Timestamp, tz::TimeZone};
use rhai::packages::{
    ArithmeticPackage, BasicArrayPackage, BasicIteratorPackage, BasicMapPackage, BasicMathPackage,
    BasicStringPackage, LogicPackage, MoreStringPackage, Package,
};
use rhai::{AST, Dynamic, Engine, Position, Scope, Token};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::event::Vars;

use roots::{Root, roots};

/// The longest expression, bytes.
const LONGEST: usize = 8 * 1024;

/// What an expression is evaluated against.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// The run's variables.
    pub vars: &'a Vars,
    /// The run's clock.
    pub now: Timestamp,
    /// The flow's time zone.
    pub zone: &'a TimeZone,
}

/// A compiled expression. In JSON it is a string; its schema carries `"format": "expression"`, by
/// which the linker finds it.
#[derive(Clone)]
pub struct Expression {
    text: Arc<str>,
    ast: Arc<AST>,
    roots: Arc<[Root]>,
}

/// Why an expression does not compile, and where in it. Line and column count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (line {line}, column {column})")]
pub struct Fault {
    /// What is wrong.
    pub message: String,
    /// Line inside the expression.
    pub line: usize,
    /// Column inside the expression, in characters.
    pub column: usize,
    /// The way out, when there is one to name.
    pub help: Option<String>,
}

/// Words that reach out of an expression, or that mean something other than a value.
const FORBIDDEN: [&str; 14] = [
    "Fn",
    "curry",
    "debug",
    "eval",
    "export",
    "fn",
    "global",
    "import",
    "is_def_fn",
    "is_def_var",
    "is_shared",
    "print",
    "super",
    "this",
];

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let mut engine = Engine::new_raw();
    // Package by package, since the standard one brings a clock and `sleep`.
    engine
        .register_global_module(ArithmeticPackage::new().as_shared_module())
        .register_global_module(LogicPackage::new().as_shared_module())
        .register_global_module(BasicStringPackage::new().as_shared_module())
        .register_global_module(MoreStringPackage::new().as_shared_module())
        .register_global_module(BasicMathPackage::new().as_shared_module())
        .register_global_module(BasicArrayPackage::new().as_shared_module())
        .register_global_module(BasicMapPackage::new().as_shared_module())
        .register_global_module(BasicIteratorPackage::new().as_shared_module());
    engine.register_fn("trimmed", |text: &str| text.trim().to_string());
    engine.register_fn("number", |text: &str| number(text));
    engine.register_fn("number", |n: i64| n);
    engine.register_fn("number", |n: f64| n);
    engine.register_fn("number", |(): ()| ());
    // A field of what is not set is not set.
    engine.register_indexer_get(|(): &mut (), _: &str| ());
    for word in FORBIDDEN {
        engine.disable_symbol(word);
    }
    // Rhai keeps many words for later, such as `call` and `type`. Here they are names, since
    // variables are called so.
    #[allow(deprecated, reason = "marked so only because it may change with Rhai's version")]
    engine.on_parse_token(|token, _, _| match token {
        Token::Reserved(word) if is_name(&word) && !FORBIDDEN.contains(&word.as_str()) => {
            Token::Identifier(word)
        }
        other => other,
    });
    engine
        .set_allow_anonymous_fn(false)
        .set_allow_looping(false)
        .set_max_operations(50_000)
        .set_max_expr_depths(64, 32)
        .set_max_call_levels(16)
        .set_max_string_size(32 * 1024)
        .set_max_array_size(1_000)
        .set_max_map_size(1_000);
    engine
});

/// The byte at a line and a column, both counted from 1.
pub(crate) fn offset(text: &str, line: usize, column: usize) -> usize {
    let line: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let inside: usize = text[line..].chars().take(column - 1).map(char::len_utf8).sum();
    (line + inside).min(text.len())
}

/// The fields of `now`.
const CLOCK: [&str; 8] =
    ["year", "month", "day", "hour", "minute", "second", "weekday", "timestamp"];

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A text as a number; `()` when it is none.
fn number(text: &str) -> Dynamic {
    let text = text.trim();
    if let Ok(whole) = text.parse::<i64>() {
        return whole.into();
    }
    text.parse::<f64>().ok().filter(|n| n.is_finite()).map_or(Dynamic::UNIT, Dynamic::from)
}

impl Expression {
    /// Compiles.
    ///
    /// # Errors
    /// The first fault and its place.
    pub fn compile(text: &str) -> Result<Self, Fault> {
        if text.len() > LONGEST {
            let message = format!("an expression has at most {LONGEST} bytes");
            return Err(Fault { message, line: 1, column: 1, help: None });
        }
        let fault = |message: String, at: Position, help| Fault {
            message,
            line: at.line().unwrap_or(1),
            column: at.position().unwrap_or(1),
            help,
        };
        let ast = ENGINE.compile_expression(text).map_err(|error| {
            let message = error.err_type().to_string();
            let help = check::meant(text, &message);
            fault(message, error.position(), help)
        })?;
        match check::misused(&ast) {
            Some((message, at, help)) => Err(fault(message, at, help)),
            None => Ok(Self { text: text.into(), ast: Arc::new(ast), roots: roots(text).into() }),
        }
    }

    /// Why it can be neither true nor false, when that is plain to see.
    pub(crate) fn never_boolean(&self) -> Option<String> {
        check::never_boolean(&self.ast)
    }

    /// As written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The variables that it reads, dotted, each with its place in the text, bytes; `now` is not
    /// among them.
    pub fn names(&self) -> impl Iterator<Item = (String, usize)> {
        let names = check::reads(&self.ast).into_iter();
        names.map(|(name, at)| {
            let at = offset(&self.text, at.line().unwrap_or(1), at.position().unwrap_or(1));
            (name, at)
        })
    }

    /// Its value.
    ///
    /// # Errors
    /// A sentence: a wrong type, an unknown function, or a limit.
    pub fn eval(&self, world: World<'_>) -> Result<Value, String> {
        let result = self.run(world)?;
        rhai::serde::from_dynamic(&result).map_err(|error| self.fault(&error))
    }

    /// Whether it is true.
    ///
    /// # Errors
    /// A sentence, also when the value is neither true nor false.
    pub fn test(&self, world: World<'_>) -> Result<bool, String> {
        let result = self.run(world)?;
        result.as_bool().map_err(|kind| {
            format!("the expression `{}` must be true or false, and is of type {kind}", self.text)
        })
    }

    fn run(&self, world: World<'_>) -> Result<Dynamic, String> {
        let mut scope = Scope::new();
        for root in self.roots.iter() {
            scope.push_dynamic(root.name.as_str(), root.value(world));
        }
        ENGINE
            .eval_ast_with_scope::<Dynamic>(&mut scope, &self.ast)
            .map_err(|error| self.fault(&error))
    }

    fn fault(&self, error: &rhai::EvalAltResult) -> String {
        format!("the expression `{}` has no value: {error}", self.text)
    }
}

impl Root {
    fn value(&self, world: World<'_>) -> Dynamic {
        if self.name == "now" {
            return now(&self.paths, world).into();
        }
        if self.paths.iter().any(Vec::is_empty) || world.vars.contains_key(&self.name) {
            return whole(&self.name, world.vars);
        }
        let mut fields = rhai::Map::new();
        for path in &self.paths {
            // The shortest prefix that is a variable, taken whole; Rhai reads the rest itself.
            let (mut name, mut depth, mut found) = (self.name.clone(), 0, None);
            while found.is_none() && depth < path.len() {
                name.push('.');
                name.push_str(&path[depth]);
                depth += 1;
                found = world.vars.get(&name);
            }
            let value = found.map_or_else(|| whole(&name, world.vars), dynamic);
            insert(&mut fields, &path[..depth], value);
        }
        fields.into()
    }
}

/// All of a variable: its own value, or an object of the variables whose names begin with it.
fn whole(name: &str, vars: &Vars) -> Dynamic {
    let own = vars.get(name);
    let prefix = format!("{name}.");
    let mut fields = match own {
        Some(Value::Object(_)) => own.map(dynamic).and_then(Dynamic::try_cast).unwrap_or_default(),
        _ => rhai::Map::new(),
    };
    let mut any = false;
    for (full, value) in vars.range(prefix.clone()..) {
        let Some(rest) = full.strip_prefix(&prefix) else { break };
        let path: Vec<String> = rest.split('.').map(Into::into).collect();
        insert(&mut fields, &path, dynamic(value));
        any = true;
    }
    match own {
        Some(value) if !any => dynamic(value),
        None if !any => Dynamic::UNIT,
        _ => fields.into(),
    }
}

fn insert(fields: &mut rhai::Map, path: &[String], value: Dynamic) {
    match path {
        [] => {}
        [last] => {
            fields.insert(last.as_str().into(), value);
        }
        [first, rest @ ..] => {
            let inner =
                fields.entry(first.as_str().into()).or_insert_with(|| rhai::Map::new().into());
            if !inner.is_map() {
                *inner = rhai::Map::new().into();
            }
            if let Some(mut inner) = inner.write_lock::<rhai::Map>() {
                insert(&mut inner, rest, value);
            }
        }
    }
}

/// The run's clock in the flow's time zone; only the fields that are read, unless all may be.
fn now(paths: &[Vec<String>], world: World<'_>) -> rhai::Map {
    let local = world.now.to_zoned(world.zone.clone());
    let all = paths.iter().any(Vec::is_empty);
    let values: [i64; CLOCK.len()] = [
        local.year().into(),
        local.month().into(),
        local.day().into(),
        local.hour().into(),
        local.minute().into(),
        local.second().into(),
        // Sunday is 0, as in the older dialect.
        local.weekday().to_sunday_zero_offset().into(),
        world.now.as_second(),
    ];
    let mut map = rhai::Map::new();
    for (name, value) in CLOCK.into_iter().zip(values) {
        if all || paths.iter().any(|path| path[0] == name) {
            map.insert(name.into(), value.into());
        }
    }
    map
}

fn dynamic(value: &Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(yes) => (*yes).into(),
        Value::Number(n) => match n.as_i64() {
            Some(whole) => whole.into(),
            None => n.as_f64().unwrap_or_default().into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(values) => values.iter().map(dynamic).collect::<rhai::Array>().into(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.as_str().into(), dynamic(value)))
            .collect::<rhai::Map>()
            .into(),
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.text).finish()
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Serialize for Expression {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'_, str>::deserialize(from)?;
        Self::compile(&text).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Expression {
    fn schema_name() -> Cow<'static, str> {
        "Expression".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "string",
            "format": "expression",
            "description": "An expression over the variables and `now`, such as `now.hour < 17 && caller.name == \"Ann\"`."
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn eval(text: &str) -> Result<Value, String> {
        let vars: Vars = [
            ("caller.name", json!("Ann")),
            ("caller.tags", json!(["vip"])),
            ("n", json!(7)),
            ("order", json!({ "id": 5, "who": { "name": "Bo" } })),
            ("a.b.c", json!(1)),
            ("a.b.d", json!(2)),
            ("digits", json!("12")),
            ("call.digits", json!("9")),
            ("order.type", json!("new")),
            ("default", json!(3)),
        ]
        .into_iter()
        .map(|(name, value)| (name.into(), value))
        .collect();
        let now = "2026-11-20T20:05:09Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(-5));
        Expression::compile(text).map_err(|fault| fault.to_string())?.eval(World {
            vars: &vars,
            now,
            zone: &zone,
        })
    }

    #[track_caller]
    fn check(text: &str, expected: Value) {
        assert_eq!(eval(text), Ok(expected), "{text}");
    }

    #[test]
    fn variables_are_read_as_they_are_named() {
        check(r#"caller.name == "Ann" && "vip" in caller.tags"#, json!(true));
        check("order.who.name + order.id", json!("Bo5"));
        check("a.b.c + a.b.d", json!(3));
        check("call.digits + default + caller.match", json!("93"));
        check("a.b.keys().len() + caller[\"name\"].len", json!(5));
        check("n * 2 - 0x0F", json!(-1));
        check("if n > 5 { \"many\" } else { \"few\" }", json!("many"));
        check("`${n} left`", json!("7 left"));
        check("number(digits) + number(\" 1.5 \") + n", json!(20.5));
        check("caller.name.to_upper() /* n.x */ // more", json!("ANN"));
    }

    #[test]
    fn what_is_not_set_equals_nothing() {
        check("missing == () && caller.age == () && order.x.y == ()", json!(true));
        check("missing > 5 || missing == 0", json!(false));
    }

    #[test]
    fn the_clock_is_the_runs_own_in_the_flows_time_zone() {
        check(
            "[now.year, now.month, now.day, now.hour, now.minute, now.second, now.weekday]",
            json!([2026, 11, 20, 15, 5, 9, 5]),
        );
        check("now.timestamp", json!(1_795_205_109));
    }

    #[test]
    fn the_world_is_out_of_reach() {
        for text in [
            "sleep(1)",
            "timestamp()",
            "print(1)",
            "eval(\"1\")",
            "import \"x\"",
            "debug(1)",
            "rand()",
            "let x = 1",
            "n = 5",
            "loop { }",
            "while true { }",
            "fn f() { 1 }",
            "exit()",
            "|x| x",
            "n; n",
            "",
        ] {
            assert!(eval(text).is_err(), "{text}");
        }
    }

    #[test]
    fn limits_are_errors() {
        let long = format!("{}1{}", "(".repeat(500), ")".repeat(500));
        assert!(Expression::compile(&long).is_err());
        assert!(Expression::compile(&"1+".repeat(9000)).is_err());
        assert!(eval("\"x\".pad(100000, \"x\")").is_err());
        assert!(eval("1 / 0").unwrap_err().contains("`1 / 0`"));
    }

    #[test]
    fn a_fault_has_its_place() {
        let fault = Expression::compile("n >\n  * 2").unwrap_err();
        assert_eq!((fault.line, fault.column), (2, 3), "{fault}");
    }

    #[test]
    fn the_names_that_are_read_are_known() {
        let names: Vec<String> = Expression::compile(
            r#"a.b.len() > 1 && c["d"] == x.y || now.hour < 3 && number("s.t") == 1"#,
        )
        .unwrap()
        .names()
        .map(|(name, _)| name)
        .collect();
        assert_eq!(names, ["a.b", "c", "x.y"]);
    }
}
