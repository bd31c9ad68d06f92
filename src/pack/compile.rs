//! From packs, in the pipeline's order, to one program.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::{Object, Pack, alert, built_in, dashlet, metric, report};
use crate::event::KindId;
use crate::geo::Countries;
use crate::parse::heroku;
use crate::plan::rules::cond::{Cond, Op, Subject};
use crate::plan::rules::{
    self, BuildError, Derive, ExtractSpec, FieldSpec, ObjectRule, ObjectSpec, Program, Spec, Take,
};
use crate::plan::watch::Watch;

/// Kinds that one byte can number.
const KINDS_MAX: usize = 256;

/// Why packs, each of which is right, do not go together.
#[derive(Debug)]
pub enum CompileError {
    /// Two packs give a field different types.
    FieldTypes {
        field: String,
        packs: [String; 2],
    },
    /// Two packs give metrics of one name different types or labels.
    Metrics {
        name: String,
        packs: [String; 2],
    },
    /// More kinds than can be numbered.
    Kinds,
    /// Two packs have one id.
    Twice(String),
    Build(BuildError),
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CompileError::FieldTypes { field, packs: [a, b] } => {
                write!(f, "field `{field}` has one type in pack `{a}` and another in pack `{b}`")
            }
            CompileError::Metrics { name, packs: [a, b] } => {
                write!(
                    f,
                    "metric `{name}` has one type or set of labels in pack `{a}` and another in pack `{b}`"
                )
            }
            CompileError::Kinds => write!(f, "the packs have more than {KINDS_MAX} kinds"),
            CompileError::Twice(id) => write!(f, "two packs are called `{id}`"),
            CompileError::Build(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for CompileError {}

/// Returns the names of kinds by `KindId`: the parser's, those of `before` and those that packs add.
///
/// A kind keeps its number over reloads if `before` is what the plan before had.
///
/// # Errors
/// [`CompileError::Kinds`] if there are too many.
pub fn kinds(packs: &[Pack], before: &[Box<str>]) -> Result<Vec<Box<str>>, CompileError> {
    let mut kinds: Vec<Box<str>> = heroku::KINDS.iter().map(|kind| (*kind).into()).collect();
    let of_packs = packs.iter().flat_map(|pack| &pack.objects).filter_map(|object| object.kind.as_deref());
    for kind in before.iter().map(|kind| &**kind).chain(of_packs) {
        if !kinds.iter().any(|known| **known == *kind) {
            kinds.push(kind.into());
        }
    }
    if kinds.len() > KINDS_MAX {
        return Err(CompileError::Kinds);
    }
    Ok(kinds)
}

/// Compiles packs, in their order; `before` is the kinds of the plan before.
///
/// What the built-in Heroku pack says of kinds the parser does by itself; the same text in a pack is not run twice. Alerts
/// that are off are left out, and so is what only they would need.
///
/// # Errors
/// What does not go together.
pub fn compile(packs: &[Pack], before: &[Box<str>]) -> Result<Compiled, CompileError> {
    compile_with(packs, before, For::Shards)
}

/// Packs, compiled.
#[derive(Clone, Debug)]
pub struct Compiled {
    pub program: Arc<Program>,
    pub watch: Arc<Watch>,
}

/// What somebody besides the packs wants to know of events.
#[derive(Debug, Default)]
pub struct Extra {
    /// Conditions by which filters and masks choose.
    pub selects: Vec<Cond>,
    /// Fields that are read, shown or not.
    pub fields: Vec<Box<str>>,
    /// Zone of reports that have none; absent: UTC.
    pub report_zone: Option<TimeZone>,
    /// Where countries are looked up; absent: in the table that is compiled in.
    pub countries: Option<Arc<Countries>>,
}

/// As [`compile`], with what the pipeline wants to know besides.
///
/// # Errors
/// What does not go together.
pub fn compile_for(packs: &[Pack], before: &[Box<str>], extra: &Extra) -> Result<Compiled, CompileError> {
    compile_more(packs, before, For::Shards, extra)
}

/// What a program is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// Only what changes events, or is on.
    Shards,
    /// All alerts, on or off, and all values.
    Tests,
    /// The same, and the packs' own text for what the parser could do.
    Explaining,
}

/// As [`compile`], for whoever wants more than shards do.
pub(super) fn compile_with(
    packs: &[Pack],
    before: &[Box<str>],
    purpose: For,
) -> Result<Compiled, CompileError> {
    compile_more(packs, before, purpose, &Extra::default())
}

fn compile_more(
    packs: &[Pack],
    before: &[Box<str>],
    purpose: For,
    extra: &Extra,
) -> Result<Compiled, CompileError> {
    let kinds = kinds(packs, before)?;
    let mut spec = Spec {
        kinds,
        known_fields: heroku::FIELDS,
        known_addresses: heroku::ADDRESSES,
        keep_all: purpose != For::Shards,
        ..Spec::default()
    };
    let mut types: HashMap<&str, (&Pack, &FieldSpec)> = HashMap::new();
    for (index, pack) in packs.iter().enumerate() {
        if packs[..index].iter().any(|other| other.id == pack.id) {
            return Err(CompileError::Twice(pack.id.clone()));
        }
        for field in &pack.fields {
            match types.get(&*field.name) {
                Some((other, known)) if known.ty != field.ty => {
                    let packs = [other.id.clone(), pack.id.clone()];
                    return Err(CompileError::FieldTypes { field: field.name.to_string(), packs });
                }
                Some(_) => {}
                None => {
                    types.insert(&field.name, (pack, field));
                    spec.fields.push(field.clone());
                }
            }
        }
    }
    metric::agree(packs)?;
    // Nobody else scrapes.
    let metered = if purpose == For::Shards { packs } else { &[] };
    let mut builtin_at = None;
    let mut alerts = Vec::new();
    let mut dashlets = Vec::new();
    for pack in packs {
        dashlets.extend(pack.dashlets.iter().map(|dashlet| (pack.id.as_str(), dashlet)));
        let parsed = purpose != For::Explaining && says_what_the_parser_does(pack);
        if parsed {
            builtin_at = Some(spec.objects.len());
        }
        let objects =
            pack.objects.iter().filter(|object| !(parsed && object.kind.is_some()) && does_something(object));
        for object in objects {
            let kind = |name: &String| {
                spec.kinds.iter().position(|known| **known == **name).map(|at| KindId(at as u8))
            };
            let rules = object.rules.iter();
            let rules =
                rules.map(|rule| ObjectRule { when: rule.when.clone(), extract: rule.extract.clone() });
            spec.objects.push(ObjectSpec {
                id: format!("{}.knowledge.{}", pack.id, object.id).into(),
                kind: object.kind.as_ref().and_then(kind),
                by_kind: object.by_kind,
                rules: rules.collect(),
            });
        }
        for derive in &pack.derive {
            let field = (derive.field != "severity").then(|| derive.field.as_str().into());
            spec.derive.push(Derive { field, steps: derive.steps.clone() });
        }
        let categories = pack.categories.iter();
        let category = |id: &str| format!("{}.category.{id}", pack.id).into();
        spec.categories.extend(categories.map(|one| (category(&one.id), one.when.clone())));
        let watched = pack.alerts.iter().filter(|alert| purpose != For::Shards || alert.mode != "off");
        alerts.extend(watched.map(|alert| alert::Of { pack: &pack.id, version: &pack.version, alert }));
    }
    alert::ask(&alerts, &mut spec);
    let asked = report::ask(packs, &mut spec);
    // Behind all that have roles.
    let first = dashlet::ask(&dashlets, &mut spec);
    let first_metered = metric::ask(metered, &mut spec);
    spec.selects.clone_from(&extra.selects);
    spec.countries.clone_from(&extra.countries);
    spec.read.extend(extra.fields.iter().cloned().map(Subject::Field));
    if purpose == For::Shards {
        leave_out_unseen(&mut spec, &mut builtin_at);
    }
    spec.builtin_at = builtin_at.unwrap_or(spec.objects.len());
    let program = rules::build(&spec).map_err(CompileError::Build)?;
    let (alerts, mut roles, every) = alert::compiled(&alerts, &program);
    let reports =
        report::compiled(&asked, &program, extra.report_zone.as_ref().unwrap_or(&TimeZone::UTC), &mut roles);
    let dashlets = Arc::new(dashlet::compiled(&dashlets, first, &program));
    let metrics = Arc::new(metric::compiled(metered, first_metered, &program));
    let watch = Watch { alerts, roles, every, reports, dashlets, metrics };
    Ok(Compiled { program: Arc::new(program), watch: Arc::new(watch) })
}

/// Leaves objects out of which nobody sees anything: they give no kind, and all they write is neither shown nor asked
/// about.
fn leave_out_unseen(spec: &mut Spec, builtin_at: &mut Option<usize>) {
    // What is derived may come from anything; packs that derive are few.
    if !spec.derive.is_empty() {
        return;
    }
    let shown = spec.fields.iter().filter(|field| field.output).map(|field| field.name.clone());
    let mut wanted: HashSet<Box<str>> = shown.collect();
    wanted.extend(spec.read.iter().filter_map(|subject| match subject {
        Subject::Field(name) => Some(name.clone()),
        _ => None,
    }));
    let conds = spec.categories.iter().map(|(_, cond)| cond);
    for cond in conds.chain(&spec.watches).chain(&spec.selects) {
        cond.tests(&mut |test| {
            let other = match &test.op {
                Op::Same(other) => Some(other),
                _ => None,
            };
            for subject in [Some(&test.subject), other].into_iter().flatten() {
                if let Subject::Field(name) = subject {
                    wanted.insert(name.clone());
                }
            }
        });
    }
    // Of the last first: one may be taken from another that is.
    for field in spec.fields.iter().rev() {
        if let Some((take, from)) = &field.take
            && (*take != Take::Country || wanted.contains(&field.name))
        {
            wanted.insert(from.clone());
        }
    }
    let is_wanted = |extract: &ExtractSpec| match extract {
        ExtractSpec::Kv { emit: None, .. } => true,
        ExtractSpec::Kv { emit: Some(emit), .. } => emit.iter().any(|name| wanted.contains(name)),
        ExtractSpec::Regex { groups, .. } => groups.iter().any(|name| wanted.contains(name)),
        ExtractSpec::Delimited { fields, .. } => fields.iter().flatten().any(|name| wanted.contains(name)),
        ExtractSpec::Json(paths) => paths.iter().any(|(_, field)| wanted.contains(field)),
        ExtractSpec::Format { field, .. } => wanted.contains(field),
    };
    let seen = |object: &ObjectSpec| {
        object.kind.is_some() || object.rules.iter().flat_map(|rule| &rule.extract).any(is_wanted)
    };
    let keep: Vec<bool> = spec.objects.iter().map(seen).collect();
    if let Some(at) = builtin_at {
        *at = keep[..*at].iter().filter(|keep| **keep).count();
    }
    let mut keep = keep.into_iter();
    spec.objects.retain(|_| keep.next().expect("one flag an object"));
}

/// Whether the objects of a pack that give kinds are, one by one, those of the built-in Heroku pack: then the parser has
/// found the kind already. That it finds the same is proven by the tests of this module.
fn says_what_the_parser_does(pack: &Pack) -> bool {
    if pack.id != "heroku" {
        return false;
    }
    let giving = |pack: &Pack| -> Vec<Object> {
        pack.objects.iter().filter(|object| object.kind.is_some()).cloned().collect()
    };
    built_in("heroku").is_some_and(|known| giving(&known) == giving(pack))
}

/// Whether an object gives a kind or extracts by itself; one whose fields a reader of the engine finds does neither.
pub(super) fn does_something(object: &Object) -> bool {
    object.kind.is_some() || object.rules.iter().any(|rule| !rule.extract.is_empty())
}
