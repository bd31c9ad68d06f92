//! Compressed blocks: each is a whole gzip member or zstd frame of whole rows.
//!
//! A file cut behind any block is a valid file, so that what is below the mark can be read while the file grows and
//! after a crash. A sync flush inside one long member would not do: without its trailer the file is broken for every
//! reader until it is finished, and for good after a crash. A new member costs 18 bytes and a fresh dictionary; at
//! 256 KiB a block neither shows.
//!
//! Deliberately absent: an encoder for each open file, which would hold up to 1 MiB each.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use crate::config::Compress;

/// Fast levels: a sink has to keep up with the network on a part of one core.
const GZIP_LEVEL: u32 = 2;
const ZSTD_LEVEL: i32 = 1;

/// What a compressed file's name ends with.
pub(super) fn ending(compress: Compress) -> &'static str {
    match compress {
        Compress::None => "",
        Compress::Gzip => ".gz",
        Compress::Zstd => ".zst",
    }
}

/// Replaces `out` by `rows` as one block.
pub(super) fn compress(compress: Compress, rows: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.clear();
    match compress {
        Compress::None => out.extend_from_slice(rows),
        Compress::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::new(GZIP_LEVEL));
            io::Write::write_all(&mut encoder, rows)?;
            encoder.finish()?;
        }
        Compress::Zstd => {
            let mut encoder = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
            encoder.include_checksum(true)?;
            *out = encoder.compress(rows)?;
        }
    }
    Ok(())
}

/// Returns where the last whole block of a file ends.
pub(super) fn whole_end(compress: Compress, file: &File) -> io::Result<u64> {
    let mut reader = Counting { inner: BufReader::with_capacity(256 * 1024, file), at: 0, failed: None };
    let mut end = 0;
    while !reader.fill_buf()?.is_empty() {
        let read = match compress {
            Compress::None => break,
            Compress::Gzip => io::copy(&mut flate2::bufread::GzDecoder::new(&mut reader), &mut io::sink()),
            Compress::Zstd => zstd::stream::read::Decoder::with_buffer(&mut reader)
                .and_then(|decoder| io::copy(&mut decoder.single_frame(), &mut io::sink())),
        };
        if let Some(error) = reader.failed {
            return Err(error);
        }
        match read {
            Ok(_) => end = reader.at,
            Err(_) => break,
        }
    }
    Ok(end)
}

/// Counts what was consumed, and tells a disk that fails from a block that is broken.
struct Counting<R> {
    inner: R,
    at: u64,
    failed: Option<io::Error>,
}

impl<R: BufRead> Read for Counting<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(out)?;
        self.consume(n);
        Ok(n)
    }
}

impl<R: BufRead> BufRead for Counting<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.inner.fill_buf() {
            Ok(bytes) => Ok(bytes),
            Err(error) => {
                self.failed = Some(io::Error::new(error.kind(), error.to_string()));
                Err(error)
            }
        }
    }

    fn consume(&mut self, n: usize) {
        self.at += n as u64;
        self.inner.consume(n);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::*;

    #[test]
    fn the_end_of_the_last_whole_block_is_found() {
        for kind in [Compress::Gzip, Compress::Zstd] {
            let (mut all, mut ends, mut out) = (Vec::new(), vec![0], Vec::new());
            for text in ["a\n".repeat(50_000), "b\n".into(), (0..9_999).map(|n| format!("{n}\n")).collect()] {
                compress(kind, text.as_bytes(), &mut out).unwrap();
                all.extend_from_slice(&out);
                ends.push(all.len());
            }
            for cut in [0, 1, 5, ends[1] - 1, ends[1], ends[1] + 9, ends[2], ends[3] - 1, ends[3]] {
                let mut file = tempfile::tempfile().unwrap();
                file.write_all(&all[..cut]).unwrap();
                file.rewind().unwrap();
                let want = *ends.iter().rfind(|end| **end <= cut).unwrap();
                assert_eq!(whole_end(kind, &file).unwrap(), want as u64, "{kind:?} cut at {cut}");
            }
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&all).unwrap();
            file.write_all(&[0; 4096]).unwrap();
            file.rewind().unwrap();
            assert_eq!(whole_end(kind, &file).unwrap(), ends[3] as u64, "{kind:?} with zeros behind");
        }
    }
}
