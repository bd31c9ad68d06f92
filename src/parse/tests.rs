//! What the tests of this folder show of fields and events, and whole frames as cases.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use proptest::prelude::*;

use super::text::{Row, Text};
use super::{Scratch, event, heroku, loss_notice};
use crate::batch::{Batch, Form, Identity, ListenerId, Origin};
use crate::event::{Event, Field, Flags, Name, Span, Texts, Value};
use crate::frame::{Framer, Framing, Step};
use crate::plan::device::DeviceRules;
use crate::plan::{Listener, Plan, Received};

/// Fields as `name: value`, text in quotes, arrays of addresses in brackets.
pub(super) fn shown(fields: &[Field], texts: Texts) -> String {
    let plain = |span: Span| String::from_utf8_lossy(texts.get(span)).into_owned();
    let each = fields.iter().map(|field| {
        let name = match field.name {
            Name::Known(id) => heroku::FIELDS[id.0 as usize].to_string(),
            Name::Text(span) => plain(span),
        };
        match field.value {
            Value::Text(span) => format!("{name}: '{}'", plain(span)),
            Value::Raw(span) => format!("{name}: {}", plain(span)),
            Value::Int(value) => format!("{name}: {value}"),
            Value::Bool(value) => format!("{name}: {value}"),
            Value::List(span) => format!("{name}: [{}]", plain(span)),
        }
    });
    each.collect::<Vec<_>>().join(", ")
}

/// What `read` makes of a text, shown, behind what it returns.
pub(super) fn read<T: std::fmt::Debug>(text: &str, read: impl FnOnce(Text, &mut Row) -> T) -> (T, String) {
    let (mut made, mut fields) = (Vec::new(), Vec::new());
    let batch = text.as_bytes();
    let returned =
        read(Text::new(batch, Span::of(0, batch.len())), &mut Row { made: &mut made, fields: &mut fields });
    (returned, shown(&fields, Texts { batch, made: &made }))
}

pub(super) fn plan() -> Plan {
    let listener = Listener::new("test");
    Plan { generation: 1, ..Plan::new("test".into(), vec![Arc::new(listener)]) }
}

fn origin(form: Form) -> Origin {
    let (token, labels) = (None, Vec::new());
    Origin {
        listener: ListenerId(0),
        peer: None,
        peer_name: None,
        token,
        user: None,
        labels,
        logplex: false,
        form,
    }
}

/// 2026-11-22T09:51:24.901122Z.
const RECEIVED_US: i64 = 1_795_341_084_901_122;

/// One frame as a batch, and its event with what belongs to it.
struct Case {
    batch: Batch,
    scratch: Scratch,
    event: Event,
}

fn case(plan: &Plan, origin: Origin, frame: &[u8], truncated: bool) -> Case {
    let mut batch = Batch::new(Batch::capacity_for(frame.len().max(1)));
    batch.received_us = RECEIVED_US;
    let at = batch.append(frame);
    batch.push_frame(at, frame.len(), truncated);
    batch.close_run(&Arc::new(origin), Identity::Batch);
    let mut scratch = Scratch::default();
    let event = event(plan, &batch, &batch.runs[0], batch.frames[0], &mut scratch);
    Case { batch, scratch, event }
}

impl Case {
    fn of(frame: &str) -> Case {
        case(&plan(), origin(Form::Syslog), frame.as_bytes(), false)
    }

    fn texts(&self) -> Texts<'_> {
        Texts { batch: self.batch.bytes(), made: &self.scratch.made }
    }

    fn text(&self, span: Span) -> String {
        String::from_utf8_lossy(self.texts().get(span)).into_owned()
    }

    /// Kind, severity and flags, then the fields.
    fn line(&self) -> String {
        let flags = Flags::ALL
            .iter()
            .filter(|(flag, _)| self.event.flags.has(*flag))
            .map(|(_, name)| format!(" {name}"));
        format!(
            "{} {}{} | {}",
            heroku::KINDS[self.event.kind.0 as usize],
            self.event.severity.name(),
            flags.collect::<String>(),
            shown(&self.scratch.fields, self.texts())
        )
    }
}

const DRAIN: &str = "d.5a8fd083-0972-4e18-b912-94dc2d099dac";

#[test]
fn severity_comes_from_the_first_rule_that_exists() {
    for (frame, expected) in [
        ("<40>1 2024-01-01T00:00:00Z host heroku web.1 - State changed from up to down", "dyno_state info"),
        (
            "<40>1 2024-01-01T00:00:00Z host heroku web.1 - State changed from up to crashed",
            "dyno_state error",
        ),
        ("<190>1 2024-01-01T00:00:00Z host app web.1 - ERROR x", "app error"),
        ("<190>1 2024-01-01T00:00:00Z host app web.1 - x", "app info"),
        ("<11>1 2024-01-01T00:00:00Z box app 12 - - x", "app error"),
        ("<11>1 2024-01-01T00:00:00Z box app 12 - - DEBUG x", "app debug"),
        ("<13>1 2024-01-01T00:00:00Z box sshd 12 - - ERROR x", "other notice"),
        ("1 2024-01-01T00:00:00Z box sshd 12 - - x", "other info no_pri"),
        ("<190>1 2024-01-01T00:00:00Z host heroku router - at=warning code=H27 status=499", "router warning"),
        ("<190>1 2024-01-01T00:00:00Z host heroku router - at=odd", "router info"),
        ("<187>1 2024-01-01T00:00:00Z box heroku router - - at=odd", "router error"),
    ] {
        let line = Case::of(frame).line();
        assert_eq!(line.split(" | ").next(), Some(expected), "{frame}");
    }
    let logplex = Origin { logplex: true, ..origin(Form::Syslog) };
    let request = case(&plan(), logplex, b"<11>1 2024-01-01T00:00:00Z box app 12 - - x", false);
    assert_eq!(request.event.severity.name(), "info");
}

#[test]
fn messages_lose_one_line_end() {
    for (sent, shown) in
        [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a\r", "a\r"), ("\n", ""), ("", "")]
    {
        let case = Case::of(&format!("<190>1 2024-01-01T00:00:00Z host app web.1 - {sent}"));
        assert_eq!(case.text(case.event.message), shown, "{sent:?}");
        let case = Case::of(&format!("no header{sent}"));
        assert_eq!(case.text(case.event.message), format!("no header{shown}"), "{sent:?}");
    }
}

#[test]
fn flags_say_what_was_odd() {
    let plan = plan();
    for (frame, truncated, expected) in [
        (&b"<190>1 - host app web.1 - x"[..], false, "app info bad_time | "),
        (b"1 - host app web.1 - caf\xe9", true, "app info bad_time invalid_utf8 no_pri truncated | "),
        (b"<190>1 2024-01-01T00:00:00Z host app web.1 - {\"a\":}", false, "app info bad_json | "),
        (
            b"<190>1 2024-01-01T00:00:00Z host app web.1 - {\"a\":\"\xff\"}",
            false,
            "app info bad_json invalid_utf8 | ",
        ),
        (b"\xff what is this", true, "other info truncated unparsed | "),
    ] {
        assert_eq!(case(&plan, origin(Form::Syslog), frame, truncated).line(), expected);
    }
    let unread = case(&plan, origin(Form::Syslog), b"<190>1 - host app web.1 - x", false);
    assert_eq!((unread.event.time_us, unread.event.received_us), (RECEIVED_US, RECEIVED_US));
}

#[test]
fn replay_receives_when_the_event_happened() {
    let plan = Plan { received: Received::Event, ..plan() };
    let timed = case(&plan, origin(Form::Syslog), b"<190>1 1970-01-01T00:00:01Z host app web.1 - x", false);
    assert_eq!((timed.event.time_us, timed.event.received_us), (1_000_000, 1_000_000));
    let untimed = case(&plan, origin(Form::Syslog), b"<190>1 - host app web.1 - x", false);
    assert_eq!(untimed.event.received_us, RECEIVED_US);
}

#[test]
fn the_drain_is_named_by_the_first_that_can() {
    let guide = (r"\+\d+\:\d+\s(?P<Computer>d\.[^\s]+)", "Computer");
    let with_rule = |default_drain: Option<&str>| {
        let mut plan = plan();
        let listener = Arc::get_mut(&mut plan.listeners[0]).unwrap();
        listener.device_id = DeviceRules::new(&[guide, ("id=(?P<Id>[a-z]+)", "Id")]).unwrap();
        plan.default_drain = default_drain.map(Into::into);
        plan
    };
    let hostname = format!("<190>1 2024-01-01T00:00:00+00:00 {DRAIN} app web.1 - - id=abc");
    let other = "<190>1 2024-01-01T00:00:00+00:00 host app web.1 - id=abc";
    let nothing = "<190>1 2024-01-01T00:00:00+00:00 host app web.1 - x";
    for (plan, token, frame, expected, no_match) in [
        (with_rule(None), Some("d.header"), &*hostname, DRAIN, false),
        (with_rule(None), Some("d.header"), other, "d.header", false),
        (with_rule(Some("default")), None, other, "abc", false),
        (with_rule(Some("default")), None, nothing, "default", true),
        (with_rule(None), None, nothing, "", true),
        (with_rule(None), None, "? +00:00 d.raw text", "d.raw", false),
        (plan(), None, nothing, "", false),
    ] {
        let origin = Origin { token: token.map(Into::into), ..origin(Form::Syslog) };
        let case = case(&plan, origin, frame.as_bytes(), false);
        assert_eq!((&*case.text(case.event.drain), case.scratch.no_match), (expected, no_match), "{frame}");
    }
}

#[test]
fn records_fill_the_envelope_and_the_rest_are_fields() {
    let plan = plan();
    let record = |frame: &str| case(&plan, origin(Form::IngestJson), frame.as_bytes(), false);
    let full = record(
        r#"{"time":"2024-01-01T00:00:00Z","message":"say \"hi\"\n","source":"shop","process":"p1","hostname":"box","severity":"warn","a":{"b":1}}"#,
    );
    let texts = [full.event.message, full.event.source, full.event.process, full.event.hostname]
        .map(|span| full.text(span));
    assert_eq!(texts, ["say \"hi\"", "shop", "p1", "box"]);
    assert_eq!(full.line(), "other warning | a.b: 1");
    assert_eq!(full.event.time_us, 1_704_067_200_000_000);
    for (frame, time_us, line) in [
        (r#"{"time":1704067200}"#, 1_704_067_200_000_000, "other info | "),
        (r#"{"time":1704067200.25}"#, 1_704_067_200_250_000, "other info | "),
        (r#"{"time":1704067200123}"#, 1_704_067_200_123_000, "other info | "),
        (r#"{"time":-1}"#, -1_000_000, "other info | "),
        (r#"{"time":"today"}"#, RECEIVED_US, "other info bad_time | time: 'today'"),
        (r#"{"time":1e9}"#, RECEIVED_US, "other info bad_time | time: 1e9"),
        (r#"{"time":1.1234567e3}"#, RECEIVED_US, "other info bad_time | time: 1.1234567e3"),
        (
            r#"{"severity":"odd","message":["a"]}"#,
            RECEIVED_US,
            "other info | severity: 'odd', message: [\"a\"]",
        ),
        (r#"{"source":"app","message":"{\"level\":\"error\"}"}"#, RECEIVED_US, "app error | level: 'error'"),
        (
            r#"{"source":"heroku","process":"web.1","message":"\u001b[1mState changed from up to crashed"}"#,
            RECEIVED_US,
            "dyno_state error | from_state: 'up', to_state: 'crashed'",
        ),
        (r#"{"time":"#, RECEIVED_US, "other info bad_json | "),
        ("[1]", RECEIVED_US, "other info bad_json | "),
    ] {
        let case = record(frame);
        assert_eq!((case.event.time_us, &*case.line()), (time_us, line), "{frame}");
    }
    let text = case(&plan, origin(Form::IngestText), b"ERROR at noon\n", false);
    assert_eq!((&*text.text(text.event.message), &*text.line()), ("ERROR at noon", "other info | "));
}

#[test]
fn loss_notices_tell_how_many() {
    for (frame, expected) in [
        (
            "<172>1 2015-05-09T20:21:24+00:00 host heroku logplex - Error L10 (output buffer overflow): 31 messages dropped since 2015-05-09T20:19:03+00:00.",
            Some(31),
        ),
        (
            "<172>1 2015-05-09T20:21:24+00:00 host heroku logplex - Error L10 (output buffer overflow): drain 'd.1' dropped 7 messages.",
            Some(7),
        ),
        (
            "<172>1 2013-11-04T21:31:32.125756+00:00 heroku t.x log-shuttle - - Error L12: 222 messages dropped since 2013-11-04T21:31:32.125756+00:00\n",
            Some(222),
        ),
        (
            "<172>1 2015-05-09T20:21:24+00:00 host heroku logplex - Error L11 (Tail buffer overflow) -> This tail session dropped 500 messages",
            None,
        ),
        (
            "<172>1 2015-05-09T20:21:24+00:00 host heroku logplex - Error L10 (x): 99999999999999999999999 messages",
            None,
        ),
        ("<172>1 2015-05-09T20:21:24+00:00 host app web.1 - Error L10 (x): 1 messages", None),
        ("Error L10 (x): 1 messages", None),
        ("", None),
    ] {
        assert_eq!(loss_notice(frame.as_bytes()), expected, "{frame}");
        let event = Case::of(frame);
        assert_eq!(event.scratch.int(heroku::LOST), expected, "{frame}");
    }
    let notice = Case::of("<172>1 2015-05-09T20:21:24+00:00 host heroku logplex - Error L10 (a): 1 messages");
    assert_eq!(notice.scratch.text(heroku::CODE, notice.batch.bytes()), Some(&b"L10"[..]));
}

/// Headers of messages that each extractor reads.
const HEADS: [&str; 8] = [
    "host heroku router - ",
    "host heroku web.1 - ",
    "host heroku logplex - ",
    "host app api - ",
    "host app web.1 - ",
    "host app heroku-postgres - ",
    "host app postgres.1 - ",
    "box app 1 - [a b=\"c\"] ",
];

#[test]
fn hostile_lines_take_linear_time() {
    let parts: [&str; 24] = [
        "\"",
        "\\",
        "\\\"",
        "=\"",
        " a=\"\\\" ",
        " fwd=",
        " fwd=\"",
        " agent=",
        " agent=\"",
        "\" host=",
        "{",
        "[",
        "{\"a\":",
        "{\"\\u",
        "with command `",
        " by ",
        " by user ",
        "\x1b[1",
        "level=",
        " message",
        "1,",
        "a=1 ",
        " dyno=\"a\"",
        "sample#a=1kB ",
    ];
    let starts = [
        "",
        "at=info method=GET path=\"/",
        "GET a",
        "[A] [1-1] sql_error_code = 0 ",
        "{\"a\":\"",
        "sample#x=1 ",
    ];
    let plan = plan();
    for (head, start) in HEADS.iter().flat_map(|head| starts.map(|start| (head, start))) {
        for part in parts {
            let mut frame = format!("<190>1 2024-01-01T00:00:00Z {head}{start}");
            frame.push_str(&part.repeat(64 * 1024 / part.len()));
            for end in ["", "\"}", " status=200"] {
                let frame = format!("{frame}{end}");
                let start = Instant::now();
                case(&plan, origin(Form::Syslog), frame.as_bytes(), false);
                // Linear is well below 20 ms even unoptimized; quadratic is seconds.
                assert!(start.elapsed() < Duration::from_millis(500), "{} …", &frame[..120]);
            }
        }
    }
}

/// The handed-over cases: name, frames, and what is expected of each.
fn handed_over() -> Vec<(String, Vec<Vec<u8>>, Vec<serde_json::Value>)> {
    let parse = |line: &str| {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let sent = base64::prelude::BASE64_STANDARD.decode(case["b64"].as_str().unwrap()).unwrap();
        let framing = if case["framing"] == "octet" { Framing::Octet } else { Framing::Newline };
        let mut framer = Framer::new(framing, crate::limits::FRAME_BYTES);
        let (mut frames, mut at) = (Vec::new(), 0);
        while let Step::Frame { start, end, next, .. } = framer.step(&sent, at) {
            frames.push(sent[start..end].to_vec());
            at = next;
        }
        let expect = &case["expect"];
        let each = expect["events"].as_array().cloned().unwrap_or_else(|| vec![expect.clone()]);
        (case["name"].as_str().unwrap().to_string(), frames, each)
    };
    include_str!("../../tests/cases/heroku_frames.jsonl").lines().map(parse).collect()
}

/// One key of an event or of its fields, as JSON.
fn key(case: &Case, name: &str) -> serde_json::Value {
    use serde_json::{Value as Json, json};
    let text = |span: Span| if span.is_empty() { Json::Null } else { json!(case.text(span)) };
    match name {
        "message" => json!(case.text(case.event.message)),
        "message_len" => json!(case.event.message.len()),
        "time" => json!(core::str::from_utf8(&super::time::write(case.event.time_us)).unwrap()),
        "kind" => json!(heroku::KINDS[case.event.kind.0 as usize]),
        "severity" => json!(case.event.severity.name()),
        "pri" => json!(case.event.pri),
        "drain" => text(case.event.drain),
        "flags" => {
            Flags::ALL.iter().filter(|(flag, _)| case.event.flags.has(*flag)).map(|(_, name)| *name).collect()
        }
        _ => {
            let known = |field: &&Field| matches!(field.name, Name::Known(id) if heroku::FIELDS[id.0 as usize] == name);
            match case.scratch.fields.iter().find(known).map(|field| field.value) {
                None => Json::Null,
                Some(Value::Int(value)) => json!(value),
                Some(Value::Bool(value)) => json!(value),
                Some(Value::Text(span)) => json!(case.text(span)),
                Some(Value::Raw(span)) => serde_json::from_str(&case.text(span)).unwrap(),
                Some(Value::List(span)) => case.text(span).split(',').map(str::trim).collect(),
            }
        }
    }
}

#[test]
fn handed_over_cases() {
    let mut compared = 0;
    for (name, frames, each) in handed_over() {
        for (frame, expect) in frames.iter().zip(each) {
            let case = case(&plan(), origin(Form::Syslog), frame, false);
            let of_event = |name: &&String| !matches!(name.as_str(), "messages" | "counters" | "events");
            for wanted in expect.as_object().unwrap().keys().filter(of_event) {
                assert_eq!(key(&case, wanted), expect[wanted], "{name}: {wanted}");
                compared += 1;
            }
        }
    }
    assert!(compared > 50, "{compared}");
}

/// A handed-over frame with a few bytes removed, doubled or replaced.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let frames: Vec<Vec<u8>> = handed_over()
        .into_iter()
        .flat_map(|(_, frames, _)| frames)
        .filter(|frame| frame.len() < 1000)
        .collect();
    let byte = prop_oneof![prop::sample::select(b" \"\\=[]{}:<\n\x1b`,d.".to_vec()), any::<u8>()];
    let changes = prop::collection::vec((any::<prop::sample::Index>(), 0..3, byte), 0..6);
    (prop::sample::select(frames), changes).prop_map(|(mut frame, changes)| {
        for (index, what, byte) in changes {
            let at = index.index(frame.len());
            match what {
                0 => _ = frame.remove(at),
                1 => frame.insert(at, byte),
                _ => frame[at] = byte,
            }
        }
        frame
    })
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "at=info",
        "code=H12",
        "method=GET",
        "path=\"/a\"",
        "host=a",
        "fwd=\"1.2.3.4, ::1\"",
        "dyno=web.1",
        "connect=1ms",
        "status=200",
        "agent=\"x\"",
        "tls=true",
        "sample#load_avg_1m=1",
        "sample#memory_rss=1.5MB",
        "source=web.1",
        "Error",
        "R14",
        "L10",
        "(x)",
        "->",
        "State",
        "changed",
        "from",
        "to",
        "with",
        "command",
        "`",
        "by",
        "user",
        "Process",
        "exited",
        "status",
        "running",
        "mem=1M(2%)",
        "[A]",
        "[1-2]",
        "sql_error_code",
        "=",
        "LOG:",
        "k=\"v\"",
        "{\"a\":1}",
        "{",
        "}",
        "\"",
        "\\",
        "\x1b[1m",
        "\x1b[",
        "level=",
        "ERROR",
        "E, [",
        "4 messages",
        "\n",
        "é",
    ]);
    let word = prop_oneof![8 => words.prop_map(|word| word.as_bytes().to_vec()), 1 => prop::collection::vec(any::<u8>(), 0..6)];
    let text = prop::collection::vec((word, any::<bool>()), 0..24).prop_map(|words| {
        words
            .into_iter()
            .flat_map(|(word, blank)| word.into_iter().chain(blank.then_some(b' ')))
            .collect::<Vec<u8>>()
    });
    (prop::sample::select(HEADS.to_vec()), text).prop_map(|(head, text)| {
        [b"<190>1 2024-01-01T00:00:00Z ".as_slice(), head.as_bytes(), &text].concat()
    })
}

proptest! {
    /// No bytes make it panic, every span can be shown, and no name is there twice.
    #[test]
    fn any_bytes_are_an_event(
        frame in prop_oneof![4 => line(), 4 => mutated(), 1 => prop::collection::vec(any::<u8>(), 0..200)],
        form in prop::sample::select(vec![Form::Syslog, Form::SyslogOrTail, Form::IngestJson, Form::IngestText]),
    ) {
        let case = case(&plan(), origin(form), &frame, false);
        case.line();
        let event = &case.event;
        for span in [event.drain, event.hostname, event.source, event.process, event.msgid, event.sd, event.message] {
            case.text(span);
        }
        loss_notice(&frame);
        let name = |field: &Field| match field.name {
            Name::Known(id) => heroku::FIELDS[id.0 as usize].to_string(),
            Name::Text(span) => case.text(span),
        };
        let mut names: Vec<String> = case.scratch.fields.iter().map(name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        prop_assert_eq!(names.len(), count);
    }
}
