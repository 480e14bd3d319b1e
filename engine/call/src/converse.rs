//! An AI conversation on a call: `ai_talk`, between the leg and the run.

use std::sync::Arc;
use std::time::Duration;

use agent::{Config, Took, ToolCall, Tools};
use async_trait::async_trait;
use audio::Rate;
use flow::Deed;
use serde::Deserialize;
use serde_json::{Value, json};
use talk::{Ended, How, Note, Prepared, Talk, Vendors};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::session::{Finish, Gone, Latest, Line, Order, Report};

/// Lets an agent's voice begin with its greeting before there is a conversation. `None` = there is
/// nothing to say yet.
pub fn prepare(vendors: &dyn Vendors, agent: &Value, rate: Rate) -> Option<Prepared> {
    let config = Config::deserialize(agent).ok()?;
    talk::prepare(vendors, &config, rate)
}

/// Holds the conversation until it ends by itself, the caller is gone, or `stop` says so; its history
/// is kept in any case.
pub(crate) async fn hold(
    line: &mut Line,
    order: Order,
    stop: &CancellationToken,
) -> Result<Finish, Gone> {
    let Deed::Talk { agent, duration_s, .. } = order.command.deed else {
        return Ok(Finish::failed("this is no conversation"));
    };
    let config = match serde_json::from_value::<Config>(agent) {
        Ok(config) => Arc::new(config),
        Err(error) => return Ok(Finish::failed(format!("the agent: {error}"))),
    };
    let (notes, mut remarks) = mpsc::unbounded_channel();
    let id = match order.epoch {
        0 => order.command.key.0,
        epoch => format!("{}~{epoch}", order.command.key.0),
    };
    let talk = Talk {
        id,
        config,
        history: order.history,
        tools: order.tools.unwrap_or_else(|| Arc::new(NoTools)),
        vendors: Arc::clone(&line.means.vendors),
        rate: line.rate,
        duration: Duration::from_secs(duration_s),
        prepared: order.prepared,
        notes,
        stop: stop.clone(),
    };
    // What was typed before is not meant for the agent.
    line.keys.clear();
    line.interrupting = None;
    let outbound = line.outbound.clone();
    let mut inbound = std::mem::replace(&mut line.inbound, mpsc::channel(1).1);
    // A task of its own: the sound, which comes all the time, wakes nobody else.
    let mut talking = JoinSet::new();
    talking.spawn(async move {
        let ended = talk::session::hold(talk, &mut inbound, &outbound).await;
        (ended, inbound)
    });
    let latest = Latest::default();
    let ended = loop {
        tokio::select! {
            biased;
            Some(note) = remarks.recv() => remark(line, &latest, note),
            ended = talking.join_next() => break ended,
        }
    };
    while let Ok(note) = remarks.try_recv() {
        remark(line, &latest, note);
    }
    let Some(Ok((Ended { how, .. }, inbound))) = ended else {
        return Ok(Finish::failed("the conversation broke off"));
    };
    line.inbound = inbound;
    Ok(match how {
        // It was stopped: whoever stopped it has its own words for that.
        _ if stop.is_cancelled() => Finish::done(),
        How::Gone => return Err(Gone),
        How::NoInput => Finish::exit("no_input", "the caller stayed silent"),
        How::Timeout => Finish::exit("timeout", "the longest duration is over"),
        How::Failed(why) => Finish::failed(why),
        How::Tool { then, stop } => {
            Finish { then, stop, ..Finish::exit("done", "the agent ended the conversation") }
        }
    })
}

fn remark(line: &Line, latest: &Latest, note: Note) {
    match note {
        Note::Standing(standing) => {
            if latest.put(standing) {
                line.report(Report::Stands(latest.clone()));
            }
        }
        note => line.report(Report::Note(note)),
    }
}

/// For an agent that may do nothing.
struct NoTools;

#[async_trait]
impl Tools for NoTools {
    fn list(&self) -> Vec<agent::Tool> {
        Vec::new()
    }

    async fn take(&self, _: &str, call: &ToolCall) -> Took {
        let error = format!("there is no tool `{}`", call.name);
        Took::Result { value: json!({ "error": error }), speak: true }
    }
}
