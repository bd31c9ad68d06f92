//! The compiled program against the plain meaning, over random rules and random events.

use std::sync::Arc;

use proptest::prelude::*;

use super::cond::{Compare, Cond, Glob, How, Key, Op, Subject, Test};
use super::convert::{Number, Type};
use super::plain::{Parts, holds};
use super::*;
use crate::event::{Event, Field, FieldId, Flags, KindId, Name, Severity, Span, Texts, Value};

const KNOWN: &[&str] = &["at", "n"];
const FIELDS: [(&str, Type); 6] = [
    ("at", Type::Text),
    ("n", Type::Whole(65_535)),
    ("text", Type::Text),
    ("ip", Type::Ip),
    ("flag", Type::Bool),
    ("list", Type::List),
];
const KINDS: [&str; 3] = ["other", "one", "two"];

/// An event as a test says it: keys and fields by name.
#[derive(Clone, Debug)]
struct Plain {
    message: String,
    source: String,
    process: String,
    kind: u8,
    severity: Severity,
    pri: Option<u8>,
    label: Option<String>,
    /// Whether a number is sent as one.
    fields: Vec<(usize, String, bool)>,
}

struct Made {
    batch: Vec<u8>,
    event: Event,
    fields: Vec<Field>,
    labels: Vec<(Box<str>, Box<str>)>,
}

impl Plain {
    fn made(&self) -> Made {
        let mut batch = Vec::new();
        let mut put = |text: &str| {
            let at = batch.len();
            batch.extend_from_slice(text.as_bytes());
            Span::of(at, batch.len())
        };
        let (message, source, process) = (put(&self.message), put(&self.source), put(&self.process));
        let mut fields = Vec::new();
        for (index, text, number) in &self.fields {
            let (name, ty) = FIELDS[*index];
            let known = KNOWN.iter().position(|known| *known == name);
            let name = match known {
                Some(id) if !number => Name::Known(FieldId(id as u8)),
                _ => Name::Text(put(name)),
            };
            let value = match (ty, text.parse::<u64>()) {
                (_, Ok(whole)) if *number => Value::Int(whole),
                (Type::List, _) => Value::List(put(text)),
                (Type::Bool, _) if *number => Value::Bool(text == "true"),
                _ => Value::Text(put(text)),
            };
            fields.push(Field { name, value });
        }
        let event = Event {
            time_us: 0,
            received_us: 0,
            frame: message,
            drain: Span::NONE,
            hostname: Span::NONE,
            source,
            process,
            msgid: Span::NONE,
            sd: Span::NONE,
            message,
            kind: KindId(self.kind),
            severity: self.severity,
            pri: self.pri,
            flags: Flags::NO_PRI,
        };
        let labels = self.label.iter().map(|value| ("env".into(), value.as_str().into())).collect();
        Made { batch, event, fields, labels }
    }

    fn parts(&self) -> Parts {
        let mut parts = Vec::new();
        let mut put = |subject, ty, values: Vec<Vec<u8>>| {
            if values.iter().any(|value| !value.is_empty()) {
                parts.push((subject, ty, values));
            }
        };
        for (key, text) in [
            (Key::Source, self.source.as_str()),
            (Key::Process, &self.process),
            (Key::Kind, KINDS[self.kind as usize]),
            (Key::Severity, self.severity.name()),
            (Key::SentSeverity, self.severity.name()),
            (Key::Flags, "no_pri"),
        ] {
            put(Subject::Key(key), Type::Text, vec![text.into()]);
        }
        if let Some(pri) = self.pri {
            put(Subject::Key(Key::Pri), Type::Text, vec![pri.to_string().into()]);
        }
        if let Some(label) = &self.label {
            put(Subject::Label("env".into()), Type::Text, vec![label.as_str().into()]);
        }
        for (index, text, number) in &self.fields {
            let (name, ty) = FIELDS[*index];
            let items = match ty {
                Type::List if !(*number && text.parse::<u64>().is_ok()) => {
                    text.split(',').map(|item| item.trim().into()).collect()
                }
                Type::Bool if *number && text.parse::<u64>().is_err() => {
                    vec![(text == "true").to_string().into_bytes()]
                }
                _ => vec![text.as_str().into()],
            };
            // An empty value of a field stays a value here, as the parser never makes one.
            parts.push((Subject::Field(name.into()), ty, items));
        }
        let mut plain = Vec::new();
        without_colours(self.message.as_bytes(), &mut plain);
        parts.push((Subject::Text, Type::Text, vec![plain]));
        Parts { parts }
    }
}

fn spec() -> Spec {
    let field = |(name, ty): (&str, Type)| FieldSpec {
        name: name.into(),
        ty,
        output: true,
        key: name.into(),
        take: None,
    };
    Spec {
        kinds: KINDS.map(Into::into).to_vec(),
        known_fields: KNOWN,
        fields: FIELDS.map(field).to_vec(),
        ..Spec::default()
    }
}

/// Runs a program over an event; returns the scratch and the event.
fn ran(program: &Arc<Program>, plain: &Plain, scratch: &mut RulesScratch) -> (Event, String) {
    let Made { batch, mut event, mut fields, labels } = plain.made();
    let mut made = Vec::new();
    let around = Around { labels: [&labels, &[]], ..Around::default() };
    let mut subjects =
        Subjects { event: &mut event, batch: &batch, made: &mut made, fields: &mut fields, around };
    run(program, &mut subjects, scratch);
    let texts = Texts { batch: &batch, made: &made };
    let text = |span: Span| String::from_utf8_lossy(texts.get(span)).into_owned();
    let one = |field: &Field| {
        let name = match field.name {
            Name::Known(id) => KNOWN[id.0 as usize].to_string(),
            Name::Text(span) => text(span),
        };
        match field.value {
            Value::Text(span) => format!("{name}='{}'", text(span)),
            Value::Raw(span) => format!("{name}={}", text(span)),
            Value::List(span) => format!("{name}=[{}]", text(span)),
            Value::Int(n) => format!("{name}={n}"),
            Value::Bool(b) => format!("{name}={b}"),
        }
    };
    (event, fields.iter().map(one).collect::<Vec<_>>().join(" "))
}

/// Words that are each other's parts, so that tests of them meet.
const WORDS: [&str; 14] = [
    "login failed",
    "failed",
    "FAIL",
    "Login",
    "a",
    "ab",
    "aba",
    "",
    "error",
    "10.0.0.7",
    "503",
    "50",
    "true",
    "x,aba , 50",
];

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(&WORDS[..]).prop_map(str::to_string)
}

fn literal() -> impl Strategy<Value = Box<[u8]>> {
    word()
        .prop_filter("an empty text is in every value", |word| !word.is_empty())
        .prop_map(|word| word.into_bytes().into())
}

fn subject() -> impl Strategy<Value = Subject> {
    const KEYS: [Key; 6] = [Key::Source, Key::Process, Key::Kind, Key::Severity, Key::Pri, Key::Flags];
    prop_oneof![
        3 => Just(Subject::Text),
        3 => prop::sample::select(&KEYS[..]).prop_map(Subject::Key),
        1 => Just(Subject::Label("env".into())),
        4 => prop::sample::select(&FIELDS[..]).prop_map(|(name, _)| Subject::Field(name.into())),
    ]
}

fn glob() -> impl Strategy<Value = Vec<Glob>> {
    let piece = prop_oneof![Just(Glob::Many), Just(Glob::One), literal().prop_map(Glob::Literal)];
    prop::collection::vec(piece, 1..5)
}

fn op() -> impl Strategy<Value = Op> {
    let how = prop::sample::select(&[How::Equals, How::Contains, How::Starts, How::Ends][..]);
    let compare = prop::sample::select(
        &[Compare::Equal, Compare::Less, Compare::LessOrEqual, Compare::Greater, Compare::GreaterOrEqual][..],
    );
    const PATTERNS: [&str; 8] =
        ["fail", "(?i)fail(ed)?$", "^a", "[0-9]+", "(login|error)", "(?i)(?:from|fail)", "b*", r"\bfailed\b"];
    prop_oneof![
        6 => (how, any::<bool>(), prop::collection::vec(literal(), 1..4)).prop_map(|(how, cased, any)| Op::Text { how, cased, any }),
        2 => (glob(), any::<bool>()).prop_map(|(pattern, cased)| Op::Glob { pattern, cased }),
        2 => prop::sample::select(&PATTERNS[..]).prop_map(|pattern| Op::Regex(pattern.into())),
        2 => (compare, prop::sample::select(&[0u64, 50, 134, 503][..])).prop_map(|(compare, n)| Op::Number(compare, Number::of(n))),
        1 => Just(Op::Network("10.0.0.0/8".parse().unwrap())),
        1 => Just(Op::Exists),
        1 => subject().prop_map(Op::Same),
    ]
}

fn cond() -> impl Strategy<Value = Cond> {
    let test = (subject(), op()).prop_map(|(subject, op)| Cond::Test(Test { subject, op }));
    test.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Cond::All),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Cond::Any),
            inner.prop_map(|inner| Cond::Not(Box::new(inner))),
        ]
    })
}

fn event() -> impl Strategy<Value = Plain> {
    let message = prop_oneof![
        word(),
        (word(), word()).prop_map(|(a, b)| format!("{a} {b}")),
        (word(), word()).prop_map(|(a, b)| format!("\x1b[31m{a}\x1b[0m{b}")),
        "[abFAIL\x1b\\[1m .5]{0,20}",
    ];
    let fields = prop::collection::vec((0..FIELDS.len(), word(), any::<bool>()), 0..6);
    let fields = fields.prop_map(|mut fields| {
        fields.retain(|(_, text, _)| !text.is_empty());
        fields.sort_by_key(|(index, ..)| *index);
        fields.dedup_by_key(|(index, ..)| *index);
        fields
    });
    let pri = prop::option::of(prop::sample::select(&[0u8, 50, 134][..]));
    let rest =
        (0..KINDS.len() as u8, prop::sample::select(&Severity::ALL[..]), pri, prop::option::of(word()));
    (message, word(), word(), rest, fields).prop_map(
        |(message, source, process, (kind, severity, pri, label), fields)| {
            let label = label.filter(|label| !label.is_empty());
            Plain { message, source, process, kind, severity, pri, label, fields }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// Every category is given exactly where its condition, read plainly, holds; scratch is carried along.
    #[test]
    fn the_program_means_what_the_conditions_say(
        conds in prop::collection::vec(cond(), 1..12),
        events in prop::collection::vec(event(), 1..8),
        keep_all in any::<bool>(),
    ) {
        let mut spec = Spec { keep_all, ..spec() };
        spec.categories = conds.iter().enumerate().map(|(i, cond)| (format!("c{i:02}").into(), cond.clone())).collect();
        spec.watches = conds.iter().map(|cond| Cond::Not(Box::new(cond.clone()))).collect();
        let program = Arc::new(build(&spec).unwrap());
        let mut scratch = RulesScratch::default();
        // Each start comes again with other texts and fields.
        let again = events.iter().flat_map(|start| {
            let with = |rest: &Plain| Plain { message: rest.message.clone(), fields: rest.fields.clone(), ..start.clone() };
            events.iter().map(with).collect::<Vec<_>>()
        });
        for event in &again.collect::<Vec<_>>() {
            ran(&program, event, &mut scratch);
            let parts = event.parts();
            let expected: Vec<u32> =
                (0..conds.len() as u32).filter(|i| holds(&conds[*i as usize], &parts)).collect();
            let not: Vec<u32> =
                (0..conds.len() as u32).filter(|i| !holds(&conds[*i as usize], &parts)).collect();
            prop_assert_eq!(&scratch.matched().categories, &expected, "{:?}", event);
            prop_assert_eq!(&scratch.matched().watches, &not, "{:?}", event);
        }
    }

    /// Objects give the kind in their order, those that ask for it see it, and the first to write a field keeps it.
    #[test]
    fn objects_run_in_their_order(
        first in prop::collection::vec((text_cond(), prop::option::of(1..KINDS.len() as u8)), 0..5),
        later in prop::collection::vec((text_cond(), 0..KINDS.len() as u8), 0..4),
        builtin_at in 0usize..6,
        event in event(),
    ) {
        let mut spec = spec();
        spec.builtin_at = builtin_at;
        let taking = |n: usize| ExtractSpec::Regex { pattern: format!("(?s)^.{{0,{n}}}(?P<text>.)").into(), groups: vec!["text".into()] };
        let mut expected = event.clone();
        let mut writes = Vec::new();
        let parts = event.parts();
        let mut kind = None;
        for (index, (when, gives)) in first.iter().enumerate() {
            let rules = vec![ObjectRule { when: when.clone(), extract: vec![taking(index)] }];
            let kind_id = gives.map(KindId);
            spec.objects.push(ObjectSpec { id: "o".into(), kind: kind_id, by_kind: false, rules });
            if holds(when, &parts) {
                writes.push(index);
                kind = kind.or(gives.map(|gives| (index, gives)));
            }
        }
        if let Some((index, gives)) = kind && (index < builtin_at || event.kind == 0) {
            expected.kind = gives;
        }
        for (place, (when, of)) in later.iter().enumerate() {
            let asks = Test { subject: Subject::Key(Key::Kind), op: Op::Text { how: How::Equals, cased: false, any: vec![KINDS[*of as usize].as_bytes().into()] } };
            let when = Cond::All(vec![Cond::Test(asks), when.clone()]);
            let index = first.len() + place;
            if holds(&when, &expected.parts()) {
                writes.push(index);
            }
            spec.objects.push(ObjectSpec { id: "o".into(), kind: None, by_kind: true, rules: vec![ObjectRule { when, extract: vec![taking(index)] }] });
        }
        let program = Arc::new(build(&spec).unwrap());
        let mut scratch = RulesScratch::default();
        let (found, fields) = ran(&program, &event, &mut scratch);
        prop_assert_eq!(found.kind.0, expected.kind);
        let objects: Vec<usize> = scratch.matched().objects.iter().map(|(object, _)| *object as usize).collect();
        prop_assert_eq!(objects, writes.clone());
        let sent = event.fields.iter().any(|(index, ..)| FIELDS[*index].0 == "text");
        let plain = parts.get(&Subject::Text)[0].clone();
        if let (false, Some(first), false) = (sent, writes.first(), plain.is_empty()) {
            let at = (*first).min(plain.len() - 1);
            let wanted = format!("text='{}'", String::from_utf8_lossy(&plain[at..=at]));
            prop_assert!(fields.ends_with(&wanted) , "{} lacks {}", fields, wanted);
        }
    }
}

/// Conditions of what is known before fields are.
fn text_cond() -> impl Strategy<Value = Cond> {
    let subject = prop_oneof![
        Just(Subject::Text),
        Just(Subject::Key(Key::Source)),
        Just(Subject::Key(Key::SentSeverity))
    ];
    let how = prop::sample::select(&[How::Equals, How::Contains, How::Starts][..]);
    (subject, how, literal(), any::<bool>()).prop_map(|(subject, how, literal, not)| {
        let test = Cond::Test(Test { subject, op: Op::Text { how, cased: false, any: vec![literal] } });
        if not { Cond::Not(Box::new(test)) } else { test }
    })
}

fn plain(message: &str) -> Plain {
    Plain {
        message: message.into(),
        source: "app".into(),
        process: "web.1".into(),
        kind: 0,
        severity: Severity::Info,
        pri: Some(134),
        label: None,
        fields: Vec::new(),
    }
}

#[test]
fn extractors_write_typed_fields_once() {
    let always = Cond::All(Vec::new());
    let regex = |pattern: &str, group: &str| ExtractSpec::Regex {
        pattern: pattern.into(),
        groups: vec![group.into()],
    };
    let kv = ExtractSpec::Kv {
        separator: b"="[..].into(),
        between: b" "[..].into(),
        quote: Some(b'"'),
        emit: None,
    };
    let json = ExtractSpec::Json(vec![
        (vec!["a".into(), "b".into()], "text".into()),
        (vec!["c".into()], "text".into()),
        (vec!["n".into()], "n".into()),
    ]);
    let format = ExtractSpec::Format {
        pieces: vec![Ok(Subject::Key(Key::Source)), Err("/".into()), Ok(Subject::Field("n".into()))],
        field: "text".into(),
    };
    for (extract, message, expected, unconverted) in [
        (
            vec![kv.clone()],
            r#"n=7 text="a b" ip=10.0.0.7 flag=true list=a,b"#,
            "n=7 text='a b' ip='10.0.0.7' flag=true list=[a,b]",
            0,
        ),
        (vec![kv.clone()], "n=70000 flag=yes ip=10.0.0", "", 3),
        (vec![regex("ip (?P<ip>[0-9.:]+)", "ip")], "ip 10.0.0.7:443.", "ip='10.0.0.7'", 0),
        (vec![regex("ip (?P<ip>[^ ]+)", "ip")], "\x1b[1mip \x1b[0m[2001:db8::1]", "ip='2001:db8::1'", 0),
        (vec![regex("(?P<text>b)", "text"), regex("(?P<text>a)", "text")], "ab", "text='b'", 0),
        (vec![json.clone()], r#"{"a":{"b":"x\ty"},"n":"7"}"#, "text='x\ty' n=7", 0),
        (vec![json], r#"{"a":{},"c":1.50}"#, "text='1.50'", 0),
        (vec![kv.clone(), format.clone()], "n=7", "n=7 text='app/7'", 0),
        (vec![format], "n=7", "", 0),
    ] {
        let mut spec = spec();
        let rules = vec![ObjectRule { when: always.clone(), extract }];
        spec.objects = vec![ObjectSpec { id: "o".into(), kind: None, by_kind: false, rules }];
        let program = Arc::new(build(&spec).unwrap());
        let mut scratch = RulesScratch::default();
        let (_, fields) = ran(&program, &plain(message), &mut scratch);
        assert_eq!(fields, expected, "{message}");
        assert_eq!(
            (scratch.matched().unconverted, scratch.matched().conflicts),
            (unconverted, 0),
            "{message}"
        );
    }
}

#[test]
fn two_objects_that_write_one_field_are_counted() {
    let object = |pattern: &str| ObjectSpec {
        id: "o".into(),
        kind: None,
        by_kind: false,
        rules: vec![ObjectRule {
            when: Cond::All(Vec::new()),
            extract: vec![ExtractSpec::Regex { pattern: pattern.into(), groups: vec!["text".into()] }],
        }],
    };
    let spec = Spec { objects: vec![object("(?P<text>a)"), object("(?P<text>b)")], ..spec() };
    let program = Arc::new(build(&spec).unwrap());
    let mut scratch = RulesScratch::default();
    for (message, fields, conflicts) in [("ab", "text='a'", 1), ("b", "text='b'", 0), ("", "", 0)] {
        assert_eq!(ran(&program, &plain(message), &mut scratch).1, fields);
        assert_eq!(scratch.matched().conflicts, conflicts, "{message}");
    }
}

#[test]
fn fields_are_taken_and_derived() {
    let mut spec = spec();
    let field =
        |name: &str, ty, take| FieldSpec { name: name.into(), ty, output: true, key: name.into(), take };
    spec.fields.push(field("client", Type::Ip, Some((Take::LastUntrusted, "list".into()))));
    spec.fields.push(field("class", Type::Text, Some((Take::Class, "n".into()))));
    spec.fields.push(field("level", Type::Text, None));
    let text = |subject, literal: &str| {
        Cond::Test(Test {
            subject,
            op: Op::Text { how: How::Contains, cased: false, any: vec![literal.as_bytes().into()] },
        })
    };
    let at = Subject::Field("at".into());
    spec.derive = vec![
        Derive {
            field: Some("level".into()),
            steps: vec![
                DeriveStep::Map { from: at.clone(), values: vec![("Bad".into(), "high".into())] },
                DeriveStep::Detect { when: text(Subject::Text, "oops"), value: "low".into() },
            ],
        },
        Derive {
            field: None,
            steps: vec![
                DeriveStep::Map {
                    from: Subject::Field("level".into()),
                    values: vec![("high".into(), "critical".into())],
                },
                DeriveStep::From { from: Subject::Key(Key::Pri), unless: Some(text(Subject::Text, "oops")) },
            ],
        },
    ];
    spec.categories = vec![("c".into(), text(Subject::Key(Key::Severity), "critical"))];
    let program = Arc::new(build(&spec).unwrap());
    let mut scratch = RulesScratch::default();
    let sent = |name: &str, value: &str| {
        (FIELDS.iter().position(|(known, _)| *known == name).unwrap(), value.to_string(), false)
    };
    for (message, fields, expected, severity) in [
        (
            "",
            vec![sent("at", "BAD"), sent("n", "503")],
            "at='BAD' n='503' class='5xx' level='high'",
            Severity::Critical,
        ),
        ("oops", vec![], "level='low'", Severity::Notice),
        (
            "",
            vec![sent("list", "x, 10.0.0.7, 2001:db8::1, y")],
            "list=[x, 10.0.0.7, 2001:db8::1, y] client='2001:db8::1'",
            Severity::Info,
        ),
        ("", vec![sent("list", "x")], "list=[x]", Severity::Info),
    ] {
        let event = Plain { fields, severity: Severity::Notice, ..plain(message) };
        let (event, fields) = ran(&program, &event, &mut scratch);
        assert_eq!((fields.as_str(), event.severity), (expected, severity), "{message}");
        assert_eq!(
            scratch.matched().categories_json,
            if severity == Severity::Critical { &b"[\"c\"]"[..] } else { b"" }
        );
    }
}
