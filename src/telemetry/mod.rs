//! What weir says about itself: metrics, books, logs, and the two addresses that serve them.

pub mod books;
pub mod dashlets;
pub mod log;
pub mod metrics;
mod series;
pub mod serve;
mod watched;
