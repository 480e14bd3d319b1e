//! `for_each`: go somewhere with each item of a list.

use flow::{Action, Cx, Needs, Pace, Spec, Step, Target};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// What this action is.
pub const SPEC: Spec = Spec::of::<ForEach>(Needs::Nothing);

/// Goes to the action `do` once for each item of a list: with the item in `item` and its place,
/// from 0, in `item_index`. The actions there come back here by their `next`; after the last item
/// the flow goes on by `done`. The list is read anew each time. One that is longer than `max`, or
/// is no list, is a failure before anything is done.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ForEach {
    /// The list, such as `"${orders}"` or `["a", "b"]`.
    items: Vec<Value>,
    /// The variable that takes the item; its place is in the same with `_index`.
    #[serde(default = "item", rename = "as")]
    #[schemars(length(min = 1, max = 128))]
    name: String,
    /// Where to go with each.
    #[serde(rename = "do")]
    target: Target,
    /// The longest list that is gone through.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 10_000))]
    max: u32,
}

fn item() -> String {
    "item".into()
}

fn hundred() -> u32 {
    100
}

impl Action for ForEach {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        let count = self.items.len() as u32;
        if count > self.max {
            let why = format!("the list has {count} items; at most {} are gone through", self.max);
            return Step::exit("failed", &why);
        }
        let at = cx.counted();
        if !cx.count(count) {
            return Step::Next;
        }
        let item = self.items.get(at as usize).cloned().unwrap_or_default();
        cx.set(&self.name, item);
        cx.set(&format!("{}_index", self.name), at);
        Step::Jump(self.target.clone())
    }

    fn pace(&self) -> Pace {
        Pace::Counts
    }

    fn most_times(&self) -> Option<u64> {
        Some(self.max.into())
    }

    fn sets(&self) -> Vec<String> {
        vec![self.name.clone(), format!("{}_index", self.name)]
    }
}
