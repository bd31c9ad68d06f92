//! Sends to receivers of our own on loopback and checks what they took, over every transport.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use weir_load::check::{self, Amiss};
use weir_load::corpus::Mix;
use weir_load::discard::Discard;
use weir_load::generator::Generator;
use weir_load::record::Record;
use weir_load::send::{self, Options, Progress, Summary, Target, Tries};
use weir_load::stamp;

/// Every test ends by then, whatever hangs.
const LIMIT: Duration = Duration::from_secs(30);

fn target(scheme: &str, port: u16) -> Target {
    Target::parse(&format!("{scheme}://127.0.0.1:{port}")).unwrap()
}

fn send(options: &Options) -> Summary {
    send::run(options, &AtomicBool::new(false), &Progress::default()).unwrap()
}

/// The messages of an octet-counted stream; what is left at the end must be nothing.
fn messages(mut stream: &[u8]) -> Vec<String> {
    let mut all = Vec::new();
    while !stream.is_empty() {
        let blank = stream.iter().position(|&b| b == b' ').expect("a count");
        let count: usize = std::str::from_utf8(&stream[..blank]).unwrap().parse().unwrap();
        all.push(String::from_utf8(stream[blank + 1..blank + 1 + count].to_vec()).unwrap());
        stream = &stream[blank + 1 + count..];
    }
    all
}

/// What a faultless receiver would write for messages of one drain (`token` where the header has none). The message
/// itself must be the one that was due.
fn events(record: &Record, messages: &[String], token: Option<&str>) -> String {
    let generator = Generator::new(record.load.clone());
    let mut out = String::new();
    for message in messages {
        let mut words = message.split(' ');
        let time = words.nth(1).unwrap();
        let drain = words.next().filter(|w| *w != "host").or(token).unwrap();
        let (connection, sequence) = generator.locate(drain, time_us(time)).expect("an event of this run");
        let mut due = Vec::new();
        generator.message(connection, sequence, &mut stamp::Stamp::default(), &mut due);
        assert_eq!(message.as_bytes(), due);
        out += &generator.expect(connection, sequence).to_json();
        out.push('\n');
    }
    out
}

/// Reads a time in any of the styles.
fn time_us(text: &str) -> i64 {
    let bare = text.strip_suffix('Z').or(text.strip_suffix("+00:00")).unwrap();
    let (second, fraction) = bare.split_once('.').unwrap_or((bare, ""));
    stamp::read_normal(format!("{second}.{fraction:0<6}Z").as_bytes()).unwrap()
}

fn verdict(record: &Record, output: &str, options: check::Options) -> check::Report {
    check::run_on(
        &check::Options { examples_max: 3, ..options },
        vec![record.clone()],
        "memory",
        output.as_bytes(),
    )
}

/// Takes `connections` and gives what came over each.
fn tcp_sink(connections: usize) -> (u16, JoinHandle<Vec<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let take = move || {
        let readers: Vec<_> = (0..connections)
            .map(|_| {
                let mut socket = listener.accept().unwrap().0;
                socket.set_read_timeout(Some(LIMIT)).unwrap();
                thread::spawn(move || {
                    let mut all = Vec::new();
                    socket.read_to_end(&mut all).unwrap();
                    all
                })
            })
            .collect();
        readers.into_iter().map(|r| r.join().unwrap()).collect()
    };
    (port, thread::spawn(take))
}

#[test]
fn over_tcp_every_event_arrives_as_due() {
    for mix in [Mix::Fair, Mix::RouterHeavy] {
        for send_bytes in [1, 4096, 262_144] {
            let (port, sink) = tcp_sink(3);
            let events_max = Some(if send_bytes == 1 { 100 } else { 5000 });
            let options =
                Options { mix, connections: 3, events_max, send_bytes, ..Options::new(target("tcp", port)) };
            let summary = send(&options);
            assert!(summary.all_sent(), "{}", summary.text());
            assert_eq!(Some(summary.events), events_max);
            let streams = sink.join().unwrap();
            assert_eq!(summary.bytes, streams.iter().map(|s| s.len() as u64).sum::<u64>());
            let output: String =
                streams.iter().map(|s| events(&summary.record, &messages(s), None)).collect();
            let report = verdict(&summary.record, &output, check::Options::default());
            assert!(report.clean() && report.matched == summary.events, "{}", report.text());
        }
    }
}

#[test]
fn a_rate_is_kept() {
    let (port, sink) = tcp_sink(4);
    let for_time = Duration::from_secs(1);
    let options =
        Options { connections: 4, rate: Some(2000.0), for_time, ..Options::new(target("tcp", port)) };
    let summary = send(&options);
    assert_eq!((summary.events, summary.all_sent()), (2000, true));
    assert!(summary.seconds > 0.8 && summary.seconds < 5.0, "{}", summary.text());
    assert_eq!(sink.join().unwrap().iter().map(|s| messages(s).len()).sum::<usize>(), 2000);
}

#[test]
fn a_stop_ends_at_a_whole_frame() {
    let (port, sink) = tcp_sink(2);
    let stop = Arc::new(AtomicBool::new(false));
    let later = Arc::clone(&stop);
    let stopper = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        later.store(true, Ordering::Relaxed);
    });
    let options =
        Options { connections: 2, for_time: LIMIT, rate: Some(3000.0), ..Options::new(target("tcp", port)) };
    let summary = send::run(&options, &stop, &Progress::default()).unwrap();
    stopper.join().unwrap();
    assert!(summary.all_sent() && summary.seconds < 10.0, "{}", summary.text());
    let got: u64 = sink.join().unwrap().iter().map(|s| messages(s).len() as u64).sum();
    assert!(got > 100 && got == summary.events, "{got} {}", summary.text());
}

#[test]
fn a_cut_connection_is_recorded_and_replaced_if_asked() {
    for reconnect in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let sink = thread::spawn(move || {
            // The first connection is read for a while and then dropped with bytes unread: a reset.
            let (mut first, _) = listener.accept().unwrap();
            first.set_read_timeout(Some(LIMIT)).unwrap();
            let mut early = vec![0; 100_000];
            first.read_exact(&mut early).unwrap();
            drop(first);
            let mut rest = Vec::new();
            if reconnect {
                let (mut second, _) = listener.accept().unwrap();
                second.set_read_timeout(Some(LIMIT)).unwrap();
                second.read_to_end(&mut rest).unwrap();
            }
            (early, rest)
        });
        let options = Options {
            rate: Some(20_000.0),
            for_time: Duration::from_secs(2),
            reconnect,
            ..Options::new(target("tcp", port))
        };
        let summary = send(&options);
        let (early, rest) = sink.join().unwrap();
        let connections = &summary.record.connections;
        assert!(!summary.all_sent() && connections[0].cut && connections[0].number == 0);
        assert_eq!(connections.len(), if reconnect { 2 } else { 1 });
        let whole = early.len() - last_frame(&early);
        let output = events(&summary.record, &messages(&early[..whole]), None)
            + &events(&summary.record, &messages(&rest), None);
        let strict = verdict(&summary.record, &output, check::Options::default());
        let lost = strict.count(Amiss::Lost);
        assert!(lost > 0 && lost == summary.events - strict.matched, "{}", strict.text());
        let report = verdict(
            &summary.record,
            &output,
            check::Options { suffix_loss: true, ..check::Options::default() },
        );
        assert!(report.clean() && report.forgiven == lost, "{}", report.text());
    }
}

/// Bytes of the unfinished frame at the end.
fn last_frame(stream: &[u8]) -> usize {
    let mut at = 0;
    while let Some(blank) = stream[at..].iter().position(|&b| b == b' ') {
        let count: usize = std::str::from_utf8(&stream[at..at + blank]).unwrap().parse().unwrap();
        if at + blank + 1 + count > stream.len() {
            break;
        }
        at += blank + 1 + count;
    }
    stream.len() - at
}

#[test]
fn over_udp_a_datagram_is_a_message() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let port = socket.local_addr().unwrap().port();
    let sink = thread::spawn(move || {
        let mut all = Vec::new();
        let mut buffer = [0; 65_536];
        while all.len() < 400 {
            let Ok(n) = socket.recv(&mut buffer) else { break };
            all.push(String::from_utf8(buffer[..n].to_vec()).unwrap());
        }
        all
    });
    let options = Options {
        connections: 2,
        events_max: Some(400),
        rate: Some(2000.0),
        ..Options::new(target("udp", port))
    };
    let summary = send(&options);
    assert!(summary.all_sent() && summary.events == 400, "{}", summary.text());
    let output = events(&summary.record, &sink.join().unwrap(), None);
    let report =
        verdict(&summary.record, &output, check::Options { loss: true, ..check::Options::default() });
    assert!(report.clean() && report.matched > 300, "{}", report.text());
}

/// A POST as the sink read it.
struct Post {
    head: HashMap<String, String>,
    body: Vec<u8>,
}

/// What the sink does with its n-th POST, counted over all connections.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    Status(u16),
    Chunked,
    Silence,
    Hangup,
}

type Posts = Arc<Mutex<Vec<(Post, Answer)>>>;

/// Answers by script, then 200; ends when dropped.
struct HttpSink {
    port: u16,
    posts: Posts,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl HttpSink {
    fn new(script: &'static [Answer]) -> HttpSink {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (posts, stop) = (Posts::default(), Arc::new(AtomicBool::new(false)));
        let (shared, ended) = (Arc::clone(&posts), Arc::clone(&stop));
        let accept = move || {
            while !ended.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((socket, _)) => {
                        let posts = Arc::clone(&shared);
                        thread::spawn(move || serve(socket, &posts, script));
                    }
                    Err(_) => thread::sleep(Duration::from_millis(5)),
                }
            }
        };
        HttpSink { port, posts, stop, thread: Some(thread::spawn(accept)) }
    }

    /// The events of POSTs for which `taken` holds, each frame id once, as weir does.
    fn output(&self, record: &Record, taken: impl Fn(Answer) -> bool) -> String {
        let mut seen = std::collections::HashSet::new();
        let mut out = String::new();
        for (post, answer) in self.posts.lock().unwrap().iter() {
            if taken(*answer) && seen.insert(post.head["logplex-frame-id"].clone()) {
                let messages = messages(&post.body);
                assert_eq!(post.head["logplex-msg-count"], messages.len().to_string());
                assert_eq!(post.head["content-type"], "application/logplex-1");
                out += &events(record, &messages, Some(&post.head["logplex-drain-token"]));
            }
        }
        out
    }
}

impl Drop for HttpSink {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

fn serve(mut socket: TcpStream, posts: &Posts, script: &[Answer]) -> Option<()> {
    socket.set_nonblocking(false).ok()?;
    socket.set_read_timeout(Some(LIMIT)).ok()?;
    loop {
        let post = read_post(&mut socket)?;
        let answer = {
            let mut posts = posts.lock().unwrap();
            let answer = script.get(posts.len()).copied().unwrap_or(Answer::Status(200));
            posts.push((post, answer));
            answer
        };
        match answer {
            Answer::Status(204) => socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").ok()?,
            Answer::Status(status) => {
                write!(socket, "HTTP/1.1 {status} Words\r\nContent-Length: 2\r\n\r\nok").ok()?;
            }
            Answer::Chunked => {
                let text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
                socket.write_all(text.as_bytes()).ok()?;
            }
            Answer::Silence => thread::sleep(Duration::from_secs(2)),
            Answer::Hangup => return None,
        }
    }
}

fn read_post(socket: &mut TcpStream) -> Option<Post> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let text = String::from_utf8(head).ok()?;
    let head: HashMap<String, String> = text
        .lines()
        .filter_map(|l| l.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_string()))
        .collect();
    let mut body = vec![0; head["content-length"].parse().ok()?];
    socket.read_exact(&mut body).ok()?;
    Some(Post { head, body })
}

#[test]
fn over_http_every_acknowledged_event_arrives() {
    let sink = HttpSink::new(&[Answer::Status(204), Answer::Chunked]);
    let options = Options {
        mix: Mix::RouterHeavy,
        connections: 3,
        events_max: Some(4000),
        post_bytes: 20_000,
        login: Some(("user".into(), "secret".into())),
        ..Options::new(target("http", sink.port))
    };
    let summary = send(&options);
    assert!(summary.all_sent() && summary.events == 4000, "{}", summary.text());
    let posts = sink.posts.lock().unwrap().len() as u64;
    assert_eq!((summary.posts_acknowledged, summary.posts_given_up, summary.retries), (posts, 0, 0));
    for (post, _) in sink.posts.lock().unwrap().iter() {
        assert!(post.body.len() <= 20_000);
        assert_eq!(post.head["authorization"], "Basic dXNlcjpzZWNyZXQ=");
        let id = &post.head["logplex-frame-id"];
        assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    }
    let report = verdict(&summary.record, &sink.output(&summary.record, |_| true), check::Options::default());
    assert!(report.clean() && report.matched == 4000, "{}", report.text());
}

#[test]
fn a_failed_post_is_tried_again_under_the_same_id() {
    use Answer::{Hangup, Silence, Status};
    let sink = HttpSink::new(&[Status(503), Hangup, Status(200), Silence, Status(429), Status(200)]);
    let options = Options {
        events_max: Some(300),
        post_bytes: 20_000,
        request_timeout: Duration::from_millis(500),
        ..Options::new(target("http", sink.port))
    };
    let summary = send(&options);
    assert!(summary.all_sent() && summary.retries == 4, "{}", summary.text());
    let ids: Vec<String> =
        sink.posts.lock().unwrap().iter().map(|(p, _)| p.head["logplex-frame-id"].clone()).collect();
    assert_eq!((&ids[0], &ids[1], &ids[3], &ids[4]), (&ids[1], &ids[2], &ids[4], &ids[5]));
    assert_ne!(ids[0], ids[3]);
    let output = sink.output(&summary.record, |answer| answer == Status(200));
    assert!(verdict(&summary.record, &output, check::Options::default()).clean());
}

#[test]
fn what_is_given_up_is_recorded_as_such() {
    use Answer::Status;
    // The first POST fails three times, the second is refused for good, the third is taken.
    let sink = HttpSink::new(&[Status(503), Status(503), Status(500), Status(401)]);
    let options =
        Options { events_max: Some(300), post_bytes: 20_000, ..Options::new(target("http", sink.port)) };
    let summary = send(&options);
    assert_eq!((summary.posts_given_up, summary.retries, summary.all_sent()), (2, 2, false));
    assert_eq!(summary.record.connections[0].unacknowledged.len(), 1, "two that touch are one range");
    // Given up by the sender, and taken all the same or not: both are right.
    for taken in [false, true] {
        let output = sink.output(&summary.record, |answer| taken || answer == Status(200));
        let report = verdict(&summary.record, &output, check::Options::default());
        assert!(report.clean() && report.unacknowledged > 0, "{}", report.text());
        assert_eq!(report.unacknowledged_seen, if taken { report.unacknowledged } else { 0 });
    }
}

#[test]
fn a_sender_that_does_not_give_up_waits_for_the_receiver() {
    use Answer::{Hangup, Status};
    let sink = HttpSink::new(&[Status(503), Status(503), Hangup, Status(503), Status(503), Status(503)]);
    let options =
        Options { events_max: Some(50), tries: Tries::Forever, ..Options::new(target("http", sink.port)) };
    let summary = send(&options);
    assert!(summary.all_sent() && summary.retries == 6, "{}", summary.text());
}

#[test]
fn over_tls_the_certificate_is_checked_unless_told() {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_string()]).unwrap();
    let ca: PathBuf = std::env::temp_dir().join(format!("weir-load-ca-{}.pem", std::process::id()));
    std::fs::write(&ca, made.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    for (insecure, ca) in [(false, Some(ca.clone())), (true, None)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let config = Arc::clone(&config);
        let sink = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            socket.set_read_timeout(Some(LIMIT)).unwrap();
            let mut tls = rustls::ServerConnection::new(config).unwrap();
            let mut all = Vec::new();
            rustls::Stream::new(&mut tls, &mut socket).read_to_end(&mut all).unwrap();
            all
        });
        let options = Options { events_max: Some(2000), insecure, ca, ..Options::new(target("tls", port)) };
        let summary = send(&options);
        assert!(summary.all_sent(), "{}", summary.text());
        let output = events(&summary.record, &messages(&sink.join().unwrap()), None);
        let report = verdict(&summary.record, &output, check::Options::default());
        assert!(report.clean() && report.matched == 2000, "{}", report.text());
    }
    std::fs::remove_file(&ca).unwrap();
    let options = Options::new(target("tls", 1));
    let refused = send::run(&options, &AtomicBool::new(false), &Progress::default()).unwrap_err();
    assert!(refused.contains("--insecure"), "{refused}");
}

#[test]
fn the_floor_reads_all() {
    for (scheme, http) in [("tcp", false), ("http", true)] {
        let discard = Discard::bind("127.0.0.1:0", http).unwrap();
        let port = discard.address().unwrap().port();
        let floor = thread::spawn(move || discard.run(&AtomicBool::new(false), Some(LIMIT), true).unwrap());
        let options =
            Options { connections: 2, events_max: Some(2000), ..Options::new(target(scheme, port)) };
        let (began, summary) = (Instant::now(), send(&options));
        assert!(summary.all_sent(), "{}", summary.text());
        let read = floor.join().unwrap();
        assert!(began.elapsed() < LIMIT);
        assert_eq!((read.connections, read.requests), (2, summary.posts_acknowledged));
        assert!(if http { read.bytes > summary.bytes } else { read.bytes == summary.bytes });
    }
}
