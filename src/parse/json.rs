//! JSON bodies: the names and values of one object as fields, nested names joined with `.`.
//!
//! Read byte by byte and strictly: what RFC 8259 takes and nothing else, numbers of any size, surrogates only in pairs,
//! 32 levels. What has to stay as sent (the digits of numbers, arrays, texts without escapes) is a part of the body.

use core::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use memchr::memchr2;

use super::text::{Row, Text, is_blank, number_len, until_quote};
use crate::event::{Field, Name, Span, Value};
use crate::limits;

/// A body cannot be used: it is no JSON, nested too deep, or has too many fields.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// What is kept from one body to the next.
#[derive(Default)]
pub struct Json {
    names: Names,
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
        self.names.begin(fields);
        let done = object(body, &mut self.names, row);
        match done {
            Ok(()) => self.names.drop_absent(row),
            Err(Broken) => {
                row.fields.truncate(fields);
                row.made.truncate(made);
            }
        }
        done
    }
}

/// Gives the fields of the object that `body` is to `names`.
fn object(body: Text, names: &mut Names, row: &mut Row) -> Result<(), Broken> {
    core::str::from_utf8(body.bytes).map_err(|_| Broken)?;
    let mut walk = Walk { body, at: 0 };
    walk.object(1, names, row)?;
    walk.blanks();
    if walk.at == body.len() { Ok(()) } else { Err(Broken) }
}

struct Walk<'a> {
    body: Text<'a>,
    at: usize,
}

impl<'a> Walk<'a> {
    /// The byte at hand; behind the end 0, which stands for nothing in JSON.
    fn peek(&self) -> u8 {
        self.body.bytes.get(self.at).copied().unwrap_or(0)
    }

    /// The byte behind the blanks at hand.
    fn blanks(&mut self) -> u8 {
        loop {
            match self.peek() {
                byte if is_blank(byte) => self.at += 1,
                byte => return byte,
            }
        }
    }

    fn take(&mut self, byte: u8) -> Result<(), Broken> {
        if self.blanks() != byte {
            return Err(Broken);
        }
        self.at += 1;
        Ok(())
    }

    /// Whether `close` ends the list at hand; if not, takes the comma that must stand before all but its first value.
    fn ends(&mut self, close: u8, first: bool) -> Result<bool, Broken> {
        let byte = self.blanks();
        if byte != close && first {
            return Ok(false);
        }
        if byte != close && byte != b',' {
            return Err(Broken);
        }
        self.at += 1;
        Ok(byte == close)
    }

    fn object(&mut self, depth: usize, names: &mut Names, row: &mut Row) -> Result<(), Broken> {
        if depth > limits::JSON_DEPTH {
            return Err(Broken);
        }
        self.take(b'{')?;
        let mut first = true;
        while !self.ends(b'}', first)? {
            first = false;
            let name = self.string(row)?;
            self.take(b':')?;
            let outer = names.enter(name, self.body, row)?;
            self.value(depth, names, row)?;
            names.leave(outer);
        }
        Ok(())
    }

    fn value(&mut self, depth: usize, names: &mut Names, row: &mut Row) -> Result<(), Broken> {
        let value = match self.blanks() {
            b'{' => return self.object(depth + 1, names, row),
            b'[' => {
                let start = self.at;
                self.skip(depth, row)?;
                Some(array_value(self.body.part(start, self.at), row))
            }
            b'"' => {
                let text = self.string(row)?;
                (!text.is_empty()).then_some(Value::Text(text))
            }
            _ => self.scalar()?,
        };
        names.put(value, self.body, row)
    }

    /// Reads over the value at hand, which is in an array or is one.
    fn skip(&mut self, depth: usize, row: &mut Row) -> Result<(), Broken> {
        let close = match self.blanks() {
            b'{' => b'}',
            b'[' => b']',
            b'"' => {
                let made = row.made.len();
                self.string(row)?;
                row.made.truncate(made);
                return Ok(());
            }
            _ => return self.scalar().map(|_| ()),
        };
        if depth == limits::JSON_DEPTH {
            return Err(Broken);
        }
        self.at += 1;
        let mut first = true;
        while !self.ends(close, first)? {
            first = false;
            if close == b'}' {
                let made = row.made.len();
                self.string(row)?;
                row.made.truncate(made);
                self.take(b':')?;
            }
            self.skip(depth + 1, row)?;
        }
        Ok(())
    }

    /// A number or one of the three words; `None` is null. What follows has to end it, which is looked at next.
    #[inline]
    fn scalar(&mut self) -> Result<Option<Value>, Broken> {
        let rest = &self.body.bytes[self.at..];
        let (len, value) = match rest.first() {
            Some(b't') if rest.starts_with(b"true") => (4, Some(Value::Bool(true))),
            Some(b'f') if rest.starts_with(b"false") => (5, Some(Value::Bool(false))),
            Some(b'n') if rest.starts_with(b"null") => (4, None),
            _ => {
                let len = number_len(rest).ok_or(Broken)?;
                (len, Some(Value::Raw(self.body.span.slice(self.at, self.at + len))))
            }
        };
        self.at += len;
        Ok(value)
    }

    /// The string at hand: as it lies in the body, or made if it holds escapes.
    fn string(&mut self, row: &mut Row) -> Result<Span, Broken> {
        self.take(b'"')?;
        let start = self.at;
        self.plain()?;
        if self.peek() == b'"' {
            self.at += 1;
            return Ok(self.body.span.slice(start, self.at - 1));
        }
        let made = row.made.len();
        row.made.extend_from_slice(&self.body.bytes[start..self.at]);
        while self.peek() == b'\\' {
            let char = self.escape()?;
            row.made.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            let from = self.at;
            self.plain()?;
            row.made.extend_from_slice(&self.body.bytes[from..self.at]);
        }
        self.at += 1;
        Ok(Span::made(made, row.made.len()))
    }

    /// Goes to the next quote or backslash; control characters are not allowed on the way.
    #[inline]
    fn plain(&mut self) -> Result<(), Broken> {
        let rest = &self.body.bytes[self.at..];
        let len = until_quote(rest);
        self.at += len;
        if rest.get(len).is_none_or(|byte| *byte < b' ') { Err(Broken) } else { Ok(()) }
    }

    fn escape(&mut self) -> Result<char, Broken> {
        let letter = *self.body.bytes.get(self.at + 1).ok_or(Broken)?;
        self.at += 2;
        let char = match letter {
            b'"' | b'\\' | b'/' => letter as char,
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(Broken),
        };
        Ok(char)
    }

    /// What follows `\u`, a pair of surrogates taken as one.
    fn unicode(&mut self) -> Result<char, Broken> {
        let first = self.four()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first).ok_or(Broken);
        }
        if self.body.bytes.get(self.at..self.at + 2) != Some(b"\\u") {
            return Err(Broken);
        }
        self.at += 2;
        let second = self.four()?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(Broken);
        }
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or(Broken)
    }

    fn four(&mut self) -> Result<u32, Broken> {
        let digits = self.body.bytes.get(self.at..self.at + 4).ok_or(Broken)?;
        self.at += 4;
        digits.iter().try_fold(0, |sum, byte| Ok(sum * 16 + (*byte as char).to_digit(16).ok_or(Broken)?))
    }
}

/// An array as sent, but with a blank for each line break: those stand between its values only, and one event is one line.
fn array_value(array: Text, row: &mut Row) -> Value {
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
struct Names {
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
    #[inline]
    fn enter(&mut self, name: Span, body: Text, row: &mut Row) -> Result<Span, Broken> {
        let outer = self.joined;
        self.joined = if self.depth == 0 { name } else { self.join(name, body, row)? };
        self.depth += 1;
        Ok(outer)
    }

    /// The name of what is called `name` in the value at hand.
    fn join(&mut self, name: Span, body: Text, row: &mut Row) -> Result<Span, Broken> {
        let (outer, start) = (self.joined, row.made.len());
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
        Ok(Span::made(start, row.made.len()))
    }

    fn leave(&mut self, outer: Span) {
        self.joined = outer;
        self.depth -= 1;
    }

    /// Gives the value at hand to its name, or takes an earlier one away.
    fn put(&mut self, value: Option<Value>, body: Text, row: &mut Row) -> Result<(), Broken> {
        let name = body.resolve(self.joined, row.made);
        let mut hasher = FixedState::default().build_hasher();
        hasher.write(name);
        let mut place = hasher.finish() as usize % PLACES;
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
                let held = &mut row.fields[at].value;
                self.absent = self.absent + usize::from(value.is_none()) - usize::from(is_absent(held));
                *held = value.unwrap_or(ABSENT);
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
            if !is_absent(&row.fields[at].value) {
                row.fields[kept] = row.fields[at];
                kept += 1;
            }
        }
        row.fields.truncate(kept);
    }
}

/// A value that a later null or empty string took away; no other text value is empty.
const ABSENT: Value = Value::Text(Span::NONE);

fn is_absent(value: &Value) -> bool {
    matches!(value, Value::Text(text) if text.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::Texts;
    use crate::parse::tests::shown;

    fn read(body: &[u8]) -> Result<String, Broken> {
        let (mut made, mut fields) = (Vec::new(), Vec::new());
        let mut row = Row { made: &mut made, fields: &mut fields };
        let done = Json::default().fields(Text::new(body, Span::of(0, body.len())), &mut row);
        if done.is_err() {
            assert!(fields.is_empty() && made.is_empty());
        }
        done.map(|()| shown(&fields, Texts { batch: body, made: &made }))
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
            assert_eq!(read(body.as_bytes()).as_deref(), Ok(expected), "{body}");
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
            let start = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            assert_eq!(read(&body), Err(Broken), "{start}");
        }
        for body in [deep(31, "[", "]"), deep(31, "{\"a\":", "}"), deep(15, "[{\"b\":", "}]"), many(256)] {
            assert!(read(body.as_bytes()).is_ok(), "{body}");
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

        /// What serde_json takes is taken; what it refuses is no JSON, or a number beyond its range. That the fields
        /// are the same is for the fuzz target `json`.
        #[test]
        fn serde_json_agrees(body in damaged()) {
            let ours = read(&body).is_ok();
            match serde_json::from_slice::<serde_json::Value>(&body) {
                Ok(value) => prop_assert_eq!(ours, value.is_object()),
                Err(error) => prop_assert!(!ours || error.to_string().contains("number out of range"), "{}", error),
            }
        }
    }
}
