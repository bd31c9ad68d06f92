//! A file of records: one line of JSON each, safe on the disk before it counts as told.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// How much is looked at for the last line's end: a record is shorter by far.
const TAIL_BYTES: u64 = 1 << 20;

/// The file, opened when there is something to write.
#[derive(Debug)]
pub struct Lines {
    path: PathBuf,
}

impl Lines {
    pub fn new(path: PathBuf) -> Lines {
        Lines { path }
    }

    /// Appends records. After an error none of them is in the file, as far as that can be helped.
    pub fn append<'a>(&self, records: impl Iterator<Item = &'a str>) -> io::Result<()> {
        let mut text = String::new();
        for record in records {
            text.push_str(record);
            text.push('\n');
        }
        // Anew each time: somebody may have moved it away.
        let mut file = self.open()?;
        let before = whole(&mut file)?;
        file.set_len(before)?;
        file.seek(SeekFrom::Start(before))?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        if written.is_err() {
            let _ = file.set_len(before);
        }
        written
    }

    fn open(&self) -> io::Result<File> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        File::options().read(true).write(true).create(true).truncate(false).mode(0o640).open(&self.path)
    }
}

/// Bytes up to the end of the last whole line; a process that was killed may have left a part of one behind it.
fn whole(file: &mut File) -> io::Result<u64> {
    let len = file.metadata()?.len();
    let from = len.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut tail)?;
    match tail.iter().rposition(|&byte| byte == b'\n') {
        Some(end) => Ok(from + end as u64 + 1),
        None if from == 0 => Ok(0),
        None => Err(io::Error::other("its last line has no end, so it is no file of records")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/alerts.ndjson");
        let lines = Lines::new(path.clone());
        lines.append(["{1}", "{2}"].into_iter()).unwrap();
        File::options().append(true).open(&path).unwrap().write_all(b"{3").unwrap();
        lines.append(["{4}"].into_iter()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{1}\n{2}\n{4}\n");
        fs::write(&path, "x".repeat(TAIL_BYTES as usize + 1)).unwrap();
        assert!(lines.append(["{5}"].into_iter()).is_err());
    }
}
