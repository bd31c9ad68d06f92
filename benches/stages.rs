//! What each stage of the shard costs in time, beside the floors of the same run: copying, reading and checking the bytes.
//!
//! One iteration is 16 batches (2 MB), so what is read comes from the last-level cache, as if another core had just
//! received it. Stages are cumulative where one needs the other: `event` reads the header too. Receiving, the gate, the
//! ring and the sinks are not here: `benches/whole` has them.

mod batches;

use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use jiff::tz::TimeZone;
use weir::batch::{Batch, Run};
use weir::encode::{self, Alike, Written};
use weir::event::{Event, Field, Texts};
use weir::limits;
use weir::parse::{self, Scratch, syslog, time};
use weir::plan::{Format, Plan};
use weir::simd::{self, Level, Portable, Task, Vector};

use batches::windows::Windows;
use batches::{CORPORA, Work};

const BATCHES: usize = 16;

type Group<'c> = BenchmarkGroup<'c, WallTime>;

fn main() {
    let mut criterion = Criterion::default()
        .without_plots()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(700))
        .sample_size(20)
        .configure_from_args();
    for corpus in CORPORA {
        let mut batches = corpus.batches(BATCHES, limits::BATCH_FRAMES);
        let throughput = Throughput::ElementsAndBytes {
            elements: batches::events(&batches),
            bytes: batches::bytes(&batches),
        };
        let mut group = criterion.benchmark_group(corpus.name);
        group.throughput(throughput);
        floors(&mut group, &batches);
        reading(&mut group, &batches);
        encoding(&mut group, &batches);
        whole(&mut group, &mut batches);
        group.finish();
    }
    ledger(&mut criterion);
    criterion.final_summary();
}

fn floors(group: &mut Group, batches: &[Batch]) {
    group.bench_function("floor-memcpy", |b| {
        let mut to = vec![0; Batch::capacity_for(limits::FRAME_BYTES)];
        b.iter(|| {
            for batch in batches {
                to[..batch.len()].copy_from_slice(black_box(batch.bytes()));
                black_box(&mut to);
            }
        });
    });
    group.bench_function("floor-read", |b| {
        b.iter(|| {
            let word = |eight: &[u8; 8]| u64::from_le_bytes(*eight);
            let sum = |batch: &Batch| {
                black_box(batch.bytes()).as_chunks().0.iter().map(word).fold(0, u64::wrapping_add)
            };
            batches.iter().map(sum).fold(0, u64::wrapping_add)
        });
    });
    group.bench_function("floor-utf8", |b| {
        b.iter(|| batches.iter().all(|batch| std::str::from_utf8(black_box(batch.bytes())).is_ok()));
    });
}

fn reading(group: &mut Group, batches: &[Batch]) {
    group.bench_function("framing", |b| {
        let mut frames = Vec::with_capacity(limits::BATCH_FRAMES);
        b.iter(|| {
            for batch in batches {
                batches::frame(batch, &mut frames);
            }
        });
    });
    group.bench_function("header", |b| {
        b.iter(|| {
            for batch in batches {
                for frame in &batch.frames {
                    let bytes = black_box(batch.bytes());
                    black_box(syslog::header(bytes, frame.span(), false, 0, &TimeZone::UTC));
                }
            }
        });
    });
    group.bench_function("event", |b| {
        let plan = batches::plan(None);
        let mut scratch = Scratch::default();
        b.iter(|| {
            for batch in batches {
                for run in &batch.runs {
                    for &frame in batch.frames_of(run) {
                        black_box(parse::event(&plan, black_box(batch), run, frame, &mut scratch));
                    }
                }
            }
        });
    });
}

/// An event that was read before, with what its scratch held.
struct Parsed<'a> {
    batch: &'a Batch,
    run: &'a Run,
    event: Event,
    fields: Vec<Field>,
    made: Vec<u8>,
    alike: Rc<Alike>,
    last: u64,
}

fn parsed<'a>(plan: &Plan, batches: &'a [Batch]) -> Vec<Parsed<'a>> {
    let mut scratch = Scratch::default();
    let mut all = Vec::new();
    for batch in batches {
        for run in &batch.runs {
            let mut alike = Alike::default();
            alike.turn_to_run(Portable, plan, batch, run);
            alike.turn_to_drain(Portable, plan, run, None);
            let alike = Rc::new(alike);
            for (place, &frame) in batch.frames_of(run).iter().enumerate() {
                let event = parse::event(plan, batch, run, frame, &mut scratch);
                let (fields, mut made) = (scratch.fields.clone(), scratch.made.clone());
                made.extend_from_slice(&[0; limits::SLACK_BYTES]);
                let last = encode::last_number(batch, run, run.first + place as u32);
                all.push(Parsed { batch, run, event, fields, made, alike: alike.clone(), last });
            }
        }
    }
    all
}

fn encoding(group: &mut Group, batches: &[Batch]) {
    let plan = batches::plan(None);
    let parsed = parsed(&plan, batches);
    let mut out = Vec::with_capacity(2 * Batch::capacity_for(limits::FRAME_BYTES));
    let mut bench = |name: &str, format: Format| {
        group.bench_function(name, |b| {
            let (mut time, mut received) = (time::Writer::default(), time::Writer::default());
            b.iter(|| {
                let mut number = 0;
                for one in &parsed {
                    // As a shard does: a parcel a batch.
                    if one.batch.number != number {
                        (number, _) = (one.batch.number, black_box(&mut out).clear());
                    }
                    let texts = Texts { batch: one.batch.padded(), made: &one.made };
                    let written = Written {
                        plan: &plan,
                        run: one.run,
                        event: &one.event,
                        texts,
                        fields: &one.fields,
                        drain: None,
                        alike: &one.alike,
                        last: one.last,
                        time: time.write(one.event.time_us),
                        received: received.write(one.event.received_us),
                        categories: b"",
                    };
                    let writing = Writing { format, written: black_box(&written), out: &mut out };
                    simd::dispatch(Level::best(), writing);
                }
            });
        });
    };
    bench("encode-ndjson", Format::Ndjson);
    bench("encode-eventtracker", Format::EventTracker);
}

/// The writing of one event, with the vectors that a shard would use.
struct Writing<'a> {
    format: Format,
    written: &'a Written<'a>,
    out: &'a mut Vec<u8>,
}

impl Task for Writing<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, vector: V) {
        match self.format {
            Format::Ndjson => encode::json::write(vector, self.written, self.out),
            Format::EventTracker => encode::eventtracker::write(vector, self.written, self.out),
        }
    }
}

fn whole(group: &mut Group, batches: &mut [Batch]) {
    for (name, format, rules) in [
        ("shard", None, None),
        ("shard-ndjson", Some(Format::Ndjson), None),
        ("shard-heroku", None, Some("heroku")),
        ("shard-heroku-dashlets", None, Some("heroku+")),
        ("shard-literals-10", None, Some("10")),
        ("shard-literals-1000", None, Some("1000")),
        ("shard-literals-5000", None, Some("5000")),
    ] {
        group.bench_function(name, |b| {
            let mut work = Work::new(format);
            if let Some(rules) = rules {
                work.know(rules);
            }
            b.iter(|| batches.iter_mut().map(|batch| work.process(black_box(batch))).sum::<usize>());
        });
    }
}

/// What does not depend on a corpus: updates of windows, and how long rules take to compile.
fn ledger(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ledger");
    for events_a_signal in [1, 8] {
        let mut windows = Windows::new(events_a_signal);
        group.throughput(Throughput::ElementsAndBytes { elements: windows.events, bytes: 0 });
        group.bench_function(format!("windows-{events_a_signal}"), |b| b.iter(|| windows.pass()));
    }
    group.throughput(Throughput::ElementsAndBytes { elements: 1, bytes: 0 });
    group.sample_size(10).bench_function("compile-literals-5000", |b| {
        b.iter(|| Work::new(None).know("5000"));
    });
    group.finish();
}
