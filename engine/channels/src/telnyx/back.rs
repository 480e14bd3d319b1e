//! A call that another process had: its stream is over, and this one asks for the next.

use std::sync::Arc;

use call::Arrival;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::Doors;
use super::calls::Hosted;
use super::line::{Line, token};

/// Asks for the sound of a call that another process had, and hosts it from then on.
pub(super) async fn take_over(doors: &Arc<Doors>, arrival: Arrival) {
    let telnyx = Arc::clone(&doors.telnyx);
    let Some(rest) = &telnyx.rest else { return };
    let (tell, happenings) = mpsc::channel(16);
    let mut hosted = Hosted::new(&telnyx.calls, tell.clone());
    let token = token();
    let call = arrival.carrier_id.clone();
    if !hosted.name(&call) || !hosted.name(&token) {
        return tracing::debug!(call, "the call is here already");
    }
    let switchboard = Arc::clone(&doors.switchboard);
    let Arrival { from, to, .. } = arrival.clone();
    let number = if switchboard.answers(&to) { to } else { from };
    let stream = telnyx.stream(&token);
    let (mut line, leg) =
        Line::new(Arc::clone(&telnyx), arrival, number, token, tell, happenings, None);
    (line.asked, line.answered) = (true, true);
    line.until = Some(Instant::now() + telnyx.limits.lost);
    let (reply, sounds) = oneshot::channel();
    line.answering.push(reply);
    if let Err(why) = rest.command(&call, "streaming_start", stream).await {
        return tracing::warn!(call, why, "a call that was lost has no sound");
    }
    // Only who can be heard takes the call from whoever had it.
    tokio::spawn(async move {
        if let Ok(Ok(())) = sounds.await {
            switchboard.take_over(leg, None).await;
        }
    });
    tokio::spawn(line.live(hosted));
}
