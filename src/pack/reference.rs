//! The reference page of the pack language, printed from the tables of keys.

use std::fmt::Write;

use super::keys;
use crate::config::schema::{Key, Presence, Section, Shape};
use crate::plan::rules::convert::Type;

/// Returns the page as Markdown: each mapping with its keys, what they say, whether they may be left out, and an example.
pub fn page() -> String {
    let mut out = String::from(
        "# The pack language\n\n\
         Printed by `weir schema pack --markdown` from the tables that the reader uses. A pack is one YAML document; a\n\
         key that is not listed here is an error. `$name` stands for a list or a param.\n",
    );
    let mut sections = Vec::new();
    collect(keys::PACK, &mut sections);
    for section in sections {
        let name = section.name.trim_start_matches("an ").trim_start_matches("a ");
        let _ = write!(out, "\n## {name}\n\n| key | what it says | | example |\n|---|---|---|---|\n");
        for key in section.all() {
            let presence = match key.presence {
                Presence::Required => "required".to_string(),
                Presence::Optional => String::new(),
                Presence::Default(text) => format!("default `{text}`"),
            };
            let _ = writeln!(
                out,
                "| `{}` | {}{} | {presence} | `{}: {}` |",
                key.name,
                cell(key.what),
                words(&key.shape),
                key.name,
                cell(key.example)
            );
        }
    }
    let types: Vec<&str> = Type::ALL.iter().map(|(name, _)| *name).collect();
    let _ = write!(out, "\n## types of fields\n\n{}\n", types.join(", "));
    out
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The words that a value may be, if there are few.
fn words(shape: &Shape) -> String {
    match shape {
        Shape::Choice(words) => format!(" One of {}.", words.join(", ")),
        Shape::List { of: Shape::Choice(words), .. } => format!(" Each one of {}.", words.join(", ")),
        Shape::Whole { min, max, .. } => format!(" {min} to {max}."),
        _ => String::new(),
    }
}

/// The sections of the document, each once, in the order in which they are met.
fn collect(section: &'static Section, out: &mut Vec<&'static Section>) {
    if out.iter().any(|known| std::ptr::eq(*known, section)) {
        return;
    }
    out.push(section);
    let keys: Vec<&'static Key> = section.all().collect();
    keys.iter().for_each(|key| within(&key.shape, out));
}

fn within(shape: &'static Shape, out: &mut Vec<&'static Section>) {
    match shape {
        Shape::Section(section) => collect(section, out),
        Shape::List { of, .. } | Shape::Map { of, .. } | Shape::Either(_, of) => within(of, out),
        _ => {}
    }
}
