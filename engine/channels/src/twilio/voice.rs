//! A call rings, is connected, ends: the webhooks of Programmable Voice.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use call::Arrival;
use jiff::{SignedDuration, Timestamp};

use super::calls::Claim;
use super::form::Form;
use super::line::Happening;
use super::wire::Start;
use super::{CHANNEL, Doors, Twilio, token, twiml};
use crate::outward;
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
    // A call that goes on asks here when this is where Twilio was told to turn to in need.
    if form.get("CallStatus") == Some("in-progress")
        && twilio.calls.line(call).is_none()
        && let Some(arrival) = doors.switchboard.brought_back(CHANNEL, call).await
    {
        return Ok(twiml::answer(twilio.stream(Claim::Lost(arrival, None))));
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
    let end = twiml::dialled(status, form.get("DialSipResponseCode"));
    let is_over = form.get("CallStatus").is_some_and(over);
    let Some(line) = twilio.calls.line(call) else {
        if is_over {
            tell_line(&doors, call, "completed").await;
            return Ok(twiml::answer(twiml::nothing()));
        }
        let answer = match doors.switchboard.brought_back(CHANNEL, call).await {
            Some(arrival) => twilio.stream(Claim::Lost(arrival, Some(end))),
            None => {
                // Nobody knows what the flow wanted to do next.
                tracing::warn!(call, "a dial ended for a call that nobody knows");
                twiml::hangup()
            }
        };
        twilio.calls.answer(call, repetition, &answer);
        return Ok(twiml::answer(answer));
    };
    if is_over {
        let _ = line.send(Happening::Gone).await;
        return Ok(twiml::answer(twiml::nothing()));
    }
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
/// still waits for the caller: the answer is a new stream. So it is when the process died that had
/// the call, or let it go: this one takes it over.
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
    if form.get("CallStatus").is_some_and(over) {
        tell_line(&doors, call, "completed").await;
        return Ok(twiml::answer(twiml::nothing()));
    }
    let answer = match twilio.calls.line(call) {
        Some(_) => twilio.stream(Claim::Back(call.into())),
        None => match doors.switchboard.brought_back(CHANNEL, call).await {
            Some(arrival) => twilio.stream(Claim::Lost(arrival, None)),
            None if twilio.calls.ended(call) => twiml::hangup(),
            None => {
                tracing::warn!(call, "a stream ended for a call that nobody knows");
                twiml::apologize(CUT_OFF)
            }
        },
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
        match doors.twilio.calls.line(call) {
            Some(line) => drop(line.send(Happening::Gone).await),
            // Its process may have died. To find that out takes longer than Twilio shall wait.
            None => {
                let (switchboard, call) = (Arc::clone(&doors.switchboard), call.to_owned());
                tokio::spawn(async move { switchboard.ended(CHANNEL, &call).await });
            }
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
        let Some(token) = self.sealed(&claim) else {
            return self.stream_here(&self.calls.token(claim));
        };
        self.calls.keep(token.clone(), claim);
        let url = self.address("/twilio/media");
        twiml::stream(&outward::socket(&url), &token, &self.address("/twilio/streamed"))
    }

    /// An answer that opens a media stream to this process, by a token that no other knows.
    pub(super) fn stream_here(&self, token: &str) -> String {
        twiml::stream(&outward::socket(&self.here("/media")), token, &self.here("/streamed"))
    }

    /// A token by which any process knows a call that arrives.
    fn sealed(&self, claim: &Claim) -> Option<String> {
        let (Claim::New(arrival), Some(key)) = (claim, &self.settings.auth_token) else {
            return None;
        };
        let keep = SignedDuration::try_from(self.settings.limits.claim).ok()?;
        token::seal(key, arrival, Timestamp::now().checked_add(keep).ok()?)
    }

    /// What a media stream may claim: by a token of ours, or by that of another process.
    pub(super) fn claimed(&self, start: &Start) -> Option<Claim> {
        self.calls.claim(&start.token).or_else(|| {
            let key = self.settings.auth_token.as_ref()?;
            let arrival = token::open(key, &start.token, Timestamp::now())?;
            let fits = arrival.carrier_id == start.call && self.calls.unseen(&start.call);
            fits.then_some(Claim::New(arrival))
        })
    }
}
