//! An application's own text: its level, where no more than a look tells that there is none or what it is.

use super::body;
use super::view::{Marks, View, of_bytes};
use crate::event::Severity;
use crate::parse::heroku;
use crate::parse::level::{self, PIECES};
use crate::parse::text::Row;
use crate::simd::Vector;

/// The level of the text from `at` on; the fields of a JSON body go to `row`, if they are read. `None`: this may be a body
/// or a `level=` that has to be looked at more closely.
#[inline(always)]
pub(super) fn level<V: Vector>(
    vector: V,
    view: View,
    marks: &Marks,
    at: usize,
    row: Option<Row>,
) -> Option<Option<Severity>> {
    let mut first = at;
    while view.byte(first) == b' ' && first < marks.end {
        first += 1;
    }
    if view.byte(first) == b'{' && first < marks.end {
        let level = match row {
            Some(row) => body::level(view, marks, first, body::Fields::new(row))?,
            None => body::level(view, marks, first, body::Nothing)?,
        };
        if level.is_some() {
            return Some(level);
        }
    }
    let mut from = at;
    while from < marks.end {
        // `level=`, perhaps: looked at beyond the end too, which costs nothing but a second look.
        if vector.pairs(view.block(from), b'l', view.block(from + 5), b'=') != 0 {
            return None;
        }
        from += 64;
    }
    Some(word(vector, view, at, pieces_end(marks, at)).or_else(|| level::of_ruby(view.get(at, marks.end))))
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

/// The level that the first word in capitals stands for which is one, in `at..to`.
#[inline(always)]
fn word<V: Vector>(vector: V, view: View, at: usize, to: usize) -> Option<Severity> {
    let mut from = at;
    // No word has less than three letters.
    while from + 2 < to {
        let capitals = vector.capitals(view.block(from));
        let mut three = capitals & capitals >> 1 & capitals >> 2;
        while three != 0 {
            let start = from + three.trailing_zeros() as usize;
            if start >= to {
                return None;
            }
            let len = (capitals >> (start - from)).trailing_ones() as usize;
            let end = (start + len).min(to);
            if end == from + 64 {
                // It may go on in the next block.
                return level::of_words(view.get(at, to));
            }
            let bounded = (start == at || !view.byte(start - 1).is_ascii_alphabetic())
                && (end == to || !view.byte(end).is_ascii_alphabetic());
            if bounded && let Some(level) = of_word(view.short(start, end)) {
                return Some(level);
            }
            three &= u64::MAX.checked_shl((end - from) as u32).unwrap_or(0);
        }
        // A run over the end of the block is seen whole from the next, which begins before it.
        from += 62;
    }
    None
}

/// `heroku::LEVEL_WORDS` as words.
const LEVELS: [(u64, Severity); heroku::LEVEL_WORDS.len()] = {
    let mut levels = [(0, Severity::Info); heroku::LEVEL_WORDS.len()];
    let mut at = 0;
    while at < levels.len() {
        let (word, level) = heroku::LEVEL_WORDS[at];
        levels[at] = (of_bytes(word.as_bytes()), level);
        at += 1;
    }
    levels
};

fn of_word(word: u64) -> Option<Severity> {
    LEVELS.iter().find(|(known, _)| *known == word).map(|(_, level)| *level)
}
