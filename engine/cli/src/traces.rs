//! One text's way through processes, told to a collector by OTLP: HTTP with protobuf.
//!
//! `OTEL_EXPORTER_OTLP_ENDPOINT` (or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`) says where the collector
//! is. Headers, resource, sampler and the pace of the batches are the usual `OTEL_*` variables too.

use std::time::Duration;

use async_trait::async_trait;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracerProvider, Tracer};
use runtime::trace;
use tokio::runtime::Handle;
use tracing::{Instrument, field};

/// Where a collector is named.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
/// How long a collector may take, where `OTEL_EXPORTER_OTLP_TIMEOUT` says nothing.
const PATIENCE: Duration = Duration::from_secs(10);
/// How we are called where `OTEL_SERVICE_NAME` says nothing.
const NAME: &str = "voxflow";

/// The spans that are on their way to the collector, if there is one.
pub(crate) struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Opens the way to the collector. It need not be there yet.
    ///
    /// # Errors
    /// Its address cannot be used.
    pub(crate) fn open() -> Result<Self, String> {
        let set = |name| std::env::var(name).is_ok_and(|value| !value.is_empty());
        if !ENDPOINTS.into_iter().any(set) {
            return Ok(Self(None));
        }
        // Taken by whoever came first; all of them are the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let unusable = |why: String| format!("OTEL_EXPORTER_OTLP_ENDPOINT: {why}");
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_http_client(Post { client, handle: Handle::current() })
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        let mut resource = Resource::builder();
        if !set("OTEL_SERVICE_NAME") {
            resource = resource.with_service_name(NAME);
        }
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_batch_exporter(exporter)
            .build();
        Ok(Self(Some(provider)))
    }

    /// Who makes the spans.
    pub(crate) fn tracer(&self) -> Option<Tracer> {
        self.0.as_ref().map(|provider| provider.tracer(NAME))
    }

    /// Tells what has not been told yet. Call at the end.
    pub(crate) async fn end(self) {
        let Some(provider) = self.0 else { return };
        // It waits for the last batch, and that needs this thread.
        match tokio::task::spawn_blocking(move || provider.shutdown()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last spans were not told"),
            Err(error) => tracing::warn!(%error, "the last spans were not told"),
        }
    }
}

/// Posts to the collector. It is asked on a thread of its own, and works in our runtime.
#[derive(Debug)]
struct Post {
    client: reqwest::Client,
    handle: Handle,
}

#[async_trait]
impl HttpClient for Post {
    async fn send_bytes(
        &self,
        request: axum::http::Request<Bytes>,
    ) -> Result<axum::http::Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let asked = self.handle.spawn(async move {
            let (parts, body) = request.into_parts();
            let url = parts.uri.to_string();
            let asked = client.request(parts.method, url).headers(parts.headers).body(body);
            let answer = asked.send().await?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            Ok::<_, reqwest::Error>((status, headers, answer.bytes().await?))
        });
        let (status, headers, body) = asked.await??;
        let mut answer = axum::http::Response::new(body);
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        Ok(answer)
    }
}

/// A carrier's webhook begins a trace, or goes on with one that it was sent with.
pub(crate) async fn door(request: Request, next: Next) -> Response {
    let span = tracing::info_span!(
        target: trace::TARGET, "webhook", otel.name = field::Empty, otel.kind = "server",
        "http.request.method" = field::Empty, "url.path" = field::Empty,
        "http.response.status_code" = field::Empty
    );
    if !span.is_disabled() {
        // Not the query: it may hold a secret.
        let (method, path) = (request.method().as_str(), request.uri().path());
        span.record("otel.name", format!("{method} {path}"));
        span.record("http.request.method", method);
        span.record("url.path", path);
        let parent = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
        trace::follow(&span, parent);
    }
    let response = next.run(request).instrument(span.clone()).await;
    span.record("http.response.status_code", response.status().as_u16());
    response
}
