//! Reads one line of JSON without copying it: members as slices, text unescaped only where it has escapes.
//!
//! A number stays the text that was written, which is the point: the checker must see digits. Input that is not
//! JSON gives None and nothing else.

use std::borrow::Cow;

/// A text between its quotes, as written.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    raw: &'a [u8],
    escaped: bool,
}

impl<'a> Text<'a> {
    /// The text itself; None if an escape is none, or it is not UTF-8.
    pub fn get(self) -> Option<Cow<'a, str>> {
        let raw = std::str::from_utf8(self.raw).ok()?;
        if self.escaped { unescape(raw).map(Cow::Owned) } else { Some(Cow::Borrowed(raw)) }
    }

    /// The bytes as written, if nothing in them is escaped.
    pub fn plain(self) -> Option<&'a [u8]> {
        (!self.escaped).then_some(self.raw)
    }
}

/// The text of a value that is a text.
pub fn text(value: &[u8]) -> Option<Text<'_>> {
    let mut reader = Reader { bytes: value, at: 0 };
    let text = reader.text()?;
    (reader.at == value.len()).then_some(text)
}

/// Calls `each` with name and value of every member, in order; None if `object` is no object.
pub fn members<'a>(object: &'a [u8], mut each: impl FnMut(Text<'a>, &'a [u8])) -> Option<()> {
    let mut reader = Reader { bytes: object, at: 0 };
    reader.blank();
    reader.take(b'{')?;
    if !reader.took(b'}') {
        loop {
            reader.blank();
            let name = reader.text()?;
            reader.blank();
            reader.take(b':')?;
            each(name, reader.value(0)?);
            if !reader.took(b',') {
                reader.take(b'}')?;
                break;
            }
        }
    }
    reader.blank();
    (reader.at == object.len()).then_some(())
}

/// The elements of an array; None if it is none.
pub fn elements(array: &[u8]) -> Option<Vec<&[u8]>> {
    let mut reader = Reader { bytes: array, at: 0 };
    let mut all = Vec::new();
    reader.blank();
    reader.take(b'[')?;
    if !reader.took(b']') {
        loop {
            all.push(reader.value(0)?);
            if !reader.took(b',') {
                reader.take(b']')?;
                break;
            }
        }
    }
    (reader.at == array.len()).then_some(all)
}

/// Whether two values are the same: blanks and escapes aside, and numbers by their digits.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    if a == b {
        return true;
    }
    match (a.first(), b.first()) {
        (Some(b'['), Some(b'[')) => match (elements(a), elements(b)) {
            (Some(a), Some(b)) => a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| same(a, b)),
            _ => false,
        },
        (Some(b'"'), Some(b'"')) => match (text(a).and_then(Text::get), text(b).and_then(Text::get)) {
            (Some(a), Some(b)) => a == b,
            _ => false,
        },
        (Some(b'{'), Some(b'{')) => {
            let list = |of| {
                let mut all = Vec::new();
                members(of, |name, value| all.push((name.get(), value))).map(|()| all)
            };
            match (list(a), list(b)) {
                (Some(a), Some(b)) => {
                    a.len() == b.len()
                        && a.iter().zip(&b).all(|(a, b)| a.0.is_some() && a.0 == b.0 && same(a.1, b.1))
                }
                _ => false,
            }
        }
        _ => false,
    }
}

/// Deeper values are taken for broken: weir nests no deeper than 32, and its event adds two.
const DEPTH_MAX: u32 = 64;

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn blank(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.bytes.get(self.at) == Some(&byte)).then(|| self.at += 1)
    }

    fn took(&mut self, byte: u8) -> bool {
        self.blank();
        self.take(byte).is_some()
    }

    fn text(&mut self) -> Option<Text<'a>> {
        self.take(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            match *self.bytes.get(self.at)? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.at += 2;
                }
                byte if byte < 0x20 => return None,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(Text { raw: &self.bytes[start..self.at - 1], escaped })
    }

    /// A value, without blanks around it.
    fn value(&mut self, depth: u32) -> Option<&'a [u8]> {
        self.blank();
        let start = self.at;
        match *self.bytes.get(self.at)? {
            b'"' => {
                self.text()?;
            }
            open @ (b'{' | b'[') => {
                let close = if open == b'{' { b'}' } else { b']' };
                self.at += 1;
                if depth == DEPTH_MAX {
                    return None;
                }
                if !self.took(close) {
                    loop {
                        if open == b'{' {
                            self.blank();
                            self.text()?;
                            self.blank();
                            self.take(b':')?;
                        }
                        self.value(depth + 1)?;
                        if !self.took(b',') {
                            self.take(close)?;
                            break;
                        }
                    }
                }
            }
            _ => {
                while matches!(
                    self.bytes.get(self.at),
                    Some(b'0'..=b'9' | b'a'..=b'z' | b'+' | b'-' | b'.' | b'E')
                ) {
                    self.at += 1;
                }
                let word = &self.bytes[start..self.at];
                if !matches!(word, b"true" | b"false" | b"null") && !is_number(word) {
                    return None;
                }
            }
        }
        Some(&self.bytes[start..self.at])
    }
}

/// Whether this is wholly a number as JSON writes it.
pub fn is_number(word: &[u8]) -> bool {
    let digits = |from: usize| from + word[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let start = usize::from(word.first() == Some(&b'-'));
    let mut at = digits(start);
    if at == start || (word[start] == b'0' && at > start + 1) {
        return false;
    }
    if word.get(at) == Some(&b'.') {
        let from = at + 1;
        at = digits(from);
        if at == from {
            return false;
        }
    }
    if matches!(word.get(at), Some(b'e' | b'E')) {
        let from = at + 1 + usize::from(matches!(word.get(at + 1), Some(b'+' | b'-')));
        if from > word.len() {
            return false;
        }
        at = digits(from);
        if at == from {
            return false;
        }
    }
    at == word.len()
}

fn unescape(raw: &str) -> Option<String> {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let kind = *rest.as_bytes().get(at + 1)?;
        rest = rest.get(at + 2..)?;
        match kind {
            b'"' | b'\\' | b'/' => out.push(char::from(kind)),
            b'n' => out.push('\n'),
            b't' => out.push('\t'),
            b'r' => out.push('\r'),
            b'b' => out.push('\u{8}'),
            b'f' => out.push('\u{c}'),
            b'u' => {
                let mut unit = hex(rest)?;
                rest = &rest[4..];
                if (0xD800..0xDC00).contains(&unit) {
                    let low = rest
                        .strip_prefix("\\u")
                        .and_then(hex)
                        .filter(|low| (0xDC00..0xE000).contains(low))?;
                    rest = &rest[6..];
                    unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
                }
                out.push(char::from_u32(unit)?);
            }
            _ => return None,
        }
    }
    out.push_str(rest);
    Some(out)
}

fn hex(text: &str) -> Option<u32> {
    let four = text.get(..4)?;
    four.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(four, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_what_serde_json_takes() {
        let cases = [
            r#"{}"#,
            r#"{"a":1,"b":[1,2,{"c":null}],"d":"x\"y"}"#,
            r#" { "a" : -1.5e+10 , "b" : [ ] } "#,
            r#"{"a":01}"#,
            r#"{"a":1,}"#,
            r#"{"a":1"#,
            r#"{"a":tru}"#,
            r#"{"a":1}x"#,
            r#"{"a":[1 2]}"#,
            r#"{"a":-}"#,
            r#"{"a":1.}"#,
            r#"{"a":1e}"#,
            r#"[]"#,
            "{\"a\":\"\u{1}\"}",
            "",
        ];
        for case in cases {
            let want = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(case).is_ok();
            assert_eq!(members(case.as_bytes(), |_, _| {}).is_some(), want, "{case}");
        }
    }

    #[test]
    fn escapes_are_undone_as_serde_json_does() {
        for case in [
            r#""a\n\t\"\\\/\b\f\r""#,
            r#""caf\u00e9 \ud83d\ude00""#,
            r#""\ud83d""#,
            r#""\u12""#,
            r#""\x""#,
            r#""é""#,
        ] {
            let want: Option<String> = serde_json::from_str(case).ok();
            assert_eq!(text(case.as_bytes()).and_then(Text::get).map(Cow::into_owned), want, "{case}");
        }
    }

    #[test]
    fn sameness_is_by_meaning_but_for_digits() {
        assert!(same(b"[1, \"\\u0041\", null]", b"[1,\"A\",null]"));
        assert!(same(b"{\"a\": [true]}", b"{\"a\":[true]}"));
        for (a, b) in [
            ("[1.0]", "[1.00]"),
            ("[1]", "[1,2]"),
            ("\"a\"", "\"b\""),
            ("{\"a\":1}", "{\"b\":1}"),
            ("1", "2"),
        ] {
            assert!(!same(a.as_bytes(), b.as_bytes()), "{a} {b}");
        }
    }
}
