//! Frames as Heroku sends them, and the events that weir wrote.

use std::path::Path;

use weir_load::check;
use weir_load::record::Record;
use weir_load::send::{self, Options, Progress, Summary, Target};

use super::weir::{Weir, events};

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

/// The messages of all events below `dir/out`, file by file.
pub fn messages(dir: &Path) -> Vec<String> {
    let text = |event: &serde_json::Value| event["message"].as_str().expect("a message").to_string();
    events(&dir.join("out")).iter().map(text).collect()
}

/// A pipeline's listeners and sinks, an item of its list each.
pub fn pipeline(listeners: &[String], sinks: &[&str]) -> String {
    let item = |item: &str| format!("  - {item}\n");
    let listeners: String = listeners.iter().map(|listener| item(listener)).collect();
    let sinks: String = sinks.iter().map(|sink| item(sink)).collect();
    format!("listeners:\n{listeners}sinks:\n{sinks}")
}

/// A listener on a port that the kernel picks; `more` begins with a comma.
pub fn listener(name: &str, kind: &str, more: &str) -> String {
    format!("{{name: {name}, kind: {kind}, bind: \"127.0.0.1:0\"{more}}}")
}

/// Events as files below `out`, a file a listener.
pub const FILES: &str = "{name: events, kind: file, root: out, path: \"{listener}.ndjson\"}";
