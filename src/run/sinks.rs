//! From the pipeline's sinks to sinks in the flow.

use std::io;
use std::time::SystemTime;

use prometheus::proto::{Gauge, LabelPair, Metric, MetricFamily, MetricType};

use crate::compile;
use crate::config;
use crate::deliver::dead_letters::DeadLetters;
use crate::deliver::{self, Readings, Refusal};
use crate::flow::SinkSpec;
use crate::plan::Plan;

/// What sinks tell of themselves, by name.
#[derive(Default)]
pub struct Told(Vec<(String, Readings)>);

impl Told {
    /// Opens a sink of a plan; the error names the sink.
    pub fn open(&mut self, sink: &config::Sink, plan: &Plan) -> io::Result<SinkSpec> {
        let kinds = &compile::kinds(plan)[..];
        let explain =
            |error: &dyn std::fmt::Display| io::Error::other(format!("sink `{}`: {error}", sink.name));
        let opened = deliver::open(sink, kinds).map_err(|error| explain(&error))?;
        self.0.retain(|(name, _)| *name != sink.name);
        self.0.push((sink.name.clone(), opened.readings));
        let again = sink.clone();
        let kinds: Vec<String> = kinds.iter().map(|kind| kind.to_string()).collect();
        Ok(SinkSpec {
            name: sink.name.clone(),
            when_full: sink.when_full,
            output: compile::output_of(plan, sink),
            sink: opened.sink,
            open: Box::new(move || {
                let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
                deliver::open(&again, &kinds).map(|opened| opened.sink).map_err(io::Error::other)
            }),
            dead_letters: dead_letters(sink),
        })
    }

    /// Metric families of the sinks' own figures.
    pub fn families(&self) -> Vec<MetricFamily> {
        let mut families: std::collections::BTreeMap<&str, Vec<Metric>> = Default::default();
        for (sink, readings) in &self.0 {
            for (name, value) in readings.snapshot() {
                families.entry(name).or_default().push(sample(sink, value));
            }
        }
        let family = |(name, metrics): (&str, Vec<Metric>)| {
            let mut family = MetricFamily::default();
            family.set_name(format!("weir_sink_{name}"));
            family.set_help("What the sink's own library says.".into());
            family.set_field_type(MetricType::GAUGE);
            family.set_metric(metrics);
            family
        };
        families.into_iter().map(family).collect()
    }
}

fn sample(sink: &str, value: f64) -> Metric {
    let mut label = LabelPair::default();
    label.set_name("sink".into());
    label.set_value(sink.into());
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = Metric::default();
    metric.set_label(vec![label]);
    metric.set_gauge(gauge);
    metric
}

/// Writes refused rows where the sink's configuration says; a row that cannot be written is complained of.
fn dead_letters(sink: &config::Sink) -> Box<dyn FnMut(&Refusal) + Send> {
    let Some(mut letters) = DeadLetters::of(sink) else { return Box::new(|_| {}) };
    let name = sink.name.clone();
    Box::new(move |refusal| match letters.write(refusal, SystemTime::now()) {
        // A full file has said so itself.
        Ok(_) => {}
        Err(error) => {
            tracing::warn!(sink = name, %error, "a refused event could not be written to the dead letters")
        }
    })
}
