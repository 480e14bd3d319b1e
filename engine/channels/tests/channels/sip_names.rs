//! Where trunks lie: names with SRV records, places that do not answer, and addresses of IPv6.

use std::time::Duration;

use call::dialer::{Dialer, Progress};
use call::{Dialled, HangupCause, Inbound};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout};

use crate::house::{OURS, SOON};
use crate::name_server::NameServer;
use crate::sip::{Agent, LOUD, loud, news};
use crate::sip_dial::{wanted, with};

#[tokio::test]
async fn who_does_not_answer_is_followed_by_the_next_place_of_the_trunk() {
    // It takes what comes, and says nothing.
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let spare = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let ports = [&silent, &spare].map(|socket| socket.local_addr().unwrap().port());
    let records = [(20, ports[1], "b.trunk.test"), (10, ports[0], "a.trunk.test")];
    let names =
        NameServer::open(&[("_sip._udp.trunk.test", &records)], &["a.trunk.test", "b.trunk.test"])
            .await;
    let (agent, mut phone) = with(|settings| {
        settings.trunks[0].host = "trunk.test".into();
        settings.name_server = Some(names.at);
    })
    .await;
    phone.sip = spare;
    let began = Instant::now();
    let mut ringing = agent.sip.dial(wanted(SOON)).await.unwrap();
    let invite = phone.asked("INVITE").await;
    assert!(began.elapsed() > Duration::from_secs(3), "the first one was not asked");
    let mut bytes = [0; 4_096];
    let size = silent.recv(&mut bytes).await.unwrap();
    let first = String::from_utf8_lossy(&bytes[..size]).into_owned();
    // Both were asked the same, for the trunk by its name.
    assert!(first.starts_with("INVITE sip:+15551230000@trunk.test"), "{first}");
    assert!(first.contains(invite.get("call-id")), "{first}");
    let words = phone.words("0", "");
    phone.answer(&invite, "200 OK", "", &words).await;
    let Progress::Answered(Some(leg)) = ringing.next().await else { panic!("no answer") };
    phone.asked("ACK").await;
    leg.control.hangup(HangupCause::Normal).await.unwrap();
    let bye = phone.asked("BYE").await;
    phone.answer(&bye, "200 OK", "", "").await;
    // The next call does not wait for whoever is silent; but whoever is full is followed too.
    let began = Instant::now();
    let _ringing = agent.sip.dial(wanted(SOON)).await.unwrap();
    let invite = phone.asked("INVITE").await;
    assert!(began.elapsed() < Duration::from_secs(3), "it waited");
    while silent.try_recv(&mut bytes).is_ok() {}
    phone.answer(&invite, "503 Service Unavailable", "", "").await;
    timeout(SOON, silent.recv(&mut bytes)).await.expect("nobody else was tried").unwrap();
    assert!(names.asked.lock().unwrap().contains(&(33, "_sip._udp.trunk.test".into())));
}

#[tokio::test]
async fn a_trunk_without_records_lies_where_its_name_does() {
    let names = NameServer::open(&[], &["plain.test"]).await;
    let (agent, phone) = with(|settings| {
        let port = settings.trunks[0].host.rsplit(':').next().unwrap().to_owned();
        settings.trunks[0].host = format!("plain.test:{port}");
        settings.name_server = Some(names.at);
    })
    .await;
    let mut ringing = agent.sip.dial(wanted(SOON)).await.unwrap();
    let invite = phone.asked("INVITE").await;
    phone.answer(&invite, "486 Busy Here", "", "").await;
    assert!(matches!(ringing.next().await, Progress::Ended(end) if end.how == Dialled::Busy));
    // With a port nobody is asked for records.
    assert!(names.asked.lock().unwrap().iter().all(|(kind, _)| *kind != 33));
    let unknown = with(|settings| {
        settings.trunks[0].host = "nobody.test".into();
        settings.name_server = Some(names.at);
    });
    let end = unknown.await.0.sip.dial(wanted(SOON)).await.unwrap_err();
    assert_eq!(end.why, "`nobody.test` has no IPv4 address");
}

#[tokio::test]
async fn a_call_over_ipv6_is_heard_both_ways() {
    let six = |settings: &mut channels::sip::Settings| {
        settings.listen = "[::1]:0".parse().unwrap();
        settings.allow = vec!["::1".parse().unwrap()];
    };
    let mut agent = Agent::open(six).await;
    let mut phone = agent.phone().await;
    let words = phone.words("0", "");
    let (mut leg, answer, _) = agent.answered(&mut phone, &words).await;
    assert!(answer.body.contains("c=IN IP6 ::1"), "{}", answer.body);
    assert!(answer.get("contact").contains("@[::1]:"), "{answer:?}");
    phone.speak(answer.sound_port(), 1, 10, LOUD).await;
    loud(&mut leg).await;
    assert_eq!(phone.hear().await.0, 0);
    leg.control.hangup(HangupCause::Normal).await.unwrap();
    let bye = phone.asked("BYE").await;
    phone.answer(&bye, "200 OK", "", "").await;
    assert_eq!(news(&mut leg).await, Inbound::Gone);

    // We dial an address of IPv6, too.
    let trunk = UdpSocket::bind("[::1]:0").await.unwrap();
    let (agent, mut phone) = with(|settings| {
        six(settings);
        settings.trunks[0].host = trunk.local_addr().unwrap().to_string();
    })
    .await;
    phone.sip = trunk;
    let mut ringing = agent.sip.dial(wanted(SOON)).await.unwrap();
    let invite = phone.asked("INVITE").await;
    assert!(invite.line.contains("@[::1]:") && invite.body.contains("c=IN IP6 ::1"), "{invite:?}");
    phone.answer(&invite, "486 Busy Here", "", "").await;
    assert!(matches!(ringing.next().await, Progress::Ended(end) if end.how == Dialled::Busy));
}

/// Reads from a connection until it has said this.
async fn until_said(socket: &mut TcpStream, wanted: &str) -> String {
    let mut said = String::new();
    let reading = async {
        let mut bytes = [0; 4_096];
        while !said.contains(wanted) {
            let size = socket.read(&mut bytes).await.unwrap();
            assert!(size > 0, "closed after {said}");
            said += std::str::from_utf8(&bytes[..size]).unwrap();
        }
    };
    timeout(SOON, reading).await.unwrap_or_else(|_| panic!("no {wanted}"));
    said
}

#[tokio::test]
async fn a_call_over_ipv6_comes_by_tcp_too() {
    let mut agent = Agent::open(|settings| {
        settings.listen = "[::1]:0".parse().unwrap();
        settings.allow = vec!["::1".parse().unwrap()];
    })
    .await;
    // The stack listens a little after it was told to.
    let connected = timeout(SOON, async {
        loop {
            if let Ok(socket) = TcpStream::connect(agent.at).await {
                return socket;
            }
            tokio::task::yield_now().await;
        }
    });
    let mut socket = connected.await.expect("nobody listens");
    let (here, at) = (socket.local_addr().unwrap(), agent.at);
    let request = |method: &str, tag: &str, body: &str| {
        format!(
            "{method} sip:{OURS}@{at} SIP/2.0\r\nVia: SIP/2.0/TCP {here};branch=z9hG4bK{method}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:+15550002000@{here}>;tag=mine\r\nTo: <sip:{OURS}@{at}>{tag}\r\n\
             Call-ID: six\r\nCSeq: 1 {method}\r\nContact: <sip:phone@{here};transport=tcp>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let rtp = UdpSocket::bind("[::1]:0").await.unwrap();
    let words = format!(
        "v=0\r\no=- 1 1 IN IP6 ::1\r\ns=-\r\nc=IN IP6 ::1\r\nt=0 0\r\nm=audio {} RTP/AVP 0\r\n",
        rtp.local_addr().unwrap().port()
    );
    socket.write_all(request("INVITE", "", &words).as_bytes()).await.unwrap();
    let leg = agent.leg().await;
    leg.control.answer().await.unwrap();
    let said = until_said(&mut socket, "m=audio").await;
    let answer = said.split("SIP/2.0 200").nth(1).unwrap();
    assert!(answer.contains("c=IN IP6 ::1") && answer.contains("@[::1]:"), "{answer}");
    let to = answer.lines().find(|line| line.starts_with("To:")).unwrap();
    let tag = format!(";tag={}", to.split("tag=").nth(1).unwrap());
    socket.write_all(request("ACK", &tag, "").as_bytes()).await.unwrap();
    let mut bytes = [0; 512];
    timeout(SOON, rtp.recv(&mut bytes)).await.expect("no sound").unwrap();
    leg.control.hangup(HangupCause::Normal).await.unwrap();
    until_said(&mut socket, "BYE sip:phone@").await;
}
