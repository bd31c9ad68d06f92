//! Memory that connections share: when all together hold too much, the one that holds the most has to go.
//!
//! Invariant: the total is the sum of all shares, less those already told to go. The only lock is taken when a share
//! begins, ends, or finds the total over its cap.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// A cap on the bytes that all shares hold.
pub struct Budget {
    cap: usize,
    total: AtomicUsize,
    holders: Mutex<Vec<Arc<Holder>>>,
}

#[derive(Default)]
struct Holder {
    bytes: AtomicUsize,
    evicted: AtomicBool,
    told: Notify,
}

impl Budget {
    pub fn new(cap: usize) -> Arc<Budget> {
        Arc::new(Budget { cap, total: AtomicUsize::new(0), holders: Mutex::default() })
    }

    /// A share that holds nothing yet.
    pub fn share(self: &Arc<Budget>) -> Share {
        Share { budget: self.clone(), holder: Arc::default(), listed: false }
    }

    /// Bytes that all shares hold.
    pub fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    fn holders(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Holder>>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the largest to go until the rest fits.
    fn evict(&self) {
        let holders = self.holders();
        while self.total() > self.cap {
            let remaining = holders.iter().filter(|holder| !holder.evicted.load(Ordering::Relaxed));
            let Some(largest) = remaining.max_by_key(|holder| holder.bytes.load(Ordering::Relaxed)) else {
                return;
            };
            largest.evicted.store(true, Ordering::Relaxed);
            self.total.fetch_sub(largest.bytes.swap(0, Ordering::Relaxed), Ordering::Relaxed);
            largest.told.notify_one();
        }
    }
}

/// What one connection or body holds of a budget; given back when dropped.
pub struct Share {
    budget: Arc<Budget>,
    holder: Arc<Holder>,
    listed: bool,
}

impl Share {
    /// Says how many bytes it holds now. Over the cap the largest share is evicted, perhaps this one.
    pub fn hold(&mut self, bytes: usize) {
        if !self.listed {
            if bytes == 0 {
                return;
            }
            self.listed = true;
            self.budget.holders().push(self.holder.clone());
        }
        // The difference to what stood there, whoever wrote it: so an eviction in between is not counted twice.
        let before = self.holder.bytes.swap(bytes, Ordering::Relaxed);
        if bytes > before {
            let total = self.budget.total.fetch_add(bytes - before, Ordering::Relaxed) + bytes - before;
            if total > self.budget.cap {
                self.budget.evict();
            }
        } else {
            self.budget.total.fetch_sub(before - bytes, Ordering::Relaxed);
        }
    }

    pub fn is_evicted(&self) -> bool {
        self.holder.evicted.load(Ordering::Relaxed)
    }

    /// Resolves when it has to go.
    pub fn evicted(&self) -> impl Future<Output = ()> + use<> {
        let holder = self.holder.clone();
        async move {
            while !holder.evicted.load(Ordering::Relaxed) {
                holder.told.notified().await;
            }
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.listed {
            self.hold(0);
            let mut holders = self.budget.holders();
            if let Some(at) = holders.iter().position(|holder| Arc::ptr_eq(holder, &self.holder)) {
                holders.swap_remove(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_goes_and_what_goes_is_given_back() {
        let budget = Budget::new(100);
        let mut shares: Vec<Share> = (0..3).map(|_| budget.share()).collect();
        shares[0].hold(40);
        shares[1].hold(50);
        shares[2].hold(10);
        assert!(shares.iter().all(|share| !share.is_evicted()));
        shares[2].hold(20);
        assert_eq!(shares.iter().map(Share::is_evicted).collect::<Vec<_>>(), [false, true, false]);
        assert_eq!(budget.total(), 60);
        drop(shares);
        assert_eq!(budget.total(), 0);
    }

    #[test]
    fn a_share_that_alone_is_too_large_goes_itself() {
        let budget = Budget::new(100);
        let mut share = budget.share();
        share.hold(101);
        assert!(share.is_evicted());
        assert_eq!(budget.total(), 0);
    }
}
