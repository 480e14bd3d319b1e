//! How a vendor's WebSocket is opened, and what its refusals mean.

use std::time::Duration;

use agent::Error;
use futures_util::SinkExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Message, http};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use url::Url;

/// A vendor's socket.
pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Whoever does not answer the upgrade within this counts as unreachable.
const UPGRADE: Duration = Duration::from_secs(5);

/// A socket that takes nothing for so long is gone.
const SEND: Duration = Duration::from_secs(5);

/// The longest message that is read: several seconds of sound.
const LONGEST: usize = 1 << 20;

/// What one read may bring, bytes: some pieces of sound. The library's usual buffer is 128 KB for each
/// socket, which every read fills with zeros first.
const READ: usize = 4 * 1024;

/// The longest word of a refusal that is repeated.
const WHY: usize = 200;

/// A vendor's address for WebSockets, from the one that the settings name, which may be `http(s)`.
///
/// # Errors
/// The address, and that it is none.
pub(crate) fn address(base: &str) -> Result<Url, String> {
    let unusable = || format!("`{base}` is no http or https address");
    let mut url = Url::parse(base).map_err(|_| unusable())?;
    let scheme = match url.scheme() {
        "http" | "ws" => "ws",
        "https" | "wss" => "wss",
        _ => return Err(unusable()),
    };
    url.set_scheme(scheme).map_err(|()| unusable())?;
    Ok(url)
}

/// An address with this path behind its own, and nothing asked of it.
pub(crate) fn path(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url
}

/// Opens a socket with these headers, one of which is the key.
///
/// # Errors
/// Refused when the vendor says that the request is wrong, unreachable otherwise.
pub(crate) async fn dial(
    vendor: &'static str,
    url: &Url,
    headers: &[(&'static str, &str)],
) -> Result<Socket, Error> {
    let unreachable = |why: String| Error::Unreachable { vendor, why };
    let mut request =
        url.as_str().into_client_request().map_err(|error| unreachable(error.to_string()))?;
    for (name, value) in headers {
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| Error::Refused { vendor, why: "the key has odd characters".into() })?;
        value.set_sensitive(true);
        request.headers_mut().insert(*name, value);
    }

    let config = WebSocketConfig::default()
        .max_message_size(Some(LONGEST))
        .max_frame_size(Some(LONGEST))
        .read_buffer_size(READ);
    // Small messages, often: none shall wait for the next.
    let dialing = tokio_tungstenite::connect_async_with_config(request, Some(config), true);
    match timeout(UPGRADE, dialing).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(tungstenite::Error::Http(response))) => Err(refusal(vendor, &response)),
        Ok(Err(error)) => Err(unreachable(error.to_string())),
        Err(_) => Err(unreachable(format!("no answer within {} s", UPGRADE.as_secs()))),
    }
}

fn refusal(vendor: &'static str, response: &http::Response<Option<Vec<u8>>>) -> Error {
    let status = response.status();
    let body = response.body().as_deref().unwrap_or_default();
    let said: String = String::from_utf8_lossy(body).chars().take(WHY).collect();
    let why = format!("{status} {}", said.trim());
    // Busy, late and broken may be otherwise a moment later; the rest is wrong for good.
    let passing = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    if status.is_client_error() && !passing.contains(&status) {
        Error::Refused { vendor, why: why.trim().into() }
    } else {
        Error::Unreachable { vendor, why: why.trim().into() }
    }
}

/// Sends messages, in order.
///
/// # Errors
/// The vendor is gone, or takes nothing.
pub(crate) async fn send(
    vendor: &'static str,
    socket: &mut Socket,
    messages: Vec<Message>,
) -> Result<(), Error> {
    for message in messages {
        match timeout(SEND, socket.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(gone(vendor, None)),
            Err(_) => return Err(Error::Unreachable { vendor, why: "it takes nothing".into() }),
        }
    }
    Ok(())
}

/// Closes a socket of which nothing is wanted any more.
pub(crate) async fn close(mut socket: Socket) {
    let _ = timeout(SEND, socket.close(None)).await;
}

/// What it means that the socket is gone.
pub(crate) fn gone(vendor: &'static str, frame: Option<&CloseFrame>) -> Error {
    let why = match frame {
        None => "the connection was cut".into(),
        Some(frame) => {
            let reason: String = frame.reason.chars().take(WHY).collect();
            format!("closed by the vendor ({}) {reason}", u16::from(frame.code)).trim().to_owned()
        }
    };
    Error::Unreachable { vendor, why }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn addresses_become_those_of_sockets() {
        let proxy = address("http://127.0.0.1:1/proxy/").unwrap();
        assert_eq!(path(&proxy, "/v1/listen").as_str(), "ws://127.0.0.1:1/proxy/v1/listen");
        assert_eq!(address("https://api.x.com").unwrap().as_str(), "wss://api.x.com/");
        assert_eq!(address("http://127.0.0.1:1/a").unwrap().as_str(), "ws://127.0.0.1:1/a");
        assert!(address("api.x.com").is_err() && address("ftp://x").is_err());
    }

    #[test]
    fn a_refusal_is_told_apart_from_trouble() {
        let answer = |status: u16| {
            let body = Some(b"why".to_vec());
            refusal("x", &http::Response::builder().status(status).body(body).unwrap())
        };
        for (status, kind) in [(401, "refused"), (402, "refused"), (404, "refused")] {
            assert_eq!(answer(status).kind(), kind, "{status}");
        }
        for (status, kind) in [(429, "unreachable"), (408, "unreachable"), (503, "unreachable")] {
            assert_eq!(answer(status).kind(), kind, "{status}");
        }
        assert_eq!(answer(401).to_string(), "x refused: 401 Unauthorized why");
    }
}
