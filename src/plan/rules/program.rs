//! A compiled set of rules: immutable, shared by all shards.
//!
//! Every part of an event that some rule asks about has a slot, every distinct test a bit, every rule a tree over bits.
//! A bit that turns true names the rules that it makes possible; only those are evaluated. Expressions and the like are
//! lazy: they are decided when a tree comes to them, and mostly a literal that they need has ruled them out before.

use std::sync::Arc;

use regex_automata::meta::Regex;

use super::cond::{Glob, Key, Subject};
use super::convert::Type;
use super::extract::Extractor;
use super::matcher::{Bit, Matcher};
use crate::event::{FieldId, KindId};
use crate::geo::{Attribution, Countries};

/// Place of a part of an event that a program knows of.
pub type SlotId = u16;
pub(super) type RuleId = u32;

/// When a rule is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Objects that may give the kind.
    First,
    /// Objects that ask for the kind.
    ByKind,
    /// What asks for fields: categories, alerts.
    Last,
}

pub(super) const PHASES: usize = 3;

/// What a rule is there for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// Index of the object and of the rule in it.
    Object(u32, u32),
    /// Where the index is noted, and the index.
    Found(List, u32),
}

/// What is told of an event.
#[derive(Clone, Copy, Debug)]
pub(super) enum List {
    Category,
    /// What somebody behind the shard wants to know: an alert, a report, a sink.
    Watch,
    /// By what somebody in front of the sinks chooses: a filter, a mask.
    Select,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub root: u32,
    pub phase: Phase,
    pub purpose: Purpose,
}

/// A piece of a condition; children stand together.
#[derive(Clone, Copy, Debug)]
pub(super) enum Node {
    All { first: u32, len: u32 },
    Any { first: u32, len: u32 },
    Not(u32),
    Bit(Bit),
    Lazy(u32),
}

/// A test that is decided only when it is needed.
#[derive(Debug)]
pub(super) struct Lazy {
    pub slot: SlotId,
    /// A bit without which it cannot hold.
    pub guard: Option<Bit>,
    pub op: LazyOp,
}

#[derive(Debug)]
pub(super) enum LazyOp {
    /// Index of the expression.
    Regex(u32),
    Glob {
        pattern: Vec<Glob>,
        cased: bool,
    },
    Same(SlotId),
}

#[derive(Debug)]
pub(super) struct Slot {
    pub subject: Subject,
    /// How the values of a field count.
    pub ty: Type,
    /// Whether the matcher asks for anything.
    pub asks: bool,
    pub matcher: Matcher,
}

/// A field that packs declare.
#[derive(Debug)]
pub(super) struct Field {
    pub name: Box<str>,
    /// Where the engine knows it by number.
    pub known: Option<FieldId>,
    pub ty: Type,
    pub output: bool,
    pub slot: SlotId,
}

#[derive(Debug)]
pub(super) struct Object {
    pub kind: Option<KindId>,
    /// By rule of the object.
    pub extract: Vec<Vec<Extractor>>,
}

/// A field whose value is part of another's.
#[derive(Debug)]
pub(super) struct Taken {
    /// Index of the field.
    pub field: u32,
    pub from: SlotId,
    pub take: Take,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// The first item of a list.
    First,
    Last,
    /// The last address that is no trusted proxy, the first address if all are.
    LastUntrusted,
    /// The class of a status: `2xx`.
    Class,
    /// The country of an address.
    Country,
}

/// A field, or the severity, that is worked out from others.
#[derive(Debug)]
pub(super) struct Derived {
    /// Index of the field; `None` is the severity.
    pub field: Option<u32>,
    pub steps: Vec<Step>,
}

#[derive(Debug)]
pub(super) enum Step {
    /// The value in lower case, and what it becomes.
    Map {
        from: SlotId,
        values: foldhash::HashMap<Box<[u8]>, Box<[u8]>>,
    },
    Detect {
        root: u32,
        value: Box<[u8]>,
    },
    From {
        from: SlotId,
        unless: Option<u32>,
    },
}

/// Which phases need the automaton over the text, and when.
#[derive(Debug, Default)]
pub(super) struct TextNeed {
    pub always: bool,
    /// Or if one of these is true.
    pub guards: BitSet,
}

/// Some of a program's bits.
#[derive(Debug, Default)]
pub(super) struct BitSet(Vec<u64>);

impl BitSet {
    /// These bits, each less than `count`.
    pub fn of(bits: impl Iterator<Item = Bit>, count: usize) -> BitSet {
        let mut words = vec![0; count.div_ceil(64)];
        bits.for_each(|bit| words[bit as usize / 64] |= 1 << (bit % 64));
        BitSet(words)
    }

    #[inline]
    pub fn has(&self, bit: Bit) -> bool {
        self.0[bit as usize / 64] >> (bit % 64) & 1 == 1
    }

    /// Whether one of them is set in `words`.
    #[inline]
    pub fn any_in(&self, words: &[u64]) -> bool {
        self.0.iter().zip(words).any(|(own, set)| own & set != 0)
    }
}

/// Compiled rules.
#[derive(Debug)]
pub struct Program {
    pub(super) kinds: Arc<[Box<str>]>,
    /// What the parser found is the kind if no object before this one matches.
    pub(super) builtin_at: u32,
    pub(super) slots: Vec<Slot>,
    pub(super) text: Option<SlotId>,
    /// Keys that are asked about and known before any object has run.
    pub(super) keys_first: Vec<(Key, SlotId)>,
    /// The bits that are true of each kind, by `KindId`.
    pub(super) by_kind: Vec<Box<[Bit]>>,
    /// The bits that are true of each severity, when it is known for good.
    pub(super) by_severity: Vec<Box<[Bit]>>,
    pub(super) labels: Vec<(Box<str>, SlotId)>,
    /// Whether some rule asks about labels, computer or peer.
    pub(super) asks_around: bool,
    /// Whether some rule asks about the peer.
    pub(super) asks_peer: bool,
    /// By `FieldId`.
    pub(super) known: Vec<Option<SlotId>>,
    /// Known fields that need not be looked at to be an address.
    pub(super) known_addresses: &'static [FieldId],
    /// Whether the parser's fields are of any interest.
    pub(super) wants_fields: bool,
    pub(super) named: foldhash::HashMap<Box<[u8]>, SlotId>,
    /// Bit `len` is set if some name in `named` is that long.
    pub(super) name_lengths: u64,
    pub(super) fields: Vec<Field>,
    pub(super) objects: Vec<Object>,
    pub(super) taken: Vec<Taken>,
    /// Where countries are looked up, if one is taken.
    pub(super) countries: Option<Arc<Countries>>,
    pub(super) derived: Vec<Derived>,
    pub(super) derive_reads_text: bool,
    pub(super) rules: Vec<Rule>,
    /// By phase: whether there is a rule.
    pub(super) any_rule: [bool; PHASES],
    pub(super) nodes: Vec<Node>,
    pub(super) lazies: Vec<Lazy>,
    pub(super) regexes: Vec<Regex>,
    pub(super) bits: usize,
    /// By bit: the rules that it makes possible.
    pub(super) fires: Vec<Box<[RuleId]>>,
    /// By phase: the rules that are always possible.
    pub(super) always: [Vec<RuleId>; PHASES],
    pub(super) text_need: [TextNeed; PHASES],
    /// The bits that are known for good before fields are looked at.
    pub(super) early: BitSet,
    /// Whether what is known before fields and text are looked at can be remembered, see `start`.
    pub(super) starts_alike: bool,
    /// Full ids, sorted.
    pub(super) categories: Arc<[Box<str>]>,
    /// Full ids, in the order of the packs.
    pub(super) object_ids: Vec<Box<str>>,
}

impl Program {
    /// The names of kinds, by `KindId`.
    pub fn kinds(&self) -> &Arc<[Box<str>]> {
        &self.kinds
    }

    /// Full ids of the categories, sorted.
    pub fn categories(&self) -> &Arc<[Box<str>]> {
        &self.categories
    }

    /// The slot of a part that some rule asks about or that is to be read.
    pub fn slot(&self, subject: &Subject) -> Option<SlotId> {
        self.slots.iter().position(|slot| slot.subject == *subject).map(|at| at as SlotId)
    }

    /// How the values of a slot count.
    pub fn slot_type(&self, slot: SlotId) -> Type {
        self.slots[slot as usize].ty
    }

    /// What has to be said where the values of a slot are shown.
    pub fn attribution(&self, slot: SlotId) -> Option<&Attribution> {
        let is_country =
            |taken: &Taken| taken.take == Take::Country && self.fields[taken.field as usize].slot == slot;
        let of_country = self.taken.iter().any(is_country);
        self.countries.as_ref().filter(|_| of_country)?.source.attribution.as_ref()
    }

    /// Full ids of the knowledge objects.
    pub fn objects(&self) -> &[Box<str>] {
        &self.object_ids
    }

    /// Whether there is nothing to do for any event.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.taken.is_empty() && self.derived.is_empty()
    }

    /// Whether a rule may read fields that the parser found, those of JSON bodies among them.
    pub fn reads_fields(&self) -> bool {
        self.wants_fields
    }

    /// How many distinct tests it has, those that are lazy apart.
    pub fn bits(&self) -> usize {
        self.bits
    }
}
