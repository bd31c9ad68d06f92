//! A load over each transport arrives as it was sent.

use std::time::Duration;

use weir_load::check::{self, Amiss};
use weir_load::corpus::Mix;
use weir_load::send::Options;

use crate::support::frames::{FILES, check, listener, load, pipeline, send};
use crate::support::tools::certificate;
use crate::support::weir::{Weir, figure};

/// Little enough for a busy machine and a debug build.
const RATE: f64 = 4000.0;

fn two_seconds(options: Options, connections: u32) -> Options {
    Options { connections, rate: Some(RATE), for_time: Duration::from_secs(2), ..options }
}

#[test]
fn over_tcp_tls_and_http_every_event_arrives_as_due() {
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path(), "weir", &rcgen::PKCS_ECDSA_P256_SHA256);
    let tls = ", tls: {cert: weir.pem, key: weir.key}";
    let listeners = [listener("syslog", "tcp", tls), listener("drain", "http", tls)];
    let weir = Weir::start_in(dir, &pipeline(&listeners, &[FILES]));
    let table = [
        ("tcp", "syslog", Mix::Fair, 8),
        ("tls", "syslog", Mix::RouterHeavy, 3),
        ("http", "drain", Mix::RouterHeavy, 8),
        ("https", "drain", Mix::Fair, 3),
    ];
    let weir_is = &weir;
    let summaries: Vec<_> = std::thread::scope(|scope| {
        let start = |(seed, (scheme, name, mix, connections))| {
            let options = Options { mix, seed, insecure: true, ..load(weir_is, scheme, name) };
            scope.spawn(move || send(&two_seconds(options, connections)))
        };
        let senders: Vec<_> = (1..).zip(table).map(start).collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    let sent = |transports: [&str; 2]| -> u64 {
        let of = summaries.iter().filter(|s| transports.contains(&s.record.transport.as_str()));
        of.map(|summary| summary.events).sum()
    };
    for summary in &summaries {
        assert!(summary.all_sent() && summary.events as f64 > 0.5 * RATE, "{}", summary.text());
    }
    let ended = weir.stop();
    let books = ended.clean();
    assert_eq!(figure(books, "/listeners/syslog/received"), sent(["tcp", "tls"]));
    assert_eq!(figure(books, "/listeners/drain/received"), sent(["http", "https"]));
    let all: u64 = summaries.iter().map(|summary| summary.events).sum();
    assert_eq!(figure(books, "/sinks/events/delivered"), all);
    let records: Vec<_> = summaries.iter().map(|summary| &summary.record).collect();
    let report = check(ended.dir.path(), &records, check::Options::default());
    assert!(report.clean() && report.matched == all, "{}", report.text());
}

#[test]
fn over_udp_what_is_missing_is_what_the_kernel_dropped() {
    let mut weir = Weir::start(&pipeline(&[listener("udp", "udp", "")], &[FILES]));
    let summary = send(&two_seconds(load(&weir, "udp", "udp"), 2));
    // A datagram that arrives while nobody asks any more is lost unseen.
    let settled = |books: &serde_json::Value| {
        figure(books, "/listeners/udp/received") + figure(books, "/listeners/udp/apart/kernel_drops")
            == summary.events
    };
    weir.books_when("all datagrams", settled);
    let ended = weir.stop();
    let books = ended.clean();
    let received = figure(books, "/listeners/udp/received");
    assert!(received > summary.events / 2, "{books:#}");
    let report =
        check(ended.dir.path(), &[&summary.record], check::Options { loss: true, ..Default::default() });
    assert!(report.clean(), "{}", report.text());
    assert_eq!((report.matched, report.forgiven), (received, summary.events - received));
}

#[test]
fn a_sender_of_single_bytes_and_one_of_long_pauses_are_heard_out() {
    let listeners = [listener("syslog", "tcp", ""), listener("drain", "http", "")];
    let weir = Weir::start(&pipeline(&listeners, &[FILES]));
    let bytes = Options {
        send_bytes: 1,
        events_max: Some(40),
        rate: Some(20.0),
        for_time: Duration::from_secs(3),
        connections: 4,
        ..load(&weir, "tcp", "syslog")
    };
    let pauses = Options {
        events_max: Some(6),
        rate: Some(2.0),
        for_time: Duration::from_secs(4),
        ..load(&weir, "http", "drain")
    };
    let (bytes, pauses) = std::thread::scope(|scope| {
        let bytes = scope.spawn(|| send(&bytes));
        (send(&pauses), bytes.join().unwrap())
    });
    let ended = weir.stop();
    assert_eq!(figure(ended.clean(), "/sinks/events/delivered"), bytes.events + pauses.events);
    let report = check(ended.dir.path(), &[&bytes.record, &pauses.record], check::Options::default());
    assert!(report.clean() && report.count(Amiss::Lost) == 0, "{}", report.text());
}
