//! The binary `voxflow`: reads settings, wires vendors and carriers to the engine, starts.
//!
//! Read in this order: this file (the command line) → [`settings`] and [`sources`] (what can be
//! set, and where) → [`validate`] (flows checked).

mod schema;
mod settings;
mod sources;
mod validate;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Runs JSON flows of actions for phone calls and text conversations.
#[derive(Parser)]
#[command(name = "voxflow", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check flows: every finding of every file. Exit code 0 clean, 1 errors, 2 could not run
    Validate {
        /// Flow files, or folders of them
        #[arg(required = true, value_name = "FILE|DIR")]
        paths: Vec<PathBuf>,
        /// What the flows are for
        #[arg(long = "for", value_name = "MEDIUM", default_value = "both")]
        medium: validate::For,
        /// Warnings are errors
        #[arg(long)]
        strict: bool,
        /// How to tell
        #[arg(long, default_value = "human")]
        format: validate::Format,
    },
    /// Print a JSON schema; without a name, list the names
    Schema {
        /// Such as `settings`, `flow`, `actions/talk`
        name: Option<String>,
    },
    /// Print what completes this command line in a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Exit code of a command that could not do its work at all.
const COULD_NOT_RUN: u8 = 2;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Validate { paths, medium, strict, format } => {
            validate(&paths, medium, strict, format)
        }
        Command::Schema { name } => schema(name.as_deref()),
        Command::Completions { shell } => {
            let mut out = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "voxflow", &mut out);
            print(&String::from_utf8_lossy(&out)).map(|()| ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|why| {
        // Nothing is left to be done when even this cannot be told.
        let _ = writeln!(std::io::stderr(), "voxflow: {why}");
        ExitCode::from(COULD_NOT_RUN)
    })
}

/// Writes to the standard output. A reader that has gone (`| head`) is no error.
fn print(text: &str) -> Result<(), String> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// JSON for scripts, with a line's end.
fn print_json(value: &serde_json::Value) -> Result<(), String> {
    print(&format!("{value:#}\n"))
}

fn validate(
    paths: &[PathBuf],
    medium: validate::For,
    strict: bool,
    format: validate::Format,
) -> Result<ExitCode, String> {
    let checked = validate::check(paths, actions::ALL, medium)?;
    match format {
        validate::Format::Human => {
            let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            print(&validate::human(&checked, colours))?;
        }
        validate::Format::Json => print_json(&validate::json(&checked))?,
        validate::Format::Sarif => print_json(&validate::sarif(&checked))?,
    }
    Ok(if validate::clean(&checked, strict) { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn schema(name: Option<&str>) -> Result<ExitCode, String> {
    let all = schema::all();
    match name {
        None => {
            let names: String = all.keys().map(|name| format!("{name}\n")).collect();
            print(&names)?;
        }
        Some(name) => {
            let schema = all.get(name).ok_or_else(|| {
                format!("no schema is called `{name}`; `voxflow schema` lists them")
            })?;
            print_json(schema)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
