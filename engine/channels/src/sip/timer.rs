//! Session timers (RFC 4028): a call that nobody confirms ends, so that none is paid for after
//! the far side died. Pure: headers in, a moment out.

use std::time::Duration;

/// The shortest session that we take, in seconds: the least that RFC 4028 allows, unless we ask for
/// less ourselves.
pub(super) fn least(wanted: u32) -> u32 {
    wanted.min(90)
}

/// How long a session lasts, and who confirms it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Session {
    seconds: u32,
    ours: bool,
}

/// Which side of a request we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// We sent it.
    Asking,
    /// We answer it.
    Answering,
}

impl Session {
    /// From a `Session-Expires` header such as `1800;refresher=uac`. Without a word on who
    /// confirms, whoever sent the request does. `None` = there is no limit.
    pub(super) fn read(header: &str, side: Side) -> Option<Self> {
        let mut parts = header.split(';').map(str::trim);
        let seconds = parts.next()?.parse().ok()?;
        let word = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case("refresher").then(|| value.trim().to_ascii_lowercase())
        });
        let by_asking = word.as_deref() != Some("uas");
        Some(Self { seconds, ours: by_asking == (side == Side::Asking) })
    }

    /// For an INVITE that asks for this session, or for none, of somebody who knows of sessions or
    /// does not. Whoever does not will not confirm them, so we do.
    pub(super) fn answering(header: Option<&str>, knows: bool, wanted: u32) -> Option<Self> {
        match header {
            Some(header) => {
                let session = Self::read(header, Side::Answering)?;
                Some(Self { ours: session.ours || !knows, ..session })
            }
            None => knows.then_some(Self { seconds: wanted, ours: true }),
        }
    }

    /// Whether it is too short.
    pub(super) fn too_short(&self, least: u32) -> bool {
        self.seconds < least
    }

    /// The header of our answer, or of our own request.
    pub(super) fn header(&self, side: Side) -> String {
        let asking = self.ours == (side == Side::Asking);
        format!("{};refresher={}", self.seconds, if asking { "uac" } else { "uas" })
    }

    /// Whether we confirm it.
    pub(super) fn ours(&self) -> bool {
        self.ours
    }

    /// How long after the last confirmation something is to be done: we confirm, or, when the far
    /// side did not, the call ends.
    pub(super) fn due(&self) -> Duration {
        let seconds =
            if self.ours { self.seconds / 2 } else { self.seconds - (self.seconds / 3).min(32) };
        Duration::from_secs(seconds.into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn who_confirms_and_when() {
        let read = |header| Session::read(header, Side::Answering).unwrap();
        let theirs = read("1800;refresher=uac");
        assert_eq!((theirs.ours(), theirs.due().as_secs()), (false, 1_768));
        assert_eq!(theirs.header(Side::Answering), "1800;refresher=uac");
        let ours = read("90 ; Refresher = UAS");
        assert_eq!((ours.ours(), ours.due().as_secs()), (true, 45));
        assert_eq!(ours.header(Side::Asking), "90;refresher=uac");
        assert_eq!(read("60").due().as_secs(), 40);
        assert!(read("89").too_short(least(1_800)) && !read("90").too_short(least(1_800)));
        assert!(!read("3").too_short(least(3)));
        let answering = |header, knows| Session::answering(header, knows, 600);
        assert!(!answering(Some("90;refresher=uac"), true).unwrap().ours());
        assert!(answering(Some("90;refresher=uac"), false).unwrap().ours());
        assert_eq!(answering(None, true).unwrap().header(Side::Answering), "600;refresher=uas");
        assert_eq!(answering(None, false), None);
        assert!(Session::read("1800;refresher=uac", Side::Asking).unwrap().ours());
        assert_eq!(Session::read("soon", Side::Asking), None);
    }
}
