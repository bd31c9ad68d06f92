//! Partial sums that are served as they stand: each shard fills its own, the ledger adds them up.

use crate::batch::ListenerId;
use crate::event::{KindId, Severity};
use crate::parse::heroku;

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
    /// By listener, then kind and severity.
    events: Vec<Vec<u64>>,
    /// By status class, then code.
    router: Vec<u64>,
    /// Messages reported lost, by code.
    lost: Vec<u64>,
    drains: foldhash::HashMap<Box<[u8]>, u64>,
    /// Batches it covers.
    pub batches: u64,
}

fn add(slots: &mut Vec<u64>, index: usize, n: u64, len: usize) {
    if slots.len() < len {
        slots.resize(len, 0);
    }
    slots[index] += n;
}

impl Tally {
    const KINDS_X_SEVERITIES: usize = heroku::KINDS.len() * Severity::ALL.len();

    pub fn event(&mut self, listener: ListenerId, kind: KindId, severity: Severity) {
        let listener = listener.0 as usize;
        if self.events.len() <= listener {
            self.events.resize_with(listener + 1, Vec::new);
        }
        let index = kind.0 as usize * Severity::ALL.len() + severity as usize;
        // Kinds of packs come behind those that the parser knows.
        add(&mut self.events[listener], index, 1, Self::KINDS_X_SEVERITIES.max(index + 1));
    }

    pub fn drain(&mut self, drain: &[u8]) {
        match self.drains.get_mut(drain) {
            Some(count) => *count += 1,
            None => {
                self.drains.insert(drain.into(), 1);
            }
        }
    }

    /// A router line; `status` 0 if it has none.
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
        for (listener, counts) in other.events.iter().enumerate() {
            if self.events.len() <= listener {
                self.events.resize_with(listener + 1, Vec::new);
            }
            for (index, &n) in counts.iter().enumerate().filter(|(_, n)| **n > 0) {
                add(&mut self.events[listener], index, n, Self::KINDS_X_SEVERITIES.max(index + 1));
            }
        }
        for (index, &n) in other.router.iter().enumerate().filter(|(_, n)| **n > 0) {
            add(&mut self.router, index, n, STATUS_CLASSES.len() * CODES);
        }
        for (index, &n) in other.lost.iter().enumerate().filter(|(_, n)| **n > 0) {
            add(&mut self.lost, index, n, CODES);
        }
        for (drain, n) in &other.drains {
            let known = self.drains.contains_key(drain) || self.drains.len() < drain_series;
            let key: &[u8] = if known { drain } else { b"other" };
            *self.drains.entry(key.into()).or_default() += n;
        }
        self.batches += other.batches;
    }

    /// Non-zero counts of events: listener, kind, severity, count.
    pub fn events(&self) -> impl Iterator<Item = (ListenerId, KindId, Severity, u64)> + '_ {
        self.events.iter().enumerate().flat_map(|(listener, counts)| {
            counts.iter().enumerate().filter(|(_, n)| **n > 0).map(move |(index, &n)| {
                let kind = KindId((index / Severity::ALL.len()) as u8);
                (ListenerId(listener as u16), kind, Severity::ALL[index % Severity::ALL.len()], n)
            })
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
        self.drains.iter().map(|(drain, &n)| (&**drain, n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
