//! What is published, as JSON for `/api/v1/reports`.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::shelf::{self, Published};

/// Rows of one answer, unless fewer are asked for.
const ROWS: usize = 1000;

/// Why there is no answer.
#[derive(Debug)]
pub enum ApiError {
    /// There is no such thing; says what there is.
    Unknown(String),
    /// The question is wrong.
    Bad(String),
    Failed(io::Error),
}

impl From<io::Error> for ApiError {
    fn from(error: io::Error) -> ApiError {
        ApiError::Failed(error)
    }
}

/// Answers for the path `rest` behind `/api/v1/reports`: all that is published, or with `/ID` the rows of one window, the
/// last one unless the query names another by `window`; `offset` and `limit` say which.
///
/// # Errors
/// An unknown report or window, a wrong number, or a folder that cannot be read.
pub fn answer(dir: &Path, rest: &str, query: Option<&str>) -> Result<Json, ApiError> {
    let names = shelf::names(dir)?;
    let mut all = Vec::new();
    for name in &names {
        let published = shelf::of(dir, name)?;
        if let Some(last) = published.last() {
            all.push((name.clone(), last.id.clone(), published));
        }
    }
    let Some(id) = rest.strip_prefix('/').filter(|id| !id.is_empty()) else {
        return match rest {
            "" | "/" => Ok(all.iter().map(|(_, id, published)| listed(id, published)).collect()),
            _ => Err(ApiError::Unknown("not found".into())),
        };
    };
    let Some((name, full, published)) = all.iter().find(|(name, full, _)| full == id || name == id) else {
        let ids: Vec<&str> = all.iter().map(|(_, id, _)| id.as_str()).collect();
        let known = if ids.is_empty() { "none".to_string() } else { ids.join(", ") };
        return Err(ApiError::Unknown(format!("no window of report `{id}` is published; there are {known}")));
    };
    let value = |key: &str| {
        let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .into_iter()
            .find(|(known, _)| *known == key)
            .map(|(_, value)| value.replace("%2B", "+").replace("%2b", "+"))
    };
    let number = |key: &str, default: usize| match value(key) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| ApiError::Bad(format!("`{key}={text}` is no number"))),
    };
    let (offset, limit) = (number("offset", 0)?, number("limit", ROWS)?.min(ROWS));
    let window = value("window");
    let one = match &window {
        None => published.iter().rfind(|one| one.correction.is_none()).or(published.last()),
        Some(window) => published.iter().find(|one| one.name == *window),
    };
    let Some(one) = one else {
        return Err(ApiError::Unknown(format!(
            "no such window of report `{id}`; `/api/v1/reports` lists them"
        )));
    };
    let mut out = shown(one);
    let ndjson = format!("{}.ndjson", one.name);
    if !one.files.contains(&ndjson) {
        return Err(ApiError::Unknown(format!(
            "report `{id}` is not written as ndjson; its files are {}",
            one.files.join(", ")
        )));
    }
    let lines = BufReader::new(File::open(dir.join(name).join(ndjson))?).lines();
    let mut rows = Vec::new();
    for line in lines.skip(offset).take(limit) {
        rows.push(serde_json::from_str::<Json>(&line?).map_err(io::Error::from)?);
    }
    out["id"] = json!(full);
    out["title"] = json!(one.title);
    out["offset"] = json!(offset);
    out["total"] = out["rows"].take();
    out["rows"] = Json::Array(rows);
    Ok(out)
}

fn listed(id: &str, published: &[Published]) -> Json {
    let title = published.last().map_or("", |one| &one.title);
    json!({"id": id, "title": title, "windows": published.iter().map(shown).collect::<Vec<_>>()})
}

fn shown(one: &Published) -> Json {
    let time = |us: i64| Timestamp::from_microsecond(us).map_or(Json::Null, |at| json!(at.to_string()));
    let Published { name, from_us, to_us, correction, rows, cut, files, .. } = one;
    json!({"window": name, "from": time(*from_us), "to": time(*to_us), "correction": correction, "rows": rows, "cut": cut, "files": files})
}
