//! Wires the program: pipeline, flow, sinks, receivers, the two addresses; waits for signals; ends cleanly.

pub mod demo;
mod key;
mod packs;
mod quarantine;
mod reload;
mod reports;
mod sinks;
mod state;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use hyper::StatusCode;
use serde::Serialize;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use self::reports::{Clerk, Writing};
use self::sinks::Told;
use crate::catalog::Catalog;
use crate::compile;
use crate::config::Pipeline;
use crate::flow::{Flow, Settings};
use crate::ledger::record::Record;
use crate::limits;
use crate::notify::Notifiers;
use crate::receive::Receivers;
use crate::report::api::{self, ApiError};
use crate::telemetry::books::Books;
use crate::telemetry::serve::{Answer, Asks, Figures, Phase, Readiness, Servers};
use crate::telemetry::{dashlets, log, metrics};

/// A pipeline with where it came from.
pub struct Loaded {
    pub pipeline: Pipeline,
    /// `None` for the compiled-in one, which cannot be reloaded.
    pub path: Option<PathBuf>,
}

/// A running weir.
pub struct Weir {
    pipeline: Pipeline,
    /// The packs that run.
    catalog: Arc<Catalog>,
    flow: Arc<Flow>,
    keeper: state::Keeper,
    reports: Writing,
    receivers: Receivers,
    told: Arc<Mutex<Told>>,
    notifiers: Arc<Notifiers>,
    servers: Servers,
    readiness: Arc<Readiness>,
}

/// What the ready file says.
#[derive(Debug, Serialize)]
pub struct Ready {
    pub pid: u32,
    pub admin: SocketAddr,
    pub observe: SocketAddr,
    pub listeners: std::collections::BTreeMap<String, SocketAddr>,
}

/// Serves metrics and books of a flow.
struct Served {
    flow: Arc<Flow>,
    /// Folder of reports, if they are written.
    reports: Option<PathBuf>,
    lost_rows: Option<Arc<reports::Lost>>,
    told: Arc<Mutex<Told>>,
    notifiers: Arc<Notifiers>,
}

impl Figures for Served {
    fn metrics(&self) -> String {
        let mut families = self.told.lock().unwrap_or_else(PoisonError::into_inner).families();
        families.extend(self.notifiers.families());
        families.extend(self.lost_rows.as_ref().and_then(|lost| lost.family()));
        metrics::page(&self.flow, families)
    }

    fn books(&self) -> String {
        Books::of(&self.flow).to_line()
    }

    fn reports(&self, rest: &str, query: Option<&str>) -> Option<Answer> {
        let dir = self.reports.as_ref()?;
        Some(match api::answer(dir, rest, query) {
            Ok(json) => Answer::json(format!("{json}\n")),
            Err(ApiError::Unknown(why)) => Answer::text(StatusCode::NOT_FOUND, why + "\n"),
            Err(ApiError::Bad(why)) => Answer::text(StatusCode::BAD_REQUEST, why + "\n"),
            Err(ApiError::Failed(error)) => {
                Answer::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))
            }
        })
    }

    fn dashlets(&self, rest: &str, query: Option<&str>) -> Option<Answer> {
        self.flow.ledger(|ledger| dashlets::answer(ledger.tables(), rest, query))
    }
}

/// How long notifiers try to tell what is left.
const NOTIFIERS_STOP: Duration = Duration::from_secs(5);

/// What the main thread is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    Stop,
    Hangup,
}

impl Weir {
    /// Starts everything; the error says what could not be had. Requests about packs go to `asks`.
    pub fn start(pipeline: Pipeline, asks: Asks) -> io::Result<Weir> {
        if !pipeline.listeners.iter().any(|listener| listener.enabled) {
            return Err(io::Error::other("no listener is enabled, so nothing could arrive"));
        }
        let threads = compile::threads(&pipeline);
        let mut plan = compile::plan(&pipeline, instance().into());
        plan.key = key::of(pipeline.state.dir.as_path())?;
        let catalog = Catalog::load(&pipeline).map_err(|problems| io::Error::other(problems.to_string()))?;
        warn(&catalog);
        compile::know(&mut plan, &pipeline, &catalog.packs, None).map_err(io::Error::other)?;
        let plan = Arc::new(plan);
        let notifiers = Arc::new(Notifiers::start(&pipeline.notifiers, pipeline.state.dir.as_path())?);
        let tell = notifiers.clone();
        let (tell_reports, clerk) = Clerk::new(&pipeline);
        let settings = Settings {
            slots: pipeline.slots,
            parcel_bytes: pipeline.parcel_bytes,
            shards: threads,
            vectors: compile::vectors(&pipeline),
            batch_bytes: compile::batch_bytes(&pipeline),
            quarantine: quarantine::writer(&pipeline),
            tell: Box::new(move |records| {
                tell.tell(&records);
                records.iter().for_each(log_record);
            }),
            tell_reports,
            clock: true,
        };
        let flow = Flow::start(settings, plan.clone())?;
        let keeper = state::Keeper::new(&pipeline.state)?;
        let known = &plan.watch.reports.list;
        let resumed = keeper.restore(&flow, known);
        let reports = clerk.start(known.clone(), resumed.as_ref())?;
        let mut told = Told::default();
        let specs = pipeline.sinks.iter().map(|sink| told.open(sink, &plan)).collect::<io::Result<_>>()?;
        flow.change(plan.clone(), specs, &[])?;
        let intake = flow.intake();
        let (flow, told) = (Arc::new(flow), Arc::new(Mutex::new(told)));
        let readiness = Arc::new(Readiness::default());
        let figures = Arc::new(Served {
            reports: pipeline.reports.dir.clone(),
            lost_rows: reports.lost.clone(),
            flow: flow.clone(),
            told: told.clone(),
            notifiers: notifiers.clone(),
        });
        let servers = Servers::start(pipeline.observe, pipeline.admin, figures, readiness.clone(), asks)?;
        let listeners = compile::ids(&pipeline, &plan);
        let batch_bytes = compile::batch_bytes(&pipeline);
        let receivers = Receivers::start(&listeners, threads, &pipeline.trusted_proxies, intake, batch_bytes)
            .map_err(io::Error::other)?;
        readiness.set(Phase::Ready);
        let catalog = Arc::new(catalog);
        Ok(Weir { pipeline, catalog, flow, keeper, reports, receivers, told, notifiers, servers, readiness })
    }

    /// Addresses that are served and listened on.
    pub fn ready(&self) -> Ready {
        let plan = self.flow.plan();
        let name = |id| plan.listener(id).name.to_string();
        Ready {
            pid: std::process::id(),
            admin: self.servers.admin,
            observe: self.servers.observe,
            listeners: self
                .receivers
                .addresses()
                .into_iter()
                .map(|(id, address)| (name(id), address))
                .collect(),
        }
    }

    /// Ends: what has arrived is delivered within `shutdown_after`. Returns the books, and whether all was delivered.
    pub fn stop(mut self) -> io::Result<(Books, bool)> {
        let deadline = Instant::now() + self.pipeline.shutdown_after;
        self.readiness.set(Phase::Draining);
        self.receivers.drain();
        self.receivers.join();
        let in_time = self.flow.finish(deadline.saturating_duration_since(Instant::now()));
        let is_kept = self.keeper.stop(&self.flow, &self.reports);
        // What could not be told by then is kept for the next start.
        self.notifiers.stop(deadline.min(Instant::now() + NOTIFIERS_STOP));
        self.flow.end_reports(!is_kept);
        self.reports.stop();
        Ok((Books::of(&self.flow), in_time))
    }
}

/// `weir run`: returns whether it ended with everything delivered and closed books.
pub fn run(loaded: Loaded, ready_file: Option<&Path>) -> io::Result<bool> {
    log::start(loaded.pipeline.log);
    let signals = signals()?;
    let (asks, asked) = crossbeam_channel::bounded(packs::WAITING_MAX);
    let mut weir = Weir::start(loaded.pipeline, asks)?;
    let orders = packs::start(asked)?;
    announce(&weir, ready_file)?;
    let mut watch = reload::Watch::new(loaded.path, &weir.pipeline);
    // Requests that come often must not keep it from looking at files.
    let ticks = crossbeam_channel::tick(Duration::from_secs(1));
    // What a reload says is in the log; only whoever ordered it is told.
    loop {
        crossbeam_channel::select! {
            recv(signals) -> signal => match signal {
                Ok(Signal::Hangup) => {
                    weir.flow.reopen();
                    let _ = weir.reload(watch.read(&weir.pipeline));
                }
                Ok(Signal::Stop) | Err(_) => break,
            },
            recv(orders) -> order => match order {
                Ok(order) => weir.obey(order, &mut watch),
                Err(_) => break,
            },
            recv(ticks) -> _ => {
                weir.keeper.keep_now_and_then(&weir.flow, &weir.reports);
                if let Some(changed) = watch.changed(&weir.pipeline) {
                    let _ = weir.reload(changed);
                }
            }
        }
    }
    drop(orders);
    tracing::info!("draining");
    let (books, in_time) = weir.stop()?;
    writeln!(io::stderr(), "{}", books.to_line())?;
    Ok(in_time && books.closed)
}

/// Tells what is odd about the packs.
fn warn(catalog: &Catalog) {
    for warning in catalog.warnings().iter() {
        tracing::warn!(target: log::ANSWER, "{}", warning.to_string().trim_end());
    }
}

/// Writes what an alert says into the log.
fn log_record(record: &Record) {
    let (alert, state) = (&*record.about.alert, record.state.name());
    tracing::warn!(
        alert,
        state,
        id = &*record.id,
        severity = record.about.severity.name(),
        "{}",
        record.summary
    );
}

/// Tells where it listens and what memory it may take, and writes the ready file.
fn announce(weir: &Weir, ready_file: Option<&Path>) -> io::Result<()> {
    let ready = weir.ready();
    for line in memory(&weir.pipeline) {
        tracing::info!("{line}");
    }
    for (name, address) in &ready.listeners {
        tell_listener(name, *address);
    }
    tracing::info!(observe = %ready.observe, admin = %ready.admin, "ready");
    let Some(path) = ready_file else { return Ok(()) };
    let text = serde_json::to_string(&ready).expect("names and addresses are JSON");
    // Whoever waits for the file must not see half of it.
    let part = path.with_extension("part");
    std::fs::write(&part, text + "\n")?;
    std::fs::rename(&part, path)
}

fn tell_listener(name: &str, address: SocketAddr) {
    tracing::info!(listener = name, %address, "listening");
}

/// The bound on memory, term by term.
fn memory(pipeline: &Pipeline) -> Vec<String> {
    let mib = |bytes: usize| bytes.div_ceil(1 << 20);
    let connections: usize = pipeline.listeners.iter().map(|listener| listener.limits.connections).sum();
    let terms = [
        ("slots x batch", pipeline.slots * compile::batch_bytes(pipeline)),
        ("parcels", pipeline.parcel_bytes),
        ("connections", connections * limits::CONNECTION_BYTES),
        ("carries", limits::CARRY_BYTES),
        ("bodies", limits::BODIES_BYTES),
        ("frame ids", limits::DEDUPE_ENTRIES * 96),
    ];
    let sum: usize = terms.iter().map(|(_, bytes)| bytes).sum();
    let list: Vec<String> = terms.iter().map(|(name, bytes)| format!("{name} {} MiB", mib(*bytes))).collect();
    vec![format!("memory is bounded by {} MiB: {}; sinks' own queues besides", mib(sum), list.join(", "))]
}

/// The first part of ids: 12 hex digits, random each start.
fn instance() -> String {
    use std::hash::BuildHasher;
    let random = std::hash::RandomState::new().hash_one(std::process::id());
    format!("{:012x}", random >> 16)
}

/// Signals as the main thread hears them; a second one to stop exits at once.
fn signals() -> io::Result<Receiver<Signal>> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let (tell, heard) = crossbeam_channel::unbounded();
    crate::flow::spawn("signals".into(), move || {
        let mut stopping = false;
        for signal in signals.forever() {
            if signal != SIGHUP && std::mem::replace(&mut stopping, true) {
                std::process::exit(1);
            }
            let told = if signal == SIGHUP { Signal::Hangup } else { Signal::Stop };
            if tell.send(told).is_err() {
                return;
            }
        }
    })?;
    Ok(heard)
}
