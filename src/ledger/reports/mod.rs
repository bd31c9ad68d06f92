//! Reports: rows in the order of event time, cut into windows, with what summaries come to.
//!
//! A row waits until nothing earlier can come: the watermark, receive time less lateness, has passed it. So the rows of a
//! window stand in the order of time, then drain, then arrival, however connections interleave. A window is sealed when
//! the watermark passes its end; a row that comes later belongs to a numbered correction.

mod join;
mod kept;
mod summary;
mod waiting;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use self::join::Joins;
use self::summary::Sums;
pub use self::waiting::Waiting;
use crate::limits;
use crate::plan::Plan;
use crate::plan::report::{Merge, Report};
use crate::rows::{cells, push_cell};
use crate::signal::{RowAt, Signals};

/// Something that a report has to say. Times are microseconds since 1970.
#[derive(Clone, Debug)]
pub struct Told {
    pub report: Arc<Report>,
    /// The window.
    pub from_us: i64,
    pub to_us: i64,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A row, as `rows::cells` reads it; the columns only.
    Row(Box<[u8]>),
    /// The window is whole; rows of each of the report's tables.
    Sealed(Vec<Vec<Vec<Box<str>>>>),
    /// A row of the correction with this number.
    Late(u32, Box<[u8]>),
    /// The correction with this number is whole.
    Corrected(u32),
}

/// Counts of one report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub rows: u64,
    pub late: u64,
    /// Rows that could not wait for their place.
    pub unordered: u64,
}

/// A row that others may yet be merged into.
#[derive(Debug)]
struct Pending {
    time_us: i64,
    cells: Vec<Option<Box<[u8]>>>,
    is_open: bool,
}

#[derive(Debug)]
struct Window {
    to_us: i64,
    sums: Sums,
    pending: VecDeque<Pending>,
}

#[derive(Debug, Default)]
struct Corrections {
    to_us: i64,
    /// How many there were.
    count: u32,
    /// Until when the last one takes rows.
    open_until_us: Option<i64>,
}

/// The state of one report.
#[derive(Debug)]
struct State {
    report: Arc<Report>,
    waiting: Waiting,
    /// By start.
    open: BTreeMap<i64, Window>,
    corrections: BTreeMap<i64, Corrections>,
    /// Windows that end up to here are sealed.
    sealed_us: i64,
    /// End of the last window that has begun.
    begun_us: i64,
    last_window: (i64, i64),
    figures: Figures,
}

/// All reports of a plan.
#[derive(Debug)]
pub struct Reports {
    plan: Arc<Plan>,
    states: Vec<State>,
    joins: Joins,
    now_us: i64,
    /// Rows in the order of arrival.
    order: u64,
    waiting_bytes: usize,
    told: Vec<Told>,
}

/// Memory of a row that waits, besides its cells.
const ROW_BYTES: usize = 128;

impl Reports {
    pub fn new(plan: Arc<Plan>) -> Reports {
        let states =
            plan.watch.reports.list.iter().map(|report| State::new(report.clone(), i64::MIN)).collect();
        let joins = Joins::new(&plan);
        Reports { plan, states, joins, now_us: i64::MIN, order: 0, waiting_bytes: 0, told: Vec::new() }
    }

    /// Goes on with another plan: reports that mean the same keep their rows; the windows of others end as they are.
    pub fn adopt(&mut self, plan: Arc<Plan>) {
        self.put_joined(i64::MAX);
        self.plan = plan;
        self.joins = Joins::new(&self.plan);
        let mut before: Vec<Option<State>> = self.states.drain(..).map(Some).collect();
        for report in &self.plan.watch.reports.list {
            let same = |state: &Option<State>| {
                state
                    .as_ref()
                    .is_some_and(|state| (&state.report.id, state.report.shape) == (&report.id, report.shape))
            };
            let kept = before.iter().position(same).and_then(|at| before[at].take());
            let mut state = kept.unwrap_or_else(|| State::new(report.clone(), i64::MIN));
            state.report = report.clone();
            self.states.push(state);
        }
        for mut state in before.into_iter().flatten() {
            state.release(i64::MAX, &self.plan, &mut self.waiting_bytes, &mut self.told);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// What was decided since the last time, in order.
    pub fn take_told(&mut self) -> Vec<Told> {
        core::mem::take(&mut self.told)
    }

    /// Figures by report.
    pub fn figures(&self) -> impl Iterator<Item = (&Report, Figures)> {
        self.states.iter().map(|state| (&*state.report, state.figures))
    }

    /// Takes what a batch told.
    pub fn apply(&mut self, signals: Option<&Signals>, received_us: i64) {
        if self.states.is_empty() {
            return;
        }
        self.advance(received_us);
        let Some(signals) = signals.filter(|signals| !signals.rows.is_empty() || !signals.pieces.is_empty())
        else {
            return;
        };
        for row in signals.rows.iter().filter(|row| row.piece.is_none()) {
            self.put_at(row, signals);
        }
        let mut rows: Vec<&RowAt> = signals.rows.iter().filter(|row| row.piece.is_some()).collect();
        rows.sort_by_key(|row| row.piece);
        let mut rows = rows.into_iter().peekable();
        for (piece, place) in signals.pieces.iter().zip(0..) {
            let mut own = Vec::new();
            while let Some(row) = rows.next_if(|row| row.piece == Some(place)) {
                own.push(join::Row::of(row, signals));
            }
            self.joins.take(&self.plan, piece, signals, own);
            self.put_joined(i64::MIN);
        }
        if self.waiting_bytes > limits::ROWS_WAITING_BYTES {
            self.relieve();
        }
    }

    /// Runs all that is due up to `now_us`, in order.
    pub fn advance(&mut self, now_us: i64) {
        if now_us <= self.now_us || self.states.is_empty() {
            return;
        }
        self.now_us = now_us;
        let watermark_us = now_us.saturating_sub(self.plan.ledger.lateness_us);
        self.put_joined(watermark_us);
        for state in &mut self.states {
            let lag_us =
                state.report.join.map_or(0, |join| self.plan.watch.reports.joins[join as usize].within_us);
            state.release(
                watermark_us.saturating_sub(lag_us),
                &self.plan,
                &mut self.waiting_bytes,
                &mut self.told,
            );
            state.correct(now_us, &mut self.told);
        }
    }

    /// Lets the clock run until the last window that has begun is sealed, no further.
    pub fn end(&mut self) {
        self.put_joined(i64::MAX);
        let lag_us = self.plan.watch.reports.joins.iter().map(|join| join.within_us).max().unwrap_or(0);
        if let Some(begun_us) =
            self.states.iter().map(|state| state.begun_us).max().filter(|us| *us > i64::MIN)
        {
            self.advance(begun_us + self.plan.ledger.lateness_us + lag_us);
        }
        for state in &mut self.states {
            state.correct(i64::MAX, &mut self.told);
        }
    }

    /// Lets all rows go on that wait, and seals nothing: for those who stop and may go on later.
    pub fn rest(&mut self) {
        self.put_joined(i64::MAX);
        for state in &mut self.states {
            while let Some((order, row)) = state.waiting.pop_first() {
                state.take(order.0, &row, &self.plan, &mut self.told);
            }
            for (from_us, window) in &mut state.open {
                let (report, to_us) = (&state.report, window.to_us);
                self.told.extend(window.pending.drain(..).map(|row| {
                    let what = What::Row(row.cells_of(report));
                    Told { report: report.clone(), from_us: *from_us, to_us, what }
                }));
            }
        }
        self.waiting_bytes = 0;
    }

    fn put_at(&mut self, row: &RowAt, signals: &Signals) {
        let texts = &signals.texts;
        self.put(row.report, row.time_us, row.drain.of(texts), row.cells.of(texts).into());
    }

    /// Puts the rows of joins that are over by `watermark_us`.
    fn put_joined(&mut self, watermark_us: i64) {
        self.joins.expire(&self.plan, watermark_us);
        for row in self.joins.take_rows() {
            self.put(row.report, row.time_us, &row.drain, row.cells);
        }
    }

    fn put(&mut self, report: u32, time_us: i64, drain: &[u8], cells: Box<[u8]>) {
        let lateness_us = self.plan.ledger.lateness_us;
        let state = &mut self.states[report as usize];
        let (from_us, to_us) = state.window(time_us);
        if to_us <= state.sealed_us {
            let until_us = self.now_us.saturating_add(lateness_us);
            return state.late((from_us, to_us), &cells, until_us, &mut self.told);
        }
        state.begun_us = state.begun_us.max(to_us);
        self.order += 1;
        let order = (time_us, drain.into(), self.order);
        self.waiting_bytes += waiting::bytes(&order, &cells);
        state.waiting.insert(order, cells);
    }

    /// Lets the earliest rows go on until half the room is free.
    fn relieve(&mut self) {
        while self.waiting_bytes > limits::ROWS_WAITING_BYTES / 2 {
            let with_rows = self.states.iter_mut().filter(|state| !state.waiting.is_empty());
            let Some(state) = with_rows.min_by_key(|state| state.waiting.first_us()) else { return };
            let (order, row) = state.waiting.pop_first().expect("it has rows");
            state.figures.unordered += 1;
            self.waiting_bytes -= waiting::bytes(&order, &row);
            state.take(order.0, &row, &self.plan, &mut self.told);
        }
    }
}

impl State {
    fn new(report: Arc<Report>, sealed_us: i64) -> State {
        State {
            report,
            waiting: Waiting::default(),
            open: BTreeMap::new(),
            corrections: BTreeMap::new(),
            sealed_us,
            begun_us: i64::MIN,
            last_window: (0, 0),
            figures: Figures::default(),
        }
    }

    fn window(&mut self, time_us: i64) -> (i64, i64) {
        let (from_us, to_us) = self.last_window;
        if time_us < from_us || time_us >= to_us {
            self.last_window = self.report.window(time_us);
        }
        self.last_window
    }

    /// Lets rows before the watermark go on, and seals the windows that it has passed.
    fn release(&mut self, watermark_us: i64, plan: &Plan, waiting_bytes: &mut usize, told: &mut Vec<Told>) {
        while self.waiting.first_us().is_some_and(|time_us| time_us < watermark_us) {
            let (order, row) = self.waiting.pop_first().expect("it has a first");
            *waiting_bytes -= waiting::bytes(&order, &row);
            self.take(order.0, &row, plan, told);
        }
        while let Some(entry) = self.open.first_entry()
            && entry.get().to_us <= watermark_us
        {
            let (from_us, mut window) = entry.remove_entry();
            let report = self.report.clone();
            let mut tell =
                |what| told.push(Told { report: report.clone(), from_us, to_us: window.to_us, what });
            window.pending.drain(..).for_each(|row| tell(What::Row(row.cells_of(&report))));
            tell(What::Sealed(window.sums.tables(&report)));
        }
        self.sealed_us = self.sealed_us.max(watermark_us);
    }

    /// Takes a row whose turn it is.
    fn take(&mut self, time_us: i64, row: &[u8], plan: &Plan, told: &mut Vec<Told>) {
        let (from_us, to_us) = self.window(time_us);
        self.figures.rows += 1;
        let report = self.report.clone();
        let window = self.open.entry(from_us).or_insert_with(|| Window {
            to_us,
            sums: Sums::default(),
            pending: VecDeque::new(),
        });
        let all: Vec<Option<&[u8]>> = cells(row).collect();
        window.sums.add(&report, &all, plan.ledger.keys_max);
        if report.heads.is_empty() {
            return;
        }
        let mut tell = |what| told.push(Told { report: report.clone(), from_us, to_us, what });
        let Some(merge) = &report.merge else { return tell(What::Row(columns(&report, &all))) };
        while let Some(first) = window.pending.front()
            && first.time_us + merge.within_us < time_us
        {
            let first = window.pending.pop_front().expect("it is there");
            tell(What::Row(first.cells_of(&report)));
        }
        if !merged(&mut window.pending, merge, &report, &all) {
            let cells = all.iter().map(|cell| cell.map(Into::into)).collect();
            window.pending.push_back(Pending { time_us, cells, is_open: true });
        }
    }

    /// Takes a row of a window that is sealed.
    fn late(&mut self, (from_us, to_us): (i64, i64), row: &[u8], until_us: i64, told: &mut Vec<Told>) {
        self.figures.late += 1;
        let is_known = self.corrections.contains_key(&from_us);
        if self.report.heads.is_empty() || (!is_known && self.corrections.len() >= limits::CORRECTED_WINDOWS)
        {
            return;
        }
        let all: Vec<Option<&[u8]>> = cells(row).collect();
        let one = self
            .corrections
            .entry(from_us)
            .or_insert_with(|| Corrections { to_us, ..Corrections::default() });
        if one.open_until_us.is_none() {
            one.count += 1;
            one.open_until_us = Some(until_us);
        }
        let what = What::Late(one.count, columns(&self.report, &all));
        told.push(Told { report: self.report.clone(), from_us, to_us, what });
    }

    /// Ends the corrections that take no more rows.
    fn correct(&mut self, now_us: i64, told: &mut Vec<Told>) {
        for (from_us, one) in &mut self.corrections {
            if one.open_until_us.is_some_and(|until_us| until_us <= now_us) {
                one.open_until_us = None;
                let what = What::Corrected(one.count);
                told.push(Told { report: self.report.clone(), from_us: *from_us, to_us: one.to_us, what });
            }
        }
    }
}

/// The cells of a row that are its columns.
fn columns(report: &Report, all: &[Option<&[u8]>]) -> Box<[u8]> {
    let mut out = Vec::new();
    all.iter().take(report.heads.len()).for_each(|cell| push_cell(*cell, &mut out));
    out.into()
}

/// Whether a row went into one that waits: of equal keys, and nothing that both say is different but when and which
/// message it was.
fn merged(pending: &mut VecDeque<Pending>, merge: &Merge, report: &Report, all: &[Option<&[u8]>]) -> bool {
    use crate::plan::report::What::{Id, Message, Received, Time};
    let is_own = |at: usize| matches!(report.cells[at].what, Id | Time | Received | Message);
    let same =
        |row: &Pending, at: usize| row.cells.get(at).map(|cell| cell.as_deref()) == all.get(at).copied();
    let mut of_key =
        pending.iter_mut().rev().filter(|row| merge.by.iter().all(|at| same(row, usize::from(*at))));
    let Some(row) = of_key.next().filter(|row| row.is_open) else { return false };
    let columns = || (0..report.heads.len()).filter(|at| !is_own(*at));
    let differs = |at: usize| row.cells[at].is_some() && all[at].is_some() && !same(row, at);
    let adds = |at: usize| row.cells[at].is_none() && all[at].is_some();
    if columns().any(differs) || !columns().any(adds) {
        row.is_open = false;
        return false;
    }
    for (cell, other) in row.cells.iter_mut().zip(all) {
        if cell.is_none() {
            *cell = other.map(Into::into);
        }
    }
    true
}

impl Pending {
    fn cells_of(&self, report: &Report) -> Box<[u8]> {
        let all: Vec<Option<&[u8]>> = self.cells.iter().map(|cell| cell.as_deref()).collect();
        columns(report, &all)
    }
}
