//! Every key of a pack, once: name, meaning, shape, range and default.
//!
//! The reader takes names, ranges and choices from here, `weir schema pack` is printed from the same tables, and so is
//! the reference page.

mod alert;
mod knowledge;
mod output;
mod overlay;

pub(crate) use alert::WHEN;
pub(crate) use output::REDACT;
pub(crate) use overlay::{OVERLAY, OVERLAY_ALERT, OVERLAY_PACK, OVERLAY_SUPPRESS};

use alert::ALERT;
use knowledge::{DERIVE_STEP, FIELD, OBJECT};
use output::TEST;

use crate::config::schema::Presence::{Default, Optional, Required};
use crate::config::schema::{Key, Section, Shape, key};

/// 1,000 categories and 10,000 of everything else: a pack beyond that is a data set.
const ITEMS_MAX: usize = 10_000;
const DAY_MS: u64 = 86_400_000;

const fn list(of: &'static Shape) -> Shape {
    Shape::List { of, max: ITEMS_MAX }
}

const fn map(of: &'static Shape) -> Shape {
    Shape::Map { of, max: ITEMS_MAX }
}

/// One second to a year.
const fn span() -> Shape {
    Shape::Duration { min: 1_000, max: 366 * DAY_MS, word: None }
}

const fn whole(min: u64, max: u64) -> Shape {
    Shape::Whole { min, max, word: None }
}

const ID: Key = key("id", "Names it; other packs write `PACK.NAME`.", Shape::Id, "auth_failure", Required);
const TITLE: Key = key("title", "For people.", Shape::Text, "\"Heroku: Requests\"", Optional);
const OF: Key = key(
    "of",
    "Which events: a category's id, or a condition; absent: every event.",
    Shape::Of,
    "requests",
    Optional,
);

pub(crate) const PACK: &Section = &Section {
    name: "the pack",
    later: &[],
    keys: &[&[
        key("weir", "The version of this file's form.", Shape::Exactly("pack/v1"), "pack/v1", Required),
        key("pack", "What the pack is.", Shape::Section(HEAD), "{id: heroku, version: 1.0.0}", Required),
        key(
            "device_id",
            "How a frame's sender is found in its raw text.",
            Shape::Section(DEVICE_ID),
            "{on_no_match: accept, rules: []}",
            Optional,
        ),
        key(
            "fields",
            "The names that events carry, with their types.",
            map(&Shape::Section(FIELD)),
            "{status: {type: u16}}",
            Default("{}"),
        ),
        key(
            "knowledge_objects",
            "What a message is and what is read from it, first match first.",
            list(&Shape::Section(OBJECT)),
            "[{id: sshd, kind: sshd, rules: [{applies_to: {source: sshd}}]}]",
            Default("[]"),
        ),
        key(
            "lists",
            "Values that conditions name as `$name`.",
            map(&Shape::Any("a list of values")),
            "{auth_failure_text: [\"login failed\"]}",
            Default("{}"),
        ),
        key(
            "lookups",
            "Tables: key, column, value.",
            map(&Shape::Map { of: &Shape::Map { of: &Shape::Text, max: 64 }, max: 100_000 }),
            "{codes: {H12: {level: critical}}}",
            Default("{}"),
        ),
        key(
            "derive",
            "Fields from a table, a map or the first condition that holds.",
            list(&Shape::Section(DERIVE)),
            "[{field: severity, first_of: [{map: at, values: {error: error}}]}]",
            Default("[]"),
        ),
        key(
            "macros",
            "Conditions with a name, for `use:`.",
            map(&Shape::Detect),
            "{is_heroku: {s: {source: heroku}}}",
            Default("{}"),
        ),
        key(
            "categories",
            "What an event may belong to, any number of them.",
            list(&Shape::Section(CATEGORY)),
            "[{id: requests, title: \"Heroku: Requests\", detect: {s: {kind: router}}}]",
            Default("[]"),
        ),
        key(
            "alerts",
            "What somebody has to know; all ship off.",
            list(&Shape::Section(ALERT)),
            "[{id: crash, severity: high, detect: {s: {to_state: crashed}}, when: each}]",
            Default("[]"),
        ),
        key(
            "reports",
            "Rows of a window, published on a schedule.",
            list(&Shape::Section(output::REPORT)),
            "[{id: router_logs, of: requests, window: 1d, columns: [{field: status}]}]",
            Default("[]"),
        ),
        key(
            "joins",
            "Messages that belong together, for reports and alerts.",
            list(&Shape::Section(output::JOIN)),
            "[{id: commands, by: [drain], start: {regex: a}, end: {regex: b}, within: 2s}]",
            Default("[]"),
        ),
        key(
            "dashlets",
            "Charts over counts, sums and quantiles.",
            list(&Shape::Section(output::DASHLET)),
            "[{id: http_code, viz: donut, of: requests, group_by: [status], agg: count}]",
            Default("[]"),
        ),
        key(
            "metrics",
            "Events as Prometheus series.",
            list(&Shape::Section(output::METRIC)),
            "[{name: app_errors_total, type: counter}]",
            Default("[]"),
        ),
        key(
            "redact",
            "Text that no output shows.",
            list(&Shape::Section(output::REDACT)),
            "[{id: email, builtin: email, mode: off}]",
            Default("[]"),
        ),
        key(
            "tests",
            "Events and what must become of them.",
            list(&Shape::Section(TEST)),
            "[{name: a router line, events: [{line: \"...\"}], expect: {categories: [requests]}}]",
            Default("[]"),
        ),
    ]],
};

const HEAD: &Section = &Section {
    name: "`pack`",
    later: &[],
    keys: &[&[
        key("id", "Names the pack; its items are PACK.KIND.NAME.", Shape::Id, "heroku", Required),
        key("version", "The pack's own version, three numbers.", Shape::Text, "1.0.0", Required),
        TITLE,
        key("license", "An SPDX expression.", Shape::Text, "Apache-2.0", Optional),
        key("requires", "What it needs.", Shape::Section(REQUIRES), "{engine: \">=0.1\"}", Optional),
        key(
            "params",
            "Values that a site may change; conditions and windows name them as `$name`.",
            map(&Shape::Section(PARAM)),
            "{auth_fail_threshold: {type: int, default: 20, min: 1}}",
            Default("{}"),
        ),
    ]],
};

const REQUIRES: &Section = &Section {
    name: "`requires`",
    later: &[],
    keys: &[&[key("engine", "The version of weir: `>=MAJOR.MINOR`.", Shape::Text, "\">=0.1\"", Required)]],
};

pub(crate) const PARAM: &Section = &Section {
    name: "a param",
    later: &[],
    keys: &[&[
        key(
            "type",
            "What it holds.",
            Shape::Choice(&["int", "number", "text", "duration", "size", "flag"]),
            "int",
            Required,
        ),
        key("default", "Its value unless a site sets another.", Shape::Text, "20", Required),
        key("min", "The least it may be.", Shape::Text, "1", Optional),
        key("max", "The most it may be.", Shape::Text, "1000", Optional),
        key("description", "For people.", Shape::Text, "failed sign-ins per address", Optional),
    ]],
};

const DEVICE_ID: &Section = &Section {
    name: "`device_id`",
    later: &[],
    keys: &[&[
        key(
            "on_no_match",
            "What becomes of a frame that no rule names; a listener's own value wins.",
            Shape::Choice(&["accept", "drop", "quarantine"]),
            "accept",
            Default("accept"),
        ),
        key(
            "rules",
            "Tried after the listener's own; the first value wins.",
            list(&Shape::Section(DEVICE_RULE)),
            r"[{from: raw, pattern: '\s(?P<Computer>d\.\S+)', token: Computer}]",
            Default("[]"),
        ),
    ]],
};

pub(crate) const DEVICE_RULE: &Section = &Section {
    name: "a device id rule",
    later: &[],
    keys: &[&[
        key("from", "Where it looks.", Shape::Choice(&["raw"]), "raw", Default("raw")),
        key("pattern", "A regular expression.", Shape::Pattern, r"'\s(?P<Computer>d\.\S+)'", Required),
        key("token", "The group that holds the sender.", Shape::Text, "Computer", Required),
        key("active", "A rule that is not active is skipped.", Shape::Flag, "true", Default("true")),
    ]],
};

const DERIVE: &Section = &Section {
    name: "a derived field",
    later: &[],
    keys: &[&[
        key("field", "The field that is given a value.", Shape::FieldName, "severity", Required),
        key(
            "first_of",
            "The first that gives a value counts.",
            list(&Shape::Section(DERIVE_STEP)),
            "[{map: at, values: {error: error}}, {lookup: codes.level, by: code}]",
            Required,
        ),
    ]],
};

const CATEGORY: &Section = &Section {
    name: "a category",
    later: &[],
    keys: &[&[
        ID,
        TITLE,
        key("detect", "Which events belong to it.", Shape::Detect, "{s: {kind: router}}", Required),
    ]],
};
