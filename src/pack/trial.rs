//! The tests that packs carry: events in, and what must become of them.
//!
//! A test is run through parser, rules, shard and ledger, on a clock of its own, every alert being on. A dashlet that
//! cannot be evaluated is said to be so; what was not run never counts as passed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value as Json;

use super::Pack;
use super::compile::{For, compile_with};
use super::dashlet as dashlets;
use super::names::{child, entries, items, text};
use super::probe::Probe;
use super::read::words;
use crate::batch::Number;
use crate::config::node::{Node, Value};
use crate::config::read::Reader;
use crate::config::{Problems, duration};
use crate::ledger::Ledger;
use crate::ledger::record::{Record, State};
use crate::ledger::reports::{Told, What};
use crate::outcome::Outcome;
use crate::parse::time;
use crate::plan::Plan;
use crate::plan::rules::plain::Parts;
use crate::plan::watch::Role;
use crate::rows::cells;
use crate::shard::Shard;

/// 2026-01-01T00:00:00Z, when the clock of a test starts.
const START_US: i64 = 1_767_225_600_000_000;
/// Events of one test.
const EVENTS_MAX: usize = 1_000_000;

/// A test, as written.
#[derive(Clone, Debug, Default)]
pub struct Trial {
    pub name: String,
    pub line: usize,
    steps: Vec<Step>,
    expect: Expect,
}

#[derive(Clone, Debug)]
enum Step {
    Line { line: String, repeat: usize, every_us: i64 },
    Advance(i64),
    Set(BTreeMap<String, String>),
}

#[derive(Clone, Debug, Default)]
struct Expect {
    alerts: BTreeMap<String, u64>,
    only: bool,
    matches: BTreeMap<String, u64>,
    /// Microseconds.
    first_fire_after: BTreeMap<String, i64>,
    events: Vec<Vec<(String, Option<Json>)>>,
    /// What every event has.
    categories: Option<Vec<String>>,
    category_counts: BTreeMap<String, u64>,
    /// Rows by report, those of corrections last.
    reports: BTreeMap<String, Vec<Vec<String>>>,
    /// Rows by dashlet: the values of its keys, then the value.
    dashlets: Vec<(String, Vec<Json>)>,
}

impl Trial {
    /// The lines that it sends, `{t}` not put in.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.steps.iter().filter_map(|step| match step {
            Step::Line { line, .. } => Some(line.clone()),
            Step::Advance(_) | Step::Set(_) => None,
        })
    }
}

/// What came of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub name: String,
    /// Where in the pack it stands.
    pub line: usize,
    /// What was not as expected; empty if all was.
    pub failures: Vec<String>,
    /// What was not checked, since this version does not evaluate it.
    pub not_run: Vec<String>,
    /// How many expectations were checked.
    pub checked: usize,
}

impl Verdict {
    /// Whether something was checked and all of it was as expected.
    pub fn passed(&self) -> bool {
        self.failures.is_empty() && self.checked > 0
    }
}

/// Reads a test that was checked against the tables.
pub(super) fn read(r: &mut Reader<'_>, node: &Node) -> Trial {
    let us = |node: Option<&Node>, default: i64| {
        let duration = text(node).and_then(duration);
        duration.and_then(|duration| i64::try_from(duration.as_micros()).ok()).unwrap_or(default)
    };
    let number = |node: &Node, key: &str, default: u64| {
        text(child(node, key)).and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let mut trial = Trial {
        name: text(child(node, "name")).unwrap_or_default().to_string(),
        line: node.at.line,
        ..Trial::default()
    };
    let mut events = 0;
    for step in items(child(node, "events")) {
        if let Some(line) = text(child(step, "line")) {
            let repeat = number(step, "repeat", 1) as usize;
            events += repeat;
            let every_us = us(child(step, "every"), 1_000_000);
            trial.steps.push(Step::Line { line: line.to_string(), repeat, every_us });
        } else if let Some(by) = child(step, "advance") {
            trial.steps.push(Step::Advance(us(Some(by), 0)));
        } else if let Some(set) = child(step, "set") {
            trial.steps.push(Step::Set(words(Some(set))));
        }
    }
    if events > EVENTS_MAX {
        r.note(node.at, format!("the test has {events} events"), format!("at most {EVENTS_MAX}"));
    }
    let Some(expect) = child(node, "expect") else { return trial };
    let counts = |key: &str| -> BTreeMap<String, u64> {
        let all = entries(child(expect, key)).iter();
        all.filter_map(|(name, value)| Some((name.text.clone(), text(Some(value))?.parse().ok()?))).collect()
    };
    trial.expect.alerts = counts("alerts");
    trial.expect.only = text(child(expect, "only")) == Some("true");
    trial.expect.matches = counts("matches");
    trial.expect.first_fire_after = entries(child(expect, "first_fire_after"))
        .iter()
        .map(|(name, value)| (name.text.clone(), us(Some(value), 0)))
        .collect();
    for (name, rows) in entries(child(expect, "reports")) {
        let cell = |cell: &Node| {
            if cell.is_null() { String::new() } else { text(Some(cell)).unwrap_or_default().into() }
        };
        let rows = items(Some(rows)).iter().map(|row| items(Some(row)).iter().map(cell).collect());
        trial.expect.reports.insert(name.text.clone(), rows.collect());
    }
    for (name, rows) in entries(child(expect, "dashlets")) {
        let rows = items(Some(rows)).iter().filter_map(json_of).collect();
        trial.expect.dashlets.push((name.text.clone(), rows));
    }
    for event in items(child(expect, "events")) {
        let keys = entries(Some(event)).iter().map(|(name, value)| (name.text.clone(), json_of(value)));
        trial.expect.events.push(keys.collect());
    }
    match child(expect, "categories").map(|node| &node.value) {
        Some(Value::List(list)) => {
            let mut all: Vec<String> =
                list.iter().filter_map(|one| text(Some(one)).map(str::to_string)).collect();
            all.sort();
            trial.expect.categories = Some(all);
        }
        Some(Value::Map(_)) => trial.expect.category_counts = counts("categories"),
        _ => {}
    }
    trial
}

/// A value of a test as JSON; `None` for null, which means absent.
fn json_of(node: &Node) -> Option<Json> {
    match &node.value {
        Value::Scalar { .. } if node.is_null() => None,
        Value::Scalar { text, plain: true } => Some(match text.as_str() {
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            _ => serde_json::from_str::<serde_json::Number>(text)
                .map_or(Json::String(text.clone()), Json::Number),
        }),
        Value::Scalar { text, .. } => Some(Json::String(text.clone())),
        Value::List(list) => Some(Json::Array(list.iter().filter_map(json_of).collect())),
        Value::Map(entries) => {
            let one = |(name, value): &(crate::config::node::Name, Node)| {
                Some((name.text.clone(), json_of(value)?))
            };
            Some(Json::Object(entries.iter().filter_map(one).collect()))
        }
    }
}

/// Runs the tests of the pack `text`, called `name` in messages; `set` and `others` are as for [`read`](super::read).
///
/// # Errors
/// The problems of the pack, or of one that a test's `set` makes of it.
pub fn run(
    name: &str,
    text: &str,
    set: &[(String, String)],
    others: &[Pack],
) -> Result<Vec<Verdict>, Problems> {
    let pack = super::read(name, text, set, others)?;
    let mut probes: HashMap<Vec<(String, String)>, Probe> = HashMap::new();
    let mut verdicts = Vec::new();
    for trial in &pack.tests {
        let mut params: Vec<(String, String)> = set.to_vec();
        let mut now = START_US;
        let mut facts: Option<Facts> = None;
        for step in &trial.steps {
            match step {
                Step::Advance(us) => {
                    now += us;
                    if let Some(facts) = &mut facts {
                        facts.ledger.tick(now);
                        facts.hear();
                    }
                    continue;
                }
                Step::Set(values) => params.extend(values.clone()),
                Step::Line { .. } => {}
            }
            if !probes.contains_key(&params) {
                let pack = super::read(name, text, &params, others)?;
                probes.insert(params.clone(), probe(&pack, others)?);
            }
            let probe = probes.get_mut(&params).expect("it was put there");
            let facts = facts.get_or_insert_with(|| Facts::new(probe));
            facts.turn_to(probe);
            let Step::Line { line, repeat, every_us } = step else { continue };
            for _ in 0..*repeat {
                let stamp = String::from_utf8_lossy(&time::write(now)).into_owned();
                facts.see(&pack, probe, line.replace("{t}", &stamp).as_bytes(), now);
                now += every_us;
            }
        }
        let mut facts = match facts {
            Some(facts) => facts,
            None => Facts::new(&probe(&pack, others)?),
        };
        facts.end();
        verdicts.push(facts.judge(trial, &pack));
    }
    Ok(verdicts)
}

/// The program of a pack and of those that it may name.
pub(super) fn probe(pack: &Pack, others: &[Pack]) -> Result<Probe, Problems> {
    let mut packs = vec![pack.clone()];
    packs[0].alerts.iter_mut().for_each(|alert| alert.mode = "on".into());
    packs.extend(others.iter().filter(|other| other.id != pack.id && names_it(pack, other)).cloned());
    let program = compile_with(&packs, &[], For::Tests).map_err(|error| {
        let mut problems = Problems::default();
        let (file, message) = (pack.id.clone(), error.to_string());
        problems.push(crate::config::Problem {
            file,
            line: 0,
            column: 0,
            message,
            hint: None,
            snippet: None,
        });
        problems
    })?;
    let types = pack.fields.iter().map(|field| (field.name.to_string(), field.ty)).collect();
    Ok(Probe::new(program, types, true).knowing(&packs))
}

/// Whether one pack needs another's kinds: a pack is tested alone, but what its own conditions name must be there.
fn names_it(pack: &Pack, other: &Pack) -> bool {
    let kinds: Vec<&str> = other.objects.iter().filter_map(|object| object.kind.as_deref()).collect();
    let asks = |cond: &crate::plan::rules::cond::Cond| {
        let mut asks = false;
        cond.tests(&mut |test| {
            use crate::plan::rules::cond::{Key, Op, Subject};
            if let (Subject::Key(Key::Kind), Op::Text { any, .. }) = (&test.subject, &test.op) {
                asks |= any.iter().any(|one| kinds.iter().any(|kind| kind.as_bytes() == &one[..]));
            }
        });
        asks
    };
    let of_reports = pack.reports.iter().filter_map(|report| report.of.as_ref());
    let of_joins = pack.joins.iter().filter_map(|join| join.of.as_ref());
    pack.categories.iter().any(|one| asks(&one.when))
        || pack.alerts.iter().any(|one| asks(&one.when))
        || of_reports.chain(of_joins).any(asks)
}

/// What the events of a test were found to be, and what became of them.
struct Facts {
    shard: Shard,
    ledger: Ledger,
    plan: Arc<Plan>,
    number: Number,
    records: Vec<Record>,
    told: Vec<Told>,
    /// When the first event came.
    first_us: Option<i64>,
    events: Vec<(Json, Parts)>,
    /// Bare ids of each event's categories, sorted.
    categories: Vec<Vec<String>>,
    /// Events by alert whose condition they match.
    matches: BTreeMap<String, u64>,
}

impl Facts {
    fn new(probe: &Probe) -> Facts {
        let plan = probe.plan().clone();
        Facts {
            shard: Shard::default(),
            ledger: Ledger::new(plan.clone()),
            plan,
            number: 0,
            records: Vec::new(),
            told: Vec::new(),
            first_us: None,
            events: Vec::new(),
            categories: Vec::new(),
            matches: BTreeMap::new(),
        }
    }

    /// Goes on with the plan of another probe.
    fn turn_to(&mut self, probe: &Probe) {
        if !Arc::ptr_eq(&self.plan, probe.plan()) {
            self.plan = probe.plan().clone();
            self.ledger.adopt(self.plan.clone());
        }
    }

    /// Lets the clock run on until all windows that have begun are sealed.
    fn end(&mut self) {
        if let Some(tally) = self.shard.take_tally() {
            self.ledger.merge(&tally);
        }
        self.ledger.end();
        self.hear();
    }

    /// Takes what alerts and reports have said.
    fn hear(&mut self) {
        self.records.extend(self.ledger.take_records());
        self.told.extend(self.ledger.take_told());
    }

    /// Rows of a report, or of its summary if it has no columns; those of corrections last.
    fn rows(&self, pack: &Pack, id: &str) -> Vec<Vec<String>> {
        let full = format!("{}.report.{id}", pack.id);
        let text = |cell: Option<&[u8]>| String::from_utf8_lossy(cell.unwrap_or_default()).into_owned();
        let (mut rows, mut late) = (Vec::new(), Vec::new());
        for told in self.told.iter().filter(|told| *told.report.id == *full) {
            match &told.what {
                What::Row(row) => rows.push(cells(row).map(text).collect()),
                What::Late(_, row) => late.push(cells(row).map(text).collect()),
                What::Sealed(tables) if told.report.heads.is_empty() => {
                    let all = tables.iter().flatten();
                    rows.extend(all.map(|row| row.iter().map(|cell| cell.to_string()).collect::<Vec<_>>()));
                }
                What::Sealed(_) | What::Corrected(_) => {}
            }
        }
        rows.extend(late);
        rows
    }

    /// Sealed episodes of an alert.
    fn episodes(&self, pack: &Pack, id: &str) -> u64 {
        let sealed = self.of(pack, id).filter(|record| record.state == State::Sealed);
        sealed.count() as u64
    }

    fn of<'f>(&'f self, pack: &Pack, id: &str) -> impl Iterator<Item = &'f Record> {
        let full = format!("{}.alert.{id}", pack.id);
        self.records.iter().filter(move |record| *record.about.alert == *full)
    }

    /// From the first event to the first notice of an alert, or to its first sealed record if it gives none.
    fn first_fire(&self, pack: &Pack, id: &str) -> Option<i64> {
        let state = |state| self.of(pack, id).filter(move |record| record.state == state);
        let first = state(State::Notice).chain(state(State::Sealed)).next()?;
        Some(first.fired_us - self.first_us?)
    }

    fn see(&mut self, pack: &Pack, probe: &mut Probe, frame: &[u8], now: i64) {
        let own = |kind: &str, id: &str| id.strip_prefix(&format!("{}.{kind}.", pack.id)).map(str::to_string);
        let seen = probe.see(frame, now);
        let listed = seen.json["categories"].as_array().cloned().unwrap_or_default();
        let bare = listed.iter().filter_map(|id| own("category", id.as_str()?));
        self.categories.push(bare.collect());
        let watch = &self.plan.watch;
        let roles = seen.matched.watches.iter().filter_map(|index| watch.roles.get(*index as usize));
        let matched = roles.filter_map(|role| match role {
            Role::Counts { alert } | Role::Step { alert, .. } => Some(*alert),
            _ => None,
        });
        let mut matched: Vec<u32> = matched.chain(watch.every.iter().copied()).collect();
        matched.sort_unstable();
        matched.dedup();
        for alert in matched {
            if let Some(id) = own("alert", &watch.alerts[alert as usize].about.alert) {
                *self.matches.entry(id).or_default() += 1;
            }
        }
        self.events.push((seen.json, seen.parts));
        self.number += 1;
        self.first_us.get_or_insert(now);
        let mut outcome = Outcome::default();
        self.shard.process(&self.plan, &probe.batch(frame, self.number, now), &mut outcome);
        self.ledger.apply(&outcome);
        self.hear();
    }

    fn judge(&self, trial: &Trial, pack: &Pack) -> Verdict {
        let Trial { name, line, expect, .. } = trial;
        let mut verdict = Verdict {
            name: name.clone(),
            line: *line,
            failures: Vec::new(),
            not_run: Vec::new(),
            checked: 0,
        };
        let mut wanted = expect.alerts.clone();
        if expect.only {
            pack.alerts.iter().for_each(|alert| {
                wanted.entry(alert.id.clone()).or_insert(0);
            });
        }
        for (id, episodes) in &wanted {
            let found = self.episodes(pack, id);
            let matches = self.matches.get(id).copied().unwrap_or(0);
            verdict.check(found == *episodes, || {
                format!("alert `{id}` has {found} episodes, not {episodes} ({matches} events match)")
            });
        }
        for (id, wanted) in &expect.first_fire_after {
            let found = self.first_fire(pack, id);
            let shown = |us: i64| format!("{} s", us as f64 / 1e6);
            verdict.check(found == Some(*wanted), || {
                let found = found.map_or("never".into(), shown);
                format!("alert `{id}` fires first after {found}, not {}", shown(*wanted))
            });
        }
        for (id, wanted) in &expect.matches {
            let found = self.matches.get(id).copied().unwrap_or(0);
            verdict.check(found == *wanted, || format!("alert `{id}` matches {found} events, not {wanted}"));
        }
        for (id, wanted) in &expect.reports {
            let found = self.rows(pack, id);
            verdict.check(found.len() == wanted.len(), || {
                format!("report `{id}` has {} rows, not {}", found.len(), wanted.len())
            });
            for (place, (found, wanted)) in found.iter().zip(wanted).enumerate() {
                verdict.check(found == wanted, || {
                    format!(
                        "report `{id}`, row {}: [{}], not [{}]",
                        place + 1,
                        found.join(" | "),
                        wanted.join(" | ")
                    )
                });
            }
        }
        for (id, wanted) in &expect.dashlets {
            match dashlets::rows(&self.ledger, &format!("{}.dashlet.{id}", pack.id)) {
                Some(found) => verdict.check(found == *wanted, || {
                    let (found, wanted) = (Json::Array(found.clone()), Json::Array(wanted.clone()));
                    format!("dashlet `{id}` shows {found}, not {wanted}")
                }),
                None => verdict.not_run.push(format!("dashlets ({id})")),
            }
        }
        if let Some(wanted) = &expect.categories {
            for (place, found) in self.categories.iter().enumerate() {
                verdict.check(found == wanted, || {
                    format!(
                        "event {} is in [{}], not in [{}]",
                        place + 1,
                        found.join(", "),
                        wanted.join(", ")
                    )
                });
            }
        }
        for (id, wanted) in &expect.category_counts {
            let found = self.categories.iter().filter(|all| all.contains(id)).count() as u64;
            verdict
                .check(found == *wanted, || format!("{found} events are in category `{id}`, not {wanted}"));
        }
        if !expect.events.is_empty() {
            let (found, wanted) = (self.events.len(), expect.events.len());
            verdict.check(found == wanted, || format!("{found} events came, {wanted} are expected"));
        }
        for (place, (wanted, (event, parts))) in expect.events.iter().zip(&self.events).enumerate() {
            for (key, value) in wanted {
                let found = look_up(event, parts, key);
                verdict.check(equal(found.as_ref(), value.as_ref()), || {
                    let shown = |value: Option<&Json>| value.map_or("absent".into(), Json::to_string);
                    let (found, wanted) = (shown(found.as_ref()), shown(value.as_ref()));
                    format!("event {}: `{key}` is {found}, not {wanted}", place + 1)
                });
            }
        }
        verdict
    }
}

impl Verdict {
    fn check(&mut self, holds: bool, says: impl FnOnce() -> String) {
        self.checked += 1;
        if !holds {
            self.failures.push(says());
        }
    }
}

/// The value of a key, else of a field, those included that the output does not show.
fn look_up(event: &Json, parts: &Parts, key: &str) -> Option<Json> {
    use crate::plan::rules::cond::Subject;
    let field = key.strip_prefix("fields.").unwrap_or(key);
    let shown = if field == key { event.get(key) } else { None };
    let shown = shown.or_else(|| event["fields"].get(field)).cloned();
    shown.or_else(|| match parts.get(&Subject::Field(field.into())) {
        [] => None,
        [one] => Some(Json::String(String::from_utf8_lossy(one).into_owned())),
        many => {
            Some(many.iter().map(|one| Json::String(String::from_utf8_lossy(one).into_owned())).collect())
        }
    })
}

/// Whether two values are equal; numbers compare by value, and a number equals its text.
fn equal(a: Option<&Json>, b: Option<&Json>) -> bool {
    match (a, b) {
        (Some(Json::Number(a)), Some(Json::Number(b))) => a == b || a.as_f64() == b.as_f64(),
        (Some(Json::String(text)), Some(Json::Number(number)))
        | (Some(Json::Number(number)), Some(Json::String(text))) => *text == number.to_string(),
        (Some(Json::Bool(flag)), Some(Json::String(text)))
        | (Some(Json::String(text)), Some(Json::Bool(flag))) => *text == flag.to_string(),
        (a, b) => a == b,
    }
}

/// Describes verdicts for people: a line each, what failed below it, and a sum.
pub fn describe(verdicts: &[Verdict]) -> String {
    let mut out = String::new();
    for verdict in verdicts {
        let word = match (verdict.failures.is_empty(), verdict.checked, verdict.not_run.is_empty()) {
            (false, ..) => "FAILED",
            (true, 0, _) => "not run",
            (true, _, false) => "passed in part",
            (true, _, true) => "passed",
        };
        out.push_str(&format!("{word:>14}  {} (line {})\n", verdict.name, verdict.line));
        for failure in &verdict.failures {
            out.push_str(&format!("{:14}    {failure}\n", ""));
        }
        for what in &verdict.not_run {
            out.push_str(&format!("{:14}    not run by this version: {what}\n", ""));
        }
    }
    let count = |holds: fn(&Verdict) -> bool| verdicts.iter().filter(|verdict| holds(verdict)).count();
    let failed = count(|verdict| !verdict.failures.is_empty());
    let not_run = count(|verdict| verdict.failures.is_empty() && verdict.checked == 0);
    let part = count(|verdict| verdict.passed() && !verdict.not_run.is_empty());
    let passed = verdicts.len() - failed - not_run - part;
    out.push_str(&format!("{} tests: {passed} passed, {failed} failed", verdicts.len()));
    if part + not_run > 0 {
        out.push_str(&format!(
            ", {part} passed in part, {not_run} not run: this version cannot evaluate what they need"
        ));
    }
    out.push('\n');
    out
}

/// Writes verdicts as JUnit does: one suite, a case each. A test that was not run whole counts as skipped.
pub fn junit(pack: &str, verdicts: &[Verdict]) -> String {
    let failed = verdicts.iter().filter(|verdict| !verdict.failures.is_empty()).count();
    let left_out = |verdict: &&Verdict| verdict.failures.is_empty() && !verdict.not_run.is_empty();
    let skipped = verdicts.iter().filter(left_out).count();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let tests = verdicts.len();
    let name = escaped(pack);
    out.push_str(&format!(
        "<testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failed}\" skipped=\"{skipped}\">\n"
    ));
    for verdict in verdicts {
        out.push_str(&format!("  <testcase classname=\"{name}\" name=\"{}\">", escaped(&verdict.name)));
        for failure in &verdict.failures {
            out.push_str(&format!("<failure message=\"{}\"/>", escaped(failure)));
        }
        if left_out(&verdict) {
            out.push_str(&format!("<skipped message=\"{}\"/>", escaped(&verdict.not_run.join("; "))));
        }
        out.push_str("</testcase>\n");
    }
    out.push_str("</testsuite>\n");
    out
}

/// Escapes a text for an attribute; what XML does not take becomes U+FFFD.
fn escaped(text: &str) -> String {
    let one = |c: char| match c {
        '&' => "&amp;".to_string(),
        '<' => "&lt;".to_string(),
        '>' => "&gt;".to_string(),
        '"' => "&quot;".to_string(),
        c if c.is_control() => "\u{fffd}".to_string(),
        c => c.to_string(),
    };
    text.chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    use crate::pack::tests::HEAD;
    use crate::pack::trial;

    #[test]
    fn a_test_that_is_not_run_is_not_passed() {
        let text = format!(
            "{HEAD}alerts:
  - {{id: a, severity: high, when: {{count: {{over: 1m, gte: 2}}}}, detect: {{s: {{source: app}}}}}}
  - {{id: b, severity: high, when: each, detect: {{s: {{source: app}}}}}}
tests:
  - {{name: windowed, events: [{{line: '<190>1 {{t}} host app web.1 - x'}}], expect: {{alerts: {{a: 0}}, first_fire_after: {{a: 1s}}}}}}
  - {{name: nothing, events: [{{line: '<190>1 {{t}} host x web.1 - x'}}], expect: {{alerts: {{a: 0, b: 0}}}}}}
  - {{name: each, events: [{{repeat: 3, line: '<190>1 {{t}} host app web.1 - x'}}], expect: {{alerts: {{b: 3}}}}}}
  - {{name: impossible, events: [{{line: '<190>1 {{t}} host x web.1 - x'}}], expect: {{alerts: {{a: 1}}}}}}
  - {{name: later, events: [{{line: '<190>1 {{t}} host x web.1 - x'}}], expect: {{dashlets: {{g: []}}}}}}
dashlets: [{{id: g, viz: table, group_by: [received], agg: count}}]
"
        );
        let verdicts = trial::run("p", &text, &[], &[]).unwrap();
        let shown: Vec<(bool, usize, usize)> =
            verdicts.iter().map(|one| (one.passed(), one.failures.len(), one.not_run.len())).collect();
        assert_eq!(shown, [(false, 1, 0), (true, 0, 0), (true, 0, 0), (false, 1, 0), (false, 0, 1)]);
        let text = trial::describe(&verdicts);
        assert!(text.contains("alert `a` fires first after never, not 1 s"), "{text}");
        assert!(text.contains("not run by this version: dashlets (g)"), "{text}");
        assert!(
            text.ends_with(
                "5 tests: 2 passed, 2 failed, 0 passed in part, 1 not run: this version cannot evaluate what they need\n"
            ),
            "{text}"
        );
        let junit = trial::junit("p", &verdicts);
        assert!(
            junit.contains("tests=\"5\" failures=\"2\" skipped=\"1\"")
                && junit.contains("<failure message=\"alert `a` has 0 episodes, not 1"),
            "{junit}"
        );
    }

    #[test]
    fn a_test_fails_where_it_should() {
        let text = format!(
            "{HEAD}categories: [{{id: c, detect: {{s: {{source: app}}}}}}]
tests:
  - name: all wrong
    events: [{{line: '<190>1 {{t}} host app web.1 - x'}}, {{line: '<190>1 {{t}} host app web.1 - y'}}]
    expect: {{categories: [], events: [{{kind: router, severity: info, message: x, code: 1}}]}}
"
        );
        let verdicts = trial::run("p", &text, &[], &[]).unwrap();
        let expected = [
            "event 1 is in [c], not in []",
            "event 2 is in [c], not in []",
            "2 events came, 1 are expected",
            "event 1: `kind` is \"app\", not \"router\"",
            "event 1: `code` is absent, not 1",
        ];
        assert_eq!(verdicts[0].failures, expected);
    }
}
