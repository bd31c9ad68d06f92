//! A shard is a function of plan and batch: parse, match, tally, encode, into one `Outcome`.
//!
//! No clock, lock, channel or I/O inside; nothing is allocated an event once the buffers have grown. What it keeps
//! from batch to batch is scratch and the open tally, so any shard may take any batch.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::batch::{Admission, Batch, Frame, ListenerId, Number, Run};
use crate::collect::Collect;
use crate::encode::{self, Alike, Written};
use crate::event::{Event, Flags, KindId, Severity, Texts};
use crate::frame;
use crate::gather::Gather;
use crate::limits;
use crate::meter::Meter;
use crate::outcome::{Apart, Outcome, Parcel, Row, Share, Word};
use crate::parse::{self, Scratch, heroku, time};
use crate::plan::rules::{self, Matched, RulesScratch};
use crate::plan::{Drain, Filter, Format, OnNoMatch, Plan};
use crate::redact::Redactor;
use crate::signal::Signals;
use crate::simd::{self, Level, Task, Vector};
use crate::tally::Tally;

/// The caller-owned part of processing.
#[derive(Default)]
pub struct Shard {
    vectors: Level,
    scratch: Scratch,
    rules: RulesScratch,
    gather: Gather,
    redactor: Redactor,
    collect: Collect,
    meter: Meter,
    alike: Alike,
    time: time::Writer,
    received: time::Writer,
    tally: Box<Tally>,
    /// Receive time of the first batch of the open tally.
    tally_since_us: Option<i64>,
    /// Emptied parcels, to be filled again.
    spare: Vec<Parcel>,
    /// The id of the event at hand, where a sample goes by it.
    id: Vec<u8>,
}

/// The last words a parcel was given, so that equal ones in a row are stored once.
#[derive(Default)]
struct LastWords {
    drain: Word,
    computer: Word,
    /// That of the run.
    listener: Word,
}

/// A parcel that is being filled.
struct Filling<'p> {
    format: Format,
    rows: bool,
    parcel: Parcel,
    last: LastWords,
    filter: Option<&'p Filter>,
    /// Events that the filter keeps out.
    filtered: u64,
}

/// The processing of one batch, compiled for each kind of vector.
struct Processing<'a> {
    shard: &'a mut Shard,
    plan: &'a Plan,
    batch: &'a Batch,
    out: &'a mut Outcome,
}

impl Task for Processing<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, vector: V) {
        self.shard.process_with(vector, self.plan, self.batch, self.out);
    }
}

impl Shard {
    /// A shard that uses these instructions and no better ones.
    pub fn new(vectors: Level) -> Shard {
        Shard { vectors, ..Shard::default() }
    }

    /// Takes back an emptied parcel, whose buffers have grown already.
    pub fn recycle(&mut self, mut parcel: Parcel) {
        parcel.bytes.clear();
        parcel.rows.clear();
        parcel.words.clear();
        parcel.events = 0;
        self.spare.push(parcel);
    }

    /// Takes back signals that were read.
    pub fn recycle_signals(&mut self, signals: Box<Signals>) {
        self.gather.recycle(signals);
    }

    /// Whether it would like signals to be given back.
    pub fn wants_signals(&self, plan: &Plan) -> bool {
        (!plan.watch.alerts.is_empty() || !plan.watch.reports.list.is_empty()) && self.gather.wants_signals()
    }

    /// What it would like to be given back: parcels that it has no spare for.
    pub fn wants_parcels(&self, plan: &Plan) -> bool {
        self.spare.len() < plan.outputs.len()
    }

    /// The open tally, if it holds anything.
    pub fn take_tally(&mut self) -> Option<Box<Tally>> {
        self.tally_since_us.take()?;
        self.meter.handed_over(&self.tally.samples);
        self.collect.handed_over(&self.tally.sums);
        Some(std::mem::take(&mut self.tally))
    }

    /// Processes a batch. `out` is empty or of an earlier batch, and is overwritten.
    pub fn process(&mut self, plan: &Plan, batch: &Batch, out: &mut Outcome) {
        simd::dispatch(self.vectors, Processing { shard: self, plan, batch, out });
    }

    #[inline(always)]
    fn process_with<V: Vector>(&mut self, vector: V, plan: &Plan, batch: &Batch, out: &mut Outcome) {
        if let Some(signals) = out.signals.take() {
            self.gather.recycle(signals);
        }
        begin(plan, batch, out);
        self.gather.forget();
        let mut fillings = self.open_parcels(plan, batch.number);
        if plan.rules.is_none() {
            self.rules.forget();
        }
        let read_by_rules = plan.rules.as_ref().is_some_and(|rules| rules.reads_fields());
        self.scratch.fields_read = !fillings.is_empty() || read_by_rules;
        for (place, run) in batch.runs.iter().enumerate() {
            let frames = match run.admission {
                Admission::Duplicate => continue,
                Admission::Admitted => batch.frames_of(run),
                Admission::DuplicateButFirst { .. } => &batch.frames_of(run)[..1],
            };
            self.run(vector, plan, batch, (place as u32, run), frames, &mut fillings, out);
        }
        out.signals = self.gather.finish(plan, batch);
        self.close_parcels(fillings, plan, out);
        self.tally.batches += 1;
        let since = *self.tally_since_us.get_or_insert(batch.received_us);
        if batch.received_us - since >= limits::TALLY_MS * 1000 {
            out.tally = self.take_tally();
        }
    }

    /// Of the outputs that bytes are made for.
    fn open_parcels<'p>(&mut self, plan: &'p Plan, number: Number) -> Vec<Filling<'p>> {
        let open = |(output, wanted): (usize, &'p crate::plan::Output)| {
            let format = wanted.format?;
            let mut parcel = self.spare.pop().unwrap_or_default();
            (parcel.number, parcel.output) = (number, output);
            let (rows, filter) = (wanted.rows, wanted.filter.as_deref());
            Some(Filling { format, rows, parcel, last: LastWords::default(), filter, filtered: 0 })
        };
        plan.outputs.iter().enumerate().filter_map(open).collect()
    }

    fn close_parcels(&mut self, fillings: Vec<Filling>, plan: &Plan, out: &mut Outcome) {
        out.parcels.resize(plan.outputs.len(), None);
        for Filling { parcel, filter, filtered, .. } in fillings {
            if filter.is_some() {
                // What passed the rest is told apart here alone.
                let share = &mut out.shares[parcel.output];
                share.passed = parcel.events.into();
                share.filtered += filtered;
            }
            match parcel.events {
                0 => self.recycle(parcel),
                _ => {
                    let place = parcel.output;
                    out.parcels[place] = Some(Arc::new(parcel));
                }
            }
        }
    }

    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "the pieces of one loop over a batch")]
    fn run<V: Vector>(
        &mut self,
        vector: V,
        plan: &Plan,
        batch: &Batch,
        (run_at, run): (u32, &Run),
        frames: &[Frame],
        fillings: &mut [Filling<'_>],
        out: &mut Outcome,
    ) {
        let listener = plan.listener(run.origin.listener);
        let mut share = Share { admitted: frames.len() as u64, ..Share::default() };
        let mut apart = Apart::default();
        if listener.count_only {
            share.filtered = share.admitted;
            apart.truncated = frames.iter().filter(|frame| frame.truncated).count() as u64;
            finish_run(run.origin.listener, &share, &apart, out);
            return;
        }
        let is_written = !fillings.is_empty();
        let is_watched = !plan.watch.alerts.is_empty();
        if is_written {
            self.alike.turn_to_run(vector, plan, batch, run);
            for filling in fillings.iter_mut().filter(|filling| filling.rows) {
                filling.last.listener =
                    same_word(&mut filling.parcel.words, filling.last.listener, listener.name.as_bytes());
            }
        }
        let known_lost = match run.admission {
            Admission::DuplicateButFirst { known } => known,
            _ => 0,
        };
        for (place, &frame) in frames.iter().enumerate() {
            let mut event = parse::event_by(vector, plan, batch, run, frame, &mut self.scratch);
            if plan.rules.is_some() {
                let last = encode::last_number(batch, run, run.first + place as u32);
                (event.kind, event.severity) = self.known(plan, batch, (run_at, run), last, event);
            }
            let covered = match &plan.masks {
                Some(masks) if is_written => self.redactor.shown(
                    masks,
                    &self.rules,
                    &event,
                    &self.scratch.fields,
                    batch.bytes(),
                    &mut self.scratch.made,
                    &mut self.tally,
                ),
                _ => None,
            };
            if is_written && !self.scratch.made.is_empty() {
                // To be read with made text, as the batch's slack is with its own.
                self.scratch.made.extend_from_slice(&[0; limits::MADE_SLACK_BYTES]);
            }
            let texts = Texts { batch: batch.padded(), made: &self.scratch.made };
            if !event.flags.is_empty() {
                count_flags(&event, &mut apart);
            }
            if self.scratch.no_match {
                apart.no_match += 1;
            }
            let lost = count(&mut self.tally, run.origin.listener, &event, texts, &self.scratch, known_lost);
            apart.lost_upstream += lost;
            if is_watched {
                self.gather.flow(texts.get(event.drain), event.time_us.min(batch.received_us), lost);
            }
            if self.scratch.no_match && listener.on_no_match != OnNoMatch::Accept {
                if listener.on_no_match == OnNoMatch::Drop {
                    share.no_match += 1;
                } else {
                    share.quarantined += 1;
                    quarantine(event.received_us, run, texts.get(event.frame), &mut out.quarantine);
                }
                continue;
            }
            share.passed += 1;
            if !is_written {
                continue;
            }
            let drain = drain_of(plan, texts.get(event.drain));
            self.alike.turn_to_drain(vector, plan, run, drain);
            let (time, received) = (self.time.write(event.time_us), self.received.write(event.received_us));
            let last = encode::last_number(batch, run, run.first + place as u32);
            let (shown, fields) = match &covered {
                Some(covered) => (covered, self.redactor.fields()),
                None => (&event, &self.scratch.fields[..]),
            };
            // Made where it is written, so that its parts stay in registers.
            let written = || Written {
                plan,
                run,
                event: shown,
                texts,
                fields,
                drain,
                alike: &self.alike,
                last,
                time,
                received,
                categories: &self.rules.matched().categories_json,
            };
            for filling in &mut *fillings {
                if let Some(filter) = filling.filter {
                    let mut hash = || {
                        self.id.clear();
                        self.alike.id(vector, last, &mut self.id);
                        xxh3_64(&self.id)
                    };
                    if !takes(filter, self.rules.matched(), &mut hash) {
                        filling.filtered += 1;
                        continue;
                    }
                }
                filling.add(vector, &written);
            }
        }
        finish_run(run.origin.listener, &share, &apart, out);
    }

    /// The event's kind and severity by the plan's rules, which change nothing else of it; their fields and categories are
    /// in the scratch. It takes a copy, so that without rules an event stays in registers.
    #[inline(never)]
    fn known(
        &mut self,
        plan: &Plan,
        batch: &Batch,
        (run_at, run): (u32, &Run),
        last: u64,
        mut event: Event,
    ) -> (KindId, Severity) {
        let by_parser = event.kind;
        let Scratch { made, fields, .. } = &mut self.scratch;
        rules::apply(plan, run, batch.bytes(), &mut event, made, fields, &mut self.rules, |seen| {
            self.gather.see(plan, batch, run_at, last, seen);
            self.collect.see(plan, batch, seen, &mut self.tally.sums);
            self.meter.see(plan, batch, seen, &mut self.tally.samples);
        });
        let matched = self.rules.matched();
        self.tally.unconverted += u64::from(matched.unconverted);
        self.tally.conflicts += u64::from(matched.conflicts);
        if let (false, Some(program)) = (matched.categories.is_empty(), &plan.rules) {
            self.tally.categories.turn_to(program.categories());
            matched.categories.iter().for_each(|category| self.tally.categories.add(*category as usize, 1));
        }
        if event.kind == heroku::ROUTER && by_parser != heroku::ROUTER {
            self.scratch.told = self.scratch.told_by_fields();
        }
        (event.kind, event.severity)
    }
}

/// Prepares `out` for the batch.
fn begin(plan: &Plan, batch: &Batch, out: &mut Outcome) {
    out.number = batch.number;
    out.received_us = batch.received_us;
    out.parcels.clear();
    out.shares.clear();
    out.shares.resize(plan.outputs.len(), Share::default());
    out.apart.clear();
    out.tally = None;
    out.quarantine.clear();
    out.signals = None;
}

/// The outcome of a batch that could not be processed: all its admitted frames are quarantined for every output.
pub fn quarantined(plan: &Plan, batch: &Batch) -> Outcome {
    let mut out = Outcome::default();
    begin(plan, batch, &mut out);
    out.parcels.resize(plan.outputs.len(), None);
    for run in &batch.runs {
        let frames = match run.admission {
            Admission::Duplicate => continue,
            Admission::Admitted => batch.frames_of(run),
            Admission::DuplicateButFirst { .. } => &batch.frames_of(run)[..1],
        };
        for frame in frames {
            let raw = &batch.bytes()[frame.span().start()..frame.span().end()];
            quarantine(run.received_us.unwrap_or(batch.received_us), run, raw, &mut out.quarantine);
        }
        let n = frames.len() as u64;
        finish_run(
            run.origin.listener,
            &Share { admitted: n, quarantined: n, ..Share::default() },
            &Apart::default(),
            &mut out,
        );
    }
    out
}

/// Whether an event that was found to be `matched` passes; `hash` is that of its id.
#[inline(never)]
fn takes(filter: &Filter, matched: &Matched, hash: &mut dyn FnMut() -> u64) -> bool {
    if filter.select.is_some_and(|select| !matched.selects(select)) {
        return false;
    }
    let entry = filter.sample.iter().find(|(select, _)| matched.selects(*select));
    entry.is_none_or(|(_, one_in)| hash().is_multiple_of(*one_in))
}

/// Enters a run's figures: the same share for every output; what filters make of it is entered with the parcels.
fn finish_run(listener: ListenerId, share: &Share, apart: &Apart, out: &mut Outcome) {
    for sum in &mut out.shares {
        sum.add(share);
    }
    match out.apart.iter_mut().find(|(id, _)| *id == listener) {
        Some((_, sum)) => sum.add(apart),
        None => out.apart.push((listener, *apart)),
    }
}

#[cold]
fn count_flags(event: &Event, apart: &mut Apart) {
    apart.truncated += u64::from(event.flags.has(Flags::TRUNCATED));
    apart.bad_time += u64::from(event.flags.has(Flags::BAD_TIME));
    apart.invalid_utf8 += u64::from(event.flags.has(Flags::INVALID_UTF8));
    apart.unparsed += u64::from(event.flags.has(Flags::UNPARSED));
}

/// Adds the event to the statistics; returns how many messages it reports lost that were not told before.
#[inline(always)]
fn count(
    tally: &mut Tally,
    listener: ListenerId,
    event: &Event,
    texts: Texts,
    scratch: &Scratch,
    known_lost: u64,
) -> u64 {
    tally.event(listener, event.kind, event.severity);
    if !event.drain.is_empty() {
        tally.drain(texts.get(event.drain));
    }
    match event.kind {
        heroku::ROUTER => {
            tally.router(scratch.told.status, texts.get(scratch.told.code));
            0
        }
        heroku::UPSTREAM_LOSS => {
            let lost = scratch.int(heroku::LOST).unwrap_or(0).saturating_sub(known_lost);
            tally.lost(scratch.text(heroku::CODE, texts.batch).unwrap_or(b""), lost);
            lost
        }
        _ => 0,
    }
}

#[inline(always)]
fn drain_of<'p>(plan: &'p Plan, token: &[u8]) -> Option<&'p Drain> {
    match plan.drains.is_empty() || token.is_empty() {
        true => None,
        false => plan.drains.get(std::str::from_utf8(token).ok()?),
    }
}

impl Filling<'_> {
    #[inline(always)]
    fn add<'w, V: Vector>(&mut self, vector: V, written: &impl Fn() -> Written<'w>) {
        match self.format {
            Format::Ndjson => encode::json::write(vector, &written(), &mut self.parcel.bytes),
            Format::EventTracker => {
                encode::eventtracker::write(vector, &written(), &mut self.parcel.bytes);
            }
        }
        self.parcel.events += 1;
        if !self.rows {
            return;
        }
        let written = written();
        let words = &mut self.parcel.words;
        let at = words.len();
        written.alike.id(vector, written.last, words);
        let id = Word { at: at as u32, len: (words.len() - at) as u32 };
        self.last.drain = same_word(words, self.last.drain, written.texts.get(written.event.drain));
        self.last.computer =
            same_word(words, self.last.computer, written.computer().unwrap_or("").as_bytes());
        self.parcel.rows.push(Row {
            end: self.parcel.bytes.len() as u32,
            id,
            drain: self.last.drain,
            computer: self.last.computer,
            listener: self.last.listener,
            kind: written.event.kind,
            received_us: written.event.received_us,
        });
    }
}

fn push_word(words: &mut Vec<u8>, text: &[u8]) -> Word {
    let at = words.len() as u32;
    words.extend_from_slice(text);
    Word { at, len: text.len() as u32 }
}

/// The last word again if it is the same text, else a new one.
fn same_word(words: &mut Vec<u8>, last: Word, text: &[u8]) -> Word {
    match &words[last.at as usize..(last.at + last.len) as usize] == text {
        true => last,
        false => push_word(words, text),
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Appends a frame as a record that `replay --framing records` reads again.
fn quarantine(received_us: i64, run: &Run, raw: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"received":""#);
    out.extend_from_slice(&time::write(received_us));
    out.push(b'"');
    if let Some(peer) = run.origin.peer {
        out.extend_from_slice(format!(r#","peer":"{peer}""#).as_bytes());
    }
    out.extend_from_slice(br#","raw_base64":""#);
    // Without a count a record is read line by line, and a message may hold line feeds.
    let counted = [raw.len().to_string().as_bytes(), b" ", raw].concat();
    let raw = if frame::is_frame_start(&counted) == Some(true) { &counted[..] } else { raw };
    for chunk in raw.chunks(3) {
        let word =
            chunk.iter().fold(0u32, |word, &byte| word << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = BASE64[(word >> (18 - 6 * place)) as usize & 63];
            out.push(if place <= chunk.len() { digit } else { b'=' });
        }
    }
    out.extend_from_slice(b"\"}\n");
}
