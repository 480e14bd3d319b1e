//! Where a name lies (RFC 3263): its SRV records by priority and weight, else its addresses.
//!
//! Which way messages travel is set with the trunk, so NAPTR, which would tell that, is not asked.
//! Places that did not answer lately come last, so that not every call waits for them.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use rand::RngExt;
use rsipstack::sip::{self, HostWithPort};
use rsipstack::transport::SipAddr;
use rsipstack::transport::transport_layer::DomainResolver;
use tokio::net::lookup_host;

use super::Transport;

/// How long a place that did not answer comes last.
const AVOIDED: Duration = Duration::from_secs(60);
/// Most places of one name; nobody tries more.
const MOST: usize = 16;

/// Finds where names lie.
pub(super) struct Names {
    /// `None` = the system's settings cannot be read: then there are no SRV records.
    resolver: Option<TokioResolver>,
    /// Whether addresses are asked of it too, not of the system.
    own: bool,
    /// Whether we speak IPv4 or IPv6.
    v4: bool,
    avoided: Mutex<HashMap<SocketAddr, Instant>>,
}

/// An SRV record.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    priority: u16,
    weight: u16,
    host: String,
    port: u16,
}

impl Names {
    /// Asks the name server at this address, or those of the system. `v4`: which addresses count.
    pub(super) fn new(server: Option<SocketAddr>, v4: bool) -> Self {
        let builder = match server {
            Some(at) => {
                let by = |mut connection: ConnectionConfig| {
                    connection.port = at.port();
                    connection
                };
                let mut server = NameServerConfig::udp_and_tcp(at.ip());
                server.connections = vec![by(ConnectionConfig::udp()), by(ConnectionConfig::tcp())];
                let mut config = ResolverConfig::default();
                config.add_name_server(server);
                let provider = TokioRuntimeProvider::default();
                Ok(TokioResolver::builder_with_config(config, provider))
            }
            None => TokioResolver::builder_tokio(),
        };
        let resolver = builder.and_then(|builder| builder.build());
        let resolver = resolver
            .inspect_err(
                |error| tracing::warn!(%error, "SRV records of trunks cannot be asked for"),
            )
            .ok();
        Self { resolver, own: server.is_some(), v4, avoided: Mutex::default() }
    }

    fn avoided(&self) -> MutexGuard<'_, HashMap<SocketAddr, Instant>> {
        self.avoided.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this place comes last for a while.
    pub(super) fn avoid(&self, place: SocketAddr) {
        tracing::info!(%place, "nothing is heard from there; others come first now");
        let mut avoided = self.avoided();
        avoided.retain(|_, since| since.elapsed() < AVOIDED);
        avoided.insert(place, Instant::now());
    }

    /// Where a host lies, best first; at least one place.
    ///
    /// # Errors
    /// It has no address that we could reach.
    pub(super) async fn places(
        &self,
        host: &HostWithPort,
        transport: Transport,
    ) -> Result<Vec<SocketAddr>, String> {
        let port = host.port.as_ref().map(|port| port.value().to_owned());
        let usual = if transport == Transport::Tls { 5_061 } else { 5_060 };
        let name = host.host.to_string();
        let name = name.trim_matches(['[', ']']);
        let mut places = Vec::new();
        if let Ok(ip) = name.parse::<IpAddr>() {
            places.push(SocketAddr::new(ip, port.unwrap_or(usual)));
        } else {
            // A port says that the name is that of a machine.
            let records = match port {
                None => self.records(name, transport).await,
                Some(_) => Vec::new(),
            };
            for record in records {
                places.extend(self.addresses(&record.host, record.port).await);
            }
            if places.is_empty() {
                places = self.addresses(name, port.unwrap_or(usual)).await;
            }
        }
        places.retain(|place| place.is_ipv4() == self.v4);
        places.truncate(MOST);
        if places.is_empty() {
            let family = if self.v4 { "IPv4" } else { "IPv6" };
            return Err(format!("`{name}` has no {family} address"));
        }
        let avoided = self.avoided();
        let late =
            |place: &SocketAddr| avoided.get(place).is_some_and(|since| since.elapsed() < AVOIDED);
        // Otherwise their order stays.
        places.sort_by_key(late);
        drop(avoided);
        Ok(places)
    }

    async fn records(&self, name: &str, transport: Transport) -> Vec<Record> {
        let service = match transport {
            Transport::Udp => "_sip._udp",
            Transport::Tcp => "_sip._tcp",
            Transport::Tls => "_sips._tcp",
        };
        let Some(resolver) = &self.resolver else { return Vec::new() };
        let Ok(found) = resolver.srv_lookup(format!("{service}.{name}.")).await else {
            return Vec::new();
        };
        let record = |data: &RData| match data {
            RData::SRV(srv) => Some(Record {
                priority: srv.priority,
                weight: srv.weight,
                host: srv.target.to_string().trim_end_matches('.').to_owned(),
                port: srv.port,
            }),
            _ => None,
        };
        let records = found.answers().iter().filter_map(|answer| record(&answer.data));
        // A root as its host says that there is no such service.
        let records = records.filter(|record| !record.host.is_empty()).take(MOST).collect();
        ordered(records, |most| rand::rng().random_range(0..=most))
    }

    async fn addresses(&self, name: &str, port: u16) -> Vec<SocketAddr> {
        match &self.resolver {
            Some(resolver) if self.own => match resolver.lookup_ip(format!("{name}.")).await {
                Ok(found) => found.iter().map(|ip| SocketAddr::new(ip, port)).collect(),
                Err(_) => Vec::new(),
            },
            _ => lookup_host((name, port)).await.map(Iterator::collect).unwrap_or_default(),
        }
    }
}

/// Records as they are to be tried (RFC 2782): by priority, and within one by chance, the heavier
/// ones more often first. `chance` gives a number up to its argument.
fn ordered(mut records: Vec<Record>, mut chance: impl FnMut(u32) -> u32) -> Vec<Record> {
    // Those without weight come first in each draw, so that they have the small chance they should.
    records.sort_by_key(|record| (record.priority, record.weight));
    let mut order = Vec::with_capacity(records.len());
    while let Some(first) = records.first() {
        let priority = first.priority;
        let equals = records.iter().take_while(|record| record.priority == priority);
        let weights: Vec<u32> = equals.map(|record| record.weight.into()).collect();
        let drawn = chance(weights.iter().sum());
        let mut sum = 0;
        let at = weights.iter().position(|weight| {
            sum += weight;
            sum >= drawn
        });
        order.push(records.remove(at.unwrap_or(0)));
    }
    order
}

/// Where the stack connects to that is told a name only: those whose certificate is checked.
pub(super) struct ByName(pub(super) std::sync::Arc<Names>);

#[async_trait]
impl DomainResolver for ByName {
    async fn resolve(&self, target: &SipAddr) -> rsipstack::Result<SipAddr> {
        let transport = match target.r#type {
            Some(sip::Transport::Tls) => Transport::Tls,
            Some(sip::Transport::Tcp) => Transport::Tcp,
            _ => Transport::Udp,
        };
        let places = self.0.places(&target.addr, transport).await;
        let places = places.map_err(rsipstack::Error::DnsResolutionError)?;
        Ok(SipAddr { r#type: target.r#type, addr: places[0].into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(priority: u16, weight: u16, host: &str) -> Record {
        Record { priority, weight, host: host.into(), port: 5060 }
    }

    #[test]
    fn records_go_by_priority_and_then_by_weighted_chance() {
        let all = vec![
            record(20, 0, "spare"),
            record(10, 60, "heavy"),
            record(10, 0, "idle"),
            record(10, 40, "light"),
        ];
        let hosts = |drawn: &[u32]| {
            let mut drawn = drawn.iter().copied();
            let order = ordered(all.clone(), |most| drawn.next().unwrap_or(0).min(most));
            order.into_iter().map(|record| record.host).collect::<Vec<_>>()
        };
        assert_eq!(hosts(&[0, 0, 0]), ["idle", "light", "heavy", "spare"]);
        assert_eq!(hosts(&[41, 40]), ["heavy", "light", "idle", "spare"]);
        assert_eq!(hosts(&[100, 0, 40]), ["heavy", "idle", "light", "spare"]);
    }
}
