//! Packs: what the monitoring knows, as a document that people write, test and share.
//!
//! A document is read in one step into a [`Pack`], or into every complaint there is about it; packs are compiled
//! together into one program. Both know no clock, socket or thread. Keys stand once, in [`keys`], from which the reader,
//! the schema and the reference page all come.
//!
//! Read, checked and compiled are fields, knowledge objects, derived fields, categories and the conditions of alerts.
//! Windows, reports, joins, dashlets, metrics and masks are read and checked, and evaluated by nothing yet.

mod alert;
mod categories;
mod check;
mod compile;
mod dashlet;
mod condition;
mod detect;
pub mod explain;
mod keys;
mod names;
mod probe;
mod read;
pub mod reference;
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
pub use dashlet::Dashlet;
pub use read::{is_pack, load, path_of, read};
pub use site::{Filter, Site, site};
pub use witness::conflicts;

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde_json::{Value as Json, json};

use crate::config::schema::{detect, document, nearest};
use crate::config::{Problem, Problems};
use crate::plan::OnNoMatch;
use crate::plan::rules::cond::Cond;
use crate::plan::rules::{DeriveStep, ExtractSpec, FieldSpec};

/// The packs that are compiled in, by id, with their text.
pub const BUILT_IN: [(&str, &str); 2] = [
    ("heroku", include_str!("../../pipelines/heroku/pack.yaml")),
    ("generic", include_str!("../../pipelines/generic/pack.yaml")),
];

/// Room for ten thousand rules with their tests.
const FILE_BYTES_MAX: u64 = 16 << 20;

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
    pub dashlets: Vec<Dashlet>,
    /// Pattern and the group that names the sender, active rules only.
    pub device_rules: Vec<(String, String)>,
    /// What becomes of a frame that no rule names; absent: the pack has no word on it.
    pub on_no_match: Option<OnNoMatch>,
    pub tests: Vec<trial::Trial>,
    /// Names of what is read and evaluated by nothing yet: kind and id.
    pub others: Vec<(&'static str, String)>,
    /// Values of the params.
    pub params: BTreeMap<String, String>,
    /// What is odd but no error.
    pub warnings: Problems,
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

/// Loads packs, each the id of a compiled-in one or a path; `set` gives params other values, in every pack that
/// has them.
///
/// # Errors
/// Every problem of the first pack that has any; or a param to set that no pack has.
pub fn load_all<S: AsRef<str>>(names: &[S], set: &[(String, String)]) -> Result<Vec<Pack>, Problems> {
    let known: Vec<Pack> = BUILT_IN.iter().filter_map(|(id, _)| built_in(id)).collect();
    let mut packs: Vec<Pack> = Vec::new();
    for name in names.iter().map(S::as_ref) {
        let others: Vec<Pack> = packs.iter().chain(&known).cloned().collect();
        let read_with = |set: &[(String, String)]| match BUILT_IN.iter().find(|(id, _)| *id == name) {
            Some((id, text)) => read(id, text, set, &others),
            None => load(std::path::Path::new(name), set, &others).map_err(|problems| match meant(name) {
                Some(hint) => problem(name, &format!("there is no pack `{name}`"), hint),
                None => problems,
            }),
        };
        let pack = read_with(&[])?;
        let own = set.iter().filter(|(param, _)| pack.params.contains_key(param)).cloned();
        let own: Vec<(String, String)> = own.collect();
        packs.push(if own.is_empty() { pack } else { read_with(&own)? });
    }
    let has = |param: &str| packs.iter().any(|pack| pack.params.contains_key(param));
    if let Some((param, _)) = set.iter().find(|(param, _)| !has(param)) {
        let known = packs.iter().flat_map(|pack| pack.params.keys()).map(String::as_str);
        let hint = nearest(param, known)
            .map_or("params stand under `pack.params`".into(), |near| format!("did you mean `{near}`?"));
        return Err(problem("--set", &format!("no pack has a param `{param}`"), hint));
    }
    Ok(packs)
}

/// A hint if a name looks like the id of a compiled-in pack and is no file.
fn meant(name: &str) -> Option<String> {
    let is_id = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_id || std::path::Path::new(name).exists() {
        return None;
    }
    Some(match nearest(name, BUILT_IN.iter().map(|(id, _)| *id)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            format!("compiled in are {}; anything else is a path", BUILT_IN.map(|(id, _)| id).join(" and "))
        }
    })
}

fn problem(file: &str, message: &str, hint: String) -> Problems {
    let (file, message) = (file.into(), message.into());
    let mut problems = Problems::default();
    problems.push(Problem { file, line: 0, column: 0, message, hint: Some(hint), snippet: None });
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
