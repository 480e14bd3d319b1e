//! Passwords that are proved and never told: digest authentication (RFC 7616, RFC 8760).
//!
//! [`Guard`] challenges those who call us and judges their answers. [`Mender`] lets the SIP stack
//! answer challenges of others that it would misread: it knows `SHA256` and one `qop`, where the
//! standard says `SHA-256` and a list.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use rsipstack::sip::{Header, SipMessage, StatusCode};
use rsipstack::transaction::endpoint::MessageInspector;
use rsipstack::transport::SipAddr;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Who asks; shown to people by some phones.
const REALM: &str = "voxflow";
/// How long an answer to a challenge may take.
const FRESH: Duration = Duration::from_secs(60);
/// Answers that are remembered, so that none counts twice.
const REMEMBERED: usize = 10_000;
/// The header in which a message carries where it really came from. Set by us alone.
const SOURCE: &str = "X-Voxflow-Source";

/// How a password is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Md5,
    Sha256,
}

impl Hash {
    fn word(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    fn read(word: &str) -> Option<Self> {
        // What the standard says, and what some write.
        match word.to_ascii_lowercase().as_str() {
            "md5" | "" => Some(Self::Md5),
            "sha-256" | "sha256" => Some(Self::Sha256),
            _ => None,
        }
    }

    fn hex(self, text: &str) -> String {
        match self {
            Self::Md5 => hex(&Md5::digest(text)),
            Self::Sha256 => hex(&Sha256::digest(text)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The parameters of a header such as `Digest realm="a", qop="auth,auth-int"`, quotes removed.
fn params(header: &str) -> Option<Vec<(String, String)>> {
    let mut rest = header.trim();
    let scheme = rest.get(..6).filter(|scheme| scheme.eq_ignore_ascii_case("digest"))?;
    rest = &rest[scheme.len()..];
    let mut params = Vec::new();
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([',', ' ', '\t', '\r', '\n']).to_ascii_lowercase();
        let after = after.trim_start();
        let value = match after.strip_prefix('"') {
            Some(quoted) => {
                let end = quoted.find('"')?;
                rest = &quoted[end + 1..];
                quoted[..end].to_owned()
            }
            None => {
                let end = after.find(',').unwrap_or(after.len());
                rest = &after[end..];
                after[..end].trim().to_owned()
            }
        };
        params.push((name, value));
    }
    Some(params)
}

fn get<'a>(params: &'a [(String, String)], name: &str) -> &'a str {
    params.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value)
}

/// What an answer must be.
fn response(
    hash: Hash,
    user: &str,
    password: &str,
    method: &str,
    answer: &[(String, String)],
) -> String {
    let (realm, nonce, uri) = (get(answer, "realm"), get(answer, "nonce"), get(answer, "uri"));
    let ours = hash.hex(&format!("{user}:{realm}:{password}"));
    let asked = hash.hex(&format!("{method}:{uri}"));
    match get(answer, "qop") {
        "" => hash.hex(&format!("{ours}:{nonce}:{asked}")),
        qop => {
            let (nc, cnonce) = (get(answer, "nc"), get(answer, "cnonce"));
            hash.hex(&format!("{ours}:{nonce}:{nc}:{cnonce}:{qop}:{asked}"))
        }
    }
}

/// What a caller is found to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// This user.
    Known(String),
    /// Nobody yet; these are to be asked. True: only the challenge was too old.
    Ask(bool),
}

/// Challenges callers.
pub(super) struct Guard {
    secret: [u8; 32],
    /// Whether SHA-256 is asked for beside MD5.
    sha256: bool,
    began: Instant,
    /// Answers that were right already, and until when they would be.
    used: Mutex<Vec<(String, Instant)>>,
}

impl Guard {
    /// With a secret of its own, which lasts as long as the process.
    pub(super) fn new(sha256: bool) -> Self {
        Self { secret: rand::random(), sha256, began: Instant::now(), used: Mutex::default() }
    }

    /// The challenges for a caller, the better one first.
    pub(super) fn challenges(&self, from: IpAddr, stale: bool) -> Vec<Header> {
        let nonce = self.nonce(self.began.elapsed().as_secs(), rand::random(), from);
        let stale = if stale { ", stale=true" } else { "" };
        let challenge = |hash: Hash| {
            let text = format!(
                "Digest realm=\"{REALM}\", nonce=\"{nonce}\", qop=\"auth\", algorithm={}{stale}",
                hash.word()
            );
            Header::WwwAuthenticate(text.into())
        };
        let better = self.sha256.then(|| challenge(Hash::Sha256));
        better.into_iter().chain([challenge(Hash::Md5)]).collect()
    }

    /// Judges an `Authorization` header. `password` knows the users.
    pub(super) fn judge(
        &self,
        header: &str,
        method: &str,
        from: IpAddr,
        password: impl Fn(&str) -> Option<String>,
    ) -> Verdict {
        let Some(answer) = params(header) else { return Verdict::Ask(false) };
        let (user, nonce) = (get(&answer, "username"), get(&answer, "nonce"));
        let Some(hash) = Hash::read(get(&answer, "algorithm")) else { return Verdict::Ask(false) };
        let mut parts = nonce.split('-').map(|part| u64::from_str_radix(part, 16).ok());
        let (Some(Some(at)), Some(Some(salt))) = (parts.next(), parts.next()) else {
            return Verdict::Ask(false);
        };
        if !same(&self.nonce(at, salt, from), nonce) {
            return Verdict::Ask(false);
        }
        // Somebody unknown takes as long as somebody known.
        let known = password(user);
        let wanted = response(hash, user, known.as_deref().unwrap_or(""), method, &answer);
        let right = same(&wanted, get(&answer, "response")) && known.is_some();
        let wanted_realm = get(&answer, "realm") == REALM && get(&answer, "qop") == "auth";
        if !right || !wanted_realm {
            return Verdict::Ask(false);
        }
        let old = self.began.elapsed().as_secs().saturating_sub(at) > FRESH.as_secs();
        if old || !self.first(format!("{nonce}/{}/{}", get(&answer, "nc"), get(&answer, "cnonce")))
        {
            return Verdict::Ask(true);
        }
        Verdict::Known(user.to_owned())
    }

    /// When it was made, what tells it from others of that moment, and our proof of both.
    fn nonce(&self, at: u64, salt: u64, from: IpAddr) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("any length is a key");
        mac.update(&at.to_be_bytes());
        mac.update(&salt.to_be_bytes());
        mac.update(from.to_string().as_bytes());
        format!("{at:x}-{salt:x}-{}", hex(&mac.finalize().into_bytes()[..16]))
    }

    /// Whether an answer comes for the first time.
    fn first(&self, answer: String) -> bool {
        let now = Instant::now();
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|(_, until)| *until > now);
        if used.len() >= REMEMBERED || used.iter().any(|(own, _)| *own == answer) {
            return false;
        }
        used.push((answer, now + FRESH * 2));
        true
    }
}

fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

/// Stands between the SIP stack and the wire: mends what digests need, and notes where each
/// message came from.
pub(super) struct Mender;

impl Mender {
    /// Where a message came from, by the network and not by what it says.
    pub(super) fn source(headers: &rsipstack::sip::Headers) -> Option<std::net::SocketAddr> {
        headers.iter().find_map(|header| match header {
            Header::Other(name, value) if name == SOURCE => value.parse().ok(),
            _ => None,
        })
    }
}

impl MessageInspector for Mender {
    fn before_send(&self, mut message: SipMessage, _: Option<&SipAddr>) -> SipMessage {
        if let SipMessage::Request(request) = &mut message {
            for header in request.headers.iter_mut() {
                match header {
                    Header::Authorization(value) => value.0 = answer(&value.0),
                    Header::ProxyAuthorization(value) => value.0 = answer(&value.0),
                    _ => {}
                }
            }
        }
        message
    }

    fn after_received(&self, mut message: SipMessage, from: Option<&SipAddr>) -> SipMessage {
        match &mut message {
            SipMessage::Request(request) => {
                let theirs = |header: &Header| matches!(header, Header::Other(name, _) if name.eq_ignore_ascii_case(SOURCE));
                request.headers.retain(|header| !theirs(header));
                if let Some(Ok(from)) = from.map(SipAddr::get_socketaddr) {
                    request.headers.push(Header::Other(SOURCE.into(), from.to_string()));
                }
            }
            SipMessage::Response(response) => {
                let asked = [StatusCode::Unauthorized, StatusCode::ProxyAuthenticationRequired];
                if asked.contains(&response.status_code) {
                    mend(&mut response.headers);
                }
            }
        }
        message
    }
}

/// Of several challenges the best that we can answer is left, in the stack's spelling.
fn mend(headers: &mut rsipstack::sip::Headers) {
    let text = |header: &Header| match header {
        Header::WwwAuthenticate(value) => Some(value.0.clone()),
        Header::ProxyAuthenticate(value) => Some(value.0.clone()),
        _ => None,
    };
    let strength = |challenge: &str| {
        let params = params(challenge)?;
        Some(match Hash::read(get(&params, "algorithm"))? {
            Hash::Md5 => 1,
            Hash::Sha256 => 2,
        })
    };
    let best = headers.iter().filter_map(|header| strength(&text(header)?)).max();
    let Some(best) = best else { return };
    let mut left = false;
    headers.retain(|header| match text(header) {
        Some(challenge) => {
            let keep = !left && strength(&challenge) == Some(best);
            left |= keep;
            keep
        }
        None => true,
    });
    for header in headers.iter_mut() {
        match header {
            Header::WwwAuthenticate(value) => value.0 = challenge(&value.0),
            Header::ProxyAuthenticate(value) => value.0 = challenge(&value.0),
            _ => {}
        }
    }
}

/// A challenge as the stack reads it.
fn challenge(text: &str) -> String {
    let Some(params) = params(text) else { return text.into() };
    let mut written: Vec<String> = Vec::new();
    for (name, value) in &params {
        written.push(match name.as_str() {
            "algorithm" => format!("algorithm={}", value.replace("SHA-256", "SHA256")),
            "qop" if value.split(',').any(|qop| qop.trim() == "auth") => "qop=\"auth\"".into(),
            "stale" => format!("stale={value}"),
            _ => format!("{name}=\"{value}\""),
        });
    }
    format!("Digest {}", written.join(", "))
}

/// An answer of the stack as the standard has it.
fn answer(text: &str) -> String {
    let Some(params) = params(text) else { return text.into() };
    let written = params.iter().map(|(name, value)| match name.as_str() {
        "algorithm" => format!("algorithm={}", value.replace("SHA256", "SHA-256")),
        "qop" | "nc" => format!("{name}={value}"),
        _ => format!("{name}=\"{value}\""),
    });
    format!("Digest {}", written.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn the_examples_of_the_standards_come_out() {
        // RFC 2617, section 3.5, and RFC 7616, section 3.9.1.
        for (hash, user, password, realm, nonce, cnonce, wanted) in [
            (
                Hash::Md5,
                "Mufasa",
                "Circle Of Life",
                "testrealm@host.com",
                "dcd98b7102dd2f0e8b11d0f600bfb0c093",
                "0a4f113b",
                "6629fae49393a05397450978507c4ef1",
            ),
            (
                Hash::Sha256,
                "Mufasa",
                "Circle of Life",
                "http-auth@example.org",
                "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
                "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
                "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            ),
        ] {
            let header = format!(
                "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", \
                 uri=\"/dir/index.html\", qop=auth, nc=00000001, cnonce=\"{cnonce}\""
            );
            let answer = params(&header).unwrap();
            assert_eq!(response(hash, user, password, "GET", &answer), wanted);
        }
    }

    fn answered(guard: &Guard, hash: Hash, password: &str, nc: &str) -> String {
        let header = guard.challenges(HERE, false).remove(0);
        let Header::WwwAuthenticate(challenge) = header else { unreachable!("a challenge") };
        let nonce = get(&params(&challenge.0).unwrap(), "nonce").to_owned();
        let head = format!(
            "Digest username=\"anna\", realm=\"{REALM}\", nonce=\"{nonce}\", uri=\"sip:1@x\", \
             qop=auth, nc={nc}, cnonce=\"c\", algorithm={}",
            hash.word()
        );
        let response = response(hash, "anna", password, "INVITE", &params(&head).unwrap());
        format!("{head}, response=\"{response}\"")
    }

    fn judged(guard: &Guard, header: &str, from: IpAddr) -> Verdict {
        guard.judge(header, "INVITE", from, |user| (user == "anna").then(|| "secret".into()))
    }

    #[test]
    fn a_right_answer_counts_once_and_from_one_place() {
        let guard = Guard::new(true);
        assert_eq!(guard.challenges(HERE, false).len(), 2);
        for hash in [Hash::Md5, Hash::Sha256] {
            let right = answered(&guard, hash, "secret", "00000001");
            let elsewhere = judged(&guard, &right, [10, 0, 0, 1].into());
            assert_eq!(elsewhere, Verdict::Ask(false));
            assert_eq!(judged(&guard, &right, HERE), Verdict::Known("anna".into()));
            assert_eq!(judged(&guard, &right, HERE), Verdict::Ask(true), "played again");
        }
        assert_eq!(
            judged(&guard, &answered(&guard, Hash::Md5, "wrong", "1"), HERE),
            Verdict::Ask(false)
        );
        for rubbish in ["", "Basic abc", "Digest", "Digest username=\"anna", "Digest a=b, c"] {
            assert_eq!(judged(&guard, rubbish, HERE), Verdict::Ask(false), "{rubbish}");
        }
    }

    #[test]
    fn of_several_challenges_the_best_is_left_in_the_stacks_words() {
        let mut headers = rsipstack::sip::Headers::default();
        for text in [
            "Digest realm=\"a\", nonce=\"n\", algorithm=MD5, qop=\"auth\"",
            "Digest realm=\"a\", nonce=\"n\", algorithm=SHA-256, qop=\"auth,auth-int\"",
            "Digest realm=\"a\", nonce=\"n\", algorithm=SHA-512-256",
        ] {
            headers.push(Header::WwwAuthenticate(text.into()));
        }
        mend(&mut headers);
        let left: Vec<_> = headers.iter().map(ToString::to_string).collect();
        assert_eq!(left.len(), 1);
        assert!(
            left[0].contains("algorithm=SHA256") && left[0].contains("qop=\"auth\""),
            "{left:?}"
        );
    }

    #[test]
    fn our_answers_are_spelled_by_the_standard() {
        let stack = "Digest username=\"a\", uri=\"sip:x\", algorithm=SHA256, qop=\"auth\", nc=00000001, cnonce=\"z\"";
        let wire = answer(stack);
        assert!(wire.contains("algorithm=SHA-256, qop=auth, nc=00000001, cnonce=\"z\""), "{wire}");
    }
}
