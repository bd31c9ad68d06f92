//! Alerts of a running weir: a notice at once, and windows that go on after the process was killed.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::process::Signal;

use crate::support::frames::{DRAIN, listener, octet, pipeline};
use crate::support::weir::Weir;

const PACK: &str = "weir: pack/v1
pack: {id: p, version: 1.0.0, title: doors}
alerts:
  - {id: thrice, severity: high, mode: on, detect: {s: {message|contains: knock}}, when: {count: {over: 10m, gte: 3}}, summary: '{value} knocks'}
";

fn knock(weir: &Weir) {
    let line = format!("<190>1 {} {DRAIN} app web.1 - - knock", Timestamp::now());
    let mut sender = TcpStream::connect(weir.address("in")).unwrap();
    sender.write_all(octet(&line).as_bytes()).unwrap();
}

fn told(weir: &Weir) -> usize {
    weir.stderr().lines().filter(|line| line.contains("p.alert.thrice") && line.contains("knocks")).count()
}

#[test]
fn windows_go_on_after_a_kill_and_a_notice_comes_at_once() {
    let text = format!(
        "state: {{dir: kept, every: 1s}}\npacks: [pack.yaml]\n{}",
        pipeline(&[listener("in", "tcp", "")], &[])
    );
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("pack.yaml"), PACK).unwrap();
    let mut weir = Weir::start_in(dir, &text);
    knock(&weir);
    knock(&weir);
    weir.wait_for_figure("/listeners/in/admitted", 2);
    let before = Timestamp::now();
    let kept = weir.path("kept/ledger.state");
    // A snapshot that was written after both came.
    weir.wait_for("a snapshot", |_| {
        let modified = std::fs::metadata(&kept).ok()?.modified().ok()?;
        (Timestamp::try_from(modified).ok()? > before + Duration::from_secs(1)).then_some(())
    });
    weir.signal(Signal::KILL);
    let dir = weir.wait().dir;
    let mut weir = Weir::start_in(dir, &text);
    assert_eq!(told(&weir), 0);
    let sent = Instant::now();
    knock(&weir);
    weir.wait_for("the notice", |weir| (told(weir) == 1).then_some(()));
    let after = sent.elapsed();
    assert!(after < Duration::from_secs(2), "{after:?}");
    let ended = weir.stop();
    assert!(ended.stderr.contains("goes on from what was kept"), "{}", ended.stderr);
    assert!(ended.status.success(), "{}", ended.stderr);
}

#[test]
fn a_damaged_state_is_set_aside_and_said() {
    let text = format!(
        "state: {{dir: kept, every: 1s}}\npacks: [pack.yaml]\n{}",
        pipeline(&[listener("in", "tcp", "")], &[])
    );
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("pack.yaml"), PACK).unwrap();
    std::fs::create_dir(dir.path().join("kept")).unwrap();
    std::fs::write(dir.path().join("kept/ledger.state"), "weir ledger 1\nand nothing that was ours").unwrap();
    let mut weir = Weir::start_in(dir, &text);
    for _ in 0..3 {
        knock(&weir);
    }
    weir.wait_for("the notice", |weir| (told(weir) == 1).then_some(()));
    let ended = weir.stop();
    assert!(ended.stderr.contains("set aside"), "{}", ended.stderr);
    assert!(ended.dir.path().join("kept/ledger.damaged").exists());
}
