//! Calls that are handed on: by us to others (REFER out), and by the far side, which asks us to go
//! on with somebody else (REFER in, attended too: the place of another call is taken by Replaces).

use std::sync::Arc;
use std::time::Duration;

use call::Destination;
use call::leg::Unable;
use rsipstack::dialog::dialog::{DialogState, DialogStateReceiver, TransactionHandle};
use rsipstack::dialog::invite_dialog::InviteDialog;
use rsipstack::sip::{Header, Request, StatusCode};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::{Done, Next, Order, Sound, Stage, TRANSFER, Talk};
use crate::sip::inbound::header;
use crate::sip::invite::Caller;
use crate::sip::outbound;
use crate::sip::sdp::{Agreed, Ours};
use crate::sip::timer::Session;

/// How long whoever handed a call on may take to hang up; then we do.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long the new one may ring.
const RING: Duration = Duration::from_secs(60);

/// Somebody else with whom a call goes on.
pub(super) struct Moved {
    pub(super) dialog: InviteDialog,
    pub(super) states: DialogStateReceiver,
    pub(super) ours: Ours,
    pub(super) words: String,
    pub(super) agreed: Agreed,
    pub(super) session: Option<Session>,
}

impl Talk {
    /// Asks the far side to go on with somebody else.
    pub(super) fn transfer(
        &mut self,
        to: &Destination,
        reply: oneshot::Sender<Result<(), Unable>>,
    ) {
        let host = self.dialog.initial_request();
        let host = match self.dialog.role() {
            rsipstack::transaction::key::TransactionRole::Client => host.uri.host_with_port,
            rsipstack::transaction::key::TransactionRole::Server => {
                use rsipstack::sip::prelude::{HeadersExt, ToTypedHeader};
                match host.from_header().ok().and_then(|from| from.typed().ok()) {
                    Some(from) => from.uri.host_with_port,
                    None => host.uri.host_with_port,
                }
            }
        };
        // Exchanges know numbers of their own domain; few of them know `tel:`.
        let target = match to.kind.as_str() {
            "sip" => format!("<{}>", to.target),
            _ => format!("<sip:{}@{host}>", to.target),
        };
        self.hand_over(target, reply);
    }

    /// Asks the far side to take our place in another call, whose far side lies where it does.
    pub(super) fn join(&mut self, call: &str, reply: oneshot::Sender<Result<(), Unable>>) {
        match self.sip.place_in(call, &self.dialog.snapshot().remote_uri) {
            Some(target) => self.hand_over(target, reply),
            None => {
                let _ = reply.send(Err(Unable::Cannot));
            }
        }
    }

    fn hand_over(&mut self, target: String, reply: oneshot::Sender<Result<(), Unable>>) {
        let failed = |why: &str| Err(Unable::Failed(why.into()));
        if self.stage != Stage::Live {
            let _ = reply.send(failed("the call must be answered first"));
            return;
        }
        if self.going.transfer.is_some() {
            let _ = reply.send(failed("it is being handed over already"));
            return;
        }
        self.going.transfer = Some((reply, Instant::now() + TRANSFER));
        self.going.refer_to = Some(target);
        self.refer();
    }

    /// Asks, as soon as the call is confirmed: before that nothing can be asked in it.
    pub(super) fn refer(&mut self) {
        if !matches!(self.dialog.state(), DialogState::Confirmed(..)) {
            return;
        }
        let Some(target) = self.going.refer_to.take() else { return };
        let (dialog, tell) = (self.dialog.clone(), self.going.tell.clone());
        tokio::spawn(async move {
            let taken = match dialog.refer(target.as_str(), None, None).await {
                Ok(Some(answer)) if (200..300).contains(&answer.status_code.code()) => Ok(()),
                Ok(Some(answer)) => Err(format!("the far side refused: {}", answer.status_code)),
                Ok(None) => Err("the far side did not answer".into()),
                Err(error) => Err(error.to_string()),
            };
            let _ = tell.send(Done::Referred(taken)).await;
        });
    }

    /// The far side tells how handing over goes: a status line is in the message.
    pub(super) fn notified(&mut self, request: &Request) -> Next {
        let refer = header(request, "event").is_some_and(|event| event.starts_with("refer"));
        let status = std::str::from_utf8(&request.body).ok().and_then(status_of);
        let Some(status) = status.filter(|status| refer && *status >= 200) else { return Next::On };
        let Some((reply, _)) = self.going.transfer.take() else { return Next::On };
        if status < 300 {
            let _ = reply.send(Ok(()));
            return self.bye("Q.850;cause=16;text=\"handed over\"");
        }
        let _ = reply.send(Err(Unable::Failed(format!("nobody was reached: {status}"))));
        Next::On
    }

    /// The far side asks us to go on with somebody else.
    pub(super) async fn referred(&mut self, request: &Request, handle: TransactionHandle) {
        let target = header(request, "refer-to").and_then(|value| target_of(&value));
        let Some((to, replaces)) = target else {
            let _ = handle.reply(StatusCode::BadRequest).await;
            return;
        };
        let way = match self.sip.route(&to).await {
            Ok(way) if !self.going.moving && self.stage == Stage::Live => way,
            Ok(_) | Err(_) => {
                let _ = handle.reply(StatusCode::Decline).await;
                return;
            }
        };
        self.going.moving = true;
        let _ = handle.reply(StatusCode::Accepted).await;
        let mut headers: Vec<Header> = Vec::new();
        headers.extend(replaces.map(|replaces| Header::Replaces(replaces.into())));
        if let Some(by) = header(request, "referred-by") {
            headers.push(Header::ReferredBy(by.into()));
        }
        let (sip, mut ours) = (Arc::clone(&self.sip), self.ours.clone());
        let (old, tell) = (self.dialog.clone(), self.going.tell.clone());
        // Whoever does not listen to this does not hold up the call.
        tokio::spawn(async move {
            let _ = old.notify_refer(StatusCode::Trying, "active;expires=60").await;
        });
        tokio::spawn(async move {
            let caller = Caller::named("voxflow");
            let words = ours.offer(way.encrypt);
            let moved = outbound::reach(&sip, way, caller, &words, headers, RING).await;
            let moved = moved.and_then(|reached| {
                let answer = reached.answer(&ours).map_err(|_| StatusCode::NotAcceptableHere);
                let session = super::session_of(&reached.response);
                let outbound::Reached { dialog, states, .. } = reached;
                answer.map(|agreed| Moved { dialog, states, ours, words, agreed, session })
            });
            let _ = tell.send(Done::Moved(Box::new(moved))).await;
        });
    }

    /// The call goes on with somebody else; whoever handed it on is told, and let go.
    pub(super) async fn move_to(
        &mut self,
        moved: Moved,
        old_states: DialogStateReceiver,
        sound: &Sound,
    ) -> DialogStateReceiver {
        let Moved { dialog, states, ours, words, agreed, session } = moved;
        sound.order(Order::Agree(Box::new(agreed))).await;
        let old = std::mem::replace(&mut self.dialog, dialog);
        (self.ours, self.words, self.session) = (ours, words, session);
        self.going.confirmed = Instant::now();
        self.going.moving = false;
        let sip = Arc::clone(&self.sip);
        tokio::spawn(async move {
            let _ = old.notify_refer(StatusCode::OK, "terminated;reason=noresource").await;
            if timeout(FAREWELL, over(old_states)).await.is_err() {
                let _ = old.bye().await;
            }
            sip.layer.remove_dialog(&old.id());
        });
        states
    }

    /// Nobody was reached; the call goes on as it was.
    pub(super) fn not_moved(&mut self, status: StatusCode) -> Next {
        self.going.moving = false;
        let old = self.dialog.clone();
        tokio::spawn(async move {
            let _ = old.notify_refer(status, "terminated;reason=noresource").await;
        });
        Next::On
    }
}

/// Until a call is over; what is asked of it meanwhile is refused by letting go of it.
async fn over(mut states: DialogStateReceiver) {
    while let Some(state) = states.recv().await {
        if matches!(state, DialogState::Terminated(..)) {
            return;
        }
    }
}

/// The status in `SIP/2.0 200 OK`.
fn status_of(fragment: &str) -> Option<u16> {
    fragment.lines().next()?.strip_prefix("SIP/2.0 ")?.split(' ').next()?.parse().ok()
}

/// Whom a `Refer-To` names, and whose place is taken there:
/// `<sip:anna@192.0.2.7?Replaces=id%3Bto-tag%3Da%3Bfrom-tag%3Db>`.
fn target_of(value: &str) -> Option<(Destination, Option<String>)> {
    let uri = match value.split_once('<') {
        Some((_, rest)) => rest.split_once('>')?.0,
        None => value.split(';').next()?,
    };
    let (address, headers) = uri.split_once('?').map_or((uri, ""), |(a, b)| (a, b));
    let kind = address.split(':').next()?.to_ascii_lowercase();
    let destination = match kind.as_str() {
        "tel" => {
            let number = address.get(4..)?.split(';').next()?;
            Destination { kind: "tel".into(), target: number.into(), name: None }
        }
        "sip" | "sips" => Destination { kind: "sip".into(), target: address.into(), name: None },
        _ => return None,
    };
    let replaces = form(headers).find(|(name, _)| name.eq_ignore_ascii_case("replaces"));
    Some((destination, replaces.map(|(_, value)| value)))
}

fn form(headers: &str) -> impl Iterator<Item = (String, String)> {
    url::form_urlencoded::parse(headers.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn whom_a_call_is_handed_to() {
        let (to, replaces) = target_of("<sip:anna@192.0.2.7:5070>").unwrap();
        assert_eq!((to.kind.as_str(), to.target.as_str()), ("sip", "sip:anna@192.0.2.7:5070"));
        assert_eq!(replaces, None);
        let attended =
            "\"A\" <sip:b@x?Replaces=1%402%3Bto-tag%3Da%3Bfrom-tag%3Db&Require=replaces>";
        let (to, replaces) = target_of(attended).unwrap();
        assert_eq!(to.target, "sip:b@x");
        assert_eq!(replaces.as_deref(), Some("1@2;to-tag=a;from-tag=b"));
        assert_eq!(target_of("tel:+15551230000").unwrap().0.target, "+15551230000");
        assert!(target_of("<mailto:a@b>").is_none() && target_of("").is_none());
    }

    #[test]
    fn what_a_fragment_tells() {
        assert_eq!(status_of("SIP/2.0 200 OK\r\n"), Some(200));
        assert_eq!(status_of("HTTP/1.1 200 OK"), None);
    }
}
