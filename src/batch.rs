//! The batch: runs of whole frames, the unit of everything between a receiver and a sink.
//!
//! A receiver fills a batch, the gate numbers it, and from then it is immutable. A run is whole frames of one
//! connection, body or file; who sent them stands in its `Origin`, once. The header of a batch already holds all that
//! a journal record needs: number, receive time, runs, frame lengths, bytes.

use core::net::IpAddr;
use std::sync::Arc;

use crate::event::Span;
use crate::limits;

/// Number of a batch in the one sequence; the first is 1, 0 means "before all".
pub type Number = u64;

/// Index of a listener, given once a name and never reused while the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub u16);

/// Who sent a run, as far as the transport knows.
#[derive(Debug, PartialEq, Eq)]
pub struct Origin {
    pub listener: ListenerId,
    pub peer: Option<IpAddr>,
    /// The sender's name, where the listener resolves names.
    pub peer_name: Option<Box<str>>,
    /// `Logplex-Drain-Token`, else `?drain=`.
    pub token: Option<Box<str>>,
    /// Who signed in.
    pub user: Option<Box<str>>,
    /// Query parameters of the request, by name.
    pub labels: Vec<(Box<str>, Box<str>)>,
    /// A Logplex request: its senders are Heroku's whatever HOSTNAME says.
    pub logplex: bool,
    /// What the frames are: syslog, or records of `/ingest` and lines of `heroku logs`.
    pub form: Form,
}

impl Origin {
    /// Frames of which nothing else is known.
    pub fn of(listener: ListenerId, form: Form) -> Origin {
        Origin {
            listener,
            peer: None,
            peer_name: None,
            token: None,
            user: None,
            labels: Vec::new(),
            logplex: false,
            form,
        }
    }

    /// Syslog frames from `peer`, of whom nothing else is known.
    pub fn of_peer(listener: ListenerId, peer: IpAddr, peer_name: Option<Box<str>>) -> Origin {
        Origin { peer: Some(peer), peer_name, ..Origin::of(listener, Form::Syslog) }
    }
}

/// How the bytes of a run's frames are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// RFC 5424, RFC 3164 and what Heroku makes of them.
    Syslog,
    /// Syslog, or what `heroku logs` prints (replay only).
    SyslogOrTail,
    /// One JSON object of `/ingest`.
    IngestJson,
    /// One text line of `/ingest`.
    IngestText,
}

/// Where the ids of a run's events come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// INSTANCE-NUMBER-K: K the frame's place in the batch, from 1.
    Batch,
    /// FRAMEID-K: `first` is the K of the run's first frame, counted from the end of the POST, the last being 1.
    /// `continues`: the run before, in the batch before, is of the same POST. `lead_loss` is the N of a loss notice that
    /// leads the POST.
    Post { frame_id: Arc<str>, first: u32, continues: bool, lead_loss: Option<u64> },
    /// r-FILE-OFFSET: the offsets stand in the frames' `offset`.
    File { file: u32 },
}

/// What the gate found out about a run's Frame-Id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Admission {
    #[default]
    Admitted,
    /// All its frames came before.
    Duplicate,
    /// All but the first frame, a loss notice of which `known` messages were told before.
    DuplicateButFirst { known: u64 },
}

/// Whole frames of one connection, body or file.
#[derive(Clone, Debug)]
pub struct Run {
    pub origin: Arc<Origin>,
    /// Range in the batch's frames.
    pub first: u32,
    pub len: u32,
    pub identity: Identity,
    pub admission: Admission,
    /// Receive time where it is not the batch's: replay and records.
    pub received_us: Option<i64>,
    /// Times without a year are read as the nearest to this one; absent: to the receive time.
    pub near_us: Option<i64>,
}

/// Bytes of one message in the batch, without its count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    pub at: u32,
    pub len: u32,
    /// Its first `frame_bytes` only.
    pub truncated: bool,
}

impl Frame {
    pub fn span(self) -> Span {
        Span::of(self.at as usize, (self.at + self.len) as usize)
    }
}

const PAGE: usize = 4096;

/// Bytes that start on a page: copies into them never hit the slow alignment of HOTPATH.md.
#[derive(Debug)]
struct Slab {
    bytes: Box<[u8]>,
    base: usize,
}

impl Slab {
    fn new(capacity: usize) -> Slab {
        let bytes = vec![0; capacity + PAGE + limits::SLACK_BYTES].into_boxed_slice();
        let base = bytes.as_ptr().align_offset(PAGE).min(PAGE);
        Slab { bytes, base }
    }

    fn capacity(&self) -> usize {
        self.bytes.len() - PAGE - limits::SLACK_BYTES
    }
}

/// Runs of frames with their bytes.
#[derive(Debug)]
pub struct Batch {
    /// 0 until the gate gives it one.
    pub number: Number,
    /// Receive time, microseconds since 1970; never goes back from one number to the next.
    pub received_us: i64,
    slab: Slab,
    /// Bytes in use.
    len: usize,
    pub runs: Vec<Run>,
    pub frames: Vec<Frame>,
    /// Offset of each frame in its file; only for runs of `Identity::File`, else empty.
    pub offsets: Vec<u64>,
}

impl Batch {
    /// An empty batch that holds `capacity` bytes.
    pub fn new(capacity: usize) -> Batch {
        Batch {
            number: 0,
            received_us: 0,
            slab: Slab::new(capacity),
            len: 0,
            runs: Vec::new(),
            frames: Vec::new(),
            offsets: Vec::new(),
        }
    }

    /// The capacity a batch needs so that any frame of `frame_bytes` fits behind its count.
    pub fn capacity_for(frame_bytes: usize) -> usize {
        limits::BATCH_BYTES
            .max((frame_bytes + limits::COUNT_DIGITS + 1 + limits::READ_MIN_BYTES).next_multiple_of(PAGE))
    }

    /// The largest frame for which a batch of `capacity` bytes is enough: the reverse of `capacity_for`.
    pub fn frame_bytes_max(capacity: usize) -> usize {
        capacity - limits::READ_MIN_BYTES - limits::COUNT_DIGITS - 1
    }

    /// Empties it, so that it can be filled anew.
    pub fn clear(&mut self) {
        self.number = 0;
        self.received_us = 0;
        self.len = 0;
        self.runs.clear();
        self.frames.clear();
        self.offsets.clear();
    }

    pub fn bytes(&self) -> &[u8] {
        &self.slab.bytes[self.slab.base..self.slab.base + self.len]
    }

    /// The bytes and `limits::SLACK_BYTES` behind them, which may hold anything: so that as many may be read at once from
    /// any place.
    pub fn padded(&self) -> &[u8] {
        &self.slab.bytes[self.slab.base..self.slab.base + self.len + limits::SLACK_BYTES]
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub fn capacity(&self) -> usize {
        self.slab.capacity()
    }

    /// Bytes that still fit.
    pub fn room(&self) -> usize {
        self.slab.capacity() - self.len
    }

    /// Whether it should leave: full of frames, or no room for a read of the least size.
    pub fn is_full(&self) -> bool {
        self.frames.len() >= limits::BATCH_FRAMES || self.room() < limits::READ_MIN_BYTES
    }

    /// The free bytes, to read into; `commit` makes them part of the batch.
    pub fn free(&mut self) -> &mut [u8] {
        let start = self.slab.base + self.len;
        let end = self.slab.base + self.slab.capacity();
        &mut self.slab.bytes[start..end]
    }

    /// What a framer works on: offset of the first free byte, the free bytes, and the list for the frames found in them.
    pub fn framing(&mut self) -> (usize, &[u8], &mut Vec<Frame>) {
        let start = self.slab.base + self.len;
        let end = self.slab.base + self.slab.capacity();
        (self.len, &self.slab.bytes[start..end], &mut self.frames)
    }

    /// Makes the first `n` free bytes part of the batch.
    pub fn commit(&mut self, n: usize) {
        debug_assert!(n <= self.room());
        self.len += n;
    }

    /// Copies `bytes` behind what is there and returns their offset; the caller has seen to it that they fit.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let at = self.len;
        self.free()[..bytes.len()].copy_from_slice(bytes);
        self.commit(bytes.len());
        at
    }

    /// Adds the frame at `at`, of the run that `close_run` will close.
    pub fn push_frame(&mut self, at: usize, len: usize, truncated: bool) {
        self.frames.push(Frame { at: at as u32, len: len as u32, truncated });
    }

    /// Makes a run of the frames since the last one; does nothing if there are none. Returns how many there are.
    pub fn close_run(&mut self, origin: &Arc<Origin>, identity: Identity) -> u32 {
        let first = self.runs.last().map_or(0, |run| run.first + run.len);
        let len = self.frames.len() as u32 - first;
        if len > 0 {
            self.runs.push(Run {
                origin: origin.clone(),
                first,
                len,
                identity,
                admission: Admission::Admitted,
                received_us: None,
                near_us: None,
            });
        }
        len
    }

    /// The frames of a run.
    pub fn frames_of(&self, run: &Run) -> &[Frame] {
        &self.frames[run.first as usize..(run.first + run.len) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_starts_on_a_page_and_holds_any_frame() {
        for frame_bytes in [1, limits::FRAME_BYTES, 1 << 20] {
            let mut batch = Batch::new(Batch::capacity_for(frame_bytes));
            assert_eq!(batch.free().as_ptr() as usize % PAGE, 0);
            assert!(batch.room() >= frame_bytes + limits::COUNT_DIGITS + 1 + limits::READ_MIN_BYTES);
        }
    }
}
