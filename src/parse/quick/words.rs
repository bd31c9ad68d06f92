//! An application's own text: its level, where no more than a look tells that there is none or what it is.

use super::view::{Marks, View};
use crate::event::Severity;
use crate::parse::level::{self, PIECES};
use crate::simd::Vector;

/// The level of the text from `at` on. `None`: it may be a JSON body, or names its level by a key.
#[inline(always)]
pub(super) fn level<V: Vector>(vector: V, view: View, marks: &Marks, at: usize) -> Option<Option<Severity>> {
    let mut first = at;
    while view.byte(first) == b' ' {
        first += 1;
    }
    if view.byte(first) == b'{' {
        return None;
    }
    let mut from = at;
    while from < marks.end {
        // `level=`, perhaps: looked at beyond the end too, which costs nothing but a second look.
        if vector.pairs(view.block(from)?, b'l', view.block(from + 5)?, b'=') != 0 {
            return None;
        }
        from += 64;
    }
    match capitals(vector, view, at, pieces_end(marks, at))? || view.byte(at + 1) == b',' {
        true => Some(level::by_words(view.get(at, marks.end))),
        false => Some(None),
    }
}

/// Where the pieces end that are looked at for a word.
#[inline(always)]
fn pieces_end(marks: &Marks, at: usize) -> usize {
    let (mut blanks, mut start, mut pieces) = (marks.blanks(at), at, 0);
    loop {
        let blank = blanks.next();
        pieces += usize::from(blank > start);
        if pieces == PIECES || blank >= marks.end {
            return blank;
        }
        start = blank + 1;
    }
}

/// Whether three capitals stand together in `from..to`: no word for a level is shorter.
#[inline(always)]
fn capitals<V: Vector>(vector: V, view: View, mut from: usize, to: usize) -> Option<bool> {
    while from + 2 < to {
        let capitals = vector.capitals(view.block(from)?);
        let three = capitals & capitals >> 1 & capitals >> 2;
        // Runs over the end of the block are seen from the next, which begins two bytes before it.
        let inside = if to - from < 64 { (1 << (to - from - 2)) - 1 } else { u64::MAX };
        if three & inside != 0 {
            return Some(true);
        }
        from += 62;
    }
    Some(false)
}
