//! Calls that we place by SIP, to a telephone made by hand.

use std::time::Duration;

use call::dialer::{Dialer, Progress, Wanted};
use call::{Destination, Dialled, Leg};
use channels::sip::{Settings, Transport, Trunk};
use md5::{Digest, Md5};
use sha2::Sha256;

use crate::house::{OURS, SOON};
use crate::sip::{Agent, LOUD, loud};
use crate::telephone::{self, Telephone};

pub(crate) fn wanted(ring: Duration) -> Wanted {
    Wanted {
        from: OURS.into(),
        to: Destination { kind: "tel".into(), target: "+15551230000".into(), name: None },
        ring,
        early_media: true,
        anonymous: false,
        detect_machine: false,
    }
}

/// An agent whose trunk is a telephone.
pub(crate) async fn with_trunk() -> (Agent, Telephone) {
    with(|_| {}).await
}

pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> (Agent, Telephone) {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let host = socket.local_addr().unwrap().to_string();
    let agent = Agent::open(|settings| {
        settings.trunks = vec![Trunk {
            name: "trunk".into(),
            host,
            transport: Transport::Udp,
            user: Some("anna".into()),
            password: Some("secret".into()),
            encrypt: false,
            register: false,
        }];
        change(settings);
    })
    .await;
    let mut phone = agent.phone().await;
    phone.sip = socket;
    (agent, phone)
}

/// A leg that we dialed and the telephone answered at once, and our tag in it.
pub(crate) async fn reached(agent: &Agent, phone: &Telephone) -> (Leg, String) {
    let mut ringing = agent.sip.dial(wanted(SOON)).await.unwrap();
    let invite = phone.asked("INVITE").await;
    phone.answer(&invite, "200 OK", "", &phone.words("0", "")).await;
    let Progress::Answered(Some(leg)) = ringing.next().await else { panic!("no answer") };
    phone.asked("ACK").await;
    (leg, invite.tag("from"))
}

#[tokio::test]
async fn we_dial_prove_ourselves_and_are_answered() {
    for (header, status) in [
        ("Proxy-Authenticate", "407 Proxy Authentication Required"),
        ("WWW-Authenticate", "401 Unauthorized"),
    ] {
        for algorithm in ["MD5", "SHA-256"] {
            let (agent, phone) = with_trunk().await;
            let mut ringing = agent.sip.dial(wanted(SOON)).await.unwrap();
            let invite = phone.asked("INVITE").await;
            assert!(invite.line.starts_with("INVITE sip:+15551230000@"));
            assert!(invite.get("from").contains("sip:+15550001000@"));
            let challenge = format!(
                "{header}: Digest realm=\"trunk\", nonce=\"abc\", algorithm={algorithm}, qop=\"auth,auth-int\"\r\n"
            );
            phone.answer(&invite, status, &challenge, "").await;
            phone.asked("ACK").await;
            let proved = phone.asked("INVITE").await;
            let name =
                if status.starts_with("407") { "proxy-authorization" } else { "authorization" };
            checked(&proved, "INVITE", name, algorithm);
            phone.answer(&proved, "180 Ringing", "", "").await;
            assert!(matches!(ringing.next().await, Progress::Ringing));
            let words = phone.words("0", "");
            phone.answer(&proved, "183 Session Progress", "", &words).await;
            let Progress::EarlyMedia(mut leg) = ringing.next().await else {
                panic!("no early media")
            };
            phone.speak(proved.sound_port(), 1, 10, LOUD).await;
            loud(&mut leg).await;
            phone
                .answer(&proved, "200 OK", "Session-Expires: 1800;refresher=uac\r\n", &words)
                .await;
            assert!(matches!(ringing.next().await, Progress::Answered(None)));
            phone.asked("ACK").await;
            assert_eq!(leg.arrival.to, "+15551230000");
            drop(leg);
            phone.asked("BYE").await;
        }
    }
}

/// The answer to a challenge is right, and spelled as RFC 7616 says.
fn checked(request: &telephone::Sip, method: &str, name: &str, algorithm: &str) {
    let proof = request.get(name);
    let get = |name: &str| {
        let rest = proof.split(&format!("{name}=")).nth(1).unwrap_or_else(|| panic!("{proof}"));
        rest.split(',').next().unwrap().trim().to_owned()
    };
    assert_eq!((get("algorithm").as_str(), get("qop").as_str()), (algorithm, "auth"));
    let plain = |name: &str| get(name).trim_matches('"').to_owned();
    let hash = |text: String| -> String {
        let bytes = match algorithm {
            "MD5" => Md5::digest(text).to_vec(),
            _ => Sha256::digest(text).to_vec(),
        };
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let ours = hash("anna:trunk:secret".into());
    let asked = hash(format!("{method}:{}", plain("uri")));
    let (nc, cnonce) = (get("nc"), plain("cnonce"));
    assert_eq!(plain("response"), hash(format!("{ours}:abc:{nc}:{cnonce}:auth:{asked}")));
}

#[tokio::test]
async fn what_the_far_side_says_becomes_an_exit() {
    for (status, how) in [
        ("486 Busy Here", Dialled::Busy),
        ("600 Busy Everywhere", Dialled::Busy),
        ("480 Temporarily Unavailable", Dialled::NoAnswer),
        ("408 Request Timeout", Dialled::NoAnswer),
        ("603 Decline", Dialled::Rejected),
        ("403 Forbidden", Dialled::Rejected),
        ("404 Not Found", Dialled::Failed),
        ("503 Service Unavailable", Dialled::Failed),
    ] {
        let (agent, phone) = with_trunk().await;
        let mut ringing = agent.sip.dial(wanted(SOON)).await.unwrap();
        let invite = phone.asked("INVITE").await;
        phone.answer(&invite, status, "", "").await;
        let Progress::Ended(end) = ringing.next().await else { panic!("it goes on") };
        assert_eq!(end.how, how, "{status}");
        assert!(end.why.starts_with(&status[..3]), "{}", end.why);
    }
}

#[tokio::test]
async fn a_dial_that_rings_too_long_or_is_not_wanted_is_cancelled() {
    for unwanted in [false, true] {
        let (agent, phone) = with_trunk().await;
        let ring = if unwanted { SOON } else { Duration::from_millis(300) };
        let mut ringing = agent.sip.dial(wanted(ring)).await.unwrap();
        let invite = phone.asked("INVITE").await;
        phone.answer(&invite, "180 Ringing", "", "").await;
        assert!(matches!(ringing.next().await, Progress::Ringing));
        let ringing = if unwanted {
            drop(ringing);
            None
        } else {
            Some(ringing)
        };
        let cancel = phone.asked("CANCEL").await;
        phone.answer(&cancel, "200 OK", "", "").await;
        phone.answer(&invite, "487 Request Terminated", "", "").await;
        phone.asked("ACK").await;
        if let Some(mut ringing) = ringing {
            let Progress::Ended(end) = ringing.next().await else { panic!("it goes on") };
            assert_eq!(end.how, Dialled::NoAnswer);
        }
    }
}

#[tokio::test]
async fn an_anonymous_caller_is_asserted_to_the_trunk_only() {
    let (agent, phone) = with_trunk().await;
    let _ringing = agent.sip.dial(Wanted { anonymous: true, ..wanted(SOON) }).await.unwrap();
    let invite = phone.asked("INVITE").await;
    assert!(invite.get("from").contains("sip:anonymous@anonymous.invalid"));
    assert_eq!(invite.get("privacy"), "id");
    assert!(invite.get("p-asserted-identity").contains(OURS));
    let nowhere = Destination { kind: "email".into(), target: "a@b".into(), name: None };
    assert!(!agent.sip.reaches(&nowhere));
}

#[tokio::test]
async fn a_trunk_that_wants_it_knows_where_we_are_and_brings_calls() {
    let (mut agent, phone) = with(|settings| {
        settings.allow.clear();
        settings.trunks[0].register = true;
    })
    .await;
    let first = phone.asked("REGISTER").await;
    assert!(first.get("to").contains("sip:anna@127.0.0.1"), "{first:?}");
    assert_eq!((first.get("expires"), first.get("authorization")), ("600", ""));
    let challenge =
        "WWW-Authenticate: Digest realm=\"trunk\", nonce=\"abc\", algorithm=MD5, qop=\"auth\"\r\n";
    phone.answer(&first, "401 Unauthorized", challenge, "").await;
    let proved = phone.asked("REGISTER").await;
    checked(&proved, "REGISTER", "authorization", "MD5");
    let contact = proved.get("contact").to_owned();
    assert!(contact.contains(&format!("sip:anna@{}", agent.at)), "{contact}");
    phone.answer(&proved, "200 OK", "Expires: 1\r\n", "").await;
    // It knows us for a second only, so we come again.
    let again = phone.asked("REGISTER").await;
    phone.answer(&again, "200 OK", "Expires: 600\r\n", "").await;
    // It calls our account; the number stands in `To`.
    let (here, at) = (phone.address(), agent.at);
    let words = phone.words("0", "");
    phone
        .send(&format!(
            "INVITE sip:anna@{at} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bKin;rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:+15550002000@{here}>;tag=mine\r\nTo: <sip:{OURS}@{here}>\r\n\
             Call-ID: in\r\nCSeq: 1 INVITE\r\nContact: <sip:trunk@{here}>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{words}",
            words.len()
        ))
        .await;
    let leg = agent.leg().await;
    assert_eq!(leg.arrival.to, OURS);
    drop(leg);
    // No more calls: it is told so.
    agent.stop.cancel();
    let last = phone.asked("REGISTER").await;
    assert_eq!(last.get("expires"), "0");
    phone.answer(&last, "200 OK", "", "").await;
}
