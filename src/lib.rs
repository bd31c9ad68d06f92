//! weir: a high-throughput stream processor for log drains.

#![forbid(unsafe_code)]

// What flows.
pub mod batch;
pub mod books;
pub mod event;
pub mod limits;
pub mod outcome;

// Pure: bytes, numbers and given times in, values out.
pub mod encode;
pub mod frame;
pub mod parse;
pub mod plan;
pub mod tally;

// Threads and I/O.
pub mod config;
pub mod deliver;
pub mod flow;
pub mod receive;
