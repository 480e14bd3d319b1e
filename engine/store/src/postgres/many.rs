//! One statement for many sets of values: the same words, with a column for each value.
//!
//! ```text
//! UPDATE runs SET state = $3          WHERE id = $1      AND seq = $2
//! UPDATE runs SET state = v.c3 FROM unnest($1::text[], $2::int8[], $3::text[])
//!     WITH ORDINALITY AS v (c1, c2, c3, c0) WHERE id = v.c1 AND seq = v.c2 RETURNING v.c0
//! ```
//!
//! What it returns says which of the sets it is about: `c0`, or for an `INSERT`, which cannot tell,
//! the first column, which must be `$1`. Where it is not the last `WHERE` before which the values belong,
//! `/*,*/` marks the place.

use tokio_postgres::types::Type;

/// A statement for many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Many {
    pub(super) sql: String,
    /// What each `$n` is.
    pub(super) kinds: Vec<Type>,
    /// Whether the last column says which of the sets a row is about; else the first one names it.
    pub(super) numbered: bool,
}

/// The statement for many sets of values; `None` when it has to be carried out for each alone.
pub(super) fn many(sql: &str, kinds: &[Type], must: bool) -> Option<Many> {
    let arrays = kinds.iter().enumerate().map(|(at, kind)| {
        let name = match *kind {
            Type::TEXT => "text",
            // What is added to a small number written in the statement looks like one.
            Type::INT8 | Type::INT4 => "int8",
            Type::BOOL => "bool",
            _ => return None,
        };
        Some(format!("${}::{name}[]", at + 1))
    });
    let arrays = arrays.collect::<Option<Vec<_>>>().filter(|all| !all.is_empty())?.join(", ");
    let names: String = (1..=kinds.len()).map(|n| format!("c{n}, ")).collect();
    let values = format!("unnest({arrays}) WITH ORDINALITY AS v ({names}c0)");
    let (head, returned) = match sql.split_once(" RETURNING ") {
        Some((head, returned)) => (head, Some(returned)),
        None => (sql, None),
    };
    // What follows a conflict sees the stored and the refused row, not the values.
    if head.split_once(" ON CONFLICT").is_some_and(|(_, then)| then.contains('$')) {
        return None;
    }
    let verb = sql.split_whitespace().next()?;
    let tail = match (verb, returned) {
        ("SELECT", _) => String::new(),
        // Only what was stored can be returned.
        ("INSERT", Some(returned)) => format!(" RETURNING {returned}"),
        ("INSERT", None) if must => format!(" RETURNING {}", first_column(sql)?),
        (_, Some(returned)) => format!(" RETURNING {returned}, v.c0"),
        (_, None) if must => " RETURNING v.c0".into(),
        (_, None) => String::new(),
    };
    let (before, after) = cut(head, verb)?;
    let sql = format!("{}{values}{}{}", columns(&before), columns(&after), columns(&tail));
    Some(Many { sql, kinds: kinds.to_vec(), numbered: verb != "INSERT" })
}

/// The words before and after the place of the values, with what joins them.
fn cut(head: &str, verb: &str) -> Option<(String, String)> {
    if let Some((before, after)) = head.split_once("/*,*/") {
        let joint = if verb == "DELETE" { " USING " } else { ", " };
        return Some((format!("{before}{joint}"), after.into()));
    }
    if let Some((before, rest)) = head.split_once(" VALUES (") {
        let end = closing(rest)?;
        return Some((format!("{before} SELECT {} FROM ", &rest[..end]), rest[end + 1..].into()));
    }
    if verb == "SELECT" {
        // Behind what was asked for: which of the questions a row answers.
        let (asked, rest) = head.split_once(" FROM ").unwrap_or((head, ""));
        let joint = if rest.is_empty() { "" } else { ", " };
        let (table, condition) = rest.split_once(" WHERE ").unwrap_or((rest, ""));
        let after = if condition.is_empty() { "".into() } else { format!(" WHERE {condition}") };
        return Some((format!("{asked}, v.c0 FROM {table}{joint}"), after));
    }
    let joint = match verb {
        "UPDATE" => "FROM",
        "DELETE" => "USING",
        _ => return None,
    };
    let (before, after) = head.rsplit_once(" WHERE ")?;
    Some((format!("{before} {joint} "), format!(" WHERE {after}")))
}

/// Where the bracket is closed that is open at the beginning.
fn closing(words: &str) -> Option<usize> {
    let mut open = 1;
    words.char_indices().find_map(|(at, letter)| {
        open += match letter {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        (open == 0).then_some(at)
    })
}

/// `INSERT INTO table (first, ...`.
fn first_column(sql: &str) -> Option<&str> {
    let (_, columns) = sql.split_once('(')?;
    columns.split([',', ')']).next()
}

/// `$2` is `v.c2`.
fn columns(words: &str) -> String {
    words.replace('$', "v.c")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[Type] = &[Type::TEXT, Type::INT8];
    const V: &str = "unnest($1::text[], $2::int8[]) WITH ORDINALITY AS v (c1, c2, c0)";

    fn sql(one: &str, must: bool) -> Option<String> {
        many(one, TWO, must).map(|many| many.sql)
    }

    #[test]
    fn each_kind_of_statement_has_a_form_for_many() {
        for (one, form) in [
            (
                "INSERT INTO t (a, b) VALUES ($1, $2 + abs(1)) ON CONFLICT (a) DO NOTHING",
                format!(
                    "INSERT INTO t (a, b) SELECT v.c1, v.c2 + abs(1) FROM {V} \
                     ON CONFLICT (a) DO NOTHING RETURNING a"
                ),
            ),
            (
                "INSERT INTO t (a, b) SELECT $1, n FROM u/*,*/ WHERE n = $2",
                format!(
                    "INSERT INTO t (a, b) SELECT v.c1, n FROM u, {V} WHERE n = v.c2 RETURNING a"
                ),
            ),
            (
                "UPDATE t SET b = $2 WHERE a = $1",
                format!("UPDATE t SET b = v.c2 FROM {V} WHERE a = v.c1 RETURNING v.c0"),
            ),
            (
                "DELETE FROM t WHERE a = $1 AND b < $2",
                format!("DELETE FROM t USING {V} WHERE a = v.c1 AND b < v.c2 RETURNING v.c0"),
            ),
        ] {
            assert_eq!(sql(one, true).as_deref(), Some(&*form));
        }
        assert_eq!(
            sql("SELECT a, b FROM t WHERE a = $1 AND b > $2 ORDER BY b", false),
            Some(format!("SELECT a, b, v.c0 FROM t, {V} WHERE a = v.c1 AND b > v.c2 ORDER BY b"))
        );
    }

    #[test]
    fn what_it_returns_itself_stays() {
        assert_eq!(
            sql("UPDATE t SET b = $2 FROM u/*,*/ WHERE a = $1 RETURNING a", false),
            Some(format!("UPDATE t SET b = v.c2 FROM u, {V} WHERE a = v.c1 RETURNING a, v.c0"))
        );
    }

    #[test]
    fn a_value_after_a_conflict_cannot_be_one_of_many() {
        let one = "INSERT INTO t (a) VALUES ($1) ON CONFLICT (a) DO UPDATE SET b = $2";
        assert_eq!(sql(one, false), None);
        assert_eq!(many("SELECT 1", &[], false), None);
    }
}
