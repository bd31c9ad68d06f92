//! The plan: everything that the shards and the ledger need to know, immutable and compiled from the pipeline.
//!
//! A reload compiles a new plan and swaps it while the gate is shut; no batch sees two. Listeners are only ever added,
//! so that an id stays valid. Nothing here knows a socket or a file.

pub mod concerns;
pub mod cron;
pub mod dashlet;
pub mod device;
pub mod mask;
pub mod metric;
pub mod report;
pub mod rules;
pub mod watch;

use std::sync::Arc;

use ipnet::IpNet;
use jiff::tz::TimeZone;

use self::device::DeviceRules;
use crate::batch::ListenerId;

/// What becomes of a frame that no device id rule names, when rules are there to name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnNoMatch {
    Accept,
    Drop,
    Quarantine,
}

/// What a shard needs to know of a listener.
#[derive(Debug)]
pub struct Listener {
    pub name: Box<str>,
    /// Frames are only counted: no event is made.
    pub count_only: bool,
    /// Zone of RFC 3164 times.
    pub time_zone: TimeZone,
    /// The listener's own rules, then the plan's.
    pub device_id: DeviceRules,
    pub on_no_match: OnNoMatch,
}

/// What is configured about a drain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drain {
    pub computer: Option<Box<str>>,
    /// Sorted by name.
    pub labels: Vec<(Box<str>, Box<str>)>,
}

/// The form in which events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    Ndjson,
    EventTracker,
}

/// Which events an output takes.
#[derive(Debug, PartialEq, Eq)]
pub struct Filter {
    /// What it says, as it was written: two that say the same are one, whatever the packs make of it.
    pub said: Box<str>,
    /// The one of the program's selects that must hold; absent: none has to.
    pub select: Option<u32>,
    /// The first whose select holds keeps one event in so many, by the hash of its id.
    pub sample: Vec<(u32, u64)>,
}

/// One form of output; sinks of equal form share its parcels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// `None` counts only: no bytes are made.
    pub format: Option<Format>,
    /// Whether some sink of it needs `Row`s (path or topic variables, keys).
    pub rows: bool,
    /// Absent: it takes every event.
    pub filter: Option<Arc<Filter>>,
}

/// What `received` says on an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// The batch's or the run's receive time.
    Arrival,
    /// The event's own time, where it has one (replay).
    Event,
}

#[derive(Clone, Debug)]
pub struct Plan {
    /// Grows with every reload; shapes of state carry it.
    pub generation: u64,
    /// First part of ids that have no Frame-Id.
    pub instance: Arc<str>,
    /// By `ListenerId`.
    pub listeners: Vec<Arc<Listener>>,
    pub drains: foldhash::HashMap<Box<str>, Drain>,
    /// Stand in where an event has none (replay's `--drain` and `--computer`).
    pub default_drain: Option<Box<str>>,
    pub default_computer: Option<Box<str>>,
    /// Addresses that `client_ip` looks past.
    pub trusted: Vec<IpNet>,
    /// Zone of the `eventtracker` view.
    pub zone: TimeZone,
    pub received: Received,
    pub outputs: Vec<Output>,
    /// What packs know; `None` is nothing.
    pub rules: Option<Arc<rules::Program>>,
    /// What is told to the ledger.
    pub watch: Arc<watch::Watch>,
    pub ledger: watch::Ledger,
    /// What no output shows; `None` is nothing.
    pub masks: Option<Arc<mask::Masks>>,
    /// Keys the hashes that stand for masked texts; equal in all plans of a process.
    pub key: [u64; 2],
}

impl OnNoMatch {
    /// The one of this name; accept for any other.
    pub fn named(name: &str) -> OnNoMatch {
        match name {
            "drop" => OnNoMatch::Drop,
            "quarantine" => OnNoMatch::Quarantine,
            _ => OnNoMatch::Accept,
        }
    }
}

impl Output {
    /// One that takes every event.
    pub fn new(format: Option<Format>, rows: bool) -> Output {
        Output { format, rows, filter: None }
    }
}

impl Listener {
    /// A listener that makes an event of each frame: no rules, times in UTC.
    pub fn new(name: &str) -> Listener {
        Listener {
            name: name.into(),
            count_only: false,
            time_zone: TimeZone::UTC,
            device_id: DeviceRules::default(),
            on_no_match: OnNoMatch::Accept,
        }
    }
}

impl Plan {
    /// A plan that reads and counts: no drains, outputs or rules, times in UTC.
    pub fn new(instance: Arc<str>, listeners: Vec<Arc<Listener>>) -> Plan {
        Plan {
            generation: 0,
            instance,
            listeners,
            drains: Default::default(),
            default_drain: None,
            default_computer: None,
            trusted: Vec::new(),
            zone: TimeZone::UTC,
            received: Received::Arrival,
            outputs: Vec::new(),
            rules: None,
            watch: Arc::default(),
            ledger: watch::Ledger::default(),
            masks: None,
            key: [0; 2],
        }
    }

    pub fn listener(&self, id: ListenerId) -> &Listener {
        &self.listeners[id.0 as usize]
    }
}
