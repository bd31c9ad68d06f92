//! Times: what senders write, and how we write them.
//!
//! A time is microseconds since 1970 in UTC, between the years 0 and 9999. The calendar is the proleptic Gregorian one,
//! in integers of our own; only a listener's time zone is jiff's. Nothing here reads a clock or allocates.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::simd::digits::THREE;

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const DAY_US: i64 = 86_400 * SECOND_US;
/// 0000-01-01T00:00:00.000000Z.
pub const MIN_US: i64 = days_before(0) * DAY_US;
/// 9999-12-31T23:59:59.999999Z.
pub const MAX_US: i64 = days_before(10_000) * DAY_US - 1;

/// Days from 1970-01-01 to the first of January of `year`, which is not negative.
const fn days_before(year: i64) -> i64 {
    const BEFORE_1970: i64 = 719_528;
    // Leap years before this one; year 0 is one.
    let leaps = (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400;
    year * 365 + leaps - BEFORE_1970
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days of the year before its month, counted from 1; in entry 13 all of them.
fn days_before_month(leap: bool, month: i64) -> i64 {
    const DAYS: [i64; 14] = [0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];
    DAYS[month as usize] + (leap && month > 2) as i64
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = is_leap(year);
    days_before_month(leap, month + 1) - days_before_month(leap, month)
}

/// A moment by calendar and clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    pub year: i64,
    pub month: i64,
    pub day: i64,
    pub hour: i64,
    pub minute: i64,
    pub second: i64,
    /// Microseconds of the second.
    pub micros: i64,
}

impl Civil {
    /// The UTC calendar's reading of a time; one out of range is read as the nearest in range.
    pub fn of(us: i64) -> Civil {
        let us = us.clamp(MIN_US, MAX_US);
        let (days, of_day) = (us.div_euclid(DAY_US), us.rem_euclid(DAY_US));
        // The mean length of a year puts the guess at most one year off.
        let mut year = ((days - days_before(0)) * 400 / 146_097).min(9999);
        if days < days_before(year) {
            year -= 1;
        } else if days >= days_before(year + 1) {
            year += 1;
        }
        let (leap, of_year) = (is_leap(year), days - days_before(year));
        let mut month = of_year / 32 + 1;
        if of_year >= days_before_month(leap, month + 1) {
            month += 1;
        }
        let of_day_s = of_day / SECOND_US;
        Civil {
            year,
            month,
            day: of_year - days_before_month(leap, month) + 1,
            hour: of_day_s / 3600,
            minute: of_day_s / 60 % 60,
            second: of_day_s % 60,
            micros: of_day % SECOND_US,
        }
    }

    /// The time in UTC; a second of 60 is the next minute's first, as POSIX counts. `None` for a day that is in no
    /// calendar or a clock out of range.
    fn utc_us(self) -> Option<i64> {
        let valid = (0..=9999).contains(&self.year)
            && (1..=12).contains(&self.month)
            && (1..=days_in_month(self.year, self.month)).contains(&self.day)
            && self.hour < 24
            && self.minute < 60
            && self.second <= 60;
        if !valid {
            return None;
        }
        let days = days_before(self.year) + days_before_month(is_leap(self.year), self.month) + self.day - 1;
        let seconds = self.hour * 3600 + self.minute * 60 + self.second;
        Some(days * DAY_US + seconds * SECOND_US + self.micros)
    }
}

/// The number that `len` digits at `at` write.
fn digits(text: &[u8], at: usize, len: usize) -> Option<i64> {
    let digits = text.get(at..at + len)?;
    // Without a branch a digit: what is none shows in `bad`.
    let (mut n, mut bad) = (0u32, false);
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        bad |= digit > 9;
        n = n.wrapping_mul(10).wrapping_add(digit as u32);
    }
    (!bad).then_some(n as i64)
}

/// The number of two digits at `at`, with `before` in front of them.
fn two(text: &[u8], at: usize, before: u8) -> Option<i64> {
    if text.get(at) == Some(&before) { digits(text, at + 1, 2) } else { None }
}

/// Whether `text` begins as an RFC 3339 time does: a date and `T`. The rest may be unreadable.
pub fn starts_as_rfc3339(text: &[u8]) -> bool {
    digits(text, 0, 4).is_some()
        && two(text, 4, b'-').is_some()
        && two(text, 7, b'-').is_some()
        && matches!(text.get(10), Some(b'T' | b't'))
}

/// Reads an RFC 3339 time that is all of `text`; digits behind the microseconds are cut off.
//= https://www.rfc-editor.org/rfc/rfc3339#section-5.6
pub fn rfc3339(text: &[u8]) -> Option<i64> {
    if !starts_as_rfc3339(text) {
        return None;
    }
    let mut at = 19;
    let mut micros = 0;
    if text.get(at) == Some(&b'.') {
        let fraction = text[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if fraction == 0 {
            return None;
        }
        for place in 0..6 {
            let digit = if place < fraction { text[at + 1 + place] - b'0' } else { 0 };
            micros = micros * 10 + digit as i64;
        }
        at += 1 + fraction;
    }
    let civil = Civil {
        year: digits(text, 0, 4)?,
        month: digits(text, 5, 2)?,
        day: digits(text, 8, 2)?,
        hour: digits(text, 11, 2)?,
        minute: two(text, 13, b':')?,
        second: two(text, 16, b':')?,
        micros,
    };
    let offset_us = match text.get(at)? {
        b'Z' | b'z' if text.len() == at + 1 => 0,
        sign @ (b'+' | b'-') if text.len() == at + 6 => {
            let (hours, minutes) = (digits(text, at + 1, 2)?, two(text, at + 3, b':')?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let offset = (hours * 3600 + minutes * 60) * SECOND_US;
            if *sign == b'-' { -offset } else { offset }
        }
        _ => return None,
    };
    let us = civil.utc_us()? - offset_us;
    // Leap seconds are put in at midnight UTC only.
    let misplaced = civil.second == 60 && us.rem_euclid(DAY_US) >= SECOND_US;
    (!misplaced && (MIN_US..=MAX_US).contains(&us)).then_some(us)
}

/// Bytes of `Mmm dd hh:mm:ss`.
pub const RFC3164_LEN: usize = 15;

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// Reads the `Mmm dd hh:mm:ss` that `text` begins with, in `zone` and in the year that puts it nearest to `near_us`.
/// Answers its length and, unless no such moment exists, the time. `None` if `text` begins otherwise.
///
/// The day may be one digit behind one blank or two.
//= https://www.rfc-editor.org/rfc/rfc3164#section-4.1.2
pub fn rfc3164(text: &[u8], near_us: i64, zone: &TimeZone) -> Option<(usize, Option<i64>)> {
    let month = MONTHS.iter().position(|name| text.starts_with(*name))? as i64 + 1;
    if text.get(3) != Some(&b' ') {
        return None;
    }
    let (day, len) = match text.get(4..6)? {
        [b' ', ones] if ones.is_ascii_digit() => ((ones - b'0') as i64, RFC3164_LEN),
        [ones, b' '] if ones.is_ascii_digit() => ((ones - b'0') as i64, RFC3164_LEN - 1),
        _ => (digits(text, 4, 2)?, RFC3164_LEN),
    };
    let (hour, minute, second) =
        (two(text, len - 9, b' ')?, two(text, len - 6, b':')?, two(text, len - 3, b':')?);
    let near = Timestamp::from_microsecond(near_us.clamp(MIN_US, MAX_US)).ok();
    let near_year = near.map_or(1970, |near| zone.to_datetime(near).year() as i64);
    let in_year = |year: i64| {
        let civil = Civil { year, month, day, hour, minute, second, micros: 0 };
        in_zone(civil, zone).filter(|us| (MIN_US..=MAX_US).contains(us))
    };
    // A 29th of February may be eight years away from one that exists.
    let years = near_year - 8..=near_year + 8;
    Some((len, years.filter_map(in_year).min_by_key(|us| us.abs_diff(near_us))))
}

/// The time at which the clocks of `zone` show `civil`; in a gap or a fold the one that the offset before it gives.
fn in_zone(civil: Civil, zone: &TimeZone) -> Option<i64> {
    civil.utc_us()?;
    let leap = civil.second == 60;
    let shown = DateTime::new(
        civil.year as i16,
        civil.month as i8,
        civil.day as i8,
        civil.hour as i8,
        civil.minute as i8,
        civil.second.min(59) as i8,
        0,
    );
    let time = zone.to_ambiguous_timestamp(shown.ok()?).compatible().ok()?;
    Some(time.as_microsecond() + if leap { SECOND_US } else { 0 })
}

/// Microseconds by which the clocks of `zone` are ahead of UTC at a time.
pub fn offset_us(us: i64, zone: &TimeZone) -> i64 {
    let time = Timestamp::from_microsecond(us.clamp(MIN_US, MAX_US)).ok();
    time.map_or(0, |time| zone.to_offset(time).seconds() as i64 * SECOND_US)
}

/// A time as it is written: `2026-11-22T09:51:24.537546Z`.
pub type Text = [u8; 27];

/// Writes a time; one out of range is written as the nearest in range.
pub fn write(us: i64) -> Text {
    *Writer::default().write(us)
}

/// Writes times, of which most fall into the minute of the one before: then only what is behind the minute changes.
pub struct Writer {
    /// What `text` says.
    us: i64,
    /// Where its minute begins.
    minute_us: i64,
    text: Text,
}

impl Default for Writer {
    fn default() -> Writer {
        Writer { us: 0, minute_us: 0, text: *b"1970-01-01T00:00:00.000000Z" }
    }
}

impl Writer {
    /// The text of a time; one out of range is written as the nearest in range.
    #[inline(always)]
    pub fn write(&mut self, us: i64) -> &Text {
        if us == self.us {
            return &self.text;
        }
        self.us = us;
        let mut of_minute = us.wrapping_sub(self.minute_us) as u64;
        if of_minute >= MINUTE_US as u64 {
            of_minute = self.turn(us);
        }
        let (seconds, micros) = (of_minute as usize / 1_000_000, of_minute as usize % 1_000_000);
        let [_, ten, one, _] = THREE[seconds];
        let [d, e, f, _] = THREE[micros % 1000];
        // Each four bytes overlap with the next.
        self.text[17..21].copy_from_slice(&[ten, one, b'.', 0]);
        self.text[20..24].copy_from_slice(&THREE[micros / 1000]);
        self.text[23..27].copy_from_slice(&[d, e, f, b'Z']);
        &self.text
    }

    /// Turns to the minute of a time; returns the microseconds of it.
    #[inline(never)]
    fn turn(&mut self, us: i64) -> u64 {
        let us = us.clamp(MIN_US, MAX_US);
        let civil = Civil::of(us);
        self.minute_us = us.div_euclid(MINUTE_US) * MINUTE_US;
        let [c, y, m, d] = [civil.year / 100, civil.year % 100, civil.month, civil.day].map(two_digits);
        let [h, min] = [civil.hour, civil.minute].map(two_digits);
        self.text[..17].copy_from_slice(&[
            c[0], c[1], y[0], y[1], b'-', m[0], m[1], b'-', d[0], d[1], b'T', h[0], h[1], b':', min[0],
            min[1], b':',
        ]);
        (us - self.minute_us) as u64
    }
}

/// The digits of a number below 100.
fn two_digits(n: i64) -> [u8; 2] {
    [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(us: Option<i64>) -> String {
        us.map_or("none".into(), |us| String::from_utf8(write(us).to_vec()).unwrap())
    }

    #[test]
    fn rfc3339_times() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"),
            ("2026-11-22T09:51:24.537546Z", "2026-11-22T09:51:24.537546Z"),
            ("2026-11-22t09:51:24.5z", "2026-11-22T09:51:24.500000Z"),
            ("2022-01-26T20:25:08.61556+00:00", "2022-01-26T20:25:08.615560Z"),
            ("2022-01-26T20:25:08.06297+00:00", "2022-01-26T20:25:08.062970Z"),
            ("2022-01-26T20:25:08.1234569+00:00", "2022-01-26T20:25:08.123456Z"),
            ("2022-01-26T20:25:08.123456789012Z", "2022-01-26T20:25:08.123456Z"),
            ("2012-07-22T00:06:26-00:00", "2012-07-22T00:06:26.000000Z"),
            ("2021-03-01T01:00:00+05:30", "2021-02-28T19:30:00.000000Z"),
            ("2020-12-31T20:00:00-08:00", "2021-01-01T04:00:00.000000Z"),
            ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000000Z"),
            ("2000-02-29T00:00:00Z", "2000-02-29T00:00:00.000000Z"),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000000Z"),
            ("0000-02-29T12:00:00Z", "0000-02-29T12:00:00.000000Z"),
            ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
            ("2016-12-31T23:59:60.25Z", "2017-01-01T00:00:00.250000Z"),
            ("2016-12-31T18:59:60-05:00", "2017-01-01T00:00:00.000000Z"),
            // Unreadable.
            ("2016-12-31T18:59:60Z", "none"),
            ("9999-12-31T23:59:60Z", "none"),
            ("0000-01-01T00:00:00+00:01", "none"),
            ("9999-12-31T23:59:59-00:01", "none"),
            ("2012-12-10T03:00:48Z+00:00", "none"),
            ("2012-12-10T03:00:48", "none"),
            ("2012-12-10T03:00:48.Z", "none"),
            ("2012-12-10T03:00:48,5Z", "none"),
            ("2012-12-10T03:00Z", "none"),
            ("2012-12-10 03:00:48Z", "none"),
            ("2012-12-10T03:00:48+0000", "none"),
            ("2012-12-10T03:00:48+24:00", "none"),
            ("2012-12-10T03:00:48+00:60", "none"),
            ("2012-12-10T03:00:48+00:00 ", "none"),
            ("2OI4-01-09T20:34:44.651004+00:00", "none"),
            ("2023-02-29T00:00:00Z", "none"),
            ("1900-02-29T00:00:00Z", "none"),
            ("2023-04-31T00:00:00Z", "none"),
            ("2023-00-01T00:00:00Z", "none"),
            ("2023-13-01T00:00:00Z", "none"),
            ("2023-01-00T00:00:00Z", "none"),
            ("2023-01-32T00:00:00Z", "none"),
            ("2023-01-01T24:00:00Z", "none"),
            ("2023-01-01T00:60:00Z", "none"),
            ("2023-01-01T00:00:61Z", "none"),
            ("-", "none"),
            ("", "none"),
        ] {
            assert_eq!(shown(rfc3339(text.as_bytes())), expected, "{text}");
        }
    }

    #[test]
    fn rfc3164_takes_the_nearest_year() {
        let near = |text: &str| rfc3339(text.as_bytes()).unwrap();
        let utc = TimeZone::UTC;
        let kolkata = TimeZone::fixed(jiff::tz::Offset::from_seconds(19_800).unwrap());
        for (text, near_time, zone, expected) in [
            ("Oct 11 22:14:15", "2026-11-22T00:00:00Z", &utc, "2026-10-11T22:14:15.000000Z"),
            ("Oct  1 22:14:15", "2026-11-22T00:00:00Z", &utc, "2026-10-01T22:14:15.000000Z"),
            ("Oct 1 22:14:15", "2026-11-22T00:00:00Z", &utc, "2026-10-01T22:14:15.000000Z"),
            ("Oct 01 22:14:15", "2026-11-22T00:00:00Z", &utc, "2026-10-01T22:14:15.000000Z"),
            ("Dec 31 23:59:59", "2026-01-01T00:00:03Z", &utc, "2025-12-31T23:59:59.000000Z"),
            ("Jan  1 00:00:01", "2025-12-31T23:59:58Z", &utc, "2026-01-01T00:00:01.000000Z"),
            ("Jan  1 00:00:01", "2025-12-31T19:00:00Z", &kolkata, "2025-12-31T18:30:01.000000Z"),
            ("Feb 29 00:00:00", "2024-03-01T00:00:00Z", &utc, "2024-02-29T00:00:00.000000Z"),
            ("Feb 29 00:00:00", "2025-03-01T00:00:00Z", &utc, "2024-02-29T00:00:00.000000Z"),
            ("Feb 29 00:00:00", "1900-03-01T00:00:00Z", &utc, "1904-02-29T00:00:00.000000Z"),
            ("Dec 31 23:59:60", "2017-01-01T00:00:03Z", &utc, "2017-01-01T00:00:00.000000Z"),
            ("Feb 30 00:00:00", "2025-03-01T00:00:00Z", &utc, "none"),
            ("Oct  0 22:14:15", "2026-11-22T00:00:00Z", &utc, "none"),
            ("Oct 11 24:14:15", "2026-11-22T00:00:00Z", &utc, "none"),
        ] {
            let (len, us) = rfc3164(text.as_bytes(), near(near_time), zone).unwrap();
            assert_eq!((len, shown(us).as_str()), (text.len(), expected), "{text} near {near_time}");
        }
        for text in [
            "",
            "Oct",
            "oct 11 22:14:15",
            "Oct 11 22:14",
            "Oct 11  22:14:15",
            "Oct11 22:14:15",
            "Oct 11 22.14.15",
        ] {
            assert_eq!(rfc3164(text.as_bytes(), 0, &utc), None, "{text}");
        }
    }

    #[test]
    fn a_time_out_of_range_is_written_as_the_nearest() {
        assert_eq!(shown(Some(i64::MIN)), "0000-01-01T00:00:00.000000Z");
        assert_eq!(shown(Some(i64::MAX)), "9999-12-31T23:59:59.999999Z");
    }

    #[test]
    fn a_writer_turns_to_the_minute_of_each_time() {
        let mut writer = Writer::default();
        for minute in
            [0, -MINUTE_US, MINUTE_US, MIN_US, MAX_US + 1 - MINUTE_US, MAX_US + 1, MIN_US - MINUTE_US]
        {
            for us in [0, 1, MINUTE_US - 1, 59_000_000, 999_999, 10_000_000] {
                let us = minute + us;
                assert_eq!(shown(Some(us)), str::from_utf8(writer.write(us)).unwrap());
                let limited = us.clamp(MIN_US, MAX_US);
                assert_eq!(rfc3339(writer.write(us)), Some(limited));
            }
        }
        assert_eq!(writer.write(i64::MAX), b"9999-12-31T23:59:59.999999Z");
        assert_eq!(writer.write(i64::MIN), b"0000-01-01T00:00:00.000000Z");
    }

    #[test]
    fn every_day_is_the_day_after_the_one_before() {
        let mut civil = Civil::of(MIN_US);
        for day in 1..=days_before(10_000) - days_before(0) - 1 {
            let next = Civil::of(MIN_US + day * DAY_US);
            let expected = match (civil.day == days_in_month(civil.year, civil.month), civil.month) {
                (true, 12) => (civil.year + 1, 1, 1),
                (true, month) => (civil.year, month + 1, 1),
                (false, month) => (civil.year, month, civil.day + 1),
            };
            assert_eq!((next.year, next.month, next.day), expected);
            assert_eq!(next.utc_us(), Some(MIN_US + day * DAY_US));
            civil = next;
        }
        assert_eq!((civil.year, civil.month, civil.day), (9999, 12, 31));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_as_jiff_reads_it(us in MIN_US..=MAX_US) {
            let text = write(us);
            prop_assert_eq!(rfc3339(&text), Some(us));
            let text = std::str::from_utf8(&text).unwrap();
            if let Ok(time) = text.parse::<Timestamp>() {
                prop_assert_eq!(time.as_microsecond(), us);
            }
        }

        #[test]
        fn any_bytes_are_read_or_not(text in proptest::collection::vec(any::<u8>(), 0..40), near: i64) {
            rfc3339(&text);
            rfc3164(&text, near, &TimeZone::UTC);
        }
    }
}
