//! The web chat: the store keeps what its pages have not seen, whichever process sent it.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tests::double::openai::Reply;
use tests::record::until;
use tests::rig::{ACCESS_KEY, OURS, Setup, Voxflow, World, http};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// A page of a visitor.
struct Page(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// A text of ours, as a page gets it.
struct Shown {
    text: String,
    key: String,
}

impl Page {
    async fn open(at: SocketAddr, visitor: &str, seen: &str) -> Self {
        let number = OURS.replace('+', "%2B");
        let asked = format!("number={number}&visitor={visitor}&seen={seen}&accesskey={ACCESS_KEY}");
        let url = format!("ws://{at}/browser/chat?{asked}");
        Self(tokio_tungstenite::connect_async(url).await.unwrap().0)
    }

    async fn says(&mut self, text: &str) {
        let text = json!({ "type": "text", "text": text });
        self.0.send(Message::text(text.to_string())).await.unwrap();
    }

    /// The next message of this type.
    async fn hears(&mut self, kind: &str) -> Value {
        let heard = async {
            loop {
                let Message::Text(text) = self.0.next().await.unwrap().unwrap() else { continue };
                let message: Value = serde_json::from_str(&text).unwrap();
                if message["type"] == kind {
                    return message;
                }
            }
        };
        let heard = tokio::time::timeout(Duration::from_secs(tests::PATIENCE_S), heard).await;
        heard.unwrap_or_else(|_| panic!("no {kind} came"))
    }

    async fn shows(&mut self) -> Shown {
        let text = self.hears("text").await;
        let of = |name: &str| text[name].as_str().unwrap().to_owned();
        Shown { text: of("text"), key: of("key") }
    }
}

/// A human writes to a visitor, and it is sent.
async fn write(voxflow: &Voxflow, visitor: &str, text: &str) {
    let url = format!("http://{}/v1.0/conversations/{visitor}/messages", voxflow.at);
    let body = json!({ "text": text }).to_string();
    let answer = http().post(url).bearer_auth(ACCESS_KEY).body(body).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
}

/// Pages hang at one process, and another one sends.
pub(crate) async fn a_page_hears_what_another_process_sends(edge: &Voxflow, worker: &Voxflow) {
    let visitor = format!("visitor-{}", uuid::Uuid::now_v7().simple());
    let mut page = Page::open(edge.at, &visitor, "").await;
    let mut last = String::new();
    for text in ["one", "two", "three"] {
        page.says(text).await;
        let shown = page.shows().await;
        assert_eq!(shown.text, format!("You said: {text}"));
        last = shown.key;
    }
    drop(page);
    for text in ["four", "five"] {
        write(edge, &visitor, text).await;
    }
    let mut page = Page::open(edge.at, &visitor, &last).await;
    assert_eq!([page.shows().await.text, page.shows().await.text], ["four", "five"]);
    assert!(worker.metric("voxflow_outbox_sent_total").await >= 5.0);
    assert!(edge.metric("voxflow_outbox_sent_total").await < 0.5, "{}", edge.metrics().await);
}

/// How many texts of this status the store of a process has.
fn texts(voxflow: &Voxflow, status: &str) -> i64 {
    let database = rusqlite::Connection::open(voxflow.home.join("voxflow.db")).unwrap();
    let sql = "SELECT COUNT(*) FROM outbox WHERE status = ?1";
    database.query_row(sql, [status], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn what_was_sent_by_a_process_that_died_comes_to_a_page_of_the_next_one() {
    let world = World::open(|_| Reply::say("nothing"), &[]).await;
    let echo = json!({ "name": "echo", "actions": [
        { "type": "send_message", "option": { "text": "re: ${message.text}" } } ] });
    let site = world.settle(&Setup { message_flow: Some(echo), ..Setup::default() });
    let mut one = site.begin();
    one.await_ready().await;
    let mut page = Page::open(one.at, "", "").await;
    let visitor = page.hears("visitor").await["id"].as_str().unwrap().to_owned();
    page.says("hello").await;
    assert_eq!(page.shows().await.text, "re: hello");
    // To answer a ping, it must go on.
    page.says(" ").await;
    page.hears("error").await;
    until("the word of what was shown", || async { (texts(&one, "delivered") == 1).then_some(()) })
        .await;
    drop(page);
    for text in ["while", "you were", "away"] {
        write(&one, &visitor, text).await;
    }
    until("the texts to be sent", || async { (texts(&one, "sent") == 3).then_some(()) }).await;
    one.kill().await;

    let mut two = site.begin();
    two.await_ready().await;
    let mut page = Page::open(two.at, &visitor, "").await;
    let mut shown = Vec::new();
    for text in ["while", "you were", "away"] {
        shown.push(page.shows().await);
        assert_eq!(shown.last().unwrap().text, text);
    }
    page.says("thanks").await;
    assert_eq!(page.shows().await.text, "re: thanks");
    // One that knows better says so.
    let mut page = Page::open(two.at, &visitor, &shown[1].key).await;
    assert_eq!([page.shows().await.text, page.shows().await.text], ["away", "re: thanks"]);
    // Whoever is not the visitor sees nothing of it.
    let mut other = Page::open(two.at, "somebody-else", &shown[0].key).await;
    other.says("me").await;
    assert_eq!(other.shows().await.text, "re: me");
    two.stop().await;
}
