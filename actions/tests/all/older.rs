//! Words of the older dialect that have another name today.

use crate::score::call;

#[test]
fn the_reasons_of_a_hangup_keep_their_meaning() {
    let reasons = [
        ("normal", "normal"),
        ("failed", "failed"),
        ("busy", "busy"),
        ("cancel", "cancelled"),
        ("timeout", "timeout"),
        ("noanswer", "no_answer"),
        ("dialout", "no_answer"),
        ("amd", "normal"),
    ];
    for (older, today) in reasons {
        for option in ["reason", "cause"] {
            let flow =
                format!(r#"[{{ "type": "hangup", "option": {{ "{option}": "{older}" }} }}]"#);
            call(&flow, &format!("> started\n- hangup ended\n< hangup {today}\n= finished"));
        }
    }
}
