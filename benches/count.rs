//! Processes a fixed number of batches and ends: what `benches/run` counts the instructions of.
//!
//! `count CORPUS framing|none|ndjson|eventtracker PASSES` prints how many events, bytes in and bytes out one pass has.
//! `framing` only finds the frames in the stream; the others take the batches through a shard. Two runs of different
//! lengths differ by whole passes and nothing else, so set-up does not count. `count kinds` lists the hostile kinds, which
//! are corpora too. It measures nothing itself.

mod batches;

use std::hint::black_box;
use std::process::ExitCode;

use weir::batch::Batch;
use weir::frame::{Framer, Framing, Step};
use weir::limits;
use weir::plan::Format;

use batches::hostile::HOSTILE;
use batches::{CORPORA, Work};

/// 2 MB: what is processed lies in the last-level cache, as if another core had just received it.
const BATCHES: usize = 16;
/// Of one line over and over, fewer tell as much.
const BATCHES_HOSTILE: usize = 1;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (corpus, output, passes) = match args[..] {
        [corpus, output, passes] => (corpus, output, passes),
        ["kinds"] => {
            let names: Vec<String> = HOSTILE.iter().map(|kind| format!("\"{}\"", kind.name)).collect();
            println!("[{}]", names.join(","));
            return ExitCode::SUCCESS;
        }
        // `cargo bench` runs every target.
        _ => {
            println!("count: nothing to do; instructions are counted by benches/run");
            return ExitCode::SUCCESS;
        }
    };
    let usual = CORPORA.iter().find(|known| known.name == corpus);
    let hostile = HOSTILE.iter().find(|known| known.name == corpus);
    let batches = match (usual, hostile) {
        (Some(corpus), _) => corpus.batches(BATCHES, limits::BATCH_FRAMES),
        (None, Some(kind)) => kind.batches(BATCHES_HOSTILE),
        (None, None) => return usage(),
    };
    let Ok(passes) = passes.parse::<u32>() else { return usage() };
    let (events, bytes) = (batches::events(&batches), batches::bytes(&batches));
    let written = match output {
        "framing" => frame(&batches, passes),
        "none" => process(batches, None, passes),
        "ndjson" => process(batches, Some(Format::Ndjson), passes),
        "eventtracker" => process(batches, Some(Format::EventTracker), passes),
        _ => return usage(),
    };
    println!("{{\"events\":{events},\"bytes\":{bytes},\"written\":{written}}}");
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("usage: count CORPUS framing|none|ndjson|eventtracker PASSES");
    ExitCode::from(2)
}

/// Takes every batch through a shard; returns the bytes that one pass wrote.
fn process(mut batches: Vec<Batch>, format: Option<Format>, passes: u32) -> usize {
    let mut work = Work::new(format);
    let mut written = 0;
    for _ in 0..passes {
        written = batches.iter_mut().map(|batch| work.process(black_box(batch))).sum();
    }
    written
}

/// Finds the frames in the bytes of every batch, as a receiver does, and writes nothing.
fn frame(batches: &[Batch], passes: u32) -> usize {
    let mut frames = Vec::with_capacity(limits::BATCH_FRAMES);
    for _ in 0..passes {
        for batch in batches {
            frames.clear();
            let bytes = black_box(batch.bytes());
            let mut framer = Framer::new(Framing::Octet, limits::FRAME_BYTES);
            let mut at = 0;
            while let Step::Frame { start, end, next, .. } = framer.step(bytes, at) {
                frames.push((start, end));
                at = next;
            }
            assert_eq!(frames.len(), batch.frames.len());
        }
    }
    0
}
