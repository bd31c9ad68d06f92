//! Reloads: what changes, what goes on, what is refused.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::support::frames::{FILES, drained, listener, messages, pipeline};
use crate::support::tools::{certificate, find, output};
use crate::support::weir::{Weir, events, figure};

const DONE: &str = "the pipeline was reloaded";
const REFUSED: &str = "the pipeline was not reloaded";

/// Writes a pipeline and asks for it to be taken; the log says `then` once more when that is over.
fn reload(weir: &mut Weir, pipeline: &str, then: &str) {
    let said = |weir: &Weir| weir.stderr().matches(then).count();
    let before = said(weir);
    weir.rewrite(pipeline);
    weir.signal(Signal::HUP);
    weir.wait_for(&format!("`{then}`"), |weir| (said(weir) > before).then_some(()));
}

/// Where the log says that a listener listens.
fn address_in_log(weir: &Weir, name: &str) -> Option<SocketAddr> {
    let log = weir.stderr();
    let line = log.lines().rev().find(|line| line.contains("listening") && line.contains(name))?;
    let (_, rest) = line.split_once("address=")?;
    rest.split_whitespace().next()?.parse().ok()
}

#[test]
fn listeners_and_sinks_come_change_and_go() {
    let first = listener("first", "tcp", "");
    let mut weir = Weir::start(&pipeline(std::slice::from_ref(&first), &[FILES]));
    let mut sender = TcpStream::connect(weir.address("first")).unwrap();
    let mut say = |text: &str| sender.write_all(drained(text).as_bytes()).unwrap();
    say("one");
    weir.wait_for_figure("/sinks/events/delivered", 1);

    // A listener and a sink more; the connection goes on.
    let more = "{name: more, kind: file, root: more, path: \"{listener}.ndjson\"}";
    let changed = listener("first", "tcp", ", description: changed, limits: {idle: 200s}");
    reload(&mut weir, &pipeline(&[changed.clone(), listener("second", "tcp", "")], &[FILES, more]), DONE);
    say("two");
    weir.wait_for_figure("/sinks/more/delivered", 1);
    let second = weir.wait_for("the second listener's address", |weir| address_in_log(weir, "second"));
    TcpStream::connect(second).unwrap().write_all(drained("three").as_bytes()).unwrap();
    weir.wait_for_figure("/sinks/more/delivered", 2);

    // The new sink elsewhere, the old one gone.
    let elsewhere = more.replace("root: more", "root: elsewhere");
    reload(&mut weir, &pipeline(&[changed.clone(), listener("second", "tcp", "")], &[&elsewhere]), DONE);
    say("four");
    weir.wait_for("the event elsewhere", |weir| (events(&weir.path("elsewhere")).len() == 1).then_some(()));

    // The second listener gone: nobody listens there, the first goes on.
    reload(&mut weir, &pipeline(&[changed], &[&elsewhere]), DONE);
    weir.wait_for("a refused connect", |_| TcpStream::connect(second).is_err().then_some(()));
    say("five");
    drop(sender);
    weir.wait_for_figure("/listeners/first/received", 4);
    let ended = weir.stop();
    let books = ended.clean();
    let text = |folder: &str| -> Vec<String> {
        let events = events(&ended.dir.path().join(folder));
        events.iter().map(|event| event["message"].as_str().unwrap().to_string()).collect()
    };
    assert_eq!(text("out"), ["one", "two", "three"]);
    assert_eq!(text("more"), ["two", "three"]);
    assert_eq!(text("elsewhere"), ["four", "five"]);
    assert_eq!(figure(books, "/sinks/more/dropped/removed"), 0, "{books:#}");
}

#[test]
fn a_changed_file_is_taken_by_itself() {
    let mut weir = Weir::start(&pipeline(&[listener("syslog", "tcp", "")], &[FILES]));
    let elsewhere = FILES.replace("root: out", "root: elsewhere");
    weir.rewrite(&pipeline(&[listener("syslog", "tcp", "")], &[&elsewhere]));
    weir.wait_for_log(DONE);
    let mut sender = TcpStream::connect(weir.address("syslog")).unwrap();
    sender.write_all(drained("hello").as_bytes()).unwrap();
    drop(sender);
    weir.wait_for("the event elsewhere", |weir| (events(&weir.path("elsewhere")).len() == 1).then_some(()));
    weir.stop().clean();
}

#[test]
fn a_broken_file_is_refused_with_its_errors_and_the_old_one_goes_on() {
    let good = pipeline(&[listener("syslog", "tcp", "")], &[FILES]);
    let mut weir = Weir::start(&good);
    let table = [
        (good.replace("kind: tcp", "kind: tpc"), "`tpc`"),
        (good.replace("sinks:", "sinkz:"), "unknown key `sinkz`"),
        (
            good.replace("listeners:\n", "listeners:\n  - {name: other, kind: tcp, bind: \"192.0.2.1:0\"}\n"),
            "listener `other`",
        ),
        (good.replace("root: out", "root: /proc/weir"), "sink `events`"),
        (format!("threads: 7\n{good}"), "a change to `threads` needs a restart"),
    ];
    let mut sender = TcpStream::connect(weir.address("syslog")).unwrap();
    for (number, (text, why)) in (1..).zip(table) {
        reload(&mut weir, &text, REFUSED);
        assert!(weir.stderr().contains(why), "{why}:\n{}", weir.stderr());
        sender.write_all(drained(&format!("line {number}")).as_bytes()).unwrap();
        weir.wait_for_figure("/sinks/events/delivered", number);
    }
    drop(sender);
    // A second `observe` would be an unknown key twice, so the head is changed in place.
    let head = std::fs::read_to_string(weir.path("pipeline.yaml")).unwrap();
    let moved = head.replace("threads: 7\n", "").replace("observe: 127.0.0.1:0", "observe: 127.0.0.1:1");
    std::fs::write(weir.path("pipeline.yaml"), moved).unwrap();
    weir.signal(Signal::HUP);
    weir.wait_for_log("a change to `observe` needs a restart");
    let ended = weir.stop();
    ended.clean();
    assert_eq!(messages(ended.dir.path()), (1..=5).map(|n| format!("line {n}")).collect::<Vec<_>>());
}

#[test]
fn a_hangup_opens_files_anew() {
    let mut weir = Weir::start(&pipeline(&[listener("syslog", "tcp", "")], &[FILES]));
    let mut sender = TcpStream::connect(weir.address("syslog")).unwrap();
    sender.write_all(drained("before").as_bytes()).unwrap();
    weir.wait_for_figure("/sinks/events/delivered", 1);
    let (file, moved) = (weir.path("out/syslog.ndjson"), weir.path("out/moved.ndjson"));
    std::fs::rename(&file, &moved).unwrap();
    weir.signal(Signal::HUP);
    weir.wait_for_log(DONE);
    sender.write_all(drained("after").as_bytes()).unwrap();
    drop(sender);
    weir.wait_for("the new file", |_| file.exists().then_some(()));
    let ended = weir.stop();
    assert_eq!(figure(ended.clean(), "/sinks/events/delivered"), 2);
    assert_eq!(messages(ended.dir.path()), ["before", "after"]);
}

/// The certificate that a listener shows, as openssl prints its serial number.
fn serial(openssl: &Path, address: SocketAddr) -> String {
    let connect = address.to_string();
    let (_, shown) = output(Command::new(openssl).args(["s_client", "-connect", &connect]), b"");
    let pem: String = shown.split_inclusive('\n').skip_while(|line| !line.contains("BEGIN CERT")).collect();
    assert!(!pem.is_empty(), "{shown}");
    output(Command::new(openssl).args(["x509", "-noout", "-serial"]), pem.as_bytes()).1
}

#[test]
fn certificates_are_read_anew_and_no_connection_is_dropped() {
    let Some(openssl) = find("wire::certificates_are_read_anew", "openssl") else { return };
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path(), "weir", &rcgen::PKCS_ECDSA_P256_SHA256);
    let listeners = [listener("tls", "tcp", ", tls: {cert: weir.pem, key: weir.key, mode: sniff}")];
    let text = pipeline(&listeners, &[FILES]);
    let mut weir = Weir::start_in(dir, &text);
    let address = weir.address("tls");
    let arguments = ["s_client", "-quiet", "-connect", &address.to_string()];
    let mut client = Command::new(&openssl)
        .args(arguments)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = client.stdin.take().unwrap();
    stdin.write_all(drained("before").as_bytes()).unwrap();
    weir.wait_for_figure("/listeners/tls/received", 1);
    let before = serial(&openssl, address);

    certificate(weir.dir(), "weir", &rcgen::PKCS_ECDSA_P256_SHA256);
    reload(&mut weir, &text, DONE);
    weir.wait_for("the new certificate", |_| (serial(&openssl, address) != before).then_some(()));
    stdin.write_all(drained("after").as_bytes()).unwrap();
    weir.wait_for_figure("/listeners/tls/received", 2);
    drop(stdin);

    // A key that does not fit is refused, and the one before stays.
    std::fs::write(weir.path("weir.key"), "no key").unwrap();
    reload(&mut weir, &text, REFUSED);
    assert!(weir.stderr().contains("weir.key"), "{}", weir.stderr());
    assert_ne!(serial(&openssl, address), before);
    let _ = client.kill();
    client.wait().unwrap();
    let ended = weir.stop();
    assert_eq!(figure(ended.clean(), "/sinks/events/delivered"), 2);
}

#[test]
fn a_sink_may_change_again_and_again() {
    let listeners = [listener("syslog", "tcp", "")];
    let mut weir = Weir::start(&pipeline(&listeners, &[FILES]));
    for round in 1..=3 {
        let mut sender = TcpStream::connect(weir.address("syslog")).unwrap();
        sender.write_all(drained("hello").as_bytes()).unwrap();
        drop(sender);
        weir.books_when("the event", |books| {
            books["closed"] == true && figure(books, "/listeners/syslog/received") == round
        });
        // The second change of one sink once ended the process.
        let elsewhere = FILES.replace("root: out", &format!("root: out{round}"));
        reload(&mut weir, &pipeline(&listeners, &[&elsewhere]), DONE);
    }
    let page = weir.metrics();
    let series: Vec<&str> =
        page.lines().filter(|line| line.starts_with("weir_delivered_events_total{")).collect();
    assert_eq!(series, ["weir_delivered_events_total{sink=\"events\"} 3"]);
    let ended = weir.stop();
    assert!(ended.status.success() && ended.books["closed"] == true, "{}", ended.stderr);
}
