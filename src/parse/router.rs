//! Router lines: who asked for what, and what became of it.
//!
//! Path, forwarded addresses and agent are the client's own words. So the left end is read only up to `method=`, the
//! right end from the right, and `fwd` only where it touches that right end: nothing that a client writes becomes a code,
//! a status, a severity or a trusted address. Escapes stay as sent.

use core::net::IpAddr;
use std::sync::LazyLock;

use ipnet::IpNet;
use memchr::memmem::{Finder, FinderRev};
use memchr::{memchr, memchr_iter, memrchr};

use super::heroku::{self, Shape};
use super::logfmt::Pairs;
use super::text::{Row, Text, is_blank, number};
use crate::event::{Field, Name, Severity, Span, Value};

const TAIL: usize = heroku::ROUTER_TAIL.len();
const HEAD: usize = heroku::ROUTER_HEAD.len();
const AGENT_AT: usize = TAIL - 2;
const SOCK_AT: usize = TAIL - 1;
const HEAD_SOCK_AT: usize = HEAD - 1;

static HOST_BEHIND_PATH: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\" host="));
static AGENT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b" agent="));
static FWD: LazyLock<FinderRev<'static>> = LazyLock::new(|| FinderRev::new(b" fwd="));

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

/// What the statistics ask of a router line.
#[derive(Clone, Copy, Default)]
pub struct Told {
    /// 0 if there is none.
    pub status: u64,
    /// Empty if there is none.
    pub code: Span,
}

/// Appends the fields of a router line; returns the severity that its `at` or its form tells.
pub(super) fn fields(text: Text, trusted: &[IpNet], row: &mut Row, told: &mut Told) -> Option<Severity> {
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
    let before = row.fields.len();
    emit(&line, trusted, row);
    *told = Told::default();
    for field in &row.fields[before..] {
        match *field {
            Field { name: Name::Known(heroku::STATUS), value: Value::Int(status) } => told.status = status,
            Field { name: Name::Known(heroku::CODE), value: Value::Text(code) } => told.code = code,
            _ => {}
        }
    }
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
    for quote in HOST_BEHIND_PATH.find_iter(text.bytes) {
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
    let mut agents = AGENT.find_iter(text.bytes);
    let agent = agents.next();
    if agents.next().is_some() {
        names(text, line);
        return;
    }
    let end = tail(text, agent, line);
    let left = text.part(0, end);
    match FWD.rfind(left.bytes) {
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
    let mut next = SOCK_AT;
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
        let Some((start, equals)) = last_token(region.bytes) else { return end };
        let (key, value) = (&region.bytes[start..equals], region.from(equals + 1));
        if matches!(key, b"fwd" | b"host" | b"request_id" | b"path" | b"method" | b"") {
            return end;
        }
        match place(key, next) {
            Some(AGENT_AT) if known && !inside => return end,
            Some(place) if line.tail[place].is_none() => {
                line.tail[place] = Some(value);
                (known, next) = (true, place.saturating_sub(1));
            }
            None if !known => {}
            _ => return end,
        }
        end = start;
    }
}

/// Where the last word of `bytes` begins, and its first `=`; `None` if it has none, or a quote.
fn last_token(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut equals = None;
    for (at, byte) in bytes.iter().enumerate().rev() {
        match byte {
            b' ' => return Some((at + 1, equals?)),
            b'=' => equals = Some(at),
            b'"' => return None,
            _ => {}
        }
    }
    Some((0, equals?))
}

/// The place of a key in the table, looked for from `next` down and around: lines mostly keep the table's order.
fn place(key: &[u8], next: usize) -> Option<usize> {
    let mut places = (0..=next).rev().chain((next + 1..TAIL).rev());
    places.find(|place| heroku::ROUTER_TAIL[*place].0.as_bytes() == key)
}

/// A quoted value, of a key other than `agent`, at the end of `region`; returns where its key begins.
fn quoted<'a>(region: Text<'a>, line: &mut Line<'a>) -> Option<usize> {
    let close = region.len() - 1;
    let open = memrchr(b'"', &region.bytes[..close])?;
    let key_end = open.checked_sub(1).filter(|at| region.bytes[*at] == b'=')?;
    let start = memrchr(b' ', &region.bytes[..key_end]).map_or(0, |at| at + 1);
    let place = place(&region.bytes[start..key_end], SOCK_AT).filter(|place| *place != AGENT_AT)?;
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
pub(super) fn client_ip<'a>(fwd: Text<'a>, trusted: &[IpNet]) -> Option<Text<'a>> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::tests::read;

    fn shown(text: &str) -> String {
        read(text, |text, row| fields(text, &[], row, &mut Told::default())).1
    }

    const TAIL_SENT: &str = "dyno=web.1 connect=0ms service=4ms status=200 bytes=5";
    const TAIL_SHOWN: &str = "dyno: 'web.1', connect_ms: 0, service_ms: 4, status: 200, bytes: 5";

    #[test]
    fn lines_of_all_years() {
        for (text, expected) in [
            (
                "at=info method=GET path=\"/\" host=a.example.com request_id=r fwd=\"149.88.17.139, 172.68.7.155\" dyno=web.1 connect=0ms service=4ms status=200 bytes=407 protocol=http1.1 tls=true tls_version=tls1.3",
                "at: 'info', method: 'GET', path: '/', host: 'a.example.com', request_id: 'r', fwd: [149.88.17.139, 172.68.7.155], client_ip: '172.68.7.155', dyno: 'web.1', connect_ms: 0, service_ms: 4, status: 200, bytes: 407, protocol: 'http1.1', tls: true, tls_version: 'tls1.3'",
            ),
            (
                "sock=client at=warning code=H27 desc=\"Client Request Interrupted\" method=POST path=\"/\" host=a request_id=r fwd=\"1.2.3.4\" dyno=web.1 connect=1 service=20 status=499 bytes= protocol=http tls_version=unknown tls=false",
                "at: 'warning', code: 'H27', desc: 'Client Request Interrupted', sock: 'client', method: 'POST', path: '/', host: 'a', request_id: 'r', fwd: [1.2.3.4], client_ip: '1.2.3.4', dyno: 'web.1', connect_ms: 1, service_ms: 20, status: 499, protocol: 'http', tls: false, tls_version: 'unknown'",
            ),
            (
                "at=error code=H18 desc=\"Request Interrupted\" method=GET path=/a?b=%22 host=a fwd=17.17.17.17 dyno= connect= service= status=503 bytes=0 sock=backend",
                "at: 'error', code: 'H18', desc: 'Request Interrupted', method: 'GET', path: '/a?b=%22', host: 'a', fwd: [17.17.17.17], client_ip: '17.17.17.17', status: 503, bytes: 0, sock: 'backend'",
            ),
            (
                "at=error code=H26 desc=\"Request Error\" cause=\"bad header\" method=GET path=\"/\" host=a fwd=\"1.2.3.4\" dyno=web.1 queue=3 wait=12ms connect=1 service=0 status=400 bytes=537",
                "at: 'error', code: 'H26', desc: 'Request Error', cause: 'bad header', method: 'GET', path: '/', host: 'a', fwd: [1.2.3.4], client_ip: '1.2.3.4', dyno: 'web.1', queue: 3, wait_ms: 12, connect_ms: 1, service_ms: 0, status: 400, bytes: 537",
            ),
            (
                "GET app.example.com/articles/git dyno=web.3 queue=0 wait=0ms service=44ms status=200 bytes=32839",
                "method: 'GET', path: '/articles/git', host: 'app.example.com', dyno: 'web.3', queue: 0, wait_ms: 0, service_ms: 44, status: 200, bytes: 32839",
            ),
            (
                "Error H10 (App crashed) -> POST app.example.com/ dyno= queue= wait= service= status=503 bytes=",
                "code: 'H10', desc: 'App crashed', method: 'POST', path: '/', host: 'app.example.com', status: 503",
            ),
            ("Error H99 (Platform error)", "code: 'H99', desc: 'Platform error'"),
            ("at=info method=PUT", "at: 'info', method: 'PUT'"),
            ("at=error code=H12 desc=\"Request", "at: 'error', code: 'H12', desc: '\"Request'"),
            ("sample#memory_total=190.64MB status=200", ""),
            ("", ""),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn severity_is_what_at_says() {
        for (text, expected) in [
            ("at=info code=H80 status=503", Some(Severity::Info)),
            ("at=error code=H18 status=200", Some(Severity::Error)),
            ("sock=client at=warning code=H27", Some(Severity::Warning)),
            ("Error H12 (Request timeout) -> GET a/b dyno=", Some(Severity::Error)),
            ("GET a/b status=503", None),
            ("method=GET at=error", None),
        ] {
            assert_eq!(
                read(text, |text, row| fields(text, &[], row, &mut Told::default())).0,
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn values_that_are_no_numbers_are_absent() {
        for (sent, expected) in [
            ("connect=1.5ms", ", connect_ms: 1.5"),
            ("connect=5s", ""),
            ("connect=ms", ""),
            ("status=007", ""),
            ("status=200x", ""),
            ("bytes=18446744073709551616", ", bytes: 18446744073709551616"),
            ("tls=maybe", ""),
            ("tls=", ""),
            ("dyno=\"web.1\"", ", dyno: 'web.1'"),
        ] {
            assert_eq!(
                shown(&format!("method=GET path=/ host=a {sent}")),
                format!("method: 'GET', path: '/', host: 'a'{expected}"),
                "{sent}"
            );
        }
    }

    #[test]
    fn a_path_closes_where_the_host_begins() {
        for (path, expected) in [
            ("/api/Schlachter 1951/books\"", "/api/Schlachter 1951/books"),
            ("/q?x=\" code=H99 y=\"\"", "/q?x=\" code=H99 y=\""),
            ("/q?x=\\\"y\\\"\"", "/q?x=\\\"y\\\""),
            ("/q?x=\\\" host=evil\"", "/q?x=\\\" host=evil"),
            ("/ends in \\\"", "/ends in \\"),
            ("/ends in \\\\\"", "/ends in \\\\"),
            ("\"", ""),
        ] {
            let text =
                format!("at=info method=GET path=\"{path} host=a request_id=r fwd=\"1.2.3.4\" {TAIL_SENT}");
            let path = if expected.is_empty() { String::new() } else { format!("path: '{expected}', ") };
            let expected = format!(
                "at: 'info', method: 'GET', {path}host: 'a', request_id: 'r', fwd: [1.2.3.4], client_ip: '1.2.3.4', {TAIL_SHOWN}"
            );
            assert_eq!(shown(&text), expected, "{text}");
        }
        for (text, expected) in [
            ("method=GET path=\"/a b\" status=200", "method: 'GET', path: '/a b', status: 200"),
            ("method=GET path=\"/a\\\" b\"", "method: 'GET', path: '/a\\\" b'"),
            ("method=GET path=\"/never closed status=200", "method: 'GET', path: '/never closed status=200'"),
            ("method=GET host=a status=200", "method: 'GET', host: 'a', status: 200"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    /// What a client writes into a path or a header changes nothing but that path or header.
    #[test]
    fn clients_cannot_forge() {
        let line = |path: &str, fwd: &str, end: &str| {
            format!("at=info method=GET path=\"{path}\" host=a request_id=r fwd=\"{fwd}\" {TAIL_SENT}{end}")
        };
        let head = "at: 'info', method: 'GET', path: '/', host: 'a', request_id: 'r', ";
        for (fwd, seen) in [
            ("6.6.6.6, 9.9.9.9", "fwd: [6.6.6.6, 9.9.9.9], client_ip: '9.9.9.9', "),
            ("6.6.6.6\" fwd=\"7.7.7.7, 9.9.9.9", "fwd: [7.7.7.7, 9.9.9.9], client_ip: '9.9.9.9', "),
            ("6.6.6.6\" dyno=web.9 status=503, 9.9.9.9", ""),
            ("6.6.6.6\" status=503 x=, 9.9.9.9", ""),
            ("6.6.6.6\" agent=\"x, 9.9.9.9", ""),
            ("6.6.6.6\" dyno=\"web.9,9.9.9.9", ""),
            ("6.6.6.6\" at=error code=H12 sock=client, 9.9.9.9", ""),
        ] {
            assert_eq!(shown(&line("/", fwd, "")), format!("{head}{seen}{TAIL_SHOWN}"), "{fwd}");
        }
        let path =
            "/\" fwd=\"6.6.6.6\" dyno=web.9 connect=1ms service=1ms status=503 bytes=1 code=H12 agent=\"";
        let expected = format!(
            "at: 'info', method: 'GET', path: '{path}', host: 'a', request_id: 'r', fwd: [9.9.9.9], client_ip: '9.9.9.9', {TAIL_SHOWN}"
        );
        assert_eq!(shown(&line(path, "9.9.9.9", "")), expected);
    }

    #[test]
    fn the_agent_is_the_clients_own() {
        let line =
            |agent: &str| format!("at=error code=H31 method=GET path=\"/\" host=a fwd=\"1.2.3.4\" {agent}");
        let head = "at: 'error', code: 'H31', method: 'GET', path: '/', host: 'a'";
        let client = "fwd: [1.2.3.4], client_ip: '1.2.3.4'";
        for (agent, seen) in [
            ("dyno= status=421 agent=\"\"", format!(", {client}, status: 421")),
            (
                "status=421 agent=\"M x=1 status=200\"",
                format!(", {client}, status: 421, agent: 'M x=1 status=200'"),
            ),
            (
                "status=421 agent=\"a\" status=200 b=\"\"",
                format!(", {client}, status: 421, agent: 'a\" status=200 b=\"'"),
            ),
            (
                "agent=\"a\" status=200 b=\"\" status=421",
                format!(", {client}, status: 421, agent: 'a\" status=200 b=\"'"),
            ),
            ("status=421 agent=\"a\" agent=\"b\"", String::new()),
            // The last status is the router's own: nothing of a client stands right of it.
            ("status=421 agent=\"a\" status=200", ", status: 200, agent: 'a'".to_string()),
        ] {
            assert_eq!(shown(&line(agent)), format!("{head}{seen}"), "{agent}");
        }
    }

    #[test]
    fn unknown_keys_at_the_right_end_are_passed_over() {
        let line = |end: &str| format!("method=GET path=/ host=a fwd=1.2.3.4 status=200{end}");
        let all = "method: 'GET', path: '/', host: 'a', fwd: [1.2.3.4], client_ip: '1.2.3.4', status: 200";
        for end in ["", " new=1", " new=1 other=x ", "  ", " new="] {
            assert_eq!(shown(&line(end)), all, "{end}");
        }
        for end in [" new=\"x\"", " cut", " dyn"] {
            assert_eq!(shown(&line(end)), "method: 'GET', path: '/', host: 'a'", "{end}");
        }
        assert_eq!(
            shown("method=GET path=/ fwd=6.6.6.6 status=1 new=1 status=2"),
            "method: 'GET', path: '/', status: 2"
        );
    }

    #[test]
    fn the_client_is_the_rightmost_that_is_not_trusted() {
        let trusted: Vec<IpNet> = ["172.64.0.0/13", "2400:cb00::/32"].map(|net| net.parse().unwrap()).into();
        for (fwd, expected) in [
            ("149.88.17.139, 172.68.7.155", Some("149.88.17.139")),
            ("172.68.1.1,172.68.7.155", Some("172.68.1.1")),
            ("240e:d9:c200:104:85c5::ec0,172.69.34.65", Some("240e:d9:c200:104:85c5::ec0")),
            ("1.1.1.1,2400:cb00::1,::ffff:172.68.1.1", Some("1.1.1.1")),
            ("1.1.1.1,unknown, 8.8.8.8:443", Some("1.1.1.1")),
            ("256.0.0.10", None),
            ("<ip>", None),
            (",", None),
        ] {
            let span = crate::event::Span::of(0, fwd.len());
            let found = client_ip(Text::new(fwd.as_bytes(), span), &trusted);
            assert_eq!(found.map(|text| core::str::from_utf8(text.bytes).unwrap()), expected, "{fwd}");
        }
    }
}
