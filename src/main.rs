//! The command line: parse, do, print one error.

use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use weir::cli::{self, Cli, Command};
use weir::config::{self, Pipeline, Problems, schema};
use weir::pack::{self, Pack, trial};
use weir::plan::Format;
use weir::replay::input::InputFraming;
use weir::replay::{self, ReceivedAt};
use weir::run::{self, Loaded, demo};
use weir::setup;

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
        Command::Check(args) if is_pack(&args.path) => check_pack(&args.path),
        Command::Check(args) => {
            let pipeline = load(Some(&args.path))?;
            let packs = pack::load_all(&pipeline.packs, &[]).map_err(|problems| said_problems(&problems))?;
            let site = pack::site(&pipeline, &packs).map_err(|problems| said_problems(&problems))?;
            pack::compile_for(&packs, &[], &site.extra).map_err(|error| Failure::Error(error.to_string()))?;
            print(&format!("{}: ok\n{}", args.path.display(), pipeline.summary()))
        }
        Command::Test(args) => test_pack(&args),
        Command::Explain(args) => explain(&args),
        Command::Config => print(config::DEFAULT_TEXT),
        Command::Schema(args) => match args.of {
            cli::SchemaOf::Pack if args.markdown => print(&pack::reference::page()),
            _ if args.markdown => Err(Failure::Usage("a reference page is printed of packs only".into())),
            cli::SchemaOf::Pipeline => print(&pretty(&schema::pipeline())),
            cli::SchemaOf::Event => print(&pretty(&schema::event())),
            cli::SchemaOf::Pack => print(&pretty(&pack::schema())),
        },
        Command::DrainSetup(args) => {
            let pipeline = load(args.pipeline.as_deref())?;
            print(&setup::commands(&args.app, args.host.as_deref(), &pipeline))
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
    let text = pack::explain::explain(&packs, line, now, args.alert.as_deref());
    print(&text.map_err(|error| Failure::Error(error.to_string()))?)
}

fn replay_files(args: cli::Replay) -> Result<(), Failure> {
    let mut pipeline = load(args.pipeline.as_deref())?;
    if let Some(zone) = args.zone {
        pipeline.zone = zone;
    }
    let packs = match args.packs.is_empty() {
        true => None,
        false => Some(pack::load_all(&args.packs, &args.set).map_err(|problems| said_problems(&problems))?),
    };
    weir::telemetry::log::start(pipeline.log);
    let books = replay::run(replay::Options {
        inputs: args.files,
        pipeline,
        framing: match args.framing {
            cli::ReplayFraming::Auto => InputFraming::Auto,
            cli::ReplayFraming::Octet => InputFraming::Octet,
            cli::ReplayFraming::Newline => InputFraming::Newline,
            cli::ReplayFraming::LogplexBody => InputFraming::LogplexBody,
            cli::ReplayFraming::Records => InputFraming::Records,
        },
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
