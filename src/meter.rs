//! The shard's side of metrics: from an event to the samples of the series that it belongs to.

use std::sync::Arc;

use crate::batch::Batch;
use crate::collect::push_part;
use crate::event::Value;
use crate::plan::Plan;
use crate::plan::mask::Masks;
use crate::plan::metric::Set;
use crate::plan::rules::Seen;
use crate::plan::rules::convert::Number;
use crate::plan::watch::Part;
use crate::redact::Redactor;
use crate::samples::{At, Room, Samples};
use crate::signal::{push_value, values};

/// Scratch for keys.
#[derive(Default)]
pub struct Meter {
    key: Vec<u8>,
    text: Vec<u8>,
    shown: Vec<u8>,
    redactor: Redactor,
    /// Whether masks look at the event at hand; looked up when it is first asked.
    looked: Option<bool>,
    /// What there was of samples when they were last handed over.
    room: Room,
}

impl Meter {
    /// Takes the samples of an event that rules were run over.
    #[inline(always)]
    pub fn see(&mut self, plan: &Plan, batch: &Batch, seen: &Seen, out: &mut Vec<Samples>) {
        if !plan.watch.metrics.list.is_empty() {
            self.see_any(plan, batch, seen, out);
        }
    }

    #[inline(never)]
    fn see_any(&mut self, plan: &Plan, batch: &Batch, seen: &Seen, out: &mut Vec<Samples>) {
        let metrics = &plan.watch.metrics;
        let at = At { number: batch.number, received_us: batch.received_us };
        self.looked = None;
        metrics.concerns.each(seen.matched(), |set| {
            self.take(plan, seen, set, &metrics.sets[set as usize], at, out);
        });
    }

    #[inline(never)]
    fn take(&mut self, plan: &Plan, seen: &Seen, index: u32, set: &Set, at: At, out: &mut Vec<Samples>) {
        if out.last().is_none_or(|samples| !Arc::ptr_eq(&samples.of, &plan.watch.metrics)) {
            out.push(Samples::new(&plan.watch.metrics, self.room));
        }
        let samples = out.last_mut().expect("it was just looked at");
        self.key.clear();
        for part in &set.keys {
            match &plan.masks {
                None => self.push(*part, seen),
                Some(masks) => self.push_shown(*part, masks, seen),
            }
        }
        samples.add(index, &self.key, at, |slot| match seen.value(slot) {
            // What did not convert to its type is no value.
            Some(Value::Int(n)) => Some(Number::of(n)),
            _ => seen.number(slot),
        });
    }

    /// Appends the value of a part to the key.
    #[inline(always)]
    fn push(&mut self, part: Part, seen: &Seen) {
        // What most keys are is pushed as it lies there.
        let text = match part {
            Part::Computer(_) => match seen.around().computer {
                "" => Some(seen.text(seen.event().drain)).filter(|drain| !drain.is_empty()),
                computer => Some(computer.as_bytes()),
            },
            Part::Slot(slot) => match seen.value(slot) {
                Some(Value::Text(span)) => Some(seen.text(span)),
                _ => None,
            },
            _ => None,
        };
        match text {
            Some(text) => push_value(Some(text), false, &mut self.key),
            None => push_part(part, seen, &mut self.text, &mut self.key),
        }
    }

    /// The same, or what stands for the value if masks cover any of it.
    #[inline(never)]
    fn push_shown(&mut self, part: Part, masks: &Masks, seen: &Seen) {
        let start = self.key.len();
        push_part(part, seen, &mut self.text, &mut self.key);
        let (Part::Slot(slot) | Part::Number(slot)) = part else { return };
        let is_absent = matches!(values(&self.key[start..]).next(), Some((None, _)));
        self.shown.clear();
        let Meter { redactor, text, shown, looked, .. } = &mut *self;
        if !is_absent && redactor.stands_in(masks, seen, slot, text, looked, shown) {
            self.key.truncate(start);
            push_value(Some(&self.shown), false, &mut self.key);
        }
    }

    /// Takes note of what is handed over.
    pub fn handed_over(&mut self, samples: &[Samples]) {
        if let Some(samples) = samples.last() {
            self.room = samples.room();
        }
    }
}
