//! The kafka sink against a real Apache Kafka, read by kcat.

mod support;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use support::kafka::{Broker, Message};
use weir::batch::Number;
use weir::config::{self, Surroundings};
use weir::deliver::{self, Readings, Refusal, Sink, SinkError};
use weir::event::KindId;
use weir::outcome::{Parcel, Row, Word};

const PATIENCE: Duration = Duration::from_secs(180);
const DRAINS: usize = 40;

fn open(broker: &Broker, topic: &str, options: &[(&str, &str)]) -> (Box<dyn Sink>, Readings) {
    open_packed(broker, topic, 1, options)
}

fn open_packed(
    broker: &Broker,
    topic: &str,
    events_per_message: usize,
    options: &[(&str, &str)],
) -> (Box<dyn Sink>, Readings) {
    let options: Vec<String> = options.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    let text = format!(
        "weir: pipeline/v1\nlisteners: [{{name: tcp, kind: tcp, bind: \"127.0.0.1:0\"}}]\nsinks:\n  - {{name: kafka, \
         kind: kafka, brokers: [\"{}\"], topic: \"{topic}\", key: drain, \
         events_per_message: {events_per_message}, options: {{{}}}}}\n",
        broker.address(),
        options.join(", ")
    );
    let around = Surroundings { variable: &|_| None, file: &|_| Ok(()) };
    let pipeline =
        config::read_pipeline("test.yaml", &text, &around).unwrap_or_else(|problems| panic!("{problems}"));
    let opened = deliver::open(&pipeline.sinks[0], &["other", "app"]).expect("a sink");
    (opened.sink, opened.readings)
}

/// A parcel of rows, each a drain and a text.
fn parcel(number: Number, rows: &[(String, String)]) -> Arc<Parcel> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    let received_us = now.as_micros() as i64;
    let mut parcel = Parcel { number, events: rows.len() as u32, ..Parcel::default() };
    for (drain, text) in rows {
        let at = parcel.words.len() as u32;
        parcel.words.extend_from_slice(drain.as_bytes());
        parcel.bytes.extend_from_slice(text.as_bytes());
        parcel.bytes.push(b'\n');
        parcel.rows.push(Row {
            end: parcel.bytes.len() as u32,
            id: Word::default(),
            drain: Word { at, len: drain.len() as u32 },
            computer: Word::default(),
            listener: Word::default(),
            kind: KindId(1),
            received_us,
        });
    }
    Arc::new(parcel)
}

/// Parcels `1..=numbers`, runs of seven rows of one drain as connections bring them.
fn load(numbers: Number, rows: usize) -> Vec<Arc<Parcel>> {
    let mut made = [0; DRAINS];
    let mut all = Vec::new();
    for number in 1..=numbers {
        let mut texts = Vec::new();
        for index in 0..rows {
            let drain = (number as usize * 13 + index / 7) % DRAINS;
            made[drain] += 1;
            let filler = "x".repeat(200 + (index * 37) % 200);
            texts.push((
                format!("d.{drain}"),
                format!("{{\"sequence\":{},\"filler\":\"{filler}\"}}", made[drain]),
            ));
        }
        all.push(parcel(number, &texts));
    }
    all
}

struct Run {
    refused: Vec<Refusal>,
    lost: usize,
    /// How often the mark stood still for a second or more.
    pauses: usize,
}

/// Does what the flow does: offers in order, asks for the mark, and after a loss begins again behind it. `meanwhile` is
/// told the mark each round.
fn deliver(sink: &mut dyn Sink, parcels: &[Arc<Parcel>], mut meanwhile: impl FnMut(Number)) -> Run {
    let (begun, mut moved) = (Instant::now(), Instant::now());
    let last = parcels.last().expect("a parcel").number;
    let mut run = Run { refused: Vec::new(), lost: 0, pauses: 0 };
    let mut mark = 0;
    let mut queue: VecDeque<&Arc<Parcel>> = parcels.iter().collect();
    while mark < last {
        assert!(begun.elapsed() < PATIENCE, "mark {mark} of {last} after {:?}", begun.elapsed());
        // As many batches in flight as the flow has slots.
        let next = queue.front().filter(|parcel| parcel.number <= mark + 256);
        let mut again = false;
        match next.map(|parcel| sink.write(parcel)) {
            Some(Ok(())) => drop(queue.pop_front()),
            None | Some(Err(SinkError::Busy)) => std::thread::sleep(Duration::from_millis(1)),
            Some(Err(SinkError::Lost(_))) => again = true,
        }
        match sink.flush(&mut run.refused) {
            Ok(new) if new > mark => {
                run.pauses += usize::from(moved.elapsed() > Duration::from_secs(1));
                (mark, moved) = (new, Instant::now());
            }
            Ok(_) | Err(SinkError::Busy) => {}
            Err(SinkError::Lost(_)) => again = true,
        }
        if again {
            run.lost += 1;
            queue = parcels.iter().filter(|parcel| parcel.number > mark).collect();
            std::thread::sleep(Duration::from_millis(100));
        }
        meanwhile(mark);
    }
    run
}

fn sent(parcels: &[Arc<Parcel>]) -> BTreeMap<String, Vec<String>> {
    let mut by_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for parcel in parcels {
        for (index, row) in parcel.rows.iter().enumerate() {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
            let line = text(parcel.row_bytes(index));
            by_key.entry(text(parcel.word(row.drain))).or_default().push(line.trim_end().to_string());
        }
    }
    by_key
}

/// Every row once, in order within its key, each key in one partition.
fn check(got: &[Message], want: &BTreeMap<String, Vec<String>>) {
    let mut by_key: BTreeMap<&str, (i32, Vec<&str>)> = BTreeMap::new();
    for message in got {
        let (home, texts) = by_key.entry(&message.key).or_insert((message.partition, Vec::new()));
        assert_eq!(*home, message.partition, "{} has two homes", message.key);
        texts.extend(message.payload.lines());
    }
    assert_eq!(by_key.len(), want.len());
    for (key, (_, texts)) in by_key {
        let want = &want[key];
        let differs = texts.iter().zip(want).position(|(got, want)| got != want);
        let around =
            differs.map(|at| (&texts[at][..texts[at].len().min(30)], &want[at][..want[at].len().min(30)]));
        assert!(
            differs.is_none() && texts.len() == want.len(),
            "{key}: {} of {}, {around:?}",
            texts.len(),
            want.len()
        );
    }
}

#[test]
fn every_event_arrives_once_in_order_though_the_broker_is_paused() {
    let Some(broker) = Broker::start("every_event_arrives_once_in_order_though_the_broker_is_paused") else {
        return;
    };
    let (mut sink, readings) = open(&broker, "weir.{kind}", &[("statistics.interval.ms", "200")]);
    let parcels = load(600, 300);
    let mut paused = None::<Instant>;
    let run = deliver(&mut *sink, &parcels, |mark| match paused {
        None if mark > 100 => {
            broker.pause();
            paused = Some(Instant::now());
        }
        Some(at) if at.elapsed() > Duration::from_secs(4) && at.elapsed() < Duration::from_secs(5) => {
            broker.resume()
        }
        _ => {}
    });
    assert_eq!((run.refused.first().map(|refusal| refusal.reason), run.lost), (None, 0));
    assert!(run.pauses > 0, "the pause was not felt");
    check(&broker.read("weir.app"), &sent(&parcels));
    let figures = readings.snapshot();
    let figure = |name: &str| figures.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    assert!(figure("sent_messages").is_some_and(|sent| sent > 0.0), "{figures:?}");
    sink.close();
}

#[test]
fn packed_events_arrive_once_in_order_and_a_message_holds_one_drain() {
    let Some(broker) = Broker::start("packed_events_arrive_once_in_order_and_a_message_holds_one_drain")
    else {
        return;
    };
    let (mut sink, _) = open_packed(&broker, "packed.{kind}", 64, &[]);
    let parcels = load(200, 1000);
    let run = deliver(&mut *sink, &parcels, |_| {});
    assert_eq!((run.refused.len(), run.lost), (0, 0));
    let got = broker.read("packed.app");
    // Of forty drains in a parcel each has 21 or 28 rows, in runs of seven.
    assert_eq!(got.len(), 200 * DRAINS);
    check(&got, &sent(&parcels));
    sink.close();
}

#[test]
fn a_broker_that_ends_and_starts_again_costs_nothing() {
    let Some(mut broker) = Broker::start("a_broker_that_ends_and_starts_again_costs_nothing") else { return };
    broker.create_topic("events", 4, &[]);
    let (mut sink, _) = open(&broker, "events", &[("reconnect.backoff.max.ms", "1000")]);
    let parcels = load(600, 300);
    let mut ended = false;
    let run = deliver(&mut *sink, &parcels, |mark| {
        if mark > 100 && !ended {
            ended = true;
            broker.stop();
            broker.start_again();
        }
    });
    assert!(ended, "the broker did not end");
    assert_eq!(run.refused.first().map(|refusal| refusal.reason), None);
    check(&broker.read("events"), &sent(&parcels));
    sink.close();
}

#[test]
fn a_small_limit_of_the_topic_is_kept_and_only_what_is_too_large_is_refused() {
    let Some(broker) =
        Broker::start("a_small_limit_of_the_topic_is_kept_and_only_what_is_too_large_is_refused")
    else {
        return;
    };
    broker.create_topic("small", 4, &[("max.message.bytes", "20000")]);
    // Without compression, or the broker would take the large ones too.
    let options = [("compression.codec", "none")];
    let (mut sink, _) = open(&broker, "small", &options);
    let mut parcels = load(40, 300);
    let large =
        |n: usize| ("d.1".to_string(), format!("{{\"large\":{n},\"filler\":\"{}\"}}", "y".repeat(30_000)));
    parcels.push(parcel(41, &[large(1), ("d.1".to_string(), "{\"last\":true}".to_string()), large(2)]));
    let run = deliver(&mut *sink, &parcels, |_| {});
    let told: Vec<_> =
        run.refused.iter().map(|refusal| (refusal.number, refusal.row, refusal.reason)).collect();
    assert_eq!(told, [(41, 0, "too_large"), (41, 2, "too_large")]);
    assert_eq!(run.lost, 0, "the limit was read, so no batch was too large");
    let mut want = sent(&parcels);
    want.get_mut("d.1").expect("its rows").retain(|text| text.len() < 20_000);
    check(&broker.read("small"), &want);

    // Batches over the limit, as when it shrinks while the sink runs: refused whole, their messages are sent again alone.
    let (mut sink, _) = open(&broker, "small", &[("compression.codec", "none"), ("batch.size", "500000")]);
    let more = load(6, 300);
    let run = deliver(&mut *sink, &more, |_| {});
    assert!(run.lost > 0 && run.refused.is_empty(), "lost {}, refused {}", run.lost, run.refused.len());
    let got = broker.read("small");
    for (key, texts) in sent(&more) {
        let again: Vec<&str> =
            got.iter().filter(|message| message.key == key).map(|m| m.payload.as_str()).collect();
        let mut new: Vec<&str> = again[want.get(&key).map_or(0, Vec::len)..].to_vec();
        assert_eq!(new.len(), texts.len(), "{key}: each once");
        new.sort_unstable();
        let mut texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        texts.sort_unstable();
        assert!(new == texts, "{key}");
    }
}
