//! Every rule of the linker: its code, its place, its words, all at once.

use flow::{Linking, Needs, link};

#[track_caller]
fn check_for(medium: Needs, text: &str, expected: &str) {
    let found = match link(text, Linking { catalog: actions::ALL, medium }) {
        Ok((_, warnings)) => warnings,
        Err(all) => all,
    };
    let found: Vec<String> = found
        .iter()
        .map(|one| {
            let help = one.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
            format!(
                "{} {}:{} {}: {}{help}",
                one.code, one.line, one.column, one.pointer, one.message
            )
        })
        .collect();
    let expected: Vec<&str> =
        expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(found.join("\n"), expected.join("\n"), "\n--- found:\n{}\n", found.join("\n"));
}

#[track_caller]
fn check(text: &str, expected: &str) {
    check_for(Needs::Nothing, text, expected);
}

#[test]
fn every_fault_is_named_with_its_place() {
    check(
        r#"{ "on_error": "b", "actions": [
            { "id": "a", "type": "branch", "option": { "variable": "call.digits", "cases": { "1": "b", "2": "nowhere" }, "otherwise": "b" } },
            { "id": "b", "type": "message_send", "option": { "txt": "hi" } },
            { "id": "c", "type": "tlak", "next": "d" },
            { "id": "b", "type": "sleep", "option": { "duration_s": 0 }, "on": { "don": "a", "timeout": "a" } },
            { "id": "no good", "type": "talk", "option": { "text": 5, "voice_id": [], "stop_on_digit": "yes" }, "if": "1 +" }
        ] }"#,
        r#"
        F003 2:109 /actions/0/option/cases/2: no action has the id `nowhere`
        F002 3:60 /actions/1/option: `text` is missing (The text.)
        F002 3:62 /actions/1/option/txt: `txt` is not known here (did you mean `text`?)
        F001 4:34 /actions/2/type: no action is called `tlak` (did you mean `talk`?)
        F003 4:50 /actions/2/next: no action has the id `d`
        F005 5:21 /actions/3/id: another action has the id `b`
        F002 5:69 /actions/3/option/duration_s: `0` is less than 0.001
        F004 5:82 /actions/3/on/don: `sleep` has no exit `don` (did you mean `done`?)
        F004 5:94 /actions/3/on/timeout: `sleep` has no exit `timeout` (it has one once `timeout_s` is given)
        F012 6:21 /actions/4/id: `no good` cannot be an id (1 to 64 of A-Z a-z 0-9 _ . -)
        F002 6:68 /actions/4/option/text: `5` is a number (expected: a text)
        F002 6:83 /actions/4/option/voice_id: a list is not what is expected (expected: a text)
        F002 6:104 /actions/4/option/stop_on_digit: `"yes"` is a text (expected: true or false)
        F006 6:123 /actions/4/if: script is incomplete, in the expression `1 +`
        "#,
    );
}

#[test]
fn text_that_is_not_json_is_shown_where_reading_stopped() {
    check(
        r##"{ "actions": [
  { "type": "stop" 
] }"##,
        r#"
        F009 3:1 : Unexpected token in object
        "#,
    );
}

#[test]
fn small_slips_hide_nothing() {
    check(
        r##"// mine
{ "actions": [
  { "type": "stpo", },
] }"##,
        r#"
        F009 1:1 : Comments are not allowed
        F001 3:13 /actions/0/type: no action is called `stpo` (did you mean `stop`?)
        "#,
    );
}

#[test]
fn nothing_at_all() {
    check(
        r##"  
 "##,
        r#"
        F009 1:1 : the document is empty (a flow begins with `{ "actions": [`)
        "#,
    );
}

#[test]
fn not_a_flow() {
    check(
        r##"17"##,
        r#"
        F011 1:1 : a flow is an object with `actions`, or a list of actions
        "#,
    );
}

#[test]
fn no_actions() {
    check(
        r##"{ "actions": [] }"##,
        r#"
        F011 1:14 /actions: at least 1 must be given
        "#,
    );
}

#[test]
fn no_actions_in_a_list() {
    check(
        r##"[]"##,
        r#"
        F011 1:1 : a flow has at least one action
        "#,
    );
}

#[test]
fn a_key_stands_twice() {
    check(
        r##"{ "name": "a", "name": "b", "actions": [
  { "type": "stop", "note": "x",
    "note": "y" }] }"##,
        r#"
        F010 1:16 /name: the key `name` stands twice in this object (the last one counts; remove the others)
        F010 3:5 /actions/0/note: the key `note` stands twice in this object (the last one counts; remove the others)
        "#,
    );
}

#[test]
fn documents_are_built_as_flows_are() {
    check(
        r##"{ "version": "1", "nmae": "x", "actions": [
  { "id": 5, "type": "stop" },
  { "typ": "stop" },
  17,
  { "type": "talk", "text": "Hello.", "option": [1] },
  { "type": "sleep", "option": { "duration_s": 1 }, "timeout_s": 0, "retry": { "time": 1 }, "on": [], "next": null }
] }"##,
        r#"
        F011 1:14 /version: `"1"` is a text (expected: a whole number)
        F011 1:19 /nmae: `nmae` is not known here (did you mean `name`?)
        F011 2:11 /actions/0/id: `5` is a number (expected: a text)
        F011 3:3 /actions/1: `type` is missing (Which action.)
        F017 3:3 /actions/1: this action is never reached (nothing leads here: not the action before it, no `next`, no `on`, no target)
        F011 3:5 /actions/1/typ: `typ` is not known here (did you mean `type`?)
        F011 4:3 /actions/2: `17` is a number (expected: an object)
        F017 4:3 /actions/2: this action is never reached (nothing leads here: not the action before it, no `next`, no `on`, no target)
        F017 5:3 /actions/3: this action is never reached (nothing leads here: not the action before it, no `next`, no `on`, no target)
        F018 5:13 /actions/3/type: when `talk` ends by `failed`, the run ends (wire the exit in `on`, or give the flow an `on_error`)
        F011 5:21 /actions/3/text: `text` is not known here (it is an option: write `"option": { "text": ... }`)
        F011 5:49 /actions/3/option: a list is not what is expected (expected: an object)
        F017 6:3 /actions/4: this action is never reached (nothing leads here: not the action before it, no `next`, no `on`, no target)
        F011 6:66 /actions/4/timeout_s: `0` is less than 1
        F011 6:78 /actions/4/retry: `times` is missing (Tries after the first.)
        F011 6:80 /actions/4/retry/time: `time` is not known here (did you mean `times`?)
        F011 6:99 /actions/4/on: a list is not what is expected (expected: an object)
        "#,
    );
}

#[test]
fn a_bare_list_has_places_too() {
    check(
        r##"[
  { "typ": "stop" },
  { "type": "goto", "option": { "target": "x" } }
]"##,
        r#"
        F011 2:3 /0: `type` is missing (Which action.)
        F011 2:5 /0/typ: `typ` is not known here (did you mean `type`?)
        F003 3:43 /1/option/target: no action has the id `x`
        "#,
    );
}

#[test]
fn versions_and_zones() {
    check(
        r##"{ "version": 7,
 "timezone": "Europe/Berlim",
 "actions": [{ "type": "stop" }] }"##,
        r#"
        F008 1:14 /version: the document is of version 7 of the language (this engine knows versions up to 1; update it)
        F013 2:14 /timezone: there is no time zone `Europe/Berlim` (did you mean `Europe/Berlin`?)
        "#,
    );
}

#[test]
fn expressions_are_shown_inside() {
    check(
        r##"[
  { "id": "a", "type": "stop", "if": "caller.name = \"Ann\"" },
  { "id": "b", "type": "stop", "if": "${n} > 5" },
  { "id": "c", "type": "branch", "option": { "cases": [{ "when": "1 +* 2", "target": "a" }, { "when": "true", "target": "z" }] } },
  { "id": "d", "type": "set_variables", "option": { "expressions": { "n": "\"a\n\" + (" } } }
]"##,
        r#"
        F006 2:51 /0/if: unexpected '=', in the expression `caller.name = "Ann"` (to compare, write `==`)
        F006 3:39 /1/if: '$' is a reserved symbol, in the expression `${n} > 5` (variables stand in expressions by their bare names, without `${}`)
        F006 4:70 /2/option/cases/0/when: unexpected '*', in the expression `1 +* 2`
        F003 4:121 /2/option/cases/1/target: no action has the id `z`
        F006 5:76 /3/option/expressions/n: open string is not terminated, in the expression `"a " + (`
        "#,
    );
}

#[test]
fn a_call_does_not_fit_a_flow_for_texts() {
    check_for(
        Needs::Text,
        r##"[{ "type": "talk", "option": { "text": "a" }, "on": { "failed": "end" } },
 { "type": "stop" }]"##,
        r#"
        F007 1:12 /0/type: `talk` needs a live call, and this flow is for a thread of texts
        "#,
    );
}

#[test]
fn a_text_does_not_fit_a_flow_for_calls() {
    check_for(
        Needs::Call,
        r##"[{ "type": "wait_message", "option": { "timeout_s": 1 }, "on": { "timeout": "end" } }]"##,
        r#"
        F007 1:12 /0/type: `wait_message` needs a thread of texts, and this flow is for a live call
        "#,
    );
}

#[test]
fn one_flow_cannot_be_for_both() {
    check(
        r##"{ "on_error": "end", "actions": [
  { "type": "send_message", "option": { "text": "a" } },
  { "type": "talk", "option": { "text": "a" } },
  { "type": "wait_message", "option": { "timeout_s": 1 } }] }"##,
        r#"
        F007 4:13 /actions/2/type: `wait_message` needs a thread of texts, and another action of this flow needs a live call
        "#,
    );
}

#[test]
fn every_wait_has_a_deadline() {
    check(
        r##"[
  { "id": "a", "type": "wait_message" },
  { "id": "b", "type": "wait_message", "timeout_s": 5, "on": { "timeout": "end" } },
  { "id": "c", "type": "wait_message", "option": { "timeout_s": "${n:-5}" } }]"##,
        r#"
        F015 2:24 /0/type: `wait_message` may wait for ever (give it `timeout_s`, and wire the exit `timeout`)
        F018 2:24 /0/type: when `wait_message` ends by `timeout`, the run ends (wire the exit in `on`, or give the flow an `on_error`)
        F018 4:24 /2/type: when `wait_message` ends by `timeout`, the run ends (wire the exit in `on`, or give the flow an `on_error`)
        "#,
    );
}

#[test]
fn every_loop_waits_or_counts() {
    check(
        r##"{ "on_error": "end", "actions": [
  { "id": "a", "type": "send_message", "option": { "text": "spam" } },
  { "id": "b", "type": "goto", "option": { "target": "a" } }] }"##,
        r#"
        F016 3:54 /actions/1/option/target: from here the flow goes in a circle without ever waiting (let the loop pass a wait, such as `wait_message` or `sleep`, or a `goto` with `times`)
        "#,
    );
}

#[test]
fn loops_that_wait_or_count_are_fine() {
    check(
        r##"{ "on_error": "a", "actions": [
  { "id": "a", "type": "send_message", "option": { "text": "no spam" } },
  { "id": "b", "type": "wait_message", "option": { "timeout_s": 5 } },
  { "id": "c", "type": "goto", "option": { "target": "a" } }] }"##,
        "
        ",
    );
}

#[test]
fn a_loop_through_a_condition_and_an_exit() {
    check(
        r##"[
  { "id": "a", "type": "set_variables", "if": "now.hour > 5", "next": "b" },
  { "id": "b", "type": "branch", "option": { "variable": "call.x", "cases": { "1": "c" }, "otherwise": "end" } },
  { "id": "c", "type": "send_message", "option": { "text": "x" }, "on": { "failed": "a", "opted_out": "end" }, "next": "end" }]"##,
        r#"
        F016 4:85 /2/on/failed: from here the flow goes in a circle without ever waiting (let the loop pass a wait, such as `wait_message` or `sleep`, or a `goto` with `times`)
        "#,
    );
}

#[test]
fn what_is_never_reached() {
    check(
        r##"[
  { "type": "goto", "option": { "target": "z" } },
  { "id": "m", "type": "sleep", "option": { "duration_s": 1 } },
  { "id": "n", "type": "sleep", "option": { "duration_s": 1 } },
  { "id": "z", "type": "stop" },
  { "id": "y", "type": "stop" }]"##,
        r#"
        F017 3:3 /1: this action is never reached (nothing leads here: not the action before it, no `next`, no `on`, no target)
        F017 4:3 /2: this action is never reached (nothing leads here: not the action before it, no `next`, no `on`, no target)
        F017 6:3 /4: this action is never reached (nothing leads here: not the action before it, no `next`, no `on`, no target)
        "#,
    );
}

#[test]
fn failures_that_go_nowhere() {
    check(
        r##"[
  { "type": "connect_call", "option": { "destinations": [{ "target": "+1555" }] }, "on": { "busy": "end" } },
  { "type": "hangup" }]"##,
        r#"
        F018 2:13 /0/type: when `connect_call` ends by `no_answer`, `rejected` or `failed`, the run ends (wire the exit in `on`, or give the flow an `on_error`)
        "#,
    );
}

#[test]
fn variables_that_nobody_sets() {
    check(
        r##"{ "variables": { "order.id": "" }, "on_error": "end", "actions": [
  { "type": "send_message", "option": { "text": "Hi ${caller.name} ${oder.id} ${order.id.x} ${nick:-you} ${", "media": ["a", "${file}"] } },
  { "type": "stop", "if": "order.id == size || sizes.len() > 1" },
  { "type": "set_variables", "option": { "values": { "sizes": [1] } } }] }"##,
        r#"
        F019 2:68 /actions/0/option/text: nothing in this flow sets the variable `oder.id` (did you mean `order.id`?)
        F020 2:106 /actions/0/option/text: `${` is not closed, and stays as it is (close it with `}`, or write `$${` when it is meant)
        F019 2:127 /actions/0/option/media/1: nothing in this flow sets the variable `file` (declare it in `variables` when it comes from outside)
        F019 3:40 /actions/1/if: nothing in this flow sets the variable `size` (did you mean `sizes`?)
        "#,
    );
}

#[test]
fn an_agent_may_set_any_variable() {
    check(
        r##"{ "on_error": "end", "actions": [
  { "type": "ai_talk", "option": { "ai": { "tool_names": ["set_variables"] } } },
  { "type": "send_message", "option": { "text": "${anything}" } }] }"##,
        "
        ",
    );
}

#[test]
fn targets_hold_no_variables() {
    check(
        r##"[{ "type": "goto", "option": { "target": "${x}" } }]"##,
        r#"
        F014 1:42 /0/option/target: a target cannot hold variables (use a `branch`)
        "#,
    );
}

#[test]
fn options_are_checked_at_any_depth() {
    check(
        r##"{ "on_error": "end", "actions": [
  { "type": "connect_call", "option": { "ring_s": 0.5, "destinations": [
      { "target": "+1555", "typ": "tel" },
      { "type": "sip" }, "x" ] } },
  { "type": "connect_call", "option": { "destinations": [], "source": 5 } },
  { "type": "ai_talk", "option": { "ai": { "speak_first": "nobody", "vad_config": { "confidenc": 1 }, "idle_timeout_s": -3, "tool_names": "all" }, "duration": 0 } },
  { "type": "branch", "option": { "cases": 5 } },
  { "type": "branch", "option": { "cases": [{ "whem": "true", "target": "end" }] } },
  { "type": "branch", "option": { "cases": { "1": 2 } } },
  { "type": "receive_digits", "option": { "finish_on": "x", "length": "4" } },
  { "type": "hangup", "option": { "reason": "bussy" } },
  { "type": "goto", "option": { "target_id": "nowhere", "loop_count": -1 } }
] }"##,
        r#"
        F002 2:51 /actions/0/option/ring_s: `0.5` is a number with a fraction (expected: a whole number)
        F002 3:28 /actions/0/option/destinations/0/typ: `typ` is not known here (did you mean `type`?)
        F002 4:7 /actions/0/option/destinations/1: `target` is missing (A number in E.164 such as `+15551230000`, or `sip:desk@example.com`.)
        F002 4:26 /actions/0/option/destinations/2: `"x"` is a text (expected: an object)
        F002 5:57 /actions/1/option/destinations: at least 1 must be given
        F002 5:71 /actions/1/option/source: `5` is a number (expected: an object)
        F002 6:59 /actions/2/option/ai/speak_first: `"nobody"` is none of the values it may have (expected: `agent` or `caller`)
        F002 6:85 /actions/2/option/ai/vad_config/confidenc: `confidenc` is not known here (did you mean `confidence`?)
        F002 6:121 /actions/2/option/ai/idle_timeout_s: `-3` is less than 0
        F002 6:139 /actions/2/option/ai/tool_names: `"all"` is a text (expected: a list)
        F002 6:160 /actions/2/option/duration: `0` is less than 1
        F002 7:44 /actions/3/option/cases: `5` is a number (expected: an object)
        F002 8:45 /actions/4/option/cases/0: `when` is missing (An expression over the variables and `now`, such as `now.hour < 17 && caller.name == "Ann"`.)
        F002 8:47 /actions/4/option/cases/0/whem: `whem` is not known here (did you mean `when`?)
        F002 9:51 /actions/5/option/cases/1: `2` is a number (expected: a text)
        F002 10:56 /actions/6/option/finish_on: "x" does not match "^[0-9A-D#*]*$"
        F002 10:71 /actions/6/option/length: `"4"` is a text (expected: a whole number)
        F002 11:45 /actions/7/option/reason: `"bussy"` is none of the values it may have (did you mean `busy`?)
        F003 12:46 /actions/8/option/target_id: no action has the id `nowhere`
        F002 12:71 /actions/8/option/loop_count: `-1` is less than 0
        "#,
    );
}

#[test]
fn retry_wants_something_to_fail() {
    check(
        r##"[{ "type": "stop", "retry": { "times": 3 } }]"##,
        r#"
        F021 1:20 /0/retry: this action cannot fail, so there is nothing to try again
        "#,
    );
}

#[test]
fn columns_count_characters() {
    check(
        r##"[{ "note": "äöü€𝄞", "type": "stpo" }]"##,
        r#"
        F001 1:29 /0/type: no action is called `stpo` (did you mean `stop`?)
        "#,
    );
}

#[test]
fn escapes_are_counted() {
    check(
        r##"[{ "type": "stop", "if": "\"\u00e4\" == \"\n\" + ) " }]"##,
        r#"
        F006 1:41 /0/if: open string is not terminated, in the expression `"ä" == " " + )`
        "#,
    );
}

#[test]
fn ids_are_made_from_types() {
    check(
        r##"[
  { "type": "sleep", "option": { "duration_s": 1 } }, { "type": "sleep", "option": { "duration_s": 1 } },
  { "type": "goto", "option": { "target": "sleep_2", "times": 1 } }, { "type": "goto", "option": { "target": "sleep_3", "times": 1 } }]"##,
        r#"
        F003 3:110 /3/option/target: no action has the id `sleep_3` (did you mean `sleep_2`?)
        "#,
    );
}

#[test]
fn a_failure_and_a_false_condition_do_not_wait() {
    check(
        r##"[
  { "id": "a", "type": "talk", "option": { "text": "A" }, "on": { "failed": "a" } },
  { "id": "b", "type": "sleep", "option": { "duration_s": 1 }, "if": "call.busy" },
  { "id": "c", "type": "goto", "option": { "target": "b" } }
]"##,
        r#"
        F016 2:77 /0/on/failed: from here the flow goes in a circle without ever waiting (let the loop pass a wait, such as `wait_message` or `sleep`, or a `goto` with `times`)
        F016 4:54 /2/option/target: from here the flow goes in a circle without ever waiting (let the loop pass a wait, such as `wait_message` or `sleep`, or a `goto` with `times`)
        "#,
    );
}
