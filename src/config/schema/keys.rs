//! The tables of keys, in the order in which the contract shows them.

use super::Presence::{Default, Optional, Required};
use super::{Key, Section, Shape, key};

const DAY_MS: u64 = 86_400_000;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

const fn whole(min: u64, max: u64) -> Shape {
    Shape::Whole { min, max, word: None }
}

const fn size(min: u64, max: u64) -> Shape {
    Shape::Size { min, max, word: None }
}

pub(super) const fn duration(min_ms: u64, max_ms: u64) -> Shape {
    Shape::Duration { min: min_ms, max: max_ms, word: None }
}

pub(super) const fn list(of: &'static Shape, max: usize) -> Shape {
    Shape::List { of, max }
}

const fn map(of: &'static Shape, max: usize) -> Shape {
    Shape::Map { of, max }
}

pub(crate) const PIPELINE: &Section = &Section {
    name: "the pipeline",
    later: &[],
    keys: &[&[
        key(
            "weir",
            "The version of this file's form.",
            Shape::Exactly("pipeline/v1"),
            "pipeline/v1",
            Required,
        ),
        key(
            "threads",
            "Receivers and shards, that many of each; `auto` is one each per core.",
            Shape::Whole { min: 1, max: 64, word: Some("auto") },
            "4",
            Default("auto"),
        ),
        key(
            "vectors",
            "Whether the processor's vector instructions are used; `off` gives the same output, slower.",
            Shape::Choice(&["auto", "off"]),
            "off",
            Default("auto"),
        ),
        key(
            "observe",
            "Serves /metrics, /healthz and /readyz; may be public to the cluster.",
            Shape::Address,
            "127.0.0.1:9600",
            Default("127.0.0.1:9600"),
        ),
        key(
            "admin",
            "Serves /books and /api/v1/packs; a loopback address, since there are no users yet.",
            Shape::Address,
            "127.0.0.1:9601",
            Default("127.0.0.1:9601"),
        ),
        key(
            "trusted_proxies",
            "Proxies whose addresses are not the client: presets (cloudflare, fastly, cloudfront), CIDRs, addresses.",
            list(&Shape::Network, 1024),
            "[cloudflare, 10.0.0.0/8]",
            Default("[]"),
        ),
        key(
            "shutdown_after",
            "How long a shutdown may take before what is left counts as dropped.",
            duration(100, 3_600_000),
            "20s",
            Default("20s"),
        ),
        key(
            "zone",
            "Zone of the times in the eventtracker view: an offset or an IANA name.",
            Shape::Zone,
            "Europe/Berlin",
            Default("+00:00"),
        ),
        key("log", "How weir itself logs.", Shape::Section(LOG), "{format: json, level: info}", Optional),
        key("slots", "Batches in flight at most.", whole(8, 16_384), "256", Default("256")),
        key(
            "parcel_bytes",
            "Bytes of encoded events in flight above which no slot is given.",
            size(MIB, 64 * GIB),
            "128MiB",
            Default("128MiB"),
        ),
        key(
            "packs",
            "What is known of messages: ids of packs that are compiled in (heroku, generic) or were imported, or paths; in this order.",
            list(&Shape::Text, 64),
            "[heroku, my-pack.yaml]",
            Default("[heroku]"),
        ),
        key(
            "reports",
            "Where the packs' reports are written; absent: nowhere, and no rows are made.",
            Shape::Section(REPORTS),
            "{dir: weir-reports}",
            Optional,
        ),
        key(
            "overlay",
            "The file that holds what this site changes about its packs; one that is not there changes nothing.",
            Shape::Text,
            "weir-state/overlay.yaml",
            Default("weir-state/overlay.yaml"),
        ),
        key(
            "state",
            "What outlives a restart.",
            Shape::Section(STATE),
            "{dir: weir-state, every: 10s}",
            Optional,
        ),
        key("geo", "Where countries come from.", Shape::Section(super::GEO), "{file: geo.mmdb}", Optional),
        key("ledger", "How windows of alerts are kept.", Shape::Section(LEDGER), "{lateness: 60s}", Optional),
        key(
            "redact",
            "Text that no output shows, besides what the packs mask; entries as in a pack.",
            list(&Shape::Any("a mask as in a pack: id, builtin, regex, field, detect, with, mode"), 64),
            "[{id: email, builtin: email, mode: on}]",
            Default("[]"),
        ),
        key(
            "listeners",
            "Ports that take log drains; at least one is enabled.",
            list(&Shape::Section(LISTENER), 256),
            "[{name: heroku, kind: http, bind: \"0.0.0.0:8080\"}]",
            Default("[]"),
        ),
        key(
            "drains",
            "What is known of a drain, by its token.",
            map(&Shape::Section(DRAIN), 100_000),
            "{d.5a8fd083-0972-4e18-b912-94dc2d099dac: {computer: shop-production}}",
            Default("{}"),
        ),
        key(
            "sinks",
            "Where events go; without any they are only counted.",
            list(&Shape::Sink, 64),
            "[{name: events, kind: file, root: weir-out, path: \"{date}.ndjson\"}]",
            Default("[]"),
        ),
        key(
            "notifiers",
            "Whom alerts are told to.",
            list(&Shape::Notifier, 64),
            "[{name: oncall, kind: alertmanager, urls: [\"https://alertmanager.example.com\"]}]",
            Default("[]"),
        ),
    ]],
};

pub(crate) const REPORTS: &Section = &Section {
    name: "`reports`",
    later: &[],
    keys: &[&[
        key(
            "dir",
            "Folder of the files, one in it for each report.",
            Shape::Text,
            "weir-reports",
            Default("weir-reports"),
        ),
        key(
            "zone",
            "Zone of reports that have none: of their windows, schedules and times.",
            Shape::Zone,
            "Europe/Berlin",
            Default("+00:00"),
        ),
        key(
            "spool_bytes",
            "Bytes of rows on disk whose windows are open; further rows are cut and counted.",
            size(MIB, 1024 * GIB),
            "1GiB",
            Default("1GiB"),
        ),
    ]],
};

pub(crate) const STATE: &Section = &Section {
    name: "`state`",
    later: &[],
    keys: &[&[
        key(
            "dir",
            "Folder of packs that were imported, and of what the ledger keeps.",
            Shape::Text,
            "weir-state",
            Default("weir-state"),
        ),
        key(
            "every",
            "How often the ledger's state is written.",
            duration(1_000, 3_600_000),
            "10s",
            Default("10s"),
        ),
    ]],
};

pub(crate) const LEDGER: &Section = &Section {
    name: "`ledger`",
    later: &[],
    keys: &[&[
        key(
            "lateness",
            "How long after its own time an event may come and still count in windows.",
            duration(0, 86_400_000),
            "60s",
            Default("60s"),
        ),
        key(
            "skew_max",
            "How far ahead of its arrival an event's time may lie; beyond it, it counts as its arrival.",
            duration(0, 86_400_000),
            "0s",
            Default("0s"),
        ),
        key(
            "keys_max",
            "Keys that one alert tells apart; more are counted and make it degraded.",
            whole(1, 10_000_000),
            "100000",
            Default("100000"),
        ),
    ]],
};

pub(crate) const LOG: &Section = &Section {
    name: "`log`",
    later: &[],
    keys: &[&[
        key(
            "format",
            "Text for people, JSON for machines.",
            Shape::Choice(&["text", "json"]),
            "json",
            Default("text"),
        ),
        key(
            "level",
            "The least severe that is logged.",
            Shape::Choice(&["error", "warn", "info", "debug", "trace"]),
            "info",
            Default("info"),
        ),
    ]],
};

pub(crate) const LISTENER: &Section = &Section {
    name: "a listener",
    later: &["cache", "archive", "purge_after"],
    keys: &[&[
        key(
            "name",
            "Names the listener in events, metrics and books.",
            Shape::Name,
            "heroku-syslog",
            Required,
        ),
        key(
            "kind",
            "tcp and udp take syslog, http takes Heroku's HTTPS drain on any path and POST /ingest.",
            Shape::Choice(&["tcp", "udp", "http"]),
            "tcp",
            Required,
        ),
        key("enabled", "Whether the port is opened.", Shape::Flag, "true", Default("true")),
        key(
            "bind",
            "Address and port; port 0 lets the kernel choose.",
            Shape::Address,
            "0.0.0.0:6514",
            Required,
        ),
        key("description", "For people.", Shape::Text, "\"Heroku syslog drain\"", Default("")),
        key(
            "tls",
            "Certificates; not for udp.",
            Shape::Section(LISTENER_TLS),
            "{cert: c.pem, key: k.pem}",
            Optional,
        ),
        key(
            "framing",
            "How messages are told apart; auto decides once per connection or body.",
            Shape::Choice(&["auto", "octet", "newline"]),
            "auto",
            Default("auto"),
        ),
        key(
            "parse",
            "none frames, counts and drops.",
            Shape::Choice(&["full", "none"]),
            "full",
            Default("full"),
        ),
        key(
            "proxy_protocol",
            "Whether connections begin with a PROXY protocol header, version 1 or 2.",
            Shape::Choice(&["off", "v1v2"]),
            "v1v2",
            Default("off"),
        ),
        key(
            "resolve_names",
            "Whether the sender's address is resolved to a host name.",
            Shape::Flag,
            "false",
            Default("false"),
        ),
        key(
            "time_zone",
            "Zone of RFC 3164 times, which name none: an offset or an IANA name.",
            Shape::Zone,
            "+01:00",
            Default("+00:00"),
        ),
        key(
            "device_id",
            "How a sender is found in the raw frame when nothing else names it.",
            Shape::Section(DEVICE_ID),
            r"{rules: [{pattern: '(?P<Computer>d\.\S+)', token: Computer}]}",
            Optional,
        ),
        key(
            "users",
            "Passwords by user name; without any, requests need no authentication.",
            map(&Shape::Secret, 1024),
            "{heroku: \"${DRAIN_PASSWORD}\"}",
            Default("{}"),
        ),
        key(
            "drain_tokens",
            "Drain tokens that are let in; empty is all.",
            list(&Shape::Text, 100_000),
            "[d.5a8fd083-0972-4e18-b912-94dc2d099dac]",
            Default("[]"),
        ),
        key(
            "shed_after",
            "How long a syslog sender waits for a slot before its frames are counted and discarded; never: for ever.",
            Shape::Duration { min: 1, max: 3_600_000, word: Some("never") },
            "1s",
            Default("1s"),
        ),
        key(
            "limits",
            "What one listener allows its senders.",
            Shape::Section(LIMITS),
            "{connections: 1024, idle: 300s}",
            Optional,
        ),
    ]],
};

pub(crate) const LISTENER_TLS: &Section = &Section {
    name: "`tls`",
    later: &[],
    keys: &[&[
        key("cert", "PEM file with the certificate and its chain.", Shape::Text, "cert.pem", Required),
        key("key", "PEM file with the private key.", Shape::Text, "key.pem", Required),
        key(
            "client_ca",
            "PEM file with the authorities of client certificates, which are then asked for.",
            Shape::Text,
            "clients.pem",
            Optional,
        ),
        key(
            "mode",
            "sniff takes TLS and plain on one port, told apart by the first byte; require takes TLS only.",
            Shape::Choice(&["sniff", "require"]),
            "require",
            Default("sniff"),
        ),
    ]],
};

pub(crate) const DEVICE_ID: &Section = &Section {
    name: "`device_id`",
    later: &[],
    keys: &[&[
        key(
            "on_no_match",
            "What happens to a frame whose sender no rule finds; absent: what the first pack with a word on it says, else accept.",
            Shape::Choice(&["accept", "drop", "quarantine"]),
            "accept",
            Optional,
        ),
        key(
            "rules",
            "Tried in order, before those of the packs and the built-in one for Heroku; the first value wins.",
            list(&Shape::Section(DEVICE_RULE), 64),
            r"[{pattern: '(?P<Computer>d\.\S+)', token: Computer}]",
            Default("[]"),
        ),
    ]],
};

pub(crate) const DEVICE_RULE: &Section = &Section {
    name: "a device id rule",
    later: &[],
    keys: &[&[
        key(
            "pattern",
            "Regular expression over the raw frame.",
            Shape::Pattern,
            r"'(?P<Computer>d\.\S+)'",
            Required,
        ),
        key("token", "The group of the pattern that names the sender.", Shape::Text, "Computer", Required),
        key("active", "Whether the rule is tried.", Shape::Flag, "true", Default("true")),
    ]],
};

pub(crate) const LIMITS: &Section = &Section {
    name: "`limits`",
    later: &[],
    keys: &[&[
        // A frame, its count and a read behind them have to fit into a batch, which holds 128 KiB.
        key("frame_bytes", "Bytes of a frame that are kept.", size(16, 120 * KIB), "64KiB", Default("65536")),
        // All unfinished bodies together may hold 64 MiB.
        key("body_bytes", "Bytes of a body, inflated.", size(1_024, 64 * MIB), "4MiB", Default("4194304")),
        key("connections", "Connections at a time.", whole(1, 100_000), "1024", Default("1024")),
        key(
            "idle",
            "Silence after which a connection is closed.",
            duration(100, DAY_MS),
            "300s",
            Default("300s"),
        ),
        key("handshake", "Time for a TLS handshake.", duration(100, 300_000), "5s", Default("5s")),
        key(
            "request",
            "Time from a request's head to the end of its body.",
            duration(100, 300_000),
            "10s",
            Default("10s"),
        ),
    ]],
};

pub(crate) const DRAIN: &Section = &Section {
    name: "a drain",
    later: &[],
    keys: &[&[
        key(
            "computer",
            "The name that events and reports give it.",
            Shape::Text,
            "shop-production",
            Optional,
        ),
        key("labels", "Added to its events.", map(&Shape::Text, 64), "{env: production}", Default("{}")),
    ]],
};

/// The kinds of sink, each with its keys.
pub(crate) const KINDS: &[(&str, &Section)] =
    &[("file", FILE_SINK), ("stdout", STDOUT_SINK), ("kafka", KAFKA_SINK), ("blackhole", BLACKHOLE_SINK)];

/// The keys that every kind has.
const EVERY_SINK: &[Key] = &[
    key("name", "Names the sink in metrics and books.", Shape::Name, "events", Required),
    key(
        "kind",
        "What takes the events.",
        Shape::Choice(&["file", "stdout", "kafka", "blackhole"]),
        "file",
        Required,
    ),
    key(
        "format",
        "ndjson is weir's event; eventtracker is the vendor guide's view of it.",
        Shape::Choice(&["ndjson", "eventtracker"]),
        "ndjson",
        Default("ndjson"),
    ),
    key(
        "when_full",
        "block stops everything until the sink takes more; drop counts what it misses.",
        Shape::Choice(&["block", "drop"]),
        "block",
        Default("block"),
    ),
    key(
        "where",
        "Which events it takes, as packs write conditions; the rest counts as filtered. Absent: all.",
        Shape::Detect,
        "{s: {categories: heroku.category.requests}}",
        Optional,
    ),
    key(
        "sample",
        "Of events that match, one in so many is taken, by its id; the first entry that matches decides.",
        list(&Shape::Section(SAMPLE), 64),
        "[{detect: {s: {path|startswith: /health}}, keep: 1/100}]",
        Default("[]"),
    ),
];

pub(crate) const SAMPLE: &Section = &Section {
    name: "an entry of `sample`",
    later: &[],
    keys: &[&[
        key("detect", "Which events.", Shape::Detect, "{s: {severity: debug}}", Required),
        key(
            "keep",
            "How many are taken: one in so many, `1/1` to `1/1000000000`.",
            Shape::Text,
            "1/100",
            Required,
        ),
    ]],
};

const SINK_LATER: &[&str] = &[];

/// Used where `kind` itself is missing or wrong.
pub(crate) const SINK: &Section = &Section { name: "a sink", later: SINK_LATER, keys: &[EVERY_SINK] };

const STDOUT_SINK: &Section = &Section { name: "a stdout sink", later: SINK_LATER, keys: &[EVERY_SINK] };

const BLACKHOLE_SINK: &Section =
    &Section { name: "a blackhole sink", later: SINK_LATER, keys: &[EVERY_SINK] };

pub(crate) const FILE_SINK: &Section = &Section {
    name: "a file sink",
    later: SINK_LATER,
    keys: &[
        EVERY_SINK,
        &[
            key("root", "Folder that no path leaves.", Shape::Text, "weir-out", Required),
            key(
                "path",
                "Path below root; variables: listener, drain, computer, kind, date, hour.",
                Shape::Path,
                "\"{listener}/{date}.ndjson\"",
                Required,
            ),
            key(
                "rotate",
                "When a file is finished.",
                Shape::Section(ROTATE),
                "{bytes: 1GiB, every: 1d}",
                Optional,
            ),
            key(
                "compress",
                "How the file is written.",
                Shape::Choice(&["none", "gzip", "zstd"]),
                "zstd",
                Default("none"),
            ),
        ],
    ],
};

pub(crate) const ROTATE: &Section = &Section {
    name: "`rotate`",
    later: &[],
    keys: &[&[
        key(
            "bytes",
            "Size at which a file is finished.",
            Shape::Size { min: 4_096, max: 1_024 * GIB, word: Some("never") },
            "1GiB",
            Default("1GiB"),
        ),
        key(
            "every",
            "Age at which a file is finished.",
            Shape::Duration { min: 1_000, max: 366 * DAY_MS, word: Some("never") },
            "1d",
            Default("1d"),
        ),
    ]],
};

/// How a cluster is found and signed in to.
pub(super) const CLUSTER: &[Key] = &[
    key("brokers", "Where to find the cluster.", list(&Shape::Broker, 64), "[\"127.0.0.1:9092\"]", Required),
    key(
        "options",
        "Any option of librdkafka; never printed.",
        map(&Shape::Secret, 256),
        "{linger.ms: 20}",
        Default("{}"),
    ),
    key(
        "sasl",
        "How weir signs in.",
        Shape::Section(SASL),
        "{mechanism: PLAIN, username: weir, password: \"${KAFKA_PASSWORD}\"}",
        Optional,
    ),
    key("tls", "TLS towards the brokers.", Shape::Section(KAFKA_TLS), "{ca: ca.pem}", Optional),
];

pub(crate) const KAFKA_SINK: &Section = &Section {
    name: "a kafka sink",
    later: SINK_LATER,
    keys: &[
        EVERY_SINK,
        CLUSTER,
        &[
            key(
                "topic",
                "Topic; variables as in a file sink's path.",
                Shape::Topic,
                "\"weir.{kind}\"",
                Required,
            ),
            key(
                "key",
                "What decides the partition, and with it the order.",
                Shape::Choice(&["drain", "computer", "listener", "kind", "none"]),
                "drain",
                Default("drain"),
            ),
            key(
                "headers",
                "Headers of a message; each costs more than all of weir's work on an event.",
                list(&Shape::Choice(&["id", "kind", "schema"]), 3),
                "[id]",
                Default("[]"),
            ),
            key(
                "events_per_message",
                "Events packed into one message, all of one drain.",
                whole(1, 1_024),
                "64",
                Default("1"),
            ),
            key(
                "dead_letters",
                "File for records that the broker refuses for good; by default weir-out/dead-letters/NAME.ndjson.",
                Shape::Text,
                "dead-letters.ndjson",
                Optional,
            ),
        ],
    ],
};

pub(crate) const SASL: &Section = &Section {
    name: "`sasl`",
    later: &[],
    keys: &[&[
        key(
            "mechanism",
            "How the password is proved.",
            Shape::Choice(&["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]),
            "SCRAM-SHA-512",
            Required,
        ),
        key("username", "Who signs in.", Shape::Text, "weir", Required),
        key("password", "With what.", Shape::Secret, "\"${KAFKA_PASSWORD}\"", Required),
    ]],
};

pub(crate) const KAFKA_TLS: &Section = &Section {
    name: "`tls`",
    later: &[],
    keys: &[&[
        key(
            "ca",
            "PEM file with the brokers' authorities; else the system's.",
            Shape::Text,
            "ca.pem",
            Optional,
        ),
        key("cert", "PEM file with weir's own certificate.", Shape::Text, "client.pem", Optional),
        key("key", "PEM file with its private key.", Shape::Text, "client.key", Optional),
    ]],
};
