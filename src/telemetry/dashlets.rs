//! Questions about dashlets, as they come in a URL.

use hyper::StatusCode;

use super::serve::Answer;
use crate::ledger::answer;
use crate::ledger::dashlets::{Query, Tables};
use crate::parse::time;

/// Where dashlets are served, on the admin address.
pub const PATH: &str = "/api/v1/dashlets";
/// Rows of one answer.
const LIMIT_MAX: usize = 10_000;

/// Answers `rest`, what follows [`PATH`], with the query of its URL; `None` if it is no such question.
pub fn answer(tables: &Tables, rest: &str, query: Option<&str>) -> Option<Answer> {
    let mut body = Vec::new();
    match rest.strip_prefix('/') {
        None if rest.is_empty() => answer::list(tables, &mut body),
        None => return None,
        Some(id) => {
            let Some(place) = tables.named(id) else {
                let all: Vec<&str> = tables.list().iter().map(|dashlet| &*dashlet.id).collect();
                let text = format!("there is no dashlet `{id}`; there are {}\n", all.join(", "));
                return Some(Answer::text(StatusCode::NOT_FOUND, text));
            };
            let table = read(query.unwrap_or_default()).and_then(|query| tables.table(place, query));
            match table {
                Ok(table) => answer::table(&table, &mut body),
                Err(why) => return Some(Answer::text(StatusCode::BAD_REQUEST, why + "\n")),
            }
        }
    }
    body.push(b'\n');
    Some(Answer::json(String::from_utf8(body).expect("JSON of texts is UTF-8")))
}

/// Reads `from=&to=&step=&limit=`: times as RFC 3339 or as seconds since 1970, `step` in seconds.
fn read(query: &str) -> Result<Query, String> {
    let mut read = Query::default();
    for (name, value) in query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name, value.replace("%3A", ":").replace("%3a", ":").replace("%2B", "+").replace("%2b", "+"))
    }) {
        let wrong = || format!("`{name}={value}` is no value of `{name}`");
        let seconds = || value.parse::<i64>().ok().and_then(|s| s.checked_mul(1_000_000));
        let us = || seconds().or_else(|| time::rfc3339(value.as_bytes())).ok_or_else(wrong);
        match name {
            "from" => read.from_us = Some(us()?),
            "to" => read.to_us = Some(us()?),
            "step" => {
                read.step_s = Some(value.parse().ok().filter(|step| *step > 0).ok_or_else(wrong)?);
            }
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
                read.limit = Some(limit.ok_or_else(wrong)?);
            }
            _ => return Err(format!("`{name}` is not asked; `from`, `to`, `step` and `limit` are")),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_read() {
        let query = read("from=2026-01-01T00:00:00Z&to=1767229200&step=60&limit=5").unwrap();
        assert_eq!(query.from_us, Some(1_767_225_600_000_000));
        assert_eq!(query.to_us, Some(1_767_229_200_000_000));
        assert_eq!((query.step_s, query.limit), (Some(60), Some(5)));
        assert_eq!(read("from=2026-01-01T01%3A00%3A00%2B01:00").unwrap().from_us, query.from_us);
        for wrong in ["from=x", "to=", "step=0", "step=-1", "limit=0", "limit=10001", "form=1"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
