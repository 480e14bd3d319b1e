//! A bad way between voxflow and a vendor: what becomes of each connection is drawn from a seed. It
//! knows nothing of what is said, so that it breaks off in the middle of a message, or of a number.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::record::Record;

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing.
    Calm,
    /// It is closed at once.
    Shut,
    /// It is answered by 500, whatever was asked.
    Broken,
    /// Nothing comes back after so many bytes; it stays open.
    Stalls(usize),
    /// It breaks off after so many bytes.
    Cut(usize),
    /// After so many bytes, others come than were sent.
    Rubbish(usize),
    /// Each piece comes so many milliseconds later.
    Slow(u64),
}

/// The same numbers for the same seed.
pub struct Dice(u64);

impl Dice {
    /// Of this seed.
    pub fn new(seed: u64) -> Self {
        let mut dice = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        dice.below(2);
        dice
    }

    /// A number below `most`.
    pub fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % most
    }
}

impl Fate {
    /// Something happens to so many of a hundred.
    fn draw(dice: &mut Dice, chance: u64) -> Self {
        if dice.below(100) >= chance {
            return Self::Calm;
        }
        // Some break in the answer to the upgrade, some in the middle of what is said.
        let bytes = match dice.below(3) {
            0 => dice.below(400),
            1 => 400 + dice.below(4_000),
            _ => dice.below(60_000),
        };
        let bytes = usize::try_from(bytes).unwrap_or_default();
        match dice.below(6) {
            0 => Self::Shut,
            1 => Self::Broken,
            2 => Self::Stalls(bytes),
            3 => Self::Cut(bytes),
            4 => Self::Rubbish(bytes),
            _ => Self::Slow(20 + dice.below(280)),
        }
    }
}

/// The way to one vendor. Dropped, it is gone.
pub struct Storm {
    /// Where it begins.
    pub at: SocketAddr,
    fates: Arc<Record<Fate>>,
    task: JoinHandle<()>,
}

impl Storm {
    /// Opens before a vendor's `base`, as its double tells it; something happens to so many of a hundred
    /// connections.
    ///
    /// # Panics
    /// Without a free port.
    pub async fn open(base: &str, seed: u64, chance: u64) -> Self {
        let server: SocketAddr = base.split('/').nth(2).unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let fates = Arc::new(Record::default());
        let drawn = Arc::clone(&fates);
        let task = tokio::spawn(async move {
            let mut dice = Dice::new(seed);
            let mut passing = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let fate = Fate::draw(&mut dice, chance);
                drawn.push(fate);
                passing.spawn(pass(client, server, fate));
                while passing.try_join_next().is_some() {}
            }
        });
        Self { at, fates, task }
    }

    /// A vendor's `base` by this way.
    pub fn base(&self, base: &str) -> String {
        let rest = base.splitn(4, '/').nth(3);
        rest.map_or_else(
            || format!("http://{}", self.at),
            |rest| format!("http://{}/{rest}", self.at),
        )
    }

    /// What became of its connections.
    pub fn fates(&self) -> Vec<Fate> {
        self.fates.all()
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(mut client: TcpStream, server: SocketAddr, fate: Fate) {
    if fate == Fate::Shut {
        return;
    }
    if fate == Fate::Broken {
        let _ = client.read(&mut [0; 4096]).await;
        let answer = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 4\r\n\r\nsick";
        let _ = client.write_all(answer.as_bytes()).await;
        return;
    }
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let there = async {
        // Whoever is gone ends both.
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
    };
    let back = async {
        let (mut said, mut piece) = (0, [0; 4096]);
        while let Ok(n) = from_server.read(&mut piece).await
            && n > 0
        {
            let bytes = &mut piece[..n];
            let left = |most: usize| most.saturating_sub(said).min(n);
            match fate {
                Fate::Calm | Fate::Shut | Fate::Broken => {}
                Fate::Slow(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
                Fate::Rubbish(most) => {
                    for byte in &mut bytes[left(most)..] {
                        *byte = byte.wrapping_mul(31).wrapping_add(7);
                    }
                }
                Fate::Stalls(most) | Fate::Cut(most) if left(most) < n => {
                    if to_client.write_all(&bytes[..left(most)]).await.is_ok()
                        && matches!(fate, Fate::Stalls(_))
                    {
                        std::future::pending::<()>().await;
                    }
                    return;
                }
                Fate::Stalls(_) | Fate::Cut(_) => {}
            }
            if to_client.write_all(bytes).await.is_err() {
                return;
            }
            said += n;
        }
    };
    tokio::select! {
        () = there => {}
        () = back => {}
    }
}
