//! Sigma rules as a pack: each becomes an alert that is off; one that the engine cannot evaluate is left out, with the reason.
//!
//! A pack's conditions are Sigma's, so a rule's detection is taken as it is written, and the checker of packs is the judge.
//! What a rule looks at beyond events is told: a log source that says nothing here is a note, never dropped in silence.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::yaml;
use crate::config::node::{self, At, Name, Node, Value};
use crate::config::read::text_of;
use crate::pack;
use crate::pack::names::{child, entries, items, text};
use crate::plan::rules::cond::Key;

/// Bytes of one file: rules are small.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// The block that stands for a rule's log source; `them` passes over it.
const SOURCE: &str = "_logsource";

/// Services of syslog hosts, and the APP-NAME that they log under; ASCII case is ignored.
const SERVICES: [(&str, &[&str]); 8] = [
    ("sshd", &["sshd", "sshd-session"]),
    ("sudo", &["sudo"]),
    ("su", &["su"]),
    ("cron", &["cron", "crond"]),
    ("auditd", &["auditd", "audisp", "audispd", "audit"]),
    ("vsftpd", &["vsftpd"]),
    ("clamav", &["clamd", "clamav", "freshclam"]),
    ("guacamole", &["guacd", "guacamole"]),
];

/// A level, its severity and its threat.
const LEVELS: [(&str, &str, u8); 5] = [
    ("informational", "info", 10),
    ("low", "low", 30),
    ("medium", "medium", 50),
    ("high", "high", 70),
    ("critical", "critical", 90),
];

/// What comes of rules.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// The pack's text; empty if no rule was taken.
    pub pack: String,
    pub taken: usize,
    /// File and reason of each rule that was left out.
    pub left_out: Vec<(String, String)>,
    /// File and what should be known of a rule that was taken.
    pub notes: Vec<(String, String)>,
}

impl Imported {
    /// Says what became of the rules, a line each, then the sum.
    pub fn describe(&self) -> String {
        let left = self.left_out.iter().map(|(file, why)| format!("{file}: left out: {why}\n"));
        let notes = self.notes.iter().map(|(file, what)| format!("{file}: note: {what}\n"));
        let sum = format!("rules: {} taken, {} left out\n", self.taken, self.left_out.len());
        left.chain(notes).chain([sum]).collect()
    }
}

/// The texts of a rule, or of all rules below a folder, by path.
///
/// # Errors
/// If a folder or file cannot be read.
pub fn files(path: &Path) -> io::Result<Vec<(String, String)>> {
    let mut paths = Vec::new();
    below(path, &mut paths)?;
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.display().to_string();
        let text = text_of(&path, "the rule", FILE_BYTES_MAX)
            .map_err(|why| io::Error::other(format!("{name}: {why}")))?;
        Ok((name, text))
    };
    paths.into_iter().map(read).collect()
}

fn below(path: &Path, out: &mut Vec<PathBuf>) -> io::Result<()> {
    let wrong = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    if !path.is_dir() {
        fs::metadata(path).map_err(wrong)?;
        out.push(path.to_path_buf());
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(wrong)? {
        let entry = entry?;
        let is_rule = entry.path().extension().is_some_and(|ending| ending == "yml" || ending == "yaml");
        match entry.file_type()? {
            // A link may lead back to where it stands.
            kind if kind.is_dir() => below(&entry.path(), out)?,
            kind if kind.is_file() && is_rule => out.push(entry.path()),
            _ => {}
        }
    }
    Ok(())
}

/// A rule as it was read.
struct Rule<'f> {
    file: &'f str,
    title: String,
    /// What people may want to know: id, author, tags.
    about: Vec<String>,
    severity: &'static str,
    threat: u8,
    detect: Node,
    runbook: String,
    /// The fields that it asks about, and whether as numbers.
    fields: BTreeMap<String, bool>,
    notes: Vec<String>,
}

/// Makes a pack of this id of rules, by file and text.
pub fn import(id: &str, files: &[(String, String)]) -> Imported {
    let mut out = Imported::default();
    let mut rules = Vec::new();
    for (file, text) in files {
        match rule(file, text) {
            Ok(rule) => rules.push(rule),
            Err(why) => out.left_out.push((file.clone(), why)),
        }
    }
    // A field that one rule compares as a number is a number to all.
    let mut fields: BTreeMap<String, bool> = BTreeMap::new();
    for (name, number) in rules.iter().flat_map(|rule| &rule.fields) {
        *fields.entry(name.clone()).or_default() |= number;
    }
    let mut alerts = String::new();
    let mut used = BTreeMap::new();
    let mut ids: Vec<String> = Vec::new();
    for rule in rules {
        let own: BTreeMap<String, bool> =
            rule.fields.keys().map(|name| (name.clone(), fields[name])).collect();
        let name = free_id(&rule.title, &ids);
        let alert = rule.alert(&name);
        match pack::read(rule.file, &document(id, &own, &alert), &[], &[]) {
            Err(problems) => {
                let reasons = problems.iter().map(|problem| match &problem.hint {
                    Some(hint) => format!("{} ({hint})", problem.message),
                    None => problem.message.clone(),
                });
                out.left_out.push((rule.file.into(), reasons.collect::<Vec<_>>().join("; ")));
            }
            Ok(read) => {
                let warnings = read.warnings.iter().map(|warning| warning.message.clone());
                let notes = rule.notes.iter().cloned().chain(warnings);
                out.notes.extend(notes.map(|note| (rule.file.to_string(), note)));
                out.taken += 1;
                used.extend(own);
                alerts += &alert;
                ids.push(name);
            }
        }
    }
    out.left_out.sort();
    if out.taken > 0 {
        out.pack = document(id, &used, &alerts);
    }
    out
}

fn document(id: &str, fields: &BTreeMap<String, bool>, alerts: &str) -> String {
    let mut out = format!("weir: pack/v1\npack: {{id: {id}, version: 0.1.0, title: Sigma rules}}\n");
    if !fields.is_empty() {
        out += "fields:\n";
    }
    for (name, number) in fields {
        let ty = if *number { "f64" } else { "string" };
        out += &format!("  {}: {{type: {ty}}}\n", yaml::flow(&word(name)));
    }
    out + "alerts:\n" + alerts
}

/// An id made of a title, another than those that there are.
fn free_id(title: &str, ids: &[String]) -> String {
    let mut slug = String::new();
    for c in title.chars().take(200) {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() => slug.push(c),
            _ if !slug.is_empty() && !slug.ends_with('_') => slug.push('_'),
            _ => {}
        }
    }
    // `null` is no text in YAML.
    if !slug.starts_with(|c: char| c.is_ascii_lowercase()) || slug == "null" {
        slug.insert_str(0, "rule_");
    }
    slug.truncate(56);
    let slug = slug.trim_end_matches('_').to_string();
    let numbered = (2..).map(|n| format!("{slug}_{n}"));
    let mut all = [slug.clone()].into_iter().chain(numbered);
    all.find(|id| !ids.contains(id)).expect("numbers do not end")
}

impl Rule<'_> {
    /// The text of its alert, an item of `alerts`.
    fn alert(&self, id: &str) -> String {
        let about: String = self.about.iter().map(|line| format!("  # {line}\n")).collect();
        let title = yaml::flow(&word(&self.title));
        let runbook = match self.runbook.is_empty() {
            true => String::new(),
            false => format!("    runbook: {}\n", yaml::flow(&word(&self.runbook))),
        };
        format!(
            "{about}  - id: {id}\n    title: {title}\n    severity: {}\n    threat: {}\n    mode: off\n    detect: {}\n    when: each\n{runbook}",
            self.severity,
            self.threat,
            yaml::flow(&self.detect)
        )
    }
}

const NOWHERE: At = At { line: 1, column: 1 };

fn word(text: &str) -> Node {
    Node { at: NOWHERE, end: NOWHERE, value: Value::Scalar { text: text.into(), plain: false } }
}

fn named(name: &str, node: Node) -> (Name, Node) {
    (Name { at: NOWHERE, text: name.into() }, node)
}

/// Reads a rule; else says why it is none, or none that alone tells something of an event.
fn rule<'f>(file: &'f str, source: &str) -> Result<Rule<'f>, String> {
    let tree = node::parse(source);
    if let Some(fault) = tree.faults.first() {
        return Err(format!("line {}: {}", fault.at.line, fault.message));
    }
    let root = tree.root.as_ref().filter(|root| matches!(root.value, Value::Map(_)));
    let root = root.ok_or("it is no mapping")?;
    for other in ["correlation", "filter", "action"] {
        if child(root, other).is_some() {
            return Err(format!("`{other}`: only rules that look at one event become alerts"));
        }
    }
    let title = line(root, "title").ok_or("it has no `title`")?;
    let mut notes = Vec::new();
    let (detect, fields) = detection(root, &mut notes)?;
    let level = line(root, "level").unwrap_or_default();
    let known = LEVELS.iter().find(|(name, ..)| level == *name);
    if known.is_none() {
        notes.push(format!("level `{level}` is taken for medium"));
    }
    let (_, severity, threat) = known.unwrap_or(&LEVELS[2]);
    let positives = lines(root, "falsepositives");
    let runbook = match positives.is_empty() {
        true => String::new(),
        false => format!("Known false positives: {}.", positives.join("; ").trim_end_matches('.')),
    };
    Ok(Rule { file, title, about: about(root), severity, threat: *threat, detect, runbook, fields, notes })
}

/// The condition of an alert, and the fields that it asks about.
fn detection(root: &Node, notes: &mut Vec<String>) -> Result<(Node, BTreeMap<String, bool>), String> {
    let detection = child(root, "detection").ok_or("it has no `detection`")?;
    let Value::Map(blocks) = &detection.value else { return Err("`detection` is no mapping".into()) };
    let (mut fields, mut detect) = (BTreeMap::new(), Vec::new());
    for (name, node) in blocks.iter().filter(|(name, _)| name.text != "condition") {
        match name.text.as_str() {
            "timeframe" => {
                return Err("`timeframe`: it counts events over time, which no rule here does".into());
            }
            "use" | "not" | SOURCE => {
                return Err(format!("a block is called `{}`, which means something else", name.text));
            }
            _ => {}
        }
        asked(node, &mut fields);
        detect.push((name.clone(), literal(node)));
    }
    let mut condition = condition(child(detection, "condition"))?;
    if let Some(source) = log_source(root, notes) {
        detect.insert(0, named(SOURCE, source));
        condition = format!("{SOURCE} and ({condition})");
    }
    detect.push(named("condition", word(&condition)));
    Ok((Node { at: NOWHERE, end: NOWHERE, value: Value::Map(detect) }, fields))
}

/// What people may want to know of a rule, a line each.
fn about(root: &Node) -> Vec<String> {
    let single = [("Sigma rule", "id"), ("by", "author"), ("license", "license"), ("status", "status")];
    let single = single.iter().filter_map(|(what, name)| Some(format!("{what} {}", line(root, name)?)));
    let lists = [("tags", lines(root, "tags")), ("see", lines(root, "references"))];
    let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
    single.chain(lists.map(|(what, list)| format!("{what} {}", list.join(", ")))).collect()
}

/// A single value, or those of a list.
fn texts(node: Option<&Node>) -> impl Iterator<Item = &str> {
    text(node).into_iter().chain(items(node).iter().filter_map(|item| text(Some(item))))
}

/// The value of a key, on one line; nothing if it is empty.
fn line(root: &Node, name: &str) -> Option<String> {
    text(child(root, name)).map(one_line).filter(|text| !text.is_empty())
}

/// The values of a key, each on one line.
fn lines(root: &Node, name: &str) -> Vec<String> {
    texts(child(root, name)).map(one_line).collect()
}

/// A text without line ends and other control characters.
fn one_line(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_control() || c == ' ').filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// The condition, of a list any.
fn condition(node: Option<&Node>) -> Result<String, String> {
    let all: Vec<&str> = texts(node).collect();
    if let Some(counting) = all.iter().find_map(|one| one.split_once('|')) {
        return Err(format!("`|{}`: aggregations of conditions are not evaluated", counting.1));
    }
    match &all[..] {
        [] => Err("`detection` has no `condition`".into()),
        [one] => Ok(one.to_string()),
        _ => Ok(all.iter().map(|one| format!("({one})")).collect::<Vec<_>>().join(" or ")),
    }
}

/// What the log source asks of an event; what it says beyond that becomes a note.
fn log_source(root: &Node, notes: &mut Vec<String>) -> Option<Node> {
    let source = child(root, "logsource");
    let mut known = None;
    let mut told = Vec::new();
    for (name, node) in entries(source) {
        let Some(value) = text(Some(node)) else { continue };
        let service = SERVICES.iter().find(|(service, _)| name.text == "service" && *service == value);
        match (service, name.text.as_str()) {
            (Some((_, names)), _) => known = Some(*names),
            (None, "product") if value == "linux" => {}
            (None, "definition") => notes.push(format!("it asks for a set-up: {}", one_line(value))),
            (None, _) => told.push(format!("{} `{}`", name.text, one_line(value))),
        }
    }
    if !told.is_empty() {
        notes.push(format!("nothing here tells its log source, {}: it looks at all events", told.join(", ")));
    }
    let names = known?.iter().map(|name| word(name)).collect();
    let list = Node { at: NOWHERE, end: NOWHERE, value: Value::List(names) };
    Some(Node { at: NOWHERE, end: NOWHERE, value: Value::Map(vec![named("source", list)]) })
}

/// Adds the fields that a block asks about, and whether as numbers.
fn asked(node: &Node, fields: &mut BTreeMap<String, bool>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| asked(item, fields)),
        Value::Map(entries) => {
            for (name, value) in entries {
                let mut parts = name.text.split('|');
                let field = parts.next().unwrap_or_default();
                let mut modifiers = parts.clone();
                let number = modifiers.any(|modifier| matches!(modifier, "gt" | "gte" | "lt" | "lte"));
                add(field, number, fields);
                if parts.any(|modifier| modifier == "fieldref") {
                    texts(Some(value)).for_each(|other| add(other, false, fields));
                }
            }
        }
        Value::Scalar { .. } => {}
    }
}

fn add(field: &str, number: bool, fields: &mut BTreeMap<String, bool>) {
    // What events have as a key is no field.
    if !field.is_empty() && field != "message" && !Key::ALL.iter().any(|(_, key)| *key == field) {
        *fields.entry(field.into()).or_default() |= number;
    }
}

/// The node with dollars that stand for themselves.
fn literal(node: &Node) -> Node {
    let value = match &node.value {
        Value::Scalar { text, plain } if text.starts_with('$') => {
            Value::Scalar { text: format!("${text}"), plain: *plain }
        }
        Value::List(items) => Value::List(items.iter().map(literal).collect()),
        Value::Map(entries) => {
            Value::Map(entries.iter().map(|(name, node)| (name.clone(), literal(node))).collect())
        }
        scalar => scalar.clone(),
    };
    Node { value, ..node.clone() }
}

#[cfg(test)]
mod tests;
