//! Frames as Heroku sends them, and the events that weir wrote.

use std::fs;
use std::path::Path;

use serde_json::Value;
use weir_load::check;
use weir_load::record::Record;
use weir_load::send::{self, Options, Progress, Summary, Target};

use super::process::Weir;

pub const DRAIN: &str = "d.5a8fd083-0972-4e18-b912-94dc2d099dac";

/// A message with its octet count.
pub fn octet(message: &str) -> String {
    format!("{} {message}", message.len())
}

/// A line of an application as an HTTPS drain sends it.
pub fn posted(text: &str) -> String {
    octet(&format!("<190>1 2026-11-22T09:51:24.537546+00:00 host app web.1 - {text}\n"))
}

/// A line of an application as a syslog drain sends it.
pub fn drained(text: &str) -> String {
    octet(&format!("<190>1 2026-11-22T09:51:24.537546+00:00 {DRAIN} app web.1 - - {text}\n"))
}

/// What a drain sends instead of messages that it lost.
pub fn loss_notice(lost: u64) -> String {
    let since = "2026-11-22T09:51:20+00:00";
    octet(&format!(
        "<172>1 2026-11-22T09:51:24+00:00 host heroku logplex - Error L10 (output buffer overflow): {lost} messages dropped since {since}."
    ))
}

/// A load towards a listener; the caller changes what differs from one fair connection.
pub fn load(weir: &Weir, scheme: &str, listener: &str) -> Options {
    let address = weir.address(listener);
    Options::new(Target::parse(&format!("{scheme}://{address}")).unwrap())
}

pub fn send(options: &Options) -> Summary {
    send::run(options, &Default::default(), &Progress::default()).unwrap()
}

/// Checks the files below `dir/out` against what was sent.
pub fn check(dir: &Path, records: &[&Record], options: check::Options) -> check::Report {
    let mut sent = Vec::new();
    for (index, record) in records.iter().enumerate() {
        let path = dir.join(format!("sent-{index}.json"));
        record.write(&path).unwrap();
        sent.push(path);
    }
    let got = vec![format!("{}/**/*.ndjson", dir.join("out").display())];
    check::run(&check::Options { sent, got, examples_max: 3, ..options }).unwrap()
}

/// All events below `dir/out`, file by file in the order of their names.
pub fn events(dir: &Path) -> Vec<Value> {
    let mut paths: Vec<_> = fs::read_dir(dir.join("out"))
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default();
    paths.retain(|path: &std::path::PathBuf| path.extension().is_some_and(|ending| ending == "ndjson"));
    paths.sort();
    let read = |path: &std::path::PathBuf| fs::read_to_string(path).unwrap();
    paths
        .iter()
        .flat_map(|path| {
            let lines = read(path);
            lines.lines().map(|line| serde_json::from_str(line).expect(line)).collect::<Vec<Value>>()
        })
        .collect()
}

/// Their messages.
pub fn messages(dir: &Path) -> Vec<String> {
    events(dir).iter().map(|event| event["message"].as_str().unwrap().to_string()).collect()
}
