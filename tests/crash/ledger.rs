//! The books: what the carrier took, held against what was texted; and what the database still
//! holds.

use std::collections::HashMap;

use tests::double::twilio::Sent;

use crate::load::{Load, peer, words};

/// How answers begin.
pub(crate) const ANSWER: &str = "re: ";
/// What the agent says when no model could answer.
pub(crate) const SORRY: &str = "Sorry, one moment.";

/// What is wrong.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// Texts without an answer.
    pub(crate) lost: Vec<String>,
    /// Texts with more than one.
    pub(crate) twice: Vec<String>,
    /// Answers before their turn.
    pub(crate) disorder: Vec<String>,
    /// Answers to bursts, and apologies.
    pub(crate) answers: usize,
}

impl Books {
    /// Whether every text has its answer.
    pub(crate) fn whole(&self) -> bool {
        self.lost.is_empty() && self.twice.is_empty() && self.disorder.is_empty()
    }
}

/// Reads the books: each answer names the texts that it answers.
pub(crate) fn read(load: Load, sent: &[Sent]) -> Books {
    let mut to: HashMap<&str, Vec<&str>> = HashMap::new();
    for text in sent {
        to.entry(text.to()).or_default().push(text.body());
    }
    let mut books = Books::default();
    for thread in 0..load.threads {
        let peer = peer(thread);
        let answers = to.get(peer.as_str()).map(Vec::as_slice).unwrap_or_default();
        books.answers += answers.len();
        let mut next = 0;
        // Apologies since the last answer that names texts.
        let mut sorry = 0;
        for answer in answers {
            if *answer == SORRY {
                sorry += 1;
                continue;
            }
            for named in answer.trim_start_matches(ANSWER).split(' ') {
                let n: usize = named.rsplit('-').next().unwrap().parse().unwrap();
                assert_eq!(named, words(thread, n), "an answer to somebody else");
                if n < next {
                    books.twice.push(format!("{peer} {named}"));
                    continue;
                }
                // An apology answers what came before it, at least one text each.
                let skipped = n - next;
                match sorry {
                    0 if skipped > 0 => books.disorder.push(format!("{peer} {named}")),
                    _ if skipped < sorry => books.twice.push(format!("{peer} {named}, sorry")),
                    _ => {}
                }
                sorry = 0;
                next = n + 1;
            }
        }
        if load.each - next < sorry {
            books.twice.push(format!("{peer}, sorry"));
        } else if sorry == 0 {
            books.lost.extend((next..load.each).map(|n| format!("{peer} {}", words(thread, n))));
        }
    }
    books
}

/// What is not finished in the database.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Open {
    /// Runs without an outcome.
    pub(crate) runs: i64,
    /// Texts that shall leave.
    pub(crate) outbox: i64,
    /// Threads with texts that nobody handled.
    pub(crate) threads: i64,
    /// Timers, but for those of sessions that are idle.
    pub(crate) timers: i64,
}

const OPEN: &str = "SELECT (SELECT COUNT(*) FROM runs WHERE outcome IS NULL), \
                    (SELECT COUNT(*) FROM outbox WHERE status = 'queued'), \
                    (SELECT COUNT(*) FROM threads WHERE last_in > handled), \
                    (SELECT COUNT(*) FROM timers WHERE kind <> 'session')";

/// Asks PostgreSQL, or a file of SQLite.
pub(crate) async fn open(database: &str) -> Open {
    if let Some(file) = database.strip_prefix("sqlite:") {
        let database = rusqlite::Connection::open(file).unwrap();
        database.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
        let row = |row: &rusqlite::Row<'_>| {
            Ok(Open {
                runs: row.get(0)?,
                outbox: row.get(1)?,
                threads: row.get(2)?,
                timers: row.get(3)?,
            })
        };
        return database.query_row(OPEN, [], row).unwrap();
    }
    let (client, connection) =
        tokio_postgres::connect(database, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let row = client.query_one(OPEN, &[]).await.unwrap();
    Open { runs: row.get(0), outbox: row.get(1), threads: row.get(2), timers: row.get(3) }
}
