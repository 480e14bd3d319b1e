//! What a reply is made of: models, tools, segments.

use serde_json::json;

use crate::rig::{Rig, talks};

#[tokio::test]
async fn a_tool_acts_once_with_its_reply() {
    let rig = Rig::texts(talks(json!({ "tool_names": ["send_message", "connect_call"] }))).await;
    rig.text("text my sister").await;
    let asked = rig.model.asked().await;
    // What needs a call is not on offer.
    assert_eq!(
        asked.ask.tools.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(),
        ["send_message"]
    );
    let to_sister = json!({ "text": "hi sister", "destinations": [{ "target": "+15550009999" }] });
    asked.take("One moment.", "send_message", &to_sister.to_string()).await;
    let rest = rig.model.asked().await;
    assert_eq!(rest.results(), [r#"{"status":"queued"}"#]);
    rest.say("Done.").await;
    let mut sent = rig.carrier.sent(2).await;
    sent.sort_by_key(|text| text.peer.as_str().to_owned());
    assert_eq!((sent[0].peer.as_str(), sent[0].text.as_str()), ("+15550009999", "hi sister"));
    // Words before and after the tool are one text.
    assert!(
        sent[1].text.contains("One moment.") && sent[1].text.contains("Done."),
        "{}",
        sent[1].text
    );
    assert_ne!(sent[0].key, sent[1].key);
}

#[tokio::test]
async fn a_model_hears_what_is_wrong_with_a_tool() {
    let rig = Rig::texts(talks(json!({ "tool_names": ["send_message"] }))).await;
    rig.text("hello").await;
    let mut asked = rig.model.asked().await;
    for (tool, arguments, complaint) in [
        ("fly", "{}", "fly"),
        ("send_message", "{\"text\":", "JSON"),
        ("send_message", "[]", "object"),
        ("send_message", "{\"text\": \"hi\", \"colour\": 1}", "colour"),
        ("send_message", "{\"text\": \"x\", \"destinations\": [{\"target\": \"ada\"}]}", "ada"),
    ] {
        asked.take("", tool, arguments).await;
        asked = rig.model.asked().await;
        let result = asked.results().pop().unwrap();
        assert!(result.contains("error") && result.contains(complaint), "{tool}: {result}");
    }
    asked.say("I give up").await;
    rig.carrier.sent(1).await;
    assert_eq!(rig.carrier.texts(), ["I give up"]);
}

#[tokio::test]
async fn when_no_model_answers_the_fallback_is_sent_once() {
    let rig = Rig::texts(talks(json!({ "fallback": "Sorry, later." }))).await;
    rig.text("hello").await;
    rig.model.asked().await.fail().await;
    assert_eq!(rig.carrier.sent(1).await[0].text, "Sorry, later.");
    rig.text("and now?").await;
    rig.model.asked().await.say("here I am").await;
    rig.carrier.sent(2).await;
    assert_eq!(rig.carrier.texts(), ["Sorry, later.", "here I am"]);
}

#[tokio::test]
async fn a_long_reply_is_cut_at_a_sentence() {
    let rig = Rig::texts(talks(json!({ "max_segments": 1 }))).await;
    rig.text("tell me all").await;
    let sentence = "This sentence has exactly forty letters. ";
    rig.model.asked().await.say(&sentence.repeat(10)).await;
    let expected = format!("{}Reply MORE for the rest.", sentence.repeat(3));
    assert_eq!(rig.carrier.sent(1).await[0].text, expected);
}

#[tokio::test]
async fn a_run_that_waits_for_the_reply_goes_on_after_it() {
    let mut flow = talks(json!({}));
    flow[0]["option"]["wait"] = true.into();
    flow.as_array_mut().unwrap().push(
        json!({ "id": "after", "type": "send_message", "option": { "text": "anything else?" } }),
    );
    let rig = Rig::texts(flow).await;
    rig.text("hello").await;
    let asked = rig.model.asked().await;
    assert_eq!(rig.runs().await[0].state.waiting().unwrap().what, "ai_talk");
    asked.say("hi").await;
    rig.carrier.sent(2).await;
    assert_eq!(rig.carrier.texts(), ["hi", "anything else?"]);
    let runs = rig.ended(1).await;
    assert_eq!(rig.steps(&runs[0].id).await, ["agent done", "after done"]);
}

#[tokio::test]
async fn an_empty_answer_is_none() {
    let rig = Rig::texts(talks(json!({ "fallback": "Sorry, later." }))).await;
    rig.text("hello").await;
    rig.model.asked().await.say("  ").await;
    assert_eq!(rig.carrier.sent(1).await[0].text, "Sorry, later.");
}

#[tokio::test]
async fn a_tool_that_ends_the_run_ends_it_after_the_goodbye() {
    let mut flow = talks(json!({ "tool_names": ["stop"] }));
    flow[0]["option"]["wait"] = true.into();
    let more = json!({ "type": "send_message", "option": { "text": "never sent" } });
    flow.as_array_mut().unwrap().push(more);
    let rig = Rig::texts(flow).await;
    rig.text("enough").await;
    rig.model.asked().await.take("Goodbye!", "stop", "{}").await;
    rig.carrier.sent(1).await;
    assert_eq!(rig.ended(1).await[0].outcome, Some(flow::Outcome::Stopped));
    assert_eq!(rig.carrier.texts(), ["Goodbye!"]);
}
