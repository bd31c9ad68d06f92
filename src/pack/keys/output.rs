//! What is made of events: reports, joins, dashlets, metrics, masks; and the tests.

use super::{DAY_MS, ID, OF, Section, Shape, TITLE, key, list, map, span, whole};
use crate::config::schema::Presence::{Default, Optional, Required};

pub(crate) const REPORT: &Section = &Section {
    name: "a report",
    later: &[],
    keys: &[&[
        ID,
        TITLE,
        OF,
        key("window", "What one report covers, from midnight of the zone.", span(), "1d", Required),
        key("schedule", "When it is published, five fields of cron.", Shape::Text, "\"0 6 * * *\"", Optional),
        key(
            "zone",
            "Its zone; null: the pipeline's.",
            Shape::Any("an offset or an IANA name, or null"),
            "+01:00",
            Optional,
        ),
        key(
            "formats",
            "How it is written.",
            list(&Shape::Choice(&["csv", "ndjson", "html"])),
            "[csv, html]",
            Default("[csv]"),
        ),
        key("retention", "How long it is kept.", span(), "90d", Optional),
        key(
            "columns",
            "Its columns, in order.",
            list(&Shape::Section(COLUMN)),
            "[{field: status, title: Status}]",
            Default("[]"),
        ),
        key("join", "The join that puts its messages together.", Shape::Text, "commands", Optional),
        key(
            "merge_rows",
            "Rows that belong together.",
            Shape::Section(MERGE),
            "{by: [drain, dyno], within: 2s}",
            Optional,
        ),
        key(
            "summary",
            "Figures over the window.",
            list(&Shape::Section(SUMMARY)),
            "[{agg: p95, of: service_ms, by: [method]}]",
            Default("[]"),
        ),
    ]],
};

const COLUMN: &Section = &Section {
    name: "a column",
    later: &[],
    keys: &[&[
        key("field", "The key or field that it shows.", Shape::FieldName, "status", Required),
        key("title", "Its head.", Shape::Text, "Status", Optional),
        key("format", "How a time is written.", Shape::Text, "\"%m-%d-%Y %I:%M:%S %p\"", Optional),
        key("as", "sent gives the bytes as received.", Shape::Choice(&["sent"]), "sent", Optional),
    ]],
};

const MERGE: &Section = &Section {
    name: "`merge_rows`",
    later: &[],
    keys: &[&[
        key("by", "Keys that are equal.", list(&Shape::FieldName), "[drain, dyno]", Required),
        key("within", "How far apart they may be.", span(), "2s", Required),
    ]],
};

const AGGREGATES: &[&str] = &["count", "sum", "avg", "max", "p50", "p95", "p99"];

const SUMMARY: &Section = &Section {
    name: "a summary",
    later: &[],
    keys: &[&[
        key("agg", "What is computed.", Shape::Choice(AGGREGATES), "p95", Required),
        key("of", "The field; a count has none.", Shape::FieldName, "service_ms", Optional),
        key("by", "Keys that are kept apart.", list(&Shape::FieldName), "[method]", Default("[]")),
        key("title", "For people.", Shape::Text, "Slowest", Optional),
    ]],
};

pub(crate) const JOIN: &Section = &Section {
    name: "a join",
    later: &[],
    keys: &[&[
        ID,
        OF,
        key("by", "Keys that are equal.", list(&Shape::FieldName), "[drain, process]", Required),
        key("start", "What begins one.", Shape::Section(EDGE), "{regex: '`[^`]*$'}", Required),
        key("end", "What ends one.", Shape::Section(EDGE), "{regex: '` by '}", Required),
        key("within", "How long it may take.", span(), "2s", Required),
        key("max", "How many messages at most.", whole(2, 1024), "64", Default("64")),
    ]],
};

const EDGE: &Section = &Section {
    name: "an edge of a join",
    later: &[],
    keys: &[&[key("regex", "A regular expression that matches.", Shape::Pattern, "'` by '", Required)]],
};

pub(crate) const DASHLET: &Section = &Section {
    name: "a dashlet",
    later: &[],
    keys: &[&[
        ID,
        TITLE,
        key(
            "viz",
            "How it is drawn.",
            Shape::Choice(&["map", "donut", "bar", "stacked_bar", "line", "table", "stat"]),
            "donut",
            Required,
        ),
        OF,
        key("group_by", "Keys of its rows.", list(&Shape::FieldName), "[status]", Default("[]")),
        key("agg", "What is computed.", Shape::Choice(AGGREGATES), "count", Default("count")),
        key("value", "The field; a count has none.", Shape::FieldName, "service_ms", Optional),
        key(
            "bucket",
            "Its step in time.",
            Shape::Choice(&["minute", "hour", "day"]),
            "day",
            Default("minute"),
        ),
    ]],
};

pub(crate) const METRIC: &Section = &Section {
    name: "a metric",
    later: &[],
    keys: &[&[
        key(
            "name",
            "The series' name; metrics of one name are told apart by a literal label.",
            Shape::Text,
            "heroku_router_service_seconds",
            Required,
        ),
        key("type", "What it is.", Shape::Choice(&["gauge", "counter", "histogram"]), "gauge", Required),
        OF,
        key("value", "The field; a counter may have none.", Shape::FieldName, "service_ms", Optional),
        key(
            "labels",
            "Label and key or field; `=text` is literal.",
            map(&Shape::Text),
            "{app: computer, type: \"=rss\"}",
            Default("{}"),
        ),
        key(
            "expire",
            "After how long without a sample a series is gone.",
            Shape::Duration { min: 1_000, max: 30 * DAY_MS, word: None },
            "5m",
            Default("15m"),
        ),
        key(
            "series_max",
            "Series at most; the rest counts as `other`.",
            whole(1, 100_000),
            "2000",
            Default("2000"),
        ),
        key("help", "For people.", Shape::Text, "Memory of a dyno", Optional),
    ]],
};

pub(crate) const REDACT: &Section = &Section {
    name: "a mask",
    later: &[],
    keys: &[&[
        ID,
        key(
            "builtin",
            "A mask of the engine.",
            Shape::Choice(&["email", "bearer", "card"]),
            "email",
            Optional,
        ),
        key("regex", "What is masked.", Shape::Pattern, "'token=[^ ]+'", Optional),
        key(
            "field",
            "A field that is masked as a whole, or where `regex` looks.",
            Shape::FieldName,
            "command",
            Optional,
        ),
        key("detect", "Only in these events.", Shape::Detect, "{s: {user: robot}}", Optional),
        key("with", "What stands in its place.", Shape::Text, "\"[redacted]\"", Default("[redacted]")),
        key("mode", "Whether it masks.", Shape::Choice(&["off", "on"]), "off", Default("off")),
    ]],
};

pub(crate) const TEST: &Section = &Section {
    name: "a test",
    later: &[],
    keys: &[&[
        key("name", "What it proves.", Shape::Text, "a router line is a request", Required),
        key(
            "events",
            "What is sent, in order.",
            list(&Shape::Section(TEST_STEP)),
            "[{repeat: 25, every: 10s, line: \"...\"}]",
            Required,
        ),
        key(
            "expect",
            "What must come of it.",
            Shape::Section(EXPECT),
            "{alerts: {auth_failure: 1}}",
            Required,
        ),
    ]],
};

pub(crate) const TEST_STEP: &Section = &Section {
    name: "a step of a test",
    later: &[],
    keys: &[&[
        key("line", "A frame; `{t}` is its time.", Shape::Text, "'<190>1 {t} host app web.1 - hi'", Optional),
        key("repeat", "How many times.", whole(1, 100_000), "25", Default("1")),
        key(
            "every",
            "The time between two.",
            Shape::Duration { min: 0, max: 366 * DAY_MS, word: None },
            "10s",
            Default("1s"),
        ),
        key("advance", "The clock moves on.", span(), "10m", Optional),
        key("set", "Params from here on.", map(&Shape::Text), "{auth_fail_threshold: 5}", Optional),
    ]],
};

const EXPECT: &Section = &Section {
    name: "`expect`",
    later: &[],
    keys: &[&[
        key(
            "alerts",
            "How many episodes of each alert.",
            map(&whole(0, 1_000_000)),
            "{auth_failure: 1}",
            Optional,
        ),
        key("only", "Alerts that are not named have none.", Shape::Flag, "true", Default("false")),
        key(
            "first_fire_after",
            "From the first event to the alert, exactly.",
            map(&Shape::Duration { min: 0, max: 366 * DAY_MS, word: None }),
            "{auth_brute_force: 190s}",
            Optional,
        ),
        key(
            "matches",
            "How many events each alert's condition selects.",
            map(&whole(0, 1_000_000)),
            "{auth_failure: 1}",
            Optional,
        ),
        key(
            "events",
            "Keys of the events, in order, else fields; null means absent.",
            list(&Shape::Any("a map of key or field and value")),
            "[{kind: router, status: 503, code: null}]",
            Optional,
        ),
        key(
            "categories",
            "The categories of every event, or how many events each has.",
            Shape::Any("a list of ids, or a map of id and number"),
            "[requests, router]",
            Optional,
        ),
        key(
            "reports",
            "Rows by report.",
            map(&Shape::Any("a list of rows")),
            "{router_logs: [[a, b]]}",
            Optional,
        ),
        key(
            "dashlets",
            "Rows by dashlet: the values of its keys, then the value; of all days.",
            map(&Shape::Any("a list of rows")),
            "{http_code: [[200, 2], [503, 1]]}",
            Optional,
        ),
    ]],
};
