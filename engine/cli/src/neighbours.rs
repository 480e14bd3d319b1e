//! Where the other processes of the same database reach this one.

use std::net::SocketAddr;

use secrecy::ExposeSecret;
use tokio::net::UdpSocket;
use url::Url;

use crate::settings::Settings;

/// PostgreSQL's port.
const USUAL_PORT: u16 = 5432;

/// Our own address for others, such as `http://10.0.0.7:8080`; `None` = there can be no others, or
/// nobody can tell.
///
/// # Errors
/// `own_url` is no address.
pub(crate) async fn own_address(settings: &Settings) -> Result<Option<String>, String> {
    let database = settings.database.expose_secret();
    if database.starts_with("sqlite:") {
        return Ok(None);
    }
    if let Some(told) = &settings.own_url {
        let fine = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        return match Url::parse(told).ok().filter(fine) {
            Some(_) => Ok(Some(told.trim_end_matches('/').to_owned())),
            None => Err(format!("`own_url`: `{told}` is no http or https address")),
        };
    }
    let listen = settings.listen;
    if !listen.ip().is_unspecified() {
        return Ok(Some(format!("http://{listen}")));
    }
    let found = towards(database).await;
    if found.is_none() {
        tracing::warn!(
            "nobody can tell where the other processes reach this one; set `own_url`, such as \
             http://10.0.0.7:8080"
        );
    }
    Ok(found.map(|own| format!("http://{}", SocketAddr::new(own.ip(), listen.port()))))
}

/// The address that this machine has on the way to a database. Nothing is sent.
async fn towards(database: &str) -> Option<SocketAddr> {
    let url = Url::parse(database).ok()?;
    let port = url.port().unwrap_or(USUAL_PORT);
    let to = tokio::net::lookup_host((url.host_str()?, port)).await.ok()?.next()?;
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await.ok()?;
    socket.connect(to).await.ok()?;
    socket.local_addr().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    async fn own(database: &str, listen: &str, own_url: Option<&str>) -> Option<String> {
        let settings = Settings {
            database: database.into(),
            listen: listen.parse().unwrap(),
            own_url: own_url.map(Into::into),
            ..Settings::default()
        };
        own_address(&settings).await.unwrap()
    }

    #[tokio::test]
    async fn an_address_is_told_or_found() {
        let database = "postgres://u:p@127.0.0.1/x";
        assert_eq!(own("sqlite:x.db", "10.0.0.7:8080", None).await, None);
        let found = own(database, "10.0.0.7:8080", None).await;
        assert_eq!(found.as_deref(), Some("http://10.0.0.7:8080"));
        let found = own(database, "0.0.0.0:8080", None).await;
        assert_eq!(found.as_deref(), Some("http://127.0.0.1:8080"));
        let told = own(database, "0.0.0.0:8080", Some("http://pod-7:80/")).await;
        assert_eq!(told.as_deref(), Some("http://pod-7:80"));
        let wrong = Settings {
            database: database.into(),
            own_url: Some("pod-7".into()),
            ..Settings::default()
        };
        assert!(own_address(&wrong).await.unwrap_err().contains("own_url"));
    }
}
