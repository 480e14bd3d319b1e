//! A call outlives its process, by Telnyx: whoever hears that a stream is over asks for another.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tests::double::KEY;
use tests::double::telnyx::{PUBLIC_KEY, SEED, Telnyx};
use tests::front::Front;
use tests::phone::longest_silence;
use tests::python;
use tests::record::{Record, until};
use tests::rig::{OURS, PEER, Setup, Voxflow, World, http};
use tests::sound;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::calls::{GREETING, baker, finished_run, line, transcript};
use crate::outlive::{ON, database, mind, was_told_what_was_heard};

const CALL: &str = "v3:T02llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9BborherQ";

/// A webhook that was signed before it is needed: to sign takes Python its time.
struct Webhook {
    headers: Value,
    body: String,
}

impl Webhook {
    async fn new(event: &str, more: Value) -> Self {
        let mut payload = json!({ "call_control_id": CALL, "call_leg_id": "l", "connection_id": "1",
            "call_session_id": "s", "client_state": null, "from": PEER, "to": OURS });
        for (name, value) in more.as_object().unwrap() {
            payload[name] = value.clone();
        }
        let id = uuid::Uuid::now_v7().to_string();
        let body = json!({ "data": { "record_type": "event", "event_type": event, "id": id,
            "occurred_at": "2026-01-02T03:04:05.678Z", "payload": payload } })
        .to_string();
        let headers = python::run("webhooks.py", &["telnyx", SEED, "one", &body]).await;
        Self { headers: serde_json::from_str(&headers).unwrap(), body }
    }

    /// Posts it, and again when nobody answers: a process that dies may have taken the connection.
    async fn post(self, to: SocketAddr) {
        let url = format!("http://{to}/telnyx/webhook");
        let status = until("an answer to a webhook", || async {
            let mut request = http().post(&url).body(self.body.clone());
            for (name, value) in self.headers.as_object().unwrap() {
                request = request.header(name, value.as_str().unwrap());
            }
            Some(request.send().await.ok()?.status().as_u16())
        });
        assert_eq!(status.await, 200);
    }
}

/// A caller as Telnyx brings one: a stream for each time that one is asked for, in real time; when
/// one ends, that is told.
struct Caller {
    heard: Arc<Record<Duration>>,
    streams: Arc<Record<Duration>>,
    began: Instant,
    say: mpsc::UnboundedSender<Vec<i16>>,
    network: JoinHandle<()>,
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.network.abort();
    }
}

impl Caller {
    async fn calls(telnyx: Arc<Telnyx>, front: SocketAddr) -> Self {
        let ringing = json!({ "direction": "incoming", "state": "parked" });
        let initiated = Webhook::new("call.initiated", ringing).await;
        let mut stopped = VecDeque::new();
        for _ in 0..2 {
            stopped.push_back(Webhook::new("streaming.stopped", json!({})).await);
        }
        let (heard, streams) = (Arc::new(Record::default()), Arc::new(Record::default()));
        let began = Instant::now();
        let (say, words) = mpsc::unbounded_channel();
        let network = Network {
            telnyx,
            front,
            stopped,
            heard: Arc::clone(&heard),
            streams: Arc::clone(&streams),
            began,
            words,
        };
        initiated.post(front).await;
        let network = tokio::spawn(network.live());
        Self { heard, streams, began, say, network }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// The first sound after a moment.
    async fn hears(&self, after: Duration) -> Duration {
        self.heard.find("sound", |at| (*at > after).then_some(*at)).await
    }

    /// Until it has been silent for half a second since then.
    async fn hears_out(&self, after: Duration) {
        let mut last = self.hears(after).await;
        let half = Duration::from_millis(500);
        while self.now() < last + half {
            tokio::time::sleep_until(self.began + last + half).await;
            last = self.heard.all().pop().unwrap();
        }
    }
}

/// Telnyx's side of the call.
struct Network {
    telnyx: Arc<Telnyx>,
    front: SocketAddr,
    stopped: VecDeque<Webhook>,
    heard: Arc<Record<Duration>>,
    streams: Arc<Record<Duration>>,
    began: Instant,
    words: mpsc::UnboundedReceiver<Vec<i16>>,
}

impl Network {
    async fn live(mut self) {
        let mut asked = 0;
        loop {
            let found = |asked: &tests::double::telnyx::Asked| {
                ["answer", "streaming_start"]
                    .contains(&asked.action.as_str())
                    .then(|| asked.body["stream_url"].as_str().unwrap().to_owned())
            };
            let url =
                self.telnyx.asked().find_after(asked, "a stream to be asked for", found).await;
            asked = self.telnyx.asked().len();
            self.stream(&url).await;
            if let Some(stopped) = self.stopped.pop_front() {
                stopped.post(self.front).await;
            }
        }
    }

    async fn stream(&mut self, url: &str) {
        let path = url.splitn(4, '/').nth(3).unwrap();
        let url = format!("ws://{}/{path}", self.front);
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        let start = json!({ "event": "start", "sequence_number": "1", "stream_id": "32DE",
            "start": { "user_id": "u", "call_control_id": CALL, "from": PEER, "to": OURS,
                "media_format": { "encoding": "PCMU", "sample_rate": 8000, "channels": 1 } } });
        for message in [json!({ "event": "connected", "version": "1.0.0" }), start] {
            socket.send(Message::text(message.to_string())).await.unwrap();
        }
        self.streams.push(self.began.elapsed());
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        let (mut chunk, mut to_say, mut to_play) = (0_u64, VecDeque::new(), VecDeque::new());
        loop {
            tokio::select! {
                _ = pace.tick() => {
                    chunk += 1;
                    let n = to_say.len().min(sound::FRAME);
                    let mut frame: Vec<u8> = to_say.drain(..n).collect();
                    frame.resize(sound::FRAME, sound::SILENCE);
                    let media = json!({ "event": "media", "sequence_number": "4",
                        "stream_id": "32DE", "media": { "track": "inbound",
                        "chunk": chunk.to_string(), "timestamp": "5",
                        "payload": BASE64_STANDARD.encode(&frame) } });
                    if socket.send(Message::text(media.to_string())).await.is_err() {
                        return;
                    }
                    let mut played = Vec::new();
                    while played.len() < sound::FRAME {
                        match to_play.pop_front() {
                            Some(Play::Byte(byte)) => played.push(byte),
                            Some(Play::Mark(mark)) => {
                                let mark = json!({ "event": "mark", "mark": mark }).to_string();
                                let _ = socket.send(Message::text(mark)).await;
                            }
                            None => break,
                        }
                    }
                    if !played.is_empty() && sound::audible(&played) {
                        self.heard.push(self.began.elapsed());
                    }
                }
                Some(samples) = self.words.recv() => to_say.extend(sound::mulaw(&samples)),
                said = socket.next() => {
                    let said: Value = match said {
                        Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
                        Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                        Some(Ok(_)) => continue,
                    };
                    match said["event"].as_str() {
                        Some("media") => {
                            let payload = said["media"]["payload"].as_str().unwrap();
                            let bytes = BASE64_STANDARD.decode(payload).unwrap();
                            to_play.extend(bytes.into_iter().map(Play::Byte));
                        }
                        Some("mark") => to_play.push_back(Play::Mark(said["mark"].clone())),
                        Some("clear") => {
                            for play in to_play.drain(..) {
                                if let Play::Mark(mark) = play {
                                    let mark = json!({ "event": "mark", "mark": mark });
                                    let _ = socket.send(Message::text(mark.to_string())).await;
                                }
                            }
                        }
                        other => panic!("{other:?} to Telnyx"),
                    }
                }
            }
        }
    }
}

/// What waits to be heard.
enum Play {
    Byte(u8),
    Mark(Value),
}

/// Two processes, and what stands before them.
struct Pair {
    world: World,
    telnyx: Arc<Telnyx>,
    one: Voxflow,
    two: Voxflow,
    front: Front,
}

impl Pair {
    async fn start(drain_s: u32) -> Self {
        let world = World::open(mind, &["what do you sell", "thank you"]).await;
        let telnyx = Arc::new(Telnyx::open().await);
        let database = database().await;
        let setup = || Setup {
            call_flow: Some(line(&baker())),
            database: Some(database.clone()),
            environment: vec![("VOXFLOW_DRAIN_S", drain_s.to_string())],
            more: format!(
                "[telnyx]\napi_key = \"{KEY}\"\nwebhook_public_key = \"{PUBLIC_KEY}\"\n\
                 base_url = \"{}\"\n",
                telnyx.base()
            ),
            ..Setup::default()
        };
        let one = world.start(setup()).await;
        let two = world.start(setup()).await;
        let front = Front::open(&[one.at, two.at]).await;
        Self { world, telnyx, one, two, front }
    }

    /// Somebody calls, hears the greeting and asks; so much of the answer is heard.
    async fn answers(&self, ms: usize) -> Caller {
        let caller = Caller::calls(Arc::clone(&self.telnyx), self.front.at).await;
        caller.hears_out(Duration::ZERO).await;
        let (asked, heard) = (caller.now(), caller.heard.len());
        caller.say.send(sound::speech("what do you sell")).unwrap();
        caller.hears(asked).await;
        caller.heard.reach(heard + ms / 20, "frames of the answer").await;
        caller
    }
}

/// Nobody has hung up.
fn goes_on(telnyx: &Telnyx) {
    let asked = telnyx.asked().all();
    let actions: Vec<&str> = asked.iter().map(|asked| asked.action.as_str()).collect();
    assert_eq!(actions, ["answer", "streaming_start"]);
}

#[tokio::test]
async fn a_killed_process_is_followed_by_another_that_asks_for_the_stream() {
    let pair = Pair::start(2).await;
    let caller = pair.answers(2500).await;
    let killed = caller.now();
    pair.one.kill().await;
    let stream = caller.streams.reach(2, "streams").await[1];
    let sounds = caller.hears(stream).await;
    let silence = longest_silence(&caller.heard.all(), killed, sounds);
    eprintln!("SIGKILL, Telnyx: {} ms of silence", silence.as_millis());
    assert!(silence <= Duration::from_secs(3), "{silence:?}");
    was_told_what_was_heard(&pair.world.openai.requests().all());
    caller.hears_out(sounds).await;
    let asked = caller.now();
    caller.say.send(sound::speech("thank you")).unwrap();
    caller.hears_out(asked).await;
    goes_on(&pair.telnyx);
    let hangup = json!({ "hangup_cause": "normal_clearing", "state": "hangup" });
    Webhook::new("call.hangup", hangup).await.post(pair.front.at).await;
    let run = finished_run(&pair.two).await;
    assert_eq!(run["outcome"], "hung_up", "{run:#}");
    let words = transcript(&run);
    assert_eq!(words.iter().filter(|(_, words)| words == GREETING).count(), 1, "{words:?}");
    assert!(words.contains(&("agent".into(), ON.into())), "{words:?}");
    assert!(words.contains(&("agent".into(), "You said: thank you".into())), "{words:?}");
    let calls = pair.two.get("/v1.0/calls").await;
    assert_eq!(calls["result"][0]["status"], "completed");
    drop(caller);
    pair.two.stop().await;
}

#[tokio::test]
async fn who_is_told_to_stop_hands_its_stream_over() {
    let pair = Pair::start(2).await;
    let caller = pair.answers(500).await;
    let told = caller.now();
    pair.one.signal("TERM").await;
    let stream = caller.streams.reach(2, "streams").await[1];
    let sounds = caller.hears(stream).await;
    let silence = longest_silence(&caller.heard.all(), told, sounds);
    eprintln!("SIGTERM, Telnyx, at once: {} ms of silence", silence.as_millis());
    assert!(silence <= Duration::from_secs(1), "{silence:?}");
    was_told_what_was_heard(&pair.world.openai.requests().all());
    goes_on(&pair.telnyx);
    let hangup = json!({ "hangup_cause": "normal_clearing", "state": "hangup" });
    Webhook::new("call.hangup", hangup).await.post(pair.front.at).await;
    assert_eq!(finished_run(&pair.two).await["outcome"], "hung_up");
    drop(caller);
    pair.two.stop().await;
}
