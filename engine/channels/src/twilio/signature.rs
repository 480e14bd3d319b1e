//! Whether a request is Twilio's own: `X-Twilio-Signature`, by the algorithm that Twilio documents.
//!
//! Pure: request in, verdict out. All comparisons take constant time.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What is signed besides the address.
#[derive(Clone, Copy)]
pub(super) enum Body<'a> {
    /// A form, each name and value decoded.
    Form(&'a [(String, String)]),
    /// Anything else: nothing of it, or its hash in the query (`bodySHA256`).
    Raw(&'a [u8]),
}

/// Who signs.
pub(super) struct Secrets<'a> {
    pub(super) auth_token: &'a SecretString,
    pub(super) shared_keys: &'a HashMap<String, SecretString>,
}

impl Secrets<'_> {
    /// Whether `signature` was made over `url` and `body` by somebody who knows a secret.
    /// `settings` is the header `X-Twilio-Webhooks-Signature-Settings`.
    pub(super) fn signed(
        &self,
        url: &str,
        body: Body<'_>,
        signature: &str,
        settings: Option<&str>,
    ) -> bool {
        let Ok(signature) = BASE64_STANDARD.decode(signature) else { return false };
        let fields = match body {
            Body::Form(fields) => joined(fields),
            Body::Raw(body) => {
                if !hash_fits(url, body) {
                    return false;
                }
                String::new()
            }
        };
        spellings(url).iter().any(|url| {
            let data = [url.as_bytes(), fields.as_bytes()];
            match settings {
                None => verify::<Hmac<Sha1>>(self.auth_token, data, &signature),
                Some(settings) => match self.shared(settings) {
                    Some(key) => verify::<Hmac<Sha256>>(key, data, &signature),
                    None => false,
                },
            }
        })
    }

    /// The shared key that `key=<id>,algorithm=HMAC_SHA256` names.
    fn shared(&self, settings: &str) -> Option<&SecretString> {
        let mut key = None;
        let mut algorithm = None;
        for part in settings.split(',') {
            match part.trim().split_once('=') {
                Some(("key", id)) => key = Some(id),
                Some(("algorithm", name)) => algorithm = Some(name),
                _ => {}
            }
        }
        if algorithm? != "HMAC_SHA256" {
            return None;
        }
        self.shared_keys.get(key?)
    }
}

fn verify<M: Mac + KeyInit>(key: &SecretString, data: [&[u8]; 2], signature: &[u8]) -> bool {
    // HMAC takes keys of every length.
    <M as KeyInit>::new_from_slice(key.expose_secret().as_bytes()).is_ok_and(|mut mac| {
        for part in data {
            mac.update(part);
        }
        mac.verify_slice(signature).is_ok()
    })
}

/// Names in byte order, each followed by each of its distinct values in order.
fn joined(fields: &[(String, String)]) -> String {
    let mut sorted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in fields {
        sorted.entry(name).or_default().insert(value);
    }
    let mut joined = String::new();
    for (name, values) in sorted {
        for value in values {
            joined.push_str(name);
            joined.push_str(value);
        }
    }
    joined
}

/// Whether the query names the hash of the body, when it names one.
fn hash_fits(url: &str, body: &[u8]) -> bool {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let named = url::form_urlencoded::parse(query.as_bytes())
        .find_map(|(name, value)| (name == "bodySHA256").then_some(value));
    let Some(named) = named else { return body.is_empty() };
    let hash: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    hash.as_bytes().ct_eq(named.to_ascii_lowercase().as_bytes()).into()
}

/// An address as it is, without its port, and with the port that it means anyway: Twilio signs
/// now the one, now the other.
fn spellings(url: &str) -> Vec<String> {
    let mut spellings = vec![url.to_owned()];
    let Some((scheme, rest)) = url.split_once("://") else { return spellings };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rfind('@').map_or(0, |at| at + 1);
    let port = match authority[host..].rfind(':') {
        // A colon inside the brackets of an IPv6 address is no port's.
        Some(colon) if !authority[host + colon..].contains(']') => Some(host + colon),
        _ => None,
    };
    match port {
        Some(colon) => spellings.push(format!("{scheme}://{}{path}", &authority[..colon])),
        None => {
            let port = if matches!(scheme, "https" | "wss") { 443 } else { 80 };
            spellings.push(format!("{scheme}://{authority}:{port}{path}"));
        }
    }
    spellings
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Made with Twilio's own validator.
    const CALL: &str = "CallSid=CA00000000000000000000000000000001&From=%2B14155550100\
        &To=%2B18005550199&Digits=1234&Called=";

    fn check(url: &str, form: &str, signature: &str, settings: Option<&str>) -> bool {
        let fields: Vec<_> = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
        let token = SecretString::from("12345");
        let shared_keys = HashMap::from([("K1".to_owned(), SecretString::from("12345"))]);
        Secrets { auth_token: &token, shared_keys: &shared_keys }.signed(
            url,
            Body::Form(&fields),
            signature,
            settings,
        )
    }

    #[test]
    fn forms_are_signed_with_their_fields() {
        let url = "https://example.com/hook?flow=7&x=a%20b";
        assert!(check(url, CALL, "NMjhEPHqcrEgfDn6CQ9/jLEn1/0=", None));
        assert!(check(
            "https://mycompany.com/myapp.php?foo=1&bar=2",
            "CallSid=CA1234567890ABCDE&Caller=%2B14158675310&Digits=1234&From=%2B14158675310\
                &To=%2B18005551212",
            "GvWf1cFY/Q7PnoempGyD5oXAezc=",
            None,
        ));
        // A changed field, a changed query, a changed signature, none at all.
        assert!(!check(url, &CALL.replace("1234", "1235"), "NMjhEPHqcrEgfDn6CQ9/jLEn1/0=", None));
        assert!(!check(
            "https://example.com/hook?flow=8&x=a%20b",
            CALL,
            "NMjhEPHqcrEgfDn6CQ9/jLEn1/0=",
            None
        ));
        assert!(!check(url, CALL, "NMjhEPHqcrEgfDn6CQ9/jLEn1/1=", None));
        assert!(!check(url, CALL, "", None));
        assert!(!check(url, CALL, "\u{fffd}", None));
    }

    #[test]
    fn ports_may_be_spelled_or_not() {
        let bare = "https://example.com/hook?flow=7&x=a%20b";
        let port = "https://example.com:443/hook?flow=7&x=a%20b";
        for url in [bare, port] {
            assert!(check(url, CALL, "NMjhEPHqcrEgfDn6CQ9/jLEn1/0=", None), "{url}");
            assert!(check(url, CALL, "Ett+ygmJ7UOW7FymXy3Bil64IvU=", None), "{url}");
        }
        assert_eq!(
            spellings("http://me:pass@[::1]/x?y=z"),
            ["http://me:pass@[::1]/x?y=z", "http://me:pass@[::1]:80/x?y=z"]
        );
        assert_eq!(spellings("https://[::1]:8443/x"), ["https://[::1]:8443/x", "https://[::1]/x"]);
    }

    #[test]
    fn an_address_alone_is_signed_without_a_form() {
        assert!(check(
            "https://example.com/hook?flow=7&x=a%20b",
            "",
            "nTOe4YItDrjwFgzOLd3msAk575M=",
            None
        ));
        assert!(check("wss://example.com/media", "", "7PR3qMkpDyEJtMrVOY/LDyNq8J8=", None));
    }

    #[test]
    fn the_same_name_counts_once_for_each_value() {
        let signature = "3jKpJ3mZtKVniDpUMNZPNe5hJ2I=";
        assert!(check("https://example.com/hook", "A=b&A=a&A=b", signature, None));
        assert!(check("https://example.com/hook", "A=a&A=b", signature, None));
        assert!(!check("https://example.com/hook", "A=a", signature, None));
    }

    #[test]
    fn shared_keys_sign_with_sha_256() {
        let url = "https://example.com/hook?flow=7&x=a%20b";
        let signature = "4DDuJti7S4TinhFkoMM5eKMwKA+AyA0a4s/ZThQ9Htk=";
        assert!(check(url, CALL, signature, Some("key=K1,algorithm=HMAC_SHA256")));
        assert!(!check(url, CALL, signature, Some("key=K2,algorithm=HMAC_SHA256")));
        assert!(!check(url, CALL, signature, Some("key=K1,algorithm=HMAC_MD5")));
        assert!(!check(url, CALL, signature, Some("")));
        assert!(!check(url, CALL, signature, None));
        assert!(!check(
            url,
            CALL,
            "NMjhEPHqcrEgfDn6CQ9/jLEn1/0=",
            Some("key=K1,algorithm=HMAC_SHA256")
        ));
    }

    #[test]
    fn other_bodies_are_signed_by_their_hash() {
        let url = "https://example.com/json?bodySHA256=\
            f7a52e662c92fc838cc3e18c060954d6b27190e0051d76e139b8bab26a2923bd";
        let token = SecretString::from("12345");
        let shared_keys = HashMap::new();
        let secrets = Secrets { auth_token: &token, shared_keys: &shared_keys };
        let signed = |body: &str| {
            let body = Body::Raw(body.as_bytes());
            secrets.signed(url, body, "38WvZ6xFxFjd3z+BxCs3ZPo37GE=", None)
        };
        assert!(signed("{\"a\":1,\"b\":\"café\"}"));
        assert!(!signed("{\"a\":2,\"b\":\"café\"}"));
        // A body that nothing was signed of is nobody's.
        let bare = "nTOe4YItDrjwFgzOLd3msAk575M=";
        let url = "https://example.com/hook?flow=7&x=a%20b";
        assert!(secrets.signed(url, Body::Raw(b""), bare, None));
        assert!(!secrets.signed(url, Body::Raw(b"{}"), bare, None));
    }
}
