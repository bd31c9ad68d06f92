//! Router lines in the order in which the router writes them, every quote in its place.

use core::net::IpAddr;

use ipnet::IpNet;

use super::view::{Fields, Marks, Places, View, digits, text, whole};
use crate::event::{FieldId, Severity, Span, Value};
use crate::parse::heroku;
use crate::parse::router::{Told, client_ip};
use crate::parse::text::Text;

/// Keys behind `fwd`, in their order, none of them needed.
struct Tail<'a> {
    view: View<'a>,
    blanks: Places<'a>,
    /// The key at hand, and the blank behind its value.
    at: usize,
    blank: usize,
    end: usize,
}

impl Tail<'_> {
    /// Goes to the next key.
    #[inline(always)]
    fn pass(&mut self) {
        self.at = self.blank + 1;
        self.blank = if self.at > self.end { self.end } else { self.blanks.next() };
    }
}

/// Appends the fields of the router line from `at` on; behind them, the severity that it tells.
///
/// `None`: something is not in its usual place, and the fields that were appended do not count.
#[inline(always)]
pub(super) fn fields(
    view: View,
    marks: &Marks,
    at: usize,
    trusted: &[IpNet],
    row: &mut Fields,
    told: &mut Told,
) -> Option<Option<Severity>> {
    *told = Told::default();
    let end = marks.end;
    let mut blanks = marks.blanks(at);
    if !view.stands(at, b"at=") {
        return None;
    }
    let (mut key, mut blank) = (at + 3, blanks.next());
    let severity = match view.short(key, blank) {
        INFO => Some(Severity::Info),
        ERROR => Some(Severity::Error),
        0 => return None,
        _ => heroku::level_of_value(view.get(key, blank)),
    };
    row.push(heroku::AT, view.value(key, blank));
    (key, blank) = (blank + 1, blanks.next());
    let mut quote = marks.quote(at);
    if view.stands(key, b"code=") {
        // Of lines with `AGENT_CODE` more is read than of others.
        if blank <= key + 5 || view.get(key + 5, blank) == heroku::AGENT_CODE {
            return None;
        }
        told.code = view.span(key + 5, blank);
        row.push(heroku::CODE, Value::Text(told.code));
        key = blank + 1;
        if !view.stands(key, b"desc=\"") || quote != key + 5 {
            return None;
        }
        let close = marks.quote(quote + 1);
        if close >= end || close == quote + 1 || view.byte(close + 1) != b' ' {
            return None;
        }
        row.push(heroku::DESC, view.value(quote + 1, close));
        quote = marks.quote(close + 1);
        key = close + 2;
        blanks = marks.blanks(key);
        blank = blanks.next();
    }
    if !view.stands(key, b"method=") || blank <= key + 7 {
        return None;
    }
    row.push(heroku::METHOD, view.value(key + 7, blank));
    key = blank + 1;
    if !view.stands(key, b"path=\"") || quote != key + 5 {
        return None;
    }
    let close = marks.quote(quote + 1);
    if close >= end || close == quote + 1 || !view.stands(close, b"\" host=") {
        return None;
    }
    row.push(heroku::PATH, view.value(quote + 1, close));
    quote = marks.quote(close + 1);
    key = close + 2;
    blanks = marks.blanks(key);
    blank = blanks.next();
    if blank <= key + 5 {
        return None;
    }
    row.push(heroku::HOST, view.value(key + 5, blank));
    (key, blank) = (blank + 1, blanks.next());
    if view.stands(key, b"request_") && view.stands(key + 8, b"id=") {
        if blank <= key + 11 {
            return None;
        }
        row.push(heroku::REQUEST_ID, view.value(key + 11, blank));
        key = blank + 1;
    }
    if !view.stands(key, b"fwd=\"") || quote != key + 4 {
        return None;
    }
    let close = marks.quote(quote + 1);
    // The last quote of the line, and something behind it.
    if close >= end || close == quote + 1 || view.byte(close + 1) != b' ' || marks.quoted(close + 1) {
        return None;
    }
    let mut blanks = marks.blanks(quote + 1);
    blank = blanks.next();
    while blank < close {
        // Nothing in it looks like a key of ours.
        if matches!(view.byte(blank + 1), b'f' | b'a') {
            return None;
        }
        blank = blanks.next();
    }
    let forwarded = view.span(quote + 1, close);
    row.push(heroku::FWD, Value::List(forwarded));
    if let Some(client) = client(view, quote + 1, close, trusted, forwarded) {
        row.push(heroku::CLIENT_IP, Value::Text(client));
    }
    let mut tail = Tail { view, blanks, at: 0, blank, end };
    tail.pass();
    word_of(&mut tail, b"dyno=", 5, heroku::DYNO, row)?;
    number_of(&mut tail, b"queue=", false, heroku::QUEUE, row)?;
    number_of(&mut tail, b"wait=", true, heroku::WAIT_MS, row)?;
    number_of(&mut tail, b"connect=", true, heroku::CONNECT_MS, row)?;
    number_of(&mut tail, b"service=", true, heroku::SERVICE_MS, row)?;
    told.status = number_of(&mut tail, b"status=", false, heroku::STATUS, row)?;
    number_of(&mut tail, b"bytes=", false, heroku::BYTES, row)?;
    word_of(&mut tail, b"protocol", 9, heroku::PROTOCOL, row)?;
    if view.stands(tail.at, b"tls=") {
        match view.short(tail.at + 4, tail.blank) {
            TRUE => row.push(heroku::TLS, Value::Bool(true)),
            FALSE => row.push(heroku::TLS, Value::Bool(false)),
            _ => return None,
        }
        tail.pass();
    }
    if view.stands(tail.at + 8, b"ion=") {
        word_of(&mut tail, b"tls_vers", 12, heroku::TLS_VERSION, row)?;
    }
    // All of it was read, and no blank is left at its end.
    (tail.at == end + 1).then_some(severity)
}

const INFO: u64 = text(b"info");
const ERROR: u64 = text(b"error");
const TRUE: u64 = text(b"true");
const FALSE: u64 = text(b"false");

/// A text, if its key, of `len` bytes with its `=` and beginning with `word`, stands here.
#[inline(always)]
fn word_of<const N: usize>(
    tail: &mut Tail,
    word: &[u8; N],
    len: usize,
    id: FieldId,
    row: &mut Fields,
) -> Option<()> {
    if tail.view.stands(tail.at, word) {
        let from = tail.at + len;
        if tail.view.byte(from - 1) != b'=' || from > tail.blank {
            return None;
        }
        if tail.blank > from {
            row.push(id, tail.view.value(from, tail.blank));
        }
        tail.pass();
    }
    Some(())
}

/// A whole number, `ms` behind it where `millis`, if its key stands here; 0 if there is none.
#[inline(always)]
fn number_of<const N: usize>(
    tail: &mut Tail,
    key: &[u8; N],
    millis: bool,
    id: FieldId,
    row: &mut Fields,
) -> Option<u64> {
    if !tail.view.stands(tail.at, key) {
        return Some(0);
    }
    let from = tail.at + N;
    let (number, len) = whole(tail.view, from);
    let mut to = from + len;
    if millis && tail.view.stands(to, b"ms") {
        to += 2;
    }
    if to != tail.blank || len > 1 && tail.view.byte(from) == b'0' || len == 0 && to != from {
        return None;
    }
    if len > 0 {
        row.push(id, Value::Int(number));
    }
    tail.pass();
    Some(number)
}

/// The client's address of `fwd`, which lies at `from..to`.
#[inline(always)]
fn client(view: View, from: usize, to: usize, trusted: &[IpNet], forwarded: Span) -> Option<Span> {
    if trusted.is_empty()
        && let Some(start) = last_v4(view, from, to)
    {
        return Some(view.span(start, to));
    }
    client_of(view.get(from, to), forwarded, trusted)
}

#[cold]
#[inline(never)]
fn client_of(bytes: &[u8], forwarded: Span, trusted: &[IpNet]) -> Option<Span> {
    if trusted.is_empty()
        && let Ok(text) = core::str::from_utf8(bytes)
        && text.parse::<IpAddr>().is_ok()
    {
        return Some(forwarded);
    }
    client_ip(Text::new(bytes, forwarded), trusted).map(|client| client.span)
}

/// Where the last of the addresses begins, if all are of version 4 and well written.
#[inline(always)]
fn last_v4(view: View, from: usize, to: usize) -> Option<usize> {
    let mut start = from;
    loop {
        let mut at = octet(view, start)?;
        for _ in 0..3 {
            if view.byte(at) != b'.' {
                return None;
            }
            at = octet(view, at + 1)?;
        }
        if at == to {
            return Some(start);
        }
        if at > to || view.byte(at) != b',' {
            return None;
        }
        start = at + 1 + usize::from(view.byte(at + 1) == b' ');
    }
}

/// Where the number up to 255, without leading zeros, ends that begins at `at`.
#[inline(always)]
fn octet(view: View, at: usize) -> Option<usize> {
    let word = view.word(at);
    let len = digits(word);
    let first = word as u8;
    let fits = match len {
        1 => true,
        2 => first != b'0',
        3 => first == b'1' || first == b'2' && (word as u32).swap_bytes() >> 8 <= 0x32_35_35,
        _ => false,
    };
    fits.then_some(at + len)
}
