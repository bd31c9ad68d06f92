//! One frame through parser, rules and encoder, with all that they found.

use std::sync::Arc;

use serde_json::Value as Json;

use super::{Compiled, Pack};
use crate::batch::{Batch, Form, Identity, ListenerId, Number, Origin};
use crate::config::DeviceRule;
use crate::encode::{self, Alike, Written, json};
use crate::event::{Event, FACILITIES, Flags, Texts, Value};
use crate::parse::{self, Scratch};
use crate::plan::device::DeviceRules;
use crate::plan::rules::cond::{Key, Subject};
use crate::plan::rules::convert::Type;
use crate::plan::rules::plain::Parts;
use crate::plan::rules::{self, Matched, Program, RulesScratch, without_colours};
use crate::plan::{Listener, Plan};
use crate::simd::Portable;

/// A parser with rules behind it, that takes one frame at a time.
pub(super) struct Probe {
    plan: Arc<Plan>,
    origin: Arc<Origin>,
    scratch: Scratch,
    rules: RulesScratch,
    /// Declared fields with their types.
    types: Vec<(String, Type)>,
}

/// What became of a frame.
pub(super) struct Seen<'p> {
    pub matched: &'p Matched,
    /// The event as sinks get it.
    pub json: Json,
    /// Its parts as conditions see them, fields without output included.
    pub parts: Parts,
    /// Fields that knowledge objects wrote, and the object.
    pub writers: Vec<(String, String)>,
}

impl Probe {
    /// `tail` lets lines as `heroku logs` prints them be read.
    pub fn new(compiled: Compiled, types: Vec<(String, Type)>, tail: bool) -> Probe {
        let plan = Plan {
            rules: Some(compiled.program),
            watch: compiled.watch,
            ..Plan::new("test".into(), Vec::new())
        };
        let origin = Origin::of(ListenerId(0), if tail { Form::SyslogOrTail } else { Form::Syslog });
        let (scratch, rules) = (Scratch::default(), RulesScratch::default());
        Probe { plan: Arc::new(plan), origin: Arc::new(origin), scratch, rules, types }.knowing(&[])
    }

    /// With the device id rules of packs besides the built-in one.
    pub fn knowing(mut self, packs: &[Pack]) -> Probe {
        let built_in = DeviceRule::heroku();
        let built_in = (built_in.pattern(), built_in.token());
        let rules = super::device_rules([built_in], packs, built_in);
        let device_id = DeviceRules::new(&rules).expect("the packs' rules were checked");
        let listeners = vec![Arc::new(Listener { device_id, ..Listener::new("test") })];
        self.plan = Arc::new(Plan { listeners, ..(*self.plan).clone() });
        self
    }

    /// The plan that it has.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The rules that it runs.
    pub fn program(&self) -> &Arc<Program> {
        self.plan.rules.as_ref().expect("the probe has rules")
    }

    /// A batch of one frame.
    pub fn batch(&self, frame: &[u8], number: Number, received_us: i64) -> Batch {
        let mut batch = Batch::new(Batch::capacity_for(frame.len().max(1)));
        (batch.number, batch.received_us) = (number, received_us);
        let at = batch.append(frame);
        batch.push_frame(at, frame.len(), false);
        batch.close_run(&self.origin, Identity::Batch);
        batch
    }

    /// Processes a frame that arrives at `received_us`.
    pub fn see(&mut self, frame: &[u8], received_us: i64) -> Seen<'_> {
        let batch = self.batch(frame, 0, received_us);
        let run = &batch.runs[0];
        let mut event = parse::event(&self.plan, &batch, run, batch.frames[0], &mut self.scratch);
        let Scratch { made, fields, .. } = &mut self.scratch;
        rules::apply(&self.plan, run, batch.bytes(), &mut event, made, fields, &mut self.rules, |_| {});
        let texts = Texts { batch: batch.bytes(), made };
        let mut alike = Alike::default();
        alike.turn_to_run(Portable, &self.plan, &batch, run);
        alike.turn_to_drain(Portable, &self.plan, run, None);
        let written = Written {
            plan: &self.plan,
            run,
            event: &event,
            texts,
            fields,
            drain: None,
            alike: &alike,
            last: encode::last_number(&batch, run, 0),
            time: &parse::time::write(event.time_us),
            received: &parse::time::write(event.received_us),
            categories: &self.rules.matched().categories_json,
        };
        let mut line = Vec::new();
        json::write(Portable, &written, &mut line);
        let json = serde_json::from_slice(&line).expect("an event is JSON");
        let mut parts = parts_of(&self.types, &written, &event, texts);
        for (name, ty) in &self.types {
            let subject = Subject::Field(name.as_str().into());
            if let Some(value) = self.rules.value(name)
                && !parts.parts.iter().any(|(known, ..)| *known == subject)
            {
                parts.parts.push((subject, *ty, items(value, texts)));
            }
        }
        let objects = self.program().objects();
        let id = |object: Option<u32>| {
            object.map_or("worked out".to_string(), |object| objects[object as usize].to_string())
        };
        let writers = self.rules.writers().map(|(field, object)| (field.into(), id(object)));
        Seen { matched: self.rules.matched(), json, parts, writers: writers.collect() }
    }
}

/// The text of a value, or of each item of a list.
fn items(value: Value, texts: Texts) -> Vec<Vec<u8>> {
    match value {
        Value::Text(span) | Value::Raw(span) => vec![texts.get(span).to_vec()],
        Value::Int(n) => vec![n.to_string().into_bytes()],
        Value::Bool(b) => vec![b.to_string().into_bytes()],
        Value::List(span) => {
            texts.get(span).split(|byte| *byte == b',').map(|item| item.trim_ascii().to_vec()).collect()
        }
    }
}

/// The event's parts as texts, by what it says itself, not by what the rules made of it.
fn parts_of(types: &[(String, Type)], written: &Written, event: &Event, texts: Texts) -> Parts {
    let mut parts = Vec::new();
    let mut put = |subject: Subject, values: Vec<Vec<u8>>| {
        if values.iter().any(|value| !value.is_empty()) {
            parts.push((subject, Type::Text, values));
        }
    };
    let mut plain = Vec::new();
    without_colours(texts.get(event.message), &mut plain);
    let facility = event.facility().and_then(|index| FACILITIES.get(index as usize)).unwrap_or(&"");
    let flags = Flags::ALL.iter().filter(|(flag, _)| event.flags.has(*flag));
    for (key, values) in [
        (Key::Drain, vec![texts.get(event.drain).to_vec()]),
        (Key::Hostname, vec![texts.get(event.hostname).to_vec()]),
        (Key::Source, vec![texts.get(event.source).to_vec()]),
        (Key::Process, vec![texts.get(event.process).to_vec()]),
        (Key::Msgid, vec![texts.get(event.msgid).to_vec()]),
        (Key::Listener, vec![b"test".to_vec()]),
        (Key::Kind, vec![written.kind().into()]),
        (Key::Facility, vec![facility.as_bytes().to_vec()]),
        (Key::Severity, vec![event.severity.name().into()]),
        (Key::SentSeverity, vec![event.severity.name().into()]),
        (Key::Pri, event.pri.map(|pri| pri.to_string().into_bytes()).into_iter().collect()),
        (Key::Flags, flags.map(|(_, name)| name.as_bytes().to_vec()).collect()),
    ] {
        put(Subject::Key(key), values);
    }
    for field in written.fields {
        let name = String::from_utf8_lossy(written.name(field)).into_owned();
        put(Subject::Field(name.into()), items(field.value, texts));
    }
    for (subject, ty, _) in &mut parts {
        let declared = types.iter().find(|(name, _)| *subject == Subject::Field(name.as_str().into()));
        *ty = declared.map_or(Type::Text, |(_, ty)| *ty);
    }
    parts.push((Subject::Text, Type::Text, vec![plain]));
    Parts { parts }
}
