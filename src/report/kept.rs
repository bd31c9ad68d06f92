//! What of a desk outlives a restart: rows of windows and corrections that are not over, up to where the ledger's own state
//! knows of them, and windows that wait for their schedule.
//!
//! After a crash the spools hold rows that the ledger will say again, or has forgotten. So they are cut to where they were
//! when its state was written, and a window that was published since is not published again.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Desk, Key, Ready, Tables, atomically, shelf, spool};
use crate::ledger::kept::kept;
use crate::plan::report::{Report, Table};

/// How far the rows of a window, or of a correction of it, were on disk at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    report: Box<str>,
    from_us: i64,
    correction: Option<u32>,
    bytes: u64,
    cut: u64,
    /// It is sealed and waits for its schedule.
    is_ready: bool,
}

kept!(Mark { report, from_us, correction, bytes, cut, is_ready });

impl Mark {
    fn key(&self) -> Key {
        (self.report.clone(), self.from_us, self.correction)
    }
}

/// What a desk goes on from.
#[derive(Debug)]
pub struct Resumed {
    /// When the state was written, microseconds since 1970.
    pub at_us: i64,
    pub marks: Vec<Mark>,
    /// Names of the reports whose windows go on.
    pub reports: Vec<Box<str>>,
}

/// A window that waits for its schedule, as a file.
#[derive(Deserialize, Serialize)]
struct Document {
    shape: u64,
    at_us: i64,
    to_us: i64,
    heads: Vec<Box<str>>,
    /// Of each table.
    table_heads: Vec<Vec<Box<str>>>,
    tables: Tables,
}

impl Desk {
    /// How far all rows are on disk, after those that were told before are.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn mark(&mut self) -> io::Result<Vec<Mark>> {
        let mut marks: Vec<Mark> = Vec::new();
        let is_ready = |key: &Key| self.ready.keys().any(|(_, ready)| ready == key);
        for (key, spool) in &mut self.spools {
            spool.flush()?;
            let (report, from_us, correction) = key.clone();
            let (bytes, cut) = (spool.bytes(), spool.cut);
            marks.push(Mark { report, from_us, correction, bytes, cut, is_ready: is_ready(key) });
        }
        // A report without columns has no rows.
        for (_, key) in self.ready.keys().filter(|(_, key)| !self.spools.contains_key(key)) {
            let (report, from_us, correction) = key.clone();
            marks.push(Mark { report, from_us, correction, bytes: 0, cut: 0, is_ready: true });
        }
        Ok(marks)
    }

    /// Keeps a window that is sealed until its schedule says so, on disk too.
    pub(super) fn put_ready(&mut self, at_us: i64, key: Key, ready: Ready) -> io::Result<()> {
        if let Some(spool) = self.spools.get_mut(&key) {
            spool.flush()?;
        }
        let Ready { report, to_us, tables } = &ready;
        let heads_of = |table: &Table| table.heads().map(Into::into).collect();
        let document = Document {
            shape: report.shape,
            at_us,
            to_us: *to_us,
            heads: report.heads.clone(),
            table_heads: report.tables.iter().map(heads_of).collect(),
            tables: tables.clone(),
        };
        let path = spool::path(&self.spool_dir(), &key, "ready");
        fs::create_dir_all(path.parent().unwrap_or(&self.dir))?;
        atomically(&path, |out| Ok(serde_json::to_writer(out, &document)?))?;
        self.ready.insert((at_us, key), ready);
        Ok(())
    }

    pub(super) fn remove_ready(&self, key: &Key) -> io::Result<()> {
        match fs::remove_file(spool::path(&self.spool_dir(), key, "ready")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes up the windows that wait for their schedule. One whose report has changed keeps the heads that it had; one whose
    /// report is no more stays where it is.
    pub(super) fn take_ready(&mut self, reports: &[Arc<Report>]) -> io::Result<()> {
        for key in spool::keys(&self.spool_dir(), "ready")? {
            let Some(report) = reports.iter().find(|report| report.name == key.0) else { continue };
            let text = fs::read(spool::path(&self.spool_dir(), &key, "ready"))?;
            let Ok(Document { shape, at_us, to_us, heads, table_heads, tables }) =
                serde_json::from_slice(&text)
            else {
                // Its rows are published like any that were left.
                self.remove_ready(&key)?;
                continue;
            };
            let report = match report.shape == shape {
                true => report.clone(),
                false => {
                    let table = |heads: Vec<Box<str>>| Table {
                        by: heads.into_iter().map(|head| (head, 0)).collect(),
                        figures: Vec::new(),
                    };
                    let tables = table_heads.into_iter().map(table).collect();
                    Arc::new(Report { heads, tables, ..Report::clone(report) })
                }
            };
            self.ready.insert((at_us, key), Ready { report, to_us, tables });
        }
        Ok(())
    }

    /// Goes back to where the ledger's state knows of rows; says in the log what is missing.
    pub(super) fn resume(&mut self, resumed: &Resumed) -> io::Result<()> {
        let mark_of = |key: &Key| resumed.marks.iter().find(|mark| mark.key() == *key);
        let was_ready = |key: &Key| mark_of(key).is_some_and(|mark| mark.is_ready);
        let goes_on = |key: &Key| resumed.reports.contains(&key.0);
        let mut published = HashSet::new();
        for name in &resumed.reports {
            let all = shelf::of(&self.dir, name)?;
            let since = all.iter().filter(|one| one.published_us >= resumed.at_us);
            published.extend(since.map(|one| (name.clone(), one.from_us, one.correction)));
        }
        let sealed_since = |key: &Key| goes_on(key) && !was_ready(key);
        for (at_us, key) in
            self.ready.keys().filter(|(_, key)| sealed_since(key)).cloned().collect::<Vec<_>>()
        {
            self.remove_ready(&key)?;
            self.ready.remove(&(at_us, key));
        }
        for (key, mut spool) in std::mem::take(&mut self.spools) {
            if !goes_on(&key) || self.ready.keys().any(|(_, ready)| *ready == key) {
                self.spools.insert(key, spool);
                continue;
            }
            let is_published = published.contains(&key);
            match mark_of(&key).filter(|mark| !mark.is_ready && !is_published) {
                Some(mark) => {
                    if !spool.go_back(mark.bytes, mark.cut)? {
                        tracing::error!(
                            report = &*key.0,
                            from_us = key.1,
                            "rows of a report did not reach the disk"
                        );
                    }
                    self.spools.insert(key, spool);
                }
                None => spool.remove()?,
            }
        }
        self.done = published.into_iter().filter(|(_, _, correction)| correction.is_none()).collect();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::ledger::reports::{Told, What};
    use crate::plan::cron::Cron;
    use crate::plan::report::Formats;
    use crate::plan::report::tests::report;
    use crate::rows::push_cell;

    const HOUR_US: i64 = 3_600_000_000;

    fn of(heads: &[&str], schedule: Option<&str>) -> Arc<Report> {
        Arc::new(Report {
            heads: heads.iter().map(|head| Box::from(*head)).collect(),
            formats: Formats { csv: true, ..Formats::default() },
            schedule: schedule.map(|text| Cron::parse(text).unwrap()),
            shape: heads.len() as u64,
            ..report(HOUR_US, "UTC")
        })
    }

    fn told(report: &Arc<Report>, hour: i64, what: What) -> Vec<Told> {
        let from_us = hour * HOUR_US;
        vec![Told { report: report.clone(), from_us, to_us: from_us + HOUR_US, what }]
    }

    fn cells(text: &str) -> Box<[u8]> {
        let mut out = Vec::new();
        text.split(',').for_each(|cell| push_cell(Some(cell.as_bytes()), &mut out));
        out.into()
    }

    fn row(report: &Arc<Report>, hour: i64, text: &str) -> Vec<Told> {
        told(report, hour, What::Row(cells(text)))
    }

    fn sealed(report: &Arc<Report>, hour: i64) -> Vec<Told> {
        told(report, hour, What::Sealed(Vec::new()))
    }

    fn live(dir: &Path, report: &Arc<Report>, resumed: Option<&Resumed>) -> Desk {
        Desk::live(dir, 1 << 20, std::slice::from_ref(report), resumed).unwrap()
    }

    fn resumed(at_us: i64, marks: Vec<Mark>) -> Resumed {
        Resumed { at_us, marks, reports: vec!["r".into()] }
    }

    fn files(dir: &Path) -> BTreeMap<String, String> {
        let Ok(folder) = fs::read_dir(dir.join("r")) else { return BTreeMap::new() };
        let one = |file: fs::DirEntry| {
            let text = fs::read_to_string(file.path()).unwrap().replace("\r\n", " ");
            (file.file_name().to_string_lossy()[11..].replace("-00-00+0000", ""), text.trim_end().into())
        };
        folder.map(|file| one(file.unwrap())).collect()
    }

    fn is(found: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
        let found: Vec<(&str, &str)> = found.iter().map(|(name, text)| (&**name, &**text)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn after_a_crash_no_row_is_there_twice() {
        let dir = tempfile::tempdir().unwrap();
        let report = of(&["a"], None);
        let mut desk = live(dir.path(), &report, None);
        desk.take(row(&report, 1, "one"), 1).unwrap();
        desk.take(row(&report, 2, "two"), 1).unwrap();
        desk.take(told(&report, 0, What::Late(1, cells("late"))), 1).unwrap();
        let marks = desk.mark().unwrap();
        // The ledger's state was written; what follows it says again, or never knew of.
        for (hour, text) in [(1, "again"), (2, "again"), (3, "again")] {
            desk.take(row(&report, hour, text), 11).unwrap();
        }
        desk.take(told(&report, 0, What::Late(1, cells("lost"))), 11).unwrap();
        desk.take(sealed(&report, 1), 12).unwrap();
        drop(desk);
        let mut desk = live(dir.path(), &report, Some(&resumed(10, marks)));
        for (hour, text) in [(1, "again"), (2, "again"), (3, "again")] {
            desk.take(row(&report, hour, text), 21).unwrap();
        }
        for hour in 1..4 {
            desk.take(sealed(&report, hour), 22).unwrap();
        }
        desk.take(told(&report, 0, What::Corrected(1)), 23).unwrap();
        is(
            &files(dir.path()),
            &[
                ("00.correction-1.csv", "a late"),
                ("01.csv", "a one again"),
                ("02.csv", "a two again"),
                ("03.csv", "a again"),
            ],
        );
        assert_eq!(spool::keys(&dir.path().join(".spool"), "rows").unwrap(), []);
        // What comes later of a window that was published before the crash is a correction like any other.
        desk.take(told(&report, 1, What::Late(1, cells("later"))), 24).unwrap();
        desk.take(told(&report, 1, What::Corrected(1)), 25).unwrap();
        assert_eq!(files(dir.path())["01.correction-1.csv"], "a later");
    }

    #[test]
    fn a_correction_that_was_published_before_the_crash_is_not_published_again() {
        let dir = tempfile::tempdir().unwrap();
        let report = of(&["a"], None);
        let mut desk = live(dir.path(), &report, None);
        desk.take(told(&report, 0, What::Late(1, cells("late"))), 1).unwrap();
        let marks = desk.mark().unwrap();
        desk.take(told(&report, 0, What::Corrected(1)), 11).unwrap();
        drop(desk);
        let mut desk = live(dir.path(), &report, Some(&resumed(10, marks.clone())));
        desk.take(told(&report, 0, What::Corrected(1)), 21).unwrap();
        drop(desk);
        let mut desk = live(dir.path(), &report, Some(&resumed(10, marks)));
        desk.take(told(&report, 0, What::Late(1, cells("more"))), 31).unwrap();
        desk.take(told(&report, 0, What::Corrected(1)), 32).unwrap();
        is(&files(dir.path()), &[("00.correction-1.csv", "a late"), ("00.correction-2.csv", "a more")]);
    }

    #[test]
    fn what_waits_for_its_schedule_waits_on_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let report = of(&["a"], Some("0 6 * * *"));
        let mut desk = live(dir.path(), &report, None);
        desk.take(row(&report, 1, "one"), 1).unwrap();
        desk.take(row(&report, 2, "two"), 1).unwrap();
        desk.take(sealed(&report, 1), 2 * HOUR_US).unwrap();
        let marks = desk.mark().unwrap();
        desk.take(sealed(&report, 2), 3 * HOUR_US).unwrap();
        desk.end().unwrap();
        assert!(files(dir.path()).is_empty());
        // The second is not sealed in the state.
        let mut desk = live(dir.path(), &report, Some(&resumed(2 * HOUR_US, marks)));
        desk.tick(std::slice::from_ref(&report), 6 * HOUR_US).unwrap();
        is(&files(dir.path()), &[("01.csv", "a one")]);
        desk.take(sealed(&report, 2), 7 * HOUR_US).unwrap();
        drop(desk);
        let mut desk = live(dir.path(), &report, None);
        desk.tick(std::slice::from_ref(&report), 30 * HOUR_US).unwrap();
        is(&files(dir.path()), &[("01.csv", "a one"), ("02.csv", "a two")]);
    }

    #[test]
    fn rows_of_a_report_that_changed_keep_their_heads() {
        let dir = tempfile::tempdir().unwrap();
        let (before, after) = (of(&["a"], Some("0 6 * * *")), of(&["b", "c"], Some("0 6 * * *")));
        let mut desk = live(dir.path(), &before, None);
        desk.take(row(&before, 1, "one"), 1).unwrap();
        desk.take(sealed(&before, 1), 1).unwrap();
        desk.take(row(&before, 2, "two"), 1).unwrap();
        let marks = desk.mark().unwrap();
        drop(desk);
        let changed = Resumed { at_us: 1, marks, reports: Vec::new() };
        let mut desk = live(dir.path(), &after, Some(&changed));
        desk.take(row(&after, 2, "x,y"), 1).unwrap();
        is(&files(dir.path()), &[("02.csv", "a two")]);
        desk.tick(std::slice::from_ref(&after), 6 * HOUR_US).unwrap();
        is(&files(dir.path()), &[("01.csv", "a one"), ("02.csv", "a two")]);
    }
}
