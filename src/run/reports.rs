//! Reports of a running service: a thread that writes what the ledger says, so that the ledger never waits for a disk.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};

use crate::config::Pipeline;
use crate::flow::{self, TellReports};
use crate::ledger::reports::Told;
use crate::plan::Plan;
use crate::plan::report::Report;
use crate::report::Desk;

/// What the ledger has said and nobody has written: each is what one batch told.
const QUEUE: usize = 1024;
/// How often schedules and what was kept are looked at.
const TICK: Duration = Duration::from_secs(1);

/// The thread that writes, until [`Clerk::stop`].
pub struct Clerk(Option<JoinHandle<()>>);

/// Starts the thread, if the pipeline has a place for reports; returns what the flow is to tell them to.
///
/// # Errors
/// If the folder cannot be made or read.
pub fn start(pipeline: &Pipeline, plan: &Plan) -> io::Result<(TellReports, Clerk)> {
    let Some(dir) = &pipeline.reports.dir else { return Ok((Box::new(|_| {}), Clerk(None))) };
    let desk = Desk::live(dir, pipeline.reports.spool_bytes)?;
    let known = plan.watch.reports.list.clone();
    let (queue, heard) = crossbeam_channel::bounded(QUEUE);
    let thread = flow::spawn("reports".into(), move || write(desk, known, &heard))?;
    Ok((teller(queue), Clerk(Some(thread))))
}

fn teller(queue: Sender<Vec<Told>>) -> TellReports {
    let mut lost = 0u64;
    Box::new(move |told| match queue.try_send(told) {
        Ok(()) => {
            if lost > 0 {
                tracing::error!(rows = lost, "reports were written too slowly: rows are missing");
                lost = 0;
            }
        }
        Err(TrySendError::Full(told) | TrySendError::Disconnected(told)) => lost += told.len() as u64,
    })
}

fn write(mut desk: Desk, mut known: Vec<Arc<Report>>, heard: &Receiver<Vec<Told>>) {
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
        if let Some(thread) = self.0.take() {
            // A panic in it has ended the process already.
            let _ = thread.join();
        }
    }
}
