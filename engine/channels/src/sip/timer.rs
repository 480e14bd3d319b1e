//! Session timers (RFC 4028): a call that nobody confirms ends, so that none is paid for after
//! the far side died. Pure: headers in, a moment out.

use std::time::Duration;

/// The shortest session that we take, in seconds: the least that RFC 4028 allows.
pub(super) const LEAST: u32 = 90;
/// What we ask for, in seconds.
pub(super) const WANTED: u32 = 1_800;

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

    /// Whether it is too short for us.
    pub(super) fn too_short(&self) -> bool {
        self.seconds < LEAST
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
        assert!(read("89").too_short() && !read("90").too_short());
        assert!(Session::read("1800;refresher=uac", Side::Asking).unwrap().ours());
        assert_eq!(Session::read("soon", Side::Asking), None);
    }
}
