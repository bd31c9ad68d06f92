//! Reload: a changed pipeline file takes effect while the gate is shut, or not at all.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use super::Weir;
use crate::compile;
use crate::config::{self, Pipeline};
use crate::flow::SinkSpec;
use crate::plan::Plan;
use crate::telemetry::log;

/// A pipeline file that is looked at once a second.
pub struct Watch {
    path: PathBuf,
    seen: Option<Vec<u8>>,
}

impl Watch {
    pub fn new(path: PathBuf) -> Watch {
        let seen = std::fs::read(&path).ok();
        Watch { path, seen }
    }

    /// The pipeline, if the file's text is another than last time; a missing file is no change.
    pub fn changed(&mut self) -> Option<Result<Pipeline, String>> {
        let text = std::fs::read(&self.path).ok()?;
        if self.seen.as_deref() == Some(&text) {
            return None;
        }
        self.seen = Some(text);
        Some(self.load())
    }

    /// The pipeline as the file stands.
    pub fn read(&mut self) -> Result<Pipeline, String> {
        self.seen = std::fs::read(&self.path).ok();
        self.load()
    }

    fn load(&self) -> Result<Pipeline, String> {
        config::load(&self.path).map_err(|problems| problems.to_string())
    }
}

impl Weir {
    /// Takes a new pipeline, or refuses it with the reason and goes on with the old one.
    pub(super) fn reload(&mut self, next: Result<Pipeline, String>) {
        let refused = match next {
            Err(problems) => Err(problems),
            Ok(next) => self.change_to(next),
        };
        match refused {
            Ok(()) => tracing::info!("the pipeline was reloaded"),
            Err(why) => {
                tracing::error!(target: log::ANSWER, "the pipeline was not reloaded, the old one goes on:\n{why}");
            }
        }
    }

    fn change_to(&mut self, next: Pipeline) -> Result<(), String> {
        let difference = config::difference(&self.pipeline, &next).map_err(|error| error.to_string())?;
        let opened: Vec<&String> = difference.sinks_added.iter().chain(&difference.sinks_changed).collect();
        let before = self.flow.plan();
        let listened = self.ready().listeners;
        let mut plan = compile::next_plan(&next, &before);
        compile::know(&mut plan, &next, Some(&before))?;
        let plan = Arc::new(plan);
        let mut specs = Vec::new();
        for sink in next.sinks.iter().filter(|sink| opened.contains(&&sink.name)) {
            let spec = self.told.lock().unwrap_or_else(PoisonError::into_inner).open(sink, &plan);
            specs.push(spec.map_err(|error| error.to_string())?);
        }
        let listeners = compile::ids(&next, &plan);
        // Old sinks go on until the second change: until then all is known and written as before, on all listeners.
        let both = Plan { listeners: plan.listeners.clone(), ..(*before).clone() };
        self.swap(Arc::new(both), Vec::new(), &[])?;
        let batch_bytes = compile::batch_bytes(&next);
        self.flow.raise_batch_bytes(batch_bytes);
        if let Err(error) = self.receivers.reload(&listeners, &next.trusted_proxies, batch_bytes) {
            self.swap(before, Vec::new(), &[])?;
            return Err(error.to_string());
        }
        let closed = [difference.sinks_changed, difference.sinks_removed].concat();
        self.swap(plan, specs, &closed)?;
        self.pipeline = next;
        for (name, address) in self.ready().listeners {
            if listened.get(&name) != Some(&address) {
                super::tell_listener(&name, address);
            }
        }
        Ok(())
    }

    fn swap(&self, plan: Arc<Plan>, add: Vec<SinkSpec>, remove: &[String]) -> Result<(), String> {
        self.flow.change(plan, add, remove).map_err(|error: io::Error| error.to_string())
    }
}
