//! A model that hears and speaks by itself, and fails at random.

use std::sync::Arc;

use agent::{Error, ToolCall, Usage};
use async_trait::async_trait;
use audio::Frame;
use talk::{Brief, Conversing, Duplex, Tell, Told, TurnId};
use tokio::sync::mpsc;

use crate::faulty::{Faulty, Fuse, GHOST, World, opens};
use crate::rig::{LETTER, RATE};

#[async_trait]
impl Duplex for Faulty {
    async fn open(&self, _: Brief) -> Result<Conversing, Error> {
        let fuse = Fuse(opens(self.world.fault("duplex", self.chance)).await?);
        let (tell, tells) = mpsc::channel(64);
        let (give, told) = mpsc::channel(64);
        tokio::spawn(converses(Arc::clone(&self.world), self.chance / 3, fuse, tells, give));
        Ok(Conversing { tell, told })
    }
}

/// Answers, speaks what it is told to but for some of it, and goes on with turns that were cut.
async fn converses(
    world: Arc<World>,
    mute: u64,
    mut fuse: Fuse,
    mut tells: mpsc::Receiver<Tell>,
    give: mpsc::Sender<Result<Told, Error>>,
) {
    while let Some(tell) = tells.recv().await {
        let said = match tell {
            Tell::Ask { turn, .. } => answer(&world, turn),
            Tell::Say { turn, words } if world.below(100) < mute => {
                world.faults.lock().unwrap().push("duplex does not say its words".into());
                // All of them, or what comes after their beginning.
                let mut said = sound(&world, turn, &words);
                said.truncate(world.below(2) as usize);
                said
            }
            Tell::Say { turn, words } => {
                [sound(&world, turn, &words), vec![Told::Said(turn)]].concat()
            }
            Tell::Cut { turn, .. } if world.below(2) == 0 => sound(&world, turn, GHOST),
            Tell::Cut { .. } | Tell::Voice | Tell::Frame(_) => continue,
            Tell::Noise | Tell::Result { .. } => continue,
        };
        for told in said {
            if matches!(told, Told::Text(..) | Told::Call(..)) {
                world.waits(20, 300).await;
            }
            if fuse.blows(&give).await || give.send(Ok(told)).await.is_err() {
                return;
            }
        }
    }
}

fn answer(world: &World, turn: TurnId) -> Vec<Told> {
    let heard = world.saying.lock().unwrap().clone();
    let mut said = vec![Told::Heard(turn, heard)];
    for n in 0..1 + world.below(3) {
        let words = format!("This is sentence {n} of an answer.");
        said.push(Told::Text(turn, format!("{words} ")));
        said.extend(sound(world, turn, &words));
    }
    if world.below(4) == 0 {
        let id = format!("c{}", world.below(1_000_000));
        let call = ToolCall { id, name: "look_up".into(), arguments: "{}".into() };
        said.push(Told::Call(turn, call));
    }
    said.push(Told::End(turn, Usage::default()));
    said
}

fn sound(world: &World, turn: TurnId, words: &str) -> Vec<Told> {
    let number = {
        let mut log = world.log.lock().unwrap();
        log.texts.push(words.to_owned());
        log.texts.len()
    };
    let length = words.len() * LETTER as usize * RATE as usize / 1000;
    let samples = vec![number as i16 * 100; length];
    let frame = |piece: &[i16]| Frame { rate: RATE, samples: piece.to_vec() };
    samples.chunks(4_000).map(|piece| Told::Sound(turn, frame(piece))).collect()
}
