//! What the events of one process have in common.
//!
//! Before fields and text are looked at, rules know of an event only its keys and its kind. Few combinations of those come,
//! again and again. So what one leads to is remembered: the bits that are true, the objects that match, the kind; of the
//! rules behind them those that hold already, and those that are open. The rest of an event costs what its fields match.

use super::cond::Key;
use super::program::{Node, Phase, Program, Purpose, RuleId};
use super::run::{Run, in_order};
use super::scratch::{Colours, Matched, Truth};
use super::value::text_of;
use crate::event::{Event, KindId, Severity};

/// Keys by which a start may be known again; one that depends on others is not remembered.
pub(super) const KEYS: [Key; 5] = [Key::Source, Key::Process, Key::SentSeverity, Key::Facility, Key::Pri];

/// How many starts are remembered.
const PLACES: usize = 128;
/// SOURCE and PROCID up to so many bytes.
const TEXT_BYTES: usize = 32;
/// So many others may come by before one has to give way.
const PATIENCE: u8 = 8;

/// The starts that were seen.
pub(super) struct Starts(Box<[Start; PLACES]>);

impl Default for Starts {
    fn default() -> Starts {
        Starts(Box::new([const { Start::EMPTY }; PLACES]))
    }
}

impl Starts {
    /// What the start at a place has found.
    #[inline]
    pub fn matched(&self, place: u8) -> &Matched {
        &self.0[place as usize % PLACES].matched
    }
}

/// One start, and what it leads to.
struct Start {
    source: Vec<u8>,
    process: Vec<u8>,
    /// What else rules may ask; `None` in an empty place.
    rest: Option<(KindId, Severity, Option<u8>)>,
    /// How many others came by since it was last wanted.
    others: u8,
    kind: KindId,
    bits: Vec<u64>,
    objects: Vec<(u32, u32)>,
    /// Rules that may hold yet.
    open: Vec<RuleId>,
    /// Rules that are decided, but would be looked at again.
    closed: Vec<RuleId>,
    /// What rules that hold already have found.
    matched: Matched,
}

impl Start {
    const EMPTY: Start = Start {
        source: Vec::new(),
        process: Vec::new(),
        rest: None,
        others: 0,
        kind: KindId(0),
        bits: Vec::new(),
        objects: Vec::new(),
        open: Vec::new(),
        closed: Vec::new(),
        matched: Matched::NOTHING,
    };
}

fn rest(event: &Event) -> (KindId, Severity, Option<u8>) {
    (event.kind, event.severity, event.pri)
}

/// The place where the start of an event with these texts belongs, if it can be remembered.
fn place(event: &Event, source: &[u8], process: &[u8]) -> Option<usize> {
    let (Some(first), Some(last)) = (source.last(), process.last()) else { return None };
    let few = source.len() <= TEXT_BYTES && process.len() <= TEXT_BYTES;
    let texts = process.len() * 8 + source.len() * 32 + *first as usize + *last as usize * 5;
    few.then_some((texts + event.kind.0 as usize * 11 + event.severity as usize * 16) % PLACES)
}

impl Run<'_, '_> {
    /// Finds out, or recalls, all that is known before fields are looked at.
    pub(super) fn start(&mut self) {
        let event = &*self.subjects.event;
        let (source, process) = (text_of(self.subjects, event.source), text_of(self.subjects, event.process));
        let place = if self.program.starts_alike { place(event, source, process) } else { None };
        let Some(place) = place else { return self.work_out_start() };
        let start = &mut self.scratch.starts.0[place];
        let same = start.rest == Some(rest(event)) && start.source == source && start.process == process;
        if same {
            start.others = 0;
            return self.recall(place);
        }
        start.others = start.others.saturating_add(1);
        let gives_way = start.rest.is_none() || start.others > PATIENCE;
        let before = rest(event);
        self.work_out_start();
        // Where the text was looked at, it is not the keys alone that decide.
        if gives_way && !self.scratch.text_done && self.scratch.colours == Colours::Unknown {
            self.remember(place, before);
        }
    }

    fn recall(&mut self, place: usize) {
        let start = &self.scratch.starts.0[place];
        let truth = &mut self.scratch.truth;
        truth.bits.copy_from_slice(&start.bits);
        for rule in start.open.iter().chain(&start.closed) {
            truth.seen[*rule as usize] = truth.event;
        }
        truth.candidates[Phase::Last as usize].extend_from_slice(&start.open);
        self.scratch.objects.extend_from_slice(&start.objects);
        self.scratch.recalled = Some(place as u8);
        self.subjects.event.kind = start.kind;
    }

    /// Remembers how the event at hand has started, which began as `before`.
    fn remember(&mut self, place: usize, before: (KindId, Severity, Option<u8>)) {
        let program = self.program;
        let start = &mut self.scratch.starts.0[place];
        let truth = &self.scratch.truth;
        let event = &*self.subjects.event;
        start.rest = Some(before);
        start.others = 0;
        start.kind = event.kind;
        again(&mut start.source, text_of(self.subjects, event.source));
        again(&mut start.process, text_of(self.subjects, event.process));
        again(&mut start.bits, &truth.bits);
        again(&mut start.objects, &self.scratch.objects);
        in_order(&mut start.objects);
        start.open.clear();
        start.closed.clear();
        start.matched.clear();
        for rule in &truth.candidates[Phase::Last as usize] {
            let Purpose::Found(list, index) = program.rules[*rule as usize].purpose else { continue };
            match decided(program, truth, program.rules[*rule as usize].root) {
                None => start.open.push(*rule),
                Some(holds) => {
                    start.closed.push(*rule);
                    if holds {
                        start.matched.list(list).push(index);
                    }
                }
            }
        }
        start.matched.objects.extend_from_slice(&start.objects);
        start.matched.sort(&program.categories);
    }
}

/// Fills a vector anew.
fn again<T: Copy>(to: &mut Vec<T>, from: &[T]) {
    to.clear();
    to.extend_from_slice(from);
}

/// Whether a condition holds, if no field and no text can change that.
fn decided(program: &Program, truth: &Truth, node: u32) -> Option<bool> {
    match program.nodes[node as usize] {
        // What is true stays so.
        Node::Bit(bit) => match truth.has(bit) {
            true => Some(true),
            false => program.early.has(bit).then_some(false),
        },
        Node::Not(inner) => decided(program, truth, inner).map(|holds| !holds),
        Node::All { first, len } => all(program, truth, first..first + len, true),
        Node::Any { first, len } => all(program, truth, first..first + len, false),
        Node::Lazy(lazy) => {
            let guard = program.lazies[lazy as usize].guard?;
            (program.early.has(guard) && !truth.has(guard)).then_some(false)
        }
    }
}

/// `Some(wanted)` if all nodes are decided so; the other if one is; else `None`.
fn all(program: &Program, truth: &Truth, nodes: core::ops::Range<u32>, wanted: bool) -> Option<bool> {
    let mut all = Some(wanted);
    for node in nodes {
        match decided(program, truth, node) {
            Some(holds) if holds == wanted => {}
            Some(_) => return Some(!wanted),
            None => all = None,
        }
    }
    all
}
