//! The programs: an utterance in, what was understood out.
//!
//! Two runs at once, each a process of 40 to 100 ms: one knows the phrases only, the other any
//! sounds of English. The program always finds some phrase, so what it found counts only when the
//! phrase explains the sound nearly as well as free sounds do, or better.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agent::Error;
use tokio::process::Command;

use super::VENDOR;
use super::grammar::{self, Grammar};
use super::utterance::Utterance;

/// How much more likely a phrase must be than any sounds, by frame of speech, in the program's own
/// measure. Measured with 22 phrases and 10 sentences that fit none, by 6 voices, at 8 kHz mu-law:
/// at 12, 92 % of phrases are understood, 1 % are taken for another, and 17 % of the other
/// sentences are taken for a phrase (without this test: 95 %, 5 % and 80 %).
const MARGIN: f32 = 12.0;

/// Shorter speech that fits no phrase is noise, in frames of 10 ms.
const SHORTEST_SPEECH: u32 = 50;

/// More than any run takes.
const LONGEST_RUN: Duration = Duration::from_secs(10);

/// Frames that are no speech in the program's answers: silence, noise, and marks without sound.
fn is_word(word: &str) -> bool {
    !word.starts_with(['<', '[', '(', '+'])
}

/// What was understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Understood {
    /// One of the phrases, or dictation.
    Words(String),
    /// Speech, but no phrase.
    Unclear,
    /// No speech.
    Noise,
}

/// Runs the programs in a folder of its own, which goes with it.
pub(super) struct Runner {
    program: PathBuf,
    model: PathBuf,
    folder: Folder,
}

impl Runner {
    /// # Errors
    /// No temporary file can be written.
    pub(super) async fn new(program: PathBuf, model: PathBuf) -> Result<Self, Error> {
        let folder = Folder::new().map_err(cannot_write)?;
        Ok(Self { program, model, folder })
    }

    /// Recognizes one utterance: one of the grammar's phrases, or anything without one.
    ///
    /// # Errors
    /// The program cannot be run, or fails.
    pub(super) async fn recognize(
        &self,
        utterance: &Utterance,
        grammar: Option<&Grammar>,
    ) -> Result<Understood, Error> {
        let sound: Vec<u8> = utterance.samples.iter().flat_map(|s| s.to_le_bytes()).collect();
        self.write("said.raw", &sound).await?;
        self.write("list", b"said\n").await?;
        let Some(grammar) = grammar else {
            let words = self.model.join("en-us.lm.bin");
            let all = self.model.join(grammar::DICTIONARY);
            let found = self.run("dictation", &all, &["-lm".as_ref(), words.as_ref()]).await?;
            let text = found.words();
            return Ok(if text.is_empty() { Understood::Noise } else { Understood::Words(text) });
        };
        self.write("words.dict", grammar.dictionary.as_bytes()).await?;
        self.write("phrases.jsgf", grammar.jsgf.as_bytes()).await?;
        self.write("sounds.jsgf", grammar::any_sounds().as_bytes()).await?;
        let words = self.path("words.dict");
        let (phrases, sounds) = (self.path("phrases.jsgf"), self.path("sounds.jsgf"));
        let free = ["-jsgf".as_ref(), sounds.as_ref(), "-wip".as_ref(), "0.1".as_ref()];
        let free = self.run("sounds", &words, &free);
        if grammar.empty {
            return Ok(judge(&Found::default(), &free.await?));
        }
        let bound = ["-jsgf".as_ref(), phrases.as_ref()];
        let (found, free) = tokio::try_join!(self.run("phrases", &words, &bound), free)?;
        Ok(judge(&found, &free))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.0.join(name)
    }

    async fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        tokio::fs::write(self.path(name), bytes).await.map_err(cannot_write)
    }

    async fn run(&self, name: &str, words: &Path, how: &[&Path]) -> Result<Found, Error> {
        let (text, parts) = (self.path(&format!("{name}.txt")), self.path(&format!("{name}.seg")));
        let run = Command::new(&self.program)
            .args(["-logfn", "/dev/null", "-adcin", "yes", "-cepext", ".raw"])
            .arg("-hmm")
            .arg(self.model.join("en-us"))
            .arg("-dict")
            .arg(words)
            .arg("-ctl")
            .arg(self.path("list"))
            .arg("-cepdir")
            .arg(&self.folder.0)
            .arg("-hyp")
            .arg(&text)
            .arg("-hypseg")
            .arg(&parts)
            .args(how)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .status();
        let failed = |why: String| Error::Unreachable { vendor: VENDOR, why };
        let status = tokio::time::timeout(LONGEST_RUN, run)
            .await
            .map_err(|_| failed(format!("it took longer than {LONGEST_RUN:?}")))?
            .map_err(|error| failed(error.to_string()))?;
        if !status.success() {
            return Err(failed(format!("it ended with {status}")));
        }
        let parts = tokio::fs::read_to_string(&parts).await;
        Found::parse(&parts.map_err(|error| failed(error.to_string()))?)
    }
}

fn cannot_write(error: std::io::Error) -> Error {
    Error::Unreachable { vendor: VENDOR, why: format!("no temporary file: {error}") }
}

/// A folder that goes with its owner.
struct Folder(PathBuf);

impl Folder {
    fn new() -> std::io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let n = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("voxflow-{}-{n}", std::process::id()));
            let mut made = std::fs::DirBuilder::new();
            // What callers say is nobody else's matter.
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut made, 0o700);
            match made.create(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                made => return made.map(|()| Self(path)),
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::debug!(%error, "a temporary folder stays");
        }
    }
}

/// What the program found: words, one after the other.
#[derive(Debug, Default, PartialEq)]
struct Found {
    parts: Vec<Part>,
}

#[derive(Debug, PartialEq)]
struct Part {
    word: String,
    /// How well the sound fits, by the program's measure: the nearer to 0, the better.
    score: f32,
    /// Frames of 10 ms.
    frames: u32,
}

impl Found {
    /// Reads `said S 0 T -2905 A -2231 L -674 0 -264 -337 <sil> 27 -554 0 what ... 185`: for each
    /// word its first frame, how well sound and grammar fit, its name; at last the end's frame.
    fn parse(line: &str) -> Result<Self, Error> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // Nothing was found at all.
        let Some(language) = fields.iter().position(|field| *field == "L") else {
            return Ok(Self::default());
        };
        let number = |field: &str| {
            field.parse::<f32>().map_err(|_| Error::Unreadable {
                vendor: VENDOR,
                why: format!("`{field}` should be a number"),
            })
        };
        let fields = fields.get(language + 2..).unwrap_or_default();
        let mut parts = Vec::new();
        for (n, part) in fields.chunks_exact(4).enumerate() {
            let next = fields.get(4 * n + 4).copied().unwrap_or(part[0]);
            let frames = (number(next)? - number(part[0])?).max(0.0) as u32;
            // `word(2)` is another way to pronounce `word`.
            let word = match part[3].split_once('(') {
                Some((word, _)) if !word.is_empty() => word,
                _ => part[3],
            };
            parts.push(Part { word: word.to_owned(), score: number(part[1])?, frames });
        }
        Ok(Self { parts })
    }

    fn words(&self) -> String {
        let words = self.parts.iter().map(|part| part.word.as_str()).filter(|word| is_word(word));
        words.collect::<Vec<_>>().join(" ")
    }

    fn score(&self) -> f32 {
        self.parts.iter().map(|part| part.score).sum()
    }

    fn speech(&self) -> u32 {
        self.parts.iter().filter(|part| is_word(&part.word)).map(|part| part.frames).sum()
    }
}

/// What to believe, when the phrases gave `found` and any sounds `free`.
fn judge(found: &Found, free: &Found) -> Understood {
    let words = found.words();
    let speech = free.speech();
    let margin = (found.score() - free.score()) / speech.max(1) as f32;
    tracing::debug!(words, margin, speech, "recognized");
    if !words.is_empty() && margin >= MARGIN {
        Understood::Words(words)
    } else if speech >= SHORTEST_SPEECH {
        Understood::Unclear
    } else {
        Understood::Noise
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const FOUND: &str = "said S 0 T -2905 A -2231 L -674 0 -264 -337 <sil> 27 -554 0 what 54 -345 0 \
        can(2) 73 -271 0 you 87 -417 0 do 119 -380 -337 <sil> 185";
    const FREE: &str = "said S 0 T -4405 A -3731 L -674 0 -264 -337 <sil> 27 -2054 0 zzah 54 0 0 \
        (NULL) 54 -1033 0 zzuw 119 -380 -337 <sil> 185";

    #[test]
    fn what_the_program_found_is_read() {
        let found = Found::parse(FOUND).unwrap();
        assert_eq!(found.words(), "what can you do");
        assert_eq!((found.score(), found.speech()), (-2231.0, 92));
        assert_eq!(Found::parse(FREE).unwrap().speech(), 92);
        assert_eq!(Found::parse("").unwrap(), Found::default());
        assert_eq!(Found::parse("said S 0 T 0 A 0 L 0 0").unwrap(), Found::default());
        assert!(Found::parse("said S 0 T 0 A 0 L 0 x y z w 1").is_err());
    }

    #[test]
    fn a_phrase_must_explain_the_sound() {
        let (found, free) = (Found::parse(FOUND).unwrap(), Found::parse(FREE).unwrap());
        assert_eq!(judge(&found, &free), Understood::Words("what can you do".into()));
        assert_eq!(judge(&free, &found), Understood::Unclear);
        assert_eq!(judge(&Found::default(), &free), Understood::Unclear);
        assert_eq!(judge(&Found::default(), &Found::default()), Understood::Noise);
    }
}
