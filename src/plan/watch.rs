//! Alerts, compiled: what shards gather of events, and by what the ledger decides.
//!
//! Names are resolved to slots of the program, times are microseconds. What an alert means is PACKS.md's business.

use std::sync::Arc;

use super::dashlet::Dashlets;
use super::metric::Metrics;
use super::report::Reports;
use super::rules::SlotId;
use super::rules::cond::Compare;
use super::rules::convert::Number;
use super::{Drain, Plan};

/// Whether somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Counted, nobody is told.
    Shadow,
    On,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Mode::Shadow => "shadow",
            Mode::On => "on",
        }
    }
}

/// How bad an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Urgency {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

impl Urgency {
    pub const ALL: [Urgency; 5] =
        [Urgency::Info, Urgency::Low, Urgency::Medium, Urgency::High, Urgency::Critical];

    pub fn name(self) -> &'static str {
        ["info", "low", "medium", "high", "critical"][self as usize]
    }
}

/// What all records of one alert say.
#[derive(Debug, PartialEq, Eq)]
pub struct About {
    /// Full id: `heroku.alert.auth_failure`.
    pub alert: Box<str>,
    pub title: Box<str>,
    pub severity: Urgency,
    /// 0 to 100.
    pub threat: u8,
    pub mode: Mode,
    /// Id and version.
    pub pack: (Box<str>, Box<str>),
    /// Empty if there is none.
    pub runbook: Box<str>,
    /// Notifiers by name; empty: all.
    pub notify: Vec<Box<str>>,
}

/// A part of an event that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Slot(SlotId),
    /// The same, written as a number.
    Number(SlotId),
    /// The configured name of the sender, else its drain.
    Computer(SlotId),
    Id,
    Time,
    Received,
}

/// What a match of a watched condition is to an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The event counts.
    Counts {
        alert: u32,
    },
    /// It is one of those that a ratio compares with all that count.
    Of {
        alert: u32,
    },
    /// It is this step.
    Step {
        alert: u32,
        step: u8,
    },
    /// It gives a row of this report.
    Row {
        report: u32,
    },
    /// It is a message that this join may put together with others, the first of them, the last.
    Joins {
        join: u32,
    },
    Starts {
        join: u32,
    },
    Ends {
        join: u32,
    },
}

/// A window that slides in event time, by sub-buckets `floor(time / width)` since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub over_us: i64,
    pub width_us: i64,
    /// Sub-buckets of one window: the current one and those before it that `over` reaches into.
    pub len: i64,
}

impl Window {
    /// A window of `over_us`, of which 16 sub-buckets are made, none shorter than a second.
    pub fn new(over_us: i64) -> Window {
        let width_us = (over_us / 16).max(1_000_000);
        Window { over_us, width_us, len: (over_us + width_us - 1) / width_us + 1 }
    }

    /// The sub-bucket that a time lies in.
    pub fn bucket(&self, time_us: i64) -> i64 {
        time_us.div_euclid(self.width_us)
    }

    /// Start of the window that ends with `bucket`.
    pub fn starts(&self, bucket: i64) -> i64 {
        (bucket - self.len + 1) * self.width_us
    }

    /// End of the window that ends with `bucket`.
    pub fn ends(&self, bucket: i64) -> i64 {
        (bucket + 1) * self.width_us
    }
}

/// Which keys have to be heard of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Those that were heard of three times, for a week.
    Learned,
    /// These values of the only key.
    List(Vec<Box<str>>),
}

/// What an alert looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// Each event is an episode.
    Each,
    /// How many; `exact` by event times.
    Count {
        exact: bool,
    },
    /// How many values.
    Distinct(SlotId),
    Sum(SlotId),
    Avg(SlotId),
    /// Of the values, in billionths of a percent.
    Percentile(SlotId, Number),
    Ratio,
    /// So many steps.
    AllOf(u8),
    /// By step: whether it must not come.
    Sequence(Box<[bool]>),
    Absent(Expect),
}

/// What the value is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    pub compare: Compare,
    pub to: Number,
}

impl Bound {
    pub fn holds(&self, value: Number) -> bool {
        match self.compare {
            Compare::Equal => value == self.to,
            Compare::Less => value < self.to,
            Compare::LessOrEqual => value <= self.to,
            Compare::Greater => value > self.to,
            Compare::GreaterOrEqual => value >= self.to,
        }
    }

    /// Whether more can only make it truer.
    pub fn is_from_below(&self) -> bool {
        matches!(self.compare, Compare::Greater | Compare::GreaterOrEqual)
    }
}

/// Episodes of equal keys are only counted for a while after one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppress {
    /// Of `Form::Each` places in `Alert::by`, else in the key.
    pub by: Vec<u8>,
    pub for_us: i64,
}

/// An alert that holds this one back while it fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inhibitor {
    pub alert: u32,
    /// Places of keys that must be equal: in its key, in this one's.
    pub equal: Vec<(u8, u8)>,
}

/// A piece of a summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Text(Box<str>),
    Value,
    /// Place in the key.
    Key(u8),
    /// Place in `Alert::args`.
    Arg(u8),
}

/// Which drains an alert looks at: all that one of these lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DrainGlob {
    /// A drain or its computer.
    Name(Box<str>),
    /// A label and its value.
    Label(Box<str>, Box<str>),
}

/// An alert that is on, or counted in shadow.
#[derive(Debug)]
pub struct Alert {
    pub about: Arc<About>,
    /// Equal while its state means the same: its conditions, window, keys and what it adds up.
    pub shape: u64,
    pub form: Form,
    /// That of `Form::Each` is never looked at.
    pub window: Window,
    pub bound: Option<Bound>,
    pub min_count: u64,
    /// Names and parts, the drain first unless drains are not told apart.
    pub key: Vec<(Box<str>, Part)>,
    pub has_drain: bool,
    /// What `suppress` goes by where each event is an episode.
    pub by: Vec<Part>,
    pub suppress: Option<Suppress>,
    pub hold_us: i64,
    pub keep_us: i64,
    pub inhibitors: Vec<Inhibitor>,
    /// Inhibitors come before what they inhibit, where both are due at once.
    pub rank: u32,
    /// Absent: all drains.
    pub drains: Option<Vec<DrainGlob>>,
    pub summary: Vec<Piece>,
    /// What the summary shows of the last event.
    pub args: Vec<Part>,
}

impl Alert {
    /// Whether somebody is told before all has come: what holds once stays true.
    pub fn gives_notice(&self) -> bool {
        let from_below = || self.bound.is_some_and(|bound| bound.is_from_below());
        let truer = match &self.form {
            Form::Each | Form::AllOf(_) => true,
            Form::Count { .. } | Form::Sum(_) | Form::Distinct(_) => from_below(),
            Form::Sequence(steps) => !steps.contains(&true),
            Form::Avg(_) | Form::Percentile(..) | Form::Ratio | Form::Absent(_) => false,
        };
        truer && self.hold_us == 0 && self.inhibitors.is_empty()
    }

    /// Whether it looks at events of a drain.
    pub fn takes_drain(&self, plan: &Plan, token: &str) -> bool {
        let Some(globs) = &self.drains else { return true };
        let drain: Option<&Drain> = plan.drains.get(token);
        let computer = drain.and_then(|drain| drain.computer.as_deref()).or(plan.default_computer.as_deref());
        globs.iter().any(|one| match one {
            DrainGlob::Name(name) => {
                glob(name, token) || computer.is_some_and(|computer| glob(name, computer))
            }
            DrainGlob::Label(name, value) => {
                let labels = drain.map_or(&[][..], |drain| &drain.labels);
                labels.iter().any(|(known, text)| known == name && glob(value, text))
            }
        })
    }
}

/// Whether the whole of a text matches a pattern in which `*` stands for anything; case counts.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut pieces = rest.split('*').collect::<Vec<_>>();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some(at) = text.find(piece) else { return false };
        text = &text[at + piece.len()..];
    }
    text.ends_with(last)
}

/// All that is watched.
#[derive(Debug, Default)]
pub struct Watch {
    pub alerts: Vec<Alert>,
    /// By watch of the program; those of dashlets and metrics come behind.
    pub roles: Vec<Role>,
    /// Alerts for which every event counts.
    pub every: Vec<u32>,
    pub reports: Reports,
    pub dashlets: Arc<Dashlets>,
    pub metrics: Arc<Metrics>,
}

/// How the ledger keeps its windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// How late an event may come and still count.
    pub lateness_us: i64,
    /// How far in the future a time may lie before it counts as its arrival.
    pub skew_max_us: i64,
    /// Keys of one alert.
    pub keys_max: usize,
}

impl Default for Ledger {
    fn default() -> Ledger {
        Ledger { lateness_us: 60_000_000, skew_max_us: 0, keys_max: 100_000 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_never_shorter_than_asked_and_at_most_a_sub_bucket_longer() {
        for (over_s, width_us, len) in
            [(600, 37_500_000, 17), (5, 1_000_000, 6), (16, 1_000_000, 17), (300, 18_750_000, 17)]
        {
            let window = Window::new(over_s * 1_000_000);
            assert_eq!((window.width_us, window.len), (width_us, len), "{over_s}");
            let bucket = window.bucket(1_767_225_600_000_000);
            assert_eq!(window.ends(bucket) - window.starts(bucket), width_us * len);
        }
        assert_eq!(Window::new(5_000_000).bucket(-1), -1);
    }

    #[test]
    fn globs_of_drains() {
        for (pattern, text, holds) in [
            ("shop-*", "shop-eu", true),
            ("shop-*", "a shop-eu", false),
            ("*", "", true),
            ("*-eu-*", "shop-eu-1", true),
            ("a*a", "a", false),
            ("shop", "shop-eu", false),
        ] {
            assert_eq!(glob(pattern, text), holds, "{pattern} {text}");
        }
    }
}
