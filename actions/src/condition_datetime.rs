//! `condition_datetime`: go on elsewhere unless the time of day or year is as wanted.

use flow::{Action, Cx, Needs, Spec, Step, Target};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::comparison::Comparison;

/// What this action is.
pub const SPEC: Spec =
    Spec::of::<ConditionDatetime>(Needs::Nothing).renamed(&[("false_target_id", "otherwise")]);

/// Compares the run's clock, in the flow's `timezone`, with a time. When the comparison holds and
/// today is one of `weekdays`, the flow goes on with the next action, else at `otherwise`.
///
/// `month`, `day`, `hour` and `minute`, as far as they are given, make one time: with `>=`, hour
/// 9 and minute 30 it holds at 9:30 and at 10:05.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConditionDatetime {
    /// How to compare: the clock stands on the left.
    #[serde(default)]
    condition: Comparison,
    /// 1 to 12; 0 or less = any.
    #[serde(default)]
    #[schemars(range(min = -1, max = 12))]
    month: i8,
    /// 1 to 31; 0 or less = any.
    #[serde(default)]
    #[schemars(range(min = -1, max = 31))]
    day: i8,
    /// 0 to 23; less than 0 = any.
    #[serde(default = "any")]
    #[schemars(range(min = -1, max = 23))]
    hour: i8,
    /// 0 to 59; less than 0 = any.
    #[serde(default = "any")]
    #[schemars(range(min = -1, max = 59))]
    minute: i8,
    /// Days on which it may hold, 0 = Sunday to 6 = Saturday; none = all.
    #[serde(default)]
    #[schemars(inner(range(min = 0, max = 6)))]
    weekdays: Vec<i8>,
    /// Where to go when it does not hold.
    otherwise: Target,
}

fn any() -> i8 {
    -1
}

impl Action for ConditionDatetime {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        let now = cx.local();
        let today = now.weekday().to_sunday_zero_offset();
        let on_this_day = self.weekdays.is_empty() || self.weekdays.contains(&today);
        // From the largest to the smallest, so that lists compare as times do.
        let fields = [
            (self.month > 0, now.month(), self.month),
            (self.day > 0, now.day(), self.day),
            (self.hour >= 0, now.hour(), self.hour),
            (self.minute >= 0, now.minute(), self.minute),
        ];
        let (clock, wanted): (Vec<i8>, Vec<i8>) = fields
            .iter()
            .filter(|(given, ..)| *given)
            .map(|(_, now, wanted)| (now, wanted))
            .unzip();
        // Without any field there is nothing to compare, and the weekdays decide.
        let at_this_time = wanted.is_empty() || self.condition.holds(&clock, &wanted);
        if on_this_day && at_this_time { Step::Next } else { Step::Jump(self.otherwise.clone()) }
    }
}
