//! `/metrics`: counters of books and ledger as Prometheus reads them, at the moment of the scrape.
//!
//! One table names every family; nothing is kept here, so a scrape can never fall behind or disagree with the books.

use std::collections::BTreeMap;

use prometheus::core::Collector;
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};

use crate::batch::ListenerId;
use crate::compile;
use crate::feed::{SinkBooks, reason};
use crate::flow::{Flow, View};

/// A metric family: name, help, type.
pub(crate) struct Family {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
}

pub(crate) const fn counter(name: &'static str, help: &'static str) -> Family {
    Family { name, help, kind: MetricType::COUNTER }
}

pub(crate) const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, help, kind: MetricType::GAUGE }
}

const RECEIVED: Family = counter("weir_received_events_total", "Frames that came in.");
const ADMITTED: Family = counter("weir_admitted_events_total", "Frames that passed the gate.");
const SHED: Family = counter("weir_shed_events_total", "Frames counted and discarded on arrival.");
const DUPLICATE: Family = counter("weir_duplicate_events_total", "Frames of requests that came before.");
const BYTES: Family = counter("weir_received_bytes_total", "Bytes that came in.");
const GARBAGE: Family = counter("weir_garbage_bytes_total", "Bytes that belong to no frame.");
const REFUSED: Family = counter("weir_refused_requests_total", "Requests answered 401 or 503.");
const CONNECTIONS: Family = counter("weir_connections_total", "Connections accepted.");
const CONNECTIONS_CLOSED: Family =
    counter("weir_connections_closed_total", "Connections that weir itself closed.");
const KERNEL_DROPS: Family =
    counter("weir_udp_kernel_drops_total", "Datagrams dropped before they could be read.");
const DELIVERED: Family = counter("weir_delivered_events_total", "Events that a sink has safe.");
const DROPPED: Family = counter("weir_dropped_events_total", "Events that did not reach a sink.");
const FILTERED: Family = counter("weir_filtered_events_total", "Events that a sink's filter leaves out.");
const RESENT: Family = counter("weir_resent_events_total", "Events offered to a sink once more.");
const LAG: Family = gauge("weir_sink_lag_batches", "Batches between a sink's mark and the head.");
const EVENTS: Family = counter("weir_events_total", "Events by kind and severity.");
const ROUTER: Family = counter("weir_router_requests_total", "Router lines by status class and error code.");
const DRAINS: Family = counter("weir_drain_events_total", "Events by drain; beyond the cap under `other`.");
const CATEGORIES: Family = counter("weir_category_events_total", "Events by category of the packs.");
const REDACTED: Family = counter("weir_redacted_total", "Places that masks covered.");
const UNCONVERTED: Family =
    counter("weir_unconverted_values_total", "Values that did not convert to their field's type.");
const CONFLICTS: Family =
    counter("weir_field_conflicts_total", "Fields that two objects of packs wrote on one event.");
const LOST: Family = counter("weir_upstream_lost_total", "Messages that senders reported lost.");
const DASHLET_LATE: Family =
    counter("weir_dashlet_late_events_total", "Events older than anything that a dashlet keeps.");
const SLOTS: Family = gauge("weir_slots", "Batches that may be in flight.");
const SLOTS_FREE: Family = gauge("weir_slots_free", "Of them, those that are not.");
const BUILD: Family = gauge("weir_build_info", "Always 1.");

/// What a sample is of, and its value.
pub(crate) type Sample = (Vec<(&'static str, String)>, u64);

impl Family {
    /// The family with its samples; nothing without any.
    pub(crate) fn of(&self, samples: impl IntoIterator<Item = Sample>) -> Option<MetricFamily> {
        let metrics: Vec<Metric> =
            samples.into_iter().map(|(labels, value)| sample(self.kind, labels, value as f64)).collect();
        if metrics.is_empty() {
            return None;
        }
        let mut out = MetricFamily::default();
        out.set_name(self.name.into());
        out.set_help(self.help.into());
        out.set_field_type(self.kind);
        out.set_metric(metrics);
        Some(out)
    }
}

/// Families under construction.
#[derive(Default)]
struct Page {
    families: Vec<MetricFamily>,
}

impl Page {
    fn family(&mut self, family: &Family, samples: impl IntoIterator<Item = Sample>) {
        self.families.extend(family.of(samples));
    }
}

fn sample(kind: MetricType, labels: Vec<(&'static str, String)>, value: f64) -> Metric {
    metric(kind, labels.into_iter().map(|(name, value)| label(name, value)).collect(), value)
}

pub(super) fn label(name: &str, value: String) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.into());
    pair.set_value(value);
    pair
}

/// A counter, or else a gauge.
pub(super) fn metric(kind: MetricType, labels: Vec<LabelPair>, value: f64) -> Metric {
    let mut metric = Metric::default();
    metric.set_label(labels);
    if kind == MetricType::COUNTER {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    metric
}

/// The page in the text format of Prometheus. `extra` are families that sinks keep themselves.
pub fn page(flow: &Flow, extra: Vec<MetricFamily>) -> String {
    let view = flow.view();
    let mut page = Page::default();
    of_listeners(&mut page, &view);
    of_sinks(&mut page, &view);
    of_ledger(&mut page, flow, &view);
    let none = Vec::new;
    page.family(&SLOTS, [(none(), view.slots as u64)]);
    page.family(&SLOTS_FREE, [(none(), view.slots_free as u64)]);
    page.family(&BUILD, [(vec![("version", env!("CARGO_PKG_VERSION").into())], 1)]);
    page.families.extend(flow.stages().family.collect());
    page.families.extend(extra);
    page.families.extend(super::watched::families(flow));
    page.families.extend(super::series::families(flow));
    let mut text = Vec::new();
    TextEncoder::new().encode(&page.families, &mut text).expect("families with names and metrics encode");
    String::from_utf8(text).expect("the text format is UTF-8")
}

fn of_listeners(page: &mut Page, view: &View) {
    let by_listener = |figure: fn(&crate::books::ListenerBooks) -> u64| {
        view.listeners.iter().map(move |(name, books)| (vec![("listener", name.clone())], figure(books)))
    };
    page.family(&RECEIVED, by_listener(|books| books.received.get()));
    page.family(&ADMITTED, by_listener(|books| books.admitted.get()));
    page.family(&DUPLICATE, by_listener(|books| books.duplicate.get()));
    page.family(&BYTES, by_listener(|books| books.bytes.get()));
    page.family(&GARBAGE, by_listener(|books| books.garbage_bytes.get()));
    page.family(&REFUSED, by_listener(|books| books.refused_requests.get()));
    page.family(&CONNECTIONS, by_listener(|books| books.connections.get()));
    page.family(&CONNECTIONS_CLOSED, by_listener(|books| books.connections_closed.get()));
    page.family(&KERNEL_DROPS, by_listener(|books| books.kernel_drops.get()));
    page.family(
        &SHED,
        view.listeners.iter().map(|(name, books)| {
            (vec![("listener", name.clone()), ("reason", "no_slot".into())], books.shed_no_slot.get())
        }),
    );
}

fn of_sinks(page: &mut Page, view: &View) {
    let label = |name: &str| vec![("sink", name.to_string())];
    // A sink that a reload replaced and its successor are one series.
    let mut sums: BTreeMap<&str, SinkBooks> = BTreeMap::new();
    for sink in &view.sinks {
        let sum = sums.entry(&sink.name).or_default();
        sum.delivered += sink.books.delivered;
        sum.resent += sink.books.resent;
        sum.filtered += sink.books.filtered;
        // A series that begins at its first loss has no increase for Prometheus to see.
        for (reason, rows) in
            [(reason::NO_MATCH, 0), (reason::WHEN_FULL, 0)].into_iter().chain(sink.books.dropped.clone())
        {
            *sum.dropped.entry(reason).or_default() += rows;
        }
    }
    page.family(&DELIVERED, sums.iter().map(|(name, sum)| (label(name), sum.delivered)));
    page.family(&FILTERED, sums.iter().map(|(name, sum)| (label(name), sum.filtered)));
    page.family(&RESENT, sums.iter().map(|(name, sum)| (label(name), sum.resent)));
    let at_work = view.sinks.iter().filter(|sink| sink.state != "removed");
    page.family(&LAG, at_work.map(|sink| (label(&sink.name), view.head.saturating_sub(sink.books.mark))));
    page.family(
        &DROPPED,
        sums.iter().flat_map(|(name, sum)| {
            sum.dropped.iter().map(|(reason, &rows)| {
                (vec![("sink", name.to_string()), ("reason", reason.to_string())], rows)
            })
        }),
    );
}

fn of_ledger(page: &mut Page, flow: &Flow, view: &View) {
    let plan = flow.plan();
    let kinds = compile::kinds(&plan);
    flow.ledger(|ledger| {
        let tally = ledger.tally();
        let name = |id: ListenerId| {
            view.listeners.get(id.0 as usize).map_or(String::new(), |(name, _)| name.clone())
        };
        page.family(
            &EVENTS,
            tally.events().map(|(listener, kind, severity, n)| {
                let kind = kinds.get(kind.0 as usize).copied().unwrap_or_default().to_string();
                (vec![("listener", name(listener)), ("kind", kind), ("severity", severity.name().into())], n)
            }),
        );
        page.family(
            &ROUTER,
            tally.routers().map(|(class, code, n)| (vec![("status_class", class.into()), ("code", code)], n)),
        );
        page.family(
            &DRAINS,
            tally
                .drains()
                .map(|(drain, n)| (vec![("drain", String::from_utf8_lossy(drain).into_owned())], n)),
        );
        // A table of names may have been another before a reload.
        let named = |label: &'static str, counts: &crate::tally::Named, names: &[Box<str>]| {
            let mut sums: BTreeMap<String, u64> = names.iter().map(|name| (name.to_string(), 0)).collect();
            counts.all().for_each(|(name, n)| *sums.entry(name.into()).or_default() += n);
            sums.into_iter().map(move |(name, n)| (vec![(label, name)], n)).collect::<Vec<_>>()
        };
        let categories = plan.rules.as_ref().map_or(&[][..], |rules| rules.categories());
        page.family(&CATEGORIES, named("category", &tally.categories, categories));
        let masks = plan.masks.as_ref().map_or(&[][..], |masks| masks.names());
        page.family(&REDACTED, named("rule", &tally.redacted, masks));
        page.family(&UNCONVERTED, [(Vec::new(), tally.unconverted)]);
        page.family(&CONFLICTS, [(Vec::new(), tally.conflicts)]);
        let late = ledger.tables().late();
        page.family(&DASHLET_LATE, late.map(|(dashlet, n)| (vec![("dashlet", dashlet.id.to_string())], n)));
        page.family(&LOST, tally.losses().map(|(code, n)| (vec![("code", code)], n)));
    });
}
