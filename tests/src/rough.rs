//! A rough network between a telephone of SIP and voxflow: packets of sound are lost and late both
//! ways, and come to voxflow out of order too. (baresip's own buffer gives up when they do.)
//!
//! The INVITE and its answers pass through it, so that it can put its own ports into their
//! descriptions; everything after that finds its way by itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// How bad it is.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Of so many packets one is lost.
    pub one_lost_of: u64,
    /// How much later a packet may come than another, in milliseconds.
    pub late_ms: u64,
}

/// The network.
pub struct Rough {
    /// Where the telephone dials.
    pub at: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    seen: AtomicU64,
    lost: AtomicU64,
}

async fn socket() -> UdpSocket {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap()
}

impl Rough {
    /// Begins between whoever dials and a server.
    ///
    /// # Panics
    /// Without sockets.
    pub async fn begin(server: SocketAddr, weather: Weather) -> Self {
        let (near, far) = (Arc::new(socket().await), Arc::new(socket().await));
        let (sound_near, sound_far) = (Arc::new(socket().await), Arc::new(socket().await));
        let at = near.local_addr().unwrap();
        // Where each side's sound goes, as its description said.
        let (caller, called) = (Arc::new(AtomicU16::new(0)), Arc::new(AtomicU16::new(0)));
        let counts = Arc::new(Counts::default());
        let phone = Arc::new(std::sync::Mutex::new(None::<SocketAddr>));

        let port = |socket: &UdpSocket| socket.local_addr().unwrap().port();
        let (near_port, far_port) = (port(&sound_near), port(&sound_far));
        {
            let (near, far, phone, caller) =
                (Arc::clone(&near), Arc::clone(&far), Arc::clone(&phone), Arc::clone(&caller));
            tokio::spawn(async move {
                let mut bytes = vec![0; 8_192];
                while let Ok((size, from)) = near.recv_from(&mut bytes).await {
                    *phone.lock().unwrap() = Some(from);
                    let text = moved(&bytes[..size], far_port, &caller);
                    far.send_to(&text, server).await.unwrap();
                }
            });
        }
        {
            let called = Arc::clone(&called);
            tokio::spawn(async move {
                let mut bytes = vec![0; 8_192];
                while let Ok((size, _)) = far.recv_from(&mut bytes).await {
                    let text = moved(&bytes[..size], near_port, &called);
                    let phone = phone.lock().unwrap().unwrap();
                    near.send_to(&text, phone).await.unwrap();
                }
            });
        }
        // From the caller: in at the near socket, out of the far one; and the way back.
        let ways = [
            (Arc::clone(&sound_near), Arc::clone(&sound_far), called),
            (sound_far, sound_near, caller),
        ];
        for (seed, (from, out, to)) in ways.into_iter().enumerate() {
            let in_order = seed == 1;
            let seed = seed as u64 + 1;
            tokio::spawn(carry(from, out, to, weather, seed, in_order, Arc::clone(&counts)));
        }
        Self { at, counts }
    }

    /// Packets of sound so far, and how many of them were lost.
    pub fn packets(&self) -> (u64, u64) {
        (self.counts.seen.load(Ordering::Relaxed), self.counts.lost.load(Ordering::Relaxed))
    }
}

async fn carry(
    from: Arc<UdpSocket>,
    out: Arc<UdpSocket>,
    to: Arc<AtomicU16>,
    weather: Weather,
    mut seed: u64,
    in_order: bool,
    counts: Arc<Counts>,
) {
    let mut bytes = vec![0; 2_048];
    let (queue, mut queued) = mpsc::unbounded_channel();
    let way = Arc::clone(&out);
    tokio::spawn(async move {
        while let Some(packet) = queued.recv().await {
            leave(Arc::clone(&way), packet).await;
        }
    });
    while let Ok(size) = from.recv(&mut bytes).await {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let chance = seed >> 33;
        counts.seen.fetch_add(1, Ordering::Relaxed);
        if chance.is_multiple_of(weather.one_lost_of) {
            counts.lost.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let due = Instant::now() + Duration::from_millis((chance >> 8) % (weather.late_ms + 1));
        let packet = (due, bytes[..size].to_vec(), to.load(Ordering::Relaxed));
        if in_order {
            let _ = queue.send(packet);
        } else {
            tokio::spawn(leave(Arc::clone(&out), packet));
        }
    }
}

/// This is the network, not a test that waits.
async fn leave(out: Arc<UdpSocket>, (due, packet, port): (Instant, Vec<u8>, u16)) {
    sleep_until(due).await;
    let _ = out.send_to(&packet, (Ipv4Addr::LOCALHOST, port)).await;
}

/// A message whose sound comes to another port; the port that it named is kept.
fn moved(message: &[u8], port: u16, kept: &AtomicU16) -> Vec<u8> {
    let text = String::from_utf8(message.to_vec()).unwrap();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return message.to_vec() };
    let Some(at) = body.find("m=audio ") else { return message.to_vec() };
    let rest = &body[at + 8..];
    let (named, rest) = rest.split_once(' ').unwrap();
    kept.store(named.parse().unwrap(), Ordering::Relaxed);
    let body = format!("{}m=audio {port} {rest}", &body[..at]);
    let lines = head.split("\r\n").map(|line| {
        if line.to_ascii_lowercase().starts_with("content-length:") {
            format!("Content-Length: {}", body.len())
        } else {
            line.to_owned()
        }
    });
    format!("{}\r\n\r\n{body}", lines.collect::<Vec<_>>().join("\r\n")).into_bytes()
}
