//! A call that we dial: what Twilio is asked for, who waits for it, and what becomes of it.
//!
//! Twilio tells of it at an address that holds a token, which its media stream must bring too; so
//! whatever comes before Twilio's own answer finds its dial.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use call::{Arrival, Dialled, Leg, NotReached, Picked, Progress, Ringing, Wanted};
use serde::Deserialize;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::form::Form;
use super::{CHANNEL, Doors, Twilio, twiml};
use crate::refusal::Refused;

/// How long after its ringing a dial is known: the machine's detection takes up to 30 s, and the
/// stream comes after the answer.
const AFTERWARDS: Duration = Duration::from_secs(60);

/// What happens to a dial.
enum Told {
    /// `CallStatus`, and `SipResponseCode`.
    Status(String, Option<String>),
    /// Its stream has come.
    Answered(Leg),
}

/// A dial, as long as it is known.
struct Entry {
    from: String,
    to: String,
    events: mpsc::Sender<Told>,
    picked: watch::Sender<Option<Picked>>,
    detects: bool,
    until: Instant,
    /// Whether its stream has come.
    streamed: bool,
}

/// The dials of an account, by token.
#[derive(Default)]
pub(super) struct Dials(Mutex<HashMap<String, Entry>>);

/// Who takes the stream of a dial.
pub(super) struct Taker {
    /// With the id that the stream names.
    pub(super) arrival: Arrival,
    /// `None` = Twilio was not asked to find out.
    pub(super) picked: Option<watch::Receiver<Option<Picked>>>,
    events: mpsc::Sender<Told>,
}

impl Taker {
    /// Gives the leg to whoever dialed. Nobody waits any more: it is dropped, and so hung up.
    pub(super) async fn give(self, leg: Leg) {
        let _ = self.events.send(Told::Answered(leg)).await;
    }
}

impl Dials {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        // Nothing in here panics half way, so what a poisoned lock guards is whole.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        all.retain(|_, entry| entry.until > now);
        all
    }

    /// Who waits for the stream that brings this token; once.
    pub(super) fn take(&self, token: &str, call: &str) -> Option<Taker> {
        let mut all = self.all();
        let entry = all.get_mut(token).filter(|entry| !entry.streamed)?;
        entry.streamed = true;
        let arrival = Arrival {
            carrier: CHANNEL.into(),
            carrier_id: call.into(),
            from: entry.from.clone(),
            to: entry.to.clone(),
        };
        let picked = entry.detects.then(|| entry.picked.subscribe());
        Some(Taker { arrival, picked, events: entry.events.clone() })
    }
}

/// Dials somebody.
pub(super) async fn dial(twilio: &Arc<Twilio>, wanted: Wanted) -> Result<Ringing, NotReached> {
    let Some(rest) = &twilio.rest else {
        let why = "without TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN nobody can be dialed";
        return Err(NotReached::failed(why));
    };
    if wanted.anonymous {
        return Err(NotReached::failed("Twilio cannot hide who calls"));
    }
    let token = format!("{:032x}", rand::random::<u128>());
    let (events, told) = mpsc::channel(16);
    let entry = Entry {
        from: wanted.from.clone(),
        to: wanted.to.target.clone(),
        events,
        picked: watch::channel(None).0,
        detects: wanted.detect_machine,
        until: Instant::now() + wanted.ring + AFTERWARDS,
        streamed: false,
    };
    twilio.dials.all().insert(token.clone(), entry);
    let stream = twilio.stream_here(&token);
    // Twilio takes 1 to 600 seconds.
    let ring = wanted.ring.as_secs().clamp(1, 600).to_string();
    let status = twilio.here(&format!("/dialing/{token}"));
    let machine = twilio.here(&format!("/machine/{token}"));
    let mut form = vec![
        ("To", wanted.to.target.as_str()),
        ("From", wanted.from.as_str()),
        ("Twiml", stream.as_str()),
        ("Timeout", ring.as_str()),
        ("StatusCallback", status.as_str()),
        ("StatusCallbackEvent", "ringing"),
        ("StatusCallbackEvent", "completed"),
    ];
    if wanted.detect_machine {
        form.extend([
            ("MachineDetection", "Enable"),
            // The call goes on meanwhile.
            ("AsyncAmd", "true"),
            ("AsyncAmdStatusCallback", machine.as_str()),
        ]);
    }
    let call = match rest.dial(&form).await {
        Ok(call) => call,
        Err(why) => {
            twilio.dials.all().remove(&token);
            return Err(NotReached::failed(why));
        }
    };
    let (tell, ringing) = Ringing::pair(call.clone());
    let until = Instant::now() + wanted.ring + AFTERWARDS;
    tokio::spawn(wait(Arc::clone(twilio), call, tell, told, until));
    Ok(ringing)
}

/// Until somebody has picked up, nobody will, or nobody waits any more.
async fn wait(
    twilio: Arc<Twilio>,
    call: String,
    tell: mpsc::Sender<Progress>,
    mut told: mpsc::Receiver<Told>,
    until: Instant,
) {
    let end = loop {
        tokio::select! {
            biased;
            event = told.recv() => match event {
                Some(Told::Answered(leg)) => {
                    let _ = tell.send(Progress::Answered(Some(leg))).await;
                    return;
                }
                Some(Told::Status(status, _)) if status == "ringing" => {
                    let _ = tell.send(Progress::Ringing).await;
                }
                Some(Told::Status(status, sip)) => match twiml::dialled(&status, sip.as_deref()) {
                    // It was answered and is over, and no stream has come.
                    Dialled::AnsweredAndDone => break NotReached::failed("it gave no sound"),
                    how => break how.into(),
                },
                None => break NotReached::failed("Twilio told nothing more of the call"),
            },
            () = tell.closed() => return twilio.complete(&call).await,
            () = sleep_until(until) => {
                twilio.complete(&call).await;
                break Dialled::NoAnswer.into();
            }
        }
    };
    let _ = tell.send(Progress::Ended(end)).await;
}

/// The dial that an address is about.
#[derive(Deserialize)]
pub(super) struct Named {
    token: String,
}

/// `POST /twilio/dialing/{token}`: how far a call came that we dial.
pub(super) async fn status(
    State(doors): State<Arc<Doors>>,
    Path(Named { token }): Path<Named>,
    form: Form,
) -> Result<StatusCode, Refused> {
    let status = form.need("CallStatus")?;
    let events = doors.twilio.dials.all().get(&token).map(|entry| entry.events.clone());
    if let Some(events) = events
        && matches!(status, "ringing" | "completed" | "busy" | "failed" | "no-answer" | "canceled")
    {
        let sip = form.get("SipResponseCode").map(str::to_owned);
        // Nobody waits any more for a dial that was answered; its line hears of the end below.
        let _ = events.try_send(Told::Status(status.into(), sip));
    }
    super::voice::tell_line(&doors, form.need("CallSid")?, status).await;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /twilio/machine/{token}`: who picked up.
pub(super) async fn machine(
    State(doors): State<Arc<Doors>>,
    Path(Named { token }): Path<Named>,
    form: Form,
) -> Result<StatusCode, Refused> {
    let who = match form.need("AnsweredBy")? {
        "human" => Picked::Human,
        machine if machine.starts_with("machine") || machine == "fax" => Picked::Machine,
        _ => Picked::Unknown,
    };
    if let Some(entry) = doors.twilio.dials.all().get(&token) {
        entry.picked.send_replace(Some(who));
    }
    Ok(StatusCode::NO_CONTENT)
}
