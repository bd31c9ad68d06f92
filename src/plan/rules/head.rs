//! What source, process, kind and severity decide, remembered: few of them send most events.
//!
//! A head holds the bits that these make true, the rules that hold by them alone, and those that they leave open. A rule
//! that cannot hold is in neither list. Heads are of one program and forgotten with it; there are [`HEADS`] at most, so
//! whoever sends a new process with every event pays for the making of a head each time and for nothing else.

use super::cond::{Key, Subject};
use super::matcher::{Asked, Bit};
use super::program::{LazyOp, Node, PHASES, Phase, Program, Purpose, RuleId, SlotId};
use super::run::Run;
use super::value::each_of_key;
use crate::event::{KindId, Texts};

/// Heads that are remembered, some for each value of a hash.
const HEADS: usize = WAYS << HASH_BITS;
const HASH_BITS: u32 = 9;
const WAYS: usize = 4;

/// What is known of a bit before fields and text are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Known {
    /// With source, process and sent severity.
    BySender,
    /// With kind and severity too.
    ByKind,
    Never,
}

/// Whose head it is. Texts are as `Texts::short` gives them.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Of {
    source: u128,
    process: u128,
    /// Kind and severity; zero is of a head that was never made.
    rest: u32,
}

#[derive(Default)]
pub(super) struct Head {
    of: Of,
    /// Source and process, where one is too long for `of` to tell.
    long: Vec<u8>,
    /// Index and bits of the words in which some are true.
    words: Vec<(u32, u64)>,
    /// Rules that hold.
    sure: Vec<RuleId>,
    /// Rules that may hold.
    open: Vec<RuleId>,
    /// By phase: whether the text is to be looked at.
    text: [bool; PHASES],
    /// Categories among `sure`, and their ids as JSON without the final bracket.
    categories: usize,
    json: Vec<u8>,
}

/// Heads, made when first met, and what they are made with.
#[derive(Default)]
pub(super) struct Heads {
    list: Vec<Head>,
    /// Which of those with one hash is given up next.
    turn: usize,
    long: Vec<u8>,
    bits: Vec<Bit>,
    rules: Vec<RuleId>,
    /// By phase: whether the event's head wants the text looked at.
    pub text: [bool; PHASES],
    /// The event's.
    at: usize,
}

impl Of {
    /// The first of its places.
    fn place(&self) -> usize {
        const FACTORS: [u64; 4] =
            [0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03, 0xaef1_7502_b3b6_c8ed, 0x94d0_49bb_1331_11eb];
        let parts = [self.source, self.process].map(|text| [text as u64, (text >> 64) as u64]);
        let mut hash = u64::from(self.rest).wrapping_mul(FACTORS[0]);
        for (part, factor) in parts.as_flattened().iter().zip(FACTORS) {
            hash = (hash.rotate_left(23) ^ part).wrapping_mul(factor);
        }
        (hash >> (u64::BITS - HASH_BITS)) as usize * WAYS
    }
}

impl Head {
    fn has(&self, bit: Bit) -> bool {
        self.words.iter().any(|(word, bits)| *word == bit / 64 && bits >> (bit % 64) & 1 == 1)
    }
}

impl Heads {
    /// Categories that hold by the event's head, and their ids as JSON without the final bracket.
    pub fn categories(&self) -> (usize, &[u8]) {
        let head = &self.list[self.at];
        (head.categories, &head.json)
    }
}

impl Run<'_, '_> {
    /// Sets what is known by the head; without a kind only what the first phase needs.
    #[inline(always)]
    pub(super) fn begin_with_head(&mut self, kind: Option<KindId>) {
        let keys = &self.program.head;
        let event = &*self.subjects.event;
        let texts = Texts { batch: self.subjects.batch, made: self.subjects.made };
        let source = if keys.source.is_some() { texts.short(event.source) } else { 0 };
        let process = if keys.process.is_some() { texts.short(event.process) } else { 0 };
        let of_kind = kind.map_or(1, |kind| u32::from(kind.0) + 2);
        let of = Of { source, process, rest: of_kind << 8 | event.severity as u32 };
        if Texts::is_cut(source) || Texts::is_cut(process) {
            let long = &mut self.scratch.heads.long;
            long.clear();
            long.extend_from_slice(texts.get(event.source));
            long.push(b' ');
            long.extend_from_slice(texts.get(event.process));
        } else {
            self.scratch.heads.long.clear();
        }
        let heads = &self.scratch.heads;
        let place = of.place();
        let is_it = |head: &Head| head.of == of && head.long == heads.long;
        let known = heads.list.get(place..place + WAYS).and_then(|ways| ways.iter().position(is_it));
        self.scratch.heads.at = match known {
            Some(way) => place + way,
            None => self.make_head(of, kind),
        };
        self.set_head();
    }

    #[inline(always)]
    fn set_head(&mut self) {
        let program = self.program;
        let head = &self.scratch.heads.list[self.scratch.heads.at];
        let (truth, matched) = (&mut self.scratch.truth, &mut self.scratch.matched);
        self.scratch.heads.text = head.text;
        for (word, bits) in &head.words {
            truth.bits[*word as usize] |= bits;
            truth.on.push(word * 64);
        }
        for rule in &head.sure {
            // What the text has made possible already is decided with the rest.
            if truth.is_new(*rule) {
                match program.rules[*rule as usize].purpose {
                    Purpose::Object(object, index) => self.scratch.objects.push((object, index)),
                    Purpose::Category(index) => matched.categories.push(index),
                    Purpose::Watch(index) => matched.watches.push(index),
                    Purpose::Select(index) => matched.selects.push(index),
                }
            }
        }
        for rule in &head.open {
            if truth.is_new(*rule) {
                truth.candidates[program.rules[*rule as usize].phase as usize].push(*rule);
            }
        }
    }

    #[inline(never)]
    fn make_head(&mut self, of: Of, kind: Option<KindId>) -> usize {
        let heads = &mut self.scratch.heads;
        if heads.list.is_empty() {
            heads.list.resize_with(HEADS, Head::default);
        }
        let place = of.place();
        let free = heads.list[place..place + WAYS].iter().position(|head| head.of == Of::default());
        let way = free.unwrap_or_else(|| {
            heads.turn = (heads.turn + 1) % WAYS;
            heads.turn
        });
        let at = place + way;
        let mut head = core::mem::take(&mut heads.list[at]);
        head.of = of;
        head.long.clone_from(&heads.long);
        head.words.clear();
        head.sure.clear();
        head.open.clear();
        head.json.clear();
        head.categories = 0;
        self.bits_of_head(kind);
        for bit in &self.scratch.heads.bits {
            match head.words.last_mut().filter(|(word, _)| *word == bit / 64) {
                Some((_, bits)) => *bits |= 1 << (bit % 64),
                None => head.words.push((bit / 64, 1 << (bit % 64))),
            }
        }
        self.rules_of_head(kind, &mut head);
        self.scratch.heads.list[at] = head;
        at
    }

    /// Collects the bits that are true, in order, once each.
    fn bits_of_head(&mut self, kind: Option<KindId>) {
        let program = self.program;
        let keys = &program.head;
        let mut bits = core::mem::take(&mut self.scratch.heads.bits);
        bits.clear();
        let asked =
            [(Key::Source, keys.source), (Key::Process, keys.process), (Key::SentSeverity, keys.sent)];
        for (key, slot) in asked {
            let Some(slot) = slot else { continue };
            let matcher = &program.slots[slot as usize].matcher;
            let lower = &mut self.scratch.lower;
            each_of_key(program, self.subjects, key, &mut |text| {
                matcher.present(&mut |bit| bits.push(bit));
                matcher.text(text, lower, &mut |bit| bits.push(bit));
            });
        }
        if let Some(kind) = kind {
            bits.extend(program.by_kind.get(kind.0 as usize).into_iter().flatten());
            if !program.severity_is_late {
                let severity = self.subjects.event.severity as usize;
                bits.extend(program.by_severity.get(severity).into_iter().flatten());
            }
        }
        bits.sort_unstable();
        bits.dedup();
        self.scratch.heads.bits = bits;
    }

    /// Finds the rules that hold by the head's bits, and those that may.
    fn rules_of_head(&mut self, kind: Option<KindId>, head: &mut Head) {
        let program = self.program;
        let bits = core::mem::take(&mut self.scratch.heads.bits);
        let mut rules = core::mem::take(&mut self.scratch.heads.rules);
        rules.clear();
        let has_kind = kind.is_some();
        let is_of = |phase: Phase| has_kind == (phase != Phase::First);
        for phase in [Phase::First, Phase::ByKind, Phase::Last] {
            let need = &program.text_need[phase as usize];
            let wants = need.always || need.by_head.iter().any(|bit| bits.binary_search(bit).is_ok());
            head.text[phase as usize] = wants;
            if is_of(phase) {
                rules.extend_from_slice(&program.always[phase as usize]);
            }
        }
        let made_possible = bits.iter().flat_map(|bit| program.fires[*bit as usize].iter());
        rules.extend(made_possible.filter(|rule| is_of(program.rules[**rule as usize].phase)));
        rules.sort_unstable();
        rules.dedup();
        for rule in &rules {
            match self.holds_by_head(program.rules[*rule as usize].root, has_kind, head) {
                Some(true) => head.sure.push(*rule),
                Some(false) => {}
                None => head.open.push(*rule),
            }
        }
        for rule in &head.sure {
            if let Purpose::Category(index) = program.rules[*rule as usize].purpose {
                program.begin_category(head.categories == 0, index, &mut head.json);
                head.categories += 1;
            }
        }
        (self.scratch.heads.bits, self.scratch.heads.rules) = (bits, rules);
    }

    /// Whether a tree holds, if the head decides it.
    fn holds_by_head(&mut self, node: u32, has_kind: bool, head: &Head) -> Option<bool> {
        let program = self.program;
        let is_known = |bit: Bit| match program.known_bits[bit as usize] {
            Known::BySender => true,
            Known::ByKind => has_kind,
            Known::Never => false,
        };
        let mut all = |first: u32, len: u32, until: bool| {
            let mut whole = Some(!until);
            for node in first..first + len {
                match self.holds_by_head(node, has_kind, head) {
                    Some(holds) if holds == until => return Some(until),
                    Some(_) => {}
                    None => whole = None,
                }
            }
            whole
        };
        match program.nodes[node as usize] {
            Node::Bit(bit) => is_known(bit).then(|| head.has(bit)),
            Node::Not(inner) => self.holds_by_head(inner, has_kind, head).map(|holds| !holds),
            Node::All { first, len } => all(first, len, false),
            Node::Any { first, len } => all(first, len, true),
            Node::Lazy(index) => {
                let lazy = &program.lazies[index as usize];
                if lazy.guard.is_some_and(|bit| is_known(bit) && !head.has(bit)) {
                    return Some(false);
                }
                let subject = &program.slots[lazy.slot as usize].subject;
                let is_of_sender = matches!(subject, Subject::Key(Key::Source | Key::Process));
                (is_of_sender && !matches!(lazy.op, LazyOp::Same(_))).then(|| self.settle(index))
            }
        }
    }
}

impl Program {
    /// Finds which bits a head decides, and parts what makes the text wanted by it.
    pub(super) fn know_bits(&mut self, asked: &[Asked]) {
        let bits = asked.iter().flat_map(Asked::bits).max().map_or(0, |bit| bit as usize + 1);
        self.known_bits = vec![Known::Never; bits];
        for (slot, asked) in self.slots.iter().zip(asked) {
            let known = match slot.subject {
                Subject::Key(Key::Source | Key::Process | Key::SentSeverity) => Known::BySender,
                Subject::Key(Key::Kind) => Known::ByKind,
                Subject::Key(Key::Severity) if !self.severity_is_late => Known::ByKind,
                _ => continue,
            };
            asked.bits().for_each(|bit| self.known_bits[bit as usize] = known);
        }
        for need in &mut self.text_need {
            need.guards.sort_unstable();
            need.guards.dedup();
            let is_known = |bit: &mut Bit| self.known_bits[*bit as usize] != Known::Never;
            need.by_head = need.guards.extract_if(.., is_known).collect();
        }
    }

    /// Takes the keys of heads out of those that are matched with each event, and those of which nothing is asked.
    pub(super) fn part_keys(&mut self) {
        let (slots, lazies, head) = (&self.slots, &self.lazies, &mut self.head);
        let is_matched = |slot: SlotId| !slots[slot as usize].matcher.is_empty();
        self.keys_first.retain(|(key, slot)| {
            let of_head = match key {
                Key::Source => &mut head.source,
                Key::Process => &mut head.process,
                Key::SentSeverity => &mut head.sent,
                _ => return is_matched(*slot),
            };
            let is_asked = is_matched(*slot) || lazies.iter().any(|lazy| lazy.slot == *slot);
            *of_head = is_asked.then_some(*slot);
            false
        });
    }

    /// Appends a category's id to a JSON array that is not yet closed.
    pub(super) fn begin_category(&self, is_first: bool, index: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(if is_first { b"[\"" } else { b"\",\"" });
        out.extend_from_slice(self.categories[index as usize].as_bytes());
    }
}
