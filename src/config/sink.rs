//! The sinks of a pipeline: what all kinds share and what each kind has of its own.
//!
//! Deliberately absent: opening anything; `deliver` does that from these values.

use std::collections::BTreeMap;
use std::time::Duration;

use super::template::Template;
use super::value::{Secret, Text};
use super::written::Filter;
pub use crate::feed::WhenFull;
use crate::plan::Format;

/// Where events go, and in which form.
#[derive(Clone, Debug, PartialEq)]
pub struct Sink {
    /// One to 64 of `[A-Za-z0-9._-]`.
    pub name: String,
    pub format: Format,
    pub when_full: WhenFull,
    pub filter: Filter,
    pub kind: SinkKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SinkKind {
    File(FileSink),
    Stdout,
    Kafka(Box<KafkaSink>),
    Blackhole,
}

impl SinkKind {
    /// Returns the kind as the file spells it.
    pub fn as_str(&self) -> &'static str {
        match self {
            SinkKind::File(_) => "file",
            SinkKind::Stdout => "stdout",
            SinkKind::Kafka(_) => "kafka",
            SinkKind::Blackhole => "blackhole",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSink {
    /// Folder that no path leaves; relative to the working directory.
    pub root: Text,
    /// Path below `root`; never absolute, never with `..`.
    pub path: Template,
    pub rotate: Rotate,
    pub compress: Compress,
}

/// When a file is finished and the next one begun; whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotate {
    /// `None` means at no size.
    pub bytes: Option<u64>,
    /// `None` means at no age.
    pub every: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compress {
    None,
    Gzip,
    Zstd,
}

#[derive(Clone, Debug, PartialEq)]
pub struct KafkaSink {
    /// `HOST:PORT` each; at least one.
    pub brokers: Vec<Text>,
    pub topic: Template,
    pub key: KafkaKey,
    pub headers: Vec<KafkaHeader>,
    /// Events packed into one message, all of one drain.
    pub events_per_message: usize,
    /// Any option of librdkafka, as text; may hold passwords, so none is ever printed.
    pub options: BTreeMap<String, Secret>,
    pub sasl: Option<Sasl>,
    pub tls: Option<KafkaTls>,
    /// File that takes the records which the broker refuses for good; relative to the working directory.
    pub dead_letters: Text,
}

/// What a message's key is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KafkaKey {
    Drain,
    Computer,
    Listener,
    Kind,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KafkaHeader {
    Id,
    Kind,
    Schema,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sasl {
    /// As librdkafka spells it: `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub mechanism: &'static str,
    pub username: Text,
    pub password: Secret,
}

/// TLS towards the brokers, as paths to PEM files; all absent means the system's authorities and no client certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KafkaTls {
    pub ca: Option<Text>,
    pub cert: Option<Text>,
    pub key: Option<Text>,
}
