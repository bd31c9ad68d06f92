//! `weir coverage`: files through the packs, to see what they make of them.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::batch::{Batch, Form, Identity, Origin};
use crate::limits;
use crate::pack::Pack;
use crate::pack::coverage::{Coverage, LISTENER};
use crate::replay::input::{self, Input, InputFraming, Line, Taker};

/// Reads files, or standard input for `-` or none; what packs made of them.
///
/// # Errors
/// A file that cannot be read, or packs that do not go together.
pub fn run(files: &[PathBuf], framing: InputFraming, packs: &[Pack]) -> io::Result<Coverage> {
    let stdin = [PathBuf::from("-")];
    let files = if files.is_empty() { &stdin[..] } else { files };
    let mut opened = Vec::new();
    for path in files {
        opened.push((path, Input::open(path)?));
    }
    let form = match framing {
        InputFraming::Auto | InputFraming::Newline => Form::SyslogOrTail,
        InputFraming::Octet | InputFraming::LogplexBody | InputFraming::Records => Form::Syslog,
    };
    let origin = Origin {
        listener: LISTENER,
        peer: None,
        peer_name: None,
        token: None,
        user: None,
        labels: Vec::new(),
        logplex: framing == InputFraming::LogplexBody,
        form,
    };
    let coverage = Coverage::new(packs).map_err(io::Error::other)?;
    let batch = Batch::new(Batch::capacity_for(limits::FRAME_BYTES));
    let mut reading = Reading { coverage, batch, origin: Arc::new(origin) };
    for (path, mut input) in opened {
        reading.batch.received_us = input.modified_us;
        input::read(path, &mut input, framing, limits::FRAME_BYTES, &mut reading)?;
        reading.flush();
    }
    Ok(reading.coverage)
}

/// Frames on their way into batches.
struct Reading {
    coverage: Coverage,
    batch: Batch,
    origin: Arc<Origin>,
}

impl Reading {
    fn flush(&mut self) {
        self.batch.close_run(&self.origin, Identity::Batch);
        self.coverage.see(&self.batch);
        let received_us = self.batch.received_us;
        self.batch.clear();
        self.batch.received_us = received_us;
    }
}

impl Taker for Reading {
    fn line(&mut self, line: Line<'_>) {
        if self.batch.is_full() || self.batch.room() < line.bytes.len() {
            self.flush();
        }
        let at = self.batch.append(line.bytes);
        self.batch.push_frame(at, line.bytes.len(), line.truncated);
    }

    fn progress(&mut self, _: u64) {}
}
