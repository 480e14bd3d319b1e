//! Twilio: calls by webhook, TwiML and media stream; texts by webhook and REST.
