//! Changes to the packs of a site: each is tried as a whole, then written, or it is refused with the reason.

use std::borrow::Cow;
use std::path::Path;

use serde_json::{Map, Value as Json, json};

use super::lock::Lock;
use super::{Catalog, Instead, Origin, overlay_text, part, source_of, store, yaml};
use crate::config::{Pipeline, Problems};
use crate::pack::{self, Pack, Source, overlay, trial};

/// What a new overlay file begins with.
const HEAD: &str = "# What this site changes about its packs. `weir pack enable` and `disable` write here, people may as well.\n\
    weir: overlay/v1\n";
/// What is put before an overlay that had to be written anew.
const REWRITTEN: &str =
    "# Written anew by weir, since the change could not be put in where it belongs; comments were lost.\n";

/// Files of the vendor whose guide the Heroku pack follows, by extension, with what they hold and where a pack has it.
const VENDOR: [(&str, &str, &str); 4] = [
    ("iscat", "categories", "categories"),
    ("isalt", "alerts", "alerts"),
    ("etko", "knowledge objects", "knowledge_objects"),
    ("etwd", "dashlets", "dashlets"),
];

/// Why a file by this name is not read, if it is one of the vendor's own.
pub fn vendors(path: &Path) -> Option<String> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    let (_, what, key) = VENDOR.iter().find(|(known, ..)| *known == extension)?;
    Some(format!(
        "`{}` is the vendor's own file for {what}, which weir does not read; in a pack they stand under `{key}`, \
         and `weir pack export heroku` prints a pack that holds the guide's",
        path.display()
    ))
}

/// A pack that was tried and may be stored.
struct Tried {
    pack: Pack,
    /// How many tests ran.
    tests: usize,
    /// Whether the pipeline names the pack.
    used: bool,
}

/// Tries to put a pack in place of the imported or compiled-in one of its id: reads, checks and compiles it with the
/// packs of the pipeline under the overlay, and runs its tests. `name` is what messages call it.
///
/// # Errors
/// Every reason why it does not fit, as text for people.
fn try_import(pipeline: &Pipeline, name: &str, text: &str) -> Result<Tried, String> {
    let now = Catalog::load(pipeline).map_err(said)?;
    let others: Vec<Pack> = pack::compiled_in()
        .iter()
        .filter_map(|source| pack::read(&source.name, &source.text, &[], &[]).ok())
        .chain(now.packs.iter().cloned())
        .collect();
    let pack = pack::read(name, text, &[], &others).map_err(said)?;
    if let Some(Origin::Path(path)) = now.entry(&pack.id).map(|entry| &entry.origin) {
        return Err(format!(
            "the pipeline takes pack `{}` from `{}`: change that file, or let `packs` name the id\n",
            pack.id,
            path.display()
        ));
    }
    let conflicts = pack::conflicts(&pack);
    if !conflicts.is_empty() {
        let one = |conflict: &pack::Conflict| {
            let ([a, b], (line, column)) = (&conflict.objects, conflict.place);
            format!(
                "{name}:{line}:{column}: objects `{a}` and `{b}` write one field on one event\n\
                 hint: an exception in one of them; both match `{}`\n",
                conflict.witness
            )
        };
        return Err(conflicts.iter().map(one).collect());
    }
    let id = pack.id.clone();
    let source = Source { id: id.clone(), name: name.into(), text: Cow::Owned(text.into()) };
    let instead = Instead { pack: Some((id.clone(), Some(source))), overlay: None };
    let next = Catalog::load_with(pipeline, &instead).map_err(said)?;
    let used = next.pack(&id).is_some();
    pack::compile(&next.packs, &[]).map_err(|error| format!("{name}: {error}\n"))?;
    if !used {
        pack::compile(std::slice::from_ref(&pack), &[]).map_err(|error| format!("{name}: {error}\n"))?;
    }
    let others: Vec<Pack> = others.into_iter().filter(|other| other.id != id).collect();
    let verdicts = trial::run(name, text, &[], &others).map_err(said)?;
    let failed: Vec<&trial::Verdict> =
        verdicts.iter().filter(|verdict| !verdict.failures.is_empty()).collect();
    if !failed.is_empty() {
        let one = |verdict: &&trial::Verdict| {
            let failures: String = verdict.failures.iter().map(|failure| format!("  {failure}\n")).collect();
            format!("{name}:{}: test `{}` fails\n{failures}", verdict.line, verdict.name)
        };
        return Err(failed.iter().map(one).collect());
    }
    Ok(Tried { tests: verdicts.len(), pack, used })
}

/// Lets a running weir take what is on disk now; what it says if it does not.
pub type Reload<'a> = &'a mut dyn FnMut() -> Result<(), String>;

/// Imports a pack: tries it, stores it and lets `reload` take it, or leaves everything as it was. With `only`, a kind or
/// `KIND/ID`, those items are put into the pack of that id that there is.
///
/// # Errors
/// Every reason why not, as text for people.
pub fn import(
    pipeline: &Pipeline,
    name: &str,
    text: &str,
    only: Option<&str>,
    reload: Reload<'_>,
) -> Result<Json, String> {
    let store = store(pipeline).ok_or("the pipeline keeps no state, so nothing can be imported\n")?;
    let _lock = Lock::take(pipeline)?;
    let whole = match only {
        Some(only) => Cow::Owned(part::taken(&Catalog::load(pipeline).map_err(said)?, name, text, only)?),
        None => Cow::Borrowed(text),
    };
    let Tried { pack, tests, used } = try_import(pipeline, name, &whole)?;
    let explain = |error: std::io::Error| format!("cannot store pack `{}`: {error}\n", pack.id);
    let number = store.install(&pack.id, &whole).map_err(explain)?;
    if let Err(why) = reload() {
        store.undo(&pack.id, number).map_err(explain)?;
        return Err(why);
    }
    Ok(json!({"id": pack.id, "version": pack.version, "import": number, "tests": tests, "used": used}))
}

/// Lets the version before the last import count, if it still goes with everything else.
///
/// # Errors
/// If there is nothing before, or it does not fit; then all stays as it is.
pub fn roll_back(pipeline: &Pipeline, id: &str, reload: Reload<'_>) -> Result<Json, String> {
    let explain = |error: std::io::Error| format!("cannot roll pack `{id}` back: {error}\n");
    let nothing = || format!("pack `{id}` was not imported, so there is nothing to go back to\n");
    let store = store(pipeline).ok_or_else(nothing)?;
    let _lock = Lock::take(pipeline)?;
    let found = store.find(id).map_err(explain)?.ok_or_else(nothing)?;
    let before = found.before.first().map(|number| {
        let path = found.path.with_file_name(format!("{number:04}.yaml"));
        source_of(&super::store::Installed { path, ..found.clone() })
    });
    let before = before.transpose().map_err(said)?;
    let instead = Instead { pack: Some((id.into(), before)), overlay: None };
    let next = Catalog::load_with(pipeline, &instead).map_err(said)?;
    pack::compile(&next.packs, &[]).map_err(|error| format!("{error}\n"))?;
    let number = store.roll_back(id).map_err(explain)?.ok_or_else(nothing)?;
    if let Err(why) = reload() {
        store.roll_forward(id, number).map_err(explain)?;
        return Err(why);
    }
    let now = next.pack(id).map(|pack| pack.version.clone());
    Ok(json!({"id": id, "rolled_back": number, "version": now, "import": found.before.first()}))
}

/// Changes the overlay: `patch` is merged into it (RFC 7396), tried, written and taken by `reload`, or nothing is.
///
/// # Errors
/// Every reason why the result is no overlay of these packs, as text for people.
pub fn edit(pipeline: &Pipeline, patch: &Json, reload: Reload<'_>) -> Result<Json, String> {
    edit_with(pipeline, |_| Ok(patch.clone()), reload)
}

/// Sets items on or off in the overlay, as [`switch`] says.
///
/// # Errors
/// What names nothing, or every reason why the result is no overlay of these packs, as text for people.
pub fn set(pipeline: &Pipeline, ids: &[String], mode: &str, reload: Reload<'_>) -> Result<Json, String> {
    edit_with(pipeline, |catalog| switch(catalog, ids, mode), reload)
}

/// Changes the overlay by what `patch` makes of the packs as they are on disk while nobody else changes them.
fn edit_with(
    pipeline: &Pipeline,
    patch: impl FnOnce(&Catalog) -> Result<Json, String>,
    reload: Reload<'_>,
) -> Result<Json, String> {
    if pipeline.overlay.is_empty() {
        return Err("the pipeline has no overlay\n".into());
    }
    let _lock = Lock::take(pipeline)?;
    let before = overlay_text(pipeline).map_err(said)?;
    // What is broken already is not made worse, and its own errors are the ones to read.
    let patch = patch(&Catalog::load(pipeline).map_err(said)?)?;
    let text = if is_blank(&before) { format!("{HEAD}{before}") } else { before.clone() };
    let (after, kept) = yaml::patched(&text, &patch);
    let after = if kept { after } else { format!("{REWRITTEN}{after}") };
    let instead = Instead { pack: None, overlay: Some(after.clone()) };
    let next = Catalog::load_with(pipeline, &instead).map_err(said)?;
    pack::compile(&next.packs, &[]).map_err(|error| format!("{error}\n"))?;
    write(pipeline, &after)?;
    if let Err(why) = reload() {
        write(pipeline, &before)?;
        return Err(why);
    }
    Ok(json!({"overlay": pipeline.overlay.as_str(), "comments_kept": kept}))
}

fn said(problems: Problems) -> String {
    problems.to_string()
}

/// Whether a text says nothing.
fn is_blank(text: &str) -> bool {
    text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
}

fn write(pipeline: &Pipeline, text: &str) -> Result<(), String> {
    let path = Path::new(pipeline.overlay.as_str());
    // A link stays one: what it points at is written.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let explain = |error| format!("cannot write the overlay `{}`: {error}\n", path.display());
    super::store::write(&path, text.as_bytes()).map_err(explain)
}

/// The patch to an overlay that sets items on or off; `mode` is what alerts get, other kinds are left out or not.
///
/// An id is `PACK.KIND.NAME`, or an alert's own id if only one pack has it; the name `*` stands for all of the kind.
///
/// # Errors
/// What names nothing, with the nearest name.
fn switch(catalog: &Catalog, ids: &[String], mode: &str) -> Result<Json, String> {
    let mut patch = Map::new();
    for id in ids {
        let (pack, kind, names) = items(catalog, id)?;
        let site = patch.entry(pack.clone()).or_insert_with(|| json!({}));
        if kind == "alert" {
            for name in names {
                site["alerts"][name]["mode"] = json!(mode);
            }
            continue;
        }
        let known = catalog.overlay.site(&pack).map(|site| site.disabled.as_slice()).unwrap_or_default();
        if site["disabled"].is_null() {
            site["disabled"] = known.iter().map(|(kind, id)| json!(format!("{kind}.{id}"))).collect();
        }
        let disabled = site["disabled"].as_array_mut().expect("made so");
        for name in names {
            let item = json!(format!("{kind}.{name}"));
            disabled.retain(|known| *known != item);
            if mode == "off" {
                disabled.push(item);
            }
        }
    }
    Ok(Json::Object(patch))
}

/// Pack, kind and names of the items that an id means.
fn items(catalog: &Catalog, id: &str) -> Result<(String, &'static str, Vec<String>), String> {
    let hint = |message: String, hint: String| format!("{message}\nhint: {hint}\n");
    if !id.contains('.') {
        let has = |pack: &&Pack| pack.alerts.iter().any(|alert| alert.id == id);
        let owners: Vec<&Pack> = catalog.packs.iter().filter(has).collect();
        return match owners[..] {
            [pack] => Ok((pack.id.clone(), "alert", vec![id.into()])),
            [] => {
                let all: Vec<&str> =
                    catalog.packs.iter().flat_map(|pack| overlay::ids(pack, "alert")).collect();
                let known = overlay::nearest_of(id, &all, "ids are PACK.KIND.NAME; alerts are");
                Err(hint(format!("there is no alert `{id}`"), known))
            }
            _ => {
                let full: Vec<String> =
                    owners.iter().map(|pack| format!("`{}.alert.{id}`", pack.id)).collect();
                Err(hint(format!("several packs have an alert `{id}`"), full.join(" or ")))
            }
        };
    }
    let (owner, rest) = id.split_once('.').expect("it holds a dot");
    let Some(entry) = catalog.entry(owner).filter(|entry| entry.used) else {
        let ids: Vec<&str> = catalog.packs.iter().map(|pack| pack.id.as_str()).collect();
        let known = overlay::nearest_of(owner, &ids, "the pipeline's packs are");
        return Err(hint(format!("the pipeline has no pack `{owner}`"), known));
    };
    // What is left out already is still an item of the pack.
    let whole = pack::read(&entry.source.name, &entry.source.text, &[], &catalog.packs);
    let whole = whole.map_err(said)?;
    if let Some(kind) = rest.strip_suffix(".*").and_then(|kind| overlay::KINDS.iter().find(|k| **k == kind)) {
        let names = overlay::ids(&whole, kind).into_iter().map(str::to_string).collect();
        return Ok((owner.into(), kind, names));
    }
    let (kind, name) = overlay::item(&whole, rest).map_err(|(message, known)| hint(message, known))?;
    Ok((owner.into(), kind, vec![name]))
}
