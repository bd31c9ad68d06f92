//! The ring: outcomes in number order, each held until its last reader has let go.
//!
//! Shards put outcomes in any order; every reader takes them in number order, and says with its mark up to where all is
//! safe. An entry leaves when the marks of all attached readers have passed it, and with it goes the slot's credit. A
//! detached reader holds nothing: what passes it by is added to its gap. Nothing here waits or locks.

use std::collections::VecDeque;

use crate::batch::Number;

/// A reader of the ring; its place is kept while it is detached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReaderId(usize);

#[derive(Debug)]
struct Reader {
    /// The number it takes next.
    next: Number,
    /// All up to it is safe.
    mark: Number,
    /// The last number that is for it; `Number::MAX` while it is to stay.
    until: Number,
    attached: bool,
}

/// What the ring needs to know of an entry: what of it a detached reader missed.
pub trait Entry {
    type Gap: Default;
    fn miss(&self, reader: ReaderId, gap: &mut Self::Gap);
}

#[derive(Debug)]
pub struct Ring<E: Entry> {
    /// Number of the first place.
    base: Number,
    places: VecDeque<Option<E>>,
    /// All up to it is there.
    head: Number,
    readers: Vec<Option<Reader>>,
    /// What each detached reader has missed, of entries that have left.
    gaps: Vec<E::Gap>,
}

impl<E: Entry> Default for Ring<E> {
    fn default() -> Self {
        Ring { base: 1, places: VecDeque::new(), head: 0, readers: Vec::new(), gaps: Vec::new() }
    }
}

impl<E: Entry> Ring<E> {
    /// The number up to which every outcome is there.
    pub fn head(&self) -> Number {
        self.head
    }

    /// Puts the outcome of a batch. Returns whether the head has moved.
    pub fn put(&mut self, number: Number, entry: E) -> bool {
        let place = usize::try_from(number - self.base).expect("as many places as slots");
        if self.places.len() <= place {
            self.places.resize_with(place + 1, || None);
        }
        debug_assert!(self.places[place].is_none(), "one outcome a batch");
        self.places[place] = Some(entry);
        let before = self.head;
        while self.get(self.head + 1).is_some() {
            self.head += 1;
        }
        self.head > before
    }

    fn get(&self, number: Number) -> Option<&E> {
        let place = usize::try_from(number.checked_sub(self.base)?).ok()?;
        self.places.get(place)?.as_ref()
    }

    /// A new reader, attached behind the head: it takes what comes from now on.
    pub fn attach(&mut self) -> ReaderId {
        self.readers.push(Some(Reader {
            next: self.head + 1,
            mark: self.head,
            until: Number::MAX,
            attached: true,
        }));
        self.gaps.push(E::Gap::default());
        ReaderId(self.readers.len() - 1)
    }

    fn reader(&self, id: ReaderId) -> &Reader {
        self.readers[id.0].as_ref().expect("a reader that has not left")
    }

    fn reader_mut(&mut self, id: ReaderId) -> &mut Reader {
        self.readers[id.0].as_mut().expect("a reader that has not left")
    }

    /// The next entry in order, if it is there.
    pub fn take(&mut self, id: ReaderId) -> Option<&E> {
        let next = self.reader(id).next;
        if next > self.end_of(id) {
            return None;
        }
        self.reader_mut(id).next += 1;
        self.get(next)
    }

    /// Gives the reader nothing beyond what is there now.
    pub fn end_here(&mut self, id: ReaderId) {
        self.reader_mut(id).until = self.head;
    }

    /// The last number that the reader could take.
    fn end_of(&self, id: ReaderId) -> Number {
        self.head.min(self.reader(id).until)
    }

    /// Whether nothing will ever come for the reader, and it has marked all.
    pub fn is_done(&self, id: ReaderId) -> bool {
        self.reader(id).mark >= self.reader(id).until
    }

    /// Starts again behind the mark. Returns the entries that will be taken once more.
    pub fn rewind(&mut self, id: ReaderId) -> impl Iterator<Item = &E> {
        let reader = self.reader_mut(id);
        let (from, to) = (reader.mark + 1, reader.next);
        reader.next = from;
        (from..to).filter_map(|number| self.get(number))
    }

    pub fn mark(&self, id: ReaderId) -> Number {
        self.reader(id).mark
    }

    pub fn is_attached(&self, id: ReaderId) -> bool {
        self.reader(id).attached
    }

    /// Whether the reader has taken all there is.
    pub fn is_at_head(&self, id: ReaderId) -> bool {
        self.reader(id).next > self.end_of(id)
    }

    /// Places that the reader has still to mark.
    pub fn held(&self, id: ReaderId) -> u64 {
        self.end_of(id) - self.reader(id).mark
    }

    /// Moves the mark of a reader and returns the entries that nobody holds any longer. The mark may pass what a rewound
    /// reader has not taken again: a sink may have kept it, and what is safe is not offered once more.
    pub fn release(&mut self, id: ReaderId, mark: Number) -> Vec<E> {
        debug_assert!(mark <= self.end_of(id));
        let reader = self.reader_mut(id);
        reader.mark = reader.mark.max(mark);
        reader.next = reader.next.max(reader.mark + 1);
        self.sweep()
    }

    /// Lets the reader hold nothing from now on.
    pub fn detach(&mut self, id: ReaderId) -> Vec<E> {
        self.reader_mut(id).attached = false;
        self.sweep()
    }

    /// Joins a detached reader behind the head and returns what it missed.
    pub fn rejoin(&mut self, id: ReaderId) -> E::Gap {
        let mut gap = std::mem::take(&mut self.gaps[id.0]);
        let (from, end) = (self.reader(id).mark + 1, self.end_of(id));
        for number in from.max(self.base)..=end {
            if let Some(entry) = self.get(number) {
                entry.miss(id, &mut gap);
            }
        }
        let reader = self.reader_mut(id);
        (reader.next, reader.mark, reader.attached) = (end + 1, end, true);
        gap
    }

    /// Takes the reader out for good.
    pub fn leave(&mut self, id: ReaderId) -> Vec<E> {
        self.readers[id.0] = None;
        self.sweep()
    }

    /// The lowest mark of the attached readers among `ids`; `None` if there is none.
    pub fn lowest_mark(&self, ids: &[ReaderId]) -> Option<Number> {
        let readers = ids.iter().filter_map(|id| self.readers[id.0].as_ref());
        readers.filter(|reader| reader.attached && reader.mark < reader.until).map(|reader| reader.mark).min()
    }

    /// Takes out what all attached readers have passed.
    fn sweep(&mut self) -> Vec<E> {
        let holding =
            self.readers.iter().flatten().filter(|reader| reader.attached && reader.mark < reader.until);
        let marks = holding.map(|reader| reader.mark);
        let lowest = marks.min().unwrap_or(self.head).min(self.head);
        let mut left = Vec::new();
        while self.base <= lowest {
            let entry = self.places.pop_front().flatten().expect("all up to the head is there");
            for (index, reader) in self.readers.iter().enumerate() {
                if let Some(reader) = reader
                    && !reader.attached
                    && (reader.mark + 1..=reader.until).contains(&self.base)
                {
                    entry.miss(ReaderId(index), &mut self.gaps[index]);
                }
            }
            self.base += 1;
            left.push(entry);
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Item(u64);

    impl Entry for Item {
        type Gap = u64;
        fn miss(&self, _: ReaderId, gap: &mut u64) {
            *gap += self.0;
        }
    }

    #[test]
    fn readers_take_in_number_order_and_the_slowest_holds() {
        let mut ring = Ring::default();
        let (a, b) = (ring.attach(), ring.attach());
        assert!(!ring.put(2, Item(2)));
        assert_eq!(ring.take(a), None);
        assert!(ring.put(1, Item(1)));
        assert_eq!([ring.take(a).map(|i| i.0), ring.take(a).map(|i| i.0)], [Some(1), Some(2)]);
        assert!(ring.release(a, 2).is_empty());
        assert_eq!(ring.take(b), Some(&Item(1)));
        assert_eq!(ring.release(b, 1), [Item(1)]);
        assert_eq!(ring.lowest_mark(&[a, b]), Some(1));
    }

    #[test]
    fn a_detached_reader_holds_nothing_and_knows_what_it_missed() {
        let mut ring = Ring::default();
        let (slow, fast) = (ring.attach(), ring.attach());
        for number in 1..=4 {
            ring.put(number, Item(number * 10));
        }
        ring.take(slow);
        ring.release(slow, 1);
        for _ in 0..3 {
            ring.take(fast);
        }
        assert_eq!(ring.release(fast, 3), [Item(10)]);
        assert_eq!(ring.detach(slow), [Item(20), Item(30)]);
        assert_eq!(ring.rejoin(slow), 20 + 30 + 40);
        assert!(ring.is_at_head(slow));
        assert_eq!(ring.held(slow), 0);
    }

    #[test]
    fn a_reader_that_ends_gets_nothing_more() {
        let mut ring = Ring::default();
        let (ends, stays) = (ring.attach(), ring.attach());
        ring.put(1, Item(1));
        ring.end_here(ends);
        ring.put(2, Item(2));
        assert!(!ring.is_done(ends));
        assert_eq!(ring.take(ends), Some(&Item(1)));
        assert_eq!(ring.take(ends), None);
        assert_eq!(ring.detach(ends), []);
        ring.take(stays);
        ring.take(stays);
        assert_eq!(ring.release(stays, 2), [Item(1), Item(2)]);
        assert_eq!(ring.rejoin(ends), 1);
        assert!(ring.is_done(ends));
    }

    #[test]
    fn what_became_safe_after_a_rewind_is_not_offered_again() {
        let mut ring = Ring::default();
        let reader = ring.attach();
        for number in 1..=3 {
            ring.put(number, Item(number));
            ring.take(reader);
        }
        assert_eq!(ring.rewind(reader).count(), 3);
        // A file sink that was full writes what it has kept as soon as there is room.
        assert_eq!(ring.release(reader, 2), [Item(1), Item(2)]);
        assert_eq!(ring.take(reader), Some(&Item(3)));
    }

    #[test]
    fn rewinding_offers_again_what_is_not_safe() {
        let mut ring = Ring::default();
        let reader = ring.attach();
        for number in 1..=3 {
            ring.put(number, Item(number));
            ring.take(reader);
        }
        ring.release(reader, 1);
        assert_eq!(ring.rewind(reader).map(|i| i.0).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(ring.take(reader), Some(&Item(2)));
    }
}
