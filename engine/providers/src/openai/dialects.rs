//! The services that speak OpenAI's protocol, and how each of them differs in it.

/// How a service speaks it.
#[derive(Debug, PartialEq, Eq)]
pub struct Dialect {
    /// As an agent's `engine_model` names it, before the dot.
    pub name: &'static str,
    /// What its paths begin with. Empty = every account has an address of its own.
    pub base: &'static str,
    /// The header of the key, where it is not `Authorization: Bearer`.
    pub(super) key_header: Option<&'static str>,
    /// Whether it needs a key at all.
    pub needs_key: bool,
    /// Whether it may be asked to tell at the end what an answer cost; others refuse the wish.
    pub(super) usage: bool,
    /// Whether its models take tools.
    pub(super) tools: bool,
    /// Whether ids of tool calls must be nine letters or digits.
    pub(super) short_ids: bool,
}

/// A service without any difference.
const PLAIN: Dialect = Dialect {
    name: "",
    base: "",
    key_header: None,
    needs_key: true,
    usage: true,
    tools: true,
    short_ids: false,
};

/// OpenAI itself.
pub const OPENAI: Dialect = Dialect { name: "openai", base: "https://api.openai.com/v1", ..PLAIN };

/// All others. A model must be named: none of them has one that stays.
pub const OTHERS: [Dialect; 14] = [
    Dialect { name: "azure", key_header: Some("api-key"), ..PLAIN },
    Dialect { name: "cerebras", base: "https://api.cerebras.ai/v1", ..PLAIN },
    Dialect { name: "deepseek", base: "https://api.deepseek.com/v1", ..PLAIN },
    Dialect { name: "fireworks", base: "https://api.fireworks.ai/inference/v1", ..PLAIN },
    Dialect { name: "grok", base: "https://api.x.ai/v1", ..PLAIN },
    Dialect { name: "groq", base: "https://api.groq.com/openai/v1", ..PLAIN },
    Dialect {
        name: "mistral",
        base: "https://api.mistral.ai/v1",
        usage: false,
        short_ids: true,
        ..PLAIN
    },
    Dialect { name: "nvidia", base: "https://integrate.api.nvidia.com/v1", ..PLAIN },
    Dialect { name: "ollama", base: "http://localhost:11434/v1", needs_key: false, ..PLAIN },
    Dialect { name: "openrouter", base: "https://openrouter.ai/api/v1", ..PLAIN },
    Dialect { name: "perplexity", base: "https://api.perplexity.ai", tools: false, ..PLAIN },
    Dialect {
        name: "qwen",
        base: "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        ..PLAIN
    },
    Dialect { name: "sambanova", base: "https://api.sambanova.ai/v1", ..PLAIN },
    Dialect { name: "together", base: "https://api.together.xyz/v1", ..PLAIN },
];

/// The service of a name, OpenAI's own included.
pub fn dialect(name: &str) -> Option<&'static Dialect> {
    const ALL: &[Dialect] = &OTHERS;
    const FIRST: &Dialect = &OPENAI;
    if name == FIRST.name { Some(FIRST) } else { ALL.iter().find(|other| other.name == name) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_service_has_an_address_or_wants_one() {
        for other in &OTHERS {
            assert_eq!(dialect(other.name), Some(other));
            let fine = other.base.starts_with("https://")
                || other.base.is_empty() && other.name == "azure"
                || other.base.starts_with("http://localhost:") && !other.needs_key;
            assert!(fine && !other.base.ends_with('/'), "{}", other.name);
        }
        assert_eq!(dialect("openai").unwrap().base, super::super::BASE_URL);
        assert_eq!(dialect("acme"), None);
    }
}
