//! Extractors: from a text to pairs of field and span. Types, and who wrote a field first, are the caller's.

use regex_automata::Input;
use regex_automata::meta::{Cache, Regex};
use regex_automata::util::captures::Captures;

use crate::event::Span;

/// Index of a declared field.
pub(super) type FieldIndex = u32;

#[derive(Debug)]
pub(super) enum Extractor {
    Kv(Kv),
    /// Index of the expression; its groups and their fields.
    Regex {
        regex: u32,
        groups: Vec<(usize, FieldIndex)>,
    },
    Delimited {
        separator: Box<[u8]>,
        fields: Vec<Option<FieldIndex>>,
    },
    /// A path's names, and the field.
    Json(Vec<(Vec<Box<[u8]>>, FieldIndex)>),
    Format {
        pieces: Vec<Piece>,
        field: FieldIndex,
    },
}

#[derive(Debug)]
pub(super) struct Kv {
    pub separator: Box<[u8]>,
    pub between: Box<[u8]>,
    pub quote: Option<u8>,
    pub keys: foldhash::HashMap<Box<[u8]>, Vec<FieldIndex>>,
}

#[derive(Debug)]
pub(super) enum Piece {
    Text(Box<[u8]>),
    /// A slot's value.
    Slot(u16),
}

pub(super) type Found = Vec<(FieldIndex, Span)>;

/// A text and where it lies.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub bytes: &'a [u8],
    pub span: Span,
}

impl Kv {
    /// Pairs from left to right; what is no pair is passed over.
    pub fn find(&self, text: Source, found: &mut Found) {
        let bytes = text.bytes;
        let mut at = 0;
        while at < bytes.len() {
            if let Some(len) = self.gap(&bytes[at..]) {
                at += len;
                continue;
            }
            let start = at;
            let end = self.word_end(bytes, at);
            let Some(split) = find(&bytes[start..end], &self.separator) else {
                at = end;
                continue;
            };
            let key = &bytes[start..start + split];
            let value = start + split + self.separator.len();
            let (from, to, next) = match self.quote {
                Some(quote) if bytes.get(value) == Some(&quote) => {
                    let to = closing(bytes, value + 1, quote);
                    (value + 1, to, (to + 1).min(bytes.len()))
                }
                _ => {
                    let end = self.word_end(bytes, value);
                    (value, end, end)
                }
            };
            for field in self.keys.get(key).map_or(&[][..], Vec::as_slice) {
                found.push((*field, text.span.slice(from, to)));
            }
            at = next.max(start + 1);
        }
    }

    /// How long a gap between pairs is that begins here.
    fn gap(&self, bytes: &[u8]) -> Option<usize> {
        if *self.between == *b" " {
            return bytes.first().filter(|byte| byte.is_ascii_whitespace()).map(|_| 1);
        }
        let blank = bytes.first().is_some_and(u8::is_ascii_whitespace).then_some(1);
        bytes.starts_with(&self.between).then_some(self.between.len()).or(blank)
    }

    fn word_end(&self, bytes: &[u8], from: usize) -> usize {
        let rest = &bytes[from..];
        let len = match *self.between == *b" " {
            true => rest.iter().position(u8::is_ascii_whitespace),
            false => find(rest, &self.between),
        };
        from + len.unwrap_or(rest.len())
    }
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    match part {
        [byte] => memchr::memchr(*byte, bytes),
        _ => bytes.windows(part.len()).position(|window| window == part),
    }
}

/// Where the quote closes, `\` escaping the byte behind it; the end if it does not.
fn closing(bytes: &[u8], from: usize, quote: u8) -> usize {
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            byte if *byte == quote => return at,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// What the named groups of the first match hold.
pub(super) fn captures(
    regex: &Regex,
    cache: &mut Cache,
    captures: &mut Captures,
    groups: &[(usize, FieldIndex)],
    text: Source,
    found: &mut Found,
) {
    regex.search_captures_with(cache, &Input::new(text.bytes), captures);
    for (group, field) in groups {
        if let Some(span) = captures.get_group(*group) {
            found.push((*field, text.span.slice(span.start, span.end)));
        }
    }
}

/// Values by their place, blanks around them left out.
pub(super) fn delimited(separator: &[u8], fields: &[Option<FieldIndex>], text: Source, found: &mut Found) {
    let mut at = 0;
    for field in fields {
        let rest = &text.bytes[at..];
        let len = find(rest, separator).unwrap_or(rest.len());
        if let Some(field) = field {
            let value = &rest[..len];
            let start = value.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(len);
            let end = value.iter().rposition(|byte| !byte.is_ascii_whitespace()).map_or(start, |end| end + 1);
            found.push((*field, text.span.slice(at + start, at + end)));
        }
        if at + len + separator.len() > text.bytes.len() {
            return;
        }
        at += len + separator.len();
    }
}

/// Levels of a JSON text that are looked into.
const JSON_DEPTH_MAX: usize = 32;

/// The value at a path of a JSON object, in its bytes: of a string what stands between the quotes, escapes and all.
///
/// Null, objects and what is broken before the value is found are nothing.
pub(super) fn json(text: &[u8], path: &[Box<[u8]>]) -> Option<JsonValue> {
    json_by(text, path.iter().map(|name| &**name))
}

/// The same by any path.
pub(super) fn json_by<'p>(text: &[u8], path: impl Iterator<Item = &'p [u8]>) -> Option<JsonValue> {
    let mut at = blanks(text, 0);
    for name in path {
        at = member(text, at, name)?;
    }
    match text.get(at)? {
        b'"' => Some(JsonValue { start: at + 1, end: string_end(text, at + 1)?, string: true }),
        b'{' | b'n' => None,
        _ => Some(JsonValue { start: at, end: skip(text, at)?, string: false }),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JsonValue {
    pub start: usize,
    pub end: usize,
    pub string: bool,
}

fn blanks(text: &[u8], from: usize) -> usize {
    from + text[from..].iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

fn string_end(text: &[u8], from: usize) -> Option<usize> {
    let end = closing(text, from, b'"');
    (end < text.len()).then_some(end)
}

/// Where the value of `name` begins in the object at `at`.
fn member(text: &[u8], at: usize, name: &[u8]) -> Option<usize> {
    if text.get(at) != Some(&b'{') {
        return None;
    }
    let mut at = blanks(text, at + 1);
    while text.get(at) == Some(&b'"') {
        let end = string_end(text, at + 1)?;
        let key = &text[at + 1..end];
        at = blanks(text, end + 1);
        if text.get(at) != Some(&b':') {
            return None;
        }
        at = blanks(text, at + 1);
        if key == name {
            return Some(at);
        }
        at = blanks(text, skip(text, at)?);
        if text.get(at) != Some(&b',') {
            return None;
        }
        at = blanks(text, at + 1);
    }
    None
}

/// Where the value at `at` ends.
fn skip(text: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0;
    loop {
        match text.get(at)? {
            b'"' => at = string_end(text, at + 1)? + 1,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
                if depth > JSON_DEPTH_MAX {
                    return None;
                }
                continue;
            }
            b'}' | b']' if depth > 0 => {
                depth -= 1;
                at += 1;
            }
            b',' | b':' if depth > 0 => {
                at += 1;
                continue;
            }
            byte if byte.is_ascii_whitespace() && depth > 0 => {
                at += 1;
                continue;
            }
            _ => {
                let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
                let len = text[at..].iter().position(ends)?;
                if len == 0 {
                    return None;
                }
                at += len;
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Appends a JSON string without its escapes; half a surrogate pair becomes U+FFFD.
pub(super) fn unescape(text: &[u8], out: &mut Vec<u8>) {
    let unit = |at: usize| {
        let digits = text.get(at..at + 4)?;
        u32::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()
    };
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some(&escaped) = text.get(at) else { return };
        at += 1;
        match escaped {
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'r' => out.push(b'\r'),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'u' => {
                let mut code = unit(at).unwrap_or(0xfffd);
                at = (at + 4).min(text.len());
                if (0xd800..0xdc00).contains(&code)
                    && text[at..].starts_with(b"\\u")
                    && let Some(low) = unit(at + 2).filter(|low| (0xdc00..0xe000).contains(low))
                {
                    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                    at += 6;
                }
                let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source<'_> {
        Source { bytes: text.as_bytes(), span: Span::of(0, text.len()) }
    }

    fn shown(text: &str, found: &Found) -> Vec<String> {
        let value = |span: &Span| text[span.start()..span.end()].to_string();
        found.iter().map(|(field, span)| format!("{field}={}", value(span))).collect()
    }

    fn kv(separator: &str, between: &str, quote: Option<u8>) -> Kv {
        let keys = [("a", vec![0]), ("b", vec![1]), ("c", vec![2])];
        Kv {
            separator: separator.as_bytes().into(),
            between: between.as_bytes().into(),
            quote,
            keys: keys.into_iter().map(|(key, fields)| (key.as_bytes().into(), fields)).collect(),
        }
    }

    #[test]
    fn pairs() {
        for (kv, text, expected) in [
            (
                kv("=", " ", Some(b'"')),
                r#"x a=1  b="two \" b=3" c= y=z"#,
                &["0=1", r#"1=two \" b=3"#, "2="][..],
            ),
            (kv("=", " ", None), r#"a="1 b=2"#, &["0=\"1", "1=2"]),
            (kv("=", " ", Some(b'"')), r#"a="open b=2"#, &["0=open b=2"]),
            (kv(": ", ", ", None), "a: one two, b: 3", &["0=one two", "1=3"]),
            (kv("=", " ", Some(b'"')), "a=", &["0="]),
            (kv("=", " ", Some(b'"')), "= =a ==", &[]),
        ] {
            let mut found = Vec::new();
            kv.find(source(text), &mut found);
            assert_eq!(shown(text, &found), expected, "{text}");
        }
    }

    #[test]
    fn values_by_place() {
        let text = "one , two,,four";
        let mut found = Vec::new();
        delimited(b",", &[Some(0), None, Some(1), Some(2), Some(3)], source(text), &mut found);
        assert_eq!(shown(text, &found), ["0=one", "1=", "2=four"]);
    }

    #[test]
    fn json_paths() {
        let text = r#" {"a":1, "b" : {"c":"x\"\u0041y","d":[1,{"e":2}, "}"]},"n":null,"t":true}"#;
        for (path, expected) in [
            ("a", Some("1")),
            ("b.c", Some(r#"x\"\u0041y"#)),
            ("b.d", Some(r#"[1,{"e":2}, "}"]"#)),
            ("t", Some("true")),
            ("b", None),
            ("n", None),
            ("b.x", None),
            ("a.b", None),
        ] {
            let path: Vec<Box<[u8]>> = path.split('.').map(|name| name.as_bytes().into()).collect();
            let found = json(text.as_bytes(), &path).map(|value| &text[value.start..value.end]);
            assert_eq!(found, expected);
        }
        for broken in ["", "{", r#"{"a""#, r#"{"a":"#, r#"{"a":1"#, r#"{"b":,"a":1}"#, "[1]"] {
            assert_eq!(json(broken.as_bytes(), &[b"a"[..].into()]), None, "{broken}");
        }
        let mut out = Vec::new();
        unescape(br#"x\"\u0041\ud83d\ude00\ud83d\n"#, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "x\"A\u{1f600}\u{fffd}\n");
    }
}
