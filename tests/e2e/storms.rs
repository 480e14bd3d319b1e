//! Random faults on the wire: several calls at once, and between voxflow and its vendors a way on which
//! each connection meets a fate of its own. Whatever becomes of it, no call is stuck, the caller is
//! not left in silence, nor in the middle of an answer, and no sound of a turn that was cut is heard.
//!
//! `VOXFLOW_STORM=full` lives a hundred plans in place of four. A finding names the seed of its plan,
//! which draws the same fates again; which call meets which of them depends on who comes first.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::double::KEY;
use tests::double::anthropic::Anthropic;
use tests::double::assemblyai::AssemblyAi;
use tests::double::cartesia::Cartesia;
use tests::double::openai::{Reply, last_user};
use tests::phone::{Dialling, Phone};
use tests::record::until;
use tests::rig::{OURS, Setup, World};
use tests::sound;
use tests::storm::{Dice, Fate, Storm};

use super::calls::{baker, exits, line, transcript};

/// Calls at once.
const CALLS: u64 = 4;
/// What each caller says.
const TURNS: u64 = 3;
const WORDS: &str = "what do you sell";
/// Of a hundred connections something happens to so many.
const CHANCE: u64 = 60;
/// How long a caller who has spoken may hear nothing: three seconds, and ten frames for the way of his
/// sound and of the answer. What the machine is late itself is not the agent's silence: see [`Late`].
const SILENCE: Duration = Duration::from_millis(3_200);
/// How often it is looked how late the machine is, and how exact a timer is.
const LOOK: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(2));
/// A call of which nothing is heard for so long is stuck.
const STUCK: Duration = Duration::from_secs(20);

/// Who stands by.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Company {
    /// Vendors of each kind that never fail, after those that do.
    Fallbacks,
    /// A voice that never fails; the others are alone.
    Voice,
}

/// How many plans there are of each kind.
fn plans() -> u64 {
    match std::env::var("VOXFLOW_STORM").as_deref() {
        Ok("full") => 50,
        _ => 2,
    }
}

fn agent(company: Company) -> Value {
    let mut ai = baker();
    ai["tts_fallback"] = json!(["cartesia"]);
    if company == Company::Fallbacks {
        ai["engine_fallback"] = json!(["anthropic.claude-x"]);
        ai["stt_fallback"] = json!(["assemblyai"]);
    }
    ai
}

/// How late a machine is on which everything runs at once, the other tests too: by how much each of our
/// looks at the clock came later than it should. The agent and its vendors wait as long at least.
#[derive(Clone, Default)]
struct Late(Arc<Mutex<Vec<(Instant, Duration)>>>);

impl Late {
    /// Looks on until it is dropped.
    async fn watch(&self) {
        loop {
            let began = Instant::now();
            tokio::time::sleep(LOOK.0).await;
            let late = began.elapsed().saturating_sub(LOOK.0 + LOOK.1);
            self.0.lock().unwrap().push((began, late));
        }
    }

    /// How late it was since a moment.
    fn since(&self, moment: Instant) -> Duration {
        let looks = self.0.lock().unwrap();
        looks.iter().rev().take_while(|(at, _)| *at >= moment).map(|(_, late)| *late).sum()
    }
}

/// Waits until something is heard after a moment, or the call is over; `None` = the call is stuck.
async fn hears(phone: &Phone, after: Duration) -> Option<Result<Duration, String>> {
    let heard = async {
        tokio::select! {
            at = phone.heard.find("sound", |at| (*at > after).then_some(*at)) => Ok(at),
            why = phone.ends() => Err(why),
        }
    };
    tokio::time::timeout(STUCK, heard).await.ok()
}

/// Hears the last answer out: it is over when nothing comes for as long as there may be silence in it.
async fn hears_out(phone: &Phone, late: &Late) {
    loop {
        let last = phone.heard.all().last().copied().unwrap_or_default();
        let silent = phone.now().saturating_sub(last);
        let most = SILENCE + late.since(Instant::now() - silent);
        if silent >= most {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(most - silent) => {}
            _ = phone.ends() => return,
        }
    }
}

/// What the caller was left with, if that is no end of a sentence.
fn left_with(run: &Value) -> Option<String> {
    let (who, text) = transcript(run).pop()?;
    (who == "caller" || !text.ends_with(['.', '?', '!']))
        .then(|| format!("the last word is the {who}'s: `{text}`"))
}

/// Lives a caller's call; what is not as it should be, and the silences.
async fn calls(
    phone: Phone,
    seed: u64,
    company: Company,
    late: Late,
) -> (Vec<String>, Vec<Duration>) {
    let mut dice = Dice::new(seed);
    let (mut findings, mut silences) = (Vec::new(), Vec::new());
    let mut speech = sound::speech(WORDS);
    // What is said ends with its last sound.
    let end = speech.iter().rposition(|sample| sample.abs() > 500).unwrap_or_default();
    speech.truncate(end + 1);
    let mut since = Duration::ZERO;
    for turn in 0..=TURNS {
        match hears(&phone, since).await {
            None => {
                findings.push(format!("turn {turn}: it is stuck"));
                break;
            }
            Some(Ok(at)) => {
                let silent = at.saturating_sub(since);
                let late = late.since(Instant::now() - phone.now().saturating_sub(since));
                if silent > SILENCE + late {
                    findings.push(format!("turn {turn}: {silent:?} of silence, {late:?} late"));
                }
                silences.push(silent);
            }
            Some(Err(_)) if company == Company::Voice => break,
            Some(Err(why)) => {
                findings.push(format!("turn {turn}: nobody stood in: {why}"));
                break;
            }
        }
        if turn == TURNS {
            hears_out(&phone, &late).await;
            break;
        }
        // After a while, which may be in the middle of the answer.
        let said = sound::padded(dice.below(2_500) as usize, &speech, 0);
        since = phone.now() + Duration::from_millis(said.len() as u64 / 8);
        phone.say(&said);
    }
    phone.hang_up();
    phone.ends().await;
    findings.extend(phone.violations());
    (findings, silences)
}

/// Lives the calls of one plan.
async fn plan(seed: u64, company: Company) -> (Vec<String>, Vec<Duration>, usize) {
    let all = vec![WORDS; 200];
    let assemblyai = AssemblyAi::open(&all).await;
    let cartesia = Cartesia::open().await;
    let answer = |request: &Value| match last_user(request).as_str() {
        WORDS => Reply::say("We sell bread, and rolls, and very large cakes."),
        _ => Reply::say("I did not hear that very well."),
    };
    let anthropic = Anthropic::open(move |request| answer(request)).await;
    let world = World::open(move |request| answer(request), &all).await;
    world.elevenlabs.haunt();
    let model = Storm::open(&world.openai.base(), seed, CHANCE).await;
    let ear = Storm::open(&world.deepgram.base(), seed + 1_000, CHANCE).await;
    let voice = Storm::open(&world.elevenlabs.base(), seed + 2_000, CHANCE).await;
    let key = || KEY.to_owned();
    let environment = vec![
        ("VOXFLOW_OPENAI_BASE_URL", model.base(&world.openai.base())),
        ("VOXFLOW_DEEPGRAM_BASE_URL", ear.base(&world.deepgram.base())),
        ("VOXFLOW_ELEVENLABS_BASE_URL", voice.base(&world.elevenlabs.base())),
        ("ANTHROPIC_API_KEY", key()),
        ("ANTHROPIC_BASE_URL", anthropic.base()),
        ("ASSEMBLYAI_API_KEY", key()),
        ("ASSEMBLYAI_BASE_URL", assemblyai.base()),
        ("CARTESIA_API_KEY", key()),
        ("CARTESIA_BASE_URL", cartesia.base()),
    ];
    let call_flow = Some(line(&agent(company)));
    let voxflow = world.start(Setup { call_flow, environment, ..Setup::default() }).await;
    let network = world.network(&voxflow);
    let late = Late::default();
    let phones = (0..CALLS).map(|at| {
        let from = format!("+1555700{at:04}");
        let phone = Phone::call(&network, &from, OURS, Dialling::default());
        calls(phone, seed * 100 + at, company, late.clone())
    });
    let lived = tokio::select! {
        lived = join_all(phones) => lived,
        () = late.watch() => unreachable!("it looks on"),
    };
    let runs = until("the end of every run", || async {
        let runs = voxflow.get("/v1.0/activeflows").await;
        let runs = runs["result"].as_array().unwrap().clone();
        runs.iter().all(|run| !run["outcome"].is_null()).then_some(runs)
    })
    .await;
    let mut findings = Vec::new();
    let mut told = String::new();
    for run in &runs {
        let run = voxflow.get(&format!("/v1.0/activeflows/{}", run["id"].as_str().unwrap())).await;
        for line in run["transcript"].as_array().unwrap() {
            told += &format!("\n  {} {} {}", line["at"], line["who"], line["text"]);
        }
        findings.extend(left_with(&run));
        told += "\n";
        let failed = exits(&run).contains(&("agent".into(), "failed".into()));
        if failed && company == Company::Fallbacks {
            findings.push("the talk failed".into());
        }
    }
    assert!(!voxflow.log().contains(KEY), "no key is logged");
    let fates = [("model", model.fates()), ("ear", ear.fates()), ("voice", voice.fates())];
    let faults =
        fates.iter().flat_map(|(_, fates)| fates).filter(|fate| **fate != Fate::Calm).count();
    let mut silences = Vec::new();
    for (found, silent) in lived {
        findings.extend(found);
        silences.extend(silent);
    }
    let findings = findings
        .iter()
        .map(|finding| format!("plan {seed} ({company:?}): {finding}, by {fates:?}{told}"));
    let findings = findings.collect();
    voxflow.stop().await;
    (findings, silences, faults)
}

/// Lives all plans of a kind.
async fn live(company: Company, first: u64) {
    let (mut findings, mut silences, mut faults) = (Vec::new(), Vec::new(), 0);
    for seed in first..first + plans() {
        let (found, silent, met) = plan(seed, company).await;
        findings.extend(found);
        silences.extend(silent);
        faults += met;
    }
    silences.sort();
    let at = |percent: usize| silences[(silences.len() - 1) * percent / 100].as_millis();
    eprintln!(
        "storms, {company:?}: {} calls, {faults} faults; until the agent is heard: p50 {} ms, p95 {} ms, at most {} ms",
        plans() * CALLS,
        at(50),
        at(95),
        at(100)
    );
    assert!(faults as u64 >= plans() * CALLS, "{faults} faults are no storm");
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

#[tokio::test]
async fn calls_go_on_where_others_stand_in() {
    live(Company::Fallbacks, 0).await;
}

#[tokio::test]
async fn calls_end_with_words_where_nobody_does() {
    live(Company::Voice, 500).await;
}
