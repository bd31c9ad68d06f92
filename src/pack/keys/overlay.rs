//! The overlay: what a site changes about its packs.

use super::{Section, Shape, key, list, map, span};
use crate::config::schema::Presence::{Default, Optional, Required};

/// Beside these keys stand the ids of packs, each with [`OVERLAY_PACK`].
pub(crate) const OVERLAY: &Section = &Section {
    name: "the overlay",
    later: &[],
    keys: &[&[key(
        "weir",
        "The version of this file's form; every other key is the id of a pack.",
        Shape::Exactly("overlay/v1"),
        "overlay/v1",
        Required,
    )]],
};

pub(crate) const OVERLAY_PACK: &Section = &Section {
    name: "a pack in the overlay",
    later: &[],
    keys: &[&[
        key(
            "params",
            "Other values of its params.",
            map(&Shape::Text),
            "{auth_fail_threshold: 50}",
            Default("{}"),
        ),
        key(
            "alerts",
            "What is changed about its alerts, by id.",
            map(&Shape::Section(OVERLAY_ALERT)),
            "{auth_failure: {mode: on}}",
            Default("{}"),
        ),
        key(
            "disabled",
            "What is left out of it: KIND.NAME.",
            list(&Shape::Text),
            "[dashlet.method_by_ip]",
            Default("[]"),
        ),
    ]],
};

pub(crate) const OVERLAY_ALERT: &Section = &Section {
    name: "an alert in the overlay",
    later: &[],
    keys: &[&[
        key(
            "mode",
            "off keeps no state; shadow counts and notifies nobody.",
            Shape::Choice(&["off", "shadow", "on"]),
            "on",
            Optional,
        ),
        key(
            "notify",
            "Notifiers of the pipeline, instead of the pack's.",
            list(&Shape::Text),
            "[oncall]",
            Optional,
        ),
        key(
            "drains",
            "A drain, a computer, a glob of either, or label=glob, instead of the pack's.",
            list(&Shape::Text),
            "[\"shop-*\", \"env=production\"]",
            Optional,
        ),
        key(
            "suppress",
            "How long further episodes are only counted.",
            Shape::Section(OVERLAY_SUPPRESS),
            "{for: 1h}",
            Optional,
        ),
    ]],
};

pub(crate) const OVERLAY_SUPPRESS: &Section = &Section {
    name: "`suppress` in the overlay",
    later: &[],
    keys: &[&[key("for", "How long; by what stays the pack's affair.", span(), "1h", Required)]],
};
