//! The producer's settings, and what it reports back.
//!
//! Invariants: no value of an option that may be a secret is in any message; the delivery callback only notes what came,
//! for the sink's own thread to act on.
//!
//! Deliberately absent: FutureProducer and threads of our own; `poll` is called by the sink.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{NoCustomPartitioner, ProducerContext};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaErrorCode;

use super::super::Readings;
use crate::config::Cluster;

/// Set unless the pipeline's `options` say otherwise, each with its reason.
const SETTINGS: &[(&str, &str)] = &[
    ("client.id", "weir"),
    ("enable.idempotence", "true"),
    ("acks", "all"),
    // With more than one, idempotence spins a core while requests wait for their answers.
    ("max.in.flight", "1"),
    // The caller's back-pressure decides how long to wait; a message that timed out may have been stored all the same.
    ("message.timeout.ms", "0"),
    // 1 GiB by default, without being any faster.
    ("queue.buffering.max.kbytes", "32768"),
    ("compression.codec", "lz4"),
    ("linger.ms", "20"),
    // The partition that Java's clients take for the same key.
    ("partitioner", "murmur2_random"),
    ("socket.keepalive.enable", "true"),
    ("log.connection.close", "false"),
    ("statistics.interval.ms", "5000"),
];

/// Other names of what is set here: the pipeline's `options` may use either.
const ALIASES: &[(&str, &str)] = &[
    ("request.required.acks", "acks"),
    ("max.in.flight.requests.per.connection", "max.in.flight"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("compression.type", "compression.codec"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("metadata.broker.list", "bootstrap.servers"),
    ("sasl.mechanism", "sasl.mechanisms"),
];

/// What librdkafka batches at most unless told otherwise.
pub(super) const BATCH_BYTES: u64 = 1_000_000;

/// Builds the client's configuration.
pub(super) fn client_config(cluster: &Cluster) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (key, value) in SETTINGS {
        config.set(*key, *value);
    }
    let brokers: Vec<&str> = cluster.brokers.iter().map(|broker| broker.as_str()).collect();
    config.set("bootstrap.servers", brokers.join(","));
    let security = match (cluster.sasl.is_some(), cluster.tls.is_some()) {
        (false, false) => "plaintext",
        (false, true) => "ssl",
        (true, false) => "sasl_plaintext",
        (true, true) => "sasl_ssl",
    };
    config.set("security.protocol", security);
    if let Some(sasl) = &cluster.sasl {
        config.set("sasl.mechanisms", sasl.mechanism);
        config.set("sasl.username", sasl.username.as_str());
        config.set("sasl.password", sasl.password.expose());
    }
    if let Some(tls) = &cluster.tls {
        let paths = [
            ("ssl.ca.location", &tls.ca),
            ("ssl.certificate.location", &tls.cert),
            ("ssl.key.location", &tls.key),
        ];
        for (key, path) in paths {
            if let Some(path) = path {
                config.set(key, path.as_str());
            }
        }
    }
    for (key, value) in &cluster.options {
        let plain = ALIASES.iter().find(|(alias, _)| alias == key).map_or(key.as_str(), |(_, name)| name);
        config.set(plain, value.expose());
    }
    let debugging = cluster.options.contains_key("debug");
    config.set_log_level(if debugging { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Warning });
    config
}

/// Says what is wrong with a configuration, with a hint, and without any value.
pub(super) fn complaint(error: &KafkaError, secrets: &Secrets) -> String {
    match error {
        KafkaError::ClientConfig(_, description, key, _) if description.contains("No such configuration") => {
            format!("unknown option `{key}`\nhint: librdkafka's CONFIGURATION.md lists them")
        }
        KafkaError::ClientConfig(_, _, key, _) => {
            format!(
                "option `{key}` does not take its value\nhint: librdkafka's CONFIGURATION.md has its range"
            )
        }
        KafkaError::ClientCreation(description) => {
            format!("{}\nhint: see `options`, `sasl` and `tls`", secrets.redact(description))
        }
        other => secrets.redact(&other.to_string()),
    }
}

/// Values that may not be shown.
#[derive(Clone, Default)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    pub fn of(cluster: &Cluster) -> Secrets {
        let telling =
            |key: &str| ["password", "secret", "pem", "oauthbearer", "jaas"].iter().any(|s| key.contains(s));
        let options = cluster.options.iter().filter(|(key, _)| telling(key)).map(|(_, value)| value);
        let all = options.chain(cluster.sasl.as_ref().map(|sasl| &sasl.password));
        Secrets(all.map(|secret| secret.expose().to_string()).filter(|secret| !secret.is_empty()).collect())
    }

    pub fn redact(&self, text: &str) -> String {
        self.0.iter().fold(text.to_string(), |text, secret| text.replace(secret, "***"))
    }
}

/// What came back for one message.
pub(super) type Report = (usize, Option<RDKafkaErrorCode>);

/// Collects what librdkafka tells between two looks.
pub(super) struct Reports {
    sink: String,
    secrets: Secrets,
    readings: Readings,
    came: Mutex<Vec<Report>>,
    said: Mutex<Option<(String, Instant)>>,
}

/// For so long the same complaint is not repeated.
const SILENCE: Duration = Duration::from_secs(1);

impl Reports {
    pub fn new(sink: &str, secrets: Secrets, readings: Readings) -> Reports {
        let (came, said) = (Mutex::default(), Mutex::default());
        Reports { sink: sink.to_string(), secrets, readings, came, said }
    }

    /// Exchanges what came for an empty list.
    pub fn take(&self, into: &mut Vec<Report>) {
        std::mem::swap(&mut *lock(&self.came), into);
    }

    /// Whether the same was not said within the last second.
    fn is_news(&self, text: &str) -> bool {
        let mut said = lock(&self.said);
        let old = said.as_ref().is_some_and(|(last, at)| last == text && at.elapsed() < SILENCE);
        if !old {
            *said = Some((text.to_string(), Instant::now()));
        }
        !old
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ProducerContext<NoCustomPartitioner> for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        let failure = match result {
            Ok(_) => None,
            Err((error, _)) => Some(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)),
        };
        lock(&self.came).push((ticket, failure));
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let message = self.secrets.redact(message);
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => {
                if self.is_news(&message) {
                    tracing::warn!(sink = self.sink, facility, "kafka: {message}");
                }
            }
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(sink = self.sink, facility, "kafka: {message}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(sink = self.sink, facility, "kafka: {message}"),
        }
    }

    fn error(&self, _: KafkaError, reason: &str) {
        // The crate calls this twice for each event.
        let reason = self.secrets.redact(reason);
        if self.is_news(&reason) {
            tracing::warn!(sink = self.sink, "kafka: {reason}");
        }
    }

    fn stats(&self, statistics: Statistics) {
        let brokers = || statistics.brokers.values().filter(|broker| broker.nodeid >= 0);
        let sum = |of: fn(&rdkafka::statistics::Broker) -> u64| brokers().map(of).sum::<u64>() as f64;
        let round_trip = brokers().filter_map(|broker| broker.rtt.as_ref()).map(|rtt| rtt.p99).max();
        self.readings.set(vec![
            ("queued_messages", statistics.msg_cnt as f64),
            ("queued_bytes", statistics.msg_size as f64),
            ("sent_messages", statistics.txmsgs as f64),
            ("sent_bytes", statistics.tx_bytes as f64),
            ("requests", statistics.tx as f64),
            ("request_errors", sum(|broker| broker.txerrs)),
            ("request_retries", sum(|broker| broker.txretries)),
            ("request_timeouts", sum(|broker| broker.req_timeouts)),
            ("brokers_up", brokers().filter(|broker| broker.state == "UP").count() as f64),
            ("round_trip_p99_us", round_trip.unwrap_or(0) as f64),
        ]);
    }
}

/// What a failed report means for its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Refused for good, with the reason that is counted.
    Refused(&'static str),
    /// Larger than the broker takes, alone or because of others in its batch.
    TooLarge,
    /// Not stored, or nobody knows: to be sent again.
    Again,
    /// The producer has lost count and is of no use any more.
    Fatal,
}

pub(super) fn verdict(code: RDKafkaErrorCode) -> Verdict {
    match code {
        RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge => Verdict::TooLarge,
        RDKafkaErrorCode::InvalidRecord
        | RDKafkaErrorCode::InvalidMessageSize
        | RDKafkaErrorCode::UnsupportedForMessageFormat
        | RDKafkaErrorCode::InvalidArgument => Verdict::Refused("invalid"),
        // Kafka takes no time that lies over an hour ahead of its own clock.
        RDKafkaErrorCode::InvalidTimestamp => Verdict::Refused("invalid_time"),
        RDKafkaErrorCode::InvalidTopic => Verdict::Refused("invalid_topic"),
        RDKafkaErrorCode::PolicyViolation => Verdict::Refused("policy"),
        RDKafkaErrorCode::Fatal => Verdict::Fatal,
        _ => Verdict::Again,
    }
}
