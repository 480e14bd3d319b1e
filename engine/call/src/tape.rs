//! The file of a recording: written piece by piece, away from whatever must keep time.

use std::fs::File;
use std::io::{Result, Seek, SeekFrom, Write};
use std::path::Path;

use audio::Rate;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

/// Bytes of a RIFF WAVE head of linear sound.
const HEAD: u32 = 44;

/// A file of 16-bit samples, one of the caller and one of ours in turn.
pub(crate) struct Tape {
    file: File,
    rate: Rate,
    /// Bytes of sound.
    length: u32,
}

impl Tape {
    /// Makes the file.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn create(
        folder: &Path,
        name: &str,
        rate: Rate,
    ) -> std::result::Result<Self, String> {
        let path = folder.join(name);
        let made = || {
            std::fs::create_dir_all(folder)?;
            let mut file = File::create(&path)?;
            file.write_all(&head(rate, 0))?;
            Ok::<_, std::io::Error>(Self { file, rate, length: 0 })
        };
        made().map_err(|error| format!("`{}`: {error}", path.display()))
    }

    /// Writes some more, and how long it is by then: a process that dies leaves a file that can be
    /// read.
    fn write(&mut self, piece: &[i16]) -> Result<()> {
        let bytes: Vec<u8> = piece.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        self.file.write_all(&bytes)?;
        self.length = self.length.saturating_add(bytes.len() as u32);
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&head(self.rate, self.length))?;
        self.file.seek(SeekFrom::End(0)).map(|_| ())
    }
}

/// Writes pieces as they come until no more do; then the file is complete and closed.
pub(crate) async fn write(tape: Tape, mut pieces: mpsc::UnboundedReceiver<Vec<i16>>) {
    let mut tape = tape;
    while let Some(piece) = pieces.recv().await {
        // A disk may take its time.
        match spawn_blocking(move || tape.write(&piece).map(|()| tape)).await {
            Ok(Ok(written)) => tape = written,
            Ok(Err(error)) => return tracing::error!(%error, "a recording could not be written"),
            Err(error) => return tracing::error!(%error, "the writing of a recording broke"),
        }
    }
    // What is told of the end outlives a crash of the machine, so the file shall, too.
    if let Ok(Err(error)) = spawn_blocking(move || tape.file.sync_all()).await {
        tracing::error!(%error, "a recording may not be written");
    }
}

/// The head of a WAVE file of two channels of 16 bits, with so many bytes of sound.
fn head(rate: Rate, length: u32) -> Vec<u8> {
    const CHANNELS: u16 = 2;
    const BYTES: u16 = 2;
    let mut head = Vec::with_capacity(HEAD as usize);
    head.extend(b"RIFF");
    head.extend((length.saturating_add(HEAD - 8)).to_le_bytes());
    head.extend(b"WAVEfmt ");
    head.extend(16_u32.to_le_bytes());
    for word in [1, CHANNELS] {
        head.extend(word.to_le_bytes());
    }
    head.extend(rate.to_le_bytes());
    head.extend((rate * u32::from(CHANNELS * BYTES)).to_le_bytes());
    for word in [CHANNELS * BYTES, BYTES * 8] {
        head.extend(word.to_le_bytes());
    }
    head.extend(b"data");
    head.extend(length.to_le_bytes());
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_is_read_as_it_was_written() {
        let mut file = head(8000, 8);
        file.extend([1, 0, 2, 0, 3, 0, 4, 0]);
        let wav = audio::wav::read(&file).map(|wav| (wav.rate, wav.channels, wav.samples));
        assert_eq!(wav, Ok((8000, 2, vec![1, 2, 3, 4])));
    }
}
