//! The clock of a replay: the running maximum of event times, so that two runs give the same output.
//!
//! One line with a time far in the future must not move it for good: each time counts at most as the time of the next
//! line that has one, plus the lateness. So a line's clock is known only when the next time is: until then it waits
//! here, with the lines without a time behind it.

/// How far a line's time may lie ahead of the next one's.
pub const LATENESS_US: i64 = 60_000_000;

#[derive(Debug, Default)]
pub struct Clock {
    now_us: i64,
}

impl Clock {
    /// Microseconds since 1970; 0 before the first time.
    pub fn now_us(&self) -> i64 {
        self.now_us
    }

    /// Takes the time of a line, given the time of the next line that has one; the last line is not capped.
    pub fn take(&mut self, time_us: i64, next_us: Option<i64>) {
        let capped = next_us.map_or(time_us, |next| time_us.min(next.saturating_add(LATENESS_US)));
        self.now_us = self.now_us.max(capped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_far_ahead_is_capped_by_the_next() {
        let mut clock = Clock::default();
        let cases = [
            (100, Some(90), 100),
            (90, Some(9_000_000_000), 100),
            (9_000_000_000, Some(200), 200 + LATENESS_US),
            (200, None, 200 + LATENESS_US),
            (9_000_000_000, None, 9_000_000_000),
        ];
        for (time, next, now) in cases {
            clock.take(time, next);
            assert_eq!(clock.now_us(), now);
        }
    }
}
