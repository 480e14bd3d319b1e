//! The numbers that are answered, and by which flows.

use axum::Json;
use axum::extract::State;
use runtime::numbers::Number;
use serde_json::{Value, json};

use crate::Api;
use crate::access::Holder;

/// All of them, in order.
pub(crate) async fn list(State(api): State<Api>, holder: Holder) -> Json<Value> {
    let all = api.runtime.parts.numbers.0.values();
    let mut numbers: Vec<&Number> = all.filter(|number| holder.sees(&number.tenant.0)).collect();
    numbers.sort_by_key(|number| &number.number);
    let rows: Vec<Value> = numbers
        .into_iter()
        .map(|number| {
            json!({
                "number": number.number,
                "customer_id": number.tenant,
                "call_flow": number.call_flow.as_ref().map(|(row, _)| &row.name),
                "message_flow": number.message_flow.as_ref().map(|(row, _)| &row.name),
            })
        })
        .collect();
    Json(json!({ "result": rows, "next_page_token": "" }))
}
