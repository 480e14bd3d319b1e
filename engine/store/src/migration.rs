//! The tables, version by version. A version that was published is never edited: the next one
//! changes it.

use crate::Error;

/// One step from one version of the tables to the next.
pub(crate) struct Migration {
    /// The version that it leads to.
    pub(crate) number: i64,
    /// What it does.
    pub(crate) sql: &'static str,
}

/// For SQLite.
pub(crate) const SQLITE: &[Migration] = &[
    Migration { number: 1, sql: include_str!("../migrations/sqlite/0001_start.sql") },
    Migration { number: 2, sql: include_str!("../migrations/sqlite/0002_unsure.sql") },
    Migration { number: 3, sql: include_str!("../migrations/sqlite/0003_outside.sql") },
    Migration { number: 4, sql: include_str!("../migrations/sqlite/0004_hands.sql") },
    Migration { number: 5, sql: include_str!("../migrations/sqlite/0005_trace.sql") },
    Migration { number: 6, sql: include_str!("../migrations/sqlite/0006_fewer_indexes.sql") },
    Migration { number: 7, sql: include_str!("../migrations/sqlite/0007_hands_off.sql") },
    Migration { number: 8, sql: include_str!("../migrations/sqlite/0008_texts_of_a_run.sql") },
    Migration { number: 9, sql: include_str!("../migrations/sqlite/0009_live.sql") },
    Migration { number: 10, sql: include_str!("../migrations/sqlite/0010_lanes.sql") },
    Migration { number: 11, sql: include_str!("../migrations/sqlite/0011_back.sql") },
    Migration { number: 12, sql: include_str!("../migrations/sqlite/0012_turns.sql") },
    Migration { number: 13, sql: include_str!("../migrations/sqlite/0013_addresses.sql") },
    Migration { number: 14, sql: include_str!("../migrations/sqlite/0014_settled.sql") },
    Migration { number: 15, sql: include_str!("../migrations/sqlite/0015_refused.sql") },
];

/// For PostgreSQL.
pub(crate) const POSTGRES: &[Migration] = &[
    Migration { number: 1, sql: include_str!("../migrations/postgres/0001_start.sql") },
    Migration { number: 2, sql: include_str!("../migrations/postgres/0002_unsure.sql") },
    Migration { number: 3, sql: include_str!("../migrations/postgres/0003_outside.sql") },
    Migration { number: 4, sql: include_str!("../migrations/postgres/0004_hands.sql") },
    Migration { number: 5, sql: include_str!("../migrations/postgres/0005_trace.sql") },
    Migration { number: 6, sql: include_str!("../migrations/postgres/0006_fewer_indexes.sql") },
    Migration { number: 7, sql: include_str!("../migrations/postgres/0007_hands_off.sql") },
    Migration { number: 8, sql: include_str!("../migrations/postgres/0008_texts_of_a_run.sql") },
    Migration { number: 9, sql: include_str!("../migrations/postgres/0009_live.sql") },
    Migration { number: 10, sql: include_str!("../migrations/postgres/0010_lanes.sql") },
    Migration { number: 11, sql: include_str!("../migrations/postgres/0011_back.sql") },
    Migration { number: 12, sql: include_str!("../migrations/postgres/0012_turns.sql") },
    Migration { number: 13, sql: include_str!("../migrations/postgres/0013_addresses.sql") },
    Migration { number: 14, sql: include_str!("../migrations/postgres/0014_settled.sql") },
    Migration { number: 15, sql: include_str!("../migrations/postgres/0015_refused.sql") },
];

/// Where the version is kept.
pub(crate) const TABLE: &str =
    "CREATE TABLE IF NOT EXISTS voxflow_version (number BIGINT PRIMARY KEY)";
/// Asks for the version.
pub(crate) const VERSION: &str = "SELECT MAX(number) FROM voxflow_version";
/// Notes a step.
pub(crate) const DONE: &str = "INSERT INTO voxflow_version (number) VALUES ($1)";

/// The steps that a database at this version has before it.
pub(crate) fn missing(
    all: &'static [Migration],
    version: Option<i64>,
) -> Result<impl Iterator<Item = &'static Migration>, Error> {
    let version = version.unwrap_or(0);
    let newest = all.last().map_or(0, |m| m.number);
    if version > newest {
        return Err(Error::Unavailable(format!(
            "its tables have version {version}, made by a newer voxflow; this one knows {newest}"
        )));
    }
    Ok(all.iter().filter(move |m| m.number > version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_up_from_one_in_both_dialects() {
        for all in [SQLITE, POSTGRES] {
            let numbers: Vec<i64> = all.iter().map(|m| m.number).collect();
            assert_eq!(numbers, (1..=numbers.len() as i64).collect::<Vec<_>>());
        }
        assert_eq!(SQLITE.len(), POSTGRES.len());
    }

    #[test]
    fn tables_of_a_newer_voxflow_are_refused() {
        let Err(Error::Unavailable(why)) = missing(SQLITE, Some(99)).map(|_| ()) else {
            panic!("accepted");
        };
        assert!(why.contains("newer voxflow"), "{why}");
    }
}
