//! An action of the tests that asks for any deed, so that the runtime is tested apart from what the
//! catalog's actions make of an answer.

use actions::ALL;
use flow::{Action, Catalog, Cx, Deed, Event, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

const SPEC: Spec = Spec::of::<Wish>(Needs::Nothing).exits(&["failed", "timeout"]);

/// Asks for a deed and keeps all values of its end.
#[derive(Deserialize, JsonSchema)]
struct Wish {
    deed: Value,
    /// Whether the run waits for the end.
    #[serde(default)]
    forget: bool,
}

impl Action for Wish {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        let deed: Deed = match serde_json::from_value(self.deed.clone()) {
            Ok(deed) => deed,
            Err(error) => return Step::exit("failed", &error.to_string()),
        };
        cx.ask(deed);
        if self.forget { Step::Next } else { Step::wait("wish", 3600) }
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        match event {
            Event::Done { exit, why, values, .. } => {
                for (name, value) in values {
                    cx.set(name, value.clone());
                }
                Step::exit(exit, why)
            }
            Event::TimedOut { .. } => Step::exit("timeout", "the deadline passed"),
            _ => Step::Stay,
        }
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }

    fn sets(&self) -> Vec<String> {
        vec!["*".into()]
    }
}

/// Every action, and this one.
pub(crate) fn catalog() -> Catalog {
    let mut types = ALL.types.to_vec();
    types.push(("wish", SPEC));
    Catalog { types: Box::leak(types.into_boxed_slice()), ..ALL }
}
