//! A call outlives its process: one of two is killed, or told to stop, in the middle of a
//! conversation by Twilio; the other goes on with what was said.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tests::double::openai::{Reply, last_user, text_of};
use tests::double::twilio::{ACCOUNT, Form};
use tests::front::Front;
use tests::phone::{Dialling, Network, Phone, What};
use tests::record::until;
use tests::rig::{OURS, PEER, PUBLIC, Setup, Voxflow, World};
use tests::sound;
use uuid::Uuid;

use crate::calls::{GREETING, baker, exits, finished_run, line, transcript};

/// What the model answers, at length.
pub(crate) const LONG: &str = "We bake bread. We bake rolls. We bake cakes for every day of the week, and on Sundays we bake a \
     very large one that nobody has ever eaten alone. Shall I tell you more about it?";
/// What it says when it was cut off.
pub(crate) const ON: &str = "As I said, there are cakes for every day of the week.";

/// A model that knows when it was cut off.
pub(crate) fn mind(request: &Value) -> Reply {
    match last_user(request).as_str() {
        "what do you sell" => Reply::say(LONG),
        words if words.contains("line was interrupted") => Reply::say(ON),
        words => Reply::say(&format!("You said: {words}")),
    }
}

/// A schema of its own in the database of the tests: what these processes share.
pub(crate) async fn database() -> String {
    let url = std::env::var("VOXFLOW_TEST_POSTGRES_E2E").expect("started by tests/run.sh");
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let name = format!("outlive_{}", Uuid::now_v7().simple());
    client.batch_execute(&format!("CREATE SCHEMA {name}")).await.unwrap();
    format!("{url}&options=-csearch_path%3D{name}")
}

/// Two processes, and what stands before them.
struct Pair {
    world: World,
    one: Voxflow,
    two: Voxflow,
    network: Network,
    _front: Front,
}

impl Pair {
    async fn start(hears: &[&str], drain_s: u32) -> Self {
        let world = World::open(mind, hears).await;
        let database = database().await;
        let setup = || Setup {
            call_flow: Some(line(&baker())),
            database: Some(database.clone()),
            environment: vec![("VOXFLOW_DRAIN_S", drain_s.to_string())],
            ..Setup::default()
        };
        let one = world.start(setup()).await;
        let two = world.start(setup()).await;
        let front = Front::open(&[one.at, two.at]).await;
        let network = Network { server: front.at, ..world.network(&one) };
        Self { world, one, two, network, _front: front }
    }

    /// Somebody calls, hears the greeting and asks; so much of the answer is heard.
    async fn answers(&self, ms: usize) -> Phone {
        let phone = Phone::call(&self.network, PEER, OURS, Dialling::default());
        phone.hears_out(0, "the greeting").await;
        let (before, heard) = (phone.count(), phone.heard.len());
        phone.say(&sound::speech("what do you sell"));
        phone.hears(before, "the answer").await;
        phone.heard.reach(heard + ms / 20, "frames of the answer").await;
        phone
    }
}

/// What a model was told of what was said: `(role, words)`.
pub(crate) fn said(request: &Value) -> Vec<(String, String)> {
    let messages = request["messages"].as_array().unwrap().iter();
    let words =
        messages.filter(|message| message["role"] != "system" && message["role"] != "developer");
    words
        .map(|message| (message["role"].as_str().unwrap().to_owned(), text_of(&message["content"])))
        .collect()
}

/// The model was asked to go on, with what was heard of the answer, and no more.
pub(crate) fn was_told_what_was_heard(requests: &[Value]) {
    let on = requests.iter().find(|request| last_user(request).contains("line was interrupted"));
    let said = said(on.expect("the model was not asked to go on"));
    let of = |role: &str, words: &str| (role.to_owned(), words.to_owned());
    assert_eq!(said[..2], [of("assistant", GREETING), of("user", "what do you sell")], "{said:?}");
    let (role, heard) = &said[2];
    assert_eq!(role, "assistant");
    assert!(LONG.starts_with(heard.as_str()) && heard.len() > 8, "{said:?}");
    assert!(heard.len() < LONG.len(), "{said:?}");
    assert_eq!(said.len(), 4, "{said:?}");
}

/// The second stream of a call, and the first sound of it.
async fn comes_back(phone: &Phone, after: usize) -> (Duration, Duration) {
    let closed = |seen: &What| matches!(seen, What::StreamClosed(_));
    phone.sees(after, "the end of the stream", closed).await;
    let seen = phone.seen.all();
    let at = after + seen[after..].iter().position(|seen| closed(&seen.what)).unwrap();
    let stream = phone.sees(at, "a new stream", |seen| *seen == What::Stream).await;
    (stream.saturating_sub(seen[at].at), phone.hears(at, "the agent again").await)
}

#[tokio::test]
async fn a_killed_process_is_followed_by_another_that_knows_what_was_said() {
    let pair = Pair::start(&["what do you sell", "thank you"], 2).await;
    let phone = pair.answers(2500).await;
    let (before, killed) = (phone.count(), phone.now());
    pair.one.kill().await;
    let (_, sounds) = comes_back(&phone, before).await;
    let silence = phone.longest_silence(killed, sounds);
    eprintln!("SIGKILL, Twilio: {} ms of silence", silence.as_millis());
    assert!(silence <= Duration::from_secs(3), "{silence:?}");
    was_told_what_was_heard(&pair.world.openai.requests().all());

    // The conversation goes on as if nothing had happened.
    let end = phone.count();
    phone.hears_out(end.saturating_sub(1), "the rest").await;
    let before = phone.count();
    phone.say(&sound::speech("thank you"));
    phone.hears_out(before, "an answer").await;
    phone.hang_up();
    phone.ends().await;
    let run = finished_run(&pair.two).await;
    assert_eq!(run["outcome"], "hung_up", "{run:#}");
    let words = transcript(&run);
    assert_eq!(words[0], ("agent".into(), GREETING.into()), "{words:?}");
    assert_eq!(words.iter().filter(|(_, words)| words == GREETING).count(), 1, "{words:?}");
    assert!(words.contains(&("agent".into(), ON.into())), "{words:?}");
    assert!(words.contains(&("caller".into(), "thank you".into())), "{words:?}");
    assert!(words.contains(&("agent".into(), "You said: thank you".into())), "{words:?}");
    assert_eq!(exits(&run), [("hello".into(), "done".into()), ("agent".into(), "hung_up".into())]);
    let calls = pair.two.get("/v1.0/calls").await;
    let calls = calls["result"].as_array().unwrap();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0]["status"], "completed");
    assert_eq!(phone.violations(), [""; 0]);
    assert_eq!(pair.world.openai.violations(), [""; 0]);
    pair.two.stop().await;
}

#[tokio::test]
async fn a_caller_who_was_not_answered_yet_is_answered_by_the_other() {
    // Whoever asks before its end has no answer.
    let dead = Arc::new(AtomicBool::new(false));
    let is_dead = Arc::clone(&dead);
    let world = World::open(
        move |request| {
            let answer = Reply::say(&format!("You said: {}", last_user(request)));
            let late = Duration::from_secs(20);
            if is_dead.load(Ordering::Relaxed) { answer } else { answer.after(late) }
        },
        &["what do you sell"],
    )
    .await;
    let database = database().await;
    let setup = || Setup {
        call_flow: Some(line(&baker())),
        database: Some(database.clone()),
        ..Setup::default()
    };
    let one = world.start(setup()).await;
    let two = world.start(setup()).await;
    let front = Front::open(&[one.at, two.at]).await;
    let network = Network { server: front.at, ..world.network(&one) };
    let phone = Phone::call(&network, PEER, OURS, Dialling::default());
    phone.hears_out(0, "the greeting").await;
    phone.say(&sound::speech("what do you sell"));
    world.openai.requests().reach(1, "questions").await;
    stands_as(&two, "thinking").await;
    let (before, killed) = (phone.count(), phone.now());
    dead.store(true, Ordering::Relaxed);
    one.kill().await;
    let (_, sounds) = comes_back(&phone, before).await;
    let silence = sounds.saturating_sub(killed);
    eprintln!("SIGKILL, Twilio, while the agent thinks: {} ms", silence.as_millis());
    assert!(silence <= Duration::from_secs(3), "{silence:?}");
    let asked = world.openai.requests().all();
    let of = |role: &str, words: &str| (role.to_owned(), words.to_owned());
    let wanted = [of("assistant", GREETING), of("user", "what do you sell")];
    assert_eq!(said(asked.last().unwrap()), wanted);
    phone.hang_up();
    phone.ends().await;
    two.stop().await;
}

/// Waits until the only call stands so, by what is stored.
async fn stands_as(voxflow: &Voxflow, floor: &str) {
    let settings = std::fs::read_to_string(voxflow.home.join("voxflow.toml")).unwrap();
    let url = settings.lines().find_map(|line| line.strip_prefix("database = ")).unwrap();
    let (client, connection) =
        tokio_postgres::connect(url.trim_matches('"'), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let client = Arc::new(client);
    until("the conversation to be written", || async {
        let rows = client.query("SELECT standing FROM live", &[]).await.unwrap();
        let standing: Option<String> = rows.first()?.get(0);
        let row: Value = serde_json::from_str(&standing?).unwrap();
        (row["standing"]["floor"] == floor).then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_is_told_to_stop_hands_over_when_nobody_speaks() {
    let pair = Pair::start(&["what do you sell", "thank you"], 30).await;
    let phone = pair.answers(500).await;
    let (before, told) = (phone.count(), phone.now());
    let stopped = tokio::spawn(pair.one.stop());
    let closed = |seen: &What| matches!(seen, What::StreamClosed(_));
    let left = phone.sees(before, "the end of the stream", closed).await;
    let stream = phone.sees(before, "a new stream", |seen| *seen == What::Stream).await;
    let gap = stream.saturating_sub(left);
    eprintln!("SIGTERM, Twilio, at a pause: {} ms without a stream", gap.as_millis());
    assert!(gap <= Duration::from_secs(1), "{gap:?}");
    // The answer was heard to its end: no hole in it, and nothing was said twice.
    let last = phone.heard.all().into_iter().rfind(|at| *at <= left).unwrap();
    let hole = phone.longest_silence(told, last);
    assert!(hole <= Duration::from_millis(400), "{hole:?}");
    let before = phone.count();
    phone.say(&sound::speech("thank you"));
    phone.hears_out(before, "an answer").await;
    let asked = pair.world.openai.requests().all();
    let of = |role: &str, words: &str| (role.to_owned(), words.to_owned());
    let wanted = [
        of("assistant", GREETING),
        of("user", "what do you sell"),
        of("assistant", LONG),
        of("user", "thank you"),
    ];
    assert_eq!(said(asked.last().unwrap()), wanted);
    // It had nothing more to do, and is gone long before its time is over.
    stopped.await.unwrap();
    phone.hang_up();
    phone.ends().await;
    assert_eq!(finished_run(&pair.two).await["outcome"], "hung_up");
    pair.two.stop().await;
}

#[tokio::test]
async fn who_has_no_time_hands_over_in_the_middle_of_a_sentence() {
    let pair = Pair::start(&["what do you sell"], 2).await;
    let phone = pair.answers(500).await;
    let (before, told) = (phone.count(), phone.now());
    let stopped = tokio::spawn(pair.one.stop());
    let (_, sounds) = comes_back(&phone, before).await;
    let silence = phone.longest_silence(told, sounds);
    eprintln!("SIGTERM, Twilio, at once: {} ms of silence", silence.as_millis());
    assert!(silence <= Duration::from_secs(1), "{silence:?}");
    was_told_what_was_heard(&pair.world.openai.requests().all());
    stopped.await.unwrap();
    phone.hang_up();
    phone.ends().await;
    pair.two.stop().await;
}

#[tokio::test]
async fn a_call_that_is_over_with_its_process_is_closed() {
    let pair = Pair::start(&["what do you sell"], 2).await;
    let phone = pair.answers(100).await;
    let sid = phone.sid.clone();
    // The caller and the process are gone at the same moment.
    drop(phone);
    pair.one.kill().await;
    let fields = [("CallSid", sid.as_str()), ("AccountSid", ACCOUNT), ("CallStatus", "completed")];
    let form: Form = fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let url = format!("{PUBLIC}/twilio/status");
    assert_eq!(pair.network.webhook(&url, &form).await.0, 204);
    let run = finished_run(&pair.two).await;
    assert_eq!(run["outcome"], "hung_up", "{run:#}");
    let calls = pair.two.get("/v1.0/calls").await;
    assert_eq!(calls["result"][0]["status"], "completed");
    pair.two.stop().await;
}

#[tokio::test]
async fn a_process_that_is_started_again_goes_on_with_its_file() {
    let world = World::open(mind, &["what do you sell"]).await;
    let site = world.settle(&Setup { call_flow: Some(line(&baker())), ..Setup::default() });
    let mut first = site.begin();
    first.await_ready().await;
    let front = Front::patient(site.at).await;
    let network = Network { server: front.at, ..world.network(&first) };
    let phone = Phone::call(&network, PEER, OURS, Dialling::default());
    phone.hears_out(0, "the greeting").await;
    let (before, heard) = (phone.count(), phone.heard.len());
    phone.say(&sound::speech("what do you sell"));
    phone.hears(before, "the answer").await;
    phone.heard.reach(heard + 125, "frames of the answer").await;
    let before = phone.count();
    first.kill().await;
    let mut second = site.begin();
    second.await_ready().await;
    comes_back(&phone, before).await;
    was_told_what_was_heard(&world.openai.requests().all());
    phone.hang_up();
    phone.ends().await;
    assert_eq!(finished_run(&second).await["outcome"], "hung_up");
    second.stop().await;
}
