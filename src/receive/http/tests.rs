//! The HTTP drain over real sockets.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::config::{ListenerKind, Secret, Text};
use crate::limits;
use crate::receive::tests::{Bench, FRAME, frame, listener, read_to_end, wait_until};

const LOGPLEX: &str = "Content-Type: application/logplex-1\r\n";

fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: weir\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Reads one answer: its status, head and body.
fn answer(stream: &mut TcpStream) -> (u16, String, String) {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let len = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            if body.len() >= len.map_or(0, |len| len.parse().unwrap()) {
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                return (status, head, body.into());
            }
        }
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "closed without an answer: {text:?}");
        bytes.extend_from_slice(&piece[..read]);
    }
}

fn ask(stream: &mut TcpStream, request: &[u8]) -> u16 {
    stream.write_all(request).unwrap();
    answer(stream).0
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn posts_on_one_connection_are_framed_and_counted() {
    let bench = Bench::new(listener(ListenerKind::Http));
    let mut stream = bench.connect();
    let body = frame().repeat(3);
    let counted = format!("{LOGPLEX}Logplex-Msg-Count: 3\r\n");
    assert_eq!(ask(&mut stream, &post("/", &counted, body.as_bytes())), 200);
    assert_eq!(ask(&mut stream, &post("/any?app=shop", LOGPLEX, body.as_bytes())), 200);
    assert_eq!(bench.books.admitted.get(), 6);
    assert_eq!(ask(&mut stream, &post("/", &counted, frame().as_bytes())), 200);
    assert_eq!(bench.books.count_mismatch.get(), 1);
    // A body with an error is answered like any other: what framed is kept.
    let broken = format!("{}{}", frame(), "x garbage");
    assert_eq!(ask(&mut stream, &post("/", LOGPLEX, broken.as_bytes())), 200);
    assert_eq!(ask(&mut stream, &post("/", LOGPLEX, b"no frame at all")), 200);
    assert_eq!(ask(&mut stream, &post("/", LOGPLEX, b"")), 200);
    assert_eq!(ask(&mut stream, &post("/", "", FRAME.repeat(2).as_bytes())), 200);
    let books = bench.end();
    assert_eq!((books.received.get(), books.garbage_bytes.get()), (10, 9 + 15));
}

#[test]
fn a_body_larger_than_a_batch_is_admitted_whole() {
    let bench = Bench::new(listener(ListenerKind::Http));
    let mut stream = bench.connect();
    let body = frame().repeat(12_000);
    assert!(body.len() > 4 * limits::BATCH_BYTES);
    let headers = format!("{LOGPLEX}Logplex-Frame-Id: large\r\n");
    assert_eq!(ask(&mut stream, &post("/", &headers, body.as_bytes())), 200);
    assert_eq!(ask(&mut stream, &post("/", &headers, body.as_bytes())), 200);
    let books = bench.end();
    assert_eq!((books.admitted.get(), books.duplicate.get()), (12_000, 12_000));
}

#[test]
fn a_million_tiny_frames_in_one_body() {
    let bench = Bench::with_slots(listener(ListenerKind::Http), 64);
    let body = b"1 <".repeat(1_000_000);
    assert_eq!(ask(&mut bench.connect(), &post("/", LOGPLEX, &body)), 200);
    assert_eq!(bench.end().admitted.get(), 1_000_000);
}

#[test]
fn a_frame_id_is_admitted_once() {
    let bench = Bench::new(listener(ListenerKind::Http));
    let headers = format!("{LOGPLEX}Logplex-Frame-Id: abc\r\nLogplex-Drain-Token: d.1\r\n");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                assert_eq!(ask(&mut bench.connect(), &post("/", &headers, frame().as_bytes())), 200)
            });
        }
    });
    let books = bench.end();
    assert_eq!((books.received.get(), books.admitted.get(), books.duplicate.get()), (8, 1, 7));
}

#[test]
fn only_post_is_served() {
    let bench = Bench::new(listener(ListenerKind::Http));
    let mut stream = bench.connect();
    for method in ["GET", "PUT", "DELETE"] {
        stream.write_all(format!("{method} / HTTP/1.1\r\nHost: weir\r\n\r\n").as_bytes()).unwrap();
        let (status, head, _) = answer(&mut stream);
        assert_eq!(status, 405);
        assert!(head.contains("allow: post"), "{head}");
    }
    let books = bench.end();
    assert_eq!((books.received.get(), books.refused_requests.get()), (0, 0));
}

#[test]
fn a_wrong_password_or_token_is_refused_and_counted() {
    let mut closed = listener(ListenerKind::Http);
    closed.users.insert("heroku".into(), Secret::new("secret"));
    closed.drain_tokens = vec![Text::plain("d.1")];
    let bench = Bench::new(closed);
    let mut stream = bench.connect();
    let request = |extra: &str| {
        let headers = format!("{LOGPLEX}Logplex-Msg-Count: 5\r\n{extra}");
        post("/", &headers, frame().as_bytes())
    };
    stream.write_all(&request("")).unwrap();
    let (status, head, _) = answer(&mut stream);
    assert_eq!(status, 401);
    assert!(head.contains("www-authenticate: basic"), "{head}");
    let right = "Authorization: Basic aGVyb2t1OnNlY3JldA==\r\n";
    assert_eq!(ask(&mut stream, &request(&format!("{right}Logplex-Drain-Token: d.2\r\n"))), 401);
    assert_eq!(ask(&mut stream, &request(&format!("{right}Logplex-Drain-Token: d.1\r\n"))), 200);
    let books = bench.end();
    assert_eq!(
        (books.received.get(), books.refused_requests.get(), books.refused_messages.get()),
        (1, 2, 10)
    );
}

#[test]
fn gzip_bodies_and_bombs() {
    let bench = Bench::new(listener(ListenerKind::Http));
    let mut stream = bench.connect();
    let packed = "Content-Type: application/x-logplex-1\r\nContent-Encoding: gzip\r\n";
    assert_eq!(ask(&mut stream, &post("/", packed, &gzip(frame().repeat(100).as_bytes()))), 200);
    assert_eq!(bench.books.received.get(), 100);
    let bomb = [frame().as_bytes(), &vec![b'x'; 64 << 20]].concat();
    assert_eq!(ask(&mut stream, &post("/", packed, &gzip(&bomb))), 200);
    assert_eq!(bench.books.received.get(), 101);
    assert!(bench.books.garbage_bytes.get() >= (limits::BODY_BYTES - frame().len()) as u64);
    assert_eq!(ask(&mut stream, &post("/", packed, frame().as_bytes())), 200);
    assert_eq!(ask(&mut stream, &post("/", "Content-Encoding: br\r\n", frame().as_bytes())), 200);
    assert_eq!(bench.end().received.get(), 101);
}

#[test]
fn what_is_over_the_cap_is_garbage() {
    let mut small = listener(ListenerKind::Http);
    small.limits.body_bytes = 1000;
    let bench = Bench::new(small);
    let mut stream = bench.connect();
    let body = frame().repeat(100);
    assert_eq!(ask(&mut stream, &post("/", LOGPLEX, body.as_bytes())), 200);
    let books = bench.end();
    let kept = 1000 / frame().len();
    assert_eq!(books.received.get(), kept as u64);
    assert_eq!(books.garbage_bytes.get(), (body.len() - kept * frame().len()) as u64);
}

#[test]
fn a_slow_body_ends_without_an_answer() {
    let mut hasty = listener(ListenerKind::Http);
    hasty.limits.request = Duration::from_millis(300);
    let bench = Bench::new(hasty);
    let mut stream = bench.connect();
    let request = post("/", LOGPLEX, frame().as_bytes());
    stream.write_all(&request[..request.len() - 1]).unwrap();
    let began = Instant::now();
    assert_eq!(read_to_end(&mut stream), b"");
    assert!(began.elapsed() >= Duration::from_millis(250));
    let books = bench.end();
    assert_eq!((books.received.get(), books.connections_closed.get()), (0, 1));
}

#[test]
fn a_silent_connection_is_closed_and_a_slow_head_too() {
    let mut hasty = listener(ListenerKind::Http);
    hasty.limits.idle = Duration::from_millis(200);
    let bench = Bench::new(hasty);
    let mut silent = bench.connect();
    let mut slow = bench.connect();
    slow.write_all(b"POST / HTTP/1.1\r\nHost: we").unwrap();
    assert_eq!(read_to_end(&mut silent), b"");
    read_to_end(&mut slow);
    bench.end();
}

#[test]
fn requests_that_are_none_are_refused_and_harm_nobody() {
    let bench = Bench::new(listener(ListenerKind::Http));
    let long = format!("POST /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
    let many = format!("POST / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(500));
    let table: [&[u8]; 9] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"not http at all\r\n\r\n",
        b"POST / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"POST / HTTP/1.1\r\nBad Header: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        long.as_bytes(),
        many.as_bytes(),
    ];
    for request in table {
        let mut stream = bench.connect();
        // A refusal may come while we are still writing.
        let _ = stream.write_all(request);
        let _ = stream.shutdown(Shutdown::Write);
        let got = read_to_end(&mut stream);
        assert!(!got.starts_with(b"HTTP/1.1 2"), "{:?}", String::from_utf8_lossy(request));
    }
    assert_eq!(ask(&mut bench.connect(), &post("/", LOGPLEX, frame().as_bytes())), 200);
    assert_eq!(bench.end().received.get(), 1);
}

#[test]
fn without_a_slot_a_request_waits_and_only_then_is_refused() {
    let bench = Bench::with_slots(listener(ListenerKind::Http), 4);
    let slots = bench.take_slots();
    let mut stream = bench.connect();
    let headers = format!("{LOGPLEX}Logplex-Msg-Count: 1\r\n");
    let began = Instant::now();
    assert_eq!(ask(&mut stream, &post("/", &headers, frame().as_bytes())), 503);
    assert!(began.elapsed() >= Duration::from_millis(limits::RECEIPT_MS));
    assert_eq!((bench.books.received.get(), bench.books.refused_requests.get()), (0, 1));
    assert_eq!(bench.books.refused_messages.get(), 1);
    stream.write_all(&post("/", &headers, frame().as_bytes())).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    drop(slots);
    assert_eq!(answer(&mut stream).0, 200);
    assert_eq!(bench.end().received.get(), 1);
}

#[test]
fn a_client_that_leaves_loses_nothing() {
    let bench = Bench::new(listener(ListenerKind::Http));
    for _ in 0..20 {
        bench.connect().write_all(&post("/", LOGPLEX, frame().as_bytes())).unwrap();
    }
    wait_until("all frames", || bench.books.received.get() == 20);
    assert_eq!(bench.end().admitted.get(), 20);
}

#[test]
fn drain_answers_what_has_arrived() {
    let bench = Bench::with_slots(listener(ListenerKind::Http), 4);
    let slots = bench.take_slots();
    let mut waiting = bench.connect();
    waiting.write_all(&post("/", LOGPLEX, frame().as_bytes())).unwrap();
    let mut idle = bench.connect();
    std::thread::sleep(Duration::from_millis(100));
    bench.receivers.drain();
    assert_eq!(read_to_end(&mut idle), b"");
    drop(slots);
    assert_eq!(answer(&mut waiting).0, 200);
    let began = Instant::now();
    assert_eq!(bench.end().received.get(), 1);
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[test]
fn ingest_takes_records_or_says_why_not() {
    let bench = Bench::new(listener(ListenerKind::Http));
    let mut stream = bench.connect();
    let json = "Content-Type: application/json\r\n";
    let table: [(&str, &[u8], u16); 8] = [
        (json, br#"{"message":"one"}"#, 200),
        (json, br#"[{"message":"one"},{"message":"two"}]"#, 200),
        ("Content-Type: application/x-ndjson\r\n", b"{\"a\":1}\n{\"b\":2}\n", 200),
        ("Content-Type: text/plain; charset=utf-8\r\n", b"one\ntwo\nthree", 200),
        (json, b"[]", 200),
        (json, br#"[{"message":"one"},{"message":}]"#, 400),
        ("Content-Type: text/csv\r\n", b"a,b", 415),
        ("Content-Type: application/json\r\nContent-Encoding: gzip\r\n", b"{}", 400),
    ];
    for (headers, body, expected) in table {
        assert_eq!(
            ask(&mut stream, &post("/ingest", headers, body)),
            expected,
            "{}",
            String::from_utf8_lossy(body)
        );
    }
    let large = vec![b' '; limits::BODY_BYTES + 1];
    assert_eq!(ask(&mut stream, &post("/ingest", json, &large)), 413);
    let books = bench.end();
    assert_eq!((books.received.get(), books.garbage_bytes.get(), books.refused_requests.get()), (8, 0, 0));
}
