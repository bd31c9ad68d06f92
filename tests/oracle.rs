//! The ledger against an oracle that counts the slow way: it has all events at once, and looks at every sub-bucket of
//! every key. Events come in any order within lateness, in batches of any size.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use weir::batch::{Batch, Form, Identity, ListenerId, Origin};
use weir::ledger::Ledger;
use weir::ledger::record::State;
use weir::outcome::Outcome;
use weir::pack;
use weir::parse::time;
use weir::plan::{Listener, Plan};
use weir::shard::Shard;

const START_S: i64 = 1_767_225_600;
const LATENESS_S: i64 = 60;

/// An event: second and millisecond behind the start, drain, key, value, name, step.
#[derive(Clone, Debug)]
struct One {
    at_ms: i64,
    drain: u8,
    key: u8,
    value: u8,
    name: u8,
    step: u8,
}

impl One {
    fn time_us(&self) -> i64 {
        START_S * 1_000_000 + self.at_ms * 1_000
    }

    fn line(&self) -> String {
        let One { drain, key, value, name, step, .. } = self;
        let time = String::from_utf8_lossy(&time::write(self.time_us())).into_owned();
        format!(
            "<190>1 {time} d.00000000-0000-4000-8000-00000000000{drain} app web.1 - - k=k{key} v={value} n=n{name} s={step}"
        )
    }
}

/// What an alert asks of a window.
#[derive(Clone, Debug)]
enum Ask {
    Count,
    Sum,
    Avg,
    Distinct,
    Ratio,
    AllOf,
    Sequence,
    Exact,
    Each,
}

#[derive(Clone, Debug)]
struct Rule {
    ask: Ask,
    over_s: i64,
    bound: (&'static str, u32),
    by_key: bool,
    global: bool,
    hold_s: i64,
    keep_s: i64,
    /// Seconds, of an alert on each event; then `by_key` says whether those of a key or of a drain are suppressed.
    suppress_s: Option<i64>,
}

impl Rule {
    fn text(&self, index: usize) -> String {
        let over = format!("over: {}s, group_by: [{}]", self.over_s, if self.by_key { "k" } else { "" });
        let bound = format!("{}: {}", self.bound.0, self.bound.1);
        let steps = "steps: [{s: {s: 0}}, {s: {s: 1}}, {s: {s: 2}}]";
        let when = match self.ask {
            Ask::Count => format!("count: {{{over}, {bound}}}"),
            Ask::Exact => format!("count: {{{over}, exact: true, {bound}}}"),
            Ask::Sum => format!("sum: {{of: v, {over}, {bound}}}"),
            Ask::Avg => format!("avg: {{of: v, {over}, {bound}, min_count: 2}}"),
            Ask::Distinct => format!("distinct: {{of: n, {over}, {bound}}}"),
            Ask::Ratio => format!("ratio: {{of: {{s: {{s: 0}}}}, {over}, gte: 0.5, min_count: 2}}"),
            Ask::AllOf => format!("all_of: {{{steps}, {over}}}"),
            Ask::Sequence => format!("sequence: {{{steps}, {over}}}"),
            Ask::Each => "each".into(),
        };
        if let Ask::Each = self.ask {
            let by = if self.by_key { "k" } else { "drain" };
            let suppress = self.suppress_s.map(|s| format!("suppress: {{by: [{by}], for: {s}s}}, "));
            let keep =
                if self.keep_s > 0 { format!("keep_firing_for: {}s, ", self.keep_s) } else { String::new() };
            let suppress = suppress.unwrap_or_default();
            return format!(
                "  - {{id: a{index}, severity: low, mode: on, detect: {{s: {{v|gte: 3}}}}, {keep}{suppress}when: each}}\n"
            );
        }
        let detect = match self.ask {
            Ask::AllOf | Ask::Sequence => "",
            _ => "detect: {s: {v|exists: true}}, ",
        };
        let hold = if self.hold_s > 0 { format!("hold: {{for: {}s}}, ", self.hold_s) } else { String::new() };
        let keep =
            if self.keep_s > 0 { format!("keep_firing_for: {}s, ", self.keep_s) } else { String::new() };
        let scope = if self.global { "scope: global, " } else { "" };
        format!(
            "  - {{id: a{index}, severity: low, mode: on, {detect}{hold}{keep}{scope}when: {{{when}}}}}\n"
        )
    }

    fn holds(&self, value: f64) -> bool {
        let bound = f64::from(self.bound.1);
        match self.bound.0 {
            "gte" => value >= bound,
            "gt" => value > bound,
            "lte" => value <= bound,
            _ => value < bound,
        }
    }

    /// Whether the window that ends with `bucket` holds, and its value.
    fn read(&self, events: &[&One], bucket: i64, width_us: i64, len: i64) -> (bool, f64) {
        let (from, to) = ((bucket - len + 1) * width_us, (bucket + 1) * width_us);
        let mut window: Vec<&&One> =
            events.iter().filter(|one| (from..to).contains(&one.time_us())).collect();
        window.sort_by_key(|one| one.time_us());
        let count = window.len() as f64;
        let sum: f64 = window.iter().map(|one| f64::from(one.value)).sum();
        let some = !window.is_empty();
        match self.ask {
            Ask::Count => (some && self.holds(count), count),
            Ask::Sum => (some && self.holds(sum), sum),
            Ask::Avg => (window.len() >= 2 && self.holds(sum / count), sum / count),
            Ask::Distinct => {
                let names: BTreeSet<u8> = window.iter().map(|one| one.name).collect();
                (some && self.holds(names.len() as f64), names.len() as f64)
            }
            Ask::Ratio => {
                let part = window.iter().filter(|one| one.step == 0).count() as f64 / count;
                (window.len() >= 2 && part >= 0.5, part)
            }
            Ask::AllOf => {
                let steps: BTreeSet<u8> =
                    window.iter().map(|one| one.step).filter(|step| *step < 3).collect();
                (steps.len() == 3, steps.len() as f64)
            }
            Ask::Sequence => {
                let mut next = 0;
                for one in &window {
                    next += u8::from(one.step == next);
                }
                (next == 3, f64::from(next.min(3)))
            }
            Ask::Each => unreachable!("it has no windows"),
            Ask::Exact => {
                let own = window.iter().filter(|one| one.time_us() >= bucket * width_us);
                let within = |end: i64| {
                    let all = window.iter().map(|one| one.time_us());
                    all.filter(|time| *time > end - self.over_s * 1_000_000 && *time <= end).count()
                };
                let most = own.map(|one| within(one.time_us())).max().unwrap_or(0) as f64;
                (some && self.holds(most), most)
            }
        }
    }

    /// Drain, time, end and how many were suppressed before, of every event that is told.
    fn told(&self, events: &[One]) -> Vec<(u8, i64, i64, u64)> {
        let keep_us = if self.keep_s > 0 { self.keep_s } else { 300 } * 1_000_000;
        let mut quiet: BTreeMap<u8, (i64, u64)> = BTreeMap::new();
        let mut out = Vec::new();
        // They are sorted by time.
        for one in events.iter().filter(|one| one.value >= 3) {
            let key = if self.by_key { one.key } else { one.drain };
            let time = one.time_us();
            let until = quiet.get(&key).map(|(since, _)| since + self.suppress_s.unwrap_or(0) * 1_000_000);
            if until.is_some_and(|until| time < until) {
                quiet.get_mut(&key).unwrap().1 += 1;
                continue;
            }
            let (_, before) = quiet.insert(key, (time, 0)).unwrap_or_default();
            out.push((one.drain, time, time + keep_us, before));
        }
        out
    }

    /// Begin and end of every episode of a key, with the value of its first window, microseconds.
    fn episodes(&self, events: &[&One]) -> Vec<(i64, i64, f64)> {
        let width = (self.over_s * 1_000_000 / 16).max(1_000_000);
        let len = (self.over_s * 1_000_000 + width - 1) / width + 1;
        let bucket = |one: &&One| one.time_us().div_euclid(width);
        let (Some(first), Some(last)) = (events.iter().map(bucket).min(), events.iter().map(bucket).max())
        else {
            return Vec::new();
        };
        let mut out = Vec::new();
        let mut since = None;
        let mut open: Option<(i64, i64, f64)> = None;
        for at in first..=last + 2 * len + self.keep_s {
            let (holds, value) = self.read(events, at, width, len);
            if !holds {
                since = None;
            }
            let since_at = if holds { Some(*since.get_or_insert(at)) } else { None };
            let fires = since_at.is_some_and(|since| (at - since) * width >= self.hold_s * 1_000_000);
            match &mut open {
                None if fires => open = Some((at, at, value)),
                Some((_, last_hold, _)) if fires => *last_hold = at,
                Some((begin, last_hold, value)) => {
                    let end = (*last_hold + 2) * width + self.keep_s * 1_000_000;
                    if (at + 1) * width >= end {
                        out.push(((*begin + 1) * width, end, *value));
                        open = None;
                    }
                }
                None => {}
            }
        }
        assert!(open.is_none(), "an episode without end");
        out
    }
}

fn one() -> impl Strategy<Value = One> {
    (0i64..400_000, 0u8..2, 0u8..3, 0u8..10, 0u8..5, 0u8..4)
        .prop_map(|(at_ms, drain, key, value, name, step)| One { at_ms, drain, key, value, name, step })
}

fn rule() -> impl Strategy<Value = Rule> {
    let ask = prop::sample::select(vec![
        Ask::Count,
        Ask::Sum,
        Ask::Avg,
        Ask::Distinct,
        Ask::Ratio,
        Ask::AllOf,
        Ask::Sequence,
        Ask::Exact,
        Ask::Each,
    ]);
    let bound = (prop::sample::select(vec!["gte", "gt", "lt", "lte"]), 1u32..8);
    let spans = (prop::sample::select(vec![3i64, 10, 16, 50, 160]), 0i64..3, 0i64..3);
    let suppress = prop::option::of(prop::sample::select(vec![1i64, 7, 40, 200]));
    (ask, bound, spans, any::<bool>(), any::<bool>(), suppress).prop_map(
        |(ask, bound, (over_s, hold, keep), by_key, global, suppress_s)| {
            // Of event times only bounds from below make sense.
            let bound = if matches!(ask, Ask::Exact) { ("gte", bound.1) } else { bound };
            Rule { ask, over_s, bound, by_key, global, hold_s: hold * 7, keep_s: keep * 11, suppress_s }
        },
    )
}

fn plan(rules: &[Rule]) -> Arc<Plan> {
    let mut text = String::from(
        "weir: pack/v1\npack: {id: p, version: 1.0.0, title: t}\n\
         fields: {k: {type: string}, v: {type: u32}, n: {type: string}, s: {type: u16}}\n\
         knowledge_objects: [{id: o, rules: [{applies_to: {source: app}, extract: [{kv: {}}]}]}]\nalerts:\n",
    );
    for (index, rule) in rules.iter().enumerate() {
        text.push_str(&rule.text(index));
    }
    let pack = pack::read("p", &text, &[], &[]).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    let compiled = pack::compile(&[pack], &[]).unwrap();
    let mut plan = Plan::new("test".into(), vec![Arc::new(Listener::new("l"))]);
    plan.rules = Some(compiled.program);
    plan.watch = compiled.watch;
    Arc::new(plan)
}

/// What came of it: alert, key, begin, end or 0, value in thousandths, how many were suppressed before.
type Sealed = BTreeSet<(String, String, i64, i64, i64, u64)>;

/// Runs events that come in this order, so many a batch, over so many shards.
fn run(plan: &Arc<Plan>, events: &[One], sizes: &[usize], shards: usize) -> (Sealed, usize) {
    run_with(plan, events, sizes, shards, |ledger, _| ledger)
}

/// The same; after each batch `between` may put another ledger in the place of one.
fn run_with(
    plan: &Arc<Plan>,
    events: &[One],
    sizes: &[usize],
    shards: usize,
    between: impl Fn(Ledger, u64) -> Ledger,
) -> (Sealed, usize) {
    let origin = Arc::new(Origin { logplex: true, ..Origin::of(ListenerId(0), Form::Syslog) });
    let mut shards: Vec<Shard> = (0..shards).map(|_| Shard::default()).collect();
    let mut ledger = Ledger::new(plan.clone());
    let (mut rest, mut number, mut now) = (events, 0, 0);
    let mut sizes = sizes.iter().cycle();
    let mut records = Vec::new();
    while !rest.is_empty() {
        // A batch in which one event comes later than lateness lets it is cut before.
        let size = (*sizes.next().unwrap()).min(rest.len());
        let fits = |len: &usize| {
            let times = || rest[..*len].iter().map(|one| one.at_ms);
            times().max().unwrap() - times().min().unwrap() < LATENESS_S * 1_000
        };
        let size = (1..=size).take_while(fits).last().unwrap();
        let (these, after) = rest.split_at(size);
        rest = after;
        now = these.iter().map(One::time_us).max().unwrap().max(now);
        number += 1;
        let mut batch = Batch::new(Batch::capacity_for(4096));
        (batch.number, batch.received_us) = (number, now);
        for one in these {
            let line = one.line();
            let at = batch.append(line.as_bytes());
            batch.push_frame(at, line.len(), false);
        }
        batch.close_run(&origin, Identity::Batch);
        let mut outcome = Outcome::default();
        let shard = number as usize % shards.len();
        shards[shard].process(plan, &batch, &mut outcome);
        ledger.apply(&outcome);
        records.extend(ledger.take_records());
        ledger = between(ledger, number);
    }
    ledger.tick(now + 4_000_000_000);
    records.extend(ledger.take_records());
    let mut out = Sealed::new();
    let mut notices = 0;
    for record in &records {
        let keys: Vec<&str> = record.key.iter().map(|(_, value)| value.shown()).collect();
        let value = (record.value.billionths() / 1_000_000) as i64;
        let end = match record.state {
            State::Notice => {
                notices += 1;
                continue;
            }
            State::Sealed => 0,
            State::Resolved => record.fired_us - LATENESS_S * 1_000_000,
        };
        let entry =
            (record.about.alert.to_string(), keys.join(" "), record.to_us, end, value, record.suppressed);
        assert!(out.insert(entry.clone()), "twice: {entry:?}");
        assert!(!record.degraded && !record.warming && record.completeness() == 1.0);
    }
    (out, notices)
}

fn oracle(rules: &[Rule], events: &[One]) -> Sealed {
    let mut out = Sealed::new();
    for (index, rule) in rules.iter().enumerate() {
        let alert = format!("p.alert.a{index}");
        if let Ask::Each = rule.ask {
            for (drain, time, end, suppressed) in rule.told(events) {
                let key = format!("d.00000000-0000-4000-8000-00000000000{drain}");
                out.insert((alert.clone(), key.clone(), time, 0, 1_000, suppressed));
                out.insert((alert.clone(), key, time, end, 1_000, suppressed));
            }
            continue;
        }
        let mut keys: BTreeMap<String, Vec<&One>> = BTreeMap::new();
        for one in events {
            if matches!(rule.ask, Ask::AllOf | Ask::Sequence) && one.step > 2 {
                continue;
            }
            let drain = if rule.global {
                String::new()
            } else {
                format!("d.00000000-0000-4000-8000-00000000000{}", one.drain)
            };
            let key = if rule.by_key { format!("k{}", one.key) } else { String::new() };
            keys.entry([drain, key].join(" ").trim().to_string()).or_default().push(one);
        }
        for (key, events) in keys {
            for (begin, end, value) in rule.episodes(&events) {
                let value = (value * 1_000.0 + 1e-9) as i64;
                out.insert((alert.clone(), key.clone(), begin, 0, value, 0));
                out.insert((alert.clone(), key.clone(), begin, end, value, 0));
            }
        }
    }
    out
}

/// The events in an order in which they may come: none later than lateness lets it.
fn arrival(events: &[One], jitter_ms: &[i64]) -> Vec<One> {
    let mut order: Vec<(i64, &One)> = events
        .iter()
        .zip(jitter_ms.iter().cycle())
        .map(|(one, jitter)| (one.at_ms + jitter % (LATENESS_S * 1_000 - 1_000), one))
        .collect();
    order.sort_by_key(|(at, _)| *at);
    order.into_iter().map(|(_, one)| one.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_counts_as_the_oracle_does_in_any_order(
        mut events in prop::collection::vec(one(), 1..120),
        rules in prop::collection::vec(rule(), 1..5),
        jitter in prop::collection::vec(0i64..60_000, 1..20),
        sizes in prop::collection::vec(1usize..9, 1..5),
        shards in 1usize..9,
    ) {
        // Equal times of one sequence would leave its order to the arrival.
        events.sort_by_key(|one| one.at_ms);
        events.dedup_by_key(|one| one.at_ms);
        let plan = plan(&rules);
        let expected = oracle(&rules, &events);
        let (one_by_one, _) = run(&plan, &events, &[1], 1);
        prop_assert_eq!(&one_by_one, &expected, "{:?}", rules);
        let restored = |ledger: Ledger, number: u64| {
            if !number.is_multiple_of(3) {
                return ledger;
            }
            let mut next = Ledger::new(plan.clone());
            let kept = |ledger: &Ledger| {
                let mut kept = Vec::new();
                ledger.snapshot().put(&mut kept);
                kept
            };
            assert_eq!(next.restore(&kept(&ledger), 0).map(|anew| anew.len()), Some(0));
            assert_eq!(kept(&next), kept(&ledger));
            next
        };
        let (restarted, _) = run_with(&plan, &arrival(&events, &jitter), &sizes, shards, restored);
        prop_assert_eq!(&restarted, &expected, "after restarts: {:?}", rules);
        let (mixed, _) = run(&plan, &arrival(&events, &jitter), &sizes, shards);
        prop_assert_eq!(&mixed, &expected, "{:?}", rules);
    }
}

#[test]
fn the_oracle_sees_episodes_at_all() {
    let rule = Rule {
        ask: Ask::Count,
        over_s: 10,
        bound: ("gte", 3),
        by_key: true,
        global: false,
        hold_s: 0,
        keep_s: 0,
        suppress_s: None,
    };
    let at = |at_ms| One { at_ms, drain: 0, key: 1, value: 1, name: 1, step: 1 };
    let events = [at(0), at(1_000), at(9_000), at(60_000)];
    let (found, notices) = run(&plan(std::slice::from_ref(&rule)), &events, &[1], 1);
    assert_eq!(found, oracle(std::slice::from_ref(&rule), &events));
    assert_eq!((found.len(), notices), (2, 1));
    let each = Rule { ask: Ask::Each, suppress_s: Some(9), ..rule };
    let events = [at(0), at(1_000), at(9_000), at(60_000)].map(|one| One { value: 3, ..one });
    let (found, notices) = run(&plan(std::slice::from_ref(&each)), &events, &[1], 8);
    assert_eq!(found, oracle(&[each], &events));
    // The one before the second told was suppressed, and nothing before the third.
    assert_eq!((found.len(), notices), (6, 3));
    assert_eq!(found.iter().map(|one| one.5).collect::<Vec<_>>(), [0, 0, 1, 1, 0, 0]);
}
