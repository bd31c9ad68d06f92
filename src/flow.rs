//! The only locks and wake-ups around gate, ring and feed, which are plain `&mut self` types.

use std::sync::Arc;

use crate::batch::{Batch, ListenerId, Number};
use crate::books::ListenerBooks;

/// The credit for one batch in flight, with the batch to fill. Dropped unadmitted, it goes back to the pool.
pub struct Slot {
    pub batch: Batch,
}

/// What the gate says of a group of batches.
#[derive(Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Number of the last batch of the group.
    pub number: Number,
    /// Runs that are duplicates: index of the batch in the group, index of the run, and the number whose receipt they
    /// wait for.
    pub duplicates: Vec<(usize, usize, Number)>,
}

/// What receivers see of the flow. Cheap to clone.
#[derive(Clone)]
pub struct Intake {}

impl Intake {
    /// Waits for a slot, first come first served. Never fails; the caller sets the time limit.
    pub async fn slot(&self) -> Slot {
        unimplemented!()
    }

    /// A slot, if one is free and nobody waits for it.
    pub fn try_slot(&self) -> Option<Slot> {
        unimplemented!()
    }

    /// Whether over half the slots are taken: then batches leave only when full or `BATCH_AGE_MS` old.
    pub fn busy(&self) -> bool {
        unimplemented!()
    }

    /// Numbers the batches, one after the other, and hands them to the shards. Takes microseconds, or milliseconds while
    /// the gate is shut. Counts `admitted` and `duplicate`; the receiver has counted `received`.
    pub fn admit(&self, group: Vec<Slot>) -> Admitted {
        let _ = group;
        unimplemented!()
    }

    /// Resolves when every `block` sink has taken all up to `number`; at once where there is none.
    pub async fn receipt(&self, number: Number) {
        let _ = number;
    }

    /// The figures of a listener.
    pub fn books(&self, listener: ListenerId) -> Arc<ListenerBooks> {
        let _ = listener;
        unimplemented!()
    }
}
