//! Says how many events of one connection are due, so that all together keep the rate.
//!
//! A sender that was held up catches up: the rate is an average from the start, not a ceiling.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Where threads wait until all are connected, so that connecting costs no sending time.
#[derive(Default)]
pub struct StartLine {
    /// How many threads wait, and whether they may go.
    state: Mutex<(u32, bool)>,
    changed: Condvar,
}

impl StartLine {
    /// Waits for the start.
    pub fn wait(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 += 1;
        self.changed.notify_all();
        while !state.1 {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets all go once so many wait.
    pub fn open(&self, threads: u32) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.0 < threads {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.1 = true;
        self.changed.notify_all();
    }
}

/// The pace of one connection.
pub struct Pace {
    began: Instant,
    until: Instant,
    /// Events a second of this connection; None: as fast as it goes.
    rate: Option<f64>,
    /// Where within one event's time this connection stands, so that not all send at once.
    phase: f64,
    /// Events at most.
    limit: u64,
}

impl Pace {
    /// A pace of `total_rate / connections`, from now on and for `for_time`.
    pub fn new(
        number: u32,
        connections: u32,
        total_rate: Option<f64>,
        for_time: Duration,
        limit: u64,
    ) -> Pace {
        let began = Instant::now();
        let rate = total_rate.map(|rate| rate / f64::from(connections));
        let in_time = rate.map_or(u64::MAX, |rate| (rate * for_time.as_secs_f64()).ceil() as u64);
        let phase = f64::from(number) / f64::from(connections);
        Pace { began, until: began + for_time, rate, phase, limit: limit.min(in_time) }
    }

    /// How many events are due by now, counted from the start.
    pub fn due(&self, now: Instant) -> u64 {
        match self.rate {
            None => self.limit,
            Some(rate) => {
                let due = (now - self.began).as_secs_f64() * rate + 1.0 - self.phase;
                (due as u64).min(self.limit)
            }
        }
    }

    /// How long until so many more events are due, at least a millisecond and at most `longest`.
    pub fn wait_for(&self, events: u64, longest: Duration) -> Duration {
        let shortest = Duration::from_millis(1);
        let wait = self.rate.map_or(0.0, |rate| events as f64 / rate);
        Duration::from_secs_f64(wait.min(longest.as_secs_f64())).max(shortest)
    }

    /// Whether so many events, or the time that has passed, end it. A paced connection ends by its count, so that
    /// a run has as many events as rate and time say, unless it lags by a second.
    pub fn over(&self, events: u64, now: Instant) -> bool {
        let grace = if self.rate.is_some() { Duration::from_secs(1) } else { Duration::ZERO };
        events >= self.limit || now >= self.until + grace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_and_ends() {
        let second = Duration::from_secs(1);
        let pace = Pace::new(1, 2, Some(1000.0), 10 * second, u64::MAX);
        assert_eq!(pace.due(pace.began), 0);
        assert_eq!(pace.due(pace.began + second), 500);
        assert_eq!(pace.due(pace.began + 100 * second), 5000);
        assert!(!pace.over(4999, pace.began + 10 * second));
        assert!(pace.over(5000, pace.began));
        assert!(pace.over(1, pace.began + 12 * second));
        assert_eq!(pace.wait_for(50, second), Duration::from_millis(100));
        assert_eq!(Pace::new(0, 1, None, second, 7).due(pace.began), 7);
    }
}
