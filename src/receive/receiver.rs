//! A receiver: one thread with a runtime of its own, one open batch, and a socket of every listener.

use std::collections::HashMap;
use std::net::{TcpListener, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinSet, LocalSet};

use super::accept;
use super::budget::Budget;
use super::open::Open;
use super::port::Port;
use super::stop::Stop;
use crate::batch::ListenerId;
use crate::flow::Intake;

/// What a receiver is told.
pub enum Command {
    Open(Arc<Port>, Opened),
    Close(ListenerId),
    /// Ends all listeners, and then the receiver.
    Drain,
}

/// A socket for a receiver.
pub enum Opened {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

/// What all receivers share.
pub struct Shared {
    pub carries: Arc<Budget>,
    pub bodies: Arc<Budget>,
}

/// What the tasks of one receiver share.
pub struct Receiver {
    pub intake: Intake,
    pub open: Rc<Open>,
    pub shared: Arc<Shared>,
}

/// Runs a receiver until it is told to drain, or nobody is left to tell it.
pub fn run(runtime: Runtime, intake: Intake, shared: Arc<Shared>, commands: UnboundedReceiver<Command>) {
    let open = Rc::new(Open::new(intake.clone()));
    let receiver = Rc::new(Receiver { intake, open: open.clone(), shared });
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        tokio::select! {
            () = listen(receiver, commands) => {}
            () = open.fetch() => {}
            () = open.send_on() => {}
        }
        open.flush();
    });
}

async fn listen(receiver: Rc<Receiver>, mut commands: UnboundedReceiver<Command>) {
    let mut stops: HashMap<ListenerId, Rc<Stop>> = HashMap::new();
    let mut listeners = JoinSet::new();
    loop {
        let command = tokio::select! {
            command = commands.recv() => command,
            Some(_) = listeners.join_next() => continue,
        };
        match command {
            Some(Command::Open(port, socket)) => {
                let stop = Rc::new(Stop::default());
                stops.insert(port.id, stop.clone());
                match socket {
                    Opened::Tcp(socket) => {
                        listeners.spawn_local(accept::accept(port, socket, receiver.clone(), stop));
                    }
                    Opened::Udp(socket) => drop(socket),
                }
            }
            Some(Command::Close(id)) => {
                if let Some(stop) = stops.remove(&id) {
                    stop.begin();
                }
            }
            Some(Command::Drain) | None => break,
        }
    }
    stops.values().for_each(|stop| stop.begin());
    while listeners.join_next().await.is_some() {}
}
