//! Names of files and topics, made from a template and an event.
//!
//! Invariants: a value that an event brings is reduced to `[A-Za-z0-9._-]`, never empty and at most
//! `limits::NAME_VALUE_BYTES` long; a segment is never `.` or `..`, and leaves room for what a rotation adds to it.
//!
//! Deliberately absent: the file system; `live.rs` walks a path without following links.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::tz::Offset;

use crate::config::{Part, Template, Variable};
use crate::limits;
use crate::outcome::{Parcel, Row, Word};

const DAY_US: i64 = 86_400_000_000;
const HOUR_US: i64 = 3_600_000_000;

/// Whether every event gives the same name.
pub(super) fn is_constant(template: &Template) -> bool {
    template.parts().iter().all(|part| matches!(part, Part::Literal(_)))
}

/// A template with the kinds' names at hand.
pub(super) struct Naming {
    parts: Vec<Part>,
    variables: Vec<Variable>,
    /// By `KindId`.
    kinds: Vec<Box<str>>,
}

impl Naming {
    pub fn new(template: &Template, kinds: &[&str]) -> Naming {
        let parts = template.parts().to_vec();
        let mut variables: Vec<Variable> = parts
            .iter()
            .filter_map(|part| match part {
                Part::Variable(variable) => Some(*variable),
                Part::Literal(_) => None,
            })
            .collect();
        // Cheapest to compare first.
        variables.sort_by_key(|variable| match variable {
            Variable::Kind => 0,
            Variable::Hour | Variable::Date => 1,
            Variable::Listener => 2,
            Variable::Drain | Variable::Computer => 3,
        });
        Naming { parts, variables, kinds: kinds.iter().map(|&kind| kind.into()).collect() }
    }

    /// Whether two rows of a parcel surely have the same name.
    pub fn same(&self, parcel: &Parcel, a: &Row, b: &Row) -> bool {
        let words = |x: Word, y: Word| x == y || parcel.word(x) == parcel.word(y);
        self.variables.iter().all(|variable| match variable {
            Variable::Kind => a.kind == b.kind,
            Variable::Date => a.received_us.div_euclid(DAY_US) == b.received_us.div_euclid(DAY_US),
            Variable::Hour => a.received_us.div_euclid(HOUR_US) == b.received_us.div_euclid(HOUR_US),
            Variable::Listener => words(a.listener, b.listener),
            Variable::Drain => words(a.drain, b.drain),
            Variable::Computer => words(a.computer, b.computer),
        })
    }

    /// Replaces `out` by the name of a row; `None` stands for any row where the name is constant.
    pub fn render(&self, parcel: &Parcel, row: Option<&Row>, out: &mut String) {
        out.clear();
        for part in &self.parts {
            match (part, row) {
                (Part::Literal(text), _) => out.push_str(text),
                (Part::Variable(variable), Some(row)) => self.value(*variable, parcel, row, out),
                (Part::Variable(_), None) => out.push_str(NONE),
            }
        }
        confine(out);
    }

    fn value(&self, variable: Variable, parcel: &Parcel, row: &Row, out: &mut String) {
        match variable {
            Variable::Listener => reduce(parcel.word(row.listener), out),
            Variable::Drain => reduce(parcel.word(row.drain), out),
            Variable::Computer => reduce(parcel.word(row.computer), out),
            Variable::Kind => out.push_str(self.kind(row)),
            Variable::Date | Variable::Hour => {
                let time = Timestamp::from_microsecond(row.received_us).unwrap_or(Timestamp::UNIX_EPOCH);
                let time = Offset::UTC.to_datetime(time);
                let written = match variable {
                    Variable::Date => write!(out, "{}", time.date()),
                    _ => write!(out, "{:02}", time.hour()),
                };
                written.expect("a String takes everything");
            }
        }
    }

    /// Whether rows of different kinds have different names.
    pub fn varies_by_kind(&self) -> bool {
        self.variables.contains(&Variable::Kind)
    }

    pub fn kind(&self, row: &Row) -> &str {
        self.kinds.get(row.kind.0 as usize).map_or(NONE, |kind| kind)
    }

    /// Every name there can be, where it depends on nothing but the kind.
    pub fn all(&self) -> Option<Vec<String>> {
        if self.variables.iter().any(|variable| *variable != Variable::Kind) {
            return None;
        }
        let named = |kind: &str| -> String {
            let text = self.parts.iter().map(|part| match part {
                Part::Literal(text) => text,
                Part::Variable(_) => kind,
            });
            text.collect()
        };
        Some(if self.variables.is_empty() {
            vec![named("")]
        } else {
            self.kinds.iter().map(|kind| named(kind)).collect()
        })
    }
}

/// Stands for a value that an event lacks.
const NONE: &str = "none";

fn reduce(value: &[u8], out: &mut String) {
    if value.is_empty() {
        out.push_str(NONE);
    }
    for &byte in &value[..value.len().min(limits::NAME_VALUE_BYTES)] {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        out.push(if plain { byte as char } else { '_' });
    }
}

/// Makes every segment a name that a folder can hold and that is not the folder itself or the one above.
fn confine(path: &mut String) {
    let fits = |segment: &str| segment.len() <= limits::NAME_BYTES && !matches!(segment, "." | "..");
    if path.split('/').all(fits) {
        return;
    }
    let segments: Vec<String> = path
        .split('/')
        .map(|segment| match segment {
            "." | ".." => "_".repeat(segment.len()),
            _ => {
                let most = segment.len().min(limits::NAME_BYTES);
                let end = (0..=most).rev().find(|at| segment.is_char_boundary(*at)).unwrap_or(0);
                segment[..end].to_string()
            }
        })
        .collect();
    *path = segments.join("/");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Text;
    use crate::event::KindId;

    const KINDS: &[&str] = &["other", "app", "router"];

    fn naming(template: &str) -> Naming {
        Naming::new(&Template::path(&Text::plain(template)).unwrap(), KINDS)
    }

    fn parcel(drain: &[u8]) -> Parcel {
        let words = [&b"heroku-syslog"[..], drain].concat();
        let row = Row {
            end: 0,
            id: Word::default(),
            drain: Word { at: 13, len: drain.len() as u32 },
            computer: Word::default(),
            listener: Word { at: 0, len: 13 },
            kind: KindId(2),
            received_us: 1_795_530_600_000_001,
        };
        Parcel { words, rows: vec![row], ..Parcel::default() }
    }

    #[test]
    fn values_are_reduced_and_confined() {
        let long = "x".repeat(4000);
        let cut = "x".repeat(limits::NAME_VALUE_BYTES);
        for (template, drain, want) in [
            ("{listener}/{date}.ndjson", "", "heroku-syslog/2026-11-24.ndjson".to_string()),
            ("{kind}/{hour}-{computer}", "", "router/14-none".into()),
            ("{drain}.ndjson", "d.5a8f-x_Y", "d.5a8f-x_Y.ndjson".into()),
            ("{drain}/a", "..", "__/a".into()),
            ("{drain}/a", ".", "_/a".into()),
            ("{drain}/a", "...", ".../a".into()),
            (".{drain}/a", ".", "__/a".into()),
            ("{drain}/a", "../../etc", ".._.._etc/a".into()),
            ("{drain}/a", "/etc/passwd\0", "_etc_passwd_/a".into()),
            ("a/{drain}", "né €\n", "a/n_______".into()),
            ("a/{drain}", "", "a/none".into()),
            ("{drain}/a", &long, format!("{cut}/a")),
            ("{drain}{drain}{drain}/a", &long, format!("{}/a", &cut.repeat(3)[..limits::NAME_BYTES])),
        ] {
            let parcel = parcel(drain.as_bytes());
            let mut got = String::from("left over");
            naming(template).render(&parcel, Some(&parcel.rows[0]), &mut got);
            assert_eq!(got, want, "{template} {drain:?}");
        }
    }

    #[test]
    fn rows_of_one_name_are_recognized() {
        let mut parcel = parcel(b"a a");
        let base = parcel.rows[0];
        parcel.words.extend_from_slice(b"heroku-sysloga b");
        let same_text = Word { at: 16, len: 13 };
        let other_text = Word { at: 29, len: 3 };
        for (template, row, same) in [
            ("{listener}", Row { listener: same_text, ..base }, true),
            ("{listener}", Row { drain: other_text, ..base }, true),
            ("{drain}", Row { drain: other_text, ..base }, false),
            ("{computer}", Row { computer: other_text, ..base }, false),
            ("{kind}", Row { kind: KindId(1), ..base }, false),
            ("{date}", Row { received_us: base.received_us + HOUR_US, ..base }, true),
            ("{hour}", Row { received_us: base.received_us + HOUR_US, ..base }, false),
            ("{hour}", Row { received_us: base.received_us + DAY_US, ..base }, false),
            ("x", Row { kind: KindId(1), received_us: 0, ..base }, true),
        ] {
            assert_eq!(naming(template).same(&parcel, &base, &row), same, "{template} {row:?}");
        }
    }

    #[test]
    fn names_that_depend_on_the_kind_alone_can_be_listed() {
        assert_eq!(naming("weir.{kind}").all().unwrap(), ["weir.other", "weir.app", "weir.router"]);
        assert_eq!(naming("weir").all().unwrap(), ["weir"]);
        assert_eq!(naming("{drain}-{kind}").all(), None);
    }
}
