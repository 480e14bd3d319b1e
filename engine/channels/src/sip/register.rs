//! We tell a trunk where we are, so that it brings its calls to us.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rsipstack::dialog::registration::{Registration, backoff_interval, refresh_interval};
use rsipstack::sip::{self, StatusCodeKind, Uri};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::agent::Sip;
use super::route::host_of;
use super::{Transport, Trunk};

/// For how long we want to be known, seconds; the trunk may say less.
const EXPIRES: u32 = 600;
/// How long a trunk may take to answer: what SIP gives a transaction (RFC 3261, timer F).
const PATIENCE: Duration = Duration::from_secs(32);

/// Keeps us registered with a trunk until no more calls are taken; then the trunk is told so.
pub(super) async fn keep(sip: Arc<Sip>, trunk: Trunk, stop: CancellationToken) {
    let endpoint = Arc::clone(&sip.layer.endpoint);
    let mut registration = Registration::new(endpoint, trunk.credential());
    let known = metrics::gauge!("voxflow_sip_registered", "trunk" => trunk.name.clone());
    let (mut registered, mut failures) = (false, 0);
    while !stop.is_cancelled() {
        let wait = match sip.register(&mut registration, &trunk, EXPIRES).await {
            Ok(()) => {
                if !std::mem::replace(&mut registered, true) {
                    tracing::info!(trunk = trunk.name, "registered");
                }
                known.set(1.0);
                failures = 0;
                refresh_interval(registration.granted_expires.unwrap_or(EXPIRES))
            }
            Err(why) => {
                tracing::warn!(trunk = trunk.name, why, "a trunk does not register us");
                known.set(0.0);
                registered = false;
                failures += 1;
                backoff_interval(failures - 1)
            }
        };
        // Its end is all that there is to know.
        let _ = timeout(wait, stop.cancelled()).await;
    }
    if let Err(why) = sip.register(&mut registration, &trunk, 0).await {
        tracing::info!(trunk = trunk.name, why, "a trunk was not told that we leave");
    }
    known.set(0.0);
}

impl Sip {
    /// Registers once, for so many seconds; 0 = no more.
    async fn register(
        &self,
        registration: &mut Registration,
        trunk: &Trunk,
        expires: u32,
    ) -> Result<(), String> {
        let host = host_of(&trunk.host)?;
        let places = self.names.places(&host, trunk.transport).await?;
        let peer = places[0];
        let mut contact = self.contact(trunk.transport, peer.ip());
        if let Some(user) = &trunk.user {
            contact.auth = Some(sip::Auth { user: user.clone(), password: None });
        }
        let kind = match trunk.transport {
            Transport::Udp => None,
            Transport::Tcp => Some(sip::Transport::Tcp),
            Transport::Tls => Some(sip::Transport::Tls),
        };
        let server = Uri {
            scheme: Some(sip::Scheme::Sip),
            auth: None,
            host_with_port: host,
            params: kind.map(sip::Param::Transport).into_iter().collect(),
            headers: Vec::new(),
        };
        registration.contact =
            Some(sip::typed::Contact { display_name: None, uri: contact, params: Vec::new() });
        // By its name a certificate is known.
        registration.outbound_proxy = (trunk.transport != Transport::Tls).then_some(peer);
        let asked = timeout(PATIENCE, registration.register(server, Some(expires)));
        let answer = asked.await.map_err(|_| "no answer".to_owned());
        let answer = answer.and_then(|answer| answer.map_err(|error| error.to_string()));
        let answer = answer.inspect_err(|_| self.names.avoid(peer))?;
        match answer.status_code.kind() {
            StatusCodeKind::Successful => {
                // Calls come from there, and from its other places.
                self.registrars.lock().extend(places.iter().map(SocketAddr::ip));
                Ok(())
            }
            _ => Err(format!("it says {}", answer.status_code)),
        }
    }
}
