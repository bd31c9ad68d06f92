//! The tables of keys of notifiers.

use super::Presence::{Default, Optional, Required};
use super::keys::{CLUSTER, duration, list};
use super::{Key, Section, Shape, key};

/// The kinds of notifier, each with its keys.
pub(crate) const NOTIFIER_KINDS: &[(&str, &Section)] = &[
    ("alertmanager", ALERTMANAGER),
    ("webhook", WEBHOOK),
    ("smtp", SMTP),
    ("slack", SLACK),
    ("kafka", KAFKA),
    ("file", FILE),
];

/// The keys that every kind has.
const EVERY: &[Key] = &[
    key("name", "Names the notifier in alerts and metrics.", Shape::Name, "oncall", Required),
    key(
        "kind",
        "What takes the alerts.",
        Shape::Choice(&["alertmanager", "webhook", "smtp", "slack", "kafka", "file"]),
        "webhook",
        Required,
    ),
];

/// The keys of kinds that connect to a host.
const REACHING: &[Key] = &[key(
    "allow_private",
    "Hosts, addresses and networks that may be reached although they are loopback, link-local or private.",
    list(&Shape::Text, 64),
    "[\"127.0.0.1\", 10.0.0.0/8, alerts.internal]",
    Default("[]"),
)];

/// Used where `kind` itself is missing or wrong.
pub(crate) const NOTIFIER: &Section = &Section { name: "a notifier", later: &[], keys: &[EVERY] };

const ALERTMANAGER: &Section = &Section {
    name: "an alertmanager notifier",
    later: &[],
    keys: &[
        EVERY,
        &[
            key(
                "urls",
                "Alertmanagers, of which each gets every alert.",
                list(&Shape::Secret, 16),
                "[\"https://alertmanager.example.com\"]",
                Required,
            ),
            key(
                "resend",
                "How often a firing alert is sent again; three times as long it lasts at the Alertmanager without weir.",
                duration(1_000, 3_600_000),
                "60s",
                Default("60s"),
            ),
        ],
        REACHING,
    ],
};

const WEBHOOK: &Section = &Section {
    name: "a webhook notifier",
    later: &[],
    keys: &[
        EVERY,
        &[
            key(
                "url",
                "Where an alert's JSON is posted.",
                Shape::Secret,
                "\"https://example.com/hook\"",
                Required,
            ),
            key(
                "secret",
                "Signs the body by HMAC-SHA256 in the header X-Weir-Signature.",
                Shape::Secret,
                "\"${HOOK_SECRET}\"",
                Optional,
            ),
        ],
        REACHING,
    ],
};

const SMTP: &Section = &Section {
    name: "an smtp notifier",
    later: &[],
    keys: &[
        EVERY,
        &[
            key(
                "url",
                "Mail server: smtp://HOST:25 is plain text, smtp://HOST?tls=required uses STARTTLS, smtps://HOST TLS.",
                Shape::Secret,
                "\"smtp://mail.example.com?tls=required\"",
                Required,
            ),
            key("from", "Sender of the mails.", Shape::Text, "weir@example.com", Required),
            key("to", "Whom they go to.", list(&Shape::Text, 64), "[oncall@example.com]", Required),
            key("username", "Who signs in, over TLS only.", Shape::Text, "weir", Optional),
            key("password", "With what.", Shape::Secret, "\"${MAIL_PASSWORD}\"", Optional),
        ],
        REACHING,
    ],
};

const SLACK: &Section = &Section {
    name: "a slack notifier",
    later: &[],
    keys: &[
        EVERY,
        &[key(
            "url",
            "Incoming webhook of a chat that takes what Slack takes.",
            Shape::Secret,
            "\"${SLACK_URL}\"",
            Required,
        )],
        REACHING,
    ],
};

const KAFKA: &Section = &Section {
    name: "a kafka notifier",
    later: &[],
    keys: &[
        EVERY,
        &[key("topic", "Topic that alerts are written to.", Shape::Text, "weir.alerts", Required)],
        CLUSTER,
    ],
};

const FILE: &Section = &Section {
    name: "a file notifier",
    later: &[],
    keys: &[
        EVERY,
        &[key(
            "path",
            "File that gets one line of JSON an alert.",
            Shape::Text,
            "weir-out/alerts.ndjson",
            Required,
        )],
    ],
};
