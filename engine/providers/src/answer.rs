//! An answer of a model that streams in as server-sent events: what is common to all vendors.

use std::time::Duration;

use agent::{Answer, Error, Piece, ToolCall, Usage};
use futures_util::StreamExt;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::http::{Account, plain};
use crate::sse::Events;

/// For the head of an answer, and between two pieces of it.
const PATIENCE: Duration = Duration::from_secs(15);

/// Pieces that may wait to be taken.
const PIECES: usize = 32;

/// Tools in one answer; a model that wants more is lost in a loop.
pub(crate) const CALLS: usize = 32;

/// Puts an answer together from its events. Pure.
pub(crate) trait Reader: Send + 'static {
    /// Words that came with the data of an event.
    ///
    /// # Errors
    /// It cannot be read, or tells of a failure.
    fn on(&mut self, data: &str) -> Result<Option<String>, Error>;

    /// Whether nothing more comes, though the stream is open.
    fn done(&self) -> bool;

    /// The tools and the cost, once everything has come.
    ///
    /// # Errors
    /// Not everything has come.
    fn finish(self) -> Result<(Vec<ToolCall>, Usage), Error>;
}

/// Asks. Dropping the answer cancels the request.
pub(crate) fn ask(account: Account, path: String, body: Value, reader: impl Reader) -> Answer {
    let (give, answer) = mpsc::channel(PIECES);
    tokio::spawn(async move {
        tokio::select! {
            // Nobody wants the rest: dropping the request cancels it.
            () = give.closed() => {}
            result = answered(&account, &path, &body, reader, &give) => {
                let last = result.map(Piece::End);
                let _ = give.send(last).await;
            }
        }
    });
    Answer(answer)
}

async fn answered(
    account: &Account,
    path: &str,
    body: &Value,
    mut reader: impl Reader,
    give: &mpsc::Sender<Result<Piece, Error>>,
) -> Result<Usage, Error> {
    let response = account.post(path, body, PATIENCE).await?;
    let mut bytes = response.bytes_stream();
    let mut events = Events::default();
    loop {
        let piece = tokio::time::timeout(PATIENCE, bytes.next()).await;
        let mut ended = false;
        let data = match piece.map_err(|_| account.silent(PATIENCE))? {
            Some(Ok(bytes)) => events.push(&bytes).map_err(|_| {
                let why = "an endless line".into();
                Error::Unreadable { vendor: account.vendor(), why }
            })?,
            Some(Err(error)) => return Err(account.unreachable(plain(error))),
            None => {
                ended = true;
                std::mem::take(&mut events).finish().into_iter().collect()
            }
        };
        for data in data {
            if let Some(text) = reader.on(&data)?
                && give.send(Ok(Piece::Text(text))).await.is_err()
            {
                return Ok(Usage::default());
            }
        }
        if reader.done() || ended {
            break;
        }
    }
    let (calls, usage) = reader.finish()?;
    for call in calls {
        // Whoever does not listen any more is noticed by the next send, or is gone.
        let _ = give.send(Ok(Piece::Call(call))).await;
    }
    Ok(usage)
}
