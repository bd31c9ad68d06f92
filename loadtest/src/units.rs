//! Reads and writes the units of the command line: durations, rates, figures for people.

use std::time::Duration;

/// A duration such as `10s`, `500ms`, `2m`, `1h`; a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("unknown unit `{unit}` in `{text}`; write `10s`, `500ms`, `2m` or `1h`")),
    };
    let number: f64 =
        number.parse().map_err(|_| format!("`{text}` is no duration; write `10s` or `500ms`"))?;
    Duration::try_from_secs_f64(number * scale).map_err(|_| format!("`{text}` is too long a duration"))
}

/// Events a second such as `100000`, or `max` for as fast as it goes (None).
pub fn rate(text: &str) -> Result<Option<f64>, String> {
    if text == "max" {
        return Ok(None);
    }
    match text.replace(['_', ','], "").parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(Some(rate)),
        _ => Err(format!("`{text}` is no rate; write events a second such as `100000`, or `max`")),
    }
}

/// A number with commas between thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// CPU time of this process so far, in microseconds, in steps of 10 ms; 0 where /proc is missing.
pub fn cpu_us() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The command's name may hold blanks, so counting starts behind its parenthesis.
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let ticks: u64 =
        after.split_ascii_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
    ticks * 10_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_rates() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("7"), Ok(Duration::from_secs(7)));
        assert!(duration("7 days").is_err() && duration("").is_err());
        assert_eq!(rate("100_000"), Ok(Some(100_000.0)));
        assert_eq!(rate("max"), Ok(None));
        assert!(rate("0").is_err() && rate("-1").is_err() && rate("fast").is_err());
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(123), "123");
        assert_eq!(grouped(6_000_000), "6,000,000");
    }

    #[test]
    fn cpu_time_grows() {
        let before = cpu_us();
        let start = std::time::Instant::now();
        let mut x = 1u64;
        while start.elapsed() < Duration::from_millis(60) {
            x = crate::rng::mix(x);
        }
        assert!(cpu_us() > before, "{x}");
    }
}
