//! Records of `/ingest`: one JSON object, of which six names fill the envelope and the rest are fields.

use super::heroku::level_of_value;
use super::text::{Row, Text, digits};
use super::{Envelope, Scratch, json, time};
use crate::event::{Field, Flags, Name, Span, Value};

/// The envelope of a record. One that is no JSON object that can be read is all message, with the flag `bad_json`.
pub(super) fn record(frame: Text, scratch: &mut Scratch) -> Envelope {
    let mut row = Row { made: &mut scratch.made, fields: &mut scratch.fields };
    let read = json::candidate(frame).filter(|body| scratch.json.fields(*body, &mut row).is_ok());
    let Some(body) = read else {
        return Envelope { message: frame.span, flags: Flags::BAD_JSON, ..Envelope::default() };
    };
    let mut envelope = Envelope::default();
    let (made, fields) = (&scratch.made, &mut scratch.fields);
    let bytes = |span| body.resolve(span, made);
    fields.retain(|field| !fills(*field, bytes, &mut envelope));
    envelope
}

/// Whether a field goes to the envelope; a time or severity that cannot be read, and an array, stay fields.
fn fills<'a>(field: Field, bytes: impl Fn(Span) -> &'a [u8], envelope: &mut Envelope) -> bool {
    let (Name::Text(name), Value::Text(value) | Value::Raw(value)) = (field.name, field.value) else {
        return false;
    };
    let is_text = matches!(field.value, Value::Text(_));
    let slot = match bytes(name) {
        b"time" => {
            envelope.time_us = if is_text { time::rfc3339(bytes(value)) } else { epoch_us(bytes(value)) };
            if envelope.time_us.is_none() {
                envelope.flags.set(Flags::BAD_TIME);
            }
            return envelope.time_us.is_some();
        }
        b"severity" => {
            envelope.severity = level_of_value(bytes(value));
            return envelope.severity.is_some();
        }
        b"message" => &mut envelope.message,
        b"source" => &mut envelope.source,
        b"process" => &mut envelope.process,
        b"hostname" => &mut envelope.hostname,
        _ => return false,
    };
    let fits = is_text || bytes(value).first() != Some(&b'[');
    if fits {
        *slot = value;
    }
    fits
}

/// Seconds since 1970 below this, milliseconds from it on: the year 5138, or 1973.
const MILLIS_FROM: i128 = 100_000_000_000;

/// The microseconds of a number of seconds or milliseconds since 1970, what is finer cut off.
fn epoch_us(number: &[u8]) -> Option<i64> {
    let (negative, number) = match number.strip_prefix(b"-") {
        Some(number) => (true, number),
        None => (false, number),
    };
    let (whole, fraction) = match number.iter().position(|byte| *byte == b'.') {
        Some(dot) => (&number[..dot], &number[dot + 1..]),
        None => (number, &number[..0]),
    };
    let whole = i128::from(digits(whole)?);
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut millionths = [b'0'; 6];
    let kept = fraction.len().min(6);
    millionths[..kept].copy_from_slice(&fraction[..kept]);
    let us = whole * 1_000_000 + i128::from(digits(&millionths)?);
    let us = if whole >= MILLIS_FROM { us / 1000 } else { us };
    let us = i64::try_from(if negative { -us } else { us }).ok()?;
    (time::MIN_US..=time::MAX_US).contains(&us).then_some(us)
}
