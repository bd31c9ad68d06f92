//! A receiver: one thread with a runtime of its own, one open batch, and a socket of every listener.

use std::collections::HashMap;
use std::net::{TcpListener, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinError, JoinSet, LocalSet};

use super::accept;
use super::budget::Budget;
use super::names::Names;
use super::open::Open;
use super::port::Port;
use super::stop::Stop;
use super::udp;
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
    pub names: Names,
    /// Held while slots are gathered for a body that needs several.
    pub large_bodies: tokio::sync::Mutex<()>,
}

/// What the tasks of one receiver share.
pub struct Receiver {
    pub intake: Intake,
    pub open: Rc<Open>,
    pub shared: Arc<Shared>,
    /// Bytes that every batch holds at least.
    pub batch_bytes: usize,
}

impl Receiver {
    pub fn new(intake: Intake, shared: Arc<Shared>, batch_bytes: usize) -> Receiver {
        Receiver { open: Rc::new(Open::new(intake.clone())), intake, shared, batch_bytes }
    }
}

/// Runs a receiver until it is told to drain, or nobody is left to tell it.
pub fn run(runtime: &Runtime, receiver: Receiver, commands: UnboundedReceiver<Command>) {
    let open = receiver.open.clone();
    LocalSet::new().block_on(runtime, async {
        tokio::select! {
            () = listen(Rc::new(receiver), commands) => {}
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
            Some(ended) = listeners.join_next() => {
                pass_on(ended);
                continue;
            }
        };
        match command {
            Some(Command::Open(port, socket)) => {
                let stop = Rc::new(Stop::default());
                stops.insert(port.id, stop.clone());
                match socket {
                    Opened::Tcp(socket) => {
                        listeners.spawn_local(accept::accept(port, socket, receiver.clone(), stop));
                    }
                    Opened::Udp(socket) => {
                        listeners.spawn_local(udp::receive(port, socket, receiver.clone(), stop));
                    }
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
    while let Some(ended) = listeners.join_next().await {
        pass_on(ended);
    }
}

/// A panic of a task is the thread's: the process ends.
pub fn pass_on(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}
