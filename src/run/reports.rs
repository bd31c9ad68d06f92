//! Reports of a running service: a thread that writes what the ledger says, so that the ledger never waits for a disk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};
use prometheus::proto::MetricFamily;

use crate::config::Pipeline;
use crate::flow::{self, TellReports};
use crate::ledger::reports::{Told, What};
use crate::plan::Plan;
use crate::plan::report::Report;
use crate::report::Desk;
use crate::telemetry::metrics::{Family, counter};

/// What the ledger has said and nobody has written: each is what one batch told.
const QUEUE: usize = 1024;
/// How often schedules and what was kept are looked at.
const TICK: Duration = Duration::from_secs(1);

/// The thread that writes, until [`Clerk::stop`].
pub struct Clerk {
    thread: Option<JoinHandle<()>>,
    /// What no file of a report has, if there are any.
    pub lost: Option<Arc<Lost>>,
}

/// Rows that no report has.
#[derive(Debug, Default)]
pub struct Lost {
    /// What came too fast for the thread that writes.
    queue_full: AtomicU64,
    /// What `spool_bytes` had no room for.
    spool_full: AtomicU64,
}

const DROPPED: Family = counter("weir_report_dropped_rows_total", "Rows that no report has.");

impl Lost {
    /// The metric family of them.
    pub fn family(&self) -> Option<MetricFamily> {
        let reasons = [("queue_full", &self.queue_full), ("spool_full", &self.spool_full)];
        let sample = |(reason, n): (&str, &AtomicU64)| {
            (vec![("reason", reason.to_string())], n.load(Ordering::Relaxed))
        };
        DROPPED.of(reasons.map(sample))
    }
}

/// Starts the thread, if the pipeline has a place for reports; returns what the flow is to tell them to.
///
/// # Errors
/// If the folder cannot be made or read.
pub fn start(pipeline: &Pipeline, plan: &Plan) -> io::Result<(TellReports, Clerk)> {
    let Some(dir) = &pipeline.reports.dir else {
        return Ok((Box::new(|_| {}), Clerk { thread: None, lost: None }));
    };
    let desk = Desk::live(dir, pipeline.reports.spool_bytes)?;
    let known = plan.watch.reports.list.clone();
    let (queue, heard) = crossbeam_channel::bounded(QUEUE);
    let lost = Arc::new(Lost::default());
    let of_thread = lost.clone();
    let thread = flow::spawn("reports".into(), move || write(desk, known, &heard, &of_thread))?;
    Ok((teller(queue, lost.clone()), Clerk { thread: Some(thread), lost: Some(lost) }))
}

fn teller(queue: Sender<Vec<Told>>, all_lost: Arc<Lost>) -> TellReports {
    let mut lost = 0u64;
    Box::new(move |told| match queue.try_send(told) {
        Ok(()) => {
            if lost > 0 {
                tracing::error!(rows = lost, "reports were written too slowly: rows are missing");
                lost = 0;
            }
        }
        Err(TrySendError::Full(told) | TrySendError::Disconnected(told)) => {
            let rows = told.iter().filter(|told| matches!(told.what, What::Row(_) | What::Late(..))).count();
            lost += rows as u64;
            all_lost.queue_full.fetch_add(rows as u64, Ordering::Relaxed);
        }
    })
}

fn write(mut desk: Desk, mut known: Vec<Arc<Report>>, heard: &Receiver<Vec<Told>>, lost: &Lost) {
    let say = |done: io::Result<()>| {
        if let Err(error) = done {
            tracing::error!(%error, "a report cannot be written");
        }
    };
    let mut ticked = Instant::now();
    loop {
        match heard.recv_timeout(TICK) {
            Ok(told) => {
                for Told { report, .. } in &told {
                    match known.iter_mut().find(|known| known.name == report.name) {
                        Some(known) if !Arc::ptr_eq(known, report) => *known = report.clone(),
                        Some(_) => {}
                        None => known.push(report.clone()),
                    }
                }
                say(desk.take(told, flow::now_us()));
                lost.spool_full.store(desk.cut(), Ordering::Relaxed);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if ticked.elapsed() >= TICK {
            ticked = Instant::now();
            say(desk.tick(&known, flow::now_us()));
        }
    }
    say(desk.end());
}

impl Clerk {
    /// Waits until all is written; the flow has no more to say.
    pub fn stop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic in it has ended the process already.
            let _ = thread.join();
        }
    }
}
