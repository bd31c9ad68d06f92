//! The shard's side of alerts: from matching events to the signals of a batch.
//!
//! What adds up is added up here, so that the ledger sees an alert, key and sub-bucket once a batch; what depends on
//! order is listed. Nothing is allocated an event once the buffers have grown.

use core::hash::{BuildHasherDefault, Hasher};

use crate::batch::Batch;
use crate::encode::Alike;
use crate::limits;
use crate::parse::time;
use crate::plan::Plan;
use crate::plan::rules::Seen;
use crate::plan::rules::cond::Subject;
use crate::plan::rules::convert::Number;
use crate::plan::watch::{Alert, Form, Part, Role, Watch};
use crate::redact::Redactor;
use crate::rows::{Place, Rows};
use crate::signal::{Flow, Hit, ShownAt, Signal, Signals, Word, bin_of, hash_of, push_value};
use crate::simd::Portable;

/// Drains whose alerts are remembered.
const DRAINS: usize = 10_000;
/// Emptied signals that are kept.
const SPARE: usize = 4;

/// Signals of the batch in work.
#[derive(Default)]
pub struct Gather {
    open: Box<Signals>,
    /// Emptied ones, to be filled again.
    #[allow(clippy::vec_box, reason = "they come and go in their boxes")]
    spare: Vec<Box<Signals>>,
    alike: Alike,
    /// Where a signal is, by a hash of what it is for.
    places: std::collections::HashMap<u64, u32, BuildHasherDefault<Same>>,
    /// Index of the run and the last number of the id of each shown event.
    ids: Vec<(u32, u64)>,
    key: Vec<u8>,
    args: Vec<u8>,
    text: Vec<u8>,
    shown: Vec<u8>,
    redactor: Redactor,
    /// Whether masks look at the event at hand; looked up when it is first asked.
    looked: Option<bool>,
    /// By drain: which alerts look at it; of the plan with this generation.
    drains: foldhash::HashMap<Box<[u8]>, Box<[bool]>>,
    drains_of: Option<u64>,
    rows: Rows,
}

/// A hash that is one already.
#[derive(Default)]
struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("places are numbers");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// An event in its place.
struct At<'a> {
    plan: &'a Plan,
    seen: &'a Seen<'a, 'a>,
    id: (u32, u64),
    time_us: i64,
    received_us: i64,
    is_late: bool,
}

impl Gather {
    /// Takes an event that rules were run over: the one of the batch's run `run` whose id ends with `last`.
    pub fn see(&mut self, plan: &Plan, batch: &Batch, run: u32, last: u64, seen: &Seen) {
        let watch = &*plan.watch;
        let matched = &seen.matched().watches;
        let has_rows = !watch.reports.list.is_empty();
        if matched.is_empty() && watch.every.is_empty() && !has_rows {
            return;
        }
        let event = seen.event();
        let received_us = event.received_us.min(batch.received_us);
        let ledger = &plan.ledger;
        let ahead = event.time_us > received_us.saturating_add(ledger.skew_max_us);
        let time_us = if ahead { received_us } else { event.time_us };
        let is_late = time_us < batch.received_us - ledger.lateness_us;
        let at = At { plan, seen, id: (run, last), time_us, received_us, is_late };
        self.looked = None;
        for &alert in &watch.every {
            self.take(watch, alert, None, &at);
        }
        for &index in matched {
            match watch.roles.get(index as usize) {
                Some(Role::Counts { alert }) => self.take(watch, *alert, None, &at),
                Some(Role::Step { alert, step }) => self.take(watch, *alert, Some(*step), &at),
                // What belongs to reports is looked at below.
                Some(_) | None => {}
            }
        }
        if has_rows {
            let place = Place { plan, batch, id: (run, last), time_us };
            self.rows.see(&place, seen, &mut self.open);
        }
    }

    /// Counts an event of a drain, and how many messages it reports lost.
    #[inline(always)]
    pub fn flow(&mut self, drain: &[u8], time_us: i64, lost: u64) {
        let bucket = time_us.div_euclid(Flow::WIDTH_US);
        if let Some(flow) = self.open.flows.last_mut()
            && flow.bucket == bucket
            && flow.drain.of(&self.open.texts) == drain
        {
            flow.seen += 1;
            flow.lost += lost;
            return;
        }
        self.new_flow(drain, bucket, lost);
    }

    #[inline(never)]
    fn new_flow(&mut self, drain: &[u8], bucket: i64, lost: u64) {
        let open = &mut self.open;
        let known = open.flows.iter_mut().rev().take(16);
        let mut known = known.filter(|flow| flow.bucket == bucket && flow.drain.of(&open.texts) == drain);
        if let Some(flow) = known.next() {
            flow.seen += 1;
            flow.lost += lost;
            return;
        }
        let drain = Word::push(drain, &mut open.texts);
        open.flows.push(Flow { drain, bucket, seen: 1, lost });
    }

    /// Ends the batch: all that it has to tell, if there is anything.
    pub fn finish(&mut self, plan: &Plan, batch: &Batch) -> Option<Box<Signals>> {
        if self.open.is_empty() {
            return None;
        }
        let Signals { shown, texts, .. } = &mut *self.open;
        let mut turned = None;
        for (shown, (run, last)) in shown.iter_mut().zip(self.ids.drain(..)) {
            if turned.replace(run) != Some(run) {
                self.alike.turn_to_run(Portable, plan, batch, &batch.runs[run as usize]);
            }
            let at = texts.len() as u32;
            self.alike.id(Portable, last, texts);
            shown.id = Word { at, len: texts.len() as u32 - at };
        }
        self.places.clear();
        Some(core::mem::replace(&mut self.open, self.spare.pop().unwrap_or_default()))
    }

    /// Takes signals back, whose buffers have grown already.
    pub fn recycle(&mut self, mut signals: Box<Signals>) {
        if self.spare.len() < SPARE {
            signals.clear();
            self.spare.push(signals);
        }
    }

    /// Whether it would like signals to be given back.
    pub fn wants_signals(&self) -> bool {
        self.spare.is_empty()
    }

    /// Forgets the batch in work.
    pub fn forget(&mut self) {
        self.rows.begin();
        self.open.clear();
        self.places.clear();
        self.ids.clear();
    }

    fn take(&mut self, watch: &Watch, index: u32, step: Option<u8>, at: &At) {
        let alert = &watch.alerts[index as usize];
        if alert.drains.is_some() && !self.takes_drain(watch, index, at) {
            return;
        }
        if at.is_late && alert.form != Form::Each {
            match self.open.late.iter_mut().find(|(known, _)| *known == index) {
                Some((_, n)) => *n += 1,
                None => self.open.late.push((index, 1)),
            }
            return;
        }
        let value = match &alert.form {
            Form::Sum(slot) | Form::Avg(slot) | Form::Percentile(slot, _) => {
                let Some(number) = at.seen.number(*slot) else { return };
                number
            }
            _ => Number::default(),
        };
        let hash = match &alert.form {
            Form::Distinct(slot) => {
                self.text.clear();
                let mut any = false;
                at.seen.each(*slot, &mut |text| {
                    any = true;
                    self.text.extend_from_slice(text);
                    self.text.push(b',');
                });
                if !any {
                    return;
                }
                hash_of(&self.text)
            }
            _ => 0,
        };
        let place = self.place(index, alert, at);
        let signal = &mut self.open.list[place as usize];
        let last_us = if signal.count == 0 { i64::MIN } else { signal.last_us };
        signal.first_us = signal.first_us.min(at.time_us);
        signal.last_us = signal.last_us.max(at.time_us);
        signal.count += 1;
        match &alert.form {
            Form::Sum(_) | Form::Avg(_) => signal.sum = signal.sum.plus(value),
            Form::Percentile(..) => self.open.values.push((place, bin_of(value))),
            Form::Distinct(_) => self.open.values.push((place, hash)),
            Form::Ratio => {
                let part = Some(&Role::Of { alert: index });
                let is_part = |watched: &u32| watch.roles.get(*watched as usize) == part;
                if !at.seen.matched().watches.iter().any(is_part) {
                    return;
                }
                signal.of += 1;
            }
            Form::Count { exact: true } | Form::AllOf(_) | Form::Sequence(_) => {
                let (step, time_us) = (step.unwrap_or(0), at.time_us);
                self.open.hits.push(Hit { signal: place, step, time_us });
            }
            Form::Each | Form::Count { .. } | Form::Absent(_) => {}
        }
        self.say(place, alert, last_us, at);
        if !matches!(alert.form, Form::Absent(_)) {
            self.show(place, at);
        }
    }

    /// The place of the signal that the event belongs to.
    fn place(&mut self, index: u32, alert: &Alert, at: &At) -> u32 {
        let bucket = match alert.form {
            Form::Each => at.time_us,
            _ => alert.window.bucket(at.time_us),
        };
        self.key.clear();
        let mut key = core::mem::take(&mut self.key);
        for (_, part) in &alert.key {
            self.push_part(*part, true, at, &mut key);
        }
        let key_len = key.len();
        for part in &alert.by {
            self.push_part(*part, true, at, &mut key);
        }
        self.key = key;
        let mut hash = hash_of(&self.key) ^ (u64::from(index) << 32) ^ (bucket as u64).rotate_left(17);
        hash ^= (at.received_us as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let (key, by) = self.key.split_at(key_len);
        while let Some(&place) = self.places.get(&hash) {
            let signal = &self.open.list[place as usize];
            let texts = &self.open.texts;
            if (signal.alert, signal.bucket, signal.received_us) == (index, bucket, at.received_us)
                && signal.key.of(texts) == key
                && signal.by.of(texts) == by
            {
                return place;
            }
            hash = hash.wrapping_add(1);
        }
        let place = self.open.list.len() as u32;
        let (key, by) = (Word::push(key, &mut self.open.texts), Word::push(by, &mut self.open.texts));
        self.open.list.push(Signal {
            alert: index,
            key,
            by,
            bucket,
            received_us: at.received_us,
            first_us: at.time_us,
            last_us: at.time_us,
            count: 0,
            of: 0,
            sum: Number::default(),
            args: Word::default(),
            shown: [0; limits::SHOWN_EVENTS],
            shown_len: 0,
        });
        self.places.insert(hash, place);
        place
    }

    /// Keeps what the summary shows of the event, if it is the last; `last_us` is the time of the last one so far.
    fn say(&mut self, place: u32, alert: &Alert, last_us: i64, at: &At) {
        if alert.args.is_empty() || at.time_us < last_us {
            return;
        }
        let mut args = core::mem::take(&mut self.args);
        args.clear();
        for part in &alert.args {
            self.push_part(*part, false, at, &mut args);
        }
        self.args = args;
        let signal = &mut self.open.list[place as usize];
        let known = signal.args.of(&self.open.texts);
        if self.args != known && (at.time_us, &self.args[..]) > (last_us, known) {
            signal.args = Word::push(&self.args, &mut self.open.texts);
        }
    }

    /// Puts the event among the last ones that its signal shows.
    fn show(&mut self, place: u32, at: &At) {
        let open = &mut self.open;
        let signal = &mut open.list[place as usize];
        let len = signal.shown_len as usize;
        let slot = match signal.shown.get_mut(len) {
            Some(slot) => {
                signal.shown_len += 1;
                *slot = open.shown.len() as u32;
                open.shown.push(ShownAt { time_us: i64::MIN, id: Word::default(), message: Word::default() });
                self.ids.push((0, 0));
                *slot
            }
            None => {
                let oldest = signal.shown.iter().min_by_key(|slot| open.shown[**slot as usize].time_us);
                *oldest.expect("an alert shows more than no event")
            }
        } as usize;
        if open.shown[slot].time_us > at.time_us {
            return;
        }
        let message = match &at.plan.masks {
            Some(masks) if *self.looked.get_or_insert_with(|| self.redactor.look(masks, at.seen)) => {
                self.shown.clear();
                self.redactor.put_message(masks, at.seen, &mut self.shown);
                cut(&self.shown)
            }
            _ => cut(at.seen.text(at.seen.event().message)),
        };
        let message = Word::push(message, &mut open.texts);
        open.shown[slot] = ShownAt { time_us: at.time_us, id: Word::default(), message };
        self.ids[slot] = at.id;
    }

    /// Whether the alert looks at the event's drain.
    fn takes_drain(&mut self, watch: &Watch, index: u32, at: &At) -> bool {
        let token = at.seen.text(at.seen.event().drain);
        if self.drains_of != Some(at.plan.generation) || self.drains.len() >= DRAINS {
            self.drains.clear();
            self.drains_of = Some(at.plan.generation);
        }
        let known = match self.drains.get(token) {
            Some(known) => known,
            None => {
                let text = String::from_utf8_lossy(token);
                let taken = watch.alerts.iter().map(|alert| alert.takes_drain(at.plan, &text)).collect();
                self.drains.entry(token.into()).or_insert(taken)
            }
        };
        known[index as usize]
    }

    /// Appends the value of a part, as it may be shown. A covered one stands for a group by what tells it apart.
    fn push_part(&mut self, part: Part, is_key: bool, at: &At, out: &mut Vec<u8>) {
        let text = &mut self.text;
        text.clear();
        let mut any = false;
        let mut is_number = false;
        match part {
            Part::Slot(slot) | Part::Computer(slot) => at.seen.each(slot, &mut |item| {
                if core::mem::replace(&mut any, true) {
                    text.push(b',');
                }
                text.extend_from_slice(item);
            }),
            Part::Number(slot) => {
                if let Some(number) = at.seen.number(slot) {
                    (any, is_number) = (true, true);
                    number.write(text);
                }
            }
            Part::Id => {}
            Part::Time | Part::Received => {
                let us = if part == Part::Time { at.time_us } else { at.received_us };
                any = true;
                text.extend_from_slice(&time::write(us));
            }
        }
        if !any && matches!(part, Part::Computer(_)) {
            let drain = at.seen.text(at.seen.event().drain);
            any = !drain.is_empty();
            text.extend_from_slice(drain);
        }
        if any && at.plan.masks.is_some() && self.cover(part, is_key, at) {
            return push_value(Some(&self.shown), false, out);
        }
        push_value(any.then_some(&self.text[..]), is_number, out);
    }

    /// Makes `shown` of the part that `text` holds, if masks cover any of it.
    #[inline(never)]
    fn cover(&mut self, part: Part, is_key: bool, at: &At) -> bool {
        let (Part::Slot(slot) | Part::Number(slot), Some(masks)) = (part, &at.plan.masks) else {
            return false;
        };
        self.shown.clear();
        if is_key {
            let (looked, shown) = (&mut self.looked, &mut self.shown);
            return self.redactor.stands_in(masks, at.seen, slot, &self.text, looked, shown);
        }
        let (subject, value) = at.seen.slot(slot);
        if !matches!(subject, Subject::Text | Subject::Field(_))
            || !*self.looked.get_or_insert_with(|| self.redactor.look(masks, at.seen))
        {
            return false;
        }
        match subject {
            Subject::Text => {
                self.redactor.put_message(masks, at.seen, &mut self.shown);
                self.redactor.covers_message()
            }
            Subject::Field(name) => {
                let is_covered = self.redactor.covers_field(masks, at.seen, name, value, &self.text);
                if is_covered {
                    self.redactor.put_covered(masks, &self.text, &mut self.shown);
                }
                is_covered
            }
            _ => false,
        }
    }
}

/// A message as far as alerts show it: whole characters.
fn cut(message: &[u8]) -> &[u8] {
    if message.len() <= limits::SHOWN_BYTES {
        return message;
    }
    let is_inside = |at: &usize| message[*at] & 0xc0 == 0x80;
    let mut end = limits::SHOWN_BYTES;
    while is_inside(&end) && limits::SHOWN_BYTES - end < 4 {
        end -= 1;
    }
    &message[..end]
}
