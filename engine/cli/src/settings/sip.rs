//! What can be set about SIP.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

/// SIP, for phones, exchanges and carriers. Who may call: the addresses of `allow`, trunks whose
/// `host` is an address, and each `[[sip.user]]`, by password. A call is for the number that its
/// request names.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sip {
    /// Where UDP and TCP are listened on, such as `0.0.0.0:5060`. Without it there is no SIP.
    #[schemars(with = "Option<String>")]
    pub(crate) listen: Option<SocketAddr>,
    /// Where TLS is listened on, such as `0.0.0.0:5061`; needs a certificate and its key.
    #[schemars(with = "Option<String>")]
    pub(crate) tls_listen: Option<SocketAddr>,
    /// The file of our certificates, PEM.
    pub(crate) tls_certificate: Option<PathBuf>,
    /// The file of their key, PEM.
    pub(crate) tls_key: Option<PathBuf>,
    /// A file with the certificates of authorities, PEM, by which trunks are known that are
    /// reached by TLS.
    pub(crate) tls_authorities: Option<PathBuf>,
    /// The address under which others reach us, where that is not the one that is listened on.
    #[schemars(with = "Option<String>")]
    pub(crate) public_ip: Option<IpAddr>,
    /// Ports for sound, two for each call, by UDP.
    pub(crate) rtp_ports: String,
    /// Codecs: `opus`, `g722`, `pcmu`, `pcma`, `l16`. Of an offer the first that is among them is
    /// taken; we offer them in this order.
    pub(crate) codecs: Vec<String>,
    /// Addresses that may call without a password, such as `192.0.2.7` and `198.51.100.0/24`.
    pub(crate) allow: Vec<String>,
    /// Whether flows may dial `sip:` addresses that are not on a trunk, wherever they lie.
    pub(crate) direct: bool,
    /// Calls at once, both ways; more are told to come later.
    #[schemars(range(min = 1))]
    pub(crate) most_calls: usize,
    /// Without any packet of sound for so long a call is ended, seconds; 0 = nobody looks. Calls on
    /// hold may be silent.
    pub(crate) rtp_timeout_s: u64,
    /// How long a call lives that neither side confirms, seconds (session timers, RFC 4028).
    #[schemars(range(min = 90, max = 86400))]
    pub(crate) session_s: u32,
    /// The name server that is asked where trunks lie (SRV records, addresses), such as
    /// `192.0.2.53:53`. Without it those of the system are.
    #[schemars(with = "Option<String>")]
    pub(crate) name_server: Option<SocketAddr>,
    /// Whether those who call with a password are asked for SHA-256 beside MD5. Many phones do not
    /// know it, and give up though MD5 would do.
    pub(crate) ask_sha256: bool,
    /// Those who call with a password.
    pub(crate) user: Vec<SipUser>,
    /// Those by whom we dial: phone numbers by the first, addresses by the one that has their
    /// host.
    pub(crate) trunk: Vec<SipTrunk>,
}

impl Default for Sip {
    fn default() -> Self {
        let codecs = ["opus", "g722", "pcmu", "pcma"];
        Self {
            listen: None,
            tls_listen: None,
            tls_certificate: None,
            tls_key: None,
            tls_authorities: None,
            public_ip: None,
            rtp_ports: "40000-41999".into(),
            codecs: codecs.map(String::from).into(),
            allow: Vec::new(),
            direct: false,
            most_calls: 500,
            rtp_timeout_s: 30,
            session_s: 1_800,
            name_server: None,
            ask_sha256: false,
            user: Vec::new(),
            trunk: Vec::new(),
        }
    }
}

/// Somebody who calls with a password.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SipUser {
    /// The name.
    pub(crate) name: String,
    /// The password.
    #[schemars(with = "String")]
    pub(crate) password: SecretString,
}

/// A carrier or an exchange.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SipTrunk {
    /// How the log calls it.
    pub(crate) name: String,
    /// Its name or address, perhaps with a port: `sip.example.com`, `192.0.2.7:5070`.
    pub(crate) host: String,
    /// How it is reached.
    #[serde(default)]
    pub(crate) transport: SipTransport,
    /// Our account there.
    #[serde(default)]
    pub(crate) user: Option<String>,
    /// The account's password.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub(crate) password: Option<SecretString>,
    /// Whether the sound must be encrypted (SRTP).
    #[serde(default)]
    pub(crate) encrypt: bool,
    /// Whether we register there, so that it brings its calls to us. They may call the account; the
    /// number stands in `To` then.
    #[serde(default)]
    pub(crate) register: bool,
}

/// How messages of SIP travel.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SipTransport {
    /// One message a packet.
    #[default]
    Udp,
    /// A connection.
    Tcp,
    /// An encrypted one.
    Tls,
}
