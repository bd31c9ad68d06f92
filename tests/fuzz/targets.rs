//! What must hold for any bytes: one plain function a target, which panics where it does not.
//!
//! `tests/fuzz.rs` replays the corpus of every target, and `fuzz/` runs the same functions under libFuzzer. The first
//! bytes of an input choose settings and the rest is what is read, so that an input is whole in itself.

#![allow(dead_code, reason = "each fuzz binary includes this and runs one target")]

mod shown;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, LazyLock};

use jiff::tz::{Offset, TimeZone};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use weir::batch::{Batch, Form, Identity, ListenerId, Origin};
use weir::compile;
use weir::config::{Surroundings, read_pipeline};
use weir::encode::{self, Alike, Written};
use weir::event::{Event, Flags, Span, Texts};
use weir::frame::{End, Framer, Framing, Step};
use weir::limits;
use weir::outcome::Outcome;
use weir::parse::{self, Scratch, heroku, sd, syslog, time};
use weir::plan::device::DeviceRules;
use weir::plan::{Drain, Format, Listener, Output, Plan, Received};
use weir::shard::Shard;
use weir::simd::{self, Level, Portable};

/// Every target by name; its corpus is the folder of this name.
pub static TARGETS: &[(&str, fn(&[u8]))] = &[
    ("frame", frame),
    ("header", header),
    ("event", event),
    ("quick", quick),
    ("json", json),
    ("pipeline", pipeline),
];

/// 2026-11-22T10:40:00Z.
const NOW_US: i64 = 1_795_344_000_000_000;
/// Inputs over this are cut: some targets read theirs many times over.
const INPUT_BYTES: usize = 64 * 1024;

/// `N` bytes of settings, zeros where the input is shorter, and what follows them.
fn settings<const N: usize>(input: &[u8]) -> ([u8; N], &[u8]) {
    let (head, rest) = input.split_at(input.len().min(N));
    let mut bytes = [0; N];
    bytes[..head.len()].copy_from_slice(head);
    (bytes, &rest[..rest.len().min(INPUT_BYTES)])
}

/// Any split of a stream gives the same frames and the same garbage, and little is carried.
pub fn frame(input: &[u8]) {
    let ([how, limit, high, low], stream) = settings(input);
    let framing = [Framing::Auto, Framing::Octet, Framing::Newline][how as usize % 3];
    let limit = if limit == 255 { limits::FRAME_BYTES } else { limit as usize + 1 };
    let end = if how & 64 == 0 { End::Clean } else { End::Cut };
    let framer = if how & 128 == 0 { Framer::new(framing, limit) } else { Framer::body(framing, limit) };
    let cut = u16::from_be_bytes([high, low]) as usize % (stream.len() + 1);

    let whole = framed(framer.clone(), limit, [stream], end);
    let (left, right) = stream.split_at(cut);
    assert_eq!(framed(framer.clone(), limit, [left, right], end), whole, "cut at {cut}");
    if stream.len() <= 4096 {
        assert_eq!(framed(framer, limit, stream.chunks(1), end), whole, "byte by byte");
    }
}

/// Frames with whether they are truncated, and garbage, of a stream that arrives in `pieces`.
fn framed<'a>(
    mut framer: Framer,
    limit: usize,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    end: End,
) -> (Vec<(Vec<u8>, bool)>, u64) {
    let bound = limit.max(12) + 8;
    let mut frames = Vec::new();
    let mut buffer = Vec::new();
    let (mut got, mut kept) = (0, 0);
    let mut keep = |frame: &[u8], truncated: bool| {
        assert!(!frame.is_empty() && frame.len() <= limit);
        assert!(!truncated || frame.len() == limit);
        kept += frame.len() as u64;
        frames.push((frame.to_vec(), truncated));
    };
    for piece in pieces {
        got += piece.len() as u64;
        let waits = !framer.can_go_on(&buffer, piece);
        buffer.extend_from_slice(piece);
        assert!(!waits || framer.clone().step(&buffer, 0) == Step::More { carry: 0 });
        let mut at = 0;
        loop {
            match framer.step(&buffer, at) {
                Step::Frame { start, end, truncated, next } => {
                    assert!(at <= start && start < end && end <= next && next <= buffer.len());
                    keep(&buffer[start..end], truncated);
                    at = next;
                }
                Step::More { carry } => {
                    assert!(at <= carry && carry <= buffer.len());
                    assert!(buffer.len() - carry <= bound, "{} bytes carried", buffer.len() - carry);
                    buffer.drain(..carry);
                    break;
                }
            }
        }
    }
    if let Some((start, end, truncated)) = framer.finish(&buffer, end) {
        keep(&buffer[start..end], truncated);
    }
    assert!(
        kept + framer.garbage_bytes <= got,
        "{kept} bytes of frames and {} of garbage",
        framer.garbage_bytes
    );
    (frames, framer.garbage_bytes)
}

/// A header is made of spans of its frame, wherever the frame lies, and its structured data reads as such.
pub fn header(input: &[u8]) {
    let ([how, near], text) = settings(input);
    let zone = zone(how);
    let near_us = NOW_US + i64::from(near) * 86_400_000_000;
    let read = |bytes: &[u8], at: usize| {
        let frame = Span::of(at, at + text.len());
        let header = syslog::header(bytes, frame, how & 128 != 0, near_us, &zone)?;
        let spans = [
            header.hostname,
            header.source,
            header.process,
            header.msgid,
            header.sd,
            header.token,
            header.message,
        ];
        let texts = spans.map(|span| {
            let inside = at <= span.start() && span.end() <= frame.end();
            assert!(span.is_empty() || inside && !span.is_made(), "a span outside the frame");
            bytes[span.start()..span.end()].to_vec()
        });
        assert!(header.pri.is_none_or(|pri| pri <= 191));
        Some((header.pri, header.time_us, header.heroku, texts))
    };
    let alone = read(text, 0);
    let between = [b"<1>1 [x]", text, b"[y z=\"\"] "].concat();
    assert_eq!(read(&between, 8), alone, "what stands around the frame counts");

    structured_data(text);
    if let Some((.., [_, _, _, _, data, _, _])) = &alone {
        assert_eq!(sd::len(data), data.len(), "structured data that is not wholly well-formed");
    }
    parse::loss_notice(text);
}

/// What is read as structured data is what was sent, piece by piece.
fn structured_data(text: &[u8]) {
    let len = sd::len(text);
    let mut again = Vec::new();
    for element in sd::elements(text) {
        again.extend([b"[", element.id].concat());
        for (name, value) in element.params {
            again.extend([b" ", name, b"=\"", value, b"\""].concat());
            let plain: usize = sd::unescaped(value).map(<[u8]>::len).sum();
            assert!(plain <= value.len() && value.len() <= 2 * plain);
        }
        again.push(b']');
    }
    assert_eq!(again, text[..len]);
}

/// A frame becomes an event, and the event lines that every consumer can read.
pub fn event(input: &[u8]) {
    let ([how, more], frame) = settings(input);
    let form = [Form::Syslog, Form::SyslogOrTail, Form::IngestJson, Form::IngestText][how as usize % 4];
    lines(how, more, form, frame);
}

/// Every frame of a batch says the same read quickly and the general way, with vectors and without, in any company.
pub fn quick(input: &[u8]) {
    /// Ends a frame of the input, so that one leaves its traces for the next.
    const BETWEEN: u8 = 5;
    let ([how, more], text) = settings(input);
    let mut frames: Vec<&[u8]> =
        text.split(|byte| *byte == BETWEEN).filter(|frame| !frame.is_empty()).collect();
    if how & 1 == 0 {
        frames.push(USUAL);
    }
    let (plan, batch) = (plan(how, more), batch(how, more, Form::Syslog, &frames));
    for read in [true, false] {
        let [mut general, mut best, mut portable]: [Scratch; 3] = Default::default();
        for &frame in &batch.frames {
            let event = parse::event(&plan, &batch, &batch.runs[0], frame, &mut general);
            let expected = shown::shown(&event, &general, &batch, read);
            for (level, scratch) in [(Level::best(), &mut best), (Level::Portable, &mut portable)] {
                scratch.fields_read = read;
                let task = shown::Quick { plan: &plan, batch: &batch, frame, scratch };
                let event = simd::dispatch(level, task);
                let found = shown::shown(&event, scratch, &batch, read);
                assert_eq!(found, expected, "{}, read {read}", level.name());
            }
        }
    }
}

/// A JSON body gives exactly the fields that another reader finds in it.
pub fn json(input: &[u8]) {
    const HEAD: &[u8] = b"<190>1 2026-11-22T09:51:24.537546+00:00 host app web.1 - ";
    let body = &input[..input.len().min(INPUT_BYTES)];
    lines(0, 0, Form::IngestJson, body);
    let line = lines(0, 0, Form::Syslog, &[HEAD, body].concat());
    let (fields, bad) = (&line["fields"], line.get("flags").is_some_and(|flags| names(flags, "bad_json")));

    let body = trimmed(body);
    let is_candidate = body.starts_with(b"{") && body.ends_with(b"}");
    assert!(is_candidate || !bad, "what is no JSON body cannot be a broken one");
    if !is_candidate {
        return;
    }
    let mut flat = Flat::default();
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = Names { prefix: None, depth: 1, flat: &mut flat }
        .deserialize(&mut reader)
        .and_then(|()| reader.end());
    match read {
        Ok(()) if flat.depth <= limits::JSON_DEPTH && flat.leaves <= limits::FIELDS && body.len() <= 4096 => {
            flat.found.retain(|_, value| !value.is_null() && *value != "");
            assert!(!bad, "a body that can be read is called broken");
            assert_eq!(fields, &Value::Object(flat.found.into_iter().collect()));
        }
        Ok(()) => assert!(bad || flat.depth <= limits::JSON_DEPTH, "a body that is too deep was read"),
        Err(error) if error.to_string().starts_with("number out of range") => {}
        Err(error) => assert!(bad, "a broken body was read: {error}"),
    }
}

/// Without JSON's white space at both ends; a form feed is none.
fn trimmed(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let Some(start) = text.iter().position(|byte| !blank(byte)) else { return b"" };
    let end = text.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    &text[start..end]
}

/// A pipeline file is read or complained about, without a word of what the environment says.
pub fn pipeline(input: &[u8]) {
    const SECRET: &str = "zq5ecretqz";
    let text = String::from_utf8_lossy(&input[..input.len().min(INPUT_BYTES)]);
    let variable = |name: &str| (name.len() % 4 < 3).then(|| SECRET.to_string());
    let file = |path: &std::path::Path| match path.as_os_str().len() % 3 {
        0 => Err("it is not there".to_string()),
        _ => Ok(()),
    };
    let told = match read_pipeline("fuzz.yaml", &text, &Surroundings { variable: &variable, file: &file }) {
        Ok(pipeline) => {
            let plan = compile::plan(&pipeline, "0123456789ab".into());
            assert_eq!(plan.drains.len(), pipeline.drains.len());
            format!("{pipeline:?}{}", pipeline.summary())
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "neither a pipeline nor a problem");
            // A CR alone ends a line too, as YAML has it.
            let lines = text.split(['\n', '\r']).count();
            for problem in problems.iter() {
                assert!(problem.line <= lines, "line {} of {lines}", problem.line);
                assert_eq!(problem.line == 0, problem.column == 0, "half a place");
                assert!(!problem.message.is_empty());
            }
            format!("{problems:?}{problems}{}", problems.coloured())
        }
    };
    assert!(!told.contains(SECRET) || text.contains(SECRET), "what a variable says is told: {told}");
}

/// A zone of each kind.
fn zone(how: u8) -> TimeZone {
    match how >> 2 & 3 {
        0 => TimeZone::UTC,
        1 => TimeZone::fixed(Offset::constant(-12)),
        2 => TimeZone::fixed(Offset::from_seconds(20_700).expect("less than a day")),
        _ => TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").expect("a POSIX zone"),
    }
}

/// A plan of one listener, with what `how` and `more` choose.
fn plan(how: u8, more: u8) -> Plan {
    /// By zone, then without and with rules: compiling rules takes longer than all else.
    static LISTENERS: LazyLock<Vec<Arc<Listener>>> = LazyLock::new(|| {
        let rules = [("app=(?P<TOKEN>[a-z-]+)", "TOKEN"), ("(?P<d>d\\.[0-9a-f-]{4,})", "d")];
        let listener = |place: u8| Listener {
            time_zone: zone(place << 1),
            device_id: DeviceRules::new(&rules[..place as usize % 2 * 2]).expect("rules that can be read"),
            ..Listener::new("fuzz")
        };
        (0..8).map(|place| Arc::new(listener(place))).collect()
    });
    let on = |bit: u8| more >> bit & 1 == 1;
    let listener = LISTENERS[(how >> 2 & 3) as usize * 2 + on(0) as usize].clone();
    let labels = vec![("app".into(), "shop \"\\\n".into()), ("env".into(), "\u{7f}é".into())];
    let drain = Drain { computer: Some("shop-production".into()), labels };
    let mut plan = Plan {
        default_drain: on(1).then(|| "d.0".into()),
        default_computer: on(2).then(|| "computer".into()),
        zone: zone(more),
        received: if on(4) { Received::Event } else { Received::Arrival },
        ..Plan::new("0123456789ab".into(), vec![listener])
    };
    if on(5) {
        plan.trusted = ["10.0.0.0/8", "2001:db8::/32"].map(|net| net.parse().expect("a network")).into();
    }
    plan.drains.insert("d.0".into(), drain);
    plan.outputs = compile::outputs(
        [Format::Ndjson, Format::EventTracker].map(|format| Output::new(Some(format), true)),
        &[],
    );
    plan
}

/// A router line.
const USUAL: &[u8] = b"<158>1 2026-11-22T09:51:24Z host heroku router - at=info method=GET path=\"/a\" host=b fwd=\"1.2.3.4\" status=200";

/// A batch of one run of `frames`; every second may be truncated.
fn batch(how: u8, more: u8, form: Form, frames: &[&[u8]]) -> Batch {
    let mut batch = Batch::new(frames.iter().map(|frame| frame.len()).sum());
    (batch.number, batch.received_us) = (7, NOW_US);
    for (place, frame) in frames.iter().enumerate() {
        let at = batch.append(frame);
        batch.push_frame(at, frame.len(), how & 32 != 0 && place % 2 == 1);
    }
    let named = how & 64 != 0;
    let origin = Origin {
        listener: ListenerId(0),
        peer: (more & 64 == 0).then_some(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        peer_name: (more & 128 != 0).then(|| "peer.\"example\"".into()),
        token: named.then(|| "d.0".into()),
        user: named.then(|| "user".into()),
        labels: if named {
            vec![("b".into(), "\u{1}".into()), ("app".into(), "x".into())]
        } else {
            Vec::new()
        },
        logplex: how & 16 != 0,
        form,
    };
    let identity = match named {
        true => Identity::Post {
            frame_id: "7f0c".into(),
            first: frames.len() as u32,
            continues: false,
            lead_loss: None,
        },
        false => Identity::Batch,
    };
    batch.close_run(&Arc::new(origin), identity);
    batch
}

/// Takes `frame` through a shard; checks what it writes and returns the NDJSON line.
fn lines(how: u8, more: u8, form: Form, frame: &[u8]) -> Value {
    let (plan, batch) = (plan(how, more), batch(how, more, form, &[USUAL, frame]));
    let mut out = Outcome::default();
    Shard::default().process(&plan, &batch, &mut out);
    let parcels: Vec<&[u8]> = out.parcels.iter().flatten().map(|parcel| &parcel.bytes[..]).collect();

    let mut scratch = Scratch::default();
    let row = parse::event(&plan, &batch, &batch.runs[0], batch.frames[1], &mut scratch);
    let (run, mut alike) = (&batch.runs[0], Alike::default());
    let drain = plan
        .drains
        .get(&*String::from_utf8_lossy(Texts { batch: batch.bytes(), made: &scratch.made }.get(row.drain)));
    alike.turn_to_run(Portable, &plan, &batch, run);
    alike.turn_to_drain(Portable, &plan, run, drain);
    let written = Written {
        plan: &plan,
        run,
        event: &row,
        texts: Texts { batch: batch.bytes(), made: &scratch.made },
        fields: &scratch.fields,
        drain,
        alike: &alike,
        last: encode::last_number(&batch, run, 1),
        time: &time::write(row.time_us),
        received: &time::write(row.received_us),
        categories: b"",
    };
    let mut id = Vec::new();
    alike.id(Portable, written.last, &mut id);
    assert_eq!(str::from_utf8(&id), Ok(if how & 64 != 0 { "7f0c-1" } else { "0123456789ab-7-2" }));
    // Without the bytes behind the texts that the shard has: what is written is the same.
    let json = |written: &Written, line: &mut Vec<u8>| encode::json::write(Portable, written, line);
    let view = |written: &Written, line: &mut Vec<u8>| encode::eventtracker::write(Portable, written, line);
    for (parcel, (write, keys)) in parcels
        .iter()
        .zip([(&json as &dyn Fn(&Written, &mut Vec<u8>), JSON_KEYS), (&view, EVENTTRACKER_KEYS)])
    {
        let mut line = Vec::new();
        write(&written, &mut line);
        assert!(parcel.ends_with(&line), "the event before this one counts");
        assert_eq!(parcel.iter().filter(|byte| **byte == b'\n').count(), 2, "two events are two lines");
        assert_keys(&line, keys);
    }
    let line = parcels[0].split_inclusive(|byte| *byte == b'\n').next_back().expect("two lines");
    checked(&written, &row, line)
}

/// Keys of an event in their order, and whether each is always there.
const JSON_KEYS: &[(&str, bool)] = &[
    ("id", true),
    ("time", true),
    ("received", true),
    ("drain", false),
    ("computer", false),
    ("labels", false),
    ("listener", true),
    ("peer", false),
    ("hostname", false),
    ("source", false),
    ("process", false),
    ("msgid", false),
    ("sd", false),
    ("kind", true),
    ("facility", false),
    ("severity", true),
    ("pri", false),
    ("flags", false),
    ("fields", true),
    ("message", true),
];

const EVENTTRACKER_KEYS: &[(&str, bool)] = &[
    ("application_category", false),
    ("application_type", false),
    ("event_category", true),
    ("event_computer", false),
    ("event_datetime", true),
    ("event_datetime_utc", true),
    ("event_description", true),
    ("event_id", true),
    ("event_log_type", true),
    ("event_source", true),
    ("event_type", true),
    ("event_user_domain", true),
    ("event_user_name", true),
    ("log_category", false),
    ("log_info", false),
    ("log_source", true),
    ("log_type", false),
    ("source_type", true),
    ("total_bytes_in", false),
    ("total_bytes_out", false),
    ("total_packets_count", false),
    ("total_packets_in", false),
];

/// The line is one object, its keys are among `keys`, each once, in this order.
fn assert_keys(line: &[u8], keys: &[(&str, bool)]) {
    let text = std::str::from_utf8(line).expect("valid UTF-8");
    let Keys(found) = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let mut left = found.iter().peekable();
    for (key, always) in keys {
        let is_there = left.next_if(|found| found == key).is_some();
        assert!(is_there || !always, "no `{key}` in {text}");
    }
    assert_eq!(left.next(), None, "out of order, twice or unknown, in {text}");
}

/// What a consumer reads is what was found in the frame. `Null` where its numbers are too large for another reader.
fn checked(written: &Written, row: &Event, line: &[u8]) -> Value {
    let value: Value = match serde_json::from_slice(line) {
        Ok(value) => value,
        Err(error) if error.to_string().starts_with("number out of range") => return Value::Null,
        Err(error) => panic!("{error}: {}", String::from_utf8_lossy(line)),
    };
    let text = |span: Span| String::from_utf8_lossy(written.text(span)).into_owned();
    for (key, span) in [
        ("drain", row.drain),
        ("hostname", row.hostname),
        ("source", row.source),
        ("process", row.process),
        ("msgid", row.msgid),
    ] {
        assert_eq!(value.get(key).and_then(Value::as_str).unwrap_or_default(), text(span), "{key}");
    }
    assert_eq!(value["message"], text(row.message));
    assert_eq!(value["time"].as_str().and_then(|time| time::rfc3339(time.as_bytes())), Some(row.time_us));
    let fields = value["fields"].as_object().expect("an object");
    assert_eq!(fields.len(), written.fields.len(), "two fields of one name");
    assert!(fields.values().all(|value| !value.is_null() && *value != ""), "a field that says nothing");
    if row.flags.has(Flags::UNPARSED) {
        assert!(row.kind == heroku::OTHER && row.pri.is_none() && fields.is_empty());
    }
    value
}

fn names(flags: &Value, flag: &str) -> bool {
    flags.as_array().is_some_and(|flags| flags.iter().any(|value| value == flag))
}

/// The keys of an object as they stand.
struct Keys(Vec<String>);

impl<'de> de::Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Keys, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Keys;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, de::IgnoredAny)) = map.next_entry()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A JSON body with its names joined.
#[derive(Default)]
struct Flat {
    found: BTreeMap<String, Value>,
    /// Values that are no objects, equal names counted twice.
    leaves: usize,
    depth: usize,
}

/// Reads the value called `prefix` into `flat`.
struct Names<'f> {
    prefix: Option<String>,
    depth: usize,
    flat: &'f mut Flat,
}

impl Names<'_> {
    fn leaf<E>(self, value: Value) -> Result<(), E> {
        self.flat.leaves += 1;
        self.flat.depth = self.flat.depth.max(self.depth - 1 + depth_of(&value));
        self.flat.found.insert(self.prefix.unwrap_or_default(), value);
        Ok(())
    }
}

fn depth_of(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth_of).max().unwrap_or(0),
        Value::Object(items) => 1 + items.values().map(depth_of).max().unwrap_or(0),
        _ => 0,
    }
}

impl<'de> DeserializeSeed<'de> for Names<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Names<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.leaf(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.leaf(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.leaf(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.leaf(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.leaf(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.leaf(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        self.leaf(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.flat.depth = self.flat.depth.max(self.depth);
        while let Some(name) = map.next_key::<String>()? {
            let name = match &self.prefix {
                Some(prefix) => format!("{prefix}.{name}"),
                None => name,
            };
            map.next_value_seed(Names { prefix: Some(name), depth: self.depth + 1, flat: self.flat })?;
        }
        Ok(())
    }
}
