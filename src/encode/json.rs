//! The event as one line of JSON, CONTRACT.md section 5.
//!
//! Always valid JSON in valid UTF-8, without a line break but the one that ends it. Text is replaced as
//! `String::from_utf8_lossy` does, value by value, and escaped no more than JSON demands.

#[cfg(test)]
mod tests;

use core::net::IpAddr;
use std::fmt::Write;

use super::Written;
use crate::batch::Run;
use crate::event::{FACILITIES, FieldId, Flags, KindId, Name, Severity, Span, Value};
use crate::limits::SD_NAMES;
use crate::parse::{heroku, sd};
use crate::plan::{Drain, Plan};
use crate::simd::pen::{Pen, Piece, Stamp};
use crate::simd::{Portable, Task, Vector};

/// `,"name":` of every field that the plan knows, by `FieldId`; as many as there can be, so that none is out of bounds.
static NAMES: [Piece; 256] = pieces(",\"", heroku::FIELDS, "\":");
/// The same with the quote that opens a text.
static TEXT_NAMES: [Piece; 256] = pieces(",\"", heroku::FIELDS, "\":\"");
/// `,"kind":"name"`, by `KindId`.
static KINDS: [Piece; heroku::KINDS.len()] = pieces(",\"kind\":\"", heroku::KINDS, "\"");
static FACILITY: [Piece; FACILITIES.len()] = pieces(",\"facility\":\"", &FACILITIES, "\"");
static SEVERITY: [Piece; Severity::NAMES.len()] = pieces(",\"severity\":\"", &Severity::NAMES, "\"");

/// Each name between two texts; empty names where there are fewer than `N`.
const fn pieces<const N: usize>(before: &str, names: &[&str], behind: &str) -> [Piece; N] {
    let (mut all, mut index) = ([Piece::of(&[before, behind]); N], 0);
    while index < names.len() {
        all[index] = Piece::of(&[before, names[index], behind]);
        index += 1;
    }
    all
}

/// What events of one run and drain say alike.
#[derive(Default)]
pub(super) struct Alike {
    /// The line up to the last number of the id.
    start: Stamp,
    /// The keys from `computer` to `peer`.
    sender: Stamp,
    scratch: Vec<u8>,
}

/// Turns `alike` to a run and a drain; `id` is the ids of the run's events without the last number.
pub(super) struct Turning<'a> {
    pub alike: &'a mut Alike,
    pub plan: &'a Plan,
    pub run: &'a Run,
    pub drain: Option<&'a Drain>,
    pub id: &'a [u8],
}

impl Task for Turning<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, vector: V) {
        let Turning { alike: Alike { start, sender, scratch }, plan, run, drain, id } = self;
        scratch.clear();
        let mut pen = Pen::new(vector, scratch);
        pen.put(b"{\"id\":\"");
        pen.inner_text(id, 0..id.len());
        pen.finish();
        start.set(scratch);

        scratch.clear();
        let mut pen = Pen::new(vector, scratch);
        text_if_any(b",\"computer\":\"", super::computer(plan, drain).unwrap_or_default(), &mut pen);
        let (own, sent) = (drain.map_or(&[][..], |drain| &drain.labels), &run.origin.labels[..]);
        if !own.is_empty() || !sent.is_empty() {
            pen.apart(|pen| labels(own, sent, pen));
        }
        text_if_any(b",\"listener\":\"", &plan.listener(run.origin.listener).name, &mut pen);
        match (&run.origin.peer_name, run.origin.peer) {
            (Some(name), _) => text_if_any(b",\"peer\":\"", name, &mut pen),
            (None, Some(peer)) => pen.apart(|pen| address(peer.to_canonical(), pen)),
            (None, None) => {}
        }
        pen.finish();
        sender.set(scratch);
    }
}

fn address(address: IpAddr, pen: &mut Pen<Portable>) {
    pen.put(b",\"peer\":\"");
    match address {
        IpAddr::V4(v4) => {
            for (index, octet) in v4.octets().into_iter().enumerate() {
                if index > 0 {
                    pen.byte(b'.');
                }
                pen.number(octet as u64);
            }
        }
        IpAddr::V6(v6) => write!(pen, "{v6}").expect("a pen takes all text"),
    }
    pen.byte(b'"');
}

/// Appends the event and one LF.
#[inline(always)]
pub fn write<V: Vector>(vector: V, event: &Written, out: &mut Vec<u8>) {
    let row = event.event;
    let alike = &event.alike.json;
    let mut pen = Pen::new(vector, out);
    // `id` stands first and always, so that every later key follows a comma.
    pen.stamp(&alike.start);
    pen.number(event.last);
    pen.put_three(b"\",\"time\":\"", event.time, b"\",\"received\":\"");
    pen.put_three(event.received, b"\"", b"");
    span_if_any(event, b",\"drain\":\"", row.drain, &mut pen);
    pen.stamp(&alike.sender);
    span_if_any(event, b",\"hostname\":\"", row.hostname, &mut pen);
    span_if_any(event, b",\"source\":\"", row.source, &mut pen);
    span_if_any(event, b",\"process\":\"", row.process, &mut pen);
    span_if_any(event, b",\"msgid\":\"", row.msgid, &mut pen);
    if !row.sd.is_empty() {
        let data = event.text(row.sd);
        pen.apart(move |pen| structured_data(data, pen));
    }
    classes(event, &mut pen);
    if let Some(pri) = row.pri {
        pen.piece_number(const { &Piece::of(&[",\"pri\":"]) }, pri as u64);
    }
    if !row.flags.is_empty() {
        let set = row.flags;
        pen.apart(move |pen| flags(set, pen));
    }
    fields(event, &mut pen);
    let (whole, part) = event.texts.around(row.message);
    pen.text(b",\"message\":\"", whole, part);
    pen.put(b"}\n");
    pen.finish();
}

/// Appends a name and a text of the event, unless the text is empty.
#[inline(always)]
fn span_if_any<V: Vector, const N: usize>(event: &Written, name: &[u8; N], span: Span, pen: &mut Pen<V>) {
    if !span.is_empty() {
        let (whole, part) = event.texts.around(span);
        pen.text(name, whole, part);
    }
}

/// Appends a name and a text, unless the text is empty.
#[inline(always)]
fn text_if_any<V: Vector, const N: usize>(name: &[u8; N], text: &str, pen: &mut Pen<V>) {
    if !text.is_empty() {
        pen.text(name, text.as_bytes(), 0..text.len());
    }
}

/// What the pipeline says of the drain and what the request says, by name; the pipeline's own win.
fn labels(own: &[Label], sent: &[Label], pen: &mut Pen<Portable>) {
    // Few enough that searching for the next name beats keeping them in order.
    let next = |after: Option<&str>| {
        let later = own.iter().chain(sent).filter(|(name, _)| after.is_none_or(|after| **name > *after));
        later.min_by(|(a, _), (b, _)| a.cmp(b))
    };
    pen.put(b",\"labels\":");
    let labels = Object::open(pen);
    let mut label = next(None);
    while let Some((name, value)) = label {
        pen.text(b",\"", name.as_bytes(), 0..name.len());
        pen.text(b":\"", value.as_bytes(), 0..value.len());
        label = next(Some(name));
    }
    labels.close(pen);
}

type Label = (Box<str>, Box<str>);

/// `{"id":{"param":"value"}}`. Of equal names the last counts.
fn structured_data(data: &[u8], pen: &mut Pen<Portable>) {
    pen.put(b",\"sd\":");
    let by_id = Object::open(pen);
    let ids = Names::of(sd::elements(data).map(|element| element.id));
    for (_, element) in sd::elements(data).enumerate().filter(|(index, _)| ids.is_last(*index)) {
        pen.text(b",\"", element.id, 0..element.id.len());
        pen.byte(b':');
        let params = Object::open(pen);
        let names = Names::of(element.params.map(|(name, _)| name));
        for (_, (name, value)) in element.params.enumerate().filter(|(index, _)| names.is_last(*index)) {
            pen.text(b",\"", name, 0..name.len());
            pen.put(b":\"");
            for piece in sd::unescaped(value) {
                pen.inner_text(piece, 0..piece.len());
            }
            pen.byte(b'"');
        }
        params.close(pen);
    }
    by_id.close(pen);
}

/// Names in the order in which they were sent.
struct Names<'a> {
    names: [&'a [u8]; SD_NAMES],
    /// How many there are; more than `SD_NAMES` are not told apart.
    len: usize,
}

impl<'a> Names<'a> {
    fn of(all: impl Iterator<Item = &'a [u8]>) -> Names<'a> {
        let mut names = Names { names: [&[]; SD_NAMES], len: 0 };
        for name in all {
            if let Some(place) = names.names.get_mut(names.len) {
                *place = name;
            }
            names.len += 1;
        }
        names
    }

    /// Whether no equal name follows the one at `index`.
    fn is_last(&self, index: usize) -> bool {
        self.len > SD_NAMES || !self.names[index + 1..self.len].contains(&self.names[index])
    }
}

/// Kind, categories, facility and severity.
#[inline(always)]
fn classes<V: Vector>(event: &Written, pen: &mut Pen<V>) {
    let row = event.event;
    let facility =
        row.facility().and_then(|facility| FACILITY.get(facility as usize)).unwrap_or(&Piece::EMPTY);
    let severity = &SEVERITY[row.severity as usize];
    match KINDS.get(row.kind.0 as usize) {
        Some(kind) if event.categories.is_empty() => pen.pieces([kind, facility, severity]),
        _ => {
            let (plan, kind, categories) = (event.plan, row.kind, event.categories);
            pen.apart(move |pen| kind_and_categories(plan, kind, categories, pen));
            pen.pieces([facility, severity]);
        }
    }
}

/// A kind that the parser knows or that a pack names, and the full ids of the categories, written when they were found.
fn kind_and_categories(plan: &Plan, kind: KindId, categories: &[u8], pen: &mut Pen<Portable>) {
    match KINDS.get(kind.0 as usize) {
        Some(kind) => pen.piece(kind),
        None => {
            pen.put(b",\"kind\":\"");
            pen.copy(super::kind(plan, kind).as_bytes());
            pen.byte(b'"');
        }
    }
    if !categories.is_empty() {
        pen.put(b",\"categories\":");
        pen.copy(categories);
    }
}

fn flags(flags: Flags, pen: &mut Pen<Portable>) {
    pen.put(b",\"flags\":[");
    for (index, (_, name)) in Flags::ALL.iter().filter(|(flag, _)| flags.has(*flag)).enumerate() {
        if index > 0 {
            pen.byte(b',');
        }
        pen.text(b"\"", name.as_bytes(), 0..name.len());
    }
    pen.byte(b']');
}

#[inline(always)]
fn fields<V: Vector>(event: &Written, pen: &mut Pen<V>) {
    pen.put(b",\"fields\":");
    let fields = Object::open(pen);
    for field in event.fields {
        match field.name {
            Name::Known(FieldId(id)) => match field.value {
                Value::Text(span) => {
                    let (whole, part) = event.texts.around(span);
                    pen.piece_text(&TEXT_NAMES[id as usize], whole, part);
                }
                Value::Int(n) => pen.piece_number(&NAMES[id as usize], n),
                other => {
                    pen.piece(&NAMES[id as usize]);
                    value(event, other, pen);
                }
            },
            Name::Text(name) => {
                let (whole, part) = event.texts.around(name);
                pen.text(b",\"", whole, part);
                pen.byte(b':');
                value(event, field.value, pen);
            }
        }
    }
    fields.close(pen);
}

#[inline(always)]
fn value<V: Vector>(event: &Written, value: Value, pen: &mut Pen<V>) {
    match value {
        Value::Text(span) => {
            let (whole, part) = event.texts.around(span);
            pen.text(b"\"", whole, part);
        }
        Value::Raw(span) => {
            // Between the items of an array there may be line breaks.
            let (whole, part) = event.texts.around(span);
            pen.unbroken(whole, part);
        }
        Value::Int(n) => pen.number(n),
        Value::Bool(true) => pen.put(b"true"),
        Value::Bool(false) => pen.put(b"false"),
        Value::List(span) => {
            let (whole, part) = event.texts.around(span);
            pen.list(whole, part);
        }
    }
}

/// An object whose members are being written, each with a comma in front.
pub(super) struct Object {
    start: usize,
}

impl Object {
    #[inline(always)]
    pub(super) fn open<V: Vector>(pen: &Pen<V>) -> Object {
        Object { start: pen.len() }
    }

    /// Makes the first comma the brace that opens the object.
    #[inline(always)]
    pub(super) fn close<V: Vector>(self, pen: &mut Pen<V>) {
        if pen.len() == self.start {
            return pen.put(b"{}");
        }
        pen.replace(self.start, b'{');
        pen.byte(b'}');
    }
}
