//! The texts that runs and agents ask for, as rows of the outbox.

use conversation::{Address, Outgoing, Status, segment};
use flow::{Command, Deed, Key};
use jiff::{SignedDuration, Timestamp};
use store::{OutboxRow, Peering, RunRow, TimerRow, Write};

use crate::numbers::Number;
use crate::{Runtime, trace};

/// How often a run looks whether the text that it waits for is still kept for later.
const PATIENCE: SignedDuration = SignedDuration::from_mins(5);

/// On whose behalf texts are sent.
pub(crate) struct Behalf<'a> {
    /// The number of ours that it is about.
    pub(crate) number: &'a Number,
    /// The carrier that it is about, for texts to phones.
    pub(crate) carrier: &'a str,
    /// Who is meant where a command names nobody, or why nobody can be.
    pub(crate) own: Result<Peering, String>,
    /// The run that waits for the end of the text, if one does.
    pub(crate) run: Option<&'a str>,
    /// The run in whose history doubts about the text are told.
    pub(crate) about: Option<&'a str>,
    pub(crate) now: Timestamp,
}

impl Runtime {
    /// The texts of a command, one for each destination; the last one's end is the command's. A
    /// command of another kind has none.
    ///
    /// # Errors
    /// Names the number that is not ours, or the destination that cannot be reached.
    pub(crate) fn texts(
        &self,
        behalf: &Behalf<'_>,
        command: &Command,
    ) -> Result<Vec<OutboxRow>, String> {
        let Deed::SendMessage { destinations, source, text, media } = &command.deed else {
            return Ok(Vec::new());
        };
        let ours = self.source(source.as_ref(), behalf.number)?;
        let mut peerings = Vec::new();
        if destinations.is_empty() {
            let own = behalf.own.clone()?;
            let other = ours != own.ours && self.has_segments(&own.channel);
            let channel = match other {
                true => self.phone_channel(&ours, &own.channel)?,
                false => own.channel,
            };
            peerings.push(Peering { ours, channel, ..own });
        } else {
            for destination in destinations {
                let peer = Address::phone(&destination.target)?;
                let channel = self.phone_channel(&ours, behalf.carrier)?;
                let tenant = behalf.number.tenant.clone();
                peerings.push(Peering { tenant, channel, ours: ours.clone(), peer });
            }
        }
        let last = peerings.len() - 1;
        let rows = peerings.into_iter().enumerate().map(|(n, peering)| {
            let key = &command.key.0;
            let key = if n == last { key.clone() } else { format!("{key}/{n}") };
            let run = behalf.run.filter(|_| n == last).map(Into::into);
            let about = behalf.about.map(Into::into);
            let own = behalf.own.as_ref();
            let prompted = own.is_ok_and(|own| own.peer == peering.peer);
            let text = row(key, peering, text.clone(), media.clone(), behalf.now);
            OutboxRow { run, about, ..self.in_our_manner(text, prompted) }
        });
        Ok(rows.collect())
    }
}

impl Runtime {
    /// A text as it shall leave: in cheaper letters where that is wished, and after the peer's quiet
    /// hours when nobody has asked for it.
    pub(crate) fn in_our_manner(&self, mut text: OutboxRow, prompted: bool) -> OutboxRow {
        text.outgoing.prompted = prompted;
        if self.parts.texting.smart && self.has_segments(&text.outgoing.channel) {
            text.outgoing.text = segment::smart(&text.outgoing.text).into_owned();
        }
        if !prompted && let Some(quiet) = &self.parts.texting.quiet {
            text.not_before = quiet.over(text.outgoing.peer.as_str(), text.not_before);
        }
        text
    }
}

impl Runtime {
    /// How much longer a run waits whose time is over: a text that is still kept for later comes to
    /// its end all the same, after the quiet hours or when its lane is free, and then the run hears
    /// of it. `None` when nothing of that kind is to come.
    pub(crate) async fn patience_for_text(
        &self,
        run: &RunRow,
        key: &Key,
    ) -> Result<Option<Write>, store::Error> {
        let row = self.parts.store.outbox(&key.0).await?;
        let Some(row) = row.filter(|row| row.status == Status::Queued) else { return Ok(None) };
        let due = row.not_before.max(self.parts.clock.now());
        let due = due.checked_add(PATIENCE).unwrap_or(Timestamp::MAX);
        let (id, kind, trace) = (format!("run:{}", run.id), "run".into(), None);
        let (subject, guard) = (run.id.clone(), key.0.clone());
        Ok(Some(Write::Timer(TimerRow { id, due, kind, subject, guard, trace })))
    }
}

/// A text that shall leave; no run waits for it.
pub(crate) fn row(
    key: String,
    peering: Peering,
    text: String,
    media: Vec<String>,
    now: Timestamp,
) -> OutboxRow {
    OutboxRow {
        thread: peering.thread_id(),
        outgoing: Outgoing {
            key: key.clone(),
            tenant: peering.tenant,
            channel: peering.channel,
            ours: peering.ours,
            peer: peering.peer,
            text,
            media,
            prompted: true,
            trace: trace::current(),
        },
        key,
        run: None,
        about: None,
        status: Status::Queued,
        carrier_id: None,
        why: None,
        attempts: 0,
        refused: 0,
        not_before: now,
        claimed_by: None,
        tried: None,
        unsure: None,
        created: now,
        receipt: None,
        left: false,
    }
}
