//! A RabbitMQ node and a PostgreSQL server of a test's own, on loopback and free ports, to be
//! killed, started again and wiped. What they are started with is as in `tests/services.sh`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::rig::free_port;

/// How long a server may take to answer, seconds.
const PATIENCE_S: u64 = 90;

/// What a broker still knows of a queue's log that is gone.
#[derive(Clone, Copy, Debug)]
pub enum Known {
    /// Where it was: it cannot be read.
    Place,
    /// Nothing: the queue begins anew, and waits for others that would elect its leader.
    Nothing,
}

/// Both servers. Dropped, they are gone with all that they had.
pub struct Servers {
    folder: TempDir,
    rabbit_port: u16,
    dist_port: u16,
    epmd_port: u16,
    postgres_port: u16,
    rabbit: Option<Child>,
    epmd: Option<Child>,
}

impl Servers {
    /// Starts both and waits until they answer.
    ///
    /// # Panics
    /// When one does not start.
    pub async fn start() -> Self {
        let port = || free_port().port();
        let folder = tempfile::tempdir().unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let mut this = Self {
            folder,
            rabbit_port: port(),
            dist_port: port(),
            epmd_port: port(),
            postgres_port: port(),
            rabbit: None,
            epmd: None,
        };
        this.prepare_rabbit();
        this.make_postgres().await;
        this.start_postgres().await;
        this.start_broker().await;
        this
    }

    /// The broker's URL.
    pub fn amqp(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.rabbit_port)
    }

    /// The database's URL.
    pub fn postgres(&self) -> String {
        format!("postgres://voxflow@127.0.0.1:{}/postgres", self.postgres_port)
    }

    fn rabbit_home(&self) -> PathBuf {
        self.folder.path().join("rabbit")
    }

    fn prepare_rabbit(&mut self) {
        let home = self.rabbit_home();
        std::fs::create_dir_all(&home).unwrap();
        std::fs::write(home.join("plugins"), "[].").unwrap();
        std::fs::write(home.join("env"), "").unwrap();
        std::fs::write(home.join("rabbitmq.conf"), "loopback_users = none\n").unwrap();
        let cookie = home.join(".erlang.cookie");
        std::fs::write(&cookie, uuid::Uuid::now_v7().simple().to_string()).unwrap();
        let secret = std::os::unix::fs::PermissionsExt::from_mode(0o400);
        std::fs::set_permissions(cookie, secret).unwrap();
        let epmd = Command::new("epmd")
            .args(["-address", "127.0.0.1", "-port", &self.epmd_port.to_string()])
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        self.epmd = Some(epmd.unwrap());
    }

    /// Starts the broker on the disk that it has, and waits until it takes connections.
    ///
    /// # Panics
    /// When it does not.
    pub async fn start_broker(&mut self) {
        let home = self.rabbit_home();
        let log = std::fs::File::create(home.join("stdout")).unwrap();
        let child = self
            .rabbit_tool("rabbitmq-server")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn();
        self.rabbit = Some(child.unwrap());
        // It listens only when it is whole.
        self.await_port("RabbitMQ", self.rabbit_port, &home.join("stdout")).await;
    }

    /// A program of RabbitMQ, as it is for our broker.
    fn rabbit_tool(&self, name: &str) -> Command {
        let home = self.rabbit_home();
        let mut command = Command::new(format!("/usr/lib/rabbitmq/bin/{name}"));
        command
            // Where it leaves its dumps.
            .current_dir(&home)
            .env("HOME", &home)
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", self.epmd_port.to_string())
            .env("RABBITMQ_NODENAME", format!("crash-{}@localhost", self.rabbit_port))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.rabbit_port.to_string())
            .env("RABBITMQ_DIST_PORT", self.dist_port.to_string())
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1}",
            )
            .env("RABBITMQ_MNESIA_BASE", home.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", home.join("log"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", home.join("plugins"))
            .env("RABBITMQ_CONF_ENV_FILE", home.join("env"))
            .env("RABBITMQ_CONFIG_FILE", home.join("rabbitmq.conf"));
        command
    }

    /// The broker loses half of each of its quorum queues: their names stay, their logs are gone, and
    /// what it knows of them is `known`. Its next start shows it. A kill in the first second
    /// of a queue does that, now and then.
    ///
    /// # Panics
    /// When it cannot be done.
    pub async fn halve_queues(&self, known: Known) {
        let forget = match known {
            Known::Place => "ok",
            Known::Nothing => "ra_directory:unregister_name(quorum_queues, Uid)",
        };
        let halve = format!(
            "[begin Pid = {{Name, _}} = amqqueue:get_pid(Q), \
             Uid = ra_directory:uid_of(quorum_queues, Name), \
             ok = ra:force_delete_server(quorum_queues, Pid), {forget} \
             end || Q <- rabbit_amqqueue:list()]."
        );
        let done = self.rabbit_tool("rabbitmqctl").args(["eval", &halve]).output().await.unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// The broker is gone at once.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub async fn kill_broker(&mut self) {
        if let Some(mut rabbit) = self.rabbit.take() {
            // With all its children.
            let group = rabbit.id().unwrap();
            let kill = format!("kill -KILL -- -{group}");
            Command::new("bash").args(["-c", &kill]).status().await.unwrap();
            rabbit.wait().await.unwrap();
        }
    }

    /// The broker's disk is empty. It must not run.
    ///
    /// # Panics
    /// When it cannot be wiped.
    pub fn wipe_broker(&self) {
        assert!(self.rabbit.is_none(), "the broker runs");
        std::fs::remove_dir_all(self.rabbit_home().join("mnesia")).unwrap();
    }

    fn postgres_home(&self) -> PathBuf {
        self.folder.path().join("postgres")
    }

    /// Runs a program of PostgreSQL, which refuses to work for root.
    async fn postgres_tool(&self, name: &str, args: &[&str]) {
        let versions = std::fs::read_dir("/usr/lib/postgresql").unwrap();
        let newest = versions.map(|version| version.unwrap().path().join("bin")).max().unwrap();
        let root = std::fs::metadata("/proc/self")
            .is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0);
        let program = newest.join(name);
        let mut command = if root {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        // A server that is started would hold a pipe open.
        let log = self.folder.path().join("postgres.log");
        let out = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        command.args(args).current_dir(self.postgres_home()).stdin(Stdio::null());
        let status = command.stdout(out.try_clone().unwrap()).stderr(out).status().await.unwrap();
        let told = || std::fs::read_to_string(&log).unwrap_or_default();
        assert!(status.success(), "{name} {args:?}: {}", told());
    }

    async fn make_postgres(&self) {
        let home = self.postgres_home();
        std::fs::create_dir_all(&home).unwrap();
        // Whoever runs the server must own its folder.
        let owned = "[ \"$(id -u)\" != 0 ] || chown postgres \"$0\"";
        Command::new("sh").args(["-c", owned]).arg(&home).status().await.unwrap();
        let data = home.join("data").display().to_string();
        let args = ["--pgdata", &data, "--username", "voxflow", "--auth", "trust", "--encoding"];
        let args = [&args[..], &["UTF8", "--locale", "C.UTF-8", "--no-sync"]].concat();
        self.postgres_tool("initdb", &args).await;
    }

    /// Starts the database on the disk that it has, and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub async fn start_postgres(&self) {
        let home = self.postgres_home();
        let (data, log) = (home.join("data"), home.join("server.log"));
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories='' \
             -c max_connections=200",
            self.postgres_port
        );
        let wait = PATIENCE_S.to_string();
        let (data, log) = (data.display().to_string(), log.display().to_string());
        let args = ["start", "--wait", "--silent", "--timeout", &wait, "--pgdata", &data, "--log"];
        self.postgres_tool("pg_ctl", &[&args[..], &[&log, "-o", &options]].concat()).await;
    }

    /// The database is gone at once, as if it had crashed.
    ///
    /// # Panics
    /// When it cannot be ended.
    pub async fn kill_postgres(&self) {
        let data = self.postgres_home().join("data").display().to_string();
        let args = ["stop", "--mode", "immediate", "--silent", "--pgdata", &data];
        self.postgres_tool("pg_ctl", &args).await;
    }

    async fn await_port(&self, what: &str, port: u16, log: &Path) {
        let began = std::time::Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            let told = || std::fs::read_to_string(log).unwrap_or_default();
            assert!(began.elapsed().as_secs() < PATIENCE_S, "{what} does not start: {}", told());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let kill = |how: &str, of: &str| {
            let _ = std::process::Command::new("bash")
                .args(["-c", &format!("kill -{how} {of}")])
                .status();
        };
        if let Some(group) = self.rabbit.as_ref().and_then(Child::id) {
            kill("KILL", &format!("-- -{group}"));
        }
        let pid = self.postgres_home().join("data/postmaster.pid");
        if let Ok(text) = std::fs::read_to_string(pid)
            && let Some(pid) = text.lines().next()
        {
            kill("QUIT", pid);
        }
    }
}
