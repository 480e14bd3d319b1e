//! `voxflow bench`: the figures of this machine, as ratios, so that they mean something elsewhere.
//!
//! Read in this order: [`ceiling`] (what the broker and the database can do at best) → [`texts`]
//! (what we make of it), [`way`] (what of a text's time is ours) → [`idle`] (many sessions that
//! sleep) → [`calls`] (many that speak).

pub(crate) mod calls;
mod ceiling;
pub(crate) mod idle;
pub(crate) mod texts;
mod way;

use std::sync::Arc;

use async_trait::async_trait;
use conversation::{Messenger, Outgoing, Refusal, Sent};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::settings::{Number, Settings};
use crate::wire::{self, House, WithoutTwilio};

/// The number of ours that is texted.
const OURS: &str = "+15550001000";

/// Where it is measured.
#[derive(clap::Args)]
pub(crate) struct Where {
    /// A database that may be filled: `postgres://...`, `sqlite:FILE`. Without it, a file that is
    /// thrown away
    #[arg(long, value_name = "URL")]
    pub(crate) database: Option<String>,
    /// A broker of which the queues are used: `amqp://...`. Without it, `embedded`
    #[arg(long, value_name = "URL")]
    pub(crate) queue: Option<String>,
}

/// A carrier that takes every text at once.
struct Sink(mpsc::UnboundedSender<Outgoing>);

#[async_trait]
impl Messenger for Sink {
    fn channel(&self) -> &'static str {
        channels::twilio::CHANNEL
    }

    async fn send(&self, text: &Outgoing) -> Result<Sent, Refusal> {
        // Who measures may have seen enough.
        let _ = self.0.send(text.clone());
        Ok(Sent { carrier_id: text.key.clone() })
    }
}

/// Everything that `voxflow serve` has, without doors, and the texts that leave.
struct Bench {
    house: House,
    left: mpsc::UnboundedReceiver<Outgoing>,
    stop: CancellationToken,
    database: String,
    queue: String,
    _folder: TempDir,
}

impl Bench {
    async fn build(place: &Where, flow: &str) -> Result<Self, String> {
        let unwritable = |error: std::io::Error| format!("a temporary folder: {error}");
        let folder = tempfile::tempdir().map_err(unwritable)?;
        let file = folder.path().join("flow.json");
        std::fs::write(&file, flow).map_err(unwritable)?;
        let in_a_file = || format!("sqlite:{}", folder.path().join("bench.db").display());
        let database = place.database.clone().unwrap_or_else(in_a_file);
        let queue = place.queue.clone().unwrap_or_else(|| "embedded".into());
        let number = Number {
            number: OURS.into(),
            call_flow: None,
            message_flow: Some(file),
            idle_hours: None,
            carrier: None,
            tenant: None,
        };
        let settings = Settings {
            database: database.clone().into(),
            queue: queue.clone().into(),
            number: vec![number],
            ..Settings::default()
        };
        let (taken, left) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let house = wire::build(
            &settings,
            WithoutTwilio::Demo(Arc::new(Sink(taken))),
            runtime::Role::All,
            &stop,
        )
        .await?;
        Ok(Self { house, left, stop, database, queue, _folder: folder })
    }
}
