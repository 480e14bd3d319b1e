//! How fast a number may send, whoever asks.

use std::sync::Arc;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use store::{Store, Tokens};

use crate::rig::{at, on_each};

/// Two a second, saved up for a second.
async fn ask(
    store: &Arc<dyn Store>,
    lane: &str,
    ms: i64,
    wanted: i64,
    reply: bool,
) -> Result<i64, Timestamp> {
    let (lane, now) = (lane.to_owned(), after(ms));
    let each = SignedDuration::from_millis(500);
    store.tokens(&Tokens { lane, now, each, most: 2, wanted, reply }).await.unwrap()
}

fn after(ms: i64) -> Timestamp {
    at(0) + SignedDuration::from_millis(ms)
}

#[tokio::test]
async fn a_lane_gives_what_time_brings_and_saves_up_no_more_than_fits() {
    on_each(|store| async move {
        assert_eq!(ask(&store, "a", 0, 1, false).await, Ok(1));
        assert_eq!(ask(&store, "a", 0, 5, false).await, Ok(1));
        assert_eq!(ask(&store, "a", 0, 1, false).await, Err(after(500)));
        assert_eq!(ask(&store, "b", 0, 5, false).await, Ok(2));
        assert_eq!(ask(&store, "a", 499, 1, false).await, Err(after(500)));
        assert_eq!(ask(&store, "a", 500, 1, false).await, Ok(1));
        assert_eq!(ask(&store, "a", 60_000, 9, false).await, Ok(2));
        assert_eq!(ask(&store, "a", 60_000, 9, false).await, Err(after(60_500)));
        // Time that goes backwards brings nothing.
        assert_eq!(ask(&store, "a", 59_000, 9, false).await, Err(after(60_500)));
    })
    .await;
}

#[tokio::test]
async fn replies_that_wait_go_before_the_rest() {
    on_each(|store| async move {
        assert_eq!(ask(&store, "a", 0, 2, false).await, Ok(2));
        assert_eq!(ask(&store, "a", 0, 1, true).await, Err(after(500)));
        assert_eq!(ask(&store, "a", 0, 1, true).await, Err(after(1000)));
        assert_eq!(ask(&store, "a", 500, 1, false).await, Err(after(1500)));
        assert_eq!(ask(&store, "a", 500, 1, true).await, Ok(1));
        assert_eq!(ask(&store, "a", 1000, 1, true).await, Ok(1));
        assert_eq!(ask(&store, "a", 1500, 1, false).await, Ok(1));
    })
    .await;
}

#[tokio::test]
async fn whoever_asks_at_once_gets_no_more_than_there_is() {
    on_each(|store| async move {
        let asked = join_all((0..40).map(|n| {
            let store = Arc::clone(&store);
            async move { ask(&store, if n % 2 == 0 { "a" } else { "b" }, 0, 1, false).await }
        }));
        assert_eq!(asked.await.into_iter().flatten().count(), 4);
    })
    .await;
}
