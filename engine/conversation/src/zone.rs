//! Which time zones a phone number may lie in, by its first digits.

use std::collections::HashMap;
use std::sync::OnceLock;

/// Lines of zones and prefixes.
const TABLE: &str = include_str!("zones.txt");

/// The longest prefix of the table.
const LONGEST: usize = 4;

/// The zones of a number in E.164, by their names in the IANA database; several where its prefix
/// does not tell them apart, none when it is no number or of no country that is known.
pub fn of(number: &str) -> &'static [&'static str] {
    let digits = number.strip_prefix('+').unwrap_or_default();
    let ends = (1..=LONGEST.min(digits.len())).rev();
    ends.filter_map(|end| table().get(digits.get(..end)?)).map(Vec::as_slice).next().unwrap_or(&[])
}

fn table() -> &'static HashMap<&'static str, Vec<&'static str>> {
    static READ: OnceLock<HashMap<&'static str, Vec<&'static str>>> = OnceLock::new();
    READ.get_or_init(|| {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
        let lines = lines.filter_map(|line| line.split_once(": "));
        let all = lines.flat_map(|(zones, prefixes)| {
            let zones: Vec<_> = zones.split(' ').collect();
            prefixes.split(' ').map(move |prefix| (prefix, zones.clone()))
        });
        all.collect()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn a_number_belongs_to_its_longest_prefix() {
        assert_eq!(of("+12125550100"), ["America/New_York"]);
        assert_eq!(of("+13105550100"), ["America/Los_Angeles"]);
        assert_eq!(of("+493012345678"), ["Europe/Berlin"]);
        assert_eq!(of("+81312345678"), ["Asia/Tokyo"]);
        // Toll-free numbers may be anywhere in the country.
        assert_eq!(of("+18005550100").len(), 4);
        assert!(of("U4af4980629").is_empty());
        assert!(of("+").is_empty());
        assert!(of("+é").is_empty());
    }

    #[test]
    fn every_zone_of_the_table_is_one() {
        assert!(table().len() > 800);
        for zone in table().values().flatten() {
            TimeZone::get(zone).unwrap();
        }
    }
}
