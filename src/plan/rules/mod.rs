//! Rules: what packs know, compiled into a program that a shard runs over each event.
//!
//! A program is immutable and shared; what it writes to is the caller's. An event costs what it matches, not what there
//! is to match: see [`program`]. Conditions mean what [`cond`] says, whoever evaluates them.
//!
//! Deliberately absent: windows, alerts and anything else that depends on order; the text form of packs.

mod build;
pub mod cond;
pub mod convert;
mod extract;
mod fill;
mod literals;
mod matcher;
pub mod plain;
mod program;
pub mod regex;
mod run;
mod scratch;
mod start;
#[cfg(test)]
mod tests;
mod value;

pub use build::{
    BuildError, Derive, DeriveStep, ExtractSpec, FieldSpec, ObjectRule, ObjectSpec, Spec, build,
};
pub use program::{Program, SlotId, Take};
pub use run::{Around, Seen, Subjects, apply, run};
pub use scratch::{Matched, RulesScratch};

/// Where the value of a member lies in a JSON text, without its quotes; the names on the way to it are joined by dots.
pub fn json_at(text: &[u8], path: &[u8]) -> Option<(usize, usize)> {
    if path.is_empty() || text.first() != Some(&b'{') {
        return None;
    }
    let value = extract::json_by(text, path.split(|byte| *byte == b'.'))?;
    Some((value.start, value.end))
}

/// Appends a text without its ANSI colours.
pub fn without_colours(text: &[u8], out: &mut Vec<u8>) {
    value::without_colours(text, out);
}
