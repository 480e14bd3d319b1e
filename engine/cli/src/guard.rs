//! Where what a flow names may lead: not into this machine, not into a private network, unless the
//! operator allows it.
//!
//! Invariant: what is connected to is what was checked, also when a name changes its mind in
//! between or a server redirects.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{ClientBuilder, Url};

/// Where addresses may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Guard {
    /// Whether this machine and private networks are allowed: a lab, a double.
    pub(crate) anywhere: bool,
    /// Whether `http://` is allowed to the public internet too.
    pub(crate) plain: bool,
    /// The setting that allows all of it.
    pub(crate) setting: &'static str,
}

impl Guard {
    /// A client that connects only where it may.
    pub(crate) fn over(self, builder: ClientBuilder) -> ClientBuilder {
        if self.anywhere {
            return builder;
        }
        // A proxy would resolve names where we cannot check them.
        builder.no_proxy().dns_resolver(Arc::new(PublicOnly { setting: self.setting }))
    }

    /// Whether an address may be asked. Names are checked once more when they are resolved.
    ///
    /// # Errors
    /// What is wrong with the address, and the way out.
    pub(crate) fn allows(self, url: &Url) -> Result<(), String> {
        match url.scheme() {
            "https" => {}
            "http" if self.plain || self.anywhere => {}
            "http" => return Err("write a `https://` address".into()),
            _ if self.plain => return Err("write a `https://` or `http://` address".into()),
            _ => return Err("write a `https://` address".into()),
        }
        let literal = match url.host() {
            Some(url::Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(url::Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(url::Host::Domain(_)) => None,
            None => return Err("the address has no host".into()),
        };
        match literal {
            Some(address) if !self.anywhere && !is_public(address) => Err(private(self.setting)),
            _ => Ok(()),
        }
    }
}

fn private(setting: &str) -> String {
    format!("it leads into a private network; the setting `{setting}` would allow that")
}

/// Resolves names, and forgets the addresses that are not public.
struct PublicOnly {
    setting: &'static str,
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let setting = self.setting;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(private(setting).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the public internet.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        // Carriers' own (RFC 6598), protocol assignments (RFC 6890), benchmarks (RFC 2544).
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    // Two ways to write an IPv4 address into an IPv6 one: NAT64 (RFC 6052) and 6to4 (RFC 3056).
    let inner = match parts {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        _ => None,
    };
    if let Some(inner) = inner {
        return is_public_v4(inner);
    }
    // Of what is given out today, all public addresses lie in 2000::/3; 2001:db8::/32 is for
    // books, 2001::/32 is Teredo, which tunnels to IPv4.
    (0x2000..0x4000).contains(&parts[0]) && !(parts[0] == 0x2001 && matches!(parts[1], 0 | 0xdb8))
}

/// An error and what it comes from, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn public_is_what_the_internet_routes() {
        for public in ["8.8.8.8", "100.63.0.1", "2606:4700::1111", "64:ff9b::808:808"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for private in [
            "10.0.0.1",
            "172.16.3.4",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001:db8::1",
            "ff02::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }
}
