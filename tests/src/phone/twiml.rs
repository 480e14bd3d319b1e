//! The verbs of TwiML that voxflow uses.

/// A verb that voxflow uses.
pub(super) enum Verb {
    Connect { url: String, parameters: Vec<(String, String)>, action: Option<String> },
    Dial { numbers: Vec<String>, timeout: String, action: Option<String> },
    Redirect(String),
    Hangup,
    Reject,
    Pause(u64),
    Say,
    Unknown(String),
}

impl Verb {
    pub(super) fn read(node: roxmltree::Node<'_, '_>) -> Self {
        let action = node.attribute("action").map(ToOwned::to_owned);
        let text = node.text().unwrap_or_default().trim().to_owned();
        match node.tag_name().name() {
            "Connect" => {
                let Some(stream) = node.children().find(|child| child.has_tag_name("Stream"))
                else {
                    return Self::Unknown("Connect without Stream".into());
                };
                let parameters = stream.children().filter(|child| child.has_tag_name("Parameter"));
                let of = |child: roxmltree::Node<'_, '_>, name| {
                    child.attribute(name).unwrap_or_default().to_owned()
                };
                let parameters =
                    parameters.map(|child| (of(child, "name"), of(child, "value"))).collect();
                Self::Connect { url: of(stream, "url"), parameters, action }
            }
            "Dial" => {
                let nouns = node.children().filter(roxmltree::Node::is_element);
                let mut numbers: Vec<String> =
                    nouns.map(|noun| noun.text().unwrap_or_default().trim().to_owned()).collect();
                if !text.is_empty() {
                    numbers.push(text);
                }
                Self::Dial {
                    numbers,
                    timeout: node.attribute("timeout").unwrap_or("30").into(),
                    action,
                }
            }
            "Redirect" => Self::Redirect(text),
            "Hangup" => Self::Hangup,
            "Reject" => Self::Reject,
            "Pause" => {
                Self::Pause(node.attribute("length").and_then(|s| s.parse().ok()).unwrap_or(1))
            }
            "Say" => Self::Say,
            other => Self::Unknown(other.into()),
        }
    }
}
