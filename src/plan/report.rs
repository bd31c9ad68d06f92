//! Reports and joins, compiled: which rows shards append of events, and by what the ledger cuts them into windows.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::cron::Cron;
use super::rules::SlotId;
use super::rules::convert::Type;
use crate::geo::Attribution;

/// What a cell shows of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Slot(SlotId),
    /// The same, written as a number.
    Number(SlotId),
    /// The configured name of the sender, else its drain.
    Computer(SlotId),
    Id,
    Time,
    Received,
    Message,
    /// What this version never finds.
    Nothing,
}

/// A cell of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    pub what: What,
    /// The bytes of the value as they were sent: behind this key, where they count as what the field holds.
    pub sent: Option<(Box<[u8]>, Type)>,
    /// How a time is written, and in which zone; absent: as in events.
    pub format: Option<(Box<str>, TimeZone)>,
}

/// Rows of one sender that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// Places of cells that are equal.
    pub by: Vec<u16>,
    pub within_us: i64,
}

/// What is computed over the events of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    Count,
    Sum,
    Avg,
    Max,
    /// In percent.
    Percentile(u8),
}

/// One figure of a summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    pub head: Box<str>,
    pub aggregate: Aggregate,
    /// Place of the cell with the number; a count has none.
    pub of: Option<u16>,
}

/// Figures over the window, by keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Heads of the keys and places of their cells.
    pub by: Vec<(Box<str>, u16)>,
    pub figures: Vec<Figure>,
}

impl Table {
    /// Heads of its columns: keys, then figures.
    pub fn heads(&self) -> impl Iterator<Item = &str> {
        let keys = self.by.iter().map(|(head, _)| &**head);
        keys.chain(self.figures.iter().map(|figure| &*figure.head))
    }
}

/// Forms in which a report is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Formats {
    pub csv: bool,
    pub ndjson: bool,
    pub html: bool,
}

/// A report.
#[derive(Clone, Debug)]
pub struct Report {
    /// Full id: `heroku.report.router_logs`.
    pub id: Box<str>,
    /// Name of its folder: the bare id, with the pack's before it where another pack has it too.
    pub name: Box<str>,
    pub title: Box<str>,
    /// Heads of its columns; none if it is a summary only.
    pub heads: Vec<Box<str>>,
    /// The columns' cells, then those that only summaries and merging read.
    pub cells: Vec<Cell>,
    pub window_us: i64,
    pub zone: TimeZone,
    /// Absent: published when its window is sealed.
    pub schedule: Option<Cron>,
    pub formats: Formats,
    pub retention_us: Option<i64>,
    /// Index of the join that puts its messages together.
    pub join: Option<u32>,
    pub merge: Option<Merge>,
    pub tables: Vec<Table>,
    /// What has to be said where it is shown.
    pub attribution: Option<Attribution>,
    /// Equal while its rows mean the same.
    pub shape: u64,
}

const DAY_US: i64 = 86_400_000_000;

impl Report {
    /// Start and end of the window that a time lies in, aligned to midnight of the report's zone. One of less than a day
    /// ends at midnight at the latest; longer ones are whole days, counted from 1970.
    pub fn window(&self, time_us: i64) -> (i64, i64) {
        let clamped = time_us.clamp(Timestamp::MIN.as_microsecond() + 400 * DAY_US, LAST_US);
        let at = Timestamp::from_microsecond(clamped).expect("the time was clamped to what there is");
        let date = at.to_zoned(self.zone.clone()).date();
        let days = (self.window_us / DAY_US).max(1);
        let first = day_of(date).div_euclid(days) * days;
        let (midnight, next) = match self.window_us < DAY_US {
            true => (self.midnight(day_of(date)), self.midnight(day_of(date) + 1)),
            false => return (self.midnight(first), self.midnight(first + days)),
        };
        let from = midnight + (clamped - midnight).div_euclid(self.window_us) * self.window_us;
        (from, next.min(from + self.window_us))
    }

    /// The start of a window as files are called: `2021-02-15T00-00-00+0530`.
    pub fn stamp(&self, from_us: i64) -> String {
        let at = Timestamp::from_microsecond(from_us).unwrap_or(Timestamp::UNIX_EPOCH);
        at.to_zoned(self.zone.clone()).strftime("%Y-%m-%dT%H-%M-%S%z").to_string()
    }

    fn midnight(&self, day: i64) -> i64 {
        let date = EPOCH.checked_add(jiff::Span::new().days(day)).expect("the time was clamped");
        let at = self.zone.to_timestamp(date.at(0, 0, 0, 0)).expect("the time was clamped");
        at.as_microsecond()
    }
}

const EPOCH: Date = Date::constant(1970, 1, 1);
/// 9000-01-01, so that the end of any window can be said.
const LAST_US: i64 = 221_845_392_000_000_000;

fn day_of(date: Date) -> i64 {
    let days = date.since((jiff::Unit::Day, EPOCH)).map(|span| span.get_days());
    days.map_or(0, i64::from)
}

/// Messages that belong together, from one that starts to one that ends.
#[derive(Clone, Debug)]
pub struct Join {
    /// Cells that are equal in all of them.
    pub by: Vec<Cell>,
    pub within_us: i64,
    pub max: usize,
}

/// All reports and joins that somebody wants.
#[derive(Debug, Default)]
pub struct Reports {
    pub list: Vec<Arc<Report>>,
    pub joins: Vec<Join>,
    /// Reports of which every event gives a row.
    pub every: Vec<u32>,
    /// Joins that every event may be part of.
    pub every_join: Vec<u32>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A report without columns.
    pub fn report(window_us: i64, zone: &str) -> Report {
        Report {
            id: "p.report.r".into(),
            name: "r".into(),
            title: "R".into(),
            heads: Vec::new(),
            cells: Vec::new(),
            window_us,
            zone: TimeZone::get(zone).unwrap(),
            schedule: None,
            formats: Formats::default(),
            retention_us: None,
            join: None,
            merge: None,
            tables: Vec::new(),
            attribution: None,
            shape: 0,
        }
    }

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_microsecond()
    }

    #[test]
    fn windows_begin_at_midnight_of_the_zone() {
        let hour = 3_600_000_000;
        for (window, zone, time, from, to) in [
            (24 * hour, "UTC", "2021-02-15T10:22:07Z", "2021-02-15T00:00:00Z", "2021-02-16T00:00:00Z"),
            (
                24 * hour,
                "Asia/Kolkata",
                "2021-02-15T19:00:00Z",
                "2021-02-15T18:30:00Z",
                "2021-02-16T18:30:00Z",
            ),
            // 23 hours, and 25.
            (
                24 * hour,
                "Europe/Berlin",
                "2021-03-28T10:00:00Z",
                "2021-03-27T23:00:00Z",
                "2021-03-28T22:00:00Z",
            ),
            (
                24 * hour,
                "Europe/Berlin",
                "2021-10-31T10:00:00Z",
                "2021-10-30T22:00:00Z",
                "2021-10-31T23:00:00Z",
            ),
            (hour, "Asia/Kolkata", "2021-02-15T19:00:00Z", "2021-02-15T18:30:00Z", "2021-02-15T19:30:00Z"),
            // The last of a day is what is left of it.
            (7 * hour, "UTC", "2021-02-15T22:00:00Z", "2021-02-15T21:00:00Z", "2021-02-16T00:00:00Z"),
            (7 * 24 * hour, "UTC", "1970-01-09T00:00:00Z", "1970-01-08T00:00:00Z", "1970-01-15T00:00:00Z"),
        ] {
            assert_eq!(report(window, zone).window(at(time)), (at(from), at(to)), "{zone} {time}");
        }
        let report = report(24 * hour, "Asia/Kolkata");
        assert_eq!(report.stamp(at("2021-02-14T18:30:00Z")), "2021-02-15T00-00-00+0530");
        for far in [i64::MIN, i64::MAX] {
            let (from, to) = report.window(far);
            assert!(from < to);
        }
    }
}
