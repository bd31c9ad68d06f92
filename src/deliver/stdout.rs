//! The stdout sink: parcels as they are, whole, on standard output.
//!
//! Invariants: no byte is written twice; a parcel that was cut short goes on at the byte where it stopped; a reader that
//! does not read never holds the thread for long; what is read is whole lines, since a sink that was given up in the
//! middle of a row leaves the row's rest to the next one.
//!
//! Deliberately absent: a buffer. A parcel is large enough for one write.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::OFlags;

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
    Box::new(Stdout::new(out, &TORN))
}

/// A sink that writes to standard output.
pub fn to_standard_output() -> io::Result<Box<dyn Sink>> {
    let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let kind = out.metadata()?.file_type();
    if kind.is_fifo() || kind.is_char_device() {
        // Opened anew it can be told not to wait without telling all others that share it. A system without /proc
        // has to live with a sink that waits.
        let flags = OFlags::NONBLOCK.bits() as i32;
        if let Ok(own) = OpenOptions::new().write(true).custom_flags(flags).open("/proc/self/fd/1") {
            return Ok(Box::new(Stdout::new(Patient(own), &TORN)));
        }
    }
    Ok(Box::new(Stdout::new(out, &TORN)))
}

/// How often, and how long each time, a full pipe is waited for: 64 KiB in so long are 640 MB/s.
const WAITS: u32 = 20;
const WAIT: Duration = Duration::from_micros(100);

/// An output that gives a slow reader a moment, and no more.
struct Patient(File);

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for _ in 0..WAITS {
            match self.0.write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(WAIT),
                written => return written,
            }
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The rest of a row that a sink on standard output, which all of them share, left unfinished.
static TORN: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Stdout<W> {
    out: W,
    /// Where the rest of a row is left for the next sink.
    left: &'static Mutex<Vec<u8>>,
    /// The rest of a row that an earlier sink began.
    torn: Vec<u8>,
    /// The rest of the row in which the last write stopped.
    unfinished: Vec<u8>,
    /// The last parcel taken whole, or number skipped.
    taken: Number,
    /// Bytes already written of the parcel after `taken`, and its number.
    begun: (Number, usize),
}

impl<W: Write + Send> Stdout<W> {
    fn new(out: W, left: &'static Mutex<Vec<u8>>) -> Self {
        let torn = std::mem::take(&mut *left.lock().unwrap_or_else(PoisonError::into_inner));
        Stdout { out, left, torn, unfinished: Vec::new(), taken: 0, begun: (0, 0) }
    }
}

impl<W: Write> Stdout<W> {
    fn finish_torn(&mut self) -> Result<(), SinkError> {
        let mut done = 0;
        let finished = write_from(&mut self.out, &self.torn, &mut done);
        self.torn.drain(..done);
        finished
    }
}

/// Writes `bytes` from `from` on, which grows by what was taken.
fn write_from(out: &mut impl Write, bytes: &[u8], from: &mut usize) -> Result<(), SinkError> {
    while *from < bytes.len() {
        match out.write(&bytes[*from..]) {
            Ok(0) => return Err(SinkError::Lost(ErrorKind::WriteZero.into())),
            Ok(n) => *from += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(SinkError::Busy),
            Err(error) => return Err(SinkError::Lost(error)),
        }
    }
    Ok(())
}

/// The rest of the row in which `bytes` is cut at `at`; nothing at a row's start.
fn rest_of_row(bytes: &[u8], at: usize) -> &[u8] {
    if at == 0 || bytes[at - 1] == b'\n' {
        return &[];
    }
    let end = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |end| at + end + 1);
    &bytes[at..end]
}

impl<W: Write + Send> Sink for Stdout<W> {
    fn write(&mut self, parcel: &Arc<Parcel>) -> Result<(), SinkError> {
        if parcel.number <= self.taken {
            return Ok(());
        }
        if self.begun.0 != parcel.number {
            self.begun = (parcel.number, 0);
        }
        self.finish_torn()?;
        let written = write_from(&mut self.out, &parcel.bytes, &mut self.begun.1);
        self.unfinished.clear();
        if written.is_err() {
            self.unfinished.extend_from_slice(rest_of_row(&parcel.bytes, self.begun.1));
        } else {
            self.taken = parcel.number;
        }
        written
    }

    fn flush(&mut self, _: &mut Vec<Refusal>) -> Result<Number, SinkError> {
        Ok(self.taken)
    }

    fn skip(&mut self, number: Number) {
        self.taken = self.taken.max(number);
    }

    fn close(&mut self) {
        let mut rest = std::mem::take(&mut self.torn);
        rest.append(&mut self.unfinished);
        self.torn = rest;
        // Where the reader still does not read, the next one has it.
        let _ = self.finish_torn();
        let rest = std::mem::take(&mut self.torn);
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = rest;
    }
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

    fn left() -> &'static Mutex<Vec<u8>> {
        Box::leak(Box::default())
    }

    #[test]
    fn goes_on_where_it_stopped() {
        let mut sink = Stdout::new(Hesitant { step: 5, ..Hesitant::default() }, left());
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

    #[test]
    fn a_row_that_was_cut_is_finished_by_the_next_sink() {
        let bytes = b"{\"a\":1}\n{\"b\":2}\n".to_vec();
        let parcel = Arc::new(Parcel { number: 1, bytes, events: 2, ..Parcel::default() });
        let left = left();
        // The third write fails: eight bytes of the first row's nine are out.
        let mut first = Stdout::new(Hesitant { step: 4, ..Hesitant::default() }, left);
        assert!(matches!(first.write(&parcel), Err(SinkError::Lost(_))));
        assert_eq!(first.out.got.len(), 8);
        first.out.writes = 2;
        first.close();
        let mut second = Stdout::new(Hesitant { step: 4, ..Hesitant::default() }, left);
        second.finish_torn().unwrap();
        assert_eq!([first.out.got, second.out.got].concat(), b"{\"a\":1}\n");
    }
}
