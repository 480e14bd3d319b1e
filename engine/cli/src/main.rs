//! The binary `voxflow`: reads settings, wires vendors and carriers to the engine, starts.
//!
//! Read in this order: this file (the command line) → [`settings`] and [`sources`] (what can be
//! set, and where) → [`wire`] (the house put together) with [`numbers`], [`neighbours`], [`library`], [`web`] (both
//! behind [`guard`]), [`mail`] and [`log`] → [`serve`] and [`demo`] (it runs) → [`validate`] with
//! [`budget`], [`play`], [`simulate`], [`runs`], [`export`], [`dead`], [`bench`] and [`schema`]
//! (the desk).

mod bench;
mod budget;
mod carriers;
mod catalog;
mod dead;
mod demo;
mod export;
mod files;
mod fmt;
mod guard;
mod library;
mod log;
mod mail;
mod neighbours;
mod numbers;
mod play;
mod runs;
mod schema;
mod serve;
mod settings;
mod simulate;
mod sources;
mod traces;
mod validate;
mod web;
mod wire;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

/// Rows, jobs and their JSON are many small pieces that another thread frees: the system's own
/// allocator took a third of this process's time under load. Without huge pages (`no_thp`), which make
/// steps of 2 MiB of what a call takes: 280 KB for 305, and 15 MB less for a process at rest.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs JSON flows of actions for phone calls and text conversations.
#[derive(Parser)]
#[command(name = "voxflow", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the example flows without any setting, and print how to text and call them
    Demo,
    /// Serve the numbers of the settings
    Serve {
        /// The settings; `voxflow.toml` is read when it is there
        #[arg(long, value_name = "FILE", env = "VOXFLOW_CONFIG")]
        config: Option<PathBuf>,
        /// What this process does
        #[arg(long, default_value = "all")]
        role: Role,
    },
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
        /// Tell the most that a run can do, too: actions, waiting, segments, turns of a model
        #[arg(long)]
        budget: bool,
        /// How to tell
        #[arg(long, default_value = "human")]
        format: validate::Format,
    },
    /// Play a flow in the terminal, as the caller or the texter. Exit code 0 when it ended, or the
    /// input did; 2 could not run
    Simulate {
        /// The flow's file
        flow: PathBuf,
        /// What it is played as; without it, what the flow is for
        #[arg(long = "for", value_name = "MEDIUM")]
        medium: Option<play::scenario::Playing>,
        /// A variable that is given; the value is JSON, else text
        #[arg(long, value_name = "NAME=VALUE")]
        set: Vec<String>,
        /// When it begins, such as 2026-11-20T20:00:00Z; without it, now
        #[arg(long, value_name = "TIME")]
        now: Option<jiff::Timestamp>,
    },
    /// Put flows into their canonical form: today's names, one layout; an older dialect written
    /// out. What a flow does stays. Exit code 0 done, 1 some could not be, or would change under
    /// `--check`, 2 could not run
    Fmt {
        /// Flow files, or folders of them; `-` reads one and prints it
        #[arg(required = true, value_name = "FILE|DIR|-")]
        paths: Vec<PathBuf>,
        /// Change nothing; name the files that would be
        #[arg(long)]
        check: bool,
    },
    /// Play scenarios in virtual time. Exit code 0 all passed, 1 some failed, 2 could not run
    Test {
        /// Scenario files, or folders of them
        #[arg(default_value = "flows", value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Tell which actions and exits no scenario took
        #[arg(long)]
        coverage: bool,
        /// Fail when fewer ways were taken, in percent
        #[arg(long, value_name = "PERCENT")]
        min: Option<f64>,
        /// How to tell
        #[arg(long, default_value = "human")]
        format: play::Format,
    },
    /// Tell what a finding means and how to mend it
    Explain {
        /// Such as F003
        code: String,
    },
    /// Look at what ran
    #[command(subcommand)]
    Runs(Runs),
    /// Look at the queue
    #[command(subcommand)]
    Queue(Queue),
    /// Measure this machine
    #[command(subcommand)]
    Bench(Bench),
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

#[derive(Subcommand)]
enum Queue {
    /// Jobs that were given up
    #[command(subcommand)]
    Dead(Dead),
}

#[derive(Subcommand)]
enum Dead {
    /// The oldest of them, and why
    List {
        #[command(flatten)]
        kept: Kept,
        /// How to tell
        #[arg(long, default_value = "human")]
        format: runs::Format,
        /// At most so many
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Put the oldest of them among the others again
    Replay {
        #[command(flatten)]
        kept: Kept,
        /// At most so many
        #[arg(long, default_value_t = 1000)]
        limit: u32,
    },
}

#[derive(Subcommand)]
enum Bench {
    /// Texts received, worked and answered, and what broker and database could do at best
    Texts {
        #[command(flatten)]
        place: bench::Where,
        /// So many texts
        #[arg(long, default_value_t = 20_000)]
        texts: usize,
        /// In so many threads
        #[arg(long, default_value_t = 500)]
        threads: usize,
        /// Instead: so many sessions that sleep, of which 10,000 expire. Empties the tables of
        /// that database first
        #[arg(long, value_name = "SESSIONS")]
        idle: Option<u64>,
    },
    /// Calls in conversation at once, in real time: what the engine adds to an answer, how soon it
    /// stops when it is spoken over, frames that are late, processor and memory of a call
    Calls(bench::calls::Wanted),
}

#[derive(Subcommand)]
enum Runs {
    /// The newest runs
    List {
        #[command(flatten)]
        kept: Kept,
        /// How to tell
        #[arg(long, default_value = "human")]
        format: runs::Format,
        /// At most so many
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// One run: its steps, its variables, what was said
    Show {
        /// Its id, or enough of its end to know it among the newest
        id: String,
        #[command(flatten)]
        kept: Kept,
        /// How to tell
        #[arg(long, default_value = "human")]
        format: runs::Format,
    },
    /// One run as a scenario that plays it again, without what nobody else may read
    Export {
        /// Its id, or enough of its end to know it among the newest
        id: String,
        #[command(flatten)]
        kept: Kept,
        /// As a scenario for `voxflow test`: the one form that there is
        #[arg(long, required = true)]
        as_test: bool,
        /// Write it to this file; without it, it is printed
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Keep phone numbers, texts and what looks secret
        #[arg(long)]
        keep: bool,
    },
}

/// Where runs are kept.
#[derive(clap::Args)]
struct Kept {
    /// The settings that name the database; `voxflow.toml` is read when it is there
    #[arg(long, value_name = "FILE", env = "VOXFLOW_CONFIG")]
    config: Option<PathBuf>,
    /// Look into the demo's database
    #[arg(long, conflicts_with = "config")]
    demo: bool,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Carriers, work, API and console
    All,
    /// Carriers' doors with the calls behind them, API and console; others work what texts lead to
    Edge,
    /// What texts lead to: jobs, timers, texts that leave. No doors but /healthz, /readyz, /metrics
    Worker,
}

impl From<Role> for runtime::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::All => Self::All,
            Role::Edge => Self::Edge,
            Role::Worker => Self::Worker,
        }
    }
}

/// Exit code of a command that could not do its work at all.
const COULD_NOT_RUN: u8 = 2;

fn main() -> ExitCode {
    run(Cli::parse().command).unwrap_or_else(|why| {
        // Nothing is left to be done when even this cannot be told.
        let _ = writeln!(std::io::stderr(), "voxflow: {why}");
        ExitCode::from(COULD_NOT_RUN)
    })
}

fn run(command: Command) -> Result<ExitCode, String> {
    match command {
        Command::Demo => block_on(demo::demo(demo::settings()?))?,
        Command::Serve { config, role } => {
            block_on(serve::serve(read(config.as_deref())?, role.into()))?;
        }
        Command::Validate { paths, medium, strict, budget, format } => {
            let checked = validate::check(&paths, catalog::NAMED, medium)?;
            let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            let budgets = budget.then(|| validate::budgets(&checked, actions::ALL, medium));
            print(&validate::tell(&checked, budgets.as_deref(), format, colours))?;
            let clean = validate::clean(&checked, strict);
            return Ok(if clean { ExitCode::SUCCESS } else { ExitCode::from(1) });
        }
        Command::Simulate { flow, medium, set, now } => {
            let now = now.unwrap_or_else(jiff::Timestamp::now);
            simulate::simulate(simulate::Wanted { flow, medium, set, now }, actions::ALL)?;
        }
        Command::Fmt { paths, check } => {
            let (done, all_well) = fmt::format(&paths, actions::ALL, check)?;
            print(&done)?;
            return Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::from(1) });
        }
        Command::Test { paths, coverage, min, format } => {
            let report = play::play(&paths, actions::ALL)?;
            let coverage = coverage || min.is_some();
            match format {
                play::Format::Human => print(&play::human(&report, coverage, min))?,
                play::Format::Json => print_json(&play::json(&report))?,
                play::Format::Junit => print(&play::junit(&report, coverage, min))?,
            }
            if !report.passed() || report.too_little(min) {
                return Ok(ExitCode::from(1));
            }
        }
        Command::Explain { code } => match flow::diagnostic::explain(&code) {
            Some(page) => print(&format!("{page}\n"))?,
            None => {
                let codes: Vec<_> = flow::diagnostic::RULES.iter().map(|rule| rule.code).collect();
                return Err(format!(
                    "no finding has the code {code}; there are {}",
                    codes.join(" ")
                ));
            }
        },
        Command::Runs(Runs::List { kept, format, limit }) => {
            print(&block_on(runs::list(kept.settings()?, limit, format))?)?;
        }
        Command::Runs(Runs::Show { id, kept, format }) => {
            print(&block_on(runs::show(kept.settings()?, &id, format))?)?;
        }
        Command::Runs(Runs::Export { id, kept, as_test: _, out, keep }) => {
            let scenario = block_on(runs::export(kept.settings()?, &id, keep, out.as_deref()))?;
            match out {
                None => print(&scenario)?,
                Some(file) => std::fs::write(&file, scenario)
                    .map_err(|error| format!("{}: {error}", file.display()))?,
            }
        }
        Command::Queue(Queue::Dead(Dead::List { kept, format, limit })) => {
            print(&block_on(dead::list(kept.settings()?, limit, format))?)?;
        }
        Command::Queue(Queue::Dead(Dead::Replay { kept, limit })) => {
            print(&block_on(dead::replay(kept.settings()?, limit))?)?;
        }
        Command::Bench(Bench::Texts { place, idle: Some(sessions), .. }) => {
            print(&block_on(bench::idle::run(&place, sessions))?)?;
        }
        Command::Bench(Bench::Texts { place, texts, threads, idle: None }) => {
            print(&block_on(bench::texts::run(&place, texts, threads.max(1)))?)?;
        }
        Command::Bench(Bench::Calls(wanted)) => print(&block_on(bench::calls::run(&wanted))?)?,
        Command::Schema { name } => schema(name.as_deref())?,
        Command::Completions { shell } => {
            let mut out = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "voxflow", &mut out);
            print(&String::from_utf8_lossy(&out))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Kept {
    fn settings(&self) -> Result<settings::Settings, String> {
        if self.demo { demo::settings() } else { read(self.config.as_deref()) }
    }
}

fn read(config: Option<&Path>) -> Result<settings::Settings, String> {
    sources::read(config).map_err(|error| error.to_string())
}

fn block_on<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the system gives no threads: {error}"))?
        .block_on(work)
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

fn schema(name: Option<&str>) -> Result<(), String> {
    let all = schema::all();
    let Some(name) = name else {
        return print(&all.keys().map(|name| format!("{name}\n")).collect::<String>());
    };
    let schema = all
        .get(name)
        .ok_or_else(|| format!("no schema is called `{name}`; `voxflow schema` lists them"))?;
    print_json(schema)
}
