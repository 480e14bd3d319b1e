//! espeak-ng: a voice on this machine, without a key.
//!
//! One process for each piece of text: 8 ms to the first sound, a thousand times faster than it is
//! spoken. Killed when nobody wants the rest.

use std::path::PathBuf;
use std::process::Stdio;

use agent::Error;
use async_trait::async_trait;
use audio::Frame;
use audio::wav;
use talk::{Speaking, Tts, Voice};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::pieces::{self, Sound, Source};
use crate::programs;

pub(crate) const VENDOR: &str = "espeak";

/// The program, and the Debian package that has it.
const PROGRAM: &str = "espeak-ng";

/// Read at once: 93 ms of sound, so that a cut leaves little behind.
const BYTES: usize = 4096;

/// Words a minute. The default, 175, is hasty on a telephone.
const SPEED: &str = "160";

/// A WAVE head is 44 bytes here; a file without one within these is none.
const LONGEST_HEAD: usize = 4096;

/// The voice of espeak-ng.
pub struct Espeak {
    program: Option<PathBuf>,
}

impl Default for Espeak {
    fn default() -> Self {
        Self { program: programs::find(PROGRAM) }
    }
}

impl Espeak {
    /// The program.
    ///
    /// # Errors
    /// It is not installed; says which package has it.
    pub fn program(&self) -> Result<&PathBuf, Error> {
        self.program.as_ref().ok_or_else(|| programs::missing(VENDOR, PROGRAM, "espeak-ng"))
    }
}

#[async_trait]
impl Tts for Espeak {
    fn name(&self) -> &'static str {
        VENDOR
    }

    async fn open(&self, voice: Voice) -> Result<Speaking, Error> {
        let program = self.program()?.clone();
        Ok(pieces::open(Process { program, voice: name(&voice) }))
    }
}

/// espeak's name of a voice: its own id if it looks like one, else the language's.
///
/// Ids of other vendors come here too, when this voice stands in for theirs.
fn name(voice: &Voice) -> String {
    let id = voice.id.to_ascii_lowercase();
    let base = id.split('+').next().unwrap_or_default();
    let language = base.split('-').next().unwrap_or_default();
    let safe = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-+".contains(&byte));
    if safe && (2..=3).contains(&language.len()) && LANGUAGES.contains(&language) {
        return id;
    }
    let wanted = voice.language.to_ascii_lowercase().replace('_', "-");
    let (language, region) = wanted.split_once('-').unwrap_or((&wanted, ""));
    match (language, region) {
        ("en", "gb" | "au" | "nz" | "ie" | "za" | "in") => "en-gb".into(),
        ("en" | "", _) => "en-us".into(),
        ("es", "es" | "") => "es".into(),
        ("es", _) => "es-419".into(),
        ("pt", "pt") => "pt".into(),
        ("pt", _) => "pt-br".into(),
        ("fr", "be" | "ch") => format!("fr-{region}"),
        ("fr", _) => "fr-fr".into(),
        ("zh" | "cmn", "hk") | ("yue", _) => "yue".into(),
        ("zh" | "cmn", _) => "cmn".into(),
        ("no" | "nn", _) => "nb".into(),
        (language, _) if LANGUAGES.contains(&language) => language.into(),
        (_, _) => "en-us".into(),
    }
}

/// The languages that espeak-ng 1.51 speaks.
#[rustfmt::skip]
const LANGUAGES: &[&str] = &[
    "af", "am", "an", "ar", "as", "az", "ba", "be", "bg", "bn", "bpy", "bs", "ca", "chr", "cmn",
    "cs", "cv", "cy", "da", "de", "el", "en", "eo", "es", "et", "eu", "fa", "fi", "fr", "ga", "gd",
    "gn", "grc", "gu", "hak", "haw", "he", "hi", "hr", "ht", "hu", "hy", "ia", "id", "io", "is",
    "it", "ja", "jbo", "ka", "kk", "kl", "kn", "ko", "kok", "ku", "ky", "la", "lb", "lfn", "lt",
    "lv", "mi", "mk", "ml", "mr", "ms", "mt", "my", "nb", "nci", "ne", "nl", "nog", "om", "or",
    "pa", "pap", "piqd", "pl", "pt", "py", "qdb", "qu", "quc", "qya", "ro", "ru", "sd", "shn",
    "si", "sjn", "sk", "sl", "smj", "sq", "sr", "sv", "sw", "ta", "te", "th", "tk", "tn", "tr",
    "tt", "ug", "uk", "ur", "uz", "vi", "yue",
];

/// Runs the program for each piece.
struct Process {
    program: PathBuf,
    voice: String,
}

impl Source for Process {
    fn speak(&self, text: &str) -> Sound {
        let (send, sound) = mpsc::channel(2);
        let mut command = Command::new(&self.program);
        // A clause in the middle of a sentence is followed by its rest, not by a pause.
        if !text.trim_end().ends_with(['.', '!', '?', ':', ';']) {
            command.arg("-z");
        }
        // Not as an argument: a text may begin with `-`, and may be long.
        let spawned = command
            .args(["-v", &self.voice, "-s", SPEED, "-b", "1", "--stdin", "--stdout"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let text = plain(text);
        tokio::spawn(async move {
            let work = async {
                let child = spawned.map_err(|error| unreachable(error.to_string()))?;
                run(child, &text, &send).await
            };
            // The process is killed with the future that owns it.
            let done = tokio::select! {
                done = work => done,
                () = send.closed() => return,
            };
            if let Err(error) = done {
                // Who dropped the sound wants no error either.
                let _ = send.send(Err(error)).await;
            }
        });
        sound
    }

    /// The next piece is ready before the one that sounds is over.
    fn at_once(&self) -> usize {
        2
    }
}

/// Without what the program would take for a command: `[[` begins its own sounds.
fn plain(text: &str) -> String {
    text.replace('\0', " ").replace("[[", "[ [")
}

fn unreachable(why: String) -> Error {
    Error::Unreachable { vendor: VENDOR, why }
}

/// Gives a process its text and passes on its sound until both are over.
async fn run(
    mut child: Child,
    text: &str,
    sound: &mpsc::Sender<Result<Frame, Error>>,
) -> Result<(), Error> {
    let broken = |error: std::io::Error| unreachable(error.to_string());
    let (Some(mut stdin), Some(mut stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(unreachable("its process has no pipes".into()));
    };
    let told = async {
        stdin.write_all(text.as_bytes()).await?;
        stdin.shutdown().await?;
        drop(stdin);
        Ok(())
    };
    let heard = async {
        let mut bytes = Vec::with_capacity(BYTES);
        let mut head = None;
        loop {
            let read = stdout.read_buf(&mut bytes).await.map_err(broken)?;
            if head.is_none() {
                head = wav::head(&bytes).map_err(|error| unreadable(error.to_string()))?;
                if let Some(head) = &head {
                    bytes.drain(..head.start.min(bytes.len()));
                }
            }
            match &head {
                // The length in the head is made up, so the end of the pipe is the end.
                Some(head) => {
                    let whole = bytes.len() / 2 * 2;
                    let samples = wav::decode(head.coding, &bytes[..whole]);
                    bytes.drain(..whole);
                    let frame = Frame { rate: head.rate, samples };
                    if !frame.samples.is_empty() && sound.send(Ok(frame)).await.is_err() {
                        return Ok(());
                    }
                }
                None if bytes.len() > LONGEST_HEAD => {
                    return Err(unreadable("no sound file".into()));
                }
                None => {}
            }
            if read == 0 {
                return Ok(());
            }
        }
    };
    let (told, heard) = tokio::join!(told, heard);
    heard?;
    let status = child.wait().await.map_err(broken)?;
    match told {
        _ if !status.success() => Err(unreachable(format!("it ended with {status}"))),
        told => told.map_err(broken),
    }
}

fn unreadable(why: String) -> Error {
    Error::Unreadable { vendor: VENDOR, why }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use talk::{Say, Spoken, TurnId};

    fn named(id: &str, language: &str) -> String {
        name(&Voice { id: id.into(), language: language.into(), rate: 8000 })
    }

    #[test]
    fn a_voice_is_found_for_every_language_and_foreign_ids_do_no_harm() {
        assert_eq!(named("", ""), "en-us");
        assert_eq!(named("", "en-GB"), "en-gb");
        assert_eq!(named("", "de-DE"), "de");
        assert_eq!(named("", "pt_BR"), "pt-br");
        assert_eq!(named("", "zh-CN"), "cmn");
        assert_eq!(named("", "tlh"), "en-us");
        assert_eq!(named("en-us+f3", "de-DE"), "en-us+f3");
        assert_eq!(named("21m00Tcm4TlvDq8ikWAM", "de-DE"), "de");
        assert_eq!(named("alloy", "fr-FR"), "fr-fr");
        assert_eq!(named("en; rm -rf /", ""), "en-us");
    }

    #[tokio::test]
    async fn a_missing_program_names_its_package() {
        let espeak = Espeak { program: None };
        let error = espeak.open(Voice::default()).await.err().unwrap();
        assert!(error.to_string().contains("apt-get install espeak-ng"), "{error}");
    }

    #[tokio::test]
    async fn it_speaks_and_a_cut_kills_its_process() {
        let espeak = Espeak::default();
        let mut voice = espeak.open(Voice::default()).await.unwrap();
        voice.say.send(Say::Text(TurnId(1), "-v [[x]] Hello there.".into())).await.unwrap();
        voice.say.send(Say::End(TurnId(1))).await.unwrap();
        let mut samples = 0;
        let mut loudest = 0;
        loop {
            match voice.sound.recv().await.unwrap().unwrap() {
                Spoken::Sound(TurnId(1), frame) => {
                    assert_eq!(frame.rate, 22_050);
                    samples += frame.samples.len();
                    loudest = frame
                        .samples
                        .iter()
                        .map(|s| s.unsigned_abs())
                        .max()
                        .max(Some(loudest))
                        .unwrap();
                }
                Spoken::End(TurnId(1)) => break,
                other => panic!("{other:?}"),
            }
        }
        assert!((22_050 / 2..22_050 * 6).contains(&samples), "{samples}");
        assert!(loudest > 5000, "{loudest}");

        // More than the pipe and the channels hold: the process waits until it is killed.
        let text = "one two three four five six seven eight nine ten. ".repeat(40);
        voice.say.send(Say::Text(TurnId(2), text)).await.unwrap();
        assert!(matches!(voice.sound.recv().await, Some(Ok(Spoken::Sound(TurnId(2), _)))));
        voice.say.send(Say::Cut(TurnId(2))).await.unwrap();
        voice.say.send(Say::Text(TurnId(3), "Yes.".into())).await.unwrap();
        voice.say.send(Say::End(TurnId(3))).await.unwrap();
        while voice.sound.recv().await.unwrap().unwrap() != Spoken::End(TurnId(3)) {}
    }
}
