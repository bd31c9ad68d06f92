//! The blackhole sink.
