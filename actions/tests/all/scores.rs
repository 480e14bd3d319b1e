//! Menus, desks and agents, as scores.

use crate::score::{call, text};

fn example(name: &str) -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../flows");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn a_menu_answers_and_asks_again() {
    text(
        &example("sms_menu.json"),
        "
        > started
        < send 1 for hours, 2 for address
        ~ send_message 300s
        > done
        - menu done
        ~ message 3600s
        > message 7
        - reply done
        - choose jump
        < send 1 for hours, 2 for address
        ~ send_message 300s
        > done
        - menu done
        ~ message 3600s
        > message  Hours
        - reply done
        - choose jump
        < send 9 to 5
        ~ send_message 300s
        > done
        - hours done
        = finished
        ",
    );
}

#[test]
fn a_menu_is_read_three_times_at_most() {
    call(
        &example("voice_menu.json"),
        "
        > started
        < answer
        ~ answer 60s
        > done
        - hello done
        < say For sales, press 1. For our opening hours, press 2.
        ~ talk 1800s
        > done
        - menu done
        < receive 1 digits
        ~ digits 40s
        > done no_input
        - keys no_input
        - again jump
        < say For sales, press 1. For our opening hours, press 2.
        ~ talk 1800s
        > done
        - menu done
        < receive 1 digits
        ~ digits 40s
        > done digits=9
        - keys done
        - choose jump
        - again jump
        < say For sales, press 1. For our opening hours, press 2.
        ~ talk 1800s
        > done
        - menu done
        < receive 1 digits
        ~ digits 40s
        > timeout
        - keys no_input
        - again done
        - bye ended
        < hangup normal
        = finished
        ",
    );
}

#[test]
fn a_key_leads_to_sales() {
    let run = call(
        r#"[{ "type": "receive_digits", "option": { "max_digits": 1 } },
            { "type": "branch", "option": { "cases": { "1": "sales" }, "otherwise": "end" } },
            { "id": "sales", "type": "connect_call", "option": { "destinations": [{ "target": "+15551230000" }] },
              "on": { "no_answer": "bye" } },
            { "id": "bye", "type": "talk", "option": { "text": "${connect.exit}, ${call.digits}, ${voipbin.call.digits}" } }]"#,
        "
        > started
        < receive 1 digits
        ~ digits 45s
        > done digits=1
        - receive_digits done
        - branch jump
        < connect +15551230000
        ~ connect_call 14430s
        > done no_answer
        - sales no_answer
        < say no_answer, 1, 1
        ~ talk 1800s
        > done
        - bye done
        = finished
        ",
    );
    assert_eq!(run.vars["connect.exit"], "no_answer");
}

#[test]
fn the_desk_is_called_when_the_agent_says_so() {
    call(
        &example("support_line.json"),
        r#"
        > started
        < answer
        ~ answer 60s
        > done
        - hello done
        < talk as support, wait
        ~ ai_talk 660s
        > done then={"type":"connect_call","option":{}}
        - agent done
        < connect +15551230000
        ~ connect_call 14425s
        > done no_answer
        - desk no_answer
        < send Sorry we missed you, friend. We will call you back.
        ~ send_message 300s
        > done
        - sorry done
        - bye ended
        < hangup normal
        = finished
        "#,
    );
}

#[test]
fn a_goodbye_passes_the_desk_over() {
    call(
        &example("support_line.json"),
        r#"
        > started
        < answer
        ~ answer 60s
        > done
        - hello done
        < talk as support, wait
        ~ ai_talk 660s
        > done
        - agent done
        - desk passed_over
        < send Thank you for calling. Reply to this message whenever you need us.
        ~ send_message 300s
        > hung_up
        - thanks hung_up
        = hung_up: the call ended: normal
        "#,
    );
}

pub(crate) const AGENT: &str = r#"[
    { "id": "agent", "type": "ai_talk", "option": { "ai": { "name": "a" } }, "on": { "failed": "sorry" } },
    { "id": "bye", "type": "talk", "option": { "text": "Bye." }, "next": "end" },
    { "id": "sorry", "type": "talk", "option": { "text": "Sorry." } }]"#;

#[test]
fn what_a_model_chose_runs_before_the_flow_goes_on() {
    call(
        AGENT,
        r#"
        > started
        < talk as a, wait
        ~ ai_talk 660s
        > done then={"type":"connect_call","option":{"destinations":[{"target":"${secret}"}]}}
        - agent done
        < connect ${secret}
        ~ connect_call 14430s
        > late
        ~ dropped
        > done
        - agent.then done
        < say Bye.
        ~ talk 1800s
        > done
        - bye done
        = finished
        "#,
    );
}

#[test]
fn a_failure_of_what_a_model_chose_is_a_failure_of_the_agent() {
    call(
        AGENT,
        r#"
        > started
        < talk as a, wait
        ~ ai_talk 660s
        > done then={"type":"connect_call","option":{"destinations":[{"target":"+1555"}]}}
        - agent done
        < connect +1555
        ~ connect_call 14430s
        > done busy
        - agent.then busy
        < say Sorry.
        ~ talk 1800s
        > hung_up
        - sorry hung_up
        = hung_up: the call ended: normal
        "#,
    );
    for wrong in [
        r#"{"type":"connect_call","option":{}}"#,
        r#"{"type":"nonsense"}"#,
        r#"{"type":"talk","option":{"text":"hi"}}"#,
        r#"17"#,
    ] {
        call(
            AGENT,
            &format!(
                "
                > started
                < talk as a, wait
                ~ ai_talk 660s
                > done then={wrong}
                - agent done
                - agent.then failed
                < say Sorry.
                ~ talk 1800s
                "
            ),
        );
    }
}

#[test]
fn a_model_may_stop_the_run() {
    call(
        AGENT,
        r#"
        > started
        < talk as a, wait
        ~ ai_talk 660s
        > done then={"type":"stop"}
        - agent done
        - agent.then ended
        = stopped
        "#,
    );
}

#[test]
fn a_service_that_is_stopped_from_outside_is_done() {
    call(
        AGENT,
        "
        > started
        < talk as a, wait
        ~ ai_talk 660s
        > service_stopped
        - agent done
        < stop_service
        < say Bye.
        ~ talk 1800s
        > service_stopped
        ~ dropped
        ",
    );
}

#[test]
fn on_a_thread_the_agent_answers_while_the_flow_goes_on() {
    let flow = r#"[{ "type": "ai_talk", "option": { "ai": { "name": "a" } } }]"#;
    text(
        flow,
        "
        > started
        - ai_talk done
        < talk as a
        = finished
        > message hello
        ~ dropped
        ",
    );
    text(
        r#"[{ "type": "ai_talk", "option": { "ai": { "name": "a" }, "wait": true } }]"#,
        "
        > started
        < talk as a, wait
        ~ ai_talk 120s
        > timeout
        - ai_talk timeout
        = expired: `ai_talk` ended by `timeout`: the conversation did not come to its end in time
        ",
    );
}
