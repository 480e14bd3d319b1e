//! Who takes another's place (RFC 3891): which call a `Replaces` names, and the INVITE that
//! brings it to the task of that call. There the far side changes; the flow does not notice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rsipstack::dialog::DialogId;
use rsipstack::dialog::dialog::DialogStateReceiver;
use rsipstack::dialog::invite_dialog::InviteDialog;
use rsipstack::sip::{Header, StatusCode, Uri};
use rsipstack::transaction::transaction::Transaction;
use tokio::sync::mpsc;

use super::agent::{Sip, refuse};
use super::timer::Session;

/// The calls that live here, by their dialogs.
#[derive(Default)]
pub(super) struct Live(Mutex<HashMap<DialogId, mpsc::Sender<Newcomer>>>);

/// Somebody who takes the place of a call's far side.
pub(super) struct Newcomer {
    pub(super) dialog: InviteDialog,
    pub(super) states: DialogStateReceiver,
    pub(super) session: Option<Session>,
    /// Only a call that nobody has answered yet is to be replaced.
    pub(super) early_only: bool,
}

/// A call's place among those that live. It is left by dropping it.
pub(super) struct Place {
    sip: Arc<Sip>,
    dialog: DialogId,
}

impl Live {
    fn lock(&self) -> MutexGuard<'_, HashMap<DialogId, mpsc::Sender<Newcomer>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// A call of this dialog lives from now on; newcomers are told to it.
    pub(super) fn take(sip: &Arc<Sip>, dialog: DialogId, tell: mpsc::Sender<Newcomer>) -> Self {
        sip.live.lock().insert(dialog.clone(), tell);
        Self { sip: Arc::clone(sip), dialog }
    }

    /// The call goes on by another dialog.
    pub(super) fn move_to(&mut self, dialog: DialogId) {
        let mut live = self.sip.live.lock();
        if let Some(tell) = live.remove(&self.dialog) {
            live.insert(dialog.clone(), tell);
        }
        self.dialog = dialog;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.sip.live.lock().remove(&self.dialog);
    }
}

impl Sip {
    /// Whom somebody at `host` must call to take our place in the call with this id:
    /// `<sip:anna@192.0.2.7?Replaces=...>`. `None` = it is not here, or lies elsewhere.
    pub(super) fn place_in(&self, call: &str, host: &Uri) -> Option<String> {
        let id = self.live.lock().keys().find(|id| id.call_id == call).cloned()?;
        let rsipstack::dialog::dialog::Dialog::Invite(dialog) = self.layer.get_dialog(&id)? else {
            return None;
        };
        let uri = dialog.snapshot().remote_uri;
        // Far sides of two exchanges cannot reach each other.
        (uri.host_with_port.host == host.host_with_port.host).then(|| {
            let name = name_of(&id);
            let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
            format!("<{uri}?Replaces={name}>")
        })
    }
}

/// A dialog as its far side names it.
fn name_of(dialog: &DialogId) -> String {
    let DialogId { call_id, local_tag, remote_tag } = dialog;
    format!("{call_id};to-tag={remote_tag};from-tag={local_tag}")
}

/// The dialog of ours that a `Replaces` names, and whether only an early one is meant.
fn read(value: &str) -> Option<(DialogId, bool)> {
    let mut parts = value.split(';').map(str::trim);
    let call_id = parts.next().filter(|id| !id.is_empty())?.to_owned();
    let (mut to, mut from, mut early_only) = (None, None, false);
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let tag = match name.trim().to_ascii_lowercase().as_str() {
            "to-tag" => &mut to,
            "from-tag" => &mut from,
            "early-only" => {
                early_only = true;
                continue;
            }
            _ => continue,
        };
        if tag.replace(value.trim().to_owned()).is_some() {
            return None;
        }
    }
    Some((DialogId { call_id, local_tag: to?, remote_tag: from? }, early_only))
}

/// Takes an INVITE that names a call of ours to its end. `by` are its `Replaces` headers.
pub(super) async fn arrive(
    sip: Arc<Sip>,
    mut transaction: Transaction,
    by: &[String],
    session: Option<Session>,
    contact: Uri,
) {
    let named = match by {
        [one] => read(one),
        _ => None,
    };
    let Some((named, early_only)) = named else {
        return refuse(transaction, StatusCode::BadRequest, Vec::new()).await;
    };
    let way = sip.live.lock().get(&named).cloned();
    let Some(way) = way else {
        let status = StatusCode::CallTransactionDoesNotExist;
        return refuse(transaction, status, Vec::new()).await;
    };
    let (told, states) = sip.layer.new_dialog_state_channel();
    let dialog = sip.layer.get_or_create_server_invite(&transaction, told, None, Some(contact));
    let Ok(mut dialog) = dialog else {
        return refuse(transaction, StatusCode::BadRequest, Vec::new()).await;
    };
    let newcomer = Newcomer { dialog: dialog.clone(), states, session, early_only };
    if let Err(mpsc::error::SendError(newcomer)) = way.send(newcomer).await {
        // That call ended at this moment.
        newcomer.refuse(&sip, StatusCode::Decline);
    }
    if let Err(error) = dialog.handle(&mut transaction).await {
        tracing::debug!(%error, "an INVITE ended early");
    }
}

impl Newcomer {
    /// Sends somebody away.
    pub(super) fn refuse(self, sip: &Sip, status: StatusCode) {
        if let Err(error) = self.dialog.reject(Some(status), None) {
            tracing::debug!(%error, "a call was not refused");
        }
        sip.layer.remove_dialog(&self.dialog.id());
    }
}

/// The `Replaces` headers among others.
pub(super) fn among<'a>(headers: impl Iterator<Item = &'a Header>) -> Vec<String> {
    let value = |header: &Header| match header {
        Header::Replaces(replaces) => Some(replaces.to_string()),
        _ => None,
    };
    let all = headers.filter_map(value);
    all.map(|text| text.split_once(':').map_or(text.clone(), |(_, own)| own.trim().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_dialog_is_named_from_both_sides() {
        let id = |local: &str, remote: &str| DialogId {
            call_id: "1@x".into(),
            local_tag: local.into(),
            remote_tag: remote.into(),
        };
        // What one side calls its own tag is the other's `to-tag`.
        let name = name_of(&id("ours", "theirs"));
        assert_eq!(name, "1@x;to-tag=theirs;from-tag=ours");
        assert_eq!(read(&name).unwrap(), (id("theirs", "ours"), false));
        let early = "1@x ; From-Tag=b;to-tag = a ;x=y;early-only";
        assert_eq!(read(early).unwrap(), (id("a", "b"), true));
        for wrong in
            ["", ";to-tag=a;from-tag=b", "1@x;to-tag=a", "1@x;to-tag=a;to-tag=b;from-tag=c"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
