//! Tokens of calls that arrive: each says itself, signed, what it stands for, since the media stream
//! may come to another process than the webhook.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use call::Arrival;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::CHANNEL;

/// So that nothing else that is signed by the key is taken for a token.
const PURPOSE: &[u8] = b"voxflow media stream\n";
/// Twilio takes parameters of 500 characters, their names included.
const LONGEST: usize = 480;

/// What a token says.
#[derive(Serialize, Deserialize)]
struct Said {
    call: String,
    from: String,
    to: String,
    /// When it is worthless, seconds since 1970.
    until: i64,
    /// So that two tokens of one call are two.
    nonce: u64,
}

/// A token for a call, good until then; `None` when what there is to say is too long for one.
pub(super) fn seal(key: &SecretString, arrival: &Arrival, until: Timestamp) -> Option<String> {
    let Arrival { carrier: _, carrier_id, from, to } = arrival.clone();
    let until = until.as_second();
    let said = Said { call: carrier_id, from, to, until, nonce: rand::random() };
    let said = BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&said).ok()?);
    let signature = BASE64_URL_SAFE_NO_PAD.encode(mac(key, &said)?.finalize().into_bytes());
    let token = format!("{said}.{signature}");
    (token.len() <= LONGEST).then_some(token)
}

/// The call that a token stands for, if we have signed it and it is good yet.
pub(super) fn open(key: &SecretString, token: &str, now: Timestamp) -> Option<Arrival> {
    let (said, signature) = token.split_once('.')?;
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
    mac(key, said)?.verify_slice(&signature).ok()?;
    let said = BASE64_URL_SAFE_NO_PAD.decode(said).ok()?;
    let Said { call, from, to, until, .. } = serde_json::from_slice(&said).ok()?;
    let arrival = Arrival { carrier: CHANNEL.into(), carrier_id: call, from, to };
    (now.as_second() < until).then_some(arrival)
}

fn mac(key: &SecretString, said: &str) -> Option<Hmac<Sha256>> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key.expose_secret().as_bytes()).ok()?;
    mac.update(PURPOSE);
    mac.update(said.as_bytes());
    Some(mac)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_what_we_have_signed_is_opened_and_only_in_time() {
        let arrival = Arrival {
            carrier: CHANNEL.into(),
            carrier_id: "CA1".into(),
            from: "+15550002000".into(),
            to: "+15550001000".into(),
        };
        let at = |second| Timestamp::from_second(second).unwrap();
        let key: SecretString = "token of the account".into();
        let token = seal(&key, &arrival, at(1_060)).unwrap();
        assert_ne!(token, seal(&key, &arrival, at(1_060)).unwrap());
        assert_eq!(open(&key, &token, at(1_059)), Some(arrival.clone()));
        assert_eq!(open(&key, &token, at(1_060)), None);
        assert_eq!(open(&"another".into(), &token, at(1_000)), None);
        let (said, signature) = token.split_once('.').unwrap();
        let other = seal(&key, &Arrival { to: "+1".into(), ..arrival.clone() }, at(1_060)).unwrap();
        let (other, _) = other.split_once('.').unwrap();
        for wrong in [format!("{other}.{signature}"), format!("{said}."), said.into(), "é.é".into()]
        {
            assert_eq!(open(&key, &wrong, at(1_000)), None, "{wrong}");
        }
        let long = Arrival { from: "x".repeat(400), ..arrival };
        assert_eq!(seal(&key, &long, at(1_060)), None);
    }
}
