//! `voxflow demo`: the example flows on embedded defaults, without a key and without an account.
//!
//! Texts that would leave by Twilio stay here: the terminal and the console show them.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conversation::{Messenger, Outgoing, Refusal, Sent};
use runtime::Happening;
use rust_embed::RustEmbed;
use secrecy::ExposeSecret;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::serve;
use crate::settings::{Number, Settings};
use crate::sources;
use crate::wire::{self, House, WithoutTwilio};

/// Our number; 555 numbers belong to nobody.
const NUMBER: &str = "+15550001000";

/// Who texts by `curl`.
const VISITOR: &str = "+15557654321";

/// The flows, as they were when this binary was built.
#[derive(RustEmbed)]
#[folder = "../../flows/"]
#[include = "*.json"]
#[include = "*.wav"]
struct Flows;

/// The settings of the demo: the environment's, and what the demo keeps for itself.
///
/// # Errors
/// A setting that cannot be used, or no place to keep things.
pub(crate) fn settings() -> Result<Settings, String> {
    let mut settings = sources::read_for_demo().map_err(|error| error.to_string())?;
    let state = state_folder()?;
    if settings.database.expose_secret() == Settings::default().database.expose_secret() {
        settings.database = format!("sqlite:{}", state.join("demo.db").display()).into();
    }
    settings.number = vec![number(&flows_folder(&state)?)];
    Ok(settings)
}

/// Serves the demo until it is told to stop.
///
/// # Errors
/// Why it could not begin.
pub(crate) async fn demo(settings: Settings) -> Result<(), String> {
    // The log would bury what the demo prints.
    let traces = crate::log::begin(Some("warn"))?;
    let listener = serve::bind(settings.listen).await?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let stop = serve::stop_on_signal()?;
    let house =
        wire::build(&settings, WithoutTwilio::Demo(Arc::new(Shown)), runtime::Role::All, &stop)
            .await?;
    print(&banner(&settings, reachable(address), &house))?;
    tokio::spawn(tell(house.runtime.watch.listen()));
    let drain = Duration::from_secs(settings.drain_s.min(5));
    let ended = serve::run(listener, house, stop, drain).await;
    traces.end().await;
    ended
}

/// Where the demo keeps what it must remember.
fn state_folder() -> Result<PathBuf, String> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let folder = variable("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".local/state")))
        .unwrap_or_else(std::env::temp_dir)
        .join("voxflow");
    std::fs::create_dir_all(&folder)
        .map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
    Ok(folder)
}

/// The folder `flows` that we stand beside; else the embedded ones, written where they can be
/// changed. What was changed there stays.
fn flows_folder(state: &Path) -> Result<PathBuf, String> {
    let here = Path::new("flows");
    if here.join("support_line.json").is_file() && here.join("support_chat.json").is_file() {
        return Ok(here.to_owned());
    }
    let folder = state.join("flows");
    for name in Flows::iter() {
        let path = folder.join(&*name);
        let Some(file) = Flows::get(&name).filter(|_| !path.exists()) else { continue };
        path.parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(&path, &file.data))
            .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    }
    Ok(folder)
}

fn number(flows: &Path) -> Number {
    Number {
        number: NUMBER.into(),
        call_flow: Some(flows.join("support_line.json")),
        message_flow: Some(flows.join("support_chat.json")),
        idle_hours: None,
        carrier: None,
        tenant: None,
    }
}

/// The address by which this machine reaches us.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()))
    } else {
        address
    }
}

fn banner(settings: &Settings, at: SocketAddr, house: &House) -> String {
    let number = settings.number.first().map_or(NUMBER, |number| &number.number);
    let providers::Names { llm, stt, tts } = &house.engines;
    let mut hints = String::new();
    if llm == "scripted" {
        hints += "\n             by written rules: ask it \"what can you do\" to learn which";
    }
    if llm == "scripted" || stt == "pocketsphinx" || tts == "espeak" {
        hints += "\n             OPENAI_API_KEY, DEEPGRAM_API_KEY, ELEVENLABS_API_KEY bring the real ones";
    }
    format!(
        "
voxflow {version}, the demo. Ctrl-C ends it.

  console    http://{at}/console/   to text and to call from the browser
  number     {number}
  thinks     {llm}; listens by {stt}; speaks by {tts}{hints}
  flows      {flows}
  remembers  {database}

Text it from another terminal; the reply comes back:

{curl}

",
        version = env!("CARGO_PKG_VERSION"),
        flows = flows_shown(settings),
        database = database_shown(settings),
        curl = curl(at, number),
    )
}

/// A path, never a password.
fn database_shown(settings: &Settings) -> &str {
    let url = settings.database.expose_secret();
    url.strip_prefix("sqlite:").unwrap_or("the database that the settings name")
}

fn flows_shown(settings: &Settings) -> String {
    let files = settings.number.iter().flat_map(|n| [&n.call_flow, &n.message_flow]).flatten();
    files.map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// One line that texts as Twilio would, then waits for the reply and prints both. Each run of it
/// is a text of its own, by the time in its id.
fn curl(at: SocketAddr, number: &str) -> String {
    let (from, to) = (VISITOR.replace('+', "%2B"), number.replace('+', "%2B"));
    format!(
        "curl -sSf -o /dev/null http://{at}/twilio/messages -d From={from} -d To={to} \
         -d MessageSid=SM$(date +%s%N) --data-urlencode \"Body=What are your opening hours?\" \
         --next -sS \"http://{at}/v1.0/conversations/{from}/messages?wait=15&as=text\""
    )
}

/// Takes texts for Twilio's numbers without Twilio: [`tell`] and the console show them.
pub(crate) struct Shown;

#[async_trait]
impl Messenger for Shown {
    fn channel(&self) -> &'static str {
        channels::twilio::CHANNEL
    }

    async fn send(&self, text: &Outgoing) -> Result<Sent, Refusal> {
        let Outgoing { key, ours, peer, text, .. } = text;
        // What cannot be printed is still in the console.
        let _ = print(&format!("text    {ours} to {peer}: {text}\n"));
        Ok(Sent { carrier_id: format!("demo-{key}") })
    }
}

/// Prints what happens, for whoever sits before the terminal.
async fn tell(mut happenings: Receiver<Happening>) {
    loop {
        match happenings.recv().await {
            Ok(happening) => {
                if let Some(line) = line(&happening) {
                    // The terminal may be gone; the demo goes on.
                    let _ = print(&line);
                }
            }
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// A happening in a line; `None` for what would only flicker.
fn line(happening: &Happening) -> Option<String> {
    let data = |name: &str| happening.data.get(name).and_then(|value| value.as_str()).unwrap_or("");
    let text = match happening.kind {
        "run_started" => "begins".to_owned(),
        "run_ended" => format!("ends: {}", data("outcome")),
        "action" => format!("{} ({}) -> {}", data("action"), data("kind"), data("exit")),
        "text_in" | "caller" => format!("they: {}", data("text")),
        "agent" => format!("we: {}", data("text")),
        "tool" => format!("takes {}", data("name")),
        "barge_in" => "they interrupt".to_owned(),
        "trouble" => format!("trouble: {}", data("text")),
        _ => return None,
    };
    // The last letters of an id are the ones that differ.
    let run = happening.run.get(happening.run.len().saturating_sub(6)..).unwrap_or_default();
    Some(format!("{run:<7} {text}\n"))
}

fn print(text: &str) -> Result<(), String> {
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| error.to_string())
}
