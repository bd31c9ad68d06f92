//! What of each parcel was sent, arrived, was refused, or has to be sent again.
//!
//! Invariants: a row is in exactly one message; a message is in one state; the mark stands before the first number that
//! has a row neither safe nor refused. Rows of one number are sent in their order, and no row is sent before one of a
//! lower number that waits to be sent again.
//!
//! Deliberately absent: rdkafka, so that all of this is tested without a broker.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::Refusal;
use super::packs::Packs;
use crate::batch::Number;
use crate::outcome::Parcel;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Flying,
    /// To be sent again.
    Waiting,
    /// Safe, or refused for good.
    Done,
}

/// One or more rows that follow one another in the order of sending.
#[derive(Clone, Copy, Debug)]
struct Message {
    /// Place of its first row in that order.
    first: u32,
    rows: u32,
    state: State,
}

/// A parcel that is not all safe.
#[derive(Debug)]
struct Record {
    parcel: Arc<Parcel>,
    /// Which rows share a message; `None` where each is one, in the order of the parcel.
    packs: Option<Packs>,
    messages: Vec<Message>,
    /// The first row in the order of sending that is in no message yet.
    next_row: u32,
    flying: u32,
    waiting: u32,
}

impl Record {
    /// The row at a place in the order of sending.
    fn row(&self, at: u32) -> u32 {
        self.packs.as_ref().map_or(at, |packs| packs.order[at as usize])
    }

    fn is_done(&self) -> bool {
        self.flying == 0 && self.waiting == 0 && self.next_row as usize == self.parcel.rows.len()
    }
}

/// Names a message on its way, and comes back with its report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket(pub usize);

/// Bits of a ticket that say which message of its parcel; a batch has `limits::BATCH_FRAMES` frames at most.
const MESSAGE_BITS: u32 = 20;

/// What to send next of a parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This message, once more.
    Again {
        ticket: Ticket,
        first: u32,
        rows: u32,
    },
    /// A new message.
    New {
        first: u32,
        rows: u32,
    },
    Nothing,
}

#[derive(Debug, Default)]
pub(super) struct Flights {
    records: VecDeque<Record>,
    /// Place of `records[0]` among all there ever were.
    base: usize,
    /// The last number that was offered or skipped.
    last: Number,
    flying: usize,
    waiting: usize,
    refused: Vec<Refusal>,
}

impl Flights {
    /// The number up to which all is safe or refused.
    pub fn mark(&self) -> Number {
        self.records.front().map_or(self.last, |record| record.parcel.number - 1)
    }

    /// The last number that was offered or skipped.
    pub fn last(&self) -> Number {
        self.last
    }

    pub fn flying(&self) -> usize {
        self.flying
    }

    pub fn skip(&mut self, number: Number) {
        self.last = self.last.max(number);
    }

    pub fn take_refused(&mut self, into: &mut Vec<Refusal>) {
        into.append(&mut self.refused);
    }

    /// Whether a row of a lower number has to be sent before one of `number` may be.
    pub fn owes_before(&self, number: Number) -> bool {
        self.waiting > 0
            && self.records.iter().any(|record| record.waiting > 0 && record.parcel.number < number)
    }

    /// Enters a parcel and returns its place, or `None` if all of it is safe or it was skipped. `packs` says which
    /// rows of one that is new share a message; without, each is one.
    pub fn enter(&mut self, parcel: &Arc<Parcel>, packs: Option<Packs>) -> Option<usize> {
        if parcel.number > self.last {
            self.last = parcel.number;
            if parcel.rows.is_empty() {
                return None;
            }
            let messages = packs.as_ref().map_or(parcel.rows.len(), |packs| packs.ends.len());
            self.records.push_back(Record {
                parcel: parcel.clone(),
                packs,
                messages: Vec::with_capacity(messages),
                next_row: 0,
                flying: 0,
                waiting: 0,
            });
            return Some(self.base + self.records.len() - 1);
        }
        let at = self.records.binary_search_by_key(&parcel.number, |record| record.parcel.number).ok()?;
        Some(self.base + at)
    }

    /// What to send next of the parcel at `place`.
    pub fn next(&self, place: usize) -> Next {
        let record = &self.records[place - self.base];
        if record.waiting > 0 {
            let messages = record.messages.iter().enumerate();
            let waiting = messages.filter(|(_, message)| message.state == State::Waiting);
            let (at, message) =
                waiting.min_by_key(|(_, message)| message.first).expect("waiting messages are counted");
            return Next::Again { ticket: ticket(place, at), first: message.first, rows: message.rows };
        }
        let first = record.next_row;
        if first as usize == record.parcel.rows.len() {
            return Next::Nothing;
        }
        let rows = record.packs.as_ref().map_or(1, |packs| {
            let at = packs.ends.partition_point(|end| *end <= first);
            packs.ends[at] - first
        });
        Next::New { first, rows }
    }

    /// The rows of a message of the parcel at `place`, rising.
    pub fn rows(&self, place: usize, first: u32, rows: u32) -> impl DoubleEndedIterator<Item = u32> {
        let record = &self.records[place - self.base];
        (first..first + rows).map(|at| record.row(at))
    }

    /// The ticket of the message that `sent` will enter.
    pub fn next_ticket(&self, place: usize) -> Ticket {
        ticket(place, self.records[place - self.base].messages.len())
    }

    /// Enters a new message of so many rows, now on its way.
    pub fn sent(&mut self, place: usize, rows: u32) {
        let record = &mut self.records[place - self.base];
        record.messages.push(Message { first: record.next_row, rows, state: State::Flying });
        record.next_row += rows;
        record.flying += 1;
        self.flying += 1;
    }

    /// Notes that a message that waited is on its way again.
    pub fn sent_again(&mut self, ticket: Ticket) {
        self.change(ticket, State::Flying);
    }

    pub fn arrived(&mut self, ticket: Ticket) {
        self.change(ticket, State::Done);
    }

    /// Notes that a message did not arrive and has to be sent again.
    pub fn returned(&mut self, ticket: Ticket) {
        self.change(ticket, State::Waiting);
    }

    /// Makes messages of one row each, to be sent, of one that was refused whole; false where it has but one row.
    pub fn split(&mut self, ticket: Ticket) -> bool {
        let Some((record, at)) = self.find(ticket) else { return false };
        let message = record.messages[at];
        if message.rows == 1 {
            return false;
        }
        record.messages[at].rows = 1;
        let rest = message.first + 1..message.first + message.rows;
        let added = rest.len();
        record.messages.extend(rest.map(|first| Message { first, rows: 1, state: State::Waiting }));
        record.waiting += added as u32;
        self.waiting += added;
        self.change(ticket, State::Waiting);
        true
    }

    /// Notes that a message is refused for good.
    pub fn refuse(&mut self, ticket: Ticket, reason: &'static str) {
        let Some((record, at)) = self.find(ticket) else { return };
        let (parcel, message) = (&record.parcel, record.messages[at]);
        let rows = (message.first..message.first + message.rows).map(|at| record.row(at));
        let refusals = rows.map(|row| Refusal {
            number: parcel.number,
            row,
            reason,
            id: parcel.word(parcel.rows[row as usize].id).into(),
            bytes: parcel.row_bytes(row as usize).into(),
        });
        let refusals: Vec<Refusal> = refusals.collect();
        self.refused.extend(refusals);
        self.change(ticket, State::Done);
    }

    /// The bytes of a message's rows, with their line feeds.
    pub fn message_bytes(&mut self, ticket: Ticket) -> usize {
        let Some((record, at)) = self.find(ticket) else { return 0 };
        let message = record.messages[at];
        (message.first..message.first + message.rows)
            .map(|at| record.parcel.row_bytes(record.row(at) as usize).len())
            .sum()
    }

    fn find(&mut self, ticket: Ticket) -> Option<(&mut Record, usize)> {
        let (place, at) = (ticket.0 >> MESSAGE_BITS, ticket.0 & ((1 << MESSAGE_BITS) - 1));
        let record = self.records.get_mut(place.checked_sub(self.base)?)?;
        (at < record.messages.len()).then_some((record, at))
    }

    fn change(&mut self, ticket: Ticket, to: State) {
        let Some((record, at)) = self.find(ticket) else { return };
        let from = std::mem::replace(&mut record.messages[at].state, to);
        match from {
            State::Flying => record.flying -= 1,
            State::Waiting => record.waiting -= 1,
            State::Done => {}
        }
        match to {
            State::Flying => record.flying += 1,
            State::Waiting => record.waiting += 1,
            State::Done => {}
        }
        self.flying -= usize::from(from == State::Flying);
        self.flying += usize::from(to == State::Flying);
        self.waiting -= usize::from(from == State::Waiting);
        self.waiting += usize::from(to == State::Waiting);
        while self.records.front().is_some_and(Record::is_done) {
            self.records.pop_front();
            self.base += 1;
        }
    }
}

fn ticket(place: usize, message: usize) -> Ticket {
    Ticket(place << MESSAGE_BITS | message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::KindId;
    use crate::outcome::{Row, Word};

    fn parcel(number: Number, rows: u32) -> Arc<Parcel> {
        let row = |index: u32| Row {
            end: (index + 1) * 2,
            id: Word { at: index, len: 1 },
            drain: Word::default(),
            computer: Word::default(),
            listener: Word::default(),
            kind: KindId(0),
            received_us: 0,
        };
        Arc::new(Parcel {
            number,
            bytes: (0..rows).flat_map(|index| [b'a' + index as u8, b'\n']).collect(),
            events: rows,
            rows: (0..rows).map(row).collect(),
            words: (0..rows).map(|index| b'A' + index as u8).collect(),
            ..Parcel::default()
        })
    }

    /// Sends all of a parcel, a row a message, and returns the tickets.
    fn send(flights: &mut Flights, parcel: &Arc<Parcel>) -> Vec<Ticket> {
        let Some(place) = flights.enter(parcel, None) else { return Vec::new() };
        let mut tickets = Vec::new();
        loop {
            match flights.next(place) {
                Next::Nothing => return tickets,
                Next::New { rows, .. } => {
                    tickets.push(flights.next_ticket(place));
                    flights.sent(place, rows);
                }
                Next::Again { ticket, .. } => {
                    tickets.push(ticket);
                    flights.sent_again(ticket);
                }
            }
        }
    }

    #[test]
    fn the_mark_moves_over_what_has_arrived() {
        let mut flights = Flights::default();
        let first = send(&mut flights, &parcel(1, 2));
        flights.skip(2);
        let third = send(&mut flights, &parcel(3, 1));
        flights.skip(4);
        assert_eq!((flights.mark(), flights.flying()), (0, 3));
        flights.arrived(third[0]);
        flights.arrived(first[1]);
        assert_eq!(flights.mark(), 0);
        flights.arrived(first[0]);
        assert_eq!((flights.mark(), flights.flying()), (4, 0));
        assert_eq!(send(&mut flights, &parcel(3, 1)), [], "what is safe is not sent again");
        flights.arrived(first[0]);
        assert_eq!(flights.mark(), 4, "a report that comes twice changes nothing");
    }

    #[test]
    fn only_what_came_back_is_sent_again_and_before_all_later() {
        let mut flights = Flights::default();
        let (one, two) = (parcel(1, 3), parcel(2, 1));
        let first = send(&mut flights, &one);
        let second = send(&mut flights, &two);
        flights.arrived(first[0]);
        flights.returned(first[1]);
        flights.arrived(first[2]);
        flights.returned(second[0]);
        assert!(flights.owes_before(2) && flights.owes_before(3) && !flights.owes_before(1));
        assert_eq!(send(&mut flights, &one), [first[1]]);
        assert!(!flights.owes_before(2));
        assert_eq!(send(&mut flights, &two), second);
        flights.arrived(second[0]);
        assert_eq!(flights.mark(), 0);
        flights.arrived(first[1]);
        assert_eq!(flights.mark(), 2);
    }

    #[test]
    fn refused_rows_are_told_and_done() {
        let mut flights = Flights::default();
        let parcel = parcel(7, 3);
        let place = flights.enter(&parcel, None).unwrap();
        let ticket = flights.next_ticket(place);
        flights.sent(place, 2);
        assert_eq!(flights.next(place), Next::New { first: 2, rows: 1 });
        assert_eq!(flights.message_bytes(ticket), 4);
        flights.refuse(ticket, "too_large");
        let rest = send(&mut flights, &parcel);
        assert_eq!(flights.mark(), 6);
        flights.arrived(rest[0]);
        assert_eq!(flights.mark(), 7);
        let mut refused = Vec::new();
        flights.take_refused(&mut refused);
        let told: Vec<_> = refused.iter().map(|r| (r.number, r.row, &*r.id, &*r.bytes)).collect();
        assert_eq!(told, [(7, 0, &b"A"[..], &b"a\n"[..]), (7, 1, b"B", b"b\n")]);
    }

    #[test]
    fn a_packed_message_that_is_refused_is_sent_row_by_row() {
        let mut flights = Flights::default();
        let parcel = parcel(1, 4);
        let packs = Packs { order: vec![0, 2, 1, 3], ends: vec![2, 4] };
        let place = flights.enter(&parcel, Some(packs)).unwrap();
        assert_eq!(flights.next(place), Next::New { first: 0, rows: 2 });
        assert_eq!(flights.rows(place, 0, 2).collect::<Vec<_>>(), [0, 2]);
        let tickets = send(&mut flights, &parcel);
        assert_eq!((tickets.len(), flights.flying()), (2, 2));
        assert!(flights.split(tickets[0]));
        flights.arrived(tickets[1]);
        assert!(flights.owes_before(2));
        let again = send(&mut flights, &parcel);
        assert_eq!((again.len(), again[0], flights.flying()), (2, tickets[0], 2));
        assert!(!flights.split(again[1]), "a row cannot be split");
        flights.refuse(again[1], "too_large");
        flights.arrived(again[0]);
        let mut refused = Vec::new();
        flights.take_refused(&mut refused);
        assert_eq!((refused.len(), refused[0].row, &*refused[0].bytes), (1, 2, &b"c\n"[..]));
        assert_eq!((flights.mark(), flights.flying()), (1, 0));
    }
}
