//! The gate: gives every batch the next number and a receive time that never goes back, and knows which POSTs came
//! before.
//!
//! The number is the order in files, per Kafka key and in the ledger, for any number of shards. Frame-Ids are looked
//! up and entered in the same step, so two tries of one POST can never both be admitted. The caller holds the lock and
//! reads the clock; nothing here waits.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use foldhash::quality::RandomState;

use crate::batch::{Admission, Batch, Identity, ListenerId, Number, Origin, Run};
use crate::limits;

/// What the gate says of a group of batches.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Admitted {
    /// Number of the last batch of the group.
    pub number: Number,
    /// Runs of POSTs that came before: index of the batch in the group, index of the run, and the number that their
    /// receipt waits for.
    pub duplicates: Vec<(usize, usize, Number)>,
    /// Frames admitted and frames that were duplicates, by listener.
    pub frames: Vec<(ListenerId, u64, u64)>,
}

impl Admitted {
    fn count(&mut self, listener: ListenerId, admitted: u64, duplicate: u64) {
        match self.frames.iter_mut().find(|(id, ..)| *id == listener) {
            Some((_, a, d)) => (*a, *d) = (*a + admitted, *d + duplicate),
            None => self.frames.push((listener, admitted, duplicate)),
        }
    }
}

#[derive(Debug, Default)]
pub struct Gate {
    last: Number,
    received_us: i64,
    frame_ids: FrameIds,
}

impl Gate {
    /// Number of the last batch that passed; 0 before the first.
    pub fn last(&self) -> Number {
        self.last
    }

    /// What time it is, microseconds since 1970: never before a batch that has passed, and no later batch is before it.
    pub fn tick(&mut self, now_us: i64) -> i64 {
        self.received_us = self.received_us.max(now_us);
        self.received_us
    }

    /// Numbers the batches of a group one after the other, and marks the runs that came before.
    pub fn pass<'a>(&mut self, group: impl IntoIterator<Item = &'a mut Batch>, now_us: i64) -> Admitted {
        self.received_us = self.received_us.max(now_us);
        self.frame_ids.forget_before(self.received_us - limits::DEDUPE_S * 1_000_000);
        let mut admitted = Admitted { number: self.last, ..Admitted::default() };
        let mut post = Seen::new();
        for (index, batch) in group.into_iter().enumerate() {
            self.last += 1;
            admitted.number = self.last;
            batch.number = self.last;
            batch.received_us = self.received_us;
            for (at, run) in batch.runs.iter_mut().enumerate() {
                self.admit(run, &mut post);
                let (fresh, repeated) = match run.admission {
                    Admission::Admitted => (run.len, 0),
                    Admission::Duplicate => (0, run.len),
                    Admission::DuplicateButFirst { .. } => (1, run.len - 1),
                };
                admitted.count(run.origin.listener, u64::from(fresh), u64::from(repeated));
                if run.admission != Admission::Admitted {
                    admitted.duplicates.push((index, at, post.waits_for));
                }
            }
        }
        self.frame_ids.numbered(self.last);
        admitted
    }

    /// Decides on a run; one that continues a POST follows the POST's first run.
    fn admit(&mut self, run: &mut Run, post: &mut Seen) {
        let Identity::Post { frame_id, continues, lead_loss, .. } = &run.identity else { return };
        if *continues {
            run.admission = if post.repeated { Admission::Duplicate } else { Admission::Admitted };
            return;
        }
        let key = self.frame_ids.key(&run.origin, frame_id);
        *post = Seen { repeated: false, waits_for: 0 };
        match self.frame_ids.entry(key, self.received_us, self.last) {
            Entry::New(entry) => entry.lead_loss = *lead_loss,
            Entry::Known(entry) => {
                *post = Seen { repeated: true, waits_for: entry.number };
                let known = entry.lead_loss.unwrap_or(0);
                run.admission = match lead_loss {
                    Some(n) if *n > known => {
                        entry.lead_loss = *lead_loss;
                        entry.number = self.last;
                        post.waits_for = self.last;
                        Admission::DuplicateButFirst { known }
                    }
                    _ => Admission::Duplicate,
                };
            }
        }
    }
}

/// What was found about the POST whose runs are passing.
struct Seen {
    repeated: bool,
    waits_for: Number,
}

impl Seen {
    fn new() -> Seen {
        Seen { repeated: false, waits_for: 0 }
    }
}

/// A POST that was admitted.
#[derive(Debug)]
struct Post {
    /// Number of the batch that ends it.
    number: Number,
    /// Messages told lost by its leading notice so far.
    lead_loss: Option<u64>,
}

enum Entry<'a> {
    New(&'a mut Post),
    Known(&'a mut Post),
}

/// The table of Frame-Ids: bounded in entries and in time.
///
/// Keys are 128 bits of two seeded hashes: at a million entries two senders meet with a chance of 10^-27, and nobody
/// outside knows the seeds.
#[derive(Debug, Default)]
struct FrameIds {
    seeds: (RandomState, RandomState),
    posts: foldhash::HashMap<u128, Post>,
    /// Keys by the time they were entered, oldest first.
    ages: VecDeque<(i64, u128)>,
    /// Entries of the group that is passing: their number is the group's last.
    open: Vec<u128>,
}

impl FrameIds {
    /// Of a token, else of user and listener, with the Frame-Id.
    fn key(&self, origin: &Origin, frame_id: &str) -> u128 {
        let half = |seed: &RandomState| match &origin.token {
            Some(token) => seed.hash_one((token, frame_id)),
            None => seed.hash_one((&origin.user, origin.listener, frame_id)),
        };
        u128::from(half(&self.seeds.0)) << 64 | u128::from(half(&self.seeds.1))
    }

    fn entry(&mut self, key: u128, now_us: i64, number: Number) -> Entry<'_> {
        if !self.posts.contains_key(&key) {
            while self.posts.len() >= limits::DEDUPE_ENTRIES {
                let (_, oldest) = self.ages.pop_front().expect("every post has an age");
                self.posts.remove(&oldest);
            }
            self.ages.push_back((now_us, key));
            self.open.push(key);
            return Entry::New(self.posts.entry(key).or_insert(Post { number, lead_loss: None }));
        }
        Entry::Known(self.posts.get_mut(&key).expect("just found"))
    }

    /// The group's last number is `last`: its POSTs are whole only then.
    fn numbered(&mut self, last: Number) {
        for key in self.open.drain(..) {
            if let Some(post) = self.posts.get_mut(&key) {
                post.number = last;
            }
        }
    }

    fn forget_before(&mut self, time_us: i64) {
        while let Some(&(at, key)) = self.ages.front()
            && at < time_us
        {
            self.ages.pop_front();
            self.posts.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::batch::Form;

    fn origin(token: &str) -> Arc<Origin> {
        Arc::new(Origin {
            listener: ListenerId(0),
            peer: None,
            peer_name: None,
            token: Some(token.into()),
            user: None,
            labels: Vec::new(),
            logplex: true,
            form: Form::Syslog,
        })
    }

    /// A batch with one POST of `frames` frames.
    fn post(token: &str, id: &str, frames: u32, continues: bool, lead_loss: Option<u64>) -> Batch {
        let mut batch = Batch::new(64);
        for _ in 0..frames {
            let at = batch.append(b"x");
            batch.push_frame(at, 1, false);
        }
        let identity = Identity::Post { frame_id: id.into(), first: frames, continues, lead_loss };
        batch.close_run(&origin(token), identity);
        batch
    }

    #[test]
    fn numbers_follow_one_another_and_time_never_goes_back() {
        let mut gate = Gate::default();
        let (mut a, mut b, mut c) = (Batch::new(8), Batch::new(8), Batch::new(8));
        assert_eq!(gate.pass([&mut a, &mut b], 50).number, 2);
        assert_eq!(gate.pass([&mut c], 40).number, 3);
        assert_eq!([a.number, b.number, c.number], [1, 2, 3]);
        assert_eq!([a.received_us, b.received_us, c.received_us], [50, 50, 50]);
    }

    #[test]
    fn a_retry_is_a_duplicate_and_waits_for_the_first_try() {
        let mut gate = Gate::default();
        let (mut head, mut tail) = (post("d.1", "f", 2, false, None), post("d.1", "f", 3, true, None));
        let first = gate.pass([&mut head, &mut tail], 0);
        assert_eq!((first.number, first.duplicates.len()), (2, 0));
        assert_eq!(first.frames, [(ListenerId(0), 5, 0)]);
        let (mut head, mut tail) = (post("d.1", "f", 2, false, None), post("d.1", "f", 3, true, None));
        let again = gate.pass([&mut head, &mut tail], 1_000_000);
        assert_eq!(again.duplicates, [(0, 0, 2), (1, 0, 2)]);
        assert_eq!(again.frames, [(ListenerId(0), 0, 5)]);
        // Another sender with the same id is no duplicate, nor is the same one after two minutes.
        assert!(gate.pass([&mut post("d.2", "f", 1, false, None)], 1).duplicates.is_empty());
        let late = 1 + limits::DEDUPE_S * 1_000_000;
        assert!(gate.pass([&mut post("d.1", "f", 1, false, None)], 1_000_000 + late).duplicates.is_empty());
    }

    #[test]
    fn a_retry_may_gain_or_raise_its_leading_loss_notice() {
        let mut gate = Gate::default();
        gate.pass([&mut post("d.1", "f", 2, false, None)], 0);
        let cases = [
            (Some(5), Admission::DuplicateButFirst { known: 0 }, 2),
            (Some(5), Admission::Duplicate, 2),
            (Some(9), Admission::DuplicateButFirst { known: 5 }, 4),
            (None, Admission::Duplicate, 4),
        ];
        for (lead, expected, waits_for) in cases {
            let mut batch = post("d.1", "f", 3, false, lead);
            let admitted = gate.pass([&mut batch], 0);
            assert_eq!(batch.runs[0].admission, expected);
            assert_eq!(admitted.duplicates[0].2, waits_for);
        }
    }

    #[test]
    fn the_table_is_bounded() {
        let mut ids = FrameIds::default();
        for key in 0..limits::DEDUPE_ENTRIES as u128 + 10 {
            ids.entry(key, 0, 1);
        }
        assert_eq!(ids.posts.len(), limits::DEDUPE_ENTRIES);
        assert!(!ids.posts.contains_key(&0));
    }
}
