//! The conversation of a play: what is said to an agent, and who answers for the model. A mock
//! that fits comes first, then the agent's own rules; where there is neither, somebody plays it.

use agent::config::SpeakFirst;
use agent::{Config, Item, Piece, Took, Tool, ToolCall};
use conversation::thread::{Input, Output};
use flow::{Command, Deed, Flows, Key, Medium, Vars};
use jiff::{SignedDuration, Timestamp};
use providers::scripted::Scripted;
use serde_json::{Value, json};

use super::scenario::Ai;
use super::stage::{News, Stage};

/// Silence after which a conversation by text is over: what the settings have by default.
const IDLE: SignedDuration = SignedDuration::from_hours(24);

/// How often a model may take tools before it must answer.
const ROUNDS: usize = 8;

/// A conversation with an agent.
pub(crate) struct Talk {
    /// The key of the command that asked for it.
    pub(crate) key: Key,
    config: Config,
    history: Vec<Item>,
    /// What answers for the model by itself.
    rules: Option<Scripted>,
    /// Since when nobody has said anything; of a call only.
    quiet: Option<Timestamp>,
    /// Whether the agent has asked if somebody is there.
    prompted: bool,
    /// The text that was heard last, by its id.
    heard: Option<Value>,
    /// Whether the run waits for the reply to a text.
    awaited: bool,
}

impl Talk {
    /// When silence has lasted so long that the agent does something about it.
    pub(super) fn due(&self) -> Option<Timestamp> {
        let idle = i64::try_from(self.config.idle_timeout_s.clamp(1, 3600)).unwrap_or(3600);
        Some(self.quiet?.checked_add(SignedDuration::from_secs(idle)).unwrap_or(Timestamp::MAX))
    }

    /// Whether somebody must play the model.
    pub(crate) fn by_hand(&self) -> bool {
        self.rules.is_none()
    }

    fn words(&self) -> &str {
        let heard = self.history.iter().rev().find_map(|item| match item {
            Item::User { text } => Some(text.as_str()),
            Item::System { .. } | Item::Assistant { .. } | Item::Tool { .. } => None,
        });
        heard.unwrap_or_default()
    }
}

impl Stage {
    /// An agent is asked to talk: on a call it begins, on a thread it answers the text.
    pub(super) fn talk(&mut self, command: &Command) {
        let Deed::Talk { agent, wait, .. } = &command.deed else { return };
        let config = match serde_json::from_value::<Config>(agent.clone()) {
            Ok(config) => config,
            Err(error) => {
                let why = format!("the agent's configuration is wrong: {error}");
                return self.done(command.key.clone(), "failed", Vars::new(), &why, None);
            }
        };
        if self.run.medium == Medium::Call {
            self.talk = Some(self.fresh(command.key.clone(), config, true));
            self.speak_first();
            return;
        }
        let who = format!("{} {} {}", agent["name"], agent["engine_model"], agent["rules"]);
        let outputs = self.thread.on(self.now, Input::Text { agent: who, idle: IDLE });
        let before = self.talk.take().filter(|_| !outputs.contains(&Output::Begin));
        let fresh = self.fresh(command.key.clone(), config, *wait);
        let mut talk = match before {
            Some(before) => Talk { history: before.history, heard: before.heard, ..fresh },
            None => fresh,
        };
        // A run may have done other things since its text came: it is heard once.
        let id = self.run.vars.get("message.id").cloned();
        let unheard = id.is_some() && id != talk.heard;
        if unheard {
            let text = self.run.vars.get("message.text").and_then(Value::as_str);
            talk.history.push(Item::User { text: text.unwrap_or_default().into() });
            talk.heard = id;
        }
        self.talk = Some(talk);
        self.turn();
        if !wait && self.run.waits().any(|waiting| waiting.key == command.key) {
            // It has begun, and that is all that the run wants to know.
            self.done(command.key.clone(), "done", Vars::new(), "", None);
        }
    }

    fn fresh(&mut self, key: Key, config: Config, awaited: bool) -> Talk {
        let rules = match config.rules.as_str() {
            "" => None,
            name => match Scripted::open(std::slice::from_ref(&self.folder), name) {
                Ok(rules) => Some(rules),
                Err(error) => {
                    self.news.push(News::Note(error.to_string()));
                    None
                }
            },
        };
        let quiet = (self.run.medium == Medium::Call).then_some(self.now);
        Talk {
            key,
            config,
            history: Vec::new(),
            rules,
            quiet,
            prompted: false,
            heard: None,
            awaited,
        }
    }

    fn speak_first(&mut self) {
        let Some(talk) = &mut self.talk else { return };
        if talk.config.speak_first == SpeakFirst::Caller {
            return;
        }
        let greeting = talk.config.greeting.clone();
        if greeting.is_empty() {
            self.turn();
        } else {
            talk.history.push(Item::Assistant { text: greeting.clone(), calls: Vec::new() });
            self.news.push(News::Says(greeting));
        }
    }

    /// The caller says something to the agent.
    ///
    /// # Errors
    /// No agent listens.
    pub(crate) fn say(&mut self, words: &str) -> Result<(), String> {
        let Some(talk) = self.talk.as_mut().filter(|_| self.run.medium == Medium::Call) else {
            return Err(format!("no agent listens: {}", self.standing()));
        };
        talk.history.push(Item::User { text: words.into() });
        talk.quiet = Some(self.now);
        talk.prompted = false;
        self.turn();
        Ok(())
    }

    /// The caller has been silent for long: the agent asks once, then gives up.
    pub(super) fn silent(&mut self) {
        let Some(talk) = &mut self.talk else { return };
        if std::mem::replace(&mut talk.prompted, true) {
            let key = talk.key.clone();
            return self.done(key, "no_input", Vars::new(), "the caller stayed silent", None);
        }
        talk.quiet = Some(self.now);
        let prompt = talk.config.idle_prompt.clone();
        self.news.push(News::Says(prompt));
    }

    /// The model's turn, where a mock or the rules answer for it.
    fn turn(&mut self) {
        let Some(talk) = &self.talk else { return };
        let heard = talk.words().to_owned();
        if !heard.is_empty()
            && let Some(ai) = self.mocks.model(&heard)
        {
            if let Err(why) = self.ai(&ai) {
                self.news.push(News::Note(format!("a mock for the agent cannot answer: {why}")));
            }
            return;
        }
        for _ in 0..ROUNDS {
            let Some(talk) = &self.talk else { return };
            let Some(rules) = &talk.rules else { return };
            let pieces = rules.answer(&talk.history, &self.offered());
            let (mut text, mut calls) = (String::new(), Vec::new());
            for piece in pieces {
                match piece {
                    Piece::Text(more) => text.push_str(&more),
                    Piece::Call(call) => calls.push(call),
                    Piece::End(_) => {}
                }
            }
            if self.answers(&text, &calls) {
                return;
            }
        }
    }

    /// The agent says this and takes these tools. Whether its turn is over.
    fn answers(&mut self, text: &str, calls: &[ToolCall]) -> bool {
        let Some(talk) = &mut self.talk else { return true };
        talk.history.push(Item::Assistant { text: text.into(), calls: calls.to_vec() });
        if !text.is_empty() {
            self.news.push(News::Says(text.into()));
        }
        for call in calls {
            let args = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}));
            let result = self.take(&call.name, &args);
            let told = match &result {
                Ok(value) => value.clone(),
                Err(why) => json!({ "error": why }),
            };
            if let Some(talk) = &mut self.talk {
                let (call_id, text) = (call.id.clone(), told.to_string());
                talk.history.push(Item::Tool { call_id, text });
            }
        }
        if calls.is_empty() {
            self.replied(text);
        }
        calls.is_empty() || self.talk.is_none()
    }

    /// A text was answered; the run may wait for that.
    fn replied(&mut self, text: &str) {
        let generation = self.thread.session.as_ref().map_or(0, |session| session.generation);
        if self.run.medium == Medium::Text {
            self.thread.on(self.now, Input::Answered(generation));
        }
        if let Some(talk) = self.talk.as_mut().filter(|_| self.run.medium == Medium::Text)
            && std::mem::take(&mut talk.awaited)
        {
            let (key, values) = (talk.key.clone(), Vars::from([("text".into(), json!(text))]));
            self.done(key, "done", values, "", None);
        }
    }

    /// The agent's turn, played by somebody.
    ///
    /// # Errors
    /// No agent is on, or it may not do that.
    pub(crate) fn ai(&mut self, ai: &Ai) -> Result<(), String> {
        let Some(talk) = &self.talk else {
            return Err(format!("no `ai_talk` goes on: {}", self.standing()));
        };
        let key = talk.key.clone();
        if let Some(exit) = &ai.exit {
            if ai.tool.is_some() {
                return Err("`ai` has either `tool` or `exit`".into());
            }
            self.talk = None;
            self.done(key, exit, Vars::new(), "", None);
            return Ok(());
        }
        if ai.text.is_none() && ai.tool.is_none() {
            return Err("`ai` has `text`, `tool` or `exit`".into());
        }
        let calls: Vec<ToolCall> = ai
            .tool
            .iter()
            .map(|name| ToolCall {
                id: format!("play-{}", self.tools),
                name: name.clone(),
                arguments: ai.args.clone().unwrap_or_else(|| json!({})).to_string(),
            })
            .collect();
        self.answers(ai.text.as_deref().unwrap_or_default(), &calls);
        // Whoever plays the agent is told at once, and nobody else.
        let refusal = |news: &News| match news {
            News::Took { result: Err(why), .. } => Some(why.clone()),
            _ => None,
        };
        let refused = self.news.iter().rev().find_map(refusal);
        self.news.retain(|news| refusal(news).is_none());
        refused.map_or(Ok(()), Err)
    }

    /// The tools that the agent is offered.
    pub(crate) fn offered(&self) -> Vec<Tool> {
        let Some(talk) = &self.talk else { return Vec::new() };
        runtime::offered(&self.flow, self.run.medium, &talk.config)
    }

    /// The agent takes a tool; what it is told.
    fn take(&mut self, name: &str, args: &Value) -> Result<Value, String> {
        let took = self.tool(name, args);
        let result = match &took {
            Ok(Took::Result { value, .. }) => Ok(value.clone()),
            Ok(Took::Ends { .. }) => Ok(json!({ "status": "the conversation ends" })),
            Err(why) => Err(why.clone()),
        };
        let (name, args) = (name.to_owned(), args.clone());
        self.news.push(News::Took { name, args, result: result.clone() });
        if let (Ok(Took::Ends { then, .. }), Some(talk)) = (took, &mut self.talk) {
            let (key, awaited) = (talk.key.clone(), talk.awaited);
            self.talk = None;
            self.thread.session = None;
            if awaited {
                self.done(key, "done", Vars::new(), "", then);
            }
        }
        result
    }

    fn tool(&mut self, name: &str, args: &Value) -> Result<Took, String> {
        let offered = self.offered();
        if !offered.iter().any(|tool| tool.name == name) {
            let known: Vec<_> = offered.iter().map(|tool| tool.name.as_str()).collect();
            let help = match flow::nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if known.is_empty() => "it has none".into(),
                None => format!("it has {}", known.join(", ")),
            };
            return Err(format!("the agent has no tool `{name}`; {help}"));
        }
        let offers = self.flow.tools(self.run.medium);
        if offers.iter().any(|offer| offer.kind == name && offer.tool == flow::Tool::Ends) {
            let then =
                Some(self.run.ends_with(Flows::new(&self.flow, &self.called), name, args)?);
            return Ok(Took::Ends { then, stop: false });
        }
        let key = Key(format!("play/tool/{}", self.tools));
        self.tools += 1;
        let (medium, now) = (self.run.medium, self.now);
        let vars = &mut self.run.vars;
        let asked = flow::run::take_tool(&self.flow, name, args, key, medium, now, vars)?;
        let status = if asked.is_empty() { "done" } else { "queued" };
        self.asked.extend(asked);
        Ok(Took::Result { value: json!({ "status": status }), speak: true })
    }
}
