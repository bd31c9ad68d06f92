//! The loop of a sink's thread: take, offer, flush, mark; what happens after a failure is the feed's decision.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Held, Shared, lock, now_us};
use crate::batch::Number;
use crate::deliver::{Refusal, Sink, SinkError};
use crate::feed::{Feed, SinkBooks, WhenFull, reason};
use crate::limits;
use crate::outcome::{Outcome, Parcel};
use crate::ring::{ReaderId, Ring};

/// How often a sink that holds something unsafe is asked for its mark.
const FLUSH_EVERY: Duration = Duration::from_millis(5);
/// How long an idle sink's thread sleeps before it looks around.
const IDLE_EVERY: Duration = Duration::from_millis(100);

/// Opens a sink; called again when it has to start anew.
pub type Opener = Box<dyn FnMut() -> io::Result<Box<dyn Sink>> + Send>;

/// A sink to be added to the flow.
pub struct SinkSpec {
    pub name: String,
    pub when_full: WhenFull,
    /// Index in the plan's outputs.
    pub output: usize,
    pub sink: Box<dyn Sink>,
    pub open: Opener,
    /// Takes the rows that were refused for good.
    pub dead_letters: Box<dyn FnMut(&Refusal) + Send>,
}

/// What of a sink is seen by others than its thread.
pub(super) struct SinkState {
    pub name: String,
    pub reader: ReaderId,
    output: usize,
    when_full: WhenFull,
    feed: Mutex<Feed>,
    /// When it is to have ended after a reload removed it, microseconds since 1970; 0: it stays.
    remove_by_us: AtomicI64,
    gone: AtomicBool,
    reopen: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl SinkState {
    pub fn new(spec: &SinkSpec, reader: ReaderId, mark: Number) -> SinkState {
        SinkState {
            name: spec.name.clone(),
            reader,
            output: spec.output,
            when_full: spec.when_full,
            feed: Mutex::new(Feed::new(spec.when_full, mark)),
            remove_by_us: AtomicI64::new(0),
            gone: AtomicBool::new(false),
            reopen: AtomicBool::new(false),
            thread: Mutex::new(None),
        }
    }

    /// Whether receipts wait for it: also for one that a reload removed, until it has what was numbered before.
    pub fn blocks(&self) -> bool {
        self.when_full == WhenFull::Block && !self.gone.load(Ordering::Acquire)
    }

    pub fn books(&self) -> SinkBooks {
        lock(&self.feed).books.clone()
    }

    /// `attached`, `detached` (it misses what passes) or `removed` (by a reload).
    pub fn status(&self, ring: &Ring<Held>) -> &'static str {
        if self.is_removed() {
            "removed"
        } else if self.gone.load(Ordering::Acquire) || ring.is_attached(self.reader) {
            "attached"
        } else {
            "detached"
        }
    }

    /// Gives it `REMOVED_S` to end.
    pub fn remove(&self) {
        self.remove_by_us.store(now_us() + limits::REMOVED_S as i64 * 1_000_000, Ordering::Release);
    }

    pub fn is_removed(&self) -> bool {
        self.remove_by_us.load(Ordering::Acquire) != 0
    }

    pub fn reopen(&self) {
        self.reopen.store(true, Ordering::Release);
    }

    pub fn started(&self, thread: JoinHandle<()>) {
        *lock(&self.thread) = Some(thread);
    }

    pub fn join(&self) {
        if let Some(thread) = lock(&self.thread).take() {
            // A panic in it has ended the process already.
            let _ = thread.join();
        }
    }
}

/// Why a sink's time is up.
fn time_is_up(shared: &Shared, state: &SinkState) -> Option<&'static str> {
    let remove_by = state.remove_by_us.load(Ordering::Acquire);
    if shared.is_past_deadline() {
        Some(reason::SHUTDOWN)
    } else if remove_by != 0 && now_us() >= remove_by {
        Some(reason::REMOVED)
    } else {
        None
    }
}

/// One sink and its place in the flow.
struct Delivery<'a> {
    shared: &'a Shared,
    state: &'a SinkState,
    sink: Box<dyn Sink>,
    open: Opener,
    dead_letters: Box<dyn FnMut(&Refusal) + Send>,
    refused: Vec<Refusal>,
}

/// Delivers until the end.
pub(super) fn run(shared: &Shared, state: &SinkState, spec: SinkSpec) {
    let SinkSpec { sink, open, dead_letters, .. } = spec;
    let mut delivery = Delivery { shared, state, sink, open, dead_letters, refused: Vec::new() };
    loop {
        if state.reopen.swap(false, Ordering::AcqRel) {
            delivery.sink.reopen();
        }
        let wait = if lock(&state.feed).is_unsafe() { FLUSH_EVERY } else { IDLE_EVERY };
        match shared.next(state.reader, wait) {
            Some(outcome) => delivery.offer(&outcome),
            None if delivery.is_done() => break,
            None => {}
        }
        delivery.flush();
        if let Some(reason) = time_is_up(shared, state) {
            delivery.end_with(Some(reason));
            return;
        }
        if delivery.is_too_slow() {
            delivery.start_anew();
        }
    }
    delivery.end_with(None);
}

impl Delivery<'_> {
    /// Whether nothing more will come and all is safe.
    fn is_done(&self) -> bool {
        let ring = lock(&self.shared.ring);
        let ending = self.shared.ending.load(Ordering::Acquire);
        ring.is_done(self.state.reader) || ending && ring.held(self.state.reader) == 0
    }

    /// Offers an outcome's parcel until the sink has it, or it has to be offered again later.
    fn offer(&mut self, outcome: &Outcome) {
        let share = outcome.shares.get(self.state.output).copied().unwrap_or_default();
        lock(&self.state.feed).take(outcome.number, share);
        match outcome.parcels.get(self.state.output).and_then(Option::as_ref) {
            Some(parcel) => self.offer_parcel(parcel),
            None => self.sink.skip(outcome.number),
        }
    }

    fn offer_parcel(&mut self, parcel: &Arc<Parcel>) {
        loop {
            let started = Instant::now();
            match self.sink.write(parcel) {
                Ok(()) => {
                    self.shared.stages.written.observe(started.elapsed());
                    return;
                }
                Err(SinkError::Busy) => {
                    if !self.flush() {
                        return;
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(SinkError::Lost(error)) => {
                    self.fail(&error);
                    self.rewind(parcel.number);
                    return;
                }
            }
            if time_is_up(self.shared, self.state).is_some() || self.is_too_slow() {
                self.rewind(parcel.number);
                return;
            }
        }
    }

    /// Asks for the mark, enters what is safe and lets go of it. Returns whether the sink goes on from where it is;
    /// else it starts again behind the mark.
    fn flush(&mut self) -> bool {
        let mark = self.sink.flush(&mut self.refused);
        let mut feed = lock(&self.state.feed);
        for refusal in self.refused.drain(..) {
            feed.refuse(refusal.number, refusal.reason);
            (self.dead_letters)(&refusal);
        }
        match mark {
            Ok(mark) if mark > feed.books.mark => {
                feed.mark(mark);
                drop(feed);
                self.shared.release(self.state.reader, mark);
                true
            }
            Err(SinkError::Lost(error)) => {
                drop(feed);
                self.fail(&error);
                self.rewind(Number::MAX);
                false
            }
            Ok(_) | Err(SinkError::Busy) => true,
        }
    }

    /// Waits after a failure.
    fn fail(&mut self, error: &io::Error) {
        let wait_ms = lock(&self.state.feed).back_off_ms();
        tracing::warn!(sink = self.state.name, %error, retry_ms = wait_ms, "a sink failed");
        self.wait(wait_ms);
    }

    /// Waits unless its time is up.
    fn wait(&self, wait_ms: u64) {
        let until = Instant::now() + Duration::from_millis(wait_ms);
        while Instant::now() < until && time_is_up(self.shared, self.state).is_none() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts again behind the mark. What the sink had taken whole, all before `number`, counts as resent.
    fn rewind(&mut self, number: Number) {
        let output = self.state.output;
        let rows = lock(&self.shared.ring)
            .rewind(self.state.reader)
            .filter(|held| held.outcome.number < number)
            .map(|held| held.outcome.shares.get(output).map_or(0, |share| share.passed))
            .sum();
        lock(&self.state.feed).resend(rows);
    }

    /// Whether a `drop` sink has held too much for too long.
    fn is_too_slow(&mut self) -> bool {
        let held = lock(&self.shared.ring).held(self.state.reader);
        let slots = &self.shared.slots;
        lock(&self.state.feed).is_to_detach(held, slots.count() as u64, slots.stock(), now_us())
    }

    /// Detaches a `drop` sink, opens it anew and joins behind the head; what passed meanwhile is counted. One that takes
    /// nothing at all stays away longer each time, or it would hold slots most of the time.
    fn start_anew(&mut self) {
        tracing::warn!(sink = self.state.name, "a sink cannot keep up and misses events");
        self.sink.close();
        self.flush();
        let left = lock(&self.shared.ring).detach(self.state.reader);
        self.shared.let_go(left);
        let wait_ms = lock(&self.state.feed).back_off_ms();
        self.wait(wait_ms);
        loop {
            match (self.open)() {
                Ok(sink) => {
                    self.sink = sink;
                    break;
                }
                Err(error) => self.fail(&error),
            }
            if time_is_up(self.shared, self.state).is_some() {
                break;
            }
        }
        self.join_at_head(reason::WHEN_FULL);
    }

    /// Closes the sink and leaves the ring; with `why`, all that is not safe then counts as lost.
    fn end_with(&mut self, why: Option<&'static str>) {
        self.sink.close();
        self.flush();
        if let Some(why) = why {
            let left = lock(&self.shared.ring).detach(self.state.reader);
            self.shared.let_go(left);
            self.join_at_head(why);
        }
        self.state.gone.store(true, Ordering::Release);
        let left = lock(&self.shared.ring).leave(self.state.reader);
        self.shared.let_go(left);
        self.shared.settle_receipts();
    }

    fn join_at_head(&mut self, why: &'static str) {
        let mut ring = lock(&self.shared.ring);
        let gap = ring.rejoin(self.state.reader);
        let mark = ring.mark(self.state.reader);
        drop(ring);
        let missed = gap.get(self.state.output).copied().unwrap_or_default();
        lock(&self.state.feed).miss(&missed, mark, why);
        self.sink.skip(mark);
    }
}
