//! What is wrong with an expression though it can be read: functions that do not exist, fields that
//! the clock does not have, values that can be neither true nor false.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use rhai::{AST, ASTNode, Dynamic, Expr, FnCallExpr, Position, Stmt};

use super::{CLOCK, ENGINE, is_name};
use crate::shape::{list, nearest};

/// What is wrong, where, and the way out.
pub(super) type Misuse = (String, Position, Option<String>);

/// Every function that an expression may call, each with the numbers of values that it takes.
static FUNCTIONS: LazyLock<BTreeMap<String, BTreeSet<usize>>> = LazyLock::new(|| {
    let known = |info: rhai::FuncInfo<'_>| {
        let about = info.metadata;
        is_name(&about.name).then(|| (about.name.to_string(), about.num_params))
    };
    let mut functions = BTreeMap::from([("type_of".to_owned(), BTreeSet::from([1]))]);
    for (name, count) in ENGINE.collect_fn_metadata(None, known, true) {
        functions.entry(name).or_insert_with(BTreeSet::new).insert(count);
    }
    functions
});

/// What other languages call them.
const FOREIGN: [(&str, &str); 20] = [
    ("length", "len"),
    ("size", "len"),
    ("count", "len"),
    ("lower", "to_lower"),
    ("lowercase", "to_lower"),
    ("tolowercase", "to_lower"),
    ("downcase", "to_lower"),
    ("upper", "to_upper"),
    ("uppercase", "to_upper"),
    ("touppercase", "to_upper"),
    ("upcase", "to_upper"),
    ("includes", "contains"),
    ("has", "contains"),
    ("strip", "trimmed"),
    ("int", "number"),
    ("float", "number"),
    ("parseint", "number"),
    ("parsefloat", "number"),
    ("tonumber", "number"),
    ("str", "to_string"),
];

/// The first thing that is wrong.
pub(super) fn misused(ast: &AST) -> Option<Misuse> {
    let mut found: Option<Misuse> = None;
    ast.walk(&mut |path: &[ASTNode<'_>]| {
        found = match path.last() {
            Some(ASTNode::Expr(Expr::MethodCall(call, at))) => called(call, *at, true),
            Some(ASTNode::Expr(Expr::FnCall(call, at)) | ASTNode::Stmt(Stmt::FnCall(call, at))) => {
                called(call, *at, false).or_else(|| compared(call))
            }
            Some(ASTNode::Expr(Expr::Dot(two, ..))) => clock(&two.lhs, &two.rhs)
                .filter(|(field, _)| !CLOCK.contains(field))
                .map(|(field, at)| no_field(field, at)),
            _ => None,
        };
        found.is_none()
    });
    found
}

fn called(call: &FnCallExpr, at: Position, method: bool) -> Option<Misuse> {
    if call.op_token.is_some() || !is_name(&call.name) {
        return None;
    }
    let name = call.name.as_str();
    let given = call.args.len() + usize::from(method);
    let Some(counts) = FUNCTIONS.get(name).filter(|_| call.namespace.is_empty()) else {
        let plain = name.to_lowercase().replace('_', "");
        let foreign = FOREIGN.iter().find(|(other, _)| *other == plain).map(|(_, ours)| *ours);
        let same = || FUNCTIONS.keys().find(|known| known.replace('_', "") == plain);
        let near = foreign
            .or_else(|| same().map(String::as_str))
            .or_else(|| nearest(name, FUNCTIONS.keys().map(String::as_str)));
        let help = match near {
            _ if CLOCK.contains(&name) => {
                Some(format!("fields are read without `()`: `now.{name}`"))
            }
            Some(near) => Some(format!("did you mean `{near}`?")),
            None => None,
        };
        return Some((format!("no function is called `{name}`"), at, help));
    };
    if counts.contains(&given) {
        return None;
    }
    // What stands before the dot is the first value.
    let counts: Vec<String> = counts
        .iter()
        .filter_map(|count| count.checked_sub(usize::from(method)))
        .map(|count| count.to_string())
        .collect();
    let message = format!("`{name}` does not take {} values", given - usize::from(method));
    Some((message, at, Some(format!("it takes {}", counts.join(" or ")))))
}

/// A field of the clock against a text: they are never equal.
fn compared(call: &FnCallExpr) -> Option<Misuse> {
    let name = call.name.as_str();
    if !matches!(name, "==" | "!=" | "<" | "<=" | ">" | ">=") {
        return None;
    }
    let [one, other] = call.args.as_slice() else { return None };
    let field = |side: &Expr| match side {
        Expr::Dot(two, ..) => clock(&two.lhs, &two.rhs).map(|(field, _)| field.to_owned()),
        _ => None,
    };
    let text = |side: &Expr| match side {
        Expr::StringConstant(_, at) => Some(*at),
        _ => None,
    };
    let (field, at) = match (field(one), text(other), field(other), text(one)) {
        (Some(field), Some(at), ..) | (.., Some(field), Some(at)) => (field, at),
        _ => return None,
    };
    let help = match field.as_str() {
        "weekday" => "days are 0 for Sunday to 6 for Saturday",
        _ => "write the number without quotes",
    };
    Some((format!("`now.{field}` is a number, which no text equals"), at, Some(help.into())))
}

/// The field of `now` that is read, and where it stands.
fn clock<'a>(lhs: &Expr, rhs: &'a Expr) -> Option<(&'a str, Position)> {
    let Expr::Variable(about, ..) = lhs else { return None };
    let field = match rhs {
        Expr::Dot(two, ..) | Expr::Index(two, ..) => &two.lhs,
        other => other,
    };
    match field {
        Expr::Property(names, at) if about.1 == "now" => Some((names.2.as_str(), *at)),
        _ => None,
    }
}

fn no_field(field: &str, at: Position) -> Misuse {
    let help = match nearest(field, CLOCK.into_iter()) {
        Some(near) => format!("did you mean `now.{near}`?"),
        None => format!("it has {}", list(&CLOCK.map(String::from))),
    };
    (format!("`now` has no field `{field}`"), at, Some(help))
}

/// The dotted names that are read, each with its place; the fields of the clock are not among them.
pub(super) fn reads(ast: &AST) -> Vec<(String, Position)> {
    let mut found = Vec::new();
    ast.walk(&mut |path: &[ASTNode<'_>]| {
        if let Some(ASTNode::Expr(variable @ Expr::Variable(about, _, at))) = path.last()
            && about.1 != "now"
        {
            let mut name = about.1.to_string();
            if let [.., ASTNode::Expr(Expr::Dot(two, ..)), _] = path
                && std::ptr::eq(&two.lhs, *variable)
            {
                fields(&two.rhs, &mut name);
            }
            found.push((name, *at));
        }
        true
    });
    found
}

/// Adds the fields that are read below a name.
fn fields(rest: &Expr, name: &mut String) {
    match rest {
        Expr::Property(names, _) => {
            name.push('.');
            name.push_str(&names.2);
        }
        Expr::Dot(two, ..) => {
            fields(&two.lhs, name);
            if matches!(two.lhs, Expr::Property(..)) {
                fields(&two.rhs, name);
            }
        }
        Expr::Index(two, ..) => fields(&two.lhs, name),
        _ => {}
    }
}

/// Why the value can be neither true nor false, when that is plain to see.
pub(super) fn never_boolean(ast: &AST) -> Option<String> {
    let expression = match ast.statements().last()? {
        Stmt::FnCall(call, _) => return calculated(call),
        Stmt::Expr(expression) => expression,
        _ => return None,
    };
    let constant: Option<Dynamic> = expression.get_literal_value(None);
    if let Some(value) = constant {
        let kind = match () {
            () if value.is_bool() => return None,
            () if value.is_string() => "a text",
            () if value.is_int() || value.is_float() => "a number",
            () if value.is_array() => "a list",
            () => "no such value",
        };
        return Some(format!("it is always {kind}, and must be true or false"));
    }
    let kind = match &**expression {
        Expr::InterpolatedString(..) => "a text",
        Expr::Array(..) => "a list",
        Expr::Map(..) => "an object",
        Expr::FnCall(call, _) => return calculated(call),
        _ => return None,
    };
    Some(format!("it is {kind}, and must be true or false"))
}

fn calculated(call: &FnCallExpr) -> Option<String> {
    let kind = match call.name.as_str() {
        "+" => "a number or a text",
        "-" | "*" | "/" | "%" | "**" => "a number",
        _ => return None,
    };
    Some(format!("it is {kind}, and must be true or false"))
}

/// What was probably meant by an expression that cannot be read.
pub(super) fn meant(text: &str, why: &str) -> Option<String> {
    let has = |word: &str| text.split(|c: char| !c.is_ascii_alphanumeric()).any(|one| one == word);
    let help = if text.contains("${") {
        "variables stand in expressions by their bare names, without `${}`"
    } else if why.contains("'==='") || why.contains("'!=='") {
        "to compare, write `==` or `!=`"
    } else if why.contains("'='") {
        "to compare, write `==`"
    } else if why.contains("'<>'") {
        "to say that two values differ, write `!=`"
    } else if has("and") || has("AND") || has("or") || has("OR") || has("not") || has("NOT") {
        "write `&&` for and, `||` for or, `!` for not"
    } else if text.contains('\'') {
        "texts stand between double quotes, in JSON `\\\"`"
    } else {
        return None;
    };
    Some(help.into())
}
