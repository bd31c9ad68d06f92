//! What a reload would change, and what it cannot.

use std::fmt;

use super::Pipeline;

/// What differs between two pipelines, by name; nothing of it needs a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    pub listeners_added: Vec<String>,
    /// Changed in anything, so that the port may have to be opened anew.
    pub listeners_changed: Vec<String>,
    pub listeners_removed: Vec<String>,
    pub sinks_added: Vec<String>,
    pub sinks_changed: Vec<String>,
    pub sinks_removed: Vec<String>,
    /// Other keys at the top of the file.
    pub settings: Vec<&'static str>,
}

impl Difference {
    pub fn is_empty(&self) -> bool {
        *self == Difference::default()
    }
}

/// The keys whose change needs a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeedsRestart(Vec<&'static str>);

impl fmt::Display for NeedsRestart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<String> = self.0.iter().map(|key| format!("`{key}`")).collect();
        write!(f, "a change to {} needs a restart", keys.join(", "))
    }
}

impl std::error::Error for NeedsRestart {}

/// Compares the running pipeline with a new one.
///
/// # Errors
/// If they differ in what is fixed at the start: threads, vectors, slots, the log, the state, the two service addresses.
pub fn difference(old: &Pipeline, new: &Pipeline) -> Result<Difference, NeedsRestart> {
    let fixed = changed(&[
        ("threads", old.threads != new.threads),
        ("vectors", old.vectors != new.vectors),
        ("observe", old.observe != new.observe),
        ("admin", old.admin != new.admin),
        ("slots", old.slots != new.slots),
        ("parcel_bytes", old.parcel_bytes != new.parcel_bytes),
        ("log", old.log != new.log),
        ("reports", old.reports != new.reports),
        ("state", old.state != new.state),
    ]);
    if !fixed.is_empty() {
        return Err(NeedsRestart(fixed));
    }
    let [listeners_added, listeners_changed, listeners_removed] =
        compare(&old.listeners, &new.listeners, |listener| &listener.name);
    let [sinks_added, sinks_changed, sinks_removed] = compare(&old.sinks, &new.sinks, |sink| &sink.name);
    let settings = changed(&[
        ("trusted_proxies", old.trusted_proxies != new.trusted_proxies),
        ("shutdown_after", old.shutdown_after != new.shutdown_after),
        ("zone", old.zone != new.zone),
        ("drains", old.drains != new.drains),
        ("packs", old.packs != new.packs),
        ("redact", old.redact != new.redact),
        ("geo", old.geo != new.geo),
        ("overlay", old.overlay != new.overlay),
        ("notifiers", old.notifiers != new.notifiers),
        ("ledger", old.ledger != new.ledger),
    ]);
    Ok(Difference {
        listeners_added,
        listeners_changed,
        listeners_removed,
        sinks_added,
        sinks_changed,
        sinks_removed,
        settings,
    })
}

fn changed(keys: &[(&'static str, bool)]) -> Vec<&'static str> {
    keys.iter().filter(|(_, changed)| *changed).map(|(key, _)| *key).collect()
}

/// Returns the names of what was added, changed and removed.
fn compare<T: PartialEq>(old: &[T], new: &[T], name: impl Fn(&T) -> &String) -> [Vec<String>; 3] {
    let find = |among: &[T], item: &T| among.iter().position(|other| name(other) == name(item));
    let mut out = [Vec::new(), Vec::new(), Vec::new()];
    for item in new {
        match find(old, item) {
            None => out[0].push(name(item).clone()),
            Some(at) if old[at] != *item => out[1].push(name(item).clone()),
            Some(_) => {}
        }
    }
    out[2].extend(old.iter().filter(|item| find(new, item).is_none()).map(|item| name(item).clone()));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fixed_at_the_start_is_refused() {
        let old = Pipeline::default();
        let new = Pipeline { slots: 8, threads: std::num::NonZeroUsize::new(2), ..Pipeline::default() };
        let refused = difference(&old, &new).expect_err("threads and slots are fixed");
        assert_eq!(refused.to_string(), "a change to `threads`, `slots` needs a restart");
    }

    #[test]
    fn the_rest_is_named() {
        let old = Pipeline::default();
        assert!(difference(&old, &old).expect("equal").is_empty());
        let mut new = old.clone();
        new.listeners[0].resolve_names = true;
        new.listeners[1].name = "other".into();
        new.sinks.clear();
        new.zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(2));
        let expect = Difference {
            listeners_added: vec!["other".into()],
            listeners_changed: vec!["heroku-syslog".into()],
            listeners_removed: vec!["syslog-udp".into()],
            sinks_removed: vec!["events".into()],
            settings: vec!["zone"],
            ..Difference::default()
        };
        assert_eq!(difference(&old, &new), Ok(expect));
    }
}
