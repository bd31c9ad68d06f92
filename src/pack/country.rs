//! `enrich: geo`: the field beside an address that holds its country.

use std::collections::BTreeMap;

use super::names::{child, entries, items, text};
use crate::config::node::Node;
use crate::config::read::Reader;
use crate::plan::rules::convert::Type;
use crate::plan::rules::{FieldSpec, Take};

/// The name of the field with the country of another: `client_ip` gives `client_country`.
fn named(field: &str) -> String {
    format!("{}_country", field.strip_suffix("_ip").unwrap_or(field))
}

/// Names of the fields of a document whose country is looked up.
fn enriched(root: &Node) -> impl Iterator<Item = (&str, &Node)> {
    let fields = entries(child(root, "fields")).iter();
    fields.map(|(name, node)| (name.text.as_str(), node)).filter(|(_, node)| child(node, "enrich").is_some())
}

/// Declares the fields with countries.
pub(super) fn declare(root: &Node, fields: &mut BTreeMap<String, Type>) {
    for (name, _) in enriched(root) {
        fields.entry(named(name)).or_insert(Type::Text);
    }
}

/// Adds the fields with countries behind those that they are looked up by. They are not shown, unless the document declares
/// one itself.
pub(super) fn add(r: &mut Reader<'_>, root: &Node, fields: &mut Vec<FieldSpec>) {
    for (name, node) in enriched(root) {
        let at = child(node, "enrich").map_or(node.at, |enrich| enrich.at);
        let country = named(name);
        if text(child(node, "type")) != Some("ip") {
            let message = format!("field `{name}` is no address, so it has no country");
            r.note(at, message, "`client_ip: {type: ip, enrich: geo}`");
            continue;
        }
        let mut derived = items(child(root, "derive")).iter().filter_map(|one| text(child(one, "field")));
        if derived.any(|field| field == name) {
            let message = format!("field `{name}` is derived, and countries are looked up before that");
            r.note(at, message, "it is extracted, or taken from a list");
        }
        let declared =
            fields.iter().position(|field| *field.name == *country).map(|place| fields.remove(place));
        if declared.as_ref().is_some_and(|field| field.take.is_some() || field.ty != Type::Text) {
            let message = format!("`{country}`, the country of `{name}`, is declared as something else");
            r.note(at, message, format!("`{country}: {{type: string}}` shows it, without it is not shown"));
        }
        let key = country.as_str().into();
        let plain =
            FieldSpec { name: country.as_str().into(), ty: Type::Text, output: false, key, take: None };
        let mut field = declared.unwrap_or(plain);
        field.take = Some((Take::Country, name.into()));
        let behind =
            fields.iter().position(|field| *field.name == *name).map_or(fields.len(), |place| place + 1);
        fields.insert(behind, field);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value as Json, json};

    use crate::geo::{Country, Ranges, Source};
    use crate::pack::probe::Probe;
    use crate::pack::tests::HEAD;
    use crate::pack::{Extra, compile, compile_for, read};

    const FIELDS: &str =
        "fields: {fwd: {type: [string]}, client_ip: {type: ip, from: fwd, take: last, enrich: geo}}
knowledge_objects: [{id: a, kind: a, rules: [{applies_to: {source: a}, extract: [{kv: {}}]}]}]\n";

    #[test]
    fn a_country_is_looked_up_only_if_somebody_asks() {
        let mut ranges = Ranges::default();
        let ends = ["8.8.8.8".parse().unwrap(), "8.8.8.9".parse().unwrap()];
        ranges.add(ends[0], ends[1], Country::of(b"XK").unwrap()).unwrap();
        let table = Arc::new(ranges.table(Source::default()).unwrap());
        for (more, used) in [
            ("", false),
            ("categories: [{id: c, detect: {s: {client_ip|exists: true}}}]", false),
            ("categories: [{id: c, detect: {s: {client_country: XK}}}]", true),
            ("dashlets: [{id: d, viz: map, group_by: [client_country]}]", true),
            ("reports: [{id: r, window: 1d, columns: [{field: client_country}]}]", true),
            (
                "alerts: [{id: a, severity: high, mode: on, when: {count: {over: 1m, group_by: [client_country], gte: 2}}, detect: {s: {source: a}}}]",
                true,
            ),
            (
                "alerts: [{id: a, severity: high, mode: off, detect: {s: {client_country: XK}}, when: each}]",
                false,
            ),
        ] {
            let text = format!("{HEAD}{FIELDS}{more}\n");
            let pack = read("p", &text, &[], &[]).unwrap_or_else(|problems| panic!("{problems}"));
            let extra = Extra { countries: Some(table.clone()), ..Extra::default() };
            let compiled = compile_for(&[pack], &[], &extra).unwrap();
            drop(extra);
            assert_eq!(Arc::strong_count(&table) > 1, used, "{more}");
            drop(compiled);
        }
    }

    #[test]
    fn a_country_serves_conditions_and_is_shown_where_it_is_declared() {
        let line = b"<190>1 2026-01-01T00:00:00Z host a - - fwd=8.8.8.8,193.0.6.139 client_country=FR";
        for (declared, shown) in [("}", Json::Null), (", client_country: {type: string}}", "NL".into())] {
            let fields = FIELDS.replace("enrich: geo}}", &format!("enrich: geo}}{declared}"));
            let pack =
                format!("{HEAD}{fields}categories: [{{id: c, detect: {{s: {{client_country: nl}}}}}}]\n");
            let pack = read("p", &pack, &[], &[]).unwrap_or_else(|problems| panic!("{problems}"));
            let mut probe = Probe::new(compile(&[pack], &[]).unwrap(), Vec::new(), false);
            let seen = probe.see(line, 0);
            assert_eq!(seen.json["categories"], json!(["p.category.c"]), "{declared}");
            assert_eq!(seen.json["fields"]["client_ip"], "193.0.6.139");
            assert_eq!(seen.json["fields"]["client_country"], shown);
        }
    }

    #[test]
    fn what_has_no_country_is_complained_of() {
        for (fields, says) in [
            ("{a: {type: string, enrich: geo}}", "3:36: field `a` is no address, so it has no country"),
            ("{a_ip: {type: ip, enrich: geo}, a_country: {type: u16}}", "declared as something else"),
            ("{a_ip: {type: ip, enrich: geo}, a: {type: ip, enrich: geo}}", "declared as something else"),
            ("{a_ip: {type: ip, enrich: city}}", "`city` is no value of `enrich`"),
        ] {
            let problems = read("p", &format!("{HEAD}fields: {fields}\n"), &[], &[]).unwrap_err().to_string();
            assert!(problems.contains(says), "{fields}: {problems}");
        }
        let derived = "fields: {a: {type: string}, b_ip: {type: ip, enrich: geo}}\nderive: [{field: b_ip, first_of: [{from: a}]}]";
        let problems = read("p", &format!("{HEAD}{derived}\n"), &[], &[]).unwrap_err().to_string();
        assert!(problems.contains("field `b_ip` is derived, and countries"), "{problems}");
        let text = format!("{HEAD}dashlets: [{{id: d, viz: map, group_by: [client_country]}}]\n");
        let problems = read("p", &text, &[], &[]).unwrap_err().to_string();
        assert!(problems.contains("unknown field `client_country`"), "{problems}");
    }
}
