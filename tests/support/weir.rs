//! The real binary in a directory of its own: started, asked for its books, stopped.
//!
//! Every address is loopback with a port that the kernel picks, and every wait has a deadline. Nothing here sends
//! events; that is the tests' own affair.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take; a machine that is busy with other work needs most of it.
pub const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

const HEAD: &str = "weir: pipeline/v1\nobserve: 127.0.0.1:0\nadmin: 127.0.0.1:0\n";

pub fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_weir")
}

/// Runs a command of weir to its end with `input` as its standard input.
pub fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(binary())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built with the tests");
    let (mut stdin, input) = (child.stdin.take().expect("piped"), input.to_vec());
    // A writer of its own: a command may answer before it has read all.
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("a child of ours");
    // Wrong usage ends before the input is read.
    let _ = writer.join().expect("the writer does not panic");
    output
}

/// The last line of a command's standard error, as JSON: the books.
pub fn last_line(stderr: &[u8]) -> Value {
    let text = String::from_utf8_lossy(stderr);
    let last = text.trim_end().rsplit(['\n', '\r']).next().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|error| panic!("no books at the end ({error}):\n{text}"))
}

/// A running `weir run`; killed when dropped.
pub struct Weir {
    child: Child,
    dir: TempDir,
    ready: Value,
}

/// How a `weir run` ended.
pub struct Ended {
    pub status: ExitStatus,
    /// The last line of its standard error.
    pub books: Value,
    pub stderr: String,
    /// Where its files lie, until dropped.
    pub dir: TempDir,
}

impl Weir {
    /// Starts weir and waits until it accepts. `pipeline` is listeners and sinks; `DIR` in it stands for its directory.
    pub fn start(pipeline: &str) -> Weir {
        Weir::start_in(TempDir::new().expect("a writable temporary directory"), pipeline)
    }

    /// The same in a directory that may hold something already: certificates, files of an earlier run.
    pub fn start_in(dir: TempDir, pipeline: &str) -> Weir {
        Weir::start_writing(dir, pipeline, Stdio::null())
    }

    /// Starts weir with a standard output that is full as soon as 64 KiB of it are not read.
    pub fn start_piped(pipeline: &str) -> (Weir, ChildStdout) {
        let dir = TempDir::new().expect("a writable temporary directory");
        let mut weir = Weir::start_writing(dir, pipeline, Stdio::piped());
        let out = weir.child.stdout.take().expect("a pipe was asked for");
        (weir, out)
    }

    fn start_writing(dir: TempDir, pipeline: &str, stdout: Stdio) -> Weir {
        let ready_file = dir.path().join("ready.json");
        // One of an earlier run would tell wrong addresses.
        let _ = std::fs::remove_file(&ready_file);
        write_pipeline(dir.path(), pipeline);
        let stderr = std::fs::File::create(dir.path().join("stderr")).expect("a writable directory");
        let child = Command::new(binary())
            .current_dir(dir.path())
            .args(["run", "pipeline.yaml", "--ready-file", "ready.json"])
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .expect("the binary was built with the tests");
        let mut weir = Weir { child, dir, ready: Value::Null };
        weir.ready = weir.wait_for("the ready file", |weir| {
            let text = std::fs::read(&ready_file).ok()?;
            assert!(!text.is_empty(), "the ready file appears whole");
            if let Some(status) = weir.child.try_wait().expect("a child of ours") {
                panic!("weir ended with {status}:\n{}", weir.stderr());
            }
            Some(serde_json::from_slice(&text).expect("the ready file is JSON"))
        });
        weir
    }

    /// Where its files lie.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the ready file says.
    pub fn ready(&self) -> &Value {
        &self.ready
    }

    /// Where a listener listens.
    pub fn address(&self, listener: &str) -> SocketAddr {
        let text = self.ready["listeners"][listener].as_str();
        let text = text.unwrap_or_else(|| panic!("no listener `{listener}` in {}", self.ready));
        text.parse().expect("an address with a port")
    }

    fn served(&self, which: &str) -> SocketAddr {
        self.ready[which].as_str().expect("an address").parse().expect("an address with a port")
    }

    pub fn admin(&self) -> SocketAddr {
        self.served("admin")
    }

    pub fn observe(&self) -> SocketAddr {
        self.served("observe")
    }

    /// `GET /books` as it stands.
    pub fn books(&self) -> Value {
        let (status, body) = get(self.admin(), "/books");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("books are JSON")
    }

    /// The page of `/metrics`.
    pub fn metrics(&self) -> String {
        get(self.observe(), "/metrics").1
    }

    /// What it wrote to standard error so far.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.path("stderr")).unwrap_or_default()
    }

    /// Waits until the books say what is wanted, and returns them.
    pub fn books_when(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.wait_for(what, |weir| Some(weir.books()).filter(&wanted))
    }

    /// Asks `look` until it has something; `what` is named when the deadline passes.
    pub fn wait_for<T>(&mut self, what: &str, mut look: impl FnMut(&mut Weir) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // First: a look at one that has ended would fail with less to say.
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                panic!("weir ended with {status} before {what} came:\n{}", self.stderr());
            }
            if let Some(found) = look(self) {
                return found;
            }
            assert!(Instant::now() < deadline, "waited in vain for {what}:\n{}", self.stderr());
            std::thread::sleep(POLL);
        }
    }

    /// Writes another pipeline in place of the one it runs.
    pub fn rewrite(&self, pipeline: &str) {
        write_pipeline(self.dir(), pipeline);
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("a child that has not been waited for");
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(self) -> Ended {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Bytes of memory in use now.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a live process");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a figure of memory");
        let kib = line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
        kib.expect("a number") * 1024
    }

    /// Waits until it has logged `text`.
    pub fn wait_for_log(&mut self, text: &str) {
        self.wait_for(&format!("`{text}` in its log"), |weir| weir.stderr().contains(text).then_some(()));
    }

    /// Waits until a figure of the books, by its path, is `expected`.
    pub fn wait_for_figure(&mut self, path: &str, expected: u64) -> Value {
        self.books_when(&format!("{path} = {expected}"), |books| figure(books, path) == expected)
    }

    /// Waits for its end, whatever brings it.
    pub fn wait(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                break status;
            }
            assert!(Instant::now() < deadline, "weir does not end:\n{}", self.stderr());
            std::thread::sleep(POLL);
        };
        let stderr = self.stderr();
        // One that is told to exit at once leaves no books.
        let last = stderr.trim_end().lines().last().unwrap_or_default();
        let books = serde_json::from_str(last).unwrap_or_default();
        let empty = TempDir::new().expect("a writable temporary directory");
        Ended { status, books, stderr, dir: std::mem::replace(&mut self.dir, empty) }
    }
}

impl Drop for Weir {
    fn drop(&mut self) {
        // One that has ended is only waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// The books, after an end in which all was delivered.
    #[track_caller]
    pub fn clean(&self) -> &Value {
        assert_eq!(self.status.code(), Some(0), "{}", self.stderr);
        assert_closed(&self.books);
        &self.books
    }
}

/// A figure of the books by its path; one that is not there is 0.
pub fn figure(books: &Value, path: &str) -> u64 {
    books.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

/// Asserts that the books say that they close, and that they do: the sums are made again here.
#[track_caller]
pub fn assert_closed(books: &Value) {
    let all =
        |of: &Value| -> u64 { of.as_object().into_iter().flatten().filter_map(|(_, n)| n.as_u64()).sum() };
    assert_eq!(books["closed"], true, "{books:#}");
    for (name, listener) in books["listeners"].as_object().expect("listeners") {
        let parts = figure(listener, "/admitted") + figure(listener, "/duplicate") + all(&listener["shed"]);
        assert_eq!(figure(listener, "/received"), parts, "listener {name} of {books:#}");
    }
    for (name, sink) in books["sinks"].as_object().expect("sinks") {
        let parts = ["/delivered", "/filtered", "/quarantined"].map(|part| figure(sink, part));
        let parts = parts.iter().sum::<u64>() + all(&sink["dropped"]);
        assert_eq!(figure(sink, "/admitted"), parts, "sink {name} of {books:#}");
        if sink["state"] != "removed" {
            assert_eq!(sink["mark"], books["head"], "sink {name} of {books:#}");
        }
    }
}

fn write_pipeline(dir: &Path, pipeline: &str) {
    let text = HEAD.to_string() + &pipeline.replace("DIR", &dir.display().to_string());
    // Renamed into place: a reload must not see half of it.
    let part = dir.join("pipeline.part");
    std::fs::write(&part, text).expect("a writable directory");
    std::fs::rename(&part, dir.join("pipeline.yaml")).expect("a writable directory");
}

/// Status and body of a GET.
pub fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let mut stream = TcpStream::connect(address).expect("a server that listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a positive duration");
    stream.write_all(request.as_bytes()).expect("a server that reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer in UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|text| text.parse().ok()).expect("a status");
    (status, body.to_string())
}

/// The lines of every finished or open file under `dir` that ends in `.ndjson`, in order of path, as JSON.
pub fn events(dir: &Path) -> Vec<Value> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten() {
            let path = entry.expect("a readable directory").path();
            match path.is_dir() {
                true => dirs.push(path),
                false => files.push(path),
            }
        }
    }
    files.sort();
    let mut events = Vec::new();
    for file in files {
        let text =
            std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{}: {error}: {line}", file.display()))
        };
        events.extend(text.lines().map(parse));
    }
    events
}
