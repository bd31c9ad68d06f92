//! Environment variables in values: `${NAME}`, `${NAME:-default}`; `$$` is a dollar, and so is one before anything else.

use crate::config::value::Text;

/// What is wrong, and a hint; neither holds a variable's value.
type Refused = (String, String);

/// Puts variables, looked up by `look_up`, into a value.
pub(super) fn put_in(written: &str, look_up: &dyn Fn(&str) -> Option<String>) -> Result<Text, Refused> {
    let mut value = String::new();
    let mut from_environment = false;
    let mut rest = written;
    while let Some(dollar) = rest.find('$') {
        value.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            value.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let (name, default, after) = split(after)?;
            value.push_str(&resolve(name, default, look_up)?);
            from_environment = true;
            rest = after;
        } else {
            value.push('$');
        }
    }
    value.push_str(rest);
    Ok(match from_environment {
        true => Text::interpolated(value, written.into()),
        false => Text::plain(value),
    })
}

/// Splits what follows `${` into the name, the default and the rest behind the closing brace.
fn split(text: &str) -> Result<(&str, Option<&str>, &str), Refused> {
    let hint = || "a variable is `${NAME}` or `${NAME:-default}`; `$$` is a dollar".to_string();
    let Some((inner, after)) = text.split_once('}') else {
        return Err(("`${` has no closing brace".into(), hint()));
    };
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(letter) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(("`${` is not followed by a variable's name".into(), hint()));
    }
    Ok((name, default, after))
}

/// Looks a variable up; as in a shell, `:-` also stands in for an empty one.
fn resolve(
    name: &str,
    default: Option<&str>,
    look_up: &dyn Fn(&str) -> Option<String>,
) -> Result<String, Refused> {
    let value = match (look_up(name), default) {
        (Some(value), None) => value,
        (Some(value), Some(_)) if !value.is_empty() => value,
        (_, Some(default)) => default.into(),
        (None, None) => {
            let hint = format!("set it, or give a default: `${{{name}:-value}}`");
            return Err((format!("environment variable `{name}` is not set"), hint));
        }
    };
    if value.contains(['\n', '\r']) {
        let message = format!("environment variable `{name}` holds a line break");
        return Err((message, "a value is one line; is there a line end at its end?".into()));
    }
    Ok(value)
}
