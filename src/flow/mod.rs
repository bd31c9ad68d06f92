//! The only locks and wake-ups around gate, ring and feed, which are plain `&mut self` types.
//!
//! Receivers fill slots and admit them (`Intake`); shards answer each batch with one outcome; the ledger and the sinks'
//! threads take outcomes in number order. No lock is held while anything waits, but for the gate while it is shut: then
//! admission stands still for the milliseconds that the shards need to finish what is queued.

mod receipts;
mod shards;
mod sinks;
mod slots;
mod spare;
mod stages;

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::Sender;
use tokio::sync::OwnedSemaphorePermit;

pub use self::sinks::{Opener, SinkSpec};
pub use self::slots::Slot;
pub use self::stages::Stages;
pub use crate::gate::Admitted;

use self::receipts::Receipts;
use self::sinks::SinkState;
use self::slots::Slots;
use self::spare::Spare;
use crate::batch::{Batch, ListenerId, Number};
use crate::books::ListenerBooks;
use crate::feed::SinkBooks;
use crate::gate::Gate;
use crate::ledger::dashlets::Frozen;
use crate::ledger::record::Record;
use crate::ledger::reports::Told;
use crate::ledger::{self, Ledger};
use crate::limits;
use crate::outcome::{Outcome, Parcel, Share};
use crate::plan::Plan;
use crate::ring::{Entry, ReaderId, Ring};
use crate::signal::Signals;
use crate::simd::Level;

/// Microseconds since 1970.
pub fn now_us() -> i64 {
    match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => since.as_micros() as i64,
        Err(before) => -(before.duration().as_micros() as i64),
    }
}

/// A numbered batch on its way to a shard, with the plan that it sees.
struct Work {
    batch: Batch,
    plan: Arc<Plan>,
    permit: OwnedSemaphorePermit,
    queued: Instant,
}

/// An outcome in the ring, with the slot's credit.
struct Held {
    outcome: Arc<Outcome>,
    parcel_bytes: usize,
    _permit: OwnedSemaphorePermit,
}

impl Entry for Held {
    /// By output.
    type Gap = Vec<Share>;

    fn miss(&self, _: ReaderId, gap: &mut Vec<Share>) {
        if gap.len() < self.outcome.shares.len() {
            gap.resize(self.outcome.shares.len(), Share::default());
        }
        for (sum, share) in gap.iter_mut().zip(&self.outcome.shares) {
            sum.add(share);
        }
    }
}

/// What the gate's lock guards.
struct Admission {
    gate: Gate,
    plan: Arc<Plan>,
    /// Taken away at the end: nothing is numbered after that.
    work: Option<Sender<Work>>,
}

struct Shared {
    admission: Mutex<Admission>,
    slots: Slots,
    ring: Mutex<Ring<Held>>,
    /// The head has moved, or something else happened that readers should look at.
    news: Condvar,
    receipts: Mutex<Receipts>,
    sinks: RwLock<Vec<Arc<SinkState>>>,
    ledger: Mutex<Ledger>,
    ledger_reader: ReaderId,
    listeners: RwLock<Vec<Arc<ListenerBooks>>>,
    spare_parcels: Spare<Parcel>,
    spare_signals: Spare<Box<Signals>>,
    /// Nothing more will be numbered.
    ending: AtomicBool,
    /// When what is left counts as dropped, microseconds since 1970.
    deadline_us: AtomicI64,
    stages: Stages,
    vectors: Level,
    quarantine: Mutex<Box<dyn FnMut(&[u8]) + Send>>,
    tell: Mutex<Tell>,
    tell_reports: Mutex<TellReports>,
    clock: bool,
}

/// Takes what alerts say.
pub type Tell = Box<dyn FnMut(Vec<Record>) + Send>;
/// Takes what reports say.
pub type TellReports = Box<dyn FnMut(Vec<Told>) + Send>;

/// How often it is looked whether the ledger has come to the end while the gate is shut.
const SHUT_LOOK: Duration = Duration::from_millis(5);

/// Locks, also where a thread has panicked: such a panic ends the process anyway.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn put(&self, outcome: Outcome, permit: OwnedSemaphorePermit) {
        let parcel_bytes = outcome.parcels.iter().flatten().map(|parcel| parcel.held_bytes()).sum();
        self.slots.hold_parcels(parcel_bytes);
        let number = outcome.number;
        let held = Held { outcome: Arc::new(outcome), parcel_bytes, _permit: permit };
        if lock(&self.ring).put(number, held) {
            self.news.notify_all();
        }
    }

    /// The reader's next outcome, waiting for it at most `wait`.
    fn next(&self, reader: ReaderId, wait: Duration) -> Option<Arc<Outcome>> {
        let mut ring = lock(&self.ring);
        if ring.is_at_head(reader) && !wait.is_zero() {
            ring = self.news.wait_timeout(ring, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        ring.take(reader).map(|held| held.outcome.clone())
    }

    /// Lets go of all up to `mark`, and answers what waited for it.
    fn release(&self, reader: ReaderId, mark: Number) {
        let left = lock(&self.ring).release(reader, mark);
        self.let_go(left);
        self.settle_receipts();
    }

    /// Gives back what entries held.
    fn let_go(&self, left: Vec<Held>) {
        for held in left {
            self.slots.free_parcels(held.parcel_bytes);
            let Ok(outcome) = Arc::try_unwrap(held.outcome) else { continue };
            if let Some(signals) = outcome.signals
                && signals.held_bytes() <= limits::SPARE_SIGNALS_BYTES
            {
                self.spare_signals.put(signals);
            }
            for parcel in outcome.parcels.into_iter().flatten() {
                if let Ok(parcel) = Arc::try_unwrap(parcel)
                    && parcel.held_bytes() <= limits::SPARE_PARCEL_BYTES
                {
                    self.spare_parcels.put(parcel);
                }
            }
        }
    }

    /// Answers the receipts up to the lowest mark of the `block` sinks.
    fn settle_receipts(&self) {
        let block: Vec<ReaderId> =
            self.read_sinks().iter().filter(|sink| sink.blocks()).map(|s| s.reader).collect();
        let ring = lock(&self.ring);
        let lowest = ring.lowest_mark(&block).unwrap_or(ring.head());
        drop(ring);
        lock(&self.receipts).safe_up_to(lowest);
    }

    fn read_sinks(&self) -> Vec<Arc<SinkState>> {
        self.sinks.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until every numbered batch has its outcome. The caller holds the gate.
    fn wait_for_head(&self, last: Number) {
        let mut ring = lock(&self.ring);
        while ring.head() < last {
            ring = self.news.wait(ring).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until the ledger has every numbered batch. The caller holds the gate.
    fn wait_for_ledger(&self, last: Number) {
        let mut ring = lock(&self.ring);
        while ring.mark(self.ledger_reader) < last {
            ring = self.news.wait_timeout(ring, SHUT_LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Hands on what alerts and reports have said.
    fn tell(&self) {
        // Locked before the ledger is, so that whoever holds them and sees nothing to tell knows that all was told.
        let (mut tell, mut tell_reports) = (lock(&self.tell), lock(&self.tell_reports));
        let (records, told) = {
            let mut ledger = lock(&self.ledger);
            (ledger.take_records(), ledger.take_told())
        };
        if !told.is_empty() {
            tell_reports(told);
        }
        if !records.is_empty() {
            tell(records);
        }
    }

    /// Tells the ledger what time it is, if nothing is on its way to it.
    fn tick(&self) {
        // While the gate is shut somebody waits for the ledger: it must not wait for the gate.
        let Ok(mut admission) = self.admission.try_lock() else { return };
        let (now, last) = (admission.gate.tick(now_us()), admission.gate.last());
        drop(admission);
        if lock(&self.ring).mark(self.ledger_reader) == last {
            lock(&self.ledger).tick(now);
            self.tell();
        }
    }

    fn is_past_deadline(&self) -> bool {
        self.ending.load(Ordering::Acquire) && now_us() >= self.deadline_us.load(Ordering::Acquire)
    }
}

/// What receivers see of the flow. Cheap to clone.
#[derive(Clone)]
pub struct Intake {
    shared: Arc<Shared>,
}

impl Intake {
    /// Waits for a slot, first come first served. Never fails; the caller sets the time limit.
    pub async fn slot(&self) -> Slot {
        self.shared.slots.take().await
    }

    /// A slot, if one is free and nobody waits for it.
    pub fn try_slot(&self) -> Option<Slot> {
        self.shared.slots.try_take()
    }

    /// Whether over half the slots are taken: then batches leave only when full or `BATCH_AGE_MS` old.
    pub fn busy(&self) -> bool {
        self.shared.slots.free() * 2 < self.shared.slots.count()
    }

    /// Numbers the batches, one after the other, and hands them to the shards. Takes microseconds, or milliseconds while
    /// the gate is shut. Counts `admitted` and `duplicate`; the receiver has counted `received`.
    pub fn admit(&self, group: Vec<Slot>) -> Admitted {
        self.admit_at(group, None)
    }

    /// The same with a given receive time, for replay.
    pub fn admit_at(&self, mut group: Vec<Slot>, received_us: Option<i64>) -> Admitted {
        let shared = &*self.shared;
        let mut admission = lock(&shared.admission);
        let now = received_us.unwrap_or_else(now_us);
        let Some(work) = admission.work.clone() else { return Admitted::default() };
        let admitted = admission.gate.pass(group.iter_mut().map(|slot| &mut slot.batch), now);
        let plan = admission.plan.clone();
        for slot in group {
            let next =
                Work { batch: slot.batch, plan: plan.clone(), permit: slot.permit, queued: Instant::now() };
            work.send(next).expect("shards live as long as the gate is open");
        }
        drop(admission);
        for &(listener, fresh, duplicate) in &admitted.frames {
            let books = self.books(listener);
            books.admitted.add(fresh);
            books.duplicate.add(duplicate);
        }
        admitted
    }

    /// Resolves when every `block` sink has taken all up to `number`; at once where there is none.
    pub async fn receipt(&self, number: Number) {
        if !self.shared.read_sinks().iter().any(|sink| sink.blocks()) {
            return;
        }
        let receipt = lock(&self.shared.receipts).wait_for(number);
        if let Some(receipt) = receipt {
            // The sender is dropped only with the flow itself.
            let _ = receipt.await;
        }
    }

    /// The figures of a listener.
    pub fn books(&self, listener: ListenerId) -> Arc<ListenerBooks> {
        self.shared.listeners.read().unwrap_or_else(PoisonError::into_inner)[listener.0 as usize].clone()
    }
}

/// What the flow is built with.
pub struct Settings {
    pub slots: usize,
    /// Encoded bytes in flight above which no slot is given.
    pub parcel_bytes: usize,
    pub shards: usize,
    /// What the shards use.
    pub vectors: Level,
    /// Bytes that a batch holds.
    pub batch_bytes: usize,
    /// Takes quarantined frames, as records a line.
    pub quarantine: Box<dyn FnMut(&[u8]) + Send>,
    /// Takes what alerts say, in order; never waits.
    pub tell: Tell,
    /// Takes what reports say, in order.
    pub tell_reports: TellReports,
    /// Whether the clock of the machine moves windows while nothing arrives.
    pub clock: bool,
}

/// Gate, shards, ring, ledger and sinks, running.
pub struct Flow {
    shared: Arc<Shared>,
    /// Shards and ledger; empty once they have ended.
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

/// State at one moment, to be written.
pub struct Snapshot<T> {
    /// Of alerts and reports.
    pub ledger: ledger::Snapshot,
    pub tables: Option<Frozen>,
    /// What was marked at that moment.
    pub mark: T,
}

/// What is served of the flow at one moment.
pub struct View {
    /// The number up to which every outcome is there.
    pub head: Number,
    /// Number of the last batch that passed the gate.
    pub last: Number,
    pub slots: usize,
    pub slots_free: usize,
    pub sinks: Vec<SinkView>,
    pub listeners: Vec<(String, Arc<ListenerBooks>)>,
}

/// What is served of one sink.
pub struct SinkView {
    pub name: String,
    /// `attached`, `detached` or `removed`.
    pub state: &'static str,
    pub books: SinkBooks,
}

impl Flow {
    /// Starts shards and ledger; sinks are added by `change`.
    pub fn start(settings: Settings, plan: Arc<Plan>) -> std::io::Result<Flow> {
        let mut ring = Ring::default();
        let ledger_reader = ring.attach();
        let (work, queue) = crossbeam_channel::bounded(settings.slots);
        let shared = Arc::new(Shared {
            listeners: RwLock::new(plan.listeners.iter().map(|_| Arc::default()).collect()),
            ledger: Mutex::new(Ledger::new(plan.clone())),
            admission: Mutex::new(Admission { gate: Gate::default(), plan, work: Some(work) }),
            slots: Slots::new(settings.slots, settings.batch_bytes, settings.parcel_bytes),
            ring: Mutex::new(ring),
            news: Condvar::new(),
            receipts: Mutex::new(Receipts::default()),
            sinks: RwLock::new(Vec::new()),
            ledger_reader,
            spare_parcels: Spare::new(settings.slots),
            spare_signals: Spare::new(settings.slots),
            ending: AtomicBool::new(false),
            deadline_us: AtomicI64::new(i64::MAX),
            stages: Stages::default(),
            vectors: settings.vectors,
            quarantine: Mutex::new(settings.quarantine),
            tell: Mutex::new(settings.tell),
            tell_reports: Mutex::new(settings.tell_reports),
            clock: settings.clock,
        });
        let mut threads = Vec::new();
        for index in 0..settings.shards {
            let (shared, queue) = (shared.clone(), queue.clone());
            threads.push(spawn(format!("shard-{index}"), move || shards::run(&shared, &queue))?);
        }
        let for_ledger = shared.clone();
        threads.push(spawn("ledger".into(), move || shards::keep_ledger(&for_ledger))?);
        Ok(Flow { shared, threads: Mutex::new(threads) })
    }

    pub fn intake(&self) -> Intake {
        Intake { shared: self.shared.clone() }
    }

    pub fn stages(&self) -> &Stages {
        &self.shared.stages
    }

    /// The plan in force.
    pub fn plan(&self) -> Arc<Plan> {
        lock(&self.shared.admission).plan.clone()
    }

    /// Reads the ledger.
    pub fn ledger<T>(&self, read: impl FnOnce(&Ledger) -> T) -> T {
        read(&lock(&self.shared.ledger))
    }

    /// Changes plan and sinks while the gate is shut: no batch sees two plans. Sinks named in `remove` get what was
    /// numbered before for `REMOVED_S` more, in the background.
    pub fn change(&self, plan: Arc<Plan>, add: Vec<SinkSpec>, remove: &[String]) -> std::io::Result<()> {
        let mut admission = lock(&self.shared.admission);
        self.shared.wait_for_head(admission.gate.last());
        self.shared.wait_for_ledger(admission.gate.last());
        lock(&self.shared.ledger).adopt(plan.clone());
        self.shared.tell();
        {
            let mut books = self.shared.listeners.write().unwrap_or_else(PoisonError::into_inner);
            let len = plan.listeners.len();
            let len = len.max(books.len());
            books.resize_with(len, Arc::default);
        }
        let stays = |sink: &&Arc<SinkState>| !sink.is_removed() && remove.contains(&sink.name);
        for sink in self.shared.read_sinks().iter().filter(stays) {
            lock(&self.shared.ring).end_here(sink.reader);
            sink.remove();
        }
        for spec in add {
            let reader = lock(&self.shared.ring).attach();
            let mark = lock(&self.shared.ring).mark(reader);
            let state = Arc::new(SinkState::new(&spec, reader, mark));
            self.shared.sinks.write().unwrap_or_else(PoisonError::into_inner).push(state.clone());
            let shared = self.shared.clone();
            let name = format!("sink-{}", spec.name);
            state.started(spawn(name, {
                let state = state.clone();
                move || sinks::run(&shared, &state, spec)
            })?);
        }
        admission.plan = plan;
        drop(admission);
        self.shared.news.notify_all();
        self.shared.settle_receipts();
        Ok(())
    }

    /// Fresh batches hold at least this much from now on.
    pub fn raise_batch_bytes(&self, bytes: usize) {
        self.shared.slots.raise_batch_bytes(bytes);
    }

    /// Asks every sink to open its files anew.
    pub fn reopen(&self) {
        for sink in self.shared.read_sinks() {
            sink.reopen();
        }
        self.shared.news.notify_all();
    }

    /// Ends everything: no admission, what is queued is processed and delivered until `deadline`, what is left then
    /// counts as dropped. Returns whether all was delivered in time.
    pub fn finish(&self, deadline: Duration) -> bool {
        let last = {
            let mut admission = lock(&self.shared.admission);
            admission.work = None;
            admission.gate.last()
        };
        self.shared.wait_for_head(last);
        self.shared.deadline_us.store(now_us() + deadline.as_micros() as i64, Ordering::Release);
        self.shared.ending.store(true, Ordering::Release);
        self.shared.news.notify_all();
        for sink in self.shared.read_sinks() {
            sink.join();
        }
        for thread in lock(&self.threads).drain(..) {
            // A panic in it has ended the process already.
            let _ = thread.join();
        }
        let shutdown = crate::feed::reason::SHUTDOWN;
        self.view().sinks.iter().all(|sink| !sink.books.dropped.contains_key(shutdown))
    }

    /// The state of the ledger between two numbers, and that of dashlets if `with_tables`. `marked` is called at the same
    /// moment, when all that was said before has been handed on. `None` if there is nothing to keep, or `marked` says so.
    ///
    /// Only the ledger stands still meanwhile: gate, shards and sinks go on.
    pub fn snapshot<T>(&self, with_tables: bool, marked: impl FnOnce() -> Option<T>) -> Option<Snapshot<T>> {
        let shared = &self.shared;
        let (mut tell, mut tell_reports) = (lock(&shared.tell), lock(&shared.tell_reports));
        let mut ledger = lock(&shared.ledger);
        if ledger.is_empty() {
            return None;
        }
        let (records, told) = (ledger.take_records(), ledger.take_told());
        if !told.is_empty() {
            tell_reports(told);
        }
        if !records.is_empty() {
            tell(records);
        }
        let mark = marked()?;
        let tables = with_tables.then(|| ledger.frozen());
        Some(Snapshot { ledger: ledger.snapshot(), tables, mark })
    }

    /// Changes the ledger before anything has arrived.
    pub fn restore<T>(&self, restore: impl FnOnce(&mut Ledger) -> T) -> T {
        restore(&mut lock(&self.shared.ledger))
    }

    /// Lets the windows of alerts run to their end, for those who know that nothing more comes.
    pub fn end_windows(&self) {
        lock(&self.shared.ledger).end();
        self.shared.tell();
    }

    /// Reports say nothing after it. With `rest`, rows that wait are handed on first, for those who may go on later without
    /// a snapshot.
    pub fn end_reports(&self, rest: bool) {
        if rest {
            lock(&self.shared.ledger).rest();
            self.shared.tell();
        }
        *lock(&self.shared.tell_reports) = Box::new(|_| {});
    }

    /// Every listener's figures, by id.
    pub fn listeners(&self) -> Vec<(String, Arc<ListenerBooks>)> {
        let plan = self.plan();
        let books = self.shared.listeners.read().unwrap_or_else(PoisonError::into_inner);
        let named = plan.listeners.iter().zip(books.iter());
        named.map(|(listener, books)| (listener.name.to_string(), books.clone())).collect()
    }

    pub fn view(&self) -> View {
        let last = lock(&self.shared.admission).gate.last();
        let sinks = self.shared.read_sinks();
        let ring = lock(&self.shared.ring);
        let head = ring.head();
        let states: Vec<&'static str> = sinks.iter().map(|sink| sink.status(&ring)).collect();
        drop(ring);
        let view = |(sink, state): (&Arc<SinkState>, &'static str)| SinkView {
            name: sink.name.clone(),
            state,
            books: sink.books(),
        };
        View {
            head,
            last,
            slots: self.shared.slots.count(),
            slots_free: self.shared.slots.free(),
            sinks: sinks.iter().zip(states).map(view).collect(),
            listeners: self.listeners(),
        }
    }
}

/// Starts a named thread; a panic in it ends the process with exit code 1, since the books could not close any more.
pub fn spawn(
    name: String,
    work: impl FnOnce() + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name(name.clone()).spawn(move || {
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err() {
            tracing::error!(thread = name, "thread panicked; weir ends");
            std::process::exit(1);
        }
    })
}
