//! A WebSocket without manners, for tests of bad input.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::stream::Socket;

/// Opens the media door without the manners of Twilio: for tests of bad input.
///
/// # Errors
/// The HTTP status when the upgrade was refused.
pub async fn bare_socket(url: &str) -> Result<BareSocket, u16> {
    match tokio_tungstenite::connect_async(url).await {
        Ok((socket, _)) => Ok(BareSocket(socket)),
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) => {
            Err(response.status().as_u16())
        }
        Err(why) => panic!("{url}: {why}"),
    }
}

/// A socket on which anything may be said.
pub struct BareSocket(Socket);

impl BareSocket {
    /// Says a text.
    pub async fn text(&mut self, text: &str) {
        let _ = self.0.send(Message::text(text.to_owned())).await;
    }

    /// Says bytes.
    pub async fn binary(&mut self, bytes: &[u8]) {
        let _ = self.0.send(Message::Binary(Bytes::copy_from_slice(bytes))).await;
    }

    /// The close code that the server gives, now or later; `None` when it cuts the connection.
    ///
    /// # Panics
    /// When it keeps the socket open.
    pub async fn close_code(&mut self) -> Option<u16> {
        let closing = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return None,
                }
            }
        };
        let patience = Duration::from_secs(crate::PATIENCE_S);
        tokio::time::timeout(patience, closing).await.expect("the server keeps a bad socket open")
    }
}
