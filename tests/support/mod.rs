//! What tests of the real program share. Each test binary uses a part of it.
#![allow(dead_code)]

pub mod frames;
pub mod http;
pub mod kafka;
pub mod mmdb;
pub mod tools;
pub mod weir;

use std::io::Write;

/// Says aloud that something could not be tested here, and notes it for the end of the run.
pub fn skipped(what: &str) {
    eprintln!("SKIPPED: {what}");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/target/skipped.txt");
    let file = std::fs::File::options().append(true).create(true).open(path);
    writeln!(file.expect("target is there while tests run"), "{what}").expect("a line can be added");
}

/// Whether a program is there.
pub fn has(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}
