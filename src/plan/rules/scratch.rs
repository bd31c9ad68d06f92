//! What running rules writes to, and what it found.

use std::sync::Arc;

use regex_automata::meta::Cache;
use regex_automata::util::captures::Captures;

use super::extract::Found;
use super::matcher::Bit;
use super::program::{List, PHASES, Program, RuleId, SlotId};
use super::run::Subjects;
use super::start::Starts;
use super::value::text_of;
use crate::event::Value;

/// Stands for the writer of a field that no object wrote.
pub(super) const WORKED_OUT: u32 = u32::MAX;

/// What a shard writes to while rules run, and what they found of the last event.
#[derive(Default)]
pub struct RulesScratch {
    /// Whose shape the rest has.
    pub(super) program: Option<Arc<Program>>,
    pub(super) truth: Truth,
    pub(super) starts: Starts,
    pub(super) values: Vec<Option<Value>>,
    /// Slots that have a value or a writer.
    pub(super) filled: Vec<SlotId>,
    /// By slot: the object that wrote the value, counted from 1; 0 is the parser or none.
    pub(super) writers: Vec<u32>,
    /// The object whose extractors run, counted from 1.
    pub(super) writing: u32,
    /// By lazy test: the event that it was decided for, and how.
    pub(super) lazies: Vec<(u32, bool)>,
    /// By expression, made when first needed.
    pub(super) searches: Vec<Option<Box<(Cache, Captures)>>>,
    pub(super) lower: Vec<u8>,
    pub(super) plain: Vec<u8>,
    pub(super) peer: String,
    pub(super) text_done: bool,
    pub(super) colours: Colours,
    /// Objects and their rules that match.
    pub(super) objects: Vec<(u32, u32)>,
    pub(super) found: Found,
    /// Where the start is remembered whose `matched` counts as long as nothing was added to it.
    pub(super) recalled: Option<u8>,
    matched: Matched,
}

/// Whether the message has colours; looked at when its text is first wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Colours {
    #[default]
    Unknown,
    None,
    /// `plain` is the message without them.
    Some,
}

/// What rules found of one event.
#[derive(Default)]
pub struct Matched {
    /// Indices into `Program::categories`, sorted.
    pub categories: Vec<u32>,
    /// Indices into `Spec::watches`, sorted.
    pub watches: Vec<u32>,
    /// Indices into `Spec::selects`, sorted.
    pub selects: Vec<u32>,
    /// Indices into `Program::objects` and the rule in each, in document order.
    pub objects: Vec<(u32, u32)>,
    /// The categories' ids as a JSON array; empty if there is none.
    pub categories_json: Vec<u8>,
    /// Values that did not convert to their field's type.
    pub unconverted: u32,
    /// Fields that two objects wrote.
    pub conflicts: u32,
    /// How many categories stand in `categories_json`.
    told: usize,
}

impl Matched {
    pub(super) const NOTHING: Matched = Matched {
        categories: Vec::new(),
        watches: Vec::new(),
        selects: Vec::new(),
        objects: Vec::new(),
        categories_json: Vec::new(),
        unconverted: 0,
        conflicts: 0,
        told: 0,
    };

    pub(super) fn clear(&mut self) {
        self.categories.clear();
        self.watches.clear();
        self.selects.clear();
        self.objects.clear();
        self.categories_json.clear();
        (self.unconverted, self.conflicts, self.told) = (0, 0, 0);
    }

    pub(super) fn list(&mut self, list: List) -> &mut Vec<u32> {
        match list {
            List::Category => &mut self.categories,
            List::Watch => &mut self.watches,
            List::Select => &mut self.selects,
        }
    }

    /// Takes what another has found over, into a cleared one.
    pub(super) fn copy(&mut self, other: &Matched) {
        self.categories.extend_from_slice(&other.categories);
        self.watches.extend_from_slice(&other.watches);
        self.selects.extend_from_slice(&other.selects);
        self.objects.extend_from_slice(&other.objects);
        self.categories_json.extend_from_slice(&other.categories_json);
        self.told = other.told;
    }

    /// Brings what was found into its order, and tells the categories, which have these ids.
    pub(super) fn sort(&mut self, ids: &[Box<str>]) {
        self.categories.sort_unstable();
        self.watches.sort_unstable();
        self.selects.sort_unstable();
        if self.told == self.categories.len() {
            return;
        }
        self.told = self.categories.len();
        let out = &mut self.categories_json;
        out.clear();
        for (place, category) in self.categories.iter().enumerate() {
            out.extend_from_slice(if place == 0 { b"[\"" } else { b"\",\"" });
            out.extend_from_slice(ids[*category as usize].as_bytes());
        }
        out.extend_from_slice(b"\"]");
    }

    /// Whether the condition at `index` of `Spec::selects` holds.
    pub fn selects(&self, index: u32) -> bool {
        self.selects.binary_search(&index).is_ok()
    }
}

/// Which bits are true, and which rules they make possible.
#[derive(Default)]
pub(super) struct Truth {
    pub(super) bits: Vec<u64>,
    /// By rule: the event for which it is a candidate already.
    pub(super) seen: Vec<u32>,
    /// Which event it is, modulo 2^32.
    pub(super) event: u32,
    pub(super) candidates: [Vec<RuleId>; PHASES],
}

impl Truth {
    #[inline]
    pub(super) fn has(&self, bit: Bit) -> bool {
        self.bits[bit as usize / 64] >> (bit % 64) & 1 == 1
    }

    pub(super) fn set(&mut self, program: &Program, bit: Bit) {
        let word = &mut self.bits[bit as usize / 64];
        let mask = 1 << (bit % 64);
        if *word & mask != 0 {
            return;
        }
        *word |= mask;
        for rule in &program.fires[bit as usize] {
            let seen = &mut self.seen[*rule as usize];
            if *seen != self.event {
                *seen = self.event;
                self.candidates[program.rules[*rule as usize].phase as usize].push(*rule);
            }
        }
    }

    /// Begins an event; its bits are still those of the last one.
    pub(super) fn begin(&mut self) {
        self.candidates.iter_mut().for_each(Vec::clear);
        self.event = self.event.wrapping_add(1);
        if self.event == 0 {
            self.seen.fill(u32::MAX);
            self.event = 1;
        }
    }
}

impl RulesScratch {
    /// What the last event was found to be.
    #[inline]
    pub fn matched(&self) -> &Matched {
        match self.recalled {
            Some(place) => self.starts.matched(place),
            None => &self.matched,
        }
    }

    /// The same, to be added to.
    #[inline]
    pub(super) fn add(&mut self) -> &mut Matched {
        if let Some(place) = self.recalled.take() {
            self.matched.copy(self.starts.matched(place));
        }
        &mut self.matched
    }

    /// Brings what was found into its order.
    pub(super) fn sort(&mut self, program: &Program) {
        if self.recalled.is_none() {
            self.matched.sort(&program.categories);
        }
    }

    /// Forgets what the last event was found to be.
    pub fn forget(&mut self) {
        self.recalled = None;
        self.matched.clear();
    }

    /// The value of a declared field of the last event, those included that its output does not show; of fields that
    /// nothing asks about only if the program keeps all.
    pub fn value(&self, name: &str) -> Option<Value> {
        let program = self.program.as_deref()?;
        let slot = program.named.get(name.as_bytes())?;
        self.values[*slot as usize]
    }

    /// The declared fields of the last event that rules wrote: by which object, or by none if they were worked out.
    pub fn writers(&self) -> impl Iterator<Item = (&str, Option<u32>)> {
        let fields = self.program.iter().flat_map(|program| &program.fields);
        let by = |slot: u16| self.writers[slot as usize];
        fields.filter(move |field| by(field.slot) > 0).map(move |field| {
            (&*field.name, Some(by(field.slot) - 1).filter(|object| *object != WORKED_OUT - 1))
        })
    }

    /// The message, without colours where they have been looked for.
    pub(super) fn message<'t>(&'t self, subjects: &'t Subjects) -> &'t [u8] {
        match self.colours {
            Colours::Some => &self.plain,
            _ => text_of(subjects, subjects.event.message),
        }
    }

    pub(super) fn fit(&mut self, program: &Arc<Program>) {
        if self.program.as_ref().is_some_and(|known| Arc::ptr_eq(known, program)) {
            return;
        }
        *self = RulesScratch {
            truth: Truth {
                bits: vec![0; program.bits.div_ceil(64)],
                seen: vec![0; program.rules.len()],
                ..Truth::default()
            },
            values: vec![None; program.slots.len()],
            writers: vec![0; program.slots.len()],
            lazies: vec![(0, false); program.lazies.len()],
            searches: program.regexes.iter().map(|_| None).collect(),
            program: Some(program.clone()),
            ..RulesScratch::default()
        };
    }
}
