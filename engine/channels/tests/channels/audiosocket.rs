//! Calls by AudioSocket, against an Asterisk of bytes.

use std::sync::Arc;

use audio::Frame;
use call::{HangupCause, Inbound, Outbound};
use channels::audiosocket::{AudioSocket, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::house::{Desk, OURS, SOON};

/// The name of a call, as its message has it.
const NAME: [u8; 19] = [
    1, 0, 16, 0x40, 0x32, 0x5e, 0xc2, 0x5e, 0xfd, 0x4b, 0xd3, 0x80, 0x5f, 0x53, 0x57, 0x6e, 0x58,
    0x1d, 0x13,
];

async fn open(allow: &str, number: &str) -> (std::net::SocketAddr, Arc<Desk>) {
    let settings = Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        number: number.into(),
        allow: vec![allow.parse().unwrap()],
    };
    let socket = AudioSocket::open(settings).await.unwrap();
    let (at, desk) = (socket.address(), Arc::new(Desk::default()));
    tokio::spawn(socket.serve(desk.clone(), CancellationToken::new()));
    (at, desk)
}

async fn message(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let read = async {
        let mut head = [0; 3];
        stream.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; u16::from_be_bytes([head[1], head[2]]).into()];
        stream.read_exact(&mut payload).await.unwrap();
        (head[0], payload)
    };
    timeout(SOON, read).await.expect("a message")
}

#[tokio::test]
async fn a_call_is_heard_both_ways_at_the_rate_of_its_kind() {
    for (kind, rate, size) in [(0x10u8, 8_000, 320u16), (0x12, 16_000, 640), (0x16, 16_000, 1_920)]
    {
        let (at, desk) = open("127.0.0.1", OURS).await;
        let mut legs = desk.legs();
        let mut asterisk = TcpStream::connect(at).await.unwrap();
        asterisk.write_all(&NAME).await.unwrap();
        let sound = |value: i16| {
            let mut bytes = vec![kind, (size >> 8) as u8, size as u8];
            bytes.extend((0..size / 2).flat_map(|_| value.to_le_bytes()));
            bytes
        };
        asterisk.write_all(&sound(0)).await.unwrap();
        let mut leg = timeout(SOON, legs.recv()).await.unwrap().unwrap();
        assert_eq!(leg.arrival.carrier_id, "40325ec2-5efd-4bd3-805f-53576e581d13");
        assert_eq!((leg.arrival.to.as_str(), leg.rate), (OURS, rate));
        leg.control.answer().await.unwrap();

        for _ in 0..5 {
            asterisk.write_all(&sound(9_000)).await.unwrap();
        }
        loop {
            match timeout(SOON, leg.inbound.recv()).await.unwrap().unwrap() {
                Inbound::Frame(frame) if frame.samples.iter().any(|s| *s > 8_000) => break,
                Inbound::Frame(frame) => assert_eq!(frame.rate, rate),
                other => panic!("{other:?}"),
            }
        }
        asterisk.write_all(&[3, 0, 1, b'5']).await.unwrap();
        while timeout(SOON, leg.inbound.recv()).await.unwrap().unwrap() != Inbound::Digit('5') {}

        let loud = Frame { rate, samples: vec![9_000; (rate / 50) as usize] };
        for _ in 0..3 {
            leg.outbound.send(Outbound::Frame(loud.clone())).await.unwrap();
        }
        leg.outbound.send(Outbound::Mark(3)).await.unwrap();
        loop {
            let (came, payload) = message(&mut asterisk).await;
            assert_eq!((came, payload.len()), (kind, size.into()));
            let last = payload.len() - 2;
            if i16::from_le_bytes([payload[last], payload[last + 1]]) > 8_000 {
                break;
            }
        }
        while timeout(SOON, leg.inbound.recv()).await.unwrap().unwrap() != Inbound::Mark(3) {}

        leg.control.hangup(HangupCause::Normal).await.unwrap();
        while message(&mut asterisk).await != (0, Vec::new()) {}
        while timeout(SOON, leg.inbound.recv()).await.unwrap().unwrap() != Inbound::Gone {}
    }
}

#[tokio::test]
async fn strangers_rubbish_and_unknown_numbers_are_sent_away() {
    let (at, _desk) = open("192.0.2.1", OURS).await;
    let mut stream = TcpStream::connect(at).await.unwrap();
    assert_eq!(timeout(SOON, stream.read(&mut [0; 9])).await.unwrap().unwrap_or(0), 0);

    let (at, _desk) = open("127.0.0.1", OURS).await;
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(&[0x10, 0, 2, 0, 0]).await.unwrap();
    assert_eq!(timeout(SOON, stream.read(&mut [0; 9])).await.unwrap().unwrap_or(0), 0);

    let (at, _desk) = open("127.0.0.1", "+15559999999").await;
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(&NAME).await.unwrap();
    assert_eq!(message(&mut stream).await, (0, Vec::new()));
}

#[tokio::test]
async fn a_caller_who_hangs_up_is_gone() {
    for farewell in [&[0u8, 0, 0][..], &[0xFF, 0, 1, 1], &[]] {
        let (at, desk) = open("127.0.0.1", OURS).await;
        let mut legs = desk.legs();
        let mut asterisk = TcpStream::connect(at).await.unwrap();
        asterisk.write_all(&NAME).await.unwrap();
        let mut leg = timeout(SOON, legs.recv()).await.unwrap().unwrap();
        assert_eq!(leg.rate, 8_000);
        asterisk.write_all(farewell).await.unwrap();
        asterisk.shutdown().await.unwrap();
        while timeout(SOON, leg.inbound.recv()).await.unwrap().unwrap() != Inbound::Gone {}
    }
}
