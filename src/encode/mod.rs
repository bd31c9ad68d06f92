//! The event in the forms in which it is written.
//!
//! A form appends one line of bytes to the caller's buffer and allocates nothing else. It decides nothing: what an event
//! says was found out before.

pub mod eventtracker;
pub mod json;

use crate::batch::{Batch, Identity, Run};
use crate::event::{Event, Field, KindId, Name, Span, Texts, Value};
use crate::parse::{heroku, time};
use crate::plan::{Drain, Plan};
use crate::simd::Vector;
use crate::simd::pen::{Pen, Stamp};

/// An event with all that its written form says.
pub struct Written<'a> {
    pub plan: &'a Plan,
    pub run: &'a Run,
    pub event: &'a Event,
    /// With bytes behind them that may be read, as `Batch::padded` has them, writing is faster.
    pub texts: Texts<'a>,
    pub fields: &'a [Field],
    /// What the pipeline says of its drain.
    pub drain: Option<&'a Drain>,
    /// What it says as the events around it do.
    pub alike: &'a Alike,
    /// The number that ends its id: `last_number`.
    pub last: u64,
    /// Its time as it is written.
    pub time: &'a time::Text,
    /// Its receive time as it is written.
    pub received: &'a time::Text,
    /// Its categories as a JSON array; empty if it has none.
    pub categories: &'a [u8],
}

impl<'a> Written<'a> {
    /// The configured name of the sender, or replay's stand-in.
    pub fn computer(&self) -> Option<&'a str> {
        computer(self.plan, self.drain)
    }

    /// The name of its kind.
    pub fn kind(&self) -> &'a str {
        kind(self.plan, self.event.kind)
    }

    /// The bytes of a span of the event.
    pub fn text(&self, span: Span) -> &'a [u8] {
        self.texts.get(span)
    }

    /// The name of one of its fields.
    pub fn name(&self, field: &Field) -> &'a [u8] {
        match field.name {
            Name::Known(id) => heroku::FIELDS[id.0 as usize].as_bytes(),
            Name::Text(span) => self.text(span),
        }
    }

    /// The value of the field called `name`.
    pub fn field(&self, name: &str) -> Option<Value> {
        let field = self.fields.iter().find(|field| self.name(field) == name.as_bytes())?;
        Some(field.value)
    }
}

fn computer<'a>(plan: &'a Plan, drain: Option<&'a Drain>) -> Option<&'a str> {
    drain.and_then(|drain| drain.computer.as_deref()).or(plan.default_computer.as_deref())
}

/// The name of a kind: of one that the parser knows, or of one of a pack.
fn kind(plan: &Plan, kind: KindId) -> &str {
    let of_pack = || plan.rules.as_ref().and_then(|rules| rules.kinds().get(kind.0 as usize));
    heroku::KINDS.get(kind.0 as usize).copied().or_else(|| of_pack().map(|kind| &**kind)).unwrap_or_default()
}

/// What events of one run and drain say alike, written once for all that follow one another.
#[derive(Default)]
pub struct Alike {
    /// Their ids up to the last number.
    id: Stamp,
    json: json::Alike,
    /// Where their drain lies in memory, 0 for none; only to be compared, while the plan is the same.
    drain: Option<usize>,
    scratch: Vec<u8>,
}

impl Alike {
    /// Turns to a run; before an event is written, it has to turn to the event's drain.
    #[inline(always)]
    pub fn turn_to_run<V: Vector>(&mut self, vector: V, plan: &Plan, batch: &Batch, run: &Run) {
        self.scratch.clear();
        let mut pen = Pen::new(vector, &mut self.scratch);
        match &run.identity {
            Identity::Batch => {
                pen.copy(plan.instance.as_bytes());
                pen.byte(b'-');
                pen.number(batch.number);
            }
            Identity::Post { frame_id, .. } => pen.copy(frame_id.as_bytes()),
            Identity::File { file } => {
                pen.put(b"r-");
                pen.number(*file as u64);
            }
        }
        pen.byte(b'-');
        pen.finish();
        self.id.set(&self.scratch);
        self.drain = None;
    }

    /// Turns to events of a drain, unless it is that of the event before, in the same run.
    #[inline(always)]
    pub fn turn_to_drain<V: Vector>(&mut self, vector: V, plan: &Plan, run: &Run, drain: Option<&Drain>) {
        let place = drain.map_or(0, |drain| core::ptr::from_ref(drain).addr());
        if self.drain != Some(place) {
            self.drain = Some(place);
            let id = self.id.text();
            vector.apart(json::Turning { alike: &mut self.json, plan, run, drain, id });
        }
    }

    /// Appends the id that ends with `last`.
    #[inline(always)]
    pub fn id<V: Vector>(&self, vector: V, last: u64, out: &mut Vec<u8>) {
        let mut pen = Pen::new(vector, out);
        pen.stamp(&self.id);
        pen.number(last);
        pen.finish();
    }
}

/// The number that ends the id of the frame at `index` of the batch, which lies in `run`.
#[inline(always)]
pub fn last_number(batch: &Batch, run: &Run, index: u32) -> u64 {
    match &run.identity {
        Identity::Batch => index as u64 + 1,
        // Counted from the end: a retry may gain a frame in front.
        Identity::Post { first, .. } => *first as u64 - (index - run.first) as u64,
        Identity::File { .. } => batch.offsets[index as usize],
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use core::net::IpAddr;
    use std::sync::Arc;

    use super::*;
    use crate::batch::{Admission, Form, ListenerId, Origin};
    use crate::event::{Flags, Severity};
    use crate::plan::Listener;
    use crate::simd::Portable;

    pub fn plan() -> Plan {
        let listener = Listener::new("li\"stener");
        Plan { generation: 1, ..Plan::new("in5tance".into(), vec![Arc::new(listener)]) }
    }

    pub fn origin(peer: Option<IpAddr>) -> Origin {
        Origin {
            listener: ListenerId(0),
            peer,
            peer_name: None,
            token: None,
            user: None,
            labels: Vec::new(),
            logplex: false,
            form: Form::Syslog,
        }
    }

    pub fn run(origin: Origin, identity: Identity) -> Run {
        Run {
            origin: Arc::new(origin),
            first: 0,
            len: 1,
            identity,
            admission: Admission::Admitted,
            received_us: None,
            near_us: None,
        }
    }

    /// What the events of a run and a drain say alike, with ids that begin as given.
    pub fn alike(plan: &Plan, run: &Run, drain: Option<&Drain>, id: &[u8]) -> Alike {
        let mut alike = Alike::default();
        alike.id.set(id);
        alike.turn_to_drain(Portable, plan, run, drain);
        alike
    }

    /// An event of nothing but a message, the whole of the batch.
    pub fn event(batch: &[u8]) -> Event {
        let whole = Span::of(0, batch.len());
        Event {
            time_us: 0,
            received_us: 1,
            frame: whole,
            drain: Span::NONE,
            hostname: Span::NONE,
            source: Span::NONE,
            process: Span::NONE,
            msgid: Span::NONE,
            sd: Span::NONE,
            message: whole,
            kind: heroku::OTHER,
            severity: Severity::Info,
            pri: None,
            flags: Flags::NONE,
        }
    }

    #[test]
    fn ids() {
        let plan = plan();
        let mut batch = Batch::new(4096);
        batch.number = 7;
        batch.offsets = vec![0, 12, 90];
        let shown = |identity: Identity, first: u32, index: u32| {
            let mut run = run(origin(None), identity);
            run.first = first;
            let (mut alike, mut out) = (Alike::default(), Vec::new());
            alike.turn_to_run(Portable, &plan, &batch, &run);
            alike.id(Portable, last_number(&batch, &run, index), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(shown(Identity::Batch, 0, 0), "in5tance-7-1");
        assert_eq!(shown(Identity::Batch, 2, 4), "in5tance-7-5");
        let post =
            |first| Identity::Post { frame_id: "7f0c".into(), first, continues: false, lead_loss: None };
        assert_eq!(shown(post(12), 3, 3), "7f0c-12");
        assert_eq!(shown(post(12), 3, 14), "7f0c-1");
        assert_eq!(shown(Identity::File { file: 2 }, 1, 2), "r-2-90");
    }
}
