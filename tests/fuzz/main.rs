//! Replays the committed corpora through the fuzz targets, and plays a few mutations of each.
//!
//! `WEIR_FUZZ_S=N` mutates for N seconds a target instead; what fails is written to the temporary folder and named.
//! `fuzz/` drives the same targets with libFuzzer.

mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use weir_load::rng::Rng;

/// Mutations of each target where no time is given.
const MUTATIONS: u64 = 3_000;
const INPUT_BYTES_MAX: usize = 8192;

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

#[test]
fn the_corpora_hold() {
    for (name, target) in targets::TARGETS {
        let inputs = corpus(name);
        assert!(inputs.len() >= 5, "{name} has a corpus");
        for (path, input) in inputs {
            assert!(catch_unwind(|| target(&input)).is_ok(), "{}", path.display());
        }
    }
}

#[test]
fn mutations_of_the_corpora_hold() {
    let time = std::env::var("WEIR_FUZZ_S").ok();
    let time = time.map(|text| Duration::from_secs(text.parse().expect("whole seconds")));
    let seed = time.map_or(1, |_| std::process::id().into());
    for (name, target) in targets::TARGETS {
        let inputs: Vec<Vec<u8>> = corpus(name).into_iter().map(|(_, input)| input).collect();
        let (mut rng, started, mut played) = (Rng::new(seed), Instant::now(), 0);
        while time.map_or(played < MUTATIONS, |time| started.elapsed() < time) {
            let input = mutated(&inputs, &mut rng);
            if catch_unwind(AssertUnwindSafe(|| target(&input))).is_err() {
                let path = std::env::temp_dir().join(format!("weir-{name}-{played}"));
                std::fs::write(&path, &input).unwrap();
                panic!("{name} fails on {}", path.display());
            }
            played += 1;
        }
        println!("{name}: {played} mutations");
    }
}

/// Bytes that mean something to one target or another.
const WORDS: &[&[u8]] = &[
    b"\n",
    b"\r\n",
    b" ",
    b"\"",
    b"\\",
    b"\\u0041",
    b"\\ud800",
    b"\\udc00",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"<",
    b">",
    b"-",
    b" - ",
    b"=",
    b"\x1b[0m",
    b"\x1b",
    b"\0",
    b"\xff",
    b"\xc3",
    b"null",
    b"true",
    b"1e9",
    b"-0.0",
    b" at=",
    b" fwd=\"",
    b" host=",
    b" method=GET",
    b" path=\"",
    b"sample#",
    b"<190>1 ",
    b"1 ",
    b"host",
    b"d.",
    b"2024-01-01T00:00:00Z",
    b"9999999 ",
    b"Error L10 ",
    b"Error R14 ",
    b"`",
    b" with command `",
    b" by user ",
    b"${",
    b"${SET}",
    b"&a ",
    b"*a",
    b"? ",
    b"- ",
    b"|\n",
    b"#",
    b"postgres",
    b"[1-1]",
    b"sql_error_code = ",
];

/// An input of the corpus, changed in one to five places.
fn mutated(inputs: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut input = inputs[rng.below(inputs.len() as u64) as usize].clone();
    for _ in 0..=rng.below(5) {
        let at = rng.below(input.len() as u64 + 1) as usize;
        let until = (at + rng.below(12) as usize).min(input.len());
        match rng.below(7) {
            0 if at < input.len() => input[at] ^= 1 << rng.below(8),
            1 if at < input.len() => input[at] = rng.below(256) as u8,
            2 => drop(input.drain(at..until)),
            3 => {
                let piece = input[at..until].to_vec();
                input.splice(at..at, piece);
            }
            4 => {
                let other = &inputs[rng.below(inputs.len() as u64) as usize];
                let from = rng.below(other.len() as u64 + 1) as usize;
                let to = (from + rng.below(60) as usize).min(other.len());
                input.splice(at..at, other[from..to].iter().copied());
            }
            5 => input.truncate(at.max(1)),
            _ => {
                let word = WORDS[rng.below(WORDS.len() as u64) as usize];
                input.splice(at..until.min(at + word.len()), word.iter().copied());
            }
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}
