//! What is published: a line of JSON each in `DIR/.index/NAME/`, for those who list it and for what is kept long enough.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A published window, or a correction of one. Times are microseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Full id of the report.
    pub id: String,
    pub title: String,
    /// What its files are called, less their endings.
    pub name: String,
    pub from_us: i64,
    pub to_us: i64,
    pub correction: Option<u32>,
    pub rows: u64,
    /// Rows that found no room.
    pub cut: u64,
    /// When; 0 in a replay.
    #[serde(default)]
    pub published_us: i64,
    /// Names of its files.
    pub files: Vec<String>,
}

fn path(dir: &Path, report: &str, name: &str) -> std::path::PathBuf {
    dir.join(".index").join(report).join(format!("{name}.json"))
}

pub(super) fn is_there(dir: &Path, report: &str, name: &str) -> bool {
    path(dir, report, name).exists()
}

pub(super) fn put(dir: &Path, report: &str, published: &Published) -> io::Result<()> {
    let path = path(dir, report, &published.name);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    super::atomically(&path, |out| Ok(serde_json::to_writer(out, published)?))
}

/// What is published of a report, the folder of which is called `report`; oldest first.
///
/// # Errors
/// If the folder is there and cannot be read. A line that is damaged is left out.
pub fn of(dir: &Path, report: &str) -> io::Result<Vec<Published>> {
    let folder = dir.join(".index").join(report);
    let mut all: Vec<Published> = Vec::new();
    if folder.is_dir() {
        for file in fs::read_dir(folder)? {
            let text = fs::read_to_string(file?.path()).unwrap_or_default();
            all.extend(serde_json::from_str::<Published>(&text).ok());
        }
    }
    all.sort_by_key(|one| (one.from_us, one.correction));
    Ok(all)
}

/// Names of the folders of all reports that something is published of, sorted.
///
/// # Errors
/// If the folder is there and cannot be read.
pub fn names(dir: &Path) -> io::Result<Vec<String>> {
    let folder = dir.join(".index");
    let mut names = Vec::new();
    if folder.is_dir() {
        for entry in fs::read_dir(folder)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Removes what ended before `before_us`.
pub(super) fn forget(dir: &Path, report: &str, before_us: i64) -> io::Result<()> {
    for one in of(dir, report)?.iter().filter(|one| one.to_us < before_us) {
        for file in &one.files {
            // What somebody has removed already is gone.
            let _ = fs::remove_file(dir.join(report).join(file));
        }
        fs::remove_file(path(dir, report, &one.name))?;
    }
    Ok(())
}
