//! HMAC-SHA256, and the signatures of Standard Webhooks: `webhook-id`, `webhook-timestamp` and
//! `webhook-signature: v1,<base64>` over `id.timestamp.body`.
//!
//! Pure: request in, verdict out. All comparisons take constant time.

use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::door::{Wrong, header, recent};

/// The header of the text's own id: the same whenever it is brought again.
pub(crate) const ID: &str = "webhook-id";
/// The header of the time, in seconds since 1970.
pub(crate) const TIMESTAMP: &str = "webhook-timestamp";
/// The header of the signatures.
pub(crate) const SIGNATURE: &str = "webhook-signature";

/// Secrets are found with and without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Whether a signature in base64 is the HMAC-SHA256 of the parts, one after the other.
pub(crate) fn fits(key: &[u8], parts: &[&[u8]], signature: &str) -> bool {
    let Ok(signature) = BASE64_STANDARD.decode(signature) else { return false };
    // HMAC takes keys of every length.
    mac(key, parts).is_some_and(|mac| mac.verify_slice(&signature).is_ok())
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Option<Hmac<Sha256>> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).ok()?;
    parts.iter().for_each(|part| mac.update(part));
    Some(mac)
}

/// The key of a secret: `whsec_` and base64, as the libraries make them, or any text.
fn key(secret: &SecretString) -> Vec<u8> {
    let text = secret.expose_secret();
    let decoded = text.strip_prefix("whsec_").and_then(|text| LENIENT.decode(text).ok());
    decoded.unwrap_or_else(|| text.as_bytes().to_vec())
}

/// `v1,<base64>` over a webhook of ours.
pub(crate) fn sign(secret: &SecretString, id: &str, timestamp: i64, body: &[u8]) -> String {
    let timestamp = timestamp.to_string();
    let parts = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    let made = mac(&key(secret), &parts).map(|mac| mac.finalize().into_bytes());
    format!("v1,{}", BASE64_STANDARD.encode(made.unwrap_or_default()))
}

/// Whether a webhook was signed by somebody who knows the secret, and not long ago.
pub(crate) fn check(
    secret: &SecretString,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<(), Wrong> {
    let need = |name: &'static str| {
        header(headers, name).filter(|value| !value.is_empty()).ok_or(Wrong::Missing(name))
    };
    let (id, timestamp, signatures) = (need(ID)?, need(TIMESTAMP)?, need(SIGNATURE)?);
    let key = key(secret);
    let parts = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    // Several, while a secret is being changed.
    let fine = signatures
        .split(' ')
        .filter_map(|signature| signature.strip_prefix("v1,"))
        .any(|signature| fits(&key, &parts, signature));
    if !fine {
        return Err(Wrong::Forged);
    }
    recent(timestamp, now)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_we_sign_is_what_the_specification_signs() {
        // The example of the specification's own libraries.
        let secret = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        assert_eq!(
            sign(
                &secret,
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                br#"{"test": 2432232314}"#
            ),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn one_of_several_signatures_is_enough_and_an_old_one_is_not() {
        let secret = SecretString::from("any words");
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let good = sign(&secret, "m1", now.as_second(), b"{}");
        let headers = |signature: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ID, "m1".parse().unwrap());
            headers.insert(TIMESTAMP, "1800000000".parse().unwrap());
            headers.insert(SIGNATURE, signature.parse().unwrap());
            headers
        };
        let both = format!("v1,AAAA v2,x {good}");
        assert_eq!(check(&secret, &headers(&both), b"{}", now), Ok(()));
        assert_eq!(check(&secret, &headers(&good), b"{ }", now), Err(Wrong::Forged));
        assert_eq!(check(&secret, &headers(&good[3..]), b"{}", now), Err(Wrong::Forged));
        let later = now + jiff::SignedDuration::from_secs(301);
        assert_eq!(check(&secret, &headers(&good), b"{}", later), Err(Wrong::Stale));
        let mut bare = headers(&good);
        bare.remove(TIMESTAMP);
        assert_eq!(check(&secret, &bare, b"{}", now), Err(Wrong::Missing(TIMESTAMP)));
    }
}
