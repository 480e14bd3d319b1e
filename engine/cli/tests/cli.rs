//! The binary as a shell sees it: what it writes, and how it exits.

#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs voxflow in a folder, with nothing of our environment.
fn voxflow(folder: &Path, args: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_voxflow"))
        .args(args)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[track_caller]
fn check(output: &Output, code: i32, stdout: &str, stderr: &str) {
    assert_eq!(text(&output.stderr), stderr);
    assert_eq!(text(&output.stdout), stdout);
    assert_eq!(output.status.code(), Some(code));
}

#[test]
fn validate_tells_every_finding_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let flow = r#"{ "actions": [
  { "id": "hello", "type": "anser" },
  { "id": "agent", "type": "goto", "option": { "target": "nowhere" } }
] }
"#;
    std::fs::write(folder.path().join("a.json"), flow).unwrap();

    let output = voxflow(folder.path(), &["validate", "a.json"], &[]);
    let told = text(&output.stdout);
    assert!(told.contains("[a.json:2:28]"), "{told}");
    assert!(told.contains("did you mean `answer`?"), "{told}");
    assert!(told.contains("nowhere"), "{told}");
    assert!(told.contains("1 flow: 2 errors"), "{told}");
    assert_eq!(output.status.code(), Some(1));

    let output = voxflow(folder.path(), &["validate", "--format", "json", "."], &[]);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let codes: Vec<_> = found.as_array().unwrap().iter().map(|one| &one["code"]).collect();
    assert_eq!(codes, ["F001", "F003"], "{found:#}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_examples_are_clean() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = voxflow(&root, &["validate", "flows"], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
}

#[test]
fn the_examples_play_as_their_scenarios_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = voxflow(&root, &["test", "flows", "--min", "90"], &[]);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("flows/voice_menu.json: 17 of 17 ways taken"), "{told}");
    assert!(told.ends_with(" passed, 0 failed\n"), "{told}");
}

#[test]
fn ways_that_no_scenario_took_are_named_with_their_lines() {
    let folder = tempfile::tempdir().unwrap();
    let flow = r#"{ "actions": [
  { "id": "dial", "type": "connect_call", "option": { "destinations": [{ "target": "+15551230000" }] },
    "on": { "busy": "end", "no_answer": "end",
            "rejected": "end", "failed": "end" } }
] }"#;
    let scenario = r#"{ "flow": "flow.json", "scenario": "busy", "play": [
        { "expect": "connect_call", "reply": { "exit": "busy" } } ], "ends": "finished" }"#;
    std::fs::write(folder.path().join("flow.json"), flow).unwrap();
    std::fs::write(folder.path().join("busy.json"), scenario).unwrap();
    std::fs::create_dir(folder.path().join("more")).unwrap();
    let unplayed = r#"[{ "type": "answer", "on": { "failed": "end" } }]"#;
    std::fs::write(folder.path().join("more/unplayed.json"), unplayed).unwrap();

    let output = voxflow(folder.path(), &["test", ".", "--min", "50"], &[]);
    check(
        &output,
        1,
        "ok      ./busy.json: busy

flow.json: 2 of 5 ways taken
        flow.json:3: not taken: dial.no_answer
        flow.json:4: not taken: dial.rejected
        flow.json:4: not taken: dial.failed

more/unplayed.json: 0 of 2 ways taken
        more/unplayed.json:1: not taken: answer
        more/unplayed.json:1: not taken: answer.failed

29 % of all ways taken
too little: at least 50 % are wanted
1 passed, 0 failed
",
        "",
    );
    let output = voxflow(folder.path(), &["test", ".", "--format", "json", "--min", "20"], &[]);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["coverage"]["flow.json"]["taken"], 2);
    let missing = &told["coverage"]["flow.json"]["missing"];
    assert_eq!(missing[1], serde_json::json!({ "way": "dial.rejected", "line": 4 }));
    assert_eq!(output.status.code(), Some(0));
    let output = voxflow(folder.path(), &["test", ".", "--format", "junit", "--min", "50"], &[]);
    let told = text(&output.stdout);
    let way = r#"<testcase classname="flow.json" name="dial.no_answer" file="flow.json" line="3"><skipped message="line 3: not taken"/></testcase>"#;
    assert!(told.contains(way), "{told}");
    assert!(told.contains(r#"<failure message="29 % of all ways taken, 50 % wanted"/>"#), "{told}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_scenario_that_does_not_come_true_is_told_to_people_and_to_build_servers() {
    let folder = tempfile::tempdir().unwrap();
    let flow = r#"{ "actions": [{ "type": "answer" }, { "type": "hangup" }] }"#;
    let scenario = r#"{ "flow": "flow.json", "scenario": "<music>", "play": [
        { "expect": "answer" }, { "expect": "play" } ] }"#;
    std::fs::write(folder.path().join("flow.json"), flow).unwrap();
    std::fs::write(folder.path().join("music.json"), scenario).unwrap();

    let output = voxflow(folder.path(), &["test", "."], &[]);
    let told = text(&output.stdout);
    assert!(
        told.contains(
            "FAILED  ./music.json: <music>\n        ./music.json:2\n        expected  `play`\n        came      `hangup` {\"cause\":\"normal\"}\n"
        ),
        "{told}"
    );
    assert_eq!(output.status.code(), Some(1));

    let output = voxflow(folder.path(), &["test", "music.json", "--format", "junit"], &[]);
    let told = text(&output.stdout);
    assert!(
        told.contains(r#"<testcase classname="music.json" name="&lt;music&gt;" file="music.json" line="1"><failure message="music.json:2: expected `play`"#),
        "{told}"
    );

    let output = voxflow(folder.path(), &["test", "flow.json"], &[]);
    assert_eq!(output.status.code(), Some(2), "a flow is no scenario");
}

#[test]
fn a_flow_is_played_by_lines_of_a_pipe() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let simulate = |args: &[&str], lines: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_voxflow"))
            .arg("simulate")
            .args(args)
            .current_dir(&root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Whoever has ended already reads no more.
        let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
        child.wait_with_output().unwrap()
    };
    let at = ["--now", "2026-11-20T10:00:00Z"];
    let menu = ["flows/sms_menu.json", "--for", "text", at[0], at[1]];
    let output = simulate(&menu, "hi\n/tme 5m\n2\n");
    let said = |line: &&str| !line.starts_with("    ") || line.contains("message.text");
    let told: Vec<&str> = text(&output.stdout).lines().filter(said).collect();
    assert_eq!(
        told.join("\n"),
        "sms_menu at 2026-11-20 10:00:00Z, texts; type the first. /help tells what you can type
> hi
begins
  texts: 1 for hours, 2 for address
menu (send_message) -> done
waits at reply for message until 2026-11-20 11:00:00Z (1h), then timeout
> /tme 5m
? no command is called /tme; did you mean /time?
> 2
reply (wait_message) -> done
    message.text = \"2\"
choose (branch) -> jump: address
  texts: 12 Main Street
address (send_message) -> done
ends: finished",
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let output = simulate(&["flows/voice_menu.json"], "/hangup\n/vars\n");
    assert!(text(&output.stdout).ends_with("ends: hung_up: the call ended: normal\n"));
    assert_eq!(output.status.code(), Some(0));
    let output = simulate(&["flows/sms_menu.json", "--for", "call"], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("does not link (line 10: "), "{}", text(&output.stderr));
    let output = simulate(&["flows/none.json"], "");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn what_cannot_run_exits_with_two() {
    let folder = tempfile::tempdir().unwrap();
    let output = voxflow(folder.path(), &["validate", "none.json"], &[]);
    check(&output, 2, "", "voxflow: none.json: No such file or directory (os error 2)\n");
    let output = voxflow(folder.path(), &["validate", "."], &[]);
    check(&output, 2, "", "voxflow: . holds no flow\n");
    let output = voxflow(folder.path(), &["explain", "F999"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).starts_with("voxflow: no finding has the code F999; there are F001")
    );
    let output = voxflow(folder.path(), &["runs", "export", "0199"], &[]);
    assert!(text(&output.stderr).contains("--as-test"), "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(2));
    let output = voxflow(folder.path(), &["runs", "list"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(!folder.path().join("voxflow.db").exists(), "a look made a database");
}

#[test]
fn explain_has_a_page_for_every_code() {
    let folder = tempfile::tempdir().unwrap();
    for rule in flow::diagnostic::RULES {
        let output = voxflow(folder.path(), &["explain", rule.code], &[]);
        let page = text(&output.stdout);
        assert!(page.starts_with(&format!("# {}", rule.code)), "{page}");
        assert!(page.lines().count() > 2, "{page}");
    }
}

#[test]
fn serve_refuses_settings_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let serve = |toml: &str, environment: &[(&str, &str)]| {
        std::fs::write(folder.path().join("voxflow.toml"), toml).unwrap();
        let output = voxflow(folder.path(), &["serve"], environment);
        assert_eq!(output.status.code(), Some(2));
        text(&output.stderr).to_owned()
    };
    assert_eq!(
        serve("quue = \"embedded\"", &[]),
        "voxflow: no setting is called `quue`\n  key: quue\n  where: voxflow.toml\n  help: did you mean `queue`?\n"
    );
    let free = "listen = \"127.0.0.1:0\"\n";
    let told =
        serve(&format!("{free}[[number]]\nnumber = \"5550001000\"\ncall_flow = \"a.json\""), &[]);
    assert!(told.contains("`5550001000` is no phone number in E.164"), "{told}");
    let told =
        serve(&format!("{free}[[number]]\nnumber = \"+15550001000\"\ncall_flow = \"a.json\""), &[]);
    assert!(told.contains("the flow a.json cannot be read"), "{told}");
    let told = serve(free, &[("TWILIO_ACCOUNT_SID", "AC1")]);
    assert!(told.contains("TWILIO_AUTH_TOKEN"), "{told}");
}

#[test]
fn a_taken_port_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for command in ["serve", "demo"] {
        let output = voxflow(folder.path(), &[command], &[("VOXFLOW_LISTEN", &address)]);
        let told = text(&output.stderr);
        assert!(
            told.starts_with(&format!("voxflow: {address} is taken by another program")),
            "{told}"
        );
        assert!(told.contains("VOXFLOW_LISTEN="), "{told}");
        assert_eq!(output.status.code(), Some(2));
    }
}

#[test]
fn schemas_are_listed_and_printed() {
    let folder = tempfile::tempdir().unwrap();
    let names = voxflow(folder.path(), &["schema"], &[]);
    let names: Vec<_> = text(&names.stdout).lines().collect();
    assert!(names.contains(&"settings") && names.contains(&"actions/ai_talk"), "{names:?}");
    for name in names {
        let schema = voxflow(folder.path(), &["schema", name], &[]);
        assert!(serde_json::from_slice::<serde_json::Value>(&schema.stdout).is_ok(), "{name}");
    }
}

#[test]
fn fmt_puts_flows_into_their_form_and_tells_which() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    check(&voxflow(&root, &["fmt", "--check", "flows"], &[]), 0, "", "");

    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let older = r#"[{"type":"message_send","option":{"text":"hi"}}]"#;
    let today = r#"{
  "version": 1,
  "on_error": "next",
  "actions": [
    { "type": "send_message", "option": { "text": "hi" } }
  ]
}
"#;
    let broken = r#"[{ "type": "goto", "option": { "target_id": "nowhere" } }]"#;
    std::fs::write(file("a.json"), older).unwrap();
    std::fs::write(file("b.json"), today).unwrap();
    let told = "a.json is not in its canonical form\n";
    check(&voxflow(folder.path(), &["fmt", "--check", "a.json", "b.json"], &[]), 1, told, "");
    check(&voxflow(folder.path(), &["fmt", "a.json", "b.json"], &[]), 0, "a.json\n", "");
    assert_eq!(std::fs::read_to_string(file("a.json")).unwrap(), today);

    std::fs::write(file("c.json"), broken).unwrap();
    let output = voxflow(folder.path(), &["fmt", "c.json"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("F003"), "{}", text(&output.stdout));
    assert_eq!(std::fs::read_to_string(file("c.json")).unwrap(), broken, "it is left as it was");
}

/// In real time, as calls are: a question of each caller, and one over an answer.
#[test]
fn a_bench_of_calls_measures_answers_and_barge_ins() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["bench", "calls", "--calls", "2", "--ramp", "20", "--seconds", "16", "--json"];
    let output = voxflow(folder.path(), &args, &[]);
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let run = &told[0];
    assert_eq!((run["calls"]["live"].as_u64(), run["calls"]["held"].as_u64()), (Some(2), Some(2)));
    for figure in ["answer", "engine_added", "clear", "clear_added", "cut_added", "load_late"] {
        assert!(run[figure]["of"].as_u64() > Some(0), "{figure} was not measured: {run:#}");
    }
    // No answer comes before its vendors can have answered, and none is cut before it is spoken over.
    assert!(run["answer"]["p50"].as_f64() > Some(390.0), "{run:#}");
    assert!(run["clear"]["p50"].as_f64() > Some(60.0), "{run:#}");
    assert!(run["frames"].as_u64() > Some(100), "{run:#}");
    assert!(run["memory_bytes"][0].as_u64() > Some(0), "{run:#}");
}

#[test]
fn a_part_of_the_work_needs_others_to_share_it_with() {
    let folder = tempfile::tempdir().unwrap();
    let here = ("VOXFLOW_LISTEN", "127.0.0.1:0");
    let output = voxflow(folder.path(), &["serve", "--role", "worker"], &[here]);
    let told = text(&output.stderr);
    assert!(told.contains("`queue` is this process's own: set it to `amqp://...`"), "{told}");
    assert_eq!(output.status.code(), Some(2));
    let queue = ("VOXFLOW_QUEUE", "amqp://127.0.0.1:1");
    let output = voxflow(folder.path(), &["serve", "--role", "edge"], &[here, queue]);
    let told = text(&output.stderr);
    assert!(told.contains("`database` is a file of this machine"), "{told}");
    assert_eq!(output.status.code(), Some(2));
}
