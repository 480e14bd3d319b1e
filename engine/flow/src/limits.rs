//! How much a run may do and hold. At a limit a run fails with its reason, nothing is dropped
//! silently.

use serde_json::Value;

use crate::event::Vars;

/// Actions between two waits.
pub const BETWEEN_WAITS: u32 = 1_000;
/// Actions in the life of a run.
pub const IN_A_LIFE: u64 = 100_000;
/// Flows that call each other, and actions that a model took.
pub const DEPTH: usize = 32;
/// Branches of a run at one time.
pub const BRANCHES: usize = 64;
/// All variables of a run, bytes of names and values.
pub const ALL_VARIABLES: usize = 256 * 1024;
/// One value, bytes.
pub const ONE_VALUE: usize = 32 * 1024;

/// About how many bytes a value takes as JSON; quick rather than exact.
pub(crate) fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 4,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(values) => 2 + values.iter().map(|value| size(value) + 1).sum::<usize>(),
        Value::Object(fields) => {
            2 + fields.iter().map(|(key, value)| key.len() + 4 + size(value)).sum::<usize>()
        }
    }
}

/// About how many bytes variables take, names and values.
pub(crate) fn size_of(vars: &Vars) -> usize {
    vars.iter().map(|(name, value)| name.len() + size(value)).sum()
}

/// Why a variable may not be set, if so, in a run that holds so many bytes `beside` these.
pub(crate) fn refuse(vars: &Vars, beside: usize, name: &str, value: &Value) -> Option<String> {
    let new = size(value);
    if new > ONE_VALUE {
        return Some(format!(
            "the variable `{name}` would take {new} bytes; one value has at most {ONE_VALUE}"
        ));
    }
    // Most values are small, and so few that they cannot reach the limit together.
    if vars.len() < 7 && beside == 0 {
        return None;
    }
    let others: usize = vars
        .iter()
        .filter(|(other, _)| *other != name)
        .map(|(name, value)| name.len() + size(value))
        .sum();
    let all = beside + others + name.len() + new;
    (all > ALL_VARIABLES).then(|| {
        format!(
            "with the variable `{name}` the run would hold {all} bytes of variables; it has at \
             most {ALL_VARIABLES}"
        )
    })
}

/// Why variables that came from outside are too many, if so.
pub(crate) fn refuse_all(vars: &Vars) -> Option<String> {
    for (name, value) in vars {
        let bytes = size(value);
        if bytes > ONE_VALUE {
            return Some(format!(
                "the variable `{name}` takes {bytes} bytes; one value has at most {ONE_VALUE}"
            ));
        }
    }
    let all = size_of(vars);
    (all > ALL_VARIABLES)
        .then(|| format!("the variables take {all} bytes; a run has at most {ALL_VARIABLES}"))
}
