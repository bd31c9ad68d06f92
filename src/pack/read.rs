//! From a document to a [`Pack`], or to every problem it has.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::detect::{Detects, Macro};
use super::names::{Complaint, Names, child, entries, items, text};
use super::scope::Scope;
use super::values::joined;
use super::walk::Walk;
use super::{
    Category, Derive, FILE_BYTES_MAX, Mask, Object, ObjectRule, Pack, alert, check, country, dashlet, keys,
    metric, report, trial,
};
use crate::config::node::{self, At, Node, Value};
use crate::config::read::{Reader, text_of};
use crate::config::schema::nearest;
use crate::config::{Problem, Problems};
use crate::parse::heroku;
use crate::plan::OnNoMatch;
use crate::plan::rules::cond::{Cond, How, Key, Op, Subject, Test};
use crate::plan::rules::convert::Type;
use crate::plan::rules::{DeriveStep, ExtractSpec, FieldSpec, Take, regex};

/// Returns the file of a pack: the path, or `pack.yaml` in it if it is a folder.
pub fn path_of(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("pack.yaml") } else { path.to_path_buf() }
}

/// Returns whether a text says of itself that it is a pack.
pub fn is_pack(text: &str) -> bool {
    let mut lines = text.lines().filter_map(|line| line.trim_start_matches('\u{feff}').strip_prefix("weir:"));
    lines
        .next()
        .is_some_and(|version| version.trim_start().trim_start_matches(['"', '\'']).starts_with("pack/"))
}

/// The id that a text says of itself, whatever else is wrong with it.
pub fn id_of(text: &str) -> Option<String> {
    let tree = node::parse(text);
    let head = tree.root.as_ref().and_then(|root| child(root, "pack"));
    head.and_then(|head| self::text(child(head, "id"))).map(str::to_string)
}

/// Reads the pack at `path`, a file or a folder; `set` gives params other values, `others` are packs it may name.
///
/// # Errors
/// Every problem of the file, in its order; one without a line if it cannot be read at all.
pub fn load(path: &Path, set: &[(String, String)], others: &[Pack]) -> Result<Pack, Problems> {
    let path = path_of(path);
    let name = path.display().to_string();
    match text_of(&path, "the pack", FILE_BYTES_MAX) {
        Ok(text) => read(&name, &text, set, others),
        Err(message) => {
            let mut problems = Problems::default();
            problems.push(Problem { file: name, line: 0, column: 0, message, hint: None, snippet: None });
            Err(problems)
        }
    }
}

/// Reads a pack from `text`; `name` is what messages call it.
///
/// # Errors
/// Every problem of the text, in its order.
pub fn read(name: &str, text: &str, set: &[(String, String)], others: &[Pack]) -> Result<Pack, Problems> {
    let mut tree = node::parse(text);
    let mut complaints = Vec::new();
    let mut names = Names::default();
    if let Some(root) = &mut tree.root {
        names = Names::of(root, set, &mut complaints);
        names.put_in(root, &mut complaints);
    }
    let mut r = Reader::plain(&tree);
    for (at, message, hint) in complaints {
        r.note(at, message, hint);
    }
    let mut warnings = Vec::new();
    let pack = match &tree.root {
        Some(root) => pack(&mut r, root, names, others, &mut warnings),
        None => {
            if r.whole() {
                r.note(At { line: 1, column: 1 }, "the pack is empty", "it begins with `weir: pack/v1`");
            }
            None
        }
    };
    match pack {
        Some(mut pack) if r.is_clean() => {
            let mut w = Reader::plain(&tree);
            for (at, message, hint) in warnings {
                w.note(at, format!("warning: {message}"), hint);
            }
            pack.warnings = w.problems(name, text);
            Ok(pack)
        }
        _ => Err(r.problems(name, text)),
    }
}

fn pack(
    r: &mut Reader<'_>,
    root: &Node,
    names: Names,
    others: &[Pack],
    warnings: &mut Vec<Complaint>,
) -> Option<Pack> {
    let scope = scope(r, root, others);
    let mut walk =
        Walk { detects: Detects::new(scope, entries(child(root, "macros"))), conds: HashMap::new() };
    if !walk.section(r, root, keys::PACK, "the pack") {
        return None;
    }
    walk.detects.read_macros(r);
    let head = child(root, "pack");
    let word = |node: Option<&Node>, name: &str| {
        node.and_then(|node| text(child(node, name))).unwrap_or_default().to_string()
    };
    let mut pack = Pack {
        id: word(head, "id"),
        version: word(head, "version"),
        title: word(head, "title"),
        fields: entries(child(root, "fields"))
            .iter()
            .filter_map(|(name, node)| field(r, &walk, &name.text, name.at, node))
            .collect(),
        param_specs: entries(head.and_then(|head| child(head, "params")))
            .iter()
            .map(|(name, node)| (name.text.clone(), check::param(node)))
            .collect(),
        params: names.params().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        ..Pack::default()
    };
    country::add(r, root, &mut pack.fields);
    for node in items(child(root, "knowledge_objects")) {
        pack.objects.push(object(r, &mut walk, &pack.fields, node));
    }
    for node in items(child(root, "derive")) {
        let before: Vec<String> = pack.derive.iter().map(|derive: &Derive| derive.field.clone()).collect();
        pack.derive.extend(derive(r, &walk, root, node, &before));
    }
    let whole = |node: &Node, name: &str| word(Some(node), name);
    for node in items(child(root, "categories")) {
        if let Some(when) = child(node, "detect").and_then(|detect| walk.conds.get(&detect.at)) {
            pack.categories.push(Category {
                id: whole(node, "id"),
                title: whole(node, "title"),
                when: when.clone(),
            });
        }
    }
    for node in items(child(root, "alerts")) {
        pack.alerts.push(alert::read(r, &walk, node));
    }
    for node in items(child(root, "joins")) {
        pack.joins.push(report::read_join(&walk, &pack, others, node));
    }
    for node in items(child(root, "reports")) {
        pack.reports.push(report::read(r, &walk, &pack, others, node));
    }
    for node in items(child(root, "device_id").and_then(|device| child(device, "rules"))) {
        if text(child(node, "active")) != Some("false") {
            pack.device_rules.push((whole(node, "pattern"), whole(node, "token")));
        }
    }
    let on_no_match = child(root, "device_id").and_then(|device| text(child(device, "on_no_match")));
    pack.on_no_match = on_no_match.map(OnNoMatch::named);
    for node in items(child(root, "dashlets")) {
        match dashlet::read(&walk, &pack.id, &pack.categories, node) {
            Some(dashlet) => pack.dashlets.push(dashlet),
            None => pack.others.push(("dashlet", whole(node, "id"))),
        }
    }
    for node in items(child(root, "metrics")) {
        match metric::read(&walk, &pack, node) {
            Some(metric) => pack.metrics.push(metric),
            None => pack.others.push(("metric", whole(node, "name"))),
        }
    }
    pack.masks = items(child(root, "redact")).iter().map(|node| mask(&walk, node)).collect();
    pack.tests = items(child(root, "tests")).iter().map(|node| trial::read(r, node)).collect();
    check::all(r, root, &walk, &pack, warnings);
    for (name, at) in names.unused() {
        warnings.push((at, format!("list `{name}` is not used"), format!("`${name}` uses it")));
    }
    for (name, (at, state)) in &walk.detects.macros {
        if !walk.detects.macros_used.contains(name) {
            let hint = format!("`use: {name}` uses it, in another pack `use: {}.{name}`", pack.id);
            warnings.push((*at, format!("macro `{name}` is not used"), hint));
        }
        if let Macro::Read(Some(cond)) = state {
            pack.macros.insert(name.clone(), cond.clone());
        }
    }
    for (at, block) in &walk.detects.unused_blocks {
        warnings.push((
            *at,
            format!("block `{block}` is not part of the condition"),
            "`condition` names it".into(),
        ));
    }
    Some(pack)
}

/// Collects what names may mean before any is looked at.
fn scope(r: &mut Reader<'_>, root: &Node, others: &[Pack]) -> Scope {
    let id = child(root, "pack").and_then(|head| text(child(head, "id"))).unwrap_or_default();
    let mut scope = Scope { pack: id.to_string(), ..Scope::default() };
    for (name, node) in entries(child(root, "fields")) {
        let ty = child(node, "type").map(type_name);
        let known = Type::ALL.iter().find(|(known, _)| ty.as_deref() == Some(*known));
        if let (None, Some(ty)) = (known, &ty) {
            let hint = match nearest(ty, Type::ALL.iter().map(|(known, _)| *known)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("types are {}", Type::ALL.map(|(known, _)| known).join(", ")),
            };
            let at = child(node, "type").map_or(name.at, |node| node.at);
            r.note(at, format!("`{ty}` is no type"), hint);
        }
        scope.fields.insert(name.text.clone(), known.map_or(Type::Text, |(_, ty)| *ty));
    }
    country::declare(root, &mut scope.fields);
    scope.kinds.extend(heroku::KINDS.iter().map(|kind| kind.to_string()));
    for node in items(child(root, "knowledge_objects")) {
        scope.kinds.extend(text(child(node, "kind")).map(str::to_string));
    }
    for node in items(child(root, "categories")) {
        if let Some(category) = text(child(node, "id")) {
            scope.categories.insert(category.to_string());
            scope.categories.insert(format!("{id}.category.{category}"));
        }
    }
    for other in others.iter().filter(|other| other.id != id) {
        scope.kinds.extend(other.objects.iter().filter_map(|object| object.kind.clone()));
        let full = |category: &Category| format!("{}.category.{}", other.id, category.id);
        scope.categories.extend(other.categories.iter().map(full));
        let full = |(name, cond): (&String, &Cond)| (format!("{}.{name}", other.id), cond.clone());
        scope.other_macros.extend(other.macros.iter().map(full));
    }
    scope
}

fn type_name(node: &Node) -> String {
    match &node.value {
        Value::Scalar { text, .. } => text.clone(),
        Value::List(list) => match &list[..] {
            [one] => format!("[{}]", text(Some(one)).unwrap_or_default()),
            _ => "a list".into(),
        },
        Value::Map(_) => "a mapping".into(),
    }
}

fn field(r: &mut Reader<'_>, walk: &Walk<'_>, name: &str, at: At, node: &Node) -> Option<FieldSpec> {
    let ty = *walk.detects.scope.fields.get(name)?;
    let from = text(child(node, "from"));
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.is_empty() || name.len() > 128 || !name.chars().all(good) {
        r.note(at, format!("`{name}` is no name of a field"), "1 to 128 letters, digits, `_`, `.` and `-`");
    }
    let take = match (text(child(node, "take")), text(child(node, "class_of"))) {
        (Some(_), Some(_)) => {
            r.note(at, format!("field `{name}` has both `take` and `class_of`"), "it comes from one place");
            None
        }
        (Some(take), None) => {
            let take = match take {
                "first" => Take::First,
                "last" => Take::Last,
                _ => Take::LastUntrusted,
            };
            match from {
                Some(from) if walk.detects.scope.fields.contains_key(from) => Some((take, from.into())),
                _ => {
                    let hint = "`fwd: {type: [string]}` and `client_ip: {type: ip, from: fwd, take: last}`";
                    r.note(at, format!("field `{name}` takes from no declared field"), hint);
                    None
                }
            }
        }
        (None, Some(of)) => Some((Take::Class, of.into())),
        (None, None) => None,
    };
    let output = text(child(node, "output")) != Some("false");
    let key = if take.is_some() { name } else { from.unwrap_or(name) };
    Some(FieldSpec { name: name.into(), ty, output, key: key.into(), take })
}

/// The keys that `applies_to` asks about.
const APPLIES_TO: [&str; 8] =
    ["source", "process", "kind", "facility", "severity", "pri", "listener", "hostname"];

fn object(r: &mut Reader<'_>, walk: &mut Walk<'_>, fields: &[FieldSpec], node: &Node) -> Object {
    let id = text(child(node, "id")).unwrap_or_default().to_string();
    let emit = child(node, "emit")
        .map(|emit| items(Some(emit)).iter().filter_map(|name| text(Some(name))).collect());
    let emit: Option<Vec<&str>> = emit;
    let owner = format!("knowledge object `{id}`");
    let mut object = Object {
        kind: text(child(node, "kind")).map(str::to_string),
        id,
        by_kind: false,
        rules: Vec::new(),
        place: (node.at.line, node.at.column),
    };
    for rule in items(child(node, "rules")) {
        let mut all = Vec::new();
        if let Some(applies) = child(rule, "applies_to") {
            let mut known = true;
            for (name, _) in entries(Some(applies)) {
                let key = name.text.split('|').next().unwrap_or_default();
                object.by_kind |= key == "kind";
                if !APPLIES_TO.contains(&key) {
                    let hint = match nearest(key, APPLIES_TO) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("it asks about {}", APPLIES_TO.join(", ")),
                    };
                    r.note(name.at, format!("`applies_to` does not ask about `{key}`"), hint);
                    known = false;
                }
            }
            match &applies.value {
                Value::Map(_) if !known => {}
                Value::Map(written) => {
                    all.extend(walk.detects.matchers(r, applies, written, &owner).map(by_sent_severity));
                }
                _ => {
                    let message = format!("`applies_to` is a mapping, but this is {}", applies.what());
                    r.note(applies.at, message, "`applies_to: {source: heroku, process: router}`");
                }
            }
        }
        all.extend(child(rule, "signature").and_then(signature));
        if let Some(exception) = child(rule, "exception").and_then(signature) {
            all.push(Cond::Not(Box::new(exception)));
        }
        let mut read = ObjectRule { when: joined(all, true), extract: Vec::new(), readers: Vec::new() };
        for one in items(child(rule, "extract")) {
            extractor(r, walk, fields, emit.as_deref(), one, &owner, &mut read);
        }
        object.rules.push(read);
    }
    if object.by_kind && object.kind.is_some() {
        let message = format!("{owner} asks for the kind and gives one");
        r.note(node.at, message, "what asks for the kind runs after it is known; leave one of the two out");
    }
    if object.rules.is_empty() {
        r.note(node.at, format!("{owner} has no rule"), "`rules: [{applies_to: {source: sshd}}]`");
    }
    object
}

/// What objects ask about is the severity before any pack derives another.
fn by_sent_severity(cond: Cond) -> Cond {
    match cond {
        Cond::All(parts) => Cond::All(parts.into_iter().map(by_sent_severity).collect()),
        Cond::Any(parts) => Cond::Any(parts.into_iter().map(by_sent_severity).collect()),
        Cond::Not(inner) => Cond::Not(Box::new(by_sent_severity(*inner))),
        Cond::Test(Test { subject: Subject::Key(Key::Severity), op }) => {
            Cond::Test(Test { subject: Subject::Key(Key::SentSeverity), op })
        }
        other => other,
    }
}

/// Reads a signature or an exception: texts as they stand, and an expression. Nothing in it is nothing.
fn signature(node: &Node) -> Option<Cond> {
    let test = |op| Cond::Test(Test { subject: Subject::Text, op });
    let literal = |node: &Node| match &node.value {
        Value::Scalar { text, .. } if !text.is_empty() => {
            Some(test(Op::Text { how: How::Contains, cased: false, any: vec![text.as_bytes().into()] }))
        }
        _ => None,
    };
    let mut all: Vec<Cond> = items(child(node, "all")).iter().filter_map(literal).collect();
    let any: Vec<Cond> = items(child(node, "any")).iter().filter_map(literal).collect();
    if !any.is_empty() {
        all.push(joined(any, false));
    }
    if let Some(pattern) = text(child(node, "regex")) {
        all.push(test(Op::Regex(pattern.into())));
    }
    (!all.is_empty()).then(|| joined(all, true))
}

fn extractor(
    r: &mut Reader<'_>,
    walk: &Walk<'_>,
    fields: &[FieldSpec],
    emit: Option<&[&str]>,
    node: &Node,
    owner: &str,
    out: &mut ObjectRule,
) {
    let scope = &walk.detects.scope;
    let kinds = ["kv", "regex", "delimited", "json", "format", "builtin"];
    let given: Vec<&str> = kinds.into_iter().filter(|kind| child(node, kind).is_some()).collect();
    let [kind] = given[..] else {
        let message = format!("an extractor of {owner} has {} of {}", given.len(), kinds.join(", "));
        return r.note(node.at, message, "exactly one; several extractors are several items");
    };
    let value = child(node, kind).expect("the kind is there");
    let emitted = |name: &str| emit.is_none_or(|emit| emit.contains(&name));
    let declared = |r: &mut Reader<'_>, at: At, name: &str| {
        if !scope.fields.contains_key(name) {
            let hint = match nearest(name, scope.fields.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "declare it under `fields`".into(),
            };
            r.note(at, format!("unknown field `{name}` in {owner}"), hint);
        }
    };
    let bytes = |name: &str, default: &str| -> Box<[u8]> {
        text(child(value, name)).unwrap_or(default).as_bytes().into()
    };
    match kind {
        "kv" => {
            let (separator, between) = (bytes("separator", "="), bytes("between", " "));
            let quote = text(child(value, "quote")).map(str::as_bytes);
            if separator.is_empty() || between.is_empty() || quote.is_some_and(|quote| quote.len() != 1) {
                r.note(
                    value.at,
                    "`separator` and `between` are not empty, `quote` is one byte",
                    "`kv: {quote: '\"'}`",
                );
                return;
            }
            let emit = emit.map(|emit| emit.iter().map(|name| (*name).into()).collect());
            let quote = quote.map(|quote| quote[0]);
            out.extract.push(ExtractSpec::Kv { separator, between, quote, emit });
        }
        "regex" => {
            let Some(pattern) = text(Some(value)) else { return };
            let Ok(compiled) = regex::compile(pattern) else { return };
            let names = compiled.group_info().pattern_names(regex_automata::PatternID::ZERO).flatten();
            let names: Vec<&str> = names.collect();
            if names.is_empty() {
                r.note(
                    value.at,
                    "the expression has no named group, so it extracts nothing",
                    "`(?P<user>\\S+)`",
                );
            }
            names.iter().filter(|name| emitted(name)).for_each(|name| declared(r, value.at, name));
            let groups = names.iter().filter(|name| emitted(name)).map(|name| (*name).into()).collect();
            out.extract.push(ExtractSpec::Regex { pattern: pattern.into(), groups });
        }
        "delimited" => {
            let separator = bytes("separator", ",");
            if separator.is_empty() {
                return r.note(
                    value.at,
                    "`separator` is empty",
                    "`delimited: {separator: \",\", fields: [a, b]}`",
                );
            }
            let mut places = Vec::new();
            for name in items(child(value, "fields")) {
                let Some(known) = text(Some(name)) else { continue };
                if known != "_" {
                    declared(r, name.at, known);
                }
                places.push(Some(known).filter(|known| *known != "_" && emitted(known)).map(Into::into));
            }
            out.extract.push(ExtractSpec::Delimited { separator, fields: places });
        }
        "json" => {
            let mut paths = Vec::new();
            for (name, written) in entries(Some(value)) {
                declared(r, name.at, &name.text);
                let list = match &written.value {
                    Value::List(list) => &list[..],
                    _ => std::slice::from_ref(written),
                };
                for path in list {
                    match text(Some(path)) {
                        Some(path) if !path.is_empty() && emitted(&name.text) => {
                            paths
                                .push((path.split('.').map(Into::into).collect(), name.text.as_str().into()));
                        }
                        Some(path) if !path.is_empty() => {}
                        _ => r.note(
                            path.at,
                            format!("a path of `{}` is {}", name.text, path.what()),
                            "`status: http.status`",
                        ),
                    }
                }
            }
            out.extract.push(ExtractSpec::Json(paths));
        }
        "format" => {
            let Some(field) = child(node, "field") else {
                return r.note(
                    node.at,
                    "`format` has no `field` to write",
                    "`{format: '{method} {path}', field: request}`",
                );
            };
            let name = text(Some(field)).unwrap_or_default();
            declared(r, field.at, name);
            let mut pieces = Vec::new();
            for piece in template(text(Some(value)).unwrap_or_default()) {
                match piece {
                    Ok(name) => match scope.subject(name) {
                        Ok((subject, _)) => pieces.push(Ok(subject)),
                        Err((message, hint)) => r.note(value.at, format!("{message} in {owner}"), hint),
                    },
                    Err(text) => pieces.push(Err(text.into())),
                }
            }
            if fields.iter().any(|field| *field.name == *name) && emitted(name) {
                out.extract.push(ExtractSpec::Format { pieces, field: name.into() });
            }
        }
        _ => out.readers.extend(text(Some(value)).map(str::to_string)),
    }
}

/// Takes a template apart: names within braces, and the texts between.
pub(super) fn template(text: &str) -> Vec<Result<&str, &str>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let Some(len) = rest[open..].find('}') else { break };
        if open > 0 {
            pieces.push(Err(&rest[..open]));
        }
        pieces.push(Ok(&rest[open + 1..open + len]));
        rest = &rest[open + len + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Err(rest));
    }
    pieces
}

fn derive(
    r: &mut Reader<'_>,
    walk: &Walk<'_>,
    root: &Node,
    node: &Node,
    before: &[String],
) -> Option<Derive> {
    let name = text(child(node, "field"))?;
    let scope = &walk.detects.scope;
    if name != "severity" && !scope.fields.contains_key(name) {
        let at = child(node, "field").map_or(node.at, |field| field.at);
        r.note(at, format!("`{name}` cannot be derived"), "a declared field, or `severity`");
        return None;
    }
    if before.iter().any(|known| known == name) {
        r.note(node.at, format!("`{name}` is derived twice"), "put the steps into one `first_of`");
    }
    let later: Vec<&str> = items(child(root, "derive"))
        .iter()
        .filter_map(|other| text(child(other, "field")))
        .filter(|other| !before.iter().any(|known| known == other))
        .collect();
    let mut steps = Vec::new();
    for step in items(child(node, "first_of")) {
        let word = |name: &str| child(step, name).and_then(|node| Some((node.at, text(Some(node))?)));
        let cond = |name: &str| child(step, name).and_then(|node| walk.conds.get(&node.at)).cloned();
        let subject = |r: &mut Reader<'_>, name: &str| {
            let (at, name) = word(name)?;
            match scope.subject(name) {
                Ok((subject, _)) => {
                    // A step reads what is known already.
                    if later.contains(&name) {
                        r.note(at, format!("`{name}` is derived only later"), "derive it first");
                    }
                    Some(subject)
                }
                Err((message, hint)) => {
                    r.note(at, message, hint);
                    None
                }
            }
        };
        let has = |name: &str| child(step, name).is_some();
        for cond in [cond("detect"), cond("unless")].into_iter().flatten() {
            cond.tests(&mut |test| {
                let named = match &test.subject {
                    Subject::Field(name) => name,
                    Subject::Key(Key::Severity) => "severity",
                    _ => return,
                };
                if later.contains(&named) {
                    r.note(
                        step.at,
                        format!("the condition asks about `{named}`, which is derived only later"),
                        "derive it first",
                    );
                }
            });
        }
        if has("map") && has("values") {
            let values = entries(child(step, "values"))
                .iter()
                .filter_map(|(key, value)| Some((key.text.as_str().into(), text(Some(value))?.into())));
            let values = values.collect();
            steps.extend(subject(r, "map").map(|from| DeriveStep::Map { from, values }));
        } else if has("lookup") && has("by") {
            let Some((at, lookup)) = word("lookup") else { continue };
            let (table, column) = lookup.split_once('.').unwrap_or((lookup, ""));
            let Some(found) = child(root, "lookups").and_then(|tables| child(tables, table)) else {
                let known = entries(child(root, "lookups")).iter().map(|(name, _)| name.text.as_str());
                let hint = nearest(table, known)
                    .map_or("tables stand under `lookups`".into(), |near| format!("did you mean `{near}`?"));
                r.note(at, format!("there is no table `{table}`"), hint);
                continue;
            };
            let values: Vec<_> = entries(Some(found))
                .iter()
                .filter_map(|(key, row)| Some((key.text.as_str().into(), text(child(row, column))?.into())))
                .collect();
            if values.is_empty() {
                r.note(at, format!("table `{table}` has no column `{column}`"), "`lookup: TABLE.COLUMN`");
            }
            steps.extend(subject(r, "by").map(|from| DeriveStep::Map { from, values }));
        } else if has("detect") && has("value") {
            let value = word("value").map_or("", |(_, value)| value).into();
            steps.extend(cond("detect").map(|when| DeriveStep::Detect { when, value }));
        } else if has("from") {
            let unless = cond("unless");
            steps.extend(subject(r, "from").map(|from| DeriveStep::From { from, unless }));
        } else {
            r.note(
                step.at,
                "a step of `first_of` gives no value",
                "`{map, values}`, `{lookup, by}`, `{detect, value}` or `{from}`",
            );
        }
    }
    Some(Derive { field: name.to_string(), steps })
}

/// Reads a mask that was checked against the tables.
pub(super) fn mask(walk: &Walk<'_>, node: &Node) -> Mask {
    let word = |name: &str| text(child(node, name)).map(str::to_string);
    Mask {
        id: word("id").unwrap_or_default(),
        builtin: word("builtin"),
        regex: word("regex"),
        field: word("field"),
        when: child(node, "detect").and_then(|detect| walk.conds.get(&detect.at)).cloned(),
        with: word("with").unwrap_or_else(|| "[redacted]".into()),
        is_on: word("mode").as_deref() == Some("on"),
    }
}

/// The values of a mapping of single values, by key.
pub(super) fn words(node: Option<&Node>) -> BTreeMap<String, String> {
    entries(node)
        .iter()
        .filter_map(|(key, value)| Some((key.text.clone(), text(Some(value))?.to_string())))
        .collect()
}
