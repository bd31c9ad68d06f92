//! The open batch of a receiver, which all its connections fill.
//!
//! Invariants: no borrow of the batch outlives a call, so none is held while a task waits; frames and their run are
//! added within one call, so a batch that leaves holds whole runs only. A batch with frames is always numbered in the
//! end: nothing that was counted as received is thrown away here.

use std::cell::RefCell;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use crate::batch::{Batch, Number};
use crate::flow::{Intake, Slot};
use crate::limits;

const AGE: Duration = Duration::from_millis(limits::BATCH_AGE_MS);
const LINGER: Duration = Duration::from_millis(limits::BATCH_LINGER_MS);
/// How long after a datagram more are expected.
const DATAGRAMS: Duration = Duration::from_secs(1);

/// The batch at hand, or the wait for one.
pub struct Open {
    intake: Intake,
    state: RefCell<State>,
    /// A run was added.
    added: Notify,
    /// There is no slot, and somebody has something to put into one.
    wanted: Notify,
    /// A slot has come.
    arrived: Notify,
}

#[derive(Default)]
struct State {
    slot: Option<Slot>,
    /// Since when a slot has been wanted in vain.
    dry_since: Option<Instant>,
    /// When the first run came in.
    since: Option<Instant>,
    /// When the last batch left.
    left: Option<Instant>,
    /// When datagrams last came.
    datagrams: Option<Instant>,
    /// Runs added over the receiver's life.
    runs: u64,
    /// Who wants to know the number that a run of this batch gets.
    waiting: Vec<(usize, oneshot::Sender<Number>)>,
    /// Where frames go that are only counted.
    scratch: Option<Batch>,
}

impl Open {
    pub fn new(intake: Intake) -> Open {
        Open {
            intake,
            state: RefCell::default(),
            added: Notify::new(),
            wanted: Notify::new(),
            arrived: Notify::new(),
        }
    }

    /// Hands the batch to `fill`, with room for `bytes` and `frames`; `None` without a free slot. The caller asks for no
    /// more than an empty batch holds. A run that `fill` closes is to be followed by `note`.
    pub fn with_room<T>(&self, bytes: usize, frames: usize, fill: impl FnOnce(&mut Batch) -> T) -> Option<T> {
        let fits = |slot: &Slot| {
            slot.batch.room() >= bytes && slot.batch.frames.len() + frames <= limits::BATCH_FRAMES
        };
        if self.state.borrow().slot.as_ref().is_some_and(|slot| !fits(slot)) {
            self.flush();
        }
        let mut state = self.state.borrow_mut();
        // An empty batch without room is from before a reload that made batches larger.
        state.slot.take_if(|slot| !fits(slot));
        if state.slot.is_none() {
            state.slot = self.intake.try_slot().filter(fits);
        }
        match &mut state.slot {
            Some(slot) => {
                let filled = fill(&mut slot.batch);
                state.dry_since = None;
                Some(filled)
            }
            None => {
                state.dry_since.get_or_insert_with(Instant::now);
                self.wanted.notify_one();
                None
            }
        }
    }

    /// Hands an empty batch of `capacity` bytes to `fill` whose frames go nowhere.
    pub fn with_scratch<T>(&self, capacity: usize, fill: impl FnOnce(&mut Batch) -> T) -> T {
        let mut state = self.state.borrow_mut();
        if state.scratch.as_ref().is_none_or(|scratch| scratch.capacity() < capacity) {
            state.scratch = Some(Batch::new(capacity));
        }
        let scratch = state.scratch.as_mut().expect("made above");
        scratch.clear();
        fill(scratch)
    }

    /// Tells that a run was added: the batch leaves now if it is full, else when nothing more is ready and it has
    /// lingered.
    pub fn note(&self) {
        let full = {
            let mut state = self.state.borrow_mut();
            state.runs += 1;
            state.since.get_or_insert_with(Instant::now);
            state.slot.as_ref().is_some_and(|slot| slot.batch.is_full())
        };
        match full {
            true => self.flush(),
            false => self.added.notify_one(),
        }
    }

    /// The same for datagrams, which no sender holds back while the thread sleeps.
    pub fn note_datagrams(&self) {
        self.state.borrow_mut().datagrams = Some(Instant::now());
        self.note();
    }

    /// The number that the last run of the batch at hand will get, or the number that its duplicate waits for. To be
    /// asked before `note`.
    pub fn number(&self) -> oneshot::Receiver<Number> {
        let (tell, told) = oneshot::channel();
        let mut state = self.state.borrow_mut();
        if let Some(slot) = &state.slot {
            let run = slot.batch.runs.len().saturating_sub(1);
            state.waiting.push((run, tell));
        }
        told
    }

    /// Sends the batch on, if it holds anything.
    pub fn flush(&self) {
        let (slot, waiting) = {
            let mut state = self.state.borrow_mut();
            let Some(slot) = state.slot.take_if(|slot| !slot.batch.is_empty()) else { return };
            state.since = None;
            state.left = Some(Instant::now());
            (slot, std::mem::take(&mut state.waiting))
        };
        let admitted = self.intake.admit(vec![slot]);
        for (run, tell) in waiting {
            let duplicate = admitted.duplicates.iter().find(|(batch, index, _)| (*batch, *index) == (0, run));
            // A request that was given up has nobody left to tell; its frames are admitted all the same.
            let _ = tell.send(duplicate.map_or(admitted.number, |(_, _, number)| *number));
        }
    }

    /// Since when there has been no slot for those who want one.
    pub fn dry_since(&self) -> Option<Instant> {
        self.state.borrow().dry_since
    }

    /// Resolves when there is a slot.
    pub async fn arrived(&self) {
        loop {
            let arrived = self.arrived.notified();
            if self.state.borrow().slot.is_some() {
                return;
            }
            self.wanted.notify_one();
            arrived.await;
        }
    }

    /// Waits for slots on behalf of all connections; never ends.
    pub async fn fetch(&self) {
        loop {
            self.wanted.notified().await;
            if self.state.borrow().slot.is_none() {
                let slot = self.intake.slot().await;
                let mut state = self.state.borrow_mut();
                if state.slot.is_none() {
                    state.slot = Some(slot);
                }
                state.dry_since = None;
            }
            self.arrived.notify_waiters();
        }
    }

    /// Sends batches on that nothing more is ready for; never ends.
    pub async fn send_on(&self) {
        loop {
            self.added.notified().await;
            while let Some((since, runs)) = self.held() {
                // The driver looks at all sockets, and who finds something reads, before this goes on.
                yield_now().await;
                let now = Instant::now();
                if now < since + AGE && self.intake.busy() {
                    sleep_until(since + AGE).await;
                } else if let Some(until) = self.lingers_until().filter(|until| *until > now) {
                    self.linger(until, now).await;
                } else if now >= since + AGE || self.held() == Some((since, runs)) {
                    self.flush();
                }
            }
        }
    }

    /// Waits until `until`, which is at most `LINGER` away. The thread sleeps: what comes meanwhile is read in one go,
    /// instead of waking it for each socket. The kernel loses datagrams that nobody reads, so where they come the
    /// sockets are served on.
    async fn linger(&self, until: Instant, now: Instant) {
        let datagrams = self.state.borrow().datagrams;
        match datagrams.is_some_and(|last| now < last + DATAGRAMS) {
            true => sleep_until(until).await,
            false => std::thread::sleep(until - now),
        }
    }

    /// Since when the batch at hand holds runs, and how many there were over all batches.
    fn held(&self) -> Option<(Instant, u64)> {
        let state = self.state.borrow();
        Some((state.since?, state.runs))
    }

    /// Until when the batch at hand stays though nothing more is ready. One that holds little stays until the last one
    /// has been gone for `LINGER`: so a trickle is passed on at once, and a stream in few batches.
    fn lingers_until(&self) -> Option<Instant> {
        let state = self.state.borrow();
        let little = state.slot.as_ref().is_some_and(|slot| slot.batch.len() < limits::BATCH_LINGER_BYTES);
        state.left.filter(|_| little).map(|left| left + LINGER)
    }
}
