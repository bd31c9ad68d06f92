//! Writes YAML: a tree as text, and a change into a text that people wrote, whose comments stay.

use serde_json::{Map, Value as Json};

use crate::config::node::{self, At, Name, Node, Value};

const NOWHERE: At = At { line: 1, column: 1 };

/// A tree as JSON: single values are texts, nothing is null.
pub(super) fn to_json(node: &Node) -> Json {
    match &node.value {
        _ if node.is_null() => Json::Null,
        Value::Scalar { text, .. } => Json::String(text.clone()),
        Value::List(items) => Json::Array(items.iter().map(to_json).collect()),
        Value::Map(entries) => {
            Json::Object(entries.iter().map(|(name, node)| (name.text.clone(), to_json(node))).collect())
        }
    }
}

/// JSON as a tree without places.
pub(super) fn of_json(json: &Json) -> Node {
    let word = |text: String| Value::Scalar { plain: is_plain(&text), text };
    let value = match json {
        Json::Null => Value::Scalar { text: "null".into(), plain: true },
        Json::Bool(flag) => word(flag.to_string()),
        Json::Number(number) => word(number.to_string()),
        Json::String(text) => word(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(of_json).collect()),
        Json::Object(map) => Value::Map(
            map.iter()
                .map(|(key, value)| (Name { at: NOWHERE, text: key.clone() }, of_json(value)))
                .collect(),
        ),
    };
    Node { at: NOWHERE, end: NOWHERE, value }
}

/// Whether a text without quotes is itself, anywhere.
fn is_plain(text: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '/' | '$' | '=');
    let first = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '+' | '/' | '$');
    let number = text.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    !matches!(text, "null" | "Null" | "NULL") && text.chars().all(good) && (number || text.starts_with(first))
}

fn word(text: &str, plain: bool) -> String {
    if plain && (is_plain(text) || text == "null") {
        return text.into();
    }
    if plain && text.is_empty() {
        return "null".into();
    }
    // A text of JSON is one of YAML.
    serde_json::to_string(text).expect("texts are JSON")
}

/// A tree on one line.
pub(super) fn flow(node: &Node) -> String {
    match &node.value {
        Value::Scalar { text, plain } => word(text, *plain),
        Value::List(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) => {
            let entries = entries.iter().map(|(name, node)| format!("{}: {}", key(name), flow(node)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

fn key(name: &Name) -> String {
    word(&name.text, is_plain(&name.text))
}

/// A document: mappings and lists are written over lines down to `depth` levels, and on one line below.
pub(super) fn document(root: &Node, depth: usize) -> String {
    let mut out = String::new();
    block(root, depth, 0, &mut out);
    out
}

fn block(node: &Node, depth: usize, indent: usize, out: &mut String) {
    let blank = " ".repeat(indent);
    match &node.value {
        Value::Map(entries) if depth > 0 && !entries.is_empty() => {
            for (name, node) in entries {
                out.push_str(&format!("{blank}{}:", key(name)));
                below(node, depth - 1, indent + 2, out);
            }
        }
        Value::List(items) if depth > 0 && !items.is_empty() => {
            for item in items {
                // What an item holds is one line: the next level would begin on the line of its dash.
                out.push_str(&format!("{blank}- {}\n", flow(item)));
            }
        }
        _ => out.push_str(&format!("{blank}{}\n", flow(node))),
    }
}

fn below(node: &Node, depth: usize, indent: usize, out: &mut String) {
    let many = match &node.value {
        Value::Map(entries) => !entries.is_empty(),
        Value::List(items) => !items.is_empty(),
        Value::Scalar { .. } => false,
    };
    if many && depth > 0 {
        out.push('\n');
        block(node, depth, indent, out);
    } else {
        out.push_str(&format!(" {}\n", flow(node)));
    }
}

/// Merges `patch` into `to` as RFC 7396 says: mappings key by key, null removes, anything else replaces.
pub(super) fn merge(to: &mut Json, patch: &Json) {
    let Json::Object(patch) = patch else {
        *to = patch.clone();
        return;
    };
    if !to.is_object() {
        *to = Json::Object(Map::new());
    }
    let map = to.as_object_mut().expect("made so");
    for (key, value) in patch {
        match value {
            Json::Null => {
                map.remove(key);
            }
            value => merge(map.entry(key.clone()).or_insert(Json::Null), value),
        }
    }
}

/// The texts of single values, so that two trees can be compared.
fn as_texts(json: &Json) -> Json {
    match json {
        Json::Bool(flag) => Json::String(flag.to_string()),
        Json::Number(number) => Json::String(number.to_string()),
        Json::Array(items) => Json::Array(items.iter().map(as_texts).collect()),
        Json::Object(map) => {
            Json::Object(map.iter().map(|(key, value)| (key.clone(), as_texts(value))).collect())
        }
        other => other.clone(),
    }
}

/// Returns `text` with `patch` merged into it as RFC 7396 says, and whether all else of it stayed as it was.
///
/// Values are put in where they belong; where that cannot be done, the whole is written anew and comments are lost.
pub(super) fn patched(text: &str, patch: &Json) -> (String, bool) {
    let tree = node::parse(text);
    let mut wanted = tree.root.as_ref().map_or(Json::Null, to_json);
    merge(&mut wanted, &as_texts(patch));
    let mut changed = text.to_string();
    let mut leaves = Vec::new();
    collect(patch, &mut Vec::new(), &mut leaves);
    for (path, value) in leaves {
        let Some(next) = put(&changed, &path, value) else {
            return (document(&of_json(&wanted), 4), false);
        };
        changed = next;
    }
    // To take away what is not there is no change.
    if changed == text {
        return (changed, true);
    }
    let tree = node::parse(&changed);
    let same = tree.faults.is_empty() && tree.root.as_ref().is_some_and(|root| to_json(root) == wanted);
    match same {
        true => (changed, true),
        false => (document(&of_json(&wanted), 4), false),
    }
}

/// Every value of a patch that is no mapping, with its path.
fn collect<'p>(patch: &'p Json, path: &mut Vec<&'p str>, out: &mut Vec<(Vec<&'p str>, &'p Json)>) {
    match patch {
        Json::Object(map) => {
            for (key, value) in map {
                path.push(key);
                collect(value, path, out);
                path.pop();
            }
        }
        value => out.push((path.clone(), value)),
    }
}

/// Puts one value in at its path; `None` if the form of the text is none that is known here.
fn put(text: &str, path: &[&str], value: &Json) -> Option<String> {
    let tree = node::parse(text);
    let mut node = tree.root.as_ref()?;
    for (depth, name) in path.iter().enumerate() {
        let Value::Map(entries) = &node.value else { return None };
        match entries.iter().find(|(key, _)| key.text == *name) {
            Some((_, next)) => node = next,
            None if value.is_null() => return Some(text.into()),
            None => {
                let nested = path[depth + 1..].iter().rev().fold(value.clone(), |inner, name| {
                    Json::Object(Map::from_iter([(name.to_string(), inner)]))
                });
                let entry = Json::Object(Map::from_iter([(name.to_string(), nested)]));
                return insert(text, node, entries, &of_json(&entry), depth == 0);
            }
        }
    }
    if value.is_null() {
        return None;
    }
    let (from, to) = (offset(text, node.at)?, offset(text, node.end)?);
    Some(format!("{}{}{}", &text[..from], flow(&of_json(value)), &text[to..]))
}

/// Puts a mapping of one entry into another, at its end if that is known.
fn insert(text: &str, map: &Node, entries: &[(Name, Node)], entry: &Node, is_root: bool) -> Option<String> {
    let at = offset(text, map.at)?;
    let line = flow(entry);
    let line = &line[1..line.len() - 1];
    if text[at..].starts_with('{') {
        let separator = if entries.is_empty() { "" } else { ", " };
        return Some(format!("{}{line}{separator}{}", &text[..at + 1], &text[at + 1..]));
    }
    if is_root {
        let end = if text.ends_with('\n') { "" } else { "\n" };
        return Some(format!("{text}{end}{}", document(entry, 3)));
    }
    let (first, (_, last)) = (entries.first()?.0.at, entries.last()?);
    let blank = " ".repeat(first.column - 1);
    let is_block = !matches!(last.value, Value::Scalar { .. })
        && !text[offset(text, last.at)?..].starts_with(['{', '[']);
    if is_block || last.is_null() {
        let at = offset(text, first)?;
        return Some(format!("{}{line}\n{blank}{}", &text[..at], &text[at..]));
    }
    let end = offset(text, last.end)?;
    match text[end..].find('\n') {
        Some(len) => Some(format!("{}{blank}{line}\n{}", &text[..=end + len], &text[end + len + 1..])),
        None => Some(format!("{text}\n{blank}{line}\n")),
    }
}

/// The byte at a place.
fn offset(text: &str, at: At) -> Option<usize> {
    let line: usize = text.split_inclusive('\n').take(at.line - 1).map(str::len).sum();
    let rest = &text[line..];
    let column = rest.char_indices().map(|(at, _)| at).chain([rest.len()]).nth(at.column - 1)?;
    Some(line + column)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_leaves_the_rest_as_it_was() {
        let on = json!({"heroku": {"alerts": {"crash": {"mode": "on"}}}});
        let cases = [
            // One that is there is replaced, whatever stands around it.
            (
                "# ours\nweir: overlay/v1\nheroku:\n  alerts:\n    crash: {mode: off, notify: [a]}  # why\n",
                "# ours\nweir: overlay/v1\nheroku:\n  alerts:\n    crash: {mode: on, notify: [a]}  # why\n",
            ),
            (
                "weir: overlay/v1\nheroku:\n  alerts:\n    # first\n    scan: {mode: on}\n  disabled: []\n",
                "weir: overlay/v1\nheroku:\n  alerts:\n    # first\n    scan: {mode: on}\n    crash: {mode: on}\n  disabled: []\n",
            ),
            (
                "weir: overlay/v1\nheroku: {params: {a: 1}}\n",
                "weir: overlay/v1\nheroku: {alerts: {crash: {mode: on}}, params: {a: 1}}\n",
            ),
            (
                "weir: overlay/v1  # v\nother: {}",
                "weir: overlay/v1  # v\nother: {}\nheroku:\n  alerts:\n    crash: {mode: on}\n",
            ),
            ("{weir: overlay/v1}\n", "{heroku: {alerts: {crash: {mode: on}}}, weir: overlay/v1}\n"),
            (
                "weir: overlay/v1\nheroku:\n  alerts:\n    crash:\n      # é\n      mode: 'shadow'\n",
                "weir: overlay/v1\nheroku:\n  alerts:\n    crash:\n      # é\n      mode: on\n",
            ),
        ];
        for (before, after) in cases {
            assert_eq!(patched(before, &on), (after.to_string(), true), "{before}");
        }
    }

    #[test]
    fn what_cannot_be_put_in_is_written_anew() {
        let on = json!({"heroku": {"alerts": {"crash": {"mode": "on"}}}});
        let (text, kept) = patched("weir: overlay/v1\nheroku:\n  alerts:\n  # nothing yet\n", &on);
        let expect = "heroku:\n  alerts:\n    crash:\n      mode: on\nweir: overlay/v1\n";
        assert!(kept || text == expect, "{text}");
        let gone = json!({"heroku": {"alerts": {"crash": null}}});
        let (text, kept) = patched(
            "# c\nweir: overlay/v1\nheroku: {alerts: {crash: {mode: on}, scan: {mode: on}}}\n",
            &gone,
        );
        assert_eq!(text, "heroku:\n  alerts:\n    scan:\n      mode: on\nweir: overlay/v1\n");
        assert!(!kept);
        // What was not there needs no change.
        assert_eq!(patched("weir: overlay/v1\n", &gone), ("weir: overlay/v1\n".into(), true));
    }

    #[test]
    fn texts_keep_their_meaning() {
        for text in
            ["on", "5", "-5", "1.10", "", "~", "null", "a: b", "shop-*", "- a", "é\n\"", "#x", "@a", "10m"]
        {
            let json = json!({"k": [text, {text: text}]});
            for written in [flow(&of_json(&json)), document(&of_json(&json), 3)] {
                let tree = node::parse(&written);
                assert!(tree.faults.is_empty(), "{written}");
                assert_eq!(to_json(&tree.root.unwrap()), json, "{written}");
            }
        }
    }

    proptest::proptest! {
        /// Whatever the overlay looks like, the change is in it and nothing else.
        #[test]
        fn a_change_is_exactly_that(
            flow_style in proptest::bool::ANY,
            keys in proptest::collection::vec("[a-c]{1}", 0..4),
            values in proptest::collection::vec("[a-z é'\":#{},-]{0,6}", 4..5),
        ) {
            let mut json = json!({"weir": "overlay/v1"});
            for (key, value) in keys.iter().zip(&values) {
                json[key] = json!({"alerts": {"x": {"mode": value}}});
            }
            let before = if flow_style { flow(&of_json(&json)) } else { document(&of_json(&json), 3) };
            let patch = json!({"a": {"alerts": {"x": {"mode": "on"}, "y": {"drains": ["shop-*"]}}}});
            merge(&mut json, &patch);
            let (after, _) = patched(&before, &patch);
            proptest::prop_assert_eq!(node::parse(&after).root.map(|root| to_json(&root)), Some(json));
        }
    }
}
