//! Vendors as a talk uses them: the programs of this machine, and OpenAI on loopback.

mod round_trip;
