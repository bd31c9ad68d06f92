//! The inputs of a replay: files or standard input, framed.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Deserialize;

use crate::frame::{End, Framer, Framing, Step};
use crate::limits;

/// How the inputs are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputFraming {
    Auto,
    Octet,
    Newline,
    /// One saved body of a Logplex POST a file.
    LogplexBody,
    /// NDJSON `{"received":…,"peer":…,"raw":…|"raw_base64":…}`.
    Records,
}

/// One frame of an input.
#[derive(Debug)]
pub struct Line<'a> {
    pub bytes: &'a [u8],
    /// The same and what lies behind it in memory, which may be anything or nothing.
    pub padded: &'a [u8],
    pub truncated: bool,
    /// First byte of the frame in its file, after its count; of records, of the record's line.
    pub offset: u64,
    /// Of a record.
    pub record: Option<&'a RecordHead>,
}

/// What a record says besides its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordHead {
    /// Microseconds since 1970.
    pub received_us: Option<i64>,
    pub peer: Option<std::net::IpAddr>,
}

#[derive(Deserialize)]
struct Record {
    received: Option<String>,
    peer: Option<String>,
    raw: Option<String>,
    raw_base64: Option<String>,
}

/// An opened input.
pub struct Input {
    source: Box<dyn Read>,
    /// Bytes in all, where that is known.
    pub size: Option<u64>,
    /// What times without a year are near to at the start, microseconds since 1970.
    pub modified_us: i64,
}

impl Input {
    /// Opens a file; `-` is standard input. The error names the file.
    pub fn open(path: &Path) -> io::Result<Input> {
        if path == Path::new("-") {
            return Ok(Input {
                source: Box::new(io::stdin()),
                size: None,
                modified_us: crate::flow::now_us(),
            });
        }
        let explain =
            |error: io::Error| io::Error::new(error.kind(), format!("`{}`: {error}", path.display()));
        let file = File::open(path).map_err(explain)?;
        let about = file.metadata().map_err(explain)?;
        if about.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::IsADirectory,
                format!("`{}` is a folder", path.display()),
            ));
        }
        let modified = about.modified().unwrap_or_else(|_| SystemTime::now());
        let modified_us =
            modified.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64);
        Ok(Input { source: Box::new(file), size: about.is_file().then_some(about.len()), modified_us })
    }
}

/// What reading an input came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadCount {
    pub bytes: u64,
    pub garbage_bytes: u64,
}

/// What was read is still in the processor's cache when it is looked at.
const CHUNK: usize = 256 * 1024;

/// Takes the frames of an input, in order.
pub trait Taker {
    fn line(&mut self, line: Line<'_>);
    /// Bytes read so far of the input, for progress.
    fn progress(&mut self, bytes: u64);
}

/// Reads an input to its end.
pub fn read(
    path: &Path,
    input: &mut Input,
    framing: InputFraming,
    limit: usize,
    taker: &mut dyn Taker,
) -> io::Result<ReadCount> {
    let framer = match framing {
        InputFraming::Auto => Framer::new(Framing::Auto, limit),
        InputFraming::Octet => Framer::new(Framing::Octet, limit),
        InputFraming::Newline => Framer::new(Framing::Newline, limit),
        InputFraming::LogplexBody => Framer::body(Framing::Octet, limit),
        // A record's line is longer than the frame it holds: six bytes an escaped one at most.
        InputFraming::Records => Framer::new(Framing::Newline, limit * 6 + 4096),
    };
    let mut stream =
        Stream { framer, records: framing == InputFraming::Records, limit, read: ReadCount::default() };
    stream.run(&mut input.source, taker).map_err(|error| {
        let name: PathBuf = path.into();
        io::Error::new(error.kind(), format!("`{}`: {error}", name.display()))
    })?;
    Ok(stream.read)
}

/// All frames of a file, framed as its first bytes say.
///
/// # Errors
/// Those of the file.
pub fn frames(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    struct Kept(Vec<Vec<u8>>);
    impl Taker for Kept {
        fn line(&mut self, line: Line<'_>) {
            self.0.push(line.bytes.to_vec());
        }
        fn progress(&mut self, _: u64) {}
    }
    let mut kept = Kept(Vec::new());
    read(path, &mut Input::open(path)?, InputFraming::Auto, FRAME_BYTES, &mut kept)?;
    Ok(kept.0)
}

struct Stream {
    framer: Framer,
    records: bool,
    limit: usize,
    read: ReadCount,
}

impl Stream {
    fn run(&mut self, source: &mut dyn Read, taker: &mut dyn Taker) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK + limits::SLACK_BYTES];
        // Offset in the file of the buffer's first byte, and bytes of it that are filled.
        let (mut base, mut filled) = (0u64, 0);
        loop {
            if filled + limits::SLACK_BYTES == buffer.len() {
                buffer.resize(buffer.len() + filled, 0);
            }
            let end = buffer.len() - limits::SLACK_BYTES;
            let n = match source.read(&mut buffer[filled..end]) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            filled += n;
            self.read.bytes += n as u64;
            let carry = self.step(&buffer, filled, base, taker);
            buffer.copy_within(carry..filled, 0);
            base += carry as u64;
            filled -= carry;
            taker.progress(self.read.bytes);
        }
        if let Some((start, end, truncated)) = self.framer.finish(&buffer[..filled], End::Clean) {
            self.frame(&buffer, start..end, truncated, base + start as u64, taker);
        }
        self.read.garbage_bytes += self.framer.garbage_bytes;
        Ok(())
    }

    /// Takes all frames in the first `filled` bytes of `buffer`; returns where the carry begins.
    fn step(&mut self, buffer: &[u8], filled: usize, base: u64, taker: &mut dyn Taker) -> usize {
        let mut from = 0;
        loop {
            match self.framer.step(&buffer[..filled], from) {
                Step::Frame { start, end, truncated, next } => {
                    self.frame(buffer, start..end, truncated, base + start as u64, taker);
                    from = next;
                }
                Step::More { carry } => return carry,
            }
        }
    }

    fn frame(
        &mut self,
        buffer: &[u8],
        place: Range<usize>,
        truncated: bool,
        offset: u64,
        taker: &mut dyn Taker,
    ) {
        let (padded, bytes) = (&buffer[place.start..], &buffer[place]);
        if !self.records {
            taker.line(Line { bytes, padded, truncated, offset, record: None });
            return;
        }
        match record(bytes) {
            Some((head, raw)) => {
                let mut framer = Framer::new(Framing::Auto, self.limit);
                let mut from = 0;
                let rest = loop {
                    match framer.step(&raw, from) {
                        Step::Frame { start, end, truncated, next } => {
                            taker.line(Line {
                                bytes: &raw[start..end],
                                padded: &raw[start..],
                                truncated,
                                offset,
                                record: Some(&head),
                            });
                            from = next;
                        }
                        Step::More { carry } => break carry,
                    }
                };
                if let Some((start, end, truncated)) = framer.finish(&raw[rest..], End::Clean) {
                    let bytes = &raw[rest + start..rest + end];
                    taker.line(Line { bytes, padded: bytes, truncated, offset, record: Some(&head) });
                }
                self.read.garbage_bytes += framer.garbage_bytes;
            }
            None => self.read.garbage_bytes += bytes.len() as u64,
        }
    }
}

/// A record's head and bytes; `None` if the line is no record. It is read in place, in a copy of its own.
fn record(line: &[u8]) -> Option<(RecordHead, Vec<u8>)> {
    let record: Record = simd_json::serde::from_slice(&mut line.to_vec()).ok()?;
    let raw = match (record.raw, record.raw_base64) {
        (Some(text), None) => text.into_bytes(),
        (None, Some(text)) => base64(&text)?,
        _ => return None,
    };
    let received_us = match record.received {
        Some(text) => Some(crate::parse::time::rfc3339(text.as_bytes())?),
        None => None,
    };
    Some((RecordHead { received_us, peer: record.peer.and_then(|peer| peer.parse().ok()) }, raw))
}

/// Decodes standard base64, padded or not.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut word, mut bits) = (0u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        word = word << 6 | u32::from(digit);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((word >> bits) as u8);
        }
    }
    Some(out)
}

/// The default limit of a replayed frame.
pub const FRAME_BYTES: usize = limits::FRAME_BYTES;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_in_both_forms() {
        let plain =
            record(br#"{"received":"2021-02-15T10:22:06Z","peer":"10.1.2.3","raw":"<45>1 x\n"}"#).unwrap();
        assert_eq!(plain.1, b"<45>1 x\n");
        assert_eq!(plain.0.received_us, Some(1_613_384_526_000_000));
        assert_eq!(plain.0.peer, Some([10, 1, 2, 3].into()));
        assert_eq!(record(br#"{"raw_base64":"/wBh"}"#).unwrap().1, [0xff, 0, b'a']);
        for bad in
            [&br#"{"raw":"a","raw_base64":"YQ=="}"#[..], b"{}", b"x", br#"{"raw":"a","received":"soon"}"#]
        {
            assert!(record(bad).is_none());
        }
    }
}
