//! Pieces of text that know where they lie, and the row that they become fields of.
//!
//! A `Text` is bytes together with their span; what the extractors find is always a part of one, so a field costs no
//! copy. Text that has to be made goes to the arena behind `Row`.

use memchr::memchr;

use crate::event::{Field, FieldId, Name, Span, Value};

/// Bytes and where they lie: in the batch, or in the arena (then `bytes` is a copy of that part of it).
#[derive(Clone, Copy)]
pub(crate) struct Text<'a> {
    pub bytes: &'a [u8],
    pub span: Span,
}

impl<'a> Text<'a> {
    pub fn new(bytes: &'a [u8], span: Span) -> Text<'a> {
        debug_assert_eq!(bytes.len(), span.len());
        Text { bytes, span }
    }

    /// The part `from..to`.
    pub fn part(self, from: usize, to: usize) -> Text<'a> {
        Text { bytes: &self.bytes[from..to], span: self.span.slice(from, to) }
    }

    pub fn from(self, from: usize) -> Text<'a> {
        self.part(from, self.bytes.len())
    }

    pub fn len(self) -> usize {
        self.bytes.len()
    }

    /// The bytes of `span`, a part of this text or of the arena.
    pub fn resolve<'t>(self, span: Span, made: &'t [u8]) -> &'t [u8]
    where
        'a: 't,
    {
        if span.is_made() {
            return &made[span.start()..span.end()];
        }
        let start = span.start() - self.span.start();
        &self.bytes[start..start + span.len()]
    }

    /// Without blanks at both ends.
    pub fn trimmed(self) -> Text<'a> {
        let start = self.bytes.iter().position(|byte| !is_blank(*byte)).unwrap_or(self.len());
        let end = self.bytes.iter().rposition(|byte| !is_blank(*byte)).map_or(start, |at| at + 1);
        self.part(start, end)
    }

    /// What lies before the first occurrence of `byte`, or all.
    pub fn until(self, byte: u8) -> Text<'a> {
        self.part(0, memchr(byte, self.bytes).unwrap_or(self.len()))
    }

    /// The bytes up to the first blank.
    pub fn word(self) -> Text<'a> {
        self.part(0, self.bytes.iter().position(|byte| is_blank(*byte)).unwrap_or(self.len()))
    }
}

/// What separates words: JSON's white space.
pub(crate) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGHS: u64 = ONES << 7;

/// How many bytes come before the first blank or `stop`, which is ASCII.
///
/// Looks at eight together: a byte below 0x21 or equal to `stop` leaves its high bit set, the first of them exactly.
pub(crate) fn until_blank_or(bytes: &[u8], stop: u8) -> usize {
    let ends = |byte: &u8| is_blank(*byte) || *byte == stop;
    let mut at = 0;
    for chunk in bytes.as_chunks::<8>().0 {
        let word = u64::from_le_bytes(*chunk);
        let below = word.wrapping_sub(ONES * 0x21) & !word;
        let other = word ^ (ONES * stop as u64);
        let found = (below | other.wrapping_sub(ONES) & !other) & HIGHS;
        if found != 0 {
            at += found.trailing_zeros() as usize / 8;
            if ends(&bytes[at]) {
                return at;
            }
            // A control byte that is no blank: rare enough to go on one by one.
            break;
        }
        at += 8;
    }
    at + bytes[at..].iter().position(ends).unwrap_or(bytes.len() - at)
}

/// How many bytes come before the first quote, backslash or control byte; all, if there is none.
pub(crate) fn until_quote(bytes: &[u8]) -> usize {
    let mut at = 0;
    for chunk in bytes.as_chunks::<8>().0 {
        let word = u64::from_le_bytes(*chunk);
        let quote = word ^ (ONES * b'"' as u64);
        let backslash = word ^ (ONES * b'\\' as u64);
        let below = word.wrapping_sub(ONES * 0x20) & !word;
        let found =
            (below | quote.wrapping_sub(ONES) & !quote | backslash.wrapping_sub(ONES) & !backslash) & HIGHS;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    at + bytes[at..].iter().position(ends).unwrap_or(bytes.len() - at)
}

/// How many bytes come before the first letter in capitals or blank; all, if there is none.
pub(crate) fn until_capital_or_blank(bytes: &[u8]) -> usize {
    let ends = |byte: &u8| is_blank(*byte) || byte.is_ascii_uppercase();
    let mut at = 0;
    for chunk in bytes.as_chunks::<8>().0 {
        let word = u64::from_le_bytes(*chunk);
        let low = word & !HIGHS;
        let capital = (low + ONES * (0x80 - b'A' as u64)) & !(low + ONES * (0x7f - b'Z' as u64));
        let below = !(low + ONES * (0x80 - 0x21));
        // A control byte that is no blank is looked at twice, which does no harm.
        if (capital | below) & !word & HIGHS != 0
            && let Some(found) = chunk.iter().position(ends)
        {
            return at + found;
        }
        at += 8;
    }
    at + bytes[at..].iter().position(ends).unwrap_or(bytes.len() - at)
}

/// The fields of the event at hand and the arena for what they need to have made.
pub(crate) struct Row<'a> {
    pub made: &'a mut Vec<u8>,
    pub fields: &'a mut Vec<Field>,
}

impl Row<'_> {
    pub fn push(&mut self, id: FieldId, value: Value) {
        self.fields.push(Field { name: Name::Known(id), value });
    }

    /// A text; an empty one is absent.
    pub fn text(&mut self, id: FieldId, text: Text) {
        if text.len() > 0 {
            self.push(id, Value::Text(text.span));
        }
    }

    /// A number, if `text` is one.
    pub fn number(&mut self, id: FieldId, text: Text) {
        if let Some(value) = number(text) {
            self.push(id, value);
        }
    }
}

/// Whether `bytes` are wholly a number as JSON writes it.
pub(crate) fn is_number(bytes: &[u8]) -> bool {
    number_len(bytes) == Some(bytes.len())
}

/// How long the number is that `bytes` begin with, as JSON writes it: the longest, whatever follows.
pub(crate) fn number_len(bytes: &[u8]) -> Option<usize> {
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
    let behind_digits = |mut at: usize| {
        while byte(at).is_ascii_digit() {
            at += 1;
        }
        at
    };
    let start = usize::from(byte(0) == b'-');
    let mut at = behind_digits(start);
    if at == start || (at > start + 1 && bytes[start] == b'0') {
        return None;
    }
    if byte(at) == b'.' {
        let fraction = at + 1;
        at = behind_digits(fraction);
        if at == fraction {
            return None;
        }
    }
    if matches!(byte(at), b'e' | b'E') {
        let exponent = at + 1 + usize::from(matches!(byte(at + 1), b'+' | b'-'));
        at = behind_digits(exponent);
        if at == exponent {
            return None;
        }
    }
    Some(at)
}

/// The number that `bytes`, all digits, are, if it fits.
pub(crate) fn digits(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0u64, |sum, byte| match byte {
        b'0'..=b'9' => sum.checked_mul(10)?.checked_add((byte - b'0') as u64),
        _ => None,
    })
}

/// A number as JSON writes it.
pub(crate) fn number(text: Text) -> Option<Value> {
    if !is_number(text.bytes) {
        return None;
    }
    Some(digits(text.bytes).map_or(Value::Raw(text.span), Value::Int))
}

/// Copies `bytes` without ANSI sequences (ESC [ … final byte) behind `out`.
///
/// An ESC that begins no whole sequence is kept.
pub(crate) fn without_ansi(bytes: &[u8], out: &mut Vec<u8>) {
    let mut rest = bytes;
    while let Some(at) = memchr(0x1b, rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let length = sequence(rest);
        if length == 0 {
            out.push(0x1b);
        }
        rest = &rest[length.max(1)..];
    }
    out.extend_from_slice(rest);
}

/// Length of the ANSI sequence at the start of `bytes`, 0 if there is none.
//= https://ecma-international.org/publications-and-standards/standards/ecma-48/#section-5.4
fn sequence(bytes: &[u8]) -> usize {
    if bytes.get(1) != Some(&b'[') {
        return 0;
    }
    let inner = bytes[2..].iter().take_while(|byte| matches!(byte, 0x20..=0x3f)).count();
    match bytes.get(2 + inner) {
        Some(0x40..=0x7e) => 3 + inner,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn eight_bytes_together_end_where_one_by_one_they_do(
            bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0u8..0x62], 0..40),
        ) {
            for stop in [b'=', b' '] {
                let slow = bytes.iter().position(|byte| is_blank(*byte) || *byte == stop);
                prop_assert_eq!(until_blank_or(&bytes, stop), slow.unwrap_or(bytes.len()));
            }
            let slow = bytes.iter().position(|byte| *byte < b' ' || matches!(byte, b'"' | b'\\'));
            prop_assert_eq!(until_quote(&bytes), slow.unwrap_or(bytes.len()));
            let slow = bytes.iter().position(|byte| is_blank(*byte) || byte.is_ascii_uppercase());
            prop_assert_eq!(until_capital_or_blank(&bytes), slow.unwrap_or(bytes.len()));
        }
    }

    #[test]
    fn numbers_are_those_of_json() {
        for yes in
            ["0", "-0", "10", "1.5", "-1.50", "1e5", "1E+5", "0.0e-10", "123456789012345678901234567890"]
        {
            assert!(is_number(yes.as_bytes()), "{yes}");
        }
        for no in
            ["", "-", "01", "00", "1.", ".5", "+1", "1e", "1e+", "1e5x", "0x1", "1 ", "NaN", "--1", "1.5.2"]
        {
            assert!(!is_number(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn ansi_is_taken_out_whole() {
        for (with, without) in [
            ("\x1b[36m\x1b[1mSELECT\x1b[0m 1", "SELECT 1"),
            ("a\x1b[38;5;1mb", "ab"),
            ("a\x1b[", "a\x1b["),
            ("a\x1b[12", "a\x1b[12"),
            ("\x1b\x1b[0mx", "\x1bx"),
            ("\x1b]0;title", "\x1b]0;title"),
            ("\x1b[1\nm", "\x1b[1\nm"),
        ] {
            let mut out = Vec::new();
            without_ansi(with.as_bytes(), &mut out);
            assert_eq!(out, without.as_bytes(), "{with:?}");
        }
    }
}
