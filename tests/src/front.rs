//! What stands before the processes of voxflow and spreads connections: each goes to the first process
//! that answers it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A port before several processes. Dropped, it is gone.
pub struct Front {
    /// Where it listens.
    pub at: SocketAddr,
    task: JoinHandle<()>,
}

impl Front {
    /// Opens before these, in order of preference.
    ///
    /// # Panics
    /// Without a free port.
    pub async fn open(behind: &[SocketAddr]) -> Self {
        Self::trying(behind, 1).await
    }

    /// Opens before a process that may be away for a while: who comes then waits for it.
    ///
    /// # Panics
    /// Without a free port.
    pub async fn patient(behind: SocketAddr) -> Self {
        Self::trying(&[behind], crate::PATIENCE_S * 20).await
    }

    async fn trying(behind: &[SocketAddr], times: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let behind = behind.to_vec();
        let task = tokio::spawn(async move {
            let mut passing = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                passing.spawn(pass(client, behind.clone(), times));
                while passing.try_join_next().is_some() {}
            }
        });
        Self { at, task }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Passes a connection on to the first that answers it.
async fn pass(mut client: TcpStream, behind: Vec<SocketAddr>, times: u64) {
    let mut said = Vec::new();
    for to in std::iter::repeat_n(&behind, times as usize).flatten() {
        if let Ok(mut server) = TcpStream::connect(to).await
            && answers(&mut client, &mut server, &mut said).await
        {
            // Whoever breaks it off ends both.
            let _ = copy_bidirectional(&mut client, &mut server).await;
            return;
        }
        if times > 1 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Tells a server what the client says until it answers; `false` = it was gone before that, and
/// another is told all of it.
async fn answers(client: &mut TcpStream, server: &mut TcpStream, said: &mut Vec<u8>) -> bool {
    if server.write_all(said).await.is_err() {
        return false;
    }
    let (mut question, mut answer) = ([0; 4096], [0; 4096]);
    loop {
        tokio::select! {
            read = client.read(&mut question) => match read {
                Ok(n) if n > 0 => {
                    said.extend_from_slice(&question[..n]);
                    if server.write_all(&question[..n]).await.is_err() {
                        return false;
                    }
                }
                // Nobody wants the answer.
                Ok(_) | Err(_) => return true,
            },
            read = server.read(&mut answer) => match read {
                Ok(n) if n > 0 => return client.write_all(&answer[..n]).await.is_ok(),
                Ok(_) | Err(_) => return false,
            },
        }
    }
}
