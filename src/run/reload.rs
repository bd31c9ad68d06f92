//! Reload: a changed pipeline file, overlay or pack takes effect while the gate is shut, or not at all.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use super::Weir;
use crate::catalog::{self, Catalog};
use crate::compile;
use crate::config::{self, Pipeline};
use crate::flow::SinkSpec;
use crate::pack;
use crate::plan::Plan;
use crate::telemetry::log;

/// Files of which so many bytes are compared; of larger ones size and time are.
const COMPARED_BYTES: u64 = 1 << 20;

/// What a running weir depends on, looked at once a second: the pipeline file, the overlay, the files of packs and the
/// table of countries.
pub struct Watch {
    /// `None` for the compiled-in pipeline.
    path: Option<PathBuf>,
    seen: Vec<Watched>,
}

struct Watched {
    path: PathBuf,
    /// Whether its absence says something; else a file that is not there is one that is just being written.
    may_be_absent: bool,
    seen: Option<u64>,
}

impl Watch {
    /// Watches what the pipeline, read from `path`, depends on.
    pub fn new(path: Option<PathBuf>, running: &Pipeline) -> Watch {
        let mut watch = Watch { path, seen: Vec::new() };
        watch.look(running);
        watch
    }

    /// The pipeline, if anything is another than last time.
    pub fn changed(&mut self, running: &Pipeline) -> Option<Result<Pipeline, String>> {
        let is_new = |one: &Watched| {
            let now = print(&one.path);
            now != one.seen && (now.is_some() || one.may_be_absent)
        };
        if !self.seen.iter().any(is_new) {
            return None;
        }
        Some(self.read(running))
    }

    /// The pipeline as the file stands; the running one if there is no file.
    pub fn read(&mut self, running: &Pipeline) -> Result<Pipeline, String> {
        let next = match &self.path {
            Some(path) => config::load(path).map_err(|problems| problems.to_string()),
            None => Ok(running.clone()),
        };
        self.look(next.as_ref().unwrap_or(running));
        next
    }

    /// Takes everything as it stands for known.
    pub fn look(&mut self, pipeline: &Pipeline) {
        let before = std::mem::take(&mut self.seen);
        let mut watch = |path: PathBuf, may_be_absent: bool| {
            // What is away for a moment is compared with what it was.
            let known = before.iter().find(|one| one.path == path).and_then(|one| one.seen);
            let seen = print(&path).or(known.filter(|_| !may_be_absent));
            self.seen.push(Watched { path, may_be_absent, seen });
        };
        self.path.iter().for_each(|path| watch(path.clone(), false));
        if !pipeline.overlay.is_empty() {
            watch(pipeline.overlay.as_str().into(), true);
        }
        pipeline.geo.iter().for_each(|geo| watch(geo.file.as_str().into(), false));
        let store = catalog::store(pipeline);
        for name in &pipeline.packs {
            let path = Path::new(name.as_str());
            match store.as_ref().map(|store| store.folder(name)) {
                Some(Ok(folder)) => watch(folder, true),
                _ if path.exists() => watch(pack::path_of(path), false),
                _ => {}
            }
        }
    }
}

/// What tells one state of a file or folder from another; `None` if it is not there.
fn print(path: &Path) -> Option<u64> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hash = DefaultHasher::new();
    let metadata = std::fs::metadata(path).ok()?;
    match metadata.is_file() && metadata.len() <= COMPARED_BYTES {
        true => std::fs::read(path).ok()?.hash(&mut hash),
        false => (metadata.modified().ok()?, metadata.len(), metadata.ino()).hash(&mut hash),
    }
    Some(hash.finish())
}

impl Weir {
    /// Takes a new pipeline, or refuses it with the reason and goes on with the old one.
    pub(super) fn reload(&mut self, next: Result<Pipeline, String>) -> Result<(), String> {
        let refused = match next {
            Err(problems) => Err(problems),
            Ok(next) => self.change_to(next),
        };
        match &refused {
            Ok(()) => tracing::info!("the pipeline was reloaded"),
            Err(why) => {
                tracing::error!(target: log::ANSWER, "the pipeline was not reloaded, the old one goes on:\n{why}");
            }
        }
        refused
    }

    fn change_to(&mut self, next: Pipeline) -> Result<(), String> {
        let difference = config::difference(&self.pipeline, &next).map_err(|error| error.to_string())?;
        let opened: Vec<&String> = difference.sinks_added.iter().chain(&difference.sinks_changed).collect();
        let before = self.flow.plan();
        let listened = self.ready().listeners;
        let mut plan = compile::next_plan(&next, &before);
        let catalog = Catalog::load(&next).map_err(|problems| problems.to_string())?;
        compile::know(&mut plan, &next, &catalog.packs, Some(&before))?;
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
        if let Err(error) = self.notifiers.change(&next.notifiers) {
            tracing::error!("{error}");
        }
        super::warn(&catalog);
        (self.pipeline, self.catalog) = (next, Arc::new(catalog));
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
