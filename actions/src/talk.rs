//! `talk`: speak a text.

use flow::{Action, Cx, Deed, Event, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::Deserialize;

/// What this action is.
pub const SPEC: Spec = Spec::of::<Talk>(Needs::Call)
    .exits(&["failed"])
    .renamed(&[("provider", "tts_type")])
    .older(&["digits_handle", "async", "gender"], |option| {
        option.convert("digits_handle", "stop_on_digit", |handle| {
            (handle == "next").then_some(true.into())
        });
        option.convert("async", "wait", |on| on.as_bool().map(|on| (!on).into()));
        option.drop(&["gender"]);
    });

/// Longer than the longest text takes, seconds.
const AT_MOST_S: u64 = 1800;

/// Speaks a text on the call, picking up first when nobody has.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Talk {
    /// What to say.
    #[schemars(length(min = 1))]
    text: String,
    /// The language, a BCP-47 tag such as `en-US`; without it, the voice's own.
    language: Option<String>,
    /// Vendor of the voice, such as `elevenlabs`; without it, the configured default.
    tts_type: Option<String>,
    /// The voice; without it, the vendor's default.
    voice_id: Option<String>,
    /// Whether a key press ends the speech. The key is then in `call.digits`.
    #[serde(default)]
    stop_on_digit: bool,
    /// Whether the flow waits until it is spoken.
    #[serde(default = "yes")]
    wait: bool,
}

fn yes() -> bool {
    true
}

impl Action for Talk {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        cx.ask(Deed::Say {
            text: self.text.clone(),
            language: self.language.clone(),
            tts_type: self.tts_type.clone(),
            voice_id: self.voice_id.clone(),
            stop_on_digit: self.stop_on_digit,
        });
        if self.wait { Step::wait("talk", AT_MOST_S) } else { Step::Next }
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        if let Event::Done { values, .. } = event
            && self.stop_on_digit
            && let Some(digits) = values.get("digits")
        {
            cx.set("call.digits", digits.clone());
        }
        match event {
            Event::Done { exit, why, .. } => Step::exit(exit, why),
            Event::TimedOut { .. } => Step::exit("failed", "the speech did not come to its end"),
            _ => Step::Stay,
        }
    }

    fn pace(&self) -> Pace {
        if self.wait { Pace::Waits } else { Pace::Instant }
    }
}
