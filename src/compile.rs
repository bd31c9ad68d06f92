//! From the pipeline to the plan.
//!
//! Listeners keep their ids over reloads: a name is given an id once and keeps it while the process lives.

use std::sync::Arc;

use crate::batch::{Batch, ListenerId};
use crate::config::{self, Parse, Pipeline};
use crate::deliver;
use crate::pack::{self, Pack};
use crate::parse::heroku;
use crate::plan::device::DeviceRules;
use crate::plan::rules::Program;
use crate::plan::watch::Watch;
use crate::plan::{Drain, Format, Listener, Output, Plan};
use crate::simd::Level;

/// Receivers and shards, that many of each.
pub fn threads(pipeline: &Pipeline) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    pipeline.threads.map_or_else(cores, usize::from)
}

/// The instructions that shards use.
pub fn vectors(pipeline: &Pipeline) -> Level {
    if pipeline.vectors { Level::best() } else { Level::Portable }
}

/// Bytes that a batch has to hold so that every listener's largest frame fits.
pub fn batch_bytes(pipeline: &Pipeline) -> usize {
    let largest = pipeline.listeners.iter().map(|listener| listener.limits.frame_bytes).max();
    Batch::capacity_for(largest.unwrap_or(crate::limits::FRAME_BYTES))
}

/// The plan of a pipeline, without the rules of its packs.
pub fn plan(pipeline: &Pipeline, instance: Arc<str>) -> Plan {
    let mut plan = Plan {
        trusted: pipeline.trusted_proxies.clone(),
        zone: pipeline.zone.clone(),
        ledger: pipeline.ledger,
        outputs: outputs(pipeline.sinks.iter().map(deliver::output)),
        ..Plan::new(instance, Vec::new())
    };
    for (token, drain) in &pipeline.drains {
        plan.drains.insert(token.as_str().into(), known_drain(drain));
    }
    add_listeners(&mut plan, pipeline);
    plan
}

/// The plan of a changed pipeline, without the rules of its packs, in which listeners keep their ids.
pub fn next_plan(pipeline: &Pipeline, before: &Plan) -> Plan {
    let mut next = plan(pipeline, before.instance.clone());
    next.generation = before.generation + 1;
    next.listeners.clone_from(&before.listeners);
    add_listeners(&mut next, pipeline);
    next
}

/// The rules of the pipeline's packs, read now; kinds keep the numbers that they have in the plan before.
///
/// # Errors
/// What is wrong with the packs, as text for people.
pub fn rules(pipeline: &Pipeline, before: Option<&Plan>) -> Result<Rules, String> {
    let packs = pack::load_all(&pipeline.packs, &[]).map_err(|problems| problems.to_string())?;
    rules_of(&packs, before)
}

/// The rules of packs that were read.
///
/// # Errors
/// Why the packs do not go together.
pub fn rules_of(packs: &[Pack], before: Option<&Plan>) -> Result<Rules, String> {
    let known = before.and_then(|plan| plan.rules.as_ref()).map(|rules| rules.kinds().clone());
    let compiled =
        pack::compile(packs, known.as_deref().unwrap_or(&[])).map_err(|error| error.to_string())?;
    // Kinds that were given once are named for as long as the process lives.
    let is_needed = !compiled.program.is_empty() || known.is_some() || !compiled.watch.alerts.is_empty();
    Ok(Rules { program: Some(compiled.program).filter(|_| is_needed), watch: compiled.watch })
}

/// What packs come to: the program that shards run, if there is anything to do, and what is watched.
pub struct Rules {
    pub program: Option<Arc<Program>>,
    pub watch: Arc<Watch>,
}

impl Rules {
    /// Makes them those of a plan.
    pub fn put_in(self, plan: &mut Plan) {
        (plan.rules, plan.watch) = (self.program, self.watch);
    }
}

/// The names of a plan's kinds, by `KindId`.
pub fn kinds(plan: &Plan) -> Vec<&str> {
    match &plan.rules {
        Some(rules) => rules.kinds().iter().map(|kind| &**kind).collect(),
        None => heroku::KINDS.to_vec(),
    }
}

fn add_listeners(plan: &mut Plan, pipeline: &Pipeline) {
    for listener in pipeline.listeners.iter().filter(|listener| listener.enabled) {
        let compiled = Arc::new(compiled(listener));
        match plan.listeners.iter_mut().find(|known| known.name == compiled.name) {
            Some(known) => *known = compiled,
            None => plan.listeners.push(compiled),
        }
    }
}

/// The id of each enabled listener.
pub fn ids(pipeline: &Pipeline, plan: &Plan) -> Vec<(ListenerId, config::Listener)> {
    let id = |name: &str| {
        let place = plan.listeners.iter().position(|listener| &*listener.name == name);
        ListenerId(place.expect("every enabled listener is in the plan") as u16)
    };
    let enabled = pipeline.listeners.iter().filter(|listener| listener.enabled);
    enabled.map(|listener| (id(&listener.name), listener.clone())).collect()
}

fn compiled(listener: &config::Listener) -> Listener {
    let active = listener.device_id.rules.iter().filter(|rule| rule.active);
    let rules: Vec<_> = active.map(|rule| (rule.pattern(), rule.token())).collect();
    Listener {
        name: listener.name.as_str().into(),
        count_only: listener.parse == Parse::None,
        time_zone: listener.time_zone.clone(),
        device_id: DeviceRules::new(&rules).expect("the pipeline's rules were checked"),
        on_no_match: listener.device_id.on_no_match,
    }
}

/// The listener of a replay: the rules of the pipeline's first, or the default ones.
pub fn replay_listener(pipeline: &Pipeline) -> Listener {
    let default = Pipeline::default();
    let first = pipeline.listeners.iter().chain(&default.listeners).find(|listener| listener.enabled);
    let mut listener = compiled(first.expect("the default pipeline has an enabled listener"));
    (listener.name, listener.count_only) = ("replay".into(), false);
    listener
}

fn known_drain(drain: &config::Drain) -> Drain {
    Drain {
        computer: drain.computer.as_ref().map(|computer| computer.as_str().into()),
        labels: drain
            .labels
            .iter()
            .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
            .collect(),
    }
}

/// Every form of output has its place, whether a sink wants it or not: so an index means the same in every plan.
const PLACES: [Option<Format>; 3] = [None, Some(Format::Ndjson), Some(Format::EventTracker)];

/// The outputs for what sinks want.
pub fn outputs(wanted: impl IntoIterator<Item = Output>) -> Vec<Output> {
    let mut outputs = vec![Output { format: None, rows: false }; PLACES.len()];
    for Output { format, rows } in wanted {
        let output = &mut outputs[output_index(format)];
        output.format = format;
        output.rows |= rows;
    }
    outputs
}

/// The place of a form in the plan's outputs.
pub fn output_index(format: Option<Format>) -> usize {
    PLACES.iter().position(|place| *place == format).expect("every form has a place")
}

/// The place of what a sink wants.
pub fn output_of(sink: &config::Sink) -> usize {
    output_index(deliver::output(sink).format)
}
