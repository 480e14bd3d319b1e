//! Sound files for flows: below the folders that the settings name, or behind `https://`.
//!
//! Invariant: what a flow names never leads out of the folders, and never to a machine of a
//! private network unless the settings allow it; each redirect is held to the same.

use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use audio::wav::{Coding, Wav};
use audio::{Rate, tone};
use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{Client, Url};

use crate::guard::{Guard, chain};

/// The largest file: ten minutes of 16-bit sound at 16 kHz.
const LARGEST: u64 = 20 * 1024 * 1024;

/// A caller waits for it.
const LONGEST: Duration = Duration::from_secs(10);

/// Hops to the file.
const REDIRECTS: usize = 5;

/// Finds sound files.
pub(crate) struct Shelf {
    folders: Vec<PathBuf>,
    client: Client,
    guard: Guard,
}

impl Shelf {
    /// Looks in these folders, in this order.
    ///
    /// # Errors
    /// The machine's certificates cannot be used.
    pub(crate) fn new(folders: Vec<PathBuf>, guard: Guard) -> Result<Self, String> {
        let builder = Client::builder()
            .timeout(LONGEST)
            .redirect(Policy::custom(move |attempt| follow(guard, attempt)));
        let client = guard
            .over(builder)
            .build()
            .map_err(|error| format!("no HTTPS client: {}", chain(&error)))?;
        Ok(Self { folders, client, guard })
    }

    async fn download(&self, url: Url) -> Result<Vec<u8>, String> {
        self.guard.allows(&url)?;
        let mut response =
            self.client.get(url).send().await.map_err(|error| chain(&error.without_url()))?;
        if !response.status().is_success() {
            return Err(format!("the server answered {}", response.status()));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| chain(&error.without_url()))?
        {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > LARGEST {
                return Err(too_large());
            }
        }
        Ok(bytes)
    }

    fn open(folders: &[PathBuf], source: &str) -> Result<Vec<u8>, String> {
        let path = Path::new(source);
        if path.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err("a file is named by its path below the media folder, without `..`".into());
        }
        for folder in folders {
            let Ok(folder) = folder.canonicalize() else { continue };
            let Ok(file) = folder.join(path).canonicalize() else { continue };
            // Links are resolved by now: this is where the file really lies.
            if !file.starts_with(&folder) || !file.is_file() {
                continue;
            }
            let opened = std::fs::File::open(&file).map_err(|error| error.to_string())?;
            let mut bytes = Vec::new();
            opened.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
            return if bytes.len() as u64 > LARGEST { Err(too_large()) } else { Ok(bytes) };
        }
        let folders: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        Err(format!("there is no such file in {}", folders.join(", ")))
    }
}

#[async_trait]
impl call::Library for Shelf {
    async fn fetch(&self, source: &str) -> Result<Vec<u8>, String> {
        let found = if let Some(file) = made(source) {
            Ok(file)
        } else if source.contains("://") {
            match Url::parse(source) {
                Ok(url) => self.download(url).await,
                Err(error) => Err(error.to_string()),
            }
        } else {
            let (folders, name) = (self.folders.clone(), source.to_owned());
            tokio::task::spawn_blocking(move || Self::open(&folders, &name))
                .await
                .unwrap_or_else(|error| Err(error.to_string()))
        };
        found.map_err(|why| format!("`{source}` cannot be played: {why}"))
    }
}

/// The sound files that are made here.
fn made(source: &str) -> Option<Vec<u8>> {
    const RATE: Rate = 8000;
    let samples = match source {
        "tone:beep" => tone::beep(RATE),
        "tone:ringback" => tone::ringback(RATE),
        _ => return None,
    };
    Some(Wav { rate: RATE, channels: 1, samples }.write(Coding::Pcm16))
}

fn too_large() -> String {
    format!("it is larger than {} MiB", LARGEST / 1024 / 1024)
}

fn follow(guard: Guard, attempt: Attempt<'_>) -> Action {
    if attempt.previous().len() > REDIRECTS {
        return attempt.error("too many redirects");
    }
    match guard.allows(attempt.url()) {
        Ok(()) => attempt.follow(),
        Err(why) => attempt.error(why),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use call::Library;

    use super::*;

    const PUBLIC: Guard = Guard { anywhere: false, plain: false, setting: "media.x" };

    fn shelf(folder: &Path) -> Shelf {
        // Taken by whoever came first; all of them are the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Shelf::new(vec![folder.to_owned()], PUBLIC).unwrap()
    }

    #[tokio::test]
    async fn files_are_found_below_the_folder_and_nowhere_else() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret.wav"), "secret").unwrap();
        let folder = outside.path().join("media");
        std::fs::create_dir_all(folder.join("en")).unwrap();
        std::fs::write(folder.join("en/hello.wav"), "hello").unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.join("link")).unwrap();

        let shelf = shelf(&folder);
        assert_eq!(shelf.fetch("en/hello.wav").await.unwrap(), b"hello");
        let absolute = outside.path().join("secret.wav").display().to_string();
        for escape in ["../secret.wav", "en/../../secret.wav", "link/secret.wav", &absolute] {
            let why = shelf.fetch(escape).await.unwrap_err();
            assert!(why.contains("cannot be played"), "{why}");
        }
        assert!(shelf.fetch("en").await.is_err(), "a folder is no file");
        assert!(shelf.fetch("en/none.wav").await.is_err());
    }

    #[tokio::test]
    async fn addresses_of_private_networks_are_refused_before_a_word_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shelf = shelf(folder.path());
        for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433"] {
            let why = shelf.fetch(&format!("https://{host}:{port}/a.wav")).await.unwrap_err();
            assert!(why.contains("private network"), "{host}: {why}");
        }
        for source in ["http://example.com/a.wav", "file:///etc/passwd"] {
            let why = shelf.fetch(source).await.unwrap_err();
            assert!(why.contains("`https://`"), "{why}");
        }
        let came = tokio::time::timeout(Duration::from_millis(1), listener.accept()).await;
        assert!(came.is_err(), "somebody connected");
    }

    #[tokio::test]
    async fn a_tone_is_there_without_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let wav = shelf(folder.path()).fetch("tone:beep").await.unwrap();
        let wav = audio::wav::read(&wav).unwrap();
        assert_eq!((wav.rate, wav.samples.len()), (8000, 2000));
        // A 1 kHz tone crosses zero 2,000 times a second.
        let crossings =
            wav.samples.windows(2).filter(|pair| (pair[0] < 0) != (pair[1] < 0)).count();
        assert!((495..=505).contains(&crossings), "{crossings}");
    }
}
