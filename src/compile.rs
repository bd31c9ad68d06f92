//! From the pipeline to the plan.
//!
//! Listeners keep their ids over reloads: a name is given an id once and keeps it while the process lives.

use std::io::Read as _;
use std::sync::Arc;

use crate::batch::{Batch, ListenerId};
use crate::config::{self, DeviceRule, Parse, Pipeline};
use crate::deliver;
use crate::geo::{self, Attribution, Countries};
use crate::limits;
use crate::pack::{self, Extra, Pack, Site};
use crate::parse::heroku;
use crate::plan::device::DeviceRules;
use crate::plan::mask::Masks;
use crate::plan::rules::Program;
use crate::plan::watch::Watch;
use crate::plan::{Drain, Filter, Format, Listener, OnNoMatch, Output, Plan};
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

/// The plan of a pipeline, without what its packs know, without listeners and outputs; see [`know`].
pub fn plan(pipeline: &Pipeline, instance: Arc<str>) -> Plan {
    let mut plan = Plan {
        trusted: pipeline.trusted_proxies.clone(),
        zone: pipeline.zone.clone(),
        ledger: pipeline.ledger,
        ..Plan::new(instance, Vec::new())
    };
    for (token, drain) in &pipeline.drains {
        plan.drains.insert(token.as_str().into(), known_drain(drain));
    }
    plan
}

/// The same of a changed pipeline; listeners keep their ids.
pub fn next_plan(pipeline: &Pipeline, before: &Plan) -> Plan {
    let mut next = plan(pipeline, before.instance.clone());
    (next.generation, next.key) = (before.generation + 1, before.key);
    next.listeners.clone_from(&before.listeners);
    next
}

/// Gives a plan what the pipeline's packs know, its listeners and the outputs of its sinks. Kinds keep the numbers that they
/// have in the plan before, and outputs their places.
///
/// # Errors
/// Why the packs do not go together, or what is wrong with what the pipeline says in their language, as text for people.
pub fn know(
    plan: &mut Plan,
    pipeline: &Pipeline,
    packs: &[Pack],
    before: Option<&Plan>,
) -> Result<(), String> {
    // What nobody gets costs nothing.
    let mut quiet = Vec::new();
    if pipeline.reports.dir.is_none() {
        quiet = packs.to_vec();
        quiet.iter_mut().for_each(|pack| pack.reports.clear());
    }
    let wanted_packs = if pipeline.reports.dir.is_none() { &quiet[..] } else { packs };
    let site = know_packs(plan, pipeline, wanted_packs, before)?;
    add_listeners(plan, pipeline, packs);
    let wanted = pipeline.sinks.iter().map(|sink| wanted(sink, &site));
    plan.outputs = outputs(wanted, before.map_or(&[], |before| &before.outputs));
    Ok(())
}

/// Gives a plan the rules and masks of packs that were read, and the pipeline's masks; returns what it says of its sinks.
///
/// # Errors
/// As [`know`].
pub fn know_packs(
    plan: &mut Plan,
    pipeline: &Pipeline,
    packs: &[Pack],
    before: Option<&Plan>,
) -> Result<Site, String> {
    let mut site = pack::site(pipeline, packs).map_err(|problems| problems.to_string())?;
    site.extra.report_zone = Some(pipeline.reports.zone.clone().unwrap_or(pipeline.zone.clone()));
    site.extra.countries = countries(pipeline)?;
    rules_for(packs, &site.extra, before)?.put_in(plan);
    let masks = std::mem::take(&mut site.masks);
    plan.masks = (!masks.is_empty()).then(|| Arc::new(Masks::new(masks, plan.key)));
    Ok(site)
}

/// The table of countries of the site's own, if its pipeline names one.
///
/// # Errors
/// What is wrong with the file.
pub fn countries(pipeline: &Pipeline) -> Result<Option<Arc<Countries>>, String> {
    let Some(config::Geo { file, attribution }) = &pipeline.geo else { return Ok(None) };
    let wrong = |why: String| format!("the countries of `{}` cannot be read: {why}", file.shown());
    let mut bytes = Vec::new();
    let open = std::fs::File::open(file.as_path()).map_err(|error| wrong(error.to_string()))?;
    open.take(limits::GEO_BYTES + 1).read_to_end(&mut bytes).map_err(|error| wrong(error.to_string()))?;
    if bytes.len() as u64 > limits::GEO_BYTES {
        return Err(wrong(format!("it has more than {} bytes", limits::GEO_BYTES)));
    }
    let mut table = geo::of_mmdb(&bytes).map_err(wrong)?;
    if let Some(text) = attribution {
        table.source.attribution = Some(Attribution { text: text.as_str().into(), link: "".into() });
    }
    Ok(Some(Arc::new(table)))
}

/// The rules of packs that were read, without their reports, dashlets and metrics.
///
/// # Errors
/// Why the packs do not go together.
pub fn rules_of(packs: &[Pack], before: Option<&Plan>) -> Result<Rules, String> {
    let mut packs = packs.to_vec();
    for pack in &mut packs {
        pack.reports.clear();
        pack.dashlets.clear();
        pack.metrics.clear();
    }
    rules_for(&packs, &Extra::default(), before)
}

fn rules_for(packs: &[Pack], extra: &Extra, before: Option<&Plan>) -> Result<Rules, String> {
    let known = before.and_then(|plan| plan.rules.as_ref()).map(|rules| rules.kinds().clone());
    let compiled = pack::compile_for(packs, known.as_deref().unwrap_or(&[]), extra);
    let compiled = compiled.map_err(|error| error.to_string())?;
    // Kinds that were given once are named for as long as the process lives.
    let is_needed = !compiled.program.is_empty() || known.is_some() || !compiled.watch.alerts.is_empty();
    let is_read = !compiled.watch.reports.list.is_empty()
        || !compiled.watch.dashlets.list.is_empty()
        || !compiled.watch.metrics.list.is_empty();
    let is_needed = is_needed || is_read;
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

fn add_listeners(plan: &mut Plan, pipeline: &Pipeline, packs: &[Pack]) {
    for listener in pipeline.listeners.iter().filter(|listener| listener.enabled) {
        let compiled = Arc::new(compiled(listener, packs));
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

fn compiled(listener: &config::Listener, packs: &[Pack]) -> Listener {
    let active = listener.device_id.rules.iter().filter(|rule| rule.active);
    let own = active.map(|rule| (rule.pattern(), rule.token()));
    let built_in = DeviceRule::heroku();
    let rules = pack::device_rules(own, packs, (built_in.pattern(), built_in.token()));
    let of_packs = || packs.iter().find_map(|pack| pack.on_no_match);
    Listener {
        name: listener.name.as_str().into(),
        count_only: listener.parse == Parse::None,
        time_zone: listener.time_zone.clone(),
        device_id: DeviceRules::new(&rules).expect("rules of pipeline and packs were checked"),
        on_no_match: listener.device_id.on_no_match.or_else(of_packs).unwrap_or(OnNoMatch::Accept),
    }
}

/// The listener of a replay: the rules of the pipeline's first, or the default ones, and those of packs.
pub fn replay_listener(pipeline: &Pipeline, packs: &[Pack]) -> Listener {
    let default = Pipeline::default();
    let first = pipeline.listeners.iter().chain(&default.listeners).find(|listener| listener.enabled);
    let mut listener = compiled(first.expect("the default pipeline has an enabled listener"), packs);
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

/// Every form of output that takes all events has its place, whether a sink wants it or not: so an index means the same in
/// every plan.
const PLACES: [Option<Format>; 3] = [None, Some(Format::Ndjson), Some(Format::EventTracker)];

/// The outputs for what sinks want. Those with a filter have places behind the fixed ones: the one that they have in
/// `before`, the outputs of the plan before, else one that is free in both plans. So an index means the same as long as
/// some sink uses it, and there are never more places than two plans need.
pub fn outputs(wanted: impl IntoIterator<Item = Output>, before: &[Output]) -> Vec<Output> {
    let free = || Output::new(None, false);
    let mut outputs = vec![free(); PLACES.len().max(before.len())];
    let mut last = PLACES.len();
    for output in wanted {
        let taken = |at: usize, among: &[Output]| among.get(at).is_some_and(|known| known.filter.is_some());
        let place = match &output.filter {
            None => place_of(output.format),
            Some(_) => place(&outputs, &output)
                .or_else(|| place(before, &output))
                .or_else(|| {
                    (PLACES.len()..outputs.len()).find(|at| !taken(*at, before) && !taken(*at, &outputs))
                })
                .unwrap_or(outputs.len()),
        };
        if place == outputs.len() {
            outputs.push(free());
        }
        last = last.max(place + 1);
        let rows = outputs[place].rows | output.rows;
        outputs[place] = Output { rows, ..output };
    }
    outputs.truncate(last);
    outputs
}

/// The place of a form that takes all events.
pub fn place_of(format: Option<Format>) -> usize {
    PLACES.iter().position(|place| *place == format).expect("every form has a place")
}

/// The place of an output of the same form and filter.
fn place(outputs: &[Output], wanted: &Output) -> Option<usize> {
    let said = |output: &Output| output.filter.as_ref().map(|filter| filter.said.clone());
    outputs.iter().position(|known| known.format == wanted.format && said(known) == said(wanted))
}

fn wanted(sink: &config::Sink, site: &Site) -> Output {
    let said = sink.filter.said();
    let filter = site.filters.iter().find(|filter| filter.said == said);
    let compiled = |filter: &pack::Filter| Filter {
        said: filter.said.as_str().into(),
        select: filter.select,
        sample: filter.sample.clone(),
    };
    Output { filter: filter.map(compiled).map(Arc::new), ..deliver::output(sink) }
}

/// The place of what a sink wants in the outputs of its plan.
pub fn output_of(plan: &Plan, sink: &config::Sink) -> usize {
    let output = deliver::output(sink);
    match sink.filter.takes_all() {
        true => place_of(output.format),
        false => {
            let said = sink.filter.said();
            let same = |known: &Output| known.filter.as_ref().is_some_and(|filter| *filter.said == *said);
            let place = plan.outputs.iter().position(|known| known.format == output.format && same(known));
            place.expect("the plan has an output for each sink")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(said: &str, format: Format) -> Output {
        let filter = Filter { said: said.into(), select: Some(0), sample: Vec::new() };
        Output { filter: Some(Arc::new(filter)), ..Output::new(Some(format), false) }
    }

    /// What stands at each place behind the fixed ones.
    fn shown(outputs: &[Output]) -> Vec<String> {
        let said = |output: &Output| output.filter.as_ref().map_or(String::new(), |one| one.said.to_string());
        outputs[PLACES.len()..].iter().map(said).collect()
    }

    #[test]
    fn an_output_keeps_its_place_as_long_as_a_sink_uses_it() {
        let one = |said| filtered(said, Format::Ndjson);
        let rows = Output { rows: true, ..one("a") };
        let all = || Output::new(Some(Format::Ndjson), false);
        let first = outputs([all(), one("a"), one("b"), rows, filtered("a", Format::EventTracker)], &[]);
        assert_eq!(shown(&first), ["a", "b", "a"]);
        assert!(first[3].rows && !first[4].rows && first[1].format == Some(Format::Ndjson));
        assert_eq!((first[0].format, first[2].format), (None, None));
        // `a` is gone and `c` comes: it does not take a place that a sink may still read from.
        let second = outputs([one("b"), one("c")], &first);
        assert_eq!(shown(&second), ["", "b", "", "c"]);
        let third = outputs([one("c"), one("d"), one("e"), one("f")], &second);
        assert_eq!(shown(&third), ["d", "", "e", "c", "f"]);
        assert_eq!(shown(&outputs([all()], &third)), [""; 0]);
    }

    #[test]
    fn device_rules_of_packs_come_behind_the_listeners_and_none_runs_twice() {
        let heroku = pack::built_in("heroku").unwrap();
        let more = Pack { device_rules: vec![("id=(?P<Id>x+)".into(), "Id".into())], ..Pack::default() };
        let built_in = DeviceRule::heroku();
        let built_in = (built_in.pattern(), built_in.token());
        let own = ("host=(?P<H>a+)", "H");
        let packs = [heroku.clone(), more.clone()];
        let rules = |own: &[(&'static str, &'static str)], packs: &[Pack]| -> Vec<String> {
            let own = own.iter().copied().chain([built_in]);
            pack::device_rules(own, packs, built_in).iter().map(|(_, token)| token.to_string()).collect()
        };
        assert_eq!(rules(&[own], &packs), ["H", "Computer", "Id"]);
        assert_eq!(rules(&[own], std::slice::from_ref(&more)), ["H", "Id", "Computer"]);
        assert_eq!(rules(&[], &[]), ["Computer"]);
        // A listener's own word wins, then the first pack's that has one.
        let strict = Pack { on_no_match: Some(OnNoMatch::Drop), ..Pack::default() };
        let mut listener = Pipeline::default().listeners.remove(0);
        let on_no_match = |listener: &config::Listener, packs: &[Pack]| compiled(listener, packs).on_no_match;
        assert_eq!(on_no_match(&listener, &[more, strict.clone(), heroku]), OnNoMatch::Drop);
        assert_eq!(on_no_match(&listener, &[]), OnNoMatch::Accept);
        listener.device_id.on_no_match = Some(OnNoMatch::Accept);
        assert_eq!(on_no_match(&listener, &[strict]), OnNoMatch::Accept);
    }

    #[test]
    fn places_do_not_grow_with_reloads() {
        let mut plan = Vec::new();
        for turn in 0..100 {
            let names = [format!("x{turn}"), format!("y{turn}"), "stays".into()];
            plan = outputs(names.iter().map(|name| filtered(name, Format::Ndjson)), &plan);
            assert!(plan.len() <= PLACES.len() + 6, "{}", plan.len());
            assert_eq!(shown(&plan).iter().position(|said| said == "stays"), Some(2));
        }
    }
}
