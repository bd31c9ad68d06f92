//! Messages that belong together: joined with LF, and looked at again as one.
//!
//! The joined frame goes through a shard like any other, so that parser and rules find in it what they would have found
//! had it come whole. Of what the shard says only the rows are taken.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use super::kept::{Places, put_rows, take_rows};
use crate::batch::{Batch, Form, Identity, ListenerId, Origin};
use crate::ledger::kept::Kept;
use crate::limits;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::plan::report::What;
use crate::rows::{cells, push_cell};
use crate::shard::Shard;
use crate::signal::{PieceAt, RowAt, Signals};

/// A row on its way.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub report: u32,
    pub time_us: i64,
    pub drain: Box<[u8]>,
    pub cells: Box<[u8]>,
}

impl Row {
    pub fn of(row: &RowAt, signals: &Signals) -> Row {
        let texts = &signals.texts;
        let (drain, cells) = (row.drain.of(texts).into(), row.cells.of(texts).into());
        Row { report: row.report, time_us: row.time_us, drain, cells }
    }
}

/// A message that has begun.
#[derive(Debug)]
struct Open {
    time_us: i64,
    received_us: i64,
    id: Box<[u8]>,
    origin: Arc<Origin>,
    frame: Vec<u8>,
    pieces: usize,
    /// What the messages give if they stay alone.
    rows: Vec<Row>,
}

type Key = (u32, Box<[u8]>);

/// All joins of a plan.
pub(super) struct Joins {
    open: HashMap<Key, Open, foldhash::fast::FixedState>,
    /// Keys in the order in which their messages began, with the time.
    begun: VecDeque<(i64, Key)>,
    rows: Vec<Row>,
    shard: Shard,
    /// As the plan of the shards, but for outputs.
    plan: Option<Arc<Plan>>,
}

impl fmt::Debug for Joins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joins").field("open", &self.open).finish_non_exhaustive()
    }
}

impl Joins {
    pub fn new(plan: &Plan) -> Joins {
        let own = |plan: &Plan| Arc::new(Plan { outputs: Vec::new(), ..plan.clone() });
        Joins {
            open: HashMap::default(),
            begun: VecDeque::new(),
            rows: Vec::new(),
            shard: Shard::default(),
            plan: (!plan.watch.reports.joins.is_empty()).then(|| own(plan)),
        }
    }

    /// Rows that need not wait any longer.
    pub fn take_rows(&mut self) -> Vec<Row> {
        core::mem::take(&mut self.rows)
    }

    /// Takes the next message, with the rows that it gives if it stays alone.
    pub fn take(&mut self, plan: &Plan, piece: &PieceAt, signals: &Signals, rows: Vec<Row>) {
        let join = &plan.watch.reports.joins[piece.join as usize];
        let texts = &signals.texts;
        let key: Key = (piece.join, piece.key.of(texts).into());
        if let Some(open) = self.open.get_mut(&key) {
            let message = piece.message.of(texts);
            let fits = piece.time_us - open.time_us <= join.within_us
                && open.pieces < join.max
                && open.frame.len() + message.len() < limits::JOINED_BYTES
                && !piece.starts;
            if !fits {
                self.pass(&key);
            } else {
                open.frame.push(b'\n');
                open.frame.extend_from_slice(message);
                open.pieces += 1;
                open.rows.extend(rows);
                if piece.ends {
                    let open = self.open.remove(&key).expect("it was just there");
                    self.close(piece.join, &open);
                }
                return;
            }
        }
        if !piece.starts || self.open.len() >= limits::JOINS_OPEN {
            self.rows.extend(rows);
            return;
        }
        let open = Open {
            time_us: piece.time_us,
            received_us: piece.received_us,
            id: piece.id.of(texts).into(),
            origin: piece.origin.clone(),
            frame: piece.frame.of(texts).to_vec(),
            pieces: 1,
            rows,
        };
        self.begun.push_back((piece.time_us, key.clone()));
        self.open.insert(key, open);
    }

    /// Passes on as they stand the messages whose time is over by `watermark_us`.
    pub fn expire(&mut self, plan: &Plan, watermark_us: i64) {
        let is_over = |time_us: i64, join: u32| {
            time_us.saturating_add(plan.watch.reports.joins[join as usize].within_us) < watermark_us
        };
        while let Some((time_us, key)) = self.begun.front().filter(|(time_us, key)| is_over(*time_us, key.0))
        {
            let (time_us, key) = (*time_us, key.clone());
            self.begun.pop_front();
            // Another may have begun under its key since.
            if self.open.get(&key).is_some_and(|open| open.time_us == time_us) {
                self.pass(&key);
            }
        }
    }

    /// Appends all that has to outlive a restart; between two batches no row waits here.
    pub fn put(&self, plan: &Plan, out: &mut Vec<u8>) {
        self.begun.put(out);
        let mut open: Vec<(&Key, &Open)> = self.open.iter().collect();
        open.sort_by_key(|(key, _)| *key);
        (open.len() as u32).put(out);
        for (key, open) in open {
            let Open { time_us, received_us, id, origin, frame, pieces, rows } = open;
            key.put(out);
            (*time_us, *received_us, *pieces as u64).put(out);
            (id.clone(), Box::<[u8]>::from(&frame[..])).put(out);
            put_origin(plan, origin, out);
            put_rows(rows, out);
        }
    }

    /// Goes on from what `put` wrote. A message whose join or listener is no more is passed on as it stands.
    pub fn take_kept(&mut self, plan: &Plan, places: &Places, input: &mut &[u8]) -> Option<()> {
        let begun: VecDeque<(i64, Key)> = Kept::take(input)?;
        let here = |(join, key): Key| Some((places.join(join)?, key));
        self.begun = begun.into_iter().filter_map(|(time_us, key)| Some((time_us, here(key)?))).collect();
        for _ in 0..u32::take(input)? {
            let key: Key = Kept::take(input)?;
            let (time_us, received_us, pieces): (i64, i64, u64) = Kept::take(input)?;
            let (id, frame): (_, Box<[u8]>) = Kept::take(input)?;
            let frame = frame.into_vec();
            let origin = take_origin(plan, input)?;
            let rows = take_rows(places, input)?;
            match here(key).zip(origin) {
                Some((key, origin)) => {
                    let (origin, pieces) = (Arc::new(origin), pieces as usize);
                    self.open.insert(key, Open { time_us, received_us, id, origin, frame, pieces, rows });
                }
                None => self.rows.extend(rows),
            }
        }
        Some(())
    }

    fn pass(&mut self, key: &Key) {
        if let Some(open) = self.open.remove(key) {
            self.rows.extend(open.rows);
        }
    }

    /// Looks at messages that are whole; those that give no row together are passed on as they stand.
    fn close(&mut self, join: u32, open: &Open) {
        let Some(plan) = &self.plan else { return };
        let mut batch = Batch::new(Batch::capacity_for(open.frame.len()));
        (batch.number, batch.received_us) = (1, open.received_us);
        let at = batch.append(&open.frame);
        batch.push_frame(at, open.frame.len(), false);
        batch.close_run(&open.origin, Identity::Batch);
        let mut outcome = Outcome::default();
        self.shard.process(plan, &batch, &mut outcome);
        let Some(signals) = outcome.signals else { return self.rows.extend(open.rows.iter().cloned()) };
        let reports = &plan.watch.reports.list;
        let own = signals.rows.iter().filter(|row| reports[row.report as usize].join == Some(join));
        let before = self.rows.len();
        for row in own {
            let mut row = Row::of(row, &signals);
            row.time_us = open.time_us;
            if reports[row.report as usize].cells.iter().any(|cell| cell.what == What::Id) {
                row.cells = with_id(&row.cells, &reports[row.report as usize].cells, &open.id);
            }
            self.rows.push(row);
        }
        if self.rows.len() == before {
            self.rows.extend(open.rows.iter().cloned());
        }
    }
}

const FORMS: [Form; 4] = [Form::Syslog, Form::SyslogOrTail, Form::IngestJson, Form::IngestText];

/// Appends an origin; its listener goes by name, since numbers are of one process.
fn put_origin(plan: &Plan, origin: &Origin, out: &mut Vec<u8>) {
    let Origin { listener, peer, peer_name, token, user, labels, logplex, form } = origin;
    Box::<str>::from(&*plan.listener(*listener).name).put(out);
    peer.map(|peer| peer.to_string().into_boxed_str()).put(out);
    (peer_name.clone(), token.clone(), user.clone()).put(out);
    labels.put(out);
    let form = FORMS.iter().position(|known| known == form).expect("all forms are listed");
    (*logplex, form as u8).put(out);
}

/// Reads an origin; the inner `None` is one whose listener is no more.
fn take_origin(plan: &Plan, input: &mut &[u8]) -> Option<Option<Origin>> {
    let (name, peer): (Box<str>, Option<Box<str>>) = (Kept::take(input)?, Kept::take(input)?);
    let (peer_name, token, user) = Kept::take(input)?;
    let (labels, (logplex, form)): (_, (bool, u8)) = (Kept::take(input)?, Kept::take(input)?);
    let peer = peer.and_then(|peer| peer.parse().ok());
    let form = *FORMS.get(usize::from(form))?;
    let listener = plan.listeners.iter().position(|listener| *listener.name == *name);
    Some(listener.map(|at| {
        let listener = ListenerId(at as u16);
        Origin { listener, peer, peer_name, token, user, labels, logplex, form }
    }))
}

/// The row with the id of the first message.
fn with_id(row: &[u8], known: &[crate::plan::report::Cell], id: &[u8]) -> Box<[u8]> {
    let mut out = Vec::new();
    for (cell, known) in cells(row).zip(known) {
        push_cell(if known.what == What::Id { Some(id) } else { cell }, &mut out);
    }
    out.into()
}
