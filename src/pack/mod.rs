//! Packs: what the monitoring knows, as a document that people write, test and share.
//!
//! A document is read in one step into a [`Pack`], or into every complaint there is about it; packs are compiled
//! together into one program. Both know no clock, socket or thread. Keys stand once, in [`keys`], from which the reader,
//! the schema and the reference page all come.

mod alert;
mod categories;
mod check;
mod compile;
mod dashlet;
mod condition;
mod country;
pub mod coverage;
mod detect;
pub mod explain;
mod keys;
mod metric;
pub(crate) mod names;
pub mod overlay;
mod probe;
mod read;
pub mod reference;
mod report;
mod scope;
mod site;
#[cfg(test)]
mod tests;
pub mod trial;
mod values;
mod walk;
mod witness;

pub use alert::Alert;
pub use compile::{CompileError, Compiled, Extra, compile, compile_for, kinds};
pub use dashlet::{Dashlet, Of};
pub use metric::{Label, Metric};
pub use read::{id_of, is_pack, load, path_of, read};
pub use site::{Filter, Site, site};
pub use witness::{Conflict, conflicts};

use std::borrow::Cow;
use std::collections::BTreeMap;

use ipnet::IpNet;
use serde_json::{Value as Json, json};

use crate::config::read::text_of;
use crate::config::schema::{detect, document, nearest};
use crate::config::{Problem, Problems};
use crate::plan::OnNoMatch;
use crate::plan::rules::cond::Cond;
use crate::plan::rules::convert::Number;
use crate::plan::rules::{DeriveStep, ExtractSpec, FieldSpec};

/// The packs that are compiled in, by id, with their text.
pub const BUILT_IN: [(&str, &str); 2] = [
    ("heroku", include_str!("../../pipelines/heroku/pack.yaml")),
    ("generic", include_str!("../../pipelines/generic/pack.yaml")),
];

/// Room for ten thousand rules with their tests.
pub(crate) const FILE_BYTES_MAX: u64 = 16 << 20;

const REGEX_HINT: &str = "expressions take linear time: no look-around, no back-references; write what must match, not what must not";

/// A pack, checked; conditions are resolved.
#[derive(Clone, Debug, Default)]
pub struct Pack {
    pub id: String,
    pub version: String,
    pub title: String,
    pub fields: Vec<FieldSpec>,
    pub objects: Vec<Object>,
    pub derive: Vec<Derive>,
    pub macros: BTreeMap<String, Cond>,
    pub categories: Vec<Category>,
    pub alerts: Vec<Alert>,
    pub reports: Vec<report::Report>,
    pub joins: Vec<report::Join>,
    pub dashlets: Vec<Dashlet>,
    pub metrics: Vec<Metric>,
    /// Pattern and the group that names the sender, active rules only.
    pub device_rules: Vec<(String, String)>,
    /// What becomes of a frame that no rule names; absent: the pack has no word on it.
    pub on_no_match: Option<OnNoMatch>,
    pub masks: Vec<Mask>,
    pub tests: Vec<trial::Trial>,
    /// Names of what is read and evaluated by nothing yet: kind and id.
    pub others: Vec<(&'static str, String)>,
    /// Values of the params.
    pub params: BTreeMap<String, String>,
    /// What each param may be.
    pub param_specs: BTreeMap<String, Param>,
    /// What is odd but no error.
    pub warnings: Problems,
}

/// What a value of a param may be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Param {
    /// int, number, text, duration, size or flag.
    pub ty: String,
    pub min: Option<String>,
    pub max: Option<String>,
}

impl Param {
    /// Whether `value` is one of the type, within the bounds.
    pub fn takes(&self, value: &str) -> bool {
        let amount = |text: &str| match self.ty.as_str() {
            "int" | "number" => Number::parse(text.as_bytes()),
            "duration" => crate::config::duration(text)
                .and_then(|d| Some(Number::of(u64::try_from(d.as_millis()).ok()?))),
            "size" => crate::config::size(text).map(Number::of),
            _ => None,
        };
        let fits = match self.ty.as_str() {
            "flag" => matches!(value, "true" | "false"),
            "text" => true,
            "int" => amount(value).is_some() && !value.contains('.'),
            _ => amount(value).is_some(),
        };
        let bound = |bound: &Option<String>| bound.as_deref().and_then(amount);
        let above = bound(&self.min).is_none_or(|min| amount(value) >= Some(min));
        let below = bound(&self.max).is_none_or(|max| amount(value) <= Some(max));
        fits && above && below
    }

    /// Says what it takes, for hints: `int, 1 to 100`.
    pub fn describe(&self) -> String {
        match (&self.min, &self.max) {
            (None, None) => self.ty.clone(),
            (Some(min), None) => format!("{}, {min} at least", self.ty),
            (None, Some(max)) => format!("{}, {max} at most", self.ty),
            (Some(min), Some(max)) => format!("{}, {min} to {max}", self.ty),
        }
    }
}

/// A knowledge object.
#[derive(Clone, Debug)]
pub struct Object {
    pub id: String,
    /// What `kind` says on its events.
    pub kind: Option<String>,
    /// Whether some rule asks for the kind, so that it runs after those that do not.
    pub by_kind: bool,
    pub rules: Vec<ObjectRule>,
    /// Line and column where it stands in its file.
    pub place: (usize, usize),
}

impl PartialEq for Object {
    /// Whether two objects say the same, wherever they stand.
    fn eq(&self, other: &Object) -> bool {
        (&self.id, &self.kind, self.by_kind, &self.rules)
            == (&other.id, &other.kind, other.by_kind, &other.rules)
    }
}

/// One rule of an object.
#[derive(Clone, Debug)]
pub struct ObjectRule {
    pub when: Cond,
    pub extract: Vec<ExtractSpec>,
    /// Readers of the engine that it names.
    pub readers: Vec<String>,
}

impl PartialEq for ObjectRule {
    /// Whether two rules say the same.
    fn eq(&self, other: &ObjectRule) -> bool {
        let shown = |rule: &ObjectRule| format!("{:?}", rule.extract);
        self.when == other.when && self.readers == other.readers && shown(self) == shown(other)
    }
}

/// A field that is worked out from others; the field `severity` is the event's key.
#[derive(Clone, Debug)]
pub struct Derive {
    pub field: String,
    pub steps: Vec<DeriveStep>,
}

/// What no output shows.
#[derive(Clone, Debug)]
pub struct Mask {
    pub id: String,
    /// A mask of the engine.
    pub builtin: Option<String>,
    pub regex: Option<String>,
    /// The field that is masked, or where `regex` looks.
    pub field: Option<String>,
    /// Only in these events.
    pub when: Option<Cond>,
    /// What stands in its place.
    pub with: String,
    /// Whether it masks.
    pub is_on: bool,
}

#[derive(Clone, Debug)]
pub struct Category {
    pub id: String,
    pub title: String,
    pub when: Cond,
}

impl Pack {
    /// Describes the pack in a few lines: how many of what.
    pub fn summary(&self) -> String {
        let rules: usize = self.objects.iter().map(|object| object.rules.len()).sum();
        let mut out = format!("  {} {}: {}\n", self.id, self.version, self.title);
        let counts = [
            (self.fields.len(), "fields"),
            (self.objects.len(), "knowledge objects"),
            (rules, "rules"),
            (self.categories.len(), "categories"),
            (self.alerts.len(), "alerts"),
            (self.reports.len(), "reports"),
            (self.tests.len(), "tests"),
        ];
        out.push_str(&format!("  {}\n", counts.map(|(n, what)| format!("{n} {what}")).join(", ")));
        let mut later: BTreeMap<&str, usize> = BTreeMap::new();
        for (kind, _) in &self.others {
            *later.entry(kind).or_default() += 1;
        }
        if !later.is_empty() {
            let all: Vec<String> = later.iter().map(|(kind, n)| format!("{n} of kind {kind}")).collect();
            out.push_str(&format!("  checked, not evaluated by this version: {}\n", all.join(", ")));
        }
        out
    }
}

/// Returns the device id rules in force where a listener has these: its own, then the packs', the built-in one last unless
/// it stands before. No pattern is tried twice.
pub fn device_rules<'r>(
    own: impl IntoIterator<Item = (&'r str, &'r str)>,
    packs: &'r [Pack],
    built_in: (&'r str, &'r str),
) -> Vec<(&'r str, &'r str)> {
    let own: Vec<_> = own.into_iter().collect();
    let first = own.strip_suffix(&[built_in]).unwrap_or(&own);
    let of_packs = packs.iter().flat_map(|pack| &pack.device_rules);
    let of_packs = of_packs.map(|(pattern, token)| (pattern.as_str(), token.as_str()));
    let mut rules: Vec<(&str, &str)> = Vec::new();
    for rule in first.iter().copied().chain(of_packs).chain(own[first.len()..].iter().copied()) {
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    rules
}

/// Returns a compiled-in pack.
pub fn built_in(id: &str) -> Option<Pack> {
    let (_, text) = BUILT_IN.iter().find(|(known, _)| *known == id)?;
    Some(read(id, text, &[], &[]).expect("packs that are compiled in are tested"))
}

/// The text of a pack, with where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The id by which a pipeline names it; of a pack that is named by its path, the path.
    pub id: String,
    /// What messages call it.
    pub name: String,
    pub text: Cow<'static, str>,
}

/// The packs that are compiled in.
pub fn compiled_in() -> Vec<Source> {
    let source = |(id, text): &(&str, &'static str)| Source {
        id: id.to_string(),
        name: id.to_string(),
        text: Cow::Borrowed(*text),
    };
    BUILT_IN.iter().map(source).collect()
}

/// Finds the texts of packs, each the id of one of `known` or a path.
///
/// # Errors
/// The first that is neither, or cannot be read.
pub fn find<S: AsRef<str>>(names: &[S], known: &[Source]) -> Result<Vec<Source>, Problems> {
    let one = |name: &S| {
        let name = name.as_ref();
        if let Some(source) = known.iter().find(|source| source.id == name) {
            return Ok(source.clone());
        }
        let path = path_of(std::path::Path::new(name));
        let file = path.display().to_string();
        match text_of(&path, "the pack", FILE_BYTES_MAX) {
            Ok(text) => Ok(Source { id: name.to_string(), name: file, text: Cow::Owned(text) }),
            Err(message) => Err(match meant(name, known) {
                Some(hint) => problem(name, &format!("there is no pack `{name}`"), hint),
                None => problem(&file, &message, String::new()),
            }),
        }
    };
    names.iter().map(one).collect()
}

/// Reads packs, in their order; `set` says which params of a pack have which values. Each may name what packs before it
/// and all of `known` define.
///
/// # Errors
/// Every problem of the first pack that has any.
pub fn read_all(
    chosen: &[Source],
    known: &[Source],
    set: &dyn Fn(&Pack) -> Vec<(String, String)>,
) -> Result<Vec<Pack>, Problems> {
    // One that is broken and not chosen is nobody's loss.
    let known: Vec<Pack> =
        known.iter().filter_map(|source| read(&source.name, &source.text, &[], &[]).ok()).collect();
    let mut packs: Vec<Pack> = Vec::new();
    for source in chosen {
        let others: Vec<Pack> = packs.iter().chain(&known).cloned().collect();
        let pack = read(&source.name, &source.text, &[], &others)?;
        let own = set(&pack).into_iter().filter(|(param, _)| pack.params.contains_key(param));
        let own: Vec<(String, String)> = own.collect();
        packs.push(match own.is_empty() {
            true => pack,
            false => read(&source.name, &source.text, &own, &others)?,
        });
    }
    Ok(packs)
}

/// Loads packs, each the id of a compiled-in one or a path; `set` gives params other values, in every pack that
/// has them.
///
/// # Errors
/// Every problem of the first pack that has any; or a param to set that no pack has.
pub fn load_all<S: AsRef<str>>(names: &[S], set: &[(String, String)]) -> Result<Vec<Pack>, Problems> {
    let known = compiled_in();
    let packs = read_all(&find(names, &known)?, &known, &|_| set.to_vec())?;
    let has = |param: &str| packs.iter().any(|pack| pack.params.contains_key(param));
    if let Some((param, _)) = set.iter().find(|(param, _)| !has(param)) {
        let known = packs.iter().flat_map(|pack| pack.params.keys()).map(String::as_str);
        let hint = nearest(param, known)
            .map_or("params stand under `pack.params`".into(), |near| format!("did you mean `{near}`?"));
        return Err(problem("--set", &format!("no pack has a param `{param}`"), hint));
    }
    Ok(packs)
}

/// A hint if a name looks like the id of a pack and is no file.
fn meant(name: &str, known: &[Source]) -> Option<String> {
    let is_id = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_id || std::path::Path::new(name).exists() {
        return None;
    }
    let ids: Vec<&str> = known.iter().map(|source| source.id.as_str()).collect();
    Some(match nearest(name, ids.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}; anything else is a path", ids.join(" and ")),
    })
}

pub(crate) fn problem(file: &str, message: &str, hint: String) -> Problems {
    let (file, message) = (file.into(), message.into());
    let mut problems = Problems::default();
    let hint = Some(hint).filter(|hint| !hint.is_empty());
    problems.push(Problem { file, line: 0, column: 0, message, hint, snippet: None });
    problems
}

/// Returns the JSON schema (draft 2020-12) of a pack.
pub fn schema() -> Json {
    let variable = json!({"type": "string", "pattern": r"^\$[A-Za-z_][A-Za-z0-9_]*$"});
    document(keys::PACK, "weir pack, pack/v1", variable, detect())
}

/// Reads a network, or an address as the network of itself.
fn network(text: &str) -> Option<IpNet> {
    let network = text.parse::<IpNet>().ok().map(|network| network.trunc());
    network.or_else(|| Some(crate::plan::rules::convert::address(text.as_bytes())?.into()))
}
