//! A call that we dial: what Telnyx is asked for, and the line that waits for what becomes of it.

use std::sync::Arc;

use call::{Arrival, NotReached, Ringing, Wanted};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::calls::Hosted;
use super::line::{Dialing, Line, token};
use super::{CHANNEL, Telnyx};

/// Dials somebody.
pub(super) async fn dial(telnyx: &Arc<Telnyx>, wanted: Wanted) -> Result<Ringing, NotReached> {
    let (Some(rest), Some(connection)) = (&telnyx.rest, &telnyx.connection) else {
        let why = "TELNYX_API_KEY and TELNYX_CONNECTION_ID are needed to dial";
        return Err(NotReached::failed(why));
    };
    let (tell, happenings) = mpsc::channel(16);
    let mut hosted = Hosted::new(&telnyx.calls, tell.clone());
    let token = token();
    // Before the call: what Telnyx tells may come before its answer does.
    hosted.name(&token);
    let mut body = telnyx.stream(&token);
    body["connection_id"] = json!(connection);
    body["to"] = json!(wanted.to.target);
    body["from"] = json!(wanted.from);
    body["timeout_secs"] = json!(wanted.ring.as_secs().clamp(5, 600));
    body["webhook_url"] = json!(telnyx.here("/webhook"));
    body["command_id"] = json!(token);
    if wanted.anonymous {
        body["privacy"] = json!("id");
    }
    if wanted.detect_machine {
        body["answering_machine_detection"] = json!("detect");
    }
    let call = rest.dial(body).await?;
    hosted.name(&call);
    let (from, to) = (wanted.from.clone(), wanted.to.target.clone());
    let arrival =
        Arrival { carrier: CHANNEL.into(), carrier_id: call.clone(), from: from.clone(), to };
    let (progress, ringing) = Ringing::pair(call);
    let dialing = Dialing { tell: progress, leg: None };
    let detect = wanted.detect_machine;
    let telnyx = Arc::clone(telnyx);
    let limit = wanted.ring + telnyx.limits.stream;
    let (mut line, leg) =
        Line::new(telnyx, arrival, from, token, tell, happenings, Some((dialing, detect)));
    line.until = Some(Instant::now() + limit);
    line.dialing.as_mut().map(|dialing| dialing.leg.replace(leg));
    tokio::spawn(line.live(hosted));
    Ok(ringing)
}
