//! `$name`: a list or a param put in before anything else is read.
//!
//! It stands for a whole value; a list within a list gives its items. `$$` at the start of a value is a dollar, and so
//! is a dollar anywhere else.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::config::node::{At, Node, Value};
use crate::config::schema::nearest;

/// What `$name` may stand for.
#[derive(Default)]
pub(super) struct Names {
    lists: BTreeMap<String, (At, Vec<Node>)>,
    /// By name: where it is declared, and its value.
    params: BTreeMap<String, (At, String)>,
    pub used: BTreeSet<String>,
    /// Items that lists have put in so far.
    items: usize,
}

/// Items that all uses of lists may put in together: room for a thousand uses of a list of a thousand.
const ITEMS_MAX: usize = 1_000_000;

/// A problem and a hint.
pub(super) type Complaint = (At, String, String);

impl Names {
    /// Takes lists and params out of a pack's tree; `set` holds values that stand in for defaults.
    pub fn of(root: &Node, set: &[(String, String)], complain: &mut Vec<Complaint>) -> Names {
        let mut names = Names::default();
        for (name, value) in entries(child(root, "lists")) {
            let items = match &value.value {
                Value::List(items) => items.clone(),
                Value::Scalar { .. } if !value.is_null() => vec![value.clone()],
                _ => {
                    let message = format!("list `{}` is {}", name.text, value.what());
                    complain.push((value.at, message, "a list of values: `[\"a\", \"b\"]`".into()));
                    continue;
                }
            };
            for item in items.iter().filter(|item| !matches!(item.value, Value::Scalar { .. })) {
                let message = format!("an item of list `{}` is {}", name.text, item.what());
                complain.push((item.at, message, "a list holds single values".into()));
            }
            names.lists.insert(name.text.clone(), (name.at, items));
        }
        for (name, value) in entries(child(root, "pack").and_then(|head| child(head, "params"))) {
            let default = child(value, "default").and_then(|default| match &default.value {
                Value::Scalar { text, .. } => Some(text.clone()),
                _ => None,
            });
            let own = set.iter().rev().find(|(known, _)| *known == name.text).map(|(_, value)| value.clone());
            if let Some(value) = own.or(default) {
                names.params.insert(name.text.clone(), (name.at, value));
            }
            if let Some((at, _)) = names.lists.get(&name.text) {
                let message = format!("`{}` is a list and a param", name.text);
                complain.push((name.at, message, format!("the list is in line {}; rename one", at.line)));
            }
        }
        for (name, _) in set.iter().filter(|(name, _)| !names.params.contains_key(name)) {
            let known = || names.params.keys().map(String::as_str);
            let hint = hint_for(name, known());
            complain.push((At { line: 1, column: 1 }, format!("there is no param `{name}` to set"), hint));
        }
        names
    }

    /// Lists that nothing names.
    pub fn unused(&self) -> impl Iterator<Item = (&str, At)> {
        let unused = self.lists.iter().filter(|(name, _)| !self.used.contains(*name));
        unused.map(|(name, (at, _))| (name.as_str(), *at))
    }

    /// The params with their values.
    pub fn params(&self) -> impl Iterator<Item = (&str, &str)> {
        self.params.iter().map(|(name, (_, value))| (name.as_str(), value.as_str()))
    }

    /// Puts lists and params in, everywhere but where they are declared and in tests, whose lines are raw text.
    pub fn put_in(&mut self, root: &mut Node, complain: &mut Vec<Complaint>) {
        let Value::Map(sections) = &mut root.value else { return };
        for (name, node) in sections {
            if !matches!(name.text.as_str(), "pack" | "lists" | "tests" | "weir") {
                self.put(node, complain);
            }
        }
    }

    fn put(&mut self, node: &mut Node, complain: &mut Vec<Complaint>) {
        match &mut node.value {
            Value::Map(entries) => entries.iter_mut().for_each(|(_, value)| self.put(value, complain)),
            Value::List(items) => {
                for item in items.iter_mut() {
                    self.put(item, complain);
                }
                // Only a named list makes a list of single values within one; a list written so is left for its reader.
                if items.iter().any(|item| item.at == item.end) {
                    let spliced = std::mem::take(items).into_iter().flat_map(|item| match item {
                        Node { at, end, value: Value::List(inner) } if at == end => inner,
                        other => vec![other],
                    });
                    *items = spliced.collect();
                }
            }
            Value::Scalar { text, plain } => {
                let Some(name) = text.strip_prefix('$') else { return };
                if name.starts_with('$') {
                    *text = name.to_string();
                    *plain = false;
                    return;
                }
                if !is_name(name) {
                    return;
                }
                if let Some((_, items)) = self.lists.get(name) {
                    self.used.insert(name.to_string());
                    let before = self.items;
                    self.items += items.len();
                    if self.items > ITEMS_MAX {
                        if before <= ITEMS_MAX {
                            let message = format!("lists put more than {ITEMS_MAX} values in");
                            complain.push((node.at, message, "a macro holds a condition once".into()));
                        }
                        *text = String::new();
                        *plain = false;
                        return;
                    }
                    let at = node.at;
                    let items =
                        items.iter().map(|item| Node { at, end: node.end, value: item.value.clone() });
                    // An extent of nothing marks what a name gave.
                    *node = Node { at, end: at, value: Value::List(items.collect()) };
                } else if let Some((_, value)) = self.params.get(name) {
                    self.used.insert(name.to_string());
                    *text = value.clone();
                } else {
                    let known = self.lists.keys().chain(self.params.keys()).map(String::as_str);
                    let hint = hint_for(name, known);
                    complain.push((node.at, format!("there is no list or param `{name}`"), hint));
                    *text = String::new();
                    *plain = false;
                }
            }
        }
    }
}

fn hint_for<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    match nearest(name, known) {
        Some(near) => format!("did you mean `${near}`?"),
        None => "lists stand under `lists`, params under `pack.params`; `$$` is a dollar".into(),
    }
}

fn is_name(text: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    text.starts_with(first) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The value of a key of a mapping.
pub(crate) fn child<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    match &node.value {
        Value::Map(entries) => entries.iter().find(|(key, _)| key.text == name).map(|(_, value)| value),
        _ => None,
    }
}

/// The entries of a mapping; nothing has none.
pub(crate) fn entries(node: Option<&Node>) -> &[(crate::config::node::Name, Node)] {
    match node.map(|node| &node.value) {
        Some(Value::Map(entries)) => entries,
        _ => &[],
    }
}

/// The items of a list; nothing has none.
pub(crate) fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

/// The text of a single value.
pub(crate) fn text(node: Option<&Node>) -> Option<&str> {
    match node.map(|node| &node.value) {
        Some(Value::Scalar { text, .. }) => Some(text),
        _ => None,
    }
}

/// How often each name stands in a list, those that stand once left out.
pub(super) fn repeated<'n>(names: impl Iterator<Item = (&'n str, At)>) -> Vec<(&'n str, At, At)> {
    let mut first: HashMap<&str, At> = HashMap::new();
    let mut again = Vec::new();
    for (name, at) in names {
        match first.get(name) {
            Some(before) => again.push((name, at, *before)),
            None => {
                first.insert(name, at);
            }
        }
    }
    again
}
