//! The shard's side of dashlets: from an event to the sums of the tables that it counts in.

use std::sync::Arc;

use crate::batch::Batch;
use crate::plan::Plan;
use crate::plan::dashlet::Aggregate;
use crate::plan::rules::Seen;
use crate::plan::rules::cond::Subject;
use crate::plan::watch::Part;
use crate::redact::Redactor;
use crate::signal::{bin_of, push_value};
use crate::sums::Sums;

const MINUTE_US: i64 = 60_000_000;

/// Scratch for keys.
#[derive(Default)]
pub struct Collect {
    key: Vec<u8>,
    text: Vec<u8>,
    redactor: Redactor,
    /// Whether masks look at the event at hand; looked up when it is first asked.
    looked: Option<bool>,
    shown: Vec<u8>,
}

impl Collect {
    /// Counts an event that rules were run over.
    pub fn see(&mut self, plan: &Plan, batch: &Batch, seen: &Seen, out: &mut Vec<Sums>) {
        let dashlets = &plan.watch.dashlets;
        if dashlets.list.is_empty() {
            return;
        }
        if out.last().is_none_or(|sums| !Arc::ptr_eq(&sums.of, dashlets)) {
            out.push(Sums::new(dashlets));
        }
        let sums = out.last_mut().expect("it was just looked at");
        self.looked = None;
        let event = seen.event();
        let received_us = event.received_us.min(batch.received_us);
        let ahead = event.time_us > received_us.saturating_add(plan.ledger.skew_max_us);
        let minute = (if ahead { received_us } else { event.time_us }).div_euclid(MINUTE_US);
        for &dashlet in &dashlets.every {
            self.count(plan, seen, dashlet, minute, sums);
        }
        let matched = seen.matched();
        for &category in &matched.categories {
            for &dashlet in dashlets.by_category.get(category as usize).map_or(&[][..], |all| all) {
                self.count(plan, seen, dashlet, minute, sums);
            }
        }
        let (first, of_watches) = &dashlets.watches;
        for &watch in matched.watches.iter().filter(|watch| **watch >= *first) {
            if let Some(&dashlet) = of_watches.get((watch - first) as usize) {
                self.count(plan, seen, dashlet, minute, sums);
            }
        }
    }

    fn count(&mut self, plan: &Plan, seen: &Seen, index: u32, minute: i64, sums: &mut Sums) {
        let dashlet = &plan.watch.dashlets.list[index as usize];
        if dashlet.by_severity {
            let severity = seen.event().severity;
            let key = |out: &mut Vec<u8>| push_value(Some(severity.name().as_bytes()), false, out);
            return sums.severity(index, minute, severity as usize, key);
        }
        let slot = match dashlet.aggregate {
            Aggregate::Count => None,
            Aggregate::Sum(slot) | Aggregate::Avg(slot) | Aggregate::Max(slot) => Some(slot),
            Aggregate::Percentile(slot, _) => Some(slot),
        };
        let value = slot.and_then(|slot| seen.number(slot));
        if slot.is_some() && value.is_none() {
            return;
        }
        self.key.clear();
        for (_, part) in &dashlet.keys {
            let before = self.key.len();
            push_part(*part, seen, &mut self.text, &mut self.key);
            if plan.masks.is_some() && self.cover(*part, plan, seen) {
                self.key.truncate(before);
                push_value(Some(&self.shown), false, &mut self.key);
            }
        }
        let is_percentile = matches!(dashlet.aggregate, Aggregate::Percentile(..));
        let bin = value.filter(|_| is_percentile).map(bin_of);
        sums.add(index, minute, &self.key, value, bin);
    }

    /// Makes `shown` what stands for the part that `text` holds, if masks cover any of it.
    #[inline(never)]
    fn cover(&mut self, part: Part, plan: &Plan, seen: &Seen) -> bool {
        let (Part::Slot(slot) | Part::Number(slot), Some(masks)) = (part, &plan.masks) else { return false };
        matches!(seen.slot(slot).0, Subject::Text | Subject::Field(_))
            && *self.looked.get_or_insert_with(|| self.redactor.look(masks, seen))
            && self.redactor.stand_in(masks, seen, slot, &self.text, &mut self.shown)
    }
}

/// Appends the value of a part to a key, and leaves it in `text`.
fn push_part(part: Part, seen: &Seen, text: &mut Vec<u8>, out: &mut Vec<u8>) {
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
