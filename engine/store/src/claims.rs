//! What refuses a text that we have already, in SQL.

use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};

use crate::Error;
use crate::change::earlier;
pub(crate) use crate::row::HASH_CLAIM;
use crate::statement::{Statement, text, time};

/// Carriers give up on a text within a day; two are safe.
pub(crate) const CLAIM_LIFE: SignedDuration = SignedDuration::from_hours(48);
/// Carriers that give no id repeat a webhook within seconds; a person who writes the same again
/// takes longer.
const HASH_CLAIM_LIFE: SignedDuration = SignedDuration::from_secs(4);

/// Claims a text for a while; touches nothing when it is claimed.
static CLAIM: LazyLock<String> = LazyLock::new(|| claim(CLAIM_LIFE));
static CLAIM_HASH: LazyLock<String> = LazyLock::new(|| claim(HASH_CLAIM_LIFE));

fn claim(life: SignedDuration) -> String {
    format!(
        "INSERT INTO claims (thread, claim, at) VALUES ($1, $2, $3) \
         ON CONFLICT (thread, claim) DO UPDATE SET at = excluded.at \
         WHERE claims.at < excluded.at - {}",
        life.as_micros()
    )
}

/// Claims a text.
pub(crate) fn take(thread: &str, claim: &str, at: Timestamp) -> Statement {
    let sql = if claim.starts_with(HASH_CLAIM) { &CLAIM_HASH } else { &CLAIM };
    let cells = vec![text(whose(thread, claim)), text(claim), time(at)];
    Statement::new(&**sql, cells).or(Error::Duplicate)
}

/// In whose name a text is claimed: those that bring no id are apart from the others of a thread.
pub(crate) fn whose(thread: &str, claim: &str) -> String {
    if claim.starts_with(HASH_CLAIM) { format!("{HASH_CLAIM}{thread}") } else { thread.to_owned() }
}

/// Throws away what refuses no text any more, as of `now`.
pub(crate) fn purge(now: Timestamp, all: &mut Vec<Statement>) {
    let old = time(earlier(now, CLAIM_LIFE));
    all.push(Statement::new("DELETE FROM claims WHERE at < $1", vec![old.clone()]));
    all.push(Statement::new("DELETE FROM receipts WHERE at < $1", vec![old]));
}
