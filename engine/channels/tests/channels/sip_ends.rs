//! Calls by SIP that end because nobody confirms them (RFC 4028), or because nothing is heard.

use std::time::Duration;

use call::dialer::{Dialer, Progress};
use call::{HangupCause, Inbound};
use tokio::time::timeout;

use crate::house::{OURS, SOON};
use crate::sip::{Agent, LOUD, news};
use crate::sip_dial::{wanted, with};
use crate::telephone::Telephone;

/// The answer to an INVITE of ours in a dialog, and its ACK.
async fn confirms(phone: &Telephone, session: &str) {
    let again = phone.asked("INVITE").await;
    assert!(again.get("session-expires").ends_with("refresher=uac"), "{again:?}");
    let words = phone.words("0", "");
    phone.answer(&again, "200 OK", &format!("Session-Expires: {session}\r\n"), &words).await;
    phone.asked("ACK").await;
}

#[tokio::test]
async fn a_caller_who_confirms_no_more_is_hung_up_on() {
    let mut agent = Agent::open(|settings| settings.session = 3).await;
    let mut phone = agent.phone().await;
    let words = phone.words("0", "");
    let theirs = "Supported: timer\r\nSession-Expires: 3;refresher=uac\r\n";
    phone.request("INVITE", OURS, "", theirs, &words).await;
    phone.status(180).await;
    let mut leg = agent.leg().await;
    leg.control.answer().await.unwrap();
    let answer = phone.status(200).await;
    assert_eq!(answer.get("session-expires"), "3;refresher=uac");
    assert_eq!(answer.get("require"), "timer");
    let tag = answer.tag("to");
    phone.request("ACK", OURS, &tag, "", "").await;
    // A session that is too short is none; one that is not, is confirmed.
    phone.request("UPDATE", OURS, &tag, "Session-Expires: 2;refresher=uac\r\n", "").await;
    assert_eq!(phone.status(422).await.get("min-se"), "3");
    phone.request("UPDATE", OURS, &tag, "Session-Expires: 3;refresher=uac\r\n", "").await;
    assert_eq!(phone.status(200).await.get("session-expires"), "3;refresher=uac");
    // Now nobody does.
    let bye = phone.asked("BYE").await;
    assert!(bye.get("reason").contains("not confirmed"), "{bye:?}");
    assert_eq!(news(&mut leg).await, Inbound::Gone);
}

#[tokio::test]
async fn we_confirm_the_calls_of_those_who_know_of_sessions() {
    let mut agent = Agent::open(|settings| settings.session = 2).await;
    let mut phone = agent.phone().await;
    let words = phone.words("0", "");
    phone.request("INVITE", OURS, "", "Supported: replaces, timer\r\n", &words).await;
    phone.status(180).await;
    let mut leg = agent.leg().await;
    leg.control.answer().await.unwrap();
    let answer = phone.status(200).await;
    assert_eq!(answer.get("session-expires"), "2;refresher=uas");
    phone.request("ACK", OURS, &answer.tag("to"), "", "").await;
    confirms(&phone, "2;refresher=uac").await;
    // Whoever does not know the call any more is not asked a third time.
    let again = phone.asked("INVITE").await;
    phone.answer(&again, "481 Call/Transaction Does Not Exist", "", "").await;
    phone.asked("BYE").await;
    assert_eq!(news(&mut leg).await, Inbound::Gone);
}

#[tokio::test]
async fn a_session_that_is_too_short_for_others_is_made_longer() {
    let (agent, phone) = with(|settings| settings.session = 3).await;
    let mut ringing = agent.sip.dial(wanted(SOON)).await.unwrap();
    let invite = phone.asked("INVITE").await;
    assert_eq!((invite.get("session-expires"), invite.get("min-se")), ("3", "3"));
    phone.answer(&invite, "422 Session Interval Too Small", "Min-SE: 4\r\n", "").await;
    phone.asked("ACK").await;
    let longer = phone.asked("INVITE").await;
    assert_eq!(
        (longer.get("session-expires"), longer.get("call-id")),
        ("4", invite.get("call-id"))
    );
    let words = phone.words("0", "");
    phone.answer(&longer, "200 OK", "Session-Expires: 4;refresher=uas\r\n", &words).await;
    let Progress::Answered(Some(mut leg)) = ringing.next().await else { panic!("no answer") };
    // They said that they would confirm it, and do not.
    let bye = phone.asked("BYE").await;
    assert!(bye.get("reason").contains("not confirmed"), "{bye:?}");
    assert_eq!(news(&mut leg).await, Inbound::Gone);
}

#[tokio::test]
async fn a_far_side_that_falls_silent_is_hung_up_on_unless_it_is_on_hold() {
    let silence = Duration::from_millis(500);
    let mut agent = Agent::open(|settings| settings.silence = Some(silence)).await;
    let mut phone = agent.phone().await;
    let words = phone.words("0", "");
    let (leg, answer, tag) = agent.answered(&mut phone, &words).await;
    let held = phone.words("0", "a=sendonly\r\n");
    phone.request("INVITE", OURS, &tag, "", &held).await;
    phone.status(200).await;
    phone.request("ACK", OURS, &tag, "", "").await;
    let quiet = timeout(silence * 3, phone.asked("BYE")).await;
    assert!(quiet.is_err(), "hung up on hold: {quiet:?}");
    phone.request("INVITE", OURS, &tag, "", &words).await;
    phone.status(200).await;
    phone.request("ACK", OURS, &tag, "", "").await;
    phone.speak(answer.sound_port(), 1, 10, LOUD).await;
    let bye = phone.asked("BYE").await;
    assert!(bye.get("reason").contains("no sound came"), "{bye:?}");
    // Whoever hangs up now is late.
    leg.control.hangup(HangupCause::Normal).await.unwrap();
}
