//! The first words of a call that is made: begun while it rings, where they are certain.

use std::sync::{Arc, Mutex};

use agent::{Config, Error, Llm, Models};
use async_trait::async_trait;
use call::{Dialled, Progress, Vendors};
use serde_json::{Value, json};
use talk::{Say, Speaking, Stt, Tts, Voice};
use tokio::sync::mpsc;

use crate::made::{Lines, out};
use crate::rig::Rig;

/// One voice, which says nothing; what it was told, and how often it was given up.
#[derive(Clone, Default)]
struct Studio {
    told: Arc<Mutex<Vec<String>>>,
    dropped: Arc<Mutex<usize>>,
}

impl Models for Studio {
    fn llm(&self, _: &Config) -> Result<Vec<Arc<dyn Llm>>, Error> {
        Ok(Vec::new())
    }
}

impl Vendors for Studio {
    fn stt(&self, _: &Config) -> Result<Vec<Arc<dyn Stt>>, Error> {
        Ok(Vec::new())
    }

    fn tts(&self, _: &Config) -> Result<Vec<Arc<dyn Tts>>, Error> {
        Ok(vec![Arc::new(self.clone())])
    }
}

#[async_trait]
impl Tts for Studio {
    async fn open(&self, _: Voice) -> Result<Speaking, Error> {
        let (say, mut says) = mpsc::channel(4);
        let (keep, sound) = mpsc::channel(4);
        let studio = self.clone();
        tokio::spawn(async move {
            while let Some(say) = says.recv().await {
                if let Say::Text(_, text) = say {
                    studio.told.lock().unwrap().push(text);
                }
            }
            *studio.dropped.lock().unwrap() += 1;
            drop(keep);
        });
        Ok(Speaking { say, sound })
    }
}

async fn rings(flow: Value) -> (Rig, Arc<Lines>, Studio) {
    let (lines, studio) = (Arc::new(Lines::default()), Studio::default());
    let mut rig = Rig::idle(json!([{ "type": "stop" }])).await;
    rig.dialers.push(lines.clone());
    let vendors = studio.clone();
    rig.alter = Some(Box::new(move |parts| parts.vendors = Arc::new(vendors.clone())));
    rig.start();
    rig.runtime().call_out(out(flow)).await.unwrap();
    rig.until("the dial", async || lines.count() == 1).await;
    lines.becomes(0, Progress::Ringing).await;
    (rig, lines, studio)
}

fn talks() -> Value {
    json!({ "type": "ai_talk", "option": { "ai": { "engine_model": "openai.gpt-4o-mini",
        "greeting": "Hello, it is about the ${why}." } } })
}

#[tokio::test]
async fn a_certain_greeting_is_begun_while_it_rings_and_dropped_where_nobody_hears_it() {
    let (rig, lines, studio) = rings(json!([{ "type": "answer" }, talks()])).await;
    rig.until("the greeting", async || !studio.told.lock().unwrap().is_empty()).await;
    assert_eq!(*studio.told.lock().unwrap(), ["Hello, it is about the rent."]);
    assert_eq!(*studio.dropped.lock().unwrap(), 0);
    lines.becomes(0, Progress::Ended(Dialled::Busy.into())).await;
    rig.until("it to be given up", async || *studio.dropped.lock().unwrap() == 1).await;
    assert_eq!(studio.told.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_not_certain_is_not_begun() {
    let first = json!({ "type": "detect_machine", "on": { "machine": "bye", "failed": "bye" } });
    let bye = json!({ "id": "bye", "type": "hangup" });
    let (rig, lines, studio) = rings(json!([first, talks(), bye])).await;
    lines.becomes(0, Progress::Ended(Dialled::Busy.into())).await;
    rig.until("it to be over", async || lines.dial_is_over(0)).await;
    assert!(studio.told.lock().unwrap().is_empty());
}
