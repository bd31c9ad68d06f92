//! The JSON schema of an event, one line of a sink's `ndjson`.

use serde_json::{Value, json};

use crate::event::{FACILITIES, Flags, Severity};
use crate::parse::heroku::KINDS;

/// Returns the JSON schema (draft 2020-12) of an event; the schema only grows.
pub fn event() -> Value {
    let text = |what: &str| json!({"type": "string", "description": what});
    let time = |what: &str| json!({"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$", "description": what});
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "weir event",
        "type": "object",
        "required": ["id", "time", "received", "listener", "kind", "severity", "fields", "message"],
        "additionalProperties": true,
        "properties": {
            "id": text("Unique, and equal over retries and re-reading."),
            "time": time("The sender's time in UTC; the receive time where the sender's cannot be read."),
            "received": time("When the frame was received, in UTC."),
            "drain": text("The drain token, or what the device id rules found."),
            "computer": text("The name that the pipeline gives the drain."),
            "labels": {
                "type": "object", "additionalProperties": {"type": "string"},
                "description": "Labels of the drain and of the request's query."
            },
            "listener": text("The listener that took the frame."),
            "peer": text("The sender's address."),
            "hostname": text("HOSTNAME, unless it is `-`, `host` or a drain token."),
            "source": text("APP-NAME, or the tag of RFC 3164."),
            "process": text("PROCID, or the pid of RFC 3164."),
            "msgid": text("MSGID."),
            "sd": {
                "type": "object",
                "additionalProperties": {"type": "object", "additionalProperties": {"type": "string"}},
                "description": "Structured data, escapes undone: the parameters of each element."
            },
            "kind": {
                "type": "string", "examples": KINDS,
                "description": "What the message is: one of the examples, or a kind that a pack gives."
            },
            "categories": {"type": "array", "items": {"type": "string"}, "description": "Categories of the packs."},
            "facility": {"enum": FACILITIES, "description": "From PRI; absent without one."},
            "severity": {"enum": Severity::ALL.map(Severity::name), "description": "What the message says of itself, else from PRI."},
            "pri": {"type": "integer", "minimum": 0, "maximum": 191, "description": "PRI as sent; absent without one."},
            "flags": {
                "type": "array", "items": {"enum": Flags::ALL.map(|(_, name)| name)}, "uniqueItems": true,
                "description": "Sorted; absent if there is none."
            },
            "fields": {
                "type": "object",
                "additionalProperties": {"type": ["string", "number", "boolean", "array"]},
                "description": "What was read from the message; units are in the names (`_ms`, `_bytes`, `_pages`)."
            },
            "message": text("The message less one final line end; invalid UTF-8 becomes U+FFFD.")
        }
    })
}
