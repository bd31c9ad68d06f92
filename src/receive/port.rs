//! A listener as all receivers see it: its rules, its books, and how many connections it has.
//!
//! Rules are taken once a connection, so a reload changes them for those that come, and drops none.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;
use tokio::sync::watch;

use super::tls::Certificates;
use crate::batch::ListenerId;
use crate::books::ListenerBooks;
use crate::config;
use crate::frame::Framing;

/// What a connection of a listener is held to.
pub struct Rules {
    pub listener: config::Listener,
    pub tls: Option<Certificates>,
    /// Who may say, by PROXY protocol, on whose behalf a connection is.
    pub trusted: Arc<[IpNet]>,
    /// Bytes of a frame that are kept: as configured, or as many as a batch of this process holds.
    pub frame_bytes: usize,
}

impl Rules {
    pub fn framing(&self) -> Framing {
        match self.listener.framing {
            config::Framing::Auto => Framing::Auto,
            config::Framing::Octet => Framing::Octet,
            config::Framing::Newline => Framing::Newline,
        }
    }
}

/// One listener, shared by all receivers.
pub struct Port {
    pub id: ListenerId,
    /// As bound: never port 0.
    pub addr: SocketAddr,
    pub books: Arc<ListenerBooks>,
    rules: Mutex<Arc<Rules>>,
    open: AtomicUsize,
    /// Whether there is room for further connections.
    accepting: watch::Sender<bool>,
}

impl Port {
    pub fn new(id: ListenerId, addr: SocketAddr, books: Arc<ListenerBooks>, rules: Rules) -> Arc<Port> {
        Arc::new(Port {
            id,
            addr,
            books,
            rules: Mutex::new(Arc::new(rules)),
            open: AtomicUsize::new(0),
            accepting: watch::Sender::new(true),
        })
    }

    pub fn rules(&self) -> Arc<Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets what holds for connections to come.
    pub fn set_rules(&self, rules: Rules) {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
        self.reconsider();
    }

    /// Follows whether sockets should listen.
    pub fn accepting(&self) -> watch::Receiver<bool> {
        self.accepting.subscribe()
    }

    /// Counts a connection in, until what is returned is dropped.
    pub fn enter(self: &Arc<Port>) -> Entry {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.books.connections.add(1);
        self.reconsider();
        Entry { port: self.clone() }
    }

    /// Closed at the limit, open again below 95 % of it. The count is read under the watch's lock: of two that come at
    /// once the later one decides by the newer count.
    fn reconsider(&self) {
        let limit = self.rules().listener.limits.connections;
        self.accepting.send_if_modified(|accepting| {
            let open = self.open.load(Ordering::Relaxed);
            let next = match *accepting {
                true => open < limit,
                false => open * 20 < limit * 19,
            };
            std::mem::replace(accepting, next) != next
        });
    }
}

/// A connection of a listener.
pub struct Entry {
    port: Arc<Port>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.port.open.fetch_sub(1, Ordering::Relaxed);
        self.port.books.connections_ended.add(1);
        self.port.reconsider();
    }
}
