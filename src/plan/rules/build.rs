//! From rules as data to a program.

use core::fmt;
use std::collections::HashMap;
use std::sync::Arc;

use regex_automata::PatternID;
use regex_automata::meta::Regex;

use super::cond::{Cond, Glob, How, Key, Op, Subject, Test};
use super::convert::Type;
use super::extract::{Extractor, Kv, Piece};
use super::matcher::{Asked, Bit, Matcher};
use super::program::{
    BitSet, Derived, Field, Lazy, LazyOp, List, Node, Object, PHASES, Phase, Program, Purpose, Rule, RuleId,
    Slot, SlotId, Step, Take, Taken,
};
use super::{literals, regex, start};
use crate::event::{FieldId, KindId, Severity};
use crate::geo::{self, Countries};

/// Bytes of all expressions of a program together.
const REGEXES_BYTES: usize = 128 << 20;

/// Rules as data: names resolved, conditions as trees.
#[derive(Debug, Default)]
pub struct Spec {
    /// Names of kinds by `KindId`; the first is that of what nothing knows.
    pub kinds: Vec<Box<str>>,
    /// Names of the fields that the parser writes by number, by `FieldId`.
    pub known_fields: &'static [&'static str],
    /// Those of them that are an address whenever the parser writes them.
    pub known_addresses: &'static [FieldId],
    pub fields: Vec<FieldSpec>,
    pub objects: Vec<ObjectSpec>,
    /// The kind that the parser found counts unless an object before this one gives another.
    pub builtin_at: usize,
    pub derive: Vec<Derive>,
    /// Full id and condition.
    pub categories: Vec<(Box<str>, Cond)>,
    /// Conditions that somebody behind the shard wants to know of.
    pub watches: Vec<Cond>,
    /// Conditions by which filters and masks choose.
    pub selects: Vec<Cond>,
    /// Parts of events that are read besides.
    pub read: Vec<Subject>,
    /// Whether values of fields are kept that no rule asks about, for whoever explains an event.
    pub keep_all: bool,
    /// Where countries are looked up; absent: in the table that is compiled in.
    pub countries: Option<Arc<Countries>>,
}

/// A declared field.
#[derive(Clone, Debug)]
pub struct FieldSpec {
    pub name: Box<str>,
    pub ty: Type,
    pub output: bool,
    /// The name by which key=value text knows it.
    pub key: Box<str>,
    /// The field that it is a part of.
    pub take: Option<(Take, Box<str>)>,
}

#[derive(Clone, Debug)]
pub struct ObjectSpec {
    pub id: Box<str>,
    pub kind: Option<KindId>,
    /// Whether some rule of it asks for the kind.
    pub by_kind: bool,
    pub rules: Vec<ObjectRule>,
}

#[derive(Clone, Debug)]
pub struct ObjectRule {
    pub when: Cond,
    pub extract: Vec<ExtractSpec>,
}

/// An extractor; fields are names of declared ones.
#[derive(Clone, Debug)]
pub enum ExtractSpec {
    /// Without `emit`, every declared field is looked for.
    Kv {
        separator: Box<[u8]>,
        between: Box<[u8]>,
        quote: Option<u8>,
        emit: Option<Vec<Box<str>>>,
    },
    /// An expression, and its groups that are fields.
    Regex {
        pattern: Box<str>,
        groups: Vec<Box<str>>,
    },
    Delimited {
        separator: Box<[u8]>,
        fields: Vec<Option<Box<str>>>,
    },
    /// Path and field; of several paths of a field the first that gives something counts.
    Json(Vec<(Vec<Box<str>>, Box<str>)>),
    /// Texts and names of keys or fields in turn, and the field that is written.
    Format {
        pieces: Vec<Result<Subject, Box<str>>>,
        field: Box<str>,
    },
}

/// What a field, or the severity, is worked out from.
#[derive(Clone, Debug)]
pub struct Derive {
    /// `None` is the severity.
    pub field: Option<Box<str>>,
    pub steps: Vec<DeriveStep>,
}

#[derive(Clone, Debug)]
pub enum DeriveStep {
    Map { from: Subject, values: Vec<(Box<str>, Box<str>)> },
    Detect { when: Cond, value: Box<str> },
    From { from: Subject, unless: Option<Cond> },
}

/// Why rules make no program.
#[derive(Debug)]
pub enum BuildError {
    /// An expression cannot be used; the checker tries each, so none is expected.
    Regex(regex::RegexError),
    /// All expressions together need more bytes than this.
    TooLarge(usize),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::Regex(error) => write!(f, "an expression cannot be used: {error}"),
            BuildError::TooLarge(bytes) => {
                write!(f, "all expressions together need more than {bytes} bytes when compiled")
            }
        }
    }
}

impl std::error::Error for BuildError {}

/// Compiles rules.
///
/// # Errors
/// An expression that cannot be used, or more of them than memory is given for.
pub fn build(spec: &Spec) -> Result<Program, BuildError> {
    let mut builder = Builder::new(spec);
    builder.fields(spec);
    builder.objects(spec)?;
    builder.derive(spec)?;
    let mut categories: Vec<&(Box<str>, Cond)> = spec.categories.iter().collect();
    categories.sort_by(|a, b| a.0.cmp(&b.0));
    let mut ids = Vec::new();
    for (index, (id, cond)) in categories.into_iter().enumerate() {
        builder.rule(cond, Phase::Last, Purpose::Found(List::Category, index as u32))?;
        ids.push(id.clone());
    }
    builder.program.categories = ids.into();
    for (index, cond) in spec.watches.iter().enumerate() {
        builder.rule(cond, Phase::Last, Purpose::Found(List::Watch, index as u32))?;
    }
    for (index, cond) in spec.selects.iter().enumerate() {
        builder.rule(cond, Phase::Last, Purpose::Found(List::Select, index as u32))?;
    }
    for subject in &spec.read {
        builder.slot(subject);
    }
    builder.taken(spec);
    if !spec.keep_all {
        builder.forget_unused();
    }
    Ok(builder.finish())
}

struct Builder {
    program: Program,
    types: HashMap<Box<str>, Type>,
    slots: HashMap<Subject, SlotId>,
    asked: Vec<Asked>,
    tests: HashMap<Test, Node>,
    regexes: HashMap<Box<str>, u32>,
    regexes_bytes: usize,
    /// By bit: the rules that it makes possible.
    fires: Vec<Vec<RuleId>>,
    /// By bit: how much it costs to rely on it, being often true.
    costs: Vec<u32>,
    bit_slots: Vec<SlotId>,
    /// By phase: bits of which one is true if the text is needed.
    guards: [Vec<Bit>; PHASES],
    /// By slot: whether somebody asks about it or writes it.
    used: Vec<bool>,
    /// By slot: whether some rule writes it.
    written: Vec<bool>,
}

impl Builder {
    fn new(spec: &Spec) -> Builder {
        Builder {
            program: Program {
                kinds: spec.kinds.clone().into(),
                builtin_at: spec.builtin_at as u32,
                slots: Vec::new(),
                text: None,
                keys_first: Vec::new(),
                by_kind: Vec::new(),
                by_severity: Vec::new(),
                labels: Vec::new(),
                asks_around: false,
                asks_peer: false,
                known: vec![None; spec.known_fields.len()],
                known_addresses: spec.known_addresses,
                wants_fields: true,
                named: Default::default(),
                name_lengths: 0,
                fields: Vec::new(),
                objects: Vec::new(),
                taken: Vec::new(),
                countries: None,
                derived: Vec::new(),
                derive_reads_text: false,
                rules: Vec::new(),
                any_rule: Default::default(),
                nodes: Vec::new(),
                lazies: Vec::new(),
                regexes: Vec::new(),
                bits: 0,
                fires: Vec::new(),
                always: Default::default(),
                text_need: Default::default(),
                early: BitSet::default(),
                starts_alike: false,
                categories: Arc::default(),
                object_ids: spec.objects.iter().map(|object| object.id.clone()).collect(),
            },
            types: spec.fields.iter().map(|field| (field.name.clone(), field.ty)).collect(),
            slots: HashMap::new(),
            asked: Vec::new(),
            tests: HashMap::new(),
            regexes: HashMap::new(),
            regexes_bytes: 0,
            fires: Vec::new(),
            costs: Vec::new(),
            bit_slots: Vec::new(),
            guards: Default::default(),
            used: Vec::new(),
            written: Vec::new(),
        }
    }

    /// The slot of a part that is asked about.
    fn slot(&mut self, subject: &Subject) -> SlotId {
        let slot = self.declared_slot(subject);
        self.used[slot as usize] = true;
        slot
    }

    fn declared_slot(&mut self, subject: &Subject) -> SlotId {
        if let Some(slot) = self.slots.get(subject) {
            return *slot;
        }
        let slot = self.program.slots.len() as SlotId;
        let ty = match subject {
            Subject::Field(name) => self.types.get(name).copied().unwrap_or(Type::Text),
            _ => Type::Text,
        };
        let around = matches!(subject, Subject::Label(_) | Subject::Key(Key::Computer | Key::Peer));
        self.program.asks_around |= around;
        self.program.asks_peer |= *subject == Subject::Key(Key::Peer);
        match subject {
            Subject::Text => self.program.text = Some(slot),
            Subject::Key(Key::Kind | Key::Severity) => {}
            Subject::Key(key) => self.program.keys_first.push((*key, slot)),
            Subject::Label(name) => self.program.labels.push((name.clone(), slot)),
            Subject::Field(name) => {
                self.program.named.insert(name.as_bytes().into(), slot);
                self.program.name_lengths |= 1 << name.len().min(63);
            }
        }
        self.slots.insert(subject.clone(), slot);
        self.asked.push(Asked::default());
        self.used.push(false);
        self.written.push(false);
        let matcher = Matcher::new(Asked::default(), false);
        self.program.slots.push(Slot { subject: subject.clone(), ty, asks: false, matcher });
        slot
    }

    fn fields(&mut self, spec: &Spec) {
        for field in &spec.fields {
            let slot = self.declared_slot(&Subject::Field(field.name.clone()));
            let known = spec.known_fields.iter().position(|known| **known == *field.name);
            if let Some(known) = known {
                self.program.known[known] = Some(slot);
            }
            let known = known.map(|at| FieldId(at as u8));
            let (name, ty, output) = (field.name.clone(), field.ty, field.output);
            self.program.fields.push(Field { name, known, ty, output, slot });
        }
    }

    /// A field that rules write.
    fn field(&mut self, name: &str) -> Option<u32> {
        let index = self.program.fields.iter().position(|field| *field.name == *name)?;
        let slot = self.program.fields[index].slot as usize;
        (self.used[slot], self.written[slot]) = (true, true);
        Some(index as u32)
    }

    /// Fields that are a part of another, where somebody wants them.
    fn taken(&mut self, spec: &Spec) {
        // One may be taken from another that is.
        let mut order = Vec::new();
        for (index, field) in spec.fields.iter().enumerate().rev() {
            let Some((take, from)) = &field.take else { continue };
            let own = &self.program.fields[index];
            // Where both are the parser's, it takes the one from the other itself.
            let source = self.program.fields.iter().find(|field| *field.name == **from);
            let parsed = own.known.is_some()
                && source.is_some_and(|source| source.known.is_some() && !self.written[source.slot as usize]);
            if parsed && !spec.keep_all {
                continue;
            }
            if spec.keep_all || own.output || self.used[own.slot as usize] {
                let from = self.slot(&Subject::Field(from.clone()));
                order.push(Taken { field: index as u32, from, take: *take });
            }
        }
        order.reverse();
        for taken in &order {
            self.used[self.program.fields[taken.field as usize].slot as usize] = true;
        }
        if order.iter().any(|taken| taken.take == Take::Country) {
            self.program.countries = Some(spec.countries.clone().unwrap_or_else(geo::built_in));
        }
        self.program.taken = order;
    }

    /// Forgets the fields of the parser that nothing asks about.
    fn forget_unused(&mut self) {
        let used = |slot: &SlotId| self.used[*slot as usize];
        self.program.known.iter_mut().for_each(|slot| *slot = slot.filter(used));
        self.program.named.retain(|_, slot| self.used[*slot as usize]);
        self.program.wants_fields = !self.program.named.is_empty();
        let lengths = self.program.named.keys().map(|name| 1 << name.len().min(63));
        self.program.name_lengths = lengths.fold(0, |all: u64, one: u64| all | one);
    }

    fn objects(&mut self, spec: &Spec) -> Result<(), BuildError> {
        for (index, object) in spec.objects.iter().enumerate() {
            let phase = if object.by_kind { Phase::ByKind } else { Phase::First };
            let mut extract = Vec::new();
            for (place, rule) in object.rules.iter().enumerate() {
                self.rule(&rule.when, phase, Purpose::Object(index as u32, place as u32))?;
                let mut extractors = Vec::new();
                for one in &rule.extract {
                    extractors.push(self.extractor(spec, one)?);
                }
                extract.push(extractors);
            }
            self.program.objects.push(Object { kind: object.kind, extract });
        }
        Ok(())
    }

    fn extractor(&mut self, spec: &Spec, extractor: &ExtractSpec) -> Result<Extractor, BuildError> {
        Ok(match extractor {
            ExtractSpec::Kv { separator, between, quote, emit } => {
                let mut keys: foldhash::HashMap<Box<[u8]>, Vec<u32>> = Default::default();
                // A country is looked up, and read only where a pack says so.
                let emitted = |field: &FieldSpec| match emit {
                    Some(emit) => emit.contains(&field.name),
                    None => !matches!(field.take, Some((Take::Country, _))),
                };
                for (index, field) in spec.fields.iter().enumerate().filter(|(_, field)| emitted(field)) {
                    keys.entry(field.key.as_bytes().into()).or_default().push(index as u32);
                    let slot = self.program.fields[index].slot as usize;
                    (self.used[slot], self.written[slot]) = (true, true);
                }
                let (separator, between) = (separator.clone(), between.clone());
                Extractor::Kv(Kv { separator, between, quote: *quote, keys })
            }
            ExtractSpec::Regex { pattern, groups } => {
                let regex = self.regex(pattern)?;
                let info = self.program.regexes[regex as usize].group_info().clone();
                let mut group = |name: &str| Some((info.to_index(PatternID::ZERO, name)?, self.field(name)?));
                Extractor::Regex { regex, groups: groups.iter().filter_map(|name| group(name)).collect() }
            }
            ExtractSpec::Delimited { separator, fields } => {
                let mut field = |name: &Option<Box<str>>| name.as_ref().and_then(|name| self.field(name));
                Extractor::Delimited {
                    separator: separator.clone(),
                    fields: fields.iter().map(&mut field).collect(),
                }
            }
            ExtractSpec::Json(paths) => {
                let bytes = |path: &Vec<Box<str>>| path.iter().map(|name| name.as_bytes().into()).collect();
                let mut path =
                    |(path, field): &(Vec<Box<str>>, Box<str>)| Some((bytes(path), self.field(field)?));
                Extractor::Json(paths.iter().filter_map(&mut path).collect())
            }
            ExtractSpec::Format { pieces, field } => {
                let pieces = pieces.iter().map(|piece| match piece {
                    Ok(subject) => Piece::Slot(self.slot(subject)),
                    Err(text) => Piece::Text(text.as_bytes().into()),
                });
                let pieces = pieces.collect();
                Extractor::Format { pieces, field: self.field(field).expect("the checker knows the field") }
            }
        })
    }

    fn derive(&mut self, spec: &Spec) -> Result<(), BuildError> {
        for derive in &spec.derive {
            let mut steps = Vec::new();
            for step in &derive.steps {
                steps.push(match step {
                    DeriveStep::Map { from, values } => {
                        let lower = |key: &str| key.to_ascii_lowercase().into_bytes().into_boxed_slice();
                        let values = values.iter().map(|(key, value)| (lower(key), value.as_bytes().into()));
                        Step::Map { from: self.slot(from), values: values.collect() }
                    }
                    DeriveStep::Detect { when, value } => {
                        Step::Detect { root: self.root(when)?, value: value.as_bytes().into() }
                    }
                    DeriveStep::From { from, unless } => {
                        let unless = unless.as_ref().map(|unless| self.root(unless)).transpose()?;
                        Step::From { from: self.slot(from), unless }
                    }
                });
                let conds = match step {
                    DeriveStep::Detect { when, .. } => Some(when),
                    DeriveStep::From { unless, .. } => unless.as_ref(),
                    DeriveStep::Map { .. } => None,
                };
                self.program.derive_reads_text |= conds.is_some_and(reads_text);
            }
            let field =
                derive.field.as_ref().map(|name| self.field(name).expect("the checker knows the field"));
            self.program.derived.push(Derived { field, steps });
        }
        Ok(())
    }

    fn rule(&mut self, cond: &Cond, phase: Phase, purpose: Purpose) -> Result<(), BuildError> {
        let root = self.root(cond)?;
        let id = self.program.rules.len() as RuleId;
        match self.needs(cond, true) {
            Some((_, mut bits)) => {
                bits.sort_unstable();
                bits.dedup();
                bits.iter().for_each(|bit| self.fires[*bit as usize].push(id));
            }
            None => self.program.always[phase as usize].push(id),
        }
        if reads_text(cond) {
            let guards = self.needs(cond, false);
            match guards {
                Some((_, bits)) => self.guards[phase as usize].extend(bits),
                None => self.program.text_need[phase as usize].always = true,
            }
        }
        self.program.any_rule[phase as usize] = true;
        self.program.rules.push(Rule { root, phase, purpose });
        Ok(())
    }

    /// Bits of which one is true whenever the condition holds, the most telling ones, with what they cost; those of the
    /// text only if told. `None` if the condition may hold with all bits false.
    fn needs(&self, cond: &Cond, text: bool) -> Option<(u32, Vec<Bit>)> {
        match cond {
            Cond::Test(test) => {
                let bit = match self.tests.get(test)? {
                    Node::Bit(bit) => *bit,
                    Node::Lazy(lazy) => self.program.lazies[*lazy as usize].guard?,
                    _ => return None,
                };
                (text || *self.subject(bit) != Subject::Text).then(|| (self.costs[bit as usize], vec![bit]))
            }
            Cond::All(parts) => {
                parts.iter().filter_map(|part| self.needs(part, text)).min_by_key(|(cost, _)| *cost)
            }
            Cond::Any(parts) => {
                let mut all = (0, Vec::new());
                for part in parts {
                    let (cost, bits) = self.needs(part, text)?;
                    all.0 += cost;
                    all.1.extend(bits);
                }
                Some(all)
            }
            Cond::Not(_) => None,
        }
    }

    fn root(&mut self, cond: &Cond) -> Result<u32, BuildError> {
        let node = self.node(cond)?;
        self.program.nodes.push(node);
        Ok(self.program.nodes.len() as u32 - 1)
    }

    fn node(&mut self, cond: &Cond) -> Result<Node, BuildError> {
        Ok(match cond {
            Cond::Test(test) => self.test(test)?,
            Cond::Not(inner) => Node::Not(self.root(inner)?),
            Cond::All(parts) | Cond::Any(parts) => {
                let mut children = Vec::new();
                for part in parts {
                    children.push(self.node(part)?);
                }
                if let [one] = children[..] {
                    return Ok(one);
                }
                let (first, len) = (self.program.nodes.len() as u32, children.len() as u32);
                self.program.nodes.append(&mut children);
                match cond {
                    Cond::All(_) => Node::All { first, len },
                    _ => Node::Any { first, len },
                }
            }
        })
    }

    fn bit(&mut self, cost: u32, slot: SlotId) -> Bit {
        self.fires.push(Vec::new());
        self.costs.push(cost);
        self.bit_slots.push(slot);
        self.fires.len() as Bit - 1
    }

    /// What the test behind a bit asks about.
    fn subject(&self, bit: Bit) -> &Subject {
        &self.program.slots[self.bit_slots[bit as usize] as usize].subject
    }

    fn test(&mut self, test: &Test) -> Result<Node, BuildError> {
        if let Some(node) = self.tests.get(test) {
            return Ok(*node);
        }
        let slot = self.slot(&test.subject);
        let cost = cost(test);
        let node = match &test.op {
            Op::Text { how, cased, any } => {
                let bit = self.bit(cost, slot);
                let asked = &mut self.asked[slot as usize].texts;
                asked.extend(any.iter().map(|literal| (bit, *how, *cased, literal.clone())));
                Node::Bit(bit)
            }
            Op::Number(compare, number) => {
                let bit = self.bit(cost, slot);
                self.asked[slot as usize].numbers.push((*compare, *number, bit));
                Node::Bit(bit)
            }
            Op::Network(network) => {
                let bit = self.bit(cost, slot);
                self.asked[slot as usize].networks.push((*network, bit));
                Node::Bit(bit)
            }
            Op::Exists => {
                let bit = self.bit(cost, slot);
                let bit = *self.asked[slot as usize].present.get_or_insert(bit);
                Node::Bit(bit)
            }
            Op::Regex(pattern) => {
                let guard = regex::hir(pattern).ok().and_then(|hir| literals::required(&hir));
                let guard = guard.map(|literals| self.guard(slot, literals));
                let op = LazyOp::Regex(self.regex(pattern)?);
                self.lazy(Lazy { slot, guard, op })
            }
            Op::Glob { pattern, cased } => {
                let literal = pattern.iter().filter_map(|piece| match piece {
                    Glob::Literal(literal) => Some(literal),
                    Glob::Many | Glob::One => None,
                });
                let longest = literal.max_by_key(|literal| literal.len());
                let guard = longest.map(|literal| self.guard(slot, vec![literal.to_ascii_lowercase()]));
                self.lazy(Lazy { slot, guard, op: LazyOp::Glob { pattern: pattern.clone(), cased: *cased } })
            }
            Op::Same(other) => {
                let other = self.slot(other);
                self.lazy(Lazy { slot, guard: None, op: LazyOp::Same(other) })
            }
        };
        self.tests.insert(test.clone(), node);
        Ok(node)
    }

    fn lazy(&mut self, lazy: Lazy) -> Node {
        self.program.lazies.push(lazy);
        Node::Lazy(self.program.lazies.len() as u32 - 1)
    }

    /// A bit that is true when one of these literals occurs.
    fn guard(&mut self, slot: SlotId, literals: Vec<Vec<u8>>) -> Bit {
        let shortest = literals.iter().map(Vec::len).min().unwrap_or(0);
        let bit = self.bit(part_cost(shortest) * literals.len() as u32, slot);
        let asked = &mut self.asked[slot as usize].texts;
        asked.extend(
            literals.into_iter().map(|literal| (bit, How::Contains, false, literal.into_boxed_slice())),
        );
        bit
    }

    fn regex(&mut self, pattern: &str) -> Result<u32, BuildError> {
        if let Some(known) = self.regexes.get(pattern) {
            return Ok(*known);
        }
        let compiled: Regex = regex::compile(pattern).map_err(BuildError::Regex)?;
        self.regexes_bytes += compiled.memory_usage();
        if self.regexes_bytes > REGEXES_BYTES {
            return Err(BuildError::TooLarge(REGEXES_BYTES));
        }
        let index = self.program.regexes.len() as u32;
        self.program.regexes.push(compiled);
        self.regexes.insert(pattern.into(), index);
        Ok(index)
    }

    fn finish(mut self) -> Program {
        for (slot, asked) in self.program.slots.iter_mut().zip(core::mem::take(&mut self.asked)) {
            let long = slot.subject == Subject::Text;
            slot.matcher = Matcher::new(asked, long);
            slot.asks = !slot.matcher.is_empty();
        }
        // What is only read is not looked at before.
        let slots = &self.program.slots;
        self.program.keys_first.retain(|(_, slot)| slots[*slot as usize].asks);
        let bits_of = |key: Key, values: &[&str]| -> Vec<Box<[Bit]>> {
            let Some(slot) = self.slots.get(&Subject::Key(key)) else { return Vec::new() };
            let matcher = &self.program.slots[*slot as usize].matcher;
            let bits = |value: &&str| {
                let mut bits = Vec::new();
                matcher.present(&mut |bit| bits.push(bit));
                matcher.text(value.as_bytes(), &mut Vec::new(), &mut |bit| bits.push(bit));
                bits.sort_unstable();
                bits.dedup();
                bits.into_boxed_slice()
            };
            values.iter().map(bits).collect()
        };
        let kinds: Vec<&str> = self.program.kinds.iter().map(|kind| &**kind).collect();
        self.program.by_kind = bits_of(Key::Kind, &kinds);
        self.program.by_severity = bits_of(Key::Severity, &Severity::ALL.map(Severity::name));
        self.program.bits = self.fires.len();
        let bits = 0..self.fires.len() as Bit;
        let is_early = |bit: Bit| matches!(self.subject(bit), Subject::Key(key) if *key != Key::Severity);
        self.program.early = BitSet::of(bits.clone().filter(|bit| is_early(*bit)), self.program.bits);
        for (need, guards) in self.program.text_need.iter_mut().zip(&self.guards) {
            need.guards = BitSet::of(guards.iter().copied(), self.program.bits);
        }
        let keys = &self.program.keys_first;
        let alike = |(key, _): &(Key, SlotId)| start::KEYS.contains(key);
        self.program.starts_alike = self.program.labels.is_empty() && keys.iter().all(alike);
        self.program.fires = self.fires.into_iter().map(Vec::into_boxed_slice).collect();
        debug_assert!(self.program.always.len() == PHASES);
        self.program
    }
}

fn reads_text(cond: &Cond) -> bool {
    let mut reads = false;
    cond.tests(&mut |test| {
        reads |= test.subject == Subject::Text;
        reads |= matches!(&test.op, Op::Same(Subject::Text));
    });
    reads
}

/// How often a test holds, roughly: keys often, a long literal hardly ever. By feel; only speed depends on it.
fn cost(test: &Test) -> u32 {
    match (&test.subject, &test.op) {
        (_, Op::Exists) => 200,
        (
            Subject::Key(Key::Source | Key::Listener | Key::Severity | Key::SentSeverity | Key::Facility),
            _,
        ) => 300,
        (Subject::Key(Key::Kind | Key::Process), _) => 150,
        (_, Op::Text { how: How::Equals, .. }) => 20,
        (_, Op::Text { any, .. }) => {
            let shortest = any.iter().map(|literal| literal.len()).min().unwrap_or(0);
            part_cost(shortest) * any.len() as u32
        }
        (_, Op::Network(_)) => 20,
        _ => 100,
    }
}

/// What a literal of so many bytes costs.
fn part_cost(len: usize) -> u32 {
    match len {
        0..=2 => 100,
        3..=4 => 20,
        5..=7 => 4,
        _ => 1,
    }
}
