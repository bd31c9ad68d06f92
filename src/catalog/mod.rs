//! The packs of a site: compiled in, imported or named by path, as the overlay changes them.
//!
//! A [`Catalog`] is what a pipeline runs with. Every change (an import, a rollback, an edit of the overlay) is tried on a
//! catalog first and written when all of it holds; a broken one changes nothing.

pub mod change;
mod lock;
mod part;
pub mod sigma;
pub mod store;
pub mod tree;
mod yaml;

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use self::store::{Installed, Store};
use crate::config::read::text_of;
use crate::config::{Pipeline, Problems};
use crate::pack::overlay::{self, Overlay};
use crate::pack::{self, Pack, Source};

/// Where a pack's text comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is part of weir.
    BuiltIn,
    /// It was imported.
    Imported(Installed),
    /// The pipeline names its file.
    Path(PathBuf),
}

/// One pack that could run, and whether it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The pack's own id.
    pub id: String,
    pub source: Source,
    pub origin: Origin,
    /// Whether the pipeline names it.
    pub used: bool,
}

/// The packs of a pipeline.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Those that run, in the pipeline's order, the overlay applied.
    pub packs: Vec<Pack>,
    /// Those that run, in the same order, then the others.
    pub entries: Vec<Entry>,
    pub overlay: Overlay,
}

/// What is tried in place of what is on disk.
#[derive(Clone, Debug, Default)]
pub struct Instead {
    /// A pack's text by id; `None` takes the imported one away.
    pub pack: Option<(String, Option<Source>)>,
    /// The overlay's text.
    pub overlay: Option<String>,
}

impl Entry {
    /// When the pack was first imported, or its file made, as far as is known.
    pub fn created(&self) -> Option<SystemTime> {
        match &self.origin {
            Origin::BuiltIn => None,
            Origin::Imported(installed) => installed.created,
            Origin::Path(path) => std::fs::metadata(path).and_then(|metadata| metadata.created()).ok(),
        }
    }

    /// When it was last imported or its file written.
    pub fn modified(&self) -> Option<SystemTime> {
        match &self.origin {
            Origin::BuiltIn => None,
            Origin::Imported(installed) => installed.modified,
            Origin::Path(path) => std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok(),
        }
    }
}

/// The store of a pipeline; `None` if it keeps no state.
pub fn store(pipeline: &Pipeline) -> Option<Store> {
    let dir = pipeline.state.dir.as_str();
    (!dir.is_empty()).then(|| Store::new(Path::new(dir)))
}

impl Catalog {
    /// Loads the packs of a pipeline as they are on disk now.
    ///
    /// # Errors
    /// Every problem of the first document that has any.
    pub fn load(pipeline: &Pipeline) -> Result<Catalog, Problems> {
        Catalog::load_with(pipeline, &Instead::default())
    }

    /// The same with something else in place of what is on disk.
    ///
    /// # Errors
    /// Every problem of the first document that has any.
    pub fn load_with(pipeline: &Pipeline, instead: &Instead) -> Result<Catalog, Problems> {
        let mut entries = entries(pipeline, instead)?;
        let known: Vec<Source> = entries.iter().map(|entry| entry.source.clone()).collect();
        let chosen = pack::find(&pipeline.packs, &known)?;
        let mut packs = pack::read_all(&chosen, &known, &|_| Vec::new())?;
        let text = match &instead.overlay {
            Some(text) => text.clone(),
            None => overlay_text(pipeline)?,
        };
        let others = entries.iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>();
        let notifiers: Vec<&str> = pipeline.notifiers.iter().map(|notifier| &*notifier.name).collect();
        let around = overlay::Around { packs: &packs, known: &others, notifiers: &notifiers };
        let overlay = overlay::read(pipeline.overlay.as_str(), &text, around)?;
        if overlay.has_params() {
            packs = pack::read_all(&chosen, &known, &|pack| overlay.params(&pack.id))?;
        }
        let used = chosen.iter().zip(&packs).map(|(source, pack)| {
            let known = entries.iter().find(|entry| entry.source.id == source.id);
            let path = || Origin::Path(pack::path_of(Path::new(&source.id)));
            let origin = known.map_or_else(path, |entry| entry.origin.clone());
            Entry { id: pack.id.clone(), source: source.clone(), origin, used: true }
        });
        let used: Vec<Entry> = used.collect();
        entries.retain(|entry| !used.iter().any(|one| one.source.id == entry.source.id));
        overlay::apply(&mut packs, &overlay);
        Ok(Catalog { packs, entries: used.into_iter().chain(entries).collect(), overlay })
    }

    /// The entry of a pack; one that runs first.
    pub fn entry(&self, id: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    /// The pack that runs by this id.
    pub fn pack(&self, id: &str) -> Option<&Pack> {
        self.packs.iter().find(|pack| pack.id == id)
    }

    /// What is odd about the overlay or a pack that is no part of weir, but no error.
    pub fn warnings(&self) -> Problems {
        let mut all = self.overlay.warnings.clone();
        for (pack, entry) in self.packs.iter().zip(&self.entries) {
            if entry.origin != Origin::BuiltIn {
                pack.warnings.iter().for_each(|warning| all.push(warning.clone()));
            }
        }
        all
    }
}

/// The packs that can be named by id.
fn entries(pipeline: &Pipeline, instead: &Instead) -> Result<Vec<Entry>, Problems> {
    let entry = |source: Source, origin| Entry { id: source.id.clone(), source, origin, used: false };
    let mut all: Vec<Entry> =
        pack::compiled_in().into_iter().map(|source| entry(source, Origin::BuiltIn)).collect();
    let mut put = |new: Entry| match all.iter_mut().find(|known| known.id == new.id) {
        Some(known) => *known = new,
        None => all.push(new),
    };
    let installed = match store(pipeline) {
        Some(store) => store.installed().map_err(|error| unreadable(pipeline.state.dir.as_str(), &error))?,
        None => Vec::new(),
    };
    let replaced = |id: &str| instead.pack.as_ref().is_some_and(|(own, _)| own == id);
    for one in installed.into_iter().filter(|one| !replaced(&one.id)) {
        put(entry(source_of(&one)?, Origin::Imported(one)));
    }
    if let Some((id, Some(source))) = &instead.pack {
        let path = PathBuf::from(&source.name);
        let installed =
            Installed { id: id.clone(), number: 0, path, created: None, modified: None, before: Vec::new() };
        put(entry(Source { id: id.clone(), ..source.clone() }, Origin::Imported(installed)));
    }
    Ok(all)
}

/// The text of an imported pack.
pub(crate) fn source_of(installed: &Installed) -> Result<Source, Problems> {
    let name = installed.path.display().to_string();
    match text_of(&installed.path, "the pack", pack::FILE_BYTES_MAX) {
        Ok(text) => Ok(Source { id: installed.id.clone(), name, text: Cow::Owned(text) }),
        Err(message) => Err(pack::problem(&name, &message, String::new())),
    }
}

/// The text of the overlay; one that is not there is empty.
pub(crate) fn overlay_text(pipeline: &Pipeline) -> Result<String, Problems> {
    let path = Path::new(pipeline.overlay.as_str());
    if path.as_os_str().is_empty() || !path.exists() {
        return Ok(String::new());
    }
    let problem = |message: String| pack::problem(pipeline.overlay.as_str(), &message, String::new());
    text_of(path, "the overlay", overlay::FILE_BYTES_MAX).map_err(problem)
}

fn unreadable(name: &str, error: &io::Error) -> Problems {
    pack::problem(name, &format!("cannot read the imported packs: {error}"), String::new())
}
