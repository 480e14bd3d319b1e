//! voxflow itself, as processes: settings in a temporary folder, the doubles as its world.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::double::KEY;
use crate::double::deepgram::Deepgram;
use crate::double::elevenlabs::ElevenLabs;
use crate::double::openai::{OpenAi, Reply};
use crate::double::twilio::{ACCOUNT, Form, TOKEN, Twilio};
use crate::phone::{Dialling, Network, Phone};
use crate::python::Signer;

/// Our number, to which calls and texts go.
pub const OURS: &str = "+15550001000";
/// Somebody who calls and texts.
pub const PEER: &str = "+15557654321";
/// How voxflow is known in public: what carriers sign.
pub const PUBLIC: &str = "https://voice.example.com";
/// A key of the API.
pub const ACCESS_KEY: &str = "access-key-5d20";

/// One HTTP client for all.
pub fn http() -> &'static reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        // Whoever was first installed the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Connections are not kept: a test's runtime ends before the next one's begins.
        reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_secs(crate::PATIENCE_S))
            .build()
            .unwrap()
    })
}

/// The world around voxflow.
pub struct World {
    /// The carrier.
    pub twilio: Arc<Twilio>,
    /// The model.
    pub openai: OpenAi,
    /// The recognizer.
    pub deepgram: Deepgram,
    /// The voice.
    pub elevenlabs: ElevenLabs,
    /// Twilio's pen.
    pub signer: Arc<Signer>,
    /// Files of this test.
    pub folder: TempDir,
}

/// What a process of voxflow is started with.
#[derive(Default)]
pub struct Setup {
    /// What a call of [`OURS`] runs.
    pub call_flow: Option<Value>,
    /// What a text to [`OURS`] runs.
    pub message_flow: Option<Value>,
    /// Instead of a SQLite file of its own.
    pub database: Option<String>,
    /// Instead of the embedded queue.
    pub queue: Option<String>,
    /// More of the settings, after all others.
    pub more: String,
    /// Which part of the work it does; all of it, when it does not say.
    pub role: Option<&'static str>,
    /// Instead of the `PATH` of the tests: which programs it finds.
    pub path: Option<String>,
    /// More of its environment.
    pub environment: Vec<(&'static str, String)>,
}

impl World {
    /// Opens every double: what the model says, and what the recognizer will hear.
    pub async fn open(
        mind: impl Fn(&Value) -> Reply + Send + Sync + 'static,
        hears: &[&str],
    ) -> Self {
        Self {
            twilio: Arc::new(Twilio::open().await),
            openai: OpenAi::open(mind).await,
            deepgram: Deepgram::open(hears).await,
            elevenlabs: ElevenLabs::open().await,
            signer: Arc::new(Signer::start()),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Starts a process of voxflow and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready; tells its log.
    pub async fn start(&self, setup: Setup) -> Voxflow {
        let Site { at, home } = self.settle(&setup);
        let path = setup.path.iter().map(|path| ("PATH", path.as_str()));
        let more = setup.environment.iter().map(|(name, value)| (*name, value.as_str()));
        let environment: Vec<(&str, &str)> = path.chain(more).collect();
        let mut args = vec!["serve", "--config", "voxflow.toml"];
        args.extend(setup.role.iter().flat_map(|role| ["--role", role]));
        Voxflow::start(at, home, &args, &environment).await
    }

    /// A place for a process of voxflow, with its settings.
    ///
    /// # Panics
    /// When the settings cannot be written.
    pub fn settle(&self, setup: &Setup) -> Site {
        let at = free_port();
        let home = self.folder.path().join(at.port().to_string());
        std::fs::create_dir_all(&home).unwrap();
        std::fs::write(home.join("voxflow.toml"), self.settings(at, &home, setup)).unwrap();
        Site { at, home }
    }

    fn settings(&self, at: SocketAddr, home: &Path, setup: &Setup) -> String {
        let database = setup.database.clone().unwrap_or_else(|| "sqlite:voxflow.db".into());
        let queue = setup.queue.as_deref().unwrap_or("embedded");
        let vendor = |name: &str, base: &str| {
            format!("[{name}]\napi_key = \"{KEY}\"\nbase_url = \"{base}\"\n")
        };
        let mut settings = format!(
            "listen = \"{at}\"\npublic_url = \"{PUBLIC}\"\ndatabase = \"{database}\"\nqueue = \"{queue}\"\n\
             access_keys = [\"{ACCESS_KEY}\"]\ndrain_s = 2\n"
        );
        settings += &vendor("openai", &self.openai.base());
        settings += &vendor("deepgram", &self.deepgram.base());
        settings += &vendor("elevenlabs", &self.elevenlabs.base());
        settings += &format!(
            "[twilio]\naccount_sid = \"{ACCOUNT}\"\nauth_token = \"{TOKEN}\"\nbase_url = \"{}\"\n",
            self.twilio.base()
        );
        settings += &format!("[[number]]\nnumber = \"{OURS}\"\n");
        for (key, flow) in [("call_flow", &setup.call_flow), ("message_flow", &setup.message_flow)]
        {
            if let Some(flow) = flow {
                let file = home.join(format!("{key}.json"));
                std::fs::write(&file, format!("{flow:#}")).unwrap();
                settings += &format!("{key} = \"{key}.json\"\n");
            }
        }
        settings + &setup.more
    }

    /// The way from Twilio to this process.
    pub fn network(&self, voxflow: &Voxflow) -> Network {
        Network {
            server: voxflow.at,
            public: PUBLIC.into(),
            twilio: Arc::clone(&self.twilio),
            signer: Arc::clone(&self.signer),
        }
    }

    /// Somebody calls.
    pub fn call(&self, voxflow: &Voxflow, dialling: Dialling) -> Phone {
        Phone::call(&self.network(voxflow), PEER, OURS, dialling)
    }

    /// Somebody texts; the status of the answer.
    pub async fn text(&self, voxflow: &Voxflow, from: &str, body: &str) -> u16 {
        self.network(voxflow)
            .webhook(&format!("{PUBLIC}/twilio/messages"), &text_form(from, body))
            .await
            .0
    }
}

/// The form of a text, with an id of its own.
pub fn text_form(from: &str, body: &str) -> Form {
    let sid = format!("SM{}", uuid::Uuid::now_v7().simple());
    let fields = [
        ("MessageSid", sid.as_str()),
        ("SmsSid", &sid),
        ("SmsMessageSid", &sid),
        ("AccountSid", ACCOUNT),
        ("From", from),
        ("To", OURS),
        ("Body", body),
        ("NumMedia", "0"),
        ("NumSegments", "1"),
        ("SmsStatus", "received"),
        ("ApiVersion", "2010-04-01"),
        ("FromCity", ""),
    ];
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A port of loopback that nobody has now.
pub fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A place for a process of voxflow: it may die there and begin anew.
#[derive(Clone, Debug)]
pub struct Site {
    /// Where it listens.
    pub at: SocketAddr,
    /// Its folder, with its settings.
    pub home: PathBuf,
}

impl Site {
    /// Starts a process here, without waiting for it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn begin(&self) -> Voxflow {
        let args = ["serve", "--config", "voxflow.toml"];
        Voxflow::spawn(self.at, self.home.clone(), &args, &[])
    }
}

/// A process of voxflow. Dropped, it is killed.
pub struct Voxflow {
    /// Where it listens.
    pub at: SocketAddr,
    /// Its folder.
    pub home: PathBuf,
    child: Child,
}

/// The binary, beside the tests'.
///
/// # Panics
/// When it was not built.
pub fn binary() -> PathBuf {
    // target/debug/deps/e2e-123 -> target/debug/voxflow
    let tests = std::env::current_exe().unwrap();
    let binary = tests.parent().and_then(Path::parent).unwrap().join("voxflow");
    assert!(
        binary.exists(),
        "{} is missing: `cargo build -p cli`, or tests/run.sh",
        binary.display()
    );
    binary
}

impl Voxflow {
    /// Starts a command that serves, in a folder, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready; tells its log.
    pub async fn start(
        at: SocketAddr,
        home: PathBuf,
        args: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let mut voxflow = Self::spawn(at, home, args, environment);
        voxflow.await_ready().await;
        voxflow
    }

    fn spawn(at: SocketAddr, home: PathBuf, args: &[&str], environment: &[(&str, &str)]) -> Self {
        // A process that begins where another has died writes on.
        let log = std::fs::File::options().create(true).append(true).open(home.join("log"));
        let log = log.unwrap();
        // Nothing of the environment of the tests: no key of anybody, no setting.
        let mut command = Command::new(binary());
        command
            .args(args)
            .current_dir(&home)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &home)
            .env("TMPDIR", std::env::temp_dir())
            .env("RUST_BACKTRACE", "1")
            .env("VOXFLOW_LOG", std::env::var("VOXFLOW_TEST_LOG").unwrap_or("info".into()))
            // The machine of the tests is often late, and busy: no call is refused for that.
            .env("VOXFLOW_FULL_ABOVE_MS", "1000")
            .env("VOXFLOW_FULL_ABOVE_PERCENT", "100")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true);
        Self { at, home, child: command.spawn().unwrap() }
    }

    /// Gives it a signal, such as `STOP`.
    ///
    /// # Panics
    /// When it has ended.
    pub async fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        // The shell's own `kill`: a machine may lack the program.
        Command::new("sh").args(["-c", &format!("kill -{name} {id}")]).status().await.unwrap();
    }

    /// Ends it at once, and waits until it has ended.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits until it is ready.
    ///
    /// # Panics
    /// When it does not become so; tells its log.
    pub async fn await_ready(&mut self) {
        let url = format!("http://{}/readyz", self.at);
        let began = std::time::Instant::now();
        loop {
            if http().get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            let over = self.child.try_wait().unwrap();
            assert!(over.is_none(), "voxflow ended ({over:?}):\n{}", self.log());
            assert!(began.elapsed().as_secs() < crate::PATIENCE_S, "not ready:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What it has written.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.join("log")).unwrap_or_default()
    }

    /// Whether it still runs.
    ///
    /// # Panics
    /// When its state cannot be read.
    pub fn alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// An answer of the API.
    ///
    /// # Panics
    /// When it is no JSON, or an error.
    pub async fn get(&self, path: &str) -> Value {
        let answer = http()
            .get(format!("http://{}{path}", self.at))
            .bearer_auth(ACCESS_KEY)
            .send()
            .await
            .unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_else(|why| panic!("{path}: {why}: {text}"))
    }

    /// A metric, summed over its labels; 0 when it is not there yet.
    ///
    /// # Panics
    /// When there are no metrics.
    pub async fn metric(&self, name: &str) -> f64 {
        self.metrics()
            .await
            .lines()
            .filter(|line| line.split(['{', ' ']).next() == Some(name))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }

    /// Every metric, as it is shown.
    ///
    /// # Panics
    /// When there are none.
    pub async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.at);
        http().get(url).bearer_auth(ACCESS_KEY).send().await.unwrap().text().await.unwrap()
    }

    /// How many tasks are alive in it.
    pub async fn tasks(&self) -> f64 {
        self.metric("voxflow_tasks_alive").await
    }

    /// How many tasks are alive in it when nothing happens: the same for a second.
    ///
    /// # Panics
    /// When the number does not come to rest.
    pub async fn tasks_at_rest(&self) -> f64 {
        let began = std::time::Instant::now();
        let (mut alive, mut since) = (self.tasks().await, began);
        while since.elapsed() < Duration::from_secs(1) {
            assert!(began.elapsed().as_secs() < crate::PATIENCE_S, "{alive} tasks, never the same");
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = self.tasks().await;
            if (now - alive).abs() > 0.1 {
                (alive, since) = (now, std::time::Instant::now());
            }
        }
        alive
    }

    /// Waits until at most so many tasks are alive.
    ///
    /// # Panics
    /// When more stay alive; tells how many.
    pub async fn settles_at(&self, most: f64) {
        let began = std::time::Instant::now();
        loop {
            let alive = self.tasks().await;
            if alive <= most {
                return;
            }
            assert!(
                began.elapsed().as_secs() < crate::PATIENCE_S,
                "{alive} tasks stay alive, {most} were expected"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Asks it to end (SIGTERM), and waits until it has.
    ///
    /// # Panics
    /// When it does not end, or not cleanly; tells its log.
    pub async fn stop(mut self) {
        self.signal("TERM").await;
        let patience = Duration::from_secs(crate::PATIENCE_S);
        let ended = tokio::time::timeout(patience, self.child.wait()).await;
        let status = ended.expect("it does not end").unwrap();
        assert!(status.success(), "it ended badly: {status}");
    }
}

impl Drop for Voxflow {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(6000);
            eprintln!(
                "--- voxflow at {}, the end of its log:\n{}",
                self.at,
                &log[log.floor_char_boundary(from)..]
            );
        }
    }
}
