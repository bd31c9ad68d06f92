//! The event in the forms in which it is written.
//!
//! A form appends one line of bytes to the caller's buffer and allocates nothing else. It decides nothing: what an event
//! says was found out before.

pub mod eventtracker;
pub mod json;

use crate::batch::{Batch, Identity, Run};
use crate::event::{Event, Field, Name, Span, Texts, Value};
use crate::parse::heroku;
use crate::plan::{Drain, Plan};

/// An event with all that its written form says.
pub struct Written<'a> {
    pub plan: &'a Plan,
    pub run: &'a Run,
    pub event: &'a Event,
    pub texts: Texts<'a>,
    pub fields: &'a [Field],
    /// What the pipeline says of its drain.
    pub drain: Option<&'a Drain>,
    /// Its `id`.
    pub id: &'a [u8],
    /// Its receive time as it is written: the same for whole batches, so made once for all of them.
    pub received: [u8; 27],
    /// Its categories as a JSON array; empty if it has none.
    pub categories: &'a [u8],
}

impl<'a> Written<'a> {
    /// The configured name of the sender, or replay's stand-in.
    pub fn computer(&self) -> Option<&'a str> {
        self.drain.and_then(|drain| drain.computer.as_deref()).or(self.plan.default_computer.as_deref())
    }

    /// The name of its kind: one that the parser knows, or one of a pack.
    pub fn kind(&self) -> &'a str {
        let index = self.event.kind.0 as usize;
        let of_pack = || self.plan.rules.as_ref().and_then(|rules| rules.kinds().get(index));
        heroku::KINDS.get(index).copied().or_else(|| of_pack().map(|kind| &**kind)).unwrap_or_default()
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

/// Appends the id of the frame at `index` of the batch, which lies in `run`.
pub fn id(plan: &Plan, batch: &Batch, run: &Run, index: u32, out: &mut Vec<u8>) {
    let last = match &run.identity {
        Identity::Batch => {
            out.extend_from_slice(plan.instance.as_bytes());
            out.push(b'-');
            number(batch.number, out);
            index as u64 + 1
        }
        Identity::Post { frame_id, first, .. } => {
            out.extend_from_slice(frame_id.as_bytes());
            // Counted from the end: a retry may gain a frame in front.
            *first as u64 - (index - run.first) as u64
        }
        Identity::File { file } => {
            out.extend_from_slice(b"r-");
            number(*file as u64, out);
            batch.offsets[index as usize]
        }
    };
    out.push(b'-');
    number(last, out);
}

/// Appends `n` in decimal.
pub(crate) fn number(n: u64, out: &mut Vec<u8>) {
    // Most numbers are ports, counts and parts of addresses.
    if n < 10 {
        return out.push(b'0' + n as u8);
    }
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut left = n;
    while left >= 10 {
        let pair = (left % 100) as u8;
        left /= 100;
        at -= 2;
        digits[at] = b'0' + pair / 10;
        digits[at + 1] = b'0' + pair % 10;
    }
    if left > 0 {
        at -= 1;
        digits[at] = b'0' + left as u8;
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
pub(crate) mod tests {
    use core::net::IpAddr;
    use std::sync::Arc;

    use jiff::tz::TimeZone;

    use super::*;
    use crate::batch::{Admission, Form, ListenerId, Origin};
    use crate::event::{Flags, Severity};
    use crate::plan::device::DeviceRules;
    use crate::plan::{Listener, OnNoMatch, Received};

    pub fn plan() -> Plan {
        let listener = Listener {
            name: "li\"stener".into(),
            count_only: false,
            time_zone: TimeZone::UTC,
            device_id: DeviceRules::default(),
            on_no_match: OnNoMatch::Accept,
        };
        Plan {
            generation: 1,
            instance: "in5tance".into(),
            listeners: vec![Arc::new(listener)],
            drains: Default::default(),
            default_drain: None,
            default_computer: None,
            trusted: Vec::new(),
            zone: TimeZone::UTC,
            received: Received::Arrival,
            outputs: Vec::new(),
            rules: None,
        }
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
            let mut out = Vec::new();
            id(&plan, &batch, &run, index, &mut out);
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

    #[test]
    fn numbers() {
        for n in [0, 9, 10, 99, 100, 1234567890, u64::MAX] {
            let mut out = Vec::new();
            number(n, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), n.to_string());
        }
    }
}
