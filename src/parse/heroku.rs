//! What is known of Heroku, as tables: kinds and their conditions, field names, units, codes, severity words.
//!
//! Nothing here reads a log line; the modules beside it do, by these tables. They are laid out as a compiled plan would
//! hold them, so that one can take their place: rules in order, the first match wins.

use crate::event::{FieldId, KindId, Severity};

/// Kinds of message, by `KindId`.
pub const KINDS: &[&str] = &[
    "other",
    "app",
    "router",
    "api",
    "build",
    "addon_metric",
    "postgres_log",
    "redis_log",
    "runtime_load",
    "runtime_memory",
    "error_code",
    "upstream_loss",
    "dyno_state",
    "dyno_start",
    "dyno_exit",
    "dyno_memory",
    "dyno_lifecycle",
];

pub const OTHER: KindId = KindId(0);
pub const APP: KindId = KindId(1);
pub const ROUTER: KindId = KindId(2);
pub const API: KindId = KindId(3);
pub const BUILD: KindId = KindId(4);
pub const ADDON_METRIC: KindId = KindId(5);
pub const POSTGRES_LOG: KindId = KindId(6);
pub const REDIS_LOG: KindId = KindId(7);
pub const RUNTIME_LOAD: KindId = KindId(8);
pub const RUNTIME_MEMORY: KindId = KindId(9);
pub const ERROR_CODE: KindId = KindId(10);
pub const UPSTREAM_LOSS: KindId = KindId(11);
pub const DYNO_STATE: KindId = KindId(12);
pub const DYNO_START: KindId = KindId(13);
pub const DYNO_EXIT: KindId = KindId(14);
pub const DYNO_MEMORY: KindId = KindId(15);
pub const DYNO_LIFECYCLE: KindId = KindId(16);

/// What a kind asks of PROCID.
#[derive(Clone, Copy, Debug)]
pub enum Process {
    Any,
    Is(&'static [&'static str]),
    Starts(&'static str),
    /// The name, a dot and a number.
    Numbered(&'static str),
}

/// What a kind asks of the text, which is without ANSI.
#[derive(Clone, Copy, Debug)]
pub enum Words {
    Any,
    /// One of these is the start, and the word ends there.
    Start(&'static [&'static str]),
    /// This is the start; a word may go on.
    Prefix(&'static str),
    Has(&'static str),
    /// One of the first is the start, the second is somewhere in it.
    PrefixAndHas(&'static [&'static str], &'static str),
    /// `Error `, one of these letters and two digits.
    Code(&'static [u8]),
}

/// One condition of a kind.
#[derive(Clone, Copy, Debug)]
pub struct KindRule {
    pub kind: KindId,
    /// APP-NAME; `None` is any.
    pub source: Option<&'static str>,
    pub process: Process,
    pub words: Words,
}

const fn any(kind: KindId, process: Process, words: Words) -> KindRule {
    KindRule { kind, source: None, process, words }
}

const fn platform(kind: KindId, words: Words) -> KindRule {
    KindRule { kind, source: Some("heroku"), process: Process::Any, words }
}

const LOGPLEX: Process = Process::Is(&["logplex", "log-shuttle"]);

/// Kinds in the order in which they are tried, before those of `PLATFORM_RULES`; what matches none is `OTHER`.
pub const KIND_RULES: &[KindRule] = &[
    KindRule { kind: ROUTER, source: Some("heroku"), process: Process::Is(&["router"]), words: Words::Any },
    any(UPSTREAM_LOSS, LOGPLEX, Words::Start(&["Error L10", "Error L12", "Error L13"])),
    any(ERROR_CODE, LOGPLEX, Words::Prefix("Error L")),
    any(OTHER, LOGPLEX, Words::Any),
    any(API, Process::Is(&["api"]), Words::Any),
    any(BUILD, Process::Is(&["slugc", "slug-compiler"]), Words::Any),
    any(ADDON_METRIC, Process::Starts("heroku-"), Words::Has("sample#")),
    any(POSTGRES_LOG, Process::Numbered("postgres"), Words::Any),
    any(POSTGRES_LOG, Process::Is(&["postgres", "heroku-postgres"]), Words::Any),
    any(REDIS_LOG, Process::Is(&["redis", "heroku-redis"]), Words::Any),
    KindRule { kind: APP, source: Some("app"), process: Process::Any, words: Words::Any },
];

/// Kinds of source `heroku` that only the text tells.
const PLATFORM_RULES: &[KindRule] = &[
    platform(RUNTIME_LOAD, Words::PrefixAndHas(&["source=", "dyno="], "sample#load_avg")),
    platform(RUNTIME_MEMORY, Words::PrefixAndHas(&["source=", "dyno="], "sample#memory_")),
    platform(ERROR_CODE, Words::Code(b"RL")),
    platform(DYNO_STATE, Words::Start(&["State changed"])),
    platform(DYNO_START, Words::Start(&["Starting process"])),
    platform(DYNO_EXIT, Words::Start(&["Process exited"])),
    platform(DYNO_MEMORY, Words::Prefix("Process running mem=")),
    platform(
        DYNO_LIFECYCLE,
        Words::Start(&[
            "Stopping",
            "Restarting",
            "Cycling",
            "Idling",
            "Unidling",
            "Awaiting client",
            "Client connection closed",
        ]),
    ),
];

/// Field names that the tables and the modules beside this one use, by `FieldId`.
pub const FIELDS: &[&str] = &[
    "at",
    "code",
    "lost",
    "status",
    "desc",
    "cause",
    "sock",
    "method",
    "path",
    "host",
    "request_id",
    "fwd",
    "client_ip",
    "dyno",
    "queue",
    "wait_ms",
    "connect_ms",
    "service_ms",
    "bytes",
    "protocol",
    "tls",
    "tls_version",
    "agent",
    "title",
    "detail",
    "from_state",
    "to_state",
    "command",
    "user",
    "exit_status",
    "memory_mb",
    "memory_percent",
    "dyno_id",
    "source",
    "addon",
    "color",
    "line",
    "chunk",
    "sql_error_code",
    "level",
    "db_user",
    "load_avg_1m",
    "load_avg_5m",
    "load_avg_15m",
    "memory_total_bytes",
    "memory_rss_bytes",
    "memory_cache_bytes",
    "memory_swap_bytes",
    "memory_pgpgin_pages",
    "memory_pgpgout_pages",
    "memory_quota_bytes",
    "current_transaction",
    "db_size_bytes",
    "tables",
    "active_connections",
    "waiting_connections",
    "index_cache_hit_rate",
    "table_cache_hit_rate",
    "read_iops",
    "write_iops",
    "tmp_disk_used",
    "tmp_disk_available",
    "memory_free_bytes",
    "memory_cached_bytes",
    "memory_postgres_bytes",
    "follower_lag_commits",
    "wal_percentage_used",
    "max_connections",
    "connection_percentage_used",
    "memory_redis_bytes",
    "hit_rate",
    "evicted_keys",
    "max_iops",
    "iops_percentage_used",
    "memory_percentage_used",
    "client_active",
    "client_waiting",
    "server_active",
    "server_idle",
    "max_wait",
    "avg_query",
    "avg_recv",
    "avg_sent",
];

/// Those that are an address wherever the parser gives them.
pub const ADDRESSES: &[FieldId] = &[CLIENT_IP];

pub const AT: FieldId = FieldId(0);
pub const CODE: FieldId = FieldId(1);
pub const LOST: FieldId = FieldId(2);
pub const STATUS: FieldId = FieldId(3);
pub const DESC: FieldId = FieldId(4);
pub const CAUSE: FieldId = FieldId(5);
pub const SOCK: FieldId = FieldId(6);
pub const METHOD: FieldId = FieldId(7);
pub const PATH: FieldId = FieldId(8);
pub const HOST: FieldId = FieldId(9);
pub const REQUEST_ID: FieldId = FieldId(10);
pub const FWD: FieldId = FieldId(11);
pub const CLIENT_IP: FieldId = FieldId(12);
pub const DYNO: FieldId = FieldId(13);
pub const QUEUE: FieldId = FieldId(14);
pub const WAIT_MS: FieldId = FieldId(15);
pub const CONNECT_MS: FieldId = FieldId(16);
pub const SERVICE_MS: FieldId = FieldId(17);
pub const BYTES: FieldId = FieldId(18);
pub const PROTOCOL: FieldId = FieldId(19);
pub const TLS: FieldId = FieldId(20);
pub const TLS_VERSION: FieldId = FieldId(21);
pub const AGENT: FieldId = FieldId(22);
pub const TITLE: FieldId = FieldId(23);
pub const DETAIL: FieldId = FieldId(24);
pub const FROM_STATE: FieldId = FieldId(25);
pub const TO_STATE: FieldId = FieldId(26);
pub const COMMAND: FieldId = FieldId(27);
pub const USER: FieldId = FieldId(28);
pub const EXIT_STATUS: FieldId = FieldId(29);
pub const MEMORY_MB: FieldId = FieldId(30);
pub const MEMORY_PERCENT: FieldId = FieldId(31);
pub const DYNO_ID: FieldId = FieldId(32);
pub const SOURCE: FieldId = FieldId(33);
pub const ADDON: FieldId = FieldId(34);
pub const COLOR: FieldId = FieldId(35);
pub const LINE: FieldId = FieldId(36);
pub const CHUNK: FieldId = FieldId(37);
pub const SQL_ERROR_CODE: FieldId = FieldId(38);
pub const LEVEL: FieldId = FieldId(39);
pub const DB_USER: FieldId = FieldId(40);
/// The first of those that key=value text is looked up in by its finished name.
pub const METRICS: FieldId = FieldId(41);

/// Keys of metrics lines, less `sample#`, and the unit behind their values: of dynos, postgres, redis and pgbouncer, each
/// in the order in which they are sent.
pub const METRIC_KEYS: &[(&str, &str)] = &[
    ("load_avg_1m", ""),
    ("load_avg_5m", ""),
    ("load_avg_15m", ""),
    ("memory_total", "MB"),
    ("memory_rss", "MB"),
    ("memory_cache", "MB"),
    ("memory_swap", "MB"),
    ("memory_pgpgin", "pages"),
    ("memory_pgpgout", "pages"),
    ("memory_quota", "MB"),
    ("current_transaction", ""),
    ("db_size", "bytes"),
    ("tables", ""),
    ("active-connections", ""),
    ("waiting-connections", ""),
    ("index-cache-hit-rate", ""),
    ("table-cache-hit-rate", ""),
    ("load-avg-1m", ""),
    ("load-avg-5m", ""),
    ("load-avg-15m", ""),
    ("read-iops", ""),
    ("write-iops", ""),
    ("tmp-disk-used", ""),
    ("tmp-disk-available", ""),
    ("memory-total", "kB"),
    ("memory-free", "kB"),
    ("memory-cached", "kB"),
    ("memory-postgres", "kB"),
    ("follower-lag-commits", ""),
    ("wal-percentage-used", ""),
    ("active-connections", ""),
    ("max-connections", ""),
    ("connection-percentage-used", ""),
    ("load-avg-1m", ""),
    ("load-avg-5m", ""),
    ("load-avg-15m", ""),
    ("read-iops", ""),
    ("write-iops", ""),
    ("memory-total", "kB"),
    ("memory-free", "kB"),
    ("memory-cached", "kB"),
    ("memory-redis", "bytes"),
    ("hit-rate", ""),
    ("evicted-keys", ""),
    ("max-iops", ""),
    ("iops-percentage-used", ""),
    ("memory-percentage-used", ""),
    ("client_active", ""),
    ("client_waiting", ""),
    ("server_active", ""),
    ("server_idle", ""),
    ("max_wait", ""),
    ("avg_query", ""),
    ("avg_recv", ""),
    ("avg_sent", ""),
];

/// The field with this name among those from `METRICS` on.
pub fn metric(name: &[u8]) -> Option<FieldId> {
    let first = METRICS.0 as usize;
    let at = FIELDS[first..].iter().position(|known| known.as_bytes() == name)?;
    Some(FieldId((first + at) as u8))
}

/// How the value of a router line's key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Text,
    /// A number, `ms` behind it or not.
    Millis,
    Count,
    Bool,
}

/// The keys of a router line's right end, in the order in which they are shown.
pub const ROUTER_TAIL: &[(&str, FieldId, Shape)] = &[
    ("dyno", DYNO, Shape::Text),
    ("queue", QUEUE, Shape::Count),
    ("wait", WAIT_MS, Shape::Millis),
    ("connect", CONNECT_MS, Shape::Millis),
    ("service", SERVICE_MS, Shape::Millis),
    ("status", STATUS, Shape::Count),
    ("bytes", BYTES, Shape::Count),
    ("protocol", PROTOCOL, Shape::Text),
    ("tls", TLS, Shape::Bool),
    ("tls_version", TLS_VERSION, Shape::Text),
    ("agent", AGENT, Shape::Text),
    ("sock", SOCK, Shape::Text),
];

/// The keys of a router line that are read only left of `method=`.
pub const ROUTER_HEAD: &[(&str, FieldId)] =
    &[("at", AT), ("code", CODE), ("desc", DESC), ("cause", CAUSE), ("sock", SOCK)];

/// The one code whose lines carry the client's `agent` inside, not at their right end.
pub const AGENT_CODE: &[u8] = b"H31";

/// A unit behind a number: what the name gains, and what the number is multiplied with; 0 keeps its digits.
#[derive(Clone, Copy, Debug)]
pub struct Unit {
    pub written: &'static str,
    pub suffix: &'static str,
    pub factor: u64,
}

pub const UNITS: &[Unit] = &[
    Unit { written: "ms", suffix: "_ms", factor: 0 },
    Unit { written: "kB", suffix: "_bytes", factor: 1 << 10 },
    Unit { written: "MB", suffix: "_bytes", factor: 1 << 20 },
    Unit { written: "bytes", suffix: "_bytes", factor: 1 },
    Unit { written: "pages", suffix: "_pages", factor: 0 },
];

/// Levels of the codes that are not warnings; an unknown R code is an error, an unknown L code a warning.
const CODE_LEVELS: &[(&[u8], Severity)] = &[
    (b"R10", Severity::Critical),
    (b"R12", Severity::Warning),
    (b"R13", Severity::Warning),
    (b"R14", Severity::Critical),
    (b"R15", Severity::Critical),
    (b"R16", Severity::Warning),
    (b"R17", Severity::Critical),
    (b"R99", Severity::Warning),
    (b"L13", Severity::Critical),
];

/// How severe an R or L code is; `None` for any other letter.
pub fn code_level(code: &[u8]) -> Option<Severity> {
    let known = CODE_LEVELS.iter().find(|(name, _)| *name == code).map(|(_, level)| *level);
    match code.first() {
        Some(b'R') => Some(known.unwrap_or(Severity::Error)),
        Some(b'L') => Some(known.unwrap_or(Severity::Warning)),
        _ => None,
    }
}

/// Words for a level, as senders write them; case is ignored where a key names the level.
pub const LEVEL_WORDS: &[(&str, Severity)] = &[
    ("TRACE", Severity::Debug),
    ("DEBUG", Severity::Debug),
    ("INFO", Severity::Info),
    ("NOTICE", Severity::Notice),
    ("WARN", Severity::Warning),
    ("WARNING", Severity::Warning),
    ("ERR", Severity::Error),
    ("ERROR", Severity::Error),
    ("CRIT", Severity::Critical),
    ("CRITICAL", Severity::Critical),
    ("FATAL", Severity::Critical),
    ("ALERT", Severity::Alert),
    ("EMERG", Severity::Emergency),
];

/// Further words that count only as the value of a key.
pub const LEVEL_VALUES: &[(&str, Severity)] = &[
    ("EMERGENCY", Severity::Emergency),
    ("10", Severity::Debug),
    ("20", Severity::Debug),
    ("30", Severity::Info),
    ("40", Severity::Warning),
    ("50", Severity::Error),
    ("60", Severity::Critical),
];

/// The letter that Ruby's logger begins a line with.
pub const RUBY_LEVELS: &[(u8, Severity)] = &[
    (b'D', Severity::Debug),
    (b'I', Severity::Info),
    (b'W', Severity::Warning),
    (b'E', Severity::Error),
    (b'F', Severity::Critical),
];

/// Names of a JSON body's level, in the order in which they are asked.
pub const LEVEL_NAMES: &[&str] = &["level", "severity", "lvl"];

/// What postgres writes before a colon, and the severity where it has one.
pub const POSTGRES_LEVELS: &[(&str, Option<Severity>)] = &[
    ("LOG", None),
    ("ERROR", Some(Severity::Error)),
    ("FATAL", Some(Severity::Critical)),
    ("PANIC", Some(Severity::Critical)),
    ("WARNING", Some(Severity::Warning)),
    ("NOTICE", None),
    ("INFO", None),
    ("DEBUG1", None),
    ("DEBUG2", None),
    ("DEBUG3", None),
    ("DEBUG4", None),
    ("DEBUG5", None),
    ("DETAIL", None),
    ("STATEMENT", None),
    ("HINT", None),
    ("CONTEXT", None),
    ("QUERY", None),
    ("LOCATION", None),
];

fn in_words(words: &[(&'static str, Severity)], word: &[u8]) -> Option<Severity> {
    words.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word)).map(|(_, level)| *level)
}

/// The severity that the value of a level key stands for, ignoring case.
pub fn level_of_value(value: &[u8]) -> Option<Severity> {
    in_words(LEVEL_WORDS, value).or_else(|| in_words(LEVEL_VALUES, value))
}

/// The severity of a word in capitals.
pub fn level_of_word(word: &[u8]) -> Option<Severity> {
    LEVEL_WORDS.iter().find(|(name, _)| name.as_bytes() == word).map(|(_, level)| *level)
}

fn word_ends(text: &[u8], at: usize) -> bool {
    text.get(at).is_none_or(|byte| !byte.is_ascii_alphanumeric())
}

/// `[HRL]` of `letters` and two digits at the start of `text`, no word going on behind them.
pub fn code_at<'a>(text: &'a [u8], letters: &[u8]) -> Option<&'a [u8]> {
    let code = text.get(..3)?;
    let fits = letters.contains(&code[0]) && code[1].is_ascii_digit() && code[2].is_ascii_digit();
    (fits && word_ends(text, 3)).then_some(code)
}

impl Process {
    fn fits(self, process: &[u8]) -> bool {
        match self {
            Process::Any => true,
            Process::Is(names) => names.iter().any(|name| name.as_bytes() == process),
            Process::Starts(name) => process.starts_with(name.as_bytes()),
            Process::Numbered(name) => process
                .strip_prefix(name.as_bytes())
                .and_then(|rest| rest.strip_prefix(b"."))
                .is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit)),
        }
    }
}

impl Words {
    fn fits(self, text: &[u8]) -> bool {
        let starts = |word: &str| text.starts_with(word.as_bytes());
        match self {
            Words::Any => true,
            Words::Start(words) => words.iter().any(|word| starts(word) && word_ends(text, word.len())),
            Words::Prefix(word) => starts(word),
            Words::Has(part) => has(text, part.as_bytes()),
            Words::PrefixAndHas(words, part) => {
                words.iter().any(|word| starts(word)) && has(text, part.as_bytes())
            }
            Words::Code(letters) => {
                text.strip_prefix(b"Error ").is_some_and(|rest| code_at(rest, letters).is_some())
            }
        }
    }
}

/// Whether `part` stands in `text`. Looks for its `#`, which is rare, where it has one: no searcher is built a line.
fn has(text: &[u8], part: &[u8]) -> bool {
    let anchor = memchr::memchr(b'#', part).unwrap_or(0);
    let stands = |at: usize| at >= anchor && text[at - anchor..].starts_with(part);
    part.is_empty() || memchr::memchr_iter(part[anchor], text).any(stands)
}

/// The kind of a message; `text` is without ANSI.
pub fn kind(source: &[u8], process: &[u8], text: &[u8]) -> KindId {
    let fits = |rule: &&KindRule| {
        rule.source.is_none_or(|name| name.as_bytes() == source)
            && rule.process.fits(process)
            && rule.words.fits(text)
    };
    KIND_RULES.iter().chain(PLATFORM_RULES).find(fits).map_or(OTHER, |rule| rule.kind)
}

/// The kind of a message from source `heroku` of which PROCID tells nothing.
pub fn platform_kind(text: &[u8]) -> KindId {
    PLATFORM_RULES.iter().find(|rule| rule.words.fits(text)).map_or(OTHER, |rule| rule.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_name_their_fields() {
        let ids = [
            (AT, "at"),
            (CODE, "code"),
            (LOST, "lost"),
            (STATUS, "status"),
            (DESC, "desc"),
            (CAUSE, "cause"),
            (SOCK, "sock"),
            (METHOD, "method"),
            (PATH, "path"),
            (HOST, "host"),
            (REQUEST_ID, "request_id"),
            (FWD, "fwd"),
            (CLIENT_IP, "client_ip"),
            (TITLE, "title"),
            (DETAIL, "detail"),
            (FROM_STATE, "from_state"),
            (TO_STATE, "to_state"),
            (COMMAND, "command"),
            (USER, "user"),
            (EXIT_STATUS, "exit_status"),
            (MEMORY_MB, "memory_mb"),
            (MEMORY_PERCENT, "memory_percent"),
            (DYNO_ID, "dyno_id"),
            (SOURCE, "source"),
            (ADDON, "addon"),
            (COLOR, "color"),
            (LINE, "line"),
            (CHUNK, "chunk"),
            (SQL_ERROR_CODE, "sql_error_code"),
            (LEVEL, "level"),
            (DB_USER, "db_user"),
            (METRICS, "load_avg_1m"),
        ];
        for (id, name) in ids {
            assert_eq!(FIELDS[id.0 as usize], name);
        }
        for (key, id, shape) in ROUTER_TAIL {
            let unit = if *shape == Shape::Millis { "_ms" } else { "" };
            assert_eq!(FIELDS[id.0 as usize], format!("{key}{unit}"));
        }
        for (key, id) in ROUTER_HEAD {
            assert_eq!(FIELDS[id.0 as usize], *key);
        }
        for (at, name) in FIELDS.iter().enumerate() {
            assert_eq!(FIELDS.iter().position(|other| other == name), Some(at), "`{name}` is there twice");
        }
    }

    #[test]
    fn the_first_kind_that_matches_wins() {
        let cases: &[(&str, &str, &str, &str)] = &[
            ("heroku", "router", "at=info", "router"),
            ("app", "router", "at=info", "app"),
            ("t.x", "router", "at=info method=GET", "other"),
            ("heroku", "logplex", "Error L10 (output buffer overflow): 1 messages", "upstream_loss"),
            ("t.x", "log-shuttle", "Error L13: 2 messages lost", "upstream_loss"),
            ("heroku", "logplex", "Error L11 (Tail buffer overflow)", "error_code"),
            ("heroku", "logplex", "Error L101", "error_code"),
            ("heroku", "logplex", "L11 (Tail buffer overflow)", "other"),
            ("app", "log-shuttle", "State changed from a to b", "other"),
            ("heroku", "api", "Build started by user u", "api"),
            ("app", "api", "Build succeeded", "api"),
            ("heroku", "slugc", "Slug compilation started", "build"),
            ("heroku", "slug-compiler", "x", "build"),
            ("app", "heroku-postgres", "source=X sample#tables=1", "addon_metric"),
            ("app", "heroku-pgbouncer", "source=X sample#max_wait=1", "addon_metric"),
            ("app", "heroku-pgbouncer", "LOG stats", "app"),
            ("app", "heroku-postgres", "[DATABASE] [1-1] LOG:  x", "postgres_log"),
            ("app", "postgres", "x", "postgres_log"),
            ("app", "postgres.12", "x", "postgres_log"),
            ("app", "postgres.", "x", "app"),
            ("app", "postgres.web", "x", "app"),
            ("app", "heroku-redis", "x", "redis_log"),
            ("app", "redis", "x", "redis_log"),
            ("heroku", "web.1", "source=web.1 dyno=heroku.1.u sample#load_avg_1m=0.0", "runtime_load"),
            ("heroku", "web.1", "dyno=heroku.1.u source=web.1 sample#memory_rss=1MB", "runtime_memory"),
            ("heroku", "web.1", "a source=web.1 sample#memory_rss=1MB", "other"),
            ("app", "web.1", "source=web.1 sample#memory_rss=1MB", "app"),
            ("heroku", "web.1", "Error R14 (Memory quota exceeded)", "error_code"),
            ("heroku", "web.1", "Error L11 (x)", "error_code"),
            ("heroku", "web.1", "Error H12 (x)", "other"),
            ("heroku", "web.1", "Error R145", "other"),
            ("app", "web.1", "Error R14 (Memory quota exceeded)", "app"),
            ("heroku", "web.1", "State changed from up to down", "dyno_state"),
            ("app", "web.1", "State changed from up to crashed", "app"),
            ("heroku", "web.1", "Starting process with command `x`", "dyno_start"),
            ("heroku", "web.1", "Process exited", "dyno_exit"),
            ("heroku", "web.1", "Process running mem=870M(170.1%)", "dyno_memory"),
            ("heroku", "web.1", "Stopping all processes with SIGTERM", "dyno_lifecycle"),
            ("heroku", "web.1", "Unidling", "dyno_lifecycle"),
            ("heroku", "run.1", "Awaiting client", "dyno_lifecycle"),
            ("heroku", "run.1", "Client connection closed. Sending SIGHUP", "dyno_lifecycle"),
            ("heroku", "web.1", "Stoppings", "other"),
            ("heroku", "web.1", "Running process with command: `x`", "other"),
            ("heroku", "nginx", "x", "other"),
            ("", "", "", "other"),
        ];
        for (source, process, text, expected) in cases {
            let found = kind(source.as_bytes(), process.as_bytes(), text.as_bytes());
            assert_eq!(KINDS[found.0 as usize], *expected, "{source}[{process}]: {text}");
        }
    }

    #[test]
    fn codes_have_levels() {
        for (code, level) in [
            ("R14", Some(Severity::Critical)),
            ("R12", Some(Severity::Warning)),
            ("R77", Some(Severity::Error)),
            ("L10", Some(Severity::Warning)),
            ("L13", Some(Severity::Critical)),
            ("L77", Some(Severity::Warning)),
            ("H12", None),
        ] {
            assert_eq!(code_level(code.as_bytes()), level, "{code}");
        }
    }
}
