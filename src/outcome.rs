//! What a shard makes of a batch: one `Outcome`, with the encoded bytes, the books' figures and perhaps a `Tally`.

use std::sync::Arc;

use crate::batch::{ListenerId, Number};
use crate::event::KindId;
use crate::signal::Signals;
pub use crate::signal::Word;
use crate::tally::Tally;

/// Where an event's bytes lie in a parcel, and what a sink needs to know to place them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// End of its bytes, the LF included; it starts where the one before ends.
    pub end: u32,
    /// Its id, in the parcel's `words`.
    pub id: Word,
    /// Drain, or empty.
    pub drain: Word,
    /// Computer, or empty.
    pub computer: Word,
    /// Name of the listener.
    pub listener: Word,
    pub kind: KindId,
    /// Microseconds since 1970: what `{date}` and `{hour}` are made from.
    pub received_us: i64,
}

/// Encoded events of one batch, for every sink of one output.
#[derive(Debug, Default)]
pub struct Parcel {
    pub number: Number,
    /// Index in the plan's outputs.
    pub output: usize,
    pub bytes: Vec<u8>,
    /// Events in `bytes`; `rows` has as many entries, or none where no sink of the output needs them.
    pub events: u32,
    pub rows: Vec<Row>,
    /// Ids, drains and computers that the rows name.
    pub words: Vec<u8>,
}

impl Parcel {
    pub fn word(&self, word: Word) -> &[u8] {
        word.of(&self.words)
    }

    /// The bytes of the row at `index`, its LF included.
    pub fn row_bytes(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.rows[index - 1].end as usize };
        &self.bytes[start..self.rows[index].end as usize]
    }

    /// Bytes of memory that it holds.
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity() + self.words.capacity() + self.rows.capacity() * size_of::<Row>()
    }
}

/// What became of a batch's admitted frames on the way to one output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    pub admitted: u64,
    /// Encoded and handed to the sinks.
    pub passed: u64,
    pub filtered: u64,
    pub quarantined: u64,
    /// Dropped because no device id rule matched.
    pub no_match: u64,
}

impl Share {
    pub fn add(&mut self, other: &Share) {
        self.admitted += other.admitted;
        self.passed += other.passed;
        self.filtered += other.filtered;
        self.quarantined += other.quarantined;
        self.no_match += other.no_match;
    }
}

/// Figures of one listener that only a shard can count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Apart {
    pub truncated: u64,
    pub lost_upstream: u64,
    pub bad_time: u64,
    pub invalid_utf8: u64,
    pub no_match: u64,
    /// Frames that are neither RFC 5424 nor RFC 3164; for `--strict`, not in the books.
    pub unparsed: u64,
}

impl Apart {
    pub fn add(&mut self, other: &Apart) {
        self.truncated += other.truncated;
        self.lost_upstream += other.lost_upstream;
        self.bad_time += other.bad_time;
        self.invalid_utf8 += other.invalid_utf8;
        self.no_match += other.no_match;
        self.unparsed += other.unparsed;
    }
}

/// What a shard made of a batch.
#[derive(Debug, Default)]
pub struct Outcome {
    pub number: Number,
    /// The batch's receive time.
    pub received_us: i64,
    /// By the plan's outputs; `None` where the output counts only, or nothing passed.
    pub parcels: Vec<Option<Arc<Parcel>>>,
    /// By the plan's outputs.
    pub shares: Vec<Share>,
    /// Of the listeners in the batch.
    pub apart: Vec<(ListenerId, Apart)>,
    /// Statistics that are served as they stand, now and then.
    pub tally: Option<Box<Tally>>,
    /// Frames set aside, one record a line as `replay --framing records` reads them.
    pub quarantine: Vec<u8>,
    /// What the ledger decides by; `None` if there is nothing to tell.
    pub signals: Option<Box<Signals>>,
}
