//! weir's own log: text or JSON lines on standard error, a repeated complaint limited to one line a second.

use std::collections::HashMap;
use std::fmt;
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, format};
use tracing_subscriber::registry::LookupSpan;

use crate::config::{Log, LogFormat};

/// The target of what answers somebody, such as a refused reload: each is written, however alike or close together.
pub const ANSWER: &str = "weir::answer";
/// How long a complaint is silent after it was written.
const SILENT: Duration = Duration::from_secs(1);

/// Starts logging. A second call in one process changes nothing.
pub fn start(log: Log) {
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_max_level(level(log));
    // Only tests start twice.
    let _ = match log.format {
        LogFormat::Text => builder.event_format(Limited::new(format().with_target(false))).try_init(),
        LogFormat::Json => {
            let json = format().json().flatten_event(true).with_current_span(false).with_span_list(false);
            let fields = format::JsonFields::new();
            builder.fmt_fields(fields).event_format(Limited::new(json)).try_init()
        }
    };
}

fn level(log: Log) -> Level {
    log.level.as_str().parse().expect("tracing knows its own levels")
}

/// When a complaint was last written, and how often it has been swallowed since.
struct Heard {
    at: Instant,
    swallowed: u64,
}

/// Writes a warning or an error at most once a second from each place that makes it.
struct Limited<F> {
    inner: F,
    heard: Mutex<HashMap<Identifier, Heard>>,
}

impl<F> Limited<F> {
    fn new(inner: F) -> Limited<F> {
        Limited { inner, heard: Mutex::new(HashMap::new()) }
    }

    /// Whether to write it now, and how many were swallowed since the last one.
    fn admit(&self, event: &Event<'_>, now: Instant) -> Option<u64> {
        if *event.metadata().level() > Level::WARN || event.metadata().target() == ANSWER {
            return Some(0);
        }
        let mut heard = self.heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match heard.get_mut(&event.metadata().callsite()) {
            Some(last) if now.duration_since(last.at) < SILENT => {
                last.swallowed += 1;
                None
            }
            Some(last) => {
                last.at = now;
                Some(std::mem::take(&mut last.swallowed))
            }
            None => {
                heard.insert(event.metadata().callsite(), Heard { at: now, swallowed: 0 });
                Some(0)
            }
        }
    }
}

/// Fields of a log line, with the count of what was swallowed.
impl<S, N, F> FormatEvent<S, N> for Limited<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(swallowed) = self.admit(event, Instant::now()) else { return Ok(()) };
        if swallowed == 0 {
            return self.inner.format_event(context, to, event);
        }
        // A writer of one's own has no colours.
        let mut line = String::new();
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        let line = line.trim_end_matches('\n');
        match line.strip_suffix('}') {
            Some(json) if json.starts_with('{') => writeln!(to, "{json},\"repeated\":{swallowed}}}"),
            _ => writeln!(to, "{line} repeated={swallowed}"),
        }
    }
}
