//! Doctored outputs: each sort of amiss is found, and only that.

use super::*;
use crate::corpus::Mix;
use crate::generator::Load;

const EVENTS: u64 = 300;

fn record(transport: &str, mix: Mix) -> Record {
    let form = if transport.starts_with("http") { Form::Https } else { Form::Syslog };
    let load = Load::new(11, mix, form, 1_795_341_084_000_000, 2, Some(1000.0), 20_000);
    let connection = |number| Connection { number, sent: EVENTS, offered: EVENTS, ..Connection::default() };
    Record { load, transport: transport.to_string(), connections: vec![connection(0), connection(1)] }
}

/// What a faultless weir would write: both connections interleaved.
fn output(record: &Record) -> Vec<String> {
    let generator = Generator::new(record.load.clone());
    let line = |at: u64| {
        let event = generator.expect((at % 2) as u32, at / 2).to_json();
        format!(
            "{{\"id\":\"i-1-{at}\",\"received\":\"2026-11-22T09:51:24.000000Z\",\"listener\":\"l\",{}",
            &event[1..]
        )
    };
    (0..2 * EVENTS).map(line).collect()
}

fn verdict(record: &Record, lines: &[String], options: Options) -> Report {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    run_on(&Options { examples_max: 3, ..options }, vec![record.clone()], "out", text.as_bytes())
}

fn counts(report: &Report) -> [u64; 6] {
    Amiss::ALL.map(|sort| report.count(sort))
}

#[test]
fn a_faultless_output_is_clean() {
    for mix in [Mix::Fair, Mix::RouterHeavy] {
        for transport in ["tcp", "http"] {
            let record = record(transport, mix);
            let report = verdict(&record, &output(&record), Options::default());
            assert!(report.clean(), "{}", report.text());
            assert_eq!((report.sent, report.matched), (2 * EVENTS, 2 * EVENTS));
        }
    }
}

/// Changes the output, and says how many are lost, duplicated, reordered, invented, wrong, unreadable.
type Doctored = (&'static str, fn(&mut Vec<String>), [u64; 6]);

#[test]
fn each_sort_of_amiss_is_found() {
    let table: &[Doctored] = &[
        ("lost in the middle", |o| drop(o.remove(100)), [1, 0, 0, 0, 0, 0]),
        ("lost at the end", |o| drop(o.pop()), [1, 0, 0, 0, 0, 0]),
        ("all lost", Vec::clear, [2 * EVENTS, 0, 0, 0, 0, 0]),
        ("twice", |o| o.push(o[5].clone()), [0, 1, 0, 0, 0, 0]),
        ("swapped within a connection", |o| o.swap(10, 12), [0, 0, 1, 0, 0, 0]),
        ("swapped between connections", |o| o.swap(10, 11), [0; 6]),
        ("beyond what was sent", |o| o.push(one(EVENTS)), [0, 0, 0, 1, 0, 0]),
        (
            "of a foreign drain",
            |o| {
                let foreign = o[9].replacen("\"drain\":\"d.", "\"drain\":\"d.0", 1);
                o.push(foreign);
            },
            [0, 0, 0, 1, 0, 0],
        ),
        (
            "wrong time",
            |o| {
                o[9] = o[9].replacen("T09:", "T08:", 1).replacen(
                    "\"time\":\"2026-11-22T09",
                    "\"time\":\"2026-11-22T08",
                    1,
                )
            },
            [1, 0, 0, 1, 0, 0],
        ),
        ("not JSON", |o| o[9].truncate(40), [1, 0, 0, 0, 0, 1]),
        ("wrong kind", |o| o[9] = changed(&o[9], "kind", "other"), [0, 0, 0, 0, 1, 0]),
        ("wrong severity", |o| o[9] = changed(&o[9], "severity", "alert"), [0, 0, 0, 0, 1, 0]),
        ("wrong source", |o| o[9] = changed(&o[9], "source", "nobody"), [0, 0, 0, 0, 1, 0]),
        ("wrong process", |o| o[9] = changed(&o[9], "process", "web.0"), [0, 0, 0, 0, 1, 0]),
        ("wrong facility", |o| o[9] = changed(&o[9], "facility", "kern"), [0, 0, 0, 0, 1, 0]),
        ("wrong message", |o| o[9] = changed(&o[9], "message", "x"), [0, 0, 0, 0, 1, 0]),
        ("wrong pri", |o| o[9] = o[9].replacen("\"pri\":1", "\"pri\":2", 1), [0, 0, 0, 0, 1, 0]),
        (
            "a flag",
            |o| o[9] = o[9].replacen("\"pri\"", "\"flags\":[\"no_pri\"],\"pri\"", 1),
            [0, 0, 0, 0, 1, 0],
        ),
        (
            "a hostname",
            |o| o[9] = o[9].replacen("\"pri\"", "\"hostname\":\"h\",\"pri\"", 1),
            [0, 0, 0, 0, 1, 0],
        ),
        (
            "a surplus field",
            |o| o[9] = o[9].replacen("\"fields\":{", "\"fields\":{\"zz\":1,", 1).replace(",}", "}"),
            [0, 0, 0, 0, 1, 0],
        ),
        ("a key gone", |o| o[9] = o[9].replacen("\"severity\"", "\"severe\"", 1), [0, 0, 0, 0, 1, 0]),
        ("a new key", |o| o[9] = o[9].replacen("\"pri\"", "\"later\":{\"a\":[]},\"pri\"", 1), [0; 6]),
        (
            "labels and computer",
            |o| o[9] = o[9].replacen("\"pri\"", "\"labels\":{\"env\":\"x\"},\"computer\":\"c\",\"pri\"", 1),
            [0; 6],
        ),
    ];
    let record = record("tcp", Mix::RouterHeavy);
    for (name, doctor, want) in table {
        let mut lines = output(&record);
        let before = lines.clone();
        doctor(&mut lines);
        assert_ne!(before, lines, "{name} changes nothing");
        let report = verdict(&record, &lines, Options::default());
        assert_eq!(counts(&report), *want, "{name}\n{}", report.text());
        assert_eq!(report.clean(), want.iter().all(|&n| n == 0));
    }
}

/// The event of connection 0 with this sequence.
fn one(sequence: u64) -> String {
    Generator::new(record("tcp", Mix::RouterHeavy).load).expect(0, sequence).to_json()
}

fn changed(line: &str, key: &str, value: &str) -> String {
    let mut event: serde_json::Value = serde_json::from_str(line).unwrap();
    event[key] = value.into();
    event.to_string()
}

#[test]
fn every_field_of_every_kind_is_compared() {
    let generator = Generator::new(record("tcp", Mix::Fair).load);
    let mut kinds = std::collections::HashSet::new();
    for sequence in 0..EVENTS {
        let expected = generator.expect(0, sequence);
        let event: serde_json::Value = serde_json::from_str(&expected.to_json()).unwrap();
        kinds.insert(expected.template.kind);
        let differences =
            |line: String| compare::differences(&Line::read(line.as_bytes()).unwrap(), &expected, false);
        assert_eq!(differences(expected.to_json()), Vec::<String>::new());
        // Only this field is asked for: reading into a Value has cost other numbers their digits.
        let amiss = |event: &serde_json::Value, name: &str| {
            let name = format!("`fields.{name}`");
            differences(event.to_string()).iter().filter(|d| d.starts_with(&name)).count()
        };
        for name in event["fields"].as_object().unwrap().keys() {
            for other in [serde_json::json!("other"), serde_json::json!(4711)] {
                let mut changed = event.clone();
                changed["fields"][name.as_str()] = other;
                assert_eq!(amiss(&changed, name), 1, "{name} of {event}");
            }
            let mut gone = event.clone();
            gone["fields"].as_object_mut().unwrap().remove(name);
            assert_eq!(amiss(&gone, name), 1, "{name} of {event}");
        }
    }
    assert!(kinds.len() >= 8, "{kinds:?}");
}

#[test]
fn numbers_count_by_value_but_digits_of_json_bodies_as_written() {
    let record = record("tcp", Mix::RouterHeavy);
    let lines = output(&record);
    let find = |part: &str| lines.iter().position(|l| l.contains(part)).unwrap();
    let mut doctored = lines.clone();
    let at = find("\"load_avg_1m\":");
    let (head, tail) = doctored[at].split_once("\"load_avg_1m\":").unwrap();
    let (value, tail) = tail.split_at(tail.find([',', '}']).unwrap());
    doctored[at] = format!("{head}\"load_avg_1m\":{}{tail}", value.parse::<f64>().unwrap());
    assert!(verdict(&record, &doctored, Options::default()).clean());
    let at = find("\"duration_ms\":");
    let (head, tail) = doctored[at].rsplit_once("\"fields\"").unwrap();
    doctored[at] = format!("{head}\"fields\"{}", tail.replacen(".50,", ".5,", 1));
    assert_eq!(verdict(&record, &doctored, Options::default()).count(Amiss::Wrong), 1);
}

#[test]
fn what_is_forgiven_and_what_is_not() {
    let cut = |transport: &str| {
        let mut record = record(transport, Mix::Fair);
        record.connections[0].cut = true;
        record
    };
    let suffix = || Options { suffix_loss: true, ..Options::default() };
    let tcp = cut("tcp");
    let mut lines = output(&tcp);
    lines.remove(598);
    lines.remove(596);
    let report = verdict(&tcp, &lines, suffix());
    assert_eq!((report.clean(), report.forgiven), (true, 2));
    assert_eq!(verdict(&tcp, &lines, Options::default()).count(Amiss::Lost), 2);

    lines.remove(400);
    let report = verdict(&tcp, &lines, suffix());
    assert_eq!((report.count(Amiss::Lost), report.forgiven), (1, 2), "a gap is no suffix");

    let mut lines = output(&tcp);
    lines.pop();
    assert_eq!(verdict(&tcp, &lines, suffix()).count(Amiss::Lost), 1, "connection 1 was not cut");

    let udp = cut("udp");
    lines.remove(7);
    let report = verdict(&udp, &lines, Options { loss: true, ..Options::default() });
    assert_eq!((report.clean(), report.forgiven), (true, 2));
    assert!(!verdict(&udp, &lines, Options::default()).clean());

    let extra = Options { extra_fields: true, ..Options::default() };
    let mut lines = output(&tcp);
    lines[9] = lines[9].replacen("\"fields\":{", "\"fields\":{\"zz\":1,", 1).replace(",}", "}");
    assert!(verdict(&tcp, &lines, extra).clean());
}

#[test]
fn over_http_only_acknowledged_events_must_appear() {
    let mut record = record("http", Mix::Fair);
    record.connections[0].give_up(10, 20);
    let all = output(&record);
    let report = verdict(&record, &all, Options::default());
    assert_eq!((report.clean(), report.unacknowledged, report.unacknowledged_seen), (true, 10, 10));

    // Events 10 to 19 of connection 0 are lines 20, 22 and so on.
    let mut lines = all.clone();
    for at in (20..40).step_by(2).rev() {
        lines.remove(at);
    }
    let report = verdict(&record, &lines, Options::default());
    assert_eq!((report.clean(), report.unacknowledged_seen), (true, 0));

    lines.extend((20..40).step_by(2).map(|at| all[at].clone()));
    assert!(verdict(&record, &lines, Options::default()).clean(), "late is allowed");
    lines.push(all[20].clone());
    assert_eq!(verdict(&record, &lines, Options::default()).count(Amiss::Duplicated), 1);

    let mut lines = all.clone();
    lines.remove(40);
    assert_eq!(verdict(&record, &lines, Options::default()).count(Amiss::Lost), 1);
}

#[test]
fn a_half_line_is_unreadable() {
    let record = record("tcp", Mix::Fair);
    let mut text = output(&record).join("\n").into_bytes();
    text.truncate(text.len() - 3);
    let report = run_on(&Options::default(), vec![record], "out", &text);
    assert_eq!(counts(&report), [1, 0, 0, 0, 0, 1]);
}

#[test]
fn the_report_says_it_in_both_forms() {
    let record = record("tcp", Mix::Fair);
    let mut lines = output(&record);
    lines.swap(10, 12);
    let report = verdict(&record, &lines, Options::default());
    assert!(
        report.text().contains("reordered: out:13: connection 0, event 5 came after event 6"),
        "{}",
        report.text()
    );
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!((json["clean"].as_bool(), json["reordered"].as_u64()), (Some(false), Some(1)));
}
