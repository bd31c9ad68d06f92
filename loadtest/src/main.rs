//! The command line of weir-load. Exit codes: 0 all was well, 1 something failed or is amiss, 2 wrong usage.
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use weir_load::corpus::Mix;
use weir_load::discard::Discard;
use weir_load::record::{Connection, Record};
use weir_load::send::{self, Options, Progress, Target, Tries};
use weir_load::units::{self, grouped};
use weir_load::{check, generator};

/// Sends Heroku log traffic that is the same for the same seed, and checks what a receiver made of it.
#[derive(Parser)]
#[command(name = "weir-load", version, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
A round, with `weir run` listening on its default ports:
  weir-load send --to tcp://127.0.0.1:6514 --mix router-heavy --connections 50 --rate 100000 --for 60s --record run.json
  weir-load check --sent run.json --got weir-out

Exit codes: 0 all sent, nothing amiss; 1 not all sent, or something amiss; 2 wrong usage.";

#[derive(Subcommand)]
enum Command {
    /// Send a load the way Logplex does, and record how far each connection came
    Send(Box<Send>),
    /// Compare weir's output with what was sent
    Check(Check),
    /// Read and throw away: the floor that benchmarks compare with
    Discard(Floor),
    /// Print events as they must come out, one JSON object a line, without sending anything
    Expect(Expect),
}

#[derive(Clone, Copy, ValueEnum)]
enum MixName {
    /// 70 % application, 20 % router, 6 % metrics, 4 % platform
    Fair,
    /// 45 % router, 20 % metrics, 15 % text, 10 % JSON, 5 % dyno and api, 5 % failures
    RouterHeavy,
}

impl MixName {
    fn mix(self) -> Mix {
        match self {
            MixName::Fair => Mix::Fair,
            MixName::RouterHeavy => Mix::RouterHeavy,
        }
    }
}

#[derive(Args)]
#[command(after_help = "\
A syslog connection (tcp, tls, udp) is one drain; over http and https the drain changes from POST to POST.
Without --for and --events it sends for 10 s; with --events alone until they are sent, an hour at most.
Senders of one form that run at the same time into one output need different seeds, else their events are the same.
SIGINT and SIGTERM end it cleanly: frames in work are finished, the record is written.
The record is small (counts, no events): `check` makes the events again from the seed.")]
struct Send {
    /// tcp|tls|udp|http|https://HOST:PORT; http and https also take a path and query
    #[arg(long, value_name = "URL", value_parser = Target::parse)]
    to: Target,
    #[arg(long, value_enum, default_value = "fair")]
    mix: MixName,
    /// The same seed gives the same messages; only their times differ from run to run
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Events a second over all connections, or `max`
    #[arg(long, value_name = "N|max", default_value = "max", value_parser = rate)]
    rate: Rate,
    /// How long, such as 60s, 500ms, 2m
    #[arg(long = "for", value_name = "D", value_parser = units::duration)]
    for_time: Option<Duration>,
    /// Stop after so many events over all connections
    #[arg(long, value_name = "N")]
    events: Option<u64>,
    /// Where to write what `check` needs
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// tls, https: accept any certificate
    #[arg(long, conflicts_with = "ca")]
    insecure: bool,
    /// tls, https: PEM file of the authorities to trust
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// http, https: user of Basic authentication
    #[arg(long, value_name = "U", requires = "password_env")]
    user: Option<String>,
    /// http, https: environment variable that holds the password
    #[arg(long, value_name = "VAR", requires = "user")]
    password_env: Option<String>,
    /// tcp, tls: bytes a write; Logplex writes about 4 KB, benchmarks 262144
    #[arg(long, value_name = "N", default_value_t = 4096)]
    send_bytes: usize,
    /// http, https: bytes a POST at most
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    post_bytes: usize,
    /// http, https: how often a POST is tried, or `forever`
    #[arg(long, value_name = "N|forever", default_value = "3", value_parser = tries)]
    tries: Tries,
    /// http, https: how long an answer may take
    #[arg(long, value_name = "D", default_value = "5s", value_parser = units::duration)]
    timeout: Duration,
    /// tcp, tls: follow a cut connection by a new one, under a number of its own
    #[arg(long)]
    reconnect: bool,
}

/// Wraps the rate, since clap would take an Option for an optional argument.
#[derive(Clone, Copy)]
struct Rate(Option<f64>);

fn rate(text: &str) -> Result<Rate, String> {
    units::rate(text).map(Rate)
}

fn tries(text: &str) -> Result<Tries, String> {
    match text.parse() {
        _ if text == "forever" => Ok(Tries::Forever),
        Ok(times) if times > 0 => Ok(Tries::Times(times)),
        _ => Err(format!("`{text}` is no number of tries; write a number from 1, or `forever`")),
    }
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Allow {
    /// What is missing of a TCP or TLS connection that was cut, if it is its end
    SuffixLoss,
    /// What is missing over UDP
    Loss,
    /// Fields that the generator does not know, as packs may add
    ExtraFields,
}

#[derive(Args)]
#[command(after_help = "\
Compared are all keys but id, received, listener, peer (unknown to a sender) and computer, labels, categories (the
pipeline's own). Numbers are compared by value, those of JSON bodies by their digits.

lost         sent (over HTTP: acknowledged), and not there
duplicated   there twice
reordered    there after a later event of its connection, within one folder
invented     never sent, or its time or drain is wrong
wrong        there with a wrong key or field
unreadable   a line that is no JSON object

Files are read in the order of their first line's `received`, then by name. Only plain NDJSON is read.")]
struct Check {
    /// A record of `send`; may be given more than once
    #[arg(long, value_name = "FILE", required = true)]
    sent: Vec<PathBuf>,
    /// File, folder (all *.ndjson* below it) or pattern with *, ? and **; may be given more than once
    #[arg(long, value_name = "GLOB", required = true)]
    got: Vec<String>,
    /// Forgive something
    #[arg(long, value_enum, value_delimiter = ',')]
    allow: Vec<Allow>,
    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
    /// How many examples of each sort to show
    #[arg(long, value_name = "N", default_value_t = 5)]
    examples: usize,
}

#[derive(Args)]
struct Floor {
    /// Where to listen; with port 0 the kernel chooses
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: String,
    /// Answer POSTs
    #[arg(long)]
    http: bool,
    /// End after so long
    #[arg(long = "for", value_name = "D", value_parser = units::duration)]
    for_time: Option<Duration>,
    /// End when the last connection has ended
    #[arg(long)]
    once: bool,
}

#[derive(Args)]
struct Expect {
    #[arg(long, value_enum, default_value = "fair")]
    mix: MixName,
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 20)]
    events: u64,
    /// Print the octet-counted frames instead, as a syslog drain sends them
    #[arg(long)]
    frames: bool,
    /// Write a record, as if these had been sent: for checking what `weir replay` makes of the frames
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Send(args) => run_send(*args),
        Command::Check(args) => run_check(args),
        Command::Discard(args) => run_discard(&args),
        Command::Expect(args) => run_expect(&args),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err((code, message)) => {
            eprintln!("weir-load: {message}");
            ExitCode::from(code)
        }
    }
}

/// Whether all was well; an error carries its exit code.
type Outcome = Result<bool, (u8, String)>;

fn failed(message: impl ToString) -> (u8, String) {
    (1, message.to_string())
}

/// A flag that SIGINT and SIGTERM set; a second signal ends the process at once.
fn stop_flag() -> Result<Arc<AtomicBool>, (u8, String)> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop)).map_err(failed)?;
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(failed)?;
    }
    Ok(stop)
}

fn run_send(args: Send) -> Outcome {
    let default_time = Duration::from_secs(if args.events.is_some() { 3600 } else { 10 });
    let login = match (args.user, args.password_env) {
        (Some(user), Some(name)) => {
            let password = std::env::var(&name);
            Some((
                user,
                password.map_err(|_| (2, format!("environment variable `{name}` holds no password")))?,
            ))
        }
        _ => None,
    };
    let options = Options {
        mix: args.mix.mix(),
        seed: args.seed,
        connections: args.connections,
        rate: args.rate.0,
        for_time: args.for_time.unwrap_or(default_time),
        events_max: args.events,
        send_bytes: args.send_bytes,
        post_bytes: args.post_bytes,
        tries: args.tries,
        request_timeout: args.timeout,
        reconnect: args.reconnect,
        insecure: args.insecure,
        ca: args.ca,
        login,
        ..Options::new(args.to)
    };
    let summary = send::run(&options, &*stop_flag()?, &Progress::default()).map_err(|e| (2, e))?;
    if let Some(path) = &args.record {
        summary.record.write(path).map_err(failed)?;
    }
    print(&summary.text())?;
    Ok(summary.all_sent())
}

fn run_check(args: Check) -> Outcome {
    let options = check::Options {
        sent: args.sent,
        got: args.got,
        suffix_loss: args.allow.contains(&Allow::SuffixLoss),
        loss: args.allow.contains(&Allow::Loss),
        extra_fields: args.allow.contains(&Allow::ExtraFields),
        examples_max: args.examples,
    };
    let report = check::run(&options).map_err(failed)?;
    print(&if args.json { report.to_json() + "\n" } else { report.text() })?;
    Ok(report.clean())
}

fn run_discard(args: &Floor) -> Outcome {
    let cannot = |e| failed(format!("cannot listen on `{}`: {e}", args.listen));
    let discard = Discard::bind(&args.listen, args.http).map_err(cannot)?;
    print(&format!("listening on {}\n", discard.address().map_err(cannot)?))?;
    let summary = discard.run(&*stop_flag()?, args.for_time, args.once).map_err(failed)?;
    print(&format!(
        "discarded {} bytes of {} connections, {} requests, {:.2} s of CPU\n",
        grouped(summary.bytes),
        grouped(summary.connections),
        grouped(summary.requests),
        summary.cpu_us as f64 / 1e6
    ))?;
    Ok(true)
}

fn run_expect(args: &Expect) -> Outcome {
    // A fixed start, so that two runs print the same.
    let start_us = 1_795_341_084_000_000;
    let form = generator::Form::Syslog;
    let load = generator::Load::new(args.seed, args.mix.mix(), form, start_us, 1, Some(1000.0), 0);
    if let Some(path) = &args.record {
        let sent = args.events;
        let connections = vec![Connection { sent, offered: sent, ..Connection::default() }];
        let record = Record { load: load.clone(), transport: "tcp".to_string(), connections };
        record.write(path).map_err(failed)?;
    }
    let generator = generator::Generator::new(load);
    let mut stamp = weir_load::stamp::Stamp::default();
    let mut out = Vec::new();
    for sequence in 0..args.events {
        if args.frames {
            generator.frame(0, sequence, &mut stamp, &mut out);
        } else {
            out.extend_from_slice(generator.expect(0, sequence).to_json().as_bytes());
            out.push(b'\n');
        }
        if out.len() > 1 << 20 || sequence + 1 == args.events {
            write(&out)?;
            out.clear();
        }
    }
    Ok(true)
}

fn print(text: &str) -> Result<(), (u8, String)> {
    write(text.as_bytes())
}

/// Writes to standard output at once; a reader that has gone away is no failure of ours.
fn write(bytes: &[u8]) -> Result<(), (u8, String)> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(failed(format!("standard output: {e}"))),
        _ => Ok(()),
    }
}
