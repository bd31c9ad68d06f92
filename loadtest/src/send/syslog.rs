//! A syslog drain over TCP or TLS: octet-counted frames in pieces of a few kilobytes, no acknowledgement.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::link::Link;
use super::pace::Pace;
use super::{Fate, Run};
use crate::record::Connection;
use crate::stamp::Stamp;

/// What has waited so long is sent although it fills no piece.
const FLUSH_AFTER: Duration = Duration::from_millis(100);

/// How often an end sent by the other side is looked for; each look costs three system calls.
const CLOSED_LOOK: Duration = Duration::from_millis(50);

/// Pause before a cut connection is replaced.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// Why a connection ended.
enum End {
    /// All was sent, or a stop was asked for.
    Done,
    Cut(String),
}

/// Sends the share of connection `number` and, with `reconnect`, of those that follow it.
pub fn send(run: &Run, number: u32) -> Fate {
    let mut fate = Fate::default();
    let mut link = Link::connect(run);
    run.start.wait();
    let options = run.options;
    let pace = Pace::new(number, options.connections, options.rate, options.for_time, run.share(number));
    let mut at = Connection { number, ..Connection::default() };
    let mut outage = false;
    loop {
        let end = match link {
            Ok(link) => {
                outage = false;
                stream(run, &pace, link, &mut at)
            }
            Err(e) => End::Cut(format!("cannot connect: {e}")),
        };
        let (number, used, offered) = (at.number, at.offered > at.first, at.offered);
        let last = !options.reconnect || run.stopped() || pace.over(offered, Instant::now());
        if let End::Cut(why) = &end {
            // One line for an outage, however often connecting fails in it.
            if !outage || last {
                fate.troubles.push(format!("connection {number} ended after event {offered}: {why}"));
            }
            outage = true;
            at.cut = true;
        }
        if used || !at.cut {
            fate.connections.push(at);
        }
        if last || matches!(end, End::Done) {
            return fate;
        }
        thread::sleep(RECONNECT_PAUSE);
        // A number that sent nothing is used again, so that an outage does not use them up.
        let next = if used { run.next.fetch_add(1, Ordering::Relaxed) } else { number };
        if !run.generator.load().has_room(next) {
            fate.troubles.push("no connection numbers left for another connection".to_string());
            return fate;
        }
        at = Connection { number: next, first: offered, sent: offered, offered, ..Connection::default() };
        link = Link::connect(run);
    }
}

/// Writes frames until all is sent, a stop, or a cut; `at` tells how far it came.
fn stream(run: &Run, pace: &Pace, mut link: Link, at: &mut Connection) -> End {
    let piece = run.options.send_bytes.max(1);
    let mut stamp = Stamp::default();
    let mut buffer: Vec<u8> = Vec::with_capacity(piece + 64 * 1024);
    let mut ends: Vec<usize> = Vec::new();
    let mut made = at.sent;
    let mut flushed = Instant::now();
    let mut looked = flushed;
    loop {
        let now = Instant::now();
        let last = run.stopped() || pace.over(made, now);
        let due = if last { made } else { pace.due(now) };
        while made < due && buffer.len() < piece {
            run.generator.frame(at.number, made, &mut stamp, &mut buffer);
            ends.push(buffer.len());
            made += 1;
        }
        let closing = now - looked >= CLOSED_LOOK && {
            looked = now;
            link.closed()
        };
        let full = buffer.len() >= piece;
        if !full && !last && !closing && (buffer.is_empty() || now - flushed < FLUSH_AFTER) {
            let missing = (piece - buffer.len()) as u64 / 256 + 1;
            thread::sleep(pace.wait_for(missing, FLUSH_AFTER));
            continue;
        }
        // At an end the last frame is finished, so that the receiver sees no broken one.
        let count = if full && !last && !closing { piece } else { buffer.len() };
        if let Err(why) = write(run, &mut link, &mut buffer, &mut ends, count, at) {
            return End::Cut(why);
        }
        flushed = now;
        if closing {
            link.close();
            return End::Cut("the receiver closed the connection".to_string());
        }
        if last && buffer.is_empty() {
            return if link.close() {
                End::Done
            } else {
                End::Cut("the receiver did not close after the end of the stream".to_string())
            };
        }
    }
}

/// Writes the first `count` bytes and takes them from the buffer, counting whole events.
fn write(
    run: &Run,
    link: &mut Link,
    buffer: &mut Vec<u8>,
    ends: &mut Vec<usize>,
    count: usize,
    at: &mut Connection,
) -> Result<(), String> {
    let mut done = 0;
    let result = link.write(&buffer[..count], run, None, &mut done);
    let whole = ends.iter().take_while(|&&end| end <= done).count();
    at.sent += whole as u64;
    at.offered = match &result {
        // What the TLS record in work held may have left.
        Err(_) if link.writes_records() => {
            at.sent + ends[whole..].iter().take_while(|&&end| end <= count).count() as u64
        }
        _ => at.sent,
    };
    run.progress.bytes.fetch_add(done as u64, Ordering::Relaxed);
    run.progress.events.fetch_add(whole as u64, Ordering::Relaxed);
    result.map_err(|e| e.to_string())?;
    buffer.drain(..count);
    ends.drain(..whole);
    for end in ends.iter_mut() {
        *end -= count;
    }
    Ok(())
}
