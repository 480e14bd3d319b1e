//! What actions ask of a call by their own names, with their options as they stand in the flow.

use std::time::Duration;

use audio::{Frame, dtmf, tone};
use flow::{Command, Deed, Key};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use talk::Inbound;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use crate::bridge::Way;
use crate::deeds;
use crate::leg::{Picked, Unable};
use crate::recorder::{self, Begun, Ends};
use crate::room;
use crate::session::{Finish, Gone, Line, Report};
use crate::{transfer, waiting};

/// How long carriers take to say who picked up: Twilio gives up after 30 s.
const DETECTION: Duration = Duration::from_secs(40);

/// The action types that a call carries out; others are services beside it.
const NAMES: &[&str] = &[
    "detect_machine",
    "echo",
    "join_bridge",
    "join_conference",
    "join_queue",
    "mute",
    "send_digits",
    "start_recording",
    "stop_recording",
    "transfer_call",
];

/// Whether a call carries out what the action of this type asks for.
pub fn carries(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Whether what it did holds for the rest of the call, so that another process must do it again.
pub fn lasts(name: &str) -> bool {
    name == "mute"
}

/// Carries it out, under this key.
pub(crate) async fn carry_out(
    line: &mut Line,
    key: &Key,
    name: &str,
    option: &Value,
) -> Result<Finish, Gone> {
    match name {
        "detect_machine" => with(line, option, detect_machine).await,
        "echo" => with(line, option, echo).await,
        "join_bridge" => {
            let name = |join: Bridge| format!("bridge {}", join.bridge);
            with(line, option, async |line, join| enter(line, &name(join)).await).await
        }
        "join_conference" => {
            let name = |join: Conference| format!("conference {}", join.conference);
            with(line, option, async |line, join| enter(line, &name(join)).await).await
        }
        "join_queue" => {
            with(line, option, async |line, join: Queue| waiting::join(line, &join.queue).await)
                .await
        }
        "mute" => Ok(mute(line)),
        "send_digits" => with(line, option, send_digits).await,
        "start_recording" => {
            with(line, option, async |line, start| start_recording(line, key, start).await).await
        }
        "stop_recording" => Ok(stop_recording(line)),
        "transfer_call" => with(line, option, transfer::carry_out).await,
        other => Ok(Finish::failed(format!("a call knows nothing of `{other}`"))),
    }
}

/// With the options read.
async fn with<T: DeserializeOwned>(
    line: &mut Line,
    option: &Value,
    deed: impl AsyncFnOnce(&mut Line, T) -> Result<Finish, Gone>,
) -> Result<Finish, Gone> {
    match T::deserialize(option) {
        Ok(option) => deed(line, option).await,
        Err(error) => Ok(Finish::failed(format!("the options: {error}"))),
    }
}

#[derive(Deserialize)]
struct Echo {
    duration_s: f64,
}

/// The caller hears the caller.
async fn echo(line: &mut Line, echo: Echo) -> Result<Finish, Gone> {
    let until = Instant::now() + Duration::from_secs_f64(echo.duration_s.clamp(0.0, 3600.0));
    loop {
        tokio::select! {
            biased;
            heard = line.hear() => if let Inbound::Frame(frame) = heard? {
                line.pass(frame);
            },
            () = sleep_until(until) => return Ok(Finish::done()),
        }
    }
}

#[derive(Deserialize)]
struct Conference {
    conference: String,
}

#[derive(Deserialize)]
struct Bridge {
    bridge: String,
}

#[derive(Deserialize)]
struct Queue {
    queue: String,
}

/// The caller and all others in the room hear each other, until the caller leaves.
async fn enter(line: &mut Line, name: &str) -> Result<Finish, Gone> {
    let mut seat = line.means.rooms.enter(name);
    let (mut there, mut back) =
        (Way::between(line.rate, room::RATE), Way::between(room::RATE, line.rate));
    loop {
        tokio::select! {
            biased;
            heard = line.hear() => if let Inbound::Frame(frame) = heard? {
                seat.say(&there.turn(frame).samples);
            },
            heard = seat.hear() => match heard {
                Some(frame) => line.pass(back.turn(frame)),
                None => return Ok(Finish::failed("the room is gone")),
            },
        }
    }
}

/// From now on whatever the caller says is silence. Keys are still heard.
fn mute(line: &mut Line) -> Finish {
    let (to, inbound) = mpsc::channel(line.inbound.max_capacity());
    let mut open = std::mem::replace(&mut line.inbound, inbound);
    let rate = line.rate;
    tokio::spawn(async move {
        while let Some(heard) = open.recv().await {
            let heard = match heard {
                Inbound::Frame(_) => Inbound::Frame(Frame::silence(rate)),
                other => other,
            };
            if to.send(heard).await.is_err() {
                return;
            }
        }
    });
    Finish::done()
}

#[derive(Deserialize)]
struct SendDigits {
    digits: String,
    duration_ms: u32,
    interval_ms: u32,
}

/// By the carrier, in the way of its network; where it cannot, as tones in the sound.
async fn send_digits(line: &mut Line, send: SendDigits) -> Result<Finish, Gone> {
    let control = std::sync::Arc::clone(&line.control);
    match line.control(control.send_digits(&send.digits)).await? {
        Ok(()) => return Ok(Finish::exit("done", "the carrier sent them")),
        Err(Unable::Failed(why)) => return Ok(Finish::failed(why)),
        Err(Unable::Cannot) => {}
    }
    let (tone, gap) = (send.duration_ms.min(1000), send.interval_ms.min(5000));
    let keys = send.digits.chars();
    let tones: Vec<i16> = keys.flat_map(|key| dtmf::tone(key, line.rate, tone, gap)).collect();
    deeds::hear(line, tones).await?;
    Ok(Finish::exit("done", "they were sent as tones"))
}

#[derive(Deserialize)]
struct DetectMachine {
    on_machine: OnMachine,
    wait: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum OnMachine {
    Hangup,
    Continue,
}

/// Who picked up, as soon as the carrier knows.
async fn detect_machine(line: &mut Line, detect: DetectMachine) -> Result<Finish, Gone> {
    let control = std::sync::Arc::clone(&line.control);
    if !detect.wait {
        tokio::spawn(async move {
            let picked = timeout(DETECTION, control.picked_up()).await;
            let hangs_up = matches!(detect.on_machine, OnMachine::Hangup);
            if hangs_up && matches!(picked, Ok(Ok(Picked::Machine))) {
                // A leg that is gone needs no hangup.
                let _ = control.hangup(flow::HangupCause::Normal).await;
            }
        });
        return Ok(Finish::exit("done", "nobody waits for who picked up"));
    }
    Ok(match line.control(timeout(DETECTION, control.picked_up())).await? {
        Ok(Ok(Picked::Human)) => Finish::exit("done", "a person picked up"),
        Ok(Ok(Picked::Unknown)) => Finish::exit("done", "the carrier could not tell who picked up"),
        Ok(Ok(Picked::Machine)) => {
            if matches!(detect.on_machine, OnMachine::Hangup) {
                let hung_up = control.hangup(flow::HangupCause::Normal);
                if let Err(why) = line.control(hung_up).await? {
                    return Ok(Finish::failed(why));
                }
                while line.hear().await.is_ok() {}
                return Err(Gone);
            }
            Finish::exit("machine", "a machine picked up")
        }
        Ok(Err(unable)) => Finish::failed(unable.to_string()),
        Err(_) => Finish::failed("the carrier did not say in time who picked up"),
    })
}

#[derive(Deserialize)]
struct StartRecording {
    format: String,
    silence_s: u64,
    finish_on: String,
    max_s: u64,
    beep: bool,
    on_end: Option<String>,
}

/// A recording that was asked for.
pub struct Taped {
    /// The name of its file, without what tells its kind.
    pub id: String,
    /// The kind of file: `wav`.
    pub format: String,
    /// The flow that begins when it has ended.
    pub on_end: Option<String>,
}

impl Taped {
    /// The recording that a command asks for, if it does.
    pub fn by(command: &Command) -> Option<Self> {
        let Deed::Service { name, option } = &command.deed else { return None };
        let start = StartRecording::deserialize(option).ok();
        let StartRecording { format, on_end, .. } = start.filter(|_| name == "start_recording")?;
        Some(Self { id: recording_id(&command.key), format, on_end })
    }

    /// The name of its file.
    pub fn file(&self) -> String {
        format!("{}.{}", self.id, self.format)
    }
}

/// The run comes first, so that its recordings can be found.
fn recording_id(key: &Key) -> String {
    let fine = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    key.0.chars().map(fine).collect()
}

async fn start_recording(
    line: &mut Line,
    key: &Key,
    start: StartRecording,
) -> Result<Finish, Gone> {
    let Some(folder) = line.means.recordings.clone() else {
        return Ok(Finish::failed("no folder for recordings is set: `media.recordings`"));
    };
    if start.format != "wav" {
        let why = format!("recordings are written as wav, not as {}", start.format);
        return Ok(Finish::failed(why));
    }
    if line.recording.as_ref().is_some_and(|recording| !recording.stop.is_cancelled()) {
        return Ok(Finish::failed("this call is being recorded already"));
    }
    if start.beep {
        deeds::hear(line, tone::beep(line.rate)).await?;
    }
    let after = |seconds: u64| (seconds > 0).then(|| Duration::from_secs(seconds));
    let ends = Ends {
        silence: after(start.silence_s),
        keys: start.finish_on,
        longest: after(start.max_s),
    };
    let inbound = std::mem::replace(&mut line.inbound, mpsc::channel(1).1);
    let outbound = std::mem::replace(&mut line.outbound, mpsc::channel(1).0);
    let file = format!("{}.{}", recording_id(key), start.format);
    let begun = recorder::begin(&folder, file, line.rate, (inbound, outbound), ends);
    let (finish, ways) = match begun {
        Ok(Begun { recording, writing, ways }) => {
            let mut finish = Finish::done();
            finish.values.insert("file".into(), recording.file.clone().into());
            line.recording = Some(recording);
            line.report(Report::Recording(key.clone()));
            let (reports, key) = (line.reports.clone(), key.clone());
            line.tapes.spawn(async move {
                writing.await;
                let _ = reports.send(Report::Recorded(key));
            });
            (finish, ways)
        }
        Err((why, ways)) => (Finish::failed(why), ways),
    };
    (line.inbound, line.outbound) = ways;
    Ok(finish)
}

fn stop_recording(line: &mut Line) -> Finish {
    match line.recording.take() {
        Some(recording) => {
            recording.stop.cancel();
            let mut finish = Finish::done();
            finish.values.insert("file".into(), recording.file.into());
            finish
        }
        None => Finish::failed("this call is not being recorded"),
    }
}
