//! The keys of `geo`.

use super::Presence::{Optional, Required};
use super::{Section, Shape, key};

pub(crate) const GEO: &Section = &Section {
    name: "`geo`",
    later: &[],
    keys: &[&[
        key(
            "file",
            "An .mmdb file that tells countries (MaxMind DB), read at the start, at a reload and when it has changed.",
            Shape::Text,
            "/usr/share/GeoIP/GeoLite2-Country.mmdb",
            Required,
        ),
        key(
            "attribution",
            "What is said where countries are shown; absent: what the file's maker asks for, as far as it is known.",
            Shape::Text,
            "This product includes GeoLite Data created by MaxMind",
            Optional,
        ),
    ]],
};
