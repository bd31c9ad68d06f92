//! The kafka sink: each event a message, or a few of one drain, keyed so that Kafka keeps their order.
//!
//! Invariants: the mark moves by delivery reports alone; a message is sent again only after a report that it failed, and
//! before any row that comes after it; what is in flight is waited for before a producer is replaced, so that nothing is
//! stored twice unless the producer itself has lost count. A broker that is down is no error: messages wait.
//!
//! Deliberately absent: time-outs of messages. A timed-out one may have been stored, and sending it again would repeat it.

mod client;
mod flights;
mod largest;
mod packs;
pub mod topic;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, PurgeConfig};
use rdkafka::types::RDKafkaErrorCode;

use self::client::{Report, Reports, Secrets, Verdict};
use self::flights::{Flights, Next, Ticket};
use self::packs::{Limits, Packs};
use super::path::Naming;
use super::{Kind, OpenError, Opened, Readings, Refusal, Sink, SinkError};
use crate::batch::Number;
use crate::config::{self, KafkaHeader, KafkaKey, SinkKind};
use crate::outcome::{Parcel, Row};
use crate::plan::Format;

pub const KIND: Kind = Kind {
    name: "kafka",
    summary: "sends events to Kafka, idempotently, in order per key",
    example: r#"{name: kafka, kind: kafka, brokers: ["127.0.0.1:9092"], topic: "weir.{kind}", key: drain}"#,
    open,
};

/// Room that a message's key, headers and framing take in a batch.
const FRAMING_BYTES: u64 = 512;
/// How long `close` waits for what is in flight.
const CLOSE_WAIT: Duration = Duration::from_millis(500);

fn open(sink: &config::Sink, kinds: &[&str]) -> Result<Opened, OpenError> {
    let SinkKind::Kafka(kafka) = &sink.kind else {
        unreachable!("the list of kinds says which is opened where")
    };
    let readings = Readings::default();
    let sink = Kafka::new(&sink.name, sink.format, kafka, kinds, readings.clone()).map_err(OpenError)?;
    Ok(Opened { sink: Box::new(sink), readings })
}

/// Where the sink stands with its producer.
enum Stage {
    /// The cluster is asked for its limits, until that time at most.
    Asking(Receiver<Option<u64>>, Instant),
    Running,
    /// One message a request, until the mark reaches the number: some batch was too large.
    Alone(Number),
    /// What is in flight is waited for; then a new producer begins.
    Draining(Then),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Run,
    Ask,
    Alone(Number),
}

struct Kafka {
    name: String,
    config: ClientConfig,
    secrets: Secrets,
    readings: Readings,
    /// `None` once closed.
    producer: Option<BaseProducer<Reports>>,
    naming: Naming,
    key: KafkaKey,
    headers: Vec<KafkaHeader>,
    schema: &'static str,
    events_per_message: u32,
    /// Bytes of a batch; a message of more is always alone in its own.
    batch_bytes: u64,
    /// Bytes that the client takes of one message.
    message_bytes: u64,
    /// Whether the pipeline's `options` fix it.
    batch_is_fixed: bool,
    stage: Stage,
    flights: Flights,
    /// A failure that the caller has not been told yet.
    trouble: Option<String>,
    /// Scratch.
    topic: String,
    payload: Vec<u8>,
    reports: Vec<Report>,
}

impl Kafka {
    fn new(
        name: &str,
        format: Format,
        kafka: &config::KafkaSink,
        kinds: &[&str],
        readings: Readings,
    ) -> Result<Kafka, String> {
        let config = client::client_config(&kafka.cluster);
        let bytes = |option: &str| config.get(option).and_then(|size| size.parse().ok());
        let (fixed, message_bytes) = (bytes("batch.size"), bytes("message.max.bytes"));
        let mut sink = Kafka {
            name: name.to_string(),
            config,
            secrets: Secrets::of(&kafka.cluster),
            readings,
            producer: None,
            naming: Naming::new(&kafka.topic, kinds),
            key: kafka.key,
            headers: kafka.headers.clone(),
            schema: match format {
                Format::Ndjson => "event/v1",
                _ => "eventtracker/v1",
            },
            events_per_message: u32::try_from(kafka.events_per_message).unwrap_or(u32::MAX).max(1),
            batch_bytes: fixed.unwrap_or(client::BATCH_BYTES),
            message_bytes: message_bytes.unwrap_or(client::BATCH_BYTES),
            batch_is_fixed: fixed.is_some(),
            stage: Stage::Running,
            flights: Flights::default(),
            trouble: None,
            topic: String::new(),
            payload: Vec::new(),
            reports: Vec::new(),
        };
        sink.begin(false).map_err(|error| client::complaint(&error, &sink.secrets))?;
        if !sink.batch_is_fixed {
            sink.ask();
        }
        Ok(sink)
    }

    /// Replaces the producer; nothing is in flight.
    fn begin(&mut self, alone: bool) -> Result<(), KafkaError> {
        let mut config = self.config.clone();
        if !self.batch_is_fixed {
            config.set("batch.size", self.batch_bytes.to_string());
        }
        if alone {
            config.set("batch.num.messages", "1");
        }
        let context = Reports::new(&self.name, self.secrets.clone(), self.readings.clone());
        self.producer = Some(config.create_with_context(context)?);
        Ok(())
    }

    fn ask(&mut self) {
        let topics = self.naming.all().unwrap_or_default();
        let mut config = self.config.clone();
        config.remove("statistics.interval.ms");
        let answer = largest::ask(config, topics);
        self.stage = Stage::Asking(answer, Instant::now() + largest::PATIENCE + Duration::from_secs(15));
    }

    /// Takes in what came, and moves on from one stage to the next.
    fn look(&mut self) -> Result<(), SinkError> {
        self.poll();
        match &self.stage {
            Stage::Asking(answer, until) => match answer.try_recv() {
                Err(TryRecvError::Empty) if Instant::now() < *until => {}
                answered => self.answered(answered.unwrap_or(None)).map_err(|error| self.lost(&error))?,
            },
            Stage::Alone(until) if self.flights.mark() >= *until => {
                self.stage = Stage::Draining(if self.batch_is_fixed { Then::Run } else { Then::Ask });
            }
            Stage::Draining(then) if self.flights.flying() == 0 => {
                let then = *then;
                self.begin(matches!(then, Then::Alone(_))).map_err(|error| self.lost(&error))?;
                match then {
                    Then::Run => self.stage = Stage::Running,
                    Then::Alone(until) => self.stage = Stage::Alone(until),
                    Then::Ask => self.ask(),
                }
            }
            Stage::Running | Stage::Alone(_) | Stage::Draining(_) => {}
        }
        match self.trouble.take() {
            Some(trouble) => Err(SinkError::Lost(io::Error::other(trouble))),
            None => Ok(()),
        }
    }

    fn answered(&mut self, limit: Option<u64>) -> Result<(), KafkaError> {
        let batch = limit.map(|limit| limit.saturating_sub(FRAMING_BYTES).max(1));
        if let Some(batch) = batch.filter(|batch| *batch < self.batch_bytes) {
            self.batch_bytes = batch;
            self.begin(false)?;
        }
        self.stage = Stage::Running;
        Ok(())
    }

    fn lost(&self, error: &KafkaError) -> SinkError {
        SinkError::Lost(io::Error::other(client::complaint(error, &self.secrets)))
    }

    /// Serves delivery reports until there are none.
    fn poll(&mut self) {
        let mut reports = std::mem::take(&mut self.reports);
        while let Some(producer) = &self.producer {
            producer.poll(Duration::ZERO);
            producer.context().take(&mut reports);
            if reports.is_empty() {
                break;
            }
            for (ticket, failure) in reports.drain(..) {
                match failure {
                    None => self.flights.arrived(Ticket(ticket)),
                    Some(code) => self.failed(Ticket(ticket), code),
                }
            }
        }
        self.reports = reports;
    }

    /// Decides what becomes of a message that did not arrive.
    fn failed(&mut self, ticket: Ticket, code: RDKafkaErrorCode) {
        let alone = matches!(self.stage, Stage::Alone(_));
        let verdict = match client::verdict(code) {
            // In a batch with others it may have been the others.
            Verdict::TooLarge if !alone && self.shares_a_batch(ticket) => Verdict::TooLarge,
            Verdict::TooLarge => Verdict::Refused("too_large"),
            verdict => verdict,
        };
        let then = match verdict {
            // One row may be at fault and not the others.
            Verdict::Refused(reason) if self.flights.split(ticket) => {
                self.trouble = Some(format!("a message of several events was refused: {reason}"));
                return;
            }
            Verdict::Refused(reason) => return self.flights.refuse(ticket, reason),
            Verdict::TooLarge => Then::Alone(self.flights.last()),
            Verdict::Again | Verdict::Fatal if alone => Then::Alone(self.flights.last()),
            Verdict::Again | Verdict::Fatal => Then::Run,
        };
        self.flights.returned(ticket);
        self.drain(then, code);
    }

    fn shares_a_batch(&mut self, ticket: Ticket) -> bool {
        self.flights.message_bytes(ticket) as u64 + FRAMING_BYTES < self.batch_bytes
    }

    /// Calls back what has not left, so that what failed is sent before it.
    fn drain(&mut self, then: Then, code: RDKafkaErrorCode) {
        if let Stage::Draining(now) = &mut self.stage {
            if let (Then::Run, Then::Alone(_)) = (*now, then) {
                *now = then;
            }
            return;
        }
        if let Some(producer) = &self.producer {
            producer.purge(PurgeConfig::default().queue());
            let fatal = producer.client().fatal_error().map(|(_, text)| text);
            let text = fatal.unwrap_or_else(|| code.to_string());
            self.trouble = Some(self.secrets.redact(&text));
        }
        self.stage = Stage::Draining(then);
    }

    /// Sends what is left of a parcel.
    fn send(&mut self, parcel: &Parcel, place: usize) -> Result<(), SinkError> {
        let mut named: Option<u32> = None;
        loop {
            let (first, rows, again) = match self.flights.next(place) {
                Next::Nothing => return Ok(()),
                Next::Again { ticket, first, rows } => (first, rows, Some(ticket)),
                Next::New { first, rows } => (first, rows, None),
            };
            let lead = self.gather(parcel, place, first, rows);
            let row = &parcel.rows[lead as usize];
            if named.is_none_or(|named| !self.naming.same(parcel, &parcel.rows[named as usize], row)) {
                self.naming.render(parcel, Some(row), &mut self.topic);
            }
            named = Some(lead);
            let ticket = again.unwrap_or_else(|| self.flights.next_ticket(place));
            match self.send_message(parcel, lead, rows, ticket) {
                Err(RDKafkaErrorCode::QueueFull) => return Err(SinkError::Busy),
                outcome => {
                    match again {
                        Some(ticket) => self.flights.sent_again(ticket),
                        None => self.flights.sent(place, rows),
                    }
                    let Err(code) = outcome else { continue };
                    match client::verdict(code) {
                        Verdict::TooLarge if self.flights.split(ticket) => {}
                        Verdict::TooLarge => self.flights.refuse(ticket, "too_large"),
                        _ => self.failed(ticket, code),
                    }
                    if let Some(trouble) = self.trouble.take() {
                        return Err(SinkError::Lost(io::Error::other(trouble)));
                    }
                }
            }
        }
    }

    /// Makes the payload of rows that do not stand side by side, and returns the message's first row.
    fn gather(&mut self, parcel: &Parcel, place: usize, first: u32, rows: u32) -> u32 {
        self.payload.clear();
        let mut all = self.flights.rows(place, first, rows);
        let lead = all.next().expect("a message has a row");
        if all.next_back().is_some_and(|last| last - lead + 1 > rows) {
            for row in self.flights.rows(place, first, rows) {
                self.payload.extend_from_slice(parcel.row_bytes(row as usize));
            }
        }
        lead
    }

    /// Sends the message of `rows` rows that begins at `lead`, gathered or from the parcel itself. librdkafka copies key
    /// and payload once: without that they would have to live until their report comes, which safe code cannot promise.
    fn send_message(
        &self,
        parcel: &Parcel,
        lead: u32,
        rows: u32,
        ticket: Ticket,
    ) -> Result<(), RDKafkaErrorCode> {
        let Some(producer) = &self.producer else { return Err(RDKafkaErrorCode::QueueFull) };
        let row = &parcel.rows[lead as usize];
        let payload = match self.payload.as_slice() {
            [] => {
                let start = row.end as usize - parcel.row_bytes(lead as usize).len();
                &parcel.bytes[start..parcel.rows[(lead + rows) as usize - 1].end as usize]
            }
            gathered => gathered,
        };
        let payload = payload.strip_suffix(b"\n").unwrap_or(payload);
        let mut record: BaseRecord<'_, [u8], [u8], usize> = BaseRecord::with_opaque_to(&self.topic, ticket.0)
            .payload(payload)
            .timestamp(row.received_us.div_euclid(1000));
        if let Some(key) = self.key(parcel, row) {
            record = record.key(key);
        }
        if !self.headers.is_empty() {
            record = record.headers(self.headers(parcel, row));
        }
        producer
            .send(record)
            .map_err(|(error, _)| error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail))
    }

    /// `None` where the event lacks it: Kafka then chooses a partition itself.
    fn key<'a>(&'a self, parcel: &'a Parcel, row: &Row) -> Option<&'a [u8]> {
        let key = match self.key {
            KafkaKey::Drain => parcel.word(row.drain),
            KafkaKey::Computer => parcel.word(row.computer),
            KafkaKey::Listener => parcel.word(row.listener),
            KafkaKey::Kind => self.naming.kind(row).as_bytes(),
            KafkaKey::None => &[],
        };
        Some(key).filter(|key| !key.is_empty())
    }

    fn headers(&self, parcel: &Parcel, row: &Row) -> OwnedHeaders {
        self.headers.iter().fold(OwnedHeaders::new_with_capacity(self.headers.len()), |all, header| {
            match header {
                KafkaHeader::Id => all.insert(Header { key: "id", value: Some(parcel.word(row.id)) }),
                KafkaHeader::Kind => all.insert(Header { key: "kind", value: Some(self.naming.kind(row)) }),
                KafkaHeader::Schema => all.insert(Header { key: "schema", value: Some(self.schema) }),
            }
        })
    }

    /// Which rows of a parcel share a message: of one drain, key and topic, and within a batch. Where a key or the lack
    /// of one follows from the drain, events of a drain are gathered from the whole parcel: that changes no key's order.
    fn pack(&self, parcel: &Parcel) -> Option<Packs> {
        if self.events_per_message == 1 {
            return None;
        }
        let most = self.batch_bytes.min(self.message_bytes).saturating_sub(FRAMING_BYTES);
        let limits =
            Limits { rows: self.events_per_message, bytes: usize::try_from(most).unwrap_or(usize::MAX) };
        let by_kind = self.naming.varies_by_kind();
        let kind_matters = self.headers.contains(&KafkaHeader::Kind);
        let alike = |a: &Row, b: &Row| {
            (a.drain == b.drain || parcel.word(a.drain) == parcel.word(b.drain))
                && (self.key == KafkaKey::Drain || self.key(parcel, a) == self.key(parcel, b))
                && self.naming.same(parcel, a, b)
                && (!kind_matters || a.kind == b.kind)
        };
        let of_drain = matches!(self.key, KafkaKey::Drain | KafkaKey::None) && (by_kind || !kind_matters);
        Some(match of_drain {
            true => Packs::of_homes(parcel, limits, alike, |row| {
                (parcel.word(row.drain), by_kind.then_some(row.kind.0))
            }),
            false => Packs::of_runs(parcel, limits, alike),
        })
    }
}

impl Sink for Kafka {
    fn write(&mut self, parcel: &Arc<Parcel>) -> Result<(), SinkError> {
        self.look()?;
        if parcel.number <= self.flights.mark() {
            return Ok(());
        }
        match self.stage {
            Stage::Asking(..) | Stage::Draining(_) => return Err(SinkError::Busy),
            Stage::Running | Stage::Alone(_) => {}
        }
        if self.flights.owes_before(parcel.number) {
            return Err(SinkError::Lost(io::Error::other("earlier events have to be sent again first")));
        }
        let is_new = parcel.number > self.flights.last();
        let packs = if is_new { self.pack(parcel) } else { None };
        let Some(place) = self.flights.enter(parcel, packs) else { return Ok(()) };
        self.send(parcel, place)?;
        self.poll();
        Ok(())
    }

    fn flush(&mut self, refused: &mut Vec<Refusal>) -> Result<Number, SinkError> {
        let looked = self.look();
        self.flights.take_refused(refused);
        looked?;
        Ok(self.flights.mark())
    }

    fn skip(&mut self, number: Number) {
        self.flights.skip(number);
    }

    fn close(&mut self) {
        if let Some(producer) = &self.producer {
            producer.purge(PurgeConfig::default().queue());
        }
        let until = Instant::now() + CLOSE_WAIT;
        self.poll();
        while self.flights.flying() > 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
            self.poll();
        }
        self.trouble = None;
        self.producer = None;
        self.stage = Stage::Running;
    }
}

#[cfg(test)]
mod tests;
