//! Who answers what a play does not answer itself: deeds, servers and the model, by pattern.

use flow::{Deed, FlowSource};
use serde_json::{Value, json};
use wildmatch::WildMatchPattern;

use super::scenario::{Ai, Mock, Reply};

/// `*` stands for any letters; nothing else stands for anything but itself.
type Pattern = WildMatchPattern<'*', '\0'>;

/// The mocks of a play, and how often each has answered.
#[derive(Default)]
pub(crate) struct Mocks(Vec<(Mock, u32)>);

impl Mocks {
    /// # Errors
    /// Names the first that is malformed, by its place in the list.
    pub(crate) fn new(mocks: &[Mock]) -> Result<Self, (usize, String)> {
        for (n, mock) in mocks.iter().enumerate() {
            check(mock).map_err(|why| (n, why))?;
        }
        Ok(Self(mocks.iter().map(|mock| (mock.clone(), 0)).collect()))
    }

    /// How a deed ends that an action of this type has asked for, if a mock answers it.
    pub(crate) fn deed(&mut self, kind: &str, deed: &Deed) -> Option<Reply> {
        let mock = self.first(|mock| fits(mock, kind, deed))?;
        Some(mock.reply.clone().unwrap_or_default())
    }

    /// What an agent does that has heard these words, if a mock answers for it.
    pub(crate) fn model(&mut self, heard: &str) -> Option<Ai> {
        let says = |mock: &Mock| mock.says.as_ref().is_some_and(|says| like(says, heard));
        self.first(says)?.ai.clone()
    }

    fn first(&mut self, fits: impl Fn(&Mock) -> bool) -> Option<&Mock> {
        let free = |mock: &Mock, used: u32| mock.times.is_none_or(|times| used < times);
        let (mock, used) =
            self.0.iter_mut().find(|(mock, used)| free(mock, *used) && fits(mock))?;
        *used += 1;
        Some(mock)
    }
}

/// Whether words are as a pattern says; capitals do not count.
pub(crate) fn like(pattern: &str, words: &str) -> bool {
    Pattern::new_case_insensitive(pattern).matches(words)
}

fn check(mock: &Mock) -> Result<(), String> {
    let kinds = [mock.deed.is_some(), mock.http.is_some(), mock.says.is_some()];
    if kinds.into_iter().filter(|given| *given).count() != 1 {
        return Err("a mock has exactly one of `deed`, `http`, `says`".into());
    }
    if mock.says.is_some() != mock.ai.is_some() || mock.says.is_some() && mock.reply.is_some() {
        return Err("`says` goes with `ai`, `deed` and `http` with `reply`".into());
    }
    if mock.http.as_ref().is_some_and(|http| !http.contains(' ')) {
        return Err("`http` is a method and an address, such as `POST https://a.example/*`".into());
    }
    if !mock.parts.is_empty() && mock.deed.is_none() {
        return Err("`where` goes with `deed`".into());
    }
    Ok(())
}

fn fits(mock: &Mock, kind: &str, deed: &Deed) -> bool {
    let (Deed::Request { method, url, .. }
    | Deed::LoadFlow { source: FlowSource::Url { method, url } }) = deed
    else {
        return fits_deed(mock, kind, deed);
    };
    if let Some(http) = &mock.http {
        return Pattern::new(http).matches(&format!("{method} {url}"));
    }
    fits_deed(mock, kind, deed)
}

fn fits_deed(mock: &Mock, kind: &str, deed: &Deed) -> bool {
    if mock.deed.as_deref().is_none_or(|named| named != kind && named != deed.kind()) {
        return false;
    }
    let asked = json!(deed);
    mock.parts.iter().all(|(path, wanted)| part_fits(wanted, part(&asked, path)))
}

/// What stands under a path such as `destinations.0.target`.
fn part<'a>(whole: &'a Value, path: &str) -> &'a Value {
    let pointer: String = path.split('.').map(|step| format!("/{step}")).collect();
    whole.pointer(&pointer).unwrap_or(&Value::Null)
}

fn part_fits(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::String(pattern), Value::String(text)) => Pattern::new(pattern).matches(text),
        _ => wanted == found,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn mocks(list: Value) -> Mocks {
        Mocks::new(&serde_json::from_value::<Vec<Mock>>(list).unwrap()).ok().unwrap()
    }

    fn dial(target: &str) -> Deed {
        serde_json::from_value(json!({
            "deed": "connect", "destinations": [{ "target": target }], "source": null, "ring_s": 20
        }))
        .unwrap()
    }

    #[test]
    fn the_first_that_fits_answers_and_no_more_often_than_it_may() {
        let mut mocks = mocks(json!([
            { "deed": "connect_call", "where": { "destinations.0.target": "+1555*", "ring_s": 20 },
              "reply": { "exit": "busy", "after_s": 5 }, "times": 1 },
            { "deed": "connect_call", "reply": { "exit": "no_answer" } }
        ]));
        let mut exit = |deed: &Deed| mocks.deed("", deed).map(|reply| reply.exit);
        assert_eq!(exit(&dial("+49305555")).as_deref(), Some("no_answer"));
        assert_eq!(exit(&dial("+15551234")).as_deref(), Some("busy"));
        assert_eq!(exit(&dial("+15551234")).as_deref(), Some("no_answer"));
        assert_eq!(exit(&Deed::Answer), None);
    }

    #[test]
    fn a_server_is_known_by_method_and_address() {
        let mut mocks = mocks(json!([{ "http": "POST https://crm.example/*?new=1",
            "reply": { "status": 201, "body": { "id": 7 } } }]));
        let ask = |method: &str, url: &str| Deed::Request {
            method: method.into(),
            url: url.into(),
            headers: Default::default(),
            body: None,
            timeout_s: 5,
        };
        assert!(mocks.deed("send_webhook", &ask("GET", "https://crm.example/a?new=1")).is_none());
        assert!(mocks.deed("send_webhook", &ask("POST", "https://crm.example/axnew=1")).is_none());
        let learned = mocks
            .deed("send_webhook", &ask("POST", "https://crm.example/a?new=1"))
            .unwrap()
            .learned();
        assert_eq!(json!(learned), json!({ "body": { "id": 7 }, "status": 201 }));
    }

    #[test]
    fn a_malformed_mock_is_refused() {
        let why = |mock: Value| {
            let mocks = [Mock::default(), serde_json::from_value(mock).unwrap()];
            Mocks::new(&mocks[1..]).err().unwrap().1
        };
        assert!(why(json!({})).contains("exactly one of"));
        assert!(why(json!({ "says": "*" })).contains("`says` goes with `ai`"));
        assert!(why(json!({ "http": "https://a.example" })).contains("a method and an address"));
    }
}
