//! Reports as files: rows are spooled as they come, and written as `DIR/NAME/WINDOW-START.csv`, `.ndjson` and `.html` when
//! their window is sealed, or when the report's schedule says so.
//!
//! A file is written beside its place and renamed, so that whoever reads it sees all of it or nothing. Of what is
//! published `DIR/.index/NAME/` keeps a line each, for those who list it.

pub mod api;
mod kept;
pub mod page;
mod spool;
pub mod shelf;
pub mod table;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::kept::{Mark, Resumed};
use self::page::{Page, Values};
use self::shelf::Published;
use self::spool::Spool;
use crate::ledger::reports::{Told, What};
use crate::plan::report::Report;
use crate::rows::cells;

/// Which file: name of the report, start of the window, number of the correction.
type Key = (Box<str>, i64, Option<u32>);
/// Rows of each of a report's tables.
type Tables = Vec<Vec<Vec<Box<str>>>>;

/// A window that is whole and waits for its time.
struct Ready {
    report: Arc<Report>,
    to_us: i64,
    tables: Tables,
}

/// Where reports are written.
pub struct Desk {
    dir: PathBuf,
    spool_bytes: u64,
    used_bytes: u64,
    cut: u64,
    spools: HashMap<Key, Spool>,
    /// By when they are published.
    ready: BTreeMap<(i64, Key), Ready>,
    /// Windows that an earlier life published after the state that this one goes on from: what it says of them again.
    done: HashSet<Key>,
    /// Whether schedules count, and what was published before stays.
    is_live: bool,
    now_us: i64,
}

impl Desk {
    /// A desk for a replay: all is written when it is sealed, over what an earlier one wrote.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn replay(dir: &Path, spool_bytes: u64) -> io::Result<Desk> {
        let spool = dir.join(".spool");
        if spool.is_dir() {
            fs::remove_dir_all(&spool)?;
        }
        Desk::new(dir, spool_bytes, false)
    }

    /// A desk for a running service: rows that a stop has left go on, and what is `resumed` goes on from there.
    ///
    /// # Errors
    /// If the folder cannot be made or read.
    pub fn live(
        dir: &Path,
        spool_bytes: u64,
        reports: &[Arc<Report>],
        resumed: Option<&Resumed>,
    ) -> io::Result<Desk> {
        let mut desk = Desk::new(dir, spool_bytes, true)?;
        desk.spools = spool::left(&desk.spool_dir())?;
        desk.take_ready(reports)?;
        if let Some(resumed) = resumed {
            desk.resume(resumed)?;
        }
        desk.used_bytes = desk.spools.values().map(Spool::bytes).sum();
        Ok(desk)
    }

    fn spool_dir(&self) -> PathBuf {
        self.dir.join(".spool")
    }

    fn new(dir: &Path, spool_bytes: u64, is_live: bool) -> io::Result<Desk> {
        fs::create_dir_all(dir)
            .map_err(|error| io::Error::new(error.kind(), format!("`{}`: {error}", dir.display())))?;
        let (dir, spools, ready, done) = (dir.to_path_buf(), HashMap::new(), BTreeMap::new(), HashSet::new());
        Ok(Desk { dir, spool_bytes, used_bytes: 0, cut: 0, spools, ready, done, is_live, now_us: 0 })
    }

    /// Takes what reports say. `now_us` is when.
    ///
    /// # Errors
    /// If something cannot be written; rows are lost then.
    pub fn take(&mut self, told: Vec<Told>, now_us: i64) -> io::Result<()> {
        self.now_us = now_us;
        for Told { report, from_us, to_us, what } in told {
            let key = |number| (report.name.clone(), from_us, number);
            match what {
                What::Row(_) if self.done.contains(&key(None)) => {}
                What::Row(row) => self.row(key(None), &report, &row)?,
                What::Late(number, row) => self.row(key(Some(number)), &report, &row)?,
                // Without rows all of it was published before a crash.
                What::Corrected(number) if self.spools.contains_key(&key(Some(number))) => {
                    self.publish(&report, key(Some(number)), to_us, &Tables::new())?;
                }
                What::Corrected(_) => {}
                What::Sealed(_) if self.done.remove(&key(None)) => {}
                What::Sealed(tables) => match report.schedule.as_ref().filter(|_| self.is_live) {
                    Some(cron) => {
                        let at_us = cron.next(now_us, &report.zone).unwrap_or(now_us);
                        self.put_ready(at_us, key(None), Ready { report, to_us, tables })?;
                    }
                    None => self.publish(&report, key(None), to_us, &tables)?,
                },
            }
        }
        Ok(())
    }

    /// Publishes what is due, and what a stop has left of windows long over; removes what was kept long enough.
    ///
    /// # Errors
    /// If something cannot be written.
    pub fn tick(&mut self, reports: &[Arc<Report>], now_us: i64) -> io::Result<()> {
        self.now_us = now_us;
        while let Some(entry) = self.ready.first_entry()
            && entry.key().0 <= now_us
        {
            let ((_, key), ready) = entry.remove_entry();
            self.publish(&ready.report, key.clone(), ready.to_us, &ready.tables)?;
            self.remove_ready(&key)?;
        }
        let waits = |key: &Key| self.ready.keys().any(|(_, ready)| ready == key);
        let left: Vec<Key> = self
            .spools
            .iter()
            .filter(|(key, spool)| spool.is_left() && !waits(key))
            .map(|(key, _)| key.clone())
            .collect();
        for key in left {
            let Some(report) = reports.iter().find(|report| report.name == key.0) else { continue };
            let (_, to_us) = report.window(key.1);
            if to_us + LEFT_US < now_us {
                self.publish(report, key, to_us, &Tables::new())?;
            }
        }
        for report in reports {
            if let Some(kept_us) = report.retention_us {
                shelf::forget(&self.dir, &report.name, now_us - kept_us)?;
            }
        }
        Ok(())
    }

    /// Rows that found no room, since it began.
    pub fn cut(&self) -> u64 {
        self.cut
    }

    /// Puts rows of open windows on disk; what waits for its schedule is there already.
    ///
    /// # Errors
    /// If something cannot be written.
    pub fn end(&mut self) -> io::Result<()> {
        self.spools.values_mut().try_for_each(Spool::flush)?;
        let spool = self.spool_dir();
        if !self.is_live && spool.is_dir() {
            fs::remove_dir_all(spool)?;
        }
        Ok(())
    }

    fn row(&mut self, key: Key, report: &Report, row: &[u8]) -> io::Result<()> {
        let is_other = |spool: &Spool| spool.is_left() && spool.heads != report.heads;
        if self.spools.get(&key).is_some_and(is_other) {
            // The report has changed: what is left of it as it was ends here.
            self.publish(report, key.clone(), report.window(key.1).1, &Tables::new())?;
        }
        let spool = match self.spools.get_mut(&key) {
            Some(spool) => spool,
            None => {
                let spool = Spool::create(&self.dir.join(".spool"), &key, &report.heads)?;
                self.spools.entry(key).or_insert(spool)
            }
        };
        if self.used_bytes + row.len() as u64 + 4 > self.spool_bytes {
            spool.cut += 1;
            self.cut += 1;
            return Ok(());
        }
        self.used_bytes += spool.push(row)?;
        Ok(())
    }

    fn publish(&mut self, report: &Report, key: Key, to_us: i64, tables: &Tables) -> io::Result<()> {
        let mut spool = self.spools.remove(&key);
        // Rows of a report that has changed since keep their own heads.
        let other = spool.as_ref().filter(|spool| spool.heads != report.heads);
        let other = other.map(|spool| Report { heads: spool.heads.clone(), ..report.clone() });
        let report = other.as_ref().unwrap_or(report);
        let folder = self.dir.join(&*report.name);
        fs::create_dir_all(&folder)?;
        let (_, from_us, mut correction) = key;
        let stamp = report.stamp(from_us);
        let name_of = |correction: Option<u32>| match correction {
            None => stamp.clone(),
            Some(n) => format!("{stamp}.correction-{n}"),
        };
        if self.is_live {
            while shelf::is_there(&self.dir, &report.name, &name_of(correction)) {
                correction = Some(correction.map_or(1, |n| n + 1));
            }
        }
        let name = name_of(correction);
        let path = |ending: &str| folder.join(format!("{name}.{ending}"));
        let (rows, cut) = spool.as_ref().map_or((0, 0), |spool| (spool.rows, spool.cut));
        let mut files = Vec::new();
        let mut written = |ending: String| files.push(format!("{name}.{ending}"));
        let mut values = Values::default();
        let has_rows = !report.heads.is_empty();
        let mut each = |see: &mut dyn FnMut(&[&[u8]]) -> io::Result<bool>| match &mut spool {
            Some(spool) => spool.each(&mut |row| {
                let cells: Vec<&[u8]> = cells(row).map(Option::unwrap_or_default).collect();
                see(&cells)
            }),
            None => Ok(()),
        };
        let heads: Vec<&str> = report.heads.iter().map(|head| &**head).collect();
        if report.formats.csv && has_rows {
            atomically(&path("csv"), |out| {
                table::csv(heads.iter().map(|head| head.as_bytes()), out)?;
                each(&mut |cells| table::csv(cells.iter().copied(), out).map(|()| true))
            })?;
            written("csv".into());
        }
        if report.formats.ndjson && has_rows {
            atomically(&path("ndjson"), |out| {
                each(&mut |cells| table::ndjson(&heads, cells.iter().copied(), out).map(|()| true))
            })?;
            written("ndjson".into());
        }
        for (number, (of, rows)) in report.tables.iter().zip(tables).enumerate() {
            // A report without columns is its table.
            let middle = match (has_rows, number) {
                (false, _) => String::new(),
                (true, 0) => "summary.".into(),
                (true, n) => format!("summary-{}.", n + 1),
            };
            let heads: Vec<&str> = of.heads().collect();
            if report.formats.csv {
                atomically(&path(&format!("{middle}csv")), |out| {
                    table::csv(heads.iter().map(|head| head.as_bytes()), out)?;
                    rows.iter().try_for_each(|row| table::csv(row.iter().map(|cell| cell.as_bytes()), out))
                })?;
                written(format!("{middle}csv"));
            }
            if report.formats.ndjson {
                atomically(&path(&format!("{middle}ndjson")), |out| {
                    rows.iter().try_for_each(|row| {
                        table::ndjson(&heads, row.iter().map(|cell| cell.as_bytes()), out)
                    })
                })?;
                written(format!("{middle}ndjson"));
            }
        }
        if report.formats.html {
            each(&mut |cells| {
                values.add(cells.iter().copied());
                Ok(true)
            })?;
            let page = Page { report, from_us, to_us, correction, rows, cut, tables };
            atomically(&path("html"), |out| page::write(&page, &values, out, &mut each))?;
            written("html".into());
        }
        let rows = if has_rows { rows } else { tables.first().map_or(0, |rows| rows.len() as u64) };
        let published = Published {
            id: report.id.clone().into(),
            title: report.title.clone().into(),
            name,
            from_us,
            to_us,
            correction,
            rows,
            cut,
            published_us: self.now_us,
            files,
        };
        shelf::put(&self.dir, &report.name, &published)?;
        if let Some(spool) = spool {
            self.used_bytes = self.used_bytes.saturating_sub(spool.bytes());
            spool.remove()?;
        }
        Ok(())
    }
}

/// After so long a window that a stop has left has no more rows to come.
const LEFT_US: i64 = 600_000_000;

/// Writes a file beside its place and renames it.
fn atomically(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let part =
        path.with_file_name(format!(".{}.part", path.file_name().unwrap_or_default().to_string_lossy()));
    let mut out = BufWriter::new(File::create(&part)?);
    write(&mut out)?;
    out.flush()?;
    out.get_ref().sync_all()?;
    fs::rename(&part, path)
}
