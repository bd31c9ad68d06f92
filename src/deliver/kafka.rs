//! The kafka sink.
