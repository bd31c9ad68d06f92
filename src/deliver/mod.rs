//! Sinks: somewhere to put bytes. A sink is its protocol and nothing else; retry, backoff, metrics and dead letters
//! belong to the caller (`flow.rs` and `feed.rs`).

pub mod blackhole;
pub mod file;
pub mod kafka;
pub mod stdout;

use std::io;
use std::sync::Arc;

use crate::batch::Number;
use crate::outcome::Parcel;

/// A row that a sink refused for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub number: Number,
    /// Index of the row in its parcel.
    pub row: u32,
    /// Why, one of a few fixed words: it becomes the `reason` of a counter (`too_large`, `invalid`).
    pub reason: &'static str,
    /// The row's bytes, for the dead-letter file.
    pub bytes: Box<[u8]>,
}

/// Named for what the caller does next.
#[derive(Debug)]
pub enum SinkError {
    /// Full for now: offer the same parcel again; the sink goes on at the row where it stopped.
    Busy,
    /// Broken: wait, then offer again, from the first parcel after the mark. The sink heals itself in `write`.
    Lost(io::Error),
}

/// Somewhere to put bytes; has a thread of its own.
pub trait Sink: Send {
    /// Takes a parcel; parcels come in number order. After an error the same one is offered again, and a sink that has
    /// taken a part of it goes on at the row where it stopped.
    fn write(&mut self, parcel: &Arc<Parcel>) -> Result<(), SinkError>;

    /// The number up to which all is safe; never waits for the rest. Rows refused for good are appended.
    fn flush(&mut self, refused: &mut Vec<Refusal>) -> Result<Number, SinkError>;

    /// Takes note that no parcel with a number up to `number` will follow: nothing of them was for this sink.
    fn skip(&mut self, number: Number);

    /// Finishes files and connections; called once, after the last `flush` or when time is up.
    fn close(&mut self);

    /// Opens its files anew (SIGHUP).
    fn reopen(&mut self) {}
}
