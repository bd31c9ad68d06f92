//! Literals of which one must occur wherever a regular expression matches.
//!
//! They let one automaton over the text prove that most expressions cannot match. Letters are folded to lower case,
//! since the automaton ignores ASCII case: that only ever lets an expression be tried once too often.

use regex_syntax::hir::{Class, Hir, HirKind};

/// More alternatives than this would cost the automaton more than the expression.
const LITERALS_MAX: usize = 64;
/// A class of more bytes is no literal.
const CLASS_MAX: usize = 4;

/// Lower-case literals, one of which occurs in every match; `None` if nothing can be said.
pub fn required(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    let found = walk(hir)?;
    (found.len() <= LITERALS_MAX && found.iter().all(|literal| !literal.is_empty())).then_some(found)
}

/// How much a set of literals tells: the shortest counts, and many tell less.
fn worth(set: &[Vec<u8>]) -> (usize, usize) {
    (set.iter().map(Vec::len).min().unwrap_or(0), LITERALS_MAX.saturating_sub(set.len()))
}

fn walk(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(vec![literal.0.to_ascii_lowercase()]),
        HirKind::Class(_) => letter(hir).map(|byte| vec![vec![byte]]),
        HirKind::Capture(capture) => walk(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => walk(&repetition.sub),
        HirKind::Concat(parts) => concat(parts),
        HirKind::Alternation(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(walk(part)?);
                if all.len() > LITERALS_MAX {
                    return None;
                }
            }
            Some(all)
        }
        HirKind::Empty | HirKind::Look(_) | HirKind::Repetition(_) => None,
    }
}

/// The best of a sequence: a run of literals and letters in both cases, or what one part says alone.
fn concat(parts: &[Hir]) -> Option<Vec<Vec<u8>>> {
    let mut best: Option<Vec<Vec<u8>>> = None;
    let mut offer = |set: Vec<Vec<u8>>| {
        if !set.is_empty() && best.as_ref().is_none_or(|best| worth(&set) > worth(best)) {
            best = Some(set);
        }
    };
    let mut run = Vec::new();
    for part in parts {
        match (part.kind(), letter(part)) {
            (HirKind::Literal(literal), _) => run.extend(literal.0.to_ascii_lowercase()),
            (_, Some(byte)) => run.push(byte),
            // A place between bytes parts nothing.
            (HirKind::Look(_), _) => {}
            _ => {
                if !run.is_empty() {
                    offer(vec![core::mem::take(&mut run)]);
                }
                if let Some(set) = walk(part) {
                    offer(set);
                }
            }
        }
    }
    if !run.is_empty() {
        offer(vec![run]);
    }
    best
}

/// The lower-case letter that a class of one letter's two cases stands for, or the byte of a class of one.
fn letter(hir: &Hir) -> Option<u8> {
    let HirKind::Class(class) = hir.kind() else { return None };
    let mut bytes = Vec::new();
    let mut add = |from: u32, to: u32| {
        for value in from..=to {
            if bytes.len() > CLASS_MAX {
                return;
            }
            bytes.push(u8::try_from(value).ok().filter(u8::is_ascii));
        }
    };
    match class {
        Class::Unicode(class) => class.iter().for_each(|range| add(range.start() as u32, range.end() as u32)),
        Class::Bytes(class) => class.iter().for_each(|range| add(range.start().into(), range.end().into())),
    }
    let first = bytes.first().copied()??.to_ascii_lowercase();
    let same = |byte: &Option<u8>| byte.is_some_and(|byte| byte.to_ascii_lowercase() == first);
    (bytes.len() <= 2 && bytes.iter().all(same)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_found_where_they_must_occur() {
        let cases: &[(&str, Option<&[&str]>)] = &[
            ("Error R14", Some(&["error r14"])),
            (r"(?i)from\s+(\d+)", Some(&["from"])),
            (r"(?i)(?:from|ip|rhost)[ =]+[0-9]+", Some(&["from", "ip", "rhost"])),
            (r"^State changed\b", Some(&["state changed"])),
            (r"a+b*long enough", Some(&["long enough"])),
            (r"(abc)?x{0,2}", None),
            (r"\d+", None),
            (r"(abc|.*)", None),
            ("", None),
            (r"[ab]c", Some(&["c"])),
        ];
        for (pattern, expected) in cases {
            let hir = super::super::regex::hir(pattern).unwrap();
            let found = required(&hir);
            let expected =
                expected.map(|set| set.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>());
            assert_eq!(found, expected, "{pattern}");
        }
    }
}
