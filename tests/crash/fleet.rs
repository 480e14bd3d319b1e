//! Workers that die and come back.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tests::rig::{Setup, Site, Voxflow, World};

/// Workers on one database and queue.
pub(crate) struct Fleet {
    sites: Vec<Site>,
    processes: Vec<Mutex<Option<Voxflow>>>,
    /// How often one was killed.
    pub(crate) kills: AtomicUsize,
}

impl Fleet {
    /// Starts so many and waits until they are ready.
    pub(crate) async fn start(world: &World, count: usize, setup: &Setup) -> Self {
        let this = Self::begin(world, count, setup);
        for n in 0..count {
            let mut process = this.take(n).unwrap();
            process.await_ready().await;
            this.put(n, process);
        }
        this
    }

    /// Starts so many, whether they can become ready or not.
    pub(crate) fn begin(world: &World, count: usize, setup: &Setup) -> Self {
        let sites: Vec<Site> = (0..count).map(|_| world.settle(setup)).collect();
        let processes = sites.iter().map(|site| Mutex::new(Some(site.begin()))).collect();
        Self { sites, processes, kills: AtomicUsize::new(0) }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.sites.len()
    }

    /// Where one of them listens, or would.
    pub(crate) fn any(&self) -> SocketAddr {
        self.sites[rand::random_range(0..self.sites.len())].at
    }

    /// Where this one listens.
    pub(crate) fn at(&self, n: usize) -> SocketAddr {
        self.sites[n].at
    }

    /// The process, to ask it something.
    pub(crate) fn take(&self, n: usize) -> Option<Voxflow> {
        self.processes[n].lock().unwrap().take()
    }

    /// It is back.
    pub(crate) fn put(&self, n: usize, process: Voxflow) {
        *self.processes[n].lock().unwrap() = Some(process);
    }

    /// Kills it (SIGKILL) and starts it anew.
    pub(crate) async fn kill(&self, n: usize) {
        if let Some(process) = self.take(n) {
            process.kill().await;
            self.kills.fetch_add(1, Ordering::Relaxed);
        }
        self.put(n, self.sites[n].begin());
    }

    /// Whatever is down, no process ends by itself.
    pub(crate) fn all_live(&self) {
        for process in &self.processes {
            let ended = process.lock().unwrap().as_mut().is_some_and(|process| !process.alive());
            assert!(!ended, "a process has ended by itself:\n{}", self.logs());
        }
    }

    /// Freezes it.
    pub(crate) async fn freeze(&self, n: usize) {
        self.signal(n, "STOP").await;
    }

    /// Lets it go on.
    pub(crate) async fn thaw(&self, n: usize) {
        self.signal(n, "CONT").await;
    }

    async fn signal(&self, n: usize, name: &str) {
        let process = self.take(n).unwrap();
        process.signal(name).await;
        self.put(n, process);
    }

    /// How often one has written this.
    pub(crate) fn wrote(&self, n: usize, what: &str) -> usize {
        let log = std::fs::read_to_string(self.sites[n].home.join("log")).unwrap_or_default();
        log.matches(what).count()
    }

    /// What they have written, the end of it.
    pub(crate) fn logs(&self) -> String {
        let mut all = String::new();
        for site in &self.sites {
            let log = std::fs::read_to_string(site.home.join("log")).unwrap_or_default();
            let from = log.floor_char_boundary(log.len().saturating_sub(3000));
            all.push_str(&format!("--- {}\n{}\n", site.at, &log[from..]));
        }
        all
    }
}
