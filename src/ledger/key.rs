//! The keys of alerts: values as shards encode them, as records name them, and what is made from them.

use super::record::KeyValue;
use crate::plan::Plan;
use crate::plan::rules::convert::Number;
use crate::plan::watch::{Alert, Part, Piece};
use crate::signal::{push_value, values};

/// The id of an episode: the same whenever the same alert, key and beginning come; `nth` tells single events of one time
/// apart.
pub fn id(alert: &str, key: &[u8], begin_us: i64, nth: u64) -> Box<str> {
    let mut bytes = Vec::with_capacity(alert.len() + key.len() + 20);
    bytes.extend_from_slice(alert.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(&begin_us.to_le_bytes());
    if nth > 0 {
        bytes.extend_from_slice(&nth.to_le_bytes());
    }
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&bytes)).into()
}

/// The values at these places of a key, encoded.
pub fn pick(key: &[u8], places: &[u8]) -> Vec<u8> {
    let all: Vec<_> = values(key).collect();
    let mut out = Vec::new();
    for place in places {
        let (value, number) = all.get(*place as usize).copied().unwrap_or_default();
        push_value(value, number, &mut out);
    }
    out
}

/// The first value of a key; empty if it is absent.
pub fn first(key: &[u8]) -> &[u8] {
    values(key).next().and_then(|(value, _)| value).unwrap_or_default()
}

/// The key with its names.
pub fn named(alert: &Alert, key: &[u8]) -> Vec<(Box<str>, KeyValue)> {
    let value = |(value, number): (Option<&[u8]>, bool)| match value {
        None => KeyValue::Absent,
        Some(value) => {
            let text = String::from_utf8_lossy(value).into_owned().into_boxed_str();
            if number { KeyValue::Number(text) } else { KeyValue::Text(text) }
        }
    };
    alert.key.iter().zip(values(key)).map(|((name, _), encoded)| (name.clone(), value(encoded))).collect()
}

/// A named key, encoded again.
pub fn encoded(key: &[(Box<str>, KeyValue)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (_, value) in key {
        match value {
            KeyValue::Absent => push_value(None, false, &mut out),
            KeyValue::Text(text) => push_value(Some(text.as_bytes()), false, &mut out),
            KeyValue::Number(text) => push_value(Some(text.as_bytes()), true, &mut out),
        }
    }
    out
}

/// The summary with its values put in; what is absent is `-`.
pub fn summary(alert: &Alert, plan: &Plan, key: &[u8], args: &[u8], value: Number) -> Box<str> {
    let shown = |encoded: &[u8], place: u8| match values(encoded).nth(place as usize) {
        Some((Some(value), _)) => String::from_utf8_lossy(value).into_owned(),
        _ => "-".into(),
    };
    let mut out = String::new();
    for piece in &alert.summary {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Value => {
                let mut number = Vec::new();
                value.write(&mut number);
                out.push_str(&String::from_utf8_lossy(&number));
            }
            Piece::Key(place) => out.push_str(&shown(key, *place)),
            // Of a drain that was never heard of there is no event to tell the name.
            Piece::Arg(place)
                if args.is_empty() && matches!(alert.args[*place as usize], Part::Computer(_)) =>
            {
                let drain = String::from_utf8_lossy(first(key));
                let known = plan.drains.get(&*drain).and_then(|drain| drain.computer.as_deref());
                out.push_str(known.unwrap_or(&drain));
            }
            Piece::Arg(place) => out.push_str(&shown(args, *place)),
        }
    }
    out.into()
}

/// The keys that an alert on silence expects by one name: a value of its only key, or the drains of a computer.
pub fn expected(alert: &Alert, plan: &Plan, name: &str) -> Vec<Vec<u8>> {
    let mut tokens: Vec<&str> = Vec::new();
    if alert.has_drain {
        let named = plan.drains.iter().filter(|(_, drain)| drain.computer.as_deref() == Some(name));
        tokens.extend(named.map(|(token, _)| &**token));
        tokens.sort_unstable();
    }
    if tokens.is_empty() {
        tokens.push(name);
    }
    let encode = |token: &&str| {
        let mut out = Vec::new();
        push_value(Some(token.as_bytes()), false, &mut out);
        out
    };
    tokens.iter().map(encode).collect()
}
