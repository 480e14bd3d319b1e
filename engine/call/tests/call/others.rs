//! Others who can be dialed: what each of them does when the phone rings, and what they hear.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use audio::Frame;
use call::{
    Arrival, Control, Dialer, HangupCause, Inbound, Leg, NotReached, Outbound, Progress, Ringing,
    Unable, Wanted,
};
use call::{Destination, Dialled};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

/// What somebody does when it rings, after so many milliseconds.
#[derive(Clone, Copy)]
pub(crate) enum Does {
    /// Picks up.
    Answers(u64),
    /// Plays something first, then picks up.
    PlaysAndAnswers(u64, u64),
    /// Plays something first, then is busy.
    PlaysAndEnds(u64, u64),
    Ends(u64, Dialled),
    /// Rings for ever.
    Nothing,
    /// The carrier does not take it.
    Refused,
}

/// What was seen over there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum There {
    Wanted(String, u64),
    Frame(u32, usize, i16),
    Key(char),
    Mark,
    Cancelled,
    /// Our side let go of the leg.
    LetGo,
}

/// A carrier that dials others of one kind.
pub(crate) struct Others {
    pub(crate) manners: HashMap<String, Does>,
    pub(crate) rate: u32,
    /// Whether the carrier presses keys for us.
    pub(crate) keys: bool,
    pub(crate) record: Mutex<Vec<(u64, String, There)>>,
    pub(crate) voices: Mutex<HashMap<String, mpsc::Sender<Inbound>>>,
    pub(crate) last: Mutex<Option<Wanted>>,
    start: Instant,
}

impl Others {
    pub(crate) fn new(rate: u32, keys: bool, manners: &[(&str, Does)]) -> Arc<Self> {
        let manners = manners.iter().map(|(to, does)| ((*to).to_owned(), *does)).collect();
        let (record, voices, start) = (Mutex::default(), Mutex::default(), Instant::now());
        Arc::new(Self { manners, rate, keys, record, voices, last: Mutex::default(), start })
    }

    fn see(&self, who: &str, there: There) {
        let at = self.start.elapsed().as_millis() as u64;
        self.record.lock().unwrap().push((at, who.into(), there));
    }

    /// Everything but sound that was seen at somebody's, and when.
    pub(crate) fn acts(&self, who: &str) -> Vec<(u64, There)> {
        let record = self.record.lock().unwrap();
        let own = record.iter().filter(|(_, other, _)| other == who);
        own.filter(|(_, _, there)| !matches!(there, There::Frame(..) | There::Mark))
            .map(|(at, _, there)| (*at, there.clone()))
            .collect()
    }

    /// What somebody heard: rate, samples, the one in the middle.
    pub(crate) fn heard(&self, who: &str) -> Vec<(u32, usize, i16)> {
        let record = self.record.lock().unwrap();
        let own = record.iter().filter(|(_, other, _)| other == who);
        own.filter_map(|(_, _, there)| match there {
            There::Frame(rate, length, middle) => Some((*rate, *length, *middle)),
            _ => None,
        })
        .collect()
    }

    /// Somebody who picked up does or says something.
    pub(crate) async fn say(&self, who: &str, what: Inbound) {
        let voice = self.voices.lock().unwrap().get(who).unwrap().clone();
        let _ = voice.send(what).await;
    }

    /// 20 ms of somebody's voice.
    pub(crate) async fn speak(&self, who: &str, sample: i16) {
        let samples = vec![sample; self.rate as usize / 50];
        self.say(who, Inbound::Frame(Frame { rate: self.rate, samples })).await;
    }

    fn leg(self: &Arc<Self>, wanted: &Wanted) -> Leg {
        let who = wanted.to.target.clone();
        let (inbound, heard) = mpsc::channel(64);
        let (given, mut outbound) = mpsc::channel(64);
        self.voices.lock().unwrap().insert(who.clone(), inbound.clone());
        let others = Arc::clone(self);
        let me = who.clone();
        tokio::spawn(async move {
            while let Some(given) = outbound.recv().await {
                match given {
                    Outbound::Frame(Frame { rate, samples }) => {
                        let middle = samples[samples.len() / 2];
                        others.see(&me, There::Frame(rate, samples.len(), middle));
                    }
                    Outbound::Mark(id) => {
                        others.see(&me, There::Mark);
                        let _ = inbound.send(Inbound::Mark(id)).await;
                    }
                    Outbound::Clear => {}
                }
            }
            others.see(&me, There::LetGo);
        });
        let arrival = Arrival {
            carrier: "other".into(),
            carrier_id: format!("leg to {who}"),
            from: wanted.from.clone(),
            to: who.clone(),
        };
        let control = Arc::new(Far { others: Arc::clone(self), who });
        Leg { arrival, rate: self.rate, inbound: heard, outbound: given, control }
    }
}

struct Far {
    others: Arc<Others>,
    who: String,
}

#[async_trait]
impl Control for Far {
    async fn answer(&self) -> Result<(), String> {
        Ok(())
    }

    async fn hangup(&self, _: HangupCause) -> Result<(), String> {
        Ok(())
    }

    async fn send_digits(&self, keys: &str) -> Result<(), Unable> {
        if !self.others.keys {
            return Err(Unable::Cannot);
        }
        keys.chars().for_each(|key| self.others.see(&self.who, There::Key(key)));
        Ok(())
    }
}

/// What calls are given to dial with.
pub(crate) struct Way(pub(crate) Arc<Others>);

#[async_trait]
impl Dialer for Way {
    fn carrier(&self) -> &'static str {
        "other"
    }

    fn reaches(&self, to: &Destination) -> bool {
        to.kind == "tel"
    }

    async fn dial(&self, wanted: Wanted) -> Result<Ringing, NotReached> {
        let others = Arc::clone(&self.0);
        let who = wanted.to.target.clone();
        others.see(&who, There::Wanted(wanted.from.clone(), wanted.ring.as_secs()));
        *others.last.lock().unwrap() = Some(wanted.clone());
        let does = others.manners[&who];
        if matches!(does, Does::Refused) {
            return Err(NotReached::failed("the carrier does not want to"));
        }
        let (tell, ringing) = Ringing::pair("leg");
        tokio::spawn(async move {
            let cancelled = tell.clone();
            let rings = async {
                let _ = tell.send(Progress::Ringing).await;
                let wait = |millis| sleep(Duration::from_millis(millis));
                match does {
                    Does::Answers(after) => {
                        wait(after).await;
                        Progress::Answered(Some(others.leg(&wanted)))
                    }
                    Does::PlaysAndAnswers(plays, after) => {
                        wait(plays).await;
                        let _ = tell.send(Progress::EarlyMedia(others.leg(&wanted))).await;
                        wait(after).await;
                        Progress::Answered(None)
                    }
                    Does::PlaysAndEnds(plays, after) => {
                        wait(plays).await;
                        let _ = tell.send(Progress::EarlyMedia(others.leg(&wanted))).await;
                        wait(after).await;
                        Progress::Ended(Dialled::Busy.into())
                    }
                    Does::Ends(after, how) => {
                        wait(after).await;
                        Progress::Ended(how.into())
                    }
                    Does::Nothing | Does::Refused => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = cancelled.closed() => others.see(&who, There::Cancelled),
                last = rings => {
                    let _ = tell.send(last).await;
                }
            }
        });
        Ok(ringing)
    }
}
