//! The time of a frame alone, for whoever has to know it before the frame is in a batch.

use jiff::tz::TimeZone;

use super::quick::{self, Quick};
use super::syslog;
use crate::event::Span;
use crate::simd::{self, Level, Task, Vector};

/// Tells the times of frames, one after the other.
pub struct Times {
    level: Level,
    quick: Quick,
}

/// A look at one frame's usual header.
struct Usual<'a> {
    padded: &'a [u8],
    len: usize,
    quick: &'a mut Quick,
}

impl Task for Usual<'_> {
    type Output = Option<i64>;

    #[inline(always)]
    fn run<V: Vector>(self, vector: V) -> Option<i64> {
        quick::time_us(vector, self.padded, self.len, self.quick)
    }
}

impl Times {
    /// Uses the instructions of `level`.
    pub fn new(level: Level) -> Times {
        Times { level, quick: Quick::default() }
    }

    /// What `syslog::header` says of the frame that the first `len` bytes of `padded` are, microseconds since 1970. Where
    /// `limits::SLACK_BYTES` or more lie there, a usual header is read quickly; those behind the frame may be anything.
    pub fn of(
        &mut self,
        padded: &[u8],
        len: usize,
        tail: bool,
        near_us: i64,
        zone: &TimeZone,
    ) -> Option<i64> {
        let usual = Usual { padded, len, quick: &mut self.quick };
        simd::dispatch(self.level, usual)
            .or_else(|| syslog::header(padded, Span::of(0, len), tail, near_us, zone)?.time_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;

    #[test]
    fn a_header_across_the_window_has_the_same_time() {
        let token = "d.5a8fd083-0972-4e18-b912-94dc2d099dac";
        for level in [Level::Portable, Level::best()] {
            let mut times = Times::new(level);
            for host in ["host", token] {
                for (len, rest) in
                    (1..90).flat_map(|len| ["- a", "- - a", "-x", "-", ""].map(|rest| (len, rest)))
                {
                    let process = "p".repeat(len);
                    let frame = format!("<13>1 2026-11-22T09:51:24.537546+00:00 {host} app {process} {rest}");
                    let mut padded = frame.clone().into_bytes();
                    padded.resize(frame.len() + limits::SLACK_BYTES, b'-');
                    let header =
                        syslog::header(frame.as_bytes(), Span::of(0, frame.len()), false, 0, &TimeZone::UTC);
                    let found = times.of(&padded, frame.len(), false, 0, &TimeZone::UTC);
                    assert_eq!(found, header.and_then(|header| header.time_us), "{frame}");
                }
            }
        }
    }
}
