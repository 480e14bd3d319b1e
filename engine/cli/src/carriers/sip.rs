//! From the settings to SIP.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use audio::codec::Codec;
use channels::sip::{self, Sip};

use crate::settings::{self, SipTransport};

/// A SIP agent that listens, if one is wanted.
///
/// # Errors
/// Names the setting and what is wrong with it.
pub(crate) async fn open(settings: &settings::Sip) -> Result<Option<Arc<Sip>>, String> {
    let Some(listen) = settings.listen else { return Ok(None) };
    let tls = match (settings.tls_listen, &settings.tls_certificate, &settings.tls_key) {
        (None, _, _) => None,
        (Some(listen), Some(certificate), Some(key)) => {
            let key = String::from_utf8(read("sip.tls_key", key)?);
            let key = key.map_err(|_| "`sip.tls_key` is no PEM")?.into();
            Some(sip::Tls { listen, certificate: read("sip.tls_certificate", certificate)?, key })
        }
        (Some(_), _, _) => {
            let message =
                "`sip.tls_listen` needs `sip.tls_certificate` and `sip.tls_key`: set both";
            return Err(message.into());
        }
    };
    let authorities = settings.tls_authorities.as_ref();
    let authorities = authorities.map(|file| read("sip.tls_authorities", file)).transpose()?;
    let allow = settings.allow.iter().map(|net| net.parse());
    let users = settings
        .user
        .iter()
        .map(|user| sip::User { name: user.name.clone(), password: user.password.clone() });
    let trunks = settings.trunk.iter().map(|trunk| sip::Trunk {
        name: trunk.name.clone(),
        host: trunk.host.clone(),
        transport: match trunk.transport {
            SipTransport::Udp => sip::Transport::Udp,
            SipTransport::Tcp => sip::Transport::Tcp,
            SipTransport::Tls => sip::Transport::Tls,
        },
        user: trunk.user.clone(),
        password: trunk.password.clone(),
        encrypt: trunk.encrypt,
        register: trunk.register,
    });
    if settings.session_s < 90 {
        let given = settings.session_s;
        return Err(format!("`sip.session_s` is {given}; RFC 4028 allows no less than 90"));
    }
    let sip = Sip::open(sip::Settings {
        listen,
        tls,
        authorities,
        public_ip: settings.public_ip,
        rtp_ports: ports(&settings.rtp_ports)?,
        codecs: codecs(&settings.codecs)?,
        allow: allow
            .collect::<Result<_, _>>()
            .map_err(|why: String| format!("`sip.allow`: {why}"))?,
        users: users.collect(),
        ask_sha256: settings.ask_sha256,
        trunks: trunks.collect(),
        direct: settings.direct,
        most_calls: settings.most_calls,
        silence: (settings.rtp_timeout_s > 0).then(|| Duration::from_secs(settings.rtp_timeout_s)),
        session: settings.session_s,
        name_server: settings.name_server,
    });
    Ok(Some(sip.await?))
}

fn read(setting: &str, file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| format!("`{setting}`, {}: {error}", file.display()))
}

fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let wrong = || format!("`sip.rtp_ports` is `{text}`; write two ports such as 40000-41999");
    let (first, last) = text.split_once('-').ok_or_else(wrong)?;
    let port = |text: &str| text.trim().parse::<u16>().map_err(|_| wrong());
    let (first, last) = (port(first)?, port(last)?);
    // An even port, and the one after it.
    if first < 1_024 || last < first + first % 2 + 1 { Err(wrong()) } else { Ok(first..=last) }
}

fn codecs(names: &[String]) -> Result<Vec<Codec>, String> {
    let mut codecs = Vec::new();
    for name in names {
        codecs.extend(match name.to_ascii_lowercase().as_str() {
            "opus" => vec![Codec::Opus],
            "g722" => vec![Codec::G722],
            "pcmu" => vec![Codec::Pcmu],
            "pcma" => vec![Codec::Pcma],
            "l16" => vec![Codec::L16(16_000), Codec::L16(8_000)],
            _ => {
                let known = "opus, g722, pcmu, pcma, l16";
                return Err(format!("`sip.codecs`: `{name}` is none of {known}"));
            }
        });
    }
    if codecs.is_empty() {
        return Err("`sip.codecs` is empty: without a codec there is no sound".into());
    }
    Ok(codecs)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ports_are_a_range_with_room_for_a_call() {
        assert_eq!(ports("40000-40001").unwrap(), 40_000..=40_001);
        assert_eq!(ports(" 40001 - 40003 ").unwrap(), 40_001..=40_003);
        for wrong in ["", "40000", "40001-40002", "2-1", "80-90", "1-99999"] {
            assert!(ports(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn codecs_are_known_by_name() {
        let names =
            |names: &[&str]| codecs(&names.iter().map(|n| n.to_string()).collect::<Vec<_>>());
        assert_eq!(names(&["PCMU", "opus"]).unwrap(), [Codec::Pcmu, Codec::Opus]);
        assert!(names(&[]).is_err() && names(&["g729"]).unwrap_err().contains("g729"));
    }
}
