//! Host names of senders, where a listener asks for them.
//!
//! Invariants: a look-up never holds a sender up for longer than `WAIT`; what was found, and that nothing was found, is
//! remembered for `KEEP`, for `NAMES` addresses at most.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::limits;

const WAIT: Duration = Duration::from_secs(1);
const KEEP: Duration = Duration::from_secs(600);

/// What is known of addresses.
#[derive(Default)]
pub struct Names {
    known: Mutex<HashMap<IpAddr, Known>>,
}

/// What was found, and when.
type Known = (Option<Box<str>>, Instant);

impl Names {
    /// The name of `address`, if there is one and it comes in time.
    pub async fn find(&self, address: IpAddr) -> Option<Box<str>> {
        if let Some(known) = self.known(address) {
            return known;
        }
        let asked = timeout(WAIT, spawn_blocking(move || dns_lookup::lookup_addr(&address))).await;
        // Without a name the resolver gives the address again.
        let name = asked.ok().and_then(Result::ok).and_then(Result::ok);
        let name = name.filter(|name| name.parse::<IpAddr>().is_err()).map(String::into_boxed_str);
        self.learn(address, name.clone());
        name
    }

    /// What is remembered of `address`.
    pub fn known(&self, address: IpAddr) -> Option<Option<Box<str>>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (name, since) = known.get(&address)?;
        (since.elapsed() < KEEP).then(|| name.clone())
    }

    fn learn(&self, address: IpAddr, name: Option<Box<str>>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= limits::NAMES {
            known.clear();
        }
        known.insert(address, (name, Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_remembered_and_bounded() {
        let names = Names::default();
        let address = |n: u32| IpAddr::from(n.to_be_bytes());
        for n in 0..=limits::NAMES as u32 {
            names.learn(address(n), Some("a.example.com".into()));
        }
        assert_eq!(names.known(address(limits::NAMES as u32)), Some(Some("a.example.com".into())));
        assert_eq!(names.known(address(0)), None);
        assert!(names.known.lock().unwrap().len() <= limits::NAMES);
    }
}
