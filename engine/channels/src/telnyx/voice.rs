//! What Telnyx tells of calls: one rings, was answered, ended; who picked up.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use call::{Arrival, Dialled, HangupCause, NotReached, Picked};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::control::HANDED;
use super::happening::Happening;
use super::line::arrive;
use super::{CHANNEL, Doors, back};

/// What every event about a call holds.
#[derive(Deserialize)]
pub(super) struct Payload {
    call_control_id: String,
    #[serde(default)]
    client_state: Option<String>,
    #[serde(default)]
    direction: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    #[serde(default)]
    hangup_cause: Option<String>,
    #[serde(default)]
    sip_hangup_cause: Option<String>,
    #[serde(default)]
    result: Option<String>,
    #[serde(default)]
    failure_reason: Option<String>,
}

/// Whether an event is about a call.
pub(super) fn is_voice(event: &str) -> bool {
    event.starts_with("call.") || event.starts_with("streaming.")
}

/// What the process answers to an event that hosts its call, if that is another one.
pub(super) async fn elsewhere(
    doors: &Doors,
    kind: &str,
    payload: &Payload,
    request: Request,
) -> Option<Response> {
    if rings(kind, payload) || line(doors, payload).is_some() {
        return None;
    }
    doors.elsewhere.host(CHANNEL, &payload.call_control_id, request).await.ok()
}

/// Whether a call comes in.
fn rings(kind: &str, payload: &Payload) -> bool {
    kind == "call.initiated" && payload.direction == "incoming"
}

/// What we told Telnyx to tell of a call.
fn state(payload: &Payload) -> Option<String> {
    let state = BASE64_STANDARD.decode(payload.client_state.as_deref()?).ok()?;
    String::from_utf8(state).ok()
}

/// The line of a call: one that we dial is known by our token before Telnyx has told us its own id,
/// and so is a leg that Telnyx has dialed for it.
fn line(doors: &Doors, payload: &Payload) -> Option<mpsc::Sender<Happening>> {
    let token = || {
        let state = state(payload)?;
        doors.telnyx.calls.line(state.strip_prefix(HANDED).unwrap_or(&state))
    };
    doors.telnyx.calls.line(&payload.call_control_id).or_else(token)
}

/// Takes an event about a call. Telnyx repeats events and brings them in any order; a repeated one
/// means nothing. `left` = the process that it was for could not be reached.
pub(super) async fn event(doors: &Arc<Doors>, kind: &str, id: &str, payload: Payload, left: bool) {
    if !doors.telnyx.calls.fresh(id) {
        return;
    }
    if rings(kind, &payload) {
        return ring(doors, payload).await;
    }
    let happening = match kind {
        "call.initiated" => Happening::Ringing,
        "call.answered" => Happening::Answered,
        "call.bridged" => Happening::Bridged,
        "call.hangup" => Happening::Over(end(&payload)),
        "streaming.stopped" => return lost(doors, payload.call_control_id, left),
        "streaming.failed" => {
            let why = payload.failure_reason.clone().unwrap_or_default();
            Happening::NoStream(format!("Telnyx could not reach our socket: {why}"))
        }
        kind if kind.starts_with("call.machine.") && kind.ends_with("detection.ended") => {
            Happening::Picked(picked(payload.result.as_deref().unwrap_or_default()))
        }
        other => return tracing::debug!(event = other, "passed over"),
    };
    if let Some(token) = state(&payload).as_deref().and_then(|state| state.strip_prefix(HANDED)) {
        // A leg that Telnyx has dialed for us: only that nobody took it matters.
        if let (Happening::Over(end), Some(line)) = (happening, doors.telnyx.calls.line(token)) {
            let _ = line.send(Happening::NotTaken(end)).await;
        }
        return;
    }
    match line(doors, &payload) {
        // A line that ends right now knows enough.
        Some(line) => drop(line.send(happening).await),
        None => nobodys(doors, payload.call_control_id, &happening, left),
    }
}

/// Something is told of a call that has no line here.
fn nobodys(doors: &Arc<Doors>, call: String, happening: &Happening, left: bool) {
    match happening {
        Happening::Over(_) => {
            let switchboard = Arc::clone(&doors.switchboard);
            tokio::spawn(async move { switchboard.ended(CHANNEL, &call).await });
        }
        Happening::NoStream(_) => lost(doors, call, left),
        _ => tracing::debug!(call, "an unknown call"),
    }
}

/// The stream of a call is over, and the call is not. Its line here knows; if it has none, its
/// process may have died: then this one goes on with it. To find that out takes a while. The far leg
/// of a call that the process had bridged has no flow to go on with: it is hung up.
fn lost(doors: &Arc<Doors>, call: String, left: bool) {
    if doors.telnyx.calls.line(&call).is_some() {
        return;
    }
    let doors = Arc::clone(doors);
    tokio::spawn(async move {
        if let Some(arrival) = doors.switchboard.orphaned(CHANNEL, &call).await {
            back::take_over(&doors, arrival).await;
        } else if left
            && doors.telnyx.calls.line(&call).is_none()
            && doors.switchboard.elsewhere(CHANNEL, &call).await.is_none()
            && let Some(rest) = &doors.telnyx.rest
            && let Err(why) = rest.command(&call, "hangup", serde_json::json!({})).await
        {
            tracing::warn!(call, why, "a leg that nobody wants could not be hung up");
        }
    });
}

/// A call comes in: it stays parked until the flow picks up, or gives it sound.
async fn ring(doors: &Arc<Doors>, payload: Payload) {
    let telnyx = &doors.telnyx;
    let Some(rest) = &telnyx.rest else {
        return tracing::warn!("a call comes in, and TELNYX_API_KEY is not set");
    };
    let (call, to) = (payload.call_control_id, payload.to);
    let refusal = if !doors.switchboard.answers(&to) {
        tracing::warn!(call, to, "a call to a number that has no flow for calls");
        Some("NOT_FOUND")
    } else {
        (!doors.switchboard.admits()).then_some("USER_BUSY")
    };
    if let Some(cause) = refusal {
        if let Err(why) = rest.command(&call, "reject", serde_json::json!({ "cause": cause })).await
        {
            tracing::warn!(call, why, "a call could not be rejected");
        }
        return;
    }
    let from = payload.from;
    let arrival = Arrival { carrier: CHANNEL.into(), carrier_id: call, from, to };
    arrive(doors, arrival);
}

/// Who picked up, in Telnyx's words.
fn picked(result: &str) -> Picked {
    match result {
        // The premium detection tells two kinds of people.
        human if human.starts_with("human") => Picked::Human,
        "machine" | "fax_detected" => Picked::Machine,
        _ => Picked::Unknown,
    }
}

/// Why a call ended that nobody picked up.
fn end(payload: &Payload) -> NotReached {
    let sip = payload.sip_hangup_cause.as_deref().unwrap_or_default();
    let cause = payload.hangup_cause.as_deref().unwrap_or_default();
    let how = match (cause, sip) {
        ("user_busy", _) | (_, "486" | "600") => Dialled::Busy,
        ("call_rejected", _) | (_, "603" | "607" | "608") => Dialled::Rejected,
        ("not_found", _) | (_, "404" | "484" | "604") => Dialled::Failed,
        ("timeout" | "no_answer" | "originator_cancel" | "normal_clearing", _)
        | (_, "408" | "480" | "487") => Dialled::NoAnswer,
        _ => Dialled::Failed,
    };
    let why = if cause.is_empty() {
        how.words().to_owned()
    } else {
        format!("{}: {cause} {sip}", how.words())
    };
    NotReached { how, why: why.trim().to_owned() }
}

/// How a parked call is turned away for this reason.
pub(super) fn rejection(cause: HangupCause) -> &'static str {
    match cause {
        HangupCause::Busy => "USER_BUSY",
        HangupCause::NoAnswer | HangupCause::Timeout | HangupCause::Failed => {
            "TEMPORARILY_UNAVAILABLE"
        }
        HangupCause::Normal | HangupCause::Rejected | HangupCause::Cancelled => "CALL_REJECTED",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ends_of_a_dial_are_told_apart() {
        let how = |cause: &str, sip: &str| {
            let payload = serde_json::json!({ "call_control_id": "v3:a", "client_state": null,
                "hangup_cause": cause, "sip_hangup_cause": sip });
            end(&serde_json::from_value(payload).unwrap()).how
        };
        assert_eq!(how("user_busy", "486"), Dialled::Busy);
        assert_eq!(how("unspecified", "486"), Dialled::Busy);
        assert_eq!(how("call_rejected", "603"), Dialled::Rejected);
        assert_eq!(how("timeout", "487"), Dialled::NoAnswer);
        assert_eq!(how("originator_cancel", ""), Dialled::NoAnswer);
        assert_eq!(how("not_found", "404"), Dialled::Failed);
        assert_eq!(how("what is this", ""), Dialled::Failed);
    }

    #[test]
    fn people_and_machines_are_told_apart() {
        assert_eq!(picked("human_residence"), Picked::Human);
        assert_eq!(picked("machine"), Picked::Machine);
        assert_eq!(picked("not_sure"), Picked::Unknown);
    }
}
