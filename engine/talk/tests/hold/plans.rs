//! A hundred random plans of faults: whatever vendors do and whenever, a call goes on or ends with
//! words, the caller is not left in silence when the agent should speak, and nothing hangs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent::{Config, Item};
use talk::{Ended, How, Inbound, Note, Talk};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::faulty::{Dice, Errands, Faulty, GHOST, Market, World};
use crate::leg::carrier;
use crate::rig::{Log, RATE, nobody_lives};

/// How long the agent may keep silent when it should speak, milliseconds; and a caller who has said
/// something, before anything is heard.
const SILENCE: u64 = 3_000;
/// The least that he says, as the detector counts it.
const MEANT: u64 = 700;
/// A talk whose time is over may say so for so long, seconds.
const GOODBYE: u64 = 20;

/// Who stands by, whatever happens to the others.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Company {
    /// Vendors of each kind that never fail, after those that do.
    Fallbacks,
    /// A voice that never fails; the others are alone.
    Voice,
    /// Nobody.
    Nobody,
}

/// What was seen of a plan's call.
struct Seen {
    seed: u64,
    company: Company,
    faults: Vec<String>,
    ended: Ended,
    notes: Vec<(u64, Note)>,
    /// When the caller spoke, or pressed a key.
    voice: Vec<(u64, u64)>,
    log: Log,
    at: u64,
}

/// What is not as it should be.
type Finding = String;

/// Lives one plan.
async fn live(seed: u64) -> Result<Seen, Finding> {
    let mut dice = Dice::new(seed);
    let company = [Company::Fallbacks, Company::Fallbacks, Company::Voice, Company::Nobody]
        [dice.below(4) as usize];
    let chance = 20 + dice.below(70);
    let duration = 12 + dice.below(16);
    let acts = 2 + dice.below(5);
    let log = Arc::new(Mutex::new(Log::default()));
    let world = Arc::new(World {
        dice: Mutex::new(Dice::new(seed ^ 0xFACE)),
        log: Arc::clone(&log),
        saying: Mutex::default(),
        faults: Mutex::default(),
    });
    let faulty = |chance| Arc::new(Faulty { world: Arc::clone(&world), chance });
    let some = |helped: bool| {
        let mut vendors = vec![faulty(chance)];
        vendors.extend(helped.then(|| faulty(0)));
        vendors
    };
    // A model that hears and speaks by itself, and all the others to stand in for it.
    let by_itself = seed % 5 >= 3;
    let vendors = Arc::new(Market {
        duplex: by_itself.then(|| faulty(chance)),
        stt: some(company == Company::Fallbacks),
        llm: some(company == Company::Fallbacks),
        tts: some(company != Company::Nobody),
    });
    let mut config = Config { greeting: "Hello, this is Ada.".into(), ..Config::default() };
    config.vad_config.confidence = 0.55;
    config.idle_timeout_s = 8;
    let (inbound, mut from_leg) = mpsc::channel(1_000);
    let (to_leg, outbound) = mpsc::channel(64);
    let (notes_in, mut notes_out) = mpsc::unbounded_channel();
    let start = Instant::now();
    let speaking = Arc::new(Mutex::new(false));
    let leg = tokio::spawn(carrier(
        outbound,
        inbound.clone(),
        Arc::clone(&log),
        Arc::clone(&speaking),
        start,
    ));
    let talk = Talk {
        id: format!("run:{seed}"),
        config: Arc::new(config),
        history: Vec::new(),
        tools: Arc::new(Errands(Arc::clone(&world))),
        vendors,
        rate: RATE,
        duration: Duration::from_secs(duration),
        prepared: None,
        notes: notes_in,
        stop: CancellationToken::new(),
    };
    let talk = tokio::spawn(async move { talk::session::hold(talk, &mut from_leg, &to_leg).await });
    let noting = tokio::spawn(async move {
        let mut notes = Vec::new();
        while let Some(note) = notes_out.recv().await {
            notes.push((start.elapsed().as_millis() as u64, note));
        }
        notes
    });
    let voice = Arc::new(Mutex::new(Vec::new()));
    let caller = {
        let (world, voice) = (Arc::clone(&world), Arc::clone(&voice));
        let inbound = inbound.clone();
        tokio::spawn(async move {
            let now = || start.elapsed().as_millis() as u64;
            for act in 0..acts {
                sleep(Duration::from_millis(200 + dice.below(4_000))).await;
                if dice.percent(15) {
                    let _ = inbound.send(Inbound::Digit('1')).await;
                    voice.lock().unwrap().push((now(), now()));
                    continue;
                }
                *world.saying.lock().unwrap() = format!("I want number {act} of all these");
                *speaking.lock().unwrap() = true;
                let began = now();
                sleep(Duration::from_millis(150 + dice.below(2_000))).await;
                *speaking.lock().unwrap() = false;
                voice.lock().unwrap().push((began, now()));
            }
            if dice.percent(30) {
                sleep(Duration::from_millis(dice.below(8_000))).await;
                let _ = inbound.send(Inbound::Gone).await;
            }
        })
    };
    let ended = timeout(Duration::from_secs(duration + GOODBYE), talk).await;
    let faults = world.faults.lock().unwrap().clone();
    let Ok(ended) = ended else {
        return Err(format!("plan {seed} ({company:?}): it is stuck after {faults:?}"));
    };
    let ended = ended.map_err(|why| format!("plan {seed} ({company:?}): {why}"))?;
    let at = start.elapsed().as_millis() as u64;
    caller.abort();
    let _ = caller.await;
    drop(inbound);
    leg.await.unwrap();
    let notes = noting.await.unwrap();
    drop(world);
    nobody_lives().await;
    let voice = voice.lock().unwrap().clone();
    let log = std::mem::take(&mut *log.lock().unwrap());
    Ok(Seen { seed, company, faults, ended, notes, voice, log, at })
}

impl Seen {
    /// The longest time in which the agent should speak, the caller did not, and nothing was heard.
    fn longest_silence(&self) -> (u64, u64) {
        let busy = |at: u64| {
            let state = self.notes.iter().rev().find_map(|(then, note)| match note {
                Note::State(state) if *then <= at => Some(*state),
                _ => None,
            });
            matches!(state, Some("thinking" | "speaking"))
        };
        let talks = |at: u64| self.voice.iter().any(|(from, to)| (*from..*to + 200).contains(&at));
        let (mut since, mut longest) = (0, (0, 0));
        let mut played = self.log.played.iter().map(|(at, _)| *at).peekable();
        for at in (0..self.at).step_by(20) {
            let mut heard = false;
            while played.next_if(|then| *then <= at).is_some() {
                heard = true;
            }
            if heard || talks(at) || !busy(at) {
                since = at;
            }
            longest = longest.max((at - since, since));
        }
        longest
    }

    /// The longest time after which a caller who had said something heard anything, or did something
    /// else, or the call was over.
    fn longest_wait(&self) -> (u64, u64) {
        let spoke = self.voice.iter().filter(|(from, to)| to - from >= MEANT);
        let waits = spoke.map(|(_, since)| {
            let heard = self.log.played.iter().map(|(at, _)| *at);
            let again = self.voice.iter().map(|(from, _)| *from);
            let ends = heard.chain(again).chain([self.at]).filter(|at| at > since).min();
            (ends.map_or(0, |at| at - since), *since)
        });
        waits.max().unwrap_or_default()
    }

    fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let heard = self.log.heard();
        if heard.contains(&GHOST) || self.log.played.iter().any(|(_, text)| *text == 326) {
            findings.push("sound of a turn that was cut is heard".to_owned());
        }
        let (silence, at) = self.longest_silence();
        if self.company != Company::Nobody && silence > SILENCE {
            findings.push(format!("{silence} ms of silence from {at} on"));
        }
        let (wait, at) = self.longest_wait();
        if self.company != Company::Nobody && wait > SILENCE {
            findings.push(format!("{wait} ms until anything was heard from {at} on"));
        }
        let sorry = Config::default().fallback;
        if let How::Failed(why) = &self.ended.how
            && self.company != Company::Nobody
            && !heard.contains(&sorry.as_str())
        {
            findings.push(format!("no apology for {why}"));
        }
        if self.company == Company::Fallbacks && matches!(self.ended.how, How::Failed(_)) {
            findings.push(format!("nobody stood in: {:?}", self.ended.how));
        }
        let all = heard.join(" ");
        for item in &self.ended.history {
            let Item::Assistant { text, .. } = item else { continue };
            if let Some(word) = text.split(' ').find(|word| !all.contains(word)) {
                findings.push(format!("{word:?} of {text:?} was never heard"));
            }
        }
        let mut taken = self.log.taken.clone();
        taken.sort();
        taken.dedup();
        if taken.len() != self.log.taken.len() {
            findings.push(format!("a tool was taken twice: {:?}", self.log.taken));
        }
        let place = format!("plan {} ({:?}, {:?})", self.seed, self.company, self.ended.how);
        let faults = &self.faults;
        findings.iter().map(|finding| format!("{place}: {finding}, after {faults:?}")).collect()
    }
}

/// Lives the plans of these seeds, and tells what is not as it should be.
async fn live_all(seeds: std::ops::Range<u64>) {
    let (mut findings, mut faults, mut apologies) = (Vec::new(), 0, 0);
    for seed in seeds.clone() {
        match live(seed).await {
            Ok(seen) => {
                faults += seen.faults.len();
                apologies += usize::from(matches!(seen.ended.how, How::Failed(_)));
                findings.extend(seen.findings());
            }
            Err(finding) => findings.push(finding),
        }
    }
    // The plans are as hard as they are meant to be.
    assert!(faults > seeds.clone().count() && apologies > 0, "{faults} faults, {apologies} failed");
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn plans_0_to_24() {
    live_all(0..25).await;
}

#[tokio::test(start_paused = true)]
async fn plans_25_to_49() {
    live_all(25..50).await;
}

#[tokio::test(start_paused = true)]
async fn plans_50_to_74() {
    live_all(50..75).await;
}

#[tokio::test(start_paused = true)]
async fn plans_75_to_99() {
    live_all(75..100).await;
}
