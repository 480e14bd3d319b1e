//! Two legs in one conversation: dials, keeps the caller company meanwhile, and lets both hear each
//! other until one of them hangs up.
//!
//! All are dialed at once and the first that picks up wins; the others are cancelled by letting go
//! of them. Whatever happens, the caller is listened to: a caller who is gone ends it all.

use std::sync::Arc;
use std::time::Duration;

use agent::Config;
use audio::resample::Resampler;
use audio::{Frame, Rate, dtmf};
use flow::Destination;
use talk::{Inbound, Outbound};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use crate::deeds;
use crate::dialer::{self, Dialer, NotReached, Progress, Wanted};
use crate::leg::{Control, Dial, Dialled, Leg, Unable};
use crate::player::Player;
use crate::session::{Finish, Gone, Line};

/// What a caller hears while it rings, unless the flow says something else.
const RINGING: &str = "tone:ringback";

/// Whether a dialer reaches any of them.
pub(crate) fn reaches(line: &Line, to: &[Destination]) -> bool {
    to.iter().any(|to| choose(line, to).is_some())
}

fn choose<'a>(line: &'a Line, to: &Destination) -> Option<&'a Arc<dyn Dialer>> {
    dialer::choose(&line.means.dialers, &line.arrival.carrier, to)
}

/// Dials, and bridges the caller to the first that picks up.
pub(crate) async fn connect(line: &mut Line, dial: Dial) -> Result<Finish, Gone> {
    let mut company = Company::new(line, dial.music.as_deref()).await?;
    match reach(line, &mut company, &dial).await? {
        Ok(reached) => put_through(line, &mut company, reached, &dial).await,
        Err(end) => {
            line.give(Outbound::Clear).await?;
            Ok(Finish::exit(end.how.exit(), end.why))
        }
    }
}

/// Which destination picked up, and its leg.
type Reached = (usize, Leg);

/// Dials until somebody picks up, or nobody will. Whoever else rings is let go of.
pub(crate) async fn reach(
    line: &mut Line,
    company: &mut Company,
    dial: &Dial,
) -> Result<Result<Reached, NotReached>, Gone> {
    let mut dials = Dials::begin(line, dial);
    ring(line, &mut dials, company, dial).await
}

/// Tells the far side who comes, and lets both talk until one of them has enough.
pub(crate) async fn put_through(
    line: &mut Line,
    company: &mut Company,
    (at, leg): Reached,
    dial: &Dial,
) -> Result<Finish, Gone> {
    let (reports, _unread) = mpsc::unbounded_channel();
    let mut far = Line::new(leg, line.means.clone(), reports);
    if let Some(text) = &dial.announce {
        let config = Config::default();
        let told = tokio::select! {
            biased;
            gone = company.keep(line) => return Err(gone),
            told = deeds::tell(&mut far, text, &config) => told,
        };
        if told.is_err() {
            line.give(Outbound::Clear).await?;
            return Ok(Finish::exit("rejected", "they hung up before they were connected"));
        }
    }
    line.give(Outbound::Clear).await?;
    let control = Arc::clone(&line.control);
    if let Err(why) = line.control(control.answer()).await? {
        return Ok(Finish::failed(why));
    }
    let began = Instant::now();
    let why = talk(line, &mut far, &dial.end_on).await?;
    let mut finish = Finish::exit(Dialled::AnsweredAndDone.exit(), why);
    let to = dial.destinations.get(at).map(|to| to.target.clone());
    finish.values.insert("destination".into(), to.into());
    finish.values.insert("duration_s".into(), began.elapsed().as_secs().into());
    Ok(finish)
}

/// Everybody who is dialed.
struct Dials {
    /// Which of them, and what became of it.
    happened: mpsc::Receiver<(usize, Progress)>,
    going: usize,
    end: Option<NotReached>,
}

impl Dials {
    fn begin(line: &Line, dial: &Dial) -> Self {
        let (tell, happened) = mpsc::channel(16);
        let mut dials = Self { happened, going: 0, end: None };
        let from = dial.source.as_ref().map_or(&line.arrival.to, |source| &source.target);
        for (at, to) in dial.destinations.iter().enumerate() {
            let Some(dialer) = choose(line, to) else {
                let why = format!("no carrier is configured that can dial `{}`", to.target);
                dials.ended(NotReached::failed(why));
                continue;
            };
            let wanted = Wanted {
                from: from.clone(),
                to: to.clone(),
                ring: dial.ring,
                early_media: dial.early_media,
                anonymous: dial.anonymous,
                detect_machine: false,
            };
            tokio::spawn(one(Arc::clone(dialer), wanted, at, tell.clone()));
            dials.going += 1;
        }
        dials
    }

    /// Of several reasons the one is told that says most about the people there.
    fn ended(&mut self, end: NotReached) {
        let weight = |end: &NotReached| match end.how {
            Dialled::Busy => 3,
            Dialled::Rejected => 2,
            Dialled::NoAnswer => 1,
            Dialled::AnsweredAndDone | Dialled::Failed => 0,
        };
        if self.end.as_ref().is_none_or(|told| weight(&end) > weight(told)) {
            self.end = Some(end);
        }
    }
}

/// Dials one and tells what becomes of it, until nobody listens: then it is cancelled.
async fn one(
    dialer: Arc<dyn Dialer>,
    wanted: Wanted,
    at: usize,
    tell: mpsc::Sender<(usize, Progress)>,
) {
    // Never cut off half way: what a carrier has taken can be cancelled only when we know of it.
    let mut ringing = match dialer.dial(wanted).await {
        Ok(ringing) => ringing,
        Err(end) => {
            let _ = tell.send((at, Progress::Ended(end))).await;
            return;
        }
    };
    loop {
        tokio::select! {
            biased;
            () = tell.closed() => return,
            progress = ringing.next() => {
                let last = matches!(progress, Progress::Answered(_) | Progress::Ended(_));
                if tell.send((at, progress)).await.is_err() || last {
                    return;
                }
            }
        }
    }
}

/// Until somebody picks up, or nobody will.
async fn ring(
    line: &mut Line,
    dials: &mut Dials,
    company: &mut Company,
    dial: &Dial,
) -> Result<Result<Reached, NotReached>, Gone> {
    let until = Instant::now() + dial.ring;
    // Legs that give sound already; the first is heard.
    let mut early: Vec<(usize, Leg)> = Vec::new();
    let mut way: Option<Way> = None;
    loop {
        if dials.going == 0 {
            let nobody = || NotReached::failed("there is nobody to dial");
            return Ok(Err(dials.end.take().unwrap_or_else(nobody)));
        }
        tokio::select! {
            biased;
            gone = company.keep(line) => return Err(gone),
            happened = dials.happened.recv() => {
                let lost = || (0, Progress::Ended(NotReached::failed("a dial was lost")));
                let (at, progress) = happened.unwrap_or_else(lost);
                let known = early.iter().position(|(other, _)| *other == at);
                match progress {
                    Progress::Ringing => {}
                    Progress::EarlyMedia(leg) => {
                        if dial.early_media && early.is_empty() {
                            company.quiet = true;
                            line.give(Outbound::Clear).await?;
                            way = Some(Way::between(leg.rate, line.rate));
                        }
                        early.push((at, leg));
                    }
                    Progress::Answered(leg) => {
                        if let Some(leg) = leg.or_else(|| known.map(|known| early.remove(known).1)) {
                            return Ok(Ok((at, leg)));
                        }
                        dials.going -= 1;
                        dials.ended(NotReached::failed("the carrier gave no leg"));
                    }
                    Progress::Ended(end) => {
                        if let Some(known) = known {
                            early.remove(known);
                            company.quiet = false;
                            way = None;
                        }
                        dials.going -= 1;
                        dials.ended(end);
                    }
                }
            }
            heard = sound_of(&mut early), if way.is_some() => match (heard, &mut way) {
                (Some(Inbound::Frame(frame)), Some(way)) => line.pass(way.turn(frame)),
                (None | Some(Inbound::Gone), _) => {
                    company.quiet = false;
                    way = None;
                }
                _ => {}
            },
            () = sleep_until(until) => return Ok(Err(Dialled::NoAnswer.into())),
        }
    }
}

async fn sound_of(early: &mut [(usize, Leg)]) -> Option<Inbound> {
    match early.first_mut() {
        Some((_, leg)) => leg.inbound.recv().await,
        None => std::future::pending().await,
    }
}

/// What the caller hears while nobody is there: a sound that begins again when it is over.
pub(crate) struct Company {
    player: Player,
    /// At the leg's rate.
    sound: Vec<i16>,
    at: usize,
    /// Whether something else is heard.
    quiet: bool,
}

impl Company {
    /// A sound that cannot be had is replaced by silence: the dial matters more.
    pub(crate) async fn new(line: &mut Line, music: Option<&str>) -> Result<Self, Gone> {
        let library = Arc::clone(&line.means.library);
        let source = music.unwrap_or(RINGING);
        let (rate, now) = (line.rate, Instant::now());
        let sound = line
            .control(async {
                let file = library.fetch(source).await?;
                let read = spawn_blocking(move || {
                    let sound = audio::wav::read(&file).map_err(|error| error.to_string())?.mono();
                    Ok(Resampler::new(sound.rate, rate).process(&sound.samples))
                });
                read.await.unwrap_or_else(|error| Err(error.to_string()))
            })
            .await?;
        let sound = sound.unwrap_or_else(|why: String| {
            tracing::warn!(
                call = line.arrival.carrier_id,
                source,
                why,
                "a caller waits in silence"
            );
            Vec::new()
        });
        Ok(Self { player: Player::new(rate, now), sound, at: 0, quiet: false })
    }

    /// Lets the caller hear it until the caller is gone.
    pub(crate) async fn keep(&mut self, line: &mut Line) -> Gone {
        loop {
            self.refill(line.rate);
            let due = self.player.due().filter(|_| !self.quiet);
            tokio::select! {
                biased;
                heard = line.hear() => if heard.is_err() {
                    return Gone;
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    if let Some(frame) = self.player.take(Instant::now())
                        && line.give(Outbound::Frame(frame)).await.is_err()
                    {
                        return Gone;
                    }
                }
            }
        }
    }

    fn refill(&mut self, rate: Rate) {
        let size = Frame::samples_per_frame(rate);
        while !self.sound.is_empty() && self.player.backlog() < Duration::from_millis(100) {
            let end = (self.at + size).min(self.sound.len());
            let samples = self.sound[self.at..end].to_vec();
            self.player.push(&Frame { rate, samples });
            self.at = if end == self.sound.len() { 0 } else { end };
        }
    }
}

/// Both hear each other, until the far side hangs up or the caller has enough; why it is over.
pub(crate) async fn talk(line: &mut Line, far: &mut Line, end_on: &str) -> Result<String, Gone> {
    let mut there = Way::between(line.rate, far.rate);
    let mut back = Way::between(far.rate, line.rate);
    let mut keys_there = Keys::new(Arc::clone(&far.control));
    let mut keys_back = Keys::new(Arc::clone(&line.control));
    loop {
        tokio::select! {
            biased;
            heard = line.inbound.recv() => match heard {
                None | Some(Inbound::Gone) => return Err(Gone),
                Some(Inbound::Frame(frame)) => far.pass(there.turn(frame)),
                Some(Inbound::Digit(key)) if end_on.contains(key) => {
                    return Ok(format!("the caller pressed `{key}`"));
                }
                Some(Inbound::Digit(key)) => keys_there.press(key),
                Some(Inbound::Mark(_)) => {}
            },
            heard = far.inbound.recv() => match heard {
                None | Some(Inbound::Gone) => return Ok("the far side hung up".into()),
                Some(Inbound::Frame(frame)) => line.pass(back.turn(frame)),
                Some(Inbound::Digit(key)) => keys_back.press(key),
                Some(Inbound::Mark(_)) => {}
            },
            Some(key) = keys_there.unable.recv() => there.sound(key),
            Some(key) = keys_back.unable.recv() => back.sound(key),
        }
    }
}

/// One direction of sound.
pub(crate) struct Way {
    to: Rate,
    resampler: Option<Resampler>,
    /// A key that sounds in place of what is said, in samples.
    tone: Vec<i16>,
}

impl Way {
    pub(crate) fn between(from: Rate, to: Rate) -> Self {
        let resampler = (from != to).then(|| Resampler::new(from, to));
        Self { to, resampler, tone: Vec::new() }
    }

    /// The next 20 ms for the other side.
    pub(crate) fn turn(&mut self, frame: Frame) -> Frame {
        let mut frame = match &mut self.resampler {
            Some(resampler) => resampler.frame(&frame),
            None => frame,
        };
        if !self.tone.is_empty() {
            let length = self.tone.len().min(frame.samples.len());
            let rest = self.tone.split_off(length);
            frame.samples[..length].copy_from_slice(&self.tone);
            self.tone = rest;
        }
        frame
    }

    /// Lets a key be heard.
    fn sound(&mut self, key: char) {
        self.tone.extend(dtmf::tones(&key.to_string(), self.to));
    }
}

/// Keys on their way to one side, one after the other.
struct Keys {
    keys: mpsc::UnboundedSender<char>,
    /// Those that the carrier cannot press.
    unable: mpsc::UnboundedReceiver<char>,
}

impl Keys {
    fn new(control: Arc<dyn Control>) -> Self {
        let (keys, mut pressed) = mpsc::unbounded_channel::<char>();
        let (tell, unable) = mpsc::unbounded_channel();
        // It ends when nobody presses any more.
        tokio::spawn(async move {
            while let Some(key) = pressed.recv().await {
                match control.send_digits(&key.to_string()).await {
                    Ok(()) => {}
                    Err(Unable::Cannot) => {
                        let _ = tell.send(key);
                    }
                    Err(Unable::Failed(why)) => tracing::warn!(why, "a key could not be passed on"),
                }
            }
        });
        Self { keys, unable }
    }

    fn press(&self, key: char) {
        // Its task ends after us.
        let _ = self.keys.send(key);
    }
}
