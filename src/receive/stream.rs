//! Reads one syslog connection, plain or TLS, to its end.
//!
//! Invariants: a frame is counted as received where it becomes whole, and then either stays in the batch or is counted
//! as shed; what the connection holds between reads is its carry, and nothing else. Without a free slot it waits, or,
//! after `shed_after`, reads on into scratch, so that the loss is counted here instead of happening in the sender.

use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::budget::{Budget, Share};
use super::open::Open;
use super::port::{Port, Rules};
use super::stop::Stop;
use super::wire::Wire;
use crate::batch::{Batch, Identity, Origin};
use crate::frame::End;
use crate::limits;

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The sender closed it.
    Closed,
    /// It broke.
    Broken,
    /// Silent for longer than `idle`.
    Silent,
    /// One frame took too long.
    Dripping,
    /// Bytes without a frame.
    Garbage,
    /// It held the most when all together held too much.
    Evicted,
    /// The listener ended first.
    Stopped,
}

impl Ending {
    /// Whether we closed it, for a reason that is the sender's.
    pub fn is_ours(self) -> bool {
        matches!(self, Ending::Silent | Ending::Dripping | Ending::Garbage | Ending::Evicted)
    }
}

/// What a connection works with.
pub struct Place {
    pub port: Arc<Port>,
    pub rules: Arc<Rules>,
    pub open: Rc<Open>,
    pub stop: Rc<Stop>,
}

/// What happened on a connection.
enum Turn {
    /// Bytes were read, or frames that waited were taken.
    Read,
    /// There is no slot to read into.
    Dry,
    /// The listener ends, or a time limit may have passed.
    Signal,
    Over(Ending),
}

struct Reader<'a, S> {
    place: &'a Place,
    origin: Arc<Origin>,
    stream: S,
    wire: Wire,
    share: Share,
    /// When bytes last came.
    last: Instant,
    /// Since when the carry has held a frame that does not become whole.
    unfinished: Option<Instant>,
    /// Our side is closed: the sender is read to its end.
    closing: bool,
}

/// Reads `stream` until it ends, or has to.
pub async fn read<S>(stream: S, origin: Arc<Origin>, place: &Place, carries: &Arc<Budget>) -> Ending
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let wire = Wire::new(place.rules.framing(), place.rules.frame_bytes);
    let share = carries.share();
    let last = Instant::now();
    let mut reader = Reader { place, origin, stream, wire, share, last, unfinished: None, closing: false };
    let ending = reader.run().await;
    reader.finish(if ending == Ending::Closed { End::Clean } else { End::Cut }).await;
    ending
}

impl<S: AsyncRead + AsyncWrite + Unpin> Reader<'_, S> {
    async fn run(&mut self) -> Ending {
        let place = self.place;
        let mut tick = pin!(sleep(place.rules.listener.limits.idle));
        let mut stopped = pin!(place.stop.begun());
        let mut evicted = pin!(self.share.evicted());
        let mut reads = 0;
        loop {
            // The socket comes first: limits and signals are looked at when it has nothing more.
            let turn = std::future::poll_fn(|cx| {
                if let Poll::Ready(turn) = self.poll_read(cx) {
                    return Poll::Ready(turn);
                }
                if !self.closing && stopped.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Turn::Signal);
                }
                if evicted.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Turn::Over(Ending::Evicted));
                }
                tick.as_mut().poll(cx).map(|()| Turn::Signal)
            });
            let turn = turn.await;
            let mut look = self.closing;
            match turn {
                Turn::Over(ending) => return ending,
                Turn::Signal => look = true,
                Turn::Dry => {
                    tokio::select! {
                        () = wait_for_slot(place) => {}
                        () = self.share.evicted() => {}
                    }
                    // Not reading is no silence of the sender's.
                    self.last = Instant::now();
                }
                Turn::Read => {
                    reads += 1;
                    if reads % limits::READS_IN_A_ROW == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            }
            if self.share.is_evicted() {
                return Ending::Evicted;
            }
            if !self.closing && place.stop.has_begun() {
                self.half_close().await;
                look = true;
            }
            if look {
                let (deadline, ending) = self.deadline();
                if deadline <= Instant::now() {
                    return ending;
                }
                tick.as_mut().reset(deadline);
            }
        }
    }

    /// When the connection has to end, and as what.
    fn deadline(&self) -> (Instant, Ending) {
        let idle = self.place.rules.listener.limits.idle;
        let frame = idle.max(Duration::from_secs(limits::FRAME_S));
        let ends = [
            Some((self.last + idle, Ending::Silent)),
            self.unfinished.map(|since| (since + frame, Ending::Dripping)),
            self.place.stop.deadline().map(|deadline| (deadline, Ending::Stopped)),
        ];
        ends.into_iter().flatten().min_by_key(|(at, _)| *at).expect("the first is always there")
    }

    async fn half_close(&mut self) {
        self.closing = true;
        if let Some(deadline) = self.place.stop.deadline() {
            // Whether the sender hears of it changes nothing: it is read until the deadline.
            let _ = timeout_at(deadline, self.stream.shutdown()).await;
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        let place = self.place;
        let need = match self.wire.has_frames() {
            true => self.wire.gap(),
            false => self.wire.gap() + limits::READ_MIN_BYTES,
        };
        let (wire, stream, origin) = (&mut self.wire, &mut self.stream, &self.origin);
        let mut fill = |batch: &mut Batch| {
            let filled = poll_fill(cx, stream, wire, batch);
            batch.close_run(origin, Identity::Batch);
            filled
        };
        if let Some(filled) = place.open.with_room(need, 1, &mut fill) {
            return filled.map(|filled| self.took(filled, false));
        }
        if !sheds(place) {
            return Poll::Ready(Turn::Dry);
        }
        let capacity = Batch::capacity_for(place.rules.frame_bytes).max(need);
        place.open.with_scratch(capacity, fill).map(|filled| self.took(filled, true))
    }

    /// Enters what was read into the books.
    fn took(&mut self, filled: io::Result<Option<Filled>>, shed: bool) -> Turn {
        let Filled { bytes, frames } = match filled {
            Ok(Some(filled)) => filled,
            Ok(None) => return Turn::Over(Ending::Closed),
            // A TLS sender that closes without saying so first.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Turn::Over(Ending::Closed),
            Err(_) => return Turn::Over(Ending::Broken),
        };
        let books = &self.place.port.books;
        books.bytes.add(bytes as u64);
        books.received.add(frames as u64);
        books.garbage_bytes.add(self.wire.new_garbage());
        if shed {
            books.shed_no_slot.add(frames as u64);
        } else if frames > 0 {
            self.place.open.note();
        }
        self.last = Instant::now();
        if frames > 0 || self.wire.gap() == 0 {
            self.unfinished = None;
        }
        if self.wire.gap() > 0 {
            self.unfinished.get_or_insert(self.last);
        }
        self.share.hold(self.wire.held());
        match self.wire.garbage_since_frame() > limits::GARBAGE_BYTES {
            true => Turn::Over(Ending::Garbage),
            false => Turn::Read,
        }
    }

    /// Takes what was read and is not yet in a batch: frames that waited for one, and the last line.
    async fn finish(&mut self, end: End) {
        let place = self.place;
        let books = &place.port.books;
        while self.wire.has_frames() {
            let (wire, origin) = (&mut self.wire, &self.origin);
            let (frames, shed) = place_or_shed(place, wire.gap(), |batch| {
                let frames = wire.absorb(batch, 0);
                batch.close_run(origin, Identity::Batch);
                frames
            })
            .await;
            books.received.add(frames as u64);
            books.shed_no_slot.add(if shed { frames as u64 } else { 0 });
        }
        if let Some((frame, truncated)) = self.wire.finish(end) {
            let ((), shed) = place_or_shed(place, frame.len(), |batch| {
                let at = batch.append(frame);
                batch.push_frame(at, frame.len(), truncated);
                batch.close_run(&self.origin, Identity::Batch);
            })
            .await;
            books.received.add(1);
            books.shed_no_slot.add(u64::from(shed));
        }
        books.garbage_bytes.add(self.wire.new_garbage());
    }
}

/// What one read brought.
struct Filled {
    bytes: usize,
    frames: usize,
}

/// Reads behind the gap and frames; `None` at the end of the stream. Where frames wait already, nothing is read.
fn poll_fill(
    cx: &mut Context<'_>,
    stream: &mut (impl AsyncRead + Unpin),
    wire: &mut Wire,
    batch: &mut Batch,
) -> Poll<io::Result<Option<Filled>>> {
    let mut bytes = 0;
    if !wire.has_frames() {
        let mut buffer = ReadBuf::new(&mut batch.free()[wire.gap()..]);
        ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
        bytes = buffer.filled().len();
        if bytes == 0 {
            return Poll::Ready(Ok(None));
        }
    }
    let frames = wire.absorb(batch, bytes);
    Poll::Ready(Ok(Some(Filled { bytes, frames })))
}

/// Whether the listener counts and discards now.
fn sheds(place: &Place) -> bool {
    let past = |at: Option<Instant>| at.is_some_and(|at| at <= Instant::now());
    past(shed_at(place)) || past(place.stop.deadline())
}

/// When the listener begins to count and discard.
fn shed_at(place: &Place) -> Option<Instant> {
    Some(place.open.dry_since()? + place.rules.listener.shed_after?)
}

/// Waits until there is a slot, or there is no more waiting.
async fn wait_for_slot(place: &Place) {
    let shed_at = shed_at(place);
    tokio::select! {
        () = place.open.arrived() => {}
        () = place.stop.lingered() => {}
        () = async { sleep_until(shed_at.expect("checked by the branch")).await }, if shed_at.is_some() => {}
    }
}

/// Hands `fill` the batch, or scratch if the listener sheds; says whether it was scratch.
async fn place_or_shed<T>(place: &Place, need: usize, mut fill: impl FnMut(&mut Batch) -> T) -> (T, bool) {
    loop {
        if let Some(filled) = place.open.with_room(need, 1, &mut fill) {
            place.open.note();
            return (filled, false);
        }
        if sheds(place) {
            let capacity = Batch::capacity_for(place.rules.frame_bytes).max(need);
            return (place.open.with_scratch(capacity, fill), true);
        }
        wait_for_slot(place).await;
    }
}
