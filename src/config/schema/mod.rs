//! Every key of a pipeline file, once: name, meaning, shape, range and default.
//!
//! The reader takes ranges, choices and defaults from here, the hints their names and examples, and
//! `weir schema pipeline` is printed from the same tables. A key that is not here is unknown; a key that is here is
//! read, which a test proves for each.
//!
//! Deliberately absent: what spans several keys (ports that clash, names that repeat), which is in `check`.

mod event;
mod geo;
mod json;
mod keys;
mod notifier;

pub use event::event;
pub(crate) use geo::GEO;
pub use json::pipeline;
pub(crate) use json::{detect, document};
pub(crate) use keys::{
    DEVICE_ID, DEVICE_RULE, DRAIN, KAFKA_TLS, KINDS, LEDGER, LIMITS, LISTENER, LISTENER_TLS, LOG, PIPELINE,
    REPORTS, ROTATE, SAMPLE, SASL, SINK, STATE,
};
pub(crate) use notifier::{NOTIFIER, NOTIFIER_KINDS};

/// A mapping with a fixed set of keys.
pub(crate) struct Section {
    /// How messages call it, with an article where it is one of several.
    pub name: &'static str,
    pub keys: &'static [&'static [Key]],
    /// Keys that a later version will have.
    pub later: &'static [&'static str],
}

/// One key of a section.
pub(crate) struct Key {
    pub name: &'static str,
    /// What it says, for the schema.
    pub what: &'static str,
    pub shape: Shape,
    /// A valid value, as it would be written.
    pub example: &'static str,
    pub presence: Presence,
}

pub(crate) const fn key(
    name: &'static str,
    what: &'static str,
    shape: Shape,
    example: &'static str,
    presence: Presence,
) -> Key {
    Key { name, what, shape, example, presence }
}

pub(crate) enum Presence {
    Required,
    /// May be left out; there is then no value.
    Optional,
    /// May be left out; this text is then read in its place.
    Default(&'static str),
}

/// What a value has to look like.
pub(crate) enum Shape {
    /// This text and no other.
    Exactly(&'static str),
    Text,
    /// One to 64 of `[A-Za-z0-9._-]`.
    Name,
    Secret,
    /// `true` or `false`.
    Flag,
    Whole {
        min: u64,
        max: u64,
        word: Option<&'static str>,
    },
    /// Bytes.
    Size {
        min: u64,
        max: u64,
        word: Option<&'static str>,
    },
    /// Milliseconds.
    Duration {
        min: u64,
        max: u64,
        word: Option<&'static str>,
    },
    Choice(&'static [&'static str]),
    /// `IP:PORT`.
    Address,
    /// `HOST:PORT`.
    Broker,
    /// A network, an address or a preset.
    Network,
    /// An offset or an IANA name.
    Zone,
    Pattern,
    Path,
    Topic,
    List {
        of: &'static Shape,
        max: usize,
    },
    Map {
        of: &'static Shape,
        max: usize,
    },
    Section(&'static Section),
    /// A sink, whose keys depend on `kind`.
    Sink,
    /// A notifier, likewise.
    Notifier,
    /// Whatever its reader takes; the text says what, for the schema.
    Any(&'static str),
    /// A number with or without sign and fraction.
    Number,
    /// One to 64 of `[a-z0-9_]`, a letter first.
    Id,
    /// The name of a key or a field of events.
    FieldName,
    /// A condition on an event.
    Detect,
    /// A category's id, or a condition.
    Of,
    /// This word, or the other shape.
    Either(&'static str, &'static Shape),
}

impl Section {
    /// Returns the key called `name`.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.all().find(|key| key.name == name)
    }

    /// Returns all keys, in the order of the tables.
    pub fn all(&self) -> impl Iterator<Item = &'static Key> + use<> {
        self.keys.iter().flat_map(|keys| keys.iter())
    }
}

/// Returns the candidate nearest to `name` by edit distance, if one is near enough to have been meant.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let len = name.chars().count();
    let distance_max = (len / 3).max(1);
    // Words whose lengths differ by more are further apart than that.
    let alike = candidates.into_iter().filter(|candidate| candidate.len().abs_diff(len) <= distance_max);
    let scored = alike.map(|candidate| (edits(name, candidate), candidate));
    scored
        .filter(|(distance, _)| *distance <= distance_max)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}

/// Counts insertions, deletions, replacements and swaps of neighbours between two words, ignoring case.
fn edits(a: &str, b: &str) -> usize {
    let lower = |text: &str| text.chars().map(|c| c.to_ascii_lowercase()).collect::<Vec<char>>();
    let (a, b) = (lower(a), lower(b));
    let mut older: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let replace = above[j] + usize::from(a[i] != b[j]);
            let mut best = replace.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                best = best.min(older[j - 1] + 1);
            }
            row.push(best);
        }
        older = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        let names = ["listeners", "sinks", "drains", "slots", "bind"];
        for (name, near) in [
            ("listener", Some("listeners")),
            ("lisetners", Some("listeners")),
            ("Sinks", Some("sinks")),
            ("bidn", Some("bind")),
            ("bnd", Some("bind")),
            ("outputs", None),
            ("x", None),
        ] {
            assert_eq!(nearest(name, names), near, "{name}");
        }
    }
}
