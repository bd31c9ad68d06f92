//! The texts and numbers that parts of an event are.

use core::net::IpAddr;

use ipnet::IpNet;

use super::cond::Key;
use super::convert::{Number, Type, address};
use super::program::{Program, Take};
use super::run::{Around, Subjects};
use crate::event::{FACILITIES, Flags, Severity, Span, Texts, Value};

pub(super) fn label<'a>(around: &Around<'a>, name: &str) -> Option<&'a str> {
    let mut all = around.labels.into_iter().flatten();
    all.find(|(known, _)| **known == *name).map(|(_, value)| &**value)
}

pub(super) fn text_of<'t>(subjects: &'t Subjects, span: Span) -> &'t [u8] {
    Texts { batch: subjects.batch, made: subjects.made }.get(span)
}

pub(super) fn made(arena: &mut Vec<u8>, text: &[u8]) -> Span {
    let start = arena.len();
    arena.extend_from_slice(text);
    Span::made(start, arena.len())
}

pub(super) fn each_of_key(program: &Program, subjects: &Subjects, key: Key, see: &mut dyn FnMut(&[u8])) {
    let event = &*subjects.event;
    let around = &subjects.around;
    let text = match key {
        Key::Drain => text_of(subjects, event.drain),
        Key::Hostname => text_of(subjects, event.hostname),
        Key::Source => text_of(subjects, event.source),
        Key::Process => text_of(subjects, event.process),
        Key::Msgid => text_of(subjects, event.msgid),
        Key::Computer => around.computer.as_bytes(),
        Key::Listener => around.listener.as_bytes(),
        Key::Peer => around.peer.as_bytes(),
        Key::Kind => program.kinds.get(event.kind.0 as usize).map_or("", |kind| kind).as_bytes(),
        Key::Severity | Key::SentSeverity => event.severity.name().as_bytes(),
        Key::Facility => {
            event.facility().and_then(|index| FACILITIES.get(index as usize)).unwrap_or(&"").as_bytes()
        }
        Key::Pri => {
            let Some(pri) = event.pri else { return };
            let mut buffer = [0; 20];
            return see(decimal(pri.into(), &mut buffer));
        }
        Key::Flags => {
            let flags = Flags::ALL.iter().filter(|(flag, _)| event.flags.has(*flag));
            return flags.for_each(|(_, name)| see(name.as_bytes()));
        }
    };
    if !text.is_empty() {
        see(text);
    }
}

/// Calls `see` with the text of a value, or of each item of a list.
pub(super) fn each_item(subjects: &Subjects, value: Value, see: &mut dyn FnMut(&[u8])) {
    match value {
        Value::Text(span) | Value::Raw(span) => see(text_of(subjects, span)),
        Value::Int(n) => {
            let mut buffer = [0; 20];
            see(decimal(n, &mut buffer));
        }
        Value::Bool(true) => see(b"true"),
        Value::Bool(false) => see(b"false"),
        Value::List(span) => {
            text_of(subjects, span).split(|byte| *byte == b',').map(<[u8]>::trim_ascii).for_each(see)
        }
    }
}

pub(super) fn decimal(mut n: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            return &buffer[at..];
        }
    }
}

pub(super) fn number_of(subjects: &Subjects, ty: Type, value: Value) -> Option<Number> {
    match value {
        Value::Int(n) => match ty {
            Type::Whole(max) => (n <= max).then(|| Number::of(n)),
            _ if ty.is_number() => Some(Number::of(n)),
            _ => None,
        },
        Value::Text(span) | Value::Raw(span) => ty.number(text_of(subjects, span)),
        Value::Bool(_) | Value::List(_) => None,
    }
}

/// The severity that a PRI written in decimal stands for.
pub(super) fn pri_severity(text: &[u8]) -> Option<Severity> {
    let pri: u8 = core::str::from_utf8(text).ok()?.parse().ok()?;
    (pri <= 191).then(|| Severity::of_pri(pri))
}

/// Where the address in a text lies: a port, a final dot or colon, or brackets may stand around it.
pub(super) fn address_in(text: &[u8]) -> Option<(usize, usize)> {
    let inner = |from: usize, to: usize| address(&text[from..to]).map(|_| (from, to));
    let end = text.len() - text.iter().rev().take_while(|byte| matches!(byte, b'.' | b',')).count();
    if text.first() == Some(&b'[') {
        let close = memchr::memchr(b']', text)?;
        return inner(1, close);
    }
    let port = memchr::memchr(b':', &text[..end]).filter(|_| memchr::memchr(b'.', &text[..end]).is_some());
    inner(0, end)
        .or_else(|| inner(0, port?))
        .or_else(|| text[..end].ends_with(b":").then(|| inner(0, end - 1))?)
}

/// The item of a list between commas.
pub(super) fn item(text: &[u8], take: Take, trusted: &[IpNet]) -> Option<(usize, usize)> {
    let trimmed = |from: usize, to: usize| {
        let part = &text[from..to];
        let start = part.len() - part.trim_ascii_start().len();
        (from + start, from + start + part.trim_ascii().len())
    };
    let first = || trimmed(0, memchr::memchr(b',', text).unwrap_or(text.len()));
    let last = || trimmed(memchr::memrchr(b',', text).map_or(0, |at| at + 1), text.len());
    match take {
        Take::First => Some(first()),
        Take::Last => Some(last()),
        Take::Class | Take::Country => None,
        Take::LastUntrusted => {
            let mut leftmost = None;
            let mut end = text.len();
            loop {
                let start = memchr::memrchr(b',', &text[..end]).map_or(0, |at| at + 1);
                let (from, to) = trimmed(start, end);
                if let Some(address) = address(&text[from..to]) {
                    if !is_trusted(address, trusted) {
                        return Some((from, to));
                    }
                    leftmost = Some((from, to));
                }
                if start == 0 {
                    return leftmost;
                }
                end = start - 1;
            }
        }
    }
}

pub(super) fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address))
}

/// Appends a text without its colours: ESC `[`, parameters, and a final byte from `@` to `~`.
pub(super) fn without_colours(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(escape) = memchr::memchr(0x1b, rest) {
        out.extend_from_slice(&rest[..escape]);
        rest = &rest[escape..];
        let parameters = |bytes: &[u8]| bytes.iter().take_while(|byte| (0x20..0x40).contains(*byte)).count();
        let end = rest.strip_prefix(b"\x1b[").map(|after| 2 + parameters(after));
        match end.filter(|end| rest.get(*end).is_some_and(|byte| (0x40..0x7f).contains(byte))) {
            Some(end) => rest = &rest[end + 1..],
            None => {
                out.push(0x1b);
                rest = &rest[1..];
            }
        }
    }
    out.extend_from_slice(rest);
}
