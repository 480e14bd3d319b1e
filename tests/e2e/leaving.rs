//! How texts leave, and who answers: lanes, quiet hours, receipts, human hands, pictures, tenants.

use serde_json::{Value, json};
use tests::double::openai::{Reply, last_user};
use tests::double::twilio::{ACCOUNT, Form, Mishap, field};
use tests::record::until;
use tests::rig::{ACCESS_KEY, OURS, PEER, PUBLIC, Setup, Voxflow, World, http, text_form};

/// The number of another tenant.
const THEIRS: &str = "+15550002000";

fn echo() -> Value {
    json!({ "name": "echo", "actions": [
        { "id": "back", "type": "send_message", "option": { "text": "re: ${message.text}" } } ] })
}

async fn open() -> World {
    World::open(|request| Reply::say(&format!("You said: {}", last_user(request))), &[]).await
}

async fn start(world: &World, flow: Value, more: &str) -> Voxflow {
    let more = more.to_owned();
    world.start(Setup { message_flow: Some(flow), more, ..Setup::default() }).await
}

/// A signed webhook of Twilio's, which must be taken.
async fn webhook(world: &World, voxflow: &Voxflow, path: &str, form: &Form) {
    let (status, body) = world.network(voxflow).webhook(&format!("{PUBLIC}{path}"), form).await;
    assert!((200..300).contains(&status), "{status} {body}");
}

/// The newest run, once it is so.
async fn run_that(voxflow: &Voxflow, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    until(what, || async {
        let runs = voxflow.get("/v1.0/activeflows").await;
        let id = runs["result"][0]["id"].as_str()?.to_owned();
        let run = voxflow.get(&format!("/v1.0/activeflows/{id}")).await;
        is_so(&run).then_some(run)
    })
    .await
}

async fn post(voxflow: &Voxflow, path: &str, body: Value) -> Value {
    let request = http().post(format!("http://{}{path}", voxflow.at)).bearer_auth(ACCESS_KEY);
    let answer = request.body(body.to_string()).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    answer.json().await.unwrap()
}

#[tokio::test]
async fn a_number_sends_no_faster_than_its_lane_and_a_full_carrier_is_waited_for() {
    let world = open().await;
    let voxflow = start(&world, echo(), "[texting]\nper_second = 5.0\n").await;
    // Ten times in a row: more often than a text is tried.
    let refusals = std::sync::atomic::AtomicUsize::new(10);
    world.twilio.weather(move || {
        let less = |n: usize| n.checked_sub(1);
        let order = std::sync::atomic::Ordering::Relaxed;
        let full = refusals.fetch_update(order, order, less).is_ok();
        (std::time::Duration::ZERO, full.then_some(Mishap::Busy))
    });
    for n in 0..15 {
        let form = text_form(&format!("+1555810{n:04}"), &format!("text {n}"));
        webhook(&world, &voxflow, "/twilio/messages", &form).await;
    }
    let sent = world.twilio.sent().reach(15, "texts").await;
    for window in sent.windows(11) {
        // A lane that has rested gives five at once, and then five in a second.
        let took = window[10].at.duration_since(window[0].at).as_secs_f64();
        assert!(took > 0.9, "11 texts in {took} s");
    }
    assert!(world.twilio.refused().len() >= 2, "the carrier was never full");
    assert!(voxflow.metric("voxflow_outbox_held_total").await > 0.0);
    until("every run to be over", || async {
        let done = voxflow.metric("voxflow_runs_total").await;
        (done > 14.5).then_some(())
    })
    .await;
    let runs = voxflow.get("/v1.0/activeflows?page_size=50").await;
    for run in runs["result"].as_array().unwrap() {
        assert_eq!(run["outcome"], "finished", "{run:#}");
    }
    voxflow.stop().await;
}

#[tokio::test]
async fn what_nobody_asked_for_waits_for_the_end_of_the_quiet_hours() {
    let world = open().await;
    let flow = json!({ "name": "quiet", "actions": [
        { "id": "ack", "type": "send_message", "option": { "text": "noted" } },
        { "id": "tell", "type": "send_message", "option": {
            "text": "news", "destinations": [{ "target": "+4915112345678" }] } } ] });
    // It is quiet where that phone is, for another hour at least.
    let now = jiff::Timestamp::now().in_tz("Europe/Berlin").unwrap();
    let hour = |hours: i64| {
        let at = now.checked_add(jiff::SignedDuration::from_hours(hours)).unwrap();
        format!("{:02}:{:02}", at.hour(), at.minute())
    };
    let more = format!(
        "[texting]\nquiet_from = \"{}\"\nquiet_until = \"{}\"\nquiet_zone = \"UTC\"\n",
        hour(-1),
        hour(2)
    );
    let voxflow = start(&world, flow, &more).await;
    assert_eq!(world.text(&voxflow, PEER, "hello").await, 200);
    let reply = world.twilio.sent().reach(1, "the reply").await.remove(0);
    assert_eq!((reply.to(), reply.body()), (PEER, "noted"));
    let run = run_that(&voxflow, "the news to wait", |run| {
        run["texts"].as_array().is_some_and(|texts| texts.len() == 3)
            && run["waiting_for"]["action"] == "tell"
    })
    .await;
    let texts = run["texts"].as_array().unwrap();
    let news = texts.iter().find(|text| text["text"] == "news").unwrap();
    let sending = &news["sending"];
    assert_eq!((&sending["status"], &sending["attempts"]), (&json!("queued"), &json!(0)));
    let until: jiff::Timestamp = sending["not_before"].as_str().unwrap().parse().unwrap();
    let left = until.duration_since(jiff::Timestamp::now()).as_secs();
    assert!((3600..=7200).contains(&left), "{left} s");
    assert_eq!(world.twilio.sent().len(), 1);
    voxflow.stop().await;
}

#[tokio::test]
async fn a_flow_hears_how_far_its_text_came() {
    let world = open().await;
    let flow = json!({ "name": "heard", "actions": [
        { "id": "ask", "type": "send_message", "option": { "text": "Is it there?" } },
        { "id": "hear", "type": "wait_event",
          "option": { "name": "message.status", "timeout_s": 3600 } },
        { "id": "tell", "type": "send_message",
          "option": { "text": "It was ${event.status} (${event.code})." } } ] });
    let voxflow = start(&world, flow, "").await;
    assert_eq!(world.text(&voxflow, PEER, "hello").await, 200);
    let asked = world.twilio.sent().reach(1, "the question").await.remove(0);
    run_that(&voxflow, "the run to wait", |run| run["waiting_for"]["what"] == "event").await;
    for (status, code) in [("sent", ""), ("undelivered", "30003"), ("undelivered", "30003")] {
        let fields = [
            ("MessageSid", asked.sid.as_str()),
            ("AccountSid", ACCOUNT),
            ("From", OURS),
            ("To", PEER),
            ("MessageStatus", status),
            ("ErrorCode", code),
        ];
        let form = fields.iter().filter(|(_, value)| !value.is_empty());
        let form: Form = form.map(|(name, value)| ((*name).into(), (*value).into())).collect();
        webhook(&world, &voxflow, "/twilio/message-status", &form).await;
    }
    let told = world.twilio.sent().reach(2, "what the flow heard").await;
    assert_eq!(told[1].body(), "It was failed (30003).");
    let run = run_that(&voxflow, "the end", |run| run["status"] == "ended").await;
    assert_eq!(run["variables"]["message.status"], "failed");
    voxflow.stop().await;
}

#[tokio::test]
async fn a_human_takes_a_thread_over_and_gives_it_back() {
    let world = open().await;
    let voxflow = start(&world, super::texts::desk(), "").await;
    assert_eq!(world.text(&voxflow, PEER, "hello").await, 200);
    world.twilio.sent().reach(1, "the agent's reply").await;
    let threads = voxflow.get("/v1.0/conversations").await;
    let id = threads["result"][0]["id"].as_str().unwrap().to_owned();
    let thread = format!("/v1.0/conversations/{id}");

    post(&voxflow, &format!("{thread}/assign"), json!({ "to": "anna" })).await;
    assert_eq!(world.text(&voxflow, PEER, "a human, please").await, 200);
    post(&voxflow, &format!("{thread}/messages"), json!({ "text": "This is Anna." })).await;
    let sent = world.twilio.sent().reach(2, "the human's words").await;
    assert_eq!((sent[1].to(), sent[1].body()), (PEER, "This is Anna."));
    assert_eq!(world.openai.requests().len(), 1, "the agent was asked behind the human's back");

    post(&voxflow, &format!("{thread}/assign"), json!({ "to": null })).await;
    assert_eq!(world.text(&voxflow, PEER, "thank you").await, 200);
    let sent = world.twilio.sent().reach(3, "the agent again").await;
    assert_eq!(sent[2].body(), "You said: thank you");
    assert_eq!(world.twilio.sent().len(), 3);
    voxflow.stop().await;
}

#[tokio::test]
async fn pictures_come_and_go() {
    let world = open().await;
    let flow = json!({ "name": "pictures", "actions": [
        { "id": "back", "type": "send_message", "option": {
            "text": "Yours, framed", "media": ["${message.media.0}", "https://media.example.com/frame.png"] } } ] });
    let voxflow = start(&world, flow, "").await;
    let mut form = text_form(PEER, "");
    form.iter_mut().find(|(name, _)| name == "NumMedia").unwrap().1 = "1".into();
    let picture =
        format!("https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Messages/MM1/Media/ME1");
    form.push(("MediaUrl0".into(), picture.clone()));
    form.push(("MediaContentType0".into(), "image/jpeg".into()));
    webhook(&world, &voxflow, "/twilio/messages", &form).await;
    let sent = world.twilio.sent().reach(1, "the answer").await.remove(0);
    assert_eq!(sent.body(), "Yours, framed");
    let media: Vec<&str> = sent
        .form
        .iter()
        .filter(|(name, _)| name == "MediaUrl")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(media, [picture.as_str(), "https://media.example.com/frame.png"]);
    let run = run_that(&voxflow, "the end", |run| run["status"] == "ended").await;
    assert_eq!(run["texts"][0]["media"], json!([picture]));
    voxflow.stop().await;
}

#[tokio::test]
async fn two_tenants_with_the_same_peer_never_meet() {
    let world = open().await;
    let asks = |whose: &str| {
        json!({ "name": whose, "actions": [
            { "id": "ask", "type": "send_message", "option": { "text": format!("{whose}: your name?") } },
            { "id": "name", "type": "wait_message", "option": { "timeout_s": 3600 } },
            { "id": "hello", "type": "send_message",
              "option": { "text": format!("{whose}: hello ${{message.text}}") } } ] })
    };
    let site = world.settle(&Setup {
        message_flow: Some(asks("ours")),
        more: format!(
            "[[number]]\nnumber = \"{THEIRS}\"\nmessage_flow = \"theirs.json\"\ntenant = \"acme\"\n"
        ),
        ..Setup::default()
    });
    std::fs::write(site.home.join("theirs.json"), asks("theirs").to_string()).unwrap();
    let mut voxflow = site.begin();
    voxflow.await_ready().await;

    // One peer writes to both numbers in turn, one step each.
    let to = |ours: &str, words: &str| {
        let mut form = text_form(PEER, words);
        form.iter_mut().find(|(name, _)| name == "To").unwrap().1 = ours.into();
        form
    };
    for (n, (ours, words, answer)) in [
        (OURS, "hi", "ours: your name?"),
        (THEIRS, "hi", "theirs: your name?"),
        (THEIRS, "Bea", "theirs: hello Bea"),
        (OURS, "Ada", "ours: hello Ada"),
    ]
    .into_iter()
    .enumerate()
    {
        webhook(&world, &voxflow, "/twilio/messages", &to(ours, words)).await;
        let sent = world.twilio.sent().reach(n + 1, "answers").await;
        assert_eq!((field(&sent[n].form, "From"), sent[n].body()), (ours, answer));
        if words == "hi" {
            run_that(&voxflow, "the run to wait", |run| run["waiting_for"]["what"] == "message")
                .await;
        }
    }
    // Who leaves the one has not left the other.
    webhook(&world, &voxflow, "/twilio/messages", &to(THEIRS, "STOP")).await;
    let sent = world.twilio.sent().reach(5, "the confirmation").await;
    assert_eq!(field(&sent[4].form, "From"), THEIRS);
    webhook(&world, &voxflow, "/twilio/messages", &to(OURS, "hi again")).await;
    let sent = world.twilio.sent().reach(6, "our question").await;
    assert_eq!((field(&sent[5].form, "From"), sent[5].body()), (OURS, "ours: your name?"));

    let threads = voxflow.get("/v1.0/conversations").await;
    let threads = threads["result"].as_array().unwrap().clone();
    let mut whose: Vec<&str> =
        threads.iter().map(|thread| thread["customer_id"].as_str().unwrap()).collect();
    whose.sort_unstable();
    assert_eq!(whose, ["acme", "default"]);
    for thread in &threads {
        let id = thread["id"].as_str().unwrap();
        let texts = voxflow.get(&format!("/v1.0/conversations/{id}/messages")).await.to_string();
        let (own, other) =
            if thread["customer_id"] == "acme" { ("Bea", "Ada") } else { ("Ada", "Bea") };
        assert!(texts.contains(own) && !texts.contains(other), "{texts}");
    }
    voxflow.stop().await;
}
