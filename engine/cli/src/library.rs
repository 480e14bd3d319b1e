//! Sound files for flows: below the folders that the settings name, or behind `https://`.
//!
//! Invariant: what a flow names never leads out of the folders, and never to a machine of a
//! private network unless the settings allow it; each redirect is held to the same.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Url};

/// The largest file: ten minutes of 16-bit sound at 16 kHz.
const LARGEST: u64 = 20 * 1024 * 1024;

/// A caller waits for it.
const LONGEST: Duration = Duration::from_secs(10);

/// Hops to the file.
const REDIRECTS: usize = 5;

/// Finds sound files.
pub(crate) struct Shelf {
    folders: Vec<PathBuf>,
    client: Client,
    rule: Rule,
}

/// Where addresses may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// To the public internet, over TLS.
    Public,
    /// Anywhere: a lab, a double.
    Anywhere,
}

impl Shelf {
    /// Looks in these folders, in this order.
    ///
    /// # Errors
    /// The machine's certificates cannot be used.
    pub(crate) fn new(folders: Vec<PathBuf>, rule: Rule) -> Result<Self, String> {
        let mut builder = Client::builder()
            .timeout(LONGEST)
            .redirect(Policy::custom(move |attempt| follow(rule, attempt)));
        if rule == Rule::Public {
            // A proxy would resolve names where we cannot check them.
            builder = builder.no_proxy().dns_resolver(Arc::new(PublicOnly));
        }
        let client =
            builder.build().map_err(|error| format!("no HTTPS client: {}", chain(&error)))?;
        Ok(Self { folders, client, rule })
    }

    async fn download(&self, url: Url) -> Result<Vec<u8>, String> {
        allowed(&url, self.rule)?;
        let mut response =
            self.client.get(url).send().await.map_err(|error| chain(&error.without_url()))?;
        if !response.status().is_success() {
            return Err(format!("the server answered {}", response.status()));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| chain(&error.without_url()))?
        {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > LARGEST {
                return Err(too_large());
            }
        }
        Ok(bytes)
    }

    fn open(folders: &[PathBuf], source: &str) -> Result<Vec<u8>, String> {
        let path = Path::new(source);
        if path.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err("a file is named by its path below the media folder, without `..`".into());
        }
        for folder in folders {
            let Ok(folder) = folder.canonicalize() else { continue };
            let Ok(file) = folder.join(path).canonicalize() else { continue };
            // Links are resolved by now: this is where the file really lies.
            if !file.starts_with(&folder) || !file.is_file() {
                continue;
            }
            let opened = std::fs::File::open(&file).map_err(|error| error.to_string())?;
            let mut bytes = Vec::new();
            opened.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
            return if bytes.len() as u64 > LARGEST { Err(too_large()) } else { Ok(bytes) };
        }
        let folders: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        Err(format!("there is no such file in {}", folders.join(", ")))
    }
}

#[async_trait]
impl call::Library for Shelf {
    async fn fetch(&self, source: &str) -> Result<Vec<u8>, String> {
        let found = if source.contains("://") {
            match Url::parse(source) {
                Ok(url) => self.download(url).await,
                Err(error) => Err(error.to_string()),
            }
        } else {
            let (folders, name) = (self.folders.clone(), source.to_owned());
            tokio::task::spawn_blocking(move || Self::open(&folders, &name))
                .await
                .unwrap_or_else(|error| Err(error.to_string()))
        };
        found.map_err(|why| format!("`{source}` cannot be played: {why}"))
    }
}

fn too_large() -> String {
    format!("it is larger than {} MiB", LARGEST / 1024 / 1024)
}

fn follow(rule: Rule, attempt: Attempt<'_>) -> reqwest::redirect::Action {
    if attempt.previous().len() > REDIRECTS {
        return attempt.error("too many redirects");
    }
    match allowed(attempt.url(), rule) {
        Ok(()) => attempt.follow(),
        Err(why) => attempt.error(why),
    }
}

/// Whether an address may be asked. Names are checked once more when they are resolved.
fn allowed(url: &Url, rule: Rule) -> Result<(), String> {
    if rule == Rule::Anywhere {
        return if matches!(url.scheme(), "https" | "http") {
            Ok(())
        } else {
            Err("write a `https://` address, or a file below the media folder".into())
        };
    }
    if url.scheme() != "https" {
        return Err("write a `https://` address, or a file below the media folder".into());
    }
    let literal = match url.host() {
        Some(url::Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(url::Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        Some(url::Host::Domain(_)) => None,
        None => return Err("the address has no host".into()),
    };
    if literal.is_some_and(|address| !is_public(address)) { Err(private()) } else { Ok(()) }
}

fn private() -> String {
    "it leads into a private network; `media.allow_private_addresses` would allow that".into()
}

/// Resolves names, and forgets the addresses that are not public. What is connected to is what
/// was checked, so a name cannot change its mind in between.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(private().into());
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
fn chain(error: &dyn std::error::Error) -> String {
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

    use call::Library;

    use super::*;

    fn shelf(folder: &Path, rule: Rule) -> Shelf {
        // Taken by whoever came first; all of them are the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Shelf::new(vec![folder.to_owned()], rule).unwrap()
    }

    #[tokio::test]
    async fn files_are_found_below_the_folder_and_nowhere_else() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret.wav"), "secret").unwrap();
        let folder = outside.path().join("media");
        std::fs::create_dir_all(folder.join("en")).unwrap();
        std::fs::write(folder.join("en/hello.wav"), "hello").unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.join("link")).unwrap();

        let shelf = shelf(&folder, Rule::Public);
        assert_eq!(shelf.fetch("en/hello.wav").await.unwrap(), b"hello");
        let absolute = outside.path().join("secret.wav").display().to_string();
        for escape in ["../secret.wav", "en/../../secret.wav", "link/secret.wav", &absolute] {
            let why = shelf.fetch(escape).await.unwrap_err();
            assert!(why.contains("cannot be played"), "{why}");
        }
        assert!(shelf.fetch("en").await.is_err(), "a folder is no file");
        assert!(shelf.fetch("en/none.wav").await.is_err());
    }

    #[tokio::test]
    async fn addresses_of_private_networks_are_refused_before_a_word_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shelf = shelf(folder.path(), Rule::Public);
        for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433"] {
            let why = shelf.fetch(&format!("https://{host}:{port}/a.wav")).await.unwrap_err();
            assert!(why.contains("private network"), "{host}: {why}");
        }
        for source in ["http://example.com/a.wav", "file:///etc/passwd"] {
            let why = shelf.fetch(source).await.unwrap_err();
            assert!(why.contains("`https://`"), "{why}");
        }
        let came = tokio::time::timeout(Duration::from_millis(1), listener.accept()).await;
        assert!(came.is_err(), "somebody connected");
    }

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
