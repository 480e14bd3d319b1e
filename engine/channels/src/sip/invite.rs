//! An INVITE of ours, and its next tries: the next place of those where somebody lies (RFC 3263,
//! section 4.3), and a longer session for those who want one (RFC 4028, section 7.4).

use rsipstack::dialog::dialog::DialogStateReceiver;
use rsipstack::dialog::invitation::{InviteAsyncResult, InviteOption};
use rsipstack::dialog::invite_dialog::InviteDialog;
use rsipstack::sip::{self, Header, HostWithPort, Scheme, StatusCode, Uri};
use tokio::task::{JoinError, JoinHandle};

use super::agent::{Sip, abilities};
use super::inbound::value;
use super::route::{Way, host_of};
use super::timer::least;

/// The longest session that is agreed to, seconds: a day.
const LONGEST: u32 = 86_400;

/// Who calls.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) user: String,
    pub(super) anonymous: bool,
}

impl Caller {
    /// Somebody with a number or a name.
    pub(super) fn named(user: &str) -> Self {
        Self { user: user.into(), anonymous: false }
    }
}

/// Whom to call, and what is said.
pub(super) struct Invitation {
    way: Way,
    /// Which of the places is tried.
    at: usize,
    caller: Caller,
    words: String,
    headers: Vec<Header>,
    session: u32,
    /// All tries are one call.
    call_id: Option<String>,
}

/// A try that was begun.
pub(super) struct Begun {
    pub(super) dialog: InviteDialog,
    pub(super) states: DialogStateReceiver,
    pub(super) result: JoinHandle<InviteAsyncResult>,
}

impl Invitation {
    pub(super) fn new(
        sip: &Sip,
        way: Way,
        caller: Caller,
        words: &str,
        headers: Vec<Header>,
    ) -> Self {
        let session = sip.settings.session;
        Self { way, at: 0, caller, words: words.into(), headers, session, call_id: None }
    }

    /// Sends it.
    pub(super) fn send(&mut self, sip: &Sip) -> Result<Begun, String> {
        let Self { way, caller, .. } = self;
        let domain = way.to.host_with_port.clone();
        let user = |user: &str, host: HostWithPort| Uri {
            scheme: Some(Scheme::Sip),
            auth: Some(sip::Auth { user: user.into(), password: None }),
            host_with_port: host,
            params: Vec::new(),
            headers: Vec::new(),
        };
        let real = match caller.user.strip_prefix("sip:") {
            Some(_) => Uri::try_from(caller.user.as_str()).map_err(|error| error.to_string())?,
            None => user(&caller.user, domain),
        };
        let mut headers = self.headers.clone();
        let from = if caller.anonymous {
            headers.push(Header::Privacy("id".into()));
            headers.push(Header::PAssertedIdentity(format!("<{real}>").into()));
            user("anonymous", host_of("anonymous.invalid")?)
        } else {
            real
        };
        headers.extend(abilities());
        headers.push(Header::SessionExpires(self.session.to_string().into()));
        headers.push(Header::MinSE(least(sip.settings.session).to_string().into()));
        let option = InviteOption {
            caller_display_name: caller.anonymous.then(|| "Anonymous".into()),
            caller: from,
            contact: sip.contact(way.transport, way.peer()),
            callee: way.to.clone(),
            destination: Some(way.through(self.at)),
            content_type: Some("application/sdp".into()),
            offer: Some(self.words.as_bytes().to_vec()),
            credential: way.credential.clone(),
            headers: Some(headers),
            call_id: self.call_id.clone(),
            ..InviteOption::default()
        };
        let (told, states) = sip.layer.new_dialog_state_channel();
        let begun = sip.layer.do_invite_async(option, told).map_err(|error| error.to_string())?;
        let (dialog, result) = begun;
        self.call_id = Some(dialog.id().call_id);
        Ok(Begun { dialog, states, result })
    }

    /// Whether there is another place to try.
    pub(super) fn has_more(&self) -> bool {
        self.at + 1 < self.way.places.len()
    }

    /// Nothing is heard from where it was sent: the next place, if there is one.
    pub(super) fn pass_over(&mut self, sip: &Sip) -> bool {
        sip.names.avoid(self.way.places[self.at]);
        let more = self.has_more();
        self.at += usize::from(more);
        more
    }

    /// Whether another try makes sense after this end; the invitation is made ready for it.
    pub(super) fn again(&mut self, sip: &Sip, end: &Result<InviteAsyncResult, JoinError>) -> bool {
        match end {
            Ok(Ok((_, Some(answer)))) => match answer.status_code {
                StatusCode::SessionIntervalTooSmall => {
                    let least = value(answer.headers.iter(), "min-se");
                    let least = least.and_then(|least| least.parse().ok()).unwrap_or(0);
                    let longer = self.session < least && least <= LONGEST;
                    self.session = self.session.max(least.min(LONGEST));
                    longer
                }
                StatusCode::ServiceUnavailable => self.pass_over(sip),
                _ => false,
            },
            Ok(Ok((_, None)) | Err(_)) => self.pass_over(sip),
            Err(_) => false,
        }
    }
}
