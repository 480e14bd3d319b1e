//! What we ask of voip.ms: send a text, in as many pieces as it needs.

use std::time::Duration;

use conversation::{Outgoing, Refusal, Sent, segment};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::sleep;

use crate::outward::{Outward, REQUEST, never};

/// Between the pieces of one text, and before a piece is tried again: they overtake each other
/// otherwise.
const PAUSE: Duration = Duration::from_secs(1);

/// How often a piece is tried that is not the first: those before it have left already.
const TRIES: u32 = 5;

/// The longest words beside attachments, in characters.
const LONGEST_WITH_MEDIA: usize = 2048;

/// Most attachments of one text.
const MOST_MEDIA: usize = 3;

/// Words by which voip.ms asks us to come again.
const WAITS: &[&str] = &["api_limit_exceeded", "limit_reached", "sms_wait_message", "sms_failed"];

/// voip.ms's REST API.
pub(super) struct Rest {
    way: Outward,
    url: String,
    username: String,
    password: SecretString,
}

impl Rest {
    pub(super) fn new(
        url: String,
        username: String,
        password: SecretString,
    ) -> Result<Self, String> {
        let way = Outward::new("voip.ms", REQUEST)?;
        Ok(Self { way, url, username, password })
    }

    /// Sends a text. One that is longer than a segment leaves in pieces, in their order.
    pub(super) async fn send(&self, text: &Outgoing) -> Result<Sent, Refusal> {
        let (did, dst) = (local(text.ours.as_str())?, local(text.peer.as_str())?);
        let ends = [("did", did), ("dst", dst)];
        if !text.media.is_empty() {
            return self.with_media(&ends, text).await;
        }
        let pieces = pieces(&text.text);
        if pieces.is_empty() {
            return Err(never("message_empty", "there is nothing in this text"));
        }
        let mut ids = Vec::new();
        for (n, piece) in pieces.iter().enumerate() {
            if n > 0 {
                sleep(PAUSE).await;
            }
            let sent = match n {
                0 => self.ask("sendSMS", &ends, &[("message", piece)], "sms").await?,
                n => self.insist(&ends, piece).await.map_err(|refusal| Refusal::Unknown {
                    why: format!("{n} of {} pieces have left, then: {refusal}", pieces.len()),
                })?,
            };
            ids.push(sent);
        }
        Ok(Sent { carrier_id: ids.join(",") })
    }

    /// A piece that is not the first: the text cannot begin anew, so waits are waited for here.
    async fn insist(&self, ends: &[(&str, &str)], piece: &str) -> Result<String, Refusal> {
        let mut tries = 1;
        loop {
            match self.ask("sendSMS", ends, &[("message", piece)], "sms").await {
                Err(Refusal::Later { .. } | Refusal::Full { .. }) if tries < TRIES => {
                    tries += 1;
                    sleep(PAUSE).await;
                }
                ended => return ended,
            }
        }
    }

    async fn with_media(&self, ends: &[(&str, &str)], text: &Outgoing) -> Result<Sent, Refusal> {
        if text.media.len() > MOST_MEDIA || text.text.chars().count() > LONGEST_WITH_MEDIA {
            let why = format!(
                "voip.ms takes {MOST_MEDIA} attachments and {LONGEST_WITH_MEDIA} characters"
            );
            return Err(never("too_long", why));
        }
        let names = ["media1", "media2", "media3"];
        let mut fields = vec![("message", text.text.as_str())];
        fields.extend(names.into_iter().zip(text.media.iter().map(String::as_str)));
        let carrier_id = self.ask("sendMMS", ends, &fields, "mms").await?;
        Ok(Sent { carrier_id })
    }

    /// One call. Everything is in the body: addresses end up in logs.
    async fn ask(
        &self,
        method: &str,
        ends: &[(&str, &str)],
        fields: &[(&str, &str)],
        id: &str,
    ) -> Result<String, Refusal> {
        let mut form = vec![
            ("api_username", self.username.as_str()),
            ("api_password", self.password.expose_secret()),
            ("method", method),
            ("content_type", "json"),
        ];
        form.extend(ends);
        form.extend(fields);
        let answer = self.way.ask(self.way.post(&self.url).form(&form)).await?;
        if !answer.status.is_success() {
            return Err(self.way.refusal(&answer, None, "", &[]));
        }
        let said = answer.json::<Value>().unwrap_or_default();
        match said["status"].as_str() {
            Some("success") => Ok(match &said[id] {
                Value::String(id) => id.clone(),
                other => other.to_string(),
            }),
            Some(word) if WAITS.contains(&word) => {
                Err(Refusal::Full { why: format!("voip.ms says {word}"), after: None })
            }
            Some(word) => Err(never(word, explained(word))),
            None => Err(self.way.unreadable()),
        }
    }
}

/// Pieces of one segment each, cut between sentences or words.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let piece = segment::cut(rest, 1);
        // A single character always fits.
        let piece = if piece.is_empty() { rest } else { piece };
        pieces.push(piece);
        rest = rest[piece.len()..].trim_start();
    }
    pieces
}

/// A number as voip.ms writes it: ten digits.
fn local(number: &str) -> Result<&str, Refusal> {
    match number.strip_prefix("+1") {
        Some(digits) if digits.len() == 10 => Ok(digits),
        _ => {
            let why = format!("voip.ms sends texts within North America only, not to `{number}`");
            Err(never("invalid_dst", why))
        }
    }
}

/// What a word of voip.ms asks of the operator.
fn explained(word: &str) -> String {
    let help = match word {
        "ip_not_enabled" => {
            "add this machine's address to the list on the portal's API page; an empty list blocks \
             everybody"
        }
        "invalid_credentials" => {
            "VOIPMS_API_USERNAME is the account's e-mail address, and VOIPMS_API_PASSWORD is the \
             API's own password, not the portal's"
        }
        "api_not_enabled" => "enable the API on the portal's API page",
        "invalid_did" | "missing_did" => "this number of ours is not on the account, or has no SMS",
        "non_sufficient_funds" => "the account's balance is used up",
        _ => return format!("voip.ms says {word}"),
    };
    format!("voip.ms says {word}: {help}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_leaves_in_pieces_of_whole_words() {
        assert_eq!(pieces(" hi "), ["hi"]);
        assert!(pieces("  ").is_empty());
        let long = "word ".repeat(100);
        let all = pieces(&long);
        assert!(all.len() > 2 && all.iter().all(|piece| segment::cost(piece).segments == 1));
        assert_eq!(all.join(" "), long.trim());
        assert_eq!(pieces(&"a".repeat(161)).len(), 2);
    }

    #[test]
    fn numbers_lose_their_country() {
        assert_eq!(local("+15550001000"), Ok("5550001000"));
        assert!(local("+447700900123").is_err());
        assert!(local("12345").is_err());
    }

    #[test]
    fn an_operator_is_told_the_way_out() {
        assert!(explained("ip_not_enabled").contains("blocks everybody"));
        assert_eq!(explained("no_such_word"), "voip.ms says no_such_word");
    }
}
