//! A name server on loopback: answers by UDP with what it was told (RFC 1035, RFC 2782).

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

const A: u16 = 1;
const SRV: u16 = 33;

/// A service's name, and `(priority, port, host)` of each record.
pub(crate) type Records<'a> = (&'a str, &'a [(u16, u16, &'a str)]);

/// A running name server. Dropped, it is silent.
pub(crate) struct NameServer {
    pub(crate) at: SocketAddr,
    /// What was asked, in order: type and name.
    pub(crate) asked: Arc<Mutex<Vec<(u16, String)>>>,
    serving: JoinHandle<()>,
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A name as it is written in a message.
fn written(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut bytes: Vec<u8> =
        labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    bytes.push(0);
    bytes
}

impl NameServer {
    /// Every one of `hosts` is at 127.0.0.1.
    pub(crate) async fn open(services: &[Records<'_>], hosts: &[&str]) -> Self {
        let mut known: HashMap<(u16, String), Vec<Vec<u8>>> = HashMap::new();
        for (service, records) in services {
            let record = |(priority, port, host): &(u16, u16, &str)| {
                let numbers = [*priority, 0, *port].map(u16::to_be_bytes).concat();
                [numbers, written(host)].concat()
            };
            known.insert((SRV, (*service).into()), records.iter().map(record).collect());
        }
        for host in hosts {
            known.insert((A, (*host).into()), vec![Ipv4Addr::LOCALHOST.octets().to_vec()]);
        }
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = socket.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&asked);
        let serving = tokio::spawn(async move {
            let mut bytes = [0; 1_500];
            while let Ok((size, from)) = socket.recv_from(&mut bytes).await {
                let (kind, name, end) = question(&bytes[..size]);
                record.lock().unwrap().push((kind, name.clone()));
                let answers = known.get(&(kind, name.clone())).cloned().unwrap_or_default();
                let exists = known.keys().any(|(_, own)| *own == name);
                let mut said = bytes[..end].to_vec();
                // An answer with authority; 3: there is no such name.
                said[2..4].copy_from_slice(&[0x85, if exists { 0x80 } else { 0x83 }]);
                said[4..6].copy_from_slice(&1u16.to_be_bytes());
                said[6..8].copy_from_slice(&(answers.len() as u16).to_be_bytes());
                said[8..12].fill(0);
                for data in answers {
                    said.extend([0xC0, 12]);
                    said.extend(kind.to_be_bytes());
                    said.extend([0, 1, 0, 0, 0, 60]);
                    said.extend((data.len() as u16).to_be_bytes());
                    said.extend(data);
                }
                socket.send_to(&said, from).await.unwrap();
            }
        });
        Self { at, asked, serving }
    }
}

/// The first question of a message, and where it ends.
fn question(bytes: &[u8]) -> (u16, String, usize) {
    let (mut at, mut labels) = (12, Vec::new());
    while bytes[at] != 0 {
        let length = usize::from(bytes[at]);
        labels.push(String::from_utf8_lossy(&bytes[at + 1..=at + length]).to_lowercase());
        at += length + 1;
    }
    (u16::from_be_bytes([bytes[at + 1], bytes[at + 2]]), labels.join("."), at + 5)
}
