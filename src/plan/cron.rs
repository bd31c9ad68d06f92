//! Schedules of five fields, as cron has them: minute, hour, day of the month, month, day of the week.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// A schedule. A day counts if the month's day or the week's matches, where both are restricted; else if both match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    /// Sunday is 0.
    weekdays: u64,
    is_either: bool,
}

/// Days that are looked through for the next time: four years and the leap day that a century leaves out.
const DAYS: i32 = 366 * 8;

impl Cron {
    /// Reads `0 6 * * *`: each field is `*`, a number, a range `1-5`, a step `*/15` or `8-18/2`, or a list of such.
    pub fn parse(text: &str) -> Option<Cron> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else { return None };
        let weekdays = field(weekday, 0, 7)?;
        let cron = Cron {
            minutes: field(minute, 0, 59)?,
            hours: field(hour, 0, 23)?,
            days: field(day, 1, 31)?,
            months: field(month, 1, 12)?,
            // Sunday is 0 and 7.
            weekdays: weekdays & 0x7f | weekdays >> 7,
            is_either: !day.starts_with('*') && !weekday.starts_with('*'),
        };
        // The 30th of February never comes.
        cron.next(0, &TimeZone::UTC).is_some().then_some(cron)
    }

    /// The first time after `after_us`, microseconds since 1970, whose minute in the zone matches. What a change of the
    /// clocks leaves out comes as late as the hour that is missing; what it repeats comes once.
    pub fn next(&self, after_us: i64, zone: &TimeZone) -> Option<i64> {
        let after = Timestamp::from_microsecond(after_us).ok()?.to_zoned(zone.clone()).datetime();
        let mut date = after.date();
        for _ in 0..DAYS {
            if self.takes(date) {
                for hour in (0..24).filter(|hour| self.hours >> hour & 1 == 1) {
                    for minute in (0..60).filter(|minute| self.minutes >> minute & 1 == 1) {
                        let at = DateTime::from_parts(date, Time::constant(hour, minute, 0, 0));
                        let at_us = zone.to_timestamp(at).ok()?.as_microsecond();
                        if at > after && at_us > after_us {
                            return Some(at_us);
                        }
                    }
                }
            }
            date = date.checked_add(Span::new().days(1)).ok()?;
        }
        None
    }

    fn takes(&self, date: Date) -> bool {
        let day = self.days >> date.day() & 1 == 1;
        let weekday = self.weekdays >> date.weekday().to_sunday_zero_offset() & 1 == 1;
        let is_day = if self.is_either { day || weekday } else { day && weekday };
        is_day && self.months >> date.month() & 1 == 1
    }
}

/// The numbers that a field names, as bits.
fn field(text: &str, min: u32, max: u32) -> Option<u64> {
    let mut bits = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(number(step).filter(|step| *step > 0)?)),
            None => (part, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (min, max),
            Some((from, to)) => (number(from)?, number(to)?),
            // `5/15` goes on from there to the end.
            None if step.is_some() => (number(range)?, max),
            None => (number(range)?, number(range)?),
        };
        if from < min || to > max || from > to {
            return None;
        }
        for n in (from..=to).step_by(step.unwrap_or(1) as usize) {
            bits |= 1 << n;
        }
    }
    Some(bits)
}

fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_microsecond()
    }

    #[test]
    fn the_next_time() {
        for (cron, after, next) in [
            ("0 6 * * *", "2021-02-15T05:59:59Z", "2021-02-15T06:00:00Z"),
            ("0 6 * * *", "2021-02-15T06:00:00Z", "2021-02-16T06:00:00Z"),
            ("*/15 * * * *", "2021-02-15T06:46:00Z", "2021-02-15T07:00:00Z"),
            ("5/20 8-9 * * *", "2021-02-15T09:46:00Z", "2021-02-16T08:05:00Z"),
            ("0 0 1 * *", "2021-12-31T12:00:00Z", "2022-01-01T00:00:00Z"),
            ("0 0 29 2 *", "2021-01-01T00:00:00Z", "2024-02-29T00:00:00Z"),
            ("30 4 * * 7", "2021-02-15T00:00:00Z", "2021-02-21T04:30:00Z"),
            ("30 4 * * 1-5", "2021-02-19T12:00:00Z", "2021-02-22T04:30:00Z"),
            // Either the 13th or a Friday.
            ("0 0 13 * 5", "2021-02-10T00:00:00Z", "2021-02-12T00:00:00Z"),
            ("0 0 13 * 5", "2021-02-12T00:00:00Z", "2021-02-13T00:00:00Z"),
        ] {
            let found = Cron::parse(cron).unwrap().next(at(after), &TimeZone::UTC);
            assert_eq!(found, Some(at(next)), "{cron} after {after}");
        }
    }

    #[test]
    fn a_change_of_the_clocks_neither_skips_nor_repeats() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let cron = Cron::parse("30 2 * * *").unwrap();
        // 02:30 does not exist on 2021-03-28 and exists twice on 2021-10-31.
        let spring = cron.next(at("2021-03-27T12:00:00Z"), &zone).unwrap();
        assert_eq!(spring, at("2021-03-28T01:30:00Z"));
        assert_eq!(cron.next(spring, &zone), Some(at("2021-03-29T00:30:00Z")));
        let autumn = cron.next(at("2021-10-30T12:00:00Z"), &zone).unwrap();
        assert_eq!(autumn, at("2021-10-31T00:30:00Z"));
        assert_eq!(cron.next(autumn, &zone), Some(at("2021-11-01T01:30:00Z")));
    }

    #[test]
    fn what_is_no_schedule() {
        for text in [
            "",
            "* * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "*/0 * * * *",
            "5-1 * * * *",
            "0 0 30 2 *",
            "a * * * *",
            "1, * * * *",
            "+1 * * * *",
            "* * * * 8",
        ] {
            assert_eq!(Cron::parse(text), None, "{text}");
        }
    }
}
