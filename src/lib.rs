#![doc = include_str!("../ARCHITECTURE.md")]
#![deny(unsafe_code)]

// What flows.
pub mod limits;
pub mod event;
pub mod batch;
pub mod books;

// Pure: bytes, numbers and given times in, values out.
#[allow(unsafe_code)]
pub mod simd;
pub mod geo;
pub mod plan;
pub mod parse;
pub mod signal;
pub mod sums;
pub mod samples;
pub mod tally;
pub mod outcome;
pub mod encode;
pub mod redact;
pub mod frame;
pub mod rows;
pub mod gather;
pub mod collect;
pub mod meter;
pub mod shard;
pub mod gate;
pub mod ring;
pub mod feed;
pub mod ledger;

// The pipeline file.
pub mod config;
pub mod pack;
pub mod catalog;
pub mod export;

// Threads and I/O.
pub mod deliver;
pub mod compile;
pub mod flow;
pub mod report;
pub mod telemetry;
pub mod notify;
pub mod receive;

// Who decides.
pub mod replay;
pub mod coverage;
pub mod run;
pub mod setup;
pub mod cli;
pub mod site;
