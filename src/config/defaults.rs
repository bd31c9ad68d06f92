//! The pipeline that runs when none is given.
//!
//! Its values come from `limits`; a test holds them, the tables of keys and the text that `weir config` prints
//! together.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use jiff::tz::TimeZone;
use regex_automata::PatternID;
use regex_automata::meta::Regex;

use super::template::Template;
use super::value::Text;
use super::{
    Compress, DeviceId, DeviceRule, FileSink, Format, Framing, Limits, Listener, ListenerKind, Log,
    LogFormat, LogLevel, OnNoMatch, Parse, Pipeline, Rotate, Sink, SinkKind, WhenFull,
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
            observe: OBSERVE,
            admin: ADMIN,
            trusted_proxies: Vec::new(),
            shutdown_after: Duration::from_secs(limits::SHUTDOWN_S),
            zone: TimeZone::UTC,
            log: LOG,
            slots: limits::SLOTS,
            parcel_bytes: limits::PARCEL_BYTES,
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
                kind: SinkKind::File(FileSink {
                    root: "weir-out".into(),
                    path: Template::path(&"{listener}/{date}.ndjson".into())
                        .expect("a test reads this template"),
                    rotate: ROTATE,
                    compress: Compress::None,
                }),
            }],
        }
    }
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

/// Accepts every frame and knows Heroku's drain token in the raw text.
impl Default for DeviceId {
    fn default() -> DeviceId {
        DeviceId { on_no_match: OnNoMatch::Accept, rules: vec![DeviceRule::heroku()] }
    }
}

impl DeviceRule {
    /// Returns the vendor guide's rule: the drain token that follows the offset of a time.
    pub(super) fn heroku() -> DeviceRule {
        const PATTERN: &str = r"\+\d+:\d+\s(?P<Computer>d\.[^\s]+)";
        let syntax = regex_automata::util::syntax::Config::new().utf8(false);
        let config = Regex::config().utf8_empty(false);
        let regex = Regex::builder()
            .syntax(syntax)
            .configure(config)
            .build(PATTERN)
            .expect("a test compiles this pattern");
        let group =
            regex.group_info().to_index(PatternID::ZERO, "Computer").expect("the pattern names its group");
        DeviceRule {
            pattern: Text::plain(PATTERN),
            token: Text::plain("Computer"),
            regex,
            group,
            active: true,
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
        let short = "weir: pipeline/v1\nlisteners: [{name: a, kind: tcp, bind: ':0'}]\nsinks:\n\
            - {name: f, kind: file, root: weir-out, path: x, rotate: {}}\n";
        let (short, default) = (read(short), Pipeline::default());
        let SinkKind::File(file) = &short.sinks[0].kind else { panic!("a file sink") };
        assert_eq!(file.rotate, ROTATE);
        let listener = Listener { limits: Limits::default(), ..short.listeners[0].clone() };
        assert_eq!(listener, short.listeners[0]);
        let expect = Pipeline { listeners: short.listeners.clone(), sinks: short.sinks.clone(), ..default };
        assert_eq!(short, expect);
    }

    #[test]
    fn the_built_in_rule_finds_the_guides_sample() {
        let rule = DeviceRule::heroku();
        let frame = b"1 2021-01-24T09:51:24.537546+00:00 d.5a8fd083-0972 heroku web.1 - - source=web.1";
        let mut captures = rule.regex().create_captures();
        rule.regex().captures(frame, &mut captures);
        let span = captures.get_group(rule.group()).expect("a match");
        assert_eq!(&frame[span.range()], b"d.5a8fd083-0972");
    }
}
