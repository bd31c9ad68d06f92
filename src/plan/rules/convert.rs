//! What a value counts as: typed, compared and written.

use core::net::{IpAddr, Ipv4Addr};

/// The type of a field, as a pack declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    Text,
    Bool,
    /// A whole number from 0 to this.
    Whole(u64),
    /// A whole number of 64 bits with a sign.
    Signed,
    Decimal,
    Ip,
    /// Milliseconds; `ms`, `s`, `m` or `h` may stand behind the number.
    DurationMs,
    /// Bytes; `kB`, `KiB`, `MB`, `MiB`, `GB` or `GiB` may stand behind the number, each a power of 1,024.
    Bytes,
    /// Texts between commas.
    List,
}

impl Type {
    /// Every type by the name that packs give it.
    pub const ALL: [(&'static str, Type); 11] = [
        ("string", Type::Text),
        ("bool", Type::Bool),
        ("u16", Type::Whole(u16::MAX as u64)),
        ("u32", Type::Whole(u32::MAX as u64)),
        ("u64", Type::Whole(u64::MAX)),
        ("i64", Type::Signed),
        ("f64", Type::Decimal),
        ("ip", Type::Ip),
        ("duration_ms", Type::DurationMs),
        ("bytes", Type::Bytes),
        ("[string]", Type::List),
    ];

    /// Whether its values compare as numbers.
    pub fn is_number(self) -> bool {
        !matches!(self, Type::Text | Type::Bool | Type::Ip | Type::List)
    }

    /// The number that `text` counts as.
    pub fn number(self, text: &[u8]) -> Option<Number> {
        let whole = |number: Number, min: i128, max: i128| {
            let units = number.0 / ONE;
            (number.0 % ONE == 0 && (min..=max).contains(&units)).then_some(number)
        };
        match self {
            Type::Whole(max) => whole(Number::parse(text)?, 0, i128::from(max)),
            Type::Signed => whole(Number::parse(text)?, i128::from(i64::MIN), i128::from(i64::MAX)),
            Type::Decimal => Number::parse(text),
            Type::DurationMs => with_unit(text, &DURATIONS),
            Type::Bytes => with_unit(text, &SIZES),
            Type::Text | Type::Bool | Type::Ip | Type::List => None,
        }
    }

    /// Whether `text` converts to it.
    pub fn fits(self, text: &[u8]) -> bool {
        match self {
            Type::Text | Type::List => true,
            Type::Bool => matches!(text, b"true" | b"false"),
            Type::Ip => address(text).is_some(),
            _ => self.number(text).is_some(),
        }
    }
}

const DURATIONS: [(&[u8], i128); 5] =
    [(b"", 1), (b"ms", 1), (b"s", 1_000), (b"m", 60_000), (b"h", 3_600_000)];
const SIZES: [(&[u8], i128); 9] = [
    (b"", 1),
    (b"B", 1),
    (b"bytes", 1),
    (b"kB", 1 << 10),
    (b"KiB", 1 << 10),
    (b"MB", 1 << 20),
    (b"MiB", 1 << 20),
    (b"GB", 1 << 30),
    (b"GiB", 1 << 30),
];

fn with_unit(text: &[u8], units: &[(&[u8], i128)]) -> Option<Number> {
    let letters = text.iter().rev().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let (number, unit) = text.split_at(text.len() - letters);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    let number = Number::parse(number)?;
    number.0.checked_mul(*factor).map(Number).filter(|number| number.0 >= 0)
}

/// An address as text says it; brackets around IPv6 are passed over.
pub fn address(text: &[u8]) -> Option<IpAddr> {
    let text = text.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")).unwrap_or(text);
    if let Some(address) = dotted(text) {
        return Some(IpAddr::V4(address));
    }
    // The longest form of an address has 45 bytes.
    if text.len() > 45 {
        return None;
    }
    let address: IpAddr = core::str::from_utf8(text).ok()?.parse().ok()?;
    Some(address.to_canonical())
}

/// An IPv4 address of four numbers without leading zeros, as the standard library reads it, at a third of the instructions.
fn dotted(text: &[u8]) -> Option<Ipv4Addr> {
    let digit = |at: usize| text.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10);
    let (mut bits, mut at) = (0, 0);
    for part in 0..4 {
        if part > 0 {
            text.get(at).filter(|byte| **byte == b'.')?;
            at += 1;
        }
        let mut value = u32::from(digit(at)?);
        at += 1;
        if let Some(second) = digit(at) {
            if value == 0 {
                return None;
            }
            value = value * 10 + u32::from(second);
            at += 1;
            if let Some(third) = digit(at) {
                value = value * 10 + u32::from(third);
                at += 1;
                if value > 255 {
                    return None;
                }
            }
        }
        bits = bits << 8 | value;
    }
    (at == text.len()).then(|| Ipv4Addr::from(bits))
}

/// Billionths: nine decimals are kept, further ones cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Number(i128);

const ONE: i128 = 1_000_000_000;

impl Number {
    pub fn of(whole: u64) -> Number {
        Number(i128::from(whole) * ONE)
    }

    /// Reads a number as JSON writes it; a leading zero or plus is let pass.
    pub fn parse(text: &[u8]) -> Option<Number> {
        Number::parse_short(text).or_else(|| Number::parse_any(text))
    }

    /// Most numbers: few digits and perhaps a point among them.
    #[inline(always)]
    fn parse_short(text: &[u8]) -> Option<Number> {
        const TEN_TO: [u32; 10] =
            [1_000_000_000, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];
        if text.len() > 18 {
            return None;
        }
        let (mut value, mut point) = (0u64, None);
        for (at, byte) in text.iter().enumerate() {
            match byte {
                b'0'..=b'9' => value = value * 10 + u64::from(byte - b'0'),
                b'.' if point.is_none() && at > 0 => point = Some(at),
                _ => return None,
            }
        }
        let decimals = match point {
            None if text.is_empty() => return None,
            None => 0,
            Some(at) if at + 1 == text.len() => return None,
            Some(at) => text.len() - at - 1,
        };
        let factor = TEN_TO.get(decimals)?;
        Some(Number(i128::from(value) * i128::from(*factor)))
    }

    #[inline(never)]
    fn parse_any(text: &[u8]) -> Option<Number> {
        let (negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        let end = text.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(text.len());
        let exponent = match &text[end..] {
            [] => 0,
            [_, rest @ ..] => core::str::from_utf8(rest).ok()?.parse::<i32>().ok()?,
        };
        let dot = text[..end].iter().position(|byte| *byte == b'.').unwrap_or(end);
        let (whole, fraction) = (&text[..dot], &text[(dot + 1).min(end)..end]);
        if whole.is_empty() || (dot < end && fraction.is_empty()) {
            return None;
        }
        let mut value: i128 = 0;
        // The power of ten that a digit counts, seen from billionths.
        let mut power = exponent.checked_add(i32::try_from(whole.len()).ok()?)?.checked_add(9)?;
        for byte in whole.iter().chain(fraction) {
            if !byte.is_ascii_digit() {
                return None;
            }
            power -= 1;
            if power >= 0 {
                value = value.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
            }
        }
        for _ in 0..power.max(0) {
            if value == 0 {
                break;
            }
            value = value.checked_mul(10)?;
        }
        Some(Number(if negative { -value } else { value }))
    }

    /// As billionths.
    pub fn of_billionths(billionths: i128) -> Number {
        Number(billionths)
    }

    /// Its billionths.
    pub fn billionths(self) -> i128 {
        self.0
    }

    /// The sum; at the ends of the range it stays there.
    pub fn plus(self, other: Number) -> Number {
        Number(self.0.saturating_add(other.0))
    }

    /// The whole number that it is, if it is one.
    pub fn whole(self) -> Option<u64> {
        (self.0 % ONE == 0).then(|| u64::try_from(self.0 / ONE).ok())?
    }

    /// Appends it in decimal, without needless zeros.
    pub fn write(self, out: &mut Vec<u8>) {
        if self.0 < 0 {
            out.push(b'-');
        }
        let (whole, fraction) = (self.0.unsigned_abs() / ONE as u128, self.0.unsigned_abs() % ONE as u128);
        digits(whole, 1, out);
        if fraction > 0 {
            out.push(b'.');
            digits(fraction, 9, out);
            while out.last() == Some(&b'0') {
                out.pop();
            }
        }
    }
}

/// Appends at least `least` digits.
fn digits(mut n: u128, least: usize, out: &mut Vec<u8>) {
    let mut buffer = [b'0'; 40];
    let mut at = buffer.len();
    while n > 0 {
        at -= 1;
        buffer[at] = b'0' + (n % 10) as u8;
        n /= 10;
    }
    out.extend_from_slice(&buffer[at.min(buffer.len() - least)..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_written() {
        for (text, expected) in [
            ("0", Some("0")),
            ("-1.50", Some("-1.5")),
            ("1e3", Some("1000")),
            ("1.5e-3", Some("0.0015")),
            ("18446744073709551615", Some("18446744073709551615")),
            ("0.1234567899", Some("0.123456789")),
            ("1e-400", Some("0")),
            ("0e2000000000", Some("0")),
            ("007", Some("7")),
            ("0.00", Some("0")),
            ("685.14", Some("685.14")),
            ("123456789.123456789", Some("123456789.123456789")),
            ("999999999999999999", Some("999999999999999999")),
            ("1.0000000009", Some("1")),
            ("1..2", None),
            ("1.2.3", None),
            ("", None),
            ("-", None),
            ("1.", None),
            (".5", None),
            ("1e", None),
            ("1x", None),
            ("1e400", None),
            ("99999999999999999999999999999999999999999", None),
        ] {
            let shown = Number::parse(text.as_bytes()).map(|number| {
                let mut out = Vec::new();
                number.write(&mut out);
                String::from_utf8(out).unwrap()
            });
            assert_eq!(shown.as_deref(), expected, "{text}");
        }
        assert!(Number::parse(b"0.3") > Number::parse(b"0.29"));
        assert!(Number::parse(b"-2") < Number::parse(b"-1"));
    }

    #[test]
    fn dotted_addresses_are_what_the_standard_library_reads() {
        for text in [
            "1.2.3",
            "1.2.3.4.",
            ".1.2.3.4",
            "1..2.3",
            "01.2.3.4",
            "1.2.3.00",
            "256.1.1.1",
            "1.1.1.999",
            "1.2.3.4 ",
            "1234.1.1.1",
            "1.2.3.4.5",
            "",
            "a.b.c.d",
        ] {
            assert_eq!(dotted(text.as_bytes()), text.parse().ok(), "{text}");
        }
        let mut seen = 0;
        for number in (0..=u32::MAX).step_by(65_521) {
            let address = Ipv4Addr::from(number.rotate_left(number % 32));
            assert_eq!(dotted(address.to_string().as_bytes()), Some(address));
            // And with a byte changed.
            let mut text = address.to_string().into_bytes();
            let at = number as usize % text.len();
            text[at] = b"0.19/:"[number as usize % 6];
            assert_eq!(dotted(&text), core::str::from_utf8(&text).unwrap().parse().ok());
            seen += 1;
        }
        assert!(seen > 60_000);
    }

    #[test]
    fn types_take_what_converts() {
        for (ty, text, expected) in [
            (Type::Whole(65_535), "503", Number::parse(b"503")),
            (Type::Whole(65_535), "65536", None),
            (Type::Whole(65_535), "-1", None),
            (Type::Whole(65_535), "1.5", None),
            (Type::Signed, "-7", Number::parse(b"-7")),
            (Type::DurationMs, "1.5s", Number::parse(b"1500")),
            (Type::DurationMs, "12ms", Number::parse(b"12")),
            (Type::DurationMs, "12d", None),
            (Type::Bytes, "0.5kB", Number::parse(b"512")),
            (Type::Bytes, "1GiB", Number::parse(b"1073741824")),
            (Type::Text, "1", None),
        ] {
            assert_eq!(ty.number(text.as_bytes()), expected, "{ty:?} {text}");
        }
        assert!(Type::Ip.fits(b"[2001:db8::1]") && !Type::Ip.fits(b"1.2.3"));
        assert_eq!(address(b"::ffff:10.0.0.1"), address(b"10.0.0.1"));
    }
}
