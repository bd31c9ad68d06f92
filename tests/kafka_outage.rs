//! The whole program against a real Apache Kafka that stands still for 20 s under load.
//!
//! Senders that wait lose nothing and keep their order; a listener that discards after a second loses exactly what its
//! books say. What arrived is read by kcat and compared with what the generator says was sent.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use support::kafka::{Broker, Message};
use support::weir::Weir;
use weir_load::check::{self, Amiss, Report};
use weir_load::corpus::Mix;
use weir_load::send::{self, Options, Progress, Summary, Target, Tries};

const OUTAGE: Duration = Duration::from_secs(20);
/// Long enough to stand on both sides of the outage.
const LOAD: Duration = Duration::from_secs(34);

/// A pipeline with little room, so that an outage is felt at once.
fn pipeline(broker: &Broker, topic: &str, shed_after: &str) -> String {
    format!(
        "slots: 16\nlisteners:\n\
         \x20 - {{name: tcp, kind: tcp, bind: \"127.0.0.1:0\", shed_after: {shed_after}}}\n\
         \x20 - {{name: http, kind: http, bind: \"127.0.0.1:0\"}}\n\
         sinks:\n\
         \x20 - {{name: kafka, kind: kafka, brokers: [\"{}\"], topic: {topic}, \
         options: {{queue.buffering.max.kbytes: 1024}}}}\n",
        broker.address()
    )
}

fn load(to: String, seed: u64, rate: f64) -> JoinHandle<Summary> {
    let options = Options {
        mix: Mix::RouterHeavy,
        seed,
        connections: 4,
        rate: Some(rate),
        for_time: LOAD,
        tries: Tries::Forever,
        ..Options::new(Target::parse(&to).unwrap())
    };
    std::thread::spawn(move || send::run(&options, &AtomicBool::new(false), &Progress::default()).unwrap())
}

/// Writes what a topic holds as weir's files would: a folder a partition, since order is a partition's affair.
fn write_out(messages: &[Message], into: &Path) {
    let mut files = BTreeMap::new();
    for message in messages {
        let file = files.entry(message.partition).or_insert_with(|| {
            let folder = into.join(message.partition.to_string());
            fs::create_dir_all(&folder).unwrap();
            fs::File::create(folder.join("events.ndjson")).map(std::io::BufWriter::new).unwrap()
        });
        writeln!(file, "{}", message.payload.trim_end()).unwrap();
    }
}

/// Compares what `got` holds with what was sent.
fn compared(summaries: &[&Summary], got: &Path) -> Report {
    let mut sent = Vec::new();
    for (index, summary) in summaries.iter().enumerate() {
        let path = got.with_extension(format!("sent-{index}.json"));
        summary.record.write(&path).unwrap();
        sent.push(path);
    }
    let options =
        check::Options { sent, got: vec![got.display().to_string()], examples_max: 3, ..Default::default() };
    check::run(&options).unwrap()
}

/// Every key in one partition, as consumers rely on.
fn assert_keys_stay(messages: &[Message]) {
    let mut homes = BTreeMap::new();
    for message in messages {
        assert!(message.key.starts_with("d."), "key `{}`", message.key);
        let home = *homes.entry(&message.key).or_insert(message.partition);
        assert_eq!(home, message.partition, "key `{}`", message.key);
    }
}

#[test]
fn an_outage_of_the_broker_loses_nothing_or_what_the_books_say() {
    let Some(broker) = Broker::start("an_outage_of_the_broker_loses_nothing_or_what_the_books_say") else {
        return;
    };
    for topic in ["waits", "sheds"] {
        broker.create_topic(topic, 4, &[]);
    }
    let mut waits = Weir::start(&pipeline(&broker, "waits", "never"));
    let mut sheds = Weir::start(&pipeline(&broker, "sheds", "1s"));
    let tcp = load(format!("tcp://{}", waits.address("tcp")), 1, 4000.0);
    let http = load(format!("http://{}", waits.address("http")), 2, 2000.0);
    let shed = load(format!("tcp://{}", sheds.address("tcp")), 3, 8000.0);
    std::thread::sleep(Duration::from_secs(4));
    broker.pause();
    std::thread::sleep(OUTAGE);
    broker.resume();
    let (tcp, http, shed) = (tcp.join().unwrap(), http.join().unwrap(), shed.join().unwrap());
    assert!(tcp.troubles.is_empty() && http.troubles.is_empty(), "{:?} {:?}", tcp.troubles, http.troubles);
    let closed = |books: &serde_json::Value| books["closed"] == true;
    waits.books_when("closed books after the outage", closed);
    sheds.books_when("closed books after the outage", closed);
    let out = tempfile::tempdir().unwrap();

    let ended = waits.stop();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(ended.books["listeners"]["tcp"]["received"], tcp.events, "{}", ended.books);
    assert_eq!(ended.books["listeners"]["http"]["admitted"], http.events, "{}", ended.books);
    assert!(http.retries > 0, "the outage was not felt: {http:?}");
    let messages = broker.read("waits");
    assert_keys_stay(&messages);
    write_out(&messages, &out.path().join("waits"));
    let report = compared(&[&tcp, &http], &out.path().join("waits"));
    assert!(report.clean(), "{}", report.text());

    let ended = sheds.stop();
    assert!(ended.status.success(), "{}", ended.stderr);
    let listener = &ended.books["listeners"]["tcp"];
    assert_eq!(listener["received"], shed.events, "{}", ended.books);
    write_out(&broker.read("sheds"), &out.path().join("sheds"));
    let report = compared(&[&shed], &out.path().join("sheds"));
    assert!(report.count(Amiss::Lost) > 0, "the outage was not felt: {}", ended.books);
    assert_eq!(listener["shed"]["no_slot"], report.count(Amiss::Lost), "{}", report.text());
    let others = Amiss::ALL.into_iter().filter(|sort| *sort != Amiss::Lost);
    assert!(others.into_iter().all(|sort| report.count(sort) == 0), "{}", report.text());
}
