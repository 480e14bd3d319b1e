//! Statements of several commits with the same words are carried out as one.
//!
//! Commits of one lane touch the same rows, so they go in rounds, one of a lane in each. Within a
//! round, commits that say the same words in the same order are carried out side by side: all of
//! their first statements as one, all of their second ones, and so on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use deadpool_postgres::Object;
use futures_util::future::try_join_all;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::many::{Many, many};
use super::{record, record_but_last};
use crate::statement::{Cell, Record, Statement};

/// A commit: its lane, and what it does.
pub(super) type Commit<'a> = (&'a str, &'a [Statement]);

/// Statements with the same words, each with the place of its commit.
type Joint<'a> = Vec<(usize, &'a Statement)>;

/// The forms for many that were asked for, by their words and whether they must touch a row.
#[derive(Clone, Default)]
pub(super) struct Forms(Arc<Mutex<Known>>);
type Known = HashMap<(String, bool), Option<Arc<Many>>>;

impl Forms {
    fn of(&self, statement: &Statement, kinds: &[Type]) -> Option<Arc<Many>> {
        let must = statement.must.is_some();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let form = known
            .entry((statement.sql.to_string(), must))
            .or_insert_with(|| many(&statement.sql, kinds, must).map(Arc::new));
        form.clone()
    }
}

/// What is carried out as one, in order.
pub(super) fn plan<'a>(commits: &[Commit<'a>]) -> Vec<Joint<'a>> {
    let mut rounds: Vec<Vec<usize>> = Vec::new();
    let mut turns: HashMap<&str, usize> = HashMap::new();
    for (at, (lane, _)) in commits.iter().enumerate() {
        let turn = turns.entry(lane).or_default();
        if rounds.len() == *turn {
            rounds.push(Vec::new());
        }
        rounds[*turn].push(at);
        *turn += 1;
    }
    let mut plan = Vec::new();
    for round in rounds {
        let mut alike: Vec<Vec<usize>> = Vec::new();
        let mut shapes: HashMap<Vec<&str>, usize> = HashMap::new();
        for at in round {
            let shape = commits[at].1.iter().map(|statement| &*statement.sql).collect();
            let next = alike.len();
            let place = *shapes.entry(shape).or_insert(next);
            if place == next {
                alike.push(Vec::new());
            }
            alike[place].push(at);
        }
        for same in alike {
            let length = same.first().map_or(0, |at| commits[*at].1.len());
            plan.extend(
                (0..length)
                    .map(|step| same.iter().map(|at| (*at, &commits[*at].1[step])).collect()),
            );
        }
    }
    plan
}

/// A prepared request to the server.
pub(super) struct Call<'a> {
    prepared: tokio_postgres::Statement,
    /// For how many it speaks; `None` = for one.
    many: Option<Arc<Many>>,
    pub(super) parts: Joint<'a>,
}

/// What one statement did.
pub(super) struct Done {
    /// The place of its commit.
    pub(super) at: usize,
    /// Rows that it touched; for one of many that returns none, not known and told as 1.
    pub(super) rows: u64,
    pub(super) records: Vec<Record>,
}

/// Prepares what is carried out as one, and what must be carried out alone.
pub(super) async fn prepare<'a>(
    client: &Object,
    forms: &Forms,
    plan: Vec<Joint<'a>>,
) -> Result<Vec<Call<'a>>, tokio_postgres::Error> {
    let calls = plan.into_iter().map(|parts| async move {
        let [first, others @ ..] = &*parts else { return Ok(Vec::new()) };
        let prepared = client.prepare_cached(&first.1.sql).await?;
        let mut form = None;
        if !others.is_empty() && !repeats(&parts) {
            form = forms.of(first.1, prepared.params());
        }
        let Some(form) = form else {
            let alone = |part| Call { prepared: prepared.clone(), many: None, parts: vec![part] };
            return Ok(parts.into_iter().map(alone).collect());
        };
        let prepared = client.prepare_cached(&form.sql).await?;
        Ok(vec![Call { prepared, many: Some(form), parts }])
    });
    Ok(try_join_all(calls).await?.into_iter().flatten().collect())
}

/// Whether two of them have the same first value: then what is returned does not tell them apart,
/// and one of them may even touch what the other has just made.
fn repeats(parts: &Joint<'_>) -> bool {
    let mut seen = std::collections::HashSet::new();
    parts[0].1.sql.starts_with("INSERT")
        && parts.iter().any(|(_, statement)| match statement.cells.first() {
            Some(Cell::Text(key)) => !seen.insert(key),
            _ => true,
        })
}

impl Call<'_> {
    /// Carries it out; what each of its statements did.
    pub(super) async fn carry_out(
        &self,
        client: &Object,
    ) -> Result<Vec<Done>, tokio_postgres::Error> {
        let lock = self.parts.iter().any(|(_, statement)| statement.lock);
        let silent = self.prepared.columns().is_empty() || lock;
        let Some(many) = &self.many else {
            let Some((at, statement)) = self.parts.first() else { return Ok(Vec::new()) };
            let cells: Vec<&(dyn ToSql + Sync)> =
                statement.cells.iter().map(|cell| cell as &(dyn ToSql + Sync)).collect();
            if silent {
                let rows = client.execute(&self.prepared, &cells).await?;
                return Ok(vec![Done { at: *at, rows, records: Vec::new() }]);
            }
            let rows = client.query(&self.prepared, &cells).await?;
            let records = rows.iter().map(record).collect::<Result<Vec<_>, _>>()?;
            return Ok(vec![Done { at: *at, rows: records.len() as u64, records }]);
        };
        let columns: Vec<Column<'_>> =
            many.kinds.iter().enumerate().map(|(n, kind)| self.column(n, kind)).collect();
        let cells: Vec<&(dyn ToSql + Sync)> = columns.iter().map(Column::as_sql).collect();
        let done = |at| Done { at, rows: 0, records: Vec::new() };
        let mut done: Vec<Done> = self.parts.iter().map(|(at, _)| done(*at)).collect();
        if silent {
            client.execute(&self.prepared, &cells).await?;
            done.iter_mut().for_each(|done| done.rows = 1);
            return Ok(done);
        }
        let asked = self.parts.first().is_some_and(|(_, statement)| statement.returns());
        for row in client.query(&self.prepared, &cells).await? {
            let Some(place) = self.place(many, &row)? else { continue };
            done[place].rows += 1;
            if asked {
                let read = if many.numbered { record_but_last(&row) } else { record(&row) };
                done[place].records.push(read?);
            }
        }
        Ok(done)
    }

    /// Which of the statements a row is about.
    fn place(&self, many: &Many, row: &Row) -> Result<Option<usize>, tokio_postgres::Error> {
        if many.numbered {
            let number: i64 = row.try_get(row.len() - 1)?;
            let place = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
            return Ok(place.filter(|place| *place < self.parts.len()));
        }
        let key: &str = row.try_get(0)?;
        let is = |part: &(usize, &Statement)| {
            part.1.cells.first().is_some_and(|cell| matches!(cell, Cell::Text(text) if text == key))
        };
        Ok(self.parts.iter().position(is))
    }

    /// The `n`th values of all statements.
    fn column(&self, n: usize, kind: &Type) -> Column<'_> {
        let cells = self.parts.iter().map(|(_, statement)| statement.cells.get(n));
        match *kind {
            Type::INT8 | Type::INT4 => Column::Ints(
                cells
                    .map(|cell| if let Some(Cell::Int(i)) = cell { Some(*i) } else { None })
                    .collect(),
            ),
            Type::BOOL => Column::Flags(
                cells
                    .map(|cell| if let Some(Cell::Flag(f)) = cell { Some(*f) } else { None })
                    .collect(),
            ),
            _ => Column::Texts(
                cells
                    .map(|cell| if let Some(Cell::Text(t)) = cell { Some(&**t) } else { None })
                    .collect(),
            ),
        }
    }
}

/// Values of one kind.
enum Column<'a> {
    Texts(Vec<Option<&'a str>>),
    Ints(Vec<Option<i64>>),
    Flags(Vec<Option<bool>>),
}

impl Column<'_> {
    fn as_sql(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Texts(column) => column,
            Self::Ints(column) => column,
            Self::Flags(column) => column,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(words: &[&'static str]) -> Vec<Statement> {
        words.iter().map(|sql| Statement::new(*sql, Vec::new())).collect()
    }

    #[test]
    fn commits_of_a_lane_keep_their_order_and_those_of_others_go_together() {
        let all = [commit(&["a", "b"]), commit(&["a", "b"]), commit(&["a", "b"]), commit(&["c"])];
        let lanes = ["x", "x", "y", "z"];
        let commits: Vec<Commit<'_>> =
            lanes.into_iter().zip(all.iter().map(Vec::as_slice)).collect();
        let told: Vec<Vec<(usize, &str)>> = plan(&commits)
            .iter()
            .map(|joint| joint.iter().map(|(at, statement)| (*at, &*statement.sql)).collect())
            .collect();
        assert_eq!(
            told,
            [
                vec![(0, "a"), (2, "a")],
                vec![(0, "b"), (2, "b")],
                vec![(3, "c")],
                vec![(1, "a")],
                vec![(1, "b")],
            ]
        );
    }
}
