//! We call somebody: by a trunk, or an address itself.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use call::dialer::{Dialer, NotReached, Progress, Ringing, Wanted};
use call::{Arrival, Destination, Dialled, Leg};
use rsipstack::dialog::authenticate::Credential;
use rsipstack::dialog::dialog::{DialogState, DialogStateReceiver};
use rsipstack::dialog::invitation::{InviteAsyncResult, InviteOption};
use rsipstack::dialog::invite_dialog::InviteDialog;
use rsipstack::sip::{self, Header, HostWithPort, Response, Scheme, StatusCode, Uri};
use rsipstack::transport::SipAddr;
use tokio::net::lookup_host;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::agent::{Sip, abilities};
use super::inbound::{described, ours};
use super::media::{Media, Order};
use super::ports::Sockets;
use super::sdp::{Agreed, Ours};
use super::talk::{Remote, Sound, Talk, session_of};
use super::timer::{LEAST, WANTED};
use super::{CHANNEL, Transport, Trunk};
use crate::rim::Rim;

/// How long a cancelled dial may take to be over.
const FAREWELL: Duration = Duration::from_secs(35);
/// What a call's owner may be asked at once.
const ASKS: usize = 8;

/// The way to somebody.
pub(super) struct Way {
    to: Uri,
    through: SipAddr,
    transport: Transport,
    /// An address there, by which we know our own.
    peer: IpAddr,
    credential: Option<Credential>,
    pub(super) encrypt: bool,
}

/// Who calls.
pub(super) struct Caller {
    user: String,
    anonymous: bool,
}

impl Caller {
    /// Somebody with a number or a name.
    pub(super) fn named(user: &str) -> Self {
        Self { user: user.into(), anonymous: false }
    }
}

/// Somebody who answered.
pub(super) struct Reached {
    pub(super) dialog: InviteDialog,
    pub(super) states: DialogStateReceiver,
    pub(super) response: Response,
}

impl Reached {
    /// What their answer means for our offer.
    pub(super) fn answer(&self, ours: &Ours) -> Result<Agreed, String> {
        accepted(ours, &self.response).unwrap_or_else(|| Err("no description came".into()))
    }
}

/// A dial that was begun.
struct Begun {
    dialog: InviteDialog,
    states: DialogStateReceiver,
    result: JoinHandle<InviteAsyncResult>,
}

impl Sip {
    /// The way to a destination.
    pub(super) async fn route(&self, to: &Destination) -> Result<Way, NotReached> {
        let failed = |why: String| NotReached::failed(why);
        let (uri, trunk) = self.target(to).map_err(failed)?;
        let transport = match (trunk, uri.host_with_port.to_string().as_str()) {
            (Some(trunk), _) => trunk.transport,
            (None, _) => match uri.params.iter().find_map(|param| match param {
                sip::Param::Transport(transport) => Some(*transport),
                _ => None,
            }) {
                Some(sip::Transport::Tcp) => Transport::Tcp,
                Some(sip::Transport::Tls) => Transport::Tls,
                _ if uri.scheme == Some(Scheme::Sips) => Transport::Tls,
                _ => Transport::Udp,
            },
        };
        let kind = match transport {
            Transport::Udp => sip::Transport::Udp,
            Transport::Tcp => sip::Transport::Tcp,
            Transport::Tls => sip::Transport::Tls,
        };
        let (mut through, peer) = match trunk {
            Some(trunk) => self.address_of(trunk).await,
            None => {
                let host = uri.host_with_port.clone();
                self.found(&host, transport).await.map(|peer| (host, peer))
            }
        }
        .map_err(failed)?;
        // By its name a certificate is known.
        if transport != Transport::Tls {
            through = peer.into();
        }
        Ok(Way {
            to: uri,
            through: SipAddr { r#type: Some(kind), addr: through },
            transport,
            peer: peer.ip(),
            credential: trunk.and_then(Trunk::credential),
            encrypt: trunk.is_some_and(|trunk| trunk.encrypt),
        })
    }

    /// A trunk's name, and where it lies.
    pub(super) async fn address_of(
        &self,
        trunk: &Trunk,
    ) -> Result<(HostWithPort, SocketAddr), String> {
        let host = host_of(&trunk.host)?;
        let peer = self.found(&host, trunk.transport).await?;
        Ok((host, peer))
    }

    /// Where a host lies, in the family of addresses that we speak.
    async fn found(&self, host: &HostWithPort, transport: Transport) -> Result<SocketAddr, String> {
        let usual = if transport == Transport::Tls { 5_061 } else { 5_060 };
        let port = host.port.as_ref().map_or(usual, |port| port.value());
        let name = host.host.to_string();
        let found = lookup_host((name.trim_matches(['[', ']']), port)).await;
        let own = self.settings.listen.is_ipv4();
        let found = found.ok().and_then(|mut all| all.find(|address| address.is_ipv4() == own));
        found.ok_or_else(|| format!("`{name}` has no address"))
    }

    /// The address of a destination, and the trunk that leads there.
    fn target(&self, to: &Destination) -> Result<(Uri, Option<&Trunk>), String> {
        let trunks = &self.settings.trunks;
        match to.kind.as_str() {
            "sip" => {
                let uri = Uri::try_from(to.target.as_str());
                let uri = uri.map_err(|_| format!("`{}` is no SIP address", to.target))?;
                let named = |trunk: &&Trunk| {
                    host_of(&trunk.host).is_ok_and(|host| host.host == uri.host_with_port.host)
                };
                let trunk = trunks.iter().find(named);
                if trunk.is_none() && !self.settings.direct {
                    return Err(format!("`{}` is on no trunk, and `sip.direct` is off", to.target));
                }
                Ok((uri, trunk))
            }
            _ => {
                let trunk = trunks.first().ok_or("no trunk is configured")?;
                let user = to.target.clone();
                let uri = Uri {
                    scheme: Some(Scheme::Sip),
                    auth: Some(sip::Auth { user, password: None }),
                    host_with_port: host_of(&trunk.host)?,
                    params: Vec::new(),
                    headers: Vec::new(),
                };
                Ok((uri, Some(trunk)))
            }
        }
    }
}

fn host_of(host: &str) -> Result<HostWithPort, String> {
    HostWithPort::try_from(host).map_err(|_| format!("`{host}` is no host"))
}

/// Sends an INVITE.
fn begin(
    sip: &Sip,
    way: Way,
    caller: &Caller,
    words: &str,
    mut headers: Vec<Header>,
) -> Result<Begun, String> {
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
    let from = if caller.anonymous {
        headers.push(Header::Privacy("id".into()));
        headers.push(Header::PAssertedIdentity(format!("<{real}>").into()));
        user("anonymous", host_of("anonymous.invalid")?)
    } else {
        real
    };
    headers.extend(abilities());
    headers.push(Header::SessionExpires(WANTED.to_string().into()));
    headers.push(Header::MinSE(LEAST.to_string().into()));
    let option = InviteOption {
        caller_display_name: caller.anonymous.then(|| "Anonymous".into()),
        caller: from,
        contact: sip.contact(way.transport, way.peer),
        callee: way.to,
        destination: Some(way.through),
        content_type: Some("application/sdp".into()),
        offer: Some(words.as_bytes().to_vec()),
        credential: way.credential,
        headers: Some(headers),
        ..InviteOption::default()
    };
    let (told, states) = sip.layer.new_dialog_state_channel();
    let begun = sip.layer.do_invite_async(option, told).map_err(|error| error.to_string())?;
    Ok(Begun { dialog: begun.0, states, result: begun.1 })
}

/// Calls somebody and waits for the answer.
pub(super) async fn reach(
    sip: &Sip,
    way: Way,
    caller: Caller,
    words: &str,
    headers: Vec<Header>,
    ring: Duration,
) -> Result<Reached, StatusCode> {
    let begun = begin(sip, way, &caller, words, headers);
    let Begun { dialog, states, mut result } =
        begun.map_err(|_| StatusCode::ServerInternalError)?;
    let Ok(ended) = timeout(ring, &mut result).await else {
        let _ = dialog.cancel().await;
        let _ = timeout(FAREWELL, result).await;
        return Err(StatusCode::RequestTimeout);
    };
    match ended {
        Ok(Ok((_, Some(response)))) if response.status_code == StatusCode::OK => {
            Ok(Reached { dialog, states, response })
        }
        Ok(Ok((_, Some(response)))) => Err(response.status_code),
        _ => Err(StatusCode::ServiceUnavailable),
    }
}

/// What an answer with a description means; `None` = it has none.
fn accepted(ours: &Ours, response: &Response) -> Option<Result<Agreed, String>> {
    Some(described(&response.body)?.and_then(|answer| ours.accept(&answer)))
}

#[async_trait]
impl Dialer for Sip {
    fn carrier(&self) -> &'static str {
        CHANNEL
    }

    fn reaches(&self, to: &Destination) -> bool {
        matches!(to.kind.as_str(), "tel" | "sip") && self.target(to).is_ok()
    }

    async fn dial(&self, wanted: Wanted) -> Result<Ringing, NotReached> {
        let failed = |why: &dyn std::fmt::Display| NotReached::failed(why.to_string());
        let room = Arc::clone(&self.room).try_acquire_owned();
        let room = room.map_err(|_| failed(&"there are as many calls as may be"))?;
        let way = self.route(&wanted.to).await?;
        let sockets = self.ports.take().await.map_err(|error| failed(&error))?;
        let mut ours = ours(self, way.peer, sockets.port);
        let words = ours.offer(way.encrypt);
        let caller = Caller { user: wanted.from.clone(), anonymous: wanted.anonymous };
        let begun = begin(self, way, &caller, &words, Vec::new()).map_err(|why| failed(&why))?;
        let carrier_id = begun.dialog.id().call_id;
        let (tell, ringing) = Ringing::pair(carrier_id.clone());
        let arrival = Arrival {
            carrier: CHANNEL.into(),
            carrier_id,
            from: wanted.from,
            to: wanted.to.target,
        };
        let dial = Dialing {
            sip: self.this(),
            begun,
            sockets: Some(sockets),
            ours,
            words,
            arrival,
            early_media: wanted.early_media,
            early: None,
        };
        // It ends with the dial, and the call after it by itself.
        tokio::spawn(dial.run(tell, Instant::now() + wanted.ring, room));
        Ok(ringing)
    }
}

/// A dial on its way.
struct Dialing {
    sip: Arc<Sip>,
    begun: Begun,
    sockets: Option<Sockets>,
    ours: Ours,
    words: String,
    arrival: Arrival,
    early_media: bool,
    /// The sound that began before the answer, and what its call may ask.
    early: Option<(Sound, mpsc::Receiver<super::talk::Ask>)>,
}

impl Dialing {
    async fn run(
        mut self,
        tell: mpsc::Sender<Progress>,
        until: Instant,
        room: OwnedSemaphorePermit,
    ) {
        let mut rang = false;
        let end = loop {
            tokio::select! {
                biased;
                () = tell.closed() => break self.cancel(Dialled::Failed).await,
                () = sleep_until(until) => break self.cancel(Dialled::NoAnswer).await,
                result = &mut self.begun.result => match self.ended(result) {
                    Ok(response) => return self.answered(response, &tell, room).await,
                    Err(end) => break end,
                },
                Some(state) = self.begun.states.recv() => {
                    let DialogState::Early(_, response) = state else { continue };
                    if !std::mem::replace(&mut rang, true) {
                        let _ = tell.try_send(Progress::Ringing);
                    }
                    if let Some(leg) = self.early(&response).await {
                        let _ = tell.try_send(Progress::EarlyMedia(leg));
                    }
                }
            }
        };
        let _ = tell.send(Progress::Ended(end)).await;
    }

    /// Calls it off. Whoever picks up at the same moment is hung up on by the stack.
    async fn cancel(&mut self, how: Dialled) -> NotReached {
        if let Err(error) = self.begun.dialog.cancel().await {
            tracing::debug!(%error, "a dial was not cancelled");
        }
        let _ = timeout(FAREWELL, &mut self.begun.result).await;
        self.sip.layer.remove_dialog(&self.begun.dialog.id());
        how.into()
    }

    fn ended(
        &self,
        result: Result<InviteAsyncResult, tokio::task::JoinError>,
    ) -> Result<Response, NotReached> {
        match result {
            Ok(Ok((_, Some(response)))) if response.status_code == StatusCode::OK => Ok(response),
            Ok(Ok((_, Some(response)))) => Err(not_reached(&response)),
            Ok(Ok((_, None))) => Err(NotReached::failed("nobody answered at that address")),
            Ok(Err(error)) => Err(NotReached::failed(error.to_string())),
            Err(error) => Err(NotReached::failed(error.to_string())),
        }
    }

    /// A leg for sound that comes before the answer, once, if anybody wants it.
    async fn early(&mut self, response: &Response) -> Option<Leg> {
        if !self.early_media || self.early.is_some() {
            return None;
        }
        let agreed = accepted(&self.ours, response)?.ok()?;
        let (sound, asked, leg) = self.begin_sound(agreed).await?;
        self.early = Some((sound, asked));
        Some(leg)
    }

    async fn begin_sound(
        &mut self,
        agreed: Agreed,
    ) -> Option<(Sound, mpsc::Receiver<super::talk::Ask>, Leg)> {
        let (asks, asked) = mpsc::channel(ASKS);
        let rate = agreed.speech.codec.rate();
        let control = Arc::new(Remote::new(asks));
        let (rim, leg) = Rim::pair(CHANNEL, self.arrival.clone(), rate, control);
        let sound = Sound::start(Media::new(rim, self.sockets.take()?, rate));
        sound.order(Order::Agree(Box::new(agreed))).await;
        sound.order(Order::Begin).await;
        Some((sound, asked, leg))
    }

    /// Somebody picked up.
    async fn answered(
        mut self,
        response: Response,
        tell: &mpsc::Sender<Progress>,
        room: OwnedSemaphorePermit,
    ) {
        let agreed = accepted(&self.ours, &response);
        let (leg, sound, asked) = match (self.early.take(), agreed) {
            (Some((sound, asked)), agreed) => {
                // The answer may differ from what came before it, or say nothing new.
                if let Some(Ok(agreed)) = agreed {
                    sound.order(Order::Agree(Box::new(agreed))).await;
                }
                (None, sound, asked)
            }
            (None, Some(Ok(agreed))) => match self.begin_sound(agreed).await {
                Some((sound, asked, leg)) => (Some(leg), sound, asked),
                None => return,
            },
            (None, agreed) => {
                let _ = self.begun.dialog.bye().await;
                self.sip.layer.remove_dialog(&self.begun.dialog.id());
                let why = agreed.map_or(Some("no description came".into()), Result::err);
                let _ =
                    tell.send(Progress::Ended(NotReached::failed(why.unwrap_or_default()))).await;
                return;
            }
        };
        let Self { sip, begun, ours, words, .. } = self;
        let talk = Talk::outbound(sip, begun.dialog, ours, words, session_of(&response));
        // If nobody takes the leg, it is dropped, and its call hangs up.
        let _ = tell.send(Progress::Answered(leg)).await;
        talk.run(begun.states, asked, sound, room).await;
    }
}

/// What a final answer means for whoever dialed.
fn not_reached(response: &Response) -> NotReached {
    let how = match response.status_code.code() {
        486 | 600 => Dialled::Busy,
        408 | 480 | 487 => Dialled::NoAnswer,
        403 | 603 | 607 | 433 => Dialled::Rejected,
        _ => Dialled::Failed,
    };
    let why = match response.status_code.code() {
        401 | 407 => "the trunk does not take our password".into(),
        code => match &response.wire_reason {
            Some(reason) => format!("{code} {reason}"),
            None => response.status_code.to_string(),
        },
    };
    NotReached { how, why }
}
