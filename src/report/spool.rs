//! Rows on disk until their window is whole: a length of four bytes, least first, then the row as `rows::cells` reads it.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::Key;

/// Rows of one window, or of one correction of it.
pub(super) struct Spool {
    path: PathBuf,
    out: Option<BufWriter<File>>,
    bytes: u64,
    pub rows: u64,
    /// Rows that found no room.
    pub cut: u64,
    is_left: bool,
}

impl Spool {
    pub fn create(dir: &Path, (name, from_us, correction): &Key) -> io::Result<Spool> {
        let folder = dir.join(&**name);
        fs::create_dir_all(&folder)?;
        let path = match correction {
            None => folder.join(format!("{from_us}.rows")),
            Some(n) => folder.join(format!("{from_us}.{n}.rows")),
        };
        Ok(Spool { path, out: None, bytes: 0, rows: 0, cut: 0, is_left: false })
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether all of it is of a run before.
    pub fn is_left(&self) -> bool {
        self.is_left
    }

    pub fn push(&mut self, row: &[u8]) -> io::Result<()> {
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
        self.rows += 1;
        self.is_left = false;
        Ok(())
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.out.as_mut().map_or(Ok(()), BufWriter::flush)
    }

    /// Calls `see` with every row until it has had enough.
    pub fn each(&mut self, see: &mut dyn FnMut(&[u8]) -> io::Result<bool>) -> io::Result<()> {
        self.flush()?;
        if self.rows == 0 {
            return Ok(());
        }
        read(&self.path, see).map(drop)
    }

    pub fn remove(self) -> io::Result<()> {
        drop(self.out);
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
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
    if !dir.is_dir() {
        return Ok(spools);
    }
    for folder in fs::read_dir(dir)? {
        let folder = folder?;
        if !folder.file_type()?.is_dir() {
            continue;
        }
        for file in fs::read_dir(folder.path())? {
            let file = file?;
            let name = file.file_name().to_string_lossy().into_owned();
            let mut parts = name.strip_suffix(".rows").unwrap_or_default().splitn(2, '.');
            let Some(Ok(from_us)) = parts.next().map(str::parse::<i64>) else { continue };
            let correction = parts.next().and_then(|n| n.parse().ok());
            let mut rows = 0;
            let bytes = read(&file.path(), &mut |_| {
                rows += 1;
                Ok(true)
            })?;
            // Rows that follow must not stand behind half a one.
            OpenOptions::new().write(true).open(file.path())?.set_len(bytes)?;
            let spool = Spool { path: file.path(), out: None, bytes, rows, cut: 0, is_left: true };
            let report = folder.file_name().to_string_lossy().into_owned();
            spools.insert((report.into(), from_us, correction), spool);
        }
    }
    Ok(spools)
}
