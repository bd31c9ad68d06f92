//! The real binary over real sockets: load, refusals, signals, reloads, figures. Each test closes the books.
//!
//! Loopback only, ports that the kernel picks, every wait with an end. What senders of others do is in `peers.rs`, what
//! bad senders do in `bad_input.rs`.

#[path = "../support/mod.rs"]
mod support;

mod alerts;
mod device;
mod drain;
mod figures;
mod filter;
mod geo;
mod kept;
mod load;
mod packs;
mod pressure;
mod reload;
mod shutdown;
