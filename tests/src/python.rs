//! The vendors' own libraries, in Python: they sign, and they judge.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;

use crate::double::twilio::TOKEN;

/// A program of the Python environment that `tests/run.sh` makes.
///
/// # Panics
/// Outside of `tests/run.sh`.
pub fn tool(name: &str) -> PathBuf {
    let venv =
        std::env::var_os("VOXFLOW_TEST_VENV").expect("these tests are started by tests/run.sh");
    PathBuf::from(venv).join("bin").join(name)
}

/// A script of `tests/python/`.
pub fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("python").join(name)
}

/// Runs a script to its end and returns what it printed.
///
/// # Panics
/// When it fails; tells what it said.
pub async fn run(name: &str, args: &[&str]) -> String {
    let output = Command::new(tool("python"))
        .arg(script(name))
        .args(args)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(120), output)
        .await
        .unwrap_or_else(|_| panic!("{name} does not end"))
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {args:?}: {}\n{said}\n{complained}", output.status);
    said
}

/// Somebody who signs, line by line: Twilio's own `RequestValidator`, or the pen of another.
pub struct Signer {
    at_work: Mutex<(ChildStdin, Lines<BufReader<ChildStdout>>)>,
    _child: Child,
}

impl Signer {
    /// Starts Twilio's.
    ///
    /// # Panics
    /// Outside of `tests/run.sh`.
    pub fn start() -> Self {
        Self::of("sign.py", &[TOKEN])
    }

    /// Starts that of `webhooks.py`, such as `telnyx`, with a key.
    ///
    /// # Panics
    /// Outside of `tests/run.sh`.
    pub fn of_webhooks(kind: &str, key: &str) -> Self {
        Self::of("webhooks.py", &[kind, key, "each"])
    }

    fn of(name: &str, args: &[&str]) -> Self {
        let mut child = Command::new(tool("python"))
            .arg(script(name))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let ask = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { at_work: Mutex::new((ask, answers)), _child: child }
    }

    /// The signature of a request.
    ///
    /// # Panics
    /// When the signer is gone.
    pub async fn sign(&self, url: &str, form: &[(String, String)]) -> String {
        self.answer(&json!({ "url": url, "form": form }).to_string()).await
    }

    /// The headers of a webhook with this body, of one line.
    ///
    /// # Panics
    /// When the signer is gone.
    pub async fn headers(&self, body: &str) -> Value {
        serde_json::from_str(&self.answer(body).await).unwrap()
    }

    async fn answer(&self, ask: &str) -> String {
        let mut at_work = self.at_work.lock().await;
        at_work.0.write_all(format!("{ask}\n").as_bytes()).await.unwrap();
        at_work.1.next_line().await.unwrap().expect("every line is answered")
    }

    /// Signed forms made up by Python, for a URL: each `{"form": [[name, value]...], "signature"}`.
    ///
    /// # Panics
    /// When the signer is gone.
    pub async fn made_up(&self, url: &str, n: usize) -> Vec<Value> {
        let answer = self.answer(&json!({ "url": url, "make_up": n }).to_string()).await;
        serde_json::from_str(&answer).unwrap()
    }
}
