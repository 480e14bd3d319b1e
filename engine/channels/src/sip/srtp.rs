//! Encrypted sound: keys in descriptions (SDES, RFC 4568), and packets sealed and opened with
//! them (SRTP, RFC 3711).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rtc_srtp::context::Context;
use rtc_srtp::crypto::default_provider;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use rtc_srtp::protection_profile::ProtectionProfile;

/// The bytes of a key, and those of the salt after them.
const MASTER: usize = 16;
const WITH_SALT: usize = 30;
/// Packets that may come out of order; older ones count as played again by somebody.
const WINDOW: usize = 128;

/// How packets are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Suite {
    /// 80 bits prove a packet.
    Long,
    /// 32 bits do.
    Short,
}

impl Suite {
    fn word(self) -> &'static str {
        match self {
            Self::Long => "AES_CM_128_HMAC_SHA1_80",
            Self::Short => "AES_CM_128_HMAC_SHA1_32",
        }
    }
}

/// One direction's key, as descriptions carry it: `1 AES_CM_128_HMAC_SHA1_80 inline:...`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Key {
    tag: u32,
    suite: Suite,
    bytes: [u8; WITH_SALT],
}

impl Key {
    /// A fresh one.
    pub(super) fn new(tag: u32) -> Self {
        Self { tag, suite: Suite::Long, bytes: rand::random() }
    }

    /// The same bytes for an answer: by the other side's suite, under its tag.
    pub(super) fn like(&self, other: &Self) -> Self {
        Self { tag: other.tag, suite: other.suite, bytes: self.bytes }
    }

    /// Reads what follows `a=crypto:`; `None` = we do not know its suite, or it is malformed.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let tag = words.next()?.parse().ok()?;
        let name = words.next()?;
        let suite = [Suite::Long, Suite::Short].into_iter().find(|suite| suite.word() == name)?;
        // A lifetime and an index may follow; the lifetime is longer than any call. An index would
        // have to be in every packet.
        let mut parts = words.next()?.strip_prefix("inline:")?.split('|');
        let bytes = STANDARD.decode(parts.next()?).ok()?;
        if parts.any(|part| part.contains(':')) {
            return None;
        }
        Some(Self { tag, suite, bytes: bytes.try_into().ok()? })
    }

    fn context(&self) -> Result<Context, String> {
        let profile = match self.suite {
            Suite::Long => ProtectionProfile::Aes128CmHmacSha1_80,
            Suite::Short => ProtectionProfile::Aes128CmHmacSha1_32,
        };
        let provider = default_provider().map_err(|error| error.to_string())?;
        let (key, salt) = self.bytes.split_at(MASTER);
        let (replayed, report) = (srtp_replay_protection(WINDOW), srtcp_replay_protection(WINDOW));
        Context::new(key, salt, profile, Some(replayed), Some(report), provider.crypto())
            .map_err(|error| error.to_string())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tag, suite, bytes } = self;
        write!(f, "{tag} {} inline:{}", suite.word(), STANDARD.encode(bytes))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, {})", self.tag, self.suite.word())
    }
}

/// Seals what we send and opens what comes.
pub(super) struct Shield {
    sealing: Context,
    opening: Context,
}

impl Shield {
    /// From our key and theirs.
    ///
    /// # Errors
    /// The machine lacks a cipher.
    pub(super) fn new(ours: &Key, theirs: &Key) -> Result<Self, String> {
        Ok(Self { sealing: ours.context()?, opening: theirs.context()? })
    }

    /// A packet of sound, or of reports, on its way out.
    pub(super) fn seal(&mut self, packet: &[u8], report: bool) -> Option<Vec<u8>> {
        let sealed = if report {
            self.sealing.encrypt_rtcp(packet)
        } else {
            self.sealing.encrypt_rtp(packet)
        };
        Some(sealed.ok()?.to_vec())
    }

    /// A packet that came; `None` = it is forged, broken, or was played before.
    pub(super) fn open(&mut self, packet: &[u8], report: bool) -> Option<Vec<u8>> {
        let opened = if report {
            self.opening.decrypt_rtcp(packet)
        } else {
            self.opening.decrypt_rtp(packet)
        };
        Some(opened.ok()?.to_vec())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use audio::rtp::Packet;

    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_written_and_never_shown() {
        let key = Key::new(3);
        let read = Key::read(&key.to_string()).unwrap();
        assert_eq!(read.to_string(), key.to_string());
        assert!(!format!("{key:?}").contains(&STANDARD.encode(key.bytes)));
        // With a lifetime it is the same key, with an index it is none of ours.
        assert!(Key::read(&format!("{key}|2^20")).is_some());
        assert!(Key::read(&format!("{key}|2^20|1:4")).is_none());
        assert!(Key::read("1 AES_CM_128_HMAC_SHA1_80 inline:AAAA").is_none());
        assert!(Key::read("1 F8_128_HMAC_SHA1_80 inline:AAAA").is_none());
    }

    #[test]
    fn what_one_seals_the_other_opens_once() {
        let (alice, bob) = (Key::new(1), Key::new(1));
        let mut here = Shield::new(&alice, &bob).unwrap();
        let mut there = Shield::new(&bob, &alice).unwrap();
        let packet = Packet { sequence: 7, payload: vec![1, 2, 3], ..Packet::default() }.write();
        let sealed = here.seal(&packet, false).unwrap();
        assert_eq!(sealed.len(), packet.len() + 10);
        assert_eq!(there.open(&sealed, false).unwrap(), packet);
        assert_eq!(there.open(&sealed, false), None, "played again");
        let mut forged =
            here.seal(&Packet { sequence: 8, ..Packet::default() }.write(), false).unwrap();
        forged[12] ^= 1;
        assert_eq!(there.open(&forged, false), None);
        assert_eq!(there.open(&[], false), None);
        assert_eq!(there.open(&[0x80; 9], true), None);
    }
}
