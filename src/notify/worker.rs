//! The thread of one target: takes in, keeps, tells, waits.
//!
//! Invariants: whoever tells it of records never waits for it; what is taken in is on the disk before it is told, at most
//! `KEEP` later than it came; a stop ends any wait by its deadline.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

use super::backoff::Backoff;
use super::firing::Firing;
use super::kept::Kept;
use super::queue::{Counts, Item, Queue};
use super::reach::Failure;
use super::target::Target;
use crate::limits;

/// The least time between two writes of what is kept.
const KEEP: Duration = Duration::from_secs(1);

/// Figures of one target.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub counts: Counts,
    /// Tries that failed.
    pub failures: u64,
    pub waiting: u64,
    pub firing: u64,
}

/// Between those who tell and the thread.
#[derive(Default)]
pub struct Shared {
    inbox: Mutex<Inbox>,
    figures: Mutex<Figures>,
    /// From then on nothing is waited for.
    deadline: Mutex<Option<Instant>>,
    woken: Notify,
    stopped: Notify,
}

#[derive(Default)]
struct Inbox {
    records: VecDeque<Arc<str>>,
    bytes: usize,
    overflow: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Hands over a record's JSON.
    pub fn put(&self, record: Arc<str>) {
        let mut inbox = lock(&self.inbox);
        inbox.bytes += record.len();
        inbox.records.push_back(record);
        while inbox.records.len() > limits::NOTIFY_QUEUE || inbox.bytes > limits::NOTIFY_BYTES {
            let oldest = inbox.records.pop_front().expect("more than none");
            inbox.bytes -= oldest.len();
            inbox.overflow += 1;
        }
        drop(inbox);
        self.woken.notify_one();
    }

    pub fn figures(&self) -> Figures {
        let mut figures = *lock(&self.figures);
        let inbox = lock(&self.inbox);
        figures.counts.overflow += inbox.overflow;
        figures.waiting += inbox.records.len() as u64;
        figures
    }

    /// Asks for an end by `deadline`: what waits is tried once more.
    pub fn stop(&self, deadline: Instant) {
        *lock(&self.deadline) = Some(deadline);
        self.stopped.notify_one();
        self.woken.notify_one();
    }

    fn deadline(&self) -> Option<Instant> {
        *lock(&self.deadline)
    }

    /// Whether its time is over.
    fn is_over(&self) -> bool {
        self.deadline().is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Waits until its time is over.
    async fn over(&self) {
        loop {
            match self.deadline() {
                Some(deadline) => return tokio::time::sleep_until(deadline.into()).await,
                None => self.stopped.notified().await,
            }
        }
    }
}

/// Starts the thread of a target, which begins with what it kept.
pub fn start(target: Target, state: &Path, shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let kept = Kept::open(state, &target.file)?;
    let found = kept.load();
    let work = match target.resend {
        None => Work::Queue(found.queue(target.batch)),
        Some(resend) => Work::Firing(found.firing(resend.as_micros() as i64)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let now = Instant::now();
    let worker = Worker {
        target,
        work,
        kept,
        shared,
        backoff: Backoff::new(Duration::from_secs(limits::NOTIFY_RETRY_MAX_S)),
        not_before: now,
        failures: 0,
        is_dirty: false,
        kept_at: None,
        cannot_keep: false,
        began: (now, wall_us()),
        random: RandomState::new(),
    };
    let name = format!("notify-{}", worker.target.name);
    crate::flow::spawn(name.chars().take(15).collect(), move || {
        runtime.block_on(worker.run());
        // A name that is still being resolved is not waited for.
        runtime.shutdown_background();
    })
}

/// Microseconds since 1970.
pub fn wall_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// What is decided, in one of two ways.
enum Work {
    Queue(Queue),
    Firing(Firing),
}

struct Worker {
    target: Target,
    work: Work,
    kept: Kept,
    shared: Arc<Shared>,
    backoff: Backoff,
    not_before: Instant,
    failures: u64,
    /// Something changed since it was kept.
    is_dirty: bool,
    kept_at: Option<Instant>,
    /// The last write failed, and the log says so.
    cannot_keep: bool,
    /// One moment by both clocks: the wall's may jump later, decisions do not.
    began: (Instant, i64),
    random: RandomState,
}

impl Worker {
    async fn run(mut self) {
        loop {
            self.take_in();
            self.keep(false);
            let stopping = self.shared.deadline().is_some();
            if stopping || Instant::now() >= self.not_before {
                let next = self.work.next(self.now_us());
                if !next.is_empty() {
                    let well = self.tell(&next).await;
                    if stopping && (!well || self.shared.is_over()) {
                        break;
                    }
                    continue;
                }
            }
            self.publish();
            if stopping {
                break;
            }
            let (shared, until) = (self.shared.clone(), self.wake_at());
            let sleep = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shared.woken.notified() => {}
                () = sleep => {}
            }
        }
        self.take_in();
        self.keep(true);
        self.publish();
    }

    /// Takes what came.
    fn take_in(&mut self) {
        let (records, overflow) = {
            let mut inbox = lock(&self.shared.inbox);
            inbox.bytes = 0;
            (std::mem::take(&mut inbox.records), std::mem::take(&mut inbox.overflow))
        };
        self.work.counts().overflow += overflow;
        let now_us = self.now_us();
        self.is_dirty |= !records.is_empty();
        for item in records.into_iter().filter_map(|json| Item::read(json, now_us)) {
            match &mut self.work {
                Work::Queue(queue) => queue.take(item),
                Work::Firing(firing) => firing.take(item),
            }
        }
    }

    /// Tells some; returns whether they got through.
    async fn tell(&mut self, items: &[(Arc<Item>, bool)]) -> bool {
        let limit = Duration::from_secs(limits::NOTIFY_REQUEST_S);
        let shared = self.shared.clone();
        let stopped = || shared.is_over();
        let answer = {
            let telling = self.target.tell(items, wall_us(), Instant::now() + limit, &stopped);
            tokio::select! {
                answer = tokio::time::timeout(limit, telling) => answer
                    .unwrap_or_else(|_| Err(Failure::again(format!("no answer within {} s", limit.as_secs())))),
                () = shared.over() => Err(Failure::again("weir stops")),
            }
        };
        let now_us = self.now_us();
        self.is_dirty = true;
        let name = &*self.target.name;
        let well = match answer {
            Ok(_) => {
                if self.backoff.is_failing() {
                    tracing::info!(
                        notifier = name,
                        to = self.target.shown,
                        "the notifier gets through again"
                    );
                }
                self.backoff.well();
                self.work.told(items.len(), now_us);
                true
            }
            Err(Failure { why, again: false, .. }) => {
                tracing::warn!(
                    notifier = name,
                    to = self.target.shown,
                    "an alert is refused for good: {why}"
                );
                self.failures += 1;
                self.backoff.well();
                self.work.refused(items.len(), now_us);
                true
            }
            Err(Failure { why, after, .. }) => {
                self.failures += 1;
                let wait = self.backoff.failed(after, self.random.hash_one(self.failures));
                self.not_before = Instant::now() + wait;
                let wait_ms = wait.as_millis() as u64;
                tracing::warn!(
                    notifier = name,
                    to = self.target.shown,
                    wait_ms,
                    "an alert is not told yet: {why}"
                );
                false
            }
        };
        self.publish();
        well
    }

    /// Writes what is to be kept, if it changed; not more often than needed unless `at_once`.
    fn keep(&mut self, at_once: bool) {
        let is_due = self.kept_at.is_none_or(|at| at.elapsed() >= KEEP);
        if !self.is_dirty || !(at_once || is_due) {
            return;
        }
        let kept = match &self.work {
            Work::Queue(queue) => self.kept.save_queue(queue),
            Work::Firing(firing) => self.kept.save(firing.sent(), firing.entries()),
        };
        self.kept_at = Some(Instant::now());
        match kept {
            Ok(()) => {
                self.is_dirty = false;
                self.cannot_keep = false;
            }
            Err(error) => {
                if !std::mem::replace(&mut self.cannot_keep, true) {
                    let name = &*self.target.name;
                    tracing::warn!(notifier = name, %error, "what a notifier keeps cannot be written");
                }
            }
        }
    }

    /// When there is something to do again, if nobody comes.
    fn wake_at(&self) -> Option<Instant> {
        let keep = self.is_dirty.then(|| self.kept_at.map_or(self.began.0, |at| at + KEEP));
        let tell = match &self.work {
            Work::Queue(queue) => (queue.waiting().len() > 0).then_some(self.not_before),
            Work::Firing(firing) => firing.due_us().map(|due_us| {
                let after_us = due_us.saturating_sub(self.began.1).max(0) as u64;
                self.not_before.max(self.began.0 + Duration::from_micros(after_us))
            }),
        };
        keep.into_iter().chain(tell).min()
    }

    fn publish(&mut self) {
        let (waiting, firing) = match &self.work {
            Work::Queue(queue) => (queue.waiting().len(), 0),
            Work::Firing(firing) => (0, firing.entries().len()),
        };
        let counts = *self.work.counts();
        let figures =
            Figures { counts, failures: self.failures, waiting: waiting as u64, firing: firing as u64 };
        *lock(&self.shared.figures) = figures;
    }

    /// Microseconds since 1970 by a clock that does not jump.
    fn now_us(&self) -> i64 {
        self.began.1 + self.began.0.elapsed().as_micros() as i64
    }
}

impl Work {
    fn next(&mut self, now_us: i64) -> Vec<(Arc<Item>, bool)> {
        match self {
            Work::Queue(queue) => queue.next(now_us).into_iter().map(|item| (item, false)).collect(),
            Work::Firing(firing) => firing.next(now_us),
        }
    }

    fn told(&mut self, records: usize, now_us: i64) {
        match self {
            Work::Queue(queue) => queue.told(records),
            Work::Firing(firing) => firing.told(now_us),
        }
    }

    fn refused(&mut self, records: usize, now_us: i64) {
        match self {
            Work::Queue(queue) => queue.refused(records),
            Work::Firing(firing) => firing.refused(now_us),
        }
    }

    fn counts(&mut self) -> &mut Counts {
        match self {
            Work::Queue(queue) => &mut queue.counts,
            Work::Firing(firing) => &mut firing.counts,
        }
    }
}
