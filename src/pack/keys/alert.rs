//! Alerts and their windows.

use super::{ID, Key, Section, Shape, TITLE, key, list, span, whole};
use crate::config::schema::Presence::{Default, Optional, Required};

pub(crate) const ALERT: &Section = &Section {
    name: "an alert",
    later: &[],
    keys: &[&[
        ID,
        TITLE,
        key(
            "severity",
            "How bad it is.",
            Shape::Choice(&["info", "low", "medium", "high", "critical"]),
            "high",
            Required,
        ),
        key("threat", "0 to 100.", whole(0, 100), "70", Default("50")),
        key(
            "mode",
            "off keeps no state; shadow counts and notifies nobody.",
            Shape::Choice(&["off", "shadow", "on"]),
            "off",
            Default("off"),
        ),
        key("detect", "Which events count.", Shape::Detect, "{use: auth_failure}", Optional),
        key(
            "when",
            "each, or exactly one window over the events.",
            Shape::Either("each", &Shape::Section(WHEN)),
            "{count: {over: 10m, group_by: [auth_ip], gte: 20}}",
            Required,
        ),
        key(
            "scope",
            "drain keeps drains apart; global does not.",
            Shape::Choice(&["drain", "global"]),
            "drain",
            Default("drain"),
        ),
        key("hold", "How long it must hold first.", Shape::Section(HOLD), "{for: 5m}", Optional),
        key(
            "keep_firing_for",
            "How long an episode lasts after its condition ended.",
            span(),
            "10m",
            Optional,
        ),
        key(
            "suppress",
            "Further episodes are only counted.",
            Shape::Section(SUPPRESS),
            "{by: [drain], for: 10m}",
            Optional,
        ),
        key(
            "inhibits",
            "Alerts that are not sent while this one fires.",
            list(&Shape::Section(INHIBIT)),
            "[{alert: other, equal: [drain]}]",
            Default("[]"),
        ),
        key(
            "exceptions",
            "Events that do not count.",
            list(&Shape::Detect),
            "[{s: {user: robot}}]",
            Default("[]"),
        ),
        key(
            "drains",
            "A drain, a computer, a glob of either, or label=glob; absent: all.",
            list(&Shape::Text),
            "[\"shop-*\"]",
            Optional,
        ),
        key("notify", "Notifiers of the pipeline; absent: all.", list(&Shape::Text), "[oncall]", Optional),
        key(
            "summary",
            "A line for people; `{name}` puts a field, a key or `{value}` in.",
            Shape::Text,
            "\"{value} failed sign-ins on {computer}\"",
            Optional,
        ),
        key(
            "runbook",
            "What to do, or where it is written.",
            Shape::Text,
            "\"Check the address, then block it.\"",
            Optional,
        ),
    ]],
};

const HOLD: &Section =
    &Section { name: "`hold`", later: &[], keys: &[&[key("for", "How long.", span(), "5m", Required)]] };

const SUPPRESS: &Section = &Section {
    name: "`suppress`",
    later: &[],
    keys: &[&[
        key("by", "The keys that keep suppression apart.", list(&Shape::FieldName), "[drain]", Default("[]")),
        key("for", "How long.", span(), "10m", Required),
    ]],
};

const INHIBIT: &Section = &Section {
    name: "an entry of `inhibits`",
    later: &[],
    keys: &[&[
        key("alert", "The alert that is held back.", Shape::Text, "other", Required),
        key("equal", "Keys that must be equal.", list(&Shape::FieldName), "[drain]", Default("[]")),
    ]],
};

const OVER: Key = key("over", "The window's length.", span(), "10m", Required);
const GROUP_BY: Key = key(
    "group_by",
    "Keys that are counted apart; the drain is one.",
    list(&Shape::FieldName),
    "[auth_ip]",
    Default("[]"),
);
const VALUE_OF: Key = key("of", "The field.", Shape::FieldName, "service_ms", Required);
const MIN_COUNT: Key =
    key("min_count", "Fewer events say nothing.", whole(1, 1_000_000_000), "100", Default("1"));
const BOUNDS: [Key; 5] = [
    key("gte", "At least.", Shape::Number, "20", Optional),
    key("gt", "More than.", Shape::Number, "20", Optional),
    key("lte", "At most.", Shape::Number, "20", Optional),
    key("lt", "Less than.", Shape::Number, "20", Optional),
    key("eq", "Exactly.", Shape::Number, "20", Optional),
];
const EXACT: Key = key("exact", "Keep event times, not sub-buckets.", Shape::Flag, "true", Default("false"));
const STEPS: Key = key(
    "steps",
    "Conditions; in a sequence `{not: DETECT}` is one that must not come.",
    list(&Shape::Detect),
    "[{use: a}, {use: b}]",
    Required,
);

macro_rules! window {
    ($name:literal, $keys:expr) => {
        &Section { name: $name, later: &[], keys: $keys }
    };
}

const COUNT: &Section = window!("`count`", &[&[OVER, GROUP_BY, EXACT], &BOUNDS]);
const DISTINCT: &Section = window!("`distinct`", &[&[VALUE_OF, OVER, GROUP_BY], &BOUNDS]);
const SUM: &Section = window!("`sum`", &[&[VALUE_OF, OVER, GROUP_BY], &BOUNDS]);
const AVG: &Section = window!("`avg`", &[&[VALUE_OF, OVER, GROUP_BY, MIN_COUNT], &BOUNDS]);
const PERCENTILE: &Section = window!(
    "`percentile`",
    &[
        &[VALUE_OF, key("p", "Which, in percent.", Shape::Number, "95", Required), OVER, GROUP_BY, MIN_COUNT],
        &BOUNDS
    ]
);
const RATIO: &Section = window!(
    "`ratio`",
    &[
        &[
            key("of", "The part, among the events of `detect`.", Shape::Detect, "{use: timeouts}", Required),
            OVER,
            GROUP_BY,
            MIN_COUNT
        ],
        &BOUNDS
    ]
);
const ALL_OF: &Section = window!("`all_of`", &[&[STEPS, OVER, GROUP_BY]]);
const SEQUENCE: &Section = window!("`sequence`", &[&[STEPS, OVER, GROUP_BY]]);
const ABSENT: &Section = window!(
    "`absent`",
    &[&[
        OVER,
        GROUP_BY,
        key(
            "expect",
            "learned, or a list of the keys that have to be heard of.",
            Shape::Either("learned", &Shape::List { of: &Shape::Text, max: 10_000 }),
            "learned",
            Default("learned"),
        ),
    ]]
);

pub(crate) const WHEN: &Section = &Section {
    name: "`when`",
    later: &[],
    keys: &[&[
        key("count", "How many events.", Shape::Section(COUNT), "{over: 10m, gte: 20}", Optional),
        key(
            "distinct",
            "How many values of a field.",
            Shape::Section(DISTINCT),
            "{of: user, over: 10m, gte: 5}",
            Optional,
        ),
        key(
            "sum",
            "The sum of a field.",
            Shape::Section(SUM),
            "{of: bytes, over: 1h, gte: 1073741824}",
            Optional,
        ),
        key(
            "avg",
            "The mean of a field.",
            Shape::Section(AVG),
            "{of: load_avg_1m, over: 5m, gt: 4}",
            Optional,
        ),
        key(
            "percentile",
            "A percentile of a field, within 2 %.",
            Shape::Section(PERCENTILE),
            "{of: service_ms, p: 95, over: 5m, gte: 2000}",
            Optional,
        ),
        key(
            "ratio",
            "The share of some events.",
            Shape::Section(RATIO),
            "{of: {use: timeouts}, over: 5m, gte: 0.05}",
            Optional,
        ),
        key(
            "all_of",
            "Several things, in any order.",
            Shape::Section(ALL_OF),
            "{steps: [{use: a}, {use: b}], over: 5m}",
            Optional,
        ),
        key(
            "sequence",
            "Several things, in this order.",
            Shape::Section(SEQUENCE),
            "{steps: [{use: a}, {use: b}], over: 5m}",
            Optional,
        ),
        key("absent", "Nothing heard.", Shape::Section(ABSENT), "{over: 10m, expect: learned}", Optional),
    ]],
};
