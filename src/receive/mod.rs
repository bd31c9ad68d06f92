//! Receivers: sockets in, batches out.
//!
//! One thread a core, each with a socket of every listener (SO_REUSEPORT), a tokio runtime of its own, and one open
//! batch that all its connections fill. Nothing is handed from one receiver to another; what they share is counted:
//! connections, carries, unfinished bodies. The only door inward is [`Intake`].
//!
//! Invariants: a receiver never blocks its thread but for the gate's microseconds and the millisecond that a batch of
//! little lingers; every frame counted as received is
//! admitted or counted as shed; what one connection may hold, and all together, is bounded by `limits`.
//!
//! It does not look into a frame, and knows neither sinks nor plans.

mod accept;
mod budget;
mod body;
mod connection;
mod http;
mod ingest;
mod names;
mod open;
mod port;
mod post;
mod proxy;
mod receiver;
mod request;
mod socket;
mod stop;
mod stream;
mod tls;
mod udp;
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use ipnet::IpNet;
use socket2::Socket;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::batch::{Batch, ListenerId};
use crate::config::{self, ListenerKind};
use crate::flow::{self, Intake};
use crate::limits;
use budget::Budget;
use names::Names;
use port::{Port, Rules};
use receiver::{Command, Opened, Receiver, Shared};
use tls::Certificates;

/// Threads for blocking look-ups, a receiver.
const BLOCKING_THREADS: usize = 2;

/// Why a listener could not be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenError {
    pub listener: String,
    /// What is wrong, and with which address or file.
    pub problem: String,
    pub hint: &'static str,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "listener `{}`: {}\nhint: {}", self.listener, self.problem, self.hint)
    }
}

impl std::error::Error for ListenError {}

/// The running receivers, and the listeners they serve.
pub struct Receivers {
    intake: Intake,
    threads: Vec<(UnboundedSender<Command>, JoinHandle<()>)>,
    places: BTreeMap<ListenerId, Place>,
    /// Bytes that every fresh batch holds.
    batch_bytes: usize,
}

/// An open listener.
struct Place {
    port: Arc<Port>,
    kind: ListenerKind,
    /// As configured: port 0 stays 0.
    bind: SocketAddr,
    /// Holds the port while no socket listens.
    _keeper: Option<Socket>,
}

/// A listener about to be opened, with a socket for each receiver.
struct Prepared {
    place: Place,
    sockets: Vec<Opened>,
}

impl Receivers {
    /// Opens the enabled ones of `listeners` on `threads` receivers. Batches of `intake` hold `batch_bytes`. Nothing is
    /// left open if one of them cannot be.
    pub fn start(
        listeners: &[(ListenerId, config::Listener)],
        threads: usize,
        trusted: &[IpNet],
        intake: Intake,
        batch_bytes: usize,
    ) -> Result<Receivers, ListenError> {
        let mut receivers = Receivers { intake, threads: Vec::new(), places: BTreeMap::new(), batch_bytes };
        receivers.spawn(threads).map_err(|error| ListenError {
            listener: "*".into(),
            problem: format!("cannot start a receiver: {error}"),
            hint: "lower `threads`, or raise the limit on threads and open files",
        })?;
        receivers.reload(listeners, trusted, batch_bytes)?;
        Ok(receivers)
    }

    /// Address of each listener, by id.
    pub fn addresses(&self) -> Vec<(ListenerId, SocketAddr)> {
        self.places.iter().map(|(id, place)| (*id, place.port.addr)).collect()
    }

    /// Opens, closes and changes listeners so that they are the enabled ones of `listeners`, and reads all certificates
    /// anew. A listener whose address stays drops no connection; one that is closed is drained. Batches of the flow hold
    /// `batch_bytes` from now on. On an error all stays as it was.
    pub fn reload(
        &mut self,
        listeners: &[(ListenerId, config::Listener)],
        trusted: &[IpNet],
        batch_bytes: usize,
    ) -> Result<(), ListenError> {
        self.batch_bytes = self.batch_bytes.max(batch_bytes);
        let trusted: Arc<[IpNet]> = trusted.into();
        let mut changed = Vec::new();
        let mut opened = Vec::new();
        for (id, listener) in listeners.iter().filter(|(_, listener)| listener.enabled) {
            let rules = self.rules(listener, &trusted)?;
            match self.places.get(id) {
                Some(place) if place.bind == listener.bind && same_socket(place.kind, listener.kind) => {
                    changed.push((*id, listener.kind, rules));
                }
                _ => opened.push(self.prepare(*id, rules)?),
            }
        }
        let kept: Vec<ListenerId> = changed.iter().map(|(id, ..)| *id).collect();
        let gone: Vec<ListenerId> = self.places.keys().copied().filter(|id| !kept.contains(id)).collect();
        for id in gone {
            self.places.remove(&id);
            self.tell(|| Command::Close(id));
        }
        for (id, kind, rules) in changed {
            let place = self.places.get_mut(&id).expect("found above");
            place.kind = kind;
            place.port.set_rules(rules);
        }
        for Prepared { place, sockets } in opened {
            for ((commands, _), socket) in self.threads.iter().zip(sockets) {
                // A receiver ends only after `drain`, and then nothing is opened any more.
                let _ = commands.send(Command::Open(place.port.clone(), socket));
            }
            self.places.insert(place.port.id, place);
        }
        Ok(())
    }

    /// Begins the end: what is queued is accepted, sockets are closed, requests that have arrived are answered, and
    /// syslog connections are half-closed and read to their end, for `LINGER_MS` at most.
    pub fn drain(&self) {
        self.tell(|| Command::Drain);
    }

    /// Waits for the end that `drain` began; all that was received has then been admitted or counted as shed.
    pub fn join(self) {
        for (_, thread) in self.threads {
            // A panic in it has ended the process already.
            let _ = thread.join();
        }
    }

    fn tell(&self, command: impl Fn() -> Command) {
        for (commands, _) in &self.threads {
            // A receiver that has ended has nothing left to do.
            let _ = commands.send(command());
        }
    }

    fn spawn(&mut self, threads: usize) -> io::Result<()> {
        let shared = Arc::new(Shared {
            carries: Budget::new(limits::CARRY_BYTES),
            bodies: Budget::new(limits::BODIES_BYTES),
            names: Names::default(),
            large_bodies: Default::default(),
        });
        for index in 0..threads {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(BLOCKING_THREADS)
                .build()?;
            let (commands, told) = unbounded_channel();
            let (intake, shared, batch_bytes) = (self.intake.clone(), shared.clone(), self.batch_bytes);
            let thread = flow::spawn(format!("receive-{index}"), move || {
                receiver::run(&runtime, Receiver::new(intake, shared, batch_bytes), told);
            })?;
            self.threads.push((commands, thread));
        }
        Ok(())
    }

    fn rules(&self, listener: &config::Listener, trusted: &Arc<[IpNet]>) -> Result<Rules, ListenError> {
        let http = listener.kind == ListenerKind::Http;
        let tls = listener.tls.as_ref().map(|tls| Certificates::read(tls, http)).transpose();
        let tls = tls.map_err(|problem| ListenError {
            listener: listener.name.clone(),
            problem,
            hint: "`cert`, `key` and `client_ca` name readable PEM files, the key belonging to the certificate",
        })?;
        Ok(Rules {
            listener: listener.clone(),
            tls,
            trusted: trusted.clone(),
            frame_bytes: listener.limits.frame_bytes.min(Batch::frame_bytes_max(self.batch_bytes)),
        })
    }

    fn prepare(&self, id: ListenerId, rules: Rules) -> Result<Prepared, ListenError> {
        let listener = &rules.listener;
        let (kind, bind) = (listener.kind, listener.bind);
        let ours = |place: &Place| same_socket(place.kind, kind) && place.port.addr.port() == bind.port();
        let open = || -> io::Result<(SocketAddr, Option<Socket>, Vec<Opened>)> {
            if !self.places.values().any(ours) {
                socket::probe(kind, bind)?;
            }
            let keeper = socket::bind(kind, bind)?;
            let addr = socket::address(&keeper)?;
            let connections = listener.limits.connections;
            let sockets = self.threads.iter().map(|_| match kind {
                ListenerKind::Udp => socket::datagrams(addr).map(Opened::Udp),
                ListenerKind::Tcp | ListenerKind::Http => socket::listen(addr, connections).map(Opened::Tcp),
            });
            let sockets = sockets.collect::<io::Result<_>>()?;
            // A bound UDP socket would be sent its part of the datagrams.
            Ok((addr, (kind != ListenerKind::Udp).then_some(keeper), sockets))
        };
        let (addr, keeper, sockets) = open().map_err(|error| ListenError {
            listener: listener.name.clone(),
            problem: format!("cannot bind `{bind}` ({}): {error}", kind.as_str()),
            hint: hint(&error),
        })?;
        let port = Port::new(id, addr, self.intake.books(id), rules);
        Ok(Prepared { place: Place { port, kind, bind, _keeper: keeper }, sockets })
    }
}

/// Whether a listener of one kind can go on, as the other, on the same sockets.
fn same_socket(one: ListenerKind, other: ListenerKind) -> bool {
    (one == ListenerKind::Udp) == (other == ListenerKind::Udp)
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another process has the port: stop it, or choose another in `bind`",
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege: choose a higher one in `bind`",
        io::ErrorKind::AddrNotAvailable => "`bind` names an address that this machine does not have",
        _ => "`bind` is `ADDRESS:PORT`; port 0 lets the kernel choose",
    }
}

#[cfg(test)]
mod tests;
