//! Key=value text: the pairs of a line, the names and values that they become, metrics lines.
//!
//! Names lose `sample#`, have `_` for `-`, `.` and `#`, and gain the unit that their value loses. Quoted values keep their
//! backslashes. Of equal names the first counts: what comes later on a line is the less trusted.

use super::heroku;
use super::text::{Row, Text, digits, is_blank, is_number, number, until_blank_or};
use crate::event::{Field, FieldId, Name, Span, Value};
use crate::limits;

/// A key with its value, without its quotes.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    pub key: Text<'a>,
    pub value: Text<'a>,
    pub quoted: bool,
}

/// The pairs of a text from left to right; words without `=` are passed over.
pub(super) struct Pairs<'a> {
    text: Text<'a>,
    at: usize,
}

impl<'a> Pairs<'a> {
    pub fn new(text: Text<'a>) -> Pairs<'a> {
        Pairs { text, at: 0 }
    }

    /// Where the last pair ended.
    pub fn at(&self) -> usize {
        self.at
    }

    fn skip(&mut self, while_it: impl Fn(u8) -> bool) {
        let rest = &self.text.bytes[self.at..];
        self.at += rest.iter().position(|byte| !while_it(*byte)).unwrap_or(rest.len());
    }
}

/// Where the quote that closes a value is in `bytes`, which begin behind the opening one; `\"` does not close.
pub(super) fn closing_quote(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Pair<'a>;

    fn next(&mut self) -> Option<Pair<'a>> {
        loop {
            self.skip(is_blank);
            let start = self.at;
            self.at += until_blank_or(&self.text.bytes[self.at..], b'=');
            if self.at == self.text.len() {
                return None;
            }
            if self.text.bytes[self.at] != b'=' || self.at == start {
                self.at += until_blank_or(&self.text.bytes[self.at..], b' ');
                continue;
            }
            let key = self.text.part(start, self.at);
            self.at += 1;
            let value = self.at;
            if self.text.bytes.get(value) == Some(&b'"')
                && let Some(close) = closing_quote(&self.text.bytes[value + 1..])
            {
                self.at = value + close + 2;
                return Some(Pair { key, value: self.text.part(value + 1, value + 1 + close), quoted: true });
            }
            self.at += until_blank_or(&self.text.bytes[self.at..], b' ');
            return Some(Pair { key, value: self.text.part(value, self.at), quoted: false });
        }
    }
}

/// `number` times `factor`, rounded to the nearest whole, halves up; `None` if it is no plain decimal of sensible length.
fn scaled(number: &[u8], factor: u64) -> Option<u128> {
    /// Digits that, times the largest factor and two, fit a u128.
    const DIGITS_MAX: usize = 24;
    let (whole, fraction) = match number.iter().position(|byte| *byte == b'.') {
        Some(dot) => (&number[..dot], &number[dot + 1..]),
        None => (number, &number[..0]),
    };
    if whole.len() + fraction.len() > DIGITS_MAX {
        return None;
    }
    let all = whole.iter().chain(fraction).try_fold(0u128, |sum, byte| match byte {
        b'0'..=b'9' => Some(sum * 10 + (byte - b'0') as u128),
        _ => None,
    })?;
    let one = 10u128.pow(fraction.len() as u32);
    Some((all * factor as u128 * 2 + one) / (2 * one))
}

/// A value with what its unit adds to the name.
fn measured(text: Text, row: &mut Row) -> (Value, &'static str) {
    for unit in heroku::UNITS {
        let Some(amount) = text.bytes.strip_suffix(unit.written.as_bytes()) else { continue };
        if !is_number(amount) {
            continue;
        }
        let amount = text.part(0, amount.len());
        if unit.factor == 0 {
            return (number(amount).unwrap_or(Value::Raw(amount.span)), unit.suffix);
        }
        let (negative, size) = match amount.bytes.strip_prefix(b"-") {
            Some(size) => (true, size),
            None => (false, amount.bytes),
        };
        let Some(bytes) = scaled(size, unit.factor) else { continue };
        let value = match u64::try_from(bytes) {
            Ok(bytes) if !negative => Value::Int(bytes),
            _ => Value::Raw(made_number(negative, bytes, row.made)),
        };
        return (value, unit.suffix);
    }
    (bare(text), "")
}

fn made_number(negative: bool, mut number: u128, made: &mut Vec<u8>) -> Span {
    let start = made.len();
    loop {
        made.push(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    if negative {
        made.push(b'-');
    }
    made[start..].reverse();
    Span::made(start, made.len())
}

/// A bare value without a unit: a boolean, a number or text.
fn bare(text: Text) -> Value {
    match text.bytes {
        b"true" => Value::Bool(true),
        b"false" => Value::Bool(false),
        _ => number(text).unwrap_or(Value::Text(text.span)),
    }
}

/// Appends the field that a pair is, unless its value is empty or its name is taken.
///
/// `renamed` are names that are called otherwise.
pub(super) fn field(pair: Pair, renamed: &[(&str, FieldId)], row: &mut Row) {
    if pair.value.len() == 0 || row.fields.len() >= limits::FIELDS {
        return;
    }
    let start = row.made.len();
    let (value, suffix) =
        if pair.quoted { (Value::Text(pair.value.span), "") } else { measured(pair.value, row) };
    let key = pair.key.bytes.strip_prefix(b"sample#").unwrap_or(pair.key.bytes);
    let named = row.made.len();
    let plain = |byte: &u8| if matches!(byte, b'-' | b'.' | b'#') { b'_' } else { *byte };
    for part in key.utf8_chunks() {
        row.made.extend(part.valid().bytes().map(|byte| plain(&byte)));
        // As it is written, so that no two names are written alike.
        if !part.invalid().is_empty() {
            row.made.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    row.made.extend_from_slice(suffix.as_bytes());
    let name = &row.made[named..];
    let known = renamed
        .iter()
        .find(|(sent, _)| sent.as_bytes() == name)
        .map(|(_, id)| *id)
        .or_else(|| heroku::metric(name));
    let name_bytes = known.map_or(name, |id| heroku::FIELDS[id.0 as usize].as_bytes());
    if taken(name_bytes, row) {
        row.made.truncate(start);
        return;
    }
    let name = match known {
        Some(id) => {
            row.made.truncate(named);
            Name::Known(id)
        }
        None => Name::Text(Span::made(named, row.made.len())),
    };
    row.fields.push(Field { name, value });
}

/// Whether a field of this name is there; all names that are no known ones are made.
fn taken(name: &[u8], row: &Row) -> bool {
    row.fields.iter().any(|field| match field.name {
        Name::Known(id) => heroku::FIELDS[id.0 as usize].as_bytes() == name,
        Name::Text(span) => &row.made[span.start()..span.end()] == name,
    })
}

/// Appends all pairs of an add-on's metrics line.
pub(super) fn addon(text: Text, row: &mut Row) {
    let renamed = [("source", heroku::SOURCE), ("addon", heroku::ADDON)];
    for pair in Pairs::new(text).take(limits::FIELDS) {
        field(pair, &renamed, row);
    }
}

/// Appends the pairs of a runtime metrics line, `dyno` the short name and `dyno_id` the long one.
pub(super) fn runtime(text: Text, row: &mut Row) {
    let (mut source, mut dyno) = (None, None);
    for pair in Pairs::new(text).take(limits::FIELDS).filter(|pair| pair.value.len() > 0) {
        match pair.key.bytes {
            b"source" => _ = source.get_or_insert(pair.value),
            b"dyno" => _ = dyno.get_or_insert(pair.value),
            _ => {}
        }
    }
    // Some senders swap the two: the id is the one that says so.
    let is_id = |text: &Text| text.bytes.starts_with(b"heroku.");
    if let Some(name) = source.filter(|text| !is_id(text)).or(dyno.filter(|text| !is_id(text))) {
        row.text(heroku::DYNO, name);
    }
    if let Some(id) = dyno.filter(is_id).or(source.filter(is_id)) {
        row.text(heroku::DYNO_ID, id);
    }
    let others =
        Pairs::new(text).take(limits::FIELDS).filter(|pair| !matches!(pair.key.bytes, b"source" | b"dyno"));
    for pair in others {
        field(pair, &[], row);
    }
}

/// The number behind `word` at the start of `text`, if there is one.
pub(super) fn number_after(text: Text, word: &[u8]) -> Option<u64> {
    let rest = text.bytes.strip_prefix(word)?;
    digits(&rest[..rest.iter().take_while(|byte| byte.is_ascii_digit()).count()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::tests::read;

    #[test]
    fn addon_metrics() {
        for (text, expected) in [
            (
                "source=DATABASE addon=pg-1 sample#db_size=18032824bytes",
                "source: 'DATABASE', addon: 'pg-1', db_size_bytes: 18032824",
            ),
            (
                "sample#index-cache-hit-rate=0.99971 sample#load-avg-1m=0.30",
                "index_cache_hit_rate: 0.99971, load_avg_1m: 0.30",
            ),
            ("sample#memory-total=15666128kB", "memory_total_bytes: 16042115072"),
            (
                "sample#memory-free=12.5kB sample#x=0.0005kB sample#y=0.0004kB",
                "memory_free_bytes: 12800, x_bytes: 1, y_bytes: 0",
            ),
            ("sample#x=-1kB sample#y=99999999999999MB", "x_bytes: -1024, y_bytes: 104857599999998951424"),
            ("sample#x=1.50ms sample#y=3pages sample#z=1e3ms", "x_ms: 1.50, y_pages: 3, z_ms: 1e3"),
            ("sample#x=5GB sample#y=3us sample#z=1% sample#w=ms", "x: '5GB', y: '3us', z: '1%', w: 'ms'"),
            ("sample#x=1e3kB sample#y=01kB sample#z=.5MB", "x: '1e3kB', y: '01kB', z: '.5MB'"),
            (
                "a=true b=false c=\"true\" d=\"1\" e=\"1ms\" f=null",
                "a: true, b: false, c: 'true', d: '1', e: '1ms', f: 'null'",
            ),
            ("a= b=\"\" c=\"x \\\" y\" d=\\n", "c: 'x \\\" y', d: '\\n'"),
            ("a=1 a=2 a-b=1 a.b=2 a_b=3", "a: 1, a_b: 1"),
            ("word =x =\"y\" a=b=c", "a: 'b=c'"),
            ("a=\"never closed b=1", "a: '\"never', b: 1"),
            ("bytes=407 queue=2", "bytes: 407, queue: 2"),
            ("", ""),
        ] {
            assert_eq!(read(text, addon).1, expected, "{text}");
        }
    }

    #[test]
    fn runtime_metrics_name_the_dyno_twice() {
        let id = "heroku.85170982.7541d2e4";
        let both = format!("dyno: 'web.1', dyno_id: '{id}'");
        for (text, expected) in [
            (format!("source=web.1 dyno={id}"), both.clone()),
            (format!("source={id} dyno=web.1"), both.clone()),
            (format!("dyno={id} source=web.1"), both),
            ("source=web.1".to_string(), "dyno: 'web.1'".to_string()),
            ("dyno=web.1".to_string(), "dyno: 'web.1'".to_string()),
            (format!("source= dyno={id}"), format!("dyno_id: '{id}'")),
            (
                "source=web.1 sample#memory_total=639.80MB sample#memory_pgpgin=236487pages".to_string(),
                "dyno: 'web.1', memory_total_bytes: 670878925, memory_pgpgin_pages: 236487".to_string(),
            ),
        ] {
            assert_eq!(read(&text, runtime).1, expected, "{text}");
        }
        let known = read("sample#memory_rss=1MB", |text, row| {
            runtime(text, row);
            matches!(row.fields[0].name, Name::Known(_))
        });
        assert!(known.0);
    }

    /// The names `x\xff` and `x\xfe` are written alike, so they are one.
    #[test]
    fn names_that_are_written_alike_are_one() {
        let text = b"x\xff=1 x\xfe=2 x\xff\xfe-y=3";
        let (mut made, mut fields) = (Vec::new(), Vec::new());
        let mut row = Row { made: &mut made, fields: &mut fields };
        addon(Text::new(text, Span::of(0, text.len())), &mut row);
        let names = fields.iter().map(|field| match field.name {
            Name::Text(span) => core::str::from_utf8(&made[span.start()..span.end()]).unwrap(),
            Name::Known(_) => "",
        });
        assert_eq!(names.collect::<Vec<_>>(), ["x\u{fffd}", "x\u{fffd}\u{fffd}_y"]);
    }

    #[test]
    fn fields_are_bounded() {
        let text: String = (0..1000).map(|n| format!("k{n}=1 ")).collect();
        assert_eq!(read(&text, addon).1.matches(": 1").count(), limits::FIELDS);
    }
}
