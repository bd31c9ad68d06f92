//! Two objects that write one field on one event: found by a line that shows it.
//!
//! Lines come from the pack's own tests and, for each pair of objects that share a field, from what their rules ask for:
//! literals as they stand, and of each expression the shortest text that it matches. A pair for which no such line
//! proves anything may still meet; then the first object wins, and the event is counted.

use regex_syntax::hir::{Class, Hir, HirKind};

use super::compile::{For, compile_with};
use super::probe::Probe;
use super::{Object, ObjectRule, Pack};
use crate::plan::rules::cond::{Cond, Glob, How, Key, Op, Subject, Test};
use crate::plan::rules::{ExtractSpec, FieldSpec, regex};

/// Pairs of rules that lines are made for.
const PAIRS_MAX: usize = 20_000;
/// Bytes of a made line.
const LINE_MAX: usize = 4_096;

/// Two objects of a pack that write a field twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    pub objects: [String; 2],
    /// Line and column where the second one stands.
    pub place: (usize, usize),
    /// An event on which both write.
    pub witness: String,
}

/// Returns the conflicts of a pack for which a line was found, each pair once.
pub fn conflicts(pack: &Pack) -> Vec<Conflict> {
    let Ok(program) = compile_with(std::slice::from_ref(pack), &[], For::Explaining) else {
        return Vec::new();
    };
    let mut probe = Probe::new(program, Vec::new(), true);
    let mut lines: Vec<String> = pack.tests.iter().flat_map(|trial| trial.lines()).collect();
    lines.extend(made(pack));
    let mut found: Vec<Conflict> = Vec::new();
    let writing: Vec<&Object> =
        pack.objects.iter().filter(|object| super::compile::does_something(object)).collect();
    for line in lines {
        let line = line.replace("{t}", "2026-01-01T00:00:00Z");
        let seen = probe.see(line.as_bytes(), 0);
        if seen.matched.conflicts == 0 {
            continue;
        }
        // The pair is the two of those that match which can write the same.
        let matched =
            seen.matched.objects.iter().map(|(object, rule)| (writing[*object as usize], *rule as usize));
        let matched: Vec<_> = matched.collect();
        for (index, (b, rule_b)) in matched.iter().enumerate() {
            for (a, rule_a) in &matched[..index] {
                let shares = !shared(&pack.fields, &a.rules[*rule_a], &b.rules[*rule_b]).is_empty();
                let objects = [a.id.clone(), b.id.clone()];
                if shares && !found.iter().any(|known| known.objects == objects) {
                    found.push(Conflict { objects, place: b.place, witness: line.clone() });
                }
            }
        }
    }
    found
}

/// The fields that an extractor may write.
fn writes<'f>(fields: &'f [FieldSpec], extract: &'f ExtractSpec) -> Vec<&'f str> {
    match extract {
        ExtractSpec::Kv { emit, .. } => {
            let emitted = |name: &str| emit.as_ref().is_none_or(|emit| emit.iter().any(|one| **one == *name));
            fields.iter().map(|field| &*field.name).filter(|name| emitted(name)).collect()
        }
        ExtractSpec::Regex { groups, .. } => groups.iter().map(|name| &**name).collect(),
        ExtractSpec::Delimited { fields, .. } => fields.iter().flatten().map(|name| &**name).collect(),
        ExtractSpec::Json(paths) => paths.iter().map(|(_, field)| &**field).collect(),
        ExtractSpec::Format { field, .. } => vec![&**field],
    }
}

fn shared<'f>(fields: &'f [FieldSpec], a: &'f ObjectRule, b: &'f ObjectRule) -> Vec<&'f str> {
    let of_a: Vec<&str> = a.extract.iter().flat_map(|one| writes(fields, one)).collect();
    let of_b = b.extract.iter().flat_map(|one| writes(fields, one));
    of_b.filter(|name| of_a.contains(name)).collect()
}

/// Lines on which two rules that share a field might both write.
fn made(pack: &Pack) -> Vec<String> {
    let mut lines = Vec::new();
    let mut pairs = 0;
    for (index, b) in pack.objects.iter().enumerate() {
        for a in &pack.objects[..index] {
            for (rule_a, rule_b) in
                a.rules.iter().flat_map(|rule_a| b.rules.iter().map(move |rule_b| (rule_a, rule_b)))
            {
                pairs += 1;
                let fields = shared(&pack.fields, rule_a, rule_b);
                if pairs > PAIRS_MAX || fields.is_empty() {
                    continue;
                }
                let mut asked =
                    Asked { source: None, process: None, start: String::new(), text: String::new() };
                asked.cond(&rule_a.when);
                asked.cond(&rule_b.when);
                for extract in rule_a.extract.iter().chain(&rule_b.extract) {
                    asked.extract(pack, extract, &fields);
                }
                let (source, process) =
                    (asked.source.unwrap_or("app".into()), asked.process.unwrap_or("web.1".into()));
                let line = format!("<190>1 {{t}} host {source} {process} - {}{}", asked.start, asked.text);
                if line.len() <= LINE_MAX {
                    lines.push(line);
                }
            }
        }
    }
    lines
}

/// What a line has to have.
struct Asked {
    source: Option<String>,
    process: Option<String>,
    /// The beginning of the text, and the rest.
    start: String,
    text: String,
}

impl Asked {
    fn cond(&mut self, cond: &Cond) {
        match cond {
            Cond::All(parts) => parts.iter().for_each(|part| self.cond(part)),
            Cond::Any(parts) => parts.iter().take(1).for_each(|part| self.cond(part)),
            Cond::Not(_) => {}
            Cond::Test(Test { subject, op }) => match (subject, sample_of(op)) {
                (Subject::Text, Some((sample, true))) => self.start.push_str(&sample),
                (Subject::Text, Some((sample, false))) => self.add(&sample),
                (Subject::Key(Key::Source), Some((sample, _))) => self.source = Some(sample),
                (Subject::Key(Key::Process), Some((sample, _))) => self.process = Some(sample),
                _ => {}
            },
        }
    }

    fn extract(&mut self, pack: &Pack, extract: &ExtractSpec, fields: &[&str]) {
        match extract {
            ExtractSpec::Kv { separator, between, .. } => {
                for field in pack.fields.iter().filter(|field| fields.contains(&&*field.name)) {
                    let separator = String::from_utf8_lossy(separator);
                    self.text.push_str(&format!(
                        "{}{}{separator}1",
                        String::from_utf8_lossy(between),
                        field.key
                    ));
                }
            }
            ExtractSpec::Regex { pattern, .. } => {
                if let Some(sample) = regex::hir(pattern).ok().and_then(|hir| sample(&hir)) {
                    self.add(&sample);
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, text: &str) {
        self.text.push(' ');
        self.text.push_str(text);
    }
}

/// A text for which a test holds, and whether it must begin the value.
fn sample_of(op: &Op) -> Option<(String, bool)> {
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match op {
        Op::Text { how, any, .. } => Some((lossy(any.first()?), matches!(how, How::Equals | How::Starts))),
        Op::Glob { pattern, .. } => {
            let piece = |piece: &Glob| match piece {
                Glob::Literal(literal) => lossy(literal),
                Glob::Many => String::new(),
                Glob::One => "x".into(),
            };
            Some((pattern.iter().map(piece).collect(), true))
        }
        Op::Regex(pattern) => {
            let begins = pattern.trim_start_matches("(?i)").trim_start_matches("(?s)").starts_with('^');
            Some((sample(&regex::hir(pattern).ok()?)?, begins))
        }
        _ => None,
    }
}

/// A short text that an expression matches, if it is printable.
fn sample(hir: &Hir) -> Option<String> {
    let text = match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => String::new(),
        HirKind::Literal(literal) => String::from_utf8(literal.0.to_vec()).ok()?,
        HirKind::Class(class) => {
            let ranges: Vec<(u32, u32)> = match class {
                Class::Bytes(class) => {
                    class.iter().map(|range| (range.start().into(), range.end().into())).collect()
                }
                Class::Unicode(class) => {
                    class.iter().map(|range| (range.start().into(), range.end().into())).collect()
                }
            };
            // Digits and letters make the better examples.
            let wanted = ['1', 'a', ' ', '=', ':', '.'].into_iter();
            let within = |c: &char| ranges.iter().any(|(from, to)| (*from..=*to).contains(&u32::from(*c)));
            let first = ranges.first().and_then(|(from, _)| char::from_u32(*from));
            wanted.clone().find(within).or(first.filter(char::is_ascii_graphic))?.to_string()
        }
        HirKind::Repetition(repetition) => {
            let one = sample(&repetition.sub)?;
            one.repeat(repetition.min.min(64) as usize)
        }
        HirKind::Capture(capture) => sample(&capture.sub)?,
        HirKind::Concat(parts) => parts.iter().map(sample).collect::<Option<String>>()?,
        HirKind::Alternation(parts) => sample(parts.first()?)?,
    };
    (text.len() <= LINE_MAX).then_some(text)
}
