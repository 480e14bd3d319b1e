//! Somebody calls us: from the INVITE to a leg that rings.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use call::{Arrival, Switchboard};
use conversation::Address;
use rsipstack::sip::prelude::{HeadersExt, ToTypedHeader};
use rsipstack::sip::{Header, Request, StatusCode, Uri};
use rsipstack::transaction::transaction::Transaction;
use secrecy::ExposeSecret;
use tokio::sync::mpsc;

use super::agent::{Sip, refuse};
use super::digest::{Mender, Verdict};
use super::media::Media;
use super::replaces;
use super::sdp::{Direction, Ours, Theirs};
use super::srtp::Key;
use super::talk::{Remote, Sound, Talk};
use super::timer::{Session, least};
use super::{CHANNEL, Transport};
use crate::rim::Rim;

/// The rate of a leg whose caller leaves the choice of a codec to us.
const USUAL_RATE: u32 = 8_000;
/// What a call's owner may be asked at once.
const ASKS: usize = 8;
/// The longest name of a caller that is kept.
const LONGEST: usize = 64;
/// What an INVITE may demand of us.
const KNOWN: [&str; 2] = ["timer", "replaces"];

/// Takes an INVITE to its end: to the caller's word that our answer came.
pub(super) async fn arrive(
    sip: Arc<Sip>,
    transaction: Transaction,
    switchboard: Arc<dyn Switchboard>,
) {
    let request = &transaction.original;
    let Some(source) = Mender::source(&request.headers) else {
        return refuse(transaction, StatusCode::BadRequest, Vec::new()).await;
    };
    if let Err((status, headers)) = admitted(&sip, request, source.ip()) {
        if status == StatusCode::Forbidden {
            tracing::info!(%source, "a call from an address that is not among `sip.allow`");
        }
        return refuse(transaction, status, headers).await;
    }
    let session = header(request, "session-expires").or(header(request, "x"));
    let knows = listed(request, "supported", "timer") || listed(request, "k", "timer");
    let session = Session::answering(session.as_deref(), knows, sip.settings.session);
    if let Some((status, headers)) = unfit(request, session, least(sip.settings.session)) {
        return refuse(transaction, status, headers).await;
    }
    let replaces = replaces::among(request.headers.iter());
    if !replaces.is_empty() {
        let contact = sip.contact(transport(&transaction), source.ip());
        return replaces::arrive(sip, transaction, &replaces, session, contact).await;
    }
    // A trunk that we are registered with may call our account, and say in `To` which number.
    let to = dialed(&request.uri, &*switchboard).or_else(|| {
        let to = request.to_header().ok()?.typed().ok()?;
        dialed(&to.uri, &*switchboard)
    });
    let refusal = if to.is_none() {
        Some((StatusCode::NotFound, Vec::new()))
    } else if !sip.open_for_calls() {
        Some((StatusCode::ServiceUnavailable, Vec::new()))
    } else if !switchboard.admits() {
        Some((StatusCode::BusyHere, Vec::new()))
    } else {
        None
    };
    if let Some((status, headers)) = refusal {
        return refuse(transaction, status, headers).await;
    }
    let (Some(to), Ok(room)) = (to, Arc::clone(&sip.room).try_acquire_owned()) else {
        return refuse(transaction, StatusCode::BusyHere, Vec::new()).await;
    };
    let Ok(sockets) = sip.ports.take().await else {
        return refuse(transaction, StatusCode::ServiceUnavailable, Vec::new()).await;
    };
    let mut ours = ours(&sip, source.ip(), sockets.port);
    let agreed = match described(&transaction.original.body) {
        None => Ok(None),
        Some(offer) => offer.and_then(|offer| ours.answer(&offer)).map(Some),
    };
    let agreed = match agreed {
        Ok(agreed) => agreed,
        Err(why) => {
            tracing::info!(%source, why, "a call whose sound we cannot take");
            drop((room, sockets));
            let warning = Header::Warning(format!("305 voxflow \"{why}\"").into());
            return refuse(transaction, StatusCode::NotAcceptableHere, vec![warning]).await;
        }
    };
    let rate = agreed.as_ref().map_or(USUAL_RATE, |(_, agreed)| agreed.speech.codec.rate());
    let transport = transport(&transaction);
    let contact = sip.contact(transport, source.ip());
    let (told, states) = sip.layer.new_dialog_state_channel();
    let dialog = sip.layer.get_or_create_server_invite(&transaction, told, None, Some(contact));
    let mut dialog = match dialog {
        Ok(dialog) => dialog,
        Err(error) => {
            tracing::debug!(%error, "an INVITE that is none");
            drop((room, sockets));
            return refuse(transaction, StatusCode::BadRequest, Vec::new()).await;
        }
    };
    let arrival = Arrival {
        carrier: CHANNEL.into(),
        carrier_id: dialog.id().call_id.chars().take(256).collect(),
        from: caller(&transaction.original),
        to,
    };
    let (asks, asked) = mpsc::channel(ASKS);
    let (rim, leg) = Rim::pair(CHANNEL, arrival, rate, Arc::new(Remote::new(asks)));
    let sound = Sound::start(Media::new(rim, sockets, rate, sip.settings.silence));
    let talk = Talk::inbound(Arc::clone(&sip), dialog.clone(), ours, agreed, session);
    // Each ends by itself once the call is over.
    tokio::spawn(talk.run(states, asked, sound, room));
    tokio::spawn(async move { switchboard.arrive(leg).await });
    let mut transaction = transaction;
    if let Err(error) = dialog.handle(&mut transaction).await {
        tracing::debug!(%error, "an INVITE ended early");
    }
}

/// What we describe to somebody there.
pub(super) fn ours(sip: &Sip, peer: IpAddr, port: u16) -> Ours {
    Ours {
        address: sip.address(peer),
        port,
        codecs: sip.settings.codecs.clone(),
        direction: Direction::Both,
        key: Some(Key::new(1)),
        id: u64::from(rand::random::<u32>()),
        version: 0,
    }
}

/// A description in a message; `None` = there is none.
pub(super) fn described(body: &[u8]) -> Option<Result<Theirs, String>> {
    if body.is_empty() {
        return None;
    }
    Some(match std::str::from_utf8(body) {
        Ok(text) => Theirs::read(text),
        Err(_) => Err("a description that is no text".into()),
    })
}

/// Whether a caller may call.
fn admitted(sip: &Sip, request: &Request, from: IpAddr) -> Result<(), (StatusCode, Vec<Header>)> {
    let settings = &sip.settings;
    let trunk = |host: &str| match host.parse::<SocketAddr>() {
        Ok(address) => address.ip() == from,
        Err(_) => host.parse() == Ok(from),
    };
    let known = settings.allow.iter().any(|net| net.holds(from))
        || settings.trunks.iter().any(|own| trunk(&own.host))
        || sip.registrars.lock().contains(&from);
    if known {
        return Ok(());
    }
    if settings.users.is_empty() {
        return Err((StatusCode::Forbidden, Vec::new()));
    }
    let password = |name: &str| {
        let user = settings.users.iter().find(|user| user.name == name)?;
        Some(user.password.expose_secret().to_owned())
    };
    let verdict = match header(request, "authorization") {
        Some(header) => sip.guard.judge(&header, "INVITE", from, password),
        None => Verdict::Ask(false),
    };
    match verdict {
        Verdict::Known(user) => {
            tracing::debug!(user, "a call with a password");
            Ok(())
        }
        Verdict::Ask(stale) => Err((StatusCode::Unauthorized, sip.guard.challenges(from, stale))),
    }
}

/// Which of our numbers is dialed; `None` = none of them.
fn dialed(uri: &Uri, switchboard: &dyn Switchboard) -> Option<String> {
    // Parameters may follow the number: `+15550001000;phone-context=...`.
    let user = uri.user()?.split(';').next()?;
    let number = |text: &str| Address::phone(text).map(|number| number.to_string()).ok();
    let written = [number(user), number(&format!("+{user}")), Some(user.to_owned())];
    written.into_iter().flatten().find(|to| switchboard.answers(to))
}

/// Who calls. Only those whom we trust come so far; what they assert counts most.
fn caller(request: &Request) -> String {
    let asserted = header(request, "p-asserted-identity").and_then(|value| {
        let uri = value.split_once('<').map_or(value.as_str(), |(_, rest)| rest);
        let uri = uri.split('>').next().unwrap_or(uri);
        user_of(uri)
    });
    let from = || {
        let typed = request.from_header().ok()?.typed().ok()?;
        typed.uri.user().map(str::to_owned)
    };
    let user = asserted.or_else(from).unwrap_or_else(|| "anonymous".into());
    let user = user.split(';').next().unwrap_or_default();
    let number = Address::phone(user).map(|number| number.to_string());
    number.unwrap_or_else(|_| user.chars().filter(|c| !c.is_control()).take(LONGEST).collect())
}

/// The user part of `sip:user@host`, or the number of `tel:`.
fn user_of(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once(':')?;
    let user = rest.split('@').next()?;
    let with_user = scheme.eq_ignore_ascii_case("tel") || rest.contains('@');
    (with_user && !user.is_empty()).then(|| user.to_owned())
}

/// Why an INVITE cannot be taken, whomever it is for.
fn unfit(
    request: &Request,
    session: Option<Session>,
    least: u32,
) -> Option<(StatusCode, Vec<Header>)> {
    if let Some(unknown) = demanded(request) {
        return Some((StatusCode::BadExtension, vec![Header::Unsupported(unknown.into())]));
    }
    session.filter(|session| session.too_short(least)).map(|_| too_short(least))
}

/// What those are told whose session is too short.
pub(super) fn too_short(least: u32) -> (StatusCode, Vec<Header>) {
    (StatusCode::SessionIntervalTooSmall, vec![Header::MinSE(least.to_string().into())])
}

/// Whether a word is in a list such as `Supported: timer, replaces`.
fn listed(request: &Request, name: &str, word: &str) -> bool {
    header(request, name)
        .is_some_and(|list| list.split(',').any(|own| own.trim().eq_ignore_ascii_case(word)))
}

/// What an INVITE demands and we do not know.
fn demanded(request: &Request) -> Option<String> {
    let demands = header(request, "require")?;
    let unknown = |word: &&str| !KNOWN.iter().any(|known| known.eq_ignore_ascii_case(word));
    let unknown: Vec<_> = demands.split(',').map(str::trim).filter(unknown).collect();
    (!unknown.is_empty()).then(|| unknown.join(", "))
}

/// A header's value, by its name in small letters.
pub(super) fn header(request: &Request, name: &str) -> Option<String> {
    value(request.headers.iter(), name)
}

/// The same of any message.
pub(super) fn value<'a>(
    mut headers: impl Iterator<Item = &'a Header>,
    name: &str,
) -> Option<String> {
    headers.find_map(|header| {
        let text = header.to_string();
        let (own, value) = text.split_once(':')?;
        own.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

/// How a request came.
pub(super) fn transport(transaction: &Transaction) -> Transport {
    match transaction.connection.as_ref().map(|connection| connection.transport()) {
        Some(rsipstack::sip::Transport::Tcp) => Transport::Tcp,
        Some(rsipstack::sip::Transport::Tls) => Transport::Tls,
        _ => Transport::Udp,
    }
}
