//! The stdout sink: parcels as they are, whole, on standard output.
//!
//! Invariants: no byte is written twice; a parcel that was cut short goes on at the byte where it stopped.
//!
//! Deliberately absent: a buffer. A parcel is large enough for one write.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

use super::{Kind, OpenError, Opened, Readings, Refusal, Sink, SinkError};
use crate::batch::Number;
use crate::config;
use crate::outcome::Parcel;

pub const KIND: Kind = Kind {
    name: "stdout",
    summary: "writes events to standard output, one a line",
    example: "{name: screen, kind: stdout}",
    open,
};

fn open(_: &config::Sink, _: &[&str]) -> Result<Opened, OpenError> {
    let sink = to_standard_output().map_err(|error| OpenError(format!("standard output: {error}")))?;
    Ok(Opened { sink, readings: Readings::default() })
}

/// A sink that writes to `out`, a file that is open already.
pub fn to(out: File) -> Box<dyn Sink> {
    Box::new(Stdout::new(out))
}

/// A sink that writes to standard output.
pub fn to_standard_output() -> io::Result<Box<dyn Sink>> {
    Ok(to(File::from(io::stdout().as_fd().try_clone_to_owned()?)))
}

struct Stdout<W> {
    out: W,
    /// The last parcel taken whole, or number skipped.
    taken: Number,
    /// Bytes already written of the parcel after `taken`, and its number.
    begun: (Number, usize),
}

impl<W: Write + Send> Stdout<W> {
    fn new(out: W) -> Self {
        Stdout { out, taken: 0, begun: (0, 0) }
    }
}

impl<W: Write + Send> Sink for Stdout<W> {
    fn write(&mut self, parcel: &Arc<Parcel>) -> Result<(), SinkError> {
        if parcel.number <= self.taken {
            return Ok(());
        }
        if self.begun.0 != parcel.number {
            self.begun = (parcel.number, 0);
        }
        while self.begun.1 < parcel.bytes.len() {
            match self.out.write(&parcel.bytes[self.begun.1..]) {
                Ok(0) => return Err(SinkError::Lost(ErrorKind::WriteZero.into())),
                Ok(n) => self.begun.1 += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(SinkError::Busy),
                Err(error) => return Err(SinkError::Lost(error)),
            }
        }
        self.taken = parcel.number;
        Ok(())
    }

    fn flush(&mut self, _: &mut Vec<Refusal>) -> Result<Number, SinkError> {
        Ok(self.taken)
    }

    fn skip(&mut self, number: Number) {
        self.taken = self.taken.max(number);
    }

    fn close(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes at most `step` bytes a write, and fails every third time.
    #[derive(Default)]
    struct Hesitant {
        got: Vec<u8>,
        step: usize,
        writes: usize,
    }

    impl Write for Hesitant {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.writes += 1;
            match self.writes % 6 {
                3 => Err(ErrorKind::BrokenPipe.into()),
                0 => Err(ErrorKind::WouldBlock.into()),
                _ => {
                    let n = bytes.len().min(self.step);
                    self.got.extend_from_slice(&bytes[..n]);
                    Ok(n)
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn goes_on_where_it_stopped() {
        let mut sink = Stdout::new(Hesitant { step: 5, ..Hesitant::default() });
        let (mut lost, mut busy) = (0, 0);
        for number in 1..=4 {
            let bytes = format!("{{\"number\":{number}}}\n").repeat(3).into_bytes();
            let parcel = Arc::new(Parcel { number, bytes, events: 3, ..Parcel::default() });
            loop {
                match sink.write(&parcel) {
                    Ok(()) => break,
                    Err(SinkError::Busy) => busy += 1,
                    Err(SinkError::Lost(error)) => {
                        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
                        lost += 1;
                    }
                }
                assert_eq!(sink.flush(&mut Vec::new()).unwrap(), number - 1);
            }
            sink.write(&parcel).unwrap();
        }
        let want: String = (1..=4).map(|number| format!("{{\"number\":{number}}}\n").repeat(3)).collect();
        assert_eq!(String::from_utf8(sink.out.got).unwrap(), want);
        assert!(lost > 0 && busy > 0);
        assert_eq!(sink.taken, 4);
    }
}
