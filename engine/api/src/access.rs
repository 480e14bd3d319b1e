//! Who may use the API and the console: whoever brings a key; without keys, this machine alone. A
//! key may be one tenant's, and then shows and does only what is that tenant's.
//!
//! "This machine" is told by the peer's address. Two ways around that are shut: a proxy on this
//! machine that forwards strangers (it says so in a header), and a web page of a stranger in a
//! browser of this machine (it says so in `Origin`, or comes under a foreign `Host`).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::error::Error;

/// Who may use the API.
#[derive(Clone, Default)]
pub struct Access {
    keys: Arc<[(SecretString, Holder)]>,
}

/// Who has come in: somebody of one tenant, or somebody for whom there are no tenants (`None`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holder(Option<String>);

impl Holder {
    /// Whether what this tenant has is for whoever has come in.
    pub(crate) fn sees(&self, tenant: &str) -> bool {
        self.0.as_deref().is_none_or(|own| own == tenant)
    }

    /// The tenant, where it is one's.
    pub(crate) fn tenant(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Whose something new is, for whom nothing or a tenant is named.
    ///
    /// # Errors
    /// The one who is named is another than who has come in.
    pub(crate) fn owner(&self, named: Option<String>) -> Result<Option<String>, Error> {
        let owner = named.or_else(|| self.0.clone());
        if owner.as_deref().is_some_and(|owner| !self.sees(owner)) {
            let message = "this access key is another customer's";
            return Err(Error::new(StatusCode::FORBIDDEN, "PERMISSION_DENIED", message));
        }
        Ok(owner)
    }

    /// # Errors
    /// Whoever has come in is of one tenant, and this is about all of them.
    pub(crate) fn sees_all(&self) -> Result<(), Error> {
        match self.0 {
            None => Ok(()),
            Some(_) => Err(Error::new(
                StatusCode::FORBIDDEN,
                "PERMISSION_DENIED",
                "this access key is one tenant's, and this is about all of them",
            )),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Holder {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        // Only doors that nobody guards have none, and those show nothing of anybody.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            let message = "nobody was let in here";
            Error::new(StatusCode::FORBIDDEN, "PERMISSION_DENIED", message)
        })
    }
}

impl Access {
    /// Whoever brings one of these keys; without any, this machine alone.
    pub fn new(keys: Vec<SecretString>) -> Self {
        Self { keys: keys.into_iter().map(|key| (key, Holder(None))).collect() }
    }

    /// And whoever brings one of these, for what is this tenant's.
    #[must_use]
    pub fn and_tenants(self, keys: Vec<(SecretString, String)>) -> Self {
        let own = keys.into_iter().map(|(key, tenant)| (key, Holder(Some(tenant))));
        Self { keys: self.keys.iter().cloned().chain(own).collect() }
    }

    /// Puts other doors under the same rule. They know no tenants, so a tenant's key is not enough.
    pub fn guard(&self, doors: Router) -> Router {
        self.admit(doors.layer(from_fn(all_alone)))
    }

    /// Puts doors under the rule that ask the [`Holder`] what is shown.
    pub(crate) fn admit(&self, doors: Router) -> Router {
        doors.layer(from_fn_with_state(self.clone(), guard))
    }

    /// Puts pages that hold no data under the rule for this machine; with keys, the page itself
    /// asks for one.
    pub(crate) fn guard_pages(&self, pages: Router) -> Router {
        if self.keys.is_empty() { self.guard(pages) } else { pages }
    }

    fn allows(&self, request: &Request) -> Result<Holder, Error> {
        if self.keys.is_empty() {
            return from_this_machine(request).map(|()| Holder(None));
        }
        let given = given_key(request).ok_or_else(|| {
            Error::new(
                StatusCode::UNAUTHORIZED,
                "AUTHENTICATION_REQUIRED",
                "bring an access key: `?accesskey=...` or `Authorization: Bearer ...`",
            )
        })?;
        let given = given.as_bytes();
        // Every key is compared in full, so that time tells nothing.
        let known = self.keys.iter().fold(None, |known, (key, holder)| {
            let same = bool::from(key.expose_secret().as_bytes().ct_eq(given));
            if same { known.or(Some(holder)) } else { known }
        });
        if let Some(holder) = known {
            return Ok(holder.clone());
        }
        let message = "this access key is not known";
        Err(Error::new(StatusCode::UNAUTHORIZED, "INVALID_CREDENTIALS", message))
    }
}

async fn guard(State(access): State<Access>, mut request: Request, next: Next) -> Response {
    match access.allows(&request) {
        Ok(holder) => {
            request.extensions_mut().insert(holder);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    }
}

async fn all_alone(holder: Holder, request: Request, next: Next) -> Response {
    match holder.sees_all() {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn given_key(request: &Request) -> Option<String> {
    let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some((scheme, token)) = header.and_then(|value| value.split_once(' '))
        && scheme.eq_ignore_ascii_case("bearer")
    {
        return Some(token.trim().to_owned());
    }
    let query = request.uri().query()?;
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, _)| name == "accesskey").map(|(_, key)| key.into_owned())
}

fn from_this_machine(request: &Request) -> Result<(), Error> {
    let refuse = |why: &str| {
        let message = format!(
            "{why}; without `access_keys` in the settings only this machine may use the API and \
             the console"
        );
        Err(Error::new(StatusCode::FORBIDDEN, "LOOPBACK_ONLY", message))
    };
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    if !peer.is_some_and(|peer| peer.to_canonical().is_loopback()) {
        return refuse("the request comes from another machine");
    }
    let headers = request.headers();
    let forwarded = ["forwarded", "x-forwarded-for", "x-real-ip", "cf-connecting-ip"];
    if forwarded.iter().any(|name| headers.contains_key(*name)) {
        return refuse("the request was forwarded by a proxy");
    }
    let host =
        text(headers, header::HOST).or_else(|| request.uri().authority().map(|a| a.as_str()));
    if host.is_some_and(|host| !is_loopback_name(host)) {
        return refuse("the request came under a foreign name");
    }
    match text(headers, header::ORIGIN) {
        Some(origin) if !is_own_origin(origin, host) => {
            refuse("the request comes from another page")
        }
        _ => Ok(()),
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"))
}

fn is_loopback_name(host: &str) -> bool {
    let uri: Result<Uri, _> = host.parse();
    let Ok(Some(name)) = uri.as_ref().map(Uri::host) else { return false };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Whether a page of ours sent it.
fn is_own_origin(origin: &str, host: Option<&str>) -> bool {
    let own = origin.split_once("://").map(|(_, authority)| authority);
    own.is_some() && own == host
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::body::Body;

    use super::*;

    fn request(peer: &str, uri: &str, headers: &[(&str, &str)]) -> Request {
        let mut request = Request::builder().uri(uri).header("host", "127.0.0.1:8080");
        for (name, value) in headers {
            if *name == "host" {
                request = Request::builder().uri(uri);
            }
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        let peer: SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        request
    }

    #[track_caller]
    fn check(keys: &[&str], request: &Request, expected: Result<(), &str>) {
        let access = Access::new(keys.iter().map(|key| (*key).into()).collect());
        let answer = access.allows(request).map(|_| ()).map_err(|error| error.reason());
        assert_eq!(answer, expected);
    }

    #[test]
    fn without_keys_only_this_machine_comes_in() {
        let ok = Ok(());
        let no = Err("LOOPBACK_ONLY");
        check(&[], &request("127.0.0.1:5", "/", &[]), ok);
        check(&[], &request("[::1]:5", "/", &[("host", "localhost:8080")]), ok);
        check(&[], &request("[::ffff:127.0.0.1]:5", "/", &[("host", "[::1]:8080")]), ok);
        check(&[], &request("192.0.2.7:5", "/", &[]), no);
        check(&[], &request("127.0.0.1:5", "/", &[("x-forwarded-for", "192.0.2.7")]), no);
        // A name of a stranger that points to this machine.
        check(&[], &request("127.0.0.1:5", "/", &[("host", "evil.example")]), no);
        // A page of a stranger.
        check(&[], &request("127.0.0.1:5", "/", &[("origin", "https://evil.example")]), no);
        check(&[], &request("127.0.0.1:5", "/", &[("origin", "null")]), no);
        check(&[], &request("127.0.0.1:5", "/", &[("origin", "http://127.0.0.1:8080")]), ok);
    }

    #[test]
    fn a_tenants_key_is_that_tenants() {
        let access = Access::new(vec!["all".into()]).and_tenants(vec![("a".into(), "acme".into())]);
        let holder = |key: &str| {
            access.allows(&request("192.0.2.7:5", &format!("/?accesskey={key}"), &[])).unwrap()
        };
        assert!(holder("all").sees("acme") && holder("all").sees_all().is_ok());
        assert!(holder("a").sees("acme") && !holder("a").sees("default"));
        assert_eq!(holder("a").sees_all().unwrap_err().reason(), "PERMISSION_DENIED");
    }

    #[test]
    fn with_keys_a_key_is_needed_from_everywhere() {
        let keys = &["one", "two"];
        let far = "192.0.2.7:5";
        check(keys, &request(far, "/?accesskey=two", &[]), Ok(()));
        check(keys, &request(far, "/?a=b&accesskey=t%77o", &[]), Ok(()));
        check(keys, &request(far, "/", &[("authorization", "Bearer one")]), Ok(()));
        check(keys, &request(far, "/?accesskey=tw", &[]), Err("INVALID_CREDENTIALS"));
        check(keys, &request(far, "/?accesskey=", &[]), Err("INVALID_CREDENTIALS"));
        let near = request("127.0.0.1:5", "/", &[]);
        check(keys, &near, Err("AUTHENTICATION_REQUIRED"));
    }
}
