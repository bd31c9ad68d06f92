//! Alerts: from their text to what the ledger goes by.

use std::sync::Arc;

use super::names::{child, entries, items, text};
use super::read::template;
use super::values::joined;
use super::walk::Walk;
use crate::config::duration;
use crate::config::node::{Node, Value};
use crate::config::read::Reader;
use crate::plan::rules::cond::{Compare, Cond, Key, Subject};
use crate::plan::rules::convert::Number;
use crate::plan::rules::{Program, Spec};
use crate::plan::watch::{
    self, About, Bound, DrainGlob, Expect, Form, Inhibitor, Mode, Part, Piece, Role, Suppress, Urgency,
    Window,
};
use crate::signal::hash_of;

/// An alert, as its pack has it; times are microseconds.
#[derive(Clone, Debug)]
pub struct Alert {
    pub id: String,
    pub title: String,
    pub severity: String,
    pub threat: u8,
    /// `off`, `shadow` or `on`.
    pub mode: String,
    /// The events that count: its condition less its exceptions; of several steps any. `All` of nothing: every event.
    pub when: Cond,
    /// `each`, or the name of the window.
    pub window: String,
    /// Events that a ratio compares with all that count.
    pub of: Option<Cond>,
    /// Steps, and whether each must not come.
    pub steps: Vec<(bool, Cond)>,
    /// The field that is added up or told apart.
    pub value: Option<Subject>,
    /// Of a percentile.
    pub p: Number,
    pub exact: bool,
    /// Absent: learned.
    pub expect: Option<Vec<String>>,
    pub over_us: i64,
    /// Names and what they mean, the drain left out.
    pub group_by: Vec<(String, Subject)>,
    pub is_global: bool,
    pub bound: Option<(Compare, Number)>,
    pub min_count: u64,
    pub hold_us: i64,
    pub keep_us: Option<i64>,
    pub suppress: Option<(Vec<(String, Subject)>, i64)>,
    /// Alerts that it holds back, and keys that must be equal.
    pub inhibits: Vec<(String, Vec<String>)>,
    /// Absent: all.
    pub drains: Option<Vec<String>>,
    /// Empty: all.
    pub notify: Vec<String>,
    pub summary: String,
    /// What the names in the summary mean.
    pub shown: Vec<(String, Subject)>,
    pub runbook: String,
}

/// How long an episode of single events lasts, microseconds.
const EACH_KEEP_US: i64 = 300_000_000;
/// Alerts that inhibit one another, in a row.
const RANK_MAX: u32 = 64;

const BOUNDS: [(&str, Compare); 5] = [
    ("gte", Compare::GreaterOrEqual),
    ("gt", Compare::Greater),
    ("lte", Compare::LessOrEqual),
    ("lt", Compare::Less),
    ("eq", Compare::Equal),
];

/// Reads an alert whose keys were checked against the tables.
pub(super) fn read(r: &mut Reader<'_>, walk: &Walk<'_>, node: &Node) -> Alert {
    let scope = &walk.detects.scope;
    let word = |name: &str| text(child(node, name)).unwrap_or_default().to_string();
    let us = |node: Option<&Node>| {
        let duration = text(node).and_then(duration);
        duration.and_then(|duration| i64::try_from(duration.as_micros()).ok())
    };
    let cond = |node: &Node| walk.conds.get(&node.at).cloned();
    let texts = |node: Option<&Node>| -> Vec<String> {
        items(node).iter().filter_map(|item| text(Some(item)).map(str::to_string)).collect()
    };
    let fields = |node: Option<&Node>| -> Vec<(String, Subject)> {
        let named = texts(node).into_iter();
        named.filter_map(|name| Some((name.clone(), scope.subject(&name).ok()?.0))).collect()
    };
    let when = child(node, "when");
    let window = match when.map(|when| (&when.value, entries(Some(when)))) {
        Some((Value::Map(_), [(name, _), ..])) => name.text.clone(),
        _ => "each".into(),
    };
    let inner = when.and_then(|when| child(when, &window));
    let within = |name: &str| inner.and_then(|inner| child(inner, name));
    let exceptions: Vec<Cond> = items(child(node, "exceptions"))
        .iter()
        .filter_map(cond)
        .map(|cond| Cond::Not(Box::new(cond)))
        .collect();
    let less = |cond: Cond| joined(core::iter::once(cond).chain(exceptions.iter().cloned()).collect(), true);
    let steps: Vec<(bool, Cond)> = items(within("steps"))
        .iter()
        .filter_map(|step| {
            let not = match entries(Some(step)) {
                [(name, inner)] if name.text == "not" => Some(inner),
                _ => None,
            };
            match (not, cond(step)?) {
                (Some(_), Cond::Not(inner)) => Some((true, less(*inner))),
                (_, cond) => Some((false, less(cond))),
            }
        })
        .collect();
    let counted = match child(node, "detect") {
        Some(detect) => less(cond(detect).unwrap_or(Cond::Any(Vec::new()))),
        None if window == "absent" => joined(exceptions.clone(), true),
        // A sequence's steps that must not come select nothing.
        None => {
            let wanted = steps.iter().filter(|(not, _)| !not).map(|(_, cond)| cond.clone());
            Cond::Any(wanted.collect())
        }
    };
    let bound = BOUNDS
        .iter()
        .find_map(|(name, compare)| Some((*compare, Number::parse(text(within(name))?.as_bytes())?)));
    let is_drain = |(name, _): &(String, Subject)| name == "drain";
    let suppress = child(node, "suppress");
    let mut alert = Alert {
        id: word("id"),
        title: word("title"),
        severity: word("severity"),
        threat: text(child(node, "threat")).and_then(|threat| threat.parse().ok()).unwrap_or(50),
        mode: text(child(node, "mode")).unwrap_or("off").to_string(),
        when: counted,
        of: within("of").filter(|_| window == "ratio").and_then(cond),
        value: text(within("of"))
            .filter(|_| window != "ratio")
            .and_then(|of| Some(scope.subject(of).ok()?.0)),
        p: text(within("p")).and_then(|p| Number::parse(p.as_bytes())).unwrap_or_default(),
        exact: text(within("exact")) == Some("true"),
        expect: within("expect")
            .filter(|expect| matches!(expect.value, Value::List(_)))
            .map(|list| texts(Some(list))),
        over_us: us(within("over")).unwrap_or(1_000_000),
        group_by: fields(within("group_by")).into_iter().filter(|one| !is_drain(one)).collect(),
        is_global: text(child(node, "scope")) == Some("global"),
        bound,
        min_count: text(within("min_count")).and_then(|n| n.parse().ok()).unwrap_or(1),
        hold_us: us(child(node, "hold").and_then(|hold| child(hold, "for"))).unwrap_or(0),
        keep_us: us(child(node, "keep_firing_for")),
        suppress: suppress
            .map(|suppress| (fields(child(suppress, "by")), us(child(suppress, "for")).unwrap_or(0))),
        inhibits: items(child(node, "inhibits"))
            .iter()
            .map(|one| {
                (text(child(one, "alert")).unwrap_or_default().to_string(), texts(child(one, "equal")))
            })
            .collect(),
        drains: child(node, "drains").map(|drains| texts(Some(drains))),
        notify: texts(child(node, "notify")),
        shown: template(text(child(node, "summary")).unwrap_or_default())
            .into_iter()
            .flatten()
            .filter(|name| !["value", "id", "time", "received"].contains(name))
            .filter_map(|name| Some((name.to_string(), scope.subject(name).ok()?.0)))
            .collect(),
        summary: word("summary"),
        runbook: word("runbook"),
        steps,
        window,
    };
    check(r, &alert, node, inner.unwrap_or(node));
    if alert.is_global {
        // Where drains are not told apart, one that is asked for is a key like others.
        alert.group_by = fields(within("group_by"));
    }
    alert
}

/// What only holds of some windows.
fn check(r: &mut Reader<'_>, alert: &Alert, node: &Node, inner: &Node) {
    let id = &alert.id;
    let keys = alert.keys();
    if let (Some((by, _)), false) = (&alert.suppress, alert.window == "each") {
        let at = child(node, "suppress").map_or(node.at, |suppress| suppress.at);
        for (name, _) in by.iter().filter(|(name, _)| !keys.iter().any(|(key, _)| key == name)) {
            let message = format!("`suppress` of alert `{id}` goes by `{name}`, which is none of its keys");
            r.note(at, message, format!("its keys are {}", names(&keys)));
        }
    }
    for (other, equal) in &alert.inhibits {
        for name in equal.iter().filter(|name| !keys.iter().any(|(key, _)| key == *name)) {
            let message = format!("alert `{id}` inhibits `{other}` by `{name}`, which is none of its keys");
            r.note(node.at, message, format!("its keys are {}", names(&keys)));
        }
    }
    if alert.window == "each" && alert.hold_us > 0 {
        r.note(node.at, format!("alert `{id}` holds, but has no window"), "`hold` is for windows");
    }
    if alert.window == "sequence" && alert.steps.iter().all(|(not, _)| *not) {
        r.note(
            inner.at,
            format!("nothing has to come in the sequence of alert `{id}`"),
            "a step without `not`",
        );
    }
    if alert.expect.is_some() && keys.len() != 1 {
        let message = format!("alert `{id}` expects values, but has {} keys", keys.len());
        r.note(
            inner.at,
            message,
            "a list names values of one key: the drain, or with `scope: global` another",
        );
    }
    if alert.exact && alert.bound.is_some_and(|(_, to)| to.whole().is_none_or(|to| to > 10_000)) {
        r.note(
            inner.at,
            format!("`exact` of alert `{id}` keeps too many times"),
            "a whole bound up to 10,000",
        );
    }
}

fn names(keys: &[(String, Subject)]) -> String {
    let names: Vec<&str> = keys.iter().map(|(name, _)| name.as_str()).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

impl Alert {
    /// Its keys, the drain first unless drains are not told apart.
    fn keys(&self) -> Vec<(String, Subject)> {
        let drain = (!self.is_global).then(|| ("drain".to_string(), Subject::Key(Key::Drain)));
        drain.into_iter().chain(self.group_by.iter().cloned()).collect()
    }

    /// Whether every event counts.
    fn counts_all(&self) -> bool {
        self.when == Cond::All(Vec::new())
    }

    /// Parts of events that it reads.
    fn reads(&self) -> Vec<Subject> {
        let keys = self.keys().into_iter().map(|(_, subject)| subject);
        let by = self.suppress.iter().flat_map(|(by, _)| by.iter().map(|(_, subject)| subject.clone()));
        let shown = self.shown.iter().map(|(_, subject)| subject.clone());
        keys.chain(by).chain(self.value.clone()).chain(shown).collect()
    }

    /// What must be equal for state to mean the same.
    fn shape(&self) -> u64 {
        let Alert { when, window, of, steps, value, p, exact, over_us, group_by, is_global, .. } = self;
        let by = self.suppress.as_ref().map(|(by, _)| by);
        let parts = (when, window, of, steps, value, p, exact, over_us, group_by, is_global);
        hash_of(format!("{parts:?}{by:?}{:?}", self.expect).as_bytes())
    }
}

/// An alert with the pack that it is of.
#[derive(Clone, Copy)]
pub(super) struct Of<'p> {
    pub pack: &'p str,
    pub version: &'p str,
    pub alert: &'p Alert,
}

/// Adds the conditions and parts of alerts to what a program is made of; `compiled` takes the same alerts.
pub(super) fn ask(alerts: &[Of<'_>], spec: &mut Spec) {
    for Of { alert, .. } in alerts {
        spec.watches.extend(watched(alert).into_iter().map(|(cond, _)| cond));
        spec.read.extend(alert.reads());
    }
}

/// The conditions of an alert that are watched, and what a match is.
fn watched(alert: &Alert) -> Vec<(Cond, fn(u32, u8) -> Role)> {
    let counts: fn(u32, u8) -> Role = |alert, _| Role::Counts { alert };
    let of: fn(u32, u8) -> Role = |alert, _| Role::Of { alert };
    let step: fn(u32, u8) -> Role = |alert, step| Role::Step { alert, step };
    if !alert.steps.is_empty() {
        return alert.steps.iter().map(|(_, cond)| (cond.clone(), step)).collect();
    }
    let all = (!alert.counts_all()).then(|| (alert.when.clone(), counts));
    all.into_iter().chain(alert.of.iter().map(|cond| (cond.clone(), of))).collect()
}

/// The alerts, compiled, with the roles of what `ask` had watched from the first watch on, and those for which every
/// event counts.
pub(super) fn compiled(alerts: &[Of<'_>], program: &Program) -> (Vec<watch::Alert>, Vec<Role>, Vec<u32>) {
    let (mut out, mut roles, mut every) = (Vec::new(), Vec::new(), Vec::new());
    for (index, Of { pack, version, alert }) in alerts.iter().enumerate() {
        let index = index as u32;
        for (place, (_, role)) in watched(alert).into_iter().enumerate() {
            roles.push(role(index, place as u8));
        }
        if alert.counts_all() {
            every.push(index);
        }
        out.push(one((pack, version), alert, program));
    }
    inhibit(alerts, &mut out);
    (out, roles, every)
}

/// How a part of an event is read.
pub(super) fn part(subject: &Subject, program: &Program) -> Part {
    let slot = program.slot(subject).expect("what is read was asked for");
    match subject {
        Subject::Key(Key::Computer) => Part::Computer(slot),
        Subject::Field(_) | Subject::Key(Key::Pri) if program.slot_type(slot).is_number() => {
            Part::Number(slot)
        }
        _ => Part::Slot(slot),
    }
}

fn one(pack: (&str, &str), alert: &Alert, program: &Program) -> watch::Alert {
    let keys = alert.keys();
    let place = |name: &str| keys.iter().position(|(key, _)| key == name).map(|at| at as u8);
    let value = || {
        let subject = alert.value.as_ref().expect("the checker knows the field");
        program.slot(subject).expect("what is read was asked for")
    };
    let form = match alert.window.as_str() {
        "count" => Form::Count { exact: alert.exact },
        "distinct" => Form::Distinct(value()),
        "sum" => Form::Sum(value()),
        "avg" => Form::Avg(value()),
        "percentile" => Form::Percentile(value(), alert.p),
        "ratio" => Form::Ratio,
        "all_of" => Form::AllOf(alert.steps.len() as u8),
        "sequence" => Form::Sequence(alert.steps.iter().map(|(not, _)| *not).collect()),
        "absent" => Form::Absent(match &alert.expect {
            None => Expect::Learned,
            Some(list) => Expect::List(list.iter().map(|name| name.as_str().into()).collect()),
        }),
        _ => Form::Each,
    };
    let mut args: Vec<Part> = Vec::new();
    let mut arg = |part: Part| {
        let at = args.iter().position(|known| *known == part).unwrap_or_else(|| {
            args.push(part);
            args.len() - 1
        });
        Piece::Arg(at as u8)
    };
    let pieces = template(&alert.summary).into_iter().map(|piece| match piece {
        Err(text) => Piece::Text(text.into()),
        Ok("value") => Piece::Value,
        Ok("id") => arg(Part::Id),
        Ok("time") => arg(Part::Time),
        Ok("received") => arg(Part::Received),
        Ok(name) => match (place(name), alert.shown.iter().find(|(known, _)| known == name)) {
            (Some(place), _) => Piece::Key(place),
            (None, Some((_, subject))) => arg(part(subject, program)),
            (None, None) => Piece::Text("-".into()),
        },
    });
    let summary = pieces.collect();
    let is_each = form == Form::Each;
    let by = alert.suppress.as_ref().map_or(&[][..], |(by, _)| by);
    watch::Alert {
        about: Arc::new(About {
            alert: format!("{}.alert.{}", pack.0, alert.id).into(),
            title: alert.title.as_str().into(),
            severity: Urgency::ALL
                .into_iter()
                .find(|known| known.name() == alert.severity)
                .unwrap_or(Urgency::Medium),
            threat: alert.threat,
            mode: if alert.mode == "on" { Mode::On } else { Mode::Shadow },
            pack: (pack.0.into(), pack.1.into()),
            runbook: alert.runbook.as_str().into(),
            notify: alert.notify.iter().map(|name| name.as_str().into()).collect(),
        }),
        shape: alert.shape(),
        form,
        window: Window::new(alert.over_us),
        bound: alert.bound.map(|(compare, to)| Bound { compare, to }),
        min_count: alert.min_count,
        key: keys.iter().map(|(name, subject)| (name.as_str().into(), part(subject, program))).collect(),
        has_drain: !alert.is_global,
        by: if is_each { by.iter().map(|(_, subject)| part(subject, program)).collect() } else { Vec::new() },
        suppress: alert.suppress.as_ref().map(|(by, for_us)| Suppress {
            by: by.iter().filter_map(|(name, _)| place(name)).collect(),
            for_us: *for_us,
        }),
        hold_us: alert.hold_us,
        keep_us: alert.keep_us.unwrap_or(if is_each { EACH_KEEP_US } else { 0 }),
        inhibitors: Vec::new(),
        rank: 0,
        drains: alert.drains.as_ref().map(|drains| drains.iter().map(|text| drain_glob(text)).collect()),
        summary,
        args,
    }
}

fn drain_glob(text: &str) -> DrainGlob {
    match text.split_once('=') {
        Some((label, value)) => DrainGlob::Label(label.into(), value.into()),
        None => DrainGlob::Name(text.into()),
    }
}

/// Tells alerts who holds them back, and in which order those are looked at that are due at once.
fn inhibit(alerts: &[Of<'_>], out: &mut [watch::Alert]) {
    for (index, Of { pack, alert, .. }) in alerts.iter().enumerate() {
        for (other, equal) in &alert.inhibits {
            let full = if other.contains('.') { other.clone() } else { format!("{pack}.alert.{other}") };
            let Some(target) = out.iter().position(|known| *known.about.alert == *full) else { continue };
            let place = |at: usize, name: &String| {
                out[at].key.iter().position(|(key, _)| **key == **name).map(|at| at as u8)
            };
            let equal = equal.iter().filter_map(|name| Some((place(index, name)?, place(target, name)?)));
            let equal = equal.collect();
            out[target].inhibitors.push(Inhibitor { alert: index as u32, equal });
        }
    }
    for _ in 0..RANK_MAX {
        let ranks: Vec<u32> = out.iter().map(|alert| alert.rank).collect();
        let mut changed = false;
        for alert in out.iter_mut() {
            let above = alert.inhibitors.iter().map(|inhibitor| ranks[inhibitor.alert as usize] + 1).max();
            let rank = above.unwrap_or(0).min(RANK_MAX);
            changed |= rank != alert.rank;
            alert.rank = rank;
        }
        if !changed {
            return;
        }
    }
}
