//! The server that is measured: a process of this program, of which the system tells what it takes.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::carrier::{ACCOUNT, PUBLIC, TOKEN};
use super::doubles::KEY;
use crate::bench::OURS;

/// How long it may take to be ready.
const PATIENCE: Duration = Duration::from_secs(30);
/// In so long it begins nothing more: it is at rest.
const REST: Duration = Duration::from_secs(1);
/// What of the environment reaches the server: when it is full.
const LIMITS: &str = "VOXFLOW_FULL_ABOVE_";
/// Ticks of the system's clock in a second, as `/proc` counts on every Linux.
const TICKS: f64 = 100.0;

/// The flow of a call: an agent who waits for questions. Its words end turns after 200 ms.
const FLOW: &str = r#"{ "name": "desk", "actions": [
    { "id": "answer", "type": "answer" },
    { "id": "desk", "type": "ai_talk", "option": { "duration": 86400, "ai": {
        "engine_model": "openai.gpt-4o-mini", "stt_type": "deepgram", "tts_type": "elevenlabs",
        "init_prompt": "You answer the telephone of a shop.", "parameter": { "caller": "${caller.number}" },
        "speak_first": "caller", "filler": "", "stt_language": "en-US",
        "vad_config": { "confidence": 0.7, "start_secs": 0.2, "stop_secs": 0.2, "min_volume": 0 } } } }
] }"#;
/// Silence that ends a turn, by that flow.
pub(super) const STOP: Duration = Duration::from_millis(200);
/// Voice that cuts an answer, by that flow.
pub(super) const START: Duration = Duration::from_millis(200);

/// A server under measurement. Dropped, it is killed.
pub(super) struct Server {
    /// Where it listens.
    pub(super) at: SocketAddr,
    id: u32,
    http: reqwest::Client,
    _child: Child,
    _folder: TempDir,
}

/// What it takes, at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Taken {
    /// Seconds of a processor, since its beginning.
    pub(super) cpu: f64,
    /// Bytes in memory.
    pub(super) memory: u64,
    pub(super) tasks: u64,
    pub(super) files: u64,
}

impl Server {
    /// Starts it, or the command beside it, with doubles for its vendors, and waits until it is
    /// ready.
    ///
    /// # Errors
    /// It does not become ready; tells its log.
    pub(super) async fn start(
        beside: Option<&str>,
        doubles: SocketAddr,
        http: reqwest::Client,
    ) -> Result<Self, String> {
        let wrong = |error: std::io::Error| format!("the server: {error}");
        let folder = tempfile::tempdir().map_err(wrong)?;
        let at =
            TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).map_err(wrong)?;
        std::fs::write(folder.path().join("flow.json"), FLOW).map_err(wrong)?;
        std::fs::write(folder.path().join("voxflow.toml"), settings(at, doubles)).map_err(wrong)?;
        let log = folder.path().join("log");
        let file = std::fs::File::create(&log).map_err(wrong)?;
        let mut command = match beside {
            None => {
                let mut ours = Command::new(std::env::current_exe().map_err(wrong)?);
                ours.args(["serve", "--config", "voxflow.toml"])
                    .current_dir(folder.path())
                    .env_clear()
                    .envs(std::env::vars().filter(|(name, _)| name.starts_with(LIMITS)))
                    .env("VOXFLOW_LOG", "warn");
                ours
            }
            Some(beside) => {
                let mut theirs = Command::new("sh");
                theirs.args(["-c", &format!("exec {beside}")]);
                theirs.env("LISTEN", at.to_string()).env("DOUBLES", doubles.to_string());
                theirs
            }
        };
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .map_err(wrong)?;
        let began = Instant::now();
        loop {
            let ready = http.get(format!("http://{at}/readyz")).send().await;
            if ready.is_ok_and(|ready| ready.status().is_success()) {
                break;
            }
            if child.try_wait().map_err(wrong)?.is_some() || began.elapsed() > PATIENCE {
                return Err(format!("the server did not begin:\n{}", said(&log)));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let id = child.id().ok_or("the server has ended")?;
        Ok(Self { at, id, http, _child: child, _folder: folder })
    }

    /// What it takes now.
    ///
    /// # Errors
    /// It has ended, or the system does not tell.
    pub(super) async fn taken(&self) -> Result<Taken, String> {
        let here = format!("/proc/{}", self.id);
        let silent = |error: std::io::Error| format!("{here}: {error}");
        let tasks = self.metric("voxflow_tasks_alive").await;
        Ok(Taken {
            cpu: cpu(&here)?,
            memory: memory(&here)?,
            tasks: tasks.unwrap_or_default() as u64,
            files: std::fs::read_dir(format!("{here}/fd")).map_err(silent)?.count() as u64,
        })
    }

    /// What it takes at rest: it begins more than makes it ready, and that is no call's.
    ///
    /// # Errors
    /// As [`Server::taken`].
    pub(super) async fn at_rest(&self) -> Result<Taken, String> {
        let mut before = self.taken().await?;
        let began = Instant::now();
        loop {
            tokio::time::sleep(REST).await;
            let now = self.taken().await?;
            if now.memory <= before.memory + before.memory / 200 || began.elapsed() > PATIENCE {
                return Ok(now);
            }
            before = now;
        }
    }

    async fn metric(&self, name: &str) -> Option<f64> {
        let answer = self.http.get(format!("http://{}/metrics", self.at)).send().await.ok()?;
        let text = answer.text().await.ok()?;
        let line = text.lines().find(|line| line.split(' ').next() == Some(name))?;
        line.rsplit(' ').next()?.parse().ok()
    }
}

fn settings(at: SocketAddr, doubles: SocketAddr) -> String {
    format!(
        "listen = \"{at}\"\npublic_url = \"{PUBLIC}\"\ndatabase = \"sqlite:voxflow.db\"\ndrain_s = 0\n\
         [openai]\napi_key = \"{KEY}\"\nbase_url = \"http://{doubles}/v1\"\n\
         [deepgram]\napi_key = \"{KEY}\"\nbase_url = \"http://{doubles}\"\n\
         [elevenlabs]\napi_key = \"{KEY}\"\nbase_url = \"http://{doubles}\"\n\
         [twilio]\naccount_sid = \"{ACCOUNT}\"\nauth_token = \"{TOKEN}\"\nbase_url = \"http://{doubles}\"\n\
         [[number]]\nnumber = \"{OURS}\"\ncall_flow = \"flow.json\"\n"
    )
}

/// The end of a log.
fn said(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let from = text.len().saturating_sub(2000);
    text[text.floor_char_boundary(from)..].to_owned()
}

/// Seconds of a processor that a process has taken; `process` is `/proc/` and its id.
///
/// # Errors
/// The system does not tell.
pub(super) fn cpu(process: &str) -> Result<f64, String> {
    let file = format!("{process}/stat");
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    // Its name stands in brackets and may hold anything; user's and system's time are the 12th and
    // 13th field behind it.
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / TICKS)
}

fn memory(process: &str) -> Result<u64, String> {
    let file = format!("{process}/status");
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.map(|kb| kb * 1024).ok_or_else(|| format!("{file} has no VmRSS"))
}

/// Seconds of all processors that were not idle since the machine's start, and its load average.
///
/// # Errors
/// The system does not tell.
pub(super) fn machine() -> Result<(f64, f64), String> {
    let read =
        |file: &str| std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"));
    let (stat, loads) = (read("/proc/stat")?, read("/proc/loadavg")?);
    let all: Vec<f64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal; guests are counted in user's already.
    let busy: f64 =
        all.iter().take(8).enumerate().filter(|(n, _)| *n != 3 && *n != 4).map(|(_, t)| t).sum();
    let average = loads.split_whitespace().next().and_then(|load| load.parse().ok());
    Ok((busy / TICKS, average.unwrap_or_default()))
}
