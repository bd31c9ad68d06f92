//! Numbers the messages: which one a connection sends as its n-th, as bytes and as the event it must become.
//!
//! Every event has a *connection* and a *sequence*. Both are carried by the event's time, the one part that every
//! kind has and that no kind is distorted by: microseconds since the start = sequence × `step_us` + slot. A syslog
//! connection is one drain, so its slot and its drain name it; over HTTP the slot alone does, and the drain changes
//! from block to block. Lines with a request id carry connection and sequence there too, so that a text that
//! wandered into another event is seen.
//!
//! Invariants: times of a connection increase, no two events of a run have equal drain and time, and with a
//! `step_us` that fits the rate the events' clock keeps pace with the wall clock.
//!
//! No I/O and no clock here; the pool of a thousand messages an application is made once, on first use.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::corpus::{self, Mix, TEMPLATES, Template, UUID_SLOT, Value};
use crate::rng::{Rng, mix};
use crate::stamp::{self, Stamp};

/// Drains of a run.
pub const DRAINS: usize = 200;

/// Applications of a run, each with its own host, dynos and add-ons; ten drains share one.
pub const APPS: usize = 20;

/// What Logplex assumes for a run without a rate: only the events' clock depends on it.
const EVENTS_PER_SECOND_MAX: f64 = 500_000.0;

/// Mean bytes of a framed message over both mixes, for sizing blocks; nothing depends on it being exact.
const FRAME_LEN_MEAN: usize = 280;

/// Which of the two headers is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The drain token as HOSTNAME, structured data `-`, always a final line feed.
    Syslog,
    /// `host` as HOSTNAME, no structured data, the token in a request header.
    Https,
}

impl Form {
    /// The name in records.
    pub fn name(self) -> &'static str {
        match self {
            Form::Syslog => "syslog",
            Form::Https => "https",
        }
    }

    /// The form of that name.
    pub fn named(name: &str) -> Option<Form> {
        [Form::Syslog, Form::Https].into_iter().find(|form| form.name() == name)
    }
}

/// All that determines what is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    pub seed: u64,
    pub mix: Mix,
    pub form: Form,
    /// Time of the first event, microseconds since the epoch.
    pub start_us: i64,
    /// Time between two events of a connection, microseconds; also the number of slots.
    pub step_us: u64,
    /// Over HTTP the drain changes after so many events; 0 in the syslog form.
    pub block: u64,
}

impl Load {
    /// Chooses step and block for so many connections, a total rate (events a second), and POSTs of a size.
    pub fn new(
        seed: u64,
        mix: Mix,
        form: Form,
        start_us: i64,
        connections: u32,
        rate: Option<f64>,
        post_bytes: usize,
    ) -> Load {
        let fitting = f64::from(connections) * 1e6 / rate.unwrap_or(EVENTS_PER_SECOND_MAX);
        let (slots, block) = match form {
            Form::Syslog => (u64::from(connections).div_ceil(DRAINS as u64), 0),
            // Filled to nine tenths on average, so that most blocks fit one POST; Logplex sends 1,024 at most.
            Form::Https => {
                (u64::from(connections), (post_bytes * 9 / 10 / FRAME_LEN_MEAN).clamp(1, 1024) as u64)
            }
        };
        Load { seed, mix, form, start_us, step_us: (fitting.round() as u64).max(slots).max(1), block }
    }

    /// The slot within a step that a connection's events have.
    fn slot(&self, connection: u32) -> u64 {
        match self.form {
            Form::Syslog => u64::from(connection) / DRAINS as u64,
            Form::Https => u64::from(connection),
        }
    }

    /// Whether there is room for a connection of this number (a reconnected sender takes new ones).
    pub fn has_room(&self, connection: u32) -> bool {
        self.slot(connection) < self.step_us
    }

    /// The time of an event, microseconds since the epoch.
    pub fn time_us(&self, connection: u32, sequence: u64) -> i64 {
        self.start_us + (sequence * self.step_us + self.slot(connection)) as i64
    }

    /// The drain that an event is of.
    pub fn drain(&self, connection: u32, sequence: u64) -> usize {
        match self.form {
            Form::Syslog => connection as usize % DRAINS,
            Form::Https => {
                let block = sequence / self.block;
                // Blocks walk over the drains from a place of the connection's own.
                (mix(self.seed ^ u64::from(connection)).wrapping_add(block.wrapping_mul(67)) % DRAINS as u64)
                    as usize
            }
        }
    }

    /// How many events from `sequence` on are of one drain; unlimited in the syslog form.
    pub fn left_of_block(&self, sequence: u64) -> u64 {
        match self.form {
            Form::Syslog => u64::MAX,
            Form::Https => self.block - sequence % self.block,
        }
    }

    /// The run as eight hex digits, in request ids and frame ids.
    pub fn run(&self) -> u32 {
        mix(self.seed ^ (self.start_us as u64).rotate_left(20)) as u32
    }
}

/// A template cut up for copying.
struct Cut {
    template: Template,
    /// `<PRI>1 `.
    head: String,
    /// From the blank behind HOSTNAME to the end of the frame.
    tail: Vec<u8>,
    uuid_at: Option<usize>,
}

/// Makes the events of one load; shared by all connections.
pub struct Generator {
    load: Load,
    drains: Vec<String>,
    drain_index: HashMap<String, usize>,
    apps: [OnceLock<Vec<Cut>>; APPS],
}

/// The event that one message must become; keys as in weir's output.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    pub template: &'a Template,
    pub time_us: i64,
    pub drain: &'a str,
    /// What stands at [`UUID_SLOT`].
    pub uuid: [u8; 36],
}

impl Generator {
    /// A generator for `load`.
    pub fn new(load: Load) -> Generator {
        // The two forms have drains of their own, so that one output can hold a run of each under one seed.
        let mut rng = Rng::new(load.seed ^ if load.form == Form::Syslog { 0xD4A1 } else { 0xD4A2 });
        let drains: Vec<String> = (0..DRAINS).map(|_| format!("d.{}", rng.uuid())).collect();
        let drain_index = drains.iter().cloned().enumerate().map(|(at, token)| (token, at)).collect();
        Generator { load, drains, drain_index, apps: [const { OnceLock::new() }; APPS] }
    }

    /// The load it was made for.
    pub fn load(&self) -> &Load {
        &self.load
    }

    /// The tokens of all drains.
    pub fn drains(&self) -> &[String] {
        &self.drains
    }

    /// The token of the drain that an event is of.
    pub fn drain(&self, connection: u32, sequence: u64) -> &str {
        &self.drains[self.load.drain(connection, sequence)]
    }

    /// Appends the message, without its octet count.
    #[inline]
    pub fn message(&self, connection: u32, sequence: u64, stamp: &mut Stamp, out: &mut Vec<u8>) {
        let drain = self.load.drain(connection, sequence);
        let cut = self.cut(drain, connection, sequence);
        out.extend_from_slice(cut.head.as_bytes());
        stamp.push(self.load.time_us(connection, sequence), cut.template.style, out);
        out.push(b' ');
        out.extend_from_slice(match self.load.form {
            Form::Syslog => self.drains[drain].as_bytes(),
            Form::Https => b"host",
        });
        let tail_at = out.len();
        out.extend_from_slice(&cut.tail);
        if let Some(at) = cut.uuid_at {
            let at = tail_at + at;
            out[at..at + 36].copy_from_slice(&self.uuid(connection, sequence));
        }
    }

    /// Appends the octet count and the message.
    #[inline]
    pub fn frame(&self, connection: u32, sequence: u64, stamp: &mut Stamp, out: &mut Vec<u8>) {
        let count_at = out.len();
        out.extend_from_slice(b"000 ");
        let message_at = out.len();
        self.message(connection, sequence, stamp, out);
        let len = out.len() - message_at;
        if (100..1000).contains(&len) {
            let digits = [b'0' + (len / 100) as u8, b'0' + (len / 10 % 10) as u8, b'0' + (len % 10) as u8];
            out[count_at..count_at + 3].copy_from_slice(&digits);
        } else {
            let count = len.to_string();
            out.splice(count_at..count_at + 3, count.bytes());
        }
    }

    /// The event that the message must become.
    pub fn expect(&self, connection: u32, sequence: u64) -> Expected<'_> {
        let drain = self.load.drain(connection, sequence);
        Expected {
            template: &self.cut(drain, connection, sequence).template,
            time_us: self.load.time_us(connection, sequence),
            drain: &self.drains[drain],
            uuid: self.uuid(connection, sequence),
        }
    }

    /// Connection and sequence of the event with this drain and time; None if this load has no such drain, or
    /// nothing of its own at that time.
    pub fn locate(&self, drain: &str, time_us: i64) -> Option<(u32, u64)> {
        let drain = *self.drain_index.get(drain)?;
        let since = u64::try_from(time_us.checked_sub(self.load.start_us)?).ok()?;
        let (sequence, slot) = (since / self.load.step_us, since % self.load.step_us);
        let connection = match self.load.form {
            Form::Syslog => slot * DRAINS as u64 + drain as u64,
            Form::Https => slot,
        };
        Some((u32::try_from(connection).ok()?, sequence))
    }

    #[inline]
    fn cut(&self, drain: usize, connection: u32, sequence: u64) -> &Cut {
        let pool = self.apps[drain % APPS].get_or_init(|| self.pool(drain % APPS));
        let place =
            mix(self.load.seed ^ sequence.wrapping_mul(0xA24B_AED4_963E_E407) ^ u64::from(connection) << 44);
        &pool[(((place >> 32) * TEMPLATES as u64) >> 32) as usize]
    }

    fn pool(&self, app: usize) -> Vec<Cut> {
        let cut = |template: Template| {
            let data = if self.load.form == Form::Syslog { "- " } else { "" };
            let line_feed = if self.load.form == Form::Syslog || template.line_feed { "\n" } else { "" };
            let tail =
                format!(" {} {} - {data}{}{line_feed}", template.source, template.process, template.text);
            Cut {
                head: format!("<{}>1 ", template.pri),
                uuid_at: tail.find(UUID_SLOT),
                tail: tail.into_bytes(),
                template,
            }
        };
        corpus::templates(self.load.seed, app, self.load.mix).into_iter().map(cut).collect()
    }

    /// RUN-CONN-4xxx-8xxx-SEQ, readable by eye and a valid version 4.
    fn uuid(&self, connection: u32, sequence: u64) -> [u8; 36] {
        let mut out = *b"00000000-0000-4000-8000-000000000000";
        let mut put = |from: usize, to: usize, value: u64| {
            let mut left = value;
            for place in out[from..to].iter_mut().rev() {
                *place = b"0123456789abcdef"[(left & 15) as usize];
                left >>= 4;
            }
        };
        put(0, 8, u64::from(self.load.run()));
        put(9, 13, u64::from(connection));
        put(15, 18, u64::from(connection) >> 16);
        put(24, 36, sequence);
        out
    }
}

impl Expected<'_> {
    /// The value with the event's own UUID in its place.
    pub fn filled(&self, text: &str) -> String {
        let uuid = std::str::from_utf8(&self.uuid).expect("hex digits and dashes");
        text.replace(UUID_SLOT, uuid)
    }

    /// The event as one line of JSON without line feed: keys in weir's order, but `id`, `received`, `listener` and
    /// `peer`, which the generator cannot know. For tests and for showing.
    pub fn to_json(&self) -> String {
        let template = self.template;
        let quoted = |text: &str| serde_json::Value::from(self.filled(text)).to_string();
        let field = |(name, value): &(String, Value)| {
            let value = match value {
                Value::Text(text) => quoted(text),
                Value::Number(text) | Value::Digits(text) | Value::Json(text) => text.clone(),
                Value::Bool(yes) => yes.to_string(),
                Value::Addresses(list) => {
                    format!("[{}]", list.iter().map(|a| quoted(a)).collect::<Vec<_>>().join(","))
                }
            };
            format!("{}:{value}", quoted(name))
        };
        let fields: Vec<String> = template.fields.iter().map(field).collect();
        format!(
            "{{\"time\":\"{}\",\"drain\":\"{}\",\"source\":\"{}\",\"process\":\"{}\",\"kind\":\"{}\",\"facility\":\"{}\",\
             \"severity\":\"{}\",\"pri\":{},\"fields\":{{{}}},\"message\":{}}}",
            stamp::normal(self.time_us),
            self.drain,
            template.source,
            template.process,
            template.kind,
            template.facility(),
            template.severity,
            template.pri,
            fields.join(","),
            quoted(&template.text),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;
    use crate::corpus::Class;

    fn generator(mix: Mix, form: Form, seed: u64) -> Generator {
        Generator::new(Load::new(seed, mix, form, 1_795_341_084_000_000, 4, None, 100_000))
    }

    fn bytes(generator: &Generator, events: u64) -> Vec<u8> {
        let (mut out, mut stamp) = (Vec::new(), Stamp::default());
        for sequence in 0..events {
            generator.frame((sequence % 4) as u32, sequence / 4, &mut stamp, &mut out);
        }
        out
    }

    #[test]
    fn a_seed_gives_the_same_bytes() {
        for (mix, form) in [(Mix::Fair, Form::Https), (Mix::RouterHeavy, Form::Syslog)] {
            let first = bytes(&generator(mix, form, 7), 2000);
            assert_eq!(first, bytes(&generator(mix, form, 7), 2000));
            assert_ne!(first, bytes(&generator(mix, form, 8), 2000));
        }
    }

    /// Classes that together have a share.
    type Share = (&'static [Class], f64);

    #[test]
    fn shares_are_as_the_mix_says() {
        use Class::*;
        const APP: &[Class] = &[Text, Colour, Empty, Lines, Json, SignInFailure, AppError];
        let table: [(Mix, &[Share]); 2] = [
            (
                Mix::Fair,
                &[
                    (APP, 0.70),
                    (&[Router, RouterError], 0.20),
                    (&[Load, Memory, Postgres, Redis], 0.06),
                    (&[Dyno, DynoError, Api, PostgresLog, Build, Loss], 0.04),
                ],
            ),
            (
                Mix::RouterHeavy,
                &[
                    (&[Router, RouterError], 0.45),
                    (&[RouterError], 0.009),
                    (&[Load, Memory, Postgres, Redis], 0.20),
                    (&[Text, Colour, Empty, Lines], 0.15),
                    (&[Json], 0.10),
                    (&[Dyno, Api], 0.05),
                    (&[SignInFailure, AppError, DynoError], 0.05),
                ],
            ),
        ];
        for (mix, shares) in table {
            let generator = generator(mix, Form::Syslog, 5);
            let mut seen: HashMap<Class, u64> = HashMap::new();
            let total = 60_000u64;
            for at in 0..total {
                *seen.entry(generator.expect((at % 4) as u32, at / 4).template.class).or_default() += 1;
            }
            for (classes, share) in shares {
                let got = classes.iter().map(|c| seen.get(c).copied().unwrap_or(0)).sum::<u64>() as f64
                    / total as f64;
                assert!(
                    (got - share).abs() < 0.01 && (got / share - 1.0).abs() < 0.15,
                    "{mix:?} {classes:?}: {got}"
                );
            }
        }
    }

    #[test]
    fn every_event_is_found_by_drain_and_time() {
        for form in [Form::Syslog, Form::Https] {
            for connections in [1u32, 4, 450] {
                let load = Load::new(1, Mix::Fair, form, 1_795_341_084_000_000, connections, Some(9e6), 8000);
                let generator = Generator::new(load);
                let mut seen = HashSet::new();
                for connection in 0..connections {
                    for sequence in [0, 1, 2, 999, 1_000_000] {
                        let expected = generator.expect(connection, sequence);
                        assert!(seen.insert((expected.drain.to_string(), expected.time_us)));
                        assert_eq!(
                            generator.locate(expected.drain, expected.time_us),
                            Some((connection, sequence))
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_two_forms_share_no_drain() {
        let (syslog, https) = (generator(Mix::Fair, Form::Syslog, 1), generator(Mix::Fair, Form::Https, 1));
        for token in syslog.drains() {
            assert_eq!(https.locate(token, https.load().start_us), None);
            assert!(syslog.locate(token, syslog.load().start_us).is_some());
        }
    }

    #[test]
    fn frames_are_counted_and_headed_as_logplex_does() {
        for form in [Form::Syslog, Form::Https] {
            let generator = generator(Mix::Fair, form, 3);
            let stream = bytes(&generator, 4000);
            let mut at = 0;
            for event in 0..4000u64 {
                let blank = at + stream[at..].iter().position(|&b| b == b' ').unwrap();
                let count: usize = std::str::from_utf8(&stream[at..blank]).unwrap().parse().unwrap();
                let message = std::str::from_utf8(&stream[blank + 1..blank + 1 + count]).unwrap();
                at = blank + 1 + count;
                let expected = generator.expect((event % 4) as u32, event / 4);
                let template = expected.template;
                let (host, data) = if form == Form::Syslog { (expected.drain, "- ") } else { ("host", "") };
                let want = format!(" {host} {} {} - {data}", template.source, template.process);
                assert!(message.starts_with(&format!("<{}>1 ", template.pri)), "{message}");
                let text = message.split_once(&want).unwrap().1;
                let bare = text.strip_suffix('\n').unwrap_or(text);
                assert_eq!(bare, expected.filled(&template.text));
                assert!(form == Form::Https || text.ends_with('\n'));
            }
            assert_eq!(at, stream.len());
        }
    }

    #[test]
    fn json_bodies_and_their_fields_agree() {
        let generator = generator(Mix::RouterHeavy, Form::Syslog, 9);
        let mut checked = 0;
        for sequence in 0..4000 {
            let expected = generator.expect(0, sequence);
            let event: serde_json::Value = serde_json::from_str(&expected.to_json()).unwrap();
            if expected.template.class == Class::Json {
                let body: serde_json::Value =
                    serde_json::from_str(event["message"].as_str().unwrap()).unwrap();
                let mut flat = serde_json::Map::new();
                flatten("", &body, &mut flat);
                assert_eq!(serde_json::Value::Object(flat), event["fields"]);
                checked += 1;
            }
        }
        assert!(checked > 200);
    }

    fn flatten(name: &str, value: &serde_json::Value, out: &mut serde_json::Map<String, serde_json::Value>) {
        match value {
            serde_json::Value::Object(map) => {
                for (key, value) in map {
                    let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                    flatten(&name, value, out);
                }
            }
            serde_json::Value::Null => {}
            serde_json::Value::String(text) if text.is_empty() => {}
            other => {
                out.insert(name.to_string(), other.clone());
            }
        }
    }
}
