//! The ledger: takes outcomes in number order and keeps what is served.
//!
//! In its first form it adds up tallies and the figures that only shards can count. It sees every number exactly once,
//! so its sums close with the books. Caps live here and nowhere before.

pub mod record;

use crate::batch::{ListenerId, Number};
use crate::limits;
use crate::outcome::{Apart, Outcome};
use crate::tally::Tally;

#[derive(Debug, Default)]
pub struct Ledger {
    number: Number,
    tally: Tally,
    apart: Vec<Apart>,
}

impl Ledger {
    /// Takes the next outcome.
    pub fn apply(&mut self, outcome: &Outcome) {
        debug_assert!(outcome.number > self.number);
        self.number = outcome.number;
        for (listener, apart) in &outcome.apart {
            let index = listener.0 as usize;
            if self.apart.len() <= index {
                self.apart.resize(index + 1, Apart::default());
            }
            self.apart[index].add(apart);
        }
        if let Some(tally) = &outcome.tally {
            self.merge(tally);
        }
    }

    /// Takes a tally that came alone, from a shard that had nothing to do.
    pub fn merge(&mut self, tally: &Tally) {
        self.tally.merge(tally, limits::DRAIN_SERIES);
    }

    pub fn number(&self) -> Number {
        self.number
    }

    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What shards counted of a listener.
    pub fn apart(&self, listener: ListenerId) -> Apart {
        self.apart.get(listener.0 as usize).copied().unwrap_or_default()
    }
}
