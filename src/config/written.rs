//! Parts of a pipeline file that are in the language of packs: kept as written until the packs are known.
//!
//! Two are equal if they say the same, wherever they stand and however they are laid out: so a sink is not opened anew
//! because a line above it was added.

use std::fmt;
use std::sync::Arc;

use super::node::{At, Node, Value};

/// A part as it was written, variables put in.
#[derive(Clone)]
pub struct Written {
    pub(crate) node: Node,
    /// What it says, in one form.
    said: Arc<str>,
    /// Whether a variable was put in, so that no message may show what it says.
    pub(crate) has_variables: bool,
}

impl Written {
    pub(super) fn new(node: Node, has_variables: bool) -> Written {
        let mut said = String::new();
        say(&node, &mut said);
        Written { node, said: said.into(), has_variables }
    }

    /// What it says; equal for two that say the same.
    pub fn said(&self) -> &str {
        &self.said
    }
}

impl PartialEq for Written {
    fn eq(&self, other: &Written) -> bool {
        self.said == other.said
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.has_variables { "***" } else { &self.said })
    }
}

/// Appends what a node says; two that differ differ in it.
fn say(node: &Node, out: &mut String) {
    match &node.value {
        Value::Scalar { .. } if node.is_null() => out.push('~'),
        Value::Scalar { text, .. } => out.push_str(&format!("{text:?}")),
        Value::List(items) => {
            out.push('[');
            for item in items {
                say(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (name, value) in entries {
                out.push_str(&format!("{:?}:", name.text));
                say(value, out);
                out.push(',');
            }
            out.push('}');
        }
    }
}

/// Which events a sink takes; by default all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// What an event must match.
    pub detect: Option<Written>,
    /// The first entry that an event matches decides.
    pub sample: Vec<Sample>,
}

/// Of the events that match, one in `keep` is taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub detect: Written,
    /// At least 1.
    pub keep: u64,
}

impl Filter {
    /// Whether every event is taken.
    pub fn takes_all(&self) -> bool {
        self.detect.is_none() && self.sample.is_empty()
    }

    /// What it says; equal for two that say the same.
    pub fn said(&self) -> String {
        let mut said = self.detect.as_ref().map_or("", Written::said).to_string();
        for Sample { detect, keep } in &self.sample {
            said.push_str(&format!(" 1/{keep} {}", detect.said()));
        }
        said
    }
}

/// The text of a file whose parts are read later, for messages.
#[derive(Clone, Default)]
pub struct Source {
    pub(crate) name: Arc<str>,
    pub(crate) text: Arc<str>,
    /// Extents that no snippet shows.
    pub(crate) masks: Arc<[(At, At)]>,
}

/// Where a pipeline was written says nothing of what it says.
impl PartialEq for Source {
    fn eq(&self, _: &Source) -> bool {
        true
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
