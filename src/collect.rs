//! The shard's side of dashlets: from an event to the sums of the tables that it counts in.
//!
//! What an event is counted by is a *mark*: one number for each of its keys, equal only for equal values. The bytes of a
//! key, as the ledger wants them, are made where a mark is met for the first time. Short texts are their own numbers,
//! longer ones are given some; numbers given are never used again, so that what is forgotten only makes a sum the more.

use std::sync::Arc;

use crate::batch::Batch;
use crate::event::{Texts, Value};
use crate::plan::Plan;
use crate::plan::dashlet::{Aggregate, Dashlet, Dashlets};
use crate::plan::rules::cond::{Key, Subject};
use crate::plan::rules::{Seen, SlotId};
use crate::plan::watch::Part;
use crate::redact::Redactor;
use crate::signal::{bin_of, push_value};
use crate::sums::{Mark, Sums};

const MINUTE_US: i64 = 60_000_000;
/// Texts that numbers are remembered of, and their bytes together.
const TEXTS: usize = 1 << 16;
const TEXTS_BYTES: usize = 8 << 20;

/// Where the value of a key is read.
#[derive(Clone, Copy, Debug)]
enum Place {
    Drain,
    Hostname,
    Source,
    Process,
    /// Else the drain.
    Computer,
    Field(SlotId),
    /// Whatever the part says, text by text.
    Any,
}

/// A part of events that some dashlet is counted by.
#[derive(Debug)]
struct Read {
    part: Part,
    place: Place,
    /// The text that was last given a number, and that number.
    last: (Vec<u8>, u128),
    /// The event that `mark` was made of.
    event: u64,
    mark: u128,
}

/// The parts that a dashlet's keys are.
#[derive(Debug)]
enum Keys {
    /// The severity alone, which is only counted.
    Severity,
    One(Option<u16>),
    Two(u16, u16),
    Many(Vec<u16>),
}

/// Numbers of texts.
#[derive(Default)]
struct Numbers {
    of: foldhash::HashMap<Box<[u8]>, u128>,
    bytes: usize,
    next: u128,
}

/// What marks are made of, and scratch.
#[derive(Default)]
pub struct Collect {
    /// Whose parts these are, and whether there are masks.
    of: Option<(Arc<Dashlets>, bool)>,
    parts: Vec<Read>,
    /// By dashlet.
    keys: Vec<Keys>,
    numbers: Numbers,
    /// Counts the events.
    event: u64,
    /// Sums and keys of the last hand-over that was made, as the next will be about as large.
    room: (usize, usize),
    long: Vec<u8>,
    shown: Shown,
}

/// Writes keys as they may be shown.
#[derive(Default)]
struct Shown {
    text: Vec<u8>,
    redactor: Redactor,
    /// Whether masks look at the event at hand; looked up when it is first asked.
    looked: Option<bool>,
    covered: Vec<u8>,
}

impl Shown {
    /// Appends the value of a part to a key, or what stands for it if masks cover any of it.
    fn push(&mut self, part: Part, plan: &Plan, seen: &Seen, out: &mut Vec<u8>) {
        let before = out.len();
        push_part(part, seen, &mut self.text, out);
        if plan.masks.is_some() && self.covers(part, plan, seen) {
            out.truncate(before);
            push_value(Some(&self.covered), false, out);
        }
    }

    #[inline(never)]
    fn covers(&mut self, part: Part, plan: &Plan, seen: &Seen) -> bool {
        let (Part::Slot(slot) | Part::Number(slot), Some(masks)) = (part, &plan.masks) else { return false };
        self.covered.clear();
        let (looked, covered) = (&mut self.looked, &mut self.covered);
        self.redactor.stands_in(masks, seen, slot, &self.text, looked, covered)
    }
}

/// Whether masks look at a part at all.
fn may_be_covered(subject: &Subject) -> bool {
    matches!(subject, Subject::Text | Subject::Field(_))
}

/// No value at all.
const ABSENT: u128 = u128::MAX;
/// What stands in the highest byte of a mark, which is at most 15 for a short text.
const INT: u128 = 16 << 120;
const BOOL: u128 = 17 << 120;
const NUMBERED: u128 = 18 << 120;
/// The same of values that are encoded already, and of the marks of several keys.
const ENCODED: u128 = 19 << 120;
const TOGETHER: u128 = 20 << 120;

impl Collect {
    /// Counts an event that rules were run over.
    pub fn see(&mut self, plan: &Plan, batch: &Batch, seen: &Seen, out: &mut Vec<Sums>) {
        let dashlets = &plan.watch.dashlets;
        if dashlets.list.is_empty() {
            return;
        }
        let masked = plan.masks.is_some();
        if !self.of.as_ref().is_some_and(|(of, with)| Arc::ptr_eq(of, dashlets) && *with == masked) {
            self.turn_to(dashlets, masked, seen);
        }
        if out.last().is_none_or(|sums| !Arc::ptr_eq(&sums.of, dashlets)) {
            out.push(Sums::new(dashlets, self.room));
        }
        let sums = out.last_mut().expect("it was just looked at");
        self.event += 1;
        self.shown.looked = None;
        let event = seen.event();
        let received_us = event.received_us.min(batch.received_us);
        let ahead = event.time_us > received_us.saturating_add(plan.ledger.skew_max_us);
        let minute = (if ahead { received_us } else { event.time_us }).div_euclid(MINUTE_US);
        let mut at = At { plan, of: dashlets, seen, texts: seen.texts(), minute, sums };
        dashlets.concerns.each(seen.matched(), |dashlet| self.count(dashlet, &mut at));
    }

    #[cold]
    fn turn_to(&mut self, dashlets: &Arc<Dashlets>, masked: bool, seen: &Seen) {
        self.parts.clear();
        self.keys.clear();
        for dashlet in &dashlets.list {
            let mut keys = Vec::new();
            for (_, part) in &dashlet.keys {
                let known = self.parts.iter().position(|known| known.part == *part);
                keys.push(known.unwrap_or(self.parts.len()) as u16);
                if known.is_none() {
                    let place = place_of(*part, masked, seen);
                    let last = (Vec::new(), ABSENT);
                    self.parts.push(Read { part: *part, place, last, event: 0, mark: ABSENT });
                }
            }
            self.keys.push(match keys[..] {
                _ if dashlet.by_severity => Keys::Severity,
                [] => Keys::One(None),
                [one] => Keys::One(Some(one)),
                [one, two] => Keys::Two(one, two),
                _ => Keys::Many(keys),
            });
        }
        self.of = Some((dashlets.clone(), masked));
    }

    #[inline(always)]
    fn count(&mut self, index: u32, at: &mut At) {
        let mark = match self.keys[index as usize] {
            Keys::Severity => {
                let severity = at.seen.event().severity;
                let key = |out: &mut Vec<u8>| push_value(Some(severity.name().as_bytes()), false, out);
                return at.sums.severity(index, at.minute, severity as usize, key);
            }
            Keys::One(None) => [ABSENT; 2],
            Keys::One(Some(one)) => [self.mark(one, at), ABSENT],
            Keys::Two(one, two) => [self.mark(one, at), self.mark(two, at)],
            Keys::Many(_) => [self.mark_of_many(index, at), ABSENT],
        };
        let dashlet = &at.of.list[index as usize];
        let (shown, seen, plan) = (&mut self.shown, at.seen, at.plan);
        let key = |out: &mut Vec<u8>| {
            for (_, part) in &dashlet.keys {
                shown.push(*part, plan, seen, out);
            }
        };
        match dashlet.aggregate {
            Aggregate::Count => at.sums.count(index, at.minute, mark, key),
            _ => add_value(dashlet, (index, mark), at, key),
        }
    }

    /// The number that stands for the value of a part.
    #[inline(always)]
    fn mark(&mut self, part: u16, at: &At) -> u128 {
        let read = &mut self.parts[part as usize];
        if read.event == self.event {
            return read.mark;
        }
        read.event = self.event;
        let event = at.seen.event();
        let span = match read.place {
            Place::Drain => event.drain,
            Place::Hostname => event.hostname,
            Place::Source => event.source,
            Place::Process => event.process,
            Place::Computer => match at.seen.around().computer {
                "" => event.drain,
                computer => {
                    read.mark = NUMBERED | self.numbers.of_last(computer.as_bytes(), &mut read.last);
                    return read.mark;
                }
            },
            Place::Field(slot) => match at.seen.value(slot) {
                Some(Value::Int(n)) => {
                    read.mark = INT | u128::from(n);
                    return read.mark;
                }
                Some(Value::Text(span) | Value::Raw(span)) => span,
                Some(Value::Bool(is_true)) => {
                    read.mark = BOOL | u128::from(is_true);
                    return read.mark;
                }
                Some(Value::List(_)) => return self.mark_of_any(part, at),
                None => {
                    read.mark = ABSENT;
                    return ABSENT;
                }
            },
            Place::Any => return self.mark_of_any(part, at),
        };
        read.mark = match at.texts.short(span) {
            // A field may be an empty text, a key is absent then.
            0 if !matches!(read.place, Place::Field(_)) => ABSENT,
            short if !Texts::is_cut(short) => short,
            _ => NUMBERED | self.numbers.of_last(at.texts.get(span), &mut read.last),
        };
        read.mark
    }

    /// The same for values that have to be put together first.
    #[inline(never)]
    fn mark_of_any(&mut self, part: u16, at: &At) -> u128 {
        let read = &mut self.parts[part as usize];
        self.long.clear();
        self.shown.push(read.part, at.plan, at.seen, &mut self.long);
        read.mark = ENCODED | self.numbers.of_last(&self.long, &mut read.last);
        read.mark
    }

    /// One number for all keys of a dashlet.
    #[inline(never)]
    fn mark_of_many(&mut self, index: u32, at: &At) -> u128 {
        let mut all = Vec::new();
        let keys = core::mem::replace(&mut self.keys[index as usize], Keys::Severity);
        if let Keys::Many(parts) = &keys {
            parts.iter().for_each(|part| all.extend_from_slice(&self.mark(*part, at).to_le_bytes()));
        }
        self.keys[index as usize] = keys;
        TOGETHER | self.numbers.of(&all)
    }

    /// Takes note of sums that are handed over.
    pub fn handed_over(&mut self, sums: &[Sums]) {
        if let Some(sums) = sums.last() {
            self.room = (sums.list.len(), sums.texts.len());
        }
    }
}

/// An event in its place.
struct At<'a> {
    plan: &'a Plan,
    of: &'a Dashlets,
    seen: &'a Seen<'a, 'a>,
    texts: Texts<'a>,
    /// Minutes since 1970.
    minute: i64,
    sums: &'a mut Sums,
}

impl Numbers {
    /// The number of a text; `last` is the last one that was asked for here.
    #[inline(always)]
    fn of_last(&mut self, text: &[u8], last: &mut (Vec<u8>, u128)) -> u128 {
        if last.0 != text {
            last.0.clear();
            last.0.extend_from_slice(text);
            last.1 = self.of(text);
        }
        last.1
    }

    #[inline(never)]
    fn of(&mut self, text: &[u8]) -> u128 {
        if let Some(number) = self.of.get(text) {
            return *number;
        }
        if self.of.len() >= TEXTS || self.bytes >= TEXTS_BYTES {
            self.of.clear();
            self.bytes = 0;
        }
        self.next += 1;
        self.bytes += text.len();
        self.of.insert(text.into(), self.next);
        self.next
    }
}

fn place_of(part: Part, masked: bool, seen: &Seen) -> Place {
    let (Part::Slot(slot) | Part::Number(slot) | Part::Computer(slot)) = part else { return Place::Any };
    // What stands for a covered value hangs on the event, not on the value alone.
    if masked && may_be_covered(seen.slot(slot).0) {
        return Place::Any;
    }
    match seen.slot(slot).0 {
        Subject::Field(_) => Place::Field(slot),
        Subject::Key(Key::Drain) => Place::Drain,
        Subject::Key(Key::Hostname) => Place::Hostname,
        Subject::Key(Key::Source) => Place::Source,
        Subject::Key(Key::Process) => Place::Process,
        Subject::Key(Key::Computer) if matches!(part, Part::Computer(_)) => Place::Computer,
        _ => Place::Any,
    }
}

/// Counts an event with its value, if it has one.
#[inline(never)]
fn add_value(dashlet: &Dashlet, (index, mark): (u32, Mark), at: &mut At, key: impl FnOnce(&mut Vec<u8>)) {
    let slot = match dashlet.aggregate {
        Aggregate::Count => return,
        Aggregate::Sum(slot) | Aggregate::Avg(slot) | Aggregate::Max(slot) => slot,
        Aggregate::Percentile(slot, _) => slot,
    };
    let Some(value) = at.seen.number(slot) else { return };
    let is_percentile = matches!(dashlet.aggregate, Aggregate::Percentile(..));
    let bin = is_percentile.then(|| bin_of(value));
    at.sums.add(index, at.minute, mark, (value, bin), key);
}

/// Appends the value of a part to a key; `text` is scratch.
pub fn push_part(part: Part, seen: &Seen, text: &mut Vec<u8>, out: &mut Vec<u8>) {
    text.clear();
    let (mut any, mut is_number) = (false, false);
    match part {
        Part::Slot(slot) | Part::Computer(slot) => seen.each(slot, &mut |item| {
            if core::mem::replace(&mut any, true) {
                text.push(b',');
            }
            text.extend_from_slice(item);
        }),
        Part::Number(slot) => {
            if let Some(number) = seen.number(slot) {
                (any, is_number) = (true, true);
                number.write(text);
            }
        }
        Part::Id | Part::Time | Part::Received => {}
    }
    if !any && matches!(part, Part::Computer(_)) {
        let drain = seen.text(seen.event().drain);
        any = !drain.is_empty();
        text.extend_from_slice(drain);
    }
    push_value(any.then_some(&text[..]), is_number, out);
}
