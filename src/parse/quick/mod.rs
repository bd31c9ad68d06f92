//! The usual lines, read at once: what Logplex and Heroku write all day, in its usual order, in plain ASCII.
//!
//! A frame's blanks and quotes are found 64 bytes at a time; the header and the fields are then cut out between them.
//! Whatever is not exactly as expected is left to the general way, from the message on or wholly: it decides what a line
//! means, and this only gets there sooner. `tests/same.rs` holds the two against each other.

mod body;
mod header;
mod metrics;
mod router;
mod view;
mod words;

use self::header::{Head, Minute};
use self::view::{Fields, Marks, View, text};
use super::text::{Row, Text};
use super::{Envelope, Scratch, finished, heroku, parsed, platform, received_us, sender};
use crate::batch::{Batch, Form, Frame, Run};
use crate::event::{Event, Flags, KindId, Severity, Span};
use crate::plan::Plan;
use crate::simd::Vector;

/// What is kept from one frame to the next.
#[derive(Default)]
pub(super) struct Quick {
    marks: Marks,
    minute: Minute,
}

/// The event that `frame` of `run` is, if its header is as usual.
#[inline(always)]
pub(super) fn event<V: Vector>(
    vector: V,
    plan: &Plan,
    batch: &Batch,
    run: &Run,
    frame: Frame,
    scratch: &mut Scratch,
) -> Option<Event> {
    // What is tried last of a frame does not matter: a usual header is found first.
    if !matches!(run.origin.form, Form::Syslog | Form::SyslogOrTail) {
        return None;
    }
    let (bytes, span) = (batch.padded(), frame.span());
    let view = View::new(bytes, span.start())?;
    let quick = &mut scratch.quick;
    if !quick.marks.read(vector, view, line_end(view, span.len())) {
        return None;
    }
    let head = header::header(vector, view, &quick.marks, &mut quick.minute)?;
    let drain = match head.token.is_empty() {
        false => head.token,
        true => sender(plan, run, bytes, span, scratch),
    };
    let (at, end) = (head.message_at, scratch.quick.marks.end);
    let told = match scratch.quick.marks.odd && !is_plain_text(view, &head, span.len(), end) {
        false => fields(vector, plan, view, &head, scratch),
        true => None,
    };
    let Some((kind, severity)) = told else {
        let event = by_message(plan, run, bytes, span, view.span(at, span.len()), &head, scratch);
        return Some(finished(event, plan, batch, run, frame, drain, Some(head.time_us)));
    };
    Some(Event {
        time_us: head.time_us,
        received_us: received_us(plan, batch, run, Some(head.time_us)),
        frame: span,
        drain,
        hostname: Span::NONE,
        source: head.source,
        process: head.process,
        msgid: Span::NONE,
        sd: Span::NONE,
        message: view.span(at, end),
        kind,
        severity: severity.unwrap_or(Severity::Info),
        pri: Some(head.pri),
        flags: if frame.truncated { Flags::TRUNCATED } else { Flags::NONE },
    })
}

/// Bytes in which a whole header is looked for where the message does not matter.
const WINDOW: usize = 127;

/// The time in the header of the frame that the first `len` bytes of `padded` are, if that is as usual.
#[inline(always)]
pub(super) fn time_us<V: Vector>(vector: V, padded: &[u8], len: usize, quick: &mut Quick) -> Option<i64> {
    let view = View::new(padded, 0)?;
    quick.marks.read(vector, view, line_end(view, len).min(WINDOW));
    let head = header::header(vector, view, &quick.marks, &mut quick.minute)?;
    // Where the window cuts a field, its end is not known.
    (len <= WINDOW || head.message_at <= WINDOW).then_some(head.time_us)
}

/// The event of a frame whose header alone is as usual.
#[inline(never)]
fn by_message(
    plan: &Plan,
    run: &Run,
    bytes: &[u8],
    frame: Span,
    message: Span,
    head: &Head,
    scratch: &mut Scratch,
) -> Event {
    scratch.fields.clear();
    let envelope = Envelope {
        pri: Some(head.pri),
        source: head.source,
        process: head.process,
        token: head.token,
        heroku: true,
        message,
        ..Envelope::default()
    };
    parsed(plan, run, bytes, frame, envelope, scratch)
}

/// Length of a frame without its one final LF or CR LF.
#[inline(always)]
fn line_end(view: View, len: usize) -> usize {
    if len == 0 || view.byte(len - 1) != b'\n' {
        return len;
    }
    if len > 1 && view.byte(len - 2) == b'\r' { len - 2 } else { len - 1 }
}

const HEROKU: u64 = text(b"heroku");
const APP: u64 = text(b"app");
const ROUTER: u64 = text(b"router");
const API: u64 = text(b"api");

/// Appends the fields of a plain message; the kind and the severity that it tells. `None`: not as usual.
#[inline(always)]
fn fields<V: Vector>(
    vector: V,
    plan: &Plan,
    view: View,
    head: &Head,
    scratch: &mut Scratch,
) -> Option<(KindId, Option<Severity>)> {
    let (marks, at) = (&scratch.quick.marks, head.message_at);
    let row = &mut Fields(&mut scratch.fields);
    let own = is_own(view.byte(head.process_at));
    match (head.source_word, head.process_word) {
        (HEROKU, ROUTER) => {
            let severity = router::fields(view, marks, at, &plan.trusted, row, &mut scratch.told)?;
            Some((heroku::ROUTER, severity))
        }
        (HEROKU, _) if own && view.stands(at, b"source=") => {
            Some((metrics::runtime(vector, view, marks, at, row)?, None))
        }
        (APP, _) if own => {
            let row = Row { made: &mut scratch.made, fields: row.0 };
            let row = scratch.fields_read.then_some(row);
            Some((heroku::APP, words::level(vector, view, marks, at, row)?))
        }
        (APP, _) if view.stands(head.process_at, b"heroku-") => {
            metrics::addon(vector, view, marks, at, head.process_at, row)?;
            Some((heroku::ADDON_METRIC, None))
        }
        (HEROKU, _) if own => Some(told(heroku::platform_kind(view.get(at, marks.end)), view, head, scratch)),
        (_, API) => Some(told(heroku::API, view, head, scratch)),
        _ => None,
    }
}

/// A line of the platform itself: rare enough to be read as all are.
fn told(kind: KindId, view: View, head: &Head, scratch: &mut Scratch) -> (KindId, Option<Severity>) {
    let (at, end) = (head.message_at, scratch.quick.marks.end);
    let message = Text::new(view.get(at, end), view.span(at, end));
    let mut row = Row { made: &mut scratch.made, fields: &mut scratch.fields };
    (kind, platform::fields(kind, message, &mut row))
}

/// Whether all that is odd in a frame is a backslash or UTF-8, in text where neither means anything.
#[inline(never)]
fn is_plain_text(view: View, head: &Head, len: usize, end: usize) -> bool {
    let message = view.get(head.message_at, end);
    (is_own(view.byte(head.process_at)) || head.process_word == API)
        && !message.iter().any(|byte| *byte < b' ')
        && core::str::from_utf8(view.get(0, len)).is_ok()
}

/// Whether no PROCID that begins so makes a kind of its own: `web.1`, `worker.2`.
#[inline(always)]
fn is_own(first: u8) -> bool {
    !matches!(first, b'a' | b'h' | b'l' | b'p' | b'r' | b's')
}
