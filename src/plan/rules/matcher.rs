//! All that is asked of one part of an event, answered at once.

use aho_corasick::automaton::{Automaton, OverlappingState};
use aho_corasick::{Anchored, Input, MatchKind};
use ipnet::IpNet;

use super::cond::{Compare, How};
use super::convert::{Number, address};

/// Index of a bit that says whether a test holds.
pub(super) type Bit = u32;

/// Bytes of literals up to which the automaton is a table: fast, and large.
const TABLE_LITERAL_BYTES: usize = 64 << 10;
/// Up to so many literals are compared one by one.
const FEW: usize = 4;

/// A literal, and the bit of the test that it answers.
#[derive(Debug)]
struct Literal {
    bit: Bit,
    how: How,
    /// In the case in which it was written, where case counts.
    cased: Option<Box<[u8]>>,
}

#[derive(Debug)]
pub(super) struct Matcher {
    present: Option<Bit>,
    /// Whole values in lower case.
    exact: foldhash::HashMap<Box<[u8]>, Vec<Literal>>,
    exact_bytes_max: usize,
    few: Vec<(Box<[u8]>, Vec<Literal>)>,
    parts: Option<Parts>,
    numbers: Vec<(Compare, Number, Bit)>,
    networks: Vec<(IpNet, Bit)>,
}

/// Literals that are part of the value.
#[derive(Debug)]
struct Parts {
    automaton: Automata,
    /// By pattern of the automaton.
    literals: Vec<Vec<Literal>>,
}

#[derive(Debug)]
enum Automata {
    Table(aho_corasick::dfa::DFA),
    Compact(aho_corasick::nfa::contiguous::NFA),
}

/// What is collected before a matcher is built.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub present: Option<Bit>,
    pub texts: Vec<(Bit, How, bool, Box<[u8]>)>,
    pub numbers: Vec<(Compare, Number, Bit)>,
    pub networks: Vec<(IpNet, Bit)>,
}

impl Matcher {
    /// `long` says that values are long texts, of which whole ones are found by the automaton too.
    pub fn new(asked: Asked, long: bool) -> Matcher {
        let mut exact: foldhash::HashMap<Box<[u8]>, Vec<Literal>> = Default::default();
        let mut parts: foldhash::HashMap<Box<[u8]>, Vec<Literal>> = Default::default();
        for (bit, how, cased, text) in asked.texts {
            let whole = how == How::Equals && (!long || text.is_empty());
            let lower = text.to_ascii_lowercase().into_boxed_slice();
            let literal = Literal { bit, how, cased: cased.then_some(text) };
            if whole { &mut exact } else { &mut parts }.entry(lower).or_default().push(literal);
        }
        let exact_bytes_max = exact.keys().map(|key| key.len()).max().unwrap_or(0);
        let mut few = Vec::new();
        if exact.len() <= FEW {
            few.extend(exact.drain());
            few.sort_by(|a, b| a.0.cmp(&b.0));
        }
        let parts = (!parts.is_empty()).then(|| Parts::new(parts));
        Matcher {
            present: asked.present,
            exact,
            exact_bytes_max,
            few,
            parts,
            numbers: asked.numbers,
            networks: asked.networks,
        }
    }

    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.present.is_none() && self.numbers.is_empty() && !self.wants_text()
    }

    /// Whether a text is asked for at all.
    pub fn wants_text(&self) -> bool {
        self.parts.is_some() || !self.exact.is_empty() || !self.few.is_empty() || !self.networks.is_empty()
    }

    /// Whether numbers are compared.
    pub fn wants_number(&self) -> bool {
        !self.numbers.is_empty()
    }

    /// There is a value.
    pub fn present(&self, set: &mut impl FnMut(Bit)) {
        if let Some(bit) = self.present {
            set(bit);
        }
    }

    /// The value, or one of its items, is this text; `lower` is scratch.
    pub fn text(&self, text: &[u8], lower: &mut Vec<u8>, set: &mut impl FnMut(Bit)) {
        for (whole, literals) in &self.few {
            if whole.eq_ignore_ascii_case(text) {
                literals.iter().filter(|literal| literal.is_in(text, 0, text.len())).for_each(|l| set(l.bit));
            }
        }
        if !self.exact.is_empty() && text.len() <= self.exact_bytes_max {
            lower.clear();
            lower.extend(text.iter().map(u8::to_ascii_lowercase));
            for literal in self.exact.get(&lower[..]).map_or(&[][..], Vec::as_slice) {
                if literal.is_in(text, 0, text.len()) {
                    set(literal.bit);
                }
            }
        }
        if let Some(parts) = &self.parts {
            parts.find(text, set);
        }
        if !self.networks.is_empty()
            && let Some(address) = address(text)
        {
            self.networks.iter().filter(|(net, _)| net.contains(&address)).for_each(|(_, bit)| set(*bit));
        }
    }

    pub fn number(&self, number: Number, set: &mut impl FnMut(Bit)) {
        for (compare, bound, bit) in &self.numbers {
            if compare.holds(number, *bound) {
                set(*bit);
            }
        }
    }
}

impl Literal {
    /// Whether it stands at `start..end` of `text` as it wants to.
    fn is_in(&self, text: &[u8], start: usize, end: usize) -> bool {
        let placed = match self.how {
            How::Contains => true,
            How::Equals => start == 0 && end == text.len(),
            How::Starts => start == 0,
            How::Ends => end == text.len(),
        };
        placed && self.cased.as_ref().is_none_or(|cased| **cased == text[start..end])
    }
}

impl Parts {
    fn new(parts: foldhash::HashMap<Box<[u8]>, Vec<Literal>>) -> Parts {
        let mut parts: Vec<_> = parts.into_iter().collect();
        // Equal packs give equal programs.
        parts.sort_by(|a, b| a.0.cmp(&b.0));
        let (patterns, literals): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let nfa = aho_corasick::nfa::noncontiguous::Builder::new()
            .match_kind(MatchKind::Standard)
            .ascii_case_insensitive(true)
            .build(&patterns)
            .expect("the checker bounds the literals");
        let bytes: usize = patterns.iter().map(|pattern| pattern.len()).sum();
        let table = (bytes <= TABLE_LITERAL_BYTES)
            .then(|| {
                aho_corasick::dfa::Builder::new()
                    .match_kind(MatchKind::Standard)
                    .ascii_case_insensitive(true)
                    .start_kind(aho_corasick::StartKind::Unanchored)
                    .build_from_noncontiguous(&nfa)
                    .ok()
            })
            .flatten();
        let automaton = match table {
            Some(table) => Automata::Table(table),
            None => {
                let mut builder = aho_corasick::nfa::contiguous::Builder::new();
                builder.ascii_case_insensitive(true);
                Automata::Compact(
                    builder.build_from_noncontiguous(&nfa).expect("the checker bounds the literals"),
                )
            }
        };
        Parts { automaton, literals }
    }

    fn find(&self, text: &[u8], set: &mut impl FnMut(Bit)) {
        match &self.automaton {
            Automata::Table(dfa) => self.find_with(dfa, text, set),
            Automata::Compact(nfa) => self.find_with(nfa, text, set),
        }
    }

    /// Every occurrence of every literal: none hides another.
    fn find_with(&self, automaton: &impl Automaton, text: &[u8], set: &mut impl FnMut(Bit)) {
        let input = Input::new(text).anchored(Anchored::No);
        let mut state = OverlappingState::start();
        loop {
            automaton.try_find_overlapping(&input, &mut state).expect("the automaton is unanchored");
            let Some(found) = state.get_match() else { return };
            for literal in &self.literals[found.pattern().as_usize()] {
                if literal.is_in(text, found.start(), found.end()) {
                    set(literal.bit);
                }
            }
        }
    }
}
