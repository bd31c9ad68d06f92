//! What packs make of a stretch of logs: events that nothing matched, and what of the packs never came to anything.
//!
//! Alerts count whatever their mode; the packs' own text is run, also where the parser does what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::compile::{For, compile_with, does_something};
use super::{CompileError, Compiled, Pack};
use crate::batch::{Batch, ListenerId};
use crate::config::DeviceRule;
use crate::event::{KindId, Texts};
use crate::parse::{self, Scratch};
use crate::plan::device::DeviceRules;
use crate::plan::rules::{self, RulesScratch};
use crate::plan::watch::Role;
use crate::plan::{Listener, Plan};

/// Groups of events that nothing matched; the rest is one more.
const GROUPS_MAX: usize = 100;
/// Groups that are shown to people.
const GROUPS_SHOWN: usize = 12;
/// Characters of an example.
const EXAMPLE_MAX: usize = 160;
/// The listener of the frames.
pub const LISTENER: ListenerId = ListenerId(0);

/// Events of one source that are alike in what they lack.
#[derive(Default)]
struct Group {
    events: u64,
    example: String,
}

/// Figures so far.
pub struct Coverage {
    plan: Plan,
    scratch: Scratch,
    rules: RulesScratch,
    events: u64,
    /// Events of kind `other`, and those in no category, by source.
    other: BTreeMap<String, Group>,
    uncategorized: BTreeMap<String, Group>,
    fields: BTreeSet<String>,
    /// Full ids of objects, and the number of the rule.
    objects: Vec<Vec<bool>>,
    categories: Vec<bool>,
    watches: Vec<bool>,
    watched: Compiled,
    unconverted: (u64, String),
    conflicts: (u64, String),
}

impl Coverage {
    /// Nothing seen so far.
    ///
    /// # Errors
    /// Packs that do not go together.
    pub fn new(packs: &[Pack]) -> Result<Coverage, CompileError> {
        let watched = compile_with(packs, &[], For::Explaining)?;
        let built_in = DeviceRule::heroku();
        let built_in = (built_in.pattern(), built_in.token());
        let rules = super::device_rules([built_in], packs, built_in);
        let device_id = DeviceRules::new(&rules).expect("the packs' rules were checked");
        let listener = Listener { device_id, ..Listener::new("coverage") };
        let mut plan = Plan::new("coverage".into(), vec![Arc::new(listener)]);
        plan.rules = Some(watched.program.clone());
        let objects = packs.iter().flat_map(|pack| &pack.objects).filter(|object| does_something(object));
        Ok(Coverage {
            plan,
            scratch: Scratch::default(),
            rules: RulesScratch::default(),
            events: 0,
            other: BTreeMap::new(),
            uncategorized: BTreeMap::new(),
            fields: packs.iter().flat_map(|pack| &pack.fields).map(|field| field.name.to_string()).collect(),
            objects: objects.map(|object| vec![false; object.rules.len()]).collect(),
            categories: vec![false; watched.program.categories().len()],
            watches: vec![false; watched.watch.roles.len()],
            watched,
            unconverted: (0, String::new()),
            conflicts: (0, String::new()),
        })
    }

    /// Takes the frames of a batch, all of [`LISTENER`].
    pub fn see(&mut self, batch: &Batch) {
        for run in &batch.runs {
            for &frame in batch.frames_of(run) {
                let mut event = parse::event(&self.plan, batch, run, frame, &mut self.scratch);
                let Scratch { made, fields, .. } = &mut self.scratch;
                rules::apply(
                    &self.plan,
                    run,
                    batch.bytes(),
                    &mut event,
                    made,
                    fields,
                    &mut self.rules,
                    |_| {},
                );
                let texts = Texts { batch: batch.bytes(), made: &self.scratch.made };
                let matched = self.rules.matched();
                self.events += 1;
                matched
                    .objects
                    .iter()
                    .for_each(|(object, rule)| self.objects[*object as usize][*rule as usize] = true);
                matched.categories.iter().for_each(|category| self.categories[*category as usize] = true);
                matched.watches.iter().for_each(|watch| self.watches[*watch as usize] = true);
                self.fields.retain(|name| self.rules.value(name).is_none());
                let example = || {
                    let text = String::from_utf8_lossy(texts.get(event.message));
                    text.chars().take(EXAMPLE_MAX).collect::<String>()
                };
                let source = || String::from_utf8_lossy(texts.get(event.source)).into_owned();
                if event.kind == KindId(0) {
                    add(&mut self.other, source(), example);
                }
                if matched.categories.is_empty() {
                    add(&mut self.uncategorized, source(), example);
                }
                for (figure, n) in
                    [(&mut self.unconverted, matched.unconverted), (&mut self.conflicts, matched.conflicts)]
                {
                    if n > 0 && figure.0 == 0 {
                        figure.1 = example();
                    }
                    figure.0 += u64::from(n);
                }
            }
        }
    }

    /// Rules of objects that never matched, by full id; the number of the rule where an object has several.
    fn silent_rules(&self) -> Vec<String> {
        let ids = self.watched.program.objects().iter().map(|id| &**id).zip(&self.objects);
        let of = |(id, seen): (&str, &Vec<bool>)| {
            let name = |rule: usize| match seen.len() {
                1 => id.to_string(),
                _ => format!("{id} (rule {})", rule + 1),
            };
            seen.iter()
                .enumerate()
                .filter(|(_, seen)| !**seen)
                .map(|(rule, _)| name(rule))
                .collect::<Vec<_>>()
        };
        ids.flat_map(of).collect()
    }

    fn silent_categories(&self) -> Vec<&str> {
        let ids = self.watched.program.categories().iter().zip(&self.categories);
        ids.filter(|(_, seen)| !**seen).map(|(id, _)| &**id).collect()
    }

    /// Conditions of alerts that no event met, by full id; the step where there are several.
    fn silent_alerts(&self) -> Vec<String> {
        let watch = &self.watched.watch;
        let of = |(role, _): (&Role, &bool)| {
            Some(match *role {
                Role::Counts { alert } => watch.alerts[alert as usize].about.alert.to_string(),
                Role::Of { alert } => format!("{} (`of`)", watch.alerts[alert as usize].about.alert),
                Role::Step { alert, step } => {
                    format!("{} (step {})", watch.alerts[alert as usize].about.alert, step + 1)
                }
                _ => return None,
            })
        };
        let roles = watch.roles.iter().zip(&self.watches);
        let mut silent: Vec<String> = roles.filter(|(_, seen)| !**seen).filter_map(of).collect();
        silent.sort();
        silent.dedup();
        silent
    }

    /// All figures as one JSON object.
    pub fn to_json(&self) -> Json {
        let groups = |groups: &BTreeMap<String, Group>| {
            let one = |(source, group): &(&String, &Group)| json!({"source": source, "events": group.events, "example": group.example});
            let events: u64 = groups.values().map(|group| group.events).sum();
            json!({"events": events, "groups": largest(groups).iter().map(one).collect::<Vec<_>>()})
        };
        let figure = |(n, example): &(u64, String)| match n {
            0 => json!({"count": 0}),
            _ => json!({"count": n, "example": example}),
        };
        json!({
            "events": self.events,
            "kind_other": groups(&self.other),
            "no_category": groups(&self.uncategorized),
            "fields_never_seen": self.fields,
            "rules_never_matched": self.silent_rules(),
            "categories_never_matched": self.silent_categories(),
            "alerts_never_matched": self.silent_alerts(),
            "unconverted_values": figure(&self.unconverted),
            "field_conflicts": figure(&self.conflicts),
        })
    }

    /// All figures for people.
    pub fn describe(&self) -> String {
        let mut out = format!("{} events\n", self.events);
        for (what, groups) in [("of kind `other`", &self.other), ("in no category", &self.uncategorized)] {
            let events: u64 = groups.values().map(|group| group.events).sum();
            let share = 100.0 * events as f64 / self.events.max(1) as f64;
            out.push_str(&format!("\n{events} events {what} ({share:.1} %)\n"));
            let all = largest(groups);
            for (source, group) in all.iter().take(GROUPS_SHOWN) {
                let source = if source.is_empty() { "-" } else { source };
                out.push_str(&format!("{:>10}  {source}: {}\n", group.events, group.example.escape_debug()));
            }
            if all.len() > GROUPS_SHOWN {
                out.push_str(&format!("{:>10}  more sources\n", all.len() - GROUPS_SHOWN));
            }
        }
        let silent_categories = self.silent_categories().into_iter().map(str::to_string).collect();
        for (what, names) in [
            ("fields never seen", self.fields.iter().cloned().collect()),
            ("rules that never matched", self.silent_rules()),
            ("categories without an event", silent_categories),
            ("conditions of alerts that no event met", self.silent_alerts()),
        ] {
            let names: Vec<String> = names;
            out.push_str(&format!("\n{} {what}\n", names.len()));
            names.iter().for_each(|name| out.push_str(&format!("            {name}\n")));
        }
        for (what, (n, example)) in [
            ("values did not convert to their field's type", &self.unconverted),
            ("fields were written by two objects", &self.conflicts),
        ] {
            out.push_str(&format!("\n{n} {what}\n"));
            if *n > 0 {
                out.push_str(&format!("            first: {}\n", example.escape_debug()));
            }
        }
        out
    }
}

fn add(groups: &mut BTreeMap<String, Group>, source: String, example: impl FnOnce() -> String) {
    let is_full = groups.len() >= GROUPS_MAX && !groups.contains_key(&source);
    let group = groups.entry(if is_full { "other sources".into() } else { source }).or_default();
    if group.events == 0 {
        group.example = example();
    }
    group.events += 1;
}

/// The groups with most events first.
fn largest(groups: &BTreeMap<String, Group>) -> Vec<(&String, &Group)> {
    let mut all: Vec<_> = groups.iter().collect();
    all.sort_by(|a, b| b.1.events.cmp(&a.1.events).then(a.0.cmp(b.0)));
    all
}
