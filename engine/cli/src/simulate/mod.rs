//! `voxflow simulate`: plays a flow in the terminal. A person is the world: the caller or the
//! texter, whoever is dialed, the server that is asked, and the model where nothing else answers
//! for it. Lines of a pipe are played alike.
//!
//! Read in this order: [`command`] (what can be typed) → this file (what follows from it, on the
//! stage of [`crate::play`]) → [`told`] (in which words) → [`terminal`] (lines in and out).

mod command;
mod terminal;
mod told;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use conversation::opt_out;
use flow::{Catalog, Deed, Flow, Medium, Needs};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::files;
use crate::play::mocks::Mocks;
use crate::play::scenario::{Ai, Given, Playing, Reply};
use crate::play::stage::{Going, News, Stage};
use crate::play::turns::Talk;
use command::Command;

/// What shall be played.
pub(crate) struct Wanted {
    pub(crate) flow: PathBuf,
    /// Without it, what the flow is for.
    pub(crate) medium: Option<Playing>,
    /// Variables, as `name=value`.
    pub(crate) set: Vec<String>,
    /// When it begins.
    pub(crate) now: Timestamp,
}

/// Plays a flow until it ends, or nobody types any more.
///
/// # Errors
/// The flow cannot be read or does not link; a variable is malformed.
pub(crate) fn simulate(wanted: Wanted, catalog: Catalog) -> Result<(), String> {
    terminal::play(Simulation::new(wanted, catalog)?)
}

/// A flow as a person plays it: a line in, what happened out.
struct Simulation {
    stage: Stage,
    /// Whether every deed waits for the person's word.
    stepping: bool,
    /// Whether the peer has left by a word such as STOP.
    left: bool,
    /// Whether the person wants no more.
    quit: bool,
    /// Whether the person was told to play the agent.
    told_agent: bool,
    /// Whether hints help: at a terminal.
    hints: bool,
}

impl Simulation {
    fn new(wanted: Wanted, catalog: Catalog) -> Result<Self, String> {
        let text = files::read(&wanted.flow)?;
        let (flow, playing) = link(&wanted.flow, &text, catalog, wanted.medium)?;
        let mut given = Given { medium: Some(playing), now: Some(wanted.now), ..Given::default() };
        for set in &wanted.set {
            let (name, value) = set
                .split_once('=')
                .filter(|(name, _)| !name.is_empty())
                .ok_or_else(|| format!("--set {set}: write `name=value`"))?;
            let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
            match (name, &value) {
                ("from", Value::String(number)) => given.from = Some(number.clone()),
                ("to", Value::String(number)) => given.to = Some(number.clone()),
                _ => drop(given.variables.insert(name.into(), value)),
            }
        }
        let folder = wanted.flow.parent().unwrap_or(Path::new("")).to_owned();
        let folder = if folder.as_os_str().is_empty() { ".".into() } else { folder };
        Ok(Self {
            stage: Stage::set(&flow, &given, Mocks::default(), folder),
            stepping: false,
            left: false,
            quit: false,
            told_agent: false,
            hints: false,
        })
    }

    fn is_call(&self) -> bool {
        self.stage.run.medium == Medium::Call
    }

    fn is_text(&self) -> bool {
        self.stage.run.medium == Medium::Text
    }

    /// Whether nothing more can happen. After a run about texts the next text begins another.
    fn over(&self) -> bool {
        self.quit || !self.is_text() && self.stage.run.outcome.is_some()
    }

    /// What is told before anything is typed.
    fn opening(&mut self) -> String {
        let mut out = told::opening(&self.stage);
        if !self.is_text() {
            self.stage.begin(None);
            out += &self.go();
        }
        out
    }

    /// What a line leads to.
    fn hear(&mut self, line: &str) -> String {
        let heard = match command::parse(line) {
            Ok(command) => self.act(command),
            Err(why) => Err(why),
        };
        let mut out = match heard {
            Ok(out) => out,
            Err(why) => return format!("? {why}\n"),
        };
        out += &self.go();
        out
    }

    fn act(&mut self, command: Command) -> Result<String, String> {
        let nothing = Ok(String::new());
        match command {
            Command::Nothing if self.stepping && !self.stage.going.is_empty() => {
                self.exit("done", Value::Null)
            }
            Command::Nothing => nothing,
            Command::Words(words) if self.is_call() => self.stage.say(&words).and(nothing),
            Command::Words(words) => self.text(&words),
            Command::Digits(keys) => self.stage.press(&keys).and(nothing),
            Command::Pass(by) => {
                self.stage.pass(by);
                nothing
            }
            Command::Until(then) => {
                let by = then.duration_since(self.stage.now);
                if by < SignedDuration::ZERO {
                    return Err(format!("{then} has passed: it is {}", self.stage.now));
                }
                self.stage.pass(by);
                nothing
            }
            Command::Clock => Ok(format!("  it is {}\n", told::time(self.stage.now))),
            Command::HangUp => self.stage.hang_up().and(nothing),
            Command::Exit(exit, values) => self.exit(&exit, values),
            Command::AiSays(text) => {
                self.stage.ai(&Ai { text: Some(text), ..Ai::default() }).and(nothing)
            }
            Command::AiTakes(tool, args) => {
                let ai = Ai { tool: Some(tool), args: Some(args), ..Ai::default() };
                self.stage.ai(&ai).and(nothing)
            }
            Command::Vars(part) => Ok(told::vars(&self.stage.run.vars, &part)),
            Command::Step => {
                self.stepping = !self.stepping;
                Ok(if self.stepping {
                    "  step by step: each deed waits for /exit EXIT, or an empty line for `done`\n"
                } else {
                    "  deeds end by themselves again\n"
                }
                .into())
            }
            Command::Help => Ok(command::help()),
            Command::Quit => {
                self.quit = true;
                nothing
            }
        }
    }

    /// A text, unless it is a word that the engine heeds before any flow.
    fn text(&mut self, words: &str) -> Result<String, String> {
        let Some(wish) = opt_out::wish(words, self.left) else {
            return self.stage.text(words).map(|()| String::new());
        };
        match wish {
            opt_out::Wish::Leave => self.left = true,
            opt_out::Wish::Return => self.left = false,
            opt_out::Wish::Help => {}
        }
        Ok(format!("  the flow does not see this; texts: {}\n", opt_out::answer(wish)))
    }

    /// The deed that runs ends by an exit.
    fn exit(&mut self, exit: &str, values: Value) -> Result<String, String> {
        let going = &self.stage.going;
        let has = |going: &&Going| self.stage.check_exit(&going.command, exit).is_ok();
        let Some(ending) = going.iter().find(has).or(going.last()) else {
            let way = "/time +1h lets time pass";
            return Err(format!("no deed runs that could end: {}; {way}", self.stage.standing()));
        };
        self.stage.check_exit(&ending.command, exit)?;
        let mut reply = Reply::by(exit);
        if let Value::Object(fields) = values {
            reply.values = fields.into_iter().collect();
        }
        let command = ending.command.clone();
        self.stage.end(command, &reply, "you said so");
        Ok(String::new())
    }

    /// Lets deeds be done until somebody must do or say something, and tells all that happened.
    fn go(&mut self) -> String {
        let mut out = String::new();
        loop {
            self.tell(&mut out);
            let Some(command) = self.stage.asked.pop_front() else { break };
            let _ = writeln!(out, "  {}", told::deed(&command.deed));
            let awaited = self.stage.run.waiting().is_some_and(|w| w.key == command.key);
            let own = match command.deed {
                Deed::Answer | Deed::Say { .. } | Deed::Play { .. } => true,
                Deed::SendMessage { .. } => true,
                Deed::Hangup { .. } | Deed::StopService => true,
                Deed::ReceiveDigits { .. } | Deed::Talk { .. } | Deed::Connect { .. } => false,
                Deed::Request { .. } | Deed::LoadFlow { .. } | Deed::Service { .. } => false,
            };
            if own && !(self.stepping && awaited) {
                let opted_out = self.left && matches!(command.deed, Deed::SendMessage { .. });
                let exit = if opted_out { "opted_out" } else { "done" };
                self.stage.done(command.key, exit, Default::default(), "", None);
            } else {
                self.stage.go_on(command);
            }
        }
        if !self.quit {
            self.stand(&mut out);
        }
        out
    }

    fn tell(&mut self, out: &mut String) {
        for news in std::mem::take(&mut self.stage.news) {
            match news {
                // The last deeds are told before the end.
                News::Ends(..) if !self.stage.asked.is_empty() => self.stage.news.push(news),
                news => *out += &told::news(&news),
            }
        }
    }

    /// Where the run stands, and what a person can do about it.
    fn stand(&mut self, out: &mut String) {
        *out += &told::standing(&self.stage);
        let by_hand = self.stage.talk.as_ref().is_some_and(Talk::by_hand);
        if by_hand && !std::mem::replace(&mut self.told_agent, true) {
            let tools: Vec<_> = self.stage.offered().into_iter().map(|tool| tool.name).collect();
            let tools = if tools.is_empty() { "no tool".into() } else { tools.join(", ") };
            let _ = writeln!(
                out,
                "  you play the agent: /ai TEXT, /tool NAME {{json}}; it has {tools}"
            );
        }
        if let Some(hint) = self.hint().filter(|_| self.hints) {
            let _ = writeln!(out, "  {hint}");
        }
    }

    fn hint(&self) -> Option<String> {
        if self.over() {
            return None;
        }
        if let Some(going) = self.stage.going.last() {
            return Some(match &going.command.deed {
                Deed::ReceiveDigits { .. } if !self.stepping => "/digits 1 or /silence 5s".into(),
                Deed::Talk { .. } => return None,
                Deed::Request { .. } => {
                    "what does the server answer? /exit done {\"status\": 200, \"body\": {}}".into()
                }
                _ => {
                    let exits = self.stage.exits(&going.command).join(" | ");
                    format!("how does it end? /exit {exits}")
                }
            });
        }
        let waits = self.stage.run.waiting().is_some_and(|w| w.what != "message");
        if waits { Some("/time +1h lets time pass".into()) } else { None }
    }

    /// All that could be typed now, for completion.
    fn words(&self) -> Vec<String> {
        let mut words = command::names();
        if let Some(going) = self.stage.going.last() {
            let exits = self.stage.exits(&going.command);
            words.extend(exits.iter().map(|exit| format!("/exit {exit}")));
        }
        words.extend(self.stage.offered().iter().map(|tool| format!("/tool {} ", tool.name)));
        words
    }
}

/// The flow, and what it is played as: as wished, else as what it can run on, a text rather than a
/// call.
fn link(
    path: &Path,
    text: &str,
    catalog: Catalog,
    medium: Option<Playing>,
) -> Result<(Arc<Flow>, Playing), String> {
    let needs = |playing| match playing {
        Playing::Call => Needs::Call,
        Playing::Text => Needs::Text,
        Playing::None => Needs::Nothing,
    };
    if let Some(playing) = medium {
        return Ok((crate::play::link(path, text, catalog, needs(playing))?, playing));
    }
    for playing in [Playing::Text, Playing::Call] {
        if let Ok(flow) = crate::play::link(path, text, catalog, needs(playing)) {
            return Ok((flow, playing));
        }
    }
    crate::play::link(path, text, catalog, Needs::Nothing).and(Err(format!(
        "{} needs a call and a text at once; `--for call` or `--for text` tells what is wrong",
        path.display()
    )))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn simulation(flow: &str, set: &[&str]) -> Simulation {
        let wanted = Wanted {
            flow: Path::new("../../flows").join(flow),
            medium: None,
            set: set.iter().map(ToString::to_string).collect(),
            now: "2026-11-20T10:00:00Z".parse().unwrap(),
        };
        Simulation::new(wanted, actions::ALL).ok().unwrap()
    }

    /// Plays lines behind `>`; what comes of them must be what stands below each. Variables that
    /// the score does not name may change.
    #[track_caller]
    fn check(simulation: &mut Simulation, score: &str) {
        let score: Vec<&str> =
            score.lines().map(str::trim_start).filter(|l| !l.is_empty()).collect();
        let mut heard = simulation.opening();
        for line in score.iter().filter_map(|line| line.strip_prefix("> ")) {
            heard += &format!("> {line}\n{}", simulation.hear(line));
        }
        let told = |line: &&str| !line.contains(" = ") || score.contains(line);
        let heard: Vec<&str> = heard.lines().skip(1).map(str::trim_start).filter(told).collect();
        assert_eq!(heard.join("\n"), score.join("\n"));
    }

    #[test]
    fn a_caller_presses_keys_is_connected_and_nobody_is_free() {
        let mut simulation = simulation("voice_menu.json", &[]);
        check(
            &mut simulation,
            "
            begins
              picks up
            hello (answer) -> done
              says: For sales, press 1. For our opening hours, press 2.
            menu (talk) -> done
              listens for 1 key, ended by #; 5 s for the first
            waits at keys for digits until 2026-11-20 10:00:05Z (5s), then no_input
            > /digits 1
            keys (receive_digits) -> done: 1 keys were pressed
                call.digits = \"1\"
            choose (branch) -> jump: sales
              dials +15551230000 (sales) for 25 s
            waits at sales for connect_call until 2026-11-20 10:00:25Z (25s), then no_answer
            > /exit bsy
            ? `connect_call` has no exit `bsy`; did you mean `busy`?
            > hello
            ? no agent listens: the run waits at `sales` for connect_call
            > /exit busy
            sales (connect_call) -> busy: you said so
                connect.exit = \"busy\"
              says: I am sorry, nobody is free right now. Please call again later.
            missed (talk) -> done
            bye (hangup) -> ended
              hangs up (normal)
            ends: finished
            ",
        );
        assert!(simulation.over());
    }

    #[test]
    fn a_texter_waits_an_hour_and_begins_again() {
        let mut simulation = simulation("sms_menu.json", &[]);
        check(
            &mut simulation,
            "
            > hi
            begins
              texts: 1 for hours, 2 for address
            menu (send_message) -> done
            waits at reply for message until 2026-11-20 11:00:00Z (1h), then timeout
            > /time 30m
            waits at reply for message until 2026-11-20 11:00:00Z (30m), then timeout
            > /time +24h
            reply (wait_message) -> timeout: no text came
            ends: finished
            > /time
              it is 2026-11-21 10:30:00Z
            > stop
              the flow does not see this; texts: You have been unsubscribed and will receive no more messages. Reply START to resubscribe.
            > hello again
            begins
              texts: 1 for hours, 2 for address
            menu (send_message) -> opted_out
            ends: finished
            ",
        );
        assert!(!simulation.over());
    }

    #[test]
    fn the_rules_answer_for_the_agent_and_a_person_may_too() {
        let mut simulation = simulation("support_line.json", &["caller.name=Ada"]);
        check(
            &mut simulation,
            "
            begins
              picks up
            hello (answer) -> done
              the agent support takes over, for 600 s at most
              agent: Hello, this is the support line. How can I help you?
            waits at agent for ai_talk until 2026-11-20 10:00:30Z (30s), then the agent asks whether somebody is there
            > When are you open?
              agent: We are open from nine to five, Monday to Friday.
            waits at agent for ai_talk until 2026-11-20 10:00:30Z (30s), then the agent asks whether somebody is there
            > /tool conect_call
            ? the agent has no tool `conect_call`; did you mean `connect_call`?
            > I want to speak to a human
              agent: One moment, I connect you to a person.
              agent takes connect_call {\"destinations\":[{\"target\":\"desk\"}]}: {\"status\":\"the conversation ends\"}
            agent (ai_talk) -> done
                ai_talk.ended_by = \"connect_call\"
              dials +15551230000 (desk) for 25 s
            waits at desk for connect_call until 2026-11-20 10:00:25Z (25s), then no_answer
            > /silence 25s
            desk (connect_call) -> no_answer: nobody picked up
                connect.exit = \"no_answer\"
              texts: Sorry we missed you, Ada. We will call you back.
            sorry (send_message) -> done
            bye (hangup) -> ended
              hangs up (normal)
            ends: finished
            ",
        );
    }

    #[test]
    fn step_by_step_each_deed_waits_for_its_exit() {
        let mut simulation = simulation("voice_menu.json", &[]);
        simulation.hear("/step");
        let told = simulation.opening();
        assert!(
            told.ends_with(
                "waits at hello for answer until 2026-11-20 10:01:00Z (1m), then timeout\n"
            ),
            "{told}"
        );
        let told = simulation.hear("");
        assert!(told.starts_with("hello (answer) -> done: you said so\n"), "{told}");
        let told = simulation.hear("/exit failed");
        assert!(told.contains("menu (talk) -> failed"), "{told}");
        assert!(simulation.hear("/vars nob").contains("no variable begins with `nob`"));
        assert!(simulation.words().contains(&"/digits ".to_owned()));
    }

    #[test]
    fn a_server_is_played_and_branches_go_on_side_by_side() {
        let folder = tempfile::tempdir().unwrap();
        let flow = folder.path().join("server.json");
        let text = r#"{ "on_error": "end", "actions": [
            { "id": "both", "type": "parallel", "option": { "branches": ["ask", "dial"] }, "next": "bye" },
            { "id": "ask", "type": "send_webhook", "option": { "url": "https://crm.example/a" }, "next": "bye" },
            { "id": "dial", "type": "connect_call", "option": { "destinations": [{ "target": "+15551230000" }] }, "next": "bye" },
            { "id": "bye", "type": "hangup" } ] }"#;
        std::fs::write(&flow, text).unwrap();
        let now = "2026-11-20T10:00:00Z".parse().unwrap();
        let wanted = Wanted { flow, medium: None, set: Vec::new(), now };
        let mut simulation = Simulation::new(wanted, actions::ALL).ok().unwrap();
        let told = simulation.opening();
        assert!(
            told.contains("asks POST https://crm.example/a\n  dials +15551230000 for 30 s\n"),
            "{told}"
        );
        let told = simulation.hear("/exit timeout");
        assert!(told.starts_with("ask (send_webhook) -> timeout"), "{told}");
        let mut simulation_2 = {
            let wanted = Wanted {
                flow: folder.path().join("server.json"),
                medium: None,
                set: Vec::new(),
                now,
            };
            Simulation::new(wanted, actions::ALL).ok().unwrap()
        };
        simulation_2.opening();
        let told = simulation_2.hear("/exit done {\"status\": 200, \"body\": {\"id\": 7}}");
        assert!(told.contains("webhook.body = {\"id\":7}"), "{told}");
        let told = simulation_2.hear("/exit busy");
        assert!(told.contains("dial (connect_call) -> busy"), "{told}");
    }

    #[test]
    fn the_one_who_plays_the_agent_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let flow = folder.path().join("agent.json");
        std::fs::write(
            &flow,
            r#"[{ "type": "ai_talk", "option": { "ai": { "tool_names": ["stop_service"] }, "wait": true } }]"#,
        )
        .unwrap();
        let now = "2026-11-20T10:00:00Z".parse().unwrap();
        let wanted = Wanted { flow, medium: Some(Playing::Text), set: Vec::new(), now };
        let mut simulation = Simulation::new(wanted, actions::ALL).ok().unwrap();
        let told = simulation.hear("hello");
        assert!(
            told.contains("you play the agent: /ai TEXT, /tool NAME {json}; it has stop_service"),
            "{told}"
        );
        let told = simulation.hear("/ai Hi, I am a person.");
        assert!(told.contains("agent: Hi, I am a person."), "{told}");
        assert!(told.ends_with("ends: finished\n"), "{told}");
    }
}
