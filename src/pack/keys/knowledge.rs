//! Fields, knowledge objects and what they extract.

use super::{ID, Key, Section, Shape, key, list, map};
use crate::config::schema::Presence::{Default, Optional, Required};

pub(crate) const FIELD: &Section = &Section {
    name: "a field",
    later: &[],
    keys: &[&[
        key(
            "type",
            "string, bool, u16, u32, u64, i64, f64, ip, duration_ms, bytes or [string].",
            Shape::Any("string, bool, u16, u32, u64, i64, f64, ip, duration_ms, bytes or [string]"),
            "u16",
            Required,
        ),
        key("otel", "Its name in OpenTelemetry.", Shape::Text, "http.response.status_code", Optional),
        key(
            "ecs",
            "Its name in the Elastic common schema.",
            Shape::Text,
            "http.response.status_code",
            Optional,
        ),
        key(
            "from",
            "The name under which senders write it, or the field it is taken from.",
            Shape::Text,
            "service",
            Optional,
        ),
        key(
            "take",
            "Which item of the list in `from`.",
            Shape::Choice(&["first", "last", "last_untrusted"]),
            "last_untrusted",
            Optional,
        ),
        key(
            "enrich",
            "`geo` looks the country of an address up: client_ip gives client_country, two letters of ISO 3166, ZZ if unknown. Events do not show it, unless it is declared itself.",
            Shape::Choice(&["geo"]),
            "geo",
            Optional,
        ),
        key(
            "output",
            "Whether events show it; without, it serves conditions, keys, templates and columns.",
            Shape::Flag,
            "false",
            Default("true"),
        ),
        key(
            "class_of",
            "The status field whose class it is: 2xx, 4xx.",
            Shape::FieldName,
            "status",
            Optional,
        ),
    ]],
};

pub(crate) const OBJECT: &Section = &Section {
    name: "a knowledge object",
    later: &[],
    keys: &[&[
        ID,
        key("kind", "What `kind` says on its events.", Shape::Id, "router", Optional),
        key(
            "emit",
            "The fields that it writes; absent: all that its extractors find.",
            list(&Shape::FieldName),
            "[auth_ip]",
            Optional,
        ),
        key(
            "rules",
            "The first that matches extracts.",
            list(&Shape::Section(RULE)),
            "[{applies_to: {source: heroku, process: router}}]",
            Required,
        ),
    ]],
};

pub(crate) const RULE: &Section = &Section {
    name: "a rule",
    later: &[],
    keys: &[&[
        key(
            "applies_to",
            "Conditions on source, process, kind, facility, severity, pri, listener or hostname; all of them.",
            Shape::Any("a map of source, process, kind, facility, severity, pri, listener, hostname"),
            "{source: heroku, process: router}",
            Optional,
        ),
        key("signature", "What the text must hold.", Shape::Section(SIGNATURE), "{all: [\"at=\"]}", Optional),
        key(
            "exception",
            "What deselects a message.",
            Shape::Section(EXCEPTION),
            "{any: [\"health check\"]}",
            Optional,
        ),
        key(
            "extract",
            "All of them run; the first to write a field keeps it.",
            list(&Shape::Section(EXTRACT)),
            "[{kv: {quote: '\"'}}]",
            Default("[]"),
        ),
    ]],
};

const TEXTS: [Key; 3] = [
    key("all", "Texts that all occur; ASCII case is ignored.", list(&Shape::Text), "[\"at=\"]", Optional),
    key(
        "any",
        "Texts of which one occurs; ASCII case is ignored.",
        list(&Shape::Text),
        "[\" by \"]",
        Optional,
    ),
    key("regex", "A regular expression that matches.", Shape::Pattern, "'^Error [HRL][0-9]'", Optional),
];

pub(crate) const SIGNATURE: &Section = &Section { name: "`signature`", later: &[], keys: &[&TEXTS] };
pub(crate) const EXCEPTION: &Section = &Section { name: "`exception`", later: &[], keys: &[&TEXTS] };

/// The readers that the engine has for forms which need more care than the general extractors take.
pub(crate) const READERS: &[&str] = &["router", "runtime", "addon", "postgres", "platform", "json_body"];

pub(crate) const EXTRACT: &Section = &Section {
    name: "an extractor",
    later: &[],
    keys: &[&[
        key(
            "kv",
            "Pairs such as `key=value`; those that are declared fields are kept.",
            Shape::Section(KV),
            "{quote: '\"'}",
            Optional,
        ),
        key(
            "regex",
            "Named groups are fields.",
            Shape::Pattern,
            r"'from (?P<auth_ip>[0-9a-f:.]+)'",
            Optional,
        ),
        key(
            "delimited",
            "Values between a separator, by place.",
            Shape::Section(DELIMITED),
            "{separator: \",\", fields: [user, action]}",
            Optional,
        ),
        key(
            "json",
            "Fields and the paths of their values in a JSON text; of several paths the first.",
            map(&Shape::Any("a path such as `http.status`, or a list of paths")),
            "{auth_ip: [ip, client_ip]}",
            Optional,
        ),
        key(
            "format",
            "A text made of fields; nothing if one of them is absent.",
            Shape::Text,
            "'{method} {path}'",
            Optional,
        ),
        key("field", "The field that `format` writes.", Shape::FieldName, "request", Optional),
        key(
            "builtin",
            "A reader of the engine, for forms that clients can forge.",
            Shape::Choice(READERS),
            "router",
            Optional,
        ),
    ]],
};

pub(crate) const KV: &Section = &Section {
    name: "`kv`",
    later: &[],
    keys: &[&[
        key("separator", "Between key and value.", Shape::Text, "\":\"", Default("=")),
        key("between", "Between pairs; a blank also stands for tabs.", Shape::Text, "\",\"", Default(" ")),
        key(
            "quote",
            "Around values that hold what separates; `\\` escapes it.",
            Shape::Text,
            "'\"'",
            Optional,
        ),
    ]],
};

const DELIMITED: &Section = &Section {
    name: "`delimited`",
    later: &[],
    keys: &[&[
        key("separator", "Between values.", Shape::Text, "\",\"", Required),
        key(
            "fields",
            "The fields by place; `_` passes one over.",
            list(&Shape::Text),
            "[user, _, action]",
            Required,
        ),
    ]],
};

pub(crate) const DERIVE_STEP: &Section = &Section {
    name: "a step of `first_of`",
    later: &[],
    keys: &[&[
        key("map", "The field whose value is looked up in `values`.", Shape::FieldName, "at", Optional),
        key("values", "What each value becomes.", map(&Shape::Text), "{error: error}", Optional),
        key("lookup", "TABLE.COLUMN.", Shape::Text, "codes.level", Optional),
        key("by", "The field that is the table's key.", Shape::FieldName, "code", Optional),
        key("detect", "If it holds, `value` is given.", Shape::Detect, "{s: {to_state: crashed}}", Optional),
        key("value", "What `detect` gives.", Shape::Text, "error", Optional),
        key("from", "The key or field that is copied.", Shape::FieldName, "pri", Optional),
        key("unless", "If it holds, `from` gives nothing.", Shape::Detect, "{use: is_heroku}", Optional),
    ]],
};
