//! Which pages may open a socket here: browsers do not ask a server before they let a foreign
//! page connect, they only tell it.

use axum::http::{HeaderMap, header};
use url::{Host, Url};

use crate::refusal::Refused;

/// Lets pages of this host and of loopback pass, and whatever is no page at all.
pub(super) fn check(headers: &HeaderMap) -> Result<(), Refused> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let fine = origin.to_str().is_ok_and(|origin| is_ours(origin, host));
    if fine {
        Ok(())
    } else {
        Err(Refused::forbidden("foreign_page", "only this host's own pages may connect"))
    }
}

fn is_ours(origin: &str, host: &str) -> bool {
    let Ok(page) = Url::parse(origin) else { return false };
    match page.host() {
        Some(Host::Domain("localhost")) => return true,
        Some(Host::Ipv4(address)) if address.is_loopback() => return true,
        Some(Host::Ipv6(address)) if address.is_loopback() => return true,
        Some(_) => {}
        None => return false,
    }
    // Read by the same rules, so that default ports and capitals do not matter.
    Url::parse(&format!("{}://{host}", page.scheme())).is_ok_and(|here| {
        here.host() == page.host() && here.port_or_known_default() == page.port_or_known_default()
    })
}

#[cfg(test)]
mod tests {
    use super::is_ours;

    #[test]
    fn foreign_pages_are_told_from_ours() {
        assert!(is_ours("https://voice.example.com", "voice.example.com"));
        assert!(is_ours("https://voice.example.com", "Voice.Example.com:443"));
        assert!(is_ours("http://192.0.2.7:8080", "192.0.2.7:8080"));
        assert!(is_ours("http://localhost:3000", "127.0.0.1:8080"));
        assert!(is_ours("http://[::1]:3000", "127.0.0.1:8080"));
        for origin in [
            "https://evil.example",
            "https://voice.example.com.evil.example",
            "https://voice.example.com:8443",
            "http://localhost.evil.example",
            "null",
            "",
            "file://",
        ] {
            assert!(!is_ours(origin, "voice.example.com"), "{origin}");
        }
    }
}
