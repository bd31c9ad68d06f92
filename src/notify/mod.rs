//! Notifiers: alerts are told to somebody, once, whatever happens in between.
//!
//! Invariants: `tell` never waits; each target has a thread and a bounded queue of its own, so one that hangs delays no
//! other; what waits, and what was told, survive a restart; nothing is sent to a private address that the pipeline does
//! not name; no message holds a secret.
//!
//! What is decided stands in plain types without clock or socket: `queue` (once each), `firing` (again and again),
//! `backoff`, `sent`. What is said stands in `say`.

mod backoff;
mod firing;
mod http;
mod kept;
mod lines;
mod mail;
mod note;
mod queue;
mod reach;
mod say;
mod sent;
mod target;
pub mod trial;
mod worker;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use prometheus::proto::MetricFamily;

use self::target::Target;
use self::worker::{Figures, Shared};
use crate::config::Notifier;
use crate::ledger::record::Record;
use crate::telemetry::metrics::{Family, counter, gauge};

/// How long a notifier that a reload changed or removed has to end.
const CHANGE: Duration = Duration::from_secs(2);

/// All notifiers of a pipeline.
pub struct Notifiers {
    state: PathBuf,
    running: Mutex<Vec<Running>>,
    /// Figures of those that ended, by name: a counter does not go back.
    past: Mutex<BTreeMap<String, Figures>>,
}

/// One notifier: its targets' threads.
struct Running {
    notifier: Notifier,
    targets: Vec<(Arc<Shared>, Option<JoinHandle<()>>)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Notifiers {
    /// Starts the threads; `state` is the folder in which they keep what they know. The error names what cannot be had.
    pub fn start(notifiers: &[Notifier], state: &Path) -> io::Result<Notifiers> {
        let all = Notifiers { state: state.into(), running: Mutex::default(), past: Mutex::default() };
        all.change(notifiers)?;
        Ok(all)
    }

    /// Hands over what is to be told. Never waits.
    pub fn tell(&self, records: &[Record]) {
        let running = lock(&self.running);
        if running.is_empty() {
            return;
        }
        for record in records.iter().filter(|record| record.is_sent()) {
            let mut json = Vec::new();
            record.write(&mut json);
            let json: Arc<str> = String::from_utf8_lossy(&json).into();
            let is_named =
                |one: &&Running| record.about.notify.iter().any(|name| **name == *one.notifier.name);
            let any_is_named = running.iter().any(|one| is_named(&one));
            for one in running.iter().filter(|one| !any_is_named || is_named(one)) {
                one.targets.iter().for_each(|(shared, _)| shared.put(json.clone()));
            }
        }
    }

    /// Takes other notifiers: those that are the same go on, of the others what waits is kept for the next of that name.
    pub fn change(&self, notifiers: &[Notifier]) -> io::Result<()> {
        let mut fresh: Vec<(usize, Vec<Target>)> = Vec::new();
        let ended = {
            let mut running = lock(&self.running);
            let mut old = std::mem::take(&mut *running);
            for notifier in notifiers {
                if let Some(at) = old.iter().position(|one| one.notifier == *notifier) {
                    running.push(old.swap_remove(at));
                    continue;
                }
                let targets = Target::all(notifier);
                fresh.push((running.len(), targets));
                let count = fresh.last().map_or(0, |(_, targets)| targets.len());
                // From here on they take what is told, before they have a thread: the old ones still have the files.
                let targets = (0..count).map(|_| (Arc::default(), None)).collect();
                running.push(Running { notifier: notifier.clone(), targets });
            }
            old
        };
        self.end(ended, Instant::now() + CHANGE);
        for (place, targets) in fresh {
            for (index, target) in targets.into_iter().enumerate() {
                let name = target.name.clone();
                let shared = lock(&self.running)[place].targets[index].0.clone();
                let thread = worker::start(target, &self.state, shared)
                    .map_err(|error| io::Error::new(error.kind(), format!("notifier `{name}`: {error}")))?;
                lock(&self.running)[place].targets[index].1 = Some(thread);
            }
        }
        Ok(())
    }

    /// Ends: what waits is tried once more until `deadline`; the rest is kept.
    pub fn stop(&self, deadline: Instant) {
        let running = std::mem::take(&mut *lock(&self.running));
        self.end(running, deadline);
    }

    fn end(&self, running: Vec<Running>, deadline: Instant) {
        let targets = || running.iter().flat_map(|one| &one.targets);
        targets().for_each(|(shared, _)| shared.stop(deadline));
        for one in running {
            for (shared, thread) in one.targets {
                if let Some(thread) = thread {
                    // A panic in it has ended the process.
                    let _ = thread.join();
                }
                let figures = Figures { waiting: 0, firing: 0, ..shared.figures() };
                add(lock(&self.past).entry(one.notifier.name.clone()).or_default(), &figures);
            }
        }
    }

    /// Figures by notifier, summed over its targets.
    fn figures(&self) -> BTreeMap<String, Figures> {
        let mut all = BTreeMap::new();
        for one in lock(&self.running).iter() {
            let mut sum = lock(&self.past).get(&one.notifier.name).copied().unwrap_or_default();
            one.targets.iter().for_each(|(shared, _)| add(&mut sum, &shared.figures()));
            all.insert(one.notifier.name.clone(), sum);
        }
        all
    }

    /// Metric families of all notifiers.
    pub fn families(&self) -> Vec<MetricFamily> {
        let figures = self.figures();
        let by_name = |family: &Family, figure: fn(&Figures) -> u64| {
            family
                .of(figures.iter().map(|(name, figures)| (vec![("notifier", name.clone())], figure(figures))))
        };
        let dropped = figures.iter().flat_map(|(name, figures)| {
            let counts = figures.counts;
            [("overflow", counts.overflow), ("old", counts.old), ("refused", counts.refused)]
                .map(|(reason, n)| (vec![("notifier", name.clone()), ("reason", reason.into())], n))
        });
        let families = [
            by_name(&SENT, |figures| figures.counts.sent),
            by_name(&RESENT, |figures| figures.counts.resent),
            by_name(&SKIPPED, |figures| figures.counts.skipped),
            DROPPED.of(dropped),
            by_name(&FAILURES, |figures| figures.failures),
            by_name(&WAITING, |figures| figures.waiting),
            by_name(&FIRING, |figures| figures.firing),
        ];
        families.into_iter().flatten().collect()
    }
}

const SENT: Family = counter("weir_notify_sent_total", "Records of alerts that a notifier told.");
const RESENT: Family = counter("weir_notify_resent_total", "Firing alerts told again.");
const SKIPPED: Family = counter("weir_notify_skipped_total", "Records not told since they were known.");
const DROPPED: Family = counter("weir_notify_dropped_total", "Records that will not be told.");
const FAILURES: Family = counter("weir_notify_failures_total", "Tries that failed.");
const WAITING: Family = gauge("weir_notify_waiting", "Records that wait to be told.");
const FIRING: Family = gauge("weir_notify_firing", "Alerts firing at Alertmanagers.");

fn add(sum: &mut Figures, other: &Figures) {
    sum.counts += other.counts;
    sum.failures += other.failures;
    sum.waiting += other.waiting;
    sum.firing += other.firing;
}

#[cfg(test)]
mod tests;
