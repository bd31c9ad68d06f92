//! Reports of a running service: a thread that writes what the ledger says, so that the ledger never waits for a disk.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};
use prometheus::proto::MetricFamily;

use crate::config::Pipeline;
use crate::flow::{self, TellReports};
use crate::ledger::reports::{Told, What};
use crate::plan::report::Report;
use crate::report::{Desk, Mark, Resumed};
use crate::telemetry::metrics::{Family, counter};

/// What the ledger has said and nobody has written: each is what one batch told.
const QUEUE: usize = 1024;
/// How often schedules and what was kept are looked at.
const TICK: Duration = Duration::from_secs(1);

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

/// What the thread hears.
enum Heard {
    Told(Vec<Told>),
    /// Asks how far rows are on disk, with all that was told before.
    Mark(Sender<io::Result<Vec<Mark>>>),
}

/// Where the thread answers a question about marks; `None` where no reports are written.
pub type Marked = Option<Receiver<io::Result<Vec<Mark>>>>;

/// The folder of reports, before anything is written there.
pub struct Clerk {
    dir: Option<(PathBuf, u64)>,
    heard: Receiver<Heard>,
    queue: Sender<Heard>,
    lost: Arc<Lost>,
}

impl Clerk {
    /// What the flow is to tell reports to, and who will write them.
    pub fn new(pipeline: &Pipeline) -> (TellReports, Clerk) {
        let (queue, heard) = crossbeam_channel::bounded(QUEUE);
        let dir = pipeline.reports.dir.clone().map(|dir| (dir, pipeline.reports.spool_bytes));
        let lost = Arc::new(Lost::default());
        let tell = if dir.is_some() { teller(queue.clone(), lost.clone()) } else { Box::new(|_| {}) };
        (tell, Clerk { dir, heard, queue, lost })
    }

    /// Starts the thread, if the pipeline has a place for reports. `known` are the plan's.
    ///
    /// # Errors
    /// If the folder cannot be made or read.
    pub fn start(self, known: Vec<Arc<Report>>, resumed: Option<&Resumed>) -> io::Result<Writing> {
        let Some((dir, spool_bytes)) = self.dir else {
            return Ok(Writing { queue: None, thread: None, lost: None });
        };
        let desk = Desk::live(&dir, spool_bytes, &known, resumed)?;
        let (heard, lost) = (self.heard, self.lost.clone());
        let thread = flow::spawn("reports".into(), move || write(desk, known, &heard, &lost))?;
        Ok(Writing { queue: Some(self.queue), thread: Some(thread), lost: Some(self.lost) })
    }
}

fn teller(queue: Sender<Heard>, all_lost: Arc<Lost>) -> TellReports {
    let mut lost = 0u64;
    Box::new(move |told| match queue.try_send(Heard::Told(told)) {
        Ok(()) => {
            if lost > 0 {
                tracing::error!(rows = lost, "reports were written too slowly: rows are missing");
                lost = 0;
            }
        }
        Err(TrySendError::Full(Heard::Told(told)) | TrySendError::Disconnected(Heard::Told(told))) => {
            let rows = told.iter().filter(|told| matches!(told.what, What::Row(_) | What::Late(..))).count();
            lost += rows as u64;
            all_lost.queue_full.fetch_add(rows as u64, Ordering::Relaxed);
        }
        Err(_) => {}
    })
}

fn write(mut desk: Desk, mut known: Vec<Arc<Report>>, heard: &Receiver<Heard>, lost: &Lost) {
    let say = |done: io::Result<()>| {
        if let Err(error) = done {
            tracing::error!(%error, "a report cannot be written");
        }
    };
    let mut ticked = Instant::now();
    loop {
        match heard.recv_timeout(TICK) {
            Ok(Heard::Told(told)) => {
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
            // Whoever asked may have given up.
            Ok(Heard::Mark(answer)) => drop(answer.send(desk.mark())),
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

/// The thread that writes, until [`Writing::stop`].
pub struct Writing {
    queue: Option<Sender<Heard>>,
    thread: Option<JoinHandle<()>>,
    /// What no file of a report has, if there are any.
    pub lost: Option<Arc<Lost>>,
}

impl Writing {
    /// Asks how far rows are on disk; never waits. `None` if the thread is far behind.
    pub fn mark(&self) -> Option<Marked> {
        let Some(queue) = &self.queue else { return Some(None) };
        let (answer, marked) = crossbeam_channel::bounded(1);
        queue.try_send(Heard::Mark(answer)).ok()?;
        Some(Some(marked))
    }

    /// Waits until all is written; the flow has no more to say.
    pub fn stop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it has ended the process already.
            let _ = thread.join();
        }
    }
}
