//! The fuzz targets without a fuzzer: their corpora replayed, and a short seeded round of mutations of them.
//!
//! The seed is fixed, so that a round of equal length reads equal inputs. `WEIR_FUZZ_SECONDS` lengthens the round, for
//! all targets together; `WEIR_FUZZ_SEED` changes it. An input on which a target panics is written to `fuzz/found/` and
//! named; a stack overflow or a target without end is not survived, and leaves no file.

#[path = "fuzz/targets.rs"]
mod targets;

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use weir_load::rng::Rng;

/// For all targets together; chosen so that the test is not the slowest.
const SECONDS: f64 = 2.0;
/// Longer inputs are not mutated further: the targets cut what is longer.
const INPUT_BYTES: usize = 64 * 1024;

/// What the formats are made of.
const TOKENS: &[&[u8]] = &[
    b"<190>1 ",
    b"<0>",
    b"<191>",
    b"<192>",
    b" - ",
    b" host ",
    b"2026-11-22T09:51:24.537546+00:00",
    b"Nov 22 09:51:24 ",
    b"heroku router",
    b"app web.1",
    b"d.5a8fd083-0972-4e18-b912-94dc2d099dac",
    b"[a b=\"c\"]",
    b"\\]",
    b"\\\"",
    b" at=error ",
    b" method=",
    b" path=\"",
    b"\" host=",
    b" fwd=\"1.2.3.4, 10.0.0.1\"",
    b" agent=\"",
    b" status=200",
    b" tls=true",
    b"sample#memory_rss=1.5MB ",
    b"sample#load_avg_1m=0.1 ",
    b"source=web.1 dyno=heroku.1.x ",
    b"Error L10 (output buffer overflow) -> 12 ",
    b"State changed from up to crashed",
    b" with command `",
    b" by user ",
    b"Process exited with status 143",
    b"[5-1] sql_error_code = 42P01 ",
    b"\x1b[31m",
    b"\r\n",
    b"\n",
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\"",
    b"\\u0000",
    b"\\ud800",
    b"\\udc00",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"1e999",
    b"-0",
    b"0.1E+2",
    b"18446744073709551616",
    b"\"a\":",
    b"\"a.b\":",
    b"\"time\":",
    b"\"message\":",
    b"9999999 ",
    b"0 ",
    b"12345678 ",
    b"&a ",
    b"*a",
    b"- ",
    b"? ",
    b"!!str ",
    b"|",
    b">",
    b"#",
    b"'",
    b"\t",
    b"---\n",
    b"${HOME}",
    b"${A:-b}",
    b"${",
    b"listeners:\n",
    b"sinks:\n",
    b"  - ",
    b"name: ",
    b"1 MiB",
    b"10s",
    b"\xc2\x85",
    b"\xe2\x80\xa8",
];

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target)
}

/// The inputs of a target's corpus by name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder(target)).unwrap_or_else(|e| panic!("the corpus of `{target}`: {e}"));
    let read = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read(entry.path()).unwrap())
    };
    let mut inputs: Vec<_> = entries.map(|entry| read(entry.unwrap())).collect();
    inputs.sort();
    inputs
}

fn survives(target: fn(&[u8]), input: &[u8]) -> bool {
    panic::catch_unwind(|| target(input)).is_ok()
}

#[test]
fn every_corpus_replays() {
    let mut failed = Vec::new();
    for (name, target) in targets::TARGETS {
        let inputs = corpus(name);
        assert!(!inputs.is_empty(), "the corpus of `{name}` is empty");
        let bad = inputs.iter().filter(|(_, input)| !survives(*target, input));
        failed.extend(bad.map(|(input, _)| format!("tests/fuzz/corpus/{name}/{input}")));
    }
    assert!(failed.is_empty(), "what these panic with is told above:\n{}", failed.join("\n"));
}

#[test]
fn no_corpus_is_without_a_target() {
    for entry in fs::read_dir(folder("")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(targets::TARGETS.iter().any(|(target, _)| *target == name), "nothing reads corpus `{name}`");
    }
}

#[test]
fn mutations_of_the_corpora_hold() {
    let seconds = setting("WEIR_FUZZ_SECONDS").unwrap_or(SECONDS);
    let seed = setting("WEIR_FUZZ_SEED").unwrap_or(1.0) as u64;
    let each = Duration::from_secs_f64(seconds / targets::TARGETS.len() as f64);
    let mut found = Vec::new();
    for (name, target) in targets::TARGETS {
        let mut inputs: Vec<Vec<u8>> = corpus(name).into_iter().map(|(_, input)| input).collect();
        let (mut rng, mut runs) = (Rng::new(seed), 0_u64);
        let until = Instant::now() + each;
        while Instant::now() < until {
            let input = mutated(&inputs, &mut rng);
            runs += 1;
            if !survives(*target, &input) {
                found.push(kept(name, &input));
                break;
            }
            // Without a view of what is reached, some change on change is all that leads further.
            if rng.one_in(64) && inputs.len() < 4096 {
                inputs.push(input);
            }
        }
        println!("{name}: {runs} inputs");
        assert!(runs > 0);
    }
    assert!(found.is_empty(), "seed {seed}; what these panic with is told above:\n{}", found.join("\n"));
}

fn setting(name: &str) -> Option<f64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("`{name}` is no number: `{text}`")))
}

/// Writes an input that fails; returns its path from the repository's root.
fn kept(target: &str, input: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    let path = format!("tests/fuzz/found/{target}-{:016x}", hasher.finish());
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join(&path);
    fs::create_dir_all(whole.parent().unwrap()).unwrap();
    fs::write(whole, input).unwrap();
    path
}

/// One of the inputs after one to eight changes.
fn mutated(inputs: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let any = |rng: &mut Rng| &inputs[rng.below(inputs.len() as u64) as usize];
    let mut input = any(rng).clone();
    for _ in 0..=rng.below(8) {
        let at = rng.below(input.len() as u64 + 1) as usize;
        let end = (at + 1 + rng.below(16) as usize).min(input.len());
        match rng.below(10) {
            0 | 1 if at < input.len() => input[at] ^= 1 << rng.below(8),
            2 if at < input.len() => input[at] = rng.below(256) as u8,
            3 | 4 => drop(input.splice(at..at, rng.pick(TOKENS).iter().copied())),
            5 => drop(input.splice(at..end, rng.pick(TOKENS).iter().copied())),
            6 => drop(input.drain(at..end)),
            7 => {
                let piece = input[at..end].to_vec();
                let times = 1 << rng.below(8);
                drop(input.splice(at..at, piece.repeat(times)));
            }
            8 => {
                let other = any(rng);
                let from = rng.below(other.len() as u64 + 1) as usize;
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            9 if rng.one_in(4) => input.truncate(at),
            _ => {}
        }
        input.truncate(INPUT_BYTES);
    }
    input
}
