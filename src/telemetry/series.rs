//! Metrics of packs, as `/metrics` shows them behind weir's own.

use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use super::metrics::{Family, counter, label, metric};
use crate::flow::Flow;
use crate::ledger::series::{self, Shown};
use crate::plan::metric::{BOUNDS, Kind};

const CAPPED: Family =
    counter("weir_capped_samples_total", "Samples of packs' metrics beyond `series_max`, shown as `other`.");

/// The families of the metrics that there are, by name.
pub(super) fn families(flow: &Flow) -> Vec<MetricFamily> {
    // What takes long is done without the ledger.
    let (found, capped) = flow.ledger(|ledger| (ledger.series().families(), ledger.series().capped()));
    let capped = capped.into_iter().map(|(name, n)| (vec![("metric", name.into())], n));
    let shown = found.into_iter().filter(|family| !family.samples.is_empty()).map(shown);
    CAPPED.of(capped).into_iter().chain(shown).collect()
}

fn shown(family: series::Family) -> MetricFamily {
    let family = family.merged();
    let labels = |one: &Shown| -> Vec<LabelPair> {
        let all = family.labels.iter().zip(one.labels.iter());
        all.map(|(name, value)| label(name, value.to_string())).collect()
    };
    let kind = match family.kind {
        Kind::Gauge => MetricType::GAUGE,
        Kind::Counter => MetricType::COUNTER,
        Kind::Histogram => MetricType::HISTOGRAM,
    };
    let one = |one: &Shown| match kind {
        MetricType::HISTOGRAM => histogram(labels(one), one),
        kind => metric(kind, labels(one), one.value),
    };
    let mut out = MetricFamily::default();
    out.set_name(family.name.to_string());
    out.set_help(family.help.to_string());
    out.set_field_type(kind);
    out.set_metric(family.samples.iter().map(one).collect());
    out
}

fn histogram(labels: Vec<LabelPair>, one: &Shown) -> Metric {
    let mut sum = 0;
    let bins = one.bins.iter().flat_map(|bins| bins.iter());
    // Above the last bound is what the count has and no bin.
    let buckets = BOUNDS.iter().zip(bins).map(|(bound, n)| {
        sum += n;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound as f64 / 1e3);
        bucket.set_cumulative_count(sum);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(one.count);
    histogram.set_sample_sum(one.value);
    let mut metric = Metric::default();
    metric.set_label(labels);
    metric.set_histogram(histogram);
    metric
}
