//! Checks a pack's tree against the tables of keys, value by value, and reads the conditions on the way.

use std::collections::HashMap;

use super::detect::Detects;
use super::names::{child, repeated, text};
use crate::config;
use crate::config::Text;
use crate::config::node::{At, Node, Value};
use crate::config::read::{Placed, Reader, example};
use crate::config::schema::{Key, Section, Shape, nearest};
use crate::plan::rules::cond::Cond;
use crate::plan::rules::convert::Number;
use crate::plan::rules::regex;

pub(super) struct Walk<'n> {
    pub detects: Detects<'n>,
    /// The conditions that were read, by their place.
    pub conds: HashMap<At, Cond>,
}

impl<'n> Walk<'n> {
    /// Checks a mapping; returns whether it is one.
    pub fn section(
        &mut self,
        r: &mut Reader<'_>,
        node: &Node,
        section: &'static Section,
        owner: &str,
    ) -> bool {
        let own = owner_of(node, section);
        let owner = own.as_deref().unwrap_or(owner);
        let Some(fields) = r.fields(node, section) else { return false };
        for key in section.all() {
            if let Some(value) = fields.node(key.name) {
                self.shape(r, key, value, &key.shape, owner);
            }
        }
        true
    }

    fn shape(
        &mut self,
        r: &mut Reader<'_>,
        key: &'static Key,
        node: &Node,
        shape: &'static Shape,
        owner: &str,
    ) {
        match shape {
            Shape::Section(section) => {
                self.section(r, node, section, owner);
            }
            Shape::List { of, max } => self.list(r, key, node, of, *max, owner),
            Shape::Map { of, max } => self.map(r, key, node, of, *max, owner),
            Shape::Detect => {
                if let Some(cond) = self.detects.detect(r, node, owner) {
                    self.conds.insert(node.at, cond);
                }
            }
            Shape::Of => match &node.value {
                Value::Scalar { text, .. } if !node.is_null() => self.category(r, node, text, owner),
                _ => {
                    if let Some(cond) = self.detects.detect(r, node, owner) {
                        self.conds.insert(node.at, cond);
                    }
                }
            },
            Shape::Either(word, other) => match &node.value {
                Value::Scalar { text, .. } if text == word => {}
                Value::Scalar { text, .. } => {
                    let message = format!("`{text}` is no value of `{}`", key.name);
                    r.note(node.at, message, format!("`{word}`, or {}", example(key)));
                }
                _ => self.shape(r, key, node, other, owner),
            },
            Shape::Any(_) => {}
            _ => self.scalar(r, key, node, shape, owner),
        }
    }

    fn list(
        &mut self,
        r: &mut Reader<'_>,
        key: &'static Key,
        node: &Node,
        of: &'static Shape,
        max: usize,
        owner: &str,
    ) {
        if node.is_null() {
            return;
        }
        let Value::List(items) = &node.value else {
            let message = format!("`{}` is a list, but this is {}", key.name, node.what());
            r.note(node.at, message, example(key));
            return;
        };
        if items.len() > max {
            r.note(node.at, format!("`{}` has {} items", key.name, items.len()), format!("at most {max}"));
            return;
        }
        if let Shape::Section(section) = of {
            // Metrics of one name are told apart by their labels.
            let named = items.iter().filter(|_| key.name != "metrics");
            let ids = named.filter_map(|item| {
                let id = child(item, "id").or(child(item, "name"))?;
                Some((text(Some(id))?, id.at))
            });
            for (id, at, first) in repeated(ids) {
                let message = format!("two of `{}` are called `{id}`", key.name);
                r.note(at, message, format!("the first is in line {}", first.line));
            }
            items.iter().for_each(|item| {
                self.section(r, item, section, owner);
            });
            return;
        }
        items.iter().for_each(|item| self.shape(r, key, item, of, owner));
    }

    fn map(
        &mut self,
        r: &mut Reader<'_>,
        key: &'static Key,
        node: &Node,
        of: &'static Shape,
        max: usize,
        owner: &str,
    ) {
        if node.is_null() {
            return;
        }
        let Value::Map(entries) = &node.value else {
            let message = format!("`{}` is a mapping, but this is {}", key.name, node.what());
            r.note(node.at, message, example(key));
            return;
        };
        if entries.len() > max {
            r.note(
                node.at,
                format!("`{}` has {} entries", key.name, entries.len()),
                format!("at most {max}"),
            );
            return;
        }
        for (name, at, first) in repeated(entries.iter().map(|(name, _)| (name.text.as_str(), name.at))) {
            let message = format!("key `{name}` stands twice in `{}`", key.name);
            r.note(at, message, format!("the first is in line {}", first.line));
        }
        for (name, value) in entries {
            if name.text.is_empty() {
                r.note(name.at, format!("an empty key in `{}`", key.name), example(key));
            }
            // Macros are read by name, when they are used or at the end.
            if !(key.name == "macros" && matches!(of, Shape::Detect)) {
                self.shape(r, key, value, of, owner);
            }
        }
    }

    fn category(&mut self, r: &mut Reader<'_>, node: &Node, id: &str, owner: &str) {
        let scope = &self.detects.scope;
        if scope.categories.contains(id) {
            return;
        }
        let hint = match nearest(id, scope.categories.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "a category's id, or a condition".into(),
        };
        r.note(node.at, format!("there is no category `{id}` for {owner}"), hint);
    }

    fn scalar(&mut self, r: &mut Reader<'_>, key: &'static Key, node: &Node, shape: &Shape, owner: &str) {
        // An empty text between quotes is a text.
        let Some(given) = r.scalar(node, key) else { return };
        let text = given.as_str();
        let name = key.name;
        match shape {
            Shape::Exactly(version) if text != *version => {
                r.note(
                    node.at,
                    format!("this version does not read `{text}`"),
                    format!("it reads `{name}: {version}`"),
                );
            }
            Shape::Id => {
                let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
                let fits = text.len() <= 64 && text.chars().all(good);
                if !(fits && text.starts_with(|c: char| c.is_ascii_lowercase())) {
                    r.note(
                        node.at,
                        format!("`{text}` is no {name}"),
                        "1 to 64 of `a-z`, `0-9` and `_`, a letter first",
                    );
                }
            }
            Shape::Flag if !matches!(text, "true" | "false") => {
                r.note(
                    node.at,
                    format!("`{name}` is true or false, not `{text}`"),
                    "`yes`, `no`, `on` and `off` are words in YAML 1.2",
                );
            }
            Shape::Whole { min, max, .. } => {
                let whole = text.parse::<u64>().ok();
                if !whole.is_some_and(|whole| (*min..=*max).contains(&whole)) {
                    r.note(
                        node.at,
                        format!("`{name}` is a whole number, not `{text}`"),
                        format!("{min} to {max}"),
                    );
                }
            }
            Shape::Duration { min, max, .. } => {
                let ms = config::duration(text).map(|duration| duration.as_millis());
                if !ms.is_some_and(|ms| (u128::from(*min)..=u128::from(*max)).contains(&ms)) {
                    let (min, max) = (config::show_duration(*min), config::show_duration(*max));
                    let hint = format!("{}; {min} to {max}", example(key));
                    r.note(node.at, format!("`{name}` is a duration, not `{text}`"), hint);
                }
            }
            Shape::Choice(words) => {
                r.word(&Placed { at: node.at, value: Text::plain(text) }, key, words);
            }
            Shape::Pattern => {
                if let Err(error) = regex::compile(text) {
                    r.note(node.at, format!("the expression cannot be used: {error}"), super::REGEX_HINT);
                }
            }
            Shape::Number if Number::parse(text.as_bytes()).is_none() => {
                r.note(node.at, format!("`{name}` is a number, not `{text}`"), example(key));
            }
            Shape::FieldName => {
                if let Err(hint) = self.detects.scope.knows(text) {
                    r.note(node.at, format!("unknown field `{text}` in {owner}"), hint);
                }
            }
            _ => {}
        }
    }
}

/// How messages call a mapping that has an id.
fn owner_of(node: &Node, section: &Section) -> Option<String> {
    let id = text(child(node, "id").or(child(node, "name")))?;
    let what = section.name.trim_start_matches("an ").trim_start_matches("a ");
    Some(format!("{what} `{id}`"))
}
