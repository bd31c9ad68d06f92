//! Text that knows whether it may be shown.
//!
//! Invariants: a [`Secret`] is never formatted; a [`Text`] that holds an environment variable's value formats, under
//! `Debug`, as what was written in its place (`${NAME}`).

use std::fmt;
use std::ops::Deref;
use std::path::Path;

/// A value that no message and no `Debug` output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Secret {
        Secret(value.into())
    }

    /// Returns the value, for the one place that has to send or compare it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Free text of a pipeline file, with what was written where variables were put in.
#[derive(Clone, Default, Eq)]
pub struct Text {
    value: String,
    /// Set only where the value holds a variable's.
    written: Option<String>,
}

impl Text {
    /// Wraps text that came from the file as it stands.
    pub fn plain(value: impl Into<String>) -> Text {
        Text { value: value.into(), written: None }
    }

    /// Wraps text that variables were put into; `written` is what messages show.
    pub(super) fn interpolated(value: String, written: String) -> Text {
        Text { value, written: Some(written) }
    }

    pub fn as_str(&self) -> &str {
        &self.value
    }

    pub fn as_path(&self) -> &Path {
        Path::new(&self.value)
    }

    /// Returns what a message may show: variables by name, never by value.
    pub fn shown(&self) -> &str {
        self.written.as_deref().unwrap_or(&self.value)
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.value
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        &self.value
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Text) -> bool {
        self.value == other.value
    }
}

impl From<&str> for Text {
    fn from(value: &str) -> Text {
        Text::plain(value)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.shown(), f)
    }
}
