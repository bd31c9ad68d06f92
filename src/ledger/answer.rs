//! What is answered about dashlets, as JSON.

use super::dashlets::{Row, Table, Tables};
use super::record::{KeyValue, Object};
use crate::parse::time;
use crate::plan::rules::convert::Number;

/// Appends the list of dashlets: one object with `dashlets`.
pub fn list(tables: &Tables, out: &mut Vec<u8>) {
    let mut json = Object::new(out);
    json.list("dashlets", tables.list(), |one, dashlet| {
        one.text("id", &dashlet.id);
        one.text("title", &dashlet.title);
        one.text("viz", &dashlet.viz);
        one.text("unit", &dashlet.unit);
        one.raw("step_s", dashlet.step_s.to_string().as_bytes());
        one.raw("keys", &names(&dashlet.keys));
    });
    json.end();
}

/// Appends what one dashlet shows.
pub fn table(table: &Table, out: &mut Vec<u8>) {
    let mut json = Object::new(out);
    let dashlet = table.dashlet;
    json.text("id", &dashlet.id);
    json.text("title", &dashlet.title);
    json.text("viz", &dashlet.viz);
    json.text("unit", &dashlet.unit);
    json.time("from", table.from_us);
    json.time("to", table.to_us);
    json.raw("step_s", table.step_s.to_string().as_bytes());
    json.raw("keys", &names(&dashlet.keys));
    if let Some(from_us) = table.complete_from_us {
        json.time("complete_from", from_us);
    }
    json.time("complete_to", table.complete_to_us);
    json.raw("degraded", if table.degraded { b"true" } else { b"false" });
    if let Some(attribution) = &dashlet.attribution {
        json.text("attribution", &attribution.to_string());
    }
    json.list("rows", &table.rows, |json, row: &Row| {
        json.object("key", |key| {
            for ((name, _), value) in dashlet.keys.iter().zip(&row.key) {
                match value {
                    KeyValue::Number(number) => key.raw(name, number.as_bytes()),
                    other => key.text(name, other.shown()),
                }
            }
        });
        json.raw("value", &decimal(row.value));
        let mut points = Vec::new();
        for (start, value) in &row.points {
            points.extend_from_slice(if points.is_empty() { b"[[\"" } else { b",[\"" });
            points.extend_from_slice(&time::write(*start));
            points.extend_from_slice(b"\",");
            value.write(&mut points);
            points.push(b']');
        }
        if points.is_empty() {
            points.push(b'[');
        }
        points.push(b']');
        json.raw("points", &points);
    });
    json.raw("other", &decimal(table.other));
    json.end();
}

fn decimal(number: Number) -> Vec<u8> {
    let mut out = Vec::new();
    number.write(&mut out);
    out
}

/// Names of keys, which are names of fields and need no escapes.
fn names<T>(keys: &[(Box<str>, T)]) -> Vec<u8> {
    let names: Vec<String> = keys.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    format!("[{}]", names.join(",")).into_bytes()
}
