//! The event as one line of JSON, CONTRACT.md section 5.
//!
//! Always valid JSON in valid UTF-8, without a line break but the one that ends it. Text is replaced as
//! `String::from_utf8_lossy` does, value by value, and escaped no more than JSON demands.

use core::net::IpAddr;
use std::io::Write;
use std::sync::LazyLock;

use super::Written;
use crate::event::{FACILITIES, FieldId, Flags, Name, Value};
use crate::limits::SD_NAMES;
use crate::parse::{heroku, sd, time};
use crate::simd::Vector;

/// `,"name":` of every field that the plan knows, by `FieldId`.
static FIELD_KEYS: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| heroku::FIELDS.iter().map(|name| format!(",\"{name}\":").into_bytes()).collect());

/// Appends the event and one LF.
#[inline(always)]
pub fn write<V: Vector>(_vector: V, event: &Written, out: &mut Vec<u8>) {
    let row = event.event;
    let origin = &event.run.origin;
    // `id` stands first and always, so that every later key follows a comma.
    out.extend_from_slice(b"{\"id\":");
    text(event.id, out);
    ascii(b",\"time\":\"", &time::write(row.time_us), out);
    ascii(b",\"received\":\"", &event.received, out);
    text_if_any(b",\"drain\":", event.text(row.drain), out);
    text_if_any(b",\"computer\":", event.computer().unwrap_or_default().as_bytes(), out);
    labels(event, out);
    text_if_any(b",\"listener\":", event.plan.listener(origin.listener).name.as_bytes(), out);
    match (&origin.peer_name, origin.peer) {
        (Some(name), _) => text_if_any(b",\"peer\":", name.as_bytes(), out),
        (None, Some(peer)) => {
            out.extend_from_slice(b",\"peer\":");
            address(peer.to_canonical(), out);
        }
        (None, None) => {}
    }
    text_if_any(b",\"hostname\":", event.text(row.hostname), out);
    text_if_any(b",\"source\":", event.text(row.source), out);
    text_if_any(b",\"process\":", event.text(row.process), out);
    text_if_any(b",\"msgid\":", event.text(row.msgid), out);
    structured_data(event.text(row.sd), out);
    ascii(b",\"kind\":\"", event.kind().as_bytes(), out);
    categories(event, out);
    if let Some(facility) = row.facility().and_then(|facility| FACILITIES.get(facility as usize)) {
        ascii(b",\"facility\":\"", facility.as_bytes(), out);
    }
    ascii(b",\"severity\":\"", row.severity.name().as_bytes(), out);
    if let Some(pri) = row.pri {
        out.extend_from_slice(b",\"pri\":");
        super::number(pri as u64, out);
    }
    flags(row.flags, out);
    fields(event, out);
    out.extend_from_slice(b",\"message\":");
    text(event.text(row.message), out);
    out.extend_from_slice(b"}\n");
}

/// Appends a key, its opening quote included, and a text of ours: ASCII that needs no escape.
fn ascii<const N: usize>(key: &[u8; N], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(key);
    out.extend_from_slice(value);
    out.push(b'"');
}

/// Appends a key and a text, unless the text is empty.
fn text_if_any<const N: usize>(key: &[u8; N], value: &[u8], out: &mut Vec<u8>) {
    if !value.is_empty() {
        out.extend_from_slice(key);
        text(value, out);
    }
}

/// Appends an address in quotes.
fn address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(v4) => {
            for (index, octet) in v4.octets().into_iter().enumerate() {
                out.push(if index == 0 { b'"' } else { b'.' });
                super::number(octet as u64, out);
            }
        }
        IpAddr::V6(v6) => write!(out, "\"{v6}").expect("a Vec takes all bytes"),
    }
    out.push(b'"');
}

/// What the pipeline says of the drain and what the request says, by name; the pipeline's own win.
fn labels(event: &Written, out: &mut Vec<u8>) {
    let own = event.drain.map_or(&[][..], |drain| &drain.labels);
    let all = || own.iter().chain(&event.run.origin.labels);
    // Few enough that searching for the next name beats keeping them in order.
    let next = |after: Option<&str>| {
        let later = all().filter(|(name, _)| after.is_none_or(|after| **name > *after));
        later.min_by(|(a, _), (b, _)| a.cmp(b))
    };
    let Some(mut label) = next(None) else { return };
    out.extend_from_slice(b",\"labels\":");
    let mut labels = Object::open(out);
    loop {
        labels.text(&label.0, label.1.as_bytes());
        match next(Some(&label.0)) {
            Some(next) => label = next,
            None => return labels.close(),
        }
    }
}

/// `{"id":{"param":"value"}}`. Of equal names the last counts.
fn structured_data(data: &[u8], out: &mut Vec<u8>) {
    if data.is_empty() {
        return;
    }
    out.extend_from_slice(b",\"sd\":");
    let mut by_id = Object::open(out);
    let ids = Names::of(sd::elements(data).map(|element| element.id));
    for (_, element) in sd::elements(data).enumerate().filter(|(index, _)| ids.is_last(*index)) {
        by_id.sent_key(element.id);
        let mut params = Object::open(by_id.out);
        let names = Names::of(element.params.map(|(name, _)| name));
        for (_, (name, value)) in element.params.enumerate().filter(|(index, _)| names.is_last(*index)) {
            params.sent_key(name);
            params.out.push(b'"');
            for piece in sd::unescaped(value) {
                escaped(piece, params.out);
            }
            params.out.push(b'"');
        }
        params.close();
    }
    by_id.close();
}

/// Names in the order in which they were sent.
struct Names<'a> {
    names: [&'a [u8]; SD_NAMES],
    /// How many there are; more than `SD_NAMES` are not told apart.
    len: usize,
}

impl<'a> Names<'a> {
    fn of(all: impl Iterator<Item = &'a [u8]>) -> Names<'a> {
        let mut names = Names { names: [&[]; SD_NAMES], len: 0 };
        for name in all {
            if let Some(place) = names.names.get_mut(names.len) {
                *place = name;
            }
            names.len += 1;
        }
        names
    }

    /// Whether no equal name follows the one at `index`.
    fn is_last(&self, index: usize) -> bool {
        self.len > SD_NAMES || !self.names[index + 1..self.len].contains(&self.names[index])
    }
}

/// The full ids of its categories, written when they were found.
fn categories(event: &Written, out: &mut Vec<u8>) {
    if !event.categories.is_empty() {
        out.extend_from_slice(b",\"categories\":");
        out.extend_from_slice(event.categories);
    }
}

fn flags(flags: Flags, out: &mut Vec<u8>) {
    if flags.is_empty() {
        return;
    }
    out.extend_from_slice(b",\"flags\":");
    let names = Flags::ALL.iter().filter(|(flag, _)| flags.has(*flag)).map(|(_, name)| name.as_bytes());
    array(names, out);
}

fn fields(event: &Written, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"fields\":");
    let mut fields = Object::open(out);
    for field in event.fields {
        match field.name {
            Name::Known(id) => fields.known_key(id),
            Name::Text(span) => fields.sent_key(event.text(span)),
        }
        value(event, field.value, fields.out);
    }
    fields.close();
}

fn value(event: &Written, value: Value, out: &mut Vec<u8>) {
    match value {
        Value::Text(span) => text(event.text(span), out),
        // Between the items of an array there may be line breaks.
        Value::Raw(span) => out.extend(event.text(span).iter().map(|byte| match byte {
            b'\n' | b'\r' => b' ',
            byte => *byte,
        })),
        Value::Int(n) => super::number(n, out),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::List(span) => array(event.text(span).split(|byte| *byte == b',').map(<[u8]>::trim_ascii), out),
    }
}

/// Appends an array of texts.
fn array<'a>(items: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        text(item, out);
    }
    out.push(b']');
}

/// An object being written.
pub(super) struct Object<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> Object<'o> {
    pub(super) fn open(out: &'o mut Vec<u8>) -> Object<'o> {
        out.push(b'{');
        Object { out }
    }

    pub(super) fn close(self) {
        self.out.push(b'}');
    }

    /// Appends a name of ours: ASCII that needs no escape. Its value must follow.
    fn key(&mut self, name: &str) {
        self.comma();
        self.out.reserve(name.len() + 3);
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// Appends the name of a field that the plan knows. Its value must follow.
    fn known_key(&mut self, id: FieldId) {
        let key = &FIELD_KEYS[id.0 as usize];
        // All but the first follow a comma, with which a key begins.
        let first = self.out.last() == Some(&b'{');
        self.out.extend_from_slice(&key[usize::from(first)..]);
    }

    /// Appends a name as it was sent; its value must follow.
    fn sent_key(&mut self, name: &[u8]) {
        self.comma();
        text(name, self.out);
        self.out.push(b':');
    }

    fn comma(&mut self) {
        // A value never ends in `{`, so that only the first name follows one.
        if self.out.last() != Some(&b'{') {
            self.out.push(b',');
        }
    }

    pub(super) fn text(&mut self, name: &str, value: &[u8]) {
        self.key(name);
        text(value, self.out);
    }

    /// Appends a text unless it is empty.
    pub(super) fn text_if_any(&mut self, name: &str, value: &[u8]) {
        if !value.is_empty() {
            self.text(name, value);
        }
    }

    /// Appends a text of ours: ASCII that needs no escape.
    pub(super) fn ascii(&mut self, name: &str, value: &[u8]) {
        self.key(name);
        self.out.push(b'"');
        self.out.extend_from_slice(value);
        self.out.push(b'"');
    }

    pub(super) fn int(&mut self, name: &str, value: u64) {
        self.key(name);
        super::number(value, self.out);
    }

    pub(super) fn signed(&mut self, name: &str, value: i64) {
        self.key(name);
        if value < 0 {
            self.out.push(b'-');
        }
        super::number(value.unsigned_abs(), self.out);
    }
}

/// Appends a text with its quotes.
fn text(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    escaped(bytes, out);
    out.push(b'"');
}

/// Appends a text without quotes, invalid UTF-8 replaced.
fn escaped(bytes: &[u8], out: &mut Vec<u8>) {
    let (plain, rest) = bytes.split_at(plain_len(bytes));
    out.extend_from_slice(plain);
    if rest.is_empty() {
        return;
    }
    match str::from_utf8(rest) {
        Ok(valid) => escaped_str(valid, out),
        Err(_) => {
            for chunk in rest.utf8_chunks() {
                escaped_str(chunk.valid(), out);
                if !chunk.invalid().is_empty() {
                    out.extend_from_slice("\u{fffd}".as_bytes());
                }
            }
        }
    }
}

/// How many bytes at the start are ASCII that stands for itself.
fn plain_len(bytes: &[u8]) -> usize {
    leading(bytes, |byte| is_escaped(byte) | (byte >= 0x80))
}

/// Whether JSON wants a byte escaped; without a branch, so that many can be looked at together.
fn is_escaped(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\')
}

/// How many bytes come before the first that `is_special`.
fn leading(bytes: &[u8], is_special: impl Fn(u8) -> bool + Copy) -> usize {
    let mut at = clean::<16>(bytes, is_special);
    at += clean::<4>(&bytes[at..], is_special);
    let rest = &bytes[at..];
    at + rest.iter().position(|byte| is_special(*byte)).unwrap_or(rest.len())
}

/// The bytes before the first `N` of which one `is_special`; the compiler turns the look at `N` into vector code.
fn clean<const N: usize>(bytes: &[u8], is_special: impl Fn(u8) -> bool) -> usize {
    let clean = |chunk: &&[u8; N]| !chunk.iter().fold(false, |any, byte| any | is_special(*byte));
    bytes.as_chunks().0.iter().take_while(clean).count() * N
}

fn escaped_str(valid: &str, out: &mut Vec<u8>) {
    let mut rest = valid.as_bytes();
    loop {
        let len = leading(rest, is_escaped);
        out.extend_from_slice(&rest[..len]);
        let Some(&byte) = rest.get(len) else { return };
        rest = &rest[len + 1..];
        out.push(b'\\');
        match byte {
            b'\n' => out.push(b'n'),
            b'\r' => out.push(b'r'),
            b'\t' => out.push(b't'),
            b'"' | b'\\' => out.push(byte),
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let digits = [HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize]];
                out.extend_from_slice(b"u00");
                out.extend_from_slice(&digits);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::super::tests::{event, origin, plan, run};
    use super::*;
    use crate::batch::{Identity, Origin};
    use crate::event::{Event, Field, Severity, Span, Texts};
    use crate::plan::{Drain, Plan};

    /// What is written of an event over the texts of `batch`.
    struct Example<'a> {
        plan: Plan,
        origin: Origin,
        drain: Option<Drain>,
        fields: Vec<Field>,
        event: Event,
        batch: &'a [u8],
    }

    impl<'a> Example<'a> {
        fn of(batch: &'a [u8]) -> Example<'a> {
            let fields = Vec::new();
            Example { plan: plan(), origin: origin(None), drain: None, fields, event: event(batch), batch }
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
                id: b"id-1",
                received: time::write(self.event.received_us),
                categories: b"",
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
}
