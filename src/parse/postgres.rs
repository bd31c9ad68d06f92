//! What postgres writes: `[COLOR] [LINE-CHUNK]  sql_error_code = 00000 [k="v"...] LEVEL:  text`.
//!
//! Only the head of a line is read, up to its level: behind it stand statements, which are data.

use memchr::memchr;

use super::heroku;
use super::logfmt::{Pair, closing_quote, field};
use super::text::{Row, Text, digits, is_blank};
use crate::event::{Severity, Value};
use crate::limits;

fn past_blanks(text: Text) -> Text {
    text.from(text.bytes.iter().position(|byte| !is_blank(*byte)).unwrap_or(text.len()))
}

/// Appends the fields of a postgres line; returns the severity that its level tells.
pub(super) fn fields(text: Text, row: &mut Row) -> Option<Severity> {
    let mut rest = brackets(text, row);
    if let Some((code, behind)) = error_code(rest) {
        row.text(heroku::SQL_ERROR_CODE, code);
        rest = pairs(behind, row);
    }
    let (level, severity) = level(rest)?;
    row.text(heroku::LEVEL, level);
    severity
}

/// `[COLOR]` and `[LINE-CHUNK]` in either order; returns what follows them.
fn brackets<'a>(text: Text<'a>, row: &mut Row) -> Text<'a> {
    let mut rest = text;
    let (mut color, mut place) = (None, None);
    while let Some(close) = rest.bytes.strip_prefix(b"[").and_then(|inner| memchr(b']', inner)) {
        let inner = rest.part(1, 1 + close);
        let numbers = memchr(b'-', inner.bytes)
            .and_then(|dash| Some((digits(&inner.bytes[..dash])?, digits(&inner.bytes[dash + 1..])?)));
        match numbers {
            Some(numbers) if place.is_none() => place = Some(numbers),
            None if color.is_none() && inner.word().len() == inner.len() => color = Some(inner),
            _ => break,
        }
        rest = past_blanks(rest.from(close + 2));
    }
    if let Some(color) = color {
        row.text(heroku::COLOR, color);
    }
    if let Some((line, chunk)) = place {
        row.push(heroku::LINE, Value::Int(line));
        row.push(heroku::CHUNK, Value::Int(chunk));
    }
    rest
}

/// `sql_error_code = 00000`, and what follows it.
fn error_code(text: Text) -> Option<(Text, Text)> {
    let name = "sql_error_code";
    text.bytes.strip_prefix(name.as_bytes())?;
    let rest = past_blanks(text.from(name.len()));
    rest.bytes.strip_prefix(b"=")?;
    let rest = past_blanks(rest.from(1));
    let code = rest.word();
    Some((code, past_blanks(rest.from(code.len()))))
}

/// The level at the start of `text`, up to its colon.
fn level(text: Text) -> Option<(Text, Option<Severity>)> {
    let word = text.until(b':');
    let (_, severity) = heroku::POSTGRES_LEVELS.iter().find(|(name, _)| name.as_bytes() == word.bytes)?;
    (word.len() < text.len()).then_some((word, *severity))
}

/// Appends the pairs before a level; without a level there are none. Returns what follows them.
fn pairs<'a>(text: Text<'a>, row: &mut Row) -> Text<'a> {
    let kept = row.fields.len();
    let mut rest = text;
    for _ in 0..limits::FIELDS {
        if level(rest).is_some() {
            return rest;
        }
        let Some((pair, behind)) = pair(rest) else { break };
        if pair.key.bytes != b"level" {
            field(pair, &[("user", heroku::DB_USER)], row);
        }
        rest = behind;
    }
    row.fields.truncate(kept);
    rest
}

/// `k="v"`, `k = "v"` or `k=v`, and what follows it.
fn pair(text: Text) -> Option<(Pair, Text)> {
    let key_end = text.bytes.iter().position(|byte| *byte == b'=' || is_blank(*byte))?;
    let key = text.part(0, key_end);
    let rest = past_blanks(text.from(key_end));
    rest.bytes.strip_prefix(b"=")?;
    let rest = past_blanks(rest.from(1));
    if key.len() == 0 {
        return None;
    }
    match rest.bytes.strip_prefix(b"\"").map(closing_quote) {
        Some(close) => {
            let close = 1 + close?;
            Some((Pair { key, value: rest.part(1, close), quoted: true }, past_blanks(rest.from(close + 1))))
        }
        None => {
            let value = rest.word();
            Some((Pair { key, value, quoted: false }, past_blanks(rest.from(value.len()))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::tests::read;

    #[test]
    fn lines_and_their_severity() {
        let place = "color: 'GREEN', line: 14, chunk: 1";
        for (text, severity, expected) in [
            (
                "[GREEN] [14-1]  sql_error_code = 00000 LOG:  duration: 2 ms",
                None,
                "$, sql_error_code: '00000', level: 'LOG'",
            ),
            (
                "[14-1] [GREEN]  sql_error_code = 28P01 FATAL:  x",
                Some(Severity::Critical),
                "$, sql_error_code: '28P01', level: 'FATAL'",
            ),
            ("[GREEN] [14-1] ERROR:  x", Some(Severity::Error), "$, level: 'ERROR'"),
            ("[GREEN] [14-1] PANIC:  x", Some(Severity::Critical), "$, level: 'PANIC'"),
            ("[GREEN] [14-1] WARNING:  x", Some(Severity::Warning), "$, level: 'WARNING'"),
            ("[GREEN] [14-1] DEBUG3:  x", None, "$, level: 'DEBUG3'"),
            ("[GREEN] [14-1] DEBUG6:  x", None, "$"),
            ("[GREEN] [14-1] ERRORS:  x", None, "$"),
            ("[GREEN] [14-1]  sql_error_code = 00000 LOG", None, "$, sql_error_code: '00000'"),
            (
                "[GREEN] [14-1]  sql_error_code = 00000 time_ms = \"a b\" pid=\"5\" user=\"bob\" application-name=\"x \\\" y\" n=5 LOG:  k=\"v\" ERROR:  z",
                None,
                "$, sql_error_code: '00000', time_ms: 'a b', pid: '5', db_user: 'bob', application_name: 'x \\\" y', n: 5, level: 'LOG'",
            ),
            (
                "[GREEN] [14-1]  sql_error_code = 00000 a=\"1\" line=\"7\" level=\"x\" ERROR:  z",
                Some(Severity::Error),
                "$, sql_error_code: '00000', a: '1', level: 'ERROR'",
            ),
            ("[GREEN] [14-1]  sql_error_code = 00000 a=\"1\" then text", None, "$, sql_error_code: '00000'"),
            ("[GREEN] [14-1]  sql_error_code = 00000 a=\"1", None, "$, sql_error_code: '00000'"),
            ("[GREEN] [14-1] \tSELECT a = \"b\" ERROR:  x", None, "$"),
            ("[GREEN] [14-1]  a=\"1\" ERROR:  x", None, "$"),
            ("[GREEN] [14-1]", None, "$"),
        ] {
            let (told, shown) = read(text, fields);
            assert_eq!((told, &*shown), (severity, &*expected.replace('$', place)), "{text}");
        }
        for (text, expected) in [
            ("[7-2] x", "line: 7, chunk: 2"),
            ("[A] [B] LOG:  x", "color: 'A'"),
            ("[local backend] LOG:  x", ""),
            ("[A] [99999999999999999999-1] x", "color: 'A'"),
            ("LOG:  x", "level: 'LOG'"),
            ("[never", ""),
            ("", ""),
        ] {
            assert_eq!(read(text, fields).1, expected, "{text}");
        }
    }
}
