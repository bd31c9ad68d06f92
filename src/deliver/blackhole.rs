//! The blackhole sink: takes everything and keeps nothing but its count, to measure all that lies before it.

use std::sync::Arc;

use super::{Kind, OpenError, Opened, Readings, Refusal, Sink, SinkError};
use crate::batch::Number;
use crate::config;
use crate::outcome::Parcel;

pub const KIND: Kind = Kind {
    name: "blackhole",
    summary: "encodes events and throws them away: for measuring",
    example: "{name: nowhere, kind: blackhole}",
    open,
};

fn open(_: &config::Sink, _: &[&str]) -> Result<Opened, OpenError> {
    let readings = Readings::default();
    Ok(Opened { sink: Box::new(Blackhole { readings: readings.clone(), ..Blackhole::default() }), readings })
}

/// A sink that only counts.
pub fn plain() -> Box<dyn Sink> {
    Box::new(Blackhole::default())
}

#[derive(Default)]
struct Blackhole {
    mark: Number,
    events: u64,
    bytes: u64,
    readings: Readings,
}

impl Sink for Blackhole {
    fn write(&mut self, parcel: &Arc<Parcel>) -> Result<(), SinkError> {
        if parcel.number > self.mark {
            self.mark = parcel.number;
            self.events += u64::from(parcel.events);
            self.bytes += parcel.bytes.len() as u64;
        }
        Ok(())
    }

    fn flush(&mut self, _: &mut Vec<Refusal>) -> Result<Number, SinkError> {
        self.readings.set(vec![("events", self.events as f64), ("bytes", self.bytes as f64)]);
        Ok(self.mark)
    }

    fn skip(&mut self, number: Number) {
        self.mark = self.mark.max(number);
    }

    fn close(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_parcel_once() {
        let mut sink = Blackhole::default();
        let parcel =
            Arc::new(Parcel { number: 3, bytes: b"one\ntwo\n".to_vec(), events: 2, ..Parcel::default() });
        sink.write(&parcel).unwrap();
        sink.write(&parcel).unwrap();
        sink.skip(5);
        sink.skip(4);
        assert_eq!(sink.flush(&mut Vec::new()).unwrap(), 5);
        assert_eq!(sink.readings.snapshot(), [("events", 2.0), ("bytes", 8.0)]);
    }
}
