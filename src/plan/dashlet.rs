//! Dashlets, compiled: which events count in which table, and by what keys.

use super::concerns::Concerns;
use super::rules::SlotId;
use super::rules::convert::Number;
use super::watch::Part;
use crate::geo::Attribution;

/// What is computed of the events of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    Count,
    Sum(SlotId),
    Avg(SlotId),
    Max(SlotId),
    /// In billionths of a percent.
    Percentile(SlotId, Number),
}

/// A table that grows with every event.
#[derive(Clone, Debug, PartialEq)]
pub struct Dashlet {
    /// Full id: `heroku.dashlet.http_code`.
    pub id: Box<str>,
    pub title: Box<str>,
    /// How it is drawn: `map`, `donut`, `bar`, `stacked_bar`, `line`, `table` or `stat`.
    pub viz: Box<str>,
    /// What a value counts: `events`, or the field's name.
    pub unit: Box<str>,
    /// Names and parts of its keys.
    pub keys: Vec<(Box<str>, Part)>,
    /// Whether its only key is the severity, which needs no look at a table.
    pub by_severity: bool,
    pub aggregate: Aggregate,
    /// What has to be said where it is shown.
    pub attribution: Option<Attribution>,
    /// The smallest step in time that it is asked for, seconds: 60, 3,600 or 86,400, a day being one of the zone.
    pub step_s: u64,
    /// Equal while its sums mean the same.
    pub shape: u64,
}

/// All dashlets of a plan, and when an event counts in them.
#[derive(Debug, Default)]
pub struct Dashlets {
    pub list: Vec<Dashlet>,
    /// In which of them an event counts.
    pub concerns: Concerns,
}
