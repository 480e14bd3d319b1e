//! What must be done though nothing happens: a session is confirmed (RFC 4028), or the call ends; a
//! handover that nobody tells of is given up.

use call::leg::Unable;
use rsipstack::sip::{Header, Response, StatusCode};
use tokio::time::Instant;

use super::{Done, Next, Stage, Talk};
use crate::sip::agent::abilities;
use crate::sip::inbound::{described, value};
use crate::sip::timer::{Session, Side};

pub(super) const UNCONFIRMED: &str = "SIP;cause=408;text=\"the session was not confirmed\"";

impl Talk {
    /// When something must be done though nothing happens.
    pub(super) fn due(&self) -> Option<Instant> {
        let session = self.session.filter(|_| self.stage == Stage::Live);
        let session = session.map(|session| self.going.confirmed + session.due());
        let transfer = self.going.transfer.as_ref().map(|(_, until)| *until);
        session.into_iter().chain(transfer).min()
    }

    pub(super) async fn due_now(&mut self) -> Next {
        let now = Instant::now();
        if let Some((reply, _)) = self.going.transfer.take_if(|(_, until)| *until <= now) {
            let late = "the far side did not say what became of it";
            let _ = reply.send(Err(Unable::Failed(late.into())));
        }
        let Some(session) = self.session else { return Next::On };
        if now < self.going.confirmed + session.due() {
            return Next::On;
        }
        if !session.ours() {
            return self.bye(UNCONFIRMED);
        }
        self.going.confirmed = now;
        let (dialog, tell, words) =
            (self.dialog.clone(), self.going.tell.clone(), self.words.clone());
        let mut headers = abilities();
        headers.push(Header::ContentType("application/sdp".into()));
        headers.push(Header::SessionExpires(session.header(Side::Asking).into()));
        tokio::spawn(async move {
            let answer =
                dialog.reinvite_with_glare_retry(Some(headers), Some(words.into()), 3).await;
            let answer =
                answer.ok().flatten().filter(|answer| answer.status_code == StatusCode::OK);
            let words = answer.and_then(|answer| {
                let words = described(&answer.body)?.ok()?;
                Some((Box::new(words), session_of(&answer)))
            });
            // Nobody listens when the call is over meanwhile.
            let _ = tell.send(Done::Confirmed(dialog.id(), words)).await;
        });
        Next::On
    }
}

/// The session that an answer to our request tells.
pub(in crate::sip) fn session_of(answer: &Response) -> Option<Session> {
    let header = value(answer.headers.iter(), "session-expires")?;
    Session::read(&header, Side::Asking)
}
