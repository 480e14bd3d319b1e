//! Texts come in: stored once at the door, then each thread is worked in the order of its texts.

use std::sync::Arc;

use async_trait::async_trait;
use conversation::opt_out::{self, Wish};
use conversation::{Accepted, Busy, Inbox, Message, Outgoing, Reader, Receipt, Status, Tenant};
use flow::{Activeflow, Event, Medium, Vars};
use serde_json::json;
use store::{MessageRow, OptOut, Peering, RunRow, SessionRow, ThreadRow, Write};
use uuid::Uuid;

use crate::outbox::OPT_OUT;
use crate::step::{Step, Stepped};
use crate::{Runtime, Trouble, texts, trace};

#[async_trait]
impl Inbox for Runtime {
    fn answers(&self, _channel: &str, ours: &str) -> Option<Tenant> {
        let number = self.parts.numbers.get(ours)?;
        number.message_flow.is_some().then(|| number.tenant.clone())
    }

    async fn receive(&self, message: Message) -> Result<Accepted, Busy> {
        let peering = Peering::from(&message);
        let thread = peering.thread_id();
        // By the clock that all go by: who looks for what was left lying compares it with theirs.
        let received = MessageRow { at: self.parts.clock.now(), ..MessageRow::received(&message) };
        let write = Write::Receive(received, peering);
        match trace::database(self.parts.store.commit(vec![write])).await {
            Ok(()) => {}
            Err(store::Error::Duplicate) => {
                came_in(&message.channel, "again");
                return Ok(Accepted::Again);
            }
            Err(error) => return Err(Busy(error.to_string())),
        }
        came_in(&message.channel, "new");
        self.tell("", &thread, "text_in", json!({ "text": message.text, "from": message.peer }));
        self.wakes.thread(&thread);
        Ok(Accepted::New)
    }

    async fn receipt(&self, receipt: Receipt) -> Result<(), Busy> {
        let busy = |error: store::Error| Busy(error.to_string());
        let status = json!(receipt.status).as_str().unwrap_or_default().to_owned();
        metrics::counter!("voxflow_outbox_receipts_total", "status" => status).increment(1);
        if let Some((key, status)) = self.parts.store.receipt(&receipt).await.map_err(busy)?
            && status == receipt.status
            && status > Status::Sent
        {
            self.came(&key, &receipt).await.map_err(|error| Busy(error.to_string()))?;
        }
        Ok(())
    }

    async fn unread(&self, reader: Reader) -> Vec<Outgoing> {
        self.unread_by(reader).await
    }
}

impl Runtime {
    /// A text of ours has arrived or never will: the run that sent it hears of it, as the variable
    /// `message.status` and as the event of that name; a peer who has left is not asked again.
    async fn came(&self, key: &str, receipt: &Receipt) -> Result<(), Trouble> {
        let Some(row) = self.parts.store.outbox(key).await? else { return Ok(()) };
        let Receipt { status, code, .. } = receipt;
        if code.as_deref().is_some_and(opt_out::by_code) {
            let peering = Peering::from(&row.outgoing);
            let refused = OptOut::Refused(row.tried.unwrap_or(row.created));
            self.parts.store.commit(vec![Write::OptOut(peering, refused)]).await?;
        }
        let run = row.run.clone().unwrap_or_default();
        let data = json!({ "key": key, "status": status, "code": code });
        self.tell(&run, &row.thread, "text_status", data);
        if run.is_empty() {
            return Ok(());
        }
        let values = Vars::from([
            ("status".into(), json!(status)),
            ("code".into(), json!(code)),
            ("carrier_id".into(), json!(receipt.carrier_id)),
        ]);
        let event = Event::Signal { name: "message.status".into(), values };
        while let Err(error) = self.note_status(&run, json!(status)).await {
            // The run moved meanwhile.
            if !error.is_conflict() {
                return Err(error);
            }
        }
        self.tell_run(&run, event).await?;
        Ok(())
    }

    /// Sets the variable of a run about a thread, unless it is over.
    async fn note_status(&self, run: &str, status: serde_json::Value) -> Result<(), Trouble> {
        let Some(mut row) = self.parts.store.run(run).await? else { return Ok(()) };
        if row.outcome.is_some() || row.medium == Medium::Call {
            return Ok(());
        }
        row.state.vars.insert("message.status".into(), status);
        Ok(self.parts.store.commit(vec![Write::Run(row)]).await?)
    }

    /// Handles the texts of a thread that nobody has handled, in their order, each in a commit of
    /// its own.
    pub(crate) async fn handle_thread(&self, id: &str) -> Result<(), Trouble> {
        // Whatever belongs to it is asked at once.
        let store = &self.parts.store;
        let asked = async { tokio::join!(store.inbox(id), self.around(id), store.opted_out(id)) };
        let (texts, around, left) = trace::database(asked).await;
        let (Some(mut thread), session) = around? else { return Ok(()) };
        let mut texts = texts?;
        let seen = thread.handled;
        let mut known = Some((left?, session));
        loop {
            // They were asked for beside the thread, and may be older than it.
            for text in texts.iter().filter(|text| text.n > seen) {
                let (left, session) = match known.take() {
                    Some(known) => known,
                    None => (store.opted_out(id).await?, store.session(id).await?),
                };
                self.handle(&mut thread, text, left, session).await?;
            }
            // One that came meanwhile has a wake-up of its own; behind several there may be more.
            if texts.len() < 2 {
                return Ok(());
            }
            texts = self.parts.store.inbox(id).await?;
        }
    }

    async fn handle(
        &self,
        thread: &mut ThreadRow,
        text: &MessageRow,
        left: bool,
        session: Option<SessionRow>,
    ) -> Result<(), Trouble> {
        if let Some(wish) = opt_out::wish(&text.text, left) {
            let writes = self.heed(thread, text, wish, left);
            return self.handled(thread, text, writes).await;
        }
        if thread.assigned.is_some() {
            // A human reads it, and answers.
            return self.handled(thread, text, Vec::new()).await;
        }
        if text.answered_by_carrier {
            // Such as START from somebody who had not left.
            return self.handled(thread, text, Vec::new()).await;
        }
        let mut stepped = match self.meet(thread, text, session).await {
            Ok(Some(stepped)) => stepped,
            // The number has no flow for texts any more.
            Ok(None) => return self.handled(thread, text, Vec::new()).await,
            Err(Trouble::Broken(why)) => {
                // It will not get better, and the texts after it must not wait for it.
                tracing::error!(thread = thread.id, message = text.id, why, "a text is put away");
                self.tell("", &thread.id, "trouble", json!({ "text": why }));
                return self.handled(thread, text, Vec::new()).await;
            }
            Err(error) => return Err(error),
        };
        if let Some(moved) = &stepped.thread {
            thread.waiting_run.clone_from(&moved.waiting_run);
        }
        let writes = std::mem::take(&mut stepped.writes);
        // Before the text can leave: its end may be here before this task goes on.
        let moved = ThreadRow { handled: text.n, seq: thread.seq + 1, ..thread.clone() };
        stepped.remembered(self, &moved);
        if let Err(error) = self.handled(thread, text, writes).await {
            self.recent.take(&stepped.run.id);
            return Err(error);
        }
        stepped.committed(self);
        Ok(())
    }

    /// Gives a text to the run that waits for one, or to a fresh one.
    async fn meet(
        &self,
        thread: &ThreadRow,
        text: &MessageRow,
        session: Option<SessionRow>,
    ) -> Result<Option<Stepped>, Trouble> {
        match self.resume(thread, text, session.clone()).await {
            Ok(Some(stepped)) => Ok(Some(stepped)),
            Ok(None) => self.fresh(thread, text, session),
            Err(Trouble::Broken(why)) => {
                tracing::error!(thread = thread.id, why, "a run that waits cannot go on");
                self.fresh(thread, text, session)
            }
            Err(error) => Err(error),
        }
    }

    /// Commits what a text led to, and that it is handled. A word by which peers return counts even
    /// where it is an answer to something else: whoever answers wants to be answered.
    async fn handled(
        &self,
        thread: &mut ThreadRow,
        text: &MessageRow,
        mut writes: Vec<Write>,
    ) -> Result<(), Trouble> {
        let row = ThreadRow { handled: text.n, updated: self.parts.clock.now(), ..thread.clone() };
        if opt_out::is_return(&text.text) {
            let returned = OptOut::Returned(text.at);
            writes.push(Write::OptOut(thread.peering.clone(), returned));
        }
        // First, so that who was slower learns it before anything else.
        writes.insert(0, Write::Thread(row.clone()));
        self.commit(writes).await?;
        *thread = ThreadRow { seq: row.seq + 1, ..row };
        Ok(())
    }

    /// A word by which the peer leaves, returns, or asks who we are. It has one answer, unless the
    /// carrier has given it already; who has left is not told again.
    fn heed(&self, thread: &ThreadRow, text: &MessageRow, wish: Wish, left: bool) -> Vec<Write> {
        let peering = thread.peering.clone();
        let mut writes = match wish {
            Wish::Leave => vec![Write::OptOut(peering.clone(), OptOut::Left)],
            Wish::Return | Wish::Help => Vec::new(),
        };
        let told = left && wish == Wish::Leave;
        if !text.answered_by_carrier && !told {
            let key = format!("{}{OPT_OUT}", text.id);
            let answer = opt_out::answer(wish).to_owned();
            let now = self.parts.clock.now();
            writes.push(Write::Outbox(texts::row(key, peering, answer, Vec::new(), now)));
        }
        writes
    }

    /// Gives a text to the run that waits for one.
    async fn resume(
        &self,
        thread: &ThreadRow,
        text: &MessageRow,
        session: Option<SessionRow>,
    ) -> Result<Option<Stepped>, Trouble> {
        let Some(id) = &thread.waiting_run else { return Ok(None) };
        let Some(run) = self.parts.store.run(id).await? else { return Ok(None) };
        if !run.state.awaits("message") {
            return Ok(None);
        }
        let flow = self.flow(&run.flow).await?;
        let number = self.number(&thread.peering)?;
        let event = Event::Message { text: text.text.clone(), values: message(thread, text) };
        let called = self.called(&run.state, &event).await?;
        let step = Step::new(self, number, thread.clone(), flow, run, session).with(called);
        Ok(Some(step.take(event)))
    }

    /// Starts a run of the number's flow for this text.
    fn fresh(
        &self,
        thread: &ThreadRow,
        text: &MessageRow,
        session: Option<SessionRow>,
    ) -> Result<Option<Stepped>, Trouble> {
        let now = self.parts.clock.now();
        let number = self.number(&thread.peering)?;
        let Some((version, flow)) = &number.message_flow else { return Ok(None) };
        let id = Uuid::now_v7().to_string();
        let mut vars = Vars::new();
        for (name, value) in message(thread, text) {
            vars.insert(format!("message.{name}"), value);
        }
        let peering = &thread.peering;
        for (name, value) in [
            ("conversation.id", thread.id.as_str()),
            ("conversation.channel", peering.channel.as_str()),
            ("conversation.ours", peering.ours.as_str()),
            ("conversation.peer", peering.peer.as_str()),
            ("caller.number", peering.peer.as_str()),
            ("from", peering.peer.as_str()),
            ("to", peering.ours.as_str()),
            ("voipbin.conversation.id", thread.id.as_str()),
            ("voipbin.conversation_message.text", text.text.as_str()),
        ] {
            vars.insert(name.into(), value.into());
        }
        let run = RunRow {
            state: Activeflow::new(&id, flow, Medium::Text, vars),
            id,
            tenant: peering.tenant.clone(),
            flow: version.id.clone(),
            flow_name: version.name.clone(),
            medium: Medium::Text,
            subject: thread.id.clone(),
            seq: 0,
            outcome: None,
            created: now,
            updated: now,
        };
        let step = Step::new(self, number, thread.clone(), Arc::clone(flow), run, session);
        Ok(Some(step.take(Event::Started)))
    }
}

/// A text was stored at the door, or was known.
fn came_in(channel: &str, how: &'static str) {
    metrics::counter!("voxflow_texts_received_total", "channel" => channel.to_owned(), "outcome" => how)
        .increment(1);
}

/// The `message.*` variables, without the prefix.
fn message(thread: &ThreadRow, text: &MessageRow) -> Vars {
    let media: Vec<&str> = text.media.iter().map(|media| media.url.as_str()).collect();
    Vars::from([
        ("id".into(), json!(text.id)),
        ("text".into(), json!(text.text)),
        ("from".into(), json!(thread.peering.peer)),
        ("to".into(), json!(thread.peering.ours)),
        ("media".into(), json!(media)),
    ])
}
