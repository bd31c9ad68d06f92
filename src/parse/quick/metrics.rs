//! Metrics lines: keys in the order in which each sender writes them, plain numbers behind them.

use std::sync::LazyLock;

use super::view::{Marks, Places, View, decimal, of_bytes, text};
use crate::event::{Field, FieldId, KindId, Name, Value};
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

/// Where the keys of each sender begin in the table.
const MEMORY: usize = 3;
const POSTGRES: usize = 10;
const REDIS: usize = 30;

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

    /// Appends what is measured: known keys out of `keys`, the one at `next` looked for first, each once.
    #[inline(always)]
    fn samples<V: Vector>(
        &mut self,
        vector: V,
        keys: &[Key],
        mut next: usize,
        fields: &mut Vec<Field>,
    ) -> Option<()> {
        let mut seen = 0u128;
        while self.at <= self.end {
            let sent = self.view.block::<32>(self.at + 7);
            if !self.view.stands(self.at, b"sample#") {
                return None;
            }
            let fits = |key: &&Key| vector.common(sent, &key.sent) >= key.len;
            let key = match keys.get(next).filter(fits) {
                Some(key) => key,
                None => {
                    next = find(keys, self.view.get(self.at + 7, self.blank), next)?;
                    &keys[next]
                }
            };
            let value = measured(self.view, self.at + 7 + key.len, self.blank, key)?;
            let bit = 1 << key.field.0;
            if seen & bit != 0 {
                return None;
            }
            seen |= bit;
            fields.push(Field { name: Name::Known(key.field), value });
            next += 1;
            self.pass();
        }
        Some(())
    }
}

/// The place of the key that `pair` begins with, looked for from `next` on and around.
#[inline(never)]
fn find(keys: &[Key], pair: &[u8], next: usize) -> Option<usize> {
    let fits = |place: &usize| pair.starts_with(&keys[*place].sent[..keys[*place].len]);
    (next..keys.len()).chain(0..next.min(keys.len())).find(fits)
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
    fields: &mut Vec<Field>,
) -> Option<KindId> {
    let mut line = Line::new(view, marks, at);
    let name = at + 7;
    if line.blank <= name || view.stands(name, b"heroku.") || marks.quoted(at) {
        return None;
    }
    fields.push(Field { name: Name::Known(heroku::DYNO), value: view.value(name, line.blank) });
    line.pass();
    let id = line.at + 5;
    if line.blank < id + 7 || !view.stands(line.at, b"dyno=") || !view.stands(id, b"heroku.") {
        return None;
    }
    fields.push(Field { name: Name::Known(heroku::DYNO_ID), value: view.value(id, line.blank) });
    line.pass();
    if line.at > line.end {
        return None;
    }
    let first = if view.stands(line.at + 7, b"memory_t") { MEMORY } else { 0 };
    let (before, keys) = (fields.len(), &KEYS[..POSTGRES]);
    line.samples(vector, keys, first, fields)?;
    let load = |field: &Field| KEYS[..MEMORY].iter().any(|key| field.name == Name::Known(key.field));
    let is_load = fields[before..].iter().any(load);
    Some(if is_load { heroku::RUNTIME_LOAD } else { heroku::RUNTIME_MEMORY })
}

/// Appends the fields of what an add-on measures.
#[inline(always)]
pub(super) fn addon<V: Vector>(
    vector: V,
    view: View,
    marks: &Marks,
    at: usize,
    process: usize,
    fields: &mut Vec<Field>,
) -> Option<()> {
    let mut line = Line::new(view, marks, at);
    let (source, addon) = (at + 7, line.blank + 1 + 6);
    if !view.stands(at, b"source=") || !is_word(view, source, line.blank) || marks.quoted(at) {
        return None;
    }
    fields.push(Field { name: Name::Known(heroku::SOURCE), value: view.value(source, line.blank) });
    line.pass();
    if !view.stands(line.at, b"addon=") || !is_word(view, addon, line.blank) {
        return None;
    }
    fields.push(Field { name: Name::Known(heroku::ADDON), value: view.value(addon, line.blank) });
    line.pass();
    if line.at > line.end {
        return None;
    }
    // Only the order of trying depends on it.
    let first = if view.stands(process, b"heroku-r") { REDIS } else { POSTGRES };
    line.samples(vector, &KEYS, first, fields)
}

/// Whether `from..to` begins with a letter and is no boolean: such a value is text.
#[inline(always)]
fn is_word(view: View, from: usize, to: usize) -> bool {
    let short = view.short(from, to);
    to > from && view.byte(from).is_ascii_alphabetic() && short != text(b"true") && short != text(b"false")
}
