//! Deepgram: streaming recognition.
