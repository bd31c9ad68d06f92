//! Updates of windows: what the ledger does with signals of ten thousand live keys.

use std::sync::Arc;

use weir::batch::{Batch, Identity, ListenerId, Origin};
use weir::ledger::Ledger;
use weir::limits;
use weir::outcome::Outcome;
use weir::pack;
use weir::plan::Plan;
use weir::shard::Shard;

/// Keys that have a window.
pub const KEYS: usize = 10_000;
/// Events of a batch.
const EVENTS: usize = 400;
const START_US: i64 = 1_795_341_084_000_000;

/// Counts by key, of which none is ever enough.
const PACK: &str = "
weir: pack/v1
pack: {id: windows, version: 1.0.0}
alerts:
  - id: many
    title: Many
    severity: low
    mode: on
    detect: {s: {source: app}}
    when: {count: {over: 10m, group_by: [process], gte: 1000000000}}
    summary: many
";

/// A ledger, and the outcomes that it takes over and over.
pub struct Windows {
    ledger: Ledger,
    outcomes: Vec<Outcome>,
    number: u64,
    pub events: u64,
    pub signals: u64,
}

impl Windows {
    /// Each batch has `events_a_key` events of each of its keys; all batches together have all keys.
    pub fn new(events_a_key: usize) -> Windows {
        let pack = pack::read("windows", PACK, &[], &[]).expect("a pack without problems");
        let pack::Compiled { program, watch } = pack::compile(&[pack], &[]).expect("a pack that compiles");
        let plan = Plan { rules: Some(program), watch, ..super::plan(None) };
        let origin = Arc::new(Origin::of_peer(ListenerId(0), [10, 1, 0, 0].into(), None));
        let mut shard = Shard::default();
        let (mut outcomes, mut events, mut signals) = (Vec::new(), 0, 0);
        for first in (0..KEYS).step_by(EVENTS / events_a_key) {
            let mut batch = Batch::new(Batch::capacity_for(limits::FRAME_BYTES));
            batch.number = 1;
            batch.received_us = START_US;
            for event in 0..EVENTS {
                let key = first + event % (EVENTS / events_a_key);
                let line =
                    format!("<190>1 2026-11-22T09:51:24.5{:05}Z host app web.{key} - some text", event * 20);
                let at = batch.append(line.as_bytes());
                batch.push_frame(at, line.len(), false);
            }
            batch.close_run(&origin, Identity::Batch);
            let mut outcome = Outcome::default();
            shard.process(&plan, &batch, &mut outcome);
            events += EVENTS as u64;
            signals += outcome.signals.as_ref().map_or(0, |signals| signals.list.len() as u64);
            outcomes.push(outcome);
        }
        assert_eq!(signals, events / events_a_key as u64, "a signal a key and batch");
        Windows { ledger: Ledger::new(Arc::new(plan)), outcomes, number: 0, events, signals }
    }

    /// Applies every outcome once.
    pub fn pass(&mut self) {
        for outcome in &mut self.outcomes {
            self.number += 1;
            outcome.number = self.number;
            self.ledger.apply(outcome);
        }
    }
}
