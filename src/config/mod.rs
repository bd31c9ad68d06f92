//! Placeholder for the types of the `config` branch; dropped when that branch is merged.
pub mod schema { pub fn nearest<'a>(_: &str, _: impl Iterator<Item = &'a str>) -> Option<&'a str> { None } }
mod sink;
mod template;
mod value;
pub use sink::{Compress, FileSink, KafkaHeader, KafkaKey, KafkaSink, KafkaTls, Rotate, Sasl, Sink, SinkKind, WhenFull};
pub use template::{Part, Template, Variable};
pub use value::{Secret, Text};
pub use crate::plan::Format;
