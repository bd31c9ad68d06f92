//! Asks the cluster how large a batch may be.
//!
//! librdkafka never splits a batch, and one over the topic's `max.message.bytes` fails for good with every message in it.
//! So the limit is asked for before the first message is sent. A cluster that does not say it (no permission, no such
//! request) is no error.

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;

/// For so long a cluster that cannot be reached is asked again.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// How long one request waits. A cluster that knows the request answers in milliseconds.
const REQUEST: Duration = Duration::from_secs(3);

/// Asks in a thread of its own; the answer is the smallest limit of all topics, in bytes, or `None` where nobody says.
pub(super) fn ask(config: ClientConfig, topics: Vec<String>) -> Receiver<Option<u64>> {
    let (answer, answers) = channel();
    let asking = thread::Builder::new().name("kafka-limit".into()).spawn(move || {
        let until = Instant::now() + PATIENCE;
        let limit = loop {
            match look(&config, &topics) {
                Ok(limit) => break limit,
                Err(()) if Instant::now() > until => break None,
                Err(()) => thread::sleep(Duration::from_millis(200)),
            }
        };
        // Nobody listens any more where the sink was closed meanwhile.
        let _ = answer.send(limit);
    });
    if let Err(error) = asking {
        tracing::warn!(%error, "the topics' limits are not asked for");
    }
    answers
}

/// `Err` where no broker can be reached.
fn look(config: &ClientConfig, topics: &[String]) -> Result<Option<u64>, ()> {
    let Ok(admin) = config.create::<AdminClient<DefaultClientContext>>() else { return Ok(None) };
    let Ok(metadata) = admin.inner().fetch_metadata(None, REQUEST) else { return Err(()) };
    let known: Vec<&str> = metadata.topics().iter().map(|topic| topic.name()).collect();
    let asked: Vec<ResourceSpecifier<'_>> = topics
        .iter()
        .filter(|topic| known.contains(&topic.as_str()))
        .map(|topic| ResourceSpecifier::Topic(topic))
        .collect();
    let mut limit = None;
    // A topic still to be created will have the brokers' limit.
    if (asked.len() < topics.len() || topics.is_empty())
        && let Some(broker) = metadata.brokers().first()
    {
        limit = smallest(limit, &admin, &[ResourceSpecifier::Broker(broker.id())]);
    }
    if !asked.is_empty() {
        limit = smallest(limit, &admin, &asked);
    }
    Ok(limit)
}

fn smallest(
    limit: Option<u64>,
    admin: &AdminClient<DefaultClientContext>,
    asked: &[ResourceSpecifier<'_>],
) -> Option<u64> {
    let options = AdminOptions::new().request_timeout(Some(REQUEST));
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return limit };
    let Ok(described) = runtime.block_on(admin.describe_configs(asked, &options)) else { return limit };
    let found = described.iter().flatten().filter_map(|resource| {
        let entry = resource.get("max.message.bytes").or_else(|| resource.get("message.max.bytes"))?;
        entry.value.as_ref()?.parse::<u64>().ok()
    });
    found.chain(limit).min()
}
