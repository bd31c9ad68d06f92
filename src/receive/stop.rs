//! The end of a listener on one receiver: told once, seen by all its connections.

use std::cell::Cell;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::limits;

/// Whether a listener is ending, and since when.
#[derive(Default)]
pub struct Stop {
    since: Cell<Option<Instant>>,
    told: Notify,
}

impl Stop {
    /// Begins the end; a second call changes nothing.
    pub fn begin(&self) {
        if self.since.get().is_none() {
            self.since.set(Some(Instant::now()));
            self.told.notify_waiters();
        }
    }

    pub fn has_begun(&self) -> bool {
        self.since.get().is_some()
    }

    /// When connections that have not ended by themselves are cut; `None` before the end has begun.
    pub fn deadline(&self) -> Option<Instant> {
        self.since.get().map(|since| since + Duration::from_millis(limits::LINGER_MS))
    }

    /// Resolves when the end begins.
    pub async fn begun(&self) {
        let told = self.told.notified();
        if !self.has_begun() {
            told.await;
        }
    }

    /// Resolves when connections are to be cut.
    pub async fn lingered(&self) {
        self.begun().await;
        if let Some(deadline) = self.deadline() {
            sleep_until(deadline).await;
        }
    }
}
