//! The books as they are shown: CONTRACT.md section 6.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::batch::{ListenerId, Number};
use crate::books::ListenerBooks;
use crate::flow::{Flow, SinkView};
use crate::outcome::Apart;

/// All figures, and whether they close.
#[derive(Debug, Serialize)]
pub struct Books {
    pub closed: bool,
    pub head: Number,
    pub listeners: BTreeMap<String, Listener>,
    pub sinks: BTreeMap<String, Sink>,
}

#[derive(Debug, Serialize)]
pub struct Listener {
    pub received: u64,
    pub admitted: u64,
    pub duplicate: u64,
    pub shed: Shed,
    pub apart: ApartFigures,
}

#[derive(Debug, Serialize)]
pub struct Shed {
    pub no_slot: u64,
}

#[derive(Debug, Serialize)]
pub struct ApartFigures {
    pub bytes: u64,
    pub garbage_bytes: u64,
    pub truncated: u64,
    pub kernel_drops: u64,
    pub lost_upstream: u64,
    pub count_mismatch: u64,
    pub refused_requests: u64,
    pub refused_messages: u64,
    pub bad_time: u64,
    pub invalid_utf8: u64,
    pub no_match: u64,
    /// For `--strict` only: such a frame is delivered like any other.
    #[serde(skip)]
    pub unparsed: u64,
}

#[derive(Debug, Serialize)]
pub struct Sink {
    pub mark: Number,
    pub state: &'static str,
    pub admitted: u64,
    pub delivered: u64,
    pub filtered: u64,
    pub quarantined: u64,
    pub dropped: BTreeMap<&'static str, u64>,
    pub resent: u64,
}

impl Books {
    /// Reads the books of a flow. They close when it is at rest: every frame has an entry and every mark is at the head.
    ///
    /// What lies before the gate is read before what lies behind it: so what is seen as admitted has been numbered, and
    /// a head that is reached covers it.
    pub fn of(flow: &Flow) -> Books {
        let arrivals: Vec<Arrivals> = flow.listeners().iter().map(|(_, books)| Arrivals::of(books)).collect();
        let view = flow.view();
        let ledger_at = flow.ledger(|ledger| ledger.number());
        let at_rest = view.head == view.last && ledger_at == view.head;
        let sinks_close = view.sinks.iter().all(|sink| sink.balances_at(view.head));
        let listeners_close = arrivals.iter().all(Arrivals::balance);
        let named = view.listeners.iter().zip(arrivals).enumerate();
        let listeners = named.map(|(id, ((name, books), arrivals))| {
            let apart = flow.ledger(|ledger| ledger.apart(ListenerId(id as u16)));
            (name.clone(), arrivals.with(books, &apart))
        });
        Books {
            closed: at_rest && sinks_close && listeners_close,
            head: view.head,
            listeners: listeners.collect(),
            sinks: view.sinks.into_iter().map(sink_entry).collect(),
        }
    }

    /// One line of JSON.
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).expect("figures and names are JSON")
    }

    /// Garbage, unparsed and quarantined frames, for `--strict`.
    pub fn flawed(&self) -> u64 {
        let bad = |listener: &Listener| listener.apart.garbage_bytes + listener.apart.unparsed;
        let garbage: u64 = self.listeners.values().map(bad).sum();
        let quarantined: u64 = self.sinks.values().map(|sink| sink.quarantined).sum();
        garbage + quarantined
    }
}

impl SinkView {
    fn balances_at(&self, head: Number) -> bool {
        self.books.balance() && (self.state == "removed" || self.books.mark == head)
    }
}

/// The four figures of a listener that have to close.
struct Arrivals {
    received: u64,
    admitted: u64,
    duplicate: u64,
    shed_no_slot: u64,
}

impl Arrivals {
    /// Reads what is counted last before what is counted first, so that a figure never lacks its counterpart.
    fn of(books: &ListenerBooks) -> Arrivals {
        let (admitted, duplicate) = (books.admitted.get(), books.duplicate.get());
        let shed_no_slot = books.shed_no_slot.get();
        Arrivals { received: books.received.get(), admitted, duplicate, shed_no_slot }
    }

    fn balance(&self) -> bool {
        self.received == self.admitted + self.duplicate + self.shed_no_slot
    }

    fn with(self, books: &ListenerBooks, apart: &Apart) -> Listener {
        Listener {
            received: self.received,
            admitted: self.admitted,
            duplicate: self.duplicate,
            shed: Shed { no_slot: self.shed_no_slot },
            apart: ApartFigures {
                bytes: books.bytes.get(),
                garbage_bytes: books.garbage_bytes.get(),
                truncated: apart.truncated,
                kernel_drops: books.kernel_drops.get(),
                lost_upstream: apart.lost_upstream,
                count_mismatch: books.count_mismatch.get(),
                refused_requests: books.refused_requests.get(),
                refused_messages: books.refused_messages.get(),
                bad_time: apart.bad_time,
                invalid_utf8: apart.invalid_utf8,
                no_match: apart.no_match,
                unparsed: apart.unparsed,
            },
        }
    }
}

/// A sink's entry; one that a reload removed is told from its successor by its mark.
fn sink_entry(sink: SinkView) -> (String, Sink) {
    let name = match sink.state {
        "removed" => format!("{}@{}", sink.name, sink.books.mark),
        _ => sink.name.clone(),
    };
    (name, sink_figures(sink))
}

fn sink_figures(sink: SinkView) -> Sink {
    let mut dropped = sink.books.dropped;
    dropped.entry(crate::feed::reason::NO_MATCH).or_default();
    Sink {
        mark: sink.books.mark,
        state: sink.state,
        admitted: sink.books.admitted,
        delivered: sink.books.delivered,
        filtered: sink.books.filtered,
        quarantined: sink.books.quarantined,
        dropped,
        resent: sink.books.resent,
    }
}
