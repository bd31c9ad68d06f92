//! What the masks of the engine look for. Each looks at a byte a bounded number of times.

use memchr::memchr3_iter;

/// A word and what follows it; of a match the token counts.
pub(super) const BEARER: &str = r"(?i)\bbearer(?:[ \t]|%20)+[a-z0-9._~+/=-]{4,}";

/// Where the token begins in a match of [`BEARER`].
pub(super) fn token(found: &[u8]) -> usize {
    let blank = found.iter().rposition(|byte| matches!(byte, b' ' | b'\t')).map_or(0, |at| at + 1);
    match found[blank..].rsplit(|byte| *byte == b'%').next() {
        // Between `%20` and the token nothing is told apart, so its digits are covered too.
        Some(rest) => found.len() - rest.len(),
        None => blank,
    }
}

/// Mail addresses: letters, digits and some signs, an `@` as it stands or escaped, and a name with a dot in it.
pub(super) fn emails(text: &[u8], add: &mut impl FnMut(usize, usize)) {
    let mut from = 0;
    for at in memchr3_iter(b'@', b'%', b'\\', text) {
        let rest = &text[at..];
        let sign = match rest {
            [b'@', ..] => 1,
            [b'%', b'4', b'0', ..] => 3,
            [b'\\', b'u', b'0', b'0', b'4', b'0', ..] => 6,
            _ => continue,
        };
        if at < from {
            continue;
        }
        let local = text[from..at].iter().rev().take_while(|byte| is_local(**byte)).count();
        let mut start = at - local;
        start += text[start..at].iter().take_while(|byte| matches!(byte, b'.' | b'%' | b'-')).count();
        let host = at + sign;
        let len = text[host..].iter().take_while(|byte| is_host(**byte)).count();
        let name = &text[host..host + len];
        let trimmed = name.len() - name.iter().rev().take_while(|byte| matches!(byte, b'.' | b'-')).count();
        let name = &name[..trimmed];
        let dot = name.iter().rposition(|byte| *byte == b'.');
        let last = dot.map_or(&b""[..], |dot| &name[dot + 1..]);
        let is_name = dot.is_some_and(|dot| dot > 0) && last.len() >= 2 && !last[0].is_ascii_digit();
        if start < at && is_name {
            from = host + trimmed;
            add(start, from);
        }
    }
}

fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-') || byte >= 0x80
}

fn is_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-') || byte >= 0x80
}

const DIGITS_MAX: usize = 19;

/// Numbers of cards: 13 to 19 digits in a row, or in the groups in which cards show them, that an issuer gives out and
/// whose checksum is right.
pub(super) fn cards(text: &[u8], add: &mut impl FnMut(usize, usize)) {
    let mut at = 0;
    while let Some(skip) = text[at..].iter().position(u8::is_ascii_digit) {
        let start = at + skip;
        let run = text[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        at = start + run;
        if start > 0 && text[start - 1].is_ascii_alphanumeric() {
            continue;
        }
        let mut digits = [0; DIGITS_MAX];
        let end = match run {
            4 => grouped(text, start, &mut digits),
            13..=DIGITS_MAX => {
                digits[..run].copy_from_slice(&text[start..at]);
                Some((at, run))
            }
            _ => None,
        };
        let Some((end, len)) = end else { continue };
        let ends = text.get(end).is_none_or(|byte| !byte.is_ascii_alphanumeric());
        if ends && is_issued(&digits[..len]) && has_checksum(&digits[..len]) {
            add(start, end);
            at = end;
        }
    }
}

/// The shapes in which groups follow the first four digits.
const SHAPES: [&[usize]; 4] = [&[4, 4, 4, 3], &[4, 4, 4], &[6, 5], &[6, 4]];

/// Where digits in groups end, and how many they are.
fn grouped(text: &[u8], start: usize, digits: &mut [u8; DIGITS_MAX]) -> Option<(usize, usize)> {
    let between = *text.get(start + 4).filter(|byte| matches!(byte, b' ' | b'-' | b'+' | b'.'))?;
    SHAPES.iter().find_map(|shape| {
        digits[..4].copy_from_slice(&text[start..start + 4]);
        let (mut at, mut len) = (start + 4, 4);
        for group in *shape {
            let part = text.get(at..at + 1 + group)?;
            if part[0] != between || !part[1..].iter().all(u8::is_ascii_digit) {
                return None;
            }
            digits[len..len + group].copy_from_slice(&part[1..]);
            (at, len) = (at + 1 + group, len + group);
        }
        text.get(at).is_none_or(|byte| !byte.is_ascii_digit()).then_some((at, len))
    })
}

/// Whether an issuer gives out numbers that begin so and are as long.
fn is_issued(digits: &[u8]) -> bool {
    let first = |n: usize| digits[..n].iter().fold(0u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    let len = digits.len();
    match (first(1), first(2), first(4)) {
        (4, ..) => matches!(len, 13 | 16 | 19),
        (_, 51..=55, _) | (_, _, 2221..=2720) => len == 16,
        (_, 34 | 37, _) => len == 15,
        (_, 36 | 38 | 39, _) | (_, _, 3000..=3059) => len >= 14,
        (_, _, 3528..=3589) => len >= 16,
        (_, 50 | 56..=69, _) => true,
        _ => false,
    }
}

/// The checksum of Luhn.
fn has_checksum(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, u32::from(digit - b'0')) {
            (0, n) => n,
            (_, n) if n > 4 => 2 * n - 9,
            (_, n) => 2 * n,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(find: fn(&[u8], &mut dyn FnMut(usize, usize)), text: &str) -> Vec<&str> {
        let mut all = Vec::new();
        find(text.as_bytes(), &mut |start, end| all.push((start, end)));
        all.iter().map(|(start, end)| &text[*start..*end]).collect()
    }

    #[test]
    fn mail_addresses() {
        let emails = |text: &'static str| found(|text, mut add| emails(text, &mut add), text);
        for (text, expected) in [
            ("", &[][..]),
            ("@ a@ @b.c a@b a@.com a@b.1c x@10.0.0.1", &[]),
            ("bob@example.com", &["bob@example.com"]),
            ("<bob.o+x@a-b.example.com>.", &["bob.o+x@a-b.example.com"]),
            ("user=bob@example.com&x=1", &["bob@example.com"]),
            ("/?email=bob%40example.com&y", &["bob%40example.com"]),
            (r#"{"email":"bob\u0040example.com"}"#, &[r"bob\u0040example.com"]),
            ("a@b.de,c@d.fr", &["a@b.de", "c@d.fr"]),
            ("a@b.de@c.fr", &["a@b.de"]),
            ("...bob@example.com...", &["bob@example.com"]),
            ("jürgen@müller.example", &["jürgen@müller.example"]),
        ] {
            assert_eq!(emails(text), expected, "{text}");
        }
    }

    #[test]
    fn card_numbers() {
        let cards = |text: &'static str| found(|text, mut add| cards(text, &mut add), text);
        for (text, expected) in [
            ("4111111111111111", &["4111111111111111"][..]),
            ("card=4111-1111-1111-1111;", &["4111-1111-1111-1111"]),
            ("5555 5555 5555 4444 and 3782 822463 10005", &["5555 5555 5555 4444", "3782 822463 10005"]),
            ("378282246310005,6011111111111117", &["378282246310005", "6011111111111117"]),
            // A wrong checksum, a wrong length, part of a word, a time in microseconds, mixed separators.
            ("4111111111111112 411111111111111 x4111111111111111 4111111111111111x", &[]),
            ("1795530600000001 41111111111111111111 4111 1111-1111 1111", &[]),
            ("4111 1111 1111 11112 4111 1111 1111", &[]),
        ] {
            assert_eq!(cards(text), expected, "{text}");
        }
    }

    #[test]
    fn tokens_end_a_match() {
        for (found, expected) in
            [("Bearer abcd", "abcd"), ("BEARER  \tabcd==", "abcd=="), ("bearer%20abcd", "20abcd")]
        {
            assert_eq!(&found[token(found.as_bytes())..], expected);
        }
    }
}
