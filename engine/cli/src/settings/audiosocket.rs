//! What can be set about AudioSocket.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Deserialize;

/// AudioSocket, for Asterisk: `AudioSocket(<uuid>,<host:port>)` in its dialplan. The protocol
/// names no number and proves nothing.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AudioSocket {
    /// Where Asterisk connects to, such as `127.0.0.1:9092`. Without it there is no AudioSocket.
    #[schemars(with = "Option<String>")]
    pub(crate) listen: Option<SocketAddr>,
    /// The number whose flow takes the calls.
    pub(crate) number: Option<String>,
    /// Addresses that may connect, such as `192.0.2.7` and `198.51.100.0/24`; this machine unless
    /// others are named.
    pub(crate) allow: Vec<String>,
}

impl Default for AudioSocket {
    fn default() -> Self {
        Self { listen: None, number: None, allow: vec!["127.0.0.1".into(), "::1".into()] }
    }
}
