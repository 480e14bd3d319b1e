//! What the API understands and answers, as an OpenAPI 3.1 document: `GET /v1.0/openapi.json`.
//!
//! The table of [`doors`] is the one list of what the API has; that the router has the same, and
//! that answers are as they are described here, is a matter of the tests.

use axum::Json;
use serde_json::{Map, Value, json};

/// One thing that can be asked.
pub struct Door {
    /// `get` or `post`.
    pub method: &'static str,
    /// Its path, with `{id}` in it.
    pub path: &'static str,
    about: &'static str,
    /// Names and meanings of what may stand in the query.
    query: &'static [(&'static str, &'static str)],
    /// The schema of the body that is brought; empty = none.
    body: &'static str,
    /// The schema of the answer.
    answer: &'static str,
}

const PAGE: (&str, &str) = ("page_size", "How many rows, 1 to 100; 100 when absent.");
const TOKEN: (&str, &str) = ("page_token", "The `next_page_token` of the page before.");
const CUSTOMER: (&str, &str) = ("customer_id", "Whose it must be.");

/// Everything that can be asked, but for the WebSocket of happenings.
pub const DOORS: &[Door] = &[
    door(
        "get",
        "/v1.0/activeflows",
        "The newest runs of flows.",
        &[PAGE, TOKEN],
        "",
        "Activeflows",
    ),
    door("post", "/v1.0/activeflows", "Begins a run.", &[], "NewActiveflow", "Activeflow"),
    door(
        "get",
        "/v1.0/activeflows/{id}",
        "A run with its steps, what was said, its texts, and what its turns took.",
        &[],
        "",
        "ActiveflowWhole",
    ),
    door("post", "/v1.0/activeflows/{id}/stop", "Ends a run.", &[], "", "Activeflow"),
    door(
        "post",
        "/v1.0/activeflows/{id}/events",
        "Gives an event to a run that waits for it.",
        &[CUSTOMER],
        "Event",
        "Activeflow",
    ),
    door(
        "post",
        "/v1.0/activeflows/{id}/continue",
        "Lets a run go on that waits to be continued.",
        &[CUSTOMER],
        "",
        "Activeflow",
    ),
    door("get", "/v1.0/calls", "The newest calls.", &[PAGE, TOKEN], "", "Calls"),
    door("post", "/v1.0/calls", "Calls somebody.", &[], "NewCalls", "CallsMade"),
    door(
        "get",
        "/v1.0/calls/{id}",
        "A call, with what its last 200 turns took.",
        &[],
        "",
        "CallWhole",
    ),
    door(
        "get",
        "/v1.0/recordings",
        "The newest recordings of calls.",
        &[PAGE, TOKEN],
        "",
        "Recordings",
    ),
    door(
        "get",
        "/v1.0/recordings/{id}",
        "A recording: a wav file, the caller left, we right.",
        &[],
        "",
        SOUND,
    ),
    door(
        "get",
        "/v1.0/conversations",
        "The threads that moved last.",
        &[("peer", "With this address at the other end."), PAGE, TOKEN],
        "",
        "Conversations",
    ),
    door(
        "get",
        "/v1.0/conversations/{id}",
        "A thread, by its id or the peer's address.",
        &[],
        "",
        "Conversation",
    ),
    door(
        "get",
        "/v1.0/conversations/{id}/messages",
        "The texts of a thread, oldest first.",
        &[
            ("after", "Texts after this place in the thread."),
            ("page_size", "At most so many, 1 to 100."),
            ("last", "Only so many, the newest."),
            ("wait", "Wait so many seconds, at most 60, until the last text is ours."),
            ("as", "`text` for lines that people read."),
        ],
        "",
        "Messages",
    ),
    door(
        "post",
        "/v1.0/conversations/{id}/messages",
        "Sends a text of a human to the peer.",
        &[],
        "NewMessage",
        "MessageAsked",
    ),
    door(
        "post",
        "/v1.0/conversations/{id}/assign",
        "Gives a thread to a human, or back to its flow.",
        &[],
        "Assignment",
        "Conversation",
    ),
    door("get", "/v1.0/numbers", "The numbers that are answered.", &[], "", "Numbers"),
    door(
        "post",
        "/v1.0/flows/validate",
        "Every finding in a flow, which is the body.",
        &[("for", "`call`, `text` or `both`.")],
        "Flow",
        "Findings",
    ),
    door("get", "/v1.0/openapi.json", "This document.", &[], "", "Anything"),
];

/// The answer is a sound file, not JSON.
const SOUND: &str = "audio/wav";

const fn door(
    method: &'static str,
    path: &'static str,
    about: &'static str,
    query: &'static [(&'static str, &'static str)],
    body: &'static str,
    answer: &'static str,
) -> Door {
    Door { method, path, about, query, body, answer }
}

/// The document.
pub(crate) async fn show() -> Json<Value> {
    Json(document())
}

/// The document.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for door in DOORS {
        let path = paths.entry(door.path).or_insert_with(|| json!({}));
        path[door.method] = operation(door);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "voxflow",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Runs of flows, calls, conversations and numbers. What happens is told as \
                            it happens by the WebSocket `/v1.0/ws`.",
        },
        "security": [{ "bearer": [] }, { "accesskey": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "accesskey": { "type": "apiKey", "in": "query", "name": "accesskey" },
            },
            "schemas": schemas(),
        },
    })
}

fn operation(door: &Door) -> Value {
    let mut parameters: Vec<Value> = Vec::new();
    if door.path.contains("{id}") {
        parameters.push(json!({
            "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }));
    }
    parameters.extend(door.query.iter().map(|(name, about)| {
        json!({ "name": name, "in": "query", "description": about, "schema": { "type": "string" } })
    }));
    if door.method == "post" {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "schema": { "type": "string", "maxLength": 255 },
            "description": "The same key within 48 hours has the answer of the first time." }));
    }
    let schema = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let content = |name: &str| match name {
        SOUND => json!({ SOUND: {} }),
        name => json!({ "application/json": { "schema": schema(name) } }),
    };
    let mut operation = json!({
        "summary": door.about,
        "operationId": operation_id(door),
        "parameters": parameters,
        "responses": {
            "200": { "description": "Done.", "content": content(door.answer) },
            "default": { "description": "It was refused.", "content": content("Refusal") },
        },
    });
    if !door.body.is_empty() {
        operation["requestBody"] = json!({ "content": content(door.body), "required": true });
    }
    operation
}

/// Such as `post_conversations_id_assign`.
fn operation_id(door: &Door) -> String {
    let path = door.path.trim_start_matches("/v1.0/").trim_end_matches(".json");
    let words: String = path.chars().filter(|c| !"{}".contains(*c)).collect();
    format!("{}_{}", door.method, words.replace('/', "_"))
}

/// An object with these fields, of which those with `?` behind the name may be absent or null.
fn object(fields: &[(&str, Value)]) -> Value {
    let name = |name: &str| name.trim_end_matches('?').to_owned();
    let properties: Map<String, Value> =
        fields.iter().map(|(field, schema)| (name(field), schema.clone())).collect();
    let required: Vec<String> = fields
        .iter()
        .filter(|(field, _)| !field.ends_with('?'))
        .map(|(field, _)| name(field))
        .collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

fn schemas() -> Value {
    let text = || json!({ "type": "string" });
    let maybe = || json!({ "type": ["string", "null"] });
    let time = || json!({ "type": "string", "format": "date-time" });
    let maybe_time = || json!({ "type": ["string", "null"], "format": "date-time" });
    let number = || json!({ "type": "integer" });
    let flag = || json!({ "type": "boolean" });
    let anything = || json!({ "type": "object" });
    let refer = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let list = |of: Value| json!({ "type": "array", "items": of });
    let page = |of: &str| object(&[("result", list(refer(of))), ("next_page_token", text())]);
    let end = || object(&[("target", text())]);
    let activeflow = [
        ("id", text()),
        ("customer_id", text()),
        ("flow_id", text()),
        ("flow_name", text()),
        ("status", json!({ "enum": ["running", "waiting", "ended"] })),
        ("outcome?", maybe()),
        ("waiting_for?", json!({ "type": ["object", "null"] })),
        ("waits", list(refer("Wait"))),
        ("reference_type", json!({ "enum": ["call", "conversation", "api"] })),
        ("reference_id", text()),
        ("reference_activeflow_id?", maybe()),
        ("tm_create", time()),
        ("tm_update", time()),
    ];
    let whole = [
        ("variables", anything()),
        ("executed_actions", list(anything())),
        ("transcript", list(object(&[("at", time()), ("who", text()), ("text", text())]))),
        ("texts", list(refer("ActiveflowText"))),
        ("turns", list(refer("Turn"))),
    ];
    let call = [
        ("id", text()),
        ("customer_id", text()),
        ("carrier", text()),
        ("carrier_id", text()),
        ("source", end()),
        ("destination", end()),
        ("activeflow_id", text()),
        ("status", text()),
        ("tm_create", time()),
        ("tm_hangup?", maybe_time()),
    ];
    let turns = [("turns", list(refer("Turn")))];
    json!({
        "Anything": anything(),
        "Activeflow": object(&activeflow),
        "Activeflows": page("Activeflow"),
        "ActiveflowWhole": object(&[activeflow.as_slice(), &whole].concat()),
        "ActiveflowText": object(&[
            ("direction", json!({ "enum": ["in", "out"] })),
            ("id", text()),
            ("peer", text()),
            ("text", text()),
            ("media", list(text())),
            ("claim?", text()),
            ("at", time()),
            ("sending?", object(&[
                ("channel", text()),
                ("status", json!({ "enum": ["queued", "sent", "delivered", "failed"] })),
                ("why?", maybe()),
                ("attempts", number()),
                ("not_before", time()),
                ("tried?", maybe_time()),
                ("carrier_id?", maybe()),
                ("receipt?", maybe_time()),
            ])),
        ]),
        "Wait": object(&[("action", text()), ("what", text()), ("until?", maybe_time())]),
        "NewActiveflow": object(&[
            ("flow_id?", text()),
            ("actions?", list(anything())),
            ("variables?", anything()),
            ("conversation_id?", text()),
            ("customer_id?", text()),
        ]),
        "Event": object(&[("name", text()), ("values?", anything())]),
        "Call": object(&call),
        "CallWhole": object(&[call.as_slice(), &turns].concat()),
        "Turn": object(&[
            ("at", time()),
            ("turn", number()),
            ("kind", text()),
            ("from_ms", number()),
            ("stages", anything()),
            ("engine_added?", number()),
            ("ahead?", flag()),
            ("cut?", object(&[("heard_ms", number()), ("barge_in_ms?", number())])),
            ("tools?", list(object(&[("name", text()), ("took_ms", number())]))),
            ("spent?", list(anything())),
        ]),
        "Calls": page("Call"),
        "Recording": object(&[
            ("id", text()),
            ("filename", text()),
            ("activeflow_id", text()),
            ("format", text()),
            ("size", number()),
            ("tm_end", time()),
        ]),
        "Recordings": page("Recording"),
        "NewCalls": object(&[
            ("flow_id?", text()),
            ("actions?", list(anything())),
            ("source?", end()),
            ("destinations", list(end())),
            ("anonymous?", json!({ "type": ["boolean", "string"] })),
            ("early_execution?", flag()),
            ("variables?", anything()),
            ("customer_id?", text()),
        ]),
        "CallsMade": object(&[("calls", list(refer("Call"))), ("groupcalls", list(anything()))]),
        "Conversation": object(&[
            ("id", text()),
            ("customer_id", text()),
            ("type", text()),
            ("self", end()),
            ("peer", end()),
            ("assigned_to?", maybe()),
            ("tm_update", time()),
        ]),
        "Conversations": page("Conversation"),
        "Message": object(&[
            ("id", text()),
            ("conversation_id", text()),
            ("n", number()),
            ("direction", json!({ "enum": ["incoming", "outgoing"] })),
            ("text", text()),
            ("medias", list(object(&[("url", text()), ("content_type", text())]))),
            ("tm_create", time()),
        ]),
        "Messages": object(&[
            ("result", list(refer("Message"))),
            ("next_after?", json!({ "type": ["integer", "null"] })),
        ]),
        "NewMessage": object(&[("text?", text()), ("medias?", list(text()))]),
        "MessageAsked": object(&[("conversation_id", text()), ("key", text()), ("text", text())]),
        "Assignment": object(&[("to?", maybe())]),
        "Number": object(&[
            ("number", text()),
            ("customer_id", text()),
            ("call_flow?", maybe()),
            ("message_flow?", maybe()),
        ]),
        "Numbers": page("Number"),
        "Flow": anything(),
        "Findings": object(&[("links", flag()), ("diagnostics", list(anything()))]),
        "Refusal": object(&[("error", object(&[
            ("status", json!({})),
            ("reason", text()),
            ("message", text()),
            ("request_id", text()),
            ("details?", list(anything())),
        ]))]),
    })
}
