//! From framed lines to numbered batches, by the clock of the replay.

use std::sync::Arc;

use super::clock::Clock;
use super::input::{Line, RecordHead, Taker};
use super::{Progress, ReceivedAt};
use crate::batch::{Batch, Form, Identity, ListenerId, Origin};
use crate::flow::{Intake, Slot};
use crate::limits;
use crate::parse::times::Times;
use crate::simd::Level;
use jiff::tz::TimeZone;

/// The only listener of a replay.
pub const LISTENER: ListenerId = ListenerId(0);
/// A batch is cut when the clock has moved by so much.
const CUT_US: i64 = 1_000_000;
/// Lines whose years are looked for so near to one another share a run.
const NEAR_US: i64 = 1_000_000;
/// Lines without a time wait for the next time behind the last; more than this do not.
const WAITING_BYTES: usize = 1 << 20;

/// A line that waits for its clock.
struct Waiting {
    start: usize,
    end: usize,
    truncated: bool,
    offset: u64,
    near_us: i64,
    origin: Arc<Origin>,
    /// Place of its input among the arguments.
    file: u32,
    /// Its own time, or its record's.
    time_us: Option<i64>,
    record: Option<RecordHead>,
}

/// What the lines of a run have in common.
#[derive(Clone, PartialEq)]
struct Common {
    origin: Arc<Origin>,
    file: u32,
    received_us: Option<i64>,
    near_us: i64,
}

pub struct Feeder {
    intake: Intake,
    /// Waits for slots.
    runtime: tokio::runtime::Runtime,
    slot: Option<Slot>,
    /// Of the run that is open in the slot.
    open: Option<Common>,
    /// The clock when the slot's first line came.
    slot_since_us: i64,
    /// The clock when its last line came.
    slot_until_us: i64,
    clock: Clock,
    waiting: Vec<Waiting>,
    /// Bytes of the waiting lines.
    bytes: Vec<u8>,
    /// Time of the first waiting line, or of the last one in the slot: the clock takes it with the next time.
    ahead_us: Option<i64>,
    times: Times,
    received: ReceivedAt,
    zone: TimeZone,
    origin: Arc<Origin>,
    /// Place of the input among the arguments, from 1.
    file: u32,
    modified_us: i64,
    pub progress: Progress,
}

/// An origin of the replay's listener.
fn origin(form: Form, logplex: bool, peer: Option<std::net::IpAddr>) -> Arc<Origin> {
    Arc::new(Origin {
        listener: LISTENER,
        peer,
        peer_name: None,
        token: None,
        user: None,
        labels: Vec::new(),
        logplex,
        form,
    })
}

impl Feeder {
    pub fn new(
        intake: Intake,
        received: ReceivedAt,
        zone: TimeZone,
        vectors: Level,
        progress: Progress,
    ) -> std::io::Result<Feeder> {
        Ok(Feeder {
            intake,
            runtime: tokio::runtime::Builder::new_current_thread().build()?,
            slot: None,
            open: None,
            slot_since_us: 0,
            slot_until_us: 0,
            clock: Clock::default(),
            waiting: Vec::new(),
            bytes: Vec::new(),
            ahead_us: None,
            times: Times::new(vectors),
            received,
            zone,
            origin: origin(Form::Syslog, false, None),
            file: 0,
            modified_us: 0,
            progress,
        })
    }

    /// The next input begins; `logplex` says that Heroku sent it.
    pub fn begin(&mut self, form: Form, logplex: bool, modified_us: i64) {
        self.file += 1;
        self.origin = origin(form, logplex, None);
        self.modified_us = modified_us;
    }

    /// All inputs have ended.
    pub fn end(&mut self) {
        self.resolve(None);
        self.dispatch();
    }

    /// What times without a year are near to.
    fn near_us(&self) -> i64 {
        match self.clock.now_us() {
            0 => self.ahead_us.unwrap_or(self.modified_us),
            now => now,
        }
    }

    /// Gives the waiting lines their clock, now that the time of the next line that has one is known.
    fn resolve(&mut self, next_us: Option<i64>) {
        if let Some(ahead) = self.ahead_us.take() {
            self.clock.take(ahead, next_us);
            if self.waiting.first().is_none_or(|line| line.time_us.is_none()) {
                // The line is in the slot already.
                self.slot_until_us = self.clock.now_us();
            }
        }
        if self.waiting.is_empty() {
            return;
        }
        let (waiting, bytes) = (std::mem::take(&mut self.waiting), std::mem::take(&mut self.bytes));
        for line in &waiting {
            self.append(line, &bytes[line.start..line.end]);
        }
        (self.waiting, self.bytes) = (waiting, bytes);
        self.waiting.clear();
        self.bytes.clear();
    }

    /// Appends a line whose clock is known to the open batch.
    fn append(&mut self, line: &Waiting, bytes: &[u8]) {
        let now = self.clock.now_us();
        let is_full =
            |batch: &Batch| batch.frames.len() >= limits::BATCH_FRAMES || batch.room() < bytes.len();
        if self.slot.as_ref().is_some_and(|slot| is_full(&slot.batch) || now - self.slot_since_us >= CUT_US) {
            self.dispatch();
        }
        if self.slot.is_none() {
            self.slot = Some(self.runtime.block_on(self.intake.slot()));
            self.slot_since_us = now;
        }
        self.slot_until_us = now;
        let common = self.common(line);
        if self.open.as_ref() != Some(&common) {
            self.close_run();
            self.open = Some(common);
        }
        let batch = &mut self.slot.as_mut().expect("just taken").batch;
        let at = batch.append(bytes);
        batch.push_frame(at, bytes.len(), line.truncated);
        batch.offsets.push(line.offset);
    }

    /// Appends a line with a time of its own at once, where its clock makes no difference to it: it goes on with the
    /// open run of a slot that is not to be cut, whatever the next time is. No line waits.
    fn append_at_once(&mut self, line: &Line<'_>, time_us: i64, near_us: i64) -> bool {
        let (Some(slot), Some(open)) = (&mut self.slot, &self.open) else { return false };
        let batch = &mut slot.batch;
        let goes_on = line.record.is_none()
            && open.file == self.file
            && Arc::ptr_eq(&open.origin, &self.origin)
            && (open.received_us.is_some() || self.received == ReceivedAt::Now)
            && (open.near_us - near_us).abs() < NEAR_US
            && time_us.max(self.clock.now_us()).saturating_sub(self.slot_since_us) < CUT_US
            && batch.frames.len() < limits::BATCH_FRAMES
            && batch.room() >= line.bytes.len();
        if goes_on {
            let at = batch.append(line.bytes);
            batch.push_frame(at, line.bytes.len(), line.truncated);
            batch.offsets.push(line.offset);
        }
        goes_on
    }

    /// What the line's run says. A run goes on where it makes no difference to the line.
    fn common(&self, line: &Waiting) -> Common {
        let received_us = match (self.received, &line.record) {
            (ReceivedAt::At(at), _) => Some(at),
            (ReceivedAt::Now, _) => None,
            // The plan of records takes what stands here, so one that does not say it takes the line's own time.
            (ReceivedAt::Own, Some(_)) if line.time_us.is_some() => line.time_us,
            (ReceivedAt::Own, _) => match &self.open {
                Some(open) if line.time_us.is_some() && open.received_us.is_some() => open.received_us,
                _ => Some(self.clock.now_us()),
            },
        };
        let near_us = match &self.open {
            Some(open) if (open.near_us - line.near_us).abs() < NEAR_US => open.near_us,
            _ => line.near_us,
        };
        let origin = match line.record.as_ref().and_then(|record| record.peer) {
            None => line.origin.clone(),
            Some(peer) => match &self.open {
                Some(open) if open.origin.peer == Some(peer) => open.origin.clone(),
                _ => origin(line.origin.form, line.origin.logplex, Some(peer)),
            },
        };
        Common { origin, file: line.file, received_us, near_us }
    }

    fn close_run(&mut self) {
        let (Some(slot), Some(open)) = (&mut self.slot, self.open.take()) else { return };
        if slot.batch.close_run(&open.origin, Identity::File { file: open.file }) > 0 {
            let run = slot.batch.runs.last_mut().expect("just closed");
            (run.received_us, run.near_us) = (open.received_us, Some(open.near_us));
        }
    }

    fn dispatch(&mut self) {
        self.close_run();
        let Some(slot) = self.slot.take() else { return };
        let books = self.intake.books(LISTENER);
        books.received.add(slot.batch.frames.len() as u64);
        self.progress.events += slot.batch.frames.len() as u64;
        let at = match self.received {
            ReceivedAt::Now => None,
            ReceivedAt::Own | ReceivedAt::At(_) => Some(self.slot_until_us),
        };
        self.intake.admit_at(vec![slot], at);
    }
}

impl Taker for Feeder {
    fn line(&mut self, line: Line<'_>) {
        let own = line.record.and_then(|record| record.received_us);
        let near_us = own.unwrap_or_else(|| self.near_us());
        let tail = self.origin.form == Form::SyslogOrTail;
        let time_us = own.or_else(|| self.times.of(line.padded, line.bytes.len(), tail, near_us, &self.zone));
        if let Some(time_us) = time_us {
            // A record's own receive time is not capped by the next one's.
            let next_us = if own.is_some() { None } else { Some(time_us) };
            self.resolve(next_us);
            self.ahead_us = Some(time_us);
            if self.append_at_once(&line, time_us, near_us) {
                return;
            }
        } else if self.bytes.len() + self.waiting.len() * size_of::<Waiting>() > WAITING_BYTES {
            // Too long to wait for the next time: it is taken to be no later than now.
            self.resolve(Some(self.clock.now_us()).filter(|now| *now > 0));
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(line.bytes);
        self.waiting.push(Waiting {
            start,
            end: self.bytes.len(),
            truncated: line.truncated,
            offset: line.offset,
            near_us,
            origin: self.origin.clone(),
            file: self.file,
            time_us,
            record: line.record.cloned(),
        });
        if self.waiting.len() == 1 && self.ahead_us.is_none() {
            self.resolve(None);
        }
    }

    fn progress(&mut self, bytes: u64) {
        self.progress.show(bytes);
    }
}
