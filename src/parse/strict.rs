//! A strict reader of JSON, byte by byte: what is and what is no JSON object, and its fields.
//!
//! It takes what RFC 8259 takes and nothing else; numbers of any size, surrogates only in pairs, 32 levels. It is the
//! last word where simd-json says no, and what simd-json is tested against.

use super::json::{Broken, Names, array_value};
use super::text::{Row, Text, is_blank, is_number};
use crate::event::{Span, Value};
use crate::limits;

/// Gives the fields of the object that `body` is to `names`.
pub(super) fn object(body: Text, names: &mut Names, row: &mut Row) -> Result<(), Broken> {
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
    fn peek(&self) -> Option<u8> {
        self.body.bytes.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(is_blank) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Result<(), Broken> {
        self.blanks();
        if self.peek() != Some(byte) {
            return Err(Broken);
        }
        self.at += 1;
        Ok(())
    }

    /// Whether `close` ends the list at hand; if not, takes the comma that must stand before all but its first value.
    fn ends(&mut self, close: u8, first: bool) -> Result<bool, Broken> {
        self.blanks();
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(true);
        }
        if !first {
            self.take(b',')?;
        }
        Ok(false)
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
        self.blanks();
        let value = match self.peek() {
            Some(b'{') => return self.object(depth + 1, names, row),
            Some(b'[') => {
                let start = self.at;
                self.skip(depth, row)?;
                Some(array_value(self.body.part(start, self.at), row))
            }
            Some(b'"') => {
                let text = self.string(row)?;
                (!text.is_empty()).then_some(Value::Text(text))
            }
            _ => self.scalar()?,
        };
        names.put(value, self.body, row)
    }

    /// Reads over the value at hand, which is in an array or is one.
    fn skip(&mut self, depth: usize, row: &mut Row) -> Result<(), Broken> {
        self.blanks();
        let close = match self.peek() {
            Some(b'{') => b'}',
            Some(b'[') => b']',
            Some(b'"') => {
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
                self.blanks();
                let made = row.made.len();
                self.string(row)?;
                row.made.truncate(made);
                self.take(b':')?;
            }
            self.skip(depth + 1, row)?;
        }
        Ok(())
    }

    /// A number or one of the three words; `None` is null.
    fn scalar(&mut self) -> Result<Option<Value>, Broken> {
        let rest = &self.body.bytes[self.at..];
        let ends = |byte: &u8| is_blank(*byte) || matches!(byte, b',' | b'}' | b']');
        let token = self.body.part(self.at, self.at + rest.iter().position(ends).unwrap_or(rest.len()));
        self.at += token.len();
        match token.bytes {
            b"null" => Ok(None),
            b"true" => Ok(Some(Value::Bool(true))),
            b"false" => Ok(Some(Value::Bool(false))),
            number if is_number(number) => Ok(Some(Value::Raw(token.span))),
            _ => Err(Broken),
        }
    }

    /// The string at hand: as it lies in the body, or made if it holds escapes.
    fn string(&mut self, row: &mut Row) -> Result<Span, Broken> {
        self.take(b'"')?;
        let start = self.at;
        self.plain()?;
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(self.body.part(start, self.at - 1).span);
        }
        let made = row.made.len();
        row.made.extend_from_slice(&self.body.bytes[start..self.at]);
        while self.peek() == Some(b'\\') {
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
    fn plain(&mut self) -> Result<(), Broken> {
        let rest = &self.body.bytes[self.at..];
        let len = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).ok_or(Broken)?;
        self.at += len;
        if rest[len] < 0x20 { Err(Broken) } else { Ok(()) }
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
