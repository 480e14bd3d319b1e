//! Offers as phones and carriers write them, and what we make of them.

#![allow(clippy::unwrap_used)]

use super::*;

fn ours() -> Ours {
    Ours {
        address: "192.0.2.1".parse().unwrap(),
        port: 40_000,
        codecs: vec![Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma],
        direction: Direction::Both,
        key: None,
        id: 7,
        version: 0,
    }
}

fn offer(sound: &str) -> Theirs {
    let head = "v=0\r\no=- 1 1 IN IP4 198.51.100.2\r\ns=-\r\nc=IN IP4 198.51.100.2\r\nt=0 0\r\n";
    Theirs::read(&format!("{head}{sound}")).unwrap()
}

#[test]
fn the_offerers_first_codec_and_its_numbers_count() {
    let offer = offer(
        "m=audio 4000 RTP/AVP 18 96 0 97 8\r\na=rtpmap:96 opus/48000/2\r\n\
         a=rtpmap:97 telephone-event/48000\r\na=rtpmap:18 G729/8000\r\n",
    );
    let (text, agreed) = ours().answer(&offer).unwrap();
    assert_eq!(agreed.speech.codec, Codec::Opus);
    assert_eq!((agreed.speech.payload_type, agreed.speech.events), (96, Some((97, 48_000))));
    assert_eq!(agreed.to, Some("198.51.100.2:4000".parse().unwrap()));
    assert_eq!(agreed.rtcp, Some("198.51.100.2:4001".parse().unwrap()));
    assert_eq!(agreed.types.sound, [(96, Codec::Opus), (0, Codec::Pcmu), (8, Codec::Pcma)]);
    assert!(agreed.we_send && agreed.we_hear);
    assert_eq!(
        text,
        "v=0\r\no=voxflow 7 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
         m=audio 40000 RTP/AVP 96 97\r\na=rtpmap:96 opus/48000/2\r\n\
         a=fmtp:96 useinbandfec=1;maxplaybackrate=16000;stereo=0\r\n\
         a=rtpmap:97 telephone-event/48000\r\na=fmtp:97 0-15\r\n\
         a=ptime:20\r\na=rtcp:40001\r\na=sendrecv\r\n"
    );
}

#[test]
fn hold_is_mirrored_in_both_ways_of_saying_it() {
    for (said, mirrored) in
        [("sendonly", "recvonly"), ("recvonly", "sendonly"), ("inactive", "inactive")]
    {
        let offer = offer(&format!("m=audio 4000 RTP/AVP 0\r\na={said}\r\n"));
        let (text, agreed) = ours().answer(&offer).unwrap();
        assert!(text.contains(&format!("a={mirrored}\r\n")), "{text}");
        assert_eq!((agreed.we_send, agreed.we_hear), (said == "recvonly", false));
    }
    let old = offer("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n");
    let agreed = ours().answer(&old).unwrap().1;
    assert_eq!((agreed.to, agreed.we_send, agreed.we_hear), (None, false, false));
}

#[test]
fn other_media_are_answered_and_refused() {
    let offer = offer(
        "m=video 5000 RTP/AVP 31 32\r\na=sendonly\r\nm=audio 4000 RTP/AVP 8\r\n\
         m=audio 4002 RTP/AVP 0\r\n",
    );
    let (text, agreed) = ours().answer(&offer).unwrap();
    let media: Vec<_> = text.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(media, ["m=video 0 RTP/AVP 31", "m=audio 40000 RTP/AVP 8", "m=audio 0 RTP/AVP 0"]);
    assert_eq!(agreed.speech.codec, Codec::Pcma);
    assert!(agreed.we_send, "the picture's direction is not the sound's");
}

#[test]
fn without_a_codec_in_common_there_is_no_sound() {
    let offer = offer("m=audio 4000 RTP/AVP 18\r\na=rtpmap:18 G729/8000\r\n");
    assert_eq!(ours().answer(&offer).unwrap_err(), "no codec in common");
    assert!(Theirs::read("v=0\r\nm=video 1 RTP/AVP 31\r\n").is_err());
    assert!(Theirs::read("").is_err());
}

#[test]
fn our_own_offer_is_understood_by_us() {
    let (mut alice, mut bob) = (ours(), ours());
    bob.port = 50_000;
    let offer = Theirs::read(&alice.offer(false)).unwrap();
    let (answer, at_bob) = bob.answer(&offer).unwrap();
    let at_alice = alice.accept(&Theirs::read(&answer).unwrap()).unwrap();
    assert_eq!(at_alice.speech, at_bob.speech);
    assert_eq!(at_alice.to.unwrap().port(), 50_000);
    assert_eq!(at_alice.speech.events, Some((101, 8_000)));
    // A second description has the next version, and the same name.
    assert!(alice.offer(false).contains("o=voxflow 7 2 "));
}

#[test]
fn sound_is_encrypted_when_both_name_a_key() {
    let (mut alice, mut bob) = (ours(), ours());
    alice.key = Some(Key::new(1));
    bob.key = Some(Key::new(2));
    let offer = Theirs::read(&alice.offer(true)).unwrap();
    let (answer, at_bob) = bob.answer(&offer).unwrap();
    assert!(answer.contains("RTP/SAVP") && answer.contains("a=crypto:1 AES_CM_128_HMAC_SHA1_80"));
    let at_alice = alice.accept(&Theirs::read(&answer).unwrap()).unwrap();
    let (own, theirs) = at_alice.keys.unwrap();
    let (bobs, alices) = at_bob.keys.unwrap();
    assert_eq!((own.to_string(), theirs.to_string()), (alices.to_string(), bobs.to_string()));
    // Whoever demands keys and gets none is refused.
    let keyless = "m=audio 4000 RTP/SAVP 0\r\n";
    assert!(ours().answer(&self::offer(keyless)).is_err());
}

proptest::proptest! {
    #[test]
    fn whatever_is_described_nothing_panics(text in "(([vmcoa]=)?[a-zA-Z0-9:/ .=+|-]{0,40}(\r\n|\n)){0,12}") {
        if let Ok(theirs) = Theirs::read(&text) {
            let _ = ours().answer(&theirs);
            let _ = ours().accept(&theirs);
        }
    }

    #[test]
    fn likely_lines_are_survived(
        lines in proptest::collection::vec(proptest::sample::select(vec![
            "m=audio 1 RTP/AVP 0 101", "m=audio 0 RTP/SAVP 8", "m=audio x", "c=IN IP4 1.2.3.4",
            "c=IN IP6 ::1", "c=IN IP4 host", "a=rtpmap:101 telephone-event/8000", "a=rtpmap:0",
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA", "a=sendonly", "a=rtcp:x", "m=video",
        ]), 0..10)
    ) {
        if let Ok(theirs) = Theirs::read(&lines.join("\r\n")) {
            let _ = ours().answer(&theirs);
        }
    }
}
