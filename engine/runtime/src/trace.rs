//! One text's way through processes: the W3C trace context of what caused a job travels with it.
//!
//! Spans of the way have a target of their own, so that a process that exports none pays nothing
//! for them, and the log does not repeat them.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The target of every span of the way.
pub const TARGET: &str = "voxflow_way";

/// The `traceparent` of the span that we are in; `None` when nobody collects spans.
pub fn current() -> Option<String> {
    let span = Span::current();
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let at = context.span().span_context().clone();
    at.is_valid()
        .then(|| format!("00-{}-{}-{:02x}", at.trace_id(), at.span_id(), at.trace_flags().to_u8()))
}

/// The span goes on from there, in whichever process that was. What is no `traceparent` begins a
/// new trace.
pub fn follow(span: &Span, parent: Option<&str>) {
    if let Some(parent) = parent.filter(|_| !span.is_disabled()).and_then(read) {
        // Fails only for a span that nobody collects.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
}

/// The name of the spans of a wait for the database.
pub const DATABASE: &str = "database";
/// The name of the span from handing a job to the queue until the queue has it for good.
pub const PUBLISH: &str = "publish";
/// How long a job lay in this process before it was begun, on its span: microseconds.
pub const LAY: &str = "lay_us";

/// A wait for the database, as a part of the way.
pub(crate) async fn database<T>(wait: impl Future<Output = T>) -> T {
    wait.instrument(tracing::info_span!(target: TARGET, DATABASE, otel.kind = "client")).await
}

/// The same for the queue, as a part of the way that this job is on.
pub(crate) async fn publish<T>(parent: Option<&str>, wait: impl Future<Output = T>) -> T {
    let span = tracing::info_span!(target: TARGET, PUBLISH, otel.kind = "producer");
    follow(&span, parent);
    wait.instrument(span).await
}

/// A `traceparent`: `00-` trace `-` span `-` flags, in hexadecimal digits.
fn read(parent: &str) -> Option<SpanContext> {
    let mut parts = parent.trim().split('-');
    let mut part = |digits: usize| {
        let part = parts.next()?;
        (part.len() == digits && part.bytes().all(|b| b.is_ascii_hexdigit())).then_some(part)
    };
    let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    // Newer versions may say more; `ff` is none.
    if version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::default());
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_traceparent_is_read_as_w3c_has_it() {
        let at = read("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        assert_eq!(at.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(at.span_id().to_string(), "00f067aa0ba902b7");
        assert!(at.is_sampled() && at.is_remote());
        for wrong in [
            "",
            "00-1-2-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert!(read(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn without_a_collector_there_is_no_way() {
        let span = tracing::info_span!(target: TARGET, "job");
        follow(&span, Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        assert_eq!(span.in_scope(current), None);
    }
}
