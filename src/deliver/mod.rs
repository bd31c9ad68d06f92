//! Sinks: somewhere to put bytes. A sink is its protocol and nothing else.
//!
//! Invariants: a sink takes every row at most once, however often the parcel is offered; its mark moves only over
//! numbers of which every row is safe or refused; no message holds a secret.
//!
//! Deliberately absent: threads, retry, back-off and metrics, which belong to the caller (`flow.rs`, `feed.rs`).

pub mod blackhole;
mod block;
pub mod dead_letters;
pub mod file;
pub mod kafka;
mod live;
mod syncer;
mod path;
pub mod stdout;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::batch::Number;
use crate::config;
use crate::outcome::Parcel;
use crate::plan::Output;

/// A row that a sink refused for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub number: Number,
    /// Index of the row in its parcel.
    pub row: u32,
    /// Why, one of a few fixed words: it becomes the `reason` of a counter (`too_large`, `invalid`).
    pub reason: &'static str,
    /// The event's id.
    pub id: Box<[u8]>,
    /// The row's bytes, its LF included, for the dead-letter file.
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
    /// taken a part of it goes on at the row where it stopped. One that was taken whole may be offered again.
    fn write(&mut self, parcel: &Arc<Parcel>) -> Result<(), SinkError>;

    /// The number up to which all is safe; never waits for the rest. Rows refused for good are appended.
    fn flush(&mut self, refused: &mut Vec<Refusal>) -> Result<Number, SinkError>;

    /// Takes note that no parcel with a number up to `number` will follow: nothing of them was for this sink.
    fn skip(&mut self, number: Number);

    /// Finishes files and connections, and purges what is still on its way. Called once, after the last `write`; a
    /// `flush` after it tells what became of the rest.
    fn close(&mut self);

    /// Opens its files anew (SIGHUP).
    fn reopen(&mut self) {}
}

/// A kind of sink: what the manual says of it, and how it is made.
#[derive(Debug)]
pub struct Kind {
    pub name: &'static str,
    pub summary: &'static str,
    /// An entry of the pipeline file's `sinks`.
    pub example: &'static str,
    open: fn(&config::Sink, &[&str]) -> Result<Opened, OpenError>,
}

/// Every kind of sink there is.
pub const KINDS: &[Kind] = &[file::KIND, kafka::KIND, stdout::KIND, blackhole::KIND];

/// A sink, and what it tells of itself.
pub struct Opened {
    pub sink: Box<dyn Sink>,
    pub readings: Readings,
}

/// Why a sink cannot be opened; the message ends with a hint.
#[derive(Debug)]
pub struct OpenError(String);

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OpenError {}

/// Figures of a sink by name, replaced now and then by the sink and read by whoever serves metrics. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Readings(Arc<Mutex<Vec<(&'static str, f64)>>>);

impl Readings {
    pub fn snapshot(&self) -> Vec<(&'static str, f64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, values: Vec<(&'static str, f64)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = values;
    }
}

/// Opens a sink; `kinds` are the names of the plan's kinds, by `KindId`. A broker that cannot be reached is no error.
pub fn open(sink: &config::Sink, kinds: &[&str]) -> Result<Opened, OpenError> {
    let name = sink.kind.as_str();
    let kind =
        KINDS.iter().find(|kind| kind.name == name).expect("every kind of the pipeline file is listed");
    (kind.open)(sink, kinds).map_err(|error| OpenError(format!("sink `{}`: {error}", sink.name)))
}

/// What a sink wants to be given, its filter apart.
pub fn output(sink: &config::Sink) -> Output {
    let rows = match &sink.kind {
        config::SinkKind::File(file) => !path::is_constant(&file.path),
        config::SinkKind::Kafka(_) => true,
        config::SinkKind::Stdout | config::SinkKind::Blackhole => false,
    };
    Output::new(Some(sink.format), rows)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Remembers for the end of the test run what could not be tested here.
    pub fn note_skipped(what: &str) {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/target/skipped.txt");
        let file = std::fs::File::options().append(true).create(true).open(path);
        writeln!(file.unwrap(), "{what}").unwrap();
    }

    #[test]
    fn kinds_are_named_once() {
        for (index, kind) in KINDS.iter().enumerate() {
            assert!(KINDS[..index].iter().all(|other| other.name != kind.name), "{}", kind.name);
            assert!(kind.example.contains(&format!("kind: {}", kind.name)), "{}", kind.example);
        }
    }
}
