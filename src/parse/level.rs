//! An application's own level: from its JSON body, its `level=`, a word near its start, or Ruby's letter.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::heroku;
use super::logfmt::closing_quote;
use super::text::{Row, Text, is_blank, until_capital_or_blank};
use crate::event::{Name, Severity, Value};

const LEVEL_KEY: &[u8] = b"level=";
static LEVEL_KEYS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(LEVEL_KEY));

/// How many blank-separated pieces of a text are looked at for a word.
pub(super) const PIECES: usize = 5;

/// The level of a text without ANSI; the fields of its JSON body stand in `row`.
pub(super) fn own(body: Option<Text>, text: &[u8], row: &Row) -> Option<Severity> {
    body.and_then(|body| of_body(body, row)).or_else(|| of_pair(text)).or_else(|| by_words(text))
}

/// The level of a text that has neither a JSON body nor `level=`.
pub(super) fn by_words(text: &[u8]) -> Option<Severity> {
    of_words(text).or_else(|| of_ruby(text))
}

fn of_body(body: Text, row: &Row) -> Option<Severity> {
    let bytes = |span| body.resolve(span, row.made);
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
    let at = LEVEL_KEYS.find_iter(text).find(|at| *at == 0 || is_blank(text[at - 1]))?;
    let value = &text[at + LEVEL_KEY.len()..];
    let value = match value.strip_prefix(b"\"") {
        Some(quoted) => &quoted[..closing_quote(quoted)?],
        None => &value[..value.iter().position(|byte| is_blank(*byte)).unwrap_or(value.len())],
    };
    heroku::level_of_value(value)
}

/// The first run of letters that is a level word in capitals.
pub(super) fn of_words(text: &[u8]) -> Option<Severity> {
    let is_letter = |at: usize| text.get(at).is_some_and(u8::is_ascii_alphabetic);
    let (mut pieces, mut piece, mut at) = (0, 0, 0);
    loop {
        at += until_capital_or_blank(&text[at..]);
        let rest = &text[at..];
        let capitals = rest.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
        let end = at + capitals;
        if capitals >= 3
            && !(at > 0 && is_letter(at - 1))
            && !is_letter(end)
            && let Some(level) = heroku::level_of_word(&text[at..end])
        {
            return Some(level);
        }
        if capitals == 0 {
            pieces += usize::from(at > piece);
            if rest.is_empty() || pieces == PIECES {
                return None;
            }
            at += rest.iter().take_while(|byte| is_blank(**byte)).count();
            piece = at;
        }
        at += capitals;
    }
}

/// `E, [`: the letter that Ruby's logger begins with.
pub(super) fn of_ruby(text: &[u8]) -> Option<Severity> {
    let (letter, rest) = text.split_first()?;
    let known = heroku::RUBY_LEVELS.iter().find(|(known, _)| known == letter);
    rest.starts_with(b", [").then_some(known?.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::json::{Json, candidate};
    use crate::parse::tests::read;

    #[test]
    fn the_first_rule_that_gives_a_level_wins() {
        use Severity::*;
        for (text, expected) in [
            ("{\"level\":\"warn\",\"severity\":\"error\"}", Some(Warning)),
            ("{\"severity\":\"Fatal\"}", Some(Critical)),
            ("{\"level\":\"verbose\",\"lvl\":\"EMERGENCY\"}", Some(Emergency)),
            ("{\"level\":30}", Some(Info)),
            ("{\"level\":50}", Some(Error)),
            ("{\"level\":35}", None),
            ("{\"level\":35,\"msg\":\"ERROR\"}", Some(Error)),
            ("{\"a\":{\"level\":\"error\"}}", None),
            ("{\"le\\u0076el\":\"err\\u006fr\"}", Some(Error)),
            ("level=warn ERROR", Some(Warning)),
            ("ts=1 level=\"ERR\" x", Some(Error)),
            ("ts=1\tlevel=crit", Some(Critical)),
            ("loglevel=error", None),
            ("level=odd WARN x", Some(Warning)),
            ("level=error,x", None),
            ("level=\"error", None),
            ("level=", None),
            ("1 2 3 4 ERROR", Some(Error)),
            ("1 2 3 4 5 ERROR", None),
            ("  1  2 \n 3 4 [ERROR]", Some(Error)),
            ("ERRORS", None),
            ("Error error", None),
            ("XERR_A", None),
            ("x:ERR_A", Some(Error)),
            ("npm ERR! x", Some(Error)),
            ("INFO ERROR", Some(Info)),
            ("éERRORé", Some(Error)),
            ("1WARN2", Some(Warning)),
            ("EMERGENCY", None),
            ("NOTICE TRACE", Some(Notice)),
            ("ALERT", Some(Alert)),
            ("E, [2024-01-01T00:00:00 #6] : x", Some(Error)),
            ("D, [", Some(Debug)),
            ("A, [", None),
            ("E, x", None),
            ("", None),
        ] {
            let found = read(text, |text, row| {
                let body = candidate(text);
                let mut json = Json::default();
                if let Some(body) = body {
                    json.fields(body, row).unwrap();
                }
                own(body, text.bytes, row)
            });
            assert_eq!(found.0, expected, "{text}");
        }
    }
}
