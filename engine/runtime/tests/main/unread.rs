//! A peer comes for texts of ours: after what he has seen, in order, whoever sent them.

use conversation::{Address, Inbox, Outgoing, Reader, Receipt, Refusal, Status, Tenant};
use runtime::Runtime;
use serde_json::json;

use crate::rig::{OURS, PEER, Rig};
use crate::world::soon;

async fn rig() -> Rig {
    let say = json!({ "type": "send_message", "option": { "text": "re: ${message.text}" } });
    Rig::texts(json!([say])).await
}

fn reader(seen: Option<&str>) -> Reader {
    Reader {
        tenant: Tenant::default(),
        channel: "twilio".into(),
        ours: Address::phone(OURS).unwrap(),
        peer: Address::phone(PEER).unwrap(),
        seen: seen.map(Into::into),
    }
}

/// So many texts, of which each comes after the one before it.
async fn read(runtime: &Runtime, seen: Option<&str>, count: usize) -> Vec<Outgoing> {
    let mut reader = reader(seen);
    let mut all = Vec::new();
    while all.len() < count {
        let texts = soon("texts for a reader", runtime.unread(reader.clone())).await;
        reader.seen = texts.last().map(|text| text.key.clone());
        all.extend(texts);
    }
    all
}

fn words(texts: &[Outgoing]) -> Vec<&str> {
    texts.iter().map(|text| text.text.as_str()).collect()
}

#[tokio::test]
async fn what_was_seen_or_delivered_is_not_read_again() {
    let rig = rig().await;
    for text in ["one", "two", "three"] {
        rig.text(text).await;
    }
    let all = read(rig.runtime(), None, 3).await;
    assert_eq!(words(&all), ["re: one", "re: two", "re: three"]);
    let rest = read(rig.runtime(), Some(&all[0].key), 2).await;
    assert_eq!(words(&rest), ["re: two", "re: three"]);
    // Without a receipt nobody knows; what is no key of the thread says nothing.
    assert_eq!(read(rig.runtime(), None, 3).await, all);
    let row = rig.store.outbox(&all[1].key).await.unwrap().unwrap();
    let receipt = Receipt {
        channel: "twilio".into(),
        carrier_id: row.carrier_id.unwrap(),
        status: Status::Delivered,
        code: None,
    };
    rig.runtime().receipt(receipt).await.unwrap();
    for seen in [None, Some("nonsense")] {
        assert_eq!(words(&read(rig.runtime(), seen, 1).await), ["re: three"]);
    }
}

#[tokio::test]
async fn who_waits_reads_what_any_process_sends() {
    let mut rig = rig().await;
    rig.start();
    let (here, there) = tokio::join!(read(rig.runtime(), None, 20), async {
        for n in 0..20 {
            rig.text(&n.to_string()).await;
        }
        read(rig.other(), None, 20).await
    });
    let wanted: Vec<String> = (0..20).map(|n| format!("re: {n}")).collect();
    assert_eq!(words(&here), wanted);
    assert_eq!(here, there);
}

#[tokio::test]
async fn what_waits_is_not_overtaken_and_what_failed_is_passed_over() {
    let rig = rig().await;
    rig.carrier.refuse(Refusal::Later { why: "too many".into(), after: None });
    rig.text("one").await;
    rig.carrier.tried(1).await;
    rig.text("two").await;
    rig.handled(2).await;
    let texts = tokio::select! {
        texts = read(rig.runtime(), None, 2) => texts,
        () = rig.goes_on() => unreachable!(),
    };
    assert_eq!(words(&texts), ["re: one", "re: two"]);
    rig.carrier.refuse(Refusal::Never { code: "30003".into(), why: "unreachable".into() });
    rig.text("three").await;
    rig.ended(3).await;
    rig.text("four").await;
    let texts = read(rig.runtime(), Some(&texts[1].key), 1).await;
    assert_eq!(words(&texts), ["re: four"]);
}
