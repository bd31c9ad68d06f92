//! Batches as receivers make them, of what the load generator sends: what benchmarks and the allocation test process.
//!
//! A syslog run is about 4 KB of one connection, as Logplex writes it, and 200 connections take turns; an HTTP run is
//! one POST of one drain. A batch ends where the next run might not fit. The same corpus has the same bytes everywhere.
//! The time a batch covers is set so that a shard hands its tally over as often as at half a million events a second.

#![allow(dead_code, reason = "each target that includes this uses a part of it")]

pub mod hostile;
pub mod windows;

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;

use weir::batch::{Batch, Form, Identity, ListenerId, Origin};
use weir::compile;
use weir::frame::{Framer, Framing, Step};
use weir::limits;
use weir::outcome::Outcome;
use weir::pack;
use weir::plan::mask::{Looks, Mask, Masks};
use weir::plan::{Format, Listener, Output, Plan};
use weir::shard::Shard;
use weir_load::corpus::{Class, Mix};
use weir_load::generator::{self, Generator, Load};
use weir_load::stamp::Stamp;

/// Bytes of one write of a syslog drain.
const PIECE_BYTES: usize = 4096;
/// Bytes of one POST at most; real ones are between one line and 102,400 bytes.
const POST_BYTES: usize = 30_000;
/// No message of the generator is longer.
const MESSAGE_BYTES_MAX: usize = 10_000;
const CONNECTIONS: u32 = 200;
/// Time of the first event, microseconds since 1970.
const START_US: i64 = 1_795_341_084_000_000;
/// Receive time between two batches.
const BATCH_US: i64 = 1000;

/// Which messages, in which form.
#[derive(Clone, Copy)]
pub struct Corpus {
    pub name: &'static str,
    pub mix: Mix,
    pub form: generator::Form,
    /// With the lines whose text is a JSON body.
    pub json: bool,
}

/// All corpora that are measured.
pub const CORPORA: &[Corpus] = &[
    corpus("router-heavy-syslog", Mix::RouterHeavy, generator::Form::Syslog, true),
    corpus("router-heavy-no-json-syslog", Mix::RouterHeavy, generator::Form::Syslog, false),
    corpus("fair-syslog", Mix::Fair, generator::Form::Syslog, true),
    corpus("router-heavy-https", Mix::RouterHeavy, generator::Form::Https, true),
    corpus("router-heavy-no-json-https", Mix::RouterHeavy, generator::Form::Https, false),
    corpus("fair-https", Mix::Fair, generator::Form::Https, true),
];

const fn corpus(name: &'static str, mix: Mix, form: generator::Form, json: bool) -> Corpus {
    Corpus { name, mix, form, json }
}

impl Corpus {
    /// `count` batches of at most `frames` frames.
    pub fn batches(&self, count: usize, frames: usize) -> Vec<Batch> {
        self.endless(frames).take(count).collect()
    }

    /// Batches of at most `frames` frames.
    pub fn endless(&self, frames: usize) -> impl Iterator<Item = Batch> {
        let load = Load::new(1, self.mix, self.form, START_US, CONNECTIONS, None, POST_BYTES);
        let mut source = Source {
            json: self.json,
            form: self.form,
            generator: Generator::new(load),
            origins: (0..CONNECTIONS).map(|_| None).collect(),
            sequences: vec![0; CONNECTIONS as usize],
            stamp: Stamp::default(),
            turn: 0,
            posts: 0,
        };
        (1..).map(move |number| {
            let mut batch = source.batch(frames);
            batch.number = number;
            batch
        })
    }
}

/// Where the next run comes from.
struct Source {
    json: bool,
    form: generator::Form,
    generator: Generator,
    /// A connection's origin, as long as its drain stays the same.
    origins: Vec<Option<Arc<Origin>>>,
    sequences: Vec<u64>,
    stamp: Stamp,
    turn: usize,
    posts: u64,
}

impl Source {
    fn batch(&mut self, frames: usize) -> Batch {
        let mut batch = Batch::new(Batch::capacity_for(limits::FRAME_BYTES));
        let room = self.piece_bytes() + MESSAGE_BYTES_MAX;
        while batch.room() >= room && batch.frames.len() < frames {
            self.run(&mut batch, frames);
        }
        batch
    }

    /// Appends one write of the next connection, or one POST.
    fn run(&mut self, batch: &mut Batch, frames: usize) {
        let connection = self.turn % self.sequences.len();
        self.turn += 1;
        let first = self.sequences[connection];
        let block = self.generator.load().left_of_block(first);
        let mut bytes = Vec::new();
        let mut starts = Vec::new();
        while bytes.len() < self.piece_bytes()
            && self.sequences[connection] - first < block
            && batch.frames.len() + starts.len() < frames
        {
            let sequence = self.sequences[connection];
            self.sequences[connection] += 1;
            let class = self.generator.expect(connection as u32, sequence).template.class;
            if class != Class::Json || self.json {
                let start = bytes.len();
                self.generator.frame(connection as u32, sequence, &mut self.stamp, &mut bytes);
                let count = bytes[start..].iter().position(|&byte| byte == b' ').expect("a count") + 1;
                starts.push((start + count, bytes.len()));
            }
        }
        let at = batch.append(&bytes);
        for &(start, end) in &starts {
            batch.push_frame(at + start, end - start, false);
        }
        let origin = self.origin(connection, first);
        let identity = match self.form {
            generator::Form::Syslog => Identity::Batch,
            generator::Form::Https => {
                self.posts += 1;
                let frame_id = format!("{:032x}", self.posts).into();
                Identity::Post { frame_id, first: starts.len() as u32, continues: false, lead_loss: None }
            }
        };
        batch.close_run(&origin, identity);
    }

    /// About how long a run is: the frame that reaches it is the last.
    fn piece_bytes(&self) -> usize {
        match self.form {
            generator::Form::Syslog => PIECE_BYTES,
            generator::Form::Https => POST_BYTES,
        }
    }

    fn origin(&mut self, connection: usize, sequence: u64) -> Arc<Origin> {
        let https = self.form == generator::Form::Https;
        if let (false, Some(origin)) = (https, &self.origins[connection]) {
            return origin.clone();
        }
        let drain = self.generator.drain(connection as u32, sequence);
        let origin = Arc::new(Origin {
            listener: ListenerId(0),
            peer: Some(IpAddr::from([10, 1, (connection / 100) as u8, (connection % 100) as u8])),
            peer_name: None,
            token: https.then(|| drain.into()),
            user: None,
            labels: Vec::new(),
            logplex: https,
            form: Form::Syslog,
        });
        self.origins[connection] = Some(origin.clone());
        origin
    }
}

/// A plan of one listener that writes in `format`, or only counts.
pub fn plan(format: Option<Format>) -> Plan {
    let listener = Listener::new("heroku");
    Plan {
        outputs: compile::outputs([Output::new(format, false)], &[]),
        ..Plan::new("0123456789ab".into(), vec![Arc::new(listener)])
    }
}

/// A pack of `n` rules, each of one literal that hardly ever occurs.
fn literals(n: usize) -> pack::Pack {
    let mut text = "weir: pack/v1\npack: {id: literals, version: 1.0.0}\ncategories:\n".to_string();
    for n in 0..n {
        text += &format!("- {{id: c{n}, detect: {{s: {{message|contains: 'xq{n:05}zj literal'}}}}}}\n");
    }
    pack::read("literals", &text, &[], &[]).expect("a pack without problems")
}

/// A shard at work: it gets its parcels back, and time goes on.
pub struct Work {
    plan: Plan,
    shard: Shard,
    out: Outcome,
    now_us: i64,
}

impl Work {
    pub fn new(format: Option<Format>) -> Work {
        Work { plan: plan(format), shard: Shard::default(), out: Outcome::default(), now_us: START_US }
    }

    /// Gives the plan packs, by id or path, a final `+` for their dashlets and metrics too, then a final `!` for all their
    /// alerts on, or so many rules of one literal each.
    pub fn know(&mut self, rules: &str) {
        let all_on = rules.ends_with('!');
        let rules = rules.trim_end_matches('!');
        let (rules, whole) = (rules.trim_end_matches('+'), rules.ends_with('+'));
        let mut packs = match rules.parse::<usize>() {
            Ok(n) => vec![literals(n)],
            Err(_) => {
                let names: Vec<&str> = rules.split(',').collect();
                pack::load_all(&names, &[]).expect("packs without problems")
            }
        };
        if all_on {
            packs.iter_mut().flat_map(|pack| &mut pack.alerts).for_each(|alert| alert.mode = "on".into());
        }
        if whole {
            packs.iter_mut().for_each(|pack| pack.reports.clear());
            let pack::Compiled { program, watch } =
                pack::compile(&packs, &[]).expect("packs that go together");
            (self.plan.rules, self.plan.watch) = (Some(program), watch);
            return;
        }
        let rules = compile::rules_of(&packs, None).expect("packs that go together");
        rules.put_in(&mut self.plan);
    }

    /// Gives the plan a mask of each kind.
    pub fn mask(&mut self) {
        let looks = [Looks::Email, Looks::Bearer, Looks::Card, Looks::Regex("pass(?:word)?[=:]\\S+")];
        let mask = |looks| Mask::new("mask", looks, "[redacted]").expect("an expression without mistakes");
        self.plan.masks = Some(Arc::new(Masks::new(looks.map(mask).into(), [1, 2])));
    }

    /// Processes a batch; returns the bytes that it wrote.
    pub fn process(&mut self, batch: &mut Batch) -> usize {
        batch.received_us = self.now_us;
        self.now_us += BATCH_US;
        self.shard.process(&self.plan, batch, &mut self.out);
        let mut written = 0;
        for parcel in self.out.parcels.drain(..).flatten() {
            written += parcel.bytes.len();
            self.shard.recycle(Arc::into_inner(parcel).expect("nobody else holds the parcel"));
        }
        written
    }
}

/// Finds the frames in the bytes of a batch, as a receiver does; `frames` is emptied before.
#[inline(always)]
pub fn frame(batch: &Batch, frames: &mut Vec<(usize, usize)>) {
    frames.clear();
    let bytes = black_box(batch.bytes());
    let mut framer = Framer::new(Framing::Octet, limits::FRAME_BYTES);
    let mut at = 0;
    while let Step::Frame { start, end, next, .. } = framer.step(bytes, at) {
        frames.push((start, end));
        at = next;
    }
    assert_eq!(frames.len(), batch.frames.len());
}

/// Events in the batches.
pub fn events(batches: &[Batch]) -> u64 {
    batches.iter().map(|batch| batch.frames.len() as u64).sum()
}

/// Bytes of their frames, without counts.
pub fn bytes(batches: &[Batch]) -> u64 {
    batches.iter().flat_map(|batch| &batch.frames).map(|frame| u64::from(frame.len)).sum()
}
