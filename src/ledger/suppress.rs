//! Suppression: of episodes with equal keys, one in a while is told; the others are counted in the next.

use super::kept::{Kept, kept};
use crate::plan::watch::Suppress;

#[derive(Debug, Default)]
struct Quiet {
    /// Time of the episode that was told.
    from_us: i64,
    suppressed: u64,
}

/// What is quiet, by key.
#[derive(Debug, Default)]
pub struct Suppressed {
    keys: foldhash::HashMap<Box<[u8]>, Quiet>,
}

impl Suppressed {
    /// Whether the episode at `time_us` is told, and how many were not since the last. One that comes late, from before
    /// the last, is counted too.
    pub fn tells(&mut self, rule: &Suppress, key: &[u8], time_us: i64, keys_max: usize) -> Option<u64> {
        if let Some(quiet) = self.keys.get_mut(key) {
            if time_us.abs_diff(quiet.from_us) < rule.for_us as u64 {
                quiet.suppressed += 1;
                return None;
            }
            let suppressed = core::mem::take(&mut quiet.suppressed);
            quiet.from_us = quiet.from_us.max(time_us);
            return Some(suppressed);
        }
        if self.keys.len() >= keys_max {
            self.keys.retain(|_, quiet| time_us < quiet.from_us.saturating_add(rule.for_us));
        }
        if self.keys.len() < keys_max {
            self.keys.insert(key.into(), Quiet { from_us: time_us, suppressed: 0 });
        }
        Some(0)
    }
}

kept!(Quiet { from_us, suppressed });

impl Kept for Suppressed {
    fn put(&self, out: &mut Vec<u8>) {
        let mut all: Vec<(&Box<[u8]>, &Quiet)> = self.keys.iter().collect();
        all.sort_unstable_by_key(|(key, _)| *key);
        (all.len() as u32).put(out);
        for (key, quiet) in all {
            key.put(out);
            quiet.put(out);
        }
    }

    fn take(input: &mut &[u8]) -> Option<Suppressed> {
        let all: Vec<(Box<[u8]>, Quiet)> = Kept::take(input)?;
        Some(Suppressed { keys: all.into_iter().collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_while_is_told_and_the_next_counts_the_others() {
        let rule = Suppress { by: Vec::new(), for_us: 10 };
        let mut suppressed = Suppressed::default();
        let told: Vec<_> = [0, 3, 9, 10, 12, 5, 20].map(|time| suppressed.tells(&rule, b"a", time, 9)).into();
        assert_eq!(told, [Some(0), None, None, Some(2), None, None, Some(2)]);
        assert_eq!(suppressed.tells(&rule, b"b", 3, 9), Some(0));
    }
}
