// The console: texts, calls, and what the engine does with them, as it happens.

import { call as placeCall } from "./call.js";

const $ = (id) => document.getElementById(id);

// ---- The API -------------------------------------------------------------------------------

const keyName = "voxflow.key";
const accessKey = () => sessionStorage.getItem(keyName) ?? "";

async function ask(path, options = {}) {
  const headers = accessKey() ? { Authorization: `Bearer ${accessKey()}` } : {};
  const response = await fetch(path, { ...options, headers });
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  if (response.status === 401) {
    $("key-form").hidden = false;
    if (!accessKey()) throw new Error("");
  }
  throw new Error(body.error?.message ?? `${path} answered ${response.status}`);
}

function socketUrl(path, query = {}) {
  const url = new URL(path, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  if (accessKey()) url.searchParams.set("accesskey", accessKey());
  return url;
}

// A socket that comes back, a little later each time.
function staying(url, { open = () => {}, message, closed = () => {} }) {
  let delay = 500;
  let stopped = false;
  let socket;
  const connect = () => {
    socket = new WebSocket(url());
    socket.onopen = () => {
      delay = 500;
      open();
    };
    socket.onmessage = ({ data }) => message(JSON.parse(data));
    socket.onclose = () => {
      closed();
      if (!stopped) setTimeout(connect, (delay = Math.min(delay * 2, 10000)));
    };
  };
  connect();
  return {
    send: (value) => socket.readyState === WebSocket.OPEN && (socket.send(JSON.stringify(value)), true),
    stop: () => {
      stopped = true;
      socket.close();
    },
  };
}

function trouble(why) {
  $("trouble").textContent = why ?? "";
  $("trouble").hidden = !why;
}

// ---- Small pieces of page --------------------------------------------------------------------

function element(tag, props = {}, ...children) {
  const made = Object.assign(document.createElement(tag), props);
  made.append(...children);
  return made;
}

function bubble(list, who, text) {
  if (!text) return;
  list.append(element("li", { className: who, textContent: text }));
  list.scrollTop = list.scrollHeight;
}

const time = (at) => new Date(at).toLocaleTimeString();

// ---- Numbers ---------------------------------------------------------------------------------

let numbers = [];
const number = () => $("number").value;

async function showNumbers() {
  numbers = (await ask("/v1.0/numbers")).result;
  $("number").replaceChildren(...numbers.map((one) => element("option", { textContent: one.number })));
  chooseNumber();
}

function chooseNumber() {
  const chosen = numbers.find((one) => one.number === number());
  const flows = chosen ? [chosen.call_flow && `calls: ${chosen.call_flow}`, chosen.message_flow && `texts: ${chosen.message_flow}`] : ["no number is set up"];
  $("flows").textContent = flows.filter(Boolean).join(", ");
  $("call").disabled = !chosen?.call_flow || Boolean(live.call);
  $("send").disabled = !chosen?.message_flow;
  openChat();
}

// ---- Texts -----------------------------------------------------------------------------------

const chat = { visitor: visitorId(), thread: null, socket: null };

function visitorId() {
  const name = "voxflow.visitor";
  const made = localStorage.getItem(name) ?? `visitor-${uuid().slice(0, 16)}`;
  localStorage.setItem(name, made);
  return made;
}

function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function openChat() {
  chat.socket?.stop();
  chat.socket = null;
  if (!number()) return;
  // Before the first text of ours the engine knows best what this visitor has not seen.
  const place = { visitor: chat.visitor, number: number() };
  chat.socket = staying(() => socketUrl("/browser/chat", place), {
    message: (message) => {
      if (message.type === "error") return trouble(message.message);
      if (message.type !== "text") return;
      place.seen = message.key;
      showTexts(message.text).catch((error) => trouble(error.message));
    },
  });
}

// Our thread, once there is one.
async function findThread() {
  const { result } = await ask(`/v1.0/conversations?page_size=1&peer=${encodeURIComponent(chat.visitor)}`);
  chat.thread = result[0]?.id ?? null;
}

// The store knows the thread best: a text that comes is a reason to look there, since the socket
// may bring one twice. One that the store does not tell yet is added.
async function showTexts(arrived) {
  if (!chat.thread) await findThread();
  const texts = chat.thread ? (await ask(`/v1.0/conversations/${chat.thread}/messages?last=50`)).result : [];
  $("messages").replaceChildren();
  for (const text of texts) bubble($("messages"), text.direction === "incoming" ? "me" : "them", text.text);
  const known = texts.some((text) => text.direction === "outgoing" && text.text === arrived);
  if (arrived && !known) bubble($("messages"), "them", arrived);
}

$("text-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  if (!chat.socket?.send({ type: "text", text, id: uuid() })) return trouble("The text was not sent: there is no connection. Try again in a moment.");
  trouble();
  bubble($("messages"), "me", text);
  $("text").value = "";
});

// ---- Calls -----------------------------------------------------------------------------------

// `run` is known once the engine has said which run the call has.
const live = { call: null, id: null, run: null };

function callState(text) {
  $("call-state").textContent = text;
  $("call").disabled = Boolean(live.call) || !number();
  $("hangup").disabled = !live.call;
  for (const button of $("digits").children) button.disabled = !live.call;
}

$("call").addEventListener("click", async () => {
  trouble();
  $("call").disabled = true;
  $("transcript").replaceChildren();
  $("action").textContent = "-";
  Object.assign(live, { id: null, run: null });
  try {
    live.call = await placeCall(socketUrl("/browser/call"), number(), onCall);
    callState("calling");
  } catch (error) {
    live.call = null;
    callState("no call");
    trouble(error.name === "NotAllowedError" ? "The browser may not use the microphone." : `The call failed: ${error.message}`);
  }
});

$("hangup").addEventListener("click", () => live.call?.hangup());

for (const digit of "123456789*0#") {
  const button = element("button", { type: "button", textContent: digit, disabled: true });
  button.addEventListener("click", () => live.call?.digit(digit));
  $("digits").append(button);
}

function onCall(message) {
  if (message.type === "call") live.id = message.id;
  else if (message.type === "answered") callState("answered");
  else if (message.type === "dialing") {
    const whom = (message.destinations ?? []).map((to) => to.name ?? to.target ?? to).join(", ");
    callState("transferring");
    bubble($("transcript"), "note", `dials ${whom}`);
  } else if (message.type === "error") trouble(message.message);
  else if (message.type === "ended") {
    live.call = null;
    callState(`ended: ${message.cause ?? "normal"}`);
    later(showRuns);
  }
}

// ---- What happens ----------------------------------------------------------------------------

// Which run a call or our thread has is asked once; until then its happenings wait.
const early = [];

async function belongs(happening) {
  if (happening.subject === live.id || happening.run === live.run) return "call";
  if (happening.subject === chat.thread) return "text";
  return null;
}

async function learn() {
  if (live.call && live.id && !live.run) {
    const { result } = await ask("/v1.0/calls?page_size=10");
    const found = result.find((call) => call.carrier_id === live.id || call.id === live.id);
    if (found) live.run = found.activeflow_id;
  }
  if (!chat.thread) await findThread();
  for (const happening of early.splice(0)) happened(happening, true);
}

function step(data) {
  return [data.action, data.kind && data.kind !== data.action ? `(${data.kind})` : "", data.exit ? `→ ${data.exit}` : ""].filter(Boolean).join(" ");
}

// What a turn took, in milliseconds from the end of the caller's voice.
function took({ stages = {}, engine_added, cut, tools = [] }) {
  const parts = [
    ["turn over", stages.end_of_turn],
    ["words sure", stages.stt_final],
    ["first token", stages.llm_first_token],
    ["first sound", stages.tts_first_byte],
    ["answered", stages.first_frame],
    ["of it ours", engine_added],
    ...tools.map((tool) => [tool.name, tool.took_ms]),
    ["cut after", cut?.heard_ms],
  ];
  return parts.filter(([, ms]) => ms !== undefined).map(([name, ms]) => `${name} ${ms} ms`).join(", ");
}

async function happened(happening, again) {
  const { type, data = {} } = happening;
  if (type === "run_started" || type === "run_ended") later(showRuns);
  if (type === "text_in" || type === "text_out") later(showThreads);
  const whose = await belongs(happening);
  if (!whose) {
    if (!again && early.length < 200) {
      early.push(happening);
      later(() => learn().catch(() => {}));
    }
    return;
  }
  const action = whose === "call" ? $("action") : $("text-action");
  const words = typeof data === "string" ? data : data.text;
  switch (type) {
    case "action":
      action.textContent = step(data);
      break;
    case "waiting":
      action.textContent = [data.action ?? data.what, data.kind && data.kind !== data.action ? `(${data.kind})` : ""].filter(Boolean).join(" ");
      break;
    case "run_ended":
      action.textContent = `ended: ${data.outcome ?? "finished"}`;
      break;
    case "state":
      if (whose === "call" && live.call) callState(data.state ?? words ?? "");
      break;
    case "caller":
      if (whose === "call") bubble($("transcript"), "me", words);
      break;
    case "agent":
      if (whose === "call") bubble($("transcript"), "them", words);
      break;
    case "tool":
      if (whose === "call") bubble($("transcript"), "note", `takes ${data.name ?? words}`);
      break;
    case "turn":
      if (whose === "call" && data.kind === "answer") bubble($("transcript"), "note", took(data));
      break;
    case "barge_in":
      if (whose === "call") bubble($("transcript"), "note", "interrupted");
      break;
    case "trouble":
      bubble(whose === "call" ? $("transcript") : $("messages"), "note", `trouble: ${words ?? data.why ?? ""}`);
      break;
  }
}

let last = 0;
function watch() {
  staying(() => socketUrl("/v1.0/ws", last ? { since: last } : {}), {
    open: () => {
      $("live").textContent = "live";
      $("live").className = "on";
    },
    message: (happening) => {
      // A process that was started anew counts from 1 again.
      last = happening.seq;
      happened(happening);
    },
    closed: () => {
      $("live").textContent = "connecting";
      $("live").className = "";
    },
  });
}

// ---- Lists -----------------------------------------------------------------------------------

// Many happenings, one look.
const pending = new Set();
function later(what) {
  const name = what.name || "learn";
  if (pending.has(name)) return;
  pending.add(name);
  setTimeout(() => {
    pending.delete(name);
    Promise.resolve(what()).catch((error) => trouble(error.message));
  }, 300);
}

// Keeps open what is open, so that a look does not close it.
function rows(list, items, summary, detail) {
  const open = new Set([...list.querySelectorAll("details[open]")].map((one) => one.dataset.id));
  if (items.length === 0) return list.replaceChildren(element("li", {}, element("p", { textContent: "none yet" })));
  list.replaceChildren(
    ...items.map((item) => {
      const inside = element("div");
      const details = element("details", {}, element("summary", {}, ...summary(item).map((text) => element("span", { textContent: text }))), inside);
      details.dataset.id = item.id;
      const fill = () => detail(item, inside).catch((error) => trouble(error.message));
      details.addEventListener("toggle", () => details.open && fill());
      details.open = open.has(item.id);
      return element("li", {}, details);
    }),
  );
}

async function showRuns() {
  const { result } = await ask("/v1.0/activeflows?page_size=12");
  rows(
    $("runs"),
    result,
    (run) => [run.flow_name || run.flow_id, run.outcome ?? run.status, time(run.tm_create)],
    async (run, inside) => {
      const shown = await ask(`/v1.0/activeflows/${run.id}`);
      const steps = shown.executed_actions.map((taken) => {
        const failed = ["failed", "timeout"].includes(taken.exit) ? " failed" : "";
        return element("li", {}, step({ action: taken.action, kind: taken.kind }), " ", element("span", { className: `exit${failed}`, textContent: `→ ${taken.exit}${taken.why ? `: ${taken.why}` : ""}` }));
      });
      const said = shown.transcript.map((line) => element("li", { textContent: `${line.who}: ${line.text}` }));
      const turns = shown.turns.filter((turn) => turn.kind).map((turn) => element("li", { textContent: `${time(turn.at)} ${turn.kind}: ${took(turn)}` }));
      const about = element("p", { textContent: `${run.reference_type}, run ${run.id}` });
      const waits = shown.waiting_for ? [element("p", { textContent: `waits for ${shown.waiting_for.what}` })] : [];
      inside.replaceChildren(about, element("ol", {}, ...steps), ...waits, element("ul", {}, ...said), element("ul", { className: "turns" }, ...turns));
    },
  );
}

async function showThreads() {
  const { result } = await ask("/v1.0/conversations?page_size=12");
  rows(
    $("threads"),
    result,
    (thread) => [thread.peer.target, thread.type, time(thread.tm_update)],
    async (thread, inside) => {
      const texts = (await ask(`/v1.0/conversations/${thread.id}/messages?last=20`)).result;
      const lines = texts.map((text) => element("li", { textContent: `${text.direction === "incoming" ? thread.peer.target : "we"}: ${text.text}` }));
      inside.replaceChildren(element("ul", {}, ...lines));
    },
  );
}

// ---- Start -----------------------------------------------------------------------------------

async function start() {
  await showNumbers();
  $("key-form").hidden = true;
  watch();
  await Promise.all([showTexts(), showRuns(), showThreads()]);
}

$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(keyName, $("key").value);
  trouble();
  start().catch((error) => trouble(error.message));
});
$("number").addEventListener("change", chooseNumber);
callState("no call");
start().catch((error) => trouble(error.message));
