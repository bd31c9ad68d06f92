//! A frame with room behind it, and the places of its blanks and quotes.

use crate::event::{Field, FieldId, Name, Span, Value};
use crate::limits;
use crate::simd::{Classes, Vector};

/// Blocks of 64 bytes that are looked at; a longer frame goes the general way.
const BLOCKS: usize = 16;
/// Where in a frame something may be looked for.
const PLACES: usize = BLOCKS * 64;

/// A frame and what follows it, which may be anything.
///
/// Its length is known when this is compiled, and a place is cut to what a frame may have: so nothing is checked at run
/// time, and a place that makes no sense gives bytes that make none.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    bytes: &'a [u8; limits::SLACK_BYTES],
    /// Where the frame lies in its batch.
    base: usize,
}

impl<'a> View<'a> {
    /// What lies at `base` of `batch`; `None` if too little follows.
    #[inline(always)]
    pub fn new(batch: &'a [u8], base: usize) -> Option<View<'a>> {
        const { assert!(limits::SLACK_BYTES >= PLACES + 64 + 8) };
        Some(View { bytes: batch.get(base..)?.first_chunk()?, base })
    }

    /// `from..to` of the frame, as a part of the batch.
    #[inline(always)]
    pub fn span(&self, from: usize, to: usize) -> Span {
        Span::of(self.base + from, self.base + to)
    }

    #[inline(always)]
    pub fn value(&self, from: usize, to: usize) -> Value {
        Value::Text(self.span(from, to))
    }

    /// The bytes `from..to`.
    #[inline(always)]
    pub fn get(&self, from: usize, to: usize) -> &'a [u8] {
        self.bytes.get(from..to).unwrap_or_default()
    }

    /// The bytes of a span of the batch that lies in the frame.
    #[inline(always)]
    pub fn text(&self, span: Span) -> &'a [u8] {
        self.get(span.start().wrapping_sub(self.base), span.end().wrapping_sub(self.base))
    }

    #[inline(always)]
    pub fn byte(&self, at: usize) -> u8 {
        self.bytes[at % PLACES]
    }

    /// The next eight bytes, the first the lowest.
    #[inline(always)]
    pub fn word(&self, at: usize) -> u64 {
        u64::from_le_bytes(*self.block(at))
    }

    /// `from..to` as a word, behind it zeros; 0 if it is longer than eight bytes or empty.
    #[inline(always)]
    pub fn short(&self, from: usize, to: usize) -> u64 {
        match to.wrapping_sub(from) {
            len @ 1..=8 => self.word(from) & (u64::MAX >> (64 - 8 * len)),
            _ => 0,
        }
    }

    /// Whether `word`, of at most eight bytes, stands there.
    #[inline(always)]
    pub fn stands<const N: usize>(&self, at: usize, word: &[u8; N]) -> bool {
        const { assert!(N > 0 && N <= 8) };
        self.word(at) & (u64::MAX >> (64 - 8 * N)) == text(word)
    }

    /// The next `N` bytes, at most 64.
    #[inline(always)]
    pub fn block<const N: usize>(&self, at: usize) -> &'a [u8; N] {
        const { assert!(N <= 64) };
        self.bytes[at % PLACES..].first_chunk().expect("more than a block follows every place")
    }
}

/// The fields of the event at hand.
pub(super) struct Fields<'a>(pub &'a mut Vec<Field>);

impl Fields<'_> {
    #[inline(always)]
    pub fn push(&mut self, id: FieldId, value: Value) {
        self.0.push(Field { name: Name::Known(id), value });
    }
}

/// A word of at most eight bytes as `View::short` gives it.
#[inline(always)]
pub(super) const fn text<const N: usize>(word: &[u8; N]) -> u64 {
    of_bytes(word)
}

/// The same of a slice.
pub(super) const fn of_bytes(word: &[u8]) -> u64 {
    assert!(word.len() <= 8);
    let mut all = 0;
    let mut at = 0;
    while at < word.len() {
        all |= (word[at] as u64) << (8 * at);
        at += 1;
    }
    all
}

/// Where blanks, quotes and what is odd stand in a frame.
#[derive(Default)]
pub(super) struct Marks {
    space: [u64; BLOCKS],
    quote: [u64; BLOCKS],
    /// Something odd is in the frame; what, is looked for only then.
    pub odd: bool,
    /// Length of the frame without its line end; a blank is said to stand there.
    pub end: usize,
}

impl Marks {
    /// Looks at `view` up to `end`; `false` if that is too long.
    #[inline(always)]
    pub fn read<V: Vector>(&mut self, vector: V, view: View, end: usize) -> bool {
        let last = end / 64;
        if last >= BLOCKS {
            return false;
        }
        let mut seen = vector.nothing();
        for index in 0..last {
            let Classes { space, quote } = vector.classes(view.block(index * 64), &mut seen);
            (self.space[index], self.quote[index]) = (space, quote);
        }
        let (block, inside) = (view.block(last * 64), (1 << (end % 64)) - 1);
        let Classes { space, quote } = vector.classes(block, &mut vector.nothing());
        self.space[last] = space & inside | (inside + 1);
        self.quote[last] = quote & inside;
        self.odd = vector.any(seen) || vector.odd(block) & inside != 0;
        self.end = end;
        true
    }

    /// Whether a quote stands at or behind `from`.
    #[inline(always)]
    pub fn quoted(&self, from: usize) -> bool {
        any(&self.quote, from, self.end)
    }

    /// The blanks from `at` on.
    #[inline(always)]
    pub fn blanks(&self, at: usize) -> Places<'_> {
        let block = at / 64;
        let left = if at > self.end { 0 } else { self.space[block % BLOCKS] & (u64::MAX << (at % 64)) };
        Places { marks: self, block, left }
    }

    /// The first quote at or behind `at`, or the end.
    #[inline(always)]
    pub fn quote(&self, at: usize) -> usize {
        if at > self.end {
            return self.end;
        }
        let mut block = at / 64;
        let mut left = self.quote[block % BLOCKS] & (u64::MAX << (at % 64));
        while left == 0 {
            block += 1;
            if block * 64 > self.end {
                return self.end;
            }
            left = self.quote[block % BLOCKS];
        }
        block * 64 + left.trailing_zeros() as usize
    }
}

/// Whether one of the places `from..to` is in `class`.
#[inline(always)]
fn any(class: &[u64; BLOCKS], from: usize, to: usize) -> bool {
    let (first, last) = (from / 64, to / 64);
    let (behind, before) = (u64::MAX << (from % 64), (1 << (to % 64)) - 1);
    if first == last {
        return class[first % BLOCKS] & behind & before != 0;
    }
    let mut any = class[first % BLOCKS] & behind | class[last % BLOCKS] & before;
    for block in first + 1..last {
        any |= class[block % BLOCKS];
    }
    any != 0
}

/// The blanks of a frame, from left to right; at last its end, again and again.
#[derive(Clone, Copy)]
pub(super) struct Places<'a> {
    marks: &'a Marks,
    block: usize,
    left: u64,
}

impl Places<'_> {
    #[inline(always)]
    pub fn next(&mut self) -> usize {
        while self.left == 0 {
            self.block += 1;
            if self.block * 64 > self.marks.end {
                return self.marks.end;
            }
            self.left = self.marks.space[self.block % BLOCKS];
        }
        let place = self.block * 64 + self.left.trailing_zeros() as usize;
        self.left &= self.left - 1;
        place
    }
}

const ZEROS: u64 = u64::from_ne_bytes([b'0'; 8]);

/// How many of eight bytes come before the first that is no digit.
#[inline(always)]
pub(super) fn digits(word: u64) -> usize {
    let values = word ^ ZEROS;
    let others = (((values & !HIGHS) + OVER_NINE) | values) & HIGHS;
    others.trailing_zeros() as usize / 8
}

const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
const OVER_NINE: u64 = u64::from_ne_bytes([0x80 - 10; 8]);

/// The number that the first `len` bytes of a word, 1 to 8 digits, write.
#[inline(always)]
pub(super) fn number(word: u64, len: usize) -> u64 {
    // The digits go to the high end, with zeros before them; then neighbours are joined, three times.
    let values = (word ^ ZEROS) << (64 - 8 * len);
    let pairs = values.wrapping_mul(1 + (10 << 8)) >> 8 & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(1 + (100 << 16)) >> 16 & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(1 + (10_000 << 32)) >> 32
}

/// Powers of ten.
const TENS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// The number that the digits at `at` write, and how many they are: up to 15, else none.
#[inline(always)]
pub(super) fn whole(view: View, at: usize) -> (u64, usize) {
    let word = view.word(at);
    match digits(word) {
        0 => (0, 0),
        len @ 1..=7 => (number(word, len), len),
        _ => {
            let (high, more) = (number(word, 8), view.word(at + 8));
            match digits(more) {
                0 => (high, 8),
                len @ 1..=7 => (high * TENS[len] + number(more, len), 8 + len),
                _ => (0, 0),
            }
        }
    }
}

/// The number of exactly two digits at `at`.
#[inline(always)]
pub(super) fn two(view: View, at: usize) -> Option<u32> {
    let (tens, ones) = (view.byte(at).wrapping_sub(b'0'), view.byte(at + 1).wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then_some(tens as u32 * 10 + ones as u32)
}

/// A plain decimal: its digits as a number, how many of them follow the point, and where it ends.
#[derive(Clone, Copy)]
pub(super) struct Decimal {
    pub digits: u64,
    pub fraction: usize,
    pub end: usize,
}

impl Decimal {
    /// Ten to the number of digits behind the point.
    #[inline(always)]
    pub fn one(&self) -> u64 {
        TENS[self.fraction % TENS.len()]
    }
}

/// A decimal as JSON writes it, without sign and exponent, of at most 12 digits.
#[inline(always)]
pub(super) fn decimal(view: View, at: usize) -> Option<Decimal> {
    // With its point taken out, a short one is one word of digits.
    let word = view.word(at);
    let len = digits(word);
    if (1..=5).contains(&len) && (word >> (8 * len)) as u8 == b'.' {
        let before = (1 << (8 * len)) - 1;
        let joined = word & before | (word >> 8) & !before;
        let all = digits(joined);
        // The eighth byte of the word is gone: what ends the digits has to stand before it.
        if all < 7 {
            if all == len || (len > 1 && word as u8 == b'0') {
                return None;
            }
            return Some(Decimal { digits: number(joined, all), fraction: all - len, end: at + all + 1 });
        }
    }
    let (digits, len) = whole(view, at);
    if len == 0 || len > 12 || (len > 1 && view.byte(at) == b'0') {
        return None;
    }
    let end = at + len;
    if view.byte(end) != b'.' {
        return Some(Decimal { digits, fraction: 0, end });
    }
    let (behind, fraction) = whole(view, end + 1);
    if fraction == 0 || fraction > 8 || len + fraction > 12 {
        return None;
    }
    Some(Decimal { digits: digits * TENS[fraction] + behind, fraction, end: end + 1 + fraction })
}
