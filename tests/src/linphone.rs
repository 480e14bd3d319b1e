//! Another real telephone of SIP: linphone's daemon, told what to do over its standard input.

use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};

use crate::record::until;

/// A running telephone. Dropped, it is killed.
pub struct Linphone {
    folder: TempDir,
    input: ChildStdin,
    /// How much of what it wrote was looked at.
    seen: usize,
    _child: Child,
}

/// A port that is free for UDP. It takes it late, so none is given twice.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = std::process::id() as u16 % 100 * 40;
    loop {
        let port = 30_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 4_000;
        if std::net::UdpSocket::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}

impl Linphone {
    /// Starts it.
    ///
    /// # Panics
    /// When it does not start; `tests/run.sh` installs it.
    pub async fn start(user: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        // It does without its database, but not without the folder.
        std::fs::create_dir_all(home.join(".local/share/linphone")).unwrap();
        let port = free_port();
        let settings = format!(
            "[sip]\ncontact=<sip:{user}@127.0.0.1:{port}>\ndefault_proxy=-1\nuse_ipv6=0\n\
             [rtp]\naudio_rtp_port=0\n[video]\nenabled=0\ncapture=0\ndisplay=0\n"
        );
        std::fs::write(home.join("rc"), settings).unwrap();
        let log = std::fs::File::create(home.join("log")).unwrap();
        let mut child = Command::new("linphone-daemon")
            .arg("--config")
            .arg(home.join("rc"))
            .env("HOME", home)
            .current_dir(home)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("linphone is installed by tests/run.sh");
        let input = child.stdin.take().unwrap();
        let mut phone = Self { folder, input, seen: 0, _child: child };
        for command in ["ipv6 disable", &format!("port sip {port} udp")] {
            phone.tell(command).await;
            phone.says("Status: Ok").await;
        }
        phone
    }

    /// Gives a command, such as `call`.
    ///
    /// # Panics
    /// When it is gone.
    pub async fn tell(&mut self, command: &str) {
        self.input.write_all(format!("{command}\n").as_bytes()).await.unwrap();
        self.input.flush().await.unwrap();
    }

    /// Waits until it writes this, after all that was waited for before.
    ///
    /// # Panics
    /// When it does not.
    pub async fn says(&mut self, words: &str) {
        let seen = self.seen;
        self.seen = until(&format!("{words} of linphone"), || async {
            let log = self.log();
            let at = log.get(seen..)?.find(words)?;
            Some(seen + at + words.len())
        })
        .await;
    }

    /// Its log, for a test that fails.
    pub fn log(&self) -> String {
        let log = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }
}
