//! Where sound comes in: a pair of sockets for each call, out of a range of ports.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::net::UdpSocket;

/// Sockets of one call.
pub(super) struct Sockets {
    /// For sound, on an even port.
    pub(super) rtp: UdpSocket,
    /// For reports, on the port after it.
    pub(super) rtcp: UdpSocket,
    /// The port for sound.
    pub(super) port: u16,
}

/// The ports that sound may use.
pub(super) struct Ports {
    ip: IpAddr,
    range: RangeInclusive<u16>,
    /// The pair that is tried next: one that was just given up is not used at once again.
    next: AtomicU16,
}

impl Ports {
    /// Ports of an address.
    pub(super) fn new(ip: IpAddr, range: RangeInclusive<u16>) -> Self {
        Self { ip, range, next: AtomicU16::new(0) }
    }

    /// A free pair.
    ///
    /// # Errors
    /// All of them are taken, or the system gives none.
    pub(super) async fn take(&self) -> io::Result<Sockets> {
        let first = self.range.start() + self.range.start() % 2;
        let pairs = self.range.end().saturating_sub(first).div_ceil(2);
        for _ in 0..pairs {
            let place = self.next.fetch_add(1, Ordering::Relaxed) % pairs;
            let port = first + place * 2;
            let bound = |port| UdpSocket::bind(SocketAddr::new(self.ip, port));
            match (bound(port).await, bound(port + 1).await) {
                (Ok(rtp), Ok(rtcp)) => return Ok(Sockets { rtp, rtcp, port }),
                (Err(error), _) | (_, Err(error)) if error.kind() == io::ErrorKind::AddrInUse => {}
                (Err(error), _) | (_, Err(error)) => return Err(error),
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, "all ports for sound are taken"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn pairs_are_even_different_and_come_to_an_end() {
        let ports = Ports::new([127, 0, 0, 1].into(), 47_311..=47_319);
        let (a, b) = (ports.take().await.unwrap(), ports.take().await.unwrap());
        assert!(a.port % 2 == 0 && b.port % 2 == 0 && a.port != b.port);
        let mut held = vec![a, b];
        while let Ok(more) = ports.take().await {
            held.push(more);
        }
        assert!(held.len() <= 4);
        held.pop();
        assert!(ports.take().await.is_ok());
    }
}
