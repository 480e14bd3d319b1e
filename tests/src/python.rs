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

/// Twilio's own `RequestValidator`, signing.
pub struct Signer {
    at_work: Mutex<(ChildStdin, Lines<BufReader<ChildStdout>>)>,
    _child: Child,
}

impl Signer {
    /// Starts it.
    ///
    /// # Panics
    /// Outside of `tests/run.sh`.
    pub fn start() -> Self {
        let mut child = Command::new(tool("python"))
            .arg(script("sign.py"))
            .arg(TOKEN)
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
        let mut at_work = self.at_work.lock().await;
        let ask = format!("{}\n", json!({ "url": url, "form": form }));
        at_work.0.write_all(ask.as_bytes()).await.unwrap();
        at_work.1.next_line().await.unwrap().expect("sign.py answers every line")
    }

    /// Signed forms made up by Python, for a URL: each `{"form": [[name, value]...], "signature"}`.
    ///
    /// # Panics
    /// When the signer is gone.
    pub async fn made_up(&self, url: &str, n: usize) -> Vec<Value> {
        let mut at_work = self.at_work.lock().await;
        let ask = format!("{}\n", json!({ "url": url, "make_up": n }));
        at_work.0.write_all(ask.as_bytes()).await.unwrap();
        let answer = at_work.1.next_line().await.unwrap().expect("sign.py answers every line");
        serde_json::from_str(&answer).unwrap()
    }
}
