//! Durations, sizes, addresses and time zones as people write them.
//!
//! A duration is a whole number with a unit (`250ms`, `300s`, `5m`, `1h`, `7d`); a size is a whole number of bytes,
//! with or without a binary unit (`65536`, `64KiB`, `1GiB`).

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use jiff::tz::{Offset, TimeZone};

const DURATIONS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: [(&str, u64); 6] =
    [("", 1), ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// Reads a duration, or returns nothing if `text` is none or too large.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let (_, scale) = DURATIONS.iter().find(|(name, _)| *name == unit)?;
    Some(Duration::from_millis(number.checked_mul(*scale)?))
}

/// Reads a size in bytes, or returns nothing if `text` is none or too large.
pub fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let (_, scale) = SIZES.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*scale)
}

/// Writes milliseconds in the largest unit that keeps them whole.
pub fn show_duration(ms: u64) -> String {
    let (unit, scale) =
        DURATIONS.iter().rev().find(|(_, scale)| ms.is_multiple_of(*scale)).unwrap_or(&DURATIONS[0]);
    match ms {
        0 => "0s".into(),
        _ => format!("{}{unit}", ms / scale),
    }
}

/// Writes bytes in the largest unit that keeps them whole.
pub fn show_size(bytes: u64) -> String {
    let units = SIZES.iter().rev().filter(|(unit, _)| *unit != "B");
    let (unit, scale) =
        units.into_iter().find(|(_, scale)| bytes.is_multiple_of(*scale)).unwrap_or(&SIZES[0]);
    match bytes {
        0 => "0".into(),
        _ => format!("{}{unit}", bytes / scale),
    }
}

/// Reads an IP address with its port; `:PORT` is every IPv4 address, and `localhost` is known without a resolver.
pub(super) fn address(text: &str) -> Option<SocketAddr> {
    if let Some(port) = text.strip_prefix(':') {
        return Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port.parse().ok()?)));
    }
    if let Some(port) = text.strip_prefix("localhost:") {
        return Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().ok()?)));
    }
    text.parse().ok()
}

/// Reads an offset (`+01:00`, `Z`) or an IANA name, or returns nothing if `text` is neither.
pub fn zone(text: &str) -> Option<TimeZone> {
    if matches!(text, "UTC" | "Z" | "z" | "+00:00" | "-00:00") {
        return Some(TimeZone::UTC);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return TimeZone::get(text).ok(),
    };
    let (hours, minutes) = text[1..].split_once(':')?;
    let two = |digits: &str| match digits.len() {
        2 if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse::<i32>().ok(),
        _ => None,
    };
    let (hours, minutes) = (two(hours)?, two(minutes).filter(|minutes| *minutes < 60)?);
    let offset = Offset::from_seconds(sign * (hours * 3_600 + minutes * 60)).ok()?;
    Some(TimeZone::fixed(offset))
}

fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, text[end..].trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in [
            ("250ms", Some(250)),
            ("300s", Some(300_000)),
            ("5m", Some(300_000)),
            ("1h", Some(3_600_000)),
            ("7d", Some(604_800_000)),
            ("0s", Some(0)),
            ("5 m", Some(300_000)),
            ("300", None),
            ("1.5h", None),
            ("-1s", None),
            ("s", None),
            ("1w", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
        ] {
            assert_eq!(duration(text).map(|d| d.as_millis()), ms, "{text:?}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("65536", Some(65_536)),
            ("64KiB", Some(65_536)),
            ("1GiB", Some(1 << 30)),
            ("10 B", Some(10)),
            ("64KB", None),
            ("1e3", None),
            ("", None),
            ("18446744073709551615TiB", None),
        ] {
            assert_eq!(size(text), bytes, "{text:?}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        for ms in [0, 1, 250, 1_000, 90_000, 300_000, 3_600_000, 86_400_000] {
            assert_eq!(duration(&show_duration(ms)), Some(Duration::from_millis(ms)));
        }
        for bytes in [0, 1, 1_000, 1 << 10, 3 << 20, 1 << 30] {
            assert_eq!(size(&show_size(bytes)), Some(bytes));
        }
        assert_eq!((show_duration(90_000), show_size(65_536)), ("90s".into(), "64KiB".into()));
    }

    #[test]
    fn zones_are_offsets_or_names() {
        for (text, seconds) in [
            ("+00:00", Some(0)),
            ("UTC", Some(0)),
            ("+05:30", Some(19_800)),
            ("-03:00", Some(-10_800)),
            ("+5:30", None),
            ("+05:60", None),
            ("+99:00", None),
            ("Nowhere/Land", None),
        ] {
            let offset = zone(text).map(|zone| zone.to_offset(jiff::Timestamp::UNIX_EPOCH).seconds());
            assert_eq!(offset, seconds, "{text}");
        }
    }

    #[test]
    fn addresses() {
        for (text, expect) in [
            ("127.0.0.1:1", Some("127.0.0.1:1")),
            (":0", Some("0.0.0.0:0")),
            ("[::1]:1", Some("[::1]:1")),
            ("localhost:65535", Some("127.0.0.1:65535")),
            ("localhost", None),
            ("127.0.0.1:65536", None),
            ("example.com:1", None),
        ] {
            assert_eq!(address(text).map(|address| address.to_string()).as_deref(), expect, "{text}");
        }
    }
}
