//! `receive_digits`: collect key presses.

use flow::{Action, Cx, Deed, Event, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::Deserialize;

/// What this action is.
pub const SPEC: Spec = Spec::of::<ReceiveDigits>(Needs::Call)
    .exits(&["no_input"])
    .renamed(&[("length", "max_digits"), ("key", "finish_on")])
    .older(&["duration"], |option| {
        option.seconds("duration", "window_s");
        option.set("window_s", 0);
        option.set("finish_on", "");
    });

/// Seconds over the longest input, after which the call's side is not waited for any more.
const GRACE_S: f64 = 30.0;

/// Collects key presses of the caller into `call.digits`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReceiveDigits {
    /// Ends the input at so many keys; 0 = no limit.
    #[serde(default)]
    #[schemars(range(max = 64))]
    max_digits: u32,
    /// Each of these characters ends the input, and is not part of it.
    #[serde(default = "pound")]
    #[schemars(regex(pattern = r"^[0-9A-D#*]*$"))]
    finish_on: String,
    /// How long to wait for the first key, seconds.
    #[serde(default = "ten")]
    #[schemars(range(min = 0, max = 3600))]
    timeout_s: f64,
    /// How long to wait for the next key, seconds.
    #[serde(default = "five")]
    #[schemars(range(min = 0, max = 600))]
    between_s: f64,
    /// How long the whole input may take, seconds, whatever `timeout_s` and `between_s` say; the
    /// keys pressed until then count.
    #[schemars(range(min = 0, max = 3600))]
    window_s: Option<f64>,
}

fn pound() -> String {
    "#".into()
}

fn ten() -> f64 {
    10.0
}

fn five() -> f64 {
    5.0
}

impl Action for ReceiveDigits {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        cx.ask(Deed::ReceiveDigits {
            max_digits: self.max_digits,
            finish_on: self.finish_on.clone(),
            timeout_ms: (self.timeout_s * 1000.0) as u64,
            between_ms: (self.between_s * 1000.0) as u64,
            window_ms: self.window_s.map(|window| (window * 1000.0) as u64),
        });
        let keys = if self.max_digits == 0 { 64 } else { self.max_digits };
        let longest = self.window_s.unwrap_or(self.timeout_s + f64::from(keys) * self.between_s);
        Step::wait("digits", (longest + GRACE_S) as u64)
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        match event {
            Event::Done { exit, values, why, .. } => {
                let digits = values.get("digits").cloned().unwrap_or_else(|| "".into());
                cx.set("call.digits", digits);
                Step::exit(exit, why)
            }
            Event::TimedOut { .. } => Step::exit("no_input", "no key was pressed"),
            _ => Step::Stay,
        }
    }

    fn pace(&self) -> Pace {
        Pace::Waits
    }

    fn sets(&self) -> Vec<String> {
        vec!["call.digits".into()]
    }
}
