//! What one key cannot know: references, combinations, bounds.

use super::names::{Complaint, child, entries, items, text};
use super::read::template;
use super::walk::Walk;
use super::{Pack, Param, keys, metric};
use crate::config::node::{Node, Value};
use crate::config::read::Reader;
use crate::config::schema::nearest;
use crate::plan::cron::Cron;
use crate::plan::device::DeviceRules;
use crate::plan::rules::convert::{Number, Type};

/// Notes every problem that spans several keys.
pub(super) fn all(
    r: &mut Reader<'_>,
    root: &Node,
    walk: &Walk<'_>,
    pack: &Pack,
    warnings: &mut Vec<Complaint>,
) {
    head(r, root);
    device_id(r, root, warnings);
    for node in items(child(root, "alerts")) {
        alert(r, root, walk, pack, node);
    }
    for node in items(child(root, "reports")) {
        report(r, root, node);
    }
    for node in items(child(root, "dashlets")) {
        if !matches!(text(child(node, "agg")), None | Some("count")) {
            number(r, walk, node, "value", "a dashlet that does not count has a `value`");
        }
    }
    metric::check(r, root, walk, pack, warnings);
    for node in items(child(root, "redact")) {
        mask(r, node);
    }
    for node in items(child(root, "tests")) {
        test(r, node, pack);
    }
}

/// Notes if a mask says nothing, or two things.
pub(super) fn mask(r: &mut Reader<'_>, node: &Node) {
    let has = |key: &str| child(node, key).is_some();
    if !["builtin", "regex", "field"].into_iter().any(has) {
        r.note(node.at, "the mask says nothing", "one of `builtin`, `regex` and `field`");
    }
    if has("builtin") && has("regex") {
        r.note(
            node.at,
            "the mask has both `builtin` and `regex`",
            "two masks; `field` may stand with either",
        );
    }
}

fn head(r: &mut Reader<'_>, root: &Node) {
    let Some(head) = child(root, "pack") else { return };
    if let Some((node, version)) = child(head, "version").and_then(|node| Some((node, text(Some(node))?))) {
        let numbers: Vec<&str> = version.split('.').collect();
        if numbers.len() != 3 || !numbers.iter().all(|number| number.parse::<u32>().is_ok()) {
            r.note(node.at, format!("`{version}` is no version"), "three numbers: `1.0.0`");
        }
    }
    let engine = child(head, "requires").and_then(|requires| child(requires, "engine"));
    if let Some((node, wanted)) = engine.and_then(|node| Some((node, text(Some(node))?))) {
        let parts =
            |text: &str| text.split('.').map(|part| part.parse::<u32>().ok()).collect::<Option<Vec<u32>>>();
        match wanted.strip_prefix(">=").map(str::trim).and_then(parts) {
            Some(wanted) if parts(env!("CARGO_PKG_VERSION")).is_some_and(|ours| ours < wanted) => {
                let message = format!("the pack needs another engine than {}", env!("CARGO_PKG_VERSION"));
                r.note(node.at, message, "install a newer weir");
            }
            Some(_) => {}
            None => r.note(node.at, format!("`{wanted}` is no bound of a version"), "`\">=0.1\"`"),
        }
    }
    for (name, spec) in entries(child(head, "params")) {
        let (Some(_), Some(default)) = (text(child(spec, "type")), text(child(spec, "default"))) else {
            continue;
        };
        let param = param(spec);
        if !param.takes(default) {
            let at = child(spec, "default").map_or(name.at, |node| node.at);
            let message = format!("`{default}` is no value of the {} `{}`", param.ty, name.text);
            r.note(at, message, "mind `min` and `max`");
        }
    }
}

/// What a param may be.
pub(super) fn param(node: &Node) -> Param {
    let word = |key: &str| text(child(node, key)).map(str::to_string);
    Param { ty: word("type").unwrap_or_default(), min: word("min"), max: word("max") }
}

fn device_id(r: &mut Reader<'_>, root: &Node, warnings: &mut Vec<Complaint>) {
    let rules = items(child(root, "device_id").and_then(|device| child(device, "rules")));
    let mut raw = 0;
    for rule in rules.iter().filter(|rule| text(child(rule, "active")) != Some("false")) {
        raw += 1;
        if raw == 2 {
            let message = "a second raw device id rule".to_string();
            warnings.push((rule.at, message, "each runs over every frame that names no sender".into()));
        }
        if let (Some(pattern), Some(token)) = (text(child(rule, "pattern")), text(child(rule, "token")))
            && let Err((_, error)) = DeviceRules::new(&[(pattern, token)])
        {
            r.note(
                rule.at,
                error.to_string().lines().last().unwrap_or_default(),
                "a group has its name within: `(?P<Computer>...)`",
            );
        }
    }
}

/// Windows that compare with a bound.
const BOUNDED: [&str; 6] = ["count", "distinct", "sum", "avg", "percentile", "ratio"];
const BOUNDS: [&str; 5] = ["gte", "gt", "lte", "lt", "eq"];

fn alert(r: &mut Reader<'_>, root: &Node, walk: &Walk<'_>, pack: &Pack, node: &Node) {
    let id = text(child(node, "id")).unwrap_or_default();
    let Some(when) = child(node, "when") else { return };
    let window = match &when.value {
        Value::Map(written) => {
            let known: Vec<_> =
                written.iter().filter(|(name, _)| keys::WHEN.key(&name.text).is_some()).collect();
            let [(name, window)] = known[..] else {
                let message = format!("`when` of alert `{id}` has {} windows", known.len());
                return r.note(when.at, message, "exactly one; several are several alerts");
            };
            Some((name.text.as_str(), window))
        }
        _ => None,
    };
    let name = window.map_or("each", |(name, _)| name);
    let steps = matches!(name, "all_of" | "sequence");
    match (child(node, "detect"), name) {
        (Some(detect), _) if steps => {
            r.note(
                detect.at,
                format!("alert `{id}` has a condition and steps"),
                "what counts stands in `steps`",
            );
        }
        (None, _) if !steps && name != "absent" => {
            r.note(node.at, format!("alert `{id}` has no `detect`"), "`detect: {s: {kind: router}}`");
        }
        _ => {}
    }
    if let Some((name, window)) = window {
        let given = BOUNDS.iter().filter(|bound| child(window, bound).is_some()).count();
        if BOUNDED.contains(&name) && given != 1 {
            let message = format!("`{name}` of alert `{id}` has {given} bounds");
            r.note(window.at, message, format!("exactly one of {}", BOUNDS.join(", ")));
        }
        if matches!(name, "sum" | "avg" | "percentile") {
            number(r, walk, window, "of", "it adds numbers up");
        }
        if steps && items(child(window, "steps")).len() < 2 {
            r.note(
                window.at,
                format!("`{name}` of alert `{id}` has fewer than two steps"),
                "one step is `count`",
            );
        }
        let over = |p: Number| p <= Number::of(0) || p >= Number::of(100);
        if let Some(p) = child(window, "p")
            .filter(|p| text(Some(p)).and_then(|p| Number::parse(p.as_bytes())).is_some_and(over))
        {
            r.note(p.at, "a percentile lies between 0 and 100", "`p: 95`");
        }
    }
    if let Some(summary) = child(node, "summary") {
        for name in template(text(Some(summary)).unwrap_or_default()).into_iter().flatten() {
            if let Err(hint) = walk.detects.scope.knows(name) {
                r.note(summary.at, format!("unknown field `{name}` in the summary of alert `{id}`"), hint);
            }
        }
    }
    for inhibit in items(child(node, "inhibits")) {
        let other = text(child(inhibit, "alert")).unwrap_or_default();
        let own = || items(child(root, "alerts")).iter().filter_map(|alert| text(child(alert, "id")));
        let full = format!("{}.alert.", pack.id);
        let bare = other.strip_prefix(&full).unwrap_or(other);
        if !bare.contains('.') && !own().any(|id| id == bare) {
            let hint =
                nearest(bare, own()).map_or("an alert's id".into(), |near| format!("did you mean `{near}`?"));
            r.note(inhibit.at, format!("there is no alert `{other}` for alert `{id}` to inhibit"), hint);
        }
    }
}

/// Notes if the field that `key` names is absent or no number.
pub(super) fn number(r: &mut Reader<'_>, walk: &Walk<'_>, node: &Node, key: &str, why: &str) {
    let Some((at, name)) = child(node, key).and_then(|node| Some((node.at, text(Some(node))?))) else {
        return r.note(node.at, format!("`{key}` is missing"), why);
    };
    if let Ok((_, ty)) = walk.detects.scope.subject(name)
        && !Type::is_number(ty)
    {
        r.note(at, format!("`{name}` is no number"), why);
    }
}

fn report(r: &mut Reader<'_>, root: &Node, node: &Node) {
    let id = text(child(node, "id")).unwrap_or_default();
    if let Some((at, join)) = child(node, "join").and_then(|node| Some((node.at, text(Some(node))?))) {
        let known = || items(child(root, "joins")).iter().filter_map(|join| text(child(join, "id")));
        if !known().any(|known| known == join) {
            let hint = nearest(join, known())
                .map_or("joins stand under `joins`".into(), |near| format!("did you mean `{near}`?"));
            r.note(at, format!("there is no join `{join}` for report `{id}`"), hint);
        }
    }
    if let Some((at, schedule)) = child(node, "schedule").and_then(|node| Some((node.at, text(Some(node))?)))
        && Cron::parse(schedule).is_none()
    {
        r.note(at, format!("`{schedule}` is no schedule"), "minute, hour, day, month, weekday: `0 6 * * *`");
    }
    if let Some((at, zone)) = child(node, "zone").and_then(|node| Some((node.at, text(Some(node))?)))
        && !matches!(zone, "" | "~" | "null")
        && crate::config::zone(zone).is_none()
    {
        r.note(
            at,
            format!("`{zone}` is no time zone"),
            "an offset such as `+01:00`, or a name such as `Europe/Berlin`",
        );
    }
}

fn test(r: &mut Reader<'_>, node: &Node, pack: &Pack) {
    let alerts = || pack.alerts.iter().map(|alert| alert.id.as_str());
    let Some(expect) = child(node, "expect") else { return };
    for key in ["alerts", "matches", "first_fire_after"] {
        for (name, _) in entries(child(expect, key)) {
            if !alerts().any(|id| id == name.text) {
                let hint = nearest(&name.text, alerts())
                    .map_or("an alert's id".into(), |near| format!("did you mean `{near}`?"));
                r.note(name.at, format!("there is no alert `{}`", name.text), hint);
            }
        }
    }
    let reports = || pack.reports.iter().map(|report| report.id.as_str());
    for (name, _) in entries(child(expect, "reports")) {
        if !reports().any(|id| id == name.text) {
            let hint = nearest(&name.text, reports())
                .map_or("a report's id".into(), |near| format!("did you mean `{near}`?"));
            r.note(name.at, format!("there is no report `{}`", name.text), hint);
        }
    }
    let dashlets = || {
        let read = pack.dashlets.iter().map(|dashlet| dashlet.id.as_str());
        let others = pack.others.iter().filter(|(kind, _)| *kind == "dashlet").map(|(_, id)| id.as_str());
        read.chain(others)
    };
    for (name, _) in entries(child(expect, "dashlets")) {
        if !dashlets().any(|id| id == name.text) {
            let hint = nearest(&name.text, dashlets())
                .map_or("a dashlet's id".into(), |near| format!("did you mean `{near}`?"));
            r.note(name.at, format!("there is no dashlet `{}`", name.text), hint);
        }
    }
    let categories = || pack.categories.iter().map(|category| category.id.as_str());
    let written = child(expect, "categories");
    let listed = items(written).iter().filter_map(|item| Some((item.at, text(Some(item))?)));
    let mapped = entries(written).iter().map(|(name, _)| (name.at, name.text.as_str()));
    for (at, name) in listed.chain(mapped) {
        if !categories().any(|id| id == name) {
            let hint = nearest(name, categories())
                .map_or("a category's id".into(), |near| format!("did you mean `{near}`?"));
            r.note(at, format!("there is no category `{name}`"), hint);
        }
    }
    for (step, number) in items(child(node, "events")).iter().zip(1..) {
        let given = ["line", "advance", "set"].iter().filter(|key| child(step, key).is_some()).count();
        if given != 1 {
            r.note(
                step.at,
                format!("step {number} of the test is no line, advance or set"),
                "exactly one of the three",
            );
        }
        for (name, _) in entries(child(step, "set")) {
            if !pack.params.contains_key(&name.text) {
                r.note(
                    name.at,
                    format!("there is no param `{}`", name.text),
                    "params stand under `pack.params`",
                );
            }
        }
    }
}
