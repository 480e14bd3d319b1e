//! `voxflow queue dead`: jobs that were given up, looked at and brought back to life.

use std::fmt::Write as _;
use std::sync::Arc;

use queue::Queue;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::runs::Format;
use crate::settings::Settings;

/// The oldest of them.
///
/// # Errors
/// The broker cannot be asked, or there is none.
pub(crate) async fn list(settings: Settings, limit: u32, format: Format) -> Result<String, String> {
    let dead = open(&settings).await?.dead(limit).await.map_err(|error| error.to_string())?;
    if format == Format::Json {
        return Ok(format!("{:#}\n", json!(dead)));
    }
    let mut out = String::new();
    for job in &dead {
        let _ = writeln!(out, "{:<15} {}", job.why, job.body);
    }
    let _ = writeln!(out, "{} dead job{}", dead.len(), if dead.len() == 1 { "" } else { "s" });
    Ok(out)
}

/// Puts the oldest of them among the others again.
///
/// # Errors
/// The broker cannot be asked, or there is none.
pub(crate) async fn replay(settings: Settings, limit: u32) -> Result<String, String> {
    let replayed = open(&settings).await?.replay(limit).await.map_err(|error| error.to_string())?;
    Ok(format!("{replayed} job{} replayed\n", if replayed == 1 { "" } else { "s" }))
}

async fn open(settings: &Settings) -> Result<Arc<dyn Queue>, String> {
    let url = settings.queue.expose_secret();
    if url == "embedded" {
        return Err("the embedded queue lives in its process, and its jobs die with it; nothing is \
                    lost, since the sweep finds the work again. `queue = \"amqp://...\"` keeps dead \
                    jobs"
            .into());
    }
    queue::open(url).await.map_err(|error| format!("`queue`: {error}"))
}
