//! SQL with its values, in the words that both databases understand.
//!
//! Every statement is written once: values are `$1`, `$2` and so on, and `FOR UPDATE SKIP LOCKED`
//! falls away where one writer needs no locks. What differs between the databases is how they are
//! reached and how they group commits, and that is all that their files hold.

use std::borrow::Cow;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    Null,
    Text(String),
    Int(i64),
    Flag(bool),
}

/// One statement of a transaction.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) sql: Cow<'static, str>,
    pub(crate) cells: Vec<Cell>,
    /// It must touch a row; otherwise the whole transaction is undone with this error. A broken
    /// unique index is reported as the same.
    pub(crate) must: Option<Error>,
    /// Only where there are several writers; SQLite passes it over.
    pub(crate) lock: bool,
    /// It asks for the rows of one key, so that several of its kind may be asked as one.
    pub(crate) keyed: bool,
}

impl Statement {
    pub(crate) fn new(sql: impl Into<Cow<'static, str>>, cells: Vec<Cell>) -> Self {
        Self { sql: sql.into(), cells, must: None, lock: false, keyed: false }
    }

    pub(crate) fn or(self, error: Error) -> Self {
        Self { must: Some(error), ..self }
    }

    /// Whether it tells rows.
    pub(crate) fn returns(&self) -> bool {
        self.sql.starts_with("SELECT") || self.sql.contains(" RETURNING ")
    }

    pub(crate) fn lock(sql: &'static str, cells: Vec<Cell>) -> Self {
        Self { lock: true, ..Self::new(sql, cells) }
    }
}

/// A database: carries statements out, knows nothing of what they mean.
#[async_trait]
pub(crate) trait Database: Send + Sync {
    /// Asks for the time, in microseconds since 1970, where several processes of several machines may
    /// use it.
    const TIME: Option<&'static str>;

    /// All statements in one transaction, durable when this returns, or none of them. The rows
    /// that they returned, in order. Happens to its end even when nobody waits for it any more.
    /// Commits of one lane touch the same rows; a database may carry out those of several lanes
    /// side by side.
    async fn write(&self, lane: &str, statements: Vec<Statement>) -> Result<Vec<Record>, Error>;

    /// The rows of one query.
    async fn read(&self, query: Statement) -> Result<Vec<Record>, Error>;
}

/// A row of an answer, read from left to right.
#[derive(Debug)]
pub(crate) struct Record(std::vec::IntoIter<Cell>);

impl Record {
    pub(crate) fn new(cells: Vec<Cell>) -> Self {
        Self(cells.into_iter())
    }

    pub(crate) fn text(&mut self) -> Result<String, Error> {
        self.maybe_text()?.ok_or_else(|| unreadable("nothing where a text should be"))
    }

    pub(crate) fn maybe_text(&mut self) -> Result<Option<String>, Error> {
        match self.0.next() {
            Some(Cell::Text(text)) => Ok(Some(text)),
            Some(Cell::Null) => Ok(None),
            other => Err(unreadable(format!("{other:?} where a text should be"))),
        }
    }

    pub(crate) fn int(&mut self) -> Result<i64, Error> {
        match self.0.next() {
            Some(Cell::Int(int)) => Ok(int),
            other => Err(unreadable(format!("{other:?} where a number should be"))),
        }
    }

    pub(crate) fn flag(&mut self) -> Result<bool, Error> {
        match self.0.next() {
            Some(Cell::Flag(flag)) => Ok(flag),
            // SQLite has no booleans.
            Some(Cell::Int(int)) => Ok(int != 0),
            other => Err(unreadable(format!("{other:?} where a boolean should be"))),
        }
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, Error> {
        self.maybe_time()?.ok_or_else(|| unreadable("nothing where a time should be"))
    }

    pub(crate) fn maybe_time(&mut self) -> Result<Option<Timestamp>, Error> {
        match self.0.next() {
            Some(Cell::Int(us)) => Timestamp::from_microsecond(us).map(Some).map_err(unreadable),
            Some(Cell::Null) => Ok(None),
            other => Err(unreadable(format!("{other:?} where a time should be"))),
        }
    }

    pub(crate) fn json<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        serde_json::from_str(&self.text()?).map_err(unreadable)
    }

    pub(crate) fn maybe_json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Error> {
        self.maybe_text()?.map(|text| serde_json::from_str(&text).map_err(unreadable)).transpose()
    }

    /// A unit variant, kept by its name.
    pub(crate) fn word<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        serde_json::from_value(self.text()?.into()).map_err(unreadable)
    }
}

/// A text. PostgreSQL keeps no NUL, and nobody misses it in a text.
pub(crate) fn text(text: impl Into<String>) -> Cell {
    let text = text.into();
    if text.contains('\0') { Cell::Text(text.replace('\0', "\u{fffd}")) } else { Cell::Text(text) }
}

pub(crate) fn maybe_text(maybe: Option<String>) -> Cell {
    maybe.map_or(Cell::Null, text)
}

/// A time, to the microsecond.
pub(crate) fn time(time: Timestamp) -> Cell {
    Cell::Int(time.as_microsecond())
}

pub(crate) fn maybe_time(maybe: Option<Timestamp>) -> Cell {
    maybe.map_or(Cell::Null, time)
}

pub(crate) fn json(value: &impl Serialize) -> Result<Cell, Error> {
    serde_json::to_string(value).map(Cell::Text).map_err(unreadable)
}

pub(crate) fn maybe_json(maybe: Option<&impl Serialize>) -> Result<Cell, Error> {
    maybe.map_or(Ok(Cell::Null), json)
}

/// A unit variant, kept by its name.
pub(crate) fn word(value: &impl Serialize) -> Result<Cell, Error> {
    match serde_json::to_value(value).map_err(unreadable)? {
        serde_json::Value::String(word) => Ok(Cell::Text(word)),
        other => Err(unreadable(format!("`{other}` where a word should be"))),
    }
}

fn unreadable(why: impl std::fmt::Display) -> Error {
    Error::Unavailable(format!("a row cannot be read or written: {why}"))
}
