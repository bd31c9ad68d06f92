//! The plan: everything that the shards and the ledger need to know, immutable and compiled from the pipeline.
//!
//! A reload compiles a new plan and swaps it while the gate is shut; no batch sees two. Listeners are only ever added,
//! so that an id stays valid. Nothing here knows a socket or a file.

pub mod device;
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

/// One form of output; sinks of equal form share its parcels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// `None` counts only: no bytes are made.
    pub format: Option<Format>,
    /// Whether some sink of it needs `Row`s (path or topic variables, keys).
    pub rows: bool,
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
        }
    }

    pub fn listener(&self, id: ListenerId) -> &Listener {
        &self.listeners[id.0 as usize]
    }
}
