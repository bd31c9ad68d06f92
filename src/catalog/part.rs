//! A part of a pack, put into the pack of that id that there is.

use std::collections::BTreeSet;

use super::{Catalog, yaml};
use crate::config::node::{self, Name, Node, Value};
use crate::pack::names::{child, entries, items, text};
use crate::pack::overlay;

/// What a part may be: its kind, the key that it stands under, and the key of its name; `None` where the mapping's keys
/// are the names.
const KINDS: [(&str, &str, Option<&str>); 11] = [
    ("knowledge", "knowledge_objects", Some("id")),
    ("category", "categories", Some("id")),
    ("alert", "alerts", Some("id")),
    ("report", "reports", Some("id")),
    ("dashlet", "dashlets", Some("id")),
    ("metric", "metrics", Some("name")),
    ("join", "joins", Some("id")),
    ("redact", "redact", Some("id")),
    ("list", "lists", None),
    ("lookup", "lookups", None),
    ("macro", "macros", None),
];
/// What parts name, and so bring along where the pack lacks it.
const NAMED: [&str; 4] = ["fields", "lists", "lookups", "macros"];

/// Returns the text of the pack with the items of `text` that `only` names in it, and with what those name.
///
/// # Errors
/// If `only` names nothing there, or the document cannot be read at all.
pub(super) fn taken(catalog: &Catalog, name: &str, from: &str, only: &str) -> Result<String, String> {
    let (kind, id) = only.split_once('/').map_or((only, None), |(kind, id)| (kind, Some(id)));
    let Some((_, key, by)) = KINDS.into_iter().find(|(known, ..)| *known == kind) else {
        let kinds: Vec<&str> = KINDS.iter().map(|(kind, ..)| *kind).collect();
        let hint = overlay::nearest_of(kind, &kinds, "kinds are");
        return Err(format!("`{kind}` is no kind of item\nhint: {hint}\n"));
    };
    let tree = node::parse(from);
    let Some(root) = tree.root.filter(|_| tree.faults.is_empty()) else {
        // Its errors are said as those of a whole pack.
        return Ok(from.into());
    };
    let pack = child(&root, "pack").and_then(|head| text(child(head, "id"))).unwrap_or_default();
    let found = members(child(&root, key), by);
    let chosen: Vec<(String, &Name, &Node)> =
        found.iter().filter(|(own, ..)| id.is_none_or(|id| id == own)).cloned().collect();
    if chosen.is_empty() {
        let ids: Vec<&str> = found.iter().map(|(id, ..)| id.as_str()).collect();
        let hint = id.map_or("the pack has none".into(), |id| overlay::nearest_of(id, &ids, "there are"));
        return Err(format!("{name}: there is no {only} to take\nhint: {hint}\n"));
    }
    let mut base = match catalog.entry(pack) {
        Some(entry) => {
            node::parse(&entry.source.text).root.expect("a pack that was read is no empty document")
        }
        None => Node { value: Value::Map(heads(&root)), ..root.clone() },
    };
    let mut words = BTreeSet::new();
    // Several metrics may have one name; those that there were go together.
    if kind == "metric" {
        let of = section(&mut base, key, false);
        if let Value::List(list) = &mut of.value {
            list.retain(|known| !chosen.iter().any(|(own, ..)| text(child(known, "name")) == Some(own)));
        }
    }
    for (own, key_name, node) in &chosen {
        gather(node, &mut words);
        put(&mut base, key, by, own, key_name, node);
    }
    bring(&root, &mut base, &mut words);
    if kind == "alert" {
        let ids: Vec<&str> = chosen.iter().map(|(id, ..)| id.as_str()).collect();
        bring_tests(&root, &mut base, &ids);
    }
    Ok(format!("# Put together by weir from parts; comments were lost.\n{}", yaml::document(&base, 3)))
}

/// Version and head of a pack.
fn heads(root: &Node) -> Vec<(Name, Node)> {
    let heads = entries(Some(root)).iter().filter(|(name, _)| matches!(name.text.as_str(), "weir" | "pack"));
    heads.cloned().collect()
}

/// The items of a section with their names; of a list the section's name stands for the key.
fn members<'n>(section: Option<&'n Node>, by: Option<&str>) -> Vec<(String, &'n Name, &'n Node)> {
    const NONE: &Name = &Name { at: node::At { line: 1, column: 1 }, text: String::new() };
    match by {
        None => entries(section).iter().map(|(name, node)| (name.text.clone(), name, node)).collect(),
        Some(by) => items(section)
            .iter()
            .filter_map(|node| Some((text(child(node, by))?.to_string(), NONE, node)))
            .collect(),
    }
}

/// Puts an item in, in place of the one by its name.
fn put(base: &mut Node, key: &str, by: Option<&str>, id: &str, name: &Name, item: &Node) {
    let section = section(base, key, by.is_none());
    match &mut section.value {
        Value::List(list) => {
            let by = by.unwrap_or("id");
            let is_alone = key != "metrics";
            match list.iter_mut().find(|known| is_alone && text(child(known, by)) == Some(id)) {
                Some(known) => *known = item.clone(),
                None => list.push(item.clone()),
            }
        }
        Value::Map(map) => match map.iter_mut().find(|(known, _)| known.text == id) {
            Some((_, known)) => *known = item.clone(),
            None => map.push((name.clone(), item.clone())),
        },
        Value::Scalar { .. } => {}
    }
}

/// The section of a pack, made if it is not there.
fn section<'n>(base: &'n mut Node, key: &str, is_map: bool) -> &'n mut Node {
    let (at, end) = (base.at, base.end);
    if !matches!(base.value, Value::Map(_)) {
        base.value = Value::Map(Vec::new());
    }
    let Value::Map(sections) = &mut base.value else { unreachable!("made a mapping above") };
    let empty = || if is_map { Value::Map(Vec::new()) } else { Value::List(Vec::new()) };
    let place = sections.iter().position(|(name, _)| name.text == key).unwrap_or_else(|| {
        sections.push((Name { at, text: key.into() }, Node { at, end, value: empty() }));
        sections.len() - 1
    });
    let found = &mut sections[place].1;
    if found.is_null() {
        found.value = empty();
    }
    found
}

/// Adds what `words` name and the pack lacks, and what that names.
fn bring(root: &Node, base: &mut Node, words: &mut BTreeSet<String>) {
    loop {
        let before = words.len();
        for key in NAMED {
            for (name, node) in entries(child(root, key)) {
                if !words.contains(&name.text) {
                    continue;
                }
                gather(node, words);
                if entries(child(base, key)).iter().all(|(known, _)| known.text != name.text) {
                    put(base, key, None, &name.text, name, node);
                }
            }
        }
        if words.len() == before {
            break;
        }
    }
    let params = child(root, "pack").and_then(|head| child(head, "params"));
    for (name, node) in entries(params).iter().filter(|(name, _)| words.contains(&name.text)) {
        let head = section(base, "pack", true);
        let known = section(head, "params", true);
        if let Value::Map(map) = &mut known.value
            && map.iter().all(|(known, _)| known.text != name.text)
        {
            map.push((name.clone(), node.clone()));
        }
    }
}

/// Takes the tests along that name one of the alerts, in place of those that the pack has of them.
fn bring_tests(root: &Node, base: &mut Node, alerts: &[&str]) {
    let names_one = |test: &Node| {
        let expect = child(test, "expect");
        let keys = ["alerts", "matches", "first_fire_after"];
        let mut named = keys.iter().flat_map(|key| entries(expect.and_then(|expect| child(expect, key))));
        named.any(|(name, _)| alerts.contains(&name.text.as_str()))
    };
    let new: Vec<Node> = items(child(root, "tests")).iter().filter(|test| names_one(test)).cloned().collect();
    if new.is_empty() {
        return;
    }
    if let Value::List(tests) = &mut section(base, "tests", false).value {
        tests.retain(|test| {
            let name = text(child(test, "name"));
            !names_one(test) && !new.iter().any(|new| text(child(new, "name")) == name)
        });
        tests.extend(new);
    }
}

/// Every word of a tree: names and what stands in texts.
fn gather(node: &Node, words: &mut BTreeSet<String>) {
    let mut take = |text: &str| {
        let parts = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.extend(parts.filter(|part| !part.is_empty()).map(str::to_string));
    };
    match &node.value {
        Value::Scalar { text, .. } => take(text),
        Value::List(items) => items.iter().for_each(|item| gather(item, words)),
        Value::Map(entries) => {
            entries.iter().for_each(|(name, _)| take(&name.text));
            entries.iter().for_each(|(_, node)| gather(node, words));
        }
    }
}
