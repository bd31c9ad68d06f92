//! `weir demo`: the whole path on this machine. Two senders, as Heroku has them, send a generated load over a TCP drain
//! and an HTTPS-style drain; weir writes files; the checker compares what arrived with what was sent.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use weir_load::check;
use weir_load::corpus::Mix;
use weir_load::send::{self, Options, Progress, Summary, Target, Tries};

use super::{Signal, Weir, signals};
use crate::config::{ListenerKind, Pipeline, SinkKind, Text};
use crate::telemetry::log;

/// Without `--for` it runs until Ctrl-C, a week at most.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// Runs the demo; returns whether everything that was sent arrived as it should and the books closed.
pub fn run(rate: u64, length: Option<Duration>) -> io::Result<bool> {
    let out = folder()?;
    let pipeline = pipeline(&out);
    log::start(crate::config::Log { level: crate::config::LogLevel::Warn, ..pipeline.log });
    let signals = signals()?;
    let weir = Weir::start(pipeline)?;
    let ready = weir.ready();
    let mut say = io::stderr();
    writeln!(say, "{}", serde_json::to_string(&ready).expect("names and addresses are JSON"))?;
    writeln!(say, "writing events to {}", out.display())?;
    writeln!(say, "metrics: http://{}/metrics   books: http://{}/books", ready.observe, ready.admin)?;
    let stop = Arc::new(AtomicBool::new(false));
    let progress = Arc::new(Progress::default());
    let half = rate as f64 / 2.0;
    let mut senders = Vec::new();
    for (name, address) in &ready.listeners {
        let scheme = if name.ends_with("http") { "http" } else { "tcp" };
        let target = Target::parse(&format!("{scheme}://{address}")).map_err(io::Error::other)?;
        let options = Options {
            mix: Mix::RouterHeavy,
            connections: 4,
            rate: Some(half),
            for_time: length.unwrap_or(LONGEST),
            tries: Tries::Forever,
            ..Options::new(target)
        };
        senders.push(sender(options, stop.clone(), progress.clone())?);
    }
    watch(&senders, &signals, &stop, &progress)?;
    let summaries = senders.into_iter().map(finish).collect::<io::Result<Vec<_>>>()?;
    let (books, in_time) = weir.stop()?;
    let whole = verdict(&summaries, &out)?;
    writeln!(say, "{}", books.to_line())?;
    Ok(whole && in_time && books.closed)
}

/// A folder of its own, so that earlier runs stay as they are.
fn folder() -> io::Result<PathBuf> {
    let name = jiff::Zoned::now().strftime("demo-%Y%m%d-%H%M%S").to_string();
    let folder = PathBuf::from("weir-out").join(name);
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The compiled-in pipeline on free loopback ports, writing to `out`.
fn pipeline(out: &std::path::Path) -> Pipeline {
    let free = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let mut pipeline = Pipeline { observe: free, admin: free, ..Pipeline::default() };
    // What a site keeps is no part of a demo.
    pipeline.state.dir = Text::default();
    pipeline.listeners.retain(|listener| listener.kind != ListenerKind::Udp);
    for listener in &mut pipeline.listeners {
        listener.bind = free;
    }
    for sink in &mut pipeline.sinks {
        if let SinkKind::File(file) = &mut sink.kind {
            file.root = Text::plain(out.to_string_lossy());
        }
    }
    pipeline
}

type Sender = JoinHandle<Result<Summary, String>>;

fn sender(options: Options, stop: Arc<AtomicBool>, progress: Arc<Progress>) -> io::Result<Sender> {
    std::thread::Builder::new().name("load".into()).spawn(move || send::run(&options, &stop, &progress))
}

fn finish(sender: Sender) -> io::Result<Summary> {
    let summary = sender.join().map_err(|_| io::Error::other("the load generator panicked"))?;
    summary.map_err(io::Error::other)
}

/// Waits for the senders, or for Ctrl-C; shows progress on a terminal.
fn watch(
    senders: &[Sender],
    signals: &crossbeam_channel::Receiver<Signal>,
    stop: &AtomicBool,
    progress: &Progress,
) -> io::Result<()> {
    let started = Instant::now();
    let terminal = io::stderr().is_terminal();
    while senders.iter().any(|sender| !sender.is_finished()) {
        if signals.recv_timeout(Duration::from_millis(500)) == Ok(Signal::Stop) {
            stop.store(true, Ordering::Release);
        }
        if terminal {
            let events = progress.events.load(Ordering::Relaxed);
            write!(io::stderr(), "\r\x1b[K{:.0} s: {events} events sent", started.elapsed().as_secs_f64())?;
        }
    }
    if terminal {
        write!(io::stderr(), "\r\x1b[K")?;
    }
    Ok(())
}

/// Says what was sent and what arrived; returns whether they agree.
fn verdict(summaries: &[Summary], out: &std::path::Path) -> io::Result<bool> {
    let mut sent = Vec::new();
    for (index, summary) in summaries.iter().enumerate() {
        let path = out.join(format!("sent-{index}.json"));
        summary.record.write(&path).map_err(io::Error::other)?;
        sent.push(path);
    }
    let events: u64 = summaries.iter().map(|summary| summary.events).sum();
    let seconds = summaries.iter().map(|summary| summary.seconds).fold(0.0, f64::max);
    let options = check::Options {
        sent,
        got: vec![format!("{}/**/*.ndjson", out.display())],
        examples_max: 3,
        ..check::Options::default()
    };
    let report = check::run(&options).map_err(io::Error::other)?;
    let mut say = io::stderr();
    writeln!(say, "sent {events} events in {seconds:.1} s over TCP and HTTP; {} arrived", report.matched)?;
    if report.clean() {
        writeln!(say, "checked: every event once, in order, with the fields it must have")?;
    } else {
        write!(say, "{}", report.text())?;
    }
    writeln!(say, "the events are in {}", out.display())?;
    Ok(report.clean())
}
