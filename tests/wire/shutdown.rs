//! Ends: clean, in the middle of a load, and those that are not clean.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use weir_load::check;
use weir_load::send::{self, Options, Progress, Summary, Tries};

use crate::support::frames::{FILES, check, drained, listener, load, pipeline};
use crate::support::weir::{Ended, Weir, assert_closed, figure};

#[test]
fn the_ready_file_tells_where_everything_is() {
    let listeners = [listener("a", "tcp", ""), listener("b", "http", ""), listener("c", "udp", "")];
    let weir = Weir::start(&pipeline(&listeners, &[FILES]));
    let ready = weir.ready().as_object().unwrap().clone();
    let keys: Vec<&String> = ready.keys().collect();
    assert_eq!(keys, ["admin", "listeners", "observe", "pid"]);
    assert_eq!(ready["pid"], weir.pid());
    let names: Vec<&String> = ready["listeners"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["a", "b", "c"]);
    for address in [weir.admin(), weir.observe(), weir.address("a"), weir.address("b"), weir.address("c")] {
        assert!(address.ip().is_loopback() && address.port() > 0, "{address}");
    }
    let ended = weir.stop();
    ended.clean();
}

/// A load for `seconds` over a weir that is told to end and started again after a third of that time.
fn interrupted(scheme: &str, kind: &str, seconds: u64) -> (Summary, Ended, Ended) {
    let text = pipeline(&[listener("in", kind, "")], &[FILES]);
    let weir = Weir::start(&text);
    let address = weir.address("in");
    let options = Options {
        connections: 6,
        rate: Some(6000.0),
        for_time: Duration::from_secs(seconds),
        tries: Tries::Forever,
        reconnect: true,
        ..load(&weir, scheme, "in")
    };
    let again = text.replace("127.0.0.1:0", &address.to_string());
    std::thread::scope(|scope| {
        let stop = AtomicBool::new(false);
        let progress = Progress::default();
        let sender = scope.spawn(move || send::run(&options, &stop, &progress).unwrap());
        std::thread::sleep(Duration::from_millis(seconds * 1000 / 3));
        let first = weir.stop();
        let dir = tempfile::tempdir().unwrap();
        // The second goes on in the first one's folder, as a service does.
        std::fs::rename(first.dir.path().join("out"), dir.path().join("out")).unwrap();
        let weir = Weir::start_in(dir, &again);
        let summary = sender.join().unwrap();
        (summary, first, weir.stop())
    })
}

#[test]
fn over_http_an_end_in_the_middle_loses_and_doubles_nothing() {
    let (summary, first, second) = interrupted("http", "http", 6);
    assert_eq!(summary.posts_given_up, 0, "{}", summary.text());
    let admitted = [&first, &second].map(|ended| figure(ended.clean(), "/listeners/in/admitted"));
    assert!(admitted.iter().all(|&events| events > 1000), "{admitted:?}");
    let report = check(second.dir.path(), &[&summary.record], check::Options::default());
    assert!(report.clean(), "{}", report.text());
    assert_eq!(report.lines, admitted.iter().sum::<u64>());
}

#[test]
fn over_tcp_what_an_end_in_the_middle_loses_is_the_end_of_each_connection() {
    let (summary, first, second) = interrupted("tcp", "tcp", 6);
    let received: u64 =
        [&first, &second].iter().map(|ended| figure(ended.clean(), "/listeners/in/received")).sum();
    let options = check::Options { suffix_loss: true, ..Default::default() };
    let report = check(second.dir.path(), &[&summary.record], options);
    assert!(report.clean(), "{}", report.text());
    assert_eq!(report.lines, received, "all that was received is there");
    let cut = summary.record.connections.iter().filter(|connection| connection.cut);
    // The frame that was on its way when a connection broke does not count as sent, and may have arrived.
    let doubtful: u64 = cut.clone().map(|connection| connection.offered - connection.sent).sum();
    let seen = report.sent - report.forgiven;
    assert!(cut.count() > 0, "no connection was cut");
    assert!((seen..=seen + doubtful).contains(&received), "{received} of {}\n{}", report.sent, report.text());
}

#[test]
fn sigint_ends_it_too_and_half_sent_lines_are_read_to_their_end() {
    let weir = Weir::start(&pipeline(&[listener("syslog", "tcp", "")], &[FILES]));
    let mut sender = TcpStream::connect(weir.address("syslog")).unwrap();
    let frame = drained("whole");
    let (head, tail) = frame.split_at(20);
    sender.write_all(head.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    weir.signal(Signal::INT);
    std::thread::sleep(Duration::from_millis(300));
    sender.write_all(tail.as_bytes()).unwrap();
    drop(sender);
    let ended = weir.wait();
    assert_eq!(figure(ended.clean(), "/sinks/events/delivered"), 1);
}

/// A weir whose only sink takes nothing more, with more than a pipe holds waiting for it.
fn stuck(top: &str) -> (Weir, std::process::ChildStdout) {
    let screen = "{name: screen, kind: stdout}";
    let text = format!("{top}{}", pipeline(&[listener("syslog", "tcp", "")], &[screen]));
    let (mut weir, out) = Weir::start_piped(&text);
    let mut sender = TcpStream::connect(weir.address("syslog")).unwrap();
    for n in 0..1000 {
        sender.write_all(drained(&format!("line {n}")).as_bytes()).unwrap();
    }
    drop(sender);
    weir.wait_for_figure("/listeners/syslog/received", 1000);
    (weir, out)
}

#[test]
fn a_second_signal_ends_at_once() {
    let (weir, _out) = stuck("");
    weir.signal(Signal::TERM);
    std::thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    weir.signal(Signal::TERM);
    let ended = weir.wait();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert_eq!(ended.books, Value::Null);
}

#[test]
fn what_a_stuck_sink_does_not_take_in_time_counts_as_dropped() {
    let (weir, _out) = stuck("shutdown_after: 1s\n");
    let began = Instant::now();
    let ended = weir.stop();
    let took = began.elapsed();
    assert!(took > Duration::from_millis(900) && took < Duration::from_secs(4), "{took:?}");
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert_closed(&ended.books);
    let of = |name: &str| figure(&ended.books, &format!("/sinks/screen/{name}"));
    assert_eq!(of("delivered") + of("dropped/shutdown"), 1000);
    assert!(of("dropped/shutdown") > 0, "{:#}", ended.books);
}

#[test]
fn readiness_goes_when_the_end_begins() {
    let (mut weir, _out) = stuck("");
    let status = |weir: &Weir| crate::support::weir::get(weir.observe(), "/readyz").0;
    assert_eq!(status(&weir), 200);
    weir.signal(Signal::TERM);
    weir.wait_for("an end to readiness", |weir| (status(weir) == 503).then_some(()));
    weir.signal(Signal::TERM);
    assert_eq!(weir.wait().status.code(), Some(1));
}
