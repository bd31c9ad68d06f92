//! The shard allocates nothing an event: a batch costs the same few allocations whether it holds 50 events or 400.
//!
//! Measured over batches of the load generator, with NDJSON on, after the buffers have grown; the allocator of the test
//! counts, on the thread that processes. What the parcels grow to is not bounded here, nor what a batch costs to make.

#[path = "../benches/batches/mod.rs"]
mod batches;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use weir::batch::Batch;
use weir::plan::Format;

use batches::{CORPORA, Work};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn note() {
    ALLOCATIONS.with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is passed on unchanged to `System`, which keeps the contract; counting touches a thread-local
// without a destructor, which allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// Allocations of each batch, processed in turn.
fn allocations(work: &mut Work, batches: &mut [Batch]) -> Vec<u64> {
    let counted = |batch: &mut Batch| {
        let before = ALLOCATIONS.with(Cell::get);
        work.process(batch);
        ALLOCATIONS.with(Cell::get) - before
    };
    batches.iter_mut().map(counted).collect()
}

#[test]
fn a_batch_allocates_the_same_for_50_events_as_for_400() {
    /// A few vectors of the outcome, and the parcel's place in it.
    const A_BATCH_MAX: u64 = 6;
    for corpus in CORPORA {
        // With rules: the Heroku pack with its metrics and all its alerts on, and a thousand literals. With masks: that pack and
        // one of each kind.
        for (format, rules) in [
            (None, None),
            (Some(Format::Ndjson), None),
            (Some(Format::Ndjson), Some("heroku,generic+!")),
            (Some(Format::Ndjson), Some("1000")),
            (Some(Format::Ndjson), Some("masks")),
        ] {
            let (mut small, mut large) = (corpus.batches(8, 50), corpus.batches(8, 400));
            for (few, many) in small.iter().zip(&large) {
                assert!(few.frames.len() == 50 && many.frames.len() > 250, "{}: sizes", corpus.name);
            }
            let mut work = Work::new(format);
            if rules == Some("masks") {
                work.know("heroku,generic!");
                work.mask();
            } else if let Some(rules) = rules {
                work.know(rules);
            }
            // Signals are filled in turns.
            for _ in 0..4 {
                allocations(&mut work, &mut large);
                allocations(&mut work, &mut small);
            }
            let (few, many) = (allocations(&mut work, &mut small), allocations(&mut work, &mut large));
            let same = few.iter().chain(&many).all(|count| *count == few[0]);
            assert!(
                same && few[0] <= A_BATCH_MAX,
                "{} {format:?} {rules:?}: {few:?} allocations for 50 events, {many:?} for up to 400",
                corpus.name
            );
        }
    }
}

#[test]
fn the_counter_sees_an_allocation() {
    let before = ALLOCATIONS.with(Cell::get);
    let mut grown: Vec<u8> = std::hint::black_box(Vec::with_capacity(1));
    grown.reserve(1000);
    drop(std::hint::black_box(grown));
    assert_eq!(ALLOCATIONS.with(Cell::get) - before, 2);
}
