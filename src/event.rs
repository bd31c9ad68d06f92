//! One log message, as a row of spans into the batch it came in.
//!
//! An `Event` owns no text: a `Span` points into the batch's bytes or, for text that had to be made (an unescaped
//! string, a joined name), into the shard's arena, which lives as long as the event is looked at.
//! What a field means is CONTRACT.md's business; this file only says how it is held.

use core::ops::Range;

/// A piece of text: bytes of the batch, or of the shard's arena if made.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset; the top bit says that it points into the arena.
    at: u32,
    len: u32,
}

const MADE: u32 = 1 << 31;

impl Span {
    /// No text at all; the same as an empty one.
    pub const NONE: Span = Span { at: 0, len: 0 };

    /// `start..end` of the batch's bytes.
    pub fn of(start: usize, end: usize) -> Span {
        debug_assert!(start <= end && end < MADE as usize);
        Span { at: start as u32, len: (end - start) as u32 }
    }

    /// `start..end` of the arena.
    pub fn made(start: usize, end: usize) -> Span {
        debug_assert!(start <= end && end < MADE as usize);
        Span { at: start as u32 | MADE, len: (end - start) as u32 }
    }

    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    pub fn len(self) -> usize {
        self.len as usize
    }

    /// Whether it points into the arena.
    pub fn is_made(self) -> bool {
        self.at & MADE != 0
    }

    /// Offset of the first byte in whichever of the two it points into.
    pub fn start(self) -> usize {
        (self.at & !MADE) as usize
    }

    pub fn end(self) -> usize {
        self.start() + self.len()
    }

    /// The part `from..to` of it, counted from its start.
    pub fn slice(self, from: usize, to: usize) -> Span {
        debug_assert!(from <= to && to <= self.len());
        Span { at: self.at + from as u32, len: (to - from) as u32 }
    }
}

/// The two places a span may point into.
#[derive(Clone, Copy)]
pub struct Texts<'a> {
    pub batch: &'a [u8],
    pub made: &'a [u8],
}

impl<'a> Texts<'a> {
    pub fn get(&self, span: Span) -> &'a [u8] {
        let whole = if span.is_made() { self.made } else { self.batch };
        &whole[span.start()..span.end()]
    }

    /// A text of at most 15 bytes and their number, which no other text is; of a longer one the first 15 bytes and 255.
    #[inline(always)]
    pub fn short(&self, span: Span) -> u128 {
        let (whole, part) = self.around(span);
        let len = part.len();
        let word = match whole.get(part.start..part.start + 16) {
            Some(block) => u128::from_le_bytes(*block.first_chunk().expect("16 bytes")),
            None => {
                let mut block = [0; 16];
                block[..len.min(16)].copy_from_slice(&whole[part.start..part.start + len.min(16)]);
                u128::from_le_bytes(block)
            }
        };
        match len {
            0..=15 => word & SHORT[len] | (len as u128) << 120,
            _ => word & SHORT[15] | 255 << 120,
        }
    }

    /// Whether `short` has cut the text that it stands for.
    #[inline(always)]
    pub fn is_cut(short: u128) -> bool {
        short >> 120 == 255
    }

    /// The place that a span points into, and the part of it that it is: for those who may read on behind its end.
    #[inline(always)]
    pub fn around(&self, span: Span) -> (&'a [u8], Range<usize>) {
        // By index: which of the two it is cannot be foretold, and to choose by it costs more.
        ([self.batch, self.made][span.is_made() as usize], span.start()..span.end())
    }
}

/// By number of bytes: the bits that they take.
const SHORT: [u128; 16] = {
    let mut masks = [0; 16];
    let mut len = 0;
    while len < 16 {
        masks[len] = (1 << (8 * len)) - 1;
        len += 1;
    }
    masks
};

/// Index into the plan's table of kinds: `parse::heroku::KINDS`, then those that packs name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KindId(pub u8);

impl KindId {
    /// How many there can be.
    pub const COUNT: usize = 256;
}

/// Index into the plan's table of field names (`parse::heroku::FIELDS`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FieldId(pub u8);

/// A field's name: one that the plan knows, or text as sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Name {
    Known(FieldId),
    Text(Span),
}

/// A field's value, in the form in which it is written.
#[derive(Clone, Copy, PartialEq)]
pub enum Value {
    /// Text, neither quoted nor escaped; invalid UTF-8 is replaced when it is written.
    Text(Span),
    /// A number or an array exactly as JSON writes it, copied verbatim.
    Raw(Span),
    Int(u64),
    Bool(bool),
    /// Addresses between commas, written as an array of trimmed texts.
    List(Span),
}

#[derive(Clone, Copy, PartialEq)]
pub struct Field {
    pub name: Name,
    pub value: Value,
}

/// Syslog's eight, most severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Severity {
    Emergency,
    Alert,
    Critical,
    Error,
    Warning,
    Notice,
    Info,
    Debug,
}

impl Severity {
    pub const ALL: [Severity; 8] = [
        Severity::Emergency,
        Severity::Alert,
        Severity::Critical,
        Severity::Error,
        Severity::Warning,
        Severity::Notice,
        Severity::Info,
        Severity::Debug,
    ];

    /// How each is written, in the same order.
    pub const NAMES: [&str; 8] =
        ["emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"];

    /// The severity in a PRI's three low bits.
    pub fn of_pri(pri: u8) -> Severity {
        Severity::ALL[(pri & 7) as usize]
    }

    pub fn name(self) -> &'static str {
        Severity::NAMES[self as usize]
    }
}

/// RFC 5424's facilities; 12 to 15 as CONTRACT.md names them.
pub const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

/// What was odd about an event: a set of `Flags::ALL`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    pub const NONE: Flags = Flags(0);
    pub const BAD_JSON: Flags = Flags(1);
    pub const BAD_TIME: Flags = Flags(2);
    pub const INVALID_UTF8: Flags = Flags(4);
    pub const NO_PRI: Flags = Flags(8);
    pub const TRUNCATED: Flags = Flags(16);
    pub const UNPARSED: Flags = Flags(32);
    /// In the order in which they are written.
    pub const ALL: [(Flags, &'static str); 6] = [
        (Flags::BAD_JSON, "bad_json"),
        (Flags::BAD_TIME, "bad_time"),
        (Flags::INVALID_UTF8, "invalid_utf8"),
        (Flags::NO_PRI, "no_pri"),
        (Flags::TRUNCATED, "truncated"),
        (Flags::UNPARSED, "unparsed"),
    ];

    pub fn set(&mut self, other: Flags) {
        self.0 |= other.0;
    }

    pub fn has(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// One log message. An empty span is an absent key, but for `message`, which may be empty.
#[derive(Clone, Copy)]
pub struct Event {
    /// Microseconds since 1970, sender's clock; the receive time where it could not be read (`Flags::BAD_TIME`).
    pub time_us: i64,
    /// Microseconds since 1970, ours.
    pub received_us: i64,
    /// The whole frame less its count.
    pub frame: Span,
    /// The sender: a drain token or what a device id rule found.
    pub drain: Span,
    pub hostname: Span,
    pub source: Span,
    pub process: Span,
    pub msgid: Span,
    /// Well-formed structured data, `[id p="v"]...`, as sent.
    pub sd: Span,
    /// Without the one final LF or CR LF.
    pub message: Span,
    pub kind: KindId,
    pub severity: Severity,
    /// `None` where the sender left it out (`Flags::NO_PRI`, or `UNPARSED`).
    pub pri: Option<u8>,
    pub flags: Flags,
}

impl Event {
    /// Index into `FACILITIES`, if there is a PRI.
    pub fn facility(&self) -> Option<u8> {
        self.pri.map(|pri| pri >> 3)
    }
}
