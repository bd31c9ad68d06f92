//! Reads single values out of the tree, by the shape that the tables give them.
//!
//! Every getter takes a section's fields and a key's name. What is wrong is noted and some valid value returned in its
//! place, so that reading goes on to the next problem; with a note there is no pipeline in the end.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use jiff::tz::TimeZone;

use super::{Surroundings, variables};
use crate::config::node::{self, At, Node, Tree, Value};
use crate::config::problems::Snippet;
use crate::config::schema::{Key, Presence, Section, Shape, nearest};
use crate::config::value::{Secret, Text};
use crate::config::written::{Source, Written};
use crate::config::{Problem, Problems, proxies, units};

pub(crate) struct Reader<'a> {
    /// `None` for a file in which `${NAME}` is plain text and nothing is secret.
    around: Option<&'a Surroundings<'a>>,
    partial: bool,
    notes: Vec<Note>,
    /// Extents that no snippet shows.
    masks: Vec<(At, At)>,
}

struct Note {
    at: At,
    message: String,
    hint: Option<String>,
    snippet: bool,
}

/// The entries of one mapping, known keys only.
pub(crate) struct Fields<'n> {
    section: &'static Section,
    pub at: At,
    entries: Vec<(&'static Key, At, &'n Node)>,
}

/// A value with the place it was read from.
pub(crate) struct Placed<T> {
    pub at: At,
    pub value: T,
}

impl<'n> Fields<'n> {
    fn key(&self, name: &str) -> (&'static Key, Option<&'n Node>) {
        let key = self.section.key(name).expect("the tables hold every key that is read");
        (key, self.entries.iter().find(|(known, ..)| std::ptr::eq(*known, key)).map(|(.., node)| *node))
    }

    /// Returns the value of the key `name`, if it is written.
    pub fn node(&self, name: &str) -> Option<&'n Node> {
        self.key(name).1
    }

    /// Returns where the key `name` is written, or where the section begins.
    pub fn key_at(&self, name: &str) -> At {
        self.entries.iter().find(|(key, ..)| key.name == name).map_or(self.at, |(_, at, _)| *at)
    }

    /// Returns where the value of `name` is written, or where the section begins.
    pub fn value_at(&self, name: &str) -> At {
        self.node(name).map_or(self.at, |node| node.at)
    }
}

impl<'a> Reader<'a> {
    /// Prepares to read `tree`, whose own faults are noted first.
    pub fn new(tree: &Tree, around: &'a Surroundings<'a>) -> Reader<'a> {
        let mut reader = Reader::plain(tree);
        reader.around = Some(around);
        if let Some(root) = &tree.root {
            node::secrets(root, false, &mut |from, to| reader.masks.push((from, to)));
        }
        reader
    }

    /// Prepares to read a file without variables and secrets.
    pub fn plain(tree: &Tree) -> Reader<'a> {
        let mut reader = Reader { around: None, partial: tree.partial, notes: Vec::new(), masks: Vec::new() };
        for fault in &tree.faults {
            let (at, message, snippet) = (fault.at, fault.message.clone(), !fault.secret);
            reader.notes.push(Note { at, message, hint: fault.hint.map(str::to_string), snippet });
        }
        reader
    }

    /// Prepares to read a part of a file whose rest was read before.
    pub fn again(source: &Source) -> Reader<'a> {
        Reader { around: None, partial: false, notes: Vec::new(), masks: source.masks.to_vec() }
    }

    /// What later messages about the file `name` need.
    pub fn source(&self, name: &str, text: &str) -> Source {
        Source { name: name.into(), text: text.into(), masks: self.masks.as_slice().into() }
    }

    /// Replaces what was noted within a part that holds variables: no message shows what they are.
    pub fn hide_notes(&mut self, from: usize, at: At) {
        if self.notes.len() > from {
            self.notes.truncate(from);
            self.note(
                at,
                "with its variables put in, this cannot be read",
                "write it without variables first",
            );
        }
    }

    /// How many problems were noted.
    pub fn noted(&self) -> usize {
        self.notes.len()
    }

    /// Keeps a condition as it is written, with its variables put in; nothing stands for none.
    pub fn written(&mut self, node: &Node) -> Option<Written> {
        if node.is_null() {
            return None;
        }
        if !matches!(node.value, Value::Map(_)) {
            let message = format!("a condition is a mapping, but this is {}", node.what());
            self.note(node.at, message, "named blocks: `{s: {kind: router, status|gte: 500}}`");
            return None;
        }
        let mut node = node.clone();
        let mut has_variables = false;
        self.put_in(&mut node, &mut has_variables);
        Some(Written::new(node, has_variables))
    }

    fn put_in(&mut self, node: &mut Node, any: &mut bool) {
        let at = node.at;
        match &mut node.value {
            Value::Scalar { text, plain } => {
                let Some(around) = self.around else { return };
                match variables::put_in(text, around.variable) {
                    Ok(put) => {
                        let has_variables = put.shown() != put.as_str();
                        *any |= has_variables;
                        *plain &= !has_variables;
                        *text = put.as_str().into();
                    }
                    Err((message, hint)) => self.note(at, message, hint),
                }
            }
            Value::List(items) => items.iter_mut().for_each(|item| self.put_in(item, any)),
            Value::Map(entries) => entries.iter_mut().for_each(|(_, value)| self.put_in(value, any)),
        }
    }

    /// Notes a problem. Neither text may hold a secret or a variable's value.
    pub fn note(&mut self, at: At, message: impl Into<String>, hint: impl Into<String>) {
        self.notes.push(Note { at, message: message.into(), hint: Some(hint.into()), snippet: true });
    }

    /// Returns whether what is missing may be complained about.
    pub fn whole(&self) -> bool {
        !self.partial
    }

    /// Returns whether nothing was noted.
    pub fn is_clean(&self) -> bool {
        self.notes.is_empty()
    }

    /// Turns the notes into problems of the file `name`, whose text is `text`.
    pub fn problems(self, name: &str, text: &str) -> Problems {
        let lines: Vec<&str> = lines(text).collect();
        let mut problems = Problems::default();
        // In the line of a break a value may be cut in half; what is said of it would mislead.
        let cut = self.notes.first().filter(|_| self.partial).map(|note| note.at);
        for note in self.notes {
            if cut.is_some_and(|cut| note.at != cut && note.at.line == cut.line) {
                continue;
            }
            let line = lines.get(note.at.line - 1).filter(|_| note.snippet);
            problems.push(Problem {
                file: name.into(),
                line: note.at.line,
                column: note.at.column,
                message: note.message,
                hint: note.hint,
                snippet: line.and_then(|line| snippet(line, note.at, &self.masks)),
            });
        }
        problems.sort();
        problems
    }

    /// Takes a mapping apart by its table; nothing if it is none.
    pub fn fields<'n>(&mut self, node: &'n Node, section: &'static Section) -> Option<Fields<'n>> {
        self.fields_but(node, section, |_| false)
    }

    /// Takes a mapping apart by its table, passing over unknown keys that `silent` names.
    pub fn fields_but<'n>(
        &mut self,
        node: &'n Node,
        section: &'static Section,
        silent: impl Fn(&str) -> bool,
    ) -> Option<Fields<'n>> {
        let Value::Map(written) = &node.value else {
            let message = format!("{} is a mapping, but this is {}", section.name, node.what());
            let keys: Vec<String> = section.all().map(|key| format!("`{}`", key.name)).collect();
            self.note(node.at, message, format!("its keys are {}", keys.join(", ")));
            return None;
        };
        let mut fields = Fields { section, at: node.at, entries: Vec::new() };
        // Keys that were misspelt: to say that they are missing as well would count one mistake twice.
        let mut meant = Vec::new();
        for (name, value) in written {
            let Some(key) = section.key(&name.text) else {
                // What an unknown key holds may be a secret, unless it is near one that holds none.
                match nearest(&name.text, section.all().map(|key| key.name)) {
                    Some(near) => meant.push(near),
                    None if self.around.is_none() => {}
                    None => node::secrets(value, true, &mut |from, to| self.masks.push((from, to))),
                }
                if !silent(&name.text) {
                    self.unknown(name, section);
                }
                continue;
            };
            if let Some((_, first, _)) = fields.entries.iter().find(|(known, ..)| std::ptr::eq(*known, key)) {
                let message = format!("key `{}` stands twice in {}", key.name, section.name);
                self.note(name.at, message, format!("the first is in line {}", first.line));
                continue;
            }
            fields.entries.push((key, name.at, value));
        }
        for key in section.all().filter(|key| matches!(key.presence, Presence::Required)) {
            if self.whole() && fields.node(key.name).is_none() && !meant.contains(&key.name) {
                let message = format!("{} lacks the key `{}`", section.name, key.name);
                self.note(node.at, message, example(key));
            }
        }
        Some(fields)
    }

    fn unknown(&mut self, name: &node::Name, section: &'static Section) {
        let text = &name.text;
        if section.later.contains(&text.as_str()) {
            let message = format!("key `{text}` in {} is not supported by this version", section.name);
            self.note(name.at, message, "it comes with a later version; remove it for now");
            return;
        }
        let known = || section.all().map(|key| key.name);
        let elsewhere = || {
            let kinds = crate::config::schema::KINDS.iter();
            kinds.filter(|_| section.key("when_full").is_some()).find(|(_, keys)| keys.key(text).is_some())
        };
        let hint = if let Some((kind, _)) = elsewhere() {
            format!("it belongs to sinks of kind `{kind}`")
        } else if let Some(near) = nearest(text, known().chain(section.later.iter().copied())) {
            format!("did you mean `{near}`?")
        } else {
            let keys: Vec<String> = known().map(|key| format!("`{key}`")).collect();
            format!("known keys are {}", keys.join(", "))
        };
        self.note(name.at, format!("unknown key `{text}` in {}", section.name), hint);
    }

    /// Returns the text of a single value with its variables put in; notes what is wrong with it.
    pub fn scalar(&mut self, node: &Node, key: &Key) -> Option<Text> {
        match &node.value {
            Value::Scalar { text, .. } if !node.is_null() => {
                let Some(around) = self.around else { return Some(Text::plain(text)) };
                match variables::put_in(text, around.variable) {
                    Ok(text) => Some(text),
                    Err((message, hint)) => {
                        self.note(node.at, message, hint);
                        None
                    }
                }
            }
            _ => {
                let message = format!("`{}` wants a single value, but this is {}", key.name, node.what());
                self.note(node.at, message, example(key));
                None
            }
        }
    }

    /// Returns a key's text, or its default, with its place; nothing if it is wrong or absent.
    fn given(&mut self, fields: &Fields<'_>, name: &str) -> Option<Placed<Text>> {
        match (fields.key(name), &fields.key(name).0.presence) {
            ((key, Some(node)), _) => self.scalar(node, key).map(|value| Placed { at: node.at, value }),
            ((_, None), Presence::Default(text)) => Some(Placed { at: fields.at, value: Text::plain(*text) }),
            ((_, None), _) => None,
        }
    }

    /// Returns free text; nothing if it is absent.
    pub fn text(&mut self, fields: &Fields<'_>, name: &str) -> Option<Text> {
        self.given(fields, name).map(|given| given.value)
    }

    /// Returns a secret; an empty one in place of what is wrong.
    pub fn secret(&mut self, fields: &Fields<'_>, name: &str) -> Secret {
        self.text(fields, name).map_or(Secret::new(""), |text| Secret::new(text.as_str()))
    }

    /// Returns a name with its place.
    pub fn name(&mut self, fields: &Fields<'_>) -> Option<Placed<Text>> {
        let given = self.given(fields, "name")?;
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let text = given.value.as_str();
        if text.is_empty() || text.len() > 64 || !text.chars().all(good) {
            let message = format!("`{}` is no name", given.value.shown());
            self.note(given.at, message, "a name is 1 to 64 letters, digits, `.`, `_` or `-`");
            return None;
        }
        Some(given)
    }

    /// Returns a flag; its default in place of what is wrong.
    pub fn flag(&mut self, fields: &Fields<'_>, name: &str) -> bool {
        let default = matches!(fields.key(name).0.presence, Presence::Default("true"));
        let Some(given) = self.given(fields, name) else { return default };
        match given.value.as_str() {
            "true" => true,
            "false" => false,
            _ => {
                let message = format!("`{name}` is true or false, not `{}`", given.value.shown());
                self.note(given.at, message, "`yes`, `no`, `on` and `off` are words in YAML 1.2");
                default
            }
        }
    }

    /// Returns one of the words that the tables give the key.
    pub fn choice(&mut self, fields: &Fields<'_>, name: &str) -> &'static str {
        let key = fields.key(name).0;
        let Shape::Choice(words) = &key.shape else { unreachable!("`{name}` is a choice in the tables") };
        match self.given(fields, name) {
            Some(given) => self.word(&given, key, words).unwrap_or(words[0]),
            None => words[0],
        }
    }

    /// Returns the one of `words` that was given; notes if it is none of them.
    pub fn word(
        &mut self,
        given: &Placed<Text>,
        key: &Key,
        words: &'static [&'static str],
    ) -> Option<&'static str> {
        let found = words.iter().find(|word| **word == given.value.as_str());
        if found.is_none() {
            let hint = match nearest(&given.value, words.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
                    format!("one of {}", words.join(", "))
                }
            };
            self.note(given.at, format!("`{}` is no value of `{}`", given.value.shown(), key.name), hint);
        }
        found.copied()
    }

    /// Returns a number in the unit of the key's shape; nothing for the shape's word, or in place of what is wrong.
    pub fn amount(&mut self, fields: &Fields<'_>, name: &str) -> Option<u64> {
        type Read = fn(&str) -> Option<u64>;
        type Show = fn(u64) -> String;
        let key = fields.key(name).0;
        let whole: Read = |text| text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
        let duration: Read = |text| units::duration(text).and_then(|d| u64::try_from(d.as_millis()).ok());
        let (min, max, word, what, read, show): (_, _, _, _, Read, Show) = match key.shape {
            Shape::Whole { min, max, word } => (min, max, word, "whole number", whole, |n| n.to_string()),
            Shape::Size { min, max, word } => (min, max, word, "size", units::size, units::show_size),
            Shape::Duration { min, max, word } => {
                (min, max, word, "duration", duration, units::show_duration)
            }
            _ => unreachable!("`{name}` is a number in the tables"),
        };
        let given = self.given(fields, name)?;
        if word == Some(given.value.as_str()) {
            return None;
        }
        match read(&given.value) {
            Some(number) if (min..=max).contains(&number) => Some(number),
            Some(_) => {
                let message = format!("`{name}` is out of range: `{}`", given.value.shown());
                let word = word.map_or(String::new(), |word| format!(", or `{word}`"));
                self.note(given.at, message, format!("{} to {}{word}", show(min), show(max)));
                None
            }
            None => {
                let message = format!("`{name}` is a {what}, not `{}`", given.value.shown());
                let word = word.map_or(String::new(), |word| format!(" or `{word}`"));
                self.note(given.at, message, format!("{}{word}", example(key)));
                None
            }
        }
    }

    /// Returns a number that fits the machine; `0` in place of what is wrong.
    pub fn count(&mut self, fields: &Fields<'_>, name: &str) -> usize {
        self.amount(fields, name).and_then(|number| usize::try_from(number).ok()).unwrap_or(0)
    }

    /// Returns a duration; nothing for the shape's word.
    pub fn duration(&mut self, fields: &Fields<'_>, name: &str) -> Option<Duration> {
        self.amount(fields, name).map(Duration::from_millis)
    }

    /// Returns an address with its place and the text that may be shown for it.
    pub fn address(&mut self, fields: &Fields<'_>, name: &str) -> Option<Placed<(SocketAddr, String)>> {
        let given = self.given(fields, name)?;
        let shown = given.value.shown().to_string();
        let Some(address) = units::address(&given.value) else {
            let message = format!("`{shown}` is no address");
            self.note(given.at, message, "an IP address and a port: `0.0.0.0:6514`, `[::1]:6514` or `:6514`");
            return None;
        };
        Some(Placed { at: given.at, value: (address, shown) })
    }

    pub fn zone(&mut self, fields: &Fields<'_>, name: &str) -> TimeZone {
        let Some(given) = self.given(fields, name) else { return TimeZone::UTC };
        units::zone(&given.value).unwrap_or_else(|| {
            let message = format!("`{}` is no time zone", given.value.shown());
            self.note(given.at, message, "an offset such as `+01:00`, or a name such as `Europe/Berlin`");
            TimeZone::UTC
        })
    }

    /// Reads each item of a list by `read`; an absent list or one without a value is empty.
    pub fn list<T>(
        &mut self,
        fields: &Fields<'_>,
        name: &str,
        mut read: impl FnMut(&mut Self, &Node, &'static Key) -> Option<T>,
    ) -> Vec<T> {
        let (key, node) = fields.key(name);
        let Some(node) = node.filter(|node| !node.is_null()) else { return Vec::new() };
        let Value::List(items) = &node.value else {
            self.note(node.at, format!("`{name}` is a list, but this is {}", node.what()), example(key));
            return Vec::new();
        };
        let Shape::List { max, .. } = key.shape else { unreachable!("`{name}` is a list in the tables") };
        if items.len() > max {
            let message = format!("`{name}` has {} items", items.len());
            self.note(node.at, message, format!("at most {max}"));
            return Vec::new();
        }
        items.iter().filter_map(|item| read(self, item, key)).collect()
    }

    /// Reads each value of a mapping with free keys by `read`; an absent one is empty.
    pub fn map<T>(
        &mut self,
        fields: &Fields<'_>,
        name: &str,
        mut read: impl FnMut(&mut Self, &Node, &'static Key) -> Option<T>,
    ) -> Vec<(Placed<String>, T)> {
        let (key, node) = fields.key(name);
        let Some(node) = node.filter(|node| !node.is_null()) else { return Vec::new() };
        let Value::Map(entries) = &node.value else {
            self.note(node.at, format!("`{name}` is a mapping, but this is {}", node.what()), example(key));
            return Vec::new();
        };
        let Shape::Map { max, .. } = key.shape else { unreachable!("`{name}` is a mapping in the tables") };
        if entries.len() > max {
            let message = format!("`{name}` has {} entries", entries.len());
            self.note(node.at, message, format!("at most {max}"));
            return Vec::new();
        }
        let mut seen = std::collections::HashMap::new();
        let mut out = Vec::new();
        for (entry, value) in entries {
            if entry.text.is_empty() {
                self.note(entry.at, format!("an empty key in `{name}`"), example(key));
            } else if let Some(line) = seen.insert(&entry.text, entry.at.line) {
                let message = format!("key `{}` stands twice in `{name}`", entry.text);
                self.note(entry.at, message, format!("the first is in line {line}"));
            } else if let Some(value) = read(self, value, key) {
                out.push((Placed { at: entry.at, value: entry.text.clone() }, value));
            }
        }
        out
    }

    /// Returns the networks that an item of `trusted_proxies` names.
    pub fn networks(&mut self, node: &Node, key: &Key) -> Option<Vec<IpNet>> {
        let text = self.scalar(node, key)?;
        if let Some(ranges) = proxies::preset(&text) {
            return Some(ranges.collect());
        }
        if let Ok(network) = text.parse::<IpNet>() {
            return Some(vec![network.trunc()]);
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(vec![IpNet::from(address)]);
        }
        let hint = match nearest(&text, proxies::names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                let names: Vec<String> = proxies::names().map(|name| format!("`{name}`")).collect();
                format!("a network such as `10.0.0.0/8`, or one of {}", names.join(", "))
            }
        };
        self.note(node.at, format!("`{}` is no network", text.shown()), hint);
        None
    }

    /// Checks that the file which `name` gives can be read; nothing to check if it is absent.
    pub fn file(&mut self, fields: &Fields<'_>, name: &str, text: Option<&Text>) {
        let (Some(text), Some(around)) = (text, self.around) else { return };
        if let Err(reason) = (around.file)(Path::new(text.as_str())) {
            let message = format!("cannot read the file `{}`: {reason}", text.shown());
            self.note(fields.value_at(name), message, "paths are relative to the working directory");
        }
    }
}

/// Returns a hint that shows a valid value of `key`.
pub(crate) fn example(key: &Key) -> String {
    format!("example: `{}: {}`", key.name, key.example)
}

/// The lines of a text as YAML counts them: a CR alone ends one too. Were they counted otherwise, masks would miss.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// Returns the line of a problem with all masked extents replaced; nothing if it would help nobody.
fn snippet(line: &str, at: At, masks: &[(At, At)]) -> Option<Snippet> {
    const CHARACTERS_MAX: usize = 160;
    if line.trim().is_empty() || at.column > CHARACTERS_MAX {
        return None;
    }
    let masks: Vec<&(At, At)> =
        masks.iter().filter(|(from, to)| from.line <= at.line && at.line <= to.line).collect();
    let hidden = |column: usize| {
        let here = At { line: at.line, column };
        masks.iter().find(|(from, to)| *from <= here && here < *to)
    };
    let mut text = String::new();
    let mut mark = 0;
    let mut last = None;
    for (index, c) in line.chars().enumerate().take(CHARACTERS_MAX) {
        if index + 1 == at.column {
            mark = text.chars().count();
        }
        let mask = hidden(index + 1);
        match mask {
            None => text.push(if c.is_control() && c != '\t' { ' ' } else { c }),
            Some(_) if last == mask => {}
            Some(_) => text.push_str("***"),
        }
        last = mask;
    }
    // A value that is missing is complained about behind the last character.
    if at.column > line.chars().count() {
        mark = text.chars().count();
    }
    Some(Snippet { text, mark })
}
