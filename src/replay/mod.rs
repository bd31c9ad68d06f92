//! `weir replay`: the same shards over files or standard input, events in input order.
//!
//! Nothing here reads the clock of the machine unless told to, so two runs over the same input give the same bytes.

mod clock;
mod feeder;
pub mod input;
mod output;

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use self::feeder::{Feeder, LISTENER};
use self::input::{Input, InputFraming};
use crate::batch::{Batch, Form};
use crate::compile;
use crate::config::Pipeline;
use crate::deliver::{blackhole, stdout};
use crate::feed::WhenFull;
use crate::flow::{Flow, Settings, SinkSpec, Tell, TellReports};
use crate::pack::{self, Pack};
use crate::plan::{Format, Output, Plan, Received};
use crate::report::Desk;
use crate::telemetry::books::Books;

/// What `received` says on the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceivedAt {
    /// The event's own time, or the record's `received`.
    Own,
    Now,
    /// Microseconds since 1970.
    At(i64),
}

/// What to replay and how.
#[derive(Debug)]
pub struct Options {
    /// Files; `-` is standard input.
    pub inputs: Vec<PathBuf>,
    pub pipeline: Pipeline,
    pub framing: InputFraming,
    /// `None` counts only.
    pub format: Option<Format>,
    /// Standard output if absent.
    pub out: Option<PathBuf>,
    pub received: ReceivedAt,
    pub drain: Option<String>,
    pub computer: Option<String>,
    /// Instead of the pipeline's.
    pub packs: Option<Vec<Pack>>,
    /// Where records of alerts go; `-` is standard output.
    pub alerts: Option<PathBuf>,
    /// Folder that reports are written into.
    pub reports: Option<PathBuf>,
    /// Of them the windows that begin in this span, microseconds since 1970.
    pub windows: std::ops::Range<i64>,
    /// Whether all alerts are on.
    pub all_on: bool,
}

/// Progress on a terminal, twice a second.
pub struct Progress {
    pub events: u64,
    total: Option<u64>,
    before: u64,
    shown: Option<Instant>,
    started: Instant,
}

impl Progress {
    fn new(total: Option<u64>) -> Progress {
        let shown = io::stderr().is_terminal().then(Instant::now);
        Progress { events: 0, total, before: 0, shown, started: Instant::now() }
    }

    fn show(&mut self, bytes: u64) {
        let Some(shown) = self.shown else { return };
        if shown.elapsed() < Duration::from_millis(500) {
            return;
        }
        self.shown = Some(Instant::now());
        let done = self.before + bytes;
        let mib = done as f64 / f64::from(1 << 20);
        let share = match self.total {
            Some(total) if total > 0 => format!(" {:3.0} %", 100.0 * done as f64 / total as f64),
            _ => String::new(),
        };
        eprint!("\r\x1b[K{}{share} {mib:.0} MiB, {} events", bar(done, self.total), self.events);
    }

    fn clear(&self) {
        if self.shown.is_some() {
            eprint!("\r\x1b[K");
        }
    }
}

fn bar(done: u64, total: Option<u64>) -> String {
    let Some(total) = total.filter(|total| *total > 0) else { return String::new() };
    let filled = (20 * done.min(total) / total) as usize;
    format!("[{}{}]", "#".repeat(filled), ".".repeat(20 - filled))
}

/// Replays; prints a summary to standard error. The books are the caller's to print, as the last line.
pub fn run(options: Options) -> io::Result<Books> {
    let inputs = match options.inputs.is_empty() {
        true => vec![PathBuf::from("-")],
        false => options.inputs.clone(),
    };
    // Every file is looked at before the first is read: a typing error shows at once.
    let mut opened = Vec::new();
    for path in &inputs {
        opened.push((path, Input::open(path)?));
    }
    let frame_bytes = options.pipeline.listeners.iter().map(|listener| listener.limits.frame_bytes).max();
    let frame_bytes = frame_bytes.unwrap_or(input::FRAME_BYTES);
    let plan = plan(&options)?;
    let zone = plan.listener(LISTENER).time_zone.clone();
    let vectors = compile::vectors(&options.pipeline);
    let desk = match &options.reports {
        Some(dir) => Some(Arc::new(Mutex::new(Desk::replay(dir, options.pipeline.reports.spool_bytes)?))),
        None => None,
    };
    let flow = start(&options, plan, frame_bytes, desk.clone())?;
    let total = opened.iter().map(|(_, input)| input.size).sum();
    let mut feeder = Feeder::new(flow.intake(), options.received, zone, vectors, Progress::new(total))?;
    let form = match options.framing {
        InputFraming::Auto | InputFraming::Newline => Form::SyslogOrTail,
        InputFraming::Octet | InputFraming::LogplexBody | InputFraming::Records => Form::Syslog,
    };
    let books = flow.intake().books(LISTENER);
    for (path, mut input) in opened {
        feeder.begin(form, options.framing == InputFraming::LogplexBody, input.modified_us);
        let read = input::read(path, &mut input, options.framing, frame_bytes, &mut feeder)?;
        books.bytes.add(read.bytes);
        books.garbage_bytes.add(read.garbage_bytes);
        feeder.progress.before += read.bytes;
    }
    feeder.end();
    flow.finish(Duration::from_secs(u64::MAX >> 24));
    flow.end_windows();
    desk_end(&desk)?;
    feeder.progress.clear();
    summarize(&feeder.progress)?;
    Ok(Books::of(&flow))
}

fn summarize(progress: &Progress) -> io::Result<()> {
    let seconds = progress.started.elapsed().as_secs_f64();
    let mib = progress.before as f64 / f64::from(1 << 20);
    let events = progress.events;
    writeln!(io::stderr(), "replayed {events} events, {mib:.1} MiB in {seconds:.2} s")
}

/// The pipeline's plan with `replay` as its only listener.
fn plan(options: &Options) -> io::Result<Plan> {
    let mut plan = compile::plan(&options.pipeline, "replay".into());
    let mut packs = match &options.packs {
        Some(packs) => packs.clone(),
        None => pack::load_all(&options.pipeline.packs, &[])
            .map_err(|problems| io::Error::other(problems.to_string()))?,
    };
    // Nobody could look at them.
    for pack in &mut packs {
        pack.dashlets.clear();
        pack.metrics.clear();
    }
    for alert in packs.iter_mut().flat_map(|pack| &mut pack.alerts) {
        match (options.all_on, &options.alerts) {
            (true, _) => alert.mode = "on".into(),
            (false, Some(_)) => {}
            // Nobody would see what they say.
            (false, None) => alert.mode = "off".into(),
        }
    }
    if options.reports.is_none() {
        packs.iter_mut().for_each(|pack| pack.reports.clear());
    }
    // Its sinks are not opened, and what they leave out may name packs that are not here.
    let pipeline = Pipeline { sinks: Vec::new(), ..options.pipeline.clone() };
    compile::know_packs(&mut plan, &pipeline, &packs, None).map_err(io::Error::other)?;
    plan.listeners = vec![compile::replay_listener(&options.pipeline, &packs).into()];
    plan.received = match options.received {
        // A record says itself when it was received.
        ReceivedAt::Own if options.framing != InputFraming::Records => Received::Event,
        ReceivedAt::Own | ReceivedAt::Now | ReceivedAt::At(_) => Received::Arrival,
    };
    plan.default_drain = options.drain.as_deref().map(Into::into);
    plan.default_computer = options.computer.as_deref().map(Into::into);
    plan.outputs = compile::outputs([Output::new(options.format, false)], &[]);
    Ok(plan)
}

/// Writes what alerts say, one object a line; ends the process if it cannot.
fn alerts(options: &Options) -> io::Result<Tell> {
    let Some(path) = &options.alerts else { return Ok(Box::new(|_| {})) };
    let mut out: Box<dyn Write + Send> = match path.as_os_str() == "-" {
        true => Box::new(io::stdout()),
        false => Box::new(create(path)?),
    };
    Ok(Box::new(move |records| {
        let mut lines = Vec::new();
        for record in &records {
            record.write(&mut lines);
            lines.push(b'\n');
        }
        output::exit_on(out.write_all(&lines).and_then(|()| out.flush()));
    }))
}

fn create(path: &Path) -> io::Result<File> {
    File::create(path).map_err(|error| io::Error::new(error.kind(), format!("`{}`: {error}", path.display())))
}

type SharedDesk = Option<Arc<Mutex<Desk>>>;

/// Writes what reports say; ends the process if it cannot.
fn reports(desk: SharedDesk, windows: std::ops::Range<i64>) -> TellReports {
    match desk {
        None => Box::new(|_| {}),
        Some(desk) => Box::new(move |mut told| {
            told.retain(|told| windows.contains(&told.from_us));
            let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
            output::exit_on(desk.take(told, 0));
        }),
    }
}

fn desk_end(desk: &SharedDesk) -> io::Result<()> {
    match desk {
        None => Ok(()),
        Some(desk) => desk.lock().unwrap_or_else(PoisonError::into_inner).end(),
    }
}

fn start(options: &Options, plan: Plan, frame_bytes: usize, desk: SharedDesk) -> io::Result<Flow> {
    let pipeline = &options.pipeline;
    let settings = Settings {
        slots: pipeline.slots,
        parcel_bytes: pipeline.parcel_bytes,
        shards: compile::threads(pipeline),
        vectors: compile::vectors(pipeline),
        batch_bytes: Batch::capacity_for(frame_bytes),
        quarantine: Box::new(|_| {}),
        tell: alerts(options)?,
        tell_reports: reports(desk, options.windows.clone()),
        clock: false,
    };
    let flow = Flow::start(settings, Arc::new(plan))?;
    let sink = match &options.out {
        _ if options.format.is_none() => blackhole::plain(),
        None => output::or_exit(stdout::to_standard_output()?),
        Some(path) => output::or_exit(stdout::to(create(path)?)),
    };
    let spec = SinkSpec {
        name: "out".into(),
        when_full: WhenFull::Block,
        output: compile::place_of(options.format),
        sink,
        open: Box::new(|| Err(io::Error::other("a block sink is opened once"))),
        dead_letters: Box::new(|_| {}),
    };
    flow.change(flow.plan(), vec![spec], &[])?;
    Ok(flow)
}
