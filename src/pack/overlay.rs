//! The overlay: what a site changes about its packs, in a file of its own, so that a new version of a pack keeps it.
//!
//! It is read against the packs that it changes: an id that none of them has is an error, as an unknown key is. To apply
//! it is one step over packs that were read; params alone come earlier, since conditions hold their values.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{Pack, keys};
use crate::config::Problems;
use crate::config::node::{self, At, Name, Node, Value};
use crate::config::read::{Placed, Reader, example};
use crate::config::schema::{document, nearest};

/// Bytes of an overlay: room for ten thousand alerts.
pub const FILE_BYTES_MAX: u64 = 4 << 20;

/// Kinds of items that can be left out of a pack; lists, lookups, macros and joins are part of what names them.
pub const KINDS: [&str; 7] = ["knowledge", "category", "alert", "report", "dashlet", "metric", "redact"];

/// What a site changes, by pack, in the file's order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overlay {
    sites: Vec<(String, Site)>,
    /// What is odd but no error.
    pub warnings: Problems,
}

/// What is changed about one pack.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Site {
    pub params: Vec<(String, String)>,
    /// By id.
    pub alerts: BTreeMap<String, AlertEdit>,
    /// Kind and id.
    pub disabled: Vec<(&'static str, String)>,
}

/// What is changed about one alert; `None` leaves it as the pack says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertEdit {
    pub mode: Option<&'static str>,
    /// Empty: all.
    pub notify: Option<Vec<String>>,
    pub drains: Option<Vec<String>>,
    pub suppress_for: Option<Duration>,
}

/// What an overlay is read against.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// The packs of the pipeline, as they say themselves.
    pub packs: &'a [Pack],
    /// Ids of packs that the pipeline could name and does not; what is said of them is not looked at.
    pub known: &'a [&'a str],
    /// Names of the pipeline's notifiers.
    pub notifiers: &'a [&'a str],
}

impl Overlay {
    /// What is changed about a pack.
    pub fn site(&self, pack: &str) -> Option<&Site> {
        self.sites.iter().find(|(id, _)| id == pack).map(|(_, site)| site)
    }

    /// The params of a pack that have other values.
    pub fn params(&self, pack: &str) -> Vec<(String, String)> {
        self.site(pack).map(|site| site.params.clone()).unwrap_or_default()
    }

    /// Whether no param of any pack is changed.
    pub fn has_params(&self) -> bool {
        self.sites.iter().any(|(_, site)| !site.params.is_empty())
    }
}

/// Changes packs as the overlay says; params are no part of it.
pub fn apply(packs: &mut [Pack], overlay: &Overlay) {
    for pack in packs {
        let Some(site) = overlay.site(&pack.id) else { continue };
        for alert in &mut pack.alerts {
            let Some(edit) = site.alerts.get(&alert.id) else { continue };
            if let Some(mode) = edit.mode {
                alert.mode = mode.into();
            }
            if let Some(notify) = &edit.notify {
                alert.notify.clone_from(notify);
            }
            if let Some(drains) = &edit.drains {
                alert.drains = Some(drains.clone());
            }
            if let Some(length) = edit.suppress_for {
                let by = alert.suppress.take().map(|(by, _)| by).unwrap_or_default();
                alert.suppress = Some((by, i64::try_from(length.as_micros()).unwrap_or(i64::MAX)));
            }
        }
        let stays = |kind: &str, id: &str| !site.disabled.iter().any(|(k, i)| *k == kind && i == id);
        pack.objects.retain(|object| stays("knowledge", &object.id));
        pack.categories.retain(|category| stays("category", &category.id));
        pack.alerts.retain(|alert| stays("alert", &alert.id));
        pack.reports.retain(|report| stays("report", &report.id));
        pack.dashlets.retain(|dashlet| stays("dashlet", &dashlet.id));
        pack.metrics.retain(|metric| stays("metric", &metric.name));
        pack.others.retain(|(kind, id)| stays(kind, id));
    }
}

/// Reads an overlay from `text`; `name` is what messages call it. A text without a value is one that changes nothing.
///
/// # Errors
/// Every problem of the text, in its order.
pub fn read(name: &str, text: &str, around: Around<'_>) -> Result<Overlay, Problems> {
    let tree = node::parse(text);
    let mut r = Reader::plain(&tree);
    let mut overlay = Overlay::default();
    let mut warnings = Vec::new();
    if let Some(root) = tree.root.as_ref().filter(|root| !root.is_null()) {
        sites(&mut r, root, around, &mut overlay, &mut warnings);
    }
    if !r.is_clean() {
        return Err(r.problems(name, text));
    }
    let mut w = Reader::plain(&tree);
    for (at, message, hint) in warnings {
        w.note(at, format!("warning: {message}"), hint);
    }
    overlay.warnings = w.problems(name, text);
    Ok(overlay)
}

type Warnings = Vec<(At, String, String)>;

fn sites(
    r: &mut Reader<'_>,
    root: &Node,
    around: Around<'_>,
    overlay: &mut Overlay,
    warnings: &mut Warnings,
) {
    let Some(f) = r.fields_but(root, keys::OVERLAY, |name| name != "weir") else { return };
    if let Some(version) = r.text(&f, "weir")
        && version.as_str() != "overlay/v1"
    {
        let message = format!("this version does not read `{}`", version.as_str());
        r.note(f.value_at("weir"), message, "it reads `weir: overlay/v1`");
    }
    let Value::Map(entries) = &root.value else { return };
    let mut seen: Vec<&Name> = Vec::new();
    for (name, node) in entries.iter().filter(|(name, _)| name.text != "weir") {
        if let Some(first) = seen.iter().find(|known| known.text == name.text) {
            let message = format!("pack `{}` stands twice in the overlay", name.text);
            r.note(name.at, message, format!("the first is in line {}", first.at.line));
            continue;
        }
        seen.push(name);
        let ids = || around.packs.iter().map(|pack| pack.id.as_str());
        match around.packs.iter().find(|pack| pack.id == name.text) {
            Some(_) if node.is_null() => {}
            Some(pack) => {
                if let Some(site) = site(r, node, pack, around.notifiers, warnings) {
                    overlay.sites.push((name.text.clone(), site));
                }
            }
            None if around.known.contains(&name.text.as_str()) => {}
            None => {
                let hint =
                    hint(&name.text, ids().chain(around.known.iter().copied()), "the pipeline's packs are");
                r.note(name.at, format!("there is no pack `{}`", name.text), hint);
            }
        }
    }
}

fn site(
    r: &mut Reader<'_>,
    node: &Node,
    pack: &Pack,
    notifiers: &[&str],
    warnings: &mut Warnings,
) -> Option<Site> {
    let f = r.fields(node, keys::OVERLAY_PACK)?;
    let mut site = Site::default();
    for (name, (at, value)) in r.map(&f, "params", |r, node, key| Some((node.at, r.scalar(node, key)?))) {
        let Some(spec) = pack.param_specs.get(&name.value) else {
            let known = pack.param_specs.keys().map(String::as_str);
            let hint = hint(&name.value, known, "its params are");
            r.note(name.at, format!("there is no param `{}` in pack `{}`", name.value, pack.id), hint);
            continue;
        };
        let value = value.as_str();
        if !spec.takes(value) {
            r.note(at, format!("`{value}` is no value of `{}`", name.value), spec.describe());
        }
        site.params.push((name.value, value.to_string()));
    }
    let edits = r.map(&f, "alerts", |r, node, _| alert(r, node, notifiers, warnings));
    for (name, edit) in edits {
        if !pack.alerts.iter().any(|alert| alert.id == name.value) {
            let known = pack.alerts.iter().map(|alert| alert.id.as_str());
            let hint = hint(&name.value, known, "its alerts are");
            r.note(name.at, format!("there is no alert `{}` in pack `{}`", name.value, pack.id), hint);
        }
        site.alerts.insert(name.value, edit);
    }
    let disabled = r.list(&f, "disabled", |r, node, key| {
        let text = r.scalar(node, key)?;
        match item(pack, text.as_str()) {
            Ok(item) => Some(item),
            Err((message, hint)) => {
                r.note(node.at, message, hint);
                None
            }
        }
    });
    site.disabled = disabled;
    Some(site)
}

fn alert(r: &mut Reader<'_>, node: &Node, notifiers: &[&str], warnings: &mut Warnings) -> Option<AlertEdit> {
    if node.is_null() {
        return Some(AlertEdit::default());
    }
    let f = r.fields(node, keys::OVERLAY_ALERT)?;
    let mut edit = AlertEdit::default();
    if f.node("mode").is_some() {
        edit.mode = Some(r.choice(&f, "mode"));
    }
    let texts = |r: &mut Reader<'_>, name: &str| {
        f.node(name)?;
        let items = r.list(&f, name, |r, node, key| {
            let value = r.scalar(node, key)?.as_str().to_string();
            if value.is_empty() {
                r.note(node.at, format!("an item of `{name}` is empty"), example(key));
            }
            Some(Placed { at: node.at, value })
        });
        Some(items)
    };
    let plain = |items: Vec<Placed<String>>| items.into_iter().map(|item| item.value).collect();
    if let Some(names) = texts(r, "notify") {
        for name in names.iter().filter(|name| !notifiers.contains(&name.value.as_str())) {
            let message = format!("the pipeline has no notifier `{}`; the alert goes to all", name.value);
            warnings.push((
                name.at,
                message,
                hint(&name.value, notifiers.iter().copied(), "its notifiers are"),
            ));
        }
        // One that gets it too often is better than one that nobody gets.
        let known = names.iter().all(|name| notifiers.contains(&name.value.as_str()));
        edit.notify = Some(if known { plain(names) } else { Vec::new() });
    }
    edit.drains = texts(r, "drains").map(plain);
    if let Some(node) = f.node("suppress") {
        let f = r.fields(node, keys::OVERLAY_SUPPRESS)?;
        edit.suppress_for = r.duration(&f, "for");
    }
    Some(edit)
}

/// Returns kind and id of an item by its name, `KIND.NAME` or `PACK.KIND.NAME`; else a message and a hint.
pub fn item(pack: &Pack, name: &str) -> Result<(&'static str, String), (String, String)> {
    let own = name.strip_prefix(&format!("{}.", pack.id)).unwrap_or(name);
    let Some((kind, id)) = own.split_once('.') else {
        return Err((format!("`{name}` names no item"), "`dashlet.method_by_ip`: a kind and an id".into()));
    };
    let Some(kind) = KINDS.into_iter().find(|known| *known == kind) else {
        let part = matches!(kind, "list" | "lookup" | "macro" | "join" | "field");
        return Err(match part {
            true => (format!("a {kind} cannot be left out"), "it is part of what names it".into()),
            false => (format!("`{kind}` is no kind of item"), hint(kind, KINDS, "kinds are")),
        });
    };
    let ids = ids(pack, kind);
    match ids.contains(&id) {
        true => Ok((kind, id.to_string())),
        false => {
            let hint = hint(id, ids.iter().copied(), "there are");
            Err((format!("there is no {kind} `{id}` in pack `{}`", pack.id), hint))
        }
    }
}

/// The ids of a pack's items of one kind.
pub fn ids<'p>(pack: &'p Pack, kind: &str) -> Vec<&'p str> {
    match kind {
        "knowledge" => pack.objects.iter().map(|object| object.id.as_str()).collect(),
        "category" => pack.categories.iter().map(|category| category.id.as_str()).collect(),
        "alert" => pack.alerts.iter().map(|alert| alert.id.as_str()).collect(),
        _ => {
            let reports = pack.reports.iter().map(|report| ("report", report.id.as_str()));
            let dashlets = pack.dashlets.iter().map(|dashlet| ("dashlet", dashlet.id.as_str()));
            let metrics = pack.metrics.iter().map(|metric| ("metric", metric.name.as_str()));
            let others = pack.others.iter().map(|(own, id)| (*own, id.as_str()));
            let all = reports.chain(dashlets).chain(metrics).chain(others);
            let mut ids: Vec<&str> = all.filter(|(own, _)| *own == kind).map(|(_, id)| id).collect();
            // Metrics of one name are one item.
            let mut seen = HashSet::new();
            ids.retain(|id| seen.insert(*id));
            ids
        }
    }
}

/// A hint for a name that is none of `known`: the nearest, or, after `lead`, the few there are.
pub fn nearest_of(name: &str, known: &[&str], lead: &str) -> String {
    hint(name, known.iter().copied(), lead)
}

fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>, lead: &str) -> String {
    const SHOWN: usize = 12;
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(near) = nearest(name, known.iter().copied()) {
        return format!("did you mean `{near}`?");
    }
    match known.len() {
        0 => "there are none".into(),
        n if n <= SHOWN => format!("{lead} {}", known.join(", ")),
        n => format!("{lead} {} and {} more", known[..SHOWN].join(", "), n - SHOWN),
    }
}

/// Returns the JSON schema (draft 2020-12) of an overlay.
pub fn schema() -> Json {
    let variable = json!({"not": {}});
    let mut schema = document(keys::OVERLAY, "weir overlay, overlay/v1", variable.clone(), json!(true));
    let pack = document(keys::OVERLAY_PACK, "", variable, json!(true));
    let mut of_pack = json!({});
    for key in ["type", "properties", "required", "additionalProperties"] {
        of_pack[key] = pack[key].clone();
    }
    schema["additionalProperties"] = of_pack;
    schema
}

#[cfg(test)]
mod tests;
