// What an editor makes of schemas/flow.json: the JSON language service of Visual Studio Code, fed
// with documents that name the schema as an author does. `tests/run.sh` runs it; by hand:
// `npm ci && node --test` in this folder.

import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

import json from "vscode-json-languageservice";

const { getLanguageService, TextDocument } = json;

const root = fileURLToPath(new URL("../..", import.meta.url));
const flows = pathToFileURL(`${root}/flows/`);
// The numbers that the protocol of editors gives to how bad a finding is.
const ERROR = 1;
const WARNING = 2;

const service = getLanguageService({
  // Only files: whatever would be fetched from a network is a fault.
  schemaRequestService: (uri) =>
    uri.startsWith("file:") ? readFile(fileURLToPath(uri), "utf8") : Promise.reject(new Error(`${uri} was asked for`)),
  workspaceContext: { resolveRelativePath: (path, base) => new URL(path, base).toString() },
});
// A list cannot name its schema: the author's settings do.
const bare = { uri: new URL("../schemas/flow.json", flows).toString(), fileMatch: ["bare.json"] };
service.configure({ allowComments: false, validate: true, schemas: [bare] });

function open(text, name = "mine.json") {
  const document = TextDocument.create(new URL(name, flows).toString(), "json", 1, text);
  return { document, tree: service.parseJSONDocument(document) };
}

/// A flow of one action, as text with `|` where the cursor is.
function flow(action) {
  return `{ "$schema": "../schemas/flow.json", "actions": [\n  ${action}\n] }`;
}

function atCursor(text, name) {
  const offset = text.indexOf("|");
  const { document, tree } = open(text.slice(0, offset) + text.slice(offset + 1), name);
  return { document, tree, position: document.positionAt(offset) };
}

async function completions(text, name) {
  const { document, tree, position } = atCursor(text, name);
  const { items } = await service.doComplete(document, position, tree);
  return new Map(items.map((item) => [item.label, item]));
}

async function hover(text) {
  const { document, tree, position } = atCursor(text);
  const found = await service.doHover(document, position, tree);
  return found?.contents.map((one) => one.value ?? one).join("\n") ?? "";
}

/// What is marked, each as `severity text: message`.
async function marks(text, name) {
  const { document, tree } = open(text, name);
  const found = await service.doValidation(document, tree, { schemaValidation: "error" });
  return found.map((one) => ({
    severity: one.severity,
    text: document.getText(one.range),
    message: one.message,
  }));
}

async function errors(text, name) {
  return (await marks(text, name)).filter((one) => one.severity === ERROR);
}

test("types are offered right after `\"type\": \"`, with what they do", async () => {
  for (const [start, list] of [[flow(`{ "type": "|" }`)], [flow(`{ "type": "ta|" }`)], [flow(`{ "type": | }`)]]) {
    const offered = await completions(start);
    for (const type of ["talk", "ai_talk", "connect_call", "send_message", "wait_message", "branch"]) {
      assert.ok(offered.has(`"${type}"`), `${type} is not among ${[...offered.keys()]} of ${start}`);
    }
    const about = offered.get(`"talk"`).documentation;
    assert.match(about.value ?? about, /^Speaks a text/);
  }
});

test("the options of the chosen type are offered, and no others", async () => {
  const offered = await completions(flow(`{ "type": "talk", "option": { "|" } }`));
  assert.ok(offered.has("text") && offered.has("voice_id"), [...offered.keys()].join());
  assert.ok(!offered.has("ring_s"));
  assert.ok(!offered.has("provider"), "an older name is read, not offered");
  const nested = await completions(flow(`{ "type": "ai_talk", "option": { "ai": { "|" } } }`));
  assert.ok(nested.has("init_prompt") && nested.has("tool_names"), [...nested.keys()].join());
  const aliased = await completions(flow(`{ "type": "connect", "option": { "|" } }`));
  assert.ok(aliased.has("destinations") && aliased.has("ring_s"), [...aliased.keys()].join());
});

test("keys of a document, of an action and its exits are offered", async () => {
  const head = await completions(`{ "$schema": "../schemas/flow.json", "|" }`);
  assert.ok(head.has("actions") && head.has("on_error") && head.has("timezone"), [...head.keys()].join());
  const action = await completions(flow(`{ "type": "talk", "|" }`));
  assert.ok(action.has("option") && action.has("on") && action.has("if"), [...action.keys()].join());
  assert.ok(!action.has("next_id"), "an older name is read, not offered");
  const exits = await completions(flow(`{ "type": "connect_call", "on": { "|" } }`));
  for (const exit of ["done", "busy", "no_answer", "rejected", "failed"]) assert.ok(exits.has(exit), exit);
  assert.ok(!exits.has("no_input"));
});

test("values are offered where only a few may be", async () => {
  const cause = await completions(flow(`{ "type": "hangup", "option": { "cause": "|" } }`));
  assert.ok(cause.has(`"busy"`) && cause.has(`"no_answer"`), [...cause.keys()].join());
  const first = await completions(flow(`{ "type": "ai_talk", "option": { "ai": { "speak_first": | } } }`));
  assert.ok(first.has(`"agent"`) && first.has(`"caller"`), [...first.keys()].join());
  const yes = await completions(flow(`{ "type": "talk", "option": { "stop_on_digit": | } }`));
  assert.ok(yes.has("true") && yes.has("false"), [...yes.keys()].join());
});

test("the pointer over a word shows what the code says of it", async () => {
  const cases = [
    [flow(`{ "type": "t|alk", "option": { "text": "Hello." } }`), /Speaks a text/],
    [flow(`{ "type": "conn|ect" }`), /Older name of `connect_call`/],
    [flow(`{ "type": "talk", "option": { "te|xt": "Hello." } }`), /What to say/],
    [flow(`{ "type": "connect_call", "option": { "ring|_s": 5 } }`), /How long it may ring, seconds/],
    [flow(`{ "type": "hangup", "option": { "cause": "b|usy" } }`), /The line was taken/],
    [flow(`{ "type": "ai_talk", "option": { "ai": { "gre|eting": "" } } }`), /A fixed first sentence/],
    [flow(`{ "type": "talk", "i|f": "true" }`), /passed over[^]*An expression over the variables/],
    [`{ "$schema": "../schemas/flow.json", "on_e|rror": "x", "actions": [] }`, /every failure exit/],
  ];
  for (const [text, expected] of cases) assert.match(await hover(text), expected, text);
});

test("faults are marked where they are", async () => {
  const cases = [
    [`{ "type": "talk", "option": { "text": "a", "vioce": "x" } }`, `"vioce"`, /vioce/],
    [`{ "type": "talk", "option": { "stop_on_digit": true } }`, `"option"`, /Missing property "text"/],
    [`{ "type": "talk" }`, `{`, /Missing property "option"/],
    [`{ "type": "tlak" }`, `"tlak"`, /not accepted|Valid values/],
    [`{ "type": "connect_call", "option": { "destinations": [{ "target": "+1" }], "ring_s": "soon" } }`, `"soon"`, /Only a variable/],
    [`{ "type": "connect_call", "option": { "destinations": [{ "target": "+1" }], "ring_s": 0 } }`, `0`, /minimum/],
    [`{ "type": "connect_call", "option": { "destinations": [{ "target": "+1" }], "ring_s": [] } }`, `[]`, /Incorrect type/],
    [`{ "type": "hangup", "option": { "cause": "bussy" } }`, `"bussy"`, /not accepted|Valid values/],
    [`{ "type": "talk", "option": { "text": "a" }, "on": { "busy": "x" } }`, `"busy"`, /busy/],
    [`{ "type": "talk", "option": { "text": "a" }, "nxt": "x" }`, `"nxt"`, /nxt/],
    [`{ "type": "stop", "id": "no good" }`, `"no good"`, /pattern/],
    [`{ "type": "stop", "id": 5 }`, `5`, /Incorrect type/],
  ];
  for (const [action, where, message] of cases) {
    const found = await errors(flow(action));
    assert.equal(found.length, 1, `${action}: ${JSON.stringify(found)}`);
    assert.ok(found[0].text.startsWith(where), `${action}: marked ${found[0].text}, not ${where}`);
    assert.match(found[0].message, message, action);
  }
});

test("every example is free of marks", async () => {
  const names = (await readdir(fileURLToPath(flows))).filter((name) => /^[^.]+\.json$/.test(name));
  assert.ok(names.length >= 4);
  for (const name of names) {
    assert.deepEqual(await marks(await readFile(new URL(name, flows), "utf8"), name), [], name);
  }
});

test("older names are read, and said to be older", async () => {
  const text = `{ "$schema": "../schemas/flow.json", "actions": [
    { "id": "a", "type": "digits_receive", "option": { "length": 1, "key": "#" }, "next_id": "b" },
    { "id": "b", "type": "branch", "option": { "target_ids": { "1": "c" }, "default_target_id": "c" } },
    { "id": "c", "type": "goto", "option": { "target_id": "a", "loop_count": 3 } },
    { "id": "d", "type": "message_send", "option": { "text": "Bye." } },
    { "id": "e", "type": "hangup", "option": { "reason": "noanswer" } }
  ] }`;
  const found = await marks(text);
  assert.deepEqual(found.filter((one) => one.severity === ERROR), []);
  const told = found.filter((one) => one.severity === WARNING).map((one) => one.text);
  for (const older of [`"next_id": "b"`, `"length": 1`, `"target_ids": { "1": "c" }`, `"loop_count": 3`]) {
    assert.ok(told.includes(older), `${older} is not among ${told}`);
  }
});

test("variables stand in for numbers, words and texts", async () => {
  const text = `{ "$schema": "../schemas/flow.json", "actions": [
    { "type": "connect_call", "option": { "destinations": [{ "target": "\${to}" }], "ring_s": "\${n:-20}" } },
    { "type": "receive_digits", "option": { "max_digits": "\${n}", "finish_on": "\${key}", "timeout_s": "\${s}" } },
    { "type": "talk", "option": { "text": "\${hello}", "stop_on_digit": "\${yes}" } },
    { "type": "hangup", "option": { "cause": "\${cause}" } }
  ] }`;
  assert.deepEqual(await marks(text), []);
});

test("a bare list of actions is a document", async () => {
  assert.deepEqual(await marks(`[{ "type": "stop" }]`, "bare.json"), []);
  assert.equal((await errors(`[{ "type": "stpo" }]`, "bare.json")).length, 1);
  assert.ok((await completions(`[{ "type": "|" }]`, "bare.json")).has(`"talk"`));
});
