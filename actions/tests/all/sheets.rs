//! Sheets of flows, broken ones and good ones: which rule is broken on which line, nothing more and
//! nothing less.
//!
//! A flow begins at `=== name`, behind whose `|` stand what it is for (`for call`, `for text`) and how its
//! text is kept (`crlf`, `bom`). Of a broken one the codes and lines follow, then `---`.

use flow::{Linking, Needs, link};

struct Sheet<'a> {
    name: &'a str,
    expected: Vec<&'a str>,
    text: String,
}

fn flows(sheets: &str) -> Vec<Sheet<'_>> {
    let each = sheets.split("\n=== ").skip(1);
    each.map(|sheet| {
        let (name, rest) = sheet.split_once('\n').unwrap();
        let kept = name.split_once('|').map_or("", |(_, kept)| kept);
        let (expected, text) = rest.split_once("---\n").unwrap_or(("", rest));
        let mut text = text.strip_suffix('\n').unwrap_or(text).to_owned();
        if kept.contains("crlf") {
            text = text.replace('\n', "\r\n");
        }
        if kept.contains("bom") {
            text.insert(0, '\u{feff}');
        }
        let expected = expected.lines().filter(|line| !line.is_empty()).collect();
        Sheet { name, expected, text }
    })
    .collect()
}

fn check(sheets: &str, at_least: usize) {
    let sheets = flows(sheets);
    assert!(sheets.len() >= at_least, "{} flows", sheets.len());
    let mut wrong = String::new();
    for Sheet { name, expected, text } in sheets {
        let medium = match name.split_once('|') {
            Some((_, kept)) if kept.contains("for call") => Needs::Call,
            Some((_, kept)) if kept.contains("for text") => Needs::Text,
            _ => Needs::Nothing,
        };
        let found = match link(&text, Linking { catalog: actions::ALL, medium }) {
            Ok((_, warnings)) => warnings,
            Err(all) => all,
        };
        let places: Vec<String> =
            found.iter().map(|one| format!("{} {}", one.code, one.line)).collect();
        if places != expected {
            wrong += &format!("\n=== {name}\nexpected {expected:?}\nfound\n");
            for one in found {
                wrong += &format!("    {one}\n");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn broken_flows_are_told_what_is_wrong_and_where() {
    check(include_str!("broken.txt"), 60);
}

#[test]
fn good_flows_are_told_nothing() {
    check(include_str!("good.txt"), 60);
}

/// What a sheet cannot hold.
#[test]
fn large_and_deep_documents_end_in_words() {
    let linking = Linking { catalog: actions::ALL, medium: Needs::Nothing };
    let codes = |text: &str| -> Vec<&str> {
        match link(text, linking) {
            Ok((_, found)) => found.iter().map(|one| one.code).collect(),
            Err(found) => found.iter().map(|one| one.code).collect(),
        }
    };
    let sleep = r#"{ "type": "sleep", "option": { "duration_s": 1 } },"#;
    let thousand = format!("[{}{{ \"type\": \"stop\" }}]", sleep.repeat(1000));
    assert_eq!(codes(&thousand), [""; 0]);
    let broken = format!("[{}{{ \"type\": \"stpo\" }}]", sleep.repeat(1000));
    assert_eq!(codes(&broken), ["F001"]);
    let all_broken = format!(
        "[{}{{ \"type\": \"stop\" }}]",
        sleep.replace("duration_s", "duraton_s").repeat(1000)
    );
    assert_eq!(codes(&all_broken).len(), 2000);
    let large = format!("[{}{{ \"type\": \"stop\" }}]", " ".repeat(2 * 1024 * 1024));
    assert_eq!(codes(&large), ["F009"]);
    for depth in [50, 500, 100_000] {
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(!codes(&deep).is_empty(), "{depth}");
        let set = format!(
            r#"[{{ "type": "set_variables", "option": {{ "values": {{ "x": {deep} }} }} }}]"#
        );
        let _ = codes(&set);
    }
}
