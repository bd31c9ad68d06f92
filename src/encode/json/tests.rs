use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::super::tests::{alike, event, origin, plan, run};
use super::*;
use crate::batch::{Identity, Origin};
use crate::event::{Event, Field, Severity, Span, Texts};
use crate::limits::MADE_SLACK_BYTES as SLACK_BYTES;
use crate::parse::time;
use crate::plan::rules::{Spec, build};
use crate::plan::{Drain, Plan};
use crate::simd::{Level, dispatch};

/// What is written of an event over the texts of `batch`.
struct Example<'a> {
    plan: Plan,
    origin: Origin,
    drain: Option<Drain>,
    fields: Vec<Field>,
    event: Event,
    batch: &'a [u8],
    categories: &'a [u8],
}

impl<'a> Example<'a> {
    fn of(batch: &'a [u8]) -> Example<'a> {
        Example {
            plan: plan(),
            origin: origin(None),
            drain: None,
            fields: Vec::new(),
            event: event(batch),
            batch,
            categories: b"",
        }
    }

    /// Where `text` stands in the batch.
    fn span(&self, text: &str) -> Span {
        let at = self.batch.windows(text.len()).position(|part| part == text.as_bytes()).unwrap();
        Span::of(at, at + text.len())
    }

    fn line(self) -> String {
        let run = run(self.origin, Identity::Batch);
        let written = Written {
            plan: &self.plan,
            run: &run,
            event: &self.event,
            texts: Texts { batch: self.batch, made: b"made" },
            fields: &self.fields,
            drain: self.drain.as_ref(),
            alike: &alike(&self.plan, &run, self.drain.as_ref(), b"id-"),
            last: 1,
            time: &time::write(self.event.time_us),
            received: &time::write(self.event.received_us),
            categories: self.categories,
        };
        let mut out = b"before\n".to_vec();
        write(crate::simd::Portable, &written, &mut out);
        let line = String::from_utf8(out).unwrap();
        line.strip_prefix("before\n").unwrap().strip_suffix('\n').unwrap().into()
    }

    fn json(self) -> Json {
        serde_json::from_str(&self.line()).unwrap()
    }
}

fn texts(pairs: &[(&str, &str)]) -> Vec<(Box<str>, Box<str>)> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

#[test]
fn the_least_event() {
    assert_eq!(
        Example::of(b"").line(),
        r#"{"id":"id-1","time":"1970-01-01T00:00:00.000000Z","received":"1970-01-01T00:00:00.000001Z","#
            .to_string()
            + r#""listener":"li\"stener","kind":"other","severity":"info","fields":{},"message":""}"#
    );
}

#[test]
fn all_keys_in_their_order() {
    let mut example = Example::of(br#"d.1 shop app web.1 mid [a b="c\]"][e] at 1.50 [1, null] a, b hi"#);
    example.event.drain = example.span("d.1");
    example.event.hostname = example.span("shop");
    example.event.source = example.span("app");
    example.event.process = example.span("web.1");
    example.event.msgid = example.span("mid");
    example.event.sd = example.span(r#"[a b="c\]"][e]"#);
    example.event.message = example.span("hi");
    example.event.kind = heroku::APP;
    example.event.pri = Some(8 * 13 + 4);
    example.event.severity = Severity::Warning;
    example.event.flags.set(Flags::TRUNCATED);
    example.event.flags.set(Flags::BAD_JSON);
    example.origin.peer = Some("::ffff:10.1.2.3".parse().unwrap());
    example.origin.labels = texts(&[("env", "sent"), ("app", "shop"), ("zone", "eu")]);
    let labels = texts(&[("env", "production"), ("team", "a")]);
    example.drain = Some(Drain { computer: Some("shop-production".into()), labels });
    let name = |span| Name::Text(span);
    example.fields = vec![
        Field { name: Name::Known(heroku::STATUS), value: Value::Int(503) },
        Field { name: name(example.span("at")), value: Value::Text(Span::made(1, 4)) },
        Field { name: name(example.span("c\\]")), value: Value::Raw(example.span("1.50")) },
        Field { name: name(example.span("e")), value: Value::Raw(example.span("[1, null]")) },
        Field { name: name(Span::made(0, 1)), value: Value::Bool(true) },
        Field { name: name(Span::made(0, 2)), value: Value::Bool(false) },
        Field { name: name(Span::made(0, 3)), value: Value::List(example.span("a, b")) },
    ];
    let expected = [
        r#"{"id":"id-1","time":"1970-01-01T00:00:00.000000Z","received":"1970-01-01T00:00:00.000001Z","#,
        r#""drain":"d.1","computer":"shop-production","#,
        r#""labels":{"app":"shop","env":"production","team":"a","zone":"eu"},"listener":"li\"stener","#,
        r#""peer":"10.1.2.3","hostname":"shop","source":"app","process":"web.1","msgid":"mid","#,
        r#""sd":{"a":{"b":"c]"},"e":{}},"kind":"app","facility":"audit","severity":"warning","pri":108,"#,
        r#""flags":["bad_json","truncated"],"#,
        r#""fields":{"status":503,"at":"ade","c\\]":1.50,"e":[1, null],"m":true,"ma":false,"mad":["a","b"]},"#,
        r#""message":"hi"}"#,
    ];
    assert_eq!(example.line(), expected.concat());
}

#[test]
fn kinds_and_categories_of_packs() {
    let long = "a-kind-with-a-name-that-is-longer-than-any-piece";
    let kinds: Vec<Box<str>> = heroku::KINDS.iter().copied().chain([long]).map(Into::into).collect();
    let rules = build(&Spec { kinds, ..Spec::default() }).unwrap();
    let rules = Some(Arc::new(rules));
    let line = |kind: KindId, categories| {
        let mut example = Example::of(b"");
        example.plan.rules = rules.clone();
        (example.event.kind, example.event.pri, example.categories) = (kind, Some(4), categories);
        example.line()
    };
    let of_pack = KindId(heroku::KINDS.len() as u8);
    let has = |line: String, part: String| assert!(line.contains(&part), "{line}");
    has(line(of_pack, b""), format!(r#","kind":"{long}","facility":"kern","severity""#));
    let two = format!(r#","kind":"{long}","categories":["a.b","c.d"],"facility":"kern","severity""#);
    has(line(of_pack, br#"["a.b","c.d"]"#), two);
    let known = r#","kind":"router","categories":["a.b"],"facility":"kern","severity""#;
    has(line(heroku::ROUTER, br#"["a.b"]"#), known.into());
}

#[test]
fn a_line_holds_no_other_line_break() {
    let mut example = Example::of(b"[1,\r\n\"a\"]\n\x00\x1f\x7f\t\xe2\x80\xa8");
    let array = example.span("[1,\r\n\"a\"]");
    example.fields = vec![Field { name: Name::Known(heroku::AT), value: Value::Raw(array) }];
    let line = example.line();
    assert!(line.contains(r#""fields":{"at":[1,  "a"]}"#), "{line}");
    assert!(line.ends_with("\\n\\u0000\\u001f\u{7f}\\t\u{2028}\"}"), "{line}");
}

#[test]
fn who_sent_it() {
    let peer = |name: Option<&str>, ip: Option<&str>| {
        let mut example = Example::of(b"");
        example.origin.peer = ip.map(|ip| ip.parse::<IpAddr>().unwrap());
        example.origin.peer_name = name.map(Into::into);
        example.json()["peer"].clone()
    };
    assert_eq!(peer(None, Some("2001:db8::1")), json!("2001:db8::1"));
    assert_eq!(peer(Some("relay.example"), Some("10.1.2.3")), json!("relay.example"));
    assert_eq!(peer(None, None), Json::Null);
    let mut example = Example::of(b"");
    example.plan.default_computer = Some("laptop".into());
    assert_eq!(example.json()["computer"], json!("laptop"));
}

#[test]
fn of_equal_names_in_structured_data_the_last_counts() {
    let check = |data: &[u8], expected: &str| {
        let mut example = Example::of(data);
        example.event.sd = Span::of(0, data.len());
        example.event.message = Span::NONE;
        let line = example.line();
        assert!(line.contains(&format!(r#""sd":{expected},"kind""#)), "{line}");
    };
    check(br#"[a x="1" y="2" x="3"]"#, r#"{"a":{"y":"2","x":"3"}}"#);
    check(br#"[a x="1"][b][a x="2"]"#, r#"{"b":{},"a":{"x":"2"}}"#);
    check(b"[a x=\"\xff\\\"\n\"]", "{\"a\":{\"x\":\"\u{fffd}\\\"\\n\"}}");
    let many = |n: usize| "[a]".repeat(n);
    check(many(SD_NAMES).as_bytes(), r#"{"a":{}}"#);
    check(many(SD_NAMES + 1).as_bytes(), &format!("{{{}}}", vec![r#""a":{}"#; SD_NAMES + 1].join(",")));
}

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..30),
        ".{0,20}".prop_map(String::into_bytes),
        "[\"\\\\\n\r\t\u{0}\u{1f}\u{7f}\u{e9}\u{1f600}a]{0,20}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn what_is_encoded_parses_back(parts in proptest::collection::vec(any_text(), 9)) {
        let batch = parts.concat();
        let mut at = 0;
        let spans: Vec<Span> = parts
            .iter()
            .map(|part| {
                at += part.len();
                Span::of(at - part.len(), at)
            })
            .collect();
        let mut example = Example::of(&batch);
        let row = &mut example.event;
        row.drain = spans[0];
        row.hostname = spans[1];
        row.source = spans[2];
        row.process = spans[3];
        row.msgid = spans[4];
        row.message = spans[5];
        example.fields = vec![
            Field { name: Name::Text(spans[6]), value: Value::Text(spans[7]) },
            Field { name: Name::Known(heroku::AT), value: Value::List(spans[8]) },
        ];
        let line = example.line();
        prop_assert!(!line.contains('\n'));
        let read: Json = serde_json::from_str(&line).unwrap();
        let lossy = |bytes: &[u8]| json!(String::from_utf8_lossy(bytes));
        for (name, part) in ["drain", "hostname", "source", "process", "msgid"].iter().zip(&parts) {
            let expected = if part.is_empty() { Json::Null } else { lossy(part) };
            prop_assert_eq!(&read[name], &expected);
        }
        prop_assert_eq!(&read["message"], &lossy(&parts[5]));
        let name = String::from_utf8_lossy(&parts[6]).into_owned();
        if name != "at" {
            prop_assert_eq!(&read["fields"][&name], &lossy(&parts[7]));
        }
        let items: Vec<Json> = parts[8].split(|byte| *byte == b',').map(|item| lossy(item.trim_ascii())).collect();
        prop_assert_eq!(&read["fields"]["at"], &json!(items));
    }
}

/// A text as it is sent, and whether it lies in the arena.
type Sent = (Vec<u8>, bool);

fn any_sent() -> impl Strategy<Value = Sent> {
    let text = prop_oneof![
        3 => proptest::collection::vec(prop_oneof![30 => b'#'..=b'Z', 1 => any::<u8>()], 0..110),
        1 => Just(Vec::new()),
        1 => any_text(),
    ];
    (text, any::<bool>())
}

/// A field: the name's id or text, and the value, whose text is the second.
type AnyField = (Option<u8>, Sent, u8, Sent, u64);

/// An event as text, written slowly and plainly: what `write` must write.
fn plainly(written: &Written, id: &str) -> Vec<u8> {
    let quoted = |text: &[u8]| {
        let mut out = String::from("\"");
        for char in String::from_utf8_lossy(text).chars() {
            match char {
                '"' | '\\' => out.extend(['\\', char]),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\0'..' ' => out.push_str(&format!("\\u{:04x}", char as u32)),
                _ => out.push(char),
            }
        }
        out + "\""
    };
    let (row, origin) = (written.event, &written.run.origin);
    let mut members = Vec::new();
    let mut member =
        |key: &str, value: &[u8]| members.push([format!("\"{key}\":").as_bytes(), value].concat());
    member("id", quoted(id.as_bytes()).as_bytes());
    member("time", quoted(&time::write(row.time_us)).as_bytes());
    member("received", quoted(&time::write(row.received_us)).as_bytes());
    let drain = written.drain.unwrap_or(&Drain { computer: None, labels: Vec::new() }).clone();
    let labels: BTreeMap<_, _> = origin.labels.iter().cloned().chain(drain.labels).collect();
    let labels = labels
        .iter()
        .map(|(name, value)| format!("{}:{}", quoted(name.as_bytes()), quoted(value.as_bytes())));
    let labels = labels.collect::<Vec<_>>().join(",");
    let peer = origin.peer.map(|peer| peer.to_canonical().to_string()).unwrap_or_default();
    let sd = [(
        br#"[a x="1" y="\"q\\\]" x="3"][b][c z=""]"#.as_slice(),
        r#"{"a":{"y":"\"q\\]","x":"3"},"b":{},"c":{"z":""}}"#,
    )];
    let sd = sd.iter().find(|(sent, _)| *sent == written.text(row.sd)).map_or("", |(_, shown)| shown);
    let text = |span| match written.text(span) {
        [] => String::new(),
        text => quoted(text),
    };
    let quoted_if_any = |text: &str| if text.is_empty() { String::new() } else { quoted(text.as_bytes()) };
    for (key, value) in [
        ("drain", text(row.drain)),
        ("computer", quoted_if_any(drain.computer.as_deref().unwrap_or(""))),
        ("labels", if labels.is_empty() { labels } else { format!("{{{labels}}}") }),
        ("listener", quoted_if_any(&written.plan.listener(origin.listener).name)),
        ("peer", quoted_if_any(origin.peer_name.as_deref().unwrap_or(&peer))),
        ("hostname", text(row.hostname)),
        ("source", text(row.source)),
        ("process", text(row.process)),
        ("msgid", text(row.msgid)),
        ("sd", sd.into()),
        ("kind", quoted(heroku::KINDS[row.kind.0 as usize].as_bytes())),
        (
            "facility",
            row.facility()
                .and_then(|n| FACILITIES.get(n as usize))
                .map_or("".into(), |name| quoted_if_any(name)),
        ),
        ("severity", quoted(row.severity.name().as_bytes())),
        ("pri", row.pri.map_or(String::new(), |pri| pri.to_string())),
        (
            "flags",
            if row.flags.is_empty() {
                "".into()
            } else {
                let names = Flags::ALL.iter().filter(|(flag, _)| row.flags.has(*flag));
                format!("[{}]", names.map(|(_, name)| quoted_if_any(name)).collect::<Vec<_>>().join(","))
            },
        ),
    ] {
        if !value.is_empty() {
            member(key, value.as_bytes());
        }
    }
    let field = |field: &Field| {
        let value = match field.value {
            Value::Text(span) => quoted(written.text(span)).into_bytes(),
            Value::Raw(span) => {
                let blank = |byte: &u8| if b"\r\n".contains(byte) { b' ' } else { *byte };
                written.text(span).iter().map(blank).collect()
            }
            Value::Int(n) => n.to_string().into_bytes(),
            Value::Bool(is) => is.to_string().into_bytes(),
            Value::List(span) => {
                let items = written.text(span).split(|byte| *byte == b',');
                format!("[{}]", items.map(|item| quoted(item.trim_ascii())).collect::<Vec<_>>().join(","))
                    .into_bytes()
            }
        };
        [quoted(written.name(field)).as_bytes(), b":", &value].concat()
    };
    let fields = written.fields.iter().map(field).collect::<Vec<_>>().join(&b","[..]);
    member("fields", &[b"{", &fields[..], b"}"].concat());
    member("message", quoted(written.text(row.message)).as_bytes());
    [b"{", &members.join(&b","[..])[..], b"}\n"].concat()
}

/// `write` with the vectors of a level.
struct Writing<'a>(&'a Written<'a>, &'a mut Vec<u8>);

impl Task for Writing<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, vector: V) {
        write(vector, self.0, self.1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn what_is_written_is_what_is_written_plainly(
        sent in proptest::collection::vec(any_sent(), 6),
        any_fields in proptest::collection::vec(
            (proptest::option::of(0..heroku::FIELDS.len() as u8), any_sent(), 0..6_u8, any_sent(), any::<u64>()), 0..12),
        (time_us, received_us, last) in (any::<i64>(), any::<i64>(), any::<u64>()),
        (kind, severity, pri, flags) in (0..heroku::KINDS.len() as u8, 0..8_u8, any::<Option<u8>>(), 0..64_u8),
        id in ".{0,90}",
        (computer, labels, sent_labels) in (
            proptest::option::of(".{0,40}"), proptest::collection::btree_map("[ab\"]{1,2}", ".{0,40}", 0..3),
            proptest::collection::btree_map("[ab\"]{1,2}", ".{0,40}", 0..3)),
        (has_sd, peer, peer_name) in (any::<bool>(), any::<Option<IpAddr>>(), proptest::option::of(".{0,70}")),
    ) {
        let (mut batch, mut made) = (b"before ".to_vec(), b"too".to_vec());
        let mut place = |(text, is_made): &Sent| {
            let (into, span): (_, fn(usize, usize) -> Span) =
                if *is_made { (&mut made, Span::made) } else { (&mut batch, Span::of) };
            into.extend_from_slice(text);
            span(into.len() - text.len(), into.len())
        };
        let spans: Vec<Span> = sent.iter().map(&mut place).collect();
        let sd = if has_sd { place(&(br#"[a x="1" y="\"q\\\]" x="3"][b][c z=""]"#.to_vec(), false)) } else { Span::NONE };
        let field = |(known, name, kind, text, n): &AnyField| {
            let name = match known {
                Some(id) => Name::Known(FieldId(*id)),
                None => Name::Text(place(name)),
            };
            let text = place(text);
            let values = [
                Value::Text(text), Value::Raw(text), Value::Int(*n), Value::Int(*n >> (*n % 64)), Value::Bool(*n > 1 << 63),
                Value::List(text),
            ];
            Field { name, value: values[*kind as usize] }
        };
        let fields: Vec<Field> = any_fields.iter().map(field).collect();
        let mut set = Flags::NONE;
        Flags::ALL.iter().enumerate().filter(|(bit, _)| flags >> bit & 1 != 0).for_each(|(_, (flag, _))| set.set(*flag));
        let row = Event {
            time_us, received_us, drain: spans[0], hostname: spans[1], source: spans[2], process: spans[3], msgid: spans[4],
            sd, message: spans[5], kind: crate::event::KindId(kind), severity: Severity::ALL[severity as usize], pri,
            flags: set, ..event(b"")
        };
        let boxed = |labels: BTreeMap<String, String>| {
            labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
        };
        let mut origin = origin(peer);
        (origin.peer_name, origin.labels) = (peer_name.map(Into::into), boxed(sent_labels));
        let drain = Drain { computer: computer.map(Into::into), labels: boxed(labels) };
        let (plan, run) = (plan(), run(origin, Identity::Batch));
        // With bytes behind the texts that may be read with them, and without.
        for slack in [0, 20, SLACK_BYTES] {
            let (batch, made) = ([&batch[..], &[b'"'; SLACK_BYTES][..slack]].concat(), [&made[..], &[0xff; SLACK_BYTES][..slack]].concat());
            let written = Written {
                plan: &plan, run: &run, event: &row, texts: Texts { batch: &batch, made: &made }, fields: &fields,
                drain: Some(&drain), alike: &alike(&plan, &run, Some(&drain), id.as_bytes()), last,
                time: &time::write(time_us), received: &time::write(received_us),
                categories: b"",
            };
            let expected = plainly(&written, &format!("{id}{last}"));
            for level in [Level::Portable, Level::best()] {
                let mut out = b"before\n".to_vec();
                dispatch(level, Writing(&written, &mut out));
                prop_assert!(out[7..] == expected, "{level:?}: {}\n{}", String::from_utf8_lossy(&out), String::from_utf8_lossy(&expected));
            }
        }
    }
}
