//! The agent's thoughts, from whichever model still works, and the tools that it takes.

use std::collections::VecDeque;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use agent::ledger::Spent;
use agent::prompt::{self, Medium};
use agent::{Answer, Ask, Bill, Config, Error, Item, Llm, Piece, Took, Tool, ToolCall, Tools};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use crate::failed::failed;
use crate::turn::TurnId;

/// A model that says nothing within this is replaced.
const FIRST: Duration = Duration::from_secs(6);
/// And one that falls silent in the middle for this long.
const STALL: Duration = Duration::from_secs(4);
/// A tool that takes longer has failed, as far as the model knows.
const TOOL: Duration = Duration::from_secs(15);
/// So many times in a turn the model may take tools.
const ROUNDS: u32 = 8;

/// What comes of thinking.
#[derive(Debug)]
pub(crate) enum Thought {
    /// Words of the answer, as they come.
    Text(TurnId, String),
    /// The answer is complete: all its words, and the tools that it takes.
    Answered(TurnId, String, Vec<ToolCall>),
    /// A tool was taken.
    Took(Taken),
    /// A model failed and is being replaced.
    Trouble(Error),
    /// So did the last one.
    Failed(Error),
}

/// A tool that was taken.
#[derive(Debug)]
pub(crate) struct Taken {
    /// For which turn.
    pub(crate) turn: TurnId,
    /// What was asked of it.
    pub(crate) call: ToolCall,
    /// What came of it.
    pub(crate) took: Took,
    /// How long it worked.
    pub(crate) worked: Duration,
}

/// The models and tools of a call.
pub(crate) struct Mind {
    llms: Vec<Arc<dyn Llm>>,
    tools: Arc<dyn Tools>,
    config: Arc<Config>,
    /// What the agent is told, before all that is said.
    prompt: Vec<Item>,
    session: String,
    /// The model that answered last, or was tried last.
    at: usize,
    asking: Option<Asking>,
    /// What was thought before and counts only now.
    again: VecDeque<Thought>,
    bill: Bill,
    /// Tools at work, of this turn and of turns that were cut.
    taking: FuturesUnordered<Pin<Box<dyn Future<Output = Taken> + Send>>>,
}

struct Asking {
    turn: TurnId,
    items: Vec<Item>,
    round: u32,
    /// How many models have failed at it.
    failed: usize,
    answer: Answer,
    until: Instant,
    text: String,
    calls: Vec<ToolCall>,
    /// Whether an answer without words and tools leaves the caller in silence.
    must_speak: bool,
}

impl Mind {
    /// Ready to be asked. Without models every question fails.
    pub(crate) fn new(
        llms: Vec<Arc<dyn Llm>>,
        tools: Arc<dyn Tools>,
        config: Arc<Config>,
        session: String,
    ) -> Self {
        let prompt = prompt::system(&config, Medium::Voice, &jiff::Zoned::now());
        let taking = FuturesUnordered::new();
        let again = VecDeque::new();
        let bill = Bill::default();
        Self { llms, tools, config, prompt, session, at: 0, asking: None, again, bill, taking }
    }

    /// Asks, after what was said. What was asked before is dropped. `round` counts the questions of
    /// a turn from 0.
    pub(crate) fn ask(&mut self, turn: TurnId, said: &[Item], round: u32, must_speak: bool) {
        self.drop_answer();
        let items = self.shown(said);
        let answer = self.put(&items, round);
        self.asking = Some(Asking {
            turn,
            items,
            round,
            failed: 0,
            answer,
            until: Instant::now() + FIRST,
            text: String::new(),
            calls: Vec::new(),
            must_speak,
        });
    }

    /// What a model is shown of what was said, after what it is told.
    pub(crate) fn shown(&self, said: &[Item]) -> Vec<Item> {
        let items: Vec<Item> = self.prompt.iter().chain(said).cloned().collect();
        agent::trim(&items, self.config.history_tokens)
    }

    /// What it may do.
    pub(crate) fn tools(&self) -> Vec<Tool> {
        self.tools.list()
    }

    /// The model that is asked now; `None` = there is none at all.
    fn llm(&self) -> Option<&Arc<dyn Llm>> {
        self.llms.get(self.at % self.llms.len().max(1))
    }

    fn put(&mut self, items: &[Item], round: u32) -> Answer {
        let Some(llm) = self.llm().cloned() else {
            // A closed channel is an error, and comes on the usual way.
            return Answer(mpsc::channel(1).1);
        };
        self.bill.of("llm", llm.name()).requests += 1;
        // At some point it must speak.
        let tools = if round < ROUNDS { self.tools.list() } else { Vec::new() };
        llm.ask(Ask {
            config: Arc::clone(&self.config),
            items: items.to_vec(),
            tools,
            session: self.session.clone(),
        })
    }

    /// Phrases that would be understood after what was said and what is being said.
    pub(crate) fn expects(&self, said: &[Item], saying: Option<Item>) -> Option<Vec<String>> {
        let items: Vec<Item> = self.prompt.iter().chain(said).cloned().chain(saying).collect();
        self.llm().and_then(|llm| llm.expects(&items))
    }

    /// Nobody wants the answer any more. Tools go on: their effects are not undone by it.
    pub(crate) fn drop_answer(&mut self) {
        self.asking = None;
        self.again.clear();
    }

    /// Gives these thoughts before all that follow: they were kept back.
    pub(crate) fn think_again(&mut self, thoughts: Vec<Thought>) {
        self.again = thoughts.into();
    }

    /// Takes the tools of a round's answer, all at once. Their results come from [`Mind::next`].
    pub(crate) fn take(&mut self, turn: TurnId, round: u32, calls: &[ToolCall]) {
        let offered = self.tools.list();
        for call in calls.iter().cloned() {
            let tools = Arc::clone(&self.tools);
            // Some models count their calls anew in each answer.
            let key = format!("{}:{}:{round}:{}", self.session, turn.0, call.id);
            // A model may make up names without end; metrics shall not keep them.
            let known = offered.iter().any(|tool| tool.name == call.name);
            let label = if known { call.name.clone() } else { "unknown".into() };
            self.taking.push(Box::pin(async move {
                let began = Instant::now();
                let took = timeout(TOOL, tools.take(&key, &call)).await.unwrap_or_else(|_| Took::Result {
                    value: json!({ "error": format!("{} did not answer within {} seconds", call.name, TOOL.as_secs()) }),
                    speak: true,
                });
                let worked = began.elapsed();
                metrics::histogram!("voxflow_tool_seconds", "tool" => label)
                    .record(worked.as_secs_f64());
                Taken { turn, call, took, worked }
            }));
        }
    }

    /// What comes next. May be dropped and called again.
    pub(crate) async fn next(&mut self) -> Thought {
        if let Some(thought) = self.again.pop_front() {
            return thought;
        }
        loop {
            let name = self.llm().map_or("llm", |llm| llm.name());
            let came = tokio::select! {
                Some(taken) = self.taking.next(), if !self.taking.is_empty() => return Thought::Took(taken),
                came = piece(&mut self.asking, name) => came,
            };
            let Some(asking) = &mut self.asking else { continue };
            match came {
                Ok(Piece::Text(text)) => {
                    asking.heard_from();
                    asking.text.push_str(&text);
                    return Thought::Text(asking.turn, text);
                }
                Ok(Piece::Call(call)) => {
                    asking.heard_from();
                    asking.calls.push(call);
                }
                Ok(Piece::End(usage)) => {
                    metrics::counter!("voxflow_llm_tokens_total", "direction" => "input")
                        .increment(usage.input);
                    metrics::counter!("voxflow_llm_tokens_total", "direction" => "output")
                        .increment(usage.output);
                    let row = self.bill.of("llm", name);
                    row.input_tokens += usage.input;
                    row.output_tokens += usage.output;
                    if asking.round >= ROUNDS {
                        // No tools were on offer any more.
                        asking.calls.clear();
                    }
                    if asking.must_speak && asking.text.trim().is_empty() && asking.calls.is_empty()
                    {
                        return self.lost(Error::Unreadable {
                            vendor: name,
                            why: "it answered nothing".into(),
                        });
                    }
                    let (turn, text) = (asking.turn, std::mem::take(&mut asking.text));
                    let calls = std::mem::take(&mut asking.calls);
                    self.asking = None;
                    return Thought::Answered(turn, text, calls);
                }
                Err(error) => return self.lost(error),
            }
        }
    }

    /// What models did since this was asked last.
    pub(crate) fn spent(&mut self) -> Vec<Spent> {
        self.bill.take()
    }

    /// Puts the question to the next model, which goes on where this one stopped.
    fn lost(&mut self, why: Error) -> Thought {
        failed("llm", &why);
        self.at = (self.at + 1) % self.llms.len().max(1);
        let Some(mut asking) = self.asking.take() else { return Thought::Failed(why) };
        asking.failed += 1;
        if asking.failed >= self.llms.len() {
            return Thought::Failed(why);
        }
        let mut items = asking.items.clone();
        if !asking.text.trim().is_empty() {
            items.push(Item::Assistant { text: asking.text.clone(), calls: Vec::new() });
        }
        asking.answer = self.put(&items, asking.round);
        asking.until = Instant::now() + FIRST;
        asking.calls.clear();
        self.asking = Some(asking);
        Thought::Trouble(why)
    }
}

impl Asking {
    fn heard_from(&mut self) {
        self.until = Instant::now() + STALL;
    }
}

async fn piece(asking: &mut Option<Asking>, vendor: &'static str) -> Result<Piece, Error> {
    let Some(asking) = asking else { return pending().await };
    let unreachable = |why: &str| Err(Error::Unreachable { vendor, why: why.into() });
    match timeout_at(asking.until, asking.answer.0.recv()).await {
        Ok(Some(piece)) => piece,
        Ok(None) => unreachable("its answer broke off"),
        Err(_) => unreachable("it kept silent for too long"),
    }
}
