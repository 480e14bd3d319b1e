//! A collector of spans: OTLP by HTTP with protobuf, read by the crate that OpenTelemetry publishes.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use super::Door;
use crate::record::Record;

/// The double.
pub struct Collector {
    door: Door,
    spans: Arc<Record<Span>>,
}

impl Collector {
    /// Opens.
    pub async fn open() -> Self {
        let spans = Arc::<Record<Span>>::default();
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&spans));
        Self { door: Door::open(router).await, spans }
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.door.at)
    }

    /// Every span that came.
    pub fn spans(&self) -> &Record<Span> {
        &self.spans
    }
}

/// A text among the attributes of a span; empty when absent.
pub fn attribute<'a>(span: &'a Span, name: &str) -> &'a str {
    let found = span.attributes.iter().find(|attribute| attribute.key == name);
    match found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(text)) => text,
        _ => "",
    }
}

async fn take(
    State(spans): State<Arc<Record<Span>>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let kind = headers.get("content-type").and_then(|kind| kind.to_str().ok());
    assert_eq!(kind, Some("application/x-protobuf"));
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    for resource in request.resource_spans {
        let named = resource.resource.unwrap().attributes.into_iter().any(|attribute| {
            attribute.key == "service.name"
                && attribute.value.and_then(|v| v.value)
                    == Some(Value::StringValue("voxflow".into()))
        });
        assert!(named, "these spans do not tell whose they are");
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            spans.push(span);
        }
    }
    StatusCode::OK
}
