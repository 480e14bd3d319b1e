//! The words by which a peer leaves and returns: STOP, START, HELP.
//!
//! The lists are those of the carriers in the United States (CTIA, with OPTOUT and REVOKE since
//! 2025). A word counts only when it is the whole message: "STOP 12345" is an ordinary one.

/// What such a word asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// No more texts.
    Leave,
    /// Texts again.
    Return,
    /// To be told who this is.
    Help,
}

const LEAVE: &[&str] =
    &["STOP", "STOPALL", "UNSUBSCRIBE", "END", "QUIT", "CANCEL", "REVOKE", "OPTOUT"];
const RETURN: &[&str] = &["START", "YES", "UNSTOP"];
const HELP: &[&str] = &["HELP", "INFO"];

/// The wish of a message, trimmed, in any case. `has_left` tells whether the peer has left before:
/// only then do START and YES mean a return, and not an answer to what was asked.
pub fn wish(text: &str, has_left: bool) -> Option<Wish> {
    let word = text.trim().to_uppercase();
    let is = |list: &[&str]| list.contains(&word.as_str());
    if is(LEAVE) {
        Some(Wish::Leave)
    } else if is(RETURN) && has_left {
        Some(Wish::Return)
    } else if is(HELP) {
        Some(Wish::Help)
    } else {
        None
    }
}

/// Whether a message is a word by which carriers let a peer return, who may have left by theirs
/// without our knowing.
pub fn is_return(text: &str) -> bool {
    wish(text, true) == Some(Wish::Return)
}

/// What a peer is told once in answer.
pub fn answer(wish: Wish) -> &'static str {
    match wish {
        Wish::Leave => {
            "You have been unsubscribed and will receive no more messages. Reply START to resubscribe."
        }
        Wish::Return => {
            "You have been resubscribed and will receive messages again. Reply STOP to unsubscribe."
        }
        Wish::Help => {
            "This is an automated service. Reply STOP to unsubscribe. Message and data rates may apply."
        }
    }
}

/// Whether a carrier's error code means that the peer has left: Twilio's 21610, Telnyx's 40300.
pub fn by_code(code: &str) -> bool {
    matches!(code, "21610" | "40300")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_message_is_a_wish() {
        assert_eq!(wish(" stop\n", false), Some(Wish::Leave));
        assert_eq!(wish("Optout", false), Some(Wish::Leave));
        assert_eq!(wish("STOP 12345", false), None);
        assert_eq!(wish("please stop", false), None);
        assert_eq!(wish("info", false), Some(Wish::Help));
    }

    #[test]
    fn yes_is_an_answer_unless_the_peer_has_left() {
        assert_eq!(wish("yes", false), None);
        assert_eq!(wish("Yes", true), Some(Wish::Return));
        assert_eq!(wish("START", true), Some(Wish::Return));
    }
}
