//! Sound files: RIFF WAVE, read and written.
