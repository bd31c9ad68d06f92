//! Gathers a request's body apart from the batches, within its time, its cap, and what all bodies together may hold.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::task::yield_now;
use tokio::time::Instant;

use super::budget::Share;
use super::stop::Stop;

/// Bytes inflated before other connections have their turn: about 100 µs. Not measured.
const INFLATE_BYTES: usize = 64 * 1024;

/// A body, whole or as much of it as is kept.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Gathered {
    pub bytes: Vec<u8>,
    /// Bytes that came and are not kept: over the cap, or behind what could be inflated.
    pub lost: u64,
    /// Why something was lost.
    pub fault: Option<Fault>,
}

impl Gathered {
    /// Bytes that came, kept or not.
    pub fn len(&self) -> u64 {
        self.bytes.len() as u64 + self.lost
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    TooLarge,
    BrokenGzip,
    /// Nothing of it can be read.
    UnknownCoding,
}

/// The request is to end without an answer, its connection closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abandoned {
    /// It was not whole in time.
    Slow,
    /// It held the most when all bodies together held too much.
    Evicted,
    /// The client went away.
    Broken,
}

impl std::fmt::Display for Abandoned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Abandoned::Slow => "the body was not whole in time",
            Abandoned::Evicted => "unfinished bodies take too much memory",
            Abandoned::Broken => "the client went away",
        })
    }
}

impl std::error::Error for Abandoned {}

/// Reads `body` to its end; what is beyond `cap` is read and thrown away.
pub async fn gather(
    mut body: Incoming,
    cap: usize,
    deadline: Instant,
    stop: &Stop,
    share: &mut Share,
) -> Result<Gathered, Abandoned> {
    let mut gathered = Gathered::default();
    let evicted = share.evicted();
    let read = async {
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Abandoned::Broken)?.into_data() else { continue };
            let kept = data.len().min(cap - gathered.bytes.len());
            gathered.bytes.extend_from_slice(&data[..kept]);
            gathered.lost += (data.len() - kept) as u64;
            share.hold(gathered.bytes.capacity());
            if share.is_evicted() {
                return Err(Abandoned::Evicted);
            }
        }
        Ok(())
    };
    tokio::select! {
        biased;
        read = read => read?,
        () = evicted => return Err(Abandoned::Evicted),
        () = tokio::time::sleep_until(deadline) => return Err(Abandoned::Slow),
        () = stop.lingered() => return Err(Abandoned::Slow),
    }
    if gathered.lost > 0 {
        gathered.fault = Some(Fault::TooLarge);
    }
    Ok(gathered)
}

/// Inflates a gzip body to `cap` bytes at most.
pub async fn inflate(packed: Gathered, cap: usize, share: &mut Share) -> Result<Gathered, Abandoned> {
    let mut decoder = MultiGzDecoder::new(&packed.bytes[..]);
    let mut out = Gathered { bytes: Vec::new(), lost: packed.lost, fault: packed.fault };
    if packed.bytes.is_empty() {
        return Ok(out);
    }
    loop {
        let step = INFLATE_BYTES.min(cap + 1 - out.bytes.len());
        let before = out.bytes.len();
        let read = (&mut decoder).take(step as u64).read_to_end(&mut out.bytes);
        share.hold(packed.bytes.capacity() + out.bytes.capacity());
        if share.is_evicted() {
            return Err(Abandoned::Evicted);
        }
        match read {
            _ if out.bytes.len() > cap => {
                out.bytes.truncate(cap);
                out.fault = Some(Fault::TooLarge);
                out.lost += 1 + decoder.get_ref().len() as u64;
                return Ok(out);
            }
            Ok(_) if out.bytes.len() - before < step => return Ok(out),
            Ok(_) => yield_now().await,
            Err(_) => {
                out.fault.get_or_insert(Fault::BrokenGzip);
                out.lost += decoder.get_ref().len() as u64;
                return Ok(out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::receive::budget::Budget;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn inflated(bytes: Vec<u8>, cap: usize) -> Gathered {
        let mut share = Budget::new(1 << 30).share();
        let packed = Gathered { bytes, ..Gathered::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(inflate(packed, cap, &mut share)).unwrap()
    }

    #[test]
    fn gzip_gives_what_was_packed() {
        let text = b"some text ".repeat(30_000);
        assert_eq!(inflated(gzip(&text), 1 << 20), Gathered { bytes: text.clone(), ..Gathered::default() });
        let two = [gzip(b"one"), gzip(b"two")].concat();
        assert_eq!(inflated(two, 100).bytes, b"onetwo");
        assert_eq!(inflated(gzip(&text), text.len()).fault, None);
        assert_eq!(inflated(Vec::new(), 100), Gathered::default());
    }

    #[test]
    fn a_bomb_is_cut_at_the_cap_and_broken_gzip_where_it_breaks() {
        let bomb = inflated(gzip(&vec![0; 50 << 20]), 1 << 20);
        assert_eq!((bomb.bytes.len(), bomb.fault), (1 << 20, Some(Fault::TooLarge)));
        assert!(bomb.lost > 0);

        let mut cut = gzip(&b"some text ".repeat(30_000));
        cut.truncate(cut.len() - 9);
        let cut = inflated(cut, 1 << 20);
        assert_eq!(cut.fault, Some(Fault::BrokenGzip));
        assert!(cut.bytes.starts_with(b"some text some text"));

        let not_gzip = inflated(b"<1>plain text".to_vec(), 100);
        assert_eq!((not_gzip.bytes.len(), not_gzip.fault), (0, Some(Fault::BrokenGzip)));
    }
}
