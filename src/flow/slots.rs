//! Slots: the credit for a batch in flight, given first come first served.
//!
//! Every queue behind has as many places as there are slots, so a send never waits and memory is a sum. No slot is
//! given while encoded bytes in flight exceed their cap.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::spare::Spare;
use crate::batch::Batch;
use crate::feed::Stock;

/// The credit for one batch in flight, with the batch to fill. Dropped unadmitted, the credit goes back.
pub struct Slot {
    pub batch: Batch,
    pub(super) permit: OwnedSemaphorePermit,
}

pub(super) struct Slots {
    count: usize,
    free: Arc<Semaphore>,
    /// Emptied batches, to be filled again.
    spare: Spare<Batch>,
    /// Bytes that a fresh batch holds; a reload may raise it.
    batch_bytes: AtomicUsize,
    parcel_bytes: AtomicUsize,
    parcel_bytes_max: usize,
    parcels_freed: Notify,
}

impl Slots {
    pub fn new(count: usize, batch_bytes: usize, parcel_bytes_max: usize) -> Slots {
        Slots {
            count,
            free: Arc::new(Semaphore::new(count)),
            spare: Spare::new(count),
            batch_bytes: AtomicUsize::new(batch_bytes),
            parcel_bytes: AtomicUsize::new(0),
            parcel_bytes_max,
            parcels_freed: Notify::new(),
        }
    }

    pub fn count(&self) -> usize {
        self.count
    }

    pub fn free(&self) -> usize {
        self.free.available_permits()
    }

    /// Whether a slot would be given now.
    pub fn stock(&self) -> Stock {
        match (self.parcels_fit(), self.free()) {
            (false, _) => Stock::ParcelsFull,
            (true, 0) => Stock::Dry,
            (true, _) => Stock::Free,
        }
    }

    /// Waits for a slot.
    pub async fn take(&self) -> Slot {
        let permit = self.free.clone().acquire_owned().await.expect("the semaphore is never closed");
        loop {
            let freed = self.parcels_freed.notified();
            if self.parcels_fit() {
                break;
            }
            freed.await;
        }
        Slot { batch: self.batch(), permit }
    }

    /// A slot, if one is free and nobody waits for it.
    pub fn try_take(&self) -> Option<Slot> {
        if !self.parcels_fit() {
            return None;
        }
        let permit = self.free.clone().try_acquire_owned().ok()?;
        Some(Slot { batch: self.batch(), permit })
    }

    fn parcels_fit(&self) -> bool {
        self.parcel_bytes.load(Ordering::Relaxed) <= self.parcel_bytes_max
    }

    fn batch(&self) -> Batch {
        let wanted = self.batch_bytes.load(Ordering::Relaxed);
        match self.spare.take() {
            Some(batch) if batch.capacity() >= wanted => batch,
            _ => Batch::new(wanted),
        }
    }

    /// Takes back a batch whose outcome is there.
    pub fn recycle(&self, mut batch: Batch) {
        batch.clear();
        self.spare.put(batch);
    }

    /// Fresh batches hold at least this much from now on.
    pub fn raise_batch_bytes(&self, bytes: usize) {
        self.batch_bytes.fetch_max(bytes, Ordering::Relaxed);
    }

    pub fn hold_parcels(&self, bytes: usize) {
        self.parcel_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn free_parcels(&self, bytes: usize) {
        self.parcel_bytes.fetch_sub(bytes, Ordering::Relaxed);
        if self.parcels_fit() {
            self.parcels_freed.notify_waiters();
        }
    }
}
