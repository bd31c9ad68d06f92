//! Router lines: who asked for what, and what became of it.
//!
//! Path, forwarded addresses and agent are the client's own words. So the left end is read only up to `method=`, the
//! right end from the right, and `fwd` only where it touches that right end: nothing that a client writes becomes a code,
//! a status, a severity or a trusted address. Escapes stay as sent.

use core::net::IpAddr;

use ipnet::IpNet;
use memchr::{memchr, memchr_iter, memmem, memrchr};

use super::heroku::{self, Shape};
use super::logfmt::Pairs;
use super::text::{Row, Text, is_blank, number};
use crate::event::{Severity, Value};

const TAIL: usize = heroku::ROUTER_TAIL.len();
const HEAD: usize = heroku::ROUTER_HEAD.len();
const AGENT_AT: usize = TAIL - 2;
const SOCK_AT: usize = TAIL - 1;
const HEAD_SOCK_AT: usize = HEAD - 1;

/// What a line holds, before it becomes fields.
#[derive(Default)]
struct Line<'a> {
    head: [Option<Text<'a>>; HEAD],
    method: Option<Text<'a>>,
    path: Option<Text<'a>>,
    host: Option<Text<'a>>,
    request_id: Option<Text<'a>>,
    fwd: Option<Text<'a>>,
    tail: [Option<Text<'a>>; TAIL],
}

/// Appends the fields of a router line; returns the severity that its `at` or its form tells.
pub(super) fn fields(text: Text, trusted: &[IpNet], row: &mut Row) -> Option<Severity> {
    let mut line = Line::default();
    let severity = match text.bytes.strip_prefix(b"Error ") {
        Some(rest) if rest.first() == Some(&b'H') => {
            error_line(text.from(6), &mut line);
            Some(Severity::Error)
        }
        _ => {
            if is_request(text) {
                request(text, &mut line);
            } else {
                pairs(text, &mut line);
            }
            line.head[0].and_then(|at| heroku::level_of_value(at.bytes))
        }
    };
    emit(&line, trusted, row);
    severity
}

/// A line that begins with a method and no key, as the router wrote before 2013.
fn is_request(text: Text) -> bool {
    let word = text.word();
    word.len() > 0 && word.len() < text.len() && word.bytes.iter().all(u8::is_ascii_uppercase)
}

/// `H10 (App crashed) -> GET host/path …`.
fn error_line<'a>(text: Text<'a>, line: &mut Line<'a>) {
    let Some(code) = heroku::code_at(text.bytes, b"H") else { return };
    line.head[1] = Some(text.part(0, code.len()));
    let mut rest = text.from(code.len());
    if rest.bytes.starts_with(b" (")
        && let Some(close) = memchr(b')', rest.bytes)
    {
        line.head[2] = Some(rest.part(2, close));
        rest = rest.from(close + 1);
    }
    if rest.bytes.starts_with(b" -> ") {
        request(rest.from(4), line);
    }
}

/// `GET host/path dyno= …`.
fn request<'a>(text: Text<'a>, line: &mut Line<'a>) {
    let method = text.word();
    line.method = Some(method);
    let rest = text.from(text.len().min(method.len() + 1));
    let place = rest.word();
    match memchr(b'/', place.bytes) {
        Some(slash) => {
            line.host = Some(place.part(0, slash));
            line.path = Some(place.from(slash));
        }
        None => line.host = Some(place),
    }
    right_end(rest.from(place.len()), line);
}

/// The form in keys and values.
fn pairs<'a>(text: Text<'a>, line: &mut Line<'a>) {
    let mut pairs = Pairs::new(text);
    let method = loop {
        let Some(pair) = pairs.next() else { return };
        if pair.key.bytes == b"method" {
            break pair;
        }
        let place = heroku::ROUTER_HEAD.iter().position(|(key, _)| key.as_bytes() == pair.key.bytes);
        if let Some(place) = place {
            line.head[place].get_or_insert(pair.value);
        }
    };
    line.method = Some(method.value);
    let rest = text.from(pairs.at());
    let rest = rest.from(rest.bytes.iter().take_while(|byte| is_blank(**byte)).count());
    if !rest.bytes.starts_with(b"path=") {
        right_end(text.from(pairs.at()), line);
        return;
    }
    let value = rest.from(5);
    let (path, after) = if value.bytes.starts_with(b"\"") {
        quoted_path(value.from(1))
    } else {
        let path = value.word();
        (path, value.from(path.len()))
    };
    line.path = Some(path);
    right_end(after, line);
}

/// The path behind its opening quote, and what follows its closing one.
fn quoted_path<'a>(text: Text<'a>) -> (Text<'a>, Text<'a>) {
    let escaped =
        |quote: usize| text.bytes[..quote].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1;
    let mut first_escaped = None;
    let mut close = None;
    for quote in memmem::find_iter(text.bytes, b"\" host=") {
        if !escaped(quote) {
            close = Some(quote);
            break;
        }
        first_escaped.get_or_insert(quote);
    }
    // A path that ends in a backslash looks like an escaped quote; it is one only if another quote closes.
    let close = close.or(first_escaped).or_else(|| {
        memchr_iter(b'"', text.bytes)
            .find(|quote| text.bytes.get(quote + 1).is_none_or(|next| is_blank(*next)) && !escaped(*quote))
    });
    match close {
        Some(quote) => (text.part(0, quote), text.from(quote + 1)),
        None => (text, text.from(text.len())),
    }
}

/// Everything right of the path.
fn right_end<'a>(text: Text<'a>, line: &mut Line<'a>) {
    let mut agents = memmem::find_iter(text.bytes, b" agent=");
    let agent = agents.next();
    if agents.next().is_some() {
        names(text, line);
        return;
    }
    let end = tail(text, agent, line);
    let left = text.part(0, end);
    match memmem::rfind(left.bytes, b" fwd=") {
        Some(at) => {
            line.fwd = whole_value(left.from(at + 5).trimmed());
            names(left.part(0, at), line);
        }
        None => names(left, line),
    }
}

/// `host` and `request_id`, the first of each.
fn names<'a>(text: Text<'a>, line: &mut Line<'a>) {
    for pair in Pairs::new(text) {
        match pair.key.bytes {
            b"host" => _ = line.host.get_or_insert(pair.value),
            b"request_id" => _ = line.request_id.get_or_insert(pair.value),
            b"fwd" => return,
            _ => {}
        }
        if line.host.is_some() && line.request_id.is_some() {
            return;
        }
    }
}

/// A value that is wholly one: between two quotes with none inside, or bare.
fn whole_value(text: Text) -> Option<Text> {
    let inner = match text.bytes.strip_prefix(b"\"") {
        Some(rest) if rest.last() == Some(&b'"') => text.part(1, text.len() - 1),
        _ if text.bytes.iter().any(|byte| is_blank(*byte)) => return None,
        _ => text,
    };
    memchr(b'"', inner.bytes).is_none().then_some(inner)
}

/// Reads keys from the right end while they are the router's own; returns where they begin.
///
/// `agent` is where the only ` agent=` is.
fn tail<'a>(text: Text<'a>, agent: Option<usize>, line: &mut Line<'a>) -> usize {
    let inside = line.head[1].is_some_and(|code| code.bytes == heroku::AGENT_CODE);
    let mut end = text.len();
    let mut known = false;
    loop {
        end = text.bytes[..end].iter().rposition(|byte| !is_blank(*byte)).map_or(0, |at| at + 1);
        let region = text.part(0, end);
        if region.bytes.last() == Some(&b'"') {
            // Elsewhere the client's forwarded address could open an `agent` that the router's own quote closes.
            let Some(at) = agent.filter(|at| *at < end && (inside || !known)) else {
                match quoted(region, line) {
                    Some(start) => end = start,
                    None => return end,
                }
                known = true;
                continue;
            };
            let value = region.from(at + 7);
            if line.tail[AGENT_AT].is_some() || value.len() < 2 || value.bytes[0] != b'"' {
                return end;
            }
            line.tail[AGENT_AT] = Some(value.part(1, value.len() - 1));
            (end, known) = (at, true);
            continue;
        }
        let start = memrchr(b' ', region.bytes).map_or(0, |at| at + 1);
        let token = region.from(start);
        let Some(equals) = memchr(b'=', token.bytes) else { return end };
        let (key, value) = (&token.bytes[..equals], token.from(equals + 1));
        let own = matches!(key, b"fwd" | b"host" | b"request_id" | b"path" | b"method" | b"");
        if own || memchr(b'"', value.bytes).is_some() {
            return end;
        }
        match place(key) {
            Some(AGENT_AT) if known && !inside => return end,
            Some(place) if line.tail[place].is_none() => {
                line.tail[place] = Some(value);
                known = true;
            }
            None if !known => {}
            _ => return end,
        }
        end = start;
    }
}

fn place(key: &[u8]) -> Option<usize> {
    heroku::ROUTER_TAIL.iter().position(|(name, _, _)| name.as_bytes() == key)
}

/// A quoted value, of a key other than `agent`, at the end of `region`; returns where its key begins.
fn quoted<'a>(region: Text<'a>, line: &mut Line<'a>) -> Option<usize> {
    let close = region.len() - 1;
    let open = memrchr(b'"', &region.bytes[..close])?;
    let key_end = open.checked_sub(1).filter(|at| region.bytes[*at] == b'=')?;
    let start = memrchr(b' ', &region.bytes[..key_end]).map_or(0, |at| at + 1);
    let place = place(&region.bytes[start..key_end]).filter(|place| *place != AGENT_AT)?;
    if line.tail[place].is_some() {
        return None;
    }
    line.tail[place] = Some(region.part(open + 1, close));
    Some(start)
}

fn emit(line: &Line, trusted: &[IpNet], row: &mut Row) {
    for (value, (_, id)) in line.head.iter().zip(heroku::ROUTER_HEAD) {
        if let Some(value) = value {
            row.text(*id, *value);
        }
    }
    let middle = [
        (heroku::METHOD, line.method),
        (heroku::PATH, line.path),
        (heroku::HOST, line.host),
        (heroku::REQUEST_ID, line.request_id),
    ];
    for (id, value) in middle {
        if let Some(value) = value {
            row.text(id, value);
        }
    }
    if let Some(fwd) = line.fwd.filter(|fwd| fwd.len() > 0) {
        row.push(heroku::FWD, Value::List(fwd.span));
        if let Some(client) = client_ip(fwd, trusted) {
            row.text(heroku::CLIENT_IP, client);
        }
    }
    for (place, (value, (_, id, shape))) in line.tail.iter().zip(heroku::ROUTER_TAIL).enumerate() {
        let Some(value) = *value else { continue };
        if place == SOCK_AT && line.head[HEAD_SOCK_AT].is_some() {
            continue;
        }
        match (shape, value.bytes) {
            (Shape::Text, _) => row.text(*id, value),
            (Shape::Count, _) => row.number(*id, value),
            (Shape::Millis, bytes) => {
                let digits = bytes.strip_suffix(b"ms").unwrap_or(bytes).len();
                if let Some(value) = number(value.part(0, digits)) {
                    row.push(*id, value);
                }
            }
            (Shape::Bool, b"true") => row.push(*id, Value::Bool(true)),
            (Shape::Bool, b"false") => row.push(*id, Value::Bool(false)),
            (Shape::Bool, _) => {}
        }
    }
}

fn address(text: Text) -> Option<IpAddr> {
    core::str::from_utf8(text.bytes).ok()?.parse().ok()
}

/// The rightmost valid address that is no trusted proxy, else the leftmost valid one.
fn client_ip<'a>(fwd: Text<'a>, trusted: &[IpNet]) -> Option<Text<'a>> {
    let mut leftmost = None;
    let mut end = fwd.len();
    loop {
        let start = memrchr(b',', &fwd.bytes[..end]).map_or(0, |comma| comma + 1);
        let piece = fwd.part(start, end).trimmed();
        if let Some(address) = address(piece) {
            let plain = address.to_canonical();
            if !trusted.iter().any(|net| net.contains(&plain) || net.contains(&address)) {
                return Some(piece);
            }
            leftmost = Some(piece);
        }
        if start == 0 {
            return leftmost;
        }
        end = start - 1;
    }
}
