//! Servers that flows ask over HTTP, each held to the guard, and each redirect too.
//!
//! Invariant: nothing of what a flow sends is written to the log, and neither its headers nor its
//! body follow a redirect to another host.

use std::collections::BTreeMap;

use async_trait::async_trait;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, StatusCode, Url};
use runtime::web::{Answered, Asking, Unanswered};
use serde_json::Value;

use crate::guard::{Guard, chain};

/// The largest answer.
const LARGEST: usize = 1024 * 1024;

/// Hops to the answer.
const REDIRECTS: usize = 5;

/// How we call ourselves.
const AGENT: &str = concat!("voxflow/", env!("CARGO_PKG_VERSION"));

/// Headers that make the message what it is: ours to write.
const OURS: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Asks servers.
pub(crate) struct Http {
    client: Client,
    guard: Guard,
}

impl Http {
    /// Asks where the guard allows it.
    ///
    /// # Errors
    /// The machine's certificates cannot be used.
    pub(crate) fn new(guard: Guard) -> Result<Self, String> {
        let builder = Client::builder().user_agent(AGENT).redirect(Policy::none());
        let client = guard
            .over(builder)
            .build()
            .map_err(|error| format!("no HTTPS client: {}", chain(&error)))?;
        Ok(Self { client, guard })
    }

    async fn answer(&self, asking: &Asking) -> Result<Answered, String> {
        let method: Method = match asking.method.parse() {
            Ok(Method::CONNECT | Method::TRACE) | Err(_) => {
                return Err(format!("`{}` is no method to ask with", asking.method));
            }
            Ok(method) => method,
        };
        let mut url = Url::parse(&asking.url)
            .map_err(|error| format!("the address cannot be read: {error}"))?;
        let mut headers = headers(&asking.headers)?;
        let mut body = body(asking, &mut headers);
        let mut response = None;
        for _ in 0..=REDIRECTS {
            self.guard.allows(&url)?;
            let mut request = self.client.request(method.clone(), url.clone());
            request = request.headers(headers.clone()).header("idempotency-key", &asking.key);
            if let Some(body) = &body {
                request = request.body(body.clone());
            }
            let answered = request.send().await.map_err(|error| chain(&error.without_url()))?;
            let next = follow(&method, &url, &answered);
            response = Some(answered);
            let Some(next) = next else { break };
            if (next.scheme(), next.host(), next.port_or_known_default())
                != (url.scheme(), url.host(), url.port_or_known_default())
            {
                // They were meant for the first host, and may be secret.
                headers.clear();
                body = None;
            }
            url = next;
            response = None;
        }
        read(response.ok_or("it redirects too often")?).await
    }
}

#[async_trait]
impl runtime::Web for Http {
    async fn ask(&self, asking: Asking) -> Result<Answered, Unanswered> {
        let limit = asking.timeout;
        match tokio::time::timeout(limit, self.answer(&asking)).await {
            Ok(Ok(answered)) => Ok(answered),
            Ok(Err(why)) => Err(Unanswered::Failed(format!("{}: {why}", place(&asking.url)))),
            Err(_) => Err(Unanswered::TooSlow(limit)),
        }
    }
}

/// A server's name, for people: an address may hold secrets in its path and query.
fn place(url: &str) -> String {
    match Url::parse(url).ok().and_then(|url| Some((url.host_str()?.to_owned(), url.port()))) {
        Some((host, Some(port))) => format!("{host}:{port}"),
        Some((host, None)) => host,
        None => "the server".into(),
    }
}

fn headers(wanted: &BTreeMap<String, String>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in wanted {
        let known: HeaderName =
            name.parse().map_err(|_| format!("`{name}` is no name of a header"))?;
        if OURS.contains(&known.as_str()) {
            return Err(format!("the header `{name}` cannot be set by a flow"));
        }
        let mut value: HeaderValue = value
            .parse()
            .map_err(|_| format!("the header `{name}` has a value that cannot be sent"))?;
        value.set_sensitive(true);
        headers.insert(known, value);
    }
    Ok(headers)
}

fn body(asking: &Asking, headers: &mut HeaderMap) -> Option<String> {
    let (kind, body) = match asking.body.as_ref()? {
        Value::String(text) => ("text/plain; charset=utf-8", text.clone()),
        json => ("application/json", json.to_string()),
    };
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(kind));
    Some(body)
}

/// Where an answer sends us. Only what changes nothing is asked again elsewhere; any other redirect
/// is the answer.
fn follow(method: &Method, url: &Url, answered: &Response) -> Option<Url> {
    let moved = matches!(
        answered.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    if !moved || !matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    url.join(answered.headers().get(LOCATION)?.to_str().ok()?).ok()
}

async fn read(mut response: Response) -> Result<Answered, String> {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let (status, content_type) = (response.status().as_u16(), kind.unwrap_or_default().to_owned());
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error.without_url()))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > LARGEST {
            return Err(format!("the answer is larger than {} MiB", LARGEST / 1024 / 1024));
        }
    }
    let body = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Answered { status, content_type, body })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use axum::Router;
    use axum::extract::{Request, State};
    use axum::http::header;
    use axum::response::{IntoResponse, Response as Answer};
    use runtime::Web as _;
    use serde_json::json;

    use super::*;

    type Heard = Arc<Mutex<Vec<(String, HeaderMap, String)>>>;

    /// A server that remembers what it was asked.
    struct Double {
        base: String,
        heard: Heard,
    }

    impl Double {
        async fn open() -> Self {
            let heard = Heard::default();
            let router = Router::new().fallback(answer).with_state(Arc::clone(&heard));
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let base = format!("http://{}", listener.local_addr().unwrap());
            tokio::spawn(async move { axum::serve(listener, router).await });
            Self { base, heard }
        }

        fn paths(&self) -> Vec<String> {
            self.heard.lock().unwrap().iter().map(|(path, ..)| path.clone()).collect()
        }
    }

    async fn answer(State(heard): State<Heard>, request: Request) -> Answer {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        let path = parts.uri.path().to_owned();
        let said = format!("{} {path}", parts.method);
        heard.lock().unwrap().push((said, parts.headers, body.clone()));
        match path.split('/').nth(1).unwrap_or_default() {
            "echo" => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            "large" => "x".repeat(LARGEST + 1).into_response(),
            "slow" => std::future::pending().await,
            // `/to/PORT/...` goes there on this machine; `/to/here/...` stays.
            "to" => {
                let mut rest = path.splitn(4, '/').skip(2);
                let (port, path) = (rest.next().unwrap(), rest.next().unwrap());
                let to = match port {
                    "here" => format!("/{path}"),
                    port => format!("http://127.0.0.1:{port}/{path}"),
                };
                (axum::http::StatusCode::FOUND, [(header::LOCATION, to)]).into_response()
            }
            _ => (axum::http::StatusCode::NOT_FOUND, "no").into_response(),
        }
    }

    fn http(anywhere: bool) -> Http {
        // Taken by whoever came first; all of them are the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Http::new(Guard { anywhere, plain: true, setting: "web.x" }).unwrap()
    }

    fn asking(method: &str, url: &str) -> Asking {
        Asking {
            key: "run/ask/1/1".into(),
            method: method.into(),
            url: url.into(),
            headers: BTreeMap::new(),
            body: None,
            timeout: Duration::from_secs(20),
        }
    }

    async fn why(http: &Http, asking: Asking) -> String {
        http.ask(asking).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn a_request_brings_its_key_its_headers_and_its_body() {
        let double = Double::open().await;
        let mut post = asking("POST", &format!("{}/echo", double.base));
        post.body = Some(json!({ "a": 1 }));
        post.headers.insert("X-Shop".into(), "7".into());
        let answered = http(true).ask(post.clone()).await.unwrap();
        assert_eq!((answered.status, answered.body.as_str()), (200, "{\"a\":1}"));
        assert_eq!(answered.content_type, "application/json");
        post.body = Some(json!("as it is"));
        post.headers.insert("Content-Type".into(), "text/csv".into());
        assert_eq!(http(true).ask(post).await.unwrap().body, "as it is");

        let heard = double.heard.lock().unwrap();
        let (_, headers, _) = &heard[0];
        assert_eq!(headers["idempotency-key"], "run/ask/1/1");
        assert_eq!(headers["x-shop"], "7");
        assert_eq!(headers["content-type"], "application/json");
        assert!(headers["user-agent"].to_str().unwrap().starts_with("voxflow/"));
        assert_eq!(heard[1].1["content-type"], "text/csv");
    }

    #[tokio::test]
    async fn a_refusal_of_the_server_is_an_answer() {
        let double = Double::open().await;
        let answered = http(true).ask(asking("GET", &double.base)).await.unwrap();
        assert_eq!((answered.status, answered.body.as_str()), (404, "no"));
    }

    #[tokio::test]
    async fn private_addresses_are_refused_before_a_word_is_sent() {
        let double = Double::open().await;
        let port = double.base.rsplit(':').next().unwrap();
        for host in [
            "127.0.0.1",
            "localhost",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "2130706433",
            "0x7f.1",
            "169.254.169.254",
            "[::ffff:a9fe:a9fe]",
            "10.1.2.3",
            "[fd00::1]",
        ] {
            let why = why(&http(false), asking("GET", &format!("http://{host}:{port}/echo"))).await;
            assert!(why.contains("`web.x` would allow"), "{host}: {why}");
        }
        for url in ["file:///etc/passwd", "ftp://example.com/", "nonsense"] {
            assert!(why(&http(false), asking("GET", url)).await.contains("address"), "{url}");
        }
        assert_eq!(double.paths(), [""; 0]);
    }

    #[tokio::test]
    async fn a_redirect_is_followed_for_a_question_and_drops_the_headers_at_another_host() {
        let (first, second) = (Double::open().await, Double::open().await);
        let port = second.base.rsplit(':').next().unwrap();
        let mut get = asking("GET", &format!("{}/to/here/to/{port}/echo", first.base));
        get.headers.insert("Authorization".into(), "Bearer secret".into());
        assert_eq!(http(true).ask(get).await.unwrap().status, 200);
        let path = format!("GET /to/{port}/echo");
        assert_eq!(first.paths(), ["GET /to/here".to_owned() + &path[4..], path]);
        for (_, headers, _) in &*first.heard.lock().unwrap() {
            assert_eq!(headers["authorization"], "Bearer secret");
        }
        assert!(!second.heard.lock().unwrap()[0].1.contains_key("authorization"));

        // What changes something is not done elsewhere: the redirect is the answer.
        let post = asking("POST", &format!("{}/to/{port}/echo", first.base));
        assert_eq!(http(true).ask(post).await.unwrap().status, 302);
        let circle = format!("{}{}/echo", first.base, "/to/here".repeat(6));
        let why = why(&http(true), asking("GET", &circle)).await;
        assert!(why.contains("redirects too often"), "{why}");
    }

    #[test]
    fn a_redirect_into_a_private_network_is_refused_too() {
        let guard = Guard { anywhere: false, plain: true, setting: "web.x" };
        let public: Url = "https://example.com/a".parse().unwrap();
        let next = public.join("http://169.254.169.254/latest/meta-data/").unwrap();
        assert!(guard.allows(&public).is_ok());
        assert!(guard.allows(&next).unwrap_err().contains("private network"));
    }

    #[tokio::test]
    async fn what_is_too_large_or_too_slow_is_no_answer_and_no_secret_is_told() {
        let double = Double::open().await;
        let large = asking("GET", &format!("{}/large?token=hunter2", double.base));
        let told = why(&http(true), large).await;
        assert!(told.contains("larger than 1 MiB") && !told.contains("hunter2"), "{told}");
        let mut slow = asking("GET", &format!("{}/slow", double.base));
        slow.timeout = Duration::from_millis(50);
        let error = http(true).ask(slow).await.unwrap_err();
        assert_eq!(error, Unanswered::TooSlow(Duration::from_millis(50)));
        let gone = asking("GET", "http://user:hunter2@127.0.0.1:1/hunter2");
        let told = why(&http(true), gone).await;
        assert!(told.starts_with("127.0.0.1:1: ") && !told.contains("hunter2"), "{told}");
    }

    #[tokio::test]
    async fn a_header_or_a_method_that_is_not_the_flows_is_refused() {
        let mut get = asking("GET", "https://example.com/");
        get.headers.insert("Host".into(), "internal".into());
        assert!(why(&http(false), get.clone()).await.contains("`Host` cannot be set"));
        get.headers = BTreeMap::from([("X".into(), "a\r\nb".into())]);
        assert!(why(&http(false), get.clone()).await.contains("cannot be sent"));
        let told = why(&http(false), asking("CONNECT", "https://example.com/")).await;
        assert!(told.contains("no method"), "{told}");
    }
}
