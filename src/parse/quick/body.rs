//! A JSON body without a backslash: every string lies between two neighbouring quotes, and those are known.
//!
//! What is found goes to a `Keep`: either nothing is kept, where nobody reads fields and only the level and whether it
//! is JSON are asked, or all becomes fields.

use memchr::memchr;

use super::view::{Marks, View, of_bytes};
use crate::event::{Field, Name, Severity, Span, Value};
use crate::limits;
use crate::parse::heroku;
use crate::parse::text::{Row, is_number};

/// Where what a body holds goes.
pub(super) trait Keep {
    /// Goes to the name `from..to` in the object that is the `depth`th.
    fn name(&mut self, view: View, depth: usize, from: usize, to: usize);

    /// Gives a value to the last name; `None` is null or an empty text. `None` in return: this is beyond us.
    fn value(&mut self, view: View, depth: usize, value: Option<Value>) -> Option<()>;
}

/// Keeps nothing.
pub(super) struct Nothing;

impl Keep for Nothing {
    #[inline(always)]
    fn name(&mut self, _: View, _: usize, _: usize, _: usize) {}

    #[inline(always)]
    fn value(&mut self, _: View, _: usize, _: Option<Value>) -> Option<()> {
        Some(())
    }
}

/// Names of a body that are told apart here.
const NAMES_MAX: usize = 48;

/// Makes fields.
pub(super) struct Fields<'a> {
    row: Row<'a>,
    /// Eight bytes and the length of each name: different ones have different names.
    hints: [u64; NAMES_MAX],
    /// The joined name at each depth.
    path: [Span; limits::JSON_DEPTH + 1],
}

impl<'a> Fields<'a> {
    #[inline(always)]
    pub fn new(row: Row<'a>) -> Fields<'a> {
        Fields { row, hints: [0; NAMES_MAX], path: [Span::NONE; limits::JSON_DEPTH + 1] }
    }
}

impl Keep for Fields<'_> {
    #[inline(always)]
    fn name(&mut self, view: View, depth: usize, from: usize, to: usize) {
        self.path[depth] = match depth {
            1 => view.span(from, to),
            _ => {
                let (outer, start) = (self.path[depth - 1], self.row.made.len());
                match outer.is_made() {
                    true => self.row.made.extend_from_within(outer.start()..outer.end()),
                    false => self.row.made.extend_from_slice(view.text(outer)),
                }
                self.row.made.push(b'.');
                self.row.made.extend_from_slice(view.get(from, to));
                Span::made(start, self.row.made.len())
            }
        };
    }

    #[inline(always)]
    fn value(&mut self, view: View, depth: usize, value: Option<Value>) -> Option<()> {
        let (name, count) = (self.path[depth], self.row.fields.len());
        let hint = match name.is_made() {
            true => hint(&self.row.made[name.start()..name.end()]),
            false => hint(view.text(name)),
        };
        // A name that is there already changes what it held: that is for the general way.
        if count == NAMES_MAX || self.hints[..count].contains(&hint) {
            return None;
        }
        if let Some(value) = value {
            self.hints[count] = hint;
            self.row.fields.push(Field { name: Name::Text(name), value });
        }
        Some(())
    }
}

/// The last eight bytes of a name, mixed with its length.
fn hint(name: &[u8]) -> u64 {
    let tail = name.last_chunk().map_or_else(|| of_bytes(name), |tail| u64::from_le_bytes(*tail));
    tail.wrapping_add((name.len() as u64) << 56)
}

/// The level that the body from `at` on names; it is all that is left of the frame. `None`: it is no JSON, or holds what
/// has to be looked at more closely, and what was kept does not count.
#[inline(always)]
pub(super) fn level<K: Keep>(view: View, marks: &Marks, at: usize, mut keep: K) -> Option<Option<Severity>> {
    if marks.odd && memchr(b'\\', view.get(at, marks.end)).is_some() {
        return None;
    }
    // What the first level holds under each of `heroku::LEVEL_NAMES`, as far as it is known.
    let mut levels = [None; heroku::LEVEL_NAMES.len()];
    // One bit for each open brace or bracket, the innermost the lowest: set if it is a brace.
    let (mut braces, mut depth, mut first, mut values) = (1u64, 1, true, 0);
    // The array that all else is in: its depth and where it begins.
    let mut array: Option<(usize, usize)> = None;
    let mut at = at + 1;
    while depth > 0 {
        at = blanks(view, at);
        if at >= marks.end {
            return None;
        }
        let in_object = braces & 1 != 0;
        if view.byte(at) == if in_object { b'}' } else { b']' } {
            (braces, depth, first) = (braces >> 1, depth - 1, false);
            at += 1;
            if let Some((outside, start)) = array
                && outside == depth
            {
                array = None;
                keep.value(view, depth, Some(Value::Raw(view.span(start, at))))?;
            }
            continue;
        }
        if !core::mem::take(&mut first) {
            if view.byte(at) != b',' {
                return None;
            }
            at = blanks(view, at + 1);
        }
        let mut place = None;
        if in_object {
            let (from, to) = string(view, marks, at)?;
            if depth == 1 {
                let key = view.short(from, to);
                place = NAMES.iter().position(|name| *name == key);
            }
            if array.is_none() {
                keep.name(view, depth, from, to);
            }
            at = blanks(view, to + 1);
            if view.byte(at) != b':' {
                return None;
            }
            at = blanks(view, at + 1);
        }
        values += 1;
        let open = view.byte(at);
        if matches!(open, b'{' | b'[') {
            if depth == limits::JSON_DEPTH {
                return None;
            }
            if open == b'[' && array.is_none() {
                array = Some((depth, at));
                // It takes the place of what the name held; an object gives names of its own.
                if let Some(place) = place {
                    levels[place] = None;
                }
            }
            (braces, depth, first) = (braces << 1 | u64::from(open == b'{'), depth + 1, true);
            at += 1;
            continue;
        }
        let (from, value);
        (from, at, value) = match open {
            b'"' => {
                let (from, to) = string(view, marks, at)?;
                (from, to, (to > from).then(|| view.value(from, to)))
            }
            _ => {
                let (to, value) = scalar(view, at)?;
                (at, to, value)
            }
        };
        if let Some(place) = place {
            levels[place] = heroku::level_of_value(view.get(from, at));
        }
        at += usize::from(open == b'"');
        if array.is_none() {
            keep.value(view, depth, value)?;
        }
    }
    let whole = at <= marks.end && blanks(view, at) >= marks.end && values <= limits::FIELDS;
    whole.then(|| levels.into_iter().flatten().next())
}

/// `heroku::LEVEL_NAMES` as `View::short` gives them.
const NAMES: [u64; heroku::LEVEL_NAMES.len()] = {
    let mut names = [0; heroku::LEVEL_NAMES.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = of_bytes(heroku::LEVEL_NAMES[at].as_bytes());
        at += 1;
    }
    names
};

/// Behind the blanks at `at`.
#[inline(always)]
fn blanks(view: View, mut at: usize) -> usize {
    while view.byte(at) == b' ' {
        at += 1;
    }
    at
}

/// What stands between the quote at `at` and the next one.
#[inline(always)]
fn string(view: View, marks: &Marks, at: usize) -> Option<(usize, usize)> {
    let close = marks.quote(at + 1);
    (view.byte(at) == b'"' && close < marks.end).then_some((at + 1, close))
}

/// The end of the number or the word at `at`, and its value.
#[inline(always)]
fn scalar(view: View, at: usize) -> Option<(usize, Option<Value>)> {
    if view.stands(at, b"true") {
        return Some((at + 4, Some(Value::Bool(true))));
    }
    if view.stands(at, b"false") {
        return Some((at + 5, Some(Value::Bool(false))));
    }
    if view.stands(at, b"null") {
        return Some((at + 4, None));
    }
    let mut end = at;
    while matches!(view.byte(end), b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E') {
        end += 1;
    }
    is_number(view.get(at, end)).then(|| (end, Some(Value::Raw(view.span(at, end)))))
}
