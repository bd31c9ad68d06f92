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

fn resolve<'t>(span: Span, body: Text<'t>, made: &'t [u8]) -> &'t [u8] {
    if span.is_made() {
        return &made[span.start()..span.end()];
    }
    let start = span.start() - body.span.start();
    &body.bytes[start..start + span.len()]
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
                    row.made.extend_from_slice(resolve(part, body, &[]));
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
        let name = resolve(self.joined, body, row.made);
        let mut place = FixedState::default().hash_one(name) as usize % PLACES;
        let found = loop {
            let taken = self.table[place] as usize;
            if taken == 0 {
                break None;
            }
            let at = self.first + taken - 1;
            let Name::Text(other) = row.fields[at].name else { break None };
            if resolve(other, body, row.made) == name {
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
