//! The real binary, started by a test: its ready file, its log, its books, its end.
//!
//! Every wait has an end, and a process is killed when its test lets go of it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::http;

/// How long anything may take that usually takes milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A pipeline on loopback ports that the kernel picks; `top` holds further keys of the file, a line each.
pub fn pipeline(top: &str, listeners: &[&str], sinks: &[&str]) -> String {
    let list = |items: &[&str]| -> String { items.iter().map(|item| format!("  - {item}\n")).collect() };
    format!(
        "weir: pipeline/v1\nthreads: 2\nobserve: 127.0.0.1:0\nadmin: 127.0.0.1:0\n{top}\nlisteners:\n{}sinks:\n{}",
        list(listeners),
        list(sinks)
    )
}

/// A listener in flow form; `more` is `, key: value`s.
pub fn listener(name: &str, kind: &str, more: &str) -> String {
    format!("{{name: {name}, kind: {kind}, bind: \"127.0.0.1:0\"{more}}}")
}

/// Events as files below `out`, a file a listener.
pub const FILES: &str = "{name: events, kind: file, root: out, path: \"{listener}.ndjson\"}";

/// Waits until `done`; a panic names what did not come.
#[track_caller]
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A running weir.
pub struct Weir {
    child: Child,
    dir: PathBuf,
    pub ready: Value,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

/// How a weir ended.
pub struct Ended {
    pub code: Option<i32>,
    /// Standard error, whole.
    pub log: String,
    /// Its last line, if that is JSON.
    pub books: Value,
}

impl Weir {
    /// Starts `weir run` on `pipeline` in `dir` and waits until it is ready.
    #[track_caller]
    pub fn start(dir: &Path, pipeline: &str) -> Weir {
        Weir::start_writing(dir, pipeline, Stdio::null())
    }

    /// The same with its standard output.
    #[track_caller]
    pub fn start_piped(dir: &Path, pipeline: &str) -> (Weir, ChildStdout) {
        let mut weir = Weir::start_writing(dir, pipeline, Stdio::piped());
        let out = weir.child.stdout.take().expect("a pipe was asked for");
        (weir, out)
    }

    #[track_caller]
    fn start_writing(dir: &Path, pipeline: &str, stdout: Stdio) -> Weir {
        let ready = dir.join("ready.json");
        let _ = fs::remove_file(&ready);
        let mut weir = Weir::spawn(dir, pipeline, stdout);
        wait_until("the ready file", || {
            if let Some(status) = weir.child.try_wait().unwrap() {
                panic!("weir ended ({status}) before it was ready:\n{}", weir.log());
            }
            ready.exists()
        });
        weir.ready = serde_json::from_str(&fs::read_to_string(&ready).unwrap()).unwrap();
        weir
    }

    /// Runs a weir that will not get ready.
    pub fn fail_to_start(dir: &Path, pipeline: &str) -> Ended {
        Weir::spawn(dir, pipeline, Stdio::null()).ended()
    }

    fn spawn(dir: &Path, pipeline: &str, stdout: Stdio) -> Weir {
        fs::write(dir.join("pipeline.yaml"), pipeline).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["run", "pipeline.yaml", "--ready-file", "ready.json"])
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().expect("a pipe was asked for"));
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = log.clone();
        let reader = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        Weir { child, dir: dir.into(), ready: Value::Null, log, reader: Some(reader) }
    }

    /// Where a listener is reached.
    #[track_caller]
    pub fn address(&self, listener: &str) -> SocketAddr {
        let ready = &self.ready;
        let text = ready["listeners"][listener].as_str();
        text.unwrap_or_else(|| panic!("no listener `{listener}` in {ready}")).parse().unwrap()
    }

    pub fn observe(&self) -> SocketAddr {
        self.ready["observe"].as_str().unwrap().parse().unwrap()
    }

    pub fn admin(&self) -> SocketAddr {
        self.ready["admin"].as_str().unwrap().parse().unwrap()
    }

    pub fn books(&self) -> Value {
        let answer = http::get(self.admin(), "/books");
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_str(&answer.body).unwrap()
    }

    /// Waits until a figure of the books, by its path, is `expected`.
    #[track_caller]
    pub fn wait_for(&self, path: &str, expected: u64) {
        let mut last = Value::Null;
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            last = self.books();
            if figure(&last, path) == expected {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{path} never was {expected}: {last:#}\n{}", self.log());
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Waits until the log holds `text`.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            assert!(Instant::now() < end, "the log never said `{text}`:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn write_pipeline(&self, text: &str) {
        // Whoever looks at the file meanwhile must not see half of it.
        let part = self.dir.join("pipeline.part");
        fs::write(&part, text).unwrap();
        fs::rename(part, self.dir.join("pipeline.yaml")).unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Bytes of memory in use now.
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Asks for a clean end and waits for it.
    pub fn stop(self) -> Ended {
        self.signal(Signal::TERM);
        self.ended()
    }

    /// Waits for the end.
    pub fn ended(mut self) -> Ended {
        let end = Instant::now() + PATIENCE + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < end, "weir does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        };
        self.reader.take().expect("read until the end").join().unwrap();
        let log = self.log();
        let books = log.lines().last().and_then(|line| serde_json::from_str(line).ok());
        Ended { code: status.code(), log, books: books.unwrap_or_default() }
    }
}

impl Drop for Weir {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// The books, after an end in which all was delivered.
    #[track_caller]
    pub fn clean(&self) -> &Value {
        assert_eq!(self.code, Some(0), "{}", self.log);
        assert_closed(&self.books);
        &self.books
    }
}

/// A figure of the books by its path; one that is not there is 0.
pub fn figure(books: &Value, path: &str) -> u64 {
    books.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

/// The books say that they close, and they do: the sums are made again here.
#[track_caller]
pub fn assert_closed(books: &Value) {
    let sum = |of: &Value| -> u64 { of.as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum() };
    assert_eq!(books["closed"], true, "{books:#}");
    for (name, listener) in books["listeners"].as_object().unwrap() {
        let parts = figure(listener, "/admitted") + figure(listener, "/duplicate") + sum(&listener["shed"]);
        assert_eq!(figure(listener, "/received"), parts, "listener {name} of {books:#}");
    }
    for (name, sink) in books["sinks"].as_object().unwrap() {
        let parts = ["/delivered", "/filtered", "/quarantined"].map(|part| figure(sink, part));
        let parts = parts.iter().sum::<u64>() + sum(&sink["dropped"]);
        assert_eq!(figure(sink, "/admitted"), parts, "sink {name} of {books:#}");
        if sink["state"] != "removed" {
            assert_eq!(sink["mark"], books["head"], "sink {name} of {books:#}");
        }
    }
}
