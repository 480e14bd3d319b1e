//! The SIP agent: listens, and brings each request to whom it belongs.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, OnceLock, PoisonError, Weak};

use call::Switchboard;
use rsipstack::EndpointBuilder;
use rsipstack::dialog::dialog_layer::DialogLayer;
use rsipstack::sip::{self, Header, Method, StatusCode, Uri};
use rsipstack::transaction::TransactionReceiver;
use rsipstack::transaction::endpoint::EndpointOption;
use rsipstack::transaction::transaction::Transaction;
use rsipstack::transport::TransportLayer;
use rsipstack::transport::tcp_listener::TcpListenerConnection;
use rsipstack::transport::tls::{TlsConfig, TlsListenerConnection};
use rsipstack::transport::udp::UdpConnection;
use secrecy::ExposeSecret;
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;

use super::digest::{Guard, Mender};
use super::inbound;
use super::names::{ByName, Names};
use super::ports::Ports;
use super::replaces::Live;
use super::{Settings, Transport, register};

/// What we understand.
pub(super) const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE, REFER, NOTIFY";

/// Seconds after which a caller who was sent away may come again.
const LATER: u32 = 10;

/// Addresses that are learned while we serve.
#[derive(Default)]
pub(super) struct Registrars(std::sync::Mutex<HashSet<IpAddr>>);

impl Registrars {
    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<IpAddr>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A SIP agent: takes calls ([`Sip::serve`]) and dials ([`call::Dialer`]).
pub struct Sip {
    pub(super) settings: Settings,
    pub(super) layer: Arc<DialogLayer>,
    pub(super) ports: Ports,
    pub(super) guard: Guard,
    /// Room for calls, both ways.
    pub(super) room: Arc<Semaphore>,
    /// Where the trunks lie that we are registered with.
    pub(super) registrars: Registrars,
    pub(super) live: Live,
    pub(super) names: Arc<Names>,
    this: Weak<Sip>,
    incoming: Mutex<Option<TransactionReceiver>>,
    /// Cancelled when no more calls are taken.
    stopping: OnceLock<CancellationToken>,
}

impl Sip {
    /// Takes the ports; nothing is answered before [`Sip::serve`].
    ///
    /// # Errors
    /// Names the address that cannot be listened on, or the setting that is wrong.
    pub async fn open(settings: Settings) -> Result<Arc<Self>, String> {
        let taken = |at: SocketAddr| {
            move |error: &dyn std::fmt::Display| format!("sip: {at} cannot be listened on: {error}")
        };
        let at = settings.listen;
        let outside = |at: SocketAddr| settings.public_ip.map(|ip| SocketAddr::new(ip, at.port()));
        let end = CancellationToken::new();
        let names = Arc::new(Names::new(settings.name_server, at.is_ipv4()));
        let by_name = Box::new(ByName(Arc::clone(&names)));
        let transports = TransportLayer::new_with_domain_resolver(end.clone(), by_name);
        let udp = UdpConnection::create_connection(at, outside(at), Some(end.child_token()));
        transports.add_transport(udp.await.map_err(|error| taken(at)(&error))?.into());
        // The stack binds these later, where nobody hears that it failed.
        TcpListener::bind(at).map_err(|error| taken(at)(&error))?;
        let tcp = TcpListenerConnection::new(at, outside(at)).await;
        transports.add_transport(tcp.map_err(|error| taken(at)(&error))?.into());
        let mut config =
            TlsConfig { ca_certs: settings.authorities.clone(), ..TlsConfig::default() };
        if let Some(tls) = &settings.tls {
            let at = tls.listen;
            TcpListener::bind(at).map_err(|error| taken(at)(&error))?;
            config.cert = Some(tls.certificate.clone());
            config.key = Some(tls.key.expose_secret().as_bytes().to_vec());
            let tls = TlsListenerConnection::new(at, outside(at), config.clone()).await;
            transports.add_transport(tls.map_err(|error| taken(at)(&error))?.into());
        }
        transports.set_tls_config(config);
        let host = settings.public_ip.unwrap_or(at.ip()).to_string();
        let endpoint = EndpointBuilder::new()
            .with_user_agent("voxflow")
            .with_transport_layer(transports)
            .with_cancel_token(end)
            .with_inspector(Box::new(Mender))
            .with_option(EndpointOption { callid_suffix: Some(host), ..EndpointOption::default() })
            .build();
        let incoming = endpoint.incoming_transactions().map_err(|error| error.to_string())?;
        let layer = Arc::new(DialogLayer::new(Arc::clone(&endpoint.inner)));
        Ok(Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            ports: Ports::new(at.ip(), settings.rtp_ports.clone()),
            guard: Guard::new(settings.ask_sha256),
            room: Arc::new(Semaphore::new(settings.most_calls)),
            registrars: Registrars::default(),
            live: Live::default(),
            names,
            incoming: Mutex::new(Some(incoming)),
            stopping: OnceLock::new(),
            layer,
            settings,
        }))
    }

    /// Serves as long as it is polled. From `stop` on, new calls are sent away, and those that are
    /// live go on.
    pub async fn serve(
        self: Arc<Self>,
        switchboard: Arc<dyn Switchboard>,
        stop: CancellationToken,
    ) {
        let Some(mut incoming) = self.incoming.lock().await.take() else { return };
        for trunk in self.settings.trunks.iter().filter(|trunk| trunk.register) {
            // It ends after `stop`.
            tokio::spawn(register::keep(Arc::clone(&self), trunk.clone(), stop.clone()));
        }
        let _ = self.stopping.set(stop);
        let serving = self.layer.endpoint.serve();
        let taking = async {
            while let Some(transaction) = incoming.recv().await {
                let (sip, switchboard) = (Arc::clone(&self), Arc::clone(&switchboard));
                // It ends with its transaction, or with its call.
                tokio::spawn(async move { take(sip, transaction, switchboard).await });
            }
        };
        tokio::select! {
            served = serving => if let Err(error) = served {
                tracing::error!(%error, "SIP broke");
            },
            () = taking => {}
        }
    }

    /// Itself, for tasks that outlive a borrow.
    pub(super) fn this(&self) -> Arc<Self> {
        self.this.upgrade().expect("whoever has a reference has it from an Arc")
    }

    /// Whether new calls are taken.
    pub(super) fn open_for_calls(&self) -> bool {
        self.stopping.get().is_none_or(|stop| !stop.is_cancelled())
    }

    /// Our address as somebody there sees it.
    pub(super) fn address(&self, peer: IpAddr) -> IpAddr {
        let listen = self.settings.listen.ip();
        if let Some(ip) = self.settings.public_ip {
            return ip;
        }
        if !listen.is_unspecified() {
            return listen;
        }
        // Nothing is sent: the system only says which way it would go.
        let way = UdpSocket::bind(SocketAddr::new(listen, 0))
            .and_then(|socket| socket.connect((peer, 9)).and_then(|()| socket.local_addr()));
        way.map_or(listen, |address| address.ip())
    }

    /// Where we are to be reached by somebody there.
    pub(super) fn contact(&self, transport: Transport, peer: IpAddr) -> Uri {
        let tls = self.settings.tls.as_ref().map(|tls| tls.listen.port());
        let (port, param) = match transport {
            Transport::Udp => (self.settings.listen.port(), None),
            Transport::Tcp => (self.settings.listen.port(), Some(sip::Transport::Tcp)),
            Transport::Tls => (tls.unwrap_or(5_061), Some(sip::Transport::Tls)),
        };
        Uri {
            scheme: Some(sip::Scheme::Sip),
            auth: Some(sip::Auth { user: "voxflow".into(), password: None }),
            host_with_port: SocketAddr::new(self.address(peer), port).into(),
            params: param.map(sip::Param::Transport).into_iter().collect(),
            headers: Vec::new(),
        }
    }
}

/// Answers one request, or hands it to its call.
async fn take(sip: Arc<Sip>, mut transaction: Transaction, switchboard: Arc<dyn Switchboard>) {
    let inside = sip::prelude::HeadersExt::to_header(&transaction.original)
        .is_ok_and(|to| to.tag().is_ok_and(|tag| tag.is_some()));
    let answered = match transaction.original.method {
        _ if inside => match sip.layer.match_dialog(&transaction) {
            Some(mut dialog) => dialog.handle(&mut transaction).await,
            None => transaction.reply(StatusCode::CallTransactionDoesNotExist).await,
        },
        Method::Invite => {
            inbound::arrive(sip, transaction, switchboard).await;
            return;
        }
        Method::Options => transaction.reply_with(StatusCode::OK, abilities(), None).await,
        _ => transaction.reply_with(StatusCode::MethodNotAllowed, abilities(), None).await,
    };
    if let Err(error) = answered {
        tracing::debug!(%error, "a request was not answered");
    }
}

/// What others may want to know of us.
pub(super) fn abilities() -> Vec<Header> {
    vec![
        Header::Allow(ALLOW.into()),
        Header::Accept("application/sdp".into()),
        Header::Supported("timer, replaces".into()),
    ]
}

/// Sends a caller away.
pub(super) async fn refuse(
    mut transaction: Transaction,
    status: StatusCode,
    mut headers: Vec<Header>,
) {
    if matches!(status, StatusCode::ServiceUnavailable | StatusCode::BusyHere) {
        headers.push(Header::RetryAfter(LATER.to_string().into()));
    }
    let code = u16::from(status.clone());
    metrics::counter!("voxflow_sip_refused_total", "status" => code.to_string()).increment(1);
    if transaction.reply_with(status, headers, None).await.is_ok() {
        // Until the caller has confirmed that it heard.
        while transaction.receive().await.is_some() {}
    }
}
