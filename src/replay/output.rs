//! The output of a replay: there is nobody to wait for, so a failure ends the run at once.

use std::io::ErrorKind;
use std::sync::Arc;

use crate::batch::Number;
use crate::deliver::{Refusal, Sink, SinkError};
use crate::outcome::Parcel;

/// A sink whose failure ends the process: with 0 if the reader has had enough, else with 1 and the reason.
pub fn or_exit(inner: Box<dyn Sink>) -> Box<dyn Sink> {
    Box::new(OrExit(inner))
}

/// Ends the process if something could not be written: with 0 if the reader has had enough, else with 1 and the reason.
pub fn exit_on(written: std::io::Result<()>) {
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            tracing::error!(%error, "the output cannot be written");
            std::process::exit(1);
        }
    }
}

struct OrExit(Box<dyn Sink>);

impl Sink for OrExit {
    fn write(&mut self, parcel: &Arc<Parcel>) -> Result<(), SinkError> {
        match self.0.write(parcel) {
            Err(SinkError::Lost(error)) => {
                exit_on(Err(error));
                Ok(())
            }
            written => written,
        }
    }

    fn flush(&mut self, refused: &mut Vec<Refusal>) -> Result<Number, SinkError> {
        self.0.flush(refused)
    }

    fn skip(&mut self, number: Number) {
        self.0.skip(number);
    }

    fn close(&mut self) {
        self.0.close();
    }
}
