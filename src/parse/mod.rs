//! From a frame's bytes to an event: header, kind, fields, severity, device id.
//!
//! `event` never fails: a frame that is neither RFC 5424 nor RFC 3164 becomes an event of kind `other`. Nothing is
//! allocated an event once the scratch has grown: made text and fields go to the caller's `Scratch`.

pub mod heroku;
mod ingest;
pub mod json;
mod level;
mod logfmt;
mod platform;
mod postgres;
mod quick;
pub mod router;
pub mod sd;
pub mod syslog;
#[cfg(test)]
mod tests;
mod text;
pub mod time;
pub mod times;

use jiff::tz::TimeZone;
use memchr::memchr;

use crate::batch::{Batch, Form, Frame, Run};
use crate::event::{Event, Field, FieldId, Flags, Name, Severity, Span, Value};
use crate::plan::device::DeviceScratch;
use crate::plan::{Plan, Received};
use crate::simd::Vector;
use json::Json;
use quick::Quick;
use router::Told;
use text::{Row, Text};

/// What belongs to the event at hand; emptied before the next one.
pub struct Scratch {
    /// The arena of made text.
    pub made: Vec<u8>,
    pub fields: Vec<Field>,
    /// Device id rules were tried on the event and none named its sender.
    pub no_match: bool,
    /// A made message, to be read while the arena is written.
    message: Vec<u8>,
    /// The message without ANSI, to be read while the arena is written.
    plain: Vec<u8>,
    json: Json,
    device: DeviceScratch,
    quick: Quick,
    /// Whether somebody reads fields: if not, those of JSON bodies need not be made.
    pub fields_read: bool,
    /// Of a router line; of any other event it says nothing.
    pub told: Told,
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch {
            made: Vec::new(),
            fields: Vec::new(),
            no_match: false,
            message: Vec::new(),
            plain: Vec::new(),
            json: Json::default(),
            device: DeviceScratch::default(),
            quick: Quick::default(),
            fields_read: true,
            told: Told::default(),
        }
    }
}

impl Scratch {
    fn clear(&mut self) {
        self.made.clear();
        self.fields.clear();
        self.no_match = false;
    }

    fn value(&self, id: FieldId) -> Option<Value> {
        self.fields.iter().find(|field| field.name == Name::Known(id)).map(|field| field.value)
    }

    /// What `told` would be of a router line that has the fields of the event at hand.
    pub fn told_by_fields(&self) -> Told {
        let code = match self.value(heroku::CODE) {
            Some(Value::Text(span)) => span,
            _ => Span::NONE,
        };
        Told { status: self.int(heroku::STATUS).unwrap_or(0), code }
    }

    /// The value of a whole-number field of the event at hand.
    pub fn int(&self, id: FieldId) -> Option<u64> {
        match self.value(id)? {
            Value::Int(value) => Some(value),
            _ => None,
        }
    }

    /// The value of a text field of the event at hand; `batch` is the bytes of its batch.
    pub fn text<'a>(&'a self, id: FieldId, batch: &'a [u8]) -> Option<&'a [u8]> {
        match self.value(id)? {
            Value::Text(span) => Some(crate::event::Texts { batch, made: &self.made }.get(span)),
            _ => None,
        }
    }
}

/// What is known of a frame before its message is read.
#[derive(Clone, Copy, Default)]
struct Envelope {
    pri: Option<u8>,
    time_us: Option<i64>,
    hostname: Span,
    source: Span,
    process: Span,
    msgid: Span,
    sd: Span,
    /// The drain token that the frame itself names.
    token: Span,
    /// What `severity` of a JSON record says.
    severity: Option<Severity>,
    /// A Heroku sender: its PRI tells no severity.
    heroku: bool,
    flags: Flags,
    message: Span,
}

/// The event that `frame` of `run` is, read as quickly as it can be.
#[inline(always)]
pub fn event_by<V: Vector>(
    vector: V,
    plan: &Plan,
    batch: &Batch,
    run: &Run,
    frame: Frame,
    scratch: &mut Scratch,
) -> Event {
    scratch.clear();
    match quick::event(vector, plan, batch, run, frame, scratch) {
        Some(event) => event,
        None => event(plan, batch, run, frame, scratch),
    }
}

/// The event that `frame` of `run` is, read the general way: it alone decides what a frame means.
pub fn event(plan: &Plan, batch: &Batch, run: &Run, frame: Frame, scratch: &mut Scratch) -> Event {
    scratch.clear();
    let received_us = arrived_us(batch, run);
    let listener = plan.listener(run.origin.listener);
    let (bytes, span) = (batch.bytes(), frame.span());
    let envelope = match run.origin.form {
        Form::Syslog | Form::SyslogOrTail => {
            let tail = run.origin.form == Form::SyslogOrTail;
            let near_us = run.near_us.unwrap_or(received_us);
            syslog::header(bytes, span, tail, near_us, &listener.time_zone).map(of_header)
        }
        Form::IngestJson => Some(ingest::record(Text::new(&bytes[span.start()..span.end()], span), scratch)),
        Form::IngestText => Some(Envelope { message: span, ..Envelope::default() }),
    };
    let drain = match envelope {
        Some(Envelope { token, .. }) if !token.is_empty() => token,
        _ => sender(plan, run, bytes, span, scratch),
    };
    let event = match envelope {
        Some(envelope) => parsed(plan, run, bytes, span, envelope, scratch),
        None => unparsed(bytes, span),
    };
    let time_us = envelope.and_then(|envelope| envelope.time_us);
    finished(event, plan, batch, run, frame, drain, time_us)
}

/// The event with what its surroundings say.
fn finished(
    event: Event,
    plan: &Plan,
    batch: &Batch,
    run: &Run,
    frame: Frame,
    drain: Span,
    time_us: Option<i64>,
) -> Event {
    let mut flags = event.flags;
    if frame.truncated {
        flags.set(Flags::TRUNCATED);
    }
    let received_us = received_us(plan, batch, run, time_us);
    Event { drain, received_us, time_us: time_us.unwrap_or(arrived_us(batch, run)), flags, ..event }
}

/// When the frame came.
fn arrived_us(batch: &Batch, run: &Run) -> i64 {
    run.received_us.unwrap_or(batch.received_us)
}

/// What the event says of when it came.
fn received_us(plan: &Plan, batch: &Batch, run: &Run, time_us: Option<i64>) -> i64 {
    match (plan.received, time_us) {
        (Received::Event, Some(time_us)) => time_us,
        _ => arrived_us(batch, run),
    }
}

/// How many messages `frame` says are lost, if it is a loss notice.
pub fn loss_notice(frame: &[u8]) -> Option<u64> {
    let header = syslog::header(frame, Span::of(0, frame.len()), false, 0, &TimeZone::UTC)?;
    let of = |span: Span| &frame[span.start()..span.end()];
    let text = of(header.message);
    let kind = heroku::kind(of(header.source), of(header.process), text);
    (kind == heroku::UPSTREAM_LOSS).then(|| platform::lost(text))?
}

fn of_header(header: syslog::Header) -> Envelope {
    let mut flags = Flags::NONE;
    if header.pri.is_none() {
        flags.set(Flags::NO_PRI);
    }
    if header.time_us.is_none() {
        flags.set(Flags::BAD_TIME);
    }
    Envelope {
        pri: header.pri,
        time_us: header.time_us,
        hostname: header.hostname,
        source: header.source,
        process: header.process,
        msgid: header.msgid,
        sd: header.sd,
        token: header.token,
        severity: None,
        heroku: header.heroku,
        flags,
        message: header.message,
    }
}

/// The text that `span` of `bytes` is, without its one final LF or CR LF.
fn line(bytes: &[u8], span: Span) -> Text<'_> {
    let text = &bytes[span.start()..span.end()];
    let rest = text.strip_suffix(b"\n").map_or(text, |rest| rest.strip_suffix(b"\r").unwrap_or(rest));
    Text::new(rest, span.slice(0, rest.len()))
}

/// A frame that is no message that we know: all of it is the message.
fn unparsed(bytes: &[u8], frame: Span) -> Event {
    Event {
        time_us: 0,
        received_us: 0,
        frame,
        drain: Span::NONE,
        hostname: Span::NONE,
        source: Span::NONE,
        process: Span::NONE,
        msgid: Span::NONE,
        sd: Span::NONE,
        message: line(bytes, frame).span,
        kind: heroku::OTHER,
        severity: Severity::Info,
        pri: None,
        flags: Flags::UNPARSED,
    }
}

/// The event of a frame whose envelope is known; drain and times are the caller's.
fn parsed(
    plan: &Plan,
    run: &Run,
    bytes: &[u8],
    frame: Span,
    envelope: Envelope,
    scratch: &mut Scratch,
) -> Event {
    let mut message_copy = core::mem::take(&mut scratch.message);
    let mut plain_copy = core::mem::take(&mut scratch.plain);
    let message = match envelope.message {
        made if made.is_made() => {
            let shown = line(&scratch.made, made);
            message_copy.clear();
            message_copy.extend_from_slice(shown.bytes);
            Text::new(&message_copy, shown.span)
        }
        sent => line(bytes, sent),
    };
    let plain = match memchr(0x1b, message.bytes) {
        None => message,
        Some(_) => {
            let start = scratch.made.len();
            text::without_ansi(message.bytes, &mut scratch.made);
            plain_copy.clear();
            plain_copy.extend_from_slice(&scratch.made[start..]);
            Text::new(&plain_copy, Span::made(start, scratch.made.len()))
        }
    };
    let of = |span: Span| match span.is_made() {
        true => &scratch.made[span.start()..span.end()],
        false => &bytes[span.start()..span.end()],
    };
    let kind = heroku::kind(of(envelope.source), of(envelope.process), plain.bytes);
    let shown =
        [envelope.hostname, envelope.source, envelope.process, envelope.msgid, envelope.sd, message.span];
    let valid = of(frame).is_ascii()
        || core::str::from_utf8(of(frame)).is_ok()
        || shown.iter().all(|span| core::str::from_utf8(of(*span)).is_ok());
    let mut flags = envelope.flags;
    if !valid {
        flags.set(Flags::INVALID_UTF8);
    }
    let mut row = Row { made: &mut scratch.made, fields: &mut scratch.fields };
    let told = match kind {
        heroku::ROUTER => router::fields(message, &plan.trusted, &mut row, &mut scratch.told),
        heroku::POSTGRES_LOG => postgres::fields(message, &mut row),
        heroku::ADDON_METRIC => {
            logfmt::addon(plain, &mut row);
            None
        }
        heroku::RUNTIME_LOAD | heroku::RUNTIME_MEMORY => {
            logfmt::runtime(plain, &mut row);
            None
        }
        heroku::APP => {
            let body = json::candidate(message);
            let read = body.is_none_or(|body| scratch.json.fields(body, &mut row).is_ok());
            if !read {
                flags.set(Flags::BAD_JSON);
            }
            level::own(body.filter(|_| read), plain.bytes, &row)
        }
        _ => platform::fields(kind, plain, &mut row),
    };
    let by_pri = envelope.pri.filter(|_| !envelope.heroku && !run.origin.logplex).map(Severity::of_pri);
    let message = message.span;
    scratch.message = message_copy;
    scratch.plain = plain_copy;
    Event {
        message,
        kind,
        severity: envelope.severity.or(told).or(by_pri).unwrap_or(Severity::Info),
        pri: envelope.pri,
        hostname: envelope.hostname,
        source: envelope.source,
        process: envelope.process,
        msgid: envelope.msgid,
        sd: envelope.sd,
        flags,
        ..unparsed(bytes, frame)
    }
}

/// The sender, where the frame names none: what the request says, else what a device id rule finds, else the plan's
/// stand-in.
fn sender(plan: &Plan, run: &Run, bytes: &[u8], frame: Span, scratch: &mut Scratch) -> Span {
    if let Some(token) = run.origin.token.as_deref().filter(|token| !token.is_empty()) {
        return made(token, scratch);
    }
    let rules = &plan.listener(run.origin.listener).device_id;
    if !rules.is_empty() {
        if let Some(found) = rules.find(&bytes[frame.start()..frame.end()], &mut scratch.device) {
            return frame.slice(found.start, found.end);
        }
        scratch.no_match = true;
    }
    plan.default_drain.as_deref().map_or(Span::NONE, |drain| made(drain, scratch))
}

fn made(text: &str, scratch: &mut Scratch) -> Span {
    let start = scratch.made.len();
    scratch.made.extend_from_slice(text.as_bytes());
    Span::made(start, scratch.made.len())
}
