//! Reports, from lines to files: `weir replay --reports` as a user runs it.

mod guide;
mod hostile;
mod live;
mod order;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An empty folder of this test.
fn folder(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reports").join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// Replays `input` with these arguments and reports into `DIR/out`; returns every file by its name below that.
fn replay(dir: &Path, input: &[u8], args: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let file = dir.join("input");
    std::fs::write(&file, input).unwrap();
    let out = dir.join("out");
    let run = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["replay", "--format", "none"])
        .args(args)
        .arg("--reports")
        .arg(&out)
        .arg(&file)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    files(&out)
}

fn files(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for folder in std::fs::read_dir(out).unwrap().map(Result::unwrap) {
        let name = folder.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        for file in std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
            let path = format!("{name}/{}", file.file_name().to_string_lossy());
            assert!(!path.contains(".part"), "{path} was not finished");
            all.insert(path, std::fs::read(file.path()).unwrap());
        }
    }
    all
}

/// The rows of a CSV file, read by a reader of its own.
fn csv(bytes: &[u8]) -> Vec<Vec<String>> {
    let text = std::str::from_utf8(bytes).unwrap();
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut chars = text.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted && chars.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            c => cell.push(c),
        }
    }
    assert!(!quoted && cell.is_empty() && row.is_empty(), "the last line is not whole");
    rows
}
