//! Processes a fixed number of batches and ends: what `benches/run` counts the instructions of.
//!
//! `count CORPUS OUTPUT PASSES [RULES]` prints how many events, bytes in and bytes out one pass has; two runs of different lengths
//! differ by whole passes and nothing else. OUTPUT is `framing`, which only finds the frames in the stream, or what a
//! shard writes: `none`, `ndjson` or `eventtracker`. RULES are packs, by id or path, or a number of rules of one literal
//! each; a final `+` takes their dashlets and metrics too; without, there are none. The corpus `windows` is of signals, and its
//! output the events of each: what the ledger does with them. `count each CORPUS/OUTPUT[/RULES]...` does several, one after
//! the other, and calls `boundary` before and after the passes that count, so that one run of the counting program is enough
//! for all.
//! `count stream CORPUS MEGABYTES` writes a corpus to standard output, as a sender would.
//! `count kinds` lists the hostile kinds, which are corpora too. It measures nothing itself.

mod batches;

use std::hint::black_box;
use std::io::{self, Write};
use std::process::ExitCode;

use weir::batch::Batch;
use weir::limits;
use weir::plan::Format;

use batches::hostile::HOSTILE;
use batches::windows::Windows;
use batches::{CORPORA, Work};

/// 2 MB: what is processed lies in the last-level cache, as if another core had just received it.
const BATCHES: usize = 16;
/// Of one line over and over, fewer tell as much.
const BATCHES_HOSTILE: usize = 1;

/// Passes before those that count, by when buffers have grown, and those that count.
const WARM: u32 = 2;
const PASSES: u32 = 3;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["kinds"] => {
            let names: Vec<String> = HOSTILE.iter().map(|kind| format!("\"{}\"", kind.name)).collect();
            println!("[{}]", names.join(","));
            ExitCode::SUCCESS
        }
        ["stream", corpus, megabytes] => stream(corpus, megabytes),
        ["each", ref jobs @ ..] => {
            for job in jobs {
                let Some((corpus, rest)) = job.split_once('/') else { return usage() };
                let (output, rules) = rest.split_once('/').unwrap_or((rest, ""));
                let Some(mut job) = Job::new(corpus, output, rules) else { return usage() };
                job.pass(WARM);
                boundary();
                let written = job.pass(PASSES);
                boundary();
                job.print(written);
            }
            ExitCode::SUCCESS
        }
        [corpus, output, passes, ref rules @ ..] if rules.len() < 2 => {
            let rules = rules.first().copied().unwrap_or_default();
            let (Some(mut job), Ok(passes)) = (Job::new(corpus, output, rules), passes.parse()) else {
                return usage();
            };
            let written = job.pass(passes);
            job.print(written);
            ExitCode::SUCCESS
        }
        // `cargo bench` runs every target.
        _ => {
            println!("count: nothing to do; instructions are counted by benches/run");
            ExitCode::SUCCESS
        }
    }
}

fn usage() -> ExitCode {
    eprintln!(
        "usage: count CORPUS framing|none|ndjson|eventtracker PASSES [PACK,...|NUMBER], count each CORPUS/OUTPUT[/RULES]..., count windows EVENTS_A_SIGNAL PASSES, count kinds"
    );
    ExitCode::from(2)
}

/// Writes about so many MB of a corpus, whole batches.
fn stream(corpus: &str, megabytes: &str) -> ExitCode {
    let corpus = CORPORA.iter().find(|known| known.name == corpus);
    let (Some(corpus), Ok(megabytes)) = (corpus, megabytes.parse::<u64>()) else { return usage() };
    let (mut out, mut written) = (io::stdout().lock(), 0);
    for batch in corpus.endless(limits::BATCH_FRAMES) {
        out.write_all(batch.bytes()).expect("standard output takes it");
        written += batch.bytes().len() as u64;
        if written >= megabytes * 1_000_000 {
            break;
        }
    }
    ExitCode::SUCCESS
}

/// The counting program writes down and forgets what it has counted when this is called.
#[inline(never)]
fn boundary() {
    black_box(());
}

/// Batches, and what is done with them.
struct Job {
    batches: Vec<Batch>,
    task: Task,
}

enum Task {
    Frame,
    Process(Box<Work>),
    Apply(Box<Windows>),
}

impl Job {
    /// Empty `rules` are none.
    fn new(corpus: &str, output: &str, rules: &str) -> Option<Job> {
        if corpus == "windows" {
            let windows = Windows::new(output.parse().ok()?);
            return Some(Job { batches: Vec::new(), task: Task::Apply(Box::new(windows)) });
        }
        let usual = CORPORA.iter().find(|known| known.name == corpus);
        let hostile = HOSTILE.iter().find(|known| known.name == corpus);
        let batches = match (usual, hostile) {
            (Some(corpus), _) => corpus.batches(BATCHES, limits::BATCH_FRAMES),
            (None, kind) => kind?.batches(BATCHES_HOSTILE),
        };
        let format = match output {
            "framing" => return Some(Job { batches, task: Task::Frame }),
            "none" => None,
            "ndjson" => Some(Format::Ndjson),
            "eventtracker" => Some(Format::EventTracker),
            _ => return None,
        };
        let mut work = Work::new(format);
        if !rules.is_empty() {
            work.know(rules);
        }
        Some(Job { batches, task: Task::Process(Box::new(work)) })
    }

    /// Returns the bytes that one pass wrote.
    fn pass(&mut self, passes: u32) -> usize {
        let work = match &mut self.task {
            Task::Process(work) => work,
            Task::Frame => {
                frame(&self.batches, passes);
                return 0;
            }
            Task::Apply(windows) => {
                (0..passes).for_each(|_| windows.pass());
                return 0;
            }
        };
        let mut written = 0;
        for _ in 0..passes {
            written = self.batches.iter_mut().map(|batch| work.process(black_box(batch))).sum();
        }
        written
    }

    fn print(&self, written: usize) {
        if let Task::Apply(windows) = &self.task {
            let Windows { events, signals, .. } = **windows;
            println!("{{\"events\":{events},\"signals\":{signals},\"bytes\":0,\"written\":0}}");
            return;
        }
        let (events, bytes) = (batches::events(&self.batches), batches::bytes(&self.batches));
        println!("{{\"events\":{events},\"bytes\":{bytes},\"written\":{written}}}");
    }
}

/// Finds the frames in the bytes of every batch, as a receiver does.
fn frame(batches: &[Batch], passes: u32) {
    let mut frames = Vec::with_capacity(limits::BATCH_FRAMES);
    for _ in 0..passes {
        for batch in batches {
            batches::frame(batch, &mut frames);
        }
    }
}
