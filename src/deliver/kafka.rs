//! The kafka sink.
use super::{Kind, OpenError, Opened};
pub const KIND: Kind = Kind { name: "kafka", summary: "", example: "kind: kafka", open };
fn open(_: &crate::config::Sink, _: &[&str]) -> Result<Opened, OpenError> {
    Err(OpenError(String::new()))
}
