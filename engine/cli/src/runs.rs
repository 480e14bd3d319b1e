//! `voxflow runs`: what ran, from the database, whether a process serves or not.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use api::texts::Told;
use clap::ValueEnum;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::json;
use store::{FlowRow, RunRow, Store, TurnRow};

use crate::export::Versions;
use crate::play::scenario::Source;
use crate::settings::Settings;

/// How runs are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Human,
    /// As the API tells them.
    Json,
}

/// The newest runs.
///
/// # Errors
/// The database cannot be read.
pub(crate) async fn list(settings: Settings, limit: u32, format: Format) -> Result<String, String> {
    let store = open(&settings).await?;
    let runs = store.runs(None, None, limit).await.map_err(|error| error.to_string())?;
    if format == Format::Json {
        let runs: Vec<_> = runs.iter().map(api::runs::summary).collect();
        return Ok(format!("{:#}\n", json!(runs)));
    }
    let mut out = String::new();
    for run in &runs {
        let (at, how) = (when(run.created), how(run));
        let _ = writeln!(out, "{}  {at}  {how:<9}  {}", run.id, run.flow_name);
    }
    let _ = writeln!(out, "{} run{}", runs.len(), if runs.len() == 1 { "" } else { "s" });
    Ok(out)
}

/// One run.
///
/// # Errors
/// The database cannot be read, or has no such run.
pub(crate) async fn show(settings: Settings, id: &str, format: Format) -> Result<String, String> {
    let store = open(&settings).await?;
    let run = find(&*store, id).await?;
    let known = |error: store::Error| error.to_string();
    let taken = store.taken(&run.id).await.map_err(known)?;
    let transcript = store.transcript(&run.id).await.map_err(known)?;
    let texts = api::texts::of(&*store, &run, &taken).await.map_err(known)?;
    let turns = store.turns(&run.id).await.map_err(known)?;
    if format == Format::Json {
        let full = api::runs::full(&run, &taken, &transcript, &texts, &turns);
        return Ok(format!("{full:#}\n"));
    }
    let mut out = String::new();
    let _ = writeln!(out, "run      {}", run.id);
    let _ = writeln!(out, "flow     {} (version {:.12})", run.flow_name, run.flow);
    let _ = writeln!(out, "began    {}", when(run.created));
    let _ = writeln!(out, "stands   {}", how(&run));
    for wait in run.state.waits() {
        let until = wait.until.map(|until| format!(", until {}", when(until)));
        let (action, until) = (wait.action(), until.unwrap_or_default());
        let _ = writeln!(out, "waits    at {action} for {}{until}", wait.what);
    }
    let mut story: Vec<(Timestamp, String)> = Vec::new();
    story.extend(taken.iter().map(|step| {
        let why = if step.why.is_empty() { String::new() } else { format!(": {}", step.why) };
        (step.at, format!("{} ({}) -> {}{why}", step.action, step.kind, step.exit))
    }));
    story.extend(transcript.iter().map(|line| (line.at, format!("{}: {}", line.who, line.text))));
    story.extend(texts.iter().flat_map(text));
    // What happened at the same moment stays in this order: the step, then what it asked for. Rows
    // know microseconds.
    story.sort_by_key(|(at, _)| at.as_microsecond());
    let _ = writeln!(out, "\nstory");
    for (at, what) in story {
        let _ = writeln!(out, "  {}  {what}", at.strftime("%Y-%m-%d %H:%M:%S%.3f"));
    }
    out.push_str(&took(&turns));
    let _ = writeln!(out, "\nvariables");
    for (name, value) in &run.state.vars {
        let _ = writeln!(out, "  {name} = {value}");
    }
    Ok(out)
}

/// What turns took, a line each; nothing when there were none.
fn took(turns: &[TurnRow]) -> String {
    let mut out = String::new();
    let spoken = turns.iter().filter(|turn| !turn.ledger.kind.is_empty());
    for (n, TurnRow { at, ledger, .. }) in spoken.enumerate() {
        if n == 0 {
            let _ = writeln!(out, "\nturns, ms from the end of the caller's voice");
        }
        let s = ledger.stages;
        let stages = [
            ("silence heard", s.vad_stop),
            ("words sure", s.stt_final),
            ("turn over", s.end_of_turn),
            ("first token", s.llm_first_token),
            ("first clause", s.first_clause),
            ("first sound", s.tts_first_byte),
            ("first frame", s.first_frame),
            ("heard", s.first_mark),
            ("ours", ledger.engine_added),
        ];
        let mut parts: Vec<String> =
            stages.iter().filter_map(|(name, ms)| Some(format!("{name} {}", (*ms)?))).collect();
        parts
            .extend(ledger.tools.iter().map(|tool| format!("{} took {}", tool.name, tool.took_ms)));
        if let Some(cut) = ledger.cut {
            parts.push(format!("cut after {}", cut.heard_ms));
        }
        let _ = writeln!(out, "  {}  {:<11}  {}", when(*at), ledger.kind, parts.join(", "));
    }
    let mut bill = agent::Bill::default();
    turns.iter().flat_map(|turn| &turn.ledger.spent).for_each(|spent| bill.add(spent));
    for spent in bill.take() {
        let counts = [
            ("requests", spent.requests),
            ("tokens in", spent.input_tokens),
            ("tokens out", spent.output_tokens),
            ("characters", spent.characters),
            ("ms heard", spent.heard_ms),
            ("ms spoken", spent.spoke_ms),
        ];
        let counts = counts.iter().filter(|(_, count)| *count > 0);
        let counts: Vec<_> = counts.map(|(name, count)| format!("{count} {name}")).collect();
        let _ = writeln!(out, "  {:<6} {:<12}  {}", spent.part, spent.vendor, counts.join(", "));
    }
    out
}

/// What there is to tell of a text, and when it happened.
fn text(told: &Told) -> Vec<(Timestamp, String)> {
    let media = if told.media.is_empty() {
        String::new()
    } else {
        format!(" with {} attachment(s)", told.media.len())
    };
    let (peer, words) = (&told.peer, &told.text);
    let Some(sending) = &told.sending else {
        return vec![(told.at, format!("text in from {peer}{media}: {words} [{}]", told.claim))];
    };
    let mut story = vec![(told.at, format!("text out to {peer}{media}: {words} [{}]", told.id))];
    let why = sending.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
    if let Some(tried) = sending.tried {
        let taken = match &sending.carrier_id {
            Some(id) => format!("taken by {} as {id}", sending.channel),
            None => format!("{}{why}", sending.status),
        };
        story.push((tried, format!("text out, try {}: {taken}", sending.attempts)));
    } else if sending.status == "queued" && sending.not_before > told.at {
        story.push((told.at, format!("text out waits until {}{why}", when(sending.not_before))));
    }
    if let Some(receipt) = sending.receipt {
        let told = format!("text out: {} says {}{why}", sending.channel, sending.status);
        story.push((receipt, told));
    }
    story
}

/// A run as a scenario, in JSON, for `voxflow test`. Where `out` is the file that it is for, a flow
/// of the settings is named as seen from there.
///
/// # Errors
/// The database cannot be read or has no such run, or the run cannot be played again.
pub(crate) async fn export(
    settings: Settings,
    id: &str,
    keep: bool,
    out: Option<&Path>,
) -> Result<String, String> {
    let store = open(&settings).await?;
    let run = find(&*store, id).await?;
    let known = |error: store::Error| error.to_string();
    let taken = store.taken(&run.id).await.map_err(known)?;
    let version = store.flow(&run.flow).await.map_err(known)?;
    let version = version.ok_or_else(|| format!("the flow version {} is not stored", run.flow))?;
    let link = |row: &FlowRow| {
        crate::play::link(Path::new(&row.name), &row.text, actions::ALL, flow::Needs::Nothing)
    };
    let mut flows = Versions { own: link(&version)?, called: BTreeMap::new() };
    for id in crate::export::called(&taken) {
        if let Some(row) = store.flow(id).await.map_err(known)? {
            let document = serde_json::from_str(&row.text).unwrap_or_default();
            flows.called.insert(row.id.clone(), (link(&row)?, document));
        }
    }
    let file = settings
        .number
        .iter()
        .flat_map(|number| [&number.call_flow, &number.message_flow])
        .flatten()
        .find(|file| std::fs::read_to_string(file).is_ok_and(|text| text == version.text));
    let source = match file.and_then(|file| seen_from(file, out)) {
        Some(path) => Source::File(path),
        // Nobody has this version as a file any more, so the scenario brings it along.
        None => Source::Document(serde_json::from_str(&version.text).map_err(|e| e.to_string())?),
    };
    let scenario = crate::export::scenario(&run, &taken, &flows, source, keep)?;
    Ok(format!("{:#}\n", json!(scenario)))
}

/// A file as seen from the folder of another, or from here.
fn seen_from(file: &Path, other: Option<&Path>) -> Option<String> {
    let folder = other.and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty());
    let folder = std::fs::canonicalize(folder.unwrap_or(Path::new("."))).ok()?;
    let file = std::fs::canonicalize(file).ok()?;
    let mut up = String::new();
    for ancestor in folder.ancestors() {
        if let Ok(below) = file.strip_prefix(ancestor) {
            return Some(format!("{up}{}", below.to_str()?));
        }
        up += "../";
    }
    None
}

/// A run by its id or its call's, or by the end of it among the newest.
async fn find(store: &dyn Store, id: &str) -> Result<RunRow, String> {
    let known = |error: store::Error| error.to_string();
    let call = store.call(id).await.map_err(known)?;
    if let Some(run) = store.run(call.as_ref().map_or(id, |call| &call.run)).await.map_err(known)? {
        return Ok(run);
    }
    let newest = store.runs(None, None, 1000).await.map_err(known)?;
    let mut fitting = newest.into_iter().filter(|run| run.id.ends_with(id));
    match (fitting.next(), fitting.next()) {
        (Some(run), None) => Ok(run),
        (Some(_), Some(_)) => Err(format!("more than one run ends in {id}: give more of its id")),
        (None, _) => Err(format!("no run has the id {id}; `voxflow runs list` tells the newest")),
    }
}

/// Opens what is there; a look makes no database.
async fn open(settings: &Settings) -> Result<std::sync::Arc<dyn Store>, String> {
    let url = settings.database.expose_secret();
    if let Some(file) = url.strip_prefix("sqlite:")
        && !Path::new(file).exists()
    {
        return Err(format!("there is no database at {file} yet; is it the right one?"));
    }
    store::open(url).await.map_err(|error| error.to_string())
}

fn when(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn how(run: &RunRow) -> String {
    match (run.outcome, run.state.waiting()) {
        (Some(outcome), _) => serde_json::to_value(outcome)
            .ok()
            .and_then(|it| it.as_str().map(str::to_owned))
            .unwrap_or_default(),
        (None, Some(_)) => "waiting".into(),
        (None, None) => "running".into(),
    }
}
