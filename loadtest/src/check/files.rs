//! Finds the files of a pattern and puts them into the order in which they were written.
//!
//! Within one folder the order is that of the first line's `received`, which never goes back in weir, then of the
//! names; folders are apart (one listener each, or whatever the path template makes of it), so order is judged
//! within a folder only. Only plain NDJSON is read; a compressed file is an error that says so, not a silent gap.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::compare::received;

/// The files of one folder, oldest first.
pub type Folder = Vec<PathBuf>;

/// All files that the patterns name. A folder stands for every `*.ndjson*` below it; `*` and `?` stay within a
/// name, `**` does not.
pub fn find(patterns: &[String]) -> Result<Vec<Folder>, String> {
    let mut all = Vec::new();
    for pattern in patterns {
        let before = all.len();
        let path = Path::new(pattern);
        if path.is_dir() {
            walk(path, &mut |file| {
                if file.file_name().is_some_and(|n| n.to_string_lossy().contains(".ndjson")) {
                    all.push(file.to_path_buf());
                }
            })?;
        } else if path.is_file() {
            all.push(path.to_path_buf());
        } else if pattern.contains(['*', '?']) {
            let fixed = &pattern[..pattern.find(['*', '?']).unwrap_or(0)];
            let base = fixed.rfind('/').map_or(".", |at| &pattern[..at.max(1)]);
            if Path::new(base).is_dir() {
                walk(Path::new(base), &mut |file| {
                    let name = file.to_string_lossy();
                    let name =
                        if fixed.contains('/') { &*name } else { name.strip_prefix("./").unwrap_or(&name) };
                    if matches(pattern.as_bytes(), name.as_bytes()) {
                        all.push(file.to_path_buf());
                    }
                })?;
            }
        }
        if all.len() == before {
            return Err(format!("no file matches `{pattern}`"));
        }
    }
    all.sort();
    all.dedup();
    if let Some(packed) =
        all.iter().find(|f| f.extension().is_some_and(|e| e == "gz" || e == "zst" || e == "zstd"))
    {
        return Err(format!(
            "`{}` is compressed; only plain NDJSON is read, so unpack it first",
            packed.display()
        ));
    }
    folders(all)
}

fn folders(files: Vec<PathBuf>) -> Result<Vec<Folder>, String> {
    let mut keyed = Vec::new();
    for file in files {
        let opened = fs::File::open(&file).map_err(|e| format!("cannot read `{}`: {e}", file.display()))?;
        let mut first = Vec::new();
        let read = BufReader::new(opened).read_until(b'\n', &mut first);
        read.map_err(|e| format!("cannot read `{}`: {e}", file.display()))?;
        let folder = file.parent().map(Path::to_path_buf).unwrap_or_default();
        keyed.push((folder, received(&first).unwrap_or_default(), file));
    }
    keyed.sort();
    let mut out: Vec<(PathBuf, Folder)> = Vec::new();
    for (folder, _, file) in keyed {
        match out.last_mut() {
            Some((last, files)) if *last == folder => files.push(file),
            _ => out.push((folder, vec![file])),
        }
    }
    Ok(out.into_iter().map(|(_, files)| files).collect())
}

fn walk(folder: &Path, each: &mut dyn FnMut(&Path)) -> Result<(), String> {
    let failed = |e| format!("cannot read `{}`: {e}", folder.display());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            walk(&entry.path(), each)?;
        } else {
            each(&entry.path());
        }
    }
    Ok(())
}

/// Whether a path is of the pattern.
fn matches(pattern: &[u8], path: &[u8]) -> bool {
    match pattern {
        [] => path.is_empty(),
        [b'*', b'*', rest @ ..] => {
            // `**/` also stands for no folder at all.
            let bare = rest.strip_prefix(b"/").unwrap_or(rest);
            matches(bare, path) || (0..=path.len()).any(|at| matches(rest, &path[at..]))
        }
        [b'*', rest @ ..] => {
            let name = path.iter().take_while(|&&b| b != b'/').count();
            (0..=name).any(|at| matches(rest, &path[at..]))
        }
        [b'?', rest @ ..] => path.first().is_some_and(|&b| b != b'/') && matches(rest, &path[1..]),
        [byte, rest @ ..] => path.first() == Some(byte) && matches(rest, &path[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        let table = [
            ("out/*/a.ndjson", "out/x/a.ndjson", true),
            ("out/*.ndjson", "out/x/a.ndjson", false),
            ("out/**/*.ndjson", "out/x/y/a.1.ndjson", true),
            ("out/**/*.ndjson", "out/a.ndjson", true),
            ("out/?.ndjson", "out/a.ndjson", true),
            ("out/?.ndjson", "out/ab.ndjson", false),
            ("*.ndjson", "a.ndjson", true),
        ];
        for (pattern, path, want) in table {
            assert_eq!(matches(pattern.as_bytes(), path.as_bytes()), want, "{pattern} {path}");
        }
    }

    #[test]
    fn files_of_a_folder_come_in_the_order_they_were_written() {
        let root = std::env::temp_dir().join(format!("weir-load-files-{}", std::process::id()));
        fs::create_dir_all(root.join("a")).unwrap();
        fs::create_dir_all(root.join("b")).unwrap();
        for (name, received) in
            [("a/d.ndjson", "03"), ("a/d.1.ndjson", "01"), ("a/d.2.ndjson", "02"), ("b/d.ndjson", "00")]
        {
            fs::write(root.join(name), format!("{{\"id\":\"x\",\"received\":\"{received}\"}}\n")).unwrap();
        }
        fs::write(root.join("a/books.json"), "{}").unwrap();
        let found = find(&[root.display().to_string()]).unwrap();
        let names = |folder: &Folder| {
            folder.iter().map(|f| f.strip_prefix(&root).unwrap().display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            found.iter().map(names).collect::<Vec<_>>(),
            [vec!["a/d.1.ndjson", "a/d.2.ndjson", "a/d.ndjson"], vec!["b/d.ndjson"]]
        );
        assert_eq!(find(&[format!("{}/*/d.ndjson", root.display())]).unwrap().len(), 2);
        assert!(find(&[format!("{}/c/*.ndjson", root.display())]).unwrap_err().contains("no file matches"));
        fs::write(root.join("a/e.ndjson.gz"), "").unwrap();
        assert!(find(&[root.display().to_string()]).unwrap_err().contains("is compressed"));
        fs::remove_dir_all(&root).unwrap();
    }
}
