//! TLS to PostgreSQL, as the URL asks for it.
//!
//! The words are those of the server's own tools: `sslmode=disable`, `prefer` (the default: TLS
//! where the server has it), `require` (never without; the certificate is not judged unless
//! `sslrootcert` names a file with authorities), `verify-ca` and `verify-full` (the certificate is
//! judged, the latter with its name; by the usual authorities unless `sslrootcert` says otherwise).

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How much of a certificate is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judged {
    Nothing,
    Authority,
    AuthorityAndName,
}

/// A URL of which the client library understands every word, and the TLS that it asked for.
///
/// # Errors
/// `sslmode` or `sslrootcert` cannot be used, in words for the operator.
pub(super) fn take(url: &str) -> Result<(String, MakeRustlsConnect), String> {
    let mut judged = Judged::Nothing;
    let mut authorities = None;
    // Before the `@` stands a password, with any character in it.
    let after = url.find('@').unwrap_or(0);
    let (place, query) = match url[after..].find('?') {
        Some(at) => (&url[..after + at], &url[after + at + 1..]),
        None => (url, ""),
    };
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let Some((name, value)) = form_urlencoded::parse(pair.as_bytes()).next() else { continue };
        match (&*name, &*value) {
            ("sslmode", "verify-ca") => judged = Judged::Authority,
            ("sslmode", "verify-full") => judged = Judged::AuthorityAndName,
            ("sslmode", "disable" | "prefer" | "require") => kept.push(pair),
            ("sslmode", other) => {
                return Err(format!(
                    "sslmode={other} is not known; write `disable`, `prefer`, `require`, \
                     `verify-ca` or `verify-full`"
                ));
            }
            ("sslrootcert", file) => authorities = Some(file.to_owned()),
            _ => kept.push(pair),
        }
    }
    if judged != Judged::Nothing {
        kept.push("sslmode=require");
    } else if authorities.is_some() {
        judged = Judged::Authority;
    }
    let joint = if kept.is_empty() { "" } else { "?" };
    let config = config(judged, authorities.as_deref())?;
    Ok((format!("{place}{joint}{}", kept.join("&")), MakeRustlsConnect::new(config)))
}

fn config(judged: Judged, authorities: Option<&str>) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let judge: Arc<dyn ServerCertVerifier> = if judged == Judged::Nothing {
        Arc::new(Judge { inner: None, provider: Arc::clone(&provider) })
    } else {
        let roots = Arc::new(roots(authorities)?);
        let inner = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .build()
            .map_err(|error| format!("sslrootcert: {error}"))?;
        match judged {
            Judged::AuthorityAndName => inner,
            _ => Arc::new(Judge { inner: Some(inner), provider: Arc::clone(&provider) }),
        }
    };
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(judge)
        .with_no_client_auth())
}

fn roots(file: Option<&str>) -> Result<RootCertStore, String> {
    let Some(file) = file.filter(|file| *file != "system") else {
        return Ok(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect());
    };
    let unusable = |why: String| format!("sslrootcert={file}: {why}");
    let mut roots = RootCertStore::empty();
    let all = CertificateDer::pem_file_iter(file).map_err(|error| unusable(error.to_string()))?;
    for certificate in all {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("there is no certificate in it".into()));
    }
    Ok(roots)
}

/// Judges who has signed a certificate, or not even that, and never its name.
#[derive(Debug)]
struct Judge {
    inner: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        match inner.verify_server_cert(certificate, between, name, ocsp, now) {
            // The name is looked at last.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            judged => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_client_library_reads_what_is_left() {
        for (url, left) in [
            ("postgres://a@h/d", "postgres://a@h/d"),
            ("postgres://a:p?q@h/d?sslmode=require", "postgres://a:p?q@h/d?sslmode=require"),
            ("postgres://h/d?sslmode=verify-full&x=y", "postgres://h/d?x=y&sslmode=require"),
            ("postgres://h/d?sslrootcert=system", "postgres://h/d"),
        ] {
            assert_eq!(take(url).map(|(url, _)| url), Ok(left.to_owned()), "{url}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let why = |url: &str| take(url).map(|(url, _)| url).unwrap_err();
        assert!(why("postgres://h/d?sslmode=sometimes").contains("verify-full"));
        assert!(why("postgres://h/d?sslrootcert=/no/such/file").contains("/no/such/file"));
        // A file, but of something else.
        let here = "postgres://h/d?sslmode=verify-ca&sslrootcert=Cargo.toml";
        assert!(why(here).contains("no certificate"), "{}", why(here));
    }
}
