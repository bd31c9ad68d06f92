//! Reports and joins: from their text to what shards and the ledger go by.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::Pack;
use super::names::{child, items, text};
use super::values::joined;
use super::walk::Walk;
use crate::config::duration;
use crate::config::node::{Node, Value};
use crate::config::read::Reader;
use crate::plan::cron::Cron;
use crate::plan::report::{self, Aggregate, Cell, Figure, Formats, Merge, Table, What};
use crate::plan::rules::cond::{Cond, Key, Op, Subject, Test};
use crate::plan::rules::convert::Type;
use crate::plan::rules::{Program, Spec};
use crate::plan::watch::Role;
use crate::signal::hash_of;

/// What a column or a key shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A part of the event, and whether it counts as a number.
    Part(Subject, bool),
    Id,
    Time,
    Received,
    /// What this version never finds.
    Nothing,
}

#[derive(Clone, Debug)]
pub struct Column {
    pub title: String,
    pub source: Source,
    /// The key behind which its value was sent, and its type.
    pub sent: Option<(String, Type)>,
    pub format: Option<String>,
}

/// A figure of a summary.
#[derive(Clone, Debug)]
pub struct Summary {
    pub aggregate: Aggregate,
    pub of: Option<Source>,
    pub by: Vec<(String, Source)>,
    pub title: String,
}

/// A report, as its pack has it; times are microseconds.
#[derive(Clone, Debug)]
pub struct Report {
    pub id: String,
    pub title: String,
    /// Absent: every event.
    pub of: Option<Cond>,
    pub window_us: i64,
    pub schedule: Option<Cron>,
    /// Absent: the pipeline's.
    pub zone: Option<TimeZone>,
    pub formats: Formats,
    pub retention_us: Option<i64>,
    pub columns: Vec<Column>,
    pub join: Option<String>,
    pub merge: Option<(Vec<Source>, i64)>,
    pub summary: Vec<Summary>,
}

/// A join, as its pack has it.
#[derive(Clone, Debug)]
pub struct Join {
    pub id: String,
    /// Absent: every event.
    pub of: Option<Cond>,
    pub by: Vec<Source>,
    /// Expressions.
    pub start: String,
    pub end: String,
    pub within_us: i64,
    pub max: usize,
}

fn us(node: Option<&Node>) -> Option<i64> {
    i64::try_from(text(node).and_then(duration)?.as_micros()).ok()
}

fn word(node: &Node, name: &str) -> String {
    text(child(node, name)).unwrap_or_default().to_string()
}

/// The events that `of` selects; `None` is every event.
fn of(walk: &Walk<'_>, pack: &Pack, others: &[Pack], node: &Node) -> Option<Cond> {
    let of = child(node, "of").filter(|of| !of.is_null())?;
    let Value::Scalar { text, .. } = &of.value else { return walk.conds.get(&of.at).cloned() };
    let own = pack
        .categories
        .iter()
        .find(|one| one.id == *text || format!("{}.category.{}", pack.id, one.id) == *text);
    let of_others = || {
        others.iter().find_map(|other| {
            other.categories.iter().find(|one| format!("{}.category.{}", other.id, one.id) == *text)
        })
    };
    // An id that is none was complained of.
    Some(own.or_else(of_others).map_or(Cond::Any(Vec::new()), |category| category.when.clone()))
}

fn source(walk: &Walk<'_>, name: &str) -> Source {
    match name {
        "id" => Source::Id,
        "time" => Source::Time,
        "received" => Source::Received,
        _ => match walk.detects.scope.subject(name) {
            Ok((subject, ty)) => Source::Part(subject, ty.is_number()),
            Err(_) => Source::Nothing,
        },
    }
}

fn sources(walk: &Walk<'_>, node: Option<&Node>) -> Vec<(String, Source)> {
    let names = items(node).iter().filter_map(|name| text(Some(name)));
    names.map(|name| (name.to_string(), source(walk, name))).collect()
}

/// Reads a report whose keys were checked against the tables.
pub(super) fn read(r: &mut Reader<'_>, walk: &Walk<'_>, pack: &Pack, others: &[Pack], node: &Node) -> Report {
    let id = word(node, "id");
    let mut columns: Vec<Column> = Vec::new();
    for one in items(child(node, "columns")) {
        let name = word(one, "field");
        let field = pack.fields.iter().find(|field| *field.name == *name.trim_start_matches("fields."));
        let sent = text(child(one, "as")).and(field).map(|field| (field.key.to_string(), field.ty));
        let title = text(child(one, "title")).map_or(name.clone(), str::to_string);
        if columns.iter().any(|known| known.title == title) {
            let message = format!("two columns of report `{id}` are called `{title}`");
            r.note(one.at, message, "each has its own `title`");
        }
        let format = text(child(one, "format")).map(str::to_string);
        let source = source(walk, &name);
        if let Some(format) = &format {
            let shown =
                jiff::fmt::strtime::format(&**format, &jiff::Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC));
            if !matches!(source, Source::Time | Source::Received) || shown.is_err() {
                let message = format!("`{format}` cannot be the format of `{name}`");
                r.note(one.at, message, "times have a format: `%m-%d-%Y %I:%M:%S %p`");
            }
        }
        columns.push(Column { title, source, sent, format });
    }
    let mut summary = Vec::new();
    for one in items(child(node, "summary")) {
        let of = text(child(one, "of"));
        let aggregate = aggregate(text(child(one, "agg")).unwrap_or("count"));
        match (of.map(|of| walk.detects.scope.subject(of)), aggregate) {
            (_, Aggregate::Count) | (Some(Err(_)), _) => {}
            (Some(Ok((_, ty))), _) if ty.is_number() => {}
            (Some(_), _) => {
                r.note(one.at, format!("`{}` is no number", of.unwrap_or_default()), "it adds numbers up")
            }
            (None, _) => r.note(one.at, "`of` is missing", "only a count has none"),
        }
        let title = text(child(one, "title")).map(str::to_string);
        let of = of.filter(|_| aggregate != Aggregate::Count);
        let title = title.unwrap_or_else(|| {
            [Some(word(one, "agg")), of.map(str::to_string)]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(" ")
        });
        summary.push(Summary {
            aggregate,
            of: of.map(|of| source(walk, of)),
            by: sources(walk, child(one, "by")),
            title,
        });
    }
    let keys = |one: &Summary| one.by.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let by = summary.first().map(keys);
    if columns.is_empty() && summary.is_empty() {
        r.note(node.at, format!("report `{id}` shows nothing"), "`columns`, `summary` or both");
    } else if columns.is_empty() && summary.iter().any(|one| Some(keys(one)) != by) {
        let message = format!("the summaries of report `{id}` have different keys");
        r.note(node.at, message, "without columns a report is one table: `by` is equal in all");
    }
    let merge = child(node, "merge_rows");
    let is_in =
        |format: &str| items(child(node, "formats")).iter().any(|one| text(Some(one)) == Some(format));
    let is_given = child(node, "formats").is_some();
    Report {
        title: word(node, "title"),
        of: of(walk, pack, others, node),
        window_us: us(child(node, "window")).unwrap_or(86_400_000_000).max(1_000_000),
        schedule: text(child(node, "schedule")).and_then(Cron::parse),
        zone: child(node, "zone")
            .filter(|zone| !zone.is_null())
            .and_then(|zone| crate::config::zone(text(Some(zone))?)),
        formats: Formats { csv: is_in("csv") || !is_given, ndjson: is_in("ndjson"), html: is_in("html") },
        retention_us: us(child(node, "retention")),
        join: text(child(node, "join")).map(str::to_string),
        merge: merge.map(|merge| {
            let by = sources(walk, child(merge, "by")).into_iter().map(|(_, source)| source);
            (by.collect(), us(child(merge, "within")).unwrap_or(0))
        }),
        id,
        columns,
        summary,
    }
}

/// Reads a join whose keys were checked against the tables.
pub(super) fn read_join(walk: &Walk<'_>, pack: &Pack, others: &[Pack], node: &Node) -> Join {
    let regex = |edge: &str| child(node, edge).map(|edge| word(edge, "regex")).unwrap_or_default();
    Join {
        id: word(node, "id"),
        of: of(walk, pack, others, node),
        by: sources(walk, child(node, "by")).into_iter().map(|(_, source)| source).collect(),
        start: regex("start"),
        end: regex("end"),
        within_us: us(child(node, "within")).unwrap_or(0),
        max: text(child(node, "max")).and_then(|max| max.parse().ok()).unwrap_or(64),
    }
}

fn aggregate(name: &str) -> Aggregate {
    match name {
        "sum" => Aggregate::Sum,
        "avg" => Aggregate::Avg,
        "max" => Aggregate::Max,
        "p50" => Aggregate::Percentile(50),
        "p95" => Aggregate::Percentile(95),
        "p99" => Aggregate::Percentile(99),
        _ => Aggregate::Count,
    }
}

impl Report {
    fn sources(&self) -> impl Iterator<Item = &Source> {
        let columns = self.columns.iter().map(|column| &column.source);
        let merge = self.merge.iter().flat_map(|(by, _)| by);
        let keys = self.summary.iter().flat_map(|one| one.by.iter().map(|(_, source)| source).chain(&one.of));
        columns.chain(merge).chain(keys)
    }
}

impl Join {
    /// Conditions of the messages that may be part of one, and of the first and last.
    fn conds(&self) -> [Cond; 3] {
        let edge = |regex: &String| {
            let op = Op::Regex(regex.as_str().into());
            let test = Cond::Test(Test { subject: Subject::Text, op });
            joined(self.of.iter().cloned().chain([test]).collect(), true)
        };
        [self.of.clone().unwrap_or(Cond::All(Vec::new())), edge(&self.start), edge(&self.end)]
    }
}

/// A report with the pack that it is of.
#[derive(Clone, Copy)]
pub(super) struct Of<'p> {
    pub pack: &'p Pack,
    pub report: &'p Report,
}

/// The reports of packs, and the joins that they name.
pub(super) struct Asked<'p> {
    reports: Vec<Of<'p>>,
    /// With the id of the pack.
    joins: Vec<(&'p str, &'p Join)>,
}

/// Adds the conditions and parts of all reports to what a program is made of.
pub(super) fn ask<'p>(packs: &'p [Pack], spec: &mut Spec) -> Asked<'p> {
    let reports: Vec<Of<'_>> =
        packs.iter().flat_map(|pack| pack.reports.iter().map(move |report| Of { pack, report })).collect();
    let mut joins: Vec<(&str, &Join)> = Vec::new();
    for Of { pack, report } in &reports {
        let join = report.join.as_ref().and_then(|id| pack.joins.iter().find(|join| join.id == *id));
        if let Some(join) = join
            && !joins.iter().any(|(of, known)| *of == pack.id && known.id == join.id)
        {
            joins.push((&pack.id, join));
        }
        spec.watches.extend(report.of.clone());
    }
    for (_, join) in &joins {
        let [of, start, end] = join.conds();
        spec.watches.extend(join.of.is_some().then_some(of).into_iter().chain([start, end]));
    }
    let read =
        reports.iter().flat_map(|of| of.report.sources()).chain(joins.iter().flat_map(|(_, join)| &join.by));
    spec.read.extend(read.filter_map(|source| match source {
        Source::Part(subject, _) => Some(subject.clone()),
        _ => None,
    }));
    Asked { reports, joins }
}

/// The reports, compiled; `roles` gets those of what `ask` had watched. `zone` is that of reports that have none.
pub(super) fn compiled(
    asked: &Asked<'_>,
    program: &Program,
    zone: &TimeZone,
    roles: &mut Vec<Role>,
) -> report::Reports {
    let mut out = report::Reports::default();
    for (index, Of { report, .. }) in asked.reports.iter().enumerate() {
        let index = index as u32;
        match report.of {
            Some(_) => roles.push(Role::Row { report: index }),
            None => out.every.push(index),
        }
    }
    for (index, (_, join)) in asked.joins.iter().enumerate() {
        let index = index as u32;
        match join.of {
            Some(_) => roles.push(Role::Joins { join: index }),
            None => out.every_join.push(index),
        }
        roles.extend([Role::Starts { join: index }, Role::Ends { join: index }]);
        let by = join.by.iter().map(|source| cell(source, program));
        out.joins.push(report::Join { by: by.collect(), within_us: join.within_us, max: join.max });
    }
    for of in &asked.reports {
        let twice =
            asked.reports.iter().any(|other| other.pack.id != of.pack.id && other.report.id == of.report.id);
        let name = if twice { format!("{}.{}", of.pack.id, of.report.id) } else { of.report.id.clone() };
        let join = asked
            .joins
            .iter()
            .position(|(pack, join)| **pack == *of.pack.id && of.report.join.as_ref() == Some(&join.id));
        out.list.push(Arc::new(one(of, name, join, program, zone)));
    }
    out
}

fn cell(source: &Source, program: &Program) -> Cell {
    let slot = |subject: &Subject| program.slot(subject).expect("what is read was asked for");
    let what = match source {
        Source::Part(subject @ Subject::Key(Key::Computer), _) => What::Computer(slot(subject)),
        Source::Part(Subject::Text, _) => What::Message,
        Source::Part(subject, _) => What::Slot(slot(subject)),
        Source::Id => What::Id,
        Source::Time => What::Time,
        Source::Received => What::Received,
        Source::Nothing => What::Nothing,
    };
    Cell { what, sent: None, format: None }
}

fn one(of: &Of<'_>, name: String, join: Option<usize>, program: &Program, zone: &TimeZone) -> report::Report {
    let Of { pack, report } = of;
    let zone = report.zone.as_ref().unwrap_or(zone);
    let mut cells: Vec<Cell> = report
        .columns
        .iter()
        .map(|column| Cell {
            sent: column.sent.as_ref().map(|(key, ty)| (key.as_bytes().into(), *ty)),
            format: column.format.as_ref().map(|format| (format.as_str().into(), zone.clone())),
            ..cell(&column.source, program)
        })
        .collect();
    let mut place = |cell: Cell| {
        let known = cells.iter().skip(report.columns.len()).position(|known| *known == cell);
        let at = known.map_or(cells.len(), |at| at + report.columns.len());
        if at == cells.len() {
            cells.push(cell);
        }
        at as u16
    };
    let merge = report.merge.as_ref().map(|(by, within_us)| Merge {
        by: by.iter().map(|source| place(cell(source, program))).collect(),
        within_us: *within_us,
    });
    let mut tables: Vec<Table> = Vec::new();
    for figure in &report.summary {
        let by = figure.by.iter().map(|(name, source)| (name.as_str().into(), place(cell(source, program))));
        let by: Vec<(Box<str>, u16)> = by.collect();
        let of = figure.of.as_ref().map(|source| match cell(source, program) {
            Cell { what: What::Slot(slot), .. } => {
                place(Cell { what: What::Number(slot), sent: None, format: None })
            }
            other => place(other),
        });
        let figure = Figure { head: figure.title.as_str().into(), aggregate: figure.aggregate, of };
        match tables.iter_mut().find(|table| table.by == by) {
            Some(table) => table.figures.push(figure),
            None => tables.push(Table { by, figures: vec![figure] }),
        }
    }
    let attribution = cells.iter().find_map(|cell| match cell.what {
        What::Slot(slot) | What::Number(slot) => program.attribution(slot),
        _ => None,
    });
    let attribution = attribution.cloned();
    report::Report {
        id: format!("{}.report.{}", pack.id, report.id).into(),
        name: name.into(),
        title: report.title.as_str().into(),
        heads: report.columns.iter().map(|column| column.title.as_str().into()).collect(),
        cells,
        window_us: report.window_us,
        zone: zone.clone(),
        schedule: report.schedule.clone(),
        formats: report.formats,
        retention_us: report.retention_us,
        join: join.map(|join| join as u32),
        merge,
        tables,
        attribution,
        shape: shape(of, zone),
    }
}

/// What must be equal for rows and sums to mean the same: nothing that depends on what else there is, and no titles.
fn shape(Of { pack, report }: &Of<'_>, zone: &TimeZone) -> u64 {
    let columns: Vec<_> =
        report.columns.iter().map(|column| (&column.source, &column.sent, &column.format)).collect();
    let figures: Vec<_> =
        report.summary.iter().map(|figure| (figure.aggregate, &figure.of, &figure.by)).collect();
    let join = pack.joins.iter().find(|join| Some(&join.id) == report.join.as_ref());
    let rows = (&report.of, report.window_us, zone, columns, &report.merge, join);
    hash_of(format!("{rows:?}{figures:?}").as_bytes())
}
