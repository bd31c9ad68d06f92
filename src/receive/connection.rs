//! One accepted connection: who is on it, what it speaks, and on to the protocol.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpStream;
use tracing::debug;

use super::http;
use super::port::Port;
use super::receiver::Receiver;
use super::stop::Stop;
use super::stream::{self, Place};
use crate::batch::{Form, Origin};
use crate::config::ListenerKind;

/// Serves a connection to its end.
pub async fn serve(tcp: TcpStream, peer: IpAddr, port: Arc<Port>, receiver: Rc<Receiver>, stop: Rc<Stop>) {
    let rules = port.rules();
    let place = Place { port, rules, open: receiver.open.clone(), stop };
    let origin = Arc::new(Origin {
        listener: place.port.id,
        peer: Some(peer),
        peer_name: None,
        token: None,
        user: None,
        labels: Vec::new(),
        logplex: false,
        form: Form::Syslog,
    });
    if place.rules.listener.kind == ListenerKind::Http {
        let books = place.port.books.clone();
        if http::serve(tcp, origin, place, receiver).await {
            books.connections_closed.add(1);
        }
        return;
    }
    let ending = stream::read(tcp, origin, &place, &receiver.shared.carries).await;
    if ending.is_ours() {
        place.port.books.connections_closed.add(1);
        debug!(listener = place.rules.listener.name, %peer, reason = ?ending, "closed a connection");
    }
}
