//! Bad input through the real binary: it is counted, the rest goes on, and the books close.
//!
//! | bad input | here | and elsewhere |
//! |---|---|---|
//! | stream cut anywhere | `a_stream_cut_anywhere…` | `frame.rs`, `parse/check.rs` |
//! | length 0, leading zero, too long, not a number; garbage between frames | `what_is_no_frame…` | `frame.rs` |
//! | a body shorter or longer than its counts | `a_body_that_is_not_what_it_counts…` | `receive/http/tests.rs` |
//! | 10,000-byte lines | `long_lines…` | `cases.rs` |
//! | a million tiny frames | `a_million_tiny_frames…` | |
//! | slow senders | `slow_heads_and_bodies…` | `wire/load.rs`, `receive/tests.rs` |
//! | 1,000 connections with half a frame | `half_frames…` | `receive/tests.rs` |
//! | connections beyond the limit | | `wire/pressure.rs`, `receive/tests.rs` |
//! | TLS garbage | `garbage_where_tls_is_due…` | `receive/tls/tests.rs` |
//! | gzip bombs | `a_gzip_bomb…` | `receive/http/tests.rs` |
//! | requests that hyper must refuse | `requests_that_are_none…` | `receive/http/tests.rs` |
//! | invalid times, huge field counts, JSON 1,000 levels deep | `strange_messages…` | `parse/json.rs`, `parse/time.rs` |
//! | path template tricks | `no_name_leaves_the_folder` | `deliver/path.rs` |
//! | disk full | `a_full_disk…` | `deliver/file.rs` |
//! | output folder missing | `a_missing_folder…` | |
//! | port taken | `a_port_taken…` | `receive/tests.rs` |
//! | ten errors in the pipeline file | `ten_mistakes…` | `config/read/tests.rs` |

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::Value;

use support::frames::{FILES, drained, listener, messages, octet, pipeline, posted};
use support::http::{Client, LOGPLEX, request};
use support::tools::certificate;
use support::weir::{Weir, events, figure, run};

/// Sends bytes and FIN, and reads until weir has closed: then all is in the books.
fn pour(weir: &Weir, listener: &str, bytes: &[u8]) {
    let mut stream = TcpStream::connect(weir.address(listener)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // One that sends garbage may be cut off in the middle.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
}

/// Received frames and garbage of a listener.
fn taken(books: &Value, listener: &str) -> (u64, u64) {
    let of = |name: &str| figure(books, &format!("/listeners/{listener}/{name}"));
    (of("received"), of("apart/garbage_bytes"))
}

#[test]
fn a_stream_cut_anywhere_gives_the_whole_frames_and_counts_the_rest() {
    let weir = Weir::start(&pipeline(&[listener("in", "tcp", ", framing: octet")], &[FILES]));
    let frames = ["one", "two", "three"].map(drained);
    let stream = frames.concat();
    let (mut received, mut garbage) = (0, 0);
    for cut in 0..=stream.len() {
        pour(&weir, "in", &stream.as_bytes()[..cut]);
        let mut left = cut;
        for frame in frames.iter().take_while(|frame| {
            left.checked_sub(frame.len()).is_some_and(|rest| {
                left = rest;
                true
            })
        }) {
            assert!(!frame.is_empty());
            received += 1;
        }
        garbage += left as u64;
    }
    let ended = weir.stop();
    assert_eq!(taken(ended.clean(), "in"), (received, garbage));
    assert_eq!(messages(ended.dir.path()).len() as u64, received);
}

#[test]
fn what_is_no_frame_is_skipped_to_the_next_one() {
    let good = drained("good");
    let bad = "<190>1 2026-11-22T09:51:24Z host app web.1 - bad\n";
    let counted = |count: &str| format!("{count} {bad}");
    let short = counted("10");
    let long = format!("{} {bad}", bad.len() + 20);
    // (what stands between two good frames, frames in all, garbage)
    let table = [
        ("length 0", counted("0"), 2, counted("0").len()),
        ("leading zero", counted("049"), 2, counted("049").len()),
        ("too long", counted("99999999"), 2, counted("99999999").len()),
        ("not a number", counted("4x9"), 2, counted("4x9").len()),
        ("no count", bad.to_string(), 2, bad.len()),
        ("garbage", "\u{0}\u{1}zzz 17 zzz\n\n17 zzz\n".to_string(), 2, 21),
        ("line ends between frames", "\r\n\n\r".to_string(), 2, 0),
        ("a count too low", short.clone(), 3, short.len() - "10 ".len() - 10),
        ("a count too high", long, 2, good.len() - 20),
        ("a count up to the end of all", counted("9000000"), 1, counted("9000000").len() + good.len()),
    ];
    for (name, between, frames, garbage) in table {
        let weir = Weir::start(&pipeline(&[listener("in", "tcp", "")], &["{name: none, kind: blackhole}"]));
        pour(&weir, "in", format!("{good}{between}{good}").as_bytes());
        let ended = weir.stop();
        assert_eq!(taken(ended.clean(), "in"), (frames, garbage as u64), "{name}");
    }
}

#[test]
fn a_body_that_is_not_what_it_counts_is_kept_as_far_as_it_frames() {
    let weir = Weir::start(&pipeline(&[listener("in", "http", "")], &[FILES]));
    let (one, two) = (posted("one"), posted("two"));
    let mut client = Client::connect(weir.address("in"));
    let cut = &two[..two.len() - 5];
    let table = [
        ("1", format!("{one}{two}"), 2, 0),
        ("3", format!("{one}{two}"), 2, 0),
        ("2", format!("{one}{cut}"), 1, cut.len()),
        ("2", format!("{one}garbage\n{two}"), 1, "garbage\n".len() + two.len()),
        ("many", one.clone(), 1, 0),
    ];
    let (mut received, mut garbage) = (0, 0);
    for (count, body, frames, rest) in table {
        let answer = client.post("/", &[LOGPLEX, ("Logplex-Msg-Count", count)], body.as_bytes());
        assert_eq!(answer.status / 100, 2, "{answer:?}");
        received += frames;
        garbage += rest as u64;
    }
    // A body that ends before its Content-Length is no request.
    let mut half = request("/", &[LOGPLEX], (one.clone() + &two).as_bytes());
    half.truncate(half.len() - 10);
    pour(&weir, "in", &half);
    let ended = weir.stop();
    assert_eq!(taken(ended.clean(), "in"), (received, garbage));
    assert_eq!(figure(&ended.books, "/listeners/in/apart/count_mismatch"), 4);
}

#[test]
fn long_lines_are_kept_or_cut_and_framing_stays_in_step() {
    let few = ", limits: {frame_bytes: 4096}";
    let listeners =
        [listener("whole", "tcp", ""), listener("cut", "tcp", few), listener("lines", "tcp", few)];
    let weir = Weir::start(&pipeline(&listeners, &[FILES]));
    let long = "x".repeat(10_000);
    let stream = drained(&long) + &drained("after");
    for name in ["whole", "cut"] {
        pour(&weir, name, stream.as_bytes());
    }
    let line = format!("<13>1 - - app - - - {long}\n<13>1 - - app - - - after\n");
    pour(&weir, "lines", line.as_bytes());
    let ended = weir.stop();
    let books = ended.clean();
    for (name, truncated) in [("whole", 0), ("cut", 1), ("lines", 1)] {
        assert_eq!(taken(books, name), (2, 0), "{name}");
        assert_eq!(figure(books, &format!("/listeners/{name}/apart/truncated")), truncated, "{name}");
    }
    let all = events(&ended.dir.path().join("out"));
    assert!(all.iter().filter(|event| event["message"] == "after").count() == 3);
    for event in all.iter().filter(|event| event["message"] != "after") {
        let cut = event["listener"] != "whole";
        assert_eq!(event["flags"].to_string().contains("truncated"), cut);
        assert_eq!(event["message"].as_str().unwrap().len() < 4096, cut);
    }
}

#[test]
fn a_million_tiny_frames_are_a_million_events() {
    let weir = Weir::start(&pipeline(
        &[listener("in", "tcp", ", framing: octet, shed_after: never")],
        &["{name: none, kind: blackhole}"],
    ));
    pour(&weir, "in", "1 x".repeat(1_000_000).as_bytes());
    let ended = weir.stop();
    assert_eq!(taken(ended.clean(), "in"), (1_000_000, 0));
    assert_eq!(figure(&ended.books, "/sinks/none/delivered"), 1_000_000);
}

#[test]
fn slow_heads_and_bodies_end_without_an_answer_and_disturb_nobody() {
    let hasty = ", limits: {request: 500ms, idle: 1s}";
    let weir =
        Weir::start(&pipeline(&[listener("in", "http", hasty), listener("tcp", "tcp", hasty)], &[FILES]));
    let body = request("/", &[LOGPLEX], posted("slow").as_bytes());
    let pieces = [("in", &body[..20]), ("in", &body[..body.len() - 1]), ("tcp", &b"90 <190>1 20"[..])];
    let began = Instant::now();
    let mut slow = pieces.map(|(name, piece)| {
        let mut client = Client::connect(weir.address(name));
        client.0.write_all(piece).unwrap();
        client
    });
    assert_eq!(
        Client::connect(weir.address("in")).post("/", &[LOGPLEX], posted("quick").as_bytes()).status / 100,
        2
    );
    for client in &mut slow {
        let _ = client.0.read_to_end(&mut Vec::new());
    }
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    let ended = weir.stop();
    assert_eq!(taken(ended.clean(), "in"), (1, 0));
    assert_eq!(taken(&ended.books, "tcp"), (0, 12));
    assert_eq!(messages(ended.dir.path()), ["quick"]);
}

/// The bound that weir prints at its start, in bytes.
fn printed_bound(weir: &Weir) -> u64 {
    let log = weir.stderr();
    let (_, rest) = log.split_once("memory is bounded by ").expect("the bound is printed");
    rest.split(' ').next().unwrap().parse::<u64>().unwrap() << 20
}

#[test]
fn half_frames_of_a_thousand_connections_stay_within_the_printed_memory() {
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum.map(|most| most.min(8192));
    setrlimit(Resource::Nofile, files).unwrap();
    // Together they would hold 100 MB, and all carries may hold 64 MiB: some are closed.
    let large = listener("in", "tcp", ", limits: {frame_bytes: 120KiB, connections: 2000}");
    let mut weir = Weir::start(&pipeline(&[large], &[FILES]));
    let address = weir.address("in");
    let half = [b"110000 <13>1 - - app - - - ".as_slice(), &[b'x'; 100_000]].concat();
    let mut held = Vec::new();
    for _ in 0..1000 {
        let mut stream = TcpStream::connect(address).unwrap();
        let _ = stream.write_all(&half);
        held.push(stream);
    }
    let bound = printed_bound(&weir);
    weir.wait_for("the largest to be closed", |weir| {
        let closed = weir
            .metrics()
            .lines()
            .find(|line| line.starts_with("weir_connections_closed_total{"))?
            .to_string();
        (closed.rsplit_once(' ')?.1.parse::<u64>().ok()? > 100).then_some(())
    });
    let resident = weir.resident_bytes();
    assert!(resident < bound, "{} MiB of {} MiB", resident >> 20, bound >> 20);
    assert!(resident < 300 << 20, "{} MiB", resident >> 20);
    pour(&weir, "in", drained("still here").as_bytes());
    drop(held);
    let ended = weir.stop();
    let (received, garbage) = taken(ended.clean(), "in");
    assert_eq!(received, 1);
    assert!(garbage > 64 << 20, "{garbage}");
}

#[test]
fn garbage_where_tls_is_due_closes_that_connection_only() {
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path(), "weir", &rcgen::PKCS_ECDSA_P256_SHA256);
    let tls = |mode: &str| {
        format!(", tls: {{cert: weir.pem, key: weir.key, mode: {mode}}}, limits: {{handshake: 500ms}}")
    };
    let listeners = [
        listener("sniff", "tcp", &tls("sniff")),
        listener("require", "tcp", &tls("require")),
        listener("drain", "http", &tls("require")),
    ];
    let weir = Weir::start_in(dir, &pipeline(&listeners, &[FILES]));
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let table: [&[u8]; 4] = [hello, b"\x16\x16\x16\x16\x16\x16\x16", b"\x16", &[0x16; 70_000]];
    for name in ["sniff", "require", "drain"] {
        for garbage in table {
            pour(&weir, name, garbage);
        }
        // One that says nothing more is not waited for either.
        let mut silent = Client::connect(weir.address(name));
        silent.0.write_all(hello).unwrap();
        let _ = silent.0.read_to_end(&mut Vec::new());
    }
    pour(&weir, "require", drained("plain where TLS is required").as_bytes());
    pour(&weir, "sniff", drained("plain").as_bytes());
    let ended = weir.stop();
    let books = ended.clean();
    assert_eq!(messages(ended.dir.path()), ["plain"]);
    assert_eq!((taken(books, "require").0, taken(books, "drain").0), (0, 0));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_gzip_bomb_is_cut_at_the_cap() {
    let mut weir = Weir::start(&pipeline(&[listener("in", "http", "")], &[FILES]));
    let mut bomb = gzip(&[posted("before").as_bytes(), &vec![b'x'; 256 << 20]].concat());
    let headers = [LOGPLEX, ("Content-Encoding", "gzip")];
    let mut client = Client::connect(weir.address("in"));
    for received in 1..=8 {
        assert_eq!(client.post("/", &headers, &bomb).status / 100, 2);
        weir.wait_for_figure("/listeners/in/received", received);
    }
    // Broken in the middle: what came before is kept.
    let half = bomb.len() / 2;
    bomb.truncate(half);
    assert_eq!(client.post("/", &headers, &bomb).status / 100, 2);
    assert_eq!(client.post("/", &headers, b"no gzip").status / 100, 2);
    let resident = weir.resident_bytes();
    assert!(resident < 200 << 20, "{} MiB", resident >> 20);
    let ended = weir.stop();
    assert_eq!(taken(ended.clean(), "in").0, 9);
}

#[test]
fn requests_that_are_none_are_refused_and_the_next_is_served() {
    let weir = Weir::start(&pipeline(&[listener("in", "http", "")], &[FILES]));
    let long = format!("POST /{} HTTP/1.1\r\nHost: weir\r\n\r\n", "x".repeat(100_000));
    let table: [&[u8]; 10] = [
        b"GET\r\n\r\n",
        b"\x00\x01\x02\x03\r\n\r\n",
        b"POST / HTTP/3.7\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: weir\r\nContent-Length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: weir\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: weir\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nHost: weir\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\nx",
        b"POST / HTTP/1.1\r\nno colon\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\xff\x09\x09\x09\x09\x09\x09",
        long.as_bytes(),
    ];
    for bytes in table {
        let mut client = Client::connect(weir.address("in"));
        let _ = client.0.write_all(bytes);
        let _ = client.0.shutdown(Shutdown::Write);
        let mut said = Vec::new();
        let _ = client.0.read_to_end(&mut said);
        let said = String::from_utf8_lossy(&said);
        assert!(
            !said.starts_with("HTTP/1.1 2"),
            "{} -> {said}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(99)])
        );
    }
    let good = Client::connect(weir.address("in")).post("/", &[LOGPLEX], posted("good").as_bytes());
    assert_eq!(good.status / 100, 2);
    let ended = weir.stop();
    ended.clean();
    assert_eq!(messages(ended.dir.path()), ["good"]);
}

#[test]
fn strange_messages_are_events_with_flags() {
    let weir = Weir::start(&pipeline(&[listener("in", "tcp", ""), listener("later", "tcp", "")], &[FILES]));
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(1000), "]".repeat(1000));
    let wide: Vec<String> = (0..3000).map(|n| format!("\"f{n}\":{n}")).collect();
    let wide = format!("{{{}}}", wide.join(","));
    let pairs: Vec<String> = (0..3000).map(|n| format!("k{n}={n}")).collect();
    let router = format!("at=info method=GET path=\"/\" {}", pairs.join(" "));
    let at = |time: &str| octet(&format!("<190>1 {time} host app web.1 - at {time}\n"));
    let app = |text: &str| octet(&format!("<190>1 2026-11-22T09:51:24Z host app web.1 - {text}\n"));
    let table = [
        (at("2012-12-10T03:00:48Z+00:00"), "bad_time"),
        (at("2026-02-30T00:00:00Z"), "bad_time"),
        (at("-"), "bad_time"),
        (at("99999-01-01T00:00:00Z"), "bad_time"),
        (app(&deep), "bad_json"),
        (app(&wide), "bad_json"),
        (app("{\"a\":"), ""),
        (app("{\"a\":}"), "bad_json"),
        (octet(&format!("<158>1 2026-11-22T09:51:24Z host heroku router - {router}\n")), ""),
        (octet("<999>1 2026-11-22T09:51:24Z host app web.1 - x"), "unparsed"),
        (octet("<13>"), "unparsed"),
    ];
    let stream: String = table.iter().map(|(frame, _)| frame.as_str()).collect();
    pour(&weir, "in", stream.as_bytes());
    let mut invalid = b"60 <190>1 2026-11-22T09:51:24Z host app web.1 - ".to_vec();
    invalid.resize(63, 0xff);
    pour(&weir, "later", &invalid);
    let ended = weir.stop();
    assert_eq!(taken(ended.clean(), "in"), (table.len() as u64, 0));
    let all = events(&ended.dir.path().join("out"));
    let flags = |event: &Value| -> Vec<String> {
        event["flags"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|flag| flag.as_str().unwrap().to_string())
            .collect()
    };
    for (event, (frame, flag)) in all.iter().zip(&table) {
        assert_eq!(flags(event).join(" "), *flag, "{}", &frame[..frame.len().min(200)]);
        assert!(event["fields"].as_object().unwrap().len() <= 256, "{}", &frame[..frame.len().min(200)]);
        if *flag == "bad_time" {
            assert_eq!(event["time"], event["received"]);
        }
    }
    assert_eq!(flags(all.last().unwrap()), ["invalid_utf8"]);
}

#[test]
fn no_name_leaves_the_folder() {
    let files = "{name: events, kind: file, root: out/below, path: \"{listener}/{drain}/{computer}.ndjson\"}";
    let weir = Weir::start(&pipeline(&[listener("in", "tcp", "")], &[files]));
    let tokens = ["d.../../../up", "d.%2e%2e", "d.\u{1}x", "d./etc/passwd", "d.a\\..\\b"];
    let long = format!("d.{}", "y".repeat(5000));
    for token in tokens.iter().copied().chain([long.as_str()]) {
        pour(
            &weir,
            "in",
            octet(&format!("<190>1 2026-11-22T09:51:24Z {token} app web.1 - - {token}\n")).as_bytes(),
        );
    }
    let before: Vec<_> =
        std::fs::read_dir(weir.dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let ended = weir.stop();
    assert_eq!(figure(ended.clean(), "/sinks/events/delivered"), 6);
    assert_eq!(
        events(&ended.dir.path().join("out/below/in")).len(),
        6,
        "all below the listener's own folder"
    );
    let after: Vec<_> =
        std::fs::read_dir(ended.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(before.len(), after.len(), "{after:?}");
    let beside: Vec<_> = std::fs::read_dir(ended.dir.path().join("out")).unwrap().collect();
    assert_eq!(beside.len(), 1, "{beside:?}");
}

/// A small file system in memory, unmounted when dropped.
struct Small(std::path::PathBuf);

impl Small {
    fn mount(at: &std::path::Path, size: &str) -> Option<Small> {
        std::fs::create_dir_all(at).unwrap();
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "weir-test"])
            .arg(at)
            .output();
        done.is_ok_and(|done| done.status.success()).then(|| Small(at.into()))
    }

    fn enlarge(&self, size: &str) {
        let done = Command::new("mount")
            .args(["-o", &format!("remount,size={size}")])
            .arg(&self.0)
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}

#[test]
fn a_full_disk_stops_the_sink_until_there_is_room_and_nothing_is_lost() {
    let mount = tempfile::tempdir().unwrap();
    let Some(small) = Small::mount(mount.path(), "128k") else {
        support::skipped("bad_input::a_full_disk: only root may mount a small file system");
        return;
    };
    let files = format!(
        "{{name: events, kind: file, root: {}/out, path: \"{{listener}}.ndjson\"}}",
        mount.path().display()
    );
    let mut weir = Weir::start(&pipeline(&[listener("in", "tcp", "")], &[&files]));
    let lines: String = (0..2000).map(|n| drained(&format!("line {n}"))).collect();
    pour(&weir, "in", lines.as_bytes());
    weir.wait_for_log("No space left on device");
    small.enlarge("16m");
    weir.wait_for_figure("/sinks/events/delivered", 2000);
    let ended = weir.stop();
    ended.clean();
    let expected: Vec<String> = (0..2000).map(|n| format!("line {n}")).collect();
    assert_eq!(messages(mount.path()), expected);
}

#[test]
fn a_missing_folder_is_made_or_the_error_names_the_sink() {
    let mut weir = Weir::start(&pipeline(
        &[listener("in", "tcp", "")],
        &["{name: events, kind: file, root: out/not/there, path: \"{listener}.ndjson\"}"],
    ));
    pour(&weir, "in", drained("one").as_bytes());
    weir.wait_for_figure("/sinks/events/delivered", 1);
    // Taken away under its feet: what comes later goes to a folder of the same name.
    std::fs::remove_dir_all(weir.path("out")).unwrap();
    weir.signal(rustix::process::Signal::HUP);
    weir.wait_for_log("the pipeline was reloaded");
    pour(&weir, "in", drained("two").as_bytes());
    weir.wait_for_figure("/sinks/events/delivered", 2);
    let ended = weir.stop();
    ended.clean();
    assert_eq!(messages(ended.dir.path()), ["two"]);

    let (code, said) = start_in_vain(&pipeline(
        &[listener("in", "tcp", "")],
        &["{name: events, kind: file, root: pipeline.yaml/x, path: a.ndjson}"],
    ));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("sink `events`") && said.contains("hint: "), "{said}");
}

/// Runs a pipeline that cannot start, in a folder of its own.
fn start_in_vain(pipeline: &str) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    let head = "weir: pipeline/v1\nobserve: 127.0.0.1:0\nadmin: 127.0.0.1:0\n";
    std::fs::write(dir.path().join("pipeline.yaml"), format!("{head}{pipeline}")).unwrap();
    let mut command = Command::new(support::weir::binary());
    let output = command.args(["run", "pipeline.yaml"]).current_dir(dir.path()).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_port_taken_is_an_error_that_names_the_listener() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken_udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let addresses = [taken.local_addr().unwrap(), taken_udp.local_addr().unwrap()];
    for (kind, address) in [("tcp", addresses[0]), ("http", addresses[0]), ("udp", addresses[1])] {
        let mine = listener("mine", kind, "").replace("127.0.0.1:0", &address.to_string());
        let (code, said) = start_in_vain(&pipeline(&[listener("other", "tcp", ""), mine], &[FILES]));
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("listener `mine`") && said.contains(&address.to_string()), "{said}");
        assert!(said.contains("hint: ") && !said.contains("panicked"), "{said}");
    }
    let listeners = pipeline(&[listener("other", "tcp", "")], &["{name: none, kind: blackhole}"]);
    let observe = format!("weir: pipeline/v1\nobserve: {}\nadmin: 127.0.0.1:0\n{listeners}", addresses[0]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipeline.yaml");
    std::fs::write(&path, observe).unwrap();
    let output = run(&["run", path.to_str().unwrap()], b"");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("`observe`"), "{said}");
}

#[test]
fn ten_mistakes_are_ten_errors_with_place_and_hint() {
    let text = "weir: pipeline/v1
thread: 4
slots: lots
observe: here
listeners:
  - name: heroku syslog
    kind: tpc
    bind: 127.0.0.1:0
    limits: {idle: 5}
    users: {heroku: \"${NOT_SET_ANYWHERE}\"}
sinks:
  - {name: e, kind: file, root: out, path: '{drian}.ndjson'}
  - {name: e, kind: kafka, brokers: [k], topic: t}
";
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("pipeline.yaml"), text).unwrap();
    for command in ["check", "run"] {
        let mut weir = Command::new(support::weir::binary());
        let output = weir.args([command, "pipeline.yaml"]).current_dir(dir.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr);
        let place = |line: &str| -> Option<(u32, u32)> {
            let mut parts = line.strip_prefix("pipeline.yaml:")?.splitn(3, ':');
            Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
        };
        let places: Vec<_> = said.lines().filter_map(place).collect();
        let lines: Vec<u32> = places.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 3, 4, 6, 7, 9, 10, 12, 13, 13], "{said}");
        assert!(places.iter().all(|(_, column)| *column > 0));
        assert_eq!(said.lines().filter(|line| line.starts_with("hint: ")).count(), 10, "{said}");
    }
}
