//! A frame with room behind it, and the places of its blanks and quotes.

use crate::event::{Span, Value};
use crate::simd::{Classes, Vector};

/// Blocks of 64 bytes that are looked at; a longer frame goes the general way.
const BLOCKS: usize = 16;

/// Bytes of a frame and some behind it, which may be anything.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    bytes: &'a [u8],
    /// Where the frame lies in its batch.
    base: usize,
}

impl<'a> View<'a> {
    /// Bytes behind the frame.
    const SLACK: usize = 128;

    /// `len` bytes at `base` of `batch`; `None` if too little follows them.
    #[inline(always)]
    pub fn new(batch: &'a [u8], base: usize, len: usize) -> Option<View<'a>> {
        Some(View { bytes: batch.get(base..base + len + Self::SLACK)?, base })
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

    #[inline(always)]
    pub fn get(&self, from: usize, to: usize) -> &'a [u8] {
        self.bytes.get(from..to).unwrap_or_default()
    }

    #[inline(always)]
    pub fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    /// The next eight bytes, the first the lowest.
    #[inline(always)]
    pub fn word(&self, at: usize) -> u64 {
        let bytes = self.bytes.get(at..at + 8).and_then(|bytes| bytes.first_chunk());
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
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

    #[inline(always)]
    pub fn block<const N: usize>(&self, at: usize) -> Option<&'a [u8; N]> {
        self.bytes.get(at..at + N)?.first_chunk()
    }
}

/// A word of at most eight bytes as `View::short` gives it.
#[inline(always)]
pub(super) const fn text<const N: usize>(word: &[u8; N]) -> u64 {
    let mut all = 0;
    let mut at = 0;
    while at < N {
        all |= (word[at] as u64) << (8 * at);
        at += 1;
    }
    all
}

/// Where blanks, quotes and what is odd stand in a frame.
pub(super) struct Marks {
    blocks: [Classes; BLOCKS],
    /// Length of the frame without its line end; a blank is said to stand there.
    pub end: usize,
}

impl Default for Marks {
    fn default() -> Marks {
        Marks { blocks: [Classes::default(); BLOCKS], end: 0 }
    }
}

impl Marks {
    /// Looks at `view` up to `end`; `false` if that is too long.
    #[inline(always)]
    pub fn read<V: Vector>(&mut self, vector: V, view: View, end: usize) -> bool {
        let last = end / 64;
        let Some(blocks) = self.blocks.get_mut(..=last) else { return false };
        for (index, marks) in blocks.iter_mut().enumerate() {
            let Some(block) = view.block(index * 64) else { return false };
            *marks = vector.classes(block);
        }
        let inside = (1 << (end % 64)) - 1;
        let marks = &mut blocks[last];
        marks.space = marks.space & inside | (inside + 1);
        marks.quote &= inside;
        marks.odd &= inside;
        self.end = end;
        true
    }

    #[inline(always)]
    fn of(&self, block: usize) -> Classes {
        self.blocks[block % BLOCKS]
    }

    /// Whether something odd stands at or behind `from`, before `to`.
    #[inline(always)]
    pub fn odd(&self, from: usize, to: usize) -> bool {
        self.any(from, to, |marks| marks.odd)
    }

    /// Whether a quote stands at or behind `from`.
    #[inline(always)]
    pub fn quoted(&self, from: usize) -> bool {
        self.any(from, self.end, |marks| marks.quote)
    }

    #[inline(always)]
    fn any(&self, from: usize, to: usize, class: impl Fn(Classes) -> u64) -> bool {
        let (first, last) = (from / 64, to / 64);
        let (behind, before) = (u64::MAX << (from % 64), (1 << (to % 64)) - 1);
        if first == last {
            return class(self.of(first)) & behind & before != 0;
        }
        let mut any = class(self.of(first)) & behind | class(self.of(last)) & before;
        for block in first + 1..last {
            any |= class(self.of(block));
        }
        any != 0
    }

    /// The blanks from `at` on.
    #[inline(always)]
    pub fn blanks(&self, at: usize) -> Places<'_> {
        let block = at / 64;
        let left = if at > self.end { 0 } else { self.of(block).space & (u64::MAX << (at % 64)) };
        Places { marks: self, block, left }
    }

    /// The first quote at or behind `at`, or the end.
    #[inline(always)]
    pub fn quote(&self, at: usize) -> usize {
        if at > self.end {
            return self.end;
        }
        let mut block = at / 64;
        let mut left = self.of(block).quote & (u64::MAX << (at % 64));
        while left == 0 {
            block += 1;
            if block * 64 > self.end {
                return self.end;
            }
            left = self.of(block).quote;
        }
        block * 64 + left.trailing_zeros() as usize
    }
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
            self.left = self.marks.of(self.block).space;
        }
        let place = self.block * 64 + self.left.trailing_zeros() as usize;
        self.left &= self.left - 1;
        place
    }
}

const ZEROS: u64 = u64::from_ne_bytes([b'0'; 8]);

/// How many of eight bytes come before the first that is no digit.
#[inline(always)]
fn digits(word: u64) -> usize {
    let values = word ^ ZEROS;
    let others = (((values & !HIGHS) + OVER_NINE) | values) & HIGHS;
    others.trailing_zeros() as usize / 8
}

const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
const OVER_NINE: u64 = u64::from_ne_bytes([0x80 - 10; 8]);

/// The number that the first `len` bytes of a word, 1 to 8 digits, write.
#[inline(always)]
fn number(word: u64, len: usize) -> u64 {
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
