//! What is wanted outside, what calls of other processes are told, and what the API answered.

use conversation::Tenant;
use flow::{Command, Deed, Event, Key};
use store::row::{AnswerRow, DeedRow, ToldRow};
use store::{Error, FlowRow, Write};

use crate::rig::{at, on_each, timer};

fn deed(key: &str) -> DeedRow {
    let deed = Deed::Service { name: "send_email".into(), option: serde_json::json!({ "a": 1 }) };
    let command = Command { key: Key(key.into()), deed };
    DeedRow { tenant: Tenant::default(), run: "r1".into(), command, created: at(1) }
}

#[tokio::test]
async fn a_deed_is_kept_until_its_end_which_counts_once() {
    on_each(|store| async move {
        store.commit(vec![Write::Deed(deed("k1"))]).await.unwrap();
        let other = DeedRow { run: "r2".into(), ..deed("k1") };
        store.commit(vec![Write::Deed(other)]).await.unwrap();
        assert_eq!(store.deed("k1").await.unwrap(), Some(deed("k1")));
        assert_eq!(store.deed("k2").await.unwrap(), None);
        let did = |seconds| vec![Write::Did { key: "k1".into(), until: at(seconds) }];
        assert!(matches!(store.commit(did(9)).await, Err(Error::Conflict { .. })), "nobody's");
        store
            .commit(vec![Write::Timer(timer("deed", 1)), Write::Timer(timer("b", 20))])
            .await
            .unwrap();
        assert_eq!(store.claim_deed("k1", at(2), at(9), "deed").await.unwrap(), Some(deed("k1")));
        assert_eq!(store.next_due().await.unwrap(), Some(at(9)));
        // It is ours alone, and then whoever's comes next.
        assert_eq!(store.claim_deed("k1", at(8), at(15), "deed").await.unwrap(), None);
        assert_eq!(store.claim_deed("k1", at(9), at(16), "deed").await.unwrap(), Some(deed("k1")));
        assert!(matches!(store.commit(did(9)).await, Err(Error::Conflict { .. })), "not ours");
        store.commit(did(16)).await.unwrap();
        assert!(matches!(store.commit(did(16)).await, Err(Error::Conflict { .. })), "over");
        assert_eq!(store.deed("k1").await.unwrap(), None);
        let fired = || vec![Write::Fired { id: "deed".into() }];
        store.commit(fired()).await.unwrap();
        assert!(matches!(store.commit(fired()).await, Err(Error::Conflict { .. })));
        assert_eq!(store.claim_deed("k1", at(99), at(100), "deed").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn an_event_for_a_call_is_heard_once() {
    on_each(|store| async move {
        let event = |id: &str, seconds| {
            let event = Event::Stopped { why: "enough".into() };
            ToldRow { id: id.into(), run: "r1".into(), event, at: at(seconds) }
        };
        let later = event("a", 2);
        store.commit(vec![Write::Tell(later.clone()), Write::Tell(event("b", 1))]).await.unwrap();
        assert_eq!(store.told(10).await.unwrap(), [event("b", 1), later.clone()]);
        let heard = || vec![Write::Heard { id: "b".into() }];
        store.commit(heard()).await.unwrap();
        assert!(matches!(store.commit(heard()).await, Err(Error::Conflict { .. })));
        assert_eq!(store.told(10).await.unwrap(), [later]);
    })
    .await;
}

#[tokio::test]
async fn a_request_with_a_key_is_answered_once_in_48_hours() {
    on_each(|store| async move {
        let asked = |request: &str, seconds| AnswerRow {
            key: "k".into(),
            request: request.into(),
            status: 0,
            body: String::new(),
            at: at(seconds),
        };
        let ask = async |row: AnswerRow| store.commit(vec![Write::Ask(row)]).await;
        ask(asked("a", 0)).await.unwrap();
        // Somebody is at it, or died at it a minute ago.
        assert_eq!(ask(asked("a", 59)).await, Err(Error::Duplicate));
        assert_eq!(ask(asked("b", 61)).await, Err(Error::Duplicate));
        ask(asked("a", 61)).await.unwrap();
        let answered = AnswerRow { status: 200, body: "{}".into(), ..asked("a", 61) };
        store.commit(vec![Write::Answer(answered.clone())]).await.unwrap();
        assert_eq!(ask(asked("a", 9_000)).await, Err(Error::Duplicate));
        assert_eq!(store.answer("k").await.unwrap(), Some(answered));
        ask(asked("b", 61 + 48 * 3600 + 1)).await.unwrap();
        assert_eq!(store.answer("k").await.unwrap().unwrap().request, "b");
        store.commit(vec![Write::Answer(asked("b", 0))]).await.unwrap();
        assert_eq!(store.answer("k").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_flow_is_found_by_name_within_its_tenant() {
    on_each(|store| async move {
        let flow = |id: &str, tenant: &str, seconds| FlowRow {
            id: id.into(),
            tenant: Tenant(tenant.into()),
            name: "after".into(),
            text: "[]".into(),
            created: at(seconds),
        };
        let rows = [flow("v1", "one", 1), flow("v2", "one", 2), flow("v3", "two", 3)];
        store.commit(rows.iter().cloned().map(Write::Flow).collect()).await.unwrap();
        let (one, three) = (Tenant("one".into()), Tenant("three".into()));
        assert_eq!(store.flow_named(&one, "after").await.unwrap(), Some(rows[1].clone()));
        assert_eq!(store.flow_named(&one, "v1").await.unwrap(), Some(rows[0].clone()));
        assert_eq!(store.flow_named(&one, "v3").await.unwrap(), None);
        assert_eq!(store.flow_named(&three, "after").await.unwrap(), None);
    })
    .await;
}
