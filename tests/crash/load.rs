//! Many people who text: each in order, each text brought until it is taken, some brought twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tests::double::twilio::Form;
use tests::python::Signer;
use tests::rig::{PUBLIC, http, text_form};

use crate::fleet::Fleet;

/// How long the carrier waits for an answer to a webhook, then it brings it to another worker.
const ANSWER: Duration = Duration::from_secs(4);
/// How long after a text was taken it may be brought once more.
const AGAIN: Duration = Duration::from_secs(3);

/// What is to be texted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// People. Those with an odd number are answered by an agent.
    pub(crate) threads: usize,
    /// Texts of each.
    pub(crate) each: usize,
    /// The time that all of it takes when nothing goes wrong.
    pub(crate) over: Duration,
}

/// How it went.
#[derive(Debug, Default)]
pub(crate) struct Brought {
    /// Webhooks that were taken.
    pub(crate) taken: AtomicUsize,
    /// Webhooks that got no 2xx.
    pub(crate) refused: AtomicUsize,
    /// Webhooks that were brought again though they had been taken.
    pub(crate) again: AtomicUsize,
}

/// Who texts.
pub(crate) fn peer(thread: usize) -> String {
    format!("+1555{thread:07}")
}

/// What is written: who answers follows from it.
pub(crate) fn words(thread: usize, n: usize) -> String {
    let who = if thread % 2 == 1 { "ai" } else { "echo" };
    format!("{who}-{n}")
}

impl Load {
    /// Brings all of it.
    pub(crate) async fn bring(self, fleet: &Arc<Fleet>, signer: &Arc<Signer>) -> Arc<Brought> {
        let brought = Arc::<Brought>::default();
        let mut people = tokio::task::JoinSet::new();
        for thread in 0..self.threads {
            let (fleet, signer) = (Arc::clone(fleet), Arc::clone(signer));
            let brought = Arc::clone(&brought);
            people.spawn(async move {
                let mut doubles = tokio::task::JoinSet::new();
                let pause = self.over / u32::try_from(self.each).unwrap();
                // Not all at once.
                tokio::time::sleep(pause.mul_f64(rand::random())).await;
                for n in 0..self.each {
                    let form = text_form(&peer(thread), &words(thread, n));
                    let signature = signer.sign(&address(), &form).await;
                    insist(&fleet, &form, &signature, &brought).await;
                    brought.taken.fetch_add(1, Ordering::Relaxed);
                    if rand::random_bool(0.1) {
                        let (fleet, brought) = (Arc::clone(&fleet), Arc::clone(&brought));
                        doubles.spawn(async move {
                            tokio::time::sleep(AGAIN.mul_f64(rand::random())).await;
                            insist(&fleet, &form, &signature, &brought).await;
                            brought.again.fetch_add(1, Ordering::Relaxed);
                        });
                    }
                    tokio::time::sleep(pause.mul_f64(2.0 * rand::random::<f64>())).await;
                }
                doubles.join_all().await;
            });
        }
        people.join_all().await;
        brought
    }
}

fn address() -> String {
    format!("{PUBLIC}/twilio/messages")
}

/// Brings a webhook to one worker after the other until one takes it.
async fn insist(fleet: &Fleet, form: &Form, signature: &str, brought: &Brought) {
    loop {
        let answer = http()
            .post(format!("http://{}/twilio/messages", fleet.any()))
            .header("X-Twilio-Signature", signature)
            .form(form)
            .timeout(ANSWER)
            .send()
            .await;
        match answer {
            Ok(answer) if answer.status().is_success() => return,
            Ok(answer) if answer.status().is_server_error() => {}
            // A test that forges its own webhooks shall not wait for ever.
            Ok(answer) => panic!("a webhook was answered {}", answer.status()),
            Err(_) => {}
        }
        brought.refused.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
