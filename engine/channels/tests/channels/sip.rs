//! Calls by SIP, against a telephone made by hand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use audio::Frame;
use call::{Destination, HangupCause, Inbound, Leg, Outbound};
use channels::sip::{CODECS, Settings, Sip, User};
use md5::{Digest, Md5};
use sha2::Sha256;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::house::{Desk, OURS, PEER, SOON};
use crate::telephone::{self, REFUSED, Telephone};

/// The byte of a loud sample in mu-law, and of silence.
pub(crate) const LOUD: u8 = 0x80;
const SILENT: u8 = 0xFF;

pub(crate) struct Agent {
    pub(crate) sip: Arc<Sip>,
    pub(crate) at: SocketAddr,
    desk: Arc<Desk>,
    legs: UnboundedReceiver<Leg>,
    pub(crate) stop: CancellationToken,
}

impl Agent {
    pub(crate) async fn open(change: impl FnOnce(&mut Settings)) -> Self {
        // Whoever was first installed the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut settings = Settings {
            listen: "127.0.0.1:0".parse().unwrap(),
            tls: None,
            authorities: None,
            public_ip: None,
            rtp_ports: 43_000..=44_999,
            codecs: CODECS.into(),
            allow: vec!["127.0.0.1".parse().unwrap()],
            users: Vec::new(),
            ask_sha256: true,
            trunks: Vec::new(),
            direct: true,
            most_calls: 10,
            silence: None,
            session: 1_800,
            name_server: None,
        };
        change(&mut settings);
        // A port that is free for UDP may be taken for TCP, or be taken by another test meanwhile.
        let sip = loop {
            let free = std::net::UdpSocket::bind((settings.listen.ip(), 0)).unwrap();
            settings.listen = free.local_addr().unwrap();
            drop(free);
            match Sip::open(settings.clone()).await {
                Ok(sip) => break sip,
                Err(why) => assert!(why.contains("in use"), "{why}"),
            }
        };
        let at = settings.listen;
        let desk = Arc::new(Desk::default());
        let legs = desk.legs();
        let stop = CancellationToken::new();
        tokio::spawn(Arc::clone(&sip).serve(desk.clone(), stop.clone()));
        Self { sip, at, desk, legs, stop }
    }

    pub(crate) async fn phone(&self) -> Telephone {
        Telephone::at(self.at).await
    }

    pub(crate) async fn leg(&mut self) -> Leg {
        timeout(SOON, self.legs.recv()).await.expect("a leg").unwrap()
    }

    /// A call of this phone that is answered: its leg, the answer, and the answer's tag.
    pub(crate) async fn answered(
        &mut self,
        phone: &mut Telephone,
        words: &str,
    ) -> (Leg, telephone::Sip, String) {
        phone.request("INVITE", OURS, "", "", words).await;
        phone.status(180).await;
        let leg = self.leg().await;
        leg.control.answer().await.unwrap();
        let answer = phone.status(200).await;
        let tag = answer.tag("to");
        phone.request("ACK", OURS, &tag, "", "").await;
        (leg, answer, tag)
    }
}

/// The next thing from a leg that is no sound.
pub(crate) async fn news(leg: &mut Leg) -> Inbound {
    loop {
        let heard = timeout(SOON, leg.inbound.recv()).await.expect("news").unwrap();
        if !matches!(heard, Inbound::Frame(_)) {
            return heard;
        }
    }
}

/// Until a leg hears something loud.
pub(crate) async fn loud(leg: &mut Leg) {
    loop {
        match timeout(SOON, leg.inbound.recv()).await.expect("sound").unwrap() {
            Inbound::Frame(frame) if frame.samples.iter().any(|s| s.unsigned_abs() > 9_000) => {
                return;
            }
            Inbound::Frame(_) => {}
            other => panic!("{other:?} came in place of sound"),
        }
    }
}

#[tokio::test]
async fn a_call_is_answered_heard_and_hung_up() {
    let mut agent = Agent::open(|_| {}).await;
    let mut phone = agent.phone().await;
    let words = phone.words("0 101", "a=rtpmap:101 telephone-event/8000\r\n");
    phone.request("INVITE", OURS, "", "", &words).await;
    assert_eq!(phone.next().await.status(), 100);
    assert_eq!(phone.next().await.status(), 180);
    let mut leg = agent.leg().await;
    assert_eq!((leg.arrival.from.as_str(), leg.arrival.to.as_str()), (PEER, OURS));
    assert_eq!((leg.arrival.carrier_id.as_str(), leg.rate), (phone.call.as_str(), 8_000));
    leg.control.answer().await.unwrap();
    let answer = phone.status(200).await;
    let port = answer.sound_port();
    let tag = answer.tag("to");
    phone.request("ACK", OURS, &tag, "", "").await;

    // Silence comes at once, so that everybody knows where we are; then what we say.
    assert_eq!(phone.hear().await.2, vec![SILENT; 160]);
    phone.speak(port, 1, 10, LOUD).await;
    loud(&mut leg).await;
    let said = Frame { rate: 8_000, samples: vec![20_000; 160] };
    leg.outbound.send(Outbound::Frame(said)).await.unwrap();
    leg.outbound.send(Outbound::Mark(7)).await.unwrap();
    assert_eq!(news(&mut leg).await, Inbound::Mark(7));
    let mut last = None;
    loop {
        let (kind, sequence, sound) = phone.hear().await;
        assert!(last.is_none_or(|last: u16| last.wrapping_add(1) == sequence) && kind == 0);
        last = Some(sequence);
        if sound.iter().all(|byte| *byte < 0xA0) {
            break;
        }
    }
    // A key, as three packets of one event.
    for (n, end) in [(20u16, 0u8), (21, 0), (22, 0x80)] {
        let mut packet = vec![0x80, 101, 0, n as u8, 0, 0, 99, 0, 0, 0, 0, 9];
        packet.extend([5, end | 10, 0, 160]);
        phone.rtp.send_to(&packet, ("127.0.0.1", port)).await.unwrap();
    }
    assert_eq!(news(&mut leg).await, Inbound::Digit('5'));
    // Ours go out as events too.
    leg.control.send_digits("9").await.unwrap();
    while phone.hear().await.0 != 101 {}
    let (kind, _, event) = phone.hear().await;
    assert_eq!((kind, event[0]), (101, 9));

    leg.control.hangup(HangupCause::Normal).await.unwrap();
    let bye = phone.asked("BYE").await;
    assert!(bye.get("reason").contains("cause=16"));
    phone.answer(&bye, "200 OK", "", "").await;
    assert_eq!(news(&mut leg).await, Inbound::Gone);
}

#[tokio::test]
async fn the_caller_may_give_up_or_hang_up() {
    let mut agent = Agent::open(|_| {}).await;
    let mut phone = agent.phone().await;
    let words = phone.words("0", "");
    phone.request("INVITE", OURS, "", "", &words).await;
    phone.status(180).await;
    let mut leg = agent.leg().await;
    phone.request("CANCEL", OURS, "", "", "").await;
    let (first, second) = (phone.next().await, phone.next().await);
    let mut ends = [first.status(), second.status()];
    ends.sort_unstable();
    assert_eq!(ends, [200, 487]);
    phone.request("ACK", OURS, REFUSED, "", "").await;
    assert_eq!(news(&mut leg).await, Inbound::Gone);
    assert!(leg.control.answer().await.is_err());

    let mut phone = agent.phone().await;
    let (mut leg, _, tag) = agent.answered(&mut phone, &words).await;
    phone.request("BYE", OURS, &tag, "", "").await;
    assert_eq!(phone.status(200).await.get("cseq"), "3 BYE");
    assert_eq!(news(&mut leg).await, Inbound::Gone);
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_with_its_reason() {
    let agent = Agent::open(|settings| settings.most_calls = 1).await;
    let mut phone = agent.phone().await;
    let words = phone.words("0", "");
    let g729 = phone.words("18", "a=rtpmap:18 G729/8000\r\n");
    for (user, headers, body, status) in [
        ("+15559999999", "", words.as_str(), 404),
        (OURS, "", g729.as_str(), 488),
        (OURS, "Require: 100rel\r\n", words.as_str(), 420),
        (OURS, "Session-Expires: 60\r\n", words.as_str(), 422),
    ] {
        phone.request("INVITE", user, "", headers, body).await;
        let refusal = phone.status(status).await;
        phone.request("ACK", user, REFUSED, "", "").await;
        match status {
            420 => assert_eq!(refusal.get("unsupported"), "100rel"),
            422 => assert_eq!(refusal.get("min-se"), "90"),
            _ => {}
        }
    }
    phone.request("OPTIONS", OURS, "", "", "").await;
    assert!(phone.status(200).await.get("allow").contains("REFER"));
    phone.request("REGISTER", OURS, "", "", "").await;
    phone.status(405).await;
    phone.request("BYE", OURS, "unknown", "", "").await;
    phone.status(481).await;

    // Those that live here would suffer.
    *agent.desk.busy.lock().unwrap() = true;
    phone.request("INVITE", OURS, "", "", &words).await;
    assert_eq!(phone.status(486).await.get("retry-after"), "10");
    phone.request("ACK", OURS, REFUSED, "", "").await;
    *agent.desk.busy.lock().unwrap() = false;
    // One call is all there is room for; then nobody comes any more.
    phone.request("INVITE", OURS, "", "", &words).await;
    phone.status(180).await;
    let mut second = agent.phone().await;
    second.request("INVITE", OURS, "", "", &words).await;
    assert_eq!(second.status(486).await.get("retry-after"), "10");
    agent.stop.cancel();
    let mut third = agent.phone().await;
    third.request("INVITE", OURS, "", "", &words).await;
    assert_eq!(third.status(503).await.get("retry-after"), "10");
}

/// An answer to a challenge, by the book.
fn proof(challenge: &str, method: &str, uri: &str, password: &str) -> String {
    let get = |name: &str| {
        let rest = challenge.split(&format!("{name}=")).nth(1).unwrap();
        rest.split(',').next().unwrap().trim().trim_matches('"').to_owned()
    };
    let hash = |text: String| -> String {
        let bytes = match get("algorithm").as_str() {
            "MD5" => Md5::digest(text).to_vec(),
            _ => Sha256::digest(text).to_vec(),
        };
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let (realm, nonce) = (get("realm"), get("nonce"));
    let ours = hash(format!("anna:{realm}:{password}"));
    let asked = hash(format!("{method}:{uri}"));
    let response = hash(format!("{ours}:{nonce}:00000001:abc:auth:{asked}"));
    format!(
        "Authorization: Digest username=\"anna\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
         response=\"{response}\", algorithm={}, cnonce=\"abc\", qop=auth, nc=00000001\r\n",
        get("algorithm")
    )
}

#[tokio::test]
async fn strangers_prove_their_password_or_stay_outside() {
    let strict = Agent::open(|settings| settings.allow.clear()).await;
    let mut phone = strict.phone().await;
    let words = phone.words("0", "");
    phone.request("INVITE", OURS, "", "", &words).await;
    phone.status(403).await;

    let agent = Agent::open(|settings| {
        settings.allow.clear();
        settings.users = vec![User { name: "anna".into(), password: "secret".into() }];
    })
    .await;
    let uri = format!("sip:{OURS}@{}", agent.at);
    for which in [0, 1] {
        let mut phone = agent.phone().await;
        phone.request("INVITE", OURS, "", "", &words).await;
        let asked = phone.status(401).await;
        let challenges: Vec<String> =
            asked.all("www-authenticate").iter().map(|c| (*c).to_owned()).collect();
        assert_eq!(challenges.len(), 2);
        phone.request("ACK", OURS, REFUSED, "", "").await;
        let wrong = proof(&challenges[which], "INVITE", &uri, "wrong");
        phone.request("INVITE", OURS, "", &wrong, &words).await;
        phone.status(401).await;
        phone.request("ACK", OURS, REFUSED, "", "").await;
        let right = proof(&challenges[which], "INVITE", &uri, "secret");
        phone.request("INVITE", OURS, "", &right, &words).await;
        phone.status(180).await;
        // What was seen on the wire is of no use to anybody else.
        let mut thief = agent.phone().await;
        thief.request("INVITE", OURS, "", &right, &words).await;
        let refused = thief.status(401).await;
        assert!(refused.get("www-authenticate").contains("stale=true"));
    }
}

#[tokio::test]
async fn hold_and_resume_change_who_is_heard() {
    let mut agent = Agent::open(|_| {}).await;
    let mut phone = agent.phone().await;
    let words = phone.words("8 0", "");
    let (mut leg, answer, tag) = agent.answered(&mut phone, &words).await;
    assert!(answer.body.contains("m=audio") && answer.body.contains("PCMA/8000"));
    let (kind, mut last, _) = phone.hear().await;
    assert_eq!(kind, 8);

    let held = phone.words("8 0", "a=sendonly\r\n");
    phone.request("INVITE", OURS, &tag, "Session-Expires: 1800;refresher=uac\r\n", &held).await;
    let mirrored = phone.status(200).await;
    assert!(mirrored.body.contains("a=recvonly"), "{}", mirrored.body);
    assert_eq!(mirrored.get("session-expires"), "1800;refresher=uac");
    assert!(mirrored.body.contains(" 2 IN IP4"), "a new version: {}", mirrored.body);
    phone.request("ACK", OURS, &tag, "", "").await;
    // What was on its way still comes; then nothing.
    while let Ok(packet) = timeout(Duration::from_millis(200), phone.hear()).await {
        last = packet.1;
    }

    // Resumed with another codec: numbers go on, and the leg keeps its rate.
    let resumed = phone.words("9", "");
    phone.request("INVITE", OURS, &tag, "", &resumed).await;
    let port = phone.status(200).await.sound_port();
    phone.request("ACK", OURS, &tag, "", "").await;
    let (kind, sequence, _) = phone.hear().await;
    assert_eq!(kind, 9);
    assert!(sequence == last.wrapping_add(1), "{last} and then {sequence}");
    // G.722 of a loud tone is a matter of its codec; that something comes is ours.
    for n in 1..30u16 {
        let mut packet = vec![0x80, 9];
        packet.extend(n.to_be_bytes());
        packet.extend((u32::from(n) * 160).to_be_bytes());
        packet.extend([0, 0, 0, 9]);
        packet.extend((0..160u8).map(|at| at.wrapping_mul(37)));
        phone.rtp.send_to(&packet, ("127.0.0.1", port)).await.unwrap();
    }
    loop {
        let heard = timeout(SOON, leg.inbound.recv()).await.expect("sound").unwrap();
        let Inbound::Frame(frame) = heard else { panic!("{heard:?}") };
        assert_eq!((frame.rate, frame.samples.len()), (8_000, 160));
        if frame.samples.iter().any(|sample| *sample != 0) {
            break;
        }
    }
    drop(leg);
    // Whoever drops a leg hangs up.
    phone.asked("BYE").await;
}

#[tokio::test]
async fn a_call_without_an_offer_gets_ours_and_answers_in_its_ack() {
    let mut agent = Agent::open(|_| {}).await;
    let mut phone = agent.phone().await;
    phone.request("INVITE", OURS, "", "", "").await;
    phone.status(180).await;
    let mut leg = agent.leg().await;
    leg.control.answer().await.unwrap();
    let offer = phone.status(200).await;
    assert!(offer.body.contains("m=audio") && offer.body.contains("opus/48000/2"));
    let tag = offer.tag("to");
    let words = phone.words("0", "");
    phone.request("ACK", OURS, &tag, "", &words).await;
    assert_eq!(phone.hear().await.0, 0);
    phone.speak(offer.sound_port(), 1, 10, LOUD).await;
    loud(&mut leg).await;
}

#[tokio::test]
async fn sound_before_the_answer_is_early_media() {
    let mut agent = Agent::open(|_| {}).await;
    let mut phone = agent.phone().await;
    let words = phone.words("0", "");
    phone.request("INVITE", OURS, "", "", &words).await;
    phone.status(180).await;
    let leg = agent.leg().await;
    let said = Frame { rate: 8_000, samples: vec![20_000; 160] };
    leg.outbound.send(Outbound::Frame(said)).await.unwrap();
    let progress = phone.status(183).await;
    assert!(progress.body.contains("m=audio"));
    while phone.hear().await.2.iter().all(|byte| *byte >= 0xA0) {}
    leg.control.hangup(HangupCause::Busy).await.unwrap();
    phone.status(486).await;
}

#[tokio::test]
async fn a_call_is_handed_over_and_the_outcome_is_told() {
    let mut agent = Agent::open(|_| {}).await;
    let mut phone = agent.phone().await;
    let words = phone.words("0", "");
    let (mut leg, ..) = agent.answered(&mut phone, &words).await;
    let to = Destination { kind: "tel".into(), target: "+15551230000".into(), name: None };
    for (fragment, taken) in [("SIP/2.0 486 Busy Here", false), ("SIP/2.0 200 OK", true)] {
        let control = Arc::clone(&leg.control);
        let to = to.clone();
        let transfer = tokio::spawn(async move { control.transfer(&to).await });
        let refer = phone.asked("REFER").await;
        assert_eq!(refer.get("refer-to"), "<sip:+15551230000@127.0.0.1>");
        phone.answer(&refer, "202 Accepted", "", "").await;
        assert_eq!(refer.tag("to"), "mine");
        let ours = refer.tag("from");
        let event = "Event: refer\r\nSubscription-State: terminated;reason=noresource\r\n";
        phone.request("NOTIFY", OURS, &ours, event, fragment).await;
        assert_eq!(transfer.await.unwrap().is_ok(), taken, "{fragment}");
    }
    phone.asked("BYE").await;
    assert_eq!(news(&mut leg).await, Inbound::Gone);
}

#[tokio::test]
async fn the_far_side_may_hand_us_on_to_somebody_else() {
    let mut agent = Agent::open(|_| {}).await;
    let (mut phone, other) = (agent.phone().await, agent.phone().await);
    let words = phone.words("0", "");
    let (mut leg, _, tag) = agent.answered(&mut phone, &words).await;
    let replaces = "Replaces=1%402%3Bto-tag%3Da%3Bfrom-tag%3Db";
    let refer = format!("Refer-To: <sip:other@{}?{replaces}>\r\n", other.address());
    phone.request("REFER", OURS, &tag, &refer, "").await;
    phone.status(202).await;
    let invite = other.asked("INVITE").await;
    assert_eq!(invite.get("replaces"), "1@2;to-tag=a;from-tag=b");
    let answer = other.words("0", "");
    other.answer(&invite, "200 OK", "", &answer).await;
    other.asked("ACK").await;
    // The first one is told, in the end that it worked, and hangs up.
    loop {
        let notify = phone.asked("NOTIFY").await;
        phone.answer(&notify, "200 OK", "", "").await;
        if notify.body.starts_with("SIP/2.0 200") {
            break;
        }
        assert!(notify.body.starts_with("SIP/2.0 100"), "{notify:?}");
    }
    phone.request("BYE", OURS, &tag, "", "").await;
    phone.status(200).await;
    // The leg goes on with the other one.
    other.speak(invite.sound_port(), 1, 20, LOUD).await;
    loud(&mut leg).await;
    assert_eq!(other.hear().await.0, 0);
    leg.control.hangup(HangupCause::Normal).await.unwrap();
    other.asked("BYE").await;
}
