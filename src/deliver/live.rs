//! Files below one root: found, opened, appended to and finished.
//!
//! Invariants: nothing outside the root is opened, since no component below it may be a symbolic link; a file holds
//! whole rows or blocks up to `len`, and what lies behind is cut off before the next byte is written; only one process
//! writes a file, which a lock ensures; a finished file is never overwritten.
//!
//! Deliberately absent: when to write and when to finish, which `file.rs` decides.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use rustix::fs::{Dir, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::block;
use super::syncer::Syncer;
use crate::config::Compress;

/// Events are the owner's and the group's business.
const FILE_MODE: Mode = Mode::from_raw_mode(0o640);
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o750);

/// The folder that no path leaves.
pub(super) struct Root {
    path: PathBuf,
    /// As messages show it.
    shown: String,
    fd: Option<OwnedFd>,
    syncer: Syncer,
}

impl Root {
    /// Creates the folder where it is missing.
    pub fn open(path: PathBuf, shown: String) -> io::Result<Root> {
        let mut root = Root { path, shown, fd: None, syncer: Syncer::default() };
        root.fd()?;
        Ok(root)
    }

    /// Looks the root up again before it is used next: it may have been removed or mounted over.
    pub fn forget(&mut self) {
        self.fd = None;
    }

    fn fd(&mut self) -> io::Result<&OwnedFd> {
        if self.fd.is_none() {
            std::fs::create_dir_all(&self.path).map_err(|error| self.failed("", error))?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let fd = rustix::fs::open(&self.path, flags, Mode::empty());
            self.fd = Some(fd.map_err(|error| self.failed("", error.into()))?);
        }
        Ok(self.fd.as_ref().expect("opened above"))
    }

    /// Opens the folder of `path`, creating what is missing, and returns it with the file's name.
    fn folder<'a>(&mut self, path: &'a str) -> io::Result<(OwnedFd, &'a str)> {
        let (folders, name) = path.rsplit_once('/').map_or((None, path), |(head, tail)| (Some(head), tail));
        let mut at = self.fd()?.try_clone()?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for folder in folders.into_iter().flat_map(|folders| folders.split('/')) {
            let found = match rustix::fs::openat(&at, folder, flags, Mode::empty()) {
                Err(Errno::NOENT) => {
                    match rustix::fs::mkdirat(&at, folder, FOLDER_MODE) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(error) => return Err(self.failed(path, error.into())),
                    }
                    rustix::fs::openat(&at, folder, flags, Mode::empty())
                }
                found => found,
            };
            at = found.map_err(|error| self.refused(path, error))?;
        }
        Ok((at, name))
    }

    fn refused(&self, path: &str, error: Errno) -> io::Error {
        let words = match error {
            Errno::LOOP | Errno::MLINK => "a symbolic link below the root is not followed".to_string(),
            Errno::NOTDIR => "a folder of the path is a file or a symbolic link".to_string(),
            _ => return self.failed(path, error.into()),
        };
        io::Error::other(format!("`{}/{path}`: {words}", self.shown))
    }

    /// Adds the path to an error.
    pub fn failed(&self, path: &str, error: io::Error) -> io::Error {
        let slash = if path.is_empty() { "" } else { "/" };
        io::Error::new(error.kind(), format!("`{}{slash}{path}`: {error}", self.shown))
    }
}

/// Why and where writing stopped.
#[derive(Debug)]
pub(super) struct Stopped {
    /// Bytes that are in the file, whole rows or nothing.
    pub kept: usize,
    pub error: io::Error,
}

/// A file that is being written.
pub(super) struct Live {
    file: File,
    /// Where it lies below the root while it is written.
    path: String,
    compress: Compress,
    /// Bytes of whole rows or blocks.
    len: u64,
    /// Something lies behind `len`.
    torn: bool,
    /// Rotation period of its rows.
    period: i64,
}

impl Live {
    /// Opens the file of `path` to append; `period` of a time in microseconds tells the one it was last written in.
    /// Returns with it how many bytes of a torn row or block were cut off.
    pub fn open(
        root: &mut Root,
        path: &str,
        compress: Compress,
        period: impl Fn(i64) -> i64,
    ) -> io::Result<(Live, u64)> {
        let path = match compress {
            Compress::None => path.to_string(),
            _ => format!("{}.part", finished_path(path, compress)),
        };
        let (folder, name) = root.folder(&path)?;
        // Read and write, so that opening a FIFO does not wait for its other end.
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&folder, name, flags, FILE_MODE);
        let file = File::from(file.map_err(|error| root.refused(&path, error))?);
        let meta = file.metadata().map_err(|error| root.failed(&path, error))?;
        if !meta.is_file() {
            return Err(root.failed(&path, io::Error::other("is no regular file")));
        }
        // Some file systems know no locks: only this error tells of another writer.
        if let Err(Errno::WOULDBLOCK) = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            return Err(root.failed(&path, io::Error::other("is being written by another sink or process")));
        }
        let len = whole_len(&file, meta.len(), compress).map_err(|error| root.failed(&path, error))?;
        if len < meta.len() {
            file.set_len(len).map_err(|error| root.failed(&path, error))?;
        }
        let written = meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let period = period(written.map_or(0, |time| time.as_micros() as i64));
        Ok((Live { file, path, compress, len, torn: false, period }, meta.len() - len))
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn period(&self) -> i64 {
        self.period
    }

    /// Sets the period of a file that is still empty.
    pub fn begin(&mut self, period: i64) {
        self.period = period;
    }

    /// Appends whole rows, or one block, given in pieces of whole rows: by one call where the kernel takes them all. After
    /// an error the file ends with the last whole row that fits, and no part of a block.
    pub fn append(&mut self, root: &Root, pieces: &[&[u8]]) -> Result<(), Stopped> {
        let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut slices = slices.as_mut_slice();
        let mut done = 0;
        let error = loop {
            if let Err(error) = self.heal() {
                break error;
            }
            if slices.iter().all(|slice| slice.is_empty()) {
                self.len += done as u64;
                return Ok(());
            }
            match self.file.write_vectored(slices) {
                Ok(0) => break ErrorKind::WriteZero.into(),
                Ok(n) => {
                    done += n;
                    IoSlice::advance_slices(&mut slices, n);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break error,
            }
        };
        let kept = match self.compress {
            Compress::None => whole_rows(pieces, done),
            _ => 0,
        };
        self.len += kept as u64;
        self.torn |= kept < done;
        // Cut at once, so that readers see whole rows; where even that fails it is tried again before the next write.
        let _ = self.heal();
        Err(Stopped { kept, error: root.failed(&self.path, error) })
    }

    fn heal(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.len)?;
            self.torn = false;
        }
        Ok(())
    }

    /// Makes all of it durable, a plain file soon, and gives a compressed one its name.
    pub fn finish(&mut self, root: &mut Root) -> io::Result<()> {
        match self.compress {
            Compress::None => self.sync_later(root),
            _ => self.set_aside(root),
        }
    }

    /// Moves it to a name that says that it is finished: `NAME.N.ndjson`, N one more than any there is. A compressed file
    /// is durable before, a plain one, which had all its rows under its name already, soon after.
    pub fn set_aside(&mut self, root: &mut Root) -> io::Result<()> {
        match self.compress {
            Compress::None => self.heal().map_err(|error| root.failed(&self.path, error))?,
            _ => self.sync(root)?,
        }
        let (folder, live) = root.folder(&self.path)?;
        if self.len == 0 && self.compress != Compress::None {
            return match rustix::fs::unlinkat(&folder, live, rustix::fs::AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => Ok(()),
                Err(error) => Err(root.failed(&self.path, error.into())),
            };
        }
        let name = live.strip_suffix(".part").filter(|_| self.compress != Compress::None).unwrap_or(live);
        let (stem, ending) = halves(name, self.compress);
        let mut number = match self.compress {
            Compress::None => None,
            _ => Some(name.to_string()),
        };
        loop {
            let target = match number.take() {
                Some(name) => name,
                None => {
                    let next = next_number(&folder, stem, &ending);
                    format!("{stem}.{}{ending}", next.map_err(|error| root.failed(&self.path, error))?)
                }
            };
            match rustix::fs::renameat_with(&folder, live, &folder, &target, RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => {}
                // Somebody took it away: it is finished all the same.
                Ok(()) | Err(Errno::NOENT) => break,
                Err(error) => return Err(root.failed(&self.path, error.into())),
            }
        }
        rustix::fs::fsync(&folder).map_err(|error| root.failed(&self.path, error.into()))?;
        match self.compress {
            Compress::None => self.sync_later(root),
            _ => Ok(()),
        }
    }

    fn sync_later(&mut self, root: &mut Root) -> io::Result<()> {
        let file = self.heal().and_then(|()| self.file.try_clone());
        root.syncer.later(self.path.clone(), file.map_err(|error| root.failed(&self.path, error))?);
        Ok(())
    }

    fn sync(&mut self, root: &Root) -> io::Result<()> {
        self.heal().and_then(|()| self.file.sync_all()).map_err(|error| root.failed(&self.path, error))
    }
}

/// Returns how many of the first `done` bytes are whole rows.
fn whole_rows(pieces: &[&[u8]], done: usize) -> usize {
    let mut kept = 0;
    for piece in pieces {
        let left = done - kept;
        if piece.len() > left {
            return kept + memchr::memrchr(b'\n', &piece[..left]).map_or(0, |at| at + 1);
        }
        kept += piece.len();
    }
    kept
}

/// Returns the path of a finished file of that compression.
fn finished_path(path: &str, compress: Compress) -> String {
    let ending = block::ending(compress);
    let ending = if path.ends_with(ending) { "" } else { ending };
    format!("{path}{ending}")
}

/// Splits a name where a number goes: before its last ending, that of the compression not counted.
fn halves(name: &str, compress: Compress) -> (&str, String) {
    let packed = block::ending(compress);
    let bare = name.strip_suffix(packed).unwrap_or(name);
    let dot = bare.rfind('.').filter(|at| *at > 0).unwrap_or(bare.len());
    (&bare[..dot], name[dot..].to_string())
}

fn next_number(folder: &OwnedFd, stem: &str, ending: &str) -> io::Result<u64> {
    let mut highest = 0;
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let number = entry
            .file_name()
            .to_str()
            .ok()
            .and_then(|name| name.strip_prefix(stem)?.strip_prefix('.')?.strip_suffix(ending))
            .and_then(|number| number.parse::<u64>().ok());
        highest = highest.max(number.unwrap_or(0));
    }
    Ok(highest + 1)
}

/// Returns how much of a file is whole rows or blocks: what a crash has torn was never acknowledged.
pub(super) fn whole_len(file: &File, len: u64, compress: Compress) -> io::Result<u64> {
    if compress != Compress::None {
        return block::whole_end(compress, file);
    }
    let mut end = len;
    let mut chunk = vec![0; 64 * 1024];
    while end > 0 {
        let start = end.saturating_sub(chunk.len() as u64);
        let part = &mut chunk[..(end - start) as usize];
        file.read_exact_at(part, start)?;
        if let Some(at) = memchr::memrchr(b'\n', part) {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_write_that_stops_whole_rows_are_kept() {
        let pieces: [&[u8]; 3] = [b"a\nb\n", b"", b"cc\ndd\n"];
        let kept: Vec<usize> = (0..=10).map(|done| whole_rows(&pieces, done)).collect();
        assert_eq!(kept, [0, 0, 2, 2, 4, 4, 4, 7, 7, 7, 10]);
    }

    #[test]
    fn numbers_go_before_the_ending() {
        for (name, compress, stem, ending) in [
            ("2026-11-24.ndjson", Compress::None, "2026-11-24", ".ndjson"),
            ("2026-11-24.ndjson.gz", Compress::Gzip, "2026-11-24", ".ndjson.gz"),
            ("events", Compress::None, "events", ""),
            ("events.zst", Compress::Zstd, "events", ".zst"),
            (".hidden", Compress::None, ".hidden", ""),
        ] {
            assert_eq!(halves(name, compress), (stem, ending.to_string()), "{name}");
        }
        assert_eq!(finished_path("a.ndjson", Compress::Zstd), "a.ndjson.zst");
        assert_eq!(finished_path("a.gz", Compress::Gzip), "a.gz");
    }
}
