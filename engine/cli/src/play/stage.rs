//! Where a scenario is played: a run, the time, and what was asked for.

use std::collections::VecDeque;
use std::sync::Arc;

use flow::{Activeflow, Command, Deed, Event, Flow, HangupCause, Key, Medium, Taken, Tool, Vars};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::scenario::{Act, Ai, Given, Playing, Reply, Scenario};

/// A Thursday at noon.
const NOON: i64 = 1_767_268_800;

/// A run on its way through a scenario.
pub(crate) struct Stage {
    flow: Arc<Flow>,
    run: Activeflow,
    now: Timestamp,
    /// What the run asked for and nobody has looked at.
    asked: VecDeque<Command>,
    /// The conversation that goes on.
    talking: Option<Key>,
    taken: Vec<Taken>,
}

/// The actions that were left, in order, and what went wrong, if something did.
pub(crate) struct Played {
    pub(crate) taken: Vec<Taken>,
    pub(crate) wrong: Option<String>,
}

/// Plays a scenario.
pub(crate) fn play(flow: &Arc<Flow>, scenario: &Scenario) -> Played {
    let mut stage = Stage::set(flow, &scenario.given);
    let mut wrong = None;
    for (n, act) in scenario.play.iter().enumerate() {
        if let Err(why) = stage.act(act) {
            wrong = Some(format!("act {}: {why}", n + 1));
            break;
        }
    }
    let wrong = wrong.or_else(|| stage.curtain(scenario).err());
    Played { taken: stage.taken, wrong }
}

impl Stage {
    fn set(flow: &Arc<Flow>, given: &Given) -> Self {
        let text = match given.medium {
            Some(playing) => playing == Playing::Text,
            None => given.text.is_some(),
        };
        let medium = if text { Medium::Text } else { Medium::Call };
        let (from, to) = (given.from.clone(), given.to.clone());
        let from = from.unwrap_or_else(|| "+15557654321".into());
        let to = to.unwrap_or_else(|| "+15550001000".into());
        let mut vars = Vars::new();
        for (name, value) in [("from", &from), ("to", &to), ("caller.number", &from)] {
            vars.insert(name.into(), json!(value));
        }
        if let Some(text) = &given.text {
            vars.insert("message.text".into(), json!(text));
        }
        vars.extend(given.variables.clone());
        let noon = Timestamp::from_second(NOON).unwrap_or_default();
        let mut stage = Self {
            flow: Arc::clone(flow),
            run: Activeflow::new("play", flow, medium, vars),
            now: given.now.unwrap_or(noon),
            asked: VecDeque::new(),
            talking: None,
            taken: Vec::new(),
        };
        stage.give(Event::Started);
        stage
    }

    fn act(&mut self, act: &Act) -> Result<(), String> {
        let kinds = [
            act.expect.is_some(),
            act.ai.is_some(),
            act.text.is_some(),
            act.wait_s.is_some(),
            act.hang_up.is_some(),
        ];
        if kinds.into_iter().filter(|given| *given).count() != 1 {
            return Err(
                "an act has exactly one of `expect`, `ai`, `text`, `wait_s`, `hang_up`".into()
            );
        }
        if let Some(kind) = &act.expect {
            return self.expect(kind, act.with.as_ref(), act.reply.clone());
        }
        // Whatever comes from outside comes after all that was asked for has been looked at.
        self.all_seen()?;
        if let Some(ai) = &act.ai {
            self.ai(ai)
        } else if let Some(text) = &act.text {
            let values = Vars::from([("text".into(), json!(text))]);
            self.give(Event::Message { text: text.clone(), values });
            Ok(())
        } else if let Some(seconds) = act.wait_s {
            self.pass(SignedDuration::from_secs(seconds));
            Ok(())
        } else {
            self.give(Event::HungUp { cause: HangupCause::Normal });
            Ok(())
        }
    }

    fn expect(
        &mut self,
        kind: &str,
        with: Option<&Value>,
        reply: Option<Reply>,
    ) -> Result<(), String> {
        let Some(command) = self.asked.pop_front() else {
            return Err(format!("`{kind}` was expected, and {}", self.standing()));
        };
        let (asked, deed) = (command.deed.kind(), json!(command.deed));
        if asked != kind {
            return Err(format!("`{kind}` was expected, not `{asked}`: {deed}"));
        }
        if let Some(with) = with
            && let Some(place) = differs(with, &deed)
        {
            return Err(format!("`{kind}` asks for something else at `{place}`: {deed}"));
        }
        if matches!(command.deed, Deed::Talk { .. })
            && self.run.medium == Medium::Call
            && reply.is_none()
        {
            self.talking = Some(command.key);
            return Ok(());
        }
        let reply = reply.unwrap_or_default();
        self.pass(SignedDuration::from_secs(reply.after_s));
        let (key, exit, values) = (command.key, reply.exit, reply.values);
        self.give(Event::Done { key, exit, values, why: String::new(), then: None });
        Ok(())
    }

    fn ai(&mut self, ai: &Ai) -> Result<(), String> {
        let Some(key) = self.talking.clone() else {
            return Err("no `ai_talk` goes on; expect it first".into());
        };
        let args = ai.args.clone().unwrap_or_else(|| json!({}));
        let (exit, then) = match (&ai.tool, &ai.exit) {
            (Some(tool), None) => {
                let offers = self.flow.tools(self.run.medium);
                let offer = offers.iter().find(|offer| offer.kind == tool);
                let offer = offer.ok_or_else(|| format!("no tool is called `{tool}`"))?;
                if offer.tool == Tool::Instant {
                    let key = Key(format!("play/tool/{}", self.taken.len()));
                    let medium = self.run.medium;
                    let asked = flow::run::take_tool(
                        &self.flow,
                        tool,
                        &args,
                        key,
                        medium,
                        self.now,
                        &mut self.run.vars,
                    )?;
                    self.asked.extend(asked);
                    return Ok(());
                }
                ("done".to_owned(), Some(self.run.ends_with(&self.flow, tool, &args)?))
            }
            (None, Some(exit)) => (exit.clone(), None),
            _ => return Err("`ai` has either `tool` or `exit`".into()),
        };
        self.talking = None;
        self.give(Event::Done { key, exit, values: Vars::new(), why: String::new(), then });
        Ok(())
    }

    /// Lets time pass, meeting the deadlines on the way.
    fn pass(&mut self, by: SignedDuration) {
        let end = self.now.checked_add(by).unwrap_or(Timestamp::MAX);
        while let Some((key, until)) =
            self.run.waiting().and_then(|w| Some((w.key.clone(), w.until?)))
            && until <= end
        {
            self.now = until;
            self.give(Event::TimedOut { key });
        }
        self.now = end;
    }

    fn give(&mut self, event: Event) {
        let advance = self.run.advance(&self.flow, self.now, event);
        self.asked.extend(advance.commands);
        self.taken.extend(advance.taken);
    }

    fn all_seen(&self) -> Result<(), String> {
        match self.asked.front() {
            None => Ok(()),
            Some(command) => {
                let (kind, deed) = (command.deed.kind(), json!(command.deed));
                Err(format!("nobody expected `{kind}`: {deed}"))
            }
        }
    }

    /// Where the run stands, in words.
    fn standing(&self) -> String {
        match (self.run.outcome, self.run.waiting()) {
            (Some(outcome), _) => format!("the run has ended: {} {}", json!(outcome), self.run.why),
            (None, Some(waiting)) => {
                let action = self.run.action(&self.flow).unwrap_or_default();
                format!("the run waits at `{action}` for {}", waiting.what)
            }
            (None, None) => "the run stands still".into(),
        }
    }

    fn curtain(&self, scenario: &Scenario) -> Result<(), String> {
        self.all_seen()?;
        match scenario.ends {
            Some(ends) if self.run.outcome != Some(ends) => {
                Err(format!("it should end {}, and {}", json!(ends), self.standing()))
            }
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
