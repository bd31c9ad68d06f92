//! The step from what was written to what is usable: reads a pipeline section by section.
//!
//! It never stops at a problem. What spans several keys or sections is left to `check`, which is called with the
//! places of what was read.

mod notifier;
mod reader;
mod sink;
mod variables;

use std::collections::BTreeMap;
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

pub(crate) use reader::{Fields, Placed, Reader, example};

use super::check::{self, Place, Places};
use super::node::{self, Node, Value};
use super::schema::{
    DEVICE_ID, DEVICE_RULE, DRAIN, GEO, LEDGER, LIMITS, LISTENER, LISTENER_TLS, LOG, PIPELINE, REPORTS, STATE,
};
use super::value::{Secret, Text};
use super::{
    DeviceId, DeviceRule, Drain, Framing, Geo, LedgerSettings, Limits, Listener, ListenerKind, Log,
    LogFormat, LogLevel, OnNoMatch, Parse, Pipeline, Problem, Problems, Source, State, Tls, TlsMode,
    defaults,
};
use crate::plan::device::{DeviceRuleError, DeviceRules};

/// Bytes of a pipeline file: room for a hundred thousand drains.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// What a pipeline file refers to outside itself.
pub struct Surroundings<'a> {
    /// Looks an environment variable up.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// Checks that a file can be read; else says why not.
    pub file: &'a dyn Fn(&Path) -> Result<(), String>,
}

/// Reads the pipeline file at `path`, with this process's environment and files.
///
/// # Errors
/// Every problem of the file, in its order; one without a line if it cannot be read at all.
pub fn load(path: &Path) -> Result<Pipeline, Problems> {
    let name = path.display().to_string();
    let text = text_of(path, "the pipeline", FILE_BYTES_MAX).map_err(|message| {
        let mut problems = Problems::default();
        problems.push(Problem { file: name.clone(), line: 0, column: 0, message, hint: None, snippet: None });
        problems
    })?;
    let file = |path: &Path| match std::fs::File::open(path).and_then(|file| file.metadata()) {
        Ok(metadata) if metadata.is_dir() => Err("it is a folder".to_string()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    };
    let variable = |name: &str| std::env::var(name).ok();
    read_pipeline(&name, &text, &Surroundings { variable: &variable, file: &file })
}

/// Returns the text of a file of at most `bytes_max` bytes, which messages call `what`; else why there is none.
pub(crate) fn text_of(path: &Path, what: &str, bytes_max: u64) -> Result<String, String> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| format!("cannot read {what}: {error}"))?;
    let read = file.take(bytes_max + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("cannot read {what}: {error}"))?;
    if bytes.len() as u64 > bytes_max {
        return Err(format!("{what} is larger than {bytes_max} bytes"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        format!("{what} is not UTF-8 at byte {good}")
    })
}

/// Reads a pipeline from `text`; `name` is what messages call it.
///
/// # Errors
/// Every problem of the text, in its order.
pub fn read_pipeline(name: &str, text: &str, around: &Surroundings<'_>) -> Result<Pipeline, Problems> {
    let tree = node::parse(text);
    let mut reader = Reader::new(&tree, around);
    let pipeline = match &tree.root {
        Some(root) => pipeline(&mut reader, root),
        None => {
            if reader.whole() {
                let at = node::At { line: 1, column: 1 };
                reader.note(at, "the pipeline is empty", "`weir config` prints one to start from");
            }
            None
        }
    };
    match pipeline {
        Some(mut pipeline) if reader.is_clean() => {
            if !pipeline.redact.is_empty() || pipeline.sinks.iter().any(|sink| !sink.filter.takes_all()) {
                pipeline.source = reader.source(name, text);
            }
            Ok(pipeline)
        }
        _ => Err(reader.problems(name, text)),
    }
}

fn pipeline(r: &mut Reader<'_>, root: &Node) -> Option<Pipeline> {
    let f = r.fields(root, PIPELINE)?;
    version(r, &f);
    let threads = r.amount(&f, "threads").and_then(|n| NonZeroUsize::new(usize::try_from(n).ok()?));
    let observe = r.address(&f, "observe");
    let admin = r.address(&f, "admin");
    let mut places = Places::default();
    places.address("observe", &observe);
    places.address("admin", &admin);
    // What is no list of listeners is complained about as that alone.
    places.enabled =
        f.node("listeners").is_some_and(|node| !node.is_null() && !matches!(node.value, Value::List(_)));
    let listeners = r.list(&f, "listeners", |r, node, _| listener(r, node, &mut places));
    let sinks = r.list(&f, "sinks", |r, node, _| sink::sink(r, node, &mut places));
    let notifiers = r.list(&f, "notifiers", |r, node, _| notifier::notifier(r, node, &mut places));
    check::all(r, &f, &places);
    Some(Pipeline {
        threads,
        vectors: r.choice(&f, "vectors") == "auto",
        observe: observe.map_or(defaults::OBSERVE, |address| address.value.0),
        admin: admin.map_or(defaults::ADMIN, |address| address.value.0),
        trusted_proxies: r.list(&f, "trusted_proxies", |r, node, key| r.networks(node, key)).concat(),
        shutdown_after: r.duration(&f, "shutdown_after").unwrap_or_default(),
        zone: r.zone(&f, "zone"),
        log: f.node("log").and_then(|node| log(r, node)).unwrap_or(defaults::LOG),
        slots: r.count(&f, "slots"),
        parcel_bytes: r.count(&f, "parcel_bytes"),
        packs: match f.node("packs") {
            None => defaults::packs(),
            Some(_) => r.list(&f, "packs", |r, node, key| r.scalar(node, key)),
        },
        reports: f.node("reports").and_then(|node| reports(r, node)).unwrap_or_default(),
        overlay: r.text(&f, "overlay").unwrap_or_default(),
        state: f.node("state").and_then(|node| state(r, node)).unwrap_or_else(defaults::state),
        ledger: f.node("ledger").and_then(|node| ledger(r, node)).unwrap_or_default(),
        geo: f.node("geo").and_then(|node| geo(r, node)),
        redact: r.list(&f, "redact", |r, node, _| {
            r.written(node, "a mask", "`{id: email, builtin: email, mode: on}`")
        }),
        listeners,
        drains: r
            .map(&f, "drains", |r, node, _| drain(r, node))
            .into_iter()
            .map(|(k, v)| (k.value, v))
            .collect(),
        sinks,
        notifiers,
        source: Source::default(),
    })
}

fn version(r: &mut Reader<'_>, f: &Fields<'_>) {
    let at = f.value_at("weir");
    if let Some(text) = r.text(f, "weir")
        && text.as_str() != "pipeline/v1"
    {
        let message = format!("this version does not read `{}`", text.shown());
        r.note(at, message, "it reads `weir: pipeline/v1`");
    }
}

fn state(r: &mut Reader<'_>, node: &Node) -> Option<State> {
    let f = r.fields(node, STATE)?;
    Some(State {
        dir: r.text(&f, "dir").unwrap_or_default(),
        every: r.duration(&f, "every").unwrap_or_default(),
    })
}

fn log(r: &mut Reader<'_>, node: &Node) -> Option<Log> {
    let f = r.fields(node, LOG)?;
    Some(Log {
        format: match r.choice(&f, "format") {
            "json" => LogFormat::Json,
            _ => LogFormat::Text,
        },
        level: match r.choice(&f, "level") {
            "error" => LogLevel::Error,
            "warn" => LogLevel::Warn,
            "debug" => LogLevel::Debug,
            "trace" => LogLevel::Trace,
            _ => LogLevel::Info,
        },
    })
}

fn reports(r: &mut Reader<'_>, node: &Node) -> Option<super::Reports> {
    let f = r.fields(node, REPORTS)?;
    Some(super::Reports {
        dir: r.text(&f, "dir").map(|dir| dir.as_str().into()),
        zone: Some(r.zone(&f, "zone")),
        spool_bytes: r.amount(&f, "spool_bytes").unwrap_or_default(),
    })
}

fn geo(r: &mut Reader<'_>, node: &Node) -> Option<Geo> {
    let f = r.fields(node, GEO)?;
    let (file, attribution) = (r.text(&f, "file"), r.text(&f, "attribution"));
    r.file(&f, "file", file.as_ref());
    Some(Geo { file: file?, attribution })
}

fn ledger(r: &mut Reader<'_>, node: &Node) -> Option<LedgerSettings> {
    let f = r.fields(node, LEDGER)?;
    let us = |duration: Option<Duration>| duration.map_or(0, |duration| duration.as_micros() as i64);
    Some(LedgerSettings {
        lateness_us: us(r.duration(&f, "lateness")),
        skew_max_us: us(r.duration(&f, "skew_max")),
        keys_max: r.count(&f, "keys_max"),
    })
}

fn listener(r: &mut Reader<'_>, node: &Node, places: &mut Places) -> Option<Listener> {
    let Some(f) = r.fields(node, LISTENER) else {
        places.enabled = true;
        return None;
    };
    let name = r.name(&f);
    let kind = match r.choice(&f, "kind") {
        "udp" => ListenerKind::Udp,
        "http" => ListenerKind::Http,
        _ => ListenerKind::Tcp,
    };
    let enabled = r.flag(&f, "enabled");
    let bind = r.address(&f, "bind");
    places.listener(&name, &bind, kind, enabled);
    let tls = f.node("tls").and_then(|node| tls(r, node, enabled));
    if kind == ListenerKind::Udp && f.node("tls").is_some() {
        let message = "`tls` on a listener of kind `udp`";
        r.note(f.key_at("tls"), message, "datagrams are not encrypted; use `kind: tcp` for TLS");
    }
    Some(Listener {
        name: name.map_or(String::new(), |name| name.value.to_string()),
        kind,
        enabled,
        bind: bind.map_or(defaults::OBSERVE, |bind| bind.value.0),
        description: r.text(&f, "description").unwrap_or_default(),
        tls,
        framing: match r.choice(&f, "framing") {
            "octet" => Framing::Octet,
            "newline" => Framing::Newline,
            _ => Framing::Auto,
        },
        parse: match r.choice(&f, "parse") {
            "none" => Parse::None,
            _ => Parse::Full,
        },
        proxy_protocol: r.choice(&f, "proxy_protocol") == "v1v2",
        resolve_names: r.flag(&f, "resolve_names"),
        time_zone: r.zone(&f, "time_zone"),
        device_id: f.node("device_id").and_then(|node| device_id(r, node)).unwrap_or_default(),
        users: users(r, &f),
        drain_tokens: r.list(&f, "drain_tokens", |r, node, key| r.scalar(node, key)),
        shed_after: r.duration(&f, "shed_after"),
        limits: f.node("limits").and_then(|node| limits(r, node)).unwrap_or_default(),
    })
}

fn tls(r: &mut Reader<'_>, node: &Node, enabled: bool) -> Option<Tls> {
    let f = r.fields(node, LISTENER_TLS)?;
    let (cert, key, client_ca) = (r.text(&f, "cert"), r.text(&f, "key"), r.text(&f, "client_ca"));
    if enabled {
        r.file(&f, "cert", cert.as_ref());
        r.file(&f, "key", key.as_ref());
        r.file(&f, "client_ca", client_ca.as_ref());
    }
    let mode = match r.choice(&f, "mode") {
        "require" => TlsMode::Require,
        _ => TlsMode::Sniff,
    };
    Some(Tls { cert: cert.unwrap_or_default(), key: key.unwrap_or_default(), client_ca, mode })
}

/// Reads the passwords of a listener; an empty one would let everybody in.
fn users(r: &mut Reader<'_>, f: &Fields<'_>) -> BTreeMap<String, Secret> {
    let users = r.map(f, "users", |r, node, key| {
        let password = r.scalar(node, key)?;
        if password.is_empty() {
            r.note(node.at, "the password is empty", "is its environment variable empty?");
        }
        Some(Secret::new(password.as_str()))
    });
    let mut out = BTreeMap::new();
    for (user, password) in users {
        if user.value.contains(':') {
            let message = format!("the user name `{}` holds a colon", user.value);
            r.note(user.at, message, "Basic authentication ends a name at its first colon");
        }
        out.insert(user.value, password);
    }
    out
}

fn device_id(r: &mut Reader<'_>, node: &Node) -> Option<DeviceId> {
    let f = r.fields(node, DEVICE_ID)?;
    let on_no_match = f.node("on_no_match").map(|_| OnNoMatch::named(r.choice(&f, "on_no_match")));
    let mut rules = r.list(&f, "rules", |r, node, _| device_rule(r, node));
    let built_in = DeviceRule::heroku();
    if !rules.iter().any(|rule| rule.active && rule.pattern == built_in.pattern) {
        rules.push(built_in);
    }
    Some(DeviceId { on_no_match, rules })
}

fn device_rule(r: &mut Reader<'_>, node: &Node) -> Option<DeviceRule> {
    let f = r.fields(node, DEVICE_RULE)?;
    let pattern = r.text(&f, "pattern");
    let token = r.text(&f, "token");
    let active = r.flag(&f, "active");
    let rule = DeviceRule { pattern: pattern?, token: token?, active };
    match DeviceRules::new(&[(rule.pattern(), rule.token())]) {
        Ok(_) => return Some(rule),
        Err((_, DeviceRuleError::Pattern(error))) => {
            // The compiler may repeat what it read, so its word counts only where the file holds the pattern.
            let reason = match (error.size_limit(), rule.pattern.shown() == rule.pattern()) {
                (Some(limit), _) => format!("it needs more than {limit} bytes"),
                (None, true) => error.syntax_error().map_or(error.to_string(), last_line),
                (None, false) => "its syntax is wrong".into(),
            };
            let hint =
                r"example: `'\s(?P<Computer>d\.\S+)'`; look-around and back-references are not supported";
            r.note(f.value_at("pattern"), format!("the pattern cannot be compiled: {reason}"), hint);
        }
        Err((_, DeviceRuleError::NoGroup(_))) => {
            let message = format!("the pattern has no group `{}`", rule.token.shown());
            r.note(f.value_at("token"), message, "a group has its name within: `(?P<Computer>...)`");
        }
    }
    None
}

/// Returns the line of a pattern's error that says what is wrong; those above it draw the pattern.
pub(crate) fn last_line(error: impl std::fmt::Display) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").into()
}

fn limits(r: &mut Reader<'_>, node: &Node) -> Option<Limits> {
    let f = r.fields(node, LIMITS)?;
    Some(Limits {
        frame_bytes: r.count(&f, "frame_bytes"),
        body_bytes: r.count(&f, "body_bytes"),
        connections: r.count(&f, "connections"),
        idle: r.duration(&f, "idle").unwrap_or_default(),
        handshake: r.duration(&f, "handshake").unwrap_or_default(),
        request: r.duration(&f, "request").unwrap_or_default(),
    })
}

fn drain(r: &mut Reader<'_>, node: &Node) -> Option<Drain> {
    let f = r.fields(node, DRAIN)?;
    let labels = r.map(&f, "labels", |r, node, key| r.scalar(node, key));
    Some(Drain {
        computer: r.text(&f, "computer"),
        labels: labels.into_iter().map(|(name, value): (Placed<String>, Text)| (name.value, value)).collect(),
    })
}

impl Places {
    fn address(&mut self, name: &'static str, address: &Option<Placed<(std::net::SocketAddr, String)>>) {
        if let Some(Placed { at, value: (address, shown) }) = address {
            self.services.push(Place { at: *at, value: (name, *address), shown: shown.clone() });
        }
    }

    fn listener(
        &mut self,
        name: &Option<Placed<Text>>,
        bind: &Option<Placed<(std::net::SocketAddr, String)>>,
        kind: ListenerKind,
        enabled: bool,
    ) {
        self.enabled |= enabled;
        let mut called = "?".to_string();
        if let Some(Placed { at, value }) = name {
            called = value.shown().into();
            let place = Place { at: *at, value: value.to_string(), shown: called.clone() };
            self.listener_names.push(place);
        }
        if let (Some(Placed { at, value: (address, _) }), true) = (bind, enabled) {
            self.ports.push(Place { at: *at, value: (kind, *address), shown: called });
        }
    }
}

#[cfg(test)]
mod tests;
