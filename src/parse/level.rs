//! An application's own level: from its JSON body, its `level=`, a word near its start, or Ruby's letter.

use memchr::memmem;

use super::heroku;
use super::logfmt::closing_quote;
use super::text::{Row, Text, is_blank};
use crate::event::{Name, Severity, Value};

/// How many blank-separated pieces of a text are looked at for a word.
const PIECES: usize = 5;

/// The level of a text without ANSI; the fields of its JSON body stand in `row`.
pub(super) fn own(body: Option<Text>, text: &[u8], row: &Row) -> Option<Severity> {
    body.and_then(|body| of_body(body, row))
        .or_else(|| of_pair(text))
        .or_else(|| of_words(text))
        .or_else(|| of_ruby(text))
}

fn of_body(body: Text, row: &Row) -> Option<Severity> {
    let bytes = |span: crate::event::Span| match span.is_made() {
        true => &row.made[span.start()..span.end()],
        false => {
            let start = span.start() - body.span.start();
            &body.bytes[start..start + span.len()]
        }
    };
    heroku::LEVEL_NAMES.iter().find_map(|wanted| {
        let field = row.fields.iter().find(|field| match field.name {
            Name::Known(_) => false,
            Name::Text(name) => name.len() == wanted.len() && bytes(name) == wanted.as_bytes(),
        })?;
        match field.value {
            Value::Text(value) | Value::Raw(value) => heroku::level_of_value(bytes(value)),
            _ => None,
        }
    })
}

/// `level=` at the start or after a blank, its value quoted or bare.
fn of_pair(text: &[u8]) -> Option<Severity> {
    let key = b"level=";
    let at = memmem::find_iter(text, key).find(|at| *at == 0 || is_blank(text[at - 1]))?;
    let value = &text[at + key.len()..];
    let value = match value.strip_prefix(b"\"") {
        Some(quoted) => &quoted[..closing_quote(quoted)?],
        None => &value[..value.iter().position(|byte| is_blank(*byte)).unwrap_or(value.len())],
    };
    heroku::level_of_value(value)
}

/// The first run of letters that is a level word in capitals.
fn of_words(text: &[u8]) -> Option<Severity> {
    let pieces = text.split(|byte| is_blank(*byte)).filter(|piece| !piece.is_empty()).take(PIECES);
    let mut runs = pieces.flat_map(|piece| piece.split(|byte| !byte.is_ascii_alphabetic()));
    runs.find_map(|run| {
        let known = |(word, _): &&(&str, Severity)| word.as_bytes() == run;
        heroku::LEVEL_WORDS.iter().find(known).map(|(_, severity)| *severity)
    })
}

/// `E, [`: the letter that Ruby's logger begins with.
fn of_ruby(text: &[u8]) -> Option<Severity> {
    let (letter, rest) = text.split_first()?;
    let known = heroku::RUBY_LEVELS.iter().find(|(known, _)| known == letter);
    rest.starts_with(b", [").then_some(known?.1)
}
