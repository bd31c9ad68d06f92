//! The same rows however lines interleave, and for any number of shards.

use std::sync::Arc;

use proptest::prelude::*;
use weir::batch::{Batch, Form, Identity, ListenerId, Origin};
use weir::ledger::Ledger;
use weir::ledger::reports::What;
use weir::outcome::Outcome;
use weir::pack;
use weir::plan::{Listener, Plan};
use weir::rows::cells;
use weir::shard::Shard;

use super::{folder, replay};

const PACK: &str = r#"weir: pack/v1
pack: {id: p, version: 1.0.0, title: P, license: Apache-2.0}
fields: {load: {type: f64}, memory: {type: bytes}, user: {type: string}}
knowledge_objects:
  - {id: pairs, rules: [{applies_to: {source: app}, extract: [{kv: {quote: '"'}}]}]}
reports:
  - {id: rows, title: R, of: {s: {source: app}}, window: 1m, columns: [{field: time, title: T}, {field: process, title: P}, {field: load, title: L, as: sent}, {field: memory, title: M, as: sent}], summary: [{agg: p95, of: load, by: [process], title: p}, {agg: sum, of: memory, by: [process], title: s}]}
  - {id: merged, title: M, of: {s: {source: app}}, window: 1m, merge_rows: {by: [process], within: 2s}, columns: [{field: process, title: P}, {field: load, title: L, as: sent}, {field: memory, title: M, as: sent}]}
  - {id: joined, title: J, of: {s: {source: api, user|exists: true}}, join: parts, window: 1m, columns: [{field: time, title: T}, {field: message, title: Text}]}
joins:
  - {id: parts, of: {s: {source: api}}, by: [process], start: {regex: 'begin'}, end: {regex: 'user='}, within: 2s, max: 8}
"#;

fn plan() -> Arc<Plan> {
    let text = PACK.replace("applies_to: {source: app}", "applies_to: {source: [app, api]}");
    let pack = pack::read("p", &text, &[], &[]).unwrap_or_else(|problems| panic!("{problems}"));
    let compiled = pack::compile(&[pack], &[]).unwrap();
    let plan = Plan::new("test".into(), vec![Arc::new(Listener::new("test"))]);
    Arc::new(Plan { rules: Some(compiled.program), watch: compiled.watch, ..plan })
}

fn origin() -> Arc<Origin> {
    let (peer, peer_name, token, user) = (None, None, None, None);
    Arc::new(Origin {
        listener: ListenerId(0),
        peer,
        peer_name,
        token,
        user,
        labels: Vec::new(),
        logplex: false,
        form: Form::Syslog,
    })
}

const START_S: i64 = 1_613_383_200;

/// Runs lines, each with when it comes in seconds; returns what is told by report, in order.
fn told(lines: &[(i64, String)]) -> Vec<(String, i64, String)> {
    told_with(lines, |_, _, _| {})
}

/// The same; after each line `between` may change the ledger.
fn told_with(
    lines: &[(i64, String)],
    between: impl Fn(usize, &Arc<Plan>, &mut Ledger),
) -> Vec<(String, i64, String)> {
    let (plan, origin) = (plan(), origin());
    let mut all_told = Vec::new();
    let (mut shard, mut ledger) = (Shard::default(), Ledger::new(plan.clone()));
    for (number, (at, line)) in lines.iter().enumerate() {
        let mut batch = Batch::new(Batch::capacity_for(4096));
        (batch.number, batch.received_us) = (number as u64 + 1, (START_S + at) * 1_000_000);
        let start = batch.append(line.as_bytes());
        batch.push_frame(start, line.len(), false);
        batch.close_run(&origin, Identity::Batch);
        let mut outcome = Outcome::default();
        shard.process(&plan, &batch, &mut outcome);
        ledger.apply(&outcome);
        all_told.extend(ledger.take_told());
        between(number, &plan, &mut ledger);
    }
    ledger.end();
    all_told.extend(ledger.take_told());
    let shown = |row: &[u8]| {
        let cells =
            cells(row).map(|cell| cell.map_or("-".into(), |cell| String::from_utf8_lossy(cell).into_owned()));
        cells.collect::<Vec<_>>().join("|")
    };
    let mut all: Vec<_> = all_told
        .into_iter()
        .map(|told| {
            let what = match &told.what {
                What::Row(row) => shown(row),
                What::Late(n, row) => format!("late {n} {}", shown(row)),
                What::Sealed(tables) => format!("sealed {tables:?}"),
                What::Corrected(n) => format!("corrected {n}"),
            };
            (told.report.id.to_string(), told.from_us / 1_000_000 - START_S, what)
        })
        .collect();
    all.sort_by_key(|(id, from, _)| (id.clone(), *from));
    all
}

fn line(second: i64, drain: usize, source: &str, process: &str, text: &str) -> String {
    let at = jiff::Timestamp::from_second(START_S + second).unwrap();
    format!("<14>1 {at} d.{drain} {source} {process} - - {text}")
}

fn of<'t>(told: &'t [(String, i64, String)], report: &str) -> Vec<(i64, &'t str)> {
    let full = format!("p.report.{report}");
    told.iter().filter(|(id, ..)| *id == full).map(|(_, from, what)| (*from, what.as_str())).collect()
}

#[test]
fn rows_that_belong_together_become_one_and_late_ones_a_correction() {
    let mut lines = Vec::new();
    for (second, process, text) in [
        (1, "w.1", "load=0.50"),
        (2, "w.1", "memory=2kB"),
        (2, "w.2", "memory=1kB"),
        // The same again is a row of its own, and so is what comes too long after.
        (3, "w.1", "load=0.50"),
        (9, "w.1", "memory=2kB"),
    ] {
        lines.push((second, line(second, 1, "app", process, text)));
    }
    lines.push((130, line(130, 1, "app", "w.3", "load=1")));
    lines.push((131, line(59, 1, "app", "w.9", "load=7")));
    lines.push((132, line(58, 1, "app", "w.8", "load=8")));
    // A new correction begins when lateness has passed since the first row of the one before.
    lines.push((200, line(57, 1, "app", "w.7", "load=9")));
    let told = told(&lines);
    assert_eq!(
        of(&told, "merged"),
        [
            (0, "w.1|0.50|2kB"),
            (0, "w.2|-|1kB"),
            (0, "w.1|0.50|-"),
            (0, "w.1|-|2kB"),
            (0, "sealed []"),
            (0, "late 1 w.9|7|-"),
            (0, "late 1 w.8|8|-"),
            (0, "corrected 1"),
            (0, "late 2 w.7|9|-"),
            (0, "corrected 2"),
            (120, "w.3|1|-"),
            (120, "sealed []"),
        ]
    );
}

#[test]
fn messages_are_joined_within_their_time_and_else_stand_alone() {
    let lines = |pieces: &[(i64, &str, &str)]| -> Vec<(i64, String)> {
        pieces
            .iter()
            .map(|(second, process, text)| (*second, line(*second, 1, "api", process, text)))
            .collect()
    };
    let whole =
        told(&lines(&[(1, "a", "begin x"), (2, "b", "user=z"), (2, "a", "more"), (3, "a", "user=y end")]));
    let row = |second: i64, text: &str| format!("2021-02-15T10:00:0{second}.000000Z|{text}");
    let rows = |told: &[(String, i64, String)]| -> Vec<String> {
        let all = of(told, "joined").into_iter().filter(|(_, what)| !what.starts_with("sealed"));
        all.map(|(_, what)| what.to_string()).collect()
    };
    assert_eq!(rows(&whole), [row(1, "begin x\nmore\nuser=y end"), row(2, "user=z")]);
    let slow = told(&lines(&[(1, "a", "begin user=q"), (4, "a", "user=y end")]));
    assert_eq!(rows(&slow), [row(1, "begin user=q"), row(4, "user=y end")]);
    let again = told(&lines(&[(1, "a", "begin 1"), (2, "a", "begin 2"), (2, "a", "user=y")]));
    assert_eq!(rows(&again), [row(2, "begin 2\nuser=y")]);
    let mut many: Vec<(i64, &str, &str)> = vec![(1, "a", "begin")];
    many.extend([(1, "a", "more"); 9]);
    many.push((1, "a", "user=y"));
    assert_eq!(rows(&told(&lines(&many))), [row(1, "user=y")], "more than `max` stand alone");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_restart_after_any_line_changes_nothing(
        lines in prop::collection::vec((0i64..150, 0usize..2, 0u8..7, 0i64..80), 1..80),
        every in 1usize..5,
    ) {
        let mut lines: Vec<(i64, String)> = lines.into_iter().map(|(second, drain, kind, delay)| {
            let process = format!("w.{}", kind % 2);
            let (source, text) = match kind {
                0 | 1 => ("app", format!("load={}.50", second % 7)),
                2 => ("app", format!("memory={second}kB")),
                3 | 4 => ("api", format!("begin {second}")),
                5 => ("api", "more".to_string()),
                _ => ("api", format!("end user=u{second}")),
            };
            (second + delay, line(second, drain, source, &process, &text))
        }).collect();
        // Some come later than lateness lets them, so that there are corrections.
        lines.sort_by_key(|(came, _)| *came);
        let restart = |number: usize, plan: &Arc<Plan>, ledger: &mut Ledger| {
            if number.is_multiple_of(every) {
                let mut kept = Vec::new();
                ledger.snapshot().put(&mut kept);
                let mut next = Ledger::new(plan.clone());
                for len in (0..kept.len()).step_by(11) {
                    assert_eq!(next.restore(&kept[..len], 0), None, "{len} of {}", kept.len());
                }
                assert_eq!(next.restore(&kept, 0).as_deref(), Some(&[][..]));
                let mut again = Vec::new();
                next.snapshot().put(&mut again);
                assert!(again == kept);
                *ledger = next;
            }
        };
        prop_assert_eq!(told_with(&lines, restart), told(&lines));
    }

    #[test]
    fn any_interleaving_within_lateness_gives_the_same(
        lines in prop::collection::vec((0usize..4, 0i64..150, 0u8..6), 1..60),
        delays in prop::collection::vec(0i64..55, 60),
        others in prop::collection::vec(0i64..55, 60),
    ) {
        // A drain's own lines keep their order: its delays never let one overtake another.
        let arranged = |delays: &[i64]| {
            let mut all: Vec<(i64, usize, String)> = Vec::new();
            for drain in 0..4 {
                let mut own: Vec<_> = lines.iter().filter(|(of, ..)| *of == drain).collect();
                own.sort_by_key(|(_, second, _)| *second);
                let mut before = 0;
                for (place, (_, second, kind)) in own.into_iter().enumerate() {
                    let came = (second + delays[(place * 4 + drain) % delays.len()]).max(before).min(second + 59);
                    before = came;
                    let process = format!("w.{}", kind % 2);
                    let (source, text) = match kind {
                        0 | 1 => ("app", format!("load={}.50", second % 7)),
                        2 => ("app", format!("memory={second}kB")),
                        3 => ("api", format!("begin {second}")),
                        4 => ("api", "more".to_string()),
                        _ => ("api", format!("end user=u{second}")),
                    };
                    // Joins go by process: those of a drain are its own.
                    let process = if source == "api" { format!("api.{drain}") } else { process };
                    all.push((came, drain, line(*second, drain, source, &process, &text)));
                }
            }
            all.sort_by_key(|(came, ..)| *came);
            all.into_iter().map(|(came, _, line)| (came, line)).collect::<Vec<_>>()
        };
        let first = told(&arranged(&delays));
        prop_assert_eq!(&first, &told(&arranged(&others)));
        prop_assert!(first.iter().all(|(_, _, what)| !what.starts_with("late")));
    }
}

#[test]
fn any_number_of_shards_writes_the_same_bytes() {
    let dir = folder("shards");
    let mut input = String::new();
    for n in 0..20_000i64 {
        let at = jiff::Timestamp::from_millisecond(START_S * 1000 + n * 37 + (n * 7919 % 20_000)).unwrap();
        let drain = format!("d.5a8fd083-0972-4e18-b912-94dc2d09{:04}", n % 7);
        let message = format!(
            "at=info method={} path=\"/{}\" host=h request_id=r{n} fwd=\"10.0.0.{}\" dyno=web.{} connect={}ms service={}ms status={} bytes={} protocol=https",
            ["GET", "POST"][n as usize % 2],
            n % 13,
            n % 250,
            n % 3,
            n % 4,
            n * 31 % 3000,
            [200, 404, 500][n as usize % 3],
            n % 9999
        );
        input.push_str(&format!("<158>1 {at} {drain} heroku router - - {message}\n"));
    }
    let run = |threads: usize| {
        let pipeline = dir.join("weir.yaml");
        std::fs::write(&pipeline, format!("weir: pipeline/v1\nthreads: {threads}\n")).unwrap();
        replay(&dir, input.as_bytes(), &["--pipeline", &pipeline.to_string_lossy()])
    };
    let one = run(1);
    assert_eq!(super::csv(&one["router_logs/2021-02-15T00-00-00+0000.csv"]).len(), 20_001);
    for threads in [2, 3] {
        assert!(run(threads) == one, "{threads} shards");
    }
}
