//! What weir says about itself: metrics, books, logs.

mod stages;

pub use stages::Stages;
