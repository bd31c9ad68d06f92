//! Metrics lines: keys in the order in which each sender writes them, plain numbers behind them.

use core::ops::Range;
use std::sync::LazyLock;

use super::view::{Fields, Marks, Places, View, decimal, of_bytes, text};
use crate::event::{FieldId, KindId, Value};
use crate::parse::heroku::{self, METRIC_KEYS};
use crate::simd::Vector;

/// A key as it is sent, and the field that it becomes with its unit.
struct Key {
    /// What follows `sample#`, up to and with `=`.
    sent: [u8; 32],
    len: usize,
    /// The unit behind the number, as `View::short` gives it, and its length.
    unit: u64,
    unit_len: usize,
    /// What the number is multiplied with; 0 keeps its digits.
    factor: u64,
    field: FieldId,
}

/// `METRIC_KEYS`, ready to compare.
static KEYS: LazyLock<Vec<Key>> =
    LazyLock::new(|| METRIC_KEYS.iter().map(|(key, unit)| Key::of(key, unit)).collect());

impl Key {
    fn of(key: &str, written: &str) -> Key {
        let unit = heroku::UNITS.iter().find(|unit| unit.written == written);
        let plain = key.replace(['-', '.', '#'], "_");
        let name = format!("{plain}{}", unit.map_or("", |unit| unit.suffix));
        let field = heroku::metric(name.as_bytes()).expect("every metric of the table is a field");
        let mut sent = [0; 32];
        sent[..key.len()].copy_from_slice(key.as_bytes());
        sent[key.len()] = b'=';
        Key {
            sent,
            len: key.len() + 1,
            unit: of_bytes(written.as_bytes()),
            unit_len: written.len(),
            factor: unit.map_or(0, |unit| unit.factor),
            field,
        }
    }
}

/// Where in the table the keys of each sender are; no two of one are the same.
const LOAD: Range<usize> = 0..3;
const MEMORY: Range<usize> = 3..10;
const POSTGRES: Range<usize> = 10..30;
const REDIS: Range<usize> = 30..47;
const BOUNCER: Range<usize> = 47..55;

/// A metrics line being read.
struct Line<'a> {
    view: View<'a>,
    blanks: Places<'a>,
    end: usize,
    /// The key at hand, and the blank behind its value.
    at: usize,
    blank: usize,
}

impl<'a> Line<'a> {
    #[inline(always)]
    fn new(view: View<'a>, marks: &'a Marks, at: usize) -> Line<'a> {
        let mut blanks = marks.blanks(at);
        let blank = blanks.next();
        Line { view, blanks, end: marks.end, at, blank }
    }

    /// Goes to the next key.
    #[inline(always)]
    fn pass(&mut self) {
        self.at = self.blank + 1;
        self.blank = if self.at > self.end { self.end } else { self.blanks.next() };
    }

    /// Appends what is measured: known keys out of `keys`, in their order, not all of them.
    #[inline(always)]
    fn samples<V: Vector>(&mut self, vector: V, keys: &[Key], row: &mut Fields) -> Option<()> {
        let mut left = keys.iter();
        while self.at <= self.end {
            let sent = self.view.block::<32>(self.at + 7);
            if !self.view.stands(self.at, b"sample#") {
                return None;
            }
            let key = left.find(|key| vector.common(sent, &key.sent) >= key.len)?;
            let value = measured(self.view, self.at + 7 + key.len, self.blank, key)?;
            row.push(key.field, value);
            self.pass();
        }
        Some(())
    }
}

/// A plain number with its unit, all of `at..end`.
#[inline(always)]
fn measured(view: View, at: usize, end: usize, key: &Key) -> Option<Value> {
    let number = decimal(view, at)?;
    if number.end + key.unit_len != end || view.short(number.end, end) != key.unit {
        return None;
    }
    if key.factor != 0 {
        // Rounded to the nearest whole, halves up; 12 digits times 2^21 fit.
        let one = number.one();
        return Some(Value::Int((number.digits * key.factor * 2 + one) / (2 * one)));
    }
    match number.fraction {
        0 => Some(Value::Int(number.digits)),
        _ => Some(Value::Raw(view.span(at, number.end))),
    }
}

/// Appends the fields of what the platform measures of a dyno, and tells the kind of the line.
#[inline(always)]
pub(super) fn runtime<V: Vector>(
    vector: V,
    view: View,
    marks: &Marks,
    at: usize,
    row: &mut Fields,
) -> Option<KindId> {
    let mut line = Line::new(view, marks, at);
    let name = at + 7;
    if line.blank <= name || view.stands(name, b"heroku.") || marks.quoted(at) {
        return None;
    }
    row.push(heroku::DYNO, view.value(name, line.blank));
    line.pass();
    let id = line.at + 5;
    if line.blank < id + 7 || !view.stands(line.at, b"dyno=") || !view.stands(id, b"heroku.") {
        return None;
    }
    row.push(heroku::DYNO_ID, view.value(id, line.blank));
    line.pass();
    if line.at > line.end {
        return None;
    }
    let (kind, keys) = match view.stands(line.at + 7, b"memory_") {
        true => (heroku::RUNTIME_MEMORY, MEMORY),
        false => (heroku::RUNTIME_LOAD, LOAD),
    };
    line.samples(vector, &KEYS[keys], row)?;
    Some(kind)
}

/// Appends the fields of what an add-on measures.
#[inline(always)]
pub(super) fn addon<V: Vector>(
    vector: V,
    view: View,
    marks: &Marks,
    at: usize,
    process: usize,
    row: &mut Fields,
) -> Option<()> {
    let mut line = Line::new(view, marks, at);
    let (source, addon) = (at + 7, line.blank + 1 + 6);
    if !view.stands(at, b"source=") || !is_word(view, source, line.blank) || marks.quoted(at) {
        return None;
    }
    row.push(heroku::SOURCE, view.value(source, line.blank));
    line.pass();
    if !view.stands(line.at, b"addon=") || !is_word(view, addon, line.blank) {
        return None;
    }
    row.push(heroku::ADDON, view.value(addon, line.blank));
    line.pass();
    if line.at > line.end {
        return None;
    }
    let keys = match view.byte(process + 7) {
        b'r' => REDIS,
        _ if view.byte(process + 8) == b'g' => BOUNCER,
        _ => POSTGRES,
    };
    line.samples(vector, &KEYS[keys], row)
}

/// Whether `from..to` begins with a letter and is no boolean: such a value is text.
#[inline(always)]
fn is_word(view: View, from: usize, to: usize) -> bool {
    let short = view.short(from, to);
    to > from && view.byte(from).is_ascii_alphabetic() && short != text(b"true") && short != text(b"false")
}
