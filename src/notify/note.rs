//! A record as a notifier reads it: from the JSON that the ledger wrote, so that one kept over a restart is as good as one
//! just told.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::ledger::record::State;
use crate::parse::time;

/// A record. Times are texts as in events.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Note {
    pub id: String,
    /// Full id of the alert.
    pub alert: String,
    pub title: String,
    pub severity: String,
    pub threat: u8,
    #[serde(rename = "state", deserialize_with = "state")]
    pub state: State,
    /// In the order of `group_by`, the drain first.
    pub key: Pairs,
    pub value: Value,
    pub window: Window,
    pub first: Option<String>,
    pub last: Option<String>,
    pub fired: String,
    /// Oldest first.
    #[serde(default)]
    pub events: Vec<Event>,
    pub pack: PackName,
    pub completeness: Value,
    #[serde(default)]
    pub degraded: bool,
    /// Id of the notice that told of it before.
    pub notice: Option<String>,
    #[serde(default)]
    pub suppressed: u64,
    #[serde(default)]
    pub summary: String,
    #[serde(default)]
    pub runbook: String,
    #[serde(default)]
    pub labels: Pairs,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Window {
    pub from: String,
    pub to: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Event {
    pub id: String,
    pub time: String,
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct PackName {
    pub id: String,
    pub version: String,
}

/// Names and values in the order in which they were written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pairs(pub Vec<(String, String)>);

impl Pairs {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Writes `a=1 b=2`.
    pub fn shown(&self) -> String {
        let pairs: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join(" ")
    }
}

impl Note {
    /// Reads a record's JSON; nothing if it is none.
    pub fn read(json: &[u8]) -> Option<Note> {
        serde_json::from_slice(json).ok()
    }

    /// The number that stands for the id.
    pub fn number(&self) -> u128 {
        number(&self.id)
    }

    pub fn is_resolved(&self) -> bool {
        self.state == State::Resolved
    }

    /// What it is about, the same for all records of one alert and one group.
    pub fn place(&self) -> String {
        let mut place = self.alert.clone();
        for (name, value) in &self.key.0 {
            // Neither a name nor a JSON text holds these bytes unescaped by chance: they only keep pairs apart.
            place.push('\u{1}');
            place.push_str(name);
            place.push('\u{2}');
            place.push_str(value);
        }
        place
    }

    /// The time of the first match, or of the window's begin.
    pub fn starts(&self) -> &str {
        self.first.as_deref().unwrap_or(&self.window.from)
    }

    /// Microseconds since 1970 of the window's end; 0 if it is no time.
    pub fn to_us(&self) -> i64 {
        time::rfc3339(self.window.to.as_bytes()).unwrap_or(0)
    }
}

/// The number that stands for an id: its 32 hex digits, or a hash of what has none.
pub fn number(id: &str) -> u128 {
    // FNV-1a, since it has to be the same after a restart.
    let hash = |id: &str| {
        id.bytes().fold(0x6c62272e07bb014262b821756295c58d_u128, |hash, byte| {
            (hash ^ u128::from(byte)).wrapping_mul(0x0000000001000000000000000000013b)
        })
    };
    match id.len() {
        32 => u128::from_str_radix(id, 16).unwrap_or_else(|_| hash(id)),
        _ => hash(id),
    }
}

fn state<'de, D: Deserializer<'de>>(deserializer: D) -> Result<State, D::Error> {
    let text = String::deserialize(deserializer)?;
    let known = [State::Notice, State::Sealed, State::Resolved];
    let found = known.into_iter().find(|state| state.name() == text);
    found.ok_or_else(|| serde::de::Error::custom("unknown state"))
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pairs, D::Error> {
        struct Ordered;
        impl<'de> Visitor<'de> for Ordered {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object of single values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    let value = value.as_str().map_or_else(|| value.to_string(), str::to_string);
                    pairs.push((name, value));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Ordered)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ledger::record::tests::record;
    use crate::ledger::record::{Mode, Record};

    /// A note and its JSON: of episode `id`, changed by `change`.
    pub fn note(id: u128, state: State, change: impl FnOnce(&mut Record)) -> (Note, Vec<u8>) {
        let mut record = record(Mode::On, state);
        record.id = format!("{id:032x}").into();
        change(&mut record);
        let mut json = Vec::new();
        record.write(&mut json);
        (Note::read(&json).expect("a record is a note"), json)
    }

    #[test]
    fn what_the_ledger_writes_is_read() {
        let (note, _) = note(7, State::Sealed, |record| record.notice = Some("n".into()));
        assert_eq!((note.number(), note.state, note.notice.as_deref()), (7, State::Sealed, Some("n")));
        assert_eq!(note.key.shown(), "drain=d.1 status=404 user=-");
        assert_eq!(note.labels.get("env"), Some("production"));
        assert_eq!((note.starts(), note.to_us()), ("1970-01-01T00:00:00.000001Z", 1_000_000));
        assert_eq!(note.events[0].message, "x\n\u{1b}y");
        assert_eq!((note.severity.as_str(), note.threat, note.suppressed), ("high", 70, 2));
    }

    #[test]
    fn places_differ_by_alert_and_key_alone() {
        let (a, _) = note(1, State::Notice, |_| {});
        let (b, _) = note(2, State::Resolved, |record| record.summary = "other".into());
        let (c, _) = note(1, State::Notice, |record| record.key.truncate(1));
        assert_eq!(a.place(), b.place());
        assert_ne!(a.place(), c.place());
    }

    #[test]
    fn what_is_no_record_is_none() {
        let (_, json) = note(1, State::Notice, |_| {});
        for end in 0..json.len() {
            assert!(Note::read(&json[..end]).is_none());
        }
        let text = String::from_utf8(json).unwrap();
        assert!(Note::read(text.replace("\"notice\"", "\"pending\"").as_bytes()).is_none());
    }

    #[test]
    fn ids_of_any_form_have_a_number() {
        assert_eq!(number("0123456789abcdef0123456789abcdef"), 0x0123456789abcdef0123456789abcdef);
        assert_ne!(number("a"), number("b"));
        assert_eq!(number("test-1"), number("test-1"));
    }
}
