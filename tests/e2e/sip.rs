//! Calls by SIP, from real telephones and a real exchange's load: baresip and sipp. Nothing else
//! is around: written rules, espeak-ng and pocketsphinx.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::linphone::Linphone;
use tests::record::until;
use tests::rig::{OURS, Voxflow, free_port};
use tests::rough::{Rough, Weather};
use tests::softphone::{Habit, Softphone};
use tests::sound;

use super::calls::{exits, finished_run, transcript};

/// voxflow with a flow for calls by SIP, and where it listens for UDP and TCP, and for TLS.
pub(crate) struct House {
    pub(crate) voxflow: Voxflow,
    pub(crate) at: SocketAddr,
    tls: SocketAddr,
    _folder: TempDir,
}

impl House {
    pub(crate) async fn open(flow: &Value, more: &str) -> Self {
        Self::with(flow, more, &[]).await
    }

    pub(crate) async fn with(flow: &Value, more: &str, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_owned();
        let (http, at, tls) = (free_port(), free_port(), free_port());
        let flows = Path::new(env!("CARGO_MANIFEST_DIR")).join("../flows");
        let rules = "support_line.rules.json";
        std::fs::copy(flows.join(rules), home.join(rules)).unwrap();
        std::fs::write(home.join("flow.json"), flow.to_string()).unwrap();
        certificate(&home).await;
        // Whoever has a password is asked for it.
        let allow = if more.contains("[[sip.user]]") { "" } else { "\"127.0.0.1\"" };
        let first = 50_000 + at.port() % 60 * 200;
        let settings = format!(
            "listen = \"{http}\"\ndatabase = \"sqlite:voxflow.db\"\naccess_keys = [\"{}\"]\ndrain_s = 2\n\
             [sip]\nlisten = \"{at}\"\ntls_listen = \"{tls}\"\ntls_certificate = \"cert.pem\"\ntls_key = \"key.pem\"\n\
             rtp_ports = \"{first}-{}\"\nallow = [{allow}]\n{more}\n\
             [[number]]\nnumber = \"{OURS}\"\ncall_flow = \"flow.json\"\n",
            tests::rig::ACCESS_KEY,
            first + 199
        );
        std::fs::write(home.join("voxflow.toml"), settings).unwrap();
        let args = ["serve", "--config", "voxflow.toml"];
        let voxflow = Voxflow::start(http, home, &args, environment).await;
        Self { voxflow, at, tls, _folder: folder }
    }

    pub(crate) fn uri(&self) -> String {
        format!("sip:{OURS}@{}", self.at)
    }
}

/// A certificate for loopback, as an operator makes one.
async fn certificate(home: &Path) {
    let made = tokio::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
        .args(["-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=127.0.0.1"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .current_dir(home)
        .stderr(Stdio::null())
        .status()
        .await
        .unwrap();
    assert!(made.success());
}

const ASKED: &str = "please press two keys";
const THANKS: &str = "thank you very much";

/// A menu that tells what it took.
fn menu() -> Value {
    json!({ "name": "menu", "on_error": "bye", "actions": [
        { "id": "hello", "type": "answer" },
        { "id": "ask", "type": "talk", "option": { "text": ASKED } },
        { "id": "keys", "type": "receive_digits", "option": { "max_digits": 2, "timeout_s": 20 } },
        { "id": "thanks", "type": "talk", "option": { "text": THANKS } },
        { "id": "bye", "type": "hangup" } ] })
}

/// One call by a telephone: it hears the menu, presses keys, hears the thanks, and is hung up on.
async fn calls(habit: Habit, to: impl FnOnce(&House) -> String, more: &str) -> (String, Value) {
    let house = House::open(&menu(), more).await;
    let mut phone = Softphone::start(habit).await;
    phone.tell("dial", &to(&house)).await;
    phone.event("CALL_ESTABLISHED").await;
    phone.hears(ASKED, &[THANKS]).await;
    for key in ["4", "2"] {
        phone.tell("sndcode", key).await;
    }
    phone.event("CALL_CLOSED").await;
    phone.hears(THANKS, &[ASKED]).await;
    let run = finished_run(&house.voxflow).await;
    assert_eq!(run["variables"]["call.digits"], "42", "{run:#}");
    (phone.log(), run)
}

#[tokio::test]
async fn baresip_calls_hears_and_presses_keys_by_udp() {
    let (_, run) = calls(Habit::of("PCMU/8000/1"), House::uri, "").await;
    let taken: Vec<_> = exits(&run).into_iter().map(|(action, _)| action).collect();
    assert_eq!(taken, ["hello", "ask", "keys", "thanks", "bye"]);
}

#[tokio::test]
async fn baresip_proves_its_password_and_speaks_g722_by_tcp() {
    let mut habit = Habit::of("G722/16000/1;auth_user=alice;auth_pass=wonder");
    habit.transport = "tcp";
    habit.rate = (16_000, 1);
    let uri = |house: &House| format!("{};transport=tcp", house.uri());
    let strict = "[[sip.user]]\nname = \"alice\"\npassword = \"wonder\"\n";
    calls(habit, uri, strict).await;
}

#[tokio::test]
async fn baresip_encrypts_by_tls_and_srtp() {
    let mut habit = Habit::of("PCMA/8000/1;mediaenc=srtp-mand");
    habit.transport = "tls";
    let uri = |house: &House| format!("sip:{OURS}@{};transport=tls", house.tls);
    let (log, _) = calls(habit, uri, "").await;
    assert!(log.contains("SRTP is Enabled"), "{log}");
}

#[tokio::test]
async fn baresip_speaks_opus() {
    let mut habit = Habit::of("opus/48000/2");
    habit.rate = (48_000, 2);
    calls(habit, House::uri, "").await;
}

/// The target of speaking over a bad line: 1 % lost, 30 ms of jitter, both ways.
#[tokio::test]
async fn a_rough_network_leaves_both_sides_understood() {
    let flow = json!({ "name": "line", "on_error": "bye", "actions": [
        { "id": "hello", "type": "answer" },
        { "id": "agent", "type": "ai_talk", "option": {
            "ai": { "name": "support", "rules": "support_line.rules.json",
                    "greeting": "How can I help you?", "tool_names": ["stop_service"] },
            "duration": 60 } },
        { "id": "bye", "type": "hangup" } ] });
    let house = House::open(&flow, "").await;
    let weather = Weather { one_lost_of: 100, late_ms: 30 };
    let network = Rough::begin(house.at, weather).await;
    let question = "what are your opening hours";
    let mut habit = Habit::of("PCMU/8000/1");
    habit.says = sound::padded(5_000, &sound::speech(question), 0);
    let mut phone = Softphone::start(habit).await;
    phone.tell("dial", &format!("sip:{OURS}@{}", network.at)).await;
    phone.event("CALL_ESTABLISHED").await;
    let answer = "we are open from nine to five monday to friday";
    phone.hears(answer, &["how can i help you", "sorry i did not get that"]).await;
    phone.tell("hangup", "").await;
    let run = finished_run(&house.voxflow).await;
    let said = transcript(&run);
    let asked = said.iter().find(|(who, _)| who == "caller").map(|(_, text)| text.as_str());
    assert_eq!(asked, Some(question), "{said:?}");
    let (seen, lost) = network.packets();
    assert!(seen > 500 && lost >= 3, "{lost} of {seen} packets were lost");
}

#[tokio::test]
async fn a_caller_is_connected_to_another_telephone_and_comes_back() {
    let flow = json!({ "name": "desk", "on_error": "bye", "actions": [
        { "id": "hello", "type": "answer" },
        { "id": "desk", "type": "connect_call",
          "option": { "destinations": [{ "target": "+15551230000" }], "ring_s": 20 } },
        { "id": "back", "type": "talk", "option": { "text": "you are back" } },
        { "id": "bye", "type": "hangup" } ] });
    let mut habit = Habit::of("PCMA/8000/1;answermode=auto");
    habit.user = "+15551230000".into();
    let words = "this is the other side speaking";
    let speech = sound::speech(words);
    habit.says = (0..20).flat_map(|_| sound::padded(700, &speech, 700)).collect();
    let mut desk = Softphone::start(habit).await;
    let host = desk.uri.split('@').nth(1).unwrap().to_owned();
    let trunk = format!("[[sip.trunk]]\nname = \"desk\"\nhost = \"{host}\"\n");
    let house = House::open(&flow, &trunk).await;
    let mut phone = Softphone::start(Habit::of("PCMU/8000/1")).await;
    phone.tell("dial", &house.uri()).await;
    desk.event("CALL_ESTABLISHED").await;
    phone.hears(words, &["you are back"]).await;
    desk.tell("hangup", "").await;
    phone.event("CALL_CLOSED").await;
    let run = finished_run(&house.voxflow).await;
    let exits = exits(&run);
    for action in ["desk", "back"] {
        assert!(exits.contains(&(action.into(), "done".into())), "{run:#}");
    }
}

#[tokio::test]
async fn a_hundred_calls_of_sipp_are_all_answered_and_ended() {
    let flow = json!({ "name": "wait", "actions": [
        { "id": "hello", "type": "answer" },
        { "id": "wait", "type": "receive_digits", "option": { "timeout_s": 30 } } ] });
    let house = House::open(&flow, "").await;
    let folder = tempfile::tempdir().unwrap();
    let sipp = tokio::process::Command::new("sipp")
        .args(["-sn", "uac", "-s", OURS, "-m", "100", "-r", "20", "-d", "500", "-i", "127.0.0.1"])
        .args(["-nostdin", "-timeout", "60", "-p", &free_port().port().to_string()])
        .arg(house.at.to_string())
        .current_dir(folder.path())
        .kill_on_drop(true)
        .output()
        .await
        .expect("sipp is installed by tests/run.sh");
    let said = String::from_utf8_lossy(&sipp.stdout);
    let tail: String = said.lines().rev().take(60).collect::<Vec<_>>().join("\n");
    assert!(sipp.status.success(), "{}\n{tail}", sipp.status);
    until("the end of all runs", || async {
        let metrics = house.voxflow.get("/v1.0/activeflows?page_size=200").await;
        let runs = metrics["result"].as_array().unwrap().clone();
        (runs.iter().filter(|run| !run["outcome"].is_null()).count() >= 100).then_some(())
    })
    .await;
}

#[tokio::test]
async fn linphone_calls_and_presses_a_key() {
    let house = House::open(&menu(), "").await;
    let mut phone = Linphone::start("bob").await;
    phone.tell(&format!("call {}", house.uri())).await;
    phone.says("LinphoneCallStreamsRunning").await;
    phone.tell("dtmf 4").await;
    phone.says("LinphoneCallReleased").await;
    let run = finished_run(&house.voxflow).await;
    assert_eq!(run["variables"]["call.digits"], "4", "{run:#}");
}
