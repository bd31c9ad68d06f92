//! Turns a pipeline file into a [`Pipeline`] that can be run, or into every complaint there is about it.
//!
//! Two forms of configuration exist: the tree that was written ([`node`], each value with its line and column) and
//! the [`Pipeline`] that is usable (defaults filled in, addresses parsed, patterns tried, units resolved). One
//! fallible step lies between them, [`read_pipeline`]; nothing later than it can find the file wrong.
//!
//! Invariants: all problems of a file are reported at once; text that came from an environment variable is in no
//! message and in no `Debug` output; the keys, ranges and choices stand once, in [`schema`], from which the reader,
//! the hints and the JSON schema all take them.
//!
//! Deliberately absent: opening sockets, files or certificates. That a certificate file exists is asked through
//! [`Surroundings`]; what is in it is the receiver's affair.

mod check;
mod defaults;
mod device;
pub(crate) mod node;
mod notifier;
mod problems;
mod proxies;
pub(crate) mod read;
mod reload;
pub mod schema;
mod sink;
mod template;
mod units;
mod url;
mod value;
mod written;

pub use device::{DeviceId, DeviceRule};
pub use notifier::{
    Alertmanager, Allowed, KafkaTopic, LinesFile, Mail, Notifier, NotifierKind, SignIn, Slack, Webhook,
};
pub use problems::{Problem, Problems, Snippet};
pub use read::{Surroundings, load, read_pipeline};
pub use reload::{Difference, NeedsRestart, difference};
pub use sink::Cluster;
pub use sink::{
    Compress, FileSink, KafkaHeader, KafkaKey, KafkaSink, KafkaTls, Rotate, Sasl, Sink, SinkKind, WhenFull,
};
pub use template::{Part, Template, Variable};
pub(crate) use units::show_duration;
pub use units::{duration, size, zone};
pub use url::{Scheme, Url};
pub use value::{Secret, Text};
pub use written::{Filter, Sample, Source, Written};

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use ipnet::IpNet;
use jiff::tz::TimeZone;

pub use crate::frame::Framing;
pub use crate::plan::watch::Ledger as LedgerSettings;
pub use crate::plan::{Format, OnNoMatch};

/// The compiled-in pipeline as `weir config` prints it; it reads as exactly [`Pipeline::default`].
pub const DEFAULT_TEXT: &str = include_str!("../../pipelines/heroku/pipeline.yaml");

/// A pipeline file, checked and complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// Receivers and shards, that many of each; `None` means one each per core.
    pub threads: Option<NonZeroUsize>,
    /// Whether the processor's vector instructions are used.
    pub vectors: bool,
    /// Serves `/metrics`, `/healthz` and `/readyz`.
    pub observe: SocketAddr,
    /// Serves `/books` and `/api/v1/packs`; always a loopback address.
    pub admin: SocketAddr,
    /// Networks whose addresses never count as the client; presets are already expanded.
    pub trusted_proxies: Vec<IpNet>,
    /// How long a shutdown may take before what is left counts as dropped.
    pub shutdown_after: Duration,
    /// Zone of the times in the `eventtracker` view.
    pub zone: TimeZone,
    pub log: Log,
    /// Batches in flight at most.
    pub slots: usize,
    /// Bytes of encoded events in flight above which no slot is given.
    pub parcel_bytes: usize,
    /// Ids of packs that are compiled in or were imported, or paths of others; in this order.
    pub packs: Vec<Text>,
    /// The file of what the site changes about its packs.
    pub overlay: Text,
    pub state: State,
    /// How windows are kept.
    pub ledger: LedgerSettings,
    /// Where reports are written.
    pub reports: Reports,
    /// Where countries are looked up; absent: in the table that is compiled in.
    pub geo: Option<Geo>,
    /// What no output shows, besides what the packs mask.
    pub redact: Vec<Written>,
    /// In the order of the file, the disabled ones too; names are unique. Empty only where the key is absent, for `replay`.
    pub listeners: Vec<Listener>,
    /// By drain token.
    pub drains: BTreeMap<String, Drain>,
    /// In the order of the file; names are unique.
    pub sinks: Vec<Sink>,
    /// Whom alerts are told to, in the order of the file; names are unique.
    pub notifiers: Vec<Notifier>,
    /// For messages about what is read only when the packs are known.
    pub source: Source,
}

/// Where reports are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reports {
    /// Absent: nowhere.
    pub dir: Option<std::path::PathBuf>,
    /// Of reports that have none; absent: the pipeline's.
    pub zone: Option<TimeZone>,
    /// Bytes of rows that are on disk at most.
    pub spool_bytes: u64,
}

impl Default for Reports {
    fn default() -> Reports {
        Reports { dir: None, zone: None, spool_bytes: 1 << 30 }
    }
}

/// A table of countries of the site's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geo {
    /// An .mmdb file.
    pub file: Text,
    /// What is said where countries are shown; absent: what its maker asks for.
    pub attribution: Option<Text>,
}

/// What outlives a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Folder of imported packs and of what the ledger keeps.
    pub dir: Text,
    /// How often the ledger's state is written.
    pub every: Duration,
}

/// How weir itself logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    pub format: LogFormat,
    pub level: LogLevel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// Returns the level as the file and tracing's filter spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

/// A named port with its own rules: the guide's virtual collection point.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// One to 64 of `[A-Za-z0-9._-]`.
    pub name: String,
    pub kind: ListenerKind,
    pub enabled: bool,
    /// Port 0 lets the kernel choose.
    pub bind: SocketAddr,
    pub description: Text,
    /// Never set for UDP.
    pub tls: Option<Tls>,
    pub framing: Framing,
    pub parse: Parse,
    /// Whether a PROXY protocol header, version 1 or 2, is read at the start of a connection.
    pub proxy_protocol: bool,
    /// Whether the sender's address is resolved to a host name.
    pub resolve_names: bool,
    /// Zone of RFC 3164 times, which name none.
    pub time_zone: TimeZone,
    pub device_id: DeviceId,
    /// Passwords by user name; without any, requests need no authentication.
    pub users: BTreeMap<String, Secret>,
    /// Drain tokens that are let in; empty means all.
    pub drain_tokens: Vec<Text>,
    /// How long a syslog sender may wait for a slot before its frames are counted and discarded; `None` means for ever.
    pub shed_after: Option<Duration>,
    pub limits: Limits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    Tcp,
    Udp,
    Http,
}

impl ListenerKind {
    /// Returns the kind as the file spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            ListenerKind::Tcp => "tcp",
            ListenerKind::Udp => "udp",
            ListenerKind::Http => "http",
        }
    }
}

/// Certificates of a listener, as paths to PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    pub cert: Text,
    pub key: Text,
    /// Certificates that sign the clients'; when set, a client has to present one.
    pub client_ca: Option<Text>,
    pub mode: TlsMode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// A first byte of 0x16 is TLS, anything else plain.
    Sniff,
    Require,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parse {
    Full,
    /// Frames are counted and dropped.
    None,
}

/// What one listener allows its senders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a frame that are kept.
    pub frame_bytes: usize,
    /// Bytes of a request's body, after inflating.
    pub body_bytes: usize,
    pub connections: usize,
    /// Silence after which a connection is closed.
    pub idle: Duration,
    /// Time for a TLS handshake.
    pub handshake: Duration,
    /// Time from a request's head to the end of its body.
    pub request: Duration,
}

/// What is known of a drain besides its token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drain {
    pub computer: Option<Text>,
    pub labels: BTreeMap<String, Text>,
}

impl Pipeline {
    /// Describes the pipeline in a few lines: each listener and each sink.
    pub fn summary(&self) -> String {
        let mut out = String::new();
        for listener in &self.listeners {
            let state = if listener.enabled { "" } else { " (disabled)" };
            let tls = match listener.tls.as_ref().map(|tls| tls.mode) {
                None => "",
                Some(TlsMode::Sniff) => ", plain or TLS",
                Some(TlsMode::Require) => ", TLS",
            };
            out.push_str(&format!(
                "  listener {}: {} {}{tls}{state}\n",
                listener.name,
                listener.kind.as_str(),
                listener.bind
            ));
        }
        for sink in &self.sinks {
            out.push_str(&format!("  sink {}: {}\n", sink.name, sink.kind.as_str()));
        }
        for notifier in &self.notifiers {
            out.push_str(&format!("  notifier {}: {}\n", notifier.name, notifier.kind.as_str()));
        }
        if self.listeners.is_empty() {
            out.push_str("  no listeners: for `weir replay` only\n");
        }
        if self.sinks.is_empty() {
            out.push_str("  no sinks: events are only counted\n");
        }
        out
    }
}
