//! What must hold for any bytes: one plain function a target, called by the fuzzer and by `cargo test` alike.
//!
//! A target panics where something does not hold and returns nothing. It reads no clock and no file, so an input that
//! failed once fails again.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde::de::IgnoredAny;
use serde_json::Value as Json;
use weir::batch::{Batch, Form, Identity, ListenerId, Origin};
use weir::config::{Surroundings, read_pipeline};
use weir::encode::{self, Written, eventtracker, json};
use weir::event::{Event, Flags, Span, Texts, Value};
use weir::frame::{End, Framer, Framing, Step};
use weir::parse::{self, Scratch, syslog, time};
use weir::plan::device::DeviceRules;
use weir::plan::{Listener, OnNoMatch, Plan, Received};

/// Every target by its name, which is also its folder's under `corpus`.
pub const TARGETS: &[(&str, fn(&[u8]))] =
    &[("frame", frame), ("header", header), ("event", event), ("json", json_body), ("pipeline", pipeline)];

/// Frames, how many bytes were garbage, and what the end gave.
type Framed = (Vec<(Vec<u8>, bool)>, u64);

/// Any split of a stream gives the same frames and the same garbage, and carries no more than is promised.
///
/// The first byte says how it is framed and ends, the second how it is split.
pub fn frame(data: &[u8]) {
    let [how, split, stream @ ..] = data else { return };
    let framing = [Framing::Auto, Framing::Octet, Framing::Newline][*how as usize % 3];
    let (body, limit) = (how & 8 != 0, if how & 16 != 0 { 64 } else { 5 });
    let end = if how & 32 != 0 { End::Cut } else { End::Clean };
    let framer = if body { Framer::body(framing, limit) } else { Framer::new(framing, limit) };
    let whole = framed(framer.clone(), stream, stream.len().max(1), limit, end);
    let pieces = framed(framer, stream, *split as usize % 9 + 1, limit, end);
    assert_eq!(whole, pieces);
    let kept: usize = whole.0.iter().map(|(frame, _)| frame.len()).sum();
    assert!(kept as u64 + whole.1 <= stream.len() as u64, "no byte counts twice");
    assert!(whole.0.iter().all(|(frame, _)| frame.len() <= limit));
}

fn framed(mut framer: Framer, stream: &[u8], piece: usize, limit: usize, end: End) -> Framed {
    let (mut held, mut frames) = (Vec::new(), Vec::new());
    for new in stream.chunks(piece) {
        held.extend_from_slice(new);
        let mut at = 0;
        loop {
            match framer.step(&held, at) {
                Step::Frame { start, end, truncated, next } => {
                    assert!(at <= start && start <= end && end <= next && next <= held.len());
                    frames.push((held[start..end].to_vec(), truncated));
                    at = next;
                }
                Step::More { carry } => {
                    assert!(at <= carry && carry <= held.len());
                    held.drain(..carry);
                    break;
                }
            }
        }
        assert!(held.len() <= limit.max(12) + 8, "the carry is bounded");
    }
    if let Some((start, stop, truncated)) = framer.finish(&held, end) {
        frames.push((held[start..stop].to_vec(), truncated));
    }
    (frames, framer.garbage_bytes)
}

/// The header's pieces lie in the frame, and a time that was read can be written and read again.
pub fn header(data: &[u8]) {
    let frame = Span::of(0, data.len());
    for tail in [false, true] {
        let Some(header) = syslog::header(data, frame, tail, RECEIVED_US, &TimeZone::UTC) else { continue };
        let spans = [header.hostname, header.source, header.process, header.msgid, header.sd, header.message];
        for span in spans.iter().chain([&header.token]) {
            assert!(!span.is_made() && span.end() <= data.len());
        }
        assert!(header.pri.is_none_or(|pri| pri <= 191));
        if let Some(time_us) = header.time_us {
            let written = time::write(time_us);
            let line = [b"<13>1 ", &written[..], b" - - - - - x"].concat();
            let again = syslog::header(&line, Span::of(0, line.len()), false, 0, &TimeZone::UTC);
            let read = again.and_then(|header| header.time_us);
            assert_eq!(read, Some(time_us), "{}", String::from_utf8_lossy(&written));
        }
    }
}

/// 2026-11-22T09:51:24.901122Z.
const RECEIVED_US: i64 = 1_795_341_084_901_122;

fn plan() -> Plan {
    let listener = Listener {
        name: "fuzz".into(),
        count_only: false,
        time_zone: TimeZone::UTC,
        device_id: DeviceRules::default(),
        on_no_match: OnNoMatch::Accept,
    };
    Plan {
        generation: 0,
        instance: "fuzz".into(),
        listeners: vec![Arc::new(listener)],
        drains: Default::default(),
        default_drain: None,
        default_computer: None,
        trusted: vec!["172.64.0.0/13".parse().expect("a network")],
        zone: TimeZone::UTC,
        received: Received::Arrival,
        outputs: Vec::new(),
    }
}

/// An event is one line of JSON that says what was parsed; its view is one line of JSON too.
///
/// The first byte says in which form the rest came and what its sender told.
pub fn event(data: &[u8]) {
    let [how, frame @ ..] = data else { return };
    let forms = [Form::Syslog, Form::SyslogOrTail, Form::IngestText, Form::IngestJson];
    let form = forms[*how as usize % 4];
    // The receiver hands on nothing but whole objects.
    if form == Form::IngestJson && !matches!(serde_json::from_slice(frame), Ok(Json::Object(_))) {
        return;
    }
    let origin = Origin {
        listener: ListenerId(0),
        peer: None,
        peer_name: None,
        token: (how & 8 != 0).then(|| "d.5a8fd083-0972-4e18-b912-94dc2d099dac".into()),
        user: None,
        labels: if how & 16 != 0 { vec![("app".into(), "shop \"1\"".into())] } else { Vec::new() },
        logplex: how & 32 != 0,
        form,
    };
    let parsed = Parsed::new(origin, frame, how & 64 != 0);
    if let Some(line) = parsed.line() {
        parsed.says_what_was_parsed(&line, frame);
    }
    let mut view = Vec::new();
    parsed.write(|written| eventtracker::write(written, &mut view));
    let view: Json = serde_json::from_slice(one_line(&view)).expect("the view is JSON");
    assert!(view.is_object());
}

/// A frame as a batch, with the event that it is.
struct Parsed {
    plan: Plan,
    batch: Batch,
    scratch: Scratch,
    event: Event,
}

impl Parsed {
    fn new(origin: Origin, frame: &[u8], truncated: bool) -> Parsed {
        let plan = plan();
        let mut batch = Batch::new(Batch::capacity_for(frame.len()));
        (batch.number, batch.received_us) = (7, RECEIVED_US);
        let at = batch.append(frame);
        batch.push_frame(at, frame.len(), truncated);
        batch.close_run(&Arc::new(origin), Identity::Batch);
        let mut scratch = Scratch::default();
        let event = parse::event(&plan, &batch, &batch.runs[0], batch.frames[0], &mut scratch);
        Parsed { plan, batch, scratch, event }
    }

    fn texts(&self) -> Texts<'_> {
        Texts { batch: self.batch.bytes(), made: &self.scratch.made }
    }

    fn text(&self, span: Span) -> String {
        String::from_utf8_lossy(self.texts().get(span)).into_owned()
    }

    fn write(&self, write: impl FnOnce(&Written)) {
        let mut id = Vec::new();
        encode::id(&self.plan, &self.batch, &self.batch.runs[0], 0, &mut id);
        assert_eq!(id, b"fuzz-7-1");
        write(&Written {
            plan: &self.plan,
            run: &self.batch.runs[0],
            event: &self.event,
            texts: self.texts(),
            fields: &self.scratch.fields,
            drain: None,
            id: &id,
        });
    }

    /// The event as it is read back; `None` where it holds a number that no float can.
    fn line(&self) -> Option<Json> {
        let mut bytes = Vec::new();
        self.write(|written| json::write(written, &mut bytes));
        let line = std::str::from_utf8(one_line(&bytes)).expect("JSON is UTF-8");
        serde_json::from_str::<IgnoredAny>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let read: Json = serde_json::from_str(line).ok()?;
        for (key, value) in read.as_object().expect("an event is an object") {
            assert!(KEYS.contains(&key.as_str()) && !value.is_null(), "{key} in {line}");
        }
        for key in ["id", "time", "received", "listener", "kind", "severity", "fields", "message"] {
            assert!(read.get(key).is_some(), "no {key} in {line}");
        }
        Some(read)
    }

    /// Compares what was read back with the event's own row.
    fn says_what_was_parsed(&self, read: &Json, frame: &[u8]) {
        let text = |key: &str| read.get(key).and_then(Json::as_str).unwrap_or_default();
        let row = &self.event;
        let pairs = [
            ("drain", row.drain),
            ("hostname", row.hostname),
            ("source", row.source),
            ("process", row.process),
        ];
        for (key, span) in pairs.into_iter().chain([("msgid", row.msgid), ("message", row.message)]) {
            assert_eq!(text(key), self.text(span), "{key}");
        }
        if row.flags.has(Flags::UNPARSED) {
            let line =
                frame.strip_suffix(b"\n").map_or(frame, |line| line.strip_suffix(b"\r").unwrap_or(line));
            assert_eq!(text("message"), String::from_utf8_lossy(line), "all of it is the message");
        }
        assert_eq!(read["pri"].as_u64(), row.pri.map(u64::from));
        let mut fields = BTreeMap::new();
        self.write(|written| {
            for field in written.fields {
                let name = String::from_utf8_lossy(written.name(field)).into_owned();
                fields.insert(name, self.value(field.value));
            }
        });
        let got = read["fields"].as_object().expect("fields are an object");
        assert_eq!(got.len(), fields.len(), "{read}");
        for (name, value) in fields {
            // Numbers keep their digits, more than a float holds.
            let same = got[&name] == value || value.is_f64() || got[&name].is_f64();
            assert!(same, "{name} is {} and was {value}", got[&name]);
        }
    }

    fn value(&self, value: Value) -> Json {
        match value {
            Value::Text(span) => self.text(span).into(),
            Value::Raw(span) => serde_json::from_str(&self.text(span)).expect("verbatim JSON"),
            Value::Int(n) => n.into(),
            Value::Bool(is) => is.into(),
            Value::List(span) => {
                let list = self.text(span);
                list.split(',').map(|piece| piece.trim().to_string()).filter(|p| !p.is_empty()).collect()
            }
        }
    }
}

const KEYS: &[&str] = &[
    "id",
    "time",
    "received",
    "drain",
    "computer",
    "labels",
    "listener",
    "peer",
    "hostname",
    "source",
    "process",
    "msgid",
    "sd",
    "kind",
    "categories",
    "facility",
    "severity",
    "pri",
    "flags",
    "fields",
    "message",
];

/// The bytes without the one line feed that ends them.
fn one_line(bytes: &[u8]) -> &[u8] {
    let line = bytes.strip_suffix(b"\n").expect("a line ends in a line feed");
    assert!(!line.contains(&b'\n'), "one line");
    line
}

/// A JSON body that another parser takes gives its leaves as fields.
pub fn json_body(data: &[u8]) {
    let frame = [b"<190>1 2024-04-26T16:58:32.943253+00:00 host app web.1 - ", data].concat();
    let origin = Origin {
        listener: ListenerId(0),
        peer: None,
        peer_name: None,
        token: None,
        user: None,
        labels: Vec::new(),
        logplex: true,
        form: Form::Syslog,
    };
    let parsed = Parsed::new(origin, &frame, false);
    let (Some(read), Ok(Json::Object(body))) = (parsed.line(), serde_json::from_slice(data)) else { return };
    let mut leaves = Vec::new();
    let depth = leaves_of(&body, "", 1, &mut leaves);
    let plain = |(name, _): &(String, &Json)| !name.contains(DOTTED) && !name.is_empty();
    // Names with dots of their own, more fields or levels than are kept: other rules than a plain look.
    if depth > 32 || leaves.len() > 200 || leaves.iter().any(|leaf| !plain(leaf)) {
        return;
    }
    let repeats = data.iter().filter(|byte| **byte == b':').count() > 200;
    assert!(!parsed.event.flags.has(Flags::BAD_JSON) || repeats, "{read}");
    for (name, value) in leaves.into_iter().filter(|_| !repeats) {
        let got = &read["fields"][&name.replace(JOINT, ".")];
        let same = got == value || got.as_f64().is_some() && got.as_f64() == value.as_f64();
        let absent = value.is_null() || value == "" || value.as_object().is_some();
        assert!(same || absent && got.is_null(), "{name} is {got} and was {value}");
    }
}

/// Stands between joined names; no name holds it that a plain look can judge.
const JOINT: char = '\u{1}';
/// Marks a name that holds a dot or a joint itself.
const DOTTED: char = '\u{2}';

/// The leaves of an object with their joined names; returns the depth.
fn leaves_of<'a>(
    body: &'a serde_json::Map<String, Json>,
    above: &str,
    depth: usize,
    leaves: &mut Vec<(String, &'a Json)>,
) -> usize {
    let mut deepest = depth;
    for (name, value) in body {
        let own =
            if name.contains(['.', JOINT]) || name.is_empty() { DOTTED.to_string() } else { name.clone() };
        let joined = if above.is_empty() { own } else { format!("{above}{JOINT}{own}") };
        match value {
            Json::Object(inner) => deepest = deepest.max(leaves_of(inner, &joined, depth + 1, leaves)),
            _ => {
                deepest = deepest.max(depth + depth_of(value));
                leaves.push((joined, value));
            }
        }
    }
    deepest
}

/// Levels of arrays and objects.
fn depth_of(value: &Json) -> usize {
    match value {
        Json::Array(list) => 1 + list.iter().map(depth_of).max().unwrap_or(0),
        Json::Object(object) => 1 + object.values().map(depth_of).max().unwrap_or(0),
        _ => 0,
    }
}

/// A pipeline file is read whole or refused with places that exist.
pub fn pipeline(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let variable = |name: &str| (name == "SET").then(|| "value".to_string());
    let around = Surroundings { variable: &variable, file: &|_| Ok(()) };
    if let Err(problems) = read_pipeline("fuzz.yaml", text, &around) {
        assert!(!problems.is_empty(), "a refusal says why");
        let lines = text.lines().count().max(1);
        for problem in problems.iter() {
            assert!((1..=lines + 1).contains(&problem.line) && problem.column > 0, "{problem:?}");
        }
        assert!(problems.to_string().lines().count() >= problems.len());
    }
}
