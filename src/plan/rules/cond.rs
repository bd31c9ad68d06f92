//! A condition on an event, as a tree: what a rule says, before it is compiled.
//!
//! Names are resolved, macros and lists put in, literals parsed. The meaning of each test is fixed here; the compiled
//! program and the slow interpreter both keep to it.

use ipnet::IpNet;

use super::convert::Number;

/// A condition. `All` of nothing holds, `Any` of nothing does not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Cond {
    All(Vec<Cond>),
    Any(Vec<Cond>),
    Not(Box<Cond>),
    Test(Test),
}

/// One question about one part of an event. A part that is absent answers no.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Test {
    pub subject: Subject,
    pub op: Op,
}

/// The part of an event that is asked about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// The message without ANSI colours; always there.
    Text,
    Key(Key),
    /// A label of the drain or the request.
    Label(Box<str>),
    /// A field, by its name.
    Field(Box<str>),
}

/// Keys of the event; a list asks each of its items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    Drain,
    Computer,
    Listener,
    Peer,
    Hostname,
    Source,
    Process,
    Msgid,
    Kind,
    Facility,
    /// Before any pack derives another.
    SentSeverity,
    Severity,
    Pri,
    Flags,
}

impl Key {
    pub const ALL: [(Key, &'static str); 13] = [
        (Key::Drain, "drain"),
        (Key::Computer, "computer"),
        (Key::Listener, "listener"),
        (Key::Peer, "peer"),
        (Key::Hostname, "hostname"),
        (Key::Source, "source"),
        (Key::Process, "process"),
        (Key::Msgid, "msgid"),
        (Key::Kind, "kind"),
        (Key::Facility, "facility"),
        (Key::Severity, "severity"),
        (Key::Pri, "pri"),
        (Key::Flags, "flags"),
    ];

    /// The key's name in events.
    pub fn name(self) -> &'static str {
        let named = if self == Key::SentSeverity { Key::Severity } else { self };
        Key::ALL.iter().find(|(key, _)| *key == named).map_or("", |(_, name)| name)
    }
}

/// What is asked. Letters are compared without ASCII case unless `cased`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// One of the literals; none is empty unless `how` is `Equals`.
    Text { how: How, cased: bool, any: Vec<Box<[u8]>> },
    /// The whole value, `*` and `?` standing for any bytes and any one.
    Glob { pattern: Vec<Glob>, cased: bool },
    /// A regular expression, as written, finds something.
    Regex(Box<str>),
    /// The value is a number that compares so with this one.
    Number(Compare, Number),
    /// The value is an address in this network.
    Network(IpNet),
    /// There is a value.
    Exists,
    /// It equals the value of another part, as text or, if both are numbers, as numbers.
    Same(Subject),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    Equals,
    Contains,
    Starts,
    Ends,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compare {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A piece of a pattern with wildcards.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Glob {
    Literal(Box<[u8]>),
    /// `*`
    Many,
    /// `?`
    One,
}

impl How {
    /// Whether `literal` stands so in `text`.
    pub fn holds(self, text: &[u8], literal: &[u8], cased: bool) -> bool {
        let same = |part: &[u8]| if cased { part == literal } else { part.eq_ignore_ascii_case(literal) };
        let len = literal.len();
        match self {
            How::Equals => same(text),
            How::Starts => text.len() >= len && same(&text[..len]),
            How::Ends => text.len() >= len && same(&text[text.len() - len..]),
            How::Contains => len == 0 || text.windows(len).any(same),
        }
    }
}

impl Compare {
    pub fn holds(self, a: Number, b: Number) -> bool {
        match self {
            Compare::Equal => a == b,
            Compare::Less => a < b,
            Compare::LessOrEqual => a <= b,
            Compare::Greater => a > b,
            Compare::GreaterOrEqual => a >= b,
        }
    }
}

/// Whether a pattern with wildcards is the whole of `text`; linear in the text for every piece.
pub fn glob(pattern: &[Glob], text: &[u8], cased: bool) -> bool {
    // After a `*` the leftmost place where the pieces up to the next `*` fit is the best: it leaves the most.
    let (mut piece, mut at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match pattern.get(piece) {
            None if at == text.len() => return true,
            Some(Glob::Many) => {
                retry = Some((piece + 1, at));
                piece += 1;
                continue;
            }
            Some(Glob::One) if at < text.len() => {
                (piece, at) = (piece + 1, at + 1);
                continue;
            }
            Some(Glob::Literal(literal)) if How::Starts.holds(&text[at..], literal, cased) => {
                (piece, at) = (piece + 1, at + literal.len());
                continue;
            }
            _ => {}
        }
        let Some((after, from)) = retry.filter(|(_, from)| *from < text.len()) else { return false };
        (piece, at) = (after, from + 1);
        retry = Some((after, from + 1));
    }
}

impl Cond {
    /// Calls `see` with every test in it.
    pub fn tests<'c>(&'c self, see: &mut dyn FnMut(&'c Test)) {
        match self {
            Cond::All(parts) | Cond::Any(parts) => parts.iter().for_each(|part| part.tests(see)),
            Cond::Not(part) => part.tests(see),
            Cond::Test(test) => see(test),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_the_whole() {
        let literal = |text: &str| Glob::Literal(text.as_bytes().into());
        let a_b = [literal("a"), Glob::Many, literal("b")];
        let one = [Glob::Many, literal("x"), Glob::One, literal("y"), Glob::Many];
        for (pattern, text, holds) in [
            (&a_b[..], "ab", true),
            (&a_b, "A--b--B", true),
            (&a_b, "a--bc", false),
            (&a_b, "", false),
            (&one, "xxay", true),
            (&one, "xy xay xby", true),
            (&one, "xy", false),
            (&[Glob::Many], "", true),
            (&[Glob::One], "", false),
            (&[], "", true),
        ] {
            assert_eq!(glob(pattern, text.as_bytes(), false), holds, "{text}");
        }
        assert!(!glob(&a_b, b"Ab", true));
    }
}
