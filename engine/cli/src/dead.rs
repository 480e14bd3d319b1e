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
    let mut dead = Vec::new();
    for queue in open(&settings).await? {
        let left = limit - u32::try_from(dead.len()).unwrap_or(limit);
        dead.extend(queue.dead(left).await.map_err(|error| error.to_string())?);
    }
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
    let mut replayed = 0;
    for queue in open(&settings).await? {
        let left = limit - replayed;
        replayed += queue.replay(left).await.map_err(|error| error.to_string())?;
    }
    Ok(format!("{replayed} job{} replayed\n", if replayed == 1 { "" } else { "s" }))
}

/// The queue of everybody, and that of processes with doors.
async fn open(settings: &Settings) -> Result<Vec<Arc<dyn Queue>>, String> {
    let url = settings.queue.expose_secret();
    if url == "embedded" {
        return Err("the embedded queue lives in its process, and its jobs die with it; nothing is \
                    lost, since the sweep finds the work again. `queue = \"amqp://...\"` keeps dead \
                    jobs"
            .into());
    }
    let wrong = |error| format!("`queue`: {error}");
    let (all, doors) = (queue::open(url).await.map_err(wrong)?, queue::open_doors(url).await);
    Ok([Some(all), doors.map_err(wrong)?].into_iter().flatten().collect())
}
