//! A JSON body of which only the level and whether it is JSON are asked: no field is made.
//!
//! Without a backslash every string lies between two neighbouring quotes, and those are known.

use memchr::memchr;

use super::view::{Marks, View, of_bytes};
use crate::event::Severity;
use crate::limits;
use crate::parse::heroku;
use crate::parse::text::is_number;

/// The level that the body from `at` on names; it is all that is left of the frame. `None`: it is no JSON, or holds what
/// has to be looked at more closely.
#[inline(never)]
pub(super) fn level(view: View, marks: &Marks, at: usize) -> Option<Option<Severity>> {
    if marks.odd && memchr(b'\\', view.get(at, marks.end)).is_some() {
        return None;
    }
    // What the first level holds under each of `heroku::LEVEL_NAMES`, as far as it is known.
    let mut levels = [None; heroku::LEVEL_NAMES.len()];
    // One bit for each open brace or bracket, the innermost the lowest: set if it is a brace.
    let (mut braces, mut depth, mut first, mut values) = (1u64, 1, true, 0);
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
            (braces, depth, first) = (braces << 1 | u64::from(open == b'{'), depth + 1, true);
            at += 1;
            // An array takes the place of what the name held; an object gives names of its own.
            if let Some(place) = place.filter(|_| open == b'[') {
                levels[place] = None;
            }
            continue;
        }
        let (from, to) = if open == b'"' { string(view, marks, at)? } else { (at, scalar(view, at)?) };
        at = to + usize::from(open == b'"');
        if let Some(place) = place {
            levels[place] = heroku::level_of_value(view.get(from, to));
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

/// The end of the number or the word at `at`.
#[inline(always)]
fn scalar(view: View, at: usize) -> Option<usize> {
    if view.stands(at, b"true") || view.stands(at, b"null") {
        return Some(at + 4);
    }
    if view.stands(at, b"false") {
        return Some(at + 5);
    }
    let mut end = at;
    while matches!(view.byte(end), b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E') {
        end += 1;
    }
    is_number(view.get(at, end)).then_some(end)
}
