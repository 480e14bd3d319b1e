//! OpenAI: language models by chat completions (any compatible server), and voices by speech.
