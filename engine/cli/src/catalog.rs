//! The catalog of actions, and what is known of the vendors that agents name.

use std::sync::Arc;

use flow::Catalog;
use providers::{Engines, Work, engines};

/// By the names of vendors alone: who checks a flow may have no keys.
pub(crate) const NAMED: Catalog = Catalog { vendors: Some(&named), ..actions::ALL };

/// By what can be used here.
pub(crate) fn usable(engines: Arc<Engines>) -> Catalog {
    let check = move |work: &str, name: &str| {
        engines.usable(doing(work), name).map_err(|error| error.to_string())
    };
    // One for the whole life of the program.
    Catalog { vendors: Some(Box::leak(Box::new(check))), ..actions::ALL }
}

fn named(work: &str, name: &str) -> Result<(), String> {
    engines::known(doing(work), name).map_err(|error| error.to_string())
}

fn doing(work: &str) -> Work {
    match work {
        "recognizer" => Work::Recognizer,
        "voice" => Work::Voice,
        _ => Work::Model,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn told(catalog: Catalog, ai: &str) -> Vec<String> {
        let text = format!(
            r#"{{ "on_error": "end", "actions": [{{ "type": "ai_talk", "option": {{ "ai": {ai} }} }}] }}"#
        );
        let linking = flow::Linking { catalog, medium: flow::Needs::Nothing };
        let Ok((_, warnings)) = flow::link(&text, linking) else { panic!("{text} does not link") };
        warnings
            .iter()
            .map(|found| format!("{} {} {}", found.code, found.pointer, found.message))
            .collect()
    }

    #[test]
    fn a_vendor_that_nobody_knows_is_found_without_keys() {
        assert!(
            told(NAMED, r#"{ "engine_model": "groq.llama", "stt_type": "assemblyai" }"#).is_empty()
        );
        assert!(told(NAMED, r#"{ "engine_model": "${model}", "tts_type": "" }"#).is_empty());
        let found =
            told(NAMED, r#"{ "stt_type": "deepgramm", "tts_fallback": ["cartesia", "x"] }"#);
        assert_eq!(found.len(), 2);
        let stt = "F025 /actions/0/option/ai/stt_type recognizer refused: `deepgramm` is unknown";
        assert!(found.iter().any(|found| found.starts_with(stt)), "{found:?}");
        let tts = "F025 /actions/0/option/ai/tts_fallback/1 voice refused: `x` is unknown";
        assert!(found.iter().any(|found| found.starts_with(tts)), "{found:?}");
        let bare = told(NAMED, r#"{ "engine_model": "groq" }"#);
        assert!(
            bare[0].ends_with("groq refused: name a model too, as in `groq.MODEL`"),
            "{bare:?}"
        );
    }

    #[test]
    fn a_key_that_is_missing_is_found_where_keys_are_known() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let engines = Engines::new(providers::Settings::default()).unwrap();
        let catalog = usable(Arc::new(engines));
        let found = told(catalog, r#"{ "engine_model": "anthropic", "tts_type": "espeak" }"#);
        let expected = "F025 /actions/0/option/ai/engine_model \
                        anthropic refused: it has no key; set ANTHROPIC_API_KEY";
        assert_eq!(found, [expected]);
    }
}
