//! What two sides tell each other about their sound (RFC 8866), and what follows from it: offer
//! and answer (RFC 3264). Pure text in, text and [`Agreed`] out.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use audio::codec::Codec;
use audio::rtp::listen::Types;
use audio::rtp::speak::Speech;

use super::srtp::Key;

/// Our number for Opus and for keys, where nobody has given another.
const OPUS: u8 = 111;
const EVENTS: u8 = 101;
/// Formats of one line that are read; nobody has so many.
const MOST_FORMATS: usize = 64;

/// Who sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Direction {
    #[default]
    Both,
    SendOnly,
    ReceiveOnly,
    Nobody,
}

impl Direction {
    fn read(word: &str) -> Option<Self> {
        Some(match word {
            "sendrecv" => Self::Both,
            "sendonly" => Self::SendOnly,
            "recvonly" => Self::ReceiveOnly,
            "inactive" => Self::Nobody,
            _ => return None,
        })
    }

    fn word(self) -> &'static str {
        match self {
            Self::Both => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::ReceiveOnly => "recvonly",
            Self::Nobody => "inactive",
        }
    }

    fn sends(self) -> bool {
        matches!(self, Self::Both | Self::SendOnly)
    }

    fn receives(self) -> bool {
        matches!(self, Self::Both | Self::ReceiveOnly)
    }

    fn of(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::Both,
            (true, false) => Self::SendOnly,
            (false, true) => Self::ReceiveOnly,
            (false, false) => Self::Nobody,
        }
    }
}

/// What the other side describes.
#[derive(Clone, Debug, Default)]
pub(super) struct Theirs {
    /// Where its sound is to be sent; `None` = nowhere.
    address: Option<SocketAddr>,
    rtcp: Option<u16>,
    mux: bool,
    /// By its preference.
    sound: Vec<(u8, Codec)>,
    /// Payload types of keys, and their clocks.
    events: Vec<(u8, u32)>,
    direction: Direction,
    keys: Vec<Key>,
    /// The profile of its sound, such as `RTP/AVP`.
    profile: String,
    /// Every medium in order, each with its kind, profile and first format.
    media: Vec<(String, String, String)>,
    /// Which of them is the sound.
    at: usize,
}

/// What both sides agreed on.
#[derive(Clone, Debug)]
pub(super) struct Agreed {
    /// Where our sound goes; `None` = nowhere, we are on hold.
    pub(super) to: Option<SocketAddr>,
    /// Where our reports go.
    pub(super) rtcp: Option<SocketAddr>,
    /// How we speak.
    pub(super) speech: Speech,
    /// What they may send.
    pub(super) types: Types,
    /// Whether we are heard, and whether we hear. The music of somebody who holds us is not for us.
    pub(super) we_send: bool,
    pub(super) we_hear: bool,
    /// Our key and theirs, when the sound is encrypted.
    pub(super) keys: Option<(Key, Key)>,
}

impl Theirs {
    /// Reads a description.
    ///
    /// # Errors
    /// What it lacks.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut theirs = Self::default();
        let (mut whole, mut own): (Option<IpAddr>, Option<IpAddr>) = (None, None);
        let mut port = 0;
        let mut formats: Vec<u8> = Vec::new();
        let mut names: Vec<(u8, String)> = Vec::new();
        let (mut found, mut inside, mut begun) = (false, false, false);
        for line in text.lines() {
            let Some((kind, value)) = line.trim_end().split_once('=') else { continue };
            match kind {
                "m" => {
                    begun = true;
                    let words: Vec<&str> = value.split_ascii_whitespace().collect();
                    let &[medium, at, profile, ref rest @ ..] = words.as_slice() else {
                        return Err("a medium without a port".into());
                    };
                    let number = at.split('/').next().and_then(|at| at.parse().ok()).unwrap_or(0);
                    let known = ["RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF"].contains(&profile);
                    inside = !found && medium == "audio" && known;
                    if inside {
                        found = true;
                        theirs.at = theirs.media.len();
                        theirs.profile = profile.into();
                        port = number;
                        let numbers = rest.iter().filter_map(|format| format.parse().ok());
                        formats = numbers.take(MOST_FORMATS).collect();
                    }
                    let first = rest.first().copied().unwrap_or("0");
                    theirs.media.push((medium.into(), profile.into(), first.into()));
                }
                "c" => {
                    let address = value.split_ascii_whitespace().nth(2);
                    let address = address.and_then(|ip| ip.split('/').next()?.parse().ok());
                    match (begun, inside) {
                        (false, _) => whole = address,
                        (true, true) => own = address,
                        (true, false) => {}
                    }
                }
                "a" if inside || !begun => theirs.attribute(value, &mut names),
                _ => {}
            }
        }
        if !found {
            return Err("no sound is described".into());
        }
        let address = own.or(whole).ok_or("no address is described")?;
        // The older way to put somebody on hold.
        if !address.is_unspecified() && port != 0 {
            theirs.address = Some(SocketAddr::new(address, port));
        }
        for format in formats {
            let name = names.iter().find(|(number, _)| *number == format);
            match name.map(|(_, name)| name.as_str()).or(usual(format)) {
                Some(name) => theirs.format(format, name),
                None => continue,
            }
        }
        Ok(theirs)
    }

    fn attribute(&mut self, value: &str, names: &mut Vec<(u8, String)>) {
        let (name, rest) = value.split_once(':').unwrap_or((value, ""));
        match name {
            "rtpmap" => {
                if let Some((number, map)) = rest.split_once(' ')
                    && let Ok(number) = number.parse()
                    && names.len() < MOST_FORMATS
                {
                    names.push((number, map.trim().to_ascii_lowercase()));
                }
            }
            "rtcp" => self.rtcp = rest.split(' ').next().and_then(|port| port.parse().ok()),
            "rtcp-mux" => self.mux = true,
            "crypto" => self.keys.extend(Key::read(rest)),
            _ => self.direction = Direction::read(name).unwrap_or(self.direction),
        }
    }

    fn format(&mut self, number: u8, map: &str) {
        let mut parts = map.split('/');
        let name = parts.next().unwrap_or_default();
        let clock: u32 = parts.next().and_then(|clock| clock.parse().ok()).unwrap_or(0);
        let channels = parts.next().unwrap_or("1");
        let codec = match (name, clock) {
            ("pcmu", 8_000) => Codec::Pcmu,
            ("pcma", 8_000) => Codec::Pcma,
            ("g722", 8_000) => Codec::G722,
            ("opus", 48_000) => Codec::Opus,
            ("l16", 8_000 | 16_000) if channels == "1" => Codec::L16(clock),
            ("telephone-event", _) => return self.events.push((number, clock)),
            _ => return,
        };
        self.sound.push((number, codec));
    }

    /// Whether its sound is encrypted whatever we say.
    fn demands_keys(&self) -> bool {
        self.profile.starts_with("RTP/SAVP")
    }

    /// What follows from it, when we may use these codecs.
    fn agree(&self, ours: &Ours, answering: bool) -> Result<Agreed, String> {
        let allowed: Vec<_> =
            self.sound.iter().filter(|(_, codec)| ours.codecs.contains(codec)).collect();
        let &&(payload_type, codec) = allowed.first().ok_or("no codec in common")?;
        // The clock of keys should be that of the sound; 8,000 is what all have.
        let event = |clock| self.events.iter().find(|(_, own)| *own == clock);
        let events = event(codec.clock()).or(event(8_000)).copied();
        let keys = match (&ours.key, self.keys.first()) {
            (Some(own), Some(their)) => Some((own.like(their), their.clone())),
            (_, None) if self.demands_keys() => return Err("it names no key that we know".into()),
            (None, Some(_)) if !answering => return Err("it names a key, and we did not".into()),
            _ => None,
        };
        let mut types = Types {
            sound: allowed.iter().map(|(number, codec)| (*number, *codec)).collect(),
            events: self.events.iter().map(|(number, _)| *number).collect(),
        };
        if !answering {
            // They may use our numbers as well as theirs.
            let known = types.sound.clone();
            let taken = |number| known.iter().any(|(theirs, _)| *theirs == number);
            let numbers = ours.codecs.iter().map(|codec| (number(*codec), *codec));
            types.sound.extend(numbers.filter(|(number, _)| !taken(*number)));
            if !self.events.is_empty() && !taken(EVENTS) {
                types.events.push(EVENTS);
            }
        }
        let to = self.address;
        let rtcp = to.map(|to| {
            let port = if self.mux { to.port() } else { to.port().saturating_add(1) };
            SocketAddr::new(to.ip(), self.rtcp.filter(|_| !self.mux).unwrap_or(port))
        });
        Ok(Agreed {
            to,
            rtcp,
            speech: Speech { codec, payload_type, events },
            types,
            we_send: to.is_some() && self.direction.receives() && ours.direction.sends(),
            we_hear: to.is_some() && self.direction == Direction::Both && ours.direction.receives(),
            keys,
        })
    }
}

/// What we describe.
#[derive(Clone, Debug)]
pub(super) struct Ours {
    /// Where we are to be reached.
    pub(super) address: IpAddr,
    pub(super) port: u16,
    /// By our preference.
    pub(super) codecs: Vec<Codec>,
    /// What we want, were it for us alone.
    pub(super) direction: Direction,
    /// Our key, when sound may be encrypted.
    pub(super) key: Option<Key>,
    /// Names the session, and counts its descriptions.
    pub(super) id: u64,
    pub(super) version: u64,
}

impl Ours {
    /// An offer; `secure`: the sound is encrypted, or there is no call.
    pub(super) fn offer(&mut self, secure: bool) -> String {
        let profile = if secure { "RTP/SAVP" } else { "RTP/AVP" };
        let mut sound: Vec<_> = self.codecs.iter().map(|codec| (number(*codec), *codec)).collect();
        sound.dedup_by_key(|(number, _)| *number);
        let key = self.key.as_ref().filter(|_| secure).cloned();
        let head = self.head();
        let body = self.sound(profile, &sound, Some((EVENTS, 8_000)), self.direction, key.as_ref());
        format!("{head}{body}")
    }

    /// The answer to an offer, and what is agreed on by it.
    ///
    /// # Errors
    /// Why there can be no sound: the offer is to be refused.
    pub(super) fn answer(&mut self, offer: &Theirs) -> Result<(String, Agreed), String> {
        let agreed = offer.agree(self, true)?;
        let mut text = self.head();
        for (at, (medium, profile, format)) in offer.media.iter().enumerate() {
            if at == offer.at {
                let Speech { codec, payload_type, events } = agreed.speech;
                let direction = Direction::of(
                    offer.direction.receives() && self.direction.sends(),
                    offer.direction.sends() && self.direction.receives(),
                );
                let key = agreed.keys.as_ref().map(|(own, _)| own);
                let sound = [(payload_type, codec)];
                text += &self.sound(&offer.profile, &sound, events, direction, key);
            } else {
                let _ = write!(text, "m={medium} 0 {profile} {format}\r\n");
            }
        }
        Ok((text, agreed))
    }

    /// What is agreed on by the answer to our offer.
    ///
    /// # Errors
    /// Why there can be no sound.
    pub(super) fn accept(&self, answer: &Theirs) -> Result<Agreed, String> {
        answer.agree(self, false)
    }

    fn head(&mut self) -> String {
        self.version += 1;
        let Self { address, id, version, .. } = self;
        let family = if address.is_ipv4() { "IP4" } else { "IP6" };
        format!(
            "v=0\r\no=voxflow {id} {version} IN {family} {address}\r\ns=-\r\n\
             c=IN {family} {address}\r\nt=0 0\r\n"
        )
    }

    fn sound(
        &self,
        profile: &str,
        sound: &[(u8, Codec)],
        events: Option<(u8, u32)>,
        direction: Direction,
        key: Option<&Key>,
    ) -> String {
        let mut text = format!("m=audio {} {profile}", self.port);
        let numbers = sound.iter().map(|(number, _)| *number);
        for number in numbers.chain(events.map(|(number, _)| number)) {
            let _ = write!(text, " {number}");
        }
        text += "\r\n";
        for (number, codec) in sound {
            let name = match codec {
                Codec::Pcmu => "PCMU/8000".into(),
                Codec::Pcma => "PCMA/8000".into(),
                Codec::G722 => "G722/8000".into(),
                Codec::Opus => "opus/48000/2".into(),
                Codec::L16(rate) => format!("L16/{rate}"),
            };
            let _ = write!(text, "a=rtpmap:{number} {name}\r\n");
            if *codec == Codec::Opus {
                let wish = "useinbandfec=1;maxplaybackrate=16000;stereo=0";
                let _ = write!(text, "a=fmtp:{number} {wish}\r\n");
            }
        }
        if let Some((number, clock)) = events {
            let _ = write!(text, "a=rtpmap:{number} telephone-event/{clock}\r\n");
            let _ = write!(text, "a=fmtp:{number} 0-15\r\n");
        }
        if let Some(key) = key {
            let _ = write!(text, "a=crypto:{key}\r\n");
        }
        let _ =
            write!(text, "a=ptime:20\r\na=rtcp:{}\r\na={}\r\n", self.port + 1, direction.word());
        text
    }
}

/// Our number of a codec.
fn number(codec: Codec) -> u8 {
    match codec {
        Codec::Pcmu => 0,
        Codec::Pcma => 8,
        Codec::G722 => 9,
        Codec::Opus => OPUS,
        Codec::L16(_) => 118,
    }
}

/// What a number means that nobody explains (RFC 3551).
fn usual(number: u8) -> Option<&'static str> {
    Some(match number {
        0 => "pcmu/8000",
        8 => "pcma/8000",
        9 => "g722/8000",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
