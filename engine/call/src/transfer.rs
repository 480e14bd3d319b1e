//! `transfer_call`: a caller is handed over to somebody else, unseen, or after that one was asked.
//!
//! Asked first (attended): they are called, told who comes, and may refuse; the caller hears
//! ringing meanwhile and goes on here unless they take the call. Then the carrier joins both far
//! sides where it can, and our legs go; otherwise they hear each other through us until one of
//! them hangs up.

use std::sync::Arc;
use std::time::Duration;

use agent::Config;
use flow::{Destination, HangupCause};
use serde::Deserialize;
use talk::{Inbound, Outbound};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use crate::bridge::{self, Company};
use crate::deeds;
use crate::leg::{Dial, Unable};
use crate::session::{Finish, Gone, Line};

/// How long a handover may take, ringing included, and how long the leg may stay after it.
const HANDOVER: Duration = Duration::from_secs(90);
const FAREWELL: Duration = Duration::from_secs(10);

/// How long whoever is asked may think about it.
const DECISION: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
pub(crate) struct Transfer {
    destination: Destination,
    attended: bool,
    announce: Option<String>,
    accept_on: String,
    music: Option<String>,
    ring_s: u64,
}

/// Hands the caller over; comes back only when the call goes on here.
pub(crate) async fn carry_out(line: &mut Line, transfer: Transfer) -> Result<Finish, Gone> {
    if transfer.attended {
        return attended(line, transfer).await;
    }
    let control = Arc::clone(&line.control);
    match line.control(timeout(HANDOVER, control.transfer(&transfer.destination))).await? {
        Ok(Ok(())) => leave(line).await,
        Ok(Err(unable)) => Ok(Finish::failed(unable.to_string())),
        Err(_) => Ok(Finish::failed("the carrier did not say in time whether it was taken")),
    }
}

/// Until the leg of a caller who was handed over is gone.
async fn leave(line: &mut Line) -> Result<Finish, Gone> {
    let until = Instant::now() + FAREWELL;
    loop {
        tokio::select! {
            biased;
            heard = line.hear() => { heard?; }
            () = sleep_until(until) => {
                return Ok(Finish::failed("it was handed over, and is here still"));
            }
        }
    }
}

async fn attended(line: &mut Line, transfer: Transfer) -> Result<Finish, Gone> {
    let dial = Dial {
        destinations: vec![transfer.destination.clone()],
        source: None,
        ring: Duration::from_secs(transfer.ring_s),
        early_media: false,
        anonymous: false,
        music: transfer.music.clone(),
        announce: None,
        end_on: String::new(),
    };
    let mut company = Company::new(line, dial.music.as_deref()).await?;
    let leg = match bridge::reach(line, &mut company, &dial).await? {
        Ok((_, leg)) => leg,
        Err(end) => {
            line.give(Outbound::Clear).await?;
            return Ok(not_taken(end.how.exit(), end.why));
        }
    };
    let (reports, _unread) = mpsc::unbounded_channel();
    let mut far = Line::new(leg, line.means.clone(), reports);
    let taken = tokio::select! {
        biased;
        gone = company.keep(line) => return Err(gone),
        taken = consult(&mut far, &transfer) => taken,
    };
    line.give(Outbound::Clear).await?;
    if let Err(why) = taken {
        return Ok(not_taken("rejected", why));
    }
    let control = Arc::clone(&line.control);
    if let Err(why) = line.control(control.answer()).await? {
        return Ok(not_taken("failed", why));
    }
    // What is recorded must go on through us.
    if line.recording.is_none() && line.arrival.carrier == far.arrival.carrier {
        match line.control(timeout(HANDOVER, control.join(&far.arrival))).await? {
            Ok(Ok(())) => return leave(line).await,
            Ok(Err(Unable::Cannot)) => {}
            Ok(Err(Unable::Failed(why))) => {
                if gone(&mut far) {
                    return Ok(not_taken("failed", why));
                }
                tracing::info!(why, "the carrier did not join two calls; they go on through us");
            }
            Err(_) => {
                tracing::info!("the carrier did not say in time whether two calls are joined")
            }
        }
    }
    bridge::talk(line, &mut far, "").await?;
    line.control(control.hangup(HangupCause::Normal)).await?.ok();
    leave(line).await
}

/// Whether a far side has gone meanwhile; what it said is not for anybody.
fn gone(far: &mut Line) -> bool {
    loop {
        match far.inbound.try_recv() {
            Err(mpsc::error::TryRecvError::Empty) => return false,
            Err(mpsc::error::TryRecvError::Disconnected) | Ok(Inbound::Gone) => return true,
            Ok(_) => {}
        }
    }
}

/// They did not take the caller; the flow may ask why.
fn not_taken(outcome: &'static str, why: impl Into<String>) -> Finish {
    let mut finish = Finish::failed(why);
    finish.values.insert("outcome".into(), outcome.into());
    finish
}

/// Whoever picked up is told who comes, and decides.
async fn consult(far: &mut Line, transfer: &Transfer) -> Result<(), String> {
    let hung_up = |_| "they hung up before they took the caller".to_owned();
    let mut pressed = None;
    match &transfer.announce {
        Some(text) if transfer.accept_on.is_empty() => {
            deeds::tell(far, text, &Config::default()).await.map_err(hung_up)?;
        }
        Some(text) => pressed = deeds::tell_until_key(far, text).await.map_err(hung_up)?,
        None => {}
    }
    if transfer.accept_on.is_empty() {
        return Ok(());
    }
    let until = Instant::now() + DECISION;
    loop {
        if let Some(key) = pressed.take().or_else(|| far.keys.pop_front()) {
            let taken = transfer.accept_on.contains(key);
            return if taken { Ok(()) } else { Err(format!("they refused by `{key}`")) };
        }
        tokio::select! {
            biased;
            heard = far.hear() => { heard.map_err(hung_up)?; }
            () = sleep_until(until) => return Err("they did not say whether they take it".into()),
        }
    }
}
