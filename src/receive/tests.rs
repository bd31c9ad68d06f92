//! Receivers over real sockets, in front of a real gate and shard that only count.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;

use super::*;
use crate::books::ListenerBooks;
use crate::config::{DeviceId, Framing, Limits, Parse, Text};
use crate::flow::{Flow, Settings, Slot};
use crate::plan::{Listener, Plan};

const LISTENER: ListenerId = ListenerId(0);

pub(super) fn listener(kind: ListenerKind) -> config::Listener {
    config::Listener {
        name: "test".into(),
        kind,
        enabled: true,
        bind: "127.0.0.1:0".parse().unwrap(),
        description: Text::default(),
        tls: None,
        framing: Framing::Auto,
        parse: Parse::None,
        proxy_protocol: false,
        resolve_names: false,
        time_zone: TimeZone::UTC,
        device_id: DeviceId { on_no_match: None, rules: Vec::new() },
        users: BTreeMap::new(),
        drain_tokens: Vec::new(),
        shed_after: Some(Duration::from_millis(100)),
        limits: Limits {
            frame_bytes: limits::FRAME_BYTES,
            body_bytes: limits::BODY_BYTES,
            connections: limits::CONNECTIONS,
            idle: Duration::from_secs(20),
            handshake: Duration::from_secs(5),
            request: Duration::from_secs(10),
        },
    }
}

fn plan() -> Plan {
    let listener = Listener { count_only: true, ..Listener::new("test") };
    Plan::new("i".into(), vec![Arc::new(listener)])
}

/// Receivers with one listener, and the flow behind them.
pub(super) struct Bench {
    pub flow: Flow,
    pub receivers: Receivers,
    pub addr: SocketAddr,
    pub books: Arc<ListenerBooks>,
}

impl Bench {
    pub fn new(listener: config::Listener) -> Bench {
        Bench::with_slots(listener, 16)
    }

    pub fn with_slots(listener: config::Listener, slots: usize) -> Bench {
        let batch_bytes = Batch::capacity_for(limits::FRAME_BYTES);
        let quarantine = Box::new(|_: &[u8]| {});
        let settings = Settings {
            tell: Box::new(|_| {}),
            clock: true,
            slots,
            parcel_bytes: 1 << 20,
            shards: 1,
            vectors: Default::default(),
            batch_bytes,
            quarantine,
        };
        let flow = Flow::start(settings, Arc::new(plan())).unwrap();
        let listeners = [(LISTENER, listener)];
        let receivers = Receivers::start(&listeners, 2, &[], flow.intake(), batch_bytes).unwrap();
        let addr = receivers.addresses()[0].1;
        let books = flow.intake().books(LISTENER);
        Bench { flow, receivers, addr, books }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Takes all slots that are free, so that receivers find none.
    pub fn take_slots(&self) -> Vec<Slot> {
        let intake = self.flow.intake();
        std::iter::from_fn(|| intake.try_slot()).collect()
    }

    pub fn reload(&mut self, listener: config::Listener) {
        self.receivers.reload(&[(LISTENER, listener)], &[], 0).unwrap();
    }

    /// Ends everything and closes the books.
    pub fn end(self) -> Arc<ListenerBooks> {
        self.receivers.drain();
        self.receivers.join();
        assert!(self.flow.finish(Duration::from_secs(5)));
        let books = self.books;
        assert_eq!(
            books.received.get(),
            books.admitted.get() + books.shed_no_slot.get() + books.duplicate.get()
        );
        assert_eq!(books.connections.get(), books.connections_ended.get());
        books
    }
}

/// Waits until `reached`, for a minute at most: the machine may be busy with other tests.
pub(super) fn wait_until(what: &str, reached: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !reached() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(super) const FRAME: &str = "<190>1 2024-01-01T00:00:00+00:00 d.0 app web.1 - - hello\n";

pub(super) fn frame() -> String {
    format!("{} {FRAME}", FRAME.len())
}

/// Reads to the end; a reset counts as one.
pub(super) fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

#[test]
fn tcp_frames_arrive_whatever_the_pieces() {
    let bench = Bench::new(listener(ListenerKind::Tcp));
    let stream = frame().repeat(500);
    std::thread::scope(|scope| {
        for size in [1, 7, 100, 4096, 1 << 20] {
            let (bench, bytes) = (&bench, stream.as_bytes());
            scope.spawn(move || {
                let mut stream = bench.connect();
                stream.set_nodelay(true).unwrap();
                // Single bytes for the first frames only.
                let (slow, fast) = bytes.split_at(if size == 1 { 400 } else { 0 });
                slow.chunks(1).for_each(|piece| stream.write_all(piece).unwrap());
                fast.chunks(size.max(64)).for_each(|piece| stream.write_all(piece).unwrap());
            });
        }
    });
    wait_until("all frames", || bench.books.received.get() == 2500);
    let books = bench.end();
    assert_eq!(books.bytes.get(), 5 * stream.len() as u64);
    assert_eq!((books.admitted.get(), books.garbage_bytes.get()), (2500, 0));
}

#[test]
fn a_stream_of_small_writes_leaves_in_few_batches() {
    let bench = Bench::new(listener(ListenerKind::Tcp));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut stream = bench.connect();
                stream.set_nodelay(true).unwrap();
                for _ in 0..500 {
                    stream.write_all(frame().as_bytes()).unwrap();
                    std::thread::sleep(Duration::from_micros(100));
                }
            });
        }
    });
    wait_until("all frames", || bench.books.admitted.get() == 2000);
    let batches = bench.flow.view().last;
    // Of each of the two receivers one a millisecond, and those that hold enough.
    let most = 2 * (begun.elapsed().as_millis() as u64 / limits::BATCH_LINGER_MS + 4);
    assert!(batches <= most, "{batches} batches, {most} at most");
    bench.end();
}

#[test]
fn a_trickle_does_not_linger() {
    let bench = Bench::new(listener(ListenerKind::Tcp));
    let mut stream = bench.connect();
    let mut least = Duration::MAX;
    for sent in 1..=50 {
        std::thread::sleep(Duration::from_millis(2 * limits::BATCH_LINGER_MS));
        let begun = Instant::now();
        stream.write_all(frame().as_bytes()).unwrap();
        while bench.books.admitted.get() < sent {
            std::hint::spin_loop();
        }
        least = least.min(begun.elapsed());
    }
    // The best of fifty, since the machine may be busy with other tests.
    assert!(least < Duration::from_millis(limits::BATCH_LINGER_MS), "{least:?}");
    bench.end();
}

#[test]
fn drain_reads_half_closed_connections_to_their_end() {
    let bench = Bench::new(listener(ListenerKind::Tcp));
    let mut stream = bench.connect();
    stream.write_all(frame().as_bytes()).unwrap();
    wait_until("the first frame", || bench.books.received.get() == 1);
    bench.receivers.drain();
    // Our side is closed: the sender sees the end, and says the last of what it has.
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    stream.write_all(frame().as_bytes()).unwrap();
    stream.write_all(b"99 <190>1 unfinished").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let began = Instant::now();
    let books = bench.end();
    assert!(began.elapsed() < Duration::from_millis(limits::LINGER_MS));
    assert_eq!((books.admitted.get(), books.garbage_bytes.get()), (2, 20));
}

#[test]
fn a_connection_that_does_not_end_is_cut_in_time() {
    let bench = Bench::new(listener(ListenerKind::Tcp));
    let mut stream = bench.connect();
    stream.write_all(frame().as_bytes()).unwrap();
    wait_until("the frame", || bench.books.received.get() == 1);
    let began = Instant::now();
    bench.end();
    let lingered = began.elapsed();
    assert!(lingered >= Duration::from_millis(limits::LINGER_MS) && lingered < Duration::from_secs(5));
    drop(stream);
}

#[test]
fn without_a_slot_frames_are_counted_and_shed() {
    let bench = Bench::with_slots(listener(ListenerKind::Tcp), 4);
    let slots = bench.take_slots();
    let mut stream = bench.connect();
    stream.write_all(frame().repeat(10).as_bytes()).unwrap();
    wait_until("shed frames", || bench.books.shed_no_slot.get() == 10);
    drop(slots);
    wait_until("a free slot", || {
        (&stream).write_all(frame().as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        bench.books.admitted.get() > 0
    });
    drop(stream);
    bench.end();
}

#[test]
fn a_listener_that_never_sheds_waits() {
    let bench = Bench::with_slots(config::Listener { shed_after: None, ..listener(ListenerKind::Tcp) }, 4);
    let slots = bench.take_slots();
    let mut stream = bench.connect();
    stream.write_all(frame().repeat(10).as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(bench.books.received.get(), 0);
    drop(slots);
    wait_until("all frames", || bench.books.admitted.get() == 10);
    drop(stream);
    assert_eq!(bench.end().shed_no_slot.get(), 0);
}

#[test]
fn garbage_closes_the_connection() {
    let bench = Bench::new(config::Listener { framing: Framing::Octet, ..listener(ListenerKind::Tcp) });
    let mut stream = bench.connect();
    let garbage = vec![b'x'; limits::GARBAGE_BYTES as usize + 1];
    stream.write_all(&garbage).unwrap();
    read_to_end(&mut stream);
    let books = bench.end();
    assert_eq!((books.received.get(), books.garbage_bytes.get()), (0, garbage.len() as u64));
    assert_eq!(books.connections_closed.get(), 1);
}

#[test]
fn silence_closes_the_connection() {
    let mut silent = listener(ListenerKind::Tcp);
    silent.limits.idle = Duration::from_millis(200);
    let bench = Bench::new(silent);
    let mut stream = bench.connect();
    stream.write_all(b"20 <190>1 half a fr").unwrap();
    assert_eq!(read_to_end(&mut stream), b"");
    let books = bench.end();
    assert_eq!((books.garbage_bytes.get(), books.connections_closed.get()), (19, 1));
}

#[test]
fn beyond_the_limit_connects_are_refused_until_some_have_left() {
    let mut limited = listener(ListenerKind::Tcp);
    limited.limits.connections = 20;
    let bench = Bench::new(limited);
    let mut streams = Vec::new();
    let refused = || TcpStream::connect(bench.addr).is_err();
    while streams.len() < 20 {
        streams.push(bench.connect());
        wait_until("accepted", || bench.books.connections.get() == streams.len() as u64);
    }
    wait_until("refusal", refused);
    streams.truncate(19);
    std::thread::sleep(Duration::from_millis(100));
    assert!(refused(), "95 % is not yet below 95 %");
    streams.truncate(10);
    wait_until("acceptance", || !refused());
    drop(streams);
    bench.end();
}

#[test]
fn a_thousand_half_frames_hold_what_they_sent() {
    let mut many = listener(ListenerKind::Tcp);
    many.limits.connections = 2000;
    let bench = Bench::new(many);
    let half = format!("60000 <190>1 {}", "x".repeat(1000));
    let streams: Vec<TcpStream> = (0..1000)
        .map(|_| {
            let mut stream = bench.connect();
            stream.write_all(half.as_bytes()).unwrap();
            stream
        })
        .collect();
    wait_until("all bytes", || bench.books.bytes.get() == 1000 * half.len() as u64);
    // No slot is held by any of them.
    assert!(bench.flow.view().slots_free >= 16 - 2);
    drop(streams);
    assert_eq!(bench.end().garbage_bytes.get(), 1000 * half.len() as u64);
}

#[test]
fn a_port_taken_is_an_error_that_names_the_listener() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bind = taken.local_addr().unwrap();
    let bench = Bench::new(listener(ListenerKind::Tcp));
    let second = config::Listener { bind, name: "second".into(), ..listener(ListenerKind::Tcp) };
    let error = Receivers::start(&[(LISTENER, second)], 2, &[], bench.flow.intake(), limits::BATCH_BYTES)
        .err()
        .expect("the port is taken");
    let text = error.to_string();
    assert!(text.starts_with(&format!("listener `second`: cannot bind `{bind}` (tcp): ")), "{text}");
    assert!(text.contains("\nhint: another process has the port"), "{text}");
    bench.end();
}

#[test]
fn reload_keeps_connections_and_moves_listeners() {
    let first = listener(ListenerKind::Tcp);
    let mut bench = Bench::new(first.clone());
    let mut stream = bench.connect();
    stream.write_all(frame().as_bytes()).unwrap();
    wait_until("the first frame", || bench.books.received.get() == 1);

    bench.reload(config::Listener { framing: Framing::Octet, ..first.clone() });
    stream.write_all(frame().as_bytes()).unwrap();
    wait_until("the second frame", || bench.books.received.get() == 2);
    assert_eq!(bench.receivers.addresses(), [(LISTENER, bench.addr)]);

    let bind = "127.0.0.2:0".parse().unwrap();
    bench.reload(config::Listener { bind, ..first.clone() });
    let moved = bench.receivers.addresses()[0].1;
    assert_eq!(moved.ip(), bind.ip());
    assert_eq!(read_to_end(&mut stream), b"");
    wait_until("the old port to close", || TcpStream::connect(bench.addr).is_err());
    bench.addr = moved;
    let mut stream = bench.connect();
    stream.write_all(frame().as_bytes()).unwrap();
    drop(stream);
    wait_until("the third frame", || bench.books.received.get() == 3);
    bench.end();
}
