//! The caller's leg: plays in time what it is given, and brings his voice.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use audio::Frame;
use talk::{Inbound, Outbound};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::rig::{Log, RATE};

/// Plays what it is given at its time, echoes marks, clears; and brings the caller's sound.
pub(crate) async fn carrier(
    mut outbound: mpsc::Receiver<Outbound>,
    inbound: mpsc::Sender<Inbound>,
    log: Arc<Mutex<Log>>,
    speaking: Arc<Mutex<bool>>,
    start: Instant,
) {
    let mut buffer: VecDeque<Outbound> = VecDeque::new();
    let mut ticks = interval(Duration::from_millis(20));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut voice = vowel().into_iter().cycle();
    loop {
        tokio::select! {
            biased;
            came = outbound.recv() => match came {
                None => return,
                Some(Outbound::Clear) => {
                    log.lock().unwrap().clears.push(start.elapsed().as_millis() as u64);
                    for dropped in buffer.drain(..) {
                        if let Outbound::Mark(mark) = dropped {
                            let _ = inbound.send(Inbound::Mark(mark)).await;
                        }
                    }
                }
                Some(other) => buffer.push_back(other),
            },
            _ = ticks.tick() => {
                let now = start.elapsed().as_millis() as u64;
                let mut played = false;
                while let Some(next) = buffer.pop_front() {
                    match next {
                        Outbound::Frame(frame) if !played => {
                            played = true;
                            assert_eq!(frame.samples.len(), 160);
                            if let Some(text) = (frame.samples[80] as usize / 100).checked_sub(1) {
                                log.lock().unwrap().played.push((now, text));
                            }
                        }
                        Outbound::Mark(mark) => { let _ = inbound.send(Inbound::Mark(mark)).await; }
                        other => { buffer.push_front(other); break; }
                    }
                }
                let samples = if *speaking.lock().unwrap() { voice.by_ref().take(160).collect() } else { vec![0; 160] };
                let _ = inbound.send(Inbound::Frame(Frame { rate: RATE, samples })).await;
            }
        }
    }
}

/// A second of a voice: pulses through the resonances of a mouth.
fn vowel() -> Vec<i16> {
    use std::f64::consts::PI;
    let rate = f64::from(RATE);
    let mut sound: Vec<f64> = (0..RATE).map(|n| if n % 66 == 0 { 1.0 } else { 0.0 }).collect();
    for (hertz, width) in [(700.0, 90.0), (1220.0, 110.0), (2600.0, 170.0)] {
        let r = (-PI * width / rate).exp();
        let (a, b) = (2.0 * r * (2.0 * PI * hertz / rate).cos(), -r * r);
        let (mut one, mut two) = (0.0, 0.0);
        for sample in &mut sound {
            let out = *sample + a * one + b * two;
            (two, one) = (one, out);
            *sample = out;
        }
    }
    let loudest = sound.iter().fold(1e-9_f64, |max, s| max.max(s.abs()));
    sound.iter().map(|s| (s / loudest * 12_000.0) as i16).collect()
}
