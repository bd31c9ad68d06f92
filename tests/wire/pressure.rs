//! More than can be taken: each loss has its figure.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use weir_load::send::Options;

use crate::support::frames::{FILES, drained, listener, load, messages, pipeline, posted, send};
use crate::support::http::{Client, LOGPLEX};
use crate::support::weir::{Weir, figure};

/// More bytes of events than eight slots and a pipe hold.
const PLENTY: u64 = 60_000;

/// Connects until connects are refused; what got in on the way is returned.
fn fill(weir: &mut Weir, listener: &str) -> Vec<TcpStream> {
    let address = weir.address(listener);
    let mut inside = Vec::new();
    weir.wait_for("a refused connect", |_| match TcpStream::connect(address) {
        Ok(stream) => {
            inside.push(stream);
            None
        }
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
            Some(())
        }
    });
    inside
}

#[test]
fn beyond_the_limit_connects_are_refused_and_who_is_inside_is_served() {
    let few = ", limits: {connections: 10}";
    let listeners = [listener("syslog", "tcp", few), listener("drain", "http", few)];
    let mut weir = Weir::start(&pipeline(&listeners, &[FILES]));
    let mut syslog = fill(&mut weir, "syslog");
    let drain = fill(&mut weir, "drain");
    assert!(syslog.len() >= 10 && drain.len() >= 10);
    for stream in &mut syslog {
        stream.write_all(drained("inside").as_bytes()).unwrap();
    }
    let (syslogs, posts) = (syslog.len() as u64, drain.len() as u64);
    let mut clients: Vec<Client> = drain.into_iter().map(Client).collect();
    for client in &mut clients {
        // Never 503 for a connection too many.
        assert_eq!(client.post("/", &[LOGPLEX], posted("inside").as_bytes()).status / 100, 2);
    }
    weir.wait_for_figure("/listeners/syslog/received", syslogs);

    // Below 95 % of ten there is room for one more.
    let address = weir.address("syslog");
    syslog.truncate(9);
    let mut late = weir.wait_for("room again", |_| TcpStream::connect(address).ok());
    late.write_all(drained("late").as_bytes()).unwrap();
    weir.wait_for_figure("/listeners/syslog/received", syslogs + 1);
    drop((late, syslog, clients));
    let ended = weir.stop();
    assert_eq!(figure(ended.clean(), "/sinks/events/delivered"), syslogs + posts + 1);
    assert_eq!(figure(&ended.books, "/listeners/drain/apart/refused_requests"), 0);
}

#[test]
fn a_syslog_listener_without_a_slot_sheds_after_a_second_and_counts_each_frame() {
    let screen = "{name: screen, kind: stdout}";
    let (mut weir, mut out) =
        Weir::start_piped(&format!("slots: 8\n{}", pipeline(&[listener("syslog", "tcp", "")], &[screen])));
    let options = Options { events_max: Some(PLENTY), connections: 4, ..load(&weir, "tcp", "syslog") };
    let began = Instant::now();
    let summary = send(&options);
    assert!(summary.all_sent() && summary.events == PLENTY, "{}", summary.text());
    let books = weir.wait_for_figure("/listeners/syslog/received", PLENTY);
    let shed = figure(&books, "/listeners/syslog/shed/no_slot");
    assert!(shed > 0, "{books:#}");
    assert!(began.elapsed() > Duration::from_secs(1), "shed after {:?}", began.elapsed());
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).unwrap();
        text.lines().count() as u64
    });
    let ended = weir.stop();
    let books = ended.clean();
    let admitted = figure(books, "/listeners/syslog/admitted");
    assert_eq!(admitted + figure(books, "/listeners/syslog/shed/no_slot"), PLENTY);
    assert_eq!(reader.join().unwrap(), admitted);
}

#[test]
fn a_listener_that_never_sheds_loses_nothing() {
    let screen = "{name: screen, kind: stdout}";
    let never = listener("syslog", "tcp", ", shed_after: never");
    let (weir, mut out) = Weir::start_piped(&format!("slots: 8\n{}", pipeline(&[never], &[screen])));
    let options = Options { events_max: Some(PLENTY), connections: 4, ..load(&weir, "tcp", "syslog") };
    let reader = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(3));
        let mut text = String::new();
        out.read_to_string(&mut text).unwrap();
        text.lines().count() as u64
    });
    let summary = send(&options);
    assert!(summary.all_sent(), "{}", summary.text());
    assert!(summary.seconds > 2.0, "the sender was never held up: {}", summary.text());
    let ended = weir.stop();
    assert_eq!(figure(ended.clean(), "/sinks/screen/delivered"), PLENTY);
    assert_eq!(reader.join().unwrap(), PLENTY);
}

#[test]
fn a_drop_sink_that_cannot_keep_up_misses_events_and_stops_nobody() {
    let screen = "{name: screen, kind: stdout, when_full: drop}";
    let text = format!(
        "slots: 8\n{}",
        pipeline(&[listener("syslog", "tcp", ", shed_after: never")], &[screen, FILES])
    );
    let (mut weir, mut out) = Weir::start_piped(&text);
    let options = Options { events_max: Some(PLENTY), connections: 4, ..load(&weir, "tcp", "syslog") };
    let summary = send(&options);
    assert!(summary.all_sent(), "{}", summary.text());
    weir.wait_for_figure("/sinks/events/delivered", PLENTY);
    weir.wait_for("the gap", |weir| {
        (figure(&weir.books(), "/sinks/screen/dropped/when_full") > 0).then_some(())
    });
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).unwrap();
        text
    });
    let ended = weir.stop();
    let books = ended.clean();
    let of = |name: &str| figure(books, &format!("/sinks/screen/{name}"));
    assert_eq!(of("delivered") + of("dropped/when_full"), PLENTY);
    let text = reader.join().unwrap();
    // Rows of a batch that was given up half-way count as missed, although some were written.
    let lines =
        text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a whole line"));
    let ids: BTreeSet<String> = lines.map(|event| event["id"].to_string()).collect();
    assert_eq!(ids.len(), text.lines().count(), "each once");
    assert!(ids.len() as u64 >= of("delivered"), "{books:#}");
    assert_eq!(messages(ended.dir.path()).len() as u64, PLENTY);
}
