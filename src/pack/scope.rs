//! What names mean in one pack: fields, keys, kinds, macros and categories.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::schema::nearest;
use crate::plan::rules::cond::{Cond, Key, Subject};
use crate::plan::rules::convert::Type;

/// Names that conditions, columns and templates may say.
#[derive(Clone, Default)]
pub(super) struct Scope {
    pub pack: String,
    /// Declared fields by name.
    pub fields: BTreeMap<String, Type>,
    pub kinds: BTreeSet<String>,
    /// Full ids of categories, this pack's by their bare id as well.
    pub categories: BTreeSet<String>,
    /// Macros of other packs by `PACK.NAME`.
    pub other_macros: BTreeMap<String, Cond>,
    /// Where `categories` can be asked about: full ids and conditions.
    pub category_conds: Option<BTreeMap<String, Cond>>,
}

/// Keys that events have but conditions do not ask about.
const NOT_ASKED: [&str; 7] = ["id", "time", "received", "labels", "sd", "categories", "fields"];

impl Scope {
    /// What a condition means by a name: a key of the event, else a field.
    ///
    /// # Errors
    /// A message and a hint.
    pub fn subject(&self, name: &str) -> Result<(Subject, Type), (String, String)> {
        if let Some(field) = name.strip_prefix("fields.") {
            return self.field(field);
        }
        if let Some(label) = name.strip_prefix("labels.").filter(|label| !label.is_empty()) {
            return Ok((Subject::Label(label.into()), Type::Text));
        }
        if name == "message" {
            return Ok((Subject::Text, Type::Text));
        }
        if let Some((key, _)) = Key::ALL.iter().find(|(_, known)| *known == name) {
            let ty = if *key == Key::Pri { Type::Whole(191) } else { Type::Text };
            return Ok((Subject::Key(*key), ty));
        }
        if NOT_ASKED.contains(&name) && !self.fields.contains_key(name) {
            let hint = "conditions ask about message, labels.NAME, fields and the other keys";
            return Err((format!("conditions do not ask about `{name}`"), hint.into()));
        }
        self.field(name)
    }

    fn field(&self, name: &str) -> Result<(Subject, Type), (String, String)> {
        match self.fields.get(name) {
            Some(ty) => Ok((Subject::Field(name.into()), *ty)),
            None => Err((format!("unknown field `{name}`"), self.near(name))),
        }
    }

    /// Whether a column, a key or a template may say a name; else a hint.
    pub fn knows(&self, name: &str) -> Result<(), String> {
        let shown = ["id", "time", "received", "message", "value"];
        if shown.contains(&name) || self.subject(name).is_ok() {
            return Ok(());
        }
        Err(self.near(name))
    }

    fn near(&self, name: &str) -> String {
        let keys = Key::ALL.iter().map(|(_, known)| *known).chain(["message"]);
        match nearest(name, self.fields.keys().map(String::as_str).chain(keys)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if self.pack.is_empty() => "a field that one of `packs` declares".into(),
            None => "declare it under `fields`".into(),
        }
    }
}
