//! The JSON schema of a pipeline file, printed from the tables of keys.

use serde_json::{Map, Value, json};

use super::{KINDS, Key, PIPELINE, Presence, Section, Shape};
use crate::config::template::Variable;
use crate::config::units::{show_duration, show_size};

/// Returns the JSON schema (draft 2020-12) of a pipeline file.
///
/// A value may come from the environment (`"${VAR}"`), so wherever the file wants a number or a flag the schema also
/// takes text that holds a variable.
pub fn pipeline() -> Value {
    let variable = json!({"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"});
    document(PIPELINE, "weir pipeline file, pipeline/v1", variable, detect())
}

/// The schema of a condition on an event.
pub(crate) fn detect() -> Value {
    json!({
        "type": "object", "minProperties": 1,
        "description": "Named blocks of `field|modifier: value`, joined by `condition`; or `use: MACRO`.",
        "properties": {
            "use": {"type": "string", "description": "The name of a macro."},
            "condition": {"type": "string", "description": "Names of blocks with and, or, not, `1 of x*`, `all of them`."}
        },
        "additionalProperties": {"type": ["object", "array", "string"]}
    })
}

/// Returns the JSON schema (draft 2020-12) of a file whose root is `root`; it names itself `title`.
///
/// `variable` stands for the text that may stand in place of any value, `detect` for a condition on an event.
pub(crate) fn document(root: &Section, title: &str, variable: Value, detect: Value) -> Value {
    let mut schema = section(root);
    let head = schema.as_object_mut().expect("a section is an object");
    head.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    head.insert("title".into(), json!(title));
    head.insert("$defs".into(), json!({"variable": variable, "detect": detect}));
    schema
}

fn section(section: &Section) -> Value {
    let properties: Map<String, Value> = section.all().map(|key| (key.name.into(), property(key))).collect();
    let required = |key: &&Key| matches!(key.presence, Presence::Required);
    let required: Vec<&str> = section.all().filter(required).map(|key| key.name).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn property(key: &Key) -> Value {
    let mut value = shape(&key.shape);
    let object = value.as_object_mut().expect("every shape is an object");
    object.insert("description".into(), json!(key.what));
    if let Presence::Default(text) = key.presence {
        let default = match (&key.shape, text) {
            (_, "[]") => json!([]),
            (Shape::List { .. }, text) => {
                json!(text.trim_matches(['[', ']']).split(", ").collect::<Vec<_>>())
            }
            (_, "{}") => json!({}),
            (Shape::Flag, text) => json!(text == "true"),
            (Shape::Whole { .. } | Shape::Size { .. }, text) => {
                text.parse::<u64>().map_or(json!(text), Value::from)
            }
            (_, text) => json!(text),
        };
        object.insert("default".into(), default);
    }
    value
}

fn shape(shape: &Shape) -> Value {
    let variable = || json!({"$ref": "#/$defs/variable"});
    let word = |word: &Option<&str>| word.map(|word| json!({"const": word}));
    let any = |mut of: Vec<Value>, word: Option<Value>| {
        of.extend(word);
        of.push(variable());
        json!({"anyOf": of})
    };
    match shape {
        Shape::Exactly(text) => json!({"const": text}),
        // YAML reads `12345` as a number; as text it is taken digit by digit.
        Shape::Text | Shape::Secret => json!({"type": ["string", "number", "boolean"]}),
        Shape::Name => {
            any(vec![json!({"type": ["string", "number"], "pattern": "^[A-Za-z0-9._-]{1,64}$"})], None)
        }
        Shape::Flag => any(vec![json!({"type": "boolean"})], None),
        Shape::Whole { min, max, word: w } => {
            any(vec![json!({"type": "integer", "minimum": min, "maximum": max})], word(w))
        }
        Shape::Size { min, max, word: w } => any(
            vec![
                json!({"type": "integer", "minimum": min, "maximum": max}),
                json!({"type": "string", "pattern": r"^[0-9]+ *(B|KiB|MiB|GiB|TiB)?$",
                    "description": format!("{} to {}", show_size(*min), show_size(*max))}),
            ],
            word(w),
        ),
        Shape::Duration { min, max, word: w } => any(
            vec![json!({"type": "string", "pattern": r"^[0-9]+ *(ms|s|m|h|d)$",
                "description": format!("{} to {}", show_duration(*min), show_duration(*max))})],
            word(w),
        ),
        Shape::Choice(words) => any(vec![json!({"enum": words})], None),
        Shape::Address => any(vec![json!({"type": "string", "pattern": r":[0-9]{1,5}$"})], None),
        Shape::Broker => any(vec![json!({"type": "string", "pattern": r"^.+:[0-9]{1,5}$"})], None),
        Shape::Network | Shape::Zone | Shape::Pattern => json!({"type": "string"}),
        Shape::Path | Shape::Topic => {
            let names = Variable::ALL.map(|variable| format!("{{{}}}", variable.as_str()));
            json!({"type": "string", "examples": [names.join(" ")]})
        }
        Shape::List { of, max } => {
            json!({"type": ["array", "null"], "items": self::shape(of), "maxItems": max})
        }
        Shape::Map { of, max } => {
            json!({"type": ["object", "null"], "additionalProperties": self::shape(of), "maxProperties": max})
        }
        Shape::Section(of) => section(of),
        Shape::Any(what) => json!({"description": what}),
        Shape::Number => json!({"type": ["number", "string"]}),
        Shape::Id => json!({"type": "string", "pattern": "^[a-z][a-z0-9_]{0,63}$"}),
        Shape::FieldName => json!({"type": "string"}),
        Shape::Detect => json!({"$ref": "#/$defs/detect"}),
        Shape::Of => json!({"anyOf": [{"type": "string"}, {"$ref": "#/$defs/detect"}]}),
        Shape::Either(word, other) => json!({"anyOf": [{"const": word}, self::shape(other)]}),
        Shape::Sink => {
            json!({"oneOf": KINDS.iter().map(|(kind, keys)| sink(kind, keys)).collect::<Vec<_>>()})
        }
    }
}

/// Returns the schema of one kind of sink, whose `kind` is fixed.
fn sink(kind: &str, keys: &Section) -> Value {
    let mut value = section(keys);
    value["properties"]["kind"] = json!({"const": kind});
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_holds_every_level() {
        let schema = pipeline();
        let listener = &schema["properties"]["listeners"]["items"];
        assert_eq!(listener["additionalProperties"], json!(false));
        assert_eq!(listener["required"], json!(["name", "kind", "bind"]));
        assert_eq!(listener["properties"]["limits"]["properties"]["frame_bytes"]["default"], json!(65_536));
        let kinds: Vec<&Value> = schema["properties"]["sinks"]["items"]["oneOf"]
            .as_array()
            .expect("the kinds")
            .iter()
            .map(|kind| &kind["properties"]["kind"]["const"])
            .collect();
        assert_eq!(kinds, ["file", "stdout", "kafka", "blackhole"]);
    }
}
