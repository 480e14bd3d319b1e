//! A real telephone of SIP: baresip, told what to do over its control port.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::spawn_blocking;
use tokio::time::{Duration, timeout};

use crate::PATIENCE_S;
use crate::record::until;
use crate::sound;

/// What a telephone is and says.
pub struct Habit {
    /// Its user, such as `alice`.
    pub user: String,
    /// `udp`, `tcp` or `tls`.
    pub transport: &'static str,
    /// What follows its address in its account, such as `audio_codecs=PCMU;answermode=auto`.
    pub account: String,
    /// Samples a second of its microphone, and its channels: what the codec wants.
    pub rate: (u32, u16),
    /// What it says from the moment it is connected, at 8 kHz.
    pub says: Vec<i16>,
}

impl Habit {
    /// A telephone with one codec, which says nothing.
    pub fn of(codec: &str) -> Self {
        Self {
            user: "alice".into(),
            transport: "udp",
            account: format!("audio_codecs={codec}"),
            rate: (8_000, 1),
            says: Vec::new(),
        }
    }
}

/// A running telephone. Dropped, it is killed.
pub struct Softphone {
    /// Where it is called.
    pub uri: String,
    folder: TempDir,
    control: TcpStream,
    unread: Vec<u8>,
    events: VecDeque<Value>,
    _child: Child,
}

/// Where it listens, and where it is told what to do. It also listens for TLS at the port after the
/// first one, so the system's own choice of a port is none.
fn free_ports() -> (SocketAddr, SocketAddr) {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = std::process::id() as u16 % 100 * 90;
    loop {
        let step = NEXT.fetch_add(3, Ordering::Relaxed);
        let port = 10_000 + (first + step) % 9_000;
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let tcp = [port, port + 1, port + 2].map(|port| std::net::TcpListener::bind(at(port)));
        if tcp.iter().all(Result::is_ok) && std::net::UdpSocket::bind(at(port)).is_ok() {
            return (at(port), at(port + 2));
        }
    }
}

/// How long its microphone lasts at least, seconds: baresip hangs up when it ends.
const LONG_S: usize = 120;

impl Softphone {
    /// Starts it.
    ///
    /// # Panics
    /// When it does not start; `tests/run.sh` installs it.
    pub async fn start(habit: Habit) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        let (at, control) = free_ports();
        let (rate, channels) = habit.rate;
        let each = (rate / 8_000) as usize * usize::from(channels);
        let mut says = habit.says;
        says.resize(says.len().max(LONG_S * 8_000), 0);
        let says: Vec<i16> = says.iter().flat_map(|s| std::iter::repeat_n(*s, each)).collect();
        sound::write_channels(&home.join("says.wav"), &says, rate, channels);
        std::fs::create_dir(home.join("heard")).unwrap();
        let place = home.display();
        let modules = [
            "stdio", "g711", "g722", "opus", "aufile", "sndfile", "srtp", "uuid", "account",
            "menu", "ctrl_tcp",
        ];
        let modules: String = modules.map(|name| format!("module_app {name}.so\n")).concat();
        let config = format!(
            "poll_method epoll\nsip_listen {at}\ncall_local_timeout 120\ncall_max_calls 4\n\
             audio_source aufile,{place}/says.wav\naudio_player aufile,{place}/player.wav\n\
             audio_alert aufile,{place}/alert.wav\nausrc_srate {rate}\nauplay_srate {rate}\n\
             ausrc_channels {channels}\nauplay_channels {channels}\naudio_level no\n\
             rtp_ports 20000-29999\njitter_buffer_type fixed\njitter_buffer_delay 4-20\n\
             module_path {}\n{modules}ctrl_tcp_listen {control}\nsnd_path {place}/heard\n",
            modules_folder().display()
        );
        std::fs::write(home.join("config"), config).unwrap();
        let Habit { user, transport, account, .. } = habit;
        let uri = format!("sip:{user}@127.0.0.1;transport={transport}");
        std::fs::write(home.join("accounts"), format!("<{uri}>;regint=0;{account}\n")).unwrap();
        std::fs::write(home.join("contacts"), "").unwrap();
        let log = std::fs::File::create(home.join("log")).unwrap();
        let child = Command::new("baresip")
            .arg("-f")
            .arg(home)
            .arg("-v")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("baresip is installed by tests/run.sh");
        let control =
            until("baresip's control port", || async { TcpStream::connect(control).await.ok() })
                .await;
        let uri = format!("sip:{user}@{at}");
        Self { uri, folder, control, unread: Vec::new(), events: VecDeque::new(), _child: child }
    }

    /// Gives a command, such as `dial`, and waits until it is taken.
    ///
    /// # Panics
    /// When it is gone.
    pub async fn tell(&mut self, command: &str, parameters: &str) {
        let text = json!({ "command": command, "params": parameters, "token": "t" }).to_string();
        let message = format!("{}:{text},", text.len());
        self.control.write_all(message.as_bytes()).await.unwrap();
        loop {
            let message = self.message().await;
            if message["response"] == true {
                return;
            }
            self.events.push_back(message);
        }
    }

    /// Waits for an event, such as `CALL_ESTABLISHED`.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn event(&mut self, kind: &str) -> Value {
        let come = async {
            loop {
                let message = match self.events.pop_front() {
                    Some(event) => event,
                    None => self.message().await,
                };
                if message["type"] == kind {
                    return message;
                }
                let over = kind != "CALL_CLOSED" && message["type"] == "CALL_CLOSED";
                assert!(!over, "the call ended before {kind}: {message}\n{}", self.log());
            }
        };
        match timeout(Duration::from_secs(PATIENCE_S), come).await {
            Ok(event) => event,
            Err(_) => panic!("{kind} did not come"),
        }
    }

    async fn message(&mut self) -> Value {
        loop {
            if let Some(colon) = self.unread.iter().position(|byte| *byte == b':') {
                let length = std::str::from_utf8(&self.unread[..colon]).unwrap();
                let length: usize = length.parse().unwrap();
                let end = colon + 1 + length;
                if self.unread.len() > end {
                    let message = serde_json::from_slice(&self.unread[colon + 1..end]).unwrap();
                    self.unread.drain(..=end);
                    return message;
                }
            }
            let mut bytes = [0; 4_096];
            let size = self.control.read(&mut bytes).await.unwrap();
            assert!(size > 0, "baresip is gone: {}", self.log());
            self.unread.extend(&bytes[..size]);
        }
    }

    /// What was heard so far, at 16 kHz, one call after the other.
    ///
    /// # Panics
    /// Before a call.
    pub fn heard(&self) -> Vec<i16> {
        let files = std::fs::read_dir(self.folder.path().join("heard")).unwrap();
        let files = files.map(|file| file.unwrap().path());
        let mut files: Vec<PathBuf> =
            files.filter(|path| path.to_string_lossy().ends_with("-dec.wav")).collect();
        assert!(!files.is_empty(), "no sound: {}", self.log());
        // They are named by their time.
        files.sort();
        files.iter().flat_map(|file| sound::recorded(&std::fs::read(file).unwrap())).collect()
    }

    /// Waits until it has heard a sentence; `others` may be heard too.
    pub async fn hears(&self, sentence: &str, others: &[&str]) {
        // One may follow another so soon that they are taken for one.
        let joined: Vec<String> = others.iter().map(|s| format!("{s} {sentence}")).collect();
        let alone = others.iter().chain([&sentence]).map(|s| (*s).to_owned());
        let all: Vec<String> = alone.chain(joined.clone()).collect();
        until(sentence, || async {
            let (heard, all) = (self.heard(), all.clone());
            // It takes its time, and networks of tests must not stand still meanwhile.
            let understood = spawn_blocking(move || {
                let all: Vec<&str> = all.iter().map(String::as_str).collect();
                sound::understood(&heard, &all)
            });
            let is = |heard: &String| heard == sentence || joined.contains(heard);
            understood.await.unwrap().iter().any(is).then_some(())
        })
        .await;
    }

    /// Its log, for a test that fails.
    pub fn log(&self) -> String {
        let log = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        let from = log.len().saturating_sub(200_000);
        log.get(from..).unwrap_or(&log).to_owned()
    }
}

fn modules_folder() -> PathBuf {
    let places = ["/usr/lib/baresip/modules", "/usr/lib/x86_64-linux-gnu/baresip/modules"];
    let found = places.iter().map(PathBuf::from).find(|place| place.exists());
    found.expect("baresip's modules are installed by tests/run.sh")
}
