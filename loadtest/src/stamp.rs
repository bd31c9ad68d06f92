//! Times in the two forms that are needed: as Logplex writes them, and as weir must.
//!
//! Years 0 to 9999 of the Gregorian calendar, UTC only; no leap seconds.

const DAY_S: i64 = 86_400;

/// How a sender writes a time. Real senders differ; all mean the same instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Six digits and `+00:00`, as most lines have it.
    Offset,
    /// Six digits and `Z`.
    Zulu,
    /// `+00:00` and no trailing zeros in the fraction, none at all for a whole second.
    Short,
}

/// Writes times; keeps the text of the last second, since neighbours share it.
#[derive(Clone, Debug)]
pub struct Stamp {
    second: i64,
    text: [u8; 19],
}

impl Default for Stamp {
    fn default() -> Stamp {
        let mut stamp = Stamp { second: 0, text: *b"1970-01-01T00:00:00" };
        stamp.turn_to(0);
        stamp
    }
}

impl Stamp {
    /// Appends the time `us` (microseconds since the epoch) in the given style.
    #[inline]
    pub fn push(&mut self, us: i64, style: Style, out: &mut Vec<u8>) {
        let second = us.div_euclid(1_000_000);
        if second != self.second {
            self.turn_to(second);
        }
        out.extend_from_slice(&self.text);
        let mut fraction = *b".000000";
        let mut left = us.rem_euclid(1_000_000) as u32;
        for digit in fraction[1..].iter_mut().rev() {
            *digit = b'0' + (left % 10) as u8;
            left /= 10;
        }
        match style {
            Style::Offset => {
                out.extend_from_slice(&fraction);
                out.extend_from_slice(b"+00:00");
            }
            Style::Zulu => {
                out.extend_from_slice(&fraction);
                out.push(b'Z');
            }
            Style::Short => {
                let kept = fraction.iter().rposition(|&b| b != b'0').map_or(0, |last| last + 1);
                if kept > 1 {
                    out.extend_from_slice(&fraction[..kept]);
                }
                out.extend_from_slice(b"+00:00");
            }
        }
    }

    fn turn_to(&mut self, second: i64) {
        self.second = second;
        let (year, month, day) = civil(second.div_euclid(DAY_S));
        let of_day = second.rem_euclid(DAY_S);
        let mut put = |at: usize, width: usize, value: i64| {
            let mut left = value;
            for place in self.text[at..at + width].iter_mut().rev() {
                *place = b'0' + (left % 10) as u8;
                left /= 10;
            }
        };
        put(0, 4, year);
        put(5, 2, month);
        put(8, 2, day);
        put(11, 2, of_day / 3600);
        put(14, 2, of_day / 60 % 60);
        put(17, 2, of_day % 60);
    }
}

/// The time as weir writes it: UTC, six digits, `Z`.
pub fn normal(us: i64) -> String {
    let mut out = Vec::with_capacity(27);
    Stamp::default().push(us, Style::Zulu, &mut out);
    String::from_utf8(out).expect("digits and punctuation only")
}

/// Reads weir's form back into microseconds; nothing else is a time here.
pub fn read_normal(text: &[u8]) -> Option<i64> {
    let shape: &[u8; 27] = b"0000-00-00T00:00:00.000000Z";
    if text.len() != shape.len() {
        return None;
    }
    let fits = |(&t, &s): (&u8, &u8)| if s == b'0' { t.is_ascii_digit() } else { t == s };
    if !text.iter().zip(shape).all(fits) {
        return None;
    }
    let number =
        |from: usize, to: usize| text[from..to].iter().fold(0i64, |n, &b| n * 10 + i64::from(b - b'0'));
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    let (hour, minute, second) = (number(11, 13), number(14, 16), number(17, 19));
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second;
    Some(seconds * 1_000_000 + number(20, 26))
}

/// Days since the epoch of a date; years are counted from March so that the leap day comes last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date of a day since the epoch, the inverse of [`days`].
fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles_write_one_instant() {
        // 2026-11-22T09:51:24.537546Z and its neighbours.
        let cases = [
            (1_795_341_084_537_546, Style::Offset, "2026-11-22T09:51:24.537546+00:00"),
            (1_795_341_084_537_540, Style::Short, "2026-11-22T09:51:24.53754+00:00"),
            (1_795_341_084_000_000, Style::Short, "2026-11-22T09:51:24+00:00"),
            (1_795_341_084_000_100, Style::Short, "2026-11-22T09:51:24.0001+00:00"),
            (951_782_400_000_001, Style::Zulu, "2000-02-29T00:00:00.000001Z"),
            (0, Style::Zulu, "1970-01-01T00:00:00.000000Z"),
        ];
        let mut stamp = Stamp::default();
        for (us, style, want) in cases {
            let mut out = Vec::new();
            stamp.push(us, style, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), want);
            assert_eq!(read_normal(normal(us).as_bytes()), Some(us), "{want}");
        }
    }

    #[test]
    fn only_the_normal_form_is_read() {
        for text in ["", "2026-11-22T09:51:24Z", "2026-13-22T09:51:24.537546Z", "2026-11-22 09:51:24.537546Z"]
        {
            assert_eq!(read_normal(text.as_bytes()), None, "{text}");
        }
    }
}
