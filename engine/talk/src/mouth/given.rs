//! What a voice gives, and who goes on when it is lost.

use std::future::pending;

use agent::Error;
use audio::resample::Resampler;
use tokio::time::{Instant, timeout_at};

use super::{Link, Mouth, Sign};
use crate::failed::failed;
use crate::tts::{Say, Speaking, Spoken};

impl Mouth {
    /// What comes next. May be dropped and called again.
    pub(crate) async fn next(&mut self) -> Sign {
        if std::mem::take(&mut self.released) {
            return Sign::Sound;
        }
        loop {
            let until = self.patience();
            let name = self.name();
            let lost = match &mut self.link {
                Link::Closed => return pending().await,
                Link::Opening(opening) => match opening.done_by(until).await {
                    Ok(speaking) => {
                        self.link = Link::Open(speaking);
                        self.feed();
                        continue;
                    }
                    Err(error) => error,
                },
                Link::Open(speaking) => match spoken(speaking, until, name).await {
                    Ok(spoken) => {
                        if let Spoken::Sound(_, frame) = &spoken {
                            self.bill.of("tts", name).spoke_ms += frame.millis();
                        }
                        if self.take(spoken) {
                            return Sign::Sound;
                        }
                        continue;
                    }
                    Err(error) => error,
                },
            };
            if let Some(sign) = self.lost(lost) {
                return sign;
            }
        }
    }

    /// Takes what the voice gives; `false` = it is of no turn that counts, or only words about it.
    pub(super) fn take(&mut self, spoken: Spoken) -> bool {
        match spoken {
            Spoken::Sound(turn, frame) if turn == self.turn.id && !self.turn.over => {
                self.worked = true;
                let now = self.now();
                self.turn.sounded.sound.get_or_insert(now);
                self.turn.owed = self.turn.complete.then(Instant::now);
                self.turn.aside = None;
                self.turn.heard.sound(frame.millis());
                if frame.rate == self.voice.rate {
                    self.playout.push(turn.0, &frame.samples);
                } else {
                    let fits =
                        self.turn.resampler.as_ref().is_some_and(|own| own.from() == frame.rate);
                    if !fits {
                        self.turn.resampler = Some(Resampler::new(frame.rate, self.voice.rate));
                    }
                    if let Some(resampler) = &mut self.turn.resampler {
                        self.playout.push(turn.0, &resampler.process(&frame.samples));
                    }
                }
                true
            }
            Spoken::Words(turn, words) if turn == self.turn.id => {
                self.turn.heard.words(words);
                false
            }
            Spoken::End(turn) if turn == self.turn.id && self.turn.complete && !self.turn.over => {
                self.finish();
                true
            }
            Spoken::Sound(..) | Spoken::Words(..) | Spoken::End(_) => false,
        }
    }

    /// Says what is not said yet with the same voice once more, if it worked and there is time; else
    /// with the next.
    fn lost(&mut self, why: Error) -> Option<Sign> {
        let idle = self.turn.over || self.turn.owed.is_none() && self.turn.complete;
        self.outbox.clear();
        if idle && matches!(self.link, Link::Open(_)) {
            // Vendors close what is not used for a while; it is opened when it is needed.
            self.link = Link::Closed;
            return None;
        }
        failed("tts", &why);
        if self.given && !self.turn.voiced {
            self.aside_again();
            return None;
        }
        let late = self.is_late() && self.at + 1 < self.vendors.len();
        if self.worked && !self.again && !late && !matches!(why, Error::Refused { .. }) {
            self.again = true;
        } else {
            (self.at, self.again) = (self.at + 1, false);
        }
        self.worked = false;
        self.open();
        let rest = if self.turn.over { Vec::new() } else { self.turn.heard.failed() };
        self.turn.resampler = None;
        self.playout.flush();
        if self.at >= self.vendors.len() {
            self.finish();
            return Some(Sign::Mute(why));
        }
        self.turn.owed = (!rest.is_empty()).then(Instant::now);
        for piece in &rest {
            self.turn.heard.said(piece.tag, &piece.text);
            self.outbox.push_back(Say::Text(self.turn.id, piece.text.clone()));
        }
        if self.turn.complete && !self.turn.over {
            if rest.is_empty() {
                self.finish();
            } else {
                self.outbox.push_back(Say::End(self.turn.id));
            }
        }
        Some(Sign::Trouble(why))
    }
}

async fn spoken(
    speaking: &mut Speaking,
    until: Option<Instant>,
    vendor: &'static str,
) -> Result<Spoken, Error> {
    let came = match until {
        Some(until) => match timeout_at(until, speaking.sound.recv()).await {
            Ok(came) => came,
            Err(_) => {
                let why = "it gave no sound in time".into();
                return Err(Error::Unreachable { vendor, why });
            }
        },
        None => speaking.sound.recv().await,
    };
    came.unwrap_or_else(|| {
        Err(Error::Unreachable { vendor, why: "the voice closed its stream".into() })
    })
}
