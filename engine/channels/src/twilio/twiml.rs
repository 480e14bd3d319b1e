//! What we answer: TwiML, written as Twilio's own library writes it.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use call::{Destination, Dial, Dialled};

/// An element on its way to text. Attributes come in the order of their names.
pub(super) struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    inside: String,
}

impl Element {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, attributes: Vec::new(), inside: String::new() }
    }

    pub(super) fn attribute(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.attributes.push((name, value.into()));
        self.attributes.sort();
        self
    }

    pub(super) fn text(mut self, text: &str) -> Self {
        escape(text, Within::Text, &mut self.inside);
        self
    }

    pub(super) fn child(mut self, child: Self) -> Self {
        child.write(&mut self.inside);
        self
    }

    fn write(&self, xml: &mut String) {
        xml.push('<');
        xml.push_str(self.name);
        for (name, value) in &self.attributes {
            xml.push(' ');
            xml.push_str(name);
            xml.push_str("=\"");
            escape(value, Within::Attribute, xml);
            xml.push('"');
        }
        if self.inside.is_empty() {
            xml.push_str(" />");
        } else {
            xml.push('>');
            xml.push_str(&self.inside);
            xml.push_str("</");
            xml.push_str(self.name);
            xml.push('>');
        }
    }

    /// The whole document.
    pub(super) fn document(&self) -> String {
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
        self.write(&mut xml);
        xml
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Within {
    Text,
    Attribute,
}

fn escape(text: &str, within: Within, xml: &mut String) {
    for c in text.chars() {
        match c {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' if within == Within::Attribute => xml.push_str("&quot;"),
            '\t' if within == Within::Attribute => xml.push_str("&#09;"),
            '\n' if within == Within::Attribute => xml.push_str("&#10;"),
            '\r' if within == Within::Attribute => xml.push_str("&#13;"),
            '\t' | '\n' | '\r' => xml.push(c),
            // XML 1.0 cannot hold these in any spelling.
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {}
            c => xml.push(c),
        }
    }
}

/// An answer that does nothing.
pub(super) fn nothing() -> String {
    Element::new("Response").document()
}

/// An answer that hangs up.
pub(super) fn hangup() -> String {
    Element::new("Response").child(Element::new("Hangup")).document()
}

/// An answer that tells the caller why nobody answers, and hangs up.
pub(super) fn apologize(text: &str) -> String {
    Element::new("Response")
        .child(Element::new("Say").text(text))
        .child(Element::new("Hangup"))
        .document()
}

/// An answer that opens a media stream, which proves itself by the token; `action` is asked when
/// the stream ends and nobody said what comes then.
pub(super) fn stream(url: &str, token: &str, action: &str) -> String {
    let parameter = Element::new("Parameter").attribute("name", "token").attribute("value", token);
    let stream = Element::new("Stream").attribute("url", url).child(parameter);
    let connect = Element::new("Connect").attribute("action", action).child(stream);
    Element::new("Response").child(connect).document()
}

/// Dials all destinations at once; `action` is asked afterwards.
///
/// # Errors
/// A destination is of a kind that Twilio cannot dial.
pub(super) fn dial(dial: &Dial, caller: &str, action: &str) -> Result<String, String> {
    // Twilio takes 1 to 600 seconds.
    let ring = dial.ring.as_secs().clamp(1, 600).to_string();
    let mut element = Element::new("Dial").attribute("action", action).attribute("timeout", ring);
    if !caller.is_empty() {
        element = element.attribute("callerId", caller);
    }
    if dial.early_media {
        element = element.attribute("answerOnBridge", "true");
    }
    if dial.anonymous {
        return Err("Twilio cannot hide who calls".into());
    }
    if dial.destinations.is_empty() {
        return Err("there is nobody to dial".into());
    }
    for destination in &dial.destinations {
        element = element.child(noun(destination)?);
    }
    Ok(Element::new("Response").child(element).document())
}

/// Dials somebody, and is over when that is.
///
/// # Errors
/// The destination is of a kind that Twilio cannot dial.
pub(super) fn hand_over(to: &Destination, caller: &str) -> Result<String, String> {
    let mut element = Element::new("Dial");
    if !caller.is_empty() {
        element = element.attribute("callerId", caller);
    }
    Ok(Element::new("Response").child(element.child(noun(to)?)).document())
}

/// Puts the call into a room of two: whoever leaves it takes the other along.
pub(super) fn meet(room: &str) -> String {
    let conference = Element::new("Conference")
        .attribute("beep", "false")
        .attribute("endConferenceOnExit", "true")
        .text(room);
    let dial = Element::new("Dial").child(conference);
    Element::new("Response").child(dial).document()
}

fn noun(destination: &Destination) -> Result<Element, String> {
    let noun = match destination.kind.as_str() {
        "tel" => "Number",
        "sip" => "Sip",
        other => return Err(format!("Twilio cannot dial a destination of type `{other}`")),
    };
    if destination.target.trim().is_empty() {
        return Err("a destination has no target".into());
    }
    Ok(Element::new(noun).text(destination.target.trim()))
}

/// How a dial ended, from `DialCallStatus` and, for SIP, `DialSipResponseCode`.
pub(super) fn dialled(status: &str, sip: Option<&str>) -> Dialled {
    match (status, sip) {
        ("completed" | "answered", _) => Dialled::AnsweredAndDone,
        (_, Some("603" | "403" | "401" | "407")) => Dialled::Rejected,
        ("busy", _) | (_, Some("486" | "600")) => Dialled::Busy,
        ("no-answer" | "canceled", _) => Dialled::NoAnswer,
        _ => Dialled::Failed,
    }
}

/// As an HTTP answer.
pub(super) fn answer(document: String) -> Response {
    ([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], document).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_stream_reads_as_the_library_writes_it() {
        assert_eq!(
            stream("wss://example.com/media", "a\"b", "https://example.com/next"),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>\
             <Connect action=\"https://example.com/next\">\
             <Stream url=\"wss://example.com/media\">\
             <Parameter name=\"token\" value=\"a&quot;b\" /></Stream></Connect></Response>"
        );
        assert_eq!(
            apologize("<no> & \"no\"\u{1}"),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>\
             <Say>&lt;no&gt; &amp; \"no\"</Say><Hangup /></Response>"
        );
        assert_eq!(nothing(), "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response />");
    }

    #[test]
    fn a_dial_rings_all_destinations() {
        let to = |kind: &str, target: &str| Destination {
            kind: kind.into(),
            target: target.into(),
            name: None,
        };
        let both = Dial {
            destinations: vec![to("tel", "+15550002000"), to("sip", "sip:a@b.example?x=1&y=2")],
            source: None,
            ring: Duration::from_secs(30),
            early_media: false,
            anonymous: false,
            music: None,
            announce: None,
            end_on: String::new(),
        };
        assert_eq!(
            dial(&both, "+15550001000", "https://e.example/twilio/dialed").unwrap(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>\
             <Dial action=\"https://e.example/twilio/dialed\" callerId=\"+15550001000\" \
             timeout=\"30\"><Number>+15550002000</Number>\
             <Sip>sip:a@b.example?x=1&amp;y=2</Sip></Dial></Response>"
        );
        let pigeon = Dial { destinations: vec![to("pigeon", "x")], ..both.clone() };
        assert!(dial(&pigeon, "", "x").unwrap_err().contains("pigeon"));
        assert!(dial(&Dial { destinations: vec![], ..both.clone() }, "", "x").is_err());
        let early = dial(&Dial { early_media: true, ..both.clone() }, "", "x").unwrap();
        assert!(early.contains(" answerOnBridge=\"true\""), "{early}");
        let hidden = dial(&Dial { anonymous: true, ..both }, "", "x").unwrap_err();
        assert!(hidden.contains("hide"), "{hidden}");
    }

    #[test]
    fn ends_of_a_dial_are_told_apart() {
        assert_eq!(dialled("completed", Some("200")), Dialled::AnsweredAndDone);
        assert_eq!(dialled("busy", None), Dialled::Busy);
        assert_eq!(dialled("busy", Some("603")), Dialled::Rejected);
        assert_eq!(dialled("failed", Some("486")), Dialled::Busy);
        assert_eq!(dialled("no-answer", None), Dialled::NoAnswer);
        assert_eq!(dialled("canceled", None), Dialled::NoAnswer);
        assert_eq!(dialled("failed", None), Dialled::Failed);
        assert_eq!(dialled("what is this", None), Dialled::Failed);
    }
}
