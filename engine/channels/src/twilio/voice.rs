//! A call rings, is connected, ends: the webhooks of Programmable Voice.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use call::Arrival;

use super::calls::Claim;
use super::form::Form;
use super::line::Happening;
use super::{CHANNEL, Doors, Twilio, twiml};
use crate::refusal::Refused;

/// What a caller hears who dialed a number without a flow.
const UNKNOWN: &str = "This number is not configured. Goodbye.";

/// What a caller hears when this process can take no more.
const BUSY: &str = "All our lines are busy. Please call again in a moment.";

/// What a caller hears whose call nobody here knows any more.
const CUT_OFF: &str = "Sorry, we were cut off. Please call again.";

/// `POST /twilio/voice`: a call rings. The answer opens its media stream.
pub(super) async fn ring(State(doors): State<Arc<Doors>>, form: Form) -> Result<Response, Refused> {
    let call = form.need("CallSid")?;
    let to = form.need("To")?;
    let twilio = &doors.twilio;
    let repetition = form.repetition.as_deref();
    if let Some(answer) = twilio.calls.answered(call, repetition) {
        return Ok(twiml::answer(answer));
    }
    if !doors.switchboard.answers(to) {
        tracing::warn!(call, to, "a call to a number that has no flow for calls");
        return Ok(twiml::answer(twiml::apologize(UNKNOWN)));
    }
    if !doors.switchboard.admits() {
        return Ok(twiml::answer(twiml::apologize(BUSY)));
    }
    let arrival = Arrival {
        carrier: CHANNEL.into(),
        carrier_id: call.into(),
        from: form.get("From").unwrap_or_default().into(),
        to: to.into(),
    };
    let answer = twilio.stream(Claim::New(arrival));
    twilio.calls.answer(call, repetition, &answer);
    Ok(twiml::answer(answer))
}

/// `POST /twilio/dialed`: a dial is over. The answer brings the caller back to the flow.
pub(super) async fn dialed(
    State(doors): State<Arc<Doors>>,
    form: Form,
) -> Result<Response, Refused> {
    let call = form.need("CallSid")?;
    let status = form.need("DialCallStatus")?;
    let twilio = &doors.twilio;
    let repetition = form.repetition.as_deref();
    if let Some(answer) = twilio.calls.answered(call, repetition) {
        return Ok(twiml::answer(answer));
    }
    let Some(line) = twilio.calls.line(call) else {
        // Nobody here knows what the flow wanted to do next.
        tracing::warn!(call, "a dial ended for a call that is not here");
        return Ok(twiml::answer(twiml::hangup()));
    };
    if form.get("CallStatus").is_some_and(over) {
        let _ = line.send(Happening::Gone).await;
        return Ok(twiml::answer(twiml::nothing()));
    }
    let end = twiml::dialled(status, form.get("DialSipResponseCode"));
    // The token is made first: the line waits for it once it knows of the end.
    let answer = twilio.stream(Claim::Back(call.into()));
    if line.send(Happening::Dialled(end)).await.is_err() {
        twilio.calls.over(call);
        return Ok(twiml::answer(twiml::hangup()));
    }
    twilio.calls.answer(call, repetition, &answer);
    Ok(twiml::answer(answer))
}

/// `POST /twilio/streamed`: a media stream ended and the call did not. When it was lost, its line
/// still waits for the caller: the answer is a new stream.
pub(super) async fn streamed(
    State(doors): State<Arc<Doors>>,
    form: Form,
) -> Result<Response, Refused> {
    let call = form.need("CallSid")?;
    let twilio = &doors.twilio;
    let repetition = form.repetition.as_deref();
    if let Some(answer) = twilio.calls.answered(call, repetition) {
        return Ok(twiml::answer(answer));
    }
    let line = twilio.calls.line(call);
    if form.get("CallStatus").is_some_and(over) {
        if let Some(line) = line {
            let _ = line.send(Happening::Gone).await;
        }
        return Ok(twiml::answer(twiml::nothing()));
    }
    let answer = match line {
        Some(_) => twilio.stream(Claim::Back(call.into())),
        None if twilio.calls.ended(call) => twiml::hangup(),
        None => {
            tracing::warn!(call, "a stream ended for a call that is not here");
            twiml::apologize(CUT_OFF)
        }
    };
    twilio.calls.answer(call, repetition, &answer);
    Ok(twiml::answer(answer))
}

/// `POST /twilio/status`: how far a call came.
pub(super) async fn status(
    State(doors): State<Arc<Doors>>,
    form: Form,
) -> Result<StatusCode, Refused> {
    tell_line(&doors, form.need("CallSid")?, form.need("CallStatus")?).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Tells the line of a call that the call is over, if it is.
pub(super) async fn tell_line(doors: &Doors, call: &str, status: &str) {
    if over(status) {
        doors.twilio.calls.over(call);
        if let Some(line) = doors.twilio.calls.line(call) {
            let _ = line.send(Happening::Gone).await;
        }
    }
}

/// Whether a call of this status is over.
fn over(status: &str) -> bool {
    matches!(status, "completed" | "busy" | "failed" | "no-answer" | "canceled")
}

impl Twilio {
    /// An answer that opens a media stream for a claim.
    pub(super) fn stream(&self, claim: Claim) -> String {
        let token = self.calls.token(claim);
        let url = self.socket_address("/twilio/media");
        twiml::stream(&url, &token, &self.address("/twilio/streamed"))
    }
}
