//! Reports and dashlets over a restart: as if there had been none after a stop, as of the last snapshot after a kill.

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, UNIX_EPOCH};

use jiff::Timestamp;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::frames::{DRAIN, listener, octet, pipeline};
use crate::support::weir::{Weir, get};

const WINDOW_S: i64 = 8;

const PACK: &str = "weir: pack/v1
pack: {id: p, version: 1.0.0, title: doors}
reports:
  - {id: all, title: All, window: 8s, formats: [csv], columns: [{field: message, title: Text}], summary: [{agg: count, by: [process], title: n}]}
dashlets:
  - {id: level, title: L, viz: donut, group_by: [severity]}
redact:
  - {id: pin, regex: 'pin=[0-9]+', mode: on}
";

fn text() -> String {
    format!(
        "threads: 1\nstate: {{dir: kept, every: 1s}}\nledger: {{lateness: 1s}}\nreports: {{dir: shown}}\npacks: [pack.yaml]\n{}",
        pipeline(&[listener("in", "tcp", "")], &[])
    )
}

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("pack.yaml"), PACK).unwrap();
    dir
}

fn say(weir: &mut Weir, time: Timestamp, text: &str, count: u64) {
    let line = format!("<190>1 {time} {DRAIN} app web.1 - - {text}");
    let mut sender = TcpStream::connect(weir.address("in")).unwrap();
    sender.write_all(octet(&line).as_bytes()).unwrap();
    drop(sender);
    weir.wait_for_figure("/listeners/in/admitted", count);
}

/// Waits for a window that has just begun, so that all that follows lies in it.
fn early_in_a_window() -> Timestamp {
    loop {
        let now = Timestamp::now();
        if now.as_second() % WINDOW_S <= 1 {
            return now;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Name and lines of every published CSV file, waiting until there are two: rows and summary.
fn published(weir: &mut Weir) -> Vec<(String, Vec<String>)> {
    weir.wait_for("a published window", |weir| {
        let mut all = Vec::new();
        for file in std::fs::read_dir(weir.path("shown/all")).ok()? {
            let file = file.unwrap();
            let name = file.file_name().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(file.path()).unwrap();
            all.push((name, text.lines().map(str::to_string).collect()));
        }
        all.retain(|(name, _)| !name.starts_with('.'));
        all.sort();
        (all.len() >= 2).then_some(all)
    })
}

fn counted(weir: &Weir) -> Value {
    let (_, body) = get(weir.admin(), "/api/v1/dashlets/level");
    serde_json::from_str(&body).unwrap()
}

/// Waits until a snapshot that was taken after now is written: the second one is.
fn wait_for_snapshot(weir: &mut Weir) {
    for name in ["kept/ledger.state", "kept/dashlets.state"] {
        let kept = weir.path(name);
        let modified = || std::fs::metadata(&kept).ok()?.modified().ok();
        for _ in 0..2 {
            let before = modified();
            weir.wait_for("a snapshot", |_| (modified()? > before.unwrap_or(UNIX_EPOCH)).then_some(()));
        }
    }
}

#[test]
fn a_stop_in_the_middle_of_a_window_leaves_no_trace_in_its_report() {
    let mut weir = Weir::start_in(folder(), &text());
    let now = early_in_a_window();
    say(&mut weir, now, "one", 1);
    say(&mut weir, now + Duration::from_millis(2), "three", 2);
    let dir = weir.stop().dir;
    let mut weir = Weir::start_in(dir, &text());
    // What comes after the stop and is older than what waited stands before it.
    say(&mut weir, now + Duration::from_millis(1), "two", 1);
    let files = published(&mut weir);
    assert_eq!(files.len(), 2, "{files:?}");
    assert_eq!(files[0].1, ["Text", "one", "two", "three"]);
    assert_eq!(files[1].1, ["process,n", "web.1,3"]);
    let level = counted(&weir);
    assert_eq!((&level["rows"][0]["value"], &level["degraded"]), (&3.into(), &false.into()), "{level}");
    let ended = weir.stop();
    assert!(ended.status.success() && !ended.stderr.contains("ERROR"), "{}", ended.stderr);
}

#[test]
fn a_kill_costs_what_came_since_the_last_snapshot_and_nothing_is_there_twice() {
    let mut weir = Weir::start_in(folder(), &text());
    let now = early_in_a_window();
    say(&mut weir, now, "one", 1);
    wait_for_snapshot(&mut weir);
    weir.signal(Signal::KILL);
    let dir = weir.wait().dir;
    let mut weir = Weir::start_in(dir, &text());
    say(&mut weir, Timestamp::now(), "two", 1);
    let files = published(&mut weir);
    let rows: Vec<&String> =
        files.iter().filter(|(name, _)| !name.contains("summary")).flat_map(|file| &file.1).collect();
    assert_eq!(rows.iter().filter(|row| **row == "one").count(), 1, "{files:?}");
    let level = counted(&weir);
    assert_eq!((&level["rows"][0]["value"], &level["degraded"]), (&2.into(), &true.into()), "{level}");
    assert!(weir.stderr().contains("goes on from what was kept"), "{}", weir.stderr());
    assert!(weir.stop().status.success());
}

#[test]
fn the_key_of_masked_values_is_kept_and_nobody_else_may_read_it() {
    let weir = Weir::start_in(folder(), &text());
    let ended = weir.stop();
    let key = ended.dir.path().join("kept/key");
    let before = std::fs::read(&key).unwrap();
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let again = Weir::start_in(ended.dir, &text()).stop();
    assert_eq!(std::fs::read(again.dir.path().join("kept/key")).unwrap(), before);
    let other = Weir::start_in(folder(), &text()).stop();
    assert_ne!(std::fs::read(other.dir.path().join("kept/key")).unwrap(), before);
    std::fs::write(again.dir.path().join("kept/key"), "no key").unwrap();
    let broken =
        crate::support::weir::run(&["run", again.dir.path().join("pipeline.yaml").to_str().unwrap()], b"");
    // Not written over: what it masked before would be called something else without a word.
    assert!(!broken.status.success());
}
