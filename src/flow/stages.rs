//! How long a batch spends in each stage.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, HistogramVec};

/// Seconds; a batch takes tens of microseconds when all is well.
const BUCKETS: &[f64] = &[10e-6, 30e-6, 100e-6, 300e-6, 1e-3, 3e-3, 10e-3, 30e-3, 0.1, 0.3, 1.0, 3.0];

/// Time of a batch in one stage.
pub struct Stage(Histogram);

impl Stage {
    pub fn observe(&self, time: Duration) {
        self.0.observe(time.as_secs_f64());
    }
}

pub struct Stages {
    pub family: HistogramVec,
    /// Between gate and shard.
    pub queued: Stage,
    /// In the shard.
    pub processed: Stage,
    /// In a sink's `write`.
    pub written: Stage,
}

impl Default for Stages {
    fn default() -> Self {
        let options =
            HistogramOpts::new("weir_stage_seconds", "Time of a batch in a stage.").buckets(BUCKETS.into());
        let family = HistogramVec::new(options, &["stage"]).expect("a valid name and label");
        let stage = |name: &str| Stage(family.with_label_values(&[name]));
        let (queued, processed, written) = (stage("queued"), stage("processed"), stage("written"));
        Stages { family, queued, processed, written }
    }
}
