//! `voxflow bench calls`: simultaneous calls in real time, spoken over Twilio's media streams, with
//! doubles of the vendors whose times are fixed.
//!
//! The server is a process of its own, so that what it takes is its own; callers and doubles live in
//! this one. A caller asks, hears the answer, and speaks over every second one.
//!
//! `VOXFLOW_FULL_ABOVE_MS` and `VOXFLOW_FULL_ABOVE_PERCENT` reach the server; the rest of its settings
//! is the same everywhere.
//!
//! What is subtracted, and how it is known:
//!
//! - *Engine-added time* of an answer is the time from the voice's end to the answer's first frame,
//!   less the detector's own lag (frames until it hears silence, known from running it on the same
//!   sound), less the silence that ends a turn (200 ms, as the flow says), less what the doubles
//!   took. A double's time is taken where it happens: from the moment at which it had the whole
//!   request to the one at which it wrote what is waited for. So it is the sum of three: silence
//!   over -> the model is asked; its first sentence -> the voice is told; first sound -> first frame.
//!   The first of them is negative where the model is asked ahead, while the silence still lasts:
//!   that is what asking ahead saves.
//! - *Beyond the confirmation* of a barge-in is the time from the voice's onset to `clear`, less the
//!   detector's lag, less the voice that is waited for: 60 ms until the sound stops, 200 ms (as the
//!   flow says) until the answer is cut.
//!
//! Times of arrival are this process's: where it waits for a processor, the engine is blamed. The
//! lateness of its own frames tells by how much.
//!
//! Read in this order: [`caller`] (with [`speech`], [`carrier`], [`buffer`]) → [`doubles`] (with
//! [`board`]) → [`server`] → [`figures`].

mod board;
mod buffer;
mod caller;
mod carrier;
mod doubles;
mod figures;
mod server;
mod speech;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep_until;

use self::board::Board;
use self::caller::{Load, Went};
use self::doubles::{Doubles, Times};
use self::figures::{Report, Seen};
use self::server::Server;
use self::speech::Speech;

/// From the last call's beginning to the measurement's: its first question is asked and answered.
const SETTLING: Duration = Duration::from_secs(8);
/// Open files of a call here: its stream, and the doubles' end of two others, with some to spare.
const FILES: usize = 4;
/// Open files of everything else.
const MORE_FILES: usize = 100;

/// What is measured.
#[derive(clap::Args)]
pub(crate) struct Wanted {
    /// So many calls at once; several numbers are several runs
    #[arg(long, value_name = "CALLS", value_delimiter = ',', default_value = "100")]
    calls: Vec<usize>,
    /// For so many seconds, once all of them are in conversation
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// For so many minutes
    #[arg(long, conflicts_with = "seconds")]
    minutes: Option<u64>,
    /// So many calls begin in a second
    #[arg(long, value_name = "CALLS", default_value_t = 10.0)]
    ramp: f64,
    /// Milliseconds from the voice's end to the recognizer's words
    #[arg(long, value_name = "MS", default_value_t = 100)]
    words_ms: u64,
    /// Milliseconds from a question to the end of the answer's first sentence
    #[arg(long, value_name = "MS", default_value_t = 290)]
    sentence_ms: u64,
    /// Milliseconds from a text to the first sound of it
    #[arg(long, value_name = "MS", default_value_t = 100)]
    sound_ms: u64,
    /// Another server, measured in the same way after ours: a command that listens at `$LISTEN`,
    /// has the doubles of the vendors at `$DOUBLES`, answers `/readyz`, `/twilio/voice` and
    /// `/twilio/media`. `tests/python/beside_pipecat.py` is one
    #[arg(long, value_name = "COMMAND")]
    beside: Option<String>,
    /// Tell it as JSON
    #[arg(long)]
    json: bool,
}

/// Measures, and tells.
///
/// # Errors
/// The server does not begin, this process may not open files enough, or the system does not tell.
pub(crate) async fn run(wanted: &Wanted) -> Result<String, String> {
    // Taken by whoever came first; all of them are the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    enough_files(wanted.calls.iter().copied().max().unwrap_or_default())?;
    let mut reports = Vec::new();
    for calls in &wanted.calls {
        reports.push(measure(wanted, *calls, None).await?);
        if let Some(beside) = &wanted.beside {
            reports.push(measure(wanted, *calls, Some(beside)).await?);
        }
    }
    if wanted.json {
        let all: Vec<_> = reports.iter().map(Report::json).collect();
        return Ok(format!("{:#}\n", serde_json::Value::from(all)));
    }
    Ok(reports.iter().map(Report::table).collect::<Vec<_>>().join("\n"))
}

async fn measure(wanted: &Wanted, calls: usize, beside: Option<&str>) -> Result<Report, String> {
    let times = Times {
        words: Duration::from_millis(wanted.words_ms),
        sentence: Duration::from_millis(wanted.sentence_ms),
        sound: Duration::from_millis(wanted.sound_ms),
    };
    let seconds = wanted.minutes.map_or(wanted.seconds, |minutes| minutes * 60).max(1);
    let speech = Speech::new(caller::REST)?;
    let http = reqwest::Client::builder().tcp_nodelay(true).build();
    let http = http.map_err(|error| error.to_string())?;
    let board = Board::new(calls);
    let doubles = Doubles::open(times, board.clone()).await?;
    let server = Server::start(beside, doubles.at, http.clone()).await?;

    let idle = server.at_rest().await?;
    let (_, load_before) = server::machine()?;
    let begin = Instant::now();
    let ramp = Duration::from_secs_f64(calls as f64 / wanted.ramp.max(0.1));
    let from = begin + ramp + SETTLING;
    let until = from + Duration::from_secs(seconds);
    let (measured, seen) = (from..until, Mutex::new(Seen::default()));
    let load = Arc::new(Load { server: server.at, http, speech, board, measured, seen });
    let mut placed = JoinSet::new();
    for caller in 0..calls {
        // Between the 20 ms of the frames before, so that frames do not come in step.
        let at = begin + Duration::from_secs_f64((caller as f64 + 0.1) / wanted.ramp.max(0.1));
        let at = at + Duration::from_micros((caller as u64 * 12_361) % 20_000);
        placed.spawn(caller::call(Arc::clone(&load), caller, at));
    }

    let mut went = Ended::default();
    went.until(from, &mut placed).await?;
    let (before, own_before, all_before) = taken(&server).await?;
    let live = placed.len();
    went.until(until, &mut placed).await?;
    let (after, own_after, all_after) = taken(&server).await?;
    let seconds = from.elapsed().as_secs_f64();
    while let Some(ended) = placed.join_next().await {
        went.note(ended.map_err(|error| error.to_string())?);
    }
    let (_, load_after) = server::machine()?;
    let seen = load.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (server_cpu, own_cpu) = (after.cpu - before.cpu, own_after - own_before);
    Ok(Report {
        server: beside.unwrap_or("voxflow").into(),
        placed: calls,
        refused: went.refused,
        held: went.held,
        lost: went.lost,
        live,
        seconds,
        seen,
        server_cpu,
        own_cpu,
        others_cpu: (all_after - all_before - server_cpu - own_cpu).max(0.0),
        memory: [idle.memory, before.memory, after.memory],
        tasks: [idle.tasks, before.tasks, after.tasks],
        files: [idle.files, before.files, after.files],
        loads: [load_before, load_after],
    })
}

/// What the server takes, and the processors' seconds of this process and of all.
async fn taken(server: &Server) -> Result<(server::Taken, f64, f64), String> {
    let taken = server.taken().await?;
    Ok((taken, server::cpu("/proc/self")?, server::machine()?.0))
}

/// How calls went that are over.
#[derive(Default)]
struct Ended {
    held: usize,
    refused: usize,
    lost: Vec<String>,
}

impl Ended {
    fn note(&mut self, went: Went) {
        match went {
            Went::Held => self.held += 1,
            Went::Refused => self.refused += 1,
            Went::Lost(why) if self.lost.contains(&why) => {}
            Went::Lost(why) => self.lost.push(why),
        }
    }

    /// Notes what ends before a moment, and waits for it.
    async fn until(&mut self, at: Instant, placed: &mut JoinSet<Went>) -> Result<(), String> {
        loop {
            tokio::select! {
                biased;
                () = sleep_until(at.into()) => return Ok(()),
                Some(ended) = placed.join_next() => {
                    self.note(ended.map_err(|error| error.to_string())?);
                }
                else => {
                    sleep_until(at.into()).await;
                    return Ok(());
                }
            }
        }
    }
}

/// Whether so many calls are possible here.
fn enough_files(calls: usize) -> Result<(), String> {
    let limits = std::fs::read_to_string("/proc/self/limits").map_err(|error| error.to_string())?;
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    let may: usize =
        line.split_whitespace().nth(3).and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
    let must = calls * FILES + MORE_FILES;
    if may < must {
        return Err(format!(
            "{calls} calls need {must} open files here, and {may} are allowed: ulimit -n {must}"
        ));
    }
    Ok(())
}
