//! Packs as a tree: groups, kinds, items, with their state; as JSON, and from it as text.
//!
//! The JSON is what the admin API answers, so that a command says the same of a running weir and of files.

use std::fmt::Write;
use std::time::SystemTime;

use serde_json::{Map, Value as Json, json};

use super::{Catalog, Entry, Origin};
use crate::config::node::{self, Node};
use crate::pack::names::{child, entries, items, text};
use crate::pack::overlay;

/// Kinds of items, each with the key that it stands under and the key of its name; `None` where a mapping's keys are.
const KINDS: [(&str, &str, Option<&str>); 13] = [
    ("field", "fields", None),
    ("knowledge", "knowledge_objects", Some("id")),
    ("list", "lists", None),
    ("lookup", "lookups", None),
    ("macro", "macros", None),
    ("category", "categories", Some("id")),
    ("alert", "alerts", Some("id")),
    ("report", "reports", Some("id")),
    ("join", "joins", Some("id")),
    ("dashlet", "dashlets", Some("id")),
    ("metric", "metrics", Some("name")),
    ("redact", "redact", Some("id")),
    ("test", "tests", Some("name")),
];

/// All packs with the number of their items by kind.
pub fn list(catalog: &Catalog) -> Json {
    let one = |entry: &Entry| {
        let mut json = head(entry);
        let mut kinds = Map::new();
        for item in all_items(catalog, entry) {
            let kind = kinds.entry(word(&item, "kind").to_string()).or_insert_with(|| json!({"count": 0}));
            kind["count"] = json!(kind["count"].as_u64().unwrap_or(0) + 1);
            if let Some(state) = item["state"].as_str() {
                kind[state] = json!(kind[state].as_u64().unwrap_or(0) + 1);
            }
        }
        json["kinds"] = Json::Object(kinds);
        json
    };
    json!({"packs": catalog.entries.iter().map(one).collect::<Vec<_>>()})
}

/// One pack with its items and their text.
pub fn show(catalog: &Catalog, id: &str) -> Option<Json> {
    let entry = catalog.entry(id)?;
    let mut json = head(entry);
    json["items"] = Json::Array(all_items(catalog, entry));
    Some(json)
}

fn head(entry: &Entry) -> Json {
    let tree = node::parse(&entry.source.text);
    let head = tree.root.as_ref().and_then(|root| child(root, "pack"));
    let of = |key: &str| head.and_then(|head| text(child(head, key)));
    let (origin, file, number, before) = match &entry.origin {
        Origin::BuiltIn => ("compiled in", None, None, Vec::new()),
        Origin::Imported(one) => ("imported", Some(&one.path), Some(one.number), one.before.clone()),
        Origin::Path(path) => ("file", Some(path), None, Vec::new()),
    };
    json!({
        "id": entry.id, "version": of("version"), "title": of("title"), "used": entry.used,
        "origin": origin, "file": file, "import": number, "imports_before": before,
        "created": entry.created().map(time), "modified": entry.modified().map(time),
    })
}

fn time(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
}

fn all_items(catalog: &Catalog, entry: &Entry) -> Vec<Json> {
    let tree = node::parse(&entry.source.text);
    let Some(root) = &tree.root else { return Vec::new() };
    let lines: Vec<&str> = entry.source.text.lines().collect();
    let site = catalog.overlay.site(&entry.id).filter(|_| entry.used);
    let pack = catalog.pack(&entry.id).filter(|_| entry.used);
    let mut all = Vec::new();
    for (kind, key, name) in KINDS {
        let found: Vec<(&str, usize, &Node)> = match name {
            None => entries(child(root, key))
                .iter()
                .map(|(name, node)| (&*name.text, name.at.line, node))
                .collect(),
            Some(name) => items(child(root, key))
                .iter()
                .filter_map(|node| Some((text(child(node, name))?, node.at.line, node)))
                .collect(),
        };
        for (id, line, node) in found {
            let left_out = site.is_some_and(|site| site.disabled.iter().any(|(k, i)| *k == kind && i == id));
            let written = || text(child(node, "mode")).unwrap_or("off");
            let state = match kind {
                _ if left_out => Some("left out"),
                "alert" => {
                    let alert = pack.and_then(|pack| pack.alerts.iter().find(|alert| alert.id == id));
                    Some(alert.map_or_else(written, |alert| alert.mode.as_str()))
                }
                "redact" => Some(written()),
                _ => None,
            };
            let changed =
                left_out || kind == "alert" && site.is_some_and(|site| site.alerts.contains_key(id));
            all.push(json!({
                "id": format!("{}.{kind}.{id}", entry.id), "kind": kind, "name": id,
                "title": text(child(node, "title")), "severity": text(child(node, "severity")),
                "state": state, "changed": changed, "line": line, "text": lines_of(&lines, line, node),
            }));
        }
    }
    all
}

/// The lines of an item, without what follows it.
fn lines_of(lines: &[&str], first: usize, node: &Node) -> String {
    // A block ends where the next thing begins.
    let last = if node.end.column > 1 && node.end.line >= first { node.end.line } else { node.end.line - 1 };
    let mut all = lines[first - 1..last.clamp(first, lines.len())].to_vec();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let own = indent(all[0]);
    while all.len() > 1
        && all.last().is_some_and(|line| {
            line.trim().is_empty()
                || line.trim_start().starts_with('#')
                || indent(line) <= own && !line.trim_start().starts_with(['}', ']'])
        })
    {
        all.pop();
    }
    all.join("\n")
}

fn word<'j>(json: &'j Json, key: &str) -> &'j str {
    json[key].as_str().unwrap_or_default()
}

/// The tree of [`list`] as text: one line a pack, below it one a kind.
pub fn list_text(list: &Json) -> String {
    let mut rows = vec![["PACK", "KIND", "COUNT", "CREATED", "MODIFIED", "STATE"].map(str::to_string)];
    for pack in list["packs"].as_array().into_iter().flatten() {
        rows.push([
            word(pack, "id").into(),
            String::new(),
            String::new(),
            day(&pack["created"]),
            day(&pack["modified"]),
            state_of(pack),
        ]);
        for (kind, counts) in pack["kinds"].as_object().into_iter().flatten() {
            let states = counts.as_object().into_iter().flatten().filter(|(key, _)| *key != "count");
            let states: Vec<String> = states.map(|(state, count)| format!("{count} {state}")).collect();
            let count = counts["count"].to_string();
            rows.push([String::new(), kind.clone(), count, String::new(), String::new(), states.join(", ")]);
        }
    }
    columns(&rows)
}

/// One pack as text: its items by kind; or only those whose id is `of` or begins with it.
///
/// # Errors
/// If there are none, with the nearest.
pub fn show_text(pack: &Json, of: &str) -> Result<String, String> {
    let within = |item: &&Json| {
        let id = word(item, "id");
        of == word(pack, "id") || id == of || id.strip_prefix(of).is_some_and(|rest| rest.starts_with('.'))
    };
    let chosen: Vec<&Json> = pack["items"].as_array().into_iter().flatten().filter(within).collect();
    if let [item] = chosen[..]
        && word(item, "id") == of
    {
        let changed = if item["changed"] == true { ", by the overlay" } else { "" };
        let state = item["state"].as_str().map_or(String::new(), |state| format!(": {state}{changed}"));
        return Ok(format!("{of}{state}\n{}\n", word(item, "text")));
    }
    if chosen.is_empty() {
        let ids: Vec<&str> =
            pack["items"].as_array().into_iter().flatten().map(|item| word(item, "id")).collect();
        let kinds = KINDS.map(|(kind, ..)| format!("{}.{kind}", word(pack, "id")));
        let all: Vec<&str> = ids.into_iter().chain(kinds.iter().map(String::as_str)).collect();
        let hint = overlay::nearest_of(of, &all, "there are");
        return Err(format!("there is no `{of}`\nhint: {hint}\n"));
    }
    let mut out = format!(
        "{} {}  {}\n{}\n",
        word(pack, "id"),
        word(pack, "version"),
        word(pack, "title"),
        state_of(pack)
    );
    let mut rows = vec![["ID", "STATE", "SEVERITY", "TITLE"].map(str::to_string)];
    for item in chosen.iter().filter(|item| word(item, "kind") != "test") {
        let changed = if item["changed"] == true { " (overlay)" } else { "" };
        let state = format!("{}{changed}", word(item, "state"));
        rows.push([
            word(item, "id").into(),
            state,
            word(item, "severity").into(),
            word(item, "title").into(),
        ]);
    }
    out.push_str(&columns(&rows));
    let tests = chosen.iter().filter(|item| word(item, "kind") == "test").count();
    if tests > 0 {
        let _ = writeln!(out, "{tests} tests");
    }
    Ok(out)
}

fn state_of(pack: &Json) -> String {
    let used = if pack["used"] == true { "in use" } else { "not in use" };
    let mut out = format!("{used}, {}, {}", word(pack, "version"), word(pack, "origin"));
    if let Some(number) = pack["import"].as_u64() {
        let _ = write!(out, " (number {number})");
    }
    out
}

/// Date and minute of a time.
fn day(time: &Json) -> String {
    time.as_str().map_or("-".into(), |time| time.get(..16).unwrap_or(time).replace('T', " "))
}

/// Rows in columns as wide as their widest cell.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

/// What is said of an id that no pack or item has.
pub fn unknown(catalog: &Catalog, id: &str) -> String {
    let ids: Vec<&str> = catalog.entries.iter().map(|entry| entry.id.as_str()).collect();
    let owner = id.split('.').next().unwrap_or(id);
    format!("there is no pack `{owner}`\nhint: {}\n", overlay::nearest_of(owner, &ids, "packs are"))
}
