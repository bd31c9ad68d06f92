//! Writing at the end of a `Vec`, 32 bytes at a time.
//!
//! A copy of as many bytes as a text has costs a call and branches on its length. A pen stores a whole block instead and
//! moves on by the length that counts; what lies behind is overwritten by what comes next. So there has to be room
//! behind the pen, `ROOM` between any two calls, and bytes behind a text, which the caller lends: it names a text as a
//! part of a larger slice. Where the slice ends too early, the text is written in a slower way.

#[cfg(test)]
mod tests;

use core::fmt;
use core::ops::Range;

use super::digits::{Decimal, SMALL, THREE, decimal};
use super::{Portable, Task, Vector};

/// Bytes that are stored together.
const BLOCK: usize = 32;
/// Bytes from the start of a block in which its escapes are found and what follows them.
const WINDOW: usize = 2 * BLOCK;
/// Bytes of the longest name or constant.
const NAME: usize = 64;
/// Bytes that are free between any two calls, and before each block that may need escapes: a name, a block of which each
/// byte takes six, a block stored for a part of itself, and what closes a text.
const ROOM: usize = 512;

const _: () = assert!(ROOM >= NAME + 6 * BLOCK + BLOCK + 8 && ROOM >= 3 * NAME);

/// A constant text of up to 31 bytes, in a place of 32; the last byte is its length.
#[derive(Clone, Copy)]
#[repr(align(32))]
pub struct Piece([u8; BLOCK]);

impl Piece {
    /// No text.
    pub const EMPTY: Piece = Piece([0; BLOCK]);

    /// The texts one behind the other; they are 31 bytes at most.
    pub const fn of(texts: &[&str]) -> Piece {
        let (mut bytes, mut len, mut index) = ([0; BLOCK], 0, 0);
        while index < texts.len() {
            let text = texts[index].as_bytes();
            let mut at = 0;
            while at < text.len() {
                assert!(len < BLOCK - 1, "a piece has 31 bytes at most");
                bytes[len] = text[at];
                (at, len) = (at + 1, len + 1);
            }
            index += 1;
        }
        bytes[BLOCK - 1] = len as u8;
        Piece(bytes)
    }

    #[inline(always)]
    fn len(&self) -> usize {
        self.0[BLOCK - 1] as usize
    }
}

/// A text that is written many times: short ones are stored without a look at their length.
#[derive(Clone)]
pub struct Stamp {
    text: Vec<u8>,
    /// The start of the text; what lies behind it means nothing.
    start: [u8; 2 * BLOCK],
}

impl Default for Stamp {
    fn default() -> Stamp {
        Stamp { text: Vec::new(), start: [0; 2 * BLOCK] }
    }
}

impl Stamp {
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Makes it this text.
    pub fn set(&mut self, text: &[u8]) {
        self.text.clear();
        self.text.extend_from_slice(text);
        let start = &text[..text.len().min(2 * BLOCK)];
        self.start[..start.len()].copy_from_slice(start);
    }
}

/// A `Vec` being written at its end. What was written belongs to the `Vec` once `finish` is called.
#[must_use = "what was written is lost without `finish`"]
pub struct Pen<'o, V> {
    vector: V,
    out: &'o mut Vec<u8>,
    tip: Tip,
}

/// Where the next byte goes, apart from the pen: it has to stay in registers.
///
/// Of the pen's `Vec`: all bytes before `at` are initialised, and `limit` lies `ROOM` bytes before the end of its memory.
/// Between calls of public methods `at <= limit`. A private method may go beyond; how far, the sum at `ROOM` says.
#[derive(Clone, Copy)]
struct Tip {
    at: *mut u8,
    limit: *mut u8,
}

impl Tip {
    fn of(out: &mut Vec<u8>, room: usize) -> Tip {
        out.reserve(room + ROOM);
        let (start, len, capacity) = (out.as_mut_ptr(), out.len(), out.capacity());
        // SAFETY: both lie in the memory of the `Vec`, which has `ROOM` bytes more than its length.
        unsafe { Tip { at: start.add(len), limit: start.add(capacity - ROOM) } }
    }

    /// The tip in larger memory, `room` bytes or more before its limit.
    #[cold]
    #[inline(never)]
    fn grown(self, out: &mut Vec<u8>, room: usize) -> Tip {
        // SAFETY: `at` points into the memory of `out`, and the bytes before it are initialised.
        unsafe { out.set_len(self.at.offset_from(out.as_ptr()) as usize) };
        Tip::of(out, room)
    }
}

impl<'o, V: Vector> Pen<'o, V> {
    #[inline(always)]
    pub fn new(vector: V, out: &'o mut Vec<u8>) -> Pen<'o, V> {
        let tip = Tip::of(out, 0);
        Pen { vector, out, tip }
    }

    /// Makes what was written a part of the `Vec`.
    #[inline(always)]
    pub fn finish(self) {
        let len = self.len();
        // SAFETY: all bytes before the tip are initialised.
        unsafe { self.out.set_len(len) };
    }

    /// How long the `Vec` would be now.
    #[inline(always)]
    pub fn len(&self) -> usize {
        // SAFETY: the tip points into the memory of the `Vec`.
        unsafe { self.tip.at.offset_from(self.out.as_ptr()) as usize }
    }

    /// Whether nothing is in the `Vec`.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Replaces the byte at `at`, which was written before.
    #[inline(always)]
    pub fn replace(&mut self, at: usize, byte: u8) {
        assert!(at < self.len(), "only what was written is replaced");
        // SAFETY: the byte lies before the tip.
        unsafe { self.out.as_mut_ptr().add(at).write(byte) };
    }

    /// Appends `N` bytes, 64 at most.
    #[inline(always)]
    pub fn put<const N: usize>(&mut self, bytes: &[u8; N]) {
        self.name(bytes);
        self.settle();
    }

    /// Appends three texts of 64 bytes at most.
    #[inline(always)]
    pub fn put_three<const A: usize, const B: usize, const C: usize>(
        &mut self,
        first: &[u8; A],
        second: &[u8; B],
        third: &[u8; C],
    ) {
        self.name(first);
        self.name(second);
        self.name(third);
        self.settle();
    }

    #[inline(always)]
    pub fn byte(&mut self, byte: u8) {
        self.put(&[byte]);
    }

    #[inline(always)]
    pub fn piece(&mut self, piece: &Piece) {
        self.pieces([piece]);
    }

    /// Appends five pieces at most.
    #[inline(always)]
    pub fn pieces<const N: usize>(&mut self, pieces: [&Piece; N]) {
        const { assert!(N <= 5) };
        for piece in pieces {
            self.store(&piece.0, piece.len());
        }
        self.settle();
    }

    /// Appends a number in decimal.
    #[inline(always)]
    pub fn number(&mut self, n: u64) {
        self.digits(n);
        self.settle();
    }

    /// Appends a name and a number.
    #[inline(always)]
    pub fn piece_number(&mut self, name: &Piece, n: u64) {
        self.store(&name.0, name.len());
        self.digits(n);
        self.settle();
    }

    /// Appends a text as it is.
    pub fn copy(&mut self, text: &[u8]) {
        self.make_room(text.len());
        let (blocks, rest) = text.as_chunks::<BLOCK>();
        blocks.iter().for_each(|block| self.store(block, BLOCK));
        let mut last = [0; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        self.store(&last, rest.len());
        self.settle();
    }

    #[inline(always)]
    pub fn stamp(&mut self, stamp: &Stamp) {
        match stamp.text.len() {
            len if len <= stamp.start.len() => {
                self.store(&stamp.start, len);
                self.settle();
            }
            _ => self.apart(|pen| pen.copy(&stamp.text)),
        }
    }

    /// Appends a name of 64 bytes at most, the text `whole[part]` as JSON has it between quotes, and a quote; the first one
    /// ends the name.
    #[inline(always)]
    pub fn text<const N: usize>(&mut self, name: &[u8; N], whole: &[u8], part: Range<usize>) {
        self.name(name);
        self.escaped(whole, part);
        self.store(b"\"", 1);
        self.settle();
    }

    /// The same with a piece for a name.
    #[inline(always)]
    pub fn piece_text(&mut self, name: &Piece, whole: &[u8], part: Range<usize>) {
        self.store(&name.0, name.len());
        self.escaped(whole, part);
        self.store(b"\"", 1);
        self.settle();
    }

    /// Appends the text `whole[part]` as JSON has it between quotes, without these.
    #[inline(always)]
    pub fn inner_text(&mut self, whole: &[u8], part: Range<usize>) {
        self.escaped(whole, part);
        self.settle();
    }

    /// Appends `whole[part]` as it is, but blanks for line breaks.
    #[inline(always)]
    pub fn unbroken(&mut self, whole: &[u8], part: Range<usize>) {
        let done = self.plain(whole, part.clone());
        self.settle();
        if done < part.end {
            self.apart(|pen| {
                for &byte in &whole[done..part.end] {
                    pen.byte(if matches!(byte, b'\n' | b'\r') { b' ' } else { byte });
                }
            });
        }
    }

    /// Appends the texts between the commas of `whole[part]`, without blanks around them, as an array.
    #[inline(always)]
    pub fn list(&mut self, whole: &[u8], part: Range<usize>) {
        // Most are one short text, which needs nothing.
        let len = part.end.saturating_sub(part.start);
        if let Some(block) = whole.get(part.start..).and_then(<[u8]>::first_chunk).filter(|_| len <= BLOCK) {
            let vector = self.vector;
            let odd = vector.escapes(block) | vector.equal(block, b',') | vector.equal(block, b' ');
            if first(odd, len) == 0 {
                self.store(b"[\"", 2);
                self.store(block, len);
                self.store(b"\"]", 2);
                return self.settle();
            }
        }
        self.tip = self.vector.apart(List { whole, part, pen: Away { out: self.out, tip: self.tip } });
    }

    /// Does what is rare in a function of its own, by plain words: so that it is compiled once, and the tip of this pen
    /// stays in registers.
    #[inline(always)]
    pub fn apart(&mut self, work: impl FnOnce(&mut Pen<Portable>)) {
        #[inline(never)]
        fn run(out: &mut Vec<u8>, tip: Tip, work: impl FnOnce(&mut Pen<Portable>)) -> Tip {
            let mut pen = Pen { vector: Portable, out, tip };
            work(&mut pen);
            pen.tip
        }
        self.tip = run(self.out, self.tip, work);
    }

    #[inline(always)]
    fn digits(&mut self, n: u64) {
        // Most numbers are small.
        if n < 1000 {
            self.three_at_most(n);
        } else if n < 1_000_000 {
            self.three_at_most(n / 1000);
            self.store(&THREE[n as usize % 1000], 3);
        } else if n < 1_000_000_000 {
            self.three_at_most(n / 1_000_000);
            self.store(&THREE[n as usize / 1000 % 1000], 3);
            self.store(&THREE[n as usize % 1000], 3);
        } else {
            let Decimal { digits, len } = decimal(n);
            self.store(&digits, len);
        }
    }

    /// Appends the digits of a number below 1,000.
    #[inline(always)]
    fn three_at_most(&mut self, n: u64) {
        let digits = &SMALL[n as usize];
        self.store(digits, digits[3] as usize);
    }

    /// Appends a text, escaped.
    #[inline(always)]
    fn escaped(&mut self, whole: &[u8], part: Range<usize>) {
        let done = self.plain(whole, part.clone());
        if done < part.end {
            let pen = Away { out: self.out, tip: self.tip };
            self.tip = self.vector.apart(Rest { whole, part: done..part.end, pen });
        }
    }

    /// Appends the text `whole[part]` block by block, until a block holds something to escape; nothing where `whole` ends
    /// less than a block behind it. Returns where in `whole` it stopped.
    #[inline(always)]
    fn plain(&mut self, whole: &[u8], part: Range<usize>) -> usize {
        let is_inside =
            part.start <= part.end && part.end.checked_add(BLOCK).is_some_and(|end| end <= whole.len());
        if !is_inside {
            assert!(part.start <= part.end && part.end <= whole.len(), "a part lies within the whole");
            return part.start;
        }
        let (mut at, len) = (part.start, part.end - part.start);
        if len > BLOCK {
            self.make_room(len);
            while part.end - at > BLOCK {
                // SAFETY: `at <= part.end`, and a block lies behind that.
                let block = unsafe { block_at(whole, at) };
                self.store(&block, 0);
                if self.vector.escapes(&block) != 0 {
                    return at;
                }
                self.advance(BLOCK);
                at += BLOCK;
            }
        }
        // SAFETY: `at <= part.end`, and a block lies behind that.
        let block = unsafe { block_at(whole, at) };
        self.store(&block, 0);
        if first(self.vector.escapes(&block), part.end - at) != 0 {
            return at;
        }
        self.advance(part.end - at);
        part.end
    }

    /// Appends a part of `text`, escaped, and U+FFFD for what is not UTF-8.
    #[inline(always)]
    fn rest(&mut self, text: &[u8], part: Range<usize>) {
        let (mut at, end) = (self.escape(text, part.clone(), false), part.end);
        if at == end {
            return;
        }
        if str::from_utf8(&text[at..end]).is_ok() {
            self.escape(text, at..end, true);
            return;
        }
        for chunk in text[at..end].utf8_chunks() {
            at = self.escape(text, at..at + chunk.valid().len(), true) + chunk.invalid().len();
            if !chunk.invalid().is_empty() {
                self.settle();
                self.store(b"\xef\xbf\xbd", 3);
            }
        }
    }

    /// Appends a part of `text`, escaped, up to the first byte that is not ASCII, unless it is `valid` UTF-8. Returns where
    /// it stopped.
    #[inline(always)]
    fn escape(&mut self, text: &[u8], part: Range<usize>, valid: bool) -> usize {
        assert!(part.end <= text.len(), "a part lies within the whole");
        let mut from = part.start;
        while from < part.end {
            self.settle();
            let mut end;
            let window = if from + WINDOW <= text.len() {
                // SAFETY: the length says that the bytes are there.
                unsafe { &*text.as_ptr().add(from).cast() }
            } else {
                end = [0; WINDOW];
                end[..text.len() - from].copy_from_slice(&text[from..]);
                &end
            };
            let len = BLOCK.min(part.end - from);
            let block = *block_in(window, 0);
            let mut found = first(self.vector.escapes(&block), len);
            if valid {
                found &= !self.vector.not_ascii(&block);
            }
            if found == 0 {
                self.store(&block, len);
                from += len;
                continue;
            }
            let mut done = 0;
            while found != 0 {
                let at = found.trailing_zeros() as usize;
                self.store(block_in(window, done), at - done);
                if window[at] >= 0x80 {
                    return from + at;
                }
                let escape = &ESCAPES[window[at] as usize];
                self.store(escape, escape[7] as usize);
                done = at + 1;
                found &= found - 1;
            }
            self.store(block_in(window, done), len - done);
            from += len;
        }
        from
    }

    #[inline(always)]
    fn name<const N: usize>(&mut self, bytes: &[u8; N]) {
        const { assert!(N <= NAME, "a name is longer than there is room for") };
        self.store(bytes, N);
    }

    /// Stores all of `bytes`, and moves the tip behind the first `len` of them.
    #[inline(always)]
    fn store<const N: usize>(&mut self, bytes: &[u8; N], len: usize) {
        debug_assert!(len <= N && self.tip.at as usize + N <= self.tip.limit as usize + ROOM);
        // SAFETY: the tip is so near to its limit that so many bytes of the `Vec`'s memory lie behind it.
        unsafe {
            self.tip.at.cast::<[u8; N]>().write(*bytes);
            self.tip.at = self.tip.at.add(len);
        }
    }

    /// Moves the tip behind what was stored.
    #[inline(always)]
    fn advance(&mut self, n: usize) {
        // SAFETY: so many bytes were stored there.
        self.tip.at = unsafe { self.tip.at.add(n) };
    }

    /// Makes sure that the tip will be within its limit when it has moved on by `n`, the length of a slice or less.
    #[inline(always)]
    fn make_room(&mut self, n: usize) {
        let left = self.tip.limit.addr().wrapping_sub(self.tip.at.addr());
        // The tip may be beyond its limit, by a part of `ROOM`.
        if (left as isize) < n as isize {
            self.tip = self.tip.grown(self.out, n);
        }
    }

    /// Sees to it that the tip is within its limit again, as it is between calls of public methods.
    #[inline(always)]
    fn settle(&mut self) {
        if self.tip.at > self.tip.limit {
            self.tip = self.tip.grown(self.out, 0);
        }
    }
}

/// A pen without its vector, on its way to a function of its own; what is done there returns the tip.
struct Away<'o> {
    out: &'o mut Vec<u8>,
    tip: Tip,
}

impl<'o> Away<'o> {
    #[inline(always)]
    fn arrived<V: Vector>(self, vector: V) -> Pen<'o, V> {
        Pen { vector, out: self.out, tip: self.tip }
    }
}

/// `Pen::rest`.
struct Rest<'a> {
    whole: &'a [u8],
    part: Range<usize>,
    pen: Away<'a>,
}

impl Task for Rest<'_> {
    type Output = Tip;

    #[inline(always)]
    fn run<V: Vector>(self, vector: V) -> Tip {
        let mut pen = self.pen.arrived(vector);
        pen.rest(self.whole, self.part);
        pen.tip
    }
}

/// `Pen::list`.
struct List<'a> {
    whole: &'a [u8],
    part: Range<usize>,
    pen: Away<'a>,
}

impl Task for List<'_> {
    type Output = Tip;

    #[inline(always)]
    fn run<V: Vector>(self, vector: V) -> Tip {
        let mut pen = self.pen.arrived(vector);
        pen.byte(b'[');
        let mut from = self.part.start;
        for item in self.whole[self.part.clone()].split(|byte| *byte == b',') {
            if from > self.part.start {
                pen.byte(b',');
            }
            let start = from + item.len() - item.trim_ascii_start().len();
            pen.text(b"\"", self.whole, start..start + item.trim_ascii().len());
            from += item.len() + 1;
        }
        pen.byte(b']');
        pen.tip
    }
}

impl<V: Vector> fmt::Write for Pen<'_, V> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.copy(text.as_bytes());
        Ok(())
    }
}

/// # Safety
///
/// `text` has `BLOCK` bytes from `at` on.
#[inline(always)]
unsafe fn block_at(text: &[u8], at: usize) -> [u8; BLOCK] {
    debug_assert!(at + BLOCK <= text.len());
    // SAFETY: the caller has seen to it that the bytes are there.
    unsafe { text.as_ptr().add(at).cast::<[u8; BLOCK]>().read() }
}

/// The block that begins at `at` in a window, in its first half or right behind it.
#[inline(always)]
fn block_in(window: &[u8; WINDOW], at: usize) -> &[u8; BLOCK] {
    window[at..].first_chunk().expect("half of the window lies behind")
}

/// The lowest `n` bits of a mask, of which there are 32 at most.
#[inline(always)]
fn first(mask: u32, n: usize) -> u32 {
    debug_assert!(n <= BLOCK);
    mask & ((1u64 << n) - 1) as u32
}

/// What JSON text holds for each byte that it cannot hold as it is; the last byte is the length.
static ESCAPES: [[u8; 8]; 256] = {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut all = [[0; 8]; 256];
    let mut byte = 0;
    while byte < 0x20 {
        all[byte] = [b'\\', b'u', b'0', b'0', HEX[byte >> 4], HEX[byte & 15], 0, 6];
        byte += 1;
    }
    all[b'\n' as usize] = [b'\\', b'n', 0, 0, 0, 0, 0, 2];
    all[b'\r' as usize] = [b'\\', b'r', 0, 0, 0, 0, 0, 2];
    all[b'\t' as usize] = [b'\\', b't', 0, 0, 0, 0, 0, 2];
    all[b'"' as usize] = [b'\\', b'"', 0, 0, 0, 0, 0, 2];
    all[b'\\' as usize] = [b'\\', b'\\', 0, 0, 0, 0, 0, 2];
    all
};
