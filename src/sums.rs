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

/// What the keys of an event are, told apart by two numbers; whoever counts says what they mean.
pub type Mark = [u128; 2];

/// What a sum is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct What {
    mark: Mark,
    minute: i64,
    dashlet: u32,
}

/// Sums of dashlets of one plan. A key may have more than one.
#[derive(Debug)]
pub struct Sums {
    pub of: Arc<Dashlets>,
    pub list: Vec<Sum>,
    pub texts: Vec<u8>,
    /// Place of a sum, and the bin of a value.
    pub bins: Vec<(u32, u64)>,
    /// Events by dashlet and minute for whose key there was no room.
    pub missed: Vec<(u32, i64, u64)>,
    /// By sum.
    whats: Vec<What>,
    /// By hash: place and one more, above it the high half of the hash; zero is none.
    places: Vec<u64>,
    seeds: [u64; 2],
    /// Place and one more of the sum of each severity, of the dashlet that has no other key.
    severities: [u32; 8],
    /// The sum that was last added to, by dashlet.
    last: Vec<u32>,
}

impl Sums {
    /// Sums of these dashlets, none so far, with room for so many and bytes of their keys.
    pub fn new(of: &Arc<Dashlets>, (sums, bytes): (usize, usize)) -> Sums {
        let hasher = RandomState::default();
        let room = sums + sums / 8;
        Sums {
            of: of.clone(),
            list: Vec::with_capacity(room),
            whats: Vec::with_capacity(room),
            texts: Vec::with_capacity(bytes + bytes / 8),
            places: vec![0; (room * 2).next_power_of_two().max(256)],
            bins: Vec::new(),
            missed: Vec::new(),
            seeds: [hasher.hash_one(1), hasher.hash_one(2)],
            severities: [0; 8],
            last: vec![u32::MAX; of.list.len()],
        }
    }

    /// Adds an event of a severity, where that is the only key; `key` makes it if it is new.
    #[inline(always)]
    pub fn severity(&mut self, dashlet: u32, minute: i64, severity: usize, key: impl FnOnce(&mut Vec<u8>)) {
        if let Some(sum) = self.severities[severity].checked_sub(1).map(|at| &mut self.list[at as usize])
            && (sum.dashlet, sum.minute) == (dashlet, minute)
        {
            sum.count += 1;
            return;
        }
        let what = What { mark: [severity as u128, 0], minute, dashlet };
        if let Some(place) = self.place(what, key) {
            self.list[place as usize].count += 1;
            self.severities[severity] = place + 1;
        }
    }

    /// Adds an event; `key` appends the bytes that its mark stands for, if it is new.
    #[inline(always)]
    pub fn count(&mut self, dashlet: u32, minute: i64, mark: Mark, key: impl FnOnce(&mut Vec<u8>)) {
        if let Some(place) = self.place(What { mark, minute, dashlet }, key) {
            self.list[place as usize].count += 1;
        }
    }

    /// Adds an event with its value, and the value's bin where a percentile is asked for.
    pub fn add(
        &mut self,
        dashlet: u32,
        minute: i64,
        mark: Mark,
        (value, bin): (Number, Option<u64>),
        key: impl FnOnce(&mut Vec<u8>),
    ) {
        let Some(place) = self.place(What { mark, minute, dashlet }, key) else { return };
        let sum = &mut self.list[place as usize];
        sum.sum = sum.sum.plus(value);
        sum.max = if sum.count == 0 { value } else { sum.max.max(value) };
        sum.count += 1;
        if let Some(bin) = bin {
            self.bins.push((place, bin));
        }
    }

    #[inline(always)]
    fn place(&mut self, what: What, key: impl FnOnce(&mut Vec<u8>)) -> Option<u32> {
        let last = self.last[what.dashlet as usize];
        if self.whats.get(last as usize) == Some(&what) {
            return Some(last);
        }
        let hash = self.hash(&what);
        let mask = self.places.len() - 1;
        let mut at = hash as usize & mask;
        let place = loop {
            let slot = self.places[at];
            if slot == 0 {
                break self.insert(what, hash, key)?;
            }
            let place = slot as u32 - 1;
            if slot >> 32 == hash >> 32 && self.whats[place as usize] == what {
                break place;
            }
            at = (at + 1) & mask;
        };
        self.last[what.dashlet as usize] = place;
        Some(place)
    }

    #[inline(always)]
    fn hash(&self, what: &What) -> u64 {
        let folded = |a: u64, b: u64| {
            let product = u128::from(a) * u128::from(b);
            product as u64 ^ (product >> 64) as u64
        };
        let [one, two] = what.mark.map(|mark| [mark as u64, (mark >> 64) as u64]);
        let rest = (what.minute as u64) << 24 ^ u64::from(what.dashlet);
        let hash = folded(one[0] ^ self.seeds[0] ^ rest, one[1] ^ self.seeds[1]);
        folded(two[0] ^ hash, two[1] ^ self.seeds[0])
    }

    #[inline(never)]
    fn insert(&mut self, what: What, hash: u64, key: impl FnOnce(&mut Vec<u8>)) -> Option<u32> {
        if self.list.len() >= limits::SUMS || self.bins.len() >= limits::SUMS * 8 {
            self.miss(what.dashlet, what.minute);
            return None;
        }
        if (self.list.len() + 1) * 2 > self.places.len() {
            self.grow();
        }
        let place = self.list.len() as u32;
        self.enter(hash, place);
        let at = self.texts.len() as u32;
        key(&mut self.texts);
        let key = Word { at, len: self.texts.len() as u32 - at };
        let What { minute, dashlet, .. } = what;
        self.list.push(Sum {
            dashlet,
            minute,
            key,
            count: 0,
            sum: Number::default(),
            max: Number::default(),
        });
        self.whats.push(what);
        Some(place)
    }

    /// Puts a sum's place at the first free one for its hash.
    fn enter(&mut self, hash: u64, place: u32) {
        let mask = self.places.len() - 1;
        let mut at = hash as usize & mask;
        while self.places[at] != 0 {
            at = (at + 1) & mask;
        }
        self.places[at] = hash >> 32 << 32 | u64::from(place + 1);
    }

    fn miss(&mut self, dashlet: u32, minute: i64) {
        match self.missed.iter_mut().find(|one| (one.0, one.1) == (dashlet, minute)) {
            Some(one) => one.2 += 1,
            None => self.missed.push((dashlet, minute, 1)),
        }
    }

    #[cold]
    fn grow(&mut self) {
        let len = self.places.len() * 2;
        self.places.clear();
        self.places.resize(len, 0);
        for place in 0..self.whats.len() {
            let hash = self.hash(&self.whats[place]);
            self.enter(hash, place as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_and_minute_has_one_sum() {
        let mut sums = Sums { last: vec![u32::MAX; 2], ..Sums::new(&Arc::default(), (0, 0)) };
        for n in 0..3_000u64 {
            let key = (n % 700).to_le_bytes();
            let mark = [u128::from(n % 700) << 64, 7];
            let made = |out: &mut Vec<u8>| out.extend_from_slice(&key);
            sums.add((n % 2) as u32, (n / 1_500) as i64, mark, (Number::of(n), None), made);
        }
        // 700 keys are even or odd: each belongs to one dashlet, and comes in both halves.
        assert_eq!(sums.list.len(), 1_400);
        assert_eq!(sums.list.iter().map(|sum| sum.count).sum::<u64>(), 3_000);
        let one = sums.list.iter().find(|sum| sum.key.of(&sums.texts) == 7u64.to_le_bytes()).unwrap();
        assert_eq!((one.count, one.sum, one.max), (3, Number::of(7 + 707 + 1_407), Number::of(1_407)));
    }
}
