//! What was written: a YAML document as a tree of texts, lists and mappings, each with its place.
//!
//! Values stay text until a reader knows what they have to be, so `off` is a word, `1.10` keeps its zero, and no guess
//! at a type is made. A document that breaks off is kept as far as it went, so that what is wrong before the break is
//! reported along with it.
//!
//! Invariants: no tree is deeper than [`DEPTH_MAX`] nor holds more than [`NODES_MAX`] nodes, aliases counted out.
//!
//! Deliberately absent: merge keys (`<<`), which YAML 1.2 does not have, tags, and several documents in one file.

use std::collections::HashMap;

use granit_parser::{Event, Marker, Options, Parser, ScalarStyle, Span};

/// A pipeline is five levels deep; the rest is room.
const DEPTH_MAX: usize = 32;
/// A hundred thousand drains with labels fit; a file of aliases upon aliases does not.
const NODES_MAX: usize = 1_000_000;

/// A place in the file; both count from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct At {
    pub line: usize,
    pub column: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub at: At,
    /// The place behind the last character.
    pub end: At,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// `plain` text stands without quotes.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Name, Node)>),
}

/// A mapping's key.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub at: At,
    pub text: String,
}

/// What was read of a document.
#[derive(Default)]
pub(crate) struct Tree {
    pub root: Option<Node>,
    /// What the parser or the tree's limits refuse; the break comes first.
    pub faults: Vec<Fault>,
    /// Whether the document broke off, so that what is missing may stand behind the break.
    pub partial: bool,
}

pub(crate) struct Fault {
    pub at: At,
    pub message: String,
    pub hint: Option<&'static str>,
    /// Whether the break stands within the value of a key that may hold a secret.
    pub secret: bool,
}

impl Node {
    /// Returns whether nothing stands where a value could.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// Names what the node is, for messages.
    pub fn what(&self) -> &'static str {
        match &self.value {
            Value::Scalar { .. } if self.is_null() => "nothing",
            Value::Scalar { .. } => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// Reads a document.
pub(crate) fn parse(text: &str) -> Tree {
    let mut options = Options::default();
    options.emit_unresolved_aliases = true;
    let mut builder = Builder::default();
    for next in Parser::new_from_str_with_options(text, options) {
        match next {
            Ok((event, span)) => {
                if !builder.take(event, span) {
                    break;
                }
            }
            Err(error) => {
                let place = at(*error.marker());
                builder.broken(place, format!("this is no YAML: {}", error.info()));
                let line = text.lines().nth(place.line - 1).unwrap_or_default();
                if let Some(fault) = builder.tree.faults.first_mut().filter(|_| line.contains("${")) {
                    fault.hint = Some("put a value that holds `${...}` into quotes");
                }
                break;
            }
        }
    }
    builder.finish()
}

/// Returns whether a key by this name may hold a secret, misspelt ones included.
pub(crate) fn may_be_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let near =
        super::schema::nearest(&key, ["users", "user", "password", "options", "secret", "url"]).is_some();
    near || ["pass", "secret", "pwd", "credential"].iter().any(|part| key.contains(part))
}

/// Calls `mask` with the extent of every scalar below a key that may hold a secret.
pub(crate) fn secrets(node: &Node, below: bool, mask: &mut dyn FnMut(At, At)) {
    match &node.value {
        Value::Scalar { text, .. } if below && !is_variable(text) => mask(node.at, node.end),
        Value::Scalar { .. } => {}
        Value::List(items) => items.iter().for_each(|item| secrets(item, below, mask)),
        Value::Map(entries) => {
            entries.iter().for_each(|(key, value)| secrets(value, below || may_be_secret(&key.text), mask));
        }
    }
}

/// Returns whether a text is one variable without a default, which says nothing of its value.
fn is_variable(text: &str) -> bool {
    let name = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

fn at(marker: Marker) -> At {
    At { line: marker.line().max(1), column: marker.col() + 1 }
}

/// A list or mapping whose end has not come.
struct Open {
    at: At,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    /// With a key that still wants its value.
    Map(Vec<(Name, Node)>, Option<Name>),
}

#[derive(Default)]
struct Builder {
    tree: Tree,
    open: Vec<Open>,
    /// Anchored nodes with the number of nodes in each.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    documents: usize,
}

impl Builder {
    /// Takes the next event; returns whether more are wanted.
    fn take(&mut self, event: Event<'_>, span: Span) -> bool {
        let place = at(span.start);
        if event.tag().is_some() {
            self.fault(place, "tags such as `!!str` are not read".into());
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.fault(place, "a second document begins here, but a file holds one".into());
                    return false;
                }
                true
            }
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let node = Node {
                    at: place,
                    end: at(span.end),
                    value: Value::Scalar { text: text.into_owned(), plain },
                };
                self.put(node, anchor, 1)
            }
            Event::SequenceStart(_, anchor, _) => self.enter(place, anchor, Content::List(Vec::new())),
            Event::MappingStart(_, anchor, _) => self.enter(place, anchor, Content::Map(Vec::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => self.leave(at(span.end)),
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some((node, size)) => self.put(Node { at: place, end: at(span.end), ..node }, 0, size),
                None => {
                    self.fault(place, "an alias cannot stand within what it names".into());
                    self.put_nothing(place)
                }
            },
            Event::UnresolvedAlias(name) => {
                self.fault(place, format!("there is no anchor `&{name}` before this alias"));
                self.put_nothing(place)
            }
            _ => true,
        }
    }

    fn enter(&mut self, at: At, anchor: usize, content: Content) -> bool {
        if self.open.len() == DEPTH_MAX {
            self.broken(at, format!("nested deeper than {DEPTH_MAX} levels"));
            return false;
        }
        self.open.push(Open { at, anchor, content });
        true
    }

    fn leave(&mut self, end: At) -> bool {
        let Some(open) = self.open.pop() else { return false };
        let value = match open.content {
            Content::List(items) => Value::List(items),
            Content::Map(entries, _) => Value::Map(entries),
        };
        let node = Node { at: open.at, end, value };
        let size = if open.anchor == 0 { 1 } else { count(&node) };
        self.put(node, open.anchor, size)
    }

    fn put_nothing(&mut self, at: At) -> bool {
        self.put(Node { at, end: at, value: Value::Scalar { text: String::new(), plain: true } }, 0, 1)
    }

    /// Puts a finished node of `size` nodes where it belongs.
    fn put(&mut self, node: Node, anchor: usize, size: usize) -> bool {
        self.nodes += size;
        if self.nodes > NODES_MAX {
            self.broken(node.at, format!("more than {NODES_MAX} values"));
            return false;
        }
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.tree.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map(entries, key)) => match key.take() {
                Some(name) => entries.push((name, node)),
                None => match node.value {
                    Value::Scalar { text, .. } => *key = Some(Name { at: node.at, text }),
                    _ => {
                        *key = Some(Name { at: node.at, text: String::new() });
                        self.fault(node.at, "a key has to be a single value".into());
                    }
                },
            },
        }
        true
    }

    fn fault(&mut self, at: At, message: String) {
        let secret = self.open.iter().any(|open| match &open.content {
            Content::Map(_, Some(key)) => may_be_secret(&key.text),
            _ => false,
        });
        self.tree.faults.push(Fault { at, message, hint: None, secret });
    }

    /// Notes why nothing further is read.
    fn broken(&mut self, at: At, message: String) {
        self.fault(at, message);
        self.tree.faults.rotate_right(1);
        self.tree.partial = true;
    }

    /// Closes what a break left open.
    fn finish(mut self) -> Tree {
        while let Some(end) = self.open.last().map(|open| open.at) {
            self.leave(end);
        }
        self.tree
    }
}

fn count(node: &Node) -> usize {
    1 + match &node.value {
        Value::Scalar { .. } => 0,
        Value::List(items) => items.iter().map(count).sum::<usize>(),
        Value::Map(entries) => entries.iter().map(|(_, value)| count(value)).sum::<usize>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a tree on one line, each scalar with its place.
    fn show(node: &Node) -> String {
        match &node.value {
            Value::Scalar { text, .. } => format!("{text}@{}:{}", node.at.line, node.at.column),
            Value::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" ")),
            Value::Map(entries) => {
                let entries = entries.iter().map(|(key, value)| format!("{}={}", key.text, show(value)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(" "))
            }
        }
    }

    fn faults(tree: &Tree) -> Vec<String> {
        tree.faults.iter().map(|fault| format!("{}:{}", fault.at.line, fault.at.column)).collect()
    }

    #[test]
    fn trees_keep_text_and_place() {
        for (text, expect) in [
            ("a: off\nb: [1.10, 'x']\n", "{a=off@1:4 b=[1.10@2:5 x@2:11]}"),
            ("a:\n  - b: é\n    c: ~\n", "{a=[{b=é@2:8 c=~@3:8}]}"),
            ("a: &x {k: 1}\nb: *x\n", "{a={k=1@1:11} b={k=1@1:11}}"),
        ] {
            let tree = parse(text);
            assert_eq!(faults(&tree), [""; 0], "{text:?}");
            assert_eq!(tree.root.map(|root| show(&root)).as_deref(), Some(expect), "{text:?}");
        }
    }

    #[test]
    fn a_broken_document_is_kept_up_to_the_break() {
        let tree = parse("a: 1\nb:\n  - c: 2\n    d: \"x\n");
        assert!(tree.partial);
        assert_eq!(tree.faults.len(), 1);
        assert_eq!(tree.root.map(|root| show(&root)).as_deref(), Some("{a=1@1:4 b=[{c=2@3:8}]}"));
    }

    #[test]
    fn what_a_pipeline_is_not_is_a_fault() {
        for (text, place) in [
            ("a: 1\n---\nb: 2\n", "2:1"),
            ("a: *x\n", "1:4"),
            ("a: !!str x\n", "1:10"),
            ("[a, b]: c\n", "1:1"),
            (&"[".repeat(DEPTH_MAX + 1), "1:33"),
        ] {
            assert_eq!(faults(&parse(text)), [place], "{text:?}");
        }
    }

    #[test]
    fn aliases_cannot_multiply_without_end() {
        let mut text = "- &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_string();
        for level in 1..8 {
            let before = level - 1;
            text += &format!("- &a{level} [{}]\n", vec![format!("*a{before}"); 10].join(", "));
        }
        let tree = parse(&text);
        assert!(tree.partial);
        assert!(tree.faults[0].message.starts_with("more than"));
    }

    #[test]
    fn keys_that_may_hold_secrets_are_known_by_name() {
        for (key, secret) in [
            ("users", true),
            ("user", true),
            ("usres", true),
            ("password", true),
            ("passwrod", true),
            ("db_password", true),
            ("options", true),
            ("parse", false),
            ("name", false),
            ("path", false),
        ] {
            assert_eq!(may_be_secret(key), secret, "{key}");
        }
    }
}
