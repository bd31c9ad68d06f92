//! Holds weir's output against what was sent: nothing lost, duplicated, reordered, invented or changed.
//!
//! What was sent is made again from the record, one event at a time; memory is a bit for each event sent. An event is
//! known by its drain and time, so a wrong time shows as one event lost and one invented.
//!
//! The rules by transport. TCP and TLS: every event once; with `suffix_loss`, those missing of a connection that was
//! cut must be its last. HTTP: every acknowledged event once, others at most once and in any place. UDP: every event
//! once; with `loss`, what is missing is only counted.

mod compare;
mod files;
mod json;

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use crate::generator::{Form, Generator};
use crate::record::{Connection, Record};
use crate::units::grouped;
use compare::Line;

/// A longer line is no event of weir: frames end at 10 MB, and JSON triples them at most.
const LINE_LEN_MAX: usize = 64 << 20;

/// What to check, and what to forgive.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Records of `send`; several runs may have gone to one output.
    pub sent: Vec<PathBuf>,
    /// Files, folders or patterns of weir's output.
    pub got: Vec<String>,
    /// Forgive what is missing at the end of TCP connections that were cut.
    pub suffix_loss: bool,
    /// Forgive what is missing over UDP.
    pub loss: bool,
    /// Forgive fields that the generator does not know: packs may add some.
    pub extra_fields: bool,
    /// Examples kept of each sort.
    pub examples_max: usize,
}

/// What can be amiss with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amiss {
    Lost,
    Duplicated,
    Reordered,
    Invented,
    Wrong,
    Unreadable,
}

impl Amiss {
    /// All sorts, in the order of the report.
    pub const ALL: [Amiss; 6] =
        [Amiss::Lost, Amiss::Duplicated, Amiss::Reordered, Amiss::Invented, Amiss::Wrong, Amiss::Unreadable];

    /// The word in the report.
    pub fn name(self) -> &'static str {
        match self {
            Amiss::Lost => "lost",
            Amiss::Duplicated => "duplicated",
            Amiss::Reordered => "reordered",
            Amiss::Invented => "invented",
            Amiss::Wrong => "wrong",
            Amiss::Unreadable => "unreadable",
        }
    }
}

/// The verdict.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub sent: u64,
    pub lines: u64,
    pub files: u64,
    pub matched: u64,
    counts: [u64; 6],
    examples: [Vec<String>; 6],
    /// Missing, and forgiven: the ends of cut connections, or lost datagrams.
    pub forgiven: u64,
    /// HTTP: events of POSTs that were given up, and how many of them appeared.
    pub unacknowledged: u64,
    pub unacknowledged_seen: u64,
}

impl Report {
    /// How many events are amiss in this way.
    pub fn count(&self, sort: Amiss) -> u64 {
        self.counts[sort as usize]
    }

    /// The first few of a sort.
    pub fn examples(&self, sort: Amiss) -> &[String] {
        &self.examples[sort as usize]
    }

    /// Whether nothing is amiss.
    pub fn clean(&self) -> bool {
        self.counts.iter().all(|&n| n == 0)
    }

    /// The report for a person.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let mut row = |name: &str, count: u64, note: &str| {
            let line = format!("{name:<16}{:>14}  {note}", grouped(count));
            out.push_str(line.trim_end());
            out.push('\n');
        };
        row("sent", self.sent, "events");
        row("got", self.lines, &format!("lines in {} files", grouped(self.files)));
        row("as expected", self.matched, "");
        for sort in Amiss::ALL {
            row(sort.name(), self.count(sort), "");
        }
        if self.forgiven > 0 {
            row("forgiven", self.forgiven, "missing, as allowed");
        }
        if self.unacknowledged > 0 {
            row(
                "unacknowledged",
                self.unacknowledged,
                &format!("of which {} appeared", grouped(self.unacknowledged_seen)),
            );
        }
        for sort in Amiss::ALL {
            for example in self.examples(sort) {
                let _ = writeln!(out, "{}: {example}", sort.name());
            }
        }
        out.push_str(if self.clean() { "nothing amiss\n" } else { "AMISS\n" });
        out
    }

    /// The report as one JSON object.
    pub fn to_json(&self) -> String {
        let mut out = serde_json::json!({"clean": self.clean(), "sent": self.sent, "lines": self.lines,
            "files": self.files, "as_expected": self.matched, "forgiven": self.forgiven,
            "unacknowledged": self.unacknowledged, "unacknowledged_seen": self.unacknowledged_seen, "examples": {}});
        for sort in Amiss::ALL {
            out[sort.name()] = self.count(sort).into();
            out["examples"][sort.name()] = self.examples(sort).into();
        }
        out.to_string()
    }
}

/// One connection and which of its events were seen.
struct Track {
    connection: Connection,
    /// One bit an event, from `first` on.
    seen: Vec<u64>,
    /// The highest sequence seen in the folder at hand.
    newest: Option<u64>,
}

struct Sent {
    generator: Generator,
    transport: String,
    /// By connection number.
    tracks: Vec<Option<Track>>,
}

struct Checker<'a> {
    options: &'a Options,
    sent: Vec<Sent>,
    report: Report,
}

/// Checks; an error means that it could not be done (no record, no output).
pub fn run(options: &Options) -> Result<Report, String> {
    let records = options.sent.iter().map(|path| Record::read(path)).collect::<Result<Vec<_>, _>>()?;
    let folders = files::find(&options.got)?;
    let mut checker = Checker::new(options, records);
    for folder in folders {
        checker.turn_page();
        for path in folder {
            let failed = |e| format!("cannot read `{}`: {e}", path.display());
            let mut reader = BufReader::with_capacity(1 << 20, File::open(&path).map_err(failed)?);
            checker.report.files += 1;
            checker.file(&path.display().to_string(), &mut reader).map_err(failed)?;
        }
    }
    Ok(checker.finish())
}

/// Checks lines that are at hand instead of files.
pub fn run_on(options: &Options, records: Vec<Record>, name: &str, mut lines: &[u8]) -> Report {
    let mut checker = Checker::new(options, records);
    checker.report.files = 1;
    checker.file(name, &mut lines).expect("reading memory does not fail");
    checker.finish()
}

impl<'a> Checker<'a> {
    fn new(options: &'a Options, records: Vec<Record>) -> Checker<'a> {
        let sent = records.into_iter().map(Sent::new).collect();
        Checker { options, sent, report: Report::default() }
    }

    /// Begins another folder: order is not judged across folders.
    fn turn_page(&mut self) {
        for track in self.sent.iter_mut().flat_map(|s| s.tracks.iter_mut().flatten()) {
            track.newest = None;
        }
    }

    fn amiss(&mut self, sort: Amiss, what: impl FnOnce() -> String) {
        self.report.counts[sort as usize] += 1;
        let examples = &mut self.report.examples[sort as usize];
        if examples.len() < self.options.examples_max {
            examples.push(what());
        }
    }

    fn file(&mut self, name: &str, reader: &mut dyn BufRead) -> std::io::Result<()> {
        let mut line = Vec::new();
        let mut number = 0u64;
        while reader.read_until(b'\n', &mut line)? > 0 {
            number += 1;
            let whole = line.pop_if(|last| *last == b'\n').is_some();
            self.line(&line, whole, name, number);
            line.clear();
        }
        Ok(())
    }

    fn line(&mut self, bytes: &[u8], whole: bool, file: &str, number: u64) {
        self.report.lines += 1;
        let place = || format!("{file}:{number}");
        let excerpt = || String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
        if !whole || bytes.len() > LINE_LEN_MAX {
            return self.amiss(Amiss::Unreadable, || format!("{}: no whole line: {}", place(), excerpt()));
        }
        let Some(line) = Line::read(bytes) else {
            return self.amiss(Amiss::Unreadable, || format!("{}: no JSON object: {}", place(), excerpt()));
        };
        let Some((run, connection, sequence)) = self.find(&line) else {
            return self.amiss(Amiss::Invented, || format!("{}: never sent: {}", place(), excerpt()));
        };
        let who = || format!("{}: connection {connection}, event {sequence}", place());
        let track = self.sent[run].tracks[connection as usize].as_mut().expect("found just now");
        if !track.mark(sequence) {
            return self.amiss(Amiss::Duplicated, who);
        }
        let doubtful = track.given_up(sequence);
        let before = track.newest;
        if !doubtful {
            track.newest = before.max(Some(sequence));
            if let Some(before) = before.filter(|&before| before > sequence) {
                self.amiss(Amiss::Reordered, || format!("{} came after event {before}", who()));
            }
        }
        let expected = self.sent[run].generator.expect(connection, sequence);
        let differences = compare::differences(&line, &expected, self.options.extra_fields);
        if differences.is_empty() {
            self.report.matched += 1;
        } else {
            let kind = expected.template.kind;
            self.amiss(Amiss::Wrong, || format!("{} ({kind}): {}", who(), differences.join("; ")));
        }
    }

    /// Run, connection and sequence of the event in this line, if it was sent or may have been.
    fn find(&self, line: &Line) -> Option<(usize, u32, u64)> {
        let (time_us, drain) = line.identity()?;
        self.sent.iter().enumerate().find_map(|(run, sent)| {
            let (connection, sequence) = sent.generator.locate(drain, time_us)?;
            let track = sent.tracks.get(connection as usize)?.as_ref()?;
            let range = track.connection.first..track.connection.offered;
            range.contains(&sequence).then_some((run, connection, sequence))
        })
    }

    fn finish(mut self) -> Report {
        for sent in std::mem::take(&mut self.sent) {
            for track in sent.tracks.iter().flatten() {
                self.settle(&sent, track);
            }
        }
        self.report
    }

    /// Judges what is missing of one connection.
    fn settle(&mut self, sent: &Sent, track: &Track) {
        let connection = &track.connection;
        let tcp = sent.transport == "tcp" || sent.transport == "tls";
        let last_seen = (connection.first..connection.offered).rev().find(|&s| track.has(s));
        self.report.sent += connection.events();
        for &(from, to) in &connection.unacknowledged {
            self.report.unacknowledged += to - from;
            self.report.unacknowledged_seen += (from..to).filter(|&s| track.has(s)).count() as u64;
        }
        for sequence in connection.first..connection.sent {
            if track.has(sequence) || track.given_up(sequence) {
                continue;
            }
            let at_the_end = last_seen.is_none_or(|last| sequence > last);
            let suffix = self.options.suffix_loss && tcp && connection.cut && at_the_end;
            if suffix || (self.options.loss && sent.transport == "udp") {
                self.report.forgiven += 1;
                continue;
            }
            self.amiss(Amiss::Lost, || {
                let number = connection.number;
                format!(
                    "connection {number}, event {sequence}: {}",
                    sent.generator.expect(number, sequence).to_json()
                )
            });
        }
    }
}

impl Sent {
    fn new(record: Record) -> Sent {
        let mut tracks = Vec::new();
        for connection in record.connections {
            let at = connection.number as usize;
            if tracks.len() <= at {
                tracks.resize_with(at + 1, || None);
            }
            let events = connection.offered - connection.first;
            let seen = vec![0u64; events.div_ceil(64) as usize];
            tracks[at] = Some(Track { connection, seen, newest: None });
        }
        debug_assert!(record.load.form == Form::Syslog || record.load.block > 0);
        Sent { generator: Generator::new(record.load), transport: record.transport, tracks }
    }
}

impl Track {
    /// Marks an event as seen; false if it was before.
    fn mark(&mut self, sequence: u64) -> bool {
        let at = sequence - self.connection.first;
        let (word, bit) = (&mut self.seen[(at / 64) as usize], 1u64 << (at % 64));
        let fresh = *word & bit == 0;
        *word |= bit;
        fresh
    }

    fn has(&self, sequence: u64) -> bool {
        let at = sequence - self.connection.first;
        self.seen[(at / 64) as usize] & (1 << (at % 64)) != 0
    }

    /// Whether the event was in a POST that nobody acknowledged.
    fn given_up(&self, sequence: u64) -> bool {
        let ranges = &self.connection.unacknowledged;
        let at = ranges.partition_point(|&(from, _)| from <= sequence);
        at > 0 && sequence < ranges[at - 1].1
    }
}

#[cfg(test)]
mod tests;
