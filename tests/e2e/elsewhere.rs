//! Two processes behind one address: whatever Twilio brings of a call comes to the one that does not
//! have it, and the call does not notice.

use std::time::Duration;

use serde_json::{Value, json};
use tests::double::openai::Reply;
use tests::double::twilio::field;
use tests::front::Front;
use tests::phone::{Dialling, Network, Phone, What};
use tests::record::until;
use tests::rig::{ACCESS_KEY, OURS, PEER, Setup, Voxflow, World, http};
use tests::sound;

use crate::calls::{exits, finished_run};
use crate::outlive::database;

const ANN: &str = "+15550003000";

/// Two processes of one house.
struct Pair {
    world: World,
    one: Voxflow,
    two: Voxflow,
}

impl Pair {
    async fn start(flow: Value) -> Self {
        let world = World::open(|_| Reply::say("nothing"), &[]).await;
        let database = database().await;
        let setup = || Setup {
            call_flow: Some(flow.clone()),
            database: Some(database.clone()),
            more: "[media]\nrecordings = \"tapes\"\n".into(),
            ..Setup::default()
        };
        let (one, two) = (world.start(setup()).await, world.start(setup()).await);
        Self { world, one, two }
    }

    /// Nothing was moved: the second has only passed on.
    async fn stayed(self, most: f64) {
        assert!(self.two.metric("voxflow_passed_on_total").await >= most);
        assert_eq!(self.two.metric("voxflow_calls_taken_over_total").await as u64, 0);
        self.two.stop().await;
        self.one.stop().await;
    }
}

fn told(sid: &str, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let fields = [("CallSid", sid), ("From", OURS), ("To", ANN)];
    let fields = fields.iter().chain(more);
    fields.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn words_of(run: &Value) -> Vec<String> {
    exits(run).into_iter().map(|(at, exit)| format!("{at} {exit}")).collect()
}

#[tokio::test]
async fn a_call_that_one_process_makes_comes_to_the_other() {
    let pair = Pair::start(json!([{ "type": "hangup" }])).await;
    let body = json!({ "source": { "type": "tel", "target": OURS },
        "destinations": [{ "type": "tel", "target": ANN }],
        "actions": [
            { "id": "who", "type": "detect_machine" },
            { "id": "words", "type": "talk", "option": { "text": "Hello, it is us.", "language": "en-US" } },
            { "id": "desk", "type": "connect_call", "option": {
                "destinations": [{ "type": "tel", "target": PEER }] } },
            { "id": "thanks", "type": "talk", "option": { "text": "Thank you.", "language": "en-US" } },
            { "id": "bye", "type": "hangup" } ] });
    let made = http().post(format!("http://{}/v1.0/calls", pair.one.at)).bearer_auth(ACCESS_KEY);
    let made = made.body(body.to_string()).send().await.unwrap();
    assert_eq!(made.status().as_u16(), 200);
    let made: Value = serde_json::from_str(&made.text().await.unwrap()).unwrap();
    let path = format!("/v1.0/calls/{}", made["calls"][0]["id"].as_str().unwrap());

    // All of it comes to the other.
    let network = pair.world.network(&pair.two);
    let dialed = pair.world.twilio.dialed().find("a dial", |dialed| Some(dialed.clone())).await;
    let (sid, form) = dialed.clone();
    let status = field(&form, "StatusCallback");
    let ringing = told(&sid, &[("CallStatus", "ringing")]);
    assert_eq!(network.webhook(status, &ringing).await.0, 204);
    until("what the carrier said", || async {
        (pair.one.get(&path).await["status"] == "ringing").then_some(())
    })
    .await;
    let phone = Phone::answer(&network, dialed, Dialling::default());
    let machine = field(&form, "AsyncAmdStatusCallback");
    let human = told(&sid, &[("AnsweredBy", "human")]);
    assert_eq!(network.webhook(machine, &human).await.0, 204);
    phone.hears_out(0, "the words").await;
    phone.sees(0, "a dial", |seen| matches!(seen, What::Dial { .. })).await;
    let before = phone.count();
    phone.hears(before, "the thanks").await;
    phone.ends().await;
    let over = told(&sid, &[("CallStatus", "completed")]);
    assert_eq!(network.webhook(status, &over).await.0, 204);
    let run = finished_run(&pair.one).await;
    assert_eq!(words_of(&run), ["who done", "words done", "desk done", "thanks done", "bye ended"]);
    assert_eq!(phone.violations(), [""; 0]);
    pair.stayed(6.0).await;
}

#[tokio::test]
async fn who_is_dialed_for_a_caller_may_come_to_the_other_process() {
    let pair = Pair::start(json!({ "name": "desk", "actions": [
        { "id": "hello", "type": "answer" },
        { "id": "desk", "type": "connect_call", "option": { "announce": "A call for you.",
            "destinations": [{ "type": "tel", "target": ANN }] } },
        { "id": "bye", "type": "hangup" } ] }))
    .await;
    let caller = Phone::call(&pair.world.network(&pair.one), PEER, OURS, Dialling::default());
    let dialed = pair.world.twilio.dialed().find("a dial", |dialed| Some(dialed.clone())).await;
    let ann = Phone::answer(&pair.world.network(&pair.two), dialed, Dialling::default());
    ann.hears_out(0, "who comes").await;
    // Both hear each other.
    let (at_ann, at_caller) = (ann.count(), caller.count());
    let tone = sound::tone(2000, 8000);
    caller.say(&tone);
    ann.hears(at_ann, "the caller").await;
    ann.say(&tone);
    caller.hears(at_caller, "Ann").await;
    ann.hang_up();
    caller.ends().await;
    let run = finished_run(&pair.two).await;
    assert_eq!(words_of(&run), ["hello done", "desk done", "bye ended"]);
    pair.stayed(1.0).await;
}

#[tokio::test]
async fn the_end_of_a_dial_whose_process_has_died_is_heard_by_another() {
    let pair = Pair::start(json!({ "name": "desk", "actions": [
        { "id": "hello", "type": "answer" },
        { "id": "desk", "type": "connect_call", "option": {
            "destinations": [{ "type": "tel", "target": ANN }] }, "on": { "busy": "sorry" } },
        { "id": "bye", "type": "hangup" },
        { "id": "sorry", "type": "talk", "option": { "text": "Nobody is there.", "language": "en-US" } } ] }))
    .await;
    let front = Front::open(&[pair.one.at, pair.two.at]).await;
    let network = Network { server: front.at, ..pair.world.network(&pair.one) };
    let dialling = Dialling { status: "busy", after: Duration::from_secs(2) };
    let phone = Phone::call(&network, PEER, OURS, dialling);
    phone.sees(0, "a dial", |seen| matches!(seen, What::Dial { .. })).await;
    let before = phone.count();
    pair.one.kill().await;
    phone.hears(before, "that nobody is there").await;
    phone.ends().await;
    let run = finished_run(&pair.two).await;
    assert_eq!(words_of(&run)[..3], ["hello done", "desk busy", "sorry done"]);
    pair.two.stop().await;
}

#[tokio::test]
async fn a_caller_whose_bridge_has_died_goes_on_and_the_recording_can_be_read() {
    let pair = Pair::start(json!({ "name": "desk", "actions": [
        { "id": "hello", "type": "answer" },
        { "id": "tape", "type": "start_recording" },
        { "id": "desk", "type": "connect_call", "option": { "announce": "A call for you.",
            "destinations": [{ "type": "tel", "target": ANN }] }, "on": { "failed": "sorry" } },
        { "id": "bye", "type": "hangup" },
        { "id": "sorry", "type": "talk", "option": { "text": "They are gone.", "language": "en-US" } } ] }))
    .await;
    let front = Front::open(&[pair.one.at, pair.two.at]).await;
    let network = Network { server: front.at, ..pair.world.network(&pair.one) };
    let caller = Phone::call(&network, PEER, OURS, Dialling::default());
    let dialed = pair.world.twilio.dialed().find("a dial", |dialed| Some(dialed.clone())).await;
    let ann = Phone::answer(&network, dialed, Dialling::default());
    ann.hears_out(0, "who comes").await;
    let (at_ann, at_caller) = (ann.count(), caller.count());
    caller.say(&sound::tone(5000, 8000));
    ann.hears(at_ann, "the caller").await;
    // So much of it is written.
    let tapes = pair.one.home.join("tapes");
    let tape = until("the recording", || async {
        let tape = std::fs::read_dir(&tapes).ok()?.next()?.ok()?.path();
        (std::fs::metadata(&tape).ok()?.len() > 44).then_some(tape)
    })
    .await;
    pair.one.kill().await;
    caller.hears(at_caller, "that they are gone").await;
    caller.ends().await;
    // Nobody can go on with her; she is told so.
    assert_eq!(ann.ends().await, "<Hangup>");
    let run = finished_run(&pair.two).await;
    assert_eq!(words_of(&run)[..4], ["hello done", "tape done", "desk failed", "sorry done"]);
    let wav = std::fs::read(tape).unwrap();
    let length = u32::from_le_bytes(wav[40..44].try_into().unwrap()) as usize;
    // Two channels of 8 kHz and 16 bits: half a second and more.
    assert!(length >= 16_000 && length <= wav.len() - 44, "{length} of {}", wav.len());
    pair.two.stop().await;
}
