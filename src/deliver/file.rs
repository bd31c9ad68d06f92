//! The file sink: rows in files below one folder, by a path made from each event.
//!
//! A plain file has its final name while it grows, so that it can be followed; when it is finished and another is begun
//! under that name it becomes `NAME.N.ndjson`, N rising. A compressed file is called `….part` until it is finished.
//!
//! Invariants: rows of one file stand in number order, each once and whole, whatever fails in between; a row that could
//! not be written rests in its file's queue, so a parcel offered again brings nothing new; the mark stands before the
//! first queued row; files are finished at row boundaries only.
//!
//! Deliberately absent: fsync on each write. A row is safe when `write` returned; files are synced when finished, plain ones by a
//! thread of their own.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use foldhash::{HashMap, HashMapExt};

use super::live::{Live, Root, Stopped};
use super::path::Naming;
use super::{Kind, OpenError, Opened, Readings, Refusal, Sink, SinkError, block};
use crate::batch::Number;
use crate::config::{self, Compress, Rotate, SinkKind};
use crate::limits;
use crate::outcome::{Parcel, Row};

pub const KIND: Kind = Kind {
    name: "file",
    summary: "writes events to files whose path is made from the event, rotated and compressed",
    example: r#"{name: events, kind: file, root: weir-out, path: "{listener}/{date}.ndjson", rotate: {bytes: 1GiB, every: 1d}, compress: none}"#,
    open,
};

/// How often files are looked through for ones whose time is over.
const LOOK_THROUGH: Duration = Duration::from_secs(1);

fn open(sink: &config::Sink, kinds: &[&str]) -> Result<Opened, OpenError> {
    let SinkKind::File(file) = &sink.kind else {
        unreachable!("the list of kinds says which is opened where")
    };
    let sink = FileSink::new(file, kinds).map_err(|error| {
        OpenError(format!("{error}\nhint: `root` has to be a folder that weir may write to"))
    })?;
    let readings = sink.readings.clone();
    Ok(Opened { sink: Box::new(sink), readings })
}

/// Rows of one file and one period that wait to be written.
struct Queued {
    period: i64,
    /// Number of its first row.
    first: Number,
    since: Instant,
    bytes: Vec<u8>,
}

/// A path, with what waits for it.
#[derive(Default)]
struct Target {
    live: Option<Live>,
    queue: VecDeque<Queued>,
    /// Grows with every use over all targets.
    used: u64,
}

#[derive(Default)]
struct Figures {
    files_finished: u64,
    torn_bytes: u64,
}

struct FileSink {
    root: Root,
    naming: Naming,
    rotate: Rotate,
    compress: Compress,
    targets: HashMap<Box<str>, Target>,
    /// Of `targets`, with a file open.
    open: usize,
    queued_bytes: usize,
    uses: u64,
    /// The last parcel whose rows are written or queued, or number skipped.
    taken: Number,
    looked_through: Instant,
    figures: Figures,
    readings: Readings,
    /// Scratch: a path, and a block.
    path: String,
    block: Vec<u8>,
}

impl FileSink {
    fn new(config: &config::FileSink, kinds: &[&str]) -> io::Result<FileSink> {
        Ok(FileSink {
            root: Root::open(config.root.as_path().to_path_buf(), config.root.shown().to_string())?,
            naming: Naming::new(&config.path, kinds),
            rotate: config.rotate,
            compress: config.compress,
            targets: HashMap::new(),
            open: 0,
            queued_bytes: 0,
            uses: 0,
            taken: 0,
            looked_through: Instant::now(),
            figures: Figures::default(),
            readings: Readings::default(),
            path: String::new(),
            block: Vec::new(),
        })
    }

    /// Writes or queues a parcel's rows, those of one path and period together.
    fn take(&mut self, parcel: &Parcel) -> io::Result<()> {
        self.taken = parcel.number;
        let whole = parcel.rows.is_empty() || {
            let first = &parcel.rows[0];
            parcel.rows[1..].iter().all(|row| self.alike(parcel, first, row))
        };
        if whole {
            let row = parcel.rows.first();
            self.naming.render(parcel, row, &mut self.path);
            let period = period(self.rotate, row.map_or_else(now_us, |row| row.received_us));
            return self.place(parcel.number, period, &parcel.bytes);
        }
        if self.compress == Compress::None && self.queued_bytes == 0 {
            return self.scatter(parcel);
        }
        for (first, range) in self.runs(parcel) {
            let row = &parcel.rows[first];
            self.naming.render(parcel, Some(row), &mut self.path);
            self.queue(parcel.number, period(self.rotate, row.received_us), &parcel.bytes[range]);
        }
        Ok(())
    }

    /// Rows in a row that are alike: the first of them, and where all lie.
    fn runs(&self, parcel: &Parcel) -> Vec<(usize, Range<usize>)> {
        let (mut runs, mut first, mut start) = (Vec::new(), 0, 0);
        for (index, row) in parcel.rows.iter().enumerate() {
            if parcel.rows.get(index + 1).is_none_or(|next| !self.alike(parcel, row, next)) {
                runs.push((first, start..row.end as usize));
                (first, start) = (index + 1, row.end as usize);
            }
        }
        runs
    }

    /// Writes rows of several plain files, those of one file by one call and without copying them. What cannot be
    /// written is queued.
    fn scatter(&mut self, parcel: &Parcel) -> io::Result<()> {
        let mut groups: Vec<(Box<str>, i64, Vec<&[u8]>)> = Vec::new();
        let mut group_of: HashMap<Box<str>, usize> = HashMap::new();
        for (first, range) in self.runs(parcel) {
            let row = &parcel.rows[first];
            self.naming.render(parcel, Some(row), &mut self.path);
            let (period, piece) = (period(self.rotate, row.received_us), &parcel.bytes[range]);
            match group_of.get(self.path.as_str()) {
                Some(&at) if groups[at].1 == period => groups[at].2.push(piece),
                _ => {
                    group_of.insert(self.path.as_str().into(), groups.len());
                    groups.push((self.path.as_str().into(), period, vec![piece]));
                }
            }
        }
        let mut result = Ok(());
        for (path, period, pieces) in groups {
            let target = self.targets.remove(&path).unwrap_or_default();
            // Behind a failure nothing more is tried, so that a disk that is full is not asked for each file.
            let kept = match result.is_ok() && target.queue.is_empty() {
                true => self.put_pieces(&path, target, period, &pieces),
                false => {
                    self.targets.insert(path.clone(), target);
                    Ok(0)
                }
            };
            let mut kept = kept.unwrap_or_else(|stopped| {
                result = Err(stopped.error);
                stopped.kept
            });
            self.path.clear();
            self.path.push_str(&path);
            for piece in pieces {
                let skipped = kept.min(piece.len());
                kept -= skipped;
                self.queue(parcel.number, period, &piece[skipped..]);
            }
        }
        result
    }

    /// Writes all pieces, or none where they do not fit into the file as it is. Returns the bytes written.
    fn put_pieces(
        &mut self,
        path: &str,
        mut target: Target,
        period: i64,
        pieces: &[&[u8]],
    ) -> Result<usize, Stopped> {
        self.uses += 1;
        target.used = self.uses;
        let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
        let limit = self.rotate.bytes.unwrap_or(u64::MAX);
        let ready = self.ready(path, &mut target, period);
        let put = ready.map_err(|error| Stopped { kept: 0, error }).and_then(|()| {
            let live = target.live.as_mut().expect("made ready");
            match live.len() + bytes as u64 <= limit {
                true => live.append(&self.root, pieces).map(|()| bytes),
                false => Ok(0),
            }
        });
        if put.is_err() {
            self.root.forget();
        }
        self.targets.insert(path.into(), target);
        put
    }

    fn alike(&self, parcel: &Parcel, a: &Row, b: &Row) -> bool {
        period(self.rotate, a.received_us) == period(self.rotate, b.received_us)
            && self.naming.same(parcel, a, b)
    }

    /// Writes rows to the file of `self.path` without copying them, if it is plain and nothing waits before them.
    fn place(&mut self, number: Number, period: i64, bytes: &[u8]) -> io::Result<()> {
        let free = self.targets.get(self.path.as_str()).is_none_or(|target| target.queue.is_empty());
        if self.compress != Compress::None || !free {
            self.queue(number, period, bytes);
            return Ok(());
        }
        let path = std::mem::take(&mut self.path);
        let mut target = self.targets.remove(path.as_str()).unwrap_or_default();
        let put = self.put(&path, &mut target, period, bytes);
        self.targets.insert(path.as_str().into(), target);
        self.path = path;
        put.map_err(|stopped| {
            self.queue(number, period, &bytes[stopped.kept..]);
            stopped.error
        })
    }

    fn queue(&mut self, number: Number, period: i64, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if !self.targets.contains_key(self.path.as_str()) {
            self.targets.insert(self.path.as_str().into(), Target::default());
        }
        let target = self.targets.get_mut(self.path.as_str()).expect("inserted above");
        self.queued_bytes += bytes.len();
        match target.queue.back_mut() {
            Some(last) if last.period == period => last.bytes.extend_from_slice(bytes),
            _ => target.queue.push_back(Queued {
                period,
                first: number,
                since: Instant::now(),
                bytes: bytes.to_vec(),
            }),
        }
    }

    /// Writes what waits: all of it, or of compressed files the blocks that are due.
    fn settle(&mut self, all: bool) -> io::Result<()> {
        if self.queued_bytes == 0 {
            return Ok(());
        }
        let all = all || self.compress == Compress::None || self.queued_bytes > limits::BLOCKS_BYTES;
        let now = Instant::now();
        let due = |target: &Target| {
            target.queue.front().is_some_and(|front| {
                let age = now.saturating_duration_since(front.since);
                all || target.queue.len() > 1
                    || front.bytes.len() >= limits::BLOCK_BYTES
                    || age >= Duration::from_millis(limits::BLOCK_MS)
            })
        };
        let names: Vec<Box<str>> =
            self.targets.iter().filter(|(_, target)| due(target)).map(|(name, _)| name.clone()).collect();
        let mut first_error = None;
        for name in names {
            let mut target = self.targets.remove(&name).expect("named by the map itself");
            let settled = self.settle_one(&name, &mut target);
            self.targets.insert(name, target);
            if let Err(error) = settled {
                first_error.get_or_insert(error);
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    fn settle_one(&mut self, path: &str, target: &mut Target) -> io::Result<()> {
        while let Some(mut front) = target.queue.pop_front() {
            let put = self.put(path, target, front.period, &front.bytes);
            let kept = put.as_ref().map_or_else(|stopped| stopped.kept, |()| front.bytes.len());
            self.queued_bytes -= kept;
            if let Err(stopped) = put {
                front.bytes.drain(..kept);
                target.queue.push_front(front);
                return Err(stopped.error);
            }
        }
        Ok(())
    }

    /// Writes whole rows, finishing files that are full or whose time is over.
    fn put(&mut self, path: &str, target: &mut Target, period: i64, rows: &[u8]) -> Result<(), Stopped> {
        self.uses += 1;
        target.used = self.uses;
        let limit = self.rotate.bytes.unwrap_or(u64::MAX);
        let mut block = std::mem::take(&mut self.block);
        let mut kept = 0;
        let put = loop {
            let rest = &rows[kept..];
            if rest.is_empty() {
                break Ok(());
            }
            if let Err(error) = self.ready(path, target, period) {
                break Err(Stopped { kept, error });
            }
            let live = target.live.as_mut().expect("made ready");
            let (end, bytes) = match self.compress {
                Compress::None => {
                    let end = rows_that_fit(rest, live.len(), limit);
                    (end, &rest[..end])
                }
                compress => {
                    if let Err(error) = block::compress(compress, rest, &mut block) {
                        break Err(Stopped { kept, error });
                    }
                    let full = live.len() > 0 && live.len() + block.len() as u64 > limit;
                    (if full { 0 } else { rest.len() }, &block[..])
                }
            };
            if end == 0 {
                if let Err(error) = self.turn(target) {
                    break Err(Stopped { kept, error });
                }
                continue;
            }
            match live.append(&self.root, &[bytes]) {
                Ok(()) => kept += end,
                Err(stopped) => break Err(Stopped { kept: kept + stopped.kept, error: stopped.error }),
            }
        };
        self.block = block;
        if put.is_err() {
            self.root.forget();
        }
        put
    }

    /// Sees to it that the target has a file of that period open.
    fn ready(&mut self, path: &str, target: &mut Target, period_wanted: i64) -> io::Result<()> {
        loop {
            if target.live.is_none() {
                self.make_room()?;
                let rotate = self.rotate;
                let (live, torn) = Live::open(&mut self.root, path, self.compress, |us| period(rotate, us))?;
                if torn > 0 {
                    self.figures.torn_bytes += torn;
                    tracing::warn!(
                        path,
                        bytes = torn,
                        "cut a torn row off a file: it was never acknowledged"
                    );
                }
                target.live = Some(live);
                self.open += 1;
            }
            let live = target.live.as_mut().expect("opened above");
            if live.len() == 0 {
                live.begin(period_wanted);
            }
            if live.period() >= period_wanted {
                return Ok(());
            }
            self.turn(target)?;
        }
    }

    /// Sets the target's file aside.
    fn turn(&mut self, target: &mut Target) -> io::Result<()> {
        if let Some(live) = &mut target.live {
            live.set_aside(&mut self.root)?;
            target.live = None;
            self.open -= 1;
            self.figures.files_finished += 1;
        }
        Ok(())
    }

    /// Closes the file that was not used for longest, where too many are open.
    fn make_room(&mut self) -> io::Result<()> {
        while self.open >= limits::OPEN_FILES {
            let oldest = self.targets.iter_mut().filter(|(_, target)| target.live.is_some());
            let (_, target) =
                oldest.min_by_key(|(_, target)| target.used).expect("as many targets as files are open");
            // A plain file is only closed: with more paths than files it may be opened again at once, and a sync each time
            // would stop everything.
            if self.compress != Compress::None {
                target.live.as_mut().expect("filtered").finish(&mut self.root)?;
                self.figures.files_finished += 1;
            }
            target.live = None;
            self.open -= 1;
            self.targets.retain(|_, target| target.live.is_some() || !target.queue.is_empty());
        }
        Ok(())
    }

    /// Finishes files whose period is over at `now_us`, or all; such as have rows waiting stay.
    fn finish(&mut self, over: impl Fn(&Live) -> bool) -> io::Result<()> {
        let mut result = Ok(());
        for target in self.targets.values_mut().filter(|target| target.queue.is_empty()) {
            let Some(live) = target.live.as_mut().filter(|live| over(live)) else { continue };
            match live.finish(&mut self.root) {
                Ok(()) => {
                    target.live = None;
                    self.open -= 1;
                    self.figures.files_finished += 1;
                }
                Err(error) => result = Err(error),
            }
        }
        self.targets.retain(|_, target| target.live.is_some() || !target.queue.is_empty());
        result
    }

    fn look_through(&mut self) -> io::Result<()> {
        if self.looked_through.elapsed() < LOOK_THROUGH {
            return Ok(());
        }
        self.looked_through = Instant::now();
        self.readings.set(vec![
            ("open_files", self.open as f64),
            ("finished_files", self.figures.files_finished as f64),
            ("torn_bytes", self.figures.torn_bytes as f64),
            ("queued_bytes", self.queued_bytes as f64),
        ]);
        let now = period(self.rotate, now_us());
        self.finish(|live| live.period() < now)
    }
}

impl Sink for FileSink {
    fn write(&mut self, parcel: &Arc<Parcel>) -> Result<(), SinkError> {
        let new = parcel.number > self.taken;
        // Nothing is taken on top of what could not be written: so a queue never outgrows a parcel.
        self.settle(false).map_err(SinkError::Lost)?;
        if new {
            self.take(parcel).map_err(SinkError::Lost)?;
            self.settle(false).map_err(SinkError::Lost)?;
        }
        Ok(())
    }

    fn flush(&mut self, _: &mut Vec<Refusal>) -> Result<Number, SinkError> {
        self.settle(false).and_then(|()| self.look_through()).map_err(SinkError::Lost)?;
        let first =
            self.targets.values().filter_map(|target| target.queue.front()).map(|front| front.first).min();
        Ok(first.map_or(self.taken, |first| first - 1))
    }

    fn skip(&mut self, number: Number) {
        self.taken = self.taken.max(number);
    }

    fn close(&mut self) {
        if let Err(error) = self.settle(true).and_then(|()| self.finish(|_| true)) {
            tracing::error!(%error, "a file could not be finished");
        }
    }

    fn reopen(&mut self) {
        self.root.forget();
        if let Err(error) = self.settle(true).and_then(|()| self.finish(|_| true)) {
            tracing::warn!(%error, "a file could not be closed before it is opened anew");
        }
    }
}

/// Which of the equal stretches of time, counted from 1970 in UTC, a file with rows of that time belongs to.
fn period(rotate: Rotate, us: i64) -> i64 {
    match rotate.every {
        Some(every) => us.div_euclid((every.as_micros() as i64).max(1)),
        None => 0,
    }
}

fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_micros() as i64)
}

/// Returns the bytes of the whole rows that fit into a file; one at least where it is empty, else perhaps 0.
fn rows_that_fit(rows: &[u8], len: u64, limit: u64) -> usize {
    let room = usize::try_from(limit.saturating_sub(len)).unwrap_or(usize::MAX);
    if rows.len() <= room {
        return rows.len();
    }
    match memchr::memrchr(b'\n', &rows[..room]) {
        Some(at) => at + 1,
        None if len > 0 => 0,
        None => memchr::memchr(b'\n', rows).map_or(rows.len(), |at| at + 1),
    }
}

#[cfg(test)]
mod tests;
