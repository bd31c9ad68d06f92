//! The ledger's state on disk: written every so often and at the end, read at the start.
//!
//! Alerts and reports are in one file, dashlets in another, which is larger and may be written less often. Both are taken
//! while the ledger stands still, and written by a thread of their own. What a crash loses is what came since they were
//! written, as far as windows, reports and dashlets are concerned; events themselves are the sinks' business.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use super::reports::{Marked, Writing};
use crate::config;
use crate::flow::{self, Flow};
use crate::ledger::dashlets::Frozen;
use crate::ledger::kept::{self, Kept, Of};
use crate::ledger::{Ledger, Snapshot};
use crate::plan::report::Report;
use crate::report::{Mark, Resumed};

const LEDGER: &str = "ledger.state";
const DASHLETS: &str = "dashlets.state";
/// There while the last state is that of a stop, and not of a crash.
const STOPPED: &str = "stopped";
/// Dashlets are written so slowly on average, whatever their size.
const DASHLETS_BYTES_PER_S: u64 = 1 << 20;
/// How long the thread that writes rows may take to say how far it is.
const MARK_WAIT: Duration = Duration::from_secs(30);
const MARK_LOOK: Duration = Duration::from_millis(20);

/// What is to be written.
struct Job {
    at_us: i64,
    ledger: Snapshot,
    marked: Marked,
    tables: Option<Frozen>,
    is_last: bool,
}

/// How the thread that writes gets on.
#[derive(Default)]
struct Progress {
    /// Something is being written: nothing more is taken meanwhile.
    at_work: AtomicBool,
    /// What was written last is on disk.
    is_written: AtomicBool,
    /// Size of the file of dashlets.
    tables_bytes: AtomicU64,
}

/// Where the ledger's state is kept, and when it was last taken.
pub struct Keeper {
    dir: Option<PathBuf>,
    every: Duration,
    taken: Instant,
    tables_taken: Instant,
    progress: Arc<Progress>,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// One that writes into the folder of `state`; into none if its name is empty.
    ///
    /// # Errors
    /// If its thread cannot be started.
    pub fn new(state: &config::State) -> io::Result<Keeper> {
        let dir = Some(state.dir.as_path()).filter(|dir| !dir.as_os_str().is_empty()).map(Path::to_path_buf);
        let (jobs, asked) = crossbeam_channel::bounded(1);
        let progress = Arc::new(Progress::default());
        let thread = match &dir {
            Some(dir) => Some(start(dir.clone(), asked, progress.clone())?),
            None => None,
        };
        let (every, now, jobs) = (state.every, Instant::now(), Some(jobs));
        Ok(Keeper { dir, every, taken: now, tables_taken: now, progress, jobs, thread })
    }

    /// Lets the ledger go on from what was kept, if there is anything; returns what the reports of the plan go on from. What
    /// cannot be read is set aside and told.
    pub fn restore(&self, flow: &Flow, reports: &[Arc<Report>]) -> Option<Resumed> {
        let now_us = flow::now_us();
        let is_last = self.dir.as_ref().is_some_and(|dir| std::fs::remove_file(dir.join(STOPPED)).is_ok());
        let tables = self.read(DASHLETS, Of::Dashlets, |body| {
            flow.restore(|ledger| ledger.restore_tables(body, now_us, is_last))
        });
        if tables.is_none() {
            flow.restore(|ledger| ledger.warm_tables(now_us));
        }
        let ledger = self.read(LEDGER, Of::Ledger, |body| {
            let (at_us, marks, state) = parts(body)?;
            let anew = flow.restore(|ledger| ledger.restore(state, now_us))?;
            Some((at_us, marks, anew))
        });
        let of_ledger = ledger.iter().flat_map(|(_, _, anew)| anew);
        for id in of_ledger.chain(tables.iter().flatten()) {
            tracing::warn!(id = &**id, "nothing was kept of this as it is now: it begins as warming");
        }
        let Some((at_us, marks, anew)) = ledger else {
            flow.restore(|ledger| ledger.warm(now_us));
            return None;
        };
        let same = reports.iter().filter(|report| !anew.contains(&report.id));
        Some(Resumed { at_us, marks: marks?, reports: same.map(|report| report.name.clone()).collect() })
    }

    fn read<T>(&self, name: &str, of: Of, take: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        let path = self.dir.as_ref()?.join(name);
        let file = match std::fs::read(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "state cannot be read; what it is of begins anew");
                return None;
            }
        };
        let taken = kept::opened(of, &file).and_then(take);
        if taken.is_some() {
            tracing::info!(path = %path.display(), bytes = file.len(), "goes on from what was kept");
        } else {
            let aside = path.with_extension("damaged");
            // If it cannot be set aside it is written over, which is as well.
            let _ = std::fs::rename(&path, &aside);
            tracing::error!(path = %aside.display(), "state is damaged or of another version, and set aside; what it is of begins anew");
        }
        taken
    }

    /// Takes the state if it is time, and has it written.
    pub fn keep_now_and_then(&mut self, flow: &Flow, reports: &Writing) {
        let Some(jobs) = self.jobs.as_ref().filter(|_| self.thread.is_some()) else { return };
        if self.taken.elapsed() < self.every || self.progress.at_work.load(Ordering::Acquire) {
            return;
        }
        self.taken = Instant::now();
        let bytes = self.progress.tables_bytes.load(Ordering::Relaxed);
        let pause = self.every.max(Duration::from_secs(bytes / DASHLETS_BYTES_PER_S));
        let with_tables = self.tables_taken.elapsed() >= pause;
        let Some(job) = job(flow, reports, with_tables, false) else { return };
        if with_tables {
            self.tables_taken = Instant::now();
        }
        self.progress.at_work.store(true, Ordering::Release);
        // It cannot be full while nothing is being written.
        let _ = jobs.try_send(job);
    }

    /// Takes the state for the last time; returns whether it is written.
    pub fn stop(&mut self, flow: &Flow, reports: &Writing) -> bool {
        let (Some(jobs), Some(thread)) = (self.jobs.take(), self.thread.take()) else { return false };
        let until = Instant::now() + MARK_WAIT;
        let mut last = job(flow, reports, true, true);
        // Whoever writes rows may be far behind; nothing new comes to it.
        while last.is_none() && !flow.ledger(Ledger::is_empty) && Instant::now() < until {
            std::thread::sleep(MARK_LOOK);
            last = job(flow, reports, true, true);
        }
        let sent = last.is_some_and(|job| jobs.send(job).is_ok());
        drop(jobs);
        // A panic in it has ended the process already.
        let _ = thread.join();
        sent && self.progress.is_written.load(Ordering::Acquire)
    }
}

fn job(flow: &Flow, reports: &Writing, with_tables: bool, is_last: bool) -> Option<Job> {
    let snapshot = flow.snapshot(with_tables, || Some((flow::now_us(), reports.mark()?)))?;
    let (at_us, marked) = snapshot.mark;
    Some(Job { at_us, ledger: snapshot.ledger, marked, tables: snapshot.tables, is_last })
}

/// When it was taken, how far the rows of reports were, and the ledger's part.
fn parts(mut body: &[u8]) -> Option<(i64, Option<Vec<Mark>>, &[u8])> {
    let (at_us, marks) = Kept::take(&mut body)?;
    Some((at_us, marks, body))
}

fn start(dir: PathBuf, asked: Receiver<Job>, progress: Arc<Progress>) -> io::Result<JoinHandle<()>> {
    flow::spawn("state".into(), move || {
        for job in asked {
            let written = write(&dir, job, &progress.tables_bytes);
            if let Err(error) = &written {
                tracing::error!(path = %dir.display(), %error, "the ledger's state cannot be written");
            }
            progress.is_written.store(written.is_ok(), Ordering::Release);
            progress.at_work.store(false, Ordering::Release);
        }
    })
}

fn write(dir: &Path, job: Job, tables_bytes: &AtomicU64) -> io::Result<()> {
    let marks = match job.marked {
        Some(marked) => Some(marked.recv_timeout(MARK_WAIT).map_err(io::Error::other)??),
        None => None,
    };
    let file = kept::sealed(Of::Ledger, |out| {
        (job.at_us, marks).put(out);
        job.ledger.put(out);
    });
    // What changes is copied as long as somebody else has it.
    drop(job.ledger);
    replace(&dir.join(LEDGER), &file)?;
    if let Some(tables) = job.tables {
        let file = kept::sealed(Of::Dashlets, |out| tables.put(out));
        drop(tables);
        tables_bytes.store(file.len() as u64, Ordering::Relaxed);
        replace(&dir.join(DASHLETS), &file)?;
    }
    if job.is_last {
        replace(&dir.join(STOPPED), b"")?;
    }
    Ok(())
}

/// Puts a file in the place of another, so that after a crash one of the two is there, whole.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir)?;
    let part = path.with_extension("part");
    let mut file = std::fs::File::create(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&part, path)?;
    std::fs::File::open(dir)?.sync_all()
}
