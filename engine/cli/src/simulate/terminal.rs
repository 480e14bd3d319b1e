//! Lines in and out: from a person who may edit, complete and repeat them, or from a pipe.

use std::io::{BufRead as _, IsTerminal as _};

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{Config, Context, Editor, Helper};

use super::Simulation;
use crate::print;

/// Before what is typed.
const PROMPT: &str = "> ";

/// Plays until it is over, or no line comes any more.
///
/// # Errors
/// The terminal is not one, or nothing can be written.
pub(super) fn play(mut simulation: Simulation) -> Result<(), String> {
    let piped = !std::io::stdin().is_terminal();
    simulation.hints = !piped;
    print(&simulation.opening())?;
    if piped { pipe(simulation) } else { person(simulation) }
}

/// Each line is shown before what it leads to, so that what is written can be read alone.
fn pipe(mut simulation: Simulation) -> Result<(), String> {
    let mut lines = std::io::stdin().lock();
    let mut bytes = Vec::new();
    while !simulation.over() {
        bytes.clear();
        let read = lines.read_until(b'\n', &mut bytes).map_err(|error| error.to_string())?;
        if read == 0 {
            return Ok(());
        }
        let line = String::from_utf8_lossy(&bytes);
        let line = line.trim_end_matches(['\r', '\n']);
        print(&format!("{PROMPT}{line}\n{}", simulation.hear(line)))?;
    }
    Ok(())
}

fn person(mut simulation: Simulation) -> Result<(), String> {
    let told = |error: ReadlineError| format!("the terminal does not answer: {error}");
    let config = Config::builder().auto_add_history(true).build();
    let mut editor: Editor<Words, MemHistory> =
        Editor::with_history(config, MemHistory::new()).map_err(told)?;
    while !simulation.over() {
        editor.set_helper(Some(Words(simulation.words())));
        match editor.readline(PROMPT) {
            Ok(line) => print(&simulation.hear(&line))?,
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => return Ok(()),
            Err(error) => return Err(told(error)),
        }
    }
    Ok(())
}

/// What can be typed, for the key that completes.
struct Words(Vec<String>);

impl Completer for Words {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = line.get(..at).unwrap_or_default();
        if !typed.starts_with('/') {
            return Ok((at, Vec::new()));
        }
        Ok((0, self.0.iter().filter(|word| word.starts_with(typed)).cloned().collect()))
    }
}

impl Hinter for Words {
    type Hint = String;
}

impl Highlighter for Words {}
impl Validator for Words {}
impl Helper for Words {}
