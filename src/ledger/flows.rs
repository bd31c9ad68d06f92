//! How many events of each drain were seen, and how many its senders say were lost, by ten seconds of event time.

use std::collections::VecDeque;

use super::kept::{Kept, put_all};
use crate::limits;
use crate::signal::Flow;

/// Seen and lost by drain, as far back as a window can reach.
#[derive(Debug, Default)]
pub struct Flows {
    drains: foldhash::HashMap<Box<[u8]>, VecDeque<(i64, u64, u64)>>,
}

impl Flows {
    /// Adds what a batch saw of a drain; forgets what is older than `from_us`. Drains beyond the cap are not told apart.
    pub fn add(&mut self, drain: &[u8], flow: &Flow, from_us: i64) {
        let known = self.drains.len() < limits::DRAIN_SERIES || self.drains.contains_key(drain);
        let drain = if known { drain } else { b"other" };
        if !self.drains.contains_key(drain) {
            self.drains.insert(drain.into(), VecDeque::new());
        }
        let buckets = self.drains.get_mut(drain).expect("it was just put there");
        let at = buckets.partition_point(|(bucket, ..)| *bucket < flow.bucket);
        match buckets.get_mut(at).filter(|(bucket, ..)| *bucket == flow.bucket) {
            Some((_, seen, lost)) => (*seen, *lost) = (*seen + flow.seen, *lost + flow.lost),
            None => buckets.insert(at, (flow.bucket, flow.seen, flow.lost)),
        }
        while buckets.front().is_some_and(|(bucket, ..)| (bucket + 1) * Flow::WIDTH_US <= from_us) {
            buckets.pop_front();
        }
    }

    /// Seen and lost between two times, of one drain or of all; ten seconds that are cut count as a whole.
    pub fn between(&self, drain: Option<&[u8]>, from_us: i64, to_us: i64) -> (u64, u64) {
        let within = |(bucket, ..): &&(i64, u64, u64)| {
            (bucket + 1) * Flow::WIDTH_US > from_us && bucket * Flow::WIDTH_US < to_us.max(from_us + 1)
        };
        let all: Vec<&VecDeque<(i64, u64, u64)>> = match drain {
            Some(drain) => self.drains.get(drain).into_iter().collect(),
            None => self.drains.values().collect(),
        };
        let cut = all.into_iter().flatten().filter(within);
        cut.fold((0, 0), |(seen, lost), (_, s, l)| (seen + s, lost + l))
    }
}

impl Kept for Flows {
    fn put(&self, out: &mut Vec<u8>) {
        let mut all: Vec<_> = self.drains.iter().collect();
        all.sort_unstable_by_key(|(drain, _)| *drain);
        (all.len() as u32).put(out);
        for (drain, buckets) in all {
            drain.put(out);
            put_all(buckets.iter(), out);
        }
    }

    fn take(input: &mut &[u8]) -> Option<Flows> {
        let all: Vec<(Box<[u8]>, Vec<(i64, u64, u64)>)> = Kept::take(input)?;
        Some(Flows { drains: all.into_iter().map(|(drain, buckets)| (drain, buckets.into())).collect() })
    }
}
