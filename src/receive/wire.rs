//! From the bytes of one stream to frames in a batch.
//!
//! A stream reads into a batch behind a gap as long as its carry. Where a frame becomes whole the carry is copied into
//! the gap, else the new bytes join the carry: no byte is copied more than twice. Only whole frames stay in the batch.

use crate::batch::{Batch, Frame};
use crate::frame::{End, Framer, Framing, Step};
use crate::limits;

/// The framing of one stream, with the unfinished frame at its end.
pub struct Wire {
    framer: Framer,
    carry: Vec<u8>,
    /// The carry holds whole frames, for which the batch had no place.
    whole: bool,
    /// Garbage that was told before.
    told: u64,
}

impl Wire {
    pub fn new(framing: Framing, limit: usize) -> Wire {
        Wire { framer: Framer::new(framing, limit), carry: Vec::new(), whole: false, told: 0 }
    }

    /// Bytes to leave free before those that are read.
    pub fn gap(&self) -> usize {
        self.carry.len()
    }

    /// Whether frames wait that need no further read: `absorb` of no bytes takes them.
    pub fn has_frames(&self) -> bool {
        self.whole
    }

    /// Bytes of memory that the carry takes.
    pub fn held(&self) -> usize {
        self.carry.capacity()
    }

    /// Garbage since the last frame.
    pub fn garbage_since_frame(&self) -> u64 {
        self.framer.garbage_since_frame
    }

    /// Garbage found since the last call.
    pub fn new_garbage(&mut self) -> u64 {
        let new = self.framer.garbage_bytes - self.told;
        self.told = self.framer.garbage_bytes;
        new
    }

    /// Frames `n` bytes that were read into the free space of `batch`, behind the gap. Returns the number of frames.
    pub fn absorb(&mut self, batch: &mut Batch, n: usize) -> usize {
        let gap = self.carry.len();
        if gap > 0 {
            let free = batch.free();
            if !self.whole && !self.framer.can_go_on(&self.carry, &free[gap..gap + n]) {
                self.carry.extend_from_slice(&free[gap..gap + n]);
                return 0;
            }
            free[..gap].copy_from_slice(&self.carry);
            self.carry.clear();
        }
        let (base, bytes, frames) = batch.framing();
        let bytes = &bytes[..gap + n];
        let before = frames.len();
        let (mut from, mut kept) = (0, 0);
        self.whole = loop {
            if frames.len() == limits::BATCH_FRAMES {
                break from < bytes.len();
            }
            match self.framer.step(bytes, from) {
                Step::Frame { start, end, truncated, next } => {
                    frames.push(Frame { at: (base + start) as u32, len: (end - start) as u32, truncated });
                    (from, kept) = (next, end);
                }
                Step::More { carry } => {
                    from = carry;
                    break false;
                }
            }
        };
        let found = frames.len() - before;
        self.carry.extend_from_slice(&bytes[from..]);
        if self.carry.len() <= limits::CARRY_KEEP_BYTES && self.carry.capacity() > limits::CARRY_KEEP_BYTES {
            self.carry.shrink_to(limits::CARRY_KEEP_BYTES);
        }
        batch.commit(kept);
        found
    }

    /// Ends the stream: its last frame, if the carry holds one, and whether it was truncated. All else is garbage.
    pub fn finish(&mut self, end: End) -> Option<(&[u8], bool)> {
        let (start, end, truncated) = self.framer.finish(&self.carry, end)?;
        Some((&self.carry[start..end], truncated))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::batch::{Identity, ListenerId, Origin};

    fn origin() -> Arc<Origin> {
        Arc::new(Origin::of_peer(ListenerId(0), [127, 0, 0, 1].into(), None))
    }

    /// What arrives of `stream` when it comes in pieces of `sizes` bytes, over and over.
    fn received(stream: &[u8], framing: Framing, limit: usize, sizes: &[usize]) -> Vec<Vec<u8>> {
        let origin = origin();
        let mut batch = Batch::new(Batch::capacity_for(limit));
        let mut wire = Wire::new(framing, limit);
        let mut frames = Vec::new();
        let mut rest = stream;
        let mut sizes = sizes.iter().cycle();
        loop {
            if batch.is_full() || batch.room() < wire.gap() + limits::READ_MIN_BYTES {
                frames.extend(
                    batch.frames.iter().map(|frame| {
                        batch.bytes()[frame.at as usize..(frame.at + frame.len) as usize].to_vec()
                    }),
                );
                batch.clear();
            }
            let gap = wire.gap();
            let n = match wire.has_frames() {
                true => 0,
                false => {
                    let n = (*sizes.next().expect("cycles")).min(rest.len()).min(batch.room() - gap);
                    batch.free()[gap..gap + n].copy_from_slice(&rest[..n]);
                    rest = &rest[n..];
                    n
                }
            };
            wire.absorb(&mut batch, n);
            batch.close_run(&origin, Identity::Batch);
            if rest.is_empty() && !wire.has_frames() {
                break;
            }
        }
        frames.extend(
            batch
                .frames
                .iter()
                .map(|frame| batch.bytes()[frame.at as usize..(frame.at + frame.len) as usize].to_vec()),
        );
        frames.extend(wire.finish(End::Clean).map(|(frame, _)| frame.to_vec()));
        frames
    }

    #[test]
    fn tiny_frames_beyond_one_batch_all_arrive() {
        let stream = b"a\n".repeat(3 * limits::BATCH_FRAMES + 5);
        let frames = received(&stream, Framing::Newline, limits::FRAME_BYTES, &[1 << 20]);
        assert_eq!(frames.len(), 3 * limits::BATCH_FRAMES + 5);
    }

    #[test]
    fn a_large_carry_is_given_back() {
        let mut batch = Batch::new(limits::BATCH_BYTES);
        let mut wire = Wire::new(Framing::Newline, limits::FRAME_BYTES);
        for _ in 0..limits::FRAME_BYTES - 1 {
            let gap = wire.gap();
            batch.free()[gap] = b'x';
            assert_eq!(wire.absorb(&mut batch, 1), 0);
        }
        assert!(wire.held() >= limits::FRAME_BYTES - 1);
        let gap = wire.gap();
        batch.free()[gap] = b'\n';
        assert_eq!(wire.absorb(&mut batch, 1), 1);
        assert!(wire.held() <= limits::CARRY_KEEP_BYTES);
        assert_eq!(batch.len(), limits::FRAME_BYTES - 1);
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_frames(
            lines in prop::collection::vec("[ -~]{1,60}", 1..40),
            octet in any::<bool>(),
            sizes in prop::collection::vec(1usize..90, 1..8),
        ) {
            let mut stream = Vec::new();
            for line in &lines {
                match octet {
                    true => stream.extend_from_slice(format!("{} {line}", line.len()).as_bytes()),
                    false => stream.extend_from_slice(format!("{line}\n").as_bytes()),
                }
            }
            let framing = if octet { Framing::Octet } else { Framing::Newline };
            let frames = received(&stream, framing, 50, &sizes);
            let expected: Vec<Vec<u8>> = lines.iter().map(|line| line.as_bytes()[..line.len().min(50)].to_vec()).collect();
            prop_assert_eq!(frames, expected);
        }
    }
}
