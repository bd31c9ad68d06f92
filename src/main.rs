//! The command line: parse, do, print one error.

use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use weir::catalog::{Catalog, sigma};
use weir::cli::{self, Cli, Command};
use weir::compile;
use weir::config::{self, Pipeline, Problems, schema};
use weir::export;
use weir::pack::{self, Pack, trial};
use weir::plan::Format;
use weir::replay::input::InputFraming;
use weir::replay::{self, ReceivedAt};
use weir::report::shelf;
use weir::run::{self, Loaded, demo};
use weir::setup;
use weir::site;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What went wrong: an error to print, or only an exit code since all is said.
enum Failure {
    Said,
    Usage(String),
    Error(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Error(error.to_string())
    }
}

fn main() -> ExitCode {
    match execute(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Said) => ExitCode::FAILURE,
        Err(Failure::Usage(why)) => {
            eprintln!("error: {why}");
            ExitCode::from(2)
        }
        // Whoever reads our output has had enough: no failure of ours.
        Err(Failure::Error(why)) if why.contains("Broken pipe") => ExitCode::SUCCESS,
        Err(Failure::Error(why)) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> Result<(), Failure> {
    match command {
        Command::Run(args) => {
            let pipeline = load(args.pipeline.as_deref())?;
            let loaded = Loaded { pipeline, path: args.pipeline };
            said(run::run(loaded, args.ready_file.as_deref())?)
        }
        Command::Demo(args) => said(demo::run(args.rate, args.length)?),
        Command::Replay(args) => replay_files(args),
        Command::Report(args) => report(args.what),
        Command::Check(args) if is_pack(&args.path) => check_pack(&args.path),
        Command::Check(args) => {
            let pipeline = load(Some(&args.path))?;
            let catalog = Catalog::load(&pipeline).map_err(|problems| said_problems(&problems))?;
            let packs = &catalog.packs;
            let mut site = pack::site(&pipeline, packs).map_err(|problems| said_problems(&problems))?;
            site.extra.countries = compile::countries(&pipeline).map_err(Failure::Error)?;
            pack::compile_for(packs, &[], &site.extra).map_err(|error| Failure::Error(error.to_string()))?;
            let warnings = catalog.warnings();
            if !warnings.is_empty() {
                said_problems(&warnings);
            }
            print(&format!("{}: ok\n{}", args.path.display(), pipeline.summary()))
        }
        Command::Test(args) => test_pack(&args),
        Command::Explain(args) => explain(&args),
        Command::Coverage(args) => coverage(&args),
        Command::Import(cli::Import { of: cli::ImportOf::Sigma { path, out, id } }) => {
            let imported = sigma::import(&id, &sigma::files(&path)?);
            eprint!("{}", imported.describe());
            match out {
                _ if imported.taken == 0 => Err(Failure::Said),
                Some(out) => Ok(std::fs::write(out, imported.pack)?),
                None => print(&imported.pack),
            }
        }
        Command::Pack(args) => {
            let (out, besides) = site::run(args.command).map_err(|why| {
                eprint!("{why}");
                Failure::Said
            })?;
            print(&out)?;
            eprint!("{besides}");
            Ok(())
        }
        Command::Notify(cli::Notify { what: cli::NotifyWhat::Test(args) }) => notify_test(&args),
        Command::Config => print(config::DEFAULT_TEXT),
        Command::Schema(args) => match args.of {
            cli::SchemaOf::Pack if args.markdown => print(&pack::reference::page()),
            _ if args.markdown => Err(Failure::Usage("a reference page is printed of packs only".into())),
            cli::SchemaOf::Pipeline => print(&pretty(&schema::pipeline())),
            cli::SchemaOf::Overlay => print(&pretty(&pack::overlay::schema())),
            cli::SchemaOf::Event => print(&pretty(&schema::event())),
            cli::SchemaOf::Pack => print(&pretty(&pack::schema())),
        },
        Command::DrainSetup(args) => {
            let pipeline = load(args.pipeline.as_deref())?;
            print(&setup::commands(&args.app, args.host.as_deref(), &pipeline))
        }
        Command::Export(args) => {
            let packs = pack::load_all(&args.packs, &[]).map_err(|problems| said_problems(&problems))?;
            print(&match args.what {
                cli::ExportOf::Grafana => export::grafana::dashboard(&packs),
                cli::ExportOf::PrometheusRules => export::rules::file(&packs),
            })
        }
        Command::Completions(args) => write(&cli::completions(args.shell)),
        Command::Man => write(&cli::man()),
    }
}

fn said(well: bool) -> Result<(), Failure> {
    if well { Ok(()) } else { Err(Failure::Said) }
}

/// The pipeline of a file, or the compiled-in one; prints every problem of a broken file.
fn load(path: Option<&Path>) -> Result<Pipeline, Failure> {
    let Some(path) = path else { return Ok(Pipeline::default()) };
    config::load(path).map_err(|problems| said_problems(&problems))
}

fn said_problems(problems: &Problems) -> Failure {
    let text = if io::stderr().is_terminal() { problems.coloured() } else { problems.to_string() };
    eprintln!("{}", text.trim_end());
    Failure::Said
}

/// Whether a path is a folder with a pack, or a file that says it is one.
fn is_pack(path: &Path) -> bool {
    let path = pack::path_of(path);
    std::fs::read_to_string(path).is_ok_and(|text| pack::is_pack(&text))
}

/// The pack at `path`; prints what is wrong, and warnings.
fn load_pack(path: &Path, set: &[(String, String)], others: &[Pack]) -> Result<Pack, Failure> {
    let pack = pack::load(path, set, others).map_err(|problems| said_problems(&problems))?;
    if !pack.warnings.is_empty() {
        said_problems(&pack.warnings);
    }
    let conflicts = pack::conflicts(&pack);
    for conflict in &conflicts {
        let [a, b] = &conflict.objects;
        let (path, (line, column)) = (pack::path_of(path), conflict.place);
        eprintln!("{}:{line}:{column}: objects `{a}` and `{b}` write one field on one event", path.display());
        eprintln!("hint: an exception in one of them; both match `{}`", conflict.witness);
    }
    if conflicts.is_empty() { Ok(pack) } else { Err(Failure::Said) }
}

fn notify_test(args: &cli::NotifyTest) -> Result<(), Failure> {
    let pipeline = load(Some(&args.pipeline))?;
    weir::telemetry::log::start(pipeline.log);
    let names: Vec<&str> = pipeline.notifiers.iter().map(|notifier| notifier.name.as_str()).collect();
    if names.is_empty() {
        return Err(Failure::Error(format!("`{}` has no notifiers", args.pipeline.display())));
    }
    if let Some(name) = args.name.as_deref().filter(|name| !names.contains(name)) {
        return Err(Failure::Error(format!("no notifier `{name}`; there are {}", names.join(", "))));
    }
    let (text, well) = weir::notify::trial::run(&pipeline.notifiers, args.name.as_deref())?;
    print(&text)?;
    said(well)
}

/// The packs that any other may name.
fn built_in() -> Vec<Pack> {
    pack::BUILT_IN.iter().filter_map(|(id, _)| pack::built_in(id)).collect()
}

fn check_pack(path: &Path) -> Result<(), Failure> {
    let pack = load_pack(path, &[], &built_in())?;
    let bits = pack::compile(std::slice::from_ref(&pack), &[]).map_err(|e| Failure::Error(e.to_string()))?;
    let bits = bits.program.bits();
    print(&format!("{}: ok\n{}  {bits} distinct tests\n", path.display(), pack.summary()))
}

fn test_pack(args: &cli::Test) -> Result<(), Failure> {
    // Problems are told before anything runs.
    let others = built_in();
    let pack = load_pack(&args.path, &args.set, &others)?;
    let path = pack::path_of(&args.path);
    let text = std::fs::read_to_string(&path)?;
    let name = path.display().to_string();
    let verdicts =
        trial::run(&name, &text, &args.set, &others).map_err(|problems| said_problems(&problems))?;
    if let Some(junit) = &args.junit {
        std::fs::write(junit, trial::junit(&pack.id, &verdicts))?;
    }
    print(&trial::describe(&verdicts))?;
    said(verdicts.iter().all(|verdict| verdict.failures.is_empty()))
}

fn explain(args: &cli::Explain) -> Result<(), Failure> {
    let heroku = ["heroku".to_string()];
    let names = if args.packs.is_empty() { &heroku[..] } else { &args.packs[..] };
    let packs = pack::load_all(names, &[]).map_err(|problems| said_problems(&problems))?;
    let mut line = args.line.clone().into_bytes();
    if args.line == "-" {
        line.clear();
        io::stdin().read_to_end(&mut line)?;
    }
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let now = jiff::Timestamp::now().as_microsecond();
    let with = match &args.with {
        Some(path) => replay::input::frames(path)?,
        None => Vec::new(),
    };
    let text = pack::explain::explain(&packs, line, now, args.alert.as_deref(), &with);
    print(&text.map_err(|error| Failure::Error(error.to_string()))?)
}

fn coverage(args: &cli::Coverage) -> Result<(), Failure> {
    let heroku = ["heroku".to_string()];
    let names = if args.packs.is_empty() { &heroku[..] } else { &args.packs[..] };
    let packs = pack::load_all(names, &args.set).map_err(|problems| said_problems(&problems))?;
    let coverage = weir::coverage::run(&args.files, framing(args.framing), &packs)?;
    print(&if args.json { pretty(&coverage.to_json()) } else { coverage.describe() })
}

fn framing(framing: cli::ReplayFraming) -> InputFraming {
    match framing {
        cli::ReplayFraming::Auto => InputFraming::Auto,
        cli::ReplayFraming::Octet => InputFraming::Octet,
        cli::ReplayFraming::Newline => InputFraming::Newline,
        cli::ReplayFraming::LogplexBody => InputFraming::LogplexBody,
        cli::ReplayFraming::Records => InputFraming::Records,
    }
}

fn report(what: cli::ReportWhat) -> Result<(), Failure> {
    let args = match what {
        cli::ReportWhat::Run(args) => args,
        cli::ReportWhat::List { dir } => {
            let mut out = String::new();
            for name in shelf::names(&dir)? {
                for one in shelf::of(&dir, &name)? {
                    let cut = if one.cut > 0 { format!(", {} cut", one.cut) } else { String::new() };
                    let files = one.files.join(" ");
                    out.push_str(&format!("{}  {}  {} rows{cut}  {files}\n", one.id, one.name, one.rows));
                }
            }
            return print(&out);
        }
    };
    let mut pipeline = load(args.pipeline.as_deref())?;
    if let Some(zone) = args.zone {
        pipeline.reports.zone = Some(zone);
    }
    let names: Vec<String> = match args.packs.is_empty() {
        true => pipeline.packs.iter().map(|name| name.to_string()).collect(),
        false => args.packs,
    };
    let mut packs = pack::load_all(&names, &[]).map_err(|problems| said_problems(&problems))?;
    let full = |pack: &Pack, id: &str| format!("{}.report.{id}", pack.id);
    let known: Vec<String> =
        packs.iter().flat_map(|pack| pack.reports.iter().map(|one| full(pack, &one.id))).collect();
    for pack in &mut packs {
        let id = format!("{}.report.", pack.id);
        pack.reports.retain(|one| one.id == args.id || format!("{id}{}", one.id) == args.id);
    }
    if packs.iter().map(|pack| pack.reports.len()).sum::<usize>() != 1 {
        let known = known.join(", ");
        return Err(Failure::Error(format!("`{}` names no report, or several; there are {known}", args.id)));
    }
    weir::telemetry::log::start(pipeline.log);
    let us = |time: Option<jiff::Timestamp>, absent: i64| time.map_or(absent, |time| time.as_microsecond());
    replay::run(replay::Options {
        inputs: args.files,
        pipeline,
        framing: framing(args.framing),
        format: None,
        out: None,
        received: ReceivedAt::Own,
        drain: None,
        computer: None,
        packs: Some(packs),
        alerts: None,
        reports: Some(args.dir),
        windows: us(args.from, i64::MIN)..us(args.to, i64::MAX),
        all_on: false,
    })?;
    Ok(())
}

fn replay_files(args: cli::Replay) -> Result<(), Failure> {
    let mut pipeline = load(args.pipeline.as_deref())?;
    if let Some(zone) = args.zone {
        pipeline.reports.zone = Some(zone.clone());
        pipeline.zone = zone;
    }
    let load_all = |names: &[String]| pack::load_all(names, &args.set).map(Some);
    let packs = match (args.packs.is_empty(), &args.pipeline) {
        (false, _) => load_all(&args.packs),
        (true, Some(_)) => Ok(None),
        // Without a pipeline nothing of this folder's site is asked.
        (true, None) => load_all(&["heroku".to_string()]),
    };
    let packs = packs.map_err(|problems| said_problems(&problems))?;
    weir::telemetry::log::start(pipeline.log);
    let books = replay::run(replay::Options {
        inputs: args.files,
        pipeline,
        framing: framing(args.framing),
        format: match args.format {
            cli::ReplayFormat::Ndjson => Some(Format::Ndjson),
            cli::ReplayFormat::Eventtracker => Some(Format::EventTracker),
            cli::ReplayFormat::None => None,
        },
        out: args.out,
        received: match args.received {
            cli::Received::Event => ReceivedAt::Own,
            cli::Received::Now => ReceivedAt::Now,
            cli::Received::At(time) => ReceivedAt::At(time.as_microsecond()),
        },
        drain: args.drain,
        computer: args.computer,
        packs,
        alerts: args.alerts,
        reports: args.reports,
        windows: i64::MIN..i64::MAX,
        all_on: args.mode == cli::AlertMode::On,
    })?;
    eprintln!("{}", books.to_line());
    said(books.closed && !(args.strict && books.flawed() > 0))
}

fn print(text: &str) -> Result<(), Failure> {
    write(text.as_bytes())
}

fn write(bytes: &[u8]) -> Result<(), Failure> {
    Ok(io::stdout().write_all(bytes)?)
}

fn pretty(schema: &serde_json::Value) -> String {
    serde_json::to_string_pretty(schema).expect("a schema is JSON") + "\n"
}
