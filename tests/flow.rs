//! A seeded simulation of the pure types: receivers, gate, shards, ring, feeds, sinks and ledger in one thread, played
//! in any order that threads could play them in, against a naive record of what was admitted.
//!
//! A failing run names its seed; `WEIR_SEED=N` plays that one alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use weir::batch::{Admission, Batch, Form, Identity, ListenerId, Number, Origin};
use weir::feed::{Feed, Stock, WhenFull, reason};
use weir::gate::Gate;
use weir::ledger::Ledger;
use weir::outcome::{Outcome, Share};
use weir::plan::{Format, Listener, Output, Plan};
use weir::ring::{Entry, ReaderId, Ring};
use weir::shard::{self, Shard};
use weir_load::rng::Rng;

const SEEDS: u64 = 300;
const SLOTS: u64 = 12;
const STEPS: usize = 600;

fn plan() -> Plan {
    let listener = Listener::new("sim");
    Plan {
        outputs: vec![Output::new(Some(Format::Ndjson), false)],
        ..Plan::new("sim".into(), vec![Arc::new(listener)])
    }
}

/// An outcome in the ring.
struct Held(Arc<Outcome>);

impl Entry for Held {
    type Gap = Share;

    fn miss(&self, _: ReaderId, gap: &mut Share) {
        gap.add(&self.0.shares[0]);
    }
}

/// A sink and its thread's state.
struct Sink {
    reader: ReaderId,
    feed: Feed,
    /// It keeps over a failure what it has taken, and takes nothing twice; else it forgets what is not safe, as a producer
    /// that is made anew does.
    keeps: bool,
    /// It cannot be opened anew, and misses what passes.
    detached: bool,
    /// It has left the ring.
    gone: bool,
    /// Taken and not yet safe: number and ids.
    taken: Vec<(Number, Vec<String>)>,
    /// Ids that are safe, in order.
    safe: Vec<String>,
    removed: bool,
    /// Frames admitted when a reload took it away.
    ends_with: Option<u64>,
    /// Frames admitted before it came.
    admitted_before: u64,
}

/// A POST as its sender knows it.
#[derive(Clone)]
struct Post {
    token: u64,
    frame_id: String,
    events: Vec<u64>,
    /// What its leading notice tells; it may grow from one try to the next.
    lost: Option<u64>,
}

impl Post {
    fn frames(&self) -> Vec<String> {
        self.lost.map(notice).into_iter().chain(self.events.iter().map(|n| event(*n))).collect()
    }

    /// Makes a run of the frames `from..to`.
    fn fill(&self, batch: &mut Batch, from: usize, to: usize) {
        let frames = self.frames();
        for text in &frames[from..to.min(frames.len())] {
            push(batch, text);
        }
        let identity = Identity::Post {
            frame_id: self.frame_id.as_str().into(),
            first: (frames.len() - from) as u32,
            continues: from > 0,
            lead_loss: self.lost,
        };
        batch.close_run(&origin(Some(self.token)), identity);
    }
}

struct Sim {
    rng: Rng,
    plan: Plan,
    gate: Gate,
    ring: Ring<Held>,
    shards: Vec<Shard>,
    /// Numbered, and not yet processed.
    queued: Vec<Batch>,
    ledger: Ledger,
    ledger_reader: ReaderId,
    sinks: Vec<Sink>,
    /// Batches that hold a slot.
    in_flight: u64,
    now_us: i64,
    next_event: u64,
    posts: Vec<Post>,
    /// What each Frame-Id has told as lost so far.
    told: HashMap<(u64, String), Option<u64>>,
    /// Number of the last batch of each Frame-Id's first try.
    whole_at: HashMap<String, Number>,
    // The naive record.
    admitted: u64,
    duplicates: u64,
    counted: (u64, u64),
    lost_upstream: u64,
    /// Texts of the events that sinks must have got, by number.
    expected: BTreeMap<Number, Vec<String>>,
    /// Numbers whose batch panicked.
    quarantined: BTreeSet<Number>,
}

fn origin(token: Option<u64>) -> Arc<Origin> {
    Arc::new(Origin {
        listener: ListenerId(0),
        peer: None,
        peer_name: None,
        token: token.map(|token| format!("d.{token}").into()),
        user: None,
        labels: Vec::new(),
        logplex: token.is_some(),
        form: Form::Syslog,
    })
}

fn event(n: u64) -> String {
    format!("<190>1 2024-01-01T00:00:00Z d.0 app web.1 - - event {n}")
}

fn notice(lost: u64) -> String {
    format!(
        "<172>1 2024-01-01T00:00:00Z host heroku logplex - Error L10 (output buffer overflow): {lost} messages dropped since 2024-01-01T00:00:00+00:00."
    )
}

fn push(batch: &mut Batch, text: &str) {
    let at = batch.append(text.as_bytes());
    batch.push_frame(at, text.len(), false);
}

impl Sim {
    fn new(seed: u64) -> Sim {
        let mut ring = Ring::default();
        let ledger_reader = ring.attach();
        let mut sim = Sim {
            rng: Rng::new(seed),
            plan: plan(),
            gate: Gate::default(),
            ring,
            shards: (0..3).map(|_| Shard::default()).collect(),
            queued: Vec::new(),
            ledger: Ledger::new(Arc::new(plan())),
            ledger_reader,
            sinks: Vec::new(),
            in_flight: 0,
            now_us: 1_700_000_000_000_000,
            next_event: 0,
            posts: Vec::new(),
            told: HashMap::new(),
            whole_at: HashMap::new(),
            admitted: 0,
            duplicates: 0,
            counted: (0, 0),
            lost_upstream: 0,
            expected: BTreeMap::new(),
            quarantined: BTreeSet::new(),
        };
        for when_full in [WhenFull::Block, WhenFull::Drop, WhenFull::Block] {
            sim.add_sink(when_full);
        }
        sim
    }

    fn add_sink(&mut self, when_full: WhenFull) {
        let reader = self.ring.attach();
        let feed = Feed::new(when_full, self.ring.mark(reader));
        self.sinks.push(Sink {
            reader,
            feed,
            keeps: self.rng.one_in(2),
            detached: false,
            gone: false,
            taken: Vec::new(),
            safe: Vec::new(),
            removed: false,
            ends_with: None,
            admitted_before: self.admitted,
        });
    }

    fn step(&mut self) {
        self.now_us += self.rng.below(400_000) as i64;
        match self.rng.below(16) {
            0..=3 => self.receive(),
            4..=6 => self.process(),
            7..=8 => self.keep_ledger(),
            15 if self.rng.one_in(12) => self.remove_a_sink(),
            _ => {
                let at = self.rng.below(self.sinks.len() as u64) as usize;
                self.deliver(at);
            }
        }
    }

    /// Admits a batch of lines and POSTs, some of them sent before, or a POST in several batches.
    fn receive(&mut self) {
        if self.rng.one_in(6) {
            return self.receive_large();
        }
        if self.in_flight >= SLOTS {
            return;
        }
        let mut batch = Batch::new(64 * 1024);
        let (mut wanted, mut posts) = (Vec::new(), Vec::new());
        for _ in 0..=self.rng.below(3) {
            if self.rng.one_in(2) {
                for _ in 0..self.rng.below(5) {
                    wanted.push(format!("event {}", self.next_event));
                    push(&mut batch, &event(self.next_event));
                    self.next_event += 1;
                    self.admitted += 1;
                }
                batch.close_run(&origin(None), Identity::Batch);
            } else {
                let post = self.some_post();
                post.fill(&mut batch, 0, usize::MAX);
                wanted.extend(self.expect(&post).into_iter().flatten());
                posts.push(post);
            }
        }
        if !batch.is_empty() {
            self.pass(vec![batch], vec![wanted], &posts);
        }
    }

    /// Admits a POST whose frames fill several batches.
    fn receive_large(&mut self) {
        let post = self.some_post();
        let frames = post.frames().len();
        if self.in_flight + frames as u64 > SLOTS {
            return;
        }
        let step = 1 + self.rng.below(3) as usize;
        let (mut group, mut wanted) = (Vec::new(), Vec::new());
        let expected = self.expect(&post);
        for from in (0..frames).step_by(step) {
            let mut batch = Batch::new(64 * 1024);
            post.fill(&mut batch, from, from + step);
            wanted.push(expected[from..frames.min(from + step)].iter().flatten().cloned().collect());
            group.push(batch);
        }
        self.pass(group, wanted, &[post]);
    }

    /// Passes the gate, and compares what it says with the naive record.
    fn pass(&mut self, mut group: Vec<Batch>, wanted: Vec<Vec<String>>, posts: &[Post]) {
        let before = self.gate.last();
        let admitted = self.gate.pass(&mut group, self.now_us);
        assert_eq!(admitted.number, before + group.len() as u64);
        for (_, fresh, duplicate) in &admitted.frames {
            self.counted = (self.counted.0 + fresh, self.counted.1 + duplicate);
        }
        for (index, run, waits_for) in &admitted.duplicates {
            let run = &group[*index].runs[*run];
            assert_ne!(run.admission, Admission::Admitted);
            let Identity::Post { frame_id, .. } = &run.identity else { panic!("only POSTs are sent again") };
            let first = self.whole_at.get(&**frame_id).copied().unwrap_or(admitted.number);
            assert!((first..=admitted.number).contains(waits_for), "a receipt comes when all is safe");
        }
        for post in posts {
            self.whole_at.entry(post.frame_id.clone()).or_insert(admitted.number);
        }
        for (batch, wanted) in group.into_iter().zip(wanted) {
            assert_eq!(batch.number, self.expected.last_key_value().map_or(0, |(last, _)| *last) + 1);
            self.expected.insert(batch.number, wanted);
            self.in_flight += 1;
            self.queued.push(batch);
        }
    }

    /// A new POST, or one of the last ones again, perhaps with another leading notice.
    fn some_post(&mut self) -> Post {
        if !self.posts.is_empty() && self.rng.one_in(2) {
            let recent = self.posts.len().saturating_sub(6);
            let at = recent + self.rng.below((self.posts.len() - recent) as u64) as usize;
            let mut post = self.posts[at].clone();
            if self.rng.one_in(3) {
                post.lost = Some(post.lost.unwrap_or(0) + self.rng.below(9));
            } else if self.rng.one_in(4) {
                post.lost = None;
            }
            return post;
        }
        let events = (0..=self.rng.below(4)).map(|n| self.next_event + n).collect::<Vec<_>>();
        self.next_event += events.len() as u64;
        let lost = self.rng.one_in(3).then(|| 1 + self.rng.below(50));
        let post =
            Post { token: self.rng.below(4), frame_id: format!("f{}", self.posts.len()), events, lost };
        self.posts.push(post.clone());
        post
    }

    /// Notes in the naive record what becomes of a try; returns the text that each frame must bring, if any.
    fn expect(&mut self, post: &Post) -> Vec<Option<String>> {
        let frames = post.frames().len() as u64;
        let key = (post.token, post.frame_id.clone());
        let notice = post.lost.map(|lost| format!("Error L10 (output buffer overflow): {lost} messages"));
        let told = self.told.get(&key).copied();
        let adds = post.lost.unwrap_or(0).saturating_sub(told.flatten().unwrap_or(0));
        let events = post.events.iter().map(|n| told.is_none().then(|| format!("event {n}")));
        let texts = notice.map(|text| (told.is_none() || adds > 0).then_some(text)).into_iter().chain(events);
        let texts: Vec<Option<String>> = texts.collect();
        let fresh = texts.iter().flatten().count() as u64;
        self.admitted += fresh;
        self.duplicates += frames - fresh;
        self.lost_upstream += adds;
        if told.is_none() || adds > 0 {
            self.told.insert(key, post.lost);
        }
        texts
    }

    /// Any shard takes any queued batch; now and then it panics.
    fn process(&mut self) {
        if self.queued.is_empty() {
            return;
        }
        let at = self.rng.below(self.queued.len() as u64) as usize;
        let batch = self.queued.swap_remove(at);
        let mut outcome = Outcome::default();
        if self.rng.one_in(20) {
            outcome = shard::quarantined(&self.plan, &batch);
            // What such a batch reports lost is not read any more.
            self.quarantined.insert(batch.number);
            self.lost_upstream -= lost_in(&batch);
        } else {
            let at = self.rng.below(self.shards.len() as u64) as usize;
            self.shards[at].process(&self.plan, &batch, &mut outcome);
        }
        self.ring.put(batch.number, Held(Arc::new(outcome)));
    }

    fn keep_ledger(&mut self) {
        while let Some(held) = self.ring.take(self.ledger_reader) {
            let outcome = held.0.clone();
            self.ledger.apply(&outcome);
            let left = self.ring.release(self.ledger_reader, outcome.number).len() as u64;
            self.in_flight -= left;
        }
    }

    /// One turn of a sink's thread.
    fn deliver(&mut self, at: usize) {
        let reader = self.sinks[at].reader;
        if self.sinks[at].gone {
            return;
        }
        if self.sinks[at].detached {
            if self.rng.one_in(8) {
                self.rejoin(at, reason::WHEN_FULL);
            }
            return;
        }
        let out_of_time = self.sinks[at].removed && self.rng.one_in(40);
        if out_of_time || self.ring.is_done(reader) {
            return self.leave(at, out_of_time);
        }
        if let Some(outcome) = self.ring.take(reader).map(|held| held.0.clone()) {
            let sink = &mut self.sinks[at];
            sink.feed.take(outcome.number, outcome.shares[0]);
            let parcel = outcome.parcels[0].as_ref();
            let rows = parcel.map_or(Vec::new(), |parcel| texts(&parcel.bytes));
            if sink.taken.last().is_none_or(|(last, _)| *last < outcome.number) {
                sink.taken.push((outcome.number, rows));
            }
        }
        match self.rng.below(10) {
            0 => self.fail(at),
            1..=4 => self.flush(at),
            _ => {}
        }
        self.detach_if_slow(at);
    }

    /// The sink makes some of what it has taken safe.
    fn flush(&mut self, at: usize) {
        let safe = self.rng.below(self.sinks[at].taken.len() as u64 + 1) as usize;
        let sink = &mut self.sinks[at];
        let Some(mark) = sink.taken[..safe].last().map(|(number, _)| *number) else { return };
        for (number, rows) in sink.taken.drain(..safe) {
            let refused = rows.len() > 1 && self.rng.one_in(8);
            let kept = if refused { &rows[1..] } else { &rows[..] };
            if refused {
                sink.feed.refuse(number, "too_large");
            }
            sink.safe.extend_from_slice(kept);
        }
        sink.feed.mark(mark);
        self.in_flight -= self.ring.release(sink.reader, mark).len() as u64;
    }

    fn fail(&mut self, at: usize) {
        let sink = &mut self.sinks[at];
        if !sink.keeps {
            sink.taken.clear();
        }
        let rows = self.ring.rewind(sink.reader).map(|held| held.0.shares[0].passed).sum();
        sink.feed.resend(rows);
    }

    fn detach_if_slow(&mut self, at: usize) {
        let sink = &mut self.sinks[at];
        let stock = if self.in_flight < SLOTS { Stock::Free } else { Stock::Dry };
        if !sink.feed.is_to_detach(self.ring.held(sink.reader), SLOTS, stock, self.now_us) {
            return;
        }
        self.detach(at);
        // It may be opened anew at once, or be out of order for a while.
        if self.rng.one_in(2) {
            self.rejoin(at, reason::WHEN_FULL);
        }
    }

    fn detach(&mut self, at: usize) {
        let sink = &mut self.sinks[at];
        self.in_flight -= self.ring.detach(sink.reader).len() as u64;
        sink.taken.clear();
        sink.detached = true;
    }

    fn rejoin(&mut self, at: usize, why: &'static str) {
        let sink = &mut self.sinks[at];
        let missed = self.ring.rejoin(sink.reader);
        sink.feed.miss(&missed, self.ring.mark(sink.reader), why);
        sink.detached = false;
    }

    /// A removed sink ends, done or out of time.
    fn leave(&mut self, at: usize, out_of_time: bool) {
        if out_of_time {
            self.detach(at);
            self.rejoin(at, reason::REMOVED);
        }
        self.sinks[at].gone = true;
        self.in_flight -= self.ring.leave(self.sinks[at].reader).len() as u64;
    }

    /// A reload takes a sink away and brings another; the gate is shut and the shards are at rest.
    fn remove_a_sink(&mut self) {
        while !self.queued.is_empty() {
            self.process();
        }
        let at = self.rng.below(self.sinks.len() as u64) as usize;
        if !self.sinks[at].removed {
            self.sinks[at].removed = true;
            self.ring.end_here(self.sinks[at].reader);
            self.sinks[at].ends_with = Some(self.admitted);
            let when_full = self.sinks[at].feed.when_full;
            self.add_sink(when_full);
        }
    }

    /// Plays on until everything is at rest, and looks at what came out.
    fn finish(&mut self) {
        for _ in 0..10_000 {
            self.process();
            self.keep_ledger();
            for at in 0..self.sinks.len() {
                self.deliver(at);
                self.flush(at);
            }
            let rest = |sink: &Sink| {
                sink.gone || !sink.removed && !sink.detached && self.ring.held(sink.reader) == 0
            };
            if self.queued.is_empty() && self.ring.head() == self.gate.last() && self.sinks.iter().all(rest) {
                break;
            }
        }
        let head = self.gate.last();
        assert_eq!(self.ring.head(), head, "every batch has its outcome");
        assert_eq!(self.in_flight, 0, "every slot is free");
        assert_eq!(self.counted, (self.admitted, self.duplicates), "duplicates are known as such");
        assert_eq!(self.ledger.number(), head);
        assert_eq!(self.ledger.apart(ListenerId(0)).lost_upstream, self.lost_upstream);
        for sink in &self.sinks {
            self.look_at(sink, head);
        }
    }

    fn look_at(&self, sink: &Sink, head: Number) {
        let books = &sink.feed.books;
        assert!(books.balance(), "{books:?}");
        assert_eq!(books.delivered, sink.safe.len() as u64);
        assert!(sink.gone || books.mark == head);
        assert_eq!(books.admitted, sink.ends_with.unwrap_or(self.admitted) - sink.admitted_before);
        if sink.feed.when_full == WhenFull::Block {
            assert_eq!(books.dropped.get(reason::WHEN_FULL), None);
        }
        // What is safe stands in number order, each once, with nothing invented.
        let all = self.expected.iter().filter(|(number, _)| !self.quarantined.contains(number));
        let mut all = all.flat_map(|(_, texts)| texts);
        for got in &sink.safe {
            let is =
                |text: &&String| got == *text || text.starts_with("Error") && got.starts_with(text.as_str());
            assert!(all.any(|text| is(&text)), "`{got}` is out of order, twice or invented");
        }
    }
}

/// The messages of a parcel's rows.
fn texts(bytes: &[u8]) -> Vec<String> {
    let lines = std::str::from_utf8(bytes).expect("JSON is UTF-8").lines();
    let message = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).expect("a row is JSON");
        event["message"].as_str().expect("every event has a message").to_string()
    };
    lines.map(message).collect()
}

/// What the admitted notices of a batch add to the messages known lost.
fn lost_in(batch: &Batch) -> u64 {
    let run = |run: &weir::batch::Run| {
        let Identity::Post { lead_loss: Some(lost), continues: false, .. } = &run.identity else { return 0 };
        match run.admission {
            Admission::Admitted => *lost,
            Admission::DuplicateButFirst { known } => lost - known,
            Admission::Duplicate => 0,
        }
    };
    batch.runs.iter().map(run).sum()
}

fn play(seed: u64) {
    let mut sim = Sim::new(seed);
    for _ in 0..STEPS {
        sim.step();
    }
    sim.finish();
}

#[test]
fn whatever_the_order_the_books_close_and_nothing_is_lost_or_doubled() {
    let one = std::env::var("WEIR_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let seeds = one.map_or(0..SEEDS, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let played = std::panic::catch_unwind(|| play(seed));
        assert!(played.is_ok(), "failed with WEIR_SEED={seed}");
    }
}
