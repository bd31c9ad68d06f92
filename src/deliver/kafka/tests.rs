//! Against librdkafka's own mock cluster, which answers as it is told to. A real broker: `tests/kafka.rs`.

use std::collections::{BTreeMap, VecDeque};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::*;
use crate::config::{Cluster, KafkaSink, Sasl, Secret, Template, Text};
use crate::event::KindId;
use crate::outcome::Word;

const KINDS: &[&str] = &["other", "app"];
const PATIENCE: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 4;
/// The mock cluster knows no request for a topic's limits; a size that is given is not asked for.
const FIXED: &[(&str, &str)] = &[("batch.size", "1000000")];

type Mock = MockCluster<'static, DefaultProducerContext>;

fn mock() -> Mock {
    let cluster = MockCluster::new(1).unwrap();
    for topic in ["events", "events.app", "events.other"] {
        cluster.create_topic(topic, PARTITIONS, 1).unwrap();
    }
    cluster
}

fn config(brokers: &str, options: &[(&str, &str)]) -> KafkaSink {
    KafkaSink {
        cluster: Cluster {
            brokers: brokers.split(',').map(Text::plain).collect(),
            options: options.iter().map(|(key, value)| (key.to_string(), Secret::new(*value))).collect(),
            ..Cluster::default()
        },
        topic: Template::topic(&Text::plain("events")).unwrap(),
        key: KafkaKey::Drain,
        headers: Vec::new(),
        events_per_message: 1,
        dead_letters: Text::plain("dead"),
    }
}

fn sink(config: &KafkaSink) -> Result<Kafka, String> {
    Kafka::new("kafka", Format::Ndjson, config, KINDS, Readings::default())
}

/// A parcel of rows, each a drain and a text; texts that begin with `a` are of kind `app`.
fn parcel(number: Number, rows: &[(&str, String)]) -> Arc<Parcel> {
    let mut parcel = Parcel { number, events: rows.len() as u32, ..Parcel::default() };
    let word = |words: &mut Vec<u8>, text: &str| {
        let at = words.len() as u32;
        words.extend_from_slice(text.as_bytes());
        Word { at, len: text.len() as u32 }
    };
    for (index, (drain, text)) in rows.iter().enumerate() {
        parcel.bytes.extend_from_slice(text.as_bytes());
        parcel.bytes.push(b'\n');
        let row = Row {
            end: parcel.bytes.len() as u32,
            id: word(&mut parcel.words, &format!("{number}-{index}")),
            drain: word(&mut parcel.words, drain),
            computer: Word::default(),
            listener: Word::default(),
            kind: KindId(u8::from(text.starts_with('a'))),
            received_us: 1_795_530_600_000_001,
        };
        parcel.rows.push(row);
    }
    Arc::new(parcel)
}

/// Parcels `1..=numbers` of `rows` rows, over seven drains.
fn load(numbers: Number, rows: usize) -> Vec<Arc<Parcel>> {
    let drains = ["d0", "d1", "d2", "d3", "d4", "d5", "d6"];
    let row = |number: Number, index: usize| {
        (drains[(number as usize + index) % 7], format!("{number:05}-{index:05}"))
    };
    (1..=numbers)
        .map(|number| parcel(number, &(0..rows).map(|i| row(number, i)).collect::<Vec<_>>()))
        .collect()
}

/// Does what the flow does: offers in order, asks for the mark, and after a loss begins again behind it. `meanwhile` sees
/// the mark after each round. Returns the refusals and how often the sink was lost.
fn deliver(
    sink: &mut Kafka,
    parcels: &[Arc<Parcel>],
    mut meanwhile: impl FnMut(Number),
) -> (Vec<Refusal>, usize) {
    let begun = Instant::now();
    let last = parcels.last().unwrap().number;
    let (mut refused, mut lost, mut mark) = (Vec::new(), 0, 0);
    let mut queue: VecDeque<&Arc<Parcel>> = parcels.iter().collect();
    while mark < last {
        assert!(begun.elapsed() < PATIENCE, "mark {mark} of {last} after {:?}", begun.elapsed());
        let offered = match queue.front() {
            Some(parcel) => sink.write(parcel),
            None => Err(SinkError::Busy),
        };
        let flushed = sink.flush(&mut refused);
        let mut again = false;
        match offered {
            Ok(()) => drop(queue.pop_front()),
            Err(SinkError::Busy) => std::thread::sleep(Duration::from_millis(2)),
            Err(SinkError::Lost(_)) => again = true,
        }
        match flushed {
            Ok(new) => {
                assert!(new >= mark, "the mark went back");
                mark = new;
            }
            Err(_) => again = true,
        }
        if again {
            lost += 1;
            queue = parcels.iter().filter(|parcel| parcel.number > mark).collect();
        }
        meanwhile(mark);
    }
    (refused, lost)
}

struct Got {
    partition: i32,
    key: Option<String>,
    text: String,
    headers: BTreeMap<String, String>,
    time_ms: i64,
}

/// Reads all of a topic, until nothing has come for a while.
fn read(brokers: &str, topic: &str) -> Vec<Got> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", "test").set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut places = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        places.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&places).unwrap();
    let (mut got, mut ends) = (Vec::new(), 0);
    let begun = Instant::now();
    while ends < PARTITIONS {
        assert!(begun.elapsed() < PATIENCE);
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
                got.push(Got {
                    partition: message.partition(),
                    key: message.key().map(text),
                    text: text(message.payload().unwrap()),
                    headers: headers.map(|h| (h.key.to_string(), text(h.value.unwrap()))).collect(),
                    time_ms: message.timestamp().to_millis().unwrap(),
                });
            }
            Some(Err(KafkaError::PartitionEOF(_))) => ends += 1,
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
    }
    got
}

fn sent(parcels: &[Arc<Parcel>]) -> BTreeMap<String, Vec<String>> {
    let mut by_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for parcel in parcels {
        for (index, row) in parcel.rows.iter().enumerate() {
            let text = String::from_utf8(parcel.row_bytes(index).to_vec()).unwrap();
            let key = String::from_utf8(parcel.word(row.drain).to_vec()).unwrap();
            by_key.entry(key).or_default().push(text.trim_end().to_string());
        }
    }
    by_key
}

/// Every row once, in order within its key, each key in one partition.
fn check(got: Vec<Got>, want: &BTreeMap<String, Vec<String>>) {
    let mut by_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut homes: BTreeMap<String, i32> = BTreeMap::new();
    for message in got {
        let key = message.key.unwrap();
        assert_eq!(
            *homes.entry(key.clone()).or_insert(message.partition),
            message.partition,
            "{key} has two homes"
        );
        by_key.entry(key).or_default().extend(message.text.lines().map(str::to_string));
    }
    assert_eq!(by_key.keys().collect::<Vec<_>>(), want.keys().collect::<Vec<_>>());
    for (key, texts) in &by_key {
        assert!(*texts == want[key], "{key}: {} of {}: {texts:?}", texts.len(), want[key].len());
    }
}

#[test]
fn events_arrive_once_in_order_and_the_mark_waits_for_reports() {
    let cluster = mock();
    let parcels = load(30, 100);
    let mut sink = sink(&config(&cluster.bootstrap_servers(), &[])).unwrap();
    let begun = Instant::now();
    while !matches!(sink.stage, Stage::Running) {
        assert!(begun.elapsed() < PATIENCE);
        sink.flush(&mut Vec::new()).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    cluster.broker_round_trip_time(-1, Duration::from_millis(400)).unwrap();
    sink.write(&parcels[0]).unwrap();
    assert_eq!(sink.flush(&mut Vec::new()).unwrap(), 0);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(sink.flush(&mut Vec::new()).unwrap(), 0, "nothing is acknowledged yet");
    assert_eq!(sink.flights.flying(), 100);
    cluster.broker_round_trip_time(-1, Duration::ZERO).unwrap();
    let (refused, lost) = deliver(&mut sink, &parcels, |_| {});
    assert_eq!((refused.len(), lost, sink.flights.flying()), (0, 0, 0));
    check(read(&cluster.bootstrap_servers(), "events"), &sent(&parcels));
}

/// Each error is what the broker answers to one request, and none of it may cost or repeat a row.
#[test]
fn what_the_broker_cannot_do_now_is_done_later_once_and_in_order() {
    use RDKafkaRespErr::*;
    for (name, errors, is_lost) in [
        ("not leader", vec![RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION; 3], false),
        ("timed out", vec![RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT; 3], false),
        ("cut off", vec![RD_KAFKA_RESP_ERR__TRANSPORT; 3], false),
        ("too few replicas", vec![RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS; 3], false),
        ("no permission", vec![RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 2], true),
        ("too large together", vec![RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE], true),
        ("out of order", vec![RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER], true),
    ] {
        let begun = Instant::now();
        let cluster = mock();
        let parcels = load(20, 60);
        let mut sink = sink(&config(&cluster.bootstrap_servers(), FIXED)).unwrap();
        cluster.request_errors(RDKafkaApiKey::Produce, &errors);
        let (refused, lost) = deliver(&mut sink, &parcels, |_| {});
        println!("{name}: lost {lost} times, {:?}", begun.elapsed());
        assert!(refused.is_empty(), "{name}: {} refused", refused.len());
        assert_eq!(lost > 0, is_lost, "{name}");
        check(read(&cluster.bootstrap_servers(), "events"), &sent(&parcels));
    }
}

#[test]
fn a_leader_that_moves_is_followed() {
    let cluster = MockCluster::new(3).unwrap();
    cluster.create_topic("events", PARTITIONS, 3).unwrap();
    let parcels = load(60, 50);
    let mut sink = sink(&config(&cluster.bootstrap_servers(), FIXED)).unwrap();
    let (mut rounds, mut moved) = (0, 0);
    let (refused, _) = deliver(&mut sink, &parcels, |_| {
        rounds += 1;
        if rounds % 20 == 0 {
            moved += 1;
            for partition in 0..PARTITIONS {
                let broker = (partition + moved) % 3 + 1;
                cluster.partition_leader("events", partition, Some(broker)).unwrap();
            }
        }
        std::thread::sleep(Duration::from_millis(3));
    });
    assert!(refused.is_empty() && moved > 1);
    check(read(&cluster.bootstrap_servers(), "events"), &sent(&parcels));
}

#[test]
fn what_is_too_large_is_refused_and_the_rest_arrives() {
    let cluster = mock();
    let options = [&[("message.max.bytes", "2000")], FIXED].concat();
    let mut sink = sink(&config(&cluster.bootstrap_servers(), &options)).unwrap();
    let rows = |number: Number| {
        parcel(
            number,
            &[("d", format!("{number}-small")), ("d", "x".repeat(3000)), ("d", format!("{number}-last"))],
        )
    };
    let parcels: Vec<_> = (1..=4).map(rows).collect();
    let (refused, lost) = deliver(&mut sink, &parcels, |_| {});
    assert_eq!(lost, 0);
    let told: Vec<_> = refused.iter().map(|r| (r.number, r.row, r.reason, r.bytes.len(), &*r.id)).collect();
    let want: Vec<_> = (1..=4).map(|n| (n, 1, "too_large", 3001, format!("{n}-1").into_bytes())).collect();
    assert_eq!(told, want.iter().map(|(a, b, c, d, e)| (*a, *b, *c, *d, &e[..])).collect::<Vec<_>>());
    let mut want = sent(&parcels);
    want.get_mut("d").unwrap().retain(|text| text.len() < 3000);
    check(read(&cluster.bootstrap_servers(), "events"), &want);
}

#[test]
fn what_is_too_large_even_alone_is_refused() {
    let cluster = mock();
    let parcels = [parcel(1, &(0..10).map(|row| ("d", format!("row {row}"))).collect::<Vec<_>>())];
    let mut sink = sink(&config(&cluster.bootstrap_servers(), FIXED)).unwrap();
    // The batch of all, then one message alone.
    cluster
        .request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE; 2]);
    let (refused, lost) = deliver(&mut sink, &parcels, |_| {});
    assert!(lost > 0);
    assert_eq!(refused.len(), 1, "{refused:?}");
    let mut want = sent(&parcels);
    let gone = String::from_utf8(refused[0].bytes.to_vec()).unwrap();
    want.values_mut().for_each(|texts| texts.retain(|text| *text != gone.trim_end()));
    check(read(&cluster.bootstrap_servers(), "events"), &want);
}

#[test]
fn a_broker_that_is_down_at_the_start_is_waited_for() {
    let cluster = mock();
    cluster.broker_down(-1).unwrap();
    let options =
        [&[("queue.buffering.max.messages", "300"), ("reconnect.backoff.max.ms", "500")], FIXED].concat();
    let mut sink = sink(&config(&cluster.bootstrap_servers(), &options)).unwrap();
    let parcels = load(10, 50);
    let (mut taken, mut busy) = (0, 0);
    for parcel in &parcels {
        match sink.write(parcel) {
            Ok(()) => taken += 1,
            Err(SinkError::Busy) => busy += 1,
            Err(error) => panic!("{error:?}"),
        }
        assert_eq!(sink.flush(&mut Vec::new()).unwrap(), 0);
    }
    assert_eq!((taken, busy), (6, 4), "the queue is the limit");
    cluster.broker_up(-1).unwrap();
    let (refused, lost) = deliver(&mut sink, &parcels, |_| {});
    assert_eq!((refused.len(), lost), (0, 0));
    check(read(&cluster.bootstrap_servers(), "events"), &sent(&parcels));
}

#[test]
fn topics_headers_and_packing_follow_the_configuration() {
    let cluster = mock();
    let mut config = config(&cluster.bootstrap_servers(), FIXED);
    config.topic = Template::topic(&Text::plain("events.{kind}")).unwrap();
    config.headers = vec![KafkaHeader::Id, KafkaHeader::Kind, KafkaHeader::Schema];
    config.events_per_message = 3;
    let rows: Vec<(&str, String)> = [
        ("d1", "a1"),
        ("d1", "a2"),
        ("d1", "a3"),
        ("d1", "a4"),
        ("d2", "a5"),
        ("d2", "o6"),
        ("", "o7"),
        ("", "o8"),
    ]
    .map(|(drain, text)| (drain, text.to_string()))
    .to_vec();
    let mut sink = sink(&config).unwrap();
    deliver(&mut sink, &[parcel(1, &rows)], |_| {});
    let read =
        |topic: &str| {
            let mut got = read(&cluster.bootstrap_servers(), topic);
            got.sort_by(|a, b| a.text.cmp(&b.text));
            assert!(got.iter().all(
                |message| message.time_ms == 1_795_530_600_000 && message.headers["schema"] == "event/v1"
            ));
            let all = got.into_iter().map(|m| (m.key.unwrap_or_default(), m.text, m.headers["id"].clone()));
            all.collect::<Vec<_>>()
        };
    let own = |list: &[(&str, &str, &str)]| -> Vec<(String, String, String)> {
        list.iter().map(|(a, b, c)| (a.to_string(), b.to_string(), c.to_string())).collect()
    };
    assert_eq!(
        read("events.app"),
        own(&[("d1", "a1\na2\na3", "1-0"), ("d1", "a4", "1-3"), ("d2", "a5", "1-4")])
    );
    assert_eq!(read("events.other"), own(&[("d2", "o6", "1-5"), ("", "o7\no8", "1-6")]));
}

/// Rows of `drains` drains in turn, `each` of each.
fn in_turn(drains: usize, each: usize) -> Vec<(&'static str, String)> {
    let names = ["d0", "d1", "d2"];
    (0..drains * each).map(|at| (names[at % drains], format!("o{at:03}"))).collect()
}

#[test]
fn events_of_a_drain_share_a_message_though_others_come_between() {
    let cluster = mock();
    let mut config = config(&cluster.bootstrap_servers(), FIXED);
    config.events_per_message = 64;
    let mut sink = sink(&config).unwrap();
    let parcels = [parcel(1, &in_turn(3, 100)), parcel(2, &in_turn(2, 3))];
    deliver(&mut sink, &parcels, |_| {});
    let mut got = read(&cluster.bootstrap_servers(), "events");
    got.sort_by(|a, b| a.key.cmp(&b.key));
    let sizes: Vec<usize> = got.iter().map(|message| message.text.lines().count()).collect();
    assert_eq!(sizes, [64, 36, 3, 64, 36, 3, 64, 36]);
    check(got, &sent(&parcels));
}

#[test]
fn of_a_packed_message_only_what_is_too_large_is_refused() {
    let cluster = mock();
    let options = [("batch.size", "1000000"), ("message.max.bytes", "3000")];
    let mut config = config(&cluster.bootstrap_servers(), &options);
    config.events_per_message = 64;
    let mut sink = sink(&config).unwrap();
    let mut rows = in_turn(3, 100);
    rows[7].1 = "x".repeat(4000);
    let parcels = [parcel(1, &rows)];
    let (refused, lost) = deliver(&mut sink, &parcels, |_| {});
    let told: Vec<_> = refused.iter().map(|r| (r.number, r.row, r.reason, &*r.id)).collect();
    assert_eq!((told, lost), (vec![(1, 7, "too_large", &b"1-7"[..])], 0));
    let got = read(&cluster.bootstrap_servers(), "events");
    assert_eq!(got.iter().map(|message| message.text.lines().count()).sum::<usize>(), 299);
}

#[test]
fn a_packed_message_that_the_broker_refuses_is_sent_row_by_row() {
    let cluster = mock();
    let mut config = config(&cluster.bootstrap_servers(), FIXED);
    config.events_per_message = 64;
    let mut sink = sink(&config).unwrap();
    cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD]);
    let parcels = [parcel(1, &in_turn(1, 5))];
    let (refused, lost) = deliver(&mut sink, &parcels, |_| {});
    assert_eq!((refused.len(), lost), (0, 1));
    check(read(&cluster.bootstrap_servers(), "events"), &sent(&parcels));
}

#[test]
fn closing_leaves_the_mark_before_what_was_not_acknowledged() {
    let cluster = mock();
    let mut sink = sink(&config(&cluster.bootstrap_servers(), FIXED)).unwrap();
    let parcels = load(3, 5);
    deliver(&mut sink, &parcels[..2], |_| {});
    cluster.broker_round_trip_time(-1, Duration::from_secs(5)).unwrap();
    sink.write(&parcels[2]).unwrap();
    let begun = Instant::now();
    sink.close();
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(sink.flush(&mut Vec::new()).unwrap(), 2);
}

#[test]
fn a_wrong_configuration_is_an_error_that_shows_no_secret() {
    for (options, sasl, complaint) in [
        (&[("no.such.thing", "s3cret")][..], false, "unknown option `no.such.thing`\nhint: "),
        (&[("linger.ms", "s3cret")], false, "option `linger.ms` does not take its value\nhint: "),
        (&[("acks", "1")], false, "`acks` must be set to `all` when `enable.idempotence` is true"),
        (&[("request.required.acks", "1")], false, "`acks` must be set to `all`"),
        (&[("ssl.key.pem", "s3cret"), ("security.protocol", "ssl")], false, "hint: "),
        (
            &[("ssl.key.location", "/nowhere"), ("ssl.key.password", "s3cret"), ("security.protocol", "ssl")],
            true,
            "hint: ",
        ),
    ] {
        let mut config = config("127.0.0.1:9", options);
        let (mechanism, username) = ("PLAIN", Text::plain("weir"));
        config.cluster.sasl = sasl.then(|| Sasl { mechanism, username, password: Secret::new("s3cret") });
        let error = sink(&config).err().unwrap();
        assert!(error.contains(complaint), "{options:?}: {error}");
        assert!(!error.contains("s3cret"), "{error}");
        assert!(!format!("{config:?}").contains("s3cret"));
    }
}
