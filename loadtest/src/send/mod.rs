//! Sends a load the way Logplex does: over TCP, TLS or UDP as a syslog drain, over HTTP as an HTTPS drain.
//!
//! One blocking thread a connection: senders must not share a fate, and a busy receiver must be felt by each alone.
//! Invariants: a connection's events leave in sequence; what is recorded as sent was wholly handed to the kernel (or
//! answered, over HTTP); every wait has an end, so a stop takes seconds at most.
//!
//! Deliberately absent: any reading of what the receiver made of it; that is the checker's part.

mod http;
mod link;
mod pace;
mod syslog;
mod udp;

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::corpus::Mix;
use crate::generator::{Form, Generator, Load};
use crate::record::{Connection, Record};
use crate::units::{cpu_us, grouped};

/// A thread only copies bytes; a small stack lets a thousand connections fit.
const STACK_BYTES: usize = 256 * 1024;

/// How a load travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    Tls,
    Udp,
    Http,
    Https,
}

impl Transport {
    const ALL: [Transport; 5] =
        [Transport::Tcp, Transport::Tls, Transport::Udp, Transport::Http, Transport::Https];

    /// The name, which is also the scheme.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Udp => "udp",
            Transport::Http => "http",
            Transport::Https => "https",
        }
    }

    /// The header that this transport has.
    pub fn form(self) -> Form {
        match self {
            Transport::Tcp | Transport::Tls | Transport::Udp => Form::Syslog,
            Transport::Http | Transport::Https => Form::Https,
        }
    }

    fn encrypted(self) -> bool {
        matches!(self, Transport::Tls | Transport::Https)
    }
}

/// Where to send: `tcp://127.0.0.1:6514`, `http://127.0.0.1:8080/logs?app=shop`.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    pub transport: Transport,
    /// Host name or address, for the certificate and the `Host` header.
    pub host: String,
    pub address: SocketAddr,
    /// HTTP: path and query; `/` if none is given.
    pub path: String,
}

impl Target {
    /// Reads a target and resolves its host.
    pub fn parse(text: &str) -> Result<Target, String> {
        let hint = "write tcp|tls|udp|http|https://HOST:PORT";
        let (scheme, rest) =
            text.split_once("://").ok_or_else(|| format!("`{text}` has no scheme; {hint}"))?;
        let transport = Transport::ALL.into_iter().find(|t| t.name() == scheme);
        let transport = transport.ok_or_else(|| format!("unknown scheme `{scheme}`; {hint}"))?;
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        if path != "/" && transport.form() == Form::Syslog {
            return Err(format!("`{text}` has a path, which only http and https know"));
        }
        let host = authority.rsplit_once(':').map(|(host, _)| host.trim_matches(['[', ']']).to_string());
        let host = host.ok_or_else(|| format!("`{text}` has no port; {hint}"))?;
        let mut found =
            authority.to_socket_addrs().map_err(|e| format!("cannot resolve `{authority}`: {e}"))?;
        let address = found.next().ok_or_else(|| format!("`{authority}` has no address"))?;
        Ok(Target { transport, host, address, path: path.to_string() })
    }
}

/// How often a POST is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tries {
    /// So often, as Logplex does (3), then it is given up.
    Times(u32),
    /// Until it is acknowledged or the run is stopped.
    Forever,
}

/// A run. [`Options::new`] has the defaults of the command line.
#[derive(Clone, Debug)]
pub struct Options {
    pub target: Target,
    pub mix: Mix,
    pub seed: u64,
    pub connections: u32,
    /// Events a second over all connections; None: as fast as it goes.
    pub rate: Option<f64>,
    pub for_time: Duration,
    /// Stop after so many events over all connections; over HTTP it may end a block early.
    pub events_max: Option<u64>,
    /// TCP and TLS: bytes a write; Logplex writes about 4 KB.
    pub send_bytes: usize,
    /// HTTP: bytes a POST at most; Logplex's limit is 102,400.
    pub post_bytes: usize,
    pub tries: Tries,
    /// HTTP: how long an answer may take.
    pub request_timeout: Duration,
    /// TCP and TLS: whether a cut connection is followed by a new one, under a new number.
    pub reconnect: bool,
    /// TLS: accept any certificate.
    pub insecure: bool,
    /// TLS: PEM file of the authorities to trust.
    pub ca: Option<PathBuf>,
    /// HTTP: user and password of Basic authentication.
    pub login: Option<(String, String)>,
}

impl Options {
    /// Ten seconds of one fair connection, everything else as Logplex does it.
    pub fn new(target: Target) -> Options {
        Options {
            target,
            mix: Mix::Fair,
            seed: 1,
            connections: 1,
            rate: None,
            for_time: Duration::from_secs(10),
            events_max: None,
            send_bytes: 4096,
            post_bytes: 100_000,
            tries: Tries::Times(3),
            request_timeout: Duration::from_secs(5),
            reconnect: false,
            insecure: false,
            ca: None,
            login: None,
        }
    }
}

/// Running totals, readable while a run goes on.
#[derive(Debug, Default)]
pub struct Progress {
    pub events: AtomicU64,
    pub bytes: AtomicU64,
    pub posts_acknowledged: AtomicU64,
    pub posts_given_up: AtomicU64,
    pub retries: AtomicU64,
}

/// What a run did.
#[derive(Clone, Debug)]
pub struct Summary {
    pub record: Record,
    pub events: u64,
    pub bytes: u64,
    pub seconds: f64,
    /// CPU time of the whole process over the run.
    pub cpu_us: u64,
    pub posts_acknowledged: u64,
    pub posts_given_up: u64,
    pub retries: u64,
    /// What went wrong, one line each; empty if all was sent.
    pub troubles: Vec<String>,
}

impl Summary {
    /// Whether everything was sent and, over HTTP, acknowledged.
    pub fn all_sent(&self) -> bool {
        self.troubles.is_empty()
    }

    /// The summary for a person, several lines.
    pub fn text(&self) -> String {
        let rate = self.events as f64 / self.seconds.max(1e-9);
        let cpu = self.cpu_us as f64 / (self.events.max(1)) as f64;
        let mut out = format!(
            "sent {} events, {} bytes over {} connections ({}) in {:.2} s: {} events/s, sender {cpu:.2} µs of CPU an event\n",
            grouped(self.events),
            grouped(self.bytes),
            self.record.connections.len(),
            self.record.transport,
            self.seconds,
            grouped(rate as u64),
        );
        if self.record.load.form == Form::Https {
            out.push_str(&format!(
                "posts: {} acknowledged, {} given up, {} retries\n",
                grouped(self.posts_acknowledged),
                grouped(self.posts_given_up),
                grouped(self.retries)
            ));
        }
        for trouble in self.troubles.iter().take(10) {
            out.push_str(&format!("trouble: {trouble}\n"));
        }
        if self.troubles.len() > 10 {
            out.push_str(&format!("and {} more\n", self.troubles.len() - 10));
        }
        out
    }
}

/// What the threads of a run share.
struct Run<'a> {
    options: &'a Options,
    generator: Generator,
    tls: Option<Arc<rustls::ClientConfig>>,
    stop: &'a AtomicBool,
    progress: &'a Progress,
    /// The next unused connection number.
    next: AtomicU32,
    start: pace::StartLine,
    /// Set if a thread could not be started: the others end at once.
    aborted: AtomicBool,
}

/// What one thread came to: the connections it used, and what went wrong.
#[derive(Default)]
struct Fate {
    connections: Vec<Connection>,
    troubles: Vec<String>,
}

/// Sends until the time is over, the events are sent, or `stop` is set. `progress` may be watched meanwhile.
///
/// An error means that nothing was sent: a bad option, or no thread. Trouble on the way is in the summary.
pub fn run(options: &Options, stop: &AtomicBool, progress: &Progress) -> Result<Summary, String> {
    let target = &options.target;
    if options.connections == 0 {
        return Err("`connections` is 0; at least one is needed".to_string());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| "the clock stands before 1970")?;
    let load = Load::new(
        options.seed,
        options.mix,
        target.transport.form(),
        now.as_micros() as i64,
        options.connections,
        options.rate,
        options.post_bytes,
    );
    let run = Run {
        options,
        generator: Generator::new(load),
        tls: target.transport.encrypted().then(|| link::tls_config(options)).transpose()?,
        stop,
        progress,
        next: AtomicU32::new(options.connections),
        start: pace::StartLine::default(),
        aborted: AtomicBool::new(false),
    };
    let cpu_before = cpu_us();
    let began = Instant::now();
    let fates = run_threads(&run)?;
    let mut connections = Vec::new();
    let mut troubles = Vec::new();
    for fate in fates {
        connections.extend(fate.connections);
        troubles.extend(fate.troubles);
    }
    connections.sort_by_key(|c| c.number);
    let load = run.generator.load().clone();
    let record = Record { load, transport: target.transport.name().to_string(), connections };
    Ok(Summary {
        events: record.events(),
        record,
        bytes: progress.bytes.load(Ordering::Relaxed),
        seconds: began.elapsed().as_secs_f64(),
        cpu_us: cpu_us() - cpu_before,
        posts_acknowledged: progress.posts_acknowledged.load(Ordering::Relaxed),
        posts_given_up: progress.posts_given_up.load(Ordering::Relaxed),
        retries: progress.retries.load(Ordering::Relaxed),
        troubles,
    })
}

fn run_threads(run: &Run) -> Result<Vec<Fate>, String> {
    thread::scope(|scope| {
        let mut threads = Vec::new();
        let mut failure = None;
        for number in 0..run.options.connections {
            let builder = thread::Builder::new().name(format!("send-{number}")).stack_size(STACK_BYTES);
            let body = move || match run.options.target.transport {
                Transport::Tcp | Transport::Tls => syslog::send(run, number),
                Transport::Udp => udp::send(run, number),
                Transport::Http | Transport::Https => http::send(run, number),
            };
            match builder.spawn_scoped(scope, body) {
                Ok(thread) => threads.push(thread),
                Err(e) => {
                    run.aborted.store(true, Ordering::Relaxed);
                    failure = Some(format!("cannot start the thread of connection {number}: {e}"));
                    break;
                }
            }
        }
        run.start.open(threads.len() as u32);
        let join = |thread: thread::ScopedJoinHandle<'_, Fate>| {
            thread.join().map_err(|_| "a sender panicked".to_string())
        };
        let fates = threads.into_iter().map(join).collect();
        failure.map_or(fates, Err)
    })
}

impl Run<'_> {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.aborted.load(Ordering::Relaxed)
    }

    /// How many events the thread of this connection sends at most.
    fn share(&self, number: u32) -> u64 {
        let connections = u64::from(self.options.connections);
        match self.options.events_max {
            Some(events) => events / connections + u64::from(u64::from(number) < events % connections),
            None => u64::MAX,
        }
    }
}

/// Whether an I/O error only says that the time set on the socket has passed.
fn timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read() {
        let target = Target::parse("http://127.0.0.1:8080/logs?app=a").unwrap();
        assert_eq!((target.transport, target.path.as_str()), (Transport::Http, "/logs?app=a"));
        let target = Target::parse("tls://[::1]:6514").unwrap();
        assert_eq!((target.host.as_str(), target.path.as_str()), ("::1", "/"));
        for (text, why) in [
            ("127.0.0.1:1", "no scheme"),
            ("ftp://127.0.0.1:1", "unknown scheme `ftp`"),
            ("tcp://127.0.0.1", "no port"),
            ("tcp://127.0.0.1:1/x", "has a path"),
        ] {
            assert!(Target::parse(text).unwrap_err().contains(why), "{text}");
        }
    }
}
