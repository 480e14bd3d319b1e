//! Waiting lines: callers wait in the order in which they came, each is put through to the member
//! who has been free for the longest time.
//!
//! A line lives in one process. A member is promised to one caller at a time; one who does not pick
//! up is left alone for a while, and the caller stays first.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flow::Destination;
use serde_json::json;
use talk::Outbound;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::bridge::{self, Company};
use crate::leg::Dial;
use crate::session::{Finish, Gone, Line};
use crate::tenants::{Name, Own};

/// How long a member who did not pick up is left alone.
const AWAY: Duration = Duration::from_secs(30);

/// On what terms callers wait.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Who takes callers.
    pub members: Vec<Destination>,
    /// How long it rings at a member's.
    pub ring: Duration,
    /// The longest that a caller waits; `None` = for as long as the caller likes.
    pub longest: Option<Duration>,
    /// What callers hear meanwhile; `None` = ringing.
    pub music: Option<String>,
    /// What a member is told before the caller is put through.
    pub announce: Option<String>,
}

/// The waiting lines of a tenant.
pub type Waiting = Own<AllLines>;

/// The waiting lines of all tenants.
#[derive(Default)]
pub struct AllLines(HashMap<Name, Arc<WaitingLine>>);

struct WaitingLine {
    terms: Terms,
    desk: Mutex<Desk>,
    /// Something happened at the desk.
    changed: Notify,
}

/// Who waits, and who is free. Pure but for the times that it is given.
struct Desk {
    next: u64,
    waiting: BTreeSet<u64>,
    members: Vec<Member>,
}

#[derive(Clone, Copy)]
struct Member {
    promised: bool,
    /// Since when, or from when.
    free: Instant,
}

impl Waiting {
    /// Lines by tenant and name.
    pub fn new(lines: impl IntoIterator<Item = ((String, String), Terms)>) -> Self {
        let now = Instant::now();
        let line = |terms: Terms| {
            let desk = Mutex::new(Desk::new(terms.members.len(), now));
            Arc::new(WaitingLine { terms, desk, changed: Notify::new() })
        };
        let lines = lines.into_iter();
        let all = lines.map(|((tenant, name), terms)| ((tenant.into(), name), line(terms)));
        Self::nobodys(AllLines(all.collect()))
    }

    fn line(&self, name: &str) -> Option<Arc<WaitingLine>> {
        self.all.0.get(&self.name(name)).cloned()
    }
}

/// Lets the caller wait until somebody is free, and puts the caller through.
pub(crate) async fn join(line: &mut Line, name: &str) -> Result<Finish, Gone> {
    let Some(queue) = line.means.waiting.line(name) else {
        let why = format!("no `[[waiting_line]]` of the settings is called `{name}`");
        return Ok(Finish::failed(why));
    };
    let began = Instant::now();
    let mut company = Company::new(line, queue.terms.music.as_deref()).await?;
    let mut ticket = Ticket::last(&queue);
    let until = queue.terms.longest.map(|longest| began + longest);
    loop {
        let member = tokio::select! {
            biased;
            gone = company.keep(line) => return Err(gone),
            member = ticket.promised() => member,
            () = sleep_until(until.unwrap_or(began)), if until.is_some() => {
                line.give(Outbound::Clear).await?;
                return Ok(Finish::exit("timeout", "nobody was free in time"));
            }
        };
        let dial = queue.dial(member);
        let waited = began.elapsed().as_secs();
        match bridge::reach(line, &mut company, &dial).await? {
            Ok(reached) => {
                let mut finish = bridge::put_through(line, &mut company, reached, &dial).await?;
                if finish.exit == "done" {
                    finish
                        .values
                        .insert("member".into(), dial.destinations[0].target.clone().into());
                    finish.values.insert("waited_s".into(), json!(waited));
                    return Ok(finish);
                }
                tracing::info!(queue = name, why = finish.why, "a member hung up too early");
            }
            Err(end) => tracing::info!(queue = name, why = end.why, "a member was not reached"),
        }
        ticket.again();
    }
}

impl WaitingLine {
    fn dial(&self, member: usize) -> Dial {
        Dial {
            destinations: self.terms.members.get(member).cloned().into_iter().collect(),
            source: None,
            ring: self.terms.ring,
            early_media: false,
            anonymous: false,
            music: None,
            announce: self.terms.announce.clone(),
            end_on: String::new(),
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller's place in the line. Whoever drops it leaves, and the member is free again.
struct Ticket {
    line: Arc<WaitingLine>,
    number: u64,
    member: Option<usize>,
}

impl Ticket {
    fn last(line: &Arc<WaitingLine>) -> Self {
        let number = line.desk().enter();
        Self { line: Arc::clone(line), number, member: None }
    }

    /// Until a member is free and nobody else is before us.
    async fn promised(&mut self) -> usize {
        let line = Arc::clone(&self.line);
        loop {
            let changed = line.changed.notified();
            let now = Instant::now();
            let (member, back) = {
                let mut desk = line.desk();
                (desk.take(now, self.number), desk.back(now))
            };
            if let Some(member) = member {
                self.member = Some(member);
                // Somebody else is first now.
                line.changed.notify_waiters();
                return member;
            }
            tokio::select! {
                () = changed => {}
                () = sleep_until(back.unwrap_or(now)), if back.is_some() => {}
            }
        }
    }

    /// The member was not there; the place is kept.
    fn again(&mut self) {
        let mut desk = self.line.desk();
        if let Some(member) = self.member.take() {
            desk.free(member, Instant::now() + AWAY);
        }
        desk.waiting.insert(self.number);
        drop(desk);
        // Whoever is first now must know when the member is back: that need not be us.
        self.line.changed.notify_waiters();
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut desk = self.line.desk();
        desk.waiting.remove(&self.number);
        if let Some(member) = self.member {
            desk.free(member, Instant::now());
        }
        drop(desk);
        self.line.changed.notify_waiters();
    }
}

impl Desk {
    fn new(members: usize, now: Instant) -> Self {
        let member = Member { promised: false, free: now };
        Self { next: 0, waiting: BTreeSet::new(), members: vec![member; members] }
    }

    fn enter(&mut self) -> u64 {
        self.next += 1;
        self.waiting.insert(self.next);
        self.next
    }

    /// Promises a member to whoever is first; nobody else is promised one.
    fn take(&mut self, now: Instant, number: u64) -> Option<usize> {
        if self.waiting.first() != Some(&number) {
            return None;
        }
        let free = self.members.iter_mut().enumerate();
        let free = free.filter(|(_, member)| !member.promised && member.free <= now);
        let (at, member) = free.min_by_key(|(_, member)| member.free)?;
        member.promised = true;
        self.waiting.remove(&number);
        Some(at)
    }

    /// When the next of those who are away is back.
    fn back(&self, now: Instant) -> Option<Instant> {
        let away = self.members.iter().filter(|member| !member.promised && member.free > now);
        away.map(|member| member.free).min()
    }

    fn free(&mut self, member: usize, from: Instant) {
        if let Some(member) = self.members.get_mut(member) {
            *member = Member { promised: false, free: from };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_came_first_gets_whoever_was_free_longest() {
        let now = Instant::now();
        let later = |s| now + Duration::from_secs(s);
        let mut desk = Desk::new(2, now);
        let (ann, ben, carl) = (desk.enter(), desk.enter(), desk.enter());
        assert_eq!((desk.take(now, ben), desk.take(now, ann)), (None, Some(0)));
        assert_eq!((desk.take(now, ben), desk.take(now, carl)), (Some(1), None));
        // The second is free first, the first does not pick up.
        desk.free(1, later(5));
        desk.free(0, later(5) + AWAY);
        desk.waiting.insert(ann);
        assert_eq!(desk.take(later(5), carl), None);
        assert_eq!(desk.take(later(5), ann), Some(1));
        assert_eq!((desk.take(later(6), carl), desk.back(later(6))), (None, Some(later(5) + AWAY)));
        assert_eq!(desk.take(later(5) + AWAY, carl), Some(0));
    }
}
