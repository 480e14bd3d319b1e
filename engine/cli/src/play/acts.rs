//! A scenario, act by act, on a stage.

use std::path::Path;
use std::sync::Arc;

use flow::{Command, Deed, Event, Flow};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::mocks::{self, Mocks};
use super::scenario::{Act, Reply, Scenario, Signal};
use super::stage::{News, Stage};

/// The actions that were left, as `(action, exit)` in order, and what went wrong, if something did.
pub(crate) struct Played {
    pub(crate) taken: Vec<(String, String)>,
    pub(crate) wrong: Option<Wrong>,
}

/// What did not come true.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Where in the scenario it stands, as a JSON pointer.
    pub(crate) pointer: String,
    /// What was expected; nothing when the scenario itself makes no sense there.
    pub(crate) expected: Option<String>,
    /// What came in its place.
    pub(crate) came: String,
}

/// A scenario on its way.
struct Playwright {
    stage: Stage,
    /// Deeds that mocks have answered since something was expected.
    mocked: Vec<String>,
}

/// Why an act did not come true.
struct Fault {
    expected: Option<String>,
    came: String,
}

impl From<String> for Fault {
    fn from(came: String) -> Self {
        Self { expected: None, came }
    }
}

/// Plays a scenario; files of rules are looked for in the folder.
pub(crate) fn play(flow: &Arc<Flow>, scenario: &Scenario, folder: &Path) -> Played {
    let mocks = match Mocks::new(&scenario.given.mocks) {
        Ok(mocks) => mocks,
        Err((n, came)) => {
            let pointer = format!("/given/mocks/{n}");
            let wrong = Some(Wrong { pointer, expected: None, came });
            return Played { taken: Vec::new(), wrong };
        }
    };
    let mut stage = Stage::set(flow, &scenario.given, mocks, folder.to_owned());
    stage.begin(scenario.given.text.as_deref());
    let mut playwright = Playwright { stage, mocked: Vec::new() };
    let mut wrong = None;
    for (n, act) in scenario.play.iter().enumerate() {
        if let Err(Fault { expected, came }) = playwright.act(act) {
            wrong = Some(Wrong { pointer: format!("/play/{n}"), expected, came });
            break;
        }
    }
    let wrong = wrong.or_else(|| playwright.curtain(scenario).err());
    let taken = |news: News| match news {
        // What a called flow does covers nothing of this one.
        News::Taken(taken, _) if taken.flow.is_empty() => {
            Some((taken.action.to_string(), taken.exit.into_owned()))
        }
        _ => None,
    };
    Played { taken: playwright.stage.news.into_iter().filter_map(taken).collect(), wrong }
}

impl Playwright {
    fn act(&mut self, act: &Act) -> Result<(), Fault> {
        let kinds = [
            act.expect.is_some(),
            act.end.is_some(),
            act.ai.is_some(),
            act.say.is_some(),
            act.digits.is_some(),
            act.text.is_some(),
            act.wait_s.is_some(),
            act.hang_up.is_some(),
            act.signal.is_some(),
            act.stop_service.is_some(),
            act.stop.is_some(),
        ];
        if kinds.into_iter().filter(|given| *given).count() != 1 {
            let all = "`expect`, `end`, `ai`, `say`, `digits`, `text`, `wait_s`, `hang_up`, \
                       `signal`, `stop_service`, `stop`";
            return Err(format!("an act has exactly one of {all}").into());
        }
        let with_reply = act.expect.is_some() || act.end.is_some();
        if act.expect.is_none() && act.with.is_some() || !with_reply && act.reply.is_some() {
            let why = "`with` goes with `expect`, and `reply` with `expect` or `end`";
            return Err(why.to_owned().into());
        }
        let before = self.stage.news.len();
        if let Some(kind) = &act.expect {
            self.expect(kind, act)?;
        } else {
            // Whatever comes from outside comes after all that was asked for has been looked at.
            self.all_seen()?;
            self.outside(act)?;
        }
        act.hears.as_ref().map_or(Ok(()), |wanted| self.hears(wanted, before))
    }

    fn outside(&mut self, act: &Act) -> Result<(), String> {
        if let Some(kind) = &act.end {
            let going = self.stage.take_going(kind);
            let command = going.ok_or_else(|| {
                format!("no `{kind}` goes on that could end: {}", self.stage.standing())
            })?;
            self.end(command, &act.reply.clone().unwrap_or_default())
        } else if let Some(ai) = &act.ai {
            self.stage.ai(ai)
        } else if let Some(words) = &act.say {
            self.stage.say(words)
        } else if let Some(keys) = &act.digits {
            self.stage.press(keys)
        } else if let Some(text) = &act.text {
            self.stage.text(text)
        } else if let Some(seconds) = act.wait_s {
            self.stage.pass(SignedDuration::from_secs(seconds));
            Ok(())
        } else if act.hang_up.is_some() {
            self.stage.hang_up()
        } else {
            let event = match (&act.signal, &act.stop) {
                (Some(Signal { name, values }), _) => {
                    Event::Signal { name: name.clone(), values: values.clone() }
                }
                (None, Some(why)) => Event::Stopped { why: why.clone() },
                (None, None) => Event::ServiceStopped,
            };
            self.stage.give(event);
            Ok(())
        }
    }

    fn expect(&mut self, kind: &str, act: &Act) -> Result<(), Fault> {
        let expected = || match &act.with {
            Some(with) => format!("`{kind}` {with}"),
            None => format!("`{kind}`"),
        };
        loop {
            let Some(command) = self.stage.asked.pop_front() else {
                let mut came = self.stage.standing();
                if !self.mocked.is_empty() {
                    came = format!("{came}; mocks answered {}", self.mocked.join(", "));
                }
                return Err(Fault { expected: Some(expected()), came });
            };
            let asked = json!(command.deed);
            let other = command.deed.kind() != kind && self.stage.asks(&command) != kind;
            let differs = act.with.as_ref().and_then(|with| differs(with, &asked));
            if !other && differs.is_none() {
                self.mocked.clear();
                return Ok(self.reply(command, act.reply.as_ref())?);
            }
            if !self.mocked(&command)? {
                let mut came = self.shown(&command);
                if let Some(place) = differs.filter(|place| !other && !place.is_empty()) {
                    came = format!("{came}, which differs at `{place}`");
                }
                return Err(Fault { expected: Some(expected()), came });
            }
        }
    }

    /// What was expected goes on or ends, as the play says, else as a mock says, else by `done`.
    fn reply(&mut self, command: Command, reply: Option<&Reply>) -> Result<(), String> {
        let talks = matches!(command.deed, Deed::Talk { .. });
        let reply = match reply {
            Some(reply) => Some(reply.clone()),
            None if talks => None,
            None => self.stage.mock(&command),
        };
        match reply {
            Some(reply) => self.end(command, &reply)?,
            None if talks || matches!(command.deed, Deed::ReceiveDigits { .. }) => {
                self.stage.go_on(command);
            }
            None => self.stage.end(command, &Reply::default(), ""),
        }
        Ok(())
    }

    fn end(&mut self, command: Command, reply: &Reply) -> Result<(), String> {
        self.stage.check_exit(&command, &reply.exit)?;
        self.stage.end(command, reply, "");
        Ok(())
    }

    /// Whether a mock has answered a deed.
    fn mocked(&mut self, command: &Command) -> Result<bool, String> {
        let Some(reply) = self.stage.mock(command) else { return Ok(false) };
        let shown = self.shown(command);
        self.mocked.push(shown);
        self.end(command.clone(), &reply)?;
        Ok(true)
    }

    fn all_seen(&mut self) -> Result<(), Fault> {
        while let Some(command) = self.stage.asked.pop_front() {
            if !self.mocked(&command)? {
                let expected = Some("nothing more, or a mock that answers it".into());
                return Err(Fault { expected, came: self.shown(&command) });
            }
        }
        Ok(())
    }

    fn hears(&self, wanted: &str, before: usize) -> Result<(), Fault> {
        let said = self.stage.news[before..].iter().filter_map(|news| match news {
            News::Says(words) => Some(words.as_str()),
            _ => None,
        });
        let said = said.collect::<Vec<_>>().join(" ");
        if mocks::like(wanted, &said) {
            return Ok(());
        }
        let came = match said.as_str() {
            "" => "silence".to_owned(),
            said => format!("\"{said}\""),
        };
        Err(Fault { expected: Some(format!("to hear \"{wanted}\"")), came })
    }

    /// A deed for people: the action that asks, and what it asks for.
    fn shown(&self, command: &Command) -> String {
        let mut asked = json!(command.deed);
        if let Value::Object(fields) = &mut asked {
            fields.remove("deed");
        }
        format!("`{}` {asked}", self.stage.asks(command))
    }

    fn curtain(&mut self, scenario: &Scenario) -> Result<(), Wrong> {
        let last = scenario.play.len().checked_sub(1);
        let pointer = last.map_or("/play".into(), |last| format!("/play/{last}"));
        self.all_seen().map_err(|Fault { expected, came }| Wrong { pointer, expected, came })?;
        let run = &self.stage.run;
        match scenario.ends {
            Some(ends) if run.outcome != Some(ends) => Err(Wrong {
                pointer: "/ends".into(),
                expected: Some(format!("the end {}", json!(ends))),
                came: self.stage.standing(),
            }),
            Some(_) | None => Ok(()),
        }
    }
}

/// Where `whole` does not hold what `part` asks for, as a JSON pointer.
fn differs(part: &Value, whole: &Value) -> Option<String> {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => part.iter().find_map(|(name, part)| {
            differs(part, whole.get(name).unwrap_or(&Value::Null))
                .map(|place| format!("/{name}{place}"))
        }),
        (Value::Array(part), Value::Array(whole)) if part.len() == whole.len() => {
            let pairs = part.iter().zip(whole).enumerate();
            pairs.into_iter().find_map(|(n, (part, whole))| {
                differs(part, whole).map(|place| format!("/{n}{place}"))
            })
        }
        _ => (part != whole).then(String::new),
    }
}
