//! How long to wait after a failure: twice as long each time, spread so that many do not come back at once.

use std::time::Duration;

use crate::limits;

/// The waits after failures in a row.
#[derive(Debug)]
pub struct Backoff {
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits never grow beyond `max`.
    pub fn new(max: Duration) -> Backoff {
        Backoff { max, failures: 0 }
    }

    /// Takes note of a failure and returns how long to wait: half of it fixed, half by `random`; longer if the target
    /// asked for `after`, within reason.
    pub fn failed(&mut self, after: Option<Duration>, random: u64) -> Duration {
        let first = Duration::from_millis(limits::NOTIFY_RETRY_MS);
        let whole = first.saturating_mul(1 << self.failures.min(20)).min(self.max);
        self.failures = self.failures.saturating_add(1);
        let part = (whole / 2).mul_f64((random >> 11) as f64 / (1u64 << 53) as f64);
        (whole / 2 + part).max(after.unwrap_or_default().min(self.max))
    }

    /// Takes note of a success.
    pub fn well(&mut self) {
        self.failures = 0;
    }

    /// Whether the last try failed.
    pub fn is_failing(&self) -> bool {
        self.failures > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_maximum() {
        let max = Duration::from_secs(300);
        let (mut least, mut most) = (Backoff::new(max), Backoff::new(max));
        let mut last = Duration::ZERO;
        for n in 0..40 {
            let (low, high) = (least.failed(None, 0), most.failed(None, u64::MAX));
            let whole = Duration::from_secs(1 << n.min(20)).min(max);
            assert_eq!(low, whole / 2, "{n}");
            assert!(high > whole.mul_f64(0.999) && high <= whole, "{n}: {high:?}");
            assert!(high >= last);
            last = high;
        }
        least.well();
        assert_eq!(least.failed(None, 0), Duration::from_millis(500));
    }

    #[test]
    fn a_target_may_ask_for_more_but_not_for_ever() {
        let mut backoff = Backoff::new(Duration::from_secs(300));
        assert_eq!(backoff.failed(Some(Duration::from_secs(20)), 0), Duration::from_secs(20));
        assert_eq!(backoff.failed(Some(Duration::from_secs(86_400)), 0), Duration::from_secs(300));
    }
}
