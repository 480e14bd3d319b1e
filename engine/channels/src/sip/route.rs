//! The way to somebody: by which trunk, how, and the places where it lies.

use std::net::{IpAddr, SocketAddr};

use call::Destination;
use call::dialer::NotReached;
use rsipstack::dialog::authenticate::Credential;
use rsipstack::sip::{self, HostWithPort, Scheme, Uri};
use rsipstack::transport::SipAddr;

use super::agent::Sip;
use super::{Transport, Trunk};

/// The way to somebody.
pub(super) struct Way {
    pub(super) to: Uri,
    /// By its name a certificate is known.
    host: HostWithPort,
    /// Where it lies, best first; at least one.
    pub(super) places: Vec<SocketAddr>,
    pub(super) transport: Transport,
    pub(super) credential: Option<Credential>,
    pub(super) encrypt: bool,
}

impl Way {
    /// An address there, by which we know our own.
    pub(super) fn peer(&self) -> IpAddr {
        self.places[0].ip()
    }

    /// Where a message goes that is for this place.
    pub(super) fn through(&self, at: usize) -> SipAddr {
        let (kind, addr) = match self.transport {
            Transport::Udp => (sip::Transport::Udp, self.places[at].into()),
            Transport::Tcp => (sip::Transport::Tcp, self.places[at].into()),
            Transport::Tls => (sip::Transport::Tls, self.host.clone()),
        };
        SipAddr { r#type: Some(kind), addr }
    }
}

impl Sip {
    /// The way to a destination.
    pub(super) async fn route(&self, to: &Destination) -> Result<Way, NotReached> {
        let failed = |why: String| NotReached::failed(why);
        let (uri, trunk) = self.target(to).map_err(failed)?;
        let transport = match trunk {
            Some(trunk) => trunk.transport,
            None => match uri.params.iter().find_map(|param| match param {
                sip::Param::Transport(transport) => Some(*transport),
                _ => None,
            }) {
                Some(sip::Transport::Tcp) => Transport::Tcp,
                Some(sip::Transport::Tls) => Transport::Tls,
                _ if uri.scheme == Some(Scheme::Sips) => Transport::Tls,
                _ => Transport::Udp,
            },
        };
        let host = match trunk {
            Some(trunk) => host_of(&trunk.host).map_err(failed)?,
            None => uri.host_with_port.clone(),
        };
        let places = self.names.places(&host, transport).await.map_err(failed)?;
        Ok(Way {
            to: uri,
            host,
            places,
            transport,
            credential: trunk.and_then(Trunk::credential),
            encrypt: trunk.is_some_and(|trunk| trunk.encrypt),
        })
    }

    /// The address of a destination, and the trunk that leads there.
    pub(super) fn target(&self, to: &Destination) -> Result<(Uri, Option<&Trunk>), String> {
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

pub(super) fn host_of(host: &str) -> Result<HostWithPort, String> {
    HostWithPort::try_from(host).map_err(|_| format!("`{host}` is no host"))
}
