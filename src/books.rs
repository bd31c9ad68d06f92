//! The receiving side of the books: figures of one listener that are counted before a batch has a number.
//!
//! Each is added to where the thing happens, a batch or a read at a time. What only a shard can see rides in its
//! outcome (`outcome::Apart`), what a sink did is the feed's.

use std::sync::atomic::{AtomicU64, Ordering};

/// A figure that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub fn add(&self, n: u64) {
        if n > 0 {
            self.0.fetch_add(n, Ordering::Relaxed);
        }
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Raises it to `n`, for figures that are read elsewhere and only copied here.
    pub fn raise(&self, n: u64) {
        self.0.fetch_max(n, Ordering::Relaxed);
    }
}

/// Figures of one listener. The unit of the first four is one frame.
#[derive(Debug, Default)]
pub struct ListenerBooks {
    /// Frames that came, admitted or not.
    pub received: Count,
    pub admitted: Count,
    pub duplicate: Count,
    /// Discarded for want of a slot.
    pub shed_no_slot: Count,
    /// Bytes of the frames and their counts, and of garbage.
    pub bytes: Count,
    pub garbage_bytes: Count,
    /// Datagrams that the kernel dropped before they could be read.
    pub kernel_drops: Count,
    /// POSTs whose `Logplex-Msg-Count` differs from what was framed.
    pub count_mismatch: Count,
    /// POSTs answered 401 or 503.
    pub refused_requests: Count,
    /// Sum of the `Logplex-Msg-Count` of those.
    pub refused_messages: Count,
    /// Connections accepted.
    pub connections: Count,
    /// Of them, those that have ended, whoever ended them.
    pub connections_ended: Count,
    /// Of those, the ones that we closed: silence, garbage, a failed handshake, memory.
    pub connections_closed: Count,
}
