//! Rows on disk until their window is whole: a length of four bytes, least first, then the row as `rows::cells` reads it.
//! The first row holds the heads of the columns.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::Key;
use crate::rows::{cells, push_cell};

/// Rows of one window, or of one correction of it.
pub(super) struct Spool {
    path: PathBuf,
    out: Option<BufWriter<File>>,
    /// Heads of the columns that its rows have.
    pub heads: Vec<Box<str>>,
    bytes: u64,
    pub rows: u64,
    /// Rows that found no room.
    pub cut: u64,
    is_left: bool,
}

impl Spool {
    pub fn create(dir: &Path, key: &Key, heads: &[Box<str>]) -> io::Result<Spool> {
        let path = path(dir, key, "rows");
        fs::create_dir_all(path.parent().unwrap_or(dir))?;
        Ok(Spool { path, out: None, heads: heads.to_vec(), bytes: 0, rows: 0, cut: 0, is_left: false })
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether all of it is of a run before.
    pub fn is_left(&self) -> bool {
        self.is_left
    }

    /// Appends a row; returns how many bytes were written.
    pub fn push(&mut self, row: &[u8]) -> io::Result<u64> {
        let before = self.bytes;
        if self.bytes == 0 {
            let mut heads = Vec::new();
            self.heads.iter().for_each(|head| push_cell(Some(head.as_bytes()), &mut heads));
            self.write(&heads)?;
        }
        self.write(row)?;
        self.rows += 1;
        self.is_left = false;
        Ok(self.bytes - before)
    }

    fn write(&mut self, row: &[u8]) -> io::Result<()> {
        let out = match &mut self.out {
            Some(out) => out,
            None => {
                let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
                self.out.insert(BufWriter::new(file))
            }
        };
        out.write_all(&(row.len() as u32).to_le_bytes())?;
        out.write_all(row)?;
        self.bytes += row.len() as u64 + 4;
        Ok(())
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.out.as_mut().map_or(Ok(()), BufWriter::flush)
    }

    /// Goes back to when it had so many bytes, and so many rows had found no room. Returns whether it has as many.
    pub fn go_back(&mut self, bytes: u64, cut: u64) -> io::Result<bool> {
        let has_all = self.bytes >= bytes;
        if self.bytes > bytes {
            self.flush()?;
            OpenOptions::new().write(true).open(&self.path)?.set_len(bytes)?;
            let mut rows = 0u64;
            self.bytes = read(&self.path, &mut |_| {
                rows += 1;
                Ok(true)
            })?;
            self.rows = rows.saturating_sub(1);
        }
        (self.cut, self.is_left) = (cut, false);
        Ok(has_all)
    }

    /// Calls `see` with every row until it has had enough.
    pub fn each(&mut self, see: &mut dyn FnMut(&[u8]) -> io::Result<bool>) -> io::Result<()> {
        self.flush()?;
        if self.rows == 0 {
            return Ok(());
        }
        let mut is_head = true;
        let mut row = |row: &[u8]| if std::mem::take(&mut is_head) { Ok(true) } else { see(row) };
        read(&self.path, &mut row).map(drop)
    }

    pub fn remove(self) -> io::Result<()> {
        drop(self.out);
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// The file of a key: `NAME/FROM.rows`, `NAME/FROM.2.rows` of a correction.
pub(super) fn path(dir: &Path, (name, from_us, correction): &Key, ending: &str) -> PathBuf {
    let file = match correction {
        None => format!("{from_us}.{ending}"),
        Some(n) => format!("{from_us}.{n}.{ending}"),
    };
    dir.join(&**name).join(file)
}

/// The keys of all files with this ending.
pub(super) fn keys(dir: &Path, ending: &str) -> io::Result<Vec<Key>> {
    let mut keys = Vec::new();
    if !dir.is_dir() {
        return Ok(keys);
    }
    for folder in fs::read_dir(dir)? {
        let folder = folder?;
        if !folder.file_type()?.is_dir() {
            continue;
        }
        for file in fs::read_dir(folder.path())? {
            let name = file?.file_name().to_string_lossy().into_owned();
            let Some((stem, _)) = name.rsplit_once('.').filter(|(_, own)| *own == ending) else { continue };
            let mut parts = stem.splitn(2, '.');
            let Some(Ok(from_us)) = parts.next().map(str::parse::<i64>) else { continue };
            let correction = parts.next().and_then(|n| n.parse().ok());
            keys.push((folder.file_name().to_string_lossy().as_ref().into(), from_us, correction));
        }
    }
    Ok(keys)
}

/// Reads rows; returns how many bytes whole ones have. What a crash has left unfinished at the end is passed over.
fn read(path: &Path, see: &mut dyn FnMut(&[u8]) -> io::Result<bool>) -> io::Result<u64> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    let mut input = BufReader::new(file);
    let (mut row, mut at) = (Vec::new(), 0);
    while len - at >= 4 {
        let mut size = [0; 4];
        input.read_exact(&mut size)?;
        let size = u64::from(u32::from_le_bytes(size));
        if len - at - 4 < size {
            break;
        }
        row.resize(size as usize, 0);
        input.read_exact(&mut row)?;
        at += 4 + size;
        if !see(&row)? {
            break;
        }
    }
    Ok(at)
}

/// The spools that a run before has left.
pub(super) fn left(dir: &Path) -> io::Result<HashMap<Key, Spool>> {
    let mut spools = HashMap::new();
    for key in keys(dir, "rows")? {
        let path = path(dir, &key, "rows");
        let (mut rows, mut heads) = (0u64, Vec::new());
        let bytes = read(&path, &mut |row| {
            if rows == 0 {
                let text = |head: Option<&[u8]>| String::from_utf8_lossy(head.unwrap_or_default()).into();
                heads = cells(row).map(text).collect();
            }
            rows += 1;
            Ok(true)
        })?;
        // Rows that follow must not stand behind half a one.
        OpenOptions::new().write(true).open(&path)?.set_len(bytes)?;
        let rows = rows.saturating_sub(1);
        spools.insert(key, Spool { path, out: None, heads, bytes, rows, cut: 0, is_left: true });
    }
    Ok(spools)
}
