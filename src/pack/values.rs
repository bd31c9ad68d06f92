//! Values of matchers: wildcards, wide text, keywords, and how tests are joined.

use crate::config::node::{Node, Value};
use crate::config::read::Reader;
use crate::plan::rules::cond::{Cond, Glob, How, Op, Subject, Test};

/// Reads a text that is looked for in the message.
pub(super) fn keyword(r: &mut Reader<'_>, node: &Node, owner: &str) -> Option<Cond> {
    let text = match &node.value {
        Value::Scalar { text, .. } if !text.is_empty() && !node.is_null() => text,
        _ => {
            let message = format!("a block of {owner} is {}", node.what());
            r.note(node.at, message, "a map of matchers, or texts to look for");
            return None;
        }
    };
    let mut pieces = pieces(text);
    pieces.insert(0, Glob::Many);
    pieces.push(Glob::Many);
    pieces.dedup_by(|a, b| *a == Glob::Many && *b == Glob::Many);
    let op = match &pieces[..] {
        [Glob::Many] => return Some(Cond::All(Vec::new())),
        [Glob::Many, Glob::Literal(literal), Glob::Many] => {
            Op::Text { how: How::Contains, cased: false, any: vec![literal.clone()] }
        }
        _ => Op::Glob { pattern: pieces, cased: false },
    };
    Some(Cond::Test(Test { subject: Subject::Text, op }))
}

/// Joins tests; literals that are compared alike become one test.
pub(super) fn joined(parts: Vec<Cond>, all: bool) -> Cond {
    let mut out: Vec<Cond> = Vec::new();
    for part in parts {
        if let Cond::Test(Test { subject, op: Op::Text { how, cased, any } }) = &part
            && !all
            && let Some(known) = out.iter_mut().find_map(|known| match known {
                Cond::Test(Test { subject: s, op: Op::Text { how: h, cased: c, any } }) => {
                    (s == subject && h == how && c == cased).then_some(any)
                }
                _ => None,
            })
        {
            known.extend(any.iter().cloned());
            continue;
        }
        out.push(part);
    }
    match (out.len(), all) {
        (1, _) => out.remove(0),
        (_, true) => Cond::All(out),
        (_, false) => Cond::Any(out),
    }
}

/// Takes a value apart at its wildcards; `\` makes a plain byte of `*`, `?` and `\`.
pub(super) fn pieces(text: &str) -> Vec<Glob> {
    let mut out = Vec::new();
    let mut literal = Vec::new();
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        let wild = match byte {
            b'\\' => {
                let escaped = bytes.next_if(|next| matches!(next, b'*' | b'?' | b'\\'));
                literal.push(escaped.unwrap_or(b'\\'));
                continue;
            }
            b'*' => Glob::Many,
            b'?' => Glob::One,
            _ => {
                literal.push(byte);
                continue;
            }
        };
        if !literal.is_empty() {
            out.push(Glob::Literal(std::mem::take(&mut literal).into()));
        }
        if !(wild == Glob::Many && out.last() == Some(&Glob::Many)) {
            out.push(wild);
        }
    }
    if !literal.is_empty() {
        out.push(Glob::Literal(literal.into()));
    }
    out
}

/// Makes UTF-16 of the literals.
pub(super) fn widen(pieces: &mut [Glob], big: bool) {
    for piece in pieces {
        if let Glob::Literal(literal) = piece {
            let text = String::from_utf8_lossy(literal).into_owned();
            let bytes = text
                .encode_utf16()
                .flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() });
            *literal = bytes.collect();
        }
    }
}
