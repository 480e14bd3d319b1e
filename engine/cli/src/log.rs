//! The log, the spans and the counters of a process that serves.

use std::io::IsTerminal;
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use runtime::trace;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::{Directive, LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::traces::Traces;

/// What is told when `VOXFLOW_LOG` says nothing.
const USUAL: &str = "info,lapin=warn,hyper=warn";

/// Whose log holds whole messages, answers to password challenges among them: it is shown only to
/// those who name it.
const PRIVATE: &str = "rsipstack";

/// Buckets of times, in seconds: from the lateness of a 20 ms tick to a slow model.
const SECONDS: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0,
    10.0, 30.0,
];

/// Begins the log on the standard error: for people on a terminal, JSON with
/// `VOXFLOW_LOG_FORMAT=json`. `VOXFLOW_LOG` takes `debug` or `info,runtime=trace`.
///
/// # Errors
/// `VOXFLOW_LOG` or `VOXFLOW_LOG_FORMAT` cannot be read, or the address of a collector of spans.
pub(crate) fn begin(usual: Option<&str>) -> Result<Traces, String> {
    let filter = match std::env::var("VOXFLOW_LOG") {
        Ok(wanted) if !wanted.is_empty() => EnvFilter::try_new(&wanted).map_err(|error| {
            format!("VOXFLOW_LOG={wanted} cannot be read: {error}; write `debug`, or `info,runtime=trace`")
        })?,
        _ => EnvFilter::new(usual.unwrap_or(USUAL)),
    };
    let filter = if filter.to_string().contains(PRIVATE) {
        filter
    } else {
        let quiet = format!("{PRIVATE}=warn").parse::<Directive>();
        filter.add_directive(quiet.map_err(|error| error.to_string())?)
    };
    // The way of a text is for a collector; the log would say everything twice.
    let no_way = Directive::from(LevelFilter::OFF);
    let no_way = format!("{}={no_way}", trace::TARGET).parse::<Directive>();
    let filter = filter.add_directive(no_way.map_err(|error| error.to_string())?);
    let plain = fmt::layer().with_writer(std::io::stderr);
    let log = match std::env::var("VOXFLOW_LOG_FORMAT").as_deref() {
        Ok("json") => plain.json().flatten_event(true).boxed(),
        Ok("human" | "") | Err(_) => plain.with_ansi(std::io::stderr().is_terminal()).boxed(),
        Ok(other) => {
            return Err(format!("VOXFLOW_LOG_FORMAT={other} is neither `json` nor `human`"));
        }
    };
    let traces = Traces::open()?;
    // Or everything that any library would log at its finest is put before the filter.
    let ours =
        filter_fn(|about| about.target() == trace::TARGET).with_max_level_hint(LevelFilter::INFO);
    let way = traces
        .tracer()
        .map(|tracer| tracing_opentelemetry::layer().with_tracer(tracer).with_filter(ours));
    tracing_subscriber::registry()
        .with(log.with_filter(filter))
        .with(way)
        .try_init()
        .map_err(|error| error.to_string())?;
    Ok(traces)
}

/// Between two looks at what was counted: what nobody asks for must not grow for ever.
const UPKEEP: Duration = Duration::from_secs(5);

/// Begins to count; what was counted is read from the handle.
///
/// # Errors
/// Somebody counts already.
pub(crate) fn count(stop: &CancellationToken) -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)?
        .install_recorder()?;
    let (kept, stop) = (handle.clone(), stop.clone());
    tokio::spawn(async move {
        while tokio::time::timeout(UPKEEP, stop.cancelled()).await.is_err() {
            kept.run_upkeep();
        }
    });
    Ok(handle)
}
