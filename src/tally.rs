//! Partial sums that are served as they stand: each shard fills its own, the ledger adds them up.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::batch::ListenerId;
use crate::event::{KindId, Severity};
use crate::limits;
use crate::samples::Samples;
use crate::sums::Sums;

/// Router status classes: none, 1xx to 5xx, other.
pub const STATUS_CLASSES: [&str; 7] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx", "other"];

/// Codes `H00` to `H99`, `R00` to `R99`, `L00` to `L99`, then "no code".
const CODES: usize = 301;
const NO_CODE: usize = CODES - 1;

/// Where a code counts; anything that is no H, R or L with two digits counts as none.
fn code_index(code: &[u8]) -> usize {
    match code {
        [letter @ (b'H' | b'R' | b'L'), tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => {
            let letter = match letter {
                b'H' => 0,
                b'R' => 100,
                _ => 200,
            };
            letter + (tens - b'0') as usize * 10 + (ones - b'0') as usize
        }
        _ => NO_CODE,
    }
}

/// The code at an index, empty for none.
fn code_name(index: usize) -> String {
    match index {
        NO_CODE => String::new(),
        _ => format!("{}{:02}", ["H", "R", "L"][index / 100], index % 100),
    }
}

/// Counts since the last hand-over.
#[derive(Debug, Default)]
pub struct Tally {
    /// By listener, kind and severity.
    events: Vec<u64>,
    /// By status class, then code.
    router: Vec<u64>,
    /// Messages reported lost, by code.
    lost: Vec<u64>,
    drains: Drains,
    /// Places that masks covered, by mask.
    pub redacted: Named,
    /// Events by category.
    pub categories: Named,
    /// Values that did not convert to their field's type.
    pub unconverted: u64,
    /// Fields that two objects of packs wrote on one event.
    pub conflicts: u64,
    /// Of dashlets, by plan.
    pub sums: Vec<Sums>,
    /// Of metrics, by plan.
    pub samples: Vec<Samples>,
    /// Batches it covers.
    pub batches: u64,
}

/// Adds `n` to a place; places are made in steps of `step`.
#[inline(always)]
fn add(places: &mut Vec<u64>, index: usize, n: u64, step: usize) {
    match places.get_mut(index) {
        Some(place) => *place += n,
        None => add_new(places, index, n, step),
    }
}

#[cold]
fn add_new(places: &mut Vec<u64>, index: usize, n: u64, step: usize) {
    places.resize((index / step + 1) * step, 0);
    places[index] += n;
}

impl Tally {
    /// Places of a listener: for as many kinds as packs can name.
    const KINDS_X_SEVERITIES: usize = KindId::COUNT * Severity::ALL.len();

    #[inline(always)]
    pub fn event(&mut self, listener: ListenerId, kind: KindId, severity: Severity) {
        let kind_and_severity = kind.0 as usize * Severity::ALL.len() + severity as usize;
        let index = listener.0 as usize * Self::KINDS_X_SEVERITIES + kind_and_severity;
        add(&mut self.events, index, 1, Self::KINDS_X_SEVERITIES);
    }

    #[inline(always)]
    pub fn drain(&mut self, drain: &[u8]) {
        self.drains.add(drain, 1);
    }

    /// A router line; `status` 0 if it has none.
    #[inline(always)]
    pub fn router(&mut self, status: u64, code: &[u8]) {
        let class = match status {
            0 => 0,
            100..=599 => (status / 100) as usize,
            _ => 6,
        };
        add(&mut self.router, class * CODES + code_index(code), 1, STATUS_CLASSES.len() * CODES);
    }

    /// A loss notice of `messages`.
    pub fn lost(&mut self, code: &[u8], messages: u64) {
        add(&mut self.lost, code_index(code), messages, CODES);
    }

    /// Adds `other` to it. `drain_series` bounds the drains told apart; the rest counts under `other`.
    pub fn merge(&mut self, other: &Tally, drain_series: usize) {
        for (index, &n) in other.events.iter().enumerate().filter(|(_, n)| **n > 0) {
            add(&mut self.events, index, n, Self::KINDS_X_SEVERITIES);
        }
        for (index, &n) in other.router.iter().enumerate().filter(|(_, n)| **n > 0) {
            add(&mut self.router, index, n, STATUS_CLASSES.len() * CODES);
        }
        for (index, &n) in other.lost.iter().enumerate().filter(|(_, n)| **n > 0) {
            add(&mut self.lost, index, n, CODES);
        }
        for (drain, n) in other.drains.all() {
            let known = self.drains.knows(drain) || self.drains.counts.len() < drain_series;
            self.drains.add(if known { drain } else { b"other" }, n);
        }
        self.redacted.merge(&other.redacted);
        self.categories.merge(&other.categories);
        self.unconverted += other.unconverted;
        self.conflicts += other.conflicts;
        self.batches += other.batches;
    }

    /// Non-zero counts of events: listener, kind, severity, count.
    pub fn events(&self) -> impl Iterator<Item = (ListenerId, KindId, Severity, u64)> + '_ {
        self.events.iter().enumerate().filter(|(_, n)| **n > 0).map(|(index, &n)| {
            let listener = ListenerId((index / Self::KINDS_X_SEVERITIES) as u16);
            let kind = KindId((index % Self::KINDS_X_SEVERITIES / Severity::ALL.len()) as u8);
            (listener, kind, Severity::ALL[index % Severity::ALL.len()], n)
        })
    }

    /// Non-zero counts of router lines: status class, code or empty, count.
    pub fn routers(&self) -> impl Iterator<Item = (&'static str, String, u64)> + '_ {
        self.router
            .iter()
            .enumerate()
            .filter(|(_, n)| **n > 0)
            .map(|(index, &n)| (STATUS_CLASSES[index / CODES], code_name(index % CODES), n))
    }

    /// Messages reported lost, by code.
    pub fn losses(&self) -> impl Iterator<Item = (String, u64)> + '_ {
        self.lost.iter().enumerate().filter(|(_, n)| **n > 0).map(|(index, &n)| (code_name(index), n))
    }

    /// Events by drain, in no order.
    pub fn drains(&self) -> impl Iterator<Item = (&[u8], u64)> + '_ {
        self.drains.all()
    }
}

/// Counts by name, where the names are a table of the plan: it may be another after a reload.
#[derive(Debug, Default)]
pub struct Named {
    names: Option<Arc<[Box<str>]>>,
    /// By name of the table.
    counts: Vec<u64>,
    /// Of tables before, and what was merged.
    others: BTreeMap<Box<str>, u64>,
}

impl Named {
    /// Counts go by this table from now on.
    #[inline(always)]
    pub fn turn_to(&mut self, names: &Arc<[Box<str>]>) {
        if !self.names.as_ref().is_some_and(|known| Arc::ptr_eq(known, names)) {
            self.turn(names);
        }
    }

    #[cold]
    fn turn(&mut self, names: &Arc<[Box<str>]>) {
        let before = core::mem::take(self);
        self.merge(&before);
        self.names = Some(names.clone());
        self.counts.resize(names.len(), 0);
    }

    /// Adds to the name at an index of the table.
    #[inline(always)]
    pub fn add(&mut self, index: usize, n: u64) {
        if let Some(count) = self.counts.get_mut(index) {
            *count += n;
        }
    }

    /// Adds another's counts; names beyond `limits::NAMED_SERIES` count under `other`.
    fn merge(&mut self, other: &Named) {
        for (name, n) in other.all() {
            if let Some(count) = self.others.get_mut(name) {
                *count += n;
                continue;
            }
            let known = self.others.len() < limits::NAMED_SERIES;
            *self.others.entry(if known { name } else { "other" }.into()).or_default() += n;
        }
    }

    /// Non-zero counts by name; a name may come twice.
    pub fn all(&self) -> impl Iterator<Item = (&str, u64)> + '_ {
        let names = self.names.iter().flat_map(|names| names.iter());
        let own = names.zip(&self.counts).map(|(name, n)| (&**name, *n));
        own.chain(self.others.iter().map(|(name, n)| (&**name, *n))).filter(|(_, n)| *n > 0)
    }
}

/// Counts by drain: few drains send most events, so where a count lies is mostly known without a look at the map.
#[derive(Debug)]
struct Drains {
    counts: Vec<(Box<[u8]>, u64)>,
    /// Where in `counts` a drain is.
    places: foldhash::HashMap<Box<[u8]>, u32>,
    /// The places of drains met lately, by a piece of their token.
    lately: [u32; LATELY],
}

const LATELY: usize = 1 << LATELY_BITS;
const LATELY_BITS: u32 = 9;

impl Default for Drains {
    fn default() -> Drains {
        Drains { counts: Vec::new(), places: Default::default(), lately: [0; LATELY] }
    }
}

impl Drains {
    #[inline(always)]
    fn add(&mut self, drain: &[u8], n: u64) {
        let slot = slot(drain);
        if let Some((known, count)) = self.counts.get_mut(self.lately[slot] as usize)
            && same(known, drain)
        {
            *count += n;
            return;
        }
        self.look_up(drain, n, slot);
    }

    #[inline(never)]
    fn look_up(&mut self, drain: &[u8], n: u64, slot: usize) {
        let place = match self.places.get(drain) {
            Some(&place) => place,
            None => {
                let place = self.counts.len() as u32;
                self.places.insert(drain.into(), place);
                self.counts.push((drain.into(), 0));
                place
            }
        };
        self.counts[place as usize].1 += n;
        self.lately[slot] = place;
    }

    fn knows(&self, drain: &[u8]) -> bool {
        self.places.contains_key(drain)
    }

    fn all(&self) -> impl Iterator<Item = (&[u8], u64)> + '_ {
        self.counts.iter().map(|(drain, n)| (&**drain, *n))
    }
}

/// A place in `Drains::lately`: of a token, by the first digits behind its `d.`.
#[inline(always)]
fn slot(drain: &[u8]) -> usize {
    let piece =
        drain.get(2..10).and_then(|piece| piece.first_chunk()).map_or(0, |piece| u64::from_le_bytes(*piece));
    (piece.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - LATELY_BITS)) as usize
}

/// Whether two drains are equal; tokens, which have one length, without a call.
#[inline(always)]
fn same(one: &[u8], other: &[u8]) -> bool {
    match (<&[u8; TOKEN]>::try_from(one), <&[u8; TOKEN]>::try_from(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

/// Bytes of `d.` and a UUID.
const TOKEN: usize = 38;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::heroku;

    #[test]
    fn codes_have_places_of_their_own() {
        for code in ["H12", "R14", "L10", "H00", "L99"] {
            assert_eq!(code_name(code_index(code.as_bytes())), code);
        }
        for none in ["", "H1", "X12", "H123", "h12"] {
            assert_eq!(code_name(code_index(none.as_bytes())), "", "{none}");
        }
    }

    #[test]
    fn kinds_of_packs_have_places_of_their_own() {
        let known = heroku::KINDS.len() as u8;
        let kinds = [0, known - 1, known, u8::MAX].map(KindId);
        let (mut sum, mut part) = (Tally::default(), Tally::default());
        let mut expected = Vec::new();
        for listener in [0, 2].map(ListenerId) {
            for kind in kinds {
                for severity in [Severity::Emergency, Severity::Debug] {
                    part.event(listener, kind, severity);
                    expected.push((listener, kind, severity, 2));
                }
            }
        }
        sum.merge(&part, 1);
        sum.merge(&part, 1);
        assert_eq!(sum.events().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn counts_by_name_outlive_their_table() {
        let table = |names: &[&str]| -> Arc<[Box<str>]> { names.iter().map(|name| (*name).into()).collect() };
        let (first, second) = (table(&["a", "b"]), table(&["b", "c"]));
        let (mut sum, mut part) = (Tally::default(), Tally::default());
        part.categories.turn_to(&first);
        part.categories.add(1, 2);
        part.categories.turn_to(&second);
        part.categories.add(0, 3);
        part.categories.add(1, 1);
        part.categories.add(7, 1);
        for _ in 0..2 {
            sum.merge(&part, 1);
        }
        assert_eq!(sum.categories.all().collect::<Vec<_>>(), [("b", 10), ("c", 2)]);
        let many: Vec<String> = (0..limits::NAMED_SERIES + 9).map(|n| n.to_string()).collect();
        let many = table(&many.iter().map(String::as_str).collect::<Vec<_>>());
        let mut part = Tally::default();
        part.redacted.turn_to(&many);
        (0..many.len()).for_each(|index| part.redacted.add(index, 1));
        sum.merge(&part, 1);
        assert_eq!(sum.redacted.all().count(), limits::NAMED_SERIES + 1);
        assert_eq!(sum.redacted.all().find(|(name, _)| *name == "other"), Some(("other", 9)));
    }

    #[test]
    fn merging_adds_and_bounds_the_drains() {
        let (mut sum, mut part) = (Tally::default(), Tally::default());
        for drain in ["a", "b", "b", "c"] {
            part.drain(drain.as_bytes());
        }
        part.router(503, b"H12");
        part.lost(b"L10", 7);
        part.event(ListenerId(1), KindId(0), Severity::Error);
        sum.merge(&part, 3);
        sum.merge(&part, 3);
        part.drain(b"d");
        sum.merge(&part, 3);
        assert_eq!(sum.drains().map(|(_, n)| n).sum::<u64>(), 13);
        assert_eq!(sum.drains().find(|(drain, _)| *drain == b"other").map(|(_, n)| n), Some(1));
        assert_eq!(sum.routers().collect::<Vec<_>>(), [("5xx", "H12".to_string(), 3)]);
        assert_eq!(sum.losses().collect::<Vec<_>>(), [("L10".to_string(), 21)]);
        assert_eq!(sum.events().collect::<Vec<_>>(), [(ListenerId(1), KindId(0), Severity::Error, 3)]);
    }
}
