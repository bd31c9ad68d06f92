//! The handed-over cases through the real binary: what is sent, over which transport, and what it must become.
//!
//! `cases/heroku_frames.jsonl` says how each is framed and what to expect; nothing is known here of how weir reads it.

#[path = "support/weir.rs"]
mod program;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;

use base64::Engine;
use serde_json::Value;

use program::{PATIENCE, Weir};

struct Case {
    name: String,
    framing: String,
    transports: Vec<String>,
    bytes: Vec<u8>,
    expect: Value,
}

fn cases() -> Vec<Case> {
    let read = |line: &str| {
        let case: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| case[key].as_str().unwrap().to_string();
        Case {
            name: text("name"),
            framing: text("framing"),
            transports: case["transports"]
                .as_array()
                .unwrap()
                .iter()
                .map(|t| t.as_str().unwrap().into())
                .collect(),
            bytes: base64::engine::general_purpose::STANDARD.decode(text("b64")).unwrap(),
            expect: case["expect"].clone(),
        }
    };
    include_str!("cases/heroku_frames.jsonl").lines().map(read).collect()
}

impl Case {
    /// What every event must say, one by one.
    fn events(&self) -> Vec<&Value> {
        if let Some(events) = self.expect["events"].as_array() {
            return events.iter().collect();
        }
        vec![&self.expect; self.expect["messages"].as_u64().unwrap_or(1) as usize]
    }

    /// The messages without what frames them.
    fn messages(&self) -> Vec<&[u8]> {
        if self.framing == "newline" {
            return self.bytes.split_inclusive(|&byte| byte == b'\n').collect();
        }
        let (mut messages, mut rest) = (Vec::new(), &self.bytes[..]);
        while let Some(blank) = rest.iter().position(|&byte| byte == b' ') {
            let count: usize = std::str::from_utf8(&rest[..blank]).unwrap().parse().unwrap();
            let (message, behind) = rest[blank + 1..].split_at(count);
            messages.push(message);
            rest = behind;
        }
        messages
    }

    /// What is wrong with the events and with the growth of the figures under `apart`.
    fn complaints(&self, events: &[Value], grown: impl Fn(&str) -> u64) -> Vec<String> {
        let mut found = Vec::new();
        let wanted = self.events();
        if events.len() != wanted.len() {
            found.push(format!("{} events instead of {}", events.len(), wanted.len()));
        }
        for (event, wanted) in events.iter().zip(wanted) {
            for (key, value) in wanted.as_object().unwrap() {
                let got = match key.as_str() {
                    "messages" | "events" | "counters" => continue,
                    "message_len" => Value::from(event["message"].as_str().unwrap().len()),
                    _ => event.get(key).or_else(|| event["fields"].get(key)).cloned().unwrap_or_default(),
                };
                if !same(&got, value) {
                    found.push(format!("`{key}` is {got} instead of {value}"));
                }
            }
        }
        for (counter, n) in self.expect["counters"].as_object().into_iter().flatten() {
            if grown(counter) != n.as_u64().unwrap() {
                found.push(format!("counter `{counter}` grew by {} instead of {n}", grown(counter)));
            }
        }
        found
    }

    /// The growth that shows that all has arrived: frames, and garbage where it is told.
    fn has_arrived(&self, before: &Value, after: &Value) -> bool {
        let grown = |key: &[&str]| figure(after, key) - figure(before, key);
        let garbage = self.expect["counters"]["garbage_bytes"].as_u64().unwrap_or(0);
        grown(&["received"]) >= self.events().len() as u64 && grown(&["apart", "garbage_bytes"]) >= garbage
    }
}

/// Equal, numbers by value.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// A figure of a listener's books.
fn figure(listener: &Value, path: &[&str]) -> u64 {
    let found = path.iter().fold(listener, |value, key| &value[*key]);
    found.as_u64().unwrap_or_else(|| panic!("no {path:?} in {listener}"))
}

fn assert_none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn replayed() {
    let mut complaints = Vec::new();
    for case in cases().iter().filter(|case| case.transports.iter().any(|t| t == "replay")) {
        let output = program::run(&["replay", "--framing", &case.framing, "-"], &case.bytes);
        assert!(output.status.success(), "{}", case.name);
        let books = program::last_line(&output.stderr);
        assert_eq!(books["closed"], true, "{}: {books}", case.name);
        let listener = &books["listeners"]["replay"];
        let lines = std::str::from_utf8(&output.stdout).unwrap().lines();
        let events: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(figure(listener, &["admitted"]), events.len() as u64, "{}", case.name);
        let found = case.complaints(&events, |counter| figure(listener, &["apart", counter]));
        complaints.extend(found.into_iter().map(|what| format!("{}: {what}", case.name)));
    }
    assert_none(complaints);
}

const FRAMINGS: [&str; 2] = ["octet", "newline"];

/// Sends every case of a transport to one running weir and looks at what each adds to the file and the books.
fn over(transport: &str, send: fn(SocketAddr, &Case)) {
    let mut pipeline = "listeners:\n".to_string();
    for framing in FRAMINGS {
        let set = if transport == "udp" { String::new() } else { format!(", framing: {framing}") };
        pipeline += &format!("  - {{name: {framing}, kind: {transport}, bind: \"127.0.0.1:0\"{set}}}\n");
    }
    pipeline += "sinks:\n  - {name: events, kind: file, root: DIR/out, path: \"{listener}.ndjson\"}\n";
    let mut weir = Weir::start(&pipeline);
    let (mut complaints, mut sent) = (Vec::new(), 0);
    for case in cases().iter().filter(|case| case.transports.iter().any(|t| t == transport)) {
        let before = weir.books()["listeners"][&case.framing].clone();
        send(weir.address(&case.framing), case);
        let books = weir.books_when(&format!("case `{}`", case.name), |books| {
            books["closed"] == true && case.has_arrived(&before, &books["listeners"][&case.framing])
        });
        let after = &books["listeners"][&case.framing];
        let file = weir.path("out").join(format!("{}.ndjson", case.framing));
        let events = lines_from(&file, figure(&before, &["admitted"]));
        let grown = |counter: &str| figure(after, &["apart", counter]) - figure(&before, &["apart", counter]);
        let found = case.complaints(&events, grown);
        complaints.extend(found.into_iter().map(|what| format!("{}: {what}", case.name)));
        sent += case.events().len() as u64;
    }
    assert_none(complaints);
    let ended = weir.stop();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(ended.books["closed"], true, "{}", ended.books);
    assert_eq!(ended.books["sinks"]["events"]["delivered"], sent, "{}", ended.books);
    assert_eq!(program::events(&ended.dir.path().join("out")).len() as u64, sent);
}

/// The events of a file behind the first `skip`.
fn lines_from(file: &Path, skip: u64) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().skip(skip as usize).map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn over_tcp() {
    over("tcp", |address, case| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(&case.bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
    });
}

#[test]
fn over_udp() {
    over("udp", |address, case| {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        for message in case.messages() {
            socket.send_to(message, address).unwrap();
        }
    });
}

#[test]
fn over_http() {
    over("http", |address, case| {
        let (count, len) = (case.messages().len(), case.bytes.len());
        let head = format!(
            "POST /logs HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/logplex-1\r\n\
             Logplex-Msg-Count: {count}\r\nContent-Length: {len}\r\n\r\n"
        );
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&[head.as_bytes(), &case.bytes].concat()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 2"), "{}: {answer}", case.name);
    });
}

/// A pipeline file that names the computers of a case file, and its zone.
fn pipeline_of(case: &Value, dir: &Path) -> String {
    let mut text = "weir: pipeline/v1\ndrains:\n".to_string();
    for (drain, computer) in case["computer"].as_object().unwrap() {
        text += &format!("  {drain}: {{computer: {computer}}}\n");
    }
    let file = dir.join("pipeline.yaml");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[test]
fn the_guides_sample_in_the_guides_view() {
    let case: Value = serde_json::from_str(include_str!("cases/eventtracker_fig10.json")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let pipeline = pipeline_of(&case, dir.path());
    let (zone, received) = (case["zone"].as_str().unwrap(), case["received"].as_str().unwrap());
    let arguments = ["replay", "--pipeline", &pipeline, "--framing", "newline", "--format", "eventtracker"];
    let arguments = [&arguments[..], &["--zone", zone, "--received", received, "-"]].concat();
    let output = program::run(&arguments, case["in"].as_str().unwrap().as_bytes());
    let event: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    });
    assert_eq!(event, case["out"]);
    assert_eq!(program::last_line(&output.stderr)["closed"], true);
}

#[test]
fn the_guides_reports_are_read_without_loss() {
    let case: Value = serde_json::from_str(include_str!("cases/eventtracker_reports.json")).unwrap();
    let reports: Vec<_> =
        case.as_object().unwrap().iter().filter(|(_, report)| report["in"].is_array()).collect();
    assert!(reports.len() >= 2, "the file has its reports");
    for (name, report) in reports {
        let records = report["in"].as_array().unwrap();
        let input: String = records.iter().map(|record| format!("{record}\n")).collect();
        let output = program::run(&["replay", "--framing", "records", "--strict", "-"], input.as_bytes());
        let books = program::last_line(&output.stderr);
        assert!(output.status.success() && books["closed"] == true, "{name}: {books}");
        assert_eq!(books["listeners"]["replay"]["admitted"], records.len(), "{name}");
        let lines = std::str::from_utf8(&output.stdout).unwrap().lines();
        let events: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(events.len(), records.len(), "{name}");
        for (event, record) in events.iter().zip(records) {
            let second = |value: &Value| value.as_str().unwrap()[..19].to_string();
            assert_eq!(second(&event["received"]), second(&record["received"]), "{name}");
            let message = event["message"].as_str().unwrap();
            assert!(
                !message.is_empty() && record["raw"].as_str().unwrap().contains(message),
                "{name}: {event}"
            );
            assert!(event.get("flags").is_none(), "{name}: {event}");
        }
    }
}

#[test]
fn files_of_one_replay_have_ids_of_their_own_and_a_broken_output_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let line = "<190>1 2024-01-01T00:00:00Z d.0 app web.1 - - hello\n";
    let files: Vec<String> = (1..=3).map(|n| dir.path().join(n.to_string()).display().to_string()).collect();
    for file in &files {
        std::fs::write(file, line).unwrap();
    }
    let arguments: Vec<&str> = ["replay"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let output = program::run(&arguments, b"");
    let lines = std::str::from_utf8(&output.stdout).unwrap().lines();
    let events: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<&str> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    // A broken output was tried again for ever, and the last line of a file had the next one's id.
    assert_eq!(ids, ["r-1-0", "r-2-0", "r-3-0"]);
    let output = program::run(&["replay", "--out", "/dev/full", &files[0]], b"");
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
}
