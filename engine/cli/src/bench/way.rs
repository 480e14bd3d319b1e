//! What of a text's time is the engine's own: its way as the product's own spans tell it, without
//! the waits for the database and for the queue.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanId, TraceId, TracerProvider as _};
use opentelemetry::{Context, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, Span, SpanData, SpanProcessor};
use runtime::trace;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, dynamic_filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The span of a text, from the door on.
pub(super) const TEXT: &str = "text";
/// How the name of a span begins in which a text leaves.
const SEND: &str = "send ";
/// How the name of a span begins in which a thread's texts are worked.
const JOB: &str = "job thread";

/// From when until when.
type Interval = (SystemTime, SystemTime);

/// The parts of one text's way.
#[derive(Default)]
struct Parts {
    text: Option<SystemTime>,
    send: Option<SystemTime>,
    published: Option<SystemTime>,
    /// When the queue gave out the job.
    came: Option<SystemTime>,
    database: Vec<Interval>,
}

/// The ways of the texts, while somebody wants to know them.
#[derive(Clone, Debug, Default)]
pub(super) struct Ways(Arc<Kept>);

#[derive(Default)]
struct Kept {
    wanted: AtomicBool,
    ways: Mutex<HashMap<TraceId, Parts>>,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

impl Ways {
    /// Becomes the collector of this process's spans; of none, until [`Ways::want`].
    ///
    /// # Errors
    /// The process has another one.
    pub(super) fn open() -> Result<Self, String> {
        let ways = Self::default();
        let provider = SdkTracerProvider::builder().with_span_processor(ways.clone()).build();
        let kept = Arc::clone(&ways.0);
        let wanted = dynamic_filter_fn(move |about, _| {
            about.target() == trace::TARGET && kept.wanted.load(Ordering::Relaxed)
        });
        // Or everything that any library would log at its finest is put before the filter.
        let wanted = wanted.with_max_level_hint(LevelFilter::INFO);
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("bench"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(wanted);
        tracing_subscriber::registry().with(layer).try_init().map_err(|error| error.to_string())?;
        Ok(ways)
    }

    pub(super) fn want(&self, wanted: bool) {
        self.0.wanted.store(wanted, Ordering::Relaxed);
    }

    /// The engine's own time of each text whose whole way was seen: in all, before the queue, and after
    /// it; each list the shortest first.
    pub(super) fn own(&self) -> [Vec<Duration>; 3] {
        let ways = self.0.ways.lock().unwrap_or_else(PoisonError::into_inner);
        let mut own = [const { Vec::new() }; 3];
        for (before, after) in ways.values().filter_map(Parts::own) {
            for (times, time) in own.iter_mut().zip([before + after, before, after]) {
                times.push(time);
            }
        }
        own.iter_mut().for_each(|times| times.sort());
        own
    }
}

impl Parts {
    /// From the door until the queue is told, and from the queue until the text leaves, without what
    /// others took.
    fn own(&self) -> Option<(Duration, Duration)> {
        Some((self.between(self.text?, self.published?), self.between(self.came?, self.send?)))
    }

    fn between(&self, begun: SystemTime, over: SystemTime) -> Duration {
        let mut waits = self.database.clone();
        waits.sort();
        let (mut own, mut at) = (Duration::ZERO, begun);
        for (from, to) in waits {
            own += from.min(over).duration_since(at).unwrap_or_default();
            at = at.max(to);
        }
        own + over.duration_since(at).unwrap_or_default()
    }
}

impl SpanProcessor for Ways {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        let mut ways = self.0.ways.lock().unwrap_or_else(PoisonError::into_inner);
        let parts = ways.entry(span.span_context.trace_id()).or_default();
        let name = &*span.name;
        if name == TEXT && span.parent_span_id == SpanId::INVALID {
            parts.text = Some(span.start_time);
        } else if name == trace::DATABASE {
            parts.database.push((span.start_time, span.end_time));
        } else if name == trace::PUBLISH {
            first(&mut parts.published, span.start_time);
        } else if name.starts_with(SEND) {
            first(&mut parts.send, span.start_time);
        } else if name.starts_with(JOB) {
            let lay = span.attributes.iter().find(|it| it.key.as_str() == trace::LAY);
            let lay = match lay.map(|it| &it.value) {
                Some(Value::I64(us)) => u64::try_from(*us).unwrap_or_default(),
                _ => 0,
            };
            first(&mut parts.came, span.start_time - Duration::from_micros(lay));
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// A job that comes twice says nothing about the first time.
fn first(known: &mut Option<SystemTime>, at: SystemTime) {
    *known = Some(known.map_or(at, |known| known.min(at)));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_others_took_is_not_our_own_and_is_counted_once() {
        let ms = |ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
        let parts = Parts {
            text: Some(ms(0)),
            send: Some(ms(30)),
            published: Some(ms(6)),
            came: Some(ms(8)),
            // The second lies within the first, the last goes on after the text has left.
            database: vec![(ms(10), ms(20)), (ms(12), ms(15)), (ms(1), ms(5)), (ms(29), ms(90))],
        };
        // 0-1, 5-6, 8-10 and 20-29.
        let own = (Duration::from_millis(2), Duration::from_millis(11));
        assert_eq!(parts.own().unwrap(), own);
        assert_eq!(Parts { came: None, ..parts }.own(), None);
    }
}
