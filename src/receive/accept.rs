//! Accepts the connections of one listener on one receiver, as long as there is room for them.
//!
//! At the limit, which counts over all receivers, what is queued is accepted and served, and the listening socket is
//! closed: a refused connect costs Logplex no try, one left in the queue does. The port stays ours meanwhile.

use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::warn;

use super::connection::serve;
use super::port::Port;
use super::receiver::{Receiver, pass_on};
use super::socket;
use super::stop::Stop;

/// After an error that the next call would meet as well, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts and serves until `stop`, then accepts what is queued and waits for all connections to end.
pub async fn accept(port: Arc<Port>, socket: TcpListener, receiver: Rc<Receiver>, stop: Rc<Stop>) {
    let mut connections = JoinSet::new();
    let mut accepting = port.accepting();
    let mut socket = Some(socket);
    while !stop.has_begun() {
        let Some(listening) = socket.take().or_else(|| listen(&port)) else {
            wait(PAUSE, &stop, &mut connections).await;
            continue;
        };
        let Ok(listening) = tokio::net::TcpListener::from_std(listening) else { continue };
        loop {
            tokio::select! {
                biased;
                () = stop.begun() => break,
                () = async { drop(accepting.wait_for(|accepting| !accepting).await) } => break,
                accepted = listening.accept() => match accepted {
                    Ok((stream, peer)) => {
                        spawn(&mut connections, stream, peer, &port, &receiver, &stop);
                    }
                    Err(error) => {
                        warn!(listener = port.rules().listener.name, %error, "cannot accept a connection");
                        wait(PAUSE, &stop, &mut connections).await;
                    }
                },
                Some(ended) = connections.join_next() => pass_on(ended),
            }
        }
        empty(listening, &mut connections, &port, &receiver, &stop);
        while !*accepting.borrow_and_update() && !stop.has_begun() {
            tokio::select! {
                () = stop.begun() => {}
                _ = accepting.changed() => {}
                Some(ended) = connections.join_next() => pass_on(ended),
            }
        }
    }
    while let Some(ended) = connections.join_next().await {
        pass_on(ended);
    }
}

/// Accepts all that wait, and closes the listening socket.
fn empty(
    listening: tokio::net::TcpListener,
    connections: &mut JoinSet<()>,
    port: &Arc<Port>,
    receiver: &Rc<Receiver>,
    stop: &Rc<Stop>,
) {
    // The plain socket knows what waits; tokio's knows only what the driver saw last.
    let Ok(listening) = listening.into_std() else { return };
    while let Ok((stream, peer)) = listening.accept() {
        let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
        if let Ok(stream) = stream {
            spawn(connections, stream, peer, port, receiver, stop);
        }
    }
}

fn spawn(
    connections: &mut JoinSet<()>,
    stream: TcpStream,
    peer: SocketAddr,
    port: &Arc<Port>,
    receiver: &Rc<Receiver>,
    stop: &Rc<Stop>,
) {
    let entry = port.enter();
    let serving = serve(stream, peer.ip().to_canonical(), port.clone(), receiver.clone(), stop.clone());
    connections.spawn_local(async move {
        serving.await;
        drop(entry);
    });
}

fn listen(port: &Port) -> Option<TcpListener> {
    let rules = port.rules();
    match socket::listen(port.addr, rules.listener.limits.connections) {
        Ok(listening) => Some(listening),
        Err(error) => {
            warn!(listener = rules.listener.name, %error, "cannot listen again");
            None
        }
    }
}

async fn wait(pause: Duration, stop: &Stop, connections: &mut JoinSet<()>) {
    tokio::select! {
        () = sleep(pause) => {}
        () = stop.begun() => {}
        Some(ended) = connections.join_next() => pass_on(ended),
    }
}
