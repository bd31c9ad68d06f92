//! The header as Logplex writes it.

use super::view::{Marks, View, digits, number, two};
use crate::event::Span;
use crate::parse::time;
use crate::simd::Vector;

/// The last minute that a time was in: times come in order, so most are in it again.
#[derive(Clone, Copy, Default)]
pub(super) struct Minute {
    /// `2026-11-22T09:51`
    text: u128,
    us: i64,
}

/// What a usual header says: a Heroku sender, no hostname, no MSGID, no structured data.
pub(super) struct Head {
    pub pri: u8,
    pub time_us: i64,
    /// HOSTNAME, where it is a drain token.
    pub token: Span,
    /// APP-NAME and PROCID.
    pub source: Span,
    pub process: Span,
    /// The same as words; 0 where they are longer.
    pub source_word: u64,
    pub process_word: u64,
    /// Where PROCID and the message begin.
    pub process_at: usize,
    pub message_at: usize,
}

/// Reads a header. `None`: not the usual form, or something odd in it. The general way must look then.
#[inline(always)]
pub(super) fn header<V: Vector>(vector: V, view: View, marks: &Marks, minute: &mut Minute) -> Option<Head> {
    let (pri, time_at) = pri(view)?;
    let mut blanks = marks.blanks(time_at);
    let time_end = blanks.next();
    let time_us = time(view, time_at, time_end, minute)?;
    let host_at = time_end + 1;
    let host_end = blanks.next();
    let source_end = blanks.next();
    let process_end = blanks.next();
    let msgid_end = blanks.next();
    let (source_at, process_at, msgid_at) = (host_end + 1, source_end + 1, process_end + 1);
    // No field is empty; MSGID is absent, as it always is.
    let usual = host_end > host_at && source_end > source_at && process_end > process_at;
    if !usual || msgid_end != msgid_at + 1 || view.byte(msgid_at) != b'-' {
        return None;
    }
    let mut token = Span::NONE;
    let mut message_at = msgid_end + 1;
    if view.stands(host_at, b"d.") {
        token = view.span(host_at, host_end);
        let data_end = blanks.next();
        if data_end != message_at + 1 || view.byte(message_at) != b'-' {
            return None;
        }
        message_at = data_end + 1;
    } else if host_end != host_at + 4 || !view.stands(host_at, b"host") {
        return None;
    }
    if message_at > marks.end || (marks.odd && is_odd(vector, view, message_at)) {
        return None;
    }
    Some(Head {
        pri,
        time_us,
        token,
        source: unless_nil(view, source_at, source_end),
        process: unless_nil(view, process_at, process_end),
        source_word: view.short(source_at, source_end),
        process_word: view.short(process_at, process_end),
        process_at,
        message_at,
    })
}

/// Whether something odd stands before `to`: what a header field cannot hold, or no usual one does.
#[inline(always)]
fn is_odd<V: Vector>(vector: V, view: View, to: usize) -> bool {
    let mut odd = 0;
    for block in 0..to / 64 {
        odd |= vector.odd(view.block(block * 64));
    }
    (odd | vector.odd(view.block(to / 64 * 64)) & ((1 << (to % 64)) - 1)) != 0
}

/// `<PRI>1 ` and where the time begins.
#[inline(always)]
fn pri(view: View) -> Option<(u8, usize)> {
    let word = view.word(1);
    let len = digits(word);
    if view.byte(0) != b'<' || !(1..=3).contains(&len) || !view.stands(len + 1, b">1 ") {
        return None;
    }
    let pri = number(word, len);
    (pri <= 191).then_some((pri as u8, len + 4))
}

/// An RFC 3339 time that can be read.
#[inline(always)]
fn time(view: View, at: usize, end: usize, minute: &mut Minute) -> Option<i64> {
    let text = u128::from_le_bytes(*view.block(at));
    let utc =
        view.byte(at + 26) == b'Z' && end == at + 27 || view.stands(at + 26, b"+00:00") && end == at + 32;
    let fraction = view.word(at + 20);
    let seconds = two(view, at + 17)?;
    let usual = utc
        && digits(fraction) == 6
        && seconds < 60
        && view.byte(at + 16) == b':'
        && view.byte(at + 19) == b'.';
    if !usual {
        return time::rfc3339(view.get(at, end));
    }
    let micros = number(fraction, 6);
    if text != minute.text {
        let us = time::rfc3339(view.get(at, end))?;
        *minute = Minute { text, us: us - seconds as i64 * 1_000_000 - micros as i64 };
        return Some(us);
    }
    Some(minute.us + seconds as i64 * 1_000_000 + micros as i64)
}

/// `-` means absent.
#[inline(always)]
fn unless_nil(view: View, from: usize, to: usize) -> Span {
    if to == from + 1 && view.byte(from) == b'-' { Span::NONE } else { view.span(from, to) }
}
