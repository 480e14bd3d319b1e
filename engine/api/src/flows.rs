//! Flows are checked: the same call as `voxflow validate`.

use axum::Json;
use axum::extract::State;
use flow::{Linking, Needs};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Api;
use crate::error::Error;
use crate::params::Params;

/// What a flow is checked for.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Check {
    #[serde(default, rename = "for")]
    medium: Medium,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Medium {
    Call,
    Text,
    #[default]
    Both,
}

/// Every finding in the document that is the body. A flow with findings is no refused request:
/// the answer is 200 and says whether it links.
pub(crate) async fn validate(
    State(api): State<Api>,
    Params(check): Params<Check>,
    text: String,
) -> Result<Json<Value>, Error> {
    let medium = match check.medium {
        Medium::Call => Needs::Call,
        Medium::Text => Needs::Text,
        Medium::Both => Needs::Nothing,
    };
    let linked = flow::link(&text, Linking { catalog: api.catalog, medium });
    let (links, diagnostics) = match linked {
        Ok((_, warnings)) => (true, warnings),
        Err(found) => (false, found),
    };
    Ok(Json(json!({ "links": links, "diagnostics": diagnostics })))
}
