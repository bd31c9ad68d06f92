//! Processes a fixed number of batches and ends: what `benches/run` counts the instructions of.
//!
//! `count CORPUS none|ndjson|eventtracker PASSES [RULES]` prints how many events, bytes in and bytes out one pass has. Two runs
//! of different lengths differ by whole passes and nothing else, so set-up does not count. It measures nothing itself.

mod batches;

use std::hint::black_box;
use std::process::ExitCode;

use weir::limits;
use weir::plan::Format;

use batches::{CORPORA, Work};

/// 2 MB: what is processed lies in the last-level cache, as if another core had just received it.
const BATCHES: usize = 16;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (corpus, format, passes, rules) = match args[..] {
        [corpus, format, passes] => (corpus, format, passes, None),
        [corpus, format, passes, rules] => (corpus, format, passes, Some(rules)),
        // `cargo bench` runs every target.
        _ => {
            println!("count: nothing to do; instructions are counted by benches/run");
            return ExitCode::SUCCESS;
        }
    };
    let corpus = CORPORA.iter().find(|known| known.name == corpus);
    let format = match format {
        "none" => Some(None),
        "ndjson" => Some(Some(Format::Ndjson)),
        "eventtracker" => Some(Some(Format::EventTracker)),
        _ => None,
    };
    let (Some(corpus), Some(format), Ok(passes)) = (corpus, format, passes.parse::<u32>()) else {
        eprintln!("usage: count CORPUS none|ndjson|eventtracker PASSES [PACK,...|NUMBER OF RULES]");
        return ExitCode::from(2);
    };
    let mut batches = corpus.batches(BATCHES, limits::BATCH_FRAMES);
    let mut work = rules.map_or_else(|| Work::new(format), |rules| Work::with_rules(format, rules));
    let mut written = 0;
    for _ in 0..passes {
        written = batches.iter_mut().map(|batch| work.process(black_box(batch))).sum();
    }
    println!(
        "{{\"events\":{},\"bytes\":{},\"written\":{written}}}",
        batches::events(&batches),
        batches::bytes(&batches)
    );
    ExitCode::SUCCESS
}
