//! Calls by SIP whose far sides change: one takes another's place (RFC 3891), asked by whoever hands
//! a call on after a word with somebody (RFC 5589).

use std::sync::Arc;

use call::{HangupCause, Inbound};

use crate::house::OURS;
use crate::sip::{Agent, LOUD, loud, news};
use crate::sip_dial::{reached, with_trunk};
use crate::telephone::REFUSED;

/// The `Replaces` of a telephone's own call, as the other end names it.
fn replaces(call: &str, ours: &str, theirs: &str) -> String {
    format!("Replaces: {call};to-tag={ours};from-tag={theirs}\r\n")
}

#[tokio::test]
async fn somebody_takes_the_place_of_a_far_side_and_the_call_goes_on() {
    let mut agent = Agent::open(|_| {}).await;
    let (mut phone, mut other) = (agent.phone().await, agent.phone().await);
    let words = phone.words("0", "");
    let (mut leg, _, tag) = agent.answered(&mut phone, &words).await;
    let by = replaces(&phone.call, &tag, "mine");
    let words = other.words("0", "");
    other.request("INVITE", OURS, "", &format!("Require: replaces\r\n{by}"), &words).await;
    let answer = other.status(200).await;
    let new = answer.tag("to");
    assert_ne!(new, tag);
    other.request("ACK", OURS, &new, "", "").await;
    let bye = phone.asked("BYE").await;
    assert!(bye.get("reason").contains("somebody else took the call"), "{bye:?}");
    phone.answer(&bye, "200 OK", "", "").await;
    // The leg hears and is heard by the new one; its call has not noticed.
    assert_eq!(other.hear().await.0, 0);
    other.speak(answer.sound_port(), 1, 30, LOUD).await;
    loud(&mut leg).await;
    // The new one is in its place in every way: it is found by its own dialog, and hangs up.
    other.request("BYE", OURS, &new, "", "").await;
    other.status(200).await;
    assert_eq!(news(&mut leg).await, Inbound::Gone);
}

#[tokio::test]
async fn a_place_that_is_none_or_not_free_is_refused() {
    let mut agent = Agent::open(|_| {}).await;
    let mut phone = agent.phone().await;
    let words = phone.words("0", "");
    let (leg, _, tag) = agent.answered(&mut phone, &words).await;
    let call = phone.call.clone();
    let right = replaces(&call, &tag, "mine");
    let mut other = agent.phone().await;
    let g729 = other.words("18", "a=rtpmap:18 G729/8000\r\n");
    for (headers, body, status) in [
        (replaces(&call, &tag, "another"), &words, 481),
        // The tags are named from the side that is asked.
        (replaces(&call, "mine", &tag), &words, 481),
        (replaces("nobody@phone", &tag, "mine"), &words, 481),
        (format!("Replaces: {call};to-tag={tag}\r\n"), &words, 400),
        (format!("{right}{right}"), &words, 400),
        (right.replace("\r\n", ";early-only\r\n"), &words, 486),
        (right.clone(), &g729, 488),
    ] {
        other.request("INVITE", OURS, "", &headers, body).await;
        assert_eq!(other.status(status).await.status(), status, "{headers}");
        other.request("ACK", OURS, REFUSED, "", "").await;
    }
    // Nobody may take the place of a caller whom nobody has answered yet.
    let mut early = agent.phone().await;
    early.request("INVITE", OURS, "", "", &words).await;
    let tag = early.status(180).await.tag("to");
    other.request("INVITE", OURS, "", &replaces(&early.call, &tag, "mine"), &words).await;
    other.status(481).await;
    // Whoever was refused has changed nothing.
    leg.control.hangup(HangupCause::Normal).await.unwrap();
    phone.asked("BYE").await;
    // And a call that is over has no place.
    let mut late = agent.phone().await;
    late.request("INVITE", OURS, "", &right, &words).await;
    late.status(481).await;
}

#[tokio::test]
async fn two_far_sides_of_one_host_are_joined_by_refer() {
    let (mut agent, desk) = with_trunk().await;
    let mut phone = agent.phone().await;
    let words = phone.words("0", "");
    let (mut leg, _, _) = agent.answered(&mut phone, &words).await;
    let (far, ours) = reached(&agent, &desk).await;
    for taken in [false, true] {
        let (control, other) = (Arc::clone(&leg.control), far.arrival.clone());
        let join = tokio::spawn(async move { control.join(&other).await });
        let refer = phone.asked("REFER").await;
        let call = far.arrival.carrier_id.replace('@', "%40");
        let named = format!("Replaces={call}%3Bto-tag%3Dtheirs%3Bfrom-tag%3D{ours}>");
        let to = refer.get("refer-to");
        assert!(to.starts_with(&format!("<sip:phone@{}", desk.address())), "{to}");
        assert!(to.ends_with(&named), "{to}");
        let status = if taken { "202 Accepted" } else { "501 Not Implemented" };
        phone.answer(&refer, status, "", "").await;
        if taken {
            let event = "Event: refer\r\nSubscription-State: terminated;reason=noresource\r\n";
            phone.request("NOTIFY", OURS, &refer.tag("from"), event, "SIP/2.0 200 OK").await;
        }
        assert_eq!(join.await.unwrap().is_ok(), taken);
    }
    phone.asked("BYE").await;
    assert_eq!(news(&mut leg).await, Inbound::Gone);
    // The caller has taken our place at the desk: if the desk has not let go of us, we do.
    drop(far);
    desk.asked("BYE").await;
}
