//! Partial sums of dashlets: each shard fills its own, the ledger adds them up.
//!
//! A sum is of one dashlet, key and minute; adding sums up in any order gives the same.

use core::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::limits;
use crate::plan::dashlet::Dashlets;
use crate::plan::rules::convert::Number;
use crate::signal::Word;

/// Events of one dashlet, key and minute.
#[derive(Clone, Debug)]
pub struct Sum {
    pub dashlet: u32,
    /// Minutes since 1970.
    pub minute: i64,
    /// As `signal::values` reads it.
    pub key: Word,
    pub count: u64,
    pub sum: Number,
    pub max: Number,
}

/// Sums of dashlets of one plan.
#[derive(Debug, Default)]
pub struct Sums {
    pub of: Arc<Dashlets>,
    pub list: Vec<Sum>,
    pub texts: Vec<u8>,
    /// Place of a sum, and the bin of a value.
    pub bins: Vec<(u32, u64)>,
    /// Events by dashlet and minute for whose key there was no room.
    pub missed: Vec<(u32, i64, u64)>,
    /// Place and one more, by hash; zero is none.
    places: Vec<u32>,
    hasher: RandomState,
    /// Place and one more of the sum of each severity, of the dashlet that has no other key.
    severities: [u32; 8],
    /// The sum that was last added to, by dashlet.
    last: Vec<u32>,
}

impl Sums {
    /// Sums of these dashlets, none so far.
    pub fn new(of: &Arc<Dashlets>) -> Sums {
        Sums { of: of.clone(), last: vec![u32::MAX; of.list.len()], ..Sums::default() }
    }

    /// Adds an event of a severity, where that is the only key; `key` makes it if it is new.
    #[inline]
    pub fn severity(&mut self, dashlet: u32, minute: i64, severity: usize, key: impl FnOnce(&mut Vec<u8>)) {
        if let Some(sum) = self.severities[severity].checked_sub(1).map(|at| &mut self.list[at as usize])
            && (sum.dashlet, sum.minute) == (dashlet, minute)
        {
            sum.count += 1;
            return;
        }
        let mut made = Vec::new();
        key(&mut made);
        if let Some(place) = self.place(dashlet, minute, &made) {
            self.list[place as usize].count += 1;
            self.severities[severity] = place + 1;
        }
    }

    /// Adds an event with its value; `bin` is the value's where a percentile is asked for.
    #[inline]
    pub fn add(&mut self, dashlet: u32, minute: i64, key: &[u8], value: Option<Number>, bin: Option<u64>) {
        let Some(place) = self.place(dashlet, minute, key) else { return };
        let sum = &mut self.list[place as usize];
        if let Some(value) = value {
            sum.sum = sum.sum.plus(value);
            sum.max = if sum.count == 0 { value } else { sum.max.max(value) };
        }
        sum.count += 1;
        if let Some(bin) = bin {
            self.bins.push((place, bin));
        }
    }

    fn place(&mut self, dashlet: u32, minute: i64, key: &[u8]) -> Option<u32> {
        let last = self.last.get(dashlet as usize).copied().unwrap_or(u32::MAX);
        if let Some(sum) = self.list.get(last as usize)
            && sum.minute == minute
            && sum.key.of(&self.texts) == key
        {
            return Some(last);
        }
        if (self.list.len() + 1) * 2 > self.places.len() {
            self.grow();
        }
        let hash = self.hasher.hash_one(key) ^ u64::from(dashlet) ^ (minute as u64) << 16;
        let mut at = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let mask = self.places.len() as u64 - 1;
        let place = loop {
            let slot = &mut self.places[(at & mask) as usize];
            let Some(place) = slot.checked_sub(1) else {
                if self.list.len() >= limits::SUMS || self.bins.len() >= limits::SUMS * 8 {
                    self.miss(dashlet, minute);
                    return None;
                }
                *slot = self.list.len() as u32 + 1;
                let key = Word::push(key, &mut self.texts);
                let (sum, max) = (Number::default(), Number::default());
                self.list.push(Sum { dashlet, minute, key, count: 0, sum, max });
                break self.list.len() as u32 - 1;
            };
            let sum = &self.list[place as usize];
            if (sum.dashlet, sum.minute) == (dashlet, minute) && sum.key.of(&self.texts) == key {
                break place;
            }
            at += 1;
        };
        self.last[dashlet as usize] = place;
        Some(place)
    }

    fn miss(&mut self, dashlet: u32, minute: i64) {
        match self.missed.iter_mut().find(|one| (one.0, one.1) == (dashlet, minute)) {
            Some(one) => one.2 += 1,
            None => self.missed.push((dashlet, minute, 1)),
        }
    }

    fn grow(&mut self) {
        let len = (self.places.len() * 2).max(256);
        self.places.clear();
        self.places.resize(len, 0);
        for (place, sum) in self.list.iter().enumerate() {
            let key = sum.key.of(&self.texts);
            let hash = self.hasher.hash_one(key) ^ u64::from(sum.dashlet) ^ (sum.minute as u64) << 16;
            let mut at = (hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & (len - 1);
            while self.places[at] != 0 {
                at = (at + 1) & (len - 1);
            }
            self.places[at] = place as u32 + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_and_minute_has_one_sum() {
        let mut sums = Sums { last: vec![u32::MAX; 2], ..Sums::default() };
        for n in 0..3_000u64 {
            let key = (n % 700).to_le_bytes();
            sums.add((n % 2) as u32, (n / 1_500) as i64, &key, Some(Number::of(n)), None);
        }
        // 700 keys are even or odd: each belongs to one dashlet, and comes in both halves.
        assert_eq!(sums.list.len(), 1_400);
        assert_eq!(sums.list.iter().map(|sum| sum.count).sum::<u64>(), 3_000);
        let one = sums.list.iter().find(|sum| sum.key.of(&sums.texts) == 7u64.to_le_bytes()).unwrap();
        assert_eq!((one.count, one.sum, one.max), (3, Number::of(7 + 707 + 1_407), Number::of(1_407)));
    }
}
