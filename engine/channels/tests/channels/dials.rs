//! Calls that Twilio dials for us.

use std::sync::Arc;
use std::time::Duration;

use call::{
    Arrival, Destination, Dialer, Dialled, Inbound, Picked, Progress, Ringing, Unable, Wanted,
};
use serde_json::json;
use tokio::time::timeout;

use crate::house::{CALL, House, OURS, PEER, SOON, Socket, token};

fn wanted() -> Wanted {
    Wanted {
        from: OURS.into(),
        to: Destination { kind: "tel".into(), target: PEER.into(), name: None },
        ring: Duration::from_secs(20),
        early_media: false,
        anonymous: false,
        detect_machine: false,
    }
}

async fn dials(house: &House, wanted: Wanted) -> (Ringing, Vec<(String, String)>) {
    house.rest.reply(201, &json!({ "sid": CALL, "status": "queued" }).to_string());
    let ringing = house.twilio.dial(wanted).await.unwrap();
    let asked = house.rest.wait(1).await[0].clone();
    assert!(asked.path.ends_with("/Calls.json"), "{}", asked.path);
    assert_eq!(ringing.carrier_id, CALL);
    (ringing, asked.form)
}

fn get<'a>(form: &'a [(String, String)], name: &str) -> &'a str {
    form.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
}

/// The path that Twilio was told under this name.
fn path(form: &[(String, String)], name: &str) -> String {
    get(form, name).strip_prefix("https://voice.example.com").unwrap().into()
}

async fn becomes(ringing: &mut Ringing) -> Progress {
    timeout(SOON, ringing.next()).await.expect("nothing came of it")
}

async fn picks_up(house: &House, form: &[(String, String)]) -> Socket {
    house.stream(&token(get(form, "Twiml"))).await
}

#[tokio::test]
async fn a_dial_becomes_a_leg_when_somebody_picks_up() {
    let house = House::open().await;
    let (mut ringing, form) = dials(&house, wanted()).await;
    assert_eq!((get(&form, "To"), get(&form, "From"), get(&form, "Timeout")), (PEER, OURS, "20"));
    assert_eq!(get(&form, "MachineDetection"), "");
    let callback = path(&form, "StatusCallback");
    house.post(&callback, &[("CallSid", CALL), ("CallStatus", "ringing")]).await;
    assert!(matches!(becomes(&mut ringing).await, Progress::Ringing));
    let mut socket = picks_up(&house, &form).await;
    let Progress::Answered(Some(mut leg)) = becomes(&mut ringing).await else { panic!() };
    assert_eq!((leg.arrival.from.as_str(), leg.arrival.to.as_str()), (OURS, PEER));
    assert_eq!(leg.arrival.carrier_id, CALL);
    // The token is good once.
    assert_eq!(picks_up(&house, &form).await.closed().await, Some(1008));
    drop(ringing);
    assert!(leg.control.picked_up().await.is_err());
    house.post(&callback, &[("CallSid", CALL), ("CallStatus", "completed")]).await;
    assert_eq!(timeout(SOON, leg.inbound.recv()).await.unwrap(), Some(Inbound::Gone));
    assert_eq!(socket.closed().await, Some(1000));
}

#[tokio::test]
async fn two_calls_are_joined_in_a_room_of_their_own() {
    let house = House::open().await;
    let (mut ringing, form) = dials(&house, wanted()).await;
    let mut socket = picks_up(&house, &form).await;
    let Progress::Answered(Some(mut leg)) = becomes(&mut ringing).await else { panic!() };
    let other = Arrival { carrier_id: "CA2".into(), ..leg.arrival.clone() };
    // Nobody waits alone when only one of them goes there.
    for (first, second) in [(404, None), (200, Some(404))] {
        house.rest.asked.lock().unwrap().clear();
        house.rest.reply(first, "{}");
        second.into_iter().for_each(|status| house.rest.reply(status, "{}"));
        assert!(matches!(leg.control.join(&other).await, Err(Unable::Failed(_))));
    }
    let asked = house.rest.wait(3).await;
    assert!(asked[2].path.ends_with("/Calls/CA2.json") && asked[2].get("Status") == "completed");
    house.rest.asked.lock().unwrap().clear();
    assert_eq!(leg.control.join(&other).await, Ok(()));
    let asked = house.rest.wait(2).await;
    for (asked, call) in asked.iter().zip(["CA2", CALL]) {
        assert!(asked.path.ends_with(&format!("/Calls/{call}.json")), "{}", asked.path);
        let room = format!("voxflow {CALL}");
        assert_eq!(
            asked.get("Twiml"),
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Dial>\
                 <Conference beep=\"false\" endConferenceOnExit=\"true\">{room}</Conference>\
                 </Dial></Response>"
            )
        );
    }
    assert_eq!(timeout(SOON, leg.inbound.recv()).await.unwrap(), Some(Inbound::Gone));
    assert_eq!(socket.closed().await, Some(1000));
}

#[tokio::test]
async fn who_picked_up_is_told_when_it_was_asked_for() {
    let house = House::open().await;
    let (mut ringing, form) = dials(&house, Wanted { detect_machine: true, ..wanted() }).await;
    assert_eq!((get(&form, "MachineDetection"), get(&form, "AsyncAmd")), ("Enable", "true"));
    let _socket = picks_up(&house, &form).await;
    let Progress::Answered(Some(leg)) = becomes(&mut ringing).await else { panic!() };
    let control = Arc::clone(&leg.control);
    let who = tokio::spawn(async move { control.picked_up().await });
    let machine = path(&form, "AsyncAmdStatusCallback");
    let said = [("CallSid", CALL), ("AnsweredBy", "machine_start")];
    assert_eq!(house.post(&machine, &said).await.0, 204);
    assert_eq!(timeout(SOON, who).await.unwrap().unwrap(), Ok(Picked::Machine));
    // What is not signed is not believed.
    let forged = house.http.post(format!("http://{}{machine}", house.at)).form(&said).send().await;
    assert_eq!(forged.unwrap().status().as_u16(), 403);
}

#[tokio::test]
async fn nobody_is_reached_for_as_many_reasons_as_there_are() {
    for (status, sip, how) in [
        ("busy", "486", Dialled::Busy),
        ("no-answer", "487", Dialled::NoAnswer),
        ("failed", "603", Dialled::Rejected),
        ("failed", "404", Dialled::Failed),
        ("canceled", "", Dialled::NoAnswer),
        ("completed", "200", Dialled::Failed),
    ] {
        let house = House::open().await;
        let (mut ringing, form) = dials(&house, wanted()).await;
        let said = [("CallSid", CALL), ("CallStatus", status), ("SipResponseCode", sip)];
        house.post(&path(&form, "StatusCallback"), &said).await;
        let Progress::Ended(end) = becomes(&mut ringing).await else { panic!() };
        assert_eq!(end.how, how, "{status}");
    }
    let house = House::open().await;
    house.rest.reply(400, r#"{"code":21211,"message":"Invalid 'To' Phone Number"}"#);
    let refused = house.twilio.dial(wanted()).await.unwrap_err();
    assert!(refused.how == Dialled::Failed && refused.why.contains("21211"), "{refused}");
    let hidden = house.twilio.dial(Wanted { anonymous: true, ..wanted() }).await.unwrap_err();
    assert!(hidden.why.contains("hide"), "{hidden}");
    let poor = House::with(|settings| settings.auth_token = None).await;
    assert!(!poor.twilio.reaches(&wanted().to));
}

#[tokio::test]
async fn a_dial_that_nobody_wants_any_more_is_ended() {
    let house = House::open().await;
    let (ringing, _) = dials(&house, wanted()).await;
    drop(ringing);
    let asked = house.rest.wait(2).await[1].clone();
    assert!(asked.path.ends_with(&format!("/Calls/{CALL}.json")), "{}", asked.path);
    assert_eq!(asked.get("Status"), "completed");
}
