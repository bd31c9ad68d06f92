//! The pipeline that runs when none is given.
//!
//! Its values come from `limits`; a test holds them, the tables of keys and the text that `weir config` prints
//! together.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use jiff::tz::TimeZone;

use super::template::Template;
use super::{
    Compress, DeviceId, FileSink, Filter, Format, Framing, LedgerSettings, Limits, Listener, ListenerKind,
    Log, LogFormat, LogLevel, Parse, Pipeline, Reports, Rotate, Sink, SinkKind, Source, State, Text,
    WhenFull,
};
use crate::limits;

pub(super) const OBSERVE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9600);
pub(super) const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9601);
pub(super) const LOG: Log = Log { format: LogFormat::Text, level: LogLevel::Info };
pub(super) const ROTATE: Rotate = Rotate { bytes: Some(1 << 30), every: Some(Duration::from_secs(86_400)) };

impl Default for Pipeline {
    fn default() -> Pipeline {
        Pipeline {
            threads: None,
            vectors: true,
            observe: OBSERVE,
            admin: ADMIN,
            trusted_proxies: Vec::new(),
            shutdown_after: Duration::from_secs(limits::SHUTDOWN_S),
            zone: TimeZone::UTC,
            log: LOG,
            slots: limits::SLOTS,
            parcel_bytes: limits::PARCEL_BYTES,
            packs: packs(),
            overlay: "weir-state/overlay.yaml".into(),
            state: state(),
            geo: None,
            redact: Vec::new(),
            ledger: LedgerSettings::default(),
            reports: Reports::default(),
            listeners: vec![
                listener("heroku-syslog", ListenerKind::Tcp, 6514, "Heroku syslog drains over TCP"),
                listener("syslog-udp", ListenerKind::Udp, 5514, "Syslog over UDP"),
                listener("heroku-http", ListenerKind::Http, 8080, "Heroku HTTPS drains, and POST /ingest"),
            ],
            drains: BTreeMap::new(),
            sinks: vec![Sink {
                name: "events".into(),
                format: Format::Ndjson,
                when_full: WhenFull::Block,
                filter: Filter::default(),
                kind: SinkKind::File(FileSink {
                    root: "weir-out".into(),
                    path: Template::path(&"{listener}/{date}.ndjson".into())
                        .expect("a test reads this template"),
                    rotate: ROTATE,
                    compress: Compress::None,
                }),
            }],
            notifiers: Vec::new(),
            source: Source::default(),
        }
    }
}

/// What a pipeline knows of messages unless it says otherwise.
pub(super) fn packs() -> Vec<Text> {
    vec!["heroku".into()]
}

pub(super) fn state() -> State {
    State { dir: "weir-state".into(), every: Duration::from_secs(10) }
}

fn listener(name: &str, kind: ListenerKind, port: u16, description: &str) -> Listener {
    Listener {
        name: name.into(),
        kind,
        enabled: true,
        bind: SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
        description: description.into(),
        tls: None,
        framing: Framing::Auto,
        parse: Parse::Full,
        proxy_protocol: false,
        resolve_names: false,
        time_zone: TimeZone::UTC,
        device_id: DeviceId::default(),
        users: BTreeMap::new(),
        drain_tokens: Vec::new(),
        shed_after: Some(Duration::from_millis(limits::SHED_AFTER_MS)),
        limits: Limits::default(),
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            frame_bytes: limits::FRAME_BYTES,
            body_bytes: limits::BODY_BYTES,
            connections: limits::CONNECTIONS,
            idle: Duration::from_secs(limits::IDLE_S),
            handshake: Duration::from_secs(limits::HANDSHAKE_S),
            request: Duration::from_secs(limits::REQUEST_S),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DEFAULT_TEXT, Surroundings, read_pipeline};

    fn read(text: &str) -> Pipeline {
        let around = Surroundings { variable: &|_| None, file: &|_| Ok(()) };
        read_pipeline("default", text, &around).unwrap_or_else(|problems| panic!("{problems}"))
    }

    #[test]
    fn the_printed_pipeline_is_the_compiled_in_one() {
        assert_eq!(read(DEFAULT_TEXT), Pipeline::default());
    }

    #[test]
    fn the_tables_and_the_limits_agree() {
        let short = "weir: pipeline/v1\nlog: {}\nstate: {}\nlisteners:\n\
            - {name: a, kind: tcp, bind: ':0', limits: {}, device_id: {}}\nsinks:\n\
            - {name: f, kind: file, root: weir-out, path: x, rotate: {}}\n";
        let (short, default) = (read(short), Pipeline::default());
        let SinkKind::File(file) = &short.sinks[0].kind else { panic!("a file sink") };
        assert_eq!(file.rotate, ROTATE);
        assert_eq!(short.listeners, [listener("a", ListenerKind::Tcp, 0, "")]);
        let expect = Pipeline { listeners: short.listeners.clone(), sinks: short.sinks.clone(), ..default };
        assert_eq!(short, expect);
    }
}
