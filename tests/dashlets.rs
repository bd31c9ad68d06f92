//! Dashlets against an oracle that has all events at once and counts the slow way: in any order, in batches of any size,
//! by any number of shards.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value as Json;
use weir::batch::{Batch, Form, Identity, ListenerId, Origin};
use weir::ledger::Ledger;
use weir::ledger::answer;
use weir::ledger::dashlets::Query;
use weir::outcome::Outcome;
use weir::pack;
use weir::parse::time;
use weir::plan::{Listener, Plan};
use weir::shard::Shard;

const START_US: i64 = 1_767_225_600_000_000;
const MINUTE_US: i64 = 60_000_000;

const PACK: &str = r#"
weir: pack/v1
pack: {id: p, version: 1.0.0, title: P, license: Apache-2.0}
fields: {k: {type: string}, v: {type: u32}, from_ip: {type: ip, enrich: geo}}
knowledge_objects:
  - {id: app, kind: app, rules: [{applies_to: {source: app}, extract: [{kv: {}}]}]}
categories: [{id: some, title: Some, detect: {s: {v|exists: true}}}]
dashlets:
  - {id: number, title: N, viz: bar, of: some, group_by: [k, v]}
  - {id: sum, title: S, viz: bar, of: {s: {k: k1}}, group_by: [drain], agg: sum, value: v}
  - {id: most, title: M, viz: stat, agg: max, value: v}
  - {id: mean, title: A, viz: line, group_by: [k], agg: avg, value: v}
  - {id: level, title: L, viz: donut, group_by: [severity]}
  - {id: slow, title: P, viz: table, group_by: [k], agg: p95, value: v, bucket: hour}
  - {id: days, title: D, viz: line, group_by: [computer], bucket: day}
  - {id: geo, title: G, viz: map, group_by: [from_country]}
"#;

/// An address by drain, and its country.
const COUNTRIES: [(&str, &str); 3] =
    [("193.0.6.139", "NL"), ("[2001:67c:2e8:22::c100:68b]:443", "NL"), ("10.0.0.1", "ZZ")];

/// An event: milliseconds behind the start, drain, key, value or none.
#[derive(Clone, Debug)]
struct One {
    at_ms: i64,
    drain: u8,
    key: u8,
    value: Option<u8>,
}

impl One {
    fn time_us(&self) -> i64 {
        START_US + self.at_ms * 1_000
    }

    fn line(&self) -> String {
        let One { drain, key, value, .. } = self;
        let time = String::from_utf8_lossy(&time::write(self.time_us())).into_owned();
        let value = value.map_or(String::new(), |value| format!(" v={value}"));
        let level = if *key == 0 { "ERROR " } else { "" };
        let (from, _) = COUNTRIES[usize::from(*drain)];
        format!("<190>1 {time} d.{drain} app web.1 - - {level}k=k{key}{value} from_ip={from}")
    }
}

fn plan(keys_max: usize) -> Arc<Plan> {
    plan_of(PACK, keys_max)
}

fn plan_of(text: &str, keys_max: usize) -> Arc<Plan> {
    let pack = pack::read("p", text, &[], &[]).map_err(|problems| problems.to_string()).unwrap();
    let compiled = pack::compile(&[pack], &[]).unwrap();
    let mut plan = Plan::new("x".into(), vec![Arc::new(Listener::new("l"))]);
    (plan.rules, plan.watch) = (Some(compiled.program), compiled.watch);
    plan.ledger.keys_max = keys_max;
    Arc::new(plan)
}

fn batch(number: u64, events: &[One]) -> Batch {
    let origin = Arc::new(Origin { logplex: true, ..Origin::of(ListenerId(0), Form::Syslog) });
    let mut batch = Batch::new(Batch::capacity_for(1 << 16));
    (batch.number, batch.received_us) = (number, START_US + 3_600_000_000);
    for one in events {
        let line = one.line();
        let at = batch.append(line.as_bytes());
        batch.push_frame(at, line.len(), false);
    }
    batch.close_run(&origin, Identity::Batch);
    batch
}

/// Runs events through that many shards, in batches of these sizes; all arrive when the last one was sent.
fn run(events: &[One], shards: usize, sizes: &[usize], keys_max: usize) -> Ledger {
    run_with(events, shards, sizes, keys_max, |ledger| ledger)
}

/// The same; after each batch `between` may put another ledger in the place of one.
fn run_with(
    events: &[One],
    shards: usize,
    sizes: &[usize],
    keys_max: usize,
    mut between: impl FnMut(Ledger) -> Ledger,
) -> Ledger {
    let plan = plan(keys_max);
    let mut ledger = Ledger::new(plan.clone());
    let mut all: Vec<Shard> = (0..shards).map(|_| Shard::default()).collect();
    let (mut rest, mut number) = (events, 0);
    while !rest.is_empty() {
        let (now, later) = rest.split_at(sizes[number % sizes.len()].min(rest.len()));
        rest = later;
        number += 1;
        let mut outcome = Outcome::default();
        all[number % shards].process(&plan, &batch(number as u64, now), &mut outcome);
        ledger.apply(&outcome);
        ledger = between(ledger);
    }
    for shard in all.iter_mut().rev() {
        if let Some(tally) = shard.take_tally() {
            ledger.merge(&tally);
        }
    }
    ledger
}

fn shown(ledger: &Ledger, id: &str, query: Query) -> Json {
    let place = ledger.tables().named(id).unwrap();
    let mut out = Vec::new();
    answer::table(&ledger.tables().table(place, query).unwrap(), &mut out);
    serde_json::from_slice(&out).unwrap()
}

fn all_of(ledger: &Ledger) -> Vec<Json> {
    let hour = Query { from_us: Some(START_US), to_us: Some(START_US + 60 * MINUTE_US), ..Query::default() };
    let day = Query { to_us: Some(START_US + 1_440 * MINUTE_US), ..hour };
    let ids = ["number", "sum", "most", "mean", "level", "slow"];
    ids.iter()
        .map(|id| shown(ledger, id, hour))
        .chain([shown(ledger, "days", day), shown(ledger, "geo", hour)])
        .collect()
}

fn events() -> impl Strategy<Value = Vec<One>> {
    let value = proptest::option::of(any::<u8>());
    let one = (0..3_599_000i64, 0..3u8, 0..4u8, value);
    proptest::collection::vec(
        one.prop_map(|(at_ms, drain, key, value)| One { at_ms, drain, key, value }),
        1..120,
    )
}

/// The rows that a slow count gives: key, value, and by minute.
fn oracle<K: Ord + Clone>(
    events: &[One],
    key: impl Fn(&One) -> Option<K>,
    value: impl Fn(&[&One]) -> i64,
) -> Vec<(K, i64, Vec<(i64, i64)>)> {
    let mut groups: BTreeMap<K, Vec<&One>> = BTreeMap::new();
    for one in events {
        if let Some(key) = key(one) {
            groups.entry(key).or_default().push(one);
        }
    }
    let mut rows = Vec::new();
    for (key, group) in groups {
        let mut minutes: BTreeMap<i64, Vec<&One>> = BTreeMap::new();
        group.iter().for_each(|one| minutes.entry(one.at_ms / 60_000).or_default().push(one));
        let points = minutes.iter().map(|(minute, part)| (*minute, value(part))).collect();
        rows.push((key, value(&group), points));
    }
    rows.sort_by_key(|(key, value, _)| (-value, key.clone()));
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn dashlets_are_what_a_slow_count_says(
        events in events(),
        sizes in proptest::collection::vec(1..30usize, 1..5),
    ) {
        let ledger = run(&events, 1, &sizes, 1_000);
        let all = all_of(&ledger);
        let count = |part: &[&One]| part.len() as i64;
        let points = |json: &Json| -> Vec<(i64, i64)> {
            json["points"].as_array().unwrap().iter().map(|point| {
                let us = time::rfc3339(point[0].as_str().unwrap().as_bytes()).unwrap();
                ((us - START_US) / MINUTE_US, point[1].as_i64().unwrap())
            }).collect()
        };
        let rows = |json: &Json| json["rows"].as_array().unwrap().clone();
        let number = oracle(&events, |one| one.value.map(|value| (one.key, value)), count);
        let found: Vec<_> = rows(&all[0]).iter().take(100).map(|row| {
            let key = row["key"]["k"].as_str().unwrap()[1..].parse::<u8>().unwrap();
            ((key, row["key"]["v"].as_u64().unwrap() as u8), row["value"].as_i64().unwrap(), points(row))
        }).collect();
        prop_assert_eq!(&found[..], &number[..number.len().min(100)]);
        let rest: i64 = number.iter().skip(100).map(|row| row.1).sum();
        prop_assert_eq!(all[0]["other"].as_i64(), Some(rest));
        let of_k1 = |one: &One| (one.key == 1 && one.value.is_some()).then_some(one.drain);
        let sum = |part: &[&One]| part.iter().map(|one| i64::from(one.value.unwrap())).sum::<i64>();
        let expected = oracle(&events, of_k1, sum);
        let found: Vec<_> = rows(&all[1]).iter().map(|row| {
            let drain = row["key"]["drain"].as_str().unwrap()[2..].parse::<u8>().unwrap();
            (drain, row["value"].as_i64().unwrap(), points(row))
        }).collect();
        prop_assert_eq!(found, expected);
        let most = events.iter().filter_map(|one| one.value).max().map(i64::from);
        prop_assert_eq!(rows(&all[2]).first().and_then(|row| row["value"].as_i64()), most);
        let level = oracle(&events, |one| Some(if one.key == 0 { "error" } else { "info" }), count);
        let found: Vec<_> = rows(&all[4]).iter().map(|row| {
            (row["key"]["severity"].as_str().unwrap().to_string(), row["value"].as_i64().unwrap(), points(row))
        }).collect();
        let level: Vec<_> = level.into_iter().map(|(key, value, points)| (key.to_string(), value, points)).collect();
        prop_assert_eq!(found, level);
        let days: i64 = rows(&all[6]).iter().map(|row| row["value"].as_i64().unwrap()).sum();
        prop_assert_eq!(days, events.len() as i64);
        let countries = oracle(&events, |one| Some(COUNTRIES[usize::from(one.drain)].1.to_string()), count);
        let found: Vec<_> = rows(&all[7]).iter().map(|row| {
            (row["key"]["from_country"].as_str().unwrap().to_string(), row["value"].as_i64().unwrap(), points(row))
        }).collect();
        prop_assert_eq!(found, countries);
        prop_assert_eq!(&all[7]["attribution"], "IP Geolocation by DB-IP (https://db-ip.com)");
        prop_assert_eq!(&all[6]["attribution"], &Json::Null);
        for row in rows(&all[5]) {
            let mut values: Vec<u8> = events.iter()
                .filter(|one| row["key"]["k"] == format!("k{}", one.key)).filter_map(|one| one.value).collect();
            values.sort_unstable();
            let exact = f64::from(values[(values.len() * 95).div_ceil(100) - 1]);
            prop_assert!((row["value"].as_f64().unwrap() - exact).abs() <= exact * 0.02 + 1e-9);
        }
    }

    #[test]
    fn order_batches_and_shards_make_no_difference(
        (events, shuffled) in events().prop_flat_map(|events| (Just(events.clone()), Just(events).prop_shuffle())),
        sizes in proptest::collection::vec(1..30usize, 1..5),
    ) {
        let expected = all_of(&run(&events, 1, &[7], 1_000));
        for shards in [1, 2, 3, 8] {
            prop_assert_eq!(&all_of(&run(&shuffled, shards, &sizes, 1_000)), &expected);
        }
    }

    #[test]
    fn a_restart_after_any_batch_changes_nothing(
        events in events(),
        sizes in proptest::collection::vec(1..30usize, 1..5),
        every in 1..4usize,
        keys_max in prop::sample::select(vec![3usize, 20, 1_000]),
    ) {
        let mut count = 0;
        let restarted = run_with(&events, 2, &sizes, keys_max, |ledger| {
            count += 1;
            if count % every == 0 { restarted(&ledger, &plan(keys_max), true).0 } else { ledger }
        });
        prop_assert_eq!(all_of(&restarted), all_of(&run(&events, 2, &sizes, keys_max)));
    }
}

/// A ledger of the plan that goes on from what another kept, and the dashlets that begin anew; it had a crash unless
/// `is_last`.
fn restarted(ledger: &Ledger, plan: &Arc<Plan>, is_last: bool) -> (Ledger, Vec<Box<str>>) {
    let mut kept = Vec::new();
    ledger.frozen().put(&mut kept);
    let mut next = Ledger::new(plan.clone());
    for len in (0..kept.len()).step_by(7) {
        assert_eq!(next.restore_tables(&kept[..len], 0, true), None);
    }
    let anew = next.restore_tables(&kept, START_US + 3_700_000_000, is_last).unwrap();
    (next, anew)
}

#[test]
fn a_crash_shows_as_degraded_and_what_changed_shape_begins_anew() {
    let events = [One { at_ms: 5_000, drain: 0, key: 1, value: Some(7) }];
    let ledger = run(&events, 1, &[1], 64);
    let (stopped, anew) = restarted(&ledger, &plan(64), true);
    assert!(anew.is_empty());
    let now = Query { to_us: Some(START_US + 3_720_000_000), ..Query::default() };
    assert_eq!(shown(&stopped, "number", now)["degraded"], false);
    let (crashed, _) = restarted(&ledger, &plan(64), false);
    assert_eq!(shown(&crashed, "number", now)["degraded"], true);
    let before = Query { to_us: Some(START_US + 1_800_000_000), ..Query::default() };
    assert_eq!(shown(&crashed, "number", before)["degraded"], false, "a time that no crash touched");
    let text = PACK.replace(
        "id: number, title: N, viz: bar, of: some, group_by: [k, v]",
        "id: number, title: N, viz: bar, of: some, group_by: [v]",
    );
    assert_ne!(text, PACK);
    let (changed, anew) = restarted(&ledger, &plan_of(&text, 64), true);
    assert_eq!(anew, ["p.dashlet.number".into()]);
    let number = shown(&changed, "number", now);
    assert_eq!(number["rows"], serde_json::json!([]));
    assert_eq!(number["complete_from"], "2026-01-01T01:01:40.000000Z");
    assert_eq!(shown(&changed, "level", Query { from_us: Some(START_US), ..now })["rows"][0]["value"], 1);
}

#[test]
fn what_is_frozen_does_not_change_while_events_come() {
    let one = |key| One { at_ms: 5_000, drain: 0, key, value: Some(7) };
    let mut ledger = run(&[one(1)], 1, &[1], 64);
    let mut kept = Vec::new();
    let frozen = ledger.frozen();
    let (mut shard, plan) = (Shard::default(), plan(64));
    shard.process(&plan, &batch(1, &[one(1), one(2)]), &mut Outcome::default());
    ledger.merge(&shard.take_tally().unwrap());
    frozen.put(&mut kept);
    let mut restored = Ledger::new(plan);
    restored.restore_tables(&kept, 0, true).unwrap();
    let level = |ledger: &Ledger| {
        let all = Query { from_us: Some(START_US), ..Query::default() };
        shown(ledger, "level", all)["rows"][0]["value"].clone()
    };
    assert_eq!((level(&restored), level(&ledger)), (1.into(), 3.into()));
}

#[test]
fn what_is_older_than_all_that_is_kept_is_counted() {
    let day_ms = 86_400_000;
    let one = |at_ms| One { at_ms, drain: 0, key: 1, value: Some(1) };
    let ledger = run(&[one(0), one(-93 * day_ms), one(-94 * day_ms), one(-95 * day_ms)], 1, &[10], 64);
    let late: Vec<(&str, u64)> = ledger.tables().late().map(|(dashlet, n)| (&*dashlet.id, n)).collect();
    assert!(late.contains(&("p.dashlet.number", 2)) && late.contains(&("p.dashlet.days", 2)), "{late:?}");
}

#[test]
fn beyond_the_keys_the_largest_stay_and_nothing_is_lost() {
    let mut events = Vec::new();
    for n in 0..400u32 {
        let value = if n % 2 == 0 { 7 } else { (n % 251) as u8 };
        events.push(One { at_ms: 5_000, drain: 0, key: 1, value: Some(value) });
    }
    let ledger = run(&events, 2, &[50], 64);
    let all = all_of(&ledger);
    assert_eq!(all[0]["degraded"], true);
    assert_eq!(all[0]["rows"][0]["key"]["v"], 7);
    let rows: i64 = all[0]["rows"].as_array().unwrap().iter().map(|row| row["value"].as_i64().unwrap()).sum();
    assert_eq!(rows + all[0]["other"].as_i64().unwrap(), 400);
    assert_eq!(all[4]["degraded"], false);
}

#[test]
fn ranges_are_cut_to_whole_buckets_and_bad_ones_refused() {
    let one = |at_ms| One { at_ms, drain: 0, key: 1, value: Some(1) };
    let ledger = run(&[one(0), one(59_999), one(60_000), one(120_000)], 1, &[10], 64);
    let query = |from_s: i64, to_s: i64| Query {
        from_us: Some(START_US + from_s * 1_000_000),
        to_us: Some(START_US + to_s * 1_000_000),
        ..Query::default()
    };
    let all = shown(&ledger, "level", query(30, 119));
    assert_eq!(all["from"], "2026-01-01T00:00:00.000000Z");
    assert_eq!(all["to"], "2026-01-01T00:01:00.000000Z");
    assert_eq!(
        all["rows"],
        serde_json::json!([{
            "key": {"severity": "info"}, "value": 2, "points": [["2026-01-01T00:00:00.000000Z", 2]],
        }])
    );
    assert_eq!(all["complete_to"], "2026-01-01T00:59:00.000000Z");
    let tables = ledger.tables();
    let place = tables.named("p.dashlet.level").unwrap();
    for (bad, why) in [
        (query(60, 0), "behind"),
        (Query { step_s: Some(61), ..query(0, 60) }, "multiple"),
        (Query { step_s: Some(172_800), ..query(0, 60) }, "longest"),
        (query(0, 60 * 12_000), "at most"),
    ] {
        let error = tables.table(place, bad).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
    assert!(tables.named("none").is_none());
}
