//! SIP: calls from and to phones, exchanges and carriers, with their sound as RTP.
//!
//! Read in this order: `agent` (sockets, and which request is whose) → `digest` (who is allowed)
//! → `inbound` (an INVITE becomes a leg) → `talk` (the one task that owns a call) → `sdp` (what
//! sound is agreed on) → `media` (its task) with `ports` and `srtp` → `outbound` (we dial) with `route` (which way), `names` (where that is) and `invite` (how it is said) →
//! `replaces` (somebody takes another's place) → `register` (trunks know where we are) → `timer` (a session that nobody refreshes ends).
//!
//! Who may call us: addresses of [`Settings::allow`], trunks that are named by their address
//! or that we are registered with, and [`Settings::users`] by their password. Nobody else, so that no stranger spends money here.
//!
//! Invariant: the stack's own log of whole messages stays off: they hold answers to challenges.
//! Invariant: one task owns a call; the stack's events, the call's wishes and the sound's news meet
//! there, so that no two of them act at once.

mod agent;
mod digest;
mod inbound;
mod invite;
mod media;
mod names;
mod outbound;
mod ports;
mod register;
mod replaces;
mod route;
mod sdp;
mod srtp;
mod talk;
mod timer;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use audio::codec::Codec;
use rsipstack::dialog::authenticate::Credential;
use secrecy::{ExposeSecret, SecretString};

pub use agent::Sip;

/// The channel's file name.
pub const CHANNEL: &str = "sip";

/// The codecs that are used where nobody says otherwise, by our preference.
pub const CODECS: [Codec; 4] = [Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma];

/// What SIP needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where UDP and TCP are listened on.
    pub listen: SocketAddr,
    /// Where TLS is listened on.
    pub tls: Option<Tls>,
    /// Certificates of authorities, as PEM, by which those that we dial by TLS are known.
    pub authorities: Option<Vec<u8>>,
    /// The address under which others reach us, when that is not the one that is listened on.
    pub public_ip: Option<IpAddr>,
    /// Ports for sound, two for each call.
    pub rtp_ports: RangeInclusive<u16>,
    /// Codecs, by our preference. Of an offer the first that is among them is taken.
    pub codecs: Vec<Codec>,
    /// Who may call without a password.
    pub allow: Vec<Net>,
    /// Who may call with one.
    pub users: Vec<User>,
    /// Whether they are asked for SHA-256 beside MD5 (RFC 8760). Phones that do not know it give
    /// up, though MD5 would do.
    pub ask_sha256: bool,
    /// Whom we dial by.
    pub trunks: Vec<Trunk>,
    /// Whether `sip:` addresses may be dialed that are not a trunk's.
    pub direct: bool,
    /// Calls at once; more are told to come later.
    pub most_calls: usize,
    /// Without any packet for so long the far side of a call is gone; `None` = nobody looks.
    pub silence: Option<Duration>,
    /// For how long a call lives that nobody confirms, seconds (RFC 4028).
    pub session: u32,
    /// The name server that is asked where trunks lie; `None` = those of the system.
    pub name_server: Option<SocketAddr>,
}

/// TLS for those who call us.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Where it is listened on.
    pub listen: SocketAddr,
    /// Our certificates, as PEM.
    pub certificate: Vec<u8>,
    /// Their key, as PEM.
    pub key: SecretString,
}

/// Somebody who calls with a password.
#[derive(Clone, Debug)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password.
    pub password: SecretString,
}

/// A carrier or an exchange.
#[derive(Clone, Debug)]
pub struct Trunk {
    /// How the log calls it.
    pub name: String,
    /// Its name or address, perhaps with a port: `sip.example.com`, `192.0.2.7:5070`.
    pub host: String,
    /// How it is reached.
    pub transport: Transport,
    /// Our account there.
    pub user: Option<String>,
    /// The account's password.
    pub password: Option<SecretString>,
    /// Whether the sound must be encrypted.
    pub encrypt: bool,
    /// Whether it is told where we are, so that it brings calls to us.
    pub register: bool,
}

impl Trunk {
    /// What proves that we may use it.
    fn credential(&self) -> Option<Credential> {
        Some(Credential {
            username: self.user.clone()?,
            password: self.password.as_ref()?.expose_secret().to_owned(),
            realm: None,
            auth_username: None,
        })
    }
}

/// How messages travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// One message a packet.
    #[default]
    Udp,
    /// A connection.
    Tcp,
    /// An encrypted one.
    Tls,
}

/// Addresses that belong together: `192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net {
    first: IpAddr,
    bits: u8,
}

impl Net {
    /// Whether an address is among them.
    pub fn holds(&self, ip: IpAddr) -> bool {
        let (first, ip) = (number(self.first.to_canonical()), number(ip.to_canonical()));
        // Of 128 bits the last `left` may be anything.
        let left = first.1 - u32::from(self.bits);
        first.1 == ip.1 && (left == 128 || first.0 >> left == ip.0 >> left)
    }
}

/// An address as a number, and how many bits it has.
fn number(ip: IpAddr) -> (u128, u32) {
    match ip {
        IpAddr::V4(ip) => (u32::from(ip).into(), 32),
        IpAddr::V6(ip) => (ip.into(), 128),
    }
}

impl FromStr for Net {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no address such as 192.0.2.7 or 192.0.2.0/24");
        let (first, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let first: IpAddr = first.parse().map_err(|_| wrong())?;
        let most = number(first.to_canonical()).1 as u8;
        let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| wrong()))?;
        if bits > most { Err(wrong()) } else { Ok(Self { first, bits }) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn nets_hold_what_they_say() {
        let holds = |net: &str, ip: &str| net.parse::<Net>().unwrap().holds(ip.parse().unwrap());
        assert!(holds("192.0.2.0/24", "192.0.2.255") && !holds("192.0.2.0/24", "192.0.3.0"));
        assert!(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.8"));
        assert!(holds("0.0.0.0/0", "8.8.8.8") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("::/0", "2001:db8::1") && holds("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!("192.0.2.0/33".parse::<Net>().is_err() && "x".parse::<Net>().is_err());
    }
}
