//! Deterministic load for weir: what to send, how Logplex would send it, and whether it arrived.
//!
//! Reading order: [`rng`] and [`stamp`] are the small parts; [`corpus`] knows the messages and what each must
//! become; [`generator`] numbers them; [`record`] is what a run leaves behind; [`send`] is the sender, [`check`]
//! the checker and [`discard`] the floor that benchmarks compare with.
//!
//! Invariants: a [`generator::Load`] alone determines every byte that is sent, so a record holds counts and no
//! events; what an event must become is written down beside its text and is never found by parsing that text.
//!
//! Nothing here uses weir's own code: a checker that shared the parser would agree with its mistakes.
#![forbid(unsafe_code)]

pub mod check;
pub mod corpus;
pub mod discard;
pub mod generator;
pub mod record;
pub mod rng;
pub mod send;
pub mod stamp;
pub mod units;
