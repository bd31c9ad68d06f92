//! What the summaries of a window come to.

use std::collections::BTreeMap;

use crate::ledger::kept::kept;
use crate::plan::report::{Aggregate, Report, Table};
use crate::plan::rules::convert::Number;
use crate::signal::bin_of;

/// What one figure has seen.
#[derive(Clone, Debug, Default)]
struct Sum {
    count: u64,
    sum: Number,
    max: Option<Number>,
    /// By bin how many values there are and what they add up to, where a percentile is asked for.
    bins: BTreeMap<u64, (u64, Number)>,
}

kept!(Sum { count, sum, max, bins });

type Groups = BTreeMap<Vec<Option<Box<[u8]>>>, Vec<Sum>>;

/// Sums of one window, by table and keys.
#[derive(Debug, Default)]
pub(super) struct Sums {
    tables: Vec<Groups>,
}

kept!(Sums { tables });

/// Stands for the keys beyond the cap.
const OTHER: &[u8] = b"other";

impl Sums {
    /// Adds an event's cells; keys beyond `keys_max` go to one group.
    pub fn add(&mut self, report: &Report, all: &[Option<&[u8]>], keys_max: usize) {
        self.tables.resize_with(report.tables.len(), Groups::new);
        for (groups, table) in self.tables.iter_mut().zip(&report.tables) {
            let cell = |at: u16| all.get(usize::from(at)).copied().flatten();
            let mut keys: Vec<Option<Box<[u8]>>> =
                table.by.iter().map(|(_, at)| cell(*at).map(Into::into)).collect();
            if groups.len() >= keys_max && !groups.contains_key(&keys) {
                keys.fill(Some(OTHER.into()));
            }
            let sums = groups.entry(keys).or_insert_with(|| vec![Sum::default(); table.figures.len()]);
            for (sum, figure) in sums.iter_mut().zip(&table.figures) {
                let value = match figure.of {
                    None => Number::default(),
                    Some(at) => match cell(at).and_then(Number::parse) {
                        Some(value) => value,
                        None => continue,
                    },
                };
                sum.count += 1;
                sum.sum = sum.sum.plus(value);
                sum.max = sum.max.max(Some(value));
                if let Aggregate::Percentile(_) = figure.aggregate {
                    let (count, of_bin) = sum.bins.entry(bin_of(value)).or_default();
                    (*count, *of_bin) = (*count + 1, of_bin.plus(value));
                }
            }
        }
    }

    /// The rows of each table, by their keys; numbers before texts, by value.
    pub fn tables(&self, report: &Report) -> Vec<Vec<Vec<Box<str>>>> {
        let empty = Groups::new();
        let with = report.tables.iter().enumerate();
        with.map(|(at, table)| rows(self.tables.get(at).unwrap_or(&empty), table)).collect()
    }
}

fn rows(groups: &Groups, table: &Table) -> Vec<Vec<Box<str>>> {
    let number = |key: &Option<Box<[u8]>>| key.as_deref().and_then(Number::parse);
    let mut sorted: Vec<_> = groups.iter().collect();
    sorted.sort_by(|(a, _), (b, _)| {
        let pairs = a.iter().zip(*b).map(|(a, b)| match (number(a), number(b)) {
            (Some(a), Some(b)) => a.cmp(&b),
            (a_number, b_number) => b_number.is_some().cmp(&a_number.is_some()).then_with(|| a.cmp(b)),
        });
        pairs.fold(core::cmp::Ordering::Equal, core::cmp::Ordering::then)
    });
    let row = |(keys, sums): (&Vec<Option<Box<[u8]>>>, &Vec<Sum>)| {
        let keys = keys.iter().map(|key| text(key.as_deref().unwrap_or_default()));
        let figures = sums.iter().zip(&table.figures).map(|(sum, figure)| shown(sum, figure.aggregate));
        keys.chain(figures).collect()
    };
    sorted.into_iter().map(row).collect()
}

fn text(bytes: &[u8]) -> Box<str> {
    String::from_utf8_lossy(bytes).into()
}

/// A figure as it is written; of nothing there is only a count and a sum.
fn shown(sum: &Sum, aggregate: Aggregate) -> Box<str> {
    let mut out = Vec::new();
    let value = match aggregate {
        Aggregate::Count => Some(Number::of(sum.count)),
        Aggregate::Sum => Some(sum.sum),
        Aggregate::Max => sum.max,
        Aggregate::Avg => mean(sum.count, sum.sum),
        Aggregate::Percentile(p) => {
            let rank = (u128::from(sum.count) * u128::from(p)).div_ceil(100) as u64;
            let mut before = 0;
            let bin = sum.bins.values().find(|(count, _)| {
                before += count;
                before >= rank.max(1)
            });
            // The values of a bin are within 1/32 of one another; where they are equal this is exact.
            bin.and_then(|(count, of_bin)| mean(*count, *of_bin))
        }
    };
    value.inspect(|value| value.write(&mut out));
    text(&out)
}

/// A mean with three digits behind the point.
fn mean(count: u64, sum: Number) -> Option<Number> {
    let count = Some(i128::from(count)).filter(|count| *count > 0)?;
    Some(Number::of_billionths(sum.billionths() / count / 1_000_000 * 1_000_000))
}
