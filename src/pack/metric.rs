//! Metrics: from their text to the series that shards take samples of.

use super::dashlet::{Of, read_of};
use super::names::{Complaint, child, entries, items, text};
use super::scope::Scope;
use super::walk::Walk;
use super::{CompileError, Pack, alert, check};
use crate::config;
use crate::config::node::Node;
use crate::config::read::Reader;
use crate::plan::concerns::Concerns;
use crate::plan::metric::{self, Kind, Metrics, Set, Taken};
use crate::plan::rules::cond::{Key, Subject};
use crate::plan::rules::convert::Type;
use crate::plan::rules::{FieldSpec, Program, Spec};
use crate::signal::hash_of;

/// A metric, as its pack has it.
#[derive(Clone, Debug)]
pub struct Metric {
    pub name: String,
    pub kind: Kind,
    pub of: Of,
    pub value: Option<Subject>,
    /// Sorted by name.
    pub labels: Vec<(String, Label)>,
    pub expire_us: i64,
    pub series_max: usize,
    pub help: String,
    /// Whether its values are milliseconds and shown as seconds.
    in_seconds: bool,
}

/// The value of a label.
#[derive(Clone, Debug, PartialEq)]
pub enum Label {
    Text(String),
    Of(Subject),
}

const EXPIRE_US: i64 = 15 * 60_000_000;
const SERIES_MAX: usize = 2_000;

/// Reads a metric whose keys were checked against the tables. `None` if a label has no value in events of this version.
pub(super) fn read(walk: &Walk<'_>, pack: &Pack, node: &Node) -> Option<Metric> {
    let scope = &walk.detects.scope;
    let word = |name: &str| text(child(node, name));
    let name = word("name").unwrap_or_default().to_string();
    let value = match word("value") {
        Some(value) => Some(scope.subject(value).ok()?),
        None => None,
    };
    let mut labels = Vec::new();
    for (label, value) in entries(child(node, "labels")) {
        let value = text(Some(value)).unwrap_or_default();
        let value = match value.strip_prefix('=') {
            Some(text) => Label::Text(text.into()),
            None => Label::Of(scope.subject(value).ok()?.0),
        };
        labels.push((label.text.clone(), value));
    }
    labels.sort_by(|(a, _), (b, _)| a.cmp(b));
    let expire = word("expire").and_then(config::duration);
    let expire_us = expire.and_then(|expire| i64::try_from(expire.as_micros()).ok());
    let is_ms = value.as_ref().is_some_and(|(_, ty)| *ty == Type::DurationMs);
    Some(Metric {
        kind: kind(node),
        of: read_of(walk, &pack.id, &pack.categories, node)?,
        value: value.map(|(subject, _)| subject),
        labels,
        expire_us: expire_us.unwrap_or(EXPIRE_US),
        series_max: word("series_max").and_then(|max| max.parse().ok()).unwrap_or(SERIES_MAX),
        help: word("help").map_or_else(|| format!("Metric of pack {}.", pack.id), str::to_string),
        in_seconds: is_ms && is_of_seconds(&name),
        name,
    })
}

fn kind(node: &Node) -> Kind {
    match text(child(node, "type")) {
        Some("counter") => Kind::Counter,
        Some("histogram") => Kind::Histogram,
        _ => Kind::Gauge,
    }
}

fn is_of_seconds(name: &str) -> bool {
    name.strip_suffix("_total").unwrap_or(name).ends_with("_seconds")
}

/// Notes what one key of a metric cannot know.
pub(super) fn check(
    r: &mut Reader<'_>,
    root: &Node,
    walk: &Walk<'_>,
    pack: &Pack,
    warnings: &mut Vec<Complaint>,
) {
    let all = items(child(root, "metrics"));
    for node in all {
        let name = text(child(node, "name")).unwrap_or_default();
        one(r, walk, node, name);
        labels(r, walk, pack, node, name);
        if let Some(odd) = odd(walk, node, name) {
            warnings.push((node.at, odd.0, odd.1.into()));
        }
    }
    for (at, node) in all.iter().enumerate() {
        let name = text(child(node, "name")).unwrap_or_default();
        for before in &all[..at] {
            beside(r, node, name, before);
        }
    }
}

fn one(r: &mut Reader<'_>, walk: &Walk<'_>, node: &Node, name: &str) {
    if name.starts_with("weir_") || !is_name(name) {
        r.note(
            node.at,
            format!("`{name}` cannot be the name of a metric"),
            "letters, digits and `_`; `weir_` is taken",
        );
    }
    if kind(node) != Kind::Counter || child(node, "value").is_some() {
        check::number(r, walk, node, "value", "gauges and histograms have the value of a field");
    }
}

fn is_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(good) && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn labels(r: &mut Reader<'_>, walk: &Walk<'_>, pack: &Pack, node: &Node, name: &str) {
    let scope = &walk.detects.scope;
    for (label, value) in entries(child(node, "labels")) {
        let taken = label.text.starts_with("__") || label.text == "le" && kind(node) == Kind::Histogram;
        if taken || !is_name(&label.text) {
            let message = format!("`{}` cannot be a label of metric `{name}`", label.text);
            r.note(
                label.at,
                message,
                "letters, digits and `_`; `__` at the start, and a histogram's `le`, are taken",
            );
        }
        let Some(of) = text(Some(value)).filter(|of| !of.starts_with('=')) else { continue };
        if let Err(hint) = scope.knows(of) {
            let message = format!("unknown field `{of}` in label `{}` of metric `{name}`", label.text);
            r.note(value.at, message, hint);
        } else if is_address(scope, &pack.fields, of) {
            let hint = "addresses of clients make series without end";
            r.note(value.at, format!("`{of}` cannot be a label"), hint);
        } else if matches!(of, "id" | "time" | "received" | "message" | "value") {
            r.note(value.at, format!("`{of}` cannot be a label"), "each event would be a series of its own");
        }
    }
}

/// Whether a name means the address of a client, or what it is taken from.
fn is_address(scope: &Scope, fields: &[FieldSpec], name: &str) -> bool {
    let is_ip = |field: &FieldSpec| field.ty == Type::Ip;
    match scope.subject(name) {
        Ok((Subject::Key(Key::Peer), _) | (_, Type::Ip)) => true,
        Ok((Subject::Field(name), _)) => {
            let takes = |field: &&FieldSpec| field.take.as_ref().is_some_and(|(_, from)| *from == name);
            fields.iter().filter(takes).any(is_ip)
        }
        _ => false,
    }
}

/// What Prometheus takes and people do not expect: a message and a hint.
fn odd(walk: &Walk<'_>, node: &Node, name: &str) -> Option<(String, &'static str)> {
    let is_total = name.ends_with("_total");
    match kind(node) {
        Kind::Counter if !is_total => {
            Some((format!("counter `{name}` does not end in `_total`"), "names of counters do"))
        }
        Kind::Gauge | Kind::Histogram if is_total => {
            Some((format!("`{name}` ends in `_total` and is no counter"), "names of counters do, no others"))
        }
        Kind::Histogram if !is_of_seconds(name) => Some((
            format!("histogram `{name}` does not end in `_seconds`"),
            "its bins are from 0.005 to 30; a `duration_ms` in `_seconds` is divided by 1,000",
        )),
        Kind::Gauge | Kind::Counter | Kind::Histogram => {
            let value = text(child(node, "value")).and_then(|value| walk.detects.scope.subject(value).ok());
            let is_ms = value.is_some_and(|(_, ty)| ty == Type::DurationMs);
            (is_ms && !is_of_seconds(name))
                .then(|| (format!("`{name}` has milliseconds"), "a name that ends in `_seconds` has seconds"))
        }
    }
}

/// Notes if a metric and one before it do not go together.
fn beside(r: &mut Reader<'_>, node: &Node, name: &str, before: &Node) {
    let other = text(child(before, "name")).unwrap_or_default();
    let parts = ["_bucket", "_sum", "_count"];
    let is_part = |whole: &Node, whole_name: &str, name: &str| {
        kind(whole) == Kind::Histogram
            && name.strip_prefix(whole_name).is_some_and(|end| parts.contains(&end))
    };
    if is_part(before, other, name) || is_part(node, name, other) {
        let message = format!("metrics `{other}` and `{name}` share the name of a series");
        return r.note(node.at, message, "a histogram has series that end in `_bucket`, `_sum` and `_count`");
    }
    if name != other {
        return;
    }
    let line = before.at.line;
    let names = |node: &Node| {
        let mut names: Vec<&str> =
            entries(child(node, "labels")).iter().map(|(label, _)| label.text.as_str()).collect();
        names.sort_unstable();
        names.join(", ")
    };
    if kind(node) != kind(before) || names(node) != names(before) {
        let message = format!("metric `{name}` has another type or other labels than in line {line}");
        return r.note(node.at, message, "metrics of one name have one type and the same labels");
    }
    let literal = |node: &Node, label: &str| -> Option<String> {
        text(child(node, "labels").and_then(|labels| child(labels, label)))?
            .strip_prefix('=')
            .map(str::to_string)
    };
    let differ = |label: &str| literal(node, label).zip(literal(before, label)).is_some_and(|(a, b)| a != b);
    if !entries(child(node, "labels")).iter().any(|(label, _)| differ(&label.text)) {
        let message = format!("two metrics `{name}` may have the same series");
        r.note(
            node.at,
            message,
            format!("the first is in line {line}; a label as `type: \"=rss\"` tells them apart"),
        );
    }
}

/// Sees that metrics of one name have one type and the same labels in all packs.
///
/// # Errors
/// The first that has not.
pub(super) fn agree(packs: &[Pack]) -> Result<(), CompileError> {
    let all = || packs.iter().flat_map(|pack| pack.metrics.iter().map(move |metric| (pack, metric)));
    let labels = |metric: &Metric| metric.labels.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    for (pack, metric) in all() {
        let before = all().find(|(_, known)| known.name == metric.name);
        if let Some((other, known)) = before
            && (known.kind != metric.kind || labels(known) != labels(metric))
        {
            let packs = [other.id.clone(), pack.id.clone()];
            return Err(CompileError::Metrics { name: metric.name.clone(), packs });
        }
    }
    Ok(())
}

/// Metrics of packs that take the same events by the same keys.
struct Group<'p> {
    of: &'p Of,
    keys: Vec<&'p Subject>,
    metrics: Vec<(&'p str, &'p Metric)>,
}

fn groups(packs: &[Pack]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for pack in packs {
        for metric in &pack.metrics {
            let keys: Vec<&Subject> = metric.labels.iter().filter_map(|(_, label)| label.subject()).collect();
            let one = (pack.id.as_str(), metric);
            match groups.iter_mut().find(|group| *group.of == metric.of && group.keys == keys) {
                Some(group) => group.metrics.push(one),
                None => groups.push(Group { of: &metric.of, keys, metrics: vec![one] }),
            }
        }
    }
    groups
}

impl Label {
    fn subject(&self) -> Option<&Subject> {
        match self {
            Label::Text(_) => None,
            Label::Of(subject) => Some(subject),
        }
    }
}

/// Adds the conditions and parts of metrics to what a program is made of; `compiled` takes the same packs. Returns the
/// first watch of theirs.
pub(super) fn ask(packs: &[Pack], spec: &mut Spec) -> u32 {
    let first = spec.watches.len() as u32;
    for group in groups(packs) {
        if let Of::Cond(cond) = group.of {
            spec.watches.push(cond.clone());
        }
        spec.read.extend(group.keys.into_iter().cloned());
        spec.read.extend(group.metrics.iter().filter_map(|(_, metric)| metric.value.clone()));
    }
    first
}

/// The metrics, compiled.
pub(super) fn compiled(packs: &[Pack], first: u32, program: &Program) -> Metrics {
    let mut out = Metrics { concerns: Concerns::new(program, first), ..Metrics::default() };
    for group in groups(packs) {
        let set = out.sets.len() as u32;
        group.of.note(set, program, &mut out.concerns);
        let mut metrics = Vec::new();
        for (pack, metric) in &group.metrics {
            let value = metric.value.as_ref().and_then(|subject| program.slot(subject));
            let (at, in_seconds) = (out.list.len() as u32, metric.in_seconds);
            metrics.push(Taken { metric: at, kind: metric.kind, value, in_seconds });
            out.list.push(one_compiled(pack, metric));
        }
        out.sets.push(Set {
            keys: group.keys.iter().map(|subject| alert::part(subject, program)).collect(),
            histograms: metrics.iter().filter(|metric| metric.kind == Kind::Histogram).count(),
            metrics,
        });
    }
    out
}

fn one_compiled(pack: &str, one: &Metric) -> metric::Metric {
    let mut keys = 0..;
    let mut label = |label: &Label| match label {
        Label::Text(text) => metric::Label::Text(text.as_str().into()),
        Label::Of(_) => metric::Label::Key(keys.next().expect("it has no end")),
    };
    let Metric { kind, of, value, labels, in_seconds, .. } = one;
    let meaning = format!("{pack}{kind:?}{of:?}{value:?}{labels:?}{in_seconds}");
    metric::Metric {
        name: one.name.as_str().into(),
        help: one.help.as_str().into(),
        kind: one.kind,
        labels: labels.iter().map(|(name, value)| (name.as_str().into(), label(value))).collect(),
        in_seconds: one.in_seconds,
        expire_us: one.expire_us,
        series_max: one.series_max,
        shape: hash_of(meaning.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use crate::pack::overlay::{self, Around};
    use crate::pack::{built_in, compile, read};

    const HEAD: &str = "weir: pack/v1\npack: {id: p, version: 1.0.0}\n\
        fields: {fwd: {type: [string]}, from: {type: ip, from: fwd, take: last}, user: {type: string}, v: {type: u32}, wait: {type: duration_ms}}\n";

    /// Every complaint about a pack with these metrics, each a line of its own from line 5 on: line and message.
    fn said(metrics: &[&str]) -> Vec<String> {
        let lines: String = metrics.iter().map(|one| format!("  - {{{one}}}\n")).collect();
        let problems = match read("p", &format!("{HEAD}metrics:\n{lines}"), &[], &[]) {
            Ok(pack) => pack.warnings,
            Err(problems) => problems,
        };
        problems.iter().map(|problem| format!("{}: {}", problem.line, problem.message)).collect()
    }

    #[test]
    fn what_is_wrong_with_a_metric_is_said() {
        let cases: &[(&[&str], &[&str])] = &[
            (&["name: a_total, type: counter, labels: {app: computer, who: '=me'}"], &[]),
            (&["name: '', type: counter"], &["5: `` cannot be the name of a metric"]),
            (&["name: 1a_total, type: counter"], &["5: `1a_total` cannot be the name of a metric"]),
            (&["name: a, type: gauge"], &["5: `value` is missing"]),
            (&["name: a, type: gauge, value: user"], &["5: `user` is no number"]),
            (
                &["name: a_total, type: counter, labels: {9: user, __x: user, a-b: user, le: user}"],
                &[
                    "5: `9` cannot be a label of metric `a_total`",
                    "5: `__x` cannot be a label of metric `a_total`",
                    "5: `a-b` cannot be a label of metric `a_total`",
                ],
            ),
            (
                &["name: a_seconds, type: histogram, value: wait, labels: {le: user}"],
                &["5: `le` cannot be a label of metric `a_seconds`"],
            ),
            (
                &["name: a_total, type: counter, labels: {a: from, b: fields.from, c: fwd, d: peer, e: usr}"],
                &[
                    "5: `from` cannot be a label",
                    "5: `fields.from` cannot be a label",
                    "5: `fwd` cannot be a label",
                    "5: `peer` cannot be a label",
                    "5: unknown field `usr` in label `e` of metric `a_total`",
                ],
            ),
            (&["name: a_total, type: counter, labels: {m: message}"], &["5: `message` cannot be a label"]),
            (&["name: a, type: counter"], &["5: warning: counter `a` does not end in `_total`"]),
            (
                &["name: a_total, type: gauge, value: v"],
                &["5: warning: `a_total` ends in `_total` and is no counter"],
            ),
            (
                &["name: a_bytes, type: histogram, value: v"],
                &["5: warning: histogram `a_bytes` does not end in `_seconds`"],
            ),
            (&["name: a_wait, type: gauge, value: wait"], &["5: warning: `a_wait` has milliseconds"]),
            (
                &[
                    "name: a_seconds, type: histogram, value: wait",
                    "name: a_seconds_count, type: gauge, value: v",
                ],
                &["6: metrics `a_seconds` and `a_seconds_count` share the name of a series"],
            ),
            (
                &[
                    "name: a, type: gauge, value: v, labels: {x: '=1'}",
                    "name: a, type: gauge, value: wait, labels: {x: '=1'}",
                ],
                &["6: two metrics `a` may have the same series"],
            ),
            (
                &[
                    "name: a, type: gauge, value: v, labels: {x: '=1'}",
                    "name: a, type: gauge, value: v, labels: {y: '=2'}",
                ],
                &["6: metric `a` has another type or other labels than in line 5"],
            ),
            (
                &["name: a_total, type: counter", "name: a_total, type: gauge, value: v"],
                &["6: metric `a_total` has another type or other labels than in line 5"],
            ),
        ];
        for (metrics, expect) in cases {
            let found = said(metrics);
            assert_eq!(found, *expect, "{metrics:?}");
        }
    }

    #[test]
    fn packs_agree_about_a_metric() {
        let pack = |id: &str, metric: &str| {
            let text = HEAD.replace("id: p", &format!("id: {id}"));
            read(id, &format!("{text}metrics: [{{name: a_total, {metric}}}]\n"), &[], &[]).unwrap()
        };
        let one = pack("p", "type: counter, labels: {app: computer, user: user}");
        let same = pack("q", "type: counter, value: v, labels: {user: computer, app: drain}");
        assert!(compile(&[one.clone(), same], &[]).is_ok());
        for other in [
            "type: gauge, value: v, labels: {app: computer, user: user}",
            "type: counter, labels: {app: computer}",
        ] {
            let error = compile(&[one.clone(), pack("q", other)], &[]).unwrap_err().to_string();
            assert_eq!(
                error,
                "metric `a_total` has one type or set of labels in pack `p` and another in pack `q`"
            );
        }
    }

    #[test]
    fn what_a_site_leaves_out_takes_no_samples() {
        let names = |overlay: &str| -> Vec<String> {
            let mut packs = [built_in("heroku").unwrap()];
            let around = Around { packs: &packs, known: &[], notifiers: &[] };
            let overlay = overlay::read("o", &format!("weir: overlay/v1\n{overlay}"), around);
            overlay::apply(&mut packs, &overlay.map_err(|problems| problems.to_string()).unwrap());
            let metrics = compile(&packs, &[]).unwrap().watch.metrics.clone();
            // Of a category that is left out, nothing comes.
            let of = metrics.concerns.all().flat_map(|set| &metrics.sets[set as usize].metrics);
            of.map(|taken| metrics.list[taken.metric as usize].name.to_string()).collect()
        };
        let count = |names: &[String], name: &str| names.iter().filter(|known| *known == name).count();
        let all = names("");
        assert_eq!(count(&all, "heroku_dyno_memory_bytes"), 3);
        assert_eq!(count(&all, "heroku_router_service_seconds"), 1);
        let fewer = names("heroku: {disabled: [metric.heroku_dyno_memory_bytes, category.requests]}");
        assert_eq!(count(&fewer, "heroku_dyno_memory_bytes"), 0);
        assert_eq!(count(&fewer, "heroku_router_service_seconds"), 0);
        assert_eq!(count(&fewer, "heroku_dyno_load_average"), 3);
    }

    #[test]
    fn metrics_that_read_alike_share_a_key() {
        let metrics = compile(&[built_in("heroku").unwrap()], &[]).unwrap().watch.metrics.clone();
        let sets: Vec<usize> = metrics.sets.iter().map(|set| set.metrics.len()).collect();
        assert_eq!(sets, [7, 3, 4, 1, 1]);
        let seconds: Vec<&str> =
            metrics.list.iter().filter(|one| one.in_seconds).map(|one| &*one.name).collect();
        assert_eq!(seconds, ["heroku_router_service_seconds", "heroku_router_connect_seconds"]);
    }
}
