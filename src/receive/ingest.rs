//! Bodies of `POST /ingest`, cut into records: JSON objects, an array of them, NDJSON, or lines of text.
//!
//! Pure. A body that is not wholly what its content type says is refused with a reason, and nothing of it is taken: its
//! sender can read answers, unlike Logplex.

use serde::de::IgnoredAny;

use super::post::Piece;
use crate::batch::Form;
use crate::frame::{End, Framing};

/// Why a body is refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 400: it is not what it says.
    Malformed(String),
    /// 413: a record is larger than frames may be.
    TooLarge(String),
    /// 415: no such form is known.
    Unsupported(String),
}

/// The records of `body`, and the form they have.
pub fn records(content_type: &str, body: &[u8], frame_bytes: usize) -> Result<(Form, Vec<Piece>), Refusal> {
    let (form, pieces) = match content_type {
        "application/json" => (Form::IngestJson, json(body)?),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => {
            (Form::IngestJson, lines(body)?)
        }
        "text/plain" => {
            let (pieces, _) = super::post::frames(Framing::Newline, frame_bytes, body, End::Clean);
            return Ok((Form::IngestText, pieces));
        }
        other => {
            return Err(Refusal::Unsupported(format!(
                "content type `{other}` is not known\nhint: application/json, application/x-ndjson or text/plain"
            )));
        }
    };
    match pieces.iter().position(|piece| piece.len() > frame_bytes) {
        None => Ok((form, pieces)),
        Some(at) => Err(Refusal::TooLarge(format!(
            "record {} has {} bytes\nhint: `limits.frame_bytes` of the listener allows {frame_bytes}",
            at + 1,
            pieces[at].len()
        ))),
    }
}

/// One object, or the elements of an array.
fn json(body: &[u8]) -> Result<Vec<Piece>, Refusal> {
    check(body).map_err(Refusal::Malformed)?;
    let start = body.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(body.len());
    match body.get(start) {
        Some(b'{') => Ok(vec![Piece::of(start, body.trim_ascii_end().len())]),
        Some(b'[') => elements(body, start + 1),
        _ => Err(Refusal::Malformed("the body is neither an object nor an array of objects".into())),
    }
}

/// One object a line; empty lines are passed over.
fn lines(body: &[u8]) -> Result<Vec<Piece>, Refusal> {
    let mut pieces = Vec::new();
    let mut at = 0;
    for (index, line) in body.split(|byte| *byte == b'\n').enumerate() {
        let start = at + (line.len() - line.trim_ascii_start().len());
        let text = line.trim_ascii();
        at += line.len() + 1;
        if text.is_empty() {
            continue;
        }
        let refused = |reason: String| Refusal::Malformed(format!("line {}: {reason}", index + 1));
        check(text).map_err(refused)?;
        if text[0] != b'{' {
            return Err(refused("not an object".into()));
        }
        pieces.push(Piece::of(start, start + text.len()));
    }
    Ok(pieces)
}

fn check(text: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(text).map_err(|error| format!("not UTF-8: {error}"))?;
    serde_json::from_str::<IgnoredAny>(text).map(|_| ()).map_err(|error| format!("not JSON: {error}"))
}

/// The elements of an array whose bracket stands before `at`; the text is known to be JSON.
fn elements(body: &[u8], mut at: usize) -> Result<Vec<Piece>, Refusal> {
    let mut pieces = Vec::new();
    loop {
        at += body[at..].iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == b',').count();
        match body.get(at) {
            Some(b'{') => {
                let end = object_end(body, at);
                pieces.push(Piece::of(at, end));
                at = end;
            }
            None | Some(b']') => return Ok(pieces),
            Some(_) => {
                let reason = format!("element {} of the array is not an object", pieces.len() + 1);
                return Err(Refusal::Malformed(reason));
            }
        }
    }
}

/// Where the object that starts at `at` ends.
fn object_end(body: &[u8], mut at: usize) -> usize {
    let (mut depth, mut in_string) = (0usize, false);
    while at < body.len() {
        match body[at] {
            b'\\' if in_string => at += 1,
            b'"' => in_string = !in_string,
            b'{' if !in_string => depth += 1,
            b'}' if !in_string => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    body.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;

    fn texts<'a>(content_type: &str, body: &'a str) -> Result<Vec<&'a str>, Refusal> {
        let (_, pieces) = records(content_type, body.as_bytes(), 100)?;
        Ok(pieces.iter().map(|piece| &body[piece.start as usize..piece.end as usize]).collect())
    }

    #[test]
    fn bodies_are_cut_into_records() {
        let table: [(&str, &str, &[&str]); 9] = [
            ("application/json", r#" {"a":1} "#, &[r#"{"a":1}"#]),
            (
                "application/json",
                r#"[{"a":"}]\"{"}, {"b":{"c":[{}]}} ]"#,
                &[r#"{"a":"}]\"{"}"#, r#"{"b":{"c":[{}]}}"#],
            ),
            ("application/json", "[]", &[]),
            ("application/json", "{\n\"a\":1\n}\n", &["{\n\"a\":1\n}"]),
            ("application/x-ndjson", "{\"a\":1}\r\n\n {\"b\":2}", &[r#"{"a":1}"#, r#"{"b":2}"#]),
            ("application/x-ndjson", "", &[]),
            ("text/plain", "one\ntwo\r\n\nthree", &["one", "two", "three"]),
            ("text/plain", "7 not a count", &["7 not a count"]),
            ("text/plain", "", &[]),
        ];
        for (content_type, body, expected) in table {
            assert_eq!(texts(content_type, body).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn depth_is_the_parsers_affair() {
        let deep = format!("{}1{}", "{\"a\":".repeat(1000), "}".repeat(1000));
        let (_, pieces) = records("application/json", deep.as_bytes(), limits::FRAME_BYTES).unwrap();
        assert_eq!(pieces, [Piece::of(0, deep.len())]);
    }

    #[test]
    fn what_is_not_as_it_says_is_refused_whole() {
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        let table = [
            ("application/json", "", "EOF"),
            ("application/json", "{\"a\":1} x", "trailing characters"),
            ("application/json", "{\"a\":1}{\"a\":1}", "trailing characters"),
            ("application/json", "[{\"a\":1}", "EOF"),
            ("application/json", "[{\"a\":1},2]", "element 2 of the array is not an object"),
            ("application/json", "\"text\"", "neither an object nor an array"),
            ("application/json", &deep, "element 1 of the array is not an object"),
            ("application/json", &deep[..999], "EOF"),
            ("application/x-ndjson", "{\"a\":1}\n{\"a\":", "line 2: not JSON"),
            ("application/x-ndjson", "[]", "line 1: not an object"),
        ];
        for (content_type, body, reason) in table {
            match texts(content_type, body) {
                Err(Refusal::Malformed(got)) => assert!(got.contains(reason), "{got}"),
                other => panic!("{body}: {other:?}"),
            }
        }
        let not_text = records("application/json", b"{\"a\":\"\xff\"}", 100);
        assert!(matches!(not_text, Err(Refusal::Malformed(reason)) if reason.contains("not UTF-8")));
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(100));
        assert!(matches!(texts("application/json", &long), Err(Refusal::TooLarge(_))));
        assert!(matches!(texts("application/xml", "<a/>"), Err(Refusal::Unsupported(_))));
        assert!(matches!(texts("", "{}"), Err(Refusal::Unsupported(_))));
    }
}
