//! Paths and topics with variables in braces.
//!
//! Invariants: a [`Template`] names only known variables; its literal text holds no brace; a template for a path is
//! relative, has no empty, `.` or `..` segment and does not end in `/`; one for a topic uses Kafka's characters.
//! A segment made of variables alone is not excluded here: the value put in is reduced by whoever renders it.

use super::schema::nearest;
use super::value::Text;

/// A path or a topic, split at its variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    source: Text,
    parts: Vec<Part>,
}

#[derive(Clone, PartialEq, Eq)]
pub enum Part {
    Literal(String),
    Variable(Variable),
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // The literal may hold an environment variable's value, which `Template::source` shows by name.
            Part::Literal(text) => write!(f, "Literal({} bytes)", text.len()),
            Part::Variable(variable) => f.write_str(variable.as_str()),
        }
    }
}

/// What a template can be filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable {
    Listener,
    Drain,
    Computer,
    Kind,
    /// Day of receipt in UTC, `2026-11-22`.
    Date,
    /// Hour of receipt in UTC, `09`.
    Hour,
}

impl Variable {
    pub const ALL: [Variable; 6] = [
        Variable::Listener,
        Variable::Drain,
        Variable::Computer,
        Variable::Kind,
        Variable::Date,
        Variable::Hour,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Variable::Listener => "listener",
            Variable::Drain => "drain",
            Variable::Computer => "computer",
            Variable::Kind => "kind",
            Variable::Date => "date",
            Variable::Hour => "hour",
        }
    }
}

/// Why a template was refused, and what may help. Values are not repeated: they may come from the environment.
pub(crate) type Refused = (String, String);

impl Template {
    /// Parses the path of a file below a sink's root.
    pub(crate) fn path(source: &Text) -> Result<Template, Refused> {
        let template = Template::split(source)?;
        template.confine()?;
        Ok(template)
    }

    /// Parses the name of a Kafka topic.
    pub fn topic(source: &Text) -> Result<Template, Refused> {
        let template = Template::split(source)?;
        let example = || "example: `weir.{kind}`".to_string();
        //= https://kafka.apache.org/documentation/#topicconfigs: letters, digits, `.`, `_` and `-`, at most 249.
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        for part in &template.parts {
            if let Part::Literal(text) = part
                && !text.chars().all(good)
            {
                return Err(("a topic holds letters, digits, `.`, `_` and `-` only".into(), example()));
            }
        }
        if template.parts.is_empty() {
            return Err(("the topic is empty".into(), example()));
        }
        if source.len() > 249 {
            return Err(("a topic has at most 249 characters".into(), example()));
        }
        match &template.parts[..] {
            [Part::Literal(text)] if text == "." || text == ".." => {
                Err(("`.` and `..` are no topics".into(), example()))
            }
            _ => Ok(template),
        }
    }

    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Returns the template as one text, variables in braces.
    pub fn source(&self) -> &Text {
        &self.source
    }

    fn split(source: &Text) -> Result<Template, Refused> {
        let all = || {
            let names: Vec<String> = Variable::ALL.iter().map(|v| format!("`{{{}}}`", v.as_str())).collect();
            format!("variables are {}", names.join(", "))
        };
        let mut parts = Vec::new();
        let mut rest = source.as_str();
        while let Some(at) = rest.find(['{', '}']) {
            let (literal, tail) = rest.split_at(at);
            let end = tail.find('}').filter(|_| tail.starts_with('{'));
            let Some(end) = end else { return Err(("a brace has no partner".into(), all())) };
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.into()));
            }
            let name = &tail[1..end];
            let Some(variable) = Variable::ALL.into_iter().find(|v| v.as_str() == name) else {
                // The name is shown only if the file itself holds it.
                let shown =
                    if source.shown().contains(&tail[..=end]) { format!(" `{name}`") } else { String::new() };
                let hint = match nearest(name, Variable::ALL.iter().map(|v| v.as_str())) {
                    Some(near) => format!("did you mean `{{{near}}}`?"),
                    None => all(),
                };
                return Err((format!("unknown variable{shown}"), hint));
            };
            parts.push(Part::Variable(variable));
            rest = &tail[end + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.into()));
        }
        Ok(Template { source: source.clone(), parts })
    }

    /// Refuses a path that could name anything but a file below the root.
    fn confine(&self) -> Result<(), Refused> {
        let example = || "example: `{listener}/{date}.ndjson`".to_string();
        let path = self.source.as_str();
        if path.starts_with('/') {
            return Err(("the path is absolute, but has to stay below `root`".into(), example()));
        }
        if path.contains(['\0', '\\']) {
            return Err(("the path holds a NUL or a backslash".into(), example()));
        }
        for segment in path.split('/') {
            match segment {
                "" => return Err(("the path has an empty segment".into(), example())),
                "." | ".." => return Err((format!("the path has a segment `{segment}`"), example())),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_root() {
        for (path, complaint) in [
            ("{listener}/{date}.ndjson", None),
            ("a/b-{kind}{hour}", None),
            ("..a/b..", None),
            ("", Some("the path has an empty segment")),
            ("/etc/{kind}", Some("the path is absolute, but has to stay below `root`")),
            ("a/../b", Some("the path has a segment `..`")),
            ("./a", Some("the path has a segment `.`")),
            ("a//b", Some("the path has an empty segment")),
            ("a/", Some("the path has an empty segment")),
            ("a\\b", Some("the path holds a NUL or a backslash")),
            ("{lisener}", Some("unknown variable `lisener`")),
            ("{date", Some("a brace has no partner")),
            ("date}", Some("a brace has no partner")),
        ] {
            let got = Template::path(&Text::plain(path)).err().map(|(message, _)| message);
            assert_eq!(got.as_deref(), complaint, "{path:?}");
        }
    }

    #[test]
    fn topics_use_kafkas_characters() {
        for (topic, complaint) in [
            ("weir.{kind}", None),
            ("{drain}", None),
            ("", Some("the topic is empty")),
            ("..", Some("`.` and `..` are no topics")),
            ("a b", Some("a topic holds letters, digits, `.`, `_` and `-` only")),
            ("{topic}", Some("unknown variable `topic`")),
        ] {
            let got = Template::topic(&Text::plain(topic)).err().map(|(message, _)| message);
            assert_eq!(got.as_deref(), complaint, "{topic:?}");
        }
    }
}
