//! What has to hold however the work is divided: among reads, among shards, among receivers.

mod support;

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use serde_json::Value;
use support::frames::{FILES, check, load, pipeline, send};
use support::weir::{Weir, run};
use weir_load::check::Options as Check;
use weir_load::corpus::Mix;
use weir_load::generator::{Form, Generator, Load};
use weir_load::send::Options;
use weir_load::stamp::Stamp;

/// Frames of several connections, interleaved, with damage here and there.
fn input(events: u64) -> Vec<u8> {
    let load = Load::new(7, Mix::RouterHeavy, Form::Syslog, 1_700_000_000_000_000, 5, Some(2000.0), 100_000);
    let generator = Generator::new(load);
    let (mut stamps, mut out): (Vec<Stamp>, _) = ((0..5).map(|_| Stamp::default()).collect(), Vec::new());
    for n in 0..events {
        let connection = (n % 5) as u32;
        generator.frame(connection, n / 5, &mut stamps[connection as usize], &mut out);
        if n % 97 == 0 {
            out.extend_from_slice(b"neither count nor line\n");
        }
        if n % 211 == 0 {
            out.extend_from_slice(b"25 <13>no time: \xff\xfe \x1b[1mx\x1b");
        }
    }
    out
}

fn replayed(dir: &Path, threads: usize, vectors: &str, input: &Path) -> (Vec<u8>, serde_json::Value) {
    let pipeline = dir.join(format!("{threads}-{vectors}.yaml"));
    let text = format!("weir: pipeline/v1\nthreads: {threads}\nvectors: {vectors}\n");
    std::fs::write(&pipeline, text).unwrap();
    let arguments = ["replay", "--pipeline", pipeline.to_str().unwrap(), input.to_str().unwrap()];
    let output = run(&arguments, b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.stdout, support::weir::last_line(&output.stderr))
}

#[test]
fn one_shard_or_eight_with_vectors_or_without_write_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("input");
    std::fs::write(&file, input(30_000)).unwrap();
    let (one, books) = replayed(dir.path(), 1, "auto", &file);
    assert!(one.len() > 5_000_000 && books["closed"] == true, "{books}");
    for (threads, vectors) in [(1, "off"), (2, "off"), (8, "auto"), (8, "auto")] {
        let (many, again) = replayed(dir.path(), threads, vectors, &file);
        assert_eq!(again["listeners"], books["listeners"], "{threads} shards");
        let differs = one.iter().zip(&many).position(|(a, b)| a != b);
        assert_eq!((differs, one.len()), (None, many.len()), "{threads} shards, vectors {vectors}");
    }
}

#[test]
fn one_receiver_or_four_give_the_same_events_in_order_within_each_connection() {
    for threads in [1, 4] {
        let listeners = [support::frames::listener("tcp", "tcp", "")];
        let weir = Weir::start(&format!("threads: {threads}\n{}", pipeline(&listeners, &[FILES])));
        let options = Options {
            mix: Mix::Fair,
            connections: 12,
            rate: Some(6000.0),
            for_time: Duration::from_secs(2),
            ..load(&weir, "tcp", "tcp")
        };
        let summary = send(&options);
        let ended = weir.stop();
        ended.clean();
        let report = check(ended.dir.path(), &[&summary.record], Check::default());
        assert!(report.clean() && report.matched == summary.events, "{}", report.text());
    }
}

/// The events of a replay, without what says where they lay and when they came.
fn events_of(framing: &str, input: &Path) -> Vec<Value> {
    let output = run(&["replay", "--framing", framing, input.to_str().unwrap()], b"");
    let books = support::weir::last_line(&output.stderr);
    assert!(output.status.success() && books["closed"] == true, "{books}");
    let read = |line: &str| {
        let mut event: Value = serde_json::from_str(line).unwrap();
        event.as_object_mut().unwrap().retain(|key, _| key != "id" && key != "received");
        event
    };
    std::str::from_utf8(&output.stdout).unwrap().lines().map(read).collect()
}

/// Counted frames of one fair connection.
fn fair(seed: u64, form: Form, frames: u64) -> Vec<Vec<u8>> {
    let load = Load::new(seed, Mix::Fair, form, 1_700_000_000_000_000, 1, Some(900.0), 100_000);
    let (generator, mut stamp) = (Generator::new(load), Stamp::default());
    let frame = |n| {
        let mut frame = Vec::new();
        generator.frame(0, n, &mut stamp, &mut frame);
        frame
    };
    (0..frames).map(frame).collect()
}

#[test]
fn a_record_of_a_frame_gives_the_event_that_the_frame_gave() {
    let frames = fair(11, Form::Syslog, 2000);
    let record = |frame: &Vec<u8>| {
        let raw = base64::engine::general_purpose::STANDARD.encode(frame);
        format!("{{\"received\":\"2023-11-14T22:13:20Z\",\"raw_base64\":\"{raw}\"}}\n")
    };
    let dir = tempfile::tempdir().unwrap();
    let (stream, records) = (dir.path().join("stream"), dir.path().join("records"));
    std::fs::write(&stream, frames.concat()).unwrap();
    std::fs::write(&records, frames.iter().map(record).collect::<String>()).unwrap();
    let streamed = events_of("octet", &stream);
    assert_eq!(streamed.len(), frames.len());
    assert_eq!(events_of("records", &records), streamed);
}

/// Records without counts tore quarantined messages of several lines when they were read again.
#[test]
fn quarantined_frames_give_their_events_when_they_are_replayed() {
    // Frames that name their drain need no rule.
    let frames = fair(12, Form::Https, 500);
    assert!(frames.iter().any(|frame| frame[..frame.len() - 1].contains(&b'\n')), "one has several lines");
    let rule = "{pattern: 'not-(?P<Computer>to-be-found)', token: Computer}";
    let set = format!(", framing: octet, device_id: {{on_no_match: quarantine, rules: [{rule}]}}");
    let listeners = [support::frames::listener("tcp", "tcp", &set)];
    let mut weir = Weir::start(&pipeline(&listeners, &[FILES]));
    TcpStream::connect(weir.address("tcp")).unwrap().write_all(&frames.concat()).unwrap();
    weir.books_when("all frames", |books| books["listeners"]["tcp"]["received"] == 500);
    let ended = weir.stop();
    let sink = ended.books["sinks"].as_object().unwrap().values().next().unwrap();
    assert_eq!(sink["quarantined"], 500, "{}", ended.books);
    let stream = ended.dir.path().join("stream");
    std::fs::write(&stream, frames.concat()).unwrap();
    let again = events_of("records", &ended.dir.path().join("out/quarantine/records.ndjson"));
    let with_peer = events_of("octet", &stream).into_iter().map(|mut event| {
        event["peer"] = "127.0.0.1".into();
        event
    });
    assert_eq!(again, with_peer.collect::<Vec<_>>());
}
