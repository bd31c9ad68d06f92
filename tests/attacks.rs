//! A capture with known attacks, replayed: alerts exactly as listed, the same bytes whatever the work is divided, and why
//! a near miss was none.

mod support;

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;
use support::weir::run;

const DRAIN: &str = "d.5a8fd083-0972-4e18-b912-94dc2d099dac";

/// A line `second` seconds behind 09:00.
fn line(second: u32, pri: u8, rest: &str) -> (u32, String) {
    let (minute, second_of) = (second / 60, second % 60);
    (second, format!("<{pri}>1 2026-11-22T09:{minute:02}:{second_of:02}.000000+00:00 {DRAIN} {rest}"))
}

fn request(second: u32, status: u16, more: &str) -> (u32, String) {
    let rest = format!(
        "heroku router - - {more} method=GET path=\"/login failed\" host=a.example.com request_id=b fwd=\"192.0.2.1\" dyno=web.1 connect=1ms service=10ms status={status} bytes=1 protocol=https"
    );
    line(second, 158, &rest)
}

/// 25 failures from one address and 17 from another; 400 requests with `login failed` in their path; 60 timeouts from the
/// fifth minute on; a dyno that crashes three times; a shell.
fn capture() -> String {
    let mut lines = Vec::new();
    lines.extend((0..25).map(|n| line(n * 10, 190, "app web.1 - - login failed for bob from 203.0.113.9")));
    lines.extend(
        (0..17).map(|n| line(n * 10 + 3, 190, "app web.1 - - login failed for eve from 198.51.100.7")),
    );
    lines.extend((0..400).map(|n| request(n * 2, 200, "at=info")));
    lines.extend((0..60).map(|n| request(300 + n * 2, 503, "at=error code=H12 desc=\"Request timeout\"")));
    lines
        .extend((0..3).map(|n| line(500 + n * 60, 172, "heroku web.2 - - State changed from up to crashed")));
    lines.push(line(
        700,
        190,
        "app api - - Starting process with command `bash` by user mallory@example.com",
    ));
    lines.sort_by_key(|(second, _)| *second);
    let mut text = String::new();
    lines.iter().for_each(|(_, line)| writeln!(text, "{line}").unwrap());
    text
}

fn replay(dir: &Path, threads: usize) -> String {
    let pipeline = dir.join(format!("{threads}.yaml"));
    std::fs::write(&pipeline, format!("weir: pipeline/v1\nthreads: {threads}\n")).unwrap();
    let (pipeline, input) = (pipeline.to_str().unwrap(), dir.join("capture.log"));
    let arguments = ["replay", "--pipeline", pipeline, "--format", "none", "--alerts", "-", "--mode", "on"];
    let output = run(&[&arguments[..], &[input.to_str().unwrap()]].concat(), b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Alert, state, second of the window's end, value, and what its key says besides the drain.
fn listed(records: &str) -> Vec<String> {
    let one = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["key"]["drain"], DRAIN);
        let alert = record["alert"].as_str().unwrap().trim_start_matches("heroku.alert.").to_string();
        let to = &record["window"]["to"].as_str().unwrap()[14..19];
        let keys = record["key"].as_object().unwrap().iter().filter(|(name, _)| *name != "drain");
        let keys: Vec<String> = keys.map(|(_, value)| value.as_str().unwrap().to_string()).collect();
        let mut text = format!("{} {alert} {to} {}", record["state"].as_str().unwrap(), record["value"]);
        keys.iter().for_each(|key| text.push_str(&format!(" {key}")));
        text
    };
    records.lines().map(one).collect()
}

#[test]
fn alerts_of_a_capture_are_exactly_those_listed_however_the_work_is_divided() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("capture.log"), capture()).unwrap();
    let records = replay(dir.path(), 1);
    let mut sealed: Vec<String> =
        listed(&records).into_iter().filter(|record| record.starts_with("sealed")).collect();
    sealed.sort();
    let expected = [
        "sealed auth_brute_force 03:45 23 203.0.113.9",
        "sealed auth_failure 00:00 1",
        "sealed crash_loop 10:37 3 web.2",
        "sealed high_severity 05:00 1",
        "sealed one_off_shell 11:40 1",
        "sealed request_timeouts 05:18 0.058823529",
    ];
    assert_eq!(sealed, expected, "{records}");
    for threads in [1, 2, 3, 8] {
        assert_eq!(replay(dir.path(), threads), records, "{threads} shards");
    }
}

#[test]
fn explain_says_why_a_near_miss_missed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("capture.log");
    std::fs::write(&file, capture()).unwrap();
    let (_, last) = line(163, 190, "app web.1 - - login failed for eve from 198.51.100.7");
    let arguments = ["explain", &last, "--alert", "auth_brute_force", "--with", file.to_str().unwrap()];
    let output = run(&arguments, b"");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("heroku.alert.auth_brute_force: matches"), "{text}");
    assert!(text.contains("  17 of 20 in the window 2026-11-22T08:52:30"), "{text}");
    assert!(text.contains("does not hold: drain d.5a8fd083"), "{text}");
}

#[test]
fn failures_are_failures_and_near_misses_are_not() {
    let app = |text: &str| line(0, 190, &format!("app web.1 - - {text}")).1;
    let failures = [
        app("authentication failed for user 7"),
        app("PAM: Authentication failure"),
        app("Login Failed: bob@example.com"),
        app("failed login attempt"),
        app("error: invalid credentials"),
        app("Invalid password for alice"),
        app("401 Unauthorized"),
        app("jwt expired"),
        app("Completed 401 Unauthorized in 4ms"),
        line(0, 190, "app postgres.1234 - - [AMBER] FATAL:  password authentication failed for user \"u\"").1,
    ];
    let misses = [
        request(0, 401, "at=info").1,
        request(0, 200, "at=info").1,
        line(0, 158, "heroku router - - at=info method=GET path=\"/invalid password\" status=403").1,
        line(0, 172, "heroku web.1 - - State changed from up to crashed").1,
        line(0, 172, "heroku web.1 - - Error R14 (Memory quota exceeded), access denied").1,
        app("authentication succeeded"),
        app("login page failed to render"),
        app("password reset for bob"),
        app("{\"status\": 200, \"msg\": \"job failed\"}"),
        app("Completed 4011 rows"),
    ];
    for (lines, sealed) in [(&failures, 10), (&misses, 0)] {
        for text in lines {
            let arguments = ["replay", "-", "--format", "none", "--alerts", "-", "--mode", "on"];
            let output = run(&arguments, format!("{text}\n").as_bytes());
            let records = String::from_utf8(output.stdout).unwrap();
            let found = listed(&records).iter().filter(|one| one.starts_with("sealed auth_failure")).count();
            assert_eq!(found, sealed / 10, "{text}\n{records}");
        }
    }
}
