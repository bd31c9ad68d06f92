//! What is firing at one Alertmanager: said again and again until it ends, since it forgets what it does not hear.
//!
//! Invariants: one entry for each alert and group, whatever episodes it has; it ends when the last of them has. No clock:
//! every call is given the time.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::note::number;
use super::queue::{Counts, Item};
use super::sent::Sent;
use crate::ledger::record::State;
use crate::limits;

/// An alert of one group.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub item: Arc<Item>,
    /// Episodes that go on: ids, and whether each is sealed.
    pub episodes: Vec<(u128, bool)>,
    /// Ended, and the Alertmanager is to be told so.
    pub over: bool,
    /// It was told that this fires.
    pub told: bool,
    /// When it is to be told next.
    due_us: i64,
}

/// All that fires.
#[derive(Debug)]
pub struct Firing {
    entries: BTreeMap<String, Entry>,
    sent: Sent,
    resend_us: i64,
    /// What was given out last.
    given: Vec<(String, bool)>,
    pub counts: Counts,
}

impl Firing {
    pub fn new(resend_us: i64) -> Firing {
        let (entries, sent) = (BTreeMap::new(), Sent::new(limits::NOTIFY_IDS));
        Firing { entries, sent, resend_us, given: Vec::new(), counts: Counts::default() }
    }

    /// What fired when it was saved; all of it is told at once.
    pub fn restored(resend_us: i64, sent: Sent, entries: Vec<Entry>) -> Firing {
        let entries = entries.into_iter().map(|entry| (entry.item.note.place(), entry)).collect();
        Firing { entries, sent, ..Firing::new(resend_us) }
    }

    /// Takes a record.
    pub fn take(&mut self, item: Item) {
        let note = &item.note;
        let (id, place) = (note.number(), note.place());
        let notice = note.notice.as_deref().map(number);
        let is_new = self.sent.add((id, note.is_resolved()));
        let begin_is_known = notice.is_some_and(|notice| self.sent.has((notice, false)));
        let entry = self.entries.get_mut(&place);
        match (note.state, entry) {
            (_, _) if !is_new => self.counts.skipped += 1,
            (State::Sealed, Some(entry)) if begin_is_known => {
                for episode in &mut entry.episodes {
                    if Some(episode.0) == notice {
                        *episode = (id, true);
                        entry.item = Arc::new(item.clone());
                    }
                }
                self.counts.skipped += 1;
            }
            (State::Sealed, None) if begin_is_known => self.counts.skipped += 1,
            (State::Notice | State::Sealed, Some(entry)) => {
                if std::mem::take(&mut entry.over) {
                    entry.episodes.clear();
                }
                entry.episodes.push((id, note.state == State::Sealed));
                entry.item = Arc::new(item);
                entry.due_us = i64::MIN;
            }
            (State::Notice | State::Sealed, None) => {
                let episodes = vec![(id, note.state == State::Sealed)];
                let entry = Entry::new(item, episodes, false, false);
                self.entries.insert(place, entry);
                self.bound();
            }
            (State::Resolved, Some(entry)) if !entry.over => {
                let goes_on = |episode: &(u128, bool)| episode.0 != id && Some(episode.0) != notice;
                let before = entry.episodes.len();
                entry.episodes.retain(goes_on);
                if entry.episodes.len() == before {
                    self.counts.skipped += 1;
                } else if entry.episodes.is_empty() {
                    entry.over = true;
                    entry.item = Arc::new(item);
                    entry.due_us = i64::MIN;
                }
            }
            (State::Resolved, _) => self.counts.skipped += 1,
        }
    }

    /// Those that are to be told now, each with whether it is over.
    pub fn next(&mut self, now_us: i64) -> Vec<(Arc<Item>, bool)> {
        self.lapse(now_us);
        let due = self.entries.iter().filter(|(_, entry)| entry.due_us <= now_us);
        let due: Vec<_> = due.take(limits::NOTIFY_BATCH).collect();
        self.given = due.iter().map(|(place, entry)| (place.to_string(), entry.over)).collect();
        due.iter().map(|(_, entry)| (entry.item.clone(), entry.over)).collect()
    }

    /// Takes note that those given last are told.
    pub fn told(&mut self, now_us: i64) {
        for (place, over) in std::mem::take(&mut self.given) {
            let Some(entry) = self.entries.get_mut(&place) else { continue };
            match over || !entry.told {
                true => self.counts.sent += 1,
                false => self.counts.resent += 1,
            }
            entry.told = true;
            entry.due_us = now_us + self.resend_us;
            if over {
                self.entries.remove(&place);
            }
        }
    }

    /// Takes note that those given last are refused for good; those that go on are tried again when due.
    pub fn refused(&mut self, now_us: i64) {
        for (place, over) in std::mem::take(&mut self.given) {
            self.counts.refused += 1;
            match self.entries.get_mut(&place) {
                Some(entry) if !over => entry.due_us = now_us + self.resend_us,
                _ => drop(self.entries.remove(&place)),
            }
        }
    }

    /// When somebody is to be told next.
    pub fn due_us(&self) -> Option<i64> {
        self.entries.values().map(|entry| entry.due_us).min()
    }

    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.values()
    }

    pub fn sent(&self) -> &Sent {
        &self.sent
    }

    /// Ends what nobody will end any more.
    fn lapse(&mut self, now_us: i64) {
        let notice_us = limits::NOTIFY_NOTICE_S as i64 * 1_000_000;
        let firing_us = limits::NOTIFY_FIRING_S as i64 * 1_000_000;
        for entry in self.entries.values_mut().filter(|entry| !entry.over) {
            // A window in the future is no reason to wait for it.
            let since_us = entry.item.since_us;
            let to_us = entry.item.note.to_us().clamp(since_us, since_us + firing_us);
            let only_notices = entry.episodes.iter().all(|(_, is_sealed)| !is_sealed);
            if (only_notices && now_us > to_us + notice_us) || now_us > since_us + firing_us {
                entry.over = true;
                entry.due_us = i64::MIN;
            }
        }
    }

    fn bound(&mut self) {
        while self.entries.len() > limits::NOTIFY_FIRING {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.item.since_us);
            let place = oldest.map(|(place, _)| place.clone()).expect("more than none");
            if let Some(entry) = self.entries.remove(&place) {
                self.counts.overflow += 1;
                for (id, _) in entry.episodes {
                    self.sent.take_back((id, false));
                }
            }
        }
    }
}

impl Entry {
    /// An entry that is to be told at once.
    pub fn new(item: Item, episodes: Vec<(u128, bool)>, over: bool, told: bool) -> Entry {
        Entry { item: Arc::new(item), episodes, over, told, due_us: i64::MIN }
    }
}

#[cfg(test)]
mod tests {
    use super::super::note::tests::note;
    use super::*;
    use crate::ledger::record::KeyValue;

    const S: i64 = 1_000_000;

    fn item(id: u128, state: State, notice: Option<u128>) -> Item {
        of("a", id, state, notice)
    }

    fn of(drain: &str, id: u128, state: State, notice: Option<u128>) -> Item {
        let (note, json) = note(id, state, |record| {
            record.notice = notice.map(|id| format!("{id:032x}").into());
            record.key = vec![("drain".into(), KeyValue::Text(drain.into()))];
        });
        Item { note, json: String::from_utf8(json).unwrap().into(), since_us: 0 }
    }

    /// Ids that are told at `now_us`, and whether as over.
    fn told(firing: &mut Firing, now_us: i64) -> Vec<(u128, bool)> {
        let next = firing.next(now_us);
        firing.told(now_us);
        next.iter().map(|(item, over)| (item.note.number(), *over)).collect()
    }

    #[test]
    fn what_fires_is_told_again_until_it_ends() {
        let mut firing = Firing::new(60 * S);
        firing.take(item(1, State::Notice, None));
        assert_eq!(told(&mut firing, 0), [(1, false)]);
        assert_eq!(told(&mut firing, 59 * S), []);
        firing.take(item(2, State::Sealed, Some(1)));
        assert_eq!(told(&mut firing, 59 * S), []);
        assert_eq!(firing.due_us(), Some(60 * S));
        assert_eq!(told(&mut firing, 61 * S), [(2, false)]);
        firing.take(item(2, State::Resolved, None));
        assert_eq!(told(&mut firing, 62 * S), [(2, true)]);
        assert_eq!((told(&mut firing, 1000 * S), firing.due_us()), (vec![], None));
        assert_eq!((firing.counts.sent, firing.counts.resent), (2, 1));
        // A replay pages nobody.
        firing.take(item(1, State::Notice, None));
        firing.take(item(2, State::Sealed, Some(1)));
        assert_eq!(told(&mut firing, 2000 * S), []);
    }

    #[test]
    fn an_end_that_could_not_be_told_is_told_until_it_is() {
        let mut firing = Firing::new(60 * S);
        firing.take(item(1, State::Sealed, None));
        told(&mut firing, 0);
        firing.take(item(1, State::Resolved, None));
        assert_eq!(firing.next(S).len(), 1);
        assert_eq!(told(&mut firing, 2 * S), [(1, true)]);
    }

    #[test]
    fn a_new_episode_keeps_an_alert_firing_when_the_old_one_ends() {
        let mut firing = Firing::new(60 * S);
        firing.take(item(1, State::Sealed, None));
        firing.take(item(2, State::Notice, None));
        assert_eq!(told(&mut firing, 0), [(2, false)]);
        firing.take(item(1, State::Resolved, None));
        assert_eq!(told(&mut firing, 60 * S), [(2, false)]);
        // An end that was not told yet gives way to a new begin.
        firing.take(item(3, State::Sealed, Some(2)));
        firing.take(item(3, State::Resolved, None));
        firing.take(item(4, State::Notice, None));
        assert_eq!(told(&mut firing, 61 * S), [(4, false)]);
        firing.take(item(3, State::Resolved, None));
        assert_eq!(firing.entries().len(), 1);
    }

    #[test]
    fn what_nobody_ends_lapses() {
        let mut firing = Firing::new(60 * S);
        firing.take(of("a", 1, State::Notice, None));
        firing.take(of("b", 2, State::Sealed, None));
        told(&mut firing, 0);
        // The window ended in the first second.
        let after = (limits::NOTIFY_NOTICE_S as i64 + 2) * S;
        assert_eq!(told(&mut firing, after), [(1, true), (2, false)]);
        let after = (limits::NOTIFY_FIRING_S as i64 + 2) * S;
        assert_eq!(told(&mut firing, after), [(2, true)]);
    }

    #[test]
    fn what_fires_is_bounded_and_goes_out_in_parts() {
        let mut firing = Firing::new(60 * S);
        for id in 0..=limits::NOTIFY_FIRING as u128 {
            firing.take(Item { since_us: id as i64, ..of(&id.to_string(), id, State::Notice, None) });
        }
        assert_eq!((firing.entries().len(), firing.counts.overflow), (limits::NOTIFY_FIRING, 1));
        assert_eq!(told(&mut firing, 0).len(), limits::NOTIFY_BATCH);
        assert_eq!(firing.next(0).len(), limits::NOTIFY_BATCH);
        firing.refused(0);
        assert_eq!(firing.counts.refused, limits::NOTIFY_BATCH as u64);
    }

    #[test]
    fn what_was_saved_fires_at_once_again() {
        let mut firing = Firing::new(60 * S);
        firing.take(item(1, State::Notice, None));
        told(&mut firing, 0);
        let mut sent = Sent::new(10);
        firing.sent().iter().for_each(|key| assert!(sent.add(key)));
        let entry = firing.entries().next().unwrap();
        let entry = Entry::new((*entry.item).clone(), entry.episodes.clone(), entry.over, entry.told);
        let mut again = Firing::restored(60 * S, sent, vec![entry]);
        assert_eq!(told(&mut again, 0), [(1, false)]);
        assert_eq!((again.counts.sent, again.counts.resent), (0, 1));
    }
}
