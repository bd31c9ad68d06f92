//! What is compared of an event that was read quickly and the same event read the general way.

use std::fmt::Write;

use weir::batch::{Batch, Frame};
use weir::event::{Event, Name, Span, Texts, Value};
use weir::parse::{self, Scratch};
use weir::plan::Plan;
use weir::simd::{Task, Vector};

/// One frame read quickly.
pub struct Quick<'a> {
    pub plan: &'a Plan,
    pub batch: &'a Batch,
    pub frame: Frame,
    pub scratch: &'a mut Scratch,
}

impl Task for Quick<'_> {
    type Output = Event;

    #[inline(always)]
    fn run<V: Vector>(self, vector: V) -> Event {
        parse::event_by(vector, self.plan, self.batch, &self.batch.runs[0], self.frame, self.scratch)
    }
}

/// All that an event says; without the fields of an application's JSON where they are not `read`.
pub fn shown(event: &Event, scratch: &Scratch, batch: &Batch, read: bool) -> String {
    let texts = Texts { batch: batch.bytes(), made: &scratch.made };
    let text = |span: Span| String::from_utf8_lossy(texts.get(span)).into_owned();
    let mut out = format!(
        "{:?} {:?} {:?} {:?} {:?} time {} received {} no_match {}",
        event.kind,
        event.severity,
        event.pri,
        event.flags,
        text(event.drain),
        event.time_us,
        event.received_us,
        scratch.no_match
    );
    for span in [event.hostname, event.source, event.process, event.msgid, event.sd, event.message] {
        write!(out, " {:?}", text(span)).unwrap();
    }
    if event.kind == parse::heroku::ROUTER {
        write!(out, " told {} {:?}", scratch.told.status, text(scratch.told.code)).unwrap();
    }
    let left_out = !read && event.kind == parse::heroku::APP;
    for field in scratch.fields.iter().filter(|_| !left_out) {
        let name = match field.name {
            Name::Known(id) => parse::heroku::FIELDS[id.0 as usize].to_string(),
            Name::Text(span) => text(span),
        };
        let value = match field.value {
            Value::Text(span) => format!("{:?}", text(span)),
            Value::Raw(span) => text(span),
            Value::Int(value) => value.to_string(),
            Value::Bool(value) => value.to_string(),
            Value::List(span) => format!("[{:?}]", text(span)),
        };
        write!(out, "\n  {name}={value}").unwrap();
    }
    out
}
