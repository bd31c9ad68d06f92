//! Metrics of packs: the same series for any order of shards, bounded, masked, and gone when nothing gives them samples.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use weir::batch::{Batch, Form, Identity, ListenerId, Origin};
use weir::ledger::Ledger;
use weir::outcome::Outcome;
use weir::pack;
use weir::parse::time;
use weir::plan::mask::{Looks, Mask, Masks};
use weir::plan::{Drain, Listener, Plan};
use weir::shard::Shard;

const START_US: i64 = 1_767_225_600_000_000;

const HEAD: &str = r#"
weir: pack/v1
pack: {id: p, version: 1.0.0, title: P, license: Apache-2.0}
fields: {k: {type: string}, v: {type: i64}, wait: {type: duration_ms}}
knowledge_objects:
  - {id: app, kind: app, rules: [{applies_to: {source: app}, extract: [{kv: {}}]}]}
categories: [{id: some, title: Some, detect: {s: {v|exists: true}}}]
"#;
const METRICS: &str = r#"
metrics:
  - {name: p_events_total, type: counter, labels: {app: computer}, help: Events}
  - {name: p_sum_total, type: counter, of: some, value: v, labels: {app: computer, key: k}}
  - {name: p_last, type: gauge, of: some, value: v, labels: {app: computer, key: k}}
  - {name: p_all, type: gauge, value: v, labels: {which: "=all"}}
  - {name: p_all, type: gauge, of: {s: {k: k1}}, value: v, labels: {which: "=k1"}}
  - {name: p_wait_seconds, type: histogram, of: {s: {wait|exists: true}}, value: wait, labels: {key: k}}
"#;

fn plan_of(metrics: &str) -> Plan {
    let text = format!("{HEAD}{metrics}");
    let pack = pack::read("p", &text, &[], &[]).map_err(|problems| problems.to_string()).unwrap();
    let compiled = pack::compile(&[pack], &[]).unwrap();
    let mut plan = Plan::new("x".into(), vec![Arc::new(Listener::new("l"))]);
    (plan.rules, plan.watch) = (Some(compiled.program), compiled.watch);
    plan.drains.insert("d.1".into(), Drain { computer: Some("shop".into()), labels: Vec::new() });
    plan
}

/// Batches through shards in turn, a microsecond after each other, into a ledger.
struct Flow {
    plan: Arc<Plan>,
    ledger: Ledger,
    shards: Vec<Shard>,
    number: u64,
    now_us: i64,
}

impl Flow {
    fn new(plan: Plan, shards: usize) -> Flow {
        let plan = Arc::new(plan);
        let shards = (0..shards).map(|_| Shard::default()).collect();
        Flow { ledger: Ledger::new(plan.clone()), plan, shards, number: 0, now_us: START_US }
    }

    fn batch<L: AsRef<[u8]>>(&mut self, lines: &[L]) {
        self.number += 1;
        self.now_us += 1;
        let mut batch = Batch::new(Batch::capacity_for(1 << 16));
        (batch.number, batch.received_us) = (self.number, self.now_us);
        for line in lines {
            let at = batch.append(line.as_ref());
            batch.push_frame(at, line.as_ref().len(), false);
        }
        let origin = Origin { logplex: true, ..Origin::of(ListenerId(0), Form::Syslog) };
        batch.close_run(&Arc::new(origin), Identity::Batch);
        let mut outcome = Outcome::default();
        let shard = self.number as usize % self.shards.len();
        self.shards[shard].process(&self.plan, &batch, &mut outcome);
        self.ledger.apply(&outcome);
    }

    /// Sends messages in a batch of their own, and hands all over, the last shard first.
    fn send(&mut self, messages: &[&str]) {
        let lines: Vec<String> = messages.iter().map(|message| line(1, message)).collect();
        self.batch(&lines);
        self.hand_over();
    }

    fn hand_over(&mut self) {
        for shard in self.shards.iter_mut().rev() {
            if let Some(tally) = shard.take_tally() {
                self.ledger.merge(&tally);
            }
        }
    }

    fn pass(&mut self, seconds: i64) {
        self.now_us += seconds * 1_000_000;
        self.ledger.tick(self.now_us);
    }

    /// Every series as `name{a=x,b=y}`, with its value, of a histogram with sum, count and bins.
    fn shown(&self) -> BTreeMap<String, String> {
        let mut out = BTreeMap::new();
        for family in self.ledger.series().families() {
            let family = family.merged();
            for one in &family.samples {
                let labels: Vec<String> = family
                    .labels
                    .iter()
                    .zip(&*one.labels)
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                let value = match &one.bins {
                    None => one.value.to_string(),
                    Some(bins) => format!("{} of {} in {bins:?}", one.value, one.count),
                };
                let known = out.insert(format!("{}{{{}}}", family.name, labels.join(",")), value);
                assert_eq!(known, None, "two series of the same labels");
            }
        }
        out
    }

    fn names(&self) -> Vec<String> {
        self.shown().into_keys().collect()
    }
}

fn line(drain: u8, message: &str) -> String {
    let time = String::from_utf8_lossy(&time::write(START_US)).into_owned();
    format!("<190>1 {time} d.{drain} app web.1 - - {message}")
}

#[test]
fn series_have_the_labels_and_values_of_their_events() {
    let mut flow = Flow::new(plan_of(METRICS), 1);
    flow.send(&["k=k0 v=5 wait=201ms", "k=k1 v=7 wait=2s", "k=k1 v=-2", "wait=30s", "nothing"]);
    let other = [line(2, "k=k0 v=1")];
    flow.batch(&other);
    flow.hand_over();
    let shown: Vec<(String, String)> = flow.shown().into_iter().collect();
    let expected = [
        ("p_all{which=all}", "1"),
        ("p_all{which=k1}", "-2"),
        ("p_events_total{app=d.2}", "1"),
        ("p_events_total{app=shop}", "5"),
        ("p_last{app=d.2,key=k0}", "1"),
        ("p_last{app=shop,key=k0}", "5"),
        ("p_last{app=shop,key=k1}", "-2"),
        ("p_sum_total{app=d.2,key=k0}", "1"),
        ("p_sum_total{app=shop,key=k0}", "5"),
        // A counter never goes down.
        ("p_sum_total{app=shop,key=k1}", "7"),
        ("p_wait_seconds{key=k0}", "0.201 of 1 in [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]"),
        ("p_wait_seconds{key=k1}", "2 of 1 in [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]"),
        ("p_wait_seconds{key=}", "30 of 1 in [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]"),
    ];
    assert_eq!(shown, expected.map(|(name, value)| (name.to_string(), value.to_string())));
}

#[test]
fn a_series_is_gone_after_its_last_sample_though_nothing_comes() {
    let metrics = "metrics: [{name: p_last, type: gauge, value: v, labels: {key: k}, expire: 10s}, {name: p_total, type: counter}]";
    let mut flow = Flow::new(plan_of(metrics), 1);
    flow.send(&["k=a v=1", "k=b v=1"]);
    flow.pass(9);
    flow.send(&["k=b v=2"]);
    flow.pass(1);
    assert_eq!(flow.names(), ["p_last{key=b}", "p_total{}"]);
    flow.pass(9);
    assert_eq!(flow.shown().get("p_last{key=b}").map(String::as_str), Some("2"));
    flow.pass(1);
    assert_eq!(flow.names(), ["p_total{}"]);
    // The default is a quarter of an hour; what comes back counts anew.
    flow.pass(901);
    assert_eq!(flow.names(), [""; 0]);
    flow.send(&["k=a v=3"]);
    assert_eq!(flow.shown().get("p_total{}").map(String::as_str), Some("1"));
}

#[test]
fn series_beyond_the_most_are_other_and_counted() {
    let metrics = "metrics: [{name: p_total, type: counter, labels: {key: k, type: \"=x\"}, series_max: 2, expire: 10s}]";
    let mut flow = Flow::new(plan_of(metrics), 1);
    flow.send(&["k=a"]);
    flow.send(&["k=b", "k=b"]);
    flow.send(&["k=c", "k=d", "k=a"]);
    let shown: Vec<(String, String)> = flow.shown().into_iter().collect();
    let expected =
        [("p_total{key=a,type=x}", "2"), ("p_total{key=b,type=x}", "2"), ("p_total{key=other,type=x}", "2")];
    assert_eq!(shown, expected.map(|(name, value)| (name.to_string(), value.to_string())));
    assert_eq!(flow.ledger.series().capped(), [("p_total".into(), 2)]);
    // A place that has expired is free.
    flow.pass(9);
    flow.send(&["k=a"]);
    flow.pass(2);
    flow.send(&["k=e"]);
    assert_eq!(flow.names(), ["p_total{key=a,type=x}", "p_total{key=e,type=x}"]);
}

#[test]
fn a_metric_keeps_its_series_over_a_reload_as_long_as_it_means_the_same() {
    let mut flow = Flow::new(plan_of(METRICS), 1);
    flow.send(&["k=k0 v=5"]);
    // What the shard has not handed over by then counts as well.
    flow.batch(&[line(1, "k=k0 v=6")]);
    let changed = METRICS.replace("p_sum_total, type: counter, of: some", "p_sum_total, type: counter");
    let changed = changed.replace("help: Events", "help: All events, series_max: 7");
    flow.plan = Arc::new(plan_of(&changed));
    flow.ledger.adopt(flow.plan.clone());
    flow.hand_over();
    let shown = flow.shown();
    assert_eq!(shown.get("p_events_total{app=shop}").map(String::as_str), Some("2"));
    assert_eq!(shown.get("p_last{app=shop,key=k0}").map(String::as_str), Some("6"));
    assert_eq!(shown.get("p_sum_total{app=shop,key=k0}"), None);
    flow.plan = Arc::new(plan_of(""));
    flow.ledger.adopt(flow.plan.clone());
    assert_eq!(flow.names(), [""; 0]);
}

#[test]
fn a_label_shows_no_more_than_masks_let() {
    let mut plan = plan_of("metrics: [{name: p_total, type: counter, labels: {key: k, app: computer}}]");
    let mail = Mask::new("mail", Looks::Email, "[redacted]").unwrap();
    plan.masks = Some(Arc::new(Masks::new(vec![mail], [1, 2])));
    let mut flow = Flow::new(plan, 1);
    flow.send(&["k=bob@example.com", "k=eve@example.com", "k=bob@example.com", "k=open"]);
    let names = flow.names();
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(names.iter().filter(|name| name.contains("key=[redacted:")).count(), 2, "{names:?}");
    assert_eq!(names[2], "p_total{app=shop,key=open}");
}

#[test]
fn bytes_that_are_no_text_make_no_series_twice() {
    let mut flow = Flow::new(plan_of("metrics: [{name: p_total, type: counter, labels: {key: process}}]"), 1);
    let time = String::from_utf8_lossy(&time::write(START_US)).into_owned();
    let line = |byte: u8| [format!("<190>1 {time} d.1 app x").as_bytes(), &[byte], b" - - hello"].concat();
    flow.batch(&[line(0xfe), line(0xff)]);
    flow.hand_over();
    assert_eq!(flow.shown().into_values().collect::<Vec<_>>(), ["2"], "{:?}", flow.names());
}

#[derive(Clone, Debug)]
struct One {
    drain: u8,
    key: u8,
    value: Option<i8>,
    wait_ms: Option<u16>,
}

impl One {
    fn line(&self) -> String {
        let value = self.value.map_or(String::new(), |value| format!(" v={value}"));
        let wait = self.wait_ms.map_or(String::new(), |wait| format!(" wait={wait}"));
        line(self.drain, &format!("k=k{}{value}{wait}", self.key))
    }
}

fn events() -> impl Strategy<Value = Vec<One>> {
    let one = (0..3u8, 0..4u8, proptest::option::of(any::<i8>()), proptest::option::of(any::<u16>()));
    let one = one.prop_map(|(drain, key, value, wait_ms)| One { drain, key, value, wait_ms });
    proptest::collection::vec(one, 1..120)
}

/// What a slow count gives, for some of the metrics.
fn oracle(events: &[One]) -> BTreeMap<String, String> {
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    let mut last = BTreeMap::new();
    for one in events {
        let app = if one.drain == 1 { "shop".to_string() } else { format!("d.{}", one.drain) };
        *sums.entry(format!("p_events_total{{app={app}}}")).or_default() += 1;
        if let Some(value) = one.value {
            let labels = format!("{{app={app},key=k{}}}", one.key);
            if value >= 0 {
                *sums.entry(format!("p_sum_total{labels}")).or_default() += i64::from(value);
            }
            last.insert(format!("p_last{labels}"), i64::from(value));
        }
    }
    sums.into_iter().chain(last).map(|(name, value)| (name, value.to_string())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn shards_batches_and_the_order_of_tallies_make_no_difference(
        events in events(),
        shards in 1..5usize,
        sizes in proptest::collection::vec(1..30usize, 1..6),
        pauses in proptest::collection::vec(any::<bool>(), 1..6),
    ) {
        let lines: Vec<String> = events.iter().map(One::line).collect();
        let mut one = Flow::new(plan_of(METRICS), 1);
        one.batch(&lines);
        one.hand_over();
        let mut many = Flow::new(plan_of(METRICS), shards);
        let (mut rest, mut at) = (&lines[..], 0);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(sizes[at % sizes.len()].min(rest.len()));
            many.batch(now);
            if pauses[at % pauses.len()] {
                // The other way round than they took them.
                many.hand_over();
            }
            (rest, at) = (later, at + 1);
        }
        many.hand_over();
        let shown = one.shown();
        prop_assert_eq!(&shown, &many.shown());
        for (name, value) in oracle(&events) {
            prop_assert_eq!(shown.get(&name), Some(&value), "{}", name);
        }
        let waits: usize = events.iter().filter(|one| one.wait_ms.is_some()).count();
        let counts = shown.iter().filter(|(name, _)| name.starts_with("p_wait_seconds"));
        let counts = counts.map(|(_, text)| text.split(' ').nth(2).unwrap().parse::<usize>().unwrap());
        prop_assert_eq!(counts.sum::<usize>(), waits);
    }
}
