//! An AI conversation on a call: `ai_talk`, between the leg and the run.

use std::sync::Arc;
use std::time::Duration;

use agent::{Config, Took, ToolCall, Tools};
use async_trait::async_trait;
use flow::Deed;
use serde_json::json;
use talk::{Ended, How, Inbound, Talk};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::session::{Finish, Gone, Line, Order, Report};

/// Sound that a talk may leave unheard before it is dropped and counted, in frames: 5 s.
const UNHEARD: usize = 256;

/// How long a talk may take to end once the caller is gone or somebody stopped it.
const ENDING: Duration = Duration::from_millis(1500);

/// Holds the conversation until it ends by itself, the caller is gone, or `stop` says so.
///
/// The talk hears the leg through a channel of its own, so that a stop can reach it the way that
/// it knows: as the caller's being gone. So its history is kept.
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
        notes,
    };
    // What was typed before is not meant for the agent.
    line.keys.clear();
    line.interrupting = None;
    let (to_talk, mut heard) = mpsc::channel(UNHEARD);
    let outbound = line.outbound.clone();
    let (ended, gone) = {
        let talking = talk::session::hold(talk, &mut heard, &outbound);
        tokio::pin!(talking);
        let mut to_talk = Some(to_talk);
        let mut until = None;
        let mut gone = false;
        loop {
            tokio::select! {
                biased;
                ended = &mut talking => break (Some(ended), gone),
                Some(note) = remarks.recv() => line.report(Report::Note(note)),
                () = stop.cancelled(), if until.is_none() => {
                    end(to_talk.take());
                    until = Some(Instant::now() + ENDING);
                }
                sound = line.inbound.recv(), if !gone => match sound {
                    None | Some(Inbound::Gone) => {
                        gone = true;
                        end(to_talk.take());
                        until.get_or_insert(Instant::now() + ENDING);
                    }
                    Some(sound) => pass(to_talk.as_ref(), sound),
                },
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                    tracing::warn!(call = line.arrival.carrier_id, "a talk did not end in time");
                    break (None, gone);
                }
            }
        }
    };
    while let Ok(note) = remarks.try_recv() {
        line.report(Report::Note(note));
    }
    let how = ended.map(|Ended { how, history }| {
        line.report(Report::History(history));
        how
    });
    if gone {
        return Err(Gone);
    }
    Ok(match how {
        // It was stopped: whoever stopped it has its own words for that.
        _ if stop.is_cancelled() => Finish::done(),
        None => Finish::failed("the conversation could not be ended"),
        Some(How::Gone) => return Err(Gone),
        Some(How::NoInput) => Finish::exit("no_input", "the caller stayed silent"),
        Some(How::Timeout) => Finish::exit("timeout", "the longest duration is over"),
        Some(How::Failed(why)) => Finish::failed(why),
        Some(How::Tool { then, stop }) => {
            Finish { then, stop, ..Finish::exit("done", "the agent ended the conversation") }
        }
    })
}

/// Passes on what the leg gave; a talk that does not keep up loses sound, never keys for long.
fn pass(to_talk: Option<&mpsc::Sender<Inbound>>, sound: Inbound) {
    if let Some(to_talk) = to_talk
        && let Err(mpsc::error::TrySendError::Full(lost)) = to_talk.try_send(sound)
    {
        metrics::counter!("voxflow_frames_dropped_total", "at" => "talk").increment(1);
        if !matches!(lost, Inbound::Frame(_)) {
            tracing::warn!(?lost, "a talk does not keep up and lost a key or a mark");
        }
    }
}

/// Tells the talk that nothing more comes. The channel's end says the same when it is full.
fn end(to_talk: Option<mpsc::Sender<Inbound>>) {
    if let Some(to_talk) = to_talk {
        let _ = to_talk.try_send(Inbound::Gone);
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
