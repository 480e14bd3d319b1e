//! Whether a webhook is Telnyx's own: Ed25519 over `timestamp|body`, or HMAC-SHA256 where a secret
//! is set and the older headers come.
//!
//! Pure: request in, verdict out.

use axum::http::HeaderMap;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use ring::signature::{ED25519, UnparsedPublicKey};
use secrecy::{ExposeSecret, SecretString};

use crate::door::{Wrong, header, recent};
use crate::signed;

/// The signature, 64 bytes in base64.
const SIGNATURE: &str = "telnyx-signature-ed25519";
/// When it was made, in seconds since 1970.
const TIMESTAMP: &str = "telnyx-timestamp";
/// The older API's: `t=<seconds>,h=<base64>` over `seconds.body`.
const OLDER: &str = "x-telnyx-signature";

/// What proves webhooks.
pub(super) struct Proof {
    key: Option<UnparsedPublicKey<Vec<u8>>>,
    secret: Option<SecretString>,
}

impl Proof {
    /// # Errors
    /// The key is none.
    pub(super) fn new(key: Option<&str>, secret: Option<SecretString>) -> Result<Self, String> {
        let key = key.map(|text| match BASE64_STANDARD.decode(text.trim()) {
            Ok(bytes) if bytes.len() == 32 => Ok(UnparsedPublicKey::new(&ED25519, bytes)),
            Ok(_) | Err(_) => {
                Err("TELNYX_WEBHOOK_PUBLIC_KEY: this is no public key; copy it from \
                                   the portal: 32 bytes in base64, 44 letters"
                    .to_owned())
            }
        });
        Ok(Self { key: key.transpose()?, secret })
    }

    /// Whether anything can be proven.
    pub(super) fn is_there(&self) -> bool {
        self.key.is_some() || self.secret.is_some()
    }

    /// Whether this webhook is proven. HMAC counts only where a secret is set and no Ed25519
    /// signature came: the stronger one is never talked down.
    pub(super) fn check(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), Wrong> {
        match (&self.key, header(headers, SIGNATURE), &self.secret) {
            (Some(key), Some(signature), _) => by_key(key, signature, headers, body, now),
            (_, None, Some(secret)) => by_secret(secret, headers, body, now),
            (_, None, None) => Err(Wrong::Missing(SIGNATURE)),
            (None, Some(_), _) => Err(Wrong::Forged),
        }
    }
}

fn by_key(
    key: &UnparsedPublicKey<Vec<u8>>,
    signature: &str,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<(), Wrong> {
    let timestamp = header(headers, TIMESTAMP).ok_or(Wrong::Missing(TIMESTAMP))?;
    let signature = BASE64_STANDARD.decode(signature).map_err(|_| Wrong::Forged)?;
    let said = [timestamp.as_bytes(), b"|", body].concat();
    key.verify(&said, &signature).map_err(|_| Wrong::Forged)?;
    recent(timestamp, now)
}

fn by_secret(
    secret: &SecretString,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<(), Wrong> {
    let Some(older) = header(headers, OLDER) else {
        return signed::check(secret, headers, body, now);
    };
    let part = |name: &str| older.split(',').find_map(|part| part.trim().strip_prefix(name));
    let (Some(timestamp), Some(signature)) = (part("t="), part("h=")) else {
        return Err(Wrong::Forged);
    };
    let key = secret.expose_secret().as_bytes();
    if !signed::fits(key, &[timestamp.as_bytes(), b".", body], signature) {
        return Err(Wrong::Forged);
    }
    recent(timestamp, now)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Of the seed whose bytes count from 0 to 31.
    const KEY: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
    const SIGNED: &str =
        "pxYwFfCIGJJETTQf9oIsrHzXr3eFIpjYLLLlP7HNmyjHq8E1snBmnmqBQ7GGM42nWh2pt6NaiecHU6uICEOFCg==";
    const BODY: &str = r#"{"data":{"event_type":"call.initiated","id":"e1","occurred_at":"2026-01-02T03:04:05.678Z","payload":{"call_control_id":"v3:abc","direction":"incoming","from":"+13122010094","to":"+13122123456","state":"parked"},"record_type":"event"},"meta":{"attempt":1,"delivered_to":"https://example.com/hook"}}"#;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_vendors_own_signature_fits_and_no_other() {
        let proof = Proof::new(Some(KEY), None).unwrap();
        let check = |time: &str, signature: &str, body: &str, now: i64| {
            let headers = headers(&[(TIMESTAMP, time), (SIGNATURE, signature)]);
            proof.check(&headers, body.as_bytes(), at(now))
        };
        let now = 1_767_323_045;
        assert_eq!(check("1767323045", SIGNED, BODY, now + 300), Ok(()));
        assert_eq!(check("1767323045", SIGNED, BODY, now + 301), Err(Wrong::Stale));
        assert_eq!(check("1767323046", SIGNED, BODY, now), Err(Wrong::Forged));
        assert_eq!(check("1767323045", SIGNED, &BODY[1..], now), Err(Wrong::Forged));
        assert_eq!(check("1767323045", "no base64", BODY, now), Err(Wrong::Forged));
        assert_eq!(check("1767323045", "", BODY, now), Err(Wrong::Forged));
        let bare = headers(&[(SIGNATURE, SIGNED)]);
        let missing = Err(Wrong::Missing(TIMESTAMP));
        assert_eq!(proof.check(&bare, BODY.as_bytes(), at(now)), missing);
        let none = Err(Wrong::Missing(SIGNATURE));
        assert_eq!(proof.check(&HeaderMap::new(), BODY.as_bytes(), at(now)), none);
        assert!(Proof::new(Some("A6EH"), None).is_err_and(|why| why.contains("32 bytes")));
    }

    #[test]
    fn a_secret_proves_the_older_headers_and_talks_no_key_down() {
        let secret = SecretString::from("hush");
        let proof = Proof::new(Some(KEY), Some(secret.clone())).unwrap();
        let now = at(1_800_000_000);
        // HMAC-SHA256 of `1800000000.{}` under `hush`.
        let older = "t=1800000000,h=CN4CCcogphnrWhpdQHqjoGcAWL1uB1+wt6bSH2cOThw=";
        assert_eq!(proof.check(&headers(&[(OLDER, older)]), b"{}", now), Ok(()));
        assert_eq!(proof.check(&headers(&[(OLDER, older)]), b"[]", now), Err(Wrong::Forged));
        assert_eq!(proof.check(&headers(&[(OLDER, &older[13..])]), b"{}", now), Err(Wrong::Forged));
        let id = "m1";
        let newer = signed::sign(&secret, id, 1_800_000_000, b"{}");
        let fine = [
            (signed::ID, id),
            (signed::TIMESTAMP, "1800000000"),
            (signed::SIGNATURE, newer.as_str()),
        ];
        assert_eq!(proof.check(&headers(&fine), b"{}", now), Ok(()));
        let both = [&fine[..], &[(TIMESTAMP, "1800000000"), (SIGNATURE, "AAAA")]].concat();
        assert_eq!(proof.check(&headers(&both), b"{}", now), Err(Wrong::Forged));
        let keyless = Proof::new(Some(KEY), None).unwrap();
        assert!(keyless.check(&headers(&fine), b"{}", now).is_err());
    }
}
