//! ElevenLabs: streaming voices over one socket, a context for each turn.
