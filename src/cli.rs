//! The command line: every command and flag, declared.
//!
//! Wrong usage ends in clap with exit code 2 before anything runs. Deliberately absent: running anything; `main` takes
//! the values and calls who does the work.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use jiff::Timestamp;
use jiff::tz::TimeZone;

pub use exchange::{Export, ExportOf, Import, ImportOf};

use crate::config;

mod exchange;

/// Receives log drains at line rate, understands every message, keeps the books of what came and what was lost, and
/// hands normalized events on.
#[derive(Debug, Parser)]
#[command(name = "weir", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Examples:
  weir demo --for 10s                    see it work, nothing else needed
  weir run                               the built-in pipeline: tcp :6514, udp :5514, http :8080, files in ./weir-out
  heroku logs -n 1500 | weir replay -    what weir makes of your own log
  weir config > weir.yaml                a pipeline to start from
  weir check weir.yaml && weir run weir.yaml

Exit codes: 0 done, 1 failed, 2 wrong usage. Bad input alone is no failure.")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Run(Run),
    Demo(Demo),
    Replay(Replay),
    Report(Report),
    Check(Check),
    Test(Test),
    Explain(Explain),
    Coverage(Coverage),
    Export(Export),
    Pack(Packs),
    Import(Import),
    Notify(Notify),
    /// Print the built-in pipeline, commented: a file to start from
    #[command(after_help = "Example:
  weir config > weir.yaml")]
    Config,
    Schema(Schema),
    DrainSetup(DrainSetup),
    Completions(Completions),
    /// Print the manual page
    #[command(after_help = "Example:
  weir man | man -l -")]
    Man,
}

/// Receive, process and deliver until Ctrl-C or SIGTERM
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  weir run
  weir run weir.yaml
  weir run weir.yaml --ready-file /run/weir/ready.json

Ctrl-C or SIGTERM: take no more, finish what came, print the books, exit. A second signal exits at once.
SIGHUP, or a changed pipeline file, reloads; a broken new file is refused and the old one goes on.")]
pub struct Run {
    /// Pipeline file; without one the built-in pipeline (`weir config`) runs
    pub pipeline: Option<PathBuf>,
    /// Write process id and the addresses that were bound to this file once everything accepts
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}

/// Run the whole path on this machine with a generated load, and say what came of it
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  weir demo --for 10s
  weir demo --rate 50000 --for 1m")]
pub struct Demo {
    /// Events a second
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub rate: u64,
    /// How long; without it until Ctrl-C
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub length: Option<Duration>,
}

/// Process files or standard input: events in input order to standard output, the books to standard error
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  heroku logs -n 1500 | weir replay -
  weir replay drain.log --out events.ndjson
  weir replay body.bin --framing logplex-body --drain d.5a8fd083-0972-4e18-b912-94dc2d099dac
  weir replay sample.txt --framing newline --format eventtracker --zone +05:30
  weir replay drain.log --format none --alerts - --mode on
  weir replay *.log --format none --strict      count only; exit 1 if anything is odd")]
pub struct Replay {
    /// Files to read, one after the other; `-` is standard input, as is no file at all
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Pipeline file for drains, trusted proxies and zone; its listeners and sinks are not opened
    #[arg(long, value_name = "FILE")]
    pub pipeline: Option<PathBuf>,
    /// How messages are told apart
    #[arg(long, value_enum, default_value_t = ReplayFraming::Auto)]
    pub framing: ReplayFraming,
    /// What is written
    #[arg(long, value_enum, default_value_t = ReplayFormat::Ndjson)]
    pub format: ReplayFormat,
    /// Write events to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// What `received` says: event (the event's own time, so that two runs are equal), now, or an RFC 3339 time
    #[arg(long, value_name = "event|now|TIME", default_value = "event", value_parser = received)]
    pub received: Received,
    /// Zone of the times in the eventtracker view: an offset or an IANA name [default: the pipeline's, else +00:00]
    #[arg(long, value_name = "ZONE", value_parser = zone, allow_hyphen_values = true)]
    pub zone: Option<TimeZone>,
    /// Drain of events that name none
    #[arg(long, value_name = "TOKEN")]
    pub drain: Option<String>,
    /// Computer of events that have none
    #[arg(long, value_name = "NAME")]
    pub computer: Option<String>,
    /// Packs instead of the pipeline's, in order: paths, or ids of those that are compiled in
    #[arg(long = "pack", value_name = "PACK")]
    pub packs: Vec<String>,
    /// Give a param of the packs another value
    #[arg(long = "set", value_name = "PARAM=VALUE", value_parser = assignment, requires = "packs")]
    pub set: Vec<(String, String)>,
    /// Write what alerts say to this file, one JSON object a line: notices, sealed and resolved episodes, in their order
    #[arg(long, value_name = "FILE")]
    pub alerts: Option<PathBuf>,
    /// Which alerts are evaluated: those that are on or in shadow, or all as if they were on
    #[arg(long, value_enum, default_value_t = AlertMode::AsIs)]
    pub mode: AlertMode,
    /// Write the reports of all packs into this folder: `DIR/NAME/WINDOW-START.csv`, `.ndjson` and `.html`
    #[arg(long, value_name = "DIR")]
    pub reports: Option<PathBuf>,
    /// Exit 1 if there was garbage, an unparsed or a quarantined frame
    #[arg(long)]
    pub strict: bool,
}

/// Reports: list what is published, or make one over archived files
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  weir report list --dir weir-reports
  weir report run router_logs --dir november drain-*.log")]
pub struct Report {
    #[command(subcommand)]
    pub what: ReportWhat,
}

#[derive(Subcommand, Debug)]
pub enum ReportWhat {
    /// List the windows that are published in a folder
    List {
        /// The folder of the reports
        #[arg(long, value_name = "DIR", default_value = "weir-reports")]
        dir: PathBuf,
    },
    /// Make one report over files as `weir replay` reads them
    #[command(after_help = "Example:
  weir report run router_logs --from 2026-11-01T00:00:00Z --to 2026-12-01T00:00:00Z --dir november drain-*.log")]
    Run(ReportRun),
}

#[derive(Args, Debug)]
pub struct ReportRun {
    /// The report: its full id, or its own where one pack has it
    pub id: String,
    /// Windows that begin at this time or later
    #[arg(long, value_name = "TIME")]
    pub from: Option<jiff::Timestamp>,
    /// Windows that begin before this time
    #[arg(long, value_name = "TIME")]
    pub to: Option<jiff::Timestamp>,
    /// Folder to write it into
    #[arg(long, value_name = "DIR", default_value = "weir-reports")]
    pub dir: PathBuf,
    /// Files to read, one after the other; `-` is standard input, as is no file at all
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Pipeline file for drains, trusted proxies, packs and zone
    #[arg(long, value_name = "FILE")]
    pub pipeline: Option<PathBuf>,
    /// Packs instead of the pipeline's, in order: paths, or ids of those that are compiled in
    #[arg(long = "pack", value_name = "PACK")]
    pub packs: Vec<String>,
    /// How messages are told apart
    #[arg(long, value_enum, default_value_t = ReplayFraming::Auto)]
    pub framing: ReplayFraming,
    /// Zone of reports that have none
    #[arg(long, value_name = "ZONE", value_parser = zone, allow_hyphen_values = true)]
    pub zone: Option<TimeZone>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AlertMode {
    /// As the packs and the overlay have them
    AsIs,
    /// All of them are on
    On,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReplayFraming {
    /// Decide once a file, by its first bytes
    Auto,
    /// Octet counts (RFC 6587)
    Octet,
    /// Lines
    Newline,
    /// One saved POST body of a Heroku HTTPS drain
    LogplexBody,
    /// NDJSON with `received`, `peer` and `raw` or `raw_base64`
    Records,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReplayFormat {
    /// weir's event, one JSON object a line
    Ndjson,
    /// The vendor guide's view
    Eventtracker,
    /// Nothing: count only
    None,
}

/// What `received` says in the output of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    Event,
    Now,
    At(Timestamp),
}

/// See whether notifiers get through
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  weir notify test --pipeline weir.yaml
  weir notify test oncall --pipeline weir.yaml")]
pub struct Notify {
    #[command(subcommand)]
    pub what: NotifyWhat,
}

#[derive(Debug, Subcommand)]
pub enum NotifyWhat {
    Test(NotifyTest),
}

/// Send an alert that says it is a test, and tell what came of it
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  weir notify test --pipeline weir.yaml
  weir notify test oncall --pipeline weir.yaml

Exit code 1 if one does not get through. Nothing is kept and nothing is tried again.")]
pub struct NotifyTest {
    /// Notifier by its name; without it all of them
    pub name: Option<String>,
    /// Pipeline file that has the notifiers
    #[arg(long, value_name = "FILE")]
    pub pipeline: PathBuf,
}

/// Print every problem of a pipeline file or a pack, or that there is none
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  weir check weir.yaml
  weir check pipelines/heroku

Exit code 1 if there is a problem. Environment variables have to be set as for `weir run`.")]
pub struct Check {
    /// Pipeline file, pack, or folder that holds a pack.yaml
    pub path: PathBuf,
}

/// Run the tests that a pack carries
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  weir test pipelines/heroku
  weir test my-pack.yaml --junit report.xml
  weir test my-pack.yaml --set auth_fail_threshold=5

Exit code 1 if a test fails or the pack has a problem. What needs windows is not run yet, and said to be so.")]
pub struct Test {
    /// Pack, or folder that holds a pack.yaml
    pub path: PathBuf,
    /// Write the results to this file as JUnit does
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Give a param another value
    #[arg(long = "set", value_name = "PARAM=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
}

/// Say why a line is what it is: kind, fields, categories, and each condition true or false
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  weir explain '<190>1 2026-01-01T00:00:00Z d.x app web.1 - - login failed'
  heroku logs -n 1 | weir explain - --alert auth_failure
  weir explain - --pack my-pack.yaml --alert my_alert < line.txt
  weir explain \"$(tail -n 1 drain.log)\" --alert auth_brute_force --with drain.log")]
pub struct Explain {
    /// The line as it was received, or `-` for standard input
    pub line: String,
    /// Only this alert, category or knowledge object, by its id
    #[arg(long, value_name = "ID")]
    pub alert: Option<String>,
    /// Lines that came before it: say how far the windows were ("17 of 20")
    #[arg(long, value_name = "FILE")]
    pub with: Option<PathBuf>,
    /// Packs, in order: paths, or ids of those that are compiled in [default: heroku]
    #[arg(long = "pack", value_name = "PACK")]
    pub packs: Vec<String>,
}

/// Say what the packs make of files: events that nothing matched, fields, rules and alerts that never came to anything
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  weir coverage drain.log
  heroku logs -n 1500 | weir coverage -
  weir coverage *.log --pack heroku --pack my-pack.yaml --json | jq .fields_never_seen")]
pub struct Coverage {
    /// Files to read, one after the other; `-` is standard input, as is no file at all
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// How messages are told apart
    #[arg(long, value_enum, default_value_t = ReplayFraming::Auto)]
    pub framing: ReplayFraming,
    /// Packs, in order: paths, or ids of those that are compiled in [default: heroku]
    #[arg(long = "pack", value_name = "PACK")]
    pub packs: Vec<String>,
    /// Give a param of the packs another value
    #[arg(long = "set", value_name = "PARAM=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// List, show, import, export, switch and roll back packs
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Examples:
  weir pack list
  weir pack show heroku.alert.auth_failure
  weir pack enable heroku.alert.auth_failure heroku.alert.high_severity
  weir pack import my-pack.yaml
  weir pack rollback my_pack

A weir that answers at the admin address is asked; else the files are read and written, which it reads at its start.")]
pub struct Packs {
    #[command(subcommand)]
    pub command: PackCommand,
}

#[derive(Debug, Subcommand)]
pub enum PackCommand {
    /// List all packs with the number of their items by kind
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        site: Site,
    },
    /// Show a pack with its items, a kind of it, or one item with its text
    #[command(after_help = "Examples:
  weir pack show heroku
  weir pack show heroku.alert
  weir pack show heroku.alert.auth_failure")]
    Show {
        /// PACK, PACK.KIND or PACK.KIND.NAME; without it every pack of the pipeline
        id: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        site: Site,
    },
    /// Import a pack: read, check, compile, run its tests, then store and use it; or nothing
    #[command(after_help = "Examples:
  weir pack import my-pack.yaml
  weir pack import heroku-1.1.0.yaml --only alert/crash_loop

The pack takes the place of the imported or compiled-in one of its id; `packs` of the pipeline names it by the id.
With --only, items are put into that pack, with what they name; comments of the pack are lost.")]
    Import {
        /// Pack, or folder that holds a pack.yaml
        file: PathBuf,
        /// Take only items of this kind, or only this item
        #[arg(long, value_name = "KIND[/ID]")]
        only: Option<String>,
        #[command(flatten)]
        site: Site,
    },
    /// Print a pack's text
    Export {
        /// The pack; not needed if the pipeline has only one
        id: Option<String>,
        #[command(flatten)]
        site: Site,
    },
    /// Switch alerts on, and take other items in again that were left out
    #[command(after_help = "Examples:
  weir pack enable heroku.alert.auth_failure heroku.alert.high_severity
  weir pack enable 'heroku.alert.*' --shadow
  weir pack enable heroku.dashlet.method_by_ip")]
    Enable {
        /// PACK.KIND.NAME; an alert's own id if only one pack has it; `*` as a name is all of the kind
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
        /// Alerts count and notify nobody
        #[arg(long)]
        shadow: bool,
        #[command(flatten)]
        site: Site,
    },
    /// Switch alerts off, and leave other items out
    Disable {
        /// PACK.KIND.NAME; an alert's own id if only one pack has it; `*` as a name is all of the kind
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
        #[command(flatten)]
        site: Site,
    },
    /// Go back to the version of a pack before the last import
    Rollback {
        /// The pack; not needed if only one was imported
        #[arg(value_name = "PACK")]
        id: Option<String>,
        #[command(flatten)]
        site: Site,
    },
}

/// Whose packs are meant.
#[derive(Args, Clone, Debug)]
pub struct Site {
    /// Pipeline file; without one the built-in pipeline
    #[arg(long, value_name = "FILE")]
    pub pipeline: Option<PathBuf>,
    /// Folder of the state, with the overlay in it, instead of the pipeline's; no running weir is asked
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Admin address of a running weir [default: the pipeline's]
    #[arg(long, value_name = "IP:PORT", conflicts_with = "state")]
    pub admin: Option<std::net::SocketAddr>,
}

/// Print a JSON schema
#[derive(Args, Debug)]
#[command(after_help = "Example:
  weir schema pipeline > pipeline.schema.json
  weir schema pack --markdown

Editors with a YAML language server complete and check a file that begins with
  # yaml-language-server: $schema=pipeline.schema.json")]
pub struct Schema {
    #[arg(value_enum)]
    pub of: SchemaOf,
    /// Print a reference page for people instead; of packs only
    #[arg(long)]
    pub markdown: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// Of a pipeline file
    Pipeline,
    /// Of a pack
    Pack,
    /// Of an overlay
    Overlay,
    /// Of an event, one line of ndjson
    Event,
}

/// Print the Heroku commands that make an app drain into a pipeline
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  weir drain-setup my-app --host logs.example.com
  weir drain-setup my-app --pipeline weir.yaml --host logs.example.com | sh -ex

No password is printed: commands refer to $DRAIN_PASSWORD.")]
pub struct DrainSetup {
    /// The Heroku app
    #[arg(value_parser = app)]
    pub app: String,
    /// Pipeline file; without one the built-in pipeline
    #[arg(long, value_name = "FILE")]
    pub pipeline: Option<PathBuf>,
    /// Name or address under which Heroku reaches this machine
    #[arg(long, value_name = "NAME", value_parser = host)]
    pub host: Option<String>,
}

/// Print completions for a shell
#[derive(Args, Debug)]
#[command(after_help = "Example:
  weir completions bash > /etc/bash_completion.d/weir")]
pub struct Completions {
    pub shell: Shell,
}

/// Returns the completions for `shell`.
pub fn completions(shell: Shell) -> Vec<u8> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "weir", &mut out);
    out
}

/// Returns the manual page: weir itself, then each command.
pub fn man() -> Vec<u8> {
    let mut out = Vec::new();
    let mut weir = Cli::command();
    weir.build();
    let write = |command: clap::Command, out: &mut Vec<u8>| {
        clap_mangen::Man::new(command).render(out).expect("writing into memory does not fail");
    };
    let commands: Vec<clap::Command> =
        weir.get_subcommands().filter(|c| c.get_name() != "help").cloned().collect();
    write(weir, &mut out);
    for command in commands {
        write(command, &mut out);
    }
    out
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a param, `=` and its value: auth_fail_threshold=5")?;
    Ok((name.into(), value.into()))
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = config::duration(text).filter(|duration| !duration.is_zero());
    duration.ok_or_else(|| "a duration is a whole number with a unit: 500ms, 10s, 5m, 1h".into())
}

fn received(text: &str) -> Result<Received, String> {
    match text {
        "event" => Ok(Received::Event),
        "now" => Ok(Received::Now),
        _ => text
            .parse()
            .map(Received::At)
            .map_err(|_| "event, now, or a time such as 2026-11-22T09:51:24Z".to_string()),
    }
}

fn zone(text: &str) -> Result<TimeZone, String> {
    config::zone(text).ok_or_else(|| "an offset such as +01:00, or a name such as Europe/Berlin".into())
}

/// Takes what Heroku takes as an app's name, so that it can stand in a shell command.
fn app(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = (3..=30).contains(&text.len()) && text.chars().all(good);
    if fits && text.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Ok(text.into());
    }
    Err("an app's name is 3 to 30 lower-case letters, digits and dashes, a letter first".into())
}

/// Takes a host name or an address, so that it can stand in a URL.
fn host(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    if let Ok(address) = text.trim_matches(['[', ']']).parse::<std::net::Ipv6Addr>() {
        return Ok(format!("[{address}]"));
    }
    match !text.is_empty() && text.len() <= 253 && text.chars().all(good) && !text.starts_with('-') {
        true => Ok(text.into()),
        false => Err("a host name or an address, without scheme and port".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, i32> {
        Cli::try_parse_from(line.split(' ')).map(|cli| cli.command).map_err(|error| error.exit_code())
    }

    #[test]
    fn the_declaration_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn good_lines_parse() {
        let Ok(Command::Run(run)) = parse("weir run w.yaml --ready-file r.json") else { panic!("run") };
        assert_eq!(run.pipeline, Some("w.yaml".into()));
        let Ok(Command::Demo(demo)) = parse("weir demo --rate 5 --for 1500ms") else { panic!("demo") };
        assert_eq!((demo.rate, demo.length), (5, Some(Duration::from_millis(1500))));
        let line = "weir replay a - --framing logplex-body --format eventtracker --zone -05:30 --received now --strict";
        let Ok(Command::Replay(replay)) = parse(line) else { panic!("replay") };
        assert_eq!(replay.files, [PathBuf::from("a"), PathBuf::from("-")]);
        assert_eq!((replay.framing, replay.received), (ReplayFraming::LogplexBody, Received::Now));
        assert_eq!(replay.zone, config::zone("-05:30"));
        let Ok(Command::Test(test)) = parse("weir test p --junit j.xml --set a=b=c") else { panic!("test") };
        assert_eq!(test.set, [("a".to_string(), "b=c".to_string())]);
        let Ok(Command::Explain(explain)) = parse("weir explain - --pack a --pack b") else {
            panic!("explain")
        };
        assert_eq!(explain.packs.len(), 2);
        let Ok(Command::Pack(packs)) = parse("weir pack enable a.alert.b c --shadow --state s") else {
            panic!("pack")
        };
        let PackCommand::Enable { ids, shadow: true, site } = packs.command else { panic!("enable") };
        assert_eq!((ids.len(), site.state), (2, Some("s".into())));
        let Ok(Command::Notify(Notify { what: NotifyWhat::Test(test) })) =
            parse("weir notify test oncall --pipeline w.yaml")
        else {
            panic!("notify")
        };
        assert_eq!((test.name.as_deref(), test.pipeline), (Some("oncall"), "w.yaml".into()));
        let Ok(Command::DrainSetup(setup)) = parse("weir drain-setup my-app --host ::1") else {
            panic!("setup")
        };
        assert_eq!(setup.host.as_deref(), Some("[::1]"));
    }

    #[test]
    fn wrong_usage_is_exit_code_2() {
        for line in [
            "weir",
            "weir nonsense",
            "weir run a b",
            "weir check",
            "weir demo --for 5",
            "weir demo --rate 0",
            "weir replay --framing lines",
            "weir replay --received yesterday",
            "weir replay --zone Mars",
            "weir schema",
            "weir schema plan",
            "weir test",
            "weir test a --set b",
            "weir explain",
            "weir coverage --set x",
            "weir pack",
            "weir pack enable",
            "weir pack import",
            "weir pack list --admin somewhere",
            "weir pack list --admin 127.0.0.1:1 --state s",
            "weir notify",
            "weir notify test",
            "weir import",
            "weir import sigma",
            "weir import sigma a --id A",
            "weir drain-setup",
            "weir drain-setup x;rm",
            "weir drain-setup my-app --host a/b",
        ] {
            assert_eq!(parse(line).err(), Some(2), "{line}");
        }
        for line in ["weir --help", "weir --version", "weir replay --help"] {
            assert_eq!(parse(line).err(), Some(0), "{line}");
        }
    }

    #[test]
    fn every_command_teaches_by_example() {
        let mut weir = Cli::command();
        weir.build();
        for command in weir.get_subcommands().filter(|command| command.get_name() != "help") {
            let help = command.get_after_help().map(|text| text.to_string()).unwrap_or_default();
            assert!(help.contains(&format!("weir {}", command.get_name())), "{}", command.get_name());
            assert!(String::from_utf8_lossy(&man()).contains(command.get_name()));
        }
        assert!(String::from_utf8_lossy(&completions(Shell::Bash)).contains("drain-setup"));
    }
}
