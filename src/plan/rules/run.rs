//! A program over one event.

use core::fmt::Write;
use std::sync::Arc;

use ipnet::IpNet;
use regex_automata::Input;
use regex_automata::meta::Cache;
use regex_automata::util::captures::Captures;

use super::cond::{How, Key, Subject, glob};
use super::convert::Number;
use super::matcher::Bit;
use super::program::{LazyOp, Node, Phase, Program, Purpose, SlotId};
use super::scratch::{Colours, Matched, RulesScratch, WORKED_OUT};
use super::value::{each_item, each_of_key, label, number_of, text_of, without_colours};
use crate::batch;
use crate::event::{Event, Field, KindId, Span, Texts, Value};
use crate::plan::Plan;

/// The kind of what nothing knows.
const OTHER: KindId = KindId(0);

/// What an event says that is not in its frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct Around<'a> {
    pub listener: &'a str,
    /// How the event shows its sender's address or name.
    pub peer: &'a str,
    pub computer: &'a str,
    /// Of the drain, then of the request; of equal names the first counts.
    pub labels: [&'a [(Box<str>, Box<str>)]; 2],
    /// Proxies that `last_untrusted` looks past.
    pub trusted: &'a [IpNet],
}

/// An event on its way through the rules: what they may read and what they add to.
pub struct Subjects<'a> {
    pub event: &'a mut Event,
    pub batch: &'a [u8],
    /// The arena; texts that are made go to its end.
    pub made: &'a mut Vec<u8>,
    pub fields: &'a mut Vec<Field>,
    pub around: Around<'a>,
}

/// Runs the rules over an event whose header, kind and fields are known. May change its kind and severity, and adds the
/// fields that knowledge objects find. Nothing is allocated once the scratch has grown.
pub fn run(program: &Arc<Program>, subjects: &mut Subjects, scratch: &mut RulesScratch) {
    scratch.fit(program);
    scratch.truth.begin();
    for slot in scratch.filled.drain(..) {
        scratch.values[slot as usize] = None;
        scratch.writers[slot as usize] = 0;
    }
    scratch.writing = 0;
    scratch.colours = Colours::Unknown;
    scratch.text_done = false;
    scratch.objects.clear();
    scratch.forget();
    let mut run = Run { program, subjects, scratch };
    run.all();
}

/// Runs the plan's rules, if it has any, over an event that was just parsed; see [`run`]. `then` sees what they found.
#[allow(clippy::too_many_arguments, reason = "the pieces of one loop over a batch")]
pub fn apply(
    plan: &Plan,
    run: &batch::Run,
    batch: &[u8],
    event: &mut Event,
    made: &mut Vec<u8>,
    fields: &mut Vec<Field>,
    scratch: &mut RulesScratch,
    then: impl FnOnce(&Seen<'_, '_>),
) {
    let Some(program) = &plan.rules else { return };
    let origin = &run.origin;
    let mut peer = core::mem::take(&mut scratch.peer);
    peer.clear();
    let mut around = Around {
        listener: &plan.listener(origin.listener).name,
        trusted: &plan.trusted,
        ..Around::default()
    };
    if program.asks_around {
        if program.asks_peer {
            match (&origin.peer_name, origin.peer) {
                (Some(name), _) => peer.push_str(name),
                (None, Some(address)) => {
                    write!(peer, "{}", address.to_canonical()).expect("a String takes all text");
                }
                (None, None) => {}
            }
        }
        let token = || core::str::from_utf8(Texts { batch, made }.get(event.drain)).ok();
        let drain =
            if plan.drains.is_empty() { None } else { token().and_then(|token| plan.drains.get(token)) };
        let computer = drain.and_then(|drain| drain.computer.as_deref()).or(plan.default_computer.as_deref());
        around.computer = computer.unwrap_or_default();
        around.labels = [drain.map_or(&[], |drain| &drain.labels), &origin.labels];
        around.peer = &peer;
    }
    let mut subjects = Subjects { event, batch, made, fields, around };
    self::run(program, &mut subjects, scratch);
    then(&Seen { program, subjects: &subjects, scratch });
    scratch.peer = peer;
}

/// An event with what rules found of it, to be read.
pub struct Seen<'s, 'a> {
    program: &'s Program,
    subjects: &'s Subjects<'a>,
    scratch: &'s RulesScratch,
}

impl Seen<'_, '_> {
    pub fn matched(&self) -> &Matched {
        self.scratch.matched()
    }

    pub fn event(&self) -> &Event {
        self.subjects.event
    }

    /// The bytes that a span of the event stands for.
    pub fn text(&self, span: Span) -> &[u8] {
        text_of(self.subjects, span)
    }

    pub fn around(&self) -> &Around<'_> {
        &self.subjects.around
    }

    /// The fields that an output shows.
    pub fn fields(&self) -> &[Field] {
        self.subjects.fields
    }

    /// Where the texts of the event lie.
    pub fn texts(&self) -> Texts<'_> {
        Texts { batch: self.subjects.batch, made: self.subjects.made }
    }

    /// What a slot reads, and its value if it is a field.
    pub fn slot(&self, slot: SlotId) -> (&Subject, Option<Value>) {
        (&self.program.slots[slot as usize].subject, self.scratch.values[slot as usize])
    }

    /// What the rules left behind.
    pub fn scratch(&self) -> &RulesScratch {
        self.scratch
    }

    /// Calls `see` with the value of a slot, or with each item of a list; not at all if it is absent.
    pub fn each(&self, slot: SlotId, see: &mut dyn FnMut(&[u8])) {
        match &self.program.slots[slot as usize].subject {
            Subject::Text => see(self.scratch.message(self.subjects)),
            Subject::Key(key) => each_of_key(self.program, self.subjects, *key, see),
            Subject::Label(name) => {
                if let Some(value) = label(&self.subjects.around, name) {
                    see(value.as_bytes());
                }
            }
            Subject::Field(_) => {
                if let Some(value) = self.scratch.values[slot as usize] {
                    each_item(self.subjects, value, see);
                }
            }
        }
    }

    /// The value of a field's slot.
    pub fn value(&self, slot: SlotId) -> Option<Value> {
        self.scratch.values[slot as usize]
    }

    /// The value of a field as the number it counts as.
    pub fn number(&self, slot: SlotId) -> Option<Number> {
        let slot_of = &self.program.slots[slot as usize];
        if let Subject::Key(Key::Pri) = slot_of.subject {
            return self.event().pri.map(|pri| Number::of(pri.into()));
        }
        number_of(self.subjects, slot_of.ty, self.scratch.values[slot as usize]?)
    }
}

pub(super) struct Run<'r, 'a> {
    pub program: &'r Program,
    pub subjects: &'r mut Subjects<'a>,
    pub scratch: &'r mut RulesScratch,
}

impl Run<'_, '_> {
    fn all(&mut self) {
        let program = self.program;
        self.start();
        if program.wants_fields {
            self.load_fields();
        }
        if !self.scratch.objects.is_empty() {
            self.extract();
        }
        self.scratch.writing = WORKED_OUT;
        self.take();
        for place in 0..self.scratch.filled.len() {
            let slot = self.scratch.filled[place];
            if program.slots[slot as usize].asks {
                self.match_value(slot);
            }
        }
        self.derive();
        self.set_all(&program.by_severity, self.subjects.event.severity as usize);
        self.phase(Phase::Last);
        self.scratch.sort(program);
    }

    /// All that is known before fields are looked at: keys, labels, objects, kind.
    pub(super) fn work_out_start(&mut self) {
        let program = self.program;
        self.scratch.truth.bits.fill(0);
        for (candidates, always) in self.scratch.truth.candidates.iter_mut().zip(&program.always) {
            candidates.extend_from_slice(always);
        }
        for (key, slot) in &program.keys_first {
            self.match_key(*key, *slot);
        }
        for (name, slot) in &program.labels {
            if let Some(value) = label(&self.subjects.around, name) {
                self.match_text(*slot, value.as_bytes());
            }
        }
        if program.any_rule[Phase::First as usize] {
            self.phase(Phase::First);
            self.kind();
        }
        self.set_all(&program.by_kind, self.subjects.event.kind.0 as usize);
        if program.any_rule[Phase::ByKind as usize] {
            self.phase(Phase::ByKind);
        }
    }

    /// Sets the bits that a key's value makes true.
    fn set_all(&mut self, by_value: &[Box<[Bit]>], value: usize) {
        for bit in by_value.get(value).map_or(&[][..], |bits| bits) {
            self.scratch.truth.set(self.program, *bit);
        }
    }

    /// Puts the message without colours aside, if it has any.
    pub(super) fn strip_colours(&mut self) {
        if self.scratch.colours == Colours::Unknown {
            let message = text_of(self.subjects, self.subjects.event.message);
            self.scratch.colours = match memchr::memchr(0x1b, message) {
                None => Colours::None,
                Some(_) => {
                    self.scratch.plain.clear();
                    without_colours(message, &mut self.scratch.plain);
                    Colours::Some
                }
            };
        }
    }

    pub(super) fn match_message(&mut self) {
        if core::mem::replace(&mut self.scratch.text_done, true) {
            return;
        }
        let Some(slot) = self.program.text else { return };
        self.strip_colours();
        let plain = core::mem::take(&mut self.scratch.plain);
        let text = match self.scratch.colours {
            Colours::Some => &plain[..],
            _ => text_of(self.subjects, self.subjects.event.message),
        };
        let RulesScratch { truth, lower, .. } = &mut *self.scratch;
        let program = self.program;
        let matcher = &program.slots[slot as usize].matcher;
        matcher.present(&mut |bit| truth.set(program, bit));
        matcher.text(text, lower, &mut |bit| truth.set(program, bit));
        self.scratch.plain = plain;
    }

    fn match_key(&mut self, key: Key, slot: SlotId) {
        let program = self.program;
        let matcher = &program.slots[slot as usize].matcher;
        let RulesScratch { truth, lower, .. } = &mut *self.scratch;
        let mut any = false;
        each_of_key(program, self.subjects, key, &mut |text| {
            any = true;
            if matcher.wants_text() {
                matcher.text(text, lower, &mut |bit| truth.set(program, bit));
            }
        });
        if any {
            matcher.present(&mut |bit| truth.set(program, bit));
        }
        if key == Key::Pri
            && matcher.wants_number()
            && let Some(pri) = self.subjects.event.pri
        {
            matcher.number(Number::of(pri.into()), &mut |bit| truth.set(program, bit));
        }
    }

    fn match_text(&mut self, slot: SlotId, text: &[u8]) {
        let program = self.program;
        let matcher = &program.slots[slot as usize].matcher;
        let RulesScratch { truth, lower, .. } = &mut *self.scratch;
        matcher.present(&mut |bit| truth.set(program, bit));
        matcher.text(text, lower, &mut |bit| truth.set(program, bit));
    }

    pub(super) fn match_value(&mut self, slot: SlotId) {
        let Some(value) = self.scratch.values[slot as usize] else { return };
        let program = self.program;
        let slot = &program.slots[slot as usize];
        let matcher = &slot.matcher;
        let RulesScratch { truth, lower, .. } = &mut *self.scratch;
        matcher.present(&mut |bit| truth.set(program, bit));
        if matcher.wants_number()
            && let Some(number) = number_of(self.subjects, slot.ty, value)
        {
            matcher.number(number, &mut |bit| truth.set(program, bit));
        }
        if matcher.wants_text() {
            each_item(self.subjects, value, &mut |text| {
                matcher.text(text, lower, &mut |bit| truth.set(program, bit));
            });
        }
    }

    /// Evaluates the rules of a phase that may hold.
    fn phase(&mut self, phase: Phase) {
        let program = self.program;
        let need = &program.text_need[phase as usize];
        if need.always || need.guards.any_in(&self.scratch.truth.bits) {
            self.match_message();
        }
        let candidates = core::mem::take(&mut self.scratch.truth.candidates[phase as usize]);
        for rule in &candidates {
            let rule = &program.rules[*rule as usize];
            if !self.holds(rule.root) {
                continue;
            }
            match rule.purpose {
                Purpose::Object(object, index) => self.scratch.objects.push((object, index)),
                Purpose::Found(found, index) => self.scratch.add().list(found).push(index),
            }
        }
        self.scratch.truth.candidates[phase as usize] = candidates;
    }

    pub(super) fn holds(&mut self, node: u32) -> bool {
        match self.program.nodes[node as usize] {
            Node::Bit(bit) => self.scratch.truth.has(bit),
            Node::Not(inner) => !self.holds(inner),
            Node::All { first, len } => (first..first + len).all(|node| self.holds(node)),
            Node::Any { first, len } => (first..first + len).any(|node| self.holds(node)),
            Node::Lazy(lazy) => self.decide(lazy),
        }
    }

    fn decide(&mut self, index: u32) -> bool {
        let program = self.program;
        let lazy = &program.lazies[index as usize];
        if lazy.guard.is_some_and(|bit| !self.scratch.truth.has(bit)) {
            return false;
        }
        let (event, known) = self.scratch.lazies[index as usize];
        if event == self.scratch.truth.event {
            return known;
        }
        self.strip_colours();
        let mut holds = false;
        match &lazy.op {
            LazyOp::Regex(regex) => {
                let at = *regex as usize;
                let mut search = self.search(at);
                let regex = &program.regexes[at];
                self.each(lazy.slot, &mut |text| {
                    holds = holds
                        || regex.search_half_with(&mut search.0, &Input::new(text).earliest(true)).is_some();
                });
                self.scratch.searches[at] = Some(search);
            }
            LazyOp::Glob { pattern, cased } => {
                self.each(lazy.slot, &mut |text| holds = holds || glob(pattern, text, *cased));
            }
            LazyOp::Same(other) => {
                let number = |slot: SlotId| {
                    let value = self.scratch.values[slot as usize]?;
                    number_of(self.subjects, program.slots[slot as usize].ty, value)
                };
                holds = match (number(lazy.slot), number(*other)) {
                    (Some(a), Some(b)) => a == b,
                    _ => {
                        self.each(lazy.slot, &mut |a| {
                            self.each(*other, &mut |b| holds = holds || How::Equals.holds(a, b, false));
                        });
                        holds
                    }
                };
            }
        }
        self.scratch.lazies[index as usize] = (self.scratch.truth.event, holds);
        holds
    }

    pub(super) fn search(&mut self, at: usize) -> Box<(Cache, Captures)> {
        let regex = &self.program.regexes[at];
        let made = || Box::new((regex.create_cache(), regex.create_captures()));
        self.scratch.searches[at].take().unwrap_or_else(made)
    }

    /// Calls `see` with the value of a slot, or with each item of a list.
    pub(super) fn each(&self, slot: SlotId, see: &mut dyn FnMut(&[u8])) {
        Seen { program: self.program, subjects: self.subjects, scratch: self.scratch }.each(slot, see);
    }

    /// Brings the objects that match into document order, one rule each, and takes the kind from the first that has one.
    fn kind(&mut self) {
        let objects = &mut self.scratch.objects;
        in_order(objects);
        let gives = objects.iter().find_map(|(object, _)| {
            let kind = self.program.objects[*object as usize].kind?;
            Some((*object, kind))
        });
        if let Some((object, kind)) = gives
            && (object < self.program.builtin_at || self.subjects.event.kind == OTHER)
        {
            self.subjects.event.kind = kind;
        }
    }
}

/// Brings objects that match, each with its rule, into document order, one rule each.
pub(super) fn in_order(objects: &mut Vec<(u32, u32)>) {
    objects.sort_unstable();
    objects.dedup_by_key(|(object, _)| *object);
}
