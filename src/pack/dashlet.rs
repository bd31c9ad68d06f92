//! Dashlets: from their text to what shards count by.

use serde_json::Value as Json;

use super::names::{child, items, text};
use super::walk::Walk;
use super::{Category, alert};
use crate::config::node::{Node, Value};
use crate::ledger::Ledger;
use crate::ledger::dashlets::Query;
use crate::ledger::record::KeyValue;
use crate::plan::concerns::Concerns;
use crate::plan::dashlet::{self, Aggregate, Dashlets};
use crate::plan::rules::cond::{Cond, Key, Subject};
use crate::plan::rules::convert::Number;
use crate::plan::rules::{Program, Spec};
use crate::signal::hash_of;

/// Which events count.
#[derive(Clone, Debug, PartialEq)]
pub enum Of {
    Every,
    /// Those of a category, by its full id.
    Category(String),
    Cond(Cond),
}

impl Of {
    /// Notes that such events concern the thing. A condition is the next watch of the program.
    pub(super) fn note(&self, thing: u32, program: &Program, out: &mut Concerns) {
        match self {
            Of::Every => out.every(thing),
            Of::Category(id) => out.category(program, id, thing),
            Of::Cond(_) => out.watch(thing),
        }
    }
}

/// A dashlet, as its pack has it.
#[derive(Clone, Debug)]
pub struct Dashlet {
    pub id: String,
    pub title: String,
    pub viz: String,
    pub of: Of,
    pub group_by: Vec<(String, Subject)>,
    /// `count`, `sum`, `avg`, `max`, `p50`, `p95` or `p99`.
    pub agg: String,
    pub value: Option<(String, Subject)>,
    pub step_s: u64,
}

/// Reads a dashlet whose keys were checked against the tables. `None` if a key has no value in events of this version.
pub(super) fn read(walk: &Walk<'_>, pack: &str, categories: &[Category], node: &Node) -> Option<Dashlet> {
    let scope = &walk.detects.scope;
    let word = |name: &str| text(child(node, name)).unwrap_or_default().to_string();
    let subject = |name: &str| Some((name.to_string(), scope.subject(name).ok()?.0));
    let names = items(child(node, "group_by")).iter().filter_map(|item| text(Some(item)));
    Some(Dashlet {
        id: word("id"),
        title: word("title"),
        viz: word("viz"),
        of: read_of(walk, pack, categories, node)?,
        group_by: names.map(subject).collect::<Option<_>>()?,
        agg: text(child(node, "agg")).unwrap_or("count").to_string(),
        value: text(child(node, "value")).and_then(subject),
        step_s: match text(child(node, "bucket")) {
            Some("day") => 86_400,
            Some("hour") => 3_600,
            _ => 60,
        },
    })
}

/// Reads which events count.
pub(super) fn read_of(walk: &Walk<'_>, pack: &str, categories: &[Category], node: &Node) -> Option<Of> {
    let Some(of) = child(node, "of") else { return Some(Of::Every) };
    Some(match &of.value {
        Value::Scalar { text, .. } if categories.iter().any(|one| one.id == *text) => {
            Of::Category(format!("{pack}.category.{text}"))
        }
        Value::Scalar { text, .. } => Of::Category(text.clone()),
        _ => Of::Cond(walk.conds.get(&of.at).cloned()?),
    })
}

/// Adds the conditions and parts of dashlets to what a program is made of; `compiled` takes the same dashlets. Returns the
/// first watch of theirs.
pub(super) fn ask<'p>(all: &[(&'p str, &'p Dashlet)], spec: &mut Spec) -> u32 {
    let first = spec.watches.len() as u32;
    for (_, one) in all {
        if let Of::Cond(cond) = &one.of {
            spec.watches.push(cond.clone());
        }
        spec.read.extend(one.group_by.iter().chain(&one.value).map(|(_, subject)| subject.clone()));
    }
    first
}

/// The dashlets, compiled.
pub(super) fn compiled(all: &[(&str, &Dashlet)], first: u32, program: &Program) -> Dashlets {
    let mut out = Dashlets { concerns: Concerns::new(program, first), ..Dashlets::default() };
    for (index, (pack, one)) in all.iter().enumerate() {
        let index = index as u32;
        one.of.note(index, program, &mut out.concerns);
        let value = one.value.as_ref().and_then(|(_, subject)| program.slot(subject));
        let percentile = |p: u64| value.map(|slot| Aggregate::Percentile(slot, Number::of(p)));
        let aggregate = match one.agg.as_str() {
            "sum" => value.map(Aggregate::Sum),
            "avg" => value.map(Aggregate::Avg),
            "max" => value.map(Aggregate::Max),
            "p50" => percentile(50),
            "p95" => percentile(95),
            "p99" => percentile(99),
            _ => None,
        };
        let aggregate = aggregate.unwrap_or(Aggregate::Count);
        let unit = match (aggregate, &one.value) {
            (Aggregate::Count, _) | (_, None) => "events",
            (_, Some((name, _))) => name,
        };
        let shown = one.group_by.iter().chain(&one.value).filter_map(|(_, subject)| program.slot(subject));
        let attribution = shown.filter_map(|slot| program.attribution(slot)).next().cloned();
        let key = |(name, subject): &(String, Subject)| (name.as_str().into(), alert::part(subject, program));
        let only_severity = matches!(&one.group_by[..], [(_, Subject::Key(Key::Severity))]);
        let meaning = format!("{:?}{:?}{}{:?}{}", one.of, one.group_by, one.agg, one.value, one.step_s);
        out.list.push(dashlet::Dashlet {
            id: format!("{pack}.dashlet.{}", one.id).into(),
            title: one.title.as_str().into(),
            viz: one.viz.as_str().into(),
            unit: unit.into(),
            keys: one.group_by.iter().map(key).collect(),
            by_severity: only_severity && aggregate == Aggregate::Count,
            aggregate,
            attribution,
            step_s: one.step_s,
            shape: hash_of(meaning.as_bytes()),
        });
    }
    out
}

/// What a dashlet shows of all days that are kept: a list a row, of the values of its keys and the value. `None` if nothing
/// counts in a dashlet of this full id.
pub(super) fn rows(ledger: &Ledger, id: &str) -> Option<Vec<Json>> {
    let tables = ledger.tables();
    let place = tables.list().iter().position(|dashlet| *dashlet.id == *id)?;
    let from_us = ledger.tables().reached_us().saturating_sub(90 * 86_400_000_000);
    let query = Query { from_us: Some(from_us), to_us: None, step_s: Some(86_400), limit: Some(usize::MAX) };
    let table = tables.table(place, query).ok()?;
    let number = |text: &str| serde_json::from_str(text).unwrap_or(Json::Null);
    let rows = table.rows.iter().map(|row| {
        let keys = row.key.iter().map(|value| match value {
            KeyValue::Number(text) => number(text),
            other => Json::String(other.shown().into()),
        });
        let mut value = Vec::new();
        row.value.write(&mut value);
        Json::Array(keys.chain([number(&String::from_utf8_lossy(&value))]).collect())
    });
    Some(rows.collect())
}
