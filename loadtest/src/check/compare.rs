//! Holds one event of the output against what it must be, key by key.
//!
//! Not compared: `id`, `received`, `listener` and `peer`, which the sender cannot know; `computer`, `labels` and
//! `categories`, which the pipeline file and packs decide; and keys that are not known here, since the schema grows.

use super::json::{self, Text};
use crate::corpus::{UUID_SLOT, Value};
use crate::generator::Expected;
use crate::stamp;

/// Keys that an event of the generator must have.
const KEYS: [&str; 10] =
    ["time", "drain", "source", "process", "kind", "facility", "severity", "pri", "fields", "message"];
const TIME: usize = 0;
const DRAIN: usize = 1;

/// Keys that no event of the generator may have: its messages have no such parts and nothing amiss.
const ABSENT: [&str; 4] = ["hostname", "msgid", "sd", "flags"];

/// One line of output, taken apart.
#[derive(Debug, Default)]
pub struct Line<'a> {
    values: [Option<&'a [u8]>; KEYS.len()],
    /// The first key that should not be there, or is there twice.
    surplus: Option<String>,
}

impl<'a> Line<'a> {
    /// Takes a line apart; None if it is no JSON object.
    pub fn read(bytes: &'a [u8]) -> Option<Line<'a>> {
        let mut line = Line::default();
        json::members(bytes, |name, value| {
            let Some(name) = name.plain() else { return };
            if let Some(at) = KEYS.iter().position(|key| key.as_bytes() == name) {
                if line.values[at].replace(value).is_some() {
                    line.surplus.get_or_insert_with(|| format!("`{}` is there twice", KEYS[at]));
                }
            } else if ABSENT.iter().any(|key| key.as_bytes() == name) {
                let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
                line.surplus.get_or_insert_with(|| format!("`{name}`: expected none, got {value}"));
            }
        })?;
        Some(line)
    }

    /// Time in microseconds since the epoch and drain, by which an event is known.
    pub fn identity(&self) -> Option<(i64, &'a str)> {
        let time = json::text(self.values[TIME]?)?.plain()?;
        let drain = json::text(self.values[DRAIN]?)?.plain()?;
        Some((stamp::read_normal(time)?, std::str::from_utf8(drain).ok()?))
    }
}

/// The value of `received` of a line, for the order of files.
pub fn received(bytes: &[u8]) -> Option<String> {
    let mut found = None;
    json::members(bytes, |name, value| {
        if name.plain() == Some(b"received") {
            found = json::text(value).and_then(Text::get).map(String::from);
        }
    })?;
    found
}

/// What differs, one phrase each; empty if the event is as expected.
pub fn differences(line: &Line, expected: &Expected, extra_fields: bool) -> Vec<String> {
    let template = expected.template;
    let mut out: Vec<String> = line.surplus.iter().cloned().collect();
    for (at, key) in KEYS.iter().enumerate() {
        let Some(got) = line.values[at] else {
            out.push(format!("`{key}` is missing"));
            continue;
        };
        let want = match *key {
            // The time led here, so it is the event's own.
            "time" => continue,
            "drain" => expected.drain,
            "source" => template.source,
            "process" => template.process.as_str(),
            "kind" => template.kind,
            "facility" => template.facility(),
            "severity" => template.severity,
            "message" => template.text.as_str(),
            "pri" => {
                if !number_is(got, &template.pri.to_string()) {
                    out.push(wrong(key, &template.pri.to_string(), got));
                }
                continue;
            }
            _ => {
                fields(got, expected, extra_fields, &mut out);
                continue;
            }
        };
        if !text_is(got, want, expected) {
            out.push(wrong(key, &expected.filled(want), got));
        }
    }
    out
}

fn wrong(key: &str, want: &str, got: &[u8]) -> String {
    format!("`{key}`: expected {}, got {}", shortened(want), shortened(&String::from_utf8_lossy(got)))
}

/// A value short enough for a line of a report.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(160) {
        Some((at, _)) => format!("{}…", text[..at].escape_debug()),
        None => text.escape_debug().to_string(),
    }
}

fn fields(got: &[u8], expected: &Expected, extra: bool, out: &mut Vec<String>) {
    let want = &expected.template.fields;
    let mut seen = 0u64;
    let read = json::members(got, |name, value| {
        let Some(name) = name.get() else {
            out.push("`fields` has a name that is no text".to_string());
            return;
        };
        let Some(at) = want.iter().position(|(known, _)| *known == name) else {
            if !extra {
                out.push(wrong(&format!("fields.{name}"), "none", value));
            }
            return;
        };
        if seen & (1 << at) != 0 {
            out.push(format!("`fields.{name}` is there twice"));
        }
        seen |= 1 << at;
        if !value_is(value, &want[at].1, expected) {
            out.push(wrong(&format!("fields.{name}"), &shown(&want[at].1, expected), value));
        }
    });
    if read.is_none() {
        out.push(wrong("fields", "an object", got));
        return;
    }
    for (at, (name, value)) in want.iter().enumerate() {
        if seen & (1 << at) == 0 {
            out.push(format!("`fields.{name}` is missing, expected {}", shortened(&shown(value, expected))));
        }
    }
}

fn shown(value: &Value, expected: &Expected) -> String {
    match value {
        Value::Text(text) => format!("\"{}\"", expected.filled(text)),
        Value::Number(text) | Value::Digits(text) | Value::Json(text) => text.clone(),
        Value::Bool(yes) => yes.to_string(),
        Value::Addresses(list) => format!("{list:?}"),
    }
}

fn value_is(got: &[u8], want: &Value, expected: &Expected) -> bool {
    match want {
        Value::Text(text) => text_is(got, text, expected),
        Value::Number(number) => number_is(got, number),
        Value::Digits(digits) => got == digits.as_bytes(),
        Value::Bool(yes) => got == yes.to_string().as_bytes(),
        Value::Json(json) => json::same(got, json.as_bytes()),
        Value::Addresses(list) => json::elements(got).is_some_and(|all| {
            all.len() == list.len() && all.iter().zip(list).all(|(got, want)| text_is(got, want, expected))
        }),
    }
}

/// Whether `got` is a JSON number of this value.
fn number_is(got: &[u8], want: &str) -> bool {
    if got == want.as_bytes() {
        return true;
    }
    let value = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<f64>().ok();
    json::is_number(got) && value(got).is_some() && value(got) == value(want.as_bytes())
}

/// Whether `got` is the JSON text `want`, the event's UUID in its place.
fn text_is(got: &[u8], want: &str, expected: &Expected) -> bool {
    let Some(text) = json::text(got) else { return false };
    let got = match text.plain() {
        Some(plain) => plain.into(),
        None => match text.get() {
            Some(text) => std::borrow::Cow::Owned(text.into_owned().into_bytes()),
            None => return false,
        },
    };
    let (got, want) = (got.as_ref(), want.as_bytes());
    if got.len() != want.len() {
        return false;
    }
    if got == want {
        return true;
    }
    // The first difference of a text with a slot lies in the slot, whose first digits belong to the run.
    let Some(at) = got.iter().zip(want).position(|(a, b)| a != b) else { return true };
    let Some(slot) = find_slot(want, at) else { return false };
    let end = slot + UUID_SLOT.len();
    got[..slot] == want[..slot] && got[slot..end] == expected.uuid && got[end..] == want[end..]
}

/// Where the slot starts that `at` lies in.
fn find_slot(text: &[u8], at: usize) -> Option<usize> {
    (at.saturating_sub(UUID_SLOT.len() - 1)..=at)
        .find(|&start| text[start..].starts_with(UUID_SLOT.as_bytes()))
}
