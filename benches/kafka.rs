//! The kafka sink beside a bare loop over the same producer: what `benches/kafka` runs against a real broker.
//!
//! `kafka loop|plain|packed EVENTS RUN` starts a broker, sends so many events, RUN of a drain in a row, through the bare
//! loop or the sink, and prints one JSON object: seconds until all are acknowledged, and the CPU of this process, to which librdkafka's
//! threads belong and the broker does not. Payloads, keys and settings are the same.

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, NoCustomPartitioner, Producer, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use rustix::time::{ClockId, clock_gettime};

use support::kafka::Broker;
use weir::config::{self, Surroundings};
use weir::deliver::{self, Sink, SinkError};
use weir::event::KindId;
use weir::outcome::{Parcel, Row, Word};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Of both, the sink's own defaults among them.
const SETTINGS: &[(&str, &str)] = &[
    ("client.id", "weir"),
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("max.in.flight", "1"),
    ("message.timeout.ms", "0"),
    ("queue.buffering.max.kbytes", "32768"),
    ("compression.codec", "lz4"),
    ("linger.ms", "20"),
    ("partitioner", "murmur2_random"),
    ("batch.size", "1000000"),
    ("statistics.interval.ms", "5000"),
];
const DRAINS: usize = 200;
const ROWS: usize = 450;
/// Events of one message in the packed mode.
const PACKED: usize = 64;
/// Parcels in flight: as many as the flow has slots.
const SLOTS: u64 = 256;
const TOPIC: &str = "events";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (mode, events, run) = match args[..] {
        [mode, events, run] => (mode, events.parse::<usize>(), run.parse::<usize>()),
        // `cargo bench` runs every target.
        _ => {
            println!("kafka: nothing to do; benches/kafka runs it");
            return ExitCode::SUCCESS;
        }
    };
    let (Ok(events), Ok(in_a_row @ 1..), "loop" | "plain" | "packed") = (events, run, mode) else {
        eprintln!("usage: kafka loop|plain|packed EVENTS RUN");
        return ExitCode::from(2);
    };
    let Some(broker) = Broker::start("benches/kafka") else { return ExitCode::FAILURE };
    broker.create_topic(TOPIC, 4, &[]);
    let parcels = load(events.div_ceil(ROWS), in_a_row);
    let events = parcels.len() * ROWS;
    let bytes: usize = parcels.iter().map(|parcel| parcel.bytes.len()).sum();
    let run: &dyn Fn(&[Arc<Parcel>]) = match mode {
        "loop" => &bare(&broker),
        "plain" => &through_sink(&broker, 1),
        _ => &through_sink(&broker, PACKED),
    };
    // The connection, the topic's metadata and the producer's id are there.
    run(&warm());
    let (cpu, begun) = (cpu_s(), Instant::now());
    run(&parcels);
    let (seconds, cpu) = (begun.elapsed().as_secs_f64(), cpu_s() - cpu);
    println!("{{\"events\":{events},\"bytes\":{bytes},\"seconds\":{seconds:.3},\"cpu_s\":{cpu:.3}}}");
    ExitCode::SUCCESS
}

fn cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Parcels of 330-byte rows over many drains, numbered behind the warm-up's.
fn load(numbers: usize, in_a_row: usize) -> Vec<Arc<Parcel>> {
    (0..numbers as u64).map(|at| parcel(at + 2, ROWS, in_a_row)).collect()
}

fn warm() -> Vec<Arc<Parcel>> {
    vec![parcel(1, 8, 1)]
}

fn parcel(number: u64, rows: usize, in_a_row: usize) -> Arc<Parcel> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    let mut parcel = Parcel { number, events: rows as u32, ..Parcel::default() };
    let mut last = (String::new(), Word::default());
    for index in 0..rows {
        let place = number as usize * ROWS + index;
        let drain = format!("d.5a8fd083-0972-4e18-b912-{:012}", place / in_a_row * 7 % DRAINS);
        if drain != last.0 {
            let at = parcel.words.len() as u32;
            parcel.words.extend_from_slice(drain.as_bytes());
            last = (drain.clone(), Word { at, len: drain.len() as u32 });
        }
        let text = format!(
            "{{\"id\":\"{place}\",\"drain\":\"{drain}\",\"kind\":\"router\",\"fields\":{{\"path\":\"/{:x}\",\"service_ms\":{}}}",
            place * 2_654_435_761 % 1_000_003,
            place % 977
        );
        parcel.bytes.extend_from_slice(format!("{text:~<328}}}\n").as_bytes());
        parcel.rows.push(Row {
            end: parcel.bytes.len() as u32,
            id: Word::default(),
            drain: last.1,
            computer: Word::default(),
            listener: Word::default(),
            kind: KindId(1),
            received_us: now.as_micros() as i64,
        });
    }
    Arc::new(parcel)
}

/// Counts what was acknowledged.
struct Acknowledged(AtomicUsize);

impl ClientContext for Acknowledged {}

impl ProducerContext<NoCustomPartitioner> for Acknowledged {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, _: usize) {
        assert!(result.is_ok(), "a message was not stored");
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The producer and nothing else, one event a message.
fn bare(broker: &Broker) -> impl Fn(&[Arc<Parcel>]) + use<> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.address());
    for (key, value) in SETTINGS {
        config.set(*key, *value);
    }
    let producer: BaseProducer<Acknowledged> =
        config.create_with_context(Acknowledged(AtomicUsize::new(0))).expect("a producer");
    move |parcels| {
        // Sleeping costs the loop less than a `poll` that waits.
        let wait = || {
            std::thread::sleep(Duration::from_millis(1));
            producer.poll(Duration::ZERO);
        };
        let (mut sent, before) = (0, producer.context().0.load(Ordering::Relaxed));
        for parcel in parcels {
            for (index, row) in parcel.rows.iter().enumerate() {
                let mut record = BaseRecord::with_opaque_to(TOPIC, sent)
                    .key(parcel.word(row.drain))
                    .payload(parcel.row_bytes(index).trim_ascii_end())
                    .timestamp(row.received_us / 1000);
                while let Err((error, back)) = producer.send(record) {
                    let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
                    assert_eq!(error, full, "the queue is full, or nothing is wrong");
                    wait();
                    record = back;
                }
                sent += 1;
            }
            producer.poll(Duration::ZERO);
        }
        while producer.context().0.load(Ordering::Relaxed) - before < sent {
            wait();
        }
    }
}

/// The sink, driven as the flow does.
fn through_sink(broker: &Broker, events_per_message: usize) -> impl Fn(&[Arc<Parcel>]) + use<> {
    let options: Vec<String> = SETTINGS.iter().map(|(key, value)| format!("{key}: \"{value}\"")).collect();
    let text = format!(
        "weir: pipeline/v1\nlisteners: [{{name: tcp, kind: tcp, bind: \"127.0.0.1:0\"}}]\nsinks:\n  - {{name: kafka, \
         kind: kafka, brokers: [\"{}\"], topic: {TOPIC}, key: drain, events_per_message: {events_per_message}, \
         options: {{{}}}}}\n",
        broker.address(),
        options.join(", ")
    );
    let around = Surroundings { variable: &|_| None, file: &|_| Ok(()) };
    let pipeline =
        config::read_pipeline("bench.yaml", &text, &around).unwrap_or_else(|wrong| panic!("{wrong}"));
    let opened = deliver::open(&pipeline.sinks[0], &["other", "router"]).expect("a sink");
    let sink = std::cell::RefCell::new(opened.sink);
    move |parcels| send_all(&mut **sink.borrow_mut(), parcels)
}

fn send_all(sink: &mut dyn Sink, parcels: &[Arc<Parcel>]) {
    let last = parcels.last().expect("a parcel").number;
    let (mut queue, mut refused): (VecDeque<_>, _) = (parcels.iter().collect(), Vec::new());
    let mut mark = 0;
    while mark < last {
        match queue.front().filter(|parcel| parcel.number <= mark + SLOTS).map(|parcel| sink.write(parcel)) {
            Some(Ok(())) => drop(queue.pop_front()),
            None | Some(Err(SinkError::Busy)) => std::thread::sleep(Duration::from_millis(1)),
            Some(Err(SinkError::Lost(error))) => panic!("{error}"),
        }
        mark = sink.flush(&mut refused).unwrap_or_else(|error| panic!("{error:?}"));
        assert!(refused.is_empty(), "nothing is refused");
    }
}
