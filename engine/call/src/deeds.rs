//! What a call can be told to do: each deed to its end, in the exits that its action declares.

use std::sync::Arc;
use std::time::Duration;

use agent::Config;
use audio::Frame;
use audio::playout::fresh_mark;
use flow::{Command, Deed};
use talk::{Inbound, Outbound, Say, Speaking, Spoken, TurnId, Voice};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::bridge;
use crate::converse;
use crate::leg::Dial;
use crate::player::Player;
use crate::services;
use crate::session::{Finish, Gone, Line, Order};

/// How long a voice may take to open, and to give more sound; then the next one is tried.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long after its expected end a sound's mark is waited for.
const MARK: Duration = Duration::from_secs(5);

/// How much sound is kept before a voice is made to wait.
const BACKLOG: Duration = Duration::from_secs(5);

/// Carries out one deed, or ends it early when `stop` says so.
pub(crate) async fn carry_out(
    line: &mut Line,
    order: Order,
    stop: &CancellationToken,
) -> Result<Finish, Gone> {
    if let Deed::Talk { .. } = order.command.deed {
        // It is told of the stop, so that its history is kept.
        return converse::hold(line, order, stop).await;
    }
    tokio::select! {
        biased;
        end = simple(line, order.command) => end,
        () = stop.cancelled() => Ok(Finish::done()),
    }
}

/// The deeds that may simply be dropped.
async fn simple(line: &mut Line, command: Command) -> Result<Finish, Gone> {
    let interrupting = line.interrupting.take();
    match command.deed {
        Deed::Answer => answer(line).await,
        Deed::Say { text, language, tts_type, voice_id, stop_on_digit } => {
            let config = Config {
                tts_type: tts_type.unwrap_or_default(),
                tts_voice_id: voice_id.unwrap_or_default(),
                ..Config::default()
            };
            let until = if stop_on_digit { Until::Digit } else { Until::Over };
            say(line, &text, &config, &language.unwrap_or_default(), until).await
        }
        Deed::Play { sources } => play(line, &sources).await,
        Deed::ReceiveDigits { max_digits, finish_on, timeout_ms, between_ms, window_ms } => {
            if let Some(key) = interrupting {
                line.keys.push_front(key);
            }
            let first = Duration::from_millis(timeout_ms);
            let pace = match window_ms.map(Duration::from_millis) {
                Some(window) => Pace { first: window, between: window, window },
                None => {
                    let between = Duration::from_millis(between_ms);
                    let between = if between.is_zero() { first } else { between };
                    Pace { first, between, window: Duration::MAX }
                }
            };
            receive_digits(line, max_digits as usize, &finish_on, pace).await
        }
        Deed::Connect {
            destinations,
            source,
            ring_s,
            early_media,
            anonymous,
            music,
            announce,
            end_on,
        } => {
            let ring = Duration::from_secs(ring_s);
            let dial = Dial {
                destinations,
                source,
                ring,
                early_media,
                anonymous,
                music,
                announce,
                end_on,
            };
            connect(line, dial).await
        }
        Deed::Service { name, option } => {
            services::carry_out(line, &command.key, &name, &option).await
        }
        Deed::Talk { .. }
        | Deed::Hangup { .. }
        | Deed::StopService
        | Deed::SendMessage { .. }
        | Deed::Request { .. }
        | Deed::LoadFlow { .. } => Ok(Finish::failed("a call cannot do this here")),
    }
}

async fn answer(line: &mut Line) -> Result<Finish, Gone> {
    let control = Arc::clone(&line.control);
    Ok(match line.control(control.answer()).await? {
        Ok(()) => Finish::done(),
        Err(why) => Finish::failed(why),
    })
}

/// The carrier bridges where it can and the flow wants no more than that; otherwise we do.
async fn connect(line: &mut Line, dial: Dial) -> Result<Finish, Gone> {
    // What a carrier bridges cannot be recorded here.
    let ours = dial.needs_us() || line.recording.is_some() || !line.control.bridges();
    if ours && bridge::reaches(line, &dial.destinations) {
        return bridge::connect(line, dial).await;
    }
    let control = Arc::clone(&line.control);
    Ok(match line.control(control.connect(dial)).await? {
        Ok(dialled) => Finish::exit(dialled.exit(), dialled.words()),
        Err(why) => Finish::failed(why),
    })
}

/// Speaks a text to its end, in whatever voice there is.
pub(crate) async fn tell(line: &mut Line, text: &str, config: &Config) -> Result<Finish, Gone> {
    say(line, text, config, "", Until::Over).await
}

/// Speaks a text until a key is pressed, and then no more of it.
pub(crate) async fn tell_until_key(line: &mut Line, text: &str) -> Result<Option<char>, Gone> {
    say(line, text, &Config::default(), "", Until::Digit).await?;
    Ok(line.interrupting.take())
}

/// How long keys are waited for.
struct Pace {
    /// The first.
    first: Duration,
    /// The next.
    between: Duration,
    /// All of them.
    window: Duration,
}

async fn receive_digits(
    line: &mut Line,
    most: usize,
    finish_on: &str,
    pace: Pace,
) -> Result<Finish, Gone> {
    let mut digits = String::new();
    let now = Instant::now();
    let last = now.checked_add(pace.window);
    let by = |until: Instant| last.map_or(until, |last| until.min(last));
    let mut until = by(now + pace.first);
    loop {
        while let Some(key) = line.keys.pop_front() {
            if finish_on.contains(key) {
                return Ok(Finish::exit("done", format!("`{key}` was pressed")).digits(digits));
            }
            digits.push(key);
            // Keys are one byte each.
            if most > 0 && digits.len() >= most {
                return Ok(Finish::exit("done", format!("{most} keys were pressed")).digits(digits));
            }
            until = by(Instant::now() + pace.between);
        }
        tokio::select! {
            biased;
            heard = line.hear() => { heard?; }
            () = sleep_until(until) => {
                return Ok(if digits.is_empty() {
                    Finish::exit("no_input", "no key was pressed").digits("")
                } else {
                    Finish::exit("done", "no more keys came").digits(digits)
                });
            }
        }
    }
}

/// What ends sound early.
#[derive(Clone, Copy, PartialEq)]
enum Until {
    Over,
    Digit,
}

/// How the playing of sound ended.
enum Played {
    /// It was heard.
    Over,
    /// The key interrupted it.
    Digit(char),
    /// The voice broke; whether something of it was heard already.
    Broken { error: agent::Error, heard: bool },
}

async fn say(
    line: &mut Line,
    text: &str,
    config: &Config,
    language: &str,
    until: Until,
) -> Result<Finish, Gone> {
    if text.trim().is_empty() {
        return Ok(Finish::exit("done", "there was nothing to say"));
    }
    let voices = match line.means.vendors.tts(config) {
        Ok(voices) => voices,
        Err(error) => return Ok(Finish::failed(error.to_string())),
    };
    let mut trouble = "no voice is configured".to_owned();
    for voice in voices {
        let vendor = voice.name();
        let want =
            Voice { id: config.tts_voice_id.clone(), language: language.into(), rate: line.rate };
        let opened = line.control(timeout(PATIENCE, open(voice.as_ref(), want, text))).await?;
        let opened = opened.unwrap_or_else(|_| Err(silent(vendor, "it did not open in time")));
        let played = match opened {
            Ok(speaking) => {
                let player = Player::new(line.rate, Instant::now());
                sound(line, player, Some((vendor, speaking)), until).await?
            }
            Err(error) => Played::Broken { error, heard: false },
        };
        match played {
            Played::Over => return Ok(Finish::done()),
            Played::Digit(key) => {
                return Ok(Finish::exit("done", format!("`{key}` was pressed")).digits(key));
            }
            Played::Broken { error, heard } => {
                talk::failed("tts", &error);
                tracing::warn!(%error, "a voice failed");
                trouble = error.to_string();
                if heard {
                    // The caller would hear the beginning twice.
                    break;
                }
            }
        }
    }
    Ok(Finish::failed(trouble))
}

/// A voice that has been given the text.
async fn open(voice: &dyn talk::Tts, want: Voice, text: &str) -> Result<Speaking, agent::Error> {
    let speaking = voice.open(want).await?;
    let turn = TurnId(1);
    for say in [Say::Text(turn, text.into()), Say::End(turn)] {
        let closed = |_| silent(voice.name(), "it closed at once");
        speaking.say.send(say).await.map_err(closed)?;
    }
    Ok(speaking)
}

fn silent(vendor: &'static str, why: &str) -> agent::Error {
    agent::Error::Unreachable { vendor, why: why.into() }
}

async fn play(line: &mut Line, sources: &[String]) -> Result<Finish, Gone> {
    for source in sources {
        let library = Arc::clone(&line.means.library);
        let file = match line.control(library.fetch(source)).await? {
            Ok(file) => file,
            Err(why) => return Ok(Finish::failed(why)),
        };
        let (rate, now) = (line.rate, Instant::now());
        // A long file is a second of work, and other calls' frames are due every 20 ms.
        let read = spawn_blocking(move || {
            let wave = audio::wav::read(&file).map_err(|error| error.to_string())?;
            let mut player = Player::new(rate, now);
            player.push(&wave.mono());
            player.finish();
            Ok(player)
        });
        let read = line.control(read).await?;
        let player = match read.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(player) => player,
            Err(why) => return Ok(Finish::failed(format!("`{source}`: {why}"))),
        };
        if let Played::Broken { error, .. } = sound(line, player, None, Until::Over).await? {
            return Ok(Finish::failed(error.to_string()));
        }
    }
    Ok(Finish::done())
}

/// Lets samples at the leg's rate be heard to their end.
pub(crate) async fn hear(line: &mut Line, samples: Vec<i16>) -> Result<(), Gone> {
    let mut player = Player::new(line.rate, Instant::now());
    player.push(&Frame { rate: line.rate, samples });
    player.finish();
    sound(line, player, None, Until::Over).await.map(drop)
}

/// Gives sound to the leg until all of it was heard. Without a voice it is what the player holds.
async fn sound(
    line: &mut Line,
    mut player: Player,
    mut voice: Option<(&'static str, Speaking)>,
    until: Until,
) -> Result<Played, Gone> {
    let mut heard_any = false;
    let mut mark = None;
    let mut patience = Instant::now() + PATIENCE;
    loop {
        if voice.is_none() && player.due().is_none() && mark.is_none() {
            let id = fresh_mark();
            line.give(Outbound::Mark(id)).await?;
            mark = Some(id);
            patience = player.heard().max(Instant::now()) + MARK;
        }
        let roomy = player.backlog() < BACKLOG;
        tokio::select! {
            biased;
            heard = line.hear() => match heard? {
                Inbound::Digit(key) if until == Until::Digit => {
                    line.give(Outbound::Clear).await?;
                    line.keys.pop_back();
                    line.interrupting = Some(key);
                    return Ok(Played::Digit(key));
                }
                Inbound::Mark(id) if mark == Some(id) => return Ok(Played::Over),
                Inbound::Digit(_) | Inbound::Mark(_) | Inbound::Frame(_) | Inbound::Gone => {}
            },
            () = sleep_until(player.due().unwrap_or(patience)), if player.due().is_some() => {
                if let Some(frame) = player.take(Instant::now()) {
                    heard_any = true;
                    line.give(Outbound::Frame(frame)).await?;
                }
            }
            (vendor, spoken) = next(voice.as_mut()), if voice.is_some() && roomy => {
                patience = Instant::now() + PATIENCE;
                match spoken {
                    Some(Ok(Spoken::Sound(_, sound))) => player.push(&sound),
                    Some(Ok(Spoken::Words(..))) => {}
                    Some(Ok(Spoken::End(_))) => {
                        player.finish();
                        voice = None;
                    }
                    Some(Err(error)) => return broken(line, error, heard_any).await,
                    None => {
                        return broken(line, silent(vendor, "it fell silent"), heard_any).await;
                    }
                }
            }
            () = sleep_until(patience), if mark.is_some() || (voice.is_some() && roomy) => {
                if mark.is_some() {
                    // A carrier that loses a mark must not hold up the flow.
                    tracing::warn!(call = line.arrival.carrier_id, "a mark did not come back");
                    return Ok(Played::Over);
                }
                let vendor = voice.as_ref().map_or("tts", |(vendor, _)| vendor);
                return broken(line, silent(vendor, "it gave no sound in time"), heard_any).await;
            }
        }
    }
}

async fn next(
    voice: Option<&mut (&'static str, Speaking)>,
) -> (&'static str, Option<Result<Spoken, agent::Error>>) {
    match voice {
        Some((vendor, voice)) => (vendor, voice.sound.recv().await),
        None => std::future::pending().await,
    }
}

/// What was given already is not heard on, so that an apology can follow at once.
async fn broken(line: &mut Line, error: agent::Error, heard: bool) -> Result<Played, Gone> {
    if heard {
        line.give(Outbound::Clear).await?;
    }
    Ok(Played::Broken { error, heard })
}
