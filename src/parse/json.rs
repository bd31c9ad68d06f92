//! JSON bodies: the names and values of one object as fields, nested names joined with `.`.
//!
//! simd-json checks and unescapes; what has to stay as sent (the digits of numbers, arrays) is cut from the bytes at the
//! places that its first stage found. What it refuses, and what it reads otherwise than CONTRACT.md (escaped surrogates),
//! goes to the strict walker in `strict`, which alone decides that a body is broken. Both feed one `Names`.

use core::hash::BuildHasher;

use foldhash::fast::FixedState;
use memchr::{memchr2, memmem};
use simd_json::{Buffers, Node, StaticNode, Tape};

use super::strict;
use super::text::{Row, Text, is_blank};
use crate::event::{Field, Name, Span, Value};
use crate::limits;

/// A body cannot be used: it is no JSON, nested too deep, or has too many fields.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// What is kept from one body to the next.
pub struct Json {
    buffers: Buffers,
    /// Empty between bodies.
    tape: Tape<'static>,
    /// The body that simd-json may write to.
    copy: Vec<u8>,
    names: Names,
}

impl Default for Json {
    fn default() -> Json {
        Json {
            buffers: Buffers::default(),
            tape: Tape(Vec::new()),
            copy: Vec::new(),
            names: Names::default(),
        }
    }
}

/// The part of `text` that is a JSON body by its first and last non-blank byte.
pub(super) fn candidate(text: Text) -> Option<Text> {
    let body = text.trimmed();
    (body.bytes.first() == Some(&b'{') && body.bytes.last() == Some(&b'}')).then_some(body)
}

impl Json {
    /// Appends the fields of `body`, which begins with `{`, or none if it is broken.
    pub(super) fn fields(&mut self, body: Text, row: &mut Row) -> Result<(), Broken> {
        let (fields, made) = (row.fields.len(), row.made.len());
        let mut done = self.by_tape(body, row);
        if done.is_err() {
            row.fields.truncate(fields);
            row.made.truncate(made);
            self.names.begin(fields);
            done = strict::object(body, &mut self.names, row);
        }
        match done {
            Ok(()) => self.names.drop_absent(row),
            Err(Broken) => {
                row.fields.truncate(fields);
                row.made.truncate(made);
            }
        }
        done
    }

    /// Reads `body` by simd-json; an error says no more than that the strict walker must look.
    fn by_tape(&mut self, body: Text, row: &mut Row) -> Result<(), Broken> {
        if memmem::find(body.bytes, b"\\u").is_some() {
            return Err(Broken);
        }
        self.copy.clear();
        self.copy.extend_from_slice(body.bytes);
        self.names.begin(row.fields.len());
        let mut tape = core::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let filled = simd_json::fill_tape(&mut self.copy, &mut self.buffers, &mut tape);
        let done = filled.map_err(|_| Broken).and_then(|()| {
            let mut walk =
                Walk { body, nodes: tape.0.iter(), places: self.buffers.structural_indexes(), at: 0 };
            let Some(Node::Object { len, .. }) = walk.nodes.next() else { return Err(Broken) };
            walk.object(*len, 1, &mut self.names, row)
        });
        self.tape = tape.reset();
        done
    }
}

/// The nodes of a tape beside the places of the bytes that they were read from.
struct Walk<'a> {
    body: Text<'a>,
    nodes: core::slice::Iter<'a, Node<'a>>,
    /// Offsets of braces, brackets, commas, colons, and of the first byte of every value.
    places: &'a [u32],
    at: usize,
}

impl<'a> Walk<'a> {
    /// The offset of the next place; `expected` is the byte there, if it is known.
    fn place(&mut self, expected: Option<u8>) -> Result<usize, Broken> {
        let place = *self.places.get(self.at).ok_or(Broken)? as usize;
        self.at += 1;
        let byte = *self.body.bytes.get(place).ok_or(Broken)?;
        expected.is_none_or(|expected| expected == byte).then_some(place).ok_or(Broken)
    }

    fn object(&mut self, len: usize, depth: usize, names: &mut Names, row: &mut Row) -> Result<(), Broken> {
        if depth > limits::JSON_DEPTH {
            return Err(Broken);
        }
        self.place(Some(b'{'))?;
        for _ in 0..len {
            let Some(Node::String(name)) = self.nodes.next() else { return Err(Broken) };
            let place = self.place(Some(b'"'))?;
            let name = self.text(place, name, row);
            self.place(Some(b':'))?;
            let outer = names.enter(name, self.body, row)?;
            self.value(depth, names, row)?;
            names.leave(outer);
            self.place(None)?;
        }
        if len == 0 {
            self.place(Some(b'}'))?;
        }
        Ok(())
    }

    fn value(&mut self, depth: usize, names: &mut Names, row: &mut Row) -> Result<(), Broken> {
        match self.nodes.next() {
            Some(Node::Object { len, .. }) => self.object(*len, depth + 1, names, row),
            Some(Node::Array { count, .. }) => {
                let array = self.array(depth + 1)?;
                if *count > 0 {
                    self.nodes.nth(count - 1);
                }
                names.put(Some(array_value(array, row)), self.body, row)
            }
            Some(Node::String(text)) => {
                let place = self.place(Some(b'"'))?;
                let span = self.text(place, text, row);
                names.put((!span.is_empty()).then_some(Value::Text(span)), self.body, row)
            }
            Some(Node::Static(value)) => {
                let place = self.place(None)?;
                let value = match value {
                    StaticNode::Null => None,
                    StaticNode::Bool(value) => Some(Value::Bool(*value)),
                    _ => {
                        let number =
                            |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                        let len = self.body.bytes[place..].iter().take_while(|byte| number(byte)).count();
                        Some(Value::Raw(self.body.part(place, place + len).span))
                    }
                };
                names.put(value, self.body, row)
            }
            None => Err(Broken),
        }
    }

    /// The array at the next place, brackets included.
    fn array(&mut self, mut depth: usize) -> Result<Text<'a>, Broken> {
        let start = self.place(Some(b'['))?;
        let mut open = 1;
        loop {
            if depth > limits::JSON_DEPTH {
                return Err(Broken);
            }
            let place = self.place(None)?;
            match self.body.bytes[place] {
                b'[' | b'{' => (open, depth) = (open + 1, depth + 1),
                b']' | b'}' => (open, depth) = (open - 1, depth - 1),
                _ => {}
            }
            if open == 0 {
                return Ok(self.body.part(start, place + 1));
            }
        }
    }

    /// The string that begins with the quote at `place`: as it lies in the body, or made if it holds escapes.
    fn text(&self, place: usize, text: &str, row: &mut Row) -> Span {
        let (start, end) = (place + 1, place + 1 + text.len());
        let sent = self.body.bytes.get(start..end);
        if sent == Some(text.as_bytes()) && self.body.bytes.get(end) == Some(&b'"') {
            return self.body.part(start, end).span;
        }
        let start = row.made.len();
        row.made.extend_from_slice(text.as_bytes());
        Span::made(start, row.made.len())
    }
}

/// An array as sent, but with a blank for each line break: those stand between its values only, and one event is one line.
pub(super) fn array_value(array: Text, row: &mut Row) -> Value {
    if memchr2(b'\n', b'\r', array.bytes).is_none() {
        return Value::Raw(array.span);
    }
    let start = row.made.len();
    row.made.extend(array.bytes.iter().map(|byte| if is_blank(*byte) { b' ' } else { *byte }));
    Value::Raw(Span::made(start, row.made.len()))
}

/// Places in the table of names: twice the fields, so that a free one is near.
const PLACES: usize = 2 * limits::FIELDS;

/// The fields of one body by name: the last of equal names wins.
pub(super) struct Names {
    /// Place of a field in the row, counted from `first` plus one; 0 is free.
    table: Box<[u16; PLACES]>,
    /// Fields that were in the row before the body.
    first: usize,
    /// The joined name of the value at hand.
    joined: Span,
    /// How deep it is joined.
    depth: usize,
    /// Bytes of all names joined so far.
    joined_bytes: usize,
    absent: usize,
}

impl Default for Names {
    fn default() -> Names {
        Names {
            table: Box::new([0; PLACES]),
            first: 0,
            joined: Span::NONE,
            depth: 0,
            joined_bytes: 0,
            absent: 0,
        }
    }
}

impl Names {
    fn begin(&mut self, first: usize) {
        self.table.fill(0);
        (self.first, self.joined, self.depth) = (first, Span::NONE, 0);
        (self.joined_bytes, self.absent) = (0, 0);
    }

    /// Goes into the value called `name`; gives what `leave` needs to come out again.
    pub fn enter(&mut self, name: Span, body: Text, row: &mut Row) -> Result<Span, Broken> {
        let outer = self.joined;
        self.joined = if self.depth == 0 {
            name
        } else {
            let start = row.made.len();
            self.joined_bytes += outer.len() + name.len() + 1;
            if self.joined_bytes > limits::JSON_NAMES_BYTES {
                return Err(Broken);
            }
            for part in [outer, name] {
                if part.is_made() {
                    row.made.extend_from_within(part.start()..part.end());
                } else {
                    row.made.extend_from_slice(body.resolve(part, &[]));
                }
                row.made.push(b'.');
            }
            row.made.pop();
            Span::made(start, row.made.len())
        };
        self.depth += 1;
        Ok(outer)
    }

    pub fn leave(&mut self, outer: Span) {
        self.joined = outer;
        self.depth -= 1;
    }

    /// Gives the value at hand to its name, or takes an earlier one away.
    pub fn put(&mut self, value: Option<Value>, body: Text, row: &mut Row) -> Result<(), Broken> {
        let name = body.resolve(self.joined, row.made);
        let mut place = FixedState::default().hash_one(name) as usize % PLACES;
        let found = loop {
            let taken = self.table[place] as usize;
            if taken == 0 {
                break None;
            }
            let at = self.first + taken - 1;
            let Name::Text(other) = row.fields[at].name else { break None };
            if body.resolve(other, row.made) == name {
                break Some(at);
            }
            place = (place + 1) % PLACES;
        };
        match (found, value) {
            (None, None) => {}
            (None, Some(value)) => {
                let count = row.fields.len() - self.first;
                if count == limits::FIELDS {
                    return Err(Broken);
                }
                self.table[place] = count as u16 + 1;
                row.fields.push(Field { name: Name::Text(self.joined), value });
            }
            (Some(at), value) => {
                let old = row.fields[at].value;
                row.fields[at].value = value.unwrap_or(ABSENT);
                self.absent = self.absent + usize::from(value.is_none()) - usize::from(old == ABSENT);
            }
        }
        Ok(())
    }

    /// Removes what was there once and was taken away.
    fn drop_absent(&mut self, row: &mut Row) {
        if self.absent == 0 {
            return;
        }
        let mut kept = self.first;
        for at in self.first..row.fields.len() {
            if row.fields[at].value != ABSENT {
                row.fields[kept] = row.fields[at];
                kept += 1;
            }
        }
        row.fields.truncate(kept);
    }
}

/// A value that a later null or empty string took away; no other text value is empty.
const ABSENT: Value = Value::Text(Span::NONE);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::Texts;
    use crate::parse::tests::shown;

    /// Reads a body by one of the two ways; also whether simd-json took it.
    fn read(body: &[u8], strict_only: bool) -> (bool, Result<String, Broken>) {
        let (mut made, mut fields, mut json) = (Vec::new(), Vec::new(), Json::default());
        let mut row = Row { made: &mut made, fields: &mut fields };
        let text = Text::new(body, Span::of(0, body.len()));
        let by_tape = !strict_only && {
            let taken = json.by_tape(text, &mut row).is_ok();
            row.fields.clear();
            row.made.clear();
            taken
        };
        let done = if strict_only {
            json.names.begin(0);
            strict::object(text, &mut json.names, &mut row).map(|()| json.names.drop_absent(&mut row))
        } else {
            json.fields(text, &mut row)
        };
        if done.is_err() && !strict_only {
            assert!(fields.is_empty() && made.is_empty());
        }
        (by_tape, done.map(|()| shown(&fields, Texts { batch: body, made: &made })))
    }

    #[test]
    fn bodies_become_fields() {
        for (body, expected) in [
            ("{}", ""),
            (" { } ", ""),
            (r#"{"a":1.50,"b":-0,"c":1E5,"d":1e999}"#, "a: 1.50, b: -0, c: 1E5, d: 1e999"),
            (r#"{"n":123456789012345678901234567890}"#, "n: 123456789012345678901234567890"),
            (r#"{"a":{"b":{"c":"x"}},"d":"y"}"#, "a.b.c: 'x', d: 'y'"),
            (r#"{"a":null,"b":"","c":{},"d":{"e":null}}"#, ""),
            (r#"{"a":1,"a":2}"#, "a: 2"),
            (r#"{"a":1,"b":2,"a":null}"#, "b: 2"),
            (r#"{"a":1,"a":"","a":3}"#, "a: 3"),
            (r#"{"a.b":1,"a":{"b":2}}"#, "a.b: 2"),
            (r#"{"a":[1, {"b":null,"b":[]},"x\n"],"c":[ ]}"#, r#"a: [1, {"b":null,"b":[]},"x\n"], c: [ ]"#),
            ("{\"a\":[1,\r\n 2],\n\"b\" : true , \"c\":false}", "a: [1,   2], b: true, c: false"),
            (r#"{"a\"b":{"c\\":"\/\b\f\n\r\t"}}"#, "a\"b.c\\: '/\u{8}\u{c}\n\r\t'"),
            (r#"{"\u0061":"\u00e9\ud83d\ude00"}"#, "a: 'é😀'"),
            (r#"{"":1,"a":{"":2}}"#, ": 1, a.: 2"),
            (r#"{"a":"\\\"","b":"é\""}"#, "a: '\\\"', b: 'é\"'"),
            ("{\"a\":\"\u{7f}\"}", "a: '\u{7f}'"),
        ] {
            for strict_only in [false, true] {
                assert_eq!(read(body.as_bytes(), strict_only).1.as_deref(), Ok(expected), "{body}");
            }
        }
    }

    #[test]
    fn broken_bodies_give_nothing() {
        let deep =
            |n: usize, open: &str, close: &str| format!("{{\"a\":{}1{}}}", open.repeat(n), close.repeat(n));
        let many = |n: usize| {
            format!("{{{}}}", (0..n).map(|n| format!("\"k{n}\":{n}")).collect::<Vec<_>>().join(","))
        };
        let long = format!("{{\"{}\":{}}}", "x".repeat(30_000), many(200));
        let mut broken: Vec<Vec<u8>> = [
            "{",
            "{}}",
            "{} {}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{,}",
            "{\"a\":1 \"b\":2}",
            "{a:1}",
            "{'a':1}",
            "{\"a\":01}",
            "{\"a\":1.}",
            "{\"a\":.5}",
            "{\"a\":+1}",
            "{\"a\":-}",
            "{\"a\":NaN}",
            "{\"a\":tru}",
            "{\"a\":True}",
            "{\"a\":\"\n\"}",
            "{\"a\":\"\t\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\u12\"}",
            "{\"a\":\"\\u12g4\"}",
            "{\"a\":\"\\ud83d\"}",
            "{\"a\":\"\\ude00\"}",
            "{\"a\":\"\\ud83d\\u0041\"}",
            "{\"a\":[\"\\ud83d\"]}",
            "{\"\\ud83d\":1}",
            "{\"a\":[1,]}",
            "{\"a\":[1 2]}",
            "{\"a\":[}",
            "{\"a\":[1}]",
            "{\"a\":[{\"b\"}]}",
            "{\"a\":[01]}",
            "{\"a\":1}x}",
            "{\"a\":1\u{b}}",
            "{\u{c}}",
            "{\"a\":1 /* c */}",
            "{\"a\":\"\0\"}",
            "{\"a\":1}\0}",
            "{\"a\" 1}",
            "{1:2}",
        ]
        .map(|text| text.as_bytes().to_vec())
        .into();
        broken.push(b"{\"a\":\"\xff\"}".to_vec());
        broken.push(b"{\"a\":\"\xed\xa0\x80\"}".to_vec());
        broken.extend(
            [deep(32, "[", "]"), deep(1000, "[", "]"), deep(100_000, "[", "]")].map(String::into_bytes),
        );
        broken.extend(
            [deep(32, "{\"a\":", "}"), deep(1000, "{\"a\":", "}"), many(257), long].map(String::into_bytes),
        );
        broken.push("[".repeat(1000).into_bytes());
        broken.push("{\"a\":".repeat(100_000).into_bytes());
        for body in broken {
            for strict_only in [false, true] {
                let start = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
                assert_eq!(read(&body, strict_only).1, Err(Broken), "{start}");
            }
        }
        for body in [deep(31, "[", "]"), deep(31, "{\"a\":", "}"), deep(15, "[{\"b\":", "}]"), many(256)] {
            for strict_only in [false, true] {
                assert!(read(body.as_bytes(), strict_only).1.is_ok(), "{body}");
            }
        }
    }

    #[test]
    fn plain_bodies_go_by_simd_json() {
        for body in
            [r#"{"a":1.5,"b":{"c":"x\n","d":[1,[2],{"e":{}}]},"f":true,"g":null,"h":{},"i":[]}"#, "{}"]
        {
            assert!(read(body.as_bytes(), false).0, "{body}");
        }
    }

    fn document() -> impl Strategy<Value = String> {
        let name = prop::sample::select(vec![
            "a",
            "b",
            "a.b",
            "",
            "é",
            "x\\n",
            "\\\"",
            "\\u0061",
            "long name of some kind",
        ]);
        let scalar = prop_oneof![
            prop::sample::select(vec![
                "0",
                "-1",
                "1.50",
                "1e5",
                "18446744073709551616",
                "1e400",
                "null",
                "true",
                "false",
                "\"\"",
                "\"x\"",
                "\"\\t\\\\\"",
                "\"\\ud83d\\ude00\""
            ])
            .prop_map(str::to_string),
            "-?[0-9]{1,25}(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?",
            "\"[a-z \\x{e9}\\x{1f600}]{0,70}\"",
        ];
        let value = scalar.prop_recursive(5, 40, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5)
                    .prop_map(|items| format!("[{}]", items.join(", "))),
                prop::collection::vec((name.clone(), inner), 0..6).prop_map(|pairs| {
                    let pairs: Vec<String> =
                        pairs.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                    format!("{{{}}}", pairs.join(" ,\n"))
                }),
            ]
        });
        value.prop_map(|value| format!("{{\"v\":{value}}}"))
    }

    /// A document, or one with a few bytes removed, doubled or replaced.
    fn damaged() -> impl Strategy<Value = Vec<u8>> {
        let change =
            (any::<prop::sample::Index>(), 0..3, prop::sample::select(b"{}[]:,\"\\0.-eu \n\tx\xff".to_vec()));
        (document(), prop::collection::vec(change, 0..3)).prop_map(|(text, changes)| {
            let mut bytes = text.into_bytes();
            for (index, what, byte) in changes {
                let at = 1 + index.index(bytes.len() - 1);
                match what {
                    0 => _ = bytes.remove(at),
                    1 => bytes.insert(at, byte),
                    _ => bytes[at] = byte,
                }
            }
            bytes
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// The quick way and the strict one agree, whatever the bytes.
        #[test]
        fn both_ways_agree(body in damaged()) {
            prop_assert_eq!(read(&body, false).1, read(&body, true).1);
        }

        /// What serde_json takes the strict walker takes; what it refuses is no JSON, or a number beyond its range.
        #[test]
        fn serde_json_agrees(body in damaged()) {
            let ours = read(&body, true).1.is_ok();
            match serde_json::from_slice::<serde_json::Value>(&body) {
                Ok(value) => prop_assert_eq!(ours, value.is_object()),
                Err(error) => prop_assert!(!ours || error.to_string().contains("number out of range"), "{}", error),
            }
        }
    }
}
