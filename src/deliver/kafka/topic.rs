//! A topic that a few texts are sent to, each waited for: what alerts need, where events need the sink.

use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, PurgeConfig};
use rdkafka::types::RDKafkaErrorCode;

use super::client::{self, Report, Reports, Secrets, Verdict};
use crate::config::KafkaTopic;
use crate::deliver::Readings;

/// Between two looks whether somebody wants it to stop.
const POLL: Duration = Duration::from_millis(50);

/// A topic; its producer begins anew after a failure.
pub struct Topic {
    name: String,
    topic: String,
    config: ClientConfig,
    secrets: Secrets,
    producer: Option<BaseProducer<Reports>>,
}

/// Why texts were not stored.
#[derive(Debug)]
pub struct NotStored {
    pub why: String,
    /// The broker will never take them.
    pub refused: bool,
}

impl Topic {
    /// `name` is who speaks in the log.
    pub fn new(name: &str, kafka: &KafkaTopic) -> Topic {
        let mut config = client::client_config(&kafka.cluster);
        // Nobody reads them here.
        config.remove("statistics.interval.ms");
        config.set("linger.ms", "0");
        let secrets = Secrets::of(&kafka.cluster);
        Topic { name: name.into(), topic: kafka.topic.as_str().into(), config, secrets, producer: None }
    }

    /// Sends texts by key and waits until all are stored, up to `until` or until `stopped`. After an error some may be.
    pub fn send(
        &mut self,
        texts: &[(&str, &str)],
        until: Instant,
        stopped: &dyn Fn() -> bool,
    ) -> Result<(), NotStored> {
        let sent = self.try_to_send(texts, until, stopped);
        if sent.is_err()
            && let Some(producer) = self.producer.take()
        {
            producer.purge(PurgeConfig::default().queue().inflight());
        }
        sent
    }

    fn try_to_send(
        &mut self,
        texts: &[(&str, &str)],
        until: Instant,
        stopped: &dyn Fn() -> bool,
    ) -> Result<(), NotStored> {
        let failed = |why: String| NotStored { why, refused: false };
        if self.producer.is_none() {
            let context = Reports::new(&self.name, self.secrets.clone(), Readings::default());
            let producer = self.config.create_with_context(context);
            self.producer = Some(producer.map_err(|error| failed(client::complaint(&error, &self.secrets)))?);
        }
        let producer = self.producer.as_ref().expect("made above");
        for (place, (key, text)) in texts.iter().enumerate() {
            let record = BaseRecord::with_opaque_to(&self.topic, place).key(*key).payload(*text);
            producer.send(record).map_err(|(error, _)| NotStored {
                why: client::complaint(&error, &self.secrets),
                refused: error.rdkafka_error_code().is_some_and(is_for_good),
            })?;
        }
        let mut stored = 0;
        let mut reports: Vec<Report> = Vec::new();
        while stored < texts.len() {
            if stopped() || Instant::now() >= until {
                return Err(failed("no answer from the brokers in time".into()));
            }
            producer.poll(POLL);
            producer.context().take(&mut reports);
            for (_, failure) in reports.drain(..) {
                match failure {
                    None => stored += 1,
                    Some(code) => {
                        let why = format!("the brokers do not store it: {code}");
                        return Err(NotStored { why, refused: is_for_good(code) });
                    }
                }
            }
        }
        Ok(())
    }
}

fn is_for_good(code: RDKafkaErrorCode) -> bool {
    matches!(client::verdict(code), Verdict::Refused(_) | Verdict::TooLarge)
}

#[cfg(test)]
mod tests {
    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::message::Message;
    use rdkafka::mocking::MockCluster;
    use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

    use super::*;
    use crate::config::{Cluster, Text};

    const PATIENCE: Duration = Duration::from_secs(60);

    fn topic(brokers: &str) -> Topic {
        let cluster =
            Cluster { brokers: brokers.split(',').map(Text::plain).collect(), ..Cluster::default() };
        Topic::new("topic", &KafkaTopic { cluster, topic: "alerts".into() })
    }

    #[test]
    fn texts_are_stored_with_their_keys() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("alerts", 1, 1).unwrap();
        let mut topic = topic(&cluster.bootstrap_servers());
        for text in ["{1}", "{2}"] {
            topic.send(&[("d.1", text)], Instant::now() + PATIENCE, &|| false).unwrap();
        }
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap_servers())
            .set("group.id", "test")
            .create()
            .unwrap();
        let mut places = TopicPartitionList::new();
        places.add_partition_offset("alerts", 0, Offset::Beginning).unwrap();
        consumer.assign(&places).unwrap();
        let mut came = Vec::new();
        let end = Instant::now() + PATIENCE;
        while came.len() < 2 {
            assert!(Instant::now() < end, "{came:?}");
            if let Some(Ok(message)) = consumer.poll(POLL) {
                let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
                came.push((text(message.key()), text(message.payload())));
            }
        }
        assert_eq!(came, [("d.1".into(), "{1}".into()), ("d.1".into(), "{2}".into())]);
    }

    #[test]
    fn one_that_is_gone_is_waited_for_only_so_long() {
        let mut topic = topic("127.0.0.1:1");
        let began = Instant::now();
        let until = began + Duration::from_millis(200);
        assert!(!topic.send(&[("d.1", "{1}")], until, &|| false).unwrap_err().refused);
        assert!(!topic.send(&[("d.1", "{1}")], began + PATIENCE, &|| true).unwrap_err().refused);
        assert!(began.elapsed() < PATIENCE / 2);
        let large = "x".repeat(2 << 20);
        assert!(topic.send(&[("d.1", &large)], until, &|| false).unwrap_err().refused);
    }
}
