//! Which variables an expression reads, found in its text.

/// A variable that an expression reads.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Root {
    /// Its first word.
    pub(super) name: String,
    /// The dotted paths below it that are read; an empty one = all of it.
    pub(super) paths: Vec<Vec<String>>,
}

/// The variables that an expression may read. Finding one too many does no harm: it is looked up
/// and not used.
pub(super) fn roots(text: &str) -> Vec<Root> {
    const WORDS: [&str; 12] =
        ["true", "false", "if", "else", "switch", "in", "is", "let", "const", "and", "or", "not"];
    let mut roots: Vec<Root> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first.is_ascii_alphabetic() || first == '_' {
            let (path, after) = chain(rest);
            rest = after;
            let Some((name, path)) = path.split_first() else { continue };
            if WORDS.contains(&name.as_str()) {
                continue;
            }
            match roots.iter_mut().find(|root| root.name == *name) {
                Some(root) => root.paths.push(path.to_vec()),
                None => roots.push(Root { name: name.clone(), paths: vec![path.to_vec()] }),
            }
            continue;
        }
        rest = match first {
            '"' => quoted(rest),
            '\'' => rest[1..].find('\'').map_or("", |end| &rest[end + 2..]),
            '/' if rest.starts_with("//") => rest.find('\n').map_or("", |end| &rest[end..]),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or("", |end| &rest[end + 2..]),
            '0'..='9' => rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_'),
            // A property of something that is not a variable, such as `(a + b).len`.
            '.' if rest[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') => {
                word(&rest[1..]).1
            }
            _ => &rest[first.len_utf8()..],
        };
    }
    roots
}

/// What follows a quoted string.
fn quoted(text: &str) -> &str {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return &text[at + 1..],
            _ => {}
        }
    }
    ""
}

fn word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    text.split_at(end)
}

/// The path `a.b.c` at the start of a text, without a called function, and what follows.
fn chain(text: &str) -> (Vec<String>, &str) {
    let mut path = Vec::new();
    let mut rest = text;
    loop {
        let (name, after) = word(rest);
        let next = after.trim_start();
        if next.starts_with('(') {
            return (path, after);
        }
        path.push(name.to_string());
        let Some(inner) = next.strip_prefix('.').or_else(|| next.strip_prefix("?.")) else {
            return (path, after);
        };
        if !inner.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            return (path, after);
        }
        rest = inner;
    }
}
