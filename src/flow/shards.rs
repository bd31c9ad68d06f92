//! The loops of shards and ledger: take, process, put.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::{Shared, Work, lock};
use crate::limits;
use crate::outcome::Outcome;
use crate::shard::{self, Shard};

/// Takes batches until the gate is closed and the queue empty.
pub(super) fn run(shared: &Shared, queue: &Receiver<Work>) {
    let mut shard = Shard::new(shared.vectors);
    loop {
        match queue.recv_timeout(Duration::from_millis(limits::TALLY_MS as u64)) {
            Ok(work) => process(shared, &mut shard, work),
            Err(RecvTimeoutError::Timeout) => hand_over_tally(shared, &mut shard),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    hand_over_tally(shared, &mut shard);
}

fn process(shared: &Shared, shard: &mut Shard, work: Work) {
    let Work { batch, plan, permit, queued } = work;
    let started = Instant::now();
    while shard.wants_parcels(&plan)
        && let Some(parcel) = shared.spare_parcels.take()
    {
        shard.recycle(parcel);
    }
    if shard.wants_signals(&plan)
        && let Some(signals) = shared.spare_signals.take()
    {
        shard.recycle_signals(signals);
    }
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        let mut outcome = Outcome::default();
        shard.process(&plan, &batch, &mut outcome);
        outcome
    }));
    let outcome = attempt.unwrap_or_else(|_| {
        tracing::error!(number = batch.number, "a batch could not be processed and is quarantined");
        *shard = Shard::new(shared.vectors);
        shard::quarantined(&plan, &batch)
    });
    shared.stages.queued.observe(started - queued);
    shared.stages.processed.observe(started.elapsed());
    shared.slots.recycle(batch);
    shared.put(outcome, permit);
}

fn hand_over_tally(shared: &Shared, shard: &mut Shard) {
    if let Some(tally) = shard.take_tally() {
        lock(&shared.ledger).merge(&tally);
    }
}

/// Applies outcomes in number order until the end.
pub(super) fn keep_ledger(shared: &Shared) {
    let reader = shared.ledger_reader;
    loop {
        let Some(outcome) = shared.next(reader, Duration::from_millis(100)) else {
            if shared.ending.load(Ordering::Acquire) && lock(&shared.ring).is_at_head(reader) {
                return;
            }
            if shared.clock {
                shared.tick();
            }
            continue;
        };
        if !outcome.quarantine.is_empty() {
            (lock(&shared.quarantine))(&outcome.quarantine);
        }
        lock(&shared.ledger).apply(&outcome);
        shared.tell();
        let number = outcome.number;
        drop(outcome);
        shared.release(reader, number);
    }
}
