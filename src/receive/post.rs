//! From a request's body to numbered runs.
//!
//! Invariants: a body's frames are counted and put into batches in one step, or not at all, so a request that is given
//! up half-way has either all its frames admitted or none. A body larger than a batch becomes runs in several; all their
//! slots are taken before the first is numbered, by one request of the process at a time, so that no two wait for each
//! other's.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::open::Open;
use super::receiver::Receiver;
use crate::batch::{Batch, Identity, Number, Origin};
use crate::flow::{Admitted, Slot};
use crate::frame::{End, Framer, Framing, Step};
use crate::limits;

/// A frame in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    pub start: u32,
    pub end: u32,
    pub truncated: bool,
}

impl Piece {
    pub fn of(start: usize, end: usize) -> Piece {
        Piece { start: start as u32, end: end as u32, truncated: false }
    }

    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A body, framed and ready for batches.
pub struct Post {
    pub origin: Arc<Origin>,
    pub body: Vec<u8>,
    pub pieces: Vec<Piece>,
    pub frame_id: Option<Arc<str>>,
    /// Messages that a leading loss notice tells of.
    pub lead_loss: Option<u64>,
}

/// The frames of a body, and the bytes of it that are none.
pub fn frames(framing: Framing, limit: usize, body: &[u8], end: End) -> (Vec<Piece>, u64) {
    let mut framer = Framer::body(framing, limit);
    let mut pieces = Vec::new();
    let mut at = 0;
    let carry = loop {
        match framer.step(body, at) {
            Step::Frame { start, end, truncated, next } => {
                pieces.push(Piece { truncated, ..Piece::of(start, end) });
                at = next;
            }
            Step::More { carry } => break carry,
        }
    };
    if let Some((start, end, truncated)) = framer.finish(&body[carry..], end) {
        pieces.push(Piece { truncated, ..Piece::of(carry + start, carry + end) });
    }
    (pieces, framer.garbage_bytes)
}

/// Frames that are on their way: nothing but the number is missing.
pub enum Placed {
    Numbered(Number),
    /// In the open batch, which leaves within `BATCH_AGE_MS`.
    Open(oneshot::Receiver<Number>),
}

impl Placed {
    /// The number to wait for.
    pub async fn number(self) -> Option<Number> {
        match self {
            Placed::Numbered(number) => Some(number),
            Placed::Open(told) => told.await.ok(),
        }
    }
}

impl Post {
    /// Bytes of memory that it holds.
    pub fn held(&self) -> usize {
        self.body.capacity() + self.pieces.capacity() * size_of::<Piece>()
    }

    /// Puts all frames into batches; `None` if there were not enough slots in time, and then none is anywhere. `counted`
    /// is called with the same step.
    pub async fn place(&self, receiver: &Receiver, deadline: Instant, counted: impl Fn()) -> Option<Placed> {
        let bytes: usize = self.pieces.iter().map(|piece| piece.len()).sum();
        if bytes <= receiver.batch_bytes && self.pieces.len() <= limits::BATCH_FRAMES {
            self.join(&receiver.open, bytes, deadline, counted).await
        } else {
            timeout_at(deadline, self.spread(receiver, counted)).await.ok()
        }
    }

    /// Puts the frames into the open batch.
    async fn join(&self, open: &Open, bytes: usize, deadline: Instant, counted: impl Fn()) -> Option<Placed> {
        loop {
            let filled =
                open.with_room(bytes, self.pieces.len(), |batch| self.fill(batch, 0, self.pieces.len()));
            if filled.is_some() {
                counted();
                let told = open.number();
                open.note();
                return Some(Placed::Open(told));
            }
            timeout_at(deadline, open.arrived()).await.ok()?;
        }
    }

    /// Puts the frames into batches of their own.
    async fn spread(&self, receiver: &Receiver, counted: impl Fn()) -> Placed {
        let mut parts = self.parts(receiver.batch_bytes, limits::BATCH_FRAMES);
        if parts.len() > limits::POST_SLOTS {
            parts = self.parts(receiver.batch_bytes, usize::MAX);
        }
        let mut slots: Vec<Slot> = Vec::with_capacity(parts.len());
        {
            let _turn = receiver.shared.large_bodies.lock().await;
            for _ in &parts {
                slots.push(receiver.intake.slot().await);
            }
        }
        for (slot, (from, to)) in slots.iter_mut().zip(&parts) {
            self.fill(&mut slot.batch, *from, *to);
        }
        counted();
        let Admitted { number, duplicates, .. } = receiver.intake.admit(slots);
        Placed::Numbered(duplicates.iter().map(|(.., number)| *number).max().unwrap_or(number))
    }

    /// Ranges of pieces of which each fits into a batch.
    fn parts(&self, batch_bytes: usize, batch_frames: usize) -> Vec<(usize, usize)> {
        let mut parts = Vec::new();
        let (mut from, mut bytes) = (0, 0);
        for (at, piece) in self.pieces.iter().enumerate() {
            if bytes + piece.len() > batch_bytes || at - from == batch_frames {
                parts.push((from, at));
                (from, bytes) = (at, 0);
            }
            bytes += piece.len();
        }
        parts.push((from, self.pieces.len()));
        parts
    }

    /// Makes a run of the pieces `from..to`.
    fn fill(&self, batch: &mut Batch, from: usize, to: usize) {
        for piece in &self.pieces[from..to] {
            let at = batch.append(&self.body[piece.range()]);
            batch.push_frame(at, piece.len(), piece.truncated);
        }
        let identity = match &self.frame_id {
            None => Identity::Batch,
            Some(frame_id) => Identity::Post {
                frame_id: frame_id.clone(),
                first: (self.pieces.len() - from) as u32,
                continues: from > 0,
                lead_loss: self.lead_loss,
            },
        };
        batch.close_run(&self.origin, identity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_framed_to_its_first_error() {
        let table: [(&str, Framing, End, &[&str], u64); 7] = [
            ("5 <1>a\n4 <1>b", Framing::Octet, End::Clean, &["<1>a\n", "<1>b"], 0),
            ("4 <1>a9 <1>b", Framing::Octet, End::Clean, &["<1>a"], 6),
            ("4 <1>ax 4 <1>b", Framing::Octet, End::Clean, &["<1>a"], 8),
            ("0 4 <1>b", Framing::Auto, End::Clean, &["0 4 <1>b"], 0),
            ("<1>a\n<1>b", Framing::Auto, End::Clean, &["<1>a", "<1>b"], 0),
            ("<1>a\n<1>b", Framing::Auto, End::Cut, &["<1>a"], 4),
            ("", Framing::Auto, End::Clean, &[], 0),
        ];
        for (body, framing, end, expected, expected_garbage) in table {
            let (pieces, garbage) = frames(framing, 100, body.as_bytes(), end);
            let texts: Vec<&str> = pieces.iter().map(|p| &body[p.start as usize..p.end as usize]).collect();
            assert_eq!((&texts[..], garbage), (expected, expected_garbage), "{body:?}");
        }
    }
}
