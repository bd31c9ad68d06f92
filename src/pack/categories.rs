//! Categories in a condition: each stands for the condition of its own.

use super::detect::Detects;
use super::values::{joined, pieces};
use crate::config::node::{Name, Node, Value};
use crate::config::read::Reader;
use crate::config::schema::nearest;
use crate::plan::rules::cond::{Cond, Glob, glob};

/// How a text compares with ids.
const MODIFIERS: [&str; 5] = ["contains", "startswith", "endswith", "all", "exists"];

impl Detects<'_> {
    /// Reads a matcher of `categories`; `None` of the outer kind if it asks about something else, or where categories
    /// cannot be asked about.
    pub(super) fn categories(
        &mut self,
        r: &mut Reader<'_>,
        name: &Name,
        node: &Node,
        owner: &str,
    ) -> Option<Option<Cond>> {
        let mut parts = name.text.split('|');
        if parts.next() != Some("categories") || self.scope.category_conds.is_none() {
            return None;
        }
        let modifiers: Vec<&str> = parts.collect();
        if let Some(unknown) = modifiers.iter().find(|one| !MODIFIERS.contains(one)) {
            let message = format!("`categories` has no modifier `{unknown}` in {owner}");
            r.note(name.at, message, format!("known are {}", MODIFIERS.join(", ")));
            return Some(None);
        }
        let values = match &node.value {
            Value::List(items) => &items[..],
            _ => std::slice::from_ref(node),
        };
        let conds: Option<Vec<Cond>> =
            values.iter().map(|value| self.category(r, value, &modifiers, owner)).collect();
        if values.is_empty() {
            r.note(node.at, format!("`categories` in {owner} has no value"), "the full id of a category");
            return Some(None);
        }
        Some(conds.map(|conds| joined(conds, modifiers.contains(&"all"))))
    }

    fn category(&self, r: &mut Reader<'_>, node: &Node, modifiers: &[&str], owner: &str) -> Option<Cond> {
        let known = self.scope.category_conds.as_ref()?;
        let Value::Scalar { text, .. } = &node.value else {
            r.note(node.at, format!("a category of {owner} is {}", node.what()), "the full id of a category");
            return None;
        };
        let any = || Cond::Any(known.values().cloned().collect());
        match (node.is_null(), modifiers.contains(&"exists"), text.as_str()) {
            (true, ..) | (_, true, "false") => return Some(Cond::Not(Box::new(any()))),
            (_, true, "true") => return Some(any()),
            (_, true, _) => {
                r.note(
                    node.at,
                    format!("`exists` is true or false, not `{text}`"),
                    "`categories|exists: true`",
                );
                return None;
            }
            _ => {}
        }
        let mut pattern = pieces(text);
        if modifiers.iter().any(|one| matches!(*one, "contains" | "endswith")) {
            pattern.insert(0, Glob::Many);
        }
        if modifiers.iter().any(|one| matches!(*one, "contains" | "startswith")) {
            pattern.push(Glob::Many);
        }
        let found: Vec<Cond> = known
            .iter()
            .filter(|(id, _)| glob(&pattern, id.as_bytes(), false))
            .map(|(_, cond)| cond.clone())
            .collect();
        if found.is_empty() {
            let hint = match nearest(text, known.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "the full id of a category, such as `heroku.category.requests`".into(),
            };
            r.note(node.at, format!("there is no category `{text}` for {owner}"), hint);
            return None;
        }
        Some(joined(found, false))
    }
}
