//! A telephone that speaks SIP over UDP as the standards write it: text and packets made by hand,
//! so that no mistake of ours is made twice alike.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::house::SOON;

/// After how long a request is sent again.
const AGAIN: Duration = Duration::from_millis(500);
/// The tag by which an ACK says that it is for a refusal.
pub(crate) const REFUSED: &str = "refused";

/// A telephone on loopback.
pub(crate) struct Telephone {
    pub(crate) sip: UdpSocket,
    pub(crate) rtp: UdpSocket,
    server: SocketAddr,
    pub(crate) call: String,
    cseq: u32,
    /// A request that nobody has answered.
    open: Mutex<Option<String>>,
}

/// A message of SIP, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Sip {
    /// Its first line.
    pub(crate) line: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Sip {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        let line = lines.next().unwrap().to_owned();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.trim().to_ascii_lowercase(), value.trim().to_owned())
        });
        Self { line, headers: headers.collect(), body: body.to_owned() }
    }

    /// The status of an answer; 0 of a request.
    pub(crate) fn status(&self) -> u16 {
        let status = self.line.strip_prefix("SIP/2.0 ").map(|rest| rest[..3].parse().unwrap());
        status.unwrap_or(0)
    }

    pub(crate) fn method(&self) -> &str {
        self.line.split(' ').next().unwrap()
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let own = self.headers.iter().filter(|(own, _)| own == name);
        own.map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn get(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or("")
    }

    /// The tag of a party: `from` or `to`.
    pub(crate) fn tag(&self, party: &str) -> String {
        self.get(party).split("tag=").nth(1).unwrap().to_owned()
    }

    /// The port that its description names for sound.
    pub(crate) fn sound_port(&self) -> u16 {
        let line = self.body.lines().find(|line| line.starts_with("m=audio ")).unwrap();
        line.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

impl Telephone {
    pub(crate) async fn at(server: SocketAddr) -> Self {
        let sip = UdpSocket::bind((server.ip(), 0)).await.unwrap();
        let rtp = UdpSocket::bind((server.ip(), 0)).await.unwrap();
        let call = format!("{:016x}@phone", rand::random::<u64>());
        Self { sip, rtp, server, call, cseq: 1, open: Mutex::default() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.sip.local_addr().unwrap()
    }

    /// A description of our sound: formats, and further lines.
    pub(crate) fn words(&self, formats: &str, more: &str) -> String {
        let (port, ip) = (self.rtp.local_addr().unwrap().port(), self.server.ip());
        let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
        format!(
            "v=0\r\no=- 1 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP {formats}\r\n{more}"
        )
    }

    pub(crate) async fn send(&self, text: &str) {
        self.sip.send_to(text.as_bytes(), self.server).await.unwrap();
    }

    /// A request. `to_tag` is empty outside of a dialog.
    pub(crate) async fn request(
        &mut self,
        method: &str,
        user: &str,
        to_tag: &str,
        headers: &str,
        body: &str,
    ) {
        let (here, server, call) = (self.address(), self.server, &self.call);
        // An ACK and a CANCEL have the number, and a CANCEL the branch, of their INVITE.
        if !["ACK", "CANCEL"].contains(&method) {
            self.cseq += 1;
        }
        let cseq = self.cseq;
        let tag = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
        // The ACK of a refusal belongs to its INVITE; that of an answer stands for itself.
        let branch = if method == "ACK" && to_tag != REFUSED { "ack" } else { "b" };
        let text = format!(
            "{method} sip:{user}@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK{branch}{call}{cseq};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:+15550002000@127.0.0.1>;tag=mine\r\nTo: <sip:{user}@{server}>{tag}\r\n\
             Call-ID: {call}\r\nCSeq: {cseq} {method}\r\nContact: <sip:phone@{here}>\r\n{headers}\
             Content-Length: {}\r\n{}\r\n{body}",
            body.len(),
            if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" },
        );
        self.send(&text).await;
        *self.open.lock().unwrap() = (method != "ACK").then_some(text);
    }

    /// The next message that is no copy of an earlier one.
    pub(crate) async fn next(&self) -> Sip {
        let mut bytes = vec![0; 8_192];
        let come = async {
            loop {
                // By UDP a request is sent again until somebody answers (timer E).
                match timeout(AGAIN, self.sip.recv(&mut bytes)).await {
                    Ok(size) => return size.unwrap(),
                    Err(_) => {
                        let open = self.open.lock().unwrap().clone();
                        if let Some(text) = open {
                            self.send(&text).await;
                        }
                    }
                }
            }
        };
        let size = timeout(SOON, come).await.expect("a message");
        let message = Sip::read(std::str::from_utf8(&bytes[..size]).unwrap());
        if message.status() > 0 {
            *self.open.lock().unwrap() = None;
        }
        message
    }

    /// The next answer of this status; others before it are passed over.
    pub(crate) async fn status(&self, status: u16) -> Sip {
        loop {
            let message = self.next().await;
            if message.status() == status {
                return message;
            }
            assert!(message.status() < status || message.status() == 0, "{message:?}");
        }
    }

    /// The next request of this method.
    pub(crate) async fn asked(&self, method: &str) -> Sip {
        loop {
            let message = self.next().await;
            if message.status() == 0 && message.method() == method {
                return message;
            }
        }
    }

    /// Answers a request.
    pub(crate) async fn answer(&self, request: &Sip, status: &str, headers: &str, body: &str) {
        let vias: String = request.all("via").iter().map(|via| format!("Via: {via}\r\n")).collect();
        let to = request.get("to");
        let tag = if to.contains("tag=") || status.starts_with("100") { "" } else { ";tag=theirs" };
        let text = format!(
            "SIP/2.0 {status}\r\n{vias}From: {}\r\nTo: {to}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
             Contact: <sip:phone@{}>\r\n{headers}Content-Length: {}\r\n{}\r\n{body}",
            request.get("from"),
            request.get("call-id"),
            request.get("cseq"),
            self.address(),
            body.len(),
            if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" },
        );
        self.send(&text).await;
    }

    /// Speaks packets of mu-law: numbers from `first` on, each filled with the byte.
    pub(crate) async fn speak(&self, port: u16, first: u16, packets: u16, byte: u8) {
        for n in first..first + packets {
            let mut packet = vec![0x80, 0];
            packet.extend(n.to_be_bytes());
            packet.extend((u32::from(n) * 160).to_be_bytes());
            packet.extend([0, 0, 0, 9]);
            packet.extend([byte; 160]);
            self.rtp.send_to(&packet, (self.server.ip(), port)).await.unwrap();
        }
    }

    /// The next packet of sound: its type, its sequence number, and what it carries.
    pub(crate) async fn hear(&self) -> (u8, u16, Vec<u8>) {
        let mut bytes = vec![0; 2_048];
        let size = timeout(SOON, self.rtp.recv(&mut bytes)).await.expect("a packet").unwrap();
        assert_eq!(bytes[0], 0x80);
        (bytes[1] & 0x7F, u16::from_be_bytes([bytes[2], bytes[3]]), bytes[12..size].to_vec())
    }
}
